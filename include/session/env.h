#ifndef POINTSMAN_SESSION_ENV_H
#define POINTSMAN_SESSION_ENV_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "auth/hba.h"
#include "auth/method.h"
#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/strmap.h"
#include "cluster/cluster.h"
#include "net/conn.h"
#include "net/loop.h"
#include "net/tls.h"
#include "pool/mode.h"
#include "pool/pool.h"
#include "route/route.h"
#include "session/pins.h"
#include "session/stage.h"
#include "sql/judge.h"
#include "stats/hist.h"
#include "stats/traffic.h"

/*
 * What sessions need from above, and what they keep in common on one worker: given to each
 * session when it is made. Sessions reach nothing else outside themselves, so that tests can hand
 * them an environment of their own. One thread.
 */

struct session_limits {
	enum auth_type auth;
	size_t max_logins; /* on this worker, not authenticated yet; one more ends the oldest */
	usec query_wait_notify; /* in the queue for a server; 0: none, as below */
	usec client_login_timeout;
	usec autodb_idle_timeout;
	usec cancel_wait_timeout;
	size_t client_buffer;
	bool server_fast_close;
	size_t client_statements_max;  /* prepared ones that a client may have */
	size_t client_statement_bytes; /* of their texts */
	size_t statement_bytes_max;    /* a Parse message that is kept */
	bool strict_hints;
	bool log_connections;
	bool log_disconnections;
	struct conn_tcp_options tcp;
	struct tls_context *tls; /* for clients, the snapshot's; NULL: none */
};

#define SESSION_NO_CLUSTER UINT32_MAX

/* What holds for one user of one database: the user's entry of the configuration before that of
 * the database before the global options. Times: 0 is none. */
struct session_rules {
	enum pool_mode mode;
	usec query_timeout;
	usec query_wait_timeout; /* in the queue for a server */
	usec idle_transaction_timeout;
	usec transaction_timeout;
	usec client_idle_timeout;
	int max_user_client_connections;
	struct pool_settings pool;
};

/* A database as clients name it: its configuration on this worker, and its books. */
struct session_database {
	struct list_node node;
	char *name;
	unsigned cluster; /* index into the topology; SESSION_NO_CLUSTER: it is gone */
	char *cluster_name;
	char *dbname;   /* on the servers */
	char *user;     /* log in to the servers as this user; NULL: as the client's */
	char *password; /* for it; NULL: from the user list */
	struct session_rules rules; /* of users who have none of their own */
	enum route_split split;
	enum route_no_replica on_no_replica;
	struct hints hints;          /* defaults */
	struct pool_cap *client_cap; /* max_db_client_connections */
	bool is_paused;
	bool is_disabled;
	bool is_retired;    /* no longer in the configuration */
	bool is_auto;       /* made by "*" */
	bool is_unreadable; /* its servers come up with standard_conforming_strings off */

	uint32_t clients;
	uint32_t identities;
	usec idle_since; /* nobody has used it; 0: somebody does */
	struct traffic traffic;
	struct hist xact_time;
	struct hist query_time;
	struct hist wait_time;
	/* Requests by reason and by what they went to: 0 nowhere, 1 primary, 2 replica. */
	uint64_t routes[ROUTE_REASON_COUNT][3];
};

/* (database, user): what the clients of one user of one database share: rules and pools. */
struct session_identity {
	struct session_database *database;
	char *user;              /* the client's */
	char *server_user;       /* who logs in to the servers */
	uint64_t topology_shape; /* when it changes, `pools` is looked up anew */
	struct pool **pools;     /* one for each node of the cluster, made when first needed */
	size_t n_pools;
	struct session_rules rules;
	struct pool_cap *client_cap; /* max_user_client_connections */
	uint32_t clients;
	usec idle_since; /* no client, no server; 0: it has some */
	struct session_identity *next_idle;
};

struct session_env;
struct cancel_key;
struct channel_order;

enum session_look_up {
	SESSION_LOOK_UP_NONE, /* no auth_user, no look-up */
	SESSION_LOOK_UP_BEGUN,
	SESSION_LOOK_UP_FAILED, /* no memory */
};

