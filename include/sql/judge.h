#ifndef POINTSMAN_SQL_JUDGE_H
#define POINTSMAN_SQL_JUDGE_H

#include <stddef.h>
#include <stdint.h>

#include "sql/hint.h"
#include "sql/verdict.h"

/*
 * The door to the sql layer: from the text of a request to its verdict and its hints, through a
 * cache keyed by the shape of the text (128-bit hash of its tokens without literals and
 * comments). A judge belongs to one worker thread; it is not shared.
 *
 *   text --lexer--> tokens --shape--> cache hit: verdict
 *                     |                 miss: shape --libpg_query--> tree --classify--> verdict
 *                     +--> comments --hint--> hints
 *
 * The verdict is a function of the shape alone. Where a literal matters (SET x = 'literal') it
 * is part of the shape, so effects are cached with their verdict.
 *
 * What is assumed of the session: standard_conforming_strings is on, and client_encoding is one
 * in which no byte below 0x80 is part of a longer character (not SJIS, BIG5, GBK, UHC, GB18030,
 * JOHAB). The caller must take texts of other sessions as `unknown`.
 */
struct judge;

struct judge_limits {
	/* Of the shape, which is what is parsed: long literals and lists do not count. Beyond the
	 * bounds a text is judged `unknown`, `too_large`. */
	size_t parse_bytes_max;
	size_t tokens_max;
	size_t nesting_max; /* open parentheses, brackets and CASEs, and operator chains */
	size_t cache_bytes_max;
};

/* Sensible bounds, as in proxy.conf.example. */
extern const struct judge_limits judge_default_limits;

struct judge_stats {
	uint64_t hits;
	uint64_t misses;
	uint64_t too_large;
	uint64_t parse_errors;
	size_t cache_entries;
	size_t cache_bytes;
};

/* NULL without memory. */
struct judge *judge_create(const struct judge_limits *limits);
void judge_destroy(struct judge **judge);

struct judgement {
	/* Never NULL; lives until the next call of judge_text() with this judge. */
	const struct verdict *verdict;
	/* What comments in the text ask for. */
	struct hints hints;
	unsigned bad_hints;     /* how many were malformed */
	char bad_hint_why[160]; /* the first of them */
	/* Hash of the shape, for SHOW SHAPES and logs: the same in every process. A text that is
	 * too_large has that of its beginning. */
	uint64_t shape[2];
	int was_cached;
};

/*
 * Judges one text, as it stands in a Query or Parse message. Without memory the verdict is
 * `unknown`: it always answers. `text` needs no terminator; a NUL byte ends it.
 */
void judge_text(struct judge *judge, const char *text, size_t length, struct judgement *out);

void judge_stats_get(const struct judge *judge, struct judge_stats *out);

/* Forgets all cached verdicts (the catalog changed), with the next call of judge_text(). */
void judge_forget(struct judge *judge);

#endif
