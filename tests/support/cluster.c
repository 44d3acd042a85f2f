/*
 * Real PostgreSQL servers for tests: see cluster.h. A server is started as a plain child process
 * (no pg_ctl, no daemon), with a death signal, so that nothing outlives the test. When the tests
 * run as root the servers run as user postgres, as initdb and postgres insist on.
 *
 * Tests run in forked children (Check's default); those may use, signal and pause the servers
 * of their parent, but only the process that started a cluster stops it for good.
 */
#include "cluster.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"

enum {
	START_TIMEOUT_MS = 30000,
	STOP_TIMEOUT_MS = 20000,
	REPLAY_TIMEOUT_MS = 20000,
	QUIET_TIMEOUT_MS = 20000,
	PORT_ATTEMPTS = 5,
	CLUSTERS_MAX = 8,
	ARGS_MAX = 24
};

static struct test_cluster *clusters[CLUSTERS_MAX];

/* --- PostgreSQL's programs --- */

/* The newest PostgreSQL from 15 on: $PG_BINDIR, Debian's directories, pg_config. */
static bool find_programs(char out[PATH_MAX])
{
	const char *wish = getenv("PG_BINDIR");
	struct dirent *entry;
	char initdb[PATH_MAX];
	int best = 14;
	FILE *pipe;
	DIR *dir;

	if (wish != NULL && wish[0] != '\0') {
		support_path(out, "%s", wish);
		return true;
	}
	dir = opendir("/usr/lib/postgresql");
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		int version = atoi(entry->d_name);

		support_path(initdb, "/usr/lib/postgresql/%s/bin/initdb", entry->d_name);
		if (version > best && access(initdb, X_OK) == 0) {
			best = version;
			support_path(out, "/usr/lib/postgresql/%s/bin", entry->d_name);
		}
	}
	if (dir != NULL)
		closedir(dir);
	if (best > 14)
		return true;
	pipe = popen("pg_config --bindir 2>/dev/null", "re");
	if (pipe == NULL || fgets(out, PATH_MAX, pipe) == NULL)
		out[0] = '\0';
	if (pipe != NULL)
		pclose(pipe);
	out[strcspn(out, "\n")] = '\0';
	return out[0] != '\0';
}

/* --- PostgreSQL 18 --- */

#define FOLDER_18 "build/postgres18"

bool cluster_can_18(void)
{
	static int answer = -1;

	if (answer != -1)
		return answer == 1;
	answer = support_run(&(struct support_command){
			 .argv = (const char *const[]){ "tests/support/postgres18.sh", FOLDER_18,
							NULL },
			 .out = "/dev/stderr" }) == 0;
	if (!answer)
		support_complain("PostgreSQL 18 cannot be had: what needs it is skipped");
	return answer == 1;
}

/* The path of something in that folder; "" when it is not there. */
static void path_of_18(char out[PATH_MAX], const char *before, const char *name)
{
	char absolute[PATH_MAX];

	out[0] = '\0';
	if (realpath(FOLDER_18, absolute) != NULL)
		support_path(out, "%s%.2000s/%s", before, absolute, name);
}

const char *cluster_libpq_18(void)
{
	static char path[PATH_MAX];

	path_of_18(path, "LD_LIBRARY_PATH=", "client");
	return path;
}

static const char *const *environment(const struct test_cluster *cluster)
{
	static const char *list[2];

	list[0] = cluster->libraries[0] == '\0' ? NULL : cluster->libraries;
	return list;
}

/* Runs a program of PostgreSQL's to its end. The arguments end with NULL. */
static bool run(const struct test_cluster *cluster, const char *program, ...)
{
	char path[PATH_MAX];
	char log[PATH_MAX];
	const char *argv[ARGS_MAX];
	size_t n = 0;
	va_list args;

	support_path(path, "%s%s%s", program[0] == '/' ? "" : cluster->bin,
		     program[0] == '/' ? "" : "/", program);
	support_path(log, "%s/setup.log", cluster->directory);
	argv[n++] = path;
	va_start(args, program);
	do {
		argv[n] = va_arg(args, char *);
	} while (argv[n++] != NULL && n < ARGS_MAX);
	va_end(args);
	if (support_run(&(struct support_command){ .argv = argv,
						   .out = log,
						   .env = environment(cluster),
						   .as_server_user = true }) == 0)
		return true;
	support_complain("%s failed", path);
	support_show_tail(log);
	return false;
}

