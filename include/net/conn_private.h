#ifndef POINTSMAN_NET_CONN_PRIVATE_H
#define POINTSMAN_NET_CONN_PRIVATE_H

#include <sys/types.h>

#include <event2/event_struct.h>

#include "base/bytes.h"
#include "base/list.h"
#include "net/conn.h"

/* What conn.c and conn_tls.c share with each other and with nobody else. */

struct tls_stream;

/* What only an encrypted connection has. Lifetime: from conn_start_tls() to the connection's end.
 */
struct conn_tls {
	struct tls_stream *stream;
	bool is_shaking;       /* hands: nothing goes in or out for our user yet */
	bool is_more_due;      /* reading ended for want of room: there may be more inside */
	bool is_write_awaited; /* the handshake, or a read, waits for room in the socket */
	struct loop_deferred reread;
};

struct conn {
	struct loop *loop;
	int fd;
	const struct conn_handler *handler;
	void *context;

	/* One for both directions: what it is registered for is `armed`. An idle connection is
	 * to cost little, and a struct event is large. */
	struct event event;
	struct bytes in;      /* offered and not consumed */
	struct bytes out;     /* accepted and not sent */
	struct conn_tls *tls; /* NULL: none */

	short armed; /* EV_READ, EV_WRITE; 0: not registered */
	bool is_connecting;
	bool is_paused;
	bool is_redelivery_due; /* kept bytes are to be offered again */
	bool is_drain_due;      /* on_drained() is owed once `out` is empty */
	bool has_failed;        /* on_closed() is owed or was called */
	bool is_destroyed;
	bool is_finishing;
	enum conn_end end;
	int error;

	usec deadline; /* of connecting, of finishing; 0: none */
	size_t linger_read;
	uint64_t total_in;
	uint64_t total_out;
	struct loop_deferred catching_up; /* calls catch_up() */
	struct list_node paused_node;
};

/* --- conn.c --- */

/* Makes the registration what the flags say. */
void conn_update_events(struct conn *conn);

/* Notes that the connection is over; its user hears of it from the loop. */
void conn_fail(struct conn *conn, enum conn_end end, int error);

/* Goes on with the handshake, or reads, after this batch of events. */
void conn_reread(struct conn *conn);

/* The same, when something may wait inside TLS. */
void conn_reread_if_due(struct conn *conn);

/* --- conn_tls.c --- */

static inline bool conn_is_shaking(const struct conn *conn)
{
	return conn->tls && conn->tls->is_shaking;
}

/* The next step of the handshake. May destroy the connection. */
void conn_shake_hands(struct conn *conn);

/* recv() into the loop's scratch memory: a length, 0 at the end, -1 with errno; EPROTO: see
 * conn_fail_tls(). */
ssize_t conn_receive_tls(struct conn *conn);

/* Hands bytes to TLS; how many it took. A failure is noted and takes them all. */
size_t conn_transmit_tls(struct conn *conn, const uint8_t *data, size_t length);

/* conn_fail() for what TLS says, be it the system's fault or the peer's. */
void conn_fail_tls(struct conn *conn);

/* Tells the peer, if it is still there, and frees. */
void conn_free_tls(struct conn *conn);

#endif
