#ifndef POINTSMAN_NET_TLS_PRIVATE_H
#define POINTSMAN_NET_TLS_PRIVATE_H

#include <openssl/types.h>
#include <stdatomic.h>
#include <stddef.h>

#include "net/tls.h"

/* What tls.c and tls_stream.c share with each other and with nobody else. */

/* Process lifetime, or until the last connection that began with it has gone. */
struct tls_context {
	SSL_CTX *ssl;
	enum tls_role role;
	enum tls_mode mode;
	atomic_uint references;
};

/* The name of PostgreSQL's protocol, as ALPN writes it: its length first (RFC 7301, 3.1). */
static const unsigned char tls_alpn[] = "\012postgresql";
#define TLS_ALPN_BYTES 11

/* OpenSSL's reason, or the system's, for one code of its error queue. */
void tls_error_text(unsigned long code, char *out, size_t size);

#endif
