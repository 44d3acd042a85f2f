/*
 * probe/monitor and probe/watch, against servers that are played on the same loop: they log in
 * whoever comes and answer each query with one row, or with what the test wants instead.
 */

#include "probe/monitor.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "base/bytes.h"
#include "net/listener.h"
#include "unit.h"
#include "wire/build.h"

#define NODES     2
#define CONNS_MAX 64
#define INTERVAL  (40 * USEC_PER_MS)
#define TIMEOUT   (120 * USEC_PER_MS)

enum behaviour {
	ANSWER,
	KEEP_SILENT,
	CLOSE_ON_QUERY,
	REFUSE_LOGIN,
	REFUSE_QUERY,
	REFUSE_FULL_QUERY,
	BEGIN_COPY
};

struct server {
	int fd;
	int port;
	struct listener *listener;
	enum behaviour behaviour;
	bool in_recovery;
	uint64_t lsn;
	uint32_t timeline;
	uint64_t system_id;
	int n_logins;
	int n_queries;
};

struct server_conn {
	struct server *server; /* NULL: free */
	int fd;
	struct event *event;
	bool is_started;
};

static struct loop *loop;
static struct server servers[NODES];
static struct server_conn conns[CONNS_MAX];
static struct monitor *monitor;
static struct topology *topology;
static int n_published;
static bool was_down; /* any node, in any picture */

/* --- the servers --- */

static void close_conn(struct server_conn *conn)
{
	event_free(conn->event);
	close(conn->fd);
	memset(conn, 0, sizeof(*conn));
}

/* Without memory (see the last test) the server is one that closes connections. */
static void send_out(struct server_conn *conn, struct bytes *out)
{
	if (out->failed)
		shutdown(conn->fd, SHUT_RDWR);
	else
		ck_assert_int_eq(
			send(conn->fd, bytes_begin(out), bytes_length(out), MSG_NOSIGNAL),
			(ssize_t)bytes_length(out));
	bytes_free(out);
}

static void send_row(struct server_conn *conn)
{
	static const struct build_column columns[] = { { "recovering", OID_BOOL },
						       { "lsn", OID_NUMERIC },
						       { "received", OID_NUMERIC },
						       { "timeline", OID_INT8 },
						       { "system_identifier", OID_INT8 },
						       { "segment", OID_INT8 },
						       { "block", OID_TEXT } };
	const struct server *server = conn->server;
	char lsn[32], timeline[32], system_id[32];
	const char *const values[] = {
		server->in_recovery ? "t" : "f",      lsn,        NULL,  timeline,
		server->system_id ? system_id : NULL, "16777216", "8192"
	};
	struct bytes out = { 0 };

	snprintf(lsn, sizeof(lsn), "%" PRIu64, server->lsn);
	snprintf(timeline, sizeof(timeline), "%" PRIu32, server->timeline);
	snprintf(system_id, sizeof(system_id), "%" PRIu64, server->system_id);
	build_row_description(&out, columns, 7);
	build_data_row(&out, values, 7);
	build_command_complete(&out, "SELECT 1");
	build_ready(&out, 'I');
	send_out(conn, &out);
}

static void refuse(struct server_conn *conn, const char *severity, const char *sqlstate,
		   const char *message)
{
	struct bytes out = { 0 };

	build_error(&out, severity, sqlstate, message, NULL, NULL);
	if (strcmp(severity, "FATAL") != 0)
		build_ready(&out, 'I');
	send_out(conn, &out);
}

/* CopyOutResponse: text, no columns. */
static void begin_copy(struct server_conn *conn)
{
	static const uint8_t message[] = { 'H', 0, 0, 0, 7, 0, 0, 0 };
	struct bytes out = { 0 };

	bytes_append(&out, message, sizeof(message));
	send_out(conn, &out);
}

static void on_query(struct server_conn *conn, const char *sql)
{
	struct server *server = conn->server;
	bool is_full = strstr(sql, "pg_control_system") != NULL;

	server->n_queries++;
	switch (server->behaviour) {
	case REFUSE_FULL_QUERY:
		if (is_full)
			refuse(conn, "ERROR", "42501", "permission denied for function");
		else
			send_row(conn);
		break;
	case REFUSE_QUERY: refuse(conn, "ERROR", "XX000", "it is broken"); break;
	case CLOSE_ON_QUERY: close_conn(conn); break;
	case BEGIN_COPY: begin_copy(conn); break;
	case KEEP_SILENT: break;
	default: send_row(conn); break;
	}
}

