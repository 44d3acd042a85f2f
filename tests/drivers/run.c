/*
 * Runs the client programs of tests/drivers: run [program] [driver ...]. Each of them is run
 * twice, straight on the primary and through the program under test in front of a primary and two
 * replicas, and must print the same. What a driver needs is fetched by its script `driver` into
 * build/drivers; one whose tool or registry cannot be had is counted as skipped.
 *
 * It knows nothing of the languages: see README.md for what a script and a program must do.
 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/cluster.h"
#include "../support/proxy.h"
#include "../support/support.h"

enum {
	DRIVERS_MAX = 32,
	TOPICS_MAX = 128,
	/* The first time things are fetched and compiled. */
	PREPARE_TIMEOUT_MS = 420000,
	PROGRAM_TIMEOUT_MS = 90000,
	QUIET_TIMEOUT_MS = 10000,
	SKIPPED = 77, /* exit status of a driver's script */
	POOL_SIZE = 4,
	WORKERS = 2
};

/* What a program printed under "== name", up to the next such line. */
struct topic {
	char *name;
	char *text;
};

/* One run of a program. */
struct outcome {
	char out[PATH_MAX];
	char err[PATH_MAX];
	char *printed; /* the whole; topics point into it */
	struct topic topics[TOPICS_MAX];
	size_t n_topics;
	int status; /* of the program; -1: it did not end in time */
};

static struct test_cluster *servers;
static struct test_proxy *proxy;
static int passed, failed, skipped;

static void fail(const char *driver, const char *topic, const char *what)
{
	printf("FAILED: %s: %s%s%s\n", driver, topic, topic[0] == '\0' ? "" : ": ", what);
	failed++;
}

/* --- what a program printed --- */

/* Cuts the text at its lines "== name"; what stands before the first of them is no topic's. */
static void split_topics(struct outcome *outcome)
{
	char *line = outcome->printed;
	char *next;

	for (; line != NULL && *line != '\0'; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			next++;
		if (strncmp(line, "== ", 3) != 0 || outcome->n_topics == TOPICS_MAX)
			continue;
		line[0] = '\0'; /* ends the topic before */
		line[strcspn(line + 1, "\n") + 1] = '\0';
		outcome->topics[outcome->n_topics++] =
			(struct topic){ .name = line + 3,
					.text = next == NULL ? line + 3 + strlen(line + 3)
							     : next };
	}
}

static const struct topic *find_topic(const struct outcome *outcome, const char *name)
{
	for (size_t i = 0; i < outcome->n_topics; i++) {
		if (strcmp(outcome->topics[i].name, name) == 0)
			return &outcome->topics[i];
	}
	return NULL;
}

static void show_difference(const char *direct, const char *proxied)
{
	char path[2][PATH_MAX];

	support_path(path[0], "%s/direct.txt", support_scratch());
	support_path(path[1], "%s/proxied.txt", support_scratch());
	if (!support_write_file(path[0], direct) || !support_write_file(path[1], proxied))
		return;
	fflush(stdout);
	support_run(&(struct support_command){
		.argv = (const char *const[]){ "diff", "-u", path[0], path[1], NULL },
		.out = "/dev/stdout" });
}

/* --- running a program --- */

