/*
 * Requests on their way to servers: which messages go as they are, which under another name, and
 * which are answered by us; and for each, the reply that is due (session/pending.h). Also how the
 * stream to a server is brought to an end when its client has gone.
 */
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "session/client.h"
#include "session/relay_private.h"
#include "session/sql_prepare.h"
#include "wire/build.h"
#include "wire/frame.h"
#include "wire/message.h"

/*
 * A request's messages on their way out: those that go as they are, in a run of the client's own
 * bytes, so that the usual request leaves in one piece and is never copied.
 */
struct outgoing {
	struct client *client;
	struct server *server;
	const uint8_t *bytes;
	size_t run_start;
	size_t run_end;
	bool is_trusting; /* something is used that was prepared before */
};

static void queue_run(struct outgoing *out)
{
	if (out->run_end > out->run_start)
		conn_queue(out->server->conn, out->bytes + out->run_start,
			   out->run_end - out->run_start);
	out->run_start = out->run_end;
}

static void send_run(struct outgoing *out)
{
	if (out->run_end > out->run_start)
		conn_send(out->server->conn, out->bytes + out->run_start,
			  out->run_end - out->run_start);
	else
		conn_flush(out->server->conn);
}

static void add_to_run(struct outgoing *out, const struct op *op)
{
	if (out->run_end != op->offset) {
		queue_run(out);
		out->run_start = op->offset;
	}
	out->run_end = op->offset + op->present;
}

static bool note_parse(struct outgoing *out, struct statement *statement,
		       enum pending_action action, uint64_t name_hash, bool is_named)
{
	struct pending_entry *entry = pending_add(&out->client->pending, PENDING_PARSE, action);

	if (!entry)
		return false;
	entry->statement = statement_ref(statement);
	entry->name_hash = name_hash;
	entry->is_named = is_named;
	if (statement)
		statement->n_prepares++;
	out->client->identity->database->traffic.server_parse_count++;
	return true;
}

static void build_parse_of(struct outgoing *out, const struct statement *statement,
			   const char *name)
{
	struct bytes *to = conn_out(out->server->conn);
	size_t mark;

	queue_run(out);
	mark = build_begin(to, MSG_F_PARSE);
	build_string(to, name);
	build_raw(to, statement->body, statement->body_length);
	build_end(to, mark);
}

/* The server holds more than it may: closes the statement used longest ago. */
static bool close_evicted(struct outgoing *out, uint64_t id)
{
	struct bytes *to = conn_out(out->server->conn);
	struct pending_entry *entry;
	char name[STATEMENT_NAME_MAX];
	size_t mark;

	if (id == 0)
		return true;
	statement_name(id, name);
	mark = build_begin(to, MSG_F_CLOSE);
	build_u8(to, 'S');
	build_string(to, name);
	build_end(to, mark);
	entry = pending_add(&out->client->pending, PENDING_CLOSE, PENDING_SWALLOW);
	if (entry)
		entry->closed_id = id;
	return entry != NULL;
}

static uint64_t context_of(const struct outgoing *out, const struct statement *statement)
{
	return statement_context(statement, out->client->txn.settings);
}

/*
 * Does the server have the statement as this session means it? One that was prepared under
 * another search_path or role is closed, to be prepared again.
 */
static bool is_prepared(struct outgoing *out, const struct statement *statement, bool *failed_out)
{
	switch (server_find_statement(out->server, statement->id, context_of(out, statement))) {
	case SERVER_STATEMENT_READY: out->is_trusting = true; return true;
	case SERVER_STATEMENT_ABSENT: return false;
	case SERVER_STATEMENT_STALE: break;
	}
	server_drop_statement(out->server, statement->id);
	queue_run(out);
	if (!close_evicted(out, statement->id))
		*failed_out = true;
	return false;
}

static bool note_swallowed(struct outgoing *out, enum pending_kind kind)
{
	return pending_add(&out->client->pending, kind, PENDING_SWALLOW) != NULL;
}

