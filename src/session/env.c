/*
 * What the sessions of one worker have in common; see session/env.h.
 */
#include "session/env.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/panic.h"
#include "session/client.h"
#include "session/client_login.h"

/* Texts of prepared statements that no client holds are kept up to here. */
#define IDLE_STATEMENT_BYTES (4 * 1024 * 1024)

bool session_env_init(struct session_env *env, const struct judge_limits *judge_limits)
{
	list_init(&env->logins);
	list_init(&env->clients);
	list_init(&env->databases);
	list_init(&env->route_waiters);
	list_init(&env->channel_list);
	env->keys = strmap_create();
	env->identities = strmap_create();
	env->welcomes = strmap_create();
	env->channels = strmap_create();
	env->statements = statement_cache_create(IDLE_STATEMENT_BYTES);
	env->judge = judge_create(judge_limits);
	return env->keys && env->identities && env->welcomes && env->channels &&
	       env->statements && env->judge;
}

/* --- identities --- */

static void drop_pools(struct session_identity *identity)
{
	for (size_t i = 0; i < identity->n_pools; i++) {
		if (identity->pools[i])
			identity->pools[i]->users--;
	}
	free(identity->pools);
	identity->pools = NULL;
	identity->n_pools = 0;
}

static void free_identity(struct session_env *env, struct session_identity *identity)
{
	identity->database->identities--;
	drop_pools(identity);
	pool_client_cap_put(env->registry, &identity->client_cap);
	free(identity->user);
	free(identity->server_user);
	free(identity);
}

static void make_rules(struct session_env *env, struct session_identity *identity)
{
	env->ops->rules(env->context, identity->database, identity->user, identity->server_user,
			&identity->rules);
	atomic_store(&identity->client_cap->limit, identity->rules.max_user_client_connections);
}

static struct session_identity *make_identity(struct session_env *env,
					      struct session_database *database, const char *user)
{
	struct session_identity *identity = calloc(1, sizeof(*identity));

	if (!identity)
		return NULL;
	identity->database = database;
	database->identities++;
	identity->user = strdup(user);
	identity->server_user = strdup(database->user ? database->user : user);
	identity->client_cap = pool_client_cap_get(env->registry, POOL_CAP_USER, user);
	if (identity->user && identity->server_user && identity->client_cap) {
		make_rules(env, identity);
		return identity;
	}
	free_identity(env, identity);
	return NULL;
}

static bool identity_key(const struct session_database *database, const char *user,
			 struct bytes *out)
{
	bytes_append(out, database->name, strlen(database->name) + 1);
	bytes_append(out, user, strlen(user));
	return !out->failed;
}

struct session_identity *session_identity_get(struct session_env *env,
					      struct session_database *database, const char *user)
{
	struct session_identity *identity = NULL;
	struct bytes key = { 0 };

	if (!identity_key(database, user, &key))
		goto out;
	identity = strmap_get(env->identities, bytes_begin(&key), bytes_length(&key));
	if (identity)
		goto out;
	identity = make_identity(env, database, user);
	if (identity &&
	    !strmap_set(env->identities, bytes_begin(&key), bytes_length(&key), identity)) {
		free_identity(env, identity);
		identity = NULL;
	}
out:
	bytes_free(&key);
	return identity;
}

static void drop_identity(struct session_env *env, struct session_identity *identity)
{
	struct bytes key = { 0 };

	if (identity_key(identity->database, identity->user, &key)) {
		strmap_remove(env->identities, bytes_begin(&key), bytes_length(&key));
		for (size_t i = 0; i < identity->n_pools; i++) {
			struct pool *pool = identity->pools[i];

			if (pool && pool->users == 1)
				pool->is_retired = true;
		}
		free_identity(env, identity);
	}
	bytes_free(&key);
}

bool session_admit_client(struct session_identity *identity, const char **full_out)
{
	*full_out = "max_db_client_connections";
	if (!pool_client_cap_take(identity->database->client_cap))
		return false;
	*full_out = "max_user_client_connections";
	if (pool_client_cap_take(identity->client_cap)) {
		identity->idle_since = 0;
		return true;
	}
	pool_client_cap_give_back(identity->database->client_cap);
	return false;
}

