/*
 * Where statements go, seen on the servers themselves: which of them answered, by its
 * cluster_name. What cannot be asked that way (a statement without rows) is asked of the proxy
 * afterwards.
 */
#include "integration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct test_proxy *proxy; /* split = auto */
static struct test_proxy *proxy_off;
static struct test_proxy *proxy_hints;

/* One table for all tests here, on all servers. */
static void make_tables(void)
{
	static const char sql[] =
		"DROP TABLE IF EXISTS routing; CREATE TABLE routing (id int PRIMARY KEY, v text);"
		"INSERT INTO routing SELECT n, 'v' || n FROM generate_series(1, 100) n;"
		"DROP SEQUENCE IF EXISTS routing_seq; CREATE SEQUENCE routing_seq;"
		"GRANT ALL ON routing, routing_seq TO app;"
		"CREATE OR REPLACE FUNCTION writes() RETURNS text LANGUAGE plpgsql AS "
		"'BEGIN INSERT INTO routing VALUES (1000 + floor(random() * 1e9)); "
		"RETURN current_setting(''node.name''); END'";

	if (!cluster_exec(servers, 0, "app", sql) || !cluster_wait_replay_all(servers))
		integration_fail("routing: the table");
}

static void start_all(void)
{
	make_tables();
	proxy = proxy_must_start(&(struct proxy_options){ .split = "auto", .workers = 2 });
	proxy_off = proxy_must_start(&(struct proxy_options){ .split = "off" });
	proxy_hints = proxy_must_start(&(struct proxy_options){ .split = "hints" });
}

static void stop_all(void)
{
	proxy_must_stop_after_errors(&proxy);
	proxy_must_stop_after_errors(&proxy_off);
	proxy_must_stop_after_errors(&proxy_hints);
}

/* --- single statements --- */

struct statement {
	const char *sql;  /* the first column of its row is NODE */
	const char *node; /* "primary" or "replica" */
	const char *reason;
};

static const struct statement statements[] = {
	{ "SELECT " NODE, "replica", "read" },
	{ "SELECT " NODE " FROM routing WHERE id = 1", "replica", "read" },
	{ "select " NODE ", count(*) from routing group by 1", "replica", "read" },
	{ "WITH r AS (SELECT 1) SELECT " NODE " FROM r", "replica", "read" },
	{ "SELECT " NODE " UNION SELECT " NODE, "replica", "read" },
	{ "VALUES (" NODE ")", "replica", "read" },
	{ "SELECT " NODE ", now()", "replica", "read" },
	{ "SELECT " NODE " FROM (SELECT * FROM routing WHERE id < 2) s, LATERAL (SELECT 1) l",
	  "replica", "read" },
	{ "-- a comment\nSELECT /* another */ " NODE, "replica", "read" },
	{ "INSERT INTO routing VALUES (200) ON CONFLICT (id) DO UPDATE SET v = 'x' "
	  "RETURNING " NODE,
	  "primary", "write" },
	{ "UPDATE routing SET v = 'y' WHERE id = 2 RETURNING " NODE, "primary", "write" },
	{ "WITH d AS (DELETE FROM routing WHERE id = -1 RETURNING id), "
	  "i AS (INSERT INTO routing SELECT id, 'again' FROM d WHERE false) SELECT " NODE,
	  "primary", "write" },
	{ "SELECT " NODE " FROM routing WHERE id = 1 FOR UPDATE", "primary", "lock" },
	{ "SELECT " NODE " FROM routing WHERE id = 1 FOR NO KEY UPDATE", "primary", "lock" },
	{ "SELECT " NODE " FROM routing WHERE id = 1 FOR SHARE", "primary", "lock" },
	{ "SELECT " NODE " FROM routing WHERE id = 1 FOR KEY SHARE", "primary", "lock" },
	{ "SELECT " NODE " FROM (SELECT * FROM routing WHERE id = 1 FOR UPDATE) s", "primary",
	  "lock" },
	{ "SELECT " NODE ", nextval('routing_seq')", "primary", "volatile_function" },
	{ "SELECT " NODE ", pg_advisory_xact_lock(1)", "primary", "advisory_lock" },
	{ "SELECT " NODE ", txid_current()", "primary", "volatile_function" },
	{ "SELECT writes()", "primary", "unknown_function" },
	{ "SELECT " NODE " WHERE (SELECT writes()) IS NOT NULL", "primary", "unknown_function" },
	/* Several statements are as severe as the worst of them. */
	{ "SELECT 1; UPDATE routing SET v = 'z' WHERE id = 3 RETURNING " NODE, "primary",
	  "write" },
	{ "UPDATE routing SET v = 'z' WHERE id = 3; SELECT " NODE, "primary", "write" },
	{ "SELECT 1; SELECT " NODE, "replica", "read" },
};

