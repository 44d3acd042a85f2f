/*
 * The user list: PgBouncer's format (quotes, doubling, comments, what follows the second string,
 * CRLF, no newline at the end), errors with their line, every prefix, duplicates, kinds of
 * secrets, files that cannot be read, a failing Nth allocation.
 */

#include "auth/userlist.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unit.h"

static struct userlist *list;
static char error[160];

static void teardown(void)
{
	unit_fail_alloc(0);
	userlist_destroy(&list);
}

/* From a buffer of exactly its size, without a NUL. */
static bool parse_bytes(const char *text, size_t length)
{
	char *exact = malloc(length > 0 ? length : 1);

	memcpy(exact, text, length);
	userlist_destroy(&list);
	error[0] = '\0';
	list = userlist_parse(exact, length, error, sizeof(error));
	free(exact);
	ck_assert((list == NULL) == (error[0] != '\0'));
	return list != NULL;
}

static bool parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

/* --- what is read --- */

static const struct {
	const char *text;
	const char *name;
	const char *secret; /* of the only user; NULL: there is none */
} good[] = {
	{ "", NULL, NULL },
	{ "\n\n\n", NULL, NULL },
	{ " \t \r\n", NULL, NULL },
	{ "; comment \"a\" \"b\"\n# another\n  ;indented\n", NULL, NULL },
	{ "\"bob\" \"pencil\"\n", "bob", "pencil" },
	{ "\"bob\" \"pencil\"", "bob", "pencil" },
	{ "\"bob\" \"pencil\"\r\n", "bob", "pencil" },
	{ "\t \"bob\"\t  \"pencil\"  \n", "bob", "pencil" },
	{ "\"bob\"\"s\" \"pencil\"\n", "bob\"s", "pencil" },
	{ "\"\"\"\" \"\"\"\"\n", "\"", "\"" },
	{ "\"bob\" \"a\"\"b\"\"\"\n", "bob", "a\"b\"" },
	{ "\"bob\" \"\"\n", "bob", "" },
	{ "\"bob\" \"pencil\" ; and a remark\n", "bob", "pencil" },
	{ "\"bob\" \"pencil\"garbage \"more\" \"\n", "bob", "pencil" },
	{ "\"b;#b\" \"a;#b\"\n", "b;#b", "a;#b" },
	{ "\"b b\" \" pencil \"\n", "b b", " pencil " },
	{ "\"b\\b\" \"a\\\\b\"\n", "b\\b", "a\\\\b" },
	{ "\"b\xc3\xb6\xff\" \"\xe9\"\n", "b\xc3\xb6\xff", "\xe9" },
	{ "\"bob\" \"old\"\n\"bob\" \"new\"\n", "bob", "new" },
	{ "\"bob\" \"pencil\"\n;\n", "bob", "pencil" },
};

START_TEST(lists_are_read)
{
	const struct userlist_user *user;

	ck_assert_msg(parse(good[_i].text), "%s: %s", good[_i].text, error);
	ck_assert_uint_eq(userlist_count(list), good[_i].name != NULL);
	if (good[_i].name == NULL) {
		ck_assert_ptr_null(userlist_at(list, 0));
		return;
	}
	user = userlist_find(list, good[_i].name);
	ck_assert_ptr_nonnull(user);
	ck_assert_ptr_eq(user, userlist_at(list, 0));
	ck_assert_str_eq(user->name, good[_i].name);
	ck_assert_str_eq(user->secret, good[_i].secret);
	ck_assert_ptr_null(userlist_at(list, 1));
}
END_TEST

static const struct {
	const char *text;
	const char *error;
} bad[] = {
	{ "bob pencil\n", "line 1: a user name in double quotes expected" },
	{ "'bob' 'pencil'\n", "line 1: a user name in double quotes expected" },
	{ "\"bob\"\n", "line 1: a secret in double quotes expected" },
	{ "\"bob\" pencil\n", "line 1: a secret in double quotes expected" },
	{ "\"bob\" ; \"pencil\"\n", "line 1: a secret in double quotes expected" },
	{ "\"bob\n", "line 1: a user name has no closing quote" },
	{ "\"bob\"\"\n", "line 1: a user name has no closing quote" },
	{ "\"bob\" \"pencil\n\"\n", "line 1: a secret has no closing quote" },
	{ "\"bob\" \"\"\"\n", "line 1: a secret has no closing quote" },
	{ "\"\" \"pencil\"\n", "line 1: the user name is empty" },
	{ "\n;\n\"a\" \"b\"\nx\n", "line 4: a user name in double quotes expected" },
	{ "\"a\" \"b\"\n\"c\" \"d\"\n\"e\"", "line 3: a secret in double quotes expected" },
};

