/*
 * Clients that break the protocol or vanish. Each gets a clear error where the protocol allows
 * one; nobody else notices, no server is left in a transaction, no descriptor stays open.
 */
#include "integration.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct test_proxy *proxy;
static struct test_proxy *narrow; /* one server in each pool */

/* Before the test: a bystander in a transaction, and how many descriptors are no server's. */
static PGconn *bystander;
static PGconn *narrow_bystander;
static int fds_before;

static void set_up(void)
{
	if (!cluster_exec(servers, 0, "app",
			  "DROP TABLE IF EXISTS bad_input; CREATE TABLE bad_input (a text); "
			  "GRANT ALL ON bad_input TO app"))
		integration_fail("bad input: the table");
	proxy = proxy_must_start(&(struct proxy_options){ .workers = 2 });
	narrow = proxy_must_start(&(struct proxy_options){ .workers = 1, .pool_size = 1 });
}

static void tear_down(void)
{
	proxy_must_stop_after_errors(&proxy);
	proxy_must_stop_after_errors(&narrow);
}

/* Descriptors that are not explained by pooled servers, which may come and stay. */
static int other_fds(void)
{
	PGresult *result = proxy_admin(proxy, "SHOW SERVERS");
	int n = PQntuples(result);

	PQclear(result);
	return proxy_fd_count(proxy) - n;
}

static void begin(void)
{
	bystander = db_open(proxy);
	db_exec(bystander, "BEGIN");
	db_exec(bystander, "CREATE TEMPORARY TABLE mine (a int) ON COMMIT DROP");
	fds_before = other_fds();
}

static void end(void)
{
	int64_t until = support_now_ms() + 10000;
	int fds;

	ck_assert_msg(proxy_is_alive(proxy), "the proxy is still there");
	ck_assert_int_eq(db_number(bystander, "SELECT count(*) FROM mine"), 0);
	while ((fds = other_fds()) > fds_before && support_now_ms() < until)
		support_poll_pause();
	ck_assert_msg(fds <= fds_before, "%d descriptors are open, %d before", fds, fds_before);
	db_exec(bystander, "COMMIT");
	servers_must_get_clean("app");
	PQfinish(bystander);
}

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* --- before the log-in --- */

struct bytes {
	const char *name;
	const char *data;
	size_t length;
};

#define BYTES(name, text)                    \
	{                                    \
		name, text, sizeof(text) - 1 \
	}

static const struct bytes openings[] = {
	BYTES("length 0", "\0\0\0\0\0\3\0\0"),
	BYTES("length 4", "\0\0\0\4"),
	BYTES("length 7", "\0\0\0\7\0\3\0"),
	BYTES("length 8, no parameters", "\0\0\0\10\0\3\0\0"),
	BYTES("length 10005", "\0\0\x27\x15\0\3\0\0user\0app\0\0"),
	BYTES("length 2^31 - 1", "\x7f\xff\xff\xff\0\3\0\0user\0app\0\0"),
	BYTES("length 2^31", "\x80\0\0\0\0\3\0\0user\0app\0\0"),
	BYTES("length 2^32 - 1", "\xff\xff\xff\xff\0\3\0\0user\0app\0\0"),
	BYTES("no user", "\0\0\0\x16\0\3\0\0database\0app\0\0"),
	BYTES("no terminator", "\0\0\0\x10\0\3\0\0user\0app"),
	BYTES("value without an end", "\0\0\0\x11\0\3\0\0user\0appx"),
	BYTES("bytes after the terminator", "\0\0\0\x14\0\3\0\0user\0app\0\0xx"),
	BYTES("protocol 2.0", "\0\0\0\x12\0\2\0\0user\0app\0\0"),
	BYTES("protocol 4.0", "\0\0\0\x12\0\4\0\0user\0app\0\0"),
	BYTES("cancel request without a key", "\0\0\0\x0c\x04\xd2\x16\x2e\0\0\0\1"),
	BYTES("HTTP", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
	BYTES("SSH", "SSH-2.0-OpenSSH_9.2\r\n"),
	BYTES("TLS without asking",
	      "\x16\x03\x01\x00\x2e\x01\x00\x00\x2a\x03\x03 abcdefghijklmnopqrstuvwxyz"),
	BYTES("a query instead", "Q\0\0\0\x0dSELECT 1\0"),
	BYTES("nothing", ""),
	BYTES("half a length", "\0\0"),
};

/* Everything but an end is wrong: a greeting would be a log-in. */
static void must_end_without_log_in(struct raw *raw, const char *name)
{
	char type;

	while ((type = raw_read(raw)) != '\0') {
		ck_assert_msg(type == 'E', "%s: answered with '%c'", name, type);
		ck_assert_msg(strlen(raw_error_field(raw, 'C')) == 5, "%s: no SQLSTATE", name);
	}
}

START_TEST(test_opening)
{
	const struct bytes *opening = &openings[_i];
	struct raw *raw;

	begin();
	raw = raw_open(proxy->port);
	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_send(raw, opening->data, opening->length));
	/* What is too short to judge is judged when no more can come. */
	raw_shutdown(raw);
	must_end_without_log_in(raw, opening->name);
	raw_close(&raw);
	end();
}
END_TEST

