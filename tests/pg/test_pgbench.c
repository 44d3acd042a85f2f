/*
 * PostgreSQL's own load generator through the proxy: all built-in scripts in all protocol modes
 * with 64 clients, on one and on several workers, with few servers and with many idle clients. No
 * transaction fails, the books balance, reads are shared out evenly.
 */
#include "integration.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	CLIENTS = 64,
	IDLE_CLIENTS = 2000,
	FEW_SERVERS = 3,
	POOL_SIZE = 20
};

static const char *const scripts[] = { "tpcb-like", "simple-update", "select-only" };
static const char *const modes[] = { "simple", "extended", "prepared" };

/* The machine is busy here: lag is not what this is about. */
static const char patient[] = "max_lag = { preferred = \"1min\"; hard = \"2min\"; };";

static bool make_database(void)
{
	char port[16];
	char pgbench[PATH_MAX + 16];

	if (!cluster_exec(servers, 0, "postgres", "DROP DATABASE IF EXISTS bench") ||
	    !cluster_exec(servers, 0, "postgres", "CREATE DATABASE bench OWNER app"))
		return false;
	snprintf(port, sizeof(port), "%d", servers->nodes[0].port);
	snprintf(pgbench, sizeof(pgbench), "%s/pgbench", servers->bin);
	return support_run(&(struct support_command){
		       .argv = (const char *const[]){ pgbench, "-i", "-q", "-s", "4", "-h",
						      "127.0.0.1", "-p", port, "-U", "app",
						      "bench", NULL },
		       .env = (const char *const[]){ "PGPASSWORD=app_secret", NULL } }) == 0 &&
	       cluster_wait_replay_all(servers);
}

static void set_up(void)
{
	if (!make_database())
		integration_fail("pgbench -i");
}

struct run {
	const char *script;
	const char *mode;
	int clients;
	int transactions; /* of each client */
	char out[PATH_MAX];
	pid_t pid;
};

static void run_start(struct run *run, const struct test_proxy *proxy)
{
	char port[16], clients[16], transactions[16];
	char pgbench[PATH_MAX + 16];

	snprintf(port, sizeof(port), "%d", proxy->port);
	snprintf(clients, sizeof(clients), "%d", run->clients);
	snprintf(transactions, sizeof(transactions), "%d", run->transactions);
	snprintf(pgbench, sizeof(pgbench), "%s/pgbench", servers->bin);
	support_path(run->out, "%.4000s/pgbench.out", proxy->directory);
	unlink(run->out);
	run->pid = support_spawn(&(struct support_command){
		.argv = (const char *const[]){ pgbench, "-n",        "-b",    run->script,
					       "-M",    run->mode,   "-c",    clients,
					       "-j",    "2",         "-t",    transactions,
					       "-h",    "127.0.0.1", "-p",    port,
					       "-U",    "app",       "bench", NULL },
		.out = run->out,
		.env = (const char *const[]){ "PGPASSWORD=app_secret", NULL } });
	ck_assert_int_ne(run->pid, -1);
}

/* pgbench's own word that each transaction was done and none failed. */
static void run_must_succeed(const struct run *run, int status)
{
	char *out = support_read_file(run->out, NULL);
	char done[64];
	long all = (long)run->clients * run->transactions;

	snprintf(done, sizeof(done), "actually processed: %ld/%ld\n", all, all);
	ck_assert_msg(status == 0 && out != NULL && strstr(out, done) != NULL &&
			      strstr(out, "failed transactions: 0 (") != NULL &&
			      strstr(out, "error") == NULL,
		      "pgbench -b %s -M %s: wait status %#x:\n%s", run->script, run->mode,
		      (unsigned)status, out);
	free(out);
}

static void run_wait(struct run *run)
{
	int status = -1;

	ck_assert(support_wait_gone(run->pid, 200000, &status));
	run_must_succeed(run, status);
}

static void run_all(struct run *run, const struct test_proxy *proxy)
{
	run_start(run, proxy);
	run_wait(run);
}

