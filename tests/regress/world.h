#ifndef POINTSMAN_TESTS_REGRESS_WORLD_H
#define POINTSMAN_TESTS_REGRESS_WORLD_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "../support/proxy.h"

/*
 * One run of all scripts against servers of its own: directly, or through a proxy. Everything
 * that a script can see (user, databases, settings; not the port) is the same in all of them.
 */
struct world {
	const char *name; /* the mode; also the folder of its outputs */
	size_t n_replicas;
	bool through_proxy;
	bool with_churn; /* beside other clients: see churn.h */
	struct proxy_options options;
	struct test_cluster *cluster; /* from world_start() on */
};

struct script {
	char *name;   /* "boolean", "contrib/hstore/hstore_utf8" */
	char *folder; /* with sql/ and data/ in it, below the sources: "." or "contrib/hstore" */
	char *database; /* "regression", "contrib_hstore" */
};

struct scripts {
	struct script *all;
	char **names;
	size_t n;
};

/*
 * Appends the scripts of a schedule, in its order: PostgreSQL's parallel_schedule ("test: a b c")
 * or, `is_contrib`, lines "module: script". false: it cannot be read.
 */
bool scripts_load(const char *path, bool is_contrib, struct scripts *scripts);

struct world_files {
	char sources[PATH_MAX]; /* what tests/regress/fetch.sh made, where servers can read it */
	char outputs[PATH_MAX]; /* here a folder for each world */
};

/* Where the output of a script is: <outputs>/<world>/<script, with dots for slashes>.out. */
void output_path(char out[PATH_MAX], const struct world_files *files, const char *world,
		 const char *script);

/* Starts the servers; they are the calling process's. */
bool world_start(struct world *world);

/*
 * Starts the proxy where there is one, runs the scripts one after the other, and stops the proxy.
 * The output goes to <outputs>/<world>/<script>.out. false, having said why, when something
 * besides the scripts went wrong: the servers or the proxy. May run in a child of the process
 * that started the servers.
 */
bool world_run(const struct world *world, const struct world_files *files,
	       const struct scripts *scripts);

#endif
