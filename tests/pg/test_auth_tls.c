/*
 * Log-ins over TLS: SCRAM bound to the certificate, at both ends and passed through; certificates
 * of clients instead of passwords, and beside them.
 */
#include "integration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/certs.h"
#include "../support/tls_client.h"

static struct test_cluster *cluster;
static char certs[PATH_MAX];

static bool make_certificates(void)
{
	static const char here[] = "DNS:localhost,IP:127.0.0.1";
	uid_t uid;
	gid_t gid;
	char key[PATH_MAX];

	support_path(key, "%.3000s/server.key", certs);
	return cert_make(certs, "ca", &(struct cert_options){ .is_ca = true }) &&
	       cert_make(certs, "other_ca", &(struct cert_options){ .is_ca = true }) &&
	       cert_make(certs, "proxy",
			 &(struct cert_options){ .issuer = "ca", .alternative = here }) &&
	       cert_make(certs, "ed25519",
			 &(struct cert_options){ .alternative = here, .is_ed25519 = true }) &&
	       cert_make(certs, "server",
			 &(struct cert_options){
				 .issuer = "ca", .alternative = here, .is_rsa = true }) &&
	       cert_make(certs, "app", &(struct cert_options){ .issuer = "ca" }) &&
	       cert_make(certs, "bob@corp", &(struct cert_options){ .issuer = "ca" }) &&
	       cert_make(certs, "app_corp",
			 &(struct cert_options){ .issuer = "ca", .common_name = "app@corp" }) &&
	       cert_make(certs, "nameless",
			 &(struct cert_options){ .issuer = "ca", .common_name = "" }) &&
	       support_server_user(&uid, &gid) && chown(key, uid, gid) != -1;
}

static void set_up(void)
{
	char conf[PATH_MAX + 256];

	support_path(certs, "%.3000s/auth_tls.%d", support_scratch(), (int)getpid());
	if (mkdir(certs, 0755) == -1 || !make_certificates()) {
		integration_fail("auth_tls: certificates");
		return;
	}
	snprintf(conf, sizeof(conf),
		 "ssl = on\nssl_cert_file = '%s/server.crt'\nssl_key_file = '%s/server.key'\n",
		 certs, certs);
	cluster = cluster_start(0, conf);
	if (!cluster)
		integration_fail("auth_tls: the server");
}

static void tear_down(void)
{
	cluster_stop(&cluster, CLUSTER_STOP_IMMEDIATE);
	if (!getenv("POINTSMAN_KEEP"))
		support_remove_tree(certs);
}

/* --- proxies and clients --- */

struct wish {
	const char *auth;      /* "scram-sha-256" */
	const char *auth_more; /* further settings of `auth` */
	const char *cert;      /* of the proxy: "proxy" */
	const char *servers;   /* server_tls_sslmode: "require" */
	const char *binding;   /* server_channel_binding: "require" */
	const char *userlist;
	const char *wait_user;
	const char *wait_more;
};

static struct test_proxy *start(const struct wish *wish)
{
	const char *cert = wish->cert ? wish->cert : "proxy";
	char top[PATH_MAX * 4];
	struct test_proxy *proxy;

	ck_assert_ptr_nonnull(cluster);
	snprintf(top, sizeof(top),
		 "client_tls_sslmode = \"prefer\";\nclient_tls_cert_file = \"%s/%s.crt\";\n"
		 "client_tls_key_file = \"%s/%s.key\";\nclient_tls_ca_file = \"%s/ca.crt\";\n"
		 "server_tls_sslmode = \"%s\";\nserver_channel_binding = \"%s\";\n"
		 "server_login_retry = \"100ms\";\n",
		 certs, cert, certs, cert, certs, wish->servers ? wish->servers : "require",
		 wish->binding ? wish->binding : "require");
	proxy = proxy_start(cluster, &(struct proxy_options){
					     .auth = wish->auth ? wish->auth : "scram-sha-256",
					     .auth_more = wish->auth_more,
					     .userlist = wish->userlist,
					     .wait_user = wish->wait_user,
					     .wait_more = wish->wait_more,
					     .workers = 2,
					     .top = top });
	ck_assert_ptr_nonnull(proxy);
	return proxy;
}

static PGconn *connect_with(const struct test_proxy *proxy, const char *user, const char *more,
			    const char *cert)
{
	char all[PATH_MAX * 4];
	int n = snprintf(
		all, sizeof(all),
		"host=localhost hostaddr=127.0.0.1 sslmode=require sslrootcert=%s/ca.crt "
		"%s",
		certs, more ? more : "");

	if (cert)
		snprintf(all + n, sizeof(all) - (size_t)n, " sslcert=%s/%s.crt sslkey=%s/%s.key",
			 certs, cert, certs, cert);
	else
		snprintf(all + n, sizeof(all) - (size_t)n, " sslcert=none sslkey=none");
	return proxy_connect_with(proxy, user, "app", all);
}

