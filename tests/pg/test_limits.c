/*
 * Limits, with real servers and several workers: what PostgreSQL's own books say of them
 * (pg_stat_activity), what clients are told, and what a reload changes. Time-outs that need a
 * clock of their own are in tests/scenario.
 */
#include "integration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRIMARY "/* pointsman: read_hint=primary */ "

/* Worker counts that each test is run with. */
static const int worker_counts[] = { 1, 2, 4 };

#define WORKERS ((int)(sizeof(worker_counts) / sizeof(worker_counts[0])))
#define WAITERS 12

static struct test_proxy *start(int workers, int pool_size, const char *top, const char *database)
{
	return proxy_must_start(&(struct proxy_options){ .workers = workers,
							 .pool_size = pool_size,
							 .split = "off",
							 .without_replicas = true,
							 .top = top,
							 .database = database });
}

/* --- what the server counts --- */

static long long backends(const char *database, const char *user)
{
	char sql[256];

	snprintf(sql, sizeof(sql),
		 "SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' AND usename = '%s' "
		 "AND backend_type = 'client backend' AND client_addr IS NOT NULL",
		 database, user);
	return cluster_number(servers, 0, "postgres", sql);
}

static void backends_must_reach(const char *database, const char *user, long long number)
{
	char sql[256];

	snprintf(sql, sizeof(sql),
		 "SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' AND usename = '%s' "
		 "AND backend_type = 'client backend' AND client_addr IS NOT NULL",
		 database, user);
	server_must_reach(0, sql, number);
}

/* The books of both sides agree. */
static void books_must_agree(const struct test_proxy *proxy, const char *database)
{
	long long ours =
		proxy_admin_sum(proxy, "SHOW DATABASES", "current_connections", "name", database);

	ck_assert_int_eq(ours, backends(database, "app") + backends(database, "other"));
}

/* --- holders of servers --- */

static void hold(PGconn *conn)
{
	db_exec(conn, "BEGIN");
	db_exec(conn, PRIMARY "SELECT 1");
}

static void release(PGconn *conn)
{
	db_exec(conn, "COMMIT");
}

static void ask(PGconn *conn)
{
	ck_assert_int_eq(PQsendQuery(conn, PRIMARY "SELECT 1"), 1);
}

static void must_be_answered(PGconn *conn)
{
	PGresult *result = PQgetResult(conn);

	ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(conn));
	PQclear(result);
	ck_assert_ptr_null(PQgetResult(conn));
}

static bool is_answered(PGconn *conn)
{
	ck_assert_int_eq(PQconsumeInput(conn), 1);
	return !PQisBusy(conn);
}

static void finish_all(PGconn **conns, int n)
{
	for (int i = 0; i < n; i++)
		PQfinish(conns[i]);
}

static void no_notice(void *context, const char *message)
{
	(void)context;
	(void)message;
}

static void open_all(const struct test_proxy *proxy, PGconn **conns, int n, const char *user,
		     const char *database)
{
	for (int i = 0; i < n; i++) {
		conns[i] = db_open_as(proxy, user, database, "");
		PQsetNoticeProcessor(conns[i], no_notice, NULL);
	}
}

/* --- the size of a pool --- */

/* However many ask, on however many workers: no more servers than the pool may have. */
START_TEST(test_pool_size_is_one_for_all_workers)
{
	struct test_proxy *proxy = start(worker_counts[_i], 3, NULL, NULL);
	PGconn *holders[3];
	PGconn *waiters[WAITERS];

	open_all(proxy, holders, 3, "app", "app");
	open_all(proxy, waiters, WAITERS, "app", "app");
	for (int i = 0; i < 3; i++)
		hold(holders[i]);
	for (int i = 0; i < WAITERS; i++)
		ask(waiters[i]);
	admin_must_reach(proxy, "SHOW POOLS", "cl_waiting", WAITERS);
	ck_assert_int_eq(backends("app", "app"), 3);
	books_must_agree(proxy, "app");
	for (int i = 0; i < WAITERS; i++)
		ck_assert(!is_answered(waiters[i]));
	/* One server is enough for all of them, wherever they are. */
	release(holders[0]);
	for (int i = 0; i < WAITERS; i++)
		must_be_answered(waiters[i]);
	ck_assert_int_eq(backends("app", "app"), 3);
	finish_all(holders, 3);
	finish_all(waiters, WAITERS);
	proxy_must_stop(&proxy);
}
END_TEST

