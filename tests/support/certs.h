#ifndef POINTSMAN_TESTS_SUPPORT_CERTS_H
#define POINTSMAN_TESTS_SUPPORT_CERTS_H

#include <stdbool.h>

/*
 * Certificates for tests, made while they run: <directory>/<name>.crt and <name>.key, in PEM, the
 * key for the owner only. Functions return false after having said why on standard error.
 */

/* Zero or NULL takes the default, named here. */
struct cert_options {
	const char *common_name; /* the certificate's name; "" for none */
	const char *issuer;      /* name of the CA that signs it; itself */
	const char *alternative; /* "DNS:localhost,IP:127.0.0.1"; none */
	int days;                /* until it ends; 30. Below 0: it has ended */
	bool is_ca;
	bool is_rsa;     /* with an RSA key of 2048 bits; of the curve P-256 */
	bool is_ed25519; /* whose signature has no hash of its own */
};

bool cert_make(const char *directory, const char *name, const struct cert_options *options);

#endif
