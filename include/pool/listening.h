#ifndef POINTSMAN_POOL_LISTENING_H
#define POINTSMAN_POOL_LISTENING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pool/pool.h"

/*
 * A server that listens: it is borrowed when the first channel is asked for, and does nothing but
 * LISTEN, UNLISTEN and report what it hears. (PostgreSQL documentation, "Asynchronous
 * Notification"; commands/async.c.) Of a pool of its own, so that it takes no place from those
 * who run queries; max_db_connections and max_user_connections count it.
 *
 * One worker's thread. All callbacks come from the loop, never out of a call into this module,
 * and none after listening_destroy().
 */
struct listening;

struct listening_handler {
	/* It listens to the channel (failure NULL), or the server refused to. */
	void (*answered)(void *context, const char *channel, uint64_t serial,
			 const struct pool_failure *failure);
	/* All that was notified before listening_prove() has been heard. */
	void (*proved)(void *context);
	/* A whole NotificationResponse of at most LISTENING_MESSAGE_MAX bytes. */
	void (*heard)(void *context, const char *channel, const uint8_t *message, size_t length);
	/* There is no server, or not any more: nothing will come. To be destroyed. */
	void (*ended)(void *context, const struct pool_failure *failure);
};

/* A payload is below 8,000 bytes, a name below 64 (async.c: NOTIFY_PAYLOAD_MAX_LENGTH). */
#define LISTENING_MESSAGE_MAX (16 * 1024)

/* Asks the pool for a server. NULL without memory. */
struct listening *listening_create(struct pool *pool, const struct listening_handler *handler,
				   void *context);

/* Gives the server up. Sets the pointer to NULL, accepts NULL. */
void listening_destroy(struct listening **listening);

/*
 * Sends LISTEN or UNLISTEN, as soon as there is a server; in the order of the calls. answered()
 * follows for LISTEN, with its serial. false without memory: nothing was sent.
 */
bool listening_add(struct listening *listening, const char *channel, uint64_t serial);
bool listening_drop(struct listening *listening, const char *channel);

/*
 * A round trip. A server sends what it has been notified of before the ReadyForQuery of the next
 * command (postgres.c: PostgresMain), and a notifier signals before it is told of its commit
 * (async.c: AtCommit_Notify). false as above.
 */
bool listening_prove(struct listening *listening);

/* Where it listens. */
const struct pool *listening_pool(const struct listening *listening);

/* Its server is not to be kept: the node has moved, the pool was reconnected. */
bool listening_is_outdated(const struct listening *listening);

#endif
