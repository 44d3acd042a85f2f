/* session/statement: texts kept once, by bytes and by use; a client's names. */

#include "session/statement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

static struct statement_cache *cache;
static struct verdict verdict;
static struct judgement judgement;

static void set_up(void)
{
	cache = statement_cache_create(4000);
	ck_assert_ptr_nonnull(cache);
	verdict = (struct verdict){ .kind = VERDICT_READ,
				    .reason = VERDICT_REASON_READ,
				    .n_statements = 1 };
	judgement = (struct judgement){ .verdict = &verdict };
}

static void tear_down(void)
{
	statement_cache_destroy(&cache);
	ck_assert_ptr_null(cache);
	statement_cache_destroy(&cache);
}

static struct statement *get(const char *text)
{
	struct statement *statement = statement_get(cache, STATEMENT_PARSE, (const uint8_t *)text,
						    strlen(text) + 1, &judgement);

	ck_assert_ptr_nonnull(statement);
	return statement;
}

static bool has(const char *text)
{
	struct statement *statement =
		statement_find(cache, STATEMENT_PARSE, (const uint8_t *)text, strlen(text) + 1);
	bool found = statement != NULL;

	statement_unref(&statement);
	return found;
}

START_TEST(one_text_is_one_statement)
{
	struct statement *a = get("SELECT 1");
	struct statement *b = get("SELECT 1");
	struct statement *c = get("SELECT 2");

	ck_assert_ptr_eq(a, b);
	ck_assert_uint_eq(a->references, 2);
	ck_assert_uint_ne(a->id, c->id);
	ck_assert_uint_ne(a->id, 0);
	ck_assert_uint_eq(statement_cache_count(cache), 2);
	statement_unref(&a);
	ck_assert_ptr_null(a);
	statement_unref(&a);
	statement_unref(&b);
	statement_unref(&c);
	ck_assert(has("SELECT 1") && has("SELECT 2") && !has("SELECT 3"));
}
END_TEST

/* The types of the parameters belong to the body: another statement. */
START_TEST(the_whole_body_counts)
{
	struct statement *a = statement_get(cache, STATEMENT_PARSE,
					    (const uint8_t *)"SELECT $1\0\0\0", 12, &judgement);
	struct statement *b =
		statement_get(cache, STATEMENT_PARSE, (const uint8_t *)"SELECT $1\0\0\1\0\0\0\27",
			      16, &judgement);
	struct statement *nothing =
		statement_get(cache, STATEMENT_PARSE, (const uint8_t *)"", 0, &judgement);

	ck_assert_ptr_ne(a, b);
	ck_assert_uint_eq(b->body_length, 16);
	ck_assert_uint_eq(nothing->body_length, 0);
	statement_unref(&a);
	statement_unref(&b);
	statement_unref(&nothing);
}
END_TEST

START_TEST(ids_are_never_used_again)
{
	uint64_t last = 0;

	for (int i = 0; i < 200; i++) {
		char text[300];
		struct statement *statement;

		snprintf(text, sizeof(text), "SELECT %0200d", i % 50);
		statement = get(text);
		if (!last || statement->id > last)
			last = statement->id;
		else
			ck_assert_uint_lt(last - statement->id, 50); /* kept since then */
		statement_unref(&statement);
	}
	tear_down();
	set_up();
	{
		struct statement *statement = get("SELECT 1");

		ck_assert_uint_gt(statement->id, last); /* in another cache, too */
		statement_unref(&statement);
	}
}
END_TEST

/* What nobody holds is kept up to so many bytes; what was used longest ago goes first. */
START_TEST(idle_ones_go_by_use)
{
	char a[1024];
	char b[1024];
	char c[1024];
	char d[1024];
	char *const texts[] = { a, b, c, d };

	for (int i = 0; i < 4; i++) {
		struct statement *statement;

		memset(texts[i], 'a' + i, 1023);
		texts[i][1023] = '\0';
		if (i == 3)
			ck_assert(has(a)); /* used: b is the oldest now */
		statement = get(texts[i]);
		statement_unref(&statement);
	}
	ck_assert(!has(b));
	ck_assert(has(a) && has(c) && has(d));
	ck_assert_uint_eq(statement_cache_count(cache), 3);
	ck_assert_uint_le(statement_cache_bytes(cache), 2 * 4000);
}
END_TEST

