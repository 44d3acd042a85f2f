/*
 * Prepared statements in transaction mode: PREPARE, EXECUTE and DEALLOCATE of SQL, and those of
 * the protocol, as a session with a server of its own has them. Scripts run on a direct
 * connection and through the proxy, whose two servers change hands between any two statements;
 * what is answered must be the same, errors with their positions included.
 */
#include "integration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct test_proxy *narrow; /* two servers a node, one worker */
static struct test_proxy *small;  /* keeps few statements on a server */

/*
 * The direct connections have a database of their own, so that the two do not wait for each
 * other's locks.
 */
static bool fill(const char *database)
{
	return cluster_exec(
		servers, 0, database,
		"DROP TABLE IF EXISTS prepared, prepared_made CASCADE; "
		"CREATE TABLE prepared (id int PRIMARY KEY, v text); "
		"INSERT INTO prepared VALUES (1, 'one'), (2, 'two'); "
		"ALTER TABLE prepared OWNER TO app; GRANT CREATE ON SCHEMA public TO app;"
		"CREATE SCHEMA IF NOT EXISTS one; CREATE SCHEMA IF NOT EXISTS two;"
		"DROP TABLE IF EXISTS one.p, two.p; CREATE TABLE one.p AS SELECT 1 AS n;"
		"CREATE TABLE two.p AS SELECT 2 AS n;"
		"GRANT ALL ON SCHEMA one, two TO app; GRANT ALL ON one.p, two.p TO app");
}

static void fill_both(void)
{
	ck_assert(fill("app") && fill("prepared_direct"));
	ck_assert(cluster_wait_replay_all(servers));
}

static void set_up(void)
{
	if (!cluster_exec(servers, 0, "postgres", "DROP DATABASE IF EXISTS prepared_direct") ||
	    !cluster_exec(servers, 0, "postgres", "CREATE DATABASE prepared_direct"))
		integration_fail("prepared: the database");
	narrow = proxy_must_start(&(struct proxy_options){ .workers = 1, .pool_size = 2 });
	small = proxy_must_start(&(struct proxy_options){
		.workers = 1, .pool_size = 2, .top = "max_prepared_statements = 1;" });
}

static void tear_down(void)
{
	proxy_must_stop_after_errors(&narrow);
	proxy_must_stop_after_errors(&small);
}

#define PRIMARY "/* pointsman: read_hint=primary */ "

/* --- a session, and its like on a server of its own --- */

struct twins {
	PGconn *direct;
	PGconn *ours;
	PGconn *other; /* takes the server that was used last */
};

static struct twins twins_open(const struct test_proxy *proxy)
{
	struct twins twins = { .ours = db_open(proxy), .other = db_open(proxy) };
	char conninfo[160];

	snprintf(conninfo, sizeof(conninfo),
		 "host=127.0.0.1 port=%d user=app dbname=prepared_direct "
		 "password=app_secret",
		 servers->nodes[0].port);
	twins.direct = PQconnectdb(conninfo);
	ck_assert_int_eq(PQstatus(twins.direct), CONNECTION_OK);
	return twins;
}

static void twins_close(struct twins *twins)
{
	PQfinish(twins->direct);
	PQfinish(twins->ours);
	PQfinish(twins->other);
}

