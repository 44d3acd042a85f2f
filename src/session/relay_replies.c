/*
 * Replies on their way to clients: what a server's bytes mean for its borrower, and what it means
 * when they end. Bodies of rows and COPY data are passed on by length; only what changes the
 * session's state is read. Every reply is matched with the queue of replies due
 * (session/pending.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/panic.h"
#include "session/channels.h"
#include "session/client.h"
#include "session/relay_private.h"
#include "session/sql_prepare.h"
#include "wire/build.h"
#include "wire/error.h"
#include "wire/frame.h"
#include "wire/message.h"

/*
 * Messages that are read whole are never longer than this (a RowDescription has at most 1,664
 * columns, names of at most 63 bytes); an error that is, is passed on unread.
 */
#define READ_WHOLE_MAX (256 * 1024)

/* A piece of a server's stream: the run of messages that is passed on unchanged. */
struct incoming {
	struct client *client;
	const uint8_t *data;
	size_t run_start;
	size_t at;
};

enum reply_fate {
	REPLY_PASS,
	REPLY_SWALLOW,
	REPLY_BROKEN
};

static void queue_replies(struct incoming *in)
{
	struct client *client = in->client;

	if (in->at > in->run_start && client->conn)
		conn_queue(client->conn, in->data + in->run_start, in->at - in->run_start);
	in->run_start = in->at;
}

static void send_replies(struct incoming *in)
{
	struct client *client = in->client;

	if (!client->conn)
		return;
	if (in->at > in->run_start)
		conn_send(client->conn, in->data + in->run_start, in->at - in->run_start);
	else
		conn_flush(client->conn);
	in->run_start = in->at;
	if (conn_unsent(client->conn) > CONN_HIGH_WATER && client->server)
		conn_pause(client->server->conn);
}

static void send_text(struct client *client, const struct bytes *text)
{
	if (client->conn)
		conn_queue(client->conn, bytes_begin(text), bytes_length(text));
}

/* Our own answers go out as soon as they are first in the queue. */
void relay_emit_answers(struct client *client)
{
	struct pending_entry *entry;

	while ((entry = pending_first(&client->pending)) != NULL &&
	       entry->kind == PENDING_ANSWER) {
		send_text(client, entry->text);
		pending_pop(&client->pending);
	}
}

/* The first entry has its reply. What follows it of ours goes behind the run so far. */
static enum reply_fate answered(struct incoming *in, size_t message_end)
{
	struct pending *pending = &in->client->pending;
	enum reply_fate fate =
		pending_first(pending)->action == PENDING_SWALLOW ? REPLY_SWALLOW : REPLY_PASS;
	struct pending_entry *next;

	pending_pop(pending);
	next = pending_first(pending);
	if (!next || next->kind != PENDING_ANSWER)
		return fate;
	if (fate == REPLY_SWALLOW) {
		queue_replies(in);
		in->run_start = message_end;
	}
	in->at = message_end;
	queue_replies(in);
	relay_emit_answers(in->client);
	return REPLY_PASS;
}

static enum reply_fate take_parse_complete(struct incoming *in, size_t message_end)
{
	const struct pending_entry *first = pending_first(&in->client->pending);

	if (!first || first->kind != PENDING_PARSE)
		return REPLY_BROKEN;
	if (first->statement)
		statement_prove(first->statement);
	return answered(in, message_end);
}

static enum reply_fate expect(struct incoming *in, enum pending_kind kind, size_t message_end)
{
	const struct pending_entry *first = pending_first(&in->client->pending);

	if (!first || first->kind != kind)
		return REPLY_BROKEN;
	return answered(in, message_end);
}

/* --- effects --- */

/* Gives the client's names whose Parse has been sent, and not been answered yet, to `kept`. */
static bool keep_names_due(struct client *client, struct statement_map *kept)
{
	const char *name;
	struct statement *statement;

	for (uint32_t i = 0; i < client->pending.count; i++) {
		const struct pending_entry *entry = pending_at(&client->pending, i);
		uint32_t cursor = 0;

		if (!entry->name_hash)
			continue;
		while (statement_map_next(&client->statements, &cursor, &name, &statement)) {
			if (statement == entry->statement &&
			    statement_name_hash(name) == entry->name_hash &&
			    !statement_map_add(kept, name, statement))
				return false;
		}
	}
	return true;
}