/*
 * A statement of SQL's PREPARE, between messages of the client: with a statement and a portal of
 * their own, so that the client's unnamed ones stay. What is left of the last time is closed
 * first.
 */
static bool prepare_by_sql(struct outgoing *out, struct statement *statement)
{
	static const char scratch[] = STATEMENT_NAME_PREFIX "0";
	struct bytes *to = conn_out(out->server->conn);
	struct pending_entry *entry;

	queue_run(out);
	for (const char *kind = "SP"; *kind; kind++) {
		size_t mark = build_begin(to, MSG_F_CLOSE);

		build_u8(to, (uint8_t)*kind);
		build_string(to, scratch);
		build_end(to, mark);
		if (!note_swallowed(out, PENDING_CLOSE))
			return false;
	}
	sql_names_build_prepare(to, statement, scratch);
	statement->n_prepares++;
	out->client->identity->database->traffic.server_parse_count++;
	if (!note_swallowed(out, PENDING_PARSE) || !note_swallowed(out, PENDING_BIND))
		return false;
	entry = pending_add(&out->client->pending, PENDING_EXECUTE, PENDING_SWALLOW);
	if (!entry)
		return false;
	entry->statement = statement_ref(statement);
	entry->is_named = true;
	return true;
}

/* The server may hold too many now: but not `kept` is closed. */
static bool make_room(struct outgoing *out, const struct statement *kept)
{
	uint64_t id;

	queue_run(out);
	while ((id = server_evict_statement(out->server, kept ? kept->id : 0)) != 0) {
		if (!close_evicted(out, id))
			return false;
	}
	return true;
}

static bool prepare_named(struct outgoing *out, struct statement *statement,
			  enum pending_action action, uint64_t name_hash,
			  const struct statement *kept)
{
	char name[STATEMENT_NAME_MAX];

	if (!server_add_statement(out->server, statement->id, statement->body_length,
				  context_of(out, statement)))
		return false;
	if (statement->form == STATEMENT_SQL)
		return prepare_by_sql(out, statement) && make_room(out, kept);
	statement_name(statement->id, name);
	build_parse_of(out, statement, name);
	return note_parse(out, statement, action, name_hash, true) && make_room(out, kept);
}

/* The server must have the statement; the client does not see how. */
static bool ensure_named(struct outgoing *out, struct statement *statement,
			 const struct statement *kept)
{
	bool failed = false;

	return is_prepared(out, statement, &failed) ||
	       (!failed && prepare_named(out, statement, PENDING_SWALLOW, 0, kept));
}

/* For Bind and Describe. */
static bool ensure_prepared(struct outgoing *out, const struct op *op)
{
	struct statement *statement = op->statement;

	if (!statement || op->is_of_portal || (op->name_length > 0 && op->action != OP_REWRITE))
		return true;
	if (op->action == OP_REWRITE) {
		if (!ensure_named(out, statement, NULL))
			return false;
	} else if (out->server->unnamed_statement != statement->id) {
		build_parse_of(out, statement, "");
		out->server->unnamed_statement = statement->id;
		if (!note_parse(out, statement, PENDING_SWALLOW, 0, false))
			return false;
	} else {
		out->is_trusting = true;
	}
	/* EXECUTE is described by what it executes. */
	return !statement->target || statement->target_use != NAME_EXECUTE ||
	       ensure_named(out, statement->target, statement);
}

/* The message with its statement's name replaced; what of its end is not there yet follows as it
 * comes. */
static void send_renamed(struct outgoing *out, const struct op *op)
{
	struct bytes *to = conn_out(out->server->conn);
	const uint8_t *message = out->bytes + op->offset;
	size_t rest = op->name_offset + op->name_length;
	char name[STATEMENT_NAME_MAX];

	statement_name(op->statement->id, name);
	queue_run(out);
	build_u8(to, op->type);
	build_u32(to, (uint32_t)(op->size - 1 - op->name_length + strlen(name)));
	build_raw(to, message + FRAME_HEADER_BYTES, op->name_offset - FRAME_HEADER_BYTES);
	build_raw(to, name, strlen(name));
	build_raw(to, message + rest, op->present - rest);
}

