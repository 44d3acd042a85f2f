/*
 * Looking users up on the servers; see probe/lookup.h. A job is one question with all who asked
 * it, a line is one connection; a job waits until it has a line. Runs on the control thread's
 * loop; no step blocks.
 *
 *   job:   queued --> on a line --> answered
 *   line:  CONNECTING --> ASKING --> IDLE --> ASKING ...     (any --> gone)
 */

#include "probe/lookup.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>
#include <libpq-fe.h>
#include <openssl/crypto.h>

#include "base/bytes.h"
#include "base/list.h"
#include "base/log.h"
#include "base/panic.h"
#include "base/strmap.h"
#include "probe/conninfo.h"

#define IDLE_TIME (30 * USEC_PER_SEC)
#define WHY_MAX   160

enum line_state {
	LINE_CONNECTING,
	LINE_ASKING,
	LINE_IDLE
};

struct asker {
	struct list_node node;
	lookup_done done;
	void *context;
};

struct job_node {
	char name[64];
	char host[256];
	int port;
	char address[CONNINFO_ADDRESS_MAX];
};

struct job {
	struct list_node node; /* queued */
	struct lookups *lookups;
	struct bytes key; /* line key and user: what is the same question */
	size_t line_key;  /* the first so many bytes: what a connection is for */
	struct list askers;
	struct job_node nodes[LOOKUP_NODES_MAX];
	size_t n_nodes;
	size_t tried; /* nodes */
	char *database;
	char *asker;
	char *password;
	char *query;
	char *user;
	struct tls_settings tls;
	usec ends_at;
	struct loop_timer *timer; /* while queued */
};

struct line {
	struct list_node node;
	struct lookups *lookups;
	struct job *job; /* NULL: idle */
	enum line_state state;
	struct bytes key; /* of the job that it was made for */
	struct job_node to;
	PGconn *conn;
	struct event *io;
	struct loop_timer *timer;
	PGresult *result;
	bool is_used;     /* has answered before: it may have gone stale */
	bool is_outdated; /* of before a reload */
};

struct lookups {
	struct loop *loop;
	struct list lines;
	struct list queue;   /* jobs without a line */
	struct strmap *jobs; /* by key: all that are not answered */
	struct loop_deferred serving;
	struct log_limit limit;
};

static void serve_queue(struct lookups *lookups);
static void on_io(evutil_socket_t fd, short what, void *context);

/* --- jobs --- */

static void free_text(char **text)
{
	if (*text)
		OPENSSL_cleanse(*text, strlen(*text));
	free(*text);
	*text = NULL;
}

static void free_bytes(struct bytes *b)
{
	if (b->data)
		OPENSSL_cleanse(b->data, b->capacity);
	bytes_free(b);
}

static void free_job(struct job *job)
{
	free_bytes(&job->key);
	free_text(&job->database);
	free_text(&job->asker);
	free_text(&job->password);
	free_text(&job->query);
	free_text(&job->user);
	loop_timer_destroy(&job->timer);
	loop_defer_free(job->lookups->loop, job);
}

static void warn(struct lookups *lookups, const struct job *job, const char *why)
{
	struct log_ctx ctx = { .kind = "lookup", .user = job->user, .database = job->database };
	unsigned suppressed = 0;

	if (log_limit_pass(&lookups->limit, &suppressed))
		log_warnx(&ctx, "auth_query: %s%s", why,
			  suppressed ? " (and others that were not logged)" : "");
}

/* Each asker has a copy of its own. */
static void tell(struct asker *asker, enum lookup_result result, const char *secret)
{
	struct lookup_answer answer = { .result = result };

	if (secret) {
		answer.secret = strdup(secret);
		if (!answer.secret)
			answer.result = LOOKUP_FAILED;
	}
	asker->done(asker->context, &answer);
	free_text(&answer.secret);
	free(asker);
}

/* It is off its line and out of the queue. */
static void end_job(struct job *job, enum lookup_result result, const char *secret)
{
	struct list_node *node;

	strmap_remove(job->lookups->jobs, bytes_begin(&job->key), bytes_length(&job->key));
	while ((node = list_pop_front(&job->askers)) != NULL)
		tell(LIST_ENTRY(node, struct asker, node), result, secret);
	free_job(job);
}

