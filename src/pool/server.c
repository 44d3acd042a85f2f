/*
 * Server connections: states and what belongs to each. The worker's thread runs all of it.
 * Logging in is in server_login.c, lending in pool.c, what a borrower does with the bytes in
 * session/.
 */
#include "pool/server.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/panic.h"
#include "base/random.h"
#include "base/strmap.h"
#include "pool/cancel.h"
#include "pool/pool_private.h"
#include "wire/build.h"
#include "wire/cursor.h"
#include "wire/error.h"
#include "wire/frame.h"
#include "wire/message.h"

/* A message that we read whole outside a session is never longer than this. */
#define OWN_MESSAGE_MAX (1024 * 1024)

static void begin_login(struct server *server);
static void connect_again(struct server *server);
static void send_reset(struct server *server);
static void send_check(struct server *server);
static void become_idle(struct server *server);

/* --- states --- */

struct move {
	enum server_state from;
	enum server_event event;
	enum server_state to;
	void (*action)(struct server *server);
};

/* clang-format off */
static const struct move moves[] = {
	/* from              event                   to                 action        */
	{ SERVER_CONNECTING, SERVER_EV_CONNECTED,    SERVER_LOGIN,      begin_login  },
	{ SERVER_LOGIN,      SERVER_EV_RETRY,        SERVER_CONNECTING, connect_again },
	{ SERVER_LOGIN,      SERVER_EV_READY,        SERVER_IDLE,       become_idle  },
	{ SERVER_IDLE,       SERVER_EV_LEND,         SERVER_LENT,       NULL         },
	{ SERVER_IDLE,       SERVER_EV_CHECK,        SERVER_RESETTING,  send_check   },
	{ SERVER_IDLE,       SERVER_EV_OFFER,        SERVER_MOVING,     NULL         },
	{ SERVER_MOVING,     SERVER_EV_ARRIVE,       SERVER_IDLE,       become_idle  },
	{ SERVER_LENT,       SERVER_EV_RETURN_CLEAN, SERVER_IDLE,       become_idle  },
	{ SERVER_LENT,       SERVER_EV_RETURN_RESET, SERVER_RESETTING,  send_reset   },
	{ SERVER_LENT,       SERVER_EV_RETURN_HOT,   SERVER_PARKED,     NULL         },
	{ SERVER_PARKED,     SERVER_EV_CANCEL_DONE,  SERVER_RESETTING,  send_reset   },
	{ SERVER_RESETTING,  SERVER_EV_READY,        SERVER_IDLE,       become_idle  },
	{ SERVER_CONNECTING, SERVER_EV_FAIL,         SERVER_CLOSED,     NULL         },
	{ SERVER_LOGIN,      SERVER_EV_FAIL,         SERVER_CLOSED,     NULL         },
	{ SERVER_IDLE,       SERVER_EV_FAIL,         SERVER_CLOSED,     NULL         },
	{ SERVER_LENT,       SERVER_EV_FAIL,         SERVER_CLOSED,     NULL         },
	{ SERVER_PARKED,     SERVER_EV_FAIL,         SERVER_CLOSED,     NULL         },
	{ SERVER_RESETTING,  SERVER_EV_FAIL,         SERVER_CLOSED,     NULL         },
	{ SERVER_MOVING,     SERVER_EV_FAIL,         SERVER_CLOSED,     NULL         },
};
/* clang-format on */

const char *server_state_name(enum server_state state)
{
	static const char *const names[SERVER_STATE_COUNT] = {
		"connecting", "login", "idle", "lent", "parked", "resetting", "moving", "closed",
	};

	return names[state];
}

static struct log_ctx server_ctx(const struct server *server)
{
	const struct pool_key *key = &server->pool->key;

	return (struct log_ctx){ .kind = "server",
				 .id = server->id,
				 .user = key->user,
				 .database = key->database,
				 .node = key->node_name };
}

void server_step(struct server *server, enum server_event event)
{
	enum server_state from = server->state;

	for (size_t i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
		const struct move *move = &moves[i];

		if (move->from != from || move->event != event)
			continue;
		server->state = move->to;
		server->state_since = clock_now();
		pool_on_state(server, from);
		if (move->action)
			move->action(server);
		return;
	}
	UNREACHABLE();
}

/* --- what the server reports --- */

const char *server_reported(const struct server *server, const char *name)
{
	for (size_t i = 0; i < server->n_reports; i++) {
		if (strcmp(server->reports[i].name, name) == 0)
			return server->reports[i].value;
	}
	return NULL;
}

