/*
 * LISTEN without a server: which sessions of this worker hear which channels; see
 * session/channels.h. What is heard is kept for a session that cannot take it now, up to
 * client_buffer. Talking to the listening connection is the worker's (worker/notify.c).
 */
#include "session/channels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "session/client.h"
#include "wire/build.h"
#include "wire/cursor.h"
#include "wire/frame.h"
#include "wire/message.h"

/* A channel of a database that sessions of this worker listen to. */
struct channel {
	struct list_node node; /* in env->channel_list */
	char *key;             /* in env->channels: cluster, database and name, with their NULs */
	size_t key_length;
	struct channel_home home; /* into key, as is the name */
	const char *name;
	char *user; /* who asked first: to log in as */
	struct pool_settings pool;
	uint64_t serial;
	bool is_heard;
	bool is_refused; /* not to be found any more; it goes with its last subscription */
	struct list subscriptions;
};

struct subscription {
	struct list_node of_channel;
	struct list_node of_listener;
	struct channel *channel;
	struct listener *listener;
};

/* What a client that listens has for it; others have none. */
struct listener {
	struct client *client;
	struct list subscriptions;
	struct bytes waiting; /* notifications, whole messages */
	bool is_ready_held;   /* a ReadyForQuery is kept back ... */
	uint64_t proof;       /* ... until the answer with this serial; 0: not asked for yet */
	usec held_since;
};

/* A listening connection that does not answer keeps nobody waiting for longer than this. */
#define PROOF_MAX USEC_PER_SEC

/* --- channels --- */

static bool channel_key(const struct channel_home *home, const char *name, struct bytes *out)
{
	bytes_append(out, home->cluster, strlen(home->cluster) + 1);
	bytes_append(out, home->database, strlen(home->database) + 1);
	bytes_append(out, name, strlen(name) + 1);
	return !out->failed;
}

static struct channel *find_channel(const struct session_env *env,
				    const struct channel_home *home, const char *name)
{
	struct bytes key = { 0 };
	struct channel *channel = NULL;

	if (channel_key(home, name, &key))
		channel = strmap_get(env->channels, bytes_begin(&key), bytes_length(&key));
	bytes_free(&key);
	return channel;
}

static void free_channel(struct channel *channel)
{
	free(channel->key);
	free(channel->user);
	free(channel);
}

static struct channel *new_channel(const struct channel_home *home, const char *name,
				   const char *user)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	struct bytes key = { 0 };

	if (!channel)
		return NULL;
	list_init(&channel->subscriptions);
	channel->user = strdup(user);
	if (channel_key(home, name, &key))
		channel->key = malloc(bytes_length(&key));
	if (!channel->key || !channel->user) {
		bytes_free(&key);
		free_channel(channel);
		return NULL;
	}
	channel->key_length = bytes_length(&key);
	memcpy(channel->key, bytes_begin(&key), channel->key_length);
	bytes_free(&key);
	channel->home.cluster = channel->key;
	channel->home.database = channel->key + strlen(home->cluster) + 1;
	channel->name = channel->home.database + strlen(home->database) + 1;
	return channel;
}

static bool order(struct session_env *env, const struct channel *channel,
		  enum channel_order_kind kind, uint64_t serial)
{
	struct channel_order order = { .kind = kind,
				       .home = channel->home,
				       .user = channel->user,
				       .name = channel->name,
				       .serial = serial,
				       .pool = &channel->pool };

	return env->ops->listen(env->context, &order);
}

/* Nobody here listens to it any more. */
static void unlink_channel(struct session_env *env, struct channel *channel)
{
	list_remove(&env->channel_list, &channel->node);
	strmap_remove(env->channels, channel->key, channel->key_length);
}

static void drop_channel(struct session_env *env, struct channel *channel)
{
	if (!channel->is_refused)
		unlink_channel(env, channel);
	order(env, channel, CHANNEL_UNLISTEN, channel->serial);
	free_channel(channel);
}

static struct channel *make_channel(struct client *client, const char *name)
{
	struct session_env *env = client->env;
	const struct session_identity *identity = client->identity;
	struct channel_home home = { identity->database->cluster_name,
				     identity->database->dbname };
	struct channel *channel = find_channel(env, &home, name);

	if (channel)
		return channel;
	channel = new_channel(&home, name, identity->server_user);
	if (!channel)
		return NULL;
	if (!strmap_set(env->channels, channel->key, channel->key_length, channel)) {
		free_channel(channel);
		return NULL;
	}
	list_push_back(&env->channel_list, &channel->node);
	channel->serial = ++env->channel_serial;
	channel->pool = identity->rules.pool;
	if (!order(env, channel, CHANNEL_LISTEN, channel->serial)) {
		drop_channel(env, channel);
		return NULL;
	}
	return channel;
}

