#ifndef POINTSMAN_SQL_HINT_H
#define POINTSMAN_SQL_HINT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"

/*
 * Hints: what a request asks for (docs/hints.md). The same keys come from comments, from SET
 * pointsman.KEY and from start-up options; this is the one place that knows their spelling.
 */

enum read_hint {
	READ_HINT_NONE,
	READ_HINT_PRIMARY,
	READ_HINT_REPLICA,
	READ_HINT_STALE_ALLOWED
};
enum consistency {
	CONSISTENCY_NONE,
	CONSISTENCY_SESSION,
	CONSISTENCY_EVENTUAL,
	CONSISTENCY_STRONG
};

#define HINT_ROUTE_MAX       64
#define HINT_TRACEPARENT_MAX 56

/* A value that is not in `set` is absent: the next weaker source decides. */
enum hint_key {
	HINT_READ_HINT,
	HINT_MAX_STALENESS,
	HINT_DEADLINE,
	HINT_ROUTE,
	HINT_CONSISTENCY,
	HINT_AFTER_LSN,
	HINT_TRACEPARENT,
	HINT_MIRROR,
	HINT_KEY_COUNT
};

struct hints {
	unsigned set; /* bit 1 << enum hint_key */
	enum read_hint read_hint;
	usec max_staleness;
	usec deadline;
	enum consistency consistency;
	unsigned long long after_lsn;
	bool mirror_off;
	char route[HINT_ROUTE_MAX];
	char traceparent[HINT_TRACEPARENT_MAX];
};

static inline bool hint_is_set(const struct hints *hints, enum hint_key key)
{
	return (hints->set & (1u << key)) != 0;
}

/* "read_hint", "max_staleness", ... */
const char *hint_key_name(enum hint_key key);
const char *read_hint_name(
	enum read_hint hint); /* "none", "primary", "replica", "stale-allowed" */
const char *consistency_name(enum consistency consistency);
bool read_hint_parse(const char *text, enum read_hint *out);
bool consistency_parse(const char *text, enum consistency *out);

/*
 * Sets one key from its text (trimmed, any case). false when the key is unknown or the value is
 * malformed; then `why_out` (at least 160 bytes) has a sentence and `hints` is unchanged.
 */
bool hint_set(struct hints *hints, const char *key, const char *value, char *why_out,
	      size_t why_size);

/* Forgets one key; false when there is no such key. */
bool hint_unset(struct hints *hints, const char *key);

/*
 * Reads the inside of one SQL comment (without its delimiters): `pointsman: key=value, ...`, the
 * sqlcommenter form `key='url-encoded',...`, and the header spellings `x-read-hint: primary`,
 * `x-db-route: tenant-a,read-preference=strong`. A comment that is none of these is not ours and
 * changes nothing. Malformed values are counted in the return value and the first one is
 * described in why_out; the good ones beside them are taken. (In the sqlcommenter form foreign
 * keys are normal and no error, and so is a `route` that is no tag: web frameworks use that key.)
 */
unsigned hint_read_comment(struct hints *hints, const char *text, size_t length, char *why_out,
			   size_t why_size);

/* Takes over from `weaker` every key that `hints` does not have. */
void hint_merge(struct hints *hints, const struct hints *weaker);

#endif
