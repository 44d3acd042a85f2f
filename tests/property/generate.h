#ifndef POINTSMAN_TESTS_PROPERTY_GENERATE_H
#define POINTSMAN_TESTS_PROPERTY_GENERATE_H

#include <stdbool.h>
#include <stdint.h>

#include "text.h"

/* Random numbers of a known seed: the same everywhere. */
struct draw {
	uint64_t state;
};

/* 0 to n - 1. */
unsigned draw_below(struct draw *draw, unsigned n);

/*
 * Also generate what is known to differ, and is to be mended:
 * - a Parse or PREPARE of a name that is in use (PostgreSQL looks at the text first);
 * - the unnamed statement after a batch that failed (a Parse that was skipped must leave the one
 *   before it);
 * - RESET and DISCARD ALL of a client with start-up options (which are the server's own defaults
 * until the next request);
 * - Close of a name after its Bind in one batch (errors then show the server's name for it);
 * - Bind in a failed transaction that no server has begun (which error comes first);
 * - Execute and Describe of the unnamed portal when the batch has made none (a deferred BEGIN
 * leaves one);
 * - Parse of a text about a table that is gone since the last time (the error comes with the
 * Bind);
 * - messages that name a prepared statement behind DISCARD ALL or DEALLOCATE ALL, without a Sync.
 */
extern bool generate_known_faults;

/* What the generator must know of a client. */
struct generate_client {
	unsigned number; /* from 1; its schema is c<number> */
	char txn;        /* status of its last ReadyForQuery */
	bool is_in_batch;
	unsigned bound;     /* names of statements that this step has bound, as bits */
	bool has_portal;    /* its last batch has made an unnamed one */
	bool has_startup;   /* start-up options */
	bool has_failed;    /* there was an error in the replies to its last step */
	bool may_be_pinned; /* kept true by the generator */
};

/* Start-up parameters: "name|value|name|value", maybe "". */
void generate_startup(struct draw *draw, struct generate_client *client, struct text *out);

/* Appends the lines (see side.h) of what the client does next. The last one is answered. */
void generate_step(struct draw *draw, struct generate_client *client, struct text *out);

/* A step that gives up whatever server the client may hold. */
void generate_release(struct draw *draw, struct generate_client *client, struct text *out);

/* The step that compares all settings. */
void generate_question(struct text *out);

#endif
