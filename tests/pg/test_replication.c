/*
 * Replication connections through the proxy: a backup, a standby, the WAL received by a program,
 * logical decoding, a subscription; where they come from, what shows them, how they end.
 */
#include "integration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	PROGRAM_TIMEOUT_MS = 60000,
	WAIT_MS = 30000
};

static struct test_cluster *source; /* a primary and a replica, with wal_level = logical */
static struct test_proxy *proxy;

static void set_up(void)
{
	source = cluster_start(1, "wal_level = logical\nwal_sender_timeout = '20s'\n");
	if (source == NULL) {
		integration_fail("the source of replication starts");
		return;
	}
	proxy = proxy_start(source, &(struct proxy_options){ .workers = 2 });
	if (proxy == NULL)
		integration_fail("the proxy starts");
	else if (!cluster_exec(source, 0, "app",
			       "CREATE TABLE r (n int PRIMARY KEY, t text);"
			       "GRANT ALL ON r TO PUBLIC;"
			       "INSERT INTO r SELECT n, repeat('x', n % 1000) "
			       "FROM generate_series(1, 5000) n;"
			       "CREATE PUBLICATION p FOR TABLE r"))
		integration_fail("the source gets its table");
}

static void tear_down(void)
{
	if (proxy != NULL)
		proxy_must_stop_after_errors(&proxy);
	cluster_stop(&source, CLUSTER_STOP_IMMEDIATE);
}

/* --- programs --- */

static void program_path(char out[PATH_MAX], const char *name)
{
	support_path(out, "%.2000s/%s", source->bin, name);
}

