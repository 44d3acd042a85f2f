/*
 * TLS at both ends, against a real server with ssl = on: every mode with every mode, certificates
 * of clients and servers good and bad, reloads, direct TLS, much data, cancels, load. The
 * certificates are made here.
 */
#include "integration.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/certs.h"
#include "../support/tls_client.h"

enum {
	WAIT_MS = 15000,
	MODES = 6,
	COPY_ROWS = 100000,
	GROWTH_MAX_KB = 8192
};

enum mode {
	DISABLE,
	ALLOW,
	PREFER,
	REQUIRE,
	VERIFY_CA,
	VERIFY_FULL
};

static const char *const modes[MODES] = { "disable", "allow",     "prefer",
					  "require", "verify-ca", "verify-full" };

/* What the backend that serves us has: "t", "f"; of a server of ours, so on the primary. */
static const char server_has_tls[] =
	"/* pointsman: read_hint=primary */ SELECT ssl FROM pg_stat_ssl WHERE pid = "
	"pg_backend_pid()";

static struct test_cluster *cluster;
static char certs[PATH_MAX];
static struct test_proxy *proxy;
static char options[4096]; /* of `proxy`, as they are now */

/* --- certificates --- */

static bool make_certificates(void)
{
	static const char here[] = "DNS:localhost,IP:127.0.0.1";

	return cert_make(certs, "ca", &(struct cert_options){ .is_ca = true }) &&
	       cert_make(certs, "other_ca", &(struct cert_options){ .is_ca = true }) &&
	       cert_make(certs, "good",
			 &(struct cert_options){ .issuer = "ca", .alternative = here }) &&
	       cert_make(certs, "elsewhere",
			 &(struct cert_options){ .issuer = "ca",
						 .alternative = "DNS:elsewhere.test" }) &&
	       cert_make(certs, "expired",
			 &(struct cert_options){
				 .issuer = "ca", .alternative = here, .days = -1 }) &&
	       cert_make(certs, "foreign",
			 &(struct cert_options){ .issuer = "other_ca", .alternative = here }) &&
	       cert_make(certs, "rsa",
			 &(struct cert_options){
				 .issuer = "ca", .alternative = here, .is_rsa = true }) &&
	       cert_make(certs, "app", &(struct cert_options){ .issuer = "ca" }) &&
	       cert_make(certs, "app_expired",
			 &(struct cert_options){ .issuer = "ca", .days = -1 }) &&
	       cert_make(certs, "app_foreign", &(struct cert_options){ .issuer = "other_ca" });
}

/* Copies a certificate and its key to other names, with `owner` of the key; each whole at once.
 */
static bool copy_pair(const char *from, const char *to)
{
	static const char *const suffixes[] = { "crt", "key" };
	char source[PATH_MAX];
	char target[PATH_MAX];
	char final[PATH_MAX];
	uid_t uid;
	gid_t gid;

	if (!support_server_user(&uid, &gid))
		return false;
	for (int i = 0; i < 2; i++) {
		char *text;
		bool written;

		support_path(source, "%.3000s/%s.%s", certs, from, suffixes[i]);
		support_path(target, "%.3000s/%s.%s.new", certs, to, suffixes[i]);
		support_path(final, "%.3000s/%s.%s", certs, to, suffixes[i]);
		text = support_read_file(source, NULL);
		written = text && support_write_file(target, text);
		free(text);
		if (!written || chown(target, uid, gid) == -1 || chmod(target, 0600) == -1 ||
		    rename(target, final) == -1)
			return false;
	}
	return true;
}

/* --- the server --- */

static bool reload_server(void)
{
	return cluster_exec(cluster, 0, "postgres", "SELECT pg_reload_conf()");
}

static PGconn *connect_to_server(const char *sslmode)
{
	char info[512];

	snprintf(info, sizeof(info),
		 "host=127.0.0.1 port=%d user=trust_user dbname=app sslmode=%s "
		 "gssencmode=disable connect_timeout=10",
		 cluster->nodes[0].port, sslmode);
	return PQconnectdb(info);
}

static bool server_takes(const char *sslmode)
{
	PGconn *conn = connect_to_server(sslmode);
	bool is_taken = PQstatus(conn) == CONNECTION_OK;

	PQfinish(conn);
	return is_taken;
}

static const char *server_shows(void)
{
	struct tls_client *client = tls_client_open(cluster->nodes[0].port, false, NULL);
	static char name[64];

	snprintf(name, sizeof(name), "%s", client ? tls_client_peer(client) : "");
	tls_client_close(&client);
	return name;
}

