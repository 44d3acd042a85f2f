/*
 * What pools of one key share between workers; see pool/share.h. The registry's lock guards the
 * two maps only; counters are atomics that nobody locks for.
 */
#include "pool/share.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/panic.h"
#include "base/strmap.h"
#include "pool/mode.h"

struct pool_registry {
	pthread_mutex_t lock;
	struct strmap *shares;
	struct strmap *loads;
	struct strmap *caps; /* by kind, then names; see cap_name() */
};

const char *pool_mode_name(enum pool_mode mode)
{
	switch (mode) {
	case POOL_SESSION: return "session";
	case POOL_TRANSACTION: return "transaction";
	case POOL_STATEMENT: return "statement";
	}
	UNREACHABLE();
}

struct pool_registry *pool_registry_create(void)
{
	struct pool_registry *registry = calloc(1, sizeof(*registry));

	if (!registry)
		return NULL;
	pthread_mutex_init(&registry->lock, NULL);
	registry->shares = strmap_create();
	registry->loads = strmap_create();
	registry->caps = strmap_create();
	if (!registry->shares || !registry->loads || !registry->caps)
		pool_registry_destroy(&registry);
	return registry;
}

static void free_value(void *context, const void *key, size_t key_length, void *value)
{
	(void)context;
	(void)key;
	(void)key_length;
	free(value);
}

void pool_registry_destroy(struct pool_registry **registry_pointer)
{
	struct pool_registry *registry = *registry_pointer;

	*registry_pointer = NULL;
	if (!registry)
		return;
	if (registry->loads)
		strmap_each(registry->loads, free_value, NULL);
	strmap_destroy(&registry->loads);
	strmap_destroy(&registry->caps);
	strmap_destroy(&registry->shares);
	pthread_mutex_destroy(&registry->lock);
	free(registry);
}

bool pool_key_text(const struct pool_key *key, struct bytes *out)
{
	const char *purpose = key->is_for_listening ? "listening" : "";

	bytes_append(out, key->cluster_name, strlen(key->cluster_name) + 1);
	bytes_append(out, key->node_name, strlen(key->node_name) + 1);
	bytes_append(out, key->database, strlen(key->database) + 1);
	bytes_append(out, key->user, strlen(key->user) + 1);
	bytes_append(out, purpose, strlen(purpose) + 1);
	return !out->failed;
}

/* The share's own name is its key: five strings with their NULs. */
static struct pool_share *make_share(const struct bytes *name)
{
	struct pool_share *share = calloc(1, sizeof(*share));

	if (!share)
		return NULL;
	share->name = malloc(bytes_length(name));
	if (!share->name) {
		free(share);
		return NULL;
	}
	memcpy(share->name, bytes_begin(name), bytes_length(name));
	atomic_init(&share->references, 1);
	return share;
}

void pool_share_ref(struct pool_share *share)
{
	atomic_fetch_add(&share->references, 1);
}

/* The zeroed object of that name, made when it is not there yet. */
static void *find_or_make_object_locked(struct strmap *map, const struct bytes *name, size_t size)
{
	void *object = strmap_get(map, bytes_begin(name), bytes_length(name));

	if (object)
		return object;
	object = calloc(1, size);
	if (object && !strmap_set(map, bytes_begin(name), bytes_length(name), object)) {
		free(object);
		return NULL;
	}
	return object;
}

/* --- caps --- */

static struct pool_cap *make_cap_locked(struct pool_registry *registry, const struct bytes *name)
{
	struct pool_cap *cap = calloc(1, sizeof(*cap) + bytes_length(name));

	if (!cap)
		return NULL;
	cap->name_length = bytes_length(name);
	memcpy(cap->name, bytes_begin(name), cap->name_length);
	if (strmap_set(registry->caps, cap->name, cap->name_length, cap))
		return cap;
	free(cap);
	return NULL;
}

/* One more reference to the cap of that name. Frees the name. */
static struct pool_cap *cap_get_locked(struct pool_registry *registry, struct bytes *name)
{
	struct pool_cap *cap = NULL;

