#ifndef POINTSMAN_AUTH_SCRAM_INTERNAL_H
#define POINTSMAN_AUTH_SCRAM_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/scram.h"
#include "base/bytes.h"

/*
 * What the other files of this layer, and its tests, need of scram.c and scram_keys.c; nobody
 * else includes it.
 */

#define BASE64_SIZE(n) (((n) + 2) / 3 * 4 + 1)

struct scram_keys {
	uint8_t client_key[SCRAM_KEY_BYTES];
	uint8_t stored_key[SCRAM_KEY_BYTES];
	uint8_t server_key[SCRAM_KEY_BYTES];
};

/* A SCRAM secret taken apart; `salt` is base64 and points into the secret's text. */
struct scram_secret {
	uint32_t iterations;
	const char *salt;
	size_t salt_length;
	uint8_t stored_key[SCRAM_KEY_BYTES];
	uint8_t server_key[SCRAM_KEY_BYTES];
};

/* false when the text is not "SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey". */
bool scram_secret_parse(const char *text, struct scram_secret *out);

/* A positive number without sign, blanks or leading zeros, up to INT32_MAX. */
bool scram_parse_iterations(const uint8_t *text, size_t length, uint32_t *out);

/* --- base64 --- */

/* Base64 without line breaks, strict: full quanta, padding at the end only, no stray bits.
 * `out` has room for length / 4 * 3 bytes; NULL: only checks. */
bool scram_base64_decode(const void *text, size_t length, uint8_t *out, size_t *length_out);

/* A key that is written in base64; nothing of another length is one. */
bool scram_decode_key(const void *text, size_t length, uint8_t key[SCRAM_KEY_BYTES]);

/* Appends; false without memory. */
bool scram_append_base64(struct bytes *out, const uint8_t *data, size_t length);

/* From malloc; NULL without memory. */
char *scram_base64_of(const uint8_t *data, size_t length);

/* --- keys --- */

bool scram_sha256(const uint8_t *data, size_t length, uint8_t out[SCRAM_KEY_BYTES]);
bool scram_hmac(const uint8_t key[SCRAM_KEY_BYTES], const void *data, size_t length,
		uint8_t out[SCRAM_KEY_BYTES]);

/* HMAC-SHA-256 under a random key of this process. */
bool scram_process_hmac(const void *data, size_t length, uint8_t out[SCRAM_KEY_BYTES]);

/* `prepared` has been through SASLprep. This is what takes the time in a login. */
bool scram_derive_keys(const char *prepared, const uint8_t *salt, size_t salt_length,
		       uint32_t iterations, struct scram_keys *out);

/* The same, from a password as it was typed and a salt in base64. */
bool scram_derive_keys_of(const char *password, const char *salt, size_t salt_length,
			  uint32_t iterations, struct scram_keys *out);

/* --- keys that were derived before (scram_cache.c) --- */

enum scram_cache {
	SCRAM_CACHE_OWN,     /* for clients that log in to us */
	SCRAM_CACHE_SERVERS, /* for servers that we log in to: with their salts */
};

enum scram_derived {
	SCRAM_DERIVED_NOT, /* no memory */
	SCRAM_DERIVED_NOW,
	SCRAM_DERIVED_BEFORE, /* it took no time */
};

/* As scram_derive_keys(), but once for each password, salt and count. For passwords that are
 * stored, never for those that somebody tries. */
enum scram_derived scram_cache_derive(enum scram_cache which, const char *prepared,
				      const uint8_t *salt, size_t salt_length,
				      uint32_t iterations, struct scram_keys *out);

/* Forgets what was not used since the last call of the former. */
void scram_cache_next_generation(enum scram_cache which);
void scram_cache_drop_older(enum scram_cache which);
size_t scram_cache_count(enum scram_cache which);

/*
 * The salt of users whose secret has none: those with a password in clear text, and those that
 * do not exist. It is the same each time, as a stored salt is. From malloc; NULL without memory.
 */
char *scram_mock_salt(const char *user);

/* Tests: what a random nonce would be, and the name that the client-first-message has (else
 * none). */
bool scram_client_fix(struct scram_client *client, const char *user, const char *nonce);
bool scram_server_fix(struct scram_server *server, const char *nonce);

#endif