/* Another certificate for the server; in effect when this returns. */
static void server_must_show(const char *name)
{
	int64_t until = support_now_ms() + WAIT_MS;

	ck_assert(copy_pair(name, "server"));
	ck_assert(reload_server());
	while (strcmp(server_shows(), name) != 0) {
		ck_assert_msg(support_now_ms() < until, "the server shows \"%s\"",
			      server_shows());
		support_poll_pause();
	}
}

enum hba {
	HBA_BOTH,
	HBA_SSL,
	HBA_NO_SSL
};

/* Who the server lets in over TCP; in effect when this returns. */
static void server_must_take(enum hba hba)
{
	static const char *const words[] = { "host", "hostssl", "hostnossl" };
	int64_t until = support_now_ms() + WAIT_MS;
	char path[PATH_MAX];
	char text[256];

	support_path(path, "%.4000s/pg_hba.conf", cluster->nodes[0].data);
	snprintf(text, sizeof(text), "local all all trust\n%s all all 127.0.0.1/32 trust\n",
		 words[hba]);
	ck_assert(support_write_file(path, text));
	ck_assert(reload_server());
	while (server_takes("disable") != (hba != HBA_SSL) ||
	       server_takes("require") != (hba != HBA_NO_SSL)) {
		ck_assert(support_now_ms() < until);
		support_poll_pause();
	}
}

/* --- the proxy --- */

/* "client_tls_..." and "server_tls_..." lines, with %s for the directory of certificates. */
static void set_options(const char *client_mode, const char *client_cert, const char *client_ca,
			const char *server_mode)
{
	int n = snprintf(options, sizeof(options),
			 "server_login_retry = \"100ms\";\nquery_wait_timeout = \"1s\";\n"
			 "client_tls_sslmode = \"%s\";\n"
			 "client_tls_cert_file = \"%s/%s.crt\";\n"
			 "client_tls_key_file = \"%s/%s.key\";\n",
			 client_mode, certs, client_cert, certs, client_cert);

	if (client_ca)
		n += snprintf(options + n, sizeof(options) - (size_t)n,
			      "client_tls_ca_file = \"%s/%s.crt\";\n", certs, client_ca);
	snprintf(options + n, sizeof(options) - (size_t)n,
		 "server_tls_sslmode = \"%s\";\nserver_tls_ca_file = \"%s/ca.crt\";\n",
		 server_mode, certs);
}

static void reload(void)
{
	ck_assert(proxy_write_config(proxy));
	ck_assert(proxy_reload(proxy));
}

static bool set_up_cluster(void)
{
	char conf[PATH_MAX + 256];

	support_path(certs, "%.3000s/tls.%d", support_scratch(), (int)getpid());
	if (mkdir(certs, 0755) == -1 || !make_certificates() || !copy_pair("good", "server"))
		return false;
	snprintf(conf, sizeof(conf),
		 "ssl = on\nssl_cert_file = '%s/server.crt'\nssl_key_file = '%s/server.key'\n"
		 "ssl_ca_file = '%s/ca.crt'\n",
		 certs, certs, certs);
	cluster = cluster_start(0, conf);
	return cluster != NULL;
}

static void set_up(void)
{
	if (!set_up_cluster()) {
		integration_fail("tls: the server");
		return;
	}
	set_options("prefer", "good", "ca", "prefer");
	proxy = proxy_start(cluster, &(struct proxy_options){ .workers = 2, .top = options });
	if (!proxy)
		integration_fail("tls: the proxy");
}

static void tear_down(void)
{
	proxy_must_stop_after_errors(&proxy);
	cluster_stop(&cluster, CLUSTER_STOP_IMMEDIATE);
	if (!getenv("POINTSMAN_KEEP"))
		support_remove_tree(certs);
}

/* Each test begins with TLS everywhere where somebody wants it. */
static void begin(void)
{
	ck_assert(proxy && cluster);
	server_must_show("good");
	server_must_take(HBA_BOTH);
	set_options("prefer", "good", "ca", "prefer");
	proxy->options.auth = "trust";
	reload();
}

/* --- clients --- */

static PGconn *connect_with(const char *sslmode, const char *cert)
{
	char more[PATH_MAX * 4];
	int n = snprintf(more, sizeof(more),
			 "host=localhost hostaddr=127.0.0.1 sslmode=%s sslrootcert=%s/ca.crt",
			 sslmode, certs);

	if (cert)
		snprintf(more + n, sizeof(more) - (size_t)n,
			 " sslcert=%s/%s.crt sslkey=%s/%s.key", certs, cert, certs, cert);
	else
		snprintf(more + n, sizeof(more) - (size_t)n, " sslcert=none sslkey=none");
	return proxy_connect_with(proxy, "app", "app", more);
}

