#!/bin/sh
# Copies orders and ledger, while the shop sells, into a new folder: backup.sh FOLDER
#
# The orders first. A sale is on the ledger before its order is in PostgreSQL, so a ledger that is
# copied later has the sale of every order in the other copy, and what was sold in between is a
# sale without its order: `tigerfans reconcile --repair` makes that. The other way round there would
# be orders whose tickets the ledger may sell again, and nothing mends that.
#
# Started by root. Redis is not copied: docs/operations.md says why.
set -eu
umask 077
# Whoever serves comes first, on the processors and at the disk. systemd starts what it starts itself.
renice -n 19 $$ >/dev/null
ionice -c 3 -p $$
. /etc/tigerfans/tigerfans.env
as_shop='runuser -u tigerfans --'

target=$1/$(date -u +%Y%m%dT%H%M%SZ)
unfinished=$target.unfinished
mkdir -p "$unfinished"

# One snapshot, whatever is sold meanwhile; compressed, and restored by any newer PostgreSQL.
DATABASE_URL=$DATABASE_URL $as_shop /opt/tigerfans/ops/with-orders pg_dump --format=custom \
	>"$unfinished/orders.dump"

case $TIGERFANS_LEDGER in
embedded:*)
	# Its owner makes the copy, while it goes on, and it is checked. It is the shop's own file first.
	copy=$TIGERFANS_DATA/copy.sqlite
	rm -f "$copy"
	/opt/tigerfans/ops/shop ledger backup "$copy"
	mv "$copy" "$unfinished/ledger.sqlite"
	;;
tigerbeetle:*)
	# The file of a replica holds still only while that is stopped. One replica alone: buyers are
	# told to come back for as long as this takes. Of three: nobody notices.
	trap 'systemctl start tigerbeetle' EXIT
	systemctl stop tigerbeetle
	# Most of it is empty, and stays so.
	cp --sparse=always --reflink=auto /var/lib/tigerbeetle/0_0.tigerbeetle "$unfinished/"
	systemctl start tigerbeetle
	trap - EXIT
	;;
esac

(cd "$unfinished" && sha256sum -- * >SHA256SUMS)
# These files alone: to sync a file system would have every write of the shop's wait for all of it.
sync "$unfinished"/* "$unfinished"
# Only a whole backup has its name.
mv "$unfinished" "$target"
du -sh "$target"
