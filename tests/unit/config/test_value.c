/*
 * Corner cases: units in any case, fractions that are exact or too fine, numbers at the edge of
 * 64 bits, spaces, empty text, each bound and one beyond it, words and their alias, lists with
 * empty members, secrets from files with and without newline, variables unset, nested, escaped.
 */

#include "config/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../unit.h"
#include "config/config.h"
#include "config/options.h"
#include "sample.h"

#define BAD INT64_MIN

static const struct {
	const char *text;
	int64_t us;
	const char *printed;
} durations[] = {
	{ "0", 0, "0" },
	{ "5", 5000000, "5s" },
	{ "0.25", 250000, "250ms" },
	{ "250ms", 250000, "250ms" },
	{ "1us", 1, "1us" },
	{ "5s", 5000000, "5s" },
	{ " 5 s ", 5000000, "5s" },
	{ "2min", 120000000, "2min" },
	{ "2MIN", 120000000, "2min" },
	{ "90s", 90000000, "90s" },
	{ "1.5h", 5400000000, "90min" },
	{ "1d", 86400000000, "1d" },
	{ "24h", 86400000000, "1d" },
	{ "9223372036854775807us", INT64_MAX, "9223372036854775807us" },
	{ "9223372036854775808us", BAD, NULL },
	{ "9223372036855", BAD, NULL },
	{ "99999999999999999999999", BAD, NULL },
	{ "0.0000001", BAD, NULL },
	{ "0.5us", BAD, NULL },
	{ "1.", BAD, NULL },
	{ ".5", BAD, NULL },
	{ "", BAD, NULL },
	{ "s", BAD, NULL },
	{ "-1s", BAD, NULL },
	{ "+1s", BAD, NULL },
	{ "1m", BAD, NULL },
	{ "1 min 5 s", BAD, NULL },
	{ "0x10", BAD, NULL },
	{ "1e3", BAD, NULL },
	{ "inf", BAD, NULL },
};

START_TEST(durations_are_read_and_printed)
{
	struct bytes out = { 0 };
	int64_t us = 0;
	bool ok = duration_parse(durations[_i].text, &us);

	ck_assert_msg(ok == (durations[_i].us != BAD), "\"%s\"", durations[_i].text);
	if (!ok)
		return;
	ck_assert_int_eq(us, durations[_i].us);
	duration_format(us, &out);
	ck_assert(bytes_append(&out, "", 1));
	ck_assert_str_eq((const char *)bytes_begin(&out), durations[_i].printed);
	ck_assert(duration_parse(durations[_i].printed, &us));
	ck_assert_int_eq(us, durations[_i].us);
	bytes_free(&out);
}
END_TEST

static const struct {
	const char *text;
	int64_t bytes;
	const char *printed;
} sizes[] = {
	{ "0", 0, "0" },
	{ "1000", 1000, "1000B" },
	{ "1024", 1024, "1kB" },
	{ "64kB", 65536, "64kB" },
	{ "64KB", 65536, "64kB" },
	{ "1 MB", 1048576, "1MB" },
	{ "1.5MB", 1572864, "1536kB" },
	{ "1GB", 1073741824, "1GB" },
	{ "2TB", 2199023255552, "2TB" },
	{ "8388607TB", 9223370937343148032, "8388607TB" },
	{ "8388608TB", BAD, NULL },
	{ "0.5B", BAD, NULL },
	{ "64k", BAD, NULL },
	{ "64s", BAD, NULL },
	{ "-1", BAD, NULL },
	{ "", BAD, NULL },
};

START_TEST(sizes_are_read_and_printed)
{
	struct bytes out = { 0 };
	int64_t bytes = 0;
	bool ok = size_parse(sizes[_i].text, &bytes);

	ck_assert_msg(ok == (sizes[_i].bytes != BAD), "\"%s\"", sizes[_i].text);
	if (!ok)
		return;
	ck_assert_int_eq(bytes, sizes[_i].bytes);
	size_format(bytes, &out);
	ck_assert(bytes_append(&out, "", 1));
	ck_assert_str_eq((const char *)bytes_begin(&out), sizes[_i].printed);
	bytes_free(&out);
}
END_TEST

