#ifndef POINTSMAN_NET_CONN_H
#define POINTSMAN_NET_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "net/loop.h"

/*
 * A stream socket on a loop: bytes in, bytes out, bounded, and one way to end. It knows nothing
 * of PostgreSQL. With TLS (conn_start_tls()) all of this stays as it is: the bytes are those
 * inside.
 *
 * Input. on_data() is given all bytes not consumed so far and says how many it used; the rest is
 * kept and offered again, in front of what comes next. While reading is paused nothing is
 * offered, but a peer that closes is still noticed (conn_check_paused).
 *
 * Output. conn_send() writes at once what the kernel takes and keeps the rest; conn_queue()
 * only collects, so that many small pieces leave in one system call with the next conn_send() or
 * conn_flush(). Nothing limits the queue but its user: see conn_unsent() and CONN_HIGH_WATER.
 *
 * The end. Any failure is reported once, through on_closed(), from the loop (never out of a
 * call into this module); after it, and after conn_destroy(), no callback comes any more.
 */
struct conn;

/* Above this many unsent bytes a user stops reading what feeds the connection ... */
#define CONN_HIGH_WATER 16384
/* ... until on_drained() says that the queue is empty. */

enum conn_end {
	CONN_END_EOF,     /* the peer closed */
	CONN_END_ERROR,   /* a system call failed, `error` is its errno */
	CONN_END_TIMEOUT, /* conn_connect() took too long */
	CONN_END_TLS,     /* the handshake failed, or TLS was broken: conn_tls_error() says why */
};

struct conn_handler {
	/* Returns how many of the bytes it used (0..length). May destroy the connection. */
	size_t (*on_data)(void *context, const uint8_t *data, size_t length);
	/* The output queue, which had been left non-empty by conn_send() or conn_flush(), is
	 * empty. May be NULL. */
	void (*on_drained)(void *context);
	void (*on_closed)(void *context, enum conn_end end, int error);
	/* After conn_connect(), and again when a handshake begun by conn_start_tls() is over. May
	 * be NULL where nobody waits for either. */
	void (*on_connected)(void *context);
};

/*
 * Takes over an open, connected, non-blocking socket and begins to read. NULL without memory;
 * then the socket is still the caller's.
 */
struct conn *conn_create(struct loop *loop, int fd, const struct conn_handler *handler,
			 void *context);

/*
 * Begins to connect, for at most `timeout` (0: as long as the system tries). on_connected() or
 * on_closed() follows, both from the loop. NULL when not
 * even that could begin (errno is set).
 */
struct conn *conn_connect(struct loop *loop, const struct sockaddr *address, socklen_t length,
			  usec timeout, const struct conn_handler *handler, void *context);

/* Closes the socket now and frees the rest after the batch. Sets the pointer to NULL, accepts
 * NULL. */
void conn_destroy(struct conn **conn);

/*
 * The polite end: what is queued is still sent, then our side is shut down and the peer is given
 * a moment to read it and close (at most `linger` in all). The connection is out of the caller's
 * hands at once. Sets the pointer to NULL, accepts NULL.
 */
void conn_finish(struct conn **conn, usec linger);

/* Another owner: its callbacks from now on. */
void conn_set_handler(struct conn *conn, const struct conn_handler *handler, void *context);

/* --- TLS --- */

struct tls_context;

/*
 * Begins a handshake: as a server or as a client, as the context was made for. Nothing is offered
 * until it is over, what is sent meanwhile is queued; then on_connected() comes, or on_closed()
 * with CONN_END_TLS. It has no time-out of its own.
 *
 * `host` is whom a client expects (NULL for a server). `early` are bytes that on_data() was given
 * and that belong to the handshake: all of them, or what came before TLS would be taken for what
 * came inside it. The output must be empty. A reference to the context is taken. false without
 * memory: destroy the connection then. Once in the life of a connection.
 */
bool conn_start_tls(struct conn *conn, struct tls_context *context, const char *host,
		    const uint8_t *early, size_t early_length);

/* What conn_start_tls() was given, for another connection to the same peer; NULL without TLS.
 * Valid as long as the connection. */