static void on_queue_timeout(void *context)
{
	struct job *job = context;

	list_remove(&job->lookups->queue, &job->node);
	warn(job->lookups, job, "no connection became free in time");
	end_job(job, LOOKUP_FAILED, NULL);
}

/* --- lines --- */

static void close_line(struct line *line)
{
	struct lookups *lookups = line->lookups;

	list_remove(&lookups->lines, &line->node);
	if (line->io)
		event_free(line->io);
	loop_timer_destroy(&line->timer);
	PQclear(line->result);
	PQfinish(line->conn);
	free_bytes(&line->key);
	loop_defer_free(lookups->loop, line);
}

/* false without memory. */
static bool wait_io(struct line *line, short what)
{
	event_del(line->io);
	return event_assign(line->io, loop_base(line->lookups->loop), PQsocket(line->conn), what,
			    on_io, line) == 0 &&
	       event_add(line->io, NULL) == 0;
}

static bool begin_line(struct lookups *lookups, struct job *job, char *why, size_t size);

/* The line is lost while it had a job: another connection, another node, or the end. */
static void fail_line(struct line *line, const char *why)
{
	struct lookups *lookups = line->lookups;
	struct job *job = line->job;
	char kept[WHY_MAX];
	char text[WHY_MAX + 80];

	snprintf(kept, sizeof(kept), "%.*s", (int)strcspn(why, "\n"), why);
	if (line->is_used)
		job->tried = 0; /* that it had gone stale says nothing of any node */
	close_line(line);
	while (job->tried < job->n_nodes && clock_now() < job->ends_at) {
		if (begin_line(lookups, job, kept, sizeof(kept)))
			return;
	}
	snprintf(text, sizeof(text), "node \"%s\": %s",
		 job->nodes[job->tried > 0 ? job->tried - 1 : 0].name, kept);
	warn(lookups, job, text);
	end_job(job, LOOKUP_FAILED, NULL);
	serve_queue(lookups);
}

static void fail_with_conn_error(struct line *line)
{
	const char *message = PQerrorMessage(line->conn);
	const char *detail = strstr(message, " failed: ");
	char why[WHY_MAX];

	snprintf(why, sizeof(why), "%s", detail ? detail + strlen(" failed: ") : message);
	fail_line(line, why[0] ? why : "the connection was lost");
}

static void wait_io_or_fail(struct line *line, short what)
{
	if (!wait_io(line, what))
		fail_line(line, "out of memory");
}

/* What is left of the time is shared by the nodes that are left. */
static void start_timer(struct line *line)
{
	usec left = line->job->ends_at - clock_now();
	usec shares = (usec)(1 + line->job->n_nodes - line->job->tried);

	loop_timer_start(line->timer, left > 0 ? left / shares : 0);
}

static void rest_line(struct line *line)
{
	line->job = NULL;
	line->state = LINE_IDLE;
	line->is_used = true;
	PQclear(line->result);
	line->result = NULL;
	if (line->is_outdated || !wait_io(line, EV_READ))
		close_line(line);
	else
		loop_timer_start(line->timer, IDLE_TIME);
}

/* --- asking --- */

/* What the answer says; *why is set when it is no answer. */
static enum lookup_result judge(const struct job *job, const PGresult *result,
				const char **secret_out, const char **why)
{
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		*why = PQresultErrorMessage(result);
	else if (PQnfields(result) < 2)
		*why = "the query must return two columns: the user's name and secret";
	else if (PQntuples(result) > 1)
		*why = "the query returned more than one row";
	if (*why)
		return LOOKUP_FAILED;
	/* Another user's secret is nobody's business (CVE-2015-6817 of PgBouncer). */
	if (PQntuples(result) == 0 || strcmp(PQgetvalue(result, 0, 0), job->user) != 0)
		return LOOKUP_UNKNOWN;
	if (!PQgetisnull(result, 0, 1))
		*secret_out = PQgetvalue(result, 0, 1);
	return LOOKUP_FOUND;
}

