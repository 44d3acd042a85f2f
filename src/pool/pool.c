/*
 * Lending and returning servers; see pool/pool.h. One worker's thread runs all of it; what
 * workers share is in share.c. Whatever may serve a waiter ends in pool_settle(), which does its
 * work from the loop, so that no borrower is called back out of another's return.
 */
#include "pool/pool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/panic.h"
#include "base/strmap.h"
#include "pool/pool_private.h"
#include "wire/message.h"

/* Waiters of the own worker go first unless another's has waited this much longer. */
#define FAIRNESS_TOLERANCE (2 * USEC_PER_MS)
/* How many idle servers are looked at for one that has the wanted settings. */
#define AFFINITY_LOOKS     8

struct pools {
	struct pool_env *env;
	struct list list;
	struct strmap *by_key;
};

struct server_mail {
	struct mail mail;
	struct pool_key key;   /* its own copy: the sender's pool may go */
	struct server *server; /* POOL_MAIL_SERVER */
	/* One reference: whose budget the server is in, should the receiver have no such pool. */
	struct pool_share *share;
	struct pool_registry *registry;
};

static struct pool_share_slot *own_slot(struct pool *pool)
{
	return &pool->share->slots[pool->env->worker];
}

static struct log_ctx pool_ctx(const struct pool *pool)
{
	return (struct log_ctx){ .kind = "pool",
				 .user = pool->key.user,
				 .database = pool->key.database,
				 .node = pool->key.node_name };
}

/* --- mail --- */

static bool copy_key(struct pool_key *to, const struct pool_key *from)
{
	*to = *from;
	to->node_name = strdup(from->node_name);
	to->cluster_name = strdup(from->cluster_name);
	to->database = strdup(from->database);
	to->user = strdup(from->user);
	return to->node_name && to->cluster_name && to->database && to->user;
}

static void free_key(struct pool_key *key)
{
	free((char *)key->node_name);
	free((char *)key->cluster_name);
	free((char *)key->database);
	free((char *)key->user);
}

static void free_mail(struct server_mail *mail)
{
	if (mail->share)
		pool_share_put(mail->registry, &mail->share);
	free_key(&mail->key);
	free(mail);
}

bool pool_post(struct pool *pool, int worker, enum pool_mail_kind kind, struct server *server)
{
	struct server_mail *mail = calloc(1, sizeof(*mail));

	if (!mail)
		return false;
	if (!copy_key(&mail->key, &pool->key)) {
		free_mail(mail);
		return false;
	}
	mail->mail.kind = kind;
	mail->server = server;
	mail->share = pool->share;
	pool_share_ref(mail->share);
	mail->registry = pool->env->registry;
	pool->env->post(pool->env->context, worker, &mail->mail);
	return true;
}

/* --- gauges --- */

static void publish_waiters(struct pool *pool)
{
	struct list_node *first = list_first(&pool->waiters);
	struct pool_waiter *waiter = first ? LIST_ENTRY(first, struct pool_waiter, node) : NULL;

	atomic_store(&own_slot(pool)->oldest_wait, waiter ? waiter->since : 0);
}

void pool_on_state(struct server *server, enum server_state from)
{
	struct pool *pool = server->pool;
	enum server_state to = server->state;

	list_remove(&pool->servers[from], &server->node);
	if (to == SERVER_IDLE && !pool->env->limits.server_round_robin)
		list_push_front(&pool->servers[to], &server->node);
	else
		list_push_back(&pool->servers[to], &server->node);
	if (from == SERVER_IDLE || to == SERVER_IDLE)
		atomic_store(&own_slot(pool)->idle, (int)pool->servers[SERVER_IDLE].count);
	if (to == SERVER_LENT)
		atomic_fetch_add(&pool->load->in_flight, 1);
	else if (from == SERVER_LENT)
		atomic_fetch_sub(&pool->load->in_flight, 1);
	if (to == SERVER_CLOSED) {
		pool_share_give_back(pool->share);
		pool_settle(pool);
	}
}