/* Runs one of PostgreSQL's programs as the servers' user; what it prints is in `log`. */
static int run(const char *name, const char *const *more, char log[PATH_MAX])
{
	const char *argv[24];
	char path[PATH_MAX];
	pid_t pid;
	int status;
	size_t n = 0;

	program_path(path, name);
	argv[n++] = path;
	while (*more != NULL)
		argv[n++] = *more++;
	argv[n] = NULL;
	support_path(log, "%.2000s/%s-%d.out", source->directory, name, (int)getpid());
	unlink(log);
	pid = support_spawn(
		&(struct support_command){ .argv = argv, .out = log, .as_server_user = true });
	ck_assert(support_wait_gone(pid, PROGRAM_TIMEOUT_MS, &status));
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		support_show_tail(log);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

#define RUN(log, name, ...) run(name, (const char *const[]){ __VA_ARGS__, NULL }, log)

static void directory(char out[PATH_MAX], const char *name)
{
	support_path(out, "%.2000s/%s-%d", source->directory, name, (int)getpid());
}

static const char *source_text(const char *sql)
{
	static char text[256];
	char *value = cluster_query(source, 0, "app", sql);

	ck_assert_ptr_nonnull(value);
	snprintf(text, sizeof(text), "%s", value);
	free(value);
	return text;
}

/* --- conditions --- */

static void source_must_reach(const char *sql, long long number)
{
	int64_t until = support_now_ms() + WAIT_MS;
	long long got;

	while ((got = cluster_number(source, 0, "app", sql)) != number &&
	       support_now_ms() < until)
		support_poll_pause();
	ck_assert_msg(got == number, "%s: %lld, not %lld", sql, got, number);
}

/* --- tests --- */

START_TEST(test_backup)
{
	char data[PATH_MAX];
	char log[PATH_MAX];
	char *conninfo = proxy_conninfo(proxy, "repl", "replication", NULL);

	directory(data, "backup");
	/* Two connections at once: the files, and the WAL meanwhile. */
	ck_assert_int_eq(RUN(log, "pg_basebackup", "-d", conninfo, "-D", data, "-X", "stream",
			     "-c", "fast", "--no-sync"),
			 0);
	ck_assert_int_eq(RUN(log, "pg_verifybackup", data), 0);
	admin_must_reach(proxy, "SHOW PINS", "client", 0);
	source_must_reach("SELECT count(*) FROM pg_stat_replication WHERE usename = 'repl'", 0);
	free(conninfo);
}
END_TEST

struct standby {
	PGconn *conn;
	pid_t pid;
};

static struct standby start_standby(const char *data)
{
	struct standby standby;
	char path[PATH_MAX];
	char log[PATH_MAX];
	char port[16];
	char conninfo[256];
	int64_t until = support_now_ms() + WAIT_MS;

	program_path(path, "postgres");
	snprintf(port, sizeof(port), "%d", support_free_port());
	support_path(log, "%.2000s/standby.log", source->directory);
	standby.pid = support_spawn(&(struct support_command){
		.argv = (const char *const[]){ path, "-D", data, "-p", port, "-c",
					       "cluster_name=standby", NULL },
		.out = log,
		.as_server_user = true });
	snprintf(conninfo, sizeof(conninfo), "host=%.100s port=%s user=postgres dbname=app",
		 source->directory, port);
	while (PQstatus(standby.conn = PQconnectdb(conninfo)) != CONNECTION_OK) {
		PQfinish(standby.conn);
		if (support_now_ms() > until) {
			support_show_tail(log);
			ck_abort_msg("the standby does not start");
		}
		support_poll_pause();
	}
	return standby;
}

static void standby_must_reach(PGconn *conn, const char *sql, long long number)
{
	int64_t until = support_now_ms() + WAIT_MS;
	long long got;

	while ((got = db_number(conn, sql)) != number && support_now_ms() < until)
		support_poll_pause();
	ck_assert_msg(got == number, "%s on the standby: %lld, not %lld", sql, got, number);
}

/* A standby that has nothing but the proxy: it streams, shows up, and comes back. */
START_TEST(test_standby)
{
	char data[PATH_MAX];
	char log[PATH_MAX];
	char more[] = "application_name=standby1";
	char *conninfo = proxy_conninfo(proxy, "repl", "replication", more);
	struct standby standby;

	directory(data, "standby");
	ck_assert_int_eq(RUN(log, "pg_basebackup", "-d", conninfo, "-D", data, "-X", "stream",
			     "-c", "fast", "--no-sync", "-R"),
			 0);
	standby = start_standby(data);
	source_must_reach("SELECT count(*) FROM pg_stat_replication WHERE application_name = "
			  "'standby1' AND state = 'streaming'",
			  1);
	ck_assert(cluster_exec(source, 0, "app",
			       "INSERT INTO r SELECT n, repeat('y', 2000) "
			       "FROM generate_series(10001, 30000) n"));
	standby_must_reach(standby.conn, "SELECT count(*) FROM r WHERE n > 10000", 20000);
	ck_assert_int_eq(proxy_admin_sum(proxy, "SHOW CLIENTS", "port", "pin", "replication") > 0,
			 1);
	ck_assert_int_eq(
		proxy_admin_sum(proxy, "SHOW CLIENTS", "port", "replication", "physical") > 0, 1);
	ck_assert_int_eq(
		proxy_admin_sum(proxy, "SHOW SERVERS", "port", "replication", "physical"),
		source->nodes[0].port);
	/* The walsender goes: so does the connection to it, and the standby asks for another. */
	ck_assert(cluster_exec(source, 0, "app",
			       "SELECT pg_terminate_backend(pid) FROM pg_stat_replication "
			       "WHERE application_name = 'standby1'"));
	ck_assert(cluster_exec(source, 0, "app", "DELETE FROM r WHERE n > 10000"));
	standby_must_reach(standby.conn, "SELECT count(*) FROM r WHERE n > 10000", 0);
	PQfinish(standby.conn);
	kill(standby.pid, SIGQUIT);
	ck_assert(support_wait_gone(standby.pid, WAIT_MS, NULL));
	/* Nothing is left of it, here or there. */
	source_must_reach("SELECT count(*) FROM pg_stat_replication WHERE usename = 'repl'", 0);
	admin_must_reach(proxy, "SHOW PINS", "client", 0);
	free(conninfo);
}
END_TEST

START_TEST(test_receivewal)
{
	char data[PATH_MAX];
	char log[PATH_MAX];
	char *conninfo = proxy_conninfo(proxy, "repl", "replication", NULL);
	char end[64];

	directory(data, "wal");
	ck_assert_int_eq(RUN(log, "pg_receivewal", "-d", conninfo, "--create-slot", "-S", "wal"),
			 0);
	ck_assert(cluster_exec(source, 0, "app", "UPDATE r SET t = t || 'z'"));
	snprintf(end, sizeof(end), "%s", source_text("SELECT pg_current_wal_lsn()"));
	ck_assert(mkdir(data, 0755) == 0 && chown(data, source->uid, source->gid) == 0);
	ck_assert_int_eq(RUN(log, "pg_receivewal", "-d", conninfo, "-D", data, "-S", "wal",
			     "--no-loop", "--no-sync", "-E", end),
			 0);
	ck_assert_int_eq(RUN(log, "pg_receivewal", "-d", conninfo, "--drop-slot", "-S", "wal"),
			 0);
	free(conninfo);
}
END_TEST

START_TEST(test_logical_decoding)
{
	char log[PATH_MAX];
	char *conninfo = proxy_conninfo(proxy, "repl", "app", NULL);
	char end[64];
	char *text;

	ck_assert_int_eq(RUN(log, "pg_recvlogical", "-d", conninfo, "--create-slot", "-S",
			     "logical", "-P", "test_decoding"),
			 0);
	ck_assert(
		cluster_exec(source, 0, "app",
			     "INSERT INTO r VALUES (20000001, 'decoded'), (20000002, repeat('d', "
			     "300000)); DELETE FROM r WHERE n > 20000000"));
	snprintf(end, sizeof(end), "%s", source_text("SELECT pg_current_wal_lsn()"));
	ck_assert_int_eq(RUN(log, "pg_recvlogical", "-d", conninfo, "--start", "-S", "logical",
			     "-f", "-", "--no-loop", "-E", end),
			 0);
	text = support_read_file(log, NULL);
	ck_assert_ptr_nonnull(strstr(text, "INSERT: n[integer]:20000001 t[text]:'decoded'"));
	ck_assert_ptr_nonnull(strstr(text, "DELETE: n[integer]:20000002"));
	free(text);
	ck_assert_int_eq(
		RUN(log, "pg_recvlogical", "-d", conninfo, "--drop-slot", "-S", "logical"), 0);
	free(conninfo);
}
END_TEST

static void subscriber_must_reach(struct test_cluster *subscriber, const char *sql,
				  long long number)
{
	int64_t until = support_now_ms() + WAIT_MS;
	long long got;

	while ((got = cluster_number(subscriber, 0, "app", sql)) != number &&
	       support_now_ms() < until)
		support_poll_pause();
	if (got != number)
		support_show_tail(subscriber->nodes[0].log);
	ck_assert_msg(got == number, "%s: %lld, not %lld", sql, got, number);
}

/* CREATE SUBSCRIPTION copies the table by SQL in a walsender, then streams. */
START_TEST(test_subscription)
{
	struct test_cluster *subscriber = cluster_start(0, NULL);
	char *conninfo = proxy_conninfo(proxy, "repl", "app", NULL);
	char sql[700];

	ck_assert_ptr_nonnull(subscriber);
	ck_assert(cluster_exec(source, 0, "app", "GRANT SELECT ON r TO repl"));
	ck_assert(
		cluster_exec(subscriber, 0, "app", "CREATE TABLE r (n int PRIMARY KEY, t text)"));
	snprintf(sql, sizeof(sql), "CREATE SUBSCRIPTION s CONNECTION '%.500s' PUBLICATION p",
		 conninfo);
	ck_assert(cluster_exec(subscriber, 0, "app", sql));
	subscriber_must_reach(subscriber, "SELECT count(*) FROM r",
			      cluster_number(source, 0, "app", "SELECT count(*) FROM r"));
	ck_assert(cluster_exec(source, 0, "app", "INSERT INTO r VALUES (30000001, 'streamed')"));
	subscriber_must_reach(subscriber, "SELECT count(*) FROM r WHERE n = 30000001", 1);
	ck_assert_int_eq(
		proxy_admin_sum(proxy, "SHOW CLIENTS", "port", "replication", "logical") > 0, 1);
	ck_assert(cluster_exec(subscriber, 0, "app", "DROP SUBSCRIPTION s"));
	ck_assert(cluster_exec(source, 0, "app", "DELETE FROM r WHERE n > 30000000"));
	source_must_reach("SELECT count(*) FROM pg_replication_slots", 0);
	cluster_stop(&subscriber, CLUSTER_STOP_IMMEDIATE);
	free(conninfo);
}
END_TEST

static PGconn *walsender(const char *kind, const char *more)
{
	char text[200];
	PGconn *conn;

	snprintf(text, sizeof(text), "replication=%s %s", kind, more);
	conn = proxy_connect_with(proxy, "repl", "app", text);
	ck_assert_msg(PQstatus(conn) == CONNECTION_OK, "%s", PQerrorMessage(conn));
	return conn;
}

static void must_identify(PGconn *conn)
{
	PGresult *result = PQexec(conn, "IDENTIFY_SYSTEM");

	ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(conn));
	ck_assert_int_eq(PQnfields(result), 4);
	PQclear(result);
}

