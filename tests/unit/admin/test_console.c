/*
 * admin/console with everything behind it: a client on a socket pair, the control loop, and real
 * workers that have no servers to connect to. What the client gets is written down as a
 * transcript: one item for each message, "T(columns) D(values) C(tag) E(sqlstate message)
 * Z(status)".
 */

#include "admin/console.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/version.h"
#include "config/load.h"
#include "net/conn.h"
#include "unit.h"
#include "wire/build.h"
#include "wire/cursor.h"
#include "wire/error.h"
#include "wire/frame.h"
#include "wire/message.h"

static const char configuration[] =
	"listen = ({ address = \"127.0.0.1\"; }); workers = 2; auth = { type = \"trust\"; };\n"
	"admin = { users = (\"admin\"); stats_users = (\"stats\"); };\n"
	"clusters = ({ name = \"main\"; nodes = ({ name = \"a\"; host = \"h1\"; },\n"
	"                                         { name = \"b\"; host = \"h2\"; port = 5433; "
	"}); });\n"
	"databases = ({ name = \"app\"; cluster = \"main\"; default_pool_size = 7; },\n"
	"             { name = \"other\"; cluster = \"main\"; dbname = \"elsewhere\"; });\n";

static struct loop *loop;
static struct snapshot *snapshot;
static struct fleet *fleet;
static struct console *console;
static int client; /* our end */
static struct bytes received;

/* --- the daemon's part --- */

static struct {
	int reloads;
	bool is_reload_wrong;
	char set[128];
	int shutdowns;
	enum console_shutdown how;
} daemon_saw;

static bool hook_reload(void *context, struct bytes *error_out)
{
	(void)context;
	daemon_saw.reloads++;
	if (daemon_saw.is_reload_wrong)
		bytes_append_text(error_out, "file:1: wrong\nfile:2: wrong too\n");
	return !daemon_saw.is_reload_wrong;
}

static bool hook_set(void *context, const char *name, const char *value, char *error_out,
		     size_t error_size)
{
	(void)context;
	snprintf(daemon_saw.set, sizeof(daemon_saw.set), "%s=%s", name, value);
	if (strcmp(name, "wrong") != 0)
		return true;
	snprintf(error_out, error_size, "there is no option \"%s\"", name);
	return false;
}

static void hook_shutdown(void *context, enum console_shutdown how)
{
	(void)context;
	daemon_saw.shutdowns++;
	daemon_saw.how = how;
}

static const struct console_hooks hooks = { .reload = hook_reload,
					    .set = hook_set,
					    .shutdown = hook_shutdown };

static struct topology *make_topology(void)
{
	static const size_t counts[] = { 2 };
	struct topology *topology = topology_create(1, counts);
	struct cluster *cluster = &topology->clusters[0];

	cluster->name = topology_string(topology, "main");
	cluster->primary = -1;
	cluster->nodes[0].name = topology_string(topology, "a");
	cluster->nodes[0].host = topology_string(topology, "h1");
	cluster->nodes[0].zone = topology_string(topology, "");
	cluster->nodes[0].port = 5432;
	cluster->nodes[0].role = NODE_ROLE_PRIMARY;
	cluster->nodes[0].lsn = 0x1200000034;
	cluster->nodes[1].name = topology_string(topology, "b");
	cluster->nodes[1].host = topology_string(topology, "h2");
	cluster->nodes[1].zone = topology_string(topology, "z2");
	cluster->nodes[1].port = 5433;
	cluster->nodes[1].lag = -1;
	snprintf(cluster->nodes[1].why, sizeof(cluster->nodes[1].why), "no\nanswer");
	return topology;
}

static struct snapshot *make_snapshot(void)
{
	struct bytes errors = { 0 };
	struct snapshot *made = calloc(1, sizeof(*made));

	ck_assert_ptr_nonnull(made);
	made->references = 1;
	made->config =
		config_load_text("/etc/test.conf", configuration, strlen(configuration), &errors);
	ck_assert_msg(made->config != NULL, "%.*s", (int)bytes_length(&errors),
		      (const char *)bytes_begin(&errors));
	bytes_free(&errors);
	return made;
}

static void set_up(void)
{
	static const struct fleet_hooks fleet_hooks;
	struct topology *topology = make_topology();

	log_set_level(LOG_LEVEL_ERROR);
	memset(&daemon_saw, 0, sizeof(daemon_saw));
	loop = loop_create();
	snapshot = make_snapshot();
	fleet = fleet_create(loop, snapshot, topology, &fleet_hooks);
	topology_unref(&topology);
	ck_assert_ptr_nonnull(fleet);
	console = console_create(loop, fleet, &hooks);
	ck_assert_ptr_nonnull(console);
	ck_assert(fleet_start(fleet));
	client = -1;
}

static void tear_down(void)
{
	fleet_destroy(&fleet);
	console_destroy(&console);
	snapshot_unref(&snapshot);
	if (client != -1)
		close(client);
	for (int i = 0; i < 3; i++)
		loop_run_once(loop, false); /* connections that linger see the end */
	loop_destroy(&loop);
	bytes_free(&received);
}

/* --- the client's part --- */

static int make_pair(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	client = pair[1];
	return pair[0];
}

static void say(const void *data, size_t length)
{
	ck_assert_int_eq(send(client, data, length, MSG_NOSIGNAL), (ssize_t)length);
}

static void say_message(struct bytes *message)
{
	ck_assert(!message->failed);
	say(bytes_begin(message), bytes_length(message));
	bytes_free(message);
}