static struct list *queue_of(struct pool *pool, const struct pool_waiter *waiter)
{
	return waiter->startup ? &pool->dedicated : &pool->waiters;
}

void pool_enqueue(struct pool *pool, struct pool_waiter *waiter)
{
	waiter->pool = pool;
	waiter->since = clock_now();
	list_push_back(queue_of(pool, waiter), &waiter->node);
	atomic_fetch_add(&pool->load->waiting, 1);
	publish_waiters(pool);
}

void pool_dequeue(struct pool_waiter *waiter)
{
	struct pool *pool = waiter->pool;

	list_remove(queue_of(pool, waiter), &waiter->node);
	waiter->pool = NULL;
	atomic_fetch_sub(&pool->load->waiting, 1);
	publish_waiters(pool);
}

/* --- settling --- */

static void lend(struct server *server)
{
	server_step(server, SERVER_EV_LEND);
	server->is_checked = false;
	server->lent_at = clock_now();
}

static size_t opening(const struct pool *pool)
{
	return pool->servers[SERVER_CONNECTING].count + pool->servers[SERVER_LOGIN].count +
	       pool->servers[SERVER_RESETTING].count - dedicated_opening(pool);
}

/* For so long an answer to the check is good enough. */
#define CHECK_LIFE USEC_PER_SEC

/* Was it idle for so long that it is checked before it is lent? */
static bool needs_check(const struct server *server)
{
	usec idle = clock_now() - server->state_since;

	if (server->is_checked && idle < CHECK_LIFE)
		return false;
	return idle >= server->pool->env->limits.server_check_delay;
}

/*
 * An idle server, with the wanted settings if one is near. Dead ones are closed on the way. Where
 * all that are alive are to be checked there is none; but unless `needed` of them are on their
 * way to the waiters already, one of them is sent off to be checked.
 */
static struct server *choose_idle(struct pool *pool, const struct settings *wanted, size_t needed)
{
	bool is_query = pool->env->limits.check_query[0] != '\0';
	struct server *chosen = NULL;
	struct server *unchecked = NULL;
	int looks = 0;

	LIST_EACH_SAFE (&pool->servers[SERVER_IDLE], node) {
		struct server *server = LIST_ENTRY(node, struct server, node);

		if (needs_check(server) && conn_is_stale(server->conn)) {
			server_close(server, "found dead when it was to be lent");
			continue;
		}
		if (is_query && needs_check(server)) {
			unchecked = unchecked ? unchecked : server;
			continue;
		}
		if (!chosen || settings_are_equal(server->settings, wanted))
			chosen = server;
		if (settings_are_equal(chosen->settings, wanted) || ++looks == AFFINITY_LOOKS)
			break;
	}
	if (!chosen && unchecked && opening(pool) < needed)
		server_step(unchecked, SERVER_EV_CHECK);
	return chosen;
}

static void serve_first_waiter(struct pool *pool, struct server *server)
{
	struct pool_waiter *waiter =
		LIST_ENTRY(list_first(&pool->waiters), struct pool_waiter, node);

	pool_dequeue(waiter);
	lend(server);
	waiter->served(waiter, server);
}

/* Sends an idle server to a worker whose waiter has waited longer. */
static void offer(struct pool *pool, struct server *server, int worker)
{
	server_step(server, SERVER_EV_OFFER);
	list_remove(&pool->servers[SERVER_MOVING], &server->node);
	conn_detach(server->conn);
	atomic_store(&pool->share->slots[worker].is_offered, true);
	if (pool_post(pool, worker, POOL_MAIL_SERVER, server))
		return;
	atomic_store(&pool->share->slots[worker].is_offered, false);
	list_push_back(&pool->servers[SERVER_MOVING], &server->node);
	if (!conn_attach(server->conn, pool->env->loop))
		server_close(server, "out of memory");
	else
		server_step(server, SERVER_EV_ARRIVE);
}

