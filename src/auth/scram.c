/*
 * SCRAM-SHA-256 and -PLUS: the messages of RFC 5802 section 7, for the side that is logged in to
 * and the side that logs in. No authorization identity, no mandatory extensions, and of the
 * channel bindings tls-server-end-point, as in PostgreSQL. Does not know sockets, users or the
 * framing of the messages; the keys are scram_keys.c's. Runs in any thread; an exchange belongs
 * to one.
 */

#include "auth/scram.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "auth/saslprep.h"
#include "auth/userlist.h"
#include "base/panic.h"
#include "base/random.h"

#include "scram_internal.h"

#define NONCE_BYTES 18 /* as PostgreSQL: 24 characters of base64 */

enum scram_step {
	STEP_FIRST,
	STEP_FINAL,
	STEP_OVER
};

/* What a TLS connection is known by on both ends; length 0: nothing. */
struct end_point {
	uint8_t data[SCRAM_END_POINT_MAX];
	size_t length;
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
	bool is_plus; /* the client has chosen SCRAM-SHA-256-PLUS */
	struct end_point end_point;
	char flag;      /* gs2-cbind-flag: what the client has said of channel binding */
	bool is_proved; /* client_key is the client's */
	uint8_t client_key[SCRAM_KEY_BYTES];
	struct bytes nonce; /* the client's, then ours */
	struct bytes auth;  /* AuthMessage: grows with each message */
};

struct scram_client {
	enum scram_step step;
	char *password; /* after SASLprep; NULL: `secret` and the client key instead */
	char *secret;
	uint8_t client_key[SCRAM_KEY_BYTES];
	char flag; /* gs2-cbind-flag */
	struct end_point end_point;
	char *user; /* PostgreSQL ignores it, so it is empty but in tests */
	char *own_nonce;
	struct bytes auth; /* AuthMessage: grows with each message */
	uint8_t server_key[SCRAM_KEY_BYTES];
};

static const char plus_header[] = "p=tls-server-end-point,,";
static const char no_memory[] = "out of memory";

