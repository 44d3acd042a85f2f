/*
 * auth_query: users that are in no list are looked up on the servers.
 */
#include "integration.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST "\"asker\" \"asker_secret\"\n\"trust_user\" \"trust_user_secret\"\n"
#define TOP  "auth_user = \"asker\";\n"

static struct test_proxy *proxy;

static void set_up(void)
{
	static const char *const statements[] = {
		"CREATE ROLE asker LOGIN SUPERUSER PASSWORD 'asker_secret'",
		"CREATE ROLE late LOGIN PASSWORD 'late_secret' VALID UNTIL '2001-01-01'",
		"CREATE ROLE early LOGIN PASSWORD 'early_secret' VALID UNTIL '2999-01-01'",
		"CREATE ROLE nobody NOLOGIN PASSWORD 'nobody_secret'",
		"CREATE ROLE without LOGIN",
	};

	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
		cluster_exec(servers, 0, "postgres", statements[i]);
	cluster_wait_replay_all(servers);
	proxy = proxy_must_start(&(struct proxy_options){
		.auth = "scram-sha-256", .userlist = LIST, .top = TOP, .workers = 2 });
}

static void tear_down(void)
{
	static const char *const names[] = { "asker", "late", "early", "nobody", "without" };
	char sql[64];

	proxy_must_stop_after_errors(&proxy);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(sql, sizeof(sql), "DROP ROLE IF EXISTS %s", names[i]);
		cluster_exec(servers, 0, "postgres", sql);
	}
}

static const char *const found[] = { "app", "scram_user", "other", "early", "trust_user" };

START_TEST(test_users_are_found)
{
	PGconn *conn = db_open_as(proxy, found[_i], "app", NULL);

	ck_assert_str_eq(db_text(conn, "SELECT current_user"), found[_i]);
	ck_assert_str_eq(db_text(conn, "/* pointsman: read_hint=primary */ SELECT session_user"),
			 found[_i]);
	PQfinish(conn);
}
END_TEST

/* whoever is not let in hears the same words, after as many messages. */
static const struct {
	const char *user, *password;
} refused[] = {
	{ "app", "wrong" },
	{ "no_such_user", "wrong" },
	{ "late", "late_secret" }, /* CVE-2025-2291 */
	{ "nobody", "nobody_secret" },
	{ "without", "x" },
	{ "postgres", "postgres_secret" },
};

static void expect_refusal(const char *user)
{
	struct raw *raw = raw_open(proxy->port);
	char message[128];
	char final[400];

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_startup(raw, 0, user, "app", NULL));
	ck_assert_int_eq(raw_read_main(raw), 'R');
	ck_assert_int_eq(raw->body[3], 10);
	ck_assert(raw_message(raw, 'p', "sit", "SCRAM-SHA-256", 32,
			      "n,,n=,r=abcdefghijklmnopqrstuvwx"));
	ck_assert_int_eq(raw_read_main(raw), 'R');
	ck_assert_int_eq(raw->body[3], 11);
	ck_assert_ptr_nonnull(memmem(raw->body, raw->body_length, ",i=4096", 7));
	snprintf(final, sizeof(final), "c=biws,%.*s,p=%s",
		 (int)strcspn((char *)raw->body + 4, ","), (char *)raw->body + 4,
		 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	ck_assert(raw_message(raw, 'p', "t", final));
	ck_assert(raw_expect_end(raw));
	snprintf(message, sizeof(message), "password authentication failed for user \"%s\"",
		 user);
	ck_assert_str_eq(raw_error_field(raw, 'M'), message);
	ck_assert_str_eq(raw_error_field(raw, 'C'), "28P01");
	ck_assert_str_eq(raw_error_field(raw, 'D'), "");
	raw_close(&raw);
}

START_TEST(test_refusals_look_alike)
{
	char more[64];
	PGconn *conn;

	snprintf(more, sizeof(more), "password=%s", refused[_i].password);
	conn = proxy_connect_with(proxy, refused[_i].user, "app", more);
	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	PQfinish(conn);
	expect_refusal(refused[_i].user);
}
END_TEST

