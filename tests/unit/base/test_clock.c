/* The real clocks and the faked one. */

#include "base/clock.h"

#include <pthread.h>
#include <time.h>

#include "../unit.h"

static void real_clock(void)
{
	clock_fake(0);
}

START_TEST(monotonic_never_runs_back_and_is_never_zero)
{
	usec before = clock_now();

	ck_assert_int_gt(before, 0);
	for (int i = 0; i < 1000; i++) {
		usec now = clock_now();

		ck_assert_int_ge(now, before);
		before = now;
	}
}
END_TEST

START_TEST(units_are_microseconds)
{
	struct timespec raw;
	usec before = clock_now(), between;

	ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &raw), 0);
	between = (usec)raw.tv_sec * 1000000 + raw.tv_nsec / 1000;
	ck_assert_int_le(before, between);
	ck_assert_int_ge(clock_now(), between);
}
END_TEST

START_TEST(wall_clock_is_the_time_of_day)
{
	/* time() may be taken from a coarser clock, a tick behind. */
	ck_assert_int_le(time(NULL) - clock_wall() / USEC_PER_SEC, 1);
	ck_assert_int_ge(time(NULL) - clock_wall() / USEC_PER_SEC, -1);
}
END_TEST

static void *read_clock(void *result)
{
	*(usec *)result = clock_now();
	return NULL;
}

START_TEST(fake_stands_still_in_every_thread)
{
	pthread_t thread;
	usec seen = 0;

	clock_fake(12345);
	ck_assert_int_eq(clock_now(), 12345);
	ck_assert_int_eq(clock_wall(), 12345);
	ck_assert_int_eq(pthread_create(&thread, NULL, read_clock, &seen), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(seen, 12345);
	clock_fake(1);
	ck_assert_int_eq(clock_now(), 1);
	clock_fake(INT64_MAX);
	ck_assert_int_eq(clock_now(), INT64_MAX);
}
END_TEST

START_TEST(zero_gives_the_real_clocks_back)
{
	clock_fake(1);
	clock_fake(0);
	ck_assert_int_gt(clock_now(), 1);
	ck_assert_int_gt(clock_wall(), USEC_PER_SEC);
}
END_TEST

static Suite *clock_suite(void)
{
	Suite *suite = suite_create("base/clock");
	TCase *tcase = tcase_create("clock");

	tcase_add_checked_fixture(tcase, NULL, real_clock);
	tcase_add_test(tcase, monotonic_never_runs_back_and_is_never_zero);
	tcase_add_test(tcase, units_are_microseconds);
	tcase_add_test(tcase, wall_clock_is_the_time_of_day);
	tcase_add_test(tcase, fake_stands_still_in_every_thread);
	tcase_add_test(tcase, zero_gives_the_real_clocks_back);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(clock_suite)
