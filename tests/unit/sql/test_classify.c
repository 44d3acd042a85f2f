/*
 * The table of statements (statements.def): kind, reason and effects of each, judged fresh, from
 * the cache, and in other spellings; then what the table cannot show: texts of effects, culprits,
 * memory that runs out.
 */
#include "sql/classify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit.h"
#include "sql/judge.h"
#include "sql/judgement_json.h"

struct statement {
	const char *text;
	enum verdict_kind kind;
	enum verdict_reason reason;
	const char *effects;
};

static const struct statement statements[] = {
#define STATEMENT(text, kind, reason, effects) \
	{ text, VERDICT_##kind, VERDICT_REASON_##reason, effects },
#include "statements.def"
#undef STATEMENT
};

#define N_STATEMENTS (sizeof(statements) / sizeof(statements[0]))

static struct judge *judge;
static struct judgement judgement;

static void setup(void)
{
	judge = judge_create(&judge_default_limits);
	ck_assert_ptr_nonnull(judge);
}

static void teardown(void)
{
	unit_fail_alloc(0);
	judge_destroy(&judge);
}

static const struct verdict *verdict_of(const char *text)
{
	judge_text(judge, text, strlen(text), &judgement);
	ck_assert_ptr_nonnull(judgement.verdict);
	return judgement.verdict;
}

/* "set x local; pin listen": kind, pin or name, flags. */
static const char *describe_effects(const struct verdict *verdict, char *out, size_t size)
{
	static const char *const flags[] = { "local",      "chain",        "read_only",
					     "read_write", "serializable", "repeatable_read" };
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < verdict->n_effects; i++) {
		const struct effect *effect = &verdict->effects[i];
		const char *what =
			effect->kind == EFFECT_PIN || effect->kind == EFFECT_UNPIN ? pin_reason_name(effect->pin) : effect->name;

		n += (size_t)snprintf(out + n, size - n, "%s%s%s%s", i ? "; " : "",
				      effect_kind_name(effect->kind), what ? " " : "",
				      what ? what : "");
		for (unsigned bit = 0; bit < 6; bit++) {
			if (effect->flags & 1u << bit)
				n += (size_t)snprintf(out + n, size - n, " %s", flags[bit]);
		}
	}
	return out;
}

static void check_statement(const struct statement *s, const struct verdict *verdict)
{
	char effects[1024];

	ck_assert_msg(verdict->kind == s->kind && verdict->reason == s->reason,
		      "\"%s\" is %s, %s instead of %s, %s (culprit %s)", s->text,
		      verdict_kind_name(verdict->kind), verdict_reason_name(verdict->reason),
		      verdict_kind_name(s->kind), verdict_reason_name(s->reason),
		      verdict->culprit ? verdict->culprit : "none");
	describe_effects(verdict, effects, sizeof(effects));
	ck_assert_msg(strcmp(effects, s->effects) == 0, "\"%s\" does \"%s\" instead of \"%s\"",
		      s->text, effects, s->effects);
}

START_TEST(the_table_is_large_enough)
{
	ck_assert_uint_ge(N_STATEMENTS, 300);
}
END_TEST

START_TEST(every_statement_has_its_verdict)
{
	const struct statement *s = &statements[_i];

	check_statement(s, verdict_of(s->text));
}
END_TEST

START_TEST(the_cache_gives_the_same_verdict)
{
	for (size_t i = 0; i < N_STATEMENTS; i++)
		verdict_of(statements[i].text);
	for (size_t i = 0; i < N_STATEMENTS; i++) {
		check_statement(&statements[i], verdict_of(statements[i].text));
		ck_assert_msg(judgement.was_cached, "\"%s\" was not cached", statements[i].text);
	}
}
END_TEST

/* Comments, blanks and a hint around a text change neither its verdict nor its shape. */
START_TEST(what_stands_around_does_not_matter)
{
	for (size_t i = 0; i < N_STATEMENTS; i++) {
		const struct statement *s = &statements[i];
		uint64_t shape[2];
		char *text;

		ck_assert_int_ne(
			asprintf(&text, " /* pointsman: read_hint=primary */ -- x\n%s", s->text),
			-1);
		verdict_of(s->text);
		memcpy(shape, judgement.shape, sizeof(shape));
		check_statement(s, verdict_of(text));
		ck_assert_mem_eq(judgement.shape, shape, sizeof(shape));
		ck_assert_int_eq(judgement.hints.read_hint, READ_HINT_PRIMARY);
		free(text);
	}
}
END_TEST

