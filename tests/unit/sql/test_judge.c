/*
 * The judge: hits and misses, hints of comments, verdicts that literals must not change, the
 * bound of the cache, huge and deep texts, threads, failing allocations, and judgements as JSON.
 */
#include "sql/judge.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit.h"
#include "sql/judgement_json.h"

static struct judge *judge;
static struct judgement judgement;
static struct judge_stats stats;

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

static const struct verdict *ask(const char *text)
{
	judge_text(judge, text, strlen(text), &judgement);
	judge_stats_get(judge, &stats);
	return judgement.verdict;
}

/* --- the cache --- */

START_TEST(the_second_time_is_a_hit)
{
	ask("SELECT * FROM t WHERE a = 1");
	ck_assert(!judgement.was_cached);
	ask("select  *  from T where A = 22 -- other");
	ck_assert(judgement.was_cached);
	ck_assert_uint_eq(stats.hits, 1);
	ck_assert_uint_eq(stats.misses, 1);
	ck_assert_uint_eq(stats.cache_entries, 1);
}
END_TEST

/* Literals of every kind, in the same places: one shape, one verdict. */
static const char *const templates[] = {
	"SELECT * FROM t WHERE a = %s AND b IN (%s, %s)",
	"INSERT INTO t (a, b) VALUES (%s, %s), (%s, 1)",
	"UPDATE t SET a = %s WHERE b = %s OR c = %s",
	"SELECT nextval(%s), %s, %s",
	"SELECT f(%s, %s, %s)",
	"WITH x AS (DELETE FROM t WHERE a = %s RETURNING %s) SELECT %s",
	"SELECT pg_advisory_lock(%s), %s, %s",
	"SELECT %s::regclass, date '2020-01-01', %s LIMIT %s",
	"CALL p(%s, %s, %s)",
	"EXECUTE p(%s, %s, %s)",
};

static const char *const literals[2][3] = {
	{ "'a'", "E'b\\'c'", "$x$ ; DELETE FROM t; $x$" },
	{ "1", "2.5e3", "1000000" },
};

static void fill(char *out, size_t size, const char *template, const char *const values[3])
{
	size_t n = 0;
	int used = 0;

	for (const char *p = template; *p; p++) {
		if (p[0] == '%' && p[1] == 's') {
			n += (size_t)snprintf(out + n, size - n, "%s", values[used++]);
			p++;
		} else {
			out[n++] = *p;
		}
	}
	out[n] = '\0';
}

START_TEST(literals_change_no_verdict)
{
	char text[512];

	for (int kind = 0; kind < 2; kind++) {
		struct verdict first;
		uint64_t shape[2];

		for (int turn = 0; turn < 3; turn++) {
			const char *values[3] = { literals[kind][turn],
						  literals[kind][(turn + 1) % 3],
						  literals[kind][(turn + 2) % 3] };
			const struct verdict *verdict;
			struct judge *fresh = judge_create(&judge_default_limits);
			struct judgement other;

			fill(text, sizeof(text), templates[_i], values);
			verdict = ask(text);
			if (turn == 0) {
				first = *verdict;
				memcpy(shape, judgement.shape, sizeof(shape));
			}
			ck_assert(judgement.was_cached == (turn > 0));
			ck_assert_mem_eq(judgement.shape, shape, sizeof(shape));
			judge_text(fresh, text, strlen(text), &other);
			ck_assert(!other.was_cached);
			ck_assert_int_eq(other.verdict->kind, first.kind);
			ck_assert_int_eq(other.verdict->reason, first.reason);
			ck_assert_uint_eq(other.verdict->n_effects, first.n_effects);
			judge_destroy(&fresh);
		}
	}
}
END_TEST

