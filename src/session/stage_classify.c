/*
 * Stage classify: what each message of a request is, what its text says, and so what is to be
 * done with it. Names of prepared statements are looked up and registered here, in the order of
 * the messages; a Parse that fails later is taken back (relay_replies.c). After it, route and
 * relay need not look at a body again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "session/begin.h"
#include "session/client.h"
#include "session/sql_prepare.h"
#include "wire/build.h"
#include "wire/cursor.h"
#include "wire/frame.h"
#include "wire/message.h"

/* --- gathering what the texts say --- */

static void note_pin(struct request *request, enum pin_reason pin)
{
	request->pins |= (uint16_t)PIN_BIT(pin);
}

static void note_verdict(struct request *request, enum verdict_kind kind,
			 enum verdict_reason reason, bool is_explicit_read_only,
			 bool has_transaction_control)
{
	struct verdict *worst = &request->verdict;
	bool is_first = worst->reason == VERDICT_REASON_EMPTY && worst->kind == VERDICT_READ;

	worst->n_statements++;
	worst->has_transaction_control |= has_transaction_control;
	worst->is_explicit_read_only =
		is_explicit_read_only && (is_first || worst->is_explicit_read_only);
	if (!is_first && kind <= worst->kind)
		return;
	worst->kind = kind;
	worst->reason = reason;
}

static void note_bad_hints(struct request *request, const struct judgement *judgement)
{
	if (judgement->bad_hints > 0 && !request->bad_hint[0])
		snprintf(request->bad_hint, sizeof(request->bad_hint), "%s",
			 judgement->bad_hint_why);
}

static void note_facts(struct request *request, const struct statement_facts *facts)
{
	note_verdict(request, facts->kind, facts->reason, facts->is_explicit_read_only,
		     facts->has_transaction_control);
	request->pins |= facts->pins;
	request->unpins |= facts->unpins;
	request->may_leave_state |= facts->may_leave_state;
	if (facts->hints)
		hint_merge(&request->hints, facts->hints);
}

/* --- answers of ours --- */

/* The op is answered by us; the answer is built by the caller. NULL without memory. */
static struct bytes *answer(struct op *op, enum op_action action)
{
	if (!op->answer)
		op->answer = calloc(1, sizeof(*op->answer));
	op->action = (uint8_t)action;
	return op->answer;
}

static bool answer_empty(struct op *op, uint8_t type)
{
	struct bytes *out = answer(op, OP_ANSWER);

	if (out)
		build_empty(out, type);
	return out && !out->failed;
}

static bool refuse(struct op *op, const char *sqlstate, const char *message)
{
	struct bytes *out = answer(op, OP_REFUSE);

	if (out)
		build_error(out, "ERROR", sqlstate, message, NULL, NULL);
	return out && !out->failed;
}

static bool refuse_strict_hint(struct request *request, struct op *op)
{
	char message[200];

	snprintf(message, sizeof(message), "pointsman: %s", request->bad_hint);
	return refuse(op, "22023", message);
}

/* What a server says to all but the end of a transaction that has failed. */
static bool refuse_failed(struct op *op)
{
	return refuse(op, "25P02",
		      "current transaction is aborted, commands ignored until end of "
		      "transaction block");
}

/* --- Query --- */

static bool refuse_name(struct op *op, const char *sqlstate, const char *name, const char *what)
{
	char message[200];

	snprintf(message, sizeof(message), "prepared statement \"%.100s\" %s", name, what);
	return refuse(op, sqlstate, message);
}

static bool refuse_limit(struct op *op, const char *message, const char *reason, const char *hint)
{
	struct bytes *out = answer(op, OP_REFUSE);

	if (out)
		build_error(out, "ERROR", "54000", message, reason, hint);
	return out && !out->failed;
}

static bool refuse_too_many(struct op *op)
{
	return refuse_limit(op, "pointsman: the client has too many prepared statements",
			    "reason: client_statements",
			    "See max_client_statements and max_client_statement_bytes.");
}

