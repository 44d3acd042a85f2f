/*
 * Statements to verdicts: one handler for each kind of statement of PostgreSQL's grammar; queries
 * go to expression.c, settings to setting.c. Parses with libpg_query, whose output is JSON. Does
 * not cache and does not bound its input: shape.c has.
 *
 * Runs on whatever thread calls it; libpg_query's memory is per thread.
 */
#include "sql/classify.h"

#include <pg_query.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "walk.h"

/* --- the verdict in the making --- */

void walk_raise(struct walk *w, enum verdict_kind kind, enum verdict_reason reason,
		const char *culprit)
{
	w->may_leave_state |= reason == VERDICT_REASON_UNKNOWN_FUNCTION ||
			      reason == VERDICT_REASON_UTILITY ||
			      reason == VERDICT_REASON_UNKNOWN_NODE;
	if (kind <= w->kind)
		return;
	w->kind = kind;
	w->reason = reason;
	w->culprit = walk_copy(w, culprit);
}

const char *walk_copy(struct walk *w, const char *text)
{
	const char *copy;

	if (!text)
		return NULL;
	copy = arena_copy_string(w->arena, text);
	if (!copy)
		w->failed = true;
	return copy;
}

const char *walk_format(struct walk *w, const char *format, ...)
{
	va_list args;
	char *text;
	int length;

	va_start(args, format);
	length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	text = length < 0 ? NULL : arena_alloc(w->arena, (size_t)length + 1);
	if (!text) {
		w->failed = true;
		return "";
	}
	va_start(args, format);
	vsnprintf(text, (size_t)length + 1, format, args);
	va_end(args);
	return text;
}

static struct effect *new_effect(struct walk *w)
{
	if (w->n_effects == w->effects_capacity) {
		size_t capacity = w->effects_capacity ? w->effects_capacity * 2 : 4;
		struct effect *grown = arena_alloc(w->arena, capacity * sizeof(*grown));

		if (!grown) {
			w->failed = true;
			return NULL;
		}
		if (w->n_effects)
			memcpy(grown, w->effects, w->n_effects * sizeof(*grown));
		w->effects = grown;
		w->effects_capacity = capacity;
	}
	return &w->effects[w->n_effects++];
}

void walk_effect(struct walk *w, enum effect_kind kind, unsigned flags, const char *name,
		 const char *value)
{
	struct effect *effect = new_effect(w);

	if (!effect)
		return;
	*effect = (struct effect){ .kind = kind, .flags = flags, .statement = w->index };
	effect->name = walk_copy(w, name);
	effect->value = walk_copy(w, value);
}

void walk_pin(struct walk *w, enum pin_reason pin, unsigned flags)
{
	struct effect *effect = new_effect(w);

	if (effect)
		*effect = (struct effect){
			.kind = EFFECT_PIN, .flags = flags, .statement = w->index, .pin = pin
		};
}

void walk_unpin(struct walk *w, enum pin_reason pin)
{
	struct effect *effect = new_effect(w);

	if (effect)
		*effect = (struct effect){ .kind = EFFECT_UNPIN,
					   .statement = w->index,
					   .pin = pin };
}

/* --- reading the tree --- */

const char *tree_string(const json_t *fields, const char *key)
{
	return json_string_value(json_object_get(fields, key));
}

long long tree_integer(const json_t *fields, const char *key)
{
	return json_integer_value(json_object_get(fields, key));
}

bool tree_flag(const json_t *fields, const char *key)
{
	return json_is_true(json_object_get(fields, key));
}

const char *tree_node(const json_t *node, const json_t **fields_out)
{
	void *member = json_object_iter((json_t *)(uintptr_t)node);
	const char *kind = member ? json_object_iter_key(member) : NULL;

	/* Fields begin with a small letter, kinds with a capital. */
	if (!kind || json_object_size(node) != 1 || *kind < 'A' || *kind > 'Z')
		return NULL;
	*fields_out = json_object_iter_value(member);
	return json_is_object(*fields_out) ? kind : NULL;
}

const json_t *tree_is(const json_t *node, const char *kind)
{
	const json_t *fields;
	const char *found = json_is_object(node) ? tree_node(node, &fields) : NULL;

	return found && strcmp(found, kind) == 0 ? fields : NULL;
}

const char *tree_name(const json_t *list, size_t i)
{
	return tree_string(tree_is(json_array_get(list, i), "String"), "sval");
}

