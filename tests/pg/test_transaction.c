/*
 * Transactions, settings and what pins a session: lists of statements are run straight on the
 * primary and through the proxy, byte for byte the same answers are expected (only process ids
 * are left out). Meanwhile another session changes settings on the same servers, so that the one
 * under test finds each of them as somebody else has left it.
 */
#include "integration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/raw.h"

static struct test_proxy *proxy;
static struct test_proxy *single; /* one server for all */

static void set_up(void)
{
	if (!cluster_exec(servers, 0, "app",
			  "DROP TABLE IF EXISTS txn; CREATE TABLE txn (a int); "
			  "GRANT ALL ON txn TO PUBLIC; "
			  "DROP ROLE IF EXISTS txn_role; CREATE ROLE txn_role; "
			  "GRANT txn_role TO trust_user; GRANT ALL ON txn TO txn_role; "
			  "GRANT TEMPORARY ON DATABASE app TO PUBLIC") ||
	    !cluster_wait_replay_all(servers))
		integration_fail("transaction: the table");
	proxy = proxy_must_start(&(struct proxy_options){
		.pool_size = 2, .top = "log = { level = \"debug\"; };" });
	single = proxy_must_start(&(struct proxy_options){ .pool_size = 1 });
}

static void tear_down(void)
{
	proxy_must_stop_after_errors(&proxy);
	proxy_must_stop_after_errors(&single);
}

