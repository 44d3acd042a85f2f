/*
 * The console: PgBouncer's commands with PgBouncer's columns in PgBouncer's order, who may use
 * it, and what each command does to clients and servers. Also reloads by signal.
 */
#include "integration.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct test_proxy *proxy;

static void set_up(void)
{
	proxy = proxy_must_start(
		&(struct proxy_options){ .workers = 2, .auth = "scram-sha-256" });
}

static void tear_down(void)
{
	proxy_must_stop_after_errors(&proxy);
}

/* --- what is shown --- */

#define CLIENT_COLUMNS                                                                       \
	"type,user,database,replication,state,addr,port,local_addr,local_port,connect_time," \
	"request_time,wait,wait_us,close_needed,ptr,link,remote_pid,tls,application_name,"   \
	"prepared_statements,id"
#define STATS_FIELDS(prefix, received)                                                      \
	prefix "server_assignment_count," prefix "xact_count," prefix                       \
	       "query_count," prefix received "," prefix "sent," prefix "xact_time," prefix \
	       "query_time," prefix "wait_time," prefix "client_parse_count," prefix        \
	       "server_parse_count," prefix "bind_count," prefix "client_login_count"

static const struct {
	const char *command;
	const char *columns;
} shows[] = {
	{ "SHOW POOLS", "database,user,cl_active,cl_waiting,cl_active_cancel_req,cl_waiting_"
			"cancel_req,sv_active,"
			"sv_active_cancel,sv_being_canceled,sv_idle,sv_used,sv_tested,sv_login,"
			"maxwait,maxwait_us,"
			"pool_mode,load_balance_hosts" },
	{ "SHOW CLIENTS", CLIENT_COLUMNS },
	{ "SHOW SERVERS", CLIENT_COLUMNS },
	{ "SHOW SOCKETS",
	  CLIENT_COLUMNS ",recv_pos,pkt_pos,pkt_remain,send_pos,send_remain,pkt_avail,"
			 "send_avail" },
	{ "SHOW ACTIVE_SOCKETS",
	  CLIENT_COLUMNS ",recv_pos,pkt_pos,pkt_remain,send_pos,send_remain,"
			 "pkt_avail,send_avail" },
	{ "SHOW STATS",
	  "database," STATS_FIELDS("total_", "received") "," STATS_FIELDS("avg_", "recv") },
	{ "SHOW STATS_TOTALS",
	  "database,server_assignment_count,xact_count,query_count,bytes_received,bytes_sent,"
	  "xact_time,query_time,wait_time,client_parse_count,server_parse_count,bind_count,"
	  "client_login_count" },
	{ "SHOW STATS_AVERAGES",
	  "database,server_assignment_count,xact_count,query_count,bytes_received,bytes_sent,"
	  "xact_time,query_time,wait_time,avg_client_parse_count,avg_server_parse_count,"
	  "avg_bind_count,avg_client_login_count" },
	{ "SHOW TOTALS", "name,value" },
	{ "SHOW DATABASES",
	  "name,host,port,database,force_user,pool_size,min_pool_size,reserve_pool_size,"
	  "server_lifetime,pool_mode,load_balance_hosts,max_connections,current_connections,"
	  "max_client_connections,current_client_connections,paused,disabled" },
	{ "SHOW USERS",
	  "name,pool_size,reserve_pool_size,pool_mode,max_user_connections,current_connections,"
	  "max_user_client_connections,current_client_connections" },
	{ "SHOW LISTS", "list,items" },
	{ "SHOW CONFIG", "key,value,default,changeable" },
	{ "SHOW PEERS", "peer_id,host,port,pool_size" },
	{ "SHOW PEER_POOLS",
	  "peer_id,cl_active_cancel_req,cl_waiting_cancel_req,sv_active_cancel,sv_login" },
	{ "SHOW MEM", "name,size,used,free,memtotal" },
	{ "SHOW STATE", "key,value" },
	{ "SHOW VERSION", "version" },
	{ "SHOW DNS_HOSTS", "hostname,ttl,addrs" },
	{ "SHOW DNS_ZONES", "zonename,serial,count" },
	{ "SHOW NODES", "" },
	{ "SHOW ROUTES", "" },
	{ "SHOW CHAIN", "" },
	{ "SHOW PINS", "" },
	{ "SHOW PIN_REASONS", "reason,begun,ended,sessions" },
	{ "SHOW PREPARED",
	  "name,form,worker,references,bytes,servers,parses,prepares,uses,expired,text" },
};

