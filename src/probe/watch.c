/*
 * One node under watch: the state machine over libpq's non-blocking interface. It decides
 * neither who is primary nor what is published. Runs on the control thread's loop.
 *
 *   WAITING ----timer, poke, lost connection----> RESOLVING (no address yet) --> CONNECTING
 *      ^                \--- connection kept ---> ASKING <--------------------------/
 *      \---- answered(), failed() ------------------/
 *
 * libpq gets a numeric `hostaddr`, so that it resolves nothing, and GSS is off, as that may wait
 * for a key server. Its socket can change between two of its calls: events are never persistent,
 * and are added anew each time.
 */

#include "probe/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include <event2/event.h>
#include <libpq-fe.h>

#include "base/log.h"
#include "base/panic.h"
#include "probe/conninfo.h"

#define RESOLVE_AGAIN (30 * USEC_PER_SEC)

/* Between the beginnings of two probes, however often a node is poked or drops us. */
#define PROBE_SPACING (50 * USEC_PER_MS)

#define WHY_MAX 96

/*
 * One statement for primary and standby; the subquery is not flattened (OFFSET 0), so that a
 * promotion in between cannot mix the two. The timeline of a primary is the one it writes, from
 * the name of its WAL file: the control file has the old one until the first checkpoint is done.
 * The position is the flushed one: what is only inserted is not sent to replicas, and on an idle
 * primary may stay so for seconds, in which they would seem to fall behind. (Commits with
 * synchronous_commit = off are flushed within three times wal_writer_delay.)
 * A standby's is the latest it is known to have followed; received_tli needs pg_monitor.
 */
#define QUERY(timeline, system_id)                                                           \
	"SELECT recovering,"                                                                 \
	" CASE WHEN recovering THEN pg_last_wal_replay_lsn()"                                \
	" ELSE pg_current_wal_flush_lsn() END - '0/0'::pg_lsn,"                              \
	" CASE WHEN recovering THEN pg_last_wal_receive_lsn() - '0/0'::pg_lsn END,"          \
	" CASE WHEN recovering THEN " timeline " ELSE ('x' ||"                               \
	" substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint END," \
	" " system_id ", pg_size_bytes(current_setting('wal_segment_size')),"                \
	" current_setting('wal_block_size')"                                                 \
	" FROM (SELECT pg_is_in_recovery() AS recovering OFFSET 0) AS node"

#define QUERY_COLUMNS 7

static const char full_query[] =
	QUERY("greatest((SELECT max(received_tli) FROM pg_stat_wal_receiver),"
	      " (SELECT timeline_id FROM pg_control_checkpoint()),"
	      " (SELECT min_recovery_end_timeline FROM pg_control_recovery()))",
	      "(SELECT system_identifier FROM pg_control_system())");

/* For services that do not let their users see the control file. */
static const char basic_query[] =
	QUERY("(SELECT max(received_tli) FROM pg_stat_wal_receiver)", "NULL");

enum watch_phase {
	WATCH_WAITING,
	WATCH_RESOLVING,
	WATCH_CONNECTING,
	WATCH_ASKING
};

/* Lifetime: the monitor's. */
struct watch {
	struct loop *loop;
	struct resolver *resolver;
	const struct watch_config *config;
	const struct watch_handler *handler;
	void *context;

	enum watch_phase phase;
	struct loop_timer *timer; /* WAITING: the next probe; else the end of this step */
	usec due_at;              /* WAITING: when that timer fires */

	/* Addresses: `current` is the one in use, `tried` counts those tried since the last
	 * failure. */
	bool is_literal;
	struct resolve_addresses addresses;
	size_t current;
	size_t tried;
	struct resolve_request *resolving;
	struct loop_timer *resolve_timer;

	/* The connection, kept from probe to probe, and what it is connected to. */
	PGconn *conn;
	struct event *io;
	struct resolve_address peer; /* length 0: it has never answered */
	PGresult *result;
	bool is_basic; /* the full query was refused */

	/* This probe. */
	usec began_at;
	usec ends_at;
	usec asked_at;
	bool has_retried;
	bool is_poked; /* another one shall follow at once */

	bool is_up; /* the last probe was answered */
};

static void begin_probe(struct watch *watch);
static void connect_or_resolve(struct watch *watch);
static void fail_step(struct watch *watch, const char *why);
static void on_io(evutil_socket_t fd, short what, void *context);