static void stop_own_clusters(void)
{
	for (size_t i = 0; i < CLUSTERS_MAX; i++) {
		struct test_cluster *cluster = clusters[i];

		if (cluster != NULL && cluster->owner == getpid())
			cluster_stop(&cluster, CLUSTER_STOP_IMMEDIATE);
	}
}

/* --- making a cluster --- */

static const char common_conf[] =
	"listen_addresses = '127.0.0.1'\n"
	"fsync = off\n"
	"full_page_writes = off\n"
	"autovacuum = off\n" /* its transactions are counted with ours */
	"wal_level = replica\n"
	"max_wal_senders = 10\n"
	"wal_keep_size = '512MB'\n"
	"max_wal_size = '4GB'\n"
	"checkpoint_timeout = '1h'\n"
	"max_connections = 200\n"
	"superuser_reserved_connections = 10\n"
	"max_prepared_transactions = 10\n"
	"shared_buffers = '64MB'\n"
	"hot_standby = on\n"
	"hot_standby_feedback = on\n"
	"wal_receiver_status_interval = '1s'\n"
	"wal_retrieve_retry_interval = '100ms'\n"
	"jit = off\n"
	"timezone = 'UTC'\n"
	"log_timezone = 'UTC'\n"
	"log_line_prefix = '%m [%p] %u@%d '\n"
	"password_encryption = 'scram-sha-256'\n";

static const char hba[] = "local all         postgres                   trust\n"
			  "local replication postgres                   trust\n"
			  "host  replication repl          127.0.0.1/32 scram-sha-256\n"
			  "host  all         trust_user    127.0.0.1/32 trust\n"
			  "host  all         password_user 127.0.0.1/32 password\n"
			  "host  all         md5_user      127.0.0.1/32 md5\n"
			  "host  all         all           127.0.0.1/32 scram-sha-256\n";

static const char *const roles[] = {
	"CREATE ROLE app LOGIN PASSWORD 'app_secret'",
	"CREATE ROLE other LOGIN PASSWORD 'other_secret'",
	"CREATE ROLE monitor LOGIN PASSWORD 'monitor_secret' IN ROLE pg_monitor",
	"CREATE ROLE repl LOGIN REPLICATION PASSWORD 'repl_secret'",
	"CREATE ROLE scram_user LOGIN PASSWORD 'scram_user_secret'",
	"CREATE ROLE password_user LOGIN PASSWORD 'password_user_secret'",
	"CREATE ROLE trust_user LOGIN PASSWORD 'trust_user_secret'",
	"SET password_encryption = 'md5'",
	"CREATE ROLE md5_user LOGIN PASSWORD 'md5_user_secret'",
	"CREATE DATABASE app OWNER app STRATEGY file_copy",
};

/* initdb takes a second; its result is kept for the other clusters of this run. */
static bool make_data_directory(const struct test_cluster *cluster, const char *data)
{
	char template[PATH_MAX];

	support_path(template, "%.2000s/template%s", support_scratch(),
		     cluster->libraries[0] == '\0' ? "" : "18");
	if (access(template, F_OK) == -1 &&
	    !run(cluster, "initdb", "-D", template, "-U", "postgres", "-A", "trust", "-E", "UTF8",
		 "--locale=C", "--no-sync", "--no-instructions", (char *)NULL))
		return false;
	return run(cluster, "/bin/cp", "-a", "--reflink=auto", template, data, (char *)NULL);
}