static const struct {
	const char *text;
	const char *expanded; /* NULL: an error ... */
	const char *why;      /* ... with this in it */
} expansions[] = {
	{ "", "", NULL },
	{ "plain", "plain", NULL },
	{ "${UNIT_A}", "one", NULL },
	{ "<${UNIT_A}${UNIT_A}>", "<oneone>", NULL },
	{ "${UNIT_EMPTY}", "", NULL },
	{ "${UNIT_NESTED}", "${UNIT_A}", NULL },
	{ "$", "$", NULL },
	{ "$UNIT_A", "$UNIT_A", NULL },
	{ "$$", "$$", NULL },
	{ "$${UNIT_A}", "${UNIT_A}", NULL },
	{ "$$${UNIT_A}", "$${UNIT_A}", NULL },
	{ "{}", "{}", NULL },
	{ "${UNIT_UNSET}", NULL, "UNIT_UNSET is not set" },
	{ "${}", NULL, "needs the name" },
	{ "${UNIT_A", NULL, "needs the name" },
	{ "${UNIT A}", NULL, "needs the name" },
	{ "${1}", NULL, "needs the name" },
	{ "${", NULL, "needs the name" },
};

START_TEST(variables_are_expanded_once)
{
	struct bytes out = { 0 };
	char why[VALUE_WHY_SIZE] = "";
	bool ok;

	setenv("UNIT_A", "one", 1);
	setenv("UNIT_EMPTY", "", 1);
	setenv("UNIT_NESTED", "${UNIT_A}", 1);
	unsetenv("UNIT_UNSET");
	ok = value_expand(expansions[_i].text, &out, why, sizeof(why));
	ck_assert_msg(ok == (expansions[_i].expanded != NULL), "\"%s\"", expansions[_i].text);
	if (ok)
		ck_assert_str_eq((const char *)bytes_begin(&out), expansions[_i].expanded);
	else
		ck_assert_msg(strstr(why, expansions[_i].why) != NULL, "%s", why);
	bytes_free(&out);
}
END_TEST

START_TEST(an_expansion_is_bounded)
{
	char big[60001];
	struct bytes out = { 0 };
	char why[VALUE_WHY_SIZE];

	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	setenv("UNIT_BIG", big, 1);
	ck_assert(value_expand("${UNIT_BIG}", &out, why, sizeof(why)));
	bytes_clear(&out);
	ck_assert(!value_expand("${UNIT_BIG}${UNIT_BIG}${UNIT_BIG}", &out, why, sizeof(why)));
	ck_assert_str_eq(why, "the value is too long");
	bytes_free(&out);
}
END_TEST

/* --- options of each type, in a struct config --- */

static struct config target;
static struct config_node node;
static struct value_context context;

static void setup(void)
{
	target = (struct config){ 0 };
	node = (struct config_node){ 0 };
	context = (struct value_context){ arena_create(SIZE_MAX), "/etc/dir" };
}

static void teardown(void)
{
	arena_destroy(&context.arena);
}

static const struct {
	const char *path;
	const char *text;
	const char *printed; /* NULL: an error ... */
	const char *why;
} values[] = {
	{ "strict_hints", "true", "true", NULL },
	{ "strict_hints", "ON", "true", NULL },
	{ "strict_hints", "yes", "true", NULL },
	{ "strict_hints", "1", "true", NULL },
	{ "strict_hints", "false", "false", NULL },
	{ "strict_hints", "off", "false", NULL },
	{ "strict_hints", "no", "false", NULL },
	{ "strict_hints", "0", "false", NULL },
	{ "strict_hints", "", NULL, "\"\" is neither true nor false" },
	{ "strict_hints", "2", NULL, "\"2\" is neither true nor false" },
	{ "max_client_conn", "1", "1", NULL },
	{ "max_client_conn", " 12 ", "12", NULL },
	{ "max_client_conn", "1000000", "1000000", NULL },
	{ "max_client_conn", "0", NULL, "\"0\" is out of bounds: 1 to 1000000" },
	{ "max_client_conn", "1000001", NULL, "\"1000001\" is out of bounds: 1 to 1000000" },
	{ "max_client_conn", "-1", NULL, "\"-1\" is out of bounds: 1 to 1000000" },
	{ "max_client_conn", "", NULL, "\"\" is not a whole number" },
	{ "max_client_conn", "ten", NULL, "\"ten\" is not a whole number" },
	{ "max_client_conn", "1.5", NULL, "\"1.5\" is not a whole number" },
	{ "max_client_conn", "99999999999999999999", NULL, "is not a whole number" },
	{ "query_timeout", "3650d", "3650d", NULL },
	{ "query_timeout", "3651d", NULL, "\"3651d\" is out of bounds: 0 to 3650d" },
	{ "query_timeout", "soon", NULL,
	  "\"soon\" is not a duration, such as \"250ms\" or \"5s\"" },
	{ "client_buffer", "16kB", "16kB", NULL },
	{ "client_buffer", "16383", NULL, "\"16383\" is out of bounds: 16kB to 16MB" },
	{ "client_buffer", "16MB", "16MB", NULL },
	{ "client_buffer", "16777217", NULL, "\"16777217\" is out of bounds: 16kB to 16MB" },
	{ "client_buffer", "big", NULL, "\"big\" is not a size, such as \"64kB\"" },
	{ "split", "auto", "auto", NULL },
	{ "split", "AUTO", "auto", NULL },
	{ "split", "on", NULL, "\"on\" is not one of off, hints, auto" },
	{ "split", "", NULL, "\"\" is not one of off, hints, auto" },
	{ "read_hint", "stale-allowed", "stale-allowed", NULL },
	{ "auth.type", "plain", "password", NULL },
	{ "auth.file", "", "", NULL },
	{ "auth.file", "users", "/etc/dir/users", NULL },
	{ "auth.file", "/users", "/users", NULL },
	{ "server_reset_query", "", "", NULL },
	{ "server_reset_query", "a\nb", NULL, "the value has a control character" },
	{ "server_reset_query", "\x7f", NULL, "the value has a control character" },
	{ "server_reset_query", "\xc3\xa4", "\xc3\xa4", NULL },
	{ "admin.users", "", "", NULL },
	{ "admin.users", "  ", "", NULL },
	{ "admin.users", "a", "a", NULL },
	{ "admin.users", " a ,b", "a, b", NULL },
	{ "admin.users", "a,", NULL, "the value is empty" },
	{ "admin.users", "a,,b", NULL, "the value is empty" },
};