/* Reads what is there; false at the end of the connection. */
static bool hear(void)
{
	char part[65536];
	ssize_t got;

	while ((got = recv(client, part, sizeof(part), 0)) > 0)
		ck_assert(bytes_append(&received, part, (size_t)got));
	ck_assert(got == 0 || errno == EAGAIN || errno == ECONNRESET);
	return got == -1 && errno == EAGAIN;
}

static int count_ready(void)
{
	size_t at = 0;
	int count = 0;
	struct frame frame;

	while (frame_peek(bytes_begin(&received) + at, bytes_length(&received) - at,
			  FRAME_BODY_MAX, &frame) == FRAME_OK &&
	       frame_is_whole(&frame)) {
		count += frame.type == MSG_B_READY;
		at += frame_size(&frame);
	}
	return count;
}

/* Serves until so many ReadyForQuery have come; then more is not to be expected. */
static void wait_ready(int count)
{
	while (count_ready() < count) {
		ck_assert_msg(hear(), "the console has closed the connection");
		if (count_ready() < count)
			loop_run_once(loop, true);
	}
}

static void wait_closed(void)
{
	while (hear())
		loop_run_once(loop, true);
}

/* --- transcripts --- */

static void print_row_description(struct cursor *c, char *out, size_t size)
{
	uint16_t n = cursor_u16(c);
	size_t used = 0;

	for (uint16_t i = 0; i < n; i++) {
		const char *name = cursor_string(c);
		uint32_t oid;

		cursor_bytes(c, 6);
		oid = cursor_u32(c);
		cursor_bytes(c, 6);
		used += (size_t)snprintf(out + used, size - used, "%s%s:%u:%u", i ? " " : "",
					 name, oid, cursor_u16(c));
	}
}

static void print_row(struct cursor *c, char *out, size_t size)
{
	uint16_t n = cursor_u16(c);
	size_t used = 0;

	for (uint16_t i = 0; i < n; i++) {
		uint32_t length = cursor_u32(c);
		const char *value =
			length == UINT32_MAX ? "NULL" : (const char *)cursor_bytes(c, length);

		used += (size_t)snprintf(out + used, size - used, "%s%.*s", i ? "|" : "",
					 length == UINT32_MAX ? 4 : (int)length, value);
	}
}

static void print_frame(const struct frame *frame, char *out, size_t size)
{
	struct wire_error error;
	struct cursor c;

	cursor_init(&c, frame->body, frame->body_length);
	out[0] = '\0';
	switch (frame->type) {
	case MSG_B_ROW_DESCRIPTION: print_row_description(&c, out, size); return;
	case MSG_B_DATA_ROW: print_row(&c, out, size); return;
	case MSG_B_COMMAND_COMPLETE: snprintf(out, size, "%s", cursor_string(&c)); return;
	case MSG_B_READY: snprintf(out, size, "%c", cursor_u8(&c)); return;
	case MSG_B_AUTHENTICATION: snprintf(out, size, "%u", cursor_u32(&c)); return;
	case MSG_B_PARAMETER_DESCRIPTION: snprintf(out, size, "%u", cursor_u16(&c)); return;
	case MSG_B_ERROR:
	case MSG_B_NOTICE:
		ck_assert(wire_error_parse(frame->body, frame->body_length, &error));
		snprintf(out, size, "%s %s", error.sqlstate, error.message);
		return;
	default: return;
	}
}

/* What was received since the last call; messages of type S and K are left out. */
static const char *transcript(void)
{
	static char out[65536];
	char text[8192];
	size_t used = 0;
	struct frame frame;

	out[0] = '\0';
	while (frame_peek(bytes_begin(&received), bytes_length(&received), FRAME_BODY_MAX,
			  &frame) == FRAME_OK) {
		ck_assert(frame_is_whole(&frame));
		print_frame(&frame, text, sizeof(text));
		if (frame.type != MSG_B_PARAMETER_STATUS && frame.type != MSG_B_BACKEND_KEY_DATA)
			used += (size_t)snprintf(out + used, sizeof(out) - used,
						 text[0] ? "%s%c(%s)" : "%s%c", used ? " " : "",
						 frame.type, text);
		bytes_consume(&received, frame_size(&frame));
	}
	ck_assert_uint_eq(bytes_length(&received), 0);
	return out;
}

/* --- logging in --- */

static void say_startup(const char *user)
{
	const char *const params[] = { "user", user, "database", "pgbouncer" };
	struct bytes message = { 0 };

	build_startup(&message, 0, params, 2);
	say_message(&message);
}

static void log_in(void)
{
	console_accept(console, make_pair());
	say_startup("me");
	wait_ready(1);
	ck_assert_str_eq(transcript(), "R(0) Z(I)");
}

/* As on the main port: another loop has done the log-in. */
static void log_in_as(const char *user)
{
	static const struct conn_handler nobody;
	struct loop *other = loop_create();
	struct conn *conn = conn_create(other, make_pair(), &nobody, NULL);

	ck_assert_ptr_nonnull(conn);
	build_auth_request(conn_out(conn), AUTH_REQ_OK, NULL, 0);
	conn_detach(conn);
	loop_destroy(&other);
	console_adopt(console, conn, user, "pgbouncer", "127.0.0.1", 1234);
	wait_ready(1);
	ck_assert_str_eq(transcript(), "R(0) Z(I)");
}

static void say_query(const char *sql)
{
	struct bytes message = { 0 };

	build_query(&message, sql, strlen(sql));
	say_message(&message);
}

static const char *query(const char *sql)
{
	say_query(sql);
	wait_ready(1);
	return transcript();
}

static void query_must_end(const char *sql, const char *expected)
{
	const char *got = query(sql);
	size_t length = strlen(expected);

	ck_assert_msg(strlen(got) >= length && strcmp(got + strlen(got) - length, expected) == 0,
		      "%s: %s", sql, got);
}

