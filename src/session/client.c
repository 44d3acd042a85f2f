/*
 * Client sessions: reading what a client sends, greeting it, ending it; see session/client.h. The
 * worker's thread runs all of it. Requests are walked in request.c, replies in relay_replies.c.
 */
#include "session/client.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/panic.h"
#include "base/random.h"
#include "pool/cancel.h"
#include "session/channels.h"
#include "wire/build.h"
#include "wire/frame.h"
#include "wire/message.h"

/* How long a client that is told its end may take to read it. */
#define LINGER       (5 * USEC_PER_SEC)
/* Greetings remembered on a worker; above that all are forgotten. */
#define WELCOMES_MAX 1000
/* ... and for how long: the servers' defaults may change behind our back. */
#define WELCOME_LIFE (60 * USEC_PER_SEC)

static const struct conn_handler client_handler;

const char *client_state_name(enum client_state state)
{
	static const char *const names[CLIENT_STATE_COUNT] = {
		"welcoming", "idle", "active", "waiting", "gone",
	};

	return names[state];
}

const char *close_reason_name(enum close_reason reason)
{
	static const char *const names[CLOSE_REASON_COUNT] = {
		"terminate", "client_gone", "protocol_error", "server_lost",  "timeout",
		"no_memory", "admin",       "shutdown",       "login_failed", "notify_overflow",
	};

	return names[reason];
}

void client_set_state(struct client *client, enum client_state state)
{
	ASSERT(client->state != CLIENT_GONE || state == CLIENT_GONE);
	client->state = state;
	client->state_since = clock_now();
}

struct log_ctx client_log_ctx(const struct client *client)
{
	return (struct log_ctx){ .kind = "client",
				 .id = client->id,
				 .user = client->identity->user,
				 .database = client->identity->database->name };
}

const struct cluster *client_cluster(const struct client *client)
{
	return session_cluster(client->env, client->identity->database);
}

const struct node *client_node(const struct client *client, int index)
{
	const struct cluster *cluster = client_cluster(client);

	return index < 0 || (size_t)index >= cluster->n_nodes ? NULL : &cluster->nodes[index];
}

/* --- the key of a session --- */

static struct client *find_by_pid(const struct session_env *env, uint32_t pid)
{
	return strmap_get(env->keys, &pid, sizeof(pid));
}

static size_t key_length_of(unsigned minor)
{
	return minor >= CANCEL_LONG_MINOR ? CANCEL_SECRET_LONG : CANCEL_SECRET_SHORT;
}

static uint8_t *key_secret(struct client *client)
{
	return (uint8_t *)client->host + strlen(client->host) + 1;
}

/*
 * From the system's generator; the number stays positive, as a process id is. It alone finds the
 * session, so that the secret is compared, in constant time, and never looked up.
 */
static bool make_key(struct client *client)
{
	do {
		random_secret(&client->key_pid, sizeof(client->key_pid));
		client->key_pid &= 0x7fffffff;
	} while (client->key_pid == 0 || find_by_pid(client->env, client->key_pid));
	random_secret(key_secret(client), client->key_length);
	return strmap_set(client->env->keys, &client->key_pid, sizeof(client->key_pid), client);
}

static void drop_key(struct client *client)
{
	if (find_by_pid(client->env, client->key_pid) == client)
		strmap_remove(client->env->keys, &client->key_pid, sizeof(client->key_pid));
}

/* --- the end --- */

static void log_end(const struct client *client, enum close_reason reason)
{
	struct log_ctx ctx = client_log_ctx(client);

	if (!client->env->limits.log_disconnections)
		return;
	log_info(&ctx, "session ended: %s, %llu requests, %llu bytes in, %llu out, %lld ms",
		 close_reason_name(reason), (unsigned long long)client->n_requests,
		 client->conn ? (unsigned long long)conn_bytes_in(client->conn) : 0,
		 client->conn ? (unsigned long long)conn_bytes_out(client->conn) : 0,
		 (long long)((clock_now() - client->connected_at) / USEC_PER_MS));
}

/* The last of it. Nothing points here any more but what the batch under way may still hold. */
static void free_client(struct client *client)
{
	struct session_env *env = client->env;

	ASSERT(!client->server && !client->conn && !client->is_closed);
	client->is_closed = true;
	request_destroy(&client->request);
	pending_clear(&client->pending);
	statement_map_clear(&client->statements);
	statement_unref(&client->unnamed);
	client_forget_portals(client);
	pins_free(&client->pins);
	txn_destroy(&client->txn);
	list_remove(&env->clients, &client->node);
	drop_key(client);
	client_free_startup(&client->replication_startup);
	client->identity->clients--;
	client->identity->database->clients--;
	session_client_left(client->identity);
	env->ops->client_left(env->context);
	loop_defer_free(env->loop, client);
}