START_TEST(values_are_read_checked_and_printed)
{
	const struct option *option = option_find_path(values[_i].path);
	struct bytes out = { 0 };
	char why[VALUE_WHY_SIZE] = "";
	bool ok;

	ck_assert_ptr_nonnull(option);
	ok = value_parse(option, values[_i].text, &context, &target, why, sizeof(why));
	ck_assert_msg(ok == (values[_i].printed != NULL), "%s = \"%s\": %s", values[_i].path,
		      values[_i].text, why);
	if (!ok) {
		ck_assert_msg(strstr(why, values[_i].why) != NULL, "%s", why);
		return;
	}
	value_format(option, &target, &out);
	ck_assert(bytes_append(&out, "", 1));
	ck_assert_str_eq((const char *)bytes_begin(&out), values[_i].printed);
	bytes_free(&out);
}
END_TEST

START_TEST(a_refused_value_changes_nothing)
{
	char why[VALUE_WHY_SIZE];

	target.max_client_conn = 7;
	ck_assert(!value_parse(option_find_path("max_client_conn"), "0", &context, &target, why,
			       sizeof(why)));
	ck_assert_int_eq(target.max_client_conn, 7);
}
END_TEST

START_TEST(a_name_has_at_most_63_bytes)
{
	const struct option *option = option_find_path("clusters[].nodes[].name");
	char name[65];
	char why[VALUE_WHY_SIZE];

	memset(name, 'n', sizeof(name));
	name[64] = '\0';
	ck_assert(!value_parse(option, name, &context, &node, why, sizeof(why)));
	ck_assert_str_eq(why, "the value is longer than 63 bytes");
	name[63] = '\0';
	ck_assert(value_parse(option, name, &context, &node, why, sizeof(why)));
	ck_assert_str_eq(node.name, name);
	ck_assert(!value_parse(option, "", &context, &node, why, sizeof(why)));
	ck_assert_str_eq(why, "the value is empty");
}
END_TEST

START_TEST(lists_have_a_limit)
{
	char text[4001];
	char why[VALUE_WHY_SIZE];

	for (size_t i = 0; i < 2000; i++)
		memcpy(text + 2 * i, "a,", 2);
	text[1999] = '\0';
	ck_assert(value_parse(option_find_path("admin.users"), text, &context, &target, why,
			      sizeof(why)));
	ck_assert_uint_eq(target.admin.n_users, 1000);
	text[1999] = ',';
	text[4000] = '\0';
	ck_assert(!value_parse(option_find_path("admin.users"), text, &context, &target, why,
			       sizeof(why)));
	ck_assert_str_eq(why, "more than 1000 members");
	ck_assert_uint_eq(target.admin.n_users, 1000);
}
END_TEST

static const struct {
	const char *contents;
	const char *secret; /* NULL: an error */
} secrets[] = {
	{ "hidden", "hidden" },
	{ "hidden\n", "hidden" },
	{ "hidden\r\n", "hidden" },
	{ "hid den ", "hid den " },
	{ "", "" },
	{ "\n", "" },
	{ "hidden\n\n", NULL },
	{ "two\nlines\n", NULL },
};

START_TEST(secrets_are_read_from_files)
{
	const struct option *option = option_find_path("clusters[].monitor.password");
	struct config_cluster cluster = { 0 };
	char why[VALUE_WHY_SIZE];
	bool ok;

	context.directory = sample_directory();
	sample_write_file(context.directory, "secret", secrets[_i].contents);
	ok = value_parse(option, "file:secret", &context, &cluster, why, sizeof(why));
	ck_assert(ok == (secrets[_i].secret != NULL));
	if (ok)
		ck_assert_str_eq(cluster.monitor.password, secrets[_i].secret);
	sample_remove_directory(context.directory);
}
END_TEST