	if (!name->failed) {
		cap = strmap_get(registry->caps, bytes_begin(name), bytes_length(name));
		if (!cap)
			cap = make_cap_locked(registry, name);
	}
	bytes_free(name);
	if (cap)
		atomic_fetch_add(&cap->references, 1);
	return cap;
}

static void cap_put_locked(struct pool_registry *registry, struct pool_cap **cap_pointer)
{
	struct pool_cap *cap = *cap_pointer;

	*cap_pointer = NULL;
	if (!cap || atomic_fetch_sub(&cap->references, 1) > 1)
		return;
	strmap_remove(registry->caps, cap->name, cap->name_length);
	free(cap);
}

/* `kind` keeps a database and a user of one name apart. */
static struct pool_cap *server_cap_locked(struct pool_registry *registry,
					  const struct pool_key *key, char kind, const char *of)
{
	struct bytes name = { 0 };

	bytes_append(&name, &kind, 1);
	bytes_append(&name, key->cluster_name, strlen(key->cluster_name) + 1);
	bytes_append(&name, key->node_name, strlen(key->node_name) + 1);
	bytes_append(&name, of, strlen(of));
	return cap_get_locked(registry, &name);
}

struct pool_cap *pool_client_cap_get(struct pool_registry *registry, enum pool_client_cap kind,
				     const char *of)
{
	struct bytes name = { 0 };
	struct pool_cap *cap;

	bytes_append(&name, kind == POOL_CAP_DATABASE ? "D" : "U", 1);
	bytes_append(&name, of, strlen(of));
	pthread_mutex_lock(&registry->lock);
	cap = cap_get_locked(registry, &name);
	pthread_mutex_unlock(&registry->lock);
	return cap;
}

void pool_client_cap_put(struct pool_registry *registry, struct pool_cap **cap)
{
	if (!*cap)
		return;
	pthread_mutex_lock(&registry->lock);
	cap_put_locked(registry, cap);
	pthread_mutex_unlock(&registry->lock);
}

/* --- shares --- */

static void free_share_locked(struct pool_registry *registry, struct pool_share *share)
{
	cap_put_locked(registry, &share->database_cap);
	cap_put_locked(registry, &share->user_cap);
	free(share->name);
	free(share);
}

static struct pool_share *find_or_make_locked(struct pool_registry *registry,
					      const struct pool_key *key,
					      const struct bytes *name)
{
	struct pool_share *share =
		strmap_get(registry->shares, bytes_begin(name), bytes_length(name));

	if (share) {
		pool_share_ref(share);
		return share;
	}
	share = make_share(name);
	if (!share)
		return NULL;
	share->database_cap = server_cap_locked(registry, key, 'd', key->database);
	share->user_cap = server_cap_locked(registry, key, 'u', key->user);
	if (!share->database_cap || !share->user_cap ||
	    !strmap_set(registry->shares, bytes_begin(name), bytes_length(name), share)) {
		free_share_locked(registry, share);
		return NULL;
	}
	return share;
}

struct pool_share *pool_share_get(struct pool_registry *registry, const struct pool_key *key)
{
	struct bytes name = { 0 };
	struct pool_share *share = NULL;

	if (pool_key_text(key, &name)) {
		pthread_mutex_lock(&registry->lock);
		share = find_or_make_locked(registry, key, &name);
		pthread_mutex_unlock(&registry->lock);
	}
	bytes_free(&name);
	return share;
}

static size_t name_length(const char *name)
{
	const char *at = name;

	for (int i = 0; i < 5; i++)
		at += strlen(at) + 1;
	return (size_t)(at - name);
}

void pool_share_put(struct pool_registry *registry, struct pool_share **share_pointer)
{
	struct pool_share *share = *share_pointer;

	*share_pointer = NULL;
	if (!share)
		return;
	pthread_mutex_lock(&registry->lock);
	if (atomic_fetch_sub(&share->references, 1) == 1) {
		strmap_remove(registry->shares, share->name, name_length(share->name));
		free_share_locked(registry, share);
	}
	pthread_mutex_unlock(&registry->lock);
}

