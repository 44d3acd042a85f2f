/*
 * Large data in both directions, counted byte by byte, while the proxy's memory is watched: it
 * passes rows on and collects none, also when a client does not read.
 */
#include "integration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ROW_BYTES = 1001, /* repeat('x', 1000) and the newline */
	ROWS = 1073741,   /* 1 GiB of them */
	LONG_ROW_BYTES = 10001,
	LONG_ROWS = 107374,
	GROWTH_MAX_KB = 4096,
	STALLED_GROWTH_MAX_KB = 1024
};

static struct test_proxy *proxy;

static void set_up(void)
{
	if (!cluster_exec(servers, 0, "app",
			  "DROP TABLE IF EXISTS big; CREATE UNLOGGED TABLE big (payload text); "
			  "GRANT ALL ON big TO app"))
		integration_fail("copy: the table");
	proxy = proxy_must_start(&(struct proxy_options){ .workers = 1 });
}

static void tear_down(void)
{
	proxy_must_stop_after_errors(&proxy);
}

/* Reads a COPY TO STDOUT to its end; its bytes. */
static long long copy_out(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);
	long long bytes = 0;
	char *row;
	int n;

	ck_assert_msg(PQresultStatus(result) == PGRES_COPY_OUT, "%s", PQerrorMessage(conn));
	PQclear(result);
	while ((n = PQgetCopyData(conn, &row, 0)) > 0) {
		ck_assert(row[0] == 'x' && row[n - 1] == '\n');
		bytes += n;
		PQfreemem(row);
	}
	ck_assert_msg(n == -1, "%s", PQerrorMessage(conn));
	result = PQgetResult(conn);
	ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(conn));
	PQclear(result);
	ck_assert_ptr_null(PQgetResult(conn));
	return bytes;
}

/* What the proxy's memory grew by at most since proxy_reset_peak(). */
static void growth_must_be_below(const char *what, long before_kb, long max_kb)
{
	long peak = proxy_peak_rss_kb(proxy);

	printf("%s: the proxy grew by %ld kB, to %ld kB\n", what, peak - before_kb, peak);
	if (!proxy_is_instrumented(proxy))
		ck_assert_int_lt(peak - before_kb, max_kb);
}

START_TEST(test_copy_to_stdout)
{
	PGconn *conn = db_open(proxy);
	int64_t began;
	long before;

	copy_out(conn, "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 1000)) TO STDOUT");
	ck_assert(proxy_reset_peak(proxy));
	before = proxy_rss_kb(proxy);
	began = support_now_ms();
	ck_assert_int_eq(copy_out(conn, "COPY (SELECT repeat('x', 1000) FROM "
					"generate_series(1, 1073741)) TO STDOUT"),
			 (long long)ROWS * ROW_BYTES);
	printf("COPY TO STDOUT of 1 GiB: %lld ms\n", (long long)(support_now_ms() - began));
	growth_must_be_below("COPY TO STDOUT", before, GROWTH_MAX_KB);
	ck_assert_int_eq(db_number(conn, "SELECT 1"), 1);
	PQfinish(conn);
}
END_TEST

static void copy_in(PGconn *conn, const char *row, int rows)
{
	PGresult *result = PQexec(conn, "COPY big FROM STDIN");
	char tag[32];

	ck_assert_msg(PQresultStatus(result) == PGRES_COPY_IN, "%s", PQerrorMessage(conn));
	PQclear(result);
	for (int i = 0; i < rows; i++)
		ck_assert_int_eq(PQputCopyData(conn, row, LONG_ROW_BYTES), 1);
	ck_assert_int_eq(PQputCopyEnd(conn, NULL), 1);
	result = PQgetResult(conn);
	ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(conn));
	snprintf(tag, sizeof(tag), "%d", rows);
	ck_assert_str_eq(PQcmdTuples(result), tag);
	PQclear(result);
	ck_assert_ptr_null(PQgetResult(conn));
}

START_TEST(test_copy_from_stdin)
{
	PGconn *conn = db_open(proxy);
	char *row = malloc(LONG_ROW_BYTES + 1);
	int64_t began;
	long before;

	ck_assert_ptr_nonnull(row);
	memset(row, 'x', LONG_ROW_BYTES - 1);
	row[LONG_ROW_BYTES - 1] = '\n';
	copy_in(conn, row, 100);
	db_exec(conn, "TRUNCATE big");
	ck_assert(proxy_reset_peak(proxy));
	before = proxy_rss_kb(proxy);
	began = support_now_ms();
	copy_in(conn, row, LONG_ROWS);
	printf("COPY FROM STDIN of 1 GiB: %lld ms\n", (long long)(support_now_ms() - began));
	growth_must_be_below("COPY FROM STDIN", before, GROWTH_MAX_KB);
	free(row);
	ck_assert_int_eq(db_number(conn, "/* pointsman: read_hint=primary */ "
					 "SELECT sum(length(payload) + 1) FROM big"),
			 (long long)LONG_ROWS * LONG_ROW_BYTES);
	db_exec(conn, "TRUNCATE big");
	PQfinish(conn);
}
END_TEST

/*
 * With PQexecParams() the COPY is in the extended protocol, where the server keeps its answer to
 * CopyDone until a Sync or Flush comes.
 */
