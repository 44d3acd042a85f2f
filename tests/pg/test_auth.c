/*
 * Log-ins: each way in which a client proves who it is, with each way in which the proxy has to
 * prove it to a server, and all that must be refused.
 */
#include "integration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const methods[] = { "trust", "password", "md5", "scram-sha-256" };
static const char *const users[] = { "trust_user", "password_user", "md5_user", "scram_user" };

enum {
	METHODS = 4,
	USERS = 4,
	TRUST = 0,
	PASSWORD = 1,
	MD5 = 2,
	SCRAM = 3
};

static struct test_proxy *proxies[METHODS];

static void set_up(void)
{
	for (int i = 0; i < METHODS; i++)
		proxies[i] = proxy_must_start(&(struct proxy_options){ .auth = methods[i] });
}

static void tear_down(void)
{
	for (int i = 0; i < METHODS; i++)
		proxy_must_stop_after_errors(&proxies[i]);
}

START_TEST(test_log_in)
{
	const struct test_proxy *proxy = proxies[_i / USERS];
	const char *user = users[_i % USERS];
	PGconn *conn = db_open_as(proxy, user, "app", NULL);

	ck_assert_str_eq(db_text(conn, "SELECT current_user"), user);
	ck_assert_str_eq(db_text(conn, "/* pointsman: read_hint=primary */ SELECT session_user"),
			 user);
	ck_assert_int_eq(PQconnectionUsedPassword(conn), _i / USERS != TRUST);
	PQfinish(conn);
}
END_TEST

/* also when servers of that user are in the pool by now. */
START_TEST(test_wrong_password)
{
	const struct test_proxy *proxy = proxies[_i / USERS];
	const char *user = users[_i % USERS];
	PGconn *good = db_open_as(proxy, user, "app", NULL);
	static const char *const wrong[] = { "password=wrong", "password=''",
					     "password=trust_user",
					     "password=md5d41d8cd98f00b204e9800998ecf8427e" };

	db_exec(good, "SELECT 1");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		PGconn *conn = proxy_connect_with(proxy, user, "app", wrong[i]);

		ck_assert_msg(PQstatus(conn) == CONNECTION_BAD, "%s: %s", user, wrong[i]);
		if (i != 1) /* libpq does not even send an empty password */
			ck_assert_msg(strstr(PQerrorMessage(conn),
					     "password authentication failed") != NULL,
				      "%s", PQerrorMessage(conn));
		PQfinish(conn);
	}
	PQfinish(good);
}
END_TEST

/* --- the error's fields, which libpq does not give for a log-in --- */

/* The proof of a SCRAM client that does not know the password. */
static void send_false_proof(struct raw *raw)
{
	char first[256];
	char final[400];

	ck_assert(raw_message(raw, 'p', "sit", "SCRAM-SHA-256", 32,
			      "n,,n=,r=abcdefghijklmnopqrstuvwx"));
	ck_assert_int_eq(raw_read_main(raw), 'R');
	ck_assert_int_eq(raw->body[3], 11);
	snprintf(first, sizeof(first), "%.*s", (int)raw->body_length - 4, (char *)raw->body + 4);
	ck_assert_int_eq(strncmp(first, "r=", 2), 0);
	first[strcspn(first, ",")] = '\0';
	snprintf(final, sizeof(final), "c=biws,%s,p=%s", first,
		 "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	ck_assert(raw_message(raw, 'p', "t", final));
}

static void send_false_password(struct raw *raw)
{
	ck_assert_int_eq(raw_read_main(raw), 'R');
	switch (raw->body[3]) {
	case 3: ck_assert(raw_message(raw, 'p', "s", "wrong")); break;
	case 5:
		ck_assert(raw_message(raw, 'p', "s", "md500000000000000000000000000000000"));
		break;
	case 10: send_false_proof(raw); break;
	default: ck_abort_msg("authentication request %d", raw->body[3]);
	}
}

static const char *const suspects[] = { "trust_user", "no_such_user", "postgres" };

/* an unknown user, and one without a password, fail as late and in the same words. */
START_TEST(test_refusal)
{
	struct test_proxy *proxy = proxies[1 + _i / 3];
	const char *user = suspects[_i % 3];
	struct raw *raw = raw_open(proxy->port);
	char message[128];

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_startup(raw, 0, user, "app", NULL));
	send_false_password(raw);
	ck_assert(raw_expect_end(raw));
	ck_assert_str_eq(raw_error_field(raw, 'C'), "28P01");
	ck_assert_str_eq(raw_error_field(raw, 'S'), "FATAL");
	snprintf(message, sizeof(message), "password authentication failed for user \"%s\"",
		 user);
	ck_assert_msg(strstr(raw_error_field(raw, 'M'), message) != NULL, "%s",
		      raw_error_field(raw, 'M'));
	raw_close(&raw);
}
END_TEST

