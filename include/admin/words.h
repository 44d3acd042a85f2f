#ifndef POINTSMAN_ADMIN_WORDS_H
#define POINTSMAN_ADMIN_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * From the text of a query to the words of one console command. "db" and 'value' are quoted as in
 * SQL, with the quote doubled inside; a bare word is taken as it is, case included, and may have
 * the signs that names and values of settings have (`log.level`, `1.5h`, `my-db`). Comments count
 * as blanks.
 */

#define WORDS_MAX      10
#define WORDS_TEXT_MAX 1024

enum word_kind {
	WORD_PLAIN,
	WORD_IDENTIFIER, /* "..." */
	WORD_STRING,     /* '...' */
	WORD_SIGN,       /* one character: = ( ) , * ... */
};

struct words {
	size_t count;
	struct {
		uint8_t kind;    /* enum word_kind */
		uint16_t offset; /* into text */
	} list[WORDS_MAX];
	bool is_cut; /* there were more words, or longer ones, than any command has */
	char text[WORDS_TEXT_MAX];
	size_t used;
	const char *source; /* the statement in the query, without blanks around it */
	size_t source_length;
};

enum words_result {
	WORDS_STATEMENT,
	WORDS_END,          /* nothing more but blanks, comments and semicolons */
	WORDS_UNTERMINATED, /* a quote or comment without its end */
};

/*
 * Reads the next statement that has any words from *at, which moves behind its semicolon or, for
 * the other results, to the end.
 */
enum words_result words_next(const char **at, struct words *out);

/* The word's text; "" for one that is not there. */
const char *words_text(const struct words *words, size_t index);

/* Is it the bare word (in any case), or the sign? Never true for quoted words. */
bool words_is(const struct words *words, size_t index, const char *word);

#endif
