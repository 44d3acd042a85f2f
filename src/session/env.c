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

static void free_identity(struct session_identity *identity)
{
	free(identity->user);
	free(identity->server_user);
	free(identity->pools);
	free(identity);
}

static struct session_identity *make_identity(struct session_database *database, const char *user)
{
	struct session_identity *identity = calloc(1, sizeof(*identity));

	if (!identity)
		return NULL;
	identity->database = database;
	identity->user = strdup(user);
	identity->server_user = strdup(database->user ? database->user : user);
	if (identity->user && identity->server_user)
		return identity;
	free_identity(identity);
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
	identity = make_identity(database, user);
	if (identity &&
	    !strmap_set(env->identities, bytes_begin(&key), bytes_length(&key), identity)) {
		free_identity(identity);
		identity = NULL;
	}
out:
	bytes_free(&key);
	return identity;
}

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

/* Pools are found anew when clusters or nodes have come or gone. */
static bool refresh_pools(struct session_env *env, struct session_identity *identity)
{
	const struct cluster *cluster = session_cluster(env, identity->database);

	if (identity->pools && identity->topology_shape == env->topology_shape)
		return true;
	if (!refresh_user(identity))
		return false;
	free(identity->pools);
	identity->n_pools = cluster->n_nodes;
	identity->pools = calloc(cluster->n_nodes + 1, sizeof(struct pool *));
	identity->topology_shape = env->topology_shape;
	return identity->pools != NULL;
}

struct pool *session_pool(struct session_env *env, struct session_identity *identity, size_t node)
{
	struct session_database *database = identity->database;
	const struct cluster *cluster = session_cluster(env, database);
	struct pool_key key;

	if (!refresh_pools(env, identity) || node >= identity->n_pools)
		return NULL;
	if (identity->pools[node])
		return identity->pools[node];
	key = (struct pool_key){ .cluster = database->cluster,
				 .node = (unsigned)node,
				 .node_name = cluster->nodes[node].name,
				 .cluster_name = cluster->name,
				 .database = database->dbname,
				 .user = identity->server_user };
	identity->pools[node] = pools_get(env->pools, &key, &database->pool);
	if (identity->pools[node])
		pool_pause(identity->pools[node], database->is_paused);
	return identity->pools[node];
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

void session_env_tick(struct session_env *env)
{
	usec now = clock_now();

	client_login_tick(env, now);
	client_tick(env, now);
}

static void free_identity_value(void *context, const void *key, size_t key_length, void *value)
{
	(void)context;
	(void)key;
	(void)key_length;
	free_identity(value);
}

static void free_requests(struct session_env *env)
{
	while (env->free_requests) {
		struct request *request = env->free_requests;

		env->free_requests = request->next_free;
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
		strmap_each(env->identities, free_identity_value, NULL);
	strmap_destroy(&env->identities);
	strmap_destroy(&env->keys);
	strmap_destroy(&env->welcomes);
	strmap_destroy(&env->channels);
	statement_cache_destroy(&env->statements);
	judge_destroy(&env->judge);
	topology_unref(&env->topology);
}
