/* Corner cases: no source, the same line twice, more problems than are kept, no memory. */

#include "config/problems.h"

#include <string.h>

#include "../unit.h"
#include "config/source.h"

static struct problems problems;

static void setup(void)
{
	problems = (struct problems){ 0 };
}

static void teardown(void)
{
	problems_free(&problems);
}

static void assert_report(const struct source *source, const char *expected)
{
	struct bytes out = { 0 };

	problems_report(&problems, source, &out);
	ck_assert(bytes_append(&out, "", 1));
	ck_assert_str_eq((const char *)bytes_begin(&out), expected);
	bytes_free(&out);
}

START_TEST(none_is_nothing)
{
	ck_assert(!problems_exist(&problems));
	assert_report(NULL, "");
}
END_TEST

START_TEST(they_are_told_by_line)
{
	struct source source;
	struct problems none = { 0 };

	ck_assert(source_read_text(&source, "x.conf", "a\nb\nc\n", 6, &none));
	problems_add(&problems, 3, "third %d", 1);
	problems_add(&problems, 2, "second");
	problems_add(&problems, 3, "third %d", 2);
	problems_add(&problems, 0, "whole");
	ck_assert(problems_exist(&problems));
	assert_report(&source, "x.conf:1: whole\nx.conf:2: second\nx.conf:3: third 1\n"
			       "x.conf:3: third 2\n");
	assert_report(NULL, "whole\nsecond\nthird 1\nthird 2\n");
	source_free(&source);
}
END_TEST

START_TEST(they_are_bounded)
{
	struct bytes out = { 0 };

	for (int i = 0; i < 1000; i++)
		problems_add(&problems, 1, "x");
	problems_report(&problems, NULL, &out);
	ck_assert(bytes_append(&out, "", 1));
	ck_assert_uint_lt(bytes_length(&out), 1000);
	ck_assert_ptr_nonnull(strstr((const char *)bytes_begin(&out), " more problems\n"));
	bytes_free(&out);
}
END_TEST

START_TEST(without_memory_they_still_count)
{
	unit_fail_alloc(1);
	problems_add(&problems, 1, "x");
	ck_assert(unit_alloc_failed());
	unit_fail_alloc(0);
	ck_assert(problems_exist(&problems));
	assert_report(NULL, "1 more problems\n");
}
END_TEST

static Suite *problems_suite(void)
{
	Suite *suite = suite_create("config/problems");
	TCase *tcase = tcase_create("list");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, none_is_nothing);
	tcase_add_test(tcase, they_are_told_by_line);
	tcase_add_test(tcase, they_are_bounded);
	tcase_add_test(tcase, without_memory_they_still_count);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(problems_suite)