static void check_same(const PGresult *ours, const PGresult *direct, const char *sql)
{
	static const int fields[] = { PG_DIAG_SQLSTATE, PG_DIAG_MESSAGE_PRIMARY,
				      PG_DIAG_MESSAGE_DETAIL, PG_DIAG_STATEMENT_POSITION };

	ck_assert_msg(PQresultStatus(ours) == PQresultStatus(direct), "%s: %s (%s), not %s (%s)",
		      sql, PQresStatus(PQresultStatus(ours)), PQresultErrorMessage(ours),
		      PQresStatus(PQresultStatus(direct)), PQresultErrorMessage(direct));
	ck_assert_str_eq(PQcmdStatus((PGresult *)(uintptr_t)ours),
			 PQcmdStatus((PGresult *)(uintptr_t)direct));
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		const char *a = PQresultErrorField(ours, fields[i]);
		const char *b = PQresultErrorField(direct, fields[i]);

		ck_assert_msg(strcmp(a ? a : "", b ? b : "") == 0, "%s: %c: %s, not %s", sql,
			      fields[i], a ? a : "", b ? b : "");
	}
	ck_assert_int_eq(PQntuples(ours), PQntuples(direct));
	ck_assert_int_eq(PQnfields(ours), PQnfields(direct));
	for (int row = 0; row < PQntuples(direct); row++) {
		for (int column = 0; column < PQnfields(direct); column++)
			ck_assert_str_eq(PQgetvalue(ours, row, column),
					 PQgetvalue(direct, row, column));
	}
}

/* The server that the session used is in other hands now, where it can be. */
static void change_server(struct twins *twins)
{
	if (PQtransactionStatus(twins->other) == PQTRANS_INTRANS) {
		db_exec(twins->other, "COMMIT");
		return;
	}
	db_exec(twins->other, "BEGIN");
	db_exec(twins->other, PRIMARY "SELECT 1");
}

/* All results of a Query, one by one. */
static void both(struct twins *twins, const char *sql)
{
	change_server(twins);
	ck_assert_int_eq(PQsendQuery(twins->direct, sql), 1);
	ck_assert_int_eq(PQsendQuery(twins->ours, sql), 1);
	for (;;) {
		PGresult *direct = PQgetResult(twins->direct);
		PGresult *ours = PQgetResult(twins->ours);

		ck_assert_msg(!ours == !direct, "%s: more or fewer results", sql);
		if (!direct)
			break;
		check_same(ours, direct, sql);
		PQclear(direct);
		PQclear(ours);
	}
	ck_assert_msg(PQtransactionStatus(twins->ours) == PQtransactionStatus(twins->direct),
		      "%s: another transaction status", sql);
}

/* The same in the extended protocol, unnamed. */
static void both_extended(struct twins *twins, const char *sql)
{
	PGresult *direct;
	PGresult *ours;

	change_server(twins);
	direct = PQexecParams(twins->direct, sql, 0, NULL, NULL, NULL, NULL, 0);
	ours = PQexecParams(twins->ours, sql, 0, NULL, NULL, NULL, NULL, 0);
	check_same(ours, direct, sql);
	PQclear(direct);
	PQclear(ours);
}