/*
 * All prepared statements of the session are gone, on the server too, but for those that come
 * behind in the same pipeline and for the unnamed one.
 */
static void forget_statements(struct client *client)
{
	struct log_ctx ctx = client_log_ctx(client);
	struct server *server = client->server;
	struct statement_map kept = { 0 };

	if (!keep_names_due(client, &kept))
		log_warnx(&ctx, "out of memory: a prepared statement is forgotten");
	statement_map_clear(&client->statements);
	client->statements = kept;
	server_drop_all_statements(server);
	for (uint32_t i = 0; i < client->pending.count; i++) {
		const struct pending_entry *entry = pending_at(&client->pending, i);

		if (entry->is_named &&
		    !server_add_statement(
			    server, entry->statement->id, entry->statement->body_length,
			    statement_context(entry->statement, client->txn.settings)))
			server->is_close_needed = true;
	}
}

static void apply_effect(struct client *client, const struct effect *effect, const char *tag)
{
	switch (effect->kind) {
	case EFFECT_COMMIT:
	case EFFECT_ROLLBACK: /* COMMIT of a failed transaction answers "ROLLBACK" */
		if (strncmp(tag, "ROLLBACK", 8) == 0)
			pins_note_rollback(client, true);
		pins_note_commit(client);
		break;
	case EFFECT_PREPARE_TRANSACTION: pins_note_commit(client); break;
	case EFFECT_ROLLBACK_TO: pins_note_rollback(client, false); break;
	case EFFECT_DISCARD_ALL:
		forget_statements(client);
		pins_note_discard(client);
		client->is_server_behind |= client->txn.startup != NULL;
		break;
	case EFFECT_RESET_ALL: client->is_server_behind |= client->txn.startup != NULL; break;
	case EFFECT_RESET:
		client->is_server_behind |=
			settings_get(client->txn.startup, effect->name) != NULL;
		break;
	case EFFECT_DEALLOCATE:
		if (!effect->name)
			forget_statements(client);
		else if (!sql_names_are_replaced(client))
			statement_map_remove(&client->statements, effect->name);
		break;
	default: break;
	}
	client->wants_reports |= client->is_server_behind;
	if (!txn_apply(&client->txn, effect, tag))
		pins_add(client, PIN_UNKNOWN_STATE);
}

static void apply_effects(struct client *client, const struct pending_entry *entry,
			  const struct frame *frame)
{
	const struct statement_facts *facts = entry->facts;
	const char *tag = (const char *)frame->body;

	if (!facts || frame->body_length == 0 || tag[frame->body_length - 1] != '\0')
		return;
	for (size_t i = 0; i < facts->n_effects; i++) {
		if (facts->effects[i].statement == entry->commands_done)
			apply_effect(client, &facts->effects[i], tag);
	}
}

/* The server has read past these Syncs, which it ignored. */
void relay_drop_optional_syncs(struct client *client)
{
	const struct pending_entry *entry;

	for (uint32_t i = 0; (entry = pending_at(&client->pending, i)) != NULL;) {
		if (entry->is_optional)
			pending_remove(&client->pending, i);
		else
			i++;
	}
}

static enum reply_fate take_command_complete(struct incoming *in, const struct frame *frame,
					     size_t message_end)
{
	struct pending_entry *first = pending_first(&in->client->pending);

	if (in->client->is_batch_open)
		relay_drop_optional_syncs(in->client);
	if (!first || (first->kind != PENDING_QUERY && first->kind != PENDING_EXECUTE))
		return REPLY_BROKEN;
	apply_effects(in->client, first, frame);
	if (first->kind == PENDING_QUERY)
		sql_names_note_done(in->client, first->commands_done);
	first->commands_done++;
	if (in->client->is_query_cut && first->commands_done > 1 &&
	    !pins_are_held(&in->client->pins))
		pins_add(in->client, PIN_UNKNOWN_STATE);
	in->client->is_copying_in = false;
	return first->kind == PENDING_EXECUTE ? answered(in, message_end) : REPLY_PASS;
}