START_TEST(test_unknown_user_with_trust)
{
	struct raw *raw = raw_open(proxies[TRUST]->port);

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_startup(raw, 0, "no_such_user", "app", NULL));
	ck_assert(raw_expect_end(raw));
	ck_assert_int_eq(strncmp(raw_error_field(raw, 'C'), "28", 2), 0);
	raw_close(&raw);
}
END_TEST

/* what may come in one state only. */
START_TEST(test_messages_out_of_turn)
{
	struct raw *raw = raw_open(proxies[1 + _i / 4]->port);

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_startup(raw, 0, "app", "app", NULL));
	ck_assert_int_eq(raw_read_main(raw), 'R');
	switch (_i % 4) {
	case 0: raw_query(raw, "SELECT 1"); break;
	case 1: raw_startup(raw, 0, "postgres", "app", NULL); break;
	case 2: raw_message_lying(raw, 'p', 0x7fffffff, "x"); break;
	case 3: raw_message(raw, 'p', ""); break;
	default: break;
	}
	raw_shutdown(raw);
	ck_assert(raw_expect_end(raw));
	ck_assert_int_eq(strlen(raw_error_field(raw, 'C')), 5);
	raw_close(&raw);
}
END_TEST

/* long passwords are refused politely. */
START_TEST(test_long_password)
{
	struct raw *raw = raw_open(proxies[PASSWORD]->port);
	char *password = malloc(1 << 20);

	ck_assert_ptr_nonnull(raw);
	ck_assert_ptr_nonnull(password);
	memset(password, 'p', (1 << 20) - 1);
	password[(1 << 20) - 1] = '\0';
	if (_i == 0)
		password[2000] = '\0';
	ck_assert(raw_startup(raw, 0, "app", "app", NULL));
	ck_assert_int_eq(raw_read_main(raw), 'R');
	raw_message(raw, 'p', "s", password);
	free(password);
	ck_assert(raw_expect_end(raw));
	ck_assert(proxy_is_alive(proxies[PASSWORD]));
	raw_close(&raw);
}
END_TEST

/* --- what the user list may hold --- */

/* The secret that a server stores for a role. */
static char *stored_secret(const char *user)
{
	char sql[128];

	snprintf(sql, sizeof(sql), "SELECT rolpassword FROM pg_authid WHERE rolname = '%s'",
		 user);
	return cluster_query(servers, 0, "postgres", sql);
}

static struct {
	const char *auth;
	const char *stored_of; /* its secret as the server has it, for ... */
	const char *user;      /* ... this one in the list */
} const secrets[] = {
	{ "md5", "md5_user", "md5_user" }, /* md5 serves both sides */
	{ "password", "md5_user", "md5_user" },
	{ "scram-sha-256", "scram_user", "trust_user" }, /* the server asks nothing */
	{ "password", "scram_user", "trust_user" },
};

