/* Not the quality of the generators, but that we use them right: filled, in range, fair. */

#include "base/random.h"

#include <pthread.h>
#include <string.h>

#include "../unit.h"

START_TEST(secret_fills_exactly_the_buffer)
{
	static const size_t lengths[] = { 0, 1, 16, 255, 256, 257, 4096 };
	size_t length = lengths[_i];
	unsigned char buffer[4096 + 2];
	int changed = 0;

	/* A byte may come out as it was; 16 times in a row it does not. */
	for (int round = 0; round < 16; round++) {
		memset(buffer, 0xA5, sizeof(buffer));
		random_secret(buffer + 1, length);
		ck_assert_uint_eq(buffer[0], 0xA5);
		ck_assert_uint_eq(buffer[length + 1], 0xA5);
		changed += length > 0 && buffer[length] != 0xA5;
	}
	ck_assert_int_eq(changed > 0, length > 0);
}
END_TEST

START_TEST(secrets_differ)
{
	unsigned char first[16], second[16];

	random_secret(first, sizeof(first));
	random_secret(second, sizeof(second));
	ck_assert_mem_ne(first, second, sizeof(first));
}
END_TEST

static void *draw(void *result)
{
	*(uint64_t *)result = random_fast();
	return NULL;
}

START_TEST(each_thread_has_its_own_sequence)
{
	uint64_t results[4];
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, draw, &results[i]), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < 4; i++) {
		for (int j = 0; j < i; j++)
			ck_assert_uint_ne(results[i], results[j]);
	}
}
END_TEST

START_TEST(below_stays_below)
{
	static const uint32_t bounds[] = {
		1, 2, 3, 7, 100, 0x80000000u, 0x80000001u, UINT32_MAX
	};

	for (int round = 0; round < 200; round++)
		ck_assert_uint_lt(random_below(bounds[_i]), bounds[_i]);
}
END_TEST

/* 6,000 throws of a die: each face 1,000 +- 7 standard deviations (29). */
START_TEST(below_is_fair)
{
	int faces[6] = { 0 };

	for (int i = 0; i < 6000; i++)
		faces[random_below(6)]++;
	for (int i = 0; i < 6; i++) {
		ck_assert_int_gt(faces[i], 800);
		ck_assert_int_lt(faces[i], 1200);
	}
}
END_TEST

static Suite *random_suite(void)
{
	Suite *suite = suite_create("base/random");
	TCase *tcase = tcase_create("random");

	tcase_add_loop_test(tcase, secret_fills_exactly_the_buffer, 0, 7);
	tcase_add_test(tcase, secrets_differ);
	tcase_add_test(tcase, each_thread_has_its_own_sequence);
	tcase_add_loop_test(tcase, below_stays_below, 0, 8);
	tcase_add_test(tcase, below_is_fair);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(random_suite)
