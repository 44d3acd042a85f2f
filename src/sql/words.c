/*
 * The vocabulary of sql/shape: which words open lists, deepen the parse tree, or tell what kind
 * of statement begins. Not a list of PostgreSQL's keywords. Pure; any thread.
 */
#include "words.h"

#include <stdlib.h>
#include <string.h>

#define IS(text) (memcmp(word, text, sizeof(text) - 1) == 0)

static enum word word_short(const char *word, size_t length)
{
	switch (length) {
	case 2:
		if (IS("in"))
			return WORD_IN;
		if (IS("or"))
			return WORD_OR;
		return IS("is") || IS("at") ? WORD_DEEPENS : WORD_OTHER;
	case 3:
		if (IS("and"))
			return WORD_AND;
		if (IS("end"))
			return WORD_END;
		return IS("not") ? WORD_DEEPENS : WORD_OTHER;
	case 4:
		if (IS("case"))
			return WORD_CASE;
		if (IS("join"))
			return WORD_CHAINS;
		if (IS("into"))
			return WORD_BEFORE_TEMP;
		if (IS("temp"))
			return WORD_TEMP;
		return IS("like") ? WORD_DEEPENS : WORD_OTHER;
	case 5:
		if (IS("array"))
			return WORD_ARRAY;
		if (IS("union"))
			return WORD_CHAINS;
		if (IS("local"))
			return WORD_BEFORE_TEMP;
		return IS("ilike") ? WORD_DEEPENS : WORD_OTHER;
	case 6:
		if (IS("values"))
			return WORD_VALUES;
		if (IS("except"))
			return WORD_CHAINS;
		if (IS("create") || IS("global"))
			return WORD_BEFORE_TEMP;
		return IS("isnull") ? WORD_DEEPENS : WORD_OTHER;
	default: return WORD_OTHER;
	}
}

static enum word word_long(const char *word, size_t length)
{
	switch (length) {
	case 7:
		if (IS("between"))
			return WORD_BETWEEN;
		if (IS("uescape"))
			return WORD_UESCAPE;
		if (IS("setseed"))
			return WORD_SESSION_FUNCTION;
		if (IS("replace"))
			return WORD_BEFORE_TEMP;
		return IS("collate") || IS("similar") || IS("notnull") ? WORD_DEEPENS
								       : WORD_OTHER;
	case 8: return IS("operator") ? WORD_DEEPENS : WORD_OTHER;
	case 9:
		if (IS("intersect"))
			return WORD_CHAINS;
		return IS("temporary") ? WORD_TEMP : WORD_OTHER;
	case 10: return IS("set_config") ? WORD_SET_CONFIG : WORD_OTHER;
	case 14: return IS("pg_backend_pid") ? WORD_SESSION_FUNCTION : WORD_OTHER;
	case 15: return IS("current_setting") ? WORD_CURRENT_SETTING : WORD_OTHER;
	case 16: return IS("pg_advisory_lock") ? WORD_SESSION_FUNCTION : WORD_OTHER;
	case 20: return IS("pg_try_advisory_lock") ? WORD_SESSION_FUNCTION : WORD_OTHER;
	case 23: return IS("pg_advisory_lock_shared") ? WORD_SESSION_FUNCTION : WORD_OTHER;
	case 27: return IS("pg_try_advisory_lock_shared") ? WORD_SESSION_FUNCTION : WORD_OTHER;
	default: return WORD_OTHER;
	}
}

enum word word_of(const char *word, size_t length)
{
	return length < 7 ? word_short(word, length) : word_long(word, length);
}

struct lead_row {
	const char *word;
	unsigned lead;
};

