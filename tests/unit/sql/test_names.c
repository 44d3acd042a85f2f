/* sql/names: where texts name prepared statements. */

#include "sql/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit.h"
#include "sql/judge.h"

struct sample {
	const char *text;
	const char *found; /* "p0 name|tail|body; e1 name": kind, statement */
};

static const struct sample samples[] = {
	{ "", "" },
	{ ";;", "" },
	{ "SELECT 1", "" },
	{ "PREPARE a AS SELECT 1", "p0 a| AS SELECT 1| SELECT 1" },
	{ "prepare A(int, numeric(10,2)[]) as select $1 -- end",
	  "p0 A|(int, numeric(10,2)[]) as select $1| select $1" },
	{ "PREPARE \"x\"\"AS\" AS INSERT INTO t VALUES ('a;b') ;",
	  "p0 \"x\"\"AS\"| AS INSERT INTO t VALUES ('a;b')| INSERT INTO t VALUES ('a;b')" },
	{ "/* c */ PREPARE /* d */ a AS SELECT 1 AS x", "p0 a| AS SELECT 1 AS x| SELECT 1 AS x" },
	{ "PREPARE transaction AS SELECT 1", "p0 transaction| AS SELECT 1| SELECT 1" },
	{ "PREPARE TRANSACTION 'x'", "" },
	{ "EXECUTE a", "e0 a" },
	{ "EXECUTE a(1, 'EXECUTE b')", "e0 a" },
	{ "execute execute (1)", "e0 execute" },
	{ "EXECUTE \"A b\";", "e0 \"A b\"" },
	{ "EXECUTE U&\"\\0061\"", "e0 U&\"\\0061\"" },
	{ "DEALLOCATE a", "d0 a" },
	{ "DEALLOCATE PREPARE a ;", "d0 a" },
	{ "DEALLOCATE prepare", "d0 prepare" },
	{ "DEALLOCATE ALL", "" },
	{ "DEALLOCATE PREPARE ALL", "" },
	{ "DEALLOCATE \"all\"", "d0 \"all\"" },
	{ "EXPLAIN EXECUTE a", "e0 a" },
	{ "EXPLAIN (ANALYZE, COSTS off) EXECUTE a(1)", "e0 a" },
	{ "EXPLAIN ANALYZE VERBOSE EXECUTE a(1)", "e0 a" },
	{ "EXPLAIN SELECT execute FROM t", "" },
	{ "EXPLAIN ANALYZE CREATE TABLE t AS EXECUTE a", "e0 a" },
	{ "CREATE TEMP TABLE execute (x) WITH (fillfactor = 70) ON COMMIT DROP AS EXECUTE a(2) "
	  "WITH NO DATA",
	  "e0 a" },
	{ "CREATE TABLE IF NOT EXISTS execute AS EXECUTE \"a\"", "e0 \"a\"" },
	{ "CREATE TABLE t AS SELECT 1 AS execute, 2", "" },
	{ "SELECT 1; PREPARE a AS SELECT 2;; EXECUTE a; DEALLOCATE a; SELECT 3",
	  "p1 a| AS SELECT 2| SELECT 2; e2 a; d3 a" },
	{ "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2); EXECUTE a", "e1 a" },
	{ "SELECT 'x", "" },
	{ "EXECUTE", "" },
	{ "PREPARE", "" },
	{ "PREPARE a", "" },
	{ "PREPARE a (int", "" },
	{ "DEALLOCATE", "" },
	{ "DEALLOCATE;", "" },
	{ "EXPLAIN EXECUTE", "" },
};

static void append(char *out, size_t size, const char *text, size_t from, size_t to)
{
	size_t n = strlen(out);

	snprintf(out + n, size - n, "%.*s", (int)(to - from), text + from);
}

static void describe(const char *text, const struct name_use *use, char *out, size_t size)
{
	size_t n = strlen(out);

	snprintf(out + n, size - n, "%s%c%u ", n ? "; " : "", "ped"[use->kind], use -> statement);
	append(out, size, text, use->at, use->at + use->length);
	if (use->kind != NAME_PREPARE)
		return;
	append(out, size, "|", 0, 1);
	append(out, size, text, use->tail_at, use->end);
	append(out, size, "|", 0, 1);
	append(out, size, text, use->body_at, use->end);
}

