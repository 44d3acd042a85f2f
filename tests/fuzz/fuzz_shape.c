/*
 * Fuzzes lexer and shape. What must hold of any text: the lexer moves on and stays inside; where
 * libpg_query's scanner accepts the text, both count the same tokens; a shape is its own shape;
 * other white space, comments and case between the tokens, and other literals where they are
 * replaced, give the same shape.
 *
 * The first byte of the input chooses how the text is re-spaced, the rest is the text.
 */
#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/shape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX 4096

static const struct shape_limits limits = { 16384, 4096, 200 };

static void fail(const char *what, const char *a, const char *b)
{
	fprintf(stderr, "%s\n1: %s\n2: %s\n", what, a, b);
	abort();
}

/* Tokens of our lexer; -1 when it finds something that is no SQL. */
static long count_tokens(const char *text, size_t length)
{
	struct lexer lexer;
	struct token token;
	const char *behind = text;
	long n = 0;

	lexer_init(&lexer, text, length, NULL, NULL);
	for (lexer_next(&lexer, &token); token.kind != TOKEN_END; lexer_next(&lexer, &token)) {
		if (token.length == 0 || token.at < behind ||
		    token.at + token.length > text + length)
			fail("a token is empty or outside", text, token.at);
		behind = token.at + token.length;
		if (token.kind == TOKEN_BAD)
			return -1;
		/* Theirs makes two of N'...': NCHAR and a string. */
		n += 1 + (token.kind == TOKEN_STRING && (*token.at | 0x20) == 'n');
		/* And does not go on behind a comment, as PostgreSQL does. */
		if (token.is_continued && memmem(token.at, token.length, "--", 2))
			return -1;
	}
	return n;
}

/* Tokens of libpg_query's scanner, comments left out; -1 when it refuses the text. */
static long scan_tokens(const char *text)
{
	PgQueryScanResult result = pg_query_scan(text);
	PgQuery__ScanResult *scan;
	long n = 0;

	if (result.error) {
		pg_query_free_scan_result(result);
		return -1;
	}
	scan = pg_query__scan_result__unpack(NULL, result.pbuf.len,
					     (const uint8_t *)result.pbuf.data);
	for (size_t i = 0; scan && i < scan->n_tokens; i++) {
		if (scan->tokens[i]->token != PG_QUERY__TOKEN__SQL_COMMENT &&
		    scan->tokens[i]->token != PG_QUERY__TOKEN__C_COMMENT)
			n++;
	}
	pg_query__scan_result__free_unpacked(scan, NULL);
	pg_query_free_scan_result(result);
	return n;
}

static void make(const char *text, size_t length, char *buffer, struct shape *shape)
{
	shape_make(&limits, text, length, buffer, NULL, NULL, shape);
	if (shape->length > limits.bytes_max || strlen(shape->text) != shape->length)
		fail("a shape has no end", text, "");
}

static char *append(char *at, const char *text, size_t length)
{
	memcpy(at, text, length);
	return at + length;
}

/*
 * The text with other things between its tokens and its words in upper case. Strings and names
 * stay as they are. Returns its length.
 */
static size_t respace(const char *text, size_t length, unsigned how, char *out)
{
	static const char *const gaps[] = { " ",       "\n",       "\t/* x */ ",
					    " -- x\n", "/*/**/*/", " /*'*/\r\f " };
	struct lexer lexer;
	struct token token;
	char *at = out;

	lexer_init(&lexer, text, length, NULL, NULL);
	for (lexer_next(&lexer, &token); token.kind != TOKEN_END; lexer_next(&lexer, &token)) {
		const char *gap = gaps[how++ % (sizeof(gaps) / sizeof(gaps[0]))];

		at = append(at, gap, strlen(gap));
		/* A newline between two strings would make one of them. */
		if (*token.at == '\'')
			at = append(at, "/**/", 4);
		at = append(at, token.at, token.length);
		if (token.kind == TOKEN_WORD) {
			for (char *p = at - token.length; p < at; p++)
				*p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
		}
		if (token.kind == TOKEN_BAD)
			break;
	}
	return (size_t)(at - out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char first[16384 + SHAPE_BUFFER_EXTRA], second[16384 + SHAPE_BUFFER_EXTRA];
	static char again[TEXT_MAX * 16];
	char text[TEXT_MAX + 1];
	struct shape shape, other;
	size_t length;
	long ours;

	if (size == 0 || size > TEXT_MAX || memchr(data + 1, '\0', size - 1))
		return 0;
	length = size - 1;
	memcpy(text, data + 1, length);
	text[length] = '\0';

	ours = count_tokens(text, length);
	make(text, length, first, &shape);
	if (shape.is_too_large)
		return 0;
	if (ours >= 0) {
		long theirs = scan_tokens(text);

		if (theirs >= 0 && ours != theirs)
			fail("the lexers count different tokens", text, first);
	}
	make(shape.text, shape.length, second, &other);
	if (strcmp(first, second) != 0 || memcmp(shape.hash, other.hash, sizeof(shape.hash)) != 0)
		fail("a shape has another shape", first, second);

	/* What is no SQL keeps its spelling. */
	if (ours < 0 || memmem(text, length, "'", 1) != NULL)
		return 0;
	length = respace(text, length, data[0], again);
	make(again, length, second, &other);
	if (!other.is_too_large && strcmp(first, second) != 0)
		fail("re-spaced it has another shape", first, second);
	return 0;
}
