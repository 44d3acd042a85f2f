#ifndef POINTSMAN_POOL_POOL_H
#define POINTSMAN_POOL_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "auth/keyring.h"
#include "base/clock.h"
#include "base/list.h"
#include "net/conn.h"
#include "net/loop.h"
#include "net/mailbox.h"
#include "net/tls.h"
#include "pool/server.h"
#include "pool/share.h"

/*
 * Pools of server connections. A pool (node, database, user) has one limit over all workers; each
 * worker has its own part of it: its servers, its waiters. All functions are for the worker's own
 * thread. Servers are lent and returned here and nowhere else:
 *
 *   switch (pool_borrow(pool, &waiter, wanted, &server, &failure)) ...   ours until returned
 *   pool_return(&server, POOL_RETURN_CLEAN);                            NULL now
 */

struct pools; /* all of one worker */

struct pool_limits {
	usec server_idle_timeout;
	usec server_connect_timeout; /* connecting and logging in */
	usec server_login_retry;     /* between attempts after a failed one */
	usec server_check_delay;     /* a server idle for longer is checked before it is lent */
	usec reserve_pool_timeout;   /* who has waited this long may have one of the reserve */
	usec cancel_wait_timeout;
	int max_prepared_statements;   /* on one server; 0: any number */
	size_t max_prepared_bytes;     /* of their texts; 0: any number */
	uint8_t server_protocol_minor; /* of protocol 3: the newest that servers are asked for */
	bool server_round_robin;       /* the server idle for longest is lent next */
	enum scram_channel_binding channel_binding;
	struct conn_tcp_options tcp;
	struct tls_context *tls; /* for servers, the snapshot's; NULL: none */
	char check_query[1025];  /* "": only the socket is looked at */
	char reset_query[1025];  /* "": none */
};

/* What pools need from above. */
struct pool_env {
	struct loop *loop;
	int worker;
	int n_workers;
	struct pool_registry *registry;
	struct pool_limits limits; /* may be changed at any time */
	void *context;
	/* Sends mail to another worker; it comes back there through pools_receive(). */
	void (*post)(void *context, int worker, struct mail *mail);
	/* Where a node is now; false while that is not known. */
	bool (*address)(void *context, const struct pool_key *key,
			struct sockaddr_storage *address_out, socklen_t *length_out);
	/* Its name or address as it is configured, or the directory of its unix socket. Valid
	 * until the next turn of the loop. NULL while that is not known. */
	const char *(*host)(void *context, const struct pool_key *key);
	/* What there is to log in with; false: nothing. *out is to be freed. */
	bool (*secret)(void *context, const struct pool_key *key, struct keyring_secret *out);
	/* A connection to this node failed or was lost: have it probed. */
	void (*suspect)(void *context, const struct pool_key *key);
};

/* Kinds of mail between the pools of workers; other kinds begin after them. */
enum pool_mail_kind {
	POOL_MAIL_SERVER, /* here is a server for your waiter */
	POOL_MAIL_WANTED, /* a waiter here could use your idle server */
	POOL_MAIL_BUDGET, /* budget is free again: you may connect */
	POOL_MAIL_ROOM,   /* a waiter here needs the budget of an idle server of yours */
	POOL_MAIL_COUNT
};

struct pool_settings {
	int size;
	int min_size; /* while the pool is wanted, see struct pool */
	int reserve;  /* more than size, see reserve_pool_timeout */
	usec server_lifetime;
	int max_db_connections; /* servers of the database on this node, all pools; 0: no limit */
	int max_user_connections; /* the same of the user */
};

/* Why no server could be had; the text is for the client. sqlstate "": there is no failure. */
struct pool_failure {
	const char *reason; /* one word, for the DETAIL of the error, the log, the counters */
	char sqlstate[6];
	char message[256];
};

void pool_failure_set(struct pool_failure *failure, const char *sqlstate, const char *reason,
		      const char *format, ...) __attribute__((format(printf, 4, 5)));

/* A place in the queue. Zeroed memory with the callbacks set is ready for use; it must live until
 * it was served, failed or forgotten. */
struct pool_waiter {
	struct list_node node;
	struct pool *pool; /* NULL when not queued */
	usec since;
	/* For a server of its own, see pool_borrow_dedicated(); NULL: any server of the pool. */
	const struct bytes *startup;
	struct server *server; /* ... which is on its way */
	/* Both from the loop, never out of pool_borrow(). The server is lent to you. */
	void (*served)(struct pool_waiter *waiter, struct server *server);
	void (*failed)(struct pool_waiter *waiter, const struct pool_failure *failure);
};