START_TEST(held_ones_stay_whatever_there_is)
{
	char text[2048];
	struct statement *held[8];

	for (int i = 0; i < 8; i++) {
		memset(text, 'a' + i, sizeof(text) - 1);
		text[sizeof(text) - 1] = '\0';
		held[i] = get(text);
	}
	ck_assert_uint_eq(statement_cache_count(cache), 8);
	for (int i = 0; i < 8; i++)
		statement_unref(&held[i]);
	ck_assert_uint_eq(statement_cache_count(cache), 1);
	/* larger than all there is room for: gone with its last holder */
	{
		static const uint8_t body[5000];
		struct statement *huge =
			statement_get(cache, STATEMENT_PARSE, body, sizeof(body), &judgement);

		statement_unref(&huge);
		ck_assert_uint_eq(statement_cache_count(cache), 0);
	}
}
END_TEST

START_TEST(transaction_control_is_proved_from_the_start)
{
	struct statement *a = get("SELECT 1");
	struct statement *b;

	verdict.kind = VERDICT_TXN;
	b = get("BEGIN");
	ck_assert(!a->is_proved);
	ck_assert(b->is_proved);
	statement_unref(&a);
	statement_unref(&b);
}
END_TEST

/* Facts are copies: the judgement they came from may go. */
START_TEST(facts_are_copied)
{
	char name[] = "search_path";
	char value[] = "SET search_path TO x";
	struct effect effects[] = {
		{ .kind = EFFECT_SET, .name = name, .value = value },
		{ .kind = EFFECT_PIN, .pin = PIN_LISTEN, .statement = 1 },
		{ .kind = EFFECT_PREPARE, .name = name },
	};
	struct statement_facts *facts;

	verdict.effects = effects;
	verdict.n_effects = 3;
	judgement.hints.set = 1u << HINT_READ_HINT;
	judgement.hints.read_hint = READ_HINT_REPLICA;
	facts = statement_facts_create(&judgement, NULL, 0);
	memset(name, 'x', strlen(name));
	memset(value, 'x', strlen(value));
	memset(&judgement.hints, 0, sizeof(judgement.hints));
	ck_assert_uint_eq(facts->n_effects, 3);
	ck_assert_str_eq(facts->effects[0].name, "search_path");
	ck_assert_str_eq(facts->effects[0].value, "SET search_path TO x");
	ck_assert_ptr_null(facts->effects[1].name);
	ck_assert_uint_eq(facts->pins, 1u << PIN_LISTEN);
	ck_assert_int_eq(facts->hints->read_hint, READ_HINT_REPLICA);
	statement_facts_destroy(&facts);
	ck_assert_ptr_null(facts);
	statement_facts_destroy(&facts);
}
END_TEST

START_TEST(a_pin_that_ends_with_the_transaction_is_none)
{
	struct effect effects[] = {
		{ .kind = EFFECT_PIN, .pin = PIN_ADVISORY_LOCK, .flags = EFFECT_LOCAL },
	};
	struct statement_facts *facts;

	verdict.effects = effects;
	verdict.n_effects = 1;
	facts = statement_facts_create(&judgement, NULL, 0);
	ck_assert_uint_eq(facts->pins, 0);
	statement_facts_destroy(&facts);
}
END_TEST

START_TEST(names_on_servers)
{
	char name[STATEMENT_NAME_MAX];

	statement_name(1, name);
	ck_assert_str_eq(name, "pointsman_1");
	statement_name(UINT64_MAX, name);
	ck_assert_str_eq(name, "pointsman_18446744073709551615");
}
END_TEST

/* --- what one statement does with another --- */

