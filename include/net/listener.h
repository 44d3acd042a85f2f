#ifndef POINTSMAN_NET_LISTENER_H
#define POINTSMAN_NET_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "net/loop.h"

/*
 * Listening sockets. Opening is apart from accepting, since the supervisor opens them once and
 * every serving process accepts from them.
 */

/*
 * Opens a non-blocking TCP listening socket for each address `host` resolves to ("*": all of IPv4
 * and IPv6), at most `max`. Returns how many, or -1 with a text in error_out.
 */
int listener_open_tcp(const char *host, int port, int backlog, int *fds_out, int max,
		      char *error_out, size_t error_size);

/*
 * The kernel keeps connections to itself on which nobody has said anything for so long
 * (TCP_DEFER_ACCEPT). A refusal is no reason to do without the socket.
 */
#define LISTENER_DEFER_SECONDS 45
void listener_defer_accept(int fd);

/*
 * Opens <directory>/.s.PGSQL.<port>, with `mode` as its permissions, replacing a dead socket but
 * never a live one. Returns the socket, or -1 with a text in error_out.
 */
int listener_open_unix(const char *directory, int port, int mode, int backlog, char *error_out,
		       size_t error_size);

/* <directory>/.s.PGSQL.<port>; false when it does not fit. */
bool listener_unix_path(const char *directory, int port, char *path_out, size_t path_size);

struct listener;

/* `fd` is non-blocking and the callee's now; `address` is the peer's. */
typedef void (*listener_accepted)(void *context, int fd, const struct sockaddr *address,
				  socklen_t length);

/*
 * Accepts from `fd` (which stays the caller's). Out of descriptors it pauses for a while and logs
 * once, rather than spinning.
 */
struct listener *listener_create(struct loop *loop, int fd, listener_accepted accepted,
				 void *context);
void listener_destroy(struct listener **listener);

#endif