struct pool_node_load *pool_node_load_get(struct pool_registry *registry,
					  const char *cluster_name, const char *node_name)
{
	struct bytes name = { 0 };
	struct pool_node_load *load = NULL;

	bytes_append(&name, cluster_name, strlen(cluster_name) + 1);
	bytes_append(&name, node_name, strlen(node_name) + 1);
	if (!name.failed) {
		pthread_mutex_lock(&registry->lock);
		load = find_or_make_object_locked(registry->loads, &name, sizeof(*load));
		pthread_mutex_unlock(&registry->lock);
	}
	bytes_free(&name);
	return load;
}

/* One more, unless that is more than `limit` (0: there is none). */
static bool take_one(atomic_int *count, int limit)
{
	int before = atomic_load(count);

	while (limit == 0 || before < limit) {
		if (atomic_compare_exchange_weak(count, &before, before + 1))
			return true;
	}
	return false;
}

static void give_one_back(atomic_int *count)
{
	int before = atomic_fetch_sub(count, 1);

	ASSERT(before > 0);
}

bool pool_client_cap_take(struct pool_cap *cap)
{
	return take_one(&cap->taken, atomic_load(&cap->limit));
}

void pool_client_cap_give_back(struct pool_cap *cap)
{
	give_one_back(&cap->taken);
}

static bool take_from_cap(struct pool_cap *cap)
{
	if (take_one(&cap->taken, atomic_load(&cap->limit)))
		return true;
	atomic_store(&cap->is_wanted, true);
	return false;
}

bool pool_share_take(struct pool_share *share)
{
	return pool_share_take_below(share, atomic_load(&share->limit));
}

bool pool_share_take_below(struct pool_share *share, int ceiling)
{
	if (ceiling < 1 || !take_one(&share->servers, ceiling))
		return false;
	if (take_from_cap(share->database_cap)) {
		if (take_from_cap(share->user_cap))
			return true;
		give_one_back(&share->database_cap->taken);
	}
	give_one_back(&share->servers);
	return false;
}

void pool_share_give_back(struct pool_share *share)
{
	give_one_back(&share->user_cap->taken);
	give_one_back(&share->database_cap->taken);
	give_one_back(&share->servers);
}

static bool is_above(const struct pool_cap *cap)
{
	int limit = atomic_load(&cap->limit);

	return limit > 0 && atomic_load(&cap->taken) > limit;
}

bool pool_share_has_too_many(const struct pool_share *share)
{
	int most = atomic_load(&share->limit) + atomic_load(&share->reserve);

	return atomic_load(&share->servers) > most || is_above(share->database_cap) ||
	       is_above(share->user_cap);
}

bool pool_share_may_end_lifetime(struct pool_share *share, usec now, usec gap)
{
	usec last = atomic_load(&share->last_lifetime_end);

	if (last != 0 && now - last < gap)
		return false;
	return atomic_compare_exchange_strong(&share->last_lifetime_end, &last, now);
}

bool pool_share_is_asked_for_one(struct pool_share *share)
{
	bool is_asked = atomic_load(&share->database_cap->is_wanted) ||
			atomic_load(&share->user_cap->is_wanted);

	if (!is_asked)
		return false;
	return atomic_exchange(&share->database_cap->is_wanted, false) ||
	       atomic_exchange(&share->user_cap->is_wanted, false);
}

int pool_share_next_waiter(const struct pool_share *share, int n, int own, usec tolerance)
{
	usec own_since = atomic_load(&share->slots[own].oldest_wait);
	usec best = own_since ? own_since - tolerance : INT64_MAX;
	int found = own_since ? own : -1;

	for (int i = 0; i < n; i++) {
		usec since = i == own ? 0 : atomic_load(&share->slots[i].oldest_wait);

		if (since != 0 && since < best && !atomic_load(&share->slots[i].is_offered)) {
			best = since;
			found = i;
		}
	}
	return found;
}

int pool_share_find_idle(const struct pool_share *share, int n, int own)
{
	for (int i = 1; i < n; i++) {
		int other = (own + i) % n;

		if (atomic_load(&share->slots[other].idle) > 0)
			return other;
	}
	return -1;
}
