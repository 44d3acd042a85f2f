/* ASSERT, UNREACHABLE and CONTAINER_OF. */

#include "base/panic.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../unit.h"

struct outer {
	int before;
	char member;
};

/* Runs `fails` in a child and returns what it printed; the child must have died by SIGABRT. */
static const char *panic_of(void (*fails)(void))
{
	static char text[1024];
	int ends[2], status;
	size_t length = 0;
	ssize_t got;
	pid_t child;

	ck_assert_int_eq(pipe(ends), 0);
	child = fork();
	ck_assert_int_ne(child, -1);
	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		dup2(ends[1], STDERR_FILENO);
		fails();
		_exit(0);
	}
	close(ends[1]);
	while ((got = read(ends[0], text + length, sizeof(text) - 1 - length)) > 0)
		length += (size_t)got;
	text[length] = '\0';
	close(ends[0]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	return text;
}

static void assert_false(void)
{
	ASSERT(1 + 1 == 3);
}

static void reach(void)
{
	UNREACHABLE();
}

static void panic_long(void)
{
	char what[2000];

	memset(what, 'x', sizeof(what) - 1);
	what[sizeof(what) - 1] = '\0';
	panic_at("file.c", 7, "function", what);
}

START_TEST(assert_names_the_place)
{
	const char *text = panic_of(assert_false);

	ck_assert_ptr_nonnull(strstr(text, "test_panic.c:"));
	ck_assert_ptr_nonnull(strstr(text, ": assert_false: 1 + 1 == 3\n"));
}
END_TEST

START_TEST(unreachable_aborts)
{
	ck_assert_ptr_nonnull(strstr(panic_of(reach), ": reach: unreachable code"));
}
END_TEST

START_TEST(long_text_is_cut_and_ends_the_line)
{
	const char *text = panic_of(panic_long);

	ck_assert_ptr_eq(strstr(text, "file.c:7: function: xxx"), text);
	ck_assert_uint_lt(strlen(text), 600);
	ck_assert_int_eq(text[strlen(text) - 1], '\n');
}
END_TEST

START_TEST(true_condition_does_nothing)
{
	int evaluated = 0;

	ASSERT(++evaluated == 1);
	ck_assert_int_eq(evaluated, 1);
}
END_TEST

START_TEST(container_of_finds_the_struct)
{
	struct outer outer = { 1, 'a' };

	ck_assert_ptr_eq(CONTAINER_OF(&outer.member, struct outer, member), &outer);
	ck_assert_ptr_eq(CONTAINER_OF(&outer.before, struct outer, before), &outer);
}
END_TEST

static Suite *panic_suite(void)
{
	Suite *suite = suite_create("base/panic");
	TCase *tcase = tcase_create("panic");

	tcase_add_test(tcase, assert_names_the_place);
	tcase_add_test(tcase, unreachable_aborts);
	tcase_add_test(tcase, long_text_is_cut_and_ends_the_line);
	tcase_add_test(tcase, true_condition_does_nothing);
	tcase_add_test(tcase, container_of_finds_the_struct);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(panic_suite)
