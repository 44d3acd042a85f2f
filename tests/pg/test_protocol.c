/*
 * What a session must not notice in transaction mode, where its server changes all the time:
 * prepared statements, pipelines, settings, COPY, errors, versions of the protocol.
 */
#include "integration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct test_proxy *proxy;   /* two workers, room */
static struct test_proxy *narrow;  /* few servers, so that they change hands; one worker */
static struct test_proxy *crowded; /* three servers for four workers */

static void set_up(void)
{
	if (!cluster_exec(
		    servers, 0, "app",
		    "DROP TABLE IF EXISTS protocol; CREATE TABLE protocol (id int PRIMARY KEY, "
		    "v text); GRANT ALL ON protocol TO app;"
		    "CREATE SCHEMA IF NOT EXISTS one; CREATE SCHEMA IF NOT EXISTS two;"
		    "DROP TABLE IF EXISTS one.t, two.t; CREATE TABLE one.t AS SELECT 1 AS n; "
		    "CREATE TABLE two.t AS SELECT 2 AS n; GRANT ALL ON SCHEMA one, two TO app; "
		    "GRANT ALL ON one.t, two.t TO app") ||
	    !cluster_wait_replay_all(servers))
		integration_fail("protocol: the tables");
	proxy = proxy_must_start(&(struct proxy_options){ .workers = 2 });
	narrow = proxy_must_start(&(struct proxy_options){ .workers = 1, .pool_size = 2 });
	crowded = proxy_must_start(&(struct proxy_options){ .workers = 4, .pool_size = 3 });
}

static void tear_down(void)
{
	proxy_must_stop_after_errors(&proxy);
	proxy_must_stop_after_errors(&narrow);
	proxy_must_stop_after_errors(&crowded);
}

static struct raw *must_login(const struct test_proxy *to)
{
	struct raw *raw = raw_login(to->port, "app", "app");

	ck_assert_ptr_nonnull(raw);
	return raw;
}

/* The types of all answers up to ReadyForQuery are these. */
static void expect(struct raw *raw, const char *types)
{
	char got[512];

	ck_assert(raw_read_until_ready(raw, got, sizeof(got)));
	ck_assert_msg(strcmp(got, types) == 0, "answers \"%s\", not \"%s\" (%s)", got, types,
		      raw_error_field(raw, 'M'));
}

#define PRIMARY "/* pointsman: read_hint=primary */ "

/* Keeps a server busy in a transaction, so that the others have to take another one. */
static PGconn *hold_server(const struct test_proxy *of)
{
	PGconn *conn = db_open(of);

	db_exec(conn, "BEGIN");
	db_exec(conn, "SELECT 1");
	return conn;
}

static void release_server(PGconn *conn)
{
	db_exec(conn, "COMMIT");
	PQfinish(conn);
}

static int backend_of(PGconn *conn, const char *statement)
{
	PGresult *result = PQexecPrepared(conn, statement, 0, NULL, NULL, NULL, 0);
	int pid;

	ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(conn));
	pid = atoi(PQgetvalue(result, 0, 0));
	PQclear(result);
	return pid;
}

/* --- prepared statements --- */

static void prepare(PGconn *conn, const char *name, const char *sql)
{
	PGresult *result = PQprepare(conn, name, sql, 0, NULL);

	ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(conn));
	PQclear(result);
}

static const char *run_prepared(PGconn *conn, const char *name, const char *value)
{
	PGresult *result = PQexecPrepared(conn, name, 1, &value, NULL, NULL, 0);
	static char text[256];

	ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(conn));
	snprintf(text, sizeof(text), "%s", PQgetvalue(result, 0, 0));
	PQclear(result);
	return text;
}

START_TEST(test_named_statements_over_several_servers)
{
	enum {
		SESSIONS = 6,
		ROUNDS = 30
	};
	PGconn *conns[SESSIONS];
	char name[32];

	for (int i = 0; i < SESSIONS; i++) {
		char sql[96];

		conns[i] = db_open(narrow);
		/* The same name means something else in each session. */
		snprintf(sql, sizeof(sql), PRIMARY "SELECT 's%d:' || $1::text", i);
		prepare(conns[i], "same", sql);
	}
	for (int round = 0; round < ROUNDS; round++) {
		PGconn *holder = hold_server(narrow);

		for (int i = 0; i < SESSIONS; i++) {
			char expected[32];

			snprintf(name, sizeof(name), "%d", round);
			snprintf(expected, sizeof(expected), "s%d:%d", i, round);
			ck_assert_str_eq(run_prepared(conns[i], "same", name), expected);
		}
		release_server(holder);
	}
	for (int i = 0; i < SESSIONS; i++)
		PQfinish(conns[i]);
}
END_TEST

/* The very same statement on the primary and on both replicas. */
START_TEST(test_statement_on_another_node)
{
	PGconn *conn = db_open(proxy);
	int count[3] = { 0 };

	prepare(conn, "where", "SELECT " NODE " || $1::text");
	for (int i = 0; i < 60; i++) {
		db_exec(conn, i % 3 == 0 ? "SET pointsman.read_hint = 'primary'"
					 : "RESET pointsman.read_hint");
		count[node_index(run_prepared(conn, "where", ""))]++;
	}
	ck_assert_int_eq(count[0], 20);
	ck_assert_int_gt(count[1], 0);
	ck_assert_int_gt(count[2], 0);
	PQfinish(conn);
}
END_TEST

/* */
START_TEST(test_describe_alone)
{
	PGconn *conn = db_open(narrow);
	PGconn *other = db_open(narrow);
	PGresult *result;

	prepare(conn, "d", PRIMARY "SELECT $1::int AS a, $2::text AS b");
	for (int i = 0; i < 10; i++) {
		/* By now the server that knows it is busy. */
		db_exec(other, "BEGIN");
		db_exec(other, "SELECT 1");
		result = PQdescribePrepared(conn, "d");
		ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s",
			      PQerrorMessage(conn));
		ck_assert_int_eq(PQnparams(result), 2);
		ck_assert_int_eq(PQparamtype(result, 0), 23);
		ck_assert_int_eq(PQnfields(result), 2);
		ck_assert_str_eq(PQfname(result, 1), "b");
		PQclear(result);
		db_exec(other, "COMMIT");
	}
	PQfinish(conn);
	PQfinish(other);
}
END_TEST