struct pool {
	struct list_node node; /* in the pools' list */
	struct pools *pools;
	struct pool_env *env;
	struct pool_key key; /* strings owned */
	struct pool_settings settings;
	struct pool_share *share;
	struct pool_node_load *load;
	/* One list for each state of a server; idle ones: the last used first. */
	struct list servers[SERVER_STATE_COUNT];
	struct list waiters;   /* in order of arrival */
	struct list dedicated; /* the same, for servers of their own (dedicated.c) */
	struct loop_deferred settling;
	usec retry_at; /* no connecting before; 0: at any time */
	struct pool_failure
		failure; /* of the last attempt to connect; message "" when it worked */
	/* By the session layer: how many identities have it among theirs, and whether one of
	 * them has clients, or needs none, so that a minimum is kept. */
	unsigned users;
	bool is_wanted;
	bool is_paused;       /* nothing is lent */
	bool is_protocol_old; /* the node refused a newer protocol: 3.0 until connecting fails */
	bool is_retired;      /* no longer in the configuration: goes when it is empty */
};

/* `env` must outlive them. NULL without memory. */
struct pools *pools_create(struct pool_env *env);

/* Closes all servers. Nobody may wait or hold one. */
void pools_destroy(struct pools **pools);

/* Finds or makes the pool of a key, with these settings from now on. NULL without memory. */
struct pool *pools_get(struct pools *pools, const struct pool_key *key,
		       const struct pool_settings *settings);

/* The pool of a key, or NULL. */
struct pool *pools_find(const struct pools *pools, const struct pool_key *key);

/* All of them, in the order they were made: a list of struct pool by its `node`. */
const struct list *pools_list(const struct pools *pools);

/* Takes mail of the kinds above. */
void pools_receive(struct pools *pools, struct mail *mail);

/* Frees such mail to `worker`, which is gone, and the server in it. */
void pools_discard_mail(struct mail *mail, int worker);

/* To be called a few times a second: time-outs, lifetimes, minimum sizes, retries. */
void pools_tick(struct pools *pools);

/* The picture of the nodes has changed: servers at an address that is no longer their node's are
 * not lent again. */
void pools_check_addresses(struct pools *pools);

/* A reload: pools of keys that no longer exist retire unless they are got again. One that is
 * retired goes when it is empty and has no users. */
void pools_retire_all(struct pools *pools);

enum pool_borrowing {
	POOL_LENT, /* *server_out is yours; call pool_set_user() before the next turn of the loop
		    */
	POOL_WAITING, /* in the queue */
	POOL_REFUSED, /* *failure_out says why */
};

/* `wanted`: among idle servers one that has these settings already is preferred. */
enum pool_borrowing pool_borrow(struct pool *pool, struct pool_waiter *waiter,
				const struct settings *wanted, struct server **server_out,
				struct pool_failure *failure_out);

/*
 * A server that nobody had before and nobody gets after it, logged in with further start-up
 * parameters: `startup` has name, value, ..., each with its NUL, and must live as long as the
 * waiter waits. It counts against all limits of the pool like any other; it is given back by
 * pool_discard() only. Always POOL_WAITING.
 */
enum pool_borrowing pool_borrow_dedicated(struct pool *pool, struct pool_waiter *waiter,
					  const struct bytes *startup);

/* Takes the waiter out of the queue, when it is in one. */
void pool_forget(struct pool_waiter *waiter);

/* Tells a lent server where to report. */
void pool_set_user(struct server *server, const struct server_user *user, void *context);

enum pool_return_kind {
	POOL_RETURN_CLEAN,    /* idle, replies matched; settings and statements as noted in it */
	POOL_RETURN_ROLLBACK, /* no reply is due, but a transaction may be open */
	POOL_RETURN_RESET, /* the same, and untracked state may be left: the reset query runs */
};

/* Gives it back; sets the pointer to NULL. The next waiter is served from the loop. */
void pool_return(struct server **server, enum pool_return_kind kind);

/* Closes a lent server that cannot be trusted any more; sets the pointer to NULL. */
void pool_discard(struct server **server, const char *why);

/* RECONNECT: idle servers are closed now, the others when they come back. */
void pool_reconnect(struct pool *pool);

/* PAUSE and RESUME: while paused nothing is lent, and idle servers are closed. */
void pool_pause(struct pool *pool, bool pause);

/* Closes everything of it now: lent servers are lost to their users, waiters fail. */
void pool_kill(struct pool *pool, const char *why);

/* Servers of this worker that are not closed. */
size_t pool_server_count(const struct pool *pool);

#endif