/* The lengths that cannot be are refused without waiting for the rest. */
START_TEST(test_impossible_length_is_refused_at_once)
{
	struct raw *raw = raw_open(proxy->port);

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_send(raw, openings[_i].data, 4));
	ck_assert_msg(raw_expect_end(raw), "%s", openings[_i].name);
	raw_close(&raw);
}
END_TEST

START_TEST(test_garbage)
{
	unsigned char noise[512];
	unsigned seed = (unsigned)_i + 1;

	begin();
	for (int round = 0; round < 20; round++) {
		struct raw *raw = raw_open(proxy->port);

		ck_assert_ptr_nonnull(raw);
		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (unsigned char)rand_r(&seed);
		/* Half of them with a length that is in order. */
		if (round % 2 == 0)
			memcpy(noise, "\0\0\1\0\0\3\0\0", 8);
		raw_send(raw, noise, sizeof(noise));
		raw_shutdown(raw);
		must_end_without_log_in(raw, "noise");
		raw_close(&raw);
	}
	end();
}
END_TEST

START_TEST(test_encryption_requests_are_declined)
{
	struct raw *raw = raw_open(proxy->port);
	char types[64];

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_send(raw, "\0\0\0\x08\x04\xd2\x16\x2f", 8)); /* SSLRequest */
	ck_assert_int_eq(raw_read_byte(raw), 'N');
	ck_assert(raw_send(raw, "\0\0\0\x08\x04\xd2\x16\x30", 8)); /* GSSENCRequest */
	ck_assert_int_eq(raw_read_byte(raw), 'N');
	ck_assert(raw_startup(raw, 0, "app", "app", NULL));
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	raw_close(&raw);
}
END_TEST

/* once each, not for ever. */
START_TEST(test_encryption_requests_without_end)
{
	struct raw *raw = raw_open(proxy->port);
	int answers = 0;

	ck_assert_ptr_nonnull(raw);
	for (int i = 0; i < 1000 && !raw->dead; i++) {
		if (!raw_send(raw,
			      i % 2 == 0 ? "\0\0\0\x08\x04\xd2\x16\x2f"
					 : "\0\0\0\x08\x04\xd2\x16\x30",
			      8))
			break;
		if (raw_read_byte(raw) != 'N')
			break;
		answers++;
	}
	ck_assert_int_le(answers, 3);
	raw_close(&raw);
}
END_TEST

/* what follows an SSLRequest in the same packet is not read as plain text. */
START_TEST(test_bytes_after_an_encryption_request)
{
	struct raw *raw = raw_open(proxy->port);
	char byte;

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_send(raw,
			   "\0\0\0\x08\x04\xd2\x16\x2f"
			   "\0\0\0\x1f\0\3\0\0user\0app\0database\0app\0\0",
			   8 + 31));
	/* 'N' is allowed, a log-in is not. */
	byte = raw_read_byte(raw);
	ck_assert_msg(byte == 'N' || byte == 'E' || byte == '\0', "'%c'", byte);
	if (byte == 'N')
		must_end_without_log_in(raw, "bytes after SSLRequest");
	raw_close(&raw);
}
END_TEST