/* --- subscriptions --- */

static struct listener *make_listener(struct client *client)
{
	struct listener *listener = client->listener;

	if (listener)
		return listener;
	listener = calloc(1, sizeof(*listener));
	if (!listener)
		return NULL;
	listener->client = client;
	list_init(&listener->subscriptions);
	client->listener = listener;
	return listener;
}

static void drop_subscription(struct subscription *subscription)
{
	struct channel *channel = subscription->channel;
	struct session_env *env = subscription->listener->client->env;

	list_remove(&channel->subscriptions, &subscription->of_channel);
	list_remove(&subscription->listener->subscriptions, &subscription->of_listener);
	free(subscription);
	if (list_is_empty(&channel->subscriptions))
		drop_channel(env, channel);
}

static bool has_subscription(const struct listener *listener, const char *name)
{
	LIST_EACH (&listener->subscriptions, node) {
		if (strcmp(LIST_ENTRY(node, struct subscription, of_listener)->channel->name,
			   name) == 0)
			return true;
	}
	return false;
}

static bool subscribe(struct client *client, const char *name)
{
	struct listener *listener = make_listener(client);
	struct subscription *subscription;
	struct channel *channel;

	if (!listener)
		return false;
	if (has_subscription(listener, name))
		return true;
	subscription = calloc(1, sizeof(*subscription));
	channel = subscription ? make_channel(client, name) : NULL;
	if (!channel) {
		free(subscription);
		return false;
	}
	subscription->channel = channel;
	subscription->listener = listener;
	list_push_back(&channel->subscriptions, &subscription->of_channel);
	list_push_back(&listener->subscriptions, &subscription->of_listener);
	return true;
}

void channels_leave(struct client *client)
{
	struct listener *listener = client->listener;
	struct list_node *node;

	if (!listener)
		return;
	while ((node = list_first(&listener->subscriptions)) != NULL)
		drop_subscription(LIST_ENTRY(node, struct subscription, of_listener));
	bytes_free(&listener->waiting);
	free(listener);
	client->listener = NULL;
}

/* --- before LISTEN is answered --- */

static const struct statement_facts *facts_of(const struct op *op)
{
	return op->action == OP_ANSWER ? op->facts : NULL;
}

static bool subscribe_all(struct request *request)
{
	for (size_t i = 0; i < request->n_ops; i++) {
		const struct statement_facts *facts = facts_of(&request->ops[i]);

		for (size_t e = 0; facts && e < facts->n_effects; e++) {
			if (facts->effects[e].kind == EFFECT_LISTEN &&
			    !subscribe(request->client, facts->effects[e].name))
				return false;
		}
	}
	return true;
}

static bool is_all_heard(const struct client *client)
{
	if (!client->listener)
		return true;
	LIST_EACH (&client->listener->subscriptions, node) {
		if (!LIST_ENTRY(node, struct subscription, of_listener)->channel->is_heard)
			return false;
	}
	return true;
}

/* What an Execute has noted already is taken back. */
static void forget_listens(struct client *client, const struct statement_facts *facts)
{
	for (size_t i = 0; i < facts->n_effects; i++) {
		if (facts->effects[i].kind == EFFECT_LISTEN)
			txn_unlisten(&client->txn, facts->effects[i].name);
	}
}

/* All its LISTENs fail, and with them what PostgreSQL would fail with them. */
static bool refuse_listens(struct request *request, const struct pool_failure *failure)
{
	char detail[64];

	snprintf(detail, sizeof(detail), "reason: %s", failure->reason);
	for (size_t i = 0; i < request->n_ops; i++) {
		struct op *op = &request->ops[i];

		if (!facts_of(op) || !own_statement_has_listen(op->facts))
			continue;
		forget_listens(request->client, op->facts);
		if (!op->answer && !(op->answer = calloc(1, sizeof(*op->answer))))
			return false;
		bytes_clear(op->answer);
		build_error(op->answer, "ERROR", failure->sqlstate, failure->message, detail,
			    NULL);
		op->action = OP_REFUSE;
		request->needs_server |= request->client->server != NULL;
		if (op->answer->failed)
			return false;
	}
	return true;
}

bool channels_are_awaited(const struct client *client)
{
	return client->listener && !is_all_heard(client);
}

enum stage_result channels_subscribe(struct request *request)
{
	struct client *client = request->client;