/* --- small parts --- */

static void drop_conn(struct watch *watch)
{
	event_del(watch->io);
	PQclear(watch->result);
	watch->result = NULL;
	PQfinish(watch->conn);
	watch->conn = NULL;
	watch->is_basic = false;
}

/* false without memory. */
static bool wait_io(struct watch *watch, short what)
{
	event_del(watch->io);
	return event_assign(watch->io, loop_base(watch->loop), PQsocket(watch->conn), what, on_io,
			    watch) == 0 &&
	       event_add(watch->io, NULL) == 0;
}

static void wait_io_or_fail(struct watch *watch, short what)
{
	if (!wait_io(watch, what))
		fail_step(watch, "out of memory");
}

/*
 * The part of libpq's message that tells something: of "connection to server at ... failed:
 * FATAL:  sorry\n\tmore" it is "FATAL: sorry".
 */
static void copy_reason(char *why_out, size_t size, const char *message)
{
	const char *detail = strstr(message, " failed: ");
	size_t length;

	if (detail)
		message = detail + strlen(" failed: ");
	length = strcspn(message, "\n");
	while (length > 0 && message[length - 1] == ' ')
		length--;
	if (length == 0)
		snprintf(why_out, size, "the connection was lost");
	else
		snprintf(why_out, size, "%.*s", (int)length, message);
}

static void fail_with_conn_error(struct watch *watch)
{
	char why[WHY_MAX];

	copy_reason(why, sizeof(why), PQerrorMessage(watch->conn));
	fail_step(watch, why);
}

/*
 * What is left of the probe's time is shared by this step and those that can follow when it
 * fails: the addresses not tried yet, and the second try.
 */
static void start_step_timer(struct watch *watch)
{
	usec left = watch->ends_at - clock_now();
	size_t steps = 1 + watch->addresses.n - watch->tried;

	if (watch->is_up && !watch->has_retried)
		steps++;
	loop_timer_start(watch->timer, left > 0 ? left / (usec)steps : 0);
}

static void wait_for_next(struct watch *watch, usec delay)
{
	watch->due_at = clock_now() + (delay > 0 ? delay : 0);
	loop_timer_start(watch->timer, delay > 0 ? delay : 0);
}

static void wait_for_soon(struct watch *watch)
{
	wait_for_next(watch,
		      watch->began_at == 0 ? 0 : watch->began_at + PROBE_SPACING - clock_now());
}

/* --- the end of a probe, and of one step of it --- */

static void end_probe(struct watch *watch, usec delay)
{
	if (watch->is_poked)
		wait_for_soon(watch);
	else
		wait_for_next(watch, delay);
}

static void start_resolving(struct watch *watch);

static void fail_probe(struct watch *watch, const char *why)
{
	usec delay;

	watch->phase = WATCH_WAITING;
	watch->is_up = false;
	if (!watch->is_literal)
		start_resolving(watch);
	delay = watch->handler->failed(watch->context, why);
	end_probe(watch, delay);
}

/* Another address, a second try, or the end. */
static void fail_step(struct watch *watch, const char *why)
{
	bool has_time = clock_now() < watch->ends_at;
	char kept[WHY_MAX]; /* `why` may belong to the connection */

	snprintf(kept, sizeof(kept), "%s", why);
	drop_conn(watch);
	if (has_time && watch->tried < watch->addresses.n) {
		watch->current = (watch->current + 1) % watch->addresses.n;
		connect_or_resolve(watch);
	} else if (has_time && watch->is_up && !watch->has_retried) {
		log_debug(&(struct log_ctx){ .kind = "node", .node = watch->config->name },
			  "trying again: %s", kept);
		watch->has_retried = true;
		watch->tried = 0;
		connect_or_resolve(watch);
	} else {
		fail_probe(watch, kept);
	}
}

/* --- asking --- */

static uint64_t number(const PGresult *result, int column)
{
	/* "" for NULL, which makes 0: unknown. */
	return strtoull(PQgetvalue(result, 0, column), NULL, 10);
}

