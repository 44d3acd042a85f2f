/*
 * The user list: a text file in PgBouncer's format, read once and immutable from then on. Knows
 * the form of secrets, not how they are proved (password.c, scram.c). Made by the control thread,
 * read by any.
 */

#include "auth/userlist.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/arena.h"
#include "base/bytes.h"
#include "base/strmap.h"

#include "scram_internal.h"

#define FILE_BYTES_MAX ((size_t)64 << 20)
#define READ_BYTES     ((size_t)64 << 10)
#define MD5_SECRET     35 /* "md5" and 32 digits */

/* Lives as long as the configuration that it belongs to; names and secrets lie in the arena. */
struct userlist {
	struct arena *arena;
	struct strmap *by_name;
	struct userlist_user **users; /* in the order of the file */
	size_t count;
	size_t capacity;
};

enum secret_kind secret_kind_of(const char *secret)
{
	struct scram_secret parsed;

	if (secret == NULL || secret[0] == '\0')
		return SECRET_NONE;
	if (strncmp(secret, "md5", 3) == 0 && strlen(secret) == MD5_SECRET &&
	    strspn(secret + 3, "0123456789abcdef") == MD5_SECRET - 3)
		return SECRET_MD5;
	if (scram_secret_parse(secret, &parsed))
		return SECRET_SCRAM;
	return SECRET_PLAIN;
}

/* --- parsing: one line is a record --- */

struct parse {
	struct userlist *list;
	const char *at;
	const char *end; /* of the line that is being read */
	unsigned line;
	char *error_out;
	size_t error_size;
};

/* Always false. What the file says is not repeated: it may be a password. */
static bool fail(struct parse *p, const char *why)
{
	snprintf(p->error_out, p->error_size, "line %u: %s", p->line, why);
	return false;
}

static void skip_blanks(struct parse *p)
{
	while (p->at < p->end && (*p->at == ' ' || *p->at == '\t' || *p->at == '\r'))
		p->at++;
}

/* Where the string that begins at `at` ends: its closing quote. NULL when it has none. */
static const char *find_closing_quote(const char *at, const char *end)
{
	for (; at < end; at++) {
		if (*at != '"')
			continue;
		if (at + 1 == end || at[1] != '"')
			return at;
		at++;
	}
	return NULL;
}

static size_t copy_without_doubling(char *to, const char *from, const char *end)
{
	size_t length = 0;

	while (from < end) {
		to[length++] = *from;
		from += *from == '"' ? 2 : 1;
	}
	to[length] = '\0';
	return length;
}

/* One quoted string; `what` names it in errors. */
static bool read_string(struct parse *p, const char *what, const char **out)
{
	const char *closing;
	char why[64];
	char *text;

	skip_blanks(p);
	if (p->at == p->end || *p->at != '"') {
		snprintf(why, sizeof(why), "%s in double quotes expected", what);
		return fail(p, why);
	}
	closing = find_closing_quote(p->at + 1, p->end);
	if (closing == NULL) {
		snprintf(why, sizeof(why), "%s has no closing quote", what);
		return fail(p, why);
	}
	text = arena_alloc(p->list->arena, (size_t)(closing - p->at));
	if (text == NULL)
		return fail(p, "out of memory");
	copy_without_doubling(text, p->at + 1, closing);
	p->at = closing + 1;
	*out = text;
	return true;
}

static bool make_room(struct userlist *list)
{
	size_t capacity = list->capacity > 0 ? list->capacity * 2 : 16;
	struct userlist_user **users;

	if (list->count < list->capacity)
		return true;
	users = realloc(list->users, capacity * sizeof(struct userlist_user *));
	if (users == NULL)
		return false;
	list->users = users;
	list->capacity = capacity;
	return true;
}

/* The entry of that name, made when it is new. NULL without memory. */
static struct userlist_user *intern_user(struct userlist *list, const char *name)
{
	struct userlist_user *user = strmap_get(list->by_name, name, strlen(name));

	if (user != NULL)
		return user;
	user = arena_zalloc(list->arena, sizeof(*user));
	if (user == NULL || !make_room(list) ||
	    !strmap_set(list->by_name, name, strlen(name), user))
		return NULL;
	user->name = name;
	list->users[list->count++] = user;
	return user;
}

