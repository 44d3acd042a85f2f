#ifndef POINTSMAN_NET_TLS_H
#define POINTSMAN_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * TLS contexts: certificates, keys and rules, read from files once and immutable from then on. A
 * reload makes new ones; connections that began with an old one keep it for as long as they
 * live. Any thread.
 */

/* libpq's sslmode. What each word means depends on the end, see docs/tls.md. */
enum tls_mode {
	TLS_DISABLE,
	TLS_ALLOW,
	TLS_PREFER,
	TLS_REQUIRE,
	TLS_VERIFY_CA,
	TLS_VERIFY_FULL,
	TLS_MODE_COUNT
};

/* "disable", "allow", ... */
const char *tls_mode_name(enum tls_mode mode);

/* Which end of the handshake we are. */
enum tls_role {
	TLS_ROLE_SERVER, /* our clients connect to us */
	TLS_ROLE_CLIENT, /* we connect to servers */
};

/* Strings may be NULL or empty: none, or OpenSSL's default. */
struct tls_settings {
	enum tls_mode mode;
	const char *ca_file;
	const char *cert_file; /* with the certificates up to, but without, the root */
	const char *key_file;
	const char *protocols;    /* see tls_protocols_parse() */
	const char *ciphers;      /* OpenSSL's list, TLS 1.2 and older */
	const char *ciphersuites; /* the same for TLS 1.3 */
	const char *curves;       /* "X25519:prime256v1"; "auto": the default */
};

bool tls_settings_are_same(const struct tls_settings *a, const struct tls_settings *b);

/*
 * Versions from a list such as "tlsv1.2,tlsv1.3", or PgBouncer's words: secure (the default),
 * all, legacy. The numbers are OpenSSL's (TLS1_2_VERSION). false, with a text for people in
 * error_out, for unknown words and for lists with a gap, which no handshake can express.
 */
bool tls_protocols_parse(const char *text, int *lowest_out, int *highest_out, char *error_out,
			 size_t error_size);

/* "TLSv1.2", as libpq and OpenSSL write it. */
const char *tls_version_name(int version);

struct tls_context;

/*
 * Reads the files. One reference, the caller's. NULL with a text in error_out: a file that is not
 * there or not what it should be, a key that does not fit its certificate, an unknown cipher, no
 * memory. The mode must not be TLS_DISABLE.
 *
 * As a server: with a CA, clients are asked for a certificate, and one that they send must be
 * good; with a mode of verify-ca and above they must send one.
 * As a client: the server's certificate is verified with verify-ca and above, and its name
 * against the host's with verify-full.
 */
struct tls_context *tls_context_create(enum tls_role role, const struct tls_settings *settings,
				       char *error_out, size_t error_size);

/* One more / one less reference. unref sets the pointer to NULL; both accept NULL. */
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context **context);

enum tls_mode tls_context_mode(const struct tls_context *context);

/* Both ends of a configuration. Each is NULL where the mode is TLS_DISABLE. */
struct tls_pair {
	struct tls_context *clients; /* for who connects to us */
	struct tls_context *servers; /* for whom we connect to */
};

#endif