static void check_statement(PGconn *conn, const struct statement *statement, const char *node)
{
	const char *reason = db_last_route(conn);

	ck_assert_msg(strncmp(node, statement->node, strlen(statement->node)) == 0,
		      "%s: ran on %s, not on the %s (%s)", statement->sql, node, statement->node,
		      reason);
	ck_assert_msg(strcmp(reason, statement->reason) == 0, "%s: because of %s, not %s",
		      statement->sql, reason, statement->reason);
	ck_assert_str_eq(db_last_node(conn), node);
}

START_TEST(test_statement_goes_where_it_may)
{
	PGconn *conn = db_open(proxy);

	check_statement(conn, &statements[_i], db_text(conn, statements[_i].sql));
	PQfinish(conn);
}
END_TEST

START_TEST(test_statement_goes_where_it_may_extended)
{
	const struct statement *statement = &statements[_i];
	PGconn *conn = db_open(proxy);

	/* The extended protocol has one statement at a time. */
	if (strchr(statement->sql, ';') == NULL)
		check_statement(conn, statement, db_text_extended(conn, statement->sql));
	PQfinish(conn);
}
END_TEST

/* Statements without rows: the proxy says where they went. */
static const struct statement commands[] = {
	{ "INSERT INTO routing VALUES (300)", "primary", "write" },
	{ "DELETE FROM routing WHERE id = 300", "primary", "write" },
	{ "CREATE TEMPORARY TABLE r_temp (a int)", "primary", "temp_relation" },
	{ "CREATE TABLE r_ddl (a int); DROP TABLE r_ddl", "primary", "ddl" },
	{ "SELECT 1 AS a INTO r_into; DROP TABLE r_into", "primary", "select_into" },
	{ "LOCK TABLE routing", "primary", "lock" },
	{ "DO 'BEGIN NULL; END'", "primary", "utility" },
	{ "ANALYZE routing", "primary", "utility" },
	{ "SELEC 1", "primary", "parse_error" },
};

START_TEST(test_command_goes_to_the_primary)
{
	const struct statement *command = &commands[_i];
	PGconn *conn = db_open(proxy);

	if (strcmp(command->reason, "parse_error") == 0)
		ck_assert_str_eq(db_error(conn, command->sql), "42601");
	else if (strncmp(command->sql, "LOCK", 4) == 0)
		ck_assert_str_eq(db_error(conn, command->sql), "25P01");
	else
		db_exec(conn, command->sql);
	ck_assert_str_eq(db_last_node(conn), command->node);
	if (strcmp(command->reason, "select_into") != 0)
		ck_assert_str_eq(db_last_route(conn), command->reason);
	PQfinish(conn);
}
END_TEST

/* --- hints --- */

