/*
 * net/conn with TLS, over socket pairs: handshakes whole and byte by byte, good and bad; what is
 * inside TLS and no longer in the socket; back-pressure; moving to another loop.
 */
#include "net/conn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../support/certs.h"
#include "base/bytes.h"
#include "net/tls.h"
#include "unit.h"

/* One end of a pair; what has happened to it. */
struct end {
	struct conn *conn;
	struct bytes in;
	int connected;
	int drained;
	int closed;
	enum conn_end how;
	int error;
	char text[256];  /* of a failed handshake */
	size_t take_max; /* uses no more at once; 0: all */
};

static char directory[64];
static struct loop *loop;
static struct tls_context *server_context;
static struct tls_context *client_context;
static struct end server;
static struct end client;

static const char *path(const char *name)
{
	static char paths[8][128];
	static unsigned next;
	char *out = paths[next++ % 8];

	snprintf(out, 128, "%s/%s", directory, name);
	return out;
}

static void make_certificates(void)
{
	strcpy(directory, "/tmp/pointsman-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert(cert_make(directory, "ca", &(struct cert_options){ .is_ca = true }));
	ck_assert(cert_make(directory, "server",
			    &(struct cert_options){ .issuer = "ca",
						    .alternative = "DNS:db.test,IP:10.0.0.1" }));
	ck_assert(cert_make(directory, "alice", &(struct cert_options){ .issuer = "ca" }));
	ck_assert(cert_make(directory, "expired",
			    &(struct cert_options){ .issuer = "ca", .days = -1 }));
	ck_assert(cert_make(directory, "stranger", &(struct cert_options){ .days = 1 }));
}

static void remove_certificates(void)
{
	static const char *const names[] = { "ca", "server", "alice", "expired", "stranger" };
	char file[32];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(file, sizeof(file), "%s.crt", names[i]);
		unlink(path(file));
		snprintf(file, sizeof(file), "%s.key", names[i]);
		unlink(path(file));
	}
	rmdir(directory);
}

/* --- ends --- */

static size_t on_data(void *context, const uint8_t *data, size_t length)
{
	struct end *end = context;

	if (end->take_max && length > end->take_max)
		length = end->take_max;
	ck_assert(bytes_append(&end->in, data, length));
	return length;
}

static void on_drained(void *context)
{
	((struct end *)context)->drained++;
}

static void on_closed(void *context, enum conn_end how, int error)
{
	struct end *end = context;

	end->closed++;
	end->how = how;
	end->error = error;
	snprintf(end->text, sizeof(end->text), "%s", conn_tls_error(end->conn));
	conn_destroy(&end->conn);
}

static void on_connected(void *context)
{
	((struct end *)context)->connected++;
}

static const struct conn_handler handler = { on_data, on_drained, on_closed, on_connected };

static struct tls_context *make_context(enum tls_role role, const struct tls_settings *settings)
{
	char error[256] = "";
	struct tls_context *context = tls_context_create(role, settings, error, sizeof(error));

	ck_assert_msg(context != NULL, "%s", error);
	return context;
}

/* Clients without a certificate of their own, servers that want none. */
static void set_up(void)
{
	memset(&server, 0, sizeof(server));
	memset(&client, 0, sizeof(client));
	loop = loop_create();
	ck_assert_ptr_nonnull(loop);
	server_context = make_context(TLS_ROLE_SERVER,
				      &(struct tls_settings){ .mode = TLS_REQUIRE,
							      .cert_file = path("server.crt"),
							      .key_file = path("server.key") });
	client_context = make_context(
		TLS_ROLE_CLIENT,
		&(struct tls_settings){ .mode = TLS_VERIFY_FULL, .ca_file = path("ca.crt") });
}

static void tear_down(void)
{
	conn_destroy(&server.conn);
	conn_destroy(&client.conn);
	bytes_free(&server.in);
	bytes_free(&client.in);
	tls_context_unref(&server_context);
	tls_context_unref(&client_context);
	loop_destroy(&loop);
}

static void open_pair(int fds[2])
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
}