/* Statements between bars; all of them leave the table and the session as they were. */
static const char *const lists[] = {
	"BEGIN|SELECT 1|COMMIT",
	"BEGIN|COMMIT|BEGIN|ROLLBACK|START TRANSACTION|END|BEGIN|ABORT",
	"BEGIN|BEGIN|SELECT 1|COMMIT|COMMIT|ROLLBACK|END|ABORT",
	"BEGIN|SELEC|SELECT 1|SAVEPOINT x|BEGIN|ROLLBACK",
	"BEGIN|SELECT 1/0|SELECT 1|COMMIT|SELECT 2",
	"BEGIN|SELECT 1/0|COMMIT AND CHAIN|SELECT 3|ROLLBACK",
	"BEGIN|SELECT nothing FROM txn|ROLLBACK|SELECT 2",
	"BEGIN||SELECT 1|COMMIT",
	"BEGIN ISOLATION LEVEL nonsense|SELECT 1",
	/* savepoints */
	"BEGIN|SAVEPOINT a|INSERT INTO txn VALUES (1)|SELECT 1/0|ROLLBACK TO a|SELECT count(*) "
	"FROM "
	"txn|RELEASE a|ROLLBACK TO a|ROLLBACK",
	"BEGIN|RELEASE nothing|ROLLBACK|BEGIN|ROLLBACK TO nothing|ROLLBACK",
	"SAVEPOINT a|RELEASE a|ROLLBACK TO a",
	"BEGIN|SAVEPOINT a|SAVEPOINT a|RELEASE a|RELEASE a|RELEASE a|COMMIT",
	/* modes */
	"BEGIN ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE|SHOW "
	"transaction_isolation|SHOW "
	"transaction_read_only|SHOW transaction_deferrable|COMMIT|SHOW transaction_isolation",
	"START TRANSACTION READ ONLY|INSERT INTO txn VALUES (1)|ROLLBACK",
	"BEGIN READ WRITE|SET TRANSACTION READ ONLY|INSERT INTO txn VALUES (1)|ROLLBACK",
	"BEGIN|SELECT count(*) FROM txn|SET TRANSACTION ISOLATION LEVEL SERIALIZABLE|ROLLBACK",
	"BEGIN READ ONLY|SELECT count(*) FROM txn|SET TRANSACTION READ WRITE|ROLLBACK",
	"SET TRANSACTION READ ONLY|SHOW transaction_read_only",
	"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY|INSERT INTO txn VALUES "
	"(1)|BEGIN|SHOW "
	"transaction_read_only|COMMIT|BEGIN READ WRITE|INSERT INTO txn VALUES (1)|ROLLBACK|SET "
	"SESSION CHARACTERISTICS AS TRANSACTION READ WRITE",
	"SET default_transaction_isolation = 'serializable'|BEGIN|SHOW "
	"transaction_isolation|COMMIT|"
	"SELECT count(*) FROM txn|BEGIN READ ONLY|SELECT count(*) FROM txn|COMMIT|RESET "
	"default_transaction_isolation",
	/* chains */
	"BEGIN ISOLATION LEVEL REPEATABLE READ|SHOW transaction_isolation|COMMIT AND CHAIN|SHOW "
	"transaction_isolation|ROLLBACK AND CHAIN|ROLLBACK|SHOW transaction_isolation",
	"BEGIN ISOLATION LEVEL REPEATABLE READ|COMMIT AND CHAIN|ROLLBACK AND CHAIN|SHOW "
	"transaction_isolation|COMMIT",
	"COMMIT AND CHAIN|ROLLBACK AND CHAIN|SELECT 1",
	"BEGIN|COMMIT AND NO CHAIN|SELECT 1",
	/* implicit transactions of several statements */
	"BEGIN; SELECT 1; COMMIT|SELECT 2",
	"BEGIN; INSERT INTO txn VALUES (1); ROLLBACK; SELECT 1/0|SELECT count(*) FROM txn",
	"SELECT 1; BEGIN; SELECT 2|SELECT 3|ROLLBACK",
	"INSERT INTO txn VALUES (1); SELECT 1/0; SELECT 2|/* pointsman: read_hint=primary */ "
	"SELECT "
	"count(*) FROM txn",
	"INSERT INTO txn VALUES (1); DELETE FROM txn; COMMIT; SELECT 1/0|/* pointsman: "
	"read_hint=primary */ SELECT count(*) FROM txn",
	"SELECT 1; SAVEPOINT x; SELECT 2|SELECT 3",
	"SELECT 1; COMMIT AND CHAIN",
	"BEGIN|SELECT 1; COMMIT; SELECT 2; BEGIN|ROLLBACK",
	"BEGIN|SELECT 1; SELECT 1/0; SELECT 2|ROLLBACK; SELECT 4|ROLLBACK",
	/* two phases */
	"BEGIN|INSERT INTO txn VALUES (1)|PREPARE TRANSACTION 'x'|ROLLBACK PREPARED 'x'|SELECT 1",
	"BEGIN|INSERT INTO txn VALUES (1)|PREPARE TRANSACTION 'x'|BEGIN|COMMIT PREPARED "
	"'x'|ROLLBACK|"
	"COMMIT PREPARED 'x'|DELETE FROM txn",
	"BEGIN|PREPARE TRANSACTION 'y'|ROLLBACK PREPARED 'y'|COMMIT PREPARED 'nothing'",
	"PREPARE TRANSACTION 'z'|BEGIN|SELECT 1/0|PREPARE TRANSACTION 'z'|SELECT 1",
	/* what no transaction can have */
	"BEGIN|VACUUM txn|ROLLBACK|BEGIN|DISCARD ALL|ROLLBACK|BEGIN|CREATE DATABASE x|ROLLBACK",
	"LOCK TABLE txn|DECLARE c CURSOR FOR SELECT 1|SET LOCAL work_mem = '1MB'",
	/* settings */
	"BEGIN|SET LOCAL work_mem = '1MB'|SHOW work_mem|COMMIT|SHOW work_mem",
	"BEGIN|SET LOCAL work_mem = '1MB'|SAVEPOINT a|SET LOCAL work_mem = '2MB'|SHOW "
	"work_mem|ROLLBACK "
	"TO a|SHOW work_mem|SET work_mem = '3MB'|SHOW work_mem|ROLLBACK|SHOW work_mem",
	"SET work_mem = '1MB'|BEGIN|SET work_mem = '2MB'|SAVEPOINT a|SET work_mem = "
	"'3MB'|ROLLBACK TO "
	"a|SHOW work_mem|COMMIT|SHOW work_mem|RESET work_mem|SHOW work_mem",
	"BEGIN|SAVEPOINT a|SET work_mem = '3MB'|RELEASE a|COMMIT|SHOW work_mem|RESET ALL|SHOW "
	"work_mem",
	"SET work_mem = '1MB'|BEGIN|SET LOCAL work_mem TO DEFAULT|SHOW work_mem|COMMIT|SHOW "
	"work_mem|SET work_mem TO DEFAULT|SHOW work_mem",
	"BEGIN|SET work_mem = '1MB'|SET LOCAL work_mem = '2MB'|SHOW work_mem|COMMIT|SHOW "
	"work_mem|RESET "
	"work_mem",
	"BEGIN|SET LOCAL work_mem = '2MB'|SET work_mem = '1MB'|SHOW work_mem|COMMIT|SHOW "
	"work_mem|RESET "
	"work_mem",
	"SET work_mem = '1MB'; SELECT 1/0|SHOW work_mem",
	"SET TIME ZONE 'Asia/Tokyo'|SHOW timezone|SET TIME ZONE INTERVAL '3' HOUR TO MINUTE|SHOW "
	"timezone|SET TIME ZONE -7|SHOW timezone|SET TIME ZONE LOCAL|SHOW timezone|RESET "
	"timezone",
	"SET NAMES 'LATIN1'|SHOW client_encoding|SET NAMES DEFAULT|SHOW client_encoding|SET "
	"NAMES "
	"'nonsense'|SHOW client_encoding|RESET client_encoding",
	"SET XML OPTION DOCUMENT|SHOW xmloption|SET XML OPTION CONTENT|SHOW xmloption|RESET "
	"xmloption",
	"SET datestyle = 'German'|SHOW datestyle|SET datestyle = 'YMD'|SHOW datestyle|RESET "
	"datestyle|"
	"SHOW datestyle",
	"SET application_name = 'a'|BEGIN|SET application_name = 'b'|ROLLBACK|SHOW "
	"application_name|"
	"RESET application_name|SHOW application_name",
	"SET intervalstyle = 'iso_8601'|SELECT interval '1 day'|SELECT interval '1 hour'|RESET "
	"ALL",
	"SET app.user = 'x'|SHOW app.user|BEGIN|SET LOCAL app.user = 'y'|SELECT "
	"current_setting('app.user')|COMMIT|SELECT current_setting('app.user')|RESET "
	"app.user|SELECT "
	"current_setting('app.user')",
	"SELECT set_config('work_mem', '1MB', false)|SHOW work_mem|SELECT set_config('work_mem', "
	"'2MB', true)|SHOW work_mem|BEGIN|SELECT set_config('work_mem', '3MB', true)|SHOW "
	"work_mem|"
	"COMMIT|SHOW work_mem|RESET work_mem|SHOW work_mem",
	"BEGIN|SELECT set_config('work_mem', '1MB', false)|ROLLBACK|SHOW work_mem",
	"SET nonsense = 1|SET work_mem = 'nonsense'|SHOW nonsense|RESET nonsense",
	"SET search_path = pg_catalog|SELECT count(*) FROM txn|SHOW search_path|RESET "
	"search_path",
	"SET statement_timeout = '50ms'|/* pointsman: read_hint=primary */ SELECT "
	"pg_sleep(5)|SHOW "
	"statement_timeout|BEGIN|SELECT pg_sleep(5)|ROLLBACK|RESET statement_timeout",
	/* identity */
	"SET ROLE txn_role|SELECT current_user, session_user|SHOW role|RESET ROLE|SELECT "
	"current_user",
	"SET ROLE txn_role|SET ROLE NONE|SELECT current_user|SHOW role",
	"BEGIN|SET LOCAL ROLE txn_role|SELECT current_user|COMMIT|SELECT current_user",
	"BEGIN|SET ROLE txn_role|SAVEPOINT a|RESET ROLE|ROLLBACK TO a|SELECT "
	"current_user|ROLLBACK|"
	"SELECT current_user",
	"SET SESSION AUTHORIZATION postgres|SET SESSION AUTHORIZATION DEFAULT|SELECT "
	"session_user",
	"SET ROLE txn_role|SET SESSION AUTHORIZATION trust_user|SELECT current_user|RESET "
	"SESSION "
	"AUTHORIZATION|SELECT current_user|RESET ROLE",
	"SET ROLE txn_role|RESET ALL|SELECT current_user|DISCARD ALL|SELECT current_user",
	/* what pins */
	"CREATE TEMP TABLE x (a int)|INSERT INTO x VALUES (1)|SELECT a + 0 FROM x|DROP TABLE x|"
	"SELECT a + 1 FROM x",
	"BEGIN|CREATE TEMP TABLE x ON COMMIT DROP AS SELECT 1 AS a|SELECT a + 0 FROM "
	"x|COMMIT|SELECT "
	"a FROM "
	"x",
	"BEGIN|CREATE TEMP TABLE x (a int)|ROLLBACK|SELECT a + 0 FROM x",
	"CREATE TEMP TABLE x (a int)|DISCARD TEMP|SELECT a + 0 FROM x",
	"SELECT pg_advisory_lock(5)|SELECT pg_try_advisory_lock(5)|SELECT "
	"pg_advisory_unlock(5)|SELECT "
	"pg_advisory_unlock(5)|SELECT pg_advisory_unlock(5)|SELECT 1",
	"SELECT pg_advisory_lock(6), 1/0|SELECT pg_advisory_unlock(6)|SELECT "
	"pg_advisory_unlock_all()",
	"BEGIN|SELECT pg_advisory_lock(7)|ROLLBACK|SELECT pg_advisory_unlock(7)",
	"BEGIN|DECLARE c CURSOR WITH HOLD FOR SELECT generate_series(1, 3)|COMMIT|FETCH c|FETCH "
	"ALL FROM "
	"c|CLOSE c|FETCH c",
	"BEGIN|DECLARE c CURSOR FOR SELECT 1|FETCH c|CLOSE c|COMMIT|FETCH c",
	"BEGIN|DECLARE c CURSOR WITH HOLD FOR SELECT 1|ROLLBACK|CLOSE c",
	"DISCARD ALL|DISCARD PLANS|DISCARD SEQUENCES|SELECT 1",
};