/* --- simple queries --- */

#define VERSION "T(version:25:0) D(Pointsman " POINTSMAN_VERSION ") C(SHOW)"
#define BAD     "E(42601 invalid command 'bad', use SHOW HELP;)"

static const struct {
	const char *sql;
	const char *answer;
} simple[] = {
	{ "SHOW VERSION", VERSION " Z(I)" },
	{ "show version;", VERSION " Z(I)" },
	{ "SHOW VERSION; SHOW VERSION;", VERSION " " VERSION " Z(I)" },
	{ "", "I Z(I)" },
	{ " ; -- nothing\n ;", "I Z(I)" },
	{ "bad", BAD " Z(I)" },
	{ "SHOW VERSION; bad; SHOW VERSION", VERSION " " BAD " Z(I)" },
	{ "SHOW VERSION; 'x", VERSION " E(42601 unterminated quote or comment) Z(I)" },
	{ "SHOW bad", "E(42601 invalid command 'SHOW bad', use SHOW HELP;) Z(I)" },
	{ "SHOW client_encoding", "T(client_encoding:25:0) D(UTF8) C(SHOW) Z(I)" },
	{ "SHOW DateStyle", "T(DateStyle:25:0) D(ISO, MDY) C(SHOW) Z(I)" },
	{ "SHOW TIME ZONE", "T(TimeZone:25:0) D(UTC) C(SHOW) Z(I)" },
	{ "SELECT 1", "T(?column?:23:0) D(1) C(SELECT 1) Z(I)" },
	{ "SELECT 'it''s'", "T(?column?:25:0) D(it's) C(SELECT 1) Z(I)" },
	{ "SELECT current_user", "T(current_user:25:0) D(me) C(SELECT 1) Z(I)" },
	{ "SELECT current_database()", "T(current_database:25:0) D(pgbouncer) C(SELECT 1) Z(I)" },
	{ "SELECT pg_is_in_recovery()", "T(pg_is_in_recovery:16:0) D(f) C(SELECT 1) Z(I)" },
	{ "BEGIN; SHOW VERSION; COMMIT", "C(BEGIN) " VERSION " C(COMMIT) Z(I)" },
	{ "BEGIN", "C(BEGIN) Z(T)" },
	{ "START TRANSACTION READ ONLY; ROLLBACK", "C(START TRANSACTION) C(ROLLBACK) Z(I)" },
	{ "SET application_name = 'x'; SHOW application_name",
	  "C(SET) T(application_name:25:0) D(x) C(SHOW) Z(I)" },
	{ "SET application_name = 'a\nb'; SHOW application_name",
	  "C(SET) T(application_name:25:0) D(a?b) C(SHOW) Z(I)" },
	{ "SHOW STATE", "T(key:25:0 value:25:0) D(active|yes) D(paused|no) D(suspended|no) "
			"C(SHOW) Z(I)" },
	{ "SHOW PEERS", "T(peer_id:23:0 host:25:0 port:23:0 pool_size:23:0) C(SHOW) Z(I)" },
	{ "SUSPEND", "E(0A000 pointsman: SUSPEND is not supported; see PAUSE) Z(I)" },
	{ "KILL_CLIENT 1", "E(22023 client not found) Z(I)" },
	{ "KILL_CLIENT 0x1f", "E(22023 client not found) Z(I)" },
	{ "KILL_CLIENT 99999999999999999999", "E(22023 invalid client id: "
					      "99999999999999999999) Z(I)" },
	{ "KILL_CLIENT -1", "E(22023 invalid client id: -1) Z(I)" },
	{ "KILL_CLIENT 0x", "E(22023 invalid client id: 0x) Z(I)" },
	{ "PAUSE pgbouncer", "E(42501 cannot pause admin db: pgbouncer) Z(I)" },
	{ "DEALLOCATE x", "E(26000 prepared statement \"x\" does not exist) Z(I)" },
	{ "PAUSE nonsense", "E(3D000 no such database: nonsense) Z(I)" },
	{ "RESUME app", "E(55000 database app is not paused) Z(I)" },
	{ "RESUME", "E(55000 pooler is not paused/suspended) Z(I)" },
	{ "PAUSE app; PAUSE app", "C(PAUSE) E(55000 database app is already paused) Z(I)" },
	{ "PAUSE app; RESUME app; RESUME app",
	  "C(PAUSE) C(RESUME) E(55000 database app is not paused) Z(I)" },
	{ "PAUSE; PAUSE", "C(PAUSE) E(55000 already suspended/paused) Z(I)" },
	{ "PAUSE; RESUME; RESUME",
	  "C(PAUSE) C(RESUME) E(55000 pooler is not paused/suspended) Z(I)" },
	{ "KILL app; RESUME app", "C(KILL) C(RESUME) Z(I)" },
	{ "KILL; RESUME", "C(KILL) C(RESUME) Z(I)" },
	{ "DISABLE \"app\"; ENABLE \"app\"", "C(DISABLE) C(ENABLE) Z(I)" },
	{ "RECONNECT; RECONNECT app; WAIT_CLOSE; WAIT_CLOSE app",
	  "C(RECONNECT) C(RECONNECT) C(WAIT_CLOSE) C(WAIT_CLOSE) Z(I)" },
};

START_TEST(answers_queries)
{
	log_in();
	ck_assert_str_eq(query(simple[_i].sql), simple[_i].answer);
}
END_TEST

