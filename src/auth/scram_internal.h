#ifndef POINTSMAN_AUTH_SCRAM_INTERNAL_H
#define POINTSMAN_AUTH_SCRAM_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the other files of this layer, and its tests, need of scram.c; nobody else includes it.
 */

#define SCRAM_KEY_BYTES 32

struct scram_client;
struct scram_server;

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

/*
 * Does the clear-text password fit the SCRAM secret? Any other secret, and NULL, is no, after the
 * work that a real one of SCRAM_ITERATIONS costs.
 */
bool scram_secret_check(const char *secret, const char *user, const char *password);

/* HMAC-SHA-256 under a random key of this process. */
bool scram_process_hmac(const void *data, size_t length, uint8_t out[SCRAM_KEY_BYTES]);

/* Tests: what a random nonce would be, and the name that the client-first-message has (else
 * none). */
bool scram_client_fix(struct scram_client *client, const char *user, const char *nonce);
bool scram_server_fix(struct scram_server *server, const char *nonce);

/* Base64 without line breaks, strict: full quanta, padding at the end only, no stray bits.
 * `out` NULL only checks. */
bool scram_base64_decode(const void *text, size_t length, uint8_t *out, size_t *length_out);

#endif
