/*
 * How a client proves who it is: which proof it owes (auth.type, or the rule of the hba file that
 * fits it), the secret that the proof is held against, the requests for passwords, MD5 and SCRAM,
 * and the judgement of what comes back. What comes before and after is in client_login.c. Runs on
 * the thread of the login's worker.
 */
#include <netinet/in.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "auth/password.h"
#include "auth/scram.h"
#include "auth/userlist.h"
#include "base/bytes.h"
#include "base/panic.h"
#include "base/random.h"
#include "probe/lookup.h"
#include "session/client_login.h"
#include "session/login_private.h"
#include "wire/build.h"
#include "wire/cursor.h"
#include "wire/frame.h"
#include "wire/message.h"

#define MESSAGE_SIZE 320

/* --- refusals, in PostgreSQL's words (src/backend/libpq/auth.c) --- */

static void reject_user(struct client_login *login)
{
	const char *what = "password";
	const char *sqlstate = "28000";
	char message[MESSAGE_SIZE];

	switch (login->method) {
	case AUTH_CERT: what = "certificate"; break;
	case AUTH_PEER: what = "Peer"; break;
	default: sqlstate = "28P01"; break;
	}
	snprintf(message, sizeof(message), "%s authentication failed for user \"%.63s\"", what,
		 login->user);
	login_reject(login, sqlstate, NULL, message);
}

static void reject_no_memory(struct client_login *login)
{
	login_reject(login, "53200", "no_memory", "pointsman: out of memory");
}

/* `before` is what the text begins with, up to the word "host". */
static void reject_by_hba(struct client_login *login, const char *before, const char *reason)
{
	bool is_replication = login->replication == REPLICATION_PHYSICAL;
	char message[MESSAGE_SIZE];

	snprintf(message, sizeof(message), "%s host \"%s\", user \"%.63s\"%s%.63s%s, %s", before,
		 login->address.family == 0 ? "[local]" : login->host, login->user,
		 is_replication ? "" : ", database \"", is_replication ? "" : login->database,
		 is_replication ? "" : "\"",
		 conn_is_encrypted(login->conn) ? "SSL encryption" : "no encryption");
	login_reject(login, "28000", reason, message);
}

static void reject_without_entry(struct client_login *login)
{
	reject_by_hba(login,
		      login->replication == REPLICATION_PHYSICAL
			      ? "no pg_hba.conf entry for replication connection from"
			      : "no pg_hba.conf entry for",
		      "hba_no_entry");
}

static void reject_by_rule(struct client_login *login)
{
	reject_by_hba(login,
		      login->replication == REPLICATION_PHYSICAL
			      ? "pg_hba.conf rejects replication connection for"
			      : "pg_hba.conf rejects connection for",
		      "hba_reject");
}

/* --- the rule --- */

void login_set_ip(struct client_login *login, uint8_t family, const uint8_t *bytes)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct hba_address *to = &login->address;

	memset(to, 0, sizeof(*to));
	/* An IPv4 client of a socket for both kinds. */
	if (family == 6 && memcmp(bytes, mapped, sizeof(mapped)) == 0) {
		family = 4;
		bytes += sizeof(mapped);
	}
	to->family = family;
	if (family != 0)
		memcpy(to->bytes, bytes, family == 4 ? 4 : 16);
}

void login_set_address(struct client_login *login, const struct sockaddr *address)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)address;

	if (address->sa_family == AF_INET)
		login_set_ip(login, 4, (const uint8_t *)&v4->sin_addr);
	else if (address->sa_family == AF_INET6)
		login_set_ip(login, 6, v6->sin6_addr.s6_addr);
	else
		login_set_ip(login, 0, NULL);
}

/* `own` is room for the rule that auth.type stands for. NULL: no rule fits. */
static const struct hba_rule *find_rule(const struct client_login *login, struct hba_rule *own)
{
	struct session_env *env = login->env;
	struct hba_request request = { .address = login->address,
				       .is_encrypted = conn_is_encrypted(login->conn),
				       .is_replication =
					       login->replication == REPLICATION_PHYSICAL,
				       .database = login->database,
				       .user = login->user };

	if (env->limits.auth == AUTH_HBA)
		return env->ops->hba_rule(env->context, &request);
	*own = (struct hba_rule){ .method = env->limits.auth };
	if (own->method == AUTH_CERT)
		own->clientcert = HBA_CLIENTCERT_FULL;
	return own;
}

static bool is_mapped(const struct client_login *login, const struct hba_rule *rule,
		      const char *system_user)
{
	struct session_env *env = login->env;

	return env->ops->map_user(env->context, rule->map, system_user, login->user);
}