void client_check_gone(struct client *client)
{
	if (client->state != CLIENT_GONE || client->is_closed)
		return;
	if (client->server && (!relay_is_quiet(client) || client->is_batch_open))
		return;
	lease_end(client);
	free_client(client);
}

/*
 * What runs for nobody is cancelled, and its server waited for: clean, it is used again. (A
 * walsender is not, and goes with its connection.)
 */
static void leave_server(struct client *client)
{
	bool is_busy = !relay_is_quiet(client) || client->is_batch_open;

	if (!is_busy)
		return;
	if (client->server->is_dedicated) {
		lease_end(client);
		pending_clear(&client->pending);
		return;
	}
	if (!relay_wind_up(client)) {
		pool_discard(&client->server, "its client has gone in the middle of a message");
		return;
	}
	if (conn_is_paused(client->server->conn))
		conn_resume(client->server->conn);
	cancel_forward(client->server, CANCEL_CLIENT_GONE, NULL, NULL);
}

/* Ends a request that has not been sent yet. */
static void drop_unsent_request(struct client *client)
{
	struct request *request = client->request;

	if (!request || request->is_sent)
		return;
	if (request->is_setup_sent && client->server)
		pool_discard(&client->server, "its client has gone while settings were set");
	request_destroy(&client->request);
}

void client_close(struct client *client, enum close_reason reason, const char *sqlstate,
		  const char *message)
{
	client_close_for(client, reason, sqlstate, close_reason_name(reason), message);
}

void client_close_for(struct client *client, enum close_reason reason, const char *sqlstate,
		      const char *why, const char *message)
{
	char detail[64];

	if (client->state == CLIENT_GONE)
		return;
	log_end(client, reason);
	if (sqlstate && client->conn) {
		snprintf(detail, sizeof(detail), "reason: %s", why);
		build_error(conn_out(client->conn), "FATAL", sqlstate, message, detail, NULL);
		conn_finish(&client->conn, LINGER);
	} else {
		conn_destroy(&client->conn);
	}
	client->input = NULL;
	client->input_left = 0;
	drop_key(client);
	channels_leave(client);
	drop_unsent_request(client);
	client_set_state(client, CLIENT_GONE);
	if (client->server)
		leave_server(client);
	client_check_gone(client);
}

void client_abandon(struct client *client)
{
	if (client->server)
		pool_discard(&client->server,
			     "it did not come to rest after its client had gone");
	pending_clear(&client->pending);
	client->is_batch_open = false;
	client_check_gone(client);
}

/* --- reading --- */

static void protocol_error(struct client *client, const char *what)
{
	client_close(client, CLOSE_PROTOCOL, "08P01", what);
}

static void take_input(struct client *client, size_t length)
{
	client->input += length;
	client->input_left -= length;
}

/* The rest of a message whose beginning went by before. */
static void pass_tail(struct client *client)
{
	size_t part = client->client_tail < client->input_left ? client->client_tail
							       : client->input_left;
	const uint8_t *data = client->input;

	take_input(client, part);
	client->client_tail -= part;
	if (!client->is_tail_dropped && client->server)
		relay_client_bytes(client, data, part);
	if (client->client_tail == 0 && !client->request)
		lease_settle(client);
}

/* As a server does with any other message: the COPY fails, the message is dropped. */
static void fail_copy(struct client *client, const struct frame *frame)
{
	struct bytes *out = conn_out(client->server->conn);
	size_t mark = build_begin(out, MSG_F_COPY_FAIL);
	size_t present = FRAME_HEADER_BYTES + frame->body_present;

	build_string(out, "unexpected message type during COPY from stdin");
	build_end(out, mark);
	conn_flush(client->server->conn);
	client->is_copying_in = false;
	client->client_tail = frame_size(frame) - present;
	client->is_tail_dropped = true;
	take_input(client, present);
}

