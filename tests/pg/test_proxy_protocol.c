/*
 * Clients behind a load balancer that speaks the PROXY protocol: their own address shows, and
 * nobody is believed who need not be.
 */
#include "integration.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct test_proxy *trusting;   /* of 127.0.0.1 */
static struct test_proxy *suspicious; /* of everybody but somebody else */
static int ports[2];

static struct test_proxy *start(const char *networks, int *port_out)
{
	char more[128];
	char top[128];
	struct test_proxy *proxy;

	*port_out = support_free_port();
	snprintf(more, sizeof(more),
		 "{ address = \"127.0.0.1\"; port = %d; proxy_protocol = \"any\"; }", *port_out);
	snprintf(top, sizeof(top), "proxy_protocol_networks = (\"%s\");", networks);
	proxy = proxy_must_start(&(struct proxy_options){
		.workers = 2, .listen_more = strdup(more), .top = strdup(top) });
	return proxy;
}

static void set_up(void)
{
	trusting = start("127.0.0.0/8", &ports[0]);
	suspicious = start("192.0.2.0/24", &ports[1]);
}

static void tear_down(void)
{
	proxy_must_stop(&trusting);
	proxy_must_stop(&suspicious);
}

#define V1 "PROXY TCP4 198.51.100.7 203.0.113.9 51234 5432\r\n"

static struct raw *log_in(int port, const char *header, size_t length)
{
	struct raw *raw = raw_open(port);
	char types[64];

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_send(raw, header, length));
	ck_assert(raw_startup(raw, 0, "app", "app", NULL));
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	return raw;
}

/* Is there one client with this address? */
static void must_show(const struct test_proxy *proxy, const char *address, long long port)
{
	ck_assert_int_eq(proxy_admin_sum(proxy, "SHOW CLIENTS", "port", "addr", address), port);
}

START_TEST(test_addresses_are_the_clients)
{
	static const char v2[] = "\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x28"
				 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07"
				 "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09"
				 "\x01\xbb\x15\x38\x04\x00\x01x";
	struct raw *first = log_in(ports[0], V1, strlen(V1));
	struct raw *second = log_in(ports[0], v2, sizeof(v2) - 1);
	char types[64];

	must_show(trusting, "198.51.100.7", 51234);
	must_show(trusting, "2001:db8::7", 443);
	ck_assert(proxy_log_has(trusting, "logged in from 198.51.100.7:51234"));
	ck_assert(raw_query(first, "SELECT 1"));
	ck_assert(raw_read_until_ready(first, types, sizeof(types)));
	ck_assert_str_eq(types, "TDCZ");
	raw_close(&first);
	raw_close(&second);
}
END_TEST

/* On the other port, and from anywhere else, it is garbage. */
START_TEST(test_nobody_else_is_believed)
{
	const int untrusted[] = { trusting->port, suspicious->port, ports[1] };

	for (int i = 0; i < 3; i++) {
		struct raw *raw = raw_open(untrusted[i]);

		ck_assert_ptr_nonnull(raw);
		ck_assert(raw_send(raw, V1, strlen(V1)));
		raw_startup(raw, 0, "app", "app", NULL);
		ck_assert_int_eq(raw_read(raw), 'E');
		ck_assert_str_eq(raw_error_field(raw, 'C'), "08P01");
		raw_close(&raw);
	}
	must_show(suspicious, "198.51.100.7", 0);
	/* Who is not trusted may come without. */
	PQfinish(db_open(suspicious));
	struct raw *raw = log_in(ports[1], "", 0);

	raw_close(&raw);
}
END_TEST

/* Who is trusted must say whose connection it is. */
START_TEST(test_header_is_demanded)
{
	struct raw *raw = raw_open(ports[0]);

	ck_assert(raw_startup(raw, 0, "app", "app", NULL));
	ck_assert(raw_expect_end(raw));
	ck_assert_ptr_null(raw->error);
	ck_assert(proxy_wait_log(trusting, "no header of the PROXY protocol"));
	raw_close(&raw);
}
END_TEST

/* The list of networks changes with a reload. */
START_TEST(test_reload)
{
	struct raw *raw;

	suspicious->options.top = "proxy_protocol_networks = (\"192.0.2.0/24\", \"127.0.0.1\");";
	ck_assert(proxy_write_config(suspicious) && proxy_reload(suspicious));
	raw = log_in(ports[1], V1, strlen(V1));
	must_show(suspicious, "198.51.100.7", 51234);
	raw_close(&raw);
}
END_TEST

static Suite *proxy_protocol_suite(void)
{
	Suite *suite = suite_create("proxy_protocol");
	TCase *tcase = integration_case(suite, "proxy_protocol", 60);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, test_addresses_are_the_clients);
	tcase_add_test(tcase, test_nobody_else_is_believed);
	tcase_add_test(tcase, test_header_is_demanded);
	tcase_add_test(tcase, test_reload);
	return suite;
}

INTEGRATION_SUITE(proxy_protocol_suite)