/* The same text, a byte at a time. */
START_TEST(answers_bytes)
{
	struct bytes message = { 0 };

	log_in();
	build_query(&message, "SHOW VERSION", strlen("SHOW VERSION"));
	for (size_t i = 0; i < bytes_length(&message); i++) {
		say(bytes_begin(&message) + i, 1);
		loop_run_once(loop, true);
	}
	bytes_free(&message);
	wait_ready(1);
	ck_assert_str_eq(transcript(), VERSION " Z(I)");
}
END_TEST

/* Every table can be shown, from an empty proxy. */
START_TEST(shows_all)
{
	static const char *const names[] = {
		"CONFIG",    "DATABASES",      "POOLS",          "CLIENTS",
		"SERVERS",   "SOCKETS",        "USERS",          "LISTS",
		"STATS",     "TOTALS",         "STATE",          "MEM",
		"NODES",     "ROUTES",         "CHAIN",          "HBA",
		"PINS",      "CANCELS",        "PEERS",          "FDS",
		"DNS_HOSTS", "STATS_AVERAGES", "DNS_ZONES",      "PEER_POOLS",
		"VERSION",   "STATS_TOTALS",   "ACTIVE_SOCKETS", "PIN_REASONS",
		"PREPARED",
	};
	char sql[64];

	log_in();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(sql, sizeof(sql), "SHOW %s", names[i]);
		query_must_end(sql, "C(SHOW) Z(I)");
	}
}
END_TEST

START_TEST(shows_databases)
{
	const char *got;

	log_in();
	got = query("DISABLE other; PAUSE app; SHOW DATABASES");
	ck_assert_ptr_nonnull(strstr(got,
				     "D(app|h1|5432|app|NULL|7|0|0|3600|transaction|NULL|0|0|"
				     "0|0|1|0|main|2|"));
	ck_assert_ptr_nonnull(strstr(got,
				     "D(other|h1|5432|elsewhere|NULL|20|0|0|3600|transaction|"
				     "NULL|0|0|0|0|0|1|main|2|"));
}
END_TEST

START_TEST(shows_nodes)
{
	const char *got;

	log_in();
	got = query("SHOW NODES");
	ck_assert_ptr_nonnull(strstr(got,
				     "D(main|a|h1|5432|primary|unprobed|0||12/34|0|NULL|NULL|"
				     "NULL|0|0|0|NULL|NULL|)"));
	ck_assert_ptr_nonnull(strstr(got, "|unknown|unprobed|0|z2|NULL|"));
	ck_assert_ptr_nonnull(strstr(got, "|no?answer)"));
}
END_TEST

START_TEST(shows_state)
{
	log_in();
	ck_assert_ptr_nonnull(strstr(query("PAUSE; SHOW STATE"), "D(paused|yes)"));
	ck_assert_ptr_nonnull(strstr(query("RESUME; SHOW STATE"), "D(paused|no)"));
}
END_TEST

START_TEST(shows_help)
{
	log_in();
	ck_assert_str_eq(query("SHOW HELP"), "N(00000 Console usage) C(SHOW) Z(I)");
}
END_TEST

/* --- the daemon --- */

START_TEST(reloads)
{
	log_in();
	ck_assert_str_eq(query("RELOAD"), "C(RELOAD) Z(I)");
	ck_assert_int_eq(daemon_saw.reloads, 1);
	daemon_saw.is_reload_wrong = true;
	ck_assert_str_eq(query("RELOAD"), "E(F0000 pointsman: the configuration has errors, "
					  "nothing has changed) Z(I)");
}
END_TEST

START_TEST(reload_says_why)
{
	struct wire_error error;

	log_in();
	daemon_saw.is_reload_wrong = true;
	say_query("RELOAD");
	wait_ready(1);
	ck_assert(wire_error_parse(bytes_begin(&received) + FRAME_HEADER_BYTES,
				   bytes_length(&received) - FRAME_HEADER_BYTES - 6, &error));
	ck_assert_str_eq(error.detail, "file:1: wrong\nfile:2: wrong too\n");
}
END_TEST

START_TEST(sets)
{
	log_in();
	ck_assert_str_eq(query("SET query_timeout = '5s'"), "C(SET) Z(I)");
	ck_assert_str_eq(daemon_saw.set, "query_timeout=5s");
	ck_assert_str_eq(query("SET log.level TO debug"), "C(SET) Z(I)");
	ck_assert_str_eq(daemon_saw.set, "log.level=debug");
	ck_assert_str_eq(query("SET wrong = 1"),
			 "E(22023 pointsman: there is no option \"wrong\") Z(I)");
}
END_TEST

static const struct {
	const char *sql;
	enum console_shutdown how;
} shutdowns[] = {
	{ "SHUTDOWN", CONSOLE_SHUTDOWN_NOW },
	{ "SHUTDOWN WAIT_FOR_SERVERS", CONSOLE_SHUTDOWN_SERVERS },
	{ "SHUTDOWN WAIT_FOR_CLIENTS", CONSOLE_SHUTDOWN_CLIENTS },
};

/* The answer has left before the daemon is told. */
START_TEST(shuts_down)
{
	log_in();
	ck_assert_str_eq(query(shutdowns[_i].sql), "C(SHUTDOWN) Z(I)");
	loop_run_once(loop, false);
	ck_assert_int_eq(daemon_saw.shutdowns, 1);
	ck_assert_int_eq(daemon_saw.how, shutdowns[_i].how);
}
END_TEST

/* --- rights (R-75) --- */

