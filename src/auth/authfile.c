/*
 * Lines, fields and tokens of pg_hba.conf and pg_ident.conf; see auth/authfile.h. Pure: the
 * files' contents come from the caller. Runs in the control thread, at start and at a reload.
 */

#include "auth/authfile.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX   10 /* as PostgreSQL's CONF_FILE_MAX_DEPTH */
#define LINES_MAX   100000
#define FILES_MAX   1000  /* each time that one is read: two that include each other twice ... */
#define TOKEN_BYTES 10240 /* as PostgreSQL's MAX_TOKEN */
#define PATH_BYTES  1024
#define WHY_BYTES   256

struct reading {
	const struct authfile_source *source;
	struct arena *arena;
	struct bytes *errors;
	const struct authfile_line **end; /* where the next line is hung in */
	size_t n_lines;
	unsigned n_files;
	bool has_failed;
};

/* One file of it. */
struct place {
	struct reading *reading;
	const char *file;
	unsigned number; /* of the line */
	unsigned depth;
	const char *at; /* in the line, which ends with NUL */
};

static void read_file(struct reading *reading, const char *path, const struct place *from,
		      bool may_be_missing);

bool authfile_is_keyword(const struct authfile_token *token, const char *word)
{
	return !token->is_quoted && strcmp(token->text, word) == 0;
}

/* --- mistakes --- */

static void fault_at(struct reading *reading, const char *file, unsigned number, const char *what)
{
	reading->has_failed = true;
	bytes_printf(reading->errors, "%s:%u: %s\n", file, number, what);
}

static void fault(const struct place *place, const char *what)
{
	fault_at(place->reading, place->file, place->number, what);
}

/* The same about a file that the place names; the beginning has no place: the file itself. */
static void fault_file(struct reading *reading, const struct place *from, const char *path,
		       const char *why)
{
	char what[PATH_BYTES + WHY_BYTES];

	if (!from) {
		reading->has_failed = true;
		bytes_printf(reading->errors, "%s: %s\n", path, why);
		return;
	}
	snprintf(what, sizeof(what), "%s: %s", path, why);
	fault(from, what);
}

/* --- tokens --- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static void skip_blanks(struct place *place)
{
	while (is_blank(*place->at))
		place->at++;
}

/* Copies up to the end of the token and moves behind it; false: it is too long. */
static bool copy_token(struct place *place, char *out, size_t size)
{
	bool in_quote = false;
	size_t length = 0;
	const char *at;

	for (at = place->at; *at && (in_quote || !(is_blank(*at) || *at == ',' || *at == '#'));
	     at++) {
		if (*at == '"' && in_quote && at[1] == '"')
			at++; /* two for one */
		else if (*at == '"') {
			in_quote = !in_quote;
			continue;
		}
		if (length + 1 == size) {
			fault(place, "a word is too long");
			return false;
		}
		out[length++] = *at;
	}
	out[length] = '\0';
	place->at = at;
	if (in_quote)
		fault(place, "a quote is not closed");
	return !in_quote;
}

/* The next token of a field; NULL: there is none, or the line is wrong. */
static struct authfile_token *read_token(struct place *place)
{
	struct arena *arena = place->reading->arena;
	struct authfile_token *token;
	char text[TOKEN_BYTES];
	bool is_quoted;

	skip_blanks(place);
	if (*place->at == '\0' || *place->at == '#')
		return NULL;
	is_quoted = *place->at == '"';
	if (!copy_token(place, text, sizeof(text)))
		return NULL;
	token = arena_zalloc(arena, sizeof(*token));
	if (token)
		token->text = arena_copy_string(arena, text);
	if (!token || !token->text) {
		fault(place, "out of memory");
		return NULL;
	}
	token->is_quoted = is_quoted;
	return token;
}

/* --- names of other files --- */

