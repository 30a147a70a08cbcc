#!/bin/sh
# A private PostgreSQL for tests, on a unix socket only.
#
#   pg.sh start DIR [SOCKET_DIR]   makes DIR, starts a server in it (as "postgres" when run by
#                                  root), makes the roles and the databases berth_identity and
#                                  berth_home_1; SOCKET_DIR is DIR when it is left out
#   pg.sh stop DIR                 ends it and removes DIR
#
# Nothing is flushed to disk: it must not outlive a test. Environment: PGBIN.
set -eu

PGBIN=${PGBIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)}

# Commands of the server run as an unprivileged user: it refuses root.
as_owner() {
	if [ "$(id -u)" = 0 ]; then
		setpriv --reuid=postgres --regid=postgres --init-groups "$@"
	else
		"$@"
	fi
}

start() {
	dir=$1 sockets=${2:-$1}
	mkdir -p "$dir" "$sockets"
	if [ "$(id -u)" = 0 ]; then
		chown postgres: "$dir" "$sockets"
	fi
	cd "$dir"
	as_owner "$PGBIN/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --no-locale --no-sync \
		>"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; return 1; }
	cat >>"$dir/data/postgresql.conf" <<END
listen_addresses = ''
unix_socket_directories = '$sockets'
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_connections = 120
shared_buffers = 64MB
shared_preload_libraries = 'pg_stat_statements'
timezone = 'UTC'
END
	as_owner "$PGBIN/pg_ctl" -D "$dir/data" -l "$dir/log" -w -t 30 start >/dev/null ||
		{ cat "$dir/log" >&2; return 1; }
	as_owner "$PGBIN/psql" -q -X -v ON_ERROR_STOP=1 -h "$sockets" -U postgres -d postgres <<'END'
CREATE ROLE berth_owner LOGIN;
CREATE ROLE berth_api LOGIN;
CREATE ROLE berth_reconcile LOGIN;
CREATE DATABASE berth_identity OWNER berth_owner;
CREATE DATABASE berth_home_1 OWNER berth_owner;
END
}

stop() {
	if [ -s "$1/data/postmaster.pid" ]; then
		as_owner "$PGBIN/pg_ctl" -D "$1/data" -m immediate -w stop >/dev/null 2>&1 || :
	fi
	rm -rf "$1/data" "$1/log" "$1/initdb.log"
	rmdir "$1" 2>/dev/null || :
}

case ${1:-} in
start) shift; start "$@" ;;
stop) shift; stop "$@" ;;
*) sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
esac
