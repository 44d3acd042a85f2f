/*
 * Where a request goes. route_decide() reads from top to bottom as the table in docs/routing.md:
 * the first rule that applies decides; the functions above it answer its questions. Pure: takes
 * no lock, allocates nothing, remembers nothing, asks no clock. Runs in worker threads.
 */

#include "route/route.h"

#include "base/panic.h"

#define MAX_STALENESS_DEFAULT (5 * USEC_PER_SEC)

static const char *const reason_names[ROUTE_REASON_COUNT] = {
#define FROM_VERDICT(upper, lower) [ROUTE_VERDICT_##upper] = #lower,
#define OWN(upper, lower)          [ROUTE_##upper] = #lower,
	VERDICT_REASONS(FROM_VERDICT) ROUTE_REASONS(OWN)
#undef FROM_VERDICT
#undef OWN
};

const char *route_reason_name(enum route_reason reason)
{
	ASSERT((unsigned)reason < ROUTE_REASON_COUNT);
	return reason_names[reason];
}

/* Both enums are made of one list, the verdicts' first: the numbers are the same. */
static enum route_reason reason_of_verdict(const struct verdict *verdict)
{
	_Static_assert((int)ROUTE_VERDICT_READ == (int)VERDICT_REASON_READ, "same order");
	_Static_assert((int)ROUTE_HINT_PRIMARY == (int)VERDICT_REASON_COUNT, "nothing between");
	ASSERT((unsigned)verdict->reason < VERDICT_REASON_COUNT);
	return (enum route_reason)verdict->reason;
}

/* --- what is asked for --- */

static enum read_hint hint_of(const struct route_facts *f)
{
	if (f->hints == NULL || !hint_is_set(f->hints, HINT_READ_HINT))
		return READ_HINT_NONE;
	return f->hints->read_hint;
}

static bool wants_replica(const struct route_facts *f)
{
	enum read_hint hint = hint_of(f);

	return hint == READ_HINT_REPLICA || hint == READ_HINT_STALE_ALLOWED;
}

static bool wants_primary(const struct route_facts *f)
{
	bool is_strong = f->hints != NULL && hint_is_set(f->hints, HINT_CONSISTENCY) &&
			 f->hints->consistency == CONSISTENCY_STRONG;

	return is_strong || hint_of(f) == READ_HINT_PRIMARY;
}

static usec max_staleness(const struct route_facts *f)
{
	if (hint_is_set(f->hints, HINT_MAX_STALENESS))
		return f->hints->max_staleness;
	return MAX_STALENESS_DEFAULT;
}

/* BEGIN READ ONLY; not a SERIALIZABLE one, which a replica refuses. */
static bool begins_read_only(const struct verdict *verdict)
{
	for (size_t i = 0; i < verdict->n_effects; i++) {
		if (verdict->effects[i].flags & EFFECT_SERIALIZABLE)
			return false;
	}
	return verdict->is_explicit_read_only;
}

/*
 * May the first statement of a read-only transaction run where the others will? What a standby
 * refuses and a read-only transaction on the primary does not (a temporary table, say) is none of
 * these.
 */
static bool may_begin_on_replica(const struct verdict *verdict)
{
	return verdict->kind == VERDICT_READ || verdict->kind == VERDICT_TXN ||
	       verdict->kind == VERDICT_SESSION;
}

static bool is_read_only_begin(const struct route_facts *f)
{
	return f->begin == ROUTE_BEGIN_READ_ONLY
		       ? may_begin_on_replica(f->verdict)
		       : f->begin == ROUTE_BEGIN_NONE && begins_read_only(f->verdict);
}

static bool may_leave_primary(const struct route_facts *f)
{
	if (f->begin == ROUTE_BEGIN_NONE && f->verdict->kind == VERDICT_READ)
		return true;
	return is_read_only_begin(f);
}

/* Does the database's `split` keep this request on the primary? */
static bool is_split_off(const struct route_facts *f)
{
	switch (f->split) {
	case ROUTE_SPLIT_NEVER: return true;
	case ROUTE_SPLIT_HINTS: return !wants_replica(f);
	case ROUTE_SPLIT_AUTO: return false;
	}
	UNREACHABLE();
}

/* --- answers --- */

static struct route_decision to_node(const struct route_facts *f, int node,
				     enum route_reason reason)
{
	ASSERT(node >= 0 && (size_t)node < f->cluster->n_nodes);
	return (struct route_decision){
		.outcome = ROUTE_TO_NODE,
		.node = node,
		.role = f->cluster->nodes[node].role,
		.reason = reason,
	};
}

static struct route_decision to_nowhere(enum route_outcome outcome, enum route_reason reason)
{
	return (struct route_decision){ .outcome = outcome, .node = -1, .reason = reason };
}

static bool has_address(const struct node *node)
{
	return node->address_length > 0;
}

static bool has_primary(const struct route_facts *f)
{
	int primary = f->cluster->primary;

	return primary >= 0 && has_address(&f->cluster->nodes[primary]);
}