/* Where a literal decides, the shapes differ. */
static const char *const decisive[][2] = {
	{ "SELECT set_config('a.b', '1', false)", "SELECT set_config('a.b', '2', false)" },
	{ "SELECT set_config('a.b', '1', false)", "SELECT set_config('a.c', '1', false)" },
	{ "SELECT current_setting('a.b')", "SELECT current_setting('transaction_read_only')" },
	{ "EXPLAIN (ANALYZE 0) DELETE FROM t", "EXPLAIN (ANALYZE 1) DELETE FROM t" },
	{ "EXPLAIN (ANALYZE 'off') SELECT 1", "EXPLAIN (ANALYZE 'on') SELECT 1" },
	{ "SET x = 'a'", "SET x = 'b'" },
	{ "SET x = 'a'", "SET x = 'A'" },
	{ "SET x TO a", "SET x TO \"A\"" },
	{ "COPY t TO STDOUT", "COPY t TO 'STDOUT'" },
	{ "SELECT abs(1)", "SELECT \"Abs\"(1)" },
	{ "SELECT a", "SELECT 'a'" },
	{ "SELECT 1", "SELECT '1'" },
	{ "SELECT $1", "SELECT 1" },
	{ "PREPARE p AS SELECT 1", "PREPARE p AS SELECT 2" },
	{ "SELECT a(b)", "SELECT a.b" },
	{ "SELECT a b", "SELECT ab" },
	{ "SELECT - - 1", "SELECT -+ 1" },
};

START_TEST(literals_that_decide_stay)
{
	uint64_t shape[2];

	ask(decisive[_i][0]);
	memcpy(shape, judgement.shape, sizeof(shape));
	ask(decisive[_i][1]);
	ck_assert(!judgement.was_cached);
	ck_assert(memcmp(shape, judgement.shape, sizeof(shape)) != 0);
}
END_TEST

START_TEST(effects_come_from_the_cache_too)
{
	for (int i = 0; i < 2; i++) {
		const struct verdict *verdict = ask("SET a = 'x'; SET LOCAL b = 'y'; SELECT 1");

		ck_assert_int_eq(judgement.was_cached, i);
		ck_assert_uint_eq(verdict->n_effects, 2);
		ck_assert_str_eq(verdict->effects[0].name, "a");
		ck_assert_str_eq(verdict->effects[0].value, "set a = 'x'");
		ck_assert_str_eq(verdict->effects[1].value, "set local b = 'y'");
		ck_assert_uint_eq(verdict->effects[1].flags, EFFECT_LOCAL);
	}
}
END_TEST

START_TEST(the_cache_is_bounded)
{
	struct judge_limits limits = judge_default_limits;
	char text[64];

	judge_destroy(&judge);
	limits.cache_bytes_max = 64 * 1024;
	judge = judge_create(&limits);
	for (int i = 0; i < 5000; i++) {
		snprintf(text, sizeof(text), "SELECT a%d FROM t", i);
		ask(text);
		ck_assert(!judgement.was_cached);
		ck_assert_uint_le(stats.cache_bytes, limits.cache_bytes_max);
		/* What is asked for again and again stays. */
		ask("SELECT hot FROM t");
		ck_assert(judgement.was_cached == (i > 0));
	}
	ck_assert_uint_gt(stats.cache_entries, 50);
	ask("SELECT a4999 FROM t");
	ck_assert(judgement.was_cached);
	ask("SELECT a0 FROM t");
	ck_assert(!judgement.was_cached);
}
END_TEST

START_TEST(a_cache_of_no_size_judges_all_the_same)
{
	struct judge_limits limits = { 0 };

	judge_destroy(&judge);
	judge = judge_create(&limits);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(ask("SELECT 1")->kind, VERDICT_READ);
		ck_assert(!judgement.was_cached);
		ck_assert_uint_eq(stats.cache_entries, 0);
	}
}
END_TEST

START_TEST(forgetting_spares_what_was_given)
{
	const struct verdict *verdict = ask("SELECT nextval('s')");

	judge_forget(judge);
	ck_assert_str_eq(verdict->culprit, "nextval");
	ask("SELECT nextval('s')");
	ck_assert(!judgement.was_cached);
	ck_assert_uint_eq(stats.cache_entries, 1);
}
END_TEST

/* --- hints --- */

