/* Differences between outputs, held against the list of known ones: see compare.h. */
#include "compare.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/support.h"

enum {
	CELLS = 5,
	MODES_MAX = 8
};

struct row {
	char *script;
	char *text;
	char *where;
	bool is_always;
	char seen[MODES_MAX][16]; /* in which modes */
	size_t n_seen;
};

struct list {
	struct row *rows;
	size_t n;
};

/* --- the list --- */

/* A cell without the blanks around it, and without `` if it has them. */
static char *trim_cell(char *cell)
{
	char *end = cell + strlen(cell);

	while (*cell == ' ')
		cell++;
	while (end > cell && end[-1] == ' ')
		end--;
	if (end - cell >= 2 && *cell == '`' && end[-1] == '`') {
		cell++;
		end--;
	}
	*end = '\0';
	return cell;
}

/* The cells of "| a | b |"; a \| is part of a cell. How many there were. */
static size_t split_row(char *line, char *cells[CELLS])
{
	char *to = line, *start = line;
	size_t n = 0;

	for (char *from = line + 1; *from != '\0' && *from != '\n'; from++) {
		if (from[0] == '\\' && from[1] == '|')
			*to++ = *++from;
		else if (*from != '|')
			*to++ = *from;
		else {
			*to++ = '\0';
			if (n < CELLS)
				cells[n] = trim_cell(start);
			n++;
			start = to;
		}
	}
	return n;
}

static bool add_row(struct list *list, char *line)
{
	char *cells[CELLS];
	struct row *row;

	if (split_row(line, cells) != CELLS)
		return false;
	if (strcmp(cells[3], "always") != 0 && strcmp(cells[3], "sometimes") != 0)
		return false;
	list->rows = realloc(list->rows, (list->n + 1) * sizeof(*list->rows));
	row = &list->rows[list->n++];
	*row = (struct row){ .script = strdup(cells[0]),
			     .text = strdup(cells[1]),
			     .where = strdup(cells[2]),
			     .is_always = cells[3][0] == 'a' };
	return row->text[0] != '\0' && cells[4][0] != '\0';
}

struct list *list_load(const char *path)
{
	struct list *list = calloc(1, sizeof(*list));
	char *text = support_read_file(path, NULL);
	char *save = NULL;
	int number = 0;

	if (text == NULL || list == NULL) {
		support_complain("%s: %s", path, strerror(errno));
		goto failed;
	}
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		number++;
		if (strncmp(line, "| `", 3) == 0 && !add_row(list, line)) {
			support_complain("%s: row %d is none of script, text, modes, always or "
					 "sometimes, reason: %s",
					 path, number, line);
			goto failed;
		}
	}
	free(text);
	return list;
failed:
	free(text);
	list_free(&list);
	return NULL;
}

void list_free(struct list **list)
{
	for (size_t i = 0; *list != NULL && i < (*list)->n; i++) {
		free((*list)->rows[i].script);
		free((*list)->rows[i].text);
		free((*list)->rows[i].where);
	}
	if (*list != NULL)
		free((*list)->rows);
	free(*list);
	*list = NULL;
}

static bool is_for(const struct row *row, const char *mode)
{
	return strstr(row->where, mode) != NULL;
}

static bool was_seen(const struct row *row, const char *mode)
{
	for (size_t i = 0; i < row->n_seen; i++) {
		if (strcmp(row->seen[i], mode) == 0)
			return true;
	}
	return false;
}

static void note_seen(struct row *row, const char *mode)
{
	if (!was_seen(row, mode) && row->n_seen < MODES_MAX)
		snprintf(row->seen[row->n_seen++], sizeof(row->seen[0]), "%s", mode);
}

size_t list_check_seen(const struct list *list, const char *mode, char *const *scripts,
		       size_t n_scripts)
{
	size_t missing = 0;

	for (size_t i = 0; i < list->n; i++) {
		const struct row *row = &list->rows[i];
		bool ran = false;

		for (size_t j = 0; j < n_scripts; j++)
			ran = ran || strcmp(scripts[j], row->script) == 0;
		if (!ran || !row->is_always || !is_for(row, mode) || was_seen(row, mode))
			continue;
		printf("%s: %s: listed, but does not differ any more: %s\n", mode, row->script,
		       row->text);
		missing++;
	}
	return missing;
}

/* --- the outputs --- */

/* "*" is any. */
static bool matches(const char *wanted, const char *got, bool part)
{
	return strcmp(wanted, "*") == 0 ||
	       (part ? strstr(got, wanted) != NULL : strcmp(got, wanted) == 0);
}

/* A hunk of diff's normal format, from its "3,4c3,5" to its last line. */
static bool explain(struct list *list, const char *mode, const char *script, const char *hunk)
{
	bool explained = false;

	for (size_t i = 0; i < list->n; i++) {
		struct row *row = &list->rows[i];

		if (!is_for(row, mode) || !matches(row->script, script, false) ||
		    !matches(row->text, hunk, true))
			continue;
		note_seen(row, mode);
		explained = true;
	}
	if (!explained)
		printf("%s: %s differs:\n%s", mode, script, hunk);
	return explained;
}

static bool explain_all(struct list *list, const char *mode, const char *script, char *diff)
{
	bool ok = true;
	char *hunk = diff;

	while (*hunk != '\0') {
		char *end = hunk;
		char first;

		/* Lines of a hunk begin with one of these; its head, with a digit. */
		do {
			end += strcspn(end, "\n");
			end += *end == '\n';
		} while (*end != '\0' && strchr("<>-\\", *end) != NULL);
		first = *end;
		*end = '\0';
		ok = explain(list, mode, script, hunk) && ok;
		*end = first;
		hunk = end;
	}
	return ok;
}

bool list_compare(struct list *list, const char *mode, const char *script, const char *expected,
		  const char *got, const char *diff_path)
{
	const char *const argv[] = { "diff", "-a", expected, got, NULL };
	char *diff;
	bool ok;
	int status;

	status = support_run(&(struct support_command){ .argv = argv, .out = diff_path });
	if (status == 0)
		return true;
	diff = support_read_file(diff_path, NULL);
	if (status != 1 || diff == NULL) {
		printf("%s: %s cannot be compared\n", mode, script);
		free(diff);
		return false;
	}
	ok = explain_all(list, mode, script, diff);
	free(diff);
	return ok;
}