/* A statement that PREPAREs one or takes one away, answered by us. */
static bool answer_command(struct op *op, const char *tag)
{
	struct bytes *out = answer(op, OP_ANSWER);

	if (out)
		build_command_complete(out, tag);
	return out && !out->failed;
}

/* What a Query with names of prepared statements comes to. */
static bool take_names(struct request *request, struct op *op, enum sql_names names,
		       const char *name)
{
	switch (names) {
	case SQL_NAMES_REPLACED: op->action = OP_REWRITE; return true;
	case SQL_NAMES_ANSWERED: return answer_command(op, "DEALLOCATE");
	case SQL_NAMES_EXISTS: return refuse_name(op, "42P05", name, "already exists");
	case SQL_NAMES_UNKNOWN: return refuse_name(op, "26000", name, "does not exist");
	case SQL_NAMES_TOO_MANY: return refuse_too_many(op);
	case SQL_NAMES_MISPLACED:
		return refuse(op, "0A000",
			      "pointsman: PREPARE, EXECUTE and DEALLOCATE in a Query must not "
			      "follow messages of the extended protocol without a Sync");
	case SQL_NAMES_NO_MEMORY: return false;
	case SQL_NAMES_PLAIN: note_pin(request, PIN_SQL_PREPARE); return true;
	case SQL_NAMES_NONE: return true;
	}
	UNREACHABLE();
}

#define EXECUTED_MAX 64

/* The facts of a Query, those of what it EXECUTEs included. */
static bool note_query(struct request *request, const struct judgement *judgement)
{
	const struct sql_uses *uses = request->uses;
	struct statement *few[EXECUTED_MAX];
	struct statement **executed = few;
	size_t n = 0;

	if (uses && uses->count > EXECUTED_MAX)
		executed = calloc(uses->count, sizeof(struct statement *));
	for (size_t i = 0; executed && uses && i < uses->count; i++) {
		if (uses->uses[i].place.kind == NAME_EXECUTE)
			executed[n++] = uses->uses[i].target;
	}
	if (executed)
		request->query_facts = statement_facts_create(judgement, executed, n);
	if (executed != few)
		free(executed);
	if (request->query_facts)
		note_facts(request, request->query_facts);
	return request->query_facts != NULL;
}

/* Looks up the names in a Query, which have to be known before it can be judged. */
static bool classify_names(struct request *request, struct op *op, const char *text,
			   struct judgement *judgement)
{
	struct session_env *env = request->client->env;
	size_t length = op->present - FRAME_HEADER_BYTES;
	const char *name =
		judgement->verdict->n_effects > 0 ? judgement->verdict->effects[0].name : NULL;
	char copy[NAME_BYTES_MAX];
	struct bytes *out = answer(op, OP_FORWARD);
	enum sql_names names;

	if (!out)
		return false;
	snprintf(copy, sizeof(copy), "%s", name ? name : "");
	names = sql_names_of_query(request, op, text, length, judgement->verdict, out);
	judge_text(env->judge, text, length, judgement);
	return take_names(request, op, names, copy);
}

static bool is_with_names(const struct op *op, const struct verdict *verdict)
{
	if (verdict->reason == VERDICT_REASON_TOO_LARGE || op->present < op->size)
		return true;
	for (size_t i = 0; i < verdict->n_effects; i++) {
		enum effect_kind kind = verdict->effects[i].kind;

		if (kind == EFFECT_PREPARE || kind == EFFECT_EXECUTE || kind == EFFECT_DEALLOCATE)
			return true;
	}
	return false;
}

