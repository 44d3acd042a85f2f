/*
 * The runner of the request chain and what a request is made of; see session/request.h. The one
 * loop over the stages is request_run().
 */
#include "session/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/panic.h"
#include "session/channels.h"
#include "session/client.h"
#include "session/sql_prepare.h"
#include "wire/build.h"
#include "wire/frame.h"
#include "wire/message.h"

/* A request passes each stage at most a few times (a wait goes through its stage again). */
#define STEPS_MAX 64

/* More memory than this does not stay with a request that is recycled. */
#define KEPT_CAPACITY_MAX 4096

static const stage_function stages[STAGE_COUNT] = {
	[STAGE_ADMIT] = stage_admit,   [STAGE_CLASSIFY] = stage_classify,
	[STAGE_GOVERN] = stage_govern, [STAGE_ROUTE] = stage_route,
	[STAGE_BORROW] = stage_borrow, [STAGE_PREPARE] = stage_prepare,
	[STAGE_RELAY] = stage_relay,   [STAGE_FINISH] = stage_finish,
};

const char *stage_name(enum stage stage)
{
	static const char *const names[STAGE_COUNT] = {
#define STAGE_NAME(upper, lower) #lower,
		STAGES(STAGE_NAME)
#undef STAGE_NAME
	};

	return names[stage];
}

/* --- the object --- */

struct request *request_create(struct client *client)
{
	struct session_env *env = client->env;
	struct request *request = env->free_requests;
	struct bytes kept = { 0 };

	if (request) {
		env->free_requests = request->next_free;
		kept = request->kept;
		bytes_clear(&kept);
		memset(request, 0, offsetof(struct request, ops_inline));
	} else {
		request = calloc(1, sizeof(*request));
		if (!request)
			return NULL;
	}
	memset(&request->query_facts, 0,
	       sizeof(*request) - offsetof(struct request, query_facts));
	request->kept = kept;
	request->client = client;
	request->ops = request->ops_inline;
	request->capacity = REQUEST_OPS_INLINE;
	request->began_at = clock_now();
	request->decision.node = -1;
	request->verdict.kind = VERDICT_READ;
	request->verdict.reason = VERDICT_REASON_EMPTY;
	return request;
}

static void release_op(struct op *op)
{
	statement_unref(&op->statement);
	statement_unref(&op->closed);
	free(op->closed_name);
	op->closed_name = NULL;
	if (op->answer) {
		bytes_free(op->answer);
		free(op->answer);
		op->answer = NULL;
	}
}

void request_stop_waiting(struct request *request)
{
	pool_forget(&request->waiter);
	if (list_contains_node(&request->route_node))
		list_remove(&request->client->env->route_waiters, &request->route_node);
}

void request_destroy(struct request **request_pointer)
{
	struct request *request = *request_pointer;
	struct session_env *env;

	*request_pointer = NULL;
	if (!request)
		return;
	env = request->client->env;
	request_stop_waiting(request);
	for (size_t i = 0; i < request->n_ops; i++)
		release_op(&request->ops[i]);
	if (request->ops != request->ops_inline)
		free(request->ops);
	statement_facts_destroy(&request->query_facts);
	sql_uses_destroy(&request->uses);
	if (request->kept.capacity > KEPT_CAPACITY_MAX)
		bytes_free(&request->kept);
	request->next_free = env->free_requests;
	env->free_requests = request;
}

static bool grow_ops(struct request *request)
{
	size_t capacity = request->capacity * 2;
	bool is_inline = request->ops == request->ops_inline;
	struct op *ops = realloc(is_inline ? NULL : request->ops, capacity * sizeof(*ops));

	if (!ops)
		return false;
	if (is_inline)
		memcpy(ops, request->ops_inline, sizeof(request->ops_inline));
	request->ops = ops;
	request->capacity = capacity;
	return true;
}

struct op *request_add_op(struct request *request)
{
	struct op *op;

	if (request->n_ops == request->capacity && !grow_ops(request))
		return NULL;
	op = &request->ops[request->n_ops++];
	memset(op, 0, sizeof(*op));
	return op;
}

const uint8_t *request_bytes(const struct request *request)
{
	struct client *client = request->client;
	size_t length = client->input_left;
	const uint8_t *bytes = client->input;

	ASSERT(!request->is_taken);
	if (!bytes)
		bytes = conn_input(client->conn, &length);
	ASSERT(length >= request->size);
	return bytes;
}

/* Does its last message, of which the rest is still to come, go to the server? */
static bool is_passed_on(const struct request *request)
{
	const struct op *last = request->n_ops > 0 ? &request->ops[request->n_ops - 1] : NULL;

	return last && (last->action == OP_FORWARD || last->action == OP_REWRITE);
}

void request_take(struct request *request)
{
	struct client *client = request->client;

	if (request->is_taken)
		return;
	request->is_taken = true;
	client->client_tail = request->tail;
	client->is_tail_dropped = !request->is_sent || !is_passed_on(request);
	if (client->input) {
		client->input += request->size;
		client->input_left -= request->size;
	} else if (client->conn && request->size > 0) {
		conn_consume(client->conn, request->size);
	}
}

