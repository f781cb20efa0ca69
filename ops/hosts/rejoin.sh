#!/bin/sh
# Makes this host's PostgreSQL a standby of another's: rejoin.sh ADDRESS
#
# Started by root. A standby turns to that host. What was a primary goes back to where the two
# parted and takes the other's way (pg_rewind); where that cannot be done, or there is nothing yet,
# everything is copied, and what was there is kept aside under a name with the time.
set -eu
. "$(dirname "$0")/postgresql.sh"
primary=$1
# The name is what synchronous_standby_names asks for.
follow="$(reach "$primary") application_name=standby"

standby=$(there "$primary" 'SELECT pg_is_in_recovery()') || stop "PostgreSQL on $primary does not answer."

if [ "$(here 'SELECT pg_is_in_recovery()' 2>/dev/null)" = t ]; then
	here "ALTER SYSTEM SET primary_conninfo = '$follow'"
	here 'SELECT pg_reload_conf()' >/dev/null
	# Not streaming: it has more than the other, which promote.sh then says.
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		from=$(here "SELECT sender_host FROM pg_stat_wal_receiver WHERE status = 'streaming'")
		[ "$from" != "$primary" ] || break
		sleep 0.5
	done
	echo "A standby that follows $primary now${from:+, and receives from $from}."
	exit
fi
[ "$standby" = f ] || stop "$primary is a standby itself, and this host is none yet: name the primary."

# The end of an old primary: what nobody had confirmed goes.
systemctl stop "postgresql@$version-main"
there "$primary" CHECKPOINT
if as_postgres "$programs/pg_rewind" --target-pgdata="$data" --config-file="$conf" \
	--source-server="$(reach "$primary") dbname=postgres"; then
	how=rewound
else
	aside=$data.before_$(date -u +%Y%m%dT%H%M%SZ)
	mv "$data" "$aside"
	as_postgres "$programs/pg_basebackup" --pgdata="$data" --checkpoint=fast --dbname="$(reach "$primary")"
	how="copied; what was here is in $aside"
fi
as_postgres touch "$data/standby.signal"
# After the copy, which brings the other's; the last line counts.
echo "primary_conninfo = '$follow'" >>"$data/postgresql.auto.conf"
systemctl start "postgresql@$version-main"
echo "A standby of $primary: $how."