START_TEST(names_are_found)
{
	const struct sample *sample = &samples[_i];
	struct name_use uses[8];
	char out[400] = "";
	size_t n = names_find(sample->text, strlen(sample->text), uses, 8);

	ck_assert_uint_le(n, 8);
	for (size_t i = 0; i < n; i++)
		describe(sample->text, &uses[i], out, sizeof(out));
	ck_assert_str_eq(out, sample->found);
	ck_assert_uint_eq(names_find(sample->text, strlen(sample->text), NULL, 0), n);
}
END_TEST

static bool is_named_use(const struct effect *effect)
{
	return effect->kind == EFFECT_PREPARE || effect->kind == EFFECT_EXECUTE ||
	       (effect->kind == EFFECT_DEALLOCATE && effect->name);
}

/* What the tokens tell is what the grammar tells: kinds, statements, names. */
START_TEST(the_parser_agrees)
{
	static const enum effect_kind kinds[] = { EFFECT_PREPARE, EFFECT_EXECUTE,
						  EFFECT_DEALLOCATE };
	const char *text = samples[_i].text;
	struct judge *judge = judge_create(&judge_default_limits);
	struct judgement judgement;
	struct name_use uses[8];
	size_t n = names_find(text, strlen(text), uses, 8);
	size_t at = 0;

	judge_text(judge, text, strlen(text), &judgement);
	for (size_t i = 0; i < judgement.verdict->n_effects; i++) {
		const struct effect *effect = &judgement.verdict->effects[i];
		char name[NAME_BYTES_MAX];

		if (!is_named_use(effect))
			continue;
		ck_assert_uint_lt(at, n);
		ck_assert_int_eq(effect->kind, kinds[uses[at].kind]);
		ck_assert_uint_eq(effect->statement, uses[at].statement);
		if (names_fold(text + uses[at].at, uses[at].length, name))
			ck_assert_str_eq(name, effect->name);
		at++;
	}
	ck_assert_uint_eq(at, n);
	judge_destroy(&judge);
}
END_TEST

/* Every prefix of every sample, in memory of just that size. */
START_TEST(prefixes_are_safe)
{
	const char *text = samples[_i].text;

	for (size_t length = 0; length <= strlen(text); length++) {
		char *copy = memcpy(malloc(length ? length : 1), text, length);
		struct name_use uses[8];
		size_t n = names_find(copy, length, uses, 8);

		for (size_t i = 0; i < n; i++) {
			ck_assert_uint_le(uses[i].at + uses[i].length, length);
			ck_assert_uint_le(uses[i].end, length);
		}
		free(copy);
	}
}
END_TEST

START_TEST(names_are_folded)
{
	static const char *const folded[][2] = {
		{ "ABC", "abc" },
		{ "\"ABC\"", "ABC" },
		{ "\"a\"\"b\"", "a\"b" },
		{ "\xc3\x84X", "\xc3\x84x" },
		{ "a234567890123456789012345678901234567890123456789012345678901234567890",
		  "a23456789012345678901234567890123456789012345678901234567890123" },
		{ "\"a234567890123456789012345678901234567890123456789012345678901\xc3\xa4\"",
		  "a234567890123456789012345678901234567890123456789012345678901\xc3\xa4" },
		{ "\"a2345678901234567890123456789012345678901234567890123456789012\xc3\xa4\"",
		  "a2345678901234567890123456789012345678901234567890123456789012" },
	};
	char name[NAME_BYTES_MAX];

	for (size_t i = 0; i < sizeof(folded) / sizeof(folded[0]); i++) {
		ck_assert(names_fold(folded[i][0], strlen(folded[i][0]), name));
		ck_assert_str_eq(name, folded[i][1]);
	}
	ck_assert(!names_fold("U&\"a\"", 5, name));
	ck_assert(!names_fold("\"\"", 2, name));
}
END_TEST

static Suite *names_suite(void)
{
	Suite *suite = suite_create("sql/names");
	TCase *tc = tcase_create("names");
	int n = (int)(sizeof(samples) / sizeof(samples[0]));

	tcase_add_loop_test(tc, names_are_found, 0, n);
	tcase_add_loop_test(tc, the_parser_agrees, 0, n);
	tcase_add_loop_test(tc, prefixes_are_safe, 0, n);
	tcase_add_test(tc, names_are_folded);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(names_suite)
