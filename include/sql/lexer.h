#ifndef POINTSMAN_SQL_LEXER_H
#define POINTSMAN_SQL_LEXER_H

#include <stdbool.h>
#include <stddef.h>

/*
 * PostgreSQL's lexical rules (src/backend/parser/scan.l, version 15, with
 * standard_conforming_strings on), by hand: one pass, no allocation, no copy. It does not know
 * keywords, does not decode escapes and does not judge: a text that the rules refuse (an
 * unterminated string, a letter right behind a number) becomes one TOKEN_BAD that reaches to the
 * end.
 */

enum token_kind {
	TOKEN_END,
	TOKEN_WORD,           /* identifier or keyword without quotes */
	TOKEN_QUOTED,         /* "identifier" */
	TOKEN_UNICODE_QUOTED, /* U&"identifier" */
	TOKEN_STRING,         /* '...', E'...', N'...' */
	TOKEN_UNICODE_STRING, /* U&'...' */
	TOKEN_DOLLAR_STRING,  /* $tag$...$tag$ */
	TOKEN_BIT_STRING,     /* B'...', X'...' */
	TOKEN_NUMBER,
	TOKEN_PARAM, /* $1 */
	TOKEN_OPERATOR,
	TOKEN_OPEN,  /* ( or [ */
	TOKEN_CLOSE, /* ) or ] */
	TOKEN_COMMA,
	TOKEN_DOT,
	TOKEN_SEMICOLON,
	TOKEN_COLON, /* : or :: or := or .. */
	TOKEN_BAD,   /* not SQL from here to the end */
};

/* The text of the token, quotes and prefixes included, points into the input. */
struct token {
	enum token_kind kind;
	bool is_continued; /* a string of several quoted pieces with white space between them */
	const char *at;
	size_t length;
};

/* Called for each comment with what is between its delimiters. */
typedef void lexer_comment_fn(void *context, const char *inside, size_t length);

struct lexer {
	const char *at;
	const char *end;
	lexer_comment_fn *on_comment; /* may be NULL */
	void *context;
};

/* `text` needs no terminator; a NUL byte ends it, as it does in a protocol message. */
void lexer_init(struct lexer *lexer, const char *text, size_t length,
		lexer_comment_fn *on_comment, void *context);

/* The next token; TOKEN_END again and again after the last. */
void lexer_next(struct lexer *lexer, struct token *out);

/*
 * The pieces of a string, prefix and quotes included, without what stands between them. *at is
 * NULL before the first; false after the last.
 */
bool lexer_next_piece(const struct token *string, const char **at, struct token *piece_out);

#endif
