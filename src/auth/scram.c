/*
 * SCRAM-SHA-256: the messages of RFC 5802 section 7 and the keys of its section 3, for the side
 * that is logged in to and the side that logs in. No channel binding, no authorization identity,
 * no mandatory extensions, as PostgreSQL without TLS. Does not know sockets, users or the framing
 * of the messages. Runs in any thread; an exchange belongs to one.
 */

#include "auth/scram.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "auth/saslprep.h"
#include "auth/userlist.h"
#include "base/panic.h"
#include "base/random.h"

#include "scram_internal.h"

#define NONCE_BYTES     18 /* as PostgreSQL: 24 characters of base64 */
#define MOCK_SALT_BYTES 16 /* as PostgreSQL's own salts */
#define BASE64_SIZE(n)  (((n) + 2) / 3 * 4 + 1)
#define SECRET_PREFIX   SCRAM_MECHANISM "$"

enum scram_step {
	STEP_FIRST,
	STEP_FINAL,
	STEP_OVER
};

/* Both live as long as one login. Each message is legal in one step; after an error none is. */
struct scram_server {
	enum scram_step step;
	bool is_mock; /* there is no such user: goes through all the motions, then fails */
	uint32_t iterations;
	char *salt; /* base64 */
	uint8_t stored_key[SCRAM_KEY_BYTES];
	uint8_t server_key[SCRAM_KEY_BYTES];
	char *own_nonce;
	bool says_y;        /* the client could bind to the channel, and was not offered to */
	struct bytes nonce; /* the client's, then ours */
	struct bytes auth;  /* AuthMessage: grows with each message */
};

struct scram_client {
	enum scram_step step;
	char *password; /* after SASLprep */
	char *user;     /* PostgreSQL ignores it, so it is empty but in tests */
	char *own_nonce;
	struct bytes auth; /* AuthMessage: grows with each message */
	uint8_t server_key[SCRAM_KEY_BYTES];
};

static const char no_memory[] = "out of memory";

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

/* `out` has room for length / 4 * 3 bytes; NULL: only checks. */
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

static bool decode_key(const void *text, size_t length, uint8_t key[SCRAM_KEY_BYTES])
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

/* Appends; `length` is at most SCRAM_KEY_BYTES. */
static bool append_base64(struct bytes *out, const uint8_t *data, size_t length)
{
	unsigned char text[BASE64_SIZE(SCRAM_KEY_BYTES)];
	int n = EVP_EncodeBlock(text, data, (int)length);

	return bytes_append(out, text, (size_t)n);
}

static char *base64_of(const uint8_t *data, size_t length)
{
	char *text = malloc(BASE64_SIZE(length));

	if (text != NULL)
		EVP_EncodeBlock((unsigned char *)text, data, (int)length);
	return text;
}

static char *random_nonce(void)
{
	uint8_t raw[NONCE_BYTES];

	random_secret(raw, sizeof(raw));
	return base64_of(raw, sizeof(raw));
}

/* --- keys, RFC 5802 section 3 --- */

static bool sha256(const uint8_t *data, size_t length, uint8_t out[SCRAM_KEY_BYTES])
{
	return EVP_Digest(data, length, out, NULL, EVP_sha256(), NULL) == 1;
}

static bool hmac(const uint8_t key[SCRAM_KEY_BYTES], const void *data, size_t length,
		 uint8_t out[SCRAM_KEY_BYTES])
{
	return HMAC(EVP_sha256(), key, SCRAM_KEY_BYTES, data, length, out, NULL) != NULL;
}

static void xor_keys(uint8_t to[SCRAM_KEY_BYTES], const uint8_t with[SCRAM_KEY_BYTES])
{
	for (size_t i = 0; i < SCRAM_KEY_BYTES; i++)
		to[i] ^= with[i];
}

struct keys {
	uint8_t client_key[SCRAM_KEY_BYTES];
	uint8_t stored_key[SCRAM_KEY_BYTES];
	uint8_t server_key[SCRAM_KEY_BYTES];
};