START_TEST(hints_come_with_each_text)
{
	ask("/* pointsman: read_hint=replica */ SELECT 1 -- x-deadline: 5s");
	ck_assert_int_eq(judgement.hints.read_hint, READ_HINT_REPLICA);
	ck_assert_int_eq(judgement.hints.deadline, 5 * USEC_PER_SEC);
	ck_assert_uint_eq(judgement.bad_hints, 0);
	ask("SELECT 2");
	ck_assert(judgement.was_cached);
	ck_assert_uint_eq(judgement.hints.set, 0);
	ck_assert_int_eq(judgement.hints.read_hint, READ_HINT_NONE);
	ask("SELECT /*read_hint='primary',traceparent='x'*/ 3 /* pointsman: deadline=y */");
	ck_assert(judgement.was_cached);
	ck_assert_int_eq(judgement.hints.read_hint, READ_HINT_PRIMARY);
	ck_assert_uint_eq(judgement.bad_hints, 2);
	ck_assert_ptr_nonnull(strstr(judgement.bad_hint_why, "traceparent"));
	ask("SELECT 4");
	ck_assert_uint_eq(judgement.bad_hints, 0);
	ck_assert_str_eq(judgement.bad_hint_why, "");
}
END_TEST

START_TEST(hints_in_strings_are_none)
{
	ask("SELECT '/* pointsman: read_hint=primary */', \"-- x-read-hint: primary\", "
	    "$$/* pointsman: read_hint=primary */$$");
	ck_assert_uint_eq(judgement.hints.set, 0);
}
END_TEST

/* --- huge and deep (R-74) --- */

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

struct big_row {
	const char *head;
	const char *piece;
	const char *tail;
	enum verdict_kind kind;
	enum verdict_reason reason;
	bool pins;
};

static const struct big_row big[] = {
	{ "SELECT 1", "+1", "", VERDICT_UNKNOWN, VERDICT_REASON_TOO_LARGE, false },
	{ "", "(", "", VERDICT_UNKNOWN, VERDICT_REASON_TOO_LARGE, false },
	{ "SELECT ", "(SELECT ", "1", VERDICT_UNKNOWN, VERDICT_REASON_TOO_LARGE, false },
	{ "SELECT ", "CASE WHEN ", "1", VERDICT_UNKNOWN, VERDICT_REASON_TOO_LARGE, false },
	{ "SELECT a", ", a", " FROM t", VERDICT_UNKNOWN, VERDICT_REASON_TOO_LARGE, false },
	{ "SET x = a", ", b", "", VERDICT_UNKNOWN, VERDICT_REASON_TOO_LARGE, true },
	{ "SET x = '", "b", "'", VERDICT_UNKNOWN, VERDICT_REASON_TOO_LARGE, true },
	{ "SELECT a", ", a", "; SET x = 1", VERDICT_UNKNOWN, VERDICT_REASON_TOO_LARGE, true },
	{ "SELECT a", ", a", ", pg_advisory_lock(1)", VERDICT_UNKNOWN, VERDICT_REASON_TOO_LARGE,
	  true },
	{ "SELECT a IN (1", ", 2", ")", VERDICT_READ, VERDICT_REASON_READ, false },
	{ "SELECT a IN (1", ", 2", ", f())", VERDICT_WRITE, VERDICT_REASON_UNKNOWN_FUNCTION,
	  false },
	{ "SELECT '", "x", "'", VERDICT_READ, VERDICT_REASON_READ, false },
	{ "INSERT INTO t VALUES (1, 'a')", ", (2, 'b')", "", VERDICT_WRITE, VERDICT_REASON_WRITE,
	  false },
	{ "DO $$", " x ", "$$", VERDICT_WRITE, VERDICT_REASON_UTILITY, false },
	{ "SELECT 1", " ", "", VERDICT_READ, VERDICT_REASON_READ, false },
	{ "SELECT 1", ";", "", VERDICT_READ, VERDICT_REASON_READ, false },
	{ "SELECT 1 -- ", "x", "", VERDICT_READ, VERDICT_REASON_READ, false },
	{ "", "\x80", "", VERDICT_UNKNOWN, VERDICT_REASON_TOO_LARGE, true },
};