enum way {
	SIMPLE,
	SIMPLE_PIPELINED,
	EXTENDED,
	EXTENDED_PIPELINED,
	PREPARED,
	WAYS
};

#define STATEMENTS_MAX 32

struct list {
	char *copy;
	const char *statements[STATEMENTS_MAX];
	size_t count;
};

static void split(struct list *list, const char *text)
{
	char *rest = list->copy = strdup(text);

	list->count = 0;
	while (rest) {
		ck_assert_uint_lt(list->count, STATEMENTS_MAX);
		list->statements[list->count++] = strsep(&rest, "|");
	}
}

/* --- the transcript --- */

struct transcript {
	char text[65536];
	size_t length;
};

static void note(struct transcript *t, const char *data, size_t length)
{
	for (size_t i = 0; i < length && t->length + 1 < sizeof(t->text); i++)
		t->text[t->length++] = data[i] ? data[i] : '~';
	t->text[t->length] = '\0';
}

static bool is_of_the_node(const struct raw *raw, char type)
{
	return type == 'S' && strcmp((const char *)raw->body, "in_hot_standby") == 0;
}

/* Everything up to and including one ReadyForQuery. */
static void read_answer(struct raw *raw, struct transcript *t)
{
	char type;

	do {
		type = raw_read(raw);
		ck_assert_msg(type != '\0', "the connection ended behind \"%s\"", t->text);
		if (is_of_the_node(raw, type))
			continue;
		note(t, &type, 1);
		note(t, (const char *)raw->body, raw->body_length);
		note(t, "\n", 1);
	} while (type != 'Z');
}

