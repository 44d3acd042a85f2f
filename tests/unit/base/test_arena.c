/*
 * Corner cases: nothing asked for, exactly the limit, sizes that overflow, larger than a chunk,
 * a failed allocation at each place, a reset that keeps one chunk only.
 */

#include "base/arena.h"

#include <stdint.h>
#include <string.h>

#include "../unit.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

static struct arena *arena;

static void setup(void)
{
	arena = arena_create(SIZE_MAX);
	ck_assert_ptr_nonnull(arena);
}

static void teardown(void)
{
	unit_fail_alloc(0);
	arena_destroy(&arena);
}

START_TEST(destroy_clears_the_pointer)
{
	arena_destroy(&arena);
	ck_assert_ptr_null(arena);
	arena_destroy(&arena);
}
END_TEST

static void assert_filled(const unsigned char *memory, size_t size, unsigned char with)
{
	for (size_t i = 0; i < size; i++) {
		if (memory[i] != with)
			ck_abort_msg("byte %zu of %zu is %u, not %u", i, size, memory[i], with);
	}
}

/* Sizes around the alignment, the chunk and what counts as large; none may overlap. */
START_TEST(allocations_are_aligned_and_apart)
{
	static const size_t sizes[] = { 0,    1,    15,    16,    17,    100,    4095, 4096,
					4097, 8000, 16383, 16384, 16385, 100000, 1,    16 };
	unsigned char *got[32];

	for (int i = 0; i < 32; i++) {
		got[i] = arena_alloc(arena, sizes[i % 16]);
		ck_assert_ptr_nonnull(got[i]);
		ck_assert_uint_eq((uintptr_t)got[i] % _Alignof(max_align_t), 0);
		memset(got[i], i, sizes[i % 16]);
		for (int j = 0; j < i; j++)
			ck_assert_ptr_ne(got[i], got[j]);
	}
	for (int i = 0; i < 32; i++)
		assert_filled(got[i], sizes[i % 16], (unsigned char)i);
}
END_TEST

START_TEST(zalloc_is_zero_in_used_memory)
{
	unsigned char *first = arena_alloc(arena, 1000), *again;

	memset(first, 0xff, 1000);
	arena_reset(arena);
	again = arena_zalloc(arena, 1000);
	ck_assert_ptr_eq(again, first);
	assert_filled(again, 1000, 0);
}
END_TEST

START_TEST(copies_end_in_nul)
{
	char *text = arena_copy_text(arena, "hello world", 5);

	ck_assert_str_eq(text, "hello");
	ck_assert_str_eq(arena_copy_string(arena, "all of it"), "all of it");
	ck_assert_str_eq(arena_copy_string(arena, ""), "");
	ck_assert_str_eq(arena_copy_text(arena, NULL, 0), "");
	text = arena_copy_text(arena, "a\0b", 3);
	ck_assert_mem_eq(text, "a\0b", 4);
}
END_TEST

START_TEST(limit_is_exact_and_reset_restores_it)
{
	struct arena *small = arena_create(256);

	for (int round = 0; round < 3; round++) {
		ck_assert_ptr_null(arena_alloc(small, 257));
		ck_assert_ptr_nonnull(arena_alloc(small, 128));
		ck_assert_ptr_null(arena_alloc(small, 129));
		ck_assert_ptr_nonnull(arena_alloc(small, 128));
		ck_assert_uint_eq(arena_used(small), 256);
		ck_assert_ptr_null(arena_alloc(small, 0));
		ck_assert_ptr_null(arena_copy_string(small, ""));
		arena_reset(small);
		ck_assert_uint_eq(arena_used(small), 0);
	}
	arena_destroy(&small);
}
END_TEST

