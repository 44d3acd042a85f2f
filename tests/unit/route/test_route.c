/*
 * The decision as a table: each row names the rule that it exercises, in the order of
 * route_decide(), and differs from the fixture (a primary and two good replicas, `split = auto`)
 * only in what it says. Then: which replica, over 10,000 draws; and what must hold for every
 * combination of facts.
 */

#include "route/route.h"

#include <string.h>

#include "../unit.h"

#define NOW  (1000 * USEC_PER_SEC)
#define SECS USEC_PER_SEC

/* --- the fixture --- */

enum {
	PRIMARY,
	REPLICA_A,
	REPLICA_B,
	N_NODES
};

static struct node nodes[N_NODES];
static struct cluster cluster;

static void fresh_node(struct node *node, enum node_role role)
{
	*node = (struct node){
		.weight = 100,
		.address_length = 16,
		.role = role,
		.state = NODE_STATE_UP,
		.timeline = 1,
		.lag = 0,
		.probed_at = NOW - SECS / 2,
	};
}

static void setup(void)
{
	cluster = (struct cluster){ .nodes = nodes,
				    .n_nodes = N_NODES,
				    .primary = PRIMARY,
				    .lag_preferred = 1 * SECS,
				    .lag_hard = 10 * SECS };
	fresh_node(&nodes[PRIMARY], NODE_ROLE_PRIMARY);
	fresh_node(&nodes[REPLICA_A], NODE_ROLE_REPLICA);
	fresh_node(&nodes[REPLICA_B], NODE_ROLE_REPLICA);
}

/* What is wrong with the cluster. */
enum picture {
	WELL,
	NO_PRIMARY_AT_ALL,
	PRIMARY_UNRESOLVED,
	REPLICAS_DOWN,
	REPLICAS_UNPROBED,
	REPLICAS_UNRESOLVED,
	REPLICAS_WEIGHTLESS,
	REPLICAS_NEGATIVE, /* weights */
	REPLICAS_UNKNOWN_LAG,
	REPLICAS_NEVER_PROBED,
	REPLICAS_3S, /* behind: more than preferred, less than hard */
	REPLICAS_8S, /* ... and more than stale-allowed has by default */
	REPLICAS_60S,
	REPLICAS_PROMOTED, /* two primaries more, which nobody elected */
	B_ONLY,            /* A is down */
	UP_BUT_WEIGHTLESS_OR_STALE,
	NOTHING_UP,
	PICTURES,
};

static void each_replica(void (*change)(struct node *))
{
	change(&nodes[REPLICA_A]);
	change(&nodes[REPLICA_B]);
}

static void go_down(struct node *node)
{
	node->state = NODE_STATE_DOWN;
}

static void go_unprobed(struct node *node)
{
	node->state = NODE_STATE_UNPROBED;
}

static void lose_address(struct node *node)
{
	node->address_length = 0;
}

static void lose_weight(struct node *node)
{
	node->weight = 0;
}

static void go_negative(struct node *node)
{
	node->weight = -5;
}

static void lose_lag(struct node *node)
{
	node->lag = -1;
}

static void lose_probe(struct node *node)
{
	node->probed_at = 0;
}

static void lag_3s(struct node *node)
{
	node->lag = 3 * SECS;
}

static void lag_8s(struct node *node)
{
	node->lag = 8 * SECS;
}

static void lag_60s(struct node *node)
{
	node->lag = 60 * SECS;
}

static void be_promoted(struct node *node)
{
	node->role = NODE_ROLE_PRIMARY;
}

static void paint(enum picture picture)
{
	static void (*const changes[PICTURES])(struct node *) = {
		[REPLICAS_DOWN] = go_down,
		[REPLICAS_UNPROBED] = go_unprobed,
		[REPLICAS_UNRESOLVED] = lose_address,
		[REPLICAS_WEIGHTLESS] = lose_weight,
		[REPLICAS_NEGATIVE] = go_negative,
		[REPLICAS_UNKNOWN_LAG] = lose_lag,
		[REPLICAS_NEVER_PROBED] = lose_probe,
		[REPLICAS_3S] = lag_3s,
		[REPLICAS_8S] = lag_8s,
		[REPLICAS_60S] = lag_60s,
		[REPLICAS_PROMOTED] = be_promoted,
		[NOTHING_UP] = go_down,
	};

	setup();
	if (changes[picture] != NULL)
		each_replica(changes[picture]);
	if (picture == NO_PRIMARY_AT_ALL || picture == NOTHING_UP)
		cluster.primary = -1;
	if (picture == PRIMARY_UNRESOLVED)
		lose_address(&nodes[PRIMARY]);
	if (picture == B_ONLY)
		go_down(&nodes[REPLICA_A]);
	if (picture == UP_BUT_WEIGHTLESS_OR_STALE) {
		lose_weight(&nodes[REPLICA_A]);
		lag_60s(&nodes[REPLICA_B]);
	}
}

/* --- the table --- */

static const struct effect serializable = { .kind = EFFECT_BEGIN,
					    .flags = EFFECT_READ_ONLY | EFFECT_SERIALIZABLE };
static const struct effect read_only = { .kind = EFFECT_BEGIN, .flags = EFFECT_READ_ONLY };

static const struct verdict reads = { .kind = VERDICT_READ, .reason = VERDICT_REASON_READ };
static const struct verdict empty = { .kind = VERDICT_READ, .reason = VERDICT_REASON_EMPTY };
static const struct verdict tainted = { .kind = VERDICT_READ_TAINTED,
					.reason = VERDICT_REASON_SESSION_FUNCTION };
static const struct verdict writes = { .kind = VERDICT_WRITE, .reason = VERDICT_REASON_WRITE };
static const struct verdict locks = { .kind = VERDICT_WRITE, .reason = VERDICT_REASON_LOCK };
static const struct verdict ddl = { .kind = VERDICT_DDL, .reason = VERDICT_REASON_DDL };
static const struct verdict begins = { .kind = VERDICT_TXN,
				       .reason = VERDICT_REASON_TRANSACTION };