/* --- queries --- */

/* SELECT with nothing but a target list: each target is evaluated once. */
static bool is_bare_select(const json_t *fields)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)fields, key, value)
	{
		if ((json_is_object(value) || json_is_array(value)) &&
		    strcmp(key, "targetList") != 0)
			return false;
	}
	return true;
}

/* The call if the target is a bare [pg_catalog.]set_config(...), or NULL. */
static const json_t *set_config_call(const json_t *target)
{
	const json_t *call =
		tree_is(json_object_get(tree_is(target, "ResTarget"), "val"), "FuncCall");
	const json_t *names = json_object_get(call, "funcname");
	size_t n = json_array_size(names);
	const char *name = n ? tree_name(names, n - 1) : NULL;
	const char *schema = n == 2 ? tree_name(names, 0) : NULL;

	if (!name || n > 2 || strcmp(name, "set_config") != 0)
		return NULL;
	if (n == 2 && (!schema || strcmp(schema, "pg_catalog") != 0))
		return NULL;
	return call;
}

static void on_select(struct walk *w, const char *kind, const json_t *fields)
{
	const json_t *targets = json_object_get(fields, "targetList");

	(void)kind;
	if (!is_bare_select(fields)) {
		walk_value(w, fields);
		return;
	}
	for (size_t i = 0; i < json_array_size(targets); i++) {
		const json_t *target = json_array_get(targets, i);
		const json_t *call = set_config_call(target);

		if (!call || !walk_set_config(w, call))
			walk_value(w, target);
	}
}

static void on_dml(struct walk *w, const char *kind, const json_t *fields)
{
	const char *relation = tree_string(json_object_get(fields, "relation"), "relname");

	w->may_leave_state |= relation && strcmp(relation, "pg_settings") == 0;
	walk_raise(w, VERDICT_WRITE, VERDICT_REASON_WRITE, relation ? relation : kind);
	walk_lax(w, fields);
}

/* --- transactions --- */

static void begin_transaction(struct walk *w, const json_t *fields)
{
	unsigned flags = transaction_flags(json_object_get(fields, "options"));

	w->is_begin_read_only = (flags & EFFECT_READ_ONLY) != 0;
	walk_effect(w, EFFECT_BEGIN, flags, NULL, w->statement);
}

static void on_transaction(struct walk *w, const char *kind, const json_t *fields)
{
	const char *what = tree_string(fields, "kind");
	const char *name = tree_string(fields, "savepoint_name");
	unsigned chain = tree_flag(fields, "chain") ? EFFECT_CHAIN : 0;

	what = what && strncmp(what, "TRANS_STMT_", 11) == 0 ? what + 11 : "";
	if (strcmp(what, "COMMIT_PREPARED") == 0 || strcmp(what, "ROLLBACK_PREPARED") == 0) {
		/* Not about this session's transaction. */
		walk_raise(w, VERDICT_WRITE, VERDICT_REASON_TRANSACTION, NULL);
		return;
	}
	walk_raise(w, VERDICT_TXN, VERDICT_REASON_TRANSACTION, NULL);
	w->has_transaction_control = true;
	if (strcmp(what, "BEGIN") == 0 || strcmp(what, "START") == 0)
		begin_transaction(w, fields);
	else if (strcmp(what, "COMMIT") == 0)
		walk_effect(w, EFFECT_COMMIT, chain, NULL, NULL);
	else if (strcmp(what, "ROLLBACK") == 0)
		walk_effect(w, EFFECT_ROLLBACK, chain, NULL, NULL);
	else if (strcmp(what, "SAVEPOINT") == 0)
		walk_effect(w, EFFECT_SAVEPOINT, 0, name, NULL);
	else if (strcmp(what, "RELEASE") == 0)
		walk_effect(w, EFFECT_RELEASE, 0, name, NULL);
	else if (strcmp(what, "ROLLBACK_TO") == 0)
		walk_effect(w, EFFECT_ROLLBACK_TO, 0, name, NULL);
	else if (strcmp(what, "PREPARE") == 0)
		walk_effect(w, EFFECT_PREPARE_TRANSACTION, 0, NULL, NULL);
	else
		walk_raise(w, VERDICT_UNKNOWN, VERDICT_REASON_UNKNOWN_NODE, kind);
	(void)kind;
}

/* --- session state --- */

