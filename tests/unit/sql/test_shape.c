/*
 * Shapes: the spelling they have, which texts share one and which must not, what happens at the
 * bounds, and that a shape is its own shape.
 */
#include "sql/shape.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit.h"

static struct shape_limits limits = { 65536, 8192, 256 };
static char buffer[65536 + SHAPE_BUFFER_EXTRA];

static struct shape make(const char *text, size_t length)
{
	struct shape shape;

	shape_make(&limits, text, length, buffer, NULL, NULL, &shape);
	ck_assert_ptr_eq(shape.text, buffer);
	ck_assert_uint_eq(strlen(shape.text), shape.length);
	ck_assert_uint_le(shape.length, limits.bytes_max);
	return shape;
}

static struct shape shape_of(const char *text)
{
	return make(text, strlen(text));
}

static void teardown(void)
{
	limits = (struct shape_limits){ 65536, 8192, 256 };
}

struct row {
	const char *text;
	const char *shape;
};

static const struct row rows[] = {
	{ "", "" },
	{ " ; ;; ", "" },
	{ "SELECT  A , B\nFROM T ;", "select a, b from t" },
	{ "select 1;;select 2;", "select 1; select 1" },
	{ "SELECT 'a', 2.5, E'x', $$y$$, N'z', B'1', X'f'",
	  "select '', 1, '', '', '', b'', b''" },
	{ "SELECT $1, $22", "select $1, $22" },
	{ "SELECT \"A\".B, t.*", "select \"A\".b, t.*" },
	{ "SELECT a . b", "select a.b" },
	{ "SELECT (x).y[1].z", "select(x).y[1].z" },
	{ "SELECT x::int", "select x :: int" },
	{ "SELECT -1, - -1", "select - 1, - - 1" },
	{ "SELECT F ( 1 , 2 )", "select f(1, 1)" },
	{ "SELECT /* a */ 1 -- b", "select 1" },
	{ "SELECT true, NULL, Default", "select true, null, default" },
	{ "SELECT \xc3\x89", "select \xc3\x89" },
	{ "SELECT 'a'\n'b'", "select ''" },
	{ "SELECT 'a' 'b'", "select '' ''" },
	{ "SELECT interval '1 day', date '2020-01-01'", "select interval '', date ''" },
	/* lists */
	{ "SELECT a IN (1, 2, 3)", "select a in(1)" },
	{ "SELECT a IN (1)", "select a in(1)" },
	{ "SELECT a IN ('a', 'b')", "select a in('')" },
	{ "SELECT a IN (-1, 2, - 3)", "select a in(1)" },
	{ "SELECT a IN ($1, $2, $3)", "select a in($1)" },
	{ "SELECT a IN ($2)", "select a in($1)" },
	{ "SELECT a IN (1, 'a', 2, 3)", "select a in(1, '', 1)" },
	{ "SELECT a IN (1, x, 2)", "select a in(1, x, 1)" },
	{ "SELECT a IN (f(1), f(2), g(3))", "select a in(f(1), g(1))" },
	{ "SELECT a IN ('a'::t, 'b'::t)", "select a in('' :: t)" },
	{ "SELECT (a, b) IN ((1, 2), (3, 4))", "select(a, b) in((1, 1))" },
	{ "SELECT a IN (1 - 2, 3 - 4)", "select a in(1 - 1)" },
	{ "SELECT ARRAY[1, 2, 3]", "select array[1]" },
	{ "SELECT ARRAY[[1, 2], [3, 4]]", "select array[[1]]" },
	{ "SELECT x[1][2]", "select x[1][1]" },
	{ "SELECT f(1, 2, 3), nullif(1, 1)", "select f(1, 1, 1), nullif(1, 1)" },
	{ "INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')", "insert into t values(1, '')" },
	{ "INSERT INTO t VALUES (1, 'a'), (2, NULL), (3, NULL)",
	  "insert into t values(1, ''), (1, null)" },
	{ "INSERT INTO t VALUES (1), (2) RETURNING (a), (a)",
	  "insert into t values(1) returning(a), (a)" },
	{ "SELECT * FROM (VALUES (1), (2)) v, (SELECT 1) a, (SELECT 1) a",
	  "select * from(values(1)) v, (select 1) a, (select 1) a" },
	{ "SELECT (1), (1)", "select(1), (1)" },
	{ "SELECT a IN (VALUES (1), (2))", "select a in(values(1), (1))" },
	{ "VALUES ((VALUES (1), (2))), ((VALUES (1), (3)))", "values((values(1)))" },
	/* where literals stay */
	{ "SET x = 'A'", "set x = 'A'" },
	{ "SET x TO 1, 2.50", "set x to 1, 2.50" },
	{ "EXPLAIN (ANALYZE 0) SELECT 'x'", "explain(analyze 0) select 'x'" },
	{ "COPY t TO 'File'", "copy t to 'File'" },
	{ "PREPARE p AS SELECT 'X' WHERE a IN (1, 2)",
	  "prepare p as select 'X' where a in(1, 2)" },
	{ "SELECT set_config('A', 'B', false), 'C'", "select set_config('A', 'B', false), ''" },
	{ "SELECT set_config ( f('A'), (1), 'B'), 'C'",
	  "select set_config(f('A'), (1), 'B'), ''" },
	{ "SELECT \"set_config\"('A')", "select \"set_config\"('A')" },
	{ "SELECT pg_catalog . SET_CONFIG /* x */ ('A')", "select pg_catalog.set_config('A')" },
	{ "SELECT pg_advisory_lock(7), 'A'", "select pg_advisory_lock(1), ''" },
	{ "SELECT set_config, 'A'", "select set_config, ''" },
	{ "SELECT current_setting('A'), 'B'", "select current_setting('A'), ''" },
	{ "SELECT U&'A', U&'B' UESCAPE '!', 'C'", "select U&'A', U&'B' uescape '!', ''" },
	{ "SELECT 'A', U&\"b\"('C')", "select '', U&\"b\"('C')" },
	{ "SELECT 'A'; SET x = 'B'; SELECT 'C'", "select ''; set x = 'B'; select ''" },
	{ "(SELECT 'A')", "(select '')" },
	{ "FROB 'A'", "frob 'A'" },
	{ "SET x = 'a' -- b\n 'c'", "set x = 'a'\n'c'" },
	/* where they go */
	{ "CREATE ROLE r PASSWORD 'secret'", "create role r password ''" },
	{ "ALTER ROLE r PASSWORD 'secret'", "alter role r password ''" },
	{ "DO $$ x $$", "do ''" },
	{ "EXECUTE p(1, 'a')", "execute p(1, '')" },
	{ "WITH x AS (SELECT 'a') SELECT 1", "with x as(select '') select 1" },
	/* what is no SQL */
	{ "SELECT 1a, 'x'", "select 1a, 'x'" },
	{ "SELECT 'a", "select 'a" },
	{ "SELECT /* a", "select /* a" },
	{ "SELECT a IN (1, 2", "select a in(1, 1" },
	{ "SELECT )", "select)" },
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

START_TEST(texts_have_their_shapes)
{
	ck_assert_str_eq(shape_of(rows[_i].text).text, rows[_i].shape);
}
END_TEST

/* What is parsed on a miss has the shape that it is. */
START_TEST(a_shape_is_its_own_shape)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		struct shape once = shape_of(rows[i].text);
		char *text = strdup(once.text);
		struct shape twice = shape_of(text);

		ck_assert_str_eq(twice.text, text);
		ck_assert_mem_eq(twice.hash, once.hash, sizeof(once.hash));
		free(text);
	}
}
END_TEST

