#ifndef POINTSMAN_WORKER_SNAPSHOT_H
#define POINTSMAN_WORKER_SNAPSHOT_H

#include "auth/hba.h"
#include "auth/ident.h"
#include "auth/userlist.h"
#include "config/config.h"
#include "net/tls.h"

/*
 * All that a reload replaces: the configuration and the user list that goes with it. Immutable;
 * every thread that uses one holds a reference.
 */
struct snapshot {
	struct config *config;
	struct userlist *users;        /* NULL: there is no list */
	struct hba *hba;               /* NULL: there is no file of rules */
	struct ident *ident;           /* NULL: no map has any line */
	struct snapshot *users_owner;  /* these three are this one's; NULL: our own */
	struct tls_pair tls;           /* one reference each */
	int references;                /* atomic */
	unsigned long long generation; /* one more with each reload */
};

/*
 * Loads the configuration file, its user list, and the files of rules and maps. NULL on error:
 * every one is a line in `errors`. One reference, the caller's.
 */
struct snapshot *snapshot_load(const char *path, struct bytes *errors);

/*
 * One with another configuration (a reference is taken over) and the same users, rules
 * and maps; files of
 * certificates are read only where their options differ. NULL on error, with a text in error_out.
 */
struct snapshot *snapshot_with_config(const struct snapshot *from, struct config *config,
				      char *error_out, size_t error_size);

struct snapshot *snapshot_ref(struct snapshot *snapshot);
void snapshot_unref(struct snapshot **snapshot);

#endif