static void on_set(struct walk *w, const char *kind, const json_t *fields)
{
	(void)kind;
	walk_set(w, fields);
}

static void on_show(struct walk *w, const char *kind, const json_t *fields)
{
	const char *name = tree_string(fields, "name");

	(void)kind;
	if (name && strncasecmp(name, "pointsman.", 10) == 0) {
		char *key = (char *)(uintptr_t)walk_copy(w, name + 10);

		for (char *p = key; p && *p; p++)
			*p = (char)(*p >= 'A' && *p <= 'Z' ? *p + 32 : *p);
		walk_raise(w, VERDICT_SESSION, VERDICT_REASON_SESSION, name);
		walk_effect(w, EFFECT_SHOW_HINT, 0, key, NULL);
		return;
	}
	/* The session brings its settings along, but in_hot_standby and others are a node's. */
	walk_raise(w, VERDICT_READ_TAINTED, VERDICT_REASON_SESSION, name);
}

static void on_discard(struct walk *w, const char *kind, const json_t *fields)
{
	const char *target = tree_string(fields, "target");

	walk_raise(w, VERDICT_SESSION, VERDICT_REASON_SESSION, NULL);
	if (target && strcmp(target, "DISCARD_ALL") == 0)
		walk_effect(w, EFFECT_DISCARD_ALL, 0, NULL, NULL);
	else if (target && strcmp(target, "DISCARD_TEMP") == 0)
		walk_effect(w, EFFECT_DISCARD_TEMP, 0, NULL, NULL);
	else if (target && (strcmp(target, "DISCARD_PLANS") == 0 ||
			    strcmp(target, "DISCARD_SEQUENCES") == 0))
		walk_effect(w, EFFECT_DISCARD_PLANS, 0, NULL, NULL);
	else
		walk_raise(w, VERDICT_UNKNOWN, VERDICT_REASON_UNKNOWN_NODE, kind);
}

static void on_prepare(struct walk *w, const char *kind, const json_t *fields)
{
	const char *name = tree_string(fields, "name");

	(void)kind;
	walk_raise(w, VERDICT_SESSION, VERDICT_REASON_SESSION, name);
	walk_effect(w, EFFECT_PREPARE, 0, name, w->statement);
}

void walk_execute(struct walk *w, const json_t *fields)
{
	walk_effect(w, EFFECT_EXECUTE, 0, tree_string(fields, "name"), NULL);
	walk_value(w, json_object_get(fields, "params"));
}

static void on_execute(struct walk *w, const char *kind, const json_t *fields)
{
	(void)kind;
	walk_execute(w, fields);
}

static void on_deallocate(struct walk *w, const char *kind, const json_t *fields)
{
	const char *name = tree_string(fields, "name");

	(void)kind;
	walk_raise(w, VERDICT_SESSION, VERDICT_REASON_SESSION, name);
	walk_effect(w, EFFECT_DEALLOCATE, 0, name, NULL);
}

/* DECLARE; CURSOR_OPT_HOLD is a bit of its options (parsenodes.h). */
static void on_declare(struct walk *w, const char *kind, const json_t *fields)
{
	enum {
		CURSOR_OPT_HOLD = 0x20
	};

	(void)kind;
	walk_raise(w, VERDICT_SESSION, VERDICT_REASON_CURSOR, tree_string(fields, "portalname"));
	if (tree_integer(fields, "options") & CURSOR_OPT_HOLD)
		walk_pin(w, PIN_HELD_CURSOR, 0);
	walk_lax(w, json_object_get(fields, "query"));
}

static void on_cursor(struct walk *w, const char *kind, const json_t *fields)
{
	walk_raise(w, VERDICT_SESSION, VERDICT_REASON_CURSOR, tree_string(fields, "portalname"));
	if (strcmp(kind, "ClosePortalStmt") == 0)
		walk_unpin(w, PIN_HELD_CURSOR);
}

static void on_listen(struct walk *w, const char *kind, const json_t *fields)
{
	(void)kind;
	walk_raise(w, VERDICT_SESSION, VERDICT_REASON_SESSION,
		   tree_string(fields, "conditionname"));
	walk_effect(w, EFFECT_LISTEN, 0, tree_string(fields, "conditionname"), NULL);
	walk_pin(w, PIN_LISTEN, 0);
}