static void note_report(struct server *server, const char *name, const char *value)
{
	struct server_report *reports;
	char *copy = strdup(value);

	if (!copy)
		return;
	for (size_t i = 0; i < server->n_reports; i++) {
		if (strcmp(server->reports[i].name, name) != 0)
			continue;
		free(server->reports[i].value);
		server->reports[i].value = copy;
		return;
	}
	reports = server->n_reports >= 64
			  ? NULL
			  : realloc(server->reports, (server->n_reports + 1) * sizeof(*reports));
	if (!reports) {
		free(copy);
		return;
	}
	server->reports = reports;
	reports[server->n_reports].value = copy;
	reports[server->n_reports].name = strdup(name);
	if (reports[server->n_reports].name)
		server->n_reports++;
	else
		free(copy);
}

bool server_take_parameter(struct server *server, const struct frame *frame)
{
	struct cursor c;
	const char *name;
	const char *value;

	cursor_init(&c, frame->body, frame->body_length);
	name = cursor_string(&c);
	value = cursor_string(&c);
	if (!cursor_done(&c))
		return false;
	note_report(server, name, value);
	return true;
}

bool server_is_node_report(const struct frame *frame)
{
	static const char name[] = "in_hot_standby";

	return frame->body_length >= sizeof(name) && memcmp(frame->body, name, sizeof(name)) == 0;
}

static void forget_reports(struct server *server)
{
	for (size_t i = 0; i < server->n_reports; i++) {
		free(server->reports[i].name);
		free(server->reports[i].value);
	}
	free(server->reports);
	server->reports = NULL;
	server->n_reports = 0;
}

/* --- prepared statements --- */

struct statements {
	struct strmap *by_id;
	struct list by_use; /* the one used longest ago first */
	size_t bytes;       /* of their texts */
};

struct statement_entry {
	struct list_node node;
	uint64_t id;
	uint64_t context;
	size_t bytes;
};

static struct statement_entry *find_statement(struct server *server, uint64_t id)
{
	return server->statements ? strmap_get(server->statements->by_id, &id, sizeof(id)) : NULL;
}

enum server_statement server_find_statement(struct server *server, uint64_t id, uint64_t context)
{
	struct statement_entry *entry = find_statement(server, id);

	if (!entry)
		return SERVER_STATEMENT_ABSENT;
	list_remove(&server->statements->by_use, &entry->node);
	list_push_back(&server->statements->by_use, &entry->node);
	return entry->context == context ? SERVER_STATEMENT_READY : SERVER_STATEMENT_STALE;
}

static bool make_statements(struct server *server)
{
	if (server->statements)
		return true;
	server->statements = calloc(1, sizeof(*server->statements));
	if (!server->statements)
		return false;
	list_init(&server->statements->by_use);
	server->statements->by_id = strmap_create();
	if (server->statements->by_id)
		return true;
	free(server->statements);
	server->statements = NULL;
	return false;
}

void server_drop_statement(struct server *server, uint64_t id)
{
	struct statement_entry *entry = find_statement(server, id);

	if (!entry)
		return;
	strmap_remove(server->statements->by_id, &id, sizeof(id));
	list_remove(&server->statements->by_use, &entry->node);
	server->statements->bytes -= entry->bytes;
	free(entry);
}

bool server_add_statement(struct server *server, uint64_t id, size_t bytes, uint64_t context)
{
	struct statement_entry *entry = find_statement(server, id);

	if (entry) {
		entry->context = context;
		return true;
	}
	if (!make_statements(server))
		return false;
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return false;
	entry->id = id;
	entry->context = context;
	entry->bytes = bytes;
	if (!strmap_set(server->statements->by_id, &id, sizeof(id), entry)) {
		free(entry);
		return false;
	}
	list_push_back(&server->statements->by_use, &entry->node);
	server->statements->bytes += bytes;
	return true;
}

static bool holds_too_many(const struct server *server)
{
	const struct pool_limits *limits = &server->pool->env->limits;
	size_t count = server_statement_count(server);

	return (limits->max_prepared_statements > 0 &&
		count > (size_t)limits->max_prepared_statements) ||
	       (limits->max_prepared_bytes > 0 && count > 1 &&
		server->statements->bytes > limits->max_prepared_bytes);
}

uint64_t server_evict_statement(struct server *server, uint64_t kept_id)
{
	size_t older = server_statement_count(server);

	if (!holds_too_many(server))
		return 0;
	LIST_EACH (&server->statements->by_use, node) {
		uint64_t id = LIST_ENTRY(node, struct statement_entry, node)->id;

		if (--older == 0)
			break;
		if (id == kept_id)
			continue;
		server_drop_statement(server, id);
		return id;
	}
	return 0;
}

