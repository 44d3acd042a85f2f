#!/bin/sh
# Writes src/sql/functions_table.inc: the names of PostgreSQL's built-in functions, split into those
# of which every overload is IMMUTABLE or STABLE, and the others. From a throw-away server that
# listens on a socket in its own directory only. What the catalog cannot say (harmless volatile
# functions, functions that answer for one node or one session) is in src/sql/functions.c, by hand.
#
#	tests/support/make_functions.sh [BINDIR] > src/sql/functions_table.inc
#
# Needs PostgreSQL 15, the version of the grammar. Run as root it switches to the user postgres.
set -eu

bindir=${1:-/usr/lib/postgresql/15/bin}

if [ "$(id -u)" = 0 ]; then
	exec setpriv --reuid=postgres --regid=postgres --clear-groups sh "$0" "$@"
fi

directory=$(mktemp -d /tmp/make_functions.XXXXXX)
cleanup() {
	"$bindir/pg_ctl" -D "$directory/data" -m immediate -w stop >/dev/null 2>&1 || true
	rm -rf "$directory"
}
trap cleanup EXIT INT TERM

"$bindir/initdb" -D "$directory/data" -A trust -U postgres -N >/dev/null
"$bindir/pg_ctl" -D "$directory/data" -l "$directory/log" -w \
	-o "-c listen_addresses='' -c unix_socket_directories='$directory' -c fsync=off" \
	start >/dev/null

ask() {
	"$bindir/psql" -X -h "$directory" -U postgres -d postgres -At -c "$1"
}

# Names quoted for C, several to a line.
names() {
	ask "SELECT '\"' || proname || '\",' FROM pg_proc
	     WHERE pronamespace = 'pg_catalog'::regnamespace
	     GROUP BY proname HAVING $1 ORDER BY proname COLLATE \"C\"" |
		awk '{
			if (line != "" && length(line) + length($0) + 1 > 88) {
				print "\t" line
				line = ""
			}
			line = line == "" ? $0 : line " " $0
		}
		END { if (line != "") print "\t" line }'
}

version=$(ask "SHOW server_version" | cut -d' ' -f1)
cat <<END
/*
 * Made by tests/support/make_functions.sh from PostgreSQL $version.
 * Sorted as strcmp() sorts.
 */

/* Every overload is IMMUTABLE or STABLE. */
static const char *const stable_functions[] = {
$(names "bool_and(provolatile <> 'v')")
};

/* At least one overload is VOLATILE, or is a procedure. */
static const char *const volatile_functions[] = {
$(names "bool_or(provolatile = 'v')")
};
END
