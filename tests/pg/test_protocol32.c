/*
 * Protocol 3.2 and its long cancel keys: libpq 18 through the proxy to PostgreSQL 18 and 15, in
 * all combinations of what is asked for on both sides; and what PostgreSQL 18 itself answers to
 * start-up packets, against what the proxy does.
 */
#include "integration.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	NEW_3_2, /* PostgreSQL 18, asked for 3.2 */
	NEW_3_0, /* ... for 3.0 */
	OLD_3_2, /* PostgreSQL 15 (or what the system has), asked for 3.2 */
	KINDS,
	CLIENT_VERSIONS = 2,
	PROGRAM_TIMEOUT_MS = 30000
};

static const char *const versions[CLIENT_VERSIONS] = { "3.0", "3.2" };

static struct test_cluster *servers_18;
static struct test_proxy *proxies[KINDS];

static void set_up(void)
{
	if (!cluster_can_18())
		return;
	servers_18 = cluster_start_18(NULL);
	if (servers_18 == NULL) {
		integration_fail("PostgreSQL 18 starts");
		return;
	}
	proxies[NEW_3_2] = proxy_start(servers_18, &(struct proxy_options){ .workers = 2 });
	proxies[NEW_3_0] = proxy_start(
		servers_18,
		&(struct proxy_options){ .workers = 2, .top = "server_protocol = \"3.0\";" });
	proxies[OLD_3_2] = proxy_must_start(&(struct proxy_options){ .workers = 2 });
}

static void tear_down(void)
{
	for (int i = 0; i < KINDS; i++) {
		if (proxies[i] != NULL)
			proxy_must_stop(&proxies[i]);
	}
	cluster_stop(&servers_18, CLUSTER_STOP_IMMEDIATE);
}

/* Returns from the test when there is no PostgreSQL 18. */
#define NEED_18()                                             \
	do {                                                  \
		if (!cluster_can_18()) {                      \
			integration_skip("no PostgreSQL 18"); \
			return;                               \
		}                                             \
		for (int i_ = 0; i_ < KINDS; i_++)            \
			ck_assert_ptr_nonnull(proxies[i_]);   \
	} while (0)

/* --- programs with libpq 18 --- */

static char *conninfo_of(const struct test_proxy *proxy, const char *version)
{
	char more[96];

	snprintf(more, sizeof(more), "min_protocol_version=%s max_protocol_version=%s", version,
		 version);
	return proxy_conninfo(proxy, "app", "app", more);
}

/* What it prints goes to `log`. */
static pid_t spawn(const char *const *argv, char log[PATH_MAX], const char *name)
{
	const char *environment[] = { cluster_libpq_18(), "PGCONNECT_TIMEOUT=20", NULL };

	support_path(log, "%s/%s-%d.out", support_scratch(), name, (int)getpid());
	unlink(log);
	return support_spawn(
		&(struct support_command){ .argv = argv, .out = log, .env = environment });
}

static int wait_for(pid_t pid)
{
	int status = 0;

	ck_assert(support_wait_gone(pid, PROGRAM_TIMEOUT_MS, &status));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void must_print(const char *log, const char *text)
{
	char *printed = support_read_file(log, NULL);

	ck_assert_ptr_nonnull(printed);
	ck_assert_msg(strstr(printed, text) != NULL, "\"%s\" is not in: %s", text, printed);
	free(printed);
}

START_TEST(test_libpq_connects)
{
	const struct test_proxy *proxy;
	char log[PATH_MAX];
	char *conninfo;

	NEED_18();
	proxy = proxies[_i / CLIENT_VERSIONS];
	conninfo = conninfo_of(proxy, versions[_i % CLIENT_VERSIONS]);
	ck_assert_int_eq(wait_for(spawn((const char *const[]){ "psql", "-AtX", "-d", conninfo,
							       "-c", "SELECT 40 + 2", NULL },
					log, "psql")),
			 0);
	must_print(log, "42\n");
	free(conninfo);
}
END_TEST

START_TEST(test_pgbench)
{
	static const char script[] = "\\set x random(1, 100)\n"
				     "BEGIN;\nSELECT :x;\nCOMMIT;\n"
				     "SELECT count(*) FROM generate_series(1, :x);\n";
	const struct test_proxy *proxy;
	char file[PATH_MAX];
	char log[PATH_MAX];
	char *conninfo;

	NEED_18();
	proxy = proxies[_i / CLIENT_VERSIONS];
	conninfo = conninfo_of(proxy, versions[_i % CLIENT_VERSIONS]);
	support_path(file, "%s/protocol32-%d.sql", support_scratch(), (int)getpid());
	ck_assert(support_write_file(file, script));
	/* -C: a log-in for each transaction, too. */
	ck_assert_int_eq(
		wait_for(spawn((const char *const[]){ "pgbench", "-n", "-C", "-M", "prepared",
						      "-c", "4", "-j", "2", "-t", "25", "-f",
						      file, conninfo, NULL },
			       log, "pgbench")),
		0);
	must_print(log, "number of transactions actually processed: 100/100");
	free(conninfo);
}
END_TEST

/* Ctrl-C in psql, which shows the proxy's key; and the proxy shows the server's. */
START_TEST(test_cancel)
{
	static const char running[] =
		"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND "
		"query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()";
	const struct test_proxy *proxy;
	int64_t until = support_now_ms() + PROGRAM_TIMEOUT_MS;
	char log[PATH_MAX];
	char *conninfo;
	pid_t psql;

	NEED_18();
	proxy = proxies[_i / CLIENT_VERSIONS];
	conninfo = conninfo_of(proxy, versions[_i % CLIENT_VERSIONS]);
	psql = spawn((const char *const[]){ "psql", "-AtX", "-d", conninfo, "-c",
					    "/* pointsman: read_hint=primary */ SELECT "
					    "pg_sleep(60)",
					    NULL },
		     log, "cancel");
	while (cluster_number(proxy->servers, 0, "postgres", running) != 1) {
		ck_assert_int_lt(support_now_ms(), until);
		support_poll_pause();
	}
	kill(psql, SIGINT);
	ck_assert_int_eq(wait_for(psql), 1);
	must_print(log, "canceling statement due to user request");
	while (cluster_number(proxy->servers, 0, "postgres", running) != 0) {
		ck_assert_int_lt(support_now_ms(), until);
		support_poll_pause();
	}
	free(conninfo);
}
END_TEST

/* --- start-up packets, by hand --- */

struct opening {
	unsigned minor;
	const char *options[7]; /* names and values */
};

static const struct opening openings[] = {
	{ 0, { NULL } },
	{ 1, { NULL } },
	{ 2, { NULL } },
	{ 3, { NULL } },
	{ 9999, { NULL } },
	{ 65535, { NULL } },
	{ 0, { "_pq_.a", "1", NULL } },
	{ 1, { "_pq_.a", "", NULL } },
	{ 2, { "_pq_.a", "1", "application_name", "x", "_pq_.b", "2", NULL } },
	{ 9999, { "_pq_.test_protocol_negotiation", "", NULL } },
};

/* All up to AuthenticationOk, as hexadecimal text; and the length of the key. */
static const char *answer_to(int port, const struct opening *opening, size_t *key_length_out)
{
	static char texts[2][2000];
	static int turn;
	char *text = texts[turn ^= 1];
	struct raw *raw = raw_open(port);
	size_t at = 0;
	char types[64];
	char type;

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_startup(raw, opening->minor, "trust_user", "app", opening->options));
	do {
		type = raw_read(raw);
		at += (size_t)snprintf(text + at, 2000 - at, "%c", type);
		for (size_t i = 0; i < raw->body_length && at < 1900; i++)
			at += (size_t)snprintf(text + at, 2000 - at, " %02x", raw->body[i]);
		at += (size_t)snprintf(text + at, 2000 - at, "; ");
	} while (type == 'v');
	ck_assert_int_eq(type, 'R');
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	*key_length_out = raw->key_length;
	raw_close(&raw);
	return text;
}