static bool classify_query(struct request *request, struct op *op, const uint8_t *body)
{
	struct session_env *env = request->client->env;
	const char *text = (const char *)body;
	struct judgement judgement;
	const struct verdict *verdict;

	judge_text(env->judge, text, op->present - FRAME_HEADER_BYTES, &judgement);
	note_bad_hints(request, &judgement);
	if (is_with_names(op, judgement.verdict) &&
	    !classify_names(request, op, text, &judgement))
		return false;
	verdict = judgement.verdict;
	if (op->present < op->size) /* judged by its beginning only */
		note_verdict(request, VERDICT_UNKNOWN, VERDICT_REASON_TOO_LARGE, false, false);
	if (verdict->n_effects > 0 || request->uses) {
		if (!note_query(request, &judgement))
			return false;
	} else {
		note_verdict(request, verdict->kind, verdict->reason, false, false);
		request->may_leave_state |= verdict->may_leave_state;
		hint_merge(&request->hints, &judgement.hints);
	}
	op->facts = request->query_facts;
	if (env->limits.strict_hints && request->bad_hint[0])
		return refuse_strict_hint(request, op);
	if (!own_statement_is(request->client, op->facts))
		return true;
	if (request->client->txn.status == TXN_FAILED)
		return refuse_failed(op);
	/* Behind what is not answered yet its answer would overtake theirs. */
	if (request->n_ops > 1 || request->client->is_batch_open ||
	    !pending_is_empty(&request->client->pending) || !own_statement_is_alone(op->facts))
		return refuse(
			op, "0A000",
			"pointsman: SET and SHOW of pointsman settings, LISTEN and UNLISTEN "
			"must be sent alone");
	request->pins = request->unpins = 0; /* no server sees it */
	request->has_listen = own_statement_has_listen(op->facts);
	return answer(op, OP_ANSWER) != NULL; /* executed by govern */
}

/* --- extended protocol --- */

static struct statement *find_statement(struct client *client, const char *name)
{
	return name[0] ? statement_map_find(&client->statements, name) : client->unnamed;
}

/* The statement of a Parse body: known already, or judged now. */
static struct statement *statement_of(struct request *request, const uint8_t *body, size_t length)
{
	struct session_env *env = request->client->env;
	struct statement *statement =
		statement_find(env->statements, STATEMENT_PARSE, body, length);
	struct judgement judgement;

	if (statement)
		return statement;
	judge_text(env->judge, (const char *)body, length, &judgement);
	note_bad_hints(request, &judgement);
	if (env->limits.strict_hints && judgement.bad_hints > 0)
		return NULL; /* refused, and not kept: the next time it is judged again */
	return statement_get(env->statements, STATEMENT_PARSE, body, length, &judgement);
}

/*
 * More text than is kept for a client, however it arrives: without a name it can be run
 * now, but not prepared anywhere else.
 */
static bool classify_huge_parse(struct request *request, struct op *op, const char *name)
{
	struct client *client = request->client;

	if (name[0] && sql_names_are_replaced(client))
		return refuse_limit(op, "pointsman: the text of a named statement is too long",
				    "reason: statement_bytes", "See max_statement_bytes.");
	note_verdict(request, VERDICT_UNKNOWN, VERDICT_REASON_TOO_LARGE, false, false);
	note_pin(request, PIN_UNKNOWN_STATE);
	if (name[0])
		return true;
	statement_unref(&client->unnamed);
	client->is_unnamed_foreign = true;
	return true;
}

static bool remember_name(struct client *client, const char *name, struct statement *statement)
{
	struct statement *old = client->unnamed;

	if (name[0])
		return statement_map_add(&client->statements, name, statement);
	client->unnamed = statement_ref(statement);
	client->is_unnamed_foreign = false;
	statement_unref(&old);
	return true;
}

/* What is parsed now will most likely be run in the same batch, and so decides where it goes. */
static bool note_parsed(struct request *request, const struct statement *statement)
{
	struct statement *rewritten = NULL;
	char name[NAME_BYTES_MAX];
	enum sql_names names = sql_names_of_statement(request, statement, &rewritten, name);

	note_facts(request, rewritten ? rewritten->facts : statement->facts);
	statement_unref(&rewritten);
	return names != SQL_NAMES_NO_MEMORY;
}

