#ifndef POINTSMAN_BASE_STRMAP_H
#define POINTSMAN_BASE_STRMAP_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Hash map from a byte string to a pointer. Keys are copied; values belong to the caller.
 * The hash is seeded per process, so that input cannot be made to collide.
 */
struct strmap;

/* NULL without memory. */
struct strmap *strmap_create(void);

/* Accepts NULL; the values are not touched. */
void strmap_destroy(struct strmap **map);

/* The value, or NULL. */
void *strmap_get(const struct strmap *map, const void *key, size_t key_length);

/* Sets key to value (not NULL), replacing what was there. false without memory (unchanged). */
bool strmap_set(struct strmap *map, const void *key, size_t key_length, void *value);

/* Removes the key and returns its value, or NULL when it was not there. */
void *strmap_remove(struct strmap *map, const void *key, size_t key_length);

size_t strmap_count(const struct strmap *map);

/* Memory held, keys included. */
size_t strmap_bytes(const struct strmap *map);

/* Calls `each` for every entry, in no order; it must not change the map. */
void strmap_each(const struct strmap *map,
		 void (*each)(void *context, const void *key, size_t key_length, void *value),
		 void *context);

#endif