/* `prepared` has been through SASLprep. This is what takes the time in a login. */
static bool derive_keys(const char *prepared, const uint8_t *salt, size_t salt_length,
			uint32_t iterations, struct keys *out)
{
	uint8_t salted[SCRAM_KEY_BYTES];
	bool is_made;

	is_made = PKCS5_PBKDF2_HMAC(prepared, (int)strlen(prepared), salt, (int)salt_length,
				    (int)iterations, EVP_sha256(), sizeof(salted), salted) == 1;
	is_made = is_made && hmac(salted, "Client Key", 10, out->client_key) &&
		  hmac(salted, "Server Key", 10, out->server_key) &&
		  sha256(out->client_key, SCRAM_KEY_BYTES, out->stored_key);
	OPENSSL_cleanse(salted, sizeof(salted));
	return is_made;
}

/* The same, from a password as it was typed and a salt in base64. */
static bool derive_keys_of_password(const char *password, const char *salt, size_t salt_length,
				    uint32_t iterations, struct keys *out)
{
	char *prepared = saslprep_password(password);
	uint8_t *raw_salt = malloc(salt_length);
	size_t raw_length = 0;
	bool is_made;

	is_made = prepared != NULL && raw_salt != NULL &&
		  scram_base64_decode(salt, salt_length, raw_salt, &raw_length) &&
		  derive_keys(prepared, raw_salt, raw_length, iterations, out);
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
	return hmac(process_key, data, length, out);
}

/*
 * The salt of users whose secret has none: those with a password in clear text, and those that
 * do not exist. It is the same each time, as a stored salt is.
 */
static char *mock_salt(const char *user)
{
	uint8_t digest[SCRAM_KEY_BYTES];

	if (!scram_process_hmac(user, strlen(user), digest))
		return NULL;
	return base64_of(digest, MOCK_SALT_BYTES);
}

/* --- secrets --- */

/* A positive number without sign, blanks or leading zeros, up to INT32_MAX. */
static bool parse_iterations(const uint8_t *text, size_t length, uint32_t *out)
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
	if (part == NULL || !parse_iterations((const uint8_t *)part, length, &out->iterations))
		return false;
	out->salt = next_part(&at, '$', &out->salt_length);
	if (out->salt == NULL || !scram_base64_decode(out->salt, out->salt_length, NULL, &length))
		return false;
	part = next_part(&at, ':', &length);
	if (part == NULL || !decode_key(part, length, out->stored_key))
		return false;
	return decode_key(at, strlen(at), out->server_key);
}

bool scram_secret_check(const char *secret, const char *user, const char *password)
{
	struct scram_secret known = { .iterations = SCRAM_ITERATIONS };
	struct keys keys = { .stored_key = { 0 } };
	char *mock = NULL;
	bool is_known;
	bool fits = false;

	is_known = secret != NULL && scram_secret_parse(secret, &known) &&
		   known.iterations <= SCRAM_ITERATIONS_MAX;
	if (!is_known) {
		mock = mock_salt(user);
		if (mock == NULL)
			goto out;
		known.iterations = SCRAM_ITERATIONS;
		known.salt = mock;
		known.salt_length = strlen(mock);
	}
	if (!derive_keys_of_password(password, known.salt, known.salt_length, known.iterations,
				     &keys))
		goto out;
	fits = CRYPTO_memcmp(keys.stored_key, known.stored_key, SCRAM_KEY_BYTES) == 0;
out:
	OPENSSL_cleanse(&keys, sizeof(keys));
	OPENSSL_cleanse(&known, sizeof(known));
	free(mock);
	return fits && is_known;
}

/* --- reading messages --- */

struct reader {
	const uint8_t *at;
	const uint8_t *end;
};

struct attribute {
	uint8_t name;
	const uint8_t *value;
	size_t length;
};

static bool reader_is_done(const struct reader *r)
{
	return r->at == r->end;
}

/* attr-val = ALPHA "=" value, RFC 5802 section 5.1; and the comma, behind which there is another.
 */