START_TEST(different_shapes_have_different_hashes)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		struct shape a = shape_of(rows[i].text);

		for (size_t k = 0; k < i; k++) {
			struct shape b = shape_of(rows[k].text);

			ck_assert((strcmp(rows[i].shape, rows[k].shape) == 0) ==
				  (memcmp(a.hash, b.hash, sizeof(a.hash)) == 0));
		}
	}
}
END_TEST

/* --- long texts --- */

/* `head`, then `n` times `piece`, then `tail`. */
static char *repeat(const char *head, const char *piece, size_t n, const char *tail)
{
	size_t step = strlen(piece);
	char *text = malloc(strlen(head) + n * step + strlen(tail) + 1);
	char *at = stpcpy(text, head);

	for (size_t i = 0; i < n; i++)
		at = stpcpy(at, piece);
	strcpy(at, tail);
	return text;
}

struct long_row {
	const char *head;
	const char *piece;
	const char *tail;
	const char *shape;
};

static const struct long_row long_lists[] = {
	{ "SELECT a IN (0", ", 1", ")", "select a in(1)" },
	{ "SELECT a IN ('0'", ", 'x'", ")", "select a in('')" },
	{ "SELECT a IN ($1", ", $2", ")", "select a in($1)" },
	{ "INSERT INTO t VALUES (0, '')", ", (1, 'x')", "", "insert into t values(1, '')" },
	{ "SELECT ARRAY[1", ", 2", "]", "select array[1]" },
	{ "SELECT '", "x", "'", "select ''" },
	{ "SELECT 1 /*", "x", "*/", "select 1" },
	{ "SELECT 1", " ", "", "select 1" },
	{ "SELECT 1", ";", "", "select 1" },
};

