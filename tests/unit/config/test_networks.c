/* Which load balancers are believed. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "config/config.h"
#include "sample.h"
#include "unit.h"

static bool trusts(const struct config *config, const char *address)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	if (inet_pton(AF_INET, address, &in.sin_addr) == 1)
		return config_trusts_proxy(config, (struct sockaddr *)&in);
	if (inet_pton(AF_INET6, address, &in6.sin6_addr) == 1)
		return config_trusts_proxy(config, (struct sockaddr *)&in6);
	ck_assert_str_eq(address, "unix");
	return config_trusts_proxy(config, (struct sockaddr *)&un);
}

START_TEST(nobody_by_default)
{
	struct config *config = sample_load(SAMPLE);

	ck_assert(!trusts(config, "127.0.0.1"));
	ck_assert(!trusts(config, "0.0.0.0"));
	ck_assert(!trusts(config, "::1"));
	ck_assert(!trusts(config, "unix"));
	config_unref(&config);
}
END_TEST

START_TEST(networks_and_addresses)
{
	struct config *config = sample_load(
		SAMPLE
		"proxy_protocol_networks = (\"10.1.0.0/16\", \"192.0.2.7\", \"2001:db8::/33\", "
		"\"10.9.8.128/25\");");

	ck_assert(trusts(config, "10.1.0.0"));
	ck_assert(trusts(config, "10.1.255.255"));
	ck_assert(!trusts(config, "10.2.0.0"));
	ck_assert(!trusts(config, "10.0.255.255"));
	ck_assert(trusts(config, "192.0.2.7"));
	ck_assert(!trusts(config, "192.0.2.6"));
	ck_assert(trusts(config, "2001:db8:7fff::1"));
	ck_assert(!trusts(config, "2001:db8:8000::1"));
	ck_assert(trusts(config, "10.9.8.128"));
	ck_assert(!trusts(config, "10.9.8.127"));
	/* The same bits in the other family are somebody else. */
	ck_assert(!trusts(config, "a01::"));
	ck_assert(!trusts(config, "unix"));
	config_unref(&config);
}
END_TEST

START_TEST(everybody_and_unix)
{
	struct config *config =
		sample_load(SAMPLE "proxy_protocol_networks = (\"0.0.0.0/0\", \"unix\");");

	ck_assert(trusts(config, "203.0.113.1"));
	ck_assert(!trusts(config, "::1"));
	ck_assert(trusts(config, "unix"));
	config_unref(&config);
}
END_TEST

static const char *const wrong[] = {
	"10.0.0.0/33", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x",
	"::/129",      "host",     "*",         "10.0.0.0/ 8", "/8",
};

START_TEST(wrong_networks)
{
	char text[600];
	char *errors;

	snprintf(text, sizeof(text), "%sproxy_protocol_networks = (\"::1\", \"%s\");", SAMPLE,
		 wrong[_i]);
	errors = sample_errors(text);
	ck_assert_msg(strstr(errors, "proxy_protocol_networks[1]: ") != NULL, "%s", errors);
	free(errors);
}
END_TEST

/* An option without effect is a mistake. */
START_TEST(a_socket_that_believes_nobody)
{
	char *errors = sample_errors(
		"listen = ({ address = \"127.0.0.1\"; proxy_protocol = \"v2\"; });\n"
		"auth = { type = \"trust\"; };\n"
		"clusters = ({ name = \"c\"; nodes = ({ name = \"a\"; host = \"h\"; }); });\n"
		"databases = ({ name = \"d\"; cluster = \"c\"; });\n");

	ck_assert_msg(strstr(errors, "listen[0].proxy_protocol: it needs "
				     "proxy_protocol_networks") != NULL,
		      "%s", errors);
	free(errors);
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("config/networks");
	TCase *t = tcase_create("networks");

	tcase_add_test(t, nobody_by_default);
	tcase_add_test(t, networks_and_addresses);
	tcase_add_test(t, everybody_and_unix);
	tcase_add_loop_test(t, wrong_networks, 0, sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_test(t, a_socket_that_believes_nobody);
	suite_add_tcase(suite, t);
	return suite;
}

UNIT_SUITE(suite)