static bool read_attribute(struct reader *r, struct attribute *out)
{
	const uint8_t *value = r->at + 2;
	const uint8_t *comma;
	uint8_t lower;

	if (r->end - r->at < 2 || r->at[1] != '=')
		return false;
	out->name = r->at[0];
	lower = out->name | 0x20;
	if (lower < 'a' || lower > 'z')
		return false;
	comma = memchr(value, ',', (size_t)(r->end - value));
	out->value = value;
	out->length = (size_t)((comma != NULL ? comma : r->end) - value);
	r->at = comma != NULL ? comma + 1 : r->end;
	return comma == NULL || !reader_is_done(r);
}

static bool read_named(struct reader *r, uint8_t name, struct attribute *out)
{
	return read_attribute(r, out) && out->name == name;
}

/* Extensions that we need not understand, to the end of the message. */
static bool skip_extensions(struct reader *r)
{
	struct attribute ignored;

	while (!reader_is_done(r)) {
		if (!read_attribute(r, &ignored))
			return false;
	}
	return true;
}

/* printable = %x21-2B / %x2D-7E; a nonce has at least one. */
static bool is_nonce(const uint8_t *text, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (text[i] < 0x21 || text[i] > 0x7e || text[i] == ',')
			return false;
	}
	return length > 0;
}

/* What no message may be, whatever the step; NULL when it is none of that. */
static const char *message_error(const uint8_t *message, size_t length)
{
	if (length == 0)
		return "malformed SCRAM message (empty)";
	if (length > SCRAM_MESSAGE_MAX)
		return "malformed SCRAM message (too long)";
	if (memchr(message, '\0', length) != NULL)
		return "malformed SCRAM message (contains a zero byte)";
	return NULL;
}

/* --- server --- */

/*
 * Set for good when a secret in clear text is met. Its keys have to be derived in each login,
 * which takes a thousand times what the rest does; from then on the logins of all others (SCRAM
 * secrets, users that do not exist) take as long, so that time tells nobody which is which.
 * While all secrets are SCRAM secrets nobody derives anything.
 */
static atomic_bool derives_keys;

static bool derive_in_vain(const char *user)
{
	static const uint8_t salt[MOCK_SALT_BYTES];
	struct keys keys;
	bool is_made;

	is_made = derive_keys(user, salt, sizeof(salt), SCRAM_ITERATIONS, &keys);
	OPENSSL_cleanse(&keys, sizeof(keys));
	return is_made;
}

static bool use_scram_secret(struct scram_server *s, const char *user, const char *secret)
{
	struct scram_secret known;

	if (!scram_secret_parse(secret, &known))
		return false;
	s->iterations = known.iterations;
	memcpy(s->stored_key, known.stored_key, SCRAM_KEY_BYTES);
	memcpy(s->server_key, known.server_key, SCRAM_KEY_BYTES);
	s->salt = strndup(known.salt, known.salt_length);
	OPENSSL_cleanse(&known, sizeof(known));
	if (s->salt == NULL)
		return false;
	return !atomic_load(&derives_keys) || derive_in_vain(user);
}

static bool use_plain_secret(struct scram_server *s, const char *user, const char *secret)
{
	struct keys keys;

	atomic_store(&derives_keys, true);
	s->iterations = SCRAM_ITERATIONS;
	s->salt = mock_salt(user);
	if (s->salt == NULL ||
	    !derive_keys_of_password(secret, s->salt, strlen(s->salt), s->iterations, &keys))
		return false;
	memcpy(s->stored_key, keys.stored_key, SCRAM_KEY_BYTES);
	memcpy(s->server_key, keys.server_key, SCRAM_KEY_BYTES);
	OPENSSL_cleanse(&keys, sizeof(keys));
	return true;
}

/* Keys that no password has. */
static bool use_no_secret(struct scram_server *s, const char *user)
{
	s->is_mock = true;
	s->iterations = SCRAM_ITERATIONS;
	s->salt = mock_salt(user);
	random_secret(s->stored_key, SCRAM_KEY_BYTES);
	random_secret(s->server_key, SCRAM_KEY_BYTES);
	if (s->salt == NULL)
		return false;
	return !atomic_load(&derives_keys) || derive_in_vain(user);
}