static void give_idle_servers(struct pool *pool)
{
	struct pool_env *env = pool->env;

	while (!pool->is_paused && !list_is_empty(&pool->servers[SERVER_IDLE])) {
		int worker = pool_share_next_waiter(pool->share, env->n_workers, env->worker,
						    FAIRNESS_TOLERANCE);
		bool is_own = worker == env->worker;
		struct server *server = NULL;

		if (worker != -1)
			server = choose_idle(pool, NULL, is_own ? pool->waiters.count : 1);
		if (!server)
			return;
		if (is_own)
			serve_first_waiter(pool, server);
		else
			offer(pool, server, worker);
	}
}

static bool may_connect(const struct pool *pool)
{
	return !pool->is_paused && clock_now() >= pool->retry_at;
}

/* The first waiter that no server is on the way to yet. */
static const struct pool_waiter *next_waiter(const struct pool *pool)
{
	const struct list_node *node = pool->waiters.head.next;

	for (size_t n = opening(pool); n > 0; n--)
		node = node->next;
	return LIST_ENTRY(node, struct pool_waiter, node);
}

/* How many servers there may be if one more is opened for that waiter. */
static int ceiling_for(const struct pool *pool, const struct pool_waiter *waiter)
{
	usec timeout = pool->env->limits.reserve_pool_timeout;
	int limit = atomic_load(&pool->share->limit);

	if (timeout <= 0 || clock_now() - waiter->since < timeout)
		return limit;
	return limit + atomic_load(&pool->share->reserve);
}

/* Opens as many as have nobody on the way to them yet, while the budget lasts. */
static void connect_for_waiters(struct pool *pool)
{
	while (may_connect(pool) && pool->waiters.count > opening(pool)) {
		if (!server_open(pool, ceiling_for(pool, next_waiter(pool))))
			return;
		if (atomic_load(&pool->share->servers) > atomic_load(&pool->share->limit)) {
			struct log_ctx ctx = pool_ctx(pool);

			log_warnx(&ctx, "taking a server of the reserve");
		}
	}
}

/* What this worker cannot do, others may: give an idle server, or use the budget. */
static void call_on_others(struct pool *pool)
{
	struct pool_env *env = pool->env;
	int other;

	if (pool->waiters.count > opening(pool)) {
		other = pool_share_find_idle(pool->share, env->n_workers, env->worker);
		if (other != -1)
			pool_post(pool, other, POOL_MAIL_WANTED, NULL);
		return;
	}
	if (!list_is_empty(&pool->waiters) ||
	    atomic_load(&pool->share->servers) >= atomic_load(&pool->share->limit))
		return;
	other = pool_share_next_waiter(pool->share, env->n_workers, env->worker, 0);
	if (other != -1 && other != env->worker)
		pool_post(pool, other, POOL_MAIL_BUDGET, NULL);
}

static void settle(void *context)
{
	struct pool *pool = context;

	dedicated_settle(pool);
	give_idle_servers(pool);
	connect_for_waiters(pool);
	call_on_others(pool);
}

void pool_settle(struct pool *pool)
{
	loop_defer(pool->env->loop, &pool->settling, settle, pool);
}

/* --- connecting --- */

static void fail_waiters(struct pool *pool, const struct pool_failure *failure)
{
	struct pool_failure copy = *failure;
	struct list_node *first;

	while ((first = list_first(&pool->waiters)) != NULL) {
		struct pool_waiter *waiter = LIST_ENTRY(first, struct pool_waiter, node);

		pool_dequeue(waiter);
		waiter->failed(waiter, &copy);
	}
}

/* Is there any server, here or elsewhere, that may still come to the waiters? */
static bool has_hope(const struct pool *pool)
{
	return atomic_load(&pool->share->servers) > 0;
}