/* A relative name begins in the directory of the file that has it. */
static bool resolve(const struct place *place, const char *name, char out[PATH_BYTES])
{
	const char *slash = strrchr(place->file, '/');
	int length = name[0] == '/' || !slash
			     ? snprintf(out, PATH_BYTES, "%s", name)
			     : snprintf(out, PATH_BYTES, "%.*s/%s", (int)(slash - place->file),
					place->file, name);

	if (length > 0 && length < PATH_BYTES)
		return true;
	fault(place, "the name of the file is too long");
	return false;
}

static bool load(struct reading *reading, const char *path, const struct place *from,
		 struct bytes *out, bool may_be_missing)
{
	char why[WHY_BYTES] = "";
	bool is_missing = false;

	if (++reading->n_files > FILES_MAX) {
		fault_file(reading, from, path, "too many files");
		return false;
	}
	if (reading->source->load(reading->source->context, path, out, &is_missing, why,
				  sizeof(why)) &&
	    bytes_append(out, "", 1))
		return true;
	if (!(is_missing && may_be_missing))
		fault_file(reading, from, path, why[0] ? why : "out of memory");
	return false;
}

static bool may_go_deeper(const struct place *place)
{
	if (place->depth < DEPTH_MAX)
		return true;
	fault(place, "files include each other too deeply");
	return false;
}

/* --- fields --- */

static const struct authfile_token **read_tokens(struct place *place,
						 const struct authfile_token **end);

/* The text of a line is cut out of the contents; NULL: there is no more. */
static char *next_line(char **rest, unsigned *number)
{
	char *line = *rest;
	char *to;
	char *at;

	if (!*line) {
		*rest = NULL;
		return NULL;
	}
	for (at = to = line; *at && *at != '\n'; at++) {
		if (at[0] == '\\' && (at[1] == '\n' || (at[1] == '\r' && at[2] == '\n'))) {
			at += at[1] == '\r' ? 2 : 1;
			++*number;
			continue;
		}
		*to++ = *at;
	}
	*rest = *at ? at + 1 : NULL;
	*to = '\0';
	return line;
}

/* All tokens of a file, for @file. */
static const struct authfile_token **read_token_file(struct place *from, const char *name,
						     const struct authfile_token **end)
{
	struct bytes contents = { 0 };
	char path[PATH_BYTES];
	struct place place = { .reading = from->reading, .depth = from->depth + 1 };
	char *rest = NULL;
	unsigned lines = 0;

	if (may_go_deeper(from) && resolve(from, name, path) &&
	    load(from->reading, path, from, &contents, false)) {
		place.file = arena_copy_string(from->reading->arena, path);
		rest = (char *)contents.data + contents.start;
		if (!place.file)
			fault(from, "out of memory");
	}
	while (rest && place.file) {
		place.number = ++lines;
		place.at = next_line(&rest, &lines);
		while (place.at && *place.at && *place.at != '#') {
			const char *before = place.at;

			end = read_tokens(&place, end);
			skip_blanks(&place);
			if (place.at == before)
				break;
		}
	}
	bytes_free(&contents);
	return end;
}

/* The tokens of one field, that is, up to a blank that no comma precedes. */
static const struct authfile_token **read_tokens(struct place *place,
						 const struct authfile_token **end)
{
	struct authfile_token *token;
	bool has_comma = true;

	while (has_comma && (token = read_token(place)) != NULL) {
		has_comma = *place->at == ',';
		if (has_comma)
			place->at++;
		if (token->text[0] == '@' && token->text[1] && !token->is_quoted) {
			end = read_token_file(place, token->text + 1, end);
		} else if (token->text[0] || token->is_quoted) {
			*end = token;
			end = &token->next;
		}
	}
	return end;
}

static struct authfile_field *read_field(struct place *place)
{
	struct authfile_field *field = arena_zalloc(place->reading->arena, sizeof(*field));

	if (!field) {
		fault(place, "out of memory");
		return NULL;
	}
	read_tokens(place, &field->tokens);
	return field;
}

/* --- lines --- */

