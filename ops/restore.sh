#!/bin/sh
# Puts a backup in the place of what is there: restore.sh FOLDER, one that backup.sh made.
#
# Started by root, on a host that is set up as docs/operations.md says. What was there is kept aside
# under a name with the time. The shop is closed while it runs, and open when it has succeeded.
set -eu
umask 077
. /etc/tigerfans/tigerfans.env
backup=$1
now=$(date -u +%Y%m%dT%H%M%SZ)
# What a query of the orders' database gives.
orders() {
	DATABASE_URL=$DATABASE_URL runuser -u tigerfans -- /opt/tigerfans/ops/with-orders psql -Atc "$1"
}
database=$(orders 'SELECT current_database()')
# The new database is made here, on the host whose PostgreSQL is the primary.
if [ "$(runuser -u postgres -- psql -Atc 'SELECT pg_is_in_recovery()')" != f ]; then
	echo "The PostgreSQL of this host is a standby: restore on the primary's host." >&2
	exit 1
fi

(cd "$backup" && sha256sum --check --quiet SHA256SUMS)
# Each by its name: of a target alone, systemctl does not wait for what is part of it, and a
# sequencer that still runs would go on with the ledger that is moved away.
systemctl stop tigerfans.target 'tigerfans-worker@*.socket' 'tigerfans-worker@*.service' \
	tigerfans-clerk.service tigerfans-sequencer.service

# The orders, into a database of their own that takes the name once it is complete.
runuser -u postgres -- createdb --owner=tigerfans --encoding=UTF8 --template=template0 "restored_$now"
runuser -u postgres -- pg_restore --dbname="restored_$now" --no-owner --role=tigerfans \
	--exit-on-error --single-transaction <"$backup/orders.dump"
runuser -u postgres -- psql --quiet --set=ON_ERROR_STOP=1 <<SQL
ALTER DATABASE "$database" RENAME TO "before_$now";
ALTER DATABASE "restored_$now" RENAME TO "$database";
SQL

# The ledger.
case $TIGERFANS_LEDGER in
embedded:*)
	folder=${TIGERFANS_LEDGER#embedded:}
	[ ! -e "$folder" ] || mv "$folder" "$folder.before_$now"
	install -d -m 700 -o tigerfans -g tigerfans "$folder"
	install -m 600 -o tigerfans -g tigerfans "$backup/ledger.sqlite" "$folder/ledger.sqlite"
	;;
tigerbeetle:*)
	# Only where all replicas are lost. One that is lost alone gets its state from the others, by
	# `tigerbeetle recover`; an old copy of it would take back what it promised them.
	file=/var/lib/tigerbeetle/0_0.tigerbeetle
	systemctl stop tigerbeetle
	[ ! -e "$file" ] || mv "$file" "$file.before_$now"
	cp --sparse=always "$backup/0_0.tigerbeetle" "$file"
	chown tigerbeetle: "$file"
	systemctl start tigerbeetle
	;;
esac

# Redis, where it is still there, is newer than both. Its sessions are of use: they know the emails
# of what is repaired now, and a payment that comes again. Its "paid" is not. A backup from before
# shops had an id has none, and Redis nothing of that shop's.
has_id=$(orders "SELECT to_regclass('shop')")
if [ -n "$has_id" ]; then
	shop=$(orders 'SELECT left(id::text, 8) FROM shop')
	REDIS_URL=$REDIS_URL runuser -u tigerfans -- \
		/opt/tigerfans/ops/in-redis /opt/tigerfans/ops/forget-answers.lua "$shop"
fi

# The copy may be of an earlier release.
/opt/tigerfans/ops/shop migrate

# What was sold between the two copies gets its orders; then the doors open.
systemctl start tigerfans-sequencer
# Replicas that begin with copies agree among themselves first, for up to a minute; the command waits
# for 20 s, and says with 2 that nobody answers.
tries=6
until
	/opt/tigerfans/ops/shop reconcile --repair
do
	[ $? = 2 ] && [ $((tries -= 1)) -gt 0 ] || exit 1
done
systemctl start tigerfans.target
