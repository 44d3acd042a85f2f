#ifndef POINTSMAN_TESTS_SUPPORT_CLUSTER_H
#define POINTSMAN_TESTS_SUPPORT_CLUSTER_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <libpq-fe.h>

/*
 * A real PostgreSQL primary with streaming replicas, for tests: made in a few seconds, thrown
 * away afterwards. The servers are children of the process that started them and end with it.
 *
 * Node 0 is the primary when the cluster starts. Each node's cluster_name is its name here
 * ("primary", "replica1", "replica2", ...), so that `SELECT current_setting('cluster_name')`
 * tells who answered.
 *
 * Who may log in over TCP (127.0.0.1), and how; the password is the user's name and "_secret":
 *   app, monitor, other    scram-sha-256     (monitor is in pg_monitor, app owns database app)
 *   scram_user             scram-sha-256
 *   repl                   scram-sha-256, also for replication
 *   md5_user               md5
 *   password_user          password
 *   trust_user             trust
 * Over the unix socket only the superuser `postgres` gets in, without a password.
 *
 * Functions return false, or NULL, or a negative number after having said why on standard error.
 */

#define CLUSTER_NODES_MAX      4
#define CLUSTER_PASSWORD(user) user "_secret"

enum test_node_state {
	TEST_NODE_STOPPED,
	TEST_NODE_RUNNING,
	TEST_NODE_PAUSED
};

struct test_node {
	char name[32];
	int port;
	pid_t pid; /* of the postmaster; 0 while stopped */
	enum test_node_state state;
	char data[PATH_MAX];
	char log[PATH_MAX];
};

struct test_cluster {
	char directory[PATH_MAX]; /* all of it; also the directory of the unix sockets */
	char bin[PATH_MAX];       /* of PostgreSQL's programs */
	char libraries[PATH_MAX]; /* "LD_LIBRARY_PATH=..." for them; "": none is needed */
	struct test_node nodes[CLUSTER_NODES_MAX];
	size_t n_nodes;
	pid_t owner; /* only this process stops servers and removes files */
	uid_t uid;   /* the servers' user: ours, or postgres when we are root */
	gid_t gid;
};

/*
 * Makes and starts a primary and `n_replicas` replicas, and waits until all answer and stream.
 * `extra_conf` is appended to each postgresql.conf; may be NULL. Left-overs of test processes
 * that were killed are removed first. At exit() of this process the cluster is stopped in any
 * case.
 */
struct test_cluster *cluster_start(size_t n_replicas, const char *extra_conf);

/*
 * A primary of PostgreSQL 18, without replicas, whatever version the system has. Its programs are
 * fetched when they are first needed, into build/postgres18 (tests/support/postgres18.sh). NULL
 * on failure, also when cluster_can_18() is false.
 */
struct test_cluster *cluster_start_18(const char *extra_conf);

/* false: PostgreSQL 18 cannot be had here, which has been said. Tests that need it are skipped.
 */
bool cluster_can_18(void);

/* "LD_LIBRARY_PATH=...", with which programs that use libpq get the one of PostgreSQL 18. */
const char *cluster_libpq_18(void);

enum cluster_stop_mode {
	CLUSTER_STOP_FAST,
	CLUSTER_STOP_IMMEDIATE
};

/* Stops what runs, removes the directory, sets the pointer to NULL, which it also accepts. */
void cluster_stop(struct test_cluster **cluster, enum cluster_stop_mode mode);

/* A connection of the superuser over the unix socket. The caller's; NULL on failure. */
PGconn *cluster_connect(const struct test_cluster *cluster, size_t node, const char *database);

/*
 * Runs `sql` as superuser on a node, returns the first column of the first row ("" when there is
 * none) in malloc'ed memory, NULL on error.
 */
char *cluster_query(const struct test_cluster *cluster, size_t node, const char *database,
		    const char *sql);

/* The same as a number; -1 on error. */
long long cluster_number(const struct test_cluster *cluster, size_t node, const char *database,
			 const char *sql);

/* Runs `sql` as superuser; false on error. */
bool cluster_exec(const struct test_cluster *cluster, size_t node, const char *database,
		  const char *sql);

/* One node. kill: SIGKILL to the postmaster; its children notice and end. */
bool cluster_node_start(struct test_cluster *cluster, size_t node);
bool cluster_node_stop(struct test_cluster *cluster, size_t node, enum cluster_stop_mode mode);
bool cluster_node_kill(struct test_cluster *cluster, size_t node);
bool cluster_node_pause(struct test_cluster *cluster, size_t node);  /* SIGSTOP, all processes */
bool cluster_node_resume(struct test_cluster *cluster, size_t node); /* SIGCONT */
bool cluster_node_promote(struct test_cluster *cluster, size_t node);

/* Waits until `replica` has replayed all that `primary` has written by now. */
bool cluster_wait_replay(const struct test_cluster *cluster, size_t primary, size_t replica);

/* The same for all running replicas of node 0. */
bool cluster_wait_replay_all(const struct test_cluster *cluster);

/*
 * Waits until no client backend but our own is in `database` on any running node, so that
 * all statistics are flushed and all sessions are over.
 */
bool cluster_wait_quiet(const struct test_cluster *cluster, const char *database);

/* pg_stat_database.xact_commit of a database; exact only when it is quiet. -1 on error. */
long long cluster_commits(const struct test_cluster *cluster, size_t node, const char *database);

/* The server's log so far, malloc'ed. */
char *cluster_log(const struct test_cluster *cluster, size_t node);

#endif
