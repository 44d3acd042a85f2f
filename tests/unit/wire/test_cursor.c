/*
 * wire/cursor. Corners: an empty body (also as NULL), each field cut short at each of its bytes,
 * a string without NUL, an empty string, a request for 0 and for SIZE_MAX bytes, reads after a
 * failure, bytes left over. All input ends at a page's edge.
 */

#include "wire/cursor.h"

#include <string.h>

#include "../unit.h"
#include "edge.h"

static struct edge edge;

static void setup(void)
{
	edge_open(&edge);
}

static void teardown(void)
{
	edge_close(&edge);
}

static struct cursor cursor_at_edge(const void *data, size_t length)
{
	struct cursor c;

	cursor_init(&c, edge_put(&edge, data, length), length);
	return c;
}

static void check_failed(struct cursor *c)
{
	ck_assert(c->failed);
	ck_assert(!cursor_done(c));
	ck_assert_uint_eq(cursor_left(c), 0);
	/* and stays so, whatever is read */
	ck_assert_uint_eq(cursor_u8(c), 0);
	ck_assert_uint_eq(cursor_u16(c), 0);
	ck_assert_uint_eq(cursor_u32(c), 0);
	ck_assert_str_eq(cursor_string(c), "");
	ck_assert_ptr_eq(cursor_bytes(c, 1), NULL);
	ck_assert_ptr_eq(cursor_bytes(c, 0), NULL);
	ck_assert(c->failed);
}

static const uint8_t message[] = "\xfe"
				 "\x80\x01"
				 "\xff\x00\x00\x02"
				 "name\0"
				 "\0"
				 "raw";
#define MESSAGE_LENGTH (sizeof(message) - 1)

static void read_message(struct cursor *c)
{
	cursor_u8(c);
	cursor_u16(c);
	cursor_u32(c);
	cursor_string(c);
	cursor_string(c);
	cursor_bytes(c, 3);
}

START_TEST(fields_in_order)
{
	struct cursor c = cursor_at_edge(message, MESSAGE_LENGTH);

	ck_assert_uint_eq(cursor_u8(&c), 0xfe);
	ck_assert_uint_eq(cursor_u16(&c), 0x8001);
	ck_assert_uint_eq(cursor_u32(&c), 0xff000002);
	ck_assert_str_eq(cursor_string(&c), "name");
	ck_assert_str_eq(cursor_string(&c), "");
	ck_assert_uint_eq(cursor_left(&c), 3);
	ck_assert(!cursor_done(&c));
	ck_assert_mem_eq(cursor_bytes(&c, 3), "raw", 3);
	ck_assert(cursor_done(&c));
	/* nothing more, and that is no failure yet */
	ck_assert_ptr_ne(cursor_bytes(&c, 0), NULL);
	ck_assert(cursor_done(&c));
	cursor_u8(&c);
	check_failed(&c);
}
END_TEST

START_TEST(each_prefix_fails)
{
	for (size_t n = 0; n < MESSAGE_LENGTH; n++) {
		struct cursor c = cursor_at_edge(message, n);

		read_message(&c);
		check_failed(&c);
	}
}
END_TEST

START_TEST(a_byte_left_over_is_not_done)
{
	uint8_t longer[MESSAGE_LENGTH + 1] = { 0 };
	struct cursor c;

	memcpy(longer, message, MESSAGE_LENGTH);
	c = cursor_at_edge(longer, sizeof(longer));
	read_message(&c);
	ck_assert(!c.failed);
	ck_assert(!cursor_done(&c));
	ck_assert_uint_eq(cursor_left(&c), 1);
}
END_TEST

START_TEST(an_unterminated_string_fails)
{
	struct cursor c = cursor_at_edge("name", 4);

	ck_assert_str_eq(cursor_string(&c), "");
	check_failed(&c);
}
END_TEST

START_TEST(too_many_bytes_fail)
{
	static const size_t lengths[] = { 5, 6, (size_t)1 << 31, SIZE_MAX - 1, SIZE_MAX };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct cursor c = cursor_at_edge("four", 4);

		ck_assert_ptr_eq(cursor_bytes(&c, lengths[i]), NULL);
		check_failed(&c);
	}
}
END_TEST

START_TEST(a_failed_read_takes_nothing_later)
{
	struct cursor c = cursor_at_edge("\1\2\3", 3);

	ck_assert_uint_eq(cursor_u32(&c), 0);
	/* three bytes are there, but belong to the field that did not fit */
	check_failed(&c);
}
END_TEST

START_TEST(an_empty_body)
{
	struct cursor c;

	cursor_init(&c, NULL, 0);
	ck_assert(cursor_done(&c));
	ck_assert_uint_eq(cursor_left(&c), 0);
	ck_assert_str_eq(cursor_string(&c), "");
	check_failed(&c);

	c = cursor_at_edge("", 0);
	ck_assert(cursor_done(&c));
	cursor_u8(&c);
	check_failed(&c);

	cursor_init(&c, NULL, 1);
	check_failed(&c);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("wire/cursor");
	TCase *t = tcase_create("reads");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, fields_in_order);
	tcase_add_test(t, each_prefix_fails);
	tcase_add_test(t, a_byte_left_over_is_not_done);
	tcase_add_test(t, an_unterminated_string_fails);
	tcase_add_test(t, too_many_bytes_fail);
	tcase_add_test(t, a_failed_read_takes_nothing_later);
	tcase_add_test(t, an_empty_body);
	suite_add_tcase(s, t);
	return s;
}

UNIT_SUITE(suite)