static const struct statement hinted[] = {
	{ "/* pointsman: read_hint=primary */ SELECT " NODE, "primary", "hint_primary" },
	{ "/* pointsman: read_hint=replica */ SELECT " NODE, "replica", "hint_replica" },
	{ "SELECT " NODE " /* pointsman: read_hint=stale-allowed */", "replica", "hint_stale" },
	{ "SELECT /* pointsman: read_hint=stale-allowed, max_staleness=1min */ " NODE, "replica",
	  "hint_stale" },
	{ "SELECT " NODE " /*read_hint='primary'*/", "primary", "hint_primary" },
	{ "SELECT " NODE
	  " /*traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01',"
	  "read_hint='primary'*/",
	  "primary", "hint_primary" },
	{ "/* x-read-hint: primary */ SELECT " NODE, "primary", "hint_primary" },
	{ "/* x-db-route: tenant-a,read-preference=strong */ SELECT " NODE, "primary",
	  "hint_primary" },
	{ "/* pointsman: consistency=strong */ SELECT " NODE, "primary", "hint_primary" },
	{ "-- pointsman: read_hint=primary\nSELECT " NODE, "primary", "hint_primary" },
	{ "/* pointsman: read_hint = PRIMARY */ SELECT " NODE, "primary", "hint_primary" },
	/* A hint is a comment, and nothing else is. */
	{ "SELECT " NODE ", '/* pointsman: read_hint=primary */'", "replica", "read" },
	{ "SELECT " NODE " AS \"/* pointsman: read_hint=primary */\"", "replica", "read" },
	{ "SELECT " NODE ", $$/* pointsman: read_hint=primary */$$", "replica", "read" },
	/* A replica is no place for a write, whatever the hint says. */
	{ "/* pointsman: read_hint=replica */ UPDATE routing SET v = 'h' WHERE id = 4 "
	  "RETURNING " NODE,
	  "primary", "write" },
	{ "/* pointsman: read_hint=stale-allowed */ SELECT " NODE
	  " FROM routing WHERE id = 1 FOR UPDATE",
	  "primary", "lock" },
};

START_TEST(test_comment_hint)
{
	PGconn *conn = db_open(proxy);

	check_statement(conn, &hinted[_i], db_text(conn, hinted[_i].sql));
	/* A hint ends with its statement. */
	ck_assert_msg(is_replica(db_node(conn)), "the next statement has no hint");
	check_statement(conn, &hinted[_i], db_text_extended(conn, hinted[_i].sql));
	ck_assert_msg(is_replica(db_node(conn)), "the next statement has no hint");
	PQfinish(conn);
}
END_TEST

static int notices;
static char last_notice[256];

static void on_notice(void *arg, const PGresult *result)
{
	(void)arg;
	notices++;
	snprintf(last_notice, sizeof(last_notice), "%s", PQresultErrorMessage(result));
}

START_TEST(test_overruled_and_bad_hints_are_warned_about)
{
	PGconn *conn = db_open(proxy);

	PQsetNoticeReceiver(conn, on_notice, NULL);
	db_exec(conn,
		"/* pointsman: read_hint=replica */ UPDATE routing SET v = 'h' WHERE id = 4");
	ck_assert_int_eq(notices, 1);
	ck_assert_ptr_nonnull(strstr(last_notice, "WARNING"));
	ck_assert_ptr_nonnull(strstr(last_notice, "hint"));

	ck_assert(is_replica(db_text(conn, "/* pointsman: read_hint=sideways */ SELECT " NODE)));
	ck_assert_int_eq(notices, 2);
	ck_assert_ptr_nonnull(strstr(last_notice, "sideways"));

	/* In SET it is an error, and changes nothing. */
	ck_assert_str_eq(db_error(conn, "SET pointsman.read_hint = 'sideways'"), "22023");
	ck_assert(is_replica(db_node(conn)));
	ck_assert_int_eq(notices, 2);
	PQfinish(conn);
}
END_TEST

