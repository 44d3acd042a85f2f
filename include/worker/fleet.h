#ifndef POINTSMAN_WORKER_FLEET_H
#define POINTSMAN_WORKER_FLEET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "cluster/cluster.h"
#include "net/conn.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "wire/proxy_header.h"
#include "worker/snapshot.h"
#include "worker/worker.h"

/*
 * All workers, as the control thread sees them, and the few things that they share: the registry
 * of pools, the count of clients. All functions are for the control thread unless said otherwise.
 */
struct fleet;

struct lookup_mail;

struct fleet_hooks {
	void *context;
	/*
	 * A client of the console has logged in on a worker; the connection is off that loop and
	 * is to be attached to the control loop. AuthenticationOk lies in its output already.
	 * Strings are the callee's copies to keep until the call returns.
	 */
	void (*console)(void *context, struct conn *conn, const char *user, const char *database,
			const char *host, int port);
	/* A worker has trouble with this node. */
	void (*suspect)(void *context, unsigned cluster, unsigned node);
	/*
	 * A user has to be looked up; fleet_answer() with the same mail is due, now or later.
	 * NULL: nobody can look up.
	 */
	void (*look_up)(void *context, struct lookup_mail *mail);
	/* fleet_drain() has come to its end. */
	void (*drained)(void *context);
};

/* Makes the workers; they do not run yet. Takes references of its own. NULL without memory. */
struct fleet *fleet_create(struct loop *control, struct snapshot *snapshot,
			   struct topology *topology, const struct fleet_hooks *hooks);

/* The answer that hooks.look_up() was asked for is in the mail: sends it back. */
void fleet_answer(struct fleet *fleet, struct lookup_mail *mail);

/* Starts the threads. false: none runs. */
bool fleet_start(struct fleet *fleet);

/* Ends all sessions and threads at once, then frees everything. */
void fleet_destroy(struct fleet **fleet);

/*
 * Gives an accepted socket to the least loaded worker. Unless `proxy_protocol` is OFF it is from
 * somebody who is believed, and begins with such a header.
 */
void fleet_accept(struct fleet *fleet, int fd, const struct sockaddr *address, socklen_t length,
		  enum proxy_protocol proxy_protocol);

/* A new picture of the nodes. Takes the reference over. */
void fleet_set_topology(struct fleet *fleet, struct topology *topology);
const struct topology *fleet_topology(const struct fleet *fleet);

/*
 * A new configuration (a reference of its own is taken), and with it, where clusters or nodes
 * have changed, the new picture of them (its reference is taken over; else NULL): workers take
 * over both at once.
 */
void fleet_set_snapshot(struct fleet *fleet, struct snapshot *snapshot,
			struct topology *topology);
const struct snapshot *fleet_snapshot(const struct fleet *fleet);

enum fleet_drain {
	FLEET_DRAIN_CLIENTS, /* until the last client has left */
	FLEET_DRAIN_SERVERS, /* until no client is in the middle of anything; each is then told to
				go */
};

/* No new clients from now on; hooks.drained() follows. A second call may only be more pressing.
 */
void fleet_drain(struct fleet *fleet, enum fleet_drain how);

/* --- asking all workers --- */

/* Runs on a worker's thread; what it leaves in *result is the caller's (from malloc). */
typedef void (*fleet_function)(struct worker *worker, void *argument, void **result);

struct fleet_call {
	void *argument;
	void *results[POOL_WORKERS_MAX]; /* by worker; NULL where nothing was left */
	int n_workers;
};

/*
 * Runs a function on every worker and, when all have done so, done() on the control thread. The
 * results are freed after it unless it takes them (sets NULL). `argument` must live until then
 * and not be changed. false without memory: done() will not come.
 */
bool fleet_call(struct fleet *fleet, fleet_function function, void *argument,
		void (*done)(void *context, struct fleet_call *call), void *context);

int fleet_worker_count(const struct fleet *fleet);

/* One that does not run as a thread: for tests, which turn its loop themselves. */
struct worker *fleet_worker(struct fleet *fleet, int index);

/* Clients logged in, over all workers. Any thread. */
int fleet_client_count(const struct fleet *fleet);

/* --- for workers, any thread --- */

void fleet_post(struct fleet *fleet, int worker, struct mail *mail);
void fleet_post_control(struct fleet *fleet, struct mail *mail);
bool fleet_admit_client(struct fleet *fleet);
void fleet_client_left(struct fleet *fleet);
struct pool_registry *fleet_registry(struct fleet *fleet);
struct keyring *fleet_keyring(struct fleet *fleet);

/* Mail to the control thread. */
enum fleet_mail_kind {
	FLEET_MAIL_CONSOLE,
	FLEET_MAIL_SUSPECT,
	FLEET_MAIL_LOOKUP,
	FLEET_MAIL_CALL_DONE,
	FLEET_MAIL_IDLE, /* a worker that drains has nothing left */
};

struct console_mail {
	struct mail mail;
	struct conn *conn;
	char *user;
	char *database;
	char host[46];
	int port;
	struct fleet *fleet;
	struct loop_deferred departure; /* on the worker that it comes from */
};

struct suspect_mail {
	struct mail mail;
	unsigned cluster;
	unsigned node;
};

#endif
