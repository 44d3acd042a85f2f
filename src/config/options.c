/*
 * The table of options: one row for each, with its place in struct config, its bounds, its
 * default and what it means. Adding an option is adding a field to config/config.h, a row here,
 * a line to docs/config.md and one to proxy.conf.example; a unit test compares the four.
 * Immutable data and lookups in it: any thread.
 */
#include "config/options.h"

#include <string.h>

#include "base/panic.h"
#include "config/config.h"

#define MS(n)  ((int64_t)(n)*USEC_PER_MS)
#define SEC(n) ((int64_t)(n)*USEC_PER_SEC)

#define DAY       SEC(86400)
#define LONG_TIME (3650 * DAY)
#define MIB       ((int64_t)1 << 20)

/* NAMEDATALEN - 1: no name on a server can be longer. */
#define NAME_BYTES  63
#define TEXT_BYTES  1024
#define PATH_BYTES  1023
#define MANY        1000000
#define PORT_LOWEST 1

/*
 * As PgBouncer's since 1.24.1 (CVE-2025-2291), with every name qualified: a password is of no use
 * after VALID UNTIL, and who may not log in to a server may not log in here.
 */
#define AUTH_QUERY \
	"SELECT rolname, CASE WHEN rolvaliduntil OPERATOR(pg_catalog.<) pg_catalog.now()" \
	" THEN NULL ELSE rolpassword END FROM pg_catalog.pg_authid" \
	" WHERE rolname OPERATOR(pg_catalog.=) $1 AND rolcanlogin"
#define PORT_MAX    65535

static const char *format_word(int value)
{
	return value == LOG_FORMAT_JSON ? "json" : "text";
}

/* The enums name their own words; here they only get one type. */
static const char *level_word(int value)
{
	return log_level_name((enum log_level)value);
}

static const char *auth_word(int value)
{
	return auth_type_name((enum auth_type)value);
}

static const char *binding_word(int value)
{
	return scram_channel_binding_name((enum scram_channel_binding)value);
}

static const char *pool_mode_word(int value)
{
	return pool_mode_name((enum pool_mode)value);
}

static const char *split_word(int value)
{
	return route_split_name((enum route_split)value);
}

static const char *read_hint_word(int value)
{
	return read_hint_name((enum read_hint)value);
}

static const char *consistency_word(int value)
{
	return consistency_name((enum consistency)value);
}

static const char *no_replica_word(int value)
{
	return route_no_replica_name((enum route_no_replica)value);
}

static const char *proxy_protocol_word(int value)
{
	return proxy_protocol_name((enum proxy_protocol)value);
}

static const char *protocol_word(int value)
{
	return protocol_version_name((enum protocol_version)value);
}

static const char *tls_mode_word(int value)
{
	return tls_mode_name((enum tls_mode)value);
}

static const struct option_words level_words = { LOG_LEVEL_DEBUG + 1, level_word, NULL, 0 };
static const struct option_words format_words = { LOG_FORMAT_JSON + 1, format_word, NULL, 0 };
static const struct option_words auth_words = { AUTH_HBA + 1, auth_word, "plain",
						AUTH_PASSWORD };
static const struct option_words binding_words = { SCRAM_BINDING_REQUIRE + 1, binding_word, NULL,
						   0 };
static const struct option_words pool_mode_words = { POOL_STATEMENT + 1, pool_mode_word, NULL,
						     0 };
static const struct option_words split_words = { ROUTE_SPLIT_AUTO + 1, split_word, NULL, 0 };
static const struct option_words read_hint_words = { READ_HINT_STALE_ALLOWED + 1, read_hint_word,
						     NULL, 0 };
static const struct option_words consistency_words = { CONSISTENCY_STRONG + 1, consistency_word,
						       NULL, 0 };
static const struct option_words no_replica_words = { ROUTE_NO_REPLICA_ERROR + 1, no_replica_word,
						      NULL, 0 };
static const struct option_words proxy_protocol_words = { PROXY_PROTOCOL_COUNT,
							  proxy_protocol_word, NULL, 0 };
static const struct option_words protocol_words = { PROTOCOL_VERSION_COUNT, protocol_word, NULL,
						    0 };

static const struct option_words tls_mode_words = { TLS_MODE_COUNT, tls_mode_word, NULL, 0 };

/* clang-format off */

