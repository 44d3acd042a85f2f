/*
 * Messages in any legal order, and in some that are not: each sequence is sent to a server
 * directly and through the proxy in transaction mode, and every byte of the answers must be the
 * same. Also libpq's pipeline mode with many Syncs in flight.
 */
#include "integration.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	STEPS_MAX = 40,
	TRANSCRIPT_BYTES = 1 << 20
};

static struct test_proxy *proxy;
static struct test_proxy *narrow; /* one server, so that it changes hands */

static void set_up(void)
{
	proxy = proxy_must_start(&(struct proxy_options){ .workers = 2 });
	narrow = proxy_must_start(
		&(struct proxy_options){ .workers = 2, .pool_size = 1, .split = "off" });
	if (!cluster_exec(
		    servers, 0, "app",
		    "CREATE TABLE IF NOT EXISTS pipe (n int, t text);"
		    "GRANT ALL ON pipe TO PUBLIC;"
		    "CREATE SEQUENCE IF NOT EXISTS pipe_seq; GRANT ALL ON pipe_seq TO PUBLIC"))
		integration_fail("the tables of suite pipeline");
}

static void tear_down(void)
{
	proxy_must_stop(&proxy);
	proxy_must_stop(&narrow);
}

/*
 * A sequence of steps:
 *   P name|text   B portal|statement|parameter   D kind|name   E portal|rows   C kind|name
 *   S H  Q text   d data  c  f text   F oid|argument
 *   r T           reads up to a message of this type
 * B with a second "|" only: without parameters.
 */
struct sequence {
	const char *name;
	const char *steps[STEPS_MAX];
};