void session_client_left(struct session_identity *identity)
{
	pool_client_cap_give_back(identity->client_cap);
	pool_client_cap_give_back(identity->database->client_cap);
}

/* --- pools --- */

const struct cluster *session_cluster(const struct session_env *env,
				      const struct session_database *database)
{
	static const struct cluster none = { .name = "", .primary = -1 };

	return database->cluster < env->topology->n_clusters
		       ? &env->topology->clusters[database->cluster]
		       : &none;
}

/* A reload may have given the database another user for its servers. */
static bool refresh_user(struct session_identity *identity)
{
	const char *wanted = identity->database->user ? identity->database->user : identity->user;
	char *copy;

	if (strcmp(identity->server_user, wanted) == 0)
		return true;
	copy = strdup(wanted);
	if (!copy)
		return false;
	free(identity->server_user);
	identity->server_user = copy;
	return true;
}

/* Rules and pools are found anew after a reload, and when clusters or nodes have come or gone. */
static bool refresh_pools(struct session_env *env, struct session_identity *identity)
{
	const struct cluster *cluster = session_cluster(env, identity->database);

	if (identity->pools && identity->topology_shape == env->topology_shape)
		return true;
	if (!refresh_user(identity))
		return false;
	make_rules(env, identity);
	drop_pools(identity);
	identity->pools = calloc(cluster->n_nodes + 1, sizeof(struct pool *));
	if (!identity->pools)
		return false;
	identity->n_pools = cluster->n_nodes;
	identity->topology_shape = env->topology_shape;
	return true;
}

static struct pool_key key_of(const struct session_env *env,
			      const struct session_identity *identity, size_t node)
{
	const struct session_database *database = identity->database;
	const struct cluster *cluster = session_cluster(env, database);

	return (struct pool_key){ .cluster = database->cluster,
				  .node = (unsigned)node,
				  .node_name = cluster->nodes[node].name,
				  .cluster_name = cluster->name,
				  .database = database->dbname,
				  .user = identity->server_user };
}

/* The one that session_keep_pools() has made. */
static bool is_kept(const struct session_identity *identity)
{
	const struct session_database *database = identity->database;

	return database->user && !database->is_auto && !database->is_retired &&
	       strcmp(identity->user, database->user) == 0;
}

/* Is a minimum kept for it? */
static bool wants_pools(const struct session_identity *identity)
{
	return identity->clients > 0 || is_kept(identity);
}

struct pool *session_pool(struct session_env *env, struct session_identity *identity, size_t node)
{
	struct pool_key key;
	struct pool *pool;

	if (!refresh_pools(env, identity) || node >= identity->n_pools)
		return NULL;
	if (identity->pools[node])
		return identity->pools[node];
	key = key_of(env, identity, node);
	pool = pools_get(env->pools, &key, &identity->rules.pool);
	if (!pool)
		return NULL;
	identity->pools[node] = pool;
	pool->users++;
	pool->is_wanted |= wants_pools(identity);
	if (pool->is_paused != identity->database->is_paused)
		pool_pause(pool, identity->database->is_paused);
	return pool;
}

/* Those that it had, as far as they are those of today's nodes. */
static void keep_pools(void *context, const void *key, size_t key_length, void *value)
{
	struct session_env *env = context;
	struct session_identity *identity = value;

	(void)key;
	(void)key_length;
	if (!identity->pools || !refresh_pools(env, identity) || identity->database->is_retired)
		return;
	for (size_t i = 0; i < identity->n_pools; i++) {
		struct pool_key pool_key = key_of(env, identity, i);

		if (pools_find(env->pools, &pool_key))
			session_pool(env, identity, i);
	}
}

void session_env_reconfigured(struct session_env *env)
{
	env->topology_shape++;
	strmap_each(env->identities, keep_pools, env);
}

void session_keep_pools(struct session_env *env, struct session_database *database)
{
	struct session_identity *identity = session_identity_get(env, database, database->user);
	const struct cluster *cluster = session_cluster(env, database);

	for (size_t i = 0; identity && i < cluster->n_nodes; i++) {
		if (cluster->nodes[i].state == NODE_STATE_UP)
			session_pool(env, identity, i);
	}
}

