/*
 * The map of user names; see auth/ident.h. Its syntax is authfile.c's. Pure; loaded in the
 * control thread, asked by any.
 */

#include "auth/ident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pattern.h"

#define NAME_SIZE 1024
#define WHY_SIZE  512

/* One line: MAP SYSTEM-USER DATABASE-USER. */
struct mapping {
	struct mapping *next;
	const char *map;
	const struct authfile_token *system_user;
	const struct authfile_token *user;
	regex_t *system_pattern; /* NULL: a plain name */
	regex_t *user_pattern;
};

struct ident {
	struct arena *arena;
	struct mapping *mappings;
};

/* --- loading --- */

static bool fault(struct bytes *errors, const struct authfile_line *line, const char *what)
{
	bytes_printf(errors, "%s:%u: %s\n", line->file, line->number, what);
	return false;
}

/* NULL in *out for a plain word. false: the mistake is noted. */
static bool compile(struct arena *arena, const struct authfile_line *line, const char *word,
		    regex_t **out, struct bytes *errors)
{
	regex_t *pattern;
	char why[WHY_SIZE];

	if (word[0] != '/')
		return true;
	pattern = arena_zalloc(arena, sizeof(*pattern));
	if (!pattern)
		return fault(errors, line, "out of memory");
	if (!pattern_compile(pattern, word, why, sizeof(why)))
		return fault(errors, line, why);
	*out = pattern;
	return true;
}

static bool has_group_reference(const char *word)
{
	return strstr(word, "\\1") != NULL;
}

static bool check(const struct authfile_line *line, const struct mapping *mapping,
		  struct bytes *errors)
{
	if (mapping->user->text[0] == '+' && !mapping->user->is_quoted)
		return fault(errors, line, "groups (\"+role\") are not supported");
	if (mapping->user->text[0] != '/' && has_group_reference(mapping->user->text) &&
	    mapping->system_pattern && mapping->system_pattern->re_nsub == 0)
		return fault(errors, line,
			     "\"\\1\" needs a group in parentheses in the regular expression");
	return true;
}

static bool read_mapping(struct ident *ident, const struct authfile_line *line,
			 struct mapping **out, struct bytes *errors)
{
	const struct authfile_field *map = line->fields;
	const struct authfile_field *system_user = map->next;
	const struct authfile_field *user = system_user ? system_user->next : NULL;
	struct mapping *mapping;

	if (!user || user->next)
		return fault(errors, line, "a map, a system user and a database user expected");
	if (map->tokens->next || system_user->tokens->next || user->tokens->next)
		return fault(errors, line, "lists are not possible here");
	mapping = arena_zalloc(ident->arena, sizeof(*mapping));
	if (!mapping)
		return fault(errors, line, "out of memory");
	mapping->map = map->tokens->text;
	mapping->system_user = system_user->tokens;
	mapping->user = user->tokens;
	/* Hung in at once: what is compiled is freed with the whole, whatever follows. */
	*out = mapping;
	return compile(ident->arena, line, mapping->system_user->text, &mapping->system_pattern,
		       errors) &&
	       compile(ident->arena, line, mapping->user->text, &mapping->user_pattern, errors) &&
	       check(line, mapping, errors);
}

struct ident *ident_load(const char *path, const struct authfile_source *source,
			 struct bytes *errors)
{
	const struct authfile_line *lines = NULL;
	struct ident *ident = calloc(1, sizeof(*ident));
	struct mapping **end;
	bool is_sound;

	if (ident)
		ident->arena = arena_create(SIZE_MAX);
	if (!ident || !ident->arena) {
		bytes_printf(errors, "%s: out of memory\n", path);
		ident_destroy(&ident);
		return NULL;
	}
	end = &ident->mappings;
	is_sound = authfile_load(path, source, ident->arena, &lines, errors);
	for (const struct authfile_line *line = lines; line; line = line->next) {
		is_sound &= read_mapping(ident, line, end, errors);
		if (*end)
			end = &(*end)->next;
	}
	if (!is_sound)
		ident_destroy(&ident);
	return ident;
}

void ident_destroy(struct ident **ident_pointer)
{
	struct ident *ident = *ident_pointer;

	*ident_pointer = NULL;
	if (!ident)
		return;
	for (struct mapping *m = ident->mappings; m; m = m->next) {
		if (m->system_pattern)
			regfree(m->system_pattern);
		if (m->user_pattern)
			regfree(m->user_pattern);
	}
	arena_destroy(&ident->arena);
	free(ident);
}

/* --- asking --- */

/*
 * `word` with "\1" replaced by what the group has caught. false: too long for a name, or the
 * group took no part in the match (as in PostgreSQL, hba.c: check_ident_usermap).
 */
static bool expand(const char *word, const char *system_user, const regmatch_t *group,
		   char out[NAME_SIZE])
{
	const char *reference = strstr(word, "\\1");
	int length;

	if (group->rm_so == -1)
		return false;
	length = snprintf(out, NAME_SIZE, "%.*s%.*s%s", (int)(reference - word), word,
			  (int)(group->rm_eo - group->rm_so), system_user + group->rm_so,
			  reference + 2);
	return length >= 0 && length < NAME_SIZE;
}

static bool fits_user(const struct mapping *mapping, const char *system_user,
		      const regmatch_t groups[2], const char *user)
{
	const char *word = mapping->user->text;
	char expanded[NAME_SIZE];
	regmatch_t ignored[2];

	if (mapping->user_pattern)
		return pattern_fits(mapping->user_pattern, user, ignored);
	if (authfile_is_keyword(mapping->user, "all"))
		return true;
	if (!mapping->system_pattern || !has_group_reference(word))
		return strcmp(word, user) == 0;
	return expand(word, system_user, &groups[1], expanded) && strcmp(expanded, user) == 0;
}

static bool fits(const struct mapping *mapping, const char *system_user, const char *user)
{
	regmatch_t groups[2] = { { -1, -1 }, { -1, -1 } };

	if (mapping->system_pattern) {
		if (!pattern_fits(mapping->system_pattern, system_user, groups))
			return false;
	} else if (strcmp(mapping->system_user->text, system_user) != 0) {
		return false;
	}
	return fits_user(mapping, system_user, groups, user);
}

bool ident_allows(const struct ident *ident, const char *map, const char *system_user,
		  const char *user)
{
	if (!map)
		return strcmp(system_user, user) == 0;
	for (const struct mapping *m = ident ? ident->mappings : NULL; m; m = m->next) {
		if (strcmp(m->map, map) == 0 && fits(m, system_user, user))
			return true;
	}
	return false;
}
