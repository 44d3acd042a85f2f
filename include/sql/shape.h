#ifndef POINTSMAN_SQL_SHAPE_H
#define POINTSMAN_SQL_SHAPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql/lexer.h"

/*
 * The shape of a text: its tokens written out again in one spelling. White space is one blank or
 * none, comments are gone, words are in lower case. In statements whose verdict no literal can
 * change, strings become '' and numbers 1, equal neighbours in IN (...), ARRAY[...] and among the
 * rows of VALUES are written once; parameters stay, except inside such lists. Literals stay in
 * all other statements (SET, EXPLAIN, COPY, PREPARE ...) and in the arguments of set_config and
 * current_setting.
 *
 * The shape is SQL itself: it is what is parsed, so that a verdict depends on the shape alone,
 * and equal shapes have equal verdicts by construction.
 */
struct shape {
	const char *text; /* in the caller's buffer, NUL-terminated */
	size_t length;
	uint64_t hash[2];
	/* A bound was met: text is only the beginning and must not be parsed or compared. */
	bool is_too_large;
	/* If it cannot be judged, it must be taken to leave state in the session ... */
	bool has_state_if_unread;  /* ... because a bound was met */
	bool has_state_if_refused; /* ... because our grammar refused it, a newer server may not
				    */
};

struct shape_limits {
	size_t bytes_max;   /* of the shape; at most SHAPE_BYTES_CAP */
	size_t tokens_max;  /* of the shape */
	size_t nesting_max; /* parentheses, brackets, CASEs, and chains of operators at all open
			       levels; at most SHAPE_NESTING_CAP */
};

#define SHAPE_BYTES_CAP    ((size_t)1 << 30)
#define SHAPE_NESTING_CAP  512
#define SHAPE_BUFFER_EXTRA 128 /* what the buffer must hold besides bytes_max */

/*
 * Writes the shape of `text` into `buffer` (limits->bytes_max + SHAPE_BUFFER_EXTRA bytes).
 * Comments go to on_comment (may be NULL). Takes time in proportion to the text, and for a text
 * of many tokens to a multiple of tokens_max. No allocation.
 */
void shape_make(const struct shape_limits *limits, const char *text, size_t length, char *buffer,
		lexer_comment_fn *on_comment, void *context, struct shape *out);

#endif
