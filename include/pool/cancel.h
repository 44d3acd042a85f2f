#ifndef POINTSMAN_POOL_CANCEL_H
#define POINTSMAN_POOL_CANCEL_H

#include "net/loop.h"
#include "pool/server.h"

/*
 * Cancel requests to servers: the one place that sends them. A request travels on a connection of
 * its own, outside the limits of the pools (PostgreSQL documentation, "Canceling Requests in
 * Progress"). While it is under way its server may finish what it runs, but is not lent to
 * anybody: see SERVER_PARKED.
 */

/* Why; the words are those of logs and counters. */
enum cancel_reason {
	CANCEL_CLIENT,      /* client_cancel: a CancelRequest */
	CANCEL_DEADLINE,    /* deadline: query_timeout and the like */
	CANCEL_CLIENT_GONE, /* client_gone */
	CANCEL_ADMIN,       /* admin: KILL */
	CANCEL_REASON_COUNT
};

const char *cancel_reason_name(enum cancel_reason reason);

/* Called once, when the server has closed the cancel connection (the signal was sent) or the
 * attempt failed. */
typedef void (*cancel_done)(void *context);

/*
 * Asks the server's node to cancel what it runs. Only for a lent server. When one is under way to
 * it already, that one serves both. `done` may be NULL. The callback may come after the server
 * itself is gone.
 */
void cancel_forward(struct server *server, enum cancel_reason reason, cancel_done done,
		    void *context);

/* The server is closing: its cancels go on alone. */
void cancel_orphan_all(struct server *server);

/* Gives up all that are under way on this thread, which is about to end. */
void cancel_end_all(void);

/* Process-wide, for SHOW and metrics. */
struct cancel_counters {
	unsigned long long sent[CANCEL_REASON_COUNT];
	unsigned long long delivered;
	unsigned long long failed;
	long long in_flight;
};
void cancel_counters_get(struct cancel_counters *out);

#endif
