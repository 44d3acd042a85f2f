#ifndef POINTSMAN_AUTH_SASLPREP_H
#define POINTSMAN_AUTH_SASLPREP_H

/*
 * SASLprep (RFC 4013) as PostgreSQL applies it to passwords (src/common/saslprep.c): ASCII is
 * taken as it is; so is text that is not valid UTF-8 or has characters that the profile
 * prohibits; all other text is mapped and normalised.
 *
 * The result is the caller's, to be freed with OPENSSL_clear_free() or free(). NULL without
 * memory.
 */
char *saslprep_password(const char *password);

#endif
