/*
 * Names of prepared statements in texts; see sql/names.h. Looks at tokens only: the statements in
 * question begin with words of their own, and an EXECUTE inside another statement stands behind
 * one of a few words.
 */
#include "sql/names.h"

#include <string.h>
#include <strings.h>

#include "sql/lexer.h"

struct scan {
	struct lexer lexer;
	const char *text;
	struct token token; /* the one at hand */
	int depth;
	unsigned statement;
	struct name_use *uses;
	size_t n_uses;
	size_t max;
	struct name_use beyond; /* where those go for which there is no room */
};

static bool is_word(const struct token *token, const char *word)
{
	return token->kind == TOKEN_WORD && token->length == strlen(word) &&
	       strncasecmp(token->at, word, token->length) == 0;
}

static bool is_name(const struct token *token)
{
	return token->kind == TOKEN_WORD || token->kind == TOKEN_QUOTED ||
	       token->kind == TOKEN_UNICODE_QUOTED;
}

static void next(struct scan *scan)
{
	if (scan->token.kind == TOKEN_OPEN)
		scan->depth++;
	else if (scan->token.kind == TOKEN_CLOSE && scan->depth > 0)
		scan->depth--;
	lexer_next(&scan->lexer, &scan->token);
}

static bool is_at_end(const struct scan *scan)
{
	return scan->token.kind == TOKEN_END || scan->token.kind == TOKEN_BAD ||
	       (scan->token.kind == TOKEN_SEMICOLON && scan->depth == 0);
}

static size_t offset_behind(const struct scan *scan, const struct token *token)
{
	return (size_t)(token->at - scan->text) + token->length;
}

static struct name_use *add_use(struct scan *scan, enum name_use_kind kind,
				const struct token *name)
{
	struct name_use *use =
		scan->n_uses < scan->max ? &scan->uses[scan->n_uses] : &scan->beyond;

	scan->n_uses++;
	memset(use, 0, sizeof(*use));
	use->kind = kind;
	use->statement = scan->statement;
	use->at = (size_t)(name->at - scan->text);
	use->length = name->length;
	return use;
}

static void skip_statement(struct scan *scan)
{
	while (!is_at_end(scan))
		next(scan);
}

/* PREPARE name [(types)] AS query; not PREPARE TRANSACTION 'id'. */
static void take_prepare(struct scan *scan)
{
	struct name_use *use;
	struct token name = scan->token;
	size_t end = 0;
	size_t body_at = 0;

	if (!is_name(&name))
		return;
	next(scan);
	if (scan->token.kind != TOKEN_OPEN && !is_word(&scan->token, "as"))
		return;
	while (!is_at_end(scan)) {
		if (!body_at && scan->depth == 0 && is_word(&scan->token, "as"))
			body_at = offset_behind(scan, &scan->token);
		end = offset_behind(scan, &scan->token);
		next(scan);
	}
	if (!body_at)
		return;
	use = add_use(scan, NAME_PREPARE, &name);
	use->tail_at = use->at + use->length;
	use->body_at = body_at;
	use->end = end;
}

/* DEALLOCATE [PREPARE] name, where the name may be "prepare", too: the last word is it. */
static void take_deallocate(struct scan *scan)
{
	struct token last = { .kind = TOKEN_END };

	for (; !is_at_end(scan); next(scan))
		last = scan->token;
	if (is_name(&last) && !is_word(&last, "all"))
		add_use(scan, NAME_DEALLOCATE, &last);
}

static void take_execute(struct scan *scan)
{
	if (is_name(&scan->token))
		add_use(scan, NAME_EXECUTE, &scan->token);
}

/* EXPLAIN ... EXECUTE, CREATE TABLE ... AS EXECUTE, and one in the other. */
static void take_inner_execute(struct scan *scan)
{
	struct token before = { .kind = TOKEN_CLOSE };

	for (; !is_at_end(scan); next(scan)) {
		if (scan->depth == 0 && is_word(&scan->token, "execute") &&
		    (before.kind == TOKEN_CLOSE || is_word(&before, "analyze") ||
		     is_word(&before, "analyse") || is_word(&before, "verbose") ||
		     is_word(&before, "as"))) {
			next(scan);
			take_execute(scan);
			return;
		}
		before = scan->token;
	}
}

static void take_statement(struct scan *scan)
{
	struct token first = scan->token;

	next(scan);
	if (is_word(&first, "prepare"))
		take_prepare(scan);
	else if (is_word(&first, "execute"))
		take_execute(scan);
	else if (is_word(&first, "deallocate"))
		take_deallocate(scan);
	else if (is_word(&first, "explain") || is_word(&first, "create"))
		take_inner_execute(scan);
	skip_statement(scan);
}

size_t names_find(const char *text, size_t length, struct name_use *uses_out, size_t max)
{
	struct scan scan = { .text = text, .uses = uses_out, .max = max };

	lexer_init(&scan.lexer, text, length, NULL, NULL);
	next(&scan);
	while (scan.token.kind != TOKEN_END && scan.token.kind != TOKEN_BAD) {
		if (scan.token.kind == TOKEN_SEMICOLON) {
			next(&scan);
			continue;
		}
		take_statement(&scan);
		scan.statement++;
	}
	return scan.n_uses;
}

/* truncate_identifier() */
static size_t cut(const char *name, size_t length)
{
	if (length < NAME_BYTES_MAX)
		return length;
	length = NAME_BYTES_MAX - 1;
	while (length > 0 && ((unsigned char)name[length] & 0xc0) == 0x80)
		length--;
	return length;
}

static bool fold_quoted(const char *token, size_t length, char out[NAME_BYTES_MAX])
{
	char name[NAME_BYTES_MAX + 1];
	size_t n = 0;

	for (size_t i = 1; i + 1 < length && n < sizeof(name); i++) {
		name[n++] = token[i];
		if (token[i] == '"')
			i++;
	}
	n = cut(name, n);
	memcpy(out, name, n);
	out[n] = '\0';
	return n > 0;
}

bool names_fold(const char *token, size_t length, char out[NAME_BYTES_MAX])
{
	if (length > 1 && token[0] == '"')
		return fold_quoted(token, length, out);
	if (length > 2 && token[1] == '&')
		return false;
	length = cut(token, length);
	for (size_t i = 0; i < length; i++)
		out[i] = (char)(token[i] >= 'A' && token[i] <= 'Z' ? token[i] + 32 : token[i]);
	out[length] = '\0';
	return length > 0;
}