/* What every transaction of pgbench keeps: all the sums are the same. */
static void books_must_balance(void)
{
	char *answer =
		cluster_query(servers, 0, "bench",
			      "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = d AND "
			      "(SELECT sum(bbalance) FROM pgbench_branches) = d AND "
			      "(SELECT sum(tbalance) FROM pgbench_tellers) = d AND n > 0 "
			      "FROM (SELECT coalesce(sum(delta), 0) AS d, count(*) AS n FROM "
			      "pgbench_history) h");

	ck_assert_ptr_nonnull(answer);
	ck_assert_str_eq(answer, "t");
	free(answer);
}

/* simple-update leaves tellers and branches alone, so each run begins with a clean sheet. */
static void clear_books(void)
{
	ck_assert(cluster_exec(servers, 0, "bench",
			       "UPDATE pgbench_accounts SET abalance = 0 WHERE abalance <> 0;"
			       "UPDATE pgbench_branches SET bbalance = 0;"
			       "UPDATE pgbench_tellers SET tbalance = 0;"
			       "TRUNCATE pgbench_history"));
	ck_assert(cluster_wait_replay_all(servers));
}

/* --- all scripts, all modes --- */

START_TEST(test_script)
{
	const char *script = scripts[_i / 3];
	struct test_proxy *proxy =
		proxy_must_start(&(struct proxy_options){ .workers = 2, .cluster = patient });
	struct run run = {
		.script = script, .mode = modes[_i % 3], .clients = CLIENTS, .transactions = 20
	};

	clear_books();
	run_all(&run, proxy);
	if (strcmp(script, "tpcb-like") == 0)
		books_must_balance();
	proxy_must_stop(&proxy);
}
END_TEST

/* Transactions that clients made: each new session has counted one more for its own start. */
static long long client_commits(size_t node)
{
	long long n = cluster_number(servers, node, "postgres",
				     "SELECT xact_commit - sessions FROM pg_stat_database "
				     "WHERE datname = 'bench'");

	ck_assert_int_ge(n, 0);
	return n;
}

START_TEST(test_reads_are_shared_out)
{
	struct test_proxy *proxy = proxy_must_start(&(struct proxy_options){
		.workers = 2, .pool_size = POOL_SIZE, .cluster = patient });
	struct run run = { .script = "select-only",
			   .mode = modes[_i],
			   .clients = CLIENTS,
			   .transactions = 200 };
	long long before[3], commits[3], all;

	ck_assert(cluster_wait_quiet(servers, "bench"));
	for (size_t i = 0; i < 3; i++)
		before[i] = client_commits(i);
	run_all(&run, proxy);
	/* The servers' statistics are complete when the sessions are over. */
	proxy_must_stop(&proxy);
	ck_assert(cluster_wait_quiet(servers, "bench"));
	for (size_t i = 0; i < 3; i++)
		commits[i] = client_commits(i) - before[i];
	printf("pgbench -b select-only -M %s: %lld on the primary, %lld and %lld on the "
	       "replicas\n",
	       run.mode, commits[0], commits[1], commits[2]);
	all = (long long)run.clients * run.transactions;
	/*
	 * pgbench itself asks two or three questions before it starts, and a server that is new
	 * gets the session's settings first.
	 */
	ck_assert_int_le(commits[0], 5);
	ck_assert_int_ge(commits[1] + commits[2], all);
	ck_assert_int_le(commits[1] + commits[2], all + 5 + 2 * POOL_SIZE);
	ck_assert_int_ge(commits[1] * 100, all * 45);
	ck_assert_int_le(commits[1] * 100, all * 55);
}
END_TEST

/* --- several workers, few servers --- */

static long long server_sessions(PGconn *conn)
{
	return db_number(conn,
			 "SELECT count(*) FROM pg_stat_activity WHERE datname = 'bench' AND "
			 "backend_type = 'client backend'");
}

/* Runs to the end and looks at the servers all the time: the most sessions that one had at once.
 */
static void run_with_watch(struct run *run, const struct test_proxy *proxy, long long most[3])
{
	PGconn *conns[3];
	int status = -1;

	for (size_t i = 0; i < 3; i++) {
		conns[i] = cluster_connect(servers, i, "postgres");
		ck_assert_ptr_nonnull(conns[i]);
		most[i] = 0;
	}
	run_start(run, proxy);
	while (!support_wait_gone(run->pid, 0, &status)) {
		for (size_t i = 0; i < 3; i++) {
			long long n = server_sessions(conns[i]);

			most[i] = n > most[i] ? n : most[i];
		}
	}
	for (size_t i = 0; i < 3; i++)
		PQfinish(conns[i]);
	run_must_succeed(run, status);
}