/* EmptyQueryResponse and PortalSuspended. */
static enum reply_fate take_execute_end(struct incoming *in, size_t message_end)
{
	const struct pending_entry *first = pending_first(&in->client->pending);

	if (first && first->kind == PENDING_QUERY)
		return REPLY_PASS;
	return expect(in, PENDING_EXECUTE, message_end);
}

static enum reply_fate take_description(struct incoming *in, size_t message_end)
{
	struct pending_entry *first = pending_first(&in->client->pending);

	if (first)
		first->has_output = true;
	if (first && (first->kind == PENDING_QUERY || first->kind == PENDING_EXECUTE))
		return REPLY_PASS;
	return expect(in, PENDING_DESCRIBE, message_end);
}

/* --- errors --- */

/* A Close that was not carried out: the name leads where it led. */
static void restore_name(struct client *client, const struct pending_entry *entry)
{
	struct log_ctx ctx = client_log_ctx(client);

	if (!statement_map_find(&client->statements, entry->closed_name) &&
	    !statement_map_add(&client->statements, entry->closed_name, entry->statement))
		log_warnx(&ctx, "out of memory: a prepared statement is forgotten");
}

/* The client's name for what was not prepared leads nowhere. */
static void forget_name(struct client *client, const struct pending_entry *entry)
{
	if (entry->name_hash)
		statement_map_remove_hash(&client->statements, entry->name_hash,
					  entry->statement);
	else if (entry->closed_name)
		restore_name(client, entry);
	else if (entry->statement && entry->action == PENDING_FORWARD &&
		 client->unnamed == entry->statement)
		statement_unref(&client->unnamed);
}

/* A Parse that was not carried out leaves nothing behind, on either side. */
static void undo_parse(struct client *client, const struct pending_entry *entry)
{
	struct server *server = client->server;
	struct statement *statement = entry->statement;

	if (!statement || entry->closed_name)
		return;
	statement_disprove(statement);
	if (entry->is_named)
		server_drop_statement(server, statement->id);
	else if (entry->kind == PENDING_PARSE && server->unnamed_statement == statement->id)
		server->unnamed_statement = 0;
}

/* A Close of ours that was not carried out: the server still has the statement. */
static void undo_close(struct client *client, const struct pending_entry *entry)
{
	struct server *server = client->server;

	if (entry->closed_id == 0 ||
	    server_find_statement(server, entry->closed_id, SERVER_CONTEXT_UNKNOWN) !=
		    SERVER_STATEMENT_ABSENT)
		return;
	if (!server_add_statement(server, entry->closed_id, 0, SERVER_CONTEXT_UNKNOWN))
		server->is_close_needed = true;
}

void relay_undo_entry(struct client *client, const struct pending_entry *entry)
{
	undo_parse(client, entry);
	undo_close(client, entry);
}

/* Ends what an error makes the server skip. */
static bool ends_skipping(const struct pending_entry *entry)
{
	return entry->kind == PENDING_SYNC || entry->kind == PENDING_QUERY ||
	       entry->kind == PENDING_FUNCTION_CALL;
}

/* The last one first: what a name has come to lead to goes before what it led to comes back. */
static void forget_skipped_names(struct client *client)
{
	const struct pending_entry *entry;
	uint32_t count = 0;

	while ((entry = pending_at(&client->pending, count)) != NULL && !ends_skipping(entry))
		count++;
	while (count-- > 0)
		forget_name(client, pending_at(&client->pending, count));
}