START_TEST(test_set_hint)
{
	PGconn *conn = db_open(proxy);
	PGconn *other = db_open(proxy);

	db_exec(conn, "SET pointsman.read_hint = 'primary'");
	ck_assert_str_eq(db_node(conn), "primary");
	ck_assert_str_eq(db_last_route(conn), "hint_primary");
	ck_assert_str_eq(db_text(conn, "SHOW pointsman.read_hint"), "primary");
	ck_assert_str_eq(db_node(conn), "primary");
	ck_assert_msg(is_replica(db_node(other)), "a hint is the session's own");
	/* The comment is stronger. */
	ck_assert(is_replica(db_text(conn, "/* pointsman: read_hint=replica */ SELECT " NODE)));
	ck_assert_str_eq(db_node(conn), "primary");
	db_exec(conn, "RESET pointsman.read_hint");
	ck_assert(is_replica(db_node(conn)));
	db_exec(conn, "SET pointsman.read_hint TO primary");
	db_exec(conn, "SET pointsman.read_hint TO DEFAULT");
	ck_assert(is_replica(db_node(conn)));
	PQfinish(conn);
	PQfinish(other);
}
END_TEST

START_TEST(test_set_hint_follows_the_transaction)
{
	PGconn *conn = db_open(proxy);

	db_exec(conn, "BEGIN");
	db_exec(conn, "SET pointsman.read_hint = 'primary'");
	db_exec(conn, "ROLLBACK");
	ck_assert_msg(is_replica(db_node(conn)), "a rolled-back SET is undone");

	db_exec(conn, "BEGIN");
	db_exec(conn, "SET LOCAL pointsman.read_hint = 'primary'");
	ck_assert_str_eq(db_text(conn, "SHOW pointsman.read_hint"), "primary");
	db_exec(conn, "COMMIT");
	ck_assert_msg(is_replica(db_node(conn)), "SET LOCAL ends with the transaction");

	db_exec(conn, "BEGIN");
	db_exec(conn, "SET pointsman.read_hint = 'primary'");
	db_exec(conn, "COMMIT");
	ck_assert_str_eq(db_node(conn), "primary");

	/* back to the savepoint is back to what was set then. */
	db_exec(conn, "BEGIN");
	db_exec(conn, "SAVEPOINT s");
	db_exec(conn, "SET pointsman.read_hint = 'replica'");
	db_exec(conn, "ROLLBACK TO s");
	db_exec(conn, "COMMIT");
	ck_assert_str_eq(db_node(conn), "primary");
	PQfinish(conn);
}
END_TEST

START_TEST(test_start_up_hint)
{
	PGconn *conn =
		db_open_as(proxy, "app", "app", "options='-c pointsman.read_hint=primary'");

	ck_assert_str_eq(db_node(conn), "primary");
	ck_assert_str_eq(db_last_route(conn), "hint_primary");
	db_exec(conn, "SET pointsman.read_hint = 'replica'");
	ck_assert(is_replica(db_node(conn)));
	/* RESET goes back to what the connection started with. */
	db_exec(conn, "RESET pointsman.read_hint");
	ck_assert_str_eq(db_node(conn), "primary");
	PQfinish(conn);
}
END_TEST

START_TEST(test_hints_never_reach_a_server)
{
	PGconn *conn = db_open(proxy);

	db_exec(conn, "SET pointsman.read_hint = 'primary'");
	ck_assert_str_eq(db_text(conn,
				 "SELECT coalesce(current_setting('pointsman.read_hint', true), "
				 "'nothing')"),
			 "nothing");
	PQfinish(conn);
}
END_TEST

/* --- transactions --- */

START_TEST(test_transaction_stays_on_the_primary)
{
	PGconn *conn = db_open(proxy);

	db_exec(conn, "BEGIN");
	ck_assert_str_eq(db_node(conn), "primary");
	ck_assert_str_eq(db_text(conn, "/* pointsman: read_hint=replica */ SELECT " NODE),
			 "primary");
	db_exec(conn, "INSERT INTO routing VALUES (500)");
	ck_assert_int_eq(db_number(conn, "SELECT count(*) FROM routing WHERE id = 500"), 1);
	ck_assert_str_eq(db_last_route(conn), "in_transaction");
	db_exec(conn, "ROLLBACK");
	ck_assert(is_replica(db_node(conn)));
	PQfinish(conn);
}
END_TEST

