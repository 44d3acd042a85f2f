/*
 * The allow-list: walks queries and expressions in libpg_query's JSON and raises the verdict at
 * everything that is not known to be harmless. A node is {"Kind": {fields}}; a struct inside a
 * node is {fields}, without its kind. Scalars (names, enums) decide nothing here except where a
 * function below reads them.
 *
 * What a name stands for in the database (a view that calls a volatile function, an operator or a
 * cast of the user's) is beyond this file: it sees the text only.
 *
 * Recursion is bounded by jansson, which refuses more than 2048 levels.
 */
#include "walk.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "functions.h"

enum node_class {
	NODE_PLAIN, /* harmless itself; its children are walked */
	NODE_CALL,
	NODE_COLUMN,   /* ColumnRef, A_Indirection: may be a call in disguise */
	NODE_OPERATOR, /* A_Expr, SubLink, SortBy: an operator's name among the fields */
	NODE_LOCK,
	NODE_DML,
	NODE_SAMPLE,
	NODE_TYPE,
	NODE_EXECUTE, /* CREATE TABLE AS EXECUTE */
};

struct node_row {
	const char *kind;
	enum node_class class;
};

/* Sorted. */
static const struct node_row nodes[] = {
	{ "A_ArrayExpr", NODE_PLAIN },
	{ "A_Const", NODE_PLAIN },
	{ "A_Expr", NODE_OPERATOR },
	{ "A_Indices", NODE_PLAIN },
	{ "A_Indirection", NODE_COLUMN },
	{ "A_Star", NODE_PLAIN },
	{ "BitString", NODE_PLAIN },
	{ "BoolExpr", NODE_PLAIN },
	{ "Boolean", NODE_PLAIN },
	{ "BooleanTest", NODE_PLAIN },
	{ "CaseExpr", NODE_PLAIN },
	{ "CaseWhen", NODE_PLAIN },
	{ "CoalesceExpr", NODE_PLAIN },
	{ "CollateClause", NODE_PLAIN },
	{ "ColumnDef", NODE_PLAIN }, /* FROM f() AS t(a int) */
	{ "ColumnRef", NODE_COLUMN },
	{ "CommonTableExpr", NODE_PLAIN },
	{ "DeleteStmt", NODE_DML },
	{ "ExecuteStmt", NODE_EXECUTE },
	{ "Float", NODE_PLAIN },
	{ "FuncCall", NODE_CALL },
	{ "GroupingFunc", NODE_PLAIN },
	{ "GroupingSet", NODE_PLAIN },
	{ "InsertStmt", NODE_DML },
	{ "Integer", NODE_PLAIN },
	{ "JoinExpr", NODE_PLAIN },
	{ "List", NODE_PLAIN },
	{ "LockingClause", NODE_LOCK },
	{ "MergeStmt", NODE_DML },
	{ "MinMaxExpr", NODE_PLAIN },
	{ "NamedArgExpr", NODE_PLAIN },
	{ "NullTest", NODE_PLAIN },
	{ "ParamRef", NODE_PLAIN },
	{ "RangeFunction", NODE_PLAIN },
	{ "RangeSubselect", NODE_PLAIN },
	{ "RangeTableFunc", NODE_PLAIN },
	{ "RangeTableFuncCol", NODE_PLAIN },
	{ "RangeTableSample", NODE_SAMPLE },
	{ "RangeVar", NODE_PLAIN }, /* its name is looked at wherever it appears */
	{ "ResTarget", NODE_PLAIN },
	{ "RowExpr", NODE_PLAIN },
	{ "SQLValueFunction", NODE_PLAIN }, /* CURRENT_USER, CURRENT_TIMESTAMP ... */
	{ "SelectStmt", NODE_PLAIN },
	{ "SetToDefault", NODE_PLAIN },
	{ "SortBy", NODE_OPERATOR },
	{ "String", NODE_PLAIN },
	{ "SubLink", NODE_OPERATOR },
	{ "TypeCast", NODE_PLAIN },
	{ "TypeName", NODE_TYPE },
	{ "UpdateStmt", NODE_DML },
	{ "WindowDef", NODE_PLAIN },
	{ "XmlExpr", NODE_PLAIN },
	{ "XmlSerialize", NODE_PLAIN },
};

