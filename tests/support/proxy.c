/*
 * Runs the program under test in front of a test cluster: see proxy.h. Knows its command line,
 * its configuration file, its signals and its console, and nothing of its inside.
 */
#include "proxy.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

enum {
	READY_TIMEOUT_MS = 20000,
	STOP_TIMEOUT_MS = 20000,
	CONDITION_TIMEOUT_MS = 20000,
	PORT_ATTEMPTS = 5,
	CONNINFO_MAX = 1024
};

static const char usual_userlist[] = "\"postgres\" \"\"\n"
				     "\"app\" \"app_secret\"\n"
				     "\"other\" \"other_secret\"\n"
				     "\"monitor\" \"monitor_secret\"\n"
				     "\"scram_user\" \"scram_user_secret\"\n"
				     "\"md5_user\" \"md5_user_secret\"\n"
				     "\"password_user\" \"password_user_secret\"\n"
				     "\"trust_user\" \"trust_user_secret\"\n"
				     "\"repl\" \"repl_secret\"\n"
				     "\"admin\" \"admin_secret\"\n"
				     "\"stats\" \"stats_secret\"\n";

static const char *program_path;

void proxy_set_program(const char *path)
{
	program_path = path;
}

const char *proxy_program(void)
{
	const char *wish = getenv("POINTSMAN");

	if (wish != NULL && wish[0] != '\0')
		return wish;
	return program_path != NULL ? program_path : "build/pointsman";
}

static const char *or_else(const char *text, const char *fallback)
{
	return text == NULL ? fallback : text;
}

/* --- the configuration --- */

static void write_cluster(FILE *file, const struct test_proxy *proxy)
{
	size_t n = proxy->options.without_replicas ? 1 : proxy->servers->n_nodes;

	fputs("clusters = ({ name = \"main\";\n  nodes = (\n", file);
	for (size_t i = 0; i < n; i++) {
		const struct test_node *node = &proxy->servers->nodes[i];

		fprintf(file, "    { name = \"%s\"; host = \"127.0.0.1\"; port = %d; }%s\n",
			node->name, node->port, i + 1 < n ? "," : "");
	}
	fputs("  );\n  monitor = { user = \"monitor\"; password = \"monitor_secret\";\n"
	      "    database = \"postgres\"; interval = \"200ms\"; };\n",
	      file);
	fprintf(file, "%s});\n", or_else(proxy->options.cluster, ""));
}

static void write_databases(FILE *file, const struct proxy_options *options)
{
	fprintf(file, "databases = (%s", or_else(options->databases, ""));
	if (!options->without_star) {
		fprintf(file,
			"%s\n  { name = \"*\"; cluster = \"main\";\n    pool_mode = \"%s\"; ",
			options->databases == NULL ? "" : ",",
			or_else(options->pool_mode, "transaction"));
		fprintf(file, "default_pool_size = %d; split = \"%s\";\n    %s}",
			options->pool_size == 0 ? 20 : options->pool_size,
			or_else(options->split, "auto"), or_else(options->database, ""));
	}
	fputs(");\n", file);
}

bool proxy_write_config(struct test_proxy *proxy)
{
	const struct proxy_options *options = &proxy->options;
	char userlist[PATH_MAX];
	FILE *file = fopen(proxy->config, "we");

	if (file == NULL) {
		support_complain("%s: %s", proxy->config, strerror(errno));
		return false;
	}
	fprintf(file, "listen = ({ address = \"127.0.0.1\"; port = %d; }%s%s);\n", proxy->port,
		options->listen_more == NULL ? "" : ", ", or_else(options->listen_more, ""));
	fprintf(file, "workers = %d;\n", options->workers == 0 ? 1 : options->workers);
	fprintf(file, "max_client_conn = %d;\n",
		options->max_client_conn == 0 ? 5000 : options->max_client_conn);
	fprintf(file,
		"admin = { socket_dir = \"%s\"; port = %d; users = (\"admin\"); "
		"stats_users = (\"stats\"); };\n",
		proxy->directory, proxy->admin_port);
	fprintf(file, "auth = { type = \"%s\"; file = \"userlist.txt\"; %s };\n",
		or_else(options->auth, "trust"), or_else(options->auth_more, ""));
	write_cluster(file, proxy);
	write_databases(file, options);
	fprintf(file, "%s\n", or_else(options->top, ""));
	if (fclose(file) != 0)
		return false;
	support_path(userlist, "%.4000s/userlist.txt", proxy->directory);
	return support_write_file(userlist, or_else(options->userlist, usual_userlist));
}

