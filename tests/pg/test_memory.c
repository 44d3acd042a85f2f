/*
 * What idle clients cost: the heap of the serving process before and after ten thousand of them
 * have logged in, and after each has prepared ten statements. Bounds are promises of the
 * documentation (docs/architecture.md, "Memory"). What the kernel and OpenSSL keep is not
 * counted: the clients come without TLS.
 */
#include "integration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define CLIENTS_MAX    10000
#define STATEMENTS     10
#define IDLE_BYTES     1024
#define PREPARED_BYTES 2048
/* What start-up options that no other client has may add. */
#define OPTIONS_BYTES  512
/* Below this many clients what is not theirs would weigh too much. */
#define CLIENTS_MIN    1000
/* Descriptors of a process that are no clients'. */
#define FILES_SPARE    300

static struct raw *clients[CLIENTS_MAX];

/* Bytes that the process has allocated and not freed. */
static long long heap(const struct test_proxy *proxy)
{
	long long used = proxy_admin_sum(proxy, "SHOW MEM", "used", "name", "heap");

	ck_assert_int_gt(used, 0);
	return used;
}

/* What the console says of the same. */
static long long accounted(const struct test_proxy *proxy, const char *what)
{
	return proxy_admin_sum(proxy, "SHOW MEM", "memtotal", "name", what);
}

static void log_in(int port, int i, bool is_distinct)
{
	char application[32] = "memory";
	const char *more[] = { "application_name",
			       application,
			       "client_encoding",
			       "UTF8",
			       "DateStyle",
			       "ISO",
			       NULL };
	char types[64];

	if (is_distinct)
		snprintf(application, sizeof(application), "memory %d", i);
	clients[i] = raw_open(port);
	ck_assert_ptr_nonnull(clients[i]);
	ck_assert(raw_startup(clients[i], 0, "app", "app", more));
	ck_assert(raw_read_until_ready(clients[i], types, sizeof(types)));
}

/* Ten statements as drivers name them; the texts are the same for all, as they are in one
 * application. */
static void prepare_some(struct raw *client)
{
	char name[32];
	char sql[64];
	char types[64];

	for (int i = 0; i < STATEMENTS; i++) {
		snprintf(name, sizeof(name), "__asyncpg_stmt_%x__", i);
		snprintf(sql, sizeof(sql), "SELECT $1::int + %d", i);
		ck_assert(raw_parse(client, name, sql));
	}
	ck_assert(raw_sync(client));
	ck_assert(raw_read_until_ready(client, types, sizeof(types)));
	ck_assert_str_eq(types, "1111111111Z");
}

static void wait_idle(const struct test_proxy *proxy, int n)
{
	int64_t until = support_now_ms() + 20000;

	while (proxy_admin_sum(proxy, "SHOW MEM", "used", "name", "client") != n) {
		ck_assert_msg(support_now_ms() < until, "not %d clients", n);
		support_poll_pause();
	}
}

/* Until what busy connections kept for their next answer has been given back, but for that of a
 * few servers. */
static void wait_trimmed(const struct test_proxy *proxy, long long idle)
{
	int64_t until = support_now_ms() + 20000;

	while (accounted(proxy, "connection") > idle + 16384) {
		ck_assert_msg(support_now_ms() < until, "buffers are not given back");
		support_poll_pause();
	}
}

static int client_count(void)
{
	struct rlimit limit;
	int room;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	room = limit.rlim_cur > CLIENTS_MAX + FILES_SPARE ? CLIENTS_MAX
							  : (int)limit.rlim_cur - FILES_SPARE;
	ck_assert_int_ge(room, CLIENTS_MIN);
	return room;
}

static void tell(const struct test_proxy *proxy, const char *what, long long bytes, long rss_kb,
		 int n)
{
	printf("memory: %d clients, %s: %lld bytes each (resident: %ld; of a client %lld, its "
	       "connection %lld)\n",
	       n, what, bytes, rss_kb * 1024 / n, accounted(proxy, "client") / n,
	       accounted(proxy, "connection") / n);
}

static void measure(bool is_distinct)
{
	struct test_proxy *proxy = proxy_must_start(&(struct proxy_options){
		.workers = 2, .max_client_conn = 20000, .top = "log = { level = \"warn\"; };" });
	int n = client_count();
	long long before, idle, prepared, connections;
	long rss;

	/* What all have in common is there already. */
	for (int i = 0; i < 50; i++) {
		log_in(proxy->port, i, is_distinct);
		prepare_some(clients[i]);
		raw_close(&clients[i]);
	}
	wait_idle(proxy, 0);
	before = heap(proxy);
	rss = proxy_rss_kb(proxy);
	for (int i = 0; i < n; i++)
		log_in(proxy->port, i, is_distinct);
	wait_idle(proxy, n);
	idle = (heap(proxy) - before) / n;
	connections = accounted(proxy, "connection");
	tell(proxy, is_distinct ? "each with options of its own" : "idle", idle,
	     proxy_rss_kb(proxy) - rss, n);
	for (int i = 0; i < n; i++)
		prepare_some(clients[i]);
	wait_trimmed(proxy, connections);
	prepared = (heap(proxy) - before) / n;
	tell(proxy, "with ten prepared statements", prepared, proxy_rss_kb(proxy) - rss, n);
	if (!proxy_is_instrumented(proxy)) {
		ck_assert_int_lt(idle, IDLE_BYTES + (is_distinct ? OPTIONS_BYTES : 0));
		ck_assert_int_lt(prepared, PREPARED_BYTES + (is_distinct ? OPTIONS_BYTES : 0));
	}
	for (int i = 0; i < n; i++)
		raw_close(&clients[i]);
	proxy_must_stop(&proxy);
}

START_TEST(test_idle_clients_cost_little)
{
	measure(false);
}
END_TEST

START_TEST(test_idle_clients_with_options_of_their_own)
{
	measure(true);
}
END_TEST

static Suite *memory_suite(void)
{
	Suite *suite = suite_create("memory");
	TCase *tcase = integration_case(suite, "memory", 120);

	tcase_add_test(tcase, test_idle_clients_cost_little);
	tcase_add_test(tcase, test_idle_clients_with_options_of_their_own);
	return suite;
}

INTEGRATION_SUITE(memory_suite)