/* A read that stands in front of or behind a statement leaves it as severe as it was. */
START_TEST(several_are_as_severe_as_the_worst)
{
	for (size_t i = 0; i < N_STATEMENTS; i++) {
		const struct statement *s = &statements[i];
		const struct verdict *verdict;
		char effects[1024];
		char *text;

		/* SET pointsman.KEY with a value that PostgreSQL refuses must stand alone. */
		if (s->reason == VERDICT_REASON_PARSE_ERROR || strstr(s->effects, "set_hint"))
			continue;
		ck_assert_int_ne(asprintf(&text, "SELECT 1; %s\n; SELECT 'x'", s->text), -1);
		verdict = verdict_of(text);
		ck_assert_msg(verdict->kind == s->kind, "\"%s\" is %s", text,
			      verdict_kind_name(verdict->kind));
		if (s->reason != VERDICT_REASON_EMPTY)
			ck_assert_int_eq(verdict->reason, s->reason);
		ck_assert_str_eq(describe_effects(verdict, effects, sizeof(effects)), s->effects);
		ck_assert_uint_ge(verdict->n_statements, 2);
		ck_assert(!verdict->is_explicit_read_only);
		free(text);
	}
}
END_TEST

/* --- the table of functions --- */

#include "../../../src/sql/functions_table.inc"

static void check_sorted(const char *const *names, size_t n)
{
	for (size_t i = 1; i < n; i++)
		ck_assert_msg(strcmp(names[i - 1], names[i]) < 0, "%s, %s", names[i - 1],
			      names[i]);
}

static enum verdict_reason reason_of_call(const char *function)
{
	char text[128];

	snprintf(text, sizeof(text), "SELECT \"%s\"()", function);
	return verdict_of(text)->reason;
}

/* They are found by binary search: all of them, not those that stand well by chance. */
START_TEST(every_function_is_found)
{
	size_t n_stable = sizeof(stable_functions) / sizeof(stable_functions[0]);
	size_t n_volatile = sizeof(volatile_functions) / sizeof(volatile_functions[0]);
	size_t n_read = 0;

	check_sorted(stable_functions, n_stable);
	check_sorted(volatile_functions, n_volatile);
	for (size_t i = 0; i < n_stable; i++) {
		enum verdict_reason reason = reason_of_call(stable_functions[i]);

		ck_assert_msg(reason != VERDICT_REASON_UNKNOWN_FUNCTION, "%s",
			      stable_functions[i]);
		n_read += reason == VERDICT_REASON_READ;
	}
	/* Few of them answer for one node or session. */
	ck_assert_uint_gt(n_read, n_stable * 9 / 10);
	n_read = 0;
	for (size_t i = 0; i < n_volatile; i++) {
		enum verdict_reason reason = reason_of_call(volatile_functions[i]);

		ck_assert_msg(reason != VERDICT_REASON_UNKNOWN_FUNCTION, "%s",
			      volatile_functions[i]);
		n_read += reason == VERDICT_REASON_READ;
	}
	/* Those that are listed as harmless by hand. */
	ck_assert_uint_eq(n_read, 21);
}
END_TEST

/* --- what the table cannot show --- */

struct value_row {
	const char *text;
	size_t effect;
	const char *value; /* NULL: none */
};

