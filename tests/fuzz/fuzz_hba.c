/*
 * The file of rules and the map of names. The input is one file; what it includes is itself, so
 * that depth and number of files are tried, too. Whatever is refused has a line that names the
 * file; whatever is read can be asked and listed, and what a listing says is read again as a rule
 * that says the same.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "auth/hba.h"
#include "auth/ident.h"
#include "base/panic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct text {
	const uint8_t *data;
	size_t size;
};

static bool load(void *context, const char *path, struct bytes *out, bool *is_missing_out,
		 char *why_out, size_t why_size)
{
	const struct text *text = context;

	if (strstr(path, "none")) {
		*is_missing_out = true;
		snprintf(why_out, why_size, "no such file");
		return false;
	}
	return bytes_append(out, text->data, text->size);
}

static bool list(void *context, const char *path, struct bytes *out, char *why_out,
		 size_t why_size)
{
	(void)context;
	(void)path;
	(void)why_out;
	(void)why_size;
	return bytes_append(out, "a.conf\0none.conf", 17);
}

/* Every line names a file. */
static void check_errors(struct bytes *errors)
{
	const char *line;

	ASSERT(bytes_length(errors) > 0 && bytes_append(errors, "", 1));
	for (line = (const char *)bytes_begin(errors); *line; line = strchr(line, '\n') + 1)
		ASSERT(strchr(line, '\n') && strchr(line, ':'));
}

/* A rule of simple words, as it is listed, says the same when it is read. */
static void check_again(const struct hba_words *words)
{
	char line[1024];
	int length = snprintf(line, sizeof(line), "%s \"%s\" \"%s\" %s %s %s\n", words->type,
			      words->database, words->user, words->address,
			      auth_type_name(words->rule->method), words->options);
	struct text text = { (const uint8_t *)line, (size_t)length };
	const struct authfile_source source = { &text, load, list };
	struct bytes errors = { 0 };
	struct hba *hba;
	struct hba_words again;

	if (strpbrk(words->database, "\",\\\n/@") || strpbrk(words->user, "\",\\\n/@") ||
	    strpbrk(words->options, "\",\\\n@#") || !words->database[0] || !words->user[0] ||
	    length >= (int)sizeof(line) || strstr(words->options, "map=") ||
	    strlen(words->database) > 200 || strlen(words->user) > 200)
		return;
	hba = hba_load("again", &source, NULL, 0, &errors);
	ASSERT(hba && hba_count(hba) == 1);
	hba_describe(hba, 0, &again);
	ASSERT(strcmp(again.type, words->type) == 0);
	ASSERT(strcmp(again.address, words->address) == 0);
	ASSERT(strcmp(again.options, words->options) == 0);
	ASSERT(again.rule->method == words->rule->method);
	hba_destroy(&hba);
	bytes_free(&errors);
}

static void ask(const struct hba *hba)
{
	static const char *const names[] = { "a", "app", "replication", "all", "" };
	struct hba_request request = { .user = "app" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		request.database = names[i];
		hba_find(hba, &request);
		ASSERT(hba_address_parse(i % 2 ? "10.1.2.3" : "fe80::1", &request.address));
		request.is_encrypted = !request.is_encrypted;
		request.is_replication = i == 3;
	}
	for (size_t i = 0; i < hba_count(hba) && i < 20; i++) {
		struct hba_words words;

		hba_describe(hba, i, &words);
		ASSERT(words.rule->line > 0 && words.rule->file);
		ASSERT(words.rule->method != AUTH_HBA);
		check_again(&words);
	}
}

static void try_hba(const struct authfile_source *source)
{
	struct hba_network own = { { 4, { 10, 1, 2, 3 } }, { 4, { 255, 255 } } };
	struct bytes errors = { 0 };
	struct hba *hba = hba_load("dir/hba", source, &own, 1, &errors);

	if (hba)
		ask(hba);
	else
		check_errors(&errors);
	ASSERT(!hba || bytes_length(&errors) == 0);
	hba_destroy(&hba);
	bytes_free(&errors);
}

static void try_ident(const struct authfile_source *source)
{
	static const char *const names[] = { "a", "app@corp", "", "root" };
	struct bytes errors = { 0 };
	struct ident *ident = ident_load("dir/ident", source, &errors);

	for (size_t i = 0; ident && i < sizeof(names) / sizeof(names[0]); i++)
		ident_allows(ident, "m", names[i], "app");
	if (!ident)
		check_errors(&errors);
	ident_destroy(&ident);
	bytes_free(&errors);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text text = { data, size };
	const struct authfile_source source = { &text, load, list };

	/* Repetitions in regular expressions are the C library's: they cost memory without end.
	 */
	if (memchr(data, '{', size) || size > 4096)
		return 0;
	try_hba(&source);
	try_ident(&source);
	return 0;
}
