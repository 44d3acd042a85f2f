/*
 * The console's commands on a worker; see admin/order.h. Runs on the worker's thread, between its
 * events.
 */
#include "admin/order.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "admin/owners.h"
#include "base/log.h"
#include "pool/pool.h"
#include "session/client.h"

#define KILLED "pointsman: terminating connection due to administrator command"

struct obeying {
	struct worker *worker;
	const struct order *order;
	struct order_report *report;
	struct owners owners;
};

/* --- what is done to a pool --- */

static void count_pool(const struct pool *pool, struct order_report *report)
{
	/* Of all workers, and so also those on their way from one to another. */
	report->servers += (unsigned)atomic_load(&pool->share->servers);
	for (int state = 0; state < SERVER_CLOSED; state++) {
		LIST_EACH (&pool->servers[state], node)
			report->closing += LIST_ENTRY(node, struct server, node)->is_close_needed;
	}
}

static void do_to_pool(struct pool *pool, const struct obeying *o)
{
	switch (o->order->kind) {
	case ORDER_PAUSE:
	case ORDER_AWAIT_PAUSE: pool_pause(pool, true); break;
	case ORDER_RESUME: pool_pause(pool, false); break;
	case ORDER_RECONNECT: pool_reconnect(pool); break;
	case ORDER_KILL:
		pool_pause(pool, true);
		pool_kill(pool, "killed by administrator command");
		break;
	default: break;
	}
	count_pool(pool, o->report);
}

static void do_to_pools(const struct session_database *database, const struct obeying *o)
{
	LIST_EACH (pools_list(o->worker->env.pools), node) {
		struct pool *pool = LIST_ENTRY(node, struct pool, node);

		/* What listens is not in use as others are, and its end would end sessions. */
		if (pool->key.is_for_listening && o->order->kind != ORDER_KILL)
			continue;
		if (owners_have(&o->owners, pool, database))
			do_to_pool(pool, o);
	}
}

/* --- what is done to a database --- */

static unsigned close_clients(const struct session_database *database, struct session_env *env)
{
	unsigned closed = 0;

	LIST_EACH_SAFE (&env->clients, node) {
		struct client *client = LIST_ENTRY(node, struct client, node);

		if (client->identity->database != database || client->state == CLIENT_GONE)
			continue;
		client_close(client, CLOSE_ADMIN, "57P01", KILLED);
		closed++;
	}
	return closed;
}

static void do_to_database(struct session_database *database, struct obeying *o)
{
	o->report->databases++;
	o->report->paused += database->is_paused;
	o->report->disabled += database->is_disabled;
	switch (o->order->kind) {
	case ORDER_PAUSE: database->is_paused = true; break;
	case ORDER_RESUME: database->is_paused = false; break;
	case ORDER_DISABLE: database->is_disabled = true; return;
	case ORDER_ENABLE: database->is_disabled = false; return;
	case ORDER_AWAIT_PAUSE:
		if (!database->is_paused) /* resumed meanwhile: nothing to wait for */
			return;
		break;
	case ORDER_KILL:
		database->is_paused = true; /* first, so that nobody borrows anew */
		o->report->clients += close_clients(database, &o->worker->env);
		break;
	default: break;
	}
	do_to_pools(database, o);
}

/* Of this name, whether it is in the configuration still or is made now by its entry. */
static struct session_database *find_database(struct session_env *env, const char *name)
{
	LIST_EACH (&env->databases, node) {
		struct session_database *database =
			LIST_ENTRY(node, struct session_database, node);

		if (strcmp(database->name, name) == 0)
			return database;
	}
	return env->ops->database(env->context, name);
}

/* Those that are configured get their books now, so that a state can be set before anybody uses
 * them. */
static void make_databases(struct worker *worker)
{
	const struct config *config = worker->snapshot->config;

	for (size_t i = 0; i < config->n_databases; i++) {
		if (strcmp(config->databases[i].name, "*") != 0)
			find_database(&worker->env, config->databases[i].name);
	}
}

static void do_to_databases(struct obeying *o)
{
	struct session_env *env = &o->worker->env;
	struct session_database *database;

	if (!o->order->is_for_all) {
		database = find_database(env, o->order->database);
		if (database)
			do_to_database(database, o);
		return;
	}
	make_databases(o->worker);
	if (o->order->kind == ORDER_PAUSE || o->order->kind == ORDER_KILL)
		env->is_paused = true;
	else if (o->order->kind == ORDER_RESUME)
		env->is_paused = false;
	LIST_EACH (&env->databases, node)
		do_to_database(LIST_ENTRY(node, struct session_database, node), o);
}

/* --- clients --- */

static void kill_client(struct obeying *o)
{
	LIST_EACH (&o->worker->env.clients, node) {
		struct client *client = LIST_ENTRY(node, struct client, node);

		if (client->id != o->order->client || client->state == CLIENT_GONE)
			continue;
		client_close(client, CLOSE_ADMIN, "57P01", KILLED);
		o->report->clients++;
		return;
	}
}

void order_obey(struct worker *worker, void *order, void **result)
{
	struct obeying o = { .worker = worker, .order = order };

	*result = o.report = calloc(1, sizeof(*o.report));
	if (!o.report)
		return;
	if (!owners_make(&o.owners, &worker->env)) {
		free(o.report);
		*result = NULL;
		return;
	}
	if (o.order->kind == ORDER_KILL_CLIENT)
		kill_client(&o);
	else
		do_to_databases(&o);
	owners_free(&o.owners);
}

void order_report_add(struct order_report *into, const struct order_report *from)
{
	into->databases += from->databases;
	into->paused += from->paused;
	into->disabled += from->disabled;
	into->clients += from->clients;
	into->servers += from->servers;
	into->closing += from->closing;
}