static bool use_secret(struct scram_server *s, const char *user, const char *secret)
{
	switch (secret_kind_of(secret)) {
	case SECRET_SCRAM: return use_scram_secret(s, user, secret);
	case SECRET_PLAIN: return use_plain_secret(s, user, secret);
	case SECRET_MD5:
	case SECRET_NONE: break;
	}
	return use_no_secret(s, user);
}

struct scram_server *scram_server_create(const char *user, const char *secret)
{
	struct scram_server *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->step = STEP_FIRST;
	s->own_nonce = random_nonce();
	if (s->own_nonce == NULL || !use_secret(s, user, secret))
		scram_server_destroy(&s);
	return s;
}

void scram_server_destroy(struct scram_server **server)
{
	struct scram_server *s = *server;

	if (s == NULL)
		return;
	bytes_free(&s->auth);
	bytes_free(&s->nonce);
	free(s->own_nonce);
	free(s->salt);
	OPENSSL_cleanse(s, sizeof(*s));
	free(s);
	*server = NULL;
}

/*
 * gs2-header = gs2-cbind-flag "," [authzid] ",": only "n,," and "y,," pass. "p=..." binds to a
 * channel, which needs the mechanism SCRAM-SHA-256-PLUS, which we do not offer.
 */
static const char *read_gs2_header(struct scram_server *s, struct reader *r)
{
	uint8_t flag = *r->at;

	if (flag == 'p')
		return "client requires channel binding, which was not offered";
	if (flag != 'n' && flag != 'y')
		return "malformed SCRAM message (unexpected channel-binding flag)";
	if (r->end - r->at < 3 || r->at[1] != ',')
		return "malformed SCRAM message (comma expected after channel-binding flag)";
	if (r->at[2] == 'a')
		return "client uses an authorization identity, which is not supported";
	if (r->at[2] != ',')
		return "malformed SCRAM message (unexpected attribute in client-first-message)";
	s->says_y = flag == 'y';
	r->at += 3;
	return NULL;
}

/* client-first-message-bare = [reserved-mext ","] username "," nonce ["," extensions] */
static const char *read_client_first(struct scram_server *s, struct reader r)
{
	const char *error = read_gs2_header(s, &r);
	struct attribute user;
	struct attribute nonce;

	if (error != NULL)
		return error;
	if (!bytes_append(&s->auth, r.at, (size_t)(r.end - r.at)))
		return no_memory;
	if (!reader_is_done(&r) && *r.at == 'm')
		return "client requires a mandatory SCRAM extension";
	if (!read_named(&r, 'n', &user))
		return "malformed SCRAM message (user name expected in client-first-message)";
	if (!read_named(&r, 'r', &nonce))
		return "malformed SCRAM message (nonce expected in client-first-message)";
	if (!is_nonce(nonce.value, nonce.length))
		return "malformed SCRAM message (non-printable characters in nonce)";
	if (!skip_extensions(&r))
		return "malformed SCRAM message (bad extension in client-first-message)";
	bytes_append(&s->nonce, nonce.value, nonce.length);
	return bytes_append_text(&s->nonce, s->own_nonce) ? NULL : no_memory;
}

/* server-first-message = nonce "," salt "," iteration-count */
static const char *write_server_first(struct scram_server *s, struct bytes *reply)
{
	struct bytes message = { 0 };
	bool is_written;

	bytes_append_text(&message, "r=");
	bytes_append(&message, bytes_begin(&s->nonce), bytes_length(&s->nonce));
	bytes_printf(&message, ",s=%s,i=%u", s->salt, s->iterations);

	bytes_append_text(&s->auth, ",");
	is_written = !message.failed &&
		     bytes_append(&s->auth, bytes_begin(&message), bytes_length(&message)) &&
		     !s->auth.failed &&
		     bytes_append(reply, bytes_begin(&message), bytes_length(&message));
	bytes_free(&message);
	return is_written ? NULL : no_memory;
}

