/*
 * Keys that were derived from passwords in clear text: PBKDF2 is meant to take time, and takes
 * a thousand times what the rest of a log-in does. Two caches for the process, each with a lock
 * that is held for a look-up; the password itself is not kept, only a hash of it under the key of
 * the process. Any thread.
 */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/list.h"
#include "base/strmap.h"

#include "scram_internal.h"

struct entry {
	struct list_node node; /* the last used first */
	uint8_t id[SCRAM_KEY_BYTES];
	struct scram_keys keys;
	unsigned generation; /* in which it was used last */
};

static struct cache {
	pthread_mutex_t lock;
	struct strmap *by_id; /* NULL: no memory for it, and nothing is kept */
	struct list entries;
	size_t max;
	unsigned generation;
} caches[] = {
	/* As many users as a long list has; of servers each user has a salt of its own. */
	[SCRAM_CACHE_OWN] = { .lock = PTHREAD_MUTEX_INITIALIZER, .max = 65536 },
	[SCRAM_CACHE_SERVERS] = { .lock = PTHREAD_MUTEX_INITIALIZER, .max = 4096 },
};

static bool make_map_locked(struct cache *cache)
{
	if (cache->by_id != NULL)
		return true;
	list_init(&cache->entries);
	cache->by_id = strmap_create();
	return cache->by_id != NULL;
}

/* What the keys are derived from, as one number that says nothing of it. */
static bool make_id(const char *prepared, const uint8_t *salt, size_t salt_length,
		    uint32_t iterations, uint8_t id[SCRAM_KEY_BYTES])
{
	struct bytes text = { 0 };
	bool is_made;

	bytes_append(&text, &iterations, sizeof(iterations));
	bytes_append(&text, &salt_length, sizeof(salt_length));
	bytes_append(&text, salt, salt_length);
	is_made = bytes_append_text(&text, prepared) &&
		  scram_process_hmac(bytes_begin(&text), bytes_length(&text), id);
	if (text.data != NULL)
		OPENSSL_cleanse(text.data, text.capacity);
	bytes_free(&text);
	return is_made;
}

static void remove_locked(struct cache *cache, struct entry *entry)
{
	strmap_remove(cache->by_id, entry->id, sizeof(entry->id));
	list_remove(&cache->entries, &entry->node);
	OPENSSL_cleanse(entry, sizeof(*entry));
	free(entry);
}

static bool find(struct cache *cache, const uint8_t id[SCRAM_KEY_BYTES], struct scram_keys *out)
{
	struct entry *entry = NULL;

	pthread_mutex_lock(&cache->lock);
	if (cache->by_id != NULL)
		entry = strmap_get(cache->by_id, id, SCRAM_KEY_BYTES);
	if (entry != NULL) {
		*out = entry->keys;
		entry->generation = cache->generation;
		list_remove(&cache->entries, &entry->node);
		list_push_front(&cache->entries, &entry->node);
	}
	pthread_mutex_unlock(&cache->lock);
	return entry != NULL;
}

static bool add(struct cache *cache, const uint8_t id[SCRAM_KEY_BYTES],
		const struct scram_keys *keys)
{
	struct entry *entry = calloc(1, sizeof(*entry));
	bool is_kept = false;

	if (entry == NULL)
		return false;
	memcpy(entry->id, id, SCRAM_KEY_BYTES);
	entry->keys = *keys;
	pthread_mutex_lock(&cache->lock);
	entry->generation = cache->generation;
	/* Another thread may have derived the same meanwhile. */
	if (make_map_locked(cache) && strmap_get(cache->by_id, id, SCRAM_KEY_BYTES) == NULL &&
	    strmap_set(cache->by_id, id, SCRAM_KEY_BYTES, entry)) {
		list_push_front(&cache->entries, &entry->node);
		is_kept = true;
		if (cache->entries.count > cache->max)
			remove_locked(cache,
				      LIST_ENTRY(cache->entries.head.prev, struct entry, node));
	}
	pthread_mutex_unlock(&cache->lock);
	if (!is_kept) {
		OPENSSL_cleanse(entry, sizeof(*entry));
		free(entry);
	}
	return is_kept;
}

enum scram_derived scram_cache_derive(enum scram_cache which, const char *prepared,
				      const uint8_t *salt, size_t salt_length,
				      uint32_t iterations, struct scram_keys *out)
{
	struct cache *cache = &caches[which];
	uint8_t id[SCRAM_KEY_BYTES];

	if (!make_id(prepared, salt, salt_length, iterations, id))
		return SCRAM_DERIVED_NOT;
	if (find(cache, id, out))
		return SCRAM_DERIVED_BEFORE;
	if (!scram_derive_keys(prepared, salt, salt_length, iterations, out))
		return SCRAM_DERIVED_NOT;
	add(cache, id, out);
	return SCRAM_DERIVED_NOW;
}

void scram_cache_next_generation(enum scram_cache which)
{
	pthread_mutex_lock(&caches[which].lock);
	caches[which].generation++;
	pthread_mutex_unlock(&caches[which].lock);
}

void scram_cache_drop_older(enum scram_cache which)
{
	struct cache *cache = &caches[which];

	pthread_mutex_lock(&cache->lock);
	if (cache->by_id != NULL) {
		LIST_EACH_SAFE (&cache->entries, node) {
			struct entry *entry = LIST_ENTRY(node, struct entry, node);

			if (entry->generation != cache->generation)
				remove_locked(cache, entry);
		}
	}
	pthread_mutex_unlock(&cache->lock);
}

size_t scram_cache_count(enum scram_cache which)
{
	size_t count;

	pthread_mutex_lock(&caches[which].lock);
	count = caches[which].entries.count;
	pthread_mutex_unlock(&caches[which].lock);
	return count;
}
