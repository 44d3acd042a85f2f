/*
 * SET, RESET and set_config() to effects on the session: which setting, for how long, and the
 * statement that brings it to another server. pointsman.* is told apart here and never replayed.
 */
#include "walk.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/bytes.h"

static const char hint_prefix[] = "pointsman.";

static bool is_hint(const char *name)
{
	return strncmp(name, hint_prefix, sizeof(hint_prefix) - 1) == 0;
}

/* Names of settings know no case, quoted or not. */
static const char *fold_name(struct walk *w, const char *name)
{
	char *folded = arena_copy_string(w->arena, name);

	if (!folded) {
		w->failed = true;
		return "";
	}
	for (char *p = folded; *p; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p += 32;
	}
	return folded;
}

/* --- constants --- */

static bool is_text_type(const json_t *type)
{
	const json_t *names = json_object_get(type, "names");
	const char *name = tree_name(names, json_array_size(names) - 1);

	return name && (strcmp(name, "text") == 0 || strcmp(name, "varchar") == 0 ||
			strcmp(name, "bool") == 0);
}

bool tree_constant(struct walk *w, const json_t *node, const char **out)
{
	const json_t *cast = tree_is(node, "TypeCast");
	const json_t *constant, *value;

	if (cast && is_text_type(json_object_get(cast, "typeName")))
		node = json_object_get(cast, "arg");
	constant = tree_is(node, "A_Const");
	if (!constant)
		return false;
	if (tree_flag(constant, "isnull"))
		*out = NULL;
	else if ((value = json_object_get(constant, "sval")))
		*out = tree_string(value, "sval") ? tree_string(value, "sval") : "";
	else if ((value = json_object_get(constant, "boolval")))
		*out = tree_flag(value, "boolval") ? "true" : "false";
	else if ((value = json_object_get(constant, "ival")))
		*out = walk_format(w, "%lld", tree_integer(value, "ival"));
	else if ((value = json_object_get(constant, "fval")))
		*out = tree_string(value, "fval");
	else
		return false;
	return true;
}

/* Arguments of SET as one text, as SHOW would give it: 'a', 'b' is "a, b". */
static const char *join_arguments(struct walk *w, const json_t *args)
{
	const char *joined = NULL;

	for (size_t i = 0; i < json_array_size(args); i++) {
		const char *value = NULL;

		if (!tree_constant(w, json_array_get(args, i), &value) || !value)
			continue;
		joined = joined ? walk_format(w, "%s, %s", joined, value) : value;
	}
	return joined ? joined : "";
}

/* A boolean as guc.c reads it: any unambiguous beginning of a word. -1: it is none. */
static int truth_of(const char *text)
{
	size_t length = text ? strlen(text) : 0;

	if (length == 0)
		return -1;
	if (strncasecmp(text, "true", length) == 0 || strncasecmp(text, "yes", length) == 0 ||
	    strcmp(text, "1") == 0 || (length > 1 && strncasecmp(text, "on", length) == 0))
		return 1;
	if (strncasecmp(text, "false", length) == 0 || strncasecmp(text, "no", length) == 0 ||
	    strcmp(text, "0") == 0 || (length > 1 && strncasecmp(text, "off", length) == 0))
		return 0;
	return -1;
}

/* A literal that means the same whatever standard_conforming_strings is. */
static bool append_literal(struct bytes *out, const char *text)
{
	if (strchr(text, '\\'))
		bytes_append_text(out, "E");
	bytes_append_text(out, "'");
	for (const char *p = text; *p; p++) {
		if (*p == '\'' || *p == '\\')
			bytes_append(out, p, 1);
		bytes_append(out, p, 1);
	}
	return bytes_append_text(out, "'") && !out->failed;
}

/* --- transaction modes --- */

static unsigned mode_flags(const char *name, const char *value)
{
	if (!value)
		return 0;
	if (strcmp(name, "transaction_read_only") == 0) {
		int truth = truth_of(value);

		return truth == 1 ? EFFECT_READ_ONLY : truth == 0 ? EFFECT_READ_WRITE : 0;
	}
	if (strcmp(name, "transaction_isolation") != 0)
		return 0;
	if (strcasecmp(value, "serializable") == 0)
		return EFFECT_SERIALIZABLE;
	return strcasecmp(value, "repeatable read") == 0 ? EFFECT_REPEATABLE_READ : 0;
}

/* The value of one DefElem of a list of modes. */
static const char *mode_value(const json_t *element)
{
	const json_t *constant = tree_is(json_object_get(element, "arg"), "A_Const");
	const json_t *value;

	if ((value = json_object_get(constant, "sval")))
		return tree_string(value, "sval");
	if ((value = json_object_get(constant, "ival")))
		return tree_integer(value, "ival") ? "on" : "off";
	return NULL;
}

