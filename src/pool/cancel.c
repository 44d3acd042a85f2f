/*
 * Sends cancel requests to servers; see pool/cancel.h. Runs on the worker that owns the server. A
 * cancel lives on its own: it survives its server and the client that asked.
 */
#include "pool/cancel.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/panic.h"
#include "pool/pool_private.h"
#include "wire/build.h"

static atomic_ullong sent[CANCEL_REASON_COUNT];
static atomic_ullong delivered;
static atomic_ullong failed;
static atomic_llong in_flight;

/* Of this thread, for cancel_end_all(). */
static _Thread_local struct list all;

/* Session lifetime: from cancel_forward() to the end of its connection. */
struct cancel {
	struct list_node all_node;
	struct list_node node; /* in server->cancels, while there is a server */
	struct server *server; /* NULL: closed meanwhile */
	struct loop *loop;
	struct conn *conn;
	struct loop_timer *timer;
	struct cancel_key key;
	struct tls_context *tls; /* as its server's connection has; NULL: none */
	char *host;              /* whom TLS expects */
	bool is_sent;
	struct list listeners;
};

struct listener {
	struct list_node node;
	cancel_done done;
	void *context;
};

const char *cancel_reason_name(enum cancel_reason reason)
{
	static const char *const names[CANCEL_REASON_COUNT] = {
		"client_cancel",
		"deadline",
		"client_gone",
		"admin",
	};

	return names[reason];
}

static void tell_listeners(struct cancel *cancel)
{
	struct list_node *node;

	while ((node = list_pop_front(&cancel->listeners)) != NULL) {
		struct listener *listener = LIST_ENTRY(node, struct listener, node);

		listener->done(listener->context);
		free(listener);
	}
}

static void free_parts(struct cancel *cancel)
{
	conn_destroy(&cancel->conn);
	loop_timer_destroy(&cancel->timer);
	tls_context_unref(&cancel->tls);
	free(cancel->host);
	cancel->host = NULL;
}

/*
 * `was_delivered`: the server has closed the connection after it was sent the request, so the
 * signal is out. Otherwise nobody knows whether it will still come: its server must not be used
 * again.
 */
static void end(struct cancel *cancel, bool was_delivered)
{
	struct server *server = cancel->server;

	atomic_fetch_add(was_delivered ? &delivered : &failed, 1);
	atomic_fetch_sub(&in_flight, 1);
	list_remove(&all, &cancel->all_node);
	cancel->server = NULL;
	if (server)
		list_remove(&server->cancels, &cancel->node);
	tell_listeners(cancel);
	free_parts(cancel);
	loop_defer_free(cancel->loop, cancel);
	if (!server)
		return;
	if (!was_delivered && cancel->is_sent)
		server->is_close_needed = true;
	if (list_is_empty(&server->cancels))
		server_cancels_ended(server);
}

static void fail(struct cancel *cancel, const char *why)
{
	log_warnx(NULL, "could not send a cancel request: %s", why);
	end(cancel, false);
}

/* A server answers a cancel request with nothing but the end; but before it, one for TLS. */
static size_t on_data(void *context, const uint8_t *data, size_t length)
{
	struct cancel *cancel = context;

	if (!cancel->tls || conn_is_encrypted(cancel->conn))
		return length;
	if (server_tls_answer(data, length) != SERVER_TLS_YES)
		fail(cancel, "the server does not offer TLS any more");
	else if (!conn_start_tls(cancel->conn, cancel->tls, cancel->host, NULL, 0))
		fail(cancel, "out of memory");
	return length;
}

static void on_closed(void *context, enum conn_end how, int error)
{
	struct cancel *cancel = context;

	(void)error;
	if (how == CONN_END_TLS)
		fail(cancel, conn_tls_error(cancel->conn));
	else
		end(cancel, cancel->is_sent);
}