/* 1: with TLS, 0: without, -1: not at all. */
static int outcome(PGconn *conn)
{
	if (PQstatus(conn) != CONNECTION_OK)
		return -1;
	ck_assert_int_eq(db_number(conn, "SELECT 1"), 1);
	return PQsslInUse(conn) ? 1 : 0;
}

static int expected_for_client(enum mode proxys, enum mode clients, bool has_cert)
{
	bool tls = proxys != DISABLE && (proxys < VERIFY_CA || has_cert);
	bool plain = proxys <= PREFER;

	switch (clients) {
	case DISABLE: return plain ? 0 : -1;
	case ALLOW: return plain ? 0 : tls ? 1 : -1;
	case PREFER: return tls ? 1 : plain ? 0 : -1;
	default: return tls ? 1 : -1;
	}
}

/* One mode of the proxy, with all modes of libpq, with a certificate and without. */
START_TEST(test_client_modes)
{
	begin();
	set_options(modes[_i], "good", "ca", "prefer");
	reload();
	for (int mode = 0; mode < MODES; mode++) {
		for (int has_cert = 0; has_cert < 2; has_cert++) {
			PGconn *conn = connect_with(modes[mode], has_cert ? "app" : NULL);

			ck_assert_msg(
				outcome(conn) == expected_for_client((enum mode)_i,
								     (enum mode)mode, has_cert),
				"proxy %s, client %s %s a certificate: %s", modes[_i],
				modes[mode], has_cert ? "with" : "without", PQerrorMessage(conn));
			PQfinish(conn);
		}
	}
}
END_TEST

/* In words of its own, as no library can know what it is told then. */
START_TEST(test_plain_client_is_refused_with_a_reason)
{
	struct raw *raw;

	begin();
	set_options("require", "good", NULL, "prefer");
	reload();
	raw = raw_open(proxy->port);
	ck_assert(raw_startup(raw, 0, "app", "app", NULL));
	ck_assert(raw_expect_end(raw));
	ck_assert_str_eq(raw_error_field(raw, 'C'), "28000");
	ck_assert_str_eq(raw_error_field(raw, 'D'), "reason: tls_required");
	ck_assert_int_eq(strncmp(raw_error_field(raw, 'M'), "pointsman: ", 11), 0);
	raw_close(&raw);
}
END_TEST

/* The library verifies the proxy: what it is shown must be for the host. */
START_TEST(test_certificate_shown_to_clients)
{
	static const struct {
		const char *cert;
		bool by_ca;
		bool in_full;
	} cases[] = {
		{ "good", true, true },       { "rsa", true, true },
		{ "elsewhere", true, false }, { "expired", false, false },
		{ "foreign", false, false },
	};
	PGconn *conn;

	begin();
	set_options("require", cases[_i].cert, NULL, "prefer");
	reload();
	conn = connect_with("verify-ca", NULL);
	ck_assert_int_eq(outcome(conn), cases[_i].by_ca ? 1 : -1);
	PQfinish(conn);
	conn = connect_with("verify-full", NULL);
	ck_assert_int_eq(outcome(conn), cases[_i].in_full ? 1 : -1);
	PQfinish(conn);
	conn = proxy_connect_with(proxy, "app", "app", "sslmode=require sslrootcert=/nowhere");
	ck_assert_int_eq(outcome(conn), 1);
	PQfinish(conn);
}
END_TEST

/* A certificate that is sent must be good also where none is needed. */
START_TEST(test_certificates_of_clients)
{
	static const struct {
		const char *cert;
		bool is_good;
	} cases[] = { { "app", true }, { "app_expired", false }, { "app_foreign", false } };
	static const char *const with[] = { "require", "verify-ca", "verify-full" };

	begin();
	set_options(with[_i], "good", "ca", "prefer");
	reload();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		PGconn *conn = connect_with("verify-full", cases[i].cert);

		ck_assert_msg(outcome(conn) == (cases[i].is_good ? 1 : -1), "%s with %s: %s",
			      cases[i].cert, with[_i], PQerrorMessage(conn));
		PQfinish(conn);
	}
	ck_assert(proxy_log_has(proxy, "certificate has expired"));
}
END_TEST

