/*
 * Regions. An allocation is cut from the newest chunk; what is too large for a chunk gets one
 * of its own, behind it, so that the room left in the chunk is not lost. Frees nothing singly.
 * Under AddressSanitizer memory not handed out is poisoned, so that use after a reset shows.
 * One thread at a time.
 */

#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

#if defined(__SANITIZE_ADDRESS__)
#define POINTSMAN_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POINTSMAN_ASAN 1
#endif
#endif

#ifdef POINTSMAN_ASAN
/* Not by <sanitizer/asan_interface.h>: its const makes GCC warn of memory not yet initialised. */
void __asan_poison_memory_region(volatile void *start, size_t size);
void __asan_unpoison_memory_region(volatile void *start, size_t size);
#define POISON(start, size)   __asan_poison_memory_region(start, size)
#define UNPOISON(start, size) __asan_unpoison_memory_region(start, size)
#else
#define POISON(start, size)   ((void)(start), (void)(size))
#define UNPOISON(start, size) ((void)(start), (void)(size))
#endif

#define ALIGNMENT  alignof(max_align_t)
#define CHUNK_SIZE ((size_t)16384)
#define LARGE_SIZE (CHUNK_SIZE / 4)

struct chunk {
	struct chunk *next;
	size_t size; /* of data */
	size_t used;
	alignas(max_align_t) unsigned char data[];
};

/* `chunks` is newest first but for large allocations, which stand behind the newest. */
struct arena {
	struct chunk *chunks;
	size_t used;
	size_t limit;
};

static struct chunk *chunk_create(size_t size)
{
	struct chunk *chunk = malloc(sizeof(*chunk) + size);

	if (chunk == NULL)
		return NULL;
	chunk->next = NULL;
	chunk->size = size;
	chunk->used = 0;
	POISON(chunk->data, size);
	return chunk;
}

static void chunk_destroy(struct chunk *chunk)
{
	UNPOISON(chunk->data, chunk->size);
	free(chunk);
}

/* Takes `padded` bytes out of the chunk, of which the caller may touch `size`. */
static void *chunk_cut(struct chunk *chunk, size_t padded, size_t size)
{
	void *start = chunk->data + chunk->used;

	chunk->used += padded;
	UNPOISON(start, size);
	return start;
}

struct arena *arena_create(size_t limit_bytes)
{
	struct arena *arena = calloc(1, sizeof(*arena));

	if (arena == NULL)
		return NULL;
	arena->limit = limit_bytes;
	return arena;
}

void arena_destroy(struct arena **arena)
{
	struct chunk *chunk;

	if (*arena == NULL)
		return;
	while ((chunk = (*arena)->chunks) != NULL) {
		(*arena)->chunks = chunk->next;
		chunk_destroy(chunk);
	}
	free(*arena);
	*arena = NULL;
}

void arena_reset(struct arena *arena)
{
	struct chunk *chunk = arena->chunks, *kept = NULL;

	while (chunk != NULL) {
		struct chunk *next = chunk->next;

		if (kept == NULL && chunk->size == CHUNK_SIZE)
			kept = chunk;
		else
			chunk_destroy(chunk);
		chunk = next;
	}
	if (kept != NULL) {
		POISON(kept->data, kept->size);
		kept->next = NULL;
		kept->used = 0;
	}
	arena->chunks = kept;
	arena->used = 0;
}

/* A chunk for one large allocation, behind the newest, which may still have room. */
static struct chunk *add_large(struct arena *arena, size_t size)
{
	struct chunk *chunk = chunk_create(size);

	if (chunk == NULL)
		return NULL;
	if (arena->chunks == NULL) {
		arena->chunks = chunk;
	} else {
		chunk->next = arena->chunks->next;
		arena->chunks->next = chunk;
	}
	return chunk;
}

/* The chunk to cut `size` padded bytes from, a new one where needed. */
static struct chunk *chunk_for(struct arena *arena, size_t size)
{
	struct chunk *chunk = arena->chunks;

	if (chunk != NULL && size <= chunk->size - chunk->used)
		return chunk;
	if (size > LARGE_SIZE)
		return add_large(arena, size);
	chunk = chunk_create(CHUNK_SIZE);
	if (chunk == NULL)
		return NULL;
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	return chunk;
}

void *arena_alloc(struct arena *arena, size_t size)
{
	struct chunk *chunk;
	size_t padded;

	if (size > PTRDIFF_MAX - sizeof(*chunk) - ALIGNMENT)
		return NULL;
	/* Nothing takes room too, so that no two allocations share an address. */
	padded = size ? (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1) : ALIGNMENT;
	if (padded > arena->limit - arena->used)
		return NULL;
	chunk = chunk_for(arena, padded);
	if (chunk == NULL)
		return NULL;
	arena->used += padded;
	return chunk_cut(chunk, padded, size);
}

void *arena_zalloc(struct arena *arena, size_t size)
{
	void *start = arena_alloc(arena, size);

	if (start != NULL)
		memset(start, 0, size);
	return start;
}

char *arena_copy_text(struct arena *arena, const char *text, size_t length)
{
	char *copy;

	if (length == SIZE_MAX)
		return NULL;
	copy = arena_alloc(arena, length + 1);
	if (copy == NULL)
		return NULL;
	if (length > 0)
		memcpy(copy, text, length);
	copy[length] = '\0';
	return copy;
}

char *arena_copy_string(struct arena *arena, const char *text)
{
	return arena_copy_text(arena, text, strlen(text));
}

size_t arena_used(const struct arena *arena)
{
	return arena->used;
}
