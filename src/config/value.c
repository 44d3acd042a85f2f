/*
 * The values of options: each type's text, bounds and place in memory. Which options there are,
 * and where in a file their text was found, is known elsewhere.
 * Pure but for two things: ${NAME} reads the environment, a secret's file: reads that file.
 * Runs in the control thread, and in the command line's -t and -T.
 */
#include "config/value.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/panic.h"
#include "config/options.h"
#include "config/source.h"

#define SECRET_FILE   "file:"
#define STRINGS_MAX   1000
#define EXPANDED_MAX  65536
#define VARIABLE_SIZE 128
#define FRACTION_MAX  1000000 /* six digits */

struct unit {
	const char *name;
	int64_t factor;
};

/* Largest first, as they are tried for printing. The one for plain numbers has an empty name. */
static const struct unit duration_units[] = {
	{ "d", 86400 * USEC_PER_SEC }, { "h", 3600 * USEC_PER_SEC }, { "min", 60 * USEC_PER_SEC },
	{ "s", USEC_PER_SEC },         { "ms", USEC_PER_MS },        { "us", 1 },
	{ "", USEC_PER_SEC },
};

static const struct unit size_units[] = {
	{ "TB", (int64_t)1 << 40 }, { "GB", 1 << 30 }, { "MB", 1 << 20 },
	{ "kB", 1 << 10 },          { "B", 1 },        { "", 1 },
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static bool fail(char *why, size_t why_size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool fail(char *why, size_t why_size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(why, why_size, format, args);
	va_end(args);
	return false;
}

/* --- numbers with units --- */

static const char *skip_spaces(const char *text)
{
	while (isspace((unsigned char)*text))
		text++;
	return text;
}

/* The digits behind the point, in millionths. More than six would be dropped in silence. */
static bool read_fraction(const char **at, int64_t *millionths_out)
{
	int64_t place = FRACTION_MAX;

	*millionths_out = 0;
	if (**at != '.')
		return true;
	for (++*at; isdigit((unsigned char)**at); ++*at) {
		if (place == 1)
			return false;
		place /= 10;
		*millionths_out += (**at - '0') * place;
	}
	return place < FRACTION_MAX;
}

static bool find_factor(const char *name, const struct unit *units, size_t n_units,
			int64_t *factor_out)
{
	size_t length = strlen(name);

	while (length > 0 && isspace((unsigned char)name[length - 1]))
		length--;
	for (size_t i = 0; i < n_units; i++) {
		if (strlen(units[i].name) == length &&
		    strncasecmp(units[i].name, name, length) == 0) {
			*factor_out = units[i].factor;
			return true;
		}
	}
	return false;
}

static bool quantity_parse(const char *text, const struct unit *units, size_t n_units,
			   int64_t *out)
{
	const char *at = skip_spaces(text);
	int64_t whole = 0;
	int64_t millionths;
	int64_t factor;
	int64_t part;

	if (!isdigit((unsigned char)*at))
		return false;
	for (; isdigit((unsigned char)*at); at++) {
		if (__builtin_mul_overflow(whole, 10, &whole) ||
		    __builtin_add_overflow(whole, *at - '0', &whole))
			return false;
	}
	if (!read_fraction(&at, &millionths) ||
	    !find_factor(skip_spaces(at), units, n_units, &factor))
		return false;
	/* 999999 * 1 TB still fits */
	part = millionths * factor;
	if (part > 0 && part < FRACTION_MAX)
		return false; /* less than one microsecond or byte */
	return !__builtin_mul_overflow(whole, factor, &whole) &&
	       !__builtin_add_overflow(whole, part / FRACTION_MAX, out);
}

bool duration_parse(const char *text, int64_t *out)
{
	return quantity_parse(text, duration_units, COUNT_OF(duration_units), out);
}

bool size_parse(const char *text, int64_t *out)
{
	return quantity_parse(text, size_units, COUNT_OF(size_units), out);
}

static void quantity_format(int64_t value, const struct unit *units, struct bytes *out)
{
	if (value == 0) {
		bytes_append_text(out, "0");
		return;
	}
	while (value % units->factor != 0)
		units++;
	bytes_printf(out, "%lld%s", (long long)(value / units->factor), units->name);
}

void duration_format(int64_t duration, struct bytes *out)
{
	quantity_format(duration, duration_units, out);
}

void size_format(int64_t size, struct bytes *out)
{
	quantity_format(size, size_units, out);
}

/* --- the environment, and files for secrets --- */

static bool is_variable_name(const char *name, size_t length)
{
	if (length == 0 || length >= VARIABLE_SIZE || isdigit((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < length; i++) {
		if (!isalnum((unsigned char)name[i]) && name[i] != '_')
			return false;
	}
	return true;
}

/* `at` is behind "${"; gives the text behind the brace, or NULL. */
static const char *expand_variable(const char *at, struct bytes *out, char *why, size_t why_size)
{
	const char *close = strchr(at, '}');
	size_t length = close ? (size_t)(close - at) : 0;
	char name[VARIABLE_SIZE];
	const char *value;

	if (close == NULL || !is_variable_name(at, length)) {
		fail(why, why_size,
		     "\"${\" needs the name of an environment variable and \"}\" (\"$${\" stands "
		     "for \"${\" itself)");
		return NULL;
	}
	memcpy(name, at, length);
	name[length] = '\0';
	value = getenv(name);
	if (value == NULL) {
		fail(why, why_size, "the environment variable %s is not set", name);
		return NULL;
	}
	bytes_append_text(out, value);
	return close + 1;
}

bool value_expand(const char *text, struct bytes *out, char *why_out, size_t why_size)
{
	while (*text) {
		if (bytes_length(out) > EXPANDED_MAX)
			return fail(why_out, why_size, "the value is too long");
		if (strncmp(text, "$${", 3) == 0) {
			bytes_append(out, "${", 2);
			text += 3;
		} else if (strncmp(text, "${", 2) == 0) {
			text = expand_variable(text + 2, out, why_out, why_size);
			if (text == NULL)
				return false;
		} else {
			bytes_append(out, text++, 1);
		}
	}
	if (!bytes_append(out, "", 1))
		return fail(why_out, why_size, "%s", strerror(ENOMEM));
	return true;
}

/* The contents of a secret's file without the newline at its end, NUL-terminated. */
static bool read_secret_file(const char *name, const char *directory, size_t limit,
			     struct bytes *out, char *why, size_t why_size)
{
	char *path = source_path_join(directory, name);
	const char *error = path ? source_read_contents(path, limit + 2, out) : strerror(ENOMEM);
	bool ok = error == NULL;

	if (!ok)
		fail(why, why_size, "cannot read \"%s\": %s", path ? path : name, error);
	free(path);
	if (!ok)
		return false;
	if (bytes_length(out) > 0 && out->data[out->end - 1] == '\n')
		out->end--;
	if (bytes_length(out) > 0 && out->data[out->end - 1] == '\r')
		out->end--;
	return bytes_append(out, "", 1) || fail(why, why_size, "%s", strerror(ENOMEM));
}

/* --- one function for each type's text --- */

static void *field_of(const struct option *option, void *base)
{
	return (char *)base + option->offset;
}

static const void *field_in(const struct option *option, const void *base)
{
	return (const char *)base + option->offset;
}

static bool fail_bounds(const struct option *option, const char *text, char *why, size_t why_size)
{
	struct bytes bounds = { 0 };

	value_format_bounds(option, &bounds);
	bytes_append(&bounds, "", 1);
	fail(why, why_size, "\"%.60s\" is out of bounds: %s", text,
	     bounds.failed ? "?" : (const char *)bytes_begin(&bounds));
	bytes_free(&bounds);
	return false;
}

static bool parse_bool(const char *text, void *field)
{
	static const char *const words[][2] = {
		{ "true", "false" }, { "on", "off" }, { "yes", "no" }, { "1", "0" }
	};

	for (size_t i = 0; i < COUNT_OF(words); i++) {
		for (int off = 0; off < 2; off++) {
			if (strcasecmp(text, words[i][off]) == 0) {
				*(bool *)field = !off;
				return true;
			}
		}
	}
	return false;
}

static bool parse_integer(const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno == 0 && end != text && *skip_spaces(end) == '\0';
}

static bool parse_number(const struct option *option, const char *text, void *field, char *why,
			 size_t why_size)
{
	int64_t value;
	bool ok;

	if (option->type == OPTION_DURATION)
		ok = duration_parse(text, &value);
	else if (option->type == OPTION_SIZE)
		ok = size_parse(text, &value);
	else
		ok = parse_integer(text, &value);
	if (!ok && option->type == OPTION_INT)
		return fail(why, why_size, "\"%.60s\" is not a whole number", text);
	if (!ok)
		return fail(why, why_size, "\"%.60s\" is not a %s, such as %s", text,
			    option_type_name(option->type),
			    option->type == OPTION_SIZE ? "\"64kB\"" : "\"250ms\" or \"5s\"");
	if (value < option->min || value > option->max)
		return fail_bounds(option, text, why, why_size);
	if (option->type == OPTION_DURATION)
		*(usec *)field = value;
	else if (option->type == OPTION_SIZE)
		*(size_t *)field = (size_t)value;
	else
		*(int *)field = (int)value;
	return true;
}

static bool parse_word(const struct option *option, const char *text, void *field, char *why,
		       size_t why_size)
{
	const struct option_words *words = option->words;
	struct bytes all = { 0 };

	for (int value = 0; value < words->count; value++) {
		if (strcasecmp(words->word(value), text) == 0) {
			*(int *)field = value;
			return true;
		}
	}
	if (words->alias && strcasecmp(words->alias, text) == 0) {
		*(int *)field = words->alias_value;
		return true;
	}
	value_format_bounds(option, &all);
	bytes_append(&all, "", 1);
	fail(why, why_size, "\"%.60s\" is not one of %s", text,
	     all.failed ? "?" : (const char *)bytes_begin(&all));
	bytes_free(&all);
	return false;
}

/* Length and characters of a string; a secret is not repeated in the message. */
static bool check_string(const struct option *option, const char *text, char *why,
			 size_t why_size)
{
	size_t length = strlen(text);

	for (size_t i = 0; i < length; i++) {
		if (iscntrl((unsigned char)text[i]))
			return fail(why, why_size, "the value has a control character");
	}
	if ((int64_t)length < option->min)
		return fail(why, why_size, "the value is empty");
	if ((int64_t)length > option->max)
		return fail(why, why_size, "the value is longer than %lld bytes",
			    (long long)option->max);
	return true;
}

static bool store_string(const struct option *option, const char *text,
			 const struct value_context *context, void *field, char *why,
			 size_t why_size)
{
	char *copy;

	if (!check_string(option, text, why, why_size))
		return false;
	copy = arena_copy_string(context->arena, text);
	if (copy == NULL)
		return fail(why, why_size, "%s", strerror(ENOMEM));
	*(const char **)field = copy;
	return true;
}

static bool parse_path(const struct option *option, const char *text,
		       const struct value_context *context, void *field, char *why,
		       size_t why_size)
{
	char *path;
	bool ok;

	if (text[0] == '\0')
		return store_string(option, text, context, field, why, why_size);
	path = source_path_join(context->directory, text);
	if (path == NULL)
		return fail(why, why_size, "%s", strerror(ENOMEM));
	ok = store_string(option, path, context, field, why, why_size);
	free(path);
	return ok;
}

static bool parse_secret(const struct option *option, const char *text,
			 const struct value_context *context, void *field, char *why,
			 size_t why_size)
{
	struct bytes contents = { 0 };
	bool ok;

	if (strncmp(text, SECRET_FILE, strlen(SECRET_FILE)) != 0)
		return store_string(option, text, context, field, why, why_size);
	ok = read_secret_file(text + strlen(SECRET_FILE), context->directory, (size_t)option->max,
			      &contents, why, why_size) &&
	     store_string(option, (const char *)bytes_begin(&contents), context, field, why,
			  why_size);
	bytes_free(&contents);
	return ok;
}

/* The next member of "a, b, c" with spaces around it dropped; NULL at the end. */
static char *next_member(char **rest)
{
	char *member = strsep(rest, ",");
	size_t length;

	if (member == NULL)
		return NULL;
	while (isspace((unsigned char)*member))
		member++;
	length = strlen(member);
	while (length > 0 && isspace((unsigned char)member[length - 1]))
		member[--length] = '\0';
	return member;
}

static bool parse_list(const struct option *option, const char *text,
		       const struct value_context *context, void *base, char *why,
		       size_t why_size)
{
	const char *members[STRINGS_MAX];
	size_t count = 0;
	char *rest = arena_copy_string(context->arena, text);

	if (rest == NULL)
		return fail(why, why_size, "%s", strerror(ENOMEM));
	if (*skip_spaces(rest) == '\0')
		return value_parse_strings(option, NULL, 0, context, base, why, why_size);
	while (rest && count < STRINGS_MAX)
		members[count++] = next_member(&rest);
	if (rest)
		return fail(why, why_size, "more than %d members", STRINGS_MAX);
	return value_parse_strings(option, members, count, context, base, why, why_size);
}

bool value_parse_strings(const struct option *option, const char *const *texts, size_t count,
			 const struct value_context *context, void *base, char *why_out,
			 size_t why_size)
{
	const char **list;

	for (size_t i = 0; i < count; i++) {
		if (!check_string(option, texts[i], why_out, why_size))
			return false;
	}
	list = arena_alloc(context->arena, (count + 1) * sizeof(*list));
	if (list == NULL)
		return fail(why_out, why_size, "%s", strerror(ENOMEM));
	for (size_t i = 0; i < count; i++)
		list[i] = texts[i];
	list[count] = NULL;
	*(const char ***)field_of(option, base) = list;
	*(size_t *)(void *)((char *)base + option->count_offset) = count;
	return true;
}

bool value_parse(const struct option *option, const char *text,
		 const struct value_context *context, void *base, char *why_out, size_t why_size)
{
	void *field = field_of(option, base);

	switch (option->type) {
	case OPTION_BOOL:
		return parse_bool(text, field) ||
		       fail(why_out, why_size, "\"%.60s\" is neither true nor false", text);
	case OPTION_INT:
	case OPTION_DURATION:
	case OPTION_SIZE: return parse_number(option, text, field, why_out, why_size);
	case OPTION_ENUM: return parse_word(option, text, field, why_out, why_size);
	case OPTION_STRING: return store_string(option, text, context, field, why_out, why_size);
	case OPTION_PATH: return parse_path(option, text, context, field, why_out, why_size);
	case OPTION_SECRET: return parse_secret(option, text, context, field, why_out, why_size);
	case OPTION_STRINGS: return parse_list(option, text, context, base, why_out, why_size);
	case OPTION_TYPE_COUNT: break;
	}
	UNREACHABLE();
}

static void unset(const struct option *option, void *base)
{
	switch (option->type) {
	case OPTION_INT:
	case OPTION_ENUM: *(int *)field_of(option, base) = -1; break;
	case OPTION_DURATION: *(usec *)field_of(option, base) = -1; break;
	case OPTION_STRING:
	case OPTION_PATH:
	case OPTION_SECRET: *(const char **)field_of(option, base) = NULL; break;
	default: UNREACHABLE(); /* no value of these could say so */
	}
}

bool value_set_default(const struct option *option, const struct value_context *context,
		       void *base)
{
	char why[VALUE_WHY_SIZE];

	if (option->flags & OPTION_NULL)
		unset(option, base);
	/* required and inherited ones: the struct was zeroed */
	if (option->default_value == NULL)
		return true;
	return value_parse(option, option->default_value, context, base, why, sizeof(why));
}

/* --- to text --- */

bool value_is_null(const struct option *option, const void *base)
{
	switch (option->type) {
	case OPTION_STRING:
	case OPTION_PATH:
	case OPTION_SECRET: return *(const char *const *)field_in(option, base) == NULL;
	case OPTION_INT:
	case OPTION_ENUM:
		return option->flags & OPTION_NULL && *(const int *)field_in(option, base) == -1;
	case OPTION_DURATION:
		return option->flags & OPTION_NULL && *(const usec *)field_in(option, base) == -1;
	default: return false;
	}
}

static const char *const *strings_of(const struct option *option, const void *base,
				     size_t *count_out)
{
	*count_out = *(const size_t *)(const void *)((const char *)base + option->count_offset);
	return *(const char *const *const *)field_in(option, base);
}

static void format_list(const struct option *option, const void *base, struct bytes *out)
{
	size_t count;
	const char *const *list = strings_of(option, base, &count);

	for (size_t i = 0; i < count; i++)
		bytes_printf(out, "%s%s", i ? ", " : "", list[i]);
}

void value_format(const struct option *option, const void *base, struct bytes *out)
{
	const void *field = field_in(option, base);

	if (value_is_null(option, base))
		return;
	switch (option->type) {
	case OPTION_BOOL: bytes_append_text(out, *(const bool *)field ? "true" : "false"); break;
	case OPTION_INT: bytes_printf(out, "%d", *(const int *)field); break;
	case OPTION_DURATION: duration_format(*(const usec *)field, out); break;
	case OPTION_SIZE: size_format((int64_t) * (const size_t *)field, out); break;
	case OPTION_ENUM: bytes_append_text(out, option->words->word(*(const int *)field)); break;
	case OPTION_STRING:
	case OPTION_PATH: bytes_append_text(out, *(const char *const *)field); break;
	case OPTION_SECRET:
		bytes_append_text(out, **(const char *const *)field ? "***" : "");
		break;
	case OPTION_STRINGS: format_list(option, base, out); break;
	case OPTION_TYPE_COUNT: UNREACHABLE();
	}
}

/* A string as libconfig reads it, and so that value_expand() gives it back. */
static void append_quoted(const char *text, struct bytes *out)
{
	bytes_append_text(out, "\"");
	for (; *text; text++) {
		if (strncmp(text, "${", 2) == 0)
			bytes_append_text(out, "$");
		if (*text == '"' || *text == '\\')
			bytes_append_text(out, "\\");
		bytes_append(out, text, 1);
	}
	bytes_append_text(out, "\"");
}

void value_format_quoted(const struct option *option, const void *base, struct bytes *out)
{
	struct bytes plain = { 0 };
	size_t count;
	const char *const *list;

	if (option->type == OPTION_BOOL || option->type == OPTION_INT) {
		value_format(option, base, out);
		return;
	}
	if (option->type == OPTION_STRINGS) {
		list = strings_of(option, base, &count);
		bytes_append_text(out, "(");
		for (size_t i = 0; i < count; i++) {
			bytes_append_text(out, i ? ", " : "");
			append_quoted(list[i], out);
		}
		bytes_append_text(out, ")");
		return;
	}
	value_format(option, base, &plain);
	if (bytes_append(&plain, "", 1))
		append_quoted((const char *)bytes_begin(&plain), out);
	else
		out->failed = true;
	bytes_free(&plain);
}

void value_format_bounds(const struct option *option, struct bytes *out)
{
	switch (option->type) {
	case OPTION_BOOL: bytes_append_text(out, "true, false"); break;
	case OPTION_INT:
		bytes_printf(out, "%lld to %lld", (long long)option->min, (long long)option->max);
		break;
	case OPTION_DURATION:
		duration_format(option->min, out);
		bytes_append_text(out, " to ");
		duration_format(option->max, out);
		break;
	case OPTION_SIZE:
		size_format(option->min, out);
		bytes_append_text(out, " to ");
		size_format(option->max, out);
		break;
	case OPTION_ENUM:
		for (int value = 0; value < option->words->count; value++)
			bytes_printf(out, "%s%s", value ? ", " : "", option->words->word(value));
		break;
	case OPTION_STRING:
	case OPTION_PATH:
	case OPTION_SECRET:
	case OPTION_STRINGS:
		bytes_printf(out, "%lld to %lld bytes", (long long)option->min,
			     (long long)option->max);
		break;
	case OPTION_TYPE_COUNT: UNREACHABLE();
	}
}

/* --- from one struct to another --- */

static bool copy_string(const char **to, const char *from, struct arena *arena)
{
	const char *copy = from ? arena_copy_string(arena, from) : NULL;

	if (from && copy == NULL)
		return false;
	*to = copy;
	return true;
}

static bool copy_list(const struct option *to, void *to_base, const struct option *from,
		      const void *from_base, struct arena *arena)
{
	size_t count;
	const char *const *list = strings_of(from, from_base, &count);
	const char **copy = arena_zalloc(arena, (count + 1) * sizeof(*copy));

	if (copy == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (!copy_string(&copy[i], list[i], arena))
			return false;
	}
	*(const char ***)field_of(to, to_base) = copy;
	*(size_t *)(void *)((char *)to_base + to->count_offset) = count;
	return true;
}

bool value_copy(const struct option *to, void *to_base, const struct option *from,
		const void *from_base, struct arena *arena)
{
	void *target = field_of(to, to_base);
	const void *value = field_in(from, from_base);

	ASSERT(to->type == from->type);
	switch (to->type) {
	case OPTION_BOOL: *(bool *)target = *(const bool *)value; return true;
	case OPTION_INT:
	case OPTION_ENUM: *(int *)target = *(const int *)value; return true;
	case OPTION_DURATION: *(usec *)target = *(const usec *)value; return true;
	case OPTION_SIZE: *(size_t *)target = *(const size_t *)value; return true;
	case OPTION_STRING:
	case OPTION_PATH:
	case OPTION_SECRET:
		return copy_string((const char **)target, *(const char *const *)value, arena);
	case OPTION_STRINGS: return copy_list(to, to_base, from, from_base, arena);
	case OPTION_TYPE_COUNT: break;
	}
	UNREACHABLE();
}

static bool strings_equal(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

static bool lists_equal(const struct option *option, const void *a, const void *b)
{
	size_t n_a, n_b;
	const char *const *list_a = strings_of(option, a, &n_a);
	const char *const *list_b = strings_of(option, b, &n_b);
	size_t same = 0;

	while (same < n_a && same < n_b && strings_equal(list_a[same], list_b[same]))
		same++;
	return same == n_a && same == n_b;
}

bool value_equal(const struct option *option, const void *a, const void *b)
{
	const void *value_a = field_in(option, a);
	const void *value_b = field_in(option, b);

	switch (option->type) {
	case OPTION_BOOL: return *(const bool *)value_a == *(const bool *)value_b;
	case OPTION_INT:
	case OPTION_ENUM: return *(const int *)value_a == *(const int *)value_b;
	case OPTION_DURATION: return *(const usec *)value_a == *(const usec *)value_b;
	case OPTION_SIZE: return *(const size_t *)value_a == *(const size_t *)value_b;
	case OPTION_STRING:
	case OPTION_PATH:
	case OPTION_SECRET:
		return strings_equal(*(const char *const *)value_a,
				     *(const char *const *)value_b);
	case OPTION_STRINGS: return lists_equal(option, a, b);
	case OPTION_TYPE_COUNT: break;
	}
	UNREACHABLE();
}