/* Sorted. A word that is not here keeps its literals and may do anything. */
static const struct lead_row leads[] = {
	{ "abort", LEAD_STATELESS },
	{ "alter", LEAD_STRIPS | LEAD_STATELESS },
	{ "analyse", LEAD_STRIPS | LEAD_STATELESS },
	{ "analyze", LEAD_STRIPS | LEAD_STATELESS },
	{ "begin", LEAD_STATELESS },
	{ "call", LEAD_STRIPS | LEAD_STATELESS },
	{ "checkpoint", LEAD_STATELESS },
	{ "close", LEAD_STATELESS },
	{ "cluster", LEAD_STRIPS | LEAD_STATELESS },
	{ "comment", LEAD_STRIPS | LEAD_STATELESS },
	{ "commit", LEAD_STATELESS },
	{ "copy", LEAD_STATELESS },
	/* CREATE TEMP is found by its second word. */
	{ "create", LEAD_STRIPS | LEAD_STATELESS },
	{ "declare", LEAD_STRIPS | LEAD_PINS },
	{ "delete", LEAD_STRIPS | LEAD_STATELESS },
	{ "do", LEAD_STRIPS | LEAD_STATELESS },
	{ "drop", LEAD_STRIPS | LEAD_STATELESS },
	{ "end", LEAD_STATELESS },
	{ "execute", LEAD_STRIPS | LEAD_STATELESS },
	{ "explain", LEAD_STATELESS },
	{ "fetch", LEAD_STRIPS | LEAD_STATELESS },
	{ "grant", LEAD_STRIPS | LEAD_STATELESS },
	{ "import", LEAD_STRIPS | LEAD_STATELESS },
	{ "insert", LEAD_STRIPS | LEAD_STATELESS },
	{ "listen", LEAD_PINS },
	{ "load", LEAD_PINS },
	{ "lock", LEAD_STRIPS | LEAD_STATELESS },
	{ "merge", LEAD_STRIPS | LEAD_STATELESS },
	{ "move", LEAD_STRIPS | LEAD_STATELESS },
	{ "notify", LEAD_STRIPS | LEAD_STATELESS },
	{ "prepare", LEAD_PINS },
	{ "refresh", LEAD_STRIPS | LEAD_STATELESS },
	{ "reindex", LEAD_STRIPS | LEAD_STATELESS },
	{ "release", LEAD_STATELESS },
	{ "reset", LEAD_PINS },
	{ "revoke", LEAD_STRIPS | LEAD_STATELESS },
	{ "rollback", LEAD_STATELESS },
	{ "savepoint", LEAD_STATELESS },
	{ "security", LEAD_STRIPS | LEAD_STATELESS },
	{ "select", LEAD_STRIPS | LEAD_STATELESS },
	{ "set", LEAD_PINS },
	{ "show", LEAD_STATELESS },
	{ "start", LEAD_STATELESS },
	{ "table", LEAD_STRIPS | LEAD_STATELESS },
	{ "truncate", LEAD_STRIPS | LEAD_STATELESS },
	{ "update", LEAD_STRIPS | LEAD_STATELESS },
	{ "vacuum", LEAD_STRIPS | LEAD_STATELESS },
	{ "values", LEAD_STRIPS | LEAD_STATELESS },
	{ "with", LEAD_STRIPS | LEAD_STATELESS },
};

struct lead_key {
	const char *word;
	size_t length;
};

static int compare_lead(const void *key_pointer, const void *row_pointer)
{
	const struct lead_key *key = key_pointer;
	const struct lead_row *row = row_pointer;
	int order = strncmp(key->word, row->word, key->length);

	if (order)
		return order;
	return row->word[key->length] ? -1 : 0;
}

unsigned lead_of(const char *word, size_t length)
{
	struct lead_key key = { word, length };
	const struct lead_row *row;

	/* The commonest without a search. */
	if (length == 6 && IS("select"))
		return LEAD_STRIPS | LEAD_STATELESS;
	row = bsearch(&key, leads, sizeof(leads) / sizeof(leads[0]), sizeof(leads[0]),
		      compare_lead);
	return row ? row->lead : 0;
}