START_TEST(test_unknown_database)
{
	struct raw *raw = raw_open(proxy->port);
	PGconn *conn;

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_startup(raw, 0, "app", "no_such_database", NULL));
	/* PostgreSQL, too, looks for the database after the user. */
	ck_assert_int_eq(raw_read_main(raw), 'R');
	ck_assert(raw_expect_end(raw));
	ck_assert_str_eq(raw_error_field(raw, 'C'), "3D000");
	ck_assert_str_eq(raw_error_field(raw, 'S'), "FATAL");
	raw_close(&raw);
	conn = db_open(proxy);
	PQfinish(conn);
}
END_TEST

START_TEST(test_unknown_database_without_a_star)
{
	struct test_proxy *strict = proxy_must_start(&(struct proxy_options){
		.without_star = true, .databases = "{ name = \"app\"; cluster = \"main\"; }" });
	struct raw *raw = raw_open(strict->port);

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_startup(raw, 0, "app", "postgres", NULL));
	ck_assert(raw_expect_end(raw));
	ck_assert_str_eq(raw_error_field(raw, 'C'), "3D000");
	raw_close(&raw);
	proxy_must_stop_after_errors(&strict);
}
END_TEST

/* --- after the log-in --- */

struct bad_message {
	const char *name;
	char type;
	uint32_t length;
	const char *body;
};

static const struct bad_message bad_messages[] = {
	{ "length 0", 'Q', 0, "" },
	{ "length 3", 'Q', 3, "" },
	{ "length 2^30 + 4", 'Q', 0x40000004, "SELECT 1" },
	{ "length 2^31 - 1", 'Q', 0x7fffffff, "SELECT 1" },
	{ "length 2^32 - 1", 'Q', 0xffffffff, "SELECT 1" },
	{ "unknown type", 'y', 4, "" },
	{ "unknown type 0", '\0', 4, "" },
	{ "unknown type 255", '\xff', 4, "" },
	{ "a server's message", 'T', 4, "" },
	{ "Sync with a body", 'S', 2000000, "xxxx" },
	{ "Bind that is too long", 'B', 0x7fffffff, "xxxx" },
};

static void must_end_with_protocol_error(struct raw *raw, const char *name)
{
	ck_assert_msg(raw_expect_end(raw), "%s: does not end", name);
	ck_assert_msg(strcmp(raw_error_field(raw, 'C'), "08P01") == 0, "%s: SQLSTATE \"%s\"",
		      name, raw_error_field(raw, 'C'));
	ck_assert_str_eq(raw_error_field(raw, 'S'), "FATAL");
}

START_TEST(test_bad_message)
{
	const struct bad_message *bad = &bad_messages[_i / 2];
	struct raw *raw;
	char types[32];

	begin();
	raw = raw_login(proxy->port, "app", "app");
	ck_assert_ptr_nonnull(raw);
	/* Idle, and within a transaction. */
	if (_i % 2 == 1) {
		ck_assert(raw_query(raw, "BEGIN; INSERT INTO bad_input VALUES ('lost')"));
		ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
		ck_assert_int_eq(raw->txn, 'T');
	}
	raw_message_lying(raw, bad->type, bad->length, bad->body);
	must_end_with_protocol_error(raw, bad->name);
	raw_close(&raw);
	end();
	ck_assert_int_eq(cluster_number(servers, 0, "app", "SELECT count(*) FROM bad_input"), 0);
}
END_TEST

/* Well framed, but wrong inside: PostgreSQL's own answer, and the session goes on. */
START_TEST(test_malformed_bodies_are_the_servers_business)
{
	static const struct {
		char type;
		const char *body;
		size_t length;
		const char *sqlstate;
	} bodies[] = {
		{ 'P', "x", 1, "08P01" },                 /* no terminator */
		{ 'P', "\0SELECT 1\0\0\1", 12, "08P01" }, /* one type announced, none there */
		{ 'B', "\0\0\0\1", 4, "26000" },
		{ 'D', "X\0", 2, "08P01" },
		{ 'E', "\0", 1, "08P01" },
		{ 'C', "S", 1, "08P01" },
		{ 'Q', "SELECT 1", 8, "08P01" },
	};
	struct raw *raw;

	begin();
	raw = raw_login(proxy->port, "app", "app");
	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_message(raw, bodies[_i].type, "r", bodies[_i].body, bodies[_i].length));
	if (bodies[_i].type != 'Q')
		ck_assert(raw_sync(raw));
	/* An error, and then either the next round or the end. */
	ck_assert_int_eq(raw_read_main(raw), 'E');
	ck_assert_str_eq(raw_error_field(raw, 'C'), bodies[_i].sqlstate);
	raw_close(&raw);
	end();
}
END_TEST