static bool write_conf(const struct test_cluster *cluster, const struct test_node *node,
		       const char *extra_conf)
{
	char path[PATH_MAX];
	FILE *file;

	support_path(path, "%s/postgresql.conf", node->data);
	file = fopen(path, "we");
	if (file == NULL) {
		support_complain("%s: %s", path, strerror(errno));
		return false;
	}
	fprintf(file,
		"%sunix_socket_directories = '%s'\ncluster_name = '%s'\nnode.name = '%s'\n%s",
		common_conf, cluster->directory, node->name, node->name,
		extra_conf == NULL ? "" : extra_conf);
	return fclose(file) == 0;
}

/* Has the postmaster written "ready" into the last line of its pid file (as pg_ctl asks)? */
static bool is_ready(const struct test_node *node)
{
	char path[PATH_MAX];
	char *text;
	bool ready;

	support_path(path, "%s/postmaster.pid", node->data);
	text = support_read_file(path, NULL);
	ready = text != NULL && strstr(text, "\nready") != NULL && atoi(text) == (int)node->pid;
	free(text);
	return ready;
}

static bool start_on_port(const struct test_cluster *cluster, struct test_node *node)
{
	int64_t until = support_now_ms() + START_TIMEOUT_MS;
	char program[PATH_MAX];
	char port[16];

	support_path(program, "%s/postgres", cluster->bin);
	snprintf(port, sizeof(port), "%d", node->port);
	node->pid = support_spawn(&(struct support_command){
		.argv = (const char *const[]){ program, "-D", node->data, "-p", port, NULL },
		.out = node->log,
		.env = environment(cluster),
		.as_server_user = true,
		.death_signal = SIGQUIT });
	if (node->pid == -1)
		return false;
	while (!is_ready(node)) {
		if (support_is_gone(node->pid) || support_now_ms() > until) {
			support_signal_family(node->pid, SIGKILL);
			node->pid = 0;
			return false;
		}
		support_poll_pause();
	}
	node->state = TEST_NODE_RUNNING;
	return true;
}

/* First start of a node: another program may take the port in the meantime, then with another
 * one. */
static bool start_new_node(const struct test_cluster *cluster, struct test_node *node)
{
	for (int attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
		node->port = support_free_port();
		if (node->port != -1 && start_on_port(cluster, node))
			return true;
	}
	support_complain("%s does not start", node->name);
	support_show_tail(node->log);
	return false;
}

static bool make_primary(struct test_cluster *cluster, const char *extra_conf)
{
	struct test_node *node = &cluster->nodes[0];
	char path[PATH_MAX];
	PGconn *conn;
	bool ok = true;

	support_path(path, "%s/pg_hba.conf", node->data);
	if (!make_data_directory(cluster, node->data) || !write_conf(cluster, node, extra_conf) ||
	    !support_write_file(path, hba) || !start_new_node(cluster, node))
		return false;
	conn = cluster_connect(cluster, 0, "postgres");
	for (size_t i = 0; ok && conn != NULL && i < sizeof(roles) / sizeof(roles[0]); i++) {
		PGresult *result = PQexec(conn, roles[i]);

		ok = PQresultStatus(result) == PGRES_COMMAND_OK;
		if (!ok)
			support_complain("%s: %s", roles[i], PQerrorMessage(conn));
		PQclear(result);
	}
	ok = ok && conn != NULL;
	PQfinish(conn);
	return ok;
}

static bool make_replica(struct test_cluster *cluster, size_t i, const char *extra_conf)
{
	struct test_node *node = &cluster->nodes[i];
	char primary[PATH_MAX + 64];

	snprintf(primary, sizeof(primary), "host=%s port=%d user=postgres application_name=%s",
		 cluster->directory, cluster->nodes[0].port, node->name);
	return run(cluster, "pg_basebackup", "-d", primary, "-D", node->data, "-R", "-X",
		   "stream", "-c", "fast", "--no-sync", "--no-manifest", (char *)NULL) &&
	       write_conf(cluster, node, extra_conf) && start_new_node(cluster, node);
}