static const struct {
	const char *sql;
	bool is_for_stats;
} rights[] = {
	{ "SHOW VERSION", true },  { "SHOW POOLS", true },
	{ "SHOW HELP", true },     { "SELECT 1", true },
	{ "BEGIN; COMMIT", true }, { "SET application_name = 'x'", true },
	{ "SHOW FDS", false },     { "RELOAD", false },
	{ "SET x = y", false },    { "PAUSE", false },
	{ "PAUSE app", false },    { "RESUME", false },
	{ "DISABLE app", false },  { "ENABLE app", false },
	{ "RECONNECT", false },    { "KILL", false },
	{ "KILL app", false },     { "KILL_CLIENT 1", false },
	{ "SUSPEND", false },      { "SHUTDOWN", false },
	{ "WAIT_CLOSE", false },
};

START_TEST(stats_users_may_look)
{
	log_in_as("stats");
	if (rights[_i].is_for_stats)
		query_must_end(rights[_i].sql, " Z(I)");
	else
		ck_assert_str_eq(query(rights[_i].sql), "E(42501 admin access needed) Z(I)");
	ck_assert_int_eq(daemon_saw.reloads + daemon_saw.shutdowns, 0);
	ck_assert_str_eq(daemon_saw.set, "");
}
END_TEST

START_TEST(admins_may_do_all)
{
	log_in_as("admin");
	ck_assert_str_eq(query("RELOAD"), "C(RELOAD) Z(I)");
	ck_assert_str_eq(query("SHOW VERSION"), VERSION " Z(I)");
}
END_TEST

/* Who is in neither list (any more) may do nothing. */
START_TEST(others_may_do_nothing)
{
	log_in_as("somebody");
	ck_assert_str_eq(query("SHOW VERSION"), "E(42501 admin access needed) Z(I)");
	ck_assert_str_eq(query("RELOAD"), "E(42501 admin access needed) Z(I)");
}
END_TEST

/* --- the extended protocol --- */

static void add_bind(struct bytes *out, const char *portal, const char *statement,
		     const uint16_t *formats, uint16_t n_formats)
{
	size_t mark = build_begin(out, MSG_F_BIND);

	build_string(out, portal);
	build_string(out, statement);
	build_u16(out, 0);
	build_u16(out, 0);
	build_u16(out, n_formats);
	for (uint16_t i = 0; i < n_formats; i++)
		build_u16(out, formats[i]);
	build_end(out, mark);
}

static void add_parse(struct bytes *out, const char *name, const char *sql)
{
	build_parse(out, name, sql, strlen(sql), NULL, 0);
}

/* Describe and Close. */
static void add_named(struct bytes *out, uint8_t type, char what, const char *name)
{
	size_t mark = build_begin(out, type);

	build_u8(out, (uint8_t)what);
	build_string(out, name);
	build_end(out, mark);
}

static void add_execute(struct bytes *out, const char *portal, uint32_t rows_max)
{
	size_t mark = build_begin(out, MSG_F_EXECUTE);

	build_string(out, portal);
	build_u32(out, rows_max);
	build_end(out, mark);
}

static void add_all(struct bytes *out, const char *sql)
{
	add_parse(out, "", sql);
	add_bind(out, "", "", NULL, 0);
	add_named(out, MSG_F_DESCRIBE, 'P', "");
	add_execute(out, "", 0);
	build_empty(out, MSG_F_SYNC);
}

static const struct {
	const char *sql;
	const char *answer;
} extended[] = {
	{ "SHOW VERSION", "1 2 T(version:25:0) D(Pointsman " POINTSMAN_VERSION ") C(SHOW) Z(I)" },
	{ "SELECT 7", "1 2 T(?column?:23:0) D(7) C(SELECT 1) Z(I)" },
	{ "PAUSE app", "1 2 n C(PAUSE) Z(I)" },
	{ "SHOW HELP", "1 2 n N(00000 Console usage) C(SHOW) Z(I)" },
	{ "", "1 2 n I Z(I)" },
	{ "SHOW PEERS", "1 2 T(peer_id:23:0 host:25:0 port:23:0 pool_size:23:0) C(SHOW) Z(I)" },
	{ "bad", BAD " Z(I)" },
	{ "SHOW VERSION; SHOW VERSION",
	  "E(42601 cannot insert multiple commands into a prepared statement) Z(I)" },
	{ "SHOW VERSION;;",
	  "1 2 T(version:25:0) D(Pointsman " POINTSMAN_VERSION ") C(SHOW) Z(I)" },
	{ "KILL_CLIENT 1", "1 2 n E(22023 client not found) Z(I)" },
};

START_TEST(answers_extended)
{
	struct bytes out = { 0 };

	log_in();
	add_all(&out, extended[_i].sql);
	say_message(&out);
	wait_ready(1);
	ck_assert_str_eq(transcript(), extended[_i].answer);
}
END_TEST

/* One command after the other, though all have come at once and each waits for the workers. */
START_TEST(answers_a_pipeline)
{
	struct bytes out = { 0 };
	const char *got;

	log_in();
	add_all(&out, "SHOW TOTALS");
	build_query(&out, "PAUSE app; SHOW VERSION", strlen("PAUSE app; SHOW VERSION"));
	add_all(&out, "SHOW CHAIN");
	add_all(&out, "RESUME app");
	say_message(&out);
	wait_ready(4);
	got = transcript();
	ck_assert_int_eq(strncmp(got, "1 2 T(name:25:0 value:1700:0) D(total_", 38), 0);
	ck_assert_ptr_nonnull(
		strstr(got, "C(SHOW) Z(I) C(PAUSE) " VERSION " Z(I) 1 2 T(position"));
	ck_assert_ptr_nonnull(strstr(got, "C(SHOW) Z(I) 1 2 n C(RESUME) Z(I)"));
}
END_TEST

