/*
 * SQL text to tokens, as PostgreSQL's flex scanner would cut them. Each rule names the one of
 * scan.l that it follows. It does not fold, decode or judge. Pure; any thread.
 *
 * A byte with the high bit set is a letter, whatever the encoding: PostgreSQL's rule too.
 */
#include "sql/lexer.h"

#include <stdint.h>
#include <string.h>

enum {
	IS_SPACE = 1, /* [ \t\n\r\f] */
	IS_START = 2, /* ident_start */
	IS_CONT = 4,  /* ident_cont */
	IS_DIGIT = 8,
	IS_OP = 16, /* op_chars */
	IS_NEWLINE = 32,
	IS_TAG = 64, /* dolq_cont */
};

#define LETTER (IS_START | IS_CONT | IS_TAG)
#define DIGIT  (IS_DIGIT | IS_CONT | IS_TAG)

static const uint8_t classes[256] = {
	[' '] = IS_SPACE,
	['\t'] = IS_SPACE,
	['\f'] = IS_SPACE,
	['\n'] = IS_SPACE | IS_NEWLINE,
	['\r'] = IS_SPACE | IS_NEWLINE,
	['0' ... '9'] = DIGIT,
	['A' ... 'Z'] = LETTER,
	['a' ... 'z'] = LETTER,
	['_'] = LETTER,
	[0x80 ... 0xff] = LETTER,
	['$'] = IS_CONT,
	['~'] = IS_OP,
	['!'] = IS_OP,
	['@'] = IS_OP,
	['#'] = IS_OP,
	['^'] = IS_OP,
	['&'] = IS_OP,
	['|'] = IS_OP,
	['`'] = IS_OP,
	['?'] = IS_OP,
	['+'] = IS_OP,
	['-'] = IS_OP,
	['*'] = IS_OP,
	['/'] = IS_OP,
	['%'] = IS_OP,
	['<'] = IS_OP,
	['>'] = IS_OP,
	['='] = IS_OP,
};

static inline bool is(const char *at, unsigned class)
{
	return (classes[(uint8_t)*at] & class) != 0;
}

static inline bool starts(const char *at, const char *end, char first, char second)
{
	return end - at >= 2 && at[0] == first && at[1] == second;
}

static inline void comment_found(const struct lexer *lexer, const char *from, const char *to)
{
	if (lexer->on_comment)
		lexer->on_comment(lexer->context, from, (size_t)(to - from));
}

/* `--` to the end of the line; returns where the line ends. */
static const char *skip_line_comment(const struct lexer *lexer, const char *at, bool report)
{
	const char *p = at + 2;

	while (p < lexer->end && !is(p, IS_NEWLINE))
		p++;
	if (report)
		comment_found(lexer, at + 2, p);
	return p;
}

/* Nested block comment; NULL when it does not end. */
static const char *skip_block_comment(const struct lexer *lexer, const char *at)
{
	const char *p = at + 2;
	const char *opened = p; /* the star of an opener cannot close: slash star slash is open */
	size_t depth = 1;

	while (p < lexer->end && (p = memchr(p, '/', (size_t)(lexer->end - p)))) {
		if (p > opened && p[-1] == '*') {
			if (--depth == 0) {
				comment_found(lexer, at + 2, p - 1);
				return p + 1;
			}
			opened = ++p;
		} else if (starts(p, lexer->end, '/', '*')) {
			depth++;
			opened = p += 2;
		} else {
			p++;
		}
	}
	return NULL;
}

/* Moves behind white space and comments; false at a comment that does not end. */
static bool skip_space(struct lexer *lexer)
{
	const char *p = lexer->at;
	bool is_closed = true;

	while (p < lexer->end && is_closed) {
		if (is(p, IS_SPACE)) {
			p++;
		} else if (starts(p, lexer->end, '-', '-')) {
			p = skip_line_comment(lexer, p, true);
		} else if (starts(p, lexer->end, '/', '*')) {
			const char *behind = skip_block_comment(lexer, p);

			is_closed = behind != NULL;
			p = behind ? behind : p;
		} else {
			break;
		}
	}
	lexer->at = p;
	return is_closed;
}

/*
 * quotecontinue: a string goes on behind white space with a newline in it and `--` comments.
 * Returns the quote that resumes it, or NULL.
 */
static const char *find_continuation(const struct lexer *lexer, const char *at, bool report)
{
	const char *p = at;
	bool newline = false;

	while (p < lexer->end) {
		if (is(p, IS_SPACE)) {
			newline |= is(p, IS_NEWLINE);
			p++;
		} else if (starts(p, lexer->end, '-', '-')) {
			p = skip_line_comment(lexer, p, report);
			/* special_whitespace wants a newline behind each comment. */
			if (p >= lexer->end)
				return NULL;
		} else {
			break;
		}
	}
	if (p >= lexer->end || *p != '\'' || !newline)
		return NULL;
	return p;
}

enum string_rule {
	STRING_PLAIN,
	STRING_ESCAPES,
	STRING_BITS
};

