/*
 * Corner cases: includes at the begin, middle and end of a file, without a last newline, empty,
 * nested, in a loop, missing, of a directory (which ends the process inside libconfig), in
 * strings and comments; strings and comments that do not end; numbers of 31, 32, 63 and 64 bits;
 * every prefix of a text that has it all.
 */

#include "config/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit.h"
#include "config/problems.h"
#include "sample.h"

static struct source source;
static struct problems problems;
static const char *directory;
static char main_path[300];

static void setup(void)
{
	problems = (struct problems){ 0 };
	source = (struct source){ 0 };
	directory = sample_directory();
	snprintf(main_path, sizeof(main_path), "%s/main.conf", directory);
}

static void teardown(void)
{
	problems_free(&problems);
	source_free(&source);
	sample_remove_directory(directory);
}

static bool read_text(const char *text)
{
	return source_read_text(&source, main_path, text, strlen(text), &problems);
}

static void assert_text(const char *expected)
{
	ck_assert_uint_eq(problems.count, 0);
	ck_assert_str_eq((const char *)bytes_begin(&source.text), expected);
}

static void assert_place(unsigned line, const char *file, unsigned file_line)
{
	struct source_place place = source_place_of(&source, line);
	const char *name = strrchr(place.file, '/');

	ck_assert_str_eq(name ? name + 1 : place.file, file);
	ck_assert_uint_eq(place.line, file_line);
}

static void assert_problem(unsigned line, const char *text)
{
	ck_assert_uint_eq(problems.count, 1);
	ck_assert_msg(strstr(problems.items[0].text, text) != NULL, "%s", problems.items[0].text);
	ck_assert_uint_eq(problems.items[0].line, line);
}

/* --- what is copied, and what of it changes --- */

static const struct {
	const char *in;
	const char *out; /* NULL: unchanged */
} copied[] = {
	{ "", NULL },
	{ "\n", NULL },
	{ "a = 1;", NULL },
	{ "a=2147483647 b=-2147483648", NULL },
	{ "a=2147483648;", "a=2147483648L;" },
	{ "a=-2147483649;", "a=-2147483649L;" },
	{ "a=9223372036854775807", "a=9223372036854775807L" },
	{ "a=9223372036854775807L", NULL },
	{ "a=5L; b=5LL; c=99999999999LL;", NULL },
	{ "a=0x7fffffff; b=0xffffffff;", "a=0x7fffffff; b=0xffffffffL;" },
	{ "a=99999999999.5; b=99999999999e3; c=1.5e+3; d=.5; e=-.5;", NULL },
	{ "a99999999999 = 1; b-99999999999 = 2; *99999999999 = 3;", NULL },
	{ "# 99999999999\n// 99999999999\n/* 99999999999\n*/ a = 1;", NULL },
	{ "a = \"99999999999\"; b = \"\\\"99999999999\\\\\";", NULL },
	{ "a = \"# no comment\" ; b = \"/*\"; c = \"//\";", NULL },
	{ "# \"\n/* \" */ // \"\n", NULL },
	{ "a = - + . / * ( ) [ ] { } , ; @ $ ~", NULL },
	{ "a = @include \"x\"", NULL },
	{ "# @include \"x\"\n/*\n@include \"x\"\n*/", NULL },
	{ "\xff\xfe\x01", NULL },
};

START_TEST(text_is_copied)
{
	ck_assert(read_text(copied[_i].in));
	assert_text(copied[_i].out ? copied[_i].out : copied[_i].in);
}
END_TEST

static const struct {
	const char *in;
	unsigned line;
	const char *text;
} refused[] = {
	{ "\n\"", 2, "the string is not closed on its line" },
	{ "\"a\nb\"", 1, "the string is not closed on its line" },
	{ "\"a\\", 1, "the string is not closed on its line" },
	{ "\"a\\\nb\"", 1, "the string is not closed on its line" },
	{ "\"a\\\"", 1, "the string is not closed on its line" },
	{ "a\n\n/* b\n", 3, "the comment is not closed" },
	{ "/*/", 1, "the comment is not closed" },
	{ "\na = 9223372036854775808;", 2, "the number 9223372036854775808 is too large" },
	{ "a = -9223372036854775809;", 1, "is too large" },
	{ "a = 99999999999999999999999999999999999999999999999999;", 1,
	  "the number 9999999999999999999999999999999... is too large" },
	{ "a = 0xfffffffffffffffff;", 1, "is too large" },
	{ "@include", 1, "@include needs the name of a file in double quotes" },
	{ "@include x", 1, "@include needs the name of a file in double quotes" },
	{ "\n @include \"x\n\"", 2, "@include needs the name of a file in double quotes" },
	{ "@include \"x", 1, "@include needs the name of a file in double quotes" },
	{ "@include \"", 1, "@include needs the name of a file in double quotes" },
	{ "@include \"a\\b\"", 1, "@include needs the name of a file in double quotes" },
	{ "\n@include \"none\"", 2, "cannot include \"none\": No such file or directory" },
	{ "@include \".\"", 1, "cannot include \".\": it is not a regular file" },
	{ "@include \"\"", 1, "cannot include \"\": it is not a regular file" },
	{ "@include \"/dev/zero\"", 1, "cannot include \"/dev/zero\": it is not a regular file" },
};

