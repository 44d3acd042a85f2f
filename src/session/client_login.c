/*
 * From an accepted socket to an authenticated client; see session/client_login.h. A state machine
 * in which each message is legal in one state only; the identity is set once, by the
 * StartupMessage.
 */
#include "session/client_login.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "session/client.h"
#include "session/login_private.h"
#include "wire/build.h"
#include "wire/cancel_key.h"
#include "wire/frame.h"
#include "wire/message.h"
#include "wire/startup.h"

#define LINGER               (2 * USEC_PER_SEC)
#define NAME_MAX_BYTES       63 /* NAMEDATALEN - 1 */
#define OPTION_MAX           1024
/* The type of a ClientHello's record (RFC 8446, 5.1); no start-up packet begins with it. */
#define TLS_RECORD_HANDSHAKE 0x16

/* --- ends --- */

static void free_login(struct client_login *login)
{
	struct session_env *env = login->env;

	list_remove(&env->logins, &login->node);
	login_forget_secret(login);
	settings_unref(&login->startup);
	client_free_startup(&login->replication_startup);
	free(login->user);
	free(login->database);
	loop_defer_free(env->loop, login);
}

static void drop(struct client_login *login)
{
	conn_destroy(&login->conn);
	free_login(login);
}

void login_reject(struct client_login *login, const char *sqlstate, const char *reason,
		  const char *message)
{
	struct log_ctx ctx = { .kind = "login",
			       .user = login->user,
			       .database = login->database };
	char detail[64];

	log_info(&ctx, "log-in from %s refused: %s (%s%s%s)", login->host, message, sqlstate,
		 reason ? ", " : "", reason ? reason : "");
	snprintf(detail, sizeof(detail), "reason: %s", reason ? reason : "");
	build_error(conn_out(login->conn), "FATAL", sqlstate, message, reason ? detail : NULL,
		    NULL);
	conn_finish(&login->conn, LINGER);
	free_login(login);
}

static void reject(struct client_login *login, const char *sqlstate, const char *message)
{
	login_reject(login, sqlstate, NULL, message);
}

/* --- authenticated --- */

static void begin_session(struct client_login *login)
{
	struct session_env *env = login->env;
	struct session_database *database = env->ops->database(env->context, login->database);
	struct client_params params = { .conn = login->conn,
					.startup = login->startup,
					.hints = &login->hints,
					.port = login->port,
					.connected_at = login->began_at,
					.minor = login->minor,
					.replication = login->replication,
					.replication_startup = login->replication_startup };
	const char *full;
	char message[128];

	if (!env->ops->admit_client(env->context)) {
		login_reject(login, "53300", "max_client_conn",
			     "pointsman: no more connections allowed (max_client_conn)");
		return;
	}
	params.identity = database ? session_identity_get(env, database, login->user) : NULL;
	if (!params.identity) {
		env->ops->client_left(env->context);
		reject(login, "53200", "pointsman: out of memory");
		return;
	}
	if (!session_admit_client(params.identity, &full)) {
		env->ops->client_left(env->context);
		snprintf(message, sizeof(message), "pointsman: no more connections allowed (%s)",
			 full);
		login_reject(login, "53300", full, message);
		return;
	}
	login_keep_secret(login, database);
	memcpy(params.host, login->host, sizeof(params.host));
	build_auth_request(conn_out(login->conn), AUTH_REQ_OK, NULL, 0);
	login->conn = NULL;
	login->startup = NULL;
	login->replication_startup = NULL;
	client_create(env, &params);
	free_login(login);
}

static void begin_console(struct client_login *login)
{
	struct session_env *env = login->env;
	struct conn *conn = login->conn;

	if (!env->ops->is_admin(env->context, login->user)) {
		reject(login, "42501", "pointsman: admin access needed");
		return;
	}
	build_auth_request(conn_out(conn), AUTH_REQ_OK, NULL, 0);
	login->conn = NULL;
	env->ops->admin(env->context, conn, login->user, login->database, login->host,
			login->port);
	free_login(login);
}

/* What there is to say about the database is said only to who has proved who he is. */
void login_accept(struct client_login *login)
{
	char message[160];

	if (login->is_console) {
		begin_console(login);
		return;
	}
	login->entry = login->env->ops->database(login->env->context, login->database);
	if (!login->entry) {
		snprintf(message, sizeof(message), "database \"%.63s\" does not exist",
			 login->database);
		reject(login, "3D000", message);
	} else if (login->entry->is_disabled) {
		snprintf(message, sizeof(message), "pointsman: database \"%.63s\" is disabled",
			 login->database);
		reject(login, "57P03", message);
	} else {
		begin_session(login);
	}
}

/* --- StartupMessage --- */

static bool is_console_name(const char *database)
{
	return strcmp(database, "pointsman") == 0 || strcmp(database, "pgbouncer") == 0;
}

