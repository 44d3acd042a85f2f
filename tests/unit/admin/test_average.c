/* admin/average: the avg_* columns, at the beginning, in the usual case, and where there is
 * nothing. */

#include "admin/average.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

static void add_sample(struct averages *averages, const char *name, const struct traffic *traffic,
		       usec at)
{
	struct sample *list = calloc(1, sizeof(*list));

	ck_assert_ptr_nonnull(list);
	strcpy(list->database, name);
	list->traffic = *traffic;
	averages_add(averages, list, 1, at);
}

static const struct traffic early = { .xact_count = 10,
				      .query_count = 100,
				      .received = 1000,
				      .sent = 2000,
				      .xact_time = 5000,
				      .query_time = 7000,
				      .wait_time = 1000,
				      .bind_count = 60 };
static const struct traffic late = { .xact_count = 130,
				     .query_count = 700,
				     .received = 7000,
				     .sent = 2000,
				     .xact_time = 65000,
				     .query_time = 127000,
				     .wait_time = 601000,
				     .bind_count = 180 };

/* As PgBouncer's: counts, bytes and waiting per second, times per transaction and per query. */
START_TEST(averages_of_a_period)
{
	struct averages averages;
	struct traffic got;
	const char *const names[] = { "app", NULL };

	averages_init(&averages, 1);
	add_sample(&averages, "app", &early, 1000);
	add_sample(&averages, "app", &late, 1000 + 60 * USEC_PER_SEC);
	for (size_t i = 0; i < 2; i++) {
		averages_get(&averages, names[i], &got);
		ck_assert_uint_eq(got.xact_count, 2);
		ck_assert_uint_eq(got.query_count, 10);
		ck_assert_uint_eq(got.received, 100);
		ck_assert_uint_eq(got.sent, 0);
		ck_assert_uint_eq(got.xact_time, 60000 / 120);
		ck_assert_uint_eq(got.query_time, 120000 / 600);
		ck_assert_uint_eq(got.wait_time, 10000);
		ck_assert_uint_eq(got.bind_count, 2);
		ck_assert_uint_eq(got.client_login_count, 0);
	}
	averages_get(&averages, "other", &got);
	ck_assert_uint_eq(got.query_count, 0);
	averages_free(&averages);
}
END_TEST

/* The first period begins with the console. */
START_TEST(averages_at_the_beginning)
{
	struct averages averages;
	struct traffic got;

	averages_init(&averages, 1000);
	averages_get(&averages, "app", &got);
	ck_assert_uint_eq(got.query_count, 0);
	averages_get(&averages, NULL, &got);
	ck_assert_uint_eq(got.query_count, 0);
	add_sample(&averages, "app", &early, 1000 + 10 * USEC_PER_SEC);
	averages_get(&averages, "app", &got);
	ck_assert_uint_eq(got.query_count, 10);
	averages_free(&averages);
}
END_TEST

/* Nothing happened: no time is divided by no query. A counter that fell began anew. */
START_TEST(averages_of_nothing)
{
	struct averages averages;
	struct traffic got;

	averages_init(&averages, 1);
	add_sample(&averages, "app", &late, 1000);
	add_sample(&averages, "app", &late, 1000 + 60 * USEC_PER_SEC);
	averages_get(&averages, "app", &got);
	ck_assert_uint_eq(got.query_time, 0);
	ck_assert_uint_eq(got.xact_time, 0);
	ck_assert_uint_eq(got.query_count, 0);
	add_sample(&averages, "app", &early, 1000 + 70 * USEC_PER_SEC);
	averages_get(&averages, "app", &got);
	ck_assert_uint_eq(got.query_count, 10);
	ck_assert_uint_eq(got.query_time, 70);
	averages_free(&averages);
}
END_TEST

START_TEST(averages_of_very_much)
{
	struct averages averages;
	struct traffic none = { 0 };
	struct traffic much = { .sent = UINT64_MAX / 2 };
	struct traffic got;

	averages_init(&averages, 1);
	add_sample(&averages, "app", &none, 1000);
	add_sample(&averages, "app", &much, 1000 + USEC_PER_SEC);
	averages_get(&averages, "app", &got);
	ck_assert_uint_ge(got.sent, UINT64_MAX / 2 - UINT64_MAX / 1000);
	ck_assert_uint_le(got.sent, UINT64_MAX / 2 + UINT64_MAX / 1000);
	averages_free(&averages);
}
END_TEST

static Suite *average_suite(void)
{
	Suite *suite = suite_create("admin/average");
	TCase *tcase = tcase_create("average");

	tcase_add_test(tcase, averages_of_a_period);
	tcase_add_test(tcase, averages_at_the_beginning);
	tcase_add_test(tcase, averages_of_nothing);
	tcase_add_test(tcase, averages_of_very_much);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(average_suite)
