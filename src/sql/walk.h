#ifndef POINTSMAN_SQL_WALK_H
#define POINTSMAN_SQL_WALK_H

#include <jansson.h>

#include "base/arena.h"
#include "sql/verdict.h"

/*
 * Internal to sql/classify, which is three files: classify.c takes statements apart, expression.c
 * walks queries and expressions, setting.c turns SET and its kin into effects.
 */

/* A verdict in the making. */
struct walk {
	struct arena *arena;
	bool failed; /* no memory: the verdict is void */
	bool is_lax; /* already worse than a read: only effects are looked for, unknown nodes pass
		      */
	enum verdict_kind kind;
	enum verdict_reason reason;
	const char *culprit;
	struct effect *effects;
	size_t n_effects;
	size_t effects_capacity;
	bool has_transaction_control;
	bool may_leave_state;
	unsigned index; /* of the statement at hand in the text */
	bool is_begin_read_only;
	bool is_expanded; /* the text was Latin 1 and is UTF-8 now: names go back */
	const char *text; /* the whole text that was parsed, */
	size_t text_length;
	const char
		*statement; /* and the part of it that is the statement at hand, in the arena */
};

/* Raises the severity; at the same severity the first reason stays. */
void walk_raise(struct walk *w, enum verdict_kind kind, enum verdict_reason reason,
		const char *culprit);

/* Appends an effect. `name` and `value` are copied, and so may be NULL. */
void walk_effect(struct walk *w, enum effect_kind kind, unsigned flags, const char *name,
		 const char *value);
void walk_pin(struct walk *w, enum pin_reason pin, unsigned flags);
void walk_unpin(struct walk *w, enum pin_reason pin);

/* EXECUTE: what is executed is not known here; the arguments are judged. */
void walk_execute(struct walk *w, const json_t *fields);

/* Copies into the arena; NULL (failed) without memory, and for NULL. */
const char *walk_copy(struct walk *w, const char *text);
const char *walk_format(struct walk *w, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* --- reading libpg_query's JSON: fields that have their default are absent --- */

const char *tree_string(const json_t *fields, const char *key); /* NULL when absent */
long long tree_integer(const json_t *fields, const char *key);  /* 0 when absent */
bool tree_flag(const json_t *fields, const char *key);
/* The only member of a node object: its kind and fields. NULL when it is none. */
const char *tree_node(const json_t *node, const json_t **fields_out);
/* The fields of a node if it is of that kind, or NULL. */
const json_t *tree_is(const json_t *node, const char *kind);
/* Element i of a list of String nodes, or NULL. */
const char *tree_name(const json_t *list, size_t i);

/* --- expression.c --- */

/* Any node, list or struct of an expression or query. */
void walk_value(struct walk *w, const json_t *value);
/* The same for what is a write, DDL or utility anyway. */
void walk_lax(struct walk *w, const json_t *value);
/* A RangeVar's fields: temporary, or of one node? */
void walk_relation(struct walk *w, const json_t *range_var);
/* Is it a schema of temporary relations? */
bool is_temp_schema(const char *name);

/* --- setting.c --- */

void walk_set(struct walk *w, const json_t *fields);
/*
 * A text that does not parse, but is SET pointsman.KEY = primary, stale-allowed, 250ms or
 * 16/B374D848 without quotes: no server is to read it. false: it is not.
 */
bool walk_loose_hint(struct walk *w, const char *shape);
/* One SELECT set_config(...) without FROM. false: not all of its arguments are constants. */
bool walk_set_config(struct walk *w, const json_t *call);
/* EFFECT_READ_ONLY ... of a list of transaction modes. */
unsigned transaction_flags(const json_t *options);
/* The text of a constant: string, number, boolean; with or without a cast to text. false: not a
 * constant. *out is NULL for the constant NULL. */
bool tree_constant(struct walk *w, const json_t *node, const char **out);

#endif
