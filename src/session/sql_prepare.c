/*
 * PREPARE, EXECUTE and DEALLOCATE: the names in texts are looked up, and replaced by those that
 * servers know; see session/sql_prepare.h. Decides nothing about nodes and sends nothing. Worker
 * thread.
 */
#include "session/sql_prepare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "session/client.h"
#include "wire/build.h"
#include "wire/frame.h"
#include "wire/message.h"

void sql_uses_destroy(struct sql_uses **uses)
{
	for (size_t i = 0; *uses && i < (*uses)->count; i++)
		statement_unref(&(*uses)->uses[i].target);
	free(*uses);
	*uses = NULL;
}

bool sql_names_is_own(const char *name)
{
	return strncmp(name, STATEMENT_NAME_PREFIX, strlen(STATEMENT_NAME_PREFIX)) == 0;
}

bool sql_names_are_replaced(const struct client *client)
{
	return client->identity->rules.mode != POOL_SESSION;
}

bool sql_names_has_room(const struct client *client, const struct statement *statement)
{
	const struct session_limits *limits = &client->env->limits;

	return statement_map_count(&client->statements) < limits->client_statements_max &&
	       statement_map_text_bytes(&client->statements) + statement->body_length <=
		       limits->client_statement_bytes;
}

/* --- statements --- */

/* What PREPARE prepares: found by its text, or made. */
static struct statement *prepared_by(struct session_env *env, const char *text,
				     const struct name_use *use, bool is_shared)
{
	const uint8_t *tail = (const uint8_t *)text + use->tail_at;
	size_t length = use->end - use->tail_at;
	struct statement *statement = NULL;
	struct judgement judgement;

	if (is_shared)
		statement = statement_find(env->statements, STATEMENT_SQL, tail, length);
	if (statement)
		return statement;
	judge_text(env->judge, text + use->body_at, use->end - use->body_at, &judgement);
	if (is_shared)
		return statement_get(env->statements, STATEMENT_SQL, tail, length, &judgement);
	return statement_create_unshared(env->statements, STATEMENT_SQL, tail, length,
					 &judgement);
}

/*
 * DEALLOCATE takes from a server what others may use, too. Where it only has to look right (its
 * transaction may have failed), it is given this instead.
 */
static struct statement *stand_in(struct session_env *env, bool is_shared)
{
	static const char text[] = " AS SELECT 1";
	const struct name_use use = { .body_at = 3, .end = sizeof(text) - 1 };

	return prepared_by(env, text, &use, is_shared);
}

/* --- names in a Query --- */

struct resolver {
	struct request *request;
	const char *text;
	struct sql_uses *uses;
	size_t n_resolved;
	bool is_alone; /* the text is this one statement */
};

/* What the name of `use` leads to behind the uses before it. `here_out`: because of one of them.
 */
static struct statement *look_up(const struct resolver *r, const struct sql_use *use,
				 bool *here_out)
{
	*here_out = false;
	for (size_t i = r->n_resolved; i-- > 0;) {
		const struct sql_use *before = &r->uses->uses[i];

		if ((int)before->place.statement < use->cleared_at)
			break;
		if (before->place.kind == NAME_EXECUTE || strcmp(before->name, use->name) != 0)
			continue;
		*here_out = before->place.kind == NAME_PREPARE;
		return *here_out ? before->target : NULL;
	}
	if (use->cleared_at >= 0)
		return NULL;
	return statement_map_find(&r->request->client->statements, use->name);
}

static enum sql_names resolve_prepare(struct resolver *r, struct sql_use *use,
				      struct statement *found)
{
	if (found && r->is_alone)
		return SQL_NAMES_EXISTS;
	use->is_new = !found;
	/* One of several: should its text be another's, too, they would be in each other's way.
	 */
	use->target =
		found ? statement_ref(found)
		      : prepared_by(r->request->client->env, r->text, &use->place, r->is_alone);
	if (!use->target)
		return SQL_NAMES_NO_MEMORY;
	return sql_names_has_room(r->request->client, use->target) ? SQL_NAMES_REPLACED
								   : SQL_NAMES_TOO_MANY;
}

static enum sql_names resolve(struct resolver *r, struct sql_use *use)
{
	bool is_here;
	struct statement *found = look_up(r, use, &is_here);