/* false: the client has been refused. */
static bool check_certificate(struct client_login *login, const struct hba_rule *rule)
{
	const char *common_name = conn_tls_peer_name(login->conn);
	const char *whole_name = conn_tls_peer_dn(login->conn);
	const char *name = rule->is_by_dn ? whole_name : common_name;

	if (rule->clientcert == HBA_CLIENTCERT_NONE)
		return true;
	/* A good one need not have a common name, unless that is asked for. */
	if (!common_name && !whole_name) {
		login_reject(login, "28000", "no_certificate",
			     "connection requires a valid client certificate");
		return false;
	}
	if (rule->clientcert == HBA_CLIENTCERT_FULL && !(name && is_mapped(login, rule, name))) {
		login->method = AUTH_CERT;
		reject_user(login);
		return false;
	}
	return true;
}

/*
 * The name of the user of the operating system at the other end of a unix socket. (getpwuid_r()
 * reads /etc/passwd; where it asks a directory service, it waits for it, as PostgreSQL does.)
 */
static bool is_peer(const struct client_login *login, const struct hba_rule *rule)
{
	struct ucred credentials;
	socklen_t length = sizeof(credentials);
	struct passwd entry;
	struct passwd *found = NULL;
	char buffer[4096];

	return getsockopt(conn_fd(login->conn), SOL_SOCKET, SO_PEERCRED, &credentials, &length) !=
		       -1 &&
	       getpwuid_r(credentials.uid, &entry, buffer, sizeof(buffer), &found) == 0 &&
	       found != NULL && is_mapped(login, rule, found->pw_name);
}

/* --- asking for a proof --- */

static void ask(struct client_login *login, enum login_state next, uint32_t code,
		const void *data, size_t length)
{
	login->state = next;
	build_auth_request(conn_out(login->conn), code, data, length);
	conn_flush(login->conn);
}

/* A list of names, ended by an empty one; the better one first. */
static void ask_scram(struct client_login *login)
{
	static const char both[] = SCRAM_MECHANISM_PLUS "\0" SCRAM_MECHANISM "\0";
	static const char plain[] = SCRAM_MECHANISM "\0";
	uint8_t end_point[CONN_END_POINT_MAX];

	if (conn_tls_server_end_point(login->conn, end_point) > 0)
		ask(login, LOGIN_SASL_BEGIN, AUTH_REQ_SASL, both, sizeof(both));
	else
		ask(login, LOGIN_SASL_BEGIN, AUTH_REQ_SASL, plain, sizeof(plain));
}

static void ask_md5(struct client_login *login)
{
	random_secret(login->salt, sizeof(login->salt));
	ask(login, LOGIN_PASSWORD, AUTH_REQ_MD5, login->salt, sizeof(login->salt));
}

/*
 * The secret is there, or there is none. As in PostgreSQL: with `md5`, a user whose secret is a
 * SCRAM one logs in by SCRAM; an unknown user is asked the same as a known one.
 */
static void ask_for_proof(struct client_login *login)
{
	switch (login->method) {
	case AUTH_TRUST:
	case AUTH_CERT:
	case AUTH_PEER:
		if (login->is_known)
			login_accept(login);
		else
			reject_user(login);
		return;
	case AUTH_PASSWORD: ask(login, LOGIN_PASSWORD, AUTH_REQ_PASSWORD, NULL, 0); return;
	case AUTH_MD5:
		if (login->secret && secret_kind_of(login->secret) == SECRET_SCRAM)
			ask_scram(login);
		else
			ask_md5(login);
		return;
	case AUTH_SCRAM: ask_scram(login); return;
	case AUTH_HBA:
	case AUTH_REJECT: break;
	}
	UNREACHABLE();
}

/* --- the secret --- */

void login_forget_secret(struct client_login *login)
{
	scram_server_destroy(&login->scram);
	if (login->secret)
		OPENSSL_cleanse(login->secret, strlen(login->secret));
	free(login->secret);
	login->secret = NULL;
	OPENSSL_cleanse(login->client_key, sizeof(login->client_key));
}

void login_keep_secret(struct client_login *login, const struct session_database *database)
{
	struct session_env *env = login->env;

	if (login->secret)
		env->ops->keep_secret(env->context, database, login->user, login->secret,
				      login->is_looked_up,
				      login->has_key ? login->client_key : NULL);
}

static void look_up(struct client_login *login)
{
	static atomic_ullong last_id;
	struct session_env *env = login->env;
	enum session_look_up begun = SESSION_LOOK_UP_NONE;

	login->lookup_id = atomic_fetch_add(&last_id, 1) + 1;
	/* The console's users are in the list. */
	if (!login->is_console)
		begun = env->ops->look_up(env->context, login->lookup_id, login->user,
					  login->database);
	switch (begun) {
	case SESSION_LOOK_UP_BEGUN: login->state = LOGIN_LOOKUP; return;
	case SESSION_LOOK_UP_FAILED: reject_no_memory(login); return;
	case SESSION_LOOK_UP_NONE: break;
	}
	login->is_known = env->ops->is_known_user(env->context, login->user);
	ask_for_proof(login);
}