/* EXECUTE is what its arguments and what it executes are. */
START_TEST(facts_of_what_is_executed)
{
	struct effect inner[] = { { .kind = EFFECT_SET, .name = "a", .value = "SET a TO b" },
				  { .kind = EFFECT_PIN, .pin = PIN_ADVISORY_LOCK } };
	struct effect outer[] = { { .kind = EFFECT_EXECUTE, .name = "x", .statement = 1 },
				  { .kind = EFFECT_EXECUTE, .name = "y", .statement = 2 },
				  { .kind = EFFECT_DEALLOCATE, .name = "x", .statement = 3 } };
	struct statement *executed[2] = { NULL, NULL };
	struct statement_facts *facts;

	verdict.kind = VERDICT_WRITE;
	verdict.reason = VERDICT_REASON_LOCK;
	verdict.effects = inner;
	verdict.n_effects = 2;
	judgement.hints.set = 1u << HINT_READ_HINT;
	judgement.hints.read_hint = READ_HINT_PRIMARY;
	executed[0] = get("SELECT pg_advisory_lock(1)");
	judgement.hints.set = 0;
	verdict = (struct verdict){ .kind = VERDICT_READ };
	executed[1] = get("SELECT 2");
	verdict = (struct verdict){ .kind = VERDICT_SESSION,
				    .reason = VERDICT_REASON_SESSION,
				    .rest_kind = VERDICT_READ,
				    .rest_reason = VERDICT_REASON_READ,
				    .n_statements = 4,
				    .effects = outer,
				    .n_effects = 3 };
	facts = statement_facts_create(&judgement, executed, 2);
	ck_assert_int_eq(facts->kind, VERDICT_WRITE);
	ck_assert_int_eq(facts->reason, VERDICT_REASON_LOCK);
	ck_assert_int_eq(facts->rest_kind, VERDICT_READ);
	ck_assert_uint_eq(facts->pins, 1u << PIN_ADVISORY_LOCK);
	ck_assert_int_eq(facts->hints->read_hint, READ_HINT_PRIMARY);
	ck_assert(facts->uses_names);
	/* Its effects stand behind it, and are those of its place in the text. */
	ck_assert_uint_eq(facts->n_effects, 5);
	ck_assert_int_eq(facts->effects[1].kind, EFFECT_SET);
	ck_assert_str_eq(facts->effects[1].value, "SET a TO b");
	ck_assert_uint_eq(facts->effects[1].statement, 1);
	ck_assert_int_eq(facts->effects[3].kind, EFFECT_EXECUTE);
	ck_assert_uint_eq(facts->effects[4].statement, 3);
	statement_facts_destroy(&facts);
	/* What is not known may be anything. */
	facts = statement_facts_create(&judgement, executed, 1);
	ck_assert_int_eq(facts->kind, VERDICT_SESSION);
	statement_facts_destroy(&facts);
	statement_unref(&executed[0]);
	statement_unref(&executed[1]);
}
END_TEST

static struct statement *get_rewritten(struct statement *target, uint64_t origin)
{
	const struct statement_rename rename = { .origin = origin, .at = 8, .original = 1 };

	return statement_get_rewritten(cache, (const uint8_t *)"EXECUTE p", 10, &judgement,
				       target, NAME_EXECUTE, &rename);
}

/* A text that was rewritten is nobody's who writes the same. */
START_TEST(rewritten_ones_are_apart)
{
	struct statement *target = get("SELECT 1");
	struct statement *rewritten = get_rewritten(target, 5);
	struct statement *same = get("EXECUTE p");
	struct statement *found;

	ck_assert_ptr_ne(rewritten, same);
	ck_assert_ptr_null(same->target);
	ck_assert_ptr_eq(rewritten->target, target);
	ck_assert_uint_eq(rewritten->body_length, 10);
	ck_assert_uint_eq(target->references, 2);
	found = statement_find_rewritten(cache, (const uint8_t *)"EXECUTE p", 10, 5);
	ck_assert_ptr_eq(found, rewritten);
	statement_unref(&found);
	ck_assert_ptr_null(statement_find_rewritten(cache, (const uint8_t *)"EXECUTE p", 10, 6));
	statement_unref(&same);
	statement_unref(&target);
	/* The target lives as long as what needs it. */
	ck_assert(has("SELECT 1"));
	statement_unref(&rewritten);
}
END_TEST