static void include_directory(struct place *place, const char *directory)
{
	struct reading *reading = place->reading;
	struct bytes names = { 0 };
	char why[WHY_BYTES] = "";
	const char *name;

	if (!reading->source->list(reading->source->context, directory, &names, why,
				   sizeof(why)) ||
	    !bytes_append(&names, "", 1)) {
		fault_file(reading, place, directory, why[0] ? why : "out of memory");
		goto out;
	}
	for (name = (const char *)bytes_begin(&names); *name; name += strlen(name) + 1) {
		char path[PATH_BYTES];

		if (snprintf(path, sizeof(path), "%s/%s", directory, name) < (int)sizeof(path))
			read_file(reading, path, place, false);
		else
			fault(place, "the name of a file is too long");
	}
out:
	bytes_free(&names);
}

/* true: it was an include of some kind, and is done. */
static bool take_include(struct place *place, const struct authfile_field *fields)
{
	const struct authfile_token *word = fields->tokens;
	const struct authfile_field *name = fields->next;
	bool is_directory = authfile_is_keyword(word, "include_dir");
	bool may_be_missing = authfile_is_keyword(word, "include_if_exists");
	char path[PATH_BYTES];

	if (!is_directory && !may_be_missing && !authfile_is_keyword(word, "include"))
		return false;
	if (word->next || !name || name->next || name->tokens->next) {
		fault(place, "one file name expected");
		return true;
	}
	if (!may_go_deeper(place) || !resolve(place, name->tokens->text, path))
		return true;
	if (is_directory)
		include_directory(place, path);
	else
		read_file(place->reading, path, place, may_be_missing);
	return true;
}

static void add_line(struct place *place, const struct authfile_field *fields)
{
	struct reading *reading = place->reading;
	struct authfile_line *line = arena_zalloc(reading->arena, sizeof(*line));

	if (!line || ++reading->n_lines > LINES_MAX) {
		fault(place, line ? "too many lines" : "out of memory");
		return;
	}
	line->file = place->file;
	line->number = place->number;
	line->fields = fields;
	*reading->end = line;
	reading->end = &line->next;
}

static void read_line(struct place *place)
{
	struct reading *reading = place->reading;
	size_t errors_before = bytes_length(reading->errors);
	const struct authfile_field *fields = NULL;
	const struct authfile_field **end = &fields;

	for (skip_blanks(place); *place->at && *place->at != '#'; skip_blanks(place)) {
		struct authfile_field *field = read_field(place);

		if (!field || bytes_length(reading->errors) != errors_before ||
		    reading->errors->failed)
			return;
		if (!field->tokens) {
			fault(place, "an empty field");
			return;
		}
		*end = field;
		end = &field->next;
	}
	if (fields && !take_include(place, fields))
		add_line(place, fields);
}

static void read_file(struct reading *reading, const char *path, const struct place *from,
		      bool may_be_missing)
{
	struct bytes contents = { 0 };
	struct place place = { .reading = reading, .depth = from ? from->depth + 1 : 0 };
	char *rest;
	unsigned lines = 0;

	if (!load(reading, path, from, &contents, may_be_missing))
		goto out;
	place.file = arena_copy_string(reading->arena, path);
	if (!place.file) {
		fault_file(reading, from, path, "out of memory");
		goto out;
	}
	if (memchr(bytes_begin(&contents), '\0', bytes_length(&contents) - 1)) {
		fault_file(reading, from, path, "contains a zero byte");
		goto out;
	}
	rest = (char *)contents.data + contents.start;
	while (rest && reading->n_lines <= LINES_MAX) {
		place.number = ++lines;
		place.at = next_line(&rest, &lines);
		if (place.at)
			read_line(&place);
	}
out:
	bytes_free(&contents);
}

bool authfile_load(const char *path, const struct authfile_source *source, struct arena *arena,
		   const struct authfile_line **lines_out, struct bytes *errors)
{
	struct reading reading = {
		.source = source, .arena = arena, .errors = errors, .end = lines_out
	};

	*lines_out = NULL;
	read_file(&reading, path, NULL, false);
	return !reading.has_failed;
}