static void read_answer(const PGresult *result, struct probe_answer *answer)
{
	*answer = (struct probe_answer){
		.in_recovery = PQgetvalue(result, 0, 0)[0] == 't',
		.lsn = number(result, 1),
		.received = number(result, 2),
		.timeline = (uint32_t)number(result, 3),
		.system_id = number(result, 4),
	};
	if (!answer->in_recovery)
		answer->lsn = lag_insert_end(answer->lsn, number(result, 5), number(result, 6));
}

static void succeed(struct watch *watch)
{
	struct probe_answer answer;

	read_answer(watch->result, &answer);
	PQclear(watch->result);
	watch->result = NULL;
	/* From here on its end, or a notice, is all that can come in. */
	if (!wait_io(watch, EV_READ)) {
		fail_step(watch, "out of memory");
		return;
	}
	watch->phase = WATCH_WAITING;
	watch->is_up = true;
	watch->peer = watch->addresses.at[watch->current];
	end_probe(watch, watch->began_at + watch->config->interval - clock_now());
	watch->handler->answered(watch->context, &answer, watch->asked_at);
}

/* Sends what is left to send, and waits for more. */
static void wait_for_answer(struct watch *watch)
{
	int unsent = PQflush(watch->conn);

	if (unsent == -1)
		fail_with_conn_error(watch);
	else
		wait_io_or_fail(watch, unsent ? EV_READ | EV_WRITE : EV_READ);
}

static void ask(struct watch *watch)
{
	watch->phase = WATCH_ASKING;
	start_step_timer(watch);
	watch->asked_at = clock_now();
	if (PQsendQuery(watch->conn, watch->is_basic ? basic_query : full_query) == 0)
		fail_with_conn_error(watch);
	else
		wait_for_answer(watch);
}

/* insufficient_privilege, undefined_function, undefined_table, undefined_column,
 * feature_not_supported */
static bool is_refusal(const char *sqlstate)
{
	static const char *const states[] = { "42501", "42883", "42P01", "42703", "0A000" };

	for (size_t i = 0; sqlstate && i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(sqlstate, states[i]) == 0)
			return true;
	return false;
}

static void end_answer(struct watch *watch)
{
	const PGresult *result = watch->result;
	char why[WHY_MAX];

	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
	    PQnfields(result) == QUERY_COLUMNS) {
		succeed(watch);
		return;
	}
	if (!watch->is_basic && is_refusal(PQresultErrorField(result, PG_DIAG_SQLSTATE))) {
		watch->is_basic = true;
		PQclear(watch->result);
		watch->result = NULL;
		ask(watch);
		return;
	}
	copy_reason(why, sizeof(why), PQresultErrorMessage(result));
	fail_step(watch, why);
}

static void continue_asking(struct watch *watch)
{
	if (PQconsumeInput(watch->conn) == 0) {
		fail_with_conn_error(watch);
		return;
	}
	while (!PQisBusy(watch->conn)) {
		PGresult *result = PQgetResult(watch->conn);

		if (!result) {
			end_answer(watch);
			return;
		}
		PQclear(watch->result);
		watch->result = result;
		if (conninfo_is_copy(result)) {
			fail_step(watch, "the server began a COPY");
			return;
		}
	}
	wait_for_answer(watch);
}

/* --- connecting --- */

static void ignore_notice(void *context, const char *message)
{
	(void)context;
	(void)message;
}

static PGconn *start_connection(const struct watch_config *config, const char *address)
{
	char port[16], options[128], user_timeout[24];
	const char *keywords[16 + CONNINFO_TLS_MAX], *values[16 + CONNINFO_TLS_MAX];
	size_t n = 0;

#define PARAMETER(keyword, value) (keywords[n] = (keyword), values[n++] = (value))
	/* The name is only for certificates and password files; libpq splits it at commas. */
	if (config->host[0] == '/')
		PARAMETER("host", address);
	else
		PARAMETER("hostaddr", address);
	if (config->host[0] != '/' && !strchr(config->host, ','))
		PARAMETER("host", config->host);
	snprintf(port, sizeof(port), "%d", config->port);
	snprintf(user_timeout, sizeof(user_timeout), "%lld",
		 (long long)(config->timeout / USEC_PER_MS));
	/* What a role or database has set is not to change what our names mean, or to keep us
	 * waiting. */
	snprintf(options, sizeof(options), "-c search_path=pg_catalog -c statement_timeout=%s",
		 user_timeout);
	PARAMETER("port", port);
	PARAMETER("user", config->user);
	PARAMETER("dbname", config->database);
	if (config->password)
		PARAMETER("password", config->password);
	PARAMETER("application_name", "pointsman monitor");
	PARAMETER("options", options);
	PARAMETER("gssencmode", "disable");
	PARAMETER("target_session_attrs", "any");
	PARAMETER("tcp_user_timeout", user_timeout);
	n = conninfo_add_tls(&config->tls, keywords, values, n);
	PARAMETER(NULL, NULL);
#undef PARAMETER
	return PQconnectStartParams(keywords, values, 0);
}