/* The columns begin with these; ours may follow. */
static void columns_must_begin_with(const PGresult *result, const char *command,
				    const char *columns)
{
	char *list = strdup(columns);
	char *rest = list;
	const char *name;
	int i = 0;

	ck_assert_ptr_nonnull(list);
	while (columns[0] != '\0' && (name = strsep(&rest, ",")) != NULL) {
		ck_assert_msg(i < PQnfields(result) && strcmp(PQfname(result, i), name) == 0,
			      "%s: column %d is %s, not %s", command, i,
			      i < PQnfields(result) ? PQfname(result, i) : "missing", name);
		i++;
	}
	free(list);
}

START_TEST(test_show)
{
	PGconn *admin = proxy_admin_connect(proxy);
	PGconn *client = db_open(proxy);
	PGresult *result;

	ck_assert_ptr_nonnull(admin);
	db_exec(client, "SELECT 1");
	result = PQexec(admin, shows[_i].command);
	ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(admin));
	ck_assert_str_eq(PQcmdStatus(result), "SHOW");
	columns_must_begin_with(result, shows[_i].command, shows[_i].columns);
	PQclear(result);
	PQfinish(client);
	PQfinish(admin);
}
END_TEST

/* Modern drivers know nothing else: Parse, Describe, Bind without parameters, Execute. */
START_TEST(test_show_extended)
{
	PGconn *admin = proxy_admin_connect(proxy);
	PGresult *result;

	ck_assert_ptr_nonnull(admin);
	result = PQexecParams(admin, shows[_i].command, 0, NULL, NULL, NULL, NULL, 0);
	ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(admin));
	columns_must_begin_with(result, shows[_i].command, shows[_i].columns);
	PQclear(result);
	result = PQprepare(admin, "named", shows[_i].command, 0, NULL);
	ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(admin));
	PQclear(result);
	result = PQdescribePrepared(admin, "named");
	ck_assert_msg(PQresultStatus(result) == PGRES_COMMAND_OK, "%s", PQerrorMessage(admin));
	columns_must_begin_with(result, shows[_i].command, shows[_i].columns);
	PQclear(result);
	result = PQexecPrepared(admin, "named", 0, NULL, NULL, NULL, 0);
	ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s", PQerrorMessage(admin));
	PQclear(result);
	PQfinish(admin);
}
END_TEST

static char last_notice[8192];

static void on_notice(void *arg, const PGresult *result)
{
	(void)arg;
	snprintf(last_notice, sizeof(last_notice), "%s %s",
		 PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY),
		 PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
}

START_TEST(test_help)
{
	PGconn *admin = proxy_admin_connect(proxy);

	ck_assert_ptr_nonnull(admin);
	PQsetNoticeReceiver(admin, on_notice, NULL);
	db_exec(admin, "SHOW HELP");
	ck_assert_int_eq(strncmp(last_notice, "Console usage", 13), 0);
	ck_assert_ptr_nonnull(strstr(last_notice, "SHOW"));
	ck_assert_ptr_nonnull(strstr(last_notice, "RELOAD"));
	PQfinish(admin);
}
END_TEST

/* Any case, with or without a semicolon; drivers' questions; nonsense is an error and no more. */
START_TEST(test_spelling)
{
	PGconn *admin = proxy_admin_connect(proxy);

	ck_assert_ptr_nonnull(admin);
	db_exec(admin, "show pools");
	db_exec(admin, "SHOW VERSION;");
	db_exec(admin, "  Show   Lists ; ");
	ck_assert_str_ne(db_error(admin, "SHOW NONSENSE"), "");
	ck_assert_str_ne(db_error(admin, "NONSENSE"), "");
	ck_assert_str_ne(db_error(admin, "KILL_CLIENT nonsense"), "");
	ck_assert_str_ne(db_error(admin, "SET nonsense = 1"), "");
	db_error(admin, ";");
	db_error(admin, "");
	db_exec(admin, "SHOW client_encoding");
	db_exec(admin, "SHOW datestyle");
	db_exec(admin, "SHOW POOLS");
	PQfinish(admin);
}
END_TEST

