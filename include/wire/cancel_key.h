#ifndef POINTSMAN_WIRE_CANCEL_KEY_H
#define POINTSMAN_WIRE_CANCEL_KEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What a CancelRequest must show (PostgreSQL documentation, "Canceling Requests in Progress",
 * "Message Formats": BackendKeyData, CancelRequest): a number that finds the session, and a
 * secret that proves the right to. Before protocol 3.2 the secret has four bytes, from 3.2 on 4
 * to 256.
 */

#define CANCEL_SECRET_MIN   4
#define CANCEL_SECRET_MAX   256
#define CANCEL_SECRET_SHORT 4  /* what a client of 3.0 and 3.1 is given */
#define CANCEL_SECRET_LONG  32 /* ... and one of 3.2 */
#define CANCEL_LONG_MINOR   2  /* the first minor version with keys of other lengths */

struct cancel_key {
	uint32_t pid;
	uint16_t length; /* of the secret; 0: there is no key */
	uint8_t secret[CANCEL_SECRET_MAX];
};

/* false when the secret's length is none of the above; then the key is without one. */
bool cancel_key_set(struct cancel_key *key, uint32_t pid, const void *secret, size_t length);

/*
 * Reads the body of a BackendKeyData, as protocol 3.`minor` allows it. false when it is
 * malformed.
 */
bool cancel_key_read(struct cancel_key *key, unsigned minor, const uint8_t *body, size_t length);

/* How long it takes does not tell where the first difference is. */
bool cancel_secret_is(const struct cancel_key *key, const uint8_t *secret, size_t length);

#endif
