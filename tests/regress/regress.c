/*
 * PostgreSQL's own regression SQL, directly and through the proxy: each script's output must be
 * the same, but for the differences that docs/compatibility.md lists.
 *
 *	regress [program] [--all] [script ...]
 *
 * Without --all: the core scripts in session mode and in transaction mode with reads on a
 * replica. With it also transaction mode without, session mode with servers that are used
 * again, a second direct run (PostgreSQL against itself), and the scripts of the contrib modules.
 *Everything is under build/regress; the sources are fetched by tests/regress/fetch.sh, and where
 *they cannot be had, all is skipped.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/proxy.h"
#include "../support/support.h"
#include "compare.h"
#include "world.h"

enum {
	MAJOR = 15, /* of which docs/compatibility.md speaks */
	AT_ONCE = 2
};

#define SOURCES "build/regress/postgresql-15"
#define LIST    "docs/compatibility.md"

static const char userlist[] = "\"postgres\" \"" CLUSTER_PASSWORD(
	"postgres") "\"\n"
		    "\"app\" \"" CLUSTER_PASSWORD("app") "\"\n"
							 "\"admin\" \"" CLUSTER_PASSWORD(
								 "admin") "\"\n";

/* What all others are compared with comes first. */
static struct world worlds[] = {
	{ .name = "direct" },
	{ .name = "session",
	  .n_replicas = 1,
	  .through_proxy = true,
	  .options = { .pool_mode = "session",
		       .split = "auto",
		       .userlist = userlist,
		       .database = "consistency = \"session\"; server_lifetime = 0; " } },
	{ .name = "auto",
	  .n_replicas = 1,
	  .through_proxy = true,
	  .with_churn = true,
	  .options = { .workers = 2,
		       .pool_size = 4,
		       .split = "auto",
		       .userlist = userlist,
		       .database = "consistency = \"session\"; " } },
	/* From here on with --all only. */
	{ .name = "hints",
	  .n_replicas = 1,
	  .through_proxy = true,
	  .with_churn = true,
	  .options = { .pool_size = 4, .split = "hints", .userlist = userlist } },
	{ .name = "reused",
	  .n_replicas = 1,
	  .through_proxy = true,
	  .options = { .pool_mode = "session", .split = "auto", .userlist = userlist } },
	{ .name = "again" },
};

enum {
	WORLDS = sizeof(worlds) / sizeof(worlds[0]),
	WORLDS_USUAL = 3
};

static struct world_files files;
static struct scripts scripts;
static bool is_partial; /* only some scripts, which have not met what others leave behind */
static size_t passed, failed;

static int finish(size_t skipped)
{
	printf("%zu passed, %zu failed, %zu skipped\n", passed, failed, skipped);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* --- what is needed --- */

static bool is_right_server(const struct test_cluster *cluster)
{
	return cluster_number(cluster, 0, "postgres", "SHOW server_version_num") / 10000 == MAJOR;
}

static bool fetch_sources(void)
{
	const char *const argv[] = { "tests/regress/fetch.sh", "15", SOURCES, NULL };

	return support_run(&(struct support_command){ .argv = argv, .out = "/dev/stderr" }) == 0;
}

/* Servers may run as another user, who cannot look into our build directory. */
static bool place_sources(void)
{
	const char *argv[] = { "/bin/cp", "-a", SOURCES, files.sources, NULL };
	char build[PATH_MAX];

	if (support_scratch() == NULL || realpath("build/regress", build) == NULL)
		return false;
	support_path(files.sources, "%s/regress", support_scratch());
	support_path(files.outputs, "%.2000s/outputs", build);
	return (mkdir(files.outputs, 0755) == 0 || errno == EEXIST) &&
	       support_run(&(struct support_command){ .argv = argv, .out = "/dev/stderr" }) == 0;
}

/* Those named on the command line, in the schedules' order; all when none is. */
static void choose_scripts(char **names, int n)
{
	size_t kept = 0;

	is_partial = n > 0;
	for (size_t i = 0; n > 0 && i < scripts.n; i++) {
		for (int j = 0; j < n; j++) {
			if (strcmp(scripts.names[i], names[j]) != 0)
				continue;
			scripts.all[kept] = scripts.all[i];
			scripts.names[kept++] = scripts.names[i];
		}
	}
	if (n > 0)
		scripts.n = kept;
}

/* --- the runs --- */

/* A script is compared as soon as all have been run; here only servers and proxies fail. */
static bool run_worlds(size_t n)
{
	pid_t pids[WORLDS];
	bool ok = true;
	int status;

	for (size_t i = 0; i < n + AT_ONCE; i++) {
		if (i >= AT_ONCE) {
			ok = waitpid(pids[i - AT_ONCE], &status, 0) != -1 && status == 0 && ok;
			cluster_stop(&worlds[i - AT_ONCE].cluster, CLUSTER_STOP_IMMEDIATE);
		}
		if (i >= n)
			continue;
		fflush(NULL);
		pids[i] = fork();
		if (pids[i] == 0)
			_exit(world_run(&worlds[i], &files, &scripts) ? 0 : 1);
	}
	return ok;
}

static void compare_world(struct list *list, const char *mode)
{
	char expected[PATH_MAX], got[PATH_MAX], diff[PATH_MAX];
	size_t before = failed;

	for (size_t i = 0; i < scripts.n; i++) {
		output_path(expected, &files, "direct", scripts.names[i]);
		output_path(got, &files, mode, scripts.names[i]);
		support_path(diff, "%.4000s.diff", got);
		if (list_compare(list, mode, scripts.names[i], expected, got, diff))
			passed++;
		else
			failed++;
	}
	if (!is_partial)
		failed += list_check_seen(list, mode, scripts.names, scripts.n);
	printf("%s: %zu scripts, %zu not as listed\n", mode, scripts.n, failed - before);
}

static int run_all(size_t n_worlds)
{
	struct list *list = list_load(LIST);

	if (list == NULL || !run_worlds(n_worlds))
		failed++;
	for (size_t i = 1; list != NULL && i < n_worlds; i++)
		compare_world(list, worlds[i].name);
	list_free(&list);
	return finish(0);
}

int main(int argc, char **argv)
{
	bool all = false;

	setvbuf(stdout, NULL, _IOLBF, 0);
	argc--, argv++;
	if (argc > 0 && argv[0][0] != '-') {
		proxy_set_program(argv[0]);
		argc--, argv++;
	}
	if (argc > 0 && strcmp(argv[0], "--all") == 0) {
		all = true;
		argc--, argv++;
	}
	if (!fetch_sources()) {
		puts("SKIPPED: PostgreSQL's regression SQL cannot be had (above)");
		return finish(1);
	}
	if (!place_sources() || !scripts_load(SOURCES "/parallel_schedule", false, &scripts) ||
	    (all && !scripts_load(SOURCES "/contrib_schedule", true, &scripts)))
		return failed++, finish(0);
	choose_scripts(argv, argc);
	/* One after the other: the first makes what the others copy. */
	for (size_t i = 0; i < (all ? WORLDS : WORLDS_USUAL); i++) {
		if (!world_start(&worlds[i]))
			return failed++, finish(0);
		if (i == 0 && !is_right_server(worlds[i].cluster)) {
			printf("SKIPPED: these servers are not PostgreSQL %d\n", MAJOR);
			return finish(1);
		}
	}
	return run_all(all ? WORLDS : WORLDS_USUAL);
}