START_TEST(mistakes_are_found_where_they_are)
{
	ck_assert(!read_text(refused[_i].in));
	assert_problem(refused[_i].line, refused[_i].text);
}
END_TEST

START_TEST(text_with_nul_or_too_much_of_it_is_refused)
{
	size_t length = ((size_t)4 << 20) + 1;
	char *text = malloc(length);

	ck_assert(!source_read_text(&source, main_path, "a\0b", 3, &problems));
	assert_problem(0, "it has a NUL byte");
	problems_free(&problems);
	source_free(&source);

	memset(text, ' ', length);
	ck_assert(!source_read_text(&source, main_path, text, length, &problems));
	assert_problem(0, "it is too large");
	problems_free(&problems);
	source_free(&source);
	ck_assert(source_read_text(&source, main_path, text, length - 1, &problems));
	free(text);
}
END_TEST

START_TEST(unreadable_files_are_named)
{
	ck_assert(!source_read_file(&source, main_path, &problems));
	assert_problem(0, "cannot read the file: No such file or directory");
	assert_place(0, "main.conf", 1);
	problems_free(&problems);
	source_free(&source);
	ck_assert(!source_read_file(&source, directory, &problems));
	assert_problem(0, "cannot read the file: it is not a regular file");
}
END_TEST

/* --- includes --- */

START_TEST(included_lines_keep_their_places)
{
	sample_write_file(directory, "one", "b\nc\n");
	sample_write_file(directory, "two", "@include \"one\"\ne");
	sample_write_file(directory, "main.conf",
			  "a\n@include \"one\" d\n\t@include \"two\"\n\nf\n");
	ck_assert(source_read_file(&source, main_path, &problems));
	assert_text("a\nb\nc\n\n d\n\tb\nc\n\n\ne\n\n\nf\n");
	assert_place(0, "main.conf", 1);
	assert_place(1, "main.conf", 1);
	assert_place(2, "one", 1);
	assert_place(3, "one", 2);
	assert_place(5, "main.conf", 2);
	assert_place(6, "one", 1);
	assert_place(7, "one", 2);
	assert_place(10, "two", 2);
	assert_place(11, "main.conf", 3);
	assert_place(12, "main.conf", 4);
	assert_place(13, "main.conf", 5);
}
END_TEST

START_TEST(empty_files_and_ends_without_newline_are_included)
{
	sample_write_file(directory, "empty", "");
	sample_write_file(directory, "last", "# no newline");
	ck_assert(read_text("@include \"empty\"\n@include \"last\"\n@include \"empty\""));
	assert_text("\n\n# no newline\n\n\n");
	assert_place(2, "main.conf", 1);
	assert_place(3, "last", 1);
	assert_place(4, "main.conf", 2);
	assert_place(6, "main.conf", 3);
}
END_TEST

START_TEST(mistakes_in_included_files_have_their_place)
{
	struct bytes out = { 0 };
	char expected[400];

	sample_write_file(directory, "bad", "\n\n\"open\n");
	ck_assert(!read_text("a\n@include \"bad\"\n"));
	problems_report(&problems, &source, &out);
	ck_assert(bytes_append(&out, "", 1));
	snprintf(expected, sizeof(expected), "%s/bad:3: the string is not closed on its line\n",
		 directory);
	ck_assert_str_eq((const char *)bytes_begin(&out), expected);
	bytes_free(&out);
}
END_TEST

START_TEST(a_loop_of_includes_ends)
{
	sample_write_file(directory, "loop", "@include \"loop\"\n");
	ck_assert(!read_text("@include \"loop\"\n"));
	assert_problem(1, "the files include each other too deeply");
}
END_TEST

