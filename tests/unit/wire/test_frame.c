/*
 * wire/frame. Corners: each number of header bytes, body absent / partial / whole / with the next
 * message behind it, lengths 0..5, the bound and one above it for every type of both directions,
 * 2^31-1, 2^31, 2^32-1, a bound above the protocol's, no such type, the page's edge.
 */

#include "wire/frame.h"

#include <string.h>

#include "../unit.h"
#include "base/bytes.h"
#include "edge.h"
#include "wire/build.h"
#include "wire/message.h"

/* A header with this declared length, at the page's edge. */
static enum frame_result peek_declared(struct edge *e, uint8_t type, uint32_t declared,
				       uint32_t body_max, struct frame *frame)
{
	uint8_t header[FRAME_HEADER_BYTES] = { type, (uint8_t)(declared >> 24),
					       (uint8_t)(declared >> 16),
					       (uint8_t)(declared >> 8), (uint8_t)declared };

	return frame_peek(edge_put(e, header, sizeof(header)), sizeof(header), body_max, frame);
}

START_TEST(each_prefix)
{
	static const uint8_t stream[] = "Q\0\0\0\x0dSELECT 1\0"
					"S\0\0\0\4";
	const size_t whole = 14;
	struct edge e;
	struct frame frame;

	edge_open(&e);
	for (size_t n = 0; n < sizeof(stream); n++) {
		const uint8_t *at = edge_put(&e, stream, n);
		enum frame_result result = frame_peek(at, n, FRAME_BODY_MAX, &frame);

		if (n < FRAME_HEADER_BYTES) {
			ck_assert_int_eq(result, FRAME_NEED_MORE);
			ck_assert_ptr_eq(frame.body, NULL);
			continue;
		}
		ck_assert_int_eq(result, FRAME_OK);
		ck_assert_int_eq(frame.type, 'Q');
		ck_assert_uint_eq(frame.body_length, 9);
		ck_assert_ptr_eq(frame.body, at + FRAME_HEADER_BYTES);
		ck_assert_uint_eq(frame.body_present, n < whole ? n - FRAME_HEADER_BYTES : 9);
		ck_assert_int_eq(frame_is_whole(&frame), n >= whole);
		ck_assert_uint_eq(frame_size(&frame), whole);
	}
	edge_close(&e);
}
END_TEST

struct length_case {
	uint32_t declared;
	uint32_t body_max;
	enum frame_result expected;
};

static const struct length_case length_cases[] = {
	{ 0, FRAME_BODY_MAX, FRAME_BAD },
	{ 1, FRAME_BODY_MAX, FRAME_BAD },
	{ 2, FRAME_BODY_MAX, FRAME_BAD },
	{ 3, FRAME_BODY_MAX, FRAME_BAD },
	{ 4, FRAME_BODY_MAX, FRAME_OK },
	{ 5, FRAME_BODY_MAX, FRAME_OK },
	{ 4, 0, FRAME_OK },
	{ 5, 0, FRAME_BAD },
	{ 3, 0, FRAME_BAD },
	{ FRAME_BODY_MAX + 4, FRAME_BODY_MAX, FRAME_OK },
	{ FRAME_BODY_MAX + 5, FRAME_BODY_MAX, FRAME_BAD },
	/* a caller cannot widen the protocol's bound */
	{ FRAME_BODY_MAX + 4, FRAME_BODY_MAX + 1, FRAME_OK },
	{ FRAME_BODY_MAX + 5, FRAME_BODY_MAX + 1, FRAME_BAD },
	{ 0x7fffffff, 0xfffffffe, FRAME_BAD },
	{ 0x80000000, 0xfffffffe, FRAME_BAD },
	{ 0x80000003, 0xfffffffe, FRAME_BAD },
	{ 0x80000004, 0xfffffffe, FRAME_BAD },
	{ 0xffffffff, 0xfffffffe, FRAME_BAD },
	{ 4, FRAME_NO_SUCH_TYPE, FRAME_BAD },
	{ 0xffffffff, FRAME_NO_SUCH_TYPE, FRAME_BAD },
};