static void end_answer(struct line *line)
{
	struct lookups *lookups = line->lookups;
	struct job *job = line->job;
	const char *secret = NULL;
	const char *why = NULL;
	enum lookup_result result;
	char text[WHY_MAX];

	if (PQstatus(line->conn) == CONNECTION_BAD) {
		fail_with_conn_error(line);
		return;
	}
	result = judge(job, line->result, &secret, &why);
	if (why) {
		snprintf(text, sizeof(text), "%.*s", (int)strcspn(why, "\n"), why);
		warn(lookups, job, text);
	}
	/* The secret lies in the result, which goes when the line comes to rest. */
	end_job(job, result, secret);
	rest_line(line);
	serve_queue(lookups);
}

static void wait_for_answer(struct line *line)
{
	int unsent = PQflush(line->conn);

	if (unsent == -1)
		fail_with_conn_error(line);
	else
		wait_io_or_fail(line, unsent ? EV_READ | EV_WRITE : EV_READ);
}

static void ask(struct line *line)
{
	const char *const values[] = { line->job->user };

	line->state = LINE_ASKING;
	start_timer(line);
	if (PQsendQueryParams(line->conn, line->job->query, 1, NULL, values, NULL, NULL, 0) == 0)
		fail_with_conn_error(line);
	else
		wait_for_answer(line);
}

static void continue_asking(struct line *line)
{
	if (PQconsumeInput(line->conn) == 0) {
		fail_with_conn_error(line);
		return;
	}
	while (!PQisBusy(line->conn)) {
		PGresult *result = PQgetResult(line->conn);

		if (!result) {
			end_answer(line);
			return;
		}
		PQclear(line->result);
		line->result = result;
		if (conninfo_is_copy(result)) {
			fail_line(line, "the server began a COPY");
			return;
		}
	}
	wait_for_answer(line);
}

/* --- connecting --- */

static void ignore_notice(void *context, const char *message)
{
	(void)context;
	(void)message;
}

static PGconn *start_connection(const struct job *job, const struct job_node *node)
{
	char port[16], options[96], user_timeout[24];
	const char *keywords[16 + CONNINFO_TLS_MAX], *values[16 + CONNINFO_TLS_MAX];
	usec left = job->ends_at - clock_now();
	size_t n = 0;

#define PARAMETER(keyword, value) (keywords[n] = (keyword), values[n++] = (value))
	if (node->host[0] == '/')
		PARAMETER("host", node->address);
	else
		PARAMETER("hostaddr", node->address);
	/* The name is only for certificates and password files; libpq splits it at commas. */
	if (node->host[0] != '/' && !strchr(node->host, ','))
		PARAMETER("host", node->host);
	snprintf(port, sizeof(port), "%d", node->port);
	snprintf(user_timeout, sizeof(user_timeout), "%lld",
		 (long long)(left > USEC_PER_MS ? left / USEC_PER_MS : 1));
	snprintf(options, sizeof(options), "-c search_path=pg_catalog -c statement_timeout=%s",
		 user_timeout);
	PARAMETER("port", port);
	PARAMETER("user", job->asker);
	PARAMETER("dbname", job->database);
	if (job->password)
		PARAMETER("password", job->password);
	PARAMETER("application_name", "pointsman auth_query");
	PARAMETER("options", options);
	PARAMETER("gssencmode", "disable");
	PARAMETER("target_session_attrs", "any");
	PARAMETER("tcp_user_timeout", user_timeout);
	n = conninfo_add_tls(&job->tls, keywords, values, n);
	PARAMETER(NULL, NULL);
#undef PARAMETER
	return PQconnectStartParams(keywords, values, 0);
}

static void continue_connecting(struct line *line)
{
	switch (PQconnectPoll(line->conn)) {
	case PGRES_POLLING_READING: wait_io_or_fail(line, EV_READ); return;
	case PGRES_POLLING_WRITING: wait_io_or_fail(line, EV_WRITE); return;
	case PGRES_POLLING_OK:
		if (PQsetnonblocking(line->conn, 1) == 0)
			ask(line);
		else
			fail_with_conn_error(line);
		return;
	default: fail_with_conn_error(line); return;
	}
}

static void on_io(evutil_socket_t fd, short what, void *context)
{
	struct line *line = context;

	(void)fd;
	(void)what;
	switch (line->state) {
	case LINE_CONNECTING: continue_connecting(line); return;
	case LINE_ASKING: continue_asking(line); return;
	case LINE_IDLE: close_line(line); return; /* its end, or something that nobody asked */
	}
	UNREACHABLE();
}