/* One COPY message, or as much of it as is there. */
static bool pass_copy_message(struct client *client)
{
	struct frame frame;
	size_t present;
	enum frame_result result = frame_peek(client->input, client->input_left,
					      frame_frontend_body_max(client->input[0]), &frame);

	if (result == FRAME_NEED_MORE)
		return false;
	if (result == FRAME_BAD) {
		protocol_error(client, "invalid message length");
		return false;
	}
	present = FRAME_HEADER_BYTES + frame.body_present;
	switch (frame.type) {
	case MSG_F_COPY_DATA: break;
	case MSG_F_COPY_DONE:
	case MSG_F_COPY_FAIL: client->is_copying_in = false; break;
	case MSG_F_SYNC:
	case MSG_F_FLUSH: /* ignored, as a server does */
		take_input(client, present);
		client->client_tail = frame_size(&frame) - present;
		client->is_tail_dropped = true;
		return true;
	case MSG_F_TERMINATE: client_close(client, CLOSE_TERMINATE, NULL, NULL); return false;
	default: fail_copy(client, &frame); return true;
	}
	client->client_tail = frame_size(&frame) - present;
	client->is_tail_dropped = false;
	relay_client_bytes(client, client->input, present);
	take_input(client, present);
	if (frame.type == MSG_F_COPY_DONE && client->client_tail == 0)
		relay_copy_done(client);
	return true;
}

/* All COPY data that is there, in one piece. */
static bool pass_copy(struct client *client)
{
	const uint8_t *start = client->input;
	size_t at = 0;
	struct frame frame;

	while (at < client->input_left &&
	       frame_peek(start + at, client->input_left - at, FRAME_BODY_MAX, &frame) ==
		       FRAME_OK &&
	       frame.type == MSG_F_COPY_DATA && frame_is_whole(&frame))
		at += frame_size(&frame);
	if (at == 0)
		return pass_copy_message(client);
	take_input(client, at);
	relay_client_bytes(client, start, at);
	return true;
}

static void begin_request(struct client *client, const struct collect_extent *extent)
{
	struct request *request = request_create(client);

	if (!request) {
		client_close(client, CLOSE_NO_MEMORY, "53200", "pointsman: out of memory");
		return;
	}
	request->size = extent->size;
	request->tail = extent->tail;
	request->end = extent->end;
	client->request = request;
	request_run(request);
}

static bool take_request(struct client *client)
{
	struct collect_extent extent;

	switch (collect_request(client->input, client->input_left,
				client->env->limits.client_buffer,
				client->env->limits.statement_bytes_max, &extent)) {
	case COLLECT_MORE: return false;
	case COLLECT_REQUEST:
		begin_request(client, &extent);
		if (!client->request || client->request->is_taken)
			return true;
		/* It waits, and its bytes with it: what has come behind it is offered again
		 * later. */
		if (client->conn)
			conn_pause(client->conn);
		return false;
	case COLLECT_STRAY: /* COPY messages: early, or the server has ended the COPY already */
		if (relay_await_copy(client)) {
			conn_pause(client->conn);
			return false;
		}
		take_input(client, extent.size);
		client->client_tail = extent.tail;
		client->is_tail_dropped = true;
		return true;
	case COLLECT_TERMINATE: client_close(client, CLOSE_TERMINATE, NULL, NULL); return false;
	case COLLECT_BAD: protocol_error(client, extent.error); return false;
	}
	UNREACHABLE();
}

/* --- back-pressure --- */

/* Above this many replies due, a client that sends Flush after Flush waits for some. */
#define PENDING_MAX 4096

static bool is_full(const struct client *client)
{
	return conn_unsent(client->conn) > CONN_HIGH_WATER ||
	       (client->server && conn_unsent(client->server->conn) > CONN_HIGH_WATER) ||
	       client->pending.count > PENDING_MAX;
}

void client_pause_if_full(struct client *client)
{
	if (client->conn && is_full(client))
		conn_pause(client->conn);
}

/* One request after the other; and none while a question of ours is at its server. */
static bool is_occupied(const struct client *client)
{
	return client->request || channels_is_proving(client) || pins_are_asked(&client->pins);
}

void client_resume(struct client *client)
{
	bool is_busy = is_occupied(client) && client->client_tail == 0 && !client->is_copying_in;

	if (client->conn && conn_is_paused(client->conn) && !is_busy && !is_full(client))
		conn_resume(client->conn);
}

void client_forget_portals(struct client *client)
{
	statement_unref(&client->unnamed_portal);
	statement_map_clear(&client->portals);
}

/* Does one thing with what is there; false when nothing more can be done with it now. */
static bool take_some(struct client *client)
{
	if (client->client_tail > 0) {
		pass_tail(client);
		return true;
	}
	if (client->is_copying_in)
		return pass_copy(client);
	if (is_occupied(client) || is_full(client)) {
		conn_pause(client->conn);
		return false;
	}
	return take_request(client);
}

