/*
 * Fuzzes the whole sql layer. What must hold of any text: an answer, from the cache the same as
 * fresh; a read leaves nothing behind and has no word of a write, unless quoted; an effect that
 * is replayed has itself as its effect; the JSON is JSON.
 */
#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sql/judge.h"
#include "sql/judgement_json.h"
#include "sql/lexer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fail(const char *what, const char *text, size_t length)
{
	fprintf(stderr, "%s: %.*s\n", what, (int)length, text);
	abort();
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool is_same_effect(const struct effect *a, const struct effect *b)
{
	return a->kind == b->kind && a->flags == b->flags && a->pin == b->pin &&
	       is_same(a->name, b->name) && is_same(a->value, b->value);
}

static bool is_same_verdict(const struct verdict *a, const struct verdict *b)
{
	if (a->kind != b->kind || a->reason != b->reason || a->n_statements != b->n_statements ||
	    !is_same(a->culprit, b->culprit) || a->n_effects != b->n_effects ||
	    a->is_explicit_read_only != b->is_explicit_read_only ||
	    a->has_transaction_control != b->has_transaction_control)
		return false;
	for (size_t i = 0; i < a->n_effects; i++) {
		if (!is_same_effect(&a->effects[i], &b->effects[i]))
			return false;
	}
	return true;
}

/* Reserved words that no read contains except as a label behind AS or a dot. */
static bool is_writing_word(const struct token *token)
{
	static const char *const words[] = { "into", "create", "grant" };

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (token->length == strlen(words[i]) &&
		    strncasecmp(token->at, words[i], token->length) == 0)
			return true;
	}
	return false;
}

static void check_read(const struct verdict *verdict, const char *text, size_t length)
{
	struct lexer lexer;
	struct token token, before = { .kind = TOKEN_END };

	if (verdict->n_effects || verdict->culprit)
		fail("a read leaves something behind", text, length);
	lexer_init(&lexer, text, length, NULL, NULL);
	for (lexer_next(&lexer, &token); token.kind != TOKEN_END; lexer_next(&lexer, &token)) {
		bool is_label = before.kind == TOKEN_DOT ||
				(before.kind == TOKEN_WORD && before.length == 2 &&
				 strncasecmp(before.at, "as", 2) == 0) ||
				(before.kind == TOKEN_WORD && before.length == 4 &&
				 strncasecmp(before.at, "name", 4) == 0);

		if (token.kind == TOKEN_BAD)
			fail("a read that is no SQL", text, length);
		if (token.kind == TOKEN_WORD && !is_label && is_writing_word(&token))
			fail("a read with a word of a write", text, length);
		before = token;
	}
}

static void check_replay(struct judge *judge, const struct effect *effect)
{
	struct judgement out;
	char *value = strdup(effect->value);
	struct effect expected = *effect;
	char *name = strdup(effect->name);

	expected.name = name;
	expected.value = value;
	judge_text(judge, value, strlen(value), &out);
	if (out.verdict->n_effects < 1 || !is_same_effect(&out.verdict->effects[0], &expected))
		fail("a replayed effect is another", value, strlen(value));
	free(name);
	free(value);
}

static void check_json(const struct judgement *judgement, const char *text, size_t length)
{
	struct bytes out = { 0 };
	json_t *json;

	bytes_append_text(&out, "{");
	if (!judgement_to_json(judgement, &out))
		fail("no JSON", text, length);
	bytes_append_text(&out, "}");
	json = json_loadb((const char *)bytes_begin(&out), bytes_length(&out),
			  JSON_REJECT_DUPLICATES, NULL);
	/* U+0000 cannot be in it: a NUL ends a text. */
	if (!json)
		fail("broken JSON", text, length);
	json_decref(json);
	bytes_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct judge *judge, *other;
	const char *text = (const char *)data;
	const char *nul = size ? memchr(text, '\0', size) : NULL;
	size_t length = nul ? (size_t)(nul - text) : size;
	struct judge_limits limits = judge_default_limits;
	struct judgement fresh, cached;

	limits.parse_bytes_max = 8192;
	limits.cache_bytes_max = 256 * 1024;
	if (!judge) {
		judge = judge_create(&limits);
		other = judge_create(&limits);
	}
	judge_text(judge, text, size, &fresh);
	judge_forget(other);
	judge_text(other, text, size, &cached);
	if (!is_same_verdict(fresh.verdict, cached.verdict) ||
	    fresh.bad_hints != cached.bad_hints || fresh.hints.set != cached.hints.set)
		fail("a cached verdict differs", text, length);
	judge_text(other, text, size, &cached);
	if (!is_same_verdict(fresh.verdict, cached.verdict))
		fail("a verdict differs the second time", text, length);
	if (fresh.verdict->kind == VERDICT_READ)
		check_read(fresh.verdict, text, length);
	check_json(&fresh, text, length);
	for (size_t i = 0; i < fresh.verdict->n_effects; i++) {
		if (fresh.verdict->effects[i].kind == EFFECT_SET)
			check_replay(other, &fresh.verdict->effects[i]);
	}
	return 0;
}
