/*
 * The three pool modes: how long a session keeps its server, and what it may do meanwhile. Which
 * server it has, the server says itself (pg_backend_pid() within a transaction, application_name
 * in pg_stat_activity).
 */
#include "integration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct test_proxy *session_mode;
static struct test_proxy *transaction_mode;
static struct test_proxy *statement_mode;

static void set_up(void)
{
	if (!cluster_exec(servers, 0, "app",
			  "DROP TABLE IF EXISTS pool_mode; CREATE TABLE pool_mode (a int); "
			  "GRANT ALL ON pool_mode TO app; "
			  "CREATE OR REPLACE FUNCTION pool_mode_setter() RETURNS void "
			  "LANGUAGE plpgsql AS $f$ BEGIN "
			  "PERFORM set_config('work_mem', '6MB', false); "
			  "CREATE TEMP TABLE IF NOT EXISTS leak (a int); "
			  "PERFORM pg_advisory_lock(77); END $f$") ||
	    !cluster_wait_replay_all(servers))
		integration_fail("pool_mode: the table");
	session_mode = proxy_must_start(
		&(struct proxy_options){ .pool_mode = "session", .pool_size = 2, .workers = 2 });
	transaction_mode = proxy_must_start(
		&(struct proxy_options){ .pool_mode = "transaction", .pool_size = 1 });
	statement_mode = proxy_must_start(
		&(struct proxy_options){ .pool_mode = "statement", .pool_size = 1 });
}

static void tear_down(void)
{
	proxy_must_stop_after_errors(&session_mode);
	proxy_must_stop_after_errors(&transaction_mode);
	proxy_must_stop_after_errors(&statement_mode);
}

#define PRIMARY "/* pointsman: read_hint=primary */ "

/* --- session --- */

START_TEST(test_session_keeps_its_server)
{
	PGconn *conn = db_open(session_mode);
	long long pid = db_number(conn, "SELECT pg_backend_pid()");

	for (int i = 0; i < 10; i++)
		ck_assert_int_eq(db_number(conn, "SELECT pg_backend_pid()"), pid);
	/* With all that a server of one's own is good for. */
	db_exec(conn, "CREATE TEMPORARY TABLE s (a int)");
	db_exec(conn, "PREPARE q AS SELECT 7");
	db_exec(conn, "DECLARE c CURSOR WITH HOLD FOR SELECT 8");
	ck_assert_int_eq(db_number(conn, "EXECUTE q"), 7);
	ck_assert_int_eq(db_number(conn, "FETCH c"), 8);
	ck_assert_int_eq(db_number(conn, "SELECT count(*) FROM s"), 0);
	PQfinish(conn);
}
END_TEST

START_TEST(test_session_waits_for_a_server)
{
	PGconn *one = db_open(session_mode);
	PGconn *two = db_open(session_mode);
	PGconn *three = db_open(session_mode);
	PGresult *result;

	db_exec(one, "SELECT 1");
	db_exec(two, "SELECT 1");
	ck_assert_int_eq(PQsendQuery(three, "SELECT 3"), 1);
	admin_must_reach(session_mode, "SHOW POOLS", "cl_waiting", 1);
	PQfinish(one);
	result = PQgetResult(three);
	ck_assert_int_eq(PQresultStatus(result), PGRES_TUPLES_OK);
	PQclear(result);
	ck_assert_ptr_null(PQgetResult(three));
	PQfinish(two);
	PQfinish(three);
}
END_TEST

/* server_reset_query: the next session finds nothing of this one. */
START_TEST(test_session_leaves_nothing)
{
	for (int i = 0; i < 6; i++) {
		PGconn *conn = db_open(session_mode);

		ck_assert_str_eq(db_error(conn, "SELECT * FROM left_over"), "42P01");
		ck_assert_str_eq(db_error(conn, "EXECUTE left_over"), "26000");
		ck_assert_str_eq(db_text(conn, "SHOW work_mem"), "4MB");
		ck_assert_str_eq(db_text(conn, "SELECT pg_try_advisory_lock(99)"), "t");
		db_exec(conn, "CREATE TEMPORARY TABLE left_over (a int)");
		db_exec(conn, "PREPARE left_over AS SELECT 1");
		db_exec(conn, "SET work_mem = '9MB'");
		if (i % 2 == 0)
			db_exec(conn, "BEGIN; INSERT INTO pool_mode VALUES (1)");
		PQfinish(conn);
		/* The end of a session takes a moment, and the next one may get the other server.
		 */
		server_must_reach(0, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
				  0);
	}
	servers_must_get_clean("app");
	ck_assert_int_eq(cluster_number(servers, 0, "app", "SELECT count(*) FROM pool_mode"), 0);
}
END_TEST

/* --- transaction --- */