static bool add_startup_param(struct client_login *login, const char *name, const char *value)
{
	struct bytes *to = login->replication_startup;

	return bytes_append(to, name, strlen(name) + 1) &&
	       bytes_append(to, value, strlen(value) + 1);
}

static bool add_setting(struct client_login *login, const char *name, const char *value)
{
	struct settings *before = login->startup;
	struct bytes statement = { 0 };
	bool failed;

	if (login->replication_startup) {
		if (add_startup_param(login, name, value))
			return true;
		reject(login, "53200", "pointsman: out of memory");
		return false;
	}
	failed = !settings_statement(name, value, &statement) || !bytes_append(&statement, "", 1);
	if (!failed)
		login->startup = settings_with(before, name,
					       (const char *)bytes_begin(&statement), &failed);
	bytes_free(&statement);
	if (failed) {
		reject(login, "53200", "pointsman: out of memory");
		return false;
	}
	settings_unref(&before);
	return true;
}

/* A setting of ours, or one for the servers. false: the client has been refused. */
static bool take_setting(struct client_login *login, const char *name, const char *value)
{
	static const char own[] = "pointsman.";
	char folded[128];
	char why[160] = "";
	char message[256];
	size_t i;

	for (i = 0; name[i] && i + 1 < sizeof(folded); i++)
		folded[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
	folded[i] = '\0';
	if (strncmp(folded, own, strlen(own)) != 0)
		return add_setting(login, folded, value);
	if (hint_set(&login->hints, folded + strlen(own), value, why, sizeof(why)))
		return true;
	snprintf(message, sizeof(message), "pointsman: invalid value for \"%s\": %s", folded,
		 why);
	reject(login, "22023", message);
	return false;
}

static bool take_options(struct client_login *login, const char *options)
{
	char name[OPTION_MAX];
	char value[OPTION_MAX];

	for (;;) {
		switch (startup_next_option(&options, name, sizeof(name), value, sizeof(value))) {
		case STARTUP_OPTION_END: return true;
		case STARTUP_OPTION_SETTING:
			if (!take_setting(login, name, value))
				return false;
			break;
		case STARTUP_OPTION_BAD:
			reject(login, "42601",
			       "invalid command-line argument for server process");
			return false;
		case STARTUP_OPTION_TOO_LONG:
			reject(login, "54000", "pointsman: an option is too long");
			return false;
		}
	}
}

static bool take_settings(struct client_login *login, const struct startup *startup)
{
	if (startup->options && !take_options(login, startup->options))
		return false;
	for (size_t i = 0; i < startup->n_params; i++) {
		if (!take_setting(login, startup->params[i].name, startup->params[i].value))
			return false;
	}
	return true;
}

static bool take_names(struct client_login *login, const struct startup *startup)
{
	const char *database =
		startup->database && startup->database[0] ? startup->database : startup->user;

	if (!startup->user) {
		reject(login, "28000", "no PostgreSQL user name specified in startup packet");
		return false;
	}
	/* Cut as PostgreSQL cuts them (ProcessStartupPacket), so that a rule, a secret and a
	 * server all see the same name. */
	login->user = strndup(startup->user, NAME_MAX_BYTES);
	login->database = strndup(database, NAME_MAX_BYTES);
	if (!login->user || !login->database) {
		reject(login, "53200", "pointsman: out of memory");
		return false;
	}
	login->is_console = is_console_name(database);
	return true;
}

/* false: the client has been refused. */
static bool take_replication(struct client_login *login, const char *value)
{
	char message[160];

	if (!startup_parse_replication(value, &login->replication)) {
		snprintf(message, sizeof(message),
			 "invalid value for parameter \"replication\": \"%.80s\"", value);
		reject(login, "22023", message);
		return false;
	}
	if (login->replication == REPLICATION_NONE)
		return true;
	if (login->is_console) {
		reject(login, "0A000", "pointsman: the console is no source of replication");
		return false;
	}
	login->replication_startup = calloc(1, sizeof(*login->replication_startup));
	if (login->replication_startup &&
	    add_startup_param(login, "replication",
			      login->replication == REPLICATION_LOGICAL ? "database" : "true"))
		return true;
	reject(login, "53200", "pointsman: out of memory");
	return false;
}

/* false: the client has been refused. Unix sockets need no TLS, as in PostgreSQL. */
static bool is_encrypted_enough(struct client_login *login)
{
	if (tls_context_mode(login->env->limits.tls) < TLS_REQUIRE || login->is_local ||
	    conn_is_encrypted(login->conn))
		return true;
	login_reject(
		login, "28000", "tls_required",
		"pointsman: SSL connection is required (client_tls_sslmode), and this one has "
		"no encryption");
	return false;
}

static void take_startup(struct client_login *login, const struct startup *startup)
{
	struct session_env *env = login->env;

	login->minor = startup_agreed_minor(startup);
	if (startup_needs_negotiation(startup))
		build_negotiate_version(conn_out(login->conn), login->minor, startup->unknown_pq,
					startup->n_unknown_pq);
	if (!take_names(login, startup) || !is_encrypted_enough(login))
		return;
	if (startup->replication && !take_replication(login, startup->replication))
		return;
	if (env->is_shutting_down) {
		reject(login, "57P01", "pointsman: shutting down");
		return;
	}
	if (take_settings(login, startup))
		login_authenticate(login);
}

/* --- packets --- */

/* `early`: what has come of the handshake already. */
static void begin_tls(struct client_login *login, const uint8_t *early, size_t early_length)
{
	if (!conn_start_tls(login->conn, login->env->limits.tls, NULL, early, early_length))
		drop(login);
}

/*
 * The answer to a request for encryption. Anything that came with it was sent by somebody who did
 * not wait for the answer, and would be taken for what came inside TLS.
 */
static void answer_encryption(struct client_login *login, bool *had, bool is_offered,
			      bool has_more)
{
	if (*had || has_more) {
		login_reject(login, "08P01", "data_before_encryption",
			     "received unencrypted data after an encryption request");
		return;
	}
	*had = true;
	conn_send(login->conn, is_offered ? "S" : "N", 1);
	if (is_offered)
		begin_tls(login, NULL, 0);
}

static bool offers_tls(const struct client_login *login)
{
	return login->env->limits.tls && !login->is_local && !conn_is_encrypted(login->conn);
}

/*
 * A ClientHello in place of a request (PostgreSQL documentation, "SSL Session Encryption"). To
 * one who speaks TLS we can say nothing else.
 */
static void begin_direct_tls(struct client_login *login, const uint8_t *data, size_t length)
{
	struct log_ctx ctx = { .kind = "login" };

	if (!offers_tls(login)) {
		log_info(&ctx, "log-in from %s refused: TLS is not offered", login->host);
		drop(login);
		return;
	}
	login->is_direct = true;
	login->had_ssl_request = true;
	begin_tls(login, data, length);
}

static bool is_client_hello(const struct client_login *login, const uint8_t *data)
{
	return data[0] == TLS_RECORD_HANDSHAKE && !login->had_ssl_request &&
	       !login->had_gss_request;
}

/* TLS is up. */
static void on_connected(void *context)
{
	struct client_login *login = context;

	if (login->is_direct && !conn_tls_has_alpn(login->conn))
		login_reject(login, "08P01", "no_alpn",
			     "received direct SSL connection request without ALPN protocol "
			     "negotiation extension");
}

static void take_cancel(struct client_login *login, const struct startup *startup)
{
	struct session_env *env = login->env;
	struct conn *conn = login->conn;
	struct cancel_key key;

	if (!cancel_key_set(&key, startup->cancel_pid, startup->cancel_key,
			    startup->cancel_key_length)) {
		drop(login);
		return;
	}
	login->conn = NULL;
	env->ops->cancel(env->context, &key, conn);
	free_login(login);
}

static void reject_protocol(struct client_login *login, const struct startup *startup)
{
	char message[96];

	snprintf(message, sizeof(message),
		 "unsupported frontend protocol %u.%u: server supports 3.0 to 3.%d",
		 startup->major, startup->minor, STARTUP_NEWEST_MINOR);
	reject(login, "0A000", message);
}

/* Returns how many bytes were used; the login may be gone. */
static size_t take_packet(struct client_login *login, const uint8_t *data, size_t length)
{
	struct startup *startup = malloc(sizeof(*startup));
	const char *error = "malformed start-up packet";
	size_t used = length;
	enum startup_kind kind;

	if (!startup) {
		drop(login);
		return length;
	}
	kind = startup_parse(data, length, startup, &error);
	switch (kind) {
	case STARTUP_NEED_MORE: used = 0; break;
	case STARTUP_BAD: reject(login, "08P01", error); break;
	case STARTUP_OTHER_PROTOCOL: reject_protocol(login, startup); break;
	case STARTUP_SSL:
		used = startup->size;
		answer_encryption(login, &login->had_ssl_request, offers_tls(login),
				  used < length);
		break;
	case STARTUP_GSS:
		used = startup->size;
		answer_encryption(login, &login->had_gss_request, false, used < length);
		break;
	case STARTUP_CANCEL: take_cancel(login, startup); break;
	case STARTUP_SESSION:
		used = startup->size;
		take_startup(login, startup);
		break;
	}
	free(startup);
	return used;
}

static size_t take_message(struct client_login *login, const uint8_t *data, size_t length)
{
	struct frame frame;
	enum frame_result result = frame_peek(data, length, FRAME_LOGIN_BODY_MAX, &frame);

	if (result == FRAME_BAD || (result == FRAME_OK && frame.type != MSG_F_PASSWORD)) {
		reject(login, "08P01",
		       result == FRAME_BAD ? "invalid message length"
					   : "expected a password response");
		return length;
	}
	if (result == FRAME_NEED_MORE || !frame_is_whole(&frame))
		return 0;
	login_take_proof(login, &frame);
	return frame_size(&frame);
}

/* What the load balancer says takes the place of its own address, everywhere. */
static void take_address(struct client_login *login, const struct proxy_header *header)
{
	if (header->family == 0)
		return;
	inet_ntop(header->family == 4 ? AF_INET : AF_INET6, header->address, login->host,
		  sizeof(login->host));
	login_set_ip(login, header->family, header->address);
	login->port = header->port;
	login->is_local = false;
}

/* Nothing can be said to who does not begin with what was agreed on: he speaks another language.
 */
static size_t take_proxy_header(struct client_login *login, const uint8_t *data, size_t length)
{
	struct log_ctx ctx = { .kind = "login" };
	struct proxy_header header;

	switch (proxy_header_parse(data, length, login->proxy_protocol, &header)) {
	case PROXY_HEADER_NEED_MORE: return 0;
	case PROXY_HEADER_BAD:
		log_info(&ctx, "connection from %s refused: no header of the PROXY protocol (%s)",
			 login->host, proxy_protocol_name(login->proxy_protocol));
		drop(login);
		return length;
	case PROXY_HEADER_OK: break;
	}
	take_address(login, &header);
	login->state = LOGIN_STARTUP;
	return header.size;
}

/* One packet or message at a time: what follows it is offered again, to whoever owns the
 * connection then. */
static size_t on_data(void *context, const uint8_t *data, size_t length)
{
	struct client_login *login = context;

	if (login->state == LOGIN_PROXY_HEADER)
		return take_proxy_header(login, data, length);
	if (login->state == LOGIN_STARTUP && is_client_hello(login, data)) {
		begin_direct_tls(login, data, length);
		return length;
	}
	if (login->state == LOGIN_STARTUP)
		return take_packet(login, data, length);
	return take_message(login, data, length);
}

static void on_closed(void *context, enum conn_end end, int error)
{
	struct client_login *login = context;
	struct log_ctx ctx = { .kind = "login" };

	(void)error;
	if (end == CONN_END_TLS)
		log_info(&ctx, "log-in from %s failed: TLS: %s", login->host,
			 conn_tls_error(login->conn));
	drop(login);
}

static const struct conn_handler login_handler = { on_data, NULL, on_closed, on_connected };

/* --- beginning and time --- */

/*
 * Whoever has proved nothing yet counts against a limit of his own, so that strangers cannot use
 * up max_client_conn; and when that is reached, the one who has taken longest makes room:
 * an honest log-in is over in no time.
 */
static void make_room(struct session_env *env)
{
	while (env->logins.count > env->limits.max_logins)
		login_reject(LIST_ENTRY(list_first(&env->logins), struct client_login, node),
			     "53300", "max_login_conn",
			     "pointsman: too many connections that have not logged in "
			     "(max_login_conn)");
}

void client_login_begin(struct session_env *env, int fd, const struct sockaddr *address,
			socklen_t length, enum proxy_protocol proxy_protocol)
{
	struct client_login *login = calloc(1, sizeof(*login));

	(void)length;
	if (!login) {
		close(fd);
		return;
	}
	login->env = env;
	login->is_local = address->sa_family == AF_UNIX;
	login->began_at = clock_now();
	login->proxy_protocol = proxy_protocol;
	login->state = proxy_protocol == PROXY_PROTOCOL_OFF ? LOGIN_STARTUP : LOGIN_PROXY_HEADER;
	login_set_address(login, address);
	conn_address_text(address, login->host, sizeof(login->host), &login->port);
	conn_set_tcp_options(fd, &env->limits.tcp);
	login->conn = conn_create(env->loop, fd, &login_handler, login);
	if (!login->conn) {
		close(fd);
		free(login);
		return;
	}
	list_push_back(&env->logins, &login->node);
	make_room(env);
}

void client_login_tick(struct session_env *env, usec now)
{
	usec limit = env->limits.client_login_timeout;

	LIST_EACH_SAFE (&env->logins, node) {
		struct client_login *login = LIST_ENTRY(node, struct client_login, node);

		if (limit > 0 && now - login->began_at >= limit)
			reject(login, "08P01", "pointsman: client_login_timeout");
	}
}

void client_login_close_all(struct session_env *env)
{
	LIST_EACH_SAFE (&env->logins, node)
		drop(LIST_ENTRY(node, struct client_login, node));
}
