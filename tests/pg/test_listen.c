/*
 * LISTEN and NOTIFY without a server for each listener: who hears what, and when, must be what a
 * server of one's own would do; how many servers listen, pg_stat_activity says.
 */
#include "integration.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct test_proxy *one_server; /* transaction mode, one server for all */
static struct test_proxy *many_workers;
static struct test_proxy *session_mode;
static struct test_proxy *statement_mode;

static void set_up(void)
{
	one_server = proxy_must_start(
		&(struct proxy_options){ .pool_size = 1, .top = "client_buffer = \"64kB\";" });
	many_workers = proxy_must_start(&(struct proxy_options){ .workers = 4 });
	session_mode = proxy_must_start(
		&(struct proxy_options){ .pool_mode = "session", .pool_size = 2 });
	statement_mode = proxy_must_start(
		&(struct proxy_options){ .pool_mode = "statement", .pool_size = 1 });
}

static void tear_down(void)
{
	proxy_must_stop_after_errors(&one_server);
	proxy_must_stop_after_errors(&many_workers);
	proxy_must_stop_after_errors(&session_mode);
	proxy_must_stop_after_errors(&statement_mode);
}

#define LISTENERS                                                          \
	"SELECT count(*) FROM pg_stat_activity WHERE datname = 'app' AND " \
	"application_name = 'pointsman listening'"

/* The next notification, waited for; NULL when the connection ends instead. */
static PGnotify *await(PGconn *conn)
{
	for (;;) {
		PGnotify *notify = PQnotifies(conn);
		struct pollfd fd = { .fd = PQsocket(conn), .events = POLLIN };

		if (notify || PQstatus(conn) != CONNECTION_OK)
			return notify;
		ck_assert_int_eq(poll(&fd, 1, 10000), 1);
		if (!PQconsumeInput(conn))
			return PQnotifies(conn);
	}
}

static void must_hear(PGconn *conn, const char *channel, const char *payload)
{
	PGnotify *notify = await(conn);

	ck_assert_ptr_nonnull(notify);
	ck_assert_str_eq(notify->relname, channel);
	ck_assert_str_eq(notify->extra, payload);
	PQfreemem(notify);
}

/* It is there already. */
static void must_have_heard(PGconn *conn, const char *channel, const char *payload)
{
	PGnotify *notify = PQnotifies(conn);

	ck_assert_ptr_nonnull(notify);
	ck_assert_str_eq(notify->relname, channel);
	ck_assert_str_eq(notify->extra, payload);
	PQfreemem(notify);
}

static void notify(const char *channel, const char *payload)
{
	char sql[256];

	snprintf(sql, sizeof(sql), "NOTIFY %s, '%s'", channel, payload);
	ck_assert(cluster_exec(servers, 0, "app", sql));
}

/*
 * Nothing but this has come before it: what was sent earlier on another channel would be there by
 * now, since one connection hears both, in order.
 */
static void must_hear_only(PGconn *conn, const char *payload)
{
	notify("mark", payload);
	must_hear(conn, "mark", payload);
}

START_TEST(test_listeners_hold_no_server)
{
	PGconn *one = db_open(one_server);
	PGconn *two = db_open(one_server);

	db_exec(one, "LISTEN shared");
	db_exec(two, "LISTEN shared");
	db_exec(two, "LISTEN \"Odd \"\"name\"");
	/* Both go on, with one server between them. */
	db_exec(one, "BEGIN");
	db_exec(one, "SELECT 1");
	db_exec(one, "COMMIT");
	ck_assert_int_eq(db_number(two, "SELECT 2"), 2);
	admin_must_reach(one_server, "SHOW CHANNELS", "sessions", 3);
	ck_assert_int_eq(cluster_number(servers, 0, "app", LISTENERS), 1);
	notify("shared", "hello");
	must_hear(one, "shared", "hello");
	must_hear(two, "shared", "hello");
	notify("\"Odd \"\"name\"", "odd");
	must_hear(two, "Odd \"name", "odd");
	/* From one client of the proxy to another, and to itself. */
	db_exec(one, "NOTIFY shared, 'mine'");
	/* Its own is there when the command is over, as with a server of its own. */
	must_have_heard(one, "shared", "mine");
	must_hear(two, "shared", "mine");
	PQfinish(one);
	PQfinish(two);
	admin_must_reach(one_server, "SHOW CHANNELS", "sessions", 0);
	server_must_reach(0, LISTENERS, 0);
}
END_TEST