static void connect_to_current(struct watch *watch)
{
	char address[CONNINFO_ADDRESS_MAX];

	watch->phase = WATCH_CONNECTING;
	watch->tried++;
	start_step_timer(watch);
	if (!conninfo_address(&watch->addresses.at[watch->current], address)) {
		fail_step(watch, "the address has no numeric form");
		return;
	}
	watch->conn = start_connection(watch->config, address);
	if (!watch->conn) {
		fail_step(watch, "out of memory");
		return;
	}
	PQsetNoticeProcessor(watch->conn, ignore_notice, NULL);
	if (PQstatus(watch->conn) == CONNECTION_BAD)
		fail_with_conn_error(watch);
	else
		wait_io_or_fail(watch, EV_WRITE);
}

static void continue_connecting(struct watch *watch)
{
	switch (PQconnectPoll(watch->conn)) {
	case PGRES_POLLING_READING: wait_io_or_fail(watch, EV_READ); return;
	case PGRES_POLLING_WRITING: wait_io_or_fail(watch, EV_WRITE); return;
	case PGRES_POLLING_OK:
		/* Everything was sent by now, so this cannot have to wait. */
		if (PQsetnonblocking(watch->conn, 1) == 0)
			ask(watch);
		else
			fail_with_conn_error(watch);
		return;
	default: fail_with_conn_error(watch); return;
	}
}

static void connect_or_resolve(struct watch *watch)
{
	if (watch->addresses.n > 0) {
		connect_to_current(watch);
		return;
	}
	watch->phase = WATCH_RESOLVING;
	start_step_timer(watch);
	start_resolving(watch);
}

/* --- names --- */

/* Where `address` is in the list; 0 when it is not. */
static size_t find_address(const struct resolve_addresses *in,
			   const struct resolve_address *address, bool *is_in_out)
{
	for (size_t i = 0; i < in->n; i++) {
		if (resolve_is_same(&in->at[i], address)) {
			*is_in_out = true;
			return i;
		}
	}
	*is_in_out = false;
	return 0;
}

/* A probe under way goes on with the address it has begun with. */
static void adopt_addresses(struct watch *watch, const struct resolve_addresses *addresses)
{
	bool was_resolved = watch->addresses.n > 0, is_in;
	struct resolve_address using = watch->addresses.at[watch->current];
	size_t at = find_address(addresses, &using, &is_in);

	if (!is_in && (watch->phase == WATCH_CONNECTING || watch->phase == WATCH_ASKING))
		return;
	watch->addresses = *addresses;
	watch->current = at;
	if (watch->tried > addresses->n)
		watch->tried = addresses->n;
	if (!was_resolved)
		watch->handler->resolved(watch->context);
	if (watch->phase != WATCH_WAITING || is_in)
		return;
	/* There was no address to try, or the name has moved away from where we are connected to.
	 */
	if (watch->conn)
		drop_conn(watch);
	wait_for_soon(watch);
}

static void on_resolved(void *context, const struct resolve_addresses *addresses,
			const char *error)
{
	struct watch *watch = context;
	char why[WHY_MAX];

	watch->resolving = NULL;
	loop_timer_start(watch->resolve_timer, RESOLVE_AGAIN);
	/* A name server that is gone takes nothing away from what was known. */
	if (!error)
		adopt_addresses(watch, addresses);
	if (watch->phase != WATCH_RESOLVING)
		return;
	if (!error) {
		connect_to_current(watch);
		return;
	}
	snprintf(why, sizeof(why), "cannot resolve \"%.40s\": %s", watch->config->host, error);
	fail_step(watch, why);
}

