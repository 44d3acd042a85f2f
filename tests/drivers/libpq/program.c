/*
 * What programs do that use libpq itself: pipelines above all, with errors in the middle, many
 * Syncs in flight and Flush; single-row mode; COPY; large objects; many sessions at once, none of
 * which blocks. See ../README.md for the rules of these programs.
 */
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libpq-fe.h>
#include <libpq/libpq-fs.h>

#define PRIMARY   "/* pointsman: read_hint=primary */ "
#define COUNT(a)  (sizeof(a) / sizeof((a)[0]))
#define BYTEA_OID 17

enum {
	SESSIONS = 40,
	ROUNDS = 25,
	DEEP = 3000,
	OBJECT_BYTES = 500000
};

static void must(bool ok, PGconn *conn, const char *what)
{
	if (ok)
		return;
	printf("\nEXCEPTION %s: %s\n", what, PQerrorMessage(conn));
	exit(1);
}

static PGconn *open_session(const char *parameters)
{
	PGconn *conn = PQconnectdb(parameters);

	must(PQstatus(conn) == CONNECTION_OK, conn, "connect");
	return conn;
}

static unsigned long hash(const char *bytes, size_t length)
{
	unsigned long h = 5381;

	for (size_t i = 0; i < length; i++)
		h = h * 33 + (unsigned char)bytes[i];
	return h & 0xffffffff;
}

/* --- showing results --- */

static void show_rows(const PGresult *result)
{
	for (int row = 0; row < PQntuples(result) && row < 5; row++) {
		for (int column = 0; column < PQnfields(result); column++) {
			bool is_null = PQgetisnull(result, row, column);
			int length = PQgetlength(result, row, column);

			printf(" %s", is_null        ? "NULL"
				      : length > 100 ? "(long)"
						     : PQgetvalue(result, row, column));
		}
		printf(";");
	}
}

