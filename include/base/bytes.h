#ifndef POINTSMAN_BASE_BYTES_H
#define POINTSMAN_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A growing run of bytes: appended to at the end, consumed from the front. Zeroed memory is
 * a valid empty one. Appending moves the contents, so pointers into it do not survive it.
 *
 *   0 <= start <= end <= capacity; the bytes held are data[start .. end)
 *
 * A failed append (no memory, or more than SIZE_MAX) leaves the contents as they were and
 * sets `failed`, which stays set until bytes_clear(): a writer of many pieces checks once.
 * While it is set every append fails, so that no message leaves with a hole in it.
 */
struct bytes {
	uint8_t *data;
	size_t start;
	size_t end;
	size_t capacity;
	bool failed;
};

static inline size_t bytes_length(const struct bytes *b)
{
	return b->end - b->start;
}

static inline const uint8_t *bytes_begin(const struct bytes *b)
{
	return b->data + b->start;
}

/* Makes room for `length` more bytes behind the end and returns where they go, or NULL (failed).
 */
uint8_t *bytes_reserve(struct bytes *b, size_t length);

/* Appends; false when it failed. */
bool bytes_append(struct bytes *b, const void *data, size_t length);
bool bytes_append_text(struct bytes *b, const char *text);
bool bytes_printf(struct bytes *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Drops the first `length` bytes (at most what is held). */
void bytes_consume(struct bytes *b, size_t length);

/* Empties it and forgets a failure; keeps the memory. */
void bytes_clear(struct bytes *b);

/* Empties it and gives the memory back. */
void bytes_free(struct bytes *b);

#endif