static bool classify_parse(struct request *request, struct op *op, struct cursor *c)
{
	struct client *client = request->client;
	const char *name = cursor_string(c);
	size_t length = cursor_left(c);
	const uint8_t *body = cursor_bytes(c, length);
	bool is_replaced = sql_names_are_replaced(client);

	if (c->failed)
		return refuse(op, "08P01", "pointsman: malformed Parse message");
	if (op->present < op->size || op->size > client->env->limits.statement_bytes_max)
		return classify_huge_parse(request, op, name);
	if (name[0] && statement_map_find(&client->statements, name))
		return is_replaced ? refuse_name(op, "42P05", name, "already exists") : true;
	op->name_offset = FRAME_HEADER_BYTES;
	op->name_length = (uint32_t)strlen(name);
	op->statement = statement_of(request, body, length);
	if (!op->statement && client->env->limits.strict_hints && request->bad_hint[0])
		return refuse_strict_hint(request, op);
	if (op->statement && own_statement_is(client, op->statement->facts) &&
	    client->txn.status == TXN_FAILED)
		return refuse_failed(op);
	if (op->statement && name[0] && !sql_names_has_room(client, op->statement)) {
		statement_unref(&op->statement);
		return refuse_too_many(op);
	}
	if (!op->statement || !remember_name(client, name, op->statement))
		return false;
	op->statement->n_parses++;
	if (own_statement_is(client, op->statement->facts))
		return answer_empty(op, MSG_B_PARSE_COMPLETE);
	if (!note_parsed(request, op->statement))
		return false;
	if (name[0] && is_replaced && !client->server && client->txn.status != TXN_FAILED &&
	    statement_is_proved(op->statement))
		return answer_empty(op, MSG_B_PARSE_COMPLETE);
	op->action = name[0] && is_replaced ? OP_REWRITE : OP_FORWARD;
	return true;
}

/* A name that leads nowhere: the server says so in its own words, unless it has a statement of
 * ours by that name. */
static bool classify_unknown_name(struct client *client, struct op *op, const char *name)
{
	if (!sql_names_are_replaced(client) ||
	    (name[0] ? !sql_names_is_own(name) : client->is_unnamed_foreign))
		return true;
	if (name[0])
		return refuse_name(op, "26000", name, "does not exist");
	return refuse(op, "26000", "unnamed prepared statement does not exist");
}

/*
 * A statement that is PREPARE, EXECUTE or DEALLOCATE itself: what is run is the same with the
 * name replaced. The reference goes over from `statement` to op->statement. false without memory.
 */
static bool attach_rewritten(struct request *request, struct op *op, struct statement *statement)
{
	struct statement *rewritten = NULL;
	char name[NAME_BYTES_MAX];

	op->statement = statement_ref(statement);
	switch (sql_names_of_statement(request, statement, &rewritten, name)) {
	case SQL_NAMES_REPLACED:
		statement_unref(&op->statement);
		op->statement = rewritten;
		return true;
	case SQL_NAMES_UNKNOWN: return refuse_name(op, "26000", name, "does not exist");
	case SQL_NAMES_PLAIN: note_pin(request, PIN_SQL_PREPARE); return true;
	case SQL_NAMES_NO_MEMORY: return false;
	default: return true;
	}
}

/* For Bind and Describe: finds what the name leads to. */
static bool attach_statement(struct request *request, struct op *op, const char *name)
{
	struct client *client = request->client;
	struct statement *statement = find_statement(client, name);

	if (!statement)
		return classify_unknown_name(client, op, name);
	if (name[0] && sql_names_are_replaced(client))
		op->action = OP_REWRITE;
	if (!attach_rewritten(request, op, statement))
		return false;
	statement->n_uses++;
	if (!own_statement_is(client, statement->facts))
		note_facts(request, op->statement->facts);
	return true;
}

/* From now on the portal is of this statement (NULL: of one that we do not know). */
static bool remember_portal(struct client *client, const char *portal,
			    struct statement *statement)
{
	struct statement *before = client->unnamed_portal;

	if (!portal[0]) {
		client->unnamed_portal = statement_ref(statement);
		statement_unref(&before);
		return true;
	}
	statement_map_remove(&client->portals, portal);
	return !statement || statement_map_add(&client->portals, portal, statement);
}

