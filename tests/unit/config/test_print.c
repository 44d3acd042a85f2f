/* -T and SHOW CONFIG: what is printed can be read again and gives the same; secrets are not
 * there. */

#include "config/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit.h"
#include "config/options.h"
#include "sample.h"

static const char *const texts[] = {
	SAMPLE,
	/* strings that need care */
	SAMPLE "server_reset_query = \"\\\"a\\\\ $${b} $$${c} \\\\\\\" $\";",
	SAMPLE "server_reset_query = \"\"; admin = { socket_dir = \"\"; users = (); };",
	SAMPLE
	"server_reset_query = \"\xc3\xa4 # // /* \"; admin = { users = (\"a,b\", \"c d\"); };",
	/* each type away from its default */
	SAMPLE
	"workers = 3; split = \"auto\"; strict_hints = true; query_timeout = 0.001;\n"
	"client_buffer = 16385; shape_cache_bytes = \"1GB\"; admin = { users = (\"x\"); };",
	/* lists with several members, what is inherited and what is not */
	"listen = ({ address = \"*\"; port = 1; }, { address = \"/tmp\"; });\n"
	"auth = { type = \"md5\"; file = \"users\"; };\n"
	"clusters = ({ name = \"x\"; nodes = ({ name = \"a\"; host = \"h\"; }); },\n"
	"  { name = \"y\"; nodes = ({ name = \"a\"; host = \"h\"; zone = \"z\"; }, { name = "
	"\"b\";\n"
	"  host = \"i\"; weight = 0; }); max_lag = { hard = 11; }; });\n"
	"databases = ({ name = \"d\"; cluster = \"y\"; dbname = \"e\"; default_pool_size = 20; "
	"},\n"
	"  { name = \"*\"; cluster = \"x\"; split = \"off\"; });\n",
};

START_TEST(the_printed_form_is_the_same_configuration)
{
	struct config *first = sample_load(texts[_i]);
	char *printed = sample_print(first);
	struct config *second = sample_load(printed);
	char *again = sample_print(second);

	ck_assert_str_eq(again, printed);
	for (size_t i = 0; i < config_item_count(); i++) {
		struct config_item a, b;

		config_item_get(first, i, &a);
		config_item_get(second, i, &b);
		ck_assert_str_eq(a.value, b.value);
	}
	free(printed);
	free(again);
	config_unref(&first);
	config_unref(&second);
}
END_TEST

START_TEST(secrets_are_not_printed)
{
	struct config *config = sample_load(
		SAMPLE_LISTEN
		"clusters = ({ name = \"main\"; nodes = ({ name = \"a\"; host = \"h\"; });\n"
		"monitor = { password = \"hidden-1\"; }; });\n"
		"databases = ({ name = \"app\"; cluster = \"main\"; user = \"u\"; password = "
		"\"hidden-2\"; });");
	char *printed = sample_print(config);

	ck_assert_ptr_null(strstr(printed, "hidden"));
	ck_assert_ptr_nonnull(strstr(printed, "\t\tpassword = \"***\";\n"));
	ck_assert_ptr_nonnull(strstr(printed, "\tuser = \"u\";\n\tpassword = \"***\";\n"));
	free(printed);
	config_unref(&config);
}
END_TEST

START_TEST(what_is_inherited_is_a_comment)
{
	struct config *config = sample_load(
		SAMPLE_LISTEN SAMPLE_CLUSTERS
		"databases = ({ name = \"app\"; cluster = \"main\"; split = \"auto\"; });");
	char *printed = sample_print(config);

	ck_assert_ptr_nonnull(strstr(printed, "\n\tsplit = \"auto\";\n"));
	ck_assert_ptr_nonnull(
		strstr(printed, "\n\t# pool_mode = \"transaction\"; (inherited)\n"));
	ck_assert_ptr_nonnull(strstr(printed, "\npool_mode = \"transaction\";\n"));
	free(printed);
	config_unref(&config);
}
END_TEST

START_TEST(items_are_the_options_that_are_there_once)
{
	struct config *config = sample_load(
		SAMPLE
		"query_timeout = 90; admin = { users = (\"a\", \"b\"); }; max_client_conn = 5;");
	struct config_item item;
	size_t once = 0;

	for (size_t i = 0; i < option_count(); i++)
		once += strchr(option_at(i)->path, '[') == NULL;
	ck_assert_uint_eq(config_item_count(), once);
	for (size_t i = 0; i < once; i++) {
		config_item_get(config, i, &item);
		ck_assert_ptr_nonnull(option_find_path(item.name));
		ck_assert_int_eq(item.changeable, !option_is_fixed(option_find_path(item.name)));
	}
	ck_assert_str_eq(sample_item(config, "query_timeout"), "90s");
	ck_assert_str_eq(sample_item(config, "admin.users"), "a, b");
	ck_assert_str_eq(sample_item(config, "max_client_conn"), "5");
	ck_assert_str_eq(sample_item(config, "log.level"), "info");
	ck_assert_str_eq(sample_item(config, "tcp_keepalive"), "true");
	config_unref(&config);
}
END_TEST

START_TEST(a_long_value_is_cut)
{
	char text[1200];
	struct config *config;

	snprintf(text, sizeof(text), SAMPLE "server_reset_query = \"%0600d\";", 0);
	config = sample_load(text);
	ck_assert_uint_eq(strlen(sample_item(config, "server_reset_query")), 255);
	config_unref(&config);
}
END_TEST

START_TEST(printing_without_memory_fails)
{
	struct config *config = sample_load(SAMPLE);

	for (unsigned long nth = 1;; nth++) {
		struct bytes out = { 0 };
		bool ok, failed;

		unit_fail_alloc(nth);
		ok = config_print(config, &out);
		failed = unit_alloc_failed();
		unit_fail_alloc(0);
		bytes_free(&out);
		ck_assert_int_eq(ok, !failed);
		if (ok)
			break;
	}
	config_unref(&config);
}
END_TEST

static Suite *print_suite(void)
{
	Suite *suite = suite_create("config/print");
	TCase *tcase = tcase_create("print");

	tcase_add_loop_test(tcase, the_printed_form_is_the_same_configuration, 0,
			    sizeof(texts) / sizeof(texts[0]));
	tcase_add_test(tcase, secrets_are_not_printed);
	tcase_add_test(tcase, what_is_inherited_is_a_comment);
	tcase_add_test(tcase, items_are_the_options_that_are_there_once);
	tcase_add_test(tcase, a_long_value_is_cut);
	tcase_add_test(tcase, printing_without_memory_fails);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(print_suite)
