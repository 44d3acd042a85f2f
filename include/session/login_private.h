#ifndef POINTSMAN_SESSION_LOGIN_PRIVATE_H
#define POINTSMAN_SESSION_LOGIN_PRIVATE_H

#include "auth/hba.h"
#include "auth/method.h"
#include "auth/scram.h"
#include "session/env.h"
#include "sql/hint.h"
#include "wire/frame.h"
#include "wire/proxy_header.h"
#include "wire/startup.h"

/* What client_login.c and client_auth.c share with each other and with nobody else. */

enum login_state {
	LOGIN_PROXY_HEADER, /* of a load balancer that is believed */
	LOGIN_STARTUP,      /* SSLRequest, GSSENCRequest, CancelRequest, StartupMessage */
	LOGIN_LOOKUP,       /* nothing: the secret is being looked up */
	LOGIN_PASSWORD,     /* PasswordMessage: in clear text or MD5 */
	LOGIN_SASL_BEGIN,   /* SASLInitialResponse */
	LOGIN_SASL,         /* SASLResponse */
};

struct client_login {
	struct list_node node; /* in env->logins, in order of arrival */
	struct session_env *env;
	struct conn *conn;
	enum login_state state;
	bool is_local;  /* through a unix socket: no TLS, and none is demanded */
	bool is_direct; /* began with TLS, without asking */
	bool had_ssl_request;
	bool had_gss_request;
	bool is_console; /* wants the admin console */
	char *user;
	char *database;
	const struct session_database *entry; /* NULL: there is none of this name */
	struct settings *startup;
	struct hints hints;
	struct hba_address address; /* where the client is */
	enum auth_type method;      /* how this one has to prove itself */
	bool is_known;              /* there is such a user, as far as we can know */
	bool is_looked_up;          /* the secret is from a look-up, not from the user list */
	char *secret;               /* NULL: none; zeroed when it is freed */
	uint64_t lookup_id;
	bool has_key; /* the proof has revealed client_key, which belongs to the secret */
	uint8_t client_key[SCRAM_KEY_BYTES];
	uint8_t salt[4];
	struct scram_server *scram;
	usec began_at;
	uint16_t minor;                     /* of protocol 3, as agreed */
	enum proxy_protocol proxy_protocol; /* of the header that comes first */
	/* A walsender is wanted; then all settings are here, as `name`, `value`, ..., and
	 * `startup` stays empty. */
	enum startup_replication replication;
	struct bytes *replication_startup;
	char host[46];
	int port;
};

/* --- client_login.c --- */

/* He is who he says: begins the session, or says why there can be none. The login is gone. */
void login_accept(struct client_login *login);

/*
 * Ends the log-in with a FATAL error; `reason` is one word for its DETAIL and for the log, NULL:
 * none. The login is gone.
 */
void login_reject(struct client_login *login, const char *sqlstate, const char *reason,
		  const char *message);

/* --- client_auth.c --- */

/* The StartupMessage has been taken: asks for a proof, or needs none. The login may be gone. */
void login_authenticate(struct client_login *login);

/* Takes note of where the client is, for the rules of the hba file: family 4, 6, or 0 (a unix
 * socket), and the address in network order. */
void login_set_ip(struct client_login *login, uint8_t family, const uint8_t *bytes);
struct sockaddr;
void login_set_address(struct client_login *login, const struct sockaddr *address);

/* The client is in: what it has proved is kept for logging in to the servers. */
void login_keep_secret(struct client_login *login, const struct session_database *database);

/* Frees all that is secret. */
void login_forget_secret(struct client_login *login);

/* A whole message of type 'p', in one of the states that wait for one. The login may be gone. */
void login_take_proof(struct client_login *login, const struct frame *frame);

#endif
