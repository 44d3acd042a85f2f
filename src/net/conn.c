/*
 * Stream sockets on a loop; see net/conn.h for the contract. One thread at a time owns a
 * connection. There is one function for each way a connection can change: deliver() is the only
 * caller of on_data(), conn_fail() the only beginning of the end, conn_update_events() the only
 * place that registers with libevent. What TLS changes is in conn_tls.c: handshakes, receiving,
 * transmitting.
 */
#include "net/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/panic.h"
#include "net/conn_private.h"
#include "net/tls_stream.h"

#define PAUSED_POLL_MAX   1024
#define LAST_READS_MAX    16
#define LINGER_READ_MAX   (1024 * 1024)
/* Output that came in pieces is kept in a buffer no larger than this once it is empty. */
#define IDLE_CAPACITY_MAX 2048

/* This thread's paused connections, for conn_check_paused(). */
static _Thread_local struct list paused;

static void on_event(evutil_socket_t fd, short what, void *context);
static void redeliver(struct conn *conn);

/* --- registration --- */

static void watch_paused(struct conn *conn, bool watch)
{
	if (paused.head.next == NULL)
		list_init(&paused);
	if (watch && !list_contains_node(&conn->paused_node))
		list_push_back(&paused, &conn->paused_node);
	else if (!watch && list_contains_node(&conn->paused_node))
		list_remove(&paused, &conn->paused_node);
}

/* What it should be registered for, by its flags. */
static short wanted_events(const struct conn *conn)
{
	short wanted = 0;

	if (!conn->loop || conn->has_failed || conn->is_destroyed)
		return 0;
	if (conn->is_connecting)
		return EV_WRITE;
	if (conn->tls && conn->tls->is_write_awaited)
		wanted |= EV_WRITE;
	if (conn_is_shaking(conn)) /* whatever its user wants to have read or sent */
		return wanted | EV_READ;
	if (!conn->is_paused && !conn->is_redelivery_due)
		wanted |= EV_READ;
	if (bytes_length(&conn->out) > 0)
		wanted |= EV_WRITE;
	return wanted;
}

static void disarm(struct conn *conn)
{
	if (conn->armed)
		event_del(&conn->event);
	conn->armed = 0;
}

static void arm(struct conn *conn, short wanted)
{
	usec left = conn->deadline - clock_now();
	struct timeval limit = { left / USEC_PER_SEC, left % USEC_PER_SEC };

	if (left <= 0)
		limit = (struct timeval){ 0, 1 };
	event_assign(&conn->event, loop_base(conn->loop), conn->fd, (short)(wanted | EV_PERSIST),
		     on_event, conn);
	event_add(&conn->event, conn->deadline ? &limit : NULL);
	conn->armed = wanted;
}

/* Makes the registration what the flags say. */
void conn_update_events(struct conn *conn)
{
	short wanted = wanted_events(conn);

	if (wanted != conn->armed) {
		disarm(conn);
		if (wanted)
			arm(conn, wanted);
	}
	watch_paused(conn, conn->loop && conn->is_paused && !conn_is_shaking(conn) &&
				   !conn->has_failed && !conn->is_destroyed);
}

/* --- the end --- */

static void read_the_rest(struct conn *conn);

static void report_failure(struct conn *conn)
{
	if (conn->is_finishing) {
		conn_destroy(&conn);
		return;
	}
	read_the_rest(conn);
	if (!conn->is_destroyed)
		conn->handler->on_closed(conn->context, conn->end, conn->error);
}

/* What was put off: kept bytes are offered, then a failure is reported. */
static void catch_up(void *context)
{
	struct conn *conn = context;

	if (!conn->is_redelivery_due) {
		report_failure(conn);
		return;
	}
	conn->is_redelivery_due = false;
	if (conn->has_failed)
		loop_defer(conn->loop, &conn->catching_up, catch_up, conn);
	redeliver(conn);
}

