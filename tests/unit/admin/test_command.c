/* admin/command: which command a text is, what right it needs, what it returns. */

#include "admin/command.h"

#include <string.h>

#include "admin/show.h"
#include "unit.h"

static const struct {
	const char *text;
	const char *command; /* NULL: there is none */
	enum right right;
	int n_columns;
} plans[] = {
	{ "SHOW VERSION", "SHOW", RIGHT_STATS, 1 },
	{ "show stats", "SHOW", RIGHT_STATS, 25 },
	{ "SHOW HELP", "SHOW", RIGHT_STATS, 0 },
	{ "SHOW FDS", "SHOW", RIGHT_ADMIN, 13 },
	{ "SHOW client_encoding", "SHOW", RIGHT_STATS, 1 },
	{ "SHOW TRANSACTION ISOLATION LEVEL", "SHOW", RIGHT_STATS, 1 },
	{ "SHOW", NULL, 0, 0 },
	{ "SHOW NONSENSE", NULL, 0, 0 },
	{ "SHOW POOLS POOLS", NULL, 0, 0 },
	{ "SHOW 'pools'", NULL, 0, 0 },
	{ "SHOW \"pools\"", NULL, 0, 0 },
	{ "\"SHOW\" pools", NULL, 0, 0 },
	{ "RELOAD", "RELOAD", RIGHT_ADMIN, 0 },
	{ "RELOAD now", NULL, 0, 0 },
	{ "PAUSE", "PAUSE", RIGHT_ADMIN, 0 },
	{ "pause app", "PAUSE", RIGHT_ADMIN, 0 },
	{ "PAUSE a b", NULL, 0, 0 },
	{ "RESUME", "RESUME", RIGHT_ADMIN, 0 },
	{ "DISABLE", NULL, 0, 0 },
	{ "DISABLE app", "DISABLE", RIGHT_ADMIN, 0 },
	{ "ENABLE app", "ENABLE", RIGHT_ADMIN, 0 },
	{ "RECONNECT", "RECONNECT", RIGHT_ADMIN, 0 },
	{ "KILL", "KILL", RIGHT_ADMIN, 0 },
	{ "KILL_CLIENT", NULL, 0, 0 },
	{ "KILL_CLIENT 1", "KILL_CLIENT", RIGHT_ADMIN, 0 }, /* */
	{ "SUSPEND", "SUSPEND", RIGHT_ADMIN, 0 },
	{ "SHUTDOWN", "SHUTDOWN", RIGHT_ADMIN, 0 },
	{ "SHUTDOWN WAIT_FOR_CLIENTS", "SHUTDOWN", RIGHT_ADMIN, 0 },
	{ "SHUTDOWN soon", NULL, 0, 0 },
	{ "WAIT_CLOSE", "WAIT_CLOSE", RIGHT_ADMIN, 0 },
	{ "SET a = b", "SET", RIGHT_ADMIN, 0 },
	{ "SET a TO 'b'", "SET", RIGHT_ADMIN, 0 },
	{ "SET a", NULL, 0, 0 },
	{ "SET a = b c", NULL, 0, 0 },
	{ "SET a IS b", NULL, 0, 0 },
	{ "SET application_name = 'x'", "SET", RIGHT_STATS, 0 },
	{ "SET extra_float_digits = 3", "SET", RIGHT_STATS, 0 },
	{ "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", "SET", RIGHT_STATS, 0 },
	{ "SELECT 1", "SELECT", RIGHT_STATS, 1 },
	{ "SELECT 'ok'", "SELECT", RIGHT_STATS, 1 },
	{ "select pg_catalog.version()", "SELECT", RIGHT_STATS, 1 },
	{ "SELECT 1 2", NULL, 0, 0 },
	{ "SELECT 12345678901", NULL, 0, 0 },
	{ "SELECT \"version\"()", "SELECT", RIGHT_STATS, 1 },
	{ "SELECT * FROM pg_class", NULL, 0, 0 },
	{ "BEGIN", "BEGIN", RIGHT_STATS, 0 },
	{ "START TRANSACTION READ ONLY", "START", RIGHT_STATS, 0 },
	{ "COMMIT", "COMMIT", RIGHT_STATS, 0 },
	{ "ROLLBACK", "ROLLBACK", RIGHT_STATS, 0 },
	{ "DEALLOCATE ALL", "DEALLOCATE", RIGHT_STATS, 0 },
	{ "DROP TABLE x", NULL, 0, 0 },
	{ "1 2 3 4 5 6 7 8 9 10 11", NULL, 0, 0 },
	{ "SET names 1 2 3 4 5 6 7 8 9 10 11", NULL, 0, 0 },
};