START_TEST(test_what_is_shown)
{
	PGconn *client = db_open_as(proxy, "app", "app", "application_name=shown");
	PGconn *admin = proxy_admin_connect(proxy);
	PGresult *result;
	bool found = false;
	long long before;

	db_exec(client, "BEGIN");
	db_exec(client, "SELECT 1");
	result = PQexec(admin, "SHOW CLIENTS");
	for (int i = 0; i < PQntuples(result); i++) {
		if (strcmp(PQgetvalue(result, i, PQfnumber(result, "application_name")),
			   "shown") != 0)
			continue;
		found = true;
		ck_assert_str_eq(PQgetvalue(result, i, PQfnumber(result, "type")), "C");
		ck_assert_str_eq(PQgetvalue(result, i, PQfnumber(result, "user")), "app");
		ck_assert_str_eq(PQgetvalue(result, i, PQfnumber(result, "database")), "app");
		ck_assert_str_eq(PQgetvalue(result, i, PQfnumber(result, "addr")), "127.0.0.1");
		ck_assert_str_ne(PQgetvalue(result, i, PQfnumber(result, "link")), "");
	}
	PQclear(result);
	ck_assert_msg(found, "SHOW CLIENTS has the client");
	ck_assert_int_eq(proxy_admin_sum(proxy, "SHOW POOLS", "sv_active", NULL, NULL), 1);
	db_exec(client, "COMMIT");
	ck_assert_int_eq(proxy_admin_sum(proxy, "SHOW POOLS", "sv_active", NULL, NULL), 0);
	/* Statistics count. */
	before = proxy_admin_sum(proxy, "SHOW STATS", "total_query_count", "database", "app");
	for (int i = 0; i < 25; i++)
		db_exec(client, "SELECT 1");
	ck_assert_int_eq(
		proxy_admin_sum(proxy, "SHOW STATS", "total_query_count", "database", "app"),
		before + 25);
	PQfinish(client);
	PQfinish(admin);
}
END_TEST

START_TEST(test_nodes_are_shown)
{
	PGresult *result = proxy_admin(proxy, "SHOW NODES");
	int name = PQfnumber(result, "name");
	int role = PQfnumber(result, "role");
	int port = PQfnumber(result, "port");

	ck_assert_int_eq(PQntuples(result), 3);
	ck_assert_msg(name != -1 && role != -1 && port != -1,
		      "SHOW NODES has name, role and port");
	for (int i = 0; i < 3; i++) {
		size_t node = node_index(PQgetvalue(result, i, name));

		ck_assert_str_eq(PQgetvalue(result, i, role), node == 0 ? "primary" : "replica");
		ck_assert_int_eq(atoi(PQgetvalue(result, i, port)), servers->nodes[node].port);
	}
	PQclear(result);
}
END_TEST

/* --- who may --- */

START_TEST(test_rights)
{
	PGconn *admin = db_open_as(proxy, "admin", _i == 0 ? "pgbouncer" : "pointsman", NULL);
	PGconn *stats = db_open_as(proxy, "stats", _i == 0 ? "pgbouncer" : "pointsman", NULL);
	static const char *const changes[] = {
		"RELOAD",      "PAUSE",      "RESUME",    "SET log_level = 'info'",
		"KILL",        "SHUTDOWN",   "RECONNECT", "KILL_CLIENT 1",
		"DISABLE app", "ENABLE app", "SHOW FDS"
	};
	PGconn *other;

	db_exec(admin, "SHOW POOLS");
	db_exec(admin, "RELOAD");
	db_exec(stats, "SHOW POOLS");
	db_exec(stats, "SHOW STATS");
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++)
		ck_assert_str_ne(db_error(stats, changes[i]), "");
	PQfinish(admin);
	PQfinish(stats);
	/* Nobody else, and nobody without a password. */
	other = proxy_connect(proxy, "app", "pgbouncer");
	ck_assert_int_eq(PQstatus(other), CONNECTION_BAD);
	PQfinish(other);
	other = proxy_connect_with(proxy, "admin", "pgbouncer", "password=wrong");
	ck_assert_int_eq(PQstatus(other), CONNECTION_BAD);
	PQfinish(other);
	ck_assert(proxy_is_alive(proxy));
}
END_TEST