START_TEST(test_reserve_pool)
{
	struct test_proxy *proxy =
		start(worker_counts[_i], 2, "reserve_pool_timeout = \"300ms\";",
		      "reserve_pool_size = 1;");
	PGconn *holders[2];
	PGconn *waiters[3];
	int64_t began;
	int answered = 0;

	open_all(proxy, holders, 2, "app", "app");
	open_all(proxy, waiters, 3, "app", "app");
	for (int i = 0; i < 2; i++)
		hold(holders[i]);
	/* The waiters keep what they get. */
	began = support_now_ms();
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(PQsendQuery(waiters[i], "BEGIN; " PRIMARY "SELECT 1"), 1);
	backends_must_reach("app", "app", 3);
	ck_assert_int_ge(support_now_ms() - began, 300);
	admin_must_reach(proxy, "SHOW POOLS", "cl_waiting", 2);
	while (answered == 0) {
		for (int i = 0; i < 3; i++)
			answered += is_answered(waiters[i]);
		ck_assert_int_lt(support_now_ms() - began, 20000);
		support_poll_pause();
	}
	ck_assert_int_eq(answered, 1);
	ck_assert_int_eq(backends("app", "app"), 3);
	ck_assert(proxy_log_has(proxy, "taking a server of the reserve"));
	ck_assert_int_eq(
		proxy_admin_sum(proxy, "SHOW DATABASES", "reserve_pool_size", "name", "app"), 1);
	finish_all(holders, 2);
	finish_all(waiters, 3);
	proxy_must_stop(&proxy);
}
END_TEST

START_TEST(test_min_pool_size)
{
	struct test_proxy *proxy = start(worker_counts[_i], 6, NULL, "min_pool_size = 4;");
	PGconn *conns[4];

	open_all(proxy, conns, 4, "app", "app"); /* on all workers */
	/* Each worker may have opened one more to greet its client. */
	server_must_reach(0,
			  "SELECT (count(*) BETWEEN 4 AND 6)::int FROM pg_stat_activity WHERE "
			  "datname = 'app' AND usename = 'app' AND client_addr IS NOT NULL",
			  1);
	/* After a loss it is filled again, never beyond, though all workers do it. */
	ck_assert(cluster_exec(servers, 0, "postgres",
			       "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
			       "datname = 'app' AND client_addr IS NOT NULL"));
	backends_must_reach("app", "app", 4);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(backends("app", "app"), 4);
		support_poll_pause();
	}
	ck_assert_int_eq(db_number(conns[3], PRIMARY "SELECT 1"), 1);
	books_must_agree(proxy, "app");
	finish_all(conns, 4);
	proxy_must_stop(&proxy);
}
END_TEST

/* A database whose servers have a user of their own is filled before anybody comes. */
START_TEST(test_min_pool_size_with_a_forced_user)
{
	struct test_proxy *proxy = proxy_must_start(&(struct proxy_options){
		.workers = worker_counts[_i],
		.without_replicas = true,
		.databases = "{ name = \"shared\"; cluster = \"main\"; dbname = \"app\"; user = "
			     "\"other\"; min_pool_size = 3; }" });

	backends_must_reach("app", "other", 3);
	ck_assert(cluster_exec(servers, 0, "postgres",
			       "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE "
			       "usename = 'other' AND client_addr IS NOT NULL"));
	backends_must_reach("app", "other", 3);
	proxy_must_stop(&proxy);
}
END_TEST