START_TEST(huge_texts_are_judged)
{
	const struct big_row *row = &big[_i];
	char *text = repeat(row->head, row->piece, 200000, row->tail);
	const struct verdict *verdict = ask(text);

	ck_assert_msg(verdict->kind == row->kind && verdict->reason == row->reason,
		      "%s%s... is %s, %s", row->head, row->piece,
		      verdict_kind_name(verdict->kind), verdict_reason_name(verdict->reason));
	ck_assert_uint_eq(verdict->n_effects, row->pins ? 1 : 0);
	if (row->pins)
		ck_assert_int_eq(verdict->effects[0].pin, PIN_UNKNOWN_STATE);
	ck_assert_uint_eq(stats.too_large, row->reason == VERDICT_REASON_TOO_LARGE ? 1 : 0);
	/* What is too large is not cached: only its beginning is known. */
	ask(text);
	ck_assert(judgement.was_cached == (row->reason != VERDICT_REASON_TOO_LARGE));
	free(text);
}
END_TEST

/* As deep as the bound lets through, in a thread with little stack. */
struct deep_row {
	const char *head;
	const char *open;
	const char *middle;
	const char *close;
};

static const struct deep_row deep[] = {
	{ "select 1", "+1", "", "" },
	{ "select ", "not ", "a", "" },
	{ "select ", "(", "1", ")" },
	{ "select ", "case when a then 1 else ", "1", " end" },
	{ "select ", "case when ", "a", " then 1 end" },
	{ "select ", "(select ", "1", ")" },
	{ "select ", "exists (select ", "1", ")" },
	{ "select * from ", "(select * from ", "t", ") x" },
	{ "select ", "x[", "1", "]" },
	{ "select ", "f(", "1", ")" },
	{ "select 1", " union select 1", "", "" },
	{ "select 1 from a", " join b on c", "", "" },
	{ "select 1 from ", "(a join ", "b", " on c)" },
	{ "", "with a as (", "select 1", ") select 1" },
	{ "select ", "a in (", "1", ")" },
	{ "select ", "row(", "1", ")" },
	{ "select ", "array(select ", "1", ")" },
	{ "select ", "(select f((", "1", ")) from t where a)" },
};

static void *judge_deep(void *context)
{
	const struct deep_row *row = context;
	struct judge *own = judge_create(&judge_default_limits);
	struct judgement out;

	for (size_t n = 1; n <= judge_default_limits.nesting_max; n += n < 20 ? 1 : 59) {
		char *head = repeat(row->head, row->open, n, row->middle);
		char *text = repeat(head, row->close, n, "");

		judge_text(own, text, strlen(text), &out);
		/* f is unknown; all the others are reads, or too deep. */
		if (out.verdict->reason != VERDICT_REASON_TOO_LARGE)
			ck_assert_msg(out.verdict->kind == VERDICT_READ ||
					      out.verdict->reason ==
						      VERDICT_REASON_UNKNOWN_FUNCTION,
				      "%s", text);
		else
			ck_assert_uint_gt(n, 40);
		free(head);
		free(text);
	}
	judge_destroy(&own);
	return NULL;
}

START_TEST(depth_needs_little_stack)
{
	pthread_attr_t attributes;
	pthread_t thread;

	ck_assert_int_eq(pthread_attr_init(&attributes), 0);
	/* A worker has 16 MB. Sanitizers make frames larger, so not less than this. */
	ck_assert_int_eq(pthread_attr_setstacksize(&attributes, 2 << 20), 0);
	ck_assert_int_eq(
		pthread_create(&thread, &attributes, judge_deep, (void *)(uintptr_t)&deep[_i]),
		0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(pthread_attr_destroy(&attributes), 0);
}
END_TEST

START_TEST(a_nul_ends_the_text)
{
	judge_text(judge, "SELECT 1\0; DELETE FROM t", 24, &judgement);
	ck_assert_int_eq(judgement.verdict->kind, VERDICT_READ);
	judge_text(judge, NULL, 0, &judgement);
	ck_assert_int_eq(judgement.verdict->reason, VERDICT_REASON_EMPTY);
}
END_TEST

START_TEST(parse_errors_are_counted_and_cached)
{
	ask("SELEC 1");
	ck_assert_uint_eq(stats.parse_errors, 1);
	ask("SELEC 1");
	ck_assert(judgement.was_cached);
	ck_assert_uint_eq(stats.parse_errors, 1);
}
END_TEST

/* --- threads: each judge belongs to one, the parser's memory to the thread --- */

static void *judge_much(void *context)
{
	struct judge *own = judge_create(&judge_default_limits);
	struct judgement out;
	char text[64];

	(void)context;
	for (int i = 0; i < 300; i++) {
		snprintf(text, sizeof(text), "SELECT a%d FROM t%s", i % 200,
			 i % 3 ? "" : " FOR UPDATE");
		judge_text(own, text, strlen(text), &out);
		ck_assert_int_eq(out.verdict->kind, i % 3 ? VERDICT_READ : VERDICT_WRITE);
		judge_text(own, "SELEC", 5, &out);
		ck_assert_int_eq(out.verdict->kind, VERDICT_UNKNOWN);
	}
	judge_destroy(&own);
	return NULL;
}

START_TEST(threads_do_not_disturb_each_other)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, judge_much, NULL), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