/* Notes that the connection is over; its user hears of it from the loop. */
void conn_fail(struct conn *conn, enum conn_end end, int error)
{
	if (conn->has_failed || conn->is_destroyed)
		return;
	conn->has_failed = true;
	conn->end = end;
	conn->error = error;
	conn_update_events(conn);
	loop_defer(conn->loop, &conn->catching_up, catch_up, conn);
}

/* --- input --- */

/* Gives the memory of an empty buffer back, so that an idle connection costs little. */
static void shrink(struct bytes *buffer)
{
	if (bytes_length(buffer) == 0 && buffer->capacity > 0)
		bytes_free(buffer);
}

/* May more be offered to the owner of now? It changes when a log-in becomes a session. */
static bool may_offer(const struct conn *conn)
{
	return !conn->is_destroyed && !conn->is_finishing && !conn->is_paused && conn->loop;
}

/*
 * Offers bytes until all are used or the owner wants more than there are; how many were used. An
 * owner that leaves some and used some is asked again: it may have made room for another owner.
 */
static size_t offer(struct conn *conn, const uint8_t *data, size_t length)
{
	size_t at = 0;
	size_t used;

	while (at < length && may_offer(conn)) {
		used = conn->handler->on_data(conn->context, data + at, length - at);
		ASSERT(used <= length - at);
		if (conn->is_destroyed || used == 0)
			break;
		at += used;
	}
	return at;
}

/*
 * Offers what is kept; what is used is dropped. The owner may drop some of it itself
 * (conn_consume()) only outside on_data().
 */
static void deliver_kept(struct conn *conn)
{
	size_t used = offer(conn, bytes_begin(&conn->in), bytes_length(&conn->in));

	if (conn->is_destroyed)
		return;
	bytes_consume(&conn->in, used);
	shrink(&conn->in);
}

/* Offers fresh bytes; the unused ones are kept. */
static void deliver(struct conn *conn, const uint8_t *data, size_t length)
{
	size_t used = 0;

	conn->total_in += length;
	if (bytes_length(&conn->in) > 0) {
		if (!bytes_append(&conn->in, data, length))
			conn_fail(conn, CONN_END_ERROR, ENOMEM);
		else if (may_offer(conn))
			deliver_kept(conn);
		return;
	}
	if (may_offer(conn))
		used = offer(conn, data, length);
	if (conn->is_destroyed)
		return;
	if (used < length && !bytes_append(&conn->in, data + used, length - used))
		conn_fail(conn, CONN_END_ERROR, ENOMEM);
}

static ssize_t receive_plain(struct conn *conn)
{
	ssize_t got;

	do {
		got = recv(conn->fd, loop_scratch(conn->loop), LOOP_SCRATCH_BYTES, MSG_DONTWAIT);
	} while (got == -1 && errno == EINTR);
	return got;
}

/* Whoever only waits for the end does not care what is inside TLS. */
static ssize_t receive(struct conn *conn)
{
	return conn->tls && !conn->is_finishing ? conn_receive_tls(conn) : receive_plain(conn);
}

/*
 * A peer that ends a connection often says why first (a server's FATAL). When our own sending
 * failed, that may still lie unread.
 */
static void read_the_rest(struct conn *conn)
{
	if (conn->end != CONN_END_ERROR || conn->is_paused || conn->is_connecting ||
	    conn_is_shaking(conn))
		return;
	for (int i = 0; i < LAST_READS_MAX && !conn->is_destroyed; i++) {
		ssize_t got = receive(conn);

		if (got <= 0)
			return;
		deliver(conn, loop_scratch(conn->loop), (size_t)got);
	}
}

static void linger_on(struct conn *conn, size_t length)
{
	conn->linger_read += length;
	if (conn->linger_read > LINGER_READ_MAX || clock_now() > conn->deadline)
		conn_destroy(&conn);
}

static void read_failed(struct conn *conn)
{
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return;
	if (conn->tls && !conn->is_finishing)
		conn_fail_tls(conn);
	else
		conn_fail(conn, CONN_END_ERROR, errno);
}

