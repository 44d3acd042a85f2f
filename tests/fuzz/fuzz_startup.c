/*
 * libFuzzer target: the first bytes of a connection, and `options` strings.
 *
 * Holds: every prefix of a packet asks for more or says what the whole says; a packet built from
 * what was read is read as the same; startup_next_option() moves forward in each call and
 * says what PostgreSQL's getopt() says.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/wire/options_reference.h"
#include "base/bytes.h"
#include "base/panic.h"
#include "wire/build.h"
#include "wire/startup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A parse of a copy that ends where its memory does. */
struct parsed {
	uint8_t *copy;
	struct startup startup;
	enum startup_kind kind;
};

static void parse(struct parsed *p, const uint8_t *data, size_t length)
{
	const char *error;

	p->copy = malloc(length > 0 ? length : 1);
	ASSERT(p->copy != NULL);
	if (length > 0)
		memcpy(p->copy, data, length);
	p->kind = startup_parse(p->copy, length, &p->startup, &error);
	ASSERT((p->kind == STARTUP_BAD) == (error != NULL));
	ASSERT(p->kind == STARTUP_BAD || p->startup.size <= length);
}

static bool same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same_startup(const struct startup *a, const struct startup *b)
{
	if (a->major != b->major || a->minor != b->minor || !same_text(a->user, b->user) ||
	    !same_text(a->database, b->database) || !same_text(a->options, b->options) ||
	    !same_text(a->replication, b->replication) || a->n_params != b->n_params ||
	    a->n_unknown_pq != b->n_unknown_pq || a->cancel_pid != b->cancel_pid ||
	    a->cancel_key_length != b->cancel_key_length)
		return false;
	for (size_t i = 0; i < a->n_params; i++)
		if (strcmp(a->params[i].name, b->params[i].name) != 0 ||
		    strcmp(a->params[i].value, b->params[i].value) != 0)
			return false;
	for (size_t i = 0; i < a->n_unknown_pq; i++)
		if (strcmp(a->unknown_pq[i], b->unknown_pq[i]) != 0)
			return false;
	return a->cancel_key_length == 0 ||
	       memcmp(a->cancel_key, b->cancel_key, a->cancel_key_length) == 0;
}

/* The answer comes with the last byte; only a length is judged earlier. */
static void check_prefixes(const uint8_t *data, size_t size, const struct parsed *whole)
{
	size_t last = size < 64 ? size : 64;
	size_t near_end = whole->startup.size > 0 ? whole->startup.size : size;

	for (size_t n = 0; n < size; n++) {
		struct parsed prefix;

		/* all of the first ones, and those around the packet's end */
		if (n > last && n + 2 < near_end)
			n = near_end - 2;
		if (n > near_end + 2)
			break;
		parse(&prefix, data, n);
		if (prefix.kind != STARTUP_NEED_MORE) {
			ASSERT(prefix.kind == whole->kind);
			ASSERT(prefix.kind == STARTUP_BAD ||
			       same_startup(&prefix.startup, &whole->startup));
		}
		ASSERT(n >= whole->startup.size || prefix.kind == STARTUP_NEED_MORE ||
		       prefix.kind == STARTUP_BAD);
		free(prefix.copy);
	}
}

static void add_pair(const char **pairs, size_t *n, const char *name, const char *value)
{
	if (value == NULL)
		return;
	pairs[2 * *n] = name;
	pairs[2 * *n + 1] = value;
	(*n)++;
}

static void build_session(const struct startup *s, struct bytes *out)
{
	const char *pairs[2 * (STARTUP_PARAMS_MAX + 20)];
	size_t n = 0;

	add_pair(pairs, &n, "user", s->user);
	if (s->database != s->user)
		add_pair(pairs, &n, "database", s->database);
	add_pair(pairs, &n, "options", s->options);
	add_pair(pairs, &n, "replication", s->replication);
	for (size_t i = 0; i < s->n_params; i++)
		add_pair(pairs, &n, s->params[i].name, s->params[i].value);
	for (size_t i = 0; i < s->n_unknown_pq; i++)
		add_pair(pairs, &n, s->unknown_pq[i], "");
	build_startup(out, s->minor, pairs, n);
}

static void check_rebuilt(const struct startup *s, enum startup_kind kind)
{
	struct bytes out = { 0 };
	struct parsed again;

	if (kind == STARTUP_SESSION)
		build_session(s, &out);
	else if (kind == STARTUP_CANCEL)
		build_cancel_request(&out, s->cancel_pid, s->cancel_key, s->cancel_key_length);
	else
		return;
	ASSERT(!out.failed);
	parse(&again, bytes_begin(&out), bytes_length(&out));
	ASSERT(again.kind == kind);
	ASSERT(again.startup.size == bytes_length(&out));
	ASSERT(same_startup(s, &again.startup));
	free(again.copy);
	bytes_free(&out);
}

/* Reads all settings; returns whether the string was taken whole. */
static bool read_options(const char *options, size_t room, struct bytes *out)
{
	size_t calls_max = strlen(options) + 1;
	char *name = malloc(room);
	char *value = malloc(room);
	const char *at = options;
	bool is_good = true;

	ASSERT(name != NULL && value != NULL);
	for (size_t calls = 1;; calls++) {
		const char *before = at;
		enum startup_option_result result =
			startup_next_option(&at, name, room, value, room);

		ASSERT(calls <= calls_max);
		ASSERT(at <= options + strlen(options));
		ASSERT(memchr(name, 0, room) != NULL && memchr(value, 0, room) != NULL);
		if (result == STARTUP_OPTION_END)
			break;
		ASSERT(at > before);
		if (result == STARTUP_OPTION_SETTING)
			bytes_printf(out, "%s=%s\n", name, value);
		else
			is_good = false;
	}
	free(name);
	free(value);
	return is_good;
}

static void check_options(const char *options)
{
	char *reference = reference_settings(options);
	struct bytes out = { 0 };
	struct bytes ignored = { 0 };

	ASSERT(read_options(options, strlen(options) + 2, &out) == (reference != NULL));
	if (reference != NULL) {
		ASSERT(bytes_length(&out) == strlen(reference));
		ASSERT(bytes_length(&out) == 0 ||
		       memcmp(bytes_begin(&out), reference, bytes_length(&out)) == 0);
	}
	read_options(options, 4, &ignored); /* outputs that are too short */
	bytes_free(&out);
	bytes_free(&ignored);
	free(reference);
}

static void check_as_options(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	ASSERT(text != NULL);
	memcpy(text, data, size);
	text[size] = '\0';
	check_options(text);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct parsed whole;

	if (size == 0)
		return 0;
	parse(&whole, data, size);
	check_prefixes(data, size, &whole);
	check_rebuilt(&whole.startup, whole.kind);
	if (whole.kind == STARTUP_SESSION && whole.startup.options != NULL)
		check_options(whole.startup.options);
	free(whole.copy);
	check_as_options(data, size);
	return 0;
}
