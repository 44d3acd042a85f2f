#ifndef POINTSMAN_WIRE_FRAME_H
#define POINTSMAN_WIRE_FRAME_H

#include <stddef.h>
#include <stdint.h>

/*
 * Framing: a type byte, a length (itself included, network order), a body. The one place in the
 * program that reads a message length (R-04: unsigned, bounded before any arithmetic).
 */

#define FRAME_HEADER_BYTES 5
#define FRAME_BODY_MAX     0x3fffffffu /* PostgreSQL's MaxAllocSize, 1 GB - 1 */

enum frame_result {
	FRAME_OK,
	FRAME_NEED_MORE, /* not even the header is there */
	FRAME_BAD,       /* a length that cannot be: less than 4, or above the bound; or
			    the bound is FRAME_NO_SUCH_TYPE */
};

struct frame {
	uint8_t type;
	uint32_t body_length; /* without type and length */
	const uint8_t *body;  /* into the input; may be incomplete, see body_present */
	size_t body_present;  /* how much of the body the input holds, <= body_length */
};

/*
 * Reads the header at the start of data[0..length). FRAME_OK as soon as the five header bytes
 * are there; whether the body is whole, the caller sees from body_present. `body_max` is the
 * bound for the body's length (never more than FRAME_BODY_MAX), and may come straight from
 * frame_frontend_body_max(data[0]) when there is a byte. Without FRAME_OK *frame_out is zeroed.
 */
enum frame_result frame_peek(const uint8_t *data, size_t length, uint32_t body_max,
			     struct frame *frame_out);

static inline int frame_is_whole(const struct frame *frame)
{
	return frame->body_present == frame->body_length;
}

/* Header and body. At most FRAME_BODY_MAX + 5: no overflow. */
static inline size_t frame_size(const struct frame *frame)
{
	return (size_t)frame->body_length + FRAME_HEADER_BYTES;
}

/*
 * Bounds for a message's body by its type. From clients: Sync, Flush, CopyDone and Terminate
 * 9,996 bytes (what PostgreSQL reads before it complains that they are not empty: a body that is
 * there is the session's to refuse with 08P01); Describe, Close, Execute, CopyFail 64 kB; 'p'
 * FRAME_LOGIN_BODY_MAX, PostgreSQL's PG_MAX_AUTH_TOKEN_LENGTH, and that is also the bound for
 * anything a client sends before it is authenticated; the others FRAME_BODY_MAX. From servers:
 * what has a fixed shape is bounded by it. FRAME_NO_SUCH_TYPE: no message of that direction.
 */
#define FRAME_LOGIN_BODY_MAX 65535u
#define FRAME_NO_SUCH_TYPE   0xffffffffu
uint32_t frame_frontend_body_max(uint8_t type);
uint32_t frame_backend_body_max(uint8_t type);

#endif
