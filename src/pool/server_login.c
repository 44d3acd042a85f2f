/*
 * Logging in to a server: StartupMessage, authentication, parameters, key, ReadyForQuery
 * (PostgreSQL documentation, "Start-up"). The state lives in struct server_login for as long as
 * the login takes. A server's messages are as hostile as a client's: bounded, checked, in order.
 */
#include <stdlib.h>
#include <string.h>

#include "auth/keyring.h"
#include "auth/password.h"
#include "auth/scram.h"
#include "auth/userlist.h"
#include "base/log.h"
#include "pool/pool_private.h"
#include "wire/build.h"
#include "wire/cancel_key.h"
#include "wire/cursor.h"
#include "wire/error.h"
#include "wire/frame.h"
#include "wire/message.h"

#define LOGIN_MESSAGE_MAX (64 * 1024)

struct server_login {
	bool has_secret;
	struct keyring_secret secret;
	struct scram_client *scram;
	bool is_authenticated; /* AuthenticationOk has come */
	bool is_scram_proved;  /* and before it, with SCRAM, the server's own proof */
	bool is_asked;         /* for a proof: once */
	bool is_scram_begun;
	bool is_answered; /* the server has said something */
	bool is_protocol_refused;
};

/* Start-up parameters of the session whose server this will be: name, value, ... */
static void build_startup_for(struct server *server, const struct bytes *more)
{
	const struct pool_key *key = &server->pool->key;
	const char *at = (const char *)bytes_begin(more);
	const char *end = at + bytes_length(more);
	size_t n = 4;
	/* Each of them takes a byte at least, and there is one NULL more for an odd number. */
	const char **params = calloc(n + bytes_length(more) + 1, sizeof(*params));

	if (!params) {
		conn_out(server->conn)->failed = true;
		return;
	}
	params[0] = "user";
	params[1] = key->user;
	params[2] = "database";
	params[3] = key->database;
	for (; at < end; at += strlen(at) + 1)
		params[n++] = at;
	build_startup(conn_out(server->conn), server->protocol_minor, params, n / 2);
	free(params);
}

bool server_login_begin(struct server *server)
{
	const struct pool_key *key = &server->pool->key;
	/* What only listens says so in pg_stat_activity: it has no client whose name it could
	 * have. */
	const char *params[] = { "user",        key->user,          "database",
				 key->database, "application_name", "pointsman listening" };
	struct bytes *out = conn_out(server->conn);

	server->login = calloc(1, sizeof(*server->login));
	if (!server->login)
		return false;
	server->protocol_minor = server->pool->is_protocol_old
					 ? 0
					 : server->pool->env->limits.server_protocol_minor;
	if (server->waiter)
		build_startup_for(server, server->waiter->startup);
	else
		build_startup(out, server->protocol_minor, params, key->is_for_listening ? 3 : 2);
	conn_flush(server->conn);
	return true;
}

void server_login_end(struct server *server)
{
	if (!server->login)
		return;
	scram_client_destroy(&server->login->scram);
	keyring_secret_free(&server->login->secret);
	free(server->login);
	server->login = NULL;
}

/* Ends the attempt with what the client is to be told. Always false. */
static bool refuse_for(struct server *server, const char *sqlstate, const char *reason,
		       const char *why)
{
	server->login->is_answered = true;
	server_close_for(server, sqlstate, reason, why);
	return false;
}

static bool refuse(struct server *server, const char *sqlstate, const char *why)
{
	return refuse_for(server, sqlstate, "connect_failed", why);
}

/* --- proving who we are --- */

static enum secret_kind find_secret(struct server *server)
{
	struct pool_env *env = server->pool->env;
	struct server_login *login = server->login;

	if (!login->has_secret)
		login->has_secret = env->secret(env->context, &server->pool->key, &login->secret);
	return secret_kind_of(login->secret.text);
}

/*
 * With channel binding required only SCRAM-SHA-256-PLUS is good enough: anything else could be
 * passed on by somebody in between.
 */
static bool is_allowed_to_ask(struct server *server)
{
	return server->pool->env->limits.channel_binding != SCRAM_BINDING_REQUIRE ||
	       refuse_for(server, "28000", "channel_binding",
			  "channel binding is required and the server asks for a password "
			  "without it");
}

static bool answer_password(struct server *server)
{
	if (!is_allowed_to_ask(server))
		return false;
	if (find_secret(server) != SECRET_PLAIN)
		return refuse_for(
			server, "28P01", "no_password",
			"the server wants a clear-text password and none is configured");
	build_password(conn_out(server->conn), server->login->secret.text);
	conn_flush(server->conn);
	return true;
}