struct session_ops {
	/* The database of this name, made when first asked for; NULL: there is none. */
	struct session_database *(*database)(void *context, const char *name);
	/* What holds for this user of the database, whose servers are logged in to as
	 * `server_user`. */
	void (*rules)(void *context, const struct session_database *database, const char *user,
		      const char *server_user, struct session_rules *out);
	/* The user's secret; NULL: unknown or without one. */
	const char *(*secret)(void *context, const char *user);
	/* May `user` log in without a secret (auth trust)? Whoever is in the list, or anybody
	 * when there is none. */
	bool (*is_known_user)(void *context, const char *user);
	/* The rule of the hba file that fits a client; NULL: none does. */
	const struct hba_rule *(*hba_rule)(void *context, const struct hba_request *request);
	/* May who is called `system_user` outside log in as `user`? See auth/ident.h. */
	bool (*map_user)(void *context, const char *map, const char *system_user,
			 const char *user);
	/*
	 * Has the secret of a user that is not in the list looked up (auth_query) for a log-in to
	 * this database; client_login_answer() follows, from the loop.
	 */
	enum session_look_up (*look_up)(void *context, uint64_t id, const char *user,
					const char *database);
	/*
	 * A client is in: its secret, if it has one (`is_looked_up`: not from the user list), and
	 * the key that it has proved to have, or NULL, are for logging in to servers as it.
	 */
	void (*keep_secret)(void *context, const struct session_database *database,
			    const char *user, const char *secret, bool is_looked_up,
			    const uint8_t *client_key);
	/* Counts a client in against max_client_conn; false: full. */
	bool (*admit_client)(void *context);
	void (*client_left)(void *context);
	/*
	 * A CancelRequest came on `conn`, which is the callee's now: the session with this key is
	 * looked for on all workers and what it does is cancelled; then the socket is closed,
	 * which tells the asker that it has been delivered, or that nobody had the key.
	 */
	void (*cancel)(void *context, const struct cancel_key *key, struct conn *conn);
	/* A client of database `pointsman` or `pgbouncer`, authenticated: takes the connection
	 * over. */
	void (*admin)(void *context, struct conn *conn, const char *user, const char *database,
		      const char *host, int port);
	/*
	 * Has the database's listening connection listen to a channel, or not any more;
	 * channels_answered() follows for the former, perhaps at once. false without memory.
	 */
	bool (*listen)(void *context, const struct channel_order *order);
	/* May this user use the console at all? */
	bool (*is_admin)(void *context, const char *user);
};

struct stage_stats {
	uint64_t entered;
	uint64_t passed;
	uint64_t waited;
	uint64_t answered;
	uint64_t failed;
	uint64_t broken; /* did none of these: a bug, reported */
	usec time;
};

struct session_env {
	struct loop *loop;
	int worker;
	struct session_limits limits;
	struct topology *topology; /* one reference */
	uint64_t topology_shape;   /* changes when clusters or nodes come or go */
	struct pool_registry *registry;
	struct pools *pools;
	struct judge *judge;
	struct stage_stats stages[STAGE_COUNT];
	struct pin_stats pins[PIN_COUNT];

	struct list logins;        /* struct client_login */
	struct list clients;       /* struct client */
	struct list databases;     /* struct session_database */
	struct strmap *keys;       /* the number in a cancel key to struct client */
	struct strmap *identities; /* "database\0user" to struct session_identity */
	struct strmap *welcomes;   /* what clients are told at login, see client_welcome.c */
	struct statement_cache *statements;
	struct request *free_requests;
	struct list route_waiters; /* requests that wait for a better topology */
	struct strmap *channels;   /* what clients listen to, see session/channels.h */
	struct list channel_list;
	uint64_t channel_serial;
	bool is_paused; /* all databases, and those that "*" will bring about */
	bool is_shutting_down;

	const struct session_ops *ops;
	void *context;
};

/* Sets up what an environment owns (lists, maps, judge) once loop, worker, limits, registry,
 * pools, ops and context are filled. */
bool session_env_init(struct session_env *env, const struct judge_limits *judge_limits);

/* Ends all sessions; with a SQLSTATE the clients are told (FATAL). Servers in use are still
 * waited for. */
void session_env_close_all(struct session_env *env, const char *sqlstate, const char *message);

/* Ends all sessions first, then frees what init made. */
void session_env_destroy(struct session_env *env);

/* Time-outs; to be called about once a second. */
void session_env_tick(struct session_env *env);

/* A new picture of the nodes: takes the reference over and wakes who waited for it. */
void session_env_set_topology(struct session_env *env, struct topology *topology);

/* The identity of (database, user), made when needed. NULL without memory. */
struct session_identity *session_identity_get(struct session_env *env,
					      struct session_database *database,
					      const char *user);

/*
 * Counts a client in against max_db_client_connections and max_user_client_connections; false:
 * the option of that name in *full_out says no. It is counted out by session_client_left().
 */
bool session_admit_client(struct session_identity *identity, const char **full_out);
void session_client_left(struct session_identity *identity);

/*
 * A reload: all rules are made anew, and pools that are still somebody's are kept, with their new
 * sizes. To be called when `topology`, databases and ops tell the new configuration, and all
 * pools have been retired.
 */
void session_env_reconfigured(struct session_env *env);

/*
 * Keeps the pools of every node of the cluster that servers of `database` are logged in to by one
 * user whatever the client (databases[].user), as a client of it would. For min_pool_size, which
 * holds for such a database even before its first client.
 */
void session_keep_pools(struct session_env *env, struct session_database *database);

/* The cluster of a database as it is now; one without nodes when it is gone. */
const struct cluster *session_cluster(const struct session_env *env,
				      const struct session_database *database);

/* The pool of an identity at a node. NULL without memory. */
struct pool *session_pool(struct session_env *env, struct session_identity *identity,
			  size_t node);

/* Forgets what was told to clients at login: the next ones ask a server again. */
void session_forget_welcomes(struct session_env *env);

#endif
