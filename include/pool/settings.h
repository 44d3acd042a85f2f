#ifndef POINTSMAN_POOL_SETTINGS_H
#define POINTSMAN_POOL_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/*
 * What a session has set: an immutable set of (name, statement that sets it), with a reference
 * count that any thread may change. A session and the servers that serve it hold sets;
 * what must be brought to a server is the difference between two of them. Immutable, so that the
 * start of a transaction or savepoint is remembered by keeping a pointer.
 *
 * NULL is the empty set: all settings as the server's own configuration, database and role have
 * them.
 */
struct settings;

struct settings *settings_ref(struct settings *set);
/* Sets the pointer to NULL; accepts NULL. */
void settings_unref(struct settings **set);

/*
 * A set that differs from `set` in one name: set by `statement` (which must be replayable on its
 * own: "SET x TO 1", "SELECT pg_catalog.set_config(...)"), or not set any more. `set` itself
 * stays as it is. Both return a reference of the caller's; *failed_out is set to true (never to
 * false) without memory, and then NULL comes back.
 */
struct settings *settings_with(struct settings *set, const char *name, const char *statement,
			       bool *failed_out);
struct settings *settings_without(struct settings *set, const char *name, bool *failed_out);

/* The statement for a name, or NULL. */
const char *settings_get(const struct settings *set, const char *name);

bool settings_are_equal(const struct settings *a, const struct settings *b);
size_t settings_count(const struct settings *set);

/*
 * A hash of what decides which objects names mean, and who may use them: search_path, role,
 * session_authorization. 0: none of them is set.
 */
uint64_t settings_context(const struct settings *set);

/* A text that is the same for equal sets and differs for others (for keys of maps). */
bool settings_key(const struct settings *set, struct bytes *out);

/*
 * Appends the SQL that turns a server with `from` into one with `to`: statements joined by ';'.
 * RESETs come first, role and session_authorization are left first and entered last, since they
 * decide what else may be set.
 */
bool settings_transition(const struct settings *from, const struct settings *to,
			 struct bytes *sql_out);

/*
 * The statement that sets `name` to the string `value` as a start-up option would:
 * SELECT pg_catalog.set_config('name', 'value', false), quoted.
 */
bool settings_statement(const char *name, const char *value, struct bytes *out);

#endif