/* */
START_TEST(test_failed_parse_leaves_nothing)
{
	struct raw *raw = must_login(proxy);

	ck_assert(raw_parse(raw, "f", "SELECT no_such_column FROM protocol") && raw_sync(raw));
	expect(raw, "EZ");
	ck_assert_str_eq(raw_error_field(raw, 'C'), "42703");
	ck_assert(raw_bind(raw, "", "f", NULL) && raw_sync(raw));
	expect(raw, "EZ");
	ck_assert_str_eq(raw_error_field(raw, 'C'), "26000");
	/* The name is free. */
	ck_assert(raw_parse(raw, "f", "SELECT 1") && raw_sync(raw));
	expect(raw, "1Z");
	ck_assert(raw_bind(raw, "", "f", NULL) && raw_execute(raw, "", 0) && raw_sync(raw));
	expect(raw, "2DCZ");
	raw_close(&raw);
}
END_TEST

START_TEST(test_parse_in_a_failed_transaction_leaves_nothing)
{
	struct raw *raw = must_login(proxy);

	ck_assert(raw_query(raw, "BEGIN; SELECT 1/0"));
	expect(raw, "CEZ");
	ck_assert_int_eq(raw->txn, 'E');
	ck_assert(raw_parse(raw, "g", "SELECT 1") && raw_sync(raw));
	expect(raw, "EZ");
	ck_assert_str_eq(raw_error_field(raw, 'C'), "25P02");
	ck_assert(raw_query(raw, "ROLLBACK"));
	expect(raw, "CZ");
	ck_assert(raw_describe(raw, 'S', "g") && raw_sync(raw));
	expect(raw, "EZ");
	ck_assert_str_eq(raw_error_field(raw, 'C'), "26000");
	raw_close(&raw);
}
END_TEST

/* A failed unnamed Parse removes the unnamed statement. */
START_TEST(test_failed_unnamed_parse)
{
	struct raw *raw = must_login(proxy);

	ck_assert(raw_parse(raw, "", "SELECT 1") && raw_sync(raw));
	expect(raw, "1Z");
	ck_assert(raw_parse(raw, "", "SELEC 1") && raw_sync(raw));
	expect(raw, "EZ");
	ck_assert(raw_bind(raw, "", "", NULL) && raw_sync(raw));
	expect(raw, "EZ");
	ck_assert_str_eq(raw_error_field(raw, 'C'), "26000");
	raw_close(&raw);
}
END_TEST

START_TEST(test_statement_names)
{
	struct raw *raw = must_login(proxy);

	ck_assert(raw_parse(raw, "n", "SELECT 1") && raw_sync(raw));
	expect(raw, "1Z");
	ck_assert(raw_parse(raw, "n", "SELECT 2") && raw_sync(raw));
	expect(raw, "EZ");
	ck_assert_str_eq(raw_error_field(raw, 'C'), "42P05");
	ck_assert(raw_bind(raw, "", "unknown", NULL) && raw_sync(raw));
	expect(raw, "EZ");
	ck_assert_str_eq(raw_error_field(raw, 'C'), "26000");
	ck_assert(raw_describe(raw, 'S', "unknown") && raw_sync(raw));
	expect(raw, "EZ");
	ck_assert_str_eq(raw_error_field(raw, 'C'), "26000");
	/* Close of a name that is not there succeeds. */
	ck_assert(raw_close_name(raw, 'S', "unknown") && raw_close_name(raw, 'P', "unknown") &&
		  raw_sync(raw));
	expect(raw, "33Z");
	ck_assert(raw_close_name(raw, 'S', "n") && raw_sync(raw));
	expect(raw, "3Z");
	ck_assert(raw_bind(raw, "", "n", NULL) && raw_sync(raw));
	expect(raw, "EZ");
	ck_assert_str_eq(raw_error_field(raw, 'C'), "26000");
	ck_assert(raw_parse(raw, "n", "SELECT 3") && raw_bind(raw, "", "n", NULL) &&
		  raw_execute(raw, "", 0) && raw_sync(raw));
	expect(raw, "12DCZ");
	raw_close(&raw);
}
END_TEST

/* */
static const char *const resets[] = { "DEALLOCATE ALL", "DISCARD ALL" };

START_TEST(test_deallocate_all)
{
	struct raw *raw = must_login(proxy);

	ck_assert(raw_parse(raw, "a", "SELECT 1") && raw_parse(raw, "b", "SELECT 2") &&
		  raw_sync(raw));
	expect(raw, "11Z");
	ck_assert(raw_query(raw, resets[_i]));
	expect(raw, "CZ");
	ck_assert(raw_bind(raw, "", "a", NULL) && raw_sync(raw));
	expect(raw, "EZ");
	ck_assert_str_eq(raw_error_field(raw, 'C'), "26000");
	ck_assert(raw_parse(raw, "b", "SELECT 3") && raw_sync(raw));
	expect(raw, "1Z");
	raw_close(&raw);
}
END_TEST

