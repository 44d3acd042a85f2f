/* session/pending: a ring that grows, and what its entries own. */

#include "session/pending.h"

#include <stdlib.h>

#include "session/statement.h"
#include "unit.h"

static struct pending pending;

static void tear_down(void)
{
	pending_clear(&pending);
}

static struct pending_entry *add(unsigned number)
{
	struct pending_entry *entry = pending_add(&pending, PENDING_QUERY, PENDING_FORWARD);

	ck_assert_ptr_nonnull(entry);
	entry->commands_done = number;
	return entry;
}

START_TEST(empty)
{
	ck_assert(pending_is_empty(&pending));
	ck_assert_ptr_null(pending_first(&pending));
	ck_assert_ptr_null(pending_at(&pending, 0));
	pending_clear(&pending);
	ck_assert(pending_is_empty(&pending));
}
END_TEST

START_TEST(first_in_first_out_at_every_offset)
{
	/* so that the ring wraps at each place, and grows while it is wrapped */
	for (unsigned offset = 0; offset < 20; offset++) {
		unsigned last = 0;

		for (unsigned i = 0; i < offset; i++) {
			add(0);
			pending_pop(&pending);
		}
		for (unsigned i = 1; i <= 40; i++)
			add(i);
		ck_assert_uint_eq(pending.count, 40);
		for (unsigned i = 0; i < 40; i++)
			ck_assert_uint_eq(pending_at(&pending, i)->commands_done, i + 1);
		ck_assert_ptr_null(pending_at(&pending, 40));
		while (!pending_is_empty(&pending)) {
			ck_assert_uint_eq(pending_first(&pending)->commands_done, ++last);
			pending_pop(&pending);
		}
		ck_assert_uint_eq(last, 40);
		pending_clear(&pending);
	}
}
END_TEST

START_TEST(a_new_entry_is_zeroed)
{
	struct pending_entry *entry = add(7);

	entry->name_hash = 99;
	pending_pop(&pending);
	for (int i = 0; i < 8; i++) {
		entry = pending_add(&pending, PENDING_PARSE, PENDING_SWALLOW);
		ck_assert_uint_eq(entry->kind, PENDING_PARSE);
		ck_assert_uint_eq(entry->action, PENDING_SWALLOW);
		ck_assert_uint_eq(entry->commands_done, 0);
		ck_assert_uint_eq(entry->name_hash, 0);
		ck_assert_ptr_null(entry->text);
	}
}
END_TEST

START_TEST(remove_from_the_middle)
{
	for (unsigned offset = 0; offset < 8; offset++) {
		for (unsigned at = 0; at < 6; at++) {
			unsigned expected = 0;

			for (unsigned i = 0; i < offset; i++) {
				add(0);
				pending_pop(&pending);
			}
			for (unsigned i = 0; i < 6; i++)
				add(i);
			pending_remove(&pending, at);
			ck_assert_uint_eq(pending.count, 5);
			for (unsigned i = 0; i < 5; i++, expected++) {
				expected += expected == at;
				ck_assert_uint_eq(pending_at(&pending, i)->commands_done,
						  expected);
			}
			add(6);
			ck_assert_uint_eq(pending_at(&pending, 5)->commands_done, 6);
			pending_clear(&pending);
		}
	}
}
END_TEST

/* What an entry owns goes with it; the sanitizer would tell. A removed one leaves its neighbours'
 * alone. */
START_TEST(entries_own_their_texts_and_statements)
{
	struct statement_cache *cache = statement_cache_create(1 << 20);
	struct verdict verdict = { .kind = VERDICT_READ };
	struct judgement judgement = { .verdict = &verdict };
	struct statement *statement =
		statement_get(cache, STATEMENT_PARSE, (const uint8_t *)"SELECT 1", 9, &judgement);

	for (int i = 0; i < 6; i++) {
		struct pending_entry *entry =
			pending_add(&pending, PENDING_ANSWER, PENDING_FORWARD);

		entry->statement = statement_ref(statement);
		entry->facts_owner = statement_ref(statement);
		entry->text = calloc(1, sizeof(*entry->text));
		ck_assert(bytes_append_text(entry->text, "text"));
	}
	ck_assert_uint_eq(statement->references, 13);
	pending_pop(&pending);
	pending_remove(&pending, 2);
	ck_assert_uint_eq(statement->references, 9);
	ck_assert_uint_eq(bytes_length(pending_at(&pending, 3)->text), 4);
	pending_clear(&pending);
	ck_assert_uint_eq(statement->references, 1);
	statement_unref(&statement);
	statement_cache_destroy(&cache);
}
END_TEST

START_TEST(without_memory_nothing_is_added)
{
	for (unsigned i = 0; i < 8; i++)
		add(i);
	unit_fail_alloc(1);
	ck_assert_ptr_null(pending_add(&pending, PENDING_SYNC, PENDING_FORWARD));
	unit_fail_alloc(0);
	ck_assert_uint_eq(pending.count, 8);
	add(8);
	for (unsigned i = 0; i < 9; i++)
		ck_assert_uint_eq(pending_at(&pending, i)->commands_done, i);
}
END_TEST

START_TEST(pop_of_nothing)
{
	pending_pop(&pending);
}
END_TEST

static Suite *pending_suite(void)
{
	Suite *suite = suite_create("session/pending");
	TCase *tc = tcase_create("pending");

	tcase_add_checked_fixture(tc, NULL, tear_down);
	tcase_add_test(tc, empty);
	tcase_add_test(tc, first_in_first_out_at_every_offset);
	tcase_add_test(tc, a_new_entry_is_zeroed);
	tcase_add_test(tc, remove_from_the_middle);
	tcase_add_test(tc, entries_own_their_texts_and_statements);
	tcase_add_test(tc, without_memory_nothing_is_added);
	tcase_add_test_raise_signal(tc, pop_of_nothing, 6);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(pending_suite)