static const struct verdict sets = { .kind = VERDICT_SESSION, .reason = VERDICT_REASON_SESSION };
static const struct verdict copies_in = { .kind = VERDICT_COPY_IN,
					  .reason = VERDICT_REASON_COPY_IN };
static const struct verdict copies_out = { .kind = VERDICT_COPY_OUT,
					   .reason = VERDICT_REASON_COPY_OUT };
static const struct verdict broken = { .kind = VERDICT_UNKNOWN,
				       .reason = VERDICT_REASON_PARSE_ERROR };
static const struct verdict begins_ro = { .kind = VERDICT_TXN,
					  .reason = VERDICT_REASON_TRANSACTION,
					  .effects = &read_only,
					  .n_effects = 1,
					  .is_explicit_read_only = true };
static const struct verdict begins_ro_serializable = { .kind = VERDICT_TXN,
						       .reason = VERDICT_REASON_TRANSACTION,
						       .effects = &serializable,
						       .n_effects = 1,
						       .is_explicit_read_only = true };

enum {
	NOT_HELD,
	HELD
}; /* by REPLICA_A, for ROUTE_IN_TRANSACTION */
enum {
	ORDINARY,
	LOGIN,
	SESSION,
	REPLICATION, /* and a login */
	UNFINISHED
};

#define HINT_NONE    READ_HINT_NONE
#define HINT_P       READ_HINT_PRIMARY
#define HINT_R       READ_HINT_REPLICA
#define HINT_S       READ_HINT_STALE_ALLOWED
#define NEVER        ROUTE_SPLIT_NEVER
#define HINTS        ROUTE_SPLIT_HINTS
#define AUTO         ROUTE_SPLIT_AUTO
#define ELSE_PRIMARY ROUTE_NO_REPLICA_PRIMARY
#define ELSE_WAIT    ROUTE_NO_REPLICA_WAIT
#define ELSE_ERROR   ROUTE_NO_REPLICA_ERROR

enum answer {
	TO_PRIMARY,
	TO_REPLICA,
	WAIT,
	REFUSE
};

