#ifndef POINTSMAN_TESTS_PG_INTEGRATION_H
#define POINTSMAN_TESTS_PG_INTEGRATION_H

#include <check.h>
#include <libpq-fe.h>

#include "../support/cluster.h"
#include "../support/proxy.h"
#include "../support/raw.h"
#include "../support/support.h"

/*
 * Integration tests: the program under test in front of a real primary and two replicas. One file
 * for each topic, tests/pg/test_<topic>.c, which makes one suite and registers it with
 * INTEGRATION_SUITE(function).
 *
 * The servers are started once for the run and shared; a test that stops or promotes one of them
 * starts a cluster of its own. Tests run in forked children: what a test starts ends with it.
 */
void integration_register(Suite *(*make)(void));

#define INTEGRATION_SUITE(make)                                        \
	__attribute__((constructor)) static void register_##make(void) \
	{                                                              \
		integration_register(make);                            \
	}

/* A primary (node 0) and two replicas; database app belongs to user app. */
extern struct test_cluster *servers;

/* Makes a test case with a limit of time, in a suite. */
TCase *integration_case(Suite *suite, const char *name, int seconds);

/* For what goes wrong outside of a test, in a fixture of the main process: one more failure. */
void integration_fail(const char *what);

/* For a test that cannot run here; it is to return at once, and counts as skipped. */
void integration_skip(const char *why);

/* --- proxies; in a test (fails it) or in an unchecked fixture (counts a failure) --- */

struct test_proxy *proxy_must_start(const struct proxy_options *options);

/*
 * For a checked fixture: when a test before has brought the shared proxy down, this one gets
 * another, so that one crash is not all failures. The fixture that stops the proxy still counts
 * the crash.
 */
void proxy_must_live(struct test_proxy **proxy);

/* Also looks for errors in its log, unless `errors_expected`. */
void proxy_must_stop(struct test_proxy **proxy);
void proxy_must_stop_after_errors(struct test_proxy **proxy);

/* --- SQL; these fail the test when something does not go as their name says --- */

/* As user app in database app, through the proxy. */
PGconn *db_open(const struct test_proxy *proxy);
PGconn *db_open_as(const struct test_proxy *proxy, const char *user, const char *database,
		   const char *more);

/* A statement that succeeds. */
void db_exec(PGconn *conn, const char *sql);

/* A statement that returns one value: as text (valid for the next 31 calls), as a number. */
const char *db_text(PGconn *conn, const char *sql);
long long db_number(PGconn *conn, const char *sql);

/* The SQLSTATE that a statement fails with; "" when it succeeds. */
const char *db_error(PGconn *conn, const char *sql);

/* The same through the extended protocol, unnamed. */
const char *db_text_extended(PGconn *conn, const char *sql);

/*
 * The name of the server that runs a statement: a setting of ours in its postgresql.conf. What
 * PostgreSQL itself has to tell nodes apart would keep a read on the primary.
 */
#define NODE "current_setting('node.name')"

/* Which server runs a plain read. */
const char *db_node(PGconn *conn);

/* Why the previous request went where it went, as the proxy says. */
const char *db_last_route(PGconn *conn);
const char *db_last_node(PGconn *conn);

/* SQLSTATE of a result, "" for none. */
const char *result_state(const PGresult *result);

/* --- conditions; they wait, and fail the test when it takes too long --- */

/* Until a query on a server, as superuser, gives this number. */
void server_must_reach(size_t node, const char *sql, long long number);

/* Until no session of `database` through a proxy is active or in a transaction on any server. */
void servers_must_get_clean(const char *database);

/* Until the console's sum of a column is this number: see proxy_admin_sum(). */
void admin_must_reach(const struct test_proxy *proxy, const char *show, const char *column,
		      long long number);

/* "primary" is 0, "replica1" is 1, ... */
size_t node_index(const char *name);
bool is_replica(const char *name);

#endif
