#!/bin/sh
# Installs, with apt, what building and testing Pointsman need, and nothing when all is there.
#
#	tests/support/deps.sh [--check]
#
# Works as root or through sudo. Neither the `main` cluster that Debian makes with a new
# PostgreSQL nor PgBouncer's service is started on the way: tests and demo bring their own
# servers, and port 6432 stays free. What runs already is left alone.
# --check installs nothing and ends with status 1 when something is missing. The tools of the
# client programs in tests/drivers are no necessity: without one its programs are skipped.
set -eu

build_packages="gcc make pkg-config libc6-dev libevent-dev libconfig-dev libjansson-dev
	libxxhash-dev libssl-dev libpq-dev libpg-query-dev libprotobuf-c-dev check libidn-dev"
test_packages="pgbouncer clang curl ca-certificates bzip2"

say()
{
	echo "deps: $*"
}

die()
{
	echo "deps: $*" >&2
	exit 1
}

# The package that apt would install by this name, if there is one.
available()
{
	apt-cache show --no-all-versions "$1" >/dev/null 2>&1
}

# PostgreSQL 15 or later, with its server programs.
have_postgres()
{
	for bin in /usr/lib/postgresql/*/bin; do
		version=${bin#/usr/lib/postgresql/}
		version=${version%%/*}
		case $version in
		*[!0-9]*) continue ;;
		esac
		if [ "$version" -ge 15 ] && [ -x "$bin/initdb" ] && [ -x "$bin/pgbench" ]; then
			return 0
		fi
	done
	command -v pg_config >/dev/null 2>&1 || return 1
	bin=$(pg_config --bindir)
	[ -x "$bin/initdb" ] && [ -x "$bin/pgbench" ] || return 1
	version=$("$bin/postgres" -V | sed 's/[^0-9]*\([0-9]*\).*/\1/')
	[ "$version" -ge 15 ]
}

# The runtime of clang's sanitizers and of libFuzzer.
have_clang_runtime()
{
	command -v clang >/dev/null 2>&1 || return 1
	[ -e "$(clang -print-file-name="libclang_rt.fuzzer-$(uname -m).a")" ] ||
		[ -e "$(clang --print-resource-dir)/lib/linux/libclang_rt.fuzzer-$(uname -m).a" ]
}

list_missing()
{
	# shellcheck disable=SC2086 # lists of words are meant
	installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' \
		$build_packages $test_packages 2>/dev/null || true)
	for package in $build_packages $test_packages; do
		echo "$installed" | grep -qx "$package installed" || echo "$package"
	done
	have_postgres || echo postgresql
	have_clang_runtime || echo clang-runtime
}

# What tests/drivers needs, from wherever it came. DBD::Pg is for Debian's perl, which runs it.
list_missing_tools()
{
	python3 -c 'import ensurepip, venv' >/dev/null 2>&1 || echo python3-venv
	command -v node >/dev/null 2>&1 || echo nodejs
	command -v npm >/dev/null 2>&1 || echo npm
	command -v go >/dev/null 2>&1 || echo golang-go
	command -v javac >/dev/null 2>&1 || echo default-jdk-headless
	/usr/bin/perl -MDBD::Pg -e 1 >/dev/null 2>&1 || echo libdbd-pg-perl
}

# The names of two packages have a version in them, which depends on the distribution.
resolve()
{
	case $1 in
	postgresql)
		for version in 15 16 17 18 19; do
			if available "postgresql-$version"; then
				echo "postgresql-$version postgresql-client-$version"
				return
			fi
		done
		die "apt knows no PostgreSQL from 15 to 19"
		;;
	clang-runtime)
		major=$(apt-cache depends clang 2>/dev/null | sed -n 's/.*Depends: clang-\([0-9]*\)$/\1/p')
		if available "libclang-rt-$major-dev"; then
			echo "libclang-rt-$major-dev"
		else
			echo libclang-rt-dev
		fi
		;;
	*)
		echo "$1"
		;;
	esac
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

install_packages()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
		--no-install-recommends "$@"
}

# What this script puts on the machine only for the time of the installation.
no_cluster=/etc/postgresql-common/createcluster.d/pointsman.conf
no_start=/usr/sbin/policy-rc.d
made_no_start=

hold_back_services()
{
	as_root mkdir -p "${no_cluster%/*}"
	echo 'create_main_cluster = false' | as_root tee "$no_cluster" >/dev/null
	if [ ! -e "$no_start" ]; then
		made_no_start=yes
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$no_start" >/dev/null
		as_root chmod 755 "$no_start"
	fi
}

clean_up()
{
	as_root rm -f "$no_cluster"
	as_root rmdir --ignore-fail-on-non-empty "${no_cluster%/*}"
	if [ -n "$made_no_start" ]; then
		as_root rm -f "$no_start"
	fi
}

command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1 || die \
	"this system has no apt. Install by hand: a C11 compiler, make, pkg-config, the headers of" \
	"libevent, libconfig, jansson, xxHash, OpenSSL, libpq, libpg_query, protobuf-c, libidn and" \
	"Check; for the tests also PostgreSQL 15 or later with pgbench, PgBouncer, and clang with" \
	"libFuzzer"

missing=$(list_missing | tr '\n' ' ')
tools=$(list_missing_tools | tr '\n' ' ')
if [ -z "$missing$tools" ]; then
	say "all packages are there"
	exit 0
fi
if [ "${1:-}" = --check ]; then
	[ -z "$missing" ] || die "missing: $missing"
	say "missing, but only for some of tests/drivers: $tools"
	exit 0
fi
if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
	[ -z "$missing" ] || die "missing: $missing- run this as root, or install sudo"
	say "missing, but only for some of tests/drivers: $tools"
	exit 0
fi

say "missing: $missing$tools"
say "apt-get update"
as_root apt-get update -qq || say "apt-get update failed, going on with the lists that are there"

packages=
for name in $missing; do
	packages="$packages $(resolve "$name")"
done
trap clean_up EXIT
trap 'exit 1' INT TERM
hold_back_services
if [ -n "$packages" ]; then
	say "apt-get install$packages"
	# shellcheck disable=SC2086 # a list of words is meant
	install_packages $packages || die "apt-get could not install:$packages"
fi
for tool in $tools; do
	say "apt-get install $tool"
	install_packages "$tool" || say "$tool is not installed: tests that need it are skipped"
done

missing=$(list_missing | tr '\n' ' ')
[ -z "$missing" ] || die "still missing after the installation: $missing"
say "done"