void pool_failure_set(struct pool_failure *failure, const char *sqlstate, const char *reason,
		      const char *format, ...)
{
	va_list arguments;

	failure->reason = reason;
	snprintf(failure->sqlstate, sizeof(failure->sqlstate), "%s", sqlstate);
	va_start(arguments, format);
	vsnprintf(failure->message, sizeof(failure->message), format, arguments);
	va_end(arguments);
}

void pool_on_connect_failed(struct pool *pool, const char *sqlstate, const char *reason,
			    const char *message)
{
	struct pool_env *env = pool->env;
	struct log_ctx ctx = pool_ctx(pool);

	pool_failure_set(&pool->failure, sqlstate, reason,
			 "pointsman: cannot connect to node \"%s\": %s", pool->key.node_name,
			 message);
	log_warnx(&ctx, "cannot connect: %s (%s)", message, sqlstate);
	pool->retry_at = clock_now() + env->limits.server_login_retry;
	pool->is_protocol_old = false; /* it may come back as a newer server */
	env->suspect(env->context, &pool->key);
	/* Servers in use will come back: then the waiters go on waiting for them. */
	if (!has_hope(pool))
		fail_waiters(pool, &pool->failure);
}

/* No failure: whoever waits, waits for the next attempt. */
void pool_on_protocol_refused(struct pool *pool, const char *message)
{
	struct log_ctx ctx = pool_ctx(pool);

	log_info(&ctx, "the node does not know protocol 3.%d (%s): asking it for 3.0",
		 pool->env->limits.server_protocol_minor, message);
	pool->is_protocol_old = true;
	pool_settle(pool);
}

void pool_on_connected(struct pool *pool)
{
	pool->failure.message[0] = '\0';
	pool->retry_at = 0;
}

/* --- lending and returning --- */

enum pool_borrowing pool_borrow(struct pool *pool, struct pool_waiter *waiter,
				const struct settings *wanted, struct server **server_out,
				struct pool_failure *failure_out)
{
	struct server *server = NULL;

	*server_out = NULL;
	if (pool->failure.message[0] && !may_connect(pool) && !pool->is_paused &&
	    !has_hope(pool)) {
		*failure_out = pool->failure;
		return POOL_REFUSED;
	}
	if (list_is_empty(&pool->waiters) && !pool->is_paused)
		server = choose_idle(pool, wanted, 0);
	if (server) {
		lend(server);
		*server_out = server;
		return POOL_LENT;
	}
	pool_enqueue(pool, waiter);
	pool_settle(pool);
	return POOL_WAITING;
}

void pool_forget(struct pool_waiter *waiter)
{
	if (!waiter->pool)
		return;
	pool_dequeue(waiter);
	dedicated_forget(waiter);
}

void pool_set_user(struct server *server, const struct server_user *user, void *context)
{
	server->user = user;
	server->user_context = context;
}

void pool_return(struct server **server_pointer, enum pool_return_kind kind)
{
	struct server *server = *server_pointer;

	*server_pointer = NULL;
	pool_set_user(server, NULL, NULL);
	ASSERT(kind != POOL_RETURN_CLEAN || server->txn_status == TXN_IDLE);
	ASSERT(!server->is_dedicated);
	server->is_reset_wanted = kind == POOL_RETURN_RESET;
	if (conn_is_paused(server->conn))
		conn_resume(server->conn);
	if (!list_is_empty(&server->cancels))
		server_step(server, SERVER_EV_RETURN_HOT);
	else if (kind != POOL_RETURN_CLEAN)
		server_step(server, SERVER_EV_RETURN_RESET);
	else
		server_step(server, SERVER_EV_RETURN_CLEAN);
}

void pool_discard(struct server **server_pointer, const char *why)
{
	struct server *server = *server_pointer;

	*server_pointer = NULL;
	pool_set_user(server, NULL, NULL);
	server_close(server, why);
}