static const struct value_row values[] = {
	{ "SET x TO 'A'", 0, "set x to 'A'" },
	{ "SET LOCAL x = E'a\\'b'", 0, "set local x = E'a\\'b'" },
	{ "SELECT 1; SET  Search_Path\n TO  \"A\" , b /* c */ ; SELECT 2", 0,
	  "set search_path to \"A\", b" },
	{ "SET a = 1; SET b = 2", 1, "set b = 2" },
	{ "SET TIME ZONE INTERVAL '1' HOUR TO MINUTE", 0,
	  "set time zone interval '1' hour to minute" },
	{ "SET x = '\xe9'", 0, "set x = '\xe9'" },
	{ "SET x = '\xc3\xa9'; SET y = '\xe9\xff'", 1, "set y = '\xe9\xff'" },
	{ "SET x = $$a'b$$", 0, "set x = $$a'b$$" },
	{ "SET x = 'a' -- b\n 'c'", 0, "set x = 'a'\n'c'" },
	{ "SELECT set_config('A.B', 'it''s', false)", 0,
	  "SELECT pg_catalog.set_config('a.b', 'it''s', false)" },
	{ "SELECT set_config('a.b', 'x\\y', true)", 0,
	  "SELECT pg_catalog.set_config('a.b', E'x\\\\y', true)" },
	{ "SELECT set_config('a.b', NULL, false)", 0,
	  "SELECT pg_catalog.set_config('a.b', NULL, false)" },
	{ "SELECT set_config('a.b', '\xe9', false)", 0,
	  "SELECT pg_catalog.set_config('a.b', '\xe9', false)" },
	{ "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY", 0,
	  "set default_transaction_isolation to 'serializable'" },
	{ "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE, READ ONLY", 1,
	  "set default_transaction_read_only to 'on'" },
	{ "SET pointsman.read_hint = 'Replica '", 0, "Replica " },
	{ "SET pointsman.deadline = 250", 0, "250" },
	{ "SET pointsman.deadline = 0.5", 0, "0.5" },
	{ "SET pointsman.deadline = '250ms'", 0, "250ms" },
	{ "SET pointsman.route = a, 'b'", 0, "a, b" },
	{ "SET pointsman.read_hint = Primary", 0, "primary" },
	{ "SET pointsman.read_hint = stale-allowed", 0, "stale-allowed" },
	{ "SET pointsman.deadline = 5s", 0, "5s" },
	{ "SET pointsman.deadline TO 1 min", 0, "1min" },
	{ "SET pointsman.after_lsn = 0/16B3740", 0, "0/16B3740" },
	{ "SET pointsman.route TO DEFAULT", 0, NULL },
	{ "RESET pointsman.route", 0, NULL },
	{ "BEGIN  ISOLATION LEVEL Serializable", 0, "begin isolation level serializable" },
	{ "PREPARE p (int) AS SELECT 'A', $1 + 5", 0, "prepare p(int) as select 'A', $1 + 5" },
	{ "SET TRANSACTION READ ONLY", 0, "set transaction read only" },
	{ "COMMIT", 0, NULL },
};

START_TEST(effects_carry_texts)
{
	const struct value_row *row = &values[_i];
	const struct verdict *verdict = verdict_of(row->text);

	ck_assert_uint_gt(verdict->n_effects, row->effect);
	if (row->value)
		ck_assert_str_eq(verdict->effects[row->effect].value, row->value);
	else
		ck_assert_ptr_null(verdict->effects[row->effect].value);
}
END_TEST

/* The text that an effect gives for replay has the same effect. */
START_TEST(replaying_is_the_same)
{
	for (size_t i = 0; i < N_STATEMENTS; i++) {
		char before[1024], after[1024];
		const struct verdict *verdict = verdict_of(statements[i].text);
		char *replay;

		if (verdict->n_effects != 1 || verdict->effects[0].kind != EFFECT_SET)
			continue;
		describe_effects(verdict, before, sizeof(before));
		replay = strdup(verdict->effects[0].value);
		verdict = verdict_of(replay);
		ck_assert_uint_eq(verdict->n_effects, 1);
		ck_assert_str_eq(describe_effects(verdict, after, sizeof(after)), before);
		ck_assert_str_eq(verdict->effects[0].value, replay);
		free(replay);
	}
}
END_TEST

struct culprit_row {
	const char *text;
	const char *culprit;
};

static const struct culprit_row culprits[] = {
	{ "SELECT NextVal('s')", "nextval" },
	{ "SELECT a.F(1)", "a.f" },
	{ "SELECT a OPERATOR(s.+) b", "operator s.+" },
	{ "SELECT * FROM pg_locks", "pg_locks" },
	{ "INSERT INTO s.t VALUES (1)", "t" },
	{ "SELECT * FROM t FOR SHARE", "LCS_FORSHARE" },
	{ "DROP TABLE t", "DropStmt" },
	{ "SET TIME ZONE 'UTC'", "timezone" },
	{ "SELECT caf\xe9()", "caf\xe9" },
	{ "SELECT caf\xc3\xa9()", "caf\xc3\xa9" },
};

START_TEST(verdicts_name_the_culprit)
{
	ck_assert_str_eq(verdict_of(culprits[_i].text)->culprit, culprits[_i].culprit);
}
END_TEST

START_TEST(reads_have_no_culprit)
{
	ck_assert_ptr_null(verdict_of("SELECT 1")->culprit);
}
END_TEST