static const struct row {
	const char *rule;
	enum picture picture;
	const struct verdict *verdict;
	enum read_hint hint;
	usec max_staleness; /* 0: the hint is not set */
	enum consistency consistency;
	enum route_split split;
	enum route_no_replica on_no_replica;
	int held;
	int kind;

	enum answer answer;
	enum route_reason reason;
	bool hint_overruled;
} rows[] = {
	/* clang-format off */
	/* 1. held */
	{ "1 held: a write stays on the replica of its transaction",
	  WELL, &writes, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, HELD, ORDINARY, TO_REPLICA, ROUTE_IN_TRANSACTION, false },
	{ "1 held: no hint is overruled",
	  WELL, &writes, HINT_R, 0, 0, AUTO, ELSE_PRIMARY, HELD, ORDINARY, TO_REPLICA, ROUTE_IN_TRANSACTION, false },
	{ "1 held: whatever the hint",
	  WELL, &reads, HINT_P, 0, CONSISTENCY_STRONG, NEVER, ELSE_PRIMARY, HELD, ORDINARY, TO_REPLICA, ROUTE_IN_TRANSACTION, false },
	{ "1 held: whatever the node's health, weight and lag",
	  NOTHING_UP, &reads, HINT_NONE, 0, 0, AUTO, ELSE_ERROR, HELD, ORDINARY, TO_REPLICA, ROUTE_IN_TRANSACTION, false },
	{ "1 held: before session mode",
	  WELL, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, HELD, SESSION, TO_REPLICA, ROUTE_IN_TRANSACTION, false },
	{ "1 held: before login",
	  WELL, NULL, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, HELD, LOGIN, TO_REPLICA, ROUTE_IN_TRANSACTION, false },

	/* 2. login */
	{ "2 login: the primary",
	  WELL, NULL, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, LOGIN, TO_PRIMARY, ROUTE_LOGIN, false },
	{ "2 login: the primary, whatever the hint",
	  WELL, NULL, HINT_R, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, LOGIN, TO_PRIMARY, ROUTE_LOGIN, false },
	{ "2 login: else a replica",
	  NO_PRIMARY_AT_ALL, NULL, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, LOGIN, TO_REPLICA, ROUTE_LOGIN, false },
	{ "2 login: else a replica, splitting off or not",
	  PRIMARY_UNRESOLVED, NULL, HINT_NONE, 0, 0, NEVER, ELSE_ERROR, NOT_HELD, LOGIN, TO_REPLICA, ROUTE_LOGIN, false },
	{ "2 login: else wait, whatever the policy",
	  NOTHING_UP, NULL, HINT_NONE, 0, 0, AUTO, ELSE_ERROR, NOT_HELD, LOGIN, WAIT, ROUTE_NO_PRIMARY, false },
	{ "2 login: before session mode",
	  WELL, NULL, HINT_R, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, LOGIN, TO_PRIMARY, ROUTE_LOGIN, false },

	/* 3. session mode */
	{ "2a replication: the primary",
	  WELL, NULL, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, REPLICATION, TO_PRIMARY, ROUTE_REPLICATION, false },
	{ "2a replication: hint replica",
	  WELL, NULL, HINT_R, 0, 0, HINTS, ELSE_PRIMARY, NOT_HELD, REPLICATION, TO_REPLICA, ROUTE_REPLICATION, false },
	{ "2a replication: hint replica, split off",
	  WELL, NULL, HINT_R, 0, 0, NEVER, ELSE_PRIMARY, NOT_HELD, REPLICATION, TO_PRIMARY, ROUTE_REPLICATION, false },
	{ "2a replication: no primary: unlike other logins it waits",
	  NO_PRIMARY_AT_ALL, NULL, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, REPLICATION, WAIT, ROUTE_NO_PRIMARY, false },
	{ "2a replication: hint replica, none up",
	  REPLICAS_DOWN, NULL, HINT_R, 0, 0, AUTO, ELSE_ERROR, NOT_HELD, REPLICATION, REFUSE, ROUTE_NO_REPLICA_UP, false },
	{ "5a a batch that goes on: the primary",
	  WELL, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, UNFINISHED, TO_PRIMARY, ROUTE_UNFINISHED_BATCH, false },
	{ "5a a batch that goes on and writes already",
	  WELL, &writes, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, UNFINISHED, TO_PRIMARY, ROUTE_VERDICT_WRITE, false },
	{ "3 session mode: the primary, for reads too",
	  WELL, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, SESSION, TO_PRIMARY, ROUTE_SESSION_MODE, false },
	{ "3 session mode: hint replica",
	  WELL, &reads, HINT_R, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, SESSION, TO_REPLICA, ROUTE_SESSION_MODE, false },
	{ "3 session mode: the hint is for the session, not for this statement",
	  WELL, &writes, HINT_R, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, SESSION, TO_REPLICA, ROUTE_SESSION_MODE, false },
	{ "3 session mode: hint stale-allowed",
	  REPLICAS_3S, &reads, HINT_S, 0, 0, HINTS, ELSE_PRIMARY, NOT_HELD, SESSION, TO_REPLICA, ROUTE_SESSION_MODE, false },
	{ "3 session mode: hint stale-allowed keeps its bound",
	  REPLICAS_8S, &reads, HINT_S, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, SESSION, TO_PRIMARY, ROUTE_NO_REPLICA_FRESH, false },
	{ "3 session mode: hint primary",
	  WELL, &reads, HINT_P, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, SESSION, TO_PRIMARY, ROUTE_SESSION_MODE, false },
	{ "3 session mode: strong consistency is stronger than the hint",
	  WELL, &reads, HINT_R, 0, CONSISTENCY_STRONG, AUTO, ELSE_PRIMARY, NOT_HELD, SESSION, TO_PRIMARY, ROUTE_SESSION_MODE, false },
	{ "3 session mode: splitting off ignores the hint",
	  WELL, &reads, HINT_R, 0, 0, NEVER, ELSE_PRIMARY, NOT_HELD, SESSION, TO_PRIMARY, ROUTE_SESSION_MODE, false },
	{ "3 session mode: needs no verdict",
	  WELL, NULL, HINT_R, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, SESSION, TO_REPLICA, ROUTE_SESSION_MODE, false },
	{ "3 session mode: no replica, policy error",
	  REPLICAS_DOWN, &reads, HINT_R, 0, 0, AUTO, ELSE_ERROR, NOT_HELD, SESSION, REFUSE, ROUTE_NO_REPLICA_UP, false },
	{ "3 session mode: no primary",
	  NO_PRIMARY_AT_ALL, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, SESSION, WAIT, ROUTE_NO_PRIMARY, false },

	/* 4. not proved read-only */
	{ "4 verdict: write",
	  WELL, &writes, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_VERDICT_WRITE, false },
	{ "4 verdict: write overrules hint replica",
	  WELL, &writes, HINT_R, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_VERDICT_WRITE, true },
	{ "4 verdict: write overrules hint stale-allowed",
	  WELL, &writes, HINT_S, 9 * SECS, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_VERDICT_WRITE, true },
	{ "4 verdict: write agrees with hint primary",
	  WELL, &writes, HINT_P, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_VERDICT_WRITE, false },
	{ "4 verdict: before splitting off",
	  WELL, &writes, HINT_NONE, 0, 0, NEVER, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_VERDICT_WRITE, false },
	{ "4 verdict: lock",
	  WELL, &locks, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_VERDICT_LOCK, false },
	{ "4 verdict: tainted read",
	  WELL, &tainted, HINT_R, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_VERDICT_SESSION_FUNCTION, true },
	{ "4 verdict: DDL",
	  WELL, &ddl, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_VERDICT_DDL, false },
	{ "4 verdict: BEGIN",
	  WELL, &begins, HINT_R, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_VERDICT_TRANSACTION, true },
	{ "4 verdict: SET",
	  WELL, &sets, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_VERDICT_SESSION, false },
	{ "4 verdict: COPY FROM",
	  WELL, &copies_in, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_VERDICT_COPY_IN, false },
	{ "4 verdict: COPY TO",
	  WELL, &copies_out, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_VERDICT_COPY_OUT, false },
	{ "4 verdict: does not parse",
	  WELL, &broken, HINT_R, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_VERDICT_PARSE_ERROR, true },
	{ "4 verdict: BEGIN READ ONLY SERIALIZABLE, which no standby takes",
	  WELL, &begins_ro_serializable, HINT_R, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_VERDICT_TRANSACTION, true },
	{ "4 verdict: no primary: wait, never a replica",
	  NO_PRIMARY_AT_ALL, &writes, HINT_R, 0, 0, AUTO, ELSE_ERROR, NOT_HELD, ORDINARY, WAIT, ROUTE_NO_PRIMARY, true },
	{ "4 verdict: primary without an address",
	  PRIMARY_UNRESOLVED, &writes, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, WAIT, ROUTE_NO_PRIMARY, false },

	/* 5. hint primary */
	{ "5 hint primary",
	  WELL, &reads, HINT_P, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_HINT_PRIMARY, false },
	{ "5 consistency strong",
	  WELL, &reads, HINT_NONE, 0, CONSISTENCY_STRONG, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_HINT_PRIMARY, false },
	{ "5 consistency strong is stronger than hint replica",
	  WELL, &reads, HINT_R, 0, CONSISTENCY_STRONG, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_HINT_PRIMARY, false },
	{ "5 consistency strong is stronger than hint stale-allowed",
	  WELL, &reads, HINT_S, 0, CONSISTENCY_STRONG, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_HINT_PRIMARY, false },
	{ "5 hint primary before splitting off",
	  WELL, &reads, HINT_P, 0, 0, NEVER, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_HINT_PRIMARY, false },
	{ "5 hint primary for BEGIN READ ONLY",
	  WELL, &begins_ro, HINT_P, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_HINT_PRIMARY, false },
	{ "5 hint primary, no primary: wait",
	  NO_PRIMARY_AT_ALL, &reads, HINT_P, 0, 0, AUTO, ELSE_ERROR, NOT_HELD, ORDINARY, WAIT, ROUTE_NO_PRIMARY, false },
	{ "5 other consistencies are no hint",
	  WELL, &reads, HINT_NONE, 0, CONSISTENCY_EVENTUAL, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_VERDICT_READ, false },
	{ "5 other consistencies are no hint",
	  WELL, &reads, HINT_NONE, 0, CONSISTENCY_SESSION, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_VERDICT_READ, false },

	/* 6. split */
	{ "6 split off",
	  WELL, &reads, HINT_NONE, 0, 0, NEVER, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_SPLIT_OFF, false },
	{ "6 split off ignores hint replica",
	  WELL, &reads, HINT_R, 0, 0, NEVER, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_SPLIT_OFF, false },
	{ "6 split off ignores hint stale-allowed",
	  WELL, &reads, HINT_S, 9 * SECS, 0, NEVER, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_SPLIT_OFF, false },
	{ "6 split off for BEGIN READ ONLY",
	  WELL, &begins_ro, HINT_R, 0, 0, NEVER, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_SPLIT_OFF, false },
	{ "6 split off, no primary: wait",
	  NO_PRIMARY_AT_ALL, &reads, HINT_NONE, 0, 0, NEVER, ELSE_ERROR, NOT_HELD, ORDINARY, WAIT, ROUTE_NO_PRIMARY, false },
	{ "6 split by hints, none given",
	  WELL, &reads, HINT_NONE, 0, 0, HINTS, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_SPLIT_OFF, false },
	{ "6 split by hints, none given for BEGIN READ ONLY",
	  WELL, &begins_ro, HINT_NONE, 0, 0, HINTS, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_SPLIT_OFF, false },
	{ "6 split by hints: a staleness alone asks for nothing",
	  WELL, &reads, HINT_NONE, 9 * SECS, 0, HINTS, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_SPLIT_OFF, false },

	/* 7. BEGIN READ ONLY */
	{ "7 BEGIN READ ONLY",
	  WELL, &begins_ro, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_TRANSACTION_READ_ONLY, false },
	{ "7 BEGIN READ ONLY, hint replica",
	  WELL, &begins_ro, HINT_R, 0, 0, HINTS, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_TRANSACTION_READ_ONLY, false },
	{ "7 BEGIN READ ONLY, hint stale-allowed and its bound",
	  REPLICAS_8S, &begins_ro, HINT_S, 9 * SECS, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_TRANSACTION_READ_ONLY, false },
	{ "7 BEGIN READ ONLY, hint stale-allowed, none within its bound",
	  REPLICAS_8S, &begins_ro, HINT_S, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_FRESH, false },
	{ "7 BEGIN READ ONLY, no replica",
	  REPLICAS_DOWN, &begins_ro, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_UP, false },

	/* 8. hint stale-allowed */
	{ "8 stale-allowed",
	  WELL, &reads, HINT_S, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_HINT_STALE, false },
	{ "8 stale-allowed, split by hints",
	  WELL, &reads, HINT_S, 0, 0, HINTS, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_HINT_STALE, false },
	{ "8 stale-allowed: 5 s unless it says otherwise, within",
	  REPLICAS_3S, &reads, HINT_S, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_HINT_STALE, false },
	{ "8 stale-allowed: 5 s unless it says otherwise, beyond",
	  REPLICAS_8S, &reads, HINT_S, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_FRESH, false },
	{ "8 stale-allowed: the time since the probe counts",
	  REPLICAS_8S, &reads, HINT_S, 8 * SECS, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_FRESH, false },
	{ "8 stale-allowed: exactly as stale as allowed",
	  REPLICAS_8S, &reads, HINT_S, 8 * SECS + SECS / 2, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_HINT_STALE, false },
	{ "8 stale-allowed: a microsecond less",
	  REPLICAS_8S, &reads, HINT_S, 8 * SECS + SECS / 2 - 1, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_FRESH, false },
	{ "8 stale-allowed: its bound counts, not the cluster's",
	  REPLICAS_60S, &reads, HINT_S, 90 * SECS, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_HINT_STALE, false },
	{ "8 stale-allowed: an unknown lag is within no bound",
	  REPLICAS_UNKNOWN_LAG, &reads, HINT_S, INT64_MAX, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_FRESH, false },
	{ "8 stale-allowed: no replica, policy wait",
	  REPLICAS_60S, &reads, HINT_S, 0, 0, AUTO, ELSE_WAIT, NOT_HELD, ORDINARY, WAIT, ROUTE_NO_REPLICA_FRESH, false },

	/* 9. hint replica */
	{ "9 hint replica",
	  WELL, &reads, HINT_R, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_HINT_REPLICA, false },
	{ "9 hint replica, split by hints",
	  WELL, &reads, HINT_R, 0, 0, HINTS, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_HINT_REPLICA, false },
	{ "9 hint replica: max_staleness is not its bound",
	  REPLICAS_8S, &reads, HINT_R, 1, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_HINT_REPLICA, false },
	{ "9 hint replica: without a primary",
	  NO_PRIMARY_AT_ALL, &reads, HINT_R, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_HINT_REPLICA, false },

	/* 10. a read */
	{ "10 read",
	  WELL, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_VERDICT_READ, false },
	{ "10 no statement at all",
	  WELL, &empty, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_VERDICT_EMPTY, false },
	{ "10 read: above the preferred lag when there is no better",
	  REPLICAS_8S, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_VERDICT_READ, false },
	{ "10 read: the one that is left",
	  B_ONLY, &reads, HINT_NONE, 0, 0, AUTO, ELSE_ERROR, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_VERDICT_READ, false },
	{ "10 read: without a primary",
	  NO_PRIMARY_AT_ALL, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_REPLICA, ROUTE_VERDICT_READ, false },

	/* 11. no replica qualifies: why, and what then */
	{ "11 all down",
	  REPLICAS_DOWN, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_UP, false },
	{ "11 all down, policy wait",
	  REPLICAS_DOWN, &reads, HINT_NONE, 0, 0, AUTO, ELSE_WAIT, NOT_HELD, ORDINARY, WAIT, ROUTE_NO_REPLICA_UP, false },
	{ "11 all down, policy error",
	  REPLICAS_DOWN, &reads, HINT_R, 0, 0, AUTO, ELSE_ERROR, NOT_HELD, ORDINARY, REFUSE, ROUTE_NO_REPLICA_UP, false },
	{ "11 never probed",
	  REPLICAS_UNPROBED, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_UP, false },
	{ "11 names not resolved",
	  REPLICAS_UNRESOLVED, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_UP, false },
	{ "11 primaries that were not elected are no replicas",
	  REPLICAS_PROMOTED, &reads, HINT_R, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_UP, false },
	{ "11 weight 0",
	  REPLICAS_WEIGHTLESS, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_WEIGHT, false },
	{ "11 weight 0, policy error",
	  REPLICAS_WEIGHTLESS, &reads, HINT_NONE, 0, 0, AUTO, ELSE_ERROR, NOT_HELD, ORDINARY, REFUSE, ROUTE_NO_REPLICA_WEIGHT, false },
	{ "11 negative weight",
	  REPLICAS_NEGATIVE, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_WEIGHT, false },
	{ "11 weight 0 is for logins no obstacle",
	  REPLICAS_WEIGHTLESS, NULL, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, LOGIN, TO_PRIMARY, ROUTE_LOGIN, false },
	{ "11 too stale",
	  REPLICAS_60S, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_FRESH, false },
	{ "11 too stale, policy wait",
	  REPLICAS_60S, &reads, HINT_R, 0, 0, AUTO, ELSE_WAIT, NOT_HELD, ORDINARY, WAIT, ROUTE_NO_REPLICA_FRESH, false },
	{ "11 lag unknown",
	  REPLICAS_UNKNOWN_LAG, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_FRESH, false },
	{ "11 lag never measured",
	  REPLICAS_NEVER_PROBED, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_FRESH, false },
	{ "11 one without weight, one stale: the stale one could come back",
	  UP_BUT_WEIGHTLESS_OR_STALE, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, TO_PRIMARY, ROUTE_NO_REPLICA_FRESH, false },
	{ "11 nor a primary: wait",
	  NOTHING_UP, &reads, HINT_NONE, 0, 0, AUTO, ELSE_PRIMARY, NOT_HELD, ORDINARY, WAIT, ROUTE_NO_PRIMARY, false },
	{ "11 nor a primary, policy error",
	  NOTHING_UP, &reads, HINT_NONE, 0, 0, AUTO, ELSE_ERROR, NOT_HELD, ORDINARY, REFUSE, ROUTE_NO_REPLICA_UP, false },
	/* clang-format on */
};