void server_expire_statement(struct server *server, uint64_t id)
{
	struct statement_entry *entry = find_statement(server, id);

	if (entry)
		entry->context = SERVER_CONTEXT_UNKNOWN;
}

void server_drop_all_statements(struct server *server)
{
	struct list_node *node;

	server->unnamed_statement = 0;
	if (!server->statements)
		return;
	while ((node = list_pop_front(&server->statements->by_use)) != NULL)
		free(LIST_ENTRY(node, struct statement_entry, node));
	strmap_destroy(&server->statements->by_id);
	free(server->statements);
	server->statements = NULL;
}

void server_each_statement(const struct server *server, void (*each)(void *context, uint64_t id),
			   void *context)
{
	if (!server->statements)
		return;
	LIST_EACH (&server->statements->by_use, node)
		each(context, LIST_ENTRY(node, struct statement_entry, node)->id);
}

size_t server_statement_count(const struct server *server)
{
	return server->statements ? server->statements->by_use.count : 0;
}

size_t server_statement_bytes(const struct server *server)
{
	return server->statements ? server->statements->bytes : 0;
}

/* --- bytes that come while no session has it --- */

static bool take_parameter(struct server *server, const struct frame *frame)
{
	if (server_take_parameter(server, frame))
		return true;
	server_close(server, "malformed ParameterStatus");
	return false;
}

/* An idle server says little: parameters, notices, and why it goes. */
static bool take_idle_message(struct server *server, const struct frame *frame)
{
	struct wire_error error;

	switch (frame->type) {
	case MSG_B_PARAMETER_STATUS: return take_parameter(server, frame);
	case MSG_B_NOTICE:
	case MSG_B_NOTIFICATION: return true;
	case MSG_B_ERROR:
		wire_error_parse(frame->body, frame->body_length, &error);
		server_close(server, error.message);
		return false;
	default: server_close(server, "unexpected message from an idle server"); return false;
	}
}

static void reset_failed(struct server *server, const struct frame *frame)
{
	const char *what = server->is_checked ? "check" : "reset";
	struct wire_error error;
	struct log_ctx ctx = server_ctx(server);

	wire_error_parse(frame->body, frame->body_length, &error);
	log_warnx(&ctx, "%s failed: %s", what, error.message);
	server_close(server, server->is_checked ? "check failed" : "reset failed");
}

static bool take_reset_ready(struct server *server, const struct frame *frame)
{
	if (frame->body_length != 1) {
		server_close(server, "malformed ReadyForQuery");
		return false;
	}
	server->txn_status = frame->body[0];
	server->is_error_tolerated = false;
	server->ready_due--;
	if (server->ready_due > 0)
		return true;
	if (server->txn_status != TXN_IDLE) {
		server_close(server, "not idle after its reset");
		return false;
	}
	server_step(server, SERVER_EV_READY);
	return server->state != SERVER_CLOSED;
}

static bool take_reset_message(struct server *server, const struct frame *frame)
{
	switch (frame->type) {
	case MSG_B_PARAMETER_STATUS: return take_parameter(server, frame);
	case MSG_B_READY: return take_reset_ready(server, frame);
	case MSG_B_ERROR:
		if (server->is_error_tolerated)
			return true;
		reset_failed(server, frame);
		return false;
	case MSG_B_COPY_IN:
	case MSG_B_COPY_BOTH: server_close(server, "reset query began a COPY"); return false;
	default: return true;
	}
}

/* Whole messages only; false when the server is closed. */
static bool take_message(struct server *server, const struct frame *frame)
{
	switch (server->state) {
	case SERVER_RESETTING: return take_reset_message(server, frame);
	case SERVER_IDLE:
	case SERVER_PARKED: return take_idle_message(server, frame);
	default: UNREACHABLE();
	}
}

static size_t take_own_data(struct server *server, const uint8_t *data, size_t length)
{
	size_t at = 0;

	while (at < length) {
		struct frame frame;
		enum frame_result result =
			frame_peek(data + at, length - at, OWN_MESSAGE_MAX, &frame);

		if (result == FRAME_BAD) {
			server_close(server, "malformed message");
			return length;
		}
		if (result == FRAME_NEED_MORE || !frame_is_whole(&frame))
			return at;
		at += frame_size(&frame);
		if (!take_message(server, &frame))
			return length;
	}
	return at;
}

static size_t on_data(void *context, const uint8_t *data, size_t length)
{
	struct server *server = context;

	switch (server->state) {
	case SERVER_LENT: return server->user->on_data(server->user_context, data, length);
	case SERVER_LOGIN:
		if (!server->is_tls_asked)
			return server_login_data(server, data, length);
		server_tls_take_answer(server, data, length);
		return length;
	default: return take_own_data(server, data, length);
	}
}

