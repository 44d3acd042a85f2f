/*
 * The table against itself, against docs/config.md and against proxy.conf.example: an option that
 * is missing in one of them, or differs, fails here.
 */

#include "config/options.h"

#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit.h"
#include "config/load.h"
#include "config/value.h"
#include "sample.h"

/* --- the table itself --- */

START_TEST(paths_are_unique_and_in_their_section)
{
	const struct option *option = option_at((size_t)_i);
	const char *section = section_at(option->section)->path;
	char path[128];

	snprintf(path, sizeof(path), "%s%s%s", section, *section ? "." : "", option_name(option));
	ck_assert_str_eq(option->path, path);
	ck_assert_ptr_eq(option_find_path(option->path), option);
	ck_assert_ptr_eq(option_find(option->section, option_name(option)), option);
	ck_assert_int_eq(section_find(option->section, option_name(option)), SECTION_COUNT);
}
END_TEST

START_TEST(rows_are_complete)
{
	const struct option *option = option_at((size_t)_i);
	size_t length = strlen(option->description);
	unsigned no_default = option->flags & (OPTION_REQUIRED | OPTION_INHERITED | OPTION_NULL);

	ck_assert_uint_gt(length, 10);
	ck_assert_int_eq(option->description[length - 1], '.');
	ck_assert_ptr_null(strchr(option->description, '|'));
	ck_assert_int_eq(option->default_value == NULL, no_default != 0);
	ck_assert_int_eq(option->type == OPTION_ENUM, option->words != NULL);
	ck_assert_int_eq(option->type == OPTION_STRINGS, option->count_offset != 0);
	if (option->type != OPTION_ENUM && option->type != OPTION_BOOL)
		ck_assert_int_lt(option->min, option->max);
}
END_TEST

/* SHOW CONFIG compares the two, and people do. */
START_TEST(defaults_are_in_bounds_and_in_their_printed_form)
{
	const struct option *option = option_at((size_t)_i);
	struct value_context context = { arena_create(SIZE_MAX), "/" };
	uint64_t base[256] = { 0 }; /* as aligned and as large as any section's struct */
	struct bytes out = { 0 };

	ck_assert(value_set_default(option, &context, base));
	if (option->default_value) {
		value_format(option, base, &out);
		ck_assert(bytes_append(&out, "", 1));
		ck_assert_str_eq((const char *)bytes_begin(&out), option->default_value);
	}
	bytes_free(&out);
	arena_destroy(&context.arena);
}
END_TEST

START_TEST(inherited_options_are_as_the_global_ones)
{
	const struct option *option = option_at((size_t)_i);
	const struct option *global = option_find(SECTION_ROOT, option_name(option));

	if (!(option->flags & OPTION_INHERITED))
		return;
	ck_assert_uint_lt(option_number(option), 64); /* bits of a mask */
	ck_assert_int_eq(option->section, SECTION_DATABASES);
	ck_assert_ptr_nonnull(global);
	ck_assert_int_eq(option->type, global->type);
	ck_assert_int_eq(option->min, global->min);
	ck_assert_int_eq(option->max, global->max);
	ck_assert_ptr_eq(option->words, global->words);
}
END_TEST

/* config_keep_fixed() counts on both. */
START_TEST(what_is_fixed_is_at_the_top)
{
	const struct option *option = option_at((size_t)_i);

	if (option->flags & OPTION_FIXED)
		ck_assert_ptr_null(strstr(option->path, "[]"));
	for (int i = 0; i < SECTION_COUNT; i++) {
		const struct section *section = section_at((enum section_id)i);

		if (!(section->flags & OPTION_FIXED))
			continue;
		ck_assert(section->is_list);
		ck_assert_int_eq(section->parent, SECTION_ROOT);
		for (int child = 0; child < SECTION_COUNT; child++)
			ck_assert_int_ne(section_at((enum section_id)child)->parent, i);
	}
}
END_TEST

/* --- docs/config.md --- */

/* "| a | b |" to its cells, without the spaces around them. */
static int split_row(char *line, char *cells[8])
{
	int count = 0;

	strsep(&line, "|");
	for (char *cell = strsep(&line, "|"); line && count < 8; cell = strsep(&line, "|")) {
		size_t length = strlen(cell);

		while (length > 0 && cell[length - 1] == ' ')
			cell[--length] = '\0';
		cells[count++] = cell + strspn(cell, " ");
	}
	return count;
}

static const char *documented_default(const struct option *option, char *out, size_t size)
{
	if (option->flags & OPTION_REQUIRED)
		return "required";
	if (option->flags & OPTION_INHERITED)
		return "inherited";
	if (option->flags & OPTION_NULL)
		return "not set";
	if (option->default_value[0] == '\0')
		return "empty";
	snprintf(out, size, "`%s`", option->default_value);
	return out;
}

static void check_row(const struct option *option, char *cells[8])
{
	struct bytes bounds = { 0 };
	char text[512];

	snprintf(text, sizeof(text), "%s%s%s", option_type_name(option->type),
		 option->unit ? ", " : "", option->unit ? option->unit : "");
	ck_assert_str_eq(cells[1], text);
	ck_assert_str_eq(cells[2], documented_default(option, text, sizeof(text)));
	value_format_bounds(option, &bounds);
	ck_assert(bytes_append(&bounds, "", 1));
	ck_assert_str_eq(cells[3], (const char *)bytes_begin(&bounds));
	bytes_free(&bounds);
	ck_assert_str_eq(cells[4], option_is_fixed(option) ? "no" : "yes");
	ck_assert_str_eq(cells[5], option->description);
}