static void on_startup(struct server_conn *conn, const uint8_t *data)
{
	struct bytes out = { 0 };

	/* SSLRequest: 80877103 */
	if (memcmp(data + 4, "\x04\xd2\x16\x2f", 4) == 0) {
		ck_assert_int_eq(send(conn->fd, "N", 1, MSG_NOSIGNAL), 1);
		return;
	}
	conn->is_started = true;
	conn->server->n_logins++;
	if (conn->server->behaviour == REFUSE_LOGIN) {
		refuse(conn, "FATAL", "57P03", "the database system is starting up");
		close_conn(conn);
		return;
	}
	build_auth_request(&out, 0, NULL, 0);
	build_backend_key(&out, 1, "abcd", 4);
	build_ready(&out, 'I');
	send_out(conn, &out);
}

/* Each message comes whole: they are small and this is one machine. */
static void on_conn_readable(evutil_socket_t fd, short what, void *context)
{
	struct server_conn *conn = context;
	uint8_t data[8192];
	ssize_t length = recv(fd, data, sizeof(data) - 1, 0);

	(void)what;
	if (length <= 0) {
		close_conn(conn);
		return;
	}
	data[length] = '\0';
	if (!conn->is_started)
		on_startup(conn, data);
	else if (data[0] == 'Q')
		on_query(conn, (const char *)data + 5);
	else
		close_conn(conn);
}

static void on_accepted(void *context, int fd, const struct sockaddr *address, socklen_t length)
{
	struct server_conn *conn = conns;

	(void)address;
	(void)length;
	while (conn->server)
		conn++;
	ck_assert(conn < conns + CONNS_MAX);
	conn->server = context;
	conn->fd = fd;
	conn->event =
		event_new(loop_base(loop), fd, EV_READ | EV_PERSIST, on_conn_readable, conn);
	ck_assert_int_eq(event_add(conn->event, NULL), 0);
}

static void start_server(struct server *server)
{
	char error[128];

	ck_assert_int_eq(listener_open_tcp("127.0.0.1", server->port, 16, &server->fd, 1, error,
					   sizeof(error)),
			 1);
	server->listener = listener_create(loop, server->fd, on_accepted, server);
	ck_assert_ptr_nonnull(server->listener);
	if (server->port == 0) {
		struct sockaddr_in address;
		socklen_t length = sizeof(address);

		ck_assert_int_eq(getsockname(server->fd, (struct sockaddr *)&address, &length),
				 0);
		server->port = ntohs(address.sin_port);
	}
}

static void drop_clients(struct server *server)
{
	for (size_t i = 0; i < CONNS_MAX; i++)
		if (conns[i].server == server)
			close_conn(&conns[i]);
}

static void stop_server(struct server *server)
{
	listener_destroy(&server->listener);
	if (server->fd != -1)
		close(server->fd);
	server->fd = -1;
	drop_clients(server);
}

/* --- the monitor --- */

static void on_publish(void *context, struct topology *next)
{
	(void)context;
	if (topology)
		ck_assert_uint_gt(next->version, topology->version);
	topology_unref(&topology);
	topology = next;
	n_published++;
	for (size_t i = 0; next->n_clusters > 0 && i < next->clusters[0].n_nodes; i++)
		was_down |= next->clusters[0].nodes[i].state == NODE_STATE_DOWN;
}

/* The first picture of a new monitor has the number of any first one. */
static void on_restart_publish(void *context, struct topology *next)
{
	if (next->version == 1)
		topology_unref(&topology);
	on_publish(context, next);
}

static struct monitor_node nodes[NODES];
static struct monitor_cluster config;

static void start_monitor(void)
{
	for (int i = 0; i < NODES; i++)
		nodes[i] = (struct monitor_node){ .name = i == 0 ? "a" : "b",
						  .host = "127.0.0.1",
						  .port = servers[i].port,
						  .weight = 10 + i,
						  .zone = "z" };
	config = (struct monitor_cluster){ .name = "main",
					   .nodes = nodes,
					   .n_nodes = NODES,
					   .user = "monitor",
					   .password = "secret",
					   .database = "postgres",
					   .interval = INTERVAL,
					   .timeout = TIMEOUT,
					   .lag_preferred = 1,
					   .lag_hard = 2 };
	monitor = monitor_create(loop, &config, 1, on_publish, NULL);
	ck_assert_ptr_nonnull(monitor);
}

