#ifndef POINTSMAN_SESSION_PENDING_H
#define POINTSMAN_SESSION_PENDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/*
 * The queue of replies due. Every message to a server that will be answered has an entry,
 * in the order in which they were sent; what we answer ourselves stands in the same queue and
 * waits for its turn. A reply that does not fit the first entry means that the two ends disagree,
 * and the server is not to be trusted any more.
 */

struct statement;
struct statement_facts;

enum pending_kind {
	PENDING_PARSE,
	PENDING_BIND,
	PENDING_DESCRIBE,
	PENDING_EXECUTE,
	PENDING_CLOSE,
	PENDING_SYNC,
	PENDING_QUERY,
	PENDING_FUNCTION_CALL,
	PENDING_ANSWER, /* ours: `text` is sent when it comes to the front */
};

enum pending_action {
	PENDING_FORWARD,
	PENDING_SWALLOW, /* the client did not ask for it */
	PENDING_REPLACE, /* it will fail: `text` is sent instead of the server's error */
};

struct pending_entry {
	uint8_t kind;
	uint8_t action;
	bool is_optional;       /* SYNC: the server may have ignored it, see take_copy_in() in
				 * relay_replies.c
				 */
	bool has_output;        /* QUERY: something of its answer has come */
	uint32_t op;            /* for which message of its request */
	uint32_t commands_done; /* QUERY: CommandCompletes so far */
	/*
	 * PARSE, and the ANSWER to a Parse that was not needed: what is prepared (one reference)
	 * and the hash of the client's name for it, 0 when the client gave it none. Should it
	 * fail, the name is taken back.
	 */
	struct statement *statement;
	uint64_t name_hash;
	bool is_question;   /* QUERY of ours: what is left of the pins */
	bool is_begin;      /* of a BEGIN that we had answered */
	bool is_named;      /* PARSE: the server is to have it under our name for it, not as "" */
	uint64_t closed_id; /* CLOSE of ours: what the server holds until then; else 0 */
	/* QUERY, EXECUTE: whose effects follow its completion; kept by the request or the
	 * statement. */
	const struct statement_facts *facts;
	/* BIND, DESCRIBE, EXECUTE: of which statement; keeps `facts` alive. One reference or
	 * NULL. */
	struct statement *facts_owner;
	char *closed_name;  /* ANSWER to a Close: owned; with `statement`, to be undone when it is
			       skipped */
	struct bytes *text; /* ANSWER, REPLACE: owned */
};

/* Zeroed memory is an empty queue. */
struct pending {
	struct pending_entry *entries; /* a ring */
	uint32_t first;
	uint32_t count;
	uint32_t capacity; /* a power of two */
};

/* Appends a zeroed entry of this kind. NULL without memory. */
struct pending_entry *pending_add(struct pending *pending, enum pending_kind kind,
				  enum pending_action action);

/* The first entry, or NULL. Valid until the next change. */
struct pending_entry *pending_first(const struct pending *pending);
struct pending_entry *pending_at(const struct pending *pending, uint32_t index);

/* Drops the first entry and what it owns. */
void pending_pop(struct pending *pending);

/* Drops the entry at `index`. */
void pending_remove(struct pending *pending, uint32_t index);

/* Drops all and gives the memory back. */
void pending_clear(struct pending *pending);

static inline bool pending_is_empty(const struct pending *pending)
{
	return pending->count == 0;
}

#endif
