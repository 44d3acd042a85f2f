#ifndef POINTSMAN_SQL_NAMES_H
#define POINTSMAN_SQL_NAMES_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Where a text names prepared statements: PREPARE, EXECUTE (also in EXPLAIN and CREATE TABLE AS)
 * and DEALLOCATE. The parse tree says that they are there, but not where; this finds the tokens.
 * Pure.
 */
enum name_use_kind {
	NAME_PREPARE,
	NAME_EXECUTE,
	NAME_DEALLOCATE, /* of one; ALL names nothing */
};

/* Offsets are bytes from the beginning of the text. */
struct name_use {
	enum name_use_kind kind;
	unsigned statement; /* which of the text's statements, counted from 0 */
	size_t at;          /* the name's token, quotes included */
	size_t length;
	/* Of PREPARE: what follows the name, "(types) AS query"; and the query alone. */
	size_t tail_at;
	size_t body_at;
	size_t end;
};

/*
 * Writes the first `max` uses, in the order of the text, and returns how many there are. Right
 * for texts that PostgreSQL's grammar takes; of others it may find more or fewer.
 */
size_t names_find(const char *text, size_t length, struct name_use *uses_out, size_t max);

#define NAME_BYTES_MAX 64 /* NAMEDATALEN, with the terminator */

/*
 * The name that a token stands for: in lower case, or without its quotes; cut as PostgreSQL cuts
 * it (at a character's boundary in UTF-8). false: it is spelled in a way that is not read
 * (U&"...").
 */
bool names_fold(const char *token, size_t length, char out[NAME_BYTES_MAX]);

#endif