static void set_up(void)
{
	loop = loop_create();
	ck_assert_ptr_nonnull(loop);
	memset(servers, 0, sizeof(servers));
	was_down = false;
	for (int i = 0; i < NODES; i++) {
		servers[i] = (struct server){
			.in_recovery = i > 0, .lsn = 1000, .timeline = 1, .system_id = 7
		};
		start_server(&servers[i]);
	}
}

static void tear_down(void)
{
	monitor_destroy(&monitor);
	ck_assert_ptr_null(monitor);
	for (int i = 0; i < NODES; i++)
		stop_server(&servers[i]);
	topology_unref(&topology);
	loop_run_once(loop, false);
	loop_destroy(&loop);
}

static struct node *node(int i)
{
	return &topology->clusters[0].nodes[i];
}

static int primary(void)
{
	return topology->clusters[0].primary;
}

/* Check's time limit ends a test whose condition never comes. */
#define RUN_UNTIL(condition) \
	while (!(condition)) \
	loop_run_once(loop, true)

static bool all_up(void)
{
	return node(0)->state == NODE_STATE_UP && node(1)->state == NODE_STATE_UP;
}

static void start_and_wait(void)
{
	start_monitor();
	RUN_UNTIL(all_up() && primary() == 0 && node(1)->lag >= 0);
}

START_TEST(first_picture_comes_before_create_returns)
{
	start_monitor();
	ck_assert_int_eq(n_published, 1);
	ck_assert_uint_eq(topology->n_clusters, 1);
	ck_assert_str_eq(topology->clusters[0].name, "main");
	ck_assert_int_eq(topology->clusters[0].lag_preferred, 1);
	ck_assert_int_eq(topology->clusters[0].lag_hard, 2);
	ck_assert_int_eq(primary(), -1);
	for (int i = 0; i < NODES; i++) {
		ck_assert_str_eq(node(i)->name, i == 0 ? "a" : "b");
		ck_assert_str_eq(node(i)->host, "127.0.0.1");
		ck_assert_str_eq(node(i)->zone, "z");
		ck_assert_int_eq(node(i)->weight, 10 + i);
		ck_assert_int_eq(node(i)->port, servers[i].port);
		ck_assert_int_eq(node(i)->state, NODE_STATE_UNPROBED);
		ck_assert_int_eq(node(i)->role, NODE_ROLE_UNKNOWN);
		ck_assert_int_eq(node(i)->lag, -1);
		ck_assert_uint_eq(node(i)->address_length, sizeof(struct sockaddr_in));
	}
}
END_TEST

START_TEST(no_clusters_at_all)
{
	monitor = monitor_create(loop, NULL, 0, on_publish, NULL);
	ck_assert_ptr_nonnull(monitor);
	ck_assert_uint_eq(topology->n_clusters, 0);
	monitor_poke(monitor, 0, 0);
}
END_TEST

START_TEST(roles_and_positions)
{
	servers[1].lsn = 900;
	start_monitor();
	RUN_UNTIL(all_up() && primary() == 0);
	ck_assert_int_eq(node(0)->role, NODE_ROLE_PRIMARY);
	ck_assert_int_eq(node(1)->role, NODE_ROLE_REPLICA);
	ck_assert_uint_eq(node(0)->lsn, 1000);
	ck_assert_uint_eq(node(1)->lsn, 900);
	ck_assert_uint_eq(node(0)->timeline, 1);
	ck_assert_uint_eq(node(1)->lag_bytes, 100);
	/* Behind the first sample: how long is not known. */
	ck_assert_int_eq(node(1)->lag, -1);
	servers[1].lsn = 1000;
	RUN_UNTIL(node(1)->lag >= 0);
	ck_assert_uint_eq(node(1)->lag_bytes, 0);
	ck_assert_int_gt(node(1)->probed_at, 0);
}
END_TEST

