/*
 * The configuration in effect as text: the whole of it for -T, option by option for SHOW CONFIG.
 * What -T prints is a configuration again, except that secrets are "***".
 * Reads snapshots only: any thread.
 */
#include "config/config.h"

#include <stdio.h>
#include <string.h>

#include "base/panic.h"
#include "config/options.h"
#include "config/snapshot.h"
#include "config/value.h"

/* --- the whole --- */

struct printer {
	struct bytes *out;
	const struct snapshot *snapshot;
	int depth;
};

static void print_section(struct printer *printer, enum section_id id, const void *base,
			  uint64_t set);

static void indent(struct printer *printer)
{
	for (int i = 0; i < printer->depth; i++)
		bytes_append_text(printer->out, "\t");
}

/*
 * What a database inherits stands in a comment: a later change of the global option then still
 * reaches it when the output is used as a configuration.
 */
static void print_option(struct printer *printer, const struct option *option, const void *base,
			 uint64_t set)
{
	bool is_inherited = (option->flags & OPTION_INHERITED) &&
			    !(set & ((uint64_t)1 << option_number(option)));

	if (value_is_null(option, base))
		return;
	indent(printer);
	bytes_printf(printer->out, "%s%s = ", is_inherited ? "# " : "", option_name(option));
	value_format_quoted(option, base, printer->out);
	bytes_append_text(printer->out, is_inherited ? "; (inherited)\n" : ";\n");
}

static void print_list(struct printer *printer, enum section_id id, const void *base)
{
	const struct section *section = section_at(id);
	size_t count;
	const char *elements = section_elements(section, base, &count);

	indent(printer);
	bytes_printf(printer->out, "%s = (", section->name);
	for (size_t i = 0; i < count; i++) {
		uint64_t set = id == SECTION_DATABASES ? printer->snapshot->database_set[i] : 0;

		bytes_append_text(printer->out, i ? ", {\n" : "{\n");
		printer->depth++;
		print_section(printer, id, elements + i * section->element_size, set);
		printer->depth--;
		indent(printer);
		bytes_append_text(printer->out, "}");
	}
	bytes_append_text(printer->out, ");\n");
}

static void print_group(struct printer *printer, enum section_id id, const void *base)
{
	indent(printer);
	bytes_printf(printer->out, "%s = {\n", section_at(id)->name);
	printer->depth++;
	print_section(printer, id, base, 0);
	printer->depth--;
	indent(printer);
	bytes_append_text(printer->out, "};\n");
}

static void print_section(struct printer *printer, enum section_id id, const void *base,
			  uint64_t set)
{
	for (size_t i = 0; i < option_count(); i++) {
		if (option_at(i)->section == id)
			print_option(printer, option_at(i), base, set);
	}
	for (int child = 0; child < SECTION_COUNT; child++) {
		const struct section *section = section_at((enum section_id)child);

		if (section->parent != id)
			continue;
		if (section->is_list)
			print_list(printer, (enum section_id)child, base);
		else
			print_group(printer, (enum section_id)child, base);
	}
}

bool config_print(const struct config *config, struct bytes *out)
{
	struct printer printer = { out, snapshot_of(config), 0 };

	print_section(&printer, SECTION_ROOT, config, 0);
	return !out->failed;
}

/* --- option by option --- */

/* Those that are there once: not in a list, nor in a group inside one. */
static bool is_item(const struct option *option)
{
	return strstr(option->path, "[]") == NULL;
}

static const struct option *item_at(size_t index)
{
	for (size_t i = 0; i < option_count(); i++) {
		if (is_item(option_at(i)) && index-- == 0)
			return option_at(i);
	}
	return NULL;
}

size_t config_item_count(void)
{
	size_t count = 0;

	while (item_at(count))
		count++;
	return count;
}

/* A longer value is cut: it is for the eye. */
static void put_text(char *out, size_t size, const struct bytes *text)
{
	size_t length = bytes_length(text) < size ? bytes_length(text) : size - 1;

	if (length > 0)
		memcpy(out, bytes_begin(text), length);
	out[length] = '\0';
}

void config_item_get(const struct config *config, size_t index, struct config_item *out)
{
	const struct option *option = item_at(index);
	struct bytes text = { 0 };

	ASSERT(option != NULL);
	value_format(option, config, &text);
	out->name = option->path;
	put_text(out->value, sizeof(out->value), &text);
	/* the table has it in the words of value_format() */
	snprintf(out->default_value, sizeof(out->default_value), "%s",
		 option->default_value ? option->default_value : "");
	out->changeable = !option_is_fixed(option);
	out->description = option->description;
	bytes_free(&text);
}
