#ifndef POINTSMAN_AUTH_KEYRING_H
#define POINTSMAN_AUTH_KEYRING_H

#include <stdbool.h>
#include <stddef.h>

#include "auth/scram.h"

/*
 * What clients have proved, for logging in to servers as them: one for the process, so that any
 * worker's pool can be filled, also when the client is gone. An entry belongs to a user of a
 * cluster and to one secret; a key is never given out for another secret than the one it was
 * proved against. Any thread; a lock of its own, held for a look-up.
 *
 * Bounded: of more than `max` users, those whose keys were used longest ago are forgotten.
 * Everything is zeroed when it is freed.
 */
struct keyring;

/* Whose. */
struct keyring_owner {
	const char *cluster;
	/*
	 * "" for a user of the user list. Else the database (on the servers) through which the
	 * secret was looked up: what one database's auth_query says is nothing to another's.
	 */
	const char *database;
	const char *user;
};

/* A secret, and what is known of it. */
struct keyring_secret {
	char *text; /* from malloc, see auth/userlist.h for its forms; NULL: there is none */
	bool has_key;
	uint8_t client_key[SCRAM_KEY_BYTES];
};

/* NULL without memory. */
struct keyring *keyring_create(size_t max);
void keyring_destroy(struct keyring **ring);

/*
 * `secret` is the owner's now; `client_key` (NULL: not known) belongs to it. A key that was known
 * for the same secret stays known; all that was known of another secret is forgotten. false
 * without memory: as if it had not been called.
 */
bool keyring_put(struct keyring *ring, const struct keyring_owner *owner, const char *secret,
		 const uint8_t client_key[SCRAM_KEY_BYTES]);

/*
 * What is known of the owner; `secret` not NULL: of this secret only. false: nothing, or no
 * memory. *out is the caller's, see keyring_secret_free().
 */
bool keyring_get(struct keyring *ring, const struct keyring_owner *owner, const char *secret,
		 struct keyring_secret *out);

/* Forgets every entry for which `keep` is false; `keep` must not call back. */
void keyring_sweep(struct keyring *ring,
		   bool (*keep)(void *context, const struct keyring_owner *owner,
				const char *secret),
		   void *context);

size_t keyring_count(struct keyring *ring);

/* Zeroes and frees what it holds, and empties it. */
void keyring_secret_free(struct keyring_secret *secret);

#endif