static const char *const read_only_begins[] = {
	"BEGIN READ ONLY",
	"START TRANSACTION READ ONLY",
	"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
	"BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED, READ ONLY",
};

START_TEST(test_read_only_transaction_stays_on_one_replica)
{
	PGconn *conn = db_open(proxy);
	const char *node;

	db_exec(conn, read_only_begins[_i]);
	node = db_node(conn);
	ck_assert(is_replica(node));
	ck_assert_str_eq(db_last_route(conn), "transaction_read_only");
	for (int i = 0; i < 20; i++)
		ck_assert_str_eq(db_node(conn), node);
	ck_assert_str_eq(db_error(conn, "INSERT INTO routing VALUES (501)"), "25006");
	db_exec(conn, "ROLLBACK");
	PQfinish(conn);
}
END_TEST

START_TEST(test_read_write_and_serializable_begin_on_the_primary)
{
	PGconn *conn = db_open(proxy);

	db_exec(conn, "BEGIN READ WRITE");
	ck_assert_str_eq(db_node(conn), "primary");
	db_exec(conn, "COMMIT");
	/* A replica refuses SERIALIZABLE. */
	db_exec(conn, "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY");
	ck_assert_str_eq(db_node(conn), "primary");
	db_exec(conn, "COMMIT");
	PQfinish(conn);
}
END_TEST

/* --- split --- */

START_TEST(test_split_off)
{
	PGconn *conn = db_open(proxy_off);

	for (int i = 0; i < 10; i++)
		ck_assert_str_eq(db_node(conn), "primary");
	ck_assert_str_eq(db_last_route(conn), "split_off");
	PQfinish(conn);
}
END_TEST

START_TEST(test_split_hints)
{
	PGconn *conn = db_open(proxy_hints);

	for (int i = 0; i < 10; i++)
		ck_assert_str_eq(db_node(conn), "primary");
	ck_assert_str_eq(db_last_route(conn), "split_off");
	ck_assert(is_replica(db_text(conn, "/* pointsman: read_hint=replica */ SELECT " NODE)));
	ck_assert_str_eq(db_last_route(conn), "hint_replica");
	ck_assert(is_replica(
		db_text(conn, "/* pointsman: read_hint=stale-allowed */ SELECT " NODE)));
	db_exec(conn, "SET pointsman.read_hint = 'replica'");
	ck_assert(is_replica(db_node(conn)));
	PQfinish(conn);
}
END_TEST

START_TEST(test_split_auto_uses_both_replicas)
{
	PGconn *conn = db_open(proxy);
	int count[3] = { 0 };

	for (int i = 0; i < 400; i++)
		count[node_index(db_node(conn))]++;
	ck_assert_int_eq(count[0], 0);
	/* Five standard deviations of a fair coin. */
	ck_assert_int_ge(count[1], 150);
	ck_assert_int_ge(count[2], 150);
	PQfinish(conn);
}
END_TEST

START_TEST(test_last_route_before_any_request)
{
	PGconn *conn = db_open(proxy);
	PGresult *result = PQexec(conn, "SHOW pointsman.last_route");

	ck_assert_int_eq(PQresultStatus(result), PGRES_TUPLES_OK);
	ck_assert_str_eq(PQfname(result, 0), "pointsman.last_route");
	PQclear(result);
	/* Asking does not change the answer. */
	ck_assert(is_replica(db_node(conn)));
	ck_assert_str_eq(db_last_route(conn), "read");
	ck_assert_str_eq(db_last_route(conn), "read");
	PQfinish(conn);
}
END_TEST

/* --- policy when no replica is there --- */