static void on_unlisten(struct walk *w, const char *kind, const json_t *fields)
{
	const char *channel = tree_string(fields, "conditionname");

	(void)kind;
	walk_raise(w, VERDICT_SESSION, VERDICT_REASON_SESSION, channel);
	walk_effect(w, EFFECT_UNLISTEN, 0, channel && channel[0] ? channel : NULL, NULL);
}

static void on_load(struct walk *w, const char *kind, const json_t *fields)
{
	(void)kind;
	walk_raise(w, VERDICT_SESSION, VERDICT_REASON_SESSION, tree_string(fields, "filename"));
	walk_pin(w, PIN_LOAD, 0);
}

/* --- utilities --- */

static void on_utility(struct walk *w, const char *kind, const json_t *fields)
{
	walk_raise(w, VERDICT_WRITE, VERDICT_REASON_UTILITY, kind);
	walk_lax(w, fields);
}

static void on_truncate(struct walk *w, const char *kind, const json_t *fields)
{
	(void)fields;
	walk_raise(w, VERDICT_WRITE, VERDICT_REASON_WRITE, kind);
}

static void on_lock(struct walk *w, const char *kind, const json_t *fields)
{
	(void)fields;
	walk_raise(w, VERDICT_WRITE, VERDICT_REASON_LOCK, kind);
}

/* Is anything in the statement in a schema of temporary relations, or declared TEMP? */
static bool is_temporary(const json_t *value)
{
	const char *key;
	json_t *member;

	if (json_is_string(value))
		return is_temp_schema(json_string_value(value));
	if (json_is_array(value)) {
		for (size_t i = 0; i < json_array_size(value); i++) {
			if (is_temporary(json_array_get(value, i)))
				return true;
		}
	}
	if (!json_is_object(value))
		return false;
	json_object_foreach((json_t *)(uintptr_t)value, key, member)
	{
		if (strcmp(key, "relpersistence") == 0 && json_is_string(member) &&
		    strcmp(json_string_value(member), "t") == 0)
			return true;
		if (is_temporary(member))
			return true;
	}
	return false;
}

/* ON COMMIT DROP: of CREATE TABLE, or of the INTO of CREATE TABLE AS. */
static bool ends_with_transaction(const json_t *fields)
{
	const char *when = tree_string(fields, "oncommit");

	if (!when)
		when = tree_string(json_object_get(fields, "into"), "onCommit");
	return when && strcmp(when, "ONCOMMIT_DROP") == 0;
}

static void on_ddl(struct walk *w, const char *kind, const json_t *fields)
{
	if (is_temporary(fields)) {
		walk_raise(w, VERDICT_DDL, VERDICT_REASON_TEMP_RELATION, kind);
		walk_pin(w, PIN_TEMP_TABLE, ends_with_transaction(fields) ? EFFECT_LOCAL : 0);
	}
	walk_raise(w, VERDICT_DDL, VERDICT_REASON_DDL, kind);
}

/* Whether what goes is temporary, only the server knows. */
static void on_drop(struct walk *w, const char *kind, const json_t *fields)
{
	(void)fields;
	walk_raise(w, VERDICT_DDL, VERDICT_REASON_DDL, kind);
	walk_unpin(w, PIN_TEMP_TABLE);
}

/* CREATE TABLE AS, CREATE MATERIALIZED VIEW: DDL that runs a query. */
static void on_create_as(struct walk *w, const char *kind, const json_t *fields)
{
	on_ddl(w, kind, fields);
	walk_lax(w, json_object_get(fields, "query"));
}

/* --- statements around statements --- */

static void classify_statement(struct walk *w, const json_t *node);

/* The verdict and effects of an inner statement or query alone. */
static struct walk walk_inner(struct walk *w, const json_t *node)
{
	struct walk inner = { .arena = w->arena,
			      .statement = w->statement,
			      .index = w->index,
			      .is_lax = w->is_lax };

	classify_statement(&inner, node);
	w->failed |= inner.failed;
	w->may_leave_state |= inner.may_leave_state;
	return inner;
}

static void take_effects(struct walk *w, const struct walk *inner)
{
	for (size_t i = 0; i < inner->n_effects; i++) {
		struct effect *effect = new_effect(w);

		if (effect)
			*effect = inner->effects[i];
	}
}