/* a portal's name is not a statement's. */
START_TEST(test_portals)
{
	struct raw *raw = must_login(proxy);

	ck_assert(raw_parse(raw, "p", "SELECT generate_series(1, 5)") &&
		  raw_bind(raw, "p", "p", NULL) && raw_execute(raw, "p", 2) &&
		  raw_execute(raw, "p", 2) && raw_execute(raw, "p", 2) &&
		  raw_close_name(raw, 'P', "p") && raw_bind(raw, "", "p", NULL) &&
		  raw_execute(raw, "", 0) && raw_sync(raw));
	expect(raw, "12DDsDDsDC32DDDDDCZ");
	/* Two unnamed statements in one batch. */
	ck_assert(raw_parse(raw, "", "SELECT 1") && raw_bind(raw, "", "", NULL) &&
		  raw_execute(raw, "", 0) && raw_parse(raw, "", "SELECT 2, 3") &&
		  raw_bind(raw, "", "", NULL) && raw_describe(raw, 'P', "") &&
		  raw_execute(raw, "", 0) && raw_sync(raw));
	expect(raw, "12DC12TDCZ");
	raw_close(&raw);
}
END_TEST

/* after a Flush the session keeps its server until the Sync. */
START_TEST(test_flush)
{
	struct raw *raw = must_login(narrow);
	PGconn *other = db_open(narrow);

	ck_assert(raw_parse(raw, "", "SELECT generate_series(1, 3)") &&
		  raw_bind(raw, "portal", "", NULL) && raw_flush(raw));
	ck_assert_int_eq(raw_read_main(raw), '1');
	ck_assert_int_eq(raw_read_main(raw), '2');
	for (int i = 0; i < 10; i++)
		db_exec(other, "SELECT 1");
	ck_assert(raw_execute(raw, "portal", 1) && raw_flush(raw));
	ck_assert_int_eq(raw_read_main(raw), 'D');
	ck_assert_int_eq(raw_read_main(raw), 's');
	for (int i = 0; i < 10; i++)
		db_exec(other, "SELECT 1");
	ck_assert(raw_execute(raw, "portal", 0) && raw_sync(raw));
	expect(raw, "DDCZ");
	PQfinish(other);
	raw_close(&raw);
}
END_TEST

/* the same text means something else under another search_path. */
START_TEST(test_statement_follows_search_path)
{
	PGconn *one = db_open(narrow);
	PGconn *two = db_open(narrow);

	db_exec(one, "SET search_path = one");
	db_exec(two, "SET search_path = two");
	prepare(one, "s", "SELECT n || $1::text FROM t");
	prepare(two, "s", "SELECT n || $1::text FROM t");
	for (int i = 0; i < 20; i++) {
		ck_assert_str_eq(run_prepared(one, "s", ""), "1");
		ck_assert_str_eq(run_prepared(two, "s", ""), "2");
	}
	db_exec(one, "SET search_path = two");
	ck_assert_str_eq(run_prepared(one, "s", ""), "2");
	PQfinish(one);
	PQfinish(two);
}
END_TEST

/* More statements than a server connection keeps. */
START_TEST(test_more_statements_than_are_kept)
{
	struct test_proxy *small = proxy_must_start(
		&(struct proxy_options){ .pool_size = 1, .top = "max_prepared_statements = 5;" });
	PGconn *conn = db_open(small);

	for (int i = 0; i < 30; i++) {
		char name[16], sql[96];

		snprintf(name, sizeof(name), "many%d", i);
		snprintf(sql, sizeof(sql), PRIMARY "SELECT '%d' || $1::text", i);
		prepare(conn, name, sql);
	}
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 30; i++) {
			char name[16], expected[16];

			snprintf(name, sizeof(name), "many%d", i);
			snprintf(expected, sizeof(expected), "%d!", i);
			ck_assert_str_eq(run_prepared(conn, name, "!"), expected);
		}
	}
	PQfinish(conn);
	proxy_must_stop(&small);
}
END_TEST

/* SQL-level PREPARE belongs to the session. */
START_TEST(test_sql_prepare)
{
	PGconn *one = db_open(narrow);
	PGconn *two = db_open(narrow);

	db_exec(one, "PREPARE q (int) AS SELECT 10 * $1");
	ck_assert_str_eq(db_error(two, "EXECUTE q(1)"), "26000");
	for (int i = 0; i < 10; i++) {
		db_exec(two, PRIMARY "SELECT 1");
		ck_assert_int_eq(db_number(one, "EXECUTE q(4)"), 40);
	}
	db_exec(one, "DEALLOCATE q");
	ck_assert_str_eq(db_error(one, "EXECUTE q(1)"), "26000");
	PQfinish(one);
	PQfinish(two);
}
END_TEST

/* --- pipelines --- */

static void expect_result(PGconn *conn, ExecStatusType status, const char *value)
{
	PGresult *result = PQgetResult(conn);

	ck_assert_msg(PQresultStatus(result) == status, "%s, not %s: %s",
		      PQresStatus(PQresultStatus(result)), PQresStatus(status),
		      PQerrorMessage(conn));
	if (value != NULL)
		ck_assert_str_eq(PQgetvalue(result, 0, 0), value);
	PQclear(result);
	if (status != PGRES_PIPELINE_SYNC)
		ck_assert_ptr_null(PQgetResult(conn));
}

static void pipeline_query(PGconn *conn, const char *sql)
{
	ck_assert_int_eq(PQsendQueryParams(conn, sql, 0, NULL, NULL, NULL, NULL, 0), 1);
}

START_TEST(test_pipeline_with_several_syncs)
{
	PGconn *conn = db_open(proxy);
	char text[16];

	ck_assert_int_eq(PQenterPipelineMode(conn), 1);
	for (int i = 0; i < 50; i++) {
		char sql[64];

		snprintf(sql, sizeof(sql), i % 3 == 0 ? PRIMARY "SELECT %d" : "SELECT %d", i);
		pipeline_query(conn, sql);
		if (i % 5 == 4)
			ck_assert_int_eq(PQpipelineSync(conn), 1);
	}
	for (int i = 0; i < 50; i++) {
		snprintf(text, sizeof(text), "%d", i);
		expect_result(conn, PGRES_TUPLES_OK, text);
		if (i % 5 == 4)
			expect_result(conn, PGRES_PIPELINE_SYNC, NULL);
	}
	ck_assert_int_eq(PQexitPipelineMode(conn), 1);
	ck_assert_int_eq(db_number(conn, "SELECT 1"), 1);
	PQfinish(conn);
}
END_TEST

