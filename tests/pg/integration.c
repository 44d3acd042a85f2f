/*
 * Runs the integration tests: integration [program] [suite ...]. Starts the servers, runs the
 * suites that registered themselves, or those named, and ends with a line "N passed, N failed, N
 * skipped". Also the helpers that the tests share.
 */
#include "integration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
	SUITES_MAX = 64,
	TEXTS = 32,
	TEXT_BYTES = 4096,
	FILES_MIN = 12000,
	CONDITION_TIMEOUT_MS = 20000
};

static Suite *(*suites[SUITES_MAX])(void);
static int suite_count;
static int outside_failures;
static int *skipped; /* shared with the tests' processes */
static pid_t main_process;

struct test_cluster *servers;

void integration_register(Suite *(*make)(void))
{
	if (suite_count == SUITES_MAX)
		abort();
	suites[suite_count++] = make;
}

TCase *integration_case(Suite *suite, const char *name, int seconds)
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, seconds);
	suite_add_tcase(suite, tcase);
	return tcase;
}

void integration_fail(const char *what)
{
	printf("FAILED: %s\n", what);
	outside_failures++;
}

void integration_skip(const char *why)
{
	printf("SKIPPED: %s\n", why);
	__atomic_add_fetch(skipped, 1, __ATOMIC_SEQ_CST);
}

/* In a test a failure is Check's; in a fixture of the main process Check would lose it. */
static void must(bool ok, const char *what)
{
	if (ok)
		return;
	if (getpid() == main_process)
		integration_fail(what);
	else
		ck_abort_msg("%s", what);
}

/* --- proxies --- */

struct test_proxy *proxy_must_start(const struct proxy_options *options)
{
	struct test_proxy *proxy = proxy_start(servers, options);

	must(proxy != NULL, "the proxy starts");
	/* Every test of this case would wait for it in vain. */
	if (proxy == NULL)
		ck_abort_msg("no proxy");
	return proxy;
}

void proxy_must_live(struct test_proxy **proxy)
{
	static struct test_proxy *dead; /* still the parent's; not lost, for the leak checker */

	if (proxy_is_alive(*proxy))
		return;
	dead = *proxy;
	*proxy = proxy_must_start(&dead->options);
}

void proxy_must_stop_after_errors(struct test_proxy **proxy)
{
	must(proxy_stop(proxy), "the proxy ends with status 0 and without a report");
}

void proxy_must_stop(struct test_proxy **proxy)
{
	char *errors = *proxy == NULL ? NULL : proxy_log_errors(*proxy);

	if (errors != NULL)
		printf("%s", errors);
	must(errors == NULL, "there are no errors in the log of the proxy");
	free(errors);
	proxy_must_stop_after_errors(proxy);
}

/* --- SQL --- */

/* A few texts that stay valid for a while, so that tests need not free them. */
static const char *keep(const char *text)
{
	static char texts[TEXTS][TEXT_BYTES];
	static unsigned next;
	char *kept = texts[next++ % TEXTS];

	snprintf(kept, TEXT_BYTES, "%s", text == NULL ? "" : text);
	return kept;
}

PGconn *db_open_as(const struct test_proxy *proxy, const char *user, const char *database,
		   const char *more)
{
	PGconn *conn = proxy_connect_with(proxy, user, database, more);

	ck_assert_msg(PQstatus(conn) == CONNECTION_OK, "%s", PQerrorMessage(conn));
	return conn;
}

PGconn *db_open(const struct test_proxy *proxy)
{
	return db_open_as(proxy, "app", "app", NULL);
}

const char *result_state(const PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return keep(state);
}

static void must_succeed(PGconn *conn, const PGresult *result, const char *sql)
{
	ExecStatusType status = PQresultStatus(result);

	ck_assert_msg(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
			      status == PGRES_EMPTY_QUERY,
		      "%s: %s%s", sql, PQresStatus(status), PQerrorMessage(conn));
}

void db_exec(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);

	must_succeed(conn, result, sql);
	PQclear(result);
}

static const char *only_value(PGconn *conn, PGresult *result, const char *sql)
{
	const char *text;

	must_succeed(conn, result, sql);
	ck_assert_msg(PQntuples(result) == 1, "%s: %d rows", sql, PQntuples(result));
	text = keep(PQgetvalue(result, 0, 0));
	PQclear(result);
	return text;
}

const char *db_text(PGconn *conn, const char *sql)
{
	return only_value(conn, PQexec(conn, sql), sql);
}

const char *db_text_extended(PGconn *conn, const char *sql)
{
	return only_value(conn, PQexecParams(conn, sql, 0, NULL, NULL, NULL, NULL, 0), sql);
}

long long db_number(PGconn *conn, const char *sql)
{
	return atoll(db_text(conn, sql));
}

