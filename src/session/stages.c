/*
 * The short stages of the request chain: admit, govern, route, borrow, finish. (classify, prepare
 * and relay have files of their own.) Each looks at the request and its client, does one thing,
 * and says how it went.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/panic.h"
#include "base/random.h"
#include "session/begin.h"
#include "session/channels.h"
#include "session/client.h"
#include "wire/build.h"
#include "wire/message.h"

/* --- admit --- */

enum stage_result stage_admit(struct request *request)
{
	struct client *client = request->client;

	client->n_requests++;
	client->request_at = request->began_at;
	if (request->end != REQUEST_LOGIN)
		client->identity->database->traffic.query_count++;
	client_set_state(client,
			 request->end == REQUEST_LOGIN ? CLIENT_WELCOMING : CLIENT_ACTIVE);
	return STAGE_NEXT;
}

/* --- govern --- */

static bool opens_transaction(const struct request *request)
{
	return request->verdict.has_transaction_control;
}

/* false: it is an error. */
static bool answer_op(struct request *request, const struct op *op, struct bytes *out)
{
	if (begin_is_own(op))
		return begin_execute(request->client, op->facts, out);
	if (op->type == MSG_F_QUERY && own_statement_is(request->client, op->facts) &&
	    op->action == OP_ANSWER)
		return own_statement_execute(request->client, op->facts, true, out);
	bytes_append(out, bytes_begin(op->answer), bytes_length(op->answer));
	return op->action != OP_REFUSE;
}

/* What ends the implicit transaction of statements that no server has seen. */
static void answer_ready(struct client *client)
{
	txn_note_ready(&client->txn, client->txn.status, clock_now());
	build_ready(conn_out(client->conn), client->txn.status);
}

/* A request that no server need see: all its answers are ours. */
static enum stage_result answer_here(struct request *request)
{
	struct client *client = request->client;
	struct bytes *out = conn_out(client->conn);

	for (size_t i = 0; i < request->n_ops; i++) {
		const struct op *op = &request->ops[i];

		if (op->type == MSG_F_SYNC) {
			client->is_batch_failed = false;
			if (!txn_is_open(&client->txn))
				client_forget_portals(client);
			answer_ready(client);
			continue;
		}
		if (client->is_batch_failed || (!op->answer && !begin_is_own(op)))
			continue;
		if (!answer_op(request, op, out)) {
			txn_note_error(&client->txn);
			txn_fail_deferred(&client->txn);
			client->is_batch_failed = op->type != MSG_F_QUERY;
			request_forget_names(request, i + 1);
		}
		if (op->type == MSG_F_QUERY)
			answer_ready(client);
	}
	conn_flush(client->conn);
	return STAGE_REPLY;
}

static void send_warning(struct client *client, const char *text)
{
	if (client->conn)
		build_notice(conn_out(client->conn), "WARNING", "01000", text, NULL, NULL);
}

enum stage_result stage_govern(struct request *request)
{
	struct client *client = request->client;
	enum stage_result result;
	char text[240];

	if (request->has_listen && (result = channels_subscribe(request)) != STAGE_NEXT)
		return result;
	if (request->bad_hint[0] && !client->env->limits.strict_hints) {
		snprintf(text, sizeof(text), "pointsman: hint ignored: %s", request->bad_hint);
		send_warning(client, text);
	}
	if (!request->needs_server)
		return answer_here(request);
	if (client->identity->rules.mode == POOL_STATEMENT && opens_transaction(request))
		return request_fail(request, "0A000", "statement_mode",
				    "pointsman: transaction blocks are not allowed in statement "
				    "pooling mode");
	return STAGE_NEXT;
}

/* --- route --- */

#define NODES_MAX 64

static size_t gather_loads(struct client *client, struct route_load *loads)
{
	const struct cluster *cluster = client_cluster(client);
	struct session_identity *identity = client->identity;
	size_t n = cluster->n_nodes < NODES_MAX ? cluster->n_nodes : NODES_MAX;

	for (size_t i = 0; i < n; i++) {
		struct pool *pool = session_pool(client->env, identity, i);

		loads[i].in_flight = pool ? atomic_load(&pool->load->in_flight) : 0;
		loads[i].waiting = pool ? atomic_load(&pool->load->waiting) : 0;
	}
	return n;
}

/* Why the session keeps the server it has. */
static enum route_reason held_reason(const struct client *client)
{
	if (client->identity->rules.mode == POOL_SESSION)
		return ROUTE_SESSION_MODE;
	if (pins_are_held(&client->pins))
		return ROUTE_PINNED;
	return txn_is_open(&client->txn) ? ROUTE_IN_TRANSACTION : ROUTE_UNFINISHED_BATCH;
}

/*
 * The index of the held server's node in the cluster as it is now: a reload may have moved it, or
 * taken it out (-1) while the session still has a server of it.
 */
