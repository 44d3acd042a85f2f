/*
 * Reading a worker's clients, servers and books for the console; see admin/gather.h. Runs on the
 * worker's thread, between its events, and changes nothing. Names are cleaned here, so that the
 * rest of the console has no text from the network in its hands.
 */
#include "admin/gather.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "admin/owners.h"
#include "admin/words.h"
#include "base/panic.h"
#include "net/conn.h"
#include "pool/pool.h"
#include "pool/settings.h"
#include "session/channels.h"
#include "session/client.h"
#include "sql/judge.h"

static void copy_name(char out[TEXT_NAME_MAX], const char *name)
{
	text_clean(out, TEXT_NAME_MAX, name);
}

/* --- names --- */

/* The value is the second literal of set_config('name', 'value', false), or the last word of a
 * SET. */
void gather_application_name(const struct settings *settings, char *out, size_t out_size)
{
	const char *statement = settings_get(settings, "application_name");
	struct words words;
	size_t literals_due;

	out[0] = '\0';
	if (!statement || words_next(&statement, &words) != WORDS_STATEMENT)
		return;
	literals_due = words_is(&words, 0, "SELECT") ? 2 : 1;
	for (size_t i = 0; i < words.count; i++) {
		if (words.list[i].kind != WORD_STRING || --literals_due > 0)
			continue;
		text_clean(out, out_size, words_text(&words, i));
		return;
	}
	if (words_is(&words, 0, "SET"))
		text_clean(out, out_size, words_text(&words, words.count - 1));
}

/* Where a client counts: the node that serves it, that it waits for, or that served it last. */
static const char *node_name_of(const struct client *client)
{
	const struct cluster *cluster = client_cluster(client);
	const struct node *node;
	int index = client->last.node;

	if (client->server)
		return client->server->pool->key.node_name;
	if (client->request && client->request->decision.node >= 0)
		index = client->request->decision.node;
	node = client_node(client, index);
	if (!node)
		node = client_node(client, cluster->primary);
	if (!node)
		node = client_node(client, 0);
	return node ? node->name : "";
}

static const char *database_name_of(const struct owners *owners, const struct pool *pool)
{
	const struct session_identity *identity = owners_find(owners, pool);

	return identity ? identity->database->name : pool->key.database;
}

/* --- sockets --- */

/* What the connection itself knows. */
static void put_connection(struct socket_row *row, const struct conn *conn)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	conn_tls_describe(conn, row->tls);
	if (getsockname(conn_fd(conn), (struct sockaddr *)&address, &length) == -1)
		return;
	conn_address_text((struct sockaddr *)&address, row->local_address,
			  sizeof(row->local_address), &row->local_port);
}

static const char *client_state_text(const struct client *client)
{
	switch (client->state) {
	case CLIENT_WELCOMING:
	case CLIENT_WAITING: return "waiting";
	case CLIENT_IDLE: return client->server ? "active" : "idle";
	default: return "active";
	}
}

static usec client_wait(const struct client *client)
{
	if (client->state == CLIENT_WELCOMING)
		return clock_now() - client->connected_at;
	if (client->state != CLIENT_WAITING || !client->request)
		return 0;
	return clock_now() - client->request->waiting_since;
}

/* A replication connection has its settings as it sent them. */
static void copy_startup_name(struct socket_row *row, const struct bytes *startup)
{
	const char *at = (const char *)bytes_begin(startup);
	const char *end = at + bytes_length(startup);

	while (at < end) {
		const char *value = at + strlen(at) + 1;

		if (strcmp(at, "application_name") == 0)
			text_clean(row->application_name, sizeof(row->application_name), value);
		at = value + strlen(value) + 1;
	}
}

static void fill_dedicated(struct socket_row *row, const struct client *client)
{
	row->replication = client->replication;
	if (client->replication_startup)
		copy_startup_name(row, client->replication_startup);
}

