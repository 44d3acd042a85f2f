#ifndef POINTSMAN_POOL_SHARE_H
#define POINTSMAN_POOL_SHARE_H

#include <stdatomic.h>
#include <stdbool.h>
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
 * A limit that several pools of a node share: all servers of a database (max_db_connections), or
 * of a user (max_user_connections).
 */
struct pool_cap {
	atomic_int limit; /* 0: none */
	atomic_int servers;
	atomic_bool
		is_wanted; /* somebody waits for it: a pool with idle servers is to close one */
};

struct pool_share {
	atomic_int references;
	atomic_int limit;
	atomic_int servers;            /* open or being opened, all workers */
	struct pool_cap *database_cap; /* the registry's */
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
 * that one of them is spent. Where it is one of the latter, it is marked as wanted.
 */
bool pool_share_take(struct pool_share *share);
void pool_share_give_back(struct pool_share *share);

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