/* Parse as the client wrote it: of the unnamed statement, or with names that are not replaced. */
static bool send_own_parse(struct outgoing *out, const struct op *op)
{
	const char *name = (const char *)out->bytes + op->offset + FRAME_HEADER_BYTES;
	bool is_unnamed = name[0] == '\0';

	if (is_unnamed)
		out->server->unnamed_statement = op->statement ? op->statement->id : 0;
	add_to_run(out, op);
	return note_parse(out, op->statement, PENDING_FORWARD,
			  is_unnamed ? 0 : statement_name_hash(name), false);
}

/*
 * In a transaction that has failed a server refuses to parse most statements, those that it has
 * already included: so it is asked, under the name that needs none.
 */
static bool send_parse_to_fail(struct outgoing *out, const struct op *op)
{
	const char *name = (const char *)out->bytes + op->offset + FRAME_HEADER_BYTES;

	build_parse_of(out, op->statement, "");
	out->server->unnamed_statement = op->statement->id;
	return note_parse(out, op->statement, PENDING_FORWARD, statement_name_hash(name), false);
}

static bool send_parse(struct outgoing *out, const struct op *op)
{
	const char *name = (const char *)out->bytes + op->offset + FRAME_HEADER_BYTES;
	struct pending_entry *entry;
	bool failed = false;

	if (op->action != OP_REWRITE)
		return send_own_parse(out, op);
	if (!is_prepared(out, op->statement, &failed))
		return !failed && prepare_named(out, op->statement, PENDING_FORWARD,
						statement_name_hash(name), NULL);
	if (out->client->txn.status == TXN_FAILED && !out->client->is_unnamed_foreign)
		return send_parse_to_fail(out, op);
	entry = pending_add(&out->client->pending, PENDING_ANSWER, PENDING_FORWARD);
	if (!entry)
		return false;
	entry->statement = statement_ref(op->statement);
	entry->name_hash = statement_name_hash(name);
	entry->text = calloc(1, sizeof(*entry->text));
	if (entry->text)
		build_empty(entry->text, MSG_B_PARSE_COMPLETE);
	return entry->text && !entry->text->failed;
}

static bool send_named_op(struct outgoing *out, const struct op *op, enum pending_kind kind)
{
	struct pending_entry *entry;

	if (!ensure_prepared(out, op))
		return false;
	if (op->action == OP_REWRITE)
		send_renamed(out, op);
	else
		add_to_run(out, op);
	entry = pending_add(&out->client->pending, kind, PENDING_FORWARD);
	if (entry)
		entry->facts_owner = statement_ref(op->statement);
	return entry != NULL;
}

static bool send_plain(struct outgoing *out, const struct op *op, enum pending_kind kind)
{
	struct pending_entry *entry = pending_add(&out->client->pending, kind, PENDING_FORWARD);

	if (!entry)
		return false;
	entry->facts = op->facts;
	entry->facts_owner = statement_ref(op->statement);
	add_to_run(out, op);
	return true;
}

/* What PREPARE is to make must not be there yet; what the others name must be. */
static bool ensure_target(struct outgoing *out, struct statement *statement)
{
	struct statement *target = statement->target;

	if (statement->target_use != NAME_PREPARE)
		return ensure_named(out, target, statement);
	if (server_find_statement(out->server, target->id, context_of(out, target)) ==
	    SERVER_STATEMENT_ABSENT)
		return true;
	server_drop_statement(out->server, target->id);
	queue_run(out);
	return close_evicted(out, target->id);
}