START_TEST(lengths)
{
	const struct length_case *c = &length_cases[_i];
	struct edge e;
	struct frame frame;

	edge_open(&e);
	ck_assert_int_eq(peek_declared(&e, 'Q', c->declared, c->body_max, &frame), c->expected);
	if (c->expected == FRAME_OK) {
		ck_assert_uint_eq(frame.body_length, c->declared - 4);
		ck_assert_uint_eq(frame.body_present, 0);
		ck_assert_uint_eq(frame_size(&frame), (size_t)c->declared + 1);
	} else {
		ck_assert_uint_eq(frame.body_length, 0);
		ck_assert_ptr_eq(frame.body, NULL);
	}
	edge_close(&e);
}
END_TEST

/* The lengths of R-04 for one type with its own bound. */
static void check_type_lengths(struct edge *e, uint8_t type, uint32_t body_max)
{
	static const uint32_t never[] = { 0, 1, 2, 3, 0x7fffffff, 0x80000000, 0xffffffff };
	bool exists = body_max != FRAME_NO_SUCH_TYPE;
	struct frame f;

	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		ck_assert_int_eq(peek_declared(e, type, never[i], body_max, &f), FRAME_BAD);
	ck_assert_int_eq(peek_declared(e, type, 4, body_max, &f), exists ? FRAME_OK : FRAME_BAD);
	if (!exists)
		return;
	ck_assert_uint_le(body_max, FRAME_BODY_MAX);
	ck_assert_int_eq(peek_declared(e, type, 5, body_max, &f),
			 body_max > 0 ? FRAME_OK : FRAME_BAD);
	ck_assert_int_eq(peek_declared(e, type, body_max + 4, body_max, &f), FRAME_OK);
	ck_assert_int_eq(peek_declared(e, type, body_max + 5, body_max, &f), FRAME_BAD);
}

START_TEST(lengths_of_every_type)
{
	struct edge e;

	edge_open(&e);
	for (int type = 0; type < 256; type++) {
		check_type_lengths(&e, (uint8_t)type, frame_frontend_body_max((uint8_t)type));
		check_type_lengths(&e, (uint8_t)type, frame_backend_body_max((uint8_t)type));
	}
	edge_close(&e);
}
END_TEST

struct bound {
	uint8_t type;
	uint32_t body_max;
};

/* Measured at PostgreSQL 15: a Sync with 9,996 bytes gets an error, with 9,997 a closed socket.
 */
static const struct bound frontend_bounds[] = {
	{ MSG_F_BIND, FRAME_BODY_MAX },
	{ MSG_F_PARSE, FRAME_BODY_MAX },
	{ MSG_F_QUERY, FRAME_BODY_MAX },
	{ MSG_F_COPY_DATA, FRAME_BODY_MAX },
	{ MSG_F_FUNCTION_CALL, FRAME_BODY_MAX },
	{ MSG_F_CLOSE, 65535 },
	{ MSG_F_DESCRIBE, 65535 },
	{ MSG_F_EXECUTE, 65535 },
	{ MSG_F_COPY_FAIL, 65535 },
	{ MSG_F_PASSWORD, FRAME_LOGIN_BODY_MAX },
	{ MSG_F_SYNC, 9996 },
	{ MSG_F_FLUSH, 9996 },
	{ MSG_F_TERMINATE, 9996 },
	{ MSG_F_COPY_DONE, 9996 },
	{ 'Z', FRAME_NO_SUCH_TYPE },
	{ 0, FRAME_NO_SUCH_TYPE },
	{ 0x16, FRAME_NO_SUCH_TYPE },
	{ 0xff, FRAME_NO_SUCH_TYPE },
};

