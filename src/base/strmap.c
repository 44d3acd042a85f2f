/*
 * Hash map from byte strings to pointers: open addressing, linear probing, at most three quarters
 * full. Removal moves later entries back rather than leave marks, so that a map in which keys
 * come and go for months stays as fast as a new one. It never shrinks. One thread at a time.
 */

#include "base/strmap.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/panic.h"
#include "base/random.h"

#define CAPACITY_MIN 16

struct entry {
	void *value;
	size_t key_length;
	unsigned char key[];
};

/* Empty when `entry` is NULL. The hash is here so that a probe seldom touches the entry. */
struct slot {
	uint64_t hash;
	struct entry *entry;
};

struct strmap {
	struct slot *slots; /* NULL until the first key */
	size_t capacity;    /* power of two, or 0 */
	size_t count;
	size_t entry_bytes;
};

static uint64_t process_seed;

static void choose_seed(void)
{
	random_secret(&process_seed, sizeof(process_seed));
}

static uint64_t hash_key(const void *key, size_t key_length)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, choose_seed);
	return XXH3_64bits_withSeed(key, key_length, process_seed);
}

static size_t entry_size(const struct entry *entry)
{
	return sizeof(*entry) + entry->key_length;
}

static bool slot_has_key(const struct slot *slot, uint64_t hash, const void *key, size_t length)
{
	return slot->hash == hash && slot->entry->key_length == length &&
	       (length == 0 || memcmp(slot->entry->key, key, length) == 0);
}

/* The slot of the key, or the empty one where it would go. The table must have an empty one. */
static struct slot *find(const struct strmap *map, uint64_t hash, const void *key, size_t length)
{
	size_t mask = map->capacity - 1;
	size_t at = hash & mask;

	while (map->slots[at].entry != NULL && !slot_has_key(&map->slots[at], hash, key, length))
		at = (at + 1) & mask;
	return &map->slots[at];
}

static bool grow(struct strmap *map)
{
	size_t capacity = map->capacity ? map->capacity * 2 : CAPACITY_MIN;
	struct slot *slots = calloc(capacity, sizeof(*slots));

	if (slots == NULL)
		return false;
	for (size_t i = 0; i < map->capacity; i++) {
		size_t at = map->slots[i].hash & (capacity - 1);

		if (map->slots[i].entry == NULL)
			continue;
		while (slots[at].entry != NULL)
			at = (at + 1) & (capacity - 1);
		slots[at] = map->slots[i];
	}
	free(map->slots);
	map->slots = slots;
	map->capacity = capacity;
	return true;
}

static struct entry *entry_create(const void *key, size_t key_length, void *value)
{
	struct entry *entry;

	if (key_length > PTRDIFF_MAX - sizeof(*entry))
		return NULL;
	entry = malloc(sizeof(*entry) + key_length);
	if (entry == NULL)
		return NULL;
	entry->value = value;
	entry->key_length = key_length;
	if (key_length > 0)
		memcpy(entry->key, key, key_length);
	return entry;
}

struct strmap *strmap_create(void)
{
	return calloc(1, sizeof(struct strmap));
}

void strmap_destroy(struct strmap **map)
{
	if (*map == NULL)
		return;
	for (size_t i = 0; i < (*map)->capacity; i++)
		free((*map)->slots[i].entry);
	free((*map)->slots);
	free(*map);
	*map = NULL;
}

void *strmap_get(const struct strmap *map, const void *key, size_t key_length)
{
	const struct entry *entry;

	if (map->count == 0)
		return NULL;
	entry = find(map, hash_key(key, key_length), key, key_length)->entry;
	return entry ? entry->value : NULL;
}

bool strmap_set(struct strmap *map, const void *key, size_t key_length, void *value)
{
	uint64_t hash = hash_key(key, key_length);
	struct entry *entry;
	struct slot *slot;

	ASSERT(value != NULL);
	if (map->count > 0) {
		slot = find(map, hash, key, key_length);
		if (slot->entry != NULL) {
			slot->entry->value = value;
			return true;
		}
	}
	if (map->count >= map->capacity / 4 * 3 && !grow(map))
		return false;
	entry = entry_create(key, key_length, value);
	if (entry == NULL)
		return false;
	slot = find(map, hash, key, key_length);
	slot->hash = hash;
	slot->entry = entry;
	map->count++;
	map->entry_bytes += entry_size(entry);
	return true;
}

/* Closes the gap at `hole`: what probes past it and may stand nearer to its place moves there. */
static void close_gap(struct strmap *map, size_t hole)
{
	size_t mask = map->capacity - 1;

	for (size_t at = (hole + 1) & mask; map->slots[at].entry != NULL; at = (at + 1) & mask) {
		size_t home = map->slots[at].hash & mask;

		/* Not if its place lies behind the hole: then it is found without the hole. */
		if (((at - home) & mask) < ((at - hole) & mask))
			continue;
		map->slots[hole] = map->slots[at];
		hole = at;
	}
	map->slots[hole] = (struct slot){ 0 };
}

void *strmap_remove(struct strmap *map, const void *key, size_t key_length)
{
	struct slot *slot;
	void *value;

	if (map->count == 0)
		return NULL;
	slot = find(map, hash_key(key, key_length), key, key_length);
	if (slot->entry == NULL)
		return NULL;
	value = slot->entry->value;
	map->entry_bytes -= entry_size(slot->entry);
	map->count--;
	free(slot->entry);
	close_gap(map, (size_t)(slot - map->slots));
	return value;
}

size_t strmap_count(const struct strmap *map)
{
	return map->count;
}

size_t strmap_bytes(const struct strmap *map)
{
	return sizeof(*map) + map->capacity * sizeof(*map->slots) + map->entry_bytes;
}

void strmap_each(const struct strmap *map,
		 void (*each)(void *context, const void *key, size_t key_length, void *value),
		 void *context)
{
	for (size_t i = 0; i < map->capacity; i++) {
		const struct entry *entry = map->slots[i].entry;

		if (entry != NULL)
			each(context, entry->key, entry->key_length, entry->value);
	}
}
