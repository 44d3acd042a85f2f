#ifndef POINTSMAN_WIRE_CURSOR_H
#define POINTSMAN_WIRE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Bounded reading of a message body. A read past the end returns 0, NULL or "" and sets `failed`,
 * which stays set, with nothing left to read: read all fields, then ask cursor_done() once.
 */
struct cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

void cursor_init(struct cursor *c, const uint8_t *data, size_t length);

uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);

/* A NUL-terminated string, pointing into the input; "" when it is not terminated (failed). */
const char *cursor_string(struct cursor *c);

/* `length` raw bytes, pointing into the input; NULL when there are fewer (failed). */
const uint8_t *cursor_bytes(struct cursor *c, size_t length);

size_t cursor_left(const struct cursor *c);

/* true when nothing failed and everything was consumed. */
bool cursor_done(const struct cursor *c);

#endif