static void open_ends(const char *host)
{
	int fds[2];

	open_pair(fds);
	server.conn = conn_create(loop, fds[0], &handler, &server);
	client.conn = conn_create(loop, fds[1], &handler, &client);
	ck_assert(server.conn && client.conn);
	ck_assert(conn_start_tls(server.conn, server_context, NULL, NULL, 0));
	ck_assert(conn_start_tls(client.conn, client_context, host, NULL, 0));
}

static void turn(int times)
{
	while (times-- > 0)
		loop_run_once(loop, false);
}

static void shake(void)
{
	open_ends("db.test");
	turn(10);
	ck_assert_int_eq(server.connected, 1);
	ck_assert_int_eq(client.connected, 1);
}

static void check_input(struct end *end, const char *text)
{
	ck_assert_uint_eq(bytes_length(&end->in), strlen(text));
	ck_assert_mem_eq(bytes_begin(&end->in), text, strlen(text));
}

/* --- tests --- */

START_TEST(test_both_ways)
{
	char text[CONN_TLS_TEXT_BYTES];

	shake();
	ck_assert(conn_is_encrypted(server.conn) && conn_is_encrypted(client.conn));
	conn_send(client.conn, "to the server", 13);
	conn_queue(server.conn, "to the ", 7);
	conn_send(server.conn, "client", 6);
	turn(3);
	check_input(&server, "to the server");
	check_input(&client, "to the client");
	ck_assert_uint_eq(conn_bytes_in(server.conn), 13);
	ck_assert_uint_eq(conn_bytes_out(client.conn), 13);
	ck_assert(conn_tls_has_alpn(server.conn) && conn_tls_has_alpn(client.conn));
	conn_tls_describe(server.conn, text);
	ck_assert_int_eq(strncmp(text, "TLSv1.3/TLS_", 12), 0);
	ck_assert_ptr_nonnull(strstr(text, "/ECDH="));
	ck_assert_ptr_null(conn_tls_peer_name(server.conn));
	ck_assert_str_eq(conn_tls_peer_name(client.conn), "server");
	ck_assert_str_eq(conn_tls_peer_dn(client.conn), "CN=server,O=tests");
}
END_TEST

/* What is sent before the handshake is over leaves behind it. */
START_TEST(test_send_while_shaking)
{
	open_ends("db.test");
	conn_send(client.conn, "early", 5);
	ck_assert_uint_eq(conn_unsent(client.conn), 5);
	ck_assert(!conn_is_encrypted(client.conn));
	turn(10);
	check_input(&server, "early");
	ck_assert_uint_eq(conn_unsent(client.conn), 0);
	ck_assert_int_eq(client.drained, 1); /* who sent may have waited for that */
}
END_TEST

START_TEST(test_end_point)
{
	uint8_t ours[CONN_END_POINT_MAX];
	uint8_t theirs[CONN_END_POINT_MAX];

	open_ends("db.test");
	ck_assert_uint_eq(conn_tls_server_end_point(server.conn, ours), 0);
	turn(10);
	ck_assert_uint_eq(conn_tls_server_end_point(server.conn, ours), 32);
	ck_assert_uint_eq(conn_tls_server_end_point(client.conn, theirs), 32);
	ck_assert_mem_eq(ours, theirs, 32);
}
END_TEST

START_TEST(test_close)
{
	shake();
	conn_destroy(&server.conn);
	turn(3);
	ck_assert_int_eq(client.closed, 1);
	ck_assert_int_eq(client.how, CONN_END_EOF);
}
END_TEST

START_TEST(test_finish_delivers)
{
	shake();
	conn_queue(server.conn, "last words", 10);
	conn_finish(&server.conn, USEC_PER_SEC);
	turn(5);
	check_input(&client, "last words");
	ck_assert_int_eq(client.closed, 1);
	ck_assert_int_eq(client.how, CONN_END_EOF);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("net/conn_tls");
	TCase *tcase = tcase_create("conn_tls");

	tcase_add_unchecked_fixture(tcase, make_certificates, remove_certificates);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, test_both_ways);
	tcase_add_test(tcase, test_send_while_shaking);
	tcase_add_test(tcase, test_end_point);
	tcase_add_test(tcase, test_close);
	tcase_add_test(tcase, test_finish_delivers);
	suite_add_tcase(suite, tcase);
	return suite;
}
UNIT_SUITE(make_suite)
