#ifndef POINTSMAN_ADMIN_OWNERS_H
#define POINTSMAN_ADMIN_OWNERS_H

#include <stdbool.h>
#include <stddef.h>

#include "session/env.h"

/*
 * From pools, which go by the names of the servers, back to the databases as clients name them.
 * Several databases may share a pool; the one whose name comes first is then its owner, so that
 * its servers are counted once. Made when needed on a worker's thread, and used at once.
 */
struct owners {
	struct session_identity **list; /* in the order of their pools' keys */
	size_t n;
};

/* false without memory. */
bool owners_make(struct owners *owners, const struct session_env *env);
void owners_free(struct owners *owners);

/* NULL when no client has come by this way. */
const struct session_identity *owners_find(const struct owners *owners, const struct pool *pool);

/* Is it a pool of this database, alone or with others? */
bool owners_have(const struct owners *owners, const struct pool *pool,
		 const struct session_database *database);

#endif
