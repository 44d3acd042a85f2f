/*
 * Ident maps: names, patterns, what a group catches, keywords; mistakes; a failing Nth
 * allocation.
 */

#include "auth/ident.h"

#include <stdio.h>
#include <string.h>

#include "../unit.h"
#include "files.h"

static struct ident *ident;
static struct bytes errors;

static void teardown(void)
{
	unit_fail_alloc(0);
	ident_destroy(&ident);
	bytes_free(&errors);
}

static bool load(const char *text)
{
	const struct files_file files[] = { { "ident", text }, { NULL, NULL } };
	const struct authfile_source source = files_source(files);

	ident_destroy(&ident);
	bytes_clear(&errors);
	ident = ident_load("ident", &source, &errors);
	ck_assert((ident == NULL) == (bytes_length(&errors) > 0));
	bytes_append(&errors, "", 1);
	return ident != NULL;
}

static const char *const map = "# MAP SYSTEM USER\n"
			       "m robert bob\n"
			       "m robert alice\n"
			       "m /^(.*)@example\\.org$ \\1\n"
			       "m /^(.*)@staff$ pre_\\1_post\n"
			       "m root all\n"
			       "m \"cn of two words\" \"all\"\n"
			       "m /^svc- /^app_[a-z]+$\n"
			       "m \"/^a,b$\" comma\n"
			       "m /^(.*)@ops$|^guest$ \\1root\n"
			       "other robert carol\n"
			       "lit x \\1\n";

static const struct {
	const char *map, *system_user, *user;
	bool is_allowed;
} rows[] = {
	{ NULL, "bob", "bob", true },
	{ NULL, "bob", "Bob", false },
	{ NULL, "root", "bob", false },
	{ "m", "bob", "bob", false }, /* with a map only what is in it */
	{ "m", "robert", "bob", true },
	{ "m", "robert", "alice", true },
	{ "m", "robert", "carol", false },
	{ "other", "robert", "carol", true },
	{ "none", "robert", "carol", false },
	{ "m", "Robert", "bob", false },
	{ "m", "eve@example.org", "eve", true },
	{ "m", "eve@example.org", "bob", false },
	{ "m", "eve@example.organ", "eve", false },
	{ "m", "eve@exampleXorg", "eve", false },
	{ "m", "@example.org", "", true },
	{ "m", "eve@staff", "pre_eve_post", true },
	{ "m", "eve@staff", "eve", false },
	{ "m", "super@ops", "superroot", true },
	{ "m", "guest", "root", false }, /* the group has caught nothing */
	{ "m", "root", "anybody", true },
	{ "m", "cn of two words", "all", true },
	{ "m", "cn of two words", "anybody", false },
	{ "m", "svc-1", "app_x", true },
	{ "m", "svc-1", "app_1", false },
	{ "m", "a,b", "comma", true },
	{ "lit", "x", "\\1", true },
	{ "lit", "x", "x", false },
};

START_TEST(names_are_mapped)
{
	ck_assert_msg(load(map), "%s", (const char *)bytes_begin(&errors));
	ck_assert_int_eq(ident_allows(ident, rows[_i].map, rows[_i].system_user, rows[_i].user),
			 rows[_i].is_allowed);
}
END_TEST

START_TEST(without_a_file_no_map_has_a_line)
{
	ck_assert(ident_allows(NULL, NULL, "bob", "bob"));
	ck_assert(!ident_allows(NULL, "m", "bob", "bob"));
}
END_TEST

/* A name of any length is only a name. */
START_TEST(long_names_fit_no_pattern)
{
	char name[2000];

	memset(name, 'a', sizeof(name));
	memcpy(name + sizeof(name) - 13, "@example.org", 13);
	ck_assert(load(map));
	ck_assert(!ident_allows(ident, "m", name, name));
}
END_TEST

static const struct {
	const char *line, *what;
} mistakes[] = {
	{ "m", "a map, a system user and a database user expected" },
	{ "m x", "a map, a system user and a database user expected" },
	{ "m x y z", "a map, a system user and a database user expected" },
	{ "m a,b c", "lists are not possible" },
	{ "m a +staff", "groups" },
	{ "m /( a", "invalid regular expression \"(\"" },
	{ "m a /[", "invalid regular expression \"[\"" },
	{ "m /^x$ \\1", "needs a group" },
};

START_TEST(mistakes_are_told_with_file_and_line)
{
	char text[256];
	const char *said;

	snprintf(text, sizeof(text), "m a b\n%s\n", mistakes[_i].line);
	ck_assert(!load(text));
	said = (const char *)bytes_begin(&errors);
	ck_assert_msg(strncmp(said, "ident:2: ", 9) == 0, "%s", said);
	ck_assert_msg(strstr(said, mistakes[_i].what) != NULL, "%s", said);
}
END_TEST

START_TEST(a_failed_allocation_is_an_error)
{
	const struct files_file files[] = { { "ident", map }, { NULL, NULL } };
	const struct authfile_source source = files_source(files);
	bool was_all_right = false;

	for (unsigned long nth = 1; nth < 2000 && !was_all_right; nth++) {
		struct bytes ignored = { 0 };

		unit_fail_alloc(nth);
		ident = ident_load("ident", &source, &ignored);
		unit_fail_alloc(0);
		was_all_right = ident != NULL;
		bytes_free(&ignored);
		ident_destroy(&ident);
	}
	ck_assert(was_all_right);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *ident_suite(void)
{
	Suite *suite = suite_create("auth/ident");
	TCase *tc = tcase_create("ident");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_loop_test(tc, names_are_mapped, 0, ROWS(rows));
	tcase_add_test(tc, without_a_file_no_map_has_a_line);
	tcase_add_test(tc, long_names_fit_no_pattern);
	tcase_add_loop_test(tc, mistakes_are_told_with_file_and_line, 0, ROWS(mistakes));
	tcase_add_test(tc, a_failed_allocation_is_an_error);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(ident_suite)
