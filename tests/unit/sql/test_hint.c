/*
 * Hints: every spelling of keys and values, the three forms of comment, what is not ours, what is
 * malformed, merging; every prefix of every comment.
 */
#include "sql/hint.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit.h"

#define PARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static struct hints hints;
static char why[160];

static void setup(void)
{
	memset(&hints, 0, sizeof(hints));
	why[0] = '\0';
}

/* "read_hint=primary deadline=250000": durations in us. */
static const char *describe(char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
#define ADD(key, ...)                                                           \
	if (hint_is_set(&hints, key)) {                                         \
		n += (size_t)snprintf(out + n, size - n, "%s%s=", n ? " " : "", \
				      hint_key_name(key));                      \
		n += (size_t)snprintf(out + n, size - n, __VA_ARGS__);          \
	}
	ADD(HINT_READ_HINT, "%s", read_hint_name(hints.read_hint));
	ADD(HINT_MAX_STALENESS, "%" PRId64, hints.max_staleness);
	ADD(HINT_DEADLINE, "%" PRId64, hints.deadline);
	ADD(HINT_ROUTE, "%s", hints.route);
	ADD(HINT_CONSISTENCY, "%s", consistency_name(hints.consistency));
	ADD(HINT_AFTER_LSN, "%llX", hints.after_lsn);
	ADD(HINT_TRACEPARENT, "%s", hints.traceparent);
	ADD(HINT_MIRROR, "%s", hints.mirror_off ? "off" : "on");
#undef ADD
	return out;
}

/* --- one key --- */

struct value_row {
	const char *key;
	const char *value;
	const char *hints; /* "" when it is refused */
};

