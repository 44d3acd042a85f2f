# What the scripts tests/drivers/*/driver share; sourced by them, at the top of the repository.
#
# A script defines prepare() and run(), then calls `driver_main "$@"`. Variables: $here is its
# folder, $work the folder for what it fetches and builds.
# shellcheck shell=sh
set -eu

here=$(dirname "$0")
name=$(basename "$here")
work=$PWD/build/drivers/$name
# Registries that do not answer must not hold the tests up for long.
fetch_timeout=180

skip()
{
	echo "$*"
	exit 77
}

# need COMMAND...: skips the driver unless all of them are there.
need()
{
	for command in "$@"; do
		command -v "$command" >/dev/null 2>&1 || skip "there is no $command"
	done
}

# fetch WHAT COMMAND...: runs a command that asks a registry. One that fails is tried once more,
# then the driver is skipped: without a network nothing can be said about it.
fetch()
{
	what=$1
	shift
	timeout "$fetch_timeout" "$@" || timeout "$fetch_timeout" "$@" ||
		skip "$what cannot be fetched"
}

# once FILE...: true unless it was done with these contents before; then call done_once.
once()
{
	sum=$(cat "$@" "$here/driver" | cksum)
	[ "$sum" != "$(cat "$work/.done" 2>/dev/null)" ]
}

done_once()
{
	echo "$sum" >"$work/.done"
}

# python_packages: what requirements.txt says, in a virtual environment of the driver's own.
python_packages()
{
	need python3
	if once "$here/requirements.txt"; then
		rm -rf "$work"
		mkdir -p "$work"
		python3 -m venv "$work/venv" || skip "python3 has no venv"
		fetch "$name" "$work/venv/bin/pip" install -q --disable-pip-version-check \
			--only-binary :all: -r "$here/requirements.txt"
		done_once
	fi
}

# node_packages: what package-lock.json says.
node_packages()
{
	need node npm
	if once "$here/package.json" "$here/package-lock.json"; then
		rm -rf "$work"
		mkdir -p "$work"
		cp "$here/package.json" "$here/package-lock.json" "$work"
		fetch "$name" npm ci --prefix "$work" --no-audit --no-fund --loglevel=error
		done_once
	fi
}

driver_main()
{
	case $1 in
	prepare) prepare ;;
	run) run ;;
	*) echo "usage: $0 prepare|run" >&2; exit 2 ;;
	esac
}