static void on_readable(struct conn *conn)
{
	ssize_t got = receive(conn);

	if (got == -1) {
		read_failed(conn);
	} else if (got == 0) {
		conn_fail(conn, CONN_END_EOF, 0);
	} else if (conn->is_finishing) {
		linger_on(conn, (size_t)got);
	} else {
		deliver(conn, loop_scratch(conn->loop), (size_t)got);
		conn_reread_if_due(conn);
	}
}

/* A step that needs no event: the first of a handshake, and what waits inside TLS. */
static void reread(void *context)
{
	struct conn *conn = context;

	if (conn->is_destroyed || conn->has_failed)
		return;
	if (conn_is_shaking(conn))
		conn_shake_hands(conn);
	else if (may_offer(conn) && !conn->is_redelivery_due)
		on_readable(conn);
}

void conn_reread(struct conn *conn)
{
	loop_defer(conn->loop, &conn->tls->reread, reread, conn);
}

void conn_reread_if_due(struct conn *conn)
{
	if (!conn->is_destroyed && conn->tls && conn->tls->is_more_due && may_offer(conn))
		conn_reread(conn);
}

static void redeliver(struct conn *conn)
{
	if (!may_offer(conn))
		return;
	deliver_kept(conn);
	if (conn->is_destroyed)
		return;
	conn_update_events(conn);
	conn_reread_if_due(conn);
}

/* Offers kept bytes from the loop, and reads no more before. */
static void defer_redelivery(struct conn *conn)
{
	conn->is_redelivery_due = true;
	loop_defer(conn->loop, &conn->catching_up, catch_up, conn);
}

static void cancel_redelivery(struct conn *conn)
{
	conn->is_redelivery_due = false;
	if (!conn->has_failed)
		loop_defer_cancel(conn->loop, &conn->catching_up);
}

/* What is kept, and what may be inside TLS, comes before what is still to be read. */
static void offer_again(struct conn *conn)
{
	if (conn->loop && bytes_length(&conn->in) > 0)
		defer_redelivery(conn);
	else if (conn->loop)
		conn_reread_if_due(conn);
	conn_update_events(conn);
}

void conn_pause(struct conn *conn)
{
	conn->is_paused = true;
	conn_update_events(conn);
}

void conn_resume(struct conn *conn)
{
	if (!conn->is_paused)
		return;
	conn->is_paused = false;
	offer_again(conn);
}

bool conn_is_paused(const struct conn *conn)
{
	return conn->is_paused;
}

const uint8_t *conn_input(struct conn *conn, size_t *length_out)
{
	*length_out = bytes_length(&conn->in);
	return bytes_begin(&conn->in);
}

void conn_consume(struct conn *conn, size_t length)
{
	ASSERT(length <= bytes_length(&conn->in));
	bytes_consume(&conn->in, length);
	shrink(&conn->in);
}

void conn_check_paused(void)
{
	static _Thread_local struct pollfd polled[PAUSED_POLL_MAX];
	static _Thread_local struct conn *conns[PAUSED_POLL_MAX];
	nfds_t count = 0;

	if (paused.head.next == NULL || list_is_empty(&paused))
		return;
	LIST_EACH (&paused, node) {
		if (count == PAUSED_POLL_MAX)
			break;
		conns[count] = LIST_ENTRY(node, struct conn, paused_node);
		polled[count].fd = conns[count]->fd;
		polled[count].events = POLLRDHUP;
		count++;
	}
	if (poll(polled, count, 0) <= 0)
		return;
	for (nfds_t i = 0; i < count; i++) {
		if (polled[i].revents & (POLLERR | POLLNVAL))
			conn_fail(conns[i], CONN_END_ERROR, ECONNRESET);
		else if (polled[i].revents & (POLLHUP | POLLRDHUP))
			conn_fail(conns[i], CONN_END_EOF, 0);
	}
	/* The looked-at ones go to the end, so that more than PAUSED_POLL_MAX all get their turn.
	 */
	for (nfds_t i = 0; i < count && count == PAUSED_POLL_MAX; i++) {
		if (!list_contains_node(&conns[i]->paused_node))
			continue;
		list_remove(&paused, &conns[i]->paused_node);
		list_push_back(&paused, &conns[i]->paused_node);
	}
}