static void on_drained(void *context)
{
	struct server *server = context;

	if (server->state == SERVER_LENT && server->user->on_drained)
		server->user->on_drained(server->user_context);
}

static void on_closed(void *context, enum conn_end end, int error)
{
	struct server *server = context;
	char why[160];

	server->is_hung_up = end == CONN_END_EOF || end == CONN_END_ERROR;
	if (end == CONN_END_TLS && !server->login &&
	    server_tls_fall_back(server, true, conn_tls_error(server->conn)))
		return;
	if (end == CONN_END_TLS)
		snprintf(why, sizeof(why), "TLS: %s", conn_tls_error(server->conn));
	else if (end == CONN_END_EOF)
		snprintf(why, sizeof(why), "server closed the connection");
	else if (end == CONN_END_TIMEOUT)
		snprintf(why, sizeof(why), "connecting timed out");
	else
		snprintf(why, sizeof(why), "%s", strerror(error));
	server_close(server, why);
}

static void on_connected(void *context)
{
	struct server *server = context;

	if (server->state == SERVER_LOGIN) { /* TLS is up */
		server_login_start(server);
		return;
	}
	conn_set_tcp_options(conn_fd(server->conn), &server->pool->env->limits.tcp);
	server_step(server, SERVER_EV_CONNECTED);
}

static const struct conn_handler server_handler = { on_data, on_drained, on_closed,
						    on_connected };

/* --- actions of the table --- */

void server_login_start(struct server *server)
{
	if (!server_login_begin(server))
		server_close(server, "out of memory");
}

static void begin_login(struct server *server)
{
	if (!server_tls_begin(server))
		server_login_start(server);
}

static bool begin_connecting(struct server *server)
{
	struct pool_env *env = server->pool->env;

	server->conn = conn_connect(env->loop, (struct sockaddr *)&server->address,
				    server->address_length, env->limits.server_connect_timeout,
				    &server_handler, server);
	return server->conn != NULL;
}

static void connect_again(struct server *server)
{
	server_login_end(server);
	conn_destroy(&server->conn);
	if (!begin_connecting(server))
		server_close(server, strerror(errno));
}

static void become_idle(struct server *server)
{
	server_login_end(server);
	if (server->is_dedicated) {
		dedicated_arrived(server);
		return;
	}
	if (server->is_close_needed || server->pool->is_paused ||
	    pool_share_has_too_many(server->pool->share) ||
	    server_is_due_to_end(server, clock_now())) {
		server_close(server, "its time is over");
		return;
	}
	pool_settle(server->pool);
}

/* server_check_query. Whatever it answers, it answers. */
static void send_check(struct server *server)
{
	const char *query = server->pool->env->limits.check_query;

	if (strcmp(query, "<empty>") == 0)
		query = "";
	build_query(conn_out(server->conn), query, strlen(query));
	server->is_checked = true;
	server->ready_due = 1;
	conn_flush(server->conn);
}

/* The round trips that make it clean again, in one write. Each one answers with one
 * ReadyForQuery. */
static void send_reset(struct server *server)
{
	struct bytes *out = conn_out(server->conn);
	const char *configured = server->pool->env->limits.reset_query;
	const char *reset = configured[0] ? configured : "DISCARD ALL";

	server->ready_due = 0;
	if (server->is_error_tolerated) { /* after a cancel: proves that its signal has been taken
					   */
		build_query(out, "", 0);
		server->ready_due++;
	}
	if (server->txn_status != TXN_IDLE) {
		build_query(out, "ROLLBACK", strlen("ROLLBACK"));
		server->ready_due++;
	}
	if (server->is_reset_wanted) {
		build_query(out, reset, strlen(reset));
		server->ready_due++;
		server_drop_all_statements(server);
		settings_unref(&server->settings);
	}
	server->is_reset_wanted = false;
	if (server->ready_due == 0) {
		server_step(server, SERVER_EV_READY);
		return;
	}
	conn_flush(server->conn);
}

void server_cancels_ended(struct server *server)
{
	if (server->state == SERVER_LENT && server->user && server->user->on_cancels_ended)
		server->user->on_cancels_ended(server->user_context);
	if (server->state != SERVER_PARKED)
		return;
	server->is_error_tolerated = true;
	server_step(server, SERVER_EV_CANCEL_DONE);
}

/* --- life --- */

/*
 * Servers that were opened together do not end together: each up to a tenth of the lifetime
 * sooner, by chance; and no two of a pool within a lifetime divided by the pool's size, so that a
 * lifetime is enough to replace all of them, one after the other.
 */