/* The caller bounds the wait for a primary. */
static struct route_decision to_primary(const struct route_facts *f, enum route_reason reason)
{
	if (!has_primary(f))
		return to_nowhere(ROUTE_WAIT, ROUTE_NO_PRIMARY);
	return to_node(f, f->cluster->primary, reason);
}

static enum consistency consistency_of(const struct route_facts *f)
{
	return f->hints && hint_is_set(f->hints, HINT_CONSISTENCY) ? f->hints->consistency
								   : CONSISTENCY_NONE;
}

/* --- choice of a replica --- */

/* Who may be chosen. */
struct want {
	usec lag_max;       /* when it was last probed */
	usec staleness_max; /* now: with the time since then */
	bool is_any;        /* staleness and weight do not matter, only that it is there */
};

static bool is_replica_up(const struct node *node)
{
	return node->role == NODE_ROLE_REPLICA && node->state == NODE_STATE_UP &&
	       has_address(node);
}

static bool is_avoided(const struct route_facts *f, const struct node *node)
{
	size_t index = (size_t)(node - f->cluster->nodes);

	return index < 64 && (f->avoid >> index & 1) != 0;
}

/* The node's share of the requests; 0: it may not be chosen. */
static uint64_t share_of(const struct route_facts *f, const struct node *node,
			 const struct want *want)
{
	usec staleness;

	if (!is_replica_up(node) || is_avoided(f, node))
		return 0;
	if (want->is_any)
		return node->weight > 0 ? (uint64_t)node->weight : 1;
	staleness = node_staleness(node, f->now);
	if (node->weight <= 0 || staleness < 0 || staleness > want->staleness_max ||
	    node->lag > want->lag_max)
		return 0;
	return (uint64_t)node->weight;
}

/* splitmix64's finalizer: two draws out of one number, however little there is in it. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

/* One node by chance, each as likely as its share; never `but`. -1: there is no other. */
static int draw(const struct route_facts *f, const struct want *want, int but, uint64_t random)
{
	uint64_t total = 0;
	uint64_t point;
	int last = -1;

	for (size_t i = 0; i < f->cluster->n_nodes; i++) {
		if ((int)i != but)
			total += share_of(f, &f->cluster->nodes[i], want);
	}
	if (total == 0)
		return -1;
	point = random % total;
	for (size_t i = 0; i < f->cluster->n_nodes; i++) {
		uint64_t share = share_of(f, &f->cluster->nodes[i], want);

		if ((int)i == but || share == 0)
			continue;
		last = (int)i;
		if (point < share)
			break;
		point -= share;
	}
	return last;
}

/* Loads above this are all the same: far more than any node takes, and the products below fit. */
#define LOAD_MAX    (1u << 30)
#define LOAD_FACTOR 3
#define LOAD_MARGIN 16

static uint64_t load_of(const struct route_load *load)
{
	uint64_t sum = (uint64_t)load->in_flight + load->waiting;

	return sum < LOAD_MAX ? sum : LOAD_MAX;
}

/*
 * Does b have so much less to do than a, each for its share, that a's draw is overruled? Less
 * than a third, and by more than a few: what differs less is chance, and to follow it would give
 * whichever replica the scheduler favours for a moment more and more of the work.
 */
static bool is_much_less_loaded(const struct route_facts *f, const struct want *want, int a,
				int b)
{
	const struct node *nodes = f->cluster->nodes;

	if (f->loads == NULL)
		return false;
	/* load / share, multiplied out: at most 32 bits times 31. */
	return (LOAD_FACTOR * load_of(&f->loads[b]) + LOAD_MARGIN) *
		       share_of(f, &nodes[a], want) <
	       load_of(&f->loads[a]) * share_of(f, &nodes[b], want);
}

/*
 * The power of two choices: of two replicas drawn by weight the first, so that replicas get their
 * shares, unless it has much more to do than the other. -1: none qualifies.
 */
static int choose(const struct route_facts *f, const struct want *want)
{
	uint64_t random = mix(f->random);
	int first = draw(f, want, -1, random);
	int second = draw(f, want, first, mix(random));

	return second >= 0 && is_much_less_loaded(f, want, first, second) ? second : first;
}

static enum route_reason why_no_replica(const struct cluster *cluster)
{
	bool is_any_up = false;

	for (size_t i = 0; i < cluster->n_nodes; i++) {
		if (!is_replica_up(&cluster->nodes[i]))
			continue;
		if (cluster->nodes[i].weight > 0)
			return ROUTE_NO_REPLICA_FRESH;
		is_any_up = true;
	}
	return is_any_up ? ROUTE_NO_REPLICA_WEIGHT : ROUTE_NO_REPLICA_UP;
}

static struct route_decision without_replica(const struct route_facts *f)
{
	enum route_reason reason = why_no_replica(f->cluster);

	switch (f->on_no_replica) {
	case ROUTE_NO_REPLICA_PRIMARY: return to_primary(f, reason);
	case ROUTE_NO_REPLICA_WAIT: return to_nowhere(ROUTE_WAIT, reason);
	case ROUTE_NO_REPLICA_ERROR: return to_nowhere(ROUTE_REFUSE, reason);
	}
	UNREACHABLE();
}