static bool answer_md5(struct server *server, struct cursor *c)
{
	const uint8_t *salt = cursor_bytes(c, 4);
	char response[MD5_RESPONSE_BYTES];

	if (!salt || !cursor_done(c))
		return refuse(server, "08P01", "malformed AuthenticationMD5Password");
	if (!is_allowed_to_ask(server))
		return false;
	if (find_secret(server) == SECRET_NONE ||
	    !password_md5_response(server->login->secret.text, server->pool->key.user, salt,
				   response))
		return refuse_for(server, "28P01", "no_password",
				  "the server wants an MD5 password and none is configured");
	build_password(conn_out(server->conn), response);
	conn_flush(server->conn);
	return true;
}

/* A list of names, ended by an empty one. */
static bool read_offer(struct cursor *c, struct scram_offer *offer)
{
	while (cursor_left(c) > 1) {
		const char *name = cursor_string(c);

		offer->has_scram |= strcmp(name, SCRAM_MECHANISM) == 0;
		offer->has_plus |= strcmp(name, SCRAM_MECHANISM_PLUS) == 0;
	}
	return !c->failed;
}

/* The password, or the secret with the key that a client has proved to have. */
static bool make_scram_client(struct server *server)
{
	struct server_login *login = server->login;
	const struct keyring_secret *secret = &login->secret;
	enum secret_kind kind = find_secret(server);

	if (kind == SECRET_SCRAM && !secret->has_key)
		return refuse_for(
			server, "28P01", "no_scram_key",
			"the server wants SCRAM; only a SCRAM secret is configured, and "
			"no client has logged in with its password yet");
	if (kind != SECRET_PLAIN && kind != SECRET_SCRAM)
		return refuse_for(server, "28P01", "no_password",
				  "the server wants SCRAM and no clear-text password or SCRAM "
				  "secret is configured");
	login->scram = kind == SECRET_PLAIN
			       ? scram_client_create(secret->text)
			       : scram_client_create_with_key(secret->text, secret->client_key);
	return login->scram || refuse(server, "53200", "out of memory");
}

static bool send_first(struct server *server, const char *mechanism)
{
	struct bytes first = { 0 };
	bool is_made = scram_client_first(server->login->scram, &first);

	if (is_made)
		build_sasl_initial(conn_out(server->conn), mechanism, bytes_begin(&first),
				   bytes_length(&first));
	bytes_free(&first);
	conn_flush(server->conn);
	return is_made || refuse(server, "53200", "out of memory");
}

static bool begin_scram(struct server *server, struct cursor *c)
{
	struct server_login *login = server->login;
	uint8_t end_point[CONN_END_POINT_MAX];
	struct scram_offer offer = { .is_encrypted = conn_is_encrypted(server->conn),
				     .end_point = end_point };
	const char *mechanism;
	const char *error;

	if (!read_offer(c, &offer))
		return refuse(server, "08P01", "malformed AuthenticationSASL");
	if (!make_scram_client(server))
		return false;
	login->is_scram_begun = true;
	offer.end_point_length = conn_tls_server_end_point(server->conn, end_point);
	mechanism = scram_client_choose(login->scram, &offer,
					server->pool->env->limits.channel_binding, &error);
	if (!mechanism)
		return refuse_for(server, "28000", "channel_binding", error);
	return send_first(server, mechanism);
}

static bool continue_scram(struct server *server, struct cursor *c)
{
	struct server_login *login = server->login;
	struct bytes reply = { 0 };
	const char *error = "unexpected SASL message";
	size_t length = cursor_left(c);
	enum scram_result result =
		login->scram ? scram_client_step(login->scram, cursor_bytes(c, length), length,
						 &reply, &error)
			     : SCRAM_BAD;

	if (result == SCRAM_CONTINUE) {
		build_sasl_response(conn_out(server->conn), bytes_begin(&reply),
				    bytes_length(&reply));
		conn_flush(server->conn);
	}
	bytes_free(&reply);
	switch (result) {
	case SCRAM_CONTINUE: return true;
	case SCRAM_DONE: login->is_scram_proved = true; return true;
	case SCRAM_WRONG:
		return refuse(server, "28000", "the server could not prove its identity");
	case SCRAM_OTHER_SECRET: return refuse_for(server, "28P01", "other_scram_secret", error);
	case SCRAM_DOWNGRADED:
	case SCRAM_BAD: break;
	}
	return refuse(server, "08P01", error);
}

/*
 * PostgreSQL asks once. Who asks again would have our answers pile up without end, or, behind a
 * SCRAM exchange that he cannot finish, the password in clear text.
 */
static bool is_first_question(struct server *server)
{
	if (server->login->is_asked)
		return refuse(server, "08P01", "the server asks for a second proof");
	server->login->is_asked = true;
	return true;
}

