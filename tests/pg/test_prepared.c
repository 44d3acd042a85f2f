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

/* --- DDL (R-35) --- */

static void prepare(PGconn *conn, const char *name, const char *sql)
{
	PGresult *result = PQprepare(conn, name, sql, 0, NULL);

	ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(conn));
	PQclear(result);
}

/* The number of columns that a prepared statement returns; -1: it fails with 0A000. */
static int columns_of(PGconn *conn, const char *name)
{
	PGresult *result = PQexecPrepared(conn, name, 0, NULL, NULL, NULL, 0);
	int columns = PQnfields(result);

	if (PQresultStatus(result) != PGRES_TUPLES_OK) {
		ck_assert_str_eq(result_state(result), "0A000");
		columns = -1;
	}
	PQclear(result);
	return columns;
}

/* On every server, named, unnamed and by SQL; the DDL comes from elsewhere. */
START_TEST(ddl_heals_outside_a_transaction)
{
	PGconn *conns[6];
	int columns = 2;

	for (int i = 0; i < 6; i++) {
		conns[i] = db_open(narrow);
		prepare(conns[i], "s", PRIMARY "SELECT * FROM prepared");
		db_exec(conns[i], "PREPARE q AS " PRIMARY "SELECT * FROM prepared");
	}
	for (int round = 0; round < 10; round++) {
		char sql[100];
		PGresult *result;

		for (int i = 0; i < 6; i++) {
			ck_assert_int_eq(columns_of(conns[i], "s"), columns);
			/* A name that SQL gave, by protocol. */
			ck_assert_int_eq(columns_of(conns[i], "q"), columns);
			result = PQexec(conns[i], "EXECUTE q");
			ck_assert_int_eq(PQnfields(result), columns);
			PQclear(result);
			result = PQdescribePrepared(conns[i], "s");
			ck_assert_int_eq(PQnfields(result), columns);
			PQclear(result);
		}
		snprintf(sql, sizeof(sql), "ALTER TABLE prepared ADD x%d int", round);
		ck_assert(cluster_exec(servers, 0, "app", sql));
		columns++;
	}
	for (int i = 0; i < 6; i++)
		PQfinish(conns[i]);
}
END_TEST

/* In one the error is PostgreSQL's, and the next use is in order. */
START_TEST(ddl_in_a_transaction_is_told)
{
	PGconn *conn = db_open(narrow);

	prepare(conn, "s", PRIMARY "SELECT * FROM prepared");
	ck_assert_int_eq(columns_of(conn, "s"), 2);
	db_exec(conn, "BEGIN");
	ck_assert_int_eq(columns_of(conn, "s"), 2);
	db_exec(conn, "ALTER TABLE prepared ADD x int");
	ck_assert_int_eq(columns_of(conn, "s"), -1);
	ck_assert_int_eq(PQtransactionStatus(conn), PQTRANS_INERROR);
	db_exec(conn, "ROLLBACK");
	ck_assert_int_eq(columns_of(conn, "s"), 2);
	PQfinish(conn);
}
END_TEST

/* A new client's Parse is that of a table as it is now, whatever a server has. */
START_TEST(ddl_and_a_new_client)
{
	PGconn *old = db_open(narrow);
	PGconn *new;

	prepare(old, "s", PRIMARY "SELECT * FROM prepared");
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(columns_of(old, "s"), 2);
	ck_assert(cluster_exec(servers, 0, "app", "ALTER TABLE prepared ADD x int"));
	new = db_open(narrow);
	prepare(new, "t", PRIMARY "SELECT * FROM prepared");
	ck_assert_int_eq(columns_of(new, "t"), 3);
	ck_assert_int_eq(columns_of(old, "s"), 3);
	PQfinish(old);
	PQfinish(new);
}
END_TEST

/* --- names of both kinds --- */