static int held_node(struct client *client)
{
	const struct cluster *cluster = client_cluster(client);
	const char *name = client->server->pool->key.node_name;

	for (size_t i = 0; i < cluster->n_nodes; i++) {
		if (strcmp(cluster->nodes[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

static void decide(struct request *request)
{
	struct client *client = request->client;
	struct session_database *database = client->identity->database;
	struct route_load loads[NODES_MAX];
	struct route_facts facts = {
		.cluster = client_cluster(client),
		.loads = loads,
		.verdict = &request->verdict,
		.begin = begin_route(request),
		.hints = &request->hints,
		.split = database->split,
		.on_no_replica = database->on_no_replica,
		.held_node = client->server ? held_node(client) : -1,
		.held_reason = held_reason(client),
		.is_session_mode = client->identity->rules.mode == POOL_SESSION,
		.is_login = request->end == REQUEST_LOGIN,
		.is_unfinished = request->end == REQUEST_FLUSH && request->has_executes &&
				 request->is_hint_default,
		.is_replication = client->replication != REPLICATION_NONE,
		.avoid = request->avoid,
		.last_write_at = client->last_write_at,
		.now = clock_now(),
		.random = random_fast(),
	};

	if (client->server && facts.held_node == -1) {
		request->decision = (struct route_decision){ .outcome = ROUTE_TO_NODE,
							     .node = -1,
							     .reason = facts.held_reason };
		return;
	}
	if (!client->server)
		gather_loads(client, loads);
	else
		facts.loads = NULL;
	request->decision = route_decide(&facts);
}

/* That BEGIN, COMMIT or SET go to the primary surprises nobody, whatever the session's hint is.
 */
static bool is_overruling_news(const struct request *request)
{
	return request->decision.hint_overruled && !request->is_hint_default &&
	       request->verdict.kind != VERDICT_TXN && request->verdict.kind != VERDICT_SESSION;
}

static void note_decision(struct request *request)
{
	struct client *client = request->client;
	const struct route_decision *decision = &request->decision;
	const struct node *node = client_node(client, decision->node);
	char text[200];

	if (request->end == REQUEST_LOGIN && client->replication == REPLICATION_NONE)
		return;
	client->last.reason = decision->reason;
	client->last.node = decision->node;
	client->last.staleness =
		node && node->role == NODE_ROLE_REPLICA ? node_staleness(node, clock_now()) : -1;
	client->identity->database
		->routes[decision->reason]
			[node ? (node->role == NODE_ROLE_REPLICA ? 2 : 1) : 0]++;
	if (!is_overruling_news(request))
		return;
	snprintf(text, sizeof(text),
		 "pointsman: hint \"%s\" overruled: the statement must run on the primary (%s)",
		 read_hint_name(request->hints.read_hint), route_reason_name(decision->reason));
	send_warning(client, text);
}

static enum stage_result fail_with(struct request *request, const struct pool_failure *failure)
{
	return request_fail(request, failure->sqlstate, failure->reason, failure->message);
}

static enum stage_result refuse_route(struct request *request)
{
	return request_fail(request, "57P03", route_reason_name(request->decision.reason),
			    "pointsman: no node can take this request");
}

static enum stage_result wait_for_topology(struct request *request)
{
	struct client *client = request->client;

	if (!list_contains_node(&request->route_node))
		list_push_back(&client->env->route_waiters, &request->route_node);
	if (!request->waiting_since)
		request->waiting_since = clock_now();
	client_set_state(client, CLIENT_WAITING);
	return STAGE_WAIT;
}

enum stage_result stage_route(struct request *request)
{
	if (request->failure.sqlstate[0])
		return fail_with(request, &request->failure);
	decide(request);
	switch (request->decision.outcome) {
	case ROUTE_TO_NODE: note_decision(request); return STAGE_NEXT;
	case ROUTE_WAIT: return wait_for_topology(request);
	case ROUTE_REFUSE: note_decision(request); return refuse_route(request);
	}
	UNREACHABLE();
}

/* --- borrow --- */

static void note_wait(struct request *request)
{
	struct session_database *database = request->client->identity->database;

	request->waited = request->waiting_since ? clock_now() - request->waiting_since : 0;
	database->traffic.wait_time += (uint64_t)request->waited;
	database->traffic.server_assignment_count++;
	hist_record(&database->wait_time, request->waited);
}

static void begin_lease(struct request *request, struct server *server)
{
	struct client *client = request->client;

	note_wait(request);
	lease_begin(client, server, (size_t)request->decision.node);
	if (client->replication != REPLICATION_NONE) {
		pins_add(client, PIN_REPLICATION);
	}
}

static void on_served(struct pool_waiter *waiter, struct server *server)
{
	struct request *request = CONTAINER_OF(waiter, struct request, waiter);

	begin_lease(request, server);
	client_set_state(request->client,
			 request->end == REQUEST_LOGIN ? CLIENT_WELCOMING : CLIENT_ACTIVE);
	request_resume(request, true);
}

static void on_refused(struct pool_waiter *waiter, const struct pool_failure *failure)
{
	struct request *request = CONTAINER_OF(waiter, struct request, waiter);

	request->failure = *failure;
	request_resume(request, false);
}

/*
 * A replica that cannot be connected to costs its readers nothing: nothing was sent, so another
 * node is asked, each at most once. (The monitor has been told, and needs a moment to see it.)
 */
static enum stage_result fail_or_reroute(struct request *request)
{
	const struct route_decision *decision = &request->decision;
	const char *reason = request->failure.reason;

	if (decision->node < 0 || decision->node >= 64 || decision->role != NODE_ROLE_REPLICA ||
	    !reason || strcmp(reason, "connect_failed") != 0 ||
	    (request->avoid >> decision->node & 1))
		return fail_with(request, &request->failure);
	request->avoid |= (uint64_t)1 << decision->node;
	request->failure.sqlstate[0] = '\0';
	return STAGE_AGAIN;
}

static enum pool_borrowing borrow(struct request *request, struct pool *pool,
				  struct server **server_out)
{
	struct client *client = request->client;

	request->waiter.served = on_served;
	request->waiter.failed = on_refused;
	if (client->replication != REPLICATION_NONE)
		return pool_borrow_dedicated(pool, &request->waiter, client->replication_startup);
	return pool_borrow(pool, &request->waiter, client->txn.settings, server_out,
			   &request->failure);
}

enum stage_result stage_borrow(struct request *request)
{
	struct client *client = request->client;
	struct server *server = NULL;
	struct pool *pool;

	if (request->failure.sqlstate[0])
		return fail_or_reroute(request);
	if (client->server)
		return STAGE_NEXT;
	pool = session_pool(client->env, client->identity, (size_t)request->decision.node);
	if (!pool)
		return request_fail(request, "53200", "no_memory", "pointsman: out of memory");
	switch (borrow(request, pool, &server)) {
	case POOL_LENT: begin_lease(request, server); return STAGE_NEXT;
	case POOL_REFUSED: return fail_or_reroute(request);
	case POOL_WAITING: break;
	}
	if (!request->waiting_since)
		request->waiting_since = clock_now();
	client_set_state(client, CLIENT_WAITING);
	return STAGE_WAIT;
}

/* --- finish --- */

static void count_times(struct request *request)
{
	struct client *client = request->client;
	struct session_database *database = client->identity->database;
	usec now = clock_now();

	if (!request->is_sent || request->end == REQUEST_LOGIN)
		return;
	database->traffic.query_time += (uint64_t)(now - request->sent_at);
	hist_record(&database->query_time, now - request->sent_at);
	if (txn_is_open(&client->txn) || client->is_batch_open)
		return;
	/* A request outside a transaction is one by itself. */
	if (!client->xact_at)
		client->xact_at = request->sent_at;
	database->traffic.xact_count++;
	database->traffic.xact_time += (uint64_t)(now - client->xact_at);
	hist_record(&database->xact_time, now - client->xact_at);
	client->xact_at = 0;
}

static void note_transaction_start(struct request *request)
{
	struct client *client = request->client;

	if (!client->xact_at && request->is_sent &&
	    (txn_is_open(&client->txn) || client->is_batch_open))
		client->xact_at = request->sent_at;
}

static void log_request(const struct request *request)
{
	struct client *client = request->client;
	const struct node *node = client_node(client, request->decision.node);
	struct log_ctx ctx = client_log_ctx(client);

	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	log_debug(&ctx, "request to %s: %s, %s, waited %lld us, took %lld us",
		  node ? node->name : "nobody", route_reason_name(request->decision.reason),
		  verdict_kind_name(request->verdict.kind), (long long)request->waited,
		  (long long)(clock_now() - request->began_at));
}

/*
 * Whatever is not proved a read may have written, and been committed with this answer. What went
 * ahead of its batch's Sync is committed only then, by a request that may be nothing but a Sync.
 */
static void note_write(const struct request *request)
{
	struct client *client = request->client;

	if (!request->is_sent ||
	    (request->verdict.kind == VERDICT_READ && !client->is_write_open))
		return;
	client->last_write_at = clock_now();
	client->is_write_open = client->is_batch_open;
}

enum stage_result stage_finish(struct request *request)
{
	struct client *client = request->client;

	request_take(request);
	note_transaction_start(request);
	note_write(request);
	count_times(request);
	log_request(request);
	client->request = NULL;
	request_destroy(&request);
	lease_settle(client);
	client_request_finished(client);
	return STAGE_NEXT;
}
