#ifndef POINTSMAN_AUTH_SCRAM_H
#define POINTSMAN_AUTH_SCRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/*
 * SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), both roles, as PostgreSQL speaks it
 * (src/backend/libpq/auth-scram.c, src/interfaces/libpq/fe-auth-scram.c): the user name inside
 * the exchange is ignored, passwords go through SASLprep where they are valid UTF-8 and are taken
 * as they are elsewhere. Every message of the peer is hostile: nonces, salts and iteration counts
 * are bounded. Nothing is of fixed size.
 *
 * Channel binding is tls-server-end-point (RFC 5929): the hash of the server's certificate, which
 * whoever owns the connection hands in. Both ends prove with the password that they see the same
 * certificate, so that nobody in between can have ended the TLS.
 */

#define SCRAM_MECHANISM      "SCRAM-SHA-256"
#define SCRAM_MECHANISM_PLUS "SCRAM-SHA-256-PLUS"
#define SCRAM_KEY_BYTES      32
#define SCRAM_END_POINT_MAX  64
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
 * millisecond or so to derive, each call costs that, until scram_warm_end(). NULL without memory.
 */
struct scram_server *scram_server_create(const char *user, const char *secret);
void scram_server_destroy(struct scram_server **server);

/*
 * Deriving the keys of the plain secrets of a list beforehand, so that log-ins need not: begin,
 * then warm_up() for each user, one at a time where others wait for the thread, then end. From
 * then on no log-in of a listed user costs a derivation, and none of another costs one in vain;
 * a new list begins anew. What no user of it has is forgotten at the end. warm_up() is false
 * without memory: do not end then.
 */
void scram_warm_begin(void);
bool scram_warm_up(const char *user, const char *secret);
void scram_warm_end(void);

/*
 * To be called before the first step on a connection with TLS. `is_plus`: the client has chosen
 * SCRAM_MECHANISM_PLUS. `length` 0: this connection has no end point, and so SCRAM_MECHANISM_PLUS
 * was not among the mechanisms offered; else it was.
 */
void scram_server_bind(struct scram_server *server, bool is_plus, const uint8_t *end_point,
		       size_t length);

enum scram_result {
	SCRAM_CONTINUE, /* `reply` is to be sent, another message is due */
	SCRAM_DONE,     /* proved; a server's last `reply` goes with AuthenticationSASLFinal */
	SCRAM_WRONG,    /* the proof or the server's signature is wrong */
	SCRAM_BAD,      /* the message breaks the protocol, or there is no memory */
	/* Server: the client would have bound to the channel and was told that we cannot. */
	SCRAM_DOWNGRADED,
	/* Client with a key: the server's secret has another salt or count than ours. */
	SCRAM_OTHER_SECRET,
};

/*
 * Feeds the client's next message (first: client-first-message, then client-final-message).
 * `reply` is appended to, for SCRAM_CONTINUE and SCRAM_DONE only. *error_out says what is wrong,
 * in a constant text without anything of the peer's, and is NULL when nothing is. After
 * SCRAM_DONE, SCRAM_WRONG or SCRAM_BAD every further message is SCRAM_BAD.
 */
enum scram_result scram_server_step(struct scram_server *server, const uint8_t *message,
				    size_t length, struct bytes *reply, const char **error_out);

/*
 * After SCRAM_DONE: the client's ClientKey, which its proof has revealed. With it, one can log in
 * wherever the same secret is stored: as precious as the password itself. false: nothing is
 * proved.
 */
bool scram_server_client_key(const struct scram_server *server, uint8_t out[SCRAM_KEY_BYTES]);

/*
 * Does the clear-text password fit the SCRAM secret? Any other secret, and NULL, is no, after the
 * work that a real one of SCRAM_ITERATIONS costs. `client_key_out`, which may be NULL, is filled
 * when it fits.
 */
bool scram_secret_check(const char *secret, const char *user, const char *password,
			uint8_t client_key_out[SCRAM_KEY_BYTES]);

/* --- client side: we log in to a server --- */

struct scram_client;

/* `password` in clear text; copied. NULL without memory. */
struct scram_client *scram_client_create(const char *password);
void scram_client_destroy(struct scram_client **client);

/*
 * Instead of a password: the SCRAM secret that is stored for the user and the ClientKey that
 * belongs to it (scram_server_client_key()). Works with servers that have the same secret. Both
 * are copied. NULL without memory.
 */
struct scram_client *scram_client_create_with_key(const char *secret,
						  const uint8_t client_key[SCRAM_KEY_BYTES]);

/* libpq's channel_binding. */
enum scram_channel_binding {
	SCRAM_BINDING_DISABLE,
	SCRAM_BINDING_PREFER,
	SCRAM_BINDING_REQUIRE,
};

/* "disable", "prefer", "require". */
const char *scram_channel_binding_name(enum scram_channel_binding binding);

/* What a server offers on a connection. */
struct scram_offer {
	bool has_scram;
	bool has_plus;
	bool is_encrypted;
	const uint8_t *end_point; /* of the server's certificate */
	size_t end_point_length;  /* 0: there is none */
};

/*
 * The mechanism to ask for, as libpq chooses; to be called before scram_client_first(). NULL:
 * there is none, and *error_out says why.
 */
const char *scram_client_choose(struct scram_client *client, const struct scram_offer *offer,
				enum scram_channel_binding wish, const char **error_out);

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