static void show_result(PGresult *result)
{
	if (result == NULL) {
		printf("  -\n");
		return;
	}
	printf("  %s", PQresStatus(PQresultStatus(result)));
	if (PQresultStatus(result) == PGRES_FATAL_ERROR)
		printf(" %s %s", PQresultErrorField(result, PG_DIAG_SQLSTATE),
		       PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
	if (PQcmdStatus(result)[0] != '\0')
		printf(" [%s]", PQcmdStatus(result));
	if (PQntuples(result) > 0)
		printf(" %d rows:", PQntuples(result));
	show_rows(result);
	printf("\n");
	PQclear(result);
}

static const char *status_name(const PGconn *conn)
{
	static const char *const names[] = { "idle", "active", "in transaction", "failed",
					     "unknown" };

	return names[PQtransactionStatus(conn)];
}

static void exec(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(result);

	must(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, conn, sql);
	PQclear(result);
}

static void show_exec(PGconn *conn, const char *sql)
{
	show_result(PQexec(conn, sql));
}

/* Everything that is due in a pipeline, up to `syncs` Syncs. */
static void show_pipeline(PGconn *conn, int syncs)
{
	int empty = 0;

	while (syncs > 0 && empty < 2) {
		PGresult *result = PQgetResult(conn);

		empty = result == NULL ? empty + 1 : 0;
		if (result == NULL)
			continue;
		if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
			syncs--;
		show_result(result);
	}
	if (syncs > 0)
		printf("  %d Syncs are missing\n", syncs);
}

static void send(PGconn *conn, const char *sql, int n, const char *const *values)
{
	must(PQsendQueryParams(conn, sql, n, NULL, values, NULL, NULL, 0) == 1, conn, sql);
}

static void send_number(PGconn *conn, const char *sql, int number)
{
	char text[16];
	const char *value = text;

	snprintf(text, sizeof(text), "%d", number);
	send(conn, sql, 1, &value);
}

static void sync_now(PGconn *conn)
{
	must(PQpipelineSync(conn) == 1, conn, "PQpipelineSync");
}

/* --- topics --- */

static void pipelines(void)
{
	PGconn *conn = open_session("");

	exec(conn, "CREATE TABLE piped (id int PRIMARY KEY, v text)");
	must(PQenterPipelineMode(conn) == 1, conn, "pipeline mode");
	/* Reads and writes mixed, each with a Sync of its own. */
	for (int i = 0; i < 6; i++) {
		send_number(conn, "INSERT INTO piped VALUES ($1, 'x') RETURNING id", i);
		sync_now(conn);
		send_number(conn, "SELECT count(*) FROM piped WHERE id <= $1", i);
		sync_now(conn);
	}
	show_pipeline(conn, 12);
	puts("one Sync for all, an error in the middle");
	send_number(conn, "INSERT INTO piped VALUES ($1, 'y')", 100);
	send_number(conn, "INSERT INTO piped VALUES ($1, 'y')", 1);
	send_number(conn, "INSERT INTO piped VALUES ($1, 'y')", 101);
	sync_now(conn);
	send_number(conn, "SELECT count(*) FROM piped WHERE id >= $1", 100);
	sync_now(conn);
	show_pipeline(conn, 2);
	puts("every kind of error");
	send(conn, "SELEC", 0, NULL);
	sync_now(conn);
	send(conn, "SELECT * FROM nowhere", 0, NULL);
	sync_now(conn);
	send(conn, "SELECT 1/0", 0, NULL);
	send(conn, "SELECT 'skipped'", 0, NULL);
	sync_now(conn);
	send(conn, "SELECT 'after'", 0, NULL);
	sync_now(conn);
	show_pipeline(conn, 4);
	puts("nothing but Syncs");
	sync_now(conn);
	sync_now(conn);
	show_pipeline(conn, 2);
	must(PQexitPipelineMode(conn) == 1, conn, "leave pipeline mode");
	show_exec(conn, "SELECT count(*) FROM piped");
	PQfinish(conn);
}

static void transactions(void)
{
	PGconn *conn = open_session("");

	exec(conn, "CREATE TABLE kept (id int PRIMARY KEY)");
	must(PQenterPipelineMode(conn) == 1, conn, "pipeline mode");
	puts("BEGIN to COMMIT in one flight");
	send(conn, "BEGIN", 0, NULL);
	send_number(conn, "INSERT INTO kept VALUES ($1)", 1);
	send(conn, "SELECT count(*) FROM kept", 0, NULL);
	send(conn, "COMMIT", 0, NULL);
	send(conn, "SELECT count(*) FROM kept", 0, NULL);
	sync_now(conn);
	show_pipeline(conn, 1);
	puts("a transaction over several Syncs, with an error and a savepoint");
	send(conn, "BEGIN", 0, NULL);
	sync_now(conn);
	send(conn, "SAVEPOINT a", 0, NULL);
	send_number(conn, "INSERT INTO kept VALUES ($1)", 1);
	sync_now(conn);
	send(conn, "SELECT 'failed'", 0, NULL);
	sync_now(conn);
	send(conn, "ROLLBACK TO a", 0, NULL);
	send_number(conn, "INSERT INTO kept VALUES ($1)", 2);
	sync_now(conn);
	show_pipeline(conn, 4);
	printf("%s\n", status_name(conn));
	send(conn, "COMMIT", 0, NULL);
	sync_now(conn);
	show_pipeline(conn, 1);
	printf("%s\n", status_name(conn));
	puts("settings in between");
	send(conn, "SET work_mem = '3MB'", 0, NULL);
	sync_now(conn);
	send(conn, "SHOW work_mem", 0, NULL);
	sync_now(conn);
	send(conn, "BEGIN", 0, NULL);
	send(conn, "SET LOCAL work_mem = '5MB'", 0, NULL);
	send(conn, "SHOW work_mem", 0, NULL);
	send(conn, "ROLLBACK", 0, NULL);
	sync_now(conn);
	send(conn, "SHOW work_mem", 0, NULL);
	sync_now(conn);
	show_pipeline(conn, 4);
	PQfinish(conn);
}

static void prepared(void)
{
	PGconn *conn = open_session("");
	const char *values[] = { "41" };

	show_result(PQprepare(conn, "next", "SELECT $1::int + 1", 0, NULL));
	show_result(PQexecPrepared(conn, "next", 1, values, NULL, NULL, 0));
	show_result(PQprepare(conn, "next", "SELECT 2", 0, NULL));
	show_result(PQdescribePrepared(conn, "next"));
	show_result(PQdescribePrepared(conn, "unknown"));
	show_result(PQprepare(conn, "", "SELECT $1::text", 0, NULL));
	show_result(PQexecPrepared(conn, "", 1, values, NULL, NULL, 0));
	show_result(PQexecPrepared(conn, "", 1, values, NULL, NULL, 0));
	puts("in a pipeline");
	must(PQenterPipelineMode(conn) == 1, conn, "pipeline mode");
	must(PQsendPrepare(conn, "piped", "SELECT $1::int * 2", 0, NULL) == 1, conn, "prepare");
	must(PQsendQueryPrepared(conn, "piped", 1, values, NULL, NULL, 0) == 1, conn, "execute");
	must(PQsendDescribePrepared(conn, "piped") == 1, conn, "describe");
	must(PQsendPrepare(conn, "wrong", "SELECT nothing", 0, NULL) == 1, conn, "prepare");
	must(PQsendQueryPrepared(conn, "wrong", 0, NULL, NULL, NULL, 0) == 1, conn, "execute");
	sync_now(conn);
	must(PQsendQueryPrepared(conn, "wrong", 0, NULL, NULL, NULL, 0) == 1, conn, "execute");
	sync_now(conn);
	must(PQsendQueryPrepared(conn, "piped", 1, values, NULL, NULL, 0) == 1, conn, "execute");
	sync_now(conn);
	show_pipeline(conn, 3);
	send(conn, "DEALLOCATE ALL", 0, NULL);
	sync_now(conn);
	must(PQsendPrepare(conn, "piped", "SELECT $1::int * 3", 0, NULL) == 1, conn, "prepare");
	must(PQsendQueryPrepared(conn, "piped", 1, values, NULL, NULL, 0) == 1, conn, "execute");
	sync_now(conn);
	show_pipeline(conn, 2);
	must(PQexitPipelineMode(conn) == 1, conn, "leave pipeline mode");
	exec(conn, "DEALLOCATE piped");
	show_result(PQexecPrepared(conn, "piped", 1, values, NULL, NULL, 0));
	PQfinish(conn);
}

/* Sends while it receives: neither side's buffers can hold all of it. */
static void deep(void)
{
	PGconn *conn = open_session("");
	int sent = 0, got = 0, syncs = 0;
	long sum = 0;

	must(PQsetnonblocking(conn, 1) == 0, conn, "non-blocking");
	must(PQenterPipelineMode(conn) == 1, conn, "pipeline mode");
	while (syncs < DEEP) {
		struct pollfd pfd = { .fd = PQsocket(conn), .events = POLLIN };
		PGresult *result;

		if (sent < DEEP) {
			send_number(conn, "SELECT $1::int, repeat('x', 1000)", sent++);
			sync_now(conn);
			pfd.events |= POLLOUT;
		} else if (PQflush(conn) == 1) {
			pfd.events |= POLLOUT;
		}
		must(poll(&pfd, 1, 30000) == 1, conn, "poll");
		if ((pfd.revents & POLLIN) == 0)
			continue;
		must(PQconsumeInput(conn) == 1, conn, "input");
		while (syncs < got + 1 && syncs < sent && !PQisBusy(conn)) {
			result = PQgetResult(conn);
			if (PQresultStatus(result) == PGRES_TUPLES_OK) {
				sum += atoi(PQgetvalue(result, 0, 0));
				got++;
			} else if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
				syncs++;
			}
			PQclear(result);
		}
	}
	printf("%d of %d, %ld\n", got, sent, sum);
	PQfinish(conn);
}