/* The server ignores everything up to the next Sync. */
static void skip_to_sync(struct client *client)
{
	struct pending_entry *first;

	forget_skipped_names(client);
	while ((first = pending_first(&client->pending)) != NULL && !ends_skipping(first)) {
		relay_undo_entry(client, first);
		pending_pop(&client->pending);
	}
	/* A Query behind the failed messages is ignored with them. */
	while (first && first->kind != PENDING_SYNC) {
		pending_pop(&client->pending);
		first = pending_first(&client->pending);
	}
	if (!first || first->is_optional) {
		client->is_batch_open = true;
		client->is_batch_failed = true;
	}
}

static bool points_at_node(const char *sqlstate)
{
	return strcmp(sqlstate, "25006") == 0 || strncmp(sqlstate, "57P0", 4) == 0;
}

static void note_error(struct client *client, const struct frame *frame)
{
	struct pool *pool = client->server->pool;
	struct wire_error error;

	txn_note_error(&client->txn);
	pins_note_rollback(client, false);
	client->is_copying_in = false;
	if (client->request)
		client->request->has_error = true;
	if (!frame_is_whole(frame))
		return;
	wire_error_parse(frame->body, frame->body_length, &error);
	if (points_at_node(error.sqlstate))
		pool->env->suspect(pool->env->context, &pool->key);
}

static bool must_end(const struct client *client)
{
	return client->server_tail > 0 || pins_are_held(&client->pins) ||
	       client->identity->rules.mode == POOL_SESSION ||
	       (!client->request && txn_is_open(&client->txn));
}

/*
 * What is fatal to the server is not to the session: the client is told the same as an ERROR, and
 * goes on when the connection has ended (lose()). true: it has been told.
 */
static bool tell_fatal(struct incoming *in, const struct frame *frame)
{
	struct client *client = in->client;
	struct wire_error error;

	if (!frame_is_whole(frame) || !client->conn || !client->request || must_end(client))
		return false;
	wire_error_parse(frame->body, frame->body_length, &error);
	if (strcmp(error.severity, "FATAL") != 0 && strcmp(error.severity, "PANIC") != 0)
		return false;
	queue_replies(in);
	build_error(conn_out(client->conn), "ERROR", error.sqlstate, error.message, error.detail,
		    error.hint);
	return true;
}

/* The cancel of a request that took too long has had its effect: the client is told why. */
static bool tell_overdue(struct incoming *in, const struct frame *frame)
{
	struct client *client = in->client;
	struct wire_error error;

	if (!client->request || !client->request->is_overdue || !client->conn ||
	    !frame_is_whole(frame))
		return false;
	wire_error_parse(frame->body, frame->body_length, &error);
	if (strcmp(error.sqlstate, "57014") != 0)
		return false;
	queue_replies(in);
	build_error(conn_out(client->conn), "ERROR", "57014",
		    "pointsman: the query took too long (query_timeout)", "reason: deadline",
		    NULL);
	return true;
}

/* Is it the statement that makes a server's transaction fail as the client's has already? */
static bool is_failed_on_purpose(const struct pending_entry *first)
{
	return first && first->is_begin && first->kind == PENDING_QUERY;
}

/*
 * A BEGIN of which the client believes that it was carried out has failed (a cancel request may
 * have hit it): the server has skipped what came with it, and waits for a Sync, which is ours to
 * send where the client sends none. false: it cannot be sent.
 */
static bool end_refused_begin(struct client *client)
{
	struct bytes *out = conn_out(client->server->conn);

	txn_begin_refused(&client->txn);
	client->is_begin_refused = true;
	if (!client->request || (client->request->end != REQUEST_QUERY &&
				 client->request->end != REQUEST_FUNCTION_CALL))
		return true;
	if (client->client_tail > 0 && !client->is_tail_dropped)
		return false;
	build_empty(out, MSG_F_SYNC);
	conn_flush(client->server->conn);
	client->is_batch_open = false;
	client->is_batch_failed = false;
	return pending_add(&client->pending, PENDING_SYNC, PENDING_FORWARD) != NULL;
}