/* --- pools --- */

struct pools *pools_create(struct pool_env *env)
{
	struct pools *pools = calloc(1, sizeof(*pools));

	if (!pools)
		return NULL;
	pools->env = env;
	list_init(&pools->list);
	pools->by_key = strmap_create();
	if (pools->by_key)
		return pools;
	free(pools);
	return NULL;
}

static void free_pool(struct pool *pool)
{
	loop_defer_cancel(pool->env->loop, &pool->settling);
	if (pool->share)
		pool_share_put(pool->env->registry, &pool->share);
	free_key(&pool->key);
	loop_defer_free(pool->env->loop, pool);
}

static struct pool *make_pool(struct pools *pools, const struct pool_key *key)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return NULL;
	pool->pools = pools;
	pool->env = pools->env;
	for (int i = 0; i < SERVER_STATE_COUNT; i++)
		list_init(&pool->servers[i]);
	list_init(&pool->waiters);
	list_init(&pool->dedicated);
	if (copy_key(&pool->key, key))
		pool->share = pool_share_get(pools->env->registry, key);
	pool->load = pool_node_load_get(pools->env->registry, key->cluster_name, key->node_name);
	if (pool->share && pool->load)
		return pool;
	free_pool(pool);
	return NULL;
}

struct pool *pools_find(const struct pools *pools, const struct pool_key *key)
{
	struct bytes text = { 0 };
	struct pool *pool = NULL;

	if (pool_key_text(key, &text))
		pool = strmap_get(pools->by_key, bytes_begin(&text), bytes_length(&text));
	bytes_free(&text);
	return pool;
}

static struct pool *add_pool(struct pools *pools, const struct pool_key *key)
{
	struct bytes text = { 0 };
	struct pool *pool = make_pool(pools, key);

	if (!pool)
		return NULL;
	if (!pool_key_text(key, &text) ||
	    !strmap_set(pools->by_key, bytes_begin(&text), bytes_length(&text), pool)) {
		free_pool(pool);
		pool = NULL;
	} else {
		list_push_back(&pools->list, &pool->node);
	}
	bytes_free(&text);
	return pool;
}

struct pool *pools_get(struct pools *pools, const struct pool_key *key,
		       const struct pool_settings *settings)
{
	struct pool *pool = pools_find(pools, key);

	if (!pool)
		pool = add_pool(pools, key);
	if (!pool)
		return NULL;
	pool->key.cluster = key->cluster;
	pool->key.node = key->node;
	pool->settings = *settings;
	pool->is_retired = false;
	atomic_store(&pool->share->limit, settings->size);
	atomic_store(&pool->share->reserve, settings->reserve);
	atomic_store(&pool->share->database_cap->limit, settings->max_db_connections);
	atomic_store(&pool->share->user_cap->limit, settings->max_user_connections);
	return pool;
}

const struct list *pools_list(const struct pools *pools)
{
	return &pools->list;
}

static void remove_pool(struct pools *pools, struct pool *pool)
{
	struct bytes text = { 0 };

	list_remove(&pools->list, &pool->node);
	if (pool_key_text(&pool->key, &text))
		strmap_remove(pools->by_key, bytes_begin(&text), bytes_length(&text));
	bytes_free(&text);
	free_pool(pool);
}

static void close_all_in(struct pool *pool, enum server_state state, const char *why)
{
	struct list_node *first;

	while ((first = list_first(&pool->servers[state])) != NULL)
		server_close(LIST_ENTRY(first, struct server, node), why);
}

