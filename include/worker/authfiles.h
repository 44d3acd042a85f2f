#ifndef POINTSMAN_WORKER_AUTHFILES_H
#define POINTSMAN_WORKER_AUTHFILES_H

#include "auth/hba.h"
#include "auth/ident.h"
#include "base/bytes.h"

/*
 * The files of authentication on disk: opens what auth/hba.h and auth/ident.h read, and knows the
 * addresses of this machine. Control thread, at start and at a reload. NULL: `errors` says why, a
 * line "file:line: what" for each mistake.
 */
struct hba *authfiles_load_hba(const char *path, struct bytes *errors);
struct ident *authfiles_load_ident(const char *path, struct bytes *errors);

#endif
