#!/usr/bin/env bash
# make lint: prints each fault as file:line: what, and ends with status 1 if there was one.
#
#   lint.sh        everything
#   lint.sh text   only what needs no compiler: the direction of includes, the purity of the pure
#                  layers, the width of lines

set -u
cd "$(dirname "$0")/../.." || exit 1
export LC_ALL=C

# A layer may include itself and what stands before it.
layers='base stats wire sql auth cluster policy route net probe pool session config worker admin
	http daemon'

# These only calculate: no sockets, no files, no log, no event loop.
pure_layers='wire sql auth cluster policy route'

# Exceptions in pure layers, as "file what":
#   cluster.h: a node's address is a sockaddr_storage; nothing is done with it there.
#   userlist.c: reads the user list at start and at a reload, in the control thread; what is done
#   with the text is pure.
exceptions='include/cluster/cluster.h <sys/socket.h>
src/auth/userlist.c read()'

columns_max=110
# Tables of expectations in tests are read line by line.
table_columns_max=160

sources=$(find src include -name '*.[ch]' | sort)
tests=$(find tests -name '*.[ch]' | sort)
status=0

# Layer and purity of src/<layer>/ and include/<layer>/. Comments and literals are taken out
# before calls are looked for; an #include is read from the line as it is.
check_layers() {
	awk -v layers="$layers" -v pure_layers="$pure_layers" -v exceptions="$exceptions" '
	BEGIN {
		count = split(layers, names, /[ \t\n]+/)
		for (i = 1; i <= count; i++)
			rank[names[i]] = i
		count = split(pure_layers, names, /[ \t\n]+/)
		for (i = 1; i <= count; i++)
			pure[names[i]] = 1
		count = split(exceptions, names, /\n/)
		for (i = 1; i <= count; i++)
			excepted[names[i]] = 1
		io_header = "^(<(sys/socket|sys/epoll|sys/select|poll|netdb|libpq-fe)[.]h>|" \
			"\"base/log[.]h\"|[<\"]event2/.*)$"
		io_call = "(^|[^A-Za-z0-9_])(socket|bind|listen|accept4?|connect|shutdown|" \
			"send|sendto|sendmsg|recv|recvfrom|recvmsg|read|readv|write|writev|" \
			"poll|select|epoll_wait|getaddrinfo|v?f?printf|puts|perror|syslog)" \
			"[ \t]*[(]"
	}
	function fault(what) {
		printf "%s:%d: %s\n", FILENAME, FNR, what
		found = 1
	}
	# The line without literals and comments; in_comment goes on from line to line.
	function code_of(line,    end) {
		if (in_comment) {
			end = index(line, "*/")
			if (end == 0)
				return ""
			line = substr(line, end + 2)
			in_comment = 0
		}
		gsub(/\\\\/, "", line)
		gsub(/\\["\047]/, "", line)
		gsub(/\047"\047/, "", line)
		gsub(/"[^"]*"/, "\"\"", line)
		gsub(/\/\*([^*]|\*+[^*\/])*\*+\//, " ", line)
		sub(/\/\/.*/, "", line)
		if ((end = index(line, "/*")) > 0) {
			line = substr(line, 1, end - 1)
			in_comment = 1
		}
		return line
	}
	FNR == 1 {
		split(FILENAME, path, "/")
		layer = path[2]
		in_comment = 0
		if (!(layer in rank))
			fault("layer \"" layer "\" is not in the list of layers")
	}
	/^[ \t]*#[ \t]*include/ {
		header = $0
		sub(/^[ \t]*#[ \t]*include[ \t]*/, "", header)
		sub(/[ \t]*(\/\*.*)?$/, "", header)
		if (header ~ /^"[^"\/]+\/[^"]*"$/) {
			target = substr(header, 2, index(header, "/") - 2)
			if (!(target in rank))
				fault("includes " header ", which is in no layer")
			else if (layer in rank && rank[target] > rank[layer])
				fault("layer " layer " must not include " header)
		}
		if (layer in pure && header ~ io_header && !((FILENAME " " header) in excepted))
			fault("pure layer " layer " must not include " header)
		next
	}
	layer in pure {
		code = code_of($0)
		if (match(code, io_call)) {
			call = substr(code, RSTART, RLENGTH)
			gsub(/[^A-Za-z0-9_]/, "", call)
			if (!((FILENAME " " call "()") in excepted))
				fault("pure layer " layer " must not call " call "()")
		}
	}
	END { exit found }' $sources
}

check_width() {
	awk -v columns="$columns_max" -v table_columns="$table_columns_max" '
	FNR == 1 {
		max = FILENAME ~ /^tests\// ? table_columns : columns
	}
	length($0) * 8 > max {
		width = 0
		count = split($0, parts, "\t")
		for (i = 1; i <= count; i++) {
			gsub(/[\200-\277]/, "", parts[i]) # the rest of a UTF-8 character
			width += length(parts[i])
			if (i < count)
				width += 8 - width % 8
		}
		if (width > max) {
			printf "%s:%d: %d columns, at most %d\n", FILENAME, FNR, width, max
			found = 1
		}
	}
	END { exit found }' $sources $tests
}

# Each header by itself, then each source file: two at a time, each with its own messages.
check_compile() {
	local flags
	flags="-std=gnu11 -D_GNU_SOURCE -Iinclude -Itests/unit -Itests/support
		-fsyntax-only -Wall -Wextra -Wshadow
		-Wmissing-prototypes -Wstrict-prototypes -Wpointer-arith -Wwrite-strings -Wformat=2
		-Werror $(pkg-config --cflags libevent libevent_pthreads libconfig jansson \
			libxxhash openssl libidn libpq check)" || return 1
	export flags
	echo $sources $tests | tr ' ' '\n' | xargs -P 2 -n 1 bash -c '
		case $1 in
		*.h) set -- "$1" -include "$1" -x c /dev/null ;;
		*) set -- "$1" "$1" ;;
		esac
		shift
		exec ${CC:-cc} $flags "$@"' lint
}

check_layers || status=1
check_width || status=1
if [ "${1:-}" != text ]; then
	check_compile || status=1
fi
exit $status