/* Notes what the server will have, or have no more, and what is undone should it fail. */
static bool note_target(struct outgoing *out, struct op *op, struct pending_entry *entry)
{
	struct statement *target = op->statement->target;

	if (op->statement->target_use == NAME_PREPARE) {
		entry->statement = statement_ref(target);
		entry->name_hash = op->name_hash;
		entry->is_named = true;
		return server_add_statement(out->server, target->id, target->body_length,
					    context_of(out, target)) &&
		       make_room(out, op->statement);
	}
	if (op->statement->target_use == NAME_DEALLOCATE) {
		entry->closed_id = target->id;
		server_drop_statement(out->server, target->id);
		entry->statement = op->closed;
		entry->closed_name = op->closed_name;
		op->closed = NULL;
		op->closed_name = NULL;
	}
	return true;
}

static bool send_execute(struct outgoing *out, struct op *op)
{
	struct pending_entry *entry;

	if (!op->statement || !op->statement->target)
		return send_plain(out, op, PENDING_EXECUTE);
	if (!ensure_target(out, op->statement) || !send_plain(out, op, PENDING_EXECUTE))
		return false;
	entry = pending_at(&out->client->pending, out->client->pending.count - 1);
	return note_target(out, op, entry);
}

static bool queue_answer(struct outgoing *out, struct op *op)
{
	const char *name = (const char *)out->bytes + op->offset + FRAME_HEADER_BYTES;
	struct pending_entry *entry =
		pending_add(&out->client->pending, PENDING_ANSWER, PENDING_FORWARD);

	if (!entry)
		return false;
	entry->text = op->answer;
	op->answer = NULL;
	/* Behind an error it is skipped, and undone. */
	if (op->type == MSG_F_PARSE && op->statement) {
		entry->statement = statement_ref(op->statement);
		entry->name_hash = name[0] ? statement_name_hash(name) : 0;
	} else if (op->type == MSG_F_CLOSE && op->statement) {
		entry->statement = statement_ref(op->statement);
		entry->closed_name = strdup(name + 1);
		return entry->closed_name != NULL;
	}
	return true;
}

/*
 * Something we refuse: the server must fail too (its transaction, the rest of the batch), so it
 * is sent what cannot be parsed, and the client gets our error for the server's.
 */
static const char unparsable[] = "pointsman refuses a message";

static bool send_refused(struct outgoing *out, struct op *op)
{
	struct bytes *to = conn_out(out->server->conn);
	bool is_query = op->type == MSG_F_QUERY;
	struct pending_entry *entry = pending_add(
		&out->client->pending, is_query ? PENDING_QUERY : PENDING_PARSE, PENDING_REPLACE);

	if (!entry)
		return false;
	entry->text = op->answer;
	op->answer = NULL;
	queue_run(out);
	out->server->unnamed_statement = 0;
	if (is_query) {
		out->client->is_batch_open = false;
		build_query(to, unparsable, strlen(unparsable));
	} else {
		build_parse(to, "", unparsable, strlen(unparsable), NULL, 0);
	}
	return true;
}

static bool note_begin(struct client *client, enum pending_kind kind)
{
	struct pending_entry *entry = pending_add(&client->pending, kind, PENDING_SWALLOW);

	if (entry)
		entry->is_begin = true;
	return entry != NULL;
}

/*
 * The BEGIN that the client was told has been carried out (session/begin.c). In the extended
 * protocol, and without a Sync: should it fail, the server skips what comes behind it, so that
 * nothing of the transaction is ever carried out outside of it.
 */
static bool send_begin(struct outgoing *out)
{
	struct client *client = out->client;
	struct txn_begin *begin = client->txn.begin;
	struct bytes *to = conn_out(out->server->conn);
	size_t mark;

	build_parse(to, "", begin->text, strlen(begin->text), NULL, 0);
	mark = build_begin(to, MSG_F_BIND);
	build_raw(to, "\0\0\0\0\0\0\0", 8); /* no names, formats, parameters */
	build_end(to, mark);
	mark = build_begin(to, MSG_F_EXECUTE);
	build_string(to, "");
	build_u32(to, 0);
	build_end(to, mark);
	out->server->unnamed_statement = 0;
	begin->is_sent = true;
	if (!note_begin(client, PENDING_PARSE) || !note_begin(client, PENDING_BIND) ||
	    !note_begin(client, PENDING_EXECUTE))
		return false;
	if (!begin->has_failed)
		return true;
	/* To the client it has failed since, and so it must on the server. */
	build_query(to, unparsable, strlen(unparsable));
	return note_begin(client, PENDING_QUERY);
}