	if (!request->failure.sqlstate[0] && !subscribe_all(request))
		pool_failure_set(&request->failure, "53200", "no_memory",
				 "pointsman: out of memory");
	if (request->failure.sqlstate[0]) {
		if (!refuse_listens(request, &request->failure)) {
			client_close(client, CLOSE_NO_MEMORY, "53200",
				     "pointsman: out of memory");
			return STAGE_CLOSE;
		}
		request->failure.sqlstate[0] = '\0';
		return STAGE_NEXT;
	}
	if (is_all_heard(client))
		return STAGE_NEXT;
	if (!request->waiting_since)
		request->waiting_since = clock_now();
	client_set_state(client, CLIENT_WAITING);
	return STAGE_WAIT;
}

/* --- notifications --- */

/* As a server would send them: when it does nothing for the client, outside a transaction. */
static bool can_take(const struct client *client)
{
	return client->conn && client->state == CLIENT_IDLE && !client->request &&
	       !txn_is_open(&client->txn) && !client->is_batch_open && relay_is_quiet(client) &&
	       conn_unsent(client->conn) <= CONN_HIGH_WATER;
}

static bool is_wanted(const struct client *client, const uint8_t *message, size_t length)
{
	struct cursor c;
	const char *name;

	cursor_init(&c, message + FRAME_HEADER_BYTES, length - FRAME_HEADER_BYTES);
	cursor_u32(&c);
	name = cursor_string(&c);
	return !c.failed && settings_get(client->txn.channels_committed, name) != NULL;
}

static void send_waiting(struct client *client)
{
	struct bytes *waiting = &client->listener->waiting;
	struct frame frame;

	while (can_take(client) && bytes_length(waiting) > 0 &&
	       frame_peek(bytes_begin(waiting), bytes_length(waiting), FRAME_BODY_MAX, &frame) ==
		       FRAME_OK) {
		size_t size = frame_size(&frame);

		if (is_wanted(client, bytes_begin(waiting), size))
			conn_queue(client->conn, bytes_begin(waiting), size);
		bytes_consume(waiting, size);
	}
	if (bytes_length(waiting) == 0)
		bytes_free(waiting);
	conn_flush(client->conn);
}

static void drop_unwanted(struct client *client)
{
	struct listener *listener = client->listener;

	LIST_EACH_SAFE (&listener->subscriptions, node) {
		struct subscription *subscription =
			LIST_ENTRY(node, struct subscription, of_listener);

		if (!settings_get(client->txn.channels_committed, subscription->channel->name))
			drop_subscription(subscription);
	}
}

void channels_settle(struct client *client)
{
	if (!client->listener || client->request || txn_is_open(&client->txn) ||
	    client->is_batch_open)
		return;
	drop_unwanted(client);
	if (bytes_length(&client->listener->waiting) > 0 && can_take(client))
		send_waiting(client);
	if (list_is_empty(&client->listener->subscriptions))
		channels_leave(client);
}

static void give(struct listener *listener, const uint8_t *message, size_t length)
{
	struct client *client = listener->client;
	bool failed =
		bytes_length(&listener->waiting) + length > client->env->limits.client_buffer ||
		!bytes_append(&listener->waiting, message, length);

	if (failed)
		client_close(client, CLOSE_NOTIFICATIONS, "53400",
			     "pointsman: too many notifications wait for this session");
	else if (can_take(client))
		send_waiting(client);
}

void channels_heard(struct session_env *env, const struct channel_home *home, const char *name,
		    const uint8_t *message, size_t length)
{
	struct channel *channel = find_channel(env, home, name);
	struct list_node *node = channel ? list_first(&channel->subscriptions) : NULL;
	size_t left = channel ? channel->subscriptions.count : 0;

	/* Who is ended here takes his subscription, and the last one the channel, with him. */
	for (; left > 0; left--) {
		struct list_node *next = node->next;

		give(LIST_ENTRY(node, struct subscription, of_channel)->listener, message,
		     length);
		node = next;
	}
}

/* --- what came before --- */

bool channels_hold_ready(const struct client *client, uint8_t status)
{
	const struct request *request = client->request;

	return client->listener && client->conn && status == TXN_IDLE && request &&
	       request->is_sent && request->end != REQUEST_FLUSH &&
	       request->end != REQUEST_PARTIAL && client->pending.count == 1 &&
	       !list_is_empty(&client->listener->subscriptions);
}

void channels_note_held(struct client *client)
{
	client->listener->is_ready_held = true;
	client->listener->proof = 0;
	client->listener->held_since = clock_now();
}