START_TEST(unshared_ones_go_with_their_last_reference)
{
	struct statement *one = statement_create_unshared(
		cache, STATEMENT_SQL, (const uint8_t *)" AS SELECT 1", 12, &judgement);
	struct statement *two = statement_create_unshared(
		cache, STATEMENT_SQL, (const uint8_t *)" AS SELECT 1", 12, &judgement);

	ck_assert_uint_ne(one->id, two->id);
	ck_assert_uint_eq(statement_cache_count(cache), 0);
	statement_unref(&one);
	statement_unref(&two);
	ck_assert_ptr_null(
		statement_find(cache, STATEMENT_SQL, (const uint8_t *)" AS SELECT 1", 12));
}
END_TEST

START_TEST(rewriting_may_fail)
{
	struct statement *target = get("SELECT 1");
	bool failed = true;

	for (unsigned long nth = 1; failed; nth++) {
		struct statement *rewritten;

		unit_fail_alloc(nth);
		rewritten = get_rewritten(target, nth);
		failed = unit_alloc_failed();
		unit_fail_alloc(0);
		ck_assert_int_eq(rewritten != NULL, !failed);
		ck_assert_uint_eq(target->references, failed ? 1 : 2);
		statement_unref(&rewritten);
	}
	statement_unref(&target);
}
END_TEST

/* --- maps --- */

START_TEST(a_map_of_names)
{
	struct statement_map map = { 0 };
	struct statement *one = get("SELECT 1");
	struct statement *two = get("SELECT 2");

	ck_assert_ptr_null(statement_map_find(&map, "a"));
	statement_map_remove(&map, "a");
	for (int i = 0; i < 20; i++) {
		char name[16];

		snprintf(name, sizeof(name), "s%d", i);
		ck_assert(statement_map_add(&map, name, i % 2 ? one : two));
	}
	ck_assert_uint_eq(statement_map_count(&map), 20);
	ck_assert_uint_eq(one->references, 11);
	ck_assert_ptr_eq(statement_map_find(&map, "s7"), one);
	ck_assert_ptr_eq(statement_map_find(&map, "s8"), two);
	ck_assert_ptr_null(statement_map_find(&map, "S8")); /* names are exact */
	statement_map_remove(&map, "s7");
	ck_assert_ptr_null(statement_map_find(&map, "s7"));
	ck_assert_ptr_eq(statement_map_find(&map, "s19"), one);
	ck_assert_uint_eq(one->references, 10);
	statement_map_clear(&map);
	ck_assert_uint_eq(statement_map_count(&map), 0);
	ck_assert_uint_eq(one->references, 1);
	statement_unref(&one);
	statement_unref(&two);
}
END_TEST

/* Names come and go in any order; the table and the block of names do not grow for it. */
START_TEST(a_map_of_ten_thousand_names)
{
	struct statement_map map = { 0 };
	struct statement *one = get("SELECT 1");
	uint32_t cursor = 0;
	unsigned seen = 0;
	const char *name;
	struct statement *statement;
	char text[32];
	size_t bytes;

	for (int i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "statement_%d", i);
		ck_assert(statement_map_add(&map, text, one));
	}
	bytes = statement_map_bytes(&map);
	ck_assert_uint_lt(bytes, 10000 * 60);
	ck_assert_uint_eq(statement_map_text_bytes(&map), 10000 * one->body_length);
	for (int i = 0; i < 10000; i += 3) {
		snprintf(text, sizeof(text), "statement_%d", i);
		statement_map_remove(&map, text);
	}
	for (int round = 0; round < 100000; round++) {
		snprintf(text, sizeof(text), "other_%d", round);
		ck_assert(statement_map_add(&map, text, one));
		snprintf(text, sizeof(text), "other_%d", round - 1000);
		statement_map_remove(&map, text);
	}
	ck_assert_uint_le(statement_map_bytes(&map), bytes * 2);
	for (int i = 0; i < 10000; i++) {
		snprintf(text, sizeof(text), "statement_%d", i);
		ck_assert_ptr_eq(statement_map_find(&map, text), i % 3 ? one : NULL);
	}
	while (statement_map_next(&map, &cursor, &name, &statement)) {
		ck_assert_ptr_eq(statement_map_find(&map, name), statement);
		seen++;
	}
	ck_assert_uint_eq(seen, statement_map_count(&map));
	ck_assert_uint_eq(seen, 6666 + 1000);
	ck_assert_uint_eq(one->references, seen + 1);
	statement_map_clear(&map);
	ck_assert_uint_eq(statement_map_bytes(&map), 0);
	statement_unref(&one);
}
END_TEST

