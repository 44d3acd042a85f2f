/*
 * SET and reload: a change makes a new snapshot and leaves the old one alone, reaches databases
 * that inherit and no others, is checked like a file, and cannot touch what needs a restart.
 */

#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "../unit.h"
#include "sample.h"

static struct config *config;
static char why[400];

static void setup(void)
{
	config = sample_load(
		SAMPLE_LISTEN
		"clusters = ({ name = \"x\"; nodes = ({ name = \"a\"; host = \"h\"; }); },\n"
		" { name = \"main\"; nodes = ({ name = \"a\"; host = \"h\"; }); });\n"
		"databases = ({ name = \"set\"; cluster = \"main\"; default_pool_size = 5; },\n"
		" { name = \"inherits\"; cluster = \"main\"; }, { name = \"*\"; cluster = \"x\"; "
		"});\n"
		"admin = { users = (\"a\"); };");
	why[0] = '\0';
}

static void teardown(void)
{
	config_unref(&config);
}

static struct config *set(const char *name, const char *value)
{
	return config_with(config, name, value, why, sizeof(why));
}

/* --- SET --- */

START_TEST(set_makes_a_new_snapshot)
{
	char *before = sample_print(config);
	struct config *next = set("max_client_conn", "12");
	char *after = sample_print(config);

	ck_assert_msg(next != NULL, "%s", why);
	ck_assert_int_eq(next->max_client_conn, 12);
	ck_assert_str_eq(after, before);
	config_unref(&config); /* nothing in the new one is the old one's */
	ck_assert_str_eq(next->path, "/etc/test.conf");
	ck_assert_uint_eq(next->databases[0].cluster_index, 1);
	ck_assert_str_eq(next->clusters[1].nodes[0].host, "h");
	ck_assert_str_eq(next->admin.users[0], "a");
	config = next;
	free(before);
	free(after);
}
END_TEST

START_TEST(only_the_one_option_differs)
{
	struct config *next = set("log.level", "debug");
	struct config *back = config_with(next, "log.level", "info", why, sizeof(why));
	char *before = sample_print(config);
	char *after = sample_print(back);

	ck_assert_int_eq(next->log.level, LOG_LEVEL_DEBUG);
	ck_assert_str_eq(after, before);
	free(before);
	free(after);
	config_unref(&next);
	config_unref(&back);
}
END_TEST

START_TEST(set_reaches_databases_that_inherit)
{
	struct config *next = set("default_pool_size", "9");

	ck_assert_int_eq(next->default_pool_size, 9);
	ck_assert_int_eq(next->databases[0].default_pool_size, 5);
	ck_assert_int_eq(next->databases[1].default_pool_size, 9);
	ck_assert_int_eq(next->databases[2].default_pool_size, 9);
	config_unref(&next);
}
END_TEST

static const struct {
	const char *name;
	const char *value;
	const char *shown;
} accepted[] = {
	{ "query_timeout", "1500ms", "1500ms" },
	{ "query_timeout", "30", "30s" },
	{ "strict_hints", "on", "true" },
	{ "split", "AUTO", "auto" },
	{ "max_parse_bytes", "2kB", "2kB" },
	{ "server_reset_query", "", "" },
	{ "server_reset_query", "${HOME}",
	  "${HOME}" }, /* the console does not read the environment */
	{ "admin.users", "x, y", "x, y" },
	{ "auth.file", "users", "/etc/users" },
};

START_TEST(set_takes_the_types_of_the_file)
{
	struct config *next = set(accepted[_i].name, accepted[_i].value);

	ck_assert_msg(next != NULL, "%s", why);
	ck_assert_str_eq(sample_item(next, accepted[_i].name), accepted[_i].shown);
	config_unref(&next);
}
END_TEST

static const struct {
	const char *name;
	const char *value;
	const char *why;
} refused[] = {
	{ "none", "1", "there is no option \"none\"" },
	{ "", "1", "there is no option \"\"" },
	{ "log", "1", "there is no option \"log\"" },
	{ "level", "info", "there is no option \"level\"" },
	{ "databases[].split", "auto", "there is no option \"databases[].split\"" },
	{ "workers", "2", "workers takes effect at start only" },
	{ "admin.port", "2", "admin.port takes effect at start only" },
	{ "split", "on", "split: \"on\" is not one of off, hints, auto" },
	{ "max_client_conn", "0", "max_client_conn: \"0\" is out of bounds: 1 to 1000000" },
	{ "min_pool_size", "21", "min_pool_size: 21 is more than default_pool_size, 20" },
	{ "min_pool_size", "6",
	  "databases[0].min_pool_size: 6 is more than default_pool_size, 5" },
	{ "auth.type", "md5", "auth.file: with type \"md5\" there must be a user list, or an auth_user" },
};