/* An error that speaks of a statement by our name for it. */
static bool tell_renamed(struct incoming *in, const struct frame *frame)
{
	struct client *client = in->client;
	const struct pending_entry *first = pending_first(&client->pending);
	const struct statement *statement =
		first->facts_owner ? first->facts_owner : first->statement;

	if (!client->conn || !frame_is_whole(frame) || !sql_names_are_replaced(client))
		return false;
	queue_replies(in);
	return sql_names_rewrite_error(client, statement, frame->body, frame->body_length,
				       conn_out(client->conn));
}

static enum reply_fate take_error(struct incoming *in, const struct frame *frame)
{
	struct client *client = in->client;
	struct pending_entry *first = pending_first(&client->pending);
	enum reply_fate fate = REPLY_PASS;
	bool is_begin = first && first->is_begin;

	if (is_failed_on_purpose(first) || (first && relay_heal(client, frame)))
		return REPLY_SWALLOW;
	note_error(client, frame);
	if (!first) /* why the server is about to close */
		return REPLY_PASS;
	if (tell_fatal(in, frame))
		return REPLY_SWALLOW;
	if (tell_overdue(in, frame))
		fate = REPLY_SWALLOW;
	if (first->action == PENDING_REPLACE) {
		queue_replies(in);
		send_text(client, first->text);
		fate = REPLY_SWALLOW;
	}
	if (fate == REPLY_PASS && tell_renamed(in, frame))
		fate = REPLY_SWALLOW;
	if (first->kind != PENDING_QUERY && first->kind != PENDING_FUNCTION_CALL &&
	    first->kind != PENDING_SYNC)
		skip_to_sync(client);
	if (is_begin && !end_refused_begin(client))
		return REPLY_BROKEN;
	return fate;
}

/* --- the rest --- */

/* The server is idle; to the client the transaction has failed, and waits for its ROLLBACK. */
static enum reply_fate take_refused_ready(struct incoming *in, const struct frame *frame)
{
	struct client *client = in->client;

	client->is_begin_refused = false;
	queue_replies(in);
	if (client->conn)
		build_ready(conn_out(client->conn), TXN_FAILED);
	pending_first(&client->pending)->action = PENDING_SWALLOW;
	return answered(in, in->at + frame_size(frame));
}

/* What an error has rolled back, and no command: an implicit transaction. */
static void note_pins(struct client *client, uint8_t status)
{
	if (status != TXN_IDLE)
		return;
	if (client->txn.has_failed)
		pins_note_rollback(client, true);
	pins_note_commit(client);
}

static enum reply_fate take_ready(struct incoming *in, const struct frame *frame)
{
	struct client *client = in->client;
	struct pending_entry *first = pending_first(&client->pending);
	uint8_t status = frame->body_length == 1 ? frame->body[0] : 0;

	if (!first || (first->kind != PENDING_SYNC && first->kind != PENDING_QUERY &&
		       first->kind != PENDING_FUNCTION_CALL))
		return REPLY_BROKEN;
	if (status != TXN_IDLE && status != TXN_OPEN && status != TXN_FAILED)
		return REPLY_BROKEN;
	if (first->is_optional) { /* the Sync counted after all */
		client->is_batch_open = false;
		client->is_batch_failed = false;
	}
	client->server->txn_status = status;
	client->is_copying_in = false;
	if (status == TXN_IDLE)
		client_forget_portals(client);
	if (client->is_begin_refused)
		return take_refused_ready(in, frame);
	note_pins(client, status);
	txn_note_ready(&client->txn, status, clock_now());
	/* A server that is behind reports its own default, not what the session will have. */
	if (status == TXN_IDLE && client->txn.settings != client->server->settings &&
	    !client->is_server_behind &&
	    !txn_note_date_style(&client->txn, server_reported(client->server, "DateStyle")))
		pins_add(client, PIN_UNKNOWN_STATE);
	if (channels_hold_ready(client, status)) {
		first->action = PENDING_SWALLOW;
		channels_note_held(client);
	}
	return answered(in, in->at + frame_size(frame));
}