static enum scram_result answer_client_first(struct scram_server *s, struct reader r,
					     struct bytes *reply, const char **error_out)
{
	*error_out = read_client_first(s, r);
	if (*error_out == NULL)
		*error_out = write_server_first(s, reply);
	if (*error_out != NULL)
		return SCRAM_BAD;
	s->step = STEP_FINAL;
	return SCRAM_CONTINUE;
}

static bool attribute_is(const struct attribute *a, const void *data, size_t length)
{
	return a->length == length && memcmp(a->value, data, length) == 0;
}

/*
 * client-final-message = channel-binding "," nonce ["," extensions] "," proof. All but the proof,
 * and the comma before it, is the last part of AuthMessage.
 */
static const char *read_client_final(struct scram_server *s, struct reader r,
				     uint8_t proof_out[SCRAM_KEY_BYTES])
{
	const uint8_t *begin = r.at;
	const uint8_t *before = r.at;
	struct attribute a;

	/* The header of the first message again: base64 of "n,," or "y,,". */
	if (!read_named(&r, 'c', &a) || !attribute_is(&a, s->says_y ? "eSws" : "biws", 4))
		return "unexpected SCRAM channel-binding attribute in client-final-message";
	if (!read_named(&r, 'r', &a))
		return "malformed SCRAM message (nonce expected in client-final-message)";
	if (!attribute_is(&a, bytes_begin(&s->nonce), bytes_length(&s->nonce)))
		return "invalid SCRAM response (nonce does not match)";
	do {
		before = r.at;
		if (!read_attribute(&r, &a))
			return "malformed SCRAM message (proof expected in client-final-message)";
	} while (a.name != 'p');
	if (!decode_key(a.value, a.length, proof_out))
		return "malformed SCRAM message (malformed proof in client-final-message)";
	if (!reader_is_done(&r))
		return "malformed SCRAM message (garbage at end of client-final-message)";
	bytes_append_text(&s->auth, ",");
	bytes_append(&s->auth, begin, (size_t)(before - 1 - begin));
	return s->auth.failed ? no_memory : NULL;
}

/* ClientKey := ClientProof XOR HMAC(StoredKey, AuthMessage); is H(ClientKey) the StoredKey? */
static bool is_proved(const struct scram_server *s, const uint8_t proof[SCRAM_KEY_BYTES])
{
	uint8_t key[SCRAM_KEY_BYTES];
	uint8_t hash[SCRAM_KEY_BYTES];
	bool is_equal;

	if (!hmac(s->stored_key, bytes_begin(&s->auth), bytes_length(&s->auth), key))
		return false;
	xor_keys(key, proof);
	is_equal = sha256(key, sizeof(key), hash) &&
		   CRYPTO_memcmp(hash, s->stored_key, SCRAM_KEY_BYTES) == 0;
	OPENSSL_cleanse(key, sizeof(key));
	return is_equal && !s->is_mock;
}

static enum scram_result answer_client_final(struct scram_server *s, struct reader r,
					     struct bytes *reply, const char **error_out)
{
	uint8_t proof[SCRAM_KEY_BYTES];
	uint8_t signature[SCRAM_KEY_BYTES];

	*error_out = read_client_final(s, r, proof);
	if (*error_out != NULL)
		return SCRAM_BAD;
	if (!is_proved(s, proof)) {
		*error_out = "the client's proof does not match";
		return SCRAM_WRONG;
	}
	if (!hmac(s->server_key, bytes_begin(&s->auth), bytes_length(&s->auth), signature) ||
	    !bytes_append_text(reply, "v=") ||
	    !append_base64(reply, signature, sizeof(signature))) {
		*error_out = no_memory;
		return SCRAM_BAD;
	}
	return SCRAM_DONE;
}