static void flushes(void)
{
	PGconn *conn = open_session("");

	must(PQenterPipelineMode(conn) == 1, conn, "pipeline mode");
	for (int i = 0; i < 3; i++) {
		send_number(conn, "SELECT $1::int", i);
		must(PQsendFlushRequest(conn) == 1, conn, "flush");
		must(PQflush(conn) == 0, conn, "flush");
		show_result(PQgetResult(conn));
		show_result(PQgetResult(conn));
	}
	send(conn, "CREATE TABLE flushed (n int)", 0, NULL);
	must(PQsendFlushRequest(conn) == 1, conn, "flush");
	must(PQflush(conn) == 0, conn, "flush");
	show_result(PQgetResult(conn));
	show_result(PQgetResult(conn));
	send(conn, "SELECT 1/0", 0, NULL);
	must(PQsendFlushRequest(conn) == 1, conn, "flush");
	must(PQflush(conn) == 0, conn, "flush");
	show_result(PQgetResult(conn));
	show_result(PQgetResult(conn));
	send(conn, "SELECT 'skipped'", 0, NULL);
	sync_now(conn);
	show_pipeline(conn, 1);
	must(PQexitPipelineMode(conn) == 1, conn, "leave pipeline mode");
	/* The Sync rolled back what had been flushed before the error. */
	show_exec(conn, "SELECT count(*) FROM flushed");
	PQfinish(conn);
}