static bool wait_streaming(const struct test_cluster *cluster, long long n_replicas)
{
	int64_t until = support_now_ms() + START_TIMEOUT_MS;

	while (cluster_number(
		       cluster, 0, "postgres",
		       "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'") !=
	       n_replicas) {
		if (support_now_ms() > until) {
			support_complain("the replicas do not stream");
			return false;
		}
		support_poll_pause();
	}
	return cluster_wait_replay_all(cluster);
}

static bool cluster_register(struct test_cluster *cluster)
{
	static unsigned count;

	if (count == 0)
		atexit(stop_own_clusters);
	for (size_t i = 0; i < CLUSTERS_MAX; i++) {
		if (clusters[i] != NULL && clusters[i]->owner == getpid())
			continue;
		/* An entry of the parent process is of no use here: it cleans up by itself. */
		clusters[i] = cluster;
		support_path(cluster->directory, "%s/%d.%u", support_scratch(),
			     (int)getpid() % 10000, count++);
		return true;
	}
	support_complain("too many clusters at once");
	return false;
}

static void name_nodes(struct test_cluster *cluster)
{
	for (size_t i = 0; i < cluster->n_nodes; i++) {
		struct test_node *node = &cluster->nodes[i];

		if (i == 0)
			snprintf(node->name, sizeof(node->name), "primary");
		else
			snprintf(node->name, sizeof(node->name), "replica%zu", i);
		support_path(node->data, "%.2000s/%s", cluster->directory, node->name);
		support_path(node->log, "%.2000s/%s.log", cluster->directory, node->name);
	}
}

/* The cluster is freed when it does not start. */
static struct test_cluster *start(struct test_cluster *cluster, size_t n_replicas,
				  const char *extra_conf)
{
	if (n_replicas >= CLUSTER_NODES_MAX || support_scratch() == NULL ||
	    !support_server_user(&cluster->uid, &cluster->gid)) {
		support_complain("no place for PostgreSQL's files");
		free(cluster);
		return NULL;
	}
	cluster->owner = getpid();
	cluster->n_nodes = n_replicas + 1;
	if (!cluster_register(cluster) || mkdir(cluster->directory, 0755) == -1 ||
	    chown(cluster->directory, cluster->uid, cluster->gid) == -1) {
		support_complain("%s: %s", cluster->directory, strerror(errno));
		goto out;
	}
	name_nodes(cluster);
	if (!make_primary(cluster, extra_conf))
		goto out;
	for (size_t i = 1; i < cluster->n_nodes; i++) {
		if (!make_replica(cluster, i, extra_conf))
			goto out;
	}
	if (!wait_streaming(cluster, (long long)n_replicas))
		goto out;
	return cluster;
out:
	cluster_stop(&cluster, CLUSTER_STOP_IMMEDIATE);
	return NULL;
}

struct test_cluster *cluster_start(size_t n_replicas, const char *extra_conf)
{
	struct test_cluster *cluster = calloc(1, sizeof(*cluster));

	if (cluster == NULL || !find_programs(cluster->bin)) {
		support_complain("no PostgreSQL 15 or later");
		free(cluster);
		return NULL;
	}
	return start(cluster, n_replicas, extra_conf);
}

struct test_cluster *cluster_start_18(const char *extra_conf)
{
	struct test_cluster *cluster = calloc(1, sizeof(*cluster));

	if (cluster == NULL || !cluster_can_18()) {
		free(cluster);
		return NULL;
	}
	path_of_18(cluster->bin, "", "native/bin");
	path_of_18(cluster->libraries, "LD_LIBRARY_PATH=", "native/lib");
	return start(cluster, 0, extra_conf);
}