/*
 * In extended protocol a client sends Execute and Sync together; the server ignores the Sync
 * while it takes COPY data (PostgreSQL documentation, "COPY Operations"), so no reply to it is
 * due, unless the COPY fails before the server has read anything of it. Until one or the other is
 * known, the entry is optional.
 */
static enum reply_fate take_copy_in(struct client *client)
{
	struct pending_entry *next;
	uint32_t behind = 1;

	if (pending_is_empty(&client->pending))
		return REPLY_BROKEN;
	client->is_copying_in = true;
	if (pending_first(&client->pending)->kind == PENDING_EXECUTE) {
		/* Answers of ours between them are nothing to the server. */
		while ((next = pending_at(&client->pending, behind++)) != NULL &&
		       (next->kind == PENDING_SYNC || next->kind == PENDING_ANSWER))
			next->is_optional = next->kind == PENDING_SYNC;
		client->is_batch_open = true;
	}
	if (client->state == CLIENT_GONE && !relay_wind_up(client))
		return REPLY_BROKEN;
	client_resume(client);
	return REPLY_PASS;
}

/*
 * START_REPLICATION: both sides send CopyData, and each ends its own direction with CopyDone
 * (PostgreSQL documentation, "COPY Operations", "Streaming Replication Protocol").
 */
static enum reply_fate take_copy_both(struct client *client)
{
	const struct pending_entry *first = pending_first(&client->pending);

	if (client->replication == REPLICATION_NONE || !first || first->kind != PENDING_QUERY)
		return REPLY_BROKEN;
	client->is_copying_in = true;
	client_resume(client);
	return REPLY_PASS;
}

/* What a client sees of a parameter is its own; which node answered is none of it. */
static enum reply_fate take_parameter(struct client *client, const struct frame *frame)
{
	if (!server_take_parameter(client->server, frame))
		return REPLY_BROKEN;
	if (client->replication != REPLICATION_NONE)
		return REPLY_PASS;
	return server_is_node_report(frame) ? REPLY_SWALLOW : REPLY_PASS;
}

/* Is what comes the answer to a question of ours about the pins? */
static bool is_answer_to_us(const struct client *client)
{
	const struct pending_entry *first = pending_first(&client->pending);

	return first && first->is_question;
}

static enum reply_fate take_answer_to_us(struct incoming *in, const struct frame *frame)
{
	struct client *client = in->client;

	switch (frame->type) {
	case MSG_B_ROW_DESCRIPTION:
	case MSG_B_COMMAND_COMPLETE:
	case MSG_B_NOTICE: return REPLY_SWALLOW;
	case MSG_B_DATA_ROW:
	case MSG_B_ERROR: pins_take_answer(client, frame); return REPLY_SWALLOW;
	case MSG_B_NOTIFICATION: return REPLY_PASS;
	case MSG_B_READY:
		if (frame->body_length != 1 || frame->body[0] != TXN_IDLE)
			return REPLY_BROKEN;
		pins_end_answer(client);
		return answered(in, in->at + frame_size(frame));
	default: return REPLY_BROKEN;
	}
}

static enum reply_fate take_reply(struct incoming *in, const struct frame *frame)
{
	struct client *client = in->client;
	size_t end = in->at + frame_size(frame);

