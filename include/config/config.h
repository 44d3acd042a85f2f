#ifndef POINTSMAN_CONFIG_CONFIG_H
#define POINTSMAN_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/log.h"
#include "auth/method.h"
#include "auth/scram.h"
#include "net/tls.h"
#include "pool/mode.h"
#include "route/route.h"
#include "sql/hint.h"
#include "wire/proxy_header.h"
#include "wire/startup.h"

/*
 * The configuration in effect: an immutable snapshot, replaced whole by a reload. Every thread
 * that uses one holds a reference. All strings belong to the snapshot. Each field is described,
 * bounded and given its default by one row of the table in src/config/options.c.
 * Durations are in us (0 where PgBouncer's 0 means "none"), sizes in bytes.
 */

struct config_listen {
	const char *address; /* IP address or host name; "*": all; one that begins with '/': a
				directory for a unix socket */
	int port;
	enum proxy_protocol proxy_protocol; /* from the networks that are trusted */
};

struct config_node {
	const char *name;
	const char *host; /* name, address, or the directory of the server's unix socket */
	int port;
	int weight; /* 0: never chosen for reads */
	const char *zone;
};

struct config_cluster {
	const char *name;
	struct config_node *nodes;
	size_t n_nodes;
	struct {
		const char *user;     /* "": libpq's default */
		const char *password; /* the same */
		const char *database;
		usec interval;
		usec timeout; /* for one probe, connecting included */
	} monitor;
	struct {
		usec preferred;
		usec hard;
	} max_lag;
};

struct config_database {
	const char *name;     /* "*": any other */
	const char *cluster;  /* name */
	size_t cluster_index; /* into clusters */
	const char *dbname; /* on the servers; NULL: as `name`, or as the client asked for "*" */
	const char *user;   /* log in to the servers as this user; NULL: as the client's */
	const char *password; /* for it; NULL: from the user list */
	/* Users that are not in the list are looked up on the servers: by this query, logged in as
	 * this user ("": they are not), in this database ("": the clients'). */
	const char *auth_query;
	const char *auth_user;
	const char *auth_dbname;
	enum pool_mode pool_mode;
	int default_pool_size; /* servers of one pool (node, database, user) over all workers */
	int min_pool_size;
	int reserve_pool_size;
	int max_db_connections; /* servers of this database, each node apart; 0: no limit */
	int max_db_client_connections; /* 0: no limit */
	usec query_wait_timeout;
	usec server_lifetime;
	enum route_split split;
	enum read_hint read_hint;
	enum consistency consistency;
	usec max_staleness;
	enum route_no_replica on_no_replica;
};

/* What holds for one user in all databases. What is not set is -1: then the database's value, or
 * the global one, holds. */
struct config_user {
	const char *name;
	int pool_mode; /* enum pool_mode; of the client's user, as all below but the next three */
	int pool_size; /* of pools that log in to servers as this user */
	int reserve_pool_size;    /* the same */
	int max_user_connections; /* the same */
	int max_user_client_connections;
	usec query_timeout;
	usec query_wait_timeout;
	usec idle_transaction_timeout;
	usec transaction_timeout;
	usec client_idle_timeout;
};

struct config {
	struct config_listen *listen;
	size_t n_listen;
	const char **proxy_protocol_networks;
	size_t n_proxy_protocol_networks;
	int workers; /* as written; 0: one per core, see config_worker_count() */

	struct {
		const char *socket_dir; /* "": no admin socket */
		int port;
		const char **users;
		size_t n_users;
		const char **stats_users;
		size_t n_stats_users;
	} admin;

	struct {
		enum log_level level;
		enum log_format format;
		bool connections;    /* a line for each log-in of a client */
		bool disconnections; /* a line for each session's end */
	} log;

	struct {
		enum auth_type type;
		const char *file; /* as resolved; "" for none */
		const char *hba_file;
		const char *ident_file;
	} auth;

	struct config_cluster *clusters;
	size_t n_clusters;
	struct config_database *databases;
	size_t n_databases;
	struct config_user *users;
	size_t n_users;

	/* Defaults for what a database may override. */
	const char *auth_query;
	const char *auth_user;
	const char *auth_dbname;
	enum pool_mode pool_mode;
	int default_pool_size;
	int min_pool_size;
	int reserve_pool_size; /* more than that, for who has waited for reserve_pool_timeout */
	int max_db_connections;
	int max_db_client_connections;
	enum route_split split;
	enum read_hint read_hint;
	enum consistency consistency;
	usec max_staleness;
	enum route_no_replica on_no_replica;