static const struct sequence sequences[] = {
	{ "nothing but Syncs", { "S", "S", "S", "r Z", "r Z", "r Z" } },
	{ "a Flush with nothing before it", { "H", "H", "S", "r Z" } },
	{ "one of each, by Flush",
	  { "P a|SELECT $1::int + 1",
	    "H",
	    "r 1",
	    "D S|a",
	    "H",
	    "r T",
	    "B p|a|41",
	    "H",
	    "r 2",
	    "D P|p",
	    "H",
	    "r T",
	    "E p|0",
	    "H",
	    "r C",
	    "C P|p",
	    "H",
	    "r 3",
	    "C S|a",
	    "H",
	    "r 3",
	    "S",
	    "r Z" } },
	{ "two batches in flight",
	  { "P |SELECT 1", "B ||", "E |0", "S", "P |SELECT 2", "B ||", "E |0", "S", "r Z",
	    "r Z" } },
	{ "an error in the middle of three",
	  { "P |SELECT 1", "B ||", "E |0", "S", "P |SELECT 1/0", "B ||", "E |0", "P |SELECT 9",
	    "B ||", "E |0", "S", "P |SELECT 3", "B ||", "E |0", "S", "r Z", "r Z", "r Z" } },
	{ "an error, and Flush does not end the skipping",
	  { "P |nonsense", "H", "r E", "P |SELECT 1", "B ||", "H", "E |0", "S", "r Z",
	    "P |SELECT 2", "B ||", "E |0", "S", "r Z" } },
	{ "Bind to nothing", { "B |nobody|", "E |0", "S", "r Z" } },
	{ "Describe of nothing", { "D S|nobody", "S", "r Z", "D P|nobody", "S", "r Z" } },
	{ "Execute of nothing", { "E nobody|0", "S", "r Z" } },
	{ "Close of nothing", { "C S|nobody", "C P|nobody", "S", "r Z" } },
	{ "the unnamed statement is kept over Syncs",
	  { "P |SELECT 7", "S", "r Z", "B ||", "E |0", "S", "r Z", "D S|", "S", "r Z" } },
	{ "a name twice",
	  { "P twice|SELECT 1", "P twice|SELECT 2", "S", "r Z", "B |twice|", "E |0", "S", "r Z",
	    "C S|twice", "P twice|SELECT 3", "B |twice|", "E |0", "S", "r Z" } },
	{ "prepared, used and closed in one batch",
	  { "P once|SELECT 5", "B |once|", "C S|once", "E |0", "B |once|", "E |0", "S", "r Z" } },
	{ "the empty text",
	  { "P e|", "D S|e", "B |e|", "D P|", "E |0", "S", "r Z", "Q ", "r Z", "Q ;;", "r Z",
	    "C S|e", "S", "r Z" } },
	{ "rows in parts, in one batch",
	  { "P |SELECT generate_series(1, 5)", "B ||", "E |2", "E |2", "E |2", "S", "r Z" } },
	{ "rows in parts, over Flushes",
	  { "P |SELECT generate_series(1, 5)", "B q||", "E q|2", "H", "r s", "E q|1", "H", "r s",
	    "E q|0", "H", "r C", "S", "r Z", "E q|0", "S", "r Z" } },
	{ "two portals by turns",
	  { "Q BEGIN",
	    "r Z",
	    "P x|SELECT generate_series(1, 6)",
	    "P y|SELECT generate_series(11, 16)",
	    "B px|x|",
	    "B py|y|",
	    "E px|2",
	    "E py|1",
	    "E px|2",
	    "S",
	    "r Z",
	    "E py|0",
	    "E px|0",
	    "C P|px",
	    "S",
	    "r Z",
	    "E px|1",
	    "S",
	    "r Z",
	    "Q ROLLBACK",
	    "r Z",
	    "C S|x",
	    "C S|y",
	    "S",
	    "r Z" } },
	{ "a portal does not outlive its transaction",
	  { "P |SELECT generate_series(1, 5)", "B gone||", "E gone|1", "S", "r Z", "E gone|1",
	    "S", "r Z" } },
	{ "a finished portal is not run again",
	  { "P |SELECT 1", "B ||", "E |0", "E |0", "S", "r Z", "P |INSERT INTO pipe VALUES (1)",
	    "B ||", "E |0", "E |0", "S", "r Z" } },
	{ "a cursor is a portal",
	  { "Q BEGIN", "r Z", "Q DECLARE cur CURSOR FOR SELECT generate_series(1, 4)", "r Z",
	    "D P|cur", "E cur|2", "S", "r Z", "Q FETCH 1 FROM cur", "r Z", "C P|cur", "S", "r Z",
	    "Q FETCH 1 FROM cur", "r Z", "Q COMMIT", "r Z" } },
	{ "a transaction in one batch",
	  { "P |BEGIN", "B ||", "E |0", "P |SELECT 1", "B ||", "E |0", "P |COMMIT", "B ||",
	    "E |0", "S", "r Z" } },
	{ "a transaction over batches in flight, with an error",
	  { "P |BEGIN",    "B ||", "E |0", "S", "P |SELECT 1/0", "B ||", "E |0", "S",
	    "P |SELECT 2", "B ||", "E |0", "S", "P |ROLLBACK",   "B ||", "E |0", "S",
	    "P |SELECT 3", "B ||", "E |0", "S", "r Z",           "r Z",  "r Z",  "r Z",
	    "r Z" } },
	{ "savepoints over batches in flight",
	  { "Q BEGIN", "Q SAVEPOINT s", "Q SELECT 1/0", "Q ROLLBACK TO s", "Q SELECT 1",
	    "Q COMMIT", "r Z", "r Z", "r Z", "r Z", "r Z", "r Z" } },
	{ "an error undoes what came before it in the batch",
	  { "P |INSERT INTO pipe VALUES (100)", "B ||", "E |0", "P |SELECT 1/0", "B ||", "E |0",
	    "S", "r Z", "Q SELECT count(*) FROM pipe WHERE n = 100", "r Z" } },
	{ "COMMIT in an implicit block",
	  { "P |INSERT INTO pipe VALUES (101)", "B ||", "E |0", "P |COMMIT", "B ||", "E |0",
	    "P |SELECT 1/0", "B ||", "E |0", "S", "r Z", "Q DELETE FROM pipe WHERE n = 101",
	    "r Z" } },
	{ "COPY in, one after the other",
	  { "P |COPY pipe FROM STDIN", "B ||", "E |0", "H", "r G", "d 7\tseven\n", "d 8\teight\n",
	    "c", "S", "r Z", "Q DELETE FROM pipe WHERE n IN (7, 8)", "r Z" } },
	{ "COPY in, all at once",
	  { "P |COPY pipe FROM STDIN", "B ||", "E |0", "d 7\tseven\n", "d 8\teight\n", "c", "S",
	    "r Z", "Q DELETE FROM pipe WHERE n IN (7, 8)", "r Z" } },
	{ "COPY in, all at once and something behind",
	  { "P |COPY pipe FROM STDIN", "B ||", "E |0", "d 7\tseven\n", "c",
	    "P |DELETE FROM pipe WHERE n = 7", "B ||", "E |0", "S", "Q SELECT 5", "r Z",
	    "r Z" } },
	{ "simple COPY in, all at once",
	  { "Q COPY pipe FROM STDIN", "d 7\tseven\n", "c", "Q DELETE FROM pipe WHERE n = 7",
	    "r Z", "r Z" } },
	{ "COPY in that the client fails",
	  { "P |COPY pipe FROM STDIN", "B ||", "E |0", "d 7\tseven\n", "f no more", "S", "r Z",
	    "Q SELECT 1", "r Z" } },
	{ "COPY in that the server fails",
	  { "P |COPY pipe FROM STDIN", "B ||", "E |0", "d nonsense\n", "d 8\teight\n", "c", "S",
	    "r Z", "Q SELECT 1", "r Z" } },
	{ "COPY in that cannot begin",
	  { "P |COPY no_such_table FROM STDIN", "B ||", "E |0", "d 7\tseven\n", "c", "S", "r Z",
	    "Q SELECT 1", "r Z" } },
	{ "simple COPY in that cannot begin",
	  { "Q COPY no_such_table FROM STDIN", "d 7\tseven\n", "c", "Q SELECT 1", "r Z",
	    "r Z" } },
	{ "COPY in with Sync and Flush among the data",
	  { "Q COPY pipe FROM STDIN", "r G", "d 7\tseven\n", "S", "H", "d 8\teight\n", "c", "r Z",
	    "Q DELETE FROM pipe WHERE n IN (7, 8)", "r Z" } },
	{ "COPY out in a batch",
	  { "P |SELECT 1", "B ||", "E |0", "P |COPY (SELECT generate_series(1, 3)) TO STDOUT",
	    "B ||", "E |0", "P |SELECT 2", "B ||", "E |0", "S", "r Z" } },
	{ "COPY in and out in one text",
	  { "Q COPY pipe FROM STDIN; COPY (SELECT 1) TO STDOUT; SELECT 2", "r G", "d 9\tx\n", "c",
	    "r Z", "Q DELETE FROM pipe WHERE n = 9", "r Z" } },
	{ "function calls",
	  { "F 1397|-5", "r Z", "Q BEGIN", "r Z", "F 1397|-6", "r Z", "F 1|x", "r Z", "F 1397|-7",
	    "r Z", "Q ROLLBACK", "r Z" } },
	{ "function calls between batches",
	  { "P |SELECT 1", "B ||", "E |0", "S", "F 1397|-5", "P |SELECT 2", "B ||", "E |0", "S",
	    "F 1397|x", "Q SELECT 3", "r Z", "r Z", "r Z", "r Z", "r Z" } },
	{ "a Query inside a batch",
	  { "P a|SELECT 1", "B p|a|", "Q SELECT 2", "E p|0", "S", "r Z", "r Z", "C S|a", "S",
	    "r Z" } },
	{ "a Query ends the unnamed statement",
	  { "P |SELECT 1", "S", "Q SELECT 2", "B ||", "E |0", "S", "r Z", "r Z", "r Z" } },
	{ "several statements and an error",
	  { "Q SELECT 1; SELECT 1/0; SELECT 2", "r Z", "Q BEGIN; SELECT 1; COMMIT; SELECT 2",
	    "r Z" } },
	{ "several statements in a Parse", { "P |SELECT 1; SELECT 2", "B ||", "S", "r Z" } },
	{ "DISCARD ALL by itself in a batch",
	  { "P d2|SELECT 1", "S", "P |DISCARD ALL", "B ||", "E |0", "S", "B |d2|", "S", "r Z",
	    "r Z", "r Z" } },
	{ "utility and rows in a batch",
	  { "P |SET LOCAL work_mem = '1MB'", "B ||", "E |0", "P |SHOW work_mem", "B ||", "D P|",
	    "E |0", "P |EXPLAIN (COSTS OFF) SELECT 1", "B ||", "D P|", "E |1", "S", "r Z" } },
	{ "notices in a batch",
	  { "P |ROLLBACK", "B ||", "E |0", "P |DROP TABLE IF EXISTS no_such_table", "B ||",
	    "E |0", "S", "r Z" } },
	{ "messages that are no messages",
	  { "D X|a", "S", "r Z", "C X|a", "S", "r Z", "P a|SELECT 1", "S", "r Z", "C S|a", "S",
	    "r Z" } },
};

