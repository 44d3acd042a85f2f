#ifndef POINTSMAN_POOL_SHARE_H
#define POINTSMAN_POOL_SHARE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

/*
 * What the workers' pools of one key have in common: the budget of servers, and who is waiting
 * or has something to give. All of it is atomic; no list is shared. Two rules keep a waiter from
 * being forgotten between two threads (each side writes first and looks second, sequentially
 * consistent, so at least one of them sees the other):
 *
 *   who begins to wait      publishes oldest_wait, then looks for idle servers and for budget
 *   who has one to give     publishes idle (or gives budget back), then looks for waiters
 */

#define POOL_WORKERS_MAX 64

struct pool_key {
	unsigned cluster; /* indexes of the configuration in effect ... */
	unsigned node;
	const char *node_name; /* ... and the names that say which node it really is */
	const char *cluster_name;
	const char *database; /* on the server */
	const char *user;
	/* Of one server that listens for everybody (pool/listening.h), apart from those that are
	 * lent. */
	bool is_for_listening;
};

struct pool_share_slot {
	_Atomic usec oldest_wait; /* since when this worker's first waiter waits; 0: nobody */
	atomic_int idle;          /* idle servers this worker has */
	atomic_bool is_offered;   /* a server is on its way to this worker: one at a time */
};

/*
 * A limit that several pools share: the servers of a database at a node (max_db_connections), or
 * of a user at a node (max_user_connections); or one of clients: of a database
 * (max_db_client_connections), or of a user (max_user_client_connections).
 */
struct pool_cap {
	atomic_int references;
	atomic_int limit; /* 0: none */
	atomic_int taken;
	atomic_bool
		is_wanted; /* somebody waits for it: a pool with idle servers is to close one */
	size_t name_length;
	char name[]; /* its key in the registry */
};

struct pool_share {
	atomic_int references;
	atomic_int limit;
	atomic_int reserve;             /* more than that, for who has waited for long */
	atomic_int servers;             /* open or being opened, all workers */
	_Atomic usec last_lifetime_end; /* the lifetime of one of them was over; 0: of none yet */
	struct pool_cap *database_cap;  /* the registry's */
	struct pool_cap *user_cap;
	struct pool_share_slot slots[POOL_WORKERS_MAX];
	char *name; /* the key, as text */
};

/* How much a node has to do, over all workers and pools: what routing weighs. */
struct pool_node_load {
	atomic_uint in_flight; /* servers lent */
	atomic_uint waiting;
};

/* All shares of the process; its lock (docs/threads.md) is held only to find or drop one. */
struct pool_registry;

/* NULL without memory. */
struct pool_registry *pool_registry_create(void);
void pool_registry_destroy(struct pool_registry **registry);

/* The key as one text of five strings with their NULs: the key of maps. */
struct bytes;
bool pool_key_text(const struct pool_key *key, struct bytes *out);

/* Finds or makes the share of a key. One reference, the caller's. NULL without memory. */
struct pool_share *pool_share_get(struct pool_registry *registry, const struct pool_key *key);
void pool_share_ref(struct pool_share *share);
void pool_share_put(struct pool_registry *registry, struct pool_share **share);

/* The load of a node by its names. Never freed before the registry. NULL without memory. */
struct pool_node_load *pool_node_load_get(struct pool_registry *registry,
					  const char *cluster_name, const char *node_name);

/*
 * Takes one server out of the budget, and out of what the database and the user may have; or says
 * that one of them is spent. Where it is one of the latter, it is marked as wanted. The second
 * takes none when there are `ceiling` servers already, which may be less than the limit (a
 * minimum that several workers fill at once) or more (the reserve).
 */
bool pool_share_take(struct pool_share *share);
bool pool_share_take_below(struct pool_share *share, int ceiling);
void pool_share_give_back(struct pool_share *share);

/* Are there more servers than may be (a limit has been lowered)? The reserve may be. */
bool pool_share_has_too_many(const struct pool_share *share);

/*
 * May the server whose lifetime is over be closed now? Not when another one was less than `gap`
 * ago: a pool that was filled at once is not to be emptied at once. What says yes counts.
 */
bool pool_share_may_end_lifetime(struct pool_share *share, usec now, usec gap);

/* --- limits of clients --- */

enum pool_client_cap {
	POOL_CAP_DATABASE, /* as clients name it */
	POOL_CAP_USER,
};

/* Finds or makes it. One reference, the caller's. NULL without memory. */
struct pool_cap *pool_client_cap_get(struct pool_registry *registry, enum pool_client_cap kind,
				     const char *name);
/* Sets the pointer to NULL; accepts NULL. */
void pool_client_cap_put(struct pool_registry *registry, struct pool_cap **cap);

/* Counts one in; false: the limit is reached. */
bool pool_client_cap_take(struct pool_cap *cap);
void pool_client_cap_give_back(struct pool_cap *cap);

/* Does another pool wait for a server that this one has and does not need? Then, once, true. */
bool pool_share_is_asked_for_one(struct pool_share *share);

/*
 * The worker, of 0..n-1, whose first waiter has waited longest, -1: nobody waits. `own` is
 * preferred to a waiter elsewhere that came less than `tolerance` before its own first one:
 * crossing threads costs more than that. Workers that a server is on its way to are left out.
 */
int pool_share_next_waiter(const struct pool_share *share, int n, int own, usec tolerance);

/* A worker other than `own` that has idle servers; -1: none. */
int pool_share_find_idle(const struct pool_share *share, int n, int own);

#endif
