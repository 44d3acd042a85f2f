#ifndef POINTSMAN_TESTS_PROPERTY_SIDE_H
#define POINTSMAN_TESTS_PROPERTY_SIDE_H

#include <stdbool.h>
#include <stddef.h>

#include "../support/raw.h"
#include "text.h"

/*
 * One connection: straight to a server, or through the proxy. A client of the test has one of
 *each, sends both the same messages and must get the same.
 *
 * A message is a line of text, so that a sequence can be printed, cut and played again:
 *
 *	Q sql                     Query
 *	P name|sql                Parse, without types
 *	B portal|statement|p|...  Bind; texts, "\N" is NULL
 *	D S|name   D P|portal     Describe
 *	E portal|rows             Execute
 *	C S|name   C P|portal     Close
 *	F oid|a|b                 FunctionCall of a function of two integers, binary
 *	S   s   H                 Sync, Sync whose answer is waited for with the next S, Flush
 *	d line   c   f why        CopyData (with a newline), CopyDone, CopyFail
 */

#define SIDE_PARAMETERS_MAX 24

struct side_parameter {
	char name[64];
	char value[256];
};

struct side {
	struct raw *raw;
	struct side_parameter parameters[SIDE_PARAMETERS_MAX]; /* as last reported */
	size_t n_parameters;
	size_t syncs_due; /* sent as `s` */
	size_t due;       /* replies to messages since the last Sync that have not come yet */
	bool is_in_batch; /* messages of the extended protocol were sent, and no Sync after them
			   */
	bool is_skipping; /* ... and an error came: the server skips to the Sync */
	bool is_copying;  /* the server takes CopyData */
};

/* `more`: start-up parameters, name, value ..., NULL. false when the log-in failed: the reply
 * says why. */
bool side_open(struct side *side, int port, const char *user, const char *database,
	       const char *const *more, struct text *reply);
void side_close(struct side *side);

/* Sends a message. */
bool side_send(struct side *side, const char *line);

/*
 * Is something to be waited for after this message? After Q, S and F: up to ReadyForQuery or
 * CopyInResponse; after H: what is due; after the end of a COPY outside the extended protocol: as
 * after Q.
 */
bool side_is_answered(const struct side *side, const char *line);

/*
 * Reads that and appends it to `reply`, one line for each message, without what differs between
 * any two connections. ParameterStatus goes to side->parameters. false when it does not come in
 * time or the connection ends.
 */
bool side_read(struct side *side, const char *line, struct text *reply);

/* All parameters as last reported, in order of names. */
void side_show_parameters(struct side *side, struct text *out);

#endif
