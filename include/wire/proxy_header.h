#ifndef POINTSMAN_WIRE_PROXY_HEADER_H
#define POINTSMAN_WIRE_PROXY_HEADER_H

#include <stddef.h>
#include <stdint.h>

/*
 * The header of the PROXY protocol, with which a load balancer says whose connection it passes on
 * ("The PROXY protocol, Versions 1 & 2", haproxy.org). It comes before anything else, TLS
 * included. Whom to believe is the caller's business.
 */

/* What is expected at the beginning of a connection. */
enum proxy_protocol {
	PROXY_PROTOCOL_OFF,
	PROXY_PROTOCOL_V1,  /* a line of text */
	PROXY_PROTOCOL_V2,  /* binary */
	PROXY_PROTOCOL_ANY, /* the one or the other */
	PROXY_PROTOCOL_COUNT
};

/* "off", "v1", "v2", "any". */
const char *proxy_protocol_name(enum proxy_protocol protocol);

#define PROXY_HEADER_V1_MAX 107         /* the line with its CR LF, says the protocol */
#define PROXY_HEADER_V2_MAX (16 + 4096) /* its length field could say 64 kB, nobody does */

enum proxy_header_result {
	PROXY_HEADER_OK,
	PROXY_HEADER_NEED_MORE,
	PROXY_HEADER_BAD, /* no header of the expected kind, or a malformed one */
};

struct proxy_header {
	size_t size; /* bytes of it, for the caller to consume */
	/*
	 * 4 or 6: the client's address and port. 0: none is given, and the connection's own stays
	 * the client's: LOCAL (a health check of the balancer itself), UNKNOWN, a unix socket.
	 */
	uint8_t family;
	uint8_t address[16]; /* in network order; the first four for IPv4 */
	uint16_t port;
};

/*
 * Reads a header from the start of data[0..length). Whatever cannot become one is BAD with its
 * first byte that does not fit; NEED_MORE never waits for more than the maximum above. `expected`
 * is not OFF.
 */
enum proxy_header_result proxy_header_parse(const uint8_t *data, size_t length,
					    enum proxy_protocol expected,
					    struct proxy_header *out);

#endif
