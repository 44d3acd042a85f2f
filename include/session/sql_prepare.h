#ifndef POINTSMAN_SESSION_SQL_PREPARE_H
#define POINTSMAN_SESSION_SQL_PREPARE_H

#include <stdbool.h>
#include <stddef.h>

#include "session/request.h"
#include "session/statement.h"
#include "sql/names.h"

/*
 * SQL's PREPARE, EXECUTE and DEALLOCATE where a session has many servers. Their names and those
 * of the protocol's statements are one namespace, as in PostgreSQL: client->statements. A text
 * that uses one goes to a server with the client's name replaced by ours, which the server is
 * made to know first, or, for PREPARE, not to know. In session mode all names go as they are.
 */

/* One use of a name in a Query. */
struct sql_use {
	struct name_use place;
	size_t characters_before; /* of the text, before the name's token */
	size_t characters;        /* of the token */
	int cleared_at;           /* the last statement before it that ends all names; -1: none */
	char name[NAME_BYTES_MAX]; /* the client's */
	struct statement *target;  /* one reference; NULL: it leads nowhere, and stays */
	bool is_new;               /* PREPARE of a name that is free */
};

struct sql_uses {
	size_t count;
	struct sql_use uses[];
};

/* Accepts NULL, sets the pointer to NULL. */
void sql_uses_destroy(struct sql_uses **uses);

enum sql_names {
	SQL_NAMES_NONE,  /* nothing to be done: the text goes as it is */
	SQL_NAMES_PLAIN, /* the same, and it prepares what we cannot follow: the session keeps its
			    server */
	SQL_NAMES_REPLACED,  /* it goes rewritten */
	SQL_NAMES_ANSWERED,  /* DEALLOCATE that no server needs to see: done */
	SQL_NAMES_EXISTS,    /* 42P05 */
	SQL_NAMES_UNKNOWN,   /* 26000: a name of ours in a client's mouth */
	SQL_NAMES_TOO_MANY,  /* the client may hold no more */
	SQL_NAMES_MISPLACED, /* behind extended-protocol messages without a Sync */
	SQL_NAMES_NO_MEMORY,
};

/*
 * The names in the text of a Query (`length` bytes; of a message that is not all there: its
 * beginning), which has been judged. REPLACED: request->uses is filled and what is to be sent for
 * the message's present bytes is appended to `out`, header included.
 */
enum sql_names sql_names_of_query(struct request *request, const struct op *op, const char *text,
				  size_t length, const struct verdict *verdict,
				  struct bytes *out);

/*
 * The name in a statement of the extended protocol, for which the caller keeps its reference.
 * REPLACED: *rewritten_out is what is to be run instead, one reference. `name_out`: the client's
 * name in it.
 */
enum sql_names sql_names_of_statement(struct request *request, const struct statement *statement,
				      struct statement **rewritten_out,
				      char name_out[NAME_BYTES_MAX]);

/* The client's name in such a statement. */
void sql_names_of(const struct statement *statement, char name_out[NAME_BYTES_MAX]);

/* May the client give one more statement a name? */
bool sql_names_has_room(const struct client *client, const struct statement *statement);

/* Is it a name that only servers know? */
bool sql_names_is_own(const char *name);

/* Do the names of this client's statements differ from those on servers? */
bool sql_names_are_replaced(const struct client *client);

/* Statement `index` of the Query has completed. */
void sql_names_note_done(struct client *client, unsigned index);

/*
 * What a Query's names need on the server that is held, before it can be sent: messages up to a
 * Sync are appended to `out`; none when all is there. false without memory.
 */
bool sql_names_set_up(struct request *request, struct bytes *out);

/* ... which has failed: what the server has of it now is not known. */
void sql_names_set_up_failed(struct request *request);

/* The messages that make PREPARE of `statement` under its name on servers, as the extended
 * protocol has it. `scratch`: name of statement and portal used for it. */
void sql_names_build_prepare(struct bytes *out, const struct statement *statement,
			     const char *scratch);

/*
 * Appends the body of an error with our names in its texts replaced by the client's, and its
 * position moved accordingly, as a whole message. `statement`: of the extended protocol, whose it
 * is; or NULL. false: there is nothing to replace, and nothing was appended.
 */
bool sql_names_rewrite_error(const struct client *client, const struct statement *statement,
			     const uint8_t *body, size_t length, struct bytes *out);

#endif