/* The connection is kept, the interval is kept: not more probes than there were intervals. */
START_TEST(one_connection_and_one_query_an_interval)
{
	usec began;
	int before;

	start_and_wait();
	before = servers[0].n_queries;
	began = clock_now();
	RUN_UNTIL(servers[0].n_queries >= before + 5);
	ck_assert_int_ge(clock_now() - began, 4 * INTERVAL);
	ck_assert_int_eq(servers[0].n_logins, 1);
	ck_assert_int_eq(servers[1].n_logins, 1);
}
END_TEST

/* A replica that stopped replaying while the primary writes on. */
START_TEST(lag_grows_while_a_replica_stands_still)
{
	usec before;

	start_and_wait();
	servers[0].lsn = 2000;
	RUN_UNTIL(node(1)->lag_bytes == 1000);
	before = node(1)->lag;
	RUN_UNTIL(node(1)->lag > before + 3 * INTERVAL);
	ck_assert_int_ge(node_staleness(node(1), clock_now()), node(1)->lag);
	servers[1].lsn = 2000;
	RUN_UNTIL(node(1)->lag >= 0 && node(1)->lag < 2 * INTERVAL);
}
END_TEST

/* A server restarts its backends, an idle connection is cut: that alone takes no node down. */
START_TEST(lost_idle_connection_is_replaced)
{
	start_and_wait();
	drop_clients(&servers[0]);
	RUN_UNTIL(servers[0].n_logins == 2);
	n_published = 0;
	RUN_UNTIL(n_published > 4);
	ck_assert(!was_down);
	ck_assert_int_eq(servers[0].n_logins, 2);
	ck_assert_int_eq(primary(), 0);
}
END_TEST

START_TEST(one_failed_probe_is_tried_again_at_once)
{
	static const enum behaviour behaviours[] = { CLOSE_ON_QUERY, KEEP_SILENT, REFUSE_QUERY };

	start_and_wait();
	servers[0].behaviour = behaviours[_i];
	RUN_UNTIL(servers[0].n_logins == 2);
	servers[0].behaviour = ANSWER;
	n_published = 0;
	RUN_UNTIL(n_published > 4);
	ck_assert(!was_down);
	ck_assert_int_eq(servers[0].n_logins, 2);
}
END_TEST

static const struct {
	enum behaviour behaviour;
	bool lose_connection;
	const char *why;
} failures[] = {
	{ KEEP_SILENT, false, "no answer within" },
	{ CLOSE_ON_QUERY, false, "closed the connection" },
	{ REFUSE_LOGIN, true, "FATAL:  the database system is starting up" },
	{ REFUSE_QUERY, false, "ERROR:  it is broken" },
	{ BEGIN_COPY, false, "began a COPY" },
};

START_TEST(down_after_the_second_try_and_up_again)
{
	usec began;

	start_and_wait();
	servers[0].behaviour = failures[_i].behaviour;
	if (failures[_i].lose_connection)
		drop_clients(&servers[0]);
	began = clock_now();
	RUN_UNTIL(node(0)->state == NODE_STATE_DOWN);
	/* Interval and time-out, and generous slack for a slow machine. */
	ck_assert_int_lt(clock_now() - began, INTERVAL + TIMEOUT + USEC_PER_SEC);
	ck_assert_int_eq(primary(), -1);
	ck_assert_msg(strstr(node(0)->why, failures[_i].why) != NULL, "%s", node(0)->why);
	/* What was known of it stays, for people. */
	ck_assert_int_eq(node(0)->role, NODE_ROLE_PRIMARY);
	ck_assert_int_eq(node(1)->state, NODE_STATE_UP);
	servers[0].behaviour = ANSWER;
	RUN_UNTIL(node(0)->state == NODE_STATE_UP);
	ck_assert_int_eq(primary(), 0);
	ck_assert_str_eq(node(0)->why, "probe answered");
}
END_TEST

START_TEST(dead_server_is_noticed_without_waiting_for_a_probe)
{
	start_and_wait();
	stop_server(&servers[0]);
	RUN_UNTIL(node(0)->state == NODE_STATE_DOWN);
	ck_assert_str_eq(node(0)->why, "Connection refused");
	start_server(&servers[0]);
	RUN_UNTIL(node(0)->state == NODE_STATE_UP && primary() == 0);
}
END_TEST