/* defGetBoolean(): may the option be on? */
static bool may_be_on(const json_t *element)
{
	const json_t *arg = json_object_get(element, "arg");
	const json_t *fields;
	const char *kind = json_is_object(arg) ? tree_node(arg, &fields) : NULL;
	const char *text;

	if (!kind)
		return true;
	if (strcmp(kind, "Integer") == 0)
		return tree_integer(fields, "ival") != 0;
	if (strcmp(kind, "Boolean") == 0)
		return tree_flag(fields, "boolval");
	text = strcmp(kind, "String") == 0 ? tree_string(fields, "sval") : NULL;
	return !text || (strcasecmp(text, "false") != 0 && strcasecmp(text, "off") != 0);
}

static bool has_option(const json_t *options, const char *name)
{
	for (size_t i = 0; i < json_array_size(options); i++) {
		const json_t *element = tree_is(json_array_get(options, i), "DefElem");
		const char *found = tree_string(element, "defname");

		if (found && strcmp(found, name) == 0 && may_be_on(element))
			return true;
	}
	return false;
}

/*
 * EXPLAIN ANALYZE runs its statement and is judged as that. Plain EXPLAIN runs nothing; that of a
 * write goes to the primary all the same, since a replica's plan is not the one that will be
 * used.
 */
static void on_explain(struct walk *w, const char *kind, const json_t *fields)
{
	struct walk inner = walk_inner(w, json_object_get(fields, "query"));

	(void)kind;
	if (has_option(json_object_get(fields, "options"), "analyze")) {
		take_effects(w, &inner);
		walk_raise(w, inner.kind, inner.reason, inner.culprit);
		return;
	}
	for (size_t i = 0; i < inner.n_effects; i++) {
		if (inner.effects[i].kind == EFFECT_EXECUTE)
			walk_effect(w, EFFECT_EXECUTE, 0, inner.effects[i].name, NULL);
	}
	if (inner.kind == VERDICT_READ || inner.kind == VERDICT_READ_TAINTED ||
	    inner.kind == VERDICT_UNKNOWN || inner.kind == VERDICT_SESSION)
		walk_raise(w, inner.kind, inner.reason, inner.culprit);
	else
		walk_raise(w, VERDICT_WRITE, inner.reason, inner.culprit);
}

static void copy_to(struct walk *w, const json_t *fields)
{
	const json_t *query = json_object_get(fields, "query");
	struct walk inner = { .arena = w->arena, .statement = w->statement, .index = w->index };

	if (query)
		inner = walk_inner(w, query);
	else
		walk_relation(&inner, json_object_get(fields, "relation"));
	take_effects(w, &inner);
	w->failed |= inner.failed;
	w->may_leave_state |= inner.may_leave_state;
	if (tree_flag(fields, "is_program"))
		walk_raise(w, VERDICT_COPY_OUT, VERDICT_REASON_COPY_OUT, "program");
	else if (tree_string(fields, "filename"))
		walk_raise(w, VERDICT_COPY_OUT, VERDICT_REASON_COPY_OUT, "file");
	else if (inner.kind == VERDICT_UNKNOWN)
		walk_raise(w, VERDICT_UNKNOWN, inner.reason, inner.culprit);
	else if (inner.kind != VERDICT_READ)
		walk_raise(w, VERDICT_COPY_OUT, inner.reason, inner.culprit);
}

static void on_copy(struct walk *w, const char *kind, const json_t *fields)
{
	(void)kind;
	if (!tree_flag(fields, "is_from")) {
		copy_to(w, fields);
		return;
	}
	walk_raise(w, VERDICT_COPY_IN, VERDICT_REASON_COPY_IN,
		   tree_string(json_object_get(fields, "relation"), "relname"));
	walk_lax(w, json_object_get(fields, "whereClause"));
}

/* --- the list of statements --- */

typedef void statement_fn(struct walk *w, const char *kind, const json_t *fields);

struct statement_row {
	const char *kind;
	statement_fn *handle;
};