static const char *const scripts[][24] = {
	/* the usual life of one */
	{ "SET plan_cache_mode = force_generic_plan",
	  "PREPARE q (int) AS SELECT v, $1 FROM prepared WHERE id = $1", "EXECUTE q(1)",
	  "EXECUTE q(2)", "EXECUTE q(1 + length('x'))", "EXECUTE q((SELECT 1))",
	  "EXPLAIN (COSTS off) EXECUTE q(1)",
	  "EXPLAIN (COSTS off, ANALYZE, TIMING off, SUMMARY off) EXECUTE q(1)",
	  "CREATE TABLE prepared_made AS EXECUTE q(2)", PRIMARY "TABLE prepared_made",
	  "EXPLAIN (COSTS off) CREATE TABLE prepared_none AS EXECUTE q(2)",
	  "DROP TABLE prepared_made", "DEALLOCATE q", "EXECUTE q(1)", "DEALLOCATE q" },
	/* names */
	{ "PREPARE Q AS SELECT 1",
	  "EXECUTE q",
	  "EXECUTE \"q\"",
	  "EXECUTE \"Q\"",
	  "PREPARE \"Q\" AS SELECT 2",
	  "EXECUTE \"Q\"",
	  "EXECUTE q",
	  "PREPARE q AS SELECT 3",
	  "EXECUTE q",
	  "DEALLOCATE PREPARE \"Q\"",
	  "EXECUTE q",
	  "PREPARE prepare AS SELECT 4",
	  "EXECUTE prepare",
	  "DEALLOCATE prepare",
	  "DEALLOCATE prepare",
	  "PREPARE \"a \"\" b\" AS SELECT 5",
	  "EXECUTE \"a \"\" b\"",
	  "DEALLOCATE \"a \"\" b\"",
	  "PREPARE \xc3\xa4\xc3\xb6 AS SELECT 6",
	  "EXECUTE \xc3\xa4\xc3\xb6",
	  "SELECT '\xc3\xa4'; EXECUTE \xc3\xa4\xc3\xb6 (1)" },
	/* errors, their texts and positions */
	{ "PREPARE q AS SELECT no_such FROM prepared",
	  "EXECUTE q",
	  "PREPARE q AS SELEKT",
	  "EXECUTE q",
	  "PREPARE q (int) AS SELECT 1 / $1",
	  "EXECUTE q(0)",
	  "EXECUTE q",
	  "EXECUTE q(1, 2)",
	  "EXECUTE q('x')",
	  "EXECUTE q(no_such)",
	  "EXECUTE q(no_such(1))",
	  "SELECT 'a b c'; EXECUTE q(no_such)",
	  "EXECUTE q(1)",
	  "EXECUTE nobody (no_such)",
	  "/* comment */ EXECUTE   q  (no_such)",
	  "PREPARE q2 (nosuchtype) AS SELECT 1",
	  "EXECUTE q(2)",
	  "EXECUTE pointsman_1",
	  "EXECUTE \"pointsman_1\"",
	  "DEALLOCATE pointsman_1" },
	/* not transactional */
	{ "BEGIN", "PREPARE q AS SELECT 1", "ROLLBACK", "EXECUTE q", "BEGIN", "EXECUTE q",
	  "DEALLOCATE q", "EXECUTE q", "PREPARE r AS SELECT 2", "ROLLBACK", "EXECUTE q",
	  "EXECUTE r", "PREPARE r AS SELECT 3", "BEGIN", "SELECT 1 / 0", "DEALLOCATE r",
	  "EXECUTE r", "ROLLBACK", "PREPARE r AS SELECT 3" },
	/* writes */
	{ "PREPARE w (int, text) AS INSERT INTO prepared VALUES ($1, $2) RETURNING *",
	  "EXECUTE w(3, 'three')", "EXECUTE w(3, 'again')", "BEGIN", "EXECUTE w(4, 'four')",
	  "ROLLBACK", "BEGIN", "SAVEPOINT s", "EXECUTE w(3, 'again')", "ROLLBACK TO s",
	  "EXECUTE w(5, 'five')", "COMMIT",
	  "PREPARE d (int) AS DELETE FROM prepared WHERE id = $1", "EXECUTE d(3)", "EXECUTE d(5)",
	  PRIMARY "SELECT * FROM prepared ORDER BY id" },
	/* several statements in one text */
	{ "PREPARE q AS SELECT 1; EXECUTE q; DEALLOCATE q; EXECUTE q", "EXECUTE q",
	  "PREPARE q AS SELECT 1; PREPARE r AS SELECT 1; EXECUTE q; EXECUTE r", "EXECUTE q",
	  "EXECUTE r", "EXECUTE q; DEALLOCATE q; EXECUTE r",
	  "DEALLOCATE r; PREPARE r AS SELECT 2; EXECUTE r; SELECT 1 / 0", "EXECUTE r",
	  "PREPARE q AS SELECT 3; DEALLOCATE ALL; PREPARE r AS SELECT 4; EXECUTE r", "EXECUTE q",
	  "EXECUTE r", "EXECUTE r; EXECUTE q", "SELECT 1; PREPARE r AS SELECT 5",
	  "DEALLOCATE ALL; EXECUTE r", "EXECUTE r",
	  "PREPARE a AS SELECT 6; PREPARE a AS SELECT 7; EXECUTE a", "EXECUTE a",
	  "EXECUTE a; PREPARE b AS SELECT 6; EXECUTE b; EXECUTE a", "EXECUTE b" },
	/* ends */
	{ "PREPARE q AS SELECT 1", "DISCARD PLANS", "EXECUTE q", "DEALLOCATE ALL", "EXECUTE q",
	  "PREPARE q AS SELECT 2", "EXECUTE q", "DISCARD ALL", "EXECUTE q",
	  "PREPARE q AS SELECT 3", "DISCARD TEMP", "EXECUTE q", "DEALLOCATE PREPARE ALL",
	  "EXECUTE q" },
	/* the settings that they set, and are run under */
	{ "PREPARE s AS SELECT set_config('application_name', 'set by s', false)", "EXECUTE s",
	  "SHOW application_name", "PREPARE p AS SELECT n FROM p", "SET search_path = one",
	  "PREPARE p AS SELECT n FROM p", "EXECUTE p", "SET search_path = two", "EXECUTE p",
	  "SET search_path = one", "EXECUTE p", "RESET search_path", "EXECUTE p" },
	/* DDL */
	{ "SET pointsman.read_hint = 'primary'", "CREATE TABLE prepared_made (a int)",
	  "PREPARE q AS SELECT count(*) FROM prepared_made", "EXECUTE q",
	  "ALTER TABLE prepared_made ADD b int", "EXECUTE q", "DROP TABLE prepared_made",
	  "EXECUTE q", "SELECT 1; EXECUTE q", "BEGIN", "EXECUTE q", "SELECT 1", "ROLLBACK",
	  "DEALLOCATE q", "EXECUTE q",
	  "BEGIN; CREATE TABLE prepared_made (a int); PREPARE q AS SELECT * FROM prepared_made; "
	  "EXECUTE q; ROLLBACK",
	  "DEALLOCATE q" },
};