static char *random_nonce(void)
{
	uint8_t raw[NONCE_BYTES];

	random_secret(raw, sizeof(raw));
	return scram_base64_of(raw, sizeof(raw));
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
 * `derives_keys` is set for good when a secret in clear text is met. Its keys have to be derived,
 * which takes a thousand times what the rest does; from then on the logins of all others (SCRAM
 * secrets, users that do not exist, secrets whose keys are known already) take as long, so that
 * time tells nobody which is which. While all secrets are SCRAM secrets nobody derives anything;
 * and nobody has to any more when `is_warm`, as all keys are known then.
 */
static atomic_bool derives_keys;
static atomic_bool is_warm;

static bool derive_in_vain(const char *user)
{
	static const uint8_t salt[16];
	struct scram_keys keys;
	bool is_made;

	if (!atomic_load(&derives_keys) || atomic_load(&is_warm))
		return true;
	is_made = scram_derive_keys(user, salt, sizeof(salt), SCRAM_ITERATIONS, &keys);
	OPENSSL_cleanse(&keys, sizeof(keys));
	return is_made;
}

/* The keys of a password in clear text, with the salt that its user has here. */
static enum scram_derived derive_own(const char *secret, const char *salt,
				     struct scram_keys *keys)
{
	char *prepared = saslprep_password(secret);
	uint8_t raw[BASE64_SIZE(SCRAM_KEY_BYTES)];
	enum scram_derived result = SCRAM_DERIVED_NOT;
	size_t length = 0;

	if (prepared != NULL && scram_base64_decode(salt, strlen(salt), raw, &length))
		result = scram_cache_derive(SCRAM_CACHE_OWN, prepared, raw, length,
					    SCRAM_ITERATIONS, keys);
	if (prepared != NULL)
		OPENSSL_cleanse(prepared, strlen(prepared));
	free(prepared);
	return result;
}

void scram_warm_begin(void)
{
	atomic_store(&is_warm, false);
	scram_cache_next_generation(SCRAM_CACHE_OWN);
	scram_cache_next_generation(SCRAM_CACHE_SERVERS);
}

bool scram_warm_up(const char *user, const char *secret)
{
	char *salt = scram_mock_salt(user);
	struct scram_keys keys;
	bool is_made;

	if (salt == NULL)
		return false;
	atomic_store(&derives_keys, true);
	is_made = derive_own(secret, salt, &keys) != SCRAM_DERIVED_NOT;
	OPENSSL_cleanse(&keys, sizeof(keys));
	free(salt);
	return is_made;
}

void scram_warm_end(void)
{
	scram_cache_drop_older(SCRAM_CACHE_OWN);
	scram_cache_drop_older(SCRAM_CACHE_SERVERS);
	atomic_store(&is_warm, true);
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
	return derive_in_vain(user);
}

static bool use_plain_secret(struct scram_server *s, const char *user, const char *secret)
{
	struct scram_keys keys;
	enum scram_derived derived = SCRAM_DERIVED_NOT;

	atomic_store(&derives_keys, true);
	s->iterations = SCRAM_ITERATIONS;
	s->salt = scram_mock_salt(user);
	if (s->salt != NULL)
		derived = derive_own(secret, s->salt, &keys);
	if (derived == SCRAM_DERIVED_NOT)
		return false;
	memcpy(s->stored_key, keys.stored_key, SCRAM_KEY_BYTES);
	memcpy(s->server_key, keys.server_key, SCRAM_KEY_BYTES);
	OPENSSL_cleanse(&keys, sizeof(keys));
	return derived == SCRAM_DERIVED_NOW || derive_in_vain(user);
}

/* Keys that no password has. */
static bool use_no_secret(struct scram_server *s, const char *user)
{
	s->is_mock = true;
	s->iterations = SCRAM_ITERATIONS;
	s->salt = scram_mock_salt(user);
	random_secret(s->stored_key, SCRAM_KEY_BYTES);
	random_secret(s->server_key, SCRAM_KEY_BYTES);
	if (s->salt == NULL)
		return false;
	return derive_in_vain(user);
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

/* "p=tls-server-end-point,,", from the "p" on. */
static const char *read_binding_name(struct reader *r)
{
	static const char name[] = "p=tls-server-end-point,";
	size_t length = strlen(name);

	if ((size_t)(r->end - r->at) < length || memcmp(r->at, name, length) != 0)
		return "unsupported SCRAM channel-binding type";
	r->at += length - 2; /* as far as the flag alone would have been */
	return NULL;
}

/*
 * gs2-header = gs2-cbind-flag "," [authzid] ",". RFC 5802 section 6: "p" and the mechanism with
 * -PLUS belong together; "y" is from a client that could have bound to the channel and believes
 * that we cannot: when we have offered it, somebody in between has taken that offer away.
 */
static const char *read_gs2_header(struct scram_server *s, struct reader *r)
{
	const char *error = NULL;

	s->flag = (char)*r->at;
	if (s->flag != 'p' && s->flag != 'n' && s->flag != 'y')
		return "malformed SCRAM message (unexpected channel-binding flag)";
	if (s->flag == 'p' && !s->is_plus)
		return "client requires channel binding, which was not offered";
	if (s->flag != 'p' && s->is_plus)
		return "client has chosen SCRAM-SHA-256-PLUS without channel binding";
	if (s->flag == 'p')
		error = read_binding_name(r);
	if (error != NULL)
		return error;
	if (r->end - r->at < 3 || r->at[1] != ',')
		return "malformed SCRAM message (comma expected after channel-binding flag)";
	if (r->at[2] == 'a')
		return "client uses an authorization identity, which is not supported";
	if (r->at[2] != ',')
		return "malformed SCRAM message (unexpected attribute in client-first-message)";
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
	if (*error_out == NULL && s->flag == 'y' && s->end_point.length > 0) {
		*error_out = "the offer of channel binding did not reach the client";
		return SCRAM_DOWNGRADED;
	}
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

/* cbind-input = gs2-header [ cbind-data ], in base64. */
static bool append_binding(struct bytes *out, char flag, const struct end_point *end_point)
{
	struct bytes input = { 0 };
	bool is_written;

	if (flag == 'p') {
		bytes_append_text(&input, plus_header);
		bytes_append(&input, end_point->data, end_point->length);
	} else {
		bytes_append_text(&input, flag == 'y' ? "y,," : "n,,");
	}
	is_written = !input.failed &&
		     scram_append_base64(out, bytes_begin(&input), bytes_length(&input));
	bytes_free(&input);
	return is_written;
}

enum binding {
	BINDING_RIGHT,
	BINDING_WRONG,
	BINDING_NO_MEMORY
};

/* The header of the first message again, and the connection as the client sees it. */
static enum binding judge_binding(const struct scram_server *s, const struct attribute *theirs)
{
	struct bytes ours = { 0 };
	enum binding result = BINDING_NO_MEMORY;

	if (append_binding(&ours, s->flag, &s->end_point))
		result = attribute_is(theirs, bytes_begin(&ours), bytes_length(&ours))
				 ? BINDING_RIGHT
				 : BINDING_WRONG;
	bytes_free(&ours);
	return result;
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

	if (!read_named(&r, 'c', &a))
		return "malformed SCRAM message (channel binding expected in "
		       "client-final-message)";
	switch (judge_binding(s, &a)) {
	case BINDING_RIGHT: break;
	case BINDING_WRONG: return "SCRAM channel binding check failed";
	case BINDING_NO_MEMORY: return no_memory;
	}
	if (!read_named(&r, 'r', &a))
		return "malformed SCRAM message (nonce expected in client-final-message)";
	if (!attribute_is(&a, bytes_begin(&s->nonce), bytes_length(&s->nonce)))
		return "invalid SCRAM response (nonce does not match)";
	do {
		before = r.at;
		if (!read_attribute(&r, &a))
			return "malformed SCRAM message (proof expected in client-final-message)";
	} while (a.name != 'p');
	if (!scram_decode_key(a.value, a.length, proof_out))
		return "malformed SCRAM message (malformed proof in client-final-message)";
	if (!reader_is_done(&r))
		return "malformed SCRAM message (garbage at end of client-final-message)";
	bytes_append_text(&s->auth, ",");
	bytes_append(&s->auth, begin, (size_t)(before - 1 - begin));
	return s->auth.failed ? no_memory : NULL;
}

static void xor_keys(uint8_t to[SCRAM_KEY_BYTES], const uint8_t with[SCRAM_KEY_BYTES])
{
	for (size_t i = 0; i < SCRAM_KEY_BYTES; i++)
		to[i] ^= with[i];
}

/* ClientKey := ClientProof XOR HMAC(StoredKey, AuthMessage); is H(ClientKey) the StoredKey? */
static bool is_proved(struct scram_server *s, const uint8_t proof[SCRAM_KEY_BYTES])
{
	uint8_t hash[SCRAM_KEY_BYTES];
	bool is_equal;

	if (!scram_hmac(s->stored_key, bytes_begin(&s->auth), bytes_length(&s->auth),
			s->client_key))
		return false;
	xor_keys(s->client_key, proof);
	is_equal = scram_sha256(s->client_key, SCRAM_KEY_BYTES, hash) &&
		   CRYPTO_memcmp(hash, s->stored_key, SCRAM_KEY_BYTES) == 0;
	s->is_proved = is_equal && !s->is_mock;
	return s->is_proved;
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
	if (!scram_hmac(s->server_key, bytes_begin(&s->auth), bytes_length(&s->auth),
			signature) ||
	    !bytes_append_text(reply, "v=") ||
	    !scram_append_base64(reply, signature, sizeof(signature))) {
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

void scram_server_bind(struct scram_server *server, bool is_plus, const uint8_t *end_point,
		       size_t length)
{
	ASSERT(length <= SCRAM_END_POINT_MAX && (length > 0 || !is_plus));
	server->is_plus = is_plus;
	if (length > 0)
		memcpy(server->end_point.data, end_point, length);
	server->end_point.length = length;
}

bool scram_server_client_key(const struct scram_server *server, uint8_t out[SCRAM_KEY_BYTES])
{
	if (server->is_proved)
		memcpy(out, server->client_key, SCRAM_KEY_BYTES);
	return server->is_proved;
}

bool scram_server_fix(struct scram_server *server, const char *nonce)
{
	free(server->own_nonce);
	server->own_nonce = strdup(nonce);
	return server->own_nonce != NULL;
}

/* --- client --- */

const char *scram_channel_binding_name(enum scram_channel_binding binding)
{
	switch (binding) {
	case SCRAM_BINDING_DISABLE: return "disable";
	case SCRAM_BINDING_PREFER: return "prefer";
	case SCRAM_BINDING_REQUIRE: return "require";
	}
	UNREACHABLE();
}

/* `password` or `secret` is to be filled in. NULL without memory. */
static struct scram_client *create_client(void)
{
	struct scram_client *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->step = STEP_FIRST;
	c->flag = 'n';
	c->user = strdup("");
	c->own_nonce = random_nonce();
	if (c->user == NULL || c->own_nonce == NULL)
		scram_client_destroy(&c);
	return c;
}

struct scram_client *scram_client_create(const char *password)
{
	struct scram_client *c = create_client();

	if (c == NULL)
		return NULL;
	c->password = saslprep_password(password);
	if (c->password == NULL)
		scram_client_destroy(&c);
	return c;
}

struct scram_client *scram_client_create_with_key(const char *secret,
						  const uint8_t client_key[SCRAM_KEY_BYTES])
{
	struct scram_client *c = create_client();

	if (c == NULL)
		return NULL;
	memcpy(c->client_key, client_key, SCRAM_KEY_BYTES);
	c->secret = strdup(secret);
	if (c->secret == NULL)
		scram_client_destroy(&c);
	return c;
}

const char *scram_client_choose(struct scram_client *client, const struct scram_offer *offer,
				enum scram_channel_binding wish, const char **error_out)
{
	bool can_bind = offer->end_point_length > 0 && wish != SCRAM_BINDING_DISABLE;

	ASSERT(offer->end_point_length <= SCRAM_END_POINT_MAX);
	*error_out = NULL;
	/* Nobody offers this in the clear but who has stripped the TLS from it. */
	if (offer->has_plus && !offer->is_encrypted)
		*error_out = "the server offers SCRAM-SHA-256-PLUS on a connection without TLS";
	else if (wish == SCRAM_BINDING_REQUIRE && !(offer->has_plus && can_bind))
		*error_out = "channel binding is required and the server does not offer it";
	else if (!offer->has_scram && !(offer->has_plus && can_bind))
		*error_out = "the server offers no SASL mechanism that is known";
	if (*error_out != NULL)
		return NULL;
	if (!offer->has_plus || !can_bind) {
		client->flag = can_bind ? 'y' : 'n';
		return SCRAM_MECHANISM;
	}
	client->flag = 'p';
	memcpy(client->end_point.data, offer->end_point, offer->end_point_length);
	client->end_point.length = offer->end_point_length;
	return SCRAM_MECHANISM_PLUS;
}

void scram_client_destroy(struct scram_client **client)
{
	struct scram_client *c = *client;

	if (c == NULL)
		return;
	if (c->password != NULL)
		OPENSSL_cleanse(c->password, strlen(c->password));
	free(c->password);
	if (c->secret != NULL)
		OPENSSL_cleanse(c->secret, strlen(c->secret));
	free(c->secret);
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
	return bytes_append_text(out, client->flag == 'p'   ? plus_header
				      : client->flag == 'y' ? "y,,"
							    : "n,,") &&
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
	    !scram_parse_iterations(count.value, count.length, &out->iterations))
		return "malformed SCRAM message (invalid iteration count)";
	if (out->iterations > SCRAM_ITERATIONS_MAX)
		return "invalid SCRAM response (iteration count is too high)";
	if (!skip_extensions(&r))
		return "malformed SCRAM message (garbage at end of server-first-message)";
	return NULL;
}

/* Derives our keys from the password. */
static const char *derive_client_keys(const struct scram_client *c,
				      const struct server_first *first, struct scram_keys *keys)
{
	const char *error = NULL;
	uint8_t *salt = malloc(first->salt.length + 1);
	size_t salt_length = 0;

	if (salt == NULL)
		return no_memory;
	if (!scram_base64_decode(first->salt.value, first->salt.length, salt, &salt_length))
		error = "malformed SCRAM message (invalid salt)";
	else if (scram_cache_derive(SCRAM_CACHE_SERVERS, c->password, salt, salt_length,
				    first->iterations, keys) == SCRAM_DERIVED_NOT)
		error = no_memory;
	free(salt);
	return error;
}

/*
 * The keys that belong to the secret. They prove nothing where the password was stored with
 * another salt or count, and a proof made of them is not to be shown around. (What is equal in
 * base64 is equal: each value has one text.)
 */
static bool take_client_keys(const struct scram_client *c, const struct server_first *first,
			     struct scram_keys *keys)
{
	struct scram_secret known;
	bool is_same;

	if (!scram_secret_parse(c->secret, &known))
		return false;
	is_same = known.iterations == first->iterations &&
		  attribute_is(&first->salt, known.salt, known.salt_length);
	memcpy(keys->client_key, c->client_key, SCRAM_KEY_BYTES);
	memcpy(keys->stored_key, known.stored_key, SCRAM_KEY_BYTES);
	memcpy(keys->server_key, known.server_key, SCRAM_KEY_BYTES);
	OPENSSL_cleanse(&known, sizeof(known));
	return is_same;
}

/* client-final-message; AuthMessage is complete with its part without the proof. */
static const char *write_client_final(struct scram_client *c, const struct server_first *first,
				      const struct scram_keys *keys, struct bytes *reply)
{
	uint8_t proof[SCRAM_KEY_BYTES];
	size_t begin = bytes_length(&c->auth) + 1;

	bytes_append_text(&c->auth, ",c=");
	if (!append_binding(&c->auth, c->flag, &c->end_point))
		return no_memory;
	bytes_append_text(&c->auth, ",r=");
	bytes_append(&c->auth, first->nonce.value, first->nonce.length);
	if (c->auth.failed ||
	    !scram_hmac(keys->stored_key, bytes_begin(&c->auth), bytes_length(&c->auth), proof))
		return no_memory;
	xor_keys(proof, keys->client_key);
	if (!bytes_append(reply, bytes_begin(&c->auth) + begin, bytes_length(&c->auth) - begin) ||
	    !bytes_append_text(reply, ",p=") || !scram_append_base64(reply, proof, sizeof(proof)))
		return no_memory;
	return NULL;
}

static enum scram_result answer_server_first(struct scram_client *c, struct reader r,
					     struct bytes *reply, const char **error_out)
{
	struct server_first first;
	struct scram_keys keys;

	*error_out = read_server_first(c, r, &first);
	if (*error_out == NULL && c->password == NULL && !take_client_keys(c, &first, &keys)) {
		OPENSSL_cleanse(&keys, sizeof(keys));
		*error_out = "the server has another SCRAM secret than the one that is known";
		return SCRAM_OTHER_SECRET;
	}
	if (*error_out == NULL && c->password != NULL)
		*error_out = derive_client_keys(c, &first, &keys);
	if (*error_out == NULL) {
		/* For the next step, in which the server has to prove itself. */
		memcpy(c->server_key, keys.server_key, SCRAM_KEY_BYTES);
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
	if (!scram_decode_key(a.value, a.length, theirs) || !skip_extensions(&r)) {
		*error_out = "malformed SCRAM message (malformed server signature)";
		return SCRAM_BAD;
	}
	if (!scram_hmac(c->server_key, bytes_begin(&c->auth), bytes_length(&c->auth), expected)) {
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
