#!/bin/sh
# Makes this host's PostgreSQL the primary: promote.sh [--anyway]
#
# Started by root, by a person, after `rejoin.sh THIS-HOST` on the other standby. That takes the old
# primary's last listener away, and without one it confirms nothing: it need not be reached to be
# fenced. What could still lose an order that was confirmed is refused in a sentence.
set -eu
. "$(dirname "$0")/postgresql.sh"
. /etc/tigerfans/tigerfans.env

[ "$(here 'SELECT pg_is_in_recovery()')" = t ] || stop "this host is a primary already."
mine=$(here "SELECT pg_last_wal_receive_lsn()")

# The hosts of DATABASE_URL, but for this one.
hosts=${DATABASE_URL#*@}
silent=
for host in $(echo "${hosts%%/*}" | tr ',' ' '); do
	host=${host%:*}
	case " $(hostname -I)" in *" $host "*) continue ;; esac
	if ! standby=$(there "$host" 'SELECT pg_is_in_recovery()' 2>/dev/null); then
		silent="$silent $host"
		continue
	fi
	[ "$standby" = t ] || stop "$host is a primary and answers. Stop it there: systemctl stop postgresql."
	theirs=$(there "$host" "SELECT pg_last_wal_receive_lsn()")
	[ "$(here "SELECT '$theirs'::pg_lsn > '$mine'::pg_lsn")" = f ] ||
		stop "$host has more of what was confirmed ($theirs, here $mine): promote that one."
	source=$(there "$host" "SELECT sender_host FROM pg_stat_wal_receiver WHERE status = 'streaming'")
	case " $(hostname -I) " in *" ${source:-none} "*) continue ;; esac
	stop "$host does not follow this host, so the old primary may go on confirming orders by it." \
		"There first: rejoin.sh and this host's address."
done

# The old primary is silent, and may be. Another one may have what this host has not.
set -- ${1-} $silent
if [ "${1-}" = --anyway ]; then
	shift
elif [ $# -gt 1 ]; then
	stop "$* do not answer, and an order may be on those that is not here. If they are lost: $0 --anyway," \
		"then \`shop reconcile --repair\`, which makes orders again from the ledger."
fi

here 'SELECT pg_promote()' >/dev/null
[ "$(here 'SELECT pg_is_in_recovery()')" = f ] || stop "the promotion is not done: look at PostgreSQL's log."
here CHECKPOINT
echo "This host is the primary. On each of the others, once it is there: rejoin.sh and this host's address."