static void on_timer(void *context)
{
	struct line *line = context;

	if (line->state == LINE_IDLE)
		close_line(line);
	else
		fail_line(line, line->state == LINE_CONNECTING ? "no connection in time"
							       : "no answer in time");
}

/* Begins to connect to the next node of the job. false: that could not even begin. */
static bool begin_line(struct lookups *lookups, struct job *job, char *why, size_t size)
{
	const struct job_node *node = &job->nodes[job->tried++];
	struct line *line = calloc(1, sizeof(*line));

	snprintf(why, size, "out of memory");
	if (!line)
		return false;
	line->lookups = lookups;
	line->job = job;
	line->to = *node;
	line->state = LINE_CONNECTING;
	list_push_back(&lookups->lines, &line->node);
	line->timer = loop_timer_create(lookups->loop, on_timer, line);
	line->io = event_new(loop_base(lookups->loop), -1, 0, on_io, line);
	line->conn = start_connection(job, node);
	if (!line->timer || !line->io || !line->conn ||
	    !bytes_append(&line->key, bytes_begin(&job->key), job->line_key))
		goto out;
	PQsetNoticeProcessor(line->conn, ignore_notice, NULL);
	if (PQstatus(line->conn) == CONNECTION_BAD) {
		snprintf(why, size, "%.*s", (int)strcspn(PQerrorMessage(line->conn), "\n"),
			 PQerrorMessage(line->conn));
		goto out;
	}
	start_timer(line);
	if (wait_io(line, EV_WRITE))
		return true;
out:
	close_line(line);
	return false;
}

/* --- who gets which line --- */

/* Is it a connection that the job would make? To its first node: the primary, if there is one. */
static bool serves(const struct line *line, const struct job *job)
{
	return job->n_nodes > 0 && line->to.port == job->nodes[0].port &&
	       strcmp(line->to.address, job->nodes[0].address) == 0 &&
	       bytes_length(&line->key) == job->line_key &&
	       memcmp(bytes_begin(&line->key), bytes_begin(&job->key), job->line_key) == 0;
}

/* An idle one that serves the job; without a job: any. */
static struct line *find_idle(struct lookups *lookups, const struct job *job)
{
	LIST_EACH (&lookups->lines, node) {
		struct line *line = LIST_ENTRY(node, struct line, node);

		if (line->state == LINE_IDLE && !line->is_outdated && (!job || serves(line, job)))
			return line;
	}
	return NULL;
}

/* false: it has to wait. */
static bool begin_job(struct job *job)
{
	struct lookups *lookups = job->lookups;
	struct line *line = find_idle(lookups, job);
	char why[WHY_MAX];

	if (!line && lookups->lines.count >= LOOKUP_LINES_MAX) {
		struct line *other = find_idle(lookups, NULL);

		if (!other)
			return false;
		close_line(other);
	}
	if (line) {
		line->job = job;
		ask(line);
		return true;
	}
	while (job->tried < job->n_nodes) {
		if (begin_line(lookups, job, why, sizeof(why)))
			return true;
	}
	warn(lookups, job, job->n_nodes ? why : "no node is up");
	end_job(job, LOOKUP_FAILED, NULL);
	return true;
}

static void serve_queue(struct lookups *lookups)
{
	struct list_node *first;

	while ((first = list_pop_front(&lookups->queue)) != NULL) {
		struct job *job = LIST_ENTRY(first, struct job, node);

		loop_timer_stop(job->timer);
		if (begin_job(job))
			continue;
		list_insert_after(&lookups->queue, &lookups->queue.head, &job->node);
		loop_timer_start(job->timer,
				 job->ends_at - clock_now() > 0 ? job->ends_at - clock_now() : 0);
		return;
	}
}

/* --- questions --- */

static void on_serve(void *context)
{
	serve_queue(context);
}

static bool append_text(struct bytes *out, const char *text)
{
	return bytes_append(out, text ? text : "", text ? strlen(text) + 1 : 1);
}

/* What makes a connection, then the rest of the question. */
static bool make_key(const struct lookup_question *question, struct bytes *out,
		     size_t *line_key_out)
{
	append_text(out, question->cluster);
	append_text(out, question->database);
	append_text(out, question->asker);
	append_text(out, question->password);
	*line_key_out = bytes_length(out);
	append_text(out, question->query);
	return append_text(out, question->user);
}