static size_t on_data(void *context, const uint8_t *data, size_t length)
{
	struct client *client = context;
	size_t left;

	client->identity->database->traffic.received += length;
	client->input = data;
	client->input_left = length;
	while (client->input_left > 0 && client->conn && !conn_is_paused(client->conn)) {
		if (!take_some(client))
			break;
	}
	left = client->input_left;
	client->input = NULL;
	client->input_left = 0;
	return length - left;
}

/* The client has taken what its server sent: more of it may come. */
static void on_drained(void *context)
{
	struct client *client = context;

	if (client->server && conn_is_paused(client->server->conn))
		conn_resume(client->server->conn);
	channels_settle(client);
	client_resume(client);
}

static void on_closed(void *context, enum conn_end end, int error)
{
	(void)end;
	(void)error;
	client_close(context, CLOSE_CLIENT_GONE, NULL, NULL);
}

static const struct conn_handler client_handler = { on_data, on_drained, on_closed, NULL };

void client_request_finished(struct client *client)
{
	if (client->state == CLIENT_GONE) {
		client_check_gone(client);
		return;
	}
	if (channels_prove(client))
		return;
	client_set_state(client, CLIENT_IDLE);
	channels_settle(client);
	client_resume(client);
}

/* --- greeting --- */

static bool welcome_key(const struct client *client, struct bytes *out)
{
	const struct session_identity *identity = client->identity;

	bytes_append(out, identity->database->name, strlen(identity->database->name) + 1);
	bytes_append(out, identity->user, strlen(identity->user) + 1);
	return settings_key(client->txn.settings, out);
}

/* What clients with the same database, user and settings are told; asked anew from time to time.
 */
struct welcome {
	struct bytes reports;
	struct settings *settings; /* theirs, which all of them share */
	usec made_at;
};

static void drop_welcome(struct welcome *welcome)
{
	if (!welcome)
		return;
	bytes_free(&welcome->reports);
	settings_unref(&welcome->settings);
	free(welcome);
}

static void free_welcome(void *context, const void *key, size_t key_length, void *value)
{
	(void)context;
	(void)key;
	(void)key_length;
	drop_welcome(value);
}

void session_forget_welcomes(struct session_env *env)
{
	struct strmap *fresh = strmap_create();

	if (!fresh)
		return;
	strmap_each(env->welcomes, free_welcome, NULL);
	strmap_destroy(&env->welcomes);
	env->welcomes = fresh;
}

static void remember_welcome(struct client *client, const struct bytes *reports)
{
	struct session_env *env = client->env;
	struct bytes key = { 0 };
	struct welcome *fresh;
	struct welcome *old = NULL;

	if (strmap_count(env->welcomes) >= WELCOMES_MAX)
		session_forget_welcomes(env);
	fresh = calloc(1, sizeof(*fresh));
	if (!fresh)
		return;
	fresh->made_at = clock_now();
	fresh->settings = settings_ref(client->txn.startup);
	bytes_append(&fresh->reports, bytes_begin(reports), bytes_length(reports));
	if (!fresh->reports.failed && welcome_key(client, &key)) {
		old = strmap_get(env->welcomes, bytes_begin(&key), bytes_length(&key));
		if (strmap_set(env->welcomes, bytes_begin(&key), bytes_length(&key), fresh))
			fresh = NULL;
		else
			old = NULL;
	}
	drop_welcome(old);
	drop_welcome(fresh);
	bytes_free(&key);
}

static void send_welcome(struct client *client, const struct bytes *reports)
{
	struct bytes *out = conn_out(client->conn);

	bytes_append(out, bytes_begin(reports), bytes_length(reports));
	build_backend_key(out, client->key_pid, key_secret(client), client->key_length);
	build_ready(out, TXN_IDLE);
	conn_flush(client->conn);
	conn_trim(client->conn); /* no later answer of ours is as large */
}