START_TEST(test_pipeline_with_an_error)
{
	PGconn *conn = db_open(proxy);

	db_exec(conn, "DELETE FROM protocol");
	ck_assert_int_eq(PQenterPipelineMode(conn), 1);
	/* An error undoes its whole batch and skips the rest of it, and no other one. */
	pipeline_query(conn, "INSERT INTO protocol VALUES (1) RETURNING id");
	ck_assert_int_eq(PQpipelineSync(conn), 1);
	pipeline_query(conn, "INSERT INTO protocol VALUES (2) RETURNING id");
	pipeline_query(conn, "SELECT 1/0");
	pipeline_query(conn, "INSERT INTO protocol VALUES (3) RETURNING id");
	ck_assert_int_eq(PQpipelineSync(conn), 1);
	pipeline_query(conn, "INSERT INTO protocol VALUES (4) RETURNING id");
	ck_assert_int_eq(PQpipelineSync(conn), 1);
	expect_result(conn, PGRES_TUPLES_OK, "1");
	expect_result(conn, PGRES_PIPELINE_SYNC, NULL);
	expect_result(conn, PGRES_TUPLES_OK, "2");
	expect_result(conn, PGRES_FATAL_ERROR, NULL);
	expect_result(conn, PGRES_PIPELINE_ABORTED, NULL);
	expect_result(conn, PGRES_PIPELINE_SYNC, NULL);
	expect_result(conn, PGRES_TUPLES_OK, "4");
	expect_result(conn, PGRES_PIPELINE_SYNC, NULL);
	ck_assert_int_eq(PQexitPipelineMode(conn), 1);
	ck_assert_str_eq(db_text(conn, PRIMARY
				 "SELECT string_agg(id::text, ',' ORDER BY id) FROM protocol"),
			 "1,4");
	PQfinish(conn);
}
END_TEST

/* what the proxy answers itself waits for its turn. */
START_TEST(test_pipeline_with_local_answers)
{
	struct raw *raw = must_login(proxy);

	/* A statement that is known, one that is not, Close: some of these need no server. */
	ck_assert(raw_parse(raw, "l", PRIMARY "SELECT pg_sleep(0.05)") &&
		  raw_bind(raw, "", "l", NULL) && raw_execute(raw, "", 0) &&
		  raw_close_name(raw, 'S', "nothing") && raw_parse(raw, "m", "SELECT 2") &&
		  raw_close_name(raw, 'S', "m") && raw_sync(raw) &&
		  raw_query(raw, "SET pointsman.read_hint = 'primary'") &&
		  raw_query(raw, "SHOW pointsman.read_hint") && raw_sync(raw) && raw_sync(raw));
	expect(raw, "12DC313Z");
	expect(raw, "CZ");
	expect(raw, "TDCZ");
	expect(raw, "Z");
	expect(raw, "Z");
	raw_close(&raw);
}
END_TEST

START_TEST(test_begin_in_a_pipeline)
{
	PGconn *conn = db_open(proxy);
	PGconn *other = db_open(proxy);

	db_exec(conn, "DELETE FROM protocol");
	ck_assert_int_eq(PQenterPipelineMode(conn), 1);
	pipeline_query(conn, "BEGIN");
	pipeline_query(conn, "INSERT INTO protocol VALUES (10)");
	ck_assert_int_eq(PQpipelineSync(conn), 1);
	expect_result(conn, PGRES_COMMAND_OK, NULL);
	expect_result(conn, PGRES_COMMAND_OK, NULL);
	expect_result(conn, PGRES_PIPELINE_SYNC, NULL);
	ck_assert_int_eq(PQtransactionStatus(conn), PQTRANS_INTRANS);
	ck_assert_int_eq(db_number(other, PRIMARY "SELECT count(*) FROM protocol"), 0);
	pipeline_query(conn, "COMMIT");
	ck_assert_int_eq(PQpipelineSync(conn), 1);
	expect_result(conn, PGRES_COMMAND_OK, NULL);
	expect_result(conn, PGRES_PIPELINE_SYNC, NULL);
	ck_assert_int_eq(PQexitPipelineMode(conn), 1);
	ck_assert_int_eq(db_number(other, PRIMARY "SELECT count(*) FROM protocol"), 1);
	PQfinish(conn);
	PQfinish(other);
}
END_TEST

/* a simple query inside an unfinished batch. */
START_TEST(test_query_inside_a_batch)
{
	struct raw *raw = must_login(proxy);

	ck_assert(raw_parse(raw, "", "SELECT 1") && raw_bind(raw, "", "", NULL) &&
		  raw_execute(raw, "", 0) && raw_query(raw, "SELECT 2"));
	expect(raw, "12DCTDCZ");
	ck_assert(raw_sync(raw));
	expect(raw, "Z");
	ck_assert(raw_query(raw, ""));
	expect(raw, "IZ");
	raw_close(&raw);
}
END_TEST

/* --- settings --- */

