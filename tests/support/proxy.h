#ifndef POINTSMAN_TESTS_SUPPORT_PROXY_H
#define POINTSMAN_TESTS_SUPPORT_PROXY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <libpq-fe.h>

#include "cluster.h"

/*
 * A Pointsman in front of a test cluster: writes its configuration, starts it, waits until it
 * answers queries, and looks at it from outside. It is a child of the process that started it and
 * dies with it.
 *
 * Users and passwords are those of the cluster (cluster.h); `admin` and `stats` may use the
 * console, also over TCP.
 */

/* Zero or NULL takes the default, named here. */
struct proxy_options {
	int workers;             /* 1 */
	const char *pool_mode;   /* "transaction" */
	int pool_size;           /* 20 */
	int max_client_conn;     /* 5000 */
	const char *split;       /* "auto" */
	const char *auth;        /* "trust" */
	const char *auth_more;   /* further settings of `auth` */
	const char *listen_more; /* further entries for `listen`, e.g. "{ address = ...; port =
				    ...; }" */
	const char *top;         /* further lines of the file */
	const char *database;    /* further settings of the database "*" */
	const char *databases;   /* further entries for `databases`, before "*" */
	const char *cluster;     /* further settings of the cluster */
	const char *userlist;    /* the whole user list instead of the usual one */
	const char *wait_user;   /* who asks whether it is ready: "app" */
	const char *wait_more;   /* ... with further connection parameters */
	bool without_replicas;   /* only node 0 is in the configuration */
	bool without_star;       /* no database "*": only `databases` */
};

struct test_proxy {
	char directory[PATH_MAX]; /* configuration, log, admin socket */
	char config[PATH_MAX];
	char log[PATH_MAX];
	int port;
	int admin_port;
	pid_t pid; /* of the process we started; the one that serves may be its child */
	struct proxy_options options;
	const struct test_cluster *servers;
};

/* The program under test: $POINTSMAN, or what proxy_set_program() got, or build/pointsman. */
void proxy_set_program(const char *path);
const char *proxy_program(void);

/* NULL on failure, with the log shown on standard error. */
struct test_proxy *proxy_start(const struct test_cluster *servers,
			       const struct proxy_options *options);

/*
 * Ends it with SIGTERM, while no client is connected, and frees it. false when it did not end
 * with status 0 in time, or when its log has a report of a sanitizer or a failed assertion.
 */
bool proxy_stop(struct test_proxy **proxy);

/* Writes the configuration anew from changed options; a reload makes it effective. */
bool proxy_write_config(struct test_proxy *proxy);

/* SIGHUP, and waits for the log to say that the reload is done or refused. */
bool proxy_reload(struct test_proxy *proxy);

/* "host=127.0.0.1 port=... user=... password=... dbname=... <more>"; malloc'ed. */
char *proxy_conninfo(const struct test_proxy *proxy, const char *user, const char *database,
		     const char *more);

/* Connects with the usual password; the caller looks at the connection's status. */
PGconn *proxy_connect(const struct test_proxy *proxy, const char *user, const char *database);
PGconn *proxy_connect_with(const struct test_proxy *proxy, const char *user, const char *database,
			   const char *more);

/* The console over its unix socket; NULL on failure. */
PGconn *proxy_admin_connect(const struct test_proxy *proxy);

/* Runs a command on the console. The caller clears the result, which is never NULL. */
PGresult *proxy_admin(const struct test_proxy *proxy, const char *command);

/*
 * Sum of a numeric column of a SHOW over the rows whose column `where` is `is` (NULL: all). -1
 * when there is no such column.
 */
long long proxy_admin_sum(const struct test_proxy *proxy, const char *show, const char *column,
			  const char *where, const char *is);

/* The process that serves: the only child of the one we started, if it has one. */
pid_t proxy_serving_pid(const struct test_proxy *proxy);
bool proxy_is_alive(const struct test_proxy *proxy);

/* Resident memory in kB: now, and the most it ever was. */
long proxy_rss_kb(const struct test_proxy *proxy);
long proxy_peak_rss_kb(const struct test_proxy *proxy);

/* Sets the peak back to what is used now. */
bool proxy_reset_peak(const struct test_proxy *proxy);

/* Built with a sanitizer that keeps memory of its own: then sizes tell nothing. */
bool proxy_is_instrumented(const struct test_proxy *proxy);

/* Open file descriptors of the serving process. */
int proxy_fd_count(const struct test_proxy *proxy);

/* Waits until there are at most `count` of them. */
bool proxy_wait_fds(const struct test_proxy *proxy, int count);

/* The log so far; malloc'ed. */
char *proxy_log(const struct test_proxy *proxy);
bool proxy_log_has(const struct test_proxy *proxy, const char *text);

/* Waits until the log has the text. */
bool proxy_wait_log(const struct test_proxy *proxy, const char *text);

/* Lines of the log with the level "error": malloc'ed, NULL when there are none. */
char *proxy_log_errors(const struct test_proxy *proxy);

#endif
