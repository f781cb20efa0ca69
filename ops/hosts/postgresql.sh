# What promote.sh and rejoin.sh share: where PostgreSQL is on this host, and how it and others are asked.

version=$(ls /etc/postgresql/*/main/postgresql.conf | cut -d/ -f4 | sort -V | tail -n 1)
data=/var/lib/postgresql/$version/main
conf=/etc/postgresql/$version/main/postgresql.conf
programs=/usr/lib/postgresql/$version/bin
# One line, `*:5432:*:replicator:PASSWORD`, mode 0600, postgres:postgres.
passfile=/var/lib/postgresql/.pgpass

# Ends with a sentence.
stop() {
	echo "$0: $*" >&2
	exit 1
}

# Runs a command as PostgreSQL's user.
as_postgres() {
	(cd / && runuser -u postgres -- "$@")
}

# What a query of this host's PostgreSQL gives.
here() {
	as_postgres psql --no-psqlrc -Atqc "$1" postgres
}

# How another host's PostgreSQL is reached.
reach() {
	echo "host=$1 port=5432 user=replicator passfile=$passfile connect_timeout=3"
}

# What a query of another host's PostgreSQL gives.
there() {
	as_postgres psql --no-psqlrc -Atqc "$2" "$(reach "$1") dbname=postgres"
}