START_TEST(flags_of_transactions)
{
	ck_assert(verdict_of("BEGIN READ ONLY")->is_explicit_read_only);
	ck_assert(verdict_of("START TRANSACTION READ ONLY;")->is_explicit_read_only);
	ck_assert(!verdict_of("BEGIN")->is_explicit_read_only);
	ck_assert(!verdict_of("BEGIN READ WRITE")->is_explicit_read_only);
	ck_assert(!verdict_of("BEGIN READ ONLY; SELECT 1")->is_explicit_read_only);
	ck_assert(verdict_of("SELECT 1; COMMIT")->has_transaction_control);
	ck_assert(verdict_of("SAVEPOINT a")->has_transaction_control);
	ck_assert(!verdict_of("SELECT 1; SET TRANSACTION READ ONLY")->has_transaction_control);
	ck_assert(!verdict_of("COMMIT PREPARED 'x'")->has_transaction_control);
}
END_TEST

START_TEST(statements_are_counted)
{
	ck_assert_uint_eq(verdict_of("")->n_statements, 0);
	ck_assert_uint_eq(verdict_of(";")->n_statements, 0);
	ck_assert_uint_eq(verdict_of("SELECT 1;")->n_statements, 1);
	ck_assert_uint_eq(verdict_of("SELECT 1;;SELECT 2; ")->n_statements, 2);
	ck_assert_uint_eq(verdict_of("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)")
				  ->n_statements,
			  1);
}
END_TEST

/* Without memory the verdict is unknown and pins; whatever the allocation that fails. */
START_TEST(memory_runs_out)
{
	static const char text[] = "SET a = 1; SET b = 2; SET c = 3; SET d = 4; SET e = 5; "
				   "SELECT set_config('a.b', 'c', false), f(1)";
	struct arena *arena = arena_create(SIZE_MAX);
	struct shape_limits limits = { 1024, 1000, 100 };
	char buffer[1024 + SHAPE_BUFFER_EXTRA];
	struct shape shape;
	bool failed;

	shape_make(&limits, text, strlen(text), buffer, NULL, NULL, &shape);
	for (unsigned long nth = 1;; nth++) {
		const struct verdict *verdict;

		arena_destroy(&arena);
		arena = arena_create(SIZE_MAX);
		ck_assert_ptr_nonnull(arena);
		unit_fail_alloc(nth);
		verdict = classify_shape(arena, &shape);
		failed = unit_alloc_failed();
		unit_fail_alloc(0);
		ck_assert(failed == (verdict == NULL));
		if (!failed)
			break;
	}
	arena_destroy(&arena);
}
END_TEST

/* The same with an arena of every size: each allocation in it fails once. */
START_TEST(the_arena_is_too_small)
{
	static const char text[] = "SET a = 1; SELECT set_config('a.b', 'c', false), s.f(1), "
				   "caf\xe9(); SET SESSION CHARACTERISTICS AS TRANSACTION "
				   "READ ONLY; PREPARE p AS SELECT 1";
	struct shape_limits limits = { 1024, 1000, 100 };
	char buffer[1024 + SHAPE_BUFFER_EXTRA];
	const struct verdict *verdict = NULL;
	struct shape shape;

	shape_make(&limits, text, strlen(text), buffer, NULL, NULL, &shape);
	for (size_t size = 16; !verdict; size += 16) {
		struct arena *arena = arena_create(size);

		ck_assert_uint_lt(size, 65536);
		verdict = classify_shape(arena, &shape);
		if (verdict) {
			ck_assert_uint_eq(verdict->n_statements, 4);
			ck_assert_uint_eq(verdict->n_effects, 4);
		}
		arena_destroy(&arena);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("sql/classify");
	TCase *tcase = tcase_create("statements");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, the_table_is_large_enough);
	tcase_add_loop_test(tcase, every_statement_has_its_verdict, 0, (int)N_STATEMENTS);
	tcase_add_test(tcase, the_cache_gives_the_same_verdict);
	tcase_add_test(tcase, what_stands_around_does_not_matter);
	tcase_add_test(tcase, several_are_as_severe_as_the_worst);
	tcase_add_test(tcase, every_function_is_found);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("details");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, effects_carry_texts, 0,
			    (int)(sizeof(values) / sizeof(values[0])));
	tcase_add_test(tcase, replaying_is_the_same);
	tcase_add_loop_test(tcase, verdicts_name_the_culprit, 0,
			    (int)(sizeof(culprits) / sizeof(culprits[0])));
	tcase_add_test(tcase, reads_have_no_culprit);
	tcase_add_test(tcase, flags_of_transactions);
	tcase_add_test(tcase, statements_are_counted);
	tcase_add_test(tcase, memory_runs_out);
	tcase_add_test(tcase, the_arena_is_too_small);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(make_suite)