/* --- limits over several pools --- */

START_TEST(test_max_db_connections)
{
	struct test_proxy *proxy = start(worker_counts[_i], 5, NULL, "max_db_connections = 4;");
	PGconn *mine[4];
	PGconn *theirs[4];

	open_all(proxy, mine, 4, "app", "app");
	for (int i = 0; i < 3; i++)
		hold(mine[i]);
	open_all(proxy, theirs, 4, "other", "app");
	hold(theirs[0]);
	for (int i = 1; i < 4; i++)
		ask(theirs[i]);
	ask(mine[3]);
	admin_must_reach(proxy, "SHOW POOLS", "cl_waiting", 4);
	ck_assert_int_eq(backends("app", "app") + backends("app", "other"), 4);
	books_must_agree(proxy, "app");
	/* An idle server of one pool makes room for another pool's waiter. */
	release(mine[0]);
	must_be_answered(mine[3]);
	for (int i = 1; i < 4; i++)
		must_be_answered(theirs[i]);
	ck_assert_int_le(backends("app", "app") + backends("app", "other"), 4);
	finish_all(mine, 4);
	finish_all(theirs, 4);
	proxy_must_stop(&proxy);
}
END_TEST

START_TEST(test_max_user_connections)
{
	struct test_proxy *proxy = start(
		worker_counts[_i], 5,
		"users = ({ name = \"app\"; max_user_connections = 2; pool_size = 4; });", NULL);
	PGconn *mine[3];
	PGconn *theirs[3];

	open_all(proxy, mine, 3, "app", "app");
	open_all(proxy, theirs, 3, "other", "app");
	hold(mine[0]);
	hold(mine[1]);
	ask(mine[2]);
	for (int i = 0; i < 3; i++)
		hold(theirs[i]);
	admin_must_reach(proxy, "SHOW POOLS", "cl_waiting", 1);
	ck_assert_int_eq(backends("app", "app"), 2);
	ck_assert_int_eq(backends("app", "other"), 3);
	ck_assert_int_eq(
		proxy_admin_sum(proxy, "SHOW USERS", "max_user_connections", "name", "app"), 2);
	ck_assert_int_eq(
		proxy_admin_sum(proxy, "SHOW USERS", "current_connections", "name", "app"), 2);
	release(mine[0]);
	must_be_answered(mine[2]);
	finish_all(mine, 3);
	finish_all(theirs, 3);
	proxy_must_stop(&proxy);
}
END_TEST

/* --- clients --- */

/* A log-in that is to fail: the SQLSTATE, and what its message has to name. */
static void must_be_refused(const struct test_proxy *proxy, const char *user, const char *limit)
{
	struct raw *raw = raw_open(proxy->port);

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_startup(raw, 0, user, "app", NULL));
	ck_assert(raw_expect_end(raw));
	ck_assert_str_eq(raw_error_field(raw, 'C'), "53300");
	ck_assert_ptr_nonnull(strstr(raw_error_field(raw, 'M'), limit));
	raw_close(&raw);
}

START_TEST(test_client_limits)
{
	struct test_proxy *proxy = start(worker_counts[_i], 5,
					 "max_user_client_connections = 3; "
					 "users = ({ name = \"other\"; "
					 "max_user_client_connections = 1; });",
					 "max_db_client_connections = 4;");
	PGconn *mine[3];
	PGconn *theirs;

	open_all(proxy, mine, 3, "app", "app");
	must_be_refused(proxy, "app", "max_user_client_connections");
	theirs = db_open_as(proxy, "other", "app", "");
	must_be_refused(proxy, "trust_user", "max_db_client_connections");
	PQfinish(mine[2]);
	admin_must_reach(proxy, "SHOW DATABASES", "current_client_connections", 3);
	must_be_refused(proxy, "other", "max_user_client_connections");
	ck_assert_int_eq(proxy_admin_sum(proxy, "SHOW USERS", "max_user_client_connections",
					 "name", "other"),
			 1);
	ck_assert_int_eq(
		proxy_admin_sum(proxy, "SHOW DATABASES", "max_client_connections", "name", "app"),
		4);
	mine[2] = db_open(proxy);
	finish_all(mine, 3);
	PQfinish(theirs);
	admin_must_reach(proxy, "SHOW DATABASES", "current_client_connections", 0);
	proxy_must_stop(&proxy);
}
END_TEST