	if (use->place.kind == NAME_PREPARE)
		return resolve_prepare(r, use, found);
	if (!found)
		return sql_names_is_own(use->name) ? SQL_NAMES_UNKNOWN : SQL_NAMES_REPLACED;
	use->target = use->place.kind == NAME_EXECUTE || is_here
			      ? statement_ref(found)
			      : stand_in(r->request->client->env, r->is_alone);
	return use->target ? SQL_NAMES_REPLACED : SQL_NAMES_NO_MEMORY;
}

/* The last statement before `index` that ends all names; -1: none does. */
static int cleared_before(const struct verdict *verdict, unsigned index)
{
	int found = -1;

	for (size_t i = 0; i < verdict->n_effects; i++) {
		const struct effect *effect = &verdict->effects[i];

		if ((effect->kind == EFFECT_DISCARD_ALL ||
		     (effect->kind == EFFECT_DEALLOCATE && !effect->name)) &&
		    effect->statement < index)
			found = (int)effect->statement;
	}
	return found;
}

static size_t count_named_effects(const struct verdict *verdict)
{
	size_t count = 0;

	for (size_t i = 0; i < verdict->n_effects; i++) {
		const struct effect *effect = &verdict->effects[i];

		count += effect->kind == EFFECT_PREPARE || effect->kind == EFFECT_EXECUTE ||
			 (effect->kind == EFFECT_DEALLOCATE && effect->name);
	}
	return count;
}

static bool has_prepare(const struct verdict *verdict)
{
	for (size_t i = 0; i < verdict->n_effects; i++) {
		if (verdict->effects[i].kind == EFFECT_PREPARE)
			return true;
	}
	return false;
}

/* DEALLOCATE by a session that holds no server. */
static bool is_answered_here(const struct resolver *r)
{
	const struct client *client = r->request->client;

	return r->is_alone && r->uses->uses[0].place.kind == NAME_DEALLOCATE &&
	       r->uses->uses[0].target && !client->server && client->txn.status != TXN_FAILED;
}