/* Sorted. */
static const struct statement_row statements[] = {
	{ "AlterCollationStmt", on_ddl },
	{ "AlterDatabaseRefreshCollStmt", on_ddl },
	{ "AlterDatabaseSetStmt", on_ddl },
	{ "AlterDatabaseStmt", on_ddl },
	{ "AlterDefaultPrivilegesStmt", on_ddl },
	{ "AlterDomainStmt", on_ddl },
	{ "AlterEnumStmt", on_ddl },
	{ "AlterEventTrigStmt", on_ddl },
	{ "AlterExtensionContentsStmt", on_ddl },
	{ "AlterExtensionStmt", on_ddl },
	{ "AlterFdwStmt", on_ddl },
	{ "AlterForeignServerStmt", on_ddl },
	{ "AlterFunctionStmt", on_ddl },
	{ "AlterObjectDependsStmt", on_ddl },
	{ "AlterObjectSchemaStmt", on_ddl },
	{ "AlterOpFamilyStmt", on_ddl },
	{ "AlterOperatorStmt", on_ddl },
	{ "AlterOwnerStmt", on_ddl },
	{ "AlterPolicyStmt", on_ddl },
	{ "AlterPublicationStmt", on_ddl },
	{ "AlterRoleSetStmt", on_ddl },
	{ "AlterRoleStmt", on_ddl },
	{ "AlterSeqStmt", on_ddl },
	{ "AlterStatsStmt", on_ddl },
	{ "AlterSubscriptionStmt", on_ddl },
	{ "AlterSystemStmt", on_utility },
	{ "AlterTSConfigurationStmt", on_ddl },
	{ "AlterTSDictionaryStmt", on_ddl },
	{ "AlterTableMoveAllStmt", on_ddl },
	{ "AlterTableSpaceOptionsStmt", on_ddl },
	{ "AlterTableStmt", on_ddl },
	{ "AlterTypeStmt", on_ddl },
	{ "AlterUserMappingStmt", on_ddl },
	{ "CallStmt", on_utility },
	{ "CheckPointStmt", on_utility },
	{ "ClosePortalStmt", on_cursor },
	{ "ClusterStmt", on_utility },
	{ "CommentStmt", on_ddl },
	{ "CompositeTypeStmt", on_ddl },
	/* Holds until the transaction ends, on the server that it is said to. */
	{ "ConstraintsSetStmt", on_utility },
	{ "CopyStmt", on_copy },
	{ "CreateAmStmt", on_ddl },
	{ "CreateCastStmt", on_ddl },
	{ "CreateConversionStmt", on_ddl },
	{ "CreateDomainStmt", on_ddl },
	{ "CreateEnumStmt", on_ddl },
	{ "CreateEventTrigStmt", on_ddl },
	{ "CreateExtensionStmt", on_ddl },
	{ "CreateFdwStmt", on_ddl },
	{ "CreateForeignServerStmt", on_ddl },
	{ "CreateForeignTableStmt", on_ddl },
	{ "CreateFunctionStmt", on_ddl },
	{ "CreateOpClassStmt", on_ddl },
	{ "CreateOpFamilyStmt", on_ddl },
	{ "CreatePLangStmt", on_ddl },
	{ "CreatePolicyStmt", on_ddl },
	{ "CreatePublicationStmt", on_ddl },
	{ "CreateRangeStmt", on_ddl },
	{ "CreateRoleStmt", on_ddl },
	{ "CreateSchemaStmt", on_ddl },
	{ "CreateSeqStmt", on_ddl },
	{ "CreateStatsStmt", on_ddl },
	{ "CreateStmt", on_ddl },
	{ "CreateSubscriptionStmt", on_ddl },
	{ "CreateTableAsStmt", on_create_as },
	{ "CreateTableSpaceStmt", on_ddl },
	{ "CreateTransformStmt", on_ddl },
	{ "CreateTrigStmt", on_ddl },
	{ "CreateUserMappingStmt", on_ddl },
	{ "CreatedbStmt", on_ddl },
	{ "DeallocateStmt", on_deallocate },
	{ "DeclareCursorStmt", on_declare },
	{ "DefineStmt", on_ddl },
	{ "DeleteStmt", on_dml },
	{ "DiscardStmt", on_discard },
	{ "DoStmt", on_utility },
	{ "DropOwnedStmt", on_drop },
	{ "DropRoleStmt", on_ddl },
	{ "DropStmt", on_drop },
	{ "DropSubscriptionStmt", on_ddl },
	{ "DropTableSpaceStmt", on_ddl },
	{ "DropUserMappingStmt", on_ddl },
	{ "DropdbStmt", on_ddl },
	{ "ExecuteStmt", on_execute },
	{ "ExplainStmt", on_explain },
	{ "FetchStmt", on_cursor },
	{ "GrantRoleStmt", on_ddl },
	{ "GrantStmt", on_ddl },
	{ "ImportForeignSchemaStmt", on_ddl },
	{ "IndexStmt", on_ddl },
	{ "InsertStmt", on_dml },
	{ "ListenStmt", on_listen },
	{ "LoadStmt", on_load },
	{ "LockStmt", on_lock },
	{ "MergeStmt", on_dml },
	{ "NotifyStmt", on_utility },
	{ "PrepareStmt", on_prepare },
	{ "ReassignOwnedStmt", on_ddl },
	{ "RefreshMatViewStmt", on_utility },
	{ "ReindexStmt", on_utility },
	{ "RenameStmt", on_ddl },
	{ "RuleStmt", on_ddl },
	{ "SecLabelStmt", on_ddl },
	{ "SelectStmt", on_select },
	{ "TransactionStmt", on_transaction },
	{ "TruncateStmt", on_truncate },
	{ "UnlistenStmt", on_unlisten },
	{ "UpdateStmt", on_dml },
	{ "VacuumStmt", on_utility },
	{ "VariableSetStmt", on_set },
	{ "VariableShowStmt", on_show },
	{ "ViewStmt", on_ddl },
};