static void fill_client(struct socket_row *row, struct client *client)
{
	row->kind = SOCKET_CLIENT;
	row->id = client->id;
	row->link = client->server ? client->server->id : 0;
	copy_name(row->user, client->identity->user);
	copy_name(row->database, client->identity->database->name);
	if (client->server)
		copy_name(row->node, client->server->pool->key.node_name);
	gather_application_name(client->txn.settings, row->application_name,
				sizeof(row->application_name));
	row->state = client_state_text(client);
	text_clean(row->address, sizeof(row->address), client->host);
	row->port = client->port;
	put_connection(row, client->conn);
	row->connected_at = client->connected_at;
	row->request_at = client->request_at;
	row->wait = client_wait(client);
	fill_dedicated(row, client);
	row->pin = pins_first(&client->pins);
	row->pins = client->pins.held;
	for (int reason = 0; reason < PIN_COUNT; reason++)
		row->pinned_at[reason] = pins_began_at(client, (enum pin_reason)reason);
	row->pid = client->key_pid;
	row->statements = statement_map_count(&client->statements);
	conn_input(client->conn, &row->unread);
	row->unsent = conn_unsent(client->conn);
}

static void add_clients(struct worker *worker, struct rows **rows)
{
	LIST_EACH (&worker->env.clients, node) {
		struct client *client = LIST_ENTRY(node, struct client, node);
		struct socket_row *row;

		if (!client->conn)
			continue;
		row = rows_add(rows);
		if (!row)
			return;
		fill_client(row, client);
		row->worker = worker->index;
	}
}

/* Idle for so long that it is looked at before it is lent. */
static bool is_used(const struct server *server)
{
	return server->state == SERVER_IDLE &&
	       clock_now() - server->state_since > server->pool->env->limits.server_check_delay;
}

static const char *server_state_text(const struct server *server)
{
	switch (server->state) {
	case SERVER_CONNECTING:
	case SERVER_LOGIN: return "new";
	case SERVER_LENT: return "active";
	case SERVER_PARKED: return "being_canceled";
	case SERVER_RESETTING: return "tested";
	default: return is_used(server) ? "used" : "idle";
	}
}

static void fill_server(struct socket_row *row, const struct server *server,
			const struct owners *owners)
{
	const struct pool_key *key = &server->pool->key;

	row->kind = SOCKET_SERVER;
	row->id = server->id;
	if (server->user == &client_as_server_user)
		row->link = ((const struct client *)server->user_context)->id;
	copy_name(row->user, key->user);
	copy_name(row->database, database_name_of(owners, server->pool));
	copy_name(row->node, key->node_name);
	gather_application_name(server->settings, row->application_name,
				sizeof(row->application_name));
	row->state = server_state_text(server);
	if (server->address_length > 0)
		conn_address_text((const struct sockaddr *)&server->address, row->address,
				  sizeof(row->address), &row->port);
	row->connected_at = server->connected_at;
	row->request_at = server->lent_at ? server->lent_at : server->connected_at;
	if (server->is_dedicated && server->user_context)
		fill_dedicated(row, server->user_context);
	row->is_close_needed = server->is_close_needed;
	row->pid = server->key.pid;
	row->statements = server_statement_count(server);
	if (!server->conn)
		return;
	put_connection(row, server->conn);
	conn_input(server->conn, &row->unread);
	row->unsent = conn_unsent(server->conn);
}

static void add_servers_of(struct worker *worker, const struct pool *pool,
			   const struct owners *owners, struct rows **rows)
{
	for (int state = 0; state < SERVER_CLOSED; state++) {
		LIST_EACH (&pool->servers[state], node) {
			struct socket_row *row = rows_add(rows);

			if (!row)
				return;
			fill_server(row, LIST_ENTRY(node, struct server, node), owners);
			row->worker = worker->index;
		}
	}
}

