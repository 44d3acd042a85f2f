/*
 * The keys of SCRAM-SHA-256 (RFC 5802 section 3) and the secrets that are made of them, with the
 * base64 that both are written in. The messages are in scram.c. Pure; any thread.
 */

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "auth/saslprep.h"
#include "auth/scram.h"
#include "base/random.h"

#include "scram_internal.h"

#define MOCK_SALT_BYTES 16 /* as PostgreSQL's own salts */
#define SECRET_PREFIX   SCRAM_MECHANISM "$"

/* --- base64 --- */

static int base64_value(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return -1;
}

bool scram_base64_decode(const void *text, size_t length, uint8_t *out, size_t *length_out)
{
	const uint8_t *in = text;
	size_t written = 0;
	size_t padding = 0;

	if (length == 0 || length % 4 != 0)
		return false;
	padding = in[length - 1] != '=' ? 0 : in[length - 2] != '=' ? 1 : 2;
	for (size_t i = 0; i < length; i += 4) {
		size_t n_chars = i + 4 == length ? 4 - padding : 4;
		uint32_t bits = 0;

		for (size_t k = 0; k < 4; k++) {
			int value = k < n_chars ? base64_value(in[i + k]) : 0;

			if (value == -1)
				return false;
			bits = bits << 6 | (uint32_t)value;
		}
		/* Bits that no byte uses are zero: one text for each value. */
		if ((bits & ((1u << (8 * (4 - n_chars))) - 1)) != 0)
			return false;
		for (size_t k = 0; k < n_chars - 1; k++, written++) {
			if (out != NULL)
				out[written] = (uint8_t)(bits >> (16 - 8 * k));
		}
	}
	*length_out = written;
	return true;
}

bool scram_decode_key(const void *text, size_t length, uint8_t key[SCRAM_KEY_BYTES])
{
	uint8_t decoded[BASE64_SIZE(SCRAM_KEY_BYTES)];
	size_t n = 0;

	if (length != BASE64_SIZE(SCRAM_KEY_BYTES) - 1)
		return false;
	if (!scram_base64_decode(text, length, decoded, &n) || n != SCRAM_KEY_BYTES)
		return false;
	memcpy(key, decoded, SCRAM_KEY_BYTES);
	return true;
}

char *scram_base64_of(const uint8_t *data, size_t length)
{
	char *text = malloc(BASE64_SIZE(length));

	if (text != NULL)
		EVP_EncodeBlock((unsigned char *)text, data, (int)length);
	return text;
}

bool scram_append_base64(struct bytes *out, const uint8_t *data, size_t length)
{
	char *text = scram_base64_of(data, length);
	bool is_written = text != NULL && bytes_append_text(out, text);

	free(text);
	return is_written;
}

/* --- keys, RFC 5802 section 3 --- */

bool scram_sha256(const uint8_t *data, size_t length, uint8_t out[SCRAM_KEY_BYTES])
{
	return EVP_Digest(data, length, out, NULL, EVP_sha256(), NULL) == 1;
}

bool scram_hmac(const uint8_t key[SCRAM_KEY_BYTES], const void *data, size_t length,
		uint8_t out[SCRAM_KEY_BYTES])
{
	return HMAC(EVP_sha256(), key, SCRAM_KEY_BYTES, data, length, out, NULL) != NULL;
}

bool scram_derive_keys(const char *prepared, const uint8_t *salt, size_t salt_length,
		       uint32_t iterations, struct scram_keys *out)
{
	uint8_t salted[SCRAM_KEY_BYTES];
	bool is_made;

	is_made = PKCS5_PBKDF2_HMAC(prepared, (int)strlen(prepared), salt, (int)salt_length,
				    (int)iterations, EVP_sha256(), sizeof(salted), salted) == 1;
	is_made = is_made && scram_hmac(salted, "Client Key", 10, out->client_key) &&
		  scram_hmac(salted, "Server Key", 10, out->server_key) &&
		  scram_sha256(out->client_key, SCRAM_KEY_BYTES, out->stored_key);
	OPENSSL_cleanse(salted, sizeof(salted));
	return is_made;
}

