/*
 * Faults that other poolers and splitters had, one test each, named after what it guards. Those
 * that have their place in another topic's suite are listed in docs/testing.md.
 */
#include "integration.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct test_proxy *narrow; /* two servers for everybody, two workers */
static struct test_proxy *proxy;

static void set_up(void)
{
	narrow = proxy_must_start(&(struct proxy_options){
		.workers = 2, .pool_size = 2, .top = "max_prepared_statements = 5;" });
	proxy = proxy_must_start(&(struct proxy_options){ .workers = 2 });
}

static void tear_down(void)
{
	proxy_must_stop_after_errors(&narrow);
	proxy_must_stop_after_errors(&proxy);
}

/* --- nobody gets another's answer --- */

enum {
	CLIENTS = 40,
	ROUNDS = 3000
};

struct asker {
	PGconn *conn;
	unsigned asked; /* the number that its statement returns; 0: nothing is under way */
	bool is_cancelled;
};

static unsigned draw(unsigned *state, unsigned n)
{
	*state = *state * 1103515245 + 12345;
	return (*state >> 8) % n;
}

static void ask(struct asker *asker, unsigned number, unsigned how)
{
	char sql[160];
	static const char *const before[] = { "", "/* pointsman: read_hint=primary */ ", "",
					      "/* pointsman: read_hint=replica */ " };
	const char *behind = how % 4 == 2 ? " FROM (SELECT pg_sleep(0.002)) s" : "";

	snprintf(sql, sizeof(sql), "%sSELECT %u%s", before[how % 4], number, behind);
	asker->asked = number;
	if (how & 4)
		ck_assert_int_eq(
			PQsendQueryParams(asker->conn, sql, 0, NULL, NULL, NULL, NULL, 0), 1);
	else
		ck_assert_int_eq(PQsendQuery(asker->conn, sql), 1);
}

/* true when it has its answer, which must be its own. */
static bool collect(struct asker *asker)
{
	PGresult *result;

	ck_assert_int_eq(PQconsumeInput(asker->conn), 1);
	if (PQisBusy(asker->conn))
		return false;
	result = PQgetResult(asker->conn);
	if (PQresultStatus(result) == PGRES_TUPLES_OK)
		ck_assert_uint_eq((unsigned)atoi(PQgetvalue(result, 0, 0)), asker->asked);
	else
		ck_assert_msg(asker->is_cancelled && strcmp(result_state(result), "57014") == 0,
			      "%s", PQresultErrorMessage(result));
	PQclear(result);
	ck_assert_ptr_null(PQgetResult(asker->conn));
	asker->asked = 0;
	asker->is_cancelled = false;
	return true;
}

/* One of those that wait for their answers cancels, or goes away without a word. */
static void disturb(struct asker *asker, unsigned how)
{
	char error[256];
	PGcancel *handle;

	if (!asker->asked)
		return;
	if (how % 3 == 0) {
		PQfinish(asker->conn);
		asker->conn = db_open(narrow);
		asker->asked = 0;
		asker->is_cancelled = false;
		return;
	}
	handle = PQgetCancel(asker->conn);
	ck_assert_int_eq(PQcancel(handle, error, sizeof(error)), 1);
	PQfreeCancel(handle);
	asker->is_cancelled = true;
}

/* pgdog: wrong data when the pool is used up; Supavisor: a server lent while it was not done. */
START_TEST(test_everybody_gets_his_own_answer_while_the_pool_is_full)
{
	static struct asker askers[CLIENTS];
	unsigned state = 42;
	unsigned answers = 0;

	for (int i = 0; i < CLIENTS; i++)
		askers[i].conn = db_open(narrow);
	for (unsigned round = 1; round <= ROUNDS; round++) {
		struct asker *asker = &askers[round % CLIENTS];

		if (asker->asked) {
			while (!collect(asker)) {
				struct pollfd fd = { .fd = PQsocket(asker->conn),
						     .events = POLLIN };

				ck_assert_int_eq(poll(&fd, 1, 20000), 1);
			}
			answers++;
		}
		ask(asker, round, draw(&state, 8));
		if (draw(&state, 10) == 0)
			disturb(&askers[draw(&state, CLIENTS)], draw(&state, 3));
	}
	ck_assert_uint_gt(answers, ROUNDS / 2);
	for (int i = 0; i < CLIENTS; i++)
		PQfinish(askers[i].conn);
	servers_must_get_clean("app");
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_le(cluster_number(servers, i, "app",
						"SELECT count(*) FROM pg_stat_activity WHERE "
						"datname = 'app' AND usename = 'app'"),
				 4);
}
END_TEST

/* --- prepared statements --- */