START_TEST(set_refuses_what_a_file_may_not_have)
{
	ck_assert_ptr_null(set(refused[_i].name, refused[_i].value));
	ck_assert_str_eq(why, refused[_i].why);
}
END_TEST

START_TEST(set_without_memory_changes_nothing)
{
	for (unsigned long nth = 1;; nth++) {
		struct config *next;
		bool failed;

		unit_fail_alloc(nth);
		next = set("server_reset_query", "x");
		failed = unit_alloc_failed();
		unit_fail_alloc(0);
		if (!failed) {
			ck_assert_ptr_nonnull(next);
			config_unref(&next);
			break;
		}
		ck_assert_ptr_null(next);
		ck_assert_str_ne(why, "");
	}
}
END_TEST

/* --- reload --- */

START_TEST(a_reload_keeps_what_needs_a_restart)
{
	struct config *next = sample_load(
		"auth = { type = \"trust\"; };\n"
		"listen = ({ address = \"127.0.0.1\"; port = 7000; }, { address = \"/tmp\"; "
		"});\n" SAMPLE_CLUSTERS SAMPLE_DATABASES "workers = 2; max_client_conn = 3;\n"
		"admin = { socket_dir = \"/tmp\"; port = 1; users = (\"b\"); }; listen_backlog = "
		"9;");
	struct bytes warnings = { 0 };

	config_keep_fixed(next, config, &warnings);
	ck_assert(bytes_append(&warnings, "", 1));
	ck_assert_str_eq(
		(const char *)bytes_begin(&warnings),
		"workers: 2 needs a restart, 0 stays in effect\n"
		"listen_backlog: 9 needs a restart, 512 stays in effect\n"
		"admin.socket_dir: \"/tmp\" needs a restart, \"/run/pointsman\" stays in effect\n"
		"admin.port: 1 needs a restart, 6433 stays in effect\n"
		"listen: a change needs a restart, the old one stays in effect\n");
	bytes_free(&warnings);
	config_unref(&config);
	ck_assert_uint_eq(next->n_listen, 1);
	ck_assert_str_eq(next->listen[0].address, "127.0.0.1");
	ck_assert_int_eq(next->listen[0].port, 6432);
	ck_assert_int_eq(next->workers, 0);
	ck_assert_str_eq(next->admin.socket_dir, "/run/pointsman");
	ck_assert_int_eq(next->max_client_conn, 3);
	ck_assert_str_eq(next->admin.users[0], "b");
	ck_assert_uint_eq(next->n_databases, 1);
	config_unref(&next);
}
END_TEST

START_TEST(a_reload_of_the_same_warns_of_nothing)
{
	struct config *next = config_with(config, "max_client_conn", "3", why, sizeof(why));
	struct bytes warnings = { 0 };

	config_keep_fixed(next, config, &warnings);
	ck_assert_uint_eq(bytes_length(&warnings), 0);
	ck_assert_int_eq(next->max_client_conn, 3);
	config_unref(&next);
}
END_TEST

static Suite *change_suite(void)
{
	Suite *suite = suite_create("config/change");
	TCase *tcase = tcase_create("change");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, set_makes_a_new_snapshot);
	tcase_add_test(tcase, only_the_one_option_differs);
	tcase_add_test(tcase, set_reaches_databases_that_inherit);
	tcase_add_loop_test(tcase, set_takes_the_types_of_the_file, 0,
			    sizeof(accepted) / sizeof(accepted[0]));
	tcase_add_loop_test(tcase, set_refuses_what_a_file_may_not_have, 0,
			    sizeof(refused) / sizeof(refused[0]));
	tcase_add_test(tcase, set_without_memory_changes_nothing);
	tcase_add_test(tcase, a_reload_keeps_what_needs_a_restart);
	tcase_add_test(tcase, a_reload_of_the_same_warns_of_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(change_suite)
