/*
 * The file of rules: addresses, methods, the unix socket, reloads. Its syntax is in the unit
 * tests.
 */
#include "integration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char hba_path[PATH_MAX];
static char ident_path[PATH_MAX];
static char socket_directory[PATH_MAX];
static int local_port;
static struct test_proxy *proxy;

static const char rules[] = "host  all  mallory        127.0.0.0/8   reject\n"
			    "host  all  app,scram_user 127.0.0.1/32  scram-sha-256\n"
			    "host  all  app            127.0.0.2/32  password\n"
			    "host  all  app            127.0.0.3/32  md5\n"
			    "host  all  app            127.0.0.4 255.255.255.255 trust\n"
			    "host  app  other          samehost      password\n"
			    "host  all  admin,stats    all           md5\n"
			    "local all  app            peer map=m\n"
			    "local all  other          peer\n";

static struct test_proxy *start(const char *hba)
{
	static unsigned count;
	char auth_more[3 * PATH_MAX];
	char listen[PATH_MAX + 64];

	support_path(hba_path, "%s/hba.%d.%u", support_scratch(), (int)getpid(), count);
	support_path(ident_path, "%s/ident.%d.%u", support_scratch(), (int)getpid(), count++);
	support_path(socket_directory, "%s", support_scratch());
	local_port = support_free_port();
	support_write_file(hba_path, hba);
	support_write_file(ident_path, "m /^.*$ app\n");
	snprintf(auth_more, sizeof(auth_more), "hba_file = \"%s\"; ident_file = \"%s\";",
		 hba_path, ident_path);
	snprintf(listen, sizeof(listen), "{ address = \"%s\"; port = %d; }", socket_directory,
		 local_port);
	return proxy_must_start(&(struct proxy_options){
		.auth = "hba", .auth_more = auth_more, .listen_more = listen });
}

static void set_up(void)
{
	proxy = start(rules);
}

static void tear_down(void)
{
	proxy_must_stop_after_errors(&proxy);
}

static const struct {
	const char *source, *user, *database;
	int request; /* of authentication; 0: trust; -1: refused */
	const char *message;
} rows[] = {
	{ "127.0.0.1", "app", "app", 10, NULL },
	{ "127.0.0.2", "app", "app", 3, NULL },
	{ "127.0.0.3", "app", "app", 5, NULL },
	{ "127.0.0.4", "app", "app", 0, NULL },
	{ "127.0.0.5", "app", "app", -1,
	  "no pg_hba.conf entry for host \"127.0.0.5\", user \"app\", database \"app\", no "
	  "encryption" },
	{ "127.0.0.9", "mallory", "x", -1,
	  "pg_hba.conf rejects connection for host \"127.0.0.9\", user \"mallory\", database "
	  "\"x\", no encryption" },
	{ "127.0.0.1", "other", "app", 3, NULL },
	{ "127.0.0.1", "other", "postgres", -1,
	  "no pg_hba.conf entry for host \"127.0.0.1\", user \"other\", database \"postgres\", "
	  "no encryption" },
	{ "127.0.0.2", "scram_user", "app", -1, "no pg_hba.conf entry for host \"127.0.0.2\"" },
};

START_TEST(test_rules)
{
	struct raw *raw = raw_open_from(rows[_i].source, proxy->port);

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_startup(raw, 0, rows[_i].user, rows[_i].database, NULL));
	if (rows[_i].request == -1) {
		ck_assert(raw_expect_end(raw));
		ck_assert_str_eq(raw_error_field(raw, 'C'), "28000");
		ck_assert_msg(strncmp(raw_error_field(raw, 'M'), rows[_i].message,
				      strlen(rows[_i].message)) == 0,
			      "%s", raw_error_field(raw, 'M'));
	} else {
		ck_assert_int_eq(raw_read_main(raw), 'R');
		ck_assert_int_eq(raw->body[3], rows[_i].request);
	}
	raw_close(&raw);
}
END_TEST

START_TEST(test_log_in)
{
	PGconn *conn = db_open(proxy);

	ck_assert_str_eq(db_text(conn, "SELECT current_user"), "app");
	PQfinish(conn);
	conn = proxy_connect_with(proxy, "app", "app", "password=wrong");
	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	PQfinish(conn);
}
END_TEST

static PGconn *connect_locally(const char *user)
{
	char info[PATH_MAX + 128];

	snprintf(info, sizeof(info), "host=%s port=%d user=%s dbname=app connect_timeout=10",
		 socket_directory, local_port, user);
	return PQconnectdb(info);
}

/* The system's user is ours; the map lets everybody be app, and without a map names are equal. */
START_TEST(test_peer)
{
	PGconn *conn = connect_locally("app");

	ck_assert_msg(PQstatus(conn) == CONNECTION_OK, "%s", PQerrorMessage(conn));
	ck_assert(!PQconnectionUsedPassword(conn));
	ck_assert_str_eq(db_text(conn, "SELECT current_user"), "app");
	PQfinish(conn);
	conn = connect_locally("other");
	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	ck_assert_msg(strstr(PQerrorMessage(conn),
			     "Peer authentication failed for user \"other\"") != NULL,
		      "%s", PQerrorMessage(conn));
	PQfinish(conn);
	conn = connect_locally("scram_user");
	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	ck_assert_ptr_nonnull(strstr(PQerrorMessage(conn), "host \"[local]\""));
	PQfinish(conn);
}
END_TEST

/* A file with mistakes changes nothing; the next good one is in effect. */
START_TEST(test_reload)
{
	struct test_proxy *own = start(rules);
	PGconn *conn;
	struct raw *raw;

	support_write_file(hba_path, "host all all all reject\nhost all all example.org md5\n");
	ck_assert(proxy_reload(own));
	ck_assert(proxy_log_has(own, ":2: \"example.org\" is not an address"));
	conn = db_open(own);
	PQfinish(conn);
	support_write_file(hba_path, "host all app all password\n");
	ck_assert(proxy_reload(own));
	raw = raw_open(own->port);
	ck_assert(raw_startup(raw, 0, "app", "app", NULL));
	ck_assert_int_eq(raw_read_main(raw), 'R');
	ck_assert_int_eq(raw->body[3], 3);
	raw_close(&raw);
	proxy_must_stop_after_errors(&own);
}
END_TEST

START_TEST(test_listing)
{
	PGresult *result = proxy_admin(proxy, "SHOW HBA");

	ck_assert_int_eq(PQntuples(result), 9);
	ck_assert_str_eq(PQgetvalue(result, 0, PQfnumber(result, "auth_method")), "reject");
	ck_assert_str_eq(PQgetvalue(result, 1, PQfnumber(result, "user_name")), "app,scram_user");
	ck_assert_str_eq(PQgetvalue(result, 4, PQfnumber(result, "address")), "127.0.0.4/32");
	ck_assert_str_eq(PQgetvalue(result, 7, PQfnumber(result, "options")), "map=m");
	ck_assert_str_eq(PQgetvalue(result, 8, PQfnumber(result, "line_number")), "9");
	ck_assert_str_eq(PQgetvalue(result, 8, PQfnumber(result, "file_name")), hba_path);
	PQclear(result);
}
END_TEST

static Suite *hba_suite(void)
{
	Suite *suite = suite_create("hba");
	TCase *tcase = integration_case(suite, "hba", 60);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, test_rules, 0, (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(tcase, test_log_in);
	tcase_add_test(tcase, test_peer);
	tcase_add_test(tcase, test_listing);
	tcase_add_test(tcase, test_reload);
	return suite;
}

INTEGRATION_SUITE(hba_suite)