static size_t count_characters(const char *text, size_t length)
{
	size_t count = 0;

	for (size_t i = 0; i < length; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

static void take_places(struct sql_uses *uses, const struct name_use *places, const char *text,
			const struct verdict *verdict)
{
	size_t at = 0;
	size_t characters = 0;

	for (size_t i = 0; i < uses->count; i++) {
		struct sql_use *use = &uses->uses[i];

		use->place = places[i];
		use->cleared_at = cleared_before(verdict, places[i].statement);
		characters += count_characters(text + at, places[i].at - at);
		use->characters_before = characters;
		use->characters = count_characters(text + places[i].at, places[i].length);
		at = places[i].at;
	}
}

static struct sql_uses *find_uses(const char *text, size_t length, const struct verdict *verdict)
{
	size_t count = names_find(text, length, NULL, 0);
	struct sql_uses *uses = calloc(1, sizeof(*uses) + count * sizeof(uses->uses[0]));
	struct name_use *places = calloc(count ? count : 1, sizeof(*places));

	if (uses && places) {
		uses->count = names_find(text, length, places, count);
		take_places(uses, places, text, verdict);
	} else {
		free(uses);
		uses = NULL;
	}
	free(places);
	return uses;
}

static bool fold_names(struct sql_uses *uses, const char *text)
{
	for (size_t i = 0; i < uses->count; i++) {
		struct sql_use *use = &uses->uses[i];

		if (!names_fold(text + use->place.at, use->place.length, use->name))
			return false;
	}
	return true;
}

static enum sql_names resolve_all(struct resolver *r)
{
	enum sql_names result = SQL_NAMES_REPLACED;

	for (size_t i = 0; i < r->uses->count && result == SQL_NAMES_REPLACED; i++) {
		r->n_resolved = i;
		result = resolve(r, &r->uses->uses[i]);
	}
	return result;
}

static void put_name(struct bytes *out, const struct statement *statement)
{
	char name[STATEMENT_NAME_MAX];

	statement_name(statement->id, name);
	bytes_append_text(out, name);
}

/* The message with the names replaced. What of it is not there yet follows as it comes. */
static void build_rewritten(const struct sql_uses *uses, const struct op *op, const char *text,
			    size_t length, struct bytes *out)
{
	struct bytes body = { 0 };
	size_t at = 0;

	for (size_t i = 0; i < uses->count; i++) {
		const struct sql_use *use = &uses->uses[i];

		if (!use->target)
			continue;
		bytes_append(&body, text + at, use->place.at - at);
		put_name(&body, use->target);
		at = use->place.at + use->place.length;
	}
	bytes_append(&body, text + at, length - at);
	build_u8(out, MSG_F_QUERY);
	build_u32(out, (uint32_t)(op->size - 1 - length + bytes_length(&body)));
	build_raw(out, bytes_begin(&body), bytes_length(&body));
	out->failed |= body.failed;
	bytes_free(&body);
}

static bool is_any_replaced(const struct sql_uses *uses)
{
	for (size_t i = 0; i < uses->count; i++) {
		if (uses->uses[i].target)
			return true;
	}
	return false;
}

static bool is_in_batch(const struct request *request)
{
	return request->n_ops > 1 || request->client->is_batch_open ||
	       !pending_is_empty(&request->client->pending);
}

/* All but the EXECUTE that a text too large to judge begins with is left as it is. */
static bool keep_first_execute(struct sql_uses *uses)
{
	if (uses->count == 0 || uses->uses[0].place.kind != NAME_EXECUTE ||
	    uses->uses[0].place.statement != 0)
		return false;
	uses->count = 1;
	return true;
}

static enum sql_names names_of_query(struct resolver *r, const struct op *op, size_t length,
				     const struct verdict *verdict, struct bytes *out)
{
	struct request *request = r->request;
	bool is_large = verdict->reason == VERDICT_REASON_TOO_LARGE || op->present < op->size;
	enum sql_names result;

	if (is_large ? !keep_first_execute(r->uses)
		     : r->uses->count != count_named_effects(verdict))
		return has_prepare(verdict) ? SQL_NAMES_PLAIN : SQL_NAMES_NONE;
	if (!fold_names(r->uses, r->text))
		return has_prepare(verdict) ? SQL_NAMES_PLAIN : SQL_NAMES_NONE;
	result = resolve_all(r); /* the verdict is gone when another text is judged */
	if (result != SQL_NAMES_REPLACED)
		return result;
	if (!is_any_replaced(r->uses))
		return SQL_NAMES_NONE;
	if (is_in_batch(request))
		return SQL_NAMES_MISPLACED;
	if (is_answered_here(r)) {
		statement_map_remove(&request->client->statements, r->uses->uses[0].name);
		return SQL_NAMES_ANSWERED;
	}
	build_rewritten(r->uses, op, r->text, length, out);
	return out->failed ? SQL_NAMES_NO_MEMORY : SQL_NAMES_REPLACED;
}

enum sql_names sql_names_of_query(struct request *request, const struct op *op, const char *text,
				  size_t length, const struct verdict *verdict, struct bytes *out)
{
	struct resolver r = { .request = request, .text = text };
	bool is_worth_it = count_named_effects(verdict) > 0 ||
			   verdict->reason == VERDICT_REASON_TOO_LARGE || op->present < op->size;
	enum sql_names result;

	if (!is_worth_it || !sql_names_are_replaced(request->client))
		return SQL_NAMES_NONE;
	r.uses = find_uses(text, length, verdict);
	if (!r.uses)
		return SQL_NAMES_NO_MEMORY;
	r.is_alone = r.uses->count == 1 &&
		     (verdict->n_statements == 1 || verdict->reason == VERDICT_REASON_TOO_LARGE);
	result = names_of_query(&r, op, length, verdict, out);
	if (result == SQL_NAMES_REPLACED)
		request->uses = r.uses;
	else
		sql_uses_destroy(&r.uses);
	return result;
}

/* --- the name in a statement of the extended protocol --- */

static struct statement *judge_rewritten(struct session_env *env, const struct bytes *body,
					 const struct statement *statement,
					 const struct name_use *use, struct statement *target)
{
	const char *text = (const char *)statement->body;
	struct statement_rename rename = {
		.origin = statement->id,
		.at = (uint32_t)count_characters(text, use->at),
		.original = (uint32_t)count_characters(text + use->at, use->length),
	};
	struct judgement judgement;

	judge_text(env->judge, (const char *)bytes_begin(body), bytes_length(body), &judgement);
	return statement_get_rewritten(env->statements, bytes_begin(body), bytes_length(body),
				       &judgement, target, use->kind, &rename);
}

static struct statement *rewrite(struct session_env *env, const struct statement *statement,
				 const struct name_use *use, struct statement *target)
{
	struct bytes body = { 0 };
	struct statement *rewritten = NULL;
	size_t behind = use->at + use->length;

	bytes_append(&body, statement->body, use->at);
	put_name(&body, target);
	bytes_append(&body, statement->body + behind, statement->body_length - behind);
	if (!body.failed)
		rewritten = statement_find_rewritten(env->statements, bytes_begin(&body),
						     bytes_length(&body), statement->id);
	if (!rewritten && !body.failed)
		rewritten = judge_rewritten(env, &body, statement, use, target);
	bytes_free(&body);
	return rewritten;
}

/* What stands for the name on servers: one reference. NULL: it leads nowhere, or no memory. */
static struct statement *target_of(struct client *client, const struct statement *statement,
				   const struct name_use *use, const char *name, bool *failed_out)
{
	struct statement *found = statement_map_find(&client->statements, name);
	struct statement *target;

	if (use->kind == NAME_EXECUTE || (use->kind == NAME_DEALLOCATE && !found))
		return statement_ref(found);
	target = use->kind == NAME_PREPARE
			 ? prepared_by(client->env, (const char *)statement->body, use, true)
			 : stand_in(client->env, true);
	*failed_out = !target;
	return target;
}

enum sql_names sql_names_of_statement(struct request *request, const struct statement *statement,
				      struct statement **rewritten_out,
				      char name_out[NAME_BYTES_MAX])
{
	struct client *client = request->client;
	const char *text = (const char *)statement->body;
	bool failed = false;
	struct statement *target;
	struct name_use use;

	if (!statement->facts->uses_names || !sql_names_are_replaced(client))
		return SQL_NAMES_NONE;
	if (names_find(text, statement->body_length, &use, 1) != 1 ||
	    !names_fold(text + use.at, use.length, name_out))
		return SQL_NAMES_PLAIN;
	target = target_of(client, statement, &use, name_out, &failed);
	if (failed)
		return SQL_NAMES_NO_MEMORY;
	if (!target)
		return sql_names_is_own(name_out) ? SQL_NAMES_UNKNOWN : SQL_NAMES_NONE;
	*rewritten_out = rewrite(client->env, statement, &use, target);
	statement_unref(&target);
	return *rewritten_out ? SQL_NAMES_REPLACED : SQL_NAMES_NO_MEMORY;
}

void sql_names_of(const struct statement *statement, char name_out[NAME_BYTES_MAX])
{
	const char *text = (const char *)statement->body;
	struct name_use use;

	if (names_find(text, statement->body_length, &use, 1) != 1 ||
	    !names_fold(text + use.at, use.length, name_out))
		name_out[0] = '\0';
}

/* --- a Query's names on the server --- */

static uint64_t context_of(const struct client *client, const struct statement *statement)
{
	return statement_context(statement, client->txn.settings);
}

static void note_done(struct client *client, const struct sql_use *use)
{
	struct log_ctx ctx = client_log_ctx(client);
	struct server *server = client->server;

	if (use->place.kind == NAME_DEALLOCATE) {
		statement_map_remove(&client->statements, use->name);
		server_drop_statement(server, use->target->id);
	} else if (use->place.kind == NAME_PREPARE) {
		if (!statement_map_find(&client->statements, use->name) &&
		    !statement_map_add(&client->statements, use->name, use->target))
			log_warnx(&ctx, "out of memory: a prepared statement is lost");
		use->target->n_parses++;
		if (!server_add_statement(server, use->target->id, use->target->body_length,
					  context_of(client, use->target)))
			server->is_close_needed = true;
	}
}

void sql_names_note_done(struct client *client, unsigned index)
{
	const struct sql_uses *uses = client->request ? client->request->uses : NULL;

	for (size_t i = 0; uses && i < uses->count; i++) {
		if (uses->uses[i].place.statement == index && uses->uses[i].target)
			note_done(client, &uses->uses[i]);
	}
}

static void build_close(struct bytes *out, const struct statement *statement)
{
	size_t mark = build_begin(out, MSG_F_CLOSE);

	build_u8(out, 'S');
	put_name(out, statement);
	build_u8(out, 0);
	build_end(out, mark);
}

void sql_names_build_prepare(struct bytes *out, const struct statement *statement,
			     const char *scratch)
{
	size_t mark = build_begin(out, MSG_F_PARSE);

	build_string(out, scratch);
	bytes_append_text(out, "PREPARE ");
	put_name(out, statement);
	build_raw(out, statement->body, statement->body_length);
	build_u8(out, 0);
	build_u16(out, 0);
	build_end(out, mark);
	mark = build_begin(out, MSG_F_BIND);
	build_string(out, scratch);
	build_string(out, scratch);
	build_u16(out, 0);
	build_u16(out, 0);
	build_u16(out, 0);
	build_end(out, mark);
	mark = build_begin(out, MSG_F_EXECUTE);
	build_string(out, scratch);
	build_u32(out, 0);
	build_end(out, mark);
}

static bool prepare_now(struct client *client, struct statement *statement, struct bytes *out)
{
	char name[STATEMENT_NAME_MAX];
	size_t mark;

	client->identity->database->traffic.server_parse_count++;
	statement->n_prepares++;
	if (statement->form == STATEMENT_SQL) {
		/* The unnamed statement will be gone with the Query in any case. */
		client->server->unnamed_statement = 0;
		sql_names_build_prepare(out, statement, "");
	} else {
		statement_name(statement->id, name);
		mark = build_begin(out, MSG_F_PARSE);
		build_string(out, name);
		build_raw(out, statement->body, statement->body_length);
		build_end(out, mark);
	}
	return server_add_statement(client->server, statement->id, statement->body_length,
				    context_of(client, statement));
}

static bool is_first_use(const struct sql_uses *uses, size_t index)
{
	for (size_t i = 0; i < index; i++) {
		if (uses->uses[i].target == uses->uses[index].target)
			return false;
	}
	return true;
}

static bool set_up_use(struct client *client, const struct sql_use *use, struct bytes *out)
{
	struct server *server = client->server;
	struct statement *target = use->target;
	enum server_statement found =
		server_find_statement(server, target->id, context_of(client, target));
	bool is_wanted = use->place.kind != NAME_PREPARE || !use->is_new;

	target->n_uses += use->place.kind == NAME_EXECUTE;

	if (found == SERVER_STATEMENT_READY && is_wanted)
		return true;
	if (found != SERVER_STATEMENT_ABSENT) {
		build_close(out, target);
		server_drop_statement(server, target->id);
	}
	return !is_wanted || prepare_now(client, target, out);
}

bool sql_names_set_up(struct request *request, struct bytes *out)
{
	const struct sql_uses *uses = request->uses;

	for (size_t i = 0; uses && i < uses->count; i++) {
		if (uses->uses[i].target && is_first_use(uses, i) &&
		    !set_up_use(request->client, &uses->uses[i], out))
			return false;
	}
	if (bytes_length(out) > 0)
		build_empty(out, MSG_F_SYNC);
	return !out->failed;
}

void sql_names_set_up_failed(struct request *request)
{
	struct server *server = request->client->server;
	const struct sql_uses *uses = request->uses;

	for (size_t i = 0; i < uses->count; i++) {
		const struct statement *target = uses->uses[i].target;

		if (!target)
			continue;
		/* Closed before it is prepared again, should it be there. */
		server_drop_statement(server, target->id);
		if (!server_add_statement(server, target->id, target->body_length,
					  SERVER_CONTEXT_UNKNOWN))
			server->is_close_needed = true;
	}
}

/* --- errors --- */

/* The client's name for the statement with this id; NULL: it has none. */
static const char *client_name(const struct client *client, uint64_t id)
{
	const struct sql_uses *uses = client->request ? client->request->uses : NULL;
	struct statement *statement;
	uint32_t cursor = 0;
	const char *name;

	for (size_t i = 0; uses && i < uses->count; i++) {
		if (uses->uses[i].target && uses->uses[i].target->id == id)
			return uses->uses[i].name;
	}
	while (statement_map_next(&client->statements, &cursor, &name, &statement)) {
		if (statement->id == id)
			return name;
	}
	return NULL;
}

/* A text with our names replaced. */
static void put_text(const struct client *client, const char *text, struct bytes *out)
{
	const size_t prefix = strlen(STATEMENT_NAME_PREFIX);
	const char *found;

	while ((found = strstr(text, STATEMENT_NAME_PREFIX)) != NULL) {
		char *end;
		uint64_t id = strtoull(found + prefix, &end, 10);
		const char *name = end > found + prefix ? client_name(client, id) : NULL;

		bytes_append(out, text, (size_t)(found - text));
		if (name)
			bytes_append_text(out, name);
		else
			bytes_append(out, found, (size_t)(end - found));
		text = end;
	}
	bytes_append(out, text, strlen(text) + 1);
}

/*
 * A position (in characters, from 1) in what was sent, as one in what the client wrote: behind a
 * name that begins at `at` there and has so many characters, and here has those of `target`'s.
 * *moved: by how much what was sent is longer so far. true: it is not behind the name.
 */
static bool move_position(size_t *position, size_t *moved, size_t at, size_t characters,
			  const struct statement *target)
{
	char name[STATEMENT_NAME_MAX];

	if (*position <= at + *moved + 1) {
		*position -= *moved;
		return true;
	}
	statement_name(target->id, name);
	if (*position <= at + *moved + strlen(name)) {
		*position = at + 1;
		return true;
	}
	*moved += strlen(name) - characters;
	return false;
}

static size_t position_in_query(const struct sql_uses *uses, size_t position)
{
	size_t moved = 0;

	for (size_t i = 0; i < uses->count; i++) {
		const struct sql_use *use = &uses->uses[i];

		if (use->target && move_position(&position, &moved, use->characters_before,
						 use->characters, use->target))
			return position;
	}
	return position - moved;
}

static size_t position_in_statement(const struct statement *statement, size_t position)
{
	const struct statement_rename *rename = &statement->rename;
	size_t moved = 0;

	if (move_position(&position, &moved, rename->at, rename->original, statement->target))
		return position;
	return position - moved;
}

/* PREPARE of ours has the client's text behind the name. */
static size_t position_in_prepare(const struct client *client, const struct statement *statement,
				  size_t position)
{
	const char *original = client_name(client, statement->id);
	char name[STATEMENT_NAME_MAX];

	statement_name(statement->id, name);
	if (!original || position <= strlen("PREPARE ") + strlen(name))
		return position;
	return position - strlen(name) + count_characters(original, strlen(original));
}

static void put_position(const struct client *client, const struct statement *statement,
			 const char *value, struct bytes *out)
{
	const struct request *request = client->request;
	size_t position = strtoul(value, NULL, 10);
	char text[24];

	if (position > 0 && statement && statement->form == STATEMENT_SQL)
		position = position_in_prepare(client, statement, position);
	else if (position > 0 && statement && statement->target)
		position = position_in_statement(statement, position);
	else if (position > 0 && request && request->uses)
		position = position_in_query(request->uses, position);
	snprintf(text, sizeof(text), "%zu", position);
	bytes_append(out, text, strlen(text) + 1);
}

bool sql_names_rewrite_error(const struct client *client, const struct statement *statement,
			     const uint8_t *body, size_t length, struct bytes *out)
{
	bool has_uses = (client->request && client->request->uses) ||
			(statement && (statement->target || statement->form == STATEMENT_SQL));
	size_t mark;

	if (length == 0 || body[length - 1] != 0 ||
	    (!has_uses &&
	     !memmem(body, length, STATEMENT_NAME_PREFIX, strlen(STATEMENT_NAME_PREFIX))))
		return false;
	mark = build_begin(out, MSG_B_ERROR);
	while (length > 1 && *body != 0) {
		const char *value = (const char *)body + 1;
		size_t size = strnlen(value, length - 1) + 2;

		if (size > length) /* it is not terminated: the rest as it is */
			break;
		build_u8(out, *body);
		if (*body == 'P')
			put_position(client, statement, value, out);
		else
			put_text(client, value, out);
		body += size;
		length -= size;
	}
	build_raw(out, body, length);
	build_end(out, mark);
	return true;
}