static void single_rows(void)
{
	PGconn *conn = open_session("");
	PGresult *result;
	long rows = 0, sum = 0;

	must(PQsendQuery(conn, "SELECT n, repeat('x', 50) FROM generate_series(1, 30000) n;"
			       "SELECT 10 / (n - 5) FROM generate_series(1, 10) n") == 1,
	     conn, "send");
	must(PQsetSingleRowMode(conn) == 1, conn, "single rows");
	while ((result = PQgetResult(conn)) != NULL) {
		if (PQresultStatus(result) == PGRES_SINGLE_TUPLE) {
			rows++;
			sum += atol(PQgetvalue(result, 0, 0));
			PQclear(result);
		} else {
			show_result(result);
		}
	}
	printf("%ld %ld %s\n", rows, sum, status_name(conn));
	show_result(PQexecParams(conn, "SELECT 1 AS a, NULL, $1::text", 1, NULL,
				 (const char *const[]){ "x" }, NULL, NULL, 1));
	PQfinish(conn);
}

static void put_lines(PGconn *conn, int from, int to)
{
	for (int i = from; i < to; i++) {
		char line[64];
		int length = snprintf(line, sizeof(line), "%d\tvalue %d\n", i, i);

		must(PQputCopyData(conn, line, length) == 1, conn, "copy data");
	}
}

static void end_copy(PGconn *conn, const char *error)
{
	PGresult *result;

	must(PQputCopyEnd(conn, error) == 1, conn, "copy end");
	while ((result = PQgetResult(conn)) != NULL)
		show_result(result);
}

static void copies(void)
{
	PGconn *conn = open_session("");
	unsigned long sum = 0;
	PGresult *result;
	char *line;
	int length;

	exec(conn, "CREATE TABLE copies (id int PRIMARY KEY, v text)");
	show_exec(conn, "COPY copies FROM STDIN");
	put_lines(conn, 0, 30000);
	end_copy(conn, NULL);
	show_exec(conn, "COPY copies FROM STDIN");
	put_lines(conn, 29999, 60000);
	end_copy(conn, NULL);
	show_exec(conn, "COPY copies FROM STDIN");
	put_lines(conn, 70000, 70010);
	end_copy(conn, "the client gives up");
	puts("in the extended protocol");
	show_result(PQexecParams(conn, "COPY copies FROM STDIN", 0, NULL, NULL, NULL, NULL, 0));
	put_lines(conn, 80000, 80010);
	end_copy(conn, NULL);
	show_result(PQexecParams(conn, "COPY (SELECT * FROM copies ORDER BY id) TO STDOUT", 0,
				 NULL, NULL, NULL, NULL, 0));
	while ((length = PQgetCopyData(conn, &line, 0)) > 0) {
		sum += hash(line, (size_t)length);
		PQfreemem(line);
	}
	printf("%lu\n", sum);
	while ((result = PQgetResult(conn)) != NULL)
		show_result(result);
	puts("between other statements");
	must(PQsendQuery(conn, "SELECT 'before'; COPY copies FROM STDIN; SELECT count(*) FROM "
			       "copies; COPY (SELECT 1) TO STDOUT; SELECT 'behind'") == 1,
	     conn, "send");
	while ((result = PQgetResult(conn)) != NULL) {
		ExecStatusType status = PQresultStatus(result);

		show_result(result);
		if (status == PGRES_COPY_IN) {
			put_lines(conn, 90000, 90005);
			must(PQputCopyEnd(conn, NULL) == 1, conn, "copy end");
		}
		while (status == PGRES_COPY_OUT && PQgetCopyData(conn, &line, 0) > 0) {
			printf("  row %s", line);
			PQfreemem(line);
		}
	}
	PQfinish(conn);
}