/* --- waiting --- */

static void take_notice(void *context, const PGresult *result)
{
	int *notices = context;

	ck_assert_ptr_nonnull(
		strstr(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY), "queued"));
	ck_assert_str_eq(PQresultErrorField(result, PG_DIAG_SEVERITY), "NOTICE");
	(*notices)++;
}

START_TEST(test_who_waits_is_told_and_then_fails)
{
	struct test_proxy *proxy =
		start(worker_counts[_i], 1,
		      "query_wait_notify = \"200ms\"; query_wait_timeout = \"1200ms\";", NULL);
	PGconn *holder = db_open(proxy);
	PGconn *waiter = db_open(proxy);
	int notices = 0;

	PQsetNoticeReceiver(waiter, take_notice, &notices);
	hold(holder);
	ck_assert_str_eq(db_error(waiter, PRIMARY "SELECT 1"), "53300");
	ck_assert_int_eq(notices, 1);
	release(holder);
	/* He never gets a server later: the next answer is that of the next request. */
	ck_assert_int_eq(db_number(waiter, PRIMARY "SELECT 42"), 42);
	ck_assert_int_eq(notices, 1);
	PQfinish(holder);
	PQfinish(waiter);
	proxy_must_stop_after_errors(&proxy);
}
END_TEST

/* --- transactions --- */

/* Reads up to the end of the connection; the SQLSTATE of what came last. */
static const char *final_state(PGconn *conn)
{
	static char state[8];
	PGresult *result;

	snprintf(state, sizeof(state), "none");
	while ((result = PQgetResult(conn)) != NULL) {
		if (result_state(result)[0])
			snprintf(state, sizeof(state), "%s", result_state(result));
		PQclear(result);
	}
	return state;
}

START_TEST(test_transaction_timeout)
{
	struct test_proxy *proxy =
		start(worker_counts[_i], 2,
		      "users = ({ name = \"app\"; transaction_timeout = \"700ms\"; });", NULL);
	PGconn *mine = db_open(proxy);
	PGconn *theirs = db_open_as(proxy, "other", "app", "");

	/* A statement that runs is cancelled, and its session ends. */
	ck_assert_int_eq(PQsendQuery(mine, PRIMARY "SELECT pg_sleep(60)"), 1);
	ck_assert_str_eq(final_state(mine), "25P04");
	ck_assert_int_eq(PQstatus(mine), CONNECTION_BAD);
	servers_must_get_clean("app");
	/* Short statements of a long transaction, too. */
	PQreset(mine);
	ck_assert_int_eq(PQstatus(mine), CONNECTION_OK);
	db_exec(mine, "BEGIN");
	while (PQstatus(mine) == CONNECTION_OK)
		PQclear(PQexec(mine, PRIMARY "SELECT pg_sleep(0.05)"));
	servers_must_get_clean("app");
	/* The limit is his alone. */
	ck_assert_str_eq(db_text(theirs, PRIMARY "SELECT 'done' FROM pg_sleep(1.5)"), "done");
	PQfinish(mine);
	PQfinish(theirs);
	proxy_must_stop_after_errors(&proxy);
}
END_TEST

/* --- pool modes of users --- */