static const struct section sections[SECTION_COUNT] = {
	[SECTION_ROOT]      = { SECTION_COUNT, "", "", false, 0, 0, 0, 0, 0 },
	[SECTION_LISTEN]    = { SECTION_ROOT, "listen", "listen[]", true, OPTION_FIXED,
				offsetof(struct config, listen), offsetof(struct config, n_listen),
				sizeof(struct config_listen), 64 },
	[SECTION_ADMIN]     = { SECTION_ROOT, "admin", "admin", false, 0, 0, 0, 0, 0 },
	[SECTION_LOG]       = { SECTION_ROOT, "log", "log", false, 0, 0, 0, 0, 0 },
	[SECTION_AUTH]      = { SECTION_ROOT, "auth", "auth", false, 0, 0, 0, 0, 0 },
	[SECTION_CLUSTERS]  = { SECTION_ROOT, "clusters", "clusters[]", true, 0,
				offsetof(struct config, clusters), offsetof(struct config, n_clusters),
				sizeof(struct config_cluster), 256 },
	[SECTION_NODES]     = { SECTION_CLUSTERS, "nodes", "clusters[].nodes[]", true, 0,
				offsetof(struct config_cluster, nodes),
				offsetof(struct config_cluster, n_nodes),
				sizeof(struct config_node), 64 },
	[SECTION_MONITOR]   = { SECTION_CLUSTERS, "monitor", "clusters[].monitor", false, 0, 0, 0, 0, 0 },
	[SECTION_MAX_LAG]   = { SECTION_CLUSTERS, "max_lag", "clusters[].max_lag", false, 0, 0, 0, 0, 0 },
	[SECTION_DATABASES] = { SECTION_ROOT, "databases", "databases[]", true, 0,
				offsetof(struct config, databases), offsetof(struct config, n_databases),
				sizeof(struct config_database), 4096 },
	[SECTION_USERS]     = { SECTION_ROOT, "users", "users[]", true, 0,
				offsetof(struct config, users), offsetof(struct config, n_users),
				sizeof(struct config_user), 65536 },
};

#define AT(type_, field)      .offset = offsetof(struct type_, field)
#define BOUNDS(low, high)     .min = (low), .max = (high)
#define ROOT_OPTION(name_)    .section = SECTION_ROOT, .path = #name_, AT(config, name_)
#define DATABASE_OPTION(name_) \
	.section = SECTION_DATABASES, .path = "databases[]." #name_, AT(config_database, name_)

#define USER_OPTION(name_) \
	.section = SECTION_USERS, .path = "users[]." #name_, AT(config_user, name_), \
	.flags = OPTION_NULL