/* --- what commands do; each test has a proxy of its own --- */

static struct test_proxy *own;
static PGconn *console;

static void start_own(void)
{
	own = proxy_must_start(&(struct proxy_options){ .workers = 2 });
	console = proxy_admin_connect(own);
	ck_assert_ptr_nonnull(console);
}

static void stop_own(void)
{
	PQfinish(console);
	proxy_must_stop_after_errors(&own);
}

static bool is_waiting(PGconn *conn)
{
	ck_assert_int_eq(PQconsumeInput(conn), 1);
	return PQisBusy(conn) == 1;
}

static void collect_success(PGconn *conn)
{
	PGresult *result;

	while ((result = PQgetResult(conn)) != NULL) {
		ck_assert_msg(PQresultStatus(result) == PGRES_TUPLES_OK, "%s",
			      PQerrorMessage(conn));
		PQclear(result);
	}
}

START_TEST(test_pause_and_resume)
{
	static const char *const commands[][2] = { { "PAUSE", "RESUME" },
						   { "PAUSE app", "RESUME app" } };
	PGconn *one, *two;

	start_own();
	one = db_open(own);
	two = db_open(own);
	db_exec(one, "SELECT 1");
	db_exec(console, commands[_i][0]);
	ck_assert_int_eq(PQsendQuery(one, "SELECT 1"), 1);
	ck_assert_int_eq(PQsendQuery(two, "SELECT 2"), 1);
	admin_must_reach(own, "SHOW POOLS", "cl_waiting", 2);
	ck_assert(is_waiting(one) && is_waiting(two));
	if (_i == 1)
		ck_assert_int_eq(proxy_admin_sum(own, "SHOW DATABASES", "paused", "name", "app"),
				 1);
	db_exec(console, commands[_i][1]);
	collect_success(one);
	collect_success(two);
	PQfinish(one);
	PQfinish(two);
	stop_own();
}
END_TEST

/* PAUSE answers when all servers are given back: transactions may end. */
START_TEST(test_pause_waits_for_transactions)
{
	PGconn *conn;

	start_own();
	conn = db_open(own);
	db_exec(conn, "BEGIN");
	db_exec(conn, "SELECT 1");
	ck_assert_int_eq(PQsendQuery(console, "PAUSE"), 1);
	db_exec(conn, "SELECT 2");
	ck_assert(is_waiting(console));
	db_exec(conn, "COMMIT");
	while (PQisBusy(console))
		ck_assert_int_eq(PQconsumeInput(console), 1);
	PQclear(PQgetResult(console));
	ck_assert_ptr_null(PQgetResult(console));
	ck_assert_int_eq(proxy_admin_sum(own, "SHOW POOLS", "sv_active", NULL, NULL), 0);
	db_exec(console, "RESUME");
	db_exec(conn, "SELECT 3");
	PQfinish(conn);
	stop_own();
}
END_TEST

START_TEST(test_disable_and_enable)
{
	PGconn *conn;
	PGconn *refused;

	start_own();
	conn = db_open(own);
	db_exec(console, "DISABLE app");
	refused = proxy_connect(own, "app", "app");
	ck_assert_int_eq(PQstatus(refused), CONNECTION_BAD);
	PQfinish(refused);
	/* Who is in stays in. */
	db_exec(conn, "SELECT 1");
	db_exec(console, "ENABLE app");
	PQfinish(conn);
	conn = db_open(own);
	db_exec(conn, "SELECT 1");
	PQfinish(conn);
	stop_own();
}
END_TEST

static const char sessions[] = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app' AND "
			       "usename = 'app' AND backend_type = 'client backend'";

static long long newest_session(void)
{
	return cluster_number(servers, 0, "postgres",
			      "SELECT coalesce(max(extract(epoch FROM backend_start) * 1000000), "
			      "0)::bigint FROM pg_stat_activity WHERE datname = 'app' AND "
			      "usename = 'app'");
}