/* Ten levels of ten includes each would be 10^10 files. */
START_TEST(a_tree_of_includes_ends)
{
	char name[16], text[400];

	for (int level = 0; level < 9; level++) {
		text[0] = '\0';
		for (int i = 0; i < 10; i++)
			sprintf(text + strlen(text), "@include \"l%d\"\n", level + 1);
		sprintf(name, "l%d", level);
		sample_write_file(directory, name, text);
	}
	sample_write_file(directory, "l9", "");
	ck_assert(!read_text("@include \"l0\"\n"));
	ck_assert_uint_eq(problems.count, 1);
	ck_assert_ptr_nonnull(strstr(problems.items[0].text, "too many files"));
}
END_TEST

START_TEST(included_files_share_one_limit)
{
	size_t length = (size_t)3 << 20;
	char *text = malloc(length + 1);

	memset(text, ' ', length);
	text[length] = '\0';
	sample_write_file(directory, "big", text);
	free(text);
	ck_assert(!read_text("@include \"big\"\n@include \"big\"\n"));
	assert_problem(3, "it is too large");
}
END_TEST

START_TEST(every_prefix_is_read)
{
	static const char text[] = "a = -12; # x\nb = \"q\\\"\"; // y\n/* z */ @include \"i\"\n"
				   "  @include \"i\"\nc = 0x1F; d = 99999999999; e = 1.5e-3;";

	sample_write_file(directory, "i", "f = 1;");
	for (size_t length = 0; length < sizeof(text); length++) {
		/* its own allocation: a sanitizer sees a byte too far */
		char *prefix = malloc(length ? length : 1);

		memcpy(prefix, text, length);
		source_read_text(&source, main_path, prefix, length, &problems);
		problems_free(&problems);
		source_free(&source);
		free(prefix);
	}
}
END_TEST

START_TEST(failing_memory_is_a_problem)
{
	sample_write_file(directory, "i", "b = 1;\n");
	for (unsigned long nth = 1;; nth++) {
		bool ok, failed;

		unit_fail_alloc(nth);
		ok = read_text("a = 1;\n@include \"i\"\nc = 99999999999;");
		failed = unit_alloc_failed();
		unit_fail_alloc(0);
		if (!failed) {
			ck_assert(ok);
			ck_assert_uint_gt(nth, 5);
			break;
		}
		ck_assert(!ok);
		ck_assert(problems_exist(&problems));
		problems_free(&problems);
		source_free(&source);
	}
}
END_TEST

/* --- names --- */

START_TEST(paths_are_joined)
{
	static const char *const joins[][3] = {
		{ "/etc", "a", "/etc/a" },
		{ "/etc", "/a", "/a" },
		{ "/", "a", "/a" },
		{ "/etc", "../a", "/etc/../a" },
	};
	char *path;

	for (size_t i = 0; i < sizeof(joins) / sizeof(joins[0]); i++) {
		path = source_path_join(joins[i][0], joins[i][1]);
		ck_assert_str_eq(path, joins[i][2]);
		free(path);
	}
}
END_TEST

START_TEST(directories_are_absolute)
{
	char *found = source_directory_of("/x.conf");

	ck_assert_str_eq(found, "/");
	free(found);
	found = source_directory_of("x.conf");
	ck_assert_int_eq(found[0], '/');
	free(found);
	found = source_directory_of("/none/such/x.conf");
	ck_assert_str_eq(found, "/none/such");
	free(found);
}
END_TEST

static Suite *source_suite(void)
{
	Suite *suite = suite_create("config/source");
	TCase *tcase = tcase_create("text");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, text_is_copied, 0, sizeof(copied) / sizeof(copied[0]));
	tcase_add_loop_test(tcase, mistakes_are_found_where_they_are, 0,
			    sizeof(refused) / sizeof(refused[0]));
	tcase_add_test(tcase, text_with_nul_or_too_much_of_it_is_refused);
	tcase_add_test(tcase, unreadable_files_are_named);
	tcase_add_test(tcase, included_lines_keep_their_places);
	tcase_add_test(tcase, empty_files_and_ends_without_newline_are_included);
	tcase_add_test(tcase, mistakes_in_included_files_have_their_place);
	tcase_add_test(tcase, a_loop_of_includes_ends);
	tcase_add_test(tcase, a_tree_of_includes_ends);
	tcase_add_test(tcase, included_files_share_one_limit);
	tcase_add_test(tcase, every_prefix_is_read);
	tcase_add_test(tcase, failing_memory_is_a_problem);
	tcase_add_test(tcase, paths_are_joined);
	tcase_add_test(tcase, directories_are_absolute);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(source_suite)