static void send_statement(struct raw *raw, const char *sql, enum way way, size_t number)
{
	char name[16] = "";

	if (way == SIMPLE || way == SIMPLE_PIPELINED) {
		raw_query(raw, sql);
		return;
	}
	if (way == PREPARED)
		snprintf(name, sizeof(name), "s%zu", number);
	raw_parse(raw, name, sql);
	raw_bind(raw, "", name, NULL);
	raw_describe(raw, 'P', "");
	raw_execute(raw, "", 0);
	raw_sync(raw);
}

/* Leaves the servers of the pool as another session wants them. */
static void churn(PGconn *conn)
{
	if (!conn)
		return;
	db_exec(conn, "SET work_mem = '7MB'");
	db_exec(conn, "SET application_name = 'churn'");
	db_exec(conn, "SET timezone = 'Africa/Cairo'");
	db_exec(conn, "SET default_transaction_isolation = 'repeatable read'");
}

static void run(int port, const struct list *list, enum way way, PGconn *other,
		struct transcript *t)
{
	struct raw *raw = raw_login(port, "trust_user", "app");
	bool is_pipelined = way == SIMPLE_PIPELINED || way == EXTENDED_PIPELINED;

	ck_assert_ptr_nonnull(raw);
	for (size_t i = 0; i < list->count; i++) {
		send_statement(raw, list->statements[i], way, i);
		if (is_pipelined)
			continue;
		read_answer(raw, t);
		if (raw->txn == 'I')
			churn(other);
	}
	for (size_t i = 0; is_pipelined && i < list->count; i++)
		read_answer(raw, t);
	ck_assert_int_eq(raw->txn, 'I');
	raw_close(&raw);
}

