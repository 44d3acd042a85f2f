#ifndef POINTSMAN_AUTH_AUTHFILE_H
#define POINTSMAN_AUTH_AUTHFILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/bytes.h"

/*
 * The syntax that pg_hba.conf and pg_ident.conf have in common (PostgreSQL's documentation, "The
 * pg_hba.conf File"; src/backend/libpq/hba.c): lines of fields, fields of tokens between commas,
 * double quotes, '#' comments, a backslash that goes on with the next line, @file for the tokens
 * of another file, and include, include_if_exists, include_dir. What the fields mean is hba.h's
 * and ident.h's business.
 */

struct authfile_token {
	const struct authfile_token *next;
	const char *text;
	bool is_quoted; /* begins with a quote: no keyword */
};

struct authfile_field {
	const struct authfile_field *next;
	const struct authfile_token *tokens; /* one at least */
};

struct authfile_line {
	const struct authfile_line *next;
	const char *file;
	unsigned number;
	const struct authfile_field *fields; /* one at least */
};

/* Where files come from; whoever calls has them (this layer opens none). */
struct authfile_source {
	void *context;
	/* Appends the contents; else false, with the reason. `is_missing_out`: there is no such
	 * file. */
	bool (*load)(void *context, const char *path, struct bytes *out, bool *is_missing_out,
		     char *why_out, size_t why_size);
	/* Appends the names of the files in a directory that end in ".conf", each with a NUL, in
	 * order. */
	bool (*list)(void *context, const char *path, struct bytes *out, char *why_out,
		     size_t why_size);
};

/*
 * Reads a file with all that it includes. Everything lies in the arena. false: `errors` has one
 * line "file:line: what" for each mistake. An empty file is no mistake: *lines_out is NULL.
 */
bool authfile_load(const char *path, const struct authfile_source *source, struct arena *arena,
		   const struct authfile_line **lines_out, struct bytes *errors);

/* Is it this keyword, that is, the word without quotes? */
bool authfile_is_keyword(const struct authfile_token *token, const char *word);

#endif
