#ifndef POINTSMAN_AUTH_USERLIST_H
#define POINTSMAN_AUTH_USERLIST_H

#include <stdbool.h>
#include <stddef.h>

/*
 * The user list, in PgBouncer's format: one "user" "secret" per line; quotes are doubled inside;
 * ';' and '#' begin a comment line; anything after the second string is ignored. A secret is a
 * password in clear text, "md5" and 32 hex digits, or
 * "SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey". Immutable once loaded.
 */
struct userlist;

enum secret_kind {
	SECRET_NONE,
	SECRET_PLAIN,
	SECRET_MD5,
	SECRET_SCRAM
};

struct userlist_user {
	const char *name;
	const char *secret;
	enum secret_kind kind;
};

/* Parses the file's contents. NULL on error: error_out (error_size bytes) has "line N: why". */
struct userlist *userlist_parse(const char *text, size_t length, char *error_out,
				size_t error_size);

/* Reads and parses the file; error_out names it. */
struct userlist *userlist_load(const char *path, char *error_out, size_t error_size);
void userlist_destroy(struct userlist **list);

/* NULL when there is no such user. */
const struct userlist_user *userlist_find(const struct userlist *list, const char *name);
size_t userlist_count(const struct userlist *list);
const struct userlist_user *userlist_at(const struct userlist *list, size_t index);

enum secret_kind secret_kind_of(const char *secret);

#endif
