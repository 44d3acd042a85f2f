/* admin/rows: how the rows of workers become one list. */

#include "admin/rows.h"

#include <stdlib.h>

#include "unit.h"

struct number {
	int key;
	int count;
};

static int compare(const void *a, const void *b)
{
	return ((const struct number *)a)->key - ((const struct number *)b)->key;
}

static void fold(void *into, const void *from)
{
	((struct number *)into)->count += ((const struct number *)from)->count;
}

static struct rows *numbers(int first, int n)
{
	struct rows *rows = rows_create(sizeof(struct number));

	for (int i = 0; i < n && rows; i++) {
		struct number *row = rows_add(&rows);

		if (row)
			*row = (struct number){ first + i, 1 };
	}
	return rows;
}

START_TEST(merges_and_folds)
{
	void *parts[3] = { numbers(10, 50), numbers(0, 0), numbers(0, 20) };
	struct rows *all = rows_merge(parts, 3, sizeof(struct number), compare, fold);
	int key = 15;
	int missing = 60;

	ck_assert_ptr_nonnull(all);
	ck_assert_uint_eq(all->count, 60);
	for (int i = 0; i < 60; i++) {
		const struct number *row = rows_at(all, (size_t)i);

		ck_assert_int_eq(row->key, i);
		ck_assert_int_eq(row->count, i >= 10 && i < 20 ? 2 : 1);
	}
	ck_assert_ptr_eq(rows_find(all, &key, compare), rows_at(all, 15));
	ck_assert_ptr_null(rows_find(all, &missing, compare));
	free(all);
	all = rows_merge(parts, 3, sizeof(struct number), compare, NULL);
	ck_assert_uint_eq(all->count, 70);
	free(all);
	for (int i = 0; i < 3; i++)
		free(parts[i]);
}
END_TEST

START_TEST(merges_nothing)
{
	void *part = numbers(0, 0);
	struct rows *all = rows_merge(&part, 1, sizeof(struct number), compare, fold);

	ck_assert_ptr_nonnull(all);
	ck_assert_uint_eq(all->count, 0);
	free(all);
	free(part);
}
END_TEST

/* Rows that are missing somewhere are no result. */
START_TEST(merges_no_half)
{
	void *parts[2] = { numbers(0, 3), NULL };

	ck_assert_ptr_null(rows_merge(parts, 2, sizeof(struct number), compare, fold));
	parts[1] = numbers(0, 1);
	((struct rows *)parts[1])->is_short = true;
	ck_assert_ptr_null(rows_merge(parts, 2, sizeof(struct number), compare, fold));
	free(parts[0]);
	free(parts[1]);
}
END_TEST

START_TEST(rows_without_memory)
{
	bool has_failed = true;

	for (unsigned long nth = 1; has_failed; nth++) {
		void *part;
		struct rows *all;

		unit_fail_alloc(nth);
		part = numbers(0, 100);
		all = rows_merge(&part, 1, sizeof(struct number), compare, fold);
		has_failed = unit_alloc_failed();
		unit_fail_alloc(0);
		ck_assert_int_eq(all == NULL, has_failed);
		free(all);
		free(part);
	}
}
END_TEST

static Suite *rows_suite(void)
{
	Suite *suite = suite_create("admin/rows");
	TCase *tcase = tcase_create("rows");

	tcase_add_test(tcase, merges_and_folds);
	tcase_add_test(tcase, merges_nothing);
	tcase_add_test(tcase, merges_no_half);
	tcase_add_test(tcase, rows_without_memory);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(rows_suite)