START_TEST(protocol_then_sql_name)
{
	struct twins twins = twins_open(narrow);
	PGconn *conns[] = { twins.direct, twins.ours };

	for (int i = 0; i < 2; i++)
		prepare(conns[i], "p", "SELECT 1 AS one");
	both(&twins, "EXECUTE p");
	both(&twins, "PREPARE p AS SELECT 2");
	both_extended(&twins, "EXECUTE p");
	both(&twins, "SELECT 7; EXECUTE p");
	both(&twins, "EXECUTE p(1)");
	both_extended(&twins, "DEALLOCATE p");
	both(&twins, "EXECUTE p");
	both(&twins, "PREPARE p AS SELECT 3 AS three");
	for (int i = 0; i < 2; i++) {
		PGresult *result = PQprepare(conns[i], "p", "SELECT 4", 0, NULL);

		ck_assert_str_eq(result_state(result), "42P05");
		ck_assert_str_eq(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY),
				 "prepared statement \"p\" already exists");
		PQclear(result);
		change_server(&twins);
		result = PQexecPrepared(conns[i], "p", 0, NULL, NULL, NULL, 0);
		ck_assert_str_eq(PQgetvalue(result, 0, 0), "3");
		PQclear(result);
		result = PQexecPrepared(conns[i], "p", 1, (const char *const[]){ "1" }, NULL,
					NULL, 0);
		ck_assert_str_eq(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY),
				 "bind message supplies 1 parameters, but prepared statement "
				 "\"p\" requires 0");
		PQclear(result);
	}
	twins_close(&twins);
}
END_TEST

/* EXECUTE of a read is a read. */
START_TEST(execute_goes_where_its_statement_may)
{
	PGconn *conn = db_open(narrow);
	int count[3] = { 0 };

	db_exec(conn, "PREPARE r (int) AS SELECT " NODE);
	db_exec(conn, "PREPARE w AS UPDATE prepared SET v = v WHERE id = 1 "
		      "RETURNING " NODE);
	for (int i = 0; i < 30; i++) {
		count[node_index(db_text(conn, "EXECUTE r(1)"))]++;
		count[node_index(db_text_extended(conn, "EXECUTE r(1)"))]++;
		ck_assert_str_eq(db_text(conn, "EXECUTE r(txid_current()::text::bigint::int)"),
				 "primary");
		ck_assert_str_eq(db_text(conn, "EXECUTE w"), "primary");
	}
	ck_assert_int_eq(count[0], 0);
	ck_assert_int_gt(count[1], 0);
	ck_assert_int_gt(count[2], 0);
	PQfinish(conn);
}
END_TEST

/* --- many --- */

#define MANY_CLIENTS 1000
#define MANY_TEXTS   10000
#define MANY_NAMES   100 /* of each client */

static void parse_many(struct raw *raw, int client)
{
	char types[MANY_NAMES + 8];

	for (int i = 0; i < MANY_NAMES; i++) {
		char name[32], sql[120];

		snprintf(name, sizeof(name), "statement_%d", i);
		snprintf(sql, sizeof(sql),
			 PRIMARY "SELECT %d AS number, id, v FROM prepared WHERE id = 1",
			 (client * MANY_NAMES / 10 + i) % MANY_TEXTS);
		ck_assert(raw_parse(raw, name, sql));
	}
	ck_assert(raw_sync(raw) && raw_read_until_ready(raw, types, sizeof(types)));
	ck_assert_uint_eq(strspn(types, "1"), MANY_NAMES);
}

