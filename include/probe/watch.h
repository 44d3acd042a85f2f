#ifndef POINTSMAN_PROBE_WATCH_H
#define POINTSMAN_PROBE_WATCH_H

#include "base/clock.h"
#include "net/loop.h"
#include "net/tls.h"
#include "probe/lag.h"
#include "probe/resolve.h"

/*
 * Watching one node: its name is resolved, a connection is opened and kept, and once an interval
 * it is asked for its role and positions. What the answers mean for the cluster is the monitor's
 * business.
 *
 * One probe ends in exactly one of answered() and failed(), within `timeout`. A node that has
 * answered the last time is tried twice before a probe fails: a connection that is lost, idle or
 * not, is replaced at once, and a silent one after half of the time.
 */
struct watch;

/* Must outlive the watch. */
struct watch_config {
	const char *name;
	const char *host;
	int port;
	const char *user;
	const char *password; /* may be NULL */
	const char *database;
	usec interval;
	usec timeout;
	struct tls_settings tls;
};

struct watch_handler {
	/* asked_at is before the server looked. */
	void (*answered)(void *context, const struct probe_answer *answer, usec asked_at);
	/* Returns after what time the next probe shall begin. */
	usec (*failed)(void *context, const char *why);
	/* The name has an address now that it did not have. */
	void (*resolved)(void *context);
};

/* Begins at once; no callback comes before the loop's next turn. NULL without memory. */
struct watch *watch_create(struct loop *loop, struct resolver *resolver,
			   const struct watch_config *config, const struct watch_handler *handler,
			   void *context);

/* Not out of its own callbacks. Accepts NULL. */
void watch_destroy(struct watch **watch);

/* Where the node answered last, else where it will be tried; NULL while its name is not resolved.
 */
const struct resolve_address *watch_address(const struct watch *watch);

/* Probes as soon as can be: now, or once more after the probe that is under way. */
void watch_probe_soon(struct watch *watch);

/* Brings the next probe forward, to `delay` from now; never puts it off, and only while the node
 * is up. */
void watch_probe_within(struct watch *watch, usec delay);

#endif