void pools_destroy(struct pools **pools_pointer)
{
	struct pools *pools = *pools_pointer;
	struct list_node *first;

	*pools_pointer = NULL;
	if (!pools)
		return;
	while ((first = list_first(&pools->list)) != NULL) {
		struct pool *pool = LIST_ENTRY(first, struct pool, node);

		ASSERT(list_is_empty(&pool->waiters) && list_is_empty(&pool->dedicated) &&
		       list_is_empty(&pool->servers[SERVER_LENT]));
		pool->retry_at = INT64_MAX;
		for (int state = 0; state < SERVER_CLOSED; state++)
			close_all_in(pool, (enum server_state)state, "shutting down");
		remove_pool(pools, pool);
	}
	strmap_destroy(&pools->by_key);
	free(pools);
}

/* --- mail from other workers --- */

/* The pool a server came to is not here (any more): nobody can use it. */
static void refuse_server(struct server_mail *mail, int worker)
{
	atomic_store(&mail->share->slots[worker].is_offered, false);
	server_free_detached(mail->server);
	pool_share_give_back(mail->share);
}

static void receive_server(struct pools *pools, struct server_mail *mail, struct pool *pool)
{
	struct server *server = mail->server;

	if (!pool) {
		refuse_server(mail, pools->env->worker);
		return;
	}
	atomic_store(&own_slot(pool)->is_offered, false);
	server->pool = pool;
	list_push_back(&pool->servers[SERVER_MOVING], &server->node);
	if (!conn_attach(server->conn, pools->env->loop))
		server_close(server, "out of descriptors");
	else
		server_step(server, SERVER_EV_ARRIVE);
}

void pools_receive(struct pools *pools, struct mail *mail)
{
	struct server_mail *letter = (struct server_mail *)mail;
	struct pool *pool = pools_find(pools, &letter->key);

	switch (mail->kind) {
	case POOL_MAIL_SERVER: receive_server(pools, letter, pool); break;
	case POOL_MAIL_WANTED:
	case POOL_MAIL_BUDGET:
		if (pool)
			pool_settle(pool);
		break;
	case POOL_MAIL_ROOM:
		if (pool)
			dedicated_make_room(pool);
		break;
	default: UNREACHABLE();
	}
	free_mail(letter);
}

void pools_discard_mail(struct mail *mail, int worker)
{
	struct server_mail *letter = (struct server_mail *)mail;

	if (mail->kind == POOL_MAIL_SERVER)
		refuse_server(letter, worker);
	free_mail(letter);
}

/* --- time --- */

static int minimum(const struct pool *pool)
{
	int min = pool->settings.min_size;

	if (!pool->is_wanted || pool->is_retired)
		return 0;
	return min < pool->settings.size ? min : pool->settings.size;
}

static void expire_idle(struct pool *pool, usec now)
{
	usec idle_timeout = pool->env->limits.server_idle_timeout;

	LIST_EACH_SAFE (&pool->servers[SERVER_IDLE], node) {
		struct server *server = LIST_ENTRY(node, struct server, node);
		bool is_spare = atomic_load(&pool->share->servers) > minimum(pool);

		if (pool->is_retired)
			server_close(server, "its pool is no longer in the configuration");
		else if (pool_share_has_too_many(pool->share))
			server_close(server, "too many servers");
		else if (server_is_due_to_end(server, now))
			server_close(server, "its time is over");
		else if (idle_timeout > 0 && is_spare &&
			 now - server->state_since >= idle_timeout)
			server_close(server, "idle for too long");
	}
}

/* A limit that it shares with other pools is spent, and one of those has a waiter. */
static void make_room_for_others(struct pool *pool)
{
	struct list *idle = &pool->servers[SERVER_IDLE];

	if (list_is_empty(idle) || !list_is_empty(&pool->waiters) ||
	    !pool_share_is_asked_for_one(pool->share))
		return;
	server_close(LIST_ENTRY(idle->head.prev, struct server, node),
		     "makes room for another pool");
}

/* A server that does not finish its login or its reset in time. */
static void expire_slow(struct pool *pool, enum server_state state, usec now)
{
	usec limit = pool->env->limits.server_connect_timeout;

	LIST_EACH_SAFE (&pool->servers[state], node) {
		struct server *server = LIST_ENTRY(node, struct server, node);

		if (limit > 0 && now - server->state_since >= limit)
			server_close(server, state == SERVER_LOGIN ? "the login timed out"
					     : server->is_checked  ? "the check timed out"
								   : "the reset timed out");
	}
}