bool scram_derive_keys_of(const char *password, const char *salt, size_t salt_length,
			  uint32_t iterations, struct scram_keys *out)
{
	char *prepared = saslprep_password(password);
	uint8_t *raw_salt = malloc(salt_length);
	size_t raw_length = 0;
	bool is_made;

	is_made = prepared != NULL && raw_salt != NULL &&
		  scram_base64_decode(salt, salt_length, raw_salt, &raw_length) &&
		  scram_derive_keys(prepared, raw_salt, raw_length, iterations, out);
	free(raw_salt);
	if (prepared != NULL)
		OPENSSL_cleanse(prepared, strlen(prepared));
	free(prepared);
	return is_made;
}

static uint8_t process_key[SCRAM_KEY_BYTES];

static void make_process_key(void)
{
	random_secret(process_key, sizeof(process_key));
}

bool scram_process_hmac(const void *data, size_t length, uint8_t out[SCRAM_KEY_BYTES])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, make_process_key);
	return scram_hmac(process_key, data, length, out);
}

char *scram_mock_salt(const char *user)
{
	uint8_t digest[SCRAM_KEY_BYTES];

	if (!scram_process_hmac(user, strlen(user), digest))
		return NULL;
	return scram_base64_of(digest, MOCK_SALT_BYTES);
}

/* --- secrets --- */

bool scram_parse_iterations(const uint8_t *text, size_t length, uint32_t *out)
{
	uint32_t value = 0;

	if (length == 0 || length > 10 || text[0] == '0')
		return false;
	for (size_t i = 0; i < length; i++) {
		uint32_t digit = (uint32_t)text[i] - '0';

		if (text[i] < '0' || text[i] > '9' || value > (INT32_MAX - digit) / 10)
			return false;
		value = value * 10 + digit;
	}
	*out = value;
	return true;
}

/* The part up to the next `separator`, which is skipped; NULL when there is none. */
static const char *next_part(const char **at, char separator, size_t *length_out)
{
	const char *begin = *at;
	const char *end = strchr(begin, separator);

	if (end == NULL)
		return NULL;
	*length_out = (size_t)(end - begin);
	*at = end + 1;
	return begin;
}

bool scram_secret_parse(const char *text, struct scram_secret *out)
{
	const char *at = text + strlen(SECRET_PREFIX);
	const char *part;
	size_t length = 0;

	if (strncmp(text, SECRET_PREFIX, strlen(SECRET_PREFIX)) != 0)
		return false;
	part = next_part(&at, ':', &length);
	if (part == NULL ||
	    !scram_parse_iterations((const uint8_t *)part, length, &out->iterations))
		return false;
	out->salt = next_part(&at, '$', &out->salt_length);
	if (out->salt == NULL || !scram_base64_decode(out->salt, out->salt_length, NULL, &length))
		return false;
	part = next_part(&at, ':', &length);
	if (part == NULL || !scram_decode_key(part, length, out->stored_key))
		return false;
	return scram_decode_key(at, strlen(at), out->server_key);
}

bool scram_secret_check(const char *secret, const char *user, const char *password,
			uint8_t client_key_out[SCRAM_KEY_BYTES])
{
	struct scram_secret known = { .iterations = SCRAM_ITERATIONS };
	struct scram_keys keys = { .stored_key = { 0 } };
	char *mock = NULL;
	bool is_known;
	bool fits = false;

	is_known = secret != NULL && scram_secret_parse(secret, &known) &&
		   known.iterations <= SCRAM_ITERATIONS_MAX;
	if (!is_known) {
		mock = scram_mock_salt(user);
		if (mock == NULL)
			goto out;
		known.iterations = SCRAM_ITERATIONS;
		known.salt = mock;
		known.salt_length = strlen(mock);
	}
	if (!scram_derive_keys_of(password, known.salt, known.salt_length, known.iterations,
				  &keys))
		goto out;
	fits = CRYPTO_memcmp(keys.stored_key, known.stored_key, SCRAM_KEY_BYTES) == 0;
	if (fits && is_known && client_key_out != NULL)
		memcpy(client_key_out, keys.client_key, SCRAM_KEY_BYTES);
out:
	OPENSSL_cleanse(&keys, sizeof(keys));
	OPENSSL_cleanse(&known, sizeof(known));
	free(mock);
	return fits && is_known;
}
