/*
 * Transactions that no server has seen yet: which requests begin and end them here, and what such
 * a transaction may do once a statement needs a server. Sends nothing to servers: relay_send.c
 * does. Worker thread.
 */
#include "session/begin.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "session/client.h"
#include "wire/build.h"
#include "wire/cursor.h"
#include "wire/frame.h"
#include "wire/message.h"

/* --- which requests --- */

/* The effect of a text that is nothing but BEGIN, COMMIT or ROLLBACK; else NULL. */
static const struct effect *control_of(const struct statement_facts *facts)
{
	const struct effect *effect;

	if (!facts || facts->n_statements != 1 || facts->n_effects != 1)
		return NULL;
	effect = &facts->effects[0];
	switch (effect->kind) {
	case EFFECT_BEGIN:
	case EFFECT_COMMIT:
	case EFFECT_ROLLBACK: return effect;
	default: return NULL;
	}
}

/* May it be carried out here, as things are? */
static bool is_ours_to_run(const struct client *client, const struct statement_facts *facts)
{
	const struct effect *effect = control_of(facts);

	if (!effect)
		return false;
	return effect->kind == EFFECT_BEGIN ? !txn_is_open(&client->txn)
					    : txn_is_deferred(&client->txn);
}

/* A Parse without parameter types: behind the text there is nothing but their number, 0. */
static bool has_no_types(const struct statement *statement)
{
	size_t text = strnlen((const char *)statement->body, statement->body_length);

	return statement->body_length == text + 3 && statement->body[text + 1] == 0 &&
	       statement->body[text + 2] == 0;
}

/* A Bind of the unnamed portal, without parameters. */
static bool is_plain_bind(const uint8_t *message, size_t length)
{
	struct cursor c;

	cursor_init(&c, message + FRAME_HEADER_BYTES, length - FRAME_HEADER_BYTES);
	if (cursor_string(&c)[0] != '\0')
		return false;
	cursor_string(&c);
	cursor_bytes(&c, (size_t)cursor_u16(&c) * 2);
	return cursor_u16(&c) == 0 && !c.failed;
}

/* Does the message name the unnamed portal? `skip`: bytes before the name. */
static bool is_unnamed(const uint8_t *message, size_t skip)
{
	return message[FRAME_HEADER_BYTES + skip] == '\0';
}

/* Describe: of such a statement, or of the portal that the Bind before it has made. */
static bool is_plain_describe(const struct op *op, const uint8_t *message, bool is_bound)
{
	if (op->statement && !op->is_of_portal)
		return control_of(op->statement->facts) != NULL;
	return is_bound && message[FRAME_HEADER_BYTES] == 'P' && is_unnamed(message, 1);
}

/* Every message of an extended request: about control statements alone, one of them executed. */
static bool is_plain_batch(const struct request *request)
{
	const struct client *client = request->client;
	const uint8_t *bytes = request_bytes(request);
	bool is_bound = false;
	unsigned executes = 0;

	for (size_t i = 0; i < request->n_ops; i++) {
		const struct op *op = &request->ops[i];
		const uint8_t *message = bytes + op->offset;
		const struct statement *statement = op->statement;

		if (op->action == OP_REFUSE || op->action == OP_DROP)
			return false;
		switch (op->type) {
		case MSG_F_PARSE:
			if (!control_of(statement->facts) || !has_no_types(statement))
				return false;
			break;
		case MSG_F_BIND:
			if (!statement || !control_of(statement->facts) ||
			    !has_no_types(statement) || !is_plain_bind(message, op->present))
				return false;
			is_bound = true;
			break;
		case MSG_F_DESCRIBE:
			if (!is_plain_describe(op, message, is_bound))
				return false;
			break;
		case MSG_F_EXECUTE:
			if (!is_bound || !is_unnamed(message, 0) ||
			    !is_ours_to_run(client, op->facts))
				return false;
			executes++;
			break;
		case MSG_F_CLOSE:
		case MSG_F_SYNC: break;
		default: return false;
		}
	}
	return executes == 1;
}

static bool is_plain_query(const struct request *request)
{
	const struct op *op = &request->ops[0];

	return op->action == OP_FORWARD && op->present == op->size &&
	       is_ours_to_run(request->client, op->facts);
}

static bool is_deferrable(const struct request *request)
{
	const struct client *client = request->client;

	if (!request->needs_server || request->is_refused ||
	    !request->verdict.has_transaction_control)
		return false;
	if (client->server || client->is_batch_open || client->is_batch_failed ||
	    !pending_is_empty(&client->pending) ||
	    client->identity->rules.mode != POOL_TRANSACTION)
		return false;
	switch (request->end) {
	case REQUEST_QUERY: return is_plain_query(request);
	case REQUEST_SYNC: return is_plain_batch(request);
	default: return false;
	}
}

/* --- our answers --- */