static bool classify_bind(struct request *request, struct op *op, struct cursor *c,
			  const uint8_t *body)
{
	struct client *client = request->client;
	const char *portal = cursor_string(c);
	const char *name = cursor_string(c);

	if (c->failed)
		return refuse(op, "08P01", "pointsman: malformed Bind message");
	client->identity->database->traffic.bind_count++;
	op->name_offset = (uint32_t)((const uint8_t *)name - body) + FRAME_HEADER_BYTES;
	op->name_length = (uint32_t)strlen(name);
	if (!attach_statement(request, op, name) ||
	    !remember_portal(client, portal, find_statement(client, name)))
		return false;
	if (op->statement && own_statement_is(client, op->statement->facts))
		return client->txn.status == TXN_FAILED ? refuse_failed(op)
							: answer_empty(op, MSG_B_BIND_COMPLETE);
	return true;
}

static struct statement *portal_statement(const struct client *client, const char *portal)
{
	return portal[0] ? statement_map_find(&client->portals, portal) : client->unnamed_portal;
}

static bool describe_own(struct op *op, const struct statement_facts *facts, bool is_statement)
{
	struct bytes *out = answer(op, OP_ANSWER);
	size_t mark;

	if (!out)
		return false;
	if (is_statement) {
		mark = build_begin(out, MSG_B_PARAMETER_DESCRIPTION);
		build_u16(out, 0);
		build_end(out, mark);
	}
	own_statement_describe(facts, out);
	return !out->failed;
}

/* As a server says it (postgres.c:PostgresMain). */
static bool refuse_subtype(struct op *op, const char *message, uint8_t kind)
{
	char text[64];

	snprintf(text, sizeof(text), "invalid %s message subtype %d", message, kind);
	return refuse(op, "08P01", text);
}

static bool classify_describe(struct request *request, struct op *op, struct cursor *c,
			      const uint8_t *body)
{
	uint8_t kind = cursor_u8(c);
	const char *name = cursor_string(c);
	struct statement *statement;

	if (!cursor_done(c))
		return refuse(op, "08P01", "pointsman: malformed Describe message");
	if (kind != 'S' && kind != 'P')
		return refuse_subtype(op, "DESCRIBE", kind);
	op->name_offset = (uint32_t)((const uint8_t *)name - body) + FRAME_HEADER_BYTES;
	op->name_length = (uint32_t)strlen(name);
	if (kind == 'S' && !attach_statement(request, op, name))
		return false;
	statement = kind == 'S' ? op->statement : portal_statement(request->client, name);
	if (statement && op->action != OP_REFUSE &&
	    own_statement_is(request->client, statement->facts))
		return describe_own(op, statement->facts, kind == 'S');
	op->is_of_portal = kind == 'P';
	return kind == 'S' || !statement || attach_rewritten(request, op, statement);
}

/* Execute of PREPARE: the name is given now, and taken back should it fail. */
static bool give_name(struct request *request, struct op *op, const char *name)
{
	struct client *client = request->client;
	struct statement *target = op->statement->target;

	if (statement_map_find(&client->statements, name))
		return refuse_name(op, "42P05", name, "already exists");
	if (!sql_names_has_room(client, target))
		return refuse_too_many(op);
	op->name_hash = statement_name_hash(name);
	target->n_parses++;
	return statement_map_add(&client->statements, name, target);
}

/* Execute of DEALLOCATE: the name is taken now, and given back should it fail. */
static bool take_name(struct request *request, struct op *op, const char *name)
{
	struct client *client = request->client;

	op->closed = statement_ref(statement_map_find(&client->statements, name));
	op->closed_name = op->closed ? strdup(name) : NULL;
	if (op->closed && !op->closed_name)
		return false;
	statement_map_remove(&client->statements, name);
	return true;
}

/* Execute of a statement that may be PREPARE, EXECUTE or DEALLOCATE. */
static bool classify_run(struct request *request, struct op *op, struct statement *statement)
{
	char name[NAME_BYTES_MAX];

	if (!attach_rewritten(request, op, statement))
		return false;
	op->facts = op->statement->facts;
	if (op->action != OP_FORWARD || !op->statement->target)
		return true;
	if (op->statement->target_use == NAME_EXECUTE)
		return true;
	sql_names_of(statement, name);
	return op->statement->target_use == NAME_PREPARE ? give_name(request, op, name)
							 : take_name(request, op, name);
}

