#ifndef POINTSMAN_AUTH_SCRAM_H
#define POINTSMAN_AUTH_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/*
 * SCRAM-SHA-256 (RFC 5802, RFC 7677), both roles, as PostgreSQL speaks it
 * (src/backend/libpq/auth-scram.c, src/interfaces/libpq/fe-auth-scram.c): the user name inside
 * the exchange is ignored, passwords go through SASLprep where they are valid UTF-8 and are taken
 * as they are elsewhere. Every message of the peer is hostile: nonces, salts and iteration counts
 * are bounded. Nothing is of fixed size.
 */

#define SCRAM_MECHANISM      "SCRAM-SHA-256"
#define SCRAM_MESSAGE_MAX    8192
#define SCRAM_ITERATIONS     4096
#define SCRAM_ITERATIONS_MAX 1000000

/* --- server side: a client logs in to us --- */

struct scram_server;

/*
 * `secret` is what the user list has: plain text or a SCRAM secret. NULL, empty, or an MD5
 * secret: the user is unknown to SCRAM; the exchange is carried through with a mock salt derived
 * from the name (the same in each attempt) and fails at the end, so that users cannot be guessed
 * . For the same reason: once a process has met a plain secret, whose keys cost a
 * millisecond or so to derive here, each call costs that. NULL without memory.
 */
struct scram_server *scram_server_create(const char *user, const char *secret);
void scram_server_destroy(struct scram_server **server);

enum scram_result {
	SCRAM_CONTINUE, /* `reply` is to be sent, another message is due */
	SCRAM_DONE,     /* proved; a server's last `reply` goes with AuthenticationSASLFinal */
	SCRAM_WRONG,    /* the proof or the server's signature is wrong */
	SCRAM_BAD,      /* the message breaks the protocol, or there is no memory */
};

/*
 * Feeds the client's next message (first: client-first-message, then client-final-message).
 * `reply` is appended to, for SCRAM_CONTINUE and SCRAM_DONE only. *error_out says what is wrong,
 * in a constant text without anything of the peer's, and is NULL when nothing is. After
 * SCRAM_DONE, SCRAM_WRONG or SCRAM_BAD every further message is SCRAM_BAD.
 */
enum scram_result scram_server_step(struct scram_server *server, const uint8_t *message,
				    size_t length, struct bytes *reply, const char **error_out);

/* --- client side: we log in to a server --- */

struct scram_client;

/* `password` in clear text; copied. NULL without memory. */
struct scram_client *scram_client_create(const char *password);
void scram_client_destroy(struct scram_client **client);

/* Appends the client-first-message. */
bool scram_client_first(struct scram_client *client, struct bytes *out);

/*
 * Feeds server-first-message (answers SCRAM_CONTINUE with the client-final-message), then
 * server-final-message (answers SCRAM_DONE, without a reply, or SCRAM_WRONG when the server could
 * not prove itself). `reply` and *error_out as above.
 */
enum scram_result scram_client_step(struct scram_client *client, const uint8_t *message,
				    size_t length, struct bytes *reply, const char **error_out);

#endif