enum scram_result scram_server_step(struct scram_server *server, const uint8_t *message,
				    size_t length, struct bytes *reply, const char **error_out)
{
	struct reader r = { message, message + length };
	enum scram_step step = server->step;

	/* Over, unless the step says otherwise. */
	server->step = STEP_OVER;
	*error_out = message_error(message, length);
	if (*error_out != NULL)
		return SCRAM_BAD;
	switch (step) {
	case STEP_FIRST: return answer_client_first(server, r, reply, error_out);
	case STEP_FINAL: return answer_client_final(server, r, reply, error_out);
	case STEP_OVER: break;
	}
	*error_out = "unexpected SCRAM message (the exchange is over)";
	return SCRAM_BAD;
}

bool scram_server_fix(struct scram_server *server, const char *nonce)
{
	free(server->own_nonce);
	server->own_nonce = strdup(nonce);
	return server->own_nonce != NULL;
}

/* --- client --- */

struct scram_client *scram_client_create(const char *password)
{
	struct scram_client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->step = STEP_FIRST;
	c->password = saslprep_password(password);
	c->user = strdup("");
	c->own_nonce = random_nonce();
	if (c->password == NULL || c->user == NULL || c->own_nonce == NULL)
		scram_client_destroy(&c);
	return c;
}

void scram_client_destroy(struct scram_client **client)
{
	struct scram_client *c = *client;

	if (c == NULL)
		return;
	if (c->password != NULL)
		OPENSSL_cleanse(c->password, strlen(c->password));
	free(c->password);
	free(c->user);
	free(c->own_nonce);
	bytes_free(&c->auth);
	OPENSSL_cleanse(c, sizeof(*c));
	free(c);
	*client = NULL;
}

bool scram_client_fix(struct scram_client *client, const char *user, const char *nonce)
{
	free(client->user);
	free(client->own_nonce);
	client->user = strdup(user);
	client->own_nonce = strdup(nonce);
	return client->user != NULL && client->own_nonce != NULL;
}

bool scram_client_first(struct scram_client *client, struct bytes *out)
{
	ASSERT(client->step == STEP_FIRST);
	bytes_clear(&client->auth);
	if (!bytes_printf(&client->auth, "n=%s,r=%s", client->user, client->own_nonce))
		return false;
	return bytes_append_text(out, "n,,") &&
	       bytes_append(out, bytes_begin(&client->auth), bytes_length(&client->auth));
}

/* What server-first-message says; the texts lie in the message. */
struct server_first {
	struct attribute nonce;
	struct attribute salt;
	uint32_t iterations;
};

static const char *read_server_first(const struct scram_client *c, struct reader r,
				     struct server_first *out)
{
	size_t own_length = strlen(c->own_nonce);
	struct attribute count;

	if (*r.at == 'm')
		return "server requires a mandatory SCRAM extension";
	if (!read_named(&r, 'r', &out->nonce) || !is_nonce(out->nonce.value, out->nonce.length))
		return "malformed SCRAM message (nonce expected in server-first-message)";
	/* Without a part of the server's own, an old exchange could be played back to us. */
	if (out->nonce.length <= own_length ||
	    memcmp(out->nonce.value, c->own_nonce, own_length) != 0)
		return "invalid SCRAM response (nonce mismatch)";
	if (!read_named(&r, 's', &out->salt))
		return "malformed SCRAM message (salt expected in server-first-message)";
	if (!read_named(&r, 'i', &count) ||
	    !parse_iterations(count.value, count.length, &out->iterations))
		return "malformed SCRAM message (invalid iteration count)";
	if (out->iterations > SCRAM_ITERATIONS_MAX)
		return "invalid SCRAM response (iteration count is too high)";
	if (!skip_extensions(&r))
		return "malformed SCRAM message (garbage at end of server-first-message)";
	return NULL;
}

/* Derives our keys from the password; the server's part is kept for the next step. */
static const char *make_client_key(struct scram_client *c, const struct server_first *first,
				   struct keys *keys)
{
	const char *error = NULL;
	uint8_t *salt = malloc(first->salt.length + 1);
	size_t salt_length = 0;

	if (salt == NULL)
		return no_memory;
	if (!scram_base64_decode(first->salt.value, first->salt.length, salt, &salt_length))
		error = "malformed SCRAM message (invalid salt)";
	else if (!derive_keys(c->password, salt, salt_length, first->iterations, keys))
		error = no_memory;
	else
		memcpy(c->server_key, keys->server_key, SCRAM_KEY_BYTES);
	free(salt);
	return error;
}

