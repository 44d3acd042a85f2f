/* Adding and subtracting: every field by itself, and that no field is left out. */

#include "stats/traffic.h"

#include <string.h>

#include "../unit.h"

#define FIELDS (sizeof(struct traffic) / sizeof(uint64_t))

/* The struct as the array of counters that its list makes of it. */
static void fill(struct traffic *traffic, uint64_t first, uint64_t step)
{
	uint64_t fields[FIELDS];

	for (size_t i = 0; i < FIELDS; i++)
		fields[i] = first + i * step;
	memcpy(traffic, fields, sizeof(fields));
}

START_TEST(merge_adds_field_by_field)
{
	struct traffic into, from, expected;

	fill(&into, 1000, 3);
	fill(&from, 7, 10);
	fill(&expected, 1007, 13);
	traffic_merge(&into, &from);
	ck_assert_mem_eq(&into, &expected, sizeof(into));
}
END_TEST

START_TEST(difference_subtracts_field_by_field)
{
	struct traffic now, before, difference, expected;

	fill(&now, 1000, 30);
	fill(&before, 1, 10);
	fill(&expected, 999, 20);
	traffic_difference(&difference, &now, &before);
	ck_assert_mem_eq(&difference, &expected, sizeof(difference));
	traffic_difference(&now, &now, &before); /* into its own operand */
	ck_assert_mem_eq(&now, &expected, sizeof(now));
}
END_TEST

START_TEST(difference_over_a_wrap)
{
	struct traffic now = { .received = 5 }, before = { .received = UINT64_MAX - 4 };
	struct traffic difference;

	traffic_difference(&difference, &now, &before);
	ck_assert_uint_eq(difference.received, 10);
	ck_assert_uint_eq(difference.sent, 0);
}
END_TEST

static Suite *traffic_suite(void)
{
	Suite *suite = suite_create("stats/traffic");
	TCase *tcase = tcase_create("traffic");

	tcase_add_test(tcase, merge_adds_field_by_field);
	tcase_add_test(tcase, difference_subtracts_field_by_field);
	tcase_add_test(tcase, difference_over_a_wrap);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(traffic_suite)