static bool read_user(struct parse *p)
{
	struct userlist_user *user;
	const char *name;
	const char *secret;

	if (!read_string(p, "a user name", &name) || !read_string(p, "a secret", &secret))
		return false;
	if (name[0] == '\0')
		return fail(p, "the user name is empty");
	user = intern_user(p->list, name);
	if (user == NULL)
		return fail(p, "out of memory");
	/* Of two lines with one name the later counts, as in PgBouncer. */
	user->secret = secret;
	user->kind = secret_kind_of(secret);
	return true;
}

static bool read_line(struct parse *p)
{
	if (memchr(p->at, '\0', (size_t)(p->end - p->at)) != NULL)
		return fail(p, "contains a zero byte");
	skip_blanks(p);
	if (p->at == p->end || *p->at == ';' || *p->at == '#')
		return true;
	return read_user(p);
}

static bool read_lines(struct parse *p, const char *text, size_t length)
{
	const char *end = text + length;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));

		p->line++;
		p->at = text;
		p->end = newline != NULL ? newline : end;
		if (!read_line(p))
			return false;
		text = newline != NULL ? newline + 1 : end;
	}
	return true;
}

static struct userlist *create_empty(void)
{
	struct userlist *list = calloc(1, sizeof(*list));

	if (list == NULL)
		return NULL;
	list->arena = arena_create(SIZE_MAX);
	list->by_name = strmap_create();
	if (list->arena == NULL || list->by_name == NULL)
		userlist_destroy(&list);
	return list;
}

struct userlist *userlist_parse(const char *text, size_t length, char *error_out,
				size_t error_size)
{
	struct userlist *list = create_empty();
	struct parse p = { .list = list, .error_out = error_out, .error_size = error_size };

	if (list == NULL)
		snprintf(error_out, error_size, "out of memory");
	else if (!read_lines(&p, text, length))
		userlist_destroy(&list);
	return list;
}

/* --- the file --- */

/* Reads to the end; false with errno set. */
static bool read_all(int fd, struct bytes *out)
{
	ssize_t got;

	do {
		uint8_t chunk[READ_BYTES];

		got = read(fd, chunk, sizeof(chunk));
		if (got == -1 && errno != EINTR)
			return false;
		if (got > 0 && bytes_length(out) + (size_t)got > FILE_BYTES_MAX) {
			errno = EFBIG;
			return false;
		}
		if (got > 0 && !bytes_append(out, chunk, (size_t)got)) {
			errno = ENOMEM;
			return false;
		}
	} while (got != 0);
	return true;
}

static void free_secret_bytes(struct bytes *b)
{
	if (b->data != NULL)
		OPENSSL_cleanse(b->data, b->capacity);
	bytes_free(b);
}

struct userlist *userlist_load(const char *path, char *error_out, size_t error_size)
{
	struct userlist *list = NULL;
	struct bytes contents = { 0 };
	char why[128] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1 || !read_all(fd, &contents)) {
		snprintf(error_out, error_size, "%s: %s", path, strerror(errno));
		goto out;
	}
	/* Ends the last line, and gives even an empty file a buffer to point to. */
	if (bytes_append(&contents, "\n", 1))
		list = userlist_parse((const char *)bytes_begin(&contents),
				      bytes_length(&contents), why, sizeof(why));
	else
		snprintf(why, sizeof(why), "out of memory");
	if (list == NULL)
		snprintf(error_out, error_size, "%s: %s", path, why);
out:
	free_secret_bytes(&contents);
	if (fd != -1)
		close(fd);
	return list;
}

void userlist_destroy(struct userlist **list)
{
	struct userlist *l = *list;

	if (l == NULL)
		return;
	strmap_destroy(&l->by_name);
	arena_destroy(&l->arena);
	free(l->users);
	free(l);
	*list = NULL;
}

/* --- the finished list --- */

const struct userlist_user *userlist_find(const struct userlist *list, const char *name)
{
	return strmap_get(list->by_name, name, strlen(name));
}

size_t userlist_count(const struct userlist *list)
{
	return list->count;
}

const struct userlist_user *userlist_at(const struct userlist *list, size_t index)
{
	return index < list->count ? list->users[index] : NULL;
}