static const struct bound backend_bounds[] = {
	{ MSG_B_DATA_ROW, FRAME_BODY_MAX },
	{ MSG_B_COPY_DATA, FRAME_BODY_MAX },
	{ MSG_B_ERROR, FRAME_BODY_MAX },
	{ MSG_B_NOTICE, FRAME_BODY_MAX },
	{ MSG_B_READY, 1 },
	{ MSG_B_BACKEND_KEY_DATA, 260 },
	{ MSG_B_PARSE_COMPLETE, 0 },
	{ MSG_B_BIND_COMPLETE, 0 },
	{ MSG_B_CLOSE_COMPLETE, 0 },
	{ MSG_B_NO_DATA, 0 },
	{ MSG_B_EMPTY_QUERY, 0 },
	{ MSG_B_PORTAL_SUSPENDED, 0 },
	{ MSG_B_COPY_DONE, 0 },
	{ MSG_B_PARAMETER_DESCRIPTION, 2 + 4 * 65535 },
	{ 'Q', FRAME_NO_SUCH_TYPE },
	{ 0, FRAME_NO_SUCH_TYPE },
};

START_TEST(bounds)
{
	for (size_t i = 0; i < sizeof(frontend_bounds) / sizeof(frontend_bounds[0]); i++)
		ck_assert_uint_eq(frame_frontend_body_max(frontend_bounds[i].type),
				  frontend_bounds[i].body_max);
	for (size_t i = 0; i < sizeof(backend_bounds) / sizeof(backend_bounds[0]); i++)
		ck_assert_uint_eq(frame_backend_body_max(backend_bounds[i].type),
				  backend_bounds[i].body_max);
}
END_TEST

/* Reads what has arrived so far; returns how many whole messages there are, and their bytes. */
static size_t count_whole(const uint8_t *data, size_t length, size_t *consumed_out)
{
	struct frame frame;
	size_t n = 0;
	size_t at = 0;

	while (at < length && frame_peek(data + at, length - at,
					 frame_frontend_body_max(data[at]), &frame) == FRAME_OK) {
		if (!frame_is_whole(&frame))
			break;
		at += frame_size(&frame);
		n++;
	}
	*consumed_out = at;
	return n;
}

/* the messages of a session in one piece, and byte by byte. */
START_TEST(byte_by_byte_is_as_one_piece)
{
	struct bytes out = { 0 };
	size_t whole_consumed;
	size_t whole;
	size_t at = 0;
	size_t n = 0;
	struct edge e;

	build_parse(&out, "s1", "SELECT $1", 9, (const uint32_t[]){ OID_INT4 }, 1);
	build_empty(&out, MSG_F_SYNC);
	build_query(&out, "SELECT 2", 8);
	build_query(&out, "", 0);
	build_empty(&out, MSG_F_TERMINATE);
	whole = count_whole(bytes_begin(&out), bytes_length(&out), &whole_consumed);
	ck_assert_uint_eq(whole, 5);
	ck_assert_uint_eq(whole_consumed, bytes_length(&out));

	edge_open(&e);
	for (size_t arrived = 0; arrived <= bytes_length(&out); arrived++) {
		size_t consumed;

		n += count_whole(edge_put(&e, bytes_begin(&out) + at, arrived - at), arrived - at,
				 &consumed);
		at += consumed;
	}
	ck_assert_uint_eq(n, whole);
	ck_assert_uint_eq(at, whole_consumed);
	edge_close(&e);
	bytes_free(&out);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("wire/frame");
	TCase *t = tcase_create("peek");

	tcase_add_test(t, each_prefix);
	tcase_add_loop_test(t, lengths, 0, (int)(sizeof(length_cases) / sizeof(length_cases[0])));
	tcase_add_test(t, lengths_of_every_type);
	tcase_add_test(t, byte_by_byte_is_as_one_piece);
	suite_add_tcase(s, t);
	t = tcase_create("bounds");
	tcase_add_test(t, bounds);
	suite_add_tcase(s, t);
	return s;
}

UNIT_SUITE(suite)