/* The certificate alone is the proof, and only of its own name. */
START_TEST(test_log_in_by_certificate)
{
	PGconn *conn;
	char more[PATH_MAX * 2];

	begin();
	set_options("verify-full", "good", "ca", "prefer");
	proxy->options.auth = "cert";
	reload();
	conn = connect_with("verify-full", "app");
	ck_assert_msg(outcome(conn) == 1, "%s", PQerrorMessage(conn));
	ck_assert_str_eq(db_text(conn, "SELECT current_user"), "app");
	ck_assert_int_eq(PQconnectionUsedPassword(conn), 0);
	PQfinish(conn);
	snprintf(more, sizeof(more),
		 "sslmode=require sslcert=%.3000s/app.crt sslkey=%.3000s/app.key", certs, certs);
	conn = proxy_connect_with(proxy, "other", "app", more);
	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	ck_assert_ptr_nonnull(strstr(PQerrorMessage(conn), "certificate authentication failed"));
	PQfinish(conn);
}
END_TEST

/* SCRAM-SHA-256-PLUS through both connections, each bound to its own certificate. */
START_TEST(test_channel_binding)
{
	PGconn *conn;

	begin();
	set_options("require", _i ? "rsa" : "good", NULL, "require");
	proxy->options.auth = "scram-sha-256";
	reload();
	conn = connect_with("require channel_binding=require", NULL);
	ck_assert_msg(outcome(conn) == 1, "%s", PQerrorMessage(conn));
	PQfinish(conn);
}
END_TEST

/* --- servers --- */

static int expected_of_server(enum mode mode, enum hba hba)
{
	bool tls = hba != HBA_NO_SSL;
	bool plain = hba != HBA_SSL;

	switch (mode) {
	case DISABLE: return plain ? 0 : -1;
	case ALLOW: return plain ? 0 : 1;
	case PREFER: return tls ? 1 : 0;
	default: return tls ? 1 : -1;
	}
}

/* As outcome(), for the proxy's own connection to the server. */
static int server_outcome(void)
{
	PGconn *conn = connect_with("disable", NULL);
	PGresult *result = PQexec(conn, server_has_tls);
	int got = -1;

	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
		got = PQgetvalue(result, 0, 0)[0] == 't';
	PQclear(result);
	PQfinish(conn);
	return got;
}

/* The monitor must find the node again after a mode that kept it out. */
static void server_outcome_must_become(int expected, const char *what)
{
	int64_t until = support_now_ms() + WAIT_MS;
	int got;

	while ((got = server_outcome()) != expected) {
		ck_assert_msg(support_now_ms() < until, "%s: %d, not %d", what, got, expected);
		support_poll_pause();
	}
}

/* All modes against one kind of server. */
START_TEST(test_server_modes)
{
	static const char *const kinds[] = { "any", "hostssl", "hostnossl" };
	char what[64];

	begin();
	server_must_take((enum hba)_i);
	for (int mode = 0; mode < MODES; mode++) {
		set_options("prefer", "good", NULL, modes[mode]);
		reload();
		snprintf(what, sizeof(what), "%s, %s", kinds[_i], modes[mode]);
		server_outcome_must_become(expected_of_server((enum mode)mode, (enum hba)_i),
					   what);
	}
}
END_TEST

START_TEST(test_certificate_of_server)
{
	static const struct {
		const char *cert;
		bool by_ca;
		bool in_full;
		const char *why;
	} cases[] = {
		{ "good", true, true, NULL },
		{ "elsewhere", true, false, "host name \"127.0.0.1\"" },
		{ "expired", false, false, "certificate has expired" },
		{ "foreign", false, false, "certificate verify failed" },
	};

	begin();
	server_must_show(cases[_i].cert);
	set_options("prefer", "good", NULL, "verify-ca");
	reload();
	server_outcome_must_become(cases[_i].by_ca ? 1 : -1, "verify-ca");
	set_options("prefer", "good", NULL, "verify-full");
	reload();
	server_outcome_must_become(cases[_i].in_full ? 1 : -1, "verify-full");
	if (cases[_i].why)
		ck_assert(proxy_wait_log(proxy, cases[_i].why));
	set_options("prefer", "good", NULL, "require");
	reload();
	server_outcome_must_become(1, "require");
}
END_TEST