START_TEST(test_stored_secret)
{
	char *secret = stored_secret(secrets[_i].stored_of);
	char list[512];
	struct test_proxy *proxy;
	char password[64];
	PGconn *conn;

	ck_assert_ptr_nonnull(secret);
	snprintf(list, sizeof(list), "\"%s\" \"%s\"\n\"trust\" \"\"\n", secrets[_i].user, secret);
	free(secret);
	snprintf(password, sizeof(password), "password=%s_secret", secrets[_i].stored_of);
	proxy = proxy_must_start(&(struct proxy_options){ .auth = secrets[_i].auth,
							  .userlist = list,
							  .wait_user = secrets[_i].user,
							  .wait_more = password });
	conn = db_open_as(proxy, secrets[_i].user, "app", password);
	ck_assert_str_eq(db_text(conn, "SELECT current_user"), secrets[_i].user);
	PQfinish(conn);
	conn = proxy_connect_with(proxy, secrets[_i].user, "app", "password=wrong");
	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	PQfinish(conn);
	proxy_must_stop_after_errors(&proxy);
}
END_TEST

/* --- SCRAM secrets in the list, and no password anywhere --- */

static struct test_proxy *start_with_secret(const char *auth, const char *secret, int workers)
{
	char list[512];

	snprintf(list, sizeof(list), "\"scram_user\" \"%s\"\n\"app\" \"app_secret\"\n", secret);
	return proxy_must_start(
		&(struct proxy_options){ .auth = auth, .userlist = list, .workers = workers });
}

static struct test_proxy *start_with_stored_secret(const char *auth, int workers)
{
	char *secret = stored_secret("scram_user");
	struct test_proxy *proxy;

	ck_assert_ptr_nonnull(secret);
	proxy = start_with_secret(auth, secret, workers);
	free(secret);
	return proxy;
}

static void terminate_servers_of(const char *user)
{
	char sql[160];

	snprintf(sql, sizeof(sql),
		 "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
		 "WHERE usename = '%s'",
		 user);
	for (size_t i = 0; i < 3; i++)
		cluster_exec(servers, i, "postgres", sql);
}

/*
 * What the client proves is enough for the servers that have the same secret: primary and
 * replicas, from any worker, also when they have to be connected to anew.
 */
START_TEST(test_stored_secret_is_passed_on)
{
	struct test_proxy *proxy = start_with_stored_secret(_i ? "password" : "scram-sha-256", 3);
	PGconn *conn = db_open_as(proxy, "scram_user", "app", NULL);
	PGconn *others[6];

	ck_assert_str_eq(db_text(conn, "SELECT current_user"), "scram_user");
	ck_assert_str_eq(db_text(conn, "/* pointsman: read_hint=primary */ SELECT session_user"),
			 "scram_user");
	for (int i = 0; i < 6; i++) {
		others[i] = db_open_as(proxy, "scram_user", "app", NULL);
		db_exec(others[i], "BEGIN");
		db_exec(others[i], "/* pointsman: read_hint=primary */ SELECT 1");
	}
	for (int i = 0; i < 6; i++)
		PQfinish(others[i]);
	terminate_servers_of("scram_user");
	servers_must_get_clean("app");
	while (proxy_admin_sum(proxy, "SHOW POOLS", "sv_idle", "user", "scram_user") > 0)
		support_poll_pause();
	ck_assert_str_eq(db_text(conn, "/* pointsman: read_hint=primary */ SELECT session_user"),
			 "scram_user");
	PQfinish(conn);
	/* */
	conn = proxy_connect_with(proxy, "scram_user", "app", "password=wrong");
	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	PQfinish(conn);
	proxy_must_stop_after_errors(&proxy);
}
END_TEST

/* Logs in without a password; what comes then is an error with this reason in DETAIL. */
static void expect_failed_server(const struct test_proxy *proxy, const char *user,
				 const char *reason)
{
	struct raw *raw = raw_open(proxy->port);

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_startup(raw, 0, user, "app", NULL));
	ck_assert_int_eq(raw_read_main(raw), 'R');
	ck_assert(raw_expect_end(raw));
	ck_assert_str_eq(raw_error_field(raw, 'C'), "28P01");
	ck_assert_msg(strncmp(raw_error_field(raw, 'M'), "pointsman: ", 11) == 0, "%s",
		      raw_error_field(raw, 'M'));
	ck_assert_msg(strstr(raw_error_field(raw, 'D'), reason) != NULL, "%s",
		      raw_error_field(raw, 'D'));
	raw_close(&raw);
}

