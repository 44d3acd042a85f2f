/*
 * What time does to client sessions: each limit of time there is, looked at by the worker's tick;
 * see docs/states.md. Log-ins have a tick of their own (client_login.c), and so have the pools.
 * The worker's thread runs all of it.
 */
#include "session/client.h"

#include "base/panic.h"
#include "pool/cancel.h"
#include "session/channels.h"
#include "wire/build.h"

/* How long the server of a client that has gone may take to come to rest. */
#define GONE_MAX   (10 * USEC_PER_SEC)
/* Who is idle for this long gives back the buffers that make the next answer cheap. */
#define TRIM_AFTER USEC_PER_SEC

static void fail_waiting(struct client *client)
{
	struct request *request = client->request;
	bool is_for_route = list_contains_node(&request->route_node);

	request_stop_waiting(request);
	pool_failure_set(&request->failure, is_for_route ? "57P03" : "53300",
			 is_for_route ? route_reason_name(request->decision.reason)
				      : "query_wait_timeout",
			 "pointsman: no %s in time (query_wait_timeout)",
			 is_for_route ? "node could take this request" : "server was free");
	request_resume(request, false);
}

static bool is_over(usec since, usec limit, usec now)
{
	return limit > 0 && since > 0 && now - since >= limit;
}

/* server_fast_close: the server of a session that does nothing is not waited for. */
static bool is_server_outdated(const struct client *client)
{
	return client->env->limits.server_fast_close &&
	       client->identity->rules.mode == POOL_SESSION && client->server &&
	       client->server->is_close_needed && relay_is_quiet(client) &&
	       !client->is_batch_open && !txn_is_open(&client->txn);
}

/* A server that does not say what is left of the pins: as slow as one may be to log in. */
static bool is_answer_slow(const struct client *client, usec now)
{
	return client->server &&
	       is_over(client->pins.asked_at,
		       client->server->pool->env->limits.server_connect_timeout, now);
}

static void check_idle(struct client *client, usec now)
{
	const struct session_rules *rules = &client->identity->rules;

	if (is_answer_slow(client, now)) {
		relay_server_lost(client, "it did not say what its session has left in it");
		return;
	}
	if (is_over(client->state_since, TRIM_AFTER, now))
		conn_trim(client->conn);
	if (txn_is_open(&client->txn)) {
		if (is_over(client->state_since, rules->idle_transaction_timeout, now))
			client_close(client, CLOSE_TIMEOUT, "25P03",
				     "pointsman: idle in transaction for too long "
				     "(idle_transaction_timeout)");
	} else if (is_over(client->state_since, rules->client_idle_timeout, now)) {
		client_close(client, CLOSE_TIMEOUT, "57P05",
			     "pointsman: idle for too long (client_idle_timeout)");
	} else if (is_server_outdated(client)) {
		client_close(client, CLOSE_ADMIN, "57P01",
			     "pointsman: the server of this session is being replaced "
			     "(server_fast_close)");
	}
}

/* Since when a transaction is open, be it of a single statement, or a BEGIN that no server has
 * seen yet; 0: none is. */
static usec transaction_since(const struct client *client)
{
	if (client->txn.began_at)
		return client->txn.began_at;
	if (client->xact_at)
		return client->xact_at;
	return client->request ? client->request->sent_at : 0;
}

/*
 * transaction_timeout, as of PostgreSQL 17: the session ends, whether a statement runs or not. It
 * is cancelled, and all is rolled back.
 */
static bool end_long_transaction(struct client *client, usec now)
{
	if (!is_over(transaction_since(client), client->identity->rules.transaction_timeout, now))
		return false;
	client_close(client, CLOSE_TIMEOUT, "25P04",
		     "pointsman: the transaction was open for too long (transaction_timeout)");
	return true;
}

/* query_wait_notify: once for each request. */
static void tell_waiting(struct client *client, usec now)
{
	struct request *request = client->request;

	if (request->is_wait_told || !client->conn ||
	    !is_over(request->waiting_since, client->env->limits.query_wait_notify, now))
		return;
	request->is_wait_told = true;
	build_notice(conn_out(client->conn), "NOTICE", "00000",
		     list_contains_node(&request->route_node)
			     ? "pointsman: no node can take the request yet, it is queued"
			     : "pointsman: no server connection is free, the request is queued",
		     "reason: query_wait", NULL);
	conn_flush(client->conn);
}

static void check_waiting(struct client *client, usec now)
{
	const struct request *request = client->request;
	usec login_limit = client->env->limits.client_login_timeout;

	if (!request || end_long_transaction(client, now))
		return;
	if (request->end == REQUEST_LOGIN && is_over(client->connected_at, login_limit, now))
		fail_waiting(client);
	else if (is_over(request->waiting_since, client->identity->rules.query_wait_timeout, now))
		fail_waiting(client);
	else
		tell_waiting(client, now);
}

/*
 * A cancel request may reach the server before the query that it is for, and then does nothing:
 * as long as the server does not come to rest, another one follows.
 */
static void cancel_again(struct client *client)
{
	if (client->server && list_is_empty(&client->server->cancels) &&
	    !pending_is_empty(&client->pending))
		cancel_forward(client->server, CANCEL_CLIENT_GONE, NULL, NULL);
}

/* A server that does not answer while settings are brought to it: as slow as one may be to log
 * in. */
static bool is_setup_slow(const struct client *client, usec now)
{
	const struct request *request = client->request;

	return request && request->stage == STAGE_PREPARE && request->is_setup_sent &&
	       client->server &&
	       is_over(request->stage_began_at,
		       client->server->pool->env->limits.server_connect_timeout, now);
}

/* query_timeout: the server is asked to end it; its answer becomes an error of ours
 * (relay_replies.c). */
static void end_overdue(struct client *client)
{
	client->request->is_overdue = true;
	if (client->server && list_is_empty(&client->server->cancels))
		cancel_forward(client->server, CANCEL_DEADLINE, NULL, NULL);
}

static void check_active(struct client *client, usec now)
{
	usec limit = client->identity->rules.query_timeout;

	channels_tick(client, now);
	if (is_setup_slow(client, now))
		relay_server_lost(client, "it did not take the settings in time");
	else if (client->replication == REPLICATION_NONE && !end_long_transaction(client, now) &&
		 client->request && is_over(client->request->sent_at, limit, now))
		end_overdue(client);
}

static void check_times(struct client *client, usec now)
{
	const struct session_limits *limits = &client->env->limits;

	switch (client->state) {
	case CLIENT_GONE:
		if (is_over(client->state_since, GONE_MAX, now))
			client_abandon(client);
		else
			cancel_again(client);
		break;
	case CLIENT_IDLE:
		if (!end_long_transaction(client, now))
			check_idle(client, now);
		break;
	case CLIENT_WAITING: check_waiting(client, now); break;
	case CLIENT_ACTIVE: check_active(client, now); break;
	case CLIENT_WELCOMING:
		if (is_over(client->connected_at, limits->client_login_timeout, now))
			client_close(client, CLOSE_TIMEOUT, "57P03",
				     "pointsman: no server in time to log in "
				     "(client_login_timeout)");
		break;
	default: UNREACHABLE();
	}
}

void client_tick(struct session_env *env, usec now)
{
	LIST_EACH_SAFE (&env->clients, node)
		check_times(LIST_ENTRY(node, struct client, node), now);
}