/* A Query in which names were replaced. */
static bool send_rewritten_query(struct outgoing *out, const struct op *op)
{
	struct pending_entry *entry =
		pending_add(&out->client->pending, PENDING_QUERY, PENDING_FORWARD);

	if (!entry)
		return false;
	entry->facts = op->facts;
	queue_run(out);
	bytes_append(conn_out(out->server->conn), bytes_begin(op->answer),
		     bytes_length(op->answer));
	return true;
}

/* A Query ends an open batch, and the unnamed statement of both sides. */
static bool send_query(struct outgoing *out, const struct op *op)
{
	out->client->is_batch_open = false;
	out->server->unnamed_statement = 0;
	out->client->is_unnamed_foreign = false;
	statement_unref(&out->client->unnamed);
	/* What stands behind the part that was judged may have set anything. */
	out->client->is_query_cut = op->present < op->size;
	out->client->is_server_odd |= out->client->is_query_cut;
	return op->action == OP_REWRITE ? send_rewritten_query(out, op)
					: send_plain(out, op, PENDING_QUERY);
}

static bool send_sync(struct outgoing *out, const struct op *op)
{
	relay_drop_optional_syncs(out->client);
	out->client->is_batch_open = false;
	out->client->is_batch_failed = false;
	return send_plain(out, op, PENDING_SYNC);
}

static bool send_op(struct outgoing *out, struct op *op)
{
	struct client *client = out->client;

	if (op->action == OP_DROP)
		return true;
	if (op->action == OP_ANSWER)
		return queue_answer(out, op);
	if (op->type != MSG_F_QUERY && op->type != MSG_F_SYNC && op->type != MSG_F_FUNCTION_CALL)
		client->is_batch_open = true;
	if (op->action == OP_REFUSE)
		return send_refused(out, op);
	switch (op->type) {
	case MSG_F_QUERY: return send_query(out, op);
	case MSG_F_PARSE: return send_parse(out, op);
	case MSG_F_BIND: return send_named_op(out, op, PENDING_BIND);
	case MSG_F_DESCRIBE: return send_named_op(out, op, PENDING_DESCRIBE);
	case MSG_F_EXECUTE: return send_execute(out, op);
	case MSG_F_CLOSE: return send_plain(out, op, PENDING_CLOSE);
	case MSG_F_SYNC: return send_sync(out, op);
	case MSG_F_FUNCTION_CALL:
		client->is_batch_open = false;
		return send_plain(out, op, PENDING_FUNCTION_CALL);
	case MSG_F_FLUSH: add_to_run(out, op); return true;
	default: UNREACHABLE();
	}
}

/* Takes the bytes of a request to the server and notes what replies are due. false without
 * memory. */
static bool send_request(struct request *request)
{
	struct client *client = request->client;
	struct outgoing out = { .client = client, .server = client->server };

	bool may_heal = !txn_is_open(&client->txn) && !client->is_batch_open;

	pins_begin(client, request->pins, request->unpins,
		   !request->verdict.has_transaction_control);
	client->is_server_odd |= request->may_leave_state;
	request->is_sent = true;
	request->sent_at = clock_now();
	if (txn_is_deferred(&client->txn) && !client->is_begin_refused && !send_begin(&out))
		return false;
	out.bytes = request->is_taken ? bytes_begin(&request->kept) : request_bytes(request);
	for (uint32_t i = request->resume_op; i < request->n_ops; i++) {
		uint32_t before = client->pending.count;

		if (!send_op(&out, &request->ops[i]))
			return false;
		for (uint32_t k = before; k < client->pending.count; k++)
			pending_at(&client->pending, k)->op = i;
	}
	if (may_heal && (out.is_trusting || request->uses))
		relay_keep_request(request, out.bytes);
	send_run(&out);
	request_take(request);
	/* It may have waited, unread: the end of its last message must follow now. */
	if (client->client_tail > 0)
		client_resume(client);
	relay_emit_answers(client);
	/* Of a batch that is all ours, no reply of the server's takes them along. */
	if (client->conn)
		conn_flush(client->conn);
	client->is_copy_awaited = false;
	return true;
}