START_TEST(named_statements)
{
	struct bytes out = { 0 };

	log_in();
	add_parse(&out, "s", "SHOW VERSION");
	add_named(&out, MSG_F_DESCRIBE, 'S', "s");
	build_empty(&out, MSG_F_SYNC);
	add_bind(&out, "p", "s", NULL, 0);
	add_bind(&out, "q", "s", NULL, 0);
	add_execute(&out, "q", 0);
	add_execute(&out, "p", 0);
	build_empty(&out, MSG_F_SYNC);
	add_parse(&out, "s", "SHOW VERSION");
	build_empty(&out, MSG_F_SYNC);
	add_named(&out, MSG_F_CLOSE, 'S', "s");
	add_named(&out, MSG_F_CLOSE, 'P', "none");
	add_bind(&out, "", "s", NULL, 0);
	build_empty(&out, MSG_F_SYNC);
	say_message(&out);
	wait_ready(4);
	ck_assert_str_eq(transcript(),
			 "1 t(0) T(version:25:0) Z(I) "
			 "2 2 D(Pointsman " POINTSMAN_VERSION
			 ") C(SHOW) D(Pointsman " POINTSMAN_VERSION ") C(SHOW) Z(I) "
			 "E(42P05 prepared statement already exists) Z(I) "
			 "3 3 E(26000 prepared statement \"s\" does not exist) Z(I)");
}
END_TEST

/* After an error nothing is done before the next Sync. */
START_TEST(errors_skip_to_sync)
{
	struct bytes out = { 0 };

	log_in();
	add_parse(&out, "", "bad");
	add_bind(&out, "", "", NULL, 0);
	add_execute(&out, "", 0);
	build_query(&out, "RELOAD", strlen("RELOAD"));
	build_empty(&out, MSG_F_SYNC);
	build_query(&out, "SHOW VERSION", strlen("SHOW VERSION"));
	say_message(&out);
	wait_ready(2);
	ck_assert_str_eq(transcript(), BAD " Z(I) " VERSION " Z(I)");
	ck_assert_int_eq(daemon_saw.reloads, 0);
}
END_TEST

START_TEST(portals)
{
	struct bytes out = { 0 };

	log_in();
	add_parse(&out, "", "SHOW STATE");
	add_bind(&out, "", "", NULL, 0);
	add_execute(&out, "", 2);
	add_execute(&out, "", 2);
	add_execute(&out, "", 2);
	build_empty(&out, MSG_F_SYNC);
	add_execute(&out, "", 0);
	build_empty(&out, MSG_F_SYNC);
	add_named(&out, MSG_F_DESCRIBE, 'P', "x");
	build_empty(&out, MSG_F_SYNC);
	say_message(&out);
	wait_ready(3);
	ck_assert_str_eq(transcript(), "1 2 D(active|yes) D(paused|no) s D(suspended|no) C(SHOW) "
				       "E(55000 portal cannot be run again) Z(I) "
				       "E(34000 portal \"\" does not exist) Z(I) "
				       "E(34000 portal \"x\" does not exist) Z(I)");
}
END_TEST

/* In a transaction a portal outlives the Sync: that is how drivers fetch rows in parts. */
START_TEST(portals_in_a_transaction)
{
	struct bytes out = { 0 };

	log_in();
	ck_assert_str_eq(query("BEGIN"), "C(BEGIN) Z(T)");
	add_parse(&out, "", "SHOW STATE");
	add_bind(&out, "p", "", NULL, 0);
	add_execute(&out, "p", 1);
	build_empty(&out, MSG_F_SYNC);
	add_execute(&out, "p", 0);
	build_empty(&out, MSG_F_SYNC);
	say_message(&out);
	wait_ready(2);
	ck_assert_str_eq(transcript(),
			 "1 2 D(active|yes) s Z(T) D(paused|no) D(suspended|no) C(SHOW) Z(T)");
}
END_TEST

START_TEST(binary_results)
{
	static const uint16_t binary = 1;
	struct bytes out = { 0 };

	log_in();
	add_parse(&out, "", "SELECT 16909060");
	add_bind(&out, "", "", &binary, 1);
	add_named(&out, MSG_F_DESCRIBE, 'P', "");
	add_execute(&out, "", 0);
	build_empty(&out, MSG_F_SYNC);
	say_message(&out);
	wait_ready(1);
	ck_assert_str_eq(transcript(),
			 "1 2 T(?column?:23:1) D(\x01\x02\x03\x04) C(SELECT 1) Z(I)");
}
END_TEST

START_TEST(formats_that_do_not_fit)
{
	static const uint16_t three[] = { 0, 1, 0 };
	static const uint16_t unknown = 2;
	struct bytes out = { 0 };

	log_in();
	add_parse(&out, "", "SHOW STATE");
	add_bind(&out, "", "", three, 3);
	build_empty(&out, MSG_F_SYNC);
	add_bind(&out, "", "", &unknown, 1);
	build_empty(&out, MSG_F_SYNC);
	say_message(&out);
	wait_ready(2);
	ck_assert_str_eq(transcript(), "1 E(08P01 invalid result format codes) Z(I) "
				       "E(08P01 invalid result format codes) Z(I)");
}
END_TEST

START_TEST(parameters_are_refused)
{
	struct bytes out = { 0 };
	size_t mark;

	log_in();
	add_parse(&out, "", "SHOW VERSION");
	mark = build_begin(&out, MSG_F_BIND);
	build_string(&out, "");
	build_string(&out, "");
	build_u16(&out, 0);
	build_u16(&out, 1);
	build_u32(&out, 1);
	build_u8(&out, 'x');
	build_u16(&out, 0);
	build_end(&out, mark);
	build_empty(&out, MSG_F_SYNC);
	say_message(&out);
	wait_ready(1);
	ck_assert_str_eq(transcript(),
			 "1 E(08P01 pointsman: console commands have no parameters) Z(I)");
}
END_TEST