/* --- output --- */

/* Hands bytes to the kernel; how many it took. A failure is noted and takes them all. */
static size_t transmit(struct conn *conn, const uint8_t *data, size_t length)
{
	size_t sent = 0;

	if (conn->tls)
		return conn_transmit_tls(conn, data, length);
	while (sent < length) {
		ssize_t n =
			send(conn->fd, data + sent, length - sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		if (n == -1) {
			conn_fail(conn, CONN_END_ERROR, errno);
			return length;
		}
		sent += (size_t)n;
	}
	conn->total_out += sent;
	return sent;
}

static bool can_send(const struct conn *conn)
{
	return !conn->has_failed && !conn->is_destroyed;
}

void conn_queue(struct conn *conn, const void *data, size_t length)
{
	if (can_send(conn) && !bytes_append(&conn->out, data, length))
		conn_fail(conn, CONN_END_ERROR, ENOMEM);
}

void conn_flush(struct conn *conn)
{
	size_t length = bytes_length(&conn->out);

	if (!can_send(conn) || conn->is_connecting || conn_is_shaking(conn) || !conn->loop)
		return;
	if (conn->out.failed) { /* a builder ran out of memory: the stream has a hole */
		conn_fail(conn, CONN_END_ERROR, ENOMEM);
		return;
	}
	if (length > 0 && !(conn->armed & EV_WRITE))
		bytes_consume(&conn->out, transmit(conn, bytes_begin(&conn->out), length));
	if (bytes_length(&conn->out) > 0)
		conn->is_drain_due = true;
	else if (conn->out.capacity > IDLE_CAPACITY_MAX)
		bytes_free(&conn->out);
	conn_update_events(conn);
}

void conn_send(struct conn *conn, const void *data, size_t length)
{
	size_t sent;

	if (!can_send(conn))
		return;
	if (bytes_length(&conn->out) > 0 || conn->is_connecting || conn_is_shaking(conn) ||
	    !conn->loop) {
		conn_queue(conn, data, length);
		conn_flush(conn);
		return;
	}
	sent = transmit(conn, data, length);
	if (sent < length) {
		conn_queue(conn, (const uint8_t *)data + sent, length - sent);
		conn->is_drain_due = true;
		conn_update_events(conn);
	}
}

size_t conn_unsent(const struct conn *conn)
{
	return bytes_length(&conn->out);
}

struct bytes *conn_out(struct conn *conn)
{
	return &conn->out;
}

static void shut_down_or_go(struct conn *conn)
{
	if (conn->tls)
		tls_stream_shut(conn->tls->stream);
	if (shutdown(conn->fd, SHUT_WR) == -1)
		conn_destroy(&conn);
}

static void on_connect_result(struct conn *conn, short what)
{
	int error = 0;
	socklen_t length = sizeof(error);

	if (what & EV_TIMEOUT) {
		conn_fail(conn, CONN_END_TIMEOUT, ETIMEDOUT);
		return;
	}
	if (getsockopt(conn->fd, SOL_SOCKET, SO_ERROR, &error, &length) == -1)
		error = errno;
	if (error) {
		conn_fail(conn, CONN_END_ERROR, error);
		return;
	}
	conn->is_connecting = false;
	conn->deadline = 0;
	disarm(conn);
	conn_update_events(conn);
	conn->handler->on_connected(conn->context);
	if (!conn->is_destroyed)
		conn_flush(conn);
}

static void on_writable(struct conn *conn)
{
	if (conn->tls && conn->tls->is_write_awaited) {
		conn->tls->is_write_awaited = false;
		conn->tls->is_more_due = true;
		conn_reread_if_due(conn);
	}
	if (bytes_length(&conn->out) == 0) {
		conn_update_events(conn);
		return;
	}
	bytes_consume(&conn->out,
		      transmit(conn, bytes_begin(&conn->out), bytes_length(&conn->out)));
	conn_update_events(conn);
	if (conn->has_failed || bytes_length(&conn->out) > 0)
		return;
	shrink(&conn->out);
	if (conn->is_finishing) {
		shut_down_or_go(conn);
	} else if (conn->is_drain_due) {
		conn->is_drain_due = false;
		if (conn->handler->on_drained)
			conn->handler->on_drained(conn->context);
	}
}

static void on_event(evutil_socket_t fd, short what, void *context)
{
	struct conn *conn = context;

	(void)fd;
	if (conn->is_destroyed || conn->has_failed)
		return;
	if (conn->is_connecting) {
		on_connect_result(conn, what);
		return;
	}
	if (what & EV_TIMEOUT) {
		conn_destroy(&conn); /* only a finishing one has a time-out */
		return;
	}
	if (conn_is_shaking(conn)) {
		conn_shake_hands(conn);
		return;
	}
	if (what & EV_WRITE)
		on_writable(conn);
	/* Writing may have ended it, or stopped its reading. */
	if (what & conn->armed & EV_READ)
		on_readable(conn);
}

/* --- life --- */

static struct conn *allocate(struct loop *loop, int fd, const struct conn_handler *handler,
			     void *context)
{
	struct conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->loop = loop;
	conn->fd = fd;
	conn->handler = handler;
	conn->context = context;
	return conn;
}

struct conn *conn_create(struct loop *loop, int fd, const struct conn_handler *handler,
			 void *context)
{
	struct conn *conn = allocate(loop, fd, handler, context);

	if (conn)
		conn_update_events(conn);
	return conn;
}

static bool begin_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	int result;

	do {
		result = connect(fd, address, length);
	} while (result == -1 && errno == EINTR);
	/* EAGAIN: a unix socket whose backlog is full; nothing would ever report its progress. */
	return result == 0 || errno == EINPROGRESS;
}