START_TEST(test_settings_follow_the_session)
{
	enum {
		SESSIONS = 8,
		ROUNDS = 25
	};
	struct test_proxy *on = _i == 0 ? narrow : crowded;
	PGconn *conns[SESSIONS];
	char sql[256], expected[160];

	for (int i = 0; i < SESSIONS; i++) {
		conns[i] = db_open(on);
		snprintf(sql, sizeof(sql),
			 "SET application_name = 'session %d'; SET statement_timeout = '%dmin'",
			 i, i + 1);
		db_exec(conns[i], sql);
		snprintf(sql, sizeof(sql), "SET search_path = s%d, public", i);
		db_exec(conns[i], sql);
		snprintf(sql, sizeof(sql), "SET TIME ZONE 'Etc/GMT+%d'", i);
		db_exec(conns[i], sql);
	}
	for (int round = 0; round < ROUNDS; round++) {
		for (int i = 0; i < SESSIONS; i++) {
			snprintf(expected, sizeof(expected),
				 "session %d %dmin s%d, public Etc/GMT+%d", i, i + 1, i, i);
			snprintf(sql, sizeof(sql),
				 "%s SELECT current_setting('application_name') || ' ' || "
				 "current_setting('statement_timeout') || ' ' || "
				 "current_setting('search_path') "
				 "|| ' ' || current_setting('TimeZone')",
				 (i + round) % 2 == 0 ? PRIMARY : "");
			ck_assert_str_eq(db_text(conns[i], sql), expected);
		}
	}
	for (int i = 0; i < SESSIONS; i++)
		PQfinish(conns[i]);
}
END_TEST

/* a session that sets nothing sees nothing of the others. */
START_TEST(test_settings_do_not_leak)
{
	PGconn *noisy = db_open(narrow);
	PGconn *quiet = db_open(narrow);
	static const char ask[] =
		PRIMARY "SELECT current_setting('work_mem') || ' ' || "
			"current_setting('default_transaction_read_only') || ' ' || "
			"current_setting('search_path') || ' ' || current_user";
	char before[256];

	snprintf(before, sizeof(before), "%s", db_text(quiet, ask));
	for (int i = 0; i < 20; i++) {
		db_exec(noisy, "SET work_mem = '77MB'");
		db_exec(noisy, "SET default_transaction_read_only = on");
		db_exec(noisy, "SET search_path = nowhere");
		ck_assert_str_eq(db_text(quiet, ask), before);
		ck_assert_str_eq(db_text(noisy, "SHOW work_mem"), "77MB");
		db_exec(noisy, i % 2 == 0 ? "RESET ALL" : "DISCARD ALL");
		ck_assert_str_eq(db_text(noisy, ask), before);
	}
	PQfinish(noisy);
	PQfinish(quiet);
}
END_TEST

/* settings go by PostgreSQL's rules for transactions. */
START_TEST(test_settings_and_rollback)
{
	PGconn *conn = db_open(narrow);
	PGconn *other = db_open(narrow);

	db_exec(conn, "SET work_mem = '11MB'");
	db_exec(conn, "BEGIN");
	db_exec(conn, "SET work_mem = '12MB'");
	db_exec(conn, "ROLLBACK");
	db_exec(other, PRIMARY "SELECT 1");
	ck_assert_str_eq(db_text(conn, "SHOW work_mem"), "11MB");

	db_exec(conn, "BEGIN");
	db_exec(conn, "SET LOCAL work_mem = '13MB'");
	ck_assert_str_eq(db_text(conn, "SHOW work_mem"), "13MB");
	db_exec(conn, "COMMIT");
	ck_assert_str_eq(db_text(conn, "SHOW work_mem"), "11MB");

	db_exec(conn, "BEGIN");
	db_exec(conn, "SET work_mem = '14MB'");
	db_exec(conn, "SAVEPOINT s");
	db_exec(conn, "SET work_mem = '15MB'");
	db_exec(conn, "ROLLBACK TO s");
	db_exec(conn, "COMMIT");
	db_exec(other, PRIMARY "SELECT 1");
	ck_assert_str_eq(db_text(conn, "SHOW work_mem"), "14MB");

	/* An error in an implicit transaction undoes what came before it there. */
	ck_assert_str_eq(db_error(conn, "SET work_mem = '16MB'; SELECT 1/0"), "22012");
	ck_assert_str_eq(db_text(conn, "SHOW work_mem"), "14MB");
	ck_assert_str_eq(db_error(conn, "SET work_mem = 'nonsense'"), "22023");
	ck_assert_str_eq(db_text(conn, "SHOW work_mem"), "14MB");
	PQfinish(conn);
	PQfinish(other);
}
END_TEST

START_TEST(test_start_up_parameters_follow)
{
	PGconn *one = db_open_as(narrow, "app", "app",
				 "application_name=first options='-c work_mem=21MB -c "
				 "search_path=one'");
	PGconn *two = db_open_as(narrow, "app", "app",
				 "application_name=second client_encoding=LATIN1");
	static const char ask[] = "SELECT current_setting('application_name') || ' ' || "
				  "current_setting('work_mem') || ' ' || "
				  "current_setting('search_path') || ' ' || "
				  "current_setting('client_encoding')";

	ck_assert_str_eq(PQparameterStatus(one, "application_name"), "first");
	ck_assert_str_eq(PQparameterStatus(two, "client_encoding"), "LATIN1");
	for (int i = 0; i < 20; i++) {
		ck_assert_str_eq(db_text(one, ask), "first 21MB one UTF8");
		ck_assert_str_eq(db_text(two, ask), "second 4MB \"$user\", public LATIN1");
	}
	/* RESET goes back to them. */
	db_exec(one, "SET work_mem = '22MB'");
	db_exec(one, "RESET work_mem");
	ck_assert_str_eq(db_text(one, "SHOW work_mem"), "21MB");
	PQfinish(one);
	PQfinish(two);
}
END_TEST

START_TEST(test_bad_start_up_parameter)
{
	PGconn *conn = proxy_connect_with(proxy, "app", "app", "options='-c work_mem=nonsense'");

	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	ck_assert_msg(strstr(PQerrorMessage(conn), "work_mem") != NULL, "%s",
		      PQerrorMessage(conn));
	PQfinish(conn);
	/* The others have not noticed. */
	conn = db_open(proxy);
	PQfinish(conn);
}
END_TEST