START_TEST(statements_are_bounded)
{
	struct bytes out = { 0 };
	char name[16];
	const char *got;

	log_in();
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "s%d", i);
		add_parse(&out, name, "SHOW VERSION");
	}
	build_empty(&out, MSG_F_SYNC);
	say_message(&out);
	wait_ready(1);
	got = transcript();
	ck_assert_ptr_nonnull(
		strstr(got, "E(53400 pointsman: too many prepared statements) Z(I)"));
	ck_assert_str_eq(query("DEALLOCATE ALL"), "C(DEALLOCATE ALL) Z(I)");
	add_parse(&out, "s1", "SHOW VERSION");
	build_empty(&out, MSG_F_SYNC);
	say_message(&out);
	wait_ready(1);
	ck_assert_str_eq(transcript(), "1 Z(I)");
}
END_TEST

/* --- what is no message --- */

static const struct {
	const char *data;
	size_t length;
	const char *answer;
} breaches[] = {
	{ "y\0\0\0\4", 5, "E(08P01 invalid frontend message type 121)" },
	{ "\0\0\0\0\0", 5, "E(08P01 invalid frontend message type 0)" },
	{ "Q\0\0\0\3", 5, "E(08P01 invalid message length)" },
	{ "Q\x7f\xff\xff\xff", 5, "E(08P01 invalid message length)" },
	{ "Q\0\x02\0\0", 5, "E(08P01 invalid message length)" },
	{ "Q\0\0\0\4", 5, "E(08P01 invalid message format)" },
	{ "Q\0\0\0\6ab", 7, "E(08P01 invalid message format)" },
	{ "Q\0\0\0\7a\0b", 8, "E(08P01 invalid message format)" },
	{ "P\0\0\0\6a\0", 7, "E(08P01 invalid message format)" },
	{ "P\0\0\0\x08\0\0\xff\xff", 9, "E(08P01 invalid message format)" },
	{ "B\0\0\0\x06\0\0", 7, "E(08P01 invalid message format)" },
	{ "B\0\0\0\x08\0\0\xff\xff", 9, "E(08P01 invalid message format)" },
	{ "D\0\0\0\6X\0", 7, "E(08P01 invalid message format)" },
	{ "E\0\0\0\5\0", 6, "E(08P01 invalid message format)" },
	{ "C\0\0\0\5S", 6, "E(08P01 invalid message format)" },
	{ "p\0\0\0\5\0", 6, "E(08P01 unexpected message type)" },
};

START_TEST(breaches_end_the_session)
{
	log_in();
	say(breaches[_i].data, breaches[_i].length);
	wait_closed();
	ck_assert_str_eq(transcript(), breaches[_i].answer);
}
END_TEST

START_TEST(copy_messages_are_ignored)
{
	log_in();
	say("c\0\0\0\4d\0\0\0\5xf\0\0\0\5\0", 17);
	ck_assert_str_eq(query("SHOW VERSION"), VERSION " Z(I)");
}
END_TEST

START_TEST(function_calls_are_refused)
{
	log_in();
	say("F\0\0\0\4", 5);
	wait_ready(1);
	ck_assert_str_eq(transcript(), "E(0A000 pointsman: the console has no functions) Z(I)");
}
END_TEST

START_TEST(terminate)
{
	log_in();
	say("X\0\0\0\4", 5);
	wait_closed();
	ck_assert_str_eq(transcript(), "");
}
END_TEST

/* --- the start-up --- */

static const uint8_t ssl_request[] = { 0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f };

static void wait_byte(void)
{
	while (bytes_length(&received) == 0) {
		ck_assert(hear());
		if (bytes_length(&received) == 0)
			loop_run_once(loop, true);
	}
}

START_TEST(ssl_is_declined)
{
	console_accept(console, make_pair());
	say(ssl_request, sizeof(ssl_request));
	wait_byte();
	ck_assert_uint_eq(bytes_length(&received), 1);
	ck_assert_int_eq(bytes_begin(&received)[0], 'N');
	bytes_clear(&received);
	say_startup("me");
	wait_ready(1);
	ck_assert_str_eq(transcript(), "R(0) Z(I)");
}
END_TEST

/* what comes with the request, before its answer, is not read. */
START_TEST(nothing_goes_with_an_ssl_request)
{
	struct bytes out = { 0 };

	console_accept(console, make_pair());
	bytes_append(&out, ssl_request, sizeof(ssl_request));
	bytes_append(&out, "Q", 1);
	say_message(&out);
	wait_closed();
	ck_assert_str_eq(transcript(),
			 "E(08P01 received unencrypted data after an encryption request)");
}
END_TEST

START_TEST(a_user_is_needed)
{
	struct bytes out = { 0 };

	console_accept(console, make_pair());
	build_startup(&out, 0, NULL, 0);
	say_message(&out);
	wait_closed();
	ck_assert_str_eq(transcript(),
			 "E(28000 no PostgreSQL user name specified in startup packet)");
}
END_TEST

START_TEST(garbage_at_the_beginning)
{
	console_accept(console, make_pair());
	say("GET / HTTP/1.1\r\n\r\n", 18);
	wait_closed();
	ck_assert_int_eq(strncmp(transcript(), "E(08P01 ", 8), 0);
}
END_TEST

START_TEST(newer_protocols_are_negotiated)
{
	const char *const params[] = { "user", "me", "_pq_.x", "1" };
	struct bytes out = { 0 };

	console_accept(console, make_pair());
	build_startup(&out, 2, params, 2);
	say_message(&out);
	wait_ready(1);
	ck_assert_str_eq(transcript(), "v R(0) Z(I)");
}
END_TEST