struct tls_context *conn_tls_context(const struct conn *conn);
const char *conn_tls_host(const struct conn *conn);

/* The handshake is over and good. */
bool conn_is_encrypted(const struct conn *conn);

/* Why it ended with CONN_END_TLS, for people. */
const char *conn_tls_error(const struct conn *conn);

/*
 * Channel binding tls-server-end-point (RFC 5929): the hash of the server's certificate, which is
 * ours when the peer is a client. Returns its length; 0: no TLS, or a certificate for which it is
 * not defined.
 */
#define CONN_END_POINT_MAX 64
size_t conn_tls_server_end_point(const struct conn *conn, uint8_t out[CONN_END_POINT_MAX]);

/*
 * Who the peer is by its certificate: the common name, the distinguished name (RFC 2253). NULL
 * unless it sent one and that was verified. Valid as long as the connection.
 */
const char *conn_tls_peer_name(const struct conn *conn);
const char *conn_tls_peer_dn(const struct conn *conn);

/* Did the peer, by ALPN, ask for PostgreSQL's protocol? */
bool conn_tls_has_alpn(const struct conn *conn);

/* "TLSv1.3/TLS_AES_256_GCM_SHA384/ECDH=X25519"; "" without TLS. */
#define CONN_TLS_TEXT_BYTES 128
void conn_tls_describe(const struct conn *conn, char out[CONN_TLS_TEXT_BYTES]);

/* --- input --- */

/* Stops / goes on offering data. Going on offers what is kept, from the loop, before more is
 * read. */
void conn_pause(struct conn *conn);
void conn_resume(struct conn *conn);
bool conn_is_paused(const struct conn *conn);

/* What is kept, for a user that comes back to it outside on_data(). Valid until the next turn of
 * the loop. */
const uint8_t *conn_input(struct conn *conn, size_t *length_out);

/* Drops the first `length` kept bytes. */
void conn_consume(struct conn *conn, size_t length);

/* --- output --- */

void conn_queue(struct conn *conn, const void *data, size_t length);
void conn_send(struct conn *conn, const void *data, size_t length);
void conn_flush(struct conn *conn);
size_t conn_unsent(const struct conn *conn);

/* The queue itself, for builders (wire/build.h); follow with conn_flush(). */
struct bytes;
struct bytes *conn_out(struct conn *conn);

/* --- moving to another thread --- */

/* Takes it off its loop: no callbacks until conn_attach(), which any thread may call for its own
 * loop. Not while it connects, shakes hands or finishes. */
void conn_detach(struct conn *conn);
/* false without descriptors or memory: destroy it then. */
bool conn_attach(struct conn *conn, struct loop *loop);

/* --- facts --- */

int conn_fd(const struct conn *conn);
uint64_t conn_bytes_in(const struct conn *conn);
uint64_t conn_bytes_out(const struct conn *conn);
/* Gives back the memory of buffers that are empty: for a connection that has nothing to do. */
void conn_trim(struct conn *conn);
/* Heap held by it and its buffers. */
size_t conn_memory(const struct conn *conn);

/*
 * Looks at all paused connections of this thread, with one poll(2), for peers that have gone;
 * their on_closed() follows. To be called a few times a second. (Waiting for that by events is
 * not possible: epoll reports a broken socket whose reading is off without end.)
 */
void conn_check_paused(void);

/* true when the peer has closed or the socket is broken although no event said so yet (a peek;
 * for idle ones). */
bool conn_is_stale(const struct conn *conn);

struct conn_tcp_options {
	bool keepalive;
	int keepidle_s;
	int keepintvl_s;
	int keepcnt;
	int user_timeout_ms; /* with and without keepalive */
	int socket_buffer;   /* bytes, each way; 0: the system's */
};
/* TCP_NODELAY and the above; nothing on a unix socket. */
void conn_set_tcp_options(int fd, const struct conn_tcp_options *options);

/* "127.0.0.1" and port of an address; "unix" and 0 for a unix socket. */
void conn_address_text(const struct sockaddr *address, char *host_out, size_t host_size,
		       int *port_out);

#endif