void cluster_stop(struct test_cluster **cluster, enum cluster_stop_mode mode)
{
	struct test_cluster *gone = *cluster;

	if (gone == NULL)
		return;
	*cluster = NULL;
	if (gone->owner != getpid())
		return;
	/* Replicas first: the primary's fast shutdown waits until they have everything. */
	for (size_t i = gone->n_nodes; i-- > 0;) {
		if (gone->nodes[i].pid != 0)
			cluster_node_stop(gone, i, mode);
	}
	for (size_t i = 0; i < CLUSTERS_MAX; i++) {
		if (clusters[i] == gone)
			clusters[i] = NULL;
	}
	if (gone->directory[0] != '\0' && getenv("POINTSMAN_KEEP") == NULL)
		support_remove_tree(gone->directory);
	free(gone);
}

/* --- single nodes --- */

bool cluster_node_start(struct test_cluster *cluster, size_t node)
{
	if (start_on_port(cluster, &cluster->nodes[node]))
		return true;
	support_complain("%s does not start again", cluster->nodes[node].name);
	support_show_tail(cluster->nodes[node].log);
	return false;
}

/* A stopped process gets no signal but SIGKILL and SIGCONT. */
static void unpause(struct test_node *node)
{
	if (node->state == TEST_NODE_PAUSED)
		support_signal_family(node->pid, SIGCONT);
}

bool cluster_node_stop(struct test_cluster *cluster, size_t i, enum cluster_stop_mode mode)
{
	struct test_node *node = &cluster->nodes[i];

	if (node->pid == 0)
		return true;
	unpause(node);
	kill(node->pid, mode == CLUSTER_STOP_FAST ? SIGINT : SIGQUIT);
	if (!support_wait_gone(node->pid, STOP_TIMEOUT_MS, NULL)) {
		support_complain("%s does not stop", node->name);
		support_signal_family(node->pid, SIGKILL);
		support_wait_gone(node->pid, STOP_TIMEOUT_MS, NULL);
	}
	node->pid = 0;
	node->state = TEST_NODE_STOPPED;
	return true;
}

bool cluster_node_kill(struct test_cluster *cluster, size_t i)
{
	struct test_node *node = &cluster->nodes[i];
	bool gone;

	if (node->pid == 0)
		return true;
	support_signal_family(node->pid, SIGKILL);
	gone = support_wait_gone(node->pid, STOP_TIMEOUT_MS, NULL);
	node->pid = 0;
	node->state = TEST_NODE_STOPPED;
	return gone;
}

bool cluster_node_pause(struct test_cluster *cluster, size_t i)
{
	struct test_node *node = &cluster->nodes[i];

	if (node->pid == 0)
		return false;
	support_signal_family(node->pid, SIGSTOP);
	node->state = TEST_NODE_PAUSED;
	return true;
}

bool cluster_node_resume(struct test_cluster *cluster, size_t i)
{
	struct test_node *node = &cluster->nodes[i];

	if (node->pid == 0)
		return false;
	unpause(node);
	node->state = TEST_NODE_RUNNING;
	return true;
}

bool cluster_node_promote(struct test_cluster *cluster, size_t i)
{
	char *answer = cluster_query(cluster, i, "postgres", "SELECT pg_promote(true, 20)");
	bool ok = answer != NULL && strcmp(answer, "t") == 0;

	if (!ok)
		support_complain("%s was not promoted", cluster->nodes[i].name);
	free(answer);
	return ok;
}

/* --- asking a node --- */

PGconn *cluster_connect(const struct test_cluster *cluster, size_t node, const char *database)
{
	char port[16];
	const char *const keys[] = {
		"host", "port", "user", "dbname", "application_name", "connect_timeout", NULL
	};
	const char *const values[] = { cluster->directory, port, "postgres", database,
				       "test_cluster",     "10", NULL };
	PGconn *conn;

	snprintf(port, sizeof(port), "%d", cluster->nodes[node].port);
	conn = PQconnectdbParams(keys, values, 0);
	if (PQstatus(conn) == CONNECTION_OK)
		return conn;
	support_complain("%s: %s", cluster->nodes[node].name, PQerrorMessage(conn));
	PQfinish(conn);
	return NULL;
}