START_TEST(test_a_user_has_a_pool_mode)
{
	struct test_proxy *proxy = start(
		worker_counts[_i], 2,
		"users = ({ name = \"app\"; pool_mode = \"session\"; }, { name = \"other\"; "
		"pool_mode = \"statement\"; });",
		NULL);
	PGconn *mine = db_open(proxy);
	PGconn *theirs = db_open_as(proxy, "other", "app", "");

	db_exec(mine, "CREATE TEMPORARY TABLE mine (a int)");
	ck_assert_int_eq(db_number(mine, "SELECT count(*) FROM mine"), 0);
	ck_assert_str_eq(db_last_route(mine), "session_mode");
	ck_assert_str_eq(db_error(theirs, "BEGIN"), "0A000");
	ck_assert_int_eq(db_number(theirs, "SELECT 1"), 1);
	PQfinish(mine);
	PQfinish(theirs);
	proxy_must_stop(&proxy);
}
END_TEST

/* --- reload --- */

START_TEST(test_reload_changes_sizes)
{
	struct test_proxy *proxy = start(worker_counts[_i], 5, NULL, NULL);
	PGconn *conns[5];

	open_all(proxy, conns, 5, "app", "app");
	for (int i = 0; i < 5; i++)
		hold(conns[i]);
	for (int i = 0; i < 4; i++)
		release(conns[i]);
	backends_must_reach("app", "app", 5);
	/* A reload that changes nothing closes nothing ... */
	ck_assert(proxy_reload(proxy));
	ck_assert_int_eq(backends("app", "app"), 5);
	/* ... a smaller pool closes idle servers, and the one in use when it comes back. */
	proxy->options.pool_size = 1;
	ck_assert(proxy_write_config(proxy));
	ck_assert(proxy_reload(proxy));
	backends_must_reach("app", "app", 1);
	ck_assert_int_eq(db_number(conns[4], PRIMARY "SELECT 1"), 1);
	release(conns[4]);
	ck_assert_int_eq(db_number(conns[0], PRIMARY "SELECT 1"), 1);
	backends_must_reach("app", "app", 1);
	/* Larger again: a waiter has a server of it at once. */
	hold(conns[0]);
	ask(conns[1]);
	admin_must_reach(proxy, "SHOW POOLS", "cl_waiting", 1);
	proxy->options.pool_size = 2;
	ck_assert(proxy_write_config(proxy));
	ck_assert(proxy_reload(proxy));
	must_be_answered(conns[1]);
	ck_assert_int_eq(backends("app", "app"), 2);
	finish_all(conns, 5);
	proxy_must_stop(&proxy);
}
END_TEST

START_TEST(test_reload_changes_timeouts)
{
	struct test_proxy *proxy = start(worker_counts[_i], 2, NULL, NULL);
	PGconn *conn = db_open(proxy);

	ck_assert_str_eq(db_text(conn, PRIMARY "SELECT 'done' FROM pg_sleep(0.5)"), "done");
	proxy->options.top = "query_timeout = \"200ms\";";
	ck_assert(proxy_write_config(proxy));
	ck_assert(proxy_reload(proxy));
	ck_assert_str_eq(db_error(conn, PRIMARY "SELECT pg_sleep(60)"), "57014");
	/* What a user's entry says goes before it. */
	proxy->options.top =
		"query_timeout = \"200ms\"; users = ({ name = \"app\"; query_timeout = 0; });";
	ck_assert(proxy_write_config(proxy));
	ck_assert(proxy_reload(proxy));
	ck_assert_str_eq(db_text(conn, PRIMARY "SELECT 'done' FROM pg_sleep(1.2)"), "done");
	PQfinish(conn);
	proxy_must_stop_after_errors(&proxy);
}
END_TEST

/* --- servers that are replaced --- */

START_TEST(test_server_lifetime)
{
	struct test_proxy *proxy = start(worker_counts[_i], 3, NULL, "server_lifetime = \"0\";");
	PGconn *conn = db_open(proxy);
	char first[32];

	/* 0: after one use. */
	snprintf(first, sizeof(first), "%s", db_text(conn, PRIMARY "SELECT txid_current()"));
	backends_must_reach("app", "app", 0);
	for (int i = 0; i < 5; i++)
		db_exec(conn, PRIMARY "SELECT 1");
	backends_must_reach("app", "app", 0);
	PQfinish(conn);
	proxy_must_stop(&proxy);
}
END_TEST