/* From the primary, unless the client says that a standby may feed it. */
START_TEST(test_where_from)
{
	PGconn *primary = walsender("true", "");
	PGconn *cascade = walsender("true", "options='-c pointsman.read_hint=replica'");

	must_identify(primary);
	must_identify(cascade);
	ck_assert_str_eq(PQparameterStatus(primary, "in_hot_standby"), "off");
	ck_assert_str_eq(PQparameterStatus(cascade, "in_hot_standby"), "on");
	ck_assert_int_eq(cluster_number(source, 1, "postgres",
					"SELECT count(*) FROM pg_stat_activity WHERE "
					"backend_type = 'walsender'"),
			 1);
	PQfinish(primary);
	PQfinish(cascade);
}
END_TEST

/* A logical one knows SQL, in transactions too; and a cancel ends what takes long. */
START_TEST(test_sql_in_a_walsender)
{
	PGconn *conn = walsender("database", "");
	PGcancel *cancel = PQgetCancel(conn);
	char error[256];

	must_identify(conn);
	db_exec(conn, "BEGIN");
	ck_assert_int_eq(db_number(conn, "SELECT 40 + 2"), 42);
	db_exec(conn, "COMMIT");
	ck_assert_str_eq(db_error(conn, "SELECT no_such_column"), "42703");
	ck_assert_str_eq(db_error(conn, "THIS IS NO COMMAND"), "42601");
	ck_assert_int_eq(PQsendQuery(conn, "SELECT pg_sleep(60)"), 1);
	source_must_reach("SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND "
			  "query = 'SELECT pg_sleep(60)'",
			  1);
	ck_assert_int_eq(PQcancel(cancel, error, sizeof(error)), 1);
	PQfreeCancel(cancel);
	PQclear(PQgetResult(conn));
	ck_assert_ptr_null(PQgetResult(conn));
	must_identify(conn);
	PQfinish(conn);
}
END_TEST