static void must_connect(const struct test_proxy *proxy, const char *user, const char *more,
			 const char *cert)
{
	PGconn *conn = connect_with(proxy, user, more, cert);

	ck_assert_msg(PQstatus(conn) == CONNECTION_OK, "%s, %s: %s", user, more ? more : "",
		      PQerrorMessage(conn));
	ck_assert_str_eq(db_text(conn, "/* pointsman: read_hint=primary */ SELECT session_user"),
			 user);
	PQfinish(conn);
}

static void must_not_connect(const struct test_proxy *proxy, const char *user, const char *more,
			     const char *cert, const char *why)
{
	PGconn *conn = connect_with(proxy, user, more, cert);

	ck_assert_msg(PQstatus(conn) == CONNECTION_BAD, "%s, %s", user, more ? more : "");
	ck_assert_msg(strstr(PQerrorMessage(conn), why) != NULL, "%s", PQerrorMessage(conn));
	PQfinish(conn);
}

/* --- channel binding --- */

/* libpq's three words; and that nothing but -PLUS was used to the server. */
START_TEST(test_scram_plus)
{
	struct test_proxy *proxy = start(&(struct wish){ 0 });

	must_connect(proxy, "app", "channel_binding=require", NULL);
	must_connect(proxy, "app", "channel_binding=prefer", NULL);
	must_connect(proxy, "app", "channel_binding=disable", NULL);
	must_connect(proxy, "app", "channel_binding=disable sslmode=disable", NULL);
	must_not_connect(proxy, "app", "channel_binding=require sslmode=disable", NULL,
			 "channel binding");
	must_not_connect(proxy, "app", "channel_binding=require password=wrong", NULL,
			 "password authentication failed for user \"app\"");
	/* These servers ask for no SCRAM, so somebody could be in between. */
	must_not_connect(proxy, "trust_user", NULL, NULL, "reason: channel_binding");
	must_not_connect(proxy, "password_user", NULL, NULL, "reason: channel_binding");
	must_not_connect(proxy, "md5_user", NULL, NULL, "reason: channel_binding");
	ck_assert(proxy_stop(&proxy));
}
END_TEST

/* An Ed25519 certificate has no end point (RFC 5929): then there is no -PLUS, and all works. */
START_TEST(test_certificate_without_end_point)
{
	struct test_proxy *proxy = start(&(struct wish){ .cert = "ed25519" });

	must_connect(proxy, "app", "channel_binding=prefer sslrootcert=/nowhere", NULL);
	must_not_connect(proxy, "app", "channel_binding=require sslrootcert=/nowhere", NULL,
			 "channel binding");
	ck_assert(proxy_stop(&proxy));
}
END_TEST

/* Both ends bound, to two certificates, and no password in any file. */
START_TEST(test_pass_through_with_plus)
{
	char *secret = cluster_query(cluster, 0, "postgres",
				     "SELECT rolpassword FROM pg_authid WHERE rolname = "
				     "'scram_user'");
	struct test_proxy *proxy;
	char list[512];

	ck_assert_ptr_nonnull(secret);
	snprintf(list, sizeof(list), "\"scram_user\" \"%s\"\n", secret);
	free(secret);
	proxy = start(&(struct wish){ .userlist = list, .wait_user = "scram_user" });
	must_connect(proxy, "scram_user", "channel_binding=require", NULL);
	ck_assert(proxy_stop(&proxy));
}
END_TEST

START_TEST(test_servers_without_tls)
{
	struct test_proxy *proxy =
		start(&(struct wish){ .servers = "disable", .binding = "prefer" });

	must_connect(proxy, "app", "channel_binding=require", NULL);
	must_connect(proxy, "md5_user", NULL, NULL);
	ck_assert(proxy_stop(&proxy));
}
END_TEST

/* RFC 5802, section 6: a client that says "y" has not heard of our offer. */
START_TEST(test_downgrade_is_found_out)
{
	static const char first[] = "p\0\0\0\x36SCRAM-SHA-256\0\0\0\0\x20"
				    "y,,n=,r=abcdefghijklmnopqrstuvwx";
	static const char offer[] = "\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0";
	struct test_proxy *proxy = start(&(struct wish){ 0 });
	struct tls_client *client = tls_client_open(proxy->port, false, NULL);
	const uint8_t *body = NULL;
	size_t length = 0;

	ck_assert_ptr_nonnull(client);
	ck_assert(tls_client_startup(client, "app", "app"));
	ck_assert_int_eq(tls_client_read(client, &body, &length), 'R');
	ck_assert_uint_eq(length, sizeof(offer));
	ck_assert_mem_eq(body, offer, sizeof(offer));
	ck_assert(tls_client_send(client, first, sizeof(first) - 1));
	ck_assert_int_eq(tls_client_read(client, &body, &length), 'E');
	ck_assert_ptr_nonnull(memmem(body, length, "C28000", 7));
	ck_assert_ptr_nonnull(memmem(body, length, "reason: channel_binding", 24));
	tls_client_close(&client);
	ck_assert(proxy_stop(&proxy));
}
END_TEST