/*
 * Of several results the first error counts: after a FATAL one libpq adds its own, without a
 * SQLSTATE, that the connection is gone.
 */
const char *db_error(PGconn *conn, const char *sql)
{
	const char *state = "";
	PGresult *result;

	if (PQsendQuery(conn, sql) != 1)
		return "gone";
	while ((result = PQgetResult(conn)) != NULL) {
		if (state[0] == '\0')
			state = result_state(result);
		PQclear(result);
	}
	if (state[0] == '\0' && PQstatus(conn) == CONNECTION_BAD)
		state = "gone";
	return state;
}

const char *db_node(PGconn *conn)
{
	return db_text(conn, "SELECT " NODE);
}

const char *db_last_route(PGconn *conn)
{
	return db_text(conn, "SHOW pointsman.last_route");
}

const char *db_last_node(PGconn *conn)
{
	return db_text(conn, "SHOW pointsman.last_node");
}

/* --- conditions --- */

void server_must_reach(size_t node, const char *sql, long long number)
{
	int64_t until = support_now_ms() + CONDITION_TIMEOUT_MS;
	PGconn *conn = cluster_connect(servers, node, "postgres");
	long long got = -1;

	ck_assert_ptr_nonnull(conn);
	while ((got = db_number(conn, sql)) != number && support_now_ms() < until)
		support_poll_pause();
	PQfinish(conn);
	ck_assert_msg(got == number, "%s on %s: %lld, not %lld", sql, servers->nodes[node].name,
		      got, number);
}

void servers_must_get_clean(const char *database)
{
	char sql[320];

	snprintf(
		sql, sizeof(sql),
		"SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' AND "
		"backend_type = 'client backend' AND state <> 'idle' AND pid <> pg_backend_pid()",
		database);
	for (size_t i = 0; i < servers->n_nodes; i++)
		server_must_reach(i, sql, 0);
}

void admin_must_reach(const struct test_proxy *proxy, const char *show, const char *column,
		      long long number)
{
	int64_t until = support_now_ms() + CONDITION_TIMEOUT_MS;
	long long got;

	while ((got = proxy_admin_sum(proxy, show, column, NULL, NULL)) != number && got != -1 &&
	       support_now_ms() < until)
		support_poll_pause();
	ck_assert_msg(got == number, "%s: %s is %lld, not %lld", show, column, got, number);
}

size_t node_index(const char *name)
{
	for (size_t i = 0; i < servers->n_nodes; i++) {
		if (strcmp(servers->nodes[i].name, name) == 0)
			return i;
	}
	ck_abort_msg("no node \"%s\"", name);
	return 0;
}

bool is_replica(const char *name)
{
	return strncmp(name, "replica", strlen("replica")) == 0;
}

/* --- the run --- */

/* Tests open thousands of connections, and what they start inherits the limit. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1 || limit.rlim_cur >= FILES_MIN)
		return;
	limit.rlim_cur = limit.rlim_max < FILES_MIN ? limit.rlim_max : FILES_MIN;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static bool run(SRunner *runner, const char *suite_name)
{
	int before = srunner_ntests_run(runner);

	srunner_run(runner, suite_name, NULL, CK_ENV);
	if (srunner_ntests_run(runner) > before)
		return true;
	fprintf(stderr, "integration: no tests in %s\n",
		suite_name == NULL ? "any suite" : suite_name);
	return false;
}

static int finish(int ran, int failed)
{
	fflush(stdout);
	cluster_stop(&servers, CLUSTER_STOP_IMMEDIATE);
	printf("%d passed, %d failed, %d skipped\n", ran - failed - *skipped,
	       failed + outside_failures, *skipped);
	return failed + outside_failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	SRunner *runner = srunner_create(NULL);
	bool complete = true;
	int ran, failed;

	main_process = getpid();
	skipped = mmap(NULL, sizeof(*skipped), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (skipped == MAP_FAILED)
		abort();
	/* A test that fails ends at once: what it has printed must not be lost. */
	setvbuf(stdout, NULL, _IOLBF, 0);
	raise_file_limit();
	if (argc > 1)
		proxy_set_program(argv[1]);
	if (access(proxy_program(), X_OK) == -1) {
		fprintf(stderr, "integration: %s is not there\n", proxy_program());
		srunner_free(runner);
		return finish(0, 1);
	}
	servers = cluster_start(2, NULL);
	if (servers == NULL) {
		srunner_free(runner);
		return finish(0, 1);
	}
	for (int i = 0; i < suite_count; i++)
		srunner_add_suite(runner, suites[i]());
	if (argc <= 2)
		complete = run(runner, NULL);
	for (int i = 2; i < argc; i++)
		complete = run(runner, argv[i]) && complete;
	ran = srunner_ntests_run(runner);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (!complete)
		integration_fail("a suite has no tests");
	return finish(ran, failed);
}