/* client-final-message; AuthMessage is complete with its part without the proof. */
static const char *write_client_final(struct scram_client *c, const struct server_first *first,
				      const struct keys *keys, struct bytes *reply)
{
	uint8_t proof[SCRAM_KEY_BYTES];
	size_t begin = bytes_length(&c->auth) + 1;

	bytes_append_text(&c->auth, ",c=biws,r=");
	bytes_append(&c->auth, first->nonce.value, first->nonce.length);
	if (c->auth.failed ||
	    !hmac(keys->stored_key, bytes_begin(&c->auth), bytes_length(&c->auth), proof))
		return no_memory;
	xor_keys(proof, keys->client_key);
	if (!bytes_append(reply, bytes_begin(&c->auth) + begin, bytes_length(&c->auth) - begin) ||
	    !bytes_append_text(reply, ",p=") || !append_base64(reply, proof, sizeof(proof)))
		return no_memory;
	return NULL;
}

static enum scram_result answer_server_first(struct scram_client *c, struct reader r,
					     struct bytes *reply, const char **error_out)
{
	struct server_first first;
	struct keys keys;

	*error_out = read_server_first(c, r, &first);
	if (*error_out == NULL)
		*error_out = make_client_key(c, &first, &keys);
	if (*error_out == NULL) {
		bytes_append_text(&c->auth, ",");
		bytes_append(&c->auth, r.at, (size_t)(r.end - r.at));
		*error_out = write_client_final(c, &first, &keys, reply);
		OPENSSL_cleanse(&keys, sizeof(keys));
	}
	if (*error_out != NULL)
		return SCRAM_BAD;
	c->step = STEP_FINAL;
	return SCRAM_CONTINUE;
}

/* server-final-message = (server-error / verifier) ["," extensions] */
static enum scram_result judge_server_final(struct scram_client *c, struct reader r,
					    const char **error_out)
{
	uint8_t theirs[SCRAM_KEY_BYTES];
	uint8_t expected[SCRAM_KEY_BYTES];
	struct attribute a;

	if (!read_attribute(&r, &a) || (a.name != 'v' && a.name != 'e')) {
		*error_out =
			"malformed SCRAM message (verifier expected in server-final-message)";
		return SCRAM_BAD;
	}
	if (a.name == 'e') {
		*error_out = "the server reported an error instead of its signature";
		return SCRAM_WRONG;
	}
	if (!decode_key(a.value, a.length, theirs) || !skip_extensions(&r)) {
		*error_out = "malformed SCRAM message (malformed server signature)";
		return SCRAM_BAD;
	}
	if (!hmac(c->server_key, bytes_begin(&c->auth), bytes_length(&c->auth), expected)) {
		*error_out = no_memory;
		return SCRAM_BAD;
	}
	if (CRYPTO_memcmp(theirs, expected, SCRAM_KEY_BYTES) != 0) {
		*error_out = "the server's signature is wrong: it does not know the password";
		return SCRAM_WRONG;
	}
	return SCRAM_DONE;
}

enum scram_result scram_client_step(struct scram_client *client, const uint8_t *message,
				    size_t length, struct bytes *reply, const char **error_out)
{
	struct reader r = { message, message + length };
	enum scram_step step = client->step;

	client->step = STEP_OVER;
	*error_out = message_error(message, length);
	/* Nothing is an answer before we have said something. */
	if (*error_out == NULL && bytes_length(&client->auth) == 0)
		*error_out = "unexpected SCRAM message (nothing was asked)";
	if (*error_out != NULL)
		return SCRAM_BAD;
	switch (step) {
	case STEP_FIRST: return answer_server_first(client, r, reply, error_out);
	case STEP_FINAL: return judge_server_final(client, r, error_out);
	case STEP_OVER: break;
	}
	*error_out = "unexpected SCRAM message (the exchange is over)";
	return SCRAM_BAD;
}
