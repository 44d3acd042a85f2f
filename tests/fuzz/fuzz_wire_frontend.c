/*
 * libFuzzer target: a client's byte stream after the login, and message bodies.
 *
 * Input: two bytes that choose the pieces in which the rest arrives, then the stream. Holds:
 * arriving in pieces gives the same messages as arriving at once; a message taken apart and built
 * again is the same bytes; an error body gives strings, whatever it is.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/panic.h"
#include "wire/build.h"
#include "wire/cursor.h"
#include "wire/error.h"
#include "wire/frame.h"
#include "wire/message.h"

#define TYPES_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was seen of a stream: enough to tell two readings apart. */
struct seen {
	size_t n_messages;
	size_t consumed;
	uint64_t sum;
	enum frame_result last;
};

static void note(struct seen *seen, const struct frame *frame)
{
	uint64_t sum = seen->sum * 31 + frame->type;

	for (uint32_t i = 0; i < frame->body_length; i++)
		sum = sum * 31 + frame->body[i];
	seen->sum = sum;
	seen->n_messages++;
}

/* Takes the whole messages at the front of data[0..length). */
static void read_messages(const uint8_t *data, size_t length, struct seen *seen)
{
	size_t at = 0;

	seen->last = FRAME_NEED_MORE;
	while (at < length) {
		struct frame frame;

		seen->last = frame_peek(data + at, length - at, frame_frontend_body_max(data[at]),
					&frame);
		if (seen->last != FRAME_OK || !frame_is_whole(&frame))
			break;
		ASSERT(frame.body + frame.body_length <= data + length);
		note(seen, &frame);
		at += frame_size(&frame);
		seen->last = FRAME_NEED_MORE;
	}
	seen->consumed += at;
}

/* As a connection does: what arrives is appended, whole messages are consumed. */
static void read_in_pieces(const uint8_t *data, size_t size, uint16_t seed, struct seen *seen)
{
	struct bytes in = { 0 };
	uint32_t random = seed;

	while (size > 0 && seen->last != FRAME_BAD) {
		size_t piece = 1 + (random >> 16) % 9;
		size_t before = seen->consumed;

		random = random * 1103515245 + 12345;
		if (piece > size)
			piece = size;
		ASSERT(bytes_append(&in, data, piece));
		data += piece;
		size -= piece;
		read_messages(bytes_begin(&in), bytes_length(&in), seen);
		bytes_consume(&in, seen->consumed - before);
	}
	bytes_free(&in);
}

static void check_pieces(const uint8_t *data, size_t size, uint16_t seed)
{
	struct seen whole = { .last = FRAME_NEED_MORE };
	struct seen pieces = { .last = FRAME_NEED_MORE };

	read_messages(data, size, &whole);
	read_in_pieces(data, size, seed, &pieces);
	ASSERT(whole.n_messages == pieces.n_messages);
	ASSERT(whole.consumed == pieces.consumed);
	ASSERT(whole.sum == pieces.sum);
	/* a frame that waits for its body is NEED_MORE in one reading and OK in the other */
	ASSERT((whole.last == FRAME_BAD) == (pieces.last == FRAME_BAD));
}

static void rebuild_query(const struct frame *frame, struct bytes *out)
{
	struct cursor c;
	const char *sql;

	cursor_init(&c, frame->body, frame->body_length);
	sql = cursor_string(&c);
	if (cursor_done(&c))
		build_query(out, sql, strlen(sql));
}

static void rebuild_parse(const struct frame *frame, struct bytes *out)
{
	struct cursor c;
	const char *name;
	const char *sql;
	uint32_t types[TYPES_MAX];
	size_t n;

	cursor_init(&c, frame->body, frame->body_length);
	name = cursor_string(&c);
	sql = cursor_string(&c);
	n = cursor_u16(&c);
	if (n > TYPES_MAX)
		return;
	for (size_t i = 0; i < n; i++)
		types[i] = cursor_u32(&c);
	if (cursor_done(&c))
		build_parse(out, name, sql, strlen(sql), types, n);
}

static void rebuild_password(const struct frame *frame, struct bytes *out)
{
	build_sasl_response(out, frame->body, frame->body_length);
}

/* Types that have a builder give the same bytes, where their body is well-formed. */
static void check_rebuilt(const struct frame *frame)
{
	struct bytes out = { 0 };

	switch (frame->type) {
	case MSG_F_QUERY: rebuild_query(frame, &out); break;
	case MSG_F_PARSE: rebuild_parse(frame, &out); break;
	case MSG_F_PASSWORD: rebuild_password(frame, &out); break;
	default: build_end(&out, build_begin(&out, frame->type)); break;
	}
	ASSERT(!out.failed);
	if (bytes_length(&out) == frame_size(frame))
		ASSERT(memcmp(bytes_begin(&out), frame->body - FRAME_HEADER_BYTES,
			      frame_size(frame)) == 0);
	else
		ASSERT(bytes_length(&out) == 0 || bytes_length(&out) == FRAME_HEADER_BYTES);
	bytes_free(&out);
}

static bool same_error(const struct wire_error *a, const struct wire_error *b)
{
	return strcmp(a->severity, b->severity) == 0 && strcmp(a->sqlstate, b->sqlstate) == 0 &&
	       strcmp(a->message, b->message) == 0 && strcmp(a->detail, b->detail) == 0 &&
	       strcmp(a->hint, b->hint) == 0;
}

/* Any body gives an error that can be built, and is then well-formed and read as the same. */
static void check_error(const struct frame *frame)
{
	struct bytes out = { 0 };
	struct wire_error first;
	struct wire_error again;
	struct frame built;

	wire_error_parse(frame->body, frame->body_length, &first);
	ASSERT(strlen(first.sqlstate) == 5);
	build_error(&out, first.severity, first.sqlstate, first.message, first.detail,
		    first.hint);
	ASSERT(frame_peek(bytes_begin(&out), bytes_length(&out),
			  frame_backend_body_max(MSG_B_ERROR), &built) == FRAME_OK);
	ASSERT(frame_is_whole(&built));
	ASSERT(wire_error_parse(built.body, built.body_length, &again));
	ASSERT(same_error(&first, &again));
	bytes_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct frame frame;
	size_t at = 0;
	uint8_t *copy;

	if (size < 2)
		return 0;
	check_pieces(data + 2, size - 2, (uint16_t)(data[0] << 8 | data[1]));

	/* In memory of its own, so that the sanitizer sees a read behind the end. */
	size -= 2;
	copy = malloc(size > 0 ? size : 1);
	ASSERT(copy != NULL);
	memcpy(copy, data + 2, size);
	while (at < size &&
	       frame_peek(copy + at, size - at, FRAME_BODY_MAX, &frame) == FRAME_OK &&
	       frame_is_whole(&frame)) {
		check_rebuilt(&frame);
		check_error(&frame);
		at += frame_size(&frame);
	}
	free(copy);
	return 0;
}
