/*
 * Runs PostgreSQL's regression scripts in one world: see world.h. What pg_regress does for them
 * is done here: settings of the database and of psql's environment, the folders that scripts find
 * by environment variables. Runs in a child process of the test program.
 */
#include "world.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/support.h"
#include "churn.h"

enum {
	SCRIPT_TIMEOUT_MS = 300000,
	LONG_MS = 15000,
	LINE_MAX_BYTES = 4096,
	ENV_MAX = 16
};

static char *join(const char *a, const char *b, const char *c)
{
	char text[256];

	snprintf(text, sizeof(text), "%s%s%s", a, b, c);
	return strdup(text);
}

static void add_script(struct scripts *scripts, const char *module, const char *name)
{
	size_t n = ++scripts->n;
	char *folder = module == NULL ? strdup(".") : join("contrib", "/", module);
	struct script *script;

	scripts->all = realloc(scripts->all, n * sizeof(*scripts->all));
	scripts->names = realloc(scripts->names, n * sizeof(*scripts->names));
	script = &scripts->all[n - 1];
	if (module == NULL)
		*script = (struct script){ strdup(name), folder, strdup("regression") };
	else
		*script = (struct script){
			.name = join(folder, "/", name),
			.folder = folder,
			.database = join("contrib", "_", module),
		};
	scripts->names[n - 1] = script->name;
}

bool scripts_load(const char *path, bool is_contrib, struct scripts *scripts)
{
	FILE *file = fopen(path, "re");
	char line[LINE_MAX_BYTES];

	if (file == NULL) {
		support_complain("%s: %s", path, strerror(errno));
		return false;
	}
	while (fgets(line, sizeof(line), file) != NULL) {
		char *save = NULL;
		char *key = strtok_r(line, ": \t\n", &save);

		if (key == NULL || (!is_contrib && strcmp(key, "test") != 0))
			continue;
		for (char *name = strtok_r(NULL, " \t\n", &save); name != NULL;
		     name = strtok_r(NULL, " \t\n", &save))
			add_script(scripts, is_contrib ? key : NULL, name);
	}
	fclose(file);
	return scripts->n > 0;
}

/* --- the databases --- */

static bool make_database(const struct test_cluster *cluster, const char *name)
{
	static const char *const settings[] = {
		"lc_messages TO 'C'",    "lc_monetary TO 'C'",
		"lc_numeric TO 'C'",     "lc_time TO 'C'",
		"bytea_output TO 'hex'", "timezone_abbreviations TO 'Default'",
	};
	char sql[256];

	snprintf(sql, sizeof(sql), "CREATE DATABASE \"%s\" TEMPLATE template0", name);
	if (!cluster_exec(cluster, 0, "postgres", sql))
		return false;
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
		snprintf(sql, sizeof(sql), "ALTER DATABASE \"%s\" SET %s", name, settings[i]);
		if (!cluster_exec(cluster, 0, "postgres", sql))
			return false;
	}
	return true;
}

void output_path(char out[PATH_MAX], const struct world_files *files, const char *world,
		 const char *script)
{
	char name[256];

	snprintf(name, sizeof(name), "%s", script);
	for (char *c = name; *c != '\0'; c++) {
		if (*c == '/')
			*c = '.';
	}
	support_path(out, "%.2000s/%.200s/%s.out", files->outputs, world, name);
}

/* --- one script --- */

struct run {
	const struct world *world;
	const struct world_files *files;
	int port;
	char results[PATH_MAX]; /* PG_ABS_BUILDDIR */
	const char *database;   /* the last one that was made */
};

static pid_t start_script(const struct run *run, const struct script *script, const char *out)
{
	char folder[PATH_MAX], file[PATH_MAX], psql[PATH_MAX], port[32], application[128];
	char source[PATH_MAX], build[PATH_MAX], lib[PATH_MAX];
	const char *const argv[] = {
		"/bin/sh",
		"-c",
		"cd \"$0\" && exec \"$1\" -X -a -q -d \"$2\" -v HIDE_TABLEAM=on"
		" -v HIDE_TOAST_COMPRESSION=on <\"$3\"",
		folder,
		psql,
		script->database,
		file,
		NULL
	};
	/* As pg_regress sets them. */
	const char *const env[] = { "PGHOST=127.0.0.1",
				    port,
				    "PGUSER=postgres",
				    "PGPASSWORD=" CLUSTER_PASSWORD("postgres"),
				    application,
				    "PGTZ=America/Los_Angeles",
				    "PGDATESTYLE=Postgres, MDY",
				    "PGOPTIONS=-c intervalstyle=postgres_verbose",
				    "LANGUAGE=C",
				    "PGSERVICEFILE=/dev/null",
				    "PG_DLSUFFIX=.so",
				    source,
				    build,
				    lib,
				    NULL };
	const char *base = strrchr(script->name, '/');

	base = base == NULL ? script->name : base + 1;
	support_path(folder, "%.2000s/%.200s", run->files->sources, script->folder);
	support_path(file, "sql/%s.sql", base);
	support_path(psql, "%.4000s/psql", run->world->cluster->bin);
	snprintf(port, sizeof(port), "PGPORT=%d", run->port);
	snprintf(application, sizeof(application), "PGAPPNAME=pg_regress/%s", base);
	support_path(source, "PG_ABS_SRCDIR=%.4000s", folder);
	support_path(build, "PG_ABS_BUILDDIR=%.4000s", run->results);
	support_path(lib, "PG_LIBDIR=%.4000s/lib", run->files->sources);
	return support_spawn(&(struct support_command){ .argv = argv, .out = out, .env = env });
}

