/*
 * Prepared statements that a server has no more, or as they were before some DDL: what we relied
 * on when we sent no Parse. Outside a transaction the client does not learn of it: the statement
 * is prepared anew and the rest of the request sent again, once, when nothing of it can have been
 * carried out and nothing of its answer has reached the client. Else the error is passed on, and
 * the next use finds the statement in order. Worker thread.
 */
#include <string.h>

#include "base/panic.h"
#include "session/relay_private.h"
#include "session/sql_prepare.h"
#include "wire/cursor.h"
#include "wire/error.h"
#include "wire/frame.h"
#include "wire/message.h"

/* What is longer is not kept for a second time. */
#define KEPT_BYTES_MAX (64 * 1024)

void relay_keep_request(struct request *request, const uint8_t *bytes)
{
	if (request->is_healed || request->size > KEPT_BYTES_MAX || request->tail > 0 ||
	    (request->end != REQUEST_SYNC && request->end != REQUEST_QUERY))
		return;
	bytes_clear(&request->kept);
	request->is_kept = bytes_append(&request->kept, bytes, request->size);
}

static bool has_field(const struct frame *frame, const char *field)
{
	return memmem(frame->body, frame->body_length, field, strlen(field) + 1) != NULL;
}

/*
 * "cached plan must not change result type" in whatever language: the name of PostgreSQL's
 * function that says so (plancache.c). Only plans that were prepared by a client have a fixed
 * result type, not those of functions.
 */
static bool is_stale_plan(const struct frame *frame, const struct wire_error *error)
{
	return strcmp(error->sqlstate, "0A000") == 0 &&
	       has_field(frame, "RRevalidateCachedQuery");
}

/* Is it one of our names that the server does not know? */
static bool is_lost_name(const struct pending_entry *first, const struct wire_error *error)
{
	if (strcmp(error->sqlstate, "26000") != 0)
		return false;
	return first->kind == PENDING_QUERY
		       ? strstr(error->message, "\"" STATEMENT_NAME_PREFIX) != NULL
		       : first->facts_owner != NULL;
}

static void expire(struct server *server, struct statement *statement)
{
	statement->n_expired++;
	server_expire_statement(server, statement->id);
	if (server->unnamed_statement == statement->id)
		server->unnamed_statement = 0;
	if (statement->target)
		server_expire_statement(server, statement->target->id);
}

/* What the message relied on is prepared anew when it is needed next. */
static void expire_statements(struct client *client, const struct pending_entry *first)
{
	const struct sql_uses *uses = client->request ? client->request->uses : NULL;

	if (first->facts_owner)
		expire(client->server, first->facts_owner);
	for (size_t i = 0; first->kind == PENDING_QUERY && uses && i < uses->count; i++) {
		if (uses->uses[i].target)
			expire(client->server, uses->uses[i].target);
	}
}

/* Nothing of the messages before this one is lost when the server skips to the Sync. */
static bool is_first_that_counts(const struct request *request, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++) {
		const struct op *op = &request->ops[i];

		if (op->type != MSG_F_PARSE && op->type != MSG_F_CLOSE &&
		    (op->type != MSG_F_DESCRIBE || op->is_of_portal))
			return false;
	}
	return true;
}

/* More than one: they were made for the columns that the client knows. */
static bool has_column_formats(const struct request *request, const struct op *op)
{
	struct cursor c;

	cursor_init(&c, bytes_begin(&request->kept) + op->offset + FRAME_HEADER_BYTES,
		    op->size - FRAME_HEADER_BYTES);
	cursor_string(&c);
	cursor_string(&c);
	cursor_bytes(&c, (size_t)2 * cursor_u16(&c));
	for (unsigned n = cursor_u16(&c); n > 0 && !c.failed; n--) {
		uint32_t length = cursor_u32(&c);

		if (length != UINT32_MAX)
			cursor_bytes(&c, length);
	}
	return cursor_u16(&c) > 1 || c.failed;
}

/*
 * Will the client learn which columns it gets? Who relies on an earlier description must be told
 * that it does not hold any more: he would read the new rows by it.
 */
static bool is_described_anew(const struct request *request, const struct pending_entry *first)
{
	if (first->kind != PENDING_BIND)
		return true;
	if (has_column_formats(request, &request->ops[first->op]))
		return false;
	for (size_t i = first->op + 1; i < request->n_ops; i++) {
		const struct op *op = &request->ops[i];

		if (op->type == MSG_F_DESCRIBE && op->is_of_portal)
			return true;
		if (op->type != MSG_F_DESCRIBE)
			return false;
	}
	return false;
}

/* Has nothing been carried out? Arguments of EXECUTE have been worked out. */
static bool is_untouched(const struct request *request, const struct pending_entry *first)
{
	switch (first->kind) {
	case PENDING_BIND:
	case PENDING_DESCRIBE: return is_first_that_counts(request, first->op);
	case PENDING_QUERY:
		return request->uses && request->query_facts->n_statements == 1 &&
		       request->query_facts->rest_kind == VERDICT_READ && !first->has_output;
	default: return false;
	}
}

static bool is_healable(const struct client *client, const struct pending_entry *first)
{
	const struct request *request = client->request;

	return request && request->is_kept && !request->is_healed && !request->has_error &&
	       !request->is_overdue && client->conn && !txn_is_open(&client->txn) &&
	       !client->is_copying_in && first->action == PENDING_FORWARD &&
	       is_untouched(request, first);
}

/* What the entry took from its op goes back there, to be sent again. */
static void return_to_op(struct op *op, struct pending_entry *entry)
{
	if (op->answer == NULL && (op->action == OP_ANSWER || op->action == OP_REFUSE)) {
		op->answer = entry->text;
		entry->text = NULL;
	}
	if (op->type == MSG_F_EXECUTE && entry->closed_name) {
		op->closed_name = entry->closed_name;
		op->closed = entry->statement;
		entry->closed_name = NULL;
		entry->statement = NULL;
	}
}

/* The server skips to the Sync, and its answer to that is the end of this attempt. */
static void drop_attempt(struct client *client)
{
	struct request *request = client->request;
	struct pending_entry *first;

	while ((first = pending_first(&client->pending)) != NULL && first->kind != PENDING_SYNC &&
	       first->kind != PENDING_QUERY) {
		relay_undo_entry(client, first);
		return_to_op(&request->ops[first->op], first);
		pending_pop(&client->pending);
	}
	ASSERT(first);
	first->action = PENDING_SWALLOW;
}

bool relay_heal(struct client *client, const struct frame *frame)
{
	struct pending_entry *first = pending_first(&client->pending);
	struct wire_error error;

	if (!frame_is_whole(frame) || !sql_names_are_replaced(client))
		return false;
	wire_error_parse(frame->body, frame->body_length, &error);
	if (!is_stale_plan(frame, &error) && !is_lost_name(first, &error))
		return false;
	expire_statements(client, first);
	if (!is_healable(client, first) ||
	    (is_stale_plan(frame, &error) && !is_described_anew(client->request, first)))
		return false;
	client->request->is_healed = true;
	client->request->is_healing = true;
	client->request->resume_op = first->op;
	drop_attempt(client);
	return true;
}

bool relay_resume_healed(struct client *client)
{
	struct request *request = client->request;

	if (!request->is_healing)
		return false;
	request->is_healing = false;
	request->stage = STAGE_PREPARE;
	request_resume(request, false);
	return true;
}