/* --- starting and stopping --- */

static bool answers(const struct test_proxy *proxy)
{
	PGconn *conn = proxy_connect_with(proxy, or_else(proxy->options.wait_user, "app"), "app",
					  proxy->options.wait_more);
	PGresult *result = NULL;
	bool ok = false;

	if (PQstatus(conn) == CONNECTION_OK) {
		result = PQexec(conn, "/* pointsman: read_hint=primary */ SELECT 1");
		ok = PQresultStatus(result) == PGRES_TUPLES_OK;
	}
	PQclear(result);
	PQfinish(conn);
	return ok;
}

/* Does the console say of every node that it is up? */
static bool nodes_are_up(const struct test_proxy *proxy)
{
	PGresult *result = proxy_admin(proxy, "SHOW NODES");
	int column = PQfnumber(result, "state");
	int n = PQntuples(result);
	bool up = n > 0 && column != -1;

	for (int i = 0; up && i < n; i++)
		up = strcmp(PQgetvalue(result, i, column), "up") == 0;
	PQclear(result);
	return up;
}

static bool wait_ready(const struct test_proxy *proxy)
{
	int64_t until = support_now_ms() + READY_TIMEOUT_MS;
	bool is_answering = false;

	while (!is_answering || !nodes_are_up(proxy)) {
		if (support_is_gone(proxy->pid) || support_now_ms() > until)
			return false;
		is_answering = is_answering || answers(proxy);
		support_poll_pause();
	}
	return true;
}

static pid_t launch(const struct test_proxy *proxy)
{
	/* One report must be enough to fail a test, and it must be in the log. */
	static const char *const env[] = { "PGPASSWORD=", "PGSERVICEFILE=",
					   "PGPASSFILE=/dev/null", NULL };

	return support_spawn(&(struct support_command){
		.argv = (const char *const[]){ proxy_program(), "-c", proxy->config, NULL },
		.out = proxy->log,
		.env = env,
		.death_signal = SIGQUIT });
}

static bool start_on_free_ports(struct test_proxy *proxy)
{
	for (int attempt = 0; attempt < PORT_ATTEMPTS; attempt++) {
		proxy->port = support_free_port();
		proxy->admin_port = proxy->port;
		if (proxy->port == -1 || !proxy_write_config(proxy))
			return false;
		proxy->pid = launch(proxy);
		if (proxy->pid == -1)
			return false;
		if (wait_ready(proxy))
			return true;
		support_signal_family(proxy->pid, SIGKILL);
		support_wait_gone(proxy->pid, STOP_TIMEOUT_MS, NULL);
		/* Another program may have taken the port; anything else will not get better. */
		if (!proxy_log_has(proxy, "in use"))
			return false;
	}
	return false;
}

struct test_proxy *proxy_start(const struct test_cluster *servers,
			       const struct proxy_options *options)
{
	static unsigned count;
	struct test_proxy *proxy = calloc(1, sizeof(*proxy));

	if (proxy == NULL)
		return NULL;
	proxy->options = *options;
	proxy->servers = servers;
	support_path(proxy->directory, "%.4000s/x%d.%u", support_scratch(), (int)getpid() % 10000,
		     count++);
	support_path(proxy->config, "%.4000s/proxy.conf", proxy->directory);
	support_path(proxy->log, "%.4000s/proxy.log", proxy->directory);
	if (mkdir(proxy->directory, 0700) != -1 && start_on_free_ports(proxy))
		return proxy;
	support_complain("%s does not get ready", proxy_program());
	support_show_tail(proxy->log);
	free(proxy);
	return NULL;
}