static int run_script(const char *driver, const char *what, const char *const *env,
		      const char *out, const char *err, int timeout_ms)
{
	char script[PATH_MAX];
	int status;
	pid_t pid;

	support_path(script, "tests/drivers/%s/driver", driver);
	pid = support_spawn(
		&(struct support_command){ .argv = (const char *const[]){ script, what, NULL },
					   .out = out,
					   .err = err,
					   .env = env });
	if (pid == -1)
		return -1;
	if (!support_wait_gone(pid, timeout_ms, &status)) {
		support_signal_family(pid, SIGKILL);
		support_wait_gone(pid, QUIET_TIMEOUT_MS, NULL);
		return -1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* What is binary in it must not end it. */
static void read_printed(struct outcome *outcome)
{
	size_t length = 0;

	outcome->printed = support_read_file(outcome->out, &length);
	for (size_t i = 0; outcome->printed != NULL && i < length; i++) {
		if (outcome->printed[i] == '\0')
			outcome->printed[i] = '?';
	}
}

static bool run_program(const char *driver, int port, const char *way, struct outcome *outcome)
{
	char port_env[32];
	char database_env[64];
	const char *const env[] = { "PGHOST=127.0.0.1",     port_env,
				    "PGUSER=app",           "PGPASSWORD=app_secret",
				    database_env,           "PGPASSFILE=/dev/null",
				    "LC_ALL=C.UTF-8",       "TZ=UTC",
				    "PGCONNECT_TIMEOUT=30", NULL };

	snprintf(port_env, sizeof(port_env), "PGPORT=%d", port);
	snprintf(database_env, sizeof(database_env), "PGDATABASE=%s", driver);
	support_path(outcome->out, "%s/%s.%s.out", support_scratch(), driver, way);
	support_path(outcome->err, "%s/%s.%s.err", support_scratch(), driver, way);
	outcome->status =
		run_script(driver, "run", env, outcome->out, outcome->err, PROGRAM_TIMEOUT_MS);
	read_printed(outcome);
	split_topics(outcome);
	if (outcome->status == 0 && find_topic(outcome, "end") != NULL)
		return true;
	printf("%s, %s: ended with status %d after topic \"%s\"%s\n", driver, way,
	       outcome->status,
	       outcome->n_topics == 0 ? "" : outcome->topics[outcome->n_topics - 1].name,
	       outcome->status == -1 ? ", for it took too long" : "");
	fflush(stdout);
	support_show_tail(outcome->err);
	return false;
}

/* Empty ones, of the same name for both runs; `again`: in place of the first. */
static bool make_database(const char *driver, bool again)
{
	char sql[3][256];

	snprintf(sql[0], sizeof(sql[0]), "DROP DATABASE %s WITH (FORCE)", driver);
	snprintf(sql[1], sizeof(sql[1]), "CREATE DATABASE %s OWNER app STRATEGY file_copy",
		 driver);
	snprintf(sql[2], sizeof(sql[2]), "ALTER DATABASE %s SET deadlock_timeout = '100ms'",
		 driver);
	for (int i = again ? 0 : 1; i < 3; i++) {
		if (!cluster_exec(servers, 0, "postgres", sql[i]))
			return false;
	}
	return cluster_wait_replay_all(servers);
}

/* --- what must be true afterwards --- */

/* Every server that the program used is idle, on all nodes. */
static bool wait_servers_idle(const char *driver)
{
	int64_t until = support_now_ms() + QUIET_TIMEOUT_MS;
	char sql[256];

	snprintf(sql, sizeof(sql),
		 "SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' AND "
		 "state IS DISTINCT FROM 'idle'",
		 driver);
	for (size_t i = 0; i < servers->n_nodes; i++) {
		while (cluster_number(servers, i, "postgres", sql) != 0) {
			if (support_now_ms() > until)
				return false;
			support_poll_pause();
		}
	}
	return true;
}

static bool has_kept_pool_size(const char *driver)
{
	char sql[128];
	bool kept = true;

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM pg_stat_activity WHERE datname = '%s'",
		 driver);
	for (size_t i = 0; kept && i < servers->n_nodes; i++)
		kept = cluster_number(servers, i, "postgres", sql) <= POOL_SIZE;
	return kept;
}

/* A program that never got to a replica has not tested what it is there for. */
static bool has_read_on_replicas(const char *driver)
{
	long long n = 0;
	char sql[128];

	snprintf(sql, sizeof(sql), "SELECT count(*) FROM pg_stat_activity WHERE datname = '%s'",
		 driver);
	for (size_t i = 1; i < servers->n_nodes; i++)
		n += cluster_number(servers, i, "postgres", sql);
	return n > 0;
}

static void check_afterwards(const char *driver)
{
	if (!proxy_is_alive(proxy))
		fail(driver, "", "the proxy has ended");
	else if (!wait_servers_idle(driver))
		fail(driver, "", "a server was left in the middle of something");
	else if (!has_kept_pool_size(driver))
		fail(driver, "", "there are more servers than the pool may have");
	else if (!has_read_on_replicas(driver))
		fail(driver, "", "nothing was read on a replica");
	else
		passed++;
}

/* --- a driver --- */

static void compare(const char *driver, const struct outcome *direct,
		    const struct outcome *proxied)
{
	for (size_t i = 0; i < direct->n_topics; i++) {
		const struct topic *topic = &direct->topics[i];
		const struct topic *other = find_topic(proxied, topic->name);

		if (strstr(topic->text, "\nEXCEPTION") != NULL) {
			fail(driver, topic->name, "an exception, without the proxy");
			printf("%s", topic->text);
		} else if (other == NULL) {
			fail(driver, topic->name, "missing through the proxy");
		} else if (strcmp(topic->text, other->text) != 0) {
			fail(driver, topic->name, "differs");
			show_difference(topic->text, other->text);
		} else {
			passed++;
		}
	}
	if (proxied->n_topics > direct->n_topics)
		fail(driver, "", "more topics through the proxy");
}

static void run_driver(const char *driver)
{
	struct outcome direct = { 0 };
	struct outcome proxied = { 0 };
	int64_t began = support_now_ms();
	int before = passed;

	if (!make_database(driver, false) ||
	    !run_program(driver, servers->nodes[0].port, "direct", &direct)) {
		fail(driver, "", "without the proxy");
		goto out;
	}
	if (!make_database(driver, true)) {
		fail(driver, "", "its database");
		goto out;
	}
	if (!run_program(driver, proxy->port, "proxied", &proxied))
		fail(driver, "", "through the proxy");
	compare(driver, &direct, &proxied);
	check_afterwards(driver);
	printf("%-12s %d passed, %.1f s\n", driver, passed - before,
	       (double)(support_now_ms() - began) / 1000);
out:
	free(direct.printed);
	free(proxied.printed);
}

/* The last line is the reason of a script that skips its driver. */
static void show_last_line(const char *path)
{
	char *text = support_read_file(path, NULL);
	char *end;
	char *line;

	if (text == NULL)
		return;
	end = text + strlen(text);
	while (end > text && end[-1] == '\n')
		*--end = '\0';
	line = strrchr(text, '\n');
	printf("%s\n", line == NULL ? text : line + 1);
	free(text);
}

static bool prepare_driver(const char *driver)
{
	char log[PATH_MAX];
	int status;

	support_path(log, "%s/%s.prepare.log", support_scratch(), driver);
	status = run_script(driver, "prepare", NULL, log, NULL, PREPARE_TIMEOUT_MS);
	if (status == 0)
		return true;
	if (status == SKIPPED) {
		printf("skipped: %s: ", driver);
		show_last_line(log);
		skipped++;
		return false;
	}
	fail(driver, "", status == -1 ? "its preparation takes too long" : "its preparation");
	fflush(stdout);
	support_show_tail(log);
	return false;
}

/* --- the run --- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The folders that have a script, in the order of their names. */
static size_t find_drivers(char *names[DRIVERS_MAX])
{
	DIR *dir = opendir("tests/drivers");
	struct dirent *entry;
	char script[PATH_MAX];
	size_t n = 0;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		support_path(script, "tests/drivers/%s/driver", entry->d_name);
		if (n < DRIVERS_MAX && access(script, X_OK) == 0)
			names[n++] = strdup(entry->d_name);
	}
	if (dir != NULL)
		closedir(dir);
	qsort(names, n, sizeof(names[0]), compare_names);
	return n;
}