bool relay_await_copy(struct client *client)
{
	const struct pending_entry *entry;
	uint32_t i = 0;

	while ((entry = pending_at(&client->pending, i++)) != NULL &&
	       entry->kind != PENDING_EXECUTE)
		;
	if (!entry || !client->server)
		return false;
	if (!client->is_copy_awaited) {
		build_empty(conn_out(client->server->conn), MSG_F_FLUSH);
		conn_flush(client->server->conn);
	}
	client->is_copy_awaited = true;
	return true;
}

void relay_client_bytes(struct client *client, const uint8_t *data, size_t length)
{
	conn_send(client->server->conn, data, length);
	client_pause_if_full(client);
}

void relay_copy_done(struct client *client)
{
	static const uint8_t flush[] = { MSG_F_FLUSH, 0, 0, 0, 4 };
	const struct pending_entry *first = pending_first(&client->pending);

	if (client->request && first && first->kind == PENDING_EXECUTE)
		conn_send(client->server->conn, flush, sizeof(flush));
}

/* --- coming to rest --- */

bool relay_is_quiet(const struct client *client)
{
	return pending_is_empty(&client->pending) && client->server_tail == 0 &&
	       (client->client_tail == 0 || client->is_tail_dropped) && !client->is_copying_in;
}

/*
 * Ends an open batch so that nothing of it is committed, as a server does whose client goes
 * without a Sync: with a message that fails, and then the Sync.
 */
static bool abort_batch(struct client *client, bool is_failing)
{
	struct bytes *out = conn_out(client->server->conn);

	if (!client->is_batch_failed && !is_failing) {
		build_parse(out, "", unparsable, strlen(unparsable), NULL, 0);
		client->server->unnamed_statement = 0;
		if (!pending_add(&client->pending, PENDING_PARSE, PENDING_SWALLOW))
			return false;
	}
	build_empty(out, MSG_F_SYNC);
	client->is_batch_open = false;
	return pending_add(&client->pending, PENDING_SYNC, PENDING_SWALLOW) != NULL;
}

bool relay_wind_up(struct client *client)
{
	struct bytes *out = conn_out(client->server->conn);
	bool is_failing = client->is_copying_in; /* by the CopyFail */
	size_t mark;

	if (client->client_tail > 0 && !client->is_tail_dropped)
		return false;
	if (client->is_copying_in) {
		mark = build_begin(out, MSG_F_COPY_FAIL);
		build_string(out, "the client has gone");
		build_end(out, mark);
		client->is_copying_in = false;
	}
	if (client->is_batch_open) {
		relay_drop_optional_syncs(client);
		if (!abort_batch(client, is_failing))
			return false;
	}
	conn_flush(client->server->conn);
	return true;
}

/* --- the stage --- */

enum stage_result stage_relay(struct request *request)
{
	struct client *client = request->client;

	if (request->end == REQUEST_LOGIN) {
		client_welcome(client);
		return STAGE_NEXT;
	}
	if (!send_request(request)) {
		client_close(client, CLOSE_NO_MEMORY, "53200", "pointsman: out of memory");
		return STAGE_CLOSE;
	}
	/* What a batch goes on with may come before its replies do. */
	if (request->end == REQUEST_FLUSH || request->end == REQUEST_PARTIAL) {
		client_pause_if_full(client);
		return STAGE_NEXT;
	}
	return STAGE_WAIT;
}