static bool classify_execute(struct request *request, struct op *op, struct cursor *c)
{
	const char *portal = cursor_string(c);
	struct statement *statement;
	struct bytes *out;

	cursor_u32(c);
	if (!cursor_done(c))
		return refuse(op, "08P01", "pointsman: malformed Execute message");
	request->has_executes = true;
	statement = portal_statement(request->client, portal);
	if (!statement)
		return true;
	if (!own_statement_is(request->client, statement->facts))
		return classify_run(request, op, statement);
	op->facts = statement->facts;
	op->statement = statement_ref(statement);
	if (request->client->txn.status == TXN_FAILED)
		return refuse_failed(op);
	out = answer(op, OP_ANSWER);
	request->has_listen |= own_statement_has_listen(statement->facts);
	if (out && !own_statement_execute(request->client, statement->facts, false, out))
		op->action = OP_REFUSE;
	return out && !out->failed;
}

static bool classify_close(struct request *request, struct op *op, struct cursor *c)
{
	uint8_t kind = cursor_u8(c);
	const char *name = cursor_string(c);
	struct client *client = request->client;

	if (!cursor_done(c))
		return refuse(op, "08P01", "pointsman: malformed Close message");
	if (kind != 'S' && kind != 'P')
		return refuse_subtype(op, "CLOSE", kind);
	if (kind == 'P') {
		remember_portal(client, name, NULL);
		return client->server || request->n_ops > 1 ||
		       answer_empty(op, MSG_B_CLOSE_COMPLETE);
	}
	if (!sql_names_are_replaced(client)) {
		if (name[0])
			statement_map_remove(&client->statements, name);
		else
			statement_unref(&client->unnamed);
		return true;
	}
	if (name[0]) {
		op->statement = statement_ref(statement_map_find(&client->statements, name));
		statement_map_remove(&client->statements, name);
	} else {
		statement_unref(&client->unnamed);
	}
	/* Servers keep it for others who have the same text; their own bound ends it. */
	return answer_empty(op, MSG_B_CLOSE_COMPLETE);
}

/* --- all of it --- */

static bool classify_op(struct request *request, struct op *op, const uint8_t *bytes)
{
	const uint8_t *body = bytes + op->offset + FRAME_HEADER_BYTES;
	struct client *client = request->client;
	struct cursor c;

	cursor_init(&c, body, op->present - FRAME_HEADER_BYTES);
	if ((client->is_batch_failed || request->is_refused) && op->type != MSG_F_SYNC) {
		op->action = OP_DROP;
		return true;
	}
	/* The commands of replication have a grammar of their own, and their server is held. */
	if (client->replication != REPLICATION_NONE) {
		note_verdict(request, VERDICT_UNKNOWN, VERDICT_REASON_UTILITY, false, false);
		return true;
	}
	switch (op->type) {
	case MSG_F_QUERY:
		/* It ends the unnamed statement, whoever answers it. */
		statement_unref(&client->unnamed);
		client->is_unnamed_foreign = false;
		return classify_query(request, op, body);
	case MSG_F_PARSE:
		client->identity->database->traffic.client_parse_count++;
		return classify_parse(request, op, &c);
	case MSG_F_BIND: return classify_bind(request, op, &c, body);
	case MSG_F_DESCRIBE: return classify_describe(request, op, &c, body);
	case MSG_F_EXECUTE: return classify_execute(request, op, &c);
	case MSG_F_CLOSE: return classify_close(request, op, &c);
	case MSG_F_FUNCTION_CALL:
		note_verdict(request, VERDICT_WRITE, VERDICT_REASON_UTILITY, false, false);
		return true;
	default: return true; /* Sync, Flush */
	}
}

/* Must a server see this op? A Sync or Flush only when it has seen something before. */
static bool op_needs_server(const struct client *client, const struct op *op)
{
	if (op->action == OP_ANSWER || op->action == OP_DROP)
		return false;
	if (op->type == MSG_F_SYNC || op->type == MSG_F_FLUSH)
		return client->is_batch_open;
	if (op->action == OP_REFUSE)
		return client->server != NULL;
	return true;
}

