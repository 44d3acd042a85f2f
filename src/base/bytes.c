/*
 * A growing run of bytes, appended to at the end and consumed from the front. Knows nothing of
 * limits: who fills one from a peer bounds it. Not for sharing between threads.
 */

#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

#define CAPACITY_MIN 64

static void check(const struct bytes *b)
{
	ASSERT(b->start <= b->end && b->end <= b->capacity);
	ASSERT(b->data != NULL || b->capacity == 0);
}

/* The contents to the very front, so that all free room is behind them. */
static void compact(struct bytes *b)
{
	size_t held = bytes_length(b);

	if (b->start == 0)
		return;
	if (held > 0)
		memmove(b->data, b->data + b->start, held);
	b->start = 0;
	b->end = held;
}

/* At least doubles, so that appending byte by byte stays linear. */
static bool grow(struct bytes *b, size_t needed)
{
	size_t capacity = CAPACITY_MIN;
	uint8_t *data;

	if (needed > PTRDIFF_MAX)
		return false;
	if (capacity < b->capacity * 2) /* both below SIZE_MAX / 2, by the line above */
		capacity = b->capacity * 2;
	if (capacity < needed)
		capacity = needed;
	data = realloc(b->data, capacity);
	if (data == NULL)
		return false;
	b->data = data;
	b->capacity = capacity;
	return true;
}

uint8_t *bytes_reserve(struct bytes *b, size_t length)
{
	size_t held = bytes_length(b);

	check(b);
	if (b->failed)
		return NULL;
	if (b->data != NULL && length <= b->capacity - b->end)
		return b->data + b->end;
	if (length > SIZE_MAX - held)
		goto fail;

	/*
	 * Moving is worth it only after a good part was consumed. Without this a full buffer
	 * that is consumed and filled byte by byte would be moved whole for each byte.
	 */
	if (b->data == NULL || b->start < b->capacity / 4 || length > b->capacity - held) {
		if (!grow(b, held + length))
			goto fail;
	}
	if (length > b->capacity - b->end)
		compact(b);
	return b->data + b->end;
fail:
	b->failed = true;
	return NULL;
}

bool bytes_append(struct bytes *b, const void *data, size_t length)
{
	uint8_t *room = bytes_reserve(b, length);

	if (room == NULL)
		return false;
	if (length > 0)
		memcpy(room, data, length);
	b->end += length;
	return true;
}

bool bytes_append_text(struct bytes *b, const char *text)
{
	return bytes_append(b, text, strlen(text));
}

bool bytes_printf(struct bytes *b, const char *format, ...)
{
	va_list arguments;
	uint8_t *room;
	int length;

	va_start(arguments, format);
	length = vsnprintf(NULL, 0, format, arguments);
	va_end(arguments);
	if (length < 0) {
		b->failed = true;
		return false;
	}
	/* One more for the NUL, which is not kept. */
	room = bytes_reserve(b, (size_t)length + 1);
	if (room == NULL)
		return false;
	va_start(arguments, format);
	vsnprintf((char *)room, (size_t)length + 1, format, arguments);
	va_end(arguments);
	b->end += (size_t)length;
	return true;
}

void bytes_consume(struct bytes *b, size_t length)
{
	check(b);
	b->start += length < bytes_length(b) ? length : bytes_length(b);
	if (b->start == b->end)
		b->start = b->end = 0;
}

void bytes_clear(struct bytes *b)
{
	b->start = b->end = 0;
	b->failed = false;
}

void bytes_free(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){ 0 };
}