START_TEST(test_list_is_answered_as_by_a_server)
{
	struct transcript *direct = calloc(WAYS, sizeof(*direct));
	struct transcript *proxied = calloc(WAYS, sizeof(*proxied));
	PGconn *other = db_open_as(proxy, "trust_user", "app", NULL);
	struct list list;

	split(&list, lists[_i]);
	for (int way = 0; way < WAYS; way++) {
		run(servers->nodes[0].port, &list, way, NULL, &direct[way]);
		run(proxy->port, &list, way, other, &proxied[way]);
		ck_assert_msg(strcmp(direct[way].text, proxied[way].text) == 0,
			      "%s\nway %d, direct:\n%s\nthrough the proxy:\n%s", lists[_i], way,
			      direct[way].text, proxied[way].text);
	}
	PQfinish(other);
	free(list.copy);
	free(direct);
	free(proxied);
}
END_TEST

/* --- what a transaction costs --- */

static long long assignments(const struct test_proxy *of)
{
	return proxy_admin_sum(of, "SHOW STATS", "total_server_assignment_count", "database",
			       "app");
}

START_TEST(test_an_empty_transaction_needs_no_server)
{
	PGconn *conn = db_open(single);
	PGconn *other = db_open(single);
	long long before = assignments(single);

	for (int i = 0; i < 20; i++) {
		db_exec(conn, "BEGIN");
		db_exec(conn, i % 2 ? "COMMIT" : "ROLLBACK");
	}
	ck_assert_int_eq(assignments(single), before);
	/* Who has only begun holds none. */
	db_exec(conn, "BEGIN");
	ck_assert_int_eq(db_number(other, "SELECT count(*) FROM txn"), 0);
	db_exec(conn, "INSERT INTO txn VALUES (1)");
	db_exec(conn, "ROLLBACK");
	PQfinish(conn);
	PQfinish(other);
}
END_TEST

/* Documented: now() is the time of the first statement. */
START_TEST(test_a_transaction_begins_with_its_first_statement)
{
	PGconn *conn = db_open(single);

	db_exec(conn, "BEGIN");
	ck_assert_str_eq(db_text(conn, "SELECT now() >= statement_timestamp() - interval '1ms'"),
			 "t");
	ck_assert_str_eq(db_text(conn, "SELECT now() < statement_timestamp()"), "t");
	db_exec(conn, "COMMIT");
	PQfinish(conn);
}
END_TEST

/* PREPARE TRANSACTION is not about a session: another one commits it. */
START_TEST(test_a_prepared_transaction_is_committed_by_another_session)
{
	PGconn *conn = db_open(proxy);
	PGconn *other = db_open(proxy);

	db_exec(conn, "BEGIN");
	db_exec(conn, "INSERT INTO txn VALUES (42)");
	db_exec(conn, "PREPARE TRANSACTION 'between'");
	db_exec(other, "COMMIT PREPARED 'between'");
	db_exec(conn, "BEGIN");
	ck_assert_int_eq(db_number(conn, "SELECT count(*) FROM txn WHERE a = 42"), 1);
	db_exec(conn, "DELETE FROM txn");
	db_exec(conn, "COMMIT");
	PQfinish(conn);
	PQfinish(other);
}
END_TEST