START_TEST(the_documentation_has_each_option_once)
{
	char *document = sample_repository_file("docs/config.md");
	unsigned *seen = calloc(option_count(), sizeof(*seen));
	char *rest = document;
	char *line;

	while ((line = strsep(&rest, "\n"))) {
		char *cells[8];
		char *path;

		if (strncmp(line, "| `", 3) != 0)
			continue;
		ck_assert_int_eq(split_row(line, cells), 6);
		path = strtok(cells[0], "`");
		ck_assert_msg(option_find_path(path) != NULL, "no such option: %s", path);
		check_row(option_find_path(path), cells);
		seen[option_find_path(path) - option_at(0)]++;
	}
	for (size_t i = 0; i < option_count(); i++)
		ck_assert_msg(seen[i] == 1, "%s: %u rows", option_at(i)->path, seen[i]);
	free(seen);
	free(document);
}
END_TEST

/* --- proxy.conf.example --- */

/* "#name = ...;" becomes an option; "# text" stays a comment. */
static void uncomment(char *text)
{
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		line += strspn(line, "\t");
		if (line[0] == '#' && line[1] >= 'a' && line[1] <= 'z')
			line[0] = ' ';
	}
}

/* The path of a setting as the table writes it; false for a group or list of such. */
static bool table_path(const config_setting_t *setting, char *out, size_t size)
{
	const config_setting_t *parent = config_setting_parent(setting);

	if (parent == NULL) {
		out[0] = '\0';
		return true;
	}
	table_path(parent, out, size);
	if (config_setting_name(setting) == NULL)
		strncat(out, "[]", size - strlen(out) - 1);
	else
		snprintf(out + strlen(out), size - strlen(out), "%s%s", *out ? "." : "",
			 config_setting_name(setting));
	return !config_setting_is_group(setting);
}

static void mark_seen(const config_setting_t *setting, bool *seen)
{
	char path[256];
	const struct option *option;

	table_path(setting, path, sizeof(path));
	option = option_find_path(path);
	if (option) {
		seen[option - option_at(0)] = true;
		return;
	}
	ck_assert_msg(config_setting_is_aggregate(setting), "no such option: %s", path);
	for (int i = 0; i < config_setting_length(setting); i++)
		mark_seen(config_setting_get_elem(setting, (unsigned)i), seen);
}

START_TEST(the_example_has_each_option)
{
	char *text = sample_repository_file("proxy.conf.example");
	bool *seen = calloc(option_count(), sizeof(*seen));
	config_t tree;

	uncomment(text);
	config_init(&tree);
	ck_assert_msg(config_read_string(&tree, text) == CONFIG_TRUE, "line %d: %s",
		      config_error_line(&tree), config_error_text(&tree));
	mark_seen(config_root_setting(&tree), seen);
	for (size_t i = 0; i < option_count(); i++)
		ck_assert_msg(seen[i], "%s", option_at(i)->path);
	config_destroy(&tree);
	free(seen);
	free(text);
}
END_TEST

START_TEST(the_example_shows_defaults_in_its_comments)
{
	char *text = sample_repository_file("proxy.conf.example");
	struct config *as_it_is = sample_load(text);
	struct config *uncommented;

	uncomment(text);
	uncommented = sample_load(text);
	for (size_t i = 0; i < config_item_count(); i++) {
		struct config_item a, b;

		config_item_get(as_it_is, i, &a);
		config_item_get(uncommented, i, &b);
		ck_assert_str_eq(a.name, b.name);
		ck_assert_msg(strcmp(a.value, b.value) == 0, "%s: %s, %s", a.name, a.value,
			      b.value);
	}
	ck_assert_int_eq(as_it_is->clusters[0].nodes[1].weight,
			 uncommented->clusters[0].nodes[1].weight);
	ck_assert_int_eq(as_it_is->clusters[0].monitor.timeout,
			 uncommented->clusters[0].monitor.timeout);
	ck_assert_int_eq(as_it_is->clusters[0].max_lag.hard,
			 uncommented->clusters[0].max_lag.hard);
	ck_assert_int_eq(as_it_is->databases[0].pool_mode, uncommented->databases[0].pool_mode);
	config_unref(&as_it_is);
	config_unref(&uncommented);
	free(text);
}
END_TEST

static Suite *options_suite(void)
{
	Suite *suite = suite_create("config/options");
	TCase *table = tcase_create("table");
	TCase *files = tcase_create("files");
	int count = (int)option_count();

	tcase_add_loop_test(table, paths_are_unique_and_in_their_section, 0, count);
	tcase_add_loop_test(table, rows_are_complete, 0, count);
	tcase_add_loop_test(table, defaults_are_in_bounds_and_in_their_printed_form, 0, count);
	tcase_add_loop_test(table, inherited_options_are_as_the_global_ones, 0, count);
	tcase_add_loop_test(table, what_is_fixed_is_at_the_top, 0, count);
	suite_add_tcase(suite, table);

	tcase_add_test(files, the_documentation_has_each_option_once);
	tcase_add_test(files, the_example_has_each_option);
	tcase_add_test(files, the_example_shows_defaults_in_its_comments);
	suite_add_tcase(suite, files);
	return suite;
}

UNIT_SUITE(options_suite)
