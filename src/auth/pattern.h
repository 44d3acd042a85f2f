#ifndef POINTSMAN_AUTH_PATTERN_H
#define POINTSMAN_AUTH_PATTERN_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Regular expressions of pg_hba.conf and pg_ident.conf, where a word begins with a slash: POSIX
 * extended ones, of the C library. (PostgreSQL's own know escapes, such as \d, that these do
 * not.)
 */

/* Longer words are not compiled, and longer names fit none: no user or database has one. */
#define PATTERN_BYTES_MAX 256

/* `word` with its slash. false: *why_out says what is wrong with it. */
bool pattern_compile(regex_t *out, const char *word, char *why_out, size_t why_size);

/* groups_out[1] is what the first group of parentheses has caught; rm_so -1: nothing. */
bool pattern_fits(const regex_t *pattern, const char *name, regmatch_t groups_out[2]);

#endif