START_TEST(test_reconnect)
{
	PGconn *conn, *busy;
	long long before;

	start_own();
	conn = db_open(own);
	busy = db_open(own);
	db_exec(busy, "BEGIN");
	db_exec(busy, "DECLARE c CURSOR FOR SELECT 5");
	db_exec(conn, "/* pointsman: read_hint=primary */ SELECT 1");
	before = newest_session();
	db_exec(console, _i == 0 ? "RECONNECT" : "RECONNECT app");
	/* A transaction that is open ends on its old server. */
	ck_assert_int_eq(db_number(busy, "FETCH c"), 5);
	db_exec(busy, "COMMIT");
	db_exec(conn, "/* pointsman: read_hint=primary */ SELECT 1");
	ck_assert_int_gt(newest_session(), before);
	server_must_reach(0, sessions, 1);
	PQfinish(conn);
	PQfinish(busy);
	stop_own();
}
END_TEST

START_TEST(test_kill)
{
	PGconn *conn;

	start_own();
	conn = db_open(own);
	db_exec(conn, "BEGIN");
	db_exec(conn, "SELECT 1");
	db_exec(console, _i == 0 ? "KILL app" : "KILL");
	ck_assert_str_ne(db_error(conn, "SELECT 1"), "");
	PQfinish(conn);
	server_must_reach(0, sessions, 0);
	db_exec(console, _i == 0 ? "RESUME app" : "RESUME");
	conn = db_open(own);
	db_exec(conn, "SELECT 1");
	PQfinish(conn);
	stop_own();
}
END_TEST

/* The id that SHOW CLIENTS gives the client of this name. */
static const char *client_id(const char *application_name)
{
	PGresult *result = PQexec(console, "SHOW CLIENTS");
	static char id[64];

	id[0] = '\0';
	for (int i = 0; i < PQntuples(result); i++) {
		if (strcmp(PQgetvalue(result, i, PQfnumber(result, "application_name")),
			   application_name) == 0)
			snprintf(id, sizeof(id), "%s",
				 PQgetvalue(result, i, PQfnumber(result, "id")));
	}
	PQclear(result);
	return id;
}

START_TEST(test_kill_client)
{
	PGconn *victim, *other;
	char command[96];

	start_own();
	victim = db_open_as(own, "app", "app", "application_name=victim");
	other = db_open_as(own, "app", "app", "application_name=other");
	db_exec(victim, "BEGIN");
	db_exec(victim, "SELECT 1");
	ck_assert_str_ne(client_id("victim"), "");
	snprintf(command, sizeof(command), "KILL_CLIENT %s", client_id("victim"));
	db_exec(console, command);
	ck_assert_str_ne(db_error(victim, "SELECT 1"), "");
	ck_assert_int_eq(PQstatus(victim), CONNECTION_BAD);
	db_exec(other, "SELECT 1");
	ck_assert_str_ne(db_error(console, "KILL_CLIENT 999999999"), "");
	PQfinish(victim);
	PQfinish(other);
	servers_must_get_clean("app");
	stop_own();
}
END_TEST

START_TEST(test_set)
{
	PGresult *result;

	start_own();
	db_exec(console, "SET query_wait_timeout = '7s'");
	result = PQexec(console, "SHOW CONFIG");
	for (int i = 0; i < PQntuples(result); i++) {
		if (strcmp(PQgetvalue(result, i, 0), "query_wait_timeout") == 0)
			ck_assert_str_eq(PQgetvalue(result, i, 1), "7s");
	}
	PQclear(result);
	ck_assert_str_ne(db_error(console, "SET query_wait_timeout = 'soon'"), "");
	ck_assert_str_ne(db_error(console, "SET workers = 3"), "");
	stop_own();
}
END_TEST

/* --- reload --- */

START_TEST(test_reload)
{
	PGconn *conn, *open;

	start_own();
	conn = db_open(own);
	open = db_open(own);
	db_exec(open, "BEGIN");
	ck_assert(is_replica(db_node(conn)));
	own->options.split = "off";
	ck_assert(proxy_write_config(own));
	if (_i == 0)
		db_exec(console, "RELOAD");
	else
		ck_assert(proxy_reload(own));
	for (int i = 0; i < 1000 && strcmp(db_node(conn), "primary") != 0; i++)
		support_poll_pause();
	for (int i = 0; i < 10; i++)
		ck_assert_str_eq(db_node(conn), "primary");
	db_exec(open, "COMMIT");
	PQfinish(conn);
	PQfinish(open);
	stop_own();
}
END_TEST