/* --- topology --- */

void session_env_set_topology(struct session_env *env, struct topology *topology)
{
	size_t n = env->route_waiters.count;
	struct list_node *node;

	topology_unref(&env->topology);
	env->topology = topology;
	/* Who still has to wait comes in again at the end; and one may end another's waiting. */
	for (; n > 0 && (node = list_pop_front(&env->route_waiters)) != NULL; n--) {
		struct request *request = LIST_ENTRY(node, struct request, route_node);

		client_set_state(request->client, CLIENT_ACTIVE);
		request_resume(request, false);
	}
}

/* --- time and the end --- */

static void mark_wanted(void *context, const void *key, size_t key_length, void *value)
{
	const struct session_identity *identity = value;

	(void)context;
	(void)key;
	(void)key_length;
	for (size_t i = 0; wants_pools(identity) && i < identity->n_pools; i++) {
		if (identity->pools[i])
			identity->pools[i]->is_wanted = true;
	}
}

static void mark_wanted_pools(struct session_env *env)
{
	LIST_EACH (pools_list(env->pools), node)
		LIST_ENTRY(node, struct pool, node)->is_wanted = false;
	strmap_each(env->identities, mark_wanted, NULL);
}

static bool is_in_use(const struct session_identity *identity)
{
	if (wants_pools(identity))
		return true;
	for (size_t i = 0; i < identity->n_pools; i++) {
		if (identity->pools[i] && pool_server_count(identity->pools[i]) > 0)
			return true;
	}
	return false;
}

struct search {
	usec now;
	usec limit;
	struct session_identity *idle;
};

static void find_idle(void *context, const void *key, size_t key_length, void *value)
{
	struct session_identity *identity = value;
	struct search *search = context;

	(void)key;
	(void)key_length;
	if (is_in_use(identity))
		identity->idle_since = 0;
	else if (identity->idle_since == 0)
		identity->idle_since = search->now;
	if (identity->idle_since == 0 || search->now - identity->idle_since < search->limit)
		return;
	identity->next_idle = search->idle;
	search->idle = identity;
}

static void drop_idle_identities(struct session_env *env, usec now)
{
	struct search search = { .now = now, .limit = env->limits.autodb_idle_timeout };

	if (search.limit <= 0)
		return;
	strmap_each(env->identities, find_idle, &search);
	while (search.idle) {
		struct session_identity *identity = search.idle;

		search.idle = identity->next_idle;
		drop_identity(env, identity);
	}
}

void session_env_tick(struct session_env *env)
{
	usec now = clock_now();

	client_login_tick(env, now);
	client_tick(env, now);
	drop_idle_identities(env, now);
	mark_wanted_pools(env);
}

static void free_identity_value(void *context, const void *key, size_t key_length, void *value)
{
	(void)key;
	(void)key_length;
	free_identity(context, value);
}

static void free_requests(struct session_env *env)
{
	while (env->free_requests) {
		struct request *request = env->free_requests;

		env->free_requests = request->next_free;
		bytes_free(&request->kept);
		free(request);
	}
}

void session_env_close_all(struct session_env *env, const char *sqlstate, const char *message)
{
	client_login_close_all(env);
	LIST_EACH_SAFE (&env->clients, node)
		client_close(LIST_ENTRY(node, struct client, node), CLOSE_SHUTDOWN, sqlstate,
			     message);
}

void session_env_destroy(struct session_env *env)
{
	session_env_close_all(env, NULL, NULL);
	LIST_EACH_SAFE (&env->clients, node)
		client_abandon(LIST_ENTRY(node, struct client, node));
	ASSERT(list_is_empty(&env->clients) && list_is_empty(&env->logins));
	free_requests(env);
	if (env->welcomes)
		session_forget_welcomes(env);
	if (env->identities)
		strmap_each(env->identities, free_identity_value, env);
	strmap_destroy(&env->identities);
	strmap_destroy(&env->keys);
	strmap_destroy(&env->welcomes);
	strmap_destroy(&env->channels);
	statement_cache_destroy(&env->statements);
	judge_destroy(&env->judge);
	topology_unref(&env->topology);
}
