/*
 * Listening sockets: opening them, TCP and unix, and accepting from them. It neither decides who
 * may connect nor reads from what it accepted. Opening runs at start, in the supervisor, and
 * may block on name resolution; accepting runs on the control thread's loop.
 */

#include "net/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/log.h"

/* Accepted in one turn, so that a storm of connects leaves room for probes and the console. */
#define ACCEPT_BATCH_MAX 64

/* How long accepting rests when there is nothing to accept with. */
#define ACCEPT_PAUSE USEC_PER_SEC

/* Lifetime: the serving process's, until the end of the batch in which it is destroyed. */
struct listener {
	struct loop *loop;
	int fd;
	listener_accepted accepted;
	void *context;
	struct event *event;
	struct loop_timer *pause;
	struct log_limit log_limit;
	bool is_dead;
};

static void set_error(char *error, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void set_error(char *error, size_t size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(error, size, format, arguments);
	va_end(arguments);
}

/* close() that keeps errno, for error paths. */
static void close_quietly(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

/* A bound and listening socket, or -1 with errno. */
static int open_address(const struct addrinfo *address, int backlog)
{
	static const int on = 1;
	int fd = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
			address->ai_protocol);

	if (fd == -1)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == -1)
		goto out;
	/* The IPv4 wildcard has a socket of its own, whatever net.ipv6.bindv6only says. */
	if (address->ai_family == AF_INET6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == -1)
		goto out;
	if (bind(fd, address->ai_addr, address->ai_addrlen) == -1)
		goto out;
	if (listen(fd, backlog) == -1)
		goto out;
	return fd;

out:
	close_quietly(fd);
	return -1;
}

/* /etc/hosts may name one address twice. */
static bool is_repeated(const struct addrinfo *first, const struct addrinfo *address)
{
	for (const struct addrinfo *before = first; before != address; before = before->ai_next)
		if (before->ai_addrlen == address->ai_addrlen &&
		    memcmp(before->ai_addr, address->ai_addr, address->ai_addrlen) == 0)
			return true;
	return false;
}

/* "*" means what this machine has: a kernel without IPv6, or with none configured, is no error.
 */
static bool is_missing_family(const char *host, int error)
{
	return strcmp(host, "*") == 0 &&
	       (error == EAFNOSUPPORT || error == EADDRNOTAVAIL || error == EPROTONOSUPPORT);
}

static int open_all(const struct addrinfo *addresses, const char *host, int backlog, int *fds_out,
		    int max)
{
	int n = 0;

	for (const struct addrinfo *at = addresses; at && n < max; at = at->ai_next) {
		if (is_repeated(addresses, at))
			continue;
		fds_out[n] = open_address(at, backlog);
		if (fds_out[n] != -1)
			n++;
		else if (!is_missing_family(host, errno))
			goto out;
	}
	if (n > 0)
		return n;
	errno = EADDRNOTAVAIL;

out:
	while (n > 0)
		close_quietly(fds_out[--n]);
	return -1;
}

int listener_open_tcp(const char *host, int port, int backlog, int *fds_out, int max,
		      char *error_out, size_t error_size)
{
	const struct addrinfo wanted = {
		.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_protocol = IPPROTO_TCP,
	};
	struct addrinfo *addresses = NULL;
	char service[16];
	int result, n;

	snprintf(service, sizeof(service), "%d", port);
	result = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, service, &wanted, &addresses);
	if (result != 0) {
		set_error(error_out, error_size, "cannot resolve \"%s\": %s", host,
			  result == EAI_SYSTEM ? strerror(errno) : gai_strerror(result));
		return -1;
	}
	n = open_all(addresses, host, backlog, fds_out, max);
	if (n == -1)
		set_error(error_out, error_size, "cannot listen on %s port %d: %s", host, port,
			  strerror(errno));
	freeaddrinfo(addresses);
	return n;
}

void listener_defer_accept(int fd)
{
	int seconds = LISTENER_DEFER_SECONDS;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds));
}

bool listener_unix_path(const char *directory, int port, char *path_out, size_t path_size)
{
	int length = snprintf(path_out, path_size, "%s/.s.PGSQL.%d", directory, port);

	return length >= 0 && (size_t)length < path_size;
}

enum socket_file {
	SOCKET_FILE_NONE,
	SOCKET_FILE_DEAD,
	SOCKET_FILE_LIVE,
	SOCKET_FILE_FOREIGN
};

/* Is somebody behind the file? Only a refused connection proves that nobody is. */
static enum socket_file look_at_file(const struct sockaddr_un *address)
{
	enum socket_file found = SOCKET_FILE_LIVE;
	struct stat status;
	int fd;

	if (lstat(address->sun_path, &status) == -1)
		return errno == ENOENT ? SOCKET_FILE_NONE : SOCKET_FILE_LIVE;
	if (!S_ISSOCK(status.st_mode))
		return SOCKET_FILE_FOREIGN;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return SOCKET_FILE_LIVE;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == -1) {
		if (errno == ECONNREFUSED)
			found = SOCKET_FILE_DEAD;
		else if (errno == ENOENT)
			found = SOCKET_FILE_NONE;
	}
	close_quietly(fd);
	return found;
}

