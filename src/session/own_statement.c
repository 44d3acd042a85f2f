/*
 * Statements that never reach a server: SET, RESET and SHOW of pointsman.*, settings of the proxy
 * itself; LISTEN and UNLISTEN, of which session/channels.h does what is to be done.
 */
#include <stdio.h>
#include <string.h>

#include "session/client.h"
#include "wire/build.h"
#include "wire/message.h"

static const struct effect *own_effect(const struct statement_facts *facts)
{
	for (size_t i = 0; facts && i < facts->n_effects; i++) {
		if (facts->effects[i].kind == EFFECT_SET_HINT ||
		    facts->effects[i].kind == EFFECT_SHOW_HINT)
			return &facts->effects[i];
	}
	return NULL;
}

static bool is_listening(const struct effect *effect)
{
	return effect->kind == EFFECT_LISTEN || effect->kind == EFFECT_UNLISTEN;
}

/* Nothing but LISTEN and UNLISTEN. */
static bool is_all_listening(const struct statement_facts *facts)
{
	size_t n = 0;

	for (size_t i = 0; facts && i < facts->n_effects; i++)
		n += is_listening(&facts->effects[i]);
	return n > 0 && n == facts->n_statements;
}

bool own_statement_is(const struct client *client, const struct statement_facts *facts)
{
	if (is_all_listening(facts))
		return client->identity->rules.mode != POOL_SESSION &&
		       !(client->pins.held & PIN_BIT(PIN_LISTEN));
	return own_effect(facts) != NULL;
}

bool own_statement_has_listen(const struct statement_facts *facts)
{
	for (size_t i = 0; i < facts->n_effects; i++) {
		if (facts->effects[i].kind == EFFECT_LISTEN)
			return true;
	}
	return false;
}

bool own_statement_is_alone(const struct statement_facts *facts)
{
	return facts->n_statements == 1 || is_all_listening(facts);
}

void own_statement_describe(const struct statement_facts *facts, struct bytes *out)
{
	const struct effect *effect = own_effect(facts);
	char name[80];
	struct build_column column = { name, OID_TEXT };

	if (!effect || effect->kind == EFFECT_SET_HINT) {
		build_empty(out, MSG_B_NO_DATA);
		return;
	}
	snprintf(name, sizeof(name), "pointsman.%s", effect->name);
	build_row_description(out, &column, 1);
}

static void format_duration(usec duration, char *out, size_t size)
{
	snprintf(out, size, "%lldms", (long long)(duration / USEC_PER_MS));
}

static const char *show_hint(const struct hints *hints, const char *name, char *out, size_t size)
{
	if (strcmp(name, "read_hint") == 0)
		return read_hint_name(hints->read_hint);
	if (strcmp(name, "consistency") == 0)
		return consistency_name(hints->consistency);
	if (strcmp(name, "route") == 0)
		return hints->route;
	if (strcmp(name, "traceparent") == 0)
		return hints->traceparent;
	if (strcmp(name, "mirror") == 0)
		return hints->mirror_off ? "off" : "on";
	if (strcmp(name, "max_staleness") == 0)
		format_duration(hints->max_staleness, out, size);
	else if (strcmp(name, "deadline") == 0)
		format_duration(hints->deadline, out, size);
	else if (strcmp(name, "after_lsn") == 0)
		snprintf(out, size, "%llX/%llX", hints->after_lsn >> 32,
			 hints->after_lsn & 0xffffffff);
	else
		return NULL;
	return out;
}

/* What happened to the request before. */
static const char *show_last(const struct client *client, const char *name, char *out,
			     size_t size)
{
	const struct node *node = client_node(client, client->last.node);

	if (strcmp(name, "last_route") == 0)
		return client->last.node == -1 ? "" : route_reason_name(client->last.reason);
	if (strcmp(name, "last_node") == 0)
		return node ? node->name : "";
	if (strcmp(name, "last_lsn") == 0) {
		snprintf(out, size, "%llX/%llX", node ? (unsigned long long)node->lsn >> 32 : 0,
			 node ? (unsigned long long)node->lsn & 0xffffffff : 0);
		return out;
	}
	if (strcmp(name, "last_staleness") != 0)
		return NULL;
	if (client->last.staleness < 0)
		return "";
	format_duration(client->last.staleness, out, size);
	return out;
}