unsigned transaction_flags(const json_t *options)
{
	unsigned flags = 0;

	for (size_t i = 0; i < json_array_size(options); i++) {
		const json_t *element = tree_is(json_array_get(options, i), "DefElem");
		const char *name = tree_string(element, "defname");

		if (name)
			flags |= mode_flags(name, mode_value(element));
	}
	return flags;
}

static bool is_transaction_setting(const char *name)
{
	return strcmp(name, "transaction_isolation") == 0 ||
	       strcmp(name, "transaction_read_only") == 0 ||
	       strcmp(name, "transaction_deferrable") == 0;
}

static void set_transaction(struct walk *w, unsigned flags)
{
	walk_raise(w, VERDICT_TXN, VERDICT_REASON_TRANSACTION, NULL);
	walk_effect(w, EFFECT_SET_TRANSACTION, flags, NULL, w->statement);
}

/* SET SESSION CHARACTERISTICS AS TRANSACTION ...: one default_* setting for each mode. */
static void set_characteristics(struct walk *w, const json_t *modes)
{
	for (size_t i = 0; i < json_array_size(modes); i++) {
		const json_t *element = tree_is(json_array_get(modes, i), "DefElem");
		const char *name = tree_string(element, "defname");
		const char *value = mode_value(element);

		if (!name || !value)
			continue;
		name = walk_format(w, "default_%s", name);
		walk_effect(w, EFFECT_SET, 0, name,
			    walk_format(w, "set %s to '%s'", name, value));
	}
}

static void set_multi(struct walk *w, const json_t *fields)
{
	const char *what = tree_string(fields, "name");
	const json_t *args = json_object_get(fields, "args");

	if (what && strcmp(what, "TRANSACTION") == 0) {
		set_transaction(w, transaction_flags(args));
	} else if (what && strcmp(what, "SESSION CHARACTERISTICS") == 0) {
		walk_raise(w, VERDICT_SESSION, VERDICT_REASON_SESSION, what);
		set_characteristics(w, args);
	} else if (what && strcmp(what, "TRANSACTION SNAPSHOT") == 0) {
		/* The snapshot is the server's whose it was exported from; nothing may move. */
		set_transaction(w, 0);
		walk_pin(w, PIN_UNKNOWN_STATE, EFFECT_LOCAL);
	} else {
		walk_raise(w, VERDICT_UNKNOWN, VERDICT_REASON_UNKNOWN_NODE, what);
		walk_pin(w, PIN_UNKNOWN_STATE, 0);
	}
}

/* --- SET and RESET of one setting --- */

/* With pg_temp in front, CREATE TABLE makes a temporary table without saying so. */
static bool is_temp_path(const char *name, const char *value)
{
	return strcmp(name, "search_path") == 0 && strncmp(value, "pg_temp", 7) == 0;
}

static void set_value(struct walk *w, const char *name, const json_t *args, unsigned flags)
{
	const char *value = join_arguments(w, args);

	if (is_hint(name)) {
		walk_effect(w, EFFECT_SET_HINT, flags, name + sizeof(hint_prefix) - 1, value);
		return;
	}
	if (is_transaction_setting(name)) {
		set_transaction(w, mode_flags(name, value));
		return;
	}
	/* SET SEED calls setseed(); its state cannot be read back. */
	if (strcmp(name, "seed") == 0) {
		walk_pin(w, PIN_SETSEED, 0);
		return;
	}
	walk_effect(w, EFFECT_SET, flags, name, w->statement);
	if (is_temp_path(name, value))
		walk_pin(w, PIN_TEMP_TABLE, flags);
}

static void reset_value(struct walk *w, const char *name, unsigned flags)
{
	if (is_hint(name))
		walk_effect(w, EFFECT_SET_HINT, flags, name + sizeof(hint_prefix) - 1, NULL);
	else if (is_transaction_setting(name))
		set_transaction(w, 0);
	else if (flags &
		 EFFECT_LOCAL) /* SET LOCAL x TO DEFAULT: the session's value comes back */
		walk_effect(w, EFFECT_SET, flags, name, w->statement);
	else
		walk_effect(w, EFFECT_RESET, 0, name, NULL);
}