struct conn *conn_connect(struct loop *loop, const struct sockaddr *address, socklen_t length,
			  usec timeout, const struct conn_handler *handler, void *context)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct conn *conn;

	if (fd == -1)
		return NULL;
	if (!begin_connect(fd, address, length))
		goto out;
	conn = allocate(loop, fd, handler, context);
	if (!conn) {
		errno = ENOMEM;
		goto out;
	}
	conn->is_connecting = true;
	conn->deadline = timeout > 0 ? clock_now() + timeout : 0;
	conn_update_events(conn);
	return conn;
out : {
	int saved = errno;

	close(fd);
	errno = saved;
}
	return NULL;
}

void conn_destroy(struct conn **conn_pointer)
{
	struct conn *conn = *conn_pointer;
	struct loop *loop;

	*conn_pointer = NULL;
	if (!conn || conn->is_destroyed)
		return;
	loop = conn->loop;
	conn->is_destroyed = true;
	conn_update_events(conn);
	conn_free_tls(conn);
	close(conn->fd);
	bytes_free(&conn->in);
	bytes_free(&conn->out);
	if (!loop) {
		free(conn);
		return;
	}
	loop_defer_cancel(loop, &conn->catching_up);
	loop_defer_free(loop, conn);
}

void conn_finish(struct conn **conn_pointer, usec linger)
{
	struct conn *conn = *conn_pointer;

	*conn_pointer = NULL;
	if (!conn || conn->is_destroyed)
		return;
	conn_flush(conn);
	if (conn->has_failed || conn->is_connecting || conn_is_shaking(conn)) {
		conn_destroy(&conn);
		return;
	}
	conn->is_finishing = true;
	conn->is_paused = false;
	cancel_redelivery(conn);
	conn->deadline = clock_now() + linger;
	disarm(conn);
	conn_update_events(conn);
	if (bytes_length(&conn->out) == 0)
		shut_down_or_go(conn);
}

