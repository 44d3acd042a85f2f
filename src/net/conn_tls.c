/*
 * The part of net/conn.h that TLS adds: the handshake, receiving and transmitting through
 * net/tls_stream, and what is known of the peer. Registration and callbacks stay in conn.c. The
 * thread that owns the connection runs it.
 */
#include "net/conn.h"

#include <errno.h>
#include <stdlib.h>

#include "base/panic.h"
#include "net/conn_private.h"
#include "net/tls_stream.h"

void conn_fail_tls(struct conn *conn)
{
	int error = tls_stream_errno(conn->tls->stream);

	if (error && !conn_is_shaking(conn))
		conn_fail(conn, CONN_END_ERROR, error);
	else
		conn_fail(conn, CONN_END_TLS, EPROTO);
}

/* --- bytes --- */

/*
 * As much as fits. What stays inside shows on no socket, so is_more_due remembers it; also an end
 * that is met behind some bytes is met again.
 */
ssize_t conn_receive_tls(struct conn *conn)
{
	struct conn_tls *tls = conn->tls;
	uint8_t *scratch = loop_scratch(conn->loop);
	enum tls_result result = TLS_DONE;
	size_t length = 0;

	while (length < LOOP_SCRATCH_BYTES && result == TLS_DONE) {
		size_t got = 0;

		result = tls_stream_read(tls->stream, scratch + length,
					 LOOP_SCRATCH_BYTES - length, &got);
		length += got;
	}
	tls->is_more_due = result != TLS_WANT_READ && result != TLS_WANT_WRITE;
	tls->is_write_awaited = result == TLS_WANT_WRITE;
	conn_update_events(conn);
	if (length > 0)
		return (ssize_t)length;
	switch (result) {
	case TLS_EOF: return 0;
	case TLS_FAILED: errno = EPROTO; return -1;
	default: errno = EAGAIN; return -1;
	}
}

size_t conn_transmit_tls(struct conn *conn, const uint8_t *data, size_t length)
{
	size_t sent = 0;

	while (sent < length) {
		size_t n = 0;
		enum tls_result result =
			tls_stream_write(conn->tls->stream, data + sent, length - sent, &n);

		if (result == TLS_WANT_WRITE)
			break;
		/* It never wants to read: there is no renegotiation. */
		if (result != TLS_DONE) {
			conn_fail_tls(conn);
			return length;
		}
		sent += n;
	}
	conn->total_out += sent;
	return sent;
}

/* --- the handshake --- */

void conn_shake_hands(struct conn *conn)
{
	enum tls_result result = tls_stream_handshake(conn->tls->stream);

	conn->tls->is_write_awaited = result == TLS_WANT_WRITE;
	conn_update_events(conn);
	if (result == TLS_WANT_READ || result == TLS_WANT_WRITE)
		return;
	if (result != TLS_DONE) {
		conn_fail_tls(conn);
		return;
	}
	conn->tls->is_shaking = false;
	conn->tls->is_more_due = true; /* what came right behind the handshake was read with it */
	conn_update_events(conn);
	if (conn->handler->on_connected)
		conn->handler->on_connected(conn->context);
	if (conn->is_destroyed)
		return;
	conn_flush(conn);
	conn_reread_if_due(conn);
}

bool conn_start_tls(struct conn *conn, struct tls_context *context, const char *host,
		    const uint8_t *early, size_t early_length)
{
	struct conn_tls *tls = calloc(1, sizeof(*tls));

	ASSERT(!conn->tls && conn->loop && !conn->is_connecting && !conn->is_finishing);
	if (!tls)
		return false;
	tls->stream = tls_stream_create(context, conn->fd, host, early, early_length);
	if (!tls->stream) {
		free(tls);
		return false;
	}
	tls->is_shaking = true;
	conn->tls = tls;
	if (bytes_length(&conn->out) > 0) /* a byte that does not fit into an empty socket */
		conn_fail(conn, CONN_END_ERROR, ENOBUFS);
	conn_update_events(conn);
	conn_reread(conn);
	return true;
}

/* Its last words are for a peer that is still there. */
void conn_free_tls(struct conn *conn)
{
	if (!conn->tls)
		return;
	if (!conn->has_failed)
		tls_stream_shut(conn->tls->stream);
	if (conn->loop)
		loop_defer_cancel(conn->loop, &conn->tls->reread);
	tls_stream_destroy(&conn->tls->stream);
	free(conn->tls);
	conn->tls = NULL;
}

struct tls_context *conn_tls_context(const struct conn *conn)
{
	return conn->tls ? tls_stream_context(conn->tls->stream) : NULL;
}

const char *conn_tls_host(const struct conn *conn)
{
	return conn->tls ? tls_stream_host(conn->tls->stream) : NULL;
}

bool conn_is_encrypted(const struct conn *conn)
{
	return conn->tls && !conn->tls->is_shaking;
}

const char *conn_tls_error(const struct conn *conn)
{
	return conn->tls ? tls_stream_error(conn->tls->stream) : "";
}

_Static_assert(CONN_END_POINT_MAX == TLS_END_POINT_MAX, "one buffer for both");

size_t conn_tls_server_end_point(const struct conn *conn, uint8_t out[CONN_END_POINT_MAX])
{
	return conn->tls ? tls_stream_end_point(conn->tls->stream, out) : 0;
}

const char *conn_tls_peer_name(const struct conn *conn)
{
	return conn->tls ? tls_stream_peer_name(conn->tls->stream) : NULL;
}

const char *conn_tls_peer_dn(const struct conn *conn)
{
	return conn->tls ? tls_stream_peer_dn(conn->tls->stream) : NULL;
}

bool conn_tls_has_alpn(const struct conn *conn)
{
	return conn->tls && tls_stream_has_alpn(conn->tls->stream);
}

void conn_tls_describe(const struct conn *conn, char out[CONN_TLS_TEXT_BYTES])
{
	out[0] = '\0';
	if (conn_is_encrypted(conn))
		tls_stream_describe(conn->tls->stream, out, CONN_TLS_TEXT_BYTES);
}