START_TEST(starts_with_any_subset_of_nodes)
{
	stop_server(&servers[_i]);
	start_monitor();
	RUN_UNTIL(node(_i)->state == NODE_STATE_DOWN && node(1 - _i)->state == NODE_STATE_UP);
	ck_assert_int_eq(primary(), _i == 0 ? -1 : 0);
	start_server(&servers[_i]);
	RUN_UNTIL(all_up() && primary() == 0);
}
END_TEST

/* Promotion of b, then a comes back as the primary it was. */
START_TEST(failover_and_a_former_primary)
{
	start_and_wait();
	stop_server(&servers[0]);
	RUN_UNTIL(primary() == -1);
	servers[1].in_recovery = false;
	servers[1].timeline = 2;
	RUN_UNTIL(primary() == 1);
	ck_assert_int_eq(node(1)->role, NODE_ROLE_PRIMARY);
	start_server(&servers[0]);
	RUN_UNTIL(node(0)->state == NODE_STATE_UP);
	ck_assert_int_eq(node(0)->role, NODE_ROLE_UNKNOWN);
	ck_assert_int_eq(primary(), 1);
	/* Not even when it is the only one left. */
	stop_server(&servers[1]);
	RUN_UNTIL(node(1)->state == NODE_STATE_DOWN);
	n_published = 0;
	RUN_UNTIL(n_published > 3);
	ck_assert_int_eq(primary(), -1);
	/* Rewound, it is welcome as a replica. */
	start_server(&servers[1]);
	servers[0].in_recovery = true;
	servers[0].timeline = 2;
	RUN_UNTIL(primary() == 1 && node(0)->role == NODE_ROLE_REPLICA);
}
END_TEST

START_TEST(two_primaries_of_one_timeline_are_none)
{
	start_and_wait();
	servers[1].in_recovery = false;
	RUN_UNTIL(primary() == -1);
	ck_assert(all_up());
	servers[1].timeline = 2;
	RUN_UNTIL(primary() == 1 && node(0)->role == NODE_ROLE_UNKNOWN);
}
END_TEST

START_TEST(another_database_system_is_no_replica)
{
	servers[1].system_id = 8;
	start_monitor();
	RUN_UNTIL(all_up() && primary() == 0);
	ck_assert_int_eq(node(1)->role, NODE_ROLE_UNKNOWN);
	ck_assert_ptr_nonnull(strstr(node(1)->why, "another database system"));
	ck_assert_int_eq(node(1)->lag, -1);
}
END_TEST

/* All nodes made anew, as after initdb: that is no foreign node any more. */
START_TEST(a_new_system_is_accepted_when_the_old_one_is_gone)
{
	start_and_wait();
	stop_server(&servers[0]);
	stop_server(&servers[1]);
	RUN_UNTIL(node(0)->state == NODE_STATE_DOWN && node(1)->state == NODE_STATE_DOWN);
	servers[0].system_id = servers[1].system_id = 9;
	servers[0].lsn = servers[1].lsn = 10;
	start_server(&servers[0]);
	start_server(&servers[1]);
	RUN_UNTIL(all_up() && primary() == 0 && node(1)->role == NODE_ROLE_REPLICA &&
		  node(1)->lag >= 0);
}
END_TEST

START_TEST(refused_details_are_done_without)
{
	servers[0].behaviour = servers[1].behaviour = REFUSE_FULL_QUERY;
	start_monitor();
	RUN_UNTIL(all_up() && primary() == 0 && node(1)->lag >= 0);
	ck_assert_int_eq(servers[0].n_logins, 1);
}
END_TEST

/* Nothing in it is due before the test is over. */
static void start_patient_monitor(void)
{
	start_monitor();
	monitor_destroy(&monitor);
	config.interval = 3600 * USEC_PER_SEC;
	config.timeout = 10 * USEC_PER_SEC;
	monitor = monitor_create(loop, &config, 1, on_restart_publish, NULL);
	ck_assert_ptr_nonnull(monitor);
	RUN_UNTIL(all_up());
}

START_TEST(poke_brings_the_next_probe_forward)
{
	int before;

	start_patient_monitor();
	before = servers[0].n_queries;
	for (int i = 0; i < 1000; i++)
		monitor_poke(monitor, 0, 0);
	RUN_UNTIL(servers[0].n_queries > before);
	/* However often it was poked, and from however old a picture. */
	monitor_poke(monitor, 0, NODES);
	monitor_poke(monitor, 1, 0);
	ck_assert_int_eq(servers[0].n_queries, before + 1);
	/* While one is under way, the question comes after the news. */
	servers[0].in_recovery = true;
	monitor_poke(monitor, 0, 0);
	RUN_UNTIL(node(0)->role == NODE_ROLE_REPLICA);
}
END_TEST

