/* admin/words: statements, quotes, comments, bounds. */

#include "admin/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

/* The words of all statements: plain ones as they are, "identifier", 'string', <sign>; statements
 * end with ';'. */
static void read_all(const char *text, char *out, size_t size)
{
	enum words_result result;
	struct words words;
	size_t used = 0;

	out[0] = '\0';
	while ((result = words_next(&text, &words)) == WORDS_STATEMENT) {
		for (size_t i = 0; i < words.count; i++) {
			if (i > 0)
				used += (size_t)snprintf(out + used, size - used, " ");
			switch (words.list[i].kind) {
#define PRINT(frame, i) snprintf(out + used, size - used, frame, words_text(&words, i))
			case WORD_PLAIN: used += (size_t)PRINT("%s", i); break;
			case WORD_IDENTIFIER: used += (size_t)PRINT("\"%s\"", i); break;
			case WORD_STRING: used += (size_t)PRINT("'%s'", i); break;
			default: used += (size_t)PRINT("<%s>", i); break;
#undef PRINT
			}
		}
		used += (size_t)snprintf(out + used, size - used, words.is_cut ? "...;" : ";");
	}
	ck_assert_str_eq(text, "");
	if (result == WORDS_UNTERMINATED)
		snprintf(out + used, size - used, "!");
}

static const struct {
	const char *text;
	const char *words;
} readings[] = {
	{ "", "" },
	{ " \t\r\n\f\v", "" },
	{ ";", "" },
	{ " ; ;; ", "" },
	{ "show pools", "show pools;" },
	{ "  Show   Lists ; ", "Show Lists;" },
	{ "a;b ;c", "a;b;c;" },
	{ "PAUSE \"my db\"", "PAUSE \"my db\";" },
	{ "PAUSE \"a\"\"b\"", "PAUSE \"a\"b\";" },
	{ "PAUSE \"\"", "PAUSE \"\";" },
	{ "PAUSE \"a;b\"", "PAUSE \"a;b\";" },
	{ "PAUSE my-db", "PAUSE my-db;" },
	{ "SET a='it''s'", "SET a <=> 'it's';" },
	{ "SET a = ''", "SET a <=> '';" },
	{ "SET log.level=debug", "SET log.level <=> debug;" },
	{ "SET a = 1.5h", "SET a <=> 1.5h;" },
	{ "select version()", "select version <(> <)>;" },
	{ "UNLISTEN *", "UNLISTEN <*>;" },
	{ "a'b'c", "a 'b' c;" },
	{ "-- comment", "" },
	{ "-- comment\nshow pools -- more", "show pools;" },
	{ "show -- x\npools", "show pools;" },
	{ "/* a */ show /* b; */ pools /* c */", "show pools;" },
	{ "/* a /* nested */ still */ show pools", "show pools;" },
	{ "a-- b", "a-- b;" }, /* begins inside a word: belongs to it */
	{ "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f;" },
	{ "a\x01"
	  "b",
	  "a <\x01> b;" },
	{ "'", "!" },
	{ "\"", "!" },
	{ "show 'pools", "!" },
	{ "show \"pools", "!" },
	{ "show 'it''", "!" },
	{ "/*", "!" },
	{ "/* /* */", "!" },
	{ "show pools /* ", "!" },
	{ "/", "/;" },
	{ "a; 'b", "a;!" },
	{ "1 2 3 4 5 6 7 8 9 10", "1 2 3 4 5 6 7 8 9 10;" },
	{ "1 2 3 4 5 6 7 8 9 10 11; b", "1 2 3 4 5 6 7 8 9 10...;b;" },
};

START_TEST(reads)
{
	char out[256];

	read_all(readings[_i].text, out, sizeof(out));
	ck_assert_str_eq(out, readings[_i].words);
}
END_TEST

/* A word of any length fits, or the statement is marked; nothing is written beyond. */
START_TEST(long_words)
{
	for (size_t length = WORDS_TEXT_MAX - 3; length < WORDS_TEXT_MAX + 3; length++) {
		struct words *words = malloc(sizeof(*words));
		char *text = malloc(length + 3);
		const char *at = text;

		ck_assert(text && words);
		memset(text, 'a', length);
		memcpy(text + length, " b", 3);
		ck_assert_int_eq(words_next(&at, words), WORDS_STATEMENT);
		ck_assert_int_eq(words->is_cut, length > WORDS_TEXT_MAX - 3);
		ck_assert_uint_ge(words->count, 1);
		ck_assert_uint_le(strlen(words_text(words, 0)), WORDS_TEXT_MAX - 1);
		ck_assert_uint_eq(words->source_length, length + 2);
		free(text);
		free(words);
	}
}
END_TEST

START_TEST(source_is_without_blanks)
{
	const char *at = "  /* x */  show   pools  /* y */ ; more";
	struct words words;

	ck_assert_int_eq(words_next(&at, &words), WORDS_STATEMENT);
	ck_assert_uint_eq(words.source_length, strlen("show   pools"));
	ck_assert_int_eq(strncmp(words.source, "show   pools", words.source_length), 0);
	ck_assert_str_eq(at, " more");
}
END_TEST

START_TEST(words_that_are_not_there)
{
	const char *at = "show 'pools'";
	struct words words;

	ck_assert_int_eq(words_next(&at, &words), WORDS_STATEMENT);
	ck_assert_str_eq(words_text(&words, 2), "");
	ck_assert(!words_is(&words, 2, ""));
	ck_assert(words_is(&words, 0, "SHOW"));
	ck_assert(!words_is(&words, 1, "pools"));
}
END_TEST

static Suite *words_suite(void)
{
	Suite *suite = suite_create("admin/words");
	TCase *tcase = tcase_create("words");

	tcase_add_loop_test(tcase, reads, 0, sizeof(readings) / sizeof(readings[0]));
	tcase_add_test(tcase, long_words);
	tcase_add_test(tcase, source_is_without_blanks);
	tcase_add_test(tcase, words_that_are_not_there);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(words_suite)