static const struct option options[] = {
	/* --- processes and threads --- */
	{ ROOT_OPTION(workers), .type = OPTION_INT, .flags = OPTION_FIXED, BOUNDS(0, 256),
	  .default_value = "0",
	  .description = "Worker threads; 0: one per core." },
	{ ROOT_OPTION(listen_backlog), .type = OPTION_INT, .flags = OPTION_FIXED, BOUNDS(1, 65535),
	  .default_value = "512",
	  .description = "Connections that the kernel keeps waiting for each listening socket." },
	{ ROOT_OPTION(shutdown_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "0",
	  .description = "A shutdown that waits for clients gives up after this; 0: it waits "
			 "without end." },

	{ ROOT_OPTION(proxy_protocol_networks), .type = OPTION_STRINGS,
	  .count_offset = offsetof(struct config, n_proxy_protocol_networks), BOUNDS(1, 64),
	  .default_value = "",
	  .description = "Load balancers that are believed: addresses, networks (\"10.0.0.0/8\"), or "
			 "\"unix\"." },

	/* --- what a database may override --- */
	{ ROOT_OPTION(pool_mode), .type = OPTION_ENUM, .words = &pool_mode_words,
	  .default_value = "transaction",
	  .description = "When a server may be lent to another client: at the end of the session, "
			 "the transaction, or the statement." },
	{ ROOT_OPTION(default_pool_size), .type = OPTION_INT, BOUNDS(1, 100000),
	  .default_value = "20",
	  .description = "Servers of one pool (node, database, user) over all workers." },
	{ ROOT_OPTION(min_pool_size), .type = OPTION_INT, BOUNDS(0, 100000),
	  .default_value = "0",
	  .description = "Servers that a pool in use keeps open." },
	{ ROOT_OPTION(reserve_pool_size), .type = OPTION_INT, BOUNDS(0, 100000),
	  .default_value = "0",
	  .description = "Further servers of a pool, for requests that have waited for "
			 "reserve_pool_timeout; 0: none." },
	{ ROOT_OPTION(max_db_connections), .type = OPTION_INT, BOUNDS(0, MANY),
	  .default_value = "0",
	  .description = "Servers of one database, each node apart; 0: no limit." },
	{ ROOT_OPTION(max_db_client_connections), .type = OPTION_INT, BOUNDS(0, MANY),
	  .default_value = "0",
	  .description = "Client connections of one database; 0: no limit but max_client_conn." },
	{ ROOT_OPTION(query_wait_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "2min",
	  .description = "A request that waited this long for a server fails; 0: it waits without "
			 "end." },
	{ ROOT_OPTION(server_lifetime), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "1h",
	  .description = "An idle server that has been connected for longer is closed; 0: after "
			 "one use." },
	{ ROOT_OPTION(split), .type = OPTION_ENUM, .words = &split_words,
	  .default_value = "hints",
	  .description = "What may go to replicas: nothing (off), reads whose hint asks for it "
			 "(hints), every proven read (auto)." },
	{ ROOT_OPTION(read_hint), .type = OPTION_ENUM, .words = &read_hint_words,
	  .default_value = "none",
	  .description = "The hint of requests that carry none." },
	{ ROOT_OPTION(consistency), .type = OPTION_ENUM, .words = &consistency_words,
	  .default_value = "none",
	  .description = "What a read must see of earlier writes, for requests that do not say." },
	{ ROOT_OPTION(max_staleness), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "5s",
	  .description = "How old the answer to a stale-allowed read may be, for requests that do "
			 "not say." },
	{ ROOT_OPTION(on_no_replica), .type = OPTION_ENUM, .words = &no_replica_words,
	  .default_value = "primary",
	  .description = "Where a read for a replica goes when no replica qualifies." },

	{ ROOT_OPTION(auth_user), .type = OPTION_STRING, BOUNDS(0, NAME_BYTES),
	  .default_value = "",
	  .description = "Users that are not in the user list are looked up by this one; empty: "
			 "they are not." },
	{ ROOT_OPTION(auth_query), .type = OPTION_STRING, BOUNDS(1, TEXT_BYTES),
	  .default_value = AUTH_QUERY,
	  .description = "The look-up: one row with the name and the secret of the user $1, or "
			 "none." },
	{ ROOT_OPTION(auth_dbname), .type = OPTION_STRING, BOUNDS(0, NAME_BYTES),
	  .default_value = "",
	  .description = "The database in which it runs; empty: the one that the client wants." },

	/* --- limits --- */
	{ ROOT_OPTION(max_client_conn), .type = OPTION_INT, BOUNDS(1, MANY),
	  .default_value = "1000",
	  .description = "Client connections." },
	{ ROOT_OPTION(max_login_conn), .type = OPTION_INT, BOUNDS(1, MANY),
	  .default_value = "1000",
	  .description = "Connections that have not logged in yet; one more ends the oldest of "
			 "them." },
	{ ROOT_OPTION(max_user_connections), .type = OPTION_INT, BOUNDS(0, MANY),
	  .default_value = "0",
	  .description = "Servers of one user, each node apart; 0: no limit." },
	{ ROOT_OPTION(max_user_client_connections), .type = OPTION_INT, BOUNDS(0, MANY),
	  .default_value = "0",
	  .description = "Client connections of one user; 0: no limit but max_client_conn." },
	{ ROOT_OPTION(max_prepared_statements), .type = OPTION_INT, BOUNDS(0, 100000),
	  .default_value = "200",
	  .description = "Prepared statements kept on one server connection; 0: any number." },
	{ ROOT_OPTION(max_prepared_bytes), .type = OPTION_SIZE, BOUNDS(0, 1024 * MIB),
	  .default_value = "4MB",
	  .description = "Bytes of the texts of those; 0: any number." },
	{ ROOT_OPTION(max_client_statements), .type = OPTION_INT, BOUNDS(1, MANY),
	  .default_value = "16384",
	  .description = "Prepared statements that one client may have." },
	{ ROOT_OPTION(max_client_statement_bytes), .type = OPTION_SIZE,
	  BOUNDS(64 << 10, 1024 * MIB), .default_value = "16MB",
	  .description = "Bytes of the texts of those." },
	{ ROOT_OPTION(max_statement_bytes), .type = OPTION_SIZE, BOUNDS(16 << 10, 64 * MIB),
	  .default_value = "1MB",
	  .description = "A Parse message of up to this size can be prepared on any server." },
	{ ROOT_OPTION(client_buffer), .type = OPTION_SIZE, .flags = OPTION_FIXED,
	  BOUNDS(16 << 10, 16 * MIB), .default_value = "64kB",
	  .description = "Bytes held for one client in one direction." },
	{ ROOT_OPTION(max_parse_bytes), .type = OPTION_SIZE, BOUNDS(1 << 10, MIB),
	  .default_value = "64kB",
	  .description = "Longer statements are not parsed and go to the primary." },
	{ ROOT_OPTION(shape_cache_bytes), .type = OPTION_SIZE, .flags = OPTION_FIXED,
	  BOUNDS(64 << 10, 1024 * MIB), .default_value = "8MB",
	  .description = "Memory of each worker for the verdicts of statements seen." },
	{ ROOT_OPTION(strict_hints), .type = OPTION_BOOL, .default_value = "false",
	  .description = "A malformed hint in a comment is an error, not a warning." },

	/* --- time limits --- */
	{ ROOT_OPTION(query_wait_notify), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "5s",
	  .description = "A client whose request has waited this long for a server is told so by a "
			 "notice; 0: it is not." },
	{ ROOT_OPTION(query_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "0",
	  .description = "A request that runs for longer is cancelled; 0: no limit." },
	{ ROOT_OPTION(idle_transaction_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "0",
	  .description = "A client that stays idle in a transaction for longer is closed; 0: no "
			 "limit." },
	{ ROOT_OPTION(transaction_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "0",
	  .description = "A client whose transaction is open for longer is closed; 0: no limit." },
	{ ROOT_OPTION(client_idle_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "0",
	  .description = "A client that stays idle for longer is closed; 0: no limit." },
	{ ROOT_OPTION(client_login_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "1min",
	  .description = "A client that has not logged in after this is closed; 0: no limit." },
	{ ROOT_OPTION(auth_query_timeout), .type = OPTION_DURATION, BOUNDS(MS(10), SEC(3600)),
	  .default_value = "5s",
	  .description = "A look-up of a user that takes longer, connecting included, has failed." },
	{ ROOT_OPTION(cancel_wait_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "10s",
	  .description = "A cancel request that could not be delivered for this long is dropped; "
			 "0: no limit." },

	{ ROOT_OPTION(autodb_idle_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "1h",
	  .description = "A database of \"*\", or a user of any, without clients and servers for this "
			 "long is forgotten, statistics included; 0: never." },

	/* --- servers --- */
	{ ROOT_OPTION(reserve_pool_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "5s",
	  .description = "A request that has waited this long may have a server of the reserve; 0: "
			 "there is no reserve." },
	{ ROOT_OPTION(server_round_robin), .type = OPTION_BOOL, .default_value = "false",
	  .description = "Idle servers take turns; else the one used last is used next." },
	{ ROOT_OPTION(server_fast_close), .type = OPTION_BOOL, .default_value = "false",
	  .description = "In session mode a server that is to be closed does not wait for the end of "
			 "the session, which ends with it." },
	{ ROOT_OPTION(server_channel_binding), .type = OPTION_ENUM, .words = &binding_words,
	  .default_value = "prefer",
	  .description = "SCRAM-SHA-256-PLUS for log-ins to servers with TLS: never, where it is "
			 "offered, or nothing else." },
	{ ROOT_OPTION(server_idle_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "10min",
	  .description = "A server that nobody used for longer is closed; 0: never." },
	{ ROOT_OPTION(server_connect_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "15s",
	  .description = "A server that is not connected and logged in after this is given up; 0: "
			 "no limit." },
	{ ROOT_OPTION(server_login_retry), .type = OPTION_DURATION, BOUNDS(0, DAY),
	  .default_value = "1s",
	  .description = "Wait before another try after a log-in to a server has failed." },
	{ ROOT_OPTION(server_check_delay), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .default_value = "30s",
	  .description = "A server that was idle for longer is checked before it is lent; 0: "
			 "always." },
	{ ROOT_OPTION(server_check_query), .type = OPTION_STRING, BOUNDS(0, TEXT_BYTES),
	  .default_value = "<empty>",
	  .description = "Run as that check; the default is a query without a command; empty: only "
			 "the socket is looked at." },
	{ ROOT_OPTION(server_reset_query), .type = OPTION_STRING, BOUNDS(0, TEXT_BYTES),
	  .default_value = "DISCARD ALL",
	  .description = "Run on a server between two clients in session mode; empty: nothing." },
	{ ROOT_OPTION(server_protocol), .type = OPTION_ENUM, .words = &protocol_words,
	  .default_value = "3.2",
	  .description = "The newest version of the protocol that servers are asked for." },

	/* --- sockets --- */
	{ ROOT_OPTION(tcp_keepalive), .type = OPTION_BOOL, .default_value = "true",
	  .description = "TCP keepalive on all connections." },
	{ ROOT_OPTION(tcp_keepidle), .type = OPTION_INT, BOUNDS(0, 32767), .default_value = "0",
	  .unit = "s", .description = "Idle time before the first keepalive; 0: the system's." },
	{ ROOT_OPTION(tcp_keepintvl), .type = OPTION_INT, BOUNDS(0, 32767), .default_value = "0",
	  .unit = "s", .description = "Time between two keepalives; 0: the system's." },
	{ ROOT_OPTION(tcp_keepcnt), .type = OPTION_INT, BOUNDS(0, 127), .default_value = "0",
	  .description = "Unanswered keepalives that end a connection; 0: the system's." },
	{ ROOT_OPTION(tcp_user_timeout), .type = OPTION_INT, BOUNDS(0, 86400000),
	  .default_value = "0", .unit = "ms",
	  .description = "Sent data may stay unacknowledged for this long; 0: the system's." },
	{ ROOT_OPTION(tcp_socket_buffer), .type = OPTION_SIZE, BOUNDS(0, 1024 * MIB),
	  .default_value = "0",
	  .description = "The kernel's buffers of each connection, one for each direction; 0: the "
			 "system's." },
	{ ROOT_OPTION(tcp_defer_accept), .type = OPTION_BOOL, .flags = OPTION_FIXED,
	  .default_value = "true",
	  .description = "Connections on which nothing was said yet stay with the kernel, for up "
			 "to 45 seconds." },

	/* --- TLS --- */
	{ ROOT_OPTION(client_tls_sslmode), .type = OPTION_ENUM, .words = &tls_mode_words,
	  .default_value = "disable",
	  .description = "TLS of clients: refused (disable), up to them (allow, prefer), demanded "
			 "(require), with a certificate of theirs (verify-ca, verify-full)." },
	{ ROOT_OPTION(client_tls_ca_file), .type = OPTION_PATH, BOUNDS(0, PATH_BYTES),
	  .default_value = "",
	  .description = "Certificates of the CAs that clients' certificates are verified with; "
			 "empty: clients are not asked for one." },
	{ ROOT_OPTION(client_tls_cert_file), .type = OPTION_PATH, BOUNDS(0, PATH_BYTES),
	  .default_value = "",
	  .description = "Our certificate, and those between it and the root." },
	{ ROOT_OPTION(client_tls_key_file), .type = OPTION_PATH, BOUNDS(0, PATH_BYTES),
	  .default_value = "",
	  .description = "Its private key, without a passphrase." },
	{ ROOT_OPTION(client_tls_protocols), .type = OPTION_STRING, BOUNDS(0, TEXT_BYTES),
	  .default_value = "secure",
	  .description = "Versions of TLS: some of tlsv1.0, tlsv1.1, tlsv1.2, tlsv1.3; or all, "
			 "legacy, secure (the last two versions)." },
	{ ROOT_OPTION(client_tls_ciphers), .type = OPTION_STRING, BOUNDS(0, TEXT_BYTES),
	  .default_value = "default",
	  .description = "Ciphers of TLS 1.2 and older, in OpenSSL's syntax; default: OpenSSL's." },
	{ ROOT_OPTION(client_tls13_ciphers), .type = OPTION_STRING, BOUNDS(0, TEXT_BYTES),
	  .default_value = "",
	  .description = "Ciphers of TLS 1.3, separated by colons; empty: OpenSSL's." },
	{ ROOT_OPTION(client_tls_ecdhcurve), .type = OPTION_STRING, BOUNDS(0, TEXT_BYTES),
	  .default_value = "auto",
	  .description = "Curves for the exchange of keys, separated by colons; auto: OpenSSL's." },
	{ ROOT_OPTION(server_tls_sslmode), .type = OPTION_ENUM, .words = &tls_mode_words,
	  .default_value = "prefer",
	  .description = "TLS to servers, as libpq's sslmode: none (disable), if need be (allow), if "
			 "can be (prefer), always (require), verified (verify-ca, verify-full)." },
	{ ROOT_OPTION(server_tls_ca_file), .type = OPTION_PATH, BOUNDS(0, PATH_BYTES),
	  .default_value = "",
	  .description = "Certificates of the CAs that servers' certificates are verified with." },
	{ ROOT_OPTION(server_tls_cert_file), .type = OPTION_PATH, BOUNDS(0, PATH_BYTES),
	  .default_value = "",
	  .description = "Our certificate for servers that ask for one." },
	{ ROOT_OPTION(server_tls_key_file), .type = OPTION_PATH, BOUNDS(0, PATH_BYTES),
	  .default_value = "",
	  .description = "Its private key, without a passphrase." },
	{ ROOT_OPTION(server_tls_protocols), .type = OPTION_STRING, BOUNDS(0, TEXT_BYTES),
	  .default_value = "secure",
	  .description = "As client_tls_protocols." },
	{ ROOT_OPTION(server_tls_ciphers), .type = OPTION_STRING, BOUNDS(0, TEXT_BYTES),
	  .default_value = "default",
	  .description = "As client_tls_ciphers." },
	{ ROOT_OPTION(server_tls13_ciphers), .type = OPTION_STRING, BOUNDS(0, TEXT_BYTES),
	  .default_value = "",
	  .description = "As client_tls13_ciphers." },

	/* --- listen --- */
	{ SECTION_LISTEN, "listen[].address", OPTION_STRING, OPTION_REQUIRED,
	  AT(config_listen, address), BOUNDS(1, 255),
	  .description = "IP address or host name; \"*\": all; with a leading \"/\": a directory for "
			 "a unix socket." },
	{ SECTION_LISTEN, "listen[].port", OPTION_INT, 0, AT(config_listen, port),
	  BOUNDS(PORT_LOWEST, PORT_MAX), .default_value = "6432",
	  .description = "Port, or the number in the name of the unix socket." },
	{ SECTION_LISTEN, "listen[].proxy_protocol", OPTION_ENUM, 0,
	  AT(config_listen, proxy_protocol), .words = &proxy_protocol_words,
	  .default_value = "off",
	  .description = "Connections from proxy_protocol_networks begin with a header of the PROXY "
			 "protocol, of this version." },

	/* --- admin --- */
	{ SECTION_ADMIN, "admin.socket_dir", OPTION_STRING, OPTION_FIXED,
	  AT(config, admin.socket_dir), BOUNDS(0, 255), .default_value = "/run/pointsman",
	  .description = "Directory of the console's unix socket; empty: no such socket." },
	{ SECTION_ADMIN, "admin.port", OPTION_INT, OPTION_FIXED, AT(config, admin.port),
	  BOUNDS(PORT_LOWEST, PORT_MAX), .default_value = "6433",
	  .description = "The number in the name of the console's unix socket." },
	{ SECTION_ADMIN, "admin.users", OPTION_STRINGS, 0, AT(config, admin.users),
	  .count_offset = offsetof(struct config, admin.n_users), BOUNDS(1, NAME_BYTES),
	  .default_value = "",
	  .description = "Users who may do everything on the console." },
	{ SECTION_ADMIN, "admin.stats_users", OPTION_STRINGS, 0, AT(config, admin.stats_users),
	  .count_offset = offsetof(struct config, admin.n_stats_users), BOUNDS(1, NAME_BYTES),
	  .default_value = "",
	  .description = "Users who may look but not change anything on the console." },

	/* --- log --- */
	{ SECTION_LOG, "log.level", OPTION_ENUM, 0, AT(config, log.level), .words = &level_words,
	  .default_value = "info",
	  .description = "The least severe messages that are written." },
	{ SECTION_LOG, "log.format", OPTION_ENUM, 0, AT(config, log.format),
	  .words = &format_words, .default_value = "text",
	  .description = "Text, or one JSON object a line." },
	{ SECTION_LOG, "log.connections", OPTION_BOOL, 0, AT(config, log.connections),
	  .default_value = "true",
	  .description = "A line for each log-in of a client." },
	{ SECTION_LOG, "log.disconnections", OPTION_BOOL, 0, AT(config, log.disconnections),
	  .default_value = "true",
	  .description = "A line for the end of each client's session." },

	/* --- auth --- */
	{ SECTION_AUTH, "auth.type", OPTION_ENUM, 0, AT(config, auth.type), .words = &auth_words,
	  .default_value = "scram-sha-256",
	  .description = "How clients prove who they are." },
	{ SECTION_AUTH, "auth.hba_file", OPTION_PATH, 0, AT(config, auth.hba_file),
	  BOUNDS(0, PATH_BYTES), .default_value = "",
	  .description = "Rules in the format of pg_hba.conf; needed for type hba." },
	{ SECTION_AUTH, "auth.ident_file", OPTION_PATH, 0, AT(config, auth.ident_file),
	  BOUNDS(0, PATH_BYTES), .default_value = "",
	  .description = "Maps of user names in the format of pg_ident.conf." },
	{ SECTION_AUTH, "auth.file", OPTION_PATH, 0, AT(config, auth.file), BOUNDS(0, PATH_BYTES),
	  .default_value = "",
	  .description = "The user list; needed unless auth.type is trust, cert or hba, or users "
			 "are looked up." },

	/* --- clusters --- */
	{ SECTION_CLUSTERS, "clusters[].name", OPTION_STRING, OPTION_REQUIRED,
	  AT(config_cluster, name), BOUNDS(1, NAME_BYTES),
	  .description = "What databases call this cluster." },
	{ SECTION_NODES, "clusters[].nodes[].name", OPTION_STRING, OPTION_REQUIRED,
	  AT(config_node, name), BOUNDS(1, NAME_BYTES),
	  .description = "What logs, metrics and the console call this node." },
	{ SECTION_NODES, "clusters[].nodes[].host", OPTION_STRING, OPTION_REQUIRED,
	  AT(config_node, host), BOUNDS(1, 255),
	  .description = "Host name, address, or the directory of the server's unix socket." },
	{ SECTION_NODES, "clusters[].nodes[].port", OPTION_INT, 0, AT(config_node, port),
	  BOUNDS(PORT_LOWEST, PORT_MAX), .default_value = "5432",
	  .description = "Port of the server." },
	{ SECTION_NODES, "clusters[].nodes[].weight", OPTION_INT, 0, AT(config_node, weight),
	  BOUNDS(0, 10000), .default_value = "100",
	  .description = "Share of the reads, relative to the other nodes; 0: never chosen for "
			 "reads." },
	{ SECTION_NODES, "clusters[].nodes[].zone", OPTION_STRING, 0, AT(config_node, zone),
	  BOUNDS(0, NAME_BYTES), .default_value = "",
	  .description = "Where the node is; nodes of the same zone are near each other." },
	{ SECTION_MONITOR, "clusters[].monitor.user", OPTION_STRING, 0,
	  AT(config_cluster, monitor.user), BOUNDS(0, NAME_BYTES), .default_value = "",
	  .description = "Probes log in as this user; empty: libpq's default." },
	{ SECTION_MONITOR, "clusters[].monitor.password", OPTION_SECRET, 0,
	  AT(config_cluster, monitor.password), BOUNDS(0, TEXT_BYTES), .default_value = "",
	  .description = "Their password; empty: libpq's default." },
	{ SECTION_MONITOR, "clusters[].monitor.database", OPTION_STRING, 0,
	  AT(config_cluster, monitor.database), BOUNDS(1, NAME_BYTES),
	  .default_value = "postgres",
	  .description = "The database that they connect to." },
	{ SECTION_MONITOR, "clusters[].monitor.interval", OPTION_DURATION, 0,
	  AT(config_cluster, monitor.interval), BOUNDS(MS(10), SEC(3600)), .default_value = "1s",
	  .description = "Time between two probes of a node." },
	{ SECTION_MONITOR, "clusters[].monitor.timeout", OPTION_DURATION, 0,
	  AT(config_cluster, monitor.timeout), BOUNDS(MS(10), SEC(3600)), .default_value = "2s",
	  .description = "A probe that takes longer, connecting included, has failed." },
	{ SECTION_MAX_LAG, "clusters[].max_lag.preferred", OPTION_DURATION, 0,
	  AT(config_cluster, max_lag.preferred), BOUNDS(0, LONG_TIME), .default_value = "1s",
	  .description = "Replicas that are staler are used only when no better one is there." },
	{ SECTION_MAX_LAG, "clusters[].max_lag.hard", OPTION_DURATION, 0,
	  AT(config_cluster, max_lag.hard), BOUNDS(0, LONG_TIME), .default_value = "10s",
	  .description = "Replicas that are staler are not used." },

	/* --- databases --- */
	{ DATABASE_OPTION(name), .type = OPTION_STRING, .flags = OPTION_REQUIRED,
	  BOUNDS(1, NAME_BYTES),
	  .description = "What clients connect to; \"*\": any database that no other entry names." },
	{ DATABASE_OPTION(cluster), .type = OPTION_STRING, .flags = OPTION_REQUIRED,
	  BOUNDS(1, NAME_BYTES),
	  .description = "The cluster that has it." },
	{ DATABASE_OPTION(dbname), .type = OPTION_STRING, .flags = OPTION_NULL,
	  BOUNDS(1, NAME_BYTES),
	  .description = "Its name on the servers, where that differs." },
	{ DATABASE_OPTION(user), .type = OPTION_STRING, .flags = OPTION_NULL, BOUNDS(1, NAME_BYTES),
	  .description = "Log in to the servers as this user instead of the client's." },
	{ DATABASE_OPTION(password), .type = OPTION_SECRET, .flags = OPTION_NULL,
	  BOUNDS(1, TEXT_BYTES),
	  .description = "The password of `user`; without it, that of the user list." },
	{ DATABASE_OPTION(auth_user), .type = OPTION_STRING, .flags = OPTION_INHERITED,
	  BOUNDS(0, NAME_BYTES), .description = "Overrides the global option." },
	{ DATABASE_OPTION(auth_query), .type = OPTION_STRING, .flags = OPTION_INHERITED,
	  BOUNDS(1, TEXT_BYTES), .description = "Overrides the global option." },
	{ DATABASE_OPTION(auth_dbname), .type = OPTION_STRING, .flags = OPTION_INHERITED,
	  BOUNDS(0, NAME_BYTES), .description = "Overrides the global option." },
	{ DATABASE_OPTION(pool_mode), .type = OPTION_ENUM, .flags = OPTION_INHERITED,
	  .words = &pool_mode_words, .description = "Overrides the global option." },
	{ DATABASE_OPTION(default_pool_size), .type = OPTION_INT, .flags = OPTION_INHERITED,
	  BOUNDS(1, 100000), .description = "Overrides the global option." },
	{ DATABASE_OPTION(min_pool_size), .type = OPTION_INT, .flags = OPTION_INHERITED,
	  BOUNDS(0, 100000), .description = "Overrides the global option." },
	{ DATABASE_OPTION(reserve_pool_size), .type = OPTION_INT, .flags = OPTION_INHERITED,
	  BOUNDS(0, 100000), .description = "Overrides the global option." },
	{ DATABASE_OPTION(max_db_connections), .type = OPTION_INT, .flags = OPTION_INHERITED,
	  BOUNDS(0, MANY), .description = "Overrides the global option." },
	{ DATABASE_OPTION(max_db_client_connections), .type = OPTION_INT,
	  .flags = OPTION_INHERITED, BOUNDS(0, MANY),
	  .description = "Overrides the global option." },
	{ DATABASE_OPTION(query_wait_timeout), .type = OPTION_DURATION, .flags = OPTION_INHERITED,
	  BOUNDS(0, LONG_TIME), .description = "Overrides the global option." },
	{ DATABASE_OPTION(server_lifetime), .type = OPTION_DURATION, .flags = OPTION_INHERITED,
	  BOUNDS(0, LONG_TIME), .description = "Overrides the global option." },
	{ DATABASE_OPTION(split), .type = OPTION_ENUM, .flags = OPTION_INHERITED,
	  .words = &split_words, .description = "Overrides the global option." },
	{ DATABASE_OPTION(read_hint), .type = OPTION_ENUM, .flags = OPTION_INHERITED,
	  .words = &read_hint_words, .description = "Overrides the global option." },
	{ DATABASE_OPTION(consistency), .type = OPTION_ENUM, .flags = OPTION_INHERITED,
	  .words = &consistency_words, .description = "Overrides the global option." },
	{ DATABASE_OPTION(max_staleness), .type = OPTION_DURATION, .flags = OPTION_INHERITED,
	  BOUNDS(0, LONG_TIME), .description = "Overrides the global option." },
	{ DATABASE_OPTION(on_no_replica), .type = OPTION_ENUM, .flags = OPTION_INHERITED,
	  .words = &no_replica_words, .description = "Overrides the global option." },

	/* --- users --- */
	{ SECTION_USERS, "users[].name", OPTION_STRING, OPTION_REQUIRED, AT(config_user, name),
	  BOUNDS(1, NAME_BYTES), .description = "Whose limits these are." },
	{ USER_OPTION(pool_mode), .type = OPTION_ENUM, .words = &pool_mode_words,
	  .description = "Overrides that of every database, for clients of this user." },
	{ USER_OPTION(pool_size), .type = OPTION_INT, BOUNDS(1, 100000),
	  .description = "Overrides default_pool_size, for pools that log in as this user." },
	{ USER_OPTION(reserve_pool_size), .type = OPTION_INT, BOUNDS(0, 100000),
	  .description = "Overrides the option of that name, for the same pools." },
	{ USER_OPTION(max_user_connections), .type = OPTION_INT, BOUNDS(0, MANY),
	  .description = "Overrides the global option, for the same pools." },
	{ USER_OPTION(max_user_client_connections), .type = OPTION_INT, BOUNDS(0, MANY),
	  .description = "Overrides the global option." },
	{ USER_OPTION(query_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .description = "Overrides the global option, for clients of this user." },
	{ USER_OPTION(query_wait_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .description = "Overrides the global option." },
	{ USER_OPTION(idle_transaction_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .description = "Overrides the global option." },
	{ USER_OPTION(transaction_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .description = "Overrides the global option." },
	{ USER_OPTION(client_idle_timeout), .type = OPTION_DURATION, BOUNDS(0, LONG_TIME),
	  .description = "Overrides the global option." },
};

/* clang-format on */

#define OPTION_COUNT (sizeof(options) / sizeof(options[0]))

size_t option_count(void)
{
	return OPTION_COUNT;
}

const struct option *option_at(size_t index)
{
	ASSERT(index < OPTION_COUNT);
	return &options[index];
}

const struct section *section_at(enum section_id id)
{
	ASSERT(id < SECTION_COUNT);
	return &sections[id];
}

const char *option_name(const struct option *option)
{
	const char *dot = strrchr(option->path, '.');

	return dot ? dot + 1 : option->path;
}

const struct option *option_find(enum section_id section, const char *name)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (options[i].section == section && strcmp(option_name(&options[i]), name) == 0)
			return &options[i];
	}
	return NULL;
}

const struct option *option_find_path(const char *path)
{
	for (size_t i = 0; i < OPTION_COUNT; i++) {
		if (strcmp(options[i].path, path) == 0)
			return &options[i];
	}
	return NULL;
}

enum section_id section_find(enum section_id parent, const char *name)
{
	for (int i = 0; i < SECTION_COUNT; i++) {
		if (sections[i].parent == parent && strcmp(sections[i].name, name) == 0)
			return (enum section_id)i;
	}
	return SECTION_COUNT;
}

unsigned option_number(const struct option *option)
{
	const struct option *first = option;

	while (first > options && first[-1].section == option->section)
		first--;
	return (unsigned)(option - first);
}

bool option_is_fixed(const struct option *option)
{
	return ((option->flags | sections[option->section].flags) & OPTION_FIXED) != 0;
}

const char *option_type_name(enum option_type type)
{
	static const char *const names[OPTION_TYPE_COUNT] = {
		[OPTION_BOOL] = "bool",         [OPTION_INT] = "integer",
		[OPTION_DURATION] = "duration", [OPTION_SIZE] = "size",
		[OPTION_ENUM] = "word",         [OPTION_STRING] = "string",
		[OPTION_PATH] = "path",         [OPTION_SECRET] = "secret",
		[OPTION_STRINGS] = "strings",
	};

	ASSERT(type < OPTION_TYPE_COUNT);
	return names[type];
}