static void on_connected(void *context)
{
	struct cancel *cancel = context;

	if (cancel->tls && !conn_is_encrypted(cancel->conn)) {
		build_ssl_request(conn_out(cancel->conn));
		conn_flush(cancel->conn);
		return;
	}
	build_cancel_request(conn_out(cancel->conn), cancel->key.pid, cancel->key.secret,
			     cancel->key.length);
	cancel->is_sent = true;
	conn_flush(cancel->conn);
}

static void on_timeout(void *context)
{
	struct cancel *cancel = context;

	log_warnx(NULL, "a cancel request was not answered in time");
	end(cancel, false);
}

static const struct conn_handler cancel_handler = { on_data, NULL, on_closed, on_connected };

static bool listen_to(struct cancel *cancel, cancel_done done, void *context)
{
	struct listener *listener;

	if (!done)
		return true;
	listener = calloc(1, sizeof(*listener));
	if (!listener)
		return false;
	listener->done = done;
	listener->context = context;
	list_push_back(&cancel->listeners, &listener->node);
	return true;
}

/* A key that came through TLS does not go out without it. */
static bool copy_tls(struct cancel *cancel, const struct conn *conn)
{
	const char *host = conn_tls_host(conn);

	cancel->tls = tls_context_ref(conn_tls_context(conn));
	cancel->host = host ? strdup(host) : NULL;
	return !host || cancel->host;
}

static struct cancel *begin(struct server *server)
{
	struct pool_env *env = server->pool->env;
	struct cancel *cancel = server->key.length > 0 ? calloc(1, sizeof(*cancel)) : NULL;

	if (!cancel)
		return NULL;
	list_init(&cancel->listeners);
	cancel->server = server;
	cancel->loop = env->loop;
	cancel->key = server->key;
	cancel->timer = loop_timer_create(env->loop, on_timeout, cancel);
	cancel->conn = conn_connect(env->loop, (struct sockaddr *)&server->address,
				    server->address_length, env->limits.cancel_wait_timeout,
				    &cancel_handler, cancel);
	if (!cancel->timer || !cancel->conn || !copy_tls(cancel, server->conn)) {
		free_parts(cancel);
		free(cancel);
		return NULL;
	}
	if (env->limits.cancel_wait_timeout > 0)
		loop_timer_start(cancel->timer, env->limits.cancel_wait_timeout);
	if (all.head.next == NULL)
		list_init(&all);
	list_push_back(&all, &cancel->all_node);
	list_push_back(&server->cancels, &cancel->node);
	atomic_fetch_add(&in_flight, 1);
	return cancel;
}

void cancel_forward(struct server *server, enum cancel_reason reason, cancel_done done,
		    void *context)
{
	struct list_node *first = list_first(&server->cancels);
	struct cancel *cancel;

	ASSERT(server->state == SERVER_LENT);
	cancel = first ? LIST_ENTRY(first, struct cancel, node) : begin(server);
	if (!first)
		atomic_fetch_add(&sent[reason], 1);
	if (cancel && listen_to(cancel, done, context))
		return;
	if (!cancel) {
		atomic_fetch_add(&failed, 1);
		log_warn(NULL, "could not send a cancel request");
	}
	if (done)
		done(context);
}

void cancel_orphan_all(struct server *server)
{
	struct list_node *node;

	while ((node = list_pop_front(&server->cancels)) != NULL)
		LIST_ENTRY(node, struct cancel, node)->server = NULL;
}

void cancel_end_all(void)
{
	struct list_node *first;

	while (all.head.next && (first = list_first(&all)) != NULL)
		end(LIST_ENTRY(first, struct cancel, all_node), false);
}

void cancel_counters_get(struct cancel_counters *out)
{
	for (int i = 0; i < CANCEL_REASON_COUNT; i++)
		out->sent[i] = atomic_load(&sent[i]);
	out->delivered = atomic_load(&delivered);
	out->failed = atomic_load(&failed);
	out->in_flight = atomic_load(&in_flight);
}