static void keep_minimum(struct pool *pool)
{
	while (atomic_load(&pool->share->servers) < minimum(pool) && may_connect(pool)) {
		/* One at a time where the last attempt has failed. */
		if (!server_open(pool, minimum(pool)) || pool->failure.message[0])
			return;
	}
}

static void tick(struct pool *pool, usec now)
{
	expire_idle(pool, now);
	make_room_for_others(pool);
	expire_slow(pool, SERVER_LOGIN, now);
	expire_slow(pool, SERVER_RESETTING, now);
	keep_minimum(pool);
	if (!list_is_empty(&pool->waiters) || !list_is_empty(&pool->dedicated))
		pool_settle(pool);
}

void pools_tick(struct pools *pools)
{
	usec now = clock_now();

	LIST_EACH_SAFE (&pools->list, node) {
		struct pool *pool = LIST_ENTRY(node, struct pool, node);

		tick(pool, now);
		if (pool->is_retired && pool->users == 0 && pool_server_count(pool) == 0 &&
		    list_is_empty(&pool->waiters) && list_is_empty(&pool->dedicated))
			remove_pool(pools, pool);
	}
}

/* Servers of a node that is elsewhere now. */
static void check_addresses(struct pool *pool)
{
	struct sockaddr_storage address;
	socklen_t length;

	if (!pool->env->address(pool->env->context, &pool->key, &address, &length))
		return;
	for (int state = 0; state < SERVER_CLOSED; state++) {
		LIST_EACH_SAFE (&pool->servers[state], node) {
			struct server *server = LIST_ENTRY(node, struct server, node);

			if (server->address_length == length &&
			    memcmp(&server->address, &address, length) == 0)
				continue;
			server->is_close_needed = true;
			if (state == SERVER_IDLE)
				server_close(server, "its node is at another address now");
		}
	}
}

void pools_check_addresses(struct pools *pools)
{
	LIST_EACH (&pools->list, node)
		check_addresses(LIST_ENTRY(node, struct pool, node));
}

void pools_retire_all(struct pools *pools)
{
	LIST_EACH (&pools->list, node)
		LIST_ENTRY(node, struct pool, node)->is_retired = true;
}

/* --- commands --- */

void pool_reconnect(struct pool *pool)
{
	close_all_in(pool, SERVER_IDLE, "RECONNECT");
	/* These never come back. */
	LIST_EACH_SAFE (&pool->servers[SERVER_LENT], node) {
		if (LIST_ENTRY(node, struct server, node)->is_dedicated)
			server_close(LIST_ENTRY(node, struct server, node), "RECONNECT");
	}
	for (int state = 0; state < SERVER_CLOSED; state++) {
		LIST_EACH (&pool->servers[state], node)
			LIST_ENTRY(node, struct server, node)->is_close_needed = true;
	}
}

void pool_pause(struct pool *pool, bool pause)
{
	pool->is_paused = pause;
	if (pause)
		close_all_in(pool, SERVER_IDLE, "PAUSE");
	else
		pool_settle(pool);
}

void pool_kill(struct pool *pool, const char *why)
{
	struct pool_failure failure;

	pool_failure_set(&failure, "57P03", "admin", "pointsman: %s", why);
	fail_waiters(pool, &failure);
	dedicated_fail_all(pool, &failure);
	for (int state = 0; state < SERVER_CLOSED; state++)
		close_all_in(pool, (enum server_state)state, why);
}

size_t pool_server_count(const struct pool *pool)
{
	size_t count = 0;

	for (int state = 0; state < SERVER_CLOSED; state++)
		count += pool->servers[state].count;
	return count;
}