char *cluster_query(const struct test_cluster *cluster, size_t node, const char *database,
		    const char *sql)
{
	PGconn *conn = cluster_connect(cluster, node, database);
	PGresult *result;
	char *answer = NULL;

	if (conn == NULL)
		return NULL;
	result = PQexec(conn, sql);
	if (PQresultStatus(result) == PGRES_TUPLES_OK ||
	    PQresultStatus(result) == PGRES_COMMAND_OK)
		answer = strdup(PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
	else
		support_complain("%s: %s: %s", cluster->nodes[node].name, sql,
				 PQerrorMessage(conn));
	PQclear(result);
	PQfinish(conn);
	return answer;
}

long long cluster_number(const struct test_cluster *cluster, size_t node, const char *database,
			 const char *sql)
{
	char *answer = cluster_query(cluster, node, database, sql);
	long long number = answer == NULL ? -1 : atoll(answer);

	free(answer);
	return number;
}

bool cluster_exec(const struct test_cluster *cluster, size_t node, const char *database,
		  const char *sql)
{
	char *answer = cluster_query(cluster, node, database, sql);
	bool ok = answer != NULL;

	free(answer);
	return ok;
}

/*
 * Up to the flushed position, which all acknowledged commits are behind. What was inserted after
 * it (hint bits, aborted transactions) reaches a replica up to 15 s later when nothing else is
 * written.
 */
bool cluster_wait_replay(const struct test_cluster *cluster, size_t primary, size_t replica)
{
	char *lsn =
		cluster_query(cluster, primary, "postgres", "SELECT pg_current_wal_flush_lsn()");
	int64_t until = support_now_ms() + REPLAY_TIMEOUT_MS;
	bool there = false;
	char sql[160];
	PGconn *conn;

	if (lsn == NULL)
		return false;
	snprintf(sql, sizeof(sql),
		 "SELECT coalesce(pg_last_wal_replay_lsn() >= '%.32s'::pg_lsn, false)", lsn);
	free(lsn);
	conn = cluster_connect(cluster, replica, "postgres");
	while (conn != NULL && !there && support_now_ms() < until) {
		PGresult *result = PQexec(conn, sql);

		if (PQresultStatus(result) != PGRES_TUPLES_OK)
			until = 0;
		else
			there = PQgetvalue(result, 0, 0)[0] == 't';
		PQclear(result);
		if (!there)
			support_poll_pause();
	}
	PQfinish(conn);
	if (!there)
		support_complain("%s does not catch up", cluster->nodes[replica].name);
	return there;
}

bool cluster_wait_replay_all(const struct test_cluster *cluster)
{
	for (size_t i = 1; i < cluster->n_nodes; i++) {
		if (cluster->nodes[i].state == TEST_NODE_RUNNING &&
		    !cluster_wait_replay(cluster, 0, i))
			return false;
	}
	return true;
}

bool cluster_wait_quiet(const struct test_cluster *cluster, const char *database)
{
	int64_t until = support_now_ms() + QUIET_TIMEOUT_MS;
	char sql[256];

	snprintf(sql, sizeof(sql),
		 "SELECT count(*) FROM pg_stat_activity WHERE datname = '%s' AND "
		 "backend_type = 'client backend' AND pid <> pg_backend_pid()",
		 database);
	for (size_t i = 0; i < cluster->n_nodes; i++) {
		while (cluster->nodes[i].state == TEST_NODE_RUNNING &&
		       cluster_number(cluster, i, "postgres", sql) != 0) {
			if (support_now_ms() > until) {
				support_complain("database %s on %s is still in use", database,
						 cluster->nodes[i].name);
				return false;
			}
			support_poll_pause();
		}
	}
	return true;
}

long long cluster_commits(const struct test_cluster *cluster, size_t node, const char *database)
{
	char sql[160];

	snprintf(sql, sizeof(sql),
		 "SELECT xact_commit FROM pg_stat_database WHERE datname = '%s'", database);
	return cluster_number(cluster, node, "postgres", sql);
}

char *cluster_log(const struct test_cluster *cluster, size_t node)
{
	return support_read_file(cluster->nodes[node].log, NULL);
}
