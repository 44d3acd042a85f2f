/*
 * Bounded reading of a message body. The first read that does not fit moves the cursor to the
 * end for good, so that every later one fails too and a loop over a count from the wire cannot
 * run on invented values. Copies and allocates nothing. Pure; any thread.
 */

#include "wire/cursor.h"

#include <string.h>

static const uint8_t nothing[1];

void cursor_init(struct cursor *c, const uint8_t *data, size_t length)
{
	/* An empty body may come as NULL; memchr() and pointer differences must not see that. */
	c->at = data != NULL ? data : nothing;
	c->end = data != NULL ? data + length : nothing;
	c->failed = data == NULL && length > 0;
}

const uint8_t *cursor_bytes(struct cursor *c, size_t length)
{
	const uint8_t *found = c->at;

	if (c->failed || length > cursor_left(c)) {
		c->failed = true;
		c->at = c->end;
		return NULL;
	}
	c->at += length;
	return found;
}

uint8_t cursor_u8(struct cursor *c)
{
	const uint8_t *at = cursor_bytes(c, 1);

	return at != NULL ? at[0] : 0;
}

uint16_t cursor_u16(struct cursor *c)
{
	const uint8_t *at = cursor_bytes(c, 2);

	return at != NULL ? (uint16_t)(at[0] << 8 | at[1]) : 0;
}

uint32_t cursor_u32(struct cursor *c)
{
	const uint8_t *at = cursor_bytes(c, 4);

	if (at == NULL)
		return 0;
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

const char *cursor_string(struct cursor *c)
{
	const uint8_t *nul = memchr(c->at, 0, cursor_left(c));
	const uint8_t *text;

	/* Without a NUL there is no length that fits: ask for more than is left. */
	text = cursor_bytes(c, nul != NULL ? (size_t)(nul - c->at) + 1 : cursor_left(c) + 1);
	return text != NULL ? (const char *)text : "";
}

size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->at);
}

bool cursor_done(const struct cursor *c)
{
	return !c->failed && c->at == c->end;
}