void conn_set_handler(struct conn *conn, const struct conn_handler *handler, void *context)
{
	conn->handler = handler;
	conn->context = context;
}

void conn_detach(struct conn *conn)
{
	ASSERT(conn->loop && !conn->is_connecting && !conn->is_finishing &&
	       !conn_is_shaking(conn));
	disarm(conn);
	conn->is_redelivery_due = false;
	loop_defer_cancel(conn->loop, &conn->catching_up);
	if (conn->tls)
		loop_defer_cancel(conn->loop, &conn->tls->reread);
	watch_paused(conn, false);
	conn->loop = NULL;
}

bool conn_attach(struct conn *conn, struct loop *loop)
{
	ASSERT(!conn->loop);
	conn->loop = loop;
	if (conn->has_failed) /* it had not been reported on the other loop */
		loop_defer(loop, &conn->catching_up, catch_up, conn);
	else if (!conn->is_paused)
		offer_again(conn);
	conn_update_events(conn);
	return true;
}

/* --- facts --- */

int conn_fd(const struct conn *conn)
{
	return conn->fd;
}

uint64_t conn_bytes_in(const struct conn *conn)
{
	return conn->total_in;
}

uint64_t conn_bytes_out(const struct conn *conn)
{
	return conn->total_out;
}

void conn_trim(struct conn *conn)
{
	if (bytes_length(&conn->out) == 0 && conn->out.capacity > 0 && !conn->out.failed)
		bytes_free(&conn->out);
}

size_t conn_memory(const struct conn *conn)
{
	size_t tls = conn->tls ? sizeof(*conn->tls) + tls_stream_memory(conn->tls->stream) : 0;

	return sizeof(*conn) + conn->in.capacity + conn->out.capacity + tls;
}

static bool has_hung_up(int fd)
{
	struct pollfd polled = { fd, POLLRDHUP, 0 };

	return poll(&polled, 1, 0) == 1 && polled.revents != 0;
}

bool conn_is_stale(const struct conn *conn)
{
	char byte;
	ssize_t got;

	if (conn->has_failed)
		return true;
	got = recv(conn->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (got > 0) /* last words, such as TLS's own */
		return has_hung_up(conn->fd);
	return got == 0 ||
	       (got == -1 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

static void set_option(int fd, int level, int name, int value)
{
	/* A refused option is no reason to refuse the connection. */
	(void)setsockopt(fd, level, name, &value, sizeof(value));
}

void conn_set_tcp_options(int fd, const struct conn_tcp_options *options)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &length) == -1 ||
	    address.ss_family == AF_UNIX)
		return;
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	if (options->user_timeout_ms > 0)
		set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options->user_timeout_ms);
	if (options->socket_buffer > 0) {
		set_option(fd, SOL_SOCKET, SO_SNDBUF, options->socket_buffer);
		set_option(fd, SOL_SOCKET, SO_RCVBUF, options->socket_buffer);
	}
	if (!options->keepalive)
		return;
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	if (options->keepidle_s > 0)
		set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, options->keepidle_s);
	if (options->keepintvl_s > 0)
		set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, options->keepintvl_s);
	if (options->keepcnt > 0)
		set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, options->keepcnt);
}

void conn_address_text(const struct sockaddr *address, char *host_out, size_t host_size,
		       int *port_out)
{
	*port_out = 0;
	if (address->sa_family == AF_INET) {
		const struct sockaddr_in *in = (const void *)address;

		inet_ntop(AF_INET, &in->sin_addr, host_out, (socklen_t)host_size);
		*port_out = ntohs(in->sin_port);
	} else if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const void *)address;

		inet_ntop(AF_INET6, &in6->sin6_addr, host_out, (socklen_t)host_size);
		*port_out = ntohs(in6->sin6_port);
	} else {
		snprintf(host_out, host_size, "unix");
	}
}
