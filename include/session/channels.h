#ifndef POINTSMAN_SESSION_CHANNELS_H
#define POINTSMAN_SESSION_CHANNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/pool.h"
#include "session/request.h"

/*
 * Who on this worker listens to what: LISTEN outside session mode holds no server. One connection
 * of the process listens for all sessions of a database (worker/notify.h, asked through
 * ops->listen); what it hears comes here, and goes on to the sessions concerned, to each between
 * two of its transactions, as a server would send it. What a session listens to is
 * txn->channels: undone by ROLLBACK. Here is what it takes to hear that.
 *
 * LISTEN is answered when the listening connection listens, and not before: what is sent after
 * the answer is heard. Until its transaction ends, and while a request runs, notifications wait;
 * when more than client_buffer of them do, the session is ended rather than any dropped. It is
 * ended, too, when the listening connection is lost: a server's own client would see no less.
 *
 * One worker's thread.
 */

struct client;
struct session_env;

/*
 * Before a request that has LISTEN in it goes on: makes what it takes to hear those channels.
 * NEXT: all is heard, or the ops that cannot be have become refusals. WAIT: the request is
 * resumed by channels_answered().
 */
enum stage_result channels_subscribe(struct request *request);

/* Is the request in the govern stage waiting for an answer? */
bool channels_are_awaited(const struct client *client);

/* Between two requests: lets go what the session does not listen to any more, and gives it what
 * has come for it. To be called whenever it may have become able to take it. */
void channels_settle(struct client *client);

/* The session ends. */
void channels_leave(struct client *client);

/*
 * A server sends what has been notified before its ReadyForQuery. So a session that listens is
 * not told that a request of its own is over before the listening connection has shown, by a
 * round trip, that it has nothing more of what came before. true: the ReadyForQuery that has come
 * is to be kept back; channels_prove() sends it.
 */
bool channels_hold_ready(const struct client *client, uint8_t status);

/* Notes that it is kept back. */
void channels_note_held(struct client *client);

/* The request is over: asks for that round trip. false: nothing is kept back. */
bool channels_prove(struct client *client);

/* Is a ReadyForQuery kept back, so that nothing of the client may be taken? */
bool channels_is_proving(const struct client *client);

/* It was taken long enough: the ReadyForQuery goes out now. */
void channels_tick(struct client *client, usec now);

/* Of which database a channel is, by names that outlive a reload. */
struct channel_home {
	const char *cluster;
	const char *database; /* on the servers */
};

enum channel_order_kind {
	CHANNEL_LISTEN,
	CHANNEL_UNLISTEN,
	CHANNEL_PROVE, /* that all that came before is passed on; `name`: one of the asker's */
};

/* What a worker asks of the listening connection. */
struct channel_order {
	enum channel_order_kind kind;
	struct channel_home home;
	const char *user; /* who may log in for it, should it not be there yet */
	const char *name;
	uint64_t serial;                  /* comes back with the answer */
	const struct pool_settings *pool; /* the limits that it counts against */
};

/*
 * The listening connection listens to the channel now; or (`failure`) it could not be made to.
 * The answer to an order that has been overtaken by another is ignored.
 */
void channels_answered(struct session_env *env, const struct channel_order *order,
		       const struct pool_failure *failure);

/* What was asked with CHANNEL_PROVE is so. */
void channels_proved(struct session_env *env, const struct channel_order *order);

/* It has heard this: a whole NotificationResponse. */
void channels_heard(struct session_env *env, const struct channel_home *home, const char *name,
		    const uint8_t *message, size_t length);

/* It is lost, and with it perhaps notifications. */
void channels_lost(struct session_env *env, const struct channel_home *home, const char *why);

/* For the console: calls `each` for every channel that sessions of this worker listen to. */
void channels_each(const struct session_env *env,
		   void (*each)(void *context, const struct channel_home *home, const char *name,
				size_t sessions, bool is_heard),
		   void *context);

#endif