static struct hints make_hints(enum read_hint hint, usec max_staleness,
			       enum consistency consistency)
{
	struct hints hints = { .read_hint = hint,
			       .max_staleness = max_staleness,
			       .consistency = consistency };

	if (hint != READ_HINT_NONE)
		hints.set |= 1u << HINT_READ_HINT;
	if (max_staleness != 0)
		hints.set |= 1u << HINT_MAX_STALENESS;
	if (consistency != CONSISTENCY_NONE)
		hints.set |= 1u << HINT_CONSISTENCY;
	return hints;
}

static struct route_facts plain_facts(void)
{
	return (struct route_facts){ .cluster = &cluster,
				     .verdict = &reads,
				     .split = ROUTE_SPLIT_AUTO,
				     .held_node = -1,
				     .now = NOW };
}

static struct route_facts facts_of(const struct row *row, const struct hints *hints)
{
	struct route_facts f = plain_facts();

	f.verdict = row->verdict;
	f.hints = hints;
	f.split = row->split;
	f.on_no_replica = row->on_no_replica;
	f.held_node = row->held == HELD ? REPLICA_A : -1;
	f.held_reason = ROUTE_IN_TRANSACTION;
	f.is_login = row->kind == LOGIN;
	f.is_session_mode = row->kind == SESSION;
	f.is_replication = row->kind == REPLICATION;
	f.is_unfinished = row->kind == UNFINISHED;
	f.is_login |= f.is_replication;
	return f;
}