static void large_objects(void)
{
	PGconn *conn = open_session("");
	char *bytes = malloc(OBJECT_BYTES);
	int descriptor, got = 0;
	Oid object;

	for (int i = 0; i < OBJECT_BYTES; i++)
		bytes[i] = (char)(i * 7 + i / 256);
	exec(conn, "BEGIN");
	object = lo_creat(conn, INV_READ | INV_WRITE);
	descriptor = lo_open(conn, object, INV_READ | INV_WRITE);
	printf("written %d\n", lo_write(conn, descriptor, bytes, OBJECT_BYTES));
	printf("seek %d\n", lo_lseek(conn, descriptor, 1000, SEEK_SET));
	memset(bytes, 0, OBJECT_BYTES);
	while (got < OBJECT_BYTES - 1000) {
		int n = lo_read(conn, descriptor, bytes + got, 65536);

		must(n > 0, conn, "lo_read");
		got += n;
	}
	printf("read %d %lu\n", got, hash(bytes, (size_t)got));
	printf("close %d\n", lo_close(conn, descriptor));
	exec(conn, "COMMIT");
	printf("unlink %d\n", lo_unlink(conn, object));
	printf("again %d\n", lo_unlink(conn, object));
	show_exec(conn, "SELECT 'alive'");
	free(bytes);
	PQfinish(conn);
}

static void large_values(void)
{
	PGconn *conn = open_session("");
	size_t length = 5000000;
	char *bytes = malloc(length);
	int lengths[] = { (int)length }, formats[] = { 1 };
	const Oid types[] = { BYTEA_OID };
	const char *values[] = { bytes };
	PGresult *result;

	for (size_t i = 0; i < length; i++)
		bytes[i] = (char)(i * 31 + i / 512);
	exec(conn, "CREATE TABLE large (b bytea)");
	show_result(PQexecParams(conn, "INSERT INTO large VALUES ($1)", 1, types, values, lengths,
				 formats, 1));
	result = PQexecParams(conn, "SELECT b FROM large", 0, NULL, NULL, NULL, NULL, 1);
	printf("%d rows, %s\n", PQntuples(result),
	       PQntuples(result) == 1 && (size_t)PQgetlength(result, 0, 0) == length &&
			       memcmp(PQgetvalue(result, 0, 0), bytes, length) == 0
		       ? "the same"
		       : "other bytes");
	PQclear(result);
	puts("several of them in one pipeline");
	must(PQenterPipelineMode(conn) == 1, conn, "pipeline mode");
	for (int i = 0; i < 3; i++) {
		must(PQsendQueryParams(conn, "SELECT length($1), $1 = b FROM large", 1, types,
				       values, lengths, formats, 0) == 1,
		     conn, "send");
		sync_now(conn);
	}
	show_pipeline(conn, 3);
	free(bytes);
	PQfinish(conn);
}

static void cancels(void)
{
	static const char *const queries[] = { "SELECT pg_sleep(60)",
					       PRIMARY "SELECT pg_sleep(60)" };
	PGconn *conn = open_session("");
	PGcancel *cancel = PQgetCancel(conn);
	char error[256];

	for (size_t i = 0; i < COUNT(queries); i++) {
		PGresult *result;

		must(PQsendQuery(conn, queries[i]) == 1, conn, "send");
		while (PQconsumeInput(conn) == 1 && PQisBusy(conn)) {
			struct pollfd pfd = { .fd = PQsocket(conn), .events = POLLIN };

			if (poll(&pfd, 1, 50) == 0)
				must(PQcancel(cancel, error, sizeof(error)) == 1, conn, error);
		}
		while ((result = PQgetResult(conn)) != NULL)
			show_result(result);
		show_exec(conn, "SELECT 'alive'");
	}
	PQfreeCancel(cancel);
	PQfinish(conn);
}

