/* admin/text: whatever comes in, valid UTF-8 without control characters goes out. */

#include "admin/text.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

static const struct {
	const char *in;
	const char *out;
} cleanings[] = {
	{ "", "" },
	{ "app", "app" },
	{ "a b\tc", "a b?c" },
	{ "line\nbreak\r", "line?break?" },
	{ "\x7f\x1b[31m", "??[31m" },
	{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f" },
	{ "\xe2\x82\xac \xf0\x9f\x9a\x82", "\xe2\x82\xac \xf0\x9f\x9a\x82" },
	{ "\xc2\x85", "?" },        /* a C1 control character */
	{ "\xc2\xa0", "\xc2\xa0" }, /* the first one behind them */
	{ "\x80", "?" },            /* goes on with nothing */
	{ "\xc3", "?" },            /* ends too early */
	{ "\xc3(", "?(" },
	{ "\xe2\x82", "??" },
	{ "\xe2\x82(", "??"
		       "(" },
	{ "\xf0\x9f\x9a", "???" },
	{ "\xc0\xaf", "??" }, /* overlong */
	{ "\xe0\x80\xaf", "???" },
	{ "\xf0\x80\x80\xaf", "????" },
	{ "\xed\xa0\x80", "???" }, /* a surrogate */
	{ "\xed\x9f\xbf", "\xed\x9f\xbf" },
	{ "\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf" },
	{ "\xf4\x90\x80\x80", "????" }, /* above U+10FFFF */
	{ "\xf5\x80\x80\x80", "????" },
	{ "\xff\xfe", "??" },
};

START_TEST(cleans)
{
	char out[64];

	text_clean(out, sizeof(out), cleanings[_i].in);
	ck_assert_str_eq(out, cleanings[_i].out);
	/* What is clean stays as it is. */
	text_clean(out, sizeof(out), cleanings[_i].out);
	ck_assert_str_eq(out, cleanings[_i].out);
}
END_TEST

START_TEST(null_is_empty)
{
	char out[4] = "x";

	text_clean(out, sizeof(out), NULL);
	ck_assert_str_eq(out, "");
}
END_TEST

static const struct {
	size_t size;
	const char *in;
	const char *out;
} cuts[] = {
	{ 1, "abc", "" },
	{ 3, "abc", "ab" },
	{ 4, "abc", "abc" },
	{ 3, "a\xc3\xbc", "a" },
	{ 4, "a\xc3\xbc", "a\xc3\xbc" },
	{ 4, "\xf0\x9f\x9a\x82", "" },
	{ 3, "\n\n\n", "??" },
};

/* Each output lies in memory of its own size, so that a sanitizer sees one byte too many. */
START_TEST(cuts_between_characters)
{
	char *out = malloc(cuts[_i].size);

	ck_assert_ptr_nonnull(out);
	text_clean(out, cuts[_i].size, cuts[_i].in);
	ck_assert_str_eq(out, cuts[_i].out);
	free(out);
}
END_TEST

static Suite *text_suite(void)
{
	Suite *suite = suite_create("admin/text");
	TCase *tcase = tcase_create("text");

	tcase_add_loop_test(tcase, cleans, 0, sizeof(cleanings) / sizeof(cleanings[0]));
	tcase_add_test(tcase, null_is_empty);
	tcase_add_loop_test(tcase, cuts_between_characters, 0, sizeof(cuts) / sizeof(cuts[0]));
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(text_suite)