START_TEST(sizes_that_overflow_are_refused)
{
	static const size_t sizes[] = { SIZE_MAX,       SIZE_MAX - 1, SIZE_MAX - 15,
					SIZE_MAX - 100, PTRDIFF_MAX,  SIZE_MAX / 2 + 1 };

	ck_assert_ptr_nonnull(arena_alloc(arena, 1));
	ck_assert_ptr_null(arena_alloc(arena, sizes[_i]));
	ck_assert_ptr_null(arena_zalloc(arena, sizes[_i]));
	ck_assert_ptr_null(arena_copy_text(arena, "x", sizes[_i]));
	ck_assert_ptr_nonnull(arena_alloc(arena, 1));
}
END_TEST

START_TEST(large_one_leaves_room_in_the_chunk)
{
	char *small = arena_alloc(arena, 16);

	ck_assert_ptr_nonnull(arena_alloc(arena, 1000000));
	ck_assert_ptr_eq(arena_alloc(arena, 16), small + 16);
}
END_TEST

START_TEST(failing_allocation_leaves_it_usable)
{
	struct arena *failing;

	unit_fail_alloc(1);
	ck_assert_ptr_null(arena_create(1000));
	failing = arena_create(SIZE_MAX);
	unit_fail_alloc(1);
	ck_assert_ptr_null(arena_alloc(failing, 10));
	ck_assert_uint_eq(arena_used(failing), 0);
	unit_fail_alloc(1);
	ck_assert_ptr_null(arena_zalloc(failing, 100000));
	unit_fail_alloc(1);
	ck_assert_ptr_null(arena_copy_string(failing, "text"));
	ck_assert_str_eq(arena_copy_string(failing, "text"), "text");
	unit_fail_alloc(1);
	ck_assert_ptr_null(arena_alloc(failing, 100000));
	ck_assert_ptr_nonnull(arena_alloc(failing, 10));
	arena_destroy(&failing);
}
END_TEST

/* The next use after a reset allocates nothing, and large memory was given back. */
START_TEST(reset_keeps_one_chunk)
{
	for (int i = 0; i < 100; i++)
		arena_alloc(arena, 3000);
	arena_alloc(arena, 1000000);
	arena_reset(arena);
	unit_fail_alloc(1);
	ck_assert_ptr_nonnull(arena_alloc(arena, 100));
	ck_assert(!unit_alloc_failed());
	ck_assert_ptr_null(arena_alloc(arena, 1000000));
}
END_TEST

START_TEST(reset_of_only_large_memory)
{
	ck_assert_ptr_nonnull(arena_alloc(arena, 1000000));
	arena_reset(arena);
	arena_reset(arena);
	ck_assert_ptr_nonnull(arena_alloc(arena, 10));
}
END_TEST

#if defined(__SANITIZE_ADDRESS__)
START_TEST(sanitizer_sees_use_after_reset)
{
	char *text = arena_alloc(arena, 20);

	ck_assert(!__asan_address_is_poisoned(text + 19));
	ck_assert(__asan_address_is_poisoned(text + 20));
	arena_reset(arena);
	ck_assert(__asan_address_is_poisoned(text));
}
END_TEST
#endif

static Suite *arena_suite(void)
{
	Suite *suite = suite_create("base/arena");
	TCase *tcase = tcase_create("arena");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, destroy_clears_the_pointer);
	tcase_add_test(tcase, allocations_are_aligned_and_apart);
	tcase_add_test(tcase, zalloc_is_zero_in_used_memory);
	tcase_add_test(tcase, copies_end_in_nul);
	tcase_add_test(tcase, limit_is_exact_and_reset_restores_it);
	tcase_add_loop_test(tcase, sizes_that_overflow_are_refused, 0, 6);
	tcase_add_test(tcase, large_one_leaves_room_in_the_chunk);
	tcase_add_test(tcase, failing_allocation_leaves_it_usable);
	tcase_add_test(tcase, reset_keeps_one_chunk);
	tcase_add_test(tcase, reset_of_only_large_memory);
#if defined(__SANITIZE_ADDRESS__)
	tcase_add_test(tcase, sanitizer_sees_use_after_reset);
#endif
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(arena_suite)