START_TEST(test_transaction_mode_shares_a_server)
{
	PGconn *one = db_open(transaction_mode);
	PGconn *two = db_open(transaction_mode);
	PGresult *result;

	db_exec(one, "BEGIN");
	db_exec(one, "SELECT 1");
	ck_assert_int_eq(PQsendQuery(two, PRIMARY "SELECT 2"), 1);
	admin_must_reach(transaction_mode, "SHOW POOLS", "cl_waiting", 1);
	/* Between two statements of the transaction nobody else gets in. */
	for (int i = 0; i < 10; i++)
		db_exec(one, "SELECT 1");
	ck_assert_int_eq(PQconsumeInput(two), 1);
	ck_assert_int_eq(PQisBusy(two), 1);
	db_exec(one, "COMMIT");
	result = PQgetResult(two);
	ck_assert_int_eq(PQresultStatus(result), PGRES_TUPLES_OK);
	PQclear(result);
	ck_assert_ptr_null(PQgetResult(two));
	PQfinish(one);
	PQfinish(two);
	server_must_reach(0,
			  "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app' AND "
			  "usename = 'app' AND state = 'idle in transaction'",
			  0);
}
END_TEST

START_TEST(test_transaction_mode_gives_back_after_each_statement)
{
	PGconn *conns[5];

	for (int i = 0; i < 5; i++)
		conns[i] = db_open(transaction_mode);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(db_number(conns[i % 5], PRIMARY "SELECT 1"), 1);
	ck_assert_int_le(
		proxy_admin_sum(transaction_mode, "SHOW POOLS", "sv_idle", "database", "app"), 3);
	ck_assert_int_eq(
		proxy_admin_sum(transaction_mode, "SHOW POOLS", "sv_active", "database", "app"),
		0);
	for (int i = 0; i < 5; i++)
		PQfinish(conns[i]);
}
END_TEST

/* --- statement --- */

START_TEST(test_statement_mode_refuses_transactions)
{
	static const char *const refused[] = { "BEGIN", "START TRANSACTION", "BEGIN; SELECT 1" };
	PGconn *conn = db_open(statement_mode);
	const char *state = db_error(conn, refused[_i]);

	ck_assert_msg(state[0] != '\0', "%s is refused", refused[_i]);
	if (PQstatus(conn) == CONNECTION_BAD)
		PQreset(conn);
	ck_assert_int_eq(PQtransactionStatus(conn), PQTRANS_IDLE);
	ck_assert_int_eq(db_number(conn, "SELECT 1"), 1);
	PQfinish(conn);
	servers_must_get_clean("app");
}
END_TEST

START_TEST(test_statement_mode_runs_statements)
{
	PGconn *one = db_open(statement_mode);
	PGconn *two = db_open(statement_mode);

	for (int i = 0; i < 20; i++) {
		db_exec(one, "INSERT INTO pool_mode VALUES (1)");
		db_exec(two, "INSERT INTO pool_mode VALUES (2)");
	}
	ck_assert_int_eq(db_number(one, PRIMARY "SELECT count(*) FROM pool_mode"), 40);
	/* Several statements in one text are one request. */
	db_exec(one, "INSERT INTO pool_mode VALUES (3); DELETE FROM pool_mode");
	ck_assert_int_eq(db_number(two, PRIMARY "SELECT count(*) FROM pool_mode"), 0);
	PQfinish(one);
	PQfinish(two);
}
END_TEST

/* --- limits --- */

START_TEST(test_query_wait_timeout)
{
	struct test_proxy *impatient = proxy_must_start(&(struct proxy_options){
		.pool_size = 1, .top = "query_wait_timeout = \"300ms\";" });
	PGconn *holder = db_open(impatient);
	PGconn *waiter = db_open(impatient);
	const char *state;

	db_exec(holder, "BEGIN; SELECT 1");
	state = db_error(waiter, PRIMARY "SELECT 1");
	ck_assert_msg(strcmp(state, "53300") == 0 || strcmp(state, "57P03") == 0, "%s", state);
	db_exec(holder, "COMMIT");
	if (PQstatus(waiter) == CONNECTION_BAD)
		PQreset(waiter);
	ck_assert_int_eq(db_number(waiter, PRIMARY "SELECT 1"), 1);
	PQfinish(holder);
	PQfinish(waiter);
	proxy_must_stop_after_errors(&impatient);
}
END_TEST

START_TEST(test_max_client_conn)
{
	struct test_proxy *small =
		proxy_must_start(&(struct proxy_options){ .workers = 2, .max_client_conn = 5 });
	PGconn *conns[5];
	struct raw *raw;

	for (int i = 0; i < 5; i++)
		conns[i] = db_open(small);
	raw = raw_open(small->port);
	ck_assert_ptr_nonnull(raw);
	raw_startup(raw, 0, "app", "app", NULL);
	ck_assert(raw_expect_end(raw));
	ck_assert_str_eq(raw_error_field(raw, 'C'), "53300");
	raw_close(&raw);
	for (int i = 0; i < 5; i++)
		PQfinish(conns[i]);
	admin_must_reach(small, "SHOW POOLS", "cl_active", 0);
	conns[0] = db_open(small);
	PQfinish(conns[0]);
	proxy_must_stop_after_errors(&small);
}
END_TEST