START_TEST(long_literals_and_lists_are_no_matter)
{
	const struct long_row *row = &long_lists[_i];
	char *text = repeat(row->head, row->piece, 100000, row->tail);
	struct shape shape = shape_of(text);

	ck_assert(!shape.is_too_large);
	ck_assert_str_eq(shape.text, row->shape);
	free(text);
}
END_TEST

/* each way to make the parser recurse meets the bound. */
static const struct long_row deep[] = {
	{ "select 1", "+1", "", "" },
	{ "select ", "not ", "a", "" },
	{ "select ", "- ", "a", "" },
	{ "select ", "(", "1", "" },
	{ "", "(", "select 1", "" },
	{ "select ", "case when a then 1 else ", "1", "" },
	{ "select ", "case when ", "1", "" },
	{ "select ", "(select ", "1", "" },
	{ "select * from ", "(select * from ", "t", "" },
	{ "select x", "[1]", "", "" },
	{ "select ", "x[", "1", "" },
	{ "select array", "[", "1", "" },
	{ "select 1", " union select 1", "", "" },
	{ "select 1", " union all select a, b or c, d and e", "", "" },
	{ "select 1", " intersect select 1", "", "" },
	{ "select 1", " except select 1", "", "" },
	{ "select x", "::int", "", "" },
	{ "select 1 from a", " join b on c", "", "" },
	{ "select 1 from a", " join b on c and d or e", "", "" },
	{ "select 1 from a", " natural join b", "", "" },
	{ "select 1 from ", "(a join ", "b", "" },
	{ "select x", " is null", "", "" },
	{ "select x", " isnull", "", "" },
	{ "select x", " notnull", "", "" },
	{ "select x", " collate \"C\"", "", "" },
	{ "select x", " at time zone y", "", "" },
	{ "select x", " operator(pg_catalog.+) y", "", "" },
	{ "select x", " like y is null", "", "" },
	{ "select x", " ilike y is null", "", "" },
	{ "select x", " similar to y is null", "", "" },
	{ "select x", " between 1 and 2 is null", "", "" },
	{ "select x", " in (1) is null", "", "" },
	{ "select a.and", " + a.or + a.and", "", "" },
	{ "select ", "f(", "1", "" },
	{ "select ", "exists (select ", "1", "" },
	{ "", "with a as (", "select 1", "" },
	{ "select 1 group by ", "grouping sets (", "a", "" },
	{ "explain select 1", "+1", "", "" },
	{ "set x = ", "(", "1", "" },
};

START_TEST(depth_is_bounded)
{
	const struct long_row *row = &deep[_i];
	char *text = repeat(row->head, row->piece, limits.nesting_max + 1, row->tail);

	ck_assert_msg(shape_of(text).is_too_large, "%s%s... is deep", row->head, row->piece);
	free(text);
	text = repeat(row->head, row->piece, 100000, row->tail);
	ck_assert(shape_of(text).is_too_large);
	free(text);
	text = repeat(row->head, row->piece, 20, row->tail);
	ck_assert_msg(!shape_of(text).is_too_large, "%s%s... is shallow", row->head, row->piece);
	free(text);
}
END_TEST

/* What the grammar makes flat lists of is not deep. */
static const struct long_row flat[] = {
	{ "select a = 1", " or a = 1", "", "" },
	{ "select a = 1", " and b = 2", "", "" },
	{ "select a between 1 and 2", " and a between 1 and 2", "", "" },
	{ "select a", ", a + b", "", "" },
	{ "select 1", "; select 1 + 1", "", "" },
	{ "select a", ", case when a = 1 then b else c end", "", "" },
	{ "select a", ", (a + b) * c", "", "" },
	{ "select 1 from t where (a = 1 and b = 2)", " or (a = 1 and b = 2)", "", "" },
	{ "select 1 from a", ", b", "", "" },
};

START_TEST(flat_is_not_deep)
{
	const struct long_row *row = &flat[_i];
	char *text = repeat(row->head, row->piece, _i == 2 ? 100 : 400, row->tail);

	ck_assert_msg(!shape_of(text).is_too_large, "%s%s... is flat", row->head, row->piece);
	free(text);
}
END_TEST

