/*
 * The tables of SHOW as data, and the command that prints one: gather on the workers where
 * needed, merge, render. Names, order and types of PgBouncer's columns are a contract with its
 * exporters, see docs/admin.md; ours come after them. Control thread.
 */
#include "admin/show.h"

#include <stdlib.h>

#include "admin/gather.h"
#include "admin/job.h"
#include "admin/text.h"
#include "admin/console_private.h"

#define T OID_TEXT
#define I OID_INT4
#define L OID_INT8
#define N OID_NUMERIC

static const struct build_column version_columns[] = { { "version", T } };

/* As the view pg_hba_file_rules. */
static const struct build_column hba_columns[] = {
	{ "rule_number", I }, { "file_name", T },   { "line_number", I },
	{ "type", T },        { "database", T },    { "user_name", T },
	{ "address", T },     { "auth_method", T }, { "options", T },
};

static const struct build_column config_columns[] = {
	{ "key", T }, { "value", T }, { "default", T }, { "changeable", T }, { "description", T },
};

static const struct build_column database_columns[] = {
	{ "name", T },
	{ "host", T },
	{ "port", I },
	{ "database", T },
	{ "force_user", T },
	{ "pool_size", I },
	{ "min_pool_size", I },
	{ "reserve_pool_size", I },
	{ "server_lifetime", I },
	{ "pool_mode", T },
	{ "load_balance_hosts", T },
	{ "max_connections", I },
	{ "current_connections", I },
	{ "max_client_connections", I },
	{ "current_client_connections", I },
	{ "paused", I },
	{ "disabled", I },
	{ "cluster", T },
	{ "nodes", I },
	{ "split", T },
	{ "read_hint", T },
	{ "consistency", T },
};

static const struct build_column pool_columns[] = {
	{ "database", T },
	{ "user", T },
	{ "cl_active", I },
	{ "cl_waiting", I },
	{ "cl_active_cancel_req", I },
	{ "cl_waiting_cancel_req", I },
	{ "sv_active", I },
	{ "sv_active_cancel", I },
	{ "sv_being_canceled", I },
	{ "sv_idle", I },
	{ "sv_used", I },
	{ "sv_tested", I },
	{ "sv_login", I },
	{ "maxwait", I },
	{ "maxwait_us", I },
	{ "pool_mode", T },
	{ "load_balance_hosts", T },
	{ "cluster", T },
	{ "node", T },
	{ "role", T },
};

#define SOCKET_COLUMNS                                                                         \
	{ "type", T }, { "user", T }, { "database", T }, { "replication", T }, { "state", T }, \
		{ "addr", T }, { "port", I }, { "local_addr", T }, { "local_port", I },        \
		{ "connect_time", T }, { "request_time", T }, { "wait", I }, { "wait_us", I }, \
		{ "close_needed", I }, { "ptr", T }, { "link", T }, { "remote_pid", I },       \
		{ "tls", T }, { "application_name", T }, { "prepared_statements", I },         \
	{                                                                                      \
		"id", L                                                                        \
	}

#define OWN_SOCKET_COLUMNS           \
	{ "node", T }, { "pin", T }, \
	{                            \
		"worker", I          \
	}

static const struct build_column client_columns[] = { SOCKET_COLUMNS, OWN_SOCKET_COLUMNS };

static const struct build_column socket_columns[] = {
	SOCKET_COLUMNS,      { "recv_pos", I },   { "pkt_pos", I },
	{ "pkt_remain", I }, { "send_pos", I },   { "send_remain", I },
	{ "pkt_avail", I },  { "send_avail", I }, OWN_SOCKET_COLUMNS,
};

static const struct build_column user_columns[] = {
	{ "name", T },
	{ "pool_size", T },
	{ "reserve_pool_size", T },
	{ "pool_mode", T },
	{ "max_user_connections", I },
	{ "current_connections", I },
	{ "max_user_client_connections", I },
	{ "current_client_connections", I },
};

static const struct build_column list_columns[] = { { "list", T }, { "items", I } };

static const struct build_column stats_columns[] = {
	{ "database", T },
	{ "total_server_assignment_count", N },
	{ "total_xact_count", N },
	{ "total_query_count", N },
	{ "total_received", N },
	{ "total_sent", N },
	{ "total_xact_time", N },
	{ "total_query_time", N },
	{ "total_wait_time", N },
	{ "total_client_parse_count", N },
	{ "total_server_parse_count", N },
	{ "total_bind_count", N },
	{ "total_client_login_count", N },
	{ "avg_server_assignment_count", N },
	{ "avg_xact_count", N },
	{ "avg_query_count", N },
	{ "avg_recv", N },
	{ "avg_sent", N },
	{ "avg_xact_time", N },
	{ "avg_query_time", N },
	{ "avg_wait_time", N },
	{ "avg_client_parse_count", N },
	{ "avg_server_parse_count", N },
	{ "avg_bind_count", N },
	{ "avg_client_login_count", N },
};