START_TEST(test_own_statements_in_a_failed_transaction)
{
	PGconn *conn = db_open(single);

	for (int i = 0; i < 2; i++) {
		db_exec(conn, "BEGIN");
		if (i == 0) /* no server has seen it */
			ck_assert_str_eq(db_error(conn, "SHOW pointsman.nonsense"), "42704");
		else
			ck_assert_str_eq(db_error(conn, "SELECT 1/0"), "22012");
		ck_assert_str_eq(db_error(conn, "SHOW pointsman.last_route"), "25P02");
		ck_assert_str_eq(db_error(conn, "SET pointsman.read_hint = 'primary'"), "25P02");
		ck_assert_str_eq(db_error(conn, "SELECT 1"), "25P02");
		ck_assert_str_eq(db_error(conn, "SELEC"), "42601");
		ck_assert_int_eq(PQtransactionStatus(conn), PQTRANS_INERROR);
		db_exec(conn, "ROLLBACK");
		ck_assert_int_eq(PQtransactionStatus(conn), PQTRANS_IDLE);
	}
	PQfinish(conn);
}
END_TEST

/* --- pins --- */

static const struct {
	const char *reason;
	const char *begin; /* between bars */
	const char *end;
	const char *trace; /* a number on the primary: what is left in any server */
} pins[] = {
#define LOCKS     "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
#define TEMPORARY "SELECT count(*) FROM pg_class WHERE relpersistence = 't' AND relname = 'pin'"
#define NOTHING   "SELECT 0"
	{ "temp_table", "CREATE TEMP TABLE pin (a int)", "DROP TABLE pin", TEMPORARY },
	{ "temp_table", "CREATE TEMP TABLE pin (a int)", "DISCARD TEMP", TEMPORARY },
	{ "temp_table", "CREATE TEMP TABLE pin (a int)|CREATE TEMP TABLE other (a int)",
	  "DROP TABLE pin|DROP TABLE other", TEMPORARY },
	{ "temp_table", "CREATE TEMP VIEW pin AS SELECT 1", "DROP VIEW pin", TEMPORARY },
	{ "temp_table", "BEGIN|CREATE TEMP TABLE pin (a int)|COMMIT", "DISCARD ALL", TEMPORARY },
	{ "advisory_lock", "SELECT pg_advisory_lock(1)", "SELECT pg_advisory_unlock(1)", LOCKS },
	{ "advisory_lock", "SELECT pg_advisory_lock(1)|SELECT pg_advisory_lock(1)",
	  "SELECT pg_advisory_unlock(1)|SELECT pg_advisory_unlock(1)", LOCKS },
	{ "advisory_lock", "SELECT pg_try_advisory_lock_shared(1, 2)",
	  "SELECT pg_advisory_unlock_shared(1, 2)", LOCKS },
	{ "advisory_lock", "SELECT pg_advisory_lock(a) FROM generate_series(1, 9) a",
	  "SELECT pg_advisory_unlock_all()", LOCKS },
	{ "advisory_lock", "BEGIN|SELECT pg_advisory_lock(1)|ROLLBACK", "DISCARD ALL", LOCKS },
	{ "held_cursor", "BEGIN|DECLARE pin CURSOR WITH HOLD FOR SELECT 1|COMMIT", "CLOSE pin",
	  NOTHING },
	{ "held_cursor", "DECLARE pin CURSOR WITH HOLD FOR SELECT 1", "CLOSE ALL", NOTHING },
	{ "set_config_dynamic",
	  "SELECT set_config('a.b', a::text, false) FROM generate_series(1, 2) a", "DISCARD ALL",
	  NOTHING },
	{ "backend_pid", "SELECT pg_backend_pid()", "DISCARD ALL", NOTHING },
};

static void exec_all(PGconn *conn, const char *text)
{
	struct list list;

	split(&list, text);
	for (size_t i = 0; i < list.count; i++)
		PQclear(PQexec(conn, list.statements[i]));
	free(list.copy);
}

static long long pinned(const char *reason)
{
	return proxy_admin_sum(single, "SHOW PIN_REASONS", "sessions", "reason", reason);
}

START_TEST(test_a_pin_ends_with_its_cause)
{
	const char *reason = pins[_i].reason;
	PGconn *conn = db_open(single);
	PGconn *other = db_open(single);
	long long ended = proxy_admin_sum(single, "SHOW PIN_REASONS", "ended", "reason", reason);

	exec_all(conn, pins[_i].begin);
	ck_assert_int_eq(pinned(reason), 1);
	ck_assert_int_eq(proxy_admin_sum(single, "SHOW POOLS", "sv_active", NULL, NULL), 1);
	exec_all(conn, pins[_i].end);
	/* The only server is another's now, and has nothing of it. */
	ck_assert_int_eq(db_number(other, "SELECT 7"), 7);
	admin_must_reach(single, "SHOW PINS", "client", 0);
	ck_assert_int_eq(proxy_admin_sum(single, "SHOW PIN_REASONS", "ended", "reason", reason),
			 ended + 1);
	ck_assert_int_eq(db_number(other, pins[_i].trace), 0);
	PQfinish(conn);
	PQfinish(other);
}
END_TEST