START_TEST(cancel_requests_are_closed)
{
	struct bytes out = { 0 };

	console_accept(console, make_pair());
	build_cancel_request(&out, 1, "abcd", 4);
	say_message(&out);
	wait_closed();
	ck_assert_str_eq(transcript(), "");
}
END_TEST

/* --- ends --- */

/* Whoever asked is gone before the answers come: they go nowhere. */
START_TEST(client_leaves_while_waiting)
{
	log_in();
	say_query("SHOW POOLS; SHOW POOLS");
	close(client);
	for (int i = 0; i < 3; i++)
		loop_run_once(loop, true);
	log_in();
	ck_assert_str_eq(query("SHOW VERSION"), VERSION " Z(I)");
}
END_TEST

/* The daemon ends while a command waits: the fleet goes first, then the console. */
START_TEST(daemon_ends_while_waiting)
{
	log_in();
	say_query("SHOW POOLS; SHOW POOLS; PAUSE; SHOW POOLS");
	loop_run_once(loop, true);
	fleet_destroy(&fleet);
	console_destroy(&console);
	ck_assert_ptr_null(console);
	/* Nothing of it is left on the loop. */
	loop_run_once(loop, false);
}
END_TEST

/* A client that does not read gets no more than fits, and all of it when it does. */
START_TEST(slow_readers_are_waited_for)
{
	const int n = 300;
	struct bytes sql = { 0 };
	int rows = 0;
	struct frame frame;

	log_in();
	for (int i = 0; i < n; i++)
		bytes_append_text(&sql, "SHOW STATS;SHOW STATE;");
	bytes_append(&sql, "", 1);
	say_query((const char *)bytes_begin(&sql));
	bytes_free(&sql);
	for (int i = 0; i < 20; i++)
		loop_run_once(loop, false);
	wait_ready(1);
	while (frame_peek(bytes_begin(&received), bytes_length(&received), FRAME_BODY_MAX,
			  &frame) == FRAME_OK) {
		rows += frame.type == MSG_B_DATA_ROW;
		bytes_consume(&received, frame_size(&frame));
	}
	ck_assert_int_eq(rows, 3 * n);
}
END_TEST

START_TEST(many_sessions)
{
	int clients[300];
	int n_open = 0;

	for (int i = 0; i < 300; i++) {
		console_accept(console, make_pair());
		clients[i] = client;
	}
	for (int i = 0; i < 300; i++) {
		client = clients[i];
		n_open += hear();
		close(client);
	}
	ck_assert_int_eq(n_open, 300); /* the daemon's own user always gets in */
	for (int i = 0; i < 3; i++)
		loop_run_once(loop, false);
	log_in();
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static TCase *add_case(Suite *suite, const char *name)
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	suite_add_tcase(suite, tcase);
	return tcase;
}

static Suite *console_suite(void)
{
	Suite *suite = suite_create("admin/console");
	TCase *tcase = add_case(suite, "queries");

	tcase_add_loop_test(tcase, answers_queries, 0, COUNT(simple));
	tcase_add_test(tcase, answers_bytes);
	tcase_add_test(tcase, shows_all);
	tcase_add_test(tcase, shows_databases);
	tcase_add_test(tcase, shows_nodes);
	tcase_add_test(tcase, shows_state);
	tcase_add_test(tcase, shows_help);
	tcase = add_case(suite, "daemon");
	tcase_add_test(tcase, reloads);
	tcase_add_test(tcase, reload_says_why);
	tcase_add_test(tcase, sets);
	tcase_add_loop_test(tcase, shuts_down, 0, COUNT(shutdowns));
	tcase = add_case(suite, "rights");
	tcase_add_loop_test(tcase, stats_users_may_look, 0, COUNT(rights));
	tcase_add_test(tcase, admins_may_do_all);
	tcase_add_test(tcase, others_may_do_nothing);
	tcase = add_case(suite, "extended");
	tcase_add_loop_test(tcase, answers_extended, 0, COUNT(extended));
	tcase_add_test(tcase, answers_a_pipeline);
	tcase_add_test(tcase, named_statements);
	tcase_add_test(tcase, errors_skip_to_sync);
	tcase_add_test(tcase, portals);
	tcase_add_test(tcase, portals_in_a_transaction);
	tcase_add_test(tcase, binary_results);
	tcase_add_test(tcase, formats_that_do_not_fit);
	tcase_add_test(tcase, parameters_are_refused);
	tcase_add_test(tcase, statements_are_bounded);
	tcase = add_case(suite, "breaches");
	tcase_add_loop_test(tcase, breaches_end_the_session, 0, COUNT(breaches));
	tcase_add_test(tcase, copy_messages_are_ignored);
	tcase_add_test(tcase, function_calls_are_refused);
	tcase_add_test(tcase, terminate);
	tcase = add_case(suite, "start-up");
	tcase_add_test(tcase, ssl_is_declined);
	tcase_add_test(tcase, nothing_goes_with_an_ssl_request);
	tcase_add_test(tcase, a_user_is_needed);
	tcase_add_test(tcase, garbage_at_the_beginning);
	tcase_add_test(tcase, newer_protocols_are_negotiated);
	tcase_add_test(tcase, cancel_requests_are_closed);
	tcase = add_case(suite, "ends");
	tcase_add_test(tcase, client_leaves_while_waiting);
	tcase_add_test(tcase, daemon_ends_while_waiting);
	tcase_add_test(tcase, slow_readers_are_waited_for);
	tcase_add_test(tcase, many_sessions);
	return suite;
}

UNIT_SUITE(console_suite)