	if (is_answer_to_us(client) && frame->type != MSG_B_PARAMETER_STATUS)
		return take_answer_to_us(in, frame);
	switch (frame->type) {
	case MSG_B_PARSE_COMPLETE: return take_parse_complete(in, end);
	case MSG_B_BIND_COMPLETE: return expect(in, PENDING_BIND, end);
	case MSG_B_CLOSE_COMPLETE: return expect(in, PENDING_CLOSE, end);
	case MSG_B_COMMAND_COMPLETE: return take_command_complete(in, frame, end);
	case MSG_B_EMPTY_QUERY:
	case MSG_B_PORTAL_SUSPENDED: return take_execute_end(in, end);
	case MSG_B_NO_DATA:
	case MSG_B_ROW_DESCRIPTION: return take_description(in, end);
	case MSG_B_READY: return take_ready(in, frame);
	case MSG_B_ERROR: return take_error(in, frame);
	case MSG_B_PARAMETER_STATUS: return take_parameter(client, frame);
	case MSG_B_COPY_IN: return take_copy_in(client);
	case MSG_B_COPY_BOTH: return take_copy_both(client);
	case MSG_B_NOTICE:
	case MSG_B_NOTIFICATION: return REPLY_PASS;
	case MSG_B_DATA_ROW:
	case MSG_B_COPY_DATA:
	case MSG_B_COPY_DONE:
	case MSG_B_COPY_OUT:
	case MSG_B_PARAMETER_DESCRIPTION:
	case MSG_B_FUNCTION_RESULT:
		return pending_is_empty(&client->pending) ? REPLY_BROKEN : REPLY_PASS;
	default: return REPLY_BROKEN;
	}
}

/* Is the body read here, so that all of it must be there first? */
static bool is_read_whole(const struct frame *frame)
{
	switch (frame->type) {
	case MSG_B_COMMAND_COMPLETE:
	case MSG_B_READY:
	case MSG_B_PARAMETER_STATUS: return true;
	case MSG_B_ERROR: return frame->body_length <= READ_WHOLE_MAX;
	/* It ends what the queue waits for: our own answers must not fall into it. */
	case MSG_B_ROW_DESCRIPTION: return true;
	default: return false;
	}
}

/* The rest of a message whose beginning went by before. */
static void pass_tail(struct incoming *in, size_t length)
{
	struct client *client = in->client;
	size_t part = client->server_tail < length ? client->server_tail : length;

	client->server_tail -= part;
	in->at += part;
	if (client->is_server_tail_dropped)
		in->run_start = in->at;
}

enum step {
	STEP_ON,
	STEP_MORE,
	STEP_BROKEN
};

static enum step take_message(struct incoming *in, size_t length)
{
	struct client *client = in->client;
	size_t left = length - in->at;
	size_t start = in->at;
	size_t present;
	struct frame frame;
	enum reply_fate fate;
	enum frame_result result = frame_peek(in->data + in->at, left,
					      frame_backend_body_max(in->data[in->at]), &frame);

	if (result == FRAME_NEED_MORE)
		return STEP_MORE;
	if (result == FRAME_BAD)
		return STEP_BROKEN;
	if ((is_read_whole(&frame) || is_answer_to_us(client)) && !frame_is_whole(&frame))
		return frame.body_length > READ_WHOLE_MAX ? STEP_BROKEN : STEP_MORE;
	fate = take_reply(in, &frame);
	if (fate == REPLY_BROKEN)
		return STEP_BROKEN;
	present = FRAME_HEADER_BYTES + frame.body_present;
	client->server_tail = frame_size(&frame) - present;
	client->is_server_tail_dropped = fate == REPLY_SWALLOW;
	if (fate == REPLY_SWALLOW) {
		queue_replies(in);
		in->at += present;
		in->run_start = in->at;
	} else if (in->at == start) { /* else answered() has taken it */
		in->at += present;
	}
	return STEP_ON;
}

/* All replies of the request in the chain have come. */
static bool is_answered(const struct client *client)
{
	const struct request *request = client->request;
	const struct pending_entry *first = pending_first(&client->pending);

	return request && request->stage == STAGE_RELAY && request->is_sent &&
	       (!first || (first->is_optional && !client->is_copying_in)) &&
	       client->server_tail == 0;
}

static void after_replies(struct client *client)
{
	if (is_answered(client)) {
		if (!relay_resume_healed(client))
			request_resume(client->request, true);
	} else if (!client->request) {
		lease_settle(client);
		client_check_gone(client);
		client_resume(client);
	}
}

/* The server says what nobody asked for. Who has his whole answer already keeps it. */
static void break_off(struct client *client)
{
	client->server->is_close_needed = true;
	if (is_answered(client))
		request_resume(client->request, true);
	if (client->server)
		relay_server_lost(client, "it broke the protocol");
}