static void build_answer(const struct op *op, struct bytes *out)
{
	size_t mark;

	switch (op->type) {
	case MSG_F_PARSE: build_empty(out, MSG_B_PARSE_COMPLETE); break;
	case MSG_F_BIND: build_empty(out, MSG_B_BIND_COMPLETE); break;
	case MSG_F_CLOSE: build_empty(out, MSG_B_CLOSE_COMPLETE); break;
	case MSG_F_DESCRIBE:
		if (op->statement && !op->is_of_portal) {
			mark = build_begin(out, MSG_B_PARAMETER_DESCRIPTION);
			build_u16(out, 0);
			build_end(out, mark);
		}
		build_empty(out, MSG_B_NO_DATA);
		break;
	default: break; /* carried out by begin_execute(); Sync */
	}
}

static bool answer_op(struct op *op)
{
	if (op->type == MSG_F_SYNC || op->answer)
		return true;
	op->action = OP_ANSWER;
	if (op->type == MSG_F_QUERY || op->type == MSG_F_EXECUTE)
		return true;
	op->answer = calloc(1, sizeof(*op->answer));
	if (op->answer)
		build_answer(op, op->answer);
	return op->answer && !op->answer->failed;
}

bool begin_classify(struct request *request)
{
	if (!is_deferrable(request))
		return true;
	for (size_t i = 0; i < request->n_ops; i++) {
		if (!answer_op(&request->ops[i]))
			return false;
	}
	request->needs_server = false;
	return true;
}

bool begin_is_own(const struct op *op)
{
	return (op->type == MSG_F_QUERY || op->type == MSG_F_EXECUTE) &&
	       op->action == OP_ANSWER && !op->answer && control_of(op->facts);
}

/* PostgreSQL answers with the words of the statement; this one has two spellings. */
static const char *begin_tag(const struct effect *effect)
{
	return strncasecmp(effect->value, "start", 5) == 0 ? "START TRANSACTION" : "BEGIN";
}

bool begin_execute(struct client *client, const struct statement_facts *facts, struct bytes *out)
{
	const struct effect *effect = control_of(facts);

	if (effect->kind != EFFECT_BEGIN) {
		build_command_complete(out, txn_end_deferred(&client->txn, effect, clock_now()));
		return true;
	}
	if (txn_defer(&client->txn, effect, facts->hints, clock_now())) {
		build_command_complete(out, begin_tag(effect));
		return true;
	}
	build_error(out, "ERROR", "53200", "pointsman: out of memory", "reason: no_memory", NULL);
	return false;
}

/* --- what the transaction may do --- */

struct modes {
	bool begins;
	bool ends; /* ... and what follows is outside it */
	bool is_read_only;
	bool is_serializable;
	bool is_read_write; /* said so: a standby refuses to begin it */
	bool has_run;       /* a statement: modes that come behind it do not cover it */
};

static void take_flags(struct modes *modes, unsigned flags)
{
	if (flags & EFFECT_READ_WRITE)
		modes->is_read_only = false;
	else if ((flags & EFFECT_READ_ONLY) && !modes->has_run)
		modes->is_read_only = true;
	if (flags & EFFECT_SERIALIZABLE)
		modes->is_serializable = true;
}

/* What the session has set for all its transactions. */
static void take_defaults(struct modes *modes, const struct settings *settings)
{
	const char *read_only = settings_get(settings, "default_transaction_read_only");
	const char *isolation = settings_get(settings, "default_transaction_isolation");

	modes->is_read_only =
		read_only && statement_sets_to_true(read_only, "default_transaction_read_only");
	modes->is_serializable = isolation && strcasestr(isolation, "serializable");
}

static void take_effect(struct modes *modes, const struct effect *effect)
{
	switch (effect->kind) {
	case EFFECT_BEGIN:
		modes->begins = true;
		modes->is_read_write |= (effect->flags & EFFECT_READ_WRITE) != 0;
		take_flags(modes, effect->flags);
		break;
	case EFFECT_SET_TRANSACTION: take_flags(modes, effect->flags); break;
	case EFFECT_COMMIT:
	case EFFECT_ROLLBACK:
	case EFFECT_PREPARE_TRANSACTION: modes->ends = true; break;
	default: break;
	}
}

static void take_op(struct modes *modes, const struct op *op)
{
	const struct statement_facts *facts = op->facts;
	bool is_alone = facts && facts->n_statements == 1;

	if (op->type != MSG_F_QUERY && op->type != MSG_F_EXECUTE)
		return;
	modes->has_run |= !is_alone;
	for (size_t i = 0; facts && i < facts->n_effects; i++)
		take_effect(modes, &facts->effects[i]);
	modes->has_run |= !is_alone || facts->kind != VERDICT_TXN;
}

enum route_begin begin_route(const struct request *request)
{
	const struct txn *txn = &request->client->txn;
	struct modes modes = { .begins = txn_is_deferred(txn) };

	take_defaults(&modes, txn->settings);
	if (txn->begin) {
		modes.is_read_write = (txn->begin->flags & EFFECT_READ_WRITE) != 0;
		take_flags(&modes, txn->begin->flags);
	}
	for (size_t i = 0; i < request->n_ops; i++)
		take_op(&modes, &request->ops[i]);
	if (modes.is_serializable)
		return ROUTE_BEGIN_READ_WRITE;
	if (!modes.begins)
		return ROUTE_BEGIN_NONE;
	return modes.is_read_only && !modes.is_read_write && !modes.ends && request->pins == 0
		       ? ROUTE_BEGIN_READ_ONLY
		       : ROUTE_BEGIN_READ_WRITE;
}