START_TEST(plans_commands)
{
	const char *at = plans[_i].text;
	struct words words;
	struct plan plan;
	size_t n_columns;

	ck_assert_int_eq(words_next(&at, &words), WORDS_STATEMENT);
	ck_assert_int_eq(plan_make(&words, &plan), plans[_i].command != NULL);
	if (!plans[_i].command)
		return;
	ck_assert_str_eq(plan.command->name, plans[_i].command);
	ck_assert_int_eq(plan_right(&plan), plans[_i].right);
	plan_columns(&plan, &n_columns);
	ck_assert_uint_eq(n_columns, (size_t)plans[_i].n_columns);
}
END_TEST

/* whoever may only look cannot change anything: each command that does demands it by
 * itself. */
START_TEST(changes_need_the_right)
{
	static const char *const changes[] = { "RELOAD",    "PAUSE",         "RESUME",
					       "DISABLE x", "ENABLE x",      "RECONNECT",
					       "KILL",      "KILL_CLIENT 1", "SUSPEND",
					       "SHUTDOWN",  "WAIT_CLOSE",    "SET x = y" };

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		const char *at = changes[i];
		struct words words;
		struct plan plan;

		ck_assert_int_eq(words_next(&at, &words), WORDS_STATEMENT);
		ck_assert(plan_make(&words, &plan));
		ck_assert_int_eq(plan_right(&plan), RIGHT_ADMIN);
	}
}
END_TEST

static const struct {
	const char *text;
	const char *message;
} refusals[] = {
	{ " foo ; bar", "invalid command 'foo', use SHOW HELP;" },
	{ "a\nb", "invalid command 'a?b', use SHOW HELP;" },
	{ "a\xff", "invalid command 'a?', use SHOW HELP;" },
};

START_TEST(refuses)
{
	const char *at = refusals[_i].text;
	struct words words;
	char message[256];

	ck_assert_int_eq(words_next(&at, &words), WORDS_STATEMENT);
	plan_refuse(&words, message, sizeof(message));
	ck_assert_str_eq(message, refusals[_i].message);
}
END_TEST

START_TEST(refuses_shortly)
{
	char text[4000];
	const char *at = text;
	struct words words;
	char message[256];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	ck_assert_int_eq(words_next(&at, &words), WORDS_STATEMENT);
	plan_refuse(&words, message, sizeof(message));
	ck_assert_uint_lt(strlen(message), 200);
	ck_assert_ptr_nonnull(strstr(message, "xxx...', use SHOW HELP;"));
}
END_TEST

/* Names are looked up without regard to case, so no two may differ in nothing else. */
START_TEST(tables_have_names)
{
	const struct show *show;

	for (size_t i = 0; (show = show_at(i)) != NULL; i++) {
		ck_assert_ptr_eq(show_find(show->name), show);
		ck_assert_uint_gt(show->n_columns, 0);
		ck_assert_ptr_nonnull(show->render);
		ck_assert_int_eq(show->gather != NULL, show->row_size > 0);
		ck_assert_int_eq(show->gather != NULL, show->compare != NULL);
	}
	ck_assert_ptr_null(show_find(""));
	ck_assert_ptr_null(show_find("HELP"));
}
END_TEST

static Suite *command_suite(void)
{
	Suite *suite = suite_create("admin/command");
	TCase *tcase = tcase_create("command");

	tcase_add_loop_test(tcase, plans_commands, 0, sizeof(plans) / sizeof(plans[0]));
	tcase_add_test(tcase, changes_need_the_right);
	tcase_add_loop_test(tcase, refuses, 0, sizeof(refusals) / sizeof(refusals[0]));
	tcase_add_test(tcase, refuses_shortly);
	tcase_add_test(tcase, tables_have_names);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(command_suite)