bool channels_is_proving(const struct client *client)
{
	return client->listener && client->listener->is_ready_held;
}

/* What waits goes out, and then the ReadyForQuery behind it. */
static void release_ready(struct client *client)
{
	client->listener->is_ready_held = false;
	client_set_state(client, CLIENT_IDLE);
	send_waiting(client);
	build_ready(conn_out(client->conn), client->txn.status);
	conn_flush(client->conn);
	channels_settle(client);
	client_resume(client);
}

bool channels_prove(struct client *client)
{
	struct listener *listener = client->listener;
	struct list_node *first;

	if (!channels_is_proving(client))
		return false;
	listener->proof = ++client->env->channel_serial;
	first = list_first(&listener->subscriptions);
	if (!first ||
	    !order(client->env, LIST_ENTRY(first, struct subscription, of_listener)->channel,
		   CHANNEL_PROVE, listener->proof))
		release_ready(client);
	return true;
}

void channels_tick(struct client *client, usec now)
{
	if (channels_is_proving(client) && client->listener->proof &&
	    now - client->listener->held_since >= PROOF_MAX)
		release_ready(client);
}

void channels_proved(struct session_env *env, const struct channel_order *order)
{
	struct channel *channel = find_channel(env, &order->home, order->name);

	if (!channel)
		return;
	LIST_EACH (&channel->subscriptions, node) {
		struct listener *listener =
			LIST_ENTRY(node, struct subscription, of_channel)->listener;

		if (!listener->is_ready_held || listener->proof != order->serial)
			continue;
		release_ready(listener->client);
		return;
	}
}

/* --- answers --- */

/* Its request, which waits in the govern stage, goes on. */
static void wake(struct client *client, const struct pool_failure *failure)
{
	struct request *request = client->request;

	if (client->state != CLIENT_WAITING || !request || request->stage != STAGE_GOVERN)
		return;
	if (failure)
		request->failure = *failure;
	else if (!is_all_heard(client))
		return;
	client_set_state(client, CLIENT_ACTIVE);
	request_resume(request, false);
}

void channels_answered(struct session_env *env, const struct channel_order *order,
		       const struct pool_failure *failure)
{
	struct channel *channel = find_channel(env, &order->home, order->name);
	struct list_node *node = channel ? list_first(&channel->subscriptions) : NULL;
	size_t left = channel ? channel->subscriptions.count : 0;

	if (!channel || channel->serial != order->serial)
		return;
	channel->is_heard = !failure;
	/* Who listens again when he is woken makes a new channel, and the owner is asked again. */
	channel->is_refused = failure != NULL;
	if (failure)
		unlink_channel(env, channel);
	for (; left > 0; left--) {
		struct subscription *subscription =
			LIST_ENTRY(node, struct subscription, of_channel);
		struct client *client = subscription->listener->client;

		node = node->next;
		if (failure)
			drop_subscription(subscription);
		wake(client, failure);
	}
}

/* --- the end of the listening connection --- */

static bool is_home(const struct channel *channel, const struct channel_home *home)
{
	return strcmp(channel->home.cluster, home->cluster) == 0 &&
	       strcmp(channel->home.database, home->database) == 0;
}

static bool listens_at(const struct client *client, const struct channel_home *home)
{
	if (!client->listener)
		return false;
	LIST_EACH (&client->listener->subscriptions, node) {
		if (is_home(LIST_ENTRY(node, struct subscription, of_listener)->channel, home))
			return true;
	}
	return false;
}

void channels_lost(struct session_env *env, const struct channel_home *home, const char *why)
{
	char message[240];

	snprintf(message, sizeof(message),
		 "pointsman: notifications may have been missed: the connection that listens for "
		 "them was lost: %s",
		 why);
	LIST_EACH_SAFE (&env->clients, node) {
		struct client *client = LIST_ENTRY(node, struct client, node);

		if (client->state == CLIENT_GONE || !listens_at(client, home))
			continue;
		channels_leave(client);
		client_close(client, CLOSE_SERVER_LOST, "08006", message);
	}
}

/* --- for people --- */

void channels_each(const struct session_env *env,
		   void (*each)(void *context, const struct channel_home *home, const char *name,
				size_t sessions, bool is_heard),
		   void *context)
{
	LIST_EACH (&env->channel_list, node) {
		const struct channel *channel = LIST_ENTRY(node, struct channel, node);

		each(context, &channel->home, channel->name, channel->subscriptions.count,
		     channel->is_heard);
	}
}