/* --- bounds --- */

START_TEST(bytes_are_bounded)
{
	limits.bytes_max = 300;
	for (size_t n = 280; n < 320; n++) {
		char *text = repeat("select \"", "a", n, "\"");
		struct shape shape = shape_of(text);

		ck_assert(shape.is_too_large == (n + 9 > 300));
		free(text);
	}
}
END_TEST

START_TEST(tokens_are_bounded)
{
	limits.tokens_max = 100;
	for (size_t n = 40; n < 60; n++) {
		char *text = repeat("select a", ", a", n, "");

		ck_assert(shape_of(text).is_too_large == (2 + 2 * n > 100));
		free(text);
	}
}
END_TEST

/* A text that goes on and on is not even read to its end. */
START_TEST(reading_is_bounded)
{
	char *text;

	limits.tokens_max = 10;
	text = repeat("select a in (1", ", 1", 10000, ")");
	ck_assert(shape_of(text).is_too_large);
	ck_assert(shape_of(text).has_state_if_unread);
	free(text);
}
END_TEST

struct state_row {
	const char *text;
	bool if_unread;
	bool if_refused;
};

static const struct state_row states[] = {
	{ "select 1", false, false },
	{ "insert into t values (1)", false, false },
	{ "begin", false, false },
	{ "copy t from stdin", false, false },
	{ "create table t ()", false, false },
	{ "create temp table t ()", true, true },
	{ "create or replace temp view t as select 1", true, true },
	{ "select 1 into temp t", true, true },
	{ "select temp from t", false, false },
	{ "set x = 1", true, true },
	{ "reset x", true, true },
	{ "listen x", true, true },
	{ "prepare p as select 1", true, true },
	{ "declare c cursor for select 1", true, true },
	{ "load 'x'", true, true },
	{ "discard all", true, false },
	{ "frob", true, false },
	{ "select 1; set x = 1", true, true },
	{ "select set_config('a', 'b', false)", true, true },
	{ "select \"set_config\"('a', 'b', false)", true, true },
	{ "select current_setting('a')", false, false },
	{ "select pg_advisory_lock(1)", true, true },
	{ "select pg_advisory_xact_lock(1)", false, false },
	{ "select pg_backend_pid()", true, true },
	{ "select setseed(1)", true, true },
	{ "select set_config", false, false },
};

START_TEST(state_that_a_text_may_leave)
{
	const struct state_row *row = &states[_i];
	struct shape shape = shape_of(row->text);
	char *text = repeat(row->text, " , a", 10000, "");

	ck_assert_msg(shape.has_state_if_unread == row->if_unread, "%s", row->text);
	ck_assert_msg(shape.has_state_if_refused == row->if_refused, "%s", row->text);
	/* Also when the word comes behind the bound. */
	shape = shape_of(text);
	ck_assert(shape.is_too_large);
	ck_assert(shape.has_state_if_unread == row->if_unread);
	free(text);
	text = repeat("select 1", " , a", 10000, "; ");
	text = realloc(text, strlen(text) + strlen(row->text) + 1);
	strcat(text, row->text);
	shape = shape_of(text);
	ck_assert(shape.is_too_large);
	ck_assert_msg(shape.has_state_if_unread == row->if_unread, "%s, late", row->text);
	free(text);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("sql/shape");
	TCase *tcase = tcase_create("spelling");

	tcase_add_loop_test(tcase, texts_have_their_shapes, 0, (int)N_ROWS);
	tcase_add_test(tcase, a_shape_is_its_own_shape);
	tcase_add_test(tcase, different_shapes_have_different_hashes);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("limits");
	tcase_add_checked_fixture(tcase, NULL, teardown);
	tcase_add_loop_test(tcase, long_literals_and_lists_are_no_matter, 0,
			    (int)(sizeof(long_lists) / sizeof(long_lists[0])));
	tcase_add_loop_test(tcase, depth_is_bounded, 0, (int)(sizeof(deep) / sizeof(deep[0])));
	tcase_add_loop_test(tcase, flat_is_not_deep, 0, (int)(sizeof(flat) / sizeof(flat[0])));
	tcase_add_test(tcase, bytes_are_bounded);
	tcase_add_test(tcase, tokens_are_bounded);
	tcase_add_test(tcase, reading_is_bounded);
	tcase_add_loop_test(tcase, state_that_a_text_may_leave, 0,
			    (int)(sizeof(states) / sizeof(states[0])));
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(make_suite)