START_TEST(test_monitor_follows)
{
	static const char by_tls[] =
		"SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE "
		"application_name = 'pointsman monitor' AND ssl = %s";
	int64_t until = support_now_ms() + WAIT_MS;
	char sql[256];

	begin();
	for (int is_on = 0; is_on < 2; is_on++) {
		set_options("prefer", "good", NULL, is_on ? "verify-full" : "disable");
		reload();
		snprintf(sql, sizeof(sql), by_tls, is_on ? "true" : "false");
		while (cluster_number(cluster, 0, "postgres", sql) != 1) {
			ck_assert(support_now_ms() < until);
			support_poll_pause();
		}
	}
}
END_TEST

/* --- reloads --- */

START_TEST(test_reload_of_certificates_drops_nobody)
{
	struct tls_client *client;
	PGconn *old;

	begin();
	ck_assert(copy_pair("good", "renewed"));
	set_options("require", "renewed", NULL, "require");
	reload();
	old = connect_with("verify-full", NULL);
	ck_assert_int_eq(outcome(old), 1);
	db_exec(old, "BEGIN");
	db_exec(old, "CREATE TEMPORARY TABLE kept (n integer)");
	ck_assert(copy_pair("elsewhere", "renewed"));
	reload();
	client = tls_client_open(proxy->port, false, NULL);
	ck_assert_ptr_nonnull(client);
	ck_assert_str_eq(tls_client_peer(client), "elsewhere");
	tls_client_close(&client);
	db_exec(old, "INSERT INTO kept VALUES (1)");
	ck_assert_int_eq(db_number(old, "SELECT count(*) FROM kept"), 1);
	db_exec(old, "COMMIT");
	PQfinish(old);
}
END_TEST

START_TEST(test_bad_files_change_nothing)
{
	char path[PATH_MAX];
	char *key;
	PGconn *conn;

	begin();
	ck_assert(copy_pair("good", "renewed"));
	set_options("require", "renewed", NULL, "require");
	reload();
	switch (_i) {
	case 0: /* no certificate */
		support_path(path, "%.4000s/renewed.crt", certs);
		ck_assert(support_write_file(path, "nonsense\n"));
		break;
	case 1: /* another one's key */
		support_path(path, "%.4000s/app.key", certs);
		key = support_read_file(path, NULL);
		support_path(path, "%.4000s/renewed.key", certs);
		ck_assert(key && support_write_file(path, key));
		free(key);
		break;
	case 2: /* no file */
		support_path(path, "%.4000s/renewed.key", certs);
		ck_assert_int_eq(unlink(path), 0);
		break;
	default: break;
	}
	reload();
	ck_assert(proxy_wait_log(proxy, "reload failed"));
	conn = connect_with("verify-full", NULL);
	ck_assert_int_eq(outcome(conn), 1);
	PQfinish(conn);
}
END_TEST

/* The console, by name and through TLS; it changes threads with its connection. */
START_TEST(test_console_and_columns)
{
	PGconn *client;
	PGconn *console;
	PGresult *result;

	begin();
	set_options("require", "good", NULL, "require");
	reload();
	client = connect_with("verify-full", NULL);
	ck_assert_int_eq(outcome(client), 1);
	console = proxy_connect_with(proxy, "admin", "pointsman", "sslmode=require");
	ck_assert_msg(PQstatus(console) == CONNECTION_OK, "%s", PQerrorMessage(console));
	ck_assert(PQsslInUse(console));
	result = PQexec(console, "SHOW CLIENTS");
	ck_assert_int_eq(PQntuples(result), 1);
	ck_assert_int_eq(
		strncmp(PQgetvalue(result, 0, PQfnumber(result, "tls")), "TLSv1.3/TLS_", 12), 0);
	PQclear(result);
	result = PQexec(console, "SHOW SERVERS");
	ck_assert_int_ge(PQntuples(result), 1);
	ck_assert_int_eq(
		strncmp(PQgetvalue(result, 0, PQfnumber(result, "tls")), "TLSv1.3/TLS_", 12), 0);
	PQclear(result);
	PQfinish(console);
	PQfinish(client);
}
END_TEST

/* --- the beginning of a connection --- */