static bool classify_all(struct request *request)
{
	const uint8_t *bytes = request_bytes(request);
	size_t at = 0;

	while (at < request->size) {
		struct op *op = request_add_op(request);
		struct frame frame;

		if (!op)
			return false;
		frame_peek(bytes + at, request->size - at, FRAME_BODY_MAX, &frame);
		op->type = frame.type;
		op->offset = (uint32_t)at;
		op->size = (uint32_t)frame_size(&frame);
		op->present = (uint32_t)(FRAME_HEADER_BYTES + frame.body_present);
		if (!classify_op(request, op, bytes))
			return false;
		request->needs_server |= op_needs_server(request->client, op);
		request->is_refused |= op->action == OP_REFUSE && !request->needs_server;
		at += op->present;
	}
	return true;
}

bool statement_sets_to_true(const char *statement, const char *name)
{
	const char *at = strcasestr(statement, name);

	at += at ? strlen(name) : 0;
	while (at && *at) {
		size_t length;

		at += strcspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01");
		length = strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ01");
		if ((length == 1 && strncasecmp(at, "e", 1) == 0) ||
		    (length == 2 && strncasecmp(at, "to", 2) == 0)) {
			at += length;
			continue;
		}
		return strncasecmp(at, "on", 2) == 0 || (*at && strchr("tTyY1", *at));
	}
	return false;
}

/*
 * The lexer reads strings as standard_conforming_strings = on has them, and encodings in which no
 * byte below 0x80 is a part of another character. A session that has set otherwise keeps to the
 * primary, and to one server, since nothing it says can be trusted to mean what it seems to.
 */
static bool is_readable(const struct client *client)
{
	static const char *const odd_encodings[] = { "sjis", "shift", "kanji",   "932",
						     "big5", "950",   "gbk",     "936",
						     "uhc",  "949",   "gb18030", "johab" };
	const struct settings *settings = client->txn.settings;
	const char *strings = settings_get(settings, "standard_conforming_strings");
	const char *encoding = settings_get(settings, "client_encoding");

	if (strings && !statement_sets_to_true(strings, "standard_conforming_strings"))
		return false;
	for (size_t i = 0; encoding && i < sizeof(odd_encodings) / sizeof(odd_encodings[0]);
	     i++) {
		if (strcasestr(encoding, odd_encodings[i]))
			return false;
	}
	return !client->identity->database->is_unreadable;
}

enum stage_result stage_classify(struct request *request)
{
	struct client *client = request->client;

	if (request->end == REQUEST_LOGIN) {
		request->needs_server = true;
		/* Where a walsender is looked for, is said by the client or by nobody. */
		if (client->replication != REPLICATION_NONE)
			txn_merge_hints(&client->txn, &request->hints);
		return STAGE_NEXT;
	}
	if (!classify_all(request)) {
		client_close(client, CLOSE_NO_MEMORY, "53200", "pointsman: out of memory");
		return STAGE_CLOSE;
	}
	if (request->needs_server && client->replication == REPLICATION_NONE &&
	    !is_readable(client)) {
		note_verdict(request, VERDICT_UNKNOWN, VERDICT_REASON_UNREADABLE, false, false);
		note_pin(request, PIN_UNKNOWN_STATE);
	} else if (!begin_classify(request)) {
		client_close(client, CLOSE_NO_MEMORY, "53200", "pointsman: out of memory");
		return STAGE_CLOSE;
	}
	if (request->end == REQUEST_PARTIAL && request->needs_server)
		note_verdict(request, VERDICT_UNKNOWN, VERDICT_REASON_TOO_LARGE, false, false);
	txn_merge_hints(&client->txn, &request->hints);
	request->is_hint_default = !hint_is_set(&request->hints, HINT_READ_HINT);
	hint_merge(&request->hints, &client->identity->database->hints);
	return STAGE_NEXT;
}