static const struct {
	const char *text;  /* on line 1 of a file that has no more */
	const char *place; /* how the log names the place, after the file's name */
} broken[] = {
	{ "workers = ;", ":1" },
	{ "no_such_option = 1;", ":1" },
	{ "workers = \"many\";", ":1" },
};

/* a broken file changes nothing, and the log says where it is broken. */
START_TEST(test_broken_reload)
{
	char place[64];
	PGconn *conn;

	start_own();
	conn = db_open(own);
	snprintf(place, sizeof(place), "proxy.conf%s", broken[_i].place);
	ck_assert(support_write_file(own->config, broken[_i].text));
	ck_assert(proxy_reload(own));
	ck_assert(proxy_wait_log(own, place));
	ck_assert(is_replica(db_node(conn)));
	/* The console's way: the error comes back. */
	ck_assert_str_ne(db_error(console, "RELOAD"), "");
	ck_assert_ptr_nonnull(strstr(PQerrorMessage(console), place));
	ck_assert(is_replica(db_node(conn)));
	PQfinish(conn);
	conn = db_open(own);
	PQfinish(conn);
	/* Right again: it works again. */
	ck_assert(proxy_write_config(own));
	db_exec(console, "RELOAD");
	stop_own();
}
END_TEST

/* A user who is taken out of the list is not let in any more. */
START_TEST(test_reload_of_users)
{
	PGconn *conn;

	own = proxy_must_start(&(struct proxy_options){ .auth = "scram-sha-256" });
	console = proxy_admin_connect(own);
	conn = db_open_as(own, "other", "app", NULL);
	PQfinish(conn);
	own->options.userlist = "\"app\" \"app_secret\"\n";
	ck_assert(proxy_write_config(own));
	db_exec(console, "RELOAD");
	for (int i = 0; i < 1000; i++) {
		conn = proxy_connect(own, "other", "app");
		if (PQstatus(conn) == CONNECTION_BAD)
			break;
		PQfinish(conn);
		conn = NULL;
		support_poll_pause();
	}
	ck_assert_ptr_nonnull(conn);
	PQfinish(conn);
	conn = db_open(own);
	PQfinish(conn);
	stop_own();
}
END_TEST

/* --- ends --- */

