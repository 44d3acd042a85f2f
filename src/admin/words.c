/*
 * Splitting a query of the console into statements and words; see admin/words.h. The texts come
 * from the network; all is bounded by the size of struct words. Pure; any thread.
 */
#include "admin/words.h"

#include <string.h>

#include "admin/text.h"
#include "base/panic.h"

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (unsigned char)c >= 0x80 || (c && strchr("_.$-+/:%@", c));
}

/* Comments nest, as in PostgreSQL. false: it has no end. */
static bool skip_block_comment(const char **at)
{
	size_t depth = 0;

	do {
		if ((*at)[0] == '/' && (*at)[1] == '*') {
			depth++;
			*at += 2;
		} else if ((*at)[0] == '*' && (*at)[1] == '/') {
			depth--;
			*at += 2;
		} else if (**at) {
			(*at)++;
		} else {
			return false;
		}
	} while (depth > 0);
	return true;
}

static bool skip_blanks(const char **at)
{
	for (;;) {
		if (is_blank(**at))
			(*at)++;
		else if ((*at)[0] == '-' && (*at)[1] == '-')
			*at += strcspn(*at, "\n");
		else if ((*at)[0] != '/' || (*at)[1] != '*')
			return true;
		else if (!skip_block_comment(at))
			return false;
	}
}

/* --- putting words together --- */

static bool begin_word(struct words *words, enum word_kind kind)
{
	if (words->count == WORDS_MAX || words->used >= WORDS_TEXT_MAX - 1)
		words->is_cut = true;
	if (words->is_cut)
		return false;
	words->list[words->count].kind = (uint8_t)kind;
	words->list[words->count].offset = (uint16_t)words->used;
	return true;
}

/* Room for the NUL is always kept. */
static void add_char(struct words *words, char c)
{
	if (words->used >= WORDS_TEXT_MAX - 1)
		words->is_cut = true;
	else
		words->text[words->used++] = c;
}

static void end_word(struct words *words, bool is_kept)
{
	if (!is_kept)
		return;
	words->text[words->used++] = '\0';
	words->count++;
}

static bool take_quoted(const char **at, struct words *words)
{
	char quote = **at;
	bool is_kept = begin_word(words, quote == '"' ? WORD_IDENTIFIER : WORD_STRING);

	for ((*at)++; **at; (*at)++) {
		if (**at == quote && (*at)[1] != quote) {
			(*at)++;
			end_word(words, is_kept);
			return true;
		}
		if (**at == quote)
			(*at)++;
		if (is_kept)
			add_char(words, **at);
	}
	return false;
}

static void take_plain(const char **at, struct words *words)
{
	bool is_kept = begin_word(words, is_plain(**at) ? WORD_PLAIN : WORD_SIGN);

	do {
		if (is_kept)
			add_char(words, **at);
		(*at)++;
	} while (is_plain((*at)[-1]) && is_plain(**at));
	end_word(words, is_kept);
}

/* Words up to a semicolon or the end. false: something is not terminated. */
static bool take_statement(const char **at, struct words *words)
{
	const char *end = *at;

	words->source = *at;
	while (**at && **at != ';') {
		if (**at != '"' && **at != '\'')
			take_plain(at, words);
		else if (!take_quoted(at, words))
			return false;
		end = *at;
		if (!skip_blanks(at))
			return false;
	}
	words->source_length = (size_t)(end - words->source);
	if (**at)
		(*at)++;
	return true;
}

enum words_result words_next(const char **at, struct words *out)
{
	bool is_sound;

	out->count = out->used = out->source_length = 0;
	out->is_cut = false;
	out->source = *at;
	is_sound = skip_blanks(at);
	while (is_sound && **at == ';') {
		(*at)++;
		is_sound = skip_blanks(at);
	}
	if (is_sound && **at == '\0')
		return WORDS_END;
	if (is_sound && take_statement(at, out))
		return WORDS_STATEMENT;
	*at += strlen(*at);
	return WORDS_UNTERMINATED;
}

const char *words_text(const struct words *words, size_t index)
{
	return index < words->count ? words->text + words->list[index].offset : "";
}

bool words_is(const struct words *words, size_t index, const char *word)
{
	return index < words->count &&
	       (words->list[index].kind == WORD_PLAIN || words->list[index].kind == WORD_SIGN) &&
	       text_is(words_text(words, index), word);
}
