#ifndef POINTSMAN_SESSION_TXN_H
#define POINTSMAN_SESSION_TXN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "pool/settings.h"
#include "sql/hint.h"
#include "sql/verdict.h"

/*
 * What a session has set, under PostgreSQL's rules for transactions: a SET counts from the
 * moment its command completes, and is undone by ROLLBACK, by ROLLBACK TO a savepoint before it,
 * and by an error in an implicit transaction. The same for `SET pointsman.*`. Fed with the
 * effects of completed commands and with the status of each ReadyForQuery. The same for what it
 * listens to, where LISTEN is answered by us (session/channels.h).
 *
 * Also the BEGIN that no server has seen yet (session/begin.c): the client has been told that its
 * transaction is open, and the server will be told with the first statement.
 */

struct txn_savepoint;

/* A BEGIN that was answered by us. One allocation. */
struct txn_begin {
	unsigned flags;     /* EFFECT_READ_ONLY ...: its modes */
	bool is_sent;       /* to a server, whose answer is not there yet */
	bool has_failed;    /* an error of ours since: the server's transaction is to fail, too */
	struct hints hints; /* of its comments: they choose where the transaction runs */
	char text[];        /* what the server is to be sent */
};

struct txn {
	uint8_t status;  /* of the last ReadyForQuery sent to the client */
	bool has_failed; /* an error since the last commit, rollback or ReadyForQuery 'I' */
	usec began_at;   /* 0: none is open */
	struct settings *startup;    /* what RESET goes back to */
	struct settings *settings;   /* in effect now */
	struct settings *committed;  /* ... and when the open transaction is rolled back */
	struct hints *hints_startup; /* what RESET pointsman.x goes back to; NULL: none */
	struct hints *hints;         /* from SET pointsman.x; NULL: none */
	struct hints *hints_committed;
	struct hints *hints_local;        /* from SET LOCAL */
	/* Channels, as sets of names: immutable, so that a state is remembered by a reference. */
	struct settings *channels;
	struct settings *channels_committed;
	struct txn_savepoint *savepoints; /* the innermost first */
	struct txn_begin *begin;          /* NULL: no BEGIN is owed to a server */
};

/* `startup`: a reference is taken. */
void txn_init(struct txn *txn, struct settings *startup);
void txn_destroy(struct txn *txn);

/* `equal` has the same start-up settings: it is kept instead of our own copy of them. Only before
 * anything else has been set. */
void txn_share_startup(struct txn *txn, struct settings *equal);

/* Hints from start-up options; copied. */
void txn_set_startup_hints(struct txn *txn, const struct hints *hints);

/* A command with this effect has completed; `tag` is its command tag. false without memory: the
 * session's state is unknown. */
bool txn_apply(struct txn *txn, const struct effect *effect, const char *tag);

/* An ErrorResponse went by. */
void txn_note_error(struct txn *txn);

/* A ReadyForQuery went by. */
void txn_note_ready(struct txn *txn, uint8_t status, usec now);

/*
 * No transaction is open, and settings may have changed: the server reports this DateStyle (NULL: none
 * that we know). It has two halves, style and order, and a SET may name just one of them and keep
 * the other; the session keeps both, as reported, so that another server needs no history. false
 * without memory: the session's state is unknown.
 */
bool txn_note_date_style(struct txn *txn, const char *reported);

/*
 * A BEGIN (an EFFECT_BEGIN) is answered without a server: the transaction is open, and owed to
 * one. `hints`: of its comments; copied; NULL: none. false without memory: nothing has changed.
 */
bool txn_defer(struct txn *txn, const struct effect *begin, const struct hints *hints, usec now);

/* Ends a deferred transaction, by a COMMIT or ROLLBACK that no server sees. Returns its tag. */
const char *txn_end_deferred(struct txn *txn, const struct effect *end, usec now);

/* An error of ours went to the client while the transaction is deferred: it has failed. */
void txn_fail_deferred(struct txn *txn);

/* The server has refused the BEGIN, and skipped what came with it: deferred again, and failed. */
void txn_begin_refused(struct txn *txn);

/* SET [LOCAL] pointsman.name = value, or RESET (value NULL). false: `why` says what is wrong. */
bool txn_set_hint(struct txn *txn, const char *name, const char *value, bool local, char *why,
		  size_t why_size);

/* LISTEN, or UNLISTEN (channel NULL: of all). false without memory: nothing has changed. */
bool txn_listen(struct txn *txn, const char *channel);
bool txn_unlisten(struct txn *txn, const char *channel);

/* Adds the session's hints, as weaker ones. */
void txn_merge_hints(const struct txn *txn, struct hints *hints);

static inline bool txn_is_open(const struct txn *txn)
{
	return txn->status != 'I';
}

/* Open for the client, but no server knows of it. */
static inline bool txn_is_deferred(const struct txn *txn)
{
	return txn->begin && !txn->begin->is_sent;
}

#endif
