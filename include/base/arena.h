#ifndef POINTSMAN_BASE_ARENA_H
#define POINTSMAN_BASE_ARENA_H

#include <stddef.h>

/*
 * A region: many small allocations that end together. One belongs to each worker and is
 * reset when a request is finished; configuration snapshots own one for their whole life.
 * Not for sharing between threads while it grows.
 */
struct arena;

/*
 * `limit_bytes`: what may be allocated between two resets; more is answered with NULL
 * (SIZE_MAX for no limit). Returns NULL without memory.
 */
struct arena *arena_create(size_t limit_bytes);

/* Accepts NULL; sets the caller's pointer to NULL. */
void arena_destroy(struct arena **arena);

/* Frees everything but one chunk, which is kept for the next use. */
void arena_reset(struct arena *arena);

/* Aligned for any type, contents undefined. NULL at the limit or without memory. */
void *arena_alloc(struct arena *arena, size_t size);

/* The same, zeroed. */
void *arena_zalloc(struct arena *arena, size_t size);

/* NUL-terminated copy of `length` bytes / of a string. NULL as above. */
char *arena_copy_text(struct arena *arena, const char *text, size_t length);
char *arena_copy_string(struct arena *arena, const char *text);

/* Bytes handed out since the last reset, each allocation rounded up to its alignment. */
size_t arena_used(const struct arena *arena);

#endif