static void add_servers(struct worker *worker, struct rows **rows)
{
	struct owners owners;

	if (!owners_make(&owners, &worker->env)) {
		(*rows)->is_short = true;
		return;
	}
	LIST_EACH (pools_list(worker->env.pools), node)
		add_servers_of(worker, LIST_ENTRY(node, struct pool, node), &owners, rows);
	owners_free(&owners);
}

static void gather(struct worker *worker, bool clients, bool servers, void **result)
{
	struct rows *rows = rows_create(sizeof(struct socket_row));

	if (rows && clients)
		add_clients(worker, &rows);
	if (rows && servers)
		add_servers(worker, &rows);
	*result = rows;
}

void gather_clients(struct worker *worker, void *argument, void **result)
{
	(void)argument;
	gather(worker, true, false, result);
}

void gather_servers(struct worker *worker, void *argument, void **result)
{
	(void)argument;
	gather(worker, false, true, result);
}

void gather_sockets(struct worker *worker, void *argument, void **result)
{
	(void)argument;
	gather(worker, true, true, result);
}

int socket_row_compare(const void *a, const void *b)
{
	const struct socket_row *x = a;
	const struct socket_row *y = b;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

/* --- pools --- */

static void count_servers(struct pool_row *row, const struct pool *pool)
{
	row->active = pool->servers[SERVER_LENT].count;
	row->tested = pool->servers[SERVER_RESETTING].count;
	row->being_canceled = pool->servers[SERVER_PARKED].count;
	row->login = pool->servers[SERVER_CONNECTING].count + pool->servers[SERVER_LOGIN].count;
	LIST_EACH (&pool->servers[SERVER_IDLE], node) {
		if (is_used(LIST_ENTRY(node, struct server, node)))
			row->used++;
		else
			row->idle++;
	}
}

static bool add_pool(const struct pool *pool, const struct owners *owners, struct rows **rows)
{
	const struct session_identity *identity = owners_find(owners, pool);
	struct pool_row *row = rows_add(rows);

	if (!row)
		return false;
	copy_name(row->database, identity ? identity->database->name : pool->key.database);
	copy_name(row->user, pool->key.user);
	copy_name(row->cluster, pool->key.cluster_name);
	copy_name(row->node, pool->key.node_name);
	row->mode = identity ? identity->rules.mode : POOL_TRANSACTION;
	count_servers(row, pool);
	return true;
}

/* A row of its own for each client; those of one pool are folded together on the worker already.
 */
static bool add_client_to_pool(const struct client *client, struct rows **rows)
{
	const struct session_identity *identity = client->identity;
	struct pool_row *row = rows_add(rows);

	if (!row)
		return false;
	copy_name(row->database, identity->database->name);
	copy_name(row->user, identity->server_user);
	copy_name(row->cluster, identity->database->cluster_name);
	copy_name(row->node, node_name_of(client));
	row->mode = identity->rules.mode;
	row->max_wait = client_wait(client);
	if (client->state == CLIENT_WELCOMING || client->state == CLIENT_WAITING)
		row->clients_waiting = 1;
	else
		row->clients_active = 1;
	return true;
}

static bool add_pools(struct worker *worker, struct rows **rows)
{
	struct owners owners;
	bool is_whole = owners_make(&owners, &worker->env);

	LIST_EACH (pools_list(worker->env.pools), node) {
		const struct pool *pool = LIST_ENTRY(node, struct pool, node);

		/* SHOW CHANNELS and SHOW SERVERS have what listens. */
		is_whole =
			is_whole && (pool->key.is_for_listening || add_pool(pool, &owners, rows));
	}
	LIST_EACH (&worker->env.clients, node) {
		const struct client *client = LIST_ENTRY(node, struct client, node);

		is_whole = is_whole && (!client->conn || add_client_to_pool(client, rows));
	}
	owners_free(&owners);
	return is_whole;
}

void gather_pools(struct worker *worker, void *argument, void **result)
{
	struct rows *rows = rows_create(sizeof(struct pool_row));
	void *part = rows;

	(void)argument;
	*result = NULL;
	if (!rows)
		return;
	if (add_pools(worker, &rows)) {
		part = rows;
		*result = rows_merge(&part, 1, sizeof(struct pool_row), pool_row_compare,
				     pool_row_fold);
	}
	free(rows);
}

int pool_row_compare(const void *a, const void *b)
{
	const struct pool_row *x = a;
	const struct pool_row *y = b;
	int order = strcmp(x->database, y->database);

	if (order == 0)
		order = strcmp(x->user, y->user);
	if (order == 0)
		order = strcmp(x->cluster, y->cluster);
	return order ? order : strcmp(x->node, y->node);
}

void pool_row_fold(void *into_row, const void *from_row)
{
	struct pool_row *into = into_row;
	const struct pool_row *from = from_row;

	into->clients_active += from->clients_active;
	into->clients_waiting += from->clients_waiting;
	if (from->max_wait > into->max_wait)
		into->max_wait = from->max_wait;
	into->active += from->active;
	into->idle += from->idle;
	into->used += from->used;
	into->tested += from->tested;
	into->login += from->login;
	into->being_canceled += from->being_canceled;
}

/* --- databases --- */

static bool add_database(const struct session_database *database, struct rows **rows)
{
	struct database_row *row = rows_add(rows);

	if (!row)
		return false;
	copy_name(row->name, database->name);
	row->traffic = database->traffic;
	row->clients = database->clients;
	row->is_paused = database->is_paused;
	row->is_disabled = database->is_disabled;
	row->is_retired = database->is_retired;
	return true;
}

/* Servers of pools are rows of their own, folded into their database's later. */
static bool add_database_servers(const struct pool *pool, const struct owners *owners,
				 struct rows **rows)
{
	const struct session_identity *identity = owners_find(owners, pool);
	struct database_row *row;

	if (!identity)
		return true;
	row = rows_add(rows);
	if (!row)
		return false;
	copy_name(row->name, identity->database->name);
	row->servers = pool_server_count(pool);
	row->is_retired = identity->database->is_retired;
	return true;
}

void gather_databases(struct worker *worker, void *argument, void **result)
{
	struct rows *rows = rows_create(sizeof(struct database_row));
	struct owners owners;
	bool is_whole;

	(void)argument;
	*result = rows;
	if (!rows)
		return;
	is_whole = owners_make(&owners, &worker->env);
	LIST_EACH (&worker->env.databases, node)
		is_whole = is_whole &&
			   add_database(LIST_ENTRY(node, struct session_database, node), &rows);
	LIST_EACH (pools_list(worker->env.pools), node)
		is_whole = is_whole && add_database_servers(LIST_ENTRY(node, struct pool, node),
							    &owners, &rows);
	owners_free(&owners);
	rows->is_short |= !is_whole;
	*result = rows;
}

int database_row_compare(const void *a, const void *b)
{
	return strcmp(((const struct database_row *)a)->name,
		      ((const struct database_row *)b)->name);
}

void database_row_fold(void *into_row, const void *from_row)
{
	struct database_row *into = into_row;
	const struct database_row *from = from_row;

	traffic_merge(&into->traffic, &from->traffic);
	into->clients += from->clients;
	into->servers += from->servers;
	into->is_paused |= from->is_paused;
	into->is_disabled |= from->is_disabled;
	into->is_retired |= from->is_retired;
}

/* --- routes --- */

static bool add_routes(const struct session_database *database, struct rows **rows)
{
	for (int i = 0; i < ROUTE_REASON_COUNT * 3; i++) {
		uint64_t count = database->routes[i / 3][i % 3];
		struct route_row *row;

		if (count == 0)
			continue;
		row = rows_add(rows);
		if (!row)
			return false;
		copy_name(row->database, database->name);
		row->reason = (enum route_reason)(i / 3);
		row->target = i % 3;
		row->count = count;
	}
	return true;
}

void gather_routes(struct worker *worker, void *argument, void **result)
{
	struct rows *rows = rows_create(sizeof(struct route_row));

	(void)argument;
	if (rows) {
		LIST_EACH (&worker->env.databases, node) {
			if (!add_routes(LIST_ENTRY(node, struct session_database, node), &rows))
				break;
		}
	}
	*result = rows;
}

int route_row_compare(const void *a, const void *b)
{
	const struct route_row *x = a;
	const struct route_row *y = b;
	int order = strcmp(x->database, y->database);

	if (order == 0)
		order = x->target - y->target;
	return order ? order : (int)x->reason - (int)y->reason;
}

void route_row_fold(void *into, const void *from)
{
	((struct route_row *)into)->count += ((const struct route_row *)from)->count;
}

/* --- the chain --- */

void gather_stages(struct worker *worker, void *argument, void **result)
{
	struct rows *rows = rows_create(sizeof(struct stage_row));

	(void)argument;
	for (int i = 0; rows && i < STAGE_COUNT; i++) {
		const struct stage_stats *stats = &worker->env.stages[i];
		struct stage_row *row = rows_add(&rows);

		if (row)
			*row = (struct stage_row){ i,
						   stats->entered,
						   stats->passed,
						   stats->waited,
						   stats->answered,
						   stats->failed,
						   stats->broken,
						   stats->time };
	}
	*result = rows;
}

int stage_row_compare(const void *a, const void *b)
{
	return ((const struct stage_row *)a)->stage - ((const struct stage_row *)b)->stage;
}

void stage_row_fold(void *into_row, const void *from_row)
{
	struct stage_row *into = into_row;
	const struct stage_row *from = from_row;

	into->entered += from->entered;
	into->passed += from->passed;
	into->waited += from->waited;
	into->answered += from->answered;
	into->failed += from->failed;
	into->broken += from->broken;
	into->time += from->time;
}

/* --- pins --- */

static uint64_t count_pinned(struct worker *worker, int reason)
{
	uint64_t count = 0;

	LIST_EACH (&worker->env.clients, node) {
		const struct client *client = LIST_ENTRY(node, struct client, node);

		count += client->pins.held >> reason & 1;
	}
	return count;
}

void gather_pins(struct worker *worker, void *argument, void **result)
{
	struct rows *rows = rows_create(sizeof(struct pin_row));

	(void)argument;
	for (int i = PIN_NONE + 1; rows && i < PIN_COUNT; i++) {
		const struct pin_stats *stats = &worker->env.pins[i];
		struct pin_row *row = rows_add(&rows);

		if (row)
			*row = (struct pin_row){ i, stats->begun, stats->ended,
						 count_pinned(worker, i) };
	}
	*result = rows;
}

int pin_row_compare(const void *a, const void *b)
{
	return ((const struct pin_row *)a)->reason - ((const struct pin_row *)b)->reason;
}

void pin_row_fold(void *into_row, const void *from_row)
{
	struct pin_row *into = into_row;
	const struct pin_row *from = from_row;

	into->begun += from->begun;
	into->ended += from->ended;
	into->sessions += from->sessions;
}

/* --- users --- */

static void add_user(struct rows **rows, const char *name, size_t clients, size_t servers)
{
	struct user_row *row = rows_add(rows);

	if (!row)
		return;
	copy_name(row->name, name);
	row->clients = clients;
	row->servers = servers;
}

static void add_identity_user(void *context, const void *key, size_t key_length, void *value)
{
	const struct session_identity *identity = value;

	(void)key;
	(void)key_length;
	add_user(context, identity->user, identity->clients, 0);
}

void gather_users(struct worker *worker, void *argument, void **result)
{
	struct rows *rows = rows_create(sizeof(struct user_row));

	(void)argument;
	if (rows) {
		strmap_each(worker->env.identities, add_identity_user, &rows);
		LIST_EACH (pools_list(worker->env.pools), node) {
			const struct pool *pool = LIST_ENTRY(node, struct pool, node);

			add_user(&rows, pool->key.user, 0, pool_server_count(pool));
		}
	}
	*result = rows;
}

int user_row_compare(const void *a, const void *b)
{
	return strcmp(((const struct user_row *)a)->name, ((const struct user_row *)b)->name);
}

void user_row_fold(void *into, const void *from)
{
	((struct user_row *)into)->clients += ((const struct user_row *)from)->clients;
	((struct user_row *)into)->servers += ((const struct user_row *)from)->servers;
}

/* --- channels --- */

static void add_channel(void *context, const struct channel_home *home, const char *name,
			size_t sessions, bool is_heard)
{
	struct channel_row *row = rows_add(context);

	if (!row)
		return;
	copy_name(row->cluster, home->cluster);
	copy_name(row->database, home->database);
	copy_name(row->name, name);
	row->sessions = sessions;
	row->is_heard = is_heard;
}

void gather_channels(struct worker *worker, void *argument, void **result)
{
	struct rows *rows = rows_create(sizeof(struct channel_row));

	(void)argument;
	if (rows)
		channels_each(&worker->env, add_channel, &rows);
	*result = rows;
}

int channel_row_compare(const void *a, const void *b)
{
	const struct channel_row *x = a;
	const struct channel_row *y = b;
	int order = strcmp(x->cluster, y->cluster);

	order = order ? order : strcmp(x->database, y->database);
	return order ? order : strcmp(x->name, y->name);
}

void channel_row_fold(void *into, const void *from)
{
	((struct channel_row *)into)->sessions += ((const struct channel_row *)from)->sessions;
	((struct channel_row *)into)->is_heard &= ((const struct channel_row *)from)->is_heard;
}

/* --- lists --- */

static struct list_row *add_list(struct rows **rows, enum list_kind kind, size_t count)
{
	struct list_row *row = rows_add(rows);

	if (!row)
		return NULL;
	row->kind = kind;
	row->count = count;
	return row;
}

static void add_named_list(struct rows **rows, enum list_kind kind, const char *name)
{
	struct list_row *row = add_list(rows, kind, 0);

	if (row)
		text_clean(row->name, sizeof(row->name), name);
}

static void add_pool_list(struct rows **rows, const struct pool *pool)
{
	struct list_row *row = add_list(rows, LIST_POOL, 0);
	size_t idle = pool->servers[SERVER_IDLE].count;

	if (row) {
		copy_name(row->name, pool->key.cluster_name);
		copy_name(row->name + strlen(row->name), pool->key.node_name);
		copy_name(row->name + strlen(row->name), pool->key.database);
		copy_name(row->name + strlen(row->name), pool->key.user);
	}
	add_list(rows, LIST_FREE_SERVERS, idle);
	add_list(rows, LIST_USED_SERVERS, pool_server_count(pool) - idle);
}

static void add_identity_list(void *context, const void *key, size_t key_length, void *value)
{
	(void)key;
	(void)key_length;
	add_named_list(context, LIST_USER, ((const struct session_identity *)value)->user);
}

void gather_lists(struct worker *worker, void *argument, void **result)
{
	struct rows *rows = rows_create(sizeof(struct list_row));

	(void)argument;
	*result = rows;
	if (!rows)
		return;
	for (int kind = 0; kind < LIST_KIND_COUNT; kind++) {
		if (kind >= LIST_CLIENTS)
			add_list(&rows, (enum list_kind)kind, 0);
	}
	LIST_EACH (&worker->env.databases, node)
		add_named_list(&rows, LIST_DATABASE,
			       LIST_ENTRY(node, struct session_database, node)->name);
	strmap_each(worker->env.identities, add_identity_list, &rows);
	LIST_EACH (pools_list(worker->env.pools), node)
		add_pool_list(&rows, LIST_ENTRY(node, struct pool, node));
	add_list(&rows, LIST_CLIENTS, worker->env.clients.count);
	add_list(&rows, LIST_LOGINS, worker->env.logins.count);
	*result = rows;
}

int list_row_compare(const void *a, const void *b)
{
	const struct list_row *x = a;
	const struct list_row *y = b;
	int order = (int)x->kind - (int)y->kind;

	return order ? order : strcmp(x->name, y->name);
}

void list_row_fold(void *into, const void *from)
{
	((struct list_row *)into)->count += ((const struct list_row *)from)->count;
}

/* --- memory --- */

static void add_memory(struct rows **rows, const char *name, size_t size, size_t used,
		       size_t free_ones, size_t total)
{
	struct memory_row *row = rows_add(rows);

	if (row)
		*row = (struct memory_row){ name, size, used, free_ones, total };
}

static void add_connections(struct worker *worker, struct rows **rows)
{
	size_t buffers = 0;
	size_t connections = 0;
	size_t servers = 0;

	LIST_EACH (&worker->env.clients, node) {
		const struct client *client = LIST_ENTRY(node, struct client, node);

		connections += client->conn != NULL;
		buffers += client->conn ? conn_memory(client->conn) : 0;
	}
	LIST_EACH (pools_list(worker->env.pools), node) {
		const struct pool *pool = LIST_ENTRY(node, struct pool, node);

		servers += pool_server_count(pool);
		for (int state = 0; state < SERVER_CLOSED; state++) {
			LIST_EACH (&pool->servers[state], at) {
				const struct server *server = LIST_ENTRY(at, struct server, node);

				connections += server->conn != NULL;
				buffers += server->conn ? conn_memory(server->conn) : 0;
			}
		}
	}
	add_memory(rows, "connection", 0, connections, 0, buffers);
	add_memory(rows, "server", sizeof(struct server), servers, 0,
		   servers * sizeof(struct server));
}

void gather_memory(struct worker *worker, void *argument, void **result)
{
	struct rows *rows = rows_create(sizeof(struct memory_row));
	const struct session_env *env = &worker->env;
	size_t clients = env->clients.count;
	size_t databases = env->databases.count;
	size_t identities = strmap_count(env->identities);
	size_t pools = pools_list(env->pools)->count;
	size_t requests = 0;
	struct judge_stats judge;

	(void)argument;
	*result = rows;
	if (!rows)
		return;
	for (const struct request *at = env->free_requests; at; at = at->next_free)
		requests++;
	judge_stats_get(env->judge, &judge);
	add_memory(&rows, "client", sizeof(struct client), clients, 0,
		   clients * sizeof(struct client));
	add_connections(worker, &rows);
	add_memory(&rows, "database", sizeof(struct session_database), databases, 0,
		   databases * sizeof(struct session_database));
	add_memory(&rows, "identity", sizeof(struct session_identity), identities, 0,
		   identities * sizeof(struct session_identity) + strmap_bytes(env->identities));
	add_memory(&rows, "pool", sizeof(struct pool), pools, 0, pools * sizeof(struct pool));
	add_memory(&rows, "request", sizeof(struct request), 0, requests,
		   requests * sizeof(struct request));
	add_memory(&rows, "shape_cache", 0, judge.cache_entries, 0, judge.cache_bytes);
	add_memory(&rows, "statement", 0, statement_cache_count(env->statements), 0,
		   statement_cache_bytes(env->statements));
	*result = rows;
}

int memory_row_compare(const void *a, const void *b)
{
	return strcmp(((const struct memory_row *)a)->name, ((const struct memory_row *)b)->name);
}

void memory_row_fold(void *into_row, const void *from_row)
{
	struct memory_row *into = into_row;
	const struct memory_row *from = from_row;

	into->used += from->used;
	into->free += from->free;
	into->total += from->total;
}
