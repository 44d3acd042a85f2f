/*
 * The lexer against the rules of scan.l, one row for each; every prefix of each row (it never
 * reads beyond its end: the input stands at the end of a page); comments; a NUL.
 */
#include "sql/lexer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../unit.h"

/* One letter for each kind, in the order of enum token_kind. */
static const char letters[] = "$wqQsSdbnpo(),.;c!";

struct row {
	const char *text;
	const char *tokens; /* "w:select n:1": kind and text */
};

static const struct row rows[] = {
	{ "", "" },
	{ " \t\n\r\f", "" },
	{ "SELECT a_1$", "w:SELECT w:a_1$" },
	{ "\xc3\xa9t\xc3\xa9", "w:\xc3\xa9t\xc3\xa9" },
	{ "a\vb", "w:a !:\vb" },
	/* quoted names */
	{ "\"a\"", "q:\"a\"" },
	{ "\"a\"\"b\"c", "q:\"a\"\"b\" w:c" },
	{ "\"\"", "q:\"\"" },
	{ "\"a", "!:\"a" },
	{ "\"a\"\"", "!:\"a\"\"" },
	{ "U&\"a\" u&\"b\"", "Q:U&\"a\" Q:u&\"b\"" },
	{ "U& \"a\"", "w:U o:& q:\"a\"" },
	{ "U&a", "w:U o:& w:a" },
	{ "xU&\"a\"", "w:xU o:& q:\"a\"" },
	/* strings */
	{ "'a''b'c", "s:'a''b' w:c" },
	{ "''", "s:''" },
	{ "'a\\'", "s:'a\\'" },
	{ "'a", "!:'a" },
	{ "'a''", "!:'a''" },
	{ "E'a\\'b'c", "s:E'a\\'b' w:c" },
	{ "e'a''b\\\\'c", "s:e'a''b\\\\' w:c" },
	{ "E'a\\'", "!:E'a\\'" },
	{ "E 'a'", "w:E s:'a'" },
	{ "xE'a\\'b", "w:xE s:'a\\' w:b" },
	{ "B'01' x'fF'", "b:B'01' b:x'fF'" },
	{ "B'0''1'", "b:B'0' s:'1'" },
	{ "N'a''b'", "s:N'a''b'" },
	{ "U&'a' u&'b''c'", "S:U&'a' S:u&'b''c'" },
	/* strings go on behind a newline */
	{ "'a'\n'b'", "s:'a'\n'b'" },
	{ "'a' \t\r 'b'", "s:'a' \t\r 'b'" },
	{ "'a' 'b'", "s:'a' s:'b'" },
	{ "'a' -- c\n 'b'", "s:'a' -- c\n 'b'" },
	{ "'a'\n--c\n--d\n'b'", "s:'a'\n--c\n--d\n'b'" },
	{ "'a' --c", "s:'a'" },
	{ "'a'\n/* c */'b'", "s:'a' s:'b'" },
	{ "'a'\n-1", "s:'a' o:- n:1" },
	{ "E'a'\n'\\''", "s:E'a'\n'\\''" },
	{ "'a'\nE'b'", "s:'a' s:E'b'" },
	{ "B'1'\n'0'", "b:B'1'\n'0'" },
	{ "'a'\n\"b\"", "s:'a' q:\"b\"" },
	/* dollar quotes */
	{ "$$a$$", "d:$$a$$" },
	{ "$a$ $$ ' $b$ $a$c", "d:$a$ $$ ' $b$ $a$ w:c" },
	{ "$a$ $a $a$", "d:$a$ $a $a$" },
	{ "$\xc3\xa9$x$\xc3\xa9$", "d:$\xc3\xa9$x$\xc3\xa9$" },
	{ "$a$b", "!:$a$b" },
	{ "$$", "!:$$" },
	{ "$1a$x$1a$", "!:$1a$x$1a$" },
	{ "a$b$c", "w:a$b$c" },
	{ "$ 1", "!:$ 1" },
	{ "$a", "!:$a" },
	/* numbers */
	{ "1 12 1.5 1. .5 1e5 1.5E-3 1.e+2", "n:1 n:12 n:1.5 n:1. n:.5 n:1e5 n:1.5E-3 n:1.e+2" },
	{ "1..10", "n:1 c:.. n:10" },
	{ "1.5.2", "n:1.5 n:.2" },
	{ "1a", "!:1a" },
	{ "1.5a", "!:1.5a" },
	{ "1e", "!:1e" },
	{ "1e+", "!:1e+" },
	{ "0x1F", "!:0x1F" },
	{ "1_000", "!:1_000" },
	{ "1$1", "n:1 p:$1" },
	{ "a.5", "w:a n:.5" },
	/* parameters */
	{ "$1 $23", "p:$1 p:$23" },
	{ "$1a", "!:$1a" },
	/* operators */
	{ "a+b", "w:a o:+ w:b" },
	{ "<= >= <> != =>", "o:<= o:>= o:<> o:!= o:=>" },
	{ "->> #>> @> ?| ||", "o:->> o:#>> o:@> o:?| o:||" },
	{ "*-", "o:* o:-" },
	{ "=-1", "o:= o:- n:1" },
	{ "=+-1", "o:= o:+ o:- n:1" },
	{ "@-1", "o:@- n:1" },
	{ "- -1", "o:- o:- n:1" },
	{ "+--x", "o:+" },
	{ "+-", "o:+ o:-" },
	{ "a*/**/b", "w:a o:* w:b" },
	{ "<--x\n>", "o:< o:>" },
	{ "*/", "o:*/" },
	/* punctuation */
	{ "f(a[1],b.c);", "w:f (:( w:a (:[ n:1 ):] ,:, w:b .:. w:c ):) ;:;" },
	{ "a::b :=c :d ::::", "w:a c::: w:b c::= w:c c:: w:d c::: c:::" },
	{ "{", "!:{" },
	{ "\\", "!:\\" },
	/* comments */
	{ "a--b", "w:a" },
	{ "a--b\nc", "w:a w:c" },
	{ "a--b\rc", "w:a w:c" },
	{ "a/*b*/c", "w:a w:c" },
	{ "a/*b/*c*/d*/e", "w:a w:e" },
	{ "a/*/b*/c", "w:a w:c" },
	{ "a/**/c", "w:a w:c" },
	{ "a/***/c", "w:a w:c" },
	{ "a/*/*/ */ */c", "w:a w:c" },
	{ "a/* /*/*//b*/ c*/ d */ e */f", "w:a w:e o:*/ w:f" },
	{ "a/*b", "w:a !:/*b" },
	{ "a/*/", "w:a !:/*/" },
	{ "a/*b/*c*/", "w:a !:/*b/*c*/" },
	{ "a/* -- */b", "w:a w:b" },
	{ "a-- /*\nb", "w:a w:b" },
	{ "a/*'*/b", "w:a w:b" },
	{ "'/*'--'", "s:'/*'" },
};