START_TEST(errors_name_the_line)
{
	ck_assert(!parse(bad[_i].text));
	ck_assert_str_eq(error, bad[_i].error);
}
END_TEST

START_TEST(a_zero_byte_is_an_error)
{
	ck_assert(!parse_bytes("\"a\" \"b\"\n\"c\0\" \"d\"\n", 17));
	ck_assert_str_eq(error, "line 2: contains a zero byte");
	ck_assert(!parse_bytes(";\0\n", 3));
	ck_assert(!parse_bytes("\0", 1));
}
END_TEST

/* A short buffer for the error is filled, not overrun. */
START_TEST(errors_are_cut)
{
	char small[8];

	ck_assert_ptr_null(userlist_parse("bob", 3, small, sizeof(small)));
	ck_assert_str_eq(small, "line 1:");
}
END_TEST

START_TEST(every_prefix_is_read_or_refused)
{
	static const char text[] = "; c\n\"b\"\"b\" \"p\"\"q\" x\r\n\n\"a\" \"md5\"\n";

	for (size_t n = 0; n < strlen(text); n++)
		parse_bytes(text, n);
	ck_assert(parse(text));
	ck_assert_uint_eq(userlist_count(list), 2);
	ck_assert_str_eq(userlist_find(list, "b\"b")->secret, "p\"q");
}
END_TEST

START_TEST(the_later_of_two_lines_counts)
{
	ck_assert(parse("\"bob\" \"md5e4f70fb0b8f2745aa7a69557c80cbd0c\"\n"
			"\"alice\" \"1\"\n\"bob\" \"2\"\n"));
	ck_assert_uint_eq(userlist_count(list), 2);
	ck_assert_str_eq(userlist_at(list, 0)->name, "bob");
	ck_assert_str_eq(userlist_at(list, 0)->secret, "2");
	ck_assert_int_eq(userlist_at(list, 0)->kind, SECRET_PLAIN);
}
END_TEST

START_TEST(names_are_exact)
{
	ck_assert(parse("\"bob\" \"1\"\n\"Bob\" \"2\"\n\"bob \" \"3\"\n"));
	ck_assert_uint_eq(userlist_count(list), 3);
	ck_assert_str_eq(userlist_find(list, "bob")->secret, "1");
	ck_assert_str_eq(userlist_find(list, "Bob")->secret, "2");
	ck_assert_str_eq(userlist_find(list, "bob ")->secret, "3");
	/* an unknown name is nobody. */
	ck_assert_ptr_null(userlist_find(list, ""));
	ck_assert_ptr_null(userlist_find(list, "bo"));
	ck_assert_ptr_null(userlist_find(list, "bobb"));
	ck_assert_ptr_null(userlist_find(list, "BOB"));
	ck_assert_ptr_null(userlist_find(list, "*"));
}
END_TEST

START_TEST(order_is_kept_over_many)
{
	enum {
		USERS = 5000
	};
	char *text = malloc(USERS * 32);
	size_t length = 0;
	char name[16];

	for (int i = 0; i < USERS; i++)
		length += (size_t)sprintf(text + length, "\"user%d\" \"secret%d\"\n", i, i);
	ck_assert(parse_bytes(text, length));
	free(text);
	ck_assert_uint_eq(userlist_count(list), USERS);
	for (int i = 0; i < USERS; i++) {
		snprintf(name, sizeof(name), "user%d", i);
		ck_assert_str_eq(userlist_at(list, (size_t)i)->name, name);
		ck_assert_ptr_eq(userlist_find(list, name), userlist_at(list, (size_t)i));
	}
}
END_TEST

/* --- kinds --- */

#define KEY32 "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="