/*
 * stale-allowed has one bound, the request's; else the preferred one, then the hard one. What is
 * promised is held against the staleness of this moment; what is only preferred, against the lag
 * that was measured, or an interval of probes as long as it would make replicas come and go with
 * each probe.
 */
static int choose_fresh(const struct route_facts *f)
{
	const struct cluster *cluster = f->cluster;
	struct want want = { 0 };
	int node;

	if (hint_of(f) == READ_HINT_STALE_ALLOWED) {
		want.lag_max = want.staleness_max = max_staleness(f);
		return choose(f, &want);
	}
	want.lag_max = cluster->lag_preferred;
	want.staleness_max = cluster->lag_hard;
	/* Its own writes: on a replica that is less stale than the last of them is old. */
	if (consistency_of(f) == CONSISTENCY_SESSION && f->last_write_at != 0 &&
	    f->now - f->last_write_at < want.staleness_max)
		want.staleness_max = f->now - f->last_write_at;
	node = choose(f, &want);
	if (node >= 0)
		return node;
	want.lag_max = cluster->lag_hard;
	return choose(f, &want);
}

static struct route_decision to_replica(const struct route_facts *f, enum route_reason reason)
{
	int node = choose_fresh(f);

	return node >= 0 ? to_node(f, node, reason) : without_replica(f);
}

static struct route_decision to_anyone(const struct route_facts *f)
{
	const struct want want = { .is_any = true };
	int node;

	if (has_primary(f))
		return to_primary(f, ROUTE_LOGIN);
	node = choose(f, &want);
	if (node >= 0)
		return to_node(f, node, ROUTE_LOGIN);
	return to_nowhere(ROUTE_WAIT, ROUTE_NO_PRIMARY);
}

/* The first request chooses for the whole session, so it is the hint that counts. */
static struct route_decision for_session(const struct route_facts *f, enum route_reason reason)
{
	if (f->split != ROUTE_SPLIT_NEVER && wants_replica(f) && !wants_primary(f))
		return to_replica(f, reason);
	return to_primary(f, reason);
}

/* The statement may not leave the primary, or the transaction that begins with it. */
static struct route_decision overruled(const struct route_facts *f)
{
	bool is_read = f->verdict->kind == VERDICT_READ;
	struct route_decision decision = to_primary(f, is_read ? ROUTE_VERDICT_TRANSACTION
							       : reason_of_verdict(f->verdict));

	decision.hint_overruled = wants_replica(f) && f->begin == ROUTE_BEGIN_NONE;
	return decision;
}

struct route_decision route_decide(const struct route_facts *f)
{
	/* 1. A session that has a server keeps it: transaction, pin, unfinished batch. */
	if (f->held_node >= 0)
		return to_node(f, f->held_node, f->held_reason);

	/* 2a. Replication: from the primary, or from a replica that feeds others. */
	if (f->is_replication)
		return for_session(f, ROUTE_REPLICATION);

	/* 2. To greet a client any server will do. */
	if (f->is_login)
		return to_anyone(f);

	/* 3. Session mode: one server from the first request to the last. */
	if (f->is_session_mode)
		return for_session(f, ROUTE_SESSION_MODE);

	/* 4. What is not proved read-only goes to the primary, whatever it asks for. */
	ASSERT(f->verdict != NULL);
	if (!may_leave_primary(f))
		return overruled(f);

	/* 5. The request asks for the primary. */
	if (wants_primary(f))
		return to_primary(f, ROUTE_HINT_PRIMARY);

	/* 5a. A batch is one transaction: what comes behind the Flush may write. */
	if (f->is_unfinished)
		return to_primary(f, ROUTE_UNFINISHED_BATCH);

	/* 6. The database does not split; or only what asks for it, and this does not. */
	if (is_split_off(f))
		return to_primary(f, ROUTE_SPLIT_OFF);

	/* 7. A read-only transaction stays where it begins. */
	if (is_read_only_begin(f))
		return to_replica(f, ROUTE_TRANSACTION_READ_ONLY);

	/* 8. The request says how stale an answer may be. */
	if (hint_of(f) == READ_HINT_STALE_ALLOWED)
		return to_replica(f, ROUTE_HINT_STALE);

	/* 9. The request asks for a replica. */
	if (hint_of(f) == READ_HINT_REPLICA)
		return to_replica(f, ROUTE_HINT_REPLICA);

	/* 10. A read. */
	return to_replica(f, reason_of_verdict(f->verdict));
}

const char *route_split_name(enum route_split split)
{
	switch (split) {
	case ROUTE_SPLIT_NEVER: return "off";
	case ROUTE_SPLIT_HINTS: return "hints";
	case ROUTE_SPLIT_AUTO: return "auto";
	}
	UNREACHABLE();
}

const char *route_no_replica_name(enum route_no_replica policy)
{
	switch (policy) {
	case ROUTE_NO_REPLICA_PRIMARY: return "primary";
	case ROUTE_NO_REPLICA_WAIT: return "wait";
	case ROUTE_NO_REPLICA_ERROR: return "error";
	}
	UNREACHABLE();
}
