/*
 * Cancel requests: they end the statement of the session that asked, wherever that is, and nobody
 * else's. How fast, is printed; the limit here is generous, as the machine may be busy.
 */
#include "integration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	CANCEL_MAX_MS = 2000,
	RACE_ROUNDS = 200
};

static struct test_proxy *proxy;  /* with room */
static struct test_proxy *narrow; /* one server in each pool, four workers */

static void set_up(void)
{
	proxy = proxy_must_start(&(struct proxy_options){ .workers = 2 });
	narrow = proxy_must_start(&(struct proxy_options){ .workers = 4, .pool_size = 1 });
}

static void tear_down(void)
{
	proxy_must_stop_after_errors(&proxy);
	proxy_must_stop_after_errors(&narrow);
}

static const char sleeping[] = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app' AND "
			       "state = 'active' AND query LIKE '%pg_sleep(60)%'";

static void send_query(PGconn *conn, const char *sql)
{
	ck_assert_msg(PQsendQuery(conn, sql) == 1, "%s", PQerrorMessage(conn));
}

/* Asks for the end of what the session does. */
static void cancel(PGconn *conn)
{
	PGcancel *handle = PQgetCancel(conn);
	char error[256];

	ck_assert_ptr_nonnull(handle);
	ck_assert_msg(PQcancel(handle, error, sizeof(error)) == 1, "%s", error);
	PQfreeCancel(handle);
}

/* The SQLSTATE of the one statement that was sent; "" for success. */
static const char *collect(PGconn *conn)
{
	PGresult *result = PQgetResult(conn);
	const char *state = result_state(result);

	PQclear(result);
	while ((result = PQgetResult(conn)) != NULL)
		PQclear(result);
	return state;
}

/* Cancels what runs or waits, and says how long it took. */
static void cancel_in_time(PGconn *conn, const char *what)
{
	int64_t began = support_now_ms();
	long long took;

	cancel(conn);
	ck_assert_str_eq(collect(conn), "57014");
	took = support_now_ms() - began;
	printf("cancel %s: %lld ms\n", what, took);
	ck_assert_int_lt(took, CANCEL_MAX_MS);
}

/* On which of the replicas it runs. */
static size_t wait_sleeping_on_a_replica(void)
{
	int64_t until = support_now_ms() + 10000;

	while (support_now_ms() < until) {
		for (size_t i = 1; i < 3; i++) {
			if (cluster_number(servers, i, "postgres", sleeping) == 1)
				return i;
		}
		support_poll_pause();
	}
	ck_abort_msg("no replica runs the statement");
	return 0;
}

START_TEST(test_on_the_primary)
{
	PGconn *conn = db_open(proxy);

	send_query(conn, "/* pointsman: read_hint=primary */ SELECT pg_sleep(60)");
	server_must_reach(0, sleeping, 1);
	cancel_in_time(conn, "on the primary");
	server_must_reach(0, sleeping, 0);
	ck_assert_int_eq(db_number(conn, "SELECT 1"), 1);
	PQfinish(conn);
}
END_TEST

START_TEST(test_on_a_replica)
{
	PGconn *conn = db_open(proxy);
	size_t node;

	send_query(conn, "/* pointsman: read_hint=replica */ SELECT pg_sleep(60)");
	node = wait_sleeping_on_a_replica();
	cancel_in_time(conn, "on a replica");
	server_must_reach(node, sleeping, 0);
	ck_assert_int_eq(db_number(conn, "SELECT 1"), 1);
	PQfinish(conn);
}
END_TEST

START_TEST(test_in_a_transaction)
{
	PGconn *conn = db_open(proxy);

	db_exec(conn, "BEGIN");
	send_query(conn, "SELECT pg_sleep(60)");
	server_must_reach(0, sleeping, 1);
	cancel_in_time(conn, "in a transaction");
	ck_assert_str_eq(db_error(conn, "SELECT 1"), "25P02");
	db_exec(conn, "ROLLBACK");
	ck_assert_int_eq(db_number(conn, "SELECT 1"), 1);
	PQfinish(conn);
}
END_TEST

START_TEST(test_in_the_extended_protocol)
{
	PGconn *conn = db_open(proxy);

	ck_assert_int_eq(
		PQsendQueryParams(conn, "/* pointsman: read_hint=primary */ SELECT pg_sleep(60)",
				  0, NULL, NULL, NULL, NULL, 0),
		1);
	server_must_reach(0, sleeping, 1);
	cancel_in_time(conn, "in the extended protocol");
	ck_assert_int_eq(atoi(db_text_extended(conn, "SELECT 1")), 1);
	PQfinish(conn);
}
END_TEST

/* the pool is full, and what is to be cancelled has no server. */
START_TEST(test_in_the_queue)
{
	PGconn *holder = db_open(narrow);
	PGconn *waiter = db_open(narrow);
	PGconn *second = db_open(narrow);

	db_exec(holder, "BEGIN; SELECT 1");
	send_query(waiter, "/* pointsman: read_hint=primary */ SELECT 1");
	send_query(second, "/* pointsman: read_hint=primary */ SELECT 2");
	admin_must_reach(narrow, "SHOW POOLS", "cl_waiting", 2);
	cancel_in_time(waiter, "in the queue");
	admin_must_reach(narrow, "SHOW POOLS", "cl_waiting", 1);
	/* The others have not noticed. */
	db_exec(holder, "SELECT 1");
	db_exec(holder, "COMMIT");
	ck_assert_str_eq(collect(second), "");
	ck_assert_int_eq(db_number(waiter, "SELECT 1"), 1);
	PQfinish(holder);
	PQfinish(waiter);
	PQfinish(second);
}
END_TEST

