#ifndef POINTSMAN_PROBE_RESOLVE_H
#define POINTSMAN_PROBE_RESOLVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "net/loop.h"

/*
 * Names of nodes to addresses, without blocking: /etc/hosts and DNS by libevent's resolver. A
 * changed /etc/resolv.conf or /etc/hosts is noticed at the next question.
 */

#define RESOLVE_ADDRESSES_MAX 8

struct resolve_address {
	struct sockaddr_storage address;
	socklen_t length;
};

struct resolve_addresses {
	struct resolve_address at[RESOLVE_ADDRESSES_MAX];
	size_t n;
};

struct resolver;
struct resolve_request;

/* Comes from the loop, once. `error` is NULL when there is at least one address. */
typedef void (*resolve_done)(void *context, const struct resolve_addresses *addresses,
			     const char *error);

/*
 * What needs no resolver: an IPv4 or IPv6 address, or a directory (beginning with '/') that has
 * the server's unix socket. false for a name, and for a directory whose name is too long.
 */
bool resolve_literal(const char *host, int port, struct resolve_addresses *out);

/* Opens nothing before the first question. NULL without memory. */
struct resolver *resolver_create(struct loop *loop);

/*
 * Forgets all requests. What libevent still has in flight is given back in the loop's next
 * turns. Accepts NULL.
 */
void resolver_destroy(struct resolver **resolver);

/* NULL without memory, then `done` is not called. The request is gone once it was. */
struct resolve_request *resolve_start(struct resolver *resolver, const char *host, int port,
				      resolve_done done, void *context);

/* `done` will not be called. Sets the pointer to NULL, accepts NULL. */
void resolve_cancel(struct resolve_request **request);

/* The same address and port? */
bool resolve_is_same(const struct resolve_address *a, const struct resolve_address *b);

#endif