/* Nobody can connect before listen(), but a file with the wrong mode must not show up at all. */
static int bind_with_mode(int fd, const struct sockaddr_un *address, int mode)
{
	mode_t before = umask(~(mode_t)mode & 0777);
	int result = bind(fd, (const struct sockaddr *)address, sizeof(*address));
	int saved = errno;

	umask(before);
	errno = saved;
	return result;
}

/* Binds and listens; leaves no file behind when it fails. */
static bool listen_at(int fd, const struct sockaddr_un *address, int mode, int backlog)
{
	int saved;

	if (bind_with_mode(fd, address, mode) == -1)
		return false;
	/* The umask can only take away from what the kernel begins with. */
	if (chmod(address->sun_path, (mode_t)mode) == 0 && listen(fd, backlog) == 0)
		return true;
	saved = errno;
	unlink(address->sun_path);
	errno = saved;
	return false;
}

/* Clears the way for bind(); false with a text in error_out when somebody is in it. */
static bool make_room(const struct sockaddr_un *address, char *error_out, size_t error_size)
{
	const char *path = address->sun_path;

	switch (look_at_file(address)) {
	case SOCKET_FILE_NONE: return true;
	case SOCKET_FILE_DEAD:
		if (unlink(path) == 0 || errno == ENOENT)
			return true;
		set_error(error_out, error_size, "cannot remove the dead socket %s: %s", path,
			  strerror(errno));
		return false;
	case SOCKET_FILE_LIVE:
		set_error(error_out, error_size,
			  "%s is in use by another process, or cannot be looked at", path);
		return false;
	case SOCKET_FILE_FOREIGN:
		set_error(error_out, error_size, "%s exists and is not a socket", path);
		return false;
	}
	return false;
}

int listener_open_unix(const char *directory, int port, int mode, int backlog, char *error_out,
		       size_t error_size)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (!listener_unix_path(directory, port, address.sun_path, sizeof(address.sun_path))) {
		set_error(error_out, error_size,
			  "the socket directory \"%s\" has too long a name", directory);
		return -1;
	}
	if (!make_room(&address, error_out, error_size))
		return -1;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd != -1 && listen_at(fd, &address, mode, backlog))
		return fd;
	set_error(error_out, error_size, "cannot listen on %s: %s", address.sun_path,
		  strerror(errno));
	if (fd != -1)
		close_quietly(fd);
	return -1;
}

static void rest(struct listener *listener)
{
	unsigned suppressed;

	if (log_limit_pass(&listener->log_limit, &suppressed)) {
		log_warn(NULL, "cannot accept connections, trying again every %lld ms",
			 (long long)(ACCEPT_PAUSE / USEC_PER_MS));
		if (suppressed > 0)
			log_warnx(NULL, "(%u more failures to accept were not logged)",
				  suppressed);
	}
	event_del(listener->event);
	loop_timer_start(listener->pause, ACCEPT_PAUSE);
}

static void on_pause_over(void *context)
{
	struct listener *listener = context;

	if (event_add(listener->event, NULL) == -1)
		loop_timer_start(listener->pause, ACCEPT_PAUSE);
}

/*
 * Errors that are about the one connection that is gone already; accept(2) says to treat
 * what the network reports through accept() like EAGAIN and go on.
 */
static bool is_about_peer(int error)
{
	switch (error) {
	case EINTR:
	case ECONNABORTED:
	case EPERM: /* a firewall rule */
	case EPROTO:
	case ENOPROTOOPT:
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
	case ENONET:
	case EOPNOTSUPP: return true;
	default: return false;
	}
}

/* One connection; false when this turn is over. */
static bool accept_one(struct listener *listener)
{
	struct sockaddr_storage address = { 0 };
	socklen_t length = sizeof(address);
	int fd = accept4(listener->fd, (struct sockaddr *)&address, &length,
			 SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd != -1) {
		listener->accepted(listener->context, fd, (struct sockaddr *)&address, length);
		return !listener->is_dead;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return false;
	if (is_about_peer(errno))
		return true;
	/* EMFILE, ENFILE, ENOBUFS, ENOMEM, and whatever else would come back at once. */
	rest(listener);
	return false;
}

static void on_readable(evutil_socket_t fd, short what, void *context)
{
	struct listener *listener = context;

	(void)fd;
	(void)what;
	for (int i = 0; i < ACCEPT_BATCH_MAX; i++)
		if (!accept_one(listener))
			return;
}

struct listener *listener_create(struct loop *loop, int fd, listener_accepted accepted,
				 void *context)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return NULL;
	listener->loop = loop;
	listener->fd = fd;
	listener->accepted = accepted;
	listener->context = context;
	listener->log_limit = (struct log_limit){ .burst = 1, .period_ms = 60000 };
	listener->pause = loop_timer_create(loop, on_pause_over, listener);
	listener->event =
		event_new(loop_base(loop), fd, EV_READ | EV_PERSIST, on_readable, listener);
	if (!listener->pause || !listener->event || event_add(listener->event, NULL) == -1)
		listener_destroy(&listener);
	return listener;
}

void listener_destroy(struct listener **listener_ref)
{
	struct listener *listener = *listener_ref;

	if (!listener)
		return;
	*listener_ref = NULL;
	if (listener->event)
		event_free(listener->event);
	loop_timer_destroy(&listener->pause);
	listener->is_dead = true;
	loop_defer_free(listener->loop, listener);
}
