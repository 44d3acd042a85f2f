/*
 * libFuzzer target: texts of console commands. Each statement is read and planned without a step
 * outside its memory; reading moves forward and ends; what words say, quoted again, reads the
 * same; a refusal is printable; names that come from elsewhere are cleaned once and for all.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/command.h"
#include "admin/text.h"
#include "admin/words.h"
#include "base/bytes.h"
#include "base/panic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void append_quoted(struct bytes *out, const char *text, char quote)
{
	bytes_append(out, &quote, 1);
	for (; *text; text++) {
		if (*text == quote)
			bytes_append(out, &quote, 1);
		bytes_append(out, text, 1);
	}
	bytes_append(out, &quote, 1);
}

static void append_word(struct bytes *out, const struct words *words, size_t index)
{
	const char *text = words_text(words, index);

	switch (words->list[index].kind) {
	case WORD_IDENTIFIER: append_quoted(out, text, '"'); break;
	case WORD_STRING: append_quoted(out, text, '\''); break;
	default: bytes_append_text(out, text); break;
	}
	bytes_append(out, " ", 1);
}

static bool same_words(const struct words *a, const struct words *b)
{
	if (a->count != b->count || a->is_cut != b->is_cut)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (a->list[i].kind != b->list[i].kind ||
		    strcmp(words_text(a, i), words_text(b, i)) != 0)
			return false;
	}
	return true;
}

static void check_quoted(const struct words *words)
{
	struct bytes text = { 0 };
	struct words *again = malloc(sizeof(*again));
	const char *at;

	ASSERT(again != NULL);
	for (size_t i = 0; i < words->count; i++)
		append_word(&text, words, i);
	ASSERT(bytes_append(&text, "", 1));
	at = (const char *)bytes_begin(&text);
	ASSERT(words_next(&at, again) == WORDS_STATEMENT);
	ASSERT(same_words(words, again));
	ASSERT(*at == '\0');
	bytes_free(&text);
	free(again);
}

static void check_clean(const char *text, size_t room)
{
	char *once = malloc(room);
	char *twice = malloc(room);

	ASSERT(once != NULL && twice != NULL);
	text_clean(once, room, text);
	text_clean(twice, room, once);
	ASSERT(strlen(once) < room);
	ASSERT(strcmp(once, twice) == 0);
	for (const char *at = once; *at; at++)
		ASSERT((unsigned char)*at >= 0x20 && *at != 0x7f);
	free(once);
	free(twice);
}

static void check_plan(const struct words *words)
{
	struct plan *plan = malloc(sizeof(*plan));
	struct plan *copy = malloc(sizeof(*copy));
	char message[256];
	size_t n;

	ASSERT(plan != NULL && copy != NULL);
	if (plan_make(words, plan)) {
		ASSERT(plan->command != NULL && !words->is_cut);
		ASSERT(plan_right(plan) != RIGHT_NONE);
		plan_copy(copy, plan);
		free(plan);
		plan = NULL;
		ASSERT((plan_columns(copy, &n) == NULL) == (n == 0));
	} else {
		plan_refuse(words, message, sizeof(message));
		ASSERT(strncmp(message, "invalid command '", 17) == 0);
		ASSERT(strstr(message, "', use SHOW HELP;") != NULL);
	}
	free(plan);
	free(copy);
}

static void check_statements(const char *text)
{
	const char *at = text;
	const char *end = text + strlen(text);
	struct words words;

	for (;;) {
		const char *before = at;
		enum words_result result = words_next(&at, &words);

		ASSERT(at >= before && at <= end);
		if (result != WORDS_STATEMENT) {
			ASSERT(at == end);
			return;
		}
		ASSERT(at > before && words.count > 0 && words.used <= WORDS_TEXT_MAX);
		ASSERT(words.source >= before && words.source + words.source_length <= at);
		if (!words.is_cut)
			check_quoted(&words);
		check_plan(&words);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	ASSERT(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	check_statements(text);
	check_clean(text, size + 1);
	check_clean(text, 2);
	check_clean(text, size / 2 + 1);
	free(text);
	return 0;
}
