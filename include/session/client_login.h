#ifndef POINTSMAN_SESSION_CLIENT_LOGIN_H
#define POINTSMAN_SESSION_CLIENT_LOGIN_H

#include <sys/socket.h>

#include "session/env.h"
#include "wire/proxy_header.h"

/*
 * From an accepted socket to an authenticated client: SSLRequest and GSSENCRequest, cancel
 * requests, the StartupMessage, passwords. All of it lives in one object that is gone when the
 * session begins.
 */

struct client_login;

/*
 * Takes the socket over. Without memory it is closed. With `proxy_protocol` the first that comes
 * is such a header, and the client's address is the one that it gives.
 */
void client_login_begin(struct session_env *env, int fd, const struct sockaddr *address,
			socklen_t length, enum proxy_protocol proxy_protocol);

/* What came of a look-up that a log-in has asked for (ops->look_up); it may be gone by now. */
struct lookup_answer;
void client_login_answer(struct session_env *env, uint64_t id, const struct lookup_answer *answer);

/* Ends one that takes too long, and all of them at shutdown. */
void client_login_tick(struct session_env *env, usec now);
void client_login_close_all(struct session_env *env);

#endif