/* What the message has done to the client's names is undone. */
static void forget_name(struct client *client, const struct op *op, const char *name)
{
	if (op->name_hash)
		statement_map_remove_hash(&client->statements, op->name_hash,
					  op->statement->target);
	if (op->closed_name && !statement_map_find(&client->statements, op->closed_name))
		statement_map_add(&client->statements, op->closed_name, op->closed);
	if (op->type != MSG_F_PARSE || !op->statement)
		return;
	if (name[0])
		statement_map_remove_hash(&client->statements, statement_name_hash(name),
					  op->statement);
	else if (client->unnamed == op->statement)
		statement_unref(&client->unnamed);
}

void request_forget_names(struct request *request, size_t first)
{
	const uint8_t *bytes = request_bytes(request);

	/* The last one first: what a name has come to lead to goes before what it led to. */
	for (size_t i = request->n_ops; i-- > first;) {
		const struct op *op = &request->ops[i];

		forget_name(request->client, op,
			    (const char *)bytes + op->offset + FRAME_HEADER_BYTES);
	}
}

/* --- errors of ours --- */

enum stage_result request_fail(struct request *request, const char *sqlstate, const char *reason,
			       const char *message)
{
	struct client *client = request->client;
	char detail[64];

	if (request->end == REQUEST_LOGIN) {
		client_close_for(client, CLOSE_LOGIN_FAILED, sqlstate, reason, message);
		return STAGE_CLOSE;
	}
	ASSERT(!request->is_sent);
	request->has_error = true;
	txn_note_error(&client->txn);
	txn_fail_deferred(&client->txn);
	if (client->conn) {
		request_forget_names(request, 0);
		snprintf(detail, sizeof(detail), "reason: %s", reason);
		build_error(conn_out(client->conn), "ERROR", sqlstate, message, detail, NULL);
		if (request->end == REQUEST_FLUSH || request->end == REQUEST_PARTIAL)
			client->is_batch_failed = true;
		else
			build_ready(conn_out(client->conn), client->txn.status);
		txn_note_ready(&client->txn, client->txn.status, clock_now());
		conn_flush(client->conn);
	}
	return STAGE_REPLY;
}

/* --- the runner --- */

static void note_result(struct stage_stats *stats, enum stage_result result)
{
	switch (result) {
	case STAGE_NEXT: stats->passed++; break;
	case STAGE_WAIT: stats->waited++; break;
	case STAGE_REPLY: stats->answered++; break;
	case STAGE_AGAIN:
	case STAGE_CLOSE: stats->failed++; break;
	}
}

/*
 * A stage that waits must have left somebody who resumes the request; which one that is, its
 * state tells. Nobody: the request would hang for ever, and the bug stay unseen.
 */
static bool has_resumer(const struct request *request)
{
	const struct client *client = request->client;

	switch (request->stage) {
	case STAGE_GOVERN: return channels_are_awaited(client);
	case STAGE_ROUTE: return list_contains_node(&request->route_node);
	case STAGE_BORROW: return request->waiter.pool != NULL;
	case STAGE_PREPARE:
	case STAGE_RELAY: return client->server != NULL;
	default: return false;
	}
}

static enum stage_result run_stage(struct request *request)
{
	struct stage_stats *stats = &request->client->env->stages[request->stage];
	enum stage_result result;

	stats->entered++;
	request->stage_began_at = clock_now();
	result = stages[request->stage](request);
	note_result(stats, result);
	return result;
}

/* The chain is broken here: the session is ended, and the counter and the log say where. */
static void report_broken(struct request *request)
{
	struct client *client = request->client;
	struct log_ctx ctx = client_log_ctx(client);

	client->env->stages[request->stage].broken++;
	log_errorx(&ctx, "bug: stage %s left a request without anybody to resume it",
		   stage_name(request->stage));
	client_close(client, CLOSE_PROTOCOL, "XX000", "pointsman: internal error");
}

void request_run(struct request *request)
{
	for (int step = 0; step < STEPS_MAX; step++) {
		bool is_last = request->stage == STAGE_FINISH;
		enum stage stage = request->stage;
		struct stage_stats *stats = &request->client->env->stages[stage];
		usec began;
		enum stage_result result = run_stage(request);

		/* After CLOSE, and after the finish stage, the request is gone. */
		if (result == STAGE_CLOSE || is_last)
			return;
		began = request->stage_began_at;
		if (result == STAGE_WAIT) {
			if (!has_resumer(request))
				report_broken(request);
			return;
		}
		stats->time += clock_now() - began;
		request->stage = result == STAGE_REPLY   ? STAGE_FINISH
				 : result == STAGE_AGAIN ? STAGE_ROUTE
							 : stage + 1;
	}
	report_broken(request);
}

void request_resume(struct request *request, bool passed)
{
	struct stage_stats *stats = &request->client->env->stages[request->stage];

	stats->time += clock_now() - request->stage_began_at;
	if (passed) {
		stats->passed++;
		request->stage++;
	}
	request_run(request);
}