START_TEST(test_no_replica)
{
	static const struct {
		const char *policy;
		const char *sqlstate;
	} cases[] = { { "on_no_replica = \"primary\";", "" },
		      { "on_no_replica = \"error\";", "57P03" } };
	struct test_proxy *alone = proxy_must_start(&(struct proxy_options){
		.without_replicas = true, .database = cases[_i].policy });
	PGconn *conn = db_open(alone);

	ck_assert_str_eq(db_error(conn, "SELECT " NODE), cases[_i].sqlstate);
	if (cases[_i].sqlstate[0] == '\0') {
		ck_assert_str_eq(db_node(conn), "primary");
		ck_assert_str_eq(db_last_route(conn), "no_replica_up");
	}
	/* Writes do not need one. */
	db_exec(conn, "UPDATE routing SET v = 'w' WHERE id = 5");
	PQfinish(conn);
	proxy_must_stop_after_errors(&alone);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static void revive(void)
{
	proxy_must_live(&proxy);
	proxy_must_live(&proxy_off);
	proxy_must_live(&proxy_hints);
}

/* --- consistency = session --- */

START_TEST(test_a_session_sees_its_own_writes)
{
	PGconn *conn = db_open(proxy);

	db_exec(conn, "SET pointsman.consistency = 'session'");
	db_exec(conn, "CREATE TABLE own_writes (a int)");
	for (int i = 1; i <= 50; i++) {
		db_exec(conn, "INSERT INTO own_writes VALUES (1)");
		ck_assert_int_eq(db_number(conn, "SELECT count(*) FROM own_writes"), i);
	}
	db_exec(conn, "DROP TABLE own_writes");
	PQfinish(conn);
}
END_TEST

/* Sends what is queued, and reads the answer to the first of it. */
static void db_first_result(PGconn *conn, ExecStatusType expected)
{
	PGresult *result;

	ck_assert_int_eq(PQflush(conn), 0);
	result = PQgetResult(conn);
	ck_assert_int_eq(PQresultStatus(result), expected);
	PQclear(result);
}

/* Until the replicas are known to be less stale than something of `began_ms` is old. */
static void wait_until_replicas_seem_fresh(int64_t began_ms)
{
	PGconn *conn = db_open(proxy);
	int64_t until = support_now_ms() + 10000;
	long long stale_ms;

	do {
		ck_assert(support_now_ms() < until);
		db_node(conn);
		stale_ms = db_number(conn, "SHOW pointsman.last_staleness");
	} while (support_now_ms() - began_ms < 2 * stale_ms + 1000);
	PQfinish(conn);
}

/*
 * A large Bind goes ahead, and so does what a client flushes; it is committed by a Sync much
 * later, and that is how old the write is.
 */
START_TEST(test_a_session_sees_what_its_sync_committed)
{
	PGconn *conn = db_open(proxy);
	PGresult *result;
	int64_t began;

	db_exec(conn, "SET pointsman.consistency = 'session'");
	db_exec(conn, "CREATE TABLE flushed_write (a int)");
	ck_assert(cluster_wait_replay_all(servers));
	ck_assert_int_eq(PQenterPipelineMode(conn), 1);
	began = support_now_ms();
	ck_assert_int_eq(PQsendQueryParams(conn, "INSERT INTO flushed_write VALUES (1)", 0, NULL,
					   NULL, NULL, NULL, 0),
			 1);
	ck_assert_int_eq(PQsendFlushRequest(conn), 1);
	db_first_result(conn, PGRES_COMMAND_OK);
	wait_until_replicas_seem_fresh(began);
	for (size_t i = 1; i < servers->n_nodes; i++)
		ck_assert(cluster_exec(servers, i, "postgres", "SELECT pg_wal_replay_pause()"));

	ck_assert_int_eq(PQpipelineSync(conn), 1);
	while ((result = PQgetResult(conn)) == NULL)
		;
	PQclear(result);
	ck_assert_int_eq(PQexitPipelineMode(conn), 1);
	result = PQexec(conn, "SELECT count(*) FROM flushed_write");
	for (size_t i = 1; i < servers->n_nodes; i++)
		ck_assert(cluster_exec(servers, i, "postgres", "SELECT pg_wal_replay_resume()"));
	ck_assert_str_eq(PQgetvalue(result, 0, 0), "1");
	PQclear(result);
	db_exec(conn, "DROP TABLE flushed_write");
	PQfinish(conn);
}
END_TEST

/* --- pointsman route --- */

static const struct {
	const char *sql;
	const char *expected; /* in what it prints */
} verdicts[] = {
	{ "SELECT 1", "\"verdict\":\"read\"" },
	{ "SELECT 1", "\"target\":\"replica\"" },
	{ "SELECT nextval('s')", "\"reason\":\"volatile_function\"" },
	{ "SELECT nextval('s')", "\"target\":\"primary\"" },
	{ "SELECT /* pointsman: read_hint=primary */ 1", "\"route_reason\":\"hint_primary\"" },
	{ "SELEC", "\"reason\":\"parse_error\"" },
	{ "SELECT 1;\\nSELECT 2", "\"statements\":2" },
};

START_TEST(test_route_tool)
{
	char command[4096];
	char line[4096] = "";
	FILE *pipe;

	snprintf(command, sizeof(command), "printf '%%s\\n' \"%s\" | %s route", verdicts[_i].sql,
		 proxy_program());
	pipe = popen(command, "r");
	ck_assert_ptr_nonnull(pipe);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), pipe));
	ck_assert_int_eq(pclose(pipe), 0);
	ck_assert_msg(strstr(line, verdicts[_i].expected), "%s: %s", verdicts[_i].sql, line);
}
END_TEST

