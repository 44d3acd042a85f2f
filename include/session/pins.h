#ifndef POINTSMAN_SESSION_PINS_H
#define POINTSMAN_SESSION_PINS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "sql/verdict.h"

/*
 * Why a session must keep its server: what its statements have left there that cannot be brought
 * to another one. A pin is set before the statement is sent, and ends when its cause is proved to
 * have ended: temporary objects, advisory locks and held cursors by asking the server, once the
 * session is at rest and something has been said that may have ended them (DROP, an unlock,
 * CLOSE, a rollback). What cannot be asked for lasts until DISCARD ALL or the end of the session.
 */

struct client;
struct frame;

/* A set of reasons. */
#define PIN_BIT(reason) (1u << (reason))

struct pins {
	uint16_t held;
	uint16_t fresh;    /* ... of the open transaction */
	uint16_t fixed;    /* ... and its rollback may not undo all of it */
	uint16_t suspects; /* ... that may be over */
	uint16_t gone;     /* while the server is asked: those that it does not know of */
	bool is_answered;  /* ... and it has said so */
	usec asked_at;     /* 0: nothing is being asked */
	/* When each began, in ms of the session's life; NULL: none is held, or no memory. */
	uint32_t *since_ms;
};

/* When one that is held began. */
usec pins_began_at(const struct client *client, enum pin_reason reason);

/* Frees what it has allocated. */
void pins_free(struct pins *pins);

/* What has become of the pins of one reason, on a worker. */
struct pin_stats {
	uint64_t begun;
	uint64_t ended; /* before the session did */
};

/*
 * A request is about to be sent: `held` are the reasons it gives, `suspects` those it may end.
 * `may_roll_back`: what it leaves is undone when the transaction is, since it has no end of one
 * in it.
 */
void pins_begin(struct client *client, unsigned held, unsigned suspects, bool may_roll_back);

/* One reason more, without a request. */
void pins_add(struct client *client, enum pin_reason reason);

/* Something of the open transaction has been undone; `is_whole`: all of it. */
void pins_note_rollback(struct client *client, bool is_whole);

/* The transaction is over, and what it did stays, unless that was told before. */
void pins_note_commit(struct client *client);

/* DISCARD ALL has been carried out. */
void pins_note_discard(struct client *client);

/*
 * The server is at rest: asks it what is left of what may be over. false: there is nothing to
 * ask, or it cannot be asked now.
 */
bool pins_ask(struct client *client);

/* The server's answer, message by message (whole ones); ReadyForQuery ends it. */
void pins_take_answer(struct client *client, const struct frame *frame);
void pins_end_answer(struct client *client);

/* Must a server that a session with these pins gives up be closed, since no reset undoes them? */
bool pins_outlast_reset(const struct pins *pins);

/* The reason that is told where there is room for one. */
enum pin_reason pins_first(const struct pins *pins);

static inline bool pins_are_held(const struct pins *pins)
{
	return pins->held != 0;
}

static inline bool pins_are_asked(const struct pins *pins)
{
	return pins->asked_at != 0;
}

#endif