/* Without memory for the question it is put again in 30 s, or with the next probe that fails. */
static void start_resolving(struct watch *watch)
{
	if (watch->resolving)
		return;
	watch->resolving = resolve_start(watch->resolver, watch->config->host,
					 watch->config->port, on_resolved, watch);
	if (!watch->resolving)
		loop_timer_start(watch->resolve_timer, RESOLVE_AGAIN);
}

static void on_resolve_again(void *context)
{
	start_resolving(context);
}

/* --- events --- */

/* The connection is lost while nothing was asked: the first of two tries has failed already. */
static void on_idle_input(struct watch *watch)
{
	bool is_lost = PQconsumeInput(watch->conn) == 0;

	/* Parses, and so drops, notices and reports of settings. */
	if (!is_lost)
		is_lost = PQisBusy(watch->conn) || PQstatus(watch->conn) != CONNECTION_OK;
	if (!is_lost && wait_io(watch, EV_READ))
		return;
	drop_conn(watch);
	watch_probe_soon(watch);
}

static void on_io(evutil_socket_t fd, short what, void *context)
{
	struct watch *watch = context;

	(void)fd;
	(void)what;
	switch (watch->phase) {
	case WATCH_CONNECTING: continue_connecting(watch); return;
	case WATCH_ASKING: continue_asking(watch); return;
	case WATCH_WAITING: on_idle_input(watch); return;
	case WATCH_RESOLVING: break;
	}
	UNREACHABLE();
}

static void begin_probe(struct watch *watch)
{
	bool is_lost = watch->is_up && !watch->conn;

	watch->began_at = clock_now();
	watch->ends_at = watch->began_at + watch->config->timeout;
	watch->is_poked = false;
	watch->has_retried = is_lost;
	if (watch->conn) {
		watch->tried = watch->addresses.n;
		ask(watch);
	} else {
		watch->tried = 0;
		connect_or_resolve(watch);
	}
}

static void on_timer(void *context)
{
	struct watch *watch = context;
	char why[WHY_MAX];

	if (watch->phase == WATCH_WAITING) {
		begin_probe(watch);
		return;
	}
	snprintf(why, sizeof(why), "no answer within %lld ms while %s",
		 (long long)((clock_now() - watch->began_at) / USEC_PER_MS),
		 watch->phase == WATCH_RESOLVING    ? "resolving the name"
		 : watch->phase == WATCH_CONNECTING ? "connecting"
						    : "asking for the role");
	fail_step(watch, why);
}

/* --- interface --- */

struct watch *watch_create(struct loop *loop, struct resolver *resolver,
			   const struct watch_config *config, const struct watch_handler *handler,
			   void *context)
{
	struct watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->loop = loop;
	watch->resolver = resolver;
	watch->config = config;
	watch->handler = handler;
	watch->context = context;
	watch->is_literal = resolve_literal(config->host, config->port, &watch->addresses);
	watch->timer = loop_timer_create(loop, on_timer, watch);
	watch->resolve_timer = loop_timer_create(loop, on_resolve_again, watch);
	watch->io = event_new(loop_base(loop), -1, 0, on_io, watch);
	if (!watch->timer || !watch->resolve_timer || !watch->io)
		watch_destroy(&watch);
	else
		wait_for_soon(watch);
	return watch;
}

void watch_destroy(struct watch **watch_ref)
{
	struct watch *watch = *watch_ref;

	if (!watch)
		return;
	*watch_ref = NULL;
	resolve_cancel(&watch->resolving);
	loop_timer_destroy(&watch->timer);
	loop_timer_destroy(&watch->resolve_timer);
	if (watch->conn)
		drop_conn(watch);
	if (watch->io)
		event_free(watch->io);
	loop_defer_free(watch->loop, watch);
}

const struct resolve_address *watch_address(const struct watch *watch)
{
	if (watch->peer.length > 0)
		return &watch->peer;
	return watch->addresses.n > 0 ? &watch->addresses.at[watch->current] : NULL;
}

void watch_probe_soon(struct watch *watch)
{
	if (watch->phase == WATCH_WAITING)
		wait_for_soon(watch);
	else
		watch->is_poked = true;
}

void watch_probe_within(struct watch *watch, usec delay)
{
	if (watch->phase == WATCH_WAITING && watch->is_up && watch->due_at > clock_now() + delay)
		wait_for_next(watch, delay);
}
