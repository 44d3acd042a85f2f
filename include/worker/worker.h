#ifndef POINTSMAN_WORKER_WORKER_H
#define POINTSMAN_WORKER_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "net/loop.h"
#include "net/mailbox.h"
#include "pool/pool.h"
#include "session/env.h"
#include "wire/cancel_key.h"
#include "worker/snapshot.h"

/*
 * A worker: one thread with a loop of its own, the clients that were given to it and the servers
 * it has lent or keeps idle. Everything in it belongs to its thread; others send it mail.
 */

struct fleet;

enum worker_mail_kind {
	WORKER_MAIL_CLIENT = POOL_MAIL_COUNT, /* an accepted socket */
	WORKER_MAIL_TOPOLOGY,
	WORKER_MAIL_SNAPSHOT,  /* a reload */
	WORKER_MAIL_CANCEL,    /* is this key yours? */
	WORKER_MAIL_CANCELLED, /* the answer: it was, and it is delivered; or it was not */
	WORKER_MAIL_LOOKUP,    /* what came of a look-up of a user */
	WORKER_MAIL_CALL,      /* run a function here */
	WORKER_MAIL_DRAIN,
	WORKER_MAIL_ORDER, /* of a channel, to its database's owner: see worker/notify.h */
	WORKER_MAIL_HEARD, /* ... and back */
	WORKER_MAIL_STOP,
};

/* A CancelRequest that goes round the workers; its connection stays with the worker it came to.
 */
struct cancel_round {
	struct conn *conn;
	struct cancel_key key;
	int origin;      /* the worker that it came to */
	int answers_due; /* counted down at the origin */
};

struct worker {
	struct fleet *fleet;
	int index;
	char name[24];
	pthread_t thread;
	struct loop *loop;
	struct mailbox *mailbox;
	struct loop_timer *tick;
	unsigned ticks;
	struct snapshot *snapshot;
	struct pool_env pool_env;
	struct session_env env; /* env.pools, env.clients, env.databases ... */
	struct list hubs;       /* of the databases whose listening connection is here */
	atomic_int clients;     /* for choosing the least loaded one */
	bool is_draining;
	bool is_drain_hasty; /* clients that are in the middle of nothing are told to go */
	bool is_drain_reported;
};

/* Makes a worker that does not run yet: tests drive its loop by hand. NULL without memory. */
struct worker *worker_create(struct fleet *fleet, int index, struct snapshot *snapshot,
			     struct topology *topology);
/* Its thread must have ended. */
void worker_destroy(struct worker **worker);

/* The thread's function. */
void *worker_main(void *worker);

/* A round of time-outs, as the tick does it: for tests with the faked clock. */
void worker_tick_now(struct worker *worker);

/* Mail, as the mailbox delivers it. */
void worker_receive(struct worker *worker, struct mail *mail);

#endif