bool server_is_due_to_end(const struct server *server, usec now)
{
	const struct pool *pool = server->pool;
	usec lifetime = pool->settings.server_lifetime;
	int size = pool->settings.size;

	if (lifetime <= 0)
		return server->lent_at != 0;
	if (now - server->connected_at < lifetime - lifetime / 10000 * server->earliness)
		return false;
	return pool_share_may_end_lifetime(pool->share, now, size > 0 ? lifetime / size : 0);
}

static struct server *allocate(struct pool *pool)
{
	static atomic_ullong last_id;
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return NULL;
	server->pool = pool;
	server->id = atomic_fetch_add(&last_id, 1) + 1;
	server->state = SERVER_CONNECTING;
	server->state_since = server->connected_at = clock_now();
	server->earliness = (uint16_t)random_below(1001);
	server->txn_status = TXN_IDLE;
	list_init(&server->cancels);
	return server;
}

/* NULL: it could not even begin, and why_out says why. */
static struct server *begin_to_connect(struct pool *pool, char *why_out, size_t why_size)
{
	struct pool_env *env = pool->env;
	struct server *server = allocate(pool);

	snprintf(why_out, why_size, "out of memory");
	if (!server)
		return NULL;
	snprintf(why_out, why_size, "its address is not known");
	if (!env->address(env->context, &pool->key, &server->address, &server->address_length))
		goto out;
	if (!begin_connecting(server)) {
		snprintf(why_out, why_size, "%s", strerror(errno));
		goto out;
	}
	list_push_back(&pool->servers[SERVER_CONNECTING], &server->node);
	return server;
out:
	free(server);
	return NULL;
}

bool server_open(struct pool *pool, int ceiling)
{
	char why[128];

	if (!pool_share_take_below(pool->share, ceiling))
		return false;
	if (begin_to_connect(pool, why, sizeof(why)))
		return true;
	pool_share_give_back(pool->share);
	pool_on_connect_failed(pool, "57P03", "connect_failed", why);
	return false;
}

bool server_open_for(struct pool *pool, struct pool_waiter *waiter)
{
	struct server *server;
	char why[128];

	if (!pool_share_take(pool->share))
		return false;
	server = begin_to_connect(pool, why, sizeof(why));
	if (!server) {
		pool_share_give_back(pool->share);
		dedicated_fail(pool, waiter, "57P03", why);
		return false;
	}
	server->is_dedicated = true;
	server->waiter = waiter;
	waiter->server = server;
	return true;
}

static void free_parts(struct server *server)
{
	server_login_end(server);
	server_drop_all_statements(server);
	settings_unref(&server->settings);
	forget_reports(server);
	cancel_orphan_all(server);
}

void server_free_detached(struct server *server)
{
	struct conn *conn = server->conn;

	conn_destroy(&conn);
	free_parts(server);
	free(server);
}

static void say_goodbye(struct server *server)
{
	if (server->state == SERVER_IDLE || server->state == SERVER_RESETTING) {
		build_empty(conn_out(server->conn), MSG_F_TERMINATE);
		conn_flush(server->conn);
	}
}

void server_close(struct server *server, const char *why)
{
	server_close_for(server, "57P03", "connect_failed", why);
}

void server_close_for(struct server *server, const char *sqlstate, const char *reason,
		      const char *why)
{
	struct pool *pool = server->pool;
	const struct server_user *user = server->user;
	void *user_context = server->user_context;
	enum server_state from = server->state;
	struct log_ctx ctx = server_ctx(server);
	bool is_to_ask_older = from == SERVER_LOGIN && server_login_must_ask_older(server);

	if (from == SERVER_CLOSED)
		return;
	log_debug(&ctx, "closed while %s: %s", server_state_name(from), why);
	say_goodbye(server);
	server_step(server, SERVER_EV_FAIL);
	conn_destroy(&server->conn);
	if (from == SERVER_LENT && user)
		user->on_lost(user_context, why);
	free_parts(server);
	list_remove(&pool->servers[SERVER_CLOSED], &server->node);
	loop_defer_free(pool->env->loop, server);
	if (from != SERVER_CONNECTING && from != SERVER_LOGIN)
		return;
	if (server->is_dedicated)
		dedicated_failed(server, sqlstate, why, is_to_ask_older);
	if (is_to_ask_older)
		pool_on_protocol_refused(pool, why);
	else if (!server->is_dedicated)
		pool_on_connect_failed(pool, sqlstate, reason, why);
	else if (from == SERVER_CONNECTING)
		pool->env->suspect(pool->env->context, &pool->key);
}