START_TEST(test_transactions_decide_who_listens)
{
	PGconn *conn = db_open(one_server);

	db_exec(conn, "LISTEN mark");
	db_exec(conn, "BEGIN");
	db_exec(conn, "LISTEN gone");
	db_exec(conn, "ROLLBACK");
	notify("gone", "not heard");
	must_hear_only(conn, "1");
	db_exec(conn, "BEGIN");
	db_exec(conn, "SAVEPOINT s");
	db_exec(conn, "LISTEN gone");
	db_exec(conn, "ROLLBACK TO s");
	db_exec(conn, "LISTEN kept");
	db_exec(conn, "COMMIT");
	notify("gone", "not heard");
	notify("kept", "heard");
	must_hear(conn, "kept", "heard");
	/* UNLISTEN that is rolled back has not been. */
	db_exec(conn, "BEGIN");
	db_exec(conn, "UNLISTEN *");
	db_exec(conn, "ROLLBACK");
	notify("kept", "still");
	must_hear(conn, "kept", "still");
	/* In one transaction, both. */
	db_exec(conn, "BEGIN");
	db_exec(conn, "LISTEN new");
	db_exec(conn, "NOTIFY new, 'own'");
	db_exec(conn, "COMMIT");
	must_have_heard(conn, "new", "own");
	/* What somebody else has sent is there at the end of the next command, whatever it is. */
	notify("mark", "others");
	db_exec(conn, "SELECT 1");
	must_have_heard(conn, "mark", "others");
	PQfinish(conn);
}
END_TEST

START_TEST(test_notifications_wait_for_the_end_of_a_transaction)
{
	PGconn *conn = db_open(one_server);

	db_exec(conn, "LISTEN mark");
	db_exec(conn, "BEGIN");
	db_exec(conn, "SELECT 1");
	notify("mark", "late");
	/* A server would not interrupt the transaction either. */
	for (int i = 0; i < 20; i++)
		db_exec(conn, "SELECT pg_sleep(0.01)");
	ck_assert_ptr_null(PQnotifies(conn));
	db_exec(conn, "COMMIT");
	must_have_heard(conn, "mark", "late");
	PQfinish(conn);
}
END_TEST

START_TEST(test_unlisten)
{
	PGconn *conn = db_open(one_server);

	db_exec(conn, "LISTEN mark; LISTEN a; LISTEN b; LISTEN c");
	db_exec(conn, "UNLISTEN a");
	notify("a", "not heard");
	notify("b", "heard");
	must_hear(conn, "b", "heard");
	db_exec(conn, "UNLISTEN *");
	admin_must_reach(one_server, "SHOW CHANNELS", "sessions", 0);
	notify("c", "not heard");
	db_exec(conn, "LISTEN mark");
	must_hear_only(conn, "2");
	db_exec(conn, "DISCARD ALL");
	admin_must_reach(one_server, "SHOW CHANNELS", "sessions", 0);
	PQfinish(conn);
}
END_TEST

START_TEST(test_extended_protocol)
{
	PGconn *conn = db_open(one_server);
	PGresult *result;

	db_exec(conn, "LISTEN mark");
	result = PQexecParams(conn, "LISTEN extended", 0, NULL, NULL, NULL, NULL, 0);
	ck_assert_int_eq(PQresultStatus(result), PGRES_COMMAND_OK);
	ck_assert_str_eq(PQcmdStatus(result), "LISTEN");
	PQclear(result);
	PQclear(PQprepare(conn, "l", "LISTEN prepared", 0, NULL));
	result = PQdescribePrepared(conn, "l");
	ck_assert_int_eq(PQresultStatus(result), PGRES_COMMAND_OK);
	ck_assert_int_eq(PQnfields(result), 0);
	PQclear(result);
	result = PQexecPrepared(conn, "l", 0, NULL, NULL, NULL, 0);
	ck_assert_int_eq(PQresultStatus(result), PGRES_COMMAND_OK);
	PQclear(result);
	notify("extended", "1");
	notify("prepared", "2");
	must_hear(conn, "extended", "1");
	must_hear(conn, "prepared", "2");
	/* A batch that fails behind it leaves nothing of it. */
	ck_assert_int_eq(PQenterPipelineMode(conn), 1);
	PQsendQueryParams(conn, "LISTEN failed", 0, NULL, NULL, NULL, NULL, 0);
	PQsendQueryParams(conn, "SELECT 1/0", 0, NULL, NULL, NULL, NULL, 0);
	PQpipelineSync(conn);
	while ((result = PQgetResult(conn)) == NULL ||
	       PQresultStatus(result) != PGRES_PIPELINE_SYNC)
		PQclear(result);
	PQclear(result);
	ck_assert_int_eq(PQexitPipelineMode(conn), 1);
	notify("failed", "not heard");
	must_hear_only(conn, "3");
	PQfinish(conn);
}
END_TEST

static int admin_rows(const char *command)
{
	PGresult *result = proxy_admin(one_server, command);
	int rows = PQntuples(result);

	ck_assert_str_eq(result_state(result), "");
	PQclear(result);
	return rows;
}

/* What cannot be taken apart goes to a server, which is kept. */
START_TEST(test_mixed_query_keeps_its_server)
{
	PGconn *conn = db_open(one_server);

	db_exec(conn, "SELECT 1; LISTEN mixed");
	ck_assert_int_eq(admin_rows("SHOW PINS"), 1);
	notify("mixed", "heard");
	must_hear(conn, "mixed", "heard");
	PQfinish(conn);
	servers_must_get_clean("app");
}
END_TEST