/* From behind the opening quote to behind the closing one; NULL when there is none. */
static const char *scan_segment(const struct lexer *lexer, const char *p, enum string_rule rule)
{
	if (rule == STRING_ESCAPES) {
		for (; p < lexer->end; p++) {
			if (*p == '\\' && p + 1 < lexer->end)
				p++;
			else if (*p == '\'' && !starts(p, lexer->end, '\'', '\''))
				return p + 1;
			else if (*p == '\'')
				p++;
		}
		return NULL;
	}
	while (p < lexer->end && (p = memchr(p, '\'', (size_t)(lexer->end - p)))) {
		if (rule == STRING_BITS || !starts(p, lexer->end, '\'', '\''))
			return p + 1;
		p += 2;
	}
	return NULL;
}

/* A whole string with its continuations; `at` is behind the first quote. */
static const char *scan_string(const struct lexer *lexer, const char *at, enum string_rule rule,
			       bool *continued_out)
{
	const char *p = at;

	*continued_out = false;
	for (;;) {
		const char *next;

		p = scan_segment(lexer, p, rule);
		if (!p || p >= lexer->end || !(is(p, IS_SPACE) || *p == '-'))
			return p;
		next = find_continuation(lexer, p, false);
		if (!next)
			return p;
		find_continuation(lexer, p, true); /* again, now that its comments count */
		*continued_out = true;
		p = next + 1;
	}
}

/* "..." from behind the opening quote. */
static const char *scan_quoted(const struct lexer *lexer, const char *p)
{
	while (p < lexer->end && (p = memchr(p, '"', (size_t)(lexer->end - p)))) {
		if (!starts(p, lexer->end, '"', '"'))
			return p + 1;
		p += 2;
	}
	return NULL;
}

static void take(struct lexer *lexer, struct token *out, enum token_kind kind, const char *to)
{
	if (!to) {
		kind = TOKEN_BAD;
		to = lexer->end;
	}
	out->kind = kind;
	out->is_continued = false;
	out->at = lexer->at;
	out->length = (size_t)(to - lexer->at);
	lexer->at = to;
}

/* A string whose first quote stands `prefix` bytes behind its beginning. */
static void take_string(struct lexer *lexer, struct token *out, enum token_kind kind,
			size_t prefix, enum string_rule rule)
{
	bool is_continued;

	take(lexer, out, kind, scan_string(lexer, lexer->at + prefix + 1, rule, &is_continued));
	out->is_continued = is_continued;
}

/* One letter that may be the prefix of a literal: b x n e u. false: it is a word. */
static bool take_prefixed(struct lexer *lexer, struct token *out)
{
	const char *p = lexer->at;
	char prefix = (char)(*p | 0x20);

	if (p + 1 >= lexer->end)
		return false;
	if (p[1] == '\'') {
		if (prefix == 'e')
			take_string(lexer, out, TOKEN_STRING, 1, STRING_ESCAPES);
		else if (prefix == 'n')
			take_string(lexer, out, TOKEN_STRING, 1, STRING_PLAIN);
		else if (prefix == 'b' || prefix == 'x')
			take_string(lexer, out, TOKEN_BIT_STRING, 1, STRING_BITS);
		else
			return false;
		return true;
	}
	if (prefix != 'u' || p[1] != '&' || p + 2 >= lexer->end)
		return false;
	if (p[2] == '"')
		take(lexer, out, TOKEN_UNICODE_QUOTED, scan_quoted(lexer, p + 3));
	else if (p[2] == '\'')
		take_string(lexer, out, TOKEN_UNICODE_STRING, 2, STRING_PLAIN);
	else
		return false;
	return true;
}

static void take_word(struct lexer *lexer, struct token *out)
{
	const char *p = lexer->at + 1;

	while (p < lexer->end && is(p, IS_CONT))
		p++;
	take(lexer, out, TOKEN_WORD, p);
}

/* integer, numeric, real and the *_junk and *fail rules, which are errors. */
static void take_number(struct lexer *lexer, struct token *out)
{
	const char *p = lexer->at;
	const char *end = lexer->end;

	while (p < end && is(p, IS_DIGIT))
		p++;
	if (p < end && *p == '.' && !starts(p, end, '.', '.')) {
		p++;
		while (p < end && is(p, IS_DIGIT))
			p++;
	}
	if (p < end && (*p == 'e' || *p == 'E')) {
		const char *exponent = p + 1;

		if (exponent < end && (*exponent == '+' || *exponent == '-'))
			exponent++;
		if (exponent < end && is(exponent, IS_DIGIT)) {
			p = exponent;
			while (p < end && is(p, IS_DIGIT))
				p++;
		}
	}
	if (p < end && is(p, IS_START))
		p = NULL;
	take(lexer, out, TOKEN_NUMBER, p);
}