static enum answer answer_of(struct route_decision d)
{
	switch (d.outcome) {
	case ROUTE_WAIT: return WAIT;
	case ROUTE_REFUSE: return REFUSE;
	case ROUTE_TO_NODE: break;
	}
	return d.node == PRIMARY ? TO_PRIMARY : TO_REPLICA;
}

/* A transaction that begins with the request, and what it begins with. */
static const struct {
	enum verdict_kind kind;
	enum route_begin begin;
	enum answer answer;
	enum route_reason reason;
} first_statements[] = {
	{ VERDICT_READ, ROUTE_BEGIN_READ_WRITE, TO_PRIMARY, ROUTE_VERDICT_TRANSACTION },
	{ VERDICT_WRITE, ROUTE_BEGIN_READ_WRITE, TO_PRIMARY, ROUTE_VERDICT_WRITE },
	{ VERDICT_READ, ROUTE_BEGIN_READ_ONLY, TO_REPLICA, ROUTE_TRANSACTION_READ_ONLY },
	{ VERDICT_TXN, ROUTE_BEGIN_READ_ONLY, TO_REPLICA, ROUTE_TRANSACTION_READ_ONLY },
	{ VERDICT_SESSION, ROUTE_BEGIN_READ_ONLY, TO_REPLICA, ROUTE_TRANSACTION_READ_ONLY },
	{ VERDICT_READ_TAINTED, ROUTE_BEGIN_READ_ONLY, TO_PRIMARY, ROUTE_VERDICT_WRITE },
	{ VERDICT_WRITE, ROUTE_BEGIN_READ_ONLY, TO_PRIMARY, ROUTE_VERDICT_WRITE },
	{ VERDICT_DDL, ROUTE_BEGIN_READ_ONLY, TO_PRIMARY, ROUTE_VERDICT_WRITE },
	{ VERDICT_COPY_IN, ROUTE_BEGIN_READ_ONLY, TO_PRIMARY, ROUTE_VERDICT_WRITE },
	{ VERDICT_UNKNOWN, ROUTE_BEGIN_READ_ONLY, TO_PRIMARY, ROUTE_VERDICT_WRITE },
};