/* What the client is told follows what it has set. */
START_TEST(test_parameter_status)
{
	PGconn *conn = db_open(narrow);
	PGconn *other = db_open(narrow);

	ck_assert_ptr_nonnull(PQparameterStatus(conn, "server_version"));
	ck_assert_str_eq(PQparameterStatus(conn, "standard_conforming_strings"), "on");
	db_exec(conn, "SET application_name = 'told'");
	ck_assert_str_eq(PQparameterStatus(conn, "application_name"), "told");
	for (int i = 0; i < 10; i++) {
		db_exec(other, PRIMARY "SELECT 1");
		db_exec(conn, PRIMARY "SELECT 1");
		ck_assert_str_eq(PQparameterStatus(conn, "application_name"), "told");
		ck_assert_str_ne(PQparameterStatus(other, "application_name"), "told");
	}
	PQfinish(conn);
	PQfinish(other);
}
END_TEST

/* --- transactions and servers --- */

START_TEST(test_transaction_keeps_its_server)
{
	PGconn *conn = db_open(narrow);
	PGconn *other = db_open(narrow);
	int pid;

	db_exec(conn, "BEGIN");
	prepare(conn, "pid", "SELECT pg_backend_pid()");
	pid = backend_of(conn, "pid");
	for (int i = 0; i < 10; i++) {
		db_exec(other, PRIMARY "SELECT 1");
		ck_assert_int_eq(backend_of(conn, "pid"), pid);
	}
	db_exec(conn, "COMMIT");
	PQfinish(conn);
	PQfinish(other);
}
END_TEST

/* State that cannot be brought along keeps the session on its server. */
START_TEST(test_session_state_is_kept)
{
	PGconn *conn = db_open(narrow);
	PGconn *other = db_open(narrow);
	PGconn *third;

	db_exec(conn, "CREATE TEMPORARY TABLE mine (a int)");
	db_exec(conn, "INSERT INTO mine VALUES (1)");
	db_exec(conn, "SELECT pg_advisory_lock(4711)");
	for (int i = 0; i < 10; i++) {
		db_exec(other, PRIMARY "SELECT 1");
		ck_assert_int_eq(db_number(conn, "SELECT count(*) FROM mine"), 1);
	}
	ck_assert_str_eq(db_text(other, "SELECT pg_try_advisory_lock(4711)"), "f");
	PQfinish(other);
	/* All of it is gone with the session. */
	PQfinish(conn);
	servers_must_get_clean("app");
	third = db_open(narrow);
	server_must_reach(0, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'", 0);
	for (int i = 0; i < 4; i++)
		ck_assert_str_eq(db_error(third, "SELECT * FROM mine"), "42P01");
	PQfinish(third);
}
END_TEST

START_TEST(test_listen_and_notify)
{
	PGconn *listener = db_open(proxy);
	PGconn *sender = db_open(proxy);
	int64_t until = support_now_ms() + 10000;
	PGnotify *notify = NULL;

	db_exec(listener, "LISTEN news");
	db_exec(sender, "NOTIFY news, 'hello'");
	while (notify == NULL && support_now_ms() < until) {
		ck_assert_int_eq(PQconsumeInput(listener), 1);
		notify = PQnotifies(listener);
		support_poll_pause();
	}
	ck_assert_ptr_nonnull(notify);
	ck_assert_str_eq(notify->extra, "hello");
	PQfreemem(notify);
	PQfinish(listener);
	PQfinish(sender);
}
END_TEST

/* --- COPY --- */

static void start_copy(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);

	ck_assert_msg(PQresultStatus(result) == PGRES_COPY_IN, "%s", PQerrorMessage(conn));
	PQclear(result);
}

/* */
START_TEST(test_copy_errors_keep_the_session)
{
	PGconn *conn = db_open(narrow);

	db_exec(conn, "DELETE FROM protocol");
	for (int i = 0; i < 20; i++) {
		PGresult *result;
		const char *state;

		start_copy(conn, "COPY protocol FROM STDIN");
		/* The data is wrong, or the client gives up. */
		PQputCopyData(conn, i % 2 == 0 ? "nonsense\n" : "1\tx\n", i % 2 == 0 ? 9 : 4);
		PQputCopyEnd(conn, i % 2 == 0 ? NULL : "given up");
		result = PQgetResult(conn);
		ck_assert_int_eq(PQresultStatus(result), PGRES_FATAL_ERROR);
		state = result_state(result);
		ck_assert_str_eq(state, i % 2 == 0 ? "22P02" : "57014");
		PQclear(result);
		ck_assert_ptr_null(PQgetResult(conn));
		ck_assert_int_eq(PQtransactionStatus(conn), PQTRANS_IDLE);
		ck_assert_int_eq(db_number(conn, PRIMARY "SELECT count(*) FROM protocol"), 0);
	}
	PQfinish(conn);
}
END_TEST

/* CopyData that comes after the server has given up is swallowed. */
START_TEST(test_late_copy_messages)
{
	struct raw *raw = must_login(narrow);

	ck_assert(raw_query(raw, "COPY protocol FROM STDIN"));
	ck_assert_int_eq(raw_read_main(raw), 'G');
	ck_assert(raw_message(raw, 'd', "t", "nonsense\n"));
	ck_assert_int_eq(raw_read_main(raw), 'E');
	ck_assert_int_eq(raw_read_main(raw), 'Z');
	ck_assert(raw_message(raw, 'd', "t", "1\tlate\n") && raw_message(raw, 'c', "") &&
		  raw_message(raw, 'f', "s", "late too"));
	ck_assert(raw_query(raw, "SELECT 1"));
	expect(raw, "TDCZ");
	raw_close(&raw);
}
END_TEST

START_TEST(test_copy_in_a_transaction)
{
	PGconn *conn = db_open(narrow);
	PGresult *result;

	db_exec(conn, "DELETE FROM protocol");
	db_exec(conn, "BEGIN");
	start_copy(conn, "COPY protocol FROM STDIN");
	ck_assert_int_eq(PQputCopyData(conn, "1\tone\n2\ttwo\n", 12), 1);
	ck_assert_int_eq(PQputCopyEnd(conn, NULL), 1);
	result = PQgetResult(conn);
	ck_assert_str_eq(PQcmdTuples(result), "2");
	PQclear(result);
	ck_assert_ptr_null(PQgetResult(conn));
	ck_assert_int_eq(db_number(conn, "SELECT count(*) FROM protocol"), 2);
	db_exec(conn, "ROLLBACK");
	ck_assert_int_eq(db_number(conn, PRIMARY "SELECT count(*) FROM protocol"), 0);
	PQfinish(conn);
}
END_TEST