/* R-01, CVE-2021-3935: what comes with the request was sent by somebody else. */
START_TEST(test_bytes_before_the_handshake)
{
	static const uint8_t both[] = { 0, 0,  0,   8,   4,   210, 22,  47,  'Q', 0,   0,
					0, 13, 'S', 'E', 'L', 'E', 'C', 'T', ' ', '1', 0 };
	struct raw *raw;

	begin();
	for (size_t extra = 1; extra <= sizeof(both) - 8; extra++) {
		raw = raw_open(proxy->port);
		ck_assert(raw_send(raw, both, 8 + extra));
		ck_assert(raw_expect_end(raw));
		ck_assert_str_eq(raw_error_field(raw, 'C'), "08P01");
		raw_close(&raw);
	}
	/* After the answer they are no handshake. */
	raw = raw_open(proxy->port);
	ck_assert(raw_send(raw, both, 8));
	ck_assert_int_eq(raw_read_byte(raw), 'S');
	ck_assert(raw_send(raw, both + 8, sizeof(both) - 8));
	while (raw_read_byte(raw) != 0) /* TLS's own alert */
		;
	raw_close(&raw);
	ck_assert(proxy_wait_log(proxy, "failed: TLS: "));
}
END_TEST

static void session_must_work(struct tls_client *client)
{
	uint32_t pid;
	uint32_t key;

	ck_assert_ptr_nonnull(client);
	ck_assert(tls_client_startup(client, "app", "app"));
	ck_assert(tls_client_read_until_ready(client, &pid, &key));
}

START_TEST(test_direct_tls)
{
	struct tls_client *client;
	const uint8_t *body;
	size_t length;

	begin();
	client = tls_client_open(proxy->port, true, "postgresql");
	session_must_work(client);
	tls_client_close(&client);
	/* Without ALPN it could be somebody who speaks another protocol. */
	client = tls_client_open(proxy->port, true, NULL);
	ck_assert_ptr_nonnull(client);
	ck_assert_int_eq(tls_client_read(client, &body, &length), 'E');
	ck_assert_int_eq(tls_client_read(client, &body, &length), 0);
	tls_client_close(&client);
	ck_assert_ptr_null(tls_client_open(proxy->port, true, "http/1.1"));
	/* Where it was asked for, ALPN need not be there, but must be ours. */
	client = tls_client_open(proxy->port, false, NULL);
	session_must_work(client);
	tls_client_close(&client);
	client = tls_client_open(proxy->port, false, "postgresql");
	session_must_work(client);
	tls_client_close(&client);
	ck_assert_ptr_null(tls_client_open(proxy->port, false, "http/1.1"));
	set_options("disable", "good", NULL, "prefer");
	reload();
	ck_assert_ptr_null(tls_client_open(proxy->port, true, "postgresql"));
}
END_TEST

/* libpq 18, where it can be had, by its own sslnegotiation=direct. */
START_TEST(test_direct_tls_of_libpq)
{
	char port[16];
	char psql[PATH_MAX + 16];
	char out[PATH_MAX];
	char *text;

	begin();
	snprintf(port, sizeof(port), "%d", proxy->port);
	snprintf(psql, sizeof(psql), "%s/psql", cluster->bin);
	support_path(out, "%.4000s/direct.out", proxy->directory);
	ck_assert_int_eq(
		support_run(&(struct support_command){
			.argv = (const char *const[]){ psql, "-X", "-A", "-t", "-h", "127.0.0.1",
						       "-p", port, "-U", "app", "-c",
						       "SELECT 'served'", "app", NULL },
			.out = out,
			.env = (const char *const[]){ "PGPASSWORD=app_secret",
						      "PGSSLMODE=require",
						      "PGSSLNEGOTIATION=direct",
						      cluster_libpq_18(), NULL } }),
		0);
	text = support_read_file(out, NULL);
	ck_assert_ptr_nonnull(strstr(text, "served"));
	free(text);
}
END_TEST

/* --- cancels --- */

static const char sleeping[] = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND "
			       "query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()";

static void wait_sleeping(void)
{
	int64_t until = support_now_ms() + WAIT_MS;

	while (cluster_number(cluster, 0, "postgres", sleeping) != 1) {
		ck_assert(support_now_ms() < until);
		support_poll_pause();
	}
}

/* The library's, which comes without TLS, while both connections have it. */
START_TEST(test_cancel_by_libpq)
{
	PGconn *conn;
	PGcancel *handle;
	PGresult *result;
	char error[256];

	begin();
	set_options("require", "good", NULL, "verify-full");
	reload();
	conn = connect_with("verify-full", NULL);
	ck_assert_int_eq(outcome(conn), 1);
	ck_assert_int_eq(PQsendQuery(conn, "SELECT pg_sleep(60)"), 1);
	wait_sleeping();
	handle = PQgetCancel(conn);
	ck_assert_int_eq(PQcancel(handle, error, sizeof(error)), 1);
	PQfreeCancel(handle);
	result = PQgetResult(conn);
	ck_assert_str_eq(PQresultErrorField(result, PG_DIAG_SQLSTATE), "57014");
	PQclear(result);
	ck_assert_ptr_null(PQgetResult(conn));
	ck_assert_int_eq(db_number(conn, "SELECT 1"), 1);
	PQfinish(conn);
}
END_TEST