/* Nobody has proved anything yet: the error says so, and soon. */
START_TEST(test_stored_secret_without_a_proof)
{
	struct test_proxy *proxy = start_with_stored_secret("trust", 1);
	PGconn *conn;

	expect_failed_server(proxy, "scram_user", "reason: no_scram_key");
	conn = db_open(proxy);
	db_exec(conn, "SELECT 1");
	PQfinish(conn);
	proxy_must_stop_after_errors(&proxy);
}
END_TEST

/* #1612, #944 of PgBouncer: the same password under another salt is another secret. */
START_TEST(test_stored_secret_of_another_salt)
{
	PGconn *maker = cluster_connect(servers, 0, "postgres");
	char *secret =
		PQencryptPasswordConn(maker, "scram_user_secret", "scram_user", "scram-sha-256");
	struct test_proxy *proxy;
	PGconn *conn;

	ck_assert_ptr_nonnull(secret);
	proxy = start_with_secret("scram-sha-256", secret, 1);
	PQfreemem(secret);
	PQfinish(maker);
	conn = proxy_connect_with(proxy, "scram_user", "app", NULL);
	ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
	ck_assert_msg(strstr(PQerrorMessage(conn), "reason: other_scram_secret") != NULL, "%s",
		      PQerrorMessage(conn));
	PQfinish(conn);
	proxy_must_stop_after_errors(&proxy);
}
END_TEST

/* A user who logs in as somebody else on the servers lends nobody his key. */
START_TEST(test_key_is_not_for_a_forced_user)
{
	char *secret = stored_secret("scram_user");
	char list[1024];
	struct test_proxy *proxy;

	ck_assert_ptr_nonnull(secret);
	snprintf(list, sizeof(list),
		 "\"scram_user\" \"%s\"\n\"other\" \"%s\"\n\"app\" \"app_secret\"\n", secret,
		 secret);
	free(secret);
	proxy = proxy_must_start(&(struct proxy_options){
		.auth = "scram-sha-256",
		.userlist = list,
		.databases = "{ name = \"forced\"; cluster = \"main\"; dbname = \"app\"; "
			     "user = \"other\"; }" });
	for (int i = 0; i < 2; i++) {
		PGconn *conn = proxy_connect_with(proxy, "scram_user", "forced", NULL);

		ck_assert_int_eq(PQstatus(conn), CONNECTION_BAD);
		ck_assert_msg(strstr(PQerrorMessage(conn), "reason: no_scram_key") != NULL, "%s",
			      PQerrorMessage(conn));
		PQfinish(conn);
	}
	proxy_must_stop_after_errors(&proxy);
}
END_TEST

/* `user` and `password` of a database: all clients work as that one. */
START_TEST(test_forced_user)
{
	struct test_proxy *proxy = proxy_must_start(&(struct proxy_options){
		.auth = "scram-sha-256",
		.databases = "{ name = \"forced\"; cluster = \"main\"; dbname = \"app\"; "
			     "user = \"scram_user\"; password = \"scram_user_secret\"; }" });
	PGconn *conn = db_open_as(proxy, "other", "forced", NULL);

	ck_assert_str_eq(db_text(conn, "SELECT current_user"), "scram_user");
	ck_assert_str_eq(db_text(conn, "SELECT current_database()"), "app");
	PQfinish(conn);
	proxy_must_stop(&proxy);
}
END_TEST

/* Two clusters with a database and a user of the same names: each is shown its own password only.
 */
