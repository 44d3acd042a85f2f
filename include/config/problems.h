#ifndef POINTSMAN_CONFIG_PROBLEMS_H
#define POINTSMAN_CONFIG_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

/*
 * What is wrong with a configuration: collected while it is read, reported at the end in the
 * order of the lines. Zeroed memory is an empty one.
 */
struct problem {
	unsigned line; /* of the text that struct source holds; 0: of none */
	char *text;
};

struct problems {
	struct problem *items;
	size_t count;
	size_t capacity;
	size_t dropped; /* more than anybody reads, or no memory to keep them */
};

struct source;

/* Adds one. Never fails: what cannot be kept is counted. */
void problems_add(struct problems *problems, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

bool problems_exist(const struct problems *problems);

/*
 * Appends each as a line "file:line: text", or "text" alone when there is no source. What has no
 * line of its own is said of the first line.
 */
void problems_report(const struct problems *problems, const struct source *source,
		     struct bytes *out);

void problems_free(struct problems *problems);

#endif