/* The others are asked at once when the primary goes. */
START_TEST(lost_primary_lets_look_for_the_new_one)
{
	start_patient_monitor();
	servers[1].in_recovery = false;
	servers[1].timeline = 2;
	stop_server(&servers[0]);
	RUN_UNTIL(primary() == 1);
}
END_TEST

START_TEST(names_are_resolved)
{
	nodes[0] = (struct monitor_node){
		.name = "a", .host = "localhost", .port = servers[0].port, .zone = ""
	};
	config = (struct monitor_cluster){ .name = "main",
					   .nodes = nodes,
					   .n_nodes = 1,
					   .user = "monitor",
					   .database = "postgres",
					   .interval = INTERVAL,
					   .timeout = 2 * USEC_PER_SEC };
	monitor = monitor_create(loop, &config, 1, on_publish, NULL);
	ck_assert_uint_eq(node(0)->address_length, 0);
	RUN_UNTIL(node(0)->state == NODE_STATE_UP);
	/* Whatever else localhost may mean: the address that answered. */
	ck_assert_int_eq(node(0)->address.ss_family, AF_INET);
}
END_TEST

START_TEST(destroyed_in_any_state)
{
	start_monitor();
	for (int i = 0; i < _i; i++)
		loop_run_once(loop, true);
}
END_TEST

START_TEST(survives_any_allocation_failing)
{
	for (unsigned long nth = 1;; nth++) {
		unit_fail_alloc(nth);
		monitor = monitor_create(loop, &config, 1, on_publish, NULL);
		for (int i = 0; monitor && i < 20; i++)
			loop_run_once(loop, true);
		monitor_destroy(&monitor);
		loop_run_once(loop, false);
		if (!unit_alloc_failed())
			break;
		unit_fail_alloc(0);
		topology_unref(&topology);
	}
	unit_fail_alloc(0);
}
END_TEST

static void set_up_config(void)
{
	set_up();
	start_monitor();
	monitor_destroy(&monitor);
	topology_unref(&topology);
	loop_run_once(loop, false);
}

static Suite *monitor_suite(void)
{
	Suite *suite = suite_create("probe/monitor");
	TCase *tc = tcase_create("monitor"), *memory = tcase_create("memory");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_set_timeout(tc, 10);
	tcase_add_test(tc, first_picture_comes_before_create_returns);
	tcase_add_test(tc, no_clusters_at_all);
	tcase_add_test(tc, roles_and_positions);
	tcase_add_test(tc, one_connection_and_one_query_an_interval);
	tcase_add_test(tc, lag_grows_while_a_replica_stands_still);
	tcase_add_test(tc, lost_idle_connection_is_replaced);
	tcase_add_loop_test(tc, one_failed_probe_is_tried_again_at_once, 0, 3);
	tcase_add_loop_test(tc, down_after_the_second_try_and_up_again, 0,
			    sizeof(failures) / sizeof(failures[0]));
	tcase_add_test(tc, dead_server_is_noticed_without_waiting_for_a_probe);
	tcase_add_loop_test(tc, starts_with_any_subset_of_nodes, 0, NODES);
	tcase_add_test(tc, failover_and_a_former_primary);
	tcase_add_test(tc, two_primaries_of_one_timeline_are_none);
	tcase_add_test(tc, another_database_system_is_no_replica);
	tcase_add_test(tc, a_new_system_is_accepted_when_the_old_one_is_gone);
	tcase_add_test(tc, refused_details_are_done_without);
	tcase_add_test(tc, poke_brings_the_next_probe_forward);
	tcase_add_test(tc, lost_primary_lets_look_for_the_new_one);
	tcase_add_test(tc, names_are_resolved);
	tcase_add_loop_test(tc, destroyed_in_any_state, 0, 12);
	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(memory, set_up_config, tear_down);
	tcase_set_timeout(memory, 20);
	tcase_add_test(memory, survives_any_allocation_failing);
	suite_add_tcase(suite, memory);
	return suite;
}

UNIT_SUITE(monitor_suite)
