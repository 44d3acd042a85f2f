#ifndef POINTSMAN_PROBE_MONITOR_H
#define POINTSMAN_PROBE_MONITOR_H

#include "base/clock.h"
#include "cluster/cluster.h"
#include "net/loop.h"
#include "net/tls.h"

/*
 * Keeps an eye on every node, over libpq's non-blocking interface on the control thread's loop:
 * role, timeline, positions in the WAL, lag. It publishes a new topology whenever something that
 * routing depends on has changed, and at least once an interval while anything is up (staleness
 * rests on fresh positions).
 *
 * No step blocks: names are resolved by libevent's resolver, libpq is given addresses. A node
 * that does not answer within the time-out is down, with the reason; the next probe is tried one
 * interval later (back-off up to eight intervals while it stays down and there is a primary).
 *
 * The highest timeline that a primary had is remembered for the life of a monitor: a primary of
 * an older one has the role "unknown", and so has a node of another database system.
 *
 * Lag (docs/architecture.md, "Freshness"): the primary's insert position is remembered with our
 * own clock at each probe; a replica that has replayed up to r is at most as stale as the newest
 * remembered sample with position <= r is old. No server's clock is believed. A replica that
 * keeps up is probed a tenth of an interval after the primary, and so is known to be at most
 * about 1.1 intervals stale until its next probe.
 */
struct monitor;

struct monitor_node {
	const char *name;
	const char *host;
	int port;
	int weight;
	const char *zone;
};

struct monitor_cluster {
	const char *name;
	const struct monitor_node *nodes;
	size_t n_nodes;
	const char *user;
	const char *password; /* may be NULL */
	const char *database;
	usec interval;
	usec timeout;
	usec lag_preferred;
	usec lag_hard;
	struct tls_settings tls;
};

/* A new picture; the reference is the receiver's. */
typedef void (*monitor_publish)(void *context, struct topology *topology);

/*
 * Starts at once. `clusters` and all it points to must outlive the monitor (they belong to the
 * configuration snapshot). The first topology, all nodes unprobed but literal addresses resolved,
 * is published before it returns. NULL without memory.
 */
struct monitor *monitor_create(struct loop *loop, const struct monitor_cluster *clusters,
			       size_t n_clusters, monitor_publish publish, void *context);

/* Publishes nothing any more. Its memory goes with the loop's next turns. Accepts NULL. */
void monitor_destroy(struct monitor **monitor);

/* Traffic saw something odd on this node (25006, 57P01, a lost connection): probe it now. */
void monitor_poke(struct monitor *monitor, size_t cluster, size_t node);

#endif