static const struct build_column stats_totals_columns[] = {
	{ "database", T },           { "server_assignment_count", N },
	{ "xact_count", N },         { "query_count", N },
	{ "bytes_received", N },     { "bytes_sent", N },
	{ "xact_time", N },          { "query_time", N },
	{ "wait_time", N },          { "client_parse_count", N },
	{ "server_parse_count", N }, { "bind_count", N },
	{ "client_login_count", N },
};

static const struct build_column stats_averages_columns[] = {
	{ "database", T },
	{ "server_assignment_count", N },
	{ "xact_count", N },
	{ "query_count", N },
	{ "bytes_received", N },
	{ "bytes_sent", N },
	{ "xact_time", N },
	{ "query_time", N },
	{ "wait_time", N },
	{ "avg_client_parse_count", N },
	{ "avg_server_parse_count", N },
	{ "avg_bind_count", N },
	{ "avg_client_login_count", N },
};

static const struct build_column totals_columns[] = { { "name", T }, { "value", N } };

static const struct build_column mem_columns[] = {
	{ "name", T }, { "size", I }, { "used", I }, { "free", I }, { "memtotal", L },
};

static const struct build_column state_columns[] = { { "key", T }, { "value", T } };

static const struct build_column peer_columns[] = {
	{ "peer_id", I },
	{ "host", T },
	{ "port", I },
	{ "pool_size", I },
};

static const struct build_column peer_pool_columns[] = {
	{ "peer_id", I },
	{ "cl_active_cancel_req", I },
	{ "cl_waiting_cancel_req", I },
	{ "sv_active_cancel", I },
	{ "sv_login", I },
};

static const struct build_column dns_host_columns[] = {
	{ "hostname", T },
	{ "ttl", L },
	{ "addrs", T },
};

static const struct build_column dns_zone_columns[] = {
	{ "zonename", T },
	{ "serial", L },
	{ "count", I },
};

static const struct build_column fd_columns[] = {
	{ "fd", I },          { "task", T },      { "user", T },
	{ "database", T },    { "addr", T },      { "port", I },
	{ "cancel", L },      { "link", I },      { "client_encoding", T },
	{ "std_strings", T }, { "datestyle", T }, { "timezone", T },
	{ "password", T },
};

static const struct build_column node_columns[] = {
	{ "cluster", T },       { "name", T },           { "host", T },      { "port", I },
	{ "role", T },          { "state", T },          { "weight", I },    { "zone", T },
	{ "lsn", T },           { "timeline", I },       { "lag_bytes", L }, { "lag_ms", L },
	{ "staleness_ms", L },  { "in_flight", I },      { "waiting", I },   { "rtt_us", L },
	{ "probed_ms_ago", L }, { "changed_ms_ago", L }, { "reason", T },
};

static const struct build_column route_columns[] = {
	{ "database", T },
	{ "target", T },
	{ "reason", T },
	{ "count", N },
};

static const struct build_column chain_columns[] = {
	{ "position", I }, { "stage", T },  { "entered", N }, { "passed", N },  { "waited", N },
	{ "answered", N }, { "failed", N }, { "broken", N },  { "time_us", N },
};

static const struct build_column pin_columns[] = {
	{ "client", L }, { "user", T },   { "database", T }, { "node", T },
	{ "reason", T }, { "for_ms", L }, { "server", L },
};

static const struct build_column pin_reason_columns[] = {
	{ "reason", T },
	{ "begun", N },
	{ "ended", N },
	{ "sessions", N },
};

static const struct build_column channel_columns[] = {
	{ "cluster", T }, { "database", T }, { "channel", T }, { "sessions", I }, { "state", T },
};

static const struct build_column prepared_columns[] = {
	{ "name", T },  { "form", T },    { "worker", I }, { "references", I },
	{ "bytes", L }, { "servers", I }, { "parses", L }, { "prepares", L },
	{ "uses", L },  { "expired", L }, { "text", T },
};

static const struct build_column cancel_columns[] = { { "name", T }, { "count", N } };

#define COLUMNS(columns)  columns, sizeof(columns) / sizeof((columns)[0])
#define GATHER(what, row) gather_##what, sizeof(struct row##_row), row##_row_compare
#define NOTHING           NULL, 0, NULL, NULL