/* Sorted. Fields that hold nodes or structs; one that is not here is unknown. */
static const char *const fields_known[] = {
	"agg_filter",
	"agg_order",
	"alias",
	"aliascolnames",
	"arg",
	"args",
	"arrayBounds",
	"boolval",
	"bsval",
	"coldefexpr",
	"coldeflist",
	"colexpr",
	"collClause",
	"collname",
	"colnames",
	"columns",
	"content",
	"ctequery",
	"ctes",
	"cycle_clause",
	"cycle_col_list",
	"cycle_mark_default",
	"cycle_mark_value",
	"defresult",
	"distinctClause",
	"docexpr",
	"elements",
	"endOffset",
	"expr",
	"fields",
	"fromClause",
	"funcname",
	"functions",
	"fval",
	"groupClause",
	"havingClause",
	"indirection",
	"intoClause",
	"items",
	"ival",
	"join_using_alias",
	"larg",
	"lexpr",
	"lidx",
	"limitCount",
	"limitOffset",
	"lockedRels",
	"lockingClause",
	"method",
	"name",
	"named_args",
	"names",
	"namespaces",
	"node",
	"operName",
	"orderClause",
	"over",
	"partitionClause",
	"quals",
	"rarg",
	"relation",
	"repeatable",
	"result",
	"rexpr",
	"rowexpr",
	"search_clause",
	"search_col_list",
	"sortClause",
	"startOffset",
	"subquery",
	"subselect",
	"sval",
	"targetList",
	"testexpr",
	"typeName",
	"typmods",
	"uidx",
	"useOp",
	"usingClause",
	"val",
	"valuesLists",
	"whereClause",
	"windowClause",
	"withClause",
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int compare_node(const void *key, const void *row)
{
	return strcmp(key, ((const struct node_row *)row)->kind);
}

static int compare_field(const void *key, const void *field)
{
	return strcmp(key, *(const char *const *)field);
}

static bool is_known_field(const char *key)
{
	return bsearch(key, fields_known, COUNT(fields_known), sizeof(fields_known[0]),
		       compare_field) != NULL;
}

bool is_temp_schema(const char *name)
{
	return name && (strcmp(name, "pg_temp") == 0 || strncmp(name, "pg_temp_", 8) == 0);
}

void walk_relation(struct walk *w, const json_t *range_var)
{
	const char *schema = tree_string(range_var, "schemaname");
	const char *name = tree_string(range_var, "relname");

	if (!name)
		return;
	if (is_temp_schema(schema))
		walk_raise(w, VERDICT_READ_TAINTED, VERDICT_REASON_TEMP_RELATION, name);
	/* In whatever schema: pg_stat_statements is where its extension was put. */
	else if (relation_is_local(name))
		walk_raise(w, VERDICT_READ_TAINTED, VERDICT_REASON_SESSION_FUNCTION, name);
}

/* An operator's qualified name: only pg_catalog's are known. */
static void check_operator(struct walk *w, const json_t *name)
{
	const char *schema = tree_name(name, 0);

	if (json_array_size(name) < 2 || !schema || strcmp(schema, "pg_catalog") == 0)
		return;
	walk_raise(w, VERDICT_WRITE, VERDICT_REASON_UNKNOWN_FUNCTION,
		   walk_format(w, "operator %s.%s", schema,
			       tree_name(name, 1) ? tree_name(name, 1) : ""));
}

static void check_current_setting(struct walk *w, const json_t *args)
{
	const char *name = NULL;

	if (json_array_size(args) && tree_constant(w, json_array_get(args, 0), &name) && name &&
	    setting_is_portable(name))
		return;
	walk_raise(w, VERDICT_READ_TAINTED, VERDICT_REASON_SESSION_FUNCTION, "current_setting");
}

/* set_config() where it may run any number of times, or with what only the server knows. */
static void check_set_config(struct walk *w, const json_t *args)
{
	const char *is_local = NULL;
	bool ends_with_transaction = json_array_size(args) == 3 &&
				     tree_constant(w, json_array_get(args, 2), &is_local) &&
				     is_local && strcmp(is_local, "true") == 0;

	walk_pin(w, PIN_SET_CONFIG_DYNAMIC, ends_with_transaction ? EFFECT_LOCAL : 0);
	walk_raise(w, VERDICT_READ_TAINTED, VERDICT_REASON_SESSION_FUNCTION, "set_config");
}

/* An unlock; and what is only tried may not have been had. */
static bool may_end_lock(const char *name)
{
	return strncmp(name, "pg_advisory_unlock", 18) == 0 ||
	       strncmp(name, "pg_try_advisory_lock", 20) == 0;
}

static void check_builtin(struct walk *w, const char *name, const json_t *call)
{
	const json_t *args = json_object_get(call, "args");

	switch (function_classify(name)) {
	case FUNCTION_SAFE: return;
	case FUNCTION_UNKNOWN:
		walk_raise(w, VERDICT_WRITE, VERDICT_REASON_UNKNOWN_FUNCTION, name);
		return;
	case FUNCTION_VOLATILE:
		walk_raise(w, VERDICT_WRITE, VERDICT_REASON_VOLATILE_FUNCTION, name);
		return;
	case FUNCTION_NODE:
		walk_raise(w, VERDICT_READ_TAINTED, VERDICT_REASON_VOLATILE_FUNCTION, name);
		return;
	case FUNCTION_ADVISORY_PIN: walk_pin(w, PIN_ADVISORY_LOCK, 0); /* fall through */
	case FUNCTION_ADVISORY:
		if (may_end_lock(name))
			walk_unpin(w, PIN_ADVISORY_LOCK);
		walk_raise(w, VERDICT_READ_TAINTED, VERDICT_REASON_ADVISORY_LOCK, name);
		return;
	case FUNCTION_SET_CONFIG: check_set_config(w, args); return;
	case FUNCTION_CURRENT_SETTING: check_current_setting(w, args); return;
	case FUNCTION_SETSEED: walk_pin(w, PIN_SETSEED, 0); break;
	case FUNCTION_BACKEND_PID: walk_pin(w, PIN_BACKEND_PID, 0); break;
	case FUNCTION_STATE: walk_pin(w, PIN_UNKNOWN_STATE, 0); break;
	case FUNCTION_SESSION: break;
	}
	walk_raise(w, VERDICT_READ_TAINTED, VERDICT_REASON_SESSION_FUNCTION, name);
}

static void check_call(struct walk *w, const json_t *call)
{
	const json_t *names = json_object_get(call, "funcname");
	size_t n = json_array_size(names);
	const char *schema = n > 1 ? tree_name(names, n - 2) : NULL;
	const char *name = n ? tree_name(names, n - 1) : NULL;

	if (!name) {
		walk_raise(w, VERDICT_UNKNOWN, VERDICT_REASON_UNKNOWN_NODE, "FuncCall");
		return;
	}
	if (function_has_state(name))
		walk_pin(w, PIN_UNKNOWN_STATE, 0);
	if (n == 1 || (n == 2 && schema && strcmp(schema, "pg_catalog") == 0))
		check_builtin(w, name, call);
	else
		walk_raise(w, VERDICT_WRITE, VERDICT_REASON_UNKNOWN_FUNCTION,
			   walk_format(w, "%s.%s", schema ? schema : "", name));
}

/*
 * (x).name and t.name call the function `name` with x or the row of t when there is no such
 * column. Functions that are not PostgreSQL's are indistinguishable from columns here, as are the
 * harmless ones.
 */
static void check_attribute(struct walk *w, const char *name)
{
	enum function_class class = name ? function_classify(name) : FUNCTION_SAFE;

	/* set_config() takes three arguments and cannot be called so. */
	if (class != FUNCTION_SAFE && class != FUNCTION_UNKNOWN && class != FUNCTION_SET_CONFIG)
		check_builtin(w, name, NULL);
}

static void check_column(struct walk *w, const json_t *fields)
{
	const json_t *names = json_object_get(fields, "fields");
	const json_t *indirection = json_object_get(fields, "indirection");

	if (json_array_size(names) > 1)
		check_attribute(w, tree_name(names, json_array_size(names) - 1));
	for (size_t i = 0; i < json_array_size(indirection); i++)
		check_attribute(w, tree_name(indirection, i));
}

/* TABLESAMPLE method: a function too. */
static void check_sample(struct walk *w, const json_t *fields)
{
	const json_t *method = json_object_get(fields, "method");
	const char *name = tree_name(method, json_array_size(method) - 1);

	if (json_array_size(method) != 1 || !name || function_classify(name) != FUNCTION_SAFE)
		walk_raise(w, VERDICT_WRITE, VERDICT_REASON_UNKNOWN_FUNCTION,
			   name ? name : "tablesample");
}

static void check_type(struct walk *w, const json_t *fields)
{
	const json_t *names = json_object_get(fields, "names");

	if (json_array_size(names) > 1 && is_temp_schema(tree_name(names, 0)))
		walk_raise(w, VERDICT_READ_TAINTED, VERDICT_REASON_TEMP_RELATION,
			   tree_name(names, 1));
}

static void check_dml(struct walk *w, const json_t *fields)
{
	const char *relation = tree_string(json_object_get(fields, "relation"), "relname");

	walk_raise(w, VERDICT_WRITE, VERDICT_REASON_WRITE, relation);
}

/* SELECT INTO: its relation may be a temporary one. */
static void check_into(struct walk *w, const json_t *into)
{
	const json_t *relation = json_object_get(into, "rel");
	const char *persistence = tree_string(relation, "relpersistence");

	walk_raise(w, VERDICT_WRITE, VERDICT_REASON_SELECT_INTO,
		   tree_string(relation, "relname"));
	if ((persistence && *persistence == 't') ||
	    is_temp_schema(tree_string(relation, "schemaname")))
		walk_pin(w, PIN_TEMP_TABLE, 0);
}

static void walk_fields(struct walk *w, const json_t *fields);

static void walk_node(struct walk *w, const char *kind, const json_t *fields)
{
	const struct node_row *row =
		bsearch(kind, nodes, COUNT(nodes), sizeof(nodes[0]), compare_node);

	if (!row) {
		if (!w->is_lax)
			walk_raise(w, VERDICT_UNKNOWN, VERDICT_REASON_UNKNOWN_NODE, kind);
		walk_lax(w, fields);
		return;
	}
	switch (row->class) {
	case NODE_PLAIN: break;
	case NODE_CALL: check_call(w, fields); break;
	case NODE_COLUMN: check_column(w, fields); break;
	case NODE_OPERATOR:
		check_operator(w, json_object_get(fields, "name"));
		check_operator(w, json_object_get(fields, "operName"));
		check_operator(w, json_object_get(fields, "useOp"));
		break;
	case NODE_LOCK:
		walk_raise(w, VERDICT_WRITE, VERDICT_REASON_LOCK,
			   tree_string(fields, "strength"));
		break;
	case NODE_DML:
		check_dml(w, fields);
		walk_lax(w, fields);
		return;
	case NODE_SAMPLE: check_sample(w, fields); break;
	case NODE_TYPE: check_type(w, fields); break;
	case NODE_EXECUTE: walk_execute(w, fields); return;
	}
	walk_fields(w, fields);
}

static void walk_field(struct walk *w, const char *key, const json_t *value)
{
	if (!json_is_object(value) && !json_is_array(value))
		return;
	if (!w->is_lax && !is_known_field(key))
		walk_raise(w, VERDICT_UNKNOWN, VERDICT_REASON_UNKNOWN_NODE, key);
	if (strcmp(key, "intoClause") == 0) {
		check_into(w, value);
		walk_lax(w, value);
		return;
	}
	if (strcmp(key, "typeName") == 0 && !tree_is(value, "TypeName"))
		check_type(w, value);
	walk_value(w, value);
}

static void walk_fields(struct walk *w, const json_t *fields)
{
	const char *key;
	json_t *value;

	if (json_object_get(fields, "relname"))
		walk_relation(w, fields);
	json_object_foreach((json_t *)(uintptr_t)fields, key, value) walk_field(w, key, value);
}

void walk_value(struct walk *w, const json_t *value)
{
	const json_t *fields;
	const char *kind;

	if (json_is_array(value)) {
		for (size_t i = 0; i < json_array_size(value); i++)
			walk_value(w, json_array_get(value, i));
		return;
	}
	if (!json_is_object(value))
		return;
	kind = tree_node(value, &fields);
	if (kind)
		walk_node(w, kind, fields);
	else
		walk_fields(w, value);
}

void walk_lax(struct walk *w, const json_t *value)
{
	bool was_lax = w->is_lax;

	w->is_lax = true;
	walk_value(w, value);
	w->is_lax = was_lax;
}