/* --- playing them --- */

static const char *part(const char **text, char out[512])
{
	size_t length = strcspn(*text, "|");

	snprintf(out, 512, "%.*s", (int)length, *text);
	*text += length + ((*text)[length] == '|');
	return out;
}

static bool send_function(struct raw *raw, int oid, const char *argument)
{
	/* One argument as text, the result as text. */
	return raw_message(raw, 'F', "ihhhith", oid, 1, 0, 1, (int)strlen(argument), argument, 0);
}

static void append(char *transcript, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void append(char *transcript, const char *format, ...)
{
	size_t at = strlen(transcript);
	va_list args;

	va_start(args, format);
	vsnprintf(transcript + at, TRANSCRIPT_BYTES - at, format, args);
	va_end(args);
}

/*
 * Source lines of PostgreSQL's are in errors; where ours stands for one, there are none. And a
 * statement has another name on the server: DETAIL and the like have to be right all the same.
 */
static void append_error(char *transcript, const struct raw *raw)
{
	const char *at = (const char *)raw->body;
	const char *end = at + raw->body_length;

	while (at < end && *at != '\0') {
		if (strchr("FLR", *at) == NULL)
			append(transcript, " %s", at);
		at += strlen(at) + 1;
	}
}

static void append_message(char *transcript, const struct raw *raw, char type)
{
	append(transcript, "%c", type);
	if (type == 'E' || type == 'N')
		append_error(transcript, raw);
	else
		for (size_t i = 0; i < raw->body_length; i++)
			append(transcript,
			       raw->body[i] >= ' ' && raw->body[i] < 127 ? "%c" : "\\%02x",
			       raw->body[i]);
	append(transcript, "\n");
}

static void read_up_to(struct raw *raw, char wanted, char *transcript)
{
	char type;

	do {
		type = raw_read(raw);
		if (type != 'S')
			append_message(transcript, raw, type == '\0' ? '-' : type);
	} while (type != '\0' && type != wanted);
	if (type == '\0')
		append(transcript, "the end, waiting for %c\n", wanted);
}

static void play_step(struct raw *raw, const char *step, char *transcript)
{
	const char *rest = step + (step[1] == ' ' ? 2 : 1);
	char first[512];
	char second[512];

	switch (step[0]) {
	case 'P':
		part(&rest, first);
		raw_parse(raw, first, rest);
		break;
	case 'B':
		part(&rest, first);
		part(&rest, second);
		raw_bind(raw, first, second, rest[0] ? rest : NULL);
		break;
	case 'D': raw_describe(raw, rest[0], rest + 2); break;
	case 'C': raw_close_name(raw, rest[0], rest + 2); break;
	case 'E':
		part(&rest, first);
		raw_execute(raw, first, atoi(rest));
		break;
	case 'S': raw_sync(raw); break;
	case 'H': raw_flush(raw); break;
	case 'Q': raw_query(raw, rest); break;
	case 'd': raw_message(raw, 'd', "t", rest); break;
	case 'c': raw_message(raw, 'c', ""); break;
	case 'f': raw_message(raw, 'f', "s", rest); break;
	case 'F':
		part(&rest, first);
		send_function(raw, atoi(first), rest);
		break;
	case 'r': read_up_to(raw, rest[0], transcript); break;
	default: ck_abort_msg("step \"%s\"", step);
	}
}

static char *play(int port, const struct sequence *sequence)
{
	struct raw *raw = raw_login(port, "trust_user", "app");
	char *transcript = calloc(1, TRANSCRIPT_BYTES);

	ck_assert_ptr_nonnull(raw);
	ck_assert_ptr_nonnull(transcript);
	for (int i = 0; sequence->steps[i] != NULL; i++)
		play_step(raw, sequence->steps[i], transcript);
	/* Nothing is left over, and all is well. */
	raw_query(raw, "SELECT 'end'");
	read_up_to(raw, 'Z', transcript);
	raw_close(&raw);
	return transcript;
}

static void must_be_the_same(const struct sequence *sequence, const struct test_proxy *through)
{
	char *expected = play(servers->nodes[0].port, sequence);
	char *got = play(through->port, sequence);

	ck_assert_msg(strcmp(expected, got) == 0, "%s: expected\n%sgot\n%s", sequence->name,
		      expected, got);
	free(expected);
	free(got);
}

START_TEST(test_sequence)
{
	must_be_the_same(&sequences[_i], proxy);
}
END_TEST

/* The same while another session has used the only server in between. */
START_TEST(test_sequence_on_a_shared_server)
{
	PGconn *other = db_open_as(narrow, "trust_user", "app", NULL);

	db_exec(other, "SET work_mem = '3MB'");
	must_be_the_same(&sequences[_i], narrow);
	ck_assert_str_eq(db_text(other, "SHOW work_mem"), "3MB");
	PQfinish(other);
}
END_TEST

/* --- libpq's pipelines --- */

enum {
	PIPELINE_QUERIES = 2000,
	QUERIES_A_SYNC = 7
};

/* What the i-th does: most a row, some an error, some nothing. */
static const char *query_text(int i, char text[128])
{
	if (i % 31 == 17)
		snprintf(text, 128, "SELECT 1/(%d - %d)", i, i);
	else if (i % 13 == 5)
		snprintf(text, 128, "INSERT INTO pipe VALUES (%d, 'pipeline')", 1000 + i);
	else
		snprintf(text, 128, "SELECT %d, repeat('x', %d)", i, i % 100);
	return text;
}

static void append_result(char *transcript, const PGresult *result)
{
	append(transcript, "%s %s %s\n", PQresStatus(PQresultStatus(result)),
	       PQcmdStatus((PGresult *)result),
	       PQresultStatus(result) == PGRES_TUPLES_OK ? PQgetvalue(result, 0, 0)
							 : result_state(result));
}

static char *run_pipeline(PGconn *conn)
{
	char *transcript = calloc(1, TRANSCRIPT_BYTES);
	char text[128];
	int syncs = 0;
	int seen = 0;

	ck_assert_int_eq(PQenterPipelineMode(conn), 1);
	ck_assert_int_eq(PQsetnonblocking(conn, 1), 0);
	for (int i = 0; i < PIPELINE_QUERIES; i++) {
		ck_assert_int_eq(PQsendQueryParams(conn, query_text(i, text), 0, NULL, NULL, NULL,
						   NULL, 0),
				 1);
		if (i % QUERIES_A_SYNC == 3)
			ck_assert_int_eq(PQsendFlushRequest(conn), 1);
		if (i % QUERIES_A_SYNC == QUERIES_A_SYNC - 1) {
			ck_assert_int_eq(PQpipelineSync(conn), 1);
			syncs++;
		}
	}
	ck_assert_int_eq(PQpipelineSync(conn), 1);
	syncs++;
	ck_assert_int_eq(PQsetnonblocking(conn, 0), 0);
	while (seen < syncs) {
		PGresult *result = PQgetResult(conn);

		if (result == NULL)
			continue;
		append_result(transcript, result);
		seen += PQresultStatus(result) == PGRES_PIPELINE_SYNC;
		ck_assert_msg(PQstatus(conn) == CONNECTION_OK, "%s", PQerrorMessage(conn));
		PQclear(result);
	}
	ck_assert_int_eq(PQexitPipelineMode(conn), 1);
	db_exec(conn, "DELETE FROM pipe WHERE t = 'pipeline'");
	return transcript;
}

START_TEST(test_libpq_pipeline)
{
	char direct[128];
	PGconn *server;
	PGconn *conn = db_open_as(_i ? narrow : proxy, "trust_user", "app", NULL);
	size_t same = 0;
	char *expected;
	char *got;

	snprintf(direct, sizeof(direct), "host=127.0.0.1 port=%d user=trust_user dbname=app",
		 servers->nodes[0].port);
	server = PQconnectdb(direct);
	ck_assert_int_eq(PQstatus(server), CONNECTION_OK);
	expected = run_pipeline(server);
	got = run_pipeline(conn);
	while (expected[same] != '\0' && got[same] == expected[same])
		same++;
	ck_assert_msg(got[same] == expected[same], "from byte %zu: expected %.300s\ngot %.300s",
		      same, expected + same, got + same);
	free(expected);
	free(got);
	PQfinish(server);
	PQfinish(conn);
}
END_TEST

static Suite *pipeline_suite(void)
{
	Suite *suite = suite_create("pipeline");
	TCase *tcase = integration_case(suite, "pipeline", 60);
	int n = (int)(sizeof(sequences) / sizeof(sequences[0]));

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, test_sequence, 0, n);
	tcase_add_loop_test(tcase, test_sequence_on_a_shared_server, 0, n);
	tcase_add_loop_test(tcase, test_libpq_pipeline, 0, 2);
	return suite;
}

INTEGRATION_SUITE(pipeline_suite)