static int compare_statement(const void *key, const void *row)
{
	return strcmp(key, ((const struct statement_row *)row)->kind);
}

static void classify_statement(struct walk *w, const json_t *node)
{
	const json_t *fields;
	const char *kind = json_is_object(node) ? tree_node(node, &fields) : NULL;
	const struct statement_row *row =
		kind ? bsearch(kind, statements, sizeof(statements) / sizeof(statements[0]),
			       sizeof(statements[0]), compare_statement)
		     : NULL;

	if (row) {
		row->handle(w, kind, fields);
		return;
	}
	/* What it does to the session is as unknown as the rest of it. */
	walk_raise(w, VERDICT_UNKNOWN, VERDICT_REASON_UNKNOWN_NODE, kind);
	walk_pin(w, PIN_UNKNOWN_STATE, 0);
}

/* --- text --- */

static bool is_continuation(unsigned char byte)
{
	return (byte & 0xc0) == 0x80;
}

/* Bytes of the well-formed UTF-8 sequence at p, 0 when it is none. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		return left >= 2 && is_continuation(p[1]) ? 2 : 0;
	if (p[0] >= 0xe0 && p[0] <= 0xef) {
		if (left < 3 || !is_continuation(p[1]) || !is_continuation(p[2]) ||
		    (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))
			return 0;
		return 3;
	}
	if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		if (left < 4 || !is_continuation(p[1]) || !is_continuation(p[2]) ||
		    !is_continuation(p[3]) || (p[0] == 0xf0 && p[1] < 0x90) ||
		    (p[0] == 0xf4 && p[1] > 0x8f))
			return 0;
		return 4;
	}
	return 0;
}

static bool is_utf8(const char *text, size_t length)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t step;

	for (size_t i = 0; i < length; i += step) {
		step = utf8_length(p + i, length - i);
		if (!step)
			return false;
	}
	return true;
}

/*
 * A text in another encoding is parsed as if it were Latin 1: each byte becomes one character,
 * and so names and values can be turned back byte by byte (see unexpand).
 */
static const char *expand(struct walk *w, const char *text, size_t length)
{
	char *out = arena_alloc(w->arena, length * 2 + 1);
	size_t n = 0;

	if (!out) {
		w->failed = true;
		return NULL;
	}
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)text[i];

		if (byte >= 0x80) {
			out[n++] = (char)(0xc0 | byte >> 6);
			byte = (unsigned char)(0x80 | (byte & 0x3f));
		}
		out[n++] = (char)byte;
	}
	out[n] = '\0';
	w->text_length = n;
	return out;
}

/* In place: names and values lie in the arena and belong to nobody else. */
static void unexpand(const char *text)
{
	unsigned char *from = (unsigned char *)(uintptr_t)text;
	unsigned char *to = from;

	if (!text)
		return;
	while (*from) {
		if ((*from == 0xc2 || *from == 0xc3) && is_continuation(from[1])) {
			*to++ = (unsigned char)(*from << 6 | (from[1] & 0x3f));
			from += 2;
		} else {
			*to++ = *from++;
		}
	}
	*to = '\0';
}

static void unexpand_all(struct walk *w)
{
	unexpand(w->culprit);
	for (size_t i = 0; i < w->n_effects; i++) {
		unexpand(w->effects[i].name);
		unexpand(w->effects[i].value);
	}
}

