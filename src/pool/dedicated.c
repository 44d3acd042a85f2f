/*
 * Servers of one session alone, logged in with start-up parameters of its own: what replication
 * connections need (pool_borrow_dedicated() in pool/pool.h). They take from the pool's budget and
 * are in its lists like any other, but go from the log-in straight to who waits for them, and
 * from there to their end. The worker's thread runs all of it.
 */
#include <string.h>

#include "base/log.h"
#include "base/panic.h"
#include "pool/pool_private.h"

static struct pool_waiter *waiter_of(struct list_node *node)
{
	return LIST_ENTRY(node, struct pool_waiter, node);
}

static struct server *some_idle(struct pool *pool)
{
	const struct list *idle = &pool->servers[SERVER_IDLE];

	return list_is_empty(idle) ? NULL : LIST_ENTRY(idle->head.prev, struct server, node);
}

void dedicated_make_room(struct pool *pool)
{
	struct server *server = some_idle(pool);

	if (server)
		server_close(server, "makes room for a server of one session alone");
}

/*
 * The budget is spent. An idle server here gives its part up at once; one of another worker when
 * that worker has read its mail, and one of another pool (max_db_connections) at its next tick:
 * then our own tick finds the budget.
 */
static bool open_in_place_of_idle(struct pool *pool, struct pool_waiter *waiter)
{
	struct pool_env *env = pool->env;
	int other;

	if (some_idle(pool)) {
		dedicated_make_room(pool);
		return server_open_for(pool, waiter);
	}
	other = pool_share_find_idle(pool->share, env->n_workers, env->worker);
	if (other != -1)
		pool_post(pool, other, POOL_MAIL_ROOM, NULL);
	return false;
}

void dedicated_settle(struct pool *pool)
{
	LIST_EACH_SAFE (&pool->dedicated, node) {
		struct pool_waiter *waiter = waiter_of(node);

		if (pool->is_paused)
			return;
		if (!waiter->server && !server_open_for(pool, waiter) && waiter->pool &&
		    !open_in_place_of_idle(pool, waiter))
			return; /* who came later does not overtake */
	}
}

enum pool_borrowing pool_borrow_dedicated(struct pool *pool, struct pool_waiter *waiter,
					  const struct bytes *startup)
{
	waiter->startup = startup;
	pool_enqueue(pool, waiter);
	pool_settle(pool);
	return POOL_WAITING;
}

static struct pool_waiter *part(struct server *server)
{
	struct pool_waiter *waiter = server->waiter;

	server->waiter = NULL;
	if (waiter)
		waiter->server = NULL;
	return waiter;
}

void dedicated_arrived(struct server *server)
{
	struct pool_waiter *waiter = part(server);

	ASSERT(waiter);
	pool_dequeue(waiter);
	server_step(server, SERVER_EV_LEND);
	server->lent_at = clock_now();
	waiter->served(waiter, server);
}

void dedicated_fail(struct pool *pool, struct pool_waiter *waiter, const char *sqlstate,
		    const char *why)
{
	struct log_ctx ctx = { .kind = "pool",
			       .user = pool->key.user,
			       .database = pool->key.database,
			       .node = pool->key.node_name };
	struct pool_failure failure;

	pool_failure_set(&failure, sqlstate, "connect_failed",
			 "pointsman: cannot connect to node \"%s\": %s", pool->key.node_name,
			 why);
	log_warnx(&ctx, "cannot connect for one session alone: %s (%s)", why, sqlstate);
	pool_dequeue(waiter);
	waiter->failed(waiter, &failure);
}

void dedicated_failed(struct server *server, const char *sqlstate, const char *why,
		      bool is_to_try_again)
{
	struct pool_waiter *waiter = part(server);

	if (waiter && !is_to_try_again)
		dedicated_fail(server->pool, waiter, sqlstate, why);
}

void dedicated_forget(struct pool_waiter *waiter)
{
	struct server *server = waiter->server;

	if (!server)
		return;
	part(server);
	server_close(server, "nobody waits for it any more");
}

void dedicated_fail_all(struct pool *pool, const struct pool_failure *failure)
{
	struct pool_failure copy = *failure;
	struct list_node *first;

	while ((first = list_first(&pool->dedicated)) != NULL) {
		struct pool_waiter *waiter = waiter_of(first);

		pool_dequeue(waiter);
		dedicated_forget(waiter);
		waiter->failed(waiter, &copy);
	}
}

size_t dedicated_opening(const struct pool *pool)
{
	size_t count = 0;

	LIST_EACH (&pool->dedicated, node)
		count += waiter_of(node)->server != NULL;
	return count;
}