	int max_client_conn;
	int max_login_conn;              /* connections that have not logged in yet */
	int max_user_connections;        /* servers of one user, each node apart; 0: no limit */
	int max_user_client_connections; /* 0: no limit */
	int max_prepared_statements;     /* per server connection */
	size_t max_prepared_bytes;
	int max_client_statements;
	size_t max_client_statement_bytes;
	size_t max_statement_bytes;
	bool strict_hints;

	usec auth_query_timeout;
	enum scram_channel_binding server_channel_binding;
	usec query_wait_timeout;
	usec query_wait_notify;
	usec query_timeout;
	usec idle_transaction_timeout;
	usec transaction_timeout;
	usec client_idle_timeout;
	usec client_login_timeout;
	usec cancel_wait_timeout;
	usec server_lifetime;
	usec server_idle_timeout;
	usec server_connect_timeout;
	usec server_login_retry;
	usec server_check_delay;
	usec reserve_pool_timeout;
	usec autodb_idle_timeout;
	usec shutdown_timeout;

	const char *server_reset_query;
	const char *server_check_query; /* "": look at the socket only; "<empty>": no command */
	bool server_round_robin;
	bool server_fast_close;
	enum protocol_version server_protocol; /* the newest that servers are asked for */

	size_t client_buffer;     /* bytes held for one client in one direction */
	size_t max_parse_bytes;   /* longer statements are not parsed */
	size_t shape_cache_bytes; /* per worker */
	int listen_backlog;

	bool tcp_keepalive;
	int tcp_keepidle; /* seconds; 0: the system's */
	int tcp_keepintvl;
	int tcp_keepcnt;
	int tcp_user_timeout;     /* ms; 0: the system's */
	size_t tcp_socket_buffer; /* 0: the system's */
	bool tcp_defer_accept;

	/* TLS, at the end of the clients and at that of the servers; paths as resolved. */
	enum tls_mode client_tls_sslmode;
	const char *client_tls_ca_file;
	const char *client_tls_cert_file;
	const char *client_tls_key_file;
	const char *client_tls_protocols;
	const char *client_tls_ciphers;
	const char *client_tls13_ciphers;
	const char *client_tls_ecdhcurve;
	enum tls_mode server_tls_sslmode;
	const char *server_tls_ca_file;
	const char *server_tls_cert_file;
	const char *server_tls_key_file;
	const char *server_tls_protocols;
	const char *server_tls_ciphers;
	const char *server_tls13_ciphers;

	const char *path; /* of the file it came from */
};

/*
 * Loads and checks a file. Every error found is appended to `errors` as one line
 * "file:line: what", not only the first (but a syntax error ends the reading). NULL when there
 * was any. The snapshot has one reference, the caller's. (For a text in memory: config/load.h.)
 */
struct config *config_load(const char *path, struct bytes *errors);

/*
 * One more / one less reference; the last one frees it. Any thread. unref sets the pointer to
 * NULL and accepts NULL.
 */
struct config *config_ref(struct config *config);
void config_unref(struct config **config);

/*
 * Does a connection from this address begin with a header of the PROXY protocol, when it comes to
 * a socket that knows it: is it in one of the networks that are trusted?
 */
struct sockaddr;
bool config_trusts_proxy(const struct config *config, const struct sockaddr *address);

/* The number of workers to run: `workers`, or one per core. */
int config_worker_count(const struct config *config);

/* What contexts for our clients (TLS_ROLE_SERVER) or our servers are made from. */
struct tls_settings config_tls_settings(const struct config *config, enum tls_role role);

/* The database entry that serves `name`: the exact one, else "*", else NULL. */
const struct config_database *config_database_find(const struct config *config, const char *name);

/* The entry of a user, or NULL. */
const struct config_user *config_user_find(const struct config *config, const char *name);

/* Prints the whole configuration in effect, in the syntax of the file, secrets as "***". For -T.
 */
bool config_print(const struct config *config, struct bytes *out);

/* --- the scalar options, one by one: SHOW CONFIG and SET --- */

struct config_item {
	const char *name; /* "max_client_conn", "log.level" */
	char value[256];
	char default_value[256];
	bool changeable; /* by reload or SET; the others need a restart */
	const char *description;
};

size_t config_item_count(void);
void config_item_get(const struct config *config, size_t index, struct config_item *out);

/*
 * A copy of `config` in which one scalar option is set from text ("SET key = value" on the
 * console); databases that inherit it get it too. NULL on error: unknown name, not changeable,
 * bad value; then error_out has why. One reference, the caller's.
 */
struct config *config_with(const struct config *config, const char *name, const char *value,
			   char *error_out, size_t error_size);

/*
 * What of `next` needs a restart and so differs from `current` without effect: appends one line
 * each to `warnings`, and gives `next` the current values there, so that it tells the truth. For
 * a `next` that no other thread has seen yet.
 */
void config_keep_fixed(struct config *next, const struct config *current, struct bytes *warnings);

#endif