static const struct show shows[] = {
	{ "CONFIG", RIGHT_STATS, COLUMNS(config_columns), show_config, NOTHING },
	{ "DATABASES", RIGHT_STATS, COLUMNS(database_columns), show_databases,
	  GATHER(databases, database), database_row_fold },
	{ "POOLS", RIGHT_STATS, COLUMNS(pool_columns), show_pools, GATHER(pools, pool),
	  pool_row_fold },
	{ "CLIENTS", RIGHT_STATS, COLUMNS(client_columns), show_clients, GATHER(clients, socket),
	  NULL },
	{ "SERVERS", RIGHT_STATS, COLUMNS(client_columns), show_servers, GATHER(servers, socket),
	  NULL },
	{ "SOCKETS", RIGHT_STATS, COLUMNS(socket_columns), show_sockets, GATHER(sockets, socket),
	  NULL },
	{ "ACTIVE_SOCKETS", RIGHT_STATS, COLUMNS(socket_columns), show_active_sockets,
	  GATHER(sockets, socket), NULL },
	{ "USERS", RIGHT_STATS, COLUMNS(user_columns), show_users, GATHER(users, user),
	  user_row_fold },
	{ "LISTS", RIGHT_STATS, COLUMNS(list_columns), show_lists, GATHER(lists, list),
	  list_row_fold },
	{ "STATS", RIGHT_STATS, COLUMNS(stats_columns), show_stats, GATHER(databases, database),
	  database_row_fold },
	{ "STATS_TOTALS", RIGHT_STATS, COLUMNS(stats_totals_columns), show_stats_totals,
	  GATHER(databases, database), database_row_fold },
	{ "STATS_AVERAGES", RIGHT_STATS, COLUMNS(stats_averages_columns), show_stats_averages,
	  GATHER(databases, database), database_row_fold },
	{ "TOTALS", RIGHT_STATS, COLUMNS(totals_columns), show_totals,
	  GATHER(databases, database), database_row_fold },
	{ "VERSION", RIGHT_STATS, COLUMNS(version_columns), show_version, NOTHING },
	{ "STATE", RIGHT_STATS, COLUMNS(state_columns), show_state, NOTHING },
	{ "MEM", RIGHT_STATS, COLUMNS(mem_columns), show_mem, GATHER(memory, memory),
	  memory_row_fold },
	{ "NODES", RIGHT_STATS, COLUMNS(node_columns), show_nodes, NOTHING },
	{ "HBA", RIGHT_ADMIN, COLUMNS(hba_columns), show_hba, NOTHING },
	{ "ROUTES", RIGHT_STATS, COLUMNS(route_columns), show_routes, GATHER(routes, route),
	  route_row_fold },
	{ "CHAIN", RIGHT_STATS, COLUMNS(chain_columns), show_chain, GATHER(stages, stage),
	  stage_row_fold },
	{ "PINS", RIGHT_STATS, COLUMNS(pin_columns), show_pins, GATHER(clients, socket), NULL },
	{ "PIN_REASONS", RIGHT_STATS, COLUMNS(pin_reason_columns), show_pin_reasons,
	  GATHER(pins, pin), pin_row_fold },
	{ "CHANNELS", RIGHT_STATS, COLUMNS(channel_columns), show_channels,
	  GATHER(channels, channel), channel_row_fold },
	{ "PREPARED", RIGHT_ADMIN, COLUMNS(prepared_columns), show_prepared,
	  GATHER(prepared, prepared), NULL },
	{ "CANCELS", RIGHT_STATS, COLUMNS(cancel_columns), show_cancels, NOTHING },
	{ "PEERS", RIGHT_STATS, COLUMNS(peer_columns), show_nothing, NOTHING },
	{ "PEER_POOLS", RIGHT_STATS, COLUMNS(peer_pool_columns), show_nothing, NOTHING },
	{ "DNS_HOSTS", RIGHT_STATS, COLUMNS(dns_host_columns), show_nothing, NOTHING },
	{ "DNS_ZONES", RIGHT_STATS, COLUMNS(dns_zone_columns), show_nothing, NOTHING },
	{ "FDS", RIGHT_ADMIN, COLUMNS(fd_columns), show_nothing, NOTHING },
};

const struct show *show_at(size_t index)
{
	return index < sizeof(shows) / sizeof(shows[0]) ? &shows[index] : NULL;
}

const struct show *show_find(const char *name)
{
	const struct show *show;

	for (size_t i = 0; (show = show_at(i)) != NULL; i++) {
		if (text_is(name, show->name))
			return show;
	}
	return NULL;
}

static void on_gathered(struct job *job, void *const *results, int n_results)
{
	const struct show *show = job->plan.show;
	struct rows *rows =
		rows_merge(results, n_results, show->row_size, show->compare, show->fold);

	if (!rows) {
		job_fail(job, "53200", "pointsman: out of memory");
		return;
	}
	show->render(job->console, rows, &job->table);
	free(rows);
	job_complete(job, "SHOW");
}

void show_run(struct job *job)
{
	const struct show *show = job->plan.show;

	if (show->gather) {
		job_ask(job, show->gather, NULL, on_gathered);
		return;
	}
	show->render(job->console, NULL, &job->table);
	job_complete(job, "SHOW");
}
