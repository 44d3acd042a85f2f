/* session/collect: how far the next request goes, whatever part of it is there. */

#include <string.h>

#include "base/bytes.h"
#include "session/client.h"
#include "unit.h"
#include "wire/build.h"
#include "wire/message.h"

#define LIMIT       200
#define PARSE_LIMIT 400
#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static struct bytes input;

static void tear_down(void)
{
	bytes_free(&input);
}

/* A message of this type with a body of so many bytes. */
static void put(uint8_t type, size_t body)
{
	size_t mark = build_begin(&input, type);

	for (size_t i = 0; i < body; i++)
		build_u8(&input, 'x');
	build_end(&input, mark);
}

/* "Q10 S" : messages with the lengths of their bodies. */
static void make(const char *text)
{
	while (*text) {
		uint8_t type = (uint8_t)*text++;
		size_t body = 0;

		while (*text >= '0' && *text <= '9')
			body = body * 10 + (size_t)(*text++ - '0');
		put(type, body);
		while (*text == ' ')
			text++;
	}
	ck_assert(!input.failed);
}

static enum collect_result collect(size_t length, struct collect_extent *extent)
{
	memset(extent, 0xaa, sizeof(*extent));
	extent->error[0] = '\0';
	return collect_request(bytes_begin(&input), length, LIMIT, PARSE_LIMIT, extent);
}

static const struct {
	const char *messages;
	enum collect_result result;
	size_t n; /* messages of the first request, of those with the bodies given */
	enum request_end end;
} whole[] = {
	{ "Q10", COLLECT_REQUEST, 1, REQUEST_QUERY },
	{ "Q0", COLLECT_REQUEST, 1, REQUEST_QUERY },
	{ "Q10 Q10", COLLECT_REQUEST, 1, REQUEST_QUERY },
	{ "F10 S", COLLECT_REQUEST, 1, REQUEST_FUNCTION_CALL },
	{ "S", COLLECT_REQUEST, 1, REQUEST_SYNC },
	{ "S S", COLLECT_REQUEST, 1, REQUEST_SYNC },
	{ "H S", COLLECT_REQUEST, 1, REQUEST_FLUSH },
	{ "P10 B10 D5 E5 S", COLLECT_REQUEST, 5, REQUEST_SYNC },
	{ "P10 B10 D5 E5 H E5 S", COLLECT_REQUEST, 5, REQUEST_FLUSH },
	{ "P10 B10 C5 Q10 S", COLLECT_REQUEST, 4, REQUEST_QUERY },
	{ "P10 F10", COLLECT_REQUEST, 2, REQUEST_FUNCTION_CALL },
	{ "X", COLLECT_TERMINATE, 0, 0 },
	{ "X Q10", COLLECT_TERMINATE, 0, 0 },
	/* what cannot be part of a request ends what is before it */
	{ "P10 X", COLLECT_REQUEST, 1, REQUEST_PARTIAL },
	{ "P10 B10 d10 S", COLLECT_REQUEST, 2, REQUEST_PARTIAL },
	{ "P10 !5", COLLECT_REQUEST, 1, REQUEST_PARTIAL },
	{ "P10 p5", COLLECT_REQUEST, 1, REQUEST_PARTIAL },
	{ "P10 S1", COLLECT_REQUEST, 1, REQUEST_PARTIAL },
	/* an open batch: nothing is sent before its end ... */
	{ "P10", COLLECT_MORE, 0, 0 },
	{ "P10 B10 D5 E5", COLLECT_MORE, 0, 0 },
	/* ... unless there is no room for more */
	{ "P195", COLLECT_REQUEST, 1, REQUEST_PARTIAL },
	{ "P194", COLLECT_MORE, 0, 0 },
	{ "P90 B100", COLLECT_REQUEST, 2, REQUEST_PARTIAL },
	/* late COPY messages */
	{ "d10 Q10", COLLECT_STRAY, 1, 0 },
	{ "c Q10", COLLECT_STRAY, 1, 0 },
	{ "f10", COLLECT_STRAY, 1, 0 },
	{ "d0", COLLECT_STRAY, 1, 0 },
	/* what is no message */
	{ "!5", COLLECT_BAD, 0, 0 },
	{ "p5", COLLECT_BAD, 0, 0 },
	{ "S1", COLLECT_BAD, 0, 0 },
	{ "H1", COLLECT_BAD, 0, 0 },
	{ "X1", COLLECT_BAD, 0, 0 },
};

/* The bytes of the first n messages. */
static size_t size_of(size_t n)
{
	const uint8_t *data = bytes_begin(&input);
	size_t at = 0;

	for (; n > 0; n--)
		at += 1 + ((size_t)data[at + 3] << 8 | data[at + 4]);
	return at;
}

START_TEST(whole_messages)
{
	struct collect_extent extent;

	make(whole[_i].messages);
	ck_assert_int_eq(collect(bytes_length(&input), &extent), whole[_i].result);
	if (whole[_i].result == COLLECT_REQUEST) {
		ck_assert_uint_eq(extent.size, size_of(whole[_i].n));
		ck_assert_uint_eq(extent.tail, 0);
		ck_assert_int_eq(extent.end, whole[_i].end);
	}
	if (whole[_i].result == COLLECT_STRAY)
		ck_assert_uint_eq(extent.size + extent.tail, size_of(1));
	if (whole[_i].result == COLLECT_BAD)
		ck_assert_str_ne(extent.error, "");
}
END_TEST