START_TEST(test_cancel_through_tls)
{
	static const uint8_t query[] = "Q\0\0\0\030SELECT pg_sleep(60)";
	uint8_t request[16] = { 0, 0, 0, 16, 4, 210, 22, 46 };
	struct tls_client *client;
	struct tls_client *asker;
	const uint8_t *body;
	size_t length;
	uint32_t pid = 0;
	uint32_t key = 0;

	begin();
	set_options("require", "good", NULL, "verify-full");
	reload();
	client = tls_client_open(proxy->port, true, "postgresql");
	ck_assert_ptr_nonnull(client);
	ck_assert(tls_client_startup(client, "app", "app"));
	ck_assert(tls_client_read_until_ready(client, &pid, &key));
	ck_assert(tls_client_send(client, query, sizeof(query)));
	wait_sleeping();
	for (int i = 0; i < 4; i++) {
		request[8 + i] = (uint8_t)(pid >> (24 - 8 * i));
		request[12 + i] = (uint8_t)(key >> (24 - 8 * i));
	}
	asker = tls_client_open(proxy->port, false, NULL);
	ck_assert_ptr_nonnull(asker);
	ck_assert(tls_client_send(asker, request, sizeof(request)));
	ck_assert_int_eq(tls_client_read(asker, &body, &length), 0);
	tls_client_close(&asker);
	while (tls_client_read(client, &body, &length) != 'E')
		ck_assert_uint_gt(length, 0);
	ck_assert_ptr_nonnull(memmem(body, length, "57014", 5));
	tls_client_close(&client);
}
END_TEST

/* --- much --- */

static void growth_must_be_small(const char *what, long before_kb)
{
	long peak = proxy_peak_rss_kb(proxy);

	printf("%s: the proxy grew by %ld kB, to %ld kB\n", what, peak - before_kb, peak);
	if (!proxy_is_instrumented(proxy))
		ck_assert_int_lt(peak - before_kb, GROWTH_MAX_KB);
}

static void wait_stalled(void)
{
	int64_t until = support_now_ms() + WAIT_MS;

	while (cluster_number(cluster, 0, "postgres",
			      "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND "
			      "wait_event = 'ClientWrite'") != 1) {
		ck_assert(support_now_ms() < until);
		support_poll_pause();
	}
}

/* A client that does not read stops its server, through two layers of TLS. */
START_TEST(test_copy_out_to_a_slow_reader)
{
	long long bytes = 0;
	PGresult *result;
	PGconn *conn;
	char *row;
	long before;
	int n;

	begin();
	set_options("require", "good", NULL, "require");
	reload();
	conn = connect_with("require", NULL);
	ck_assert_int_eq(outcome(conn), 1);
	ck_assert(proxy_reset_peak(proxy));
	before = proxy_rss_kb(proxy);
	result =
		PQexec(conn, "COPY (SELECT repeat('x', 1000) FROM generate_series(1, 100000)) TO "
			     "STDOUT");
	ck_assert_int_eq(PQresultStatus(result), PGRES_COPY_OUT);
	PQclear(result);
	wait_stalled();
	growth_must_be_small("COPY to who does not read", before);
	while ((n = PQgetCopyData(conn, &row, 0)) > 0) {
		ck_assert(row[0] == 'x' && row[n - 1] == '\n');
		bytes += n;
		PQfreemem(row);
	}
	ck_assert_int_eq(n, -1);
	ck_assert_int_eq(bytes, (long long)COPY_ROWS * 1001);
	growth_must_be_small("COPY TO STDOUT", before);
	PQclear(PQgetResult(conn));
	ck_assert_ptr_null(PQgetResult(conn));
	PQfinish(conn);
}
END_TEST