START_TEST(a_transaction_goes_where_its_first_statement_may)
{
	struct verdict verdict = { .kind = first_statements[_i].kind,
				   .reason = VERDICT_REASON_WRITE,
				   .is_explicit_read_only = true };
	struct hints hints = make_hints(HINT_R, 0, 0);
	struct route_facts f = plain_facts();
	struct route_decision d;

	setup();
	f.verdict = &verdict;
	f.begin = first_statements[_i].begin;
	f.hints = &hints;
	d = route_decide(&f);
	ck_assert_int_eq(answer_of(d), first_statements[_i].answer);
	ck_assert_str_eq(route_reason_name(d.reason),
			 route_reason_name(first_statements[_i].reason));
	ck_assert(!d.hint_overruled);
}
END_TEST

START_TEST(the_first_rule_that_applies)
{
	const struct row *row = &rows[_i];
	struct hints hints = make_hints(row->hint, row->max_staleness, row->consistency);
	struct route_facts f = facts_of(row, &hints);

	paint(row->picture);
	/* Chance decides which replica, and nothing else. */
	for (f.random = 0; f.random < 20; f.random++) {
		struct route_decision d = route_decide(&f);

		ck_assert_msg(answer_of(d) == row->answer, "%s: outcome %d, node %d", row->rule,
			      d.outcome, d.node);
		ck_assert_msg(d.reason == row->reason, "%s: %s", row->rule,
			      route_reason_name(d.reason));
		ck_assert_msg(d.hint_overruled == row->hint_overruled, "%s: hint_overruled",
			      row->rule);
		if (d.outcome == ROUTE_TO_NODE)
			ck_assert_msg(d.role == nodes[d.node].role, "%s: role", row->rule);
		else
			ck_assert_msg(d.node == -1 && d.role == NODE_ROLE_UNKNOWN, "%s: node",
				      row->rule);
		if (row->picture == B_ONLY)
			ck_assert_int_eq(d.node, REPLICA_B);
	}
}
END_TEST

/* Hints that are not marked as set are none, whatever stands in the struct. */
START_TEST(hints_not_set_are_none)
{
	struct hints hints = { .read_hint = READ_HINT_PRIMARY,
			       .consistency = CONSISTENCY_STRONG };
	struct route_facts f = plain_facts();

	setup();
	f.hints = &hints;
	ck_assert_int_eq(route_decide(&f).reason, ROUTE_VERDICT_READ);
	f.hints = NULL;
	ck_assert_int_eq(route_decide(&f).reason, ROUTE_VERDICT_READ);
}
END_TEST

/* A staleness of 0 asks for what no replica can promise. */
START_TEST(stale_allowed_of_nothing)
{
	struct hints hints = make_hints(READ_HINT_STALE_ALLOWED, 0, CONSISTENCY_NONE);
	struct route_facts f = plain_facts();

	setup();
	hints.set |= 1u << HINT_MAX_STALENESS;
	f.hints = &hints;
	ck_assert_int_eq(route_decide(&f).reason, ROUTE_NO_REPLICA_FRESH);
}
END_TEST

/* To greet a client, a replica of weight 0 that is hours behind is good enough. */
START_TEST(login_takes_any_replica)
{
	struct route_facts f = plain_facts();
	struct route_decision d;

	paint(UP_BUT_WEIGHTLESS_OR_STALE);
	cluster.primary = -1;
	f.verdict = NULL;
	f.is_login = true;
	go_down(&nodes[REPLICA_B]);
	d = route_decide(&f);
	ck_assert_int_eq(d.node, REPLICA_A);
	ck_assert_int_eq(d.reason, ROUTE_LOGIN);
	go_down(&nodes[REPLICA_A]);
	nodes[REPLICA_B].state = NODE_STATE_UP;
	ck_assert_int_eq(route_decide(&f).node, REPLICA_B);
}
END_TEST

/* One within the preferred lag is preferred to one within the hard lag, whatever their loads. */
START_TEST(fresh_before_less_loaded)
{
	const struct route_load loads[N_NODES] = { [REPLICA_A] = { 1000, 1000 } };
	struct route_facts f = plain_facts();

	setup();
	lag_3s(&nodes[REPLICA_B]);
	f.loads = loads;
	for (f.random = 0; f.random < 100; f.random++)
		ck_assert_int_eq(route_decide(&f).node, REPLICA_A);
}
END_TEST

START_TEST(a_cluster_of_nothing)
{
	struct route_facts f = plain_facts();

	setup();
	cluster.n_nodes = 0;
	cluster.primary = -1;
	ck_assert_int_eq(route_decide(&f).outcome, ROUTE_WAIT);
	f.on_no_replica = ROUTE_NO_REPLICA_ERROR;
	ck_assert_int_eq(route_decide(&f).outcome, ROUTE_REFUSE);
	f.is_login = true;
	ck_assert_int_eq(route_decide(&f).reason, ROUTE_NO_PRIMARY);
}
END_TEST