START_TEST(test_query_timeout)
{
	struct test_proxy *strict =
		proxy_must_start(&(struct proxy_options){ .top = "query_timeout = \"300ms\";" });
	PGconn *conn = db_open(strict);
	const char *state = db_error(conn, PRIMARY "SELECT pg_sleep(60)");

	ck_assert_str_eq(state, "57014");
	if (PQstatus(conn) == CONNECTION_BAD)
		PQreset(conn);
	ck_assert_int_eq(db_number(conn, "SELECT 1"), 1);
	PQfinish(conn);
	servers_must_get_clean("app");
	proxy_must_stop_after_errors(&strict);
}
END_TEST

START_TEST(test_idle_transaction_timeout)
{
	struct test_proxy *strict = proxy_must_start(
		&(struct proxy_options){ .top = "idle_transaction_timeout = \"300ms\";" });
	PGconn *conn = db_open(strict);
	int64_t until = support_now_ms() + 10000;

	db_exec(conn, "BEGIN");
	db_exec(conn, "INSERT INTO pool_mode VALUES (9)");
	servers_must_get_clean("app");
	while (PQstatus(conn) == CONNECTION_OK && support_now_ms() < until) {
		if (PQconsumeInput(conn) != 1)
			break;
		support_poll_pause();
	}
	ck_assert_str_ne(db_error(conn, "SELECT 1"), "");
	ck_assert_int_eq(
		cluster_number(servers, 0, "app", "SELECT count(*) FROM pool_mode WHERE a = 9"),
		0);
	PQfinish(conn);
	proxy_must_stop_after_errors(&strict);
}
END_TEST

static void revive(void)
{
	proxy_must_live(&session_mode);
	proxy_must_live(&transaction_mode);
	proxy_must_live(&statement_mode);
}

/* --- state that is set where nobody sees it (R-40) --- */

static struct {
	const char *sql;   /* sets it */
	const char *probe; /* what another session sees of it */
	const char *clean;
} const hidden[] = {
	{ "DO $$ BEGIN PERFORM set_config('search_path', 'evil', false); END $$",
	  "SHOW search_path", "\"$user\", public" },
	{ "UPDATE pg_settings SET setting = '1234' WHERE name = 'lock_timeout'",
	  "SHOW lock_timeout", "0" },
	{ "SELECT pool_mode_setter()", "SHOW work_mem", "4MB" },
	{ "SELECT pool_mode_setter()", "SELECT to_regclass('pg_temp.leak') IS NULL", "t" },
	{ "SELECT pool_mode_setter()",
	  "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", "0" },
	{ "DO $$ BEGIN CREATE TEMP TABLE leak (a int); END $$",
	  "SELECT to_regclass('pg_temp.leak') IS NULL", "t" },
};

START_TEST(test_hidden_state_meets_nobody)
{
	PGconn *one = db_open(transaction_mode);
	PGconn *two;

	db_exec(one, hidden[_i].sql);
	PQfinish(one);
	two = db_open(transaction_mode);
	ck_assert_str_eq(db_text(two, hidden[_i].probe), hidden[_i].clean);
	PQfinish(two);
}
END_TEST

/* The same while the one who set it is still there. */
START_TEST(test_hidden_state_meets_nobody_meanwhile)
{
	PGconn *one = db_open(transaction_mode);
	PGconn *two = db_open(transaction_mode);

	db_exec(one, hidden[_i].sql);
	ck_assert_str_eq(db_text(two, hidden[_i].probe), hidden[_i].clean);
	PQfinish(one);
	PQfinish(two);
}
END_TEST

static Suite *pool_mode_suite(void)
{
	Suite *suite = suite_create("pool_mode");
	TCase *tcase = integration_case(suite, "modes", 60);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_checked_fixture(tcase, revive, NULL);
	tcase_add_test(tcase, test_session_keeps_its_server);
	tcase_add_test(tcase, test_session_waits_for_a_server);
	tcase_add_test(tcase, test_session_leaves_nothing);
	tcase_add_test(tcase, test_transaction_mode_shares_a_server);
	tcase_add_test(tcase, test_transaction_mode_gives_back_after_each_statement);
	tcase_add_loop_test(tcase, test_statement_mode_refuses_transactions, 0, 3);
	tcase_add_test(tcase, test_statement_mode_runs_statements);

	tcase_add_loop_test(tcase, test_hidden_state_meets_nobody, 0,
			    (int)(sizeof(hidden) / sizeof(hidden[0])));
	tcase_add_loop_test(tcase, test_hidden_state_meets_nobody_meanwhile, 0,
			    (int)(sizeof(hidden) / sizeof(hidden[0])));

	tcase = integration_case(suite, "limits", 60);
	tcase_add_test(tcase, test_query_wait_timeout);
	tcase_add_test(tcase, test_max_client_conn);
	tcase_add_test(tcase, test_query_timeout);
	tcase_add_test(tcase, test_idle_transaction_timeout);
	return suite;
}

INTEGRATION_SUITE(pool_mode_suite)