static void copy_nodes(struct job *job, const struct lookup_question *question)
{
	for (size_t i = 0; i < question->n_nodes && job->n_nodes < LOOKUP_NODES_MAX; i++) {
		const struct lookup_node *from = &question->nodes[i];
		struct job_node *to = &job->nodes[job->n_nodes];

		if (!conninfo_address(&from->address, to->address))
			continue;
		snprintf(to->name, sizeof(to->name), "%s", from->name);
		snprintf(to->host, sizeof(to->host), "%s", from->host);
		to->port = from->port;
		job->n_nodes++;
	}
}

static struct job *make_job(struct lookups *lookups, const struct lookup_question *question,
			    struct bytes *key, size_t line_key)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->lookups = lookups;
	list_init(&job->askers);
	job->key = *key; /* ours now */
	*key = (struct bytes){ 0 };
	job->line_key = line_key;
	job->database = strdup(question->database);
	job->asker = strdup(question->asker);
	job->password = question->password ? strdup(question->password) : NULL;
	job->query = strdup(question->query);
	job->user = strdup(question->user);
	job->tls = question->tls;
	job->ends_at = clock_now() + question->timeout;
	job->timer = loop_timer_create(lookups->loop, on_queue_timeout, job);
	copy_nodes(job, question);
	if (job->database && job->asker && (job->password || !question->password) && job->query &&
	    job->user && job->timer &&
	    strmap_set(lookups->jobs, bytes_begin(&job->key), bytes_length(&job->key), job))
		return job;
	free_job(job);
	return NULL;
}

/* From the queue, so that nobody is answered out of lookups_ask(). */
static void enqueue(struct job *job)
{
	list_push_back(&job->lookups->queue, &job->node);
	loop_defer(job->lookups->loop, &job->lookups->serving, on_serve, job->lookups);
}

bool lookups_ask(struct lookups *lookups, const struct lookup_question *question,
		 lookup_done done, void *context)
{
	struct asker *asker = calloc(1, sizeof(*asker));
	struct bytes key = { 0 };
	struct job *job = NULL;
	size_t line_key = 0;

	if (!asker || !make_key(question, &key, &line_key))
		goto out;
	asker->done = done;
	asker->context = context;
	job = strmap_get(lookups->jobs, bytes_begin(&key), bytes_length(&key));
	if (!job && strmap_count(lookups->jobs) < LOOKUP_QUEUE_MAX) {
		job = make_job(lookups, question, &key, line_key);
		if (job)
			enqueue(job);
	}
	if (job)
		list_push_back(&job->askers, &asker->node);
out:
	free_bytes(&key);
	if (!job)
		free(asker);
	return job != NULL;
}

/* --- life --- */

struct lookups *lookups_create(struct loop *loop)
{
	struct lookups *lookups = calloc(1, sizeof(*lookups));

	if (!lookups)
		return NULL;
	lookups->loop = loop;
	lookups->limit = (struct log_limit){ .burst = 5, .period_ms = 1000 };
	list_init(&lookups->lines);
	list_init(&lookups->queue);
	lookups->jobs = strmap_create();
	if (lookups->jobs)
		return lookups;
	free(lookups);
	return NULL;
}

void lookups_reset(struct lookups *lookups)
{
	LIST_EACH_SAFE (&lookups->lines, node) {
		struct line *line = LIST_ENTRY(node, struct line, node);

		line->is_outdated = true;
		if (line->state == LINE_IDLE)
			close_line(line);
	}
}

void lookups_destroy(struct lookups **lookups_pointer)
{
	struct lookups *lookups = *lookups_pointer;
	struct list_node *node;

	*lookups_pointer = NULL;
	if (!lookups)
		return;
	loop_defer_cancel(lookups->loop, &lookups->serving);
	while ((node = list_pop_front(&lookups->queue)) != NULL)
		end_job(LIST_ENTRY(node, struct job, node), LOOKUP_FAILED, NULL);
	while ((node = list_first(&lookups->lines)) != NULL) {
		struct line *line = LIST_ENTRY(node, struct line, node);
		struct job *job = line->job;

		close_line(line);
		if (job)
			end_job(job, LOOKUP_FAILED, NULL);
	}
	strmap_destroy(&lookups->jobs);
	free(lookups);
}