static size_t relay_replies(struct client *client, const uint8_t *data, size_t length)
{
	struct incoming in = { .client = client, .data = data };
	enum step step = STEP_ON;

	client->identity->database->traffic.sent += length;
	while (in.at < length && step == STEP_ON) {
		if (client->server_tail > 0)
			pass_tail(&in, length - in.at);
		else
			step = take_message(&in, length);
	}
	send_replies(&in);
	if (step == STEP_BROKEN) {
		break_off(client);
		return length;
	}
	after_replies(client);
	return in.at;
}

static size_t on_data(void *context, const uint8_t *data, size_t length)
{
	struct client *client = context;

	if (client->request && client->request->stage == STAGE_PREPARE)
		return stage_prepare_data(client->request, data, length);
	return relay_replies(client, data, length);
}

/* The server has taken what the client sent: more of it may come. */
static void on_drained(void *context)
{
	client_resume(context);
}

static void on_cancels_ended(void *context)
{
	struct client *client = context;

	if (client->request && client->request->stage == STAGE_PREPARE &&
	    !client->request->is_setup_sent)
		request_resume(client->request, false);
}

/* --- the end of a server --- */

static void tell_lost(struct client *client, const char *sqlstate, const char *message)
{
	struct request *request = client->request;
	bool is_ready_due =
		!request || (request->end != REQUEST_FLUSH && request->end != REQUEST_PARTIAL);

	if (!client->conn)
		return;
	if (!request || !request->has_error)
		build_error(conn_out(client->conn), "ERROR", sqlstate, message,
			    "reason: server_lost", NULL);
	client->is_batch_failed = !request || !is_ready_due;
	if (!client->is_batch_failed)
		build_ready(conn_out(client->conn), TXN_IDLE);
	conn_flush(client->conn);
}

/* The session's own state goes back to what it was before the transaction that is lost. */
static void forget_transaction(struct client *client)
{
	for (uint32_t i = client->pending.count; i-- > 0;)
		forget_name(client, pending_at(&client->pending, i));
	pending_clear(&client->pending);
	client->is_batch_open = false;
	client->is_copying_in = false;
	client->is_begin_refused = false;
	client->is_tail_dropped = true;
	client->server_tail = 0;
	txn_note_error(&client->txn);
	txn_note_ready(&client->txn, TXN_IDLE, clock_now());
}

static void lose(struct client *client, const char *why)
{
	struct request *request = client->request;
	struct log_ctx ctx = client_log_ctx(client);
	bool is_txn_lost = txn_is_open(&client->txn) && !txn_is_deferred(&client->txn);
	char message[200];

	snprintf(message, sizeof(message), "pointsman: the connection to the server was lost: %s",
		 why);
	log_warnx(&ctx, "server lost: %s", why);
	if (client->state == CLIENT_GONE) {
		forget_transaction(client);
		client_check_gone(client);
		return;
	}
	if (request && !request->is_sent && !is_txn_lost) {
		/* Nothing of it was sent: another server may do, else it fails in its stage, not
		 * executed. */
		if (request->stage == STAGE_PREPARE && prepare_retry(request))
			return;
		pool_failure_set(&request->failure, "57P03", "server_lost", "%s", message);
		request_resume(request, false);
		return;
	}
	if (must_end(client)) {
		forget_transaction(client);
		client_close(client, CLOSE_SERVER_LOST, "08006", message);
		return;
	}
	if (request || client->is_batch_open)
		tell_lost(client, "08006", message);
	forget_transaction(client);
	if (request) {
		request->stage = STAGE_RELAY; /* it may have waited for its statements */
		request_resume(request, true);
	}
	client_resume(client);
}

static void on_lost(void *context, const char *why)
{
	struct client *client = context;

	client->server = NULL;
	lose(client, why);
}

void relay_server_lost(struct client *client, const char *why)
{
	pool_discard(&client->server, why);
	lose(client, why);
}

const struct server_user client_as_server_user = { on_data, on_drained, on_lost,
						   on_cancels_ended };