/* --- certificates of clients --- */

#define NO_CERTIFICATE "connection requires a valid client certificate"

/* auth.type cert: the common name is the user. */
START_TEST(test_certificate_is_enough)
{
	char more[PATH_MAX * 3];
	struct test_proxy *proxy;

	snprintf(more, sizeof(more),
		 "sslmode=require sslcert=%s/app.crt sslkey=%s/app.key password=none", certs,
		 certs);
	proxy = start(&(struct wish){ .auth = "cert", .wait_more = more });
	must_connect(proxy, "app", "password=none", "app");
	must_not_connect(proxy, "other", NULL, "app",
			 "certificate authentication failed for user \"other\"");
	must_not_connect(proxy, "app", NULL, NULL, NO_CERTIFICATE);
	must_not_connect(proxy, "app", "sslmode=disable", NULL, NO_CERTIFICATE);
	ck_assert(proxy_stop(&proxy));
}
END_TEST

static struct test_proxy *start_with_rules(const char *rules, const char *maps)
{
	char more[PATH_MAX * 3];
	char hba[PATH_MAX];
	char ident[PATH_MAX];

	support_path(hba, "%.3000s/hba", certs);
	support_path(ident, "%.3000s/ident", certs);
	ck_assert(support_write_file(hba, rules) && support_write_file(ident, maps));
	snprintf(more, sizeof(more), "hba_file = \"%s\"; ident_file = \"%s\";", hba, ident);
	return start(&(struct wish){ .auth = "hba", .auth_more = more });
}

START_TEST(test_rules_about_certificates)
{
	static const char rules[] = "hostnossl all app all scram-sha-256\n"
				    "hostssl app app all cert\n"
				    "hostssl app scram_user all scram-sha-256 "
				    "clientcert=verify-ca\n"
				    "hostssl app other all scram-sha-256 clientcert=verify-full\n"
				    "hostssl app monitor all cert map=corp\n";
	static const char maps[] = "corp /^(.*)@corp$ monitor\n";
	struct test_proxy *proxy = start_with_rules(rules, maps);

	must_connect(proxy, "app", "password=none", "app");
	must_not_connect(proxy, "app", NULL, NULL, NO_CERTIFICATE);
	must_not_connect(proxy, "app", NULL, "bob@corp",
			 "certificate authentication failed for user \"app\"");
	must_connect(proxy, "scram_user", NULL, "app");
	must_connect(proxy, "scram_user", NULL, "nameless"); /* verify-ca asks for no name */
	must_not_connect(proxy, "app", NULL, "nameless",
			 "certificate authentication failed for user \"app\"");
	must_not_connect(proxy, "scram_user", NULL, NULL, NO_CERTIFICATE);
	must_not_connect(proxy, "scram_user", "password=wrong", "app",
			 "password authentication failed");
	must_not_connect(proxy, "other", NULL, "app",
			 "certificate authentication failed for user \"other\"");
	must_connect(proxy, "monitor", "password=none", "bob@corp");
	must_not_connect(proxy, "monitor", NULL, "app",
			 "certificate authentication failed for user \"monitor\"");
	must_not_connect(proxy, "md5_user", NULL, "app",
			 "no pg_hba.conf entry for host \"127.0.0.1\", user \"md5_user\", "
			 "database \"app\", SSL encryption");
	ck_assert(proxy_stop(&proxy));
}
END_TEST

/* The whole name, as RFC 2253 writes it. */
START_TEST(test_rules_about_distinguished_names)
{
	static const char rules[] = "hostnossl all all all scram-sha-256\n"
				    "hostssl all all all cert clientname=DN map=dn\n";
	struct test_proxy *proxy = start_with_rules(rules, "dn \"CN=app@corp,O=tests\" app\n");

	must_connect(proxy, "app", "password=none", "app_corp");
	must_not_connect(proxy, "app", NULL, "app", "certificate authentication failed");
	ck_assert(proxy_stop(&proxy));
}
END_TEST

static Suite *auth_tls_suite(void)
{
	Suite *suite = suite_create("auth_tls");
	TCase *tcase = integration_case(suite, "auth_tls", 60);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, test_scram_plus);
	tcase_add_test(tcase, test_certificate_without_end_point);
	tcase_add_test(tcase, test_pass_through_with_plus);
	tcase_add_test(tcase, test_servers_without_tls);
	tcase_add_test(tcase, test_downgrade_is_found_out);
	tcase_add_test(tcase, test_certificate_is_enough);
	tcase_add_test(tcase, test_rules_about_certificates);
	tcase_add_test(tcase, test_rules_about_distinguished_names);
	return suite;
}

INTEGRATION_SUITE(auth_tls_suite)