static bool take_authentication(struct server *server, const struct frame *frame)
{
	struct server_login *login = server->login;
	struct cursor c;
	uint32_t code;

	cursor_init(&c, frame->body, frame->body_length);
	code = cursor_u32(&c);
	if (c.failed)
		return refuse(server, "08P01", "malformed Authentication");
	if (login->is_authenticated)
		return refuse(server, "08P01", "authentication begins a second time");
	switch (code) {
	case AUTH_REQ_OK:
		if (login->is_scram_begun && !login->is_scram_proved)
			return refuse(server, "28000", "the server did not prove its identity");
		if (!login->is_scram_begun && !is_allowed_to_ask(server))
			return false;
		login->is_authenticated = true;
		return true;
	case AUTH_REQ_PASSWORD: return is_first_question(server) && answer_password(server);
	case AUTH_REQ_MD5: return is_first_question(server) && answer_md5(server, &c);
	case AUTH_REQ_SASL: return is_first_question(server) && begin_scram(server, &c);
	case AUTH_REQ_SASL_CONTINUE:
	case AUTH_REQ_SASL_FINAL: return continue_scram(server, &c);
	default:
		return refuse(server, "28000",
			      "the server wants an authentication that is not known");
	}
}

static bool take_parameter(struct server *server, const struct frame *frame)
{
	return server_take_parameter(server, frame) ||
	       refuse(server, "08P01", "malformed ParameterStatus");
}

static bool take_key(struct server *server, const struct frame *frame)
{
	return cancel_key_read(&server->key, server->protocol_minor, frame->body,
			       frame->body_length) ||
	       refuse(server, "08P01", "malformed BackendKeyData");
}

/*
 * An older server speaks an older 3.x, and says so before it asks who we are (PostgreSQL
 * documentation, "NegotiateProtocolVersion"). We asked for no protocol options.
 */
static bool take_negotiation(struct server *server, const struct frame *frame)
{
	struct cursor c;
	uint16_t major;
	uint16_t minor;
	uint32_t n_unknown;

	cursor_init(&c, frame->body, frame->body_length);
	major = cursor_u16(&c);
	minor = cursor_u16(&c);
	n_unknown = cursor_u32(&c);
	if (!cursor_done(&c) || n_unknown != 0 || major != 3 || minor > server->protocol_minor ||
	    server->login->is_answered)
		return refuse(server, "08P01", "NegotiateProtocolVersion out of place");
	server->protocol_minor = (uint8_t)minor;
	return true;
}

/* "unsupported frontend protocol" of servers before 9.3.21; poolers have other words for it. */
static bool is_about_protocol(const struct wire_error *error)
{
	return strcmp(error->sqlstate, "0A000") == 0 || strcmp(error->sqlstate, "08P01") == 0;
}

bool server_login_must_ask_older(const struct server *server)
{
	const struct server_login *login = server->login;

	return login && server->protocol_minor > 0 &&
	       (login->is_protocol_refused || (server->is_hung_up && !login->is_answered));
}

static bool take_error(struct server *server, const struct frame *frame)
{
	struct server_login *login = server->login;
	struct wire_error error;

	wire_error_parse(frame->body, frame->body_length, &error);
	login->is_protocol_refused = !login->is_answered && is_about_protocol(&error);
	login->is_answered = true;
	if (!login->is_protocol_refused && !login->is_authenticated &&
	    server_tls_fall_back(server, false, error.message))
		return false;
	return refuse(server, error.sqlstate, error.message);
}

static bool take_ready(struct server *server, const struct frame *frame)
{
	if (!server->login->is_authenticated || frame->body_length != 1 ||
	    frame->body[0] != TXN_IDLE)
		return refuse(server, "08P01", "ReadyForQuery out of place");
	pool_on_connected(server->pool);
	server_step(server, SERVER_EV_READY);
	return false; /* no longer ours to read */
}

/* false: the login is over, one way or the other. */
static bool take_message(struct server *server, const struct frame *frame)
{
	struct server_login *login = server->login;

	switch (frame->type) {
	case MSG_B_ERROR: return take_error(server, frame);
	case MSG_B_NOTICE: return true;
	case MSG_B_NEGOTIATE_VERSION: return take_negotiation(server, frame);
	default: login->is_answered = true;
	}
	if (frame->type == MSG_B_AUTHENTICATION)
		return take_authentication(server, frame);
	if (!login->is_authenticated)
		return refuse(server, "08P01", "a message before the end of the authentication");
	switch (frame->type) {
	case MSG_B_PARAMETER_STATUS: return take_parameter(server, frame);
	case MSG_B_BACKEND_KEY_DATA: return take_key(server, frame);
	case MSG_B_READY: return take_ready(server, frame);
	default: return refuse(server, "08P01", "an unexpected message while logging in");
	}
}

size_t server_login_data(struct server *server, const uint8_t *data, size_t length)
{
	size_t at = 0;

	while (at < length) {
		struct frame frame;
		enum frame_result result =
			frame_peek(data + at, length - at, LOGIN_MESSAGE_MAX, &frame);

		if (result == FRAME_BAD) {
			refuse(server, "08P01",
			       "a message of impossible length while logging in");
			return length;
		}
		if (result == FRAME_NEED_MORE || !frame_is_whole(&frame))
			return at;
		at += frame_size(&frame);
		if (!take_message(server, &frame))
			return server->state == SERVER_CLOSED ? length : at;
	}
	return at;
}