/* The password is changed, the role dropped: the next log-in knows. */
START_TEST(test_changes_are_seen)
{
	PGconn *conn;

	ck_assert(cluster_exec(servers, 0, "postgres",
			       "CREATE ROLE changing LOGIN PASSWORD 'changing_secret'"));
	conn = db_open_as(proxy, "changing", "app", NULL);
	db_exec(conn, "/* pointsman: read_hint=primary */ SELECT 1");
	PQfinish(conn);
	ck_assert(cluster_exec(servers, 0, "postgres", "ALTER ROLE changing PASSWORD 'new'"));
	conn = proxy_connect(proxy, "changing", "app");
	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	PQfinish(conn);
	conn = db_open_as(proxy, "changing", "app", "password=new");
	/* With the new key; the old servers are no proof of anything. */
	PQclear(proxy_admin(proxy, "RECONNECT"));
	db_exec(conn, "/* pointsman: read_hint=primary */ SELECT 1");
	PQfinish(conn);
	ck_assert(cluster_exec(servers, 0, "postgres", "DROP ROLE changing"));
	conn = proxy_connect_with(proxy, "changing", "app", "password=new");
	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	PQfinish(conn);
}
END_TEST

/*
 * CVE-2025-12819 of PgBouncer: neither what a client asks for at its start nor what the owner of
 * the database has set is in effect when the query runs.
 */
START_TEST(test_search_path_is_pinned)
{
	static const char evil[] =
		"CREATE SCHEMA evil; "
		"CREATE TABLE evil.pg_shadow AS SELECT 'app'::name AS usename, "
		"'evil_password'::text AS passwd; "
		"CREATE FUNCTION evil.upper(text) RETURNS text LANGUAGE sql AS "
		"$$ SELECT 'nobody'::text $$; "
		"ALTER DATABASE app SET search_path = evil, pg_catalog";
	static const char undo[] =
		"DROP SCHEMA evil CASCADE; ALTER DATABASE app RESET search_path";
	struct test_proxy *own;
	PGconn *conn;

	ck_assert(cluster_exec(servers, 0, "app", evil));
	cluster_wait_replay_all(servers);
	own = proxy_must_start(&(struct proxy_options){
		.auth = "scram-sha-256",
		.userlist = LIST,
		.top = TOP "auth_query = \"SELECT usename, passwd FROM pg_shadow WHERE usename = "
			   "$1\";\n" });
	conn = proxy_connect_with(own, "app", "app",
				  "password=evil_password options='-c search_path=evil'");
	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	PQfinish(conn);
	conn = db_open_as(own, "app", "app", "options='-c search_path=evil,pg_catalog'");
	ck_assert_str_eq(db_text(conn, "SELECT current_user"), "app");
	PQfinish(conn);
	ck_assert(cluster_exec(servers, 0, "app", undo));
	proxy_must_stop_after_errors(&own);
}
END_TEST

/* The user's name is a parameter, whatever is in it. */
START_TEST(test_names_are_not_sql)
{
	static const char *const names[] = { "x' OR rolname = 'app", "app\"", "app'--", "%",
					     "a\\" };
	struct raw *raw = raw_open(proxy->port);

	ck_assert(raw_startup(raw, 0, names[_i], "app", NULL));
	ck_assert_int_eq(raw_read_main(raw), 'R');
	ck_assert_int_eq(raw->body[3], 10);
	raw_close(&raw);
	expect_refusal(names[_i]);
}
END_TEST

/* auth_dbname and a function of it; per database another query. */
START_TEST(test_database_and_function)
{
	static const char make[] =
		"CREATE FUNCTION public.find(text) RETURNS TABLE (n name, s text) LANGUAGE sql "
		"SECURITY DEFINER AS $$ SELECT rolname, rolpassword FROM pg_catalog.pg_authid "
		"WHERE rolname = $1 AND rolname <> 'other' $$";
	struct test_proxy *own;
	PGconn *conn;

	ck_assert(cluster_exec(servers, 0, "postgres", make));
	cluster_wait_replay_all(servers);
	own = proxy_must_start(&(struct proxy_options){
		.auth = "scram-sha-256",
		.userlist = LIST,
		.top = TOP "auth_dbname = \"postgres\";\n"
			   "auth_query = \"SELECT * FROM public.find($1)\";\n",
		.databases = "{ name = \"none\"; cluster = \"main\"; dbname = \"app\"; "
			     "auth_user = \"\"; }" });
	conn = db_open_as(own, "scram_user", "app", NULL);
	ck_assert_str_eq(db_text(conn, "SELECT current_user"), "scram_user");
	PQfinish(conn);
	conn = proxy_connect(own, "other", "app");
	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	PQfinish(conn);
	conn = proxy_connect(own, "scram_user", "none");
	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	PQfinish(conn);
	conn = db_open_as(own, "trust_user", "none", "dbname=none");
	PQfinish(conn);
	proxy_must_stop_after_errors(&own);
	ck_assert(cluster_exec(servers, 0, "postgres", "DROP FUNCTION public.find(text)"));
}
END_TEST