/* --- memory --- */

START_TEST(creation_without_memory)
{
	for (unsigned long nth = 1;; nth++) {
		struct judge *made;

		unit_fail_alloc(nth);
		made = judge_create(&judge_default_limits);
		if (!unit_alloc_failed()) {
			judge_destroy(&made);
			break;
		}
		ck_assert_ptr_null(made);
	}
	judge_destroy(&(struct judge *){ NULL });
}
END_TEST

START_TEST(judging_without_memory)
{
	static const char text[] = "SET a = 'b'; SELECT set_config('c.d', 'e', false)";
	bool failed = true;

	for (unsigned long nth = 1; failed; nth++) {
		struct judge *made = judge_create(&judge_default_limits);
		struct judgement out;

		unit_fail_alloc(nth);
		judge_text(made, text, strlen(text), &out);
		failed = unit_alloc_failed();
		unit_fail_alloc(0);
		/* Either it could do without, or it knows nothing and says so. */
		if (out.verdict->kind == VERDICT_SESSION) {
			ck_assert_uint_eq(out.verdict->n_effects, 2);
		} else {
			ck_assert(failed);
			ck_assert_int_eq(out.verdict->kind, VERDICT_UNKNOWN);
			ck_assert_int_eq(out.verdict->effects[0].pin, PIN_UNKNOWN_STATE);
		}
		/* And it recovers. */
		judge_text(made, text, strlen(text), &out);
		ck_assert_int_eq(out.verdict->kind, VERDICT_SESSION);
		judge_destroy(&made);
	}
}
END_TEST

/* --- JSON --- */

static json_t *as_json(const char *text)
{
	struct bytes out = { 0 };
	json_t *json;

	ask(text);
	ck_assert(bytes_append_text(&out, "{"));
	ck_assert(judgement_to_json(&judgement, &out));
	ck_assert(bytes_append_text(&out, "}"));
	json = json_loadb((const char *)bytes_begin(&out), bytes_length(&out),
			  JSON_REJECT_DUPLICATES, NULL);
	ck_assert_msg(json != NULL, "%.*s", (int)bytes_length(&out),
		      (const char *)bytes_begin(&out));
	bytes_free(&out);
	return json;
}