START_TEST(test_password_of_another_cluster)
{
	char cluster[512];
	struct test_proxy *proxy;
	PGconn *conn;

	snprintf(cluster, sizeof(cluster),
		 "}, { name = \"second\";\n"
		 "  nodes = ({ name = \"same\"; host = \"127.0.0.1\"; port = %d; });\n"
		 "  monitor = { user = \"monitor\"; password = \"monitor_secret\";\n"
		 "    database = \"postgres\"; interval = \"200ms\"; };\n",
		 servers->nodes[0].port);
	proxy = proxy_must_start(&(struct proxy_options){
		.cluster = cluster,
		.databases = "{ name = \"one\"; cluster = \"main\"; dbname = \"app\"; "
			     "user = \"scram_user\"; password = \"not it\"; },\n"
			     "{ name = \"two\"; cluster = \"second\"; dbname = \"app\"; "
			     "user = \"scram_user\"; password = \"scram_user_secret\"; }" });
	/* From now on the worker knows both. */
	conn = proxy_connect_with(proxy, "app", "one", NULL);
	PQfinish(conn);
	conn = db_open_as(proxy, "app", "two", NULL);
	ck_assert_str_eq(db_text(conn, "SELECT current_user"), "scram_user");
	PQfinish(conn);
	proxy_must_stop_after_errors(&proxy);
}
END_TEST

/* what a server says to the proxy's log-in is what the client hears. */
START_TEST(test_refusal_of_a_server)
{
	struct test_proxy *proxy = proxy_must_start(&(struct proxy_options){
		.databases = "{ name = \"closed\"; cluster = \"main\"; dbname = \"app\"; "
			     "user = \"scram_user\"; password = \"not it\"; }" });
	struct raw *raw = raw_open(proxy->port);

	ck_assert_ptr_nonnull(raw);
	ck_assert(raw_startup(raw, 0, "app", "closed", NULL));
	ck_assert_int_eq(raw_read_main(raw), 'R');
	ck_assert(raw_expect_end(raw));
	ck_assert_str_eq(raw_error_field(raw, 'C'), "28P01");
	raw_close(&raw);
	proxy_must_stop_after_errors(&proxy);
}
END_TEST

/* no secret in any output. */
START_TEST(test_no_secret_in_the_log)
{
	for (int i = 0; i < METHODS; i++) {
		char *log = proxy_log(proxies[i]);

		ck_assert_ptr_nonnull(log);
		ck_assert_ptr_null(strstr(log, "_secret"));
		free(log);
	}
}
END_TEST

static void revive(void)
{
	for (int i = 0; i < METHODS; i++)
		proxy_must_live(&proxies[i]);
}

static Suite *auth_suite(void)
{
	Suite *suite = suite_create("auth");
	TCase *tcase = integration_case(suite, "auth", 60);

	tcase_add_unchecked_fixture(tcase, set_up, tear_down);
	tcase_add_checked_fixture(tcase, revive, NULL);
	tcase_add_loop_test(tcase, test_log_in, 0, METHODS * USERS);
	tcase_add_loop_test(tcase, test_wrong_password, USERS, METHODS * USERS);
	tcase_add_loop_test(tcase, test_refusal, 0, 9);
	tcase_add_test(tcase, test_unknown_user_with_trust);
	tcase_add_loop_test(tcase, test_messages_out_of_turn, 0, 12);
	tcase_add_loop_test(tcase, test_long_password, 0, 2);
	tcase_add_loop_test(tcase, test_stored_secret, 0,
			    (int)(sizeof(secrets) / sizeof(secrets[0])));
	tcase_add_loop_test(tcase, test_stored_secret_is_passed_on, 0, 2);
	tcase_add_test(tcase, test_stored_secret_without_a_proof);
	tcase_add_test(tcase, test_stored_secret_of_another_salt);
	tcase_add_test(tcase, test_key_is_not_for_a_forced_user);
	tcase_add_test(tcase, test_forced_user);
	tcase_add_test(tcase, test_password_of_another_cluster);
	tcase_add_test(tcase, test_refusal_of_a_server);
	tcase_add_test(tcase, test_no_secret_in_the_log);
	return suite;
}

INTEGRATION_SUITE(auth_suite)