/* What is not there after all, or is over with its transaction, holds nothing. */
static const char *const harmless[] = {
	"CREATE TEMP TABLE pin (a nonsense)",
	"BEGIN|CREATE TEMP TABLE pin (a int)|ROLLBACK",
	"BEGIN|CREATE TEMP TABLE pin (a int) ON COMMIT DROP|COMMIT",
	"BEGIN|CREATE TEMP TABLE pin ON COMMIT DROP AS SELECT 1|COMMIT",
	"BEGIN|SAVEPOINT a|CREATE TEMP TABLE pin (a int)|ROLLBACK TO a|COMMIT",
	"BEGIN|DECLARE pin CURSOR WITH HOLD FOR SELECT 1|ROLLBACK",
	"DECLARE pin CURSOR WITH HOLD FOR SELECT nonsense",
	"BEGIN|SELECT set_config('a.b', a::text, false) FROM generate_series(1, 2) a|ROLLBACK",
	"BEGIN|SELECT set_config('a.b', a::text, true) FROM generate_series(1, 2) a|COMMIT",
	"BEGIN|SELECT pg_advisory_xact_lock(1)|COMMIT",
	"SELECT pg_advisory_lock(1), pg_advisory_unlock(1)",
	"SELECT pg_advisory_lock('nonsense')",
};

START_TEST(test_what_is_undone_pins_nobody)
{
	PGconn *conn = db_open(single);
	PGconn *other = db_open(single);

	exec_all(conn, harmless[_i]);
	ck_assert_int_eq(db_number(other, "SELECT 7"), 7);
	admin_must_reach(single, "SHOW PINS", "client", 0);
	ck_assert_int_eq(db_number(other, LOCKS), 0);
	ck_assert_int_eq(db_number(other, TEMPORARY), 0);
	PQfinish(conn);
	PQfinish(other);
}
END_TEST

/* random() of the next session must not go on where setseed() has begun. */
START_TEST(test_a_seeded_server_is_not_lent_again)
{
	PGconn *conn = db_open(single);
	char before[64];
	const char *seeded;

	db_exec(conn, "SELECT setseed(0.25)");
	snprintf(before, sizeof(before), "%s", db_text(conn, "SELECT random()"));
	db_exec(conn, "SELECT setseed(0.25)");
	db_exec(conn, "DISCARD ALL");
	seeded = db_text(conn, "SELECT random()");
	ck_assert_str_eq(seeded, before);
	db_exec(conn, "SELECT setseed(0.25)");
	PQfinish(conn);
	conn = db_open(single);
	ck_assert_str_ne(db_text(conn, "/* pointsman: read_hint=primary */ SELECT random()"),
			 before);
	PQfinish(conn);
}
END_TEST

static Suite *transaction_suite(void)
{
	Suite *suite = suite_create("transaction");
	TCase *tcase = integration_case(suite, "transaction", 60);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, test_list_is_answered_as_by_a_server, 0,
			    (int)(sizeof(lists) / sizeof(lists[0])));
	tcase_add_test(tcase, test_an_empty_transaction_needs_no_server);
	tcase_add_test(tcase, test_a_transaction_begins_with_its_first_statement);
	tcase_add_test(tcase, test_a_prepared_transaction_is_committed_by_another_session);
	tcase_add_test(tcase, test_own_statements_in_a_failed_transaction);
	tcase_add_loop_test(tcase, test_a_pin_ends_with_its_cause, 0,
			    (int)(sizeof(pins) / sizeof(pins[0])));
	tcase_add_loop_test(tcase, test_what_is_undone_pins_nobody, 0,
			    (int)(sizeof(harmless) / sizeof(harmless[0])));
	tcase_add_test(tcase, test_a_seeded_server_is_not_lent_again);
	return suite;
}

INTEGRATION_SUITE(transaction_suite)