#define N_ROWS (sizeof(rows) / sizeof(rows[0]))

static void describe(const char *text, size_t length, char *out, size_t size)
{
	struct lexer lexer;
	struct token token;
	size_t n = 0;

	out[0] = '\0';
	lexer_init(&lexer, text, length, NULL, NULL);
	for (lexer_next(&lexer, &token); token.kind != TOKEN_END; lexer_next(&lexer, &token)) {
		ck_assert_uint_gt(token.length, 0);
		n += (size_t)snprintf(out + n, size - n, "%s%c:%.*s", n ? " " : "",
				      letters[token.kind], (int)token.length, token.at);
	}
}

START_TEST(tokens_are_cut_as_by_scan_l)
{
	char out[512];

	describe(rows[_i].text, strlen(rows[_i].text), out, sizeof(out));
	ck_assert_msg(strcmp(out, rows[_i].tokens) == 0, "\"%s\" is \"%s\" instead of \"%s\"",
		      rows[_i].text, out, rows[_i].tokens);
}
END_TEST

/* A page that ends in memory that must not be touched; texts stand at its end. */
static char *guarded_page(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *memory =
		mmap(NULL, page * 2, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert(memory != MAP_FAILED);
	ck_assert_int_eq(mprotect(memory + page, page, PROT_NONE), 0);
	return memory + page;
}

START_TEST(every_prefix_ends_where_it_ends)
{
	char *end = guarded_page();
	char out[512];

	for (size_t i = 0; i < N_ROWS; i++) {
		size_t length = strlen(rows[i].text);

		for (size_t n = 0; n <= length; n++) {
			memcpy(end - n, rows[i].text, n);
			describe(end - n, n, out, sizeof(out));
		}
	}
}
END_TEST

START_TEST(a_nul_ends_the_text)
{
	char out[64];

	describe("a\0b", 3, out, sizeof(out));
	ck_assert_str_eq(out, "w:a");
	describe("'a\0b'", 5, out, sizeof(out));
	ck_assert_str_eq(out, "!:'a");
	describe("/* \0*/", 6, out, sizeof(out));
	ck_assert_str_eq(out, "!:/* ");
}
END_TEST

START_TEST(the_end_stays_the_end)
{
	struct lexer lexer;
	struct token token;

	lexer_init(&lexer, "a", 1, NULL, NULL);
	lexer_next(&lexer, &token);
	for (int i = 0; i < 3; i++) {
		lexer_next(&lexer, &token);
		ck_assert_int_eq(token.kind, TOKEN_END);
	}
}
END_TEST

/* --- comments and pieces --- */

static void collect(void *context, const char *inside, size_t length)
{
	char *out = context;

	snprintf(out + strlen(out), 256 - strlen(out), "[%.*s]", (int)length, inside);
}

static const struct row comments[] = {
	{ "a -- b \nc", "[ b ]" },
	{ "/* a */ b /*c/*d*/*/", "[ a ][c/*d*/]" },
	{ "--", "[]" },
	{ "/**/", "[]" },
	{ "a /* b", "" },
	{ "'a' -- b\n 'c' -- d", "[ b][ d]" },
	{ "'a' -- b\n c", "[ b]" },
	{ "'-- a'", "" },
	{ "$$ -- a $$", "" },
	{ "a+--b", "[b]" },
};

START_TEST(comments_are_reported)
{
	struct lexer lexer;
	struct token token;
	char out[256] = "";

	lexer_init(&lexer, comments[_i].text, strlen(comments[_i].text), collect, out);
	do {
		lexer_next(&lexer, &token);
	} while (token.kind != TOKEN_END);
	ck_assert_str_eq(out, comments[_i].tokens);
}
END_TEST

static const struct row pieces[] = {
	{ "'a'", "['a']" },
	{ "'a'\n'b'", "['a']['b']" },
	{ "E'a\\'' -- c'\n '\\''\n''", "[E'a\\'']['\\'']['']" },
	{ "B'1'\n'0'", "[B'1']['0']" },
	{ "U&'a'\n'b''c'", "[U&'a']['b''c']" },
	{ "N'a'\r'b'", "[N'a']['b']" },
};

START_TEST(continued_strings_have_pieces)
{
	struct lexer lexer;
	struct token token, piece;
	const char *at = NULL;
	char out[256] = "";

	lexer_init(&lexer, pieces[_i].text, strlen(pieces[_i].text), NULL, NULL);
	lexer_next(&lexer, &token);
	while (lexer_next_piece(&token, &at, &piece))
		collect(out, piece.at, piece.length);
	ck_assert_str_eq(out, pieces[_i].tokens);
	ck_assert(token.is_continued == (strchr(pieces[_i].tokens + 1, '[') != NULL));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("sql/lexer");
	TCase *tcase = tcase_create("tokens");

	tcase_add_loop_test(tcase, tokens_are_cut_as_by_scan_l, 0, (int)N_ROWS);
	tcase_add_test(tcase, every_prefix_ends_where_it_ends);
	tcase_add_test(tcase, a_nul_ends_the_text);
	tcase_add_test(tcase, the_end_stays_the_end);
	suite_add_tcase(suite, tcase);

	tcase = tcase_create("comments");
	tcase_add_loop_test(tcase, comments_are_reported, 0,
			    (int)(sizeof(comments) / sizeof(comments[0])));
	tcase_add_loop_test(tcase, continued_strings_have_pieces, 0,
			    (int)(sizeof(pieces) / sizeof(pieces[0])));
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(make_suite)
