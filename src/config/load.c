/*
 * From a file to a snapshot: libconfig parses the text, then the tree is walked by the table of
 * options. Every mistake of the walk is collected; a syntax error ends the reading, since nothing
 * behind it can be trusted.
 * Runs in the control thread, and in the command line's -t and -T.
 */
#include "config/load.h"

#include <errno.h>
#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "config/check.h"
#include "config/options.h"
#include "config/problems.h"
#include "config/snapshot.h"
#include "config/source.h"
#include "config/value.h"

#define SETTING_PATH_SIZE 256
#define NUMBER_SIZE       64

struct loader {
	struct snapshot *snapshot;
	struct problems *problems;
};

static void load_section(struct loader *loader, enum section_id id, config_setting_t *group,
			 void *base, uint64_t *set_out);

/* --- saying what is wrong, and where --- */

/* "clusters[0].nodes[1].host" */
static void setting_path(const config_setting_t *setting, struct bytes *out)
{
	const config_setting_t *parent = config_setting_parent(setting);

	if (parent == NULL)
		return;
	setting_path(parent, out);
	if (config_setting_name(setting) == NULL)
		bytes_printf(out, "[%d]", config_setting_index(setting));
	else
		bytes_printf(out, "%s%s", bytes_length(out) ? "." : "",
			     config_setting_name(setting));
}

static void fault(struct loader *loader, const config_setting_t *setting, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void fault(struct loader *loader, const config_setting_t *setting, const char *format, ...)
{
	char text[VALUE_WHY_SIZE + 64];
	struct bytes path = { 0 };
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	setting_path(setting, &path);
	bytes_append(&path, "", 1);
	if (path.failed || bytes_length(&path) == 1)
		problems_add(loader->problems, config_setting_source_line(setting), "%s", text);
	else
		problems_add(loader->problems, config_setting_source_line(setting), "%.*s: %s",
			     SETTING_PATH_SIZE, (const char *)bytes_begin(&path), text);
	bytes_free(&path);
}

static void fault_memory(struct loader *loader)
{
	problems_add(loader->problems, 0, "%s", strerror(ENOMEM));
}

/* --- one option --- */

static const char *kind_name(const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_GROUP: return "a group";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64: return "a whole number";
	case CONFIG_TYPE_FLOAT: return "a number with a fraction";
	case CONFIG_TYPE_STRING: return "a string";
	case CONFIG_TYPE_BOOL: return "true or false";
	case CONFIG_TYPE_ARRAY: return "an array";
	case CONFIG_TYPE_LIST: return "a list";
	default: return "nothing";
	}
}

static const char *expected_name(enum option_type type)
{
	switch (type) {
	case OPTION_BOOL: return "true or false";
	case OPTION_INT: return "a whole number";
	case OPTION_DURATION: return "a duration, such as \"250ms\" or \"5s\"";
	case OPTION_SIZE: return "a size, such as \"64kB\"";
	case OPTION_STRINGS: return "a list of strings";
	default: return "a string in double quotes";
	}
}

/*
 * Strings may stand for any type, since only they can have ${...} inside; the numbers 0 and 1 for
 * a bool as in PgBouncer's file.
 */
static bool type_fits(const struct option *option, const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_STRING: return true;
	case CONFIG_TYPE_BOOL: return option->type == OPTION_BOOL;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return option->type == OPTION_INT || option->type == OPTION_DURATION ||
		       option->type == OPTION_SIZE || option->type == OPTION_BOOL;
	case CONFIG_TYPE_FLOAT: return option->type == OPTION_DURATION;
	case CONFIG_TYPE_ARRAY:
	case CONFIG_TYPE_LIST: return option->type == OPTION_STRINGS;
	default: return false;
	}
}

/* A scalar as the text that value_parse() reads; numbers are printed to `number`. */
static const char *scalar_text(const config_setting_t *setting, char number[NUMBER_SIZE])
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_BOOL: return config_setting_get_bool(setting) ? "true" : "false";
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		snprintf(number, NUMBER_SIZE, "%lld", config_setting_get_int64(setting));
		return number;
	case CONFIG_TYPE_FLOAT:
		snprintf(number, NUMBER_SIZE, "%.6f", config_setting_get_float(setting));
		return number;
	default: return config_setting_get_string(setting);
	}
}

