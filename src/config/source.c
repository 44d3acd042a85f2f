/*
 * Reads a configuration file and what it includes into one text for libconfig, keeping the map
 * from its lines to files. It knows as much of the syntax as that needs: comments, strings,
 * names and numbers. What the text means is for load.c.
 * Runs in the control thread, and in the command line's -t and -T.
 */
#include "config/source.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/problems.h"

/* All included files together: far more than the largest configuration (4096 databases) has. */
#define TEXT_BYTES_MAX  ((size_t)4 << 20)
#define INCLUDE_DEPTH   10
#define INCLUDE_FILES   1000
#define INCLUDE_KEYWORD "@include"

/* One file that is being copied to the text. */
struct scan {
	struct source *source;
	struct problems *problems;
	const char *at;
	const char *end;
	size_t file;
	unsigned line; /* of the file */
	int depth;
};

static bool scan_text(struct scan *scan);

/* --- files --- */

static const char *read_all(int fd, size_t limit, struct bytes *out)
{
	for (;;) {
		uint8_t *room = bytes_reserve(out, 65536);
		ssize_t n;

		if (room == NULL)
			return strerror(ENOMEM);
		n = read(fd, room, 65536);
		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return strerror(errno);
		if (n == 0)
			return NULL;
		if ((size_t)n > limit)
			return "it is too large";
		if (memchr(room, 0, (size_t)n))
			return "it has a NUL byte";
		limit -= (size_t)n;
		out->end += (size_t)n;
	}
}