static Suite *routing_suite(void)
{
	Suite *suite = suite_create("routing");
	TCase *tcase = integration_case(suite, "shared", 60);

	tcase_add_unchecked_fixture(tcase, start_all, stop_all);
	tcase_add_checked_fixture(tcase, revive, NULL);
	tcase_add_loop_test(tcase, test_statement_goes_where_it_may, 0, COUNT(statements));
	tcase_add_loop_test(tcase, test_statement_goes_where_it_may_extended, 0,
			    COUNT(statements));
	tcase_add_loop_test(tcase, test_command_goes_to_the_primary, 0, COUNT(commands));
	tcase_add_loop_test(tcase, test_comment_hint, 0, COUNT(hinted));
	tcase_add_test(tcase, test_overruled_and_bad_hints_are_warned_about);
	tcase_add_test(tcase, test_set_hint);
	tcase_add_test(tcase, test_set_hint_follows_the_transaction);
	tcase_add_test(tcase, test_start_up_hint);
	tcase_add_test(tcase, test_hints_never_reach_a_server);
	tcase_add_test(tcase, test_transaction_stays_on_the_primary);
	tcase_add_loop_test(tcase, test_read_only_transaction_stays_on_one_replica, 0,
			    COUNT(read_only_begins));
	tcase_add_test(tcase, test_read_write_and_serializable_begin_on_the_primary);
	tcase_add_test(tcase, test_split_off);
	tcase_add_test(tcase, test_split_hints);
	tcase_add_test(tcase, test_split_auto_uses_both_replicas);
	tcase_add_test(tcase, test_last_route_before_any_request);
	tcase_add_test(tcase, test_a_session_sees_its_own_writes);
	tcase_add_test(tcase, test_a_session_sees_what_its_sync_committed);
	tcase_add_loop_test(tcase, test_route_tool, 0, COUNT(verdicts));

	tcase = integration_case(suite, "own proxies", 60);
	tcase_add_loop_test(tcase, test_no_replica, 0, 2);
	return suite;
}

INTEGRATION_SUITE(routing_suite)