static void load_scalar(struct loader *loader, const struct option *option,
			const config_setting_t *setting, void *base)
{
	struct value_context context = snapshot_context(loader->snapshot);
	struct bytes text = { 0 };
	char number[NUMBER_SIZE];
	char why[VALUE_WHY_SIZE];
	bool ok = value_expand(scalar_text(setting, number), &text, why, sizeof(why)) &&
		  value_parse(option, (const char *)bytes_begin(&text), &context, base, why,
			      sizeof(why));

	if (!ok)
		fault(loader, setting, "%s", why);
	bytes_free(&text);
}

/* One member of a list of strings, in the arena; NULL when it is not one. */
static const char *load_member(struct loader *loader, const config_setting_t *member)
{
	struct bytes text = { 0 };
	char why[VALUE_WHY_SIZE];
	const char *copy = NULL;

	if (config_setting_type(member) != CONFIG_TYPE_STRING)
		fault(loader, member, "it must be a string in double quotes, not %s",
		      kind_name(member));
	else if (!value_expand(config_setting_get_string(member), &text, why, sizeof(why)))
		fault(loader, member, "%s", why);
	else if ((copy = arena_copy_string(loader->snapshot->arena,
					   (const char *)bytes_begin(&text))) == NULL)
		fault_memory(loader);
	bytes_free(&text);
	return copy;
}

static void load_strings(struct loader *loader, const struct option *option,
			 const config_setting_t *setting, void *base)
{
	struct value_context context = snapshot_context(loader->snapshot);
	int count = config_setting_length(setting);
	const char **members =
		arena_zalloc(context.arena, ((size_t)count + 1) * sizeof(*members));
	char why[VALUE_WHY_SIZE];
	bool ok = true;

	if (members == NULL) {
		fault_memory(loader);
		return;
	}
	for (int i = 0; i < count; i++) {
		members[i] = load_member(loader, config_setting_get_elem(setting, (unsigned)i));
		if (members[i] == NULL)
			ok = false;
	}
	if (ok && !value_parse_strings(option, members, (size_t)count, &context, base, why,
				       sizeof(why)))
		fault(loader, setting, "%s", why);
}

static void load_written(struct loader *loader, const struct option *option,
			 const config_setting_t *setting, void *base)
{
	if (!type_fits(option, setting)) {
		fault(loader, setting, "it must be %s, not %s", expected_name(option->type),
		      kind_name(setting));
	} else if (option->type == OPTION_STRINGS &&
		   config_setting_type(setting) != CONFIG_TYPE_STRING) {
		load_strings(loader, option, setting, base);
	} else {
		load_scalar(loader, option, setting, base);
	}
}

/* The default comes first, so that the checks that follow a mistake see something sensible. */
static void load_option(struct loader *loader, const struct option *option,
			config_setting_t *group, void *base, uint64_t *set_out)
{
	struct value_context context = snapshot_context(loader->snapshot);
	const config_setting_t *setting =
		group ? config_setting_get_member(group, option_name(option)) : NULL;

	if (!value_set_default(option, &context, base))
		fault_memory(loader);
	if (setting == NULL) {
		if (group && (option->flags & OPTION_REQUIRED))
			fault(loader, group, "\"%s\" is missing", option_name(option));
		return;
	}
	*set_out |= (uint64_t)1 << (option_number(option) & 63);
	load_written(loader, option, setting, base);
}

/* --- groups and lists of them --- */

/* Everything in a group must be an option or a section of it. */
static void find_unknown(struct loader *loader, enum section_id id, config_setting_t *group)
{
	int count = config_setting_length(group);

	for (int i = 0; i < count; i++) {
		config_setting_t *setting = config_setting_get_elem(group, (unsigned)i);
		const char *name = config_setting_name(setting);

		if (option_find(id, name) == NULL && section_find(id, name) == SECTION_COUNT)
			fault(loader, setting, "unknown option");
	}
}

/* A list or array with groups in it; SIZE_MAX when it is not that. */
static size_t count_groups(struct loader *loader, const struct section *section,
			   const config_setting_t *setting)
{
	int type = config_setting_type(setting);
	size_t count;

	if (type != CONFIG_TYPE_LIST && type != CONFIG_TYPE_ARRAY) {
		fault(loader, setting,
		      "it must be a list of groups, ( { ... }, { ... } ), not %s",
		      kind_name(setting));
		return SIZE_MAX;
	}
	count = (size_t)config_setting_length(setting);
	if (count > section->max_elements) {
		fault(loader, setting, "more than %zu of them", section->max_elements);
		return SIZE_MAX;
	}
	return count;
}