static bool has_report(const struct test_proxy *proxy)
{
	static const char *const signs[] = { "Sanitizer", "runtime error:", "panic",
					     "assertion" };

	for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
		if (proxy_log_has(proxy, signs[i]))
			return true;
	}
	return false;
}

bool proxy_stop(struct test_proxy **proxy)
{
	struct test_proxy *gone = *proxy;
	int status = -1;
	bool ok;

	if (gone == NULL)
		return true;
	*proxy = NULL;
	kill(gone->pid, SIGTERM);
	ok = support_wait_gone(gone->pid, STOP_TIMEOUT_MS, &status);
	if (!ok) {
		support_complain("the proxy does not stop");
		support_signal_family(gone->pid, SIGKILL);
		support_wait_gone(gone->pid, STOP_TIMEOUT_MS, NULL);
	}
	if (ok && (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || has_report(gone))) {
		support_complain("the proxy ended with wait status %#x", (unsigned)status);
		ok = false;
	}
	if (!ok)
		support_show_tail(gone->log);
	free(gone);
	return ok;
}

bool proxy_reload(struct test_proxy *proxy)
{
	int64_t until = support_now_ms() + CONDITION_TIMEOUT_MS;
	char *before = proxy_log(proxy);
	size_t old = before == NULL ? 0 : strlen(before);
	bool done = false;

	free(before);
	kill(proxy->pid, SIGHUP);
	while (!done && support_now_ms() < until) {
		char *log = proxy_log(proxy);

		done = log != NULL && strlen(log) > old &&
		       strcasestr(log + old, "reload") != NULL;
		free(log);
		if (!done)
			support_poll_pause();
	}
	if (!done)
		support_complain("no sign of a reload in the log");
	return done;
}

/* --- connections --- */

char *proxy_conninfo(const struct test_proxy *proxy, const char *user, const char *database,
		     const char *more)
{
	char *info = NULL;

	if (asprintf(&info,
		     "host=127.0.0.1 port=%d user=%s password=%s_secret dbname=%s "
		     "connect_timeout=30 sslmode=disable gssencmode=disable %s",
		     proxy->port, user, user, database, or_else(more, "")) == -1)
		abort();
	return info;
}

PGconn *proxy_connect_with(const struct test_proxy *proxy, const char *user, const char *database,
			   const char *more)
{
	char *info = proxy_conninfo(proxy, user, database, more);
	PGconn *conn = PQconnectdb(info);

	free(info);
	return conn;
}

PGconn *proxy_connect(const struct test_proxy *proxy, const char *user, const char *database)
{
	return proxy_connect_with(proxy, user, database, NULL);
}

PGconn *proxy_admin_connect(const struct test_proxy *proxy)
{
	char info[PATH_MAX + CONNINFO_MAX];
	PGconn *conn;

	snprintf(info, sizeof(info),
		 "host=%s port=%d user=pgbouncer dbname=pgbouncer connect_timeout=10",
		 proxy->directory, proxy->admin_port);
	conn = PQconnectdb(info);
	if (PQstatus(conn) == CONNECTION_OK)
		return conn;
	PQfinish(conn);
	return NULL;
}

PGresult *proxy_admin(const struct test_proxy *proxy, const char *command)
{
	PGconn *conn = proxy_admin_connect(proxy);
	PGresult *result = conn == NULL ? PQmakeEmptyPGresult(NULL, PGRES_FATAL_ERROR)
					: PQexec(conn, command);

	PQfinish(conn);
	if (result == NULL)
		abort();
	return result;
}

long long proxy_admin_sum(const struct test_proxy *proxy, const char *show, const char *column,
			  const char *where, const char *is)
{
	PGresult *result = proxy_admin(proxy, show);
	int value = PQfnumber(result, column);
	int key = where == NULL ? -1 : PQfnumber(result, where);
	long long sum = 0;

	if (value == -1 || (where != NULL && key == -1)) {
		support_complain("%s: no column %s: %s", show, value == -1 ? column : where,
				 PQresultErrorMessage(result));
		PQclear(result);
		return -1;
	}
	for (int i = 0; i < PQntuples(result); i++) {
		if (where == NULL || strcmp(PQgetvalue(result, i, key), is) == 0)
			sum += atoll(PQgetvalue(result, i, value));
	}
	PQclear(result);
	return sum;
}