/* A server that has died unseen is found by the check, not by the client. */
START_TEST(test_server_check_query)
{
	struct test_proxy *proxy =
		start(worker_counts[_i], 1,
		      "server_check_delay = 0; server_check_query = \"SELECT 'alive'\";", NULL);
	PGconn *conn = db_open(proxy);

	ck_assert_int_eq(db_number(conn, PRIMARY "SELECT 1"), 1);
	ck_assert_int_eq(db_number(conn, PRIMARY "SELECT 2"), 2);
	server_must_reach(0,
			  "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app' AND "
			  "client_addr IS NOT NULL AND query LIKE '%SELECT 2'",
			  1);
	ck_assert_int_eq(db_number(conn, PRIMARY "SELECT count(*) FROM pg_stat_activity WHERE "
						 "usename = 'app' AND client_addr IS NOT NULL"),
			 1);
	PQfinish(conn);
	proxy_must_stop(&proxy);
}
END_TEST

/* --- PAUSE --- */

START_TEST(test_pause_reaches_databases_named_later)
{
	struct test_proxy *proxy = start(worker_counts[_i], 2, NULL, NULL);
	PGresult *result = proxy_admin(proxy, "PAUSE");
	struct raw *raw;

	ck_assert_int_eq(PQresultStatus(result), PGRES_COMMAND_OK);
	PQclear(result);
	raw = raw_open(proxy->port);
	ck_assert(raw_startup(raw, 0, "app", "postgres", NULL));
	admin_must_reach(proxy, "SHOW POOLS", "cl_waiting", 1);
	ck_assert_int_eq(backends("postgres", "app"), 0);
	result = proxy_admin(proxy, "RESUME");
	ck_assert_int_eq(PQresultStatus(result), PGRES_COMMAND_OK);
	PQclear(result);
	while (raw_read(raw) != 'Z')
		ck_assert(!raw->dead);
	raw_close(&raw);
	proxy_must_stop(&proxy);
}
END_TEST

static Suite *limits_suite(void)
{
	Suite *suite = suite_create("limits");
	TCase *tcase = integration_case(suite, "limits", 60);

	tcase_add_loop_test(tcase, test_pool_size_is_one_for_all_workers, 0, WORKERS);
	tcase_add_loop_test(tcase, test_reserve_pool, 0, WORKERS);
	tcase_add_loop_test(tcase, test_min_pool_size, 0, WORKERS);
	tcase_add_loop_test(tcase, test_min_pool_size_with_a_forced_user, 0, WORKERS);
	tcase_add_loop_test(tcase, test_max_db_connections, 0, WORKERS);
	tcase_add_loop_test(tcase, test_max_user_connections, 0, WORKERS);
	tcase_add_loop_test(tcase, test_client_limits, 0, WORKERS);
	tcase_add_loop_test(tcase, test_who_waits_is_told_and_then_fails, 0, WORKERS);
	tcase_add_loop_test(tcase, test_transaction_timeout, 0, WORKERS);
	tcase_add_loop_test(tcase, test_a_user_has_a_pool_mode, 0, WORKERS);
	tcase_add_loop_test(tcase, test_reload_changes_sizes, 0, WORKERS);
	tcase_add_loop_test(tcase, test_reload_changes_timeouts, 0, WORKERS);
	tcase_add_loop_test(tcase, test_server_lifetime, 0, WORKERS);
	tcase_add_loop_test(tcase, test_server_check_query, 0, WORKERS);
	tcase_add_loop_test(tcase, test_pause_reaches_databases_named_later, 0, WORKERS);
	return suite;
}

INTEGRATION_SUITE(limits_suite)