START_TEST(test_workers_share_few_servers)
{
	static const int workers[] = { 1, 2, 4 };
	struct test_proxy *proxy = proxy_must_start(&(struct proxy_options){
		.workers = workers[_i / 3], .pool_size = FEW_SERVERS, .cluster = patient });
	struct run run = { .script = scripts[_i % 3],
			   .mode = "prepared",
			   .clients = CLIENTS,
			   .transactions = 40 };
	long long most[3];

	clear_books();
	run_with_watch(&run, proxy, most);
	printf("pgbench -b %s, %d workers: at most %lld, %lld and %lld servers\n", run.script,
	       workers[_i / 3], most[0], most[1], most[2]);
	for (int i = 0; i < 3; i++)
		ck_assert_int_le(most[i], FEW_SERVERS);
	if (strcmp(run.script, "tpcb-like") == 0)
		books_must_balance();
	/* SHOW POOLS agrees, and nobody is left waiting. */
	ck_assert_int_eq(proxy_admin_sum(proxy, "SHOW POOLS", "cl_waiting", NULL, NULL), 0);
	ck_assert_int_eq(proxy_admin_sum(proxy, "SHOW POOLS", "sv_active", NULL, NULL), 0);
	ck_assert_int_le(proxy_admin_sum(proxy, "SHOW POOLS", "sv_idle", "database", "bench"),
			 3 * FEW_SERVERS);
	proxy_must_stop(&proxy);
}
END_TEST

START_TEST(test_workers_with_room)
{
	static const int workers[] = { 1, 4 };
	struct test_proxy *proxy = proxy_must_start(
		&(struct proxy_options){ .workers = workers[_i], .cluster = patient });
	struct run run = {
		.script = "tpcb-like", .mode = "extended", .clients = CLIENTS, .transactions = 20
	};

	clear_books();
	run_all(&run, proxy);
	books_must_balance();
	proxy_must_stop(&proxy);
}
END_TEST

/* --- many idle clients --- */

START_TEST(test_many_idle_clients)
{
	struct test_proxy *proxy =
		proxy_must_start(&(struct proxy_options){ .workers = 2, .cluster = patient });
	PGconn **idle = calloc(IDLE_CLIENTS, sizeof(*idle));
	struct run run = {
		.script = "tpcb-like", .mode = "prepared", .clients = CLIENTS, .transactions = 20
	};
	long before = proxy_rss_kb(proxy);

	ck_assert_ptr_nonnull(idle);
	clear_books();
	for (int i = 0; i < IDLE_CLIENTS; i++)
		idle[i] = db_open_as(proxy, "app", "bench", NULL);
	printf("%d idle clients: %ld kB, %ld kB before\n", IDLE_CLIENTS, proxy_rss_kb(proxy),
	       before);
	run_all(&run, proxy);
	books_must_balance();
	/* They are mostly idle: each still gets its answer. */
	for (int i = 0; i < IDLE_CLIENTS; i += 10)
		ck_assert_int_eq(db_number(idle[i], "SELECT 1"), 1);
	for (int i = 0; i < IDLE_CLIENTS; i++)
		PQfinish(idle[i]);
	free(idle);
	proxy_must_stop(&proxy);
}
END_TEST

static Suite *pgbench_suite(void)
{
	Suite *suite = suite_create("pgbench");
	TCase *tcase = integration_case(suite, "pgbench", 240);

	tcase_add_unchecked_fixture(tcase, set_up, NULL);
	tcase_add_loop_test(tcase, test_script, 0, 9);
	tcase_add_loop_test(tcase, test_reads_are_shared_out, 0, 3);
	tcase_add_loop_test(tcase, test_workers_share_few_servers, 0, 9);
	tcase_add_loop_test(tcase, test_workers_with_room, 0, 2);
	tcase_add_test(tcase, test_many_idle_clients);
	return suite;
}

INTEGRATION_SUITE(pgbench_suite)
