#ifndef POINTSMAN_TESTS_SUPPORT_TLS_CLIENT_H
#define POINTSMAN_TESTS_SUPPORT_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "raw.h"

/*
 * A client with OpenSSL under its own hands, for what libpq does not do: direct TLS, the wrong
 * protocol by ALPN, cancel requests through TLS. Blocking; every wait ends after
 * RAW_TIMEOUT_MS.
 */
struct tls_client;

/*
 * Shakes hands on a connection of raw_open(), which is its own then, also on failure. `alpn`: the
 * protocol to offer, NULL for none. NULL when the handshake fails.
 */
struct tls_client *tls_client_begin(struct raw **raw, const char *alpn);

/* Opens one to 127.0.0.1 and shakes hands; `is_direct`: without an SSLRequest. NULL on failure.
 */
struct tls_client *tls_client_open(int port, bool is_direct, const char *alpn);

/* Accepts NULL. */
void tls_client_close(struct tls_client **client);

bool tls_client_send(struct tls_client *client, const void *data, size_t length);

/* StartupMessage of protocol 3.0. */
bool tls_client_startup(struct tls_client *client, const char *user, const char *database);

/* The next message: its type, 0 at the end. The body is valid until the next one. */
char tls_client_read(struct tls_client *client, const uint8_t **body_out, size_t *length_out);

/* Reads up to ReadyForQuery; keeps pid and key of BackendKeyData. */
bool tls_client_read_until_ready(struct tls_client *client, uint32_t *pid_out, uint32_t *key_out);

/* The common name of the other side's certificate; valid as long as the client. */
const char *tls_client_peer(struct tls_client *client);

#endif