/* any fragmentation. */
START_TEST(test_byte_by_byte)
{
	static const char session[] = "\0\0\0\x1f\0\3\0\0user\0app\0database\0app\0\0"
				      "Q\0\0\0\x0dSELECT 1\0"
				      "P\0\0\0\x10\0SELECT 2\0\0\0"
				      "B\0\0\0\x0c\0\0\0\0\0\0\0\0"
				      "E\0\0\0\x09\0\0\0\0\0"
				      "S\0\0\0\4";
	struct raw *raw = raw_open(proxy->port);
	char types[64];

	ck_assert_ptr_nonnull(raw);
	/* In one piece the second time. */
	for (size_t i = 0; i < sizeof(session) - 1; i += _i == 0 ? 1 : sizeof(session))
		ck_assert(raw_send(raw, session + i, _i == 0 ? 1 : sizeof(session) - 1));
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	ck_assert_str_eq(types, "RKZ");
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	ck_assert_str_eq(types, "TDCZ");
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	ck_assert_str_eq(types, "12DCZ");
	raw_close(&raw);
}
END_TEST

/* --- clients that vanish --- */

static void after_startup(struct raw *raw)
{
	(void)raw;
}

static void mid_message(struct raw *raw)
{
	ck_assert(raw_message_lying(raw, 'Q', 1000, "INSERT INTO bad_input VALUES ('half"));
}

static void mid_large_message(struct raw *raw)
{
	static char much[300000];

	memset(much, 'x', sizeof(much) - 1);
	ck_assert(raw_message_lying(raw, 'Q', 10000000, "INSERT INTO bad_input VALUES ('"));
	ck_assert(raw_send(raw, much, sizeof(much) - 1));
}

static void mid_query_on_primary(struct raw *raw)
{
	ck_assert(raw_query(raw, "/* pointsman: read_hint=primary */ SELECT pg_sleep(60)"));
	server_must_reach(0,
			  "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app' AND "
			  "state = 'active' AND query LIKE '%pg_sleep(60)%'",
			  1);
}

static void mid_query_on_replica(struct raw *raw)
{
	ck_assert(raw_query(raw, "/* pointsman: read_hint=replica */ SELECT pg_sleep(60)"));
}

static void mid_rows(struct raw *raw)
{
	ck_assert(raw_query(raw, "SELECT repeat('x', 1000) FROM generate_series(1, 1000000)"));
	ck_assert_int_eq(raw_read_main(raw), 'T');
	ck_assert_int_eq(raw_read_main(raw), 'D');
}

static void in_transaction(struct raw *raw)
{
	char types[32];

	ck_assert(raw_query(raw, "BEGIN; INSERT INTO bad_input VALUES ('lost')"));
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	ck_assert_int_eq(raw->txn, 'T');
}

static void in_failed_transaction(struct raw *raw)
{
	char types[32];

	in_transaction(raw);
	ck_assert(raw_query(raw, "SELECT 1/0"));
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	ck_assert_int_eq(raw->txn, 'E');
}

static void mid_copy_in(struct raw *raw)
{
	ck_assert(raw_query(raw, "COPY bad_input FROM STDIN"));
	ck_assert_int_eq(raw_read_main(raw), 'G');
	for (int i = 0; i < 1000; i++)
		ck_assert(raw_message(raw, 'd', "t", "lost\n"));
}

static void mid_copy_data(struct raw *raw)
{
	mid_copy_in(raw);
	ck_assert(raw_message_lying(raw, 'd', 100000, "lost\n"));
}

static void mid_copy_out(struct raw *raw)
{
	ck_assert(raw_query(raw,
			    "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000000)) "
			    "TO STDOUT"));
	ck_assert_int_eq(raw_read_main(raw), 'H');
	ck_assert_int_eq(raw_read_main(raw), 'd');
}

static void mid_pipeline(struct raw *raw)
{
	ck_assert(raw_parse(raw, "", "INSERT INTO bad_input VALUES ('lost')"));
	ck_assert(raw_bind(raw, "", "", NULL));
	ck_assert(raw_execute(raw, "", 0));
	ck_assert(raw_flush(raw));
	ck_assert_int_eq(raw_read_main(raw), '1');
}