static void load_elements(struct loader *loader, enum section_id id, config_setting_t *setting,
			  char *elements, uint64_t *set, size_t count)
{
	const struct section *section = section_at(id);

	for (size_t i = 0; i < count; i++) {
		config_setting_t *group = config_setting_get_elem(setting, (unsigned)i);

		if (!config_setting_is_group(group)) {
			fault(loader, group, "it must be a group, { ... }, not %s",
			      kind_name(group));
			group = NULL;
		}
		load_section(loader, id, group, elements + i * section->element_size, &set[i]);
	}
}

static void load_list(struct loader *loader, enum section_id id, config_setting_t *setting,
		      void *base)
{
	const struct section *section = section_at(id);
	struct arena *arena = loader->snapshot->arena;
	size_t count = setting ? count_groups(loader, section, setting) : 0;
	char *elements;
	uint64_t *set;

	if (count == SIZE_MAX)
		count = 0;
	elements = arena_zalloc(arena, (count + 1) * section->element_size);
	set = arena_zalloc(arena, (count + 1) * sizeof(*set));
	if (elements == NULL || set == NULL) {
		fault_memory(loader);
		return;
	}
	load_elements(loader, id, setting, elements, set, count);
	section_set_elements(section, base, elements, count);
	if (id == SECTION_DATABASES)
		loader->snapshot->database_set = set;
}

static void load_group(struct loader *loader, enum section_id id, config_setting_t *setting,
		       void *base)
{
	uint64_t set = 0;

	if (setting && !config_setting_is_group(setting)) {
		fault(loader, setting, "it must be a group, { ... }, not %s", kind_name(setting));
		setting = NULL;
	}
	load_section(loader, id, setting, base, &set);
}

/* `group` is NULL for one that is not there: all of it has its defaults. */
static void load_section(struct loader *loader, enum section_id id, config_setting_t *group,
			 void *base, uint64_t *set_out)
{
	if (group)
		find_unknown(loader, id, group);
	for (size_t i = 0; i < option_count(); i++) {
		if (option_at(i)->section == id)
			load_option(loader, option_at(i), group, base, set_out);
	}
	for (int child = 0; child < SECTION_COUNT; child++) {
		const struct section *section = section_at((enum section_id)child);
		config_setting_t *setting;

		if (section->parent != id)
			continue;
		setting = group ? config_setting_get_member(group, section->name) : NULL;
		if (section->is_list)
			load_list(loader, (enum section_id)child, setting, base);
		else
			load_group(loader, (enum section_id)child, setting, base);
	}
}

/* --- all of it --- */

static void load_tree(struct loader *loader, const config_t *tree)
{
	uint64_t set = 0;

	load_section(loader, SECTION_ROOT, config_root_setting(tree), &loader->snapshot->config,
		     &set);
	/* without memory for the lists there is nothing to check */
	if (loader->snapshot->database_set == NULL || !snapshot_inherit(loader->snapshot)) {
		fault_memory(loader);
		return;
	}
	snapshot_link(loader->snapshot);
	config_check(&loader->snapshot->config, tree, loader->problems);
}

/* NULL when there are problems, or will be. */
static struct config *load_source(const char *path, const struct source *source,
				  struct problems *problems)
{
	struct loader loader = { snapshot_create(path, source->directory), problems };
	struct config *config = NULL;
	config_t tree;

	if (loader.snapshot == NULL) {
		fault_memory(&loader);
		return NULL;
	}
	config = &loader.snapshot->config;
	config_init(&tree);
	if (config_read_string(&tree, (const char *)bytes_begin(&source->text)) == CONFIG_TRUE)
		load_tree(&loader, &tree);
	else
		problems_add(problems, (unsigned)config_error_line(&tree), "%s",
			     config_error_text(&tree));
	config_destroy(&tree);
	if (problems_exist(problems))
		config_unref(&config);
	return config;
}

struct config *config_load(const char *path, struct bytes *errors)
{
	struct problems problems = { 0 };
	struct source source;
	struct config *config = NULL;

	if (source_read_file(&source, path, &problems))
		config = load_source(path, &source, &problems);
	problems_report(&problems, &source, errors);
	problems_free(&problems);
	source_free(&source);
	return config;
}

struct config *config_load_text(const char *path, const char *text, size_t length,
				struct bytes *errors)
{
	struct problems problems = { 0 };
	struct source source;
	struct config *config = NULL;

	if (source_read_text(&source, path, text, length, &problems))
		config = load_source(path, &source, &problems);
	problems_report(&problems, &source, errors);
	problems_free(&problems);
	source_free(&source);
	return config;
}