START_TEST(judgements_are_json)
{
	json_t *json = as_json("/* pointsman: read_hint=replica, deadline=1.5, after_lsn=1a/2b, "
			       "route=r, mirror=off, x=1 */ SET LOCAL \"a\xe9\x01\" = 'b\"\\'; "
			       "LISTEN c; COMMIT AND CHAIN");
	const char *verdict, *reason, *culprit, *effect, *name, *value, *flag, *pin;
	const char *hint, *deadline, *lsn, *route, *mirror, *channel;
	int statements, bad;

	ck_assert_int_eq(
		json_unpack(json,
			    "{s:s, s:s, s:s, s:i, s:[{s:s, s:s, s:s, s:[s]}, {s:s, s:s}, {s:s, s:s}, "
			    "{s:s, s:[s]}], s:{s:s, s:s, s:s, s:s, s:s}, s:i}",
			    "verdict", &verdict, "reason", &reason, "culprit", &culprit,
			    "statements", &statements, "effects", "effect", &effect, "name",
			    &name, "value", &value, "flags", &flag, "effect", &effect, "name", &channel,
			    "effect", &effect, "pin",
			    &pin, "effect", &effect, "flags", &flag, "hints", "read_hint", &hint,
			    "deadline", &deadline, "after_lsn", &lsn, "route", &route, "mirror",
			    &mirror, "bad_hints", &bad),
		0);
	ck_assert_str_eq(verdict, "session");
	ck_assert_str_eq(reason, "session");
	ck_assert_str_eq(culprit, "a\xef\xbf\xbd\x01");
	ck_assert_str_eq(name, "a\xef\xbf\xbd\x01");
	ck_assert_str_eq(value, "set local \"a\xef\xbf\xbd\x01\" = 'b\"\\'");
	ck_assert_str_eq(channel, "c");
	ck_assert_str_eq(pin, "listen");
	ck_assert_str_eq(effect, "commit");
	ck_assert_str_eq(flag, "chain");
	ck_assert_str_eq(hint, "replica");
	ck_assert_str_eq(deadline, "1500us");
	ck_assert_str_eq(lsn, "1A/2B");
	ck_assert_str_eq(route, "r");
	ck_assert_str_eq(mirror, "off");
	ck_assert_int_eq(statements, 3);
	ck_assert_int_eq(bad, 1);
	json_decref(json);
}
END_TEST

START_TEST(the_plainest_judgement)
{
	struct bytes out = { 0 };

	ask("SELECT 1");
	ck_assert(judgement_to_json(&judgement, &out));
	ck_assert(bytes_append(&out, "", 1));
	ck_assert_str_eq((const char *)bytes_begin(&out),
			 "\"verdict\":\"read\",\"reason\":\"read\",\"culprit\":null,"
			 "\"statements\":1,\"effects\":[],\"hints\":{}");
	bytes_free(&out);
}
END_TEST

START_TEST(any_bytes_make_json)
{
	char text[32];

	for (int first = 0x80; first < 0x100; first += 3) {
		for (int second = 0x01; second < 0x100; second += 7) {
			snprintf(text, sizeof(text), "SET x = '%c%c\xa0\x80'", first,
				 second == '\'' ? 'x' : second);
			json_decref(as_json(text));
		}
	}
}
END_TEST

START_TEST(json_without_memory)
{
	bool failed = true;

	ask("SET x = 'a'");
	for (unsigned long nth = 1; failed; nth++) {
		struct bytes out = { 0 };
		bool written;

		unit_fail_alloc(nth);
		written = judgement_to_json(&judgement, &out);
		failed = unit_alloc_failed();
		unit_fail_alloc(0);
		ck_assert(written == !failed);
		bytes_free(&out);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("sql/judge");
	TCase *tcase = tcase_create("cache");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, the_second_time_is_a_hit);
	tcase_add_loop_test(tcase, literals_change_no_verdict, 0,
			    (int)(sizeof(templates) / sizeof(templates[0])));
	tcase_add_loop_test(tcase, literals_that_decide_stay, 0,
			    (int)(sizeof(decisive) / sizeof(decisive[0])));
	tcase_add_test(tcase, effects_come_from_the_cache_too);
	tcase_add_test(tcase, the_cache_is_bounded);
	tcase_add_test(tcase, a_cache_of_no_size_judges_all_the_same);
	tcase_add_test(tcase, forgetting_spares_what_was_given);
	tcase_add_test(tcase, hints_come_with_each_text);
	tcase_add_test(tcase, hints_in_strings_are_none);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("limits");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, huge_texts_are_judged, 0, (int)(sizeof(big) / sizeof(big[0])));
	tcase_add_loop_test(tcase, depth_needs_little_stack, 0,
			    (int)(sizeof(deep) / sizeof(deep[0])));
	tcase_add_test(tcase, a_nul_ends_the_text);
	tcase_add_test(tcase, parse_errors_are_counted_and_cached);
	tcase_add_test(tcase, threads_do_not_disturb_each_other);
	tcase_add_test(tcase, creation_without_memory);
	tcase_add_test(tcase, judging_without_memory);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("json");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, judgements_are_json);
	tcase_add_test(tcase, the_plainest_judgement);
	tcase_add_test(tcase, any_bytes_make_json);
	tcase_add_test(tcase, json_without_memory);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(make_suite)
