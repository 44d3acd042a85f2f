/*
 * Corner cases: the empty key, keys with NUL bytes, keys that are prefixes of each other, removal
 * out of a run of neighbours (the gap must close), growth, and a failed allocation at each place.
 */

#include "base/strmap.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/random.h"
#include "../unit.h"

static struct strmap *map;
static int values[1000];

static void setup(void)
{
	map = strmap_create();
	ck_assert_ptr_nonnull(map);
}

static void teardown(void)
{
	unit_fail_alloc(0);
	strmap_destroy(&map);
}

START_TEST(empty_map)
{
	ck_assert_uint_eq(strmap_count(map), 0);
	ck_assert_ptr_null(strmap_get(map, "a", 1));
	ck_assert_ptr_null(strmap_remove(map, "a", 1));
	ck_assert_uint_gt(strmap_bytes(map), 0);
	strmap_destroy(&map);
	ck_assert_ptr_null(map);
	strmap_destroy(&map);
}
END_TEST

START_TEST(keys_are_byte_strings)
{
	static const struct {
		const char *key;
		size_t length;
	} keys[] = { { NULL, 0 },   { "a", 1 },    { "ab", 2 }, { "a\0", 2 },
		     { "a\0b", 3 }, { "a\0c", 3 }, { "\0", 1 }, { "\0\0", 2 } };

	for (int i = 0; i < 8; i++)
		ck_assert(strmap_set(map, keys[i].key, keys[i].length, &values[i]));
	ck_assert_uint_eq(strmap_count(map), 8);
	for (int i = 0; i < 8; i++)
		ck_assert_ptr_eq(strmap_get(map, keys[i].key, keys[i].length), &values[i]);
	ck_assert_ptr_eq(strmap_remove(map, "", 0), &values[0]);
	ck_assert_ptr_null(strmap_get(map, NULL, 0));
}
END_TEST

START_TEST(keys_are_copied)
{
	char key[] = "key";

	ck_assert(strmap_set(map, key, 3, &values[0]));
	key[0] = 'x';
	ck_assert_ptr_eq(strmap_get(map, "key", 3), &values[0]);
	ck_assert_ptr_null(strmap_get(map, key, 3));
}
END_TEST

START_TEST(set_replaces)
{
	size_t bytes;

	ck_assert(strmap_set(map, "k", 1, &values[0]));
	bytes = strmap_bytes(map);
	unit_fail_alloc(1); /* replacing needs no memory */
	ck_assert(strmap_set(map, "k", 1, &values[1]));
	ck_assert_ptr_eq(strmap_get(map, "k", 1), &values[1]);
	ck_assert_uint_eq(strmap_count(map), 1);
	ck_assert_uint_eq(strmap_bytes(map), bytes);
}
END_TEST

START_TEST(bytes_follow_the_keys)
{
	size_t bytes;
	char key[100] = { 0 };

	ck_assert(strmap_set(map, "k", 1, &values[0]));
	bytes = strmap_bytes(map);
	ck_assert(strmap_set(map, key, sizeof(key), &values[0]));
	ck_assert_uint_ge(strmap_bytes(map), bytes + sizeof(key));
	ck_assert_ptr_eq(strmap_remove(map, key, sizeof(key)), &values[0]);
	ck_assert_uint_eq(strmap_bytes(map), bytes);
}
END_TEST

static void mark(void *context, const void *key, size_t key_length, void *value)
{
	char text[16];
	size_t number = (size_t)((int *)value - values);

	snprintf(text, sizeof(text), "%zu", number);
	ck_assert_uint_eq(key_length, strlen(text));
	ck_assert_mem_eq(key, text, key_length);
	((int *)context)[number]++;
}

/* Random sets and removals against an array of what must be there; 1,000 keys force growth. */
START_TEST(agrees_with_a_simple_model)
{
	bool present[1000] = { false };
	int seen[1000] = { 0 };
	size_t count = 0;

	for (int round = 0; round < 10000; round++) {
		/* Few keys at first, so that runs form and dissolve in a small table too. */
		uint32_t number = random_below(round < 3000 ? 20 : 1000);
		char key[16];
		size_t length = (size_t)snprintf(key, sizeof(key), "%u", number);
		void *expected = present[number] ? &values[number] : NULL;

		/* Plain ifs: an assertion that holds is not free in Check. */
		if (strmap_get(map, key, length) != expected)
			ck_abort_msg("round %d: wrong value for %s", round, key);
		if (random_below(2)) {
			ck_assert(strmap_set(map, key, length, &values[number]));
			count += !present[number];
			present[number] = true;
		} else {
			ck_assert_ptr_eq(strmap_remove(map, key, length), expected);
			count -= present[number];
			present[number] = false;
		}
		if (strmap_count(map) != count)
			ck_abort_msg("round %d: wrong count", round);
	}
	strmap_each(map, mark, seen);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(seen[i], present[i]);
}
END_TEST

/* Whichever allocation fails, the key is not there and everything else is. */
START_TEST(failing_allocation_changes_nothing)
{
	unit_fail_alloc(1);
	ck_assert_ptr_null(strmap_create());
	for (int i = 0; i < 100; i++) {
		char key[16];
		size_t length = (size_t)snprintf(key, sizeof(key), "%d", i);

		for (unsigned long nth = 1;; nth++) {
			size_t before = strmap_bytes(map);

			unit_fail_alloc(nth);
			if (strmap_set(map, key, length, &values[i]))
				break;
			ck_assert(unit_alloc_failed());
			ck_assert_ptr_null(strmap_get(map, key, length));
			ck_assert_uint_eq(strmap_count(map), (size_t)i);
			if (nth == 1)
				ck_assert_uint_eq(strmap_bytes(map), before);
		}
		ck_assert(!unit_alloc_failed());
	}
	unit_fail_alloc(0);
	for (int i = 0; i < 100; i++) {
		char key[16];
		size_t length = (size_t)snprintf(key, sizeof(key), "%d", i);

		ck_assert_ptr_eq(strmap_get(map, key, length), &values[i]);
	}
}
END_TEST

static Suite *strmap_suite(void)
{
	Suite *suite = suite_create("base/strmap");
	TCase *tcase = tcase_create("strmap");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, empty_map);
	tcase_add_test(tcase, keys_are_byte_strings);
	tcase_add_test(tcase, keys_are_copied);
	tcase_add_test(tcase, set_replaces);
	tcase_add_test(tcase, bytes_follow_the_keys);
	tcase_add_test(tcase, agrees_with_a_simple_model);
	tcase_add_test(tcase, failing_allocation_changes_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(strmap_suite)