START_TEST(test_copy_in)
{
	char row[1001];
	PGresult *result;
	PGconn *conn;
	long before;

	begin();
	set_options("require", "good", NULL, "require");
	reload();
	memset(row, 'x', sizeof(row));
	row[1000] = '\n';
	conn = connect_with("require", NULL);
	ck_assert_int_eq(outcome(conn), 1);
	db_exec(conn, "CREATE TEMPORARY TABLE big (payload text)");
	ck_assert(proxy_reset_peak(proxy));
	before = proxy_rss_kb(proxy);
	result = PQexec(conn, "COPY big FROM STDIN");
	ck_assert_int_eq(PQresultStatus(result), PGRES_COPY_IN);
	PQclear(result);
	for (int i = 0; i < COPY_ROWS; i++)
		ck_assert_int_eq(PQputCopyData(conn, row, sizeof(row)), 1);
	ck_assert_int_eq(PQputCopyEnd(conn, NULL), 1);
	result = PQgetResult(conn);
	ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(conn));
	PQclear(result);
	ck_assert_ptr_null(PQgetResult(conn));
	growth_must_be_small("COPY FROM STDIN", before);
	ck_assert_int_eq(db_number(conn, "SELECT sum(length(payload)) FROM big"),
			 (long long)COPY_ROWS * 1000);
	PQfinish(conn);
}
END_TEST

static void pgbench(const struct test_proxy *through, const char *const *arguments)
{
	const char *argv[32];
	char program[PATH_MAX + 16];
	char out[PATH_MAX];
	char port[16];
	char *text;
	int n = 0;
	int status;

	snprintf(program, sizeof(program), "%s/pgbench", cluster->bin);
	snprintf(port, sizeof(port), "%d", through->port);
	support_path(out, "%.4000s/pgbench.out", through->directory);
	unlink(out);
	argv[n++] = program;
	while (*arguments)
		argv[n++] = *arguments++;
	argv[n++] = "-h";
	argv[n++] = "127.0.0.1";
	argv[n++] = "-p";
	argv[n++] = port;
	argv[n++] = "-U";
	argv[n++] = "app";
	argv[n++] = "app";
	argv[n] = NULL;
	status = support_run(&(struct support_command){
		.argv = argv,
		.out = out,
		.env = (const char *const[]){ "PGPASSWORD=app_secret", "PGSSLMODE=require",
					      NULL } });
	text = support_read_file(out, NULL);
	ck_assert_msg(status == 0 && text && !strstr(text, "error"), "%d: %s", status, text);
	printf("%s", text && strstr(text, "tps") ? strstr(text, "tps") : "\n");
	free(text);
}

/* Few servers for many clients on several workers: connections change threads all the time. */
START_TEST(test_pgbench)
{
	struct test_proxy *narrow;

	begin();
	pgbench(proxy, (const char *const[]){ "-i", "-q", "-s", "1", NULL });
	set_options("require", "good", NULL, "verify-full");
	narrow = proxy_start(cluster, &(struct proxy_options){ .workers = 4,
							       .pool_size = 3,
							       .top = options,
							       .wait_more = "sslmode=require" });
	ck_assert_ptr_nonnull(narrow);
	pgbench(narrow, (const char *const[]){ "-n", "-M", "prepared", "-c", "16", "-j", "2",
					       "-t", "100", NULL });
	pgbench(narrow, (const char *const[]){ "-n", "-S", "-C", "-c", "16", "-j", "2", "-t",
					       "20", NULL });
	proxy_must_stop(&narrow);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("tls");
	TCase *tcase = integration_case(suite, "tls", 120);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, test_client_modes, 0, MODES);
	tcase_add_test(tcase, test_plain_client_is_refused_with_a_reason);
	tcase_add_loop_test(tcase, test_certificate_shown_to_clients, 0, 5);
	tcase_add_loop_test(tcase, test_certificates_of_clients, 0, 3);
	tcase_add_test(tcase, test_log_in_by_certificate);
	tcase_add_loop_test(tcase, test_channel_binding, 0, 2);
	tcase_add_loop_test(tcase, test_server_modes, 0, 3);
	tcase_add_loop_test(tcase, test_certificate_of_server, 0, 4);
	tcase_add_test(tcase, test_monitor_follows);
	tcase_add_test(tcase, test_reload_of_certificates_drops_nobody);
	tcase_add_loop_test(tcase, test_bad_files_change_nothing, 0, 3);
	tcase_add_test(tcase, test_console_and_columns);
	tcase_add_test(tcase, test_bytes_before_the_handshake);
	tcase_add_test(tcase, test_direct_tls);
	if (cluster_can_18())
		tcase_add_test(tcase, test_direct_tls_of_libpq);
	tcase_add_test(tcase, test_cancel_by_libpq);
	tcase_add_test(tcase, test_cancel_through_tls);
	tcase_add_test(tcase, test_copy_out_to_a_slow_reader);
	tcase_add_test(tcase, test_copy_in);
	tcase_add_test(tcase, test_pgbench);
	return suite;
}
INTEGRATION_SUITE(make_suite)