void client_welcome(struct client *client)
{
	const struct server *server = client->server;
	struct bytes reports = { 0 };
	const char *strings;

	for (size_t i = 0; i < server->n_reports; i++) {
		const char *name = server->reports[i].name;

		/* To its clients the whole is one server, which takes writes. */
		build_parameter_status(&reports, name,
				       strcmp(name, "in_hot_standby") == 0 &&
						       client->replication == REPLICATION_NONE
					       ? "off"
					       : server->reports[i].value);
	}
	/* It has a server of its own, and must know which that is. */
	if (client->replication != REPLICATION_NONE) {
		send_welcome(client, &reports);
		bytes_free(&reports);
		return;
	}
	strings = server_reported(server, "standard_conforming_strings");
	if (strings && strcmp(strings, "on") != 0 && !server->settings)
		client->identity->database->is_unreadable = true;
	remember_welcome(client, &reports);
	send_welcome(client, &reports);
	bytes_free(&reports);
}

static void log_log_in(const struct client *client)
{
	struct log_ctx ctx = client_log_ctx(client);

	if (client->env->limits.log_connections)
		log_info(&ctx, "logged in from %s:%d", client->host, client->port);
}

static void greet(struct client *client)
{
	struct collect_extent nothing = { .end = REQUEST_LOGIN };
	struct bytes key = { 0 };
	struct welcome *known = NULL;

	if (client->replication == REPLICATION_NONE && welcome_key(client, &key))
		known = strmap_get(client->env->welcomes, bytes_begin(&key), bytes_length(&key));
	bytes_free(&key);
	if (known)
		txn_share_startup(&client->txn, known->settings);
	if (!known || clock_now() - known->made_at >= WELCOME_LIFE) {
		begin_request(client, &nothing);
		return;
	}
	send_welcome(client, &known->reports);
	client_set_state(client, CLIENT_IDLE);
}

/* --- the beginning --- */

static struct client *allocate(struct session_env *env, struct client_params *params)
{
	static atomic_ullong last_id;
	size_t host_size = strlen(params->host) + 1;
	size_t key_length = key_length_of(params->minor);
	struct client *client = calloc(1, sizeof(*client) + host_size + key_length);

	if (!client)
		return NULL;
	memcpy(client->host, params->host, host_size);
	client->key_length = (uint8_t)key_length;
	client->env = env;
	client->identity = params->identity;
	client->id = atomic_fetch_add(&last_id, 1) + 1;
	if (!make_key(client)) {
		free(client);
		return NULL;
	}
	client->conn = params->conn;
	client->connected_at = params->connected_at;
	client->port = params->port;
	client->replication = params->replication;
	client->replication_startup = params->replication_startup;
	client->last.node = -1;
	client->last.staleness = -1;
	return client;
}

void client_free_startup(struct bytes **startup)
{
	if (*startup)
		bytes_free(*startup);
	free(*startup);
	*startup = NULL;
}

void client_create(struct session_env *env, struct client_params *params)
{
	struct client *client = allocate(env, params);

	if (!client) {
		build_error(conn_out(params->conn), "FATAL", "53200", "pointsman: out of memory",
			    NULL, NULL);
		conn_finish(&params->conn, LINGER);
		settings_unref(&params->startup);
		client_free_startup(&params->replication_startup);
		session_client_left(params->identity);
		env->ops->client_left(env->context);
		return;
	}
	txn_init(&client->txn, params->startup);
	settings_unref(&params->startup);
	txn_set_startup_hints(&client->txn, params->hints);
	client->identity->clients++;
	client->identity->database->clients++;
	client->identity->database->traffic.client_login_count++;
	list_push_back(&env->clients, &client->node);
	conn_set_handler(client->conn, &client_handler, client);
	client_set_state(client, CLIENT_WELCOMING);
	log_log_in(client);
	greet(client);
}

/* --- cancel --- */

/* In the queue: it is answered there, and never borrows. */
static void cancel_waiting(struct client *client)
{
	struct request *request = client->request;

	request_stop_waiting(request);
	pool_failure_set(&request->failure, "57014", cancel_reason_name(CANCEL_CLIENT),
			 "pointsman: canceling statement due to user request, while it was "
			 "waiting");
	request_resume(request, false);
}

bool client_cancel(struct session_env *env, const struct cancel_key *key, client_cancel_done done,
		   void *context)
{
	struct client *client = find_by_pid(env, key->pid);

	if (!client || !cancel_secret_is(key, key_secret(client), client->key_length))
		return false;
	if (client->state == CLIENT_WAITING && client->request) {
		cancel_waiting(client);
		done(context);
	} else if (client->server && !relay_is_quiet(client) && !pins_are_asked(&client->pins)) {
		cancel_forward(client->server, CANCEL_CLIENT, done, context);
	} else {
		done(context); /* it does nothing that could be cancelled */
	}
	return true;
}
