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
	ck_assert(cert_make(
		directory, "wild",
		&(struct cert_options){ .issuer = "ca", .alternative = "DNS:*.wild.test" }));
	ck_assert(cert_make(directory, "rsa", &(struct cert_options){ .is_rsa = true }));
	ck_assert(cert_make(directory, "ed", &(struct cert_options){ .is_ed25519 = true }));
}

static void remove_certificates(void)
{
	static const char *const names[] = { "ca",       "server", "alice", "expired",
					     "stranger", "wild",   "rsa",   "ed" };
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
	if (bytes_append(&end->in, data, length))
		return length;
	ck_assert(unit_alloc_failed());
	return 0;
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

/* --- handshakes that fail --- */

static struct tls_settings server_settings(void)
{
	return (struct tls_settings){ .mode = TLS_REQUIRE,
				      .cert_file = path("server.crt"),
				      .key_file = path("server.key") };
}

static void replace_server_context(const struct tls_settings *settings)
{
	tls_context_unref(&server_context);
	server_context = make_context(TLS_ROLE_SERVER, settings);
}

static void replace_client_context(const struct tls_settings *settings)
{
	tls_context_unref(&client_context);
	client_context = make_context(TLS_ROLE_CLIENT, settings);
}

static void check_failure(const struct end *end, const char *text)
{
	ck_assert_int_eq(end->closed, 1);
	ck_assert_int_eq(end->how, CONN_END_TLS);
	ck_assert_msg(strstr(end->text, text) != NULL, "\"%s\", not \"%s\"", end->text, text);
	ck_assert_uint_eq(bytes_length(&end->in), 0);
}

START_TEST(test_host)
{
	static const struct {
		const char *host;
		bool fits;
	} cases[] = {
		{ "db.test", true },  { "DB.Test", true },    { "db.test.", false },
		{ "test", false },    { "x.db.test", false }, { "server", false },
		{ "10.0.0.1", true }, { "10.0.0.2", false },  { "", false },
	};

	open_ends(cases[_i].host);
	turn(10);
	ck_assert_int_eq(client.connected, cases[_i].fits);
	if (!cases[_i].fits)
		check_failure(&client, "is not for host");
}
END_TEST

START_TEST(test_wildcard)
{
	static const struct {
		const char *host;
		bool fits;
	} cases[] = {
		{ "a.wild.test", true },
		{ "wild.test", false },
		{ "a.b.wild.test", false },
		{ ".wild.test", false },
	};
	struct tls_settings settings = server_settings();

	settings.cert_file = path("wild.crt");
	settings.key_file = path("wild.key");
	replace_server_context(&settings);
	open_ends(cases[_i].host);
	turn(10);
	ck_assert_int_eq(client.connected, cases[_i].fits);
}
END_TEST

/* Without alternative names the common name counts. */
START_TEST(test_common_name)
{
	struct tls_settings settings = server_settings();

	settings.cert_file = path("alice.crt");
	settings.key_file = path("alice.key");
	replace_server_context(&settings);
	open_ends(_i ? "bob" : "alice");
	turn(10);
	ck_assert_int_eq(client.connected, !_i);
}
END_TEST

START_TEST(test_bad_server)
{
	static const struct {
		const char *name;
		const char *why;
	} cases[] = {
		{ "expired", "certificate verify failed: certificate has expired" },
		{ "stranger", "certificate verify failed: self" },
	};
	struct tls_settings settings = server_settings();
	char file[32];

	snprintf(file, sizeof(file), "%s.crt", cases[_i].name);
	settings.cert_file = path(file);
	snprintf(file, sizeof(file), "%s.key", cases[_i].name);
	settings.key_file = path(file);
	replace_server_context(&settings);
	open_ends(cases[_i].name);
	turn(10);
	check_failure(&client, cases[_i].why);
	check_failure(&server, "alert"); /* it is told why */
}
END_TEST

/* TLS 1.2: both ends know before either is connected. */
START_TEST(test_client_certificates)
{
	static const struct {
		const char *name;
		enum tls_mode mode;
		bool is_let_in;
	} cases[] = {
		{ "alice", TLS_VERIFY_FULL, true }, { "alice", TLS_REQUIRE, true },
		{ "expired", TLS_REQUIRE, false },  { "stranger", TLS_VERIFY_CA, false },
		{ NULL, TLS_VERIFY_CA, false },     { NULL, TLS_REQUIRE, true },
	};
	struct tls_settings settings = server_settings();
	struct tls_settings clients = { .mode = TLS_VERIFY_CA, .ca_file = path("ca.crt") };
	char cert[32];
	char key[32];

	settings.mode = cases[_i].mode;
	settings.ca_file = path("ca.crt");
	settings.protocols = "tlsv1.2";
	replace_server_context(&settings);
	if (cases[_i].name) {
		snprintf(cert, sizeof(cert), "%s.crt", cases[_i].name);
		snprintf(key, sizeof(key), "%s.key", cases[_i].name);
		clients.cert_file = path(cert);
		clients.key_file = path(key);
	}
	replace_client_context(&clients);
	open_ends("db.test");
	turn(10);
	ck_assert_int_eq(server.connected, cases[_i].is_let_in);
	if (!cases[_i].is_let_in)
		check_failure(&server, cases[_i].name ? "certificate verify failed"
						      : "peer did not return a certificate");
	else if (cases[_i].name)
		ck_assert_str_eq(conn_tls_peer_name(server.conn), "alice");
	else
		ck_assert_ptr_null(conn_tls_peer_name(server.conn));
}
END_TEST

START_TEST(test_no_version_in_common)
{
	struct tls_settings settings = server_settings();

	settings.protocols = "tlsv1.2";
	replace_server_context(&settings);
	replace_client_context(&(struct tls_settings){
		.mode = TLS_VERIFY_CA, .ca_file = path("ca.crt"), .protocols = "tlsv1.3" });
	open_ends("db.test");
	turn(10);
	ck_assert_int_eq(server.closed + client.closed, 2);
	check_failure(&server, "unsupported protocol");
}
END_TEST

/* What is no TLS at all; and an end in the middle of it. */
START_TEST(test_garbage)
{
	static const char query[] = "Q\0\0\0\015SELECT 1";
	int fds[2];

	open_pair(fds);
	server.conn = conn_create(loop, fds[0], &handler, &server);
	ck_assert(conn_start_tls(server.conn, server_context, NULL, NULL, 0));
	if (_i == 0)
		ck_assert_int_eq(write(fds[1], query, sizeof(query)), sizeof(query));
	else
		close(fds[1]);
	turn(5);
	check_failure(&server, _i == 0 ? "wrong version number" : "closed the connection");
	if (_i == 0)
		close(fds[1]);
}
END_TEST

/* --- byte by byte --- */

/* Carries at most `most` bytes from one socket to another; false when nothing moved. */
static bool carry(int from, int to, size_t most)
{
	uint8_t buffer[4096];
	ssize_t n =
		recv(from, buffer, most < sizeof(buffer) ? most : sizeof(buffer), MSG_DONTWAIT);

	if (n <= 0)
		return false;
	ck_assert_int_eq(send(to, buffer, (size_t)n, MSG_NOSIGNAL), n);
	return true;
}

/* The ends meet through two sockets that only pass a byte at a time; `early`: the first bytes
 * are read before anybody knows that they are TLS. */
START_TEST(test_bytewise)
{
	uint8_t early[1024];
	int near[2];
	int far[2];
	ssize_t n = 0;

	open_pair(near);
	open_pair(far);
	client.conn = conn_create(loop, far[0], &handler, &client);
	ck_assert(conn_start_tls(client.conn, client_context, "db.test", NULL, 0));
	turn(2);
	if (_i > 0)
		n = recv(far[1], early, (size_t)_i, MSG_DONTWAIT);
	server.conn = conn_create(loop, near[0], &handler, &server);
	ck_assert(conn_start_tls(server.conn, server_context, NULL, early, (size_t)n));
	conn_send(server.conn, "hello", 5);
	conn_send(client.conn, "world", 5);
	for (int i = 0; i < 20000; i++) {
		bool moved = carry(far[1], near[1], 1);

		moved |= carry(near[1], far[1], 1);
		turn(1);
		if (!moved && i > 10)
			break;
	}
	check_input(&client, "hello");
	check_input(&server, "world");
	close(near[1]);
	close(far[1]);
}
END_TEST

/* --- much, and what waits inside --- */

#define MUCH (4 * 1024 * 1024)

static uint8_t *pattern(size_t length)
{
	uint8_t *data = malloc(length);

	ck_assert_ptr_nonnull(data);
	for (size_t i = 0; i < length; i++)
		data[i] = (uint8_t)(i * 7 + (i >> 8));
	return data;
}

static void check_pattern(const struct end *end, const uint8_t *data, size_t length)
{
	ck_assert_uint_eq(bytes_length(&end->in), length);
	ck_assert_mem_eq(bytes_begin(&end->in), data, length);
}

START_TEST(test_much)
{
	uint8_t *data = pattern(MUCH);

	shake();
	conn_send(server.conn, data, MUCH);
	ck_assert_uint_gt(conn_unsent(server.conn), 0);
	for (int i = 0; i < 2000 && conn_unsent(server.conn) > 0; i++)
		turn(1);
	turn(5);
	check_pattern(&client, data, MUCH);
	ck_assert_int_eq(server.drained, 1);
	free(data);
}
END_TEST

/* Paused with bytes inside TLS and none in the socket: going on must find them. */
START_TEST(test_pause_forgets_nothing)
{
	uint8_t *data = pattern(100000);
	size_t before;

	shake();
	for (size_t at = 0; at < 100000; at += 1000)
		conn_send(server.conn, data + at, 1000);
	for (int i = 0; i < 500 && bytes_length(&client.in) < 100000; i++) {
		conn_pause(client.conn);
		before = bytes_length(&client.in);
		turn(3);
		ck_assert_uint_eq(bytes_length(&client.in), before);
		conn_resume(client.conn);
		turn(1);
	}
	check_pattern(&client, data, 100000);
	free(data);
}
END_TEST

/* An owner that takes little at a time is offered the rest. */
START_TEST(test_owner_that_takes_little)
{
	uint8_t *data = pattern(100000);

	shake();
	client.take_max = 17;
	conn_send(server.conn, data, 100000);
	turn(20);
	check_pattern(&client, data, 100000);
	free(data);
}
END_TEST

/* --- to another loop --- */

START_TEST(test_move)
{
	struct loop *other = loop_create();
	uint8_t *data = pattern(300000);

	shake();
	conn_send(server.conn, data, 300000);
	turn(1);
	conn_detach(client.conn);
	turn(2);
	ck_assert(conn_attach(client.conn, other));
	for (int i = 0; i < 500 && bytes_length(&client.in) < 300000; i++) {
		loop_run_once(other, false);
		turn(1);
	}
	check_pattern(&client, data, 300000);
	conn_send(client.conn, "back", 4);
	loop_run_once(other, false);
	turn(3);
	check_input(&server, "back");
	conn_destroy(&client.conn);
	loop_run_once(other, false);
	loop_destroy(&other);
	free(data);
}
END_TEST

/* --- ends --- */

/* What the peer said before it went is read although sending has failed. */
START_TEST(test_last_words_after_a_failed_send)
{
	shake();
	conn_pause(client.conn);
	turn(1);
	conn_send(server.conn, "why", 3);
	conn_destroy(&server.conn);
	conn_resume(client.conn);
	conn_send(client.conn, "x", 1);
	conn_send(client.conn, "x", 1);
	turn(5);
	check_input(&client, "why");
	ck_assert_int_eq(client.closed, 1);
}
END_TEST

START_TEST(test_stale)
{
	shake();
	ck_assert(!conn_is_stale(client.conn));
	conn_pause(client.conn);
	conn_destroy(&server.conn);
	ck_assert(conn_is_stale(client.conn)); /* its last words are in the socket */
	turn(1);
	conn_check_paused();
	turn(2);
	ck_assert_int_eq(client.closed, 1);
}
END_TEST

/* A context that was swapped meanwhile lives as long as who began with it. */
START_TEST(test_context_outlives_its_maker)
{
	open_ends("db.test");
	tls_context_unref(&server_context);
	tls_context_unref(&client_context);
	turn(10);
	ck_assert_int_eq(server.connected + client.connected, 2);
	ck_assert_ptr_nonnull(conn_tls_context(server.conn));
	ck_assert_str_eq(conn_tls_host(client.conn), "db.test");
}
END_TEST

START_TEST(test_failing_allocations)
{
	for (unsigned long nth = 1;; nth++) {
		bool failed;

		set_up();
		unit_fail_alloc(nth);
		{
			int fds[2];

			open_pair(fds);
			server.conn = conn_create(loop, fds[0], &handler, &server);
			if (!server.conn)
				close(fds[0]);
			client.conn = conn_create(loop, fds[1], &handler, &client);
			if (!client.conn)
				close(fds[1]);
		}
		if (server.conn && !conn_start_tls(server.conn, server_context, NULL, NULL, 0))
			conn_destroy(&server.conn);
		if (client.conn &&
		    !conn_start_tls(client.conn, client_context, "db.test", NULL, 0))
			conn_destroy(&client.conn);
		turn(10);
		if (server.conn)
			conn_send(server.conn, "text", 4);
		turn(3);
		failed = unit_alloc_failed();
		unit_fail_alloc(0);
		tear_down();
		if (!failed)
			break;
	}
}
END_TEST

/* --- contexts --- */

START_TEST(test_contexts_that_cannot_be)
{
	static const struct {
		const char *cert;
		const char *key;
		const char *ca;
		const char *ciphers;
		const char *suites;
		const char *curves;
		const char *protocols;
		const char *why;
	} cases[] = {
		{ "none.crt", "server.key", 0, 0, 0, 0, 0, "No such file" },
		{ "server.crt", "none.key", 0, 0, 0, 0, 0, "No such file" },
		{ "server.crt", "alice.key", 0, 0, 0, 0, 0, "key" },
		{ "server.key", "server.key", 0, 0, 0, 0, 0, "could not read the certificate" },
		{ "server.crt", "server.key", "none.crt", 0, 0, 0, 0, "could not read the CA" },
		{ "server.crt", "server.key", "server.key", 0, 0, 0, 0, "could not read the CA" },
		{ "server.crt", "server.key", 0, "NONSENSE", 0, 0, 0, "ciphers" },
		{ "server.crt", "server.key", 0, 0, "NONSENSE", 0, 0, "ciphers" },
		{ "server.crt", "server.key", 0, 0, 0, "NONSENSE", 0, "curve" },
		{ "server.crt", "server.key", 0, 0, 0, 0, "sslv3", "no version of TLS" },
		{ NULL, NULL, 0, 0, 0, 0, 0, "certificate and its key" },
		{ "server.crt", NULL, 0, 0, 0, 0, 0, "need each other" },
	};
	char error[256] = "";
	struct tls_settings settings = {
		.mode = TLS_REQUIRE,
		.cert_file = cases[_i].cert ? path(cases[_i].cert) : NULL,
		.key_file = cases[_i].key ? path(cases[_i].key) : NULL,
		.ca_file = cases[_i].ca ? path(cases[_i].ca) : NULL,
		.ciphers = cases[_i].ciphers,
		.ciphersuites = cases[_i].suites,
		.curves = cases[_i].curves,
		.protocols = cases[_i].protocols,
	};

	ck_assert_ptr_null(tls_context_create(TLS_ROLE_SERVER, &settings, error, sizeof(error)));
	ck_assert_msg(strstr(error, cases[_i].why) != NULL, "%s", error);
}
END_TEST

START_TEST(test_protocols)
{
	static const struct {
		const char *text;
		int lowest; /* 0: refused */
		int highest;
	} cases[] = {
		{ "", 0x303, 0x304 },
		{ "secure", 0x303, 0x304 },
		{ "default", 0x303, 0x304 },
		{ "all", 0x301, 0x304 },
		{ "legacy", 0x301, 0x304 },
		{ "tlsv1", 0x301, 0x304 },
		{ "TLSv1.2", 0x303, 0x303 },
		{ "tlsv1.1, tlsv1.2", 0x302, 0x303 },
		{ " tlsv1.3:tlsv1.2 ,", 0x303, 0x304 },
		{ "tlsv1.1,tlsv1.3", 0, 0 },
		{ "tlsv1.4", 0, 0 },
		{ "tlsv1.", 0, 0 },
		{ "secure,sslv3", 0, 0 },
	};
	char error[128] = "";
	int lowest = 0;
	int highest = 0;

	ck_assert(tls_protocols_parse(cases[_i].text, &lowest, &highest, error, sizeof(error)) ==
		  (cases[_i].lowest != 0));
	ck_assert_int_eq(lowest, cases[_i].lowest);
	ck_assert_int_eq(highest, cases[_i].highest);
	ck_assert((error[0] == '\0') == (cases[_i].lowest != 0));
}
END_TEST

START_TEST(test_end_point_of_other_keys)
{
	struct tls_settings settings = server_settings();
	uint8_t hash[CONN_END_POINT_MAX];

	settings.cert_file = path(_i ? "rsa.crt" : "ed.crt");
	settings.key_file = path(_i ? "rsa.key" : "ed.key");
	replace_server_context(&settings);
	replace_client_context(&(struct tls_settings){ .mode = TLS_REQUIRE });
	open_ends("db.test");
	turn(10);
	ck_assert_int_eq(client.connected, 1);
	ck_assert_uint_eq(conn_tls_server_end_point(server.conn, hash), _i ? 32 : 0);
	ck_assert_uint_eq(conn_tls_server_end_point(client.conn, hash), _i ? 32 : 0);
	ck_assert_ptr_null(conn_tls_peer_name(client.conn)); /* not verified */
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("net/conn_tls");
	TCase *tcase = tcase_create("conn_tls");
	TCase *alone = tcase_create("without memory");

	tcase_add_unchecked_fixture(tcase, make_certificates, remove_certificates);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, test_both_ways);
	tcase_add_test(tcase, test_send_while_shaking);
	tcase_add_test(tcase, test_end_point);
	tcase_add_loop_test(tcase, test_end_point_of_other_keys, 0, 2);
	tcase_add_test(tcase, test_close);
	tcase_add_test(tcase, test_finish_delivers);
	tcase_add_loop_test(tcase, test_host, 0, 9);
	tcase_add_loop_test(tcase, test_wildcard, 0, 4);
	tcase_add_loop_test(tcase, test_common_name, 0, 2);
	tcase_add_loop_test(tcase, test_bad_server, 0, 2);
	tcase_add_loop_test(tcase, test_client_certificates, 0, 6);
	tcase_add_test(tcase, test_no_version_in_common);
	tcase_add_loop_test(tcase, test_garbage, 0, 2);
	tcase_add_loop_test(tcase, test_bytewise, 0, 8);
	tcase_add_test(tcase, test_much);
	tcase_add_test(tcase, test_pause_forgets_nothing);
	tcase_add_test(tcase, test_owner_that_takes_little);
	tcase_add_test(tcase, test_move);
	tcase_add_test(tcase, test_last_words_after_a_failed_send);
	tcase_add_test(tcase, test_stale);
	tcase_add_test(tcase, test_context_outlives_its_maker);
	tcase_add_loop_test(tcase, test_contexts_that_cannot_be, 0, 12);
	tcase_add_loop_test(tcase, test_protocols, 0, 13);
	suite_add_tcase(suite, tcase);
	tcase_add_unchecked_fixture(alone, make_certificates, remove_certificates);
	tcase_add_test(alone, test_failing_allocations);
	suite_add_tcase(suite, alone);
	return suite;
}
UNIT_SUITE(make_suite)