/* The server's own words reach the client: a log-in that is refused, and the end of a session. */
START_TEST(test_errors)
{
	PGconn *conn = proxy_connect_with(proxy, "app", "app", "replication=database");

	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	ck_assert_msg(strstr(PQerrorMessage(conn), "must be superuser or replication role") !=
			      NULL,
		      "%s", PQerrorMessage(conn));
	PQfinish(conn);
	conn = walsender("database", "application_name=to_be_ended");
	must_identify(conn);
	ck_assert(cluster_exec(source, 0, "app",
			       "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
			       "WHERE application_name = 'to_be_ended'"));
	ck_assert_str_eq(db_error(conn, "IDENTIFY_SYSTEM"), "57P01");
	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	PQfinish(conn);
}
END_TEST

static void revive(void)
{
	ck_assert_ptr_nonnull(source);
	ck_assert_ptr_nonnull(proxy);
}

static Suite *replication_suite(void)
{
	Suite *suite = suite_create("replication");
	TCase *tcase = integration_case(suite, "replication", 120);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_checked_fixture(tcase, revive, NULL);
	tcase_add_test(tcase, test_backup);
	tcase_add_test(tcase, test_standby);
	tcase_add_test(tcase, test_receivewal);
	tcase_add_test(tcase, test_logical_decoding);
	tcase_add_test(tcase, test_subscription);
	tcase_add_test(tcase, test_where_from);
	tcase_add_test(tcase, test_sql_in_a_walsender);
	tcase_add_test(tcase, test_errors);
	return suite;
}

INTEGRATION_SUITE(replication_suite)