/* Queries that are no look-ups: the client is told that nobody knows, and who is listed gets in.
 */
static const char *const broken[] = {
	"SELECT pg_sleep(100), 'x'",
	"SELECT 1/0, 'x'",
	"SELECT rolname FROM pg_authid",
	"SELECT rolname, rolpassword FROM pg_authid",
	"not SQL",
};

START_TEST(test_query_that_fails)
{
	char top[256];
	struct test_proxy *own;
	struct raw *raw;
	PGconn *conn;

	snprintf(top, sizeof(top), TOP "auth_query = \"%s\";\nauth_query_timeout = \"300ms\";\n",
		 broken[_i]);
	own = proxy_must_start(&(struct proxy_options){ .auth = "scram-sha-256",
							.userlist = LIST,
							.top = top,
							.wait_user = "trust_user" });
	raw = raw_open(own->port);
	ck_assert(raw_startup(raw, 0, "app", "app", NULL));
	ck_assert(raw_expect_end(raw));
	ck_assert_str_eq(raw_error_field(raw, 'C'), "57P03");
	ck_assert_str_eq(raw_error_field(raw, 'D'), "reason: auth_query");
	raw_close(&raw);
	conn = db_open_as(own, "trust_user", "app", NULL);
	PQfinish(conn);
	ck_assert(proxy_log_has(own, "auth_query: "));
	proxy_must_stop_after_errors(&own);
}
END_TEST

/* Many at once, over few connections; the same question is asked once. */
START_TEST(test_many_at_once)
{
	enum {
		N = 60
	};
	PGconn *conns[N];

	for (int i = 0; i < N; i++) {
		char *info = proxy_conninfo(proxy, found[i % 4], "app", NULL);

		conns[i] = PQconnectStart(info);
		free(info);
	}
	for (int i = 0; i < N; i++) {
		PostgresPollingStatusType status = PGRES_POLLING_WRITING;

		while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED) {
			struct pollfd wait = { .fd = PQsocket(conns[i]),
					       .events = status == PGRES_POLLING_WRITING
								 ? POLLOUT
								 : POLLIN };

			ck_assert_int_eq(poll(&wait, 1, 20000), 1);
			status = PQconnectPoll(conns[i]);
		}
		ck_assert_msg(status == PGRES_POLLING_OK, "%s", PQerrorMessage(conns[i]));
	}
	ck_assert_int_le(cluster_number(servers, 0, "postgres",
					"SELECT count(*) FROM pg_stat_activity WHERE "
					"application_name = 'pointsman auth_query'"),
			 8);
	for (int i = 0; i < N; i++)
		PQfinish(conns[i]);
}
END_TEST

/* A connection that has gone stale is replaced. */
START_TEST(test_lost_connection)
{
	for (int i = 0; i < 3; i++) {
		PGconn *conn;

		for (size_t node = 0; node < 3; node++)
			cluster_exec(servers, node, "postgres",
				     "SELECT count(pg_terminate_backend(pid)) FROM "
				     "pg_stat_activity WHERE usename = 'asker'");
		conn = db_open_as(proxy, "scram_user", "app", NULL);
		PQfinish(conn);
	}
}
END_TEST

/* */
START_TEST(test_no_secret_in_the_log)
{
	char *log = proxy_log(proxy);

	ck_assert_ptr_nonnull(log);
	ck_assert_ptr_null(strstr(log, "SCRAM-SHA-256$"));
	ck_assert_ptr_null(strstr(log, "_secret"));
	free(log);
}
END_TEST

static void revive(void)
{
	proxy_must_live(&proxy);
}

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *auth_query_suite(void)
{
	Suite *suite = suite_create("auth_query");
	TCase *tcase = integration_case(suite, "auth_query", 60);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_checked_fixture(tcase, revive, NULL);
	tcase_add_loop_test(tcase, test_users_are_found, 0, ROWS(found));
	tcase_add_loop_test(tcase, test_refusals_look_alike, 0, ROWS(refused));
	tcase_add_test(tcase, test_changes_are_seen);
	tcase_add_test(tcase, test_search_path_is_pinned);
	tcase_add_loop_test(tcase, test_names_are_not_sql, 0, 5);
	tcase_add_test(tcase, test_database_and_function);
	tcase_add_loop_test(tcase, test_query_that_fails, 0, ROWS(broken));
	tcase_add_test(tcase, test_many_at_once);
	tcase_add_test(tcase, test_lost_connection);
	tcase_add_test(tcase, test_no_secret_in_the_log);
	return suite;
}

INTEGRATION_SUITE(auth_query_suite)
