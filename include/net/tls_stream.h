#ifndef POINTSMAN_NET_TLS_STREAM_H
#define POINTSMAN_NET_TLS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/tls.h"

/*
 * TLS over one non-blocking socket: handshake, reading, writing. What the loop has to wait for is
 * told by the results. Only net/conn uses this; one thread at a time.
 */
struct tls_stream;

enum tls_result {
	TLS_DONE,
	TLS_WANT_READ,  /* again when the socket is readable */
	TLS_WANT_WRITE, /* again when it is writable; with the same bytes in front */
	TLS_EOF,        /* the peer has ended the stream, politely or not */
	TLS_FAILED,     /* see tls_stream_error(); for good */
};

/*
 * Begins on a connected socket, which stays the caller's and must outlive the stream. `host`:
 * whom a client expects at the other end, a name or an address; NULL for a server. `early`: bytes
 * that were received already and belong to the handshake; they are copied. A reference of its own
 * to the context is taken. NULL without memory.
 */
struct tls_stream *tls_stream_create(struct tls_context *context, int fd, const char *host,
				     const uint8_t *early, size_t early_length);

/* Frees it without a word to the peer. Sets the pointer to NULL, accepts NULL. */
void tls_stream_destroy(struct tls_stream **stream);

/* TLS_EOF does not come of it: an end before the end of the handshake is a failure. */
enum tls_result tls_stream_handshake(struct tls_stream *stream);

/* TLS_DONE: *got_out (1..size) bytes. */
enum tls_result tls_stream_read(struct tls_stream *stream, uint8_t *out, size_t size,
				size_t *got_out);

/* TLS_DONE: the first *sent_out (1..length) bytes have been handed to the kernel. */
enum tls_result tls_stream_write(struct tls_stream *stream, const uint8_t *data, size_t length,
				 size_t *sent_out);

/* Tells the peer that nothing more comes, if that can be done at once. */
void tls_stream_shut(struct tls_stream *stream);

/* --- facts --- */

/* What it was created with. */
struct tls_context *tls_stream_context(const struct tls_stream *stream);
const char *tls_stream_host(const struct tls_stream *stream);

/* Why it failed, for people: "certificate verify failed: certificate has expired". */
const char *tls_stream_error(const struct tls_stream *stream);
/* The errno of the system call that failed; 0: it was the protocol. */
int tls_stream_errno(const struct tls_stream *stream);

/* Of the peer's certificate, when it has been verified; else NULL. */
const char *tls_stream_peer_name(const struct tls_stream *stream); /* the common name */
const char *tls_stream_peer_dn(const struct tls_stream *stream);   /* RFC 2253 */

/* The hash of the server's certificate for channel binding; how many bytes (0: there is none). */
#define TLS_END_POINT_MAX 64
size_t tls_stream_end_point(const struct tls_stream *stream, uint8_t out[TLS_END_POINT_MAX]);

/* Did the peers agree, by ALPN, that PostgreSQL's protocol is what will be spoken? */
bool tls_stream_has_alpn(const struct tls_stream *stream);

/* "TLSv1.3/TLS_AES_256_GCM_SHA384/ECDH=X25519", cut at `size`. */
void tls_stream_describe(const struct tls_stream *stream, char *out, size_t size);

/* About what one costs while it is idle. */
size_t tls_stream_memory(const struct tls_stream *stream);

#endif
