/*
 * How a client proves who it is: the requests for a password, MD5 and SCRAM, and the judgement of
 * what comes back. What comes before and after is in client_login.c. Runs on the thread of the
 * login's worker.
 */
#include <stdio.h>
#include <string.h>

#include "auth/password.h"
#include "auth/scram.h"
#include "auth/userlist.h"
#include "base/bytes.h"
#include "base/panic.h"
#include "base/random.h"
#include "session/login_private.h"
#include "wire/build.h"
#include "wire/cursor.h"
#include "wire/frame.h"
#include "wire/message.h"

static void reject_password(struct client_login *login)
{
	char message[160];

	snprintf(message, sizeof(message), "password authentication failed for user \"%.63s\"",
		 login->user);
	login_reject(login, "28P01", NULL, message);
}

static const char *secret_of(const struct client_login *login)
{
	return login->env->ops->secret(login->env->context, login->user);
}

static void ask(struct client_login *login, enum login_state next, uint32_t code,
		const void *data, size_t length)
{
	login->state = next;
	build_auth_request(conn_out(login->conn), code, data, length);
	conn_flush(login->conn);
}

static void ask_scram(struct client_login *login)
{
	static const char mechanisms[] =
		SCRAM_MECHANISM "\0"; /* a list, ended by an empty name */

	ask(login, LOGIN_SASL_BEGIN, AUTH_REQ_SASL, mechanisms, sizeof(mechanisms));
}

/*
 * As in PostgreSQL: with `md5`, a user whose secret is a SCRAM one logs in by SCRAM; an unknown
 * user is asked the same as a known one.
 */
void login_authenticate(struct client_login *login)
{
	struct session_env *env = login->env;
	const char *secret;

	switch (env->limits.auth) {
	case AUTH_TRUST:
		if (env->ops->is_known_user(env->context, login->user))
			login_accept(login);
		else
			reject_password(login);
		return;
	case AUTH_PASSWORD: ask(login, LOGIN_PASSWORD, AUTH_REQ_PASSWORD, NULL, 0); return;
	case AUTH_MD5:
		secret = secret_of(login);
		if (secret && secret_kind_of(secret) == SECRET_SCRAM) {
			ask_scram(login);
			return;
		}
		random_secret(login->salt, sizeof(login->salt));
		ask(login, LOGIN_PASSWORD, AUTH_REQ_MD5, login->salt, sizeof(login->salt));
		return;
	case AUTH_SCRAM: ask_scram(login); return;
	case AUTH_CERT:
	case AUTH_HBA:
	case AUTH_PEER:
	case AUTH_REJECT: break;
	}
	UNREACHABLE();
}

static void take_password(struct client_login *login, const struct frame *frame)
{
	struct cursor c;
	const char *password;
	const char *secret = secret_of(login);
	bool is_right;

	cursor_init(&c, frame->body, frame->body_length);
	password = cursor_string(&c);
	if (!cursor_done(&c)) {
		login_reject(login, "08P01", NULL, "invalid password packet");
		return;
	}
	if (login->env->limits.auth == AUTH_MD5)
		is_right = password_md5_check(secret, login->user, login->salt, password);
	else
		is_right = password_plain_check(secret, login->user, password);
	if (is_right)
		login_accept(login);
	else
		reject_password(login);
}

static void step_scram(struct client_login *login, const uint8_t *message, size_t length)
{
	struct bytes reply = { 0 };
	const char *error = NULL;
	enum scram_result result =
		scram_server_step(login->scram, message, length, &reply, &error);
	struct bytes *out = conn_out(login->conn);

	if (result == SCRAM_CONTINUE || result == SCRAM_DONE)
		build_auth_request(
			out, result == SCRAM_DONE ? AUTH_REQ_SASL_FINAL : AUTH_REQ_SASL_CONTINUE,
			bytes_begin(&reply), bytes_length(&reply));
	bytes_free(&reply);
	login->state = LOGIN_SASL;
	switch (result) {
	case SCRAM_CONTINUE: conn_flush(login->conn); break;
	case SCRAM_DONE: login_accept(login); break;
	case SCRAM_WRONG: reject_password(login); break;
	case SCRAM_DOWNGRADED: login_reject(login, "28000", "channel_binding", error); break;
	case SCRAM_OTHER_SECRET:
	case SCRAM_BAD:
		login_reject(login, "08P01", NULL, error ? error : "malformed SCRAM message");
		break;
	}
}

static void take_sasl_begin(struct client_login *login, const struct frame *frame)
{
	struct cursor c;
	const char *mechanism;
	uint32_t length;
	const uint8_t *data;

	cursor_init(&c, frame->body, frame->body_length);
	mechanism = cursor_string(&c);
	length = cursor_u32(&c);
	data = cursor_bytes(&c, length == UINT32_MAX ? 0 : length);
	if (!cursor_done(&c) || length == UINT32_MAX || strcmp(mechanism, SCRAM_MECHANISM) != 0) {
		login_reject(login, "08P01", NULL,
			     "client selected an invalid SASL authentication mechanism");
		return;
	}
	login->scram = scram_server_create(login->user, secret_of(login));
	if (!login->scram) {
		login_reject(login, "53200", NULL, "pointsman: out of memory");
		return;
	}
	step_scram(login, data, length);
}

void login_take_proof(struct client_login *login, const struct frame *frame)
{
	switch (login->state) {
	case LOGIN_PASSWORD: take_password(login, frame); break;
	case LOGIN_SASL_BEGIN: take_sasl_begin(login, frame); break;
	case LOGIN_SASL: step_scram(login, frame->body, frame->body_length); break;
	case LOGIN_PROXY_HEADER:
	case LOGIN_STARTUP: UNREACHABLE();
	}
}
