#ifndef POINTSMAN_ROUTE_ROUTE_H
#define POINTSMAN_ROUTE_ROUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/cluster.h"
#include "sql/hint.h"
#include "sql/verdict.h"

/*
 * The decision where a request goes. route_decide() is the only place that makes it; it is a pure
 * function of what it is given, read as a table from top to bottom (docs/routing.md).
 */

/* Own reasons; those of verdicts come before them in the same enum. */
#define ROUTE_REASONS(X)                                                                  \
	X(HINT_PRIMARY, hint_primary)                                                     \
	X(HINT_REPLICA, hint_replica)                                                     \
	X(HINT_STALE, hint_stale)                                                         \
	X(SPLIT_OFF, split_off)                                                           \
	X(IN_TRANSACTION, in_transaction)                                                 \
	X(TRANSACTION_READ_ONLY, transaction_read_only)                                   \
	X(SESSION_MODE, session_mode)                                                     \
	X(REPLICATION, replication)                                                       \
	X(UNFINISHED_BATCH, unfinished_batch) /* extended messages since the last Sync */ \
	X(PINNED, pinned)                                                                 \
	X(NO_REPLICA_UP, no_replica_up)                                                   \
	X(NO_REPLICA_FRESH, no_replica_fresh)   /* some are up, all lag too much */       \
	X(NO_REPLICA_WEIGHT, no_replica_weight) /* all that are up have weight 0 */       \
	X(NO_PRIMARY, no_primary)                                                         \
	X(LOGIN, login) /* a server is needed to greet a client */

enum route_reason {
#define ROUTE_FROM_VERDICT(upper, lower) ROUTE_VERDICT_##upper,
#define ROUTE_OWN(upper, lower)          ROUTE_##upper,
	VERDICT_REASONS(ROUTE_FROM_VERDICT)
	ROUTE_REASONS(ROUTE_OWN)
#undef ROUTE_FROM_VERDICT
#undef ROUTE_OWN
		ROUTE_REASON_COUNT
};

const char *route_reason_name(enum route_reason reason);

enum route_outcome {
	ROUTE_TO_NODE,
	ROUTE_WAIT,   /* nothing qualifies now and the policy is to wait */
	ROUTE_REFUSE, /* nothing qualifies and the policy is an error */
};

/* `split` of a database: off | hints | auto. (ROUTE_SPLIT_OFF is the reason for staying.) */
enum route_split {
	ROUTE_SPLIT_NEVER,
	ROUTE_SPLIT_HINTS,
	ROUTE_SPLIT_AUTO
};
enum route_no_replica {
	ROUTE_NO_REPLICA_PRIMARY,
	ROUTE_NO_REPLICA_WAIT,
	ROUTE_NO_REPLICA_ERROR
};

/* The transaction that the request begins, where no server is held: its node is chosen with it.
 */
enum route_begin {
	ROUTE_BEGIN_NONE,
	ROUTE_BEGIN_READ_WRITE,
	ROUTE_BEGIN_READ_ONLY, /* ... and neither serializable nor to leave state in its server */
};

/* What a node has to do already, over all workers. */
struct route_load {
	uint32_t in_flight;
	uint32_t waiting;
};

/* Everything the decision may depend on. */
struct route_facts {
	const struct cluster *cluster;
	const struct route_load *loads; /* one for each node; NULL: all idle */
	const struct verdict *verdict; /* the worst of the request's statements; not looked at for
					  held nodes, logins, replication and session mode */
	enum route_begin begin;
	const struct hints *hints; /* merged over all sources; NULL: none */
	enum route_split split;
	enum route_no_replica on_no_replica;
	int held_node; /* >= 0: the session keeps this node (transaction, pin, batch ...) */
	enum route_reason held_reason; /* ... for this reason */
	bool is_session_mode;
	bool is_unfinished;  /* something is executed, its batch goes on behind a Flush with who
				knows what, and the client has not said where it wants it */
	bool is_replication; /* a replication connection looks for its server */
	bool is_login;  /* any server will do to greet a client: the primary, else a replica */
	uint64_t avoid; /* nodes (1 << index) that have just refused a connection */
	usec last_write_at; /* of the session, on our clock; 0: never */
	usec now;
	uint64_t random; /* for the choice among equals */
};

struct route_decision {
	enum route_outcome outcome;
	int node;            /* index into the cluster's nodes; -1 unless ROUTE_TO_NODE */
	enum node_role role; /* of the chosen node, as the topology has it */
	enum route_reason reason;
	/*
	 * A hint `replica` or `stale-allowed` was given, but the request itself may not be read
	 * from one: worth a warning to the client. Not set when a setting or a held server is the
	 * cause.
	 */
	bool hint_overruled;
};

/*
 * Never fails. ROUTE_WAIT with NO_PRIMARY comes whatever `on_no_replica` says; the caller bounds
 * the wait. A held node must be one of this cluster's.
 */
const char *route_split_name(enum route_split split);            /* "off", "hints", "auto" */
const char *route_no_replica_name(enum route_no_replica policy); /* "primary", "wait", "error" */

struct route_decision route_decide(const struct route_facts *facts);

#endif
