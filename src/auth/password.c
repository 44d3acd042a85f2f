/*
 * Clear-text and MD5 passwords: what to answer to a server that asks for one, and whether a
 * client's answer proves the secret that we have. Where an answer is judged, everything is
 * computed whatever kind of secret there is, and none at all included, so that time tells
 * nothing. Pure; any thread.
 */

#include "auth/password.h"
#include "auth/method.h"
#include "base/panic.h"

#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "auth/userlist.h"

#include "scram_internal.h"

#define MD5_BYTES    16
#define MD5_DIGITS   32
#define PASSWORD_MAX 65535 /* PostgreSQL's bound for a password message */

/*
 * Hex digits of md5(a || b) and a NUL. A provider may refuse MD5 (FIPS): fetched each time rather
 * than through EVP_md5(), so that the refusal comes here and not at first use.
 */
static bool md5_hex(const void *a, size_t a_length, const void *b, size_t b_length,
		    char out[MD5_DIGITS + 1])
{
	EVP_MD *md5 = EVP_MD_fetch(NULL, "MD5", NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t digest[MD5_BYTES];
	bool is_made;

	is_made = md5 != NULL && ctx != NULL && EVP_DigestInit_ex(ctx, md5, NULL) == 1 &&
		  EVP_DigestUpdate(ctx, a, a_length) == 1 &&
		  EVP_DigestUpdate(ctx, b, b_length) == 1 &&
		  EVP_DigestFinal_ex(ctx, digest, NULL) == 1;
	for (size_t i = 0; is_made && i < sizeof(digest); i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
	EVP_MD_CTX_free(ctx);
	EVP_MD_free(md5);
	return is_made;
}

/* The digits behind "md5" in the stored form of a secret: made from a clear one, or copied. */
static bool md5_of_secret(const char *secret, const char *user, char out[MD5_DIGITS + 1])
{
	if (!md5_hex(secret, strlen(secret), user, strlen(user), out))
		return false;
	if (secret_kind_of(secret) == SECRET_MD5)
		memcpy(out, secret + 3, MD5_DIGITS + 1);
	return true;
}

static bool make_response(const char *secret, const char *user, const uint8_t salt[4],
			  char out[MD5_RESPONSE_BYTES])
{
	char stored[MD5_DIGITS + 1];
	bool is_made;

	memcpy(out, "md5", 3);
	is_made = md5_of_secret(secret, user, stored) &&
		  md5_hex(stored, MD5_DIGITS, salt, 4, out + 3);
	OPENSSL_cleanse(stored, sizeof(stored));
	return is_made;
}

static bool has_md5_form(const char *secret)
{
	enum secret_kind kind = secret_kind_of(secret);

	return kind == SECRET_PLAIN || kind == SECRET_MD5;
}

bool password_md5_response(const char *secret, const char *user, const uint8_t salt[4],
			   char out[MD5_RESPONSE_BYTES])
{
	return has_md5_form(secret) && make_response(secret, user, salt, out);
}

bool password_md5_check(const char *secret, const char *user, const uint8_t salt[4],
			const char *response)
{
	char expected[MD5_RESPONSE_BYTES] = "";
	bool is_equal;

	if (!make_response(secret != NULL ? secret : "", user, salt, expected))
		return false;
	is_equal = strlen(response) == MD5_RESPONSE_BYTES - 1 &&
		   CRYPTO_memcmp(response, expected, MD5_RESPONSE_BYTES - 1) == 0;
	return is_equal && has_md5_form(secret);
}

/* Compares digests, so that the time depends on neither text. */
static bool is_same_text(const char *a, const char *b)
{
	uint8_t of_a[SCRAM_KEY_BYTES];
	uint8_t of_b[SCRAM_KEY_BYTES];

	return scram_process_hmac(a, strlen(a), of_a) && scram_process_hmac(b, strlen(b), of_b) &&
	       CRYPTO_memcmp(of_a, of_b, sizeof(of_a)) == 0;
}

static bool fits_md5(const char *secret, const char *user, const char *password)
{
	char expected[MD5_DIGITS + 1];

	if (!md5_hex(password, strlen(password), user, strlen(user), expected))
		return false;
	return is_same_text(secret + (secret_kind_of(secret) == SECRET_MD5 ? 3 : 0), expected);
}

bool password_plain_check(const char *secret, const char *user, const char *password,
			  uint8_t *client_key_out)
{
	const char *text = secret != NULL ? secret : "";
	bool as_plain;
	bool as_md5;
	bool as_scram;

	/* As in PostgreSQL an empty password is none. These two tell only what the client knows.
	 */
	if (password[0] == '\0' || strlen(password) > PASSWORD_MAX)
		return false;
	as_plain = is_same_text(text, password);
	as_md5 = fits_md5(text, user, password);
	as_scram = scram_secret_check(text, user, password, client_key_out);
	switch (secret_kind_of(secret)) {
	case SECRET_PLAIN: return as_plain;
	case SECRET_MD5: return as_md5;
	case SECRET_SCRAM: return as_scram;
	case SECRET_NONE: break;
	}
	return false;
}

const char *auth_type_name(enum auth_type type)
{
	switch (type) {
	case AUTH_TRUST: return "trust";
	case AUTH_PASSWORD: return "password";
	case AUTH_MD5: return "md5";
	case AUTH_SCRAM: return "scram-sha-256";
	case AUTH_CERT: return "cert";
	case AUTH_HBA: return "hba";
	case AUTH_PEER: return "peer";
	case AUTH_REJECT: return "reject";
	}
	UNREACHABLE();
}
