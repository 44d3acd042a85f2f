#ifndef POINTSMAN_CLUSTER_CLUSTER_H
#define POINTSMAN_CLUSTER_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/clock.h"

/*
 * The picture of all nodes that the data plane routes by: an immutable snapshot, published by
 * the control thread whenever something in it changes and swapped whole, with a reference count.
 * Pure data: whoever probes makes it, whoever routes reads it.
 */

enum node_role {
	NODE_ROLE_UNKNOWN,
	NODE_ROLE_PRIMARY,
	NODE_ROLE_REPLICA
};
enum node_state {
	NODE_STATE_UNPROBED, /* no probe has answered yet */
	NODE_STATE_UP,
	NODE_STATE_DOWN,
};

struct node {
	const char *name;
	const char *host;
	int port;
	int weight;
	const char *zone;

	/* Where to connect; address_length 0 while the name is not resolved. */
	struct sockaddr_storage address;
	socklen_t address_length;

	enum node_role role;
	enum node_state state;
	char why[96];    /* of the last change of state: "probe answered", an error text */
	usec changed_at; /* of the last change of role or state */
	uint64_t lsn;    /* primary: insert position; replica: replayed up to; 0: unknown */
	uint32_t timeline;
	uint64_t lag_bytes; /* replica: behind the newest sample of the primary */
	usec lag;           /* replica: at most this stale when it was last probed; -1: unknown */
	usec probed_at;     /* of the last answer */
	usec rtt;           /* of the last probe */
};

struct cluster {
	const char *name;
	struct node *nodes;
	size_t n_nodes;
	int primary; /* index into nodes, -1: there is none */
	usec lag_preferred;
	usec lag_hard;
};

struct topology {
	struct cluster *clusters; /* in the order of the configuration */
	size_t n_clusters;
	uint64_t version;
};

/*
 * An empty topology: n_clusters clusters with `node_counts[i]` nodes each, all unprobed, strings
 * NULL. For its maker to fill, through topology_string(). One reference, the caller's. NULL
 * without memory.
 */
struct topology *topology_create(size_t n_clusters, const size_t *node_counts);

/* A deep copy to change and publish; version + 1. NULL without memory. */
struct topology *topology_copy(const struct topology *from);

/* Copies text into the topology's own memory. NULL without memory. */
const char *topology_string(struct topology *topology, const char *text);

struct topology *topology_ref(struct topology *topology);
void topology_unref(struct topology **topology);

/* Sets cluster->primary by the roles of its nodes that are up: the one with the highest timeline;
 * two with the same: none. */
void cluster_elect_primary(struct cluster *cluster);

/* How stale a replica's answers are at most at `now`: its lag when probed plus the time since.
 * -1: unknown. */
usec node_staleness(const struct node *node, usec now);

const char *node_role_name(enum node_role role); /* "unknown", "primary", "replica" */
const char *node_state_name(enum node_state state);

#endif
