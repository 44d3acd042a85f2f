#ifndef POINTSMAN_AUTH_PASSWORD_H
#define POINTSMAN_AUTH_PASSWORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Clear-text and MD5 passwords (PostgreSQL src/common/md5_common.c): what goes over the wire is
 * "md5" || hex(md5( hex(md5(password || user)) || salt )). All comparisons take the same time
 * whatever differs.
 */

#define MD5_RESPONSE_BYTES 36 /* "md5", 32 digits, NUL */

/*
 * The answer to AuthenticationMD5Password. `secret` is the clear password or its "md5..." form.
 * false when the secret is of another kind (SCRAM) or OpenSSL refuses MD5.
 */
bool password_md5_response(const char *secret, const char *user, const uint8_t salt[4],
			   char out[MD5_RESPONSE_BYTES]);

/* Does the client's answer to AuthenticationMD5Password prove the secret? `secret` NULL: no. */
bool password_md5_check(const char *secret, const char *user, const uint8_t salt[4],
			const char *response);

/*
 * Does the clear-text password that a client sent fit the secret, of whatever kind it is
 * (plain, md5, SCRAM)? `secret` NULL: no, after the same work. `client_key_out` (NULL: not
 * wanted) is filled when it fits a SCRAM secret.
 */
bool password_plain_check(const char *secret, const char *user, const char *password,
			  uint8_t *client_key_out);

#endif