static struct client_login *find_asker(struct session_env *env, uint64_t id)
{
	LIST_EACH (&env->logins, node) {
		struct client_login *login = LIST_ENTRY(node, struct client_login, node);

		if (login->state == LOGIN_LOOKUP && login->lookup_id == id)
			return login;
	}
	return NULL;
}

void client_login_answer(struct session_env *env, uint64_t id, const struct lookup_answer *answer)
{
	struct client_login *login = find_asker(env, id);

	if (!login)
		return;
	if (answer->result == LOOKUP_FAILED) {
		login_reject(login, "57P03", "auth_query",
			     "pointsman: the user could not be looked up");
		return;
	}
	login->is_known = login->is_looked_up = answer->result == LOOKUP_FOUND;
	if (answer->secret) {
		login->secret = strdup(answer->secret);
		if (!login->secret) {
			reject_no_memory(login);
			return;
		}
	}
	ask_for_proof(login);
}

static void find_secret(struct client_login *login)
{
	const char *listed = login->env->ops->secret(login->env->context, login->user);

	if (!listed) {
		look_up(login);
		return;
	}
	login->is_known = true;
	login->secret = strdup(listed);
	if (login->secret)
		ask_for_proof(login);
	else
		reject_no_memory(login);
}

void login_authenticate(struct client_login *login)
{
	struct hba_rule own;
	const struct hba_rule *rule = find_rule(login, &own);

	if (!rule) {
		reject_without_entry(login);
		return;
	}
	login->method = rule->method;
	if (rule->method == AUTH_REJECT)
		reject_by_rule(login);
	else if (rule->method == AUTH_PEER && !is_peer(login, rule))
		reject_user(login);
	else if (check_certificate(login, rule))
		find_secret(login);
}

/* --- taking the proof --- */

static void take_password(struct client_login *login, const struct frame *frame)
{
	struct cursor c;
	const char *password;
	bool is_right;

	cursor_init(&c, frame->body, frame->body_length);
	password = cursor_string(&c);
	if (!cursor_done(&c)) {
		login_reject(login, "08P01", NULL, "invalid password packet");
		return;
	}
	if (login->method == AUTH_MD5) {
		is_right = password_md5_check(login->secret, login->user, login->salt, password);
	} else {
		is_right = password_plain_check(login->secret, login->user, password,
						login->client_key);
		login->has_key = is_right && secret_kind_of(login->secret) == SECRET_SCRAM;
	}
	if (is_right)
		login_accept(login);
	else
		reject_user(login);
}

static void accept_scram(struct client_login *login)
{
	/* The key of a password that we know in clear text is for a salt of our own. */
	if (secret_kind_of(login->secret) == SECRET_SCRAM)
		login->has_key = scram_server_client_key(login->scram, login->client_key);
	login_accept(login);
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
	case SCRAM_DONE: accept_scram(login); break;
	case SCRAM_WRONG: reject_user(login); break;
	case SCRAM_DOWNGRADED: login_reject(login, "28000", "channel_binding", error); break;
	case SCRAM_OTHER_SECRET:
	case SCRAM_BAD:
		login_reject(login, "08P01", NULL, error ? error : "malformed SCRAM message");
		break;
	}
}

/* false: none of those that were offered. */
static bool begin_scram(struct client_login *login, const char *mechanism)
{
	uint8_t end_point[CONN_END_POINT_MAX];
	size_t length = conn_tls_server_end_point(login->conn, end_point);
	bool is_plus = length > 0 && strcmp(mechanism, SCRAM_MECHANISM_PLUS) == 0;

	if (!is_plus && strcmp(mechanism, SCRAM_MECHANISM) != 0)
		return false;
	login->scram = scram_server_create(login->user, login->secret);
	if (login->scram)
		scram_server_bind(login->scram, is_plus, end_point, length);
	return true;
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
	if (!cursor_done(&c) || length == UINT32_MAX || !begin_scram(login, mechanism)) {
		login_reject(login, "08P01", NULL,
			     "client selected an invalid SASL authentication mechanism");
		return;
	}
	if (login->scram)
		step_scram(login, data, length);
	else
		reject_no_memory(login);
}

void login_take_proof(struct client_login *login, const struct frame *frame)
{
	switch (login->state) {
	case LOGIN_PASSWORD: take_password(login, frame); return;
	case LOGIN_SASL_BEGIN: take_sasl_begin(login, frame); return;
	case LOGIN_SASL: step_scram(login, frame->body, frame->body_length); return;
	case LOGIN_LOOKUP:
		login_reject(login, "08P01", NULL, "a password that nobody has asked for");
		return;
	case LOGIN_PROXY_HEADER:
	case LOGIN_STARTUP: break;
	}
	UNREACHABLE();
}