/* ProxySQL: a flood of Close that hung, and a race between it and the purge of statements. */
START_TEST(test_flood_of_closes)
{
	struct raw *raws[8];
	char name[32];
	char sql[64];
	char types[64];

	for (int i = 0; i < 8; i++)
		ck_assert_ptr_nonnull(raws[i] = raw_login(narrow->port, "app", "app"));
	for (int round = 0; round < 100; round++) {
		for (int i = 0; i < 8; i++) {
			snprintf(name, sizeof(name), "s%d", round % 3);
			snprintf(sql, sizeof(sql), "SELECT %d", (round * 8 + i) % 20);
			raw_parse(raws[i], name, sql);
			raw_bind(raws[i], "", name, NULL);
			raw_execute(raws[i], "", 0);
			for (int n = 0; n < 10; n++)
				raw_close_name(raws[i], 'S', n == 0 ? name : "none");
			raw_sync(raws[i]);
		}
		for (int i = 0; i < 8; i++) {
			ck_assert(raw_read_until_ready(raws[i], types, sizeof(types)));
			ck_assert_str_eq(types, "12DC3333333333Z");
		}
	}
	for (int i = 0; i < 8; i++)
		raw_close(&raws[i]);
}
END_TEST

/* ProxySQL: one format code that stands for all parameters, or for all columns. */
START_TEST(test_one_format_code_for_all)
{
	struct raw *raw = raw_login(proxy->port, "app", "app");
	char types[64];

	ck_assert_ptr_nonnull(raw);
	raw_parse(raw, "", "SELECT $1::int4 + $2::int4, $1::int4");
	/* Both parameters binary by one code, both columns binary by one code. */
	raw_message(raw, 'B', "sshhhiiiihh", "", "", 1, 1, 2, 4, 40, 4, 2, 1, 1);
	raw_execute(raw, "", 0);
	raw_sync(raw);
	ck_assert_int_eq(raw_read(raw), '1');
	ck_assert_int_eq(raw_read(raw), '2');
	ck_assert_int_eq(raw_read(raw), 'D');
	ck_assert_uint_eq(raw->body_length, 2 + 4 + 4 + 4 + 4);
	ck_assert_int_eq(raw->body[2 + 4 + 3], 42);
	ck_assert_int_eq(raw->body[2 + 4 + 4 + 4 + 3], 40);
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	ck_assert_str_eq(types, "CZ");
	raw_close(&raw);
}
END_TEST

/* --- routing --- */

/* PgDog: a list of 10,000 values ate the parser's memory; others send what they cannot parse
 * anywhere. */
START_TEST(test_list_of_ten_thousand_values)
{
	PGconn *conn = db_open(proxy);
	char *sql = malloc(200000);
	size_t at = (size_t)sprintf(sql, "SELECT count(*) FROM generate_series(1, 20000) g "
					 "WHERE g IN (1");

	for (int i = 2; i <= 10000; i++)
		at += (size_t)sprintf(sql + at, ",%d", i);
	memcpy(sql + at, ")", 2);
	ck_assert_int_eq(db_number(conn, sql), 10000);
	ck_assert(is_replica(db_last_node(conn)));
	free(sql);
	PQfinish(conn);
}
END_TEST

/* Pgpool-II: SET transaction_read_only = 0 reached a standby. */
START_TEST(test_read_write_settings_do_not_reach_a_replica)
{
	PGconn *conn = db_open(proxy);

	db_exec(conn, "SET pointsman.read_hint = 'replica'");
	db_exec(conn, "SET transaction_read_only = 0");
	ck_assert_str_eq(db_last_node(conn), "primary");
	db_exec(conn, "BEGIN");
	db_exec(conn, "SET TRANSACTION READ WRITE");
	db_exec(conn, "CREATE TEMPORARY TABLE w (a int) ON COMMIT DROP");
	db_exec(conn, "COMMIT");
	db_exec(conn, "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE");
	ck_assert_int_eq(db_number(conn, "SELECT 1"), 1);
	PQfinish(conn);
}
END_TEST

/* --- health --- */

/* Pgpool-II: pg_terminate_backend() of one session was taken for the end of the node. */
START_TEST(test_one_terminated_backend_is_no_failover)
{
	PGconn *one = db_open(proxy);
	PGconn *two = db_open(proxy);

	db_exec(two, "BEGIN");
	db_exec(two, "SELECT txid_current()");
	ck_assert_int_eq(
		PQsendQuery(one, "/* pointsman: read_hint=primary */ SELECT pg_sleep(60)"), 1);
	server_must_reach(
		0,
		"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
		"datname = 'app' AND query LIKE '%pg_sleep(60)%' AND state = 'active' AND "
		"pid <> pg_backend_pid()",
		1);
	while (PQgetResult(one))
		;
	/* Neither is disturbed who was at work, nor is he who was hit shut out. */
	db_exec(two, "SELECT 1");
	db_exec(two, "COMMIT");
	ck_assert_int_eq(db_number(one, "/* pointsman: read_hint=primary */ SELECT 1"), 1);
	ck_assert_int_eq(db_number(two, "SELECT 2"), 2);
	PQfinish(one);
	PQfinish(two);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("peers");
	TCase *tcase = integration_case(suite, "peers", 120);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, test_everybody_gets_his_own_answer_while_the_pool_is_full);
	tcase_add_test(tcase, test_flood_of_closes);
	tcase_add_test(tcase, test_one_format_code_for_all);
	tcase_add_test(tcase, test_list_of_ten_thousand_values);
	tcase_add_test(tcase, test_read_write_settings_do_not_reach_a_replica);
	tcase_add_test(tcase, test_one_terminated_backend_is_no_failover);
	return suite;
}
INTEGRATION_SUITE(make_suite)