/* One that hangs is ended; what it had printed until then will differ. */
static bool run_script(struct run *run, const struct script *script)
{
	int64_t began = support_now_ms();
	char out[PATH_MAX];
	int64_t took;
	pid_t pid;

	if (run->database == NULL || strcmp(run->database, script->database) != 0) {
		if (!make_database(run->world->cluster, script->database))
			return false;
		run->database = script->database;
	}
	/* A session may read what sessions before it have written: from a replica, too. */
	if (!cluster_wait_replay_all(run->world->cluster))
		return false;
	output_path(out, run->files, run->world->name, script->name);
	pid = start_script(run, script, out);
	if (pid == -1)
		return false;
	if (!support_wait_gone(pid, SCRIPT_TIMEOUT_MS, NULL)) {
		printf("%s: %s hangs\n", run->world->name, script->name);
		support_signal_family(pid, SIGKILL);
		support_wait_gone(pid, SCRIPT_TIMEOUT_MS, NULL);
	}
	took = support_now_ms() - began;
	if (took > LONG_MS || getenv("V") != NULL)
		printf("%s: %s took %lld ms\n", run->world->name, script->name, (long long)took);
	return true;
}

/* --- the whole --- */

static bool make_folders(struct run *run)
{
	const struct test_cluster *cluster = run->world->cluster;
	char path[PATH_MAX];

	support_path(path, "%.2000s/%.200s", run->files->outputs, run->world->name);
	support_remove_tree(path);
	support_path(run->results, "%.2000s/build-%.200s", run->files->sources, run->world->name);
	if (mkdir(path, 0755) == -1 || mkdir(run->results, 0755) == -1)
		return false;
	/* Servers and psql both write there, possibly as different users. */
	support_path(path, "%.4000s/results", run->results);
	return mkdir(path, 0777) == 0 && chmod(path, 0777) == 0 &&
	       chown(path, cluster->uid, cluster->gid) == 0;
}

bool world_start(struct world *world)
{
	/* As pg_regress; a replica neither holds rows back from VACUUM, which plans would show,
	 * nor ends queries. */
	static const char conf[] = "max_prepared_transactions = 2\n"
				   "hot_standby_feedback = off\n"
				   "max_standby_streaming_delay = -1\n";

	world->cluster = cluster_start(world->n_replicas, conf);
	return world->cluster != NULL &&
	       cluster_exec(world->cluster, 0, "postgres",
			    "ALTER ROLE postgres PASSWORD '" CLUSTER_PASSWORD("postgres") "'");
}

static bool run_scripts(struct run *run, const struct scripts *scripts)
{
	pid_t churn = -1;
	bool ok = true;

	for (size_t i = 0; ok && i < scripts->n; i++) {
		ok = run_script(run, &scripts->all[i]);
		/* From the first database on, which is the first script's. */
		if (ok && i == 0 && run->world->with_churn) {
			churn = churn_start(run->port, "postgres", CLUSTER_PASSWORD("postgres"),
					    run->database);
			ok = churn != -1;
		}
	}
	if (churn != -1 && !churn_stop(&churn)) {
		printf("%s: the other clients did not get on well\n", run->world->name);
		ok = false;
	}
	return ok;
}

bool world_run(const struct world *world, const struct world_files *files,
	       const struct scripts *scripts)
{
	struct run run = { .world = world,
			   .files = files,
			   .port = world->cluster->nodes[0].port };
	struct test_proxy *proxy = NULL;
	bool ok = make_folders(&run);

	if (ok && world->through_proxy) {
		proxy = proxy_start(world->cluster, &world->options);
		if (proxy == NULL)
			return false;
		run.port = proxy->port;
	}
	ok = ok && run_scripts(&run, scripts);
	return proxy_stop(&proxy) && ok;
}
