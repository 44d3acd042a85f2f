#ifndef POINTSMAN_POOL_POOL_PRIVATE_H
#define POINTSMAN_POOL_POOL_PRIVATE_H

#include "pool/pool.h"

/* What the files of src/pool share with each other and with nobody else. */

/* --- server.c --- */

/* What happens to a server; the table of moves says what follows. */
enum server_event {
	SERVER_EV_CONNECTED,
	SERVER_EV_RETRY, /* with TLS or without it, as the first attempt was not */
	SERVER_EV_READY, /* ReadyForQuery that ends a login or a reset */
	SERVER_EV_LEND,
	SERVER_EV_RETURN_CLEAN,
	SERVER_EV_RETURN_RESET,
	SERVER_EV_RETURN_HOT, /* a cancel is in flight */
	SERVER_EV_CANCEL_DONE,
	SERVER_EV_CHECK, /* idle for long: does it still answer? */
	SERVER_EV_OFFER, /* to another worker */
	SERVER_EV_ARRIVE,
	SERVER_EV_FAIL,
	SERVER_EVENT_COUNT
};

/*
 * Takes one server out of the budget, if there are fewer than `ceiling`, and begins to connect.
 * false when the budget is spent or the attempt could not even begin (which is reported as a
 * failed one).
 */
bool server_open(struct pool *pool, int ceiling);

/* Is its lifetime over, and its turn come? Who asks and hears yes closes it. */
bool server_is_due_to_end(const struct server *server, usec now);

/* The same for this waiter alone; `waiter->server` is set while it is on its way. */
bool server_open_for(struct pool *pool, struct pool_waiter *waiter);

/* The one way a state changes. */
void server_step(struct server *server, enum server_event event);

/* Ends it from any state: the budget is given back, a borrower is told (unless it is who closes).
 */
void server_close(struct server *server, const char *why);

/* The same with the SQLSTATE and the reason that waiters are told when it was still logging in
 * (else 57P03, connect_failed). */
void server_close_for(struct server *server, const char *sqlstate, const char *reason,
		      const char *why);

/* Frees one that is not on any loop (mail to a dead worker). */
void server_free_detached(struct server *server);

/* The last cancel under way to it has ended. */
void server_cancels_ended(struct server *server);

/* Sends the StartupMessage, on whatever the connection is by now; closes it without memory. */
void server_login_start(struct server *server);

/* --- server_tls.c --- */

/* Asks for TLS, when this attempt wants it; else false. */
bool server_tls_begin(struct server *server);

/* Takes what comes while is_tls_asked: a handshake begins, a log-in, or all ends. */
void server_tls_take_answer(struct server *server, const uint8_t *data, size_t length);

/*
 * The handshake failed, or the server refused the log-in: true when there is a second attempt,
 * which has begun; the connection is another one then.
 */
bool server_tls_fall_back(struct server *server, bool is_handshake, const char *why);

/* What the bytes after an SSLRequest mean. */
enum server_tls_answer {
	SERVER_TLS_YES,
	SERVER_TLS_NO,
	SERVER_TLS_BAD, /* neither, or more than that */
};
enum server_tls_answer server_tls_answer(const uint8_t *data, size_t length);

/* --- server_login.c --- */

/* Sends the StartupMessage. false without memory. */
bool server_login_begin(struct server *server);
/* Takes the server's bytes; returns how many it used. Ends in SERVER_EV_READY or in
 * server_close(). */
size_t server_login_data(struct server *server, const uint8_t *data, size_t length);
void server_login_end(struct server *server);
/*
 * The log-in ends because the server does not know the protocol version that we asked for: it
 * said so, or closed without a word. Another attempt is to ask for 3.0.
 */
bool server_login_must_ask_older(const struct server *server);

/* --- pool.c --- */

/* Looks for what can be done for whom: lend, offer, connect. Deferred to the end of the batch. */
void pool_settle(struct pool *pool);
/* A server changed its state: lists, gauges. */
void pool_on_state(struct server *server, enum server_state from);
/* A connection could not be made or the login was refused. */
void pool_on_connect_failed(struct pool *pool, const char *sqlstate, const char *reason,
			    const char *message);
/* The node does not know the protocol version that it was asked for: 3.0 is asked for next. */
void pool_on_protocol_refused(struct pool *pool, const char *message);
/* Puts a waiter into its queue, takes it out. */
void pool_enqueue(struct pool *pool, struct pool_waiter *waiter);
void pool_dequeue(struct pool_waiter *waiter);
/* Sends mail about this pool to the same pool of another worker; false without memory. */
bool pool_post(struct pool *pool, int worker, enum pool_mail_kind kind, struct server *server);
/* A login succeeded. */
void pool_on_connected(struct pool *pool);

/* --- dedicated.c --- */

/* Opens servers for those who want one of their own, as far as the budget goes. */
void dedicated_settle(struct pool *pool);
/* Closes an idle server, for another worker's waiter that needs its budget. */
void dedicated_make_room(struct pool *pool);
/* A server that somebody waits for has logged in. */
void dedicated_arrived(struct server *server);
/* ... cannot be had. With `is_to_try_again` the waiter goes on waiting. */
void dedicated_failed(struct server *server, const char *sqlstate, const char *why,
		      bool is_to_try_again);
/* The same where there was not even a beginning. */
void dedicated_fail(struct pool *pool, struct pool_waiter *waiter, const char *sqlstate,
		    const char *why);
/* Nobody waits for it any more. */
void dedicated_forget(struct pool_waiter *waiter);
/* Fails all who wait. */
void dedicated_fail_all(struct pool *pool, const struct pool_failure *failure);
/* How many of the servers that connect or log in are on their way to one waiter alone. */
size_t dedicated_opening(const struct pool *pool);

#endif