START_TEST(test_one_connection_for_all_workers)
{
	PGconn *conns[40];

	for (int i = 0; i < 40; i++) {
		conns[i] = db_open(many_workers);
		db_exec(conns[i], i % 2 ? "LISTEN odd" : "LISTEN even");
		db_exec(conns[i], "LISTEN every");
	}
	ck_assert_int_eq(cluster_number(servers, 0, "app", LISTENERS), 1);
	for (int round = 0; round < 20; round++) {
		notify("odd", "o");
		notify("even", "e");
		notify("every", "a");
	}
	for (int i = 0; i < 40; i++) {
		for (int round = 0; round < 20; round++) {
			must_hear(conns[i], i % 2 ? "odd" : "even", i % 2 ? "o" : "e");
			must_hear(conns[i], "every", "a");
		}
		PQfinish(conns[i]);
	}
	admin_must_reach(many_workers, "SHOW CHANNELS", "sessions", 0);
	server_must_reach(0, LISTENERS, 0);
}
END_TEST

/* To libpq a FATAL between two queries is a notice. */
static char last_words[512];

static void keep_words(void *context, const char *message)
{
	(void)context;
	snprintf(last_words, sizeof(last_words), "%s", message);
}

/* Who may have missed something is told so, as by a server that goes. */
START_TEST(test_loss_of_the_listening_connection_is_told)
{
	PGconn *listener = db_open(many_workers);
	PGconn *other = db_open(many_workers);

	PQsetNoticeProcessor(listener, keep_words, NULL);
	db_exec(listener, "LISTEN lost");
	server_must_reach(0,
			  "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE "
			  "datname = 'app' AND application_name = 'pointsman listening'",
			  1);
	ck_assert_ptr_null(await(listener));
	ck_assert_int_eq(PQstatus(listener), CONNECTION_BAD);
	ck_assert_ptr_nonnull(strstr(last_words, "may have been missed"));
	db_exec(other, "SELECT 1");
	PQreset(listener);
	db_exec(listener, "LISTEN lost");
	notify("lost", "again");
	must_hear(listener, "lost", "again");
	PQfinish(listener);
	PQfinish(other);
}
END_TEST

START_TEST(test_notifications_that_wait_are_bounded)
{
	PGconn *conn = db_open(one_server);

	PQsetNoticeProcessor(conn, keep_words, NULL);
	db_exec(conn, "LISTEN flood");
	db_exec(conn, "BEGIN");
	db_exec(conn, "SELECT 1");
	ck_assert(cluster_exec(servers, 0, "app",
			       "SELECT pg_notify('flood', i || repeat('x', 7000)) FROM "
			       "generate_series(1, 100) i"));
	while (PQstatus(conn) == CONNECTION_OK) {
		struct pollfd fd = { .fd = PQsocket(conn), .events = POLLIN };

		ck_assert_int_eq(poll(&fd, 1, 10000), 1);
		PQconsumeInput(conn);
		PQisBusy(conn);
	}
	ck_assert_ptr_nonnull(strstr(last_words, "too many notifications"));
	PQfinish(conn);
	servers_must_get_clean("app");
}
END_TEST

START_TEST(test_pause_does_not_wait_for_listeners)
{
	PGconn *conn = db_open(one_server);

	db_exec(conn, "LISTEN mark");
	admin_rows("PAUSE");
	must_hear_only(conn, "paused");
	admin_rows("RESUME");
	PQfinish(conn);
}
END_TEST

START_TEST(test_other_modes)
{
	PGconn *session = db_open(session_mode);
	PGconn *statement = db_open(statement_mode);

	db_exec(session, "LISTEN mark");
	db_exec(statement, "LISTEN mark");
	must_hear_only(session, "modes");
	must_hear(statement, "mark", "modes");
	PQfinish(session);
	PQfinish(statement);
	servers_must_get_clean("app");
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("listen");
	TCase *tcase = integration_case(suite, "listen", 60);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, test_listeners_hold_no_server);
	tcase_add_test(tcase, test_transactions_decide_who_listens);
	tcase_add_test(tcase, test_notifications_wait_for_the_end_of_a_transaction);
	tcase_add_test(tcase, test_unlisten);
	tcase_add_test(tcase, test_extended_protocol);
	tcase_add_test(tcase, test_mixed_query_keeps_its_server);
	tcase_add_test(tcase, test_one_connection_for_all_workers);
	tcase_add_test(tcase, test_loss_of_the_listening_connection_is_told);
	tcase_add_test(tcase, test_notifications_that_wait_are_bounded);
	tcase_add_test(tcase, test_pause_does_not_wait_for_listeners);
	tcase_add_test(tcase, test_other_modes);
	return suite;
}
INTEGRATION_SUITE(make_suite)