static const struct {
	const char *secret;
	enum secret_kind kind;
} kinds[] = {
	{ NULL, SECRET_NONE },
	{ "", SECRET_NONE },
	{ "pencil", SECRET_PLAIN },
	{ "md5", SECRET_PLAIN },
	{ "md5e4f70fb0b8f2745aa7a69557c80cbd0c", SECRET_MD5 },
	{ "md5E4F70FB0B8F2745AA7A69557C80CBD0C", SECRET_PLAIN },
	{ "MD5e4f70fb0b8f2745aa7a69557c80cbd0c", SECRET_PLAIN },
	{ "md5e4f70fb0b8f2745aa7a69557c80cbd0", SECRET_PLAIN },
	{ "md5e4f70fb0b8f2745aa7a69557c80cbd0c0", SECRET_PLAIN },
	{ "md5e4f70fb0b8f2745aa7a69557c80cbd0g", SECRET_PLAIN },
	{ "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" KEY32 ":" KEY32, SECRET_SCRAM },
	{ "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$" KEY32 ":", SECRET_PLAIN },
	{ "SCRAM-SHA-256", SECRET_PLAIN },
};

START_TEST(kinds_of_secrets)
{
	char text[256];

	ck_assert_int_eq(secret_kind_of(kinds[_i].secret), kinds[_i].kind);
	if (kinds[_i].secret == NULL)
		return;
	snprintf(text, sizeof(text), "\"bob\" \"%s\"", kinds[_i].secret);
	ck_assert(parse(text));
	ck_assert_int_eq(userlist_find(list, "bob")->kind, kinds[_i].kind);
}
END_TEST

/* --- files --- */

static void load(const char *contents, size_t length)
{
	char path[] = "/tmp/pointsman-userlist-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(write(fd, contents, length), (ssize_t)length);
	close(fd);
	userlist_destroy(&list);
	error[0] = '\0';
	list = userlist_load(path, error, sizeof(error));
	unlink(path);
}

START_TEST(files_are_loaded)
{
	load("\"bob\" \"pencil\"", 14);
	ck_assert_ptr_nonnull(list);
	ck_assert_str_eq(userlist_find(list, "bob")->secret, "pencil");
	load("", 0);
	ck_assert_ptr_nonnull(list);
	ck_assert_uint_eq(userlist_count(list), 0);
	load("\n\"bob\"", 6);
	ck_assert_ptr_null(list);
	ck_assert_ptr_nonnull(strstr(error, "/tmp/pointsman-userlist-"));
	ck_assert_ptr_nonnull(strstr(error, ": line 2: a secret in double quotes expected"));
}
END_TEST

START_TEST(files_that_cannot_be_read)
{
	ck_assert_ptr_null(userlist_load("/nonexistent/userlist", error, sizeof(error)));
	ck_assert_str_eq(error, "/nonexistent/userlist: No such file or directory");
	ck_assert_ptr_null(userlist_load("/tmp", error, sizeof(error)));
	ck_assert_str_eq(error, "/tmp: Is a directory");
	/* Without end: bounded, refused. */
	ck_assert_ptr_null(userlist_load("/dev/zero", error, sizeof(error)));
	ck_assert_str_eq(error, "/dev/zero: File too large");
}
END_TEST

START_TEST(a_failed_allocation_is_an_error)
{
	static const char text[] = "\"bob\" \"pencil\"\n\"alice\" \"pencil\"\n";
	unsigned long nth = 0;

	do {
		unit_fail_alloc(++nth);
		userlist_destroy(&list);
		error[0] = '\0';
		list = userlist_parse(text, strlen(text), error, sizeof(error));
		ck_assert(!unit_alloc_failed() || (list == NULL && error[0] != '\0'));
	} while (unit_alloc_failed());
	ck_assert_uint_gt(nth, 4);
	ck_assert_uint_eq(userlist_count(list), 2);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *userlist_suite(void)
{
	Suite *suite = suite_create("auth/userlist");
	TCase *tc = tcase_create("userlist");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_loop_test(tc, lists_are_read, 0, ROWS(good));
	tcase_add_loop_test(tc, errors_name_the_line, 0, ROWS(bad));
	tcase_add_test(tc, a_zero_byte_is_an_error);
	tcase_add_test(tc, errors_are_cut);
	tcase_add_test(tc, every_prefix_is_read_or_refused);
	tcase_add_test(tc, the_later_of_two_lines_counts);
	tcase_add_test(tc, names_are_exact);
	tcase_add_test(tc, order_is_kept_over_many);
	tcase_add_loop_test(tc, kinds_of_secrets, 0, ROWS(kinds));
	tcase_add_test(tc, files_are_loaded);
	tcase_add_test(tc, files_that_cannot_be_read);
	tcase_add_test(tc, a_failed_allocation_is_an_error);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(userlist_suite)
