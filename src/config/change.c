/*
 * New snapshots from old ones: SET of the console, and what a reload may not change.
 * Runs in the control thread.
 */
#include "config/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/check.h"
#include "config/options.h"
#include "config/problems.h"
#include "config/snapshot.h"
#include "config/value.h"

/* --- SET --- */

static const struct option *find_changeable(const char *name, char *error_out, size_t error_size)
{
	const struct option *option = option_find_path(name);

	if (option == NULL || strstr(name, "[]")) {
		snprintf(error_out, error_size, "there is no option \"%.80s\"", name);
		return NULL;
	}
	if (option->flags & OPTION_FIXED) {
		snprintf(error_out, error_size, "%s takes effect at start only", name);
		return NULL;
	}
	return option;
}

/* The first problem is enough on the console. */
static bool is_sound(const struct config *config, char *error_out, size_t error_size)
{
	struct problems problems = { 0 };
	bool is_ok;

	config_check(config, NULL, &problems);
	is_ok = !problems_exist(&problems);
	if (!is_ok)
		snprintf(error_out, error_size, "%s",
			 problems.count ? problems.items[0].text : strerror(ENOMEM));
	problems_free(&problems);
	return is_ok;
}

struct config *config_with(const struct config *config, const char *name, const char *value,
			   char *error_out, size_t error_size)
{
	const struct option *option = find_changeable(name, error_out, error_size);
	struct snapshot *snapshot;
	struct config *next;
	struct value_context context;
	char why[VALUE_WHY_SIZE];

	if (option == NULL)
		return NULL;
	snapshot = snapshot_copy(snapshot_of(config));
	if (snapshot == NULL) {
		snprintf(error_out, error_size, "%s", strerror(ENOMEM));
		return NULL;
	}
	next = &snapshot->config;
	context = snapshot_context(snapshot);
	if (!value_parse(option, value, &context, next, why, sizeof(why)))
		snprintf(error_out, error_size, "%s: %s", name, why);
	else if (!snapshot_inherit(snapshot))
		snprintf(error_out, error_size, "%s", strerror(ENOMEM));
	else if (is_sound(next, error_out, error_size))
		return next;
	config_unref(&next);
	return NULL;
}

/* --- reload --- */

static void warn_kept(const struct option *option, const void *next, const void *current,
		      struct bytes *warnings)
{
	bytes_printf(warnings, "%s: ", option->path);
	value_format_quoted(option, next, warnings);
	bytes_append_text(warnings, " needs a restart, ");
	value_format_quoted(option, current, warnings);
	bytes_append_text(warnings, " stays in effect\n");
}

static bool elements_equal(enum section_id id, const char *a, const char *b)
{
	for (size_t i = 0; i < option_count(); i++) {
		if (option_at(i)->section == id && !value_equal(option_at(i), a, b))
			return false;
	}
	return true;
}

static bool lists_equal(enum section_id id, const struct config *a, const struct config *b)
{
	const struct section *section = section_at(id);
	size_t n_a, n_b;
	const char *elements_a = section_elements(section, a, &n_a);
	const char *elements_b = section_elements(section, b, &n_b);

	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++) {
		size_t offset = i * section->element_size;

		if (!elements_equal(id, elements_a + offset, elements_b + offset))
			return false;
	}
	return true;
}

/* Fixed lists are at the top, and without sections inside them: that is `listen`. */
static void keep_lists(struct config *next, const struct config *current, struct bytes *warnings)
{
	for (int i = 0; i < SECTION_COUNT; i++) {
		enum section_id id = (enum section_id)i;
		const struct section *section = section_at(id);

		if (!(section->flags & OPTION_FIXED) || lists_equal(id, next, current))
			continue;
		bytes_printf(warnings,
			     "%s: a change needs a restart, the old one stays in effect\n",
			     section->name);
		if (!section_copy_list(id, next, current, snapshot_of(next)->arena))
			bytes_printf(warnings, "%s: %s\n", section->name, strerror(ENOMEM));
	}
}

void config_keep_fixed(struct config *next, const struct config *current, struct bytes *warnings)
{
	for (size_t i = 0; i < option_count(); i++) {
		const struct option *option = option_at(i);

		if (!(option->flags & OPTION_FIXED) || value_equal(option, next, current))
			continue;
		warn_kept(option, next, current, warnings);
		if (!value_copy(option, next, option, current, snapshot_of(next)->arena))
			bytes_printf(warnings, "%s: %s\n", option->path, strerror(ENOMEM));
	}
	keep_lists(next, current, warnings);
}
