/*
 * Corner cases: empty, one record, 0, negative, both sides of each bucket's edge, longer than the
 * range, the ends of the quantiles, and quantiles against sorted values.
 */

#include "stats/hist.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "../unit.h"

#define LONGEST (((usec)1 << 36) - 1)

static struct hist h;

static void setup(void)
{
	memset(&h, 0, sizeof(h));
}

/* The bucket in which one record of this duration is found. */
static unsigned bucket_of(usec duration)
{
	struct hist one = { 0 };
	unsigned bucket = 0;

	hist_record(&one, duration);
	while (bucket < HIST_BUCKETS && one.counts[bucket] == 0)
		bucket++;
	ck_assert_uint_lt(bucket, HIST_BUCKETS);
	return bucket;
}

START_TEST(empty_has_no_quantile)
{
	ck_assert_int_eq(hist_quantile(&h, 0), 0);
	ck_assert_int_eq(hist_quantile(&h, 0.5), 0);
	ck_assert_int_eq(hist_quantile(&h, 1), 0);
}
END_TEST

START_TEST(one_record_is_every_quantile)
{
	hist_record(&h, 1234567);
	ck_assert_uint_eq(h.total, 1);
	ck_assert_uint_eq(h.sum, 1234567);
	ck_assert_int_eq(hist_quantile(&h, 0), 1234567);
	ck_assert_int_eq(hist_quantile(&h, 0.5), 1234567);
	ck_assert_int_eq(hist_quantile(&h, 1), 1234567);
}
END_TEST

START_TEST(out_of_range_counts_at_the_end)
{
	hist_record(&h, -1);
	hist_record(&h, INT64_MIN);
	ck_assert_uint_eq(h.counts[0], 2);
	ck_assert_uint_eq(h.sum, 0);
	hist_record(&h, LONGEST + 1);
	hist_record(&h, INT64_MAX);
	ck_assert_uint_eq(h.counts[HIST_BUCKETS - 1], 2);
	ck_assert_uint_eq(h.sum, 2 * (uint64_t)LONGEST);
	ck_assert_int_eq(h.max, LONGEST);
	ck_assert_int_eq(hist_quantile(&h, 1), LONGEST);
}
END_TEST

/* An edge counts in its bucket, the next microsecond in the next, and buckets are narrow. */
START_TEST(edges_part_the_buckets)
{
	usec before = -1;

	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		usec edge = hist_bucket_edge(i);

		ck_assert_int_gt(edge, before);
		ck_assert_uint_eq(bucket_of(edge), i);
		ck_assert_uint_eq(bucket_of(before + 1), i);
		ck_assert_int_le((edge - before - 1) * 16, before + 1);
		before = edge;
	}
	ck_assert_int_eq(before, LONGEST);
}
END_TEST

START_TEST(ranks_are_exact)
{
	static const struct {
		double quantile;
		usec expected;
	} cases[] = { { -1, 1 },     { NAN, 1 }, { 0, 1 },    { 0.05, 1 }, { 0.1, 1 },
		      { 0.11, 2 },   { 0.5, 5 }, { 0.51, 6 }, { 0.9, 9 },  { 0.95, 10 },
		      { 0.999, 10 }, { 1, 10 },  { 7, 10 } };

	for (usec value = 1; value <= 10; value++)
		hist_record(&h, value);
	ck_assert_int_eq(hist_quantile(&h, cases[_i].quantile), cases[_i].expected);
}
END_TEST

static int compare(const void *a, const void *b)
{
	usec left = *(const usec *)a, right = *(const usec *)b;

	return (left > right) - (left < right);
}

START_TEST(quantiles_are_right_to_a_sixteenth)
{
	static usec values[2000];

	for (int i = 0; i < 2000; i++) {
		values[i] = (usec)(random_fast() >> (28 + random_below(36)));
		hist_record(&h, values[i]);
	}
	qsort(values, 2000, sizeof(values[0]), compare);
	for (int percent = 1; percent <= 100; percent++) {
		usec exact = values[percent * 20 - 1];
		usec found = hist_quantile(&h, percent / 100.0 - 1e-9);

		ck_assert_int_ge(found, exact);
		ck_assert_int_le(found - exact, exact / 16);
	}
}
END_TEST

START_TEST(merge_adds_everything)
{
	struct hist a = { 0 }, b = { 0 };

	for (usec value = 0; value < 1000; value++) {
		hist_record(value % 3 ? &a : &b, value * value);
		hist_record(&h, value * value);
	}
	hist_merge(&a, &b);
	ck_assert_mem_eq(&a, &h, sizeof(h));
	memset(&b, 0, sizeof(b));
	hist_merge(&b, &h);
	ck_assert_mem_eq(&b, &h, sizeof(h));
	hist_merge(&b, &(struct hist){ 0 });
	ck_assert_mem_eq(&b, &h, sizeof(h));
}
END_TEST

/* A day of 100,000 fast requests a second is more than 32 bits hold. */
START_TEST(counts_do_not_wrap)
{
	h.counts[5] = h.total = UINT32_MAX;
	hist_record(&h, 5);
	hist_record(&h, 7);
	ck_assert_uint_eq(h.counts[5], (uint64_t)UINT32_MAX + 1);
	ck_assert_int_eq(hist_quantile(&h, 0.5), 5);
}
END_TEST

static Suite *hist_suite(void)
{
	Suite *suite = suite_create("stats/hist");
	TCase *tcase = tcase_create("hist");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, empty_has_no_quantile);
	tcase_add_test(tcase, one_record_is_every_quantile);
	tcase_add_test(tcase, out_of_range_counts_at_the_end);
	tcase_add_test(tcase, edges_part_the_buckets);
	tcase_add_loop_test(tcase, ranks_are_exact, 0, 13);
	tcase_add_test(tcase, quantiles_are_right_to_a_sixteenth);
	tcase_add_test(tcase, merge_adds_everything);
	tcase_add_test(tcase, counts_do_not_wrap);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(hist_suite)