START_TEST(secret_files_must_be_small_and_regular)
{
	const struct option *option = option_find_path("clusters[].monitor.password");
	struct config_cluster cluster = { 0 };
	char why[VALUE_WHY_SIZE];
	char text[1100];

	context.directory = sample_directory();
	memset(text, 'x', sizeof(text));
	text[1025] = '\0';
	sample_write_file(context.directory, "secret", text);
	ck_assert(!value_parse(option, "file:secret", &context, &cluster, why, sizeof(why)));
	ck_assert_str_eq(why, "the value is longer than 1024 bytes");
	text[1025] = 'x';
	text[1099] = '\0';
	sample_write_file(context.directory, "secret", text);
	ck_assert(!value_parse(option, "file:secret", &context, &cluster, why, sizeof(why)));
	ck_assert_ptr_nonnull(strstr(why, "secret\": it is too large"));
	ck_assert(!value_parse(option, "file:none", &context, &cluster, why, sizeof(why)));
	ck_assert_ptr_nonnull(strstr(why, "none\": No such file or directory"));
	ck_assert(!value_parse(option, "file:.", &context, &cluster, why, sizeof(why)));
	ck_assert_ptr_nonnull(strstr(why, "it is not a regular file"));
	ck_assert(!value_parse(option, "file:", &context, &cluster, why, sizeof(why)));
	sample_remove_directory(context.directory);
}
END_TEST

START_TEST(a_pipe_is_not_waited_for)
{
	const struct option *option = option_find_path("clusters[].monitor.password");
	struct config_cluster cluster = { 0 };
	char why[VALUE_WHY_SIZE];
	char path[300];

	context.directory = sample_directory();
	snprintf(path, sizeof(path), "%s/pipe", context.directory);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert(!value_parse(option, "file:pipe", &context, &cluster, why, sizeof(why)));
	ck_assert_ptr_nonnull(strstr(why, "it is not a regular file"));
	sample_remove_directory(context.directory);
}
END_TEST

START_TEST(secrets_are_not_printed)
{
	const struct option *option = option_find_path("clusters[].monitor.password");
	struct config_cluster cluster = { .monitor.password = "hidden" };
	struct bytes out = { 0 };

	value_format_quoted(option, &cluster, &out);
	value_format(option, &cluster, &out);
	ck_assert(bytes_append(&out, "", 1));
	ck_assert_str_eq((const char *)bytes_begin(&out), "\"***\"***");
	bytes_free(&out);
}
END_TEST

START_TEST(quoted_text_can_be_read_again)
{
	struct bytes out = { 0 };

	target.server_reset_query = "\"a\\ ${b} $${c} $";
	value_format_quoted(option_find_path("server_reset_query"), &target, &out);
	ck_assert(bytes_append(&out, "", 1));
	ck_assert_str_eq((const char *)bytes_begin(&out), "\"\\\"a\\\\ $${b} $$${c} $\"");
	bytes_free(&out);
}
END_TEST

static Suite *value_suite(void)
{
	Suite *suite = suite_create("config/value");
	TCase *text = tcase_create("text");
	TCase *options = tcase_create("options");

	tcase_add_loop_test(text, durations_are_read_and_printed, 0,
			    sizeof(durations) / sizeof(durations[0]));
	tcase_add_loop_test(text, sizes_are_read_and_printed, 0,
			    sizeof(sizes) / sizeof(sizes[0]));
	tcase_add_loop_test(text, variables_are_expanded_once, 0,
			    sizeof(expansions) / sizeof(expansions[0]));
	tcase_add_test(text, an_expansion_is_bounded);
	suite_add_tcase(suite, text);

	tcase_add_checked_fixture(options, setup, teardown);
	tcase_add_loop_test(options, values_are_read_checked_and_printed, 0,
			    sizeof(values) / sizeof(values[0]));
	tcase_add_test(options, a_refused_value_changes_nothing);
	tcase_add_test(options, a_name_has_at_most_63_bytes);
	tcase_add_test(options, lists_have_a_limit);
	tcase_add_loop_test(options, secrets_are_read_from_files, 0,
			    sizeof(secrets) / sizeof(secrets[0]));
	tcase_add_test(options, secret_files_must_be_small_and_regular);
	tcase_add_test(options, a_pipe_is_not_waited_for);
	tcase_add_test(options, secrets_are_not_printed);
	tcase_add_test(options, quoted_text_can_be_read_again);
	suite_add_tcase(suite, options);
	return suite;
}

UNIT_SUITE(value_suite)