START_TEST(test_copy_in_the_extended_protocol)
{
	static const char *const ends[] = { NULL, "enough" };
	static const char *const states[] = { "", "57014" };
	PGconn *conn = db_open(proxy);

	for (size_t i = 0; i < 2; i++) {
		PGresult *result = PQexecParams(conn, "COPY big FROM STDIN", 0, NULL, NULL, NULL,
						NULL, 0);

		ck_assert_int_eq(PQresultStatus(result), PGRES_COPY_IN);
		PQclear(result);
		ck_assert_int_eq(PQputCopyData(conn, "x\n", 2), 1);
		ck_assert_int_eq(PQputCopyEnd(conn, ends[i]), 1);
		result = PQgetResult(conn);
		ck_assert_str_eq(result_state(result), states[i]);
		PQclear(result);
		ck_assert_ptr_null(PQgetResult(conn));
	}
	ck_assert_int_eq(db_number(conn, "/* pointsman: read_hint=primary */ "
					 "SELECT count(*) FROM big"),
			 1);
	db_exec(conn, "TRUNCATE big");
	PQfinish(conn);
}
END_TEST

/* A server that waits for its client to read. */
static const char stalled[] = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app' AND "
			      "state = 'active' AND wait_event = 'ClientWrite'";

static void read_some(struct raw *raw, size_t bytes)
{
	size_t got = 0;

	while (got < bytes) {
		char type = raw_read_main(raw);

		ck_assert_msg(type == 'T' || type == 'D', "message '%c'", type);
		got += raw->body_length;
	}
}

START_TEST(test_client_that_stops_reading)
{
	struct raw *raw = raw_login(proxy->port, "app", "app");
	PGconn *conn = db_open(proxy);
	long before;

	ck_assert_ptr_nonnull(raw);
	db_exec(conn, "SELECT repeat('x', 1000) FROM generate_series(1, 1000)");
	ck_assert(proxy_reset_peak(proxy));
	before = proxy_rss_kb(proxy);
	ck_assert(raw_query(raw,
			    "/* pointsman: read_hint=primary */ SELECT repeat('x', 1000) FROM "
			    "generate_series(1, 1073741)"));
	read_some(raw, 10 << 20);
	server_must_reach(0, stalled, 1);
	growth_must_be_below("a client that stops reading", before, STALLED_GROWTH_MAX_KB);
	/* It holds up nobody else, and goes on where it stopped. */
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(db_number(conn, "/* pointsman: read_hint=primary */ SELECT 1"),
				 1);
	read_some(raw, 50 << 20);
	server_must_reach(0, stalled, 1);
	growth_must_be_below("the same, later", before, STALLED_GROWTH_MAX_KB);
	/* Its end is the end of its statement. */
	raw_close(&raw);
	server_must_reach(0, stalled, 0);
	servers_must_get_clean("app");
	ck_assert_int_eq(db_number(conn, "/* pointsman: read_hint=primary */ SELECT 1"), 1);
	PQfinish(conn);
}
END_TEST

START_TEST(test_many_clients_that_stop_reading)
{
	enum {
		SLOW = 15
	};
	struct raw *slow[SLOW];
	long before;

	ck_assert(proxy_reset_peak(proxy));
	before = proxy_rss_kb(proxy);
	for (int i = 0; i < SLOW; i++) {
		slow[i] = raw_login(proxy->port, "app", "app");
		ck_assert_ptr_nonnull(slow[i]);
		ck_assert(raw_query(slow[i],
				    "/* pointsman: read_hint=primary */ SELECT "
				    "repeat('x', 1000) FROM generate_series(1, 1073741)"));
		read_some(slow[i], 1 << 20);
	}
	server_must_reach(0, stalled, SLOW);
	growth_must_be_below("15 clients that stop reading", before,
			     SLOW * STALLED_GROWTH_MAX_KB);
	for (int i = 0; i < SLOW; i++)
		raw_reset(&slow[i]);
	server_must_reach(0, stalled, 0);
	servers_must_get_clean("app");
}
END_TEST

START_TEST(test_large_values)
{
	PGconn *conn = db_open(proxy);
	const char *const statement = "SELECT length($1::text), md5($1::text), $1::text";
	char *value = malloc((32 << 20) + 1);
	PGresult *result;

	ck_assert_ptr_nonnull(value);
	for (size_t size = 1; size <= 32 << 20; size *= 32) {
		memset(value, 'v', size);
		value[size] = '\0';
		result = PQexecParams(conn, statement, 1, NULL, (const char *const[]){ value },
				      NULL, NULL, 0);
		ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s",
			      PQerrorMessage(conn));
		ck_assert_int_eq(atoll(PQgetvalue(result, 0, 0)), (long long)size);
		ck_assert_int_eq((size_t)PQgetlength(result, 0, 2), size);
		ck_assert_int_eq(memcmp(PQgetvalue(result, 0, 2), value, size), 0);
		PQclear(result);
	}
	free(value);
	PQfinish(conn);
}
END_TEST

static void revive(void)
{
	proxy_must_live(&proxy);
}

static Suite *copy_suite(void)
{
	Suite *suite = suite_create("copy");
	TCase *tcase = integration_case(suite, "copy", 240);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_checked_fixture(tcase, revive, NULL);
	tcase_add_test(tcase, test_copy_to_stdout);
	tcase_add_test(tcase, test_copy_from_stdin);
	tcase_add_test(tcase, test_copy_in_the_extended_protocol);
	tcase_add_test(tcase, test_client_that_stops_reading);
	tcase_add_test(tcase, test_many_clients_that_stop_reading);
	tcase_add_test(tcase, test_large_values);
	return suite;
}

INTEGRATION_SUITE(copy_suite)
