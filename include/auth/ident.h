#ifndef POINTSMAN_AUTH_IDENT_H
#define POINTSMAN_AUTH_IDENT_H

#include <stdbool.h>

#include "auth/authfile.h"

/*
 * Which names of the outside (of a certificate, of a user of the operating system) may log in as
 * which users: a file in the format of pg_ident.conf. Immutable once loaded; any thread may ask.
 * "+role" is not supported and an error.
 */
struct ident;

/* NULL: `errors` has a line "file:line: what" for each mistake. */
struct ident *ident_load(const char *path, const struct authfile_source *source,
			 struct bytes *errors);
void ident_destroy(struct ident **ident);

/*
 * May `system_user` log in as `user`? Without a map (NULL): when the names are the same. `ident`
 * may be NULL: no map has any line.
 */
bool ident_allows(const struct ident *ident, const char *map, const char *system_user,
		  const char *user);

#endif