START_TEST(test_shutdown_waits_for_clients)
{
	static const char *const how[] = { "SHUTDOWN WAIT_FOR_CLIENTS", NULL };
	bool is_refused = false;
	PGconn *conn;
	int status = -1;

	start_own();
	conn = db_open(own);
	db_exec(conn, "BEGIN");
	if (how[_i] != NULL)
		db_exec(console, how[_i]);
	else
		kill(own->pid, SIGTERM);
	/* No new ones, which are told so at once, but the old ones go on. */
	for (int i = 0; !is_refused && i < 2000; i++) {
		PGconn *refused = proxy_connect_with(own, "app", "app", "connect_timeout=5");

		is_refused = PQstatus(refused) == CONNECTION_BAD;
		ck_assert_msg(strstr(PQerrorMessage(refused), "timeout") == NULL,
			      "a new connection is left waiting");
		PQfinish(refused);
		support_poll_pause();
	}
	ck_assert(is_refused);
	ck_assert_int_eq(db_number(conn, "SELECT 1"), 1);
	db_exec(conn, "COMMIT");
	PQfinish(conn);
	PQfinish(console);
	ck_assert(support_wait_gone(own->pid, 10000, &status));
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(test_shutdown_waits_for_servers)
{
	PGconn *idle, *busy;

	start_own();
	idle = db_open(own);
	busy = db_open(own);
	db_exec(busy, "BEGIN");
	db_exec(busy, "SELECT 1");
	if (_i == 0)
		db_exec(console, "SHUTDOWN WAIT_FOR_SERVERS");
	else
		kill(own->pid, SIGINT);
	/* The transaction may end; nobody begins another one. */
	ck_assert_int_eq(db_number(busy, "SELECT 1"), 1);
	db_exec(busy, "COMMIT");
	ck_assert(support_wait_gone(own->pid, 10000, NULL));
	PQfinish(idle);
	PQfinish(busy);
	PQfinish(console);
}
END_TEST

START_TEST(test_shutdown_now)
{
	PGconn *conn;

	start_own();
	conn = db_open(own);
	db_exec(conn, "BEGIN");
	db_exec(conn, "SELECT 1");
	if (_i == 0)
		PQclear(PQexec(console, "SHUTDOWN"));
	else
		kill(own->pid, SIGQUIT);
	ck_assert(support_wait_gone(own->pid, 5000, NULL));
	ck_assert_str_ne(db_error(conn, "SELECT 1"), "");
	PQfinish(conn);
	PQfinish(console);
	servers_must_get_clean("app");
}
END_TEST

/* --- the command line --- */

static int run_program(const char *option, const char *config, const char *out)
{
	return support_run(&(struct support_command){
		.argv = (const char *const[]){ proxy_program(), option, "-c", config, NULL },
		.out = out });
}

START_TEST(test_command_line)
{
	char out[PATH_MAX], path[PATH_MAX];
	char *text;

	support_path(out, "%.4000s/cli.out", proxy->directory);
	support_path(path, "%.4000s/cli.conf", proxy->directory);
	ck_assert_int_eq(run_program("-t", proxy->config, out), 0);
	ck_assert_int_eq(run_program("-T", proxy->config, out), 0);
	text = support_read_file(out, NULL);
	ck_assert_ptr_nonnull(strstr(text, "workers = 2"));
	/* */
	ck_assert_ptr_null(strstr(text, "_secret"));
	free(text);
	/* All errors, each with its place. */
	ck_assert(support_write_file(path, "workers = \"many\";\nno_such_option = 1;\n"));
	ck_assert_int_eq(run_program("-t", path, out), 1);
	text = support_read_file(out, NULL);
	ck_assert_ptr_nonnull(strstr(text, "cli.conf:1"));
	ck_assert_ptr_nonnull(strstr(text, "cli.conf:2"));
	free(text);
	ck_assert_int_ne(run_program("-t", "/nonexistent/proxy.conf", out), 0);
	ck_assert_int_ne(run_program("--no-such-option", path, out), 0);
	ck_assert_int_eq(support_run(&(struct support_command){
				 .argv = (const char *const[]){ proxy_program(), "-V", NULL },
				 .out = out }),
			 0);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static void revive(void)
{
	proxy_must_live(&proxy);
}

static Suite *admin_suite(void)
{
	Suite *suite = suite_create("admin");
	TCase *tcase = integration_case(suite, "shared", 60);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_checked_fixture(tcase, revive, NULL);
	tcase_add_loop_test(tcase, test_show, 0, COUNT(shows));
	tcase_add_loop_test(tcase, test_show_extended, 0, COUNT(shows));
	tcase_add_test(tcase, test_help);
	tcase_add_test(tcase, test_spelling);
	tcase_add_test(tcase, test_what_is_shown);
	tcase_add_test(tcase, test_nodes_are_shown);
	tcase_add_loop_test(tcase, test_rights, 0, 2);
	tcase_add_test(tcase, test_command_line);

	tcase = integration_case(suite, "own proxies", 60);
	tcase_add_loop_test(tcase, test_pause_and_resume, 0, 2);
	tcase_add_test(tcase, test_pause_waits_for_transactions);
	tcase_add_test(tcase, test_disable_and_enable);
	tcase_add_loop_test(tcase, test_reconnect, 0, 2);
	tcase_add_loop_test(tcase, test_kill, 0, 2);
	tcase_add_test(tcase, test_kill_client);
	tcase_add_test(tcase, test_set);
	tcase_add_loop_test(tcase, test_reload, 0, 2);
	tcase_add_loop_test(tcase, test_broken_reload, 0, COUNT(broken));
	tcase_add_test(tcase, test_reload_of_users);
	tcase_add_loop_test(tcase, test_shutdown_waits_for_clients, 0, 2);
	tcase_add_loop_test(tcase, test_shutdown_waits_for_servers, 0, 2);
	tcase_add_loop_test(tcase, test_shutdown_now, 0, 2);
	return suite;
}

INTEGRATION_SUITE(admin_suite)
