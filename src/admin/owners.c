/*
 * Which database a pool belongs to; see admin/owners.h. Pools are matched by the names in their
 * keys, never by the pointers that identities keep, which may be older than the pools. A worker's
 * thread.
 */
#include "admin/owners.h"

#include <stdlib.h>
#include <string.h>

static int compare_keys(const struct session_identity *identity, const char *cluster_name,
			const char *dbname, const char *user)
{
	int order = strcmp(identity->database->cluster_name, cluster_name);

	if (order == 0)
		order = strcmp(identity->database->dbname, dbname);
	if (order == 0)
		order = strcmp(identity->server_user, user);
	return order;
}

static int compare(const void *a, const void *b)
{
	const struct session_identity *x = *(struct session_identity *const *)a;
	const struct session_identity *y = *(struct session_identity *const *)b;
	int order =
		compare_keys(x, y->database->cluster_name, y->database->dbname, y->server_user);

	if (order == 0)
		order = strcmp(x->database->name, y->database->name);
	return order ? order : strcmp(x->user, y->user);
}

static void add(void *context, const void *key, size_t key_length, void *value)
{
	struct owners *owners = context;

	(void)key;
	(void)key_length;
	owners->list[owners->n++] = value;
}

bool owners_make(struct owners *owners, const struct session_env *env)
{
	size_t n = strmap_count(env->identities);

	owners->n = 0;
	owners->list = malloc((n > 0 ? n : 1) * sizeof(struct session_identity *));
	if (!owners->list)
		return false;
	strmap_each(env->identities, add, owners);
	qsort(owners->list, owners->n, sizeof(struct session_identity *), compare);
	return true;
}

void owners_free(struct owners *owners)
{
	free(owners->list);
	owners->list = NULL;
	owners->n = 0;
}

/* The index of the first one that is not before the pool's key. */
static size_t lower_bound(const struct owners *owners, const struct pool_key *key)
{
	size_t low = 0;
	size_t high = owners->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare_keys(owners->list[middle], key->cluster_name, key->database,
				 key->user) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool matches(const struct owners *owners, size_t index, const struct pool_key *key)
{
	return index < owners->n && compare_keys(owners->list[index], key->cluster_name,
						 key->database, key->user) == 0;
}

const struct session_identity *owners_find(const struct owners *owners, const struct pool *pool)
{
	size_t index = lower_bound(owners, &pool->key);

	return matches(owners, index, &pool->key) ? owners->list[index] : NULL;
}

bool owners_have(const struct owners *owners, const struct pool *pool,
		 const struct session_database *database)
{
	for (size_t i = lower_bound(owners, &pool->key); matches(owners, i, &pool->key); i++) {
		if (owners->list[i]->database == database)
			return true;
	}
	return false;
}
