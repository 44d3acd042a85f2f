#!/usr/bin/env bash
# A primary (port 7432), two replicas (7433, 7434) and the proxy (6432) in front of them, all under
# build/demo; shows where statements go and why, and checks every line that it shows.
#
#	tests/support/demo.sh		keeps running until Ctrl-C
#	ONCE=1 tests/support/demo.sh	ends by itself, with status 0 when all lines were right
#
# `make demo` installs and builds first, then runs this. Needs PostgreSQL 15 or later; as root the
# servers run as user postgres. Everything is removed at the end.
set -euo pipefail

cd "$(dirname "$0")/../.."
program=${POINTSMAN:-build/pointsman}
proxy_port=6432
names=(primary replica1 replica2)
ports=(7432 7433 7434)
state=$PWD/build/demo
bin=
proxy_pid=
wrong=0

die()
{
	echo "demo: $*" >&2
	exit 1
}

# --- colours, for people only

bold= dim= red= plain=
if [ -t 1 ] && [ "${TERM:-dumb}" != dumb ]; then
	bold=$'\e[1m' dim=$'\e[2m' red=$'\e[31m' plain=$'\e[0m'
fi

title()
{
	printf '\n%s%s%s\n' "$bold" "$1" "$plain"
}

# --- the servers

# The newest PostgreSQL from 15 on.
find_programs()
{
	local dir version best=14
	for dir in /usr/lib/postgresql/*/bin; do
		version=${dir#/usr/lib/postgresql/}
		version=${version%%/*}
		if [[ $version =~ ^[0-9]+$ ]] && [ "$version" -gt "$best" ] && [ -x "$dir/initdb" ]; then
			best=$version bin=$dir
		fi
	done
	if [ -z "$bin" ] && command -v pg_config >/dev/null; then
		bin=$(pg_config --bindir)
	fi
	[ -x "$bin/initdb" ] || die "PostgreSQL 15 or later is not installed: run \"make deps\""
}

as_server_user()
{
	if [ "$(id -u)" -eq 0 ]; then
		(cd / && setpriv --reuid=postgres --regid=postgres --init-groups "$@")
	else
		"$@"
	fi
}

# build/demo, or a directory in /tmp when the servers' user cannot get there or the name is too
# long for a unix socket.
make_state_directory()
{
	mkdir -p "$state"
	if [ "$(id -u)" -eq 0 ]; then
		chown postgres "$state"
	fi
	if [ ${#state} -gt 85 ] || ! as_server_user test -w "$state"; then
		rmdir "$state"
		state=$(mktemp -d /tmp/pointsman-demo.XXXXXX)
		chmod 755 "$state"
		if [ "$(id -u)" -eq 0 ]; then
			chown postgres "$state"
		fi
	fi
}

# A demo that was killed may have left its servers running.
remove_leftovers()
{
	local name
	for name in "${names[@]}"; do
		if [ -e "$state/$name/postmaster.pid" ]; then
			as_server_user "$bin/pg_ctl" -s -D "$state/$name" -m immediate stop || true
		fi
	done
	rm -rf "$state"
}

check_port()
{
	if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then
		die "port $1 is in use, and the demo needs it"
	fi
}

# start_node index
start_node()
{
	local data=$state/${names[$1]}
	cat >>"$data/postgresql.conf" <<-END
		listen_addresses = '127.0.0.1'
		port = ${ports[$1]}
		unix_socket_directories = '$state'
		cluster_name = '${names[$1]}'
		node.name = '${names[$1]}'
		fsync = off
		wal_level = replica
		hot_standby_feedback = on
		wal_receiver_status_interval = '1s'
	END
	as_server_user "$bin/pg_ctl" -s -w -D "$data" -l "$data.log" start ||
		{ cat "$data.log" >&2; die "${names[$1]} does not start"; }
}

# on index sql...: as superuser, straight to a server
on()
{
	local port=${ports[$1]}
	shift
	"$bin/psql" -X -A -t -q -v ON_ERROR_STOP=1 -h "$state" -p "$port" -U postgres -d "$database" \
		-c "$@"
}

start_servers()
{
	local database=postgres i
	as_server_user "$bin/initdb" -D "$state/primary" -U postgres -A trust --locale=C -E UTF8 \
		--no-sync >"$state/initdb.log"
	cat >"$state/primary/pg_hba.conf" <<-END
		local all         postgres              trust
		local replication postgres              trust
		host  all         all      127.0.0.1/32 scram-sha-256
	END
	start_node 0
	on 0 "CREATE ROLE app LOGIN PASSWORD 'demo'"
	on 0 "CREATE ROLE monitor LOGIN PASSWORD 'demo' IN ROLE pg_monitor"
	on 0 "CREATE DATABASE app OWNER app"
	for i in 1 2; do
		as_server_user "$bin/pg_basebackup" -h "$state" -p "${ports[0]}" -U postgres \
			-D "$state/${names[$i]}" -R -c fast --no-sync
		start_node "$i"
	done
}

load_table()
{
	local database=app lsn i
	on 0 "SET ROLE app;
		CREATE TABLE account (id serial PRIMARY KEY, owner text, balance int);
		INSERT INTO account (owner, balance) SELECT 'owner ' || n, 100 FROM generate_series(1, 100) n"
	lsn=$(on 0 "SELECT pg_current_wal_flush_lsn()")
	for i in 1 2; do
		wait_until "${names[$i]} has caught up" \
			"[ \"\$(on $i \"SELECT pg_last_wal_replay_lsn() >= '$lsn'\")\" = t ]"
	done
}

# wait_until what condition
wait_until()
{
	local try
	for ((try = 0; try < 1000; try++)); do
		if eval "$2"; then
			return
		fi
		sleep 0.02
	done
	die "waited in vain until $1"
}

# --- the proxy

write_configuration()
{
	mkdir -p "$state/proxy"
	printf '"app" "demo"\n' >"$state/proxy/userlist.txt"
	cat >"$state/proxy/proxy.conf" <<-END
		listen = ({ address = "127.0.0.1"; port = $proxy_port; });
		admin = { socket_dir = "$state/proxy"; port = $proxy_port; };
		auth = { type = "scram-sha-256"; file = "userlist.txt"; };
		clusters = ({
		  name = "demo";
		  nodes = ({ name = "primary"; host = "127.0.0.1"; port = ${ports[0]}; },
		           { name = "replica1"; host = "127.0.0.1"; port = ${ports[1]}; },
		           { name = "replica2"; host = "127.0.0.1"; port = ${ports[2]}; });
		  monitor = { user = "monitor"; password = "demo"; interval = "500ms"; };
		});
		databases = ({ name = "app"; cluster = "demo"; split = "auto"; });
	END
}

# psql as the application, through the proxy
through_proxy()
{
	PGPASSWORD=demo PGOPTIONS=${options:-} "$bin/psql" -X -A -t -q -h 127.0.0.1 -p $proxy_port \
		-U app -d app "$@"
}

console()
{
	"$bin/psql" -X -h "$state/proxy" -p $proxy_port -U pgbouncer -d pgbouncer "$@"
}

proxy_is_ready()
{
	kill -0 "$proxy_pid" 2>/dev/null ||
		{ cat "$state/proxy/proxy.log" >&2; die "the proxy ended"; }
	through_proxy -c 'SELECT 1' >/dev/null 2>&1 &&
		[ "$(console -A -t -c 'SHOW NODES' 2>/dev/null | grep -c '|up|')" -eq 3 ]
}

start_proxy()
{
	write_configuration
	"$program" -c "$state/proxy/proxy.conf" >"$state/proxy/proxy.log" 2>&1 &
	proxy_pid=$!
	wait_until "the proxy answers and knows its three nodes" proxy_is_ready
}

clean_up()
{
	trap '' INT TERM
	if [ -n "$proxy_pid" ]; then
		kill -QUIT "$proxy_pid" 2>/dev/null || true
		wait "$proxy_pid" 2>/dev/null || true
	fi
	remove_leftovers
}

# --- showing and checking

row()
{
	local mark='' node=$1 why=$2 sql=$3
	if [ -n "$4" ]; then
		mark="   $red<-- expected $4$plain"
		wrong=$((wrong + 1))
	fi
	printf '  %-9s %-22s %s%s\n' "$node" "$why" "$sql" "$mark"
}

# Runs a session: each argument is "node why statement", where node and why are patterns of what is
# expected. A statement that returns a row says with its first column which server really ran it.
# Statements that the proxy answers itself have node "-": they are no requests, and change
# neither last_node nor last_route.
session()
{
	local script='' step node why sql
	for step in "$@"; do
		read -r node why sql <<<"$step"
		script+="\\echo @sql"$'\n'"$sql;"$'\n'
		script+="\\echo @node"$'\n'"SHOW pointsman.last_node;"$'\n'
		script+="\\echo @why"$'\n'"SHOW pointsman.last_route;"$'\n'
	done
	local output
	output=$(through_proxy <<<"$script" 2>&1) || true
	for step in "$@"; do
		read -r node why sql <<<"$step"
		output=${output#*@sql}
		check_step "${output%%@sql*}"
	done
}

# Looks at what psql printed for one statement; uses session()'s variables.
check_step()
{
	local answer=${1%%@node*} got_node got_why expected=''
	answer=$(sed '/^$/d; s/|.*//; q' <<<"${answer#$'\n'}")
	got_node=${1#*@node}
	got_node=$(sed '/^$/d' <<<"${got_node%%@why*}")
	got_why=$(sed '/^$/d' <<<"${1##*@why}")
	if [[ $answer == ERROR:* ]]; then
		expected="no error, but: $answer"
	elif [ "$node" = - ]; then
		got_node=- got_why='(the proxy itself)'
	elif ! [[ $got_node =~ ^($node)$ ]]; then
		expected="node $node"
	elif [ -n "$answer" ] && [ "$answer" != "$got_node" ]; then
		expected="the server to be the same, but it is $answer"
	elif ! [[ $got_why =~ ^($why)$ ]]; then
		expected="reason $why"
	fi
	row "$got_node" "$got_why" "$sql" "$expected"
}

replica='replica[12]'
me="current_setting('node.name')"

show_reads_and_writes()
{
	title 'Reads go to a replica, everything else to the primary'
	session \
		"$replica read SELECT $me, balance FROM account WHERE id = 1" \
		"primary write INSERT INTO account (owner, balance) VALUES ('new', 0) RETURNING $me" \
		"primary write UPDATE account SET balance = balance + 1 WHERE id = 1 RETURNING $me" \
		"primary lock SELECT $me FROM account WHERE id = 1 FOR UPDATE" \
		"primary write WITH d AS (DELETE FROM account WHERE id = 100 RETURNING id) SELECT $me FROM d" \
		"primary volatile_function SELECT $me, nextval('account_id_seq')"
}

show_hints()
{
	title 'Hints: a comment for a statement, SET for the session'
	session \
		"primary hint_primary SELECT /* pointsman: read_hint=primary */ $me" \
		"$replica hint_replica SELECT /* pointsman: read_hint=replica */ $me" \
		"$replica hint_stale SELECT /* pointsman: read_hint=stale-allowed, max_staleness=5s */ $me" \
		"- - SET pointsman.read_hint = 'primary'" \
		"primary hint_primary SELECT $me" \
		"- - RESET pointsman.read_hint" \
		"$replica read SELECT $me"
	title 'The same in the start-up options of a connection: -c pointsman.read_hint=primary'
	options='-c pointsman.read_hint=primary' session \
		"primary hint_primary SELECT $me, balance FROM account WHERE id = 2"
}

show_transactions()
{
	title 'A transaction stays on the primary'
	session \
		"primary transaction BEGIN" \
		"primary in_transaction SELECT $me, balance FROM account WHERE id = 3" \
		"primary in_transaction UPDATE account SET balance = balance - 10 WHERE id = 3 RETURNING $me" \
		"primary in_transaction SELECT $me, balance FROM account WHERE id = 3" \
		"primary in_transaction COMMIT"
	title 'A read-only transaction stays on one replica'
	session \
		"$replica transaction_read_only BEGIN READ ONLY" \
		"$replica in_transaction SELECT $me, count(*) FROM account" \
		"$replica in_transaction SELECT $me, sum(balance) FROM account" \
		"$replica in_transaction COMMIT"
}

show_spread()
{
	local i count1 count2 nodes=''
	title 'Forty sessions with one read each'
	for ((i = 0; i < 40; i++)); do
		nodes+=$(through_proxy -c "SELECT $me FROM account WHERE id = $i + 1")$'\n'
	done
	count1=$(grep -cx replica1 <<<"$nodes" || true)
	count2=$(grep -cx replica2 <<<"$nodes" || true)
	printf '  %-9s %d\n  %-9s %d\n' replica1 "$count1" replica2 "$count2"
	if [ $((count1 + count2)) -ne 40 ] || [ "$count1" -eq 0 ] || [ "$count2" -eq 0 ]; then
		printf '  %s<-- expected both, and nothing else%s\n' "$red" "$plain"
		wrong=$((wrong + 1))
	fi
}

sleeping()
{
	local database=app
	on "$1" "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%'
		AND state = 'active' AND pid <> pg_backend_pid()"
}

now_ms()
{
	echo $(($(date +%s%N) / 1000000))
}

# show_cancel index hint
show_cancel()
{
	local i running=0 psql_pid began took expected=''
	local sql="SELECT /* pointsman: read_hint=$2 */ pg_sleep(60)"
	# Without a shell in between: the signal is for psql.
	PGPASSWORD=demo "$bin/psql" -X -h 127.0.0.1 -p $proxy_port -U app -d app -c "$sql" \
		>"$state/cancel.out" 2>&1 &
	psql_pid=$!
	for ((i = 0; i < 500 && running == 0; i++)); do
		for node in $1; do
			running=$(sleeping "$node")
			[ "$running" -eq 0 ] || break
		done
		sleep 0.02
	done
	began=$(now_ms)
	kill -INT "$psql_pid"
	wait "$psql_pid" || true
	took=$(($(now_ms) - began))
	if [ "$running" -eq 0 ]; then
		expected='to see it run'
	elif ! grep -q 'cancel' "$state/cancel.out"; then
		expected="an error that says so, but: $(cat "$state/cancel.out")"
	elif [ "$took" -gt 2000 ]; then
		expected='2 seconds at most'
	fi
	wait_until "the server has ended the statement" "[ \"\$(sleeping $node)\" -eq 0 ]"
	row "${names[$node]}" "cancelled in $took ms" "$sql" "$expected"
}

show_cancels()
{
	title 'Ctrl-C in psql: the cancel request finds the server that runs the statement'
	show_cancel 0 primary
	show_cancel '1 2' replica
}

show_nodes()
{
	console -A -P footer=off -c 'SHOW NODES' | awk -F '|' '
		NR == 1 { for (i = 1; i <= NF; i++) column[$i] = i }
		{ printf "  %-9s %-5s %-8s %-6s %-10s %s\n", $column["name"], $column["port"],
			$column["role"], $column["state"], $column["lsn"], $column["staleness_ms"] }'
}

# --- the whole

[ -x "$program" ] || die "$program is not there: run \"make\""
find_programs
remove_leftovers
for port in $proxy_port "${ports[@]}"; do
	check_port "$port"
done
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
make_state_directory

echo "Starting a primary (port ${ports[0]}), two replicas (${ports[1]}, ${ports[2]}) and the proxy ($proxy_port) in $state"
start_servers
load_table
start_proxy

printf '\n  %s%-9s %-22s %s%s\n' "$dim" node why statement "$plain"
show_reads_and_writes
show_hints
show_transactions
show_spread
show_cancels

title 'What the console says: SHOW NODES, some of its columns'
show_nodes

if [ "$wrong" -gt 0 ]; then
	printf '%d lines are not as expected. The log of the proxy:\n\n' "$wrong"
	tail -n 40 "$state/proxy/proxy.log"
	exit 1
fi
if [ -n "${ONCE:-}" ]; then
	echo 'All as expected.'
	exit 0
fi
cat <<END
It keeps running until Ctrl-C. Try in another terminal:

  psql 'host=127.0.0.1 port=$proxy_port user=app password=demo dbname=app'     the application's view
  psql 'host=$state/proxy port=$proxy_port user=pgbouncer dbname=pgbouncer'   the console: SHOW HELP;
  tail -f $state/proxy/proxy.log
END
wait "$proxy_pid" || true
die "the proxy ended"