static const struct {
	const char *name;
	void (*go)(struct raw *raw);
} states[] = {
	{ "after the start-up", after_startup },
	{ "in a message", mid_message },
	{ "in a large message", mid_large_message },
	{ "in a query on the primary", mid_query_on_primary },
	{ "in a query on a replica", mid_query_on_replica },
	{ "in the rows", mid_rows },
	{ "in a transaction", in_transaction },
	{ "in a failed transaction", in_failed_transaction },
	{ "in COPY FROM STDIN", mid_copy_in },
	{ "in a message of COPY FROM STDIN", mid_copy_data },
	{ "in COPY TO STDOUT", mid_copy_out },
	{ "in a pipeline without Sync", mid_pipeline },
};

#define STATES ((int)(sizeof(states) / sizeof(states[0])))

/* closed in order, and with a reset. */
START_TEST(test_client_gone)
{
	struct raw *raw;

	begin();
	raw = raw_login(proxy->port, "app", "app");
	ck_assert_ptr_nonnull(raw);
	states[_i / 2].go(raw);
	if (_i % 2 == 0)
		raw_close(&raw);
	else
		raw_reset(&raw);
	end();
	ck_assert_msg(cluster_number(servers, 0, "app", "SELECT count(*) FROM bad_input") == 0,
		      "gone %s: nothing was committed", states[_i / 2].name);
	/* The servers that are lent now are in order. */
	bystander = db_open(proxy);
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(db_number(bystander, "SELECT 1"), 1);
		db_exec(bystander, "/* pointsman: read_hint=primary */ SELECT 1");
	}
	PQfinish(bystander);
}
END_TEST

/*
 * The statement and the news that nobody waits for it any more go to the server side by side; a
 * cancel request that is there first has no effect, and another one must follow.
 */
START_TEST(test_client_gone_at_once)
{
	static const char *const queries[] = {
		"/* pointsman: read_hint=primary */ SELECT pg_sleep(60)",
		"/* pointsman: read_hint=replica */ SELECT pg_sleep(60)",
		"BEGIN; INSERT INTO bad_input VALUES ('lost'); SELECT pg_sleep(60)",
	};

	begin();
	for (int i = 0; i < 15; i++) {
		struct raw *raw = raw_login(proxy->port, "app", "app");

		ck_assert_ptr_nonnull(raw);
		ck_assert(raw_query(raw, queries[_i]));
		if (i % 2 == 0)
			raw_close(&raw);
		else
			raw_reset(&raw);
	}
	end();
	ck_assert_int_eq(cluster_number(servers, 0, "app", "SELECT count(*) FROM bad_input"), 0);
}
END_TEST

START_TEST(test_client_gone_waiting_in_the_queue)
{
	struct raw *raw;
	char types[32];

	narrow_bystander = db_open(narrow);
	raw = raw_login(narrow->port, "app", "app");
	ck_assert_ptr_nonnull(raw);
	db_exec(narrow_bystander, "BEGIN");
	db_exec(narrow_bystander, "SELECT 1");
	ck_assert(raw_query(raw, "INSERT INTO bad_input VALUES ('lost')"));
	admin_must_reach(narrow, "SHOW POOLS", "cl_waiting", 1);
	if (_i == 0)
		raw_close(&raw);
	else
		raw_reset(&raw);
	admin_must_reach(narrow, "SHOW POOLS", "cl_waiting", 0);
	db_exec(narrow_bystander, "COMMIT");
	/* The server is free for the next one. */
	raw = raw_login(narrow->port, "app", "app");
	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_query(raw, "/* pointsman: read_hint=primary */ SELECT 1"));
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	ck_assert_str_eq(types, "TDCZ");
	raw_close(&raw);
	PQfinish(narrow_bystander);
	servers_must_get_clean("app");
	ck_assert_int_eq(cluster_number(servers, 0, "app", "SELECT count(*) FROM bad_input"), 0);
}
END_TEST

/* With a single server, each of these would block everybody for ever if it were not given back.
 */