/* The text of one statement of several, without the blanks around it. */
static const char *slice(struct walk *w, const json_t *raw)
{
	size_t from = (size_t)tree_integer(raw, "stmt_location");
	size_t length = (size_t)tree_integer(raw, "stmt_len");
	const char *copy;

	if (from > w->text_length)
		from = w->text_length;
	if (length == 0 || length > w->text_length - from)
		length = w->text_length - from;
	while (length && w->text[from] == ' ') {
		from++;
		length--;
	}
	while (length && w->text[from + length - 1] == ' ')
		length--;
	copy = arena_copy_text(w->arena, w->text + from, length);
	w->failed |= copy == NULL;
	return copy;
}

/* --- the whole --- */

/* The name of the first statement that is executed without being known; NULL: none is. */
static const char *executed_name(const struct walk *w)
{
	for (size_t i = 0; i < w->n_effects; i++) {
		if (w->effects[i].kind == EFFECT_EXECUTE)
			return w->effects[i].name;
	}
	return NULL;
}

static const struct verdict *finish(struct walk *w, unsigned n_statements)
{
	struct verdict *verdict = arena_zalloc(w->arena, sizeof(*verdict));

	if (w->failed || !verdict)
		return NULL;
	if (w->is_expanded)
		unexpand_all(w);
	verdict->rest_kind = w->kind;
	verdict->rest_reason = w->reason;
	if (executed_name(w))
		walk_raise(w, VERDICT_SESSION, VERDICT_REASON_SESSION, executed_name(w));
	verdict->kind = w->kind;
	verdict->reason = w->reason;
	verdict->n_statements = n_statements;
	verdict->culprit = w->culprit;
	verdict->effects = w->effects;
	verdict->n_effects = w->n_effects;
	verdict->is_explicit_read_only = n_statements == 1 && w->is_begin_read_only;
	verdict->has_transaction_control = w->has_transaction_control;
	verdict->may_leave_state = w->may_leave_state;
	return verdict;
}

static const struct verdict *give_up(struct walk *w, enum verdict_reason reason, bool has_state)
{
	walk_raise(w, VERDICT_UNKNOWN, reason, NULL);
	if (has_state)
		walk_pin(w, PIN_UNKNOWN_STATE, 0);
	return finish(w, 0);
}

static const struct verdict *classify_tree(struct walk *w, const json_t *tree)
{
	const json_t *list = json_object_get(tree, "stmts");
	size_t n = json_array_size(list);

	w->reason = n ? VERDICT_REASON_READ : VERDICT_REASON_EMPTY;
	for (size_t i = 0; i < n; i++) {
		const json_t *raw = json_array_get(list, i);

		w->index = (unsigned)i;
		w->statement = slice(w, raw);
		if (w->statement)
			classify_statement(w, json_object_get(raw, "stmt"));
	}
	return finish(w, (unsigned)n);
}

static const struct verdict *parse(struct walk *w, const struct shape *shape)
{
	PgQueryParseResult result = pg_query_parse(w->text);
	const struct verdict *verdict;
	json_t *tree;

	if (result.error) {
		/* Bison's own stack has an end too. */
		bool is_too_deep = result.error->message &&
				   strstr(result.error->message, "memory exhausted");

		pg_query_free_parse_result(result);
		if (walk_loose_hint(w, w->text))
			verdict = finish(w, 1);
		else if (is_too_deep)
			verdict =
				give_up(w, VERDICT_REASON_TOO_LARGE, shape->has_state_if_unread);
		else
			verdict = give_up(w, VERDICT_REASON_PARSE_ERROR,
					  shape->has_state_if_refused);
		return verdict;
	}
	tree = json_loads(result.parse_tree, 0, NULL);
	pg_query_free_parse_result(result);
	if (!tree)
		return give_up(w, VERDICT_REASON_TOO_LARGE, shape->has_state_if_unread);
	verdict = classify_tree(w, tree);
	json_decref(tree);
	return verdict;
}

const struct verdict *classify_shape(struct arena *arena, const struct shape *shape)
{
	struct walk w = { .arena = arena };

	if (shape->is_too_large)
		return give_up(&w, VERDICT_REASON_TOO_LARGE, shape->has_state_if_unread);
	w.text = shape->text;
	w.text_length = shape->length;
	if (!is_utf8(shape->text, shape->length)) {
		w.is_expanded = true;
		w.text = expand(&w, shape->text, shape->length);
	}
	return w.text ? parse(&w, shape) : NULL;
}
