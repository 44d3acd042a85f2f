/*
 * SASLprep: the examples of RFC 4013, ASCII untouched, what is taken raw (invalid UTF-8,
 * prohibited, unassigned, bidi), and where PostgreSQL's order of steps matters. The expectations
 * were compared with PQencryptPasswordConn() of PostgreSQL 15.
 */

#include "auth/saslprep.h"

#include <stdlib.h>
#include <string.h>

#include "../unit.h"

static const struct {
	const char *what;
	const char *password;
	const char *prepared;
} rows[] = {
	{ "empty", "", "" },
	{ "ASCII", "pencil", "pencil" },
	{ "ASCII keeps control characters", "a\x01\x7f\tb", "a\x01\x7f\tb" },
	{ "RFC 4013: soft hyphen vanishes", "I\xc2\xadX", "IX" },
	{ "RFC 4013: case is kept", "USER\xc3\xa9", "USER\xc3\xa9" },
	{ "RFC 4013: feminine ordinal", "\xc2\xaa", "a" },
	{ "RFC 4013: Roman numeral nine", "\xe2\x85\xa8", "IX" },
	{ "RFC 4013: bidi check fails, raw",
	  "\xd8\xa7"
	  "1",
	  "\xd8\xa7"
	  "1" },
	{ "right-to-left all through",
	  "\xd8\xa7"
	  "1"
	  "\xd8\xa8",
	  "\xd8\xa7"
	  "1"
	  "\xd8\xa8" },
	{ "right-to-left around left-to-right, raw: not normalised",
	  "\xd8\xa7"
	  "\xe2\x85\xa8"
	  "\xd8\xa7",
	  "\xd8\xa7"
	  "\xe2\x85\xa8"
	  "\xd8\xa7" },
	{ "composed", "e\xcc\x81", "\xc3\xa9" },
	{ "other spaces become one",
	  "sp\xc2\xa0"
	  "a\xe3\x80\x80"
	  "ce",
	  "sp a ce" },
	{ "zero width space is a space",
	  "a\xe2\x80\x8b"
	  "b",
	  "a b" },
	{ "control character with non-ASCII, raw", "\x01\xe2\x85\xa8", "\x01\xe2\x85\xa8" },
	{ "nothing left, raw", "\xc2\xad", "\xc2\xad" },
	{ "private use, raw", "\xee\x80\x80\xe2\x85\xa8", "\xee\x80\x80\xe2\x85\xa8" },
	{ "unassigned in Unicode 3.2, raw", "\xe2\x85\xa8\xf0\x9f\x98\x80",
	  "\xe2\x85\xa8\xf0\x9f\x98\x80" },
	{ "deprecated U+0340 is looked for before normalising, raw", "a\xcd\x80", "a\xcd\x80" },
	{ "alef symbol is left-to-right before normalising", "a\xe2\x84\xb5", "a\xd7\x90" },
	{ "Corrigendum 4: U+2F868", "\xf0\xaf\xa1\xa8", "\xe3\x9b\xbc" },
	{ "Corrigendum 4: U+2F9BF", "\xf0\xaf\xa6\xbf", "\xe4\x97\x97" },
	{ "Corrigendum 4: U+2F91F", "\xf0\xaf\xa4\x9f", "\xf0\xa4\x8e\xab" },
	{ "Latin-1, raw", "x\xe9", "x\xe9" },
	{ "cut UTF-8, raw", "\xe2\x85\xa8\xe2\x85", "\xe2\x85\xa8\xe2\x85" },
	{ "overlong, raw", "\xc0\xaf\xe2\x85\xa8", "\xc0\xaf\xe2\x85\xa8" },
	{ "surrogate, raw", "\xed\xa0\x80\xe2\x85\xa8", "\xed\xa0\x80\xe2\x85\xa8" },
	{ "above U+10FFFF, raw", "\xf4\x90\x80\x80\xe2\x85\xa8", "\xf4\x90\x80\x80\xe2\x85\xa8" },
};

START_TEST(passwords_are_prepared)
{
	/* In a buffer of exactly its size. */
	char *password = strdup(rows[_i].password);
	char *prepared = saslprep_password(password);

	ck_assert_ptr_nonnull(prepared);
	ck_assert_msg(strcmp(prepared, rows[_i].prepared) == 0, "%s: got \"%s\"", rows[_i].what,
		      prepared);
	free(prepared);
	free(password);
}
END_TEST

/* What came out goes in unchanged. */
START_TEST(preparing_twice_changes_nothing)
{
	char *once = saslprep_password(rows[_i].password);
	char *twice = saslprep_password(once);

	ck_assert_str_eq(once, twice);
	free(once);
	free(twice);
}
END_TEST

START_TEST(no_memory_is_reported)
{
	unit_fail_alloc(1);
	ck_assert_ptr_null(saslprep_password("pencil"));
	unit_fail_alloc(0);
}
END_TEST

static Suite *saslprep_suite(void)
{
	Suite *suite = suite_create("auth/saslprep");
	TCase *tc = tcase_create("saslprep");
	int n_rows = (int)(sizeof(rows) / sizeof(rows[0]));

	tcase_add_loop_test(tc, passwords_are_prepared, 0, n_rows);
	tcase_add_loop_test(tc, preparing_twice_changes_nothing, 0, n_rows);
	tcase_add_test(tc, no_memory_is_reported);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(saslprep_suite)
