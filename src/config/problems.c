/*
 * The list of everything that is wrong with a configuration. It is bounded: a file of another
 * kind altogether would otherwise answer with a line for each of its own.
 * Used by whichever thread reads a configuration; a list belongs to one reading.
 */
#include "config/problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/source.h"

#define PROBLEMS_MAX 200

static bool make_room(struct problems *problems)
{
	size_t capacity = problems->capacity ? problems->capacity * 2 : 16;
	struct problem *items;

	if (problems->count < problems->capacity)
		return true;
	if (problems->count >= PROBLEMS_MAX)
		return false;
	items = realloc(problems->items, capacity * sizeof(*items));
	if (items == NULL)
		return false;
	problems->items = items;
	problems->capacity = capacity;
	return true;
}

void problems_add(struct problems *problems, unsigned line, const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int length;

	va_start(args, format);
	length = make_room(problems) ? vasprintf(&text, format, args) : -1;
	va_end(args);
	if (length == -1) {
		problems->dropped++;
		return;
	}
	problems->items[problems->count++] = (struct problem){ line, text };
}

bool problems_exist(const struct problems *problems)
{
	return problems->count > 0 || problems->dropped > 0;
}

/* By line, and in the order of their discovery within one: insertion sort, there are few. */
static void sort_by_line(struct problem *items, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct problem moved = items[i];
		size_t to = i;

		for (; to > 0 && items[to - 1].line > moved.line; to--)
			items[to] = items[to - 1];
		items[to] = moved;
	}
}

void problems_report(const struct problems *problems, const struct source *source,
		     struct bytes *out)
{
	struct source_place place;

	sort_by_line(problems->items, problems->count);
	for (size_t i = 0; i < problems->count; i++) {
		if (source) {
			place = source_place_of(source, problems->items[i].line);
			bytes_printf(out, "%s:%u: ", place.file, place.line);
		}
		bytes_printf(out, "%s\n", problems->items[i].text);
	}
	if (problems->dropped == 0)
		return;
	if (source)
		bytes_printf(out, "%s:1: ", source_place_of(source, 0).file);
	bytes_printf(out, "%zu more problems\n", problems->dropped);
}

void problems_free(struct problems *problems)
{
	for (size_t i = 0; i < problems->count; i++)
		free(problems->items[i].text);
	free(problems->items);
	*problems = (struct problems){ 0 };
}