/* --- the rest --- */

START_TEST(test_multi_statements)
{
	struct raw *raw = must_login(proxy);

	ck_assert(raw_query(raw, "SELECT 1; SELECT 2, 3; SELECT 4 WHERE false"));
	expect(raw, "TDCTDCTCZ");
	ck_assert(raw_query(raw, "SELECT 1; SELECT 1/0; SELECT 2"));
	expect(raw, "TDCEZ");
	ck_assert(raw_query(raw, "BEGIN; SELECT 1; COMMIT; SELECT 2"));
	expect(raw, "CTDCCTDCZ");
	ck_assert_int_eq(raw->txn, 'I');
	ck_assert(raw_query(raw, ";"));
	expect(raw, "IZ");
	ck_assert(raw_query(raw, "-- nothing"));
	expect(raw, "IZ");
	raw_close(&raw);
}
END_TEST

static int notices;

static void on_notice(void *arg, const PGresult *result)
{
	(void)arg;
	(void)result;
	notices++;
}

START_TEST(test_notices)
{
	PGconn *conn = db_open(proxy);

	PQsetNoticeReceiver(conn, on_notice, NULL);
	db_exec(conn,
		"DO $$BEGIN FOR i IN 1..50 LOOP RAISE NOTICE 'number %', i; END LOOP; END$$");
	ck_assert_int_eq(notices, 50);
	PQfinish(conn);
}
END_TEST

START_TEST(test_error_fields_pass_through)
{
	struct raw *raw = must_login(proxy);

	ck_assert(raw_query(raw,
			    "DO $$BEGIN RAISE EXCEPTION USING ERRCODE = 'P7777', MESSAGE = 'm', "
			    "DETAIL = 'd', HINT = 'h', TABLE = 't'; END$$"));
	expect(raw, "EZ");
	ck_assert_str_eq(raw_error_field(raw, 'C'), "P7777");
	ck_assert_str_eq(raw_error_field(raw, 'M'), "m");
	ck_assert_str_eq(raw_error_field(raw, 'D'), "d");
	ck_assert_str_eq(raw_error_field(raw, 'H'), "h");
	ck_assert_str_eq(raw_error_field(raw, 't'), "t");
	raw_close(&raw);
}
END_TEST

START_TEST(test_function_call)
{
	struct raw *raw = must_login(proxy);

	/* int4pl(2, 3), text in and out. */
	ck_assert(raw_message(raw, 'F', "ihhhitith", 177, 1, 0, 2, 1, "2", 1, "3", 0));
	expect(raw, "VZ");
	ck_assert_int_eq(raw->txn, 'I');
	raw_close(&raw);
}
END_TEST

START_TEST(test_protocol_versions)
{
	static const unsigned minors[] = { 0, 2, 9999 };
	static const char *const options[] = { "_pq_.unknown", "on", NULL };
	struct raw *raw = raw_open(proxy->port);
	char types[64];

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_startup(raw, minors[_i], "app", "app", _i == 2 ? options : NULL));
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	if (minors[_i] == 0) {
		ck_assert_str_eq(types, "RKZ");
		ck_assert_uint_eq(raw->key_length, 4);
	} else if (minors[_i] == 9999) {
		ck_assert_ptr_nonnull(strchr(types, 'v'));
		ck_assert_uint_lt(raw->minor & 0xffff, 9999);
	}
	ck_assert(raw_query(raw, "SELECT 1"));
	expect(raw, "TDCZ");
	raw_close(&raw);
}
END_TEST

/* The name of an option that is not known comes back in NegotiateProtocolVersion. */
START_TEST(test_unknown_protocol_option)
{
	static const char *const options[] = { "_pq_.unknown", "on", NULL };
	struct raw *raw = raw_open(proxy->port);

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_startup(raw, 0, "app", "app", options));
	ck_assert_int_eq(raw_read_main(raw), 'v');
	ck_assert_uint_ge(raw->body_length, 8 + sizeof("_pq_.unknown"));
	ck_assert_int_eq(raw->body[7], 1);
	ck_assert_str_eq((const char *)raw->body + 8, "_pq_.unknown");
	raw_close(&raw);
}
END_TEST

START_TEST(test_wide_and_long_rows)
{
	PGconn *conn = db_open(proxy);
	PGresult *result;

	result = PQexec(conn, "SELECT n, repeat(chr(65 + n % 26), n * 37 % 20000) FROM "
			      "generate_series(1, 2000) n");
	ck_assert_int_eq(PQntuples(result), 2000);
	for (int i = 0; i < 2000; i++) {
		ck_assert_int_eq(atoi(PQgetvalue(result, i, 0)), i + 1);
		ck_assert_int_eq(PQgetlength(result, i, 1), (i + 1) * 37 % 20000);
		if (PQgetlength(result, i, 1) > 0)
			ck_assert_int_eq(PQgetvalue(result, i, 1)[PQgetlength(result, i, 1) - 1],
					 'A' + (i + 1) % 26);
	}
	PQclear(result);
	PQfinish(conn);
}
END_TEST