/* --- the process, seen from outside --- */

pid_t proxy_serving_pid(const struct test_proxy *proxy)
{
	pid_t child = support_first_child(proxy->pid);

	return child == 0 ? proxy->pid : child;
}

bool proxy_is_alive(const struct test_proxy *proxy)
{
	return !support_is_gone(proxy->pid);
}

static long status_kb(const struct test_proxy *proxy, const char *field)
{
	char path[PATH_MAX];
	char *text;
	const char *at;
	long kb = -1;

	support_path(path, "/proc/%d/status", (int)proxy_serving_pid(proxy));
	text = support_read_file(path, NULL);
	at = text == NULL ? NULL : strstr(text, field);
	if (at != NULL)
		kb = atol(at + strlen(field));
	free(text);
	return kb;
}

long proxy_rss_kb(const struct test_proxy *proxy)
{
	return status_kb(proxy, "VmRSS:");
}

long proxy_peak_rss_kb(const struct test_proxy *proxy)
{
	return status_kb(proxy, "VmHWM:");
}

bool proxy_reset_peak(const struct test_proxy *proxy)
{
	char path[PATH_MAX];

	support_path(path, "/proc/%d/clear_refs", (int)proxy_serving_pid(proxy));
	return support_write_file(path, "5\n");
}

bool proxy_is_instrumented(const struct test_proxy *proxy)
{
	char path[PATH_MAX];
	char *maps;
	bool is;

	support_path(path, "/proc/%d/maps", (int)proxy_serving_pid(proxy));
	maps = support_read_file(path, NULL);
	is = maps != NULL && (strstr(maps, "libasan") != NULL || strstr(maps, "libtsan") != NULL);
	free(maps);
	return is;
}

int proxy_fd_count(const struct test_proxy *proxy)
{
	char path[PATH_MAX];
	struct dirent *entry;
	int count = 0;
	DIR *dir;

	support_path(path, "/proc/%d/fd", (int)proxy_serving_pid(proxy));
	dir = opendir(path);
	while (dir != NULL && (entry = readdir(dir)) != NULL)
		count += entry->d_name[0] != '.';
	if (dir != NULL)
		closedir(dir);
	return count;
}

bool proxy_wait_fds(const struct test_proxy *proxy, int count)
{
	int64_t until = support_now_ms() + CONDITION_TIMEOUT_MS;

	while (proxy_fd_count(proxy) > count) {
		if (support_now_ms() > until) {
			support_complain("%d descriptors are open, not %d", proxy_fd_count(proxy),
					 count);
			return false;
		}
		support_poll_pause();
	}
	return true;
}

char *proxy_log(const struct test_proxy *proxy)
{
	return support_read_file(proxy->log, NULL);
}

bool proxy_log_has(const struct test_proxy *proxy, const char *text)
{
	char *log = proxy_log(proxy);
	bool has = log != NULL && strcasestr(log, text) != NULL;

	free(log);
	return has;
}

bool proxy_wait_log(const struct test_proxy *proxy, const char *text)
{
	int64_t until = support_now_ms() + CONDITION_TIMEOUT_MS;

	while (!proxy_log_has(proxy, text)) {
		if (support_now_ms() > until) {
			support_complain("the log never says: %s", text);
			return false;
		}
		support_poll_pause();
	}
	return true;
}

char *proxy_log_errors(const struct test_proxy *proxy)
{
	char *log = proxy_log(proxy);
	char *errors = NULL;
	size_t length = 0;
	FILE *out;

	if (log == NULL || (out = open_memstream(&errors, &length)) == NULL)
		abort();
	for (char *line = log, *next; line != NULL && *line != '\0'; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		if (strstr(line, " ERROR ") != NULL || strstr(line, "panic") != NULL ||
		    strstr(line, "Sanitizer") != NULL || strstr(line, "runtime error:") != NULL)
			fprintf(out, "%s\n", line);
	}
	fclose(out);
	free(log);
	if (length > 0)
		return errors;
	free(errors);
	return NULL;
}