START_TEST(test_negotiation_is_postgresqls)
{
	size_t expected_length;
	size_t length;
	const char *expected;

	NEED_18();
	expected = answer_to(servers_18->nodes[0].port, &openings[_i], &expected_length);
	ck_assert_str_eq(answer_to(proxies[NEW_3_2]->port, &openings[_i], &length), expected);
	ck_assert_uint_eq(length, expected_length);
	/* What servers speak is none of a client's business. */
	expected = answer_to(proxies[OLD_3_2]->port, &openings[_i], &length);
	ck_assert_uint_eq(length, expected_length);
	ck_assert_str_eq(answer_to(proxies[NEW_3_0]->port, &openings[_i], &length), expected);
	ck_assert_uint_eq(length, expected_length);
}
END_TEST

/* of a long key every bit counts, and its length. */
START_TEST(test_wrong_long_keys)
{
	static const char running[] =
		"SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND "
		"query LIKE '%pg_sleep(61)%' AND pid <> pg_backend_pid()";
	const struct test_proxy *proxy;
	struct raw *raw;
	struct raw thief;
	char types[64];

	NEED_18();
	proxy = proxies[NEW_3_2];
	raw = raw_open(proxy->port);
	ck_assert(raw_startup(raw, 2, "app", "app", NULL));
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	ck_assert_uint_eq(raw->key_length, 32);
	ck_assert(raw_query(raw, "/* pointsman: read_hint=primary */ SELECT pg_sleep(61)"));
	while (cluster_number(servers_18, 0, "postgres", running) != 1)
		support_poll_pause();
	for (size_t bit = 0; bit < 256; bit += 15) {
		thief = *raw;
		thief.key[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(raw_cancel(proxy->port, &thief));
	}
	for (size_t length = 4; length <= 256; length *= 2) {
		thief = *raw;
		thief.key_length = length == 32 ? 31 : length;
		ck_assert(raw_cancel(proxy->port, &thief));
	}
	ck_assert_int_eq(cluster_number(servers_18, 0, "postgres", running), 1);
	ck_assert(raw_cancel(proxy->port, raw));
	ck_assert(raw_read_until_ready(raw, types, sizeof(types)));
	ck_assert_str_eq(raw_error_field(raw, 'C'), "57014");
	raw_close(&raw);
}
END_TEST

static Suite *protocol32_suite(void)
{
	Suite *suite = suite_create("protocol32");
	TCase *tcase = integration_case(suite, "protocol32", 60);
	int n_openings = (int)(sizeof(openings) / sizeof(openings[0]));

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, test_libpq_connects, 0, KINDS * CLIENT_VERSIONS);
	tcase_add_loop_test(tcase, test_pgbench, 0, KINDS * CLIENT_VERSIONS);
	tcase_add_loop_test(tcase, test_cancel, 0, KINDS * CLIENT_VERSIONS);
	tcase_add_loop_test(tcase, test_negotiation_is_postgresqls, 0, n_openings);
	tcase_add_test(tcase, test_wrong_long_keys);
	return suite;
}

INTEGRATION_SUITE(protocol32_suite)