/* servers that ended while nobody used them cost nothing. */
START_TEST(test_servers_that_ended_while_idle)
{
	PGconn *conn = db_open(proxy);

	for (int round = 0; round < 5; round++) {
		for (int i = 0; i < 6; i++) {
			db_exec(conn, PRIMARY "SELECT 1");
			db_exec(conn, "SELECT 1");
		}
		for (size_t i = 0; i < 3; i++)
			ck_assert(cluster_exec(
				servers, i, "postgres",
				"SELECT count(pg_terminate_backend(pid, 5000)) FROM "
				"pg_stat_activity WHERE datname = 'app' AND state = 'idle'"));
		ck_assert_int_eq(db_number(conn, PRIMARY "SELECT 1"), 1);
		ck_assert_int_eq(db_number(conn, "SELECT 1"), 1);
	}
	PQfinish(conn);
}
END_TEST

/*
 * A server that is lost in a transaction is an error that says so, and the end of nothing else.
 * What the server said while the client was idle libpq takes for a notice, hence "gone".
 */
START_TEST(test_server_lost_in_a_transaction)
{
	static const char *const honest[] = { "08006", "57P01", "gone" };
	PGconn *conn = db_open(proxy);
	PGconn *other = db_open(proxy);
	bool is_honest = false;
	const char *state;

	db_exec(conn, "BEGIN");
	db_exec(conn, "SELECT 1");
	ck_assert(cluster_exec(
		servers, 0, "postgres",
		"SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity "
		"WHERE datname = 'app' AND state = 'idle in transaction'"));
	state = db_error(conn, "SELECT 1");
	for (size_t i = 0; i < sizeof(honest) / sizeof(honest[0]); i++)
		is_honest = is_honest || strcmp(state, honest[i]) == 0;
	ck_assert_msg(is_honest, "%s", state);
	if (PQstatus(conn) == CONNECTION_BAD)
		PQreset(conn);
	ck_assert_int_eq(db_number(conn, "SELECT 1"), 1);
	ck_assert_int_eq(db_number(other, PRIMARY "SELECT 1"), 1);
	PQfinish(conn);
	PQfinish(other);
}
END_TEST

/* The same in the middle of a statement: it may have been done, so it is not done again. */
START_TEST(test_server_lost_in_a_statement)
{
	struct raw *raw = must_login(proxy);
	char type;

	ck_assert(raw_query(raw, PRIMARY "SELECT pg_sleep(61)"));
	server_must_reach(0,
			  "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app' AND "
			  "state = 'active' AND query LIKE '%pg_sleep(61)%'",
			  1);
	ck_assert(cluster_exec(
		servers, 0, "postgres",
		"SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity "
		"WHERE datname = 'app' AND state = 'active' AND query LIKE "
		"'%pg_sleep(61)%' AND pid <> pg_backend_pid()"));
	while ((type = raw_read_main(raw)) == 'T')
		;
	ck_assert_int_eq(type, 'E');
	ck_assert_msg(strcmp(raw_error_field(raw, 'C'), "57P01") == 0 ||
			      strcmp(raw_error_field(raw, 'C'), "08006") == 0,
		      "%s", raw_error_field(raw, 'C'));
	raw_close(&raw);
}
END_TEST

static void revive(void)
{
	proxy_must_live(&proxy);
	proxy_must_live(&narrow);
	proxy_must_live(&crowded);
}

static Suite *protocol_suite(void)
{
	Suite *suite = suite_create("protocol");
	TCase *tcase = integration_case(suite, "protocol", 60);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_checked_fixture(tcase, revive, NULL);
	tcase_add_test(tcase, test_named_statements_over_several_servers);
	tcase_add_test(tcase, test_statement_on_another_node);
	tcase_add_test(tcase, test_describe_alone);
	tcase_add_test(tcase, test_failed_parse_leaves_nothing);
	tcase_add_test(tcase, test_parse_in_a_failed_transaction_leaves_nothing);
	tcase_add_test(tcase, test_failed_unnamed_parse);
	tcase_add_test(tcase, test_statement_names);
	tcase_add_loop_test(tcase, test_deallocate_all, 0, 2);
	tcase_add_test(tcase, test_portals);
	tcase_add_test(tcase, test_flush);
	tcase_add_test(tcase, test_statement_follows_search_path);
	tcase_add_test(tcase, test_more_statements_than_are_kept);
	tcase_add_test(tcase, test_sql_prepare);
	tcase_add_test(tcase, test_pipeline_with_several_syncs);
	tcase_add_test(tcase, test_pipeline_with_an_error);
	tcase_add_test(tcase, test_pipeline_with_local_answers);
	tcase_add_test(tcase, test_begin_in_a_pipeline);
	tcase_add_test(tcase, test_query_inside_a_batch);
	tcase_add_loop_test(tcase, test_settings_follow_the_session, 0, 2);
	tcase_add_test(tcase, test_settings_do_not_leak);
	tcase_add_test(tcase, test_settings_and_rollback);
	tcase_add_test(tcase, test_start_up_parameters_follow);
	tcase_add_test(tcase, test_bad_start_up_parameter);
	tcase_add_test(tcase, test_parameter_status);
	tcase_add_test(tcase, test_transaction_keeps_its_server);
	tcase_add_test(tcase, test_session_state_is_kept);
	tcase_add_test(tcase, test_listen_and_notify);
	tcase_add_test(tcase, test_copy_errors_keep_the_session);
	tcase_add_test(tcase, test_late_copy_messages);
	tcase_add_test(tcase, test_copy_in_a_transaction);
	tcase_add_test(tcase, test_multi_statements);
	tcase_add_test(tcase, test_notices);
	tcase_add_test(tcase, test_error_fields_pass_through);
	tcase_add_test(tcase, test_function_call);
	tcase_add_loop_test(tcase, test_protocol_versions, 0, 3);
	tcase_add_test(tcase, test_unknown_protocol_option);
	tcase_add_test(tcase, test_wide_and_long_rows);
	tcase_add_test(tcase, test_servers_that_ended_while_idle);
	tcase_add_test(tcase, test_server_lost_in_a_transaction);
	tcase_add_test(tcase, test_server_lost_in_a_statement);
	return suite;
}

INTEGRATION_SUITE(protocol_suite)