/* 10,000 texts, 100,000 names: each text is kept once, each name costs its slot. */
START_TEST(ten_thousand_statements_of_a_thousand_clients)
{
	static struct raw *raws[MANY_CLIENTS];
	struct test_proxy *proxy =
		proxy_must_start(&(struct proxy_options){ .workers = 1, .pool_size = 4 });
	long before, after;
	char types[8];

	for (int i = 0; i < MANY_CLIENTS; i++) {
		raws[i] = raw_login(proxy->port, "app", "app");
		ck_assert_ptr_nonnull(raws[i]);
	}
	before = proxy_rss_kb(proxy);
	for (int i = 0; i < MANY_CLIENTS; i++)
		parse_many(raws[i], i);
	after = proxy_rss_kb(proxy);
	ck_assert_int_eq(proxy_admin_sum(proxy, "SHOW PREPARED", "worker", NULL, NULL), 0);
	ck_assert_int_eq(proxy_admin_sum(proxy, "SHOW PREPARED", "references", NULL, NULL),
			 MANY_CLIENTS * MANY_NAMES);
	ck_assert_int_eq(proxy_admin_sum(proxy, "SHOW PREPARED", "parses", NULL, NULL),
			 MANY_CLIENTS * MANY_NAMES);
	ck_assert_int_le(proxy_admin_sum(proxy, "SHOW PREPARED", "servers", NULL, NULL), 4 * 200);
	fprintf(stderr, "prepared: %d names for %d texts: %ld kB\n", MANY_CLIENTS * MANY_NAMES,
		MANY_TEXTS, after - before);
	/* Names: 100,000 * (16..32 + 14); texts: 10,000 * some 700 with what is known of them. */
	if (!proxy_is_instrumented(proxy))
		ck_assert_int_lt(after - before, 32 * 1024);
	for (int i = 0; i < MANY_CLIENTS; i += 50) {
		ck_assert(raw_bind(raws[i], "", "statement_99", NULL) &&
			  raw_execute(raws[i], "", 0) && raw_sync(raws[i]));
		ck_assert(raw_read_until_ready(raws[i], types, sizeof(types)));
		ck_assert_str_eq(types, "2DCZ");
	}
	for (int i = 0; i < MANY_CLIENTS; i++)
		raw_close(&raws[i]);
	proxy_must_stop(&proxy);
}
END_TEST

START_TEST(ten_thousand_names_of_one_client)
{
	struct test_proxy *proxy = proxy_must_start(&(struct proxy_options){
		.pool_size = 2, .top = "max_client_statements = 10000;" });
	struct raw *raw = raw_login(proxy->port, "app", "app");
	char name[32], types[1100];

	ck_assert_ptr_nonnull(raw);
	for (int i = 0; i < 10000; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		ck_assert(raw_parse(raw, name, "SELECT 1"));
		if (i % 1000 != 999)
			continue;
		ck_assert(raw_sync(raw) && raw_read_until_ready(raw, types, sizeof(types)));
		ck_assert_uint_eq(strspn(types, "1"), 1000);
	}
	/* One more is refused; what is there can be used, and given up. */
	ck_assert(raw_parse(raw, "n10000", "SELECT 1") && raw_sync(raw));
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	ck_assert_str_eq(types, "EZ");
	ck_assert_str_eq(raw_error_field(raw, 'C'), "54000");
	ck_assert_str_eq(raw_error_field(raw, 'D'), "reason: client_statements");
	ck_assert(raw_query(raw, "PREPARE n10000 AS SELECT 1"));
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	ck_assert_str_eq(raw_error_field(raw, 'C'), "54000");
	ck_assert(raw_bind(raw, "", "n7777", NULL) && raw_execute(raw, "", 0) &&
		  raw_close_name(raw, 'S', "n7777") && raw_parse(raw, "n10000", "SELECT 1") &&
		  raw_sync(raw));
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	ck_assert_str_eq(types, "2DC31Z");
	raw_close(&raw);
	proxy_must_stop(&proxy);
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
	tcase_add_test(tcase, ddl_heals_outside_a_transaction);
	tcase_add_test(tcase, ddl_in_a_transaction_is_told);
	tcase_add_test(tcase, ddl_and_a_new_client);
	tcase_add_test(tcase, protocol_then_sql_name);
	tcase_add_test(tcase, execute_goes_where_its_statement_may);
	tcase_add_test(tcase, ten_thousand_statements_of_a_thousand_clients);
	tcase_add_test(tcase, ten_thousand_names_of_one_client);
	return suite;
}

INTEGRATION_SUITE(prepared_suite)