static void on_notice(void *context, const PGresult *result)
{
	(void)context;
	printf("  notice: %s %s\n", PQresultErrorField(result, PG_DIAG_SQLSTATE),
	       PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
}

static void simple(void)
{
	static const char *const texts[] = {
		"",
		";",
		";;SELECT 1;;",
		"SELECT 1; SELECT 2; SELECT 1/0; SELECT 3",
		"BEGIN; SELECT 1",
		"SELECT 2; COMMIT; SELECT 3",
		"BEGIN; SELECT 1/0",
		"SELECT 1",
		"ROLLBACK; SELECT 4",
		"CREATE TABLE texts (n int); INSERT INTO texts VALUES (1); SELECT 1/0",
		"SELECT count(*) FROM pg_class WHERE relname = 'texts'",
		"BEGIN; CREATE TABLE texts (n int); COMMIT; BEGIN; INSERT INTO texts VALUES (1)",
		"COMMIT AND CHAIN",
		"SELECT count(*) FROM texts",
		"ROLLBACK AND CHAIN; ROLLBACK",
		"COMMIT",
		"SAVEPOINT a",
		"BEGIN; SAVEPOINT a; RELEASE a; RELEASE a",
		"ROLLBACK",
		"BEGIN READ ONLY; SHOW transaction_read_only; SELECT count(*) FROM texts",
		"INSERT INTO texts VALUES (2)",
		"COMMIT",
		"START TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ WRITE",
		"SHOW transaction_isolation",
		"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
		"ABORT",
		"BEGIN; PREPARE TRANSACTION 'libpq'",
		"COMMIT PREPARED 'libpq'",
		"VACUUM texts; SELECT 1",
		"VACUUM texts",
		"LISTEN simple; NOTIFY simple, 'heard'",
		"UNLISTEN *",
		"EXPLAIN (COSTS off) SELECT 1",
		"VALUES (1, 'a'), (2, 'b')",
		"TABLE texts",
		"SHOW server_version_num",
		"DO $$ BEGIN RAISE NOTICE 'done'; END $$",
	};
	PGconn *conn = open_session("");

	PQsetNoticeReceiver(conn, on_notice, NULL);
	for (size_t i = 0; i < COUNT(texts); i++) {
		PGresult *result;
		PGnotify *notify;

		printf("%s\n", texts[i]);
		must(PQsendQuery(conn, texts[i]) == 1, conn, texts[i]);
		while ((result = PQgetResult(conn)) != NULL)
			show_result(result);
		while ((notify = PQnotifies(conn)) != NULL) {
			printf("  notified: %s %s\n", notify->relname, notify->extra);
			PQfreemem(notify);
		}
		printf("  %s\n", status_name(conn));
	}
	PQfinish(conn);
}

/* --- many sessions --- */

/* One session that takes, in a pipeline, a little from its own row, and reads it again. */
struct session {
	PGconn *conn;
	int index;
	int round;
	int wrong;
	int syncs; /* seen in this round */
};

static void begin_round(struct session *session)
{
	static const char take[] = "UPDATE many SET amount = amount - 1 WHERE id = $1";
	char name[64];

	snprintf(name, sizeof(name), "SET LOCAL application_name = 'number %d'", session->index);
	send(session->conn, "BEGIN", 0, NULL);
	send(session->conn, name, 0, NULL);
	send_number(session->conn, take, session->index);
	send(session->conn, "SHOW application_name", 0, NULL);
	send(session->conn, "COMMIT", 0, NULL);
	sync_now(session->conn);
	send_number(session->conn, "SELECT 1 / ($1::int - $1::int)", session->index);
	sync_now(session->conn);
	send_number(session->conn, "SELECT amount FROM many WHERE id = $1", session->index);
	sync_now(session->conn);
	session->syncs = 0;
}

static void check_result(struct session *session, const PGresult *result)
{
	char expected[32];

	switch (PQresultStatus(result)) {
	case PGRES_PIPELINE_SYNC: session->syncs++; return;
	case PGRES_TUPLES_OK:
		if (session->syncs == 0)
			snprintf(expected, sizeof(expected), "number %d", session->index);
		else
			snprintf(expected, sizeof(expected), "%d", 1000 - session->round - 1);
		session->wrong +=
			PQntuples(result) != 1 || strcmp(PQgetvalue(result, 0, 0), expected) != 0;
		return;
	case PGRES_FATAL_ERROR:
		session->wrong +=
			session->syncs != 1 ||
			strcmp(PQresultErrorField(result, PG_DIAG_SQLSTATE), "22012") != 0;
		return;
	default: return;
	}
}

static void read_session(struct session *session)
{
	must(PQconsumeInput(session->conn) == 1, session->conn, "input");
	while (session->syncs < 3 && !PQisBusy(session->conn)) {
		PGresult *result = PQgetResult(session->conn);

		if (result != NULL)
			check_result(session, result);
		PQclear(result);
	}
	if (session->syncs == 3 && ++session->round < ROUNDS)
		begin_round(session);
}

static void many(void)
{
	struct session sessions[SESSIONS] = { 0 };
	PGconn *conn = open_session("");
	int busy = SESSIONS, wrong = 0;

	exec(conn, "CREATE TABLE many (id int PRIMARY KEY, amount int)");
	exec(conn, "INSERT INTO many SELECT n, 1000 FROM generate_series(0, 99) n");
	for (int i = 0; i < SESSIONS; i++) {
		sessions[i] = (struct session){ .conn = open_session(""), .index = i };
		must(PQsetnonblocking(sessions[i].conn, 1) == 0, sessions[i].conn, "set");
		must(PQenterPipelineMode(sessions[i].conn) == 1, sessions[i].conn, "mode");
		begin_round(&sessions[i]);
	}
	while (busy > 0) {
		struct pollfd pfds[SESSIONS];

		busy = 0;
		for (int i = 0; i < SESSIONS; i++) {
			bool is_done = sessions[i].round == ROUNDS;

			busy += !is_done;
			pfds[i] =
				(struct pollfd){ .fd = is_done ? -1 : PQsocket(sessions[i].conn),
						 .events = POLLIN };
			if (!is_done && PQflush(sessions[i].conn) == 1)
				pfds[i].events |= POLLOUT;
		}
		must(busy == 0 || poll(pfds, SESSIONS, 60000) > 0, conn, "poll");
		for (int i = 0; i < SESSIONS; i++) {
			if (pfds[i].fd != -1 && pfds[i].revents != 0)
				read_session(&sessions[i]);
		}
	}
	for (int i = 0; i < SESSIONS; i++) {
		wrong += sessions[i].wrong;
		PQfinish(sessions[i].conn);
	}
	printf("%d wrong\n", wrong);
	show_exec(conn, PRIMARY "SELECT sum(amount), min(amount) FROM many");
	PQfinish(conn);
}

static void connecting(void)
{
	static const char *const parameters[] = {
		"user=nobody",
		"dbname=no_such_database",
		"target_session_attrs=read-write",
		"target_session_attrs=primary",
		"target_session_attrs=prefer-standby",
		"target_session_attrs=read-only",
		"target_session_attrs=standby",
		"options='-c work_mem=3MB -c geqo=off' application_name=x client_encoding=LATIN1",
		"options='-c no_such_setting=1'",
		"options=-cwork_mem=nonsense",
	};

	for (size_t i = 0; i < COUNT(parameters); i++) {
		PGconn *conn = PQconnectdb(parameters[i]);

		printf("%s: %s\n", parameters[i],
		       PQstatus(conn) == CONNECTION_OK ? "connected" : "refused");
		if (PQstatus(conn) == CONNECTION_OK)
			show_exec(conn, "SELECT current_setting('work_mem'), "
					"current_setting('geqo'), "
					"current_setting('application_name'), "
					"current_setting('client_encoding')");
		PQfinish(conn);
	}
	for (int i = 0; i < 50; i++)
		PQfinish(open_session(""));
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} topics[] = {
		{ "pipelines", pipelines },
		{ "transactions", transactions },
		{ "prepared", prepared },
		{ "deep", deep },
		{ "flushes", flushes },
		{ "single_rows", single_rows },
		{ "copies", copies },
		{ "large_objects", large_objects },
		{ "large_values", large_values },
		{ "cancels", cancels },
		{ "simple", simple },
		{ "many", many },
		{ "connecting", connecting },
	};

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < COUNT(topics); i++) {
		if (argc > 1 && strcmp(argv[1], topics[i].name) != 0)
			continue;
		printf("== %s\n", topics[i].name);
		topics[i].run();
	}
	printf("== end\n");
	return EXIT_SUCCESS;
}