/* What an idle client pays for ten statements. */
START_TEST(ten_names_are_cheap)
{
	struct statement_map map = { 0 };
	struct statement *one = get("SELECT 1");
	char text[32];

	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "__asyncpg_stmt_%d__", i);
		ck_assert(statement_map_add(&map, text, one));
	}
	ck_assert_uint_le(statement_map_bytes(&map), 600);
	for (int i = 0; i < 10; i++) {
		snprintf(text, sizeof(text), "__asyncpg_stmt_%d__", i);
		statement_map_remove(&map, text);
	}
	ck_assert_uint_eq(statement_map_bytes(&map), 0); /* given back with the last name */
	statement_unref(&one);
}
END_TEST

START_TEST(a_failed_parse_takes_back_its_own_name_only)
{
	struct statement_map map = { 0 };
	struct statement *one = get("SELECT 1");
	struct statement *two = get("SELECT 2");
	uint64_t hash = statement_name_hash("a");

	ck_assert_uint_ne(statement_name_hash(""), 0);
	ck_assert(statement_map_add(&map, "a", two));
	/* the name has been given to something else since */
	statement_map_remove_hash(&map, hash, one);
	ck_assert_ptr_eq(statement_map_find(&map, "a"), two);
	statement_map_remove_hash(&map, hash, two);
	ck_assert_ptr_null(statement_map_find(&map, "a"));
	statement_map_remove_hash(&map, hash, two);
	statement_map_clear(&map);
	statement_unref(&one);
	statement_unref(&two);
}
END_TEST

START_TEST(a_failed_allocation_changes_nothing)
{
	struct effect effects[] = { { .kind = EFFECT_SET, .name = "a", .value = "b" } };
	unsigned long nth = 1;
	bool failed = true;

	verdict.effects = effects;
	verdict.n_effects = 1;
	judgement.hints.set = 1;
	for (; failed; nth++) {
		struct statement_map map = { 0 };
		struct statement *statement;
		bool added;

		unit_fail_alloc(nth);
		statement = statement_get(cache, STATEMENT_PARSE, (const uint8_t *)"SELECT 7", 9,
					  &judgement);
		added = statement && statement_map_add(&map, "a", statement);
		failed = unit_alloc_failed();
		unit_fail_alloc(0);
		ck_assert_int_eq(added, !failed);
		ck_assert_uint_eq(statement_map_count(&map), added ? 1 : 0);
		statement_map_clear(&map);
		statement_unref(&statement);
		/* so that the next round makes it anew */
		tear_down();
		set_up();
		verdict.effects = effects;
		verdict.n_effects = 1;
		judgement.hints.set = 1;
	}
	ck_assert_uint_gt(nth, 6);
}
END_TEST

static Suite *statement_suite(void)
{
	Suite *suite = suite_create("session/statement");
	TCase *tc = tcase_create("statement");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, one_text_is_one_statement);
	tcase_add_test(tc, the_whole_body_counts);
	tcase_add_test(tc, ids_are_never_used_again);
	tcase_add_test(tc, idle_ones_go_by_use);
	tcase_add_test(tc, held_ones_stay_whatever_there_is);
	tcase_add_test(tc, transaction_control_is_proved_from_the_start);
	tcase_add_test(tc, facts_are_copied);
	tcase_add_test(tc, a_pin_that_ends_with_the_transaction_is_none);
	tcase_add_test(tc, names_on_servers);
	tcase_add_test(tc, facts_of_what_is_executed);
	tcase_add_test(tc, rewritten_ones_are_apart);
	tcase_add_test(tc, unshared_ones_go_with_their_last_reference);
	tcase_add_test(tc, rewriting_may_fail);
	tcase_add_test(tc, a_map_of_names);
	tcase_add_test(tc, a_map_of_ten_thousand_names);
	tcase_add_test(tc, ten_names_are_cheap);
	tcase_add_test(tc, a_failed_parse_takes_back_its_own_name_only);
	tcase_add_test(tc, a_failed_allocation_changes_nothing);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(statement_suite)