START_TEST(test_client_gone_with_the_only_server)
{
	struct raw *raw = raw_login(narrow->port, "app", "app");

	ck_assert_ptr_nonnull(raw);
	narrow_bystander = db_open(narrow);
	states[_i].go(raw);
	raw_reset(&raw);
	db_exec(narrow_bystander, "/* pointsman: read_hint=primary */ SELECT 1");
	db_exec(narrow_bystander, "/* pointsman: read_hint=replica */ SELECT 1");
	PQfinish(narrow_bystander);
	servers_must_get_clean("app");
}
END_TEST

START_TEST(test_client_gone_before_the_log_in)
{
	struct raw *raw;

	begin();
	for (int i = 0; i < 50; i++) {
		raw = raw_open(proxy->port);
		ck_assert_ptr_nonnull(raw);
		if (i % 3 == 1)
			raw_send(raw, "\0\0\0", 3);
		if (i % 3 == 2)
			raw_startup(raw, 0, "app", "app", NULL);
		if (i % 2 == 0)
			raw_close(&raw);
		else
			raw_reset(&raw);
	}
	end();
}
END_TEST

/* What the proxy's memory grows by while it gets `n` bad connections. */
static long growth_by_bad_connections(int n)
{
	const int kinds = COUNT(openings);
	long before = proxy_rss_kb(proxy);

	for (int i = 0; i < n; i++) {
		struct raw *raw = raw_open(proxy->port);

		ck_assert_ptr_nonnull(raw);
		raw_send(raw, openings[i % kinds].data, openings[i % kinds].length);
		raw_close(&raw);
	}
	/* What has not been seen to be closed yet is no leak. */
	while (proxy_admin_sum(proxy, "SHOW LISTS", "items", "list", "login_clients") > 0)
		support_poll_pause();
	return proxy_rss_kb(proxy) - before;
}

/* bad connections cost nothing that stays. A leak grows in each round, an allocator only in
 * some. */
START_TEST(test_memory_after_many_bad_connections)
{
	long least = LONG_MAX;

	for (int round = 0; round < 8; round++) {
		long growth = growth_by_bad_connections(3000);

		printf("3000 bad connections: the proxy grew by %ld kB\n", growth);
		least = growth < least ? growth : least;
	}
	if (!proxy_is_instrumented(proxy))
		ck_assert_int_lt(least, 100);
}
END_TEST

static void revive(void)
{
	proxy_must_live(&proxy);
	proxy_must_live(&narrow);
	/* What a failed test has left there is not this one's failure. */
	ck_assert(cluster_exec(servers, 0, "app", "DELETE FROM bad_input"));
}

static Suite *bad_input_suite(void)
{
	Suite *suite = suite_create("bad_input");
	TCase *tcase = integration_case(suite, "bad_input", 60);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_checked_fixture(tcase, revive, NULL);
	tcase_add_loop_test(tcase, test_opening, 0, COUNT(openings));
	tcase_add_loop_test(tcase, test_impossible_length_is_refused_at_once, 0, 3);
	tcase_add_loop_test(tcase, test_impossible_length_is_refused_at_once, 4, 8);
	tcase_add_loop_test(tcase, test_garbage, 0, 4);
	tcase_add_test(tcase, test_encryption_requests_are_declined);
	tcase_add_test(tcase, test_encryption_requests_without_end);
	tcase_add_test(tcase, test_bytes_after_an_encryption_request);
	tcase_add_test(tcase, test_unknown_database);
	tcase_add_test(tcase, test_unknown_database_without_a_star);
	tcase_add_loop_test(tcase, test_bad_message, 0, 2 * COUNT(bad_messages));
	tcase_add_loop_test(tcase, test_malformed_bodies_are_the_servers_business, 0, 7);
	tcase_add_loop_test(tcase, test_byte_by_byte, 0, 2);
	tcase_add_loop_test(tcase, test_client_gone, 0, 2 * STATES);
	tcase_add_loop_test(tcase, test_client_gone_at_once, 0, 3);
	tcase_add_loop_test(tcase, test_client_gone_waiting_in_the_queue, 0, 2);
	tcase_add_loop_test(tcase, test_client_gone_with_the_only_server, 0, STATES);
	tcase_add_test(tcase, test_client_gone_before_the_log_in);
	tcase_add_test(tcase, test_memory_after_many_bad_connections);
	return suite;
}

INTEGRATION_SUITE(bad_input_suite)
