/*
 * Corner cases: nothing appended to nothing, consuming more than is held, exactly full, sizes
 * that overflow, a failed allocation (contents kept, later appends refused), reuse of room in
 * front, and a sweep of piece sizes against what was put in.
 */

#include "base/bytes.h"

#include <string.h>

#include "../unit.h"

static struct bytes b;

static void setup(void)
{
	b = (struct bytes){ 0 };
}

static void teardown(void)
{
	unit_fail_alloc(0);
	bytes_free(&b);
}

static void assert_holds(const char *text)
{
	ck_assert_uint_eq(bytes_length(&b), strlen(text));
	ck_assert_mem_eq(bytes_begin(&b), text, strlen(text));
}

START_TEST(zeroed_memory_is_an_empty_one)
{
	ck_assert_uint_eq(bytes_length(&b), 0);
	bytes_consume(&b, 10);
	bytes_clear(&b);
	ck_assert(bytes_append(&b, NULL, 0));
	ck_assert(bytes_append_text(&b, ""));
	ck_assert_uint_eq(bytes_length(&b), 0);
	ck_assert_ptr_nonnull(bytes_reserve(&b, 0));
	bytes_free(&b);
	bytes_free(&b);
}
END_TEST

START_TEST(appends_in_order)
{
	ck_assert(bytes_append(&b, "ab\0c", 4));
	ck_assert_mem_eq(bytes_begin(&b), "ab\0c", 4);
	bytes_clear(&b);
	ck_assert(bytes_append_text(&b, "one "));
	ck_assert(bytes_printf(&b, "%d %s", 2, "three"));
	ck_assert(bytes_printf(&b, "%s", ""));
	assert_holds("one 2 three");
}
END_TEST

START_TEST(printf_longer_than_any_first_room)
{
	ck_assert(bytes_printf(&b, "%*d", 5000, 1));
	ck_assert_uint_eq(bytes_length(&b), 5000);
	ck_assert_int_eq(bytes_begin(&b)[4999], '1');
}
END_TEST

START_TEST(reserve_then_commit)
{
	uint8_t *room = bytes_reserve(&b, 300);

	ck_assert_ptr_nonnull(room);
	ck_assert_uint_eq(bytes_length(&b), 0);
	memset(room, 'r', 300);
	b.end += 300;
	ck_assert_uint_eq(bytes_length(&b), 300);
	ck_assert_int_eq(bytes_begin(&b)[299], 'r');
}
END_TEST

START_TEST(consumes_from_the_front)
{
	ck_assert(bytes_append_text(&b, "hello world"));
	bytes_consume(&b, 0);
	assert_holds("hello world");
	bytes_consume(&b, 6);
	assert_holds("world");
	ck_assert(bytes_append_text(&b, "!"));
	assert_holds("world!");
	bytes_consume(&b, 1000);
	assert_holds("");
	ck_assert_uint_eq(b.start, 0);
}
END_TEST

/* Filled and drained in turn for long, it must live in the room of its largest contents. */
START_TEST(room_in_front_is_used_again)
{
	char piece[100];

	memset(piece, 'p', sizeof(piece));
	for (int i = 0; i < 1000; i++) {
		ck_assert(bytes_append(&b, piece, sizeof(piece)));
		if (i > 0)
			bytes_consume(&b, sizeof(piece));
	}
	ck_assert_uint_eq(bytes_length(&b), sizeof(piece));
	ck_assert_uint_le(b.capacity, 8 * sizeof(piece));
}
END_TEST

START_TEST(overflow_fails_and_keeps_contents)
{
	ck_assert(bytes_append_text(&b, "kept"));
	ck_assert_ptr_null(bytes_reserve(&b, SIZE_MAX));
	ck_assert(b.failed);
	assert_holds("kept");
	bytes_clear(&b);
	ck_assert_ptr_null(bytes_reserve(&b, (size_t)PTRDIFF_MAX + 1));
	ck_assert(b.failed);
}
END_TEST

START_TEST(failure_lasts_until_clear)
{
	size_t capacity;

	ck_assert(bytes_append_text(&b, "kept"));
	capacity = b.capacity;
	unit_fail_alloc(1);
	ck_assert_ptr_null(bytes_reserve(&b, capacity));
	ck_assert(unit_alloc_failed());
	ck_assert(!bytes_append_text(&b, "fits, but would leave a hole"));
	ck_assert(!bytes_printf(&b, "%d", 1));
	assert_holds("kept");
	bytes_consume(&b, 1);
	assert_holds("ept");
	bytes_clear(&b);
	ck_assert(!b.failed);
	ck_assert_uint_eq(b.capacity, capacity);
	ck_assert(bytes_append_text(&b, "again"));
	assert_holds("again");
}
END_TEST

START_TEST(first_allocation_fails)
{
	unit_fail_alloc(1);
	ck_assert(!bytes_printf(&b, "%d", 1));
	ck_assert(b.failed);
	ck_assert_uint_eq(bytes_length(&b), 0);
	bytes_free(&b);
	ck_assert(!b.failed);
}
END_TEST

/* Takes up to `length` bytes out, which must go on counting from *next. */
static void take(size_t length, uint8_t *next)
{
	const uint8_t *begin = bytes_begin(&b);

	if (length > bytes_length(&b))
		length = bytes_length(&b);
	for (size_t i = 0; i < length; i++) {
		if (begin[i] != (*next)++)
			ck_abort_msg("byte %zu is %u", i, begin[i]);
	}
	bytes_consume(&b, length);
}

/* Every pair of piece sizes: bytes come out as they went in, whatever is moved or grown. */
START_TEST(sweep_of_sizes)
{
	static const size_t sizes[] = { 1, 2, 7, 31, 32, 33, 63, 64, 65, 127, 500 };
	size_t in = sizes[_i % 11], out = sizes[_i / 11];
	uint8_t written = 0, expected = 0;

	for (int round = 0; round < 60; round++) {
		uint8_t piece[512];

		for (size_t i = 0; i < in; i++)
			piece[i] = written++;
		ck_assert(bytes_append(&b, piece, in));
		take(out, &expected);
		ck_assert(b.start <= b.end && b.end <= b.capacity);
	}
	take(SIZE_MAX, &expected);
	ck_assert_uint_eq(bytes_length(&b), 0);
	ck_assert_uint_eq(expected, written);
}
END_TEST

static Suite *bytes_suite(void)
{
	Suite *suite = suite_create("base/bytes");
	TCase *tcase = tcase_create("bytes");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, zeroed_memory_is_an_empty_one);
	tcase_add_test(tcase, appends_in_order);
	tcase_add_test(tcase, printf_longer_than_any_first_room);
	tcase_add_test(tcase, reserve_then_commit);
	tcase_add_test(tcase, consumes_from_the_front);
	tcase_add_test(tcase, room_in_front_is_used_again);
	tcase_add_test(tcase, overflow_fails_and_keeps_contents);
	tcase_add_test(tcase, failure_lasts_until_clear);
	tcase_add_test(tcase, first_allocation_fails);
	tcase_add_loop_test(tcase, sweep_of_sizes, 0, 121);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(bytes_suite)