/* --- which replica --- */

#define MANY  8
#define DRAWS 10000
#define SIGMAS_5                                                                      \
	250 /* five standard deviations of 10,000 draws of 1/2; less for other shares \
	     */

static struct node many[MANY];

/* A primary and n replicas of these weights. */
static void setup_weights(const int *weights, size_t n)
{
	cluster = (struct cluster){ .nodes = many,
				    .n_nodes = n + 1,
				    .primary = 0,
				    .lag_preferred = 1 * SECS,
				    .lag_hard = 10 * SECS };
	fresh_node(&many[0], NODE_ROLE_PRIMARY);
	for (size_t i = 0; i < n; i++) {
		fresh_node(&many[i + 1], NODE_ROLE_REPLICA);
		many[i + 1].weight = weights[i];
	}
}

/* Knuth's MMIX generator: the same draws in every run. */
static uint64_t next_random(uint64_t x)
{
	return x * 6364136223846793005u + 1442695040888963407u;
}

static void count_draws(const struct route_load *loads, unsigned counts[MANY])
{
	struct route_facts f = plain_facts();

	memset(counts, 0, MANY * sizeof(*counts));
	f.loads = loads;
	for (int i = 0; i < DRAWS; i++) {
		f.random = next_random(f.random);
		counts[route_decide(&f).node]++;
	}
}

static void assert_near(unsigned count, double expected)
{
	ck_assert_msg(count > expected - SIGMAS_5 && count < expected + SIGMAS_5,
		      "%u draws where %.0f were expected", count, expected);
}

static const struct {
	int weights[MANY - 1];
	size_t n;
} weightings[] = {
	{ { 100 }, 1 },
	{ { 100, 100 }, 2 },
	{ { 1, 1 }, 2 },
	{ { 100, 300 }, 2 },
	{ { 1, 1000000 }, 2 },
	{ { 100, 0 }, 2 },
	{ { 0, 100, 0, 100 }, 4 },
	{ { 100, 100, 100 }, 3 },
	{ { 100, 200, 300 }, 3 },
	{ { 2147483647, 2147483647, 2147483647 }, 3 },
	{ { 1, 2, 3, 4, 5, 6, 7 }, 7 },
};

START_TEST(idle_replicas_get_their_shares)
{
	static const struct route_load alike[MANY];
	unsigned counts[MANY];
	double sum = 0;

	setup_weights(weightings[_i].weights, weightings[_i].n);
	for (size_t i = 0; i < weightings[_i].n; i++)
		sum += weightings[_i].weights[i];
	/* Loads of nothing are the same as no loads. */
	for (int with_loads = 0; with_loads < 2; with_loads++) {
		count_draws(with_loads ? alike : NULL, counts);
		ck_assert_uint_eq(counts[0], 0);
		for (size_t i = 0; i < weightings[_i].n; i++) {
			assert_near(counts[i + 1], weightings[_i].weights[i] / sum * DRAWS);
			if (weightings[_i].weights[i] == 0)
				ck_assert_uint_eq(counts[i + 1], 0);
		}
	}
}
END_TEST

/* Two of equal weight and load: half and half, whatever the load is. */
START_TEST(equal_loads_are_split_in_half)
{
	static const int weights[] = { 100, 100 };
	/* What differs is chance: not more than three times as much and the margin. */
	const struct route_load loads[] = { { 0, 0 }, { 14, 0 }, { 2, 3 } };
	unsigned counts[MANY];

	setup_weights(weights, 2);
	count_draws(loads, counts);
	assert_near(counts[1], DRAWS / 2);
	assert_near(counts[2], DRAWS / 2);
}
END_TEST

static const struct {
	const char *what;
	int weights[2];
	struct route_load loads[3];
	int node;
} choices[] = {
	{ "in flight", { 100, 100 }, { { 0, 0 }, { 17, 0 }, { 0, 0 } }, 2 },
	{ "waiting", { 100, 100 }, { { 0, 0 }, { 0, 17 }, { 0, 0 } }, 2 },
	{ "the sum", { 100, 100 }, { { 0, 0 }, { 16, 16 }, { 5, 0 } }, 2 },
	{ "the primary's load does not matter",
	  { 100, 100 },
	  { { 90, 90 }, { 0, 0 }, { 17, 0 } },
	  1 },
	{ "for its weight", { 100, 300 }, { { 0, 0 }, { 11, 0 }, { 5, 0 } }, 2 },
	{ "for its weight", { 100, 300 }, { { 0, 0 }, { 2, 0 }, { 67, 0 } }, 1 },
	{ "weight 0 never, even if idle", { 100, 0 }, { { 0, 0 }, { 1000, 1000 }, { 0, 0 } }, 1 },
	{ "the largest loads and weights",
	  { 2147483647, 2147483647 },
	  { { 0, 0 }, { UINT32_MAX, UINT32_MAX }, { 1000, 1000 } },
	  2 },
};

START_TEST(of_two_the_less_loaded)
{
	unsigned counts[MANY];

	setup_weights(choices[_i].weights, 2);
	count_draws(choices[_i].loads, counts);
	ck_assert_msg(counts[choices[_i].node] == DRAWS, "%s", choices[_i].what);
}
END_TEST

/* Of many: the most loaded never wins, the least loaded not always (it must be drawn). */
START_TEST(of_many_two_are_drawn)
{
	static const int weights[] = { 100, 100, 100, 100 };
	const struct route_load loads[] = {
		{ 0, 0 }, { 248, 0 }, { 77, 0 }, { 20, 0 }, { 1, 0 }
	};
	unsigned counts[MANY];

	setup_weights(weights, 4);
	count_draws(loads, counts);
	ck_assert_uint_eq(counts[1], 0);
	/* Of the six pairs one, two and three. */
	assert_near(counts[2], DRAWS * 1 / 6.0);
	assert_near(counts[3], DRAWS * 2 / 6.0);
	assert_near(counts[4], DRAWS * 3 / 6.0);
}
END_TEST