/* The value of pointsman.name for this client; NULL: there is no such setting. */
static const char *show(const struct client *client, const char *name, char *out, size_t size)
{
	struct hints hints = { 0 };
	const char *value = show_last(client, name, out, size);

	if (value)
		return value;
	txn_merge_hints(&client->txn, &hints);
	hint_merge(&hints, &client->identity->database->hints);
	return show_hint(&hints, name, out, size);
}

static bool execute_show(struct client *client, const struct statement_facts *facts,
			 bool with_description, struct bytes *out)
{
	const struct effect *effect = own_effect(facts);
	char buffer[64];
	const char *value = show(client, effect->name, buffer, sizeof(buffer));
	char message[160];

	if (!value) {
		snprintf(message, sizeof(message),
			 "pointsman: unrecognized configuration parameter \"pointsman.%s\"",
			 effect->name);
		build_error(out, "ERROR", "42704", message, NULL, NULL);
		return false;
	}
	if (with_description)
		own_statement_describe(facts, out);
	build_data_row(out, &value, 1);
	build_command_complete(out, "SHOW");
	return true;
}

/* SET LOCAL in no transaction ends before anything could see it. */
static bool is_void(const struct client *client, const struct effect *effect)
{
	return (effect->flags & EFFECT_LOCAL) && !txn_is_open(&client->txn) &&
	       !(client->request && client->request->verdict.has_transaction_control);
}

static bool set(struct client *client, const struct effect *effect, struct bytes *out, char *why,
		size_t why_size)
{
	struct hints nobodys = { 0 };
	bool local = (effect->flags & EFFECT_LOCAL) != 0;

	if (!is_void(client, effect))
		return txn_set_hint(&client->txn, effect->name, effect->value, local, why,
				    why_size);
	if (effect->value && !hint_set(&nobodys, effect->name, effect->value, why, why_size))
		return false;
	build_notice(out, "WARNING", "25P01", "SET LOCAL can only be used in transaction blocks",
		     NULL, NULL);
	return true;
}

static bool execute_set(struct client *client, const struct effect *effect, struct bytes *out)
{
	char why[160] = "";
	char message[256];

	if (set(client, effect, out, why, sizeof(why))) {
		build_command_complete(out, effect->value ? "SET" : "RESET");
		return true;
	}
	snprintf(message, sizeof(message), "pointsman: invalid value for \"pointsman.%s\": %s",
		 effect->name, why);
	build_error(out, "ERROR", "22023", message, NULL, NULL);
	return false;
}

/* Who is to hear it has been seen to before (channels_subscribe()). */
static bool execute_listening(struct client *client, const struct statement_facts *facts,
			      struct bytes *out)
{
	for (size_t i = 0; i < facts->n_effects; i++) {
		const struct effect *effect = &facts->effects[i];
		bool is_listen = effect->kind == EFFECT_LISTEN;

		if (!is_listening(effect))
			continue;
		if (!(is_listen ? txn_listen : txn_unlisten)(&client->txn, effect->name)) {
			build_error(out, "ERROR", "53200", "pointsman: out of memory",
				    "reason: no_memory", NULL);
			return false;
		}
		build_command_complete(out, is_listen ? "LISTEN" : "UNLISTEN");
	}
	return true;
}

bool own_statement_execute(struct client *client, const struct statement_facts *facts,
			   bool with_description, struct bytes *out)
{
	const struct effect *effect = own_effect(facts);

	if (!effect)
		return execute_listening(client, facts, out);
	return effect->kind == EFFECT_SHOW_HINT
		       ? execute_show(client, facts, with_description, out)
		       : execute_set(client, effect, out);
}