#define N_SCRIPTS ((int)(sizeof(scripts) / sizeof(scripts[0])))

START_TEST(sql_prepare_as_on_a_server_of_its_own)
{
	struct twins twins = twins_open(narrow);

	for (size_t i = 0; i < 24 && scripts[_i][i]; i++)
		both(&twins, scripts[_i][i]);
	if (_i != 2) /* what does not parse may have been anything */
		ck_assert_int_eq(proxy_admin_sum(narrow, "SHOW PINS", "client", NULL, NULL), 0);
	twins_close(&twins);
}
END_TEST

static bool is_several(const char *sql)
{
	return strchr(sql, ';') != NULL;
}

START_TEST(sql_prepare_in_the_extended_protocol)
{
	struct twins twins = twins_open(narrow);

	for (size_t i = 0; i < 24 && scripts[_i][i]; i++) {
		if (is_several(scripts[_i][i]))
			both(&twins, scripts[_i][i]);
		else
			both_extended(&twins, scripts[_i][i]);
	}
	twins_close(&twins);
}
END_TEST

START_TEST(sql_prepare_where_one_statement_is_kept)
{
	struct twins twins = twins_open(small);

	for (size_t i = 0; i < 24 && scripts[_i][i]; i++) {
		if (is_several(scripts[_i][i]) || i % 2 == 0)
			both(&twins, scripts[_i][i]);
		else
			both_extended(&twins, scripts[_i][i]);
	}
	twins_close(&twins);
}
END_TEST

static Suite *prepared_suite(void)
{
	Suite *suite = suite_create("prepared");
	TCase *tcase = integration_case(suite, "prepared", 60);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_checked_fixture(tcase, fill_both, NULL);
	tcase_add_loop_test(tcase, sql_prepare_as_on_a_server_of_its_own, 0, N_SCRIPTS);
	tcase_add_loop_test(tcase, sql_prepare_in_the_extended_protocol, 0, N_SCRIPTS);
	tcase_add_loop_test(tcase, sql_prepare_where_one_statement_is_kept, 0, N_SCRIPTS);
	return suite;
}

INTEGRATION_SUITE(prepared_suite)