/* and what runs, while others wait. */
START_TEST(test_while_the_pool_is_full)
{
	PGconn *holder = db_open(narrow);
	PGconn *waiter = db_open(narrow);

	send_query(holder, "/* pointsman: read_hint=primary */ SELECT pg_sleep(60)");
	server_must_reach(0, sleeping, 1);
	send_query(waiter, "/* pointsman: read_hint=primary */ SELECT 1");
	admin_must_reach(narrow, "SHOW POOLS", "cl_waiting", 1);
	cancel_in_time(holder, "while the pool is full");
	ck_assert_str_eq(collect(waiter), "");
	PQfinish(holder);
	PQfinish(waiter);
}
END_TEST

START_TEST(test_nothing_to_cancel)
{
	PGconn *conn = db_open(proxy);

	for (int i = 0; i < 20; i++) {
		cancel(conn);
		ck_assert_int_eq(db_number(conn, "SELECT 1"), 1);
	}
	db_exec(conn, "BEGIN");
	cancel(conn);
	ck_assert_int_eq(db_number(conn, "SELECT 1"), 1);
	db_exec(conn, "COMMIT");
	PQfinish(conn);
}
END_TEST

/* the server that ran my statement runs somebody else's now. */
START_TEST(test_stranger_is_not_hit)
{
	PGconn *mine = db_open(narrow);
	PGconn *stranger = db_open(narrow);

	ck_assert_int_eq(db_number(mine, "/* pointsman: read_hint=primary */ SELECT 1"), 1);
	send_query(stranger, "/* pointsman: read_hint=primary */ SELECT pg_sleep(0.5)");
	server_must_reach(0,
			  "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app' AND "
			  "state = 'active' AND query LIKE '%pg_sleep(0.5)%'",
			  1);
	for (int i = 0; i < 10; i++)
		cancel(mine);
	ck_assert_str_eq(collect(stranger), "");
	PQfinish(mine);
	PQfinish(stranger);
}
END_TEST

/* a cancel that meets the end of its statement hits neither a stranger nor what comes
 * next. */
START_TEST(test_race_with_the_end)
{
	PGconn *mine = db_open(narrow);
	PGconn *stranger = db_open(narrow);
	int cancelled = 0;

	for (int i = 0; i < RACE_ROUNDS; i++) {
		const char *state;
		char sql[96];

		snprintf(sql, sizeof(sql),
			 "/* pointsman: read_hint=primary */ SELECT pg_sleep(%g)",
			 i % 20 * 0.0002);
		send_query(mine, sql);
		send_query(stranger, "/* pointsman: read_hint=primary */ SELECT pg_sleep(0.003)");
		cancel(mine);
		state = collect(mine);
		ck_assert_msg(state[0] == '\0' || strcmp(state, "57014") == 0, "%s", state);
		cancelled += state[0] != '\0';
		ck_assert_str_eq(db_error(mine, "/* pointsman: read_hint=primary */ SELECT 1"),
				 "");
		ck_assert_str_eq(collect(stranger), "");
	}
	printf("cancel in a race: %d of %d statements cancelled\n", cancelled, RACE_ROUNDS);
	PQfinish(mine);
	PQfinish(stranger);
}
END_TEST

START_TEST(test_wrong_key)
{
	struct raw *raw = raw_login(proxy->port, "app", "app");
	struct raw *thief = raw_login(proxy->port, "app", "app");
	char types[32];

	ck_assert_ptr_nonnull(raw);
	ck_assert_ptr_nonnull(thief);
	ck_assert_uint_eq(raw->key_length, 4);
	ck_assert(raw_query(raw, "/* pointsman: read_hint=primary */ SELECT pg_sleep(60)"));
	server_must_reach(0, sleeping, 1);
	thief->pid = raw->pid;
	ck_assert(raw_cancel(proxy->port, thief));
	for (int bit = 0; bit < 32; bit += 5) {
		memcpy(thief->key, raw->key, raw->key_length);
		thief->key[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(raw_cancel(proxy->port, thief));
	}
	ck_assert_int_eq(cluster_number(servers, 0, "postgres", sleeping), 1);
	/* The right one works. */
	ck_assert(raw_cancel(proxy->port, raw));
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	ck_assert_str_eq(raw_error_field(raw, 'C'), "57014");
	raw_close(&raw);
	raw_close(&thief);
}
END_TEST

/* Not the server's own key: that would let a client reach the server past the proxy. */
START_TEST(test_key_is_the_proxys)
{
	PGconn *conn = db_open(proxy);
	char sql[128];

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM pg_stat_activity WHERE pid = %d",
		 PQbackendPID(conn));
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(cluster_number(servers, i, "postgres", sql), 0);
	PQfinish(conn);
}
END_TEST

static void revive(void)
{
	proxy_must_live(&proxy);
	proxy_must_live(&narrow);
}

static Suite *cancel_suite(void)
{
	Suite *suite = suite_create("cancel");
	TCase *tcase = integration_case(suite, "cancel", 60);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_checked_fixture(tcase, revive, NULL);
	tcase_add_test(tcase, test_on_the_primary);
	tcase_add_test(tcase, test_on_a_replica);
	tcase_add_test(tcase, test_in_a_transaction);
	tcase_add_test(tcase, test_in_the_extended_protocol);
	tcase_add_test(tcase, test_in_the_queue);
	tcase_add_test(tcase, test_while_the_pool_is_full);
	tcase_add_test(tcase, test_nothing_to_cancel);
	tcase_add_test(tcase, test_stranger_is_not_hit);
	tcase_add_test(tcase, test_race_with_the_end);
	tcase_add_test(tcase, test_wrong_key);
	tcase_add_test(tcase, test_key_is_the_proxys);
	return suite;
}

INTEGRATION_SUITE(cancel_suite)