void walk_set(struct walk *w, const json_t *fields)
{
	const char *kind = tree_string(fields, "kind");
	const char *name = tree_string(fields, "name");
	unsigned flags = tree_flag(fields, "is_local") ? EFFECT_LOCAL : 0;

	if (kind && strcmp(kind, "VAR_SET_MULTI") == 0) {
		set_multi(w, fields);
		return;
	}
	name = name ? fold_name(w, name) : NULL;
	if (!name || !is_transaction_setting(name))
		walk_raise(w, VERDICT_SESSION, VERDICT_REASON_SESSION, name);
	if (kind && strcmp(kind, "VAR_RESET_ALL") == 0) {
		walk_effect(w, EFFECT_RESET_ALL, 0, NULL, NULL);
	} else if (kind && name && strcmp(kind, "VAR_SET_VALUE") == 0) {
		set_value(w, name, json_object_get(fields, "args"), flags);
	} else if (kind && name &&
		   (strcmp(kind, "VAR_SET_DEFAULT") == 0 || strcmp(kind, "VAR_RESET") == 0)) {
		reset_value(w, name, flags);
	} else {
		/* FROM CURRENT, and what a later grammar may add. */
		walk_raise(w, VERDICT_SESSION, VERDICT_REASON_SESSION, name);
		walk_pin(w, PIN_UNKNOWN_STATE, 0);
	}
}

/* --- SET pointsman.KEY = what PostgreSQL's grammar refuses --- */

/* Moves behind `word` if the text goes on with it. */
static bool skip_text(const char **at, const char *word)
{
	size_t length = strlen(word);

	if (strncmp(*at, word, length) != 0)
		return false;
	*at += length;
	return true;
}

bool walk_loose_hint(struct walk *w, const char *shape)
{
	const char *at = shape;
	unsigned flags = 0;
	char *key, *value;
	size_t n;

	if (!skip_text(&at, "set "))
		return false;
	if (skip_text(&at, "local "))
		flags = EFFECT_LOCAL;
	else
		skip_text(&at, "session ");
	if (!skip_text(&at, hint_prefix))
		return false;
	n = strcspn(at, " ");
	key = arena_copy_text(w->arena, at, n);
	at += n;
	if (!skip_text(&at, " = ") && !skip_text(&at, " to "))
		return false;
	/* A text with any of these is more than one word. */
	if (!*at || strpbrk(at, "'\"();,$\\"))
		return false;
	value = arena_alloc(w->arena, strlen(at) + 1);
	if (!key || !value) {
		w->failed = true;
		return true;
	}
	/* stale-allowed came as three tokens. */
	for (n = 0; *at; at++) {
		if (*at != ' ' && *at != '\n')
			value[n++] = *at;
	}
	value[n] = '\0';
	walk_raise(w, VERDICT_SESSION, VERDICT_REASON_SESSION, key);
	walk_effect(w, EFFECT_SET_HINT, flags, key, value);
	return true;
}

/* --- set_config() --- */

static const char *replay_text(struct walk *w, const char *name, const char *value, bool is_local)
{
	struct bytes text = { 0 };
	const char *copy;

	bytes_append_text(&text, "SELECT pg_catalog.set_config(");
	append_literal(&text, name);
	bytes_append_text(&text, ", ");
	if (value)
		append_literal(&text, value);
	else
		bytes_append_text(&text, "NULL");
	bytes_append_text(&text, is_local ? ", true)" : ", false)");
	bytes_append(&text, "", 1);
	copy = text.failed ? NULL : walk_copy(w, (const char *)bytes_begin(&text));
	w->failed |= copy == NULL;
	bytes_free(&text);
	return copy;
}

bool walk_set_config(struct walk *w, const json_t *call)
{
	const json_t *args = json_object_get(call, "args");
	const char *name, *value, *local;
	int is_local;

	if (json_array_size(args) != 3 || !tree_constant(w, json_array_get(args, 0), &name) ||
	    !tree_constant(w, json_array_get(args, 1), &value) ||
	    !tree_constant(w, json_array_get(args, 2), &local))
		return false;
	/* NULL for is_local counts as false. */
	is_local = local ? truth_of(local) : 0;
	if (!name || is_local == -1)
		return false;
	walk_raise(w, VERDICT_SESSION, VERDICT_REASON_SESSION_FUNCTION, "set_config");
	name = fold_name(w, name);
	if (strcmp(name, "seed") == 0)
		walk_pin(w, PIN_SETSEED, 0);
	else if (is_transaction_setting(name))
		walk_effect(w, EFFECT_SET_TRANSACTION, mode_flags(name, value), NULL,
			    replay_text(w, name, value, true));
	else
		walk_effect(w, EFFECT_SET, is_local ? EFFECT_LOCAL : 0, name,
			    replay_text(w, name, value, is_local == 1));
	if (value && is_temp_path(name, value))
		walk_pin(w, PIN_TEMP_TABLE, 0);
	return true;
}
