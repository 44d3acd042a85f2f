#!/usr/bin/env bash
# Fetches PostgreSQL's own regression SQL, which is not part of this repository:
#
#	tests/regress/fetch.sh MAJOR DIRECTORY
#
# leaves in DIRECTORY the folders sql and data, parallel_schedule, contrib with contrib_schedule (lines
# "module: script ..." of the extensions that are installed), and, if the server's headers can be
# had too, lib/regress.so, PostgreSQL's own helpers for these scripts. The source package comes from
# the distribution's archive and is checked by apt (signature and checksums), with lists of its
# own: the system's are neither used nor changed, and nothing is installed. What is there
# already is not fetched again. Status 1, and one line that says why, when it cannot be had.
set -eu

major=$1
mkdir -p "$2"
target=$(cd "$2" && pwd)

die()
{
	echo "regress: $*" >&2
	exit 1
}

[ ! -e "$target/complete" ] || exit 0
command -v apt-get >/dev/null 2>&1 || die "this system has no apt to fetch PostgreSQL's sources with"

# Debian and its derivatives name the release that their archive calls the same.
# shellcheck disable=SC1091
. /etc/os-release
case ${ID:-} in
debian) archive=http://deb.debian.org/debian keyring=debian-archive-keyring.gpg ;;
ubuntu) archive=http://archive.ubuntu.com/ubuntu keyring=ubuntu-archive-keyring.gpg ;;
*) die "no archive is known for ${ID:-this system}" ;;
esac

work=$target/apt
rm -rf "$work"
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/source"
for kind in deb-src deb; do
	echo "$kind [signed-by=/usr/share/keyrings/$keyring] $archive ${VERSION_CODENAME:?} main"
done >"$work/sources.list"

private()
{
	local program=$1
	shift
	"$program" -qq -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=/dev/null \
		-o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" \
		-o APT::Sandbox::User="$(id -un)" -o Acquire::Languages=none \
		-o Acquire::Retries=2 -o Acquire::http::Timeout=20 "$@"
}

cd "$work/source"
private apt-get update >"$work/log" 2>&1 || die "apt-get update failed: $(tail -n 1 "$work/log")"
private apt-get source --download-only "postgresql-$major" >>"$work/log" 2>&1 ||
	die "the sources of postgresql-$major cannot be had: $(tail -n 1 "$work/log")"
tarball=$(ls postgresql-"$major"_*.orig.tar.*)
tar xf "$tarball" --wildcards --strip-components=4 -C "$target" \
	'*/src/test/regress/sql' '*/src/test/regress/data' '*/src/test/regress/parallel_schedule' \
	'*/src/test/regress/regress.c'
tar xf "$tarball" --wildcards --strip-components=1 -C "$target" \
	'*/contrib/*/Makefile' '*/contrib/*/sql' '*/contrib/*/data'

# Left out are those that need another configuration of the server, or connect to it by themselves, past
# the proxy.
extensions=$(pg_config --sharedir 2>/dev/null || echo "/usr/share/postgresql/$major")/extension
for makefile in "$target"/contrib/*/Makefile; do
	module=$(basename "$(dirname "$makefile")")
	case $module in
	dblink | pg_stat_statements | pg_walinspect | postgres_fdw) continue ;;
	esac
	[ -d "$target/contrib/$module/sql" ] || continue
	grep -q '^EXTENSION' "$makefile" || continue
	extension=$(sed -n 's/^EXTENSION *= *\([^ ]*\).*/\1/p' "$makefile" | head -n 1)
	[ -e "$extensions/$extension.control" ] || continue
	awk -v module="$module" '
	{
		while (sub(/\\$/, "") && (getline more) > 0)
			$0 = $0 more
	}
	$1 == "REGRESS" && $2 ~ /^\+?=$/ {
		for (i = 3; i <= NF; i++)
			if ($i !~ /\$/)
				printf "%s: %s\n", module, $i
	}' "$makefile"
done >"$target/contrib_schedule"

# The helpers are in C: without the server's headers the scripts run all the same, and what needs
# a helper fails in the same way everywhere.
mkdir -p "$target/lib"
if private apt-get download "postgresql-server-dev-$major" >>"$work/log" 2>&1; then
	dpkg -x postgresql-server-dev-"$major"_*.deb headers
	${CC:-cc} -O1 -w -shared -fPIC -I"headers/usr/include/postgresql/$major/server" \
		-o "$target/lib/regress.so" "$target/regress.c" >>"$work/log" 2>&1 || true
fi
[ -e "$target/lib/regress.so" ] ||
	echo "regress: PostgreSQL's helper library could not be built; going on without it" >&2
# Two more that some scripts load come with the server.
for module in autoinc refint; do
	cp "$(pg_config --pkglibdir 2>/dev/null || echo /usr/lib/postgresql/"$major"/lib)/$module.so" \
		"$target/lib/" 2>/dev/null || true
done
echo "${tarball%%.orig*}" >"$target/complete"
rm -rf "$work"