static bool is_wanted(const char *driver, int argc, char **argv)
{
	if (argc <= 2)
		return true;
	for (int i = 2; i < argc; i++) {
		if (strcmp(argv[i], driver) == 0)
			return true;
	}
	return false;
}

static bool start_servers(void)
{
	servers = cluster_start(2, NULL);
	if (servers == NULL)
		return false;
	/* Few servers for many clients, so that a session hardly ever keeps its server. */
	proxy = proxy_start(servers, &(struct proxy_options){ .workers = WORKERS,
							      .pool_size = POOL_SIZE,
							      .auth = "scram-sha-256",
							      .database = "consistency = "
									  "\"session\";" });
	return proxy != NULL;
}

static void stop_servers(void)
{
	char *errors = proxy == NULL ? NULL : proxy_log_errors(proxy);

	if (errors != NULL) {
		fail("all", "", "errors in the log of the proxy");
		printf("%s", errors);
		free(errors);
	}
	if (!proxy_stop(&proxy))
		fail("all", "", "the proxy does not end with status 0 and without a report");
	cluster_stop(&servers, CLUSTER_STOP_IMMEDIATE);
}

static int finish(void)
{
	fflush(stdout);
	printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	char *names[DRIVERS_MAX];
	size_t n = find_drivers(names);
	bool is_started = false;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc > 1)
		proxy_set_program(argv[1]);
	for (size_t i = 0; i < n; i++) {
		if (is_wanted(names[i], argc, argv) && prepare_driver(names[i])) {
			if (!is_started && !start_servers()) {
				fail("all", "", "the servers and the proxy do not start");
				return finish();
			}
			is_started = true;
			run_driver(names[i]);
		}
		free(names[i]);
	}
	if (is_started)
		stop_servers();
	if (passed + failed + skipped == 0)
		fail("all", "", "there is no such driver");
	return finish();
}
