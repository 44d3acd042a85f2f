#ifndef POINTSMAN_SQL_WORDS_H
#define POINTSMAN_SQL_WORDS_H

#include <stddef.h>

/* Internal to sql/shape: the few words that the shape must know. */

enum word {
	WORD_OTHER,
	WORD_AND,
	WORD_OR,
	WORD_BETWEEN,
	WORD_CASE,
	WORD_END,
	WORD_IN,
	WORD_ARRAY,
	WORD_VALUES,
	WORD_DEEPENS,     /* NOT, IS, COLLATE ...: an operator to the parser */
	WORD_CHAINS,      /* JOIN, UNION ...: a chain that no comma ends */
	WORD_BEFORE_TEMP, /* CREATE, INTO, ...: TEMP behind it makes a temporary relation */
	WORD_TEMP,
	WORD_UESCAPE, /* its string is not a value */
	/* Functions, from here on: */
	WORD_CURRENT_SETTING,  /* its argument decides the verdict */
	WORD_SET_CONFIG,       /* so do its arguments, and it leaves state in the session */
	WORD_SESSION_FUNCTION, /* leaves state in the session */
};

/* Words outside these lengths are WORD_OTHER. */
#define WORD_LENGTH_MIN 2
#define WORD_LENGTH_MAX 27

/* `word` in lower case. */
enum word word_of(const char *word, size_t length);

/* What is known of a statement from its first word; a sum of these. */
enum lead {
	LEAD_STRIPS = 1, /* no literal in it can change the verdict or an effect */
	LEAD_STATELESS =
		2,     /* leaves nothing in the session, unless by a word or function above */
	LEAD_PINS = 4, /* leaves something even if only a newer server understands it */
};

unsigned lead_of(const char *word, size_t length);

#endif
