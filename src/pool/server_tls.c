/*
 * Encryption of connections to servers: whether TLS is asked for, what the answer means, and the
 * second attempt that the modes allow and prefer stand for (PostgreSQL documentation, "SSL
 * Support" of libpq). The handshake itself is net/conn's. Runs on the worker that owns the
 * server.
 */
#include "base/log.h"
#include "pool/pool_private.h"
#include "wire/build.h"

static enum tls_mode mode_of(const struct server *server)
{
	return tls_context_mode(server->pool->env->limits.tls);
}

static const char *host_of(const struct server *server)
{
	struct pool_env *env = server->pool->env;

	return env->host ? env->host(env->context, &server->pool->key) : NULL;
}

/* As libpq, which ignores sslmode on unix sockets. */
static bool is_local(const struct server *server)
{
	const char *host = host_of(server);

	return host && host[0] == '/';
}

/* On this attempt; the second one of allow and prefer does what the first did not. */
static bool is_wanted(const struct server *server)
{
	if (is_local(server))
		return false;
	switch (mode_of(server)) {
	case TLS_ALLOW: return server->has_fallen_back;
	case TLS_PREFER: return !server->has_fallen_back;
	default: return mode_of(server) >= TLS_REQUIRE;
	}
}

bool server_tls_begin(struct server *server)
{
	struct bytes *out = conn_out(server->conn);

	if (!is_wanted(server))
		return false;
	server->is_tls_asked = true;
	build_ssl_request(out);
	conn_flush(server->conn);
	return true;
}

enum server_tls_answer server_tls_answer(const uint8_t *data, size_t length)
{
	/* What came with the answer was not sent by the server: it waits for us. */
	if (length != 1)
		return SERVER_TLS_BAD;
	switch (data[0]) {
	case 'S': return SERVER_TLS_YES;
	case 'N': return SERVER_TLS_NO;
	default: return SERVER_TLS_BAD;
	}
}

static void declined(struct server *server)
{
	if (mode_of(server) >= TLS_REQUIRE)
		server_close(server, "the server does not support TLS, but it is required");
	else
		server_login_start(server);
}

void server_tls_take_answer(struct server *server, const uint8_t *data, size_t length)
{
	server->is_tls_asked = false;
	switch (server_tls_answer(data, length)) {
	case SERVER_TLS_YES:
		if (!server->pool->env->limits.tls) /* a reload has switched it off meanwhile */
			server_close(server, "TLS was switched off");
		else if (!conn_start_tls(server->conn, server->pool->env->limits.tls,
					 host_of(server), NULL, 0))
			server_close(server, "out of memory");
		break;
	case SERVER_TLS_NO: declined(server); break;
	case SERVER_TLS_BAD:
		server_close_for(server, "08P01", "connect_failed",
				 "the server answered the request for TLS with something else");
		break;
	}
}

/*
 * libpq's rules: with prefer, once more without TLS when the handshake failed or the server
 * refused what came through it; with allow, once more with TLS when the server refused without.
 */
bool server_tls_fall_back(struct server *server, bool is_handshake, const char *why)
{
	bool is_encrypted = is_handshake || conn_is_encrypted(server->conn);
	struct log_ctx ctx = { .kind = "server",
			       .id = server->id,
			       .node = server->pool->key.node_name };

	if (server->has_fallen_back || is_local(server) || server->state != SERVER_LOGIN ||
	    mode_of(server) != (is_encrypted ? TLS_PREFER : TLS_ALLOW))
		return false;
	log_info(&ctx, "trying again %s TLS: %s", is_encrypted ? "without" : "with", why);
	server->has_fallen_back = true;
	server_step(server, SERVER_EV_RETRY);
	return true;
}
