#ifndef POINTSMAN_CONFIG_VALUE_H
#define POINTSMAN_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/bytes.h"

struct option;

/*
 * The value of one option: from text, to text, from one struct to another. `base` is always the
 * struct that the option's section fills.
 */

/* Room for a sentence on what is wrong with a value. */
#define VALUE_WHY_SIZE 320

/* Where strings go, and where relative paths begin. */
struct value_context {
	struct arena *arena;
	const char *directory;
};

/*
 * Sets the option from text: "250ms", "64kB", "on", "replica"; a list is separated by commas.
 * false: the struct is unchanged and why_out has a sentence.
 */
bool value_parse(const struct option *option, const char *text,
		 const struct value_context *context, void *base, char *why_out, size_t why_size);

/* Sets a list of strings from its members; each must outlive `context->arena` or lie in it. */
bool value_parse_strings(const struct option *option, const char *const *texts, size_t count,
			 const struct value_context *context, void *base, char *why_out,
			 size_t why_size);

/* Sets the default that the table has. false: no memory. */
bool value_set_default(const struct option *option, const struct value_context *context,
		       void *base);

/* Appends the value as value_parse() reads it: nothing for NULL, "***" for a secret. */
void value_format(const struct option *option, const void *base, struct bytes *out);

/* Appends it as the configuration file has it; NULL is "". */
void value_format_quoted(const struct option *option, const void *base, struct bytes *out);

/* Has it no value (OPTION_NULL, or a string that is NULL)? Then there is nothing to print. */
bool value_is_null(const struct option *option, const void *base);

/*
 * Copies the value from one struct to another, strings into the arena. The two options may be of
 * different sections, but have one type. false: no memory.
 */
bool value_copy(const struct option *to, void *to_base, const struct option *from,
		const void *from_base, struct arena *arena);

bool value_equal(const struct option *option, const void *a, const void *b);

/* "0 to 1h", "1 to 63 bytes", "info, warn"; for messages and documentation. */
void value_format_bounds(const struct option *option, struct bytes *out);

/*
 * Replaces each ${NAME} by that environment variable; "$${" stands for "${" itself. The result is
 * NUL-terminated. false: why_out says which variable is missing.
 */
bool value_expand(const char *text, struct bytes *out, char *why_out, size_t why_size);

/*
 * Durations in us: "250ms", "1.5 h", units us ms s min h d; a plain number is in seconds. Sizes
 * in bytes: "64kB", units B kB MB GB TB; a plain number is in bytes. Units in any case. false:
 * not such a text, or too large.
 */
bool duration_parse(const char *text, int64_t *out);
bool size_parse(const char *text, int64_t *out);

/* In the largest unit that needs no fraction. */
void duration_format(int64_t duration, struct bytes *out);
void size_format(int64_t size, struct bytes *out);

#endif