static const struct value_row values[] = {
	{ "read_hint", "primary", "read_hint=primary" },
	{ "read_hint", "replica", "read_hint=replica" },
	{ "read_hint", "stale-allowed", "read_hint=stale-allowed" },
	{ "read_hint", "stale_allowed", "read_hint=stale-allowed" },
	{ "READ_Hint", " PRIMARY\t", "read_hint=primary" },
	{ " read_hint ", "Replica", "read_hint=replica" },
	{ "read_hint", "none", "" },
	{ "read_hint", "", "" },
	{ "read_hint", "primar", "" },
	{ "read-hint", "primary", "" },
	{ "readhint", "primary", "" },
	{ "", "primary", "" },
	{ "a-key-that-is-longer-than-any-key-of-ours", "x", "" },
	{ "max_staleness", "5s", "max_staleness=5000000" },
	{ "max_staleness", "0", "max_staleness=0" },
	{ "deadline", "250ms", "deadline=250000" },
	{ "deadline", "250", "deadline=250000" },
	{ "deadline", "250 MS", "deadline=250000" },
	{ "deadline", "100us", "deadline=100" },
	{ "deadline", "1min", "deadline=60000000" },
	{ "deadline", "1h", "deadline=3600000000" },
	{ "deadline", "1d", "deadline=86400000000" },
	{ "deadline", "1.5s", "deadline=1500000" },
	{ "deadline", "0.25", "deadline=250" },
	{ "deadline", "2.", "deadline=2000" },
	{ "deadline", "0.123456789s", "deadline=123456" },
	{ "deadline", "2147483647", "deadline=2147483647000" },
	{ "deadline", "2147483648", "" },
	{ "deadline", "99999999999999999999999s", "" },
	{ "deadline", "1000000000h", "" },
	{ "deadline", "-1", "" },
	{ "deadline", "+1", "" },
	{ "deadline", "", "" },
	{ "deadline", "s", "" },
	{ "deadline", ".5s", "" },
	{ "deadline", "5m", "" },
	{ "deadline", "5 s s", "" },
	{ "deadline", "1s2", "" },
	{ "deadline", "5weeks", "" },
	{ "route", "Tenant-A", "route=tenant-a" },
	{ "route", " a.b:c/d_e@f ", "route=a.b:c/d_e@f" },
	{ "route", "", "" },
	{ "route", "a b", "" },
	{ "route", "a'b", "" },
	{ "route", "\xc3\xa9", "" },
	{ "route", "123456789012345678901234567890123456789012345678901234567890123",
	  "route=123456789012345678901234567890123456789012345678901234567890123" },
	{ "route", "1234567890123456789012345678901234567890123456789012345678901234", "" },
	{ "consistency", "session", "consistency=session" },
	{ "consistency", "Eventual", "consistency=eventual" },
	{ "consistency", "strong", "consistency=strong" },
	{ "consistency", "weak", "" },
	{ "after_lsn", "16/B374D848", "after_lsn=16B374D848" },
	{ "after_lsn", "0/0", "after_lsn=0" },
	{ "after_lsn", "ffffffff/FFFFFFFF", "after_lsn=FFFFFFFFFFFFFFFF" },
	{ "after_lsn", "100000000/0", "" },
	{ "after_lsn", "0/100000000", "" },
	{ "after_lsn", "16", "" },
	{ "after_lsn", "16/", "" },
	{ "after_lsn", "/16", "" },
	{ "after_lsn", "1 /6", "" },
	{ "after_lsn", "g/0", "" },
	{ "after_lsn", "0/0x", "" },
	{ "traceparent", PARENT, "traceparent=" PARENT },
	{ "traceparent", "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
	  "traceparent=" PARENT },
	{ "traceparent", "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
	  "traceparent=01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
	{ "traceparent", PARENT "-more", "" },
	{ "traceparent", "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more", "" },
	{ "traceparent", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "" },
	{ "traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "" },
	{ "traceparent", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", "" },
	{ "traceparent", "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01", "" },
	{ "traceparent", "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "" },
	{ "traceparent", "00", "" },
	{ "mirror", "off", "mirror=off" },
	{ "mirror", "ON", "mirror=on" },
	{ "mirror", "no", "" },
	{ "frob", "x", "" },
};

START_TEST(keys_take_their_values)
{
	const struct value_row *row = &values[_i];
	char out[256];
	bool taken = hint_set(&hints, row->key, row->value, why, sizeof(why));

	ck_assert_msg(strcmp(describe(out, sizeof(out)), row->hints) == 0,
		      "%s = \"%s\" is \"%s\" instead of \"%s\"", row->key, row->value, out,
		      row->hints);
	ck_assert(taken == (*row->hints != '\0'));
	ck_assert(taken == (why[0] == '\0'));
}
END_TEST

/* Once more on top of a good value: a refused one leaves it alone. */
START_TEST(a_refused_value_changes_nothing)
{
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		struct hints before;

		ck_assert(hint_set(&hints, "read_hint", "replica", why, sizeof(why)));
		ck_assert(hint_set(&hints, "deadline", "1s", why, sizeof(why)));
		ck_assert(hint_set(&hints, "route", "r", why, sizeof(why)));
		ck_assert(hint_set(&hints, "after_lsn", "1/1", why, sizeof(why)));
		ck_assert(hint_set(&hints, "mirror", "off", why, sizeof(why)));
		before = hints;
		if (!hint_set(&hints, values[i].key, values[i].value, why, sizeof(why))) {
			/* The LSN may hold what was read of it; what counts is the set value. */
			ck_assert_uint_eq(hints.set, before.set);
			ck_assert_int_eq(hints.read_hint, before.read_hint);
			ck_assert_int_eq(hints.deadline, before.deadline);
			ck_assert_str_eq(hints.route, before.route);
			ck_assert_uint_eq(hints.after_lsn, before.after_lsn);
			ck_assert(hints.mirror_off == before.mirror_off);
		}
		hints = before;
	}
}
END_TEST

START_TEST(complaints_name_what_is_wrong)
{
	ck_assert(!hint_set(&hints, "read_hint", "Frob\n\xe9", why, sizeof(why)));
	ck_assert_str_eq(why, "read_hint: \"Frob??\" is not primary, replica or stale-allowed");
	ck_assert(!hint_set(&hints, "frob", "x", why, sizeof(why)));
	ck_assert_str_eq(why, "there is no hint \"frob\"");
	/* Long values are cut, small buffers are kept, none is no matter. */
	ck_assert(!hint_set(&hints, "deadline",
			    "1234567890123456789012345678901234567890123456789012345678901234",
			    why, sizeof(why)));
	ck_assert_ptr_nonnull(strstr(why, "67890...\" is not a duration"));
	ck_assert(!hint_set(&hints, "frob", "x", why, 8));
	ck_assert_str_eq(why, "there i");
	ck_assert(!hint_set(&hints, "frob", "x", NULL, 0));
}
END_TEST

START_TEST(hints_are_forgotten_by_key)
{
	char out[256];

	ck_assert(hint_set(&hints, "mirror", "off", why, sizeof(why)));
	ck_assert(hint_set(&hints, "route", "a", why, sizeof(why)));
	ck_assert(hint_unset(&hints, "Mirror"));
	ck_assert(hint_unset(&hints, "deadline"));
	ck_assert(!hint_unset(&hints, "frob"));
	ck_assert_str_eq(describe(out, sizeof(out)), "route=a");
}
END_TEST

START_TEST(the_stronger_source_wins)
{
	static const char *const pairs[][2] = {
		{ "read_hint", "replica" }, { "max_staleness", "5s" },     { "deadline", "1s" },
		{ "route", "weak" },        { "consistency", "eventual" }, { "after_lsn", "1/2" },
		{ "traceparent", PARENT },  { "mirror", "off" },
	};
	struct hints weaker;
	char all[256], out[256];

	for (size_t i = 0; i < HINT_KEY_COUNT; i++)
		ck_assert(hint_set(&hints, pairs[i][0], pairs[i][1], why, sizeof(why)));
	describe(all, sizeof(all));
	weaker = hints;

	memset(&hints, 0, sizeof(hints));
	hint_merge(&hints, &weaker);
	ck_assert_str_eq(describe(out, sizeof(out)), all);

	memset(&hints, 0, sizeof(hints));
	ck_assert(hint_set(&hints, "route", "strong", why, sizeof(why)));
	ck_assert(hint_set(&hints, "mirror", "on", why, sizeof(why)));
	hint_merge(&hints, &weaker);
	ck_assert_str_eq(hints.route, "strong");
	ck_assert(!hints.mirror_off);
	ck_assert_int_eq(hints.deadline, USEC_PER_SEC);
}
END_TEST

/* --- comments --- */

struct comment_row {
	const char *text;
	const char *hints;
	unsigned bad;
};

static const struct comment_row comments[] = {
	/* pointsman: */
	{ " pointsman: read_hint=replica, deadline=250ms ", "read_hint=replica deadline=250000",
	  0 },
	{ "pointsman:read_hint=primary", "read_hint=primary", 0 },
	{ "PointsMan: READ_HINT = Primary", "read_hint=primary", 0 },
	{ "pointsman: read_hint='replica', route=\"a\"", "read_hint=replica route=a", 0 },
	{ "pointsman: route=a; mirror=off;", "route=a mirror=off", 0 },
	{ "pointsman: route=a,,", "route=a", 0 },
	{ "pointsman: traceparent=" PARENT, "traceparent=" PARENT, 0 },
	{ "pointsman: after_lsn=16/B374D848", "after_lsn=16B374D848", 0 },
	{ "pointsman: deadline=1s, deadline=2s", "deadline=2000000", 0 },
	{ "pointsman: read_hint=frob, route=a", "route=a", 1 },
	{ "pointsman: frob=1, read_hint=replica, deadline=x", "read_hint=replica", 2 },
	{ "pointsman: primary", "", 1 },
	{ "pointsman: =x", "", 1 },
	{ "pointsman: read_hint", "", 1 },
	{ "pointsman: read_hint=replica deadline=5s", "", 1 },
	{ "pointsman:", "", 0 },
	{ "pointsman: ", "", 0 },
	{ "pointsman read_hint=replica", "", 0 },
	{ "xpointsman: read_hint=replica", "", 0 },
	/* headers */
	{ "x-read-hint: primary", "read_hint=primary", 0 },
	{ " X-Read-Hint : PRIMARY ", "read_hint=primary", 0 },
	{ "x-max-staleness: 5s", "max_staleness=5000000", 0 },
	{ "x-deadline: 250ms", "deadline=250000", 0 },
	{ "x-consistency: strong", "consistency=strong", 0 },
	{ "x-route: a", "route=a", 0 },
	{ "x-after-lsn: 0/1", "after_lsn=1", 0 },
	{ "x-mirror: off", "mirror=off", 0 },
	{ "x-db-route: tenant-a,read-preference=strong", "route=tenant-a consistency=strong", 0 },
	{ "x-db-route: tenant-a, read-preference=eventual", "route=tenant-a consistency=eventual",
	  0 },
	{ "x-db-route: tenant-a,Read-Preference='replica'", "read_hint=replica route=tenant-a",
	  0 },
	{ "x-db-route: read-preference=primary", "read_hint=primary", 0 },
	{ "x-db-route: a,max-staleness=1s,deadline=2s",
	  "max_staleness=1000000 deadline=2000000 route=a", 0 },
	{ "x-db-route: tenant:a", "route=tenant:a", 0 },
	{ "x-db-route: a,read-preference=frob", "route=a", 1 },
	{ "x-db-route: a,frob=1", "route=a", 1 },
	{ "x-db-route:", "", 0 },
	{ "x-read-hint: replica; x-db-route: a,read-preference=session\nx-deadline: 1s",
	  "read_hint=replica deadline=1000000 route=a consistency=session", 0 },
	{ "x-read-hint: replica, x-deadline: 1s", "read_hint=replica deadline=1000000", 0 },
	{ "x-read-hint: frob", "", 1 },
	{ "x-read-hint:", "", 1 },
	{ "x-read-hint: replica, primary", "read_hint=replica", 1 },
	{ "x-request-id: 5", "", 0 },
	{ "x-read-hint primary", "", 0 },
	{ "x-: a", "", 0 },
	/* sqlcommenter */
	{ "read_hint='replica'", "read_hint=replica", 0 },
	{ "read_hint='replica',traceparent='" PARENT "'", "read_hint=replica traceparent=" PARENT,
	  0 },
	{ "action='run',controller='a%27b',db_driver='x',read_hint='primary'",
	  "read_hint=primary", 0 },
	{ "after_lsn='16%2FB374D848'", "after_lsn=16B374D848", 0 },
	{ "read%5Fhint='replica'", "read_hint=replica", 0 },
	{ "read_hint='stale%2Dallowed' , deadline='1%20s'",
	  "read_hint=stale-allowed deadline=1000000", 0 },
	{ "route='tenant-a'", "route=tenant-a", 0 },
	{ "route='%5Epolls/%24 x'", "", 0 },
	{ "route='/a/very/long/pattern/of/a/framework/that/is/not/a/tag/of/ours/at/all'", "", 0 },
	{ "read_hint='frob',route='a'", "route=a", 1 },
	{ "deadline='%zz'", "", 1 },
	{ "deadline='%2'", "", 1 },
	{ "traceparent='x'", "", 1 },
	{ "a='it\\'s',read_hint='replica'", "read_hint=replica", 0 },
	{ "read_hint='replica' and more", "", 0 },
	{ "read_hint='replica',", "", 0 },
	{ "read_hint='replica", "", 0 },
	{ "read_hint='replica\\'", "", 0 },
	{ "read_hint=replica", "", 0 },
	{ "read_hint=", "", 0 },
	{ "read_hint", "", 0 },
	{ "='replica'", "", 0 },
	{ "see id='5' where read_hint='replica'", "", 0 },
	/* anything */
	{ "", "", 0 },
	{ " ", "", 0 },
	{ "a comment", "", 0 },
	{ "x", "", 0 },
	{ "'", "", 0 },
	{ ",", "", 0 },
};

#define N_COMMENTS (sizeof(comments) / sizeof(comments[0]))

START_TEST(comments_carry_hints)
{
	const struct comment_row *row = &comments[_i];
	unsigned bad = hint_read_comment(&hints, row->text, strlen(row->text), why, sizeof(why));
	char out[256];

	ck_assert_msg(strcmp(describe(out, sizeof(out)), row->hints) == 0,
		      "\"%s\" is \"%s\" instead of \"%s\"", row->text, out, row->hints);
	ck_assert_msg(bad == row->bad, "\"%s\" has %u bad values (%s)", row->text, bad, why);
	ck_assert((bad > 0) == (why[0] != '\0'));
}
END_TEST

/* The text is not terminated: each prefix in a block of its very size. */
START_TEST(every_prefix_of_a_comment)
{
	for (size_t i = 0; i < N_COMMENTS; i++) {
		for (size_t n = 0; n <= strlen(comments[i].text); n++) {
			char *copy = malloc(n ? n : 1);

			memcpy(copy, comments[i].text, n);
			hint_read_comment(&hints, copy, n, why, sizeof(why));
			free(copy);
		}
	}
}
END_TEST

START_TEST(the_first_complaint_is_kept)
{
	const char *text = "pointsman: deadline=x, read_hint=y";

	ck_assert_uint_eq(hint_read_comment(&hints, text, strlen(text), why, sizeof(why)), 2);
	ck_assert_str_eq(why, "deadline: \"x\" is not a duration such as 250ms, 5s or 1min");
	ck_assert_uint_eq(hint_read_comment(&hints, text, strlen(text), NULL, 0), 2);
}
END_TEST

START_TEST(bytes_that_are_no_text)
{
	char text[64];

	for (int byte = 0; byte < 256; byte++) {
		int n = snprintf(text, sizeof(text), "pointsman: route=a%cb,x=%c", 'Z', 'Z');

		for (int i = 0; i < n; i++) {
			if (text[i] == 'Z')
				text[i] = (char)byte;
		}
		hint_read_comment(&hints, text, (size_t)n, why, sizeof(why));
		for (const char *p = why; *p; p++)
			ck_assert(*p >= ' ' && *p <= '~');
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("sql/hint");
	TCase *tcase = tcase_create("keys");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, keys_take_their_values, 0,
			    (int)(sizeof(values) / sizeof(values[0])));
	tcase_add_test(tcase, a_refused_value_changes_nothing);
	tcase_add_test(tcase, complaints_name_what_is_wrong);
	tcase_add_test(tcase, hints_are_forgotten_by_key);
	tcase_add_test(tcase, the_stronger_source_wins);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("comments");
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, comments_carry_hints, 0, (int)N_COMMENTS);
	tcase_add_test(tcase, every_prefix_of_a_comment);
	tcase_add_test(tcase, the_first_complaint_is_kept);
	tcase_add_test(tcase, bytes_that_are_no_text);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(make_suite)