const char *source_read_contents(const char *path, size_t limit, struct bytes *out)
{
	const char *why;
	struct stat status;
	/* O_NONBLOCK: a pipe without a writer must not hold up the control thread. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd == -1)
		return strerror(errno);
	if (fstat(fd, &status) == -1)
		why = strerror(errno);
	else if (!S_ISREG(status.st_mode))
		why = "it is not a regular file";
	else
		why = read_all(fd, limit, out);
	close(fd);
	return why;
}

char *source_directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *written;
	char *resolved;

	if (slash == NULL)
		written = strdup(".");
	else
		written = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (written == NULL)
		return NULL;
	resolved = realpath(written, NULL);
	if (resolved == NULL)
		return written;
	free(written);
	return resolved;
}

char *source_path_join(const char *directory, const char *name)
{
	char *joined;
	size_t length;

	if (name[0] == '/')
		return strdup(name);
	length = strlen(directory) + 1 + strlen(name) + 1;
	joined = malloc(length);
	if (joined == NULL)
		return NULL;
	strcpy(joined, directory);
	if (strcmp(directory, "/") != 0)
		strcat(joined, "/");
	return strcat(joined, name);
}

/* --- the text and its map --- */

static bool add_segment(struct scan *scan)
{
	struct source *source = scan->source;
	struct source_segment *segments;

	segments = realloc(source->segments, (source->n_segments + 1) * sizeof(*segments));
	if (segments == NULL) {
		problems_add(scan->problems, 0, "%s", strerror(ENOMEM));
		return false;
	}
	source->segments = segments;
	segments[source->n_segments++] =
		(struct source_segment){ source->line, scan->file, scan->line };
	return true;
}

static bool add_file(struct source *source, const char *name, size_t *index_out)
{
	char **files = realloc(source->files, (source->n_files + 1) * sizeof(*files));

	if (files == NULL)
		return false;
	source->files = files;
	files[source->n_files] = strdup(name);
	if (files[source->n_files] == NULL)
		return false;
	*index_out = source->n_files++;
	return true;
}

/* Copies what the scanner has seen; counts its lines. */
static void copy_until(struct scan *scan, const char *until)
{
	for (const char *c = scan->at; c < until; c++) {
		if (*c == '\n') {
			scan->line++;
			scan->source->line++;
		}
	}
	bytes_append(&scan->source->text, scan->at, (size_t)(until - scan->at));
	scan->at = until;
}

static bool starts_with(const struct scan *scan, const char *word)
{
	size_t length = strlen(word);

	return (size_t)(scan->end - scan->at) >= length && memcmp(scan->at, word, length) == 0;
}

/* --- comments and strings --- */

static void copy_line(struct scan *scan)
{
	const char *newline = memchr(scan->at, '\n', (size_t)(scan->end - scan->at));

	copy_until(scan, newline ? newline : scan->end);
}

static bool copy_comment(struct scan *scan)
{
	const char *close = memmem(scan->at + 2, (size_t)(scan->end - scan->at) - 2, "*/", 2);

	if (close == NULL) {
		problems_add(scan->problems, scan->source->line, "the comment is not closed");
		return false;
	}
	copy_until(scan, close + 2);
	return true;
}

/* libconfig takes a string over several lines; here a forgotten quote is found where it is. */
static bool copy_string(struct scan *scan)
{
	const char *c = scan->at + 1;

	while (c < scan->end && *c != '"' && *c != '\n')
		c += (*c == '\\' && c + 1 < scan->end && c[1] != '\n') ? 2 : 1;
	if (c >= scan->end || *c != '"') {
		problems_add(scan->problems, scan->source->line,
			     "the string is not closed on its line");
		return false;
	}
	copy_until(scan, c + 1);
	return true;
}

/* --- names and numbers --- */

static void copy_name(struct scan *scan)
{
	const char *c = scan->at;

	while (c < scan->end && (isalnum((unsigned char)*c) || strchr("-_*", *c)))
		c++;
	copy_until(scan, c);
}

/* Behind the digits: does a fraction or an exponent follow? */
static bool is_float_tail(const char *c, const char *end)
{
	if (c == end)
		return false;
	if (*c == '.')
		return true;
	if (*c != 'e' && *c != 'E')
		return false;
	c++;
	if (c < end && (*c == '+' || *c == '-'))
		c++;
	return c < end && isdigit((unsigned char)*c);
}

static void copy_float(struct scan *scan, const char *c)
{
	while (c < scan->end && (isalnum((unsigned char)*c) || strchr("+-.", *c)))
		c++;
	copy_until(scan, c);
}

static const char *digits_end(const struct scan *scan, int *base_out)
{
	const char *c = scan->at;
	bool is_hex;

	if (c < scan->end && (*c == '+' || *c == '-'))
		c++;
	is_hex = scan->end - c > 2 && c[0] == '0' && (c[1] == 'x' || c[1] == 'X') &&
		 isxdigit((unsigned char)c[2]);
	if (is_hex)
		c += 2;
	while (c < scan->end &&
	       (is_hex ? isxdigit((unsigned char)*c) : isdigit((unsigned char)*c)))
		c++;
	*base_out = is_hex ? 16 : 10;
	return c;
}

static bool copy_number(struct scan *scan)
{
	char digits[32] = "";
	int base;
	const char *tail = digits_end(scan, &base);
	size_t length = (size_t)(tail - scan->at);
	bool is_wide;
	long long value;

	if (base == 10 && is_float_tail(tail, scan->end)) {
		copy_float(scan, tail);
		return true;
	}
	errno = length < sizeof(digits) ? 0 : ERANGE;
	memcpy(digits, scan->at, length < sizeof(digits) ? length : sizeof(digits) - 1);
	value = strtoll(digits, NULL, base);
	if (errno == ERANGE) {
		problems_add(scan->problems, scan->source->line, "the number %s%s is too large",
			     digits, length < sizeof(digits) ? "" : "...");
		return false;
	}
	is_wide = tail < scan->end && *tail == 'L';
	copy_until(scan, tail);
	if (!is_wide && (value > INT_MAX || value < INT_MIN))
		bytes_append_text(&scan->source->text, "L");
	return true;
}

/* --- @include --- */

static bool include_fail(struct scan *scan, const char *name, const char *why)
{
	problems_add(scan->problems, scan->source->line, "cannot include \"%s\": %s", name, why);
	return false;
}

static size_t room_left(const struct bytes *text)
{
	size_t length = bytes_length(text);

	return length < TEXT_BYTES_MAX ? TEXT_BYTES_MAX - length : 0;
}

/* Copies the whole of another file at this point, with a newline behind it that it may lack. */
static bool include_file(struct scan *scan, const char *name)
{
	struct source *source = scan->source;
	struct scan inner = *scan;
	struct bytes contents = { 0 };
	char *path = source_path_join(source->directory, name);
	const char *why = NULL;
	bool ok = false;

	if (path == NULL)
		why = strerror(ENOMEM);
	else if (scan->depth >= INCLUDE_DEPTH)
		why = "the files include each other too deeply";
	else if (source->n_files >= INCLUDE_FILES)
		why = "too many files";
	else
		why = source_read_contents(path, room_left(&source->text), &contents);
	if (why) {
		include_fail(scan, name, why);
		goto out;
	}
	inner.depth++;
	inner.line = 1;
	inner.at = (const char *)bytes_begin(&contents);
	inner.end = inner.at + bytes_length(&contents);
	if (!add_file(source, path, &inner.file)) {
		include_fail(scan, name, strerror(ENOMEM));
		goto out;
	}
	ok = add_segment(&inner) && scan_text(&inner);
	bytes_append_text(&source->text, "\n");
	source->line++;
out:
	bytes_free(&contents);
	free(path);
	return ok;
}

/* `@include "name"` at the begin of a line; what follows the name stays where it is. */
static bool scan_include(struct scan *scan)
{
	const char *open = scan->at + strlen(INCLUDE_KEYWORD);
	const char *close;
	char name[PATH_MAX];
	bool ok;

	while (open < scan->end && (*open == ' ' || *open == '\t'))
		open++;
	close = open + 1;
	while (close < scan->end && *close != '"' && *close != '\n' && *close != '\\')
		close++;
	if (open >= scan->end || *open != '"' || close >= scan->end || *close != '"') {
		problems_add(scan->problems, scan->source->line,
			     "@include needs the name of a file in double quotes");
		return false;
	}
	if ((size_t)(close - open) > sizeof(name))
		return include_fail(scan, "...", "the name is too long");
	memcpy(name, open + 1, (size_t)(close - open) - 1);
	name[close - open - 1] = '\0';
	scan->at = close + 1;
	ok = include_file(scan, name);
	return add_segment(scan) && ok;
}

/* --- all of it --- */

static void copy_spaces(struct scan *scan)
{
	const char *c = scan->at;

	while (c < scan->end && (*c == ' ' || *c == '\t'))
		c++;
	copy_until(scan, c);
}

static bool scan_token(struct scan *scan)
{
	char c = *scan->at;

	if (c == '"')
		return copy_string(scan);
	if (starts_with(scan, "/*"))
		return copy_comment(scan);
	if (c == '#' || starts_with(scan, "//"))
		copy_line(scan);
	else if (isalpha((unsigned char)c) || c == '*' || c == '_')
		copy_name(scan);
	else if (isdigit((unsigned char)c) || c == '-' || c == '+')
		return copy_number(scan);
	else if (c == '.')
		copy_float(scan, scan->at + 1);
	else
		copy_until(scan, scan->at + 1);
	return true;
}

/*
 * A sign or a dot that begins no number is copied by the same functions: libconfig then finds
 * fault with it. Each step copies one byte or more, so this ends.
 */
static bool scan_text(struct scan *scan)
{
	bool is_line_begin = true;
	bool ok = true;

	while (ok) {
		copy_spaces(scan);
		if (scan->at == scan->end)
			break;
		if (is_line_begin && starts_with(scan, INCLUDE_KEYWORD))
			ok = scan_include(scan);
		else
			ok = scan_token(scan);
		is_line_begin = ok && scan->at[-1] == '\n';
	}
	return ok;
}

/* Puts the main file's name and directory in place. */
static bool source_begin(struct source *source, const char *path, struct problems *problems)
{
	size_t file;

	*source = (struct source){ .line = 1 };
	source->directory = source_directory_of(path);
	if (source->directory && add_file(source, path, &file))
		return true;
	problems_add(problems, 0, "%s", strerror(ENOMEM));
	return false;
}

static bool source_scan(struct source *source, const char *text, size_t length,
			struct problems *problems)
{
	struct scan scan = { source, problems, text, text + length, 0, 1, 0 };
	bool ok = add_segment(&scan) && scan_text(&scan);

	bytes_append(&source->text, "", 1);
	if (source->text.failed)
		problems_add(problems, 0, "%s", strerror(ENOMEM));
	return ok && !source->text.failed;
}

bool source_read_file(struct source *source, const char *path, struct problems *problems)
{
	struct bytes contents = { 0 };
	const char *why;
	bool ok = false;

	if (!source_begin(source, path, problems))
		return false;
	why = source_read_contents(path, TEXT_BYTES_MAX, &contents);
	if (why)
		problems_add(problems, 0, "cannot read the file: %s", why);
	else
		ok = source_scan(source, (const char *)bytes_begin(&contents),
				 bytes_length(&contents), problems);
	bytes_free(&contents);
	return ok;
}

bool source_read_text(struct source *source, const char *path, const char *text, size_t length,
		      struct problems *problems)
{
	if (!source_begin(source, path, problems))
		return false;
	if (length > TEXT_BYTES_MAX || memchr(text, 0, length)) {
		problems_add(problems, 0, "cannot read the text: %s",
			     length > TEXT_BYTES_MAX ? "it is too large" : "it has a NUL byte");
		return false;
	}
	return source_scan(source, text, length, problems);
}

struct source_place source_place_of(const struct source *source, unsigned line)
{
	const char *file = source->n_files ? source->files[0] : "configuration";
	size_t low = 0;
	size_t high = source->n_segments;

	if (line == 0 || high == 0)
		return (struct source_place){ file, 1 };
	/* the last segment that begins at or before the line */
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (source->segments[middle].begins <= line)
			low = middle;
		else
			high = middle;
	}
	return (struct source_place){ source->files[source->segments[low].file],
				      source->segments[low].line + line -
					      source->segments[low].begins };
}

void source_free(struct source *source)
{
	for (size_t i = 0; i < source->n_files; i++)
		free(source->files[i]);
	free(source->files);
	free(source->segments);
	free(source->directory);
	bytes_free(&source->text);
	*source = (struct source){ 0 };
}
