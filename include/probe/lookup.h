#ifndef POINTSMAN_PROBE_LOOKUP_H
#define POINTSMAN_PROBE_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "net/loop.h"
#include "net/tls.h"
#include "probe/resolve.h"

/*
 * Asks a server for the secret of a user (auth_query), over libpq's non-blocking interface on the
 * control thread's loop. What is asked at the same time for the same user is asked once. The
 * number of connections, of questions that wait, and the time of each are bounded.
 *
 * The query runs with a pinned search_path and with nothing of the client's but the user's name,
 * which is a bound parameter. (CVE-2025-12819 of PgBouncer: its start-up parameters were in
 * effect, too.)
 */
struct lookups;

/* Connections at a time, over all databases; and idle ones are closed after a while. */
#define LOOKUP_LINES_MAX 8
/* Questions that wait for one of them; more fail at once. */
#define LOOKUP_QUEUE_MAX 1000
#define LOOKUP_NODES_MAX 8

enum lookup_result {
	LOOKUP_FOUND,
	LOOKUP_UNKNOWN, /* there is no such user, or none that may log in */
	LOOKUP_FAILED,  /* nobody knows */
};

struct lookup_answer {
	enum lookup_result result;
	char *secret; /* from malloc, the receiver's to keep or free; NULL: none */
};

struct lookup_node {
	const char *name;
	const char *host; /* for certificates and password files */
	int port;
	struct resolve_address address;
};

/* All of it is copied. */
struct lookup_question {
	const struct lookup_node *nodes; /* in the order in which they are tried */
	size_t n_nodes;
	const char *cluster;
	const char *database; /* where it is asked */
	const char *asker;    /* auth_user */
	const char *password; /* NULL: libpq's default */
	const char *query;
	const char *user;        /* $1 */
	struct tls_settings tls; /* strings of the configuration, which outlives the answer */
	usec timeout;
};

typedef void (*lookup_done)(void *context, struct lookup_answer *answer);

/* NULL without memory. */
struct lookups *lookups_create(struct loop *loop);

/* No answer comes any more; `done` is called once more for each that is due, as failed. */
void lookups_destroy(struct lookups **lookups);

/*
 * `done` comes once, from the loop; what is in the answer it may take (setting it to NULL).
 * false: no memory, or too many questions; then it does not come.
 */
bool lookups_ask(struct lookups *lookups, const struct lookup_question *question,
		 lookup_done done, void *context);

/* A reload: connections of before are not used any more. */
void lookups_reset(struct lookups *lookups);

#endif
