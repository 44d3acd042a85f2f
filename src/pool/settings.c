/*
 * Sets of session settings; see pool/settings.h. A set is one allocation: a header, the sorted
 * entries, the texts. Any thread may hold one.
 */
#include "pool/settings.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/panic.h"

struct entry {
	const char *name;
	const char *statement;
};

struct settings {
	atomic_int references;
	uint64_t hash; /* over all names and statements */
	uint64_t context;
	size_t count;
	struct entry entries[]; /* sorted by name; the texts follow in the same allocation */
};

struct settings *settings_ref(struct settings *set)
{
	if (set)
		atomic_fetch_add_explicit(&set->references, 1, memory_order_relaxed);
	return set;
}

void settings_unref(struct settings **set_pointer)
{
	struct settings *set = *set_pointer;

	*set_pointer = NULL;
	if (set && atomic_fetch_sub(&set->references, 1) == 1)
		free(set);
}

/* Index of `name`, or of where it belongs; *found_out says which. */
static size_t position(const struct settings *set, const char *name, bool *found_out)
{
	size_t low = 0;
	size_t high = set ? set->count : 0;

	*found_out = false;
	while (low < high) {
		size_t middle = (low + high) / 2;
		int order = strcmp(set->entries[middle].name, name);

		if (order == 0) {
			*found_out = true;
			return middle;
		}
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static char *put_text(char **at, const char *text)
{
	size_t size = strlen(text) + 1;
	char *where = *at;

	memcpy(where, text, size);
	*at += size;
	return where;
}

static uint64_t make_context(const struct settings *set)
{
	static const char *const names[] = { "search_path", "role", "session_authorization" };
	uint64_t context = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *statement = settings_get(set, names[i]);

		if (statement)
			context = XXH3_64bits_withSeed(statement, strlen(statement), context + i);
	}
	return context;
}

uint64_t settings_context(const struct settings *set)
{
	return set ? set->context : 0;
}

/* One allocation from `count` entries whose texts may belong to anybody. */
static struct settings *make(const struct entry *entries, size_t count)
{
	size_t size = sizeof(struct settings) + count * sizeof(struct entry);
	XXH64_hash_t hash = 0;
	struct settings *set;
	char *text;

	for (size_t i = 0; i < count; i++)
		size += strlen(entries[i].name) + strlen(entries[i].statement) + 2;
	set = malloc(size);
	if (!set)
		return NULL;
	atomic_init(&set->references, 1);
	set->count = count;
	text = (char *)&set->entries[count];
	for (size_t i = 0; i < count; i++) {
		set->entries[i].name = put_text(&text, entries[i].name);
		set->entries[i].statement = put_text(&text, entries[i].statement);
		hash = XXH3_64bits_withSeed(entries[i].name, strlen(entries[i].name), hash);
		hash = XXH3_64bits_withSeed(entries[i].statement, strlen(entries[i].statement),
					    hash);
	}
	set->hash = hash;
	set->context = make_context(set);
	return set;
}

/* `set` with entry `at` replaced, inserted or (statement NULL) left out. */
static struct settings *edited(const struct settings *set, size_t at, bool found,
			       const char *name, const char *statement, bool *failed_out)
{
	size_t count = set ? set->count : 0;
	struct entry *entries = calloc(count + 1, sizeof(*entries));
	struct settings *result = NULL;
	size_t n = 0;

	if (!entries) {
		*failed_out = true;
		return NULL;
	}
	for (size_t i = 0; i < at; i++)
		entries[n++] = set->entries[i];
	if (statement)
		entries[n++] = (struct entry){ name, statement };
	for (size_t i = at + (found ? 1 : 0); i < count; i++)
		entries[n++] = set->entries[i];
	if (n > 0) {
		result = make(entries, n);
		if (!result)
			*failed_out = true;
	}
	free(entries);
	return result;
}

struct settings *settings_with(struct settings *set, const char *name, const char *statement,
			       bool *failed_out)
{
	bool found;
	size_t at = position(set, name, &found);

	if (found && strcmp(set->entries[at].statement, statement) == 0)
		return settings_ref(set);
	return edited(set, at, found, name, statement, failed_out);
}

struct settings *settings_without(struct settings *set, const char *name, bool *failed_out)
{
	bool found;
	size_t at = position(set, name, &found);

	if (!found)
		return settings_ref(set);
	return edited(set, at, true, name, NULL, failed_out);
}

const char *settings_get(const struct settings *set, const char *name)
{
	bool found;
	size_t at = position(set, name, &found);

	return found ? set->entries[at].statement : NULL;
}

bool settings_are_equal(const struct settings *a, const struct settings *b)
{
	if (a == b)
		return true;
	if (!a || !b || a->hash != b->hash || a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (strcmp(a->entries[i].name, b->entries[i].name) != 0 ||
		    strcmp(a->entries[i].statement, b->entries[i].statement) != 0)
			return false;
	}
	return true;
}

size_t settings_count(const struct settings *set)
{
	return set ? set->count : 0;
}

bool settings_key(const struct settings *set, struct bytes *out)
{
	for (size_t i = 0; set && i < set->count; i++) {
		const struct entry *e = &set->entries[i];

		bytes_append(out, e->name, strlen(e->name) + 1);
		bytes_append(out, e->statement, strlen(e->statement) + 1);
	}
	return !out->failed;
}

/* --- transition --- */

static bool is_identity(const char *name)
{
	return strcmp(name, "role") == 0 || strcmp(name, "session_authorization") == 0;
}

static void append_reset(struct bytes *out, const char *name)
{
	if (strcmp(name, "session_authorization") == 0) {
		bytes_append_text(out, "RESET SESSION AUTHORIZATION;");
		return;
	}
	bytes_append_text(out, "RESET \"");
	/* A custom name ("app.user") is two identifiers to the grammar, each to be quoted. */
	for (const char *c = name; *c; c++)
		bytes_append_text(out, *c == '.'   ? "\".\""
				       : *c == '"' ? "\"\""
						   : (char[]){ *c, 0 });
	bytes_append_text(out, "\";");
}

/* Appends what sets `to`'s entry, when `from` does not have it just so. */
static void append_set(struct bytes *out, const struct settings *from, const struct entry *entry)
{
	const char *now = settings_get(from, entry->name);

	if (now && strcmp(now, entry->statement) == 0)
		return;
	/* One that names a style keeps the order of days and months that is there (or the other
	 * way round). */
	if (now && strcmp(entry->name, "datestyle") == 0)
		append_reset(out, entry->name);
	bytes_append_text(out, entry->statement);
	bytes_append_text(out, ";");
}

/*
 * Identities must be left before anything else when they change or end (what follows may need the
 * session user's rights), and when they stay but other things change, they are left and entered
 * again.
 */
static void append_identity(struct bytes *out, const struct settings *to, const char *name)
{
	const char *statement = settings_get(to, name);

	if (statement) {
		bytes_append_text(out, statement);
		bytes_append_text(out, ";");
	}
}

bool settings_transition(const struct settings *from, const struct settings *to,
			 struct bytes *sql_out)
{
	bool was_other =
		settings_get(from, "role") || settings_get(from, "session_authorization");

	if (was_other) {
		append_reset(sql_out, "session_authorization"); /* ends SET ROLE, too */
		bytes_append_text(sql_out, "RESET ROLE;");
	}
	for (size_t i = 0; from && i < from->count; i++) {
		const char *name = from->entries[i].name;

		if (!is_identity(name) && !settings_get(to, name))
			append_reset(sql_out, name);
	}
	for (size_t i = 0; to && i < to->count; i++) {
		if (!is_identity(to->entries[i].name))
			append_set(sql_out, from, &to->entries[i]);
	}
	append_identity(sql_out, to, "session_authorization");
	append_identity(sql_out, to, "role");
	return !sql_out->failed;
}

static void append_literal(struct bytes *out, const char *text)
{
	/* E'' whatever standard_conforming_strings is at the moment. */
	bytes_append_text(out, "E'");
	for (const char *c = text; *c; c++) {
		if (*c == '\'' || *c == '\\')
			bytes_append(out, c, 1);
		bytes_append(out, c, 1);
	}
	bytes_append_text(out, "'");
}

bool settings_statement(const char *name, const char *value, struct bytes *out)
{
	bytes_append_text(out, "SELECT pg_catalog.set_config(");
	append_literal(out, name);
	bytes_append_text(out, ", ");
	append_literal(out, value);
	bytes_append_text(out, ", false)");
	return !out->failed;
}