/* A poor source of chance (a counter) is good enough. */
START_TEST(a_counter_is_random_enough)
{
	static const int weights[] = { 100, 300 };
	struct route_facts f = plain_facts();
	unsigned counts[MANY] = { 0 };

	setup_weights(weights, 2);
	for (f.random = 0; f.random < DRAWS; f.random++)
		counts[route_decide(&f).node]++;
	assert_near(counts[1], DRAWS / 4);
	assert_near(counts[2], DRAWS * 3 / 4);
}
END_TEST

/* --- what holds for every combination --- */

static const struct verdict *const all_verdicts[] = {
	&reads,
	&empty,
	&tainted,
	&writes,
	&locks,
	&ddl,
	&begins,
	&sets,
	&copies_in,
	&copies_out,
	&broken,
	&begins_ro,
	&begins_ro_serializable,
};

static void check_invariants(const struct route_facts *f)
{
	struct route_decision d = route_decide(f);
	bool may_read = f->verdict->kind == VERDICT_READ || f->verdict == &begins_ro;
	const struct node *node = d.node >= 0 ? &nodes[d.node] : NULL;

	ck_assert((d.outcome == ROUTE_TO_NODE) == (node != NULL));
	if (node == NULL)
		return;
	ck_assert_int_eq(d.role, node->role);
	ck_assert_uint_gt(node->address_length, 0);
	if (d.node == f->cluster->primary)
		return;
	/* A replica: only a proved read, up, of weight, and of a staleness that is known. */
	ck_assert(may_read);
	ck_assert_int_ne(f->split, ROUTE_SPLIT_NEVER);
	ck_assert(!d.hint_overruled);
	ck_assert_int_eq(node->role, NODE_ROLE_REPLICA);
	ck_assert_int_eq(node->state, NODE_STATE_UP);
	ck_assert_int_gt(node->weight, 0);
	ck_assert_int_ge(node_staleness(node, f->now), 0);
	if (f->hints->read_hint != READ_HINT_STALE_ALLOWED)
		ck_assert_int_le(node_staleness(node, f->now), cluster.lag_hard);
	else
		ck_assert_int_le(node_staleness(node, f->now), 5 * SECS);
	ck_assert_int_ne(f->hints->consistency, CONSISTENCY_STRONG);
	ck_assert_int_ne(f->hints->read_hint, READ_HINT_PRIMARY);
}

START_TEST(no_combination_is_unsafe)
{
	struct route_facts f = plain_facts();
	struct hints hints;

	paint((enum picture)_i);
	f.hints = &hints;
	for (size_t v = 0; v < sizeof(all_verdicts) / sizeof(all_verdicts[0]); v++)
		for (int hint = READ_HINT_NONE; hint <= READ_HINT_STALE_ALLOWED; hint++)
			for (int c = CONSISTENCY_NONE; c <= CONSISTENCY_STRONG; c++)
				for (int split = 0; split <= ROUTE_SPLIT_AUTO; split++)
					for (int policy = 0; policy <= ROUTE_NO_REPLICA_ERROR;
					     policy++) {
						hints = make_hints((enum read_hint)hint, 0,
								   (enum consistency)c);
						f.verdict = all_verdicts[v];
						f.split = (enum route_split)split;
						f.on_no_replica = (enum route_no_replica)policy;
						f.random++;
						check_invariants(&f);
					}
}
END_TEST

/* --- names --- */

START_TEST(reasons_have_names)
{
	for (int i = 0; i < ROUTE_REASON_COUNT; i++) {
		const char *name = route_reason_name((enum route_reason)i);

		ck_assert_ptr_nonnull(name);
		ck_assert_uint_eq(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(name, route_reason_name((enum route_reason)k));
	}
	ck_assert_str_eq(route_reason_name(ROUTE_VERDICT_READ), "read");
	ck_assert_str_eq(route_reason_name(ROUTE_VERDICT_VOLATILE_FUNCTION), "volatile_function");
	ck_assert_str_eq(route_reason_name(ROUTE_VERDICT_TOO_LARGE), "too_large");
	ck_assert_str_eq(route_reason_name(ROUTE_HINT_STALE), "hint_stale");
	ck_assert_str_eq(route_reason_name(ROUTE_SPLIT_OFF), "split_off");
	ck_assert_str_eq(route_reason_name(ROUTE_LOGIN), "login");
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *route_suite(void)
{
	Suite *suite = suite_create("route/route");
	TCase *tc = tcase_create("route");

	tcase_add_loop_test(tc, a_transaction_goes_where_its_first_statement_may, 0,
			    sizeof(first_statements) / sizeof(first_statements[0]));
	tcase_add_loop_test(tc, the_first_rule_that_applies, 0, ROWS(rows));
	tcase_add_test(tc, hints_not_set_are_none);
	tcase_add_test(tc, stale_allowed_of_nothing);
	tcase_add_test(tc, login_takes_any_replica);
	tcase_add_test(tc, fresh_before_less_loaded);
	tcase_add_test(tc, a_cluster_of_nothing);
	tcase_add_loop_test(tc, idle_replicas_get_their_shares, 0, ROWS(weightings));
	tcase_add_test(tc, equal_loads_are_split_in_half);
	tcase_add_loop_test(tc, of_two_the_less_loaded, 0, ROWS(choices));
	tcase_add_test(tc, of_many_two_are_drawn);
	tcase_add_test(tc, a_counter_is_random_enough);
	tcase_add_loop_test(tc, no_combination_is_unsafe, 0, PICTURES);
	tcase_add_test(tc, reasons_have_names);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(route_suite)