/* Whatever is there of them so far: no answer, or the same as with all of it. */
START_TEST(every_prefix)
{
	struct collect_extent full;
	enum collect_result result;

	make(whole[_i].messages);
	result = collect(bytes_length(&input), &full);
	for (size_t length = 0; length < bytes_length(&input); length++) {
		struct collect_extent extent;
		enum collect_result early = collect(length, &extent);

		if (early == COLLECT_MORE)
			continue;
		ck_assert_int_eq(early, result);
		if (early == COLLECT_REQUEST) {
			ck_assert_uint_eq(extent.size, full.size);
			ck_assert_int_eq(extent.end, full.end);
		}
		if (early != COLLECT_REQUEST && early != COLLECT_STRAY)
			continue;
		ck_assert_uint_eq(extent.size + extent.tail, full.size + full.tail);
		ck_assert_uint_le(extent.size, length);
	}
}
END_TEST

/* A message that will not fit: what is there goes ahead once the room is used up, the rest is its
 * tail. */
static const struct {
	const char *messages;
	size_t length;
	enum collect_result result;
	size_t size;
	size_t tail;
	enum request_end end;
} large[] = {
	{ "Q1000", 199, COLLECT_MORE, 0, 0, 0 },
	{ "Q1000", 200, COLLECT_REQUEST, 200, 805, REQUEST_QUERY },
	{ "Q1000", 1004, COLLECT_REQUEST, 1004, 1, REQUEST_QUERY },
	{ "Q1000", 1005, COLLECT_REQUEST, 1005, 0, REQUEST_QUERY },
	{ "P1000", 200, COLLECT_REQUEST, 200, 805, REQUEST_PARTIAL },
	{ "F1000", 200, COLLECT_REQUEST, 200, 805, REQUEST_FUNCTION_CALL },
	{ "B1000 S", 1010, COLLECT_REQUEST, 1005, 0, REQUEST_PARTIAL },
	/* with others before it those go ahead */
	{ "P10 B1000", 20, COLLECT_REQUEST, 15, 0, REQUEST_PARTIAL },
	{ "P10 B1000", 19, COLLECT_MORE, 0, 0, 0 },
	{ "P10 B1000", 200, COLLECT_REQUEST, 15, 0, REQUEST_PARTIAL },
	/* exactly as much as there is room for */
	{ "Q195", 199, COLLECT_MORE, 0, 0, 0 },
	{ "Q195", 200, COLLECT_REQUEST, 200, 0, REQUEST_QUERY },
	{ "Q196", 200, COLLECT_REQUEST, 200, 1, REQUEST_QUERY },
	{ "d1000", 5, COLLECT_STRAY, 5, 1000, 0 },
	{ "d1000", 505, COLLECT_STRAY, 505, 500, 0 },
	{ "d1000", 4, COLLECT_MORE, 0, 0, 0 },
};

START_TEST(more_than_there_is_room_for)
{
	struct collect_extent extent;

	make(large[_i].messages);
	ck_assert_int_eq(collect(large[_i].length, &extent), large[_i].result);
	if (large[_i].result == COLLECT_MORE)
		return;
	ck_assert_uint_eq(extent.size, large[_i].size);
	ck_assert_uint_eq(extent.tail, large[_i].tail);
	if (large[_i].result == COLLECT_REQUEST)
		ck_assert_int_eq(extent.end, large[_i].end);
}
END_TEST

/* lengths that cannot be, for every type there is. */
START_TEST(impossible_lengths)
{
	static const uint32_t lengths[] = { 0,          1,          2,          3,
					    0x40000004, 0x7fffffff, 0x80000000, 0xffffffff };
	static const char types[] = "QPBDECSHFdcfX";

	for (size_t i = 0; i < sizeof(types) - 1; i++) {
		uint32_t length = lengths[_i];
		uint8_t header[5] = { (uint8_t)types[i], (uint8_t)(length >> 24),
				      (uint8_t)(length >> 16), (uint8_t)(length >> 8),
				      (uint8_t)length };
		struct collect_extent extent = { .error = "" };

		ck_assert_int_eq(collect_request(header, 5, LIMIT, PARSE_LIMIT, &extent),
				 COLLECT_BAD);
		ck_assert_str_eq(extent.error, "invalid message length");
	}
}
END_TEST

/* Every type byte is judged: none is passed on by accident. */
START_TEST(every_type)
{
	struct collect_extent extent = { .error = "" };
	uint8_t header[5] = { (uint8_t)_i, 0, 0, 0, 4 };
	enum collect_result result = collect_request(header, 5, LIMIT, PARSE_LIMIT, &extent);
	const char *known = _i ? strchr("QPBDECSHFdcfX", _i) : NULL;

	ck_assert_int_eq(result == COLLECT_BAD, known == NULL);
	if (!known)
		ck_assert_int_eq(strncmp(extent.error, "invalid frontend message type", 29), 0);
}
END_TEST

START_TEST(nothing)
{
	struct collect_extent extent;

	ck_assert_int_eq(collect_request((const uint8_t *)"", 0, LIMIT, PARSE_LIMIT, &extent),
			 COLLECT_MORE);
}
END_TEST

static Suite *collect_suite(void)
{
	Suite *suite = suite_create("session/collect");
	TCase *tc = tcase_create("collect");

	tcase_add_checked_fixture(tc, NULL, tear_down);
	tcase_add_test(tc, nothing);
	tcase_add_loop_test(tc, whole_messages, 0, ROWS(whole));
	tcase_add_loop_test(tc, every_prefix, 0, ROWS(whole));
	tcase_add_loop_test(tc, more_than_there_is_room_for, 0, ROWS(large));
	tcase_add_loop_test(tc, impossible_lengths, 0, 8);
	tcase_add_loop_test(tc, every_type, 0, 256);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(collect_suite)