/* $1, $tag$...$tag$; any other dollar is an error. */
static void take_dollar(struct lexer *lexer, struct token *out)
{
	const char *at = lexer->at;
	const char *end = lexer->end;
	const char *p = at + 1;
	size_t tag;

	if (p < end && is(p, IS_DIGIT)) {
		while (p < end && is(p, IS_DIGIT))
			p++;
		take(lexer, out, TOKEN_PARAM, p < end && is(p, IS_START) ? NULL : p);
		return;
	}
	if (p < end && is(p, IS_START)) {
		while (p < end && is(p, IS_TAG))
			p++;
	}
	if (p >= end || *p != '$') {
		take(lexer, out, TOKEN_BAD, NULL);
		return;
	}
	tag = (size_t)(p + 1 - at);
	p = memmem(p + 1, (size_t)(end - p - 1), at, tag);
	take(lexer, out, TOKEN_DOLLAR_STRING, p ? p + tag : NULL);
}

/*
 * operator: the longest run of op_chars that no comment begins in; then a trailing + or - is
 * given back unless one of the characters that SQL does not use is in it.
 */
static void take_operator(struct lexer *lexer, struct token *out)
{
	const char *at = lexer->at;
	const char *p = at;
	bool is_special = false;

	while (p < lexer->end && is(p, IS_OP)) {
		if (p > at &&
		    (starts(p, lexer->end, '-', '-') || starts(p, lexer->end, '/', '*')))
			break;
		is_special |= strchr("~!@#^&|`?%", *p) != NULL;
		p++;
	}
	if (!is_special) {
		while (p - at > 1 && (p[-1] == '+' || p[-1] == '-'))
			p--;
	}
	take(lexer, out, TOKEN_OPERATOR, p);
}

void lexer_init(struct lexer *lexer, const char *text, size_t length,
		lexer_comment_fn *on_comment, void *context)
{
	const char *nul = length ? memchr(text, '\0', length) : NULL;

	if (!text)
		text = "";
	lexer->at = text;
	lexer->end = nul ? nul : text + length;
	lexer->on_comment = on_comment;
	lexer->context = context;
}

/* Everything that is neither word, number nor operator. */
static void take_other(struct lexer *lexer, struct token *out)
{
	const char *p = lexer->at;
	const char *end = lexer->end;

	switch (*p) {
	case '(':
	case '[': take(lexer, out, TOKEN_OPEN, p + 1); break;
	case ')':
	case ']': take(lexer, out, TOKEN_CLOSE, p + 1); break;
	case ',': take(lexer, out, TOKEN_COMMA, p + 1); break;
	case ';': take(lexer, out, TOKEN_SEMICOLON, p + 1); break;
	case '$': take_dollar(lexer, out); break;
	case '\'': take_string(lexer, out, TOKEN_STRING, 0, STRING_PLAIN); break;
	case '"': take(lexer, out, TOKEN_QUOTED, scan_quoted(lexer, p + 1)); break;
	case ':':
		if (starts(p, end, ':', ':') || starts(p, end, ':', '='))
			take(lexer, out, TOKEN_COLON, p + 2);
		else
			take(lexer, out, TOKEN_COLON, p + 1);
		break;
	case '.':
		if (p + 1 < end && is(p + 1, IS_DIGIT))
			take_number(lexer, out);
		else if (starts(p, end, '.', '.'))
			take(lexer, out, TOKEN_COLON, p + 2);
		else
			take(lexer, out, TOKEN_DOT, p + 1);
		break;
	default: take(lexer, out, TOKEN_BAD, NULL); break;
	}
}

void lexer_next(struct lexer *lexer, struct token *out)
{
	const char *p;

	if (!skip_space(lexer)) {
		take(lexer, out, TOKEN_BAD, NULL);
		return;
	}
	p = lexer->at;
	if (p >= lexer->end) {
		take(lexer, out, TOKEN_END, p);
		return;
	}
	if (is(p, IS_START)) {
		if (!take_prefixed(lexer, out))
			take_word(lexer, out);
	} else if (is(p, IS_DIGIT)) {
		take_number(lexer, out);
	} else if (is(p, IS_OP)) {
		take_operator(lexer, out);
	} else {
		take_other(lexer, out);
	}
}

static enum string_rule rule_of(const struct token *string)
{
	if (string->kind == TOKEN_BIT_STRING)
		return STRING_BITS;
	return (*string->at | 0x20) == 'e' ? STRING_ESCAPES : STRING_PLAIN;
}

bool lexer_next_piece(const struct token *string, const char **at, struct token *piece_out)
{
	struct lexer lexer = { .end = string->at + string->length };
	const char *from = *at ? find_continuation(&lexer, *at, false) : string->at;
	const char *quote, *to;

	if (!from)
		return false;
	quote = memchr(from, '\'', (size_t)(lexer.end - from));
	to = quote ? scan_segment(&lexer, quote + 1, rule_of(string)) : NULL;
	if (!to)
		return false;
	*piece_out = *string;
	piece_out->at = from;
	piece_out->length = (size_t)(to - from);
	*at = to;
	return true;
}
