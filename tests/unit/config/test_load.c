/*
 * Loading: each kind of mistake with its line, several at once, every value where it belongs,
 * what databases inherit, what strings may stand for, files and what they include, failing
 * memory.
 */

#include "config/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit.h"
#include "sample.h"

/* --- mistakes --- */

#define LC SAMPLE_LISTEN SAMPLE_CLUSTERS
#define LD SAMPLE_LISTEN SAMPLE_DATABASES
#define CD SAMPLE_CLUSTERS SAMPLE_DATABASES

/* Lines 1 to 3 are SAMPLE's, so most mistakes are in line 4. */
static const struct {
	const char *text;
	const char *errors; /* without "/etc/test.conf:" */
} mistakes[] = {
	/* syntax */
	{ SAMPLE "a = = 1;", "4: syntax error" },
	{ SAMPLE "a = {", "4: syntax error" },
	{ SAMPLE "workers = 1;\n\nworkers = 2;", "6: duplicate setting name" },
	{ SAMPLE "a = [1, \"x\"];", "4: mismatched element type in array" },
	{ SAMPLE "a = \"x\n\"", "4: the string is not closed on its line" },
	{ SAMPLE "@include \"/none\"", "4: cannot include \"/none\": No such file or directory" },
	/* unknown names */
	{ SAMPLE "worker = 1;", "4: worker: unknown option" },
	{ SAMPLE "Workers = 1;", "4: Workers: unknown option" },
	{ SAMPLE "name = \"x\";", "4: name: unknown option" },
	{ SAMPLE "log = {\nlevle = \"info\"; };", "5: log.levle: unknown option" },
	{ SAMPLE_LISTEN
	  "clusters = ({ name = \"main\"; nodes = (\n{ name = \"a\"; host = \"h\"; },\n{ name = "
	  "\"b\"; host = \"i\"; prot = 1; }); });\n" SAMPLE_DATABASES,
	  "4: clusters[0].nodes[1].prot: unknown option" },
	{ SAMPLE "nodes = ();", "4: nodes: unknown option" },
	/* types */
	{ SAMPLE "workers = \"x\";", "4: workers: \"x\" is not a whole number" },
	{ SAMPLE "workers = 1.5;",
	  "4: workers: it must be a whole number, not a number with a fraction" },
	{ SAMPLE "workers = true;", "4: workers: it must be a whole number, not true or false" },
	{ SAMPLE "workers = (1);", "4: workers: it must be a whole number, not a list" },
	{ SAMPLE "workers = [1];", "4: workers: it must be a whole number, not an array" },
	{ SAMPLE "workers = {};", "4: workers: it must be a whole number, not a group" },
	{ SAMPLE "strict_hints = 2;", "4: strict_hints: \"2\" is neither true nor false" },
	{ SAMPLE "strict_hints = {};", "4: strict_hints: it must be true or false, not a group" },
	{ SAMPLE "query_timeout = true;",
	  "4: query_timeout: it must be a duration, such as \"250ms\" or \"5s\", not true or "
	  "false" },
	{ SAMPLE "query_timeout = \"5 parsecs\";",
	  "4: query_timeout: \"5 parsecs\" is not a duration, such as \"250ms\" or \"5s\"" },
	{ SAMPLE "client_buffer = 1.5;",
	  "4: client_buffer: it must be a size, such as \"64kB\", not a number with a fraction" },
	{ SAMPLE "pool_mode = 1;",
	  "4: pool_mode: it must be a string in double quotes, not a whole number" },
	{ SAMPLE "pool_mode = \"none\";",
	  "4: pool_mode: \"none\" is not one of session, transaction, statement" },
	{ SAMPLE "server_reset_query = false;",
	  "4: server_reset_query: it must be a string in double quotes, not true or false" },
	{ SAMPLE "log = ();", "4: log: it must be a group, { ... }, not a list" },
	{ SAMPLE "log = 1;", "4: log: it must be a group, { ... }, not a whole number" },
	{ CD "listen = { address = \"x\"; }; auth = { type = \"trust\"; };",
	  "3: listen: it must be a list of groups, ( { ... }, { ... } ), not a group\n"
	  "3: listen: there must be one at least" },
	{ CD "listen = (\"x\"); auth = { type = \"trust\"; };",
	  "3: listen[0]: it must be a group, { ... }, not a string" },
	{ SAMPLE "admin = { users = 1; };",
	  "4: admin.users: it must be a list of strings, not a whole number" },
	{ SAMPLE "admin = { users = (\"a\",\n1); };",
	  "5: admin.users[1]: it must be a string in double quotes, not a whole number" },
	{ SAMPLE "admin = { users = (\"\"); };", "4: admin.users: the value is empty" },
	/* bounds */
	{ SAMPLE "max_client_conn = 0;",
	  "4: max_client_conn: \"0\" is out of bounds: 1 to 1000000" },
	{ SAMPLE "max_client_conn = 4294967297;",
	  "4: max_client_conn: \"4294967297\" is out of bounds: 1 to 1000000" },
	{ SAMPLE "max_client_conn = 99999999999999999999;",
	  "4: the number 99999999999999999999 is too large" },
	{ SAMPLE "query_timeout = -1;",
	  "4: query_timeout: \"-1\" is not a duration, such as \"250ms\" or \"5s\"" },
	{ SAMPLE "query_timeout = 0.0000001;", NULL }, /* 0, see fractions_of_seconds */
	/* the environment and files */
	{ SAMPLE "server_reset_query = \"${UNIT_UNSET}\";",
	  "4: server_reset_query: the environment variable UNIT_UNSET is not set" },
	{ SAMPLE "admin = { users = (\"${UNIT_UNSET}\"); };",
	  "4: admin.users[0]: the environment variable UNIT_UNSET is not set" },
	{ SAMPLE_LISTEN
	  "clusters = ({ name = \"main\"; nodes = ({ name = \"a\"; host = \"h\"; });\n"
	  "monitor = { password = \"file:/none\"; }; });\n" SAMPLE_DATABASES,
	  "3: clusters[0].monitor.password: cannot read \"/none\": No such file or directory" },
	/* what is missing */
	{ "", "1: listen: there must be one at least\n"
	      "1: auth.file: with type \"scram-sha-256\" there must be a user list, or an auth_user\n"
	      "1: clusters: there must be one at least\n"
	      "1: databases: there must be one at least" },
	{ CD "auth = { type = \"trust\"; };\nlisten = ();",
	  "4: listen: there must be one at least" },
	{ CD "auth = { type = \"trust\"; };\nlisten = ({ port = 1; });",
	  "4: listen[0]: \"address\" is missing" },
	{ LD "clusters = ({ name = \"main\"; });",
	  "3: clusters[0].nodes: there must be one at least" },
	{ LD "clusters = ({ name = \"main\"; nodes = ({ }); });",
	  "3: clusters[0].nodes[0]: \"name\" is missing\n"
	  "3: clusters[0].nodes[0]: \"host\" is missing" },
	{ LC "databases = ({ });",
	  "3: databases[0]: \"name\" is missing\n3: databases[0]: \"cluster\" is missing" },
	{ LC "databases = ({ name = \"\"; cluster = \"main\"; });",
	  "3: databases[0].name: the value is empty" },
	/* across options */
	{ CD "auth = { type = \"md5\"; file = \"\"; }; listen = ({ address = \"x\"; });",
	  "3: auth.file: with type \"md5\" there must be a user list, or an auth_user" },
	{ CD "auth = { type = \"trust\"; };\nlisten = ({ address = \"x\"; },\n"
	     "{ address = \"x\"; port = 6433; },\n{ address = \"x\"; port = 6432; });",
	  "6: listen[2].address: \"x\" port 6432 is taken by listen[0]" },
	{ CD "auth = { type = \"trust\"; };\nlisten = ({ address = \"x\"; },\n"
	     "{ address = \"*\"; });",
	  "5: listen[1].address: \"*\" port 6432 is taken by listen[0]" },
	{ CD
	  "auth = { type = \"trust\"; };\nlisten = ({ address = \"/run/pointsman\"; port = 6433; "
	  "});",
	  "1: admin.socket_dir: \"/run/pointsman\" port 6433 is taken by listen[0]" },
	{ CD
	  "auth = { type = \"trust\"; };\nlisten = ({ address = \"/a/directory/with/a/name/that/"
	  "is/too/long/for/a/unix/socket/since/they/have/one/hundred/and/seven/at/most\"; });",
	  "4: listen[0].address: the name of the unix socket has 119 bytes, the system allows "
	  "107" },
	{ SAMPLE "admin = { socket_dir = \"/a/directory/with/a/name/that/is/too/long/for/a/unix/"
		 "socket/since/they/have/one/hundred/and/seven/at/most\"; };",
	  "4: admin.socket_dir: the name of the unix socket has 119 bytes, the system allows "
	  "107" },
	{ SAMPLE "admin = { socket_dir = \"run\"; };",
	  "4: admin.socket_dir: it must be an absolute path, not \"run\"" },
	{ LD "clusters = ({ name = \"main\"; nodes = ({ name = \"a\"; host = \"h\"; }); },\n"
	     "{ name = \"main\"; nodes = ({ name = \"a\"; host = \"h\"; }); });",
	  "4: clusters[1].name: \"main\" is the name of another cluster" },
	{ LD "clusters = ({ name = \"main\"; nodes = ({ name = \"a\"; host = \"h\"; },\n"
	     "{ name = \"a\"; host = \"i\"; }); });",
	  "4: clusters[0].nodes[1].name: \"a\" is the name of another node" },
	{ LD "clusters = ({ name = \"main\"; nodes = ({ name = \"a\"; host = \"h\"; },\n"
	     "{ name = \"b\"; host = \"h\"; port = 5432; }); });",
	  "4: clusters[0].nodes[1].host: \"h\" port 5432 is already nodes[0]" },
	{ LD "clusters = ({ name = \"main\"; nodes = ({ name = \"a\"; host = \"h\"; });\n"
	     "max_lag = {\npreferred = \"11s\"; }; });",
	  "5: clusters[0].max_lag.preferred: it is larger than max_lag.hard" },
	{ LD "clusters = ({ name = \"main\"; nodes = ({ name = \"a\"; host = \"h\"; });\n"
	     "max_lag = {\nhard = \"1ms\"; }; });",
	  "4: clusters[0].max_lag.preferred: it is larger than max_lag.hard" },
	{ LC "databases = ({ name = \"app\"; cluster = \"x\"; });",
	  "3: databases[0].cluster: there is no cluster \"x\"" },
	{ LC "databases = ({ name = \"app\"; cluster = \"main\"; },\n"
	     "{ name = \"app\"; cluster = \"main\"; });",
	  "4: databases[1].name: \"app\" is the name of another database" },
	{ LC "databases = ({ name = \"pointsman\"; cluster = \"main\"; },\n"
	     "{ name = \"pgbouncer\"; cluster = \"main\"; });",
	  "3: databases[0].name: \"pointsman\" is the admin console\n"
	  "4: databases[1].name: \"pgbouncer\" is the admin console" },
	{ LC "databases = ({ name = \"*\"; cluster = \"main\"; dbname = \"x\"; });",
	  "3: databases[0].dbname: all databases of the clients would be one database on the "
	  "servers" },
	{ LC "databases = ({ name = \"app\"; cluster = \"main\"; password = \"x\"; });",
	  "3: databases[0].password: it needs a user beside it" },
	{ LC "databases = ({ name = \"app\"; cluster = \"main\"; min_pool_size = 21; });",
	  "3: databases[0].min_pool_size: 21 is more than default_pool_size, 20" },
	{ LC "databases = ({ name = \"app\"; cluster = \"main\"; default_pool_size = 2; });\n"
	     "min_pool_size = 3;",
	  "3: databases[0].min_pool_size: 3 is more than default_pool_size, 2" },
	/* all of them, in the order of the lines */
	{ LC "databases = ({ name = \"app\"; cluster = \"x\";\nsplit = \"on\"; });\n"
	     "workers = -1;\nfoo = 1;\n",
	  "3: databases[0].cluster: there is no cluster \"x\"\n"
	  "4: databases[0].split: \"on\" is not one of off, hints, auto\n"
	  "5: workers: \"-1\" is out of bounds: 0 to 256\n"
	  "6: foo: unknown option" },
};

/* `errors`, one a line, each with "/etc/test.conf:" before it. */
static void with_file(const char *errors, char *out, size_t size)
{
	out[0] = '\0';
	while (*errors) {
		int length = (int)strcspn(errors, "\n");

		snprintf(out + strlen(out), size - strlen(out), "/etc/test.conf:%.*s\n", length,
			 errors);
		errors += length + (errors[length] == '\n');
	}
}

START_TEST(mistakes_are_told)
{
	char expected[1024];
	char *said;

	unsetenv("UNIT_UNSET");
	if (mistakes[_i].errors == NULL) {
		struct config *config = sample_load(mistakes[_i].text);

		config_unref(&config);
		return;
	}
	said = sample_errors(mistakes[_i].text);
	with_file(mistakes[_i].errors, expected, sizeof(expected));
	ck_assert_str_eq(said, expected);
	free(said);
}
END_TEST

START_TEST(secrets_are_not_in_messages)
{
	char long_secret[3000] = "";
	char text[4096];
	char *said;

	for (int i = 0; i < 200; i++)
		strcat(long_secret, "confidential");
	snprintf(text, sizeof(text),
		 LC "databases = ({ name = \"app\"; cluster = \"main\"; user = \"u\"; password = "
		    "\"%s\"; });",
		 long_secret);
	said = sample_errors(text);
	ck_assert_str_eq(said,
			 "/etc/test.conf:3: databases[0].password: the value is longer than "
			 "1024 bytes\n");
	free(said);
}
END_TEST

/* --- values --- */

START_TEST(defaults_are_as_documented)
{
	struct config *config = sample_load(SAMPLE);
	const struct config_cluster *cluster = &config->clusters[0];
	const struct config_database *database = &config->databases[0];

	ck_assert_uint_eq(config->n_listen, 1);
	ck_assert_int_eq(config->listen[0].port, 6432);
	ck_assert_int_eq(config->workers, 0);
	ck_assert_str_eq(config->admin.socket_dir, "/run/pointsman");
	ck_assert_int_eq(config->admin.port, 6433);
	ck_assert_uint_eq(config->admin.n_users, 0);
	ck_assert_int_eq(config->log.level, LOG_LEVEL_INFO);
	ck_assert(config->log.connections && config->log.disconnections);
	ck_assert_int_eq(config->query_wait_timeout, 120 * USEC_PER_SEC);
	ck_assert_int_eq(config->server_lifetime, 3600 * USEC_PER_SEC);
	ck_assert_int_eq(config->server_login_retry, USEC_PER_SEC);
	ck_assert_uint_eq(config->client_buffer, 65536);
	ck_assert_uint_eq(config->shape_cache_bytes, 8 << 20);
	ck_assert_str_eq(config->server_reset_query, "DISCARD ALL");
	ck_assert(config->tcp_keepalive);
	ck_assert_str_eq(config->path, "/etc/test.conf");

	ck_assert_int_eq(cluster->nodes[0].port, 5432);
	ck_assert_int_eq(cluster->nodes[0].weight, 100);
	ck_assert_str_eq(cluster->nodes[0].zone, "");
	ck_assert_str_eq(cluster->monitor.user, "");
	ck_assert_str_eq(cluster->monitor.password, "");
	ck_assert_str_eq(cluster->monitor.database, "postgres");
	ck_assert_int_eq(cluster->monitor.interval, USEC_PER_SEC);
	ck_assert_int_eq(cluster->monitor.timeout, 2 * USEC_PER_SEC);
	ck_assert_int_eq(cluster->max_lag.preferred, USEC_PER_SEC);
	ck_assert_int_eq(cluster->max_lag.hard, 10 * USEC_PER_SEC);

	ck_assert_ptr_null(database->dbname);
	ck_assert_ptr_null(database->user);
	ck_assert_ptr_null(database->password);
	ck_assert_int_eq(database->pool_mode, POOL_TRANSACTION);
	ck_assert_int_eq(database->default_pool_size, 20);
	ck_assert_int_eq(database->split, ROUTE_SPLIT_HINTS);
	ck_assert_int_eq(database->read_hint, READ_HINT_NONE);
	ck_assert_int_eq(database->max_staleness, 5 * USEC_PER_SEC);
	ck_assert_int_eq(database->on_no_replica, ROUTE_NO_REPLICA_PRIMARY);
	config_unref(&config);
	ck_assert_ptr_null(config);
}
END_TEST

START_TEST(values_arrive_where_they_belong)
{
	struct config *config = sample_load(
		"listen = ({ address = \"*\"; port = 1; }, { address = \"/tmp\"; });\n"
		"auth = { type = \"md5\"; file = \"users\"; };\n"
		"admin = { socket_dir = \"\"; users = [\"a\", \"b\"]; stats_users = (\"c\"); };\n"
		"log = { level = \"DEBUG\"; format = \"json\"; connections = false; };\n"
		"clusters = ({ name = \"x\"; nodes = ({ name = \"a\"; host = \"h\"; }); },\n"
		"  { name = \"y\"; nodes = ({ name = \"a\"; host = \"/s\"; port = 65535; weight "
		"= 0;\n"
		"  zone = \"z\"; }, { name = \"b\"; host = \"i\"; });\n"
		"  monitor = { user = \"m\"; password = \"p\"; interval = 0.5; }; });\n"
		"databases = ({ name = \"d\"; cluster = \"y\"; dbname = \"e\"; user = \"u\";\n"
		"  password = \"q\"; pool_mode = \"session\"; split = \"auto\"; server_lifetime "
		"= 60; "
		"});\n");

	ck_assert_str_eq(config->listen[0].address, "*");
	ck_assert_int_eq(config->listen[0].port, 1);
	ck_assert_str_eq(config->listen[1].address, "/tmp");
	ck_assert_int_eq(config->auth.type, AUTH_MD5);
	ck_assert_str_eq(config->auth.file, "/etc/users");
	ck_assert_str_eq(config->admin.socket_dir, "");
	ck_assert_uint_eq(config->admin.n_users, 2);
	ck_assert_str_eq(config->admin.users[1], "b");
	ck_assert_str_eq(config->admin.stats_users[0], "c");
	ck_assert_int_eq(config->log.level, LOG_LEVEL_DEBUG);
	ck_assert_int_eq(config->log.format, LOG_FORMAT_JSON);
	ck_assert(!config->log.connections && config->log.disconnections);
	ck_assert_uint_eq(config->n_clusters, 2);
	ck_assert_uint_eq(config->clusters[1].n_nodes, 2);
	ck_assert_str_eq(config->clusters[1].nodes[0].host, "/s");
	ck_assert_int_eq(config->clusters[1].nodes[0].port, 65535);
	ck_assert_int_eq(config->clusters[1].nodes[0].weight, 0);
	ck_assert_str_eq(config->clusters[1].nodes[0].zone, "z");
	ck_assert_str_eq(config->clusters[1].monitor.user, "m");
	ck_assert_str_eq(config->clusters[1].monitor.password, "p");
	ck_assert_int_eq(config->clusters[1].monitor.interval, USEC_PER_SEC / 2);
	ck_assert_uint_eq(config->databases[0].cluster_index, 1);
	ck_assert_str_eq(config->databases[0].dbname, "e");
	ck_assert_str_eq(config->databases[0].user, "u");
	ck_assert_str_eq(config->databases[0].password, "q");
	ck_assert_int_eq(config->databases[0].pool_mode, POOL_SESSION);
	ck_assert_int_eq(config->databases[0].split, ROUTE_SPLIT_AUTO);
	ck_assert_int_eq(config->databases[0].server_lifetime, 60 * USEC_PER_SEC);
	config_unref(&config);
}
END_TEST

START_TEST(databases_inherit_global_values_wherever_these_stand)
{
	struct config *config = sample_load(
		LC
		"databases = ({ name = \"a\"; cluster = \"main\"; default_pool_size = 3; },\n"
		"{ name = \"b\"; cluster = \"main\"; });\n"
		"default_pool_size = 7; pool_mode = \"statement\"; read_hint = \"replica\";\n"
		"consistency = \"session\"; on_no_replica = \"wait\"; max_staleness = \"1min\";");

	for (size_t i = 0; i < 2; i++) {
		const struct config_database *database = &config->databases[i];

		ck_assert_int_eq(database->default_pool_size, i == 0 ? 3 : 7);
		ck_assert_int_eq(database->pool_mode, POOL_STATEMENT);
		ck_assert_int_eq(database->read_hint, READ_HINT_REPLICA);
		ck_assert_int_eq(database->consistency, CONSISTENCY_SESSION);
		ck_assert_int_eq(database->on_no_replica, ROUTE_NO_REPLICA_WAIT);
		ck_assert_int_eq(database->max_staleness, 60 * USEC_PER_SEC);
	}
	config_unref(&config);
}
END_TEST

START_TEST(strings_stand_for_other_types)
{
	struct config *config;

	setenv("UNIT_NUMBER", "12", 1);
	setenv("UNIT_BOOL", "on", 1);
	setenv("UNIT_WORD", "auto", 1);
	config = sample_load(SAMPLE
			     "workers = \"${UNIT_NUMBER}\"; strict_hints = \"${UNIT_BOOL}\";\n"
			     "split = \"${UNIT_WORD}\"; query_timeout = \"${UNIT_NUMBER}ms\";\n"
			     "tcp_keepalive = 0; admin = { users = \"a, b${UNIT_NUMBER}\"; };");
	ck_assert_int_eq(config->workers, 12);
	ck_assert(config->strict_hints);
	ck_assert_int_eq(config->split, ROUTE_SPLIT_AUTO);
	ck_assert_int_eq(config->query_timeout, 12 * USEC_PER_MS);
	ck_assert(!config->tcp_keepalive);
	ck_assert_uint_eq(config->admin.n_users, 2);
	ck_assert_str_eq(config->admin.users[1], "b12");
	config_unref(&config);
}
END_TEST

START_TEST(plain_durations_are_seconds_and_may_have_a_fraction)
{
	struct config *config =
		sample_load(SAMPLE "query_timeout = 3;\nclient_idle_timeout = 0.25;\n"
				   "client_login_timeout = 99999999;");

	ck_assert_int_eq(config->query_timeout, 3 * USEC_PER_SEC);
	ck_assert_int_eq(config->client_idle_timeout, 250 * USEC_PER_MS);
	ck_assert_int_eq(config->client_login_timeout, 99999999 * USEC_PER_SEC);
	config_unref(&config);
}
END_TEST

START_TEST(a_file_is_loaded_with_what_it_includes)
{
	const char *directory = sample_directory();
	struct bytes errors = { 0 };
	struct config *config;
	char path[300], file[400];

	snprintf(path, sizeof(path), "%s/proxy.conf", directory);
	snprintf(file, sizeof(file), "%s/users", directory);
	sample_write_file(directory, "databases.conf", "{ name = \"app\"; cluster = \"main\"; }");
	sample_write_file(directory, "proxy.conf",
			  SAMPLE_CLUSTERS "listen = ({ address = \"*\"; });\n"
					  "auth = { file = \"users\"; };\n"
					  "databases = (\n@include \"databases.conf\"\n);\n");
	config = config_load(path, &errors);
	ck_assert_ptr_nonnull(config);
	ck_assert_str_eq(config->databases[0].name, "app");
	ck_assert_str_eq(config->auth.file, file);
	ck_assert_str_eq(config->path, path);
	config_unref(&config);

	sample_write_file(directory, "databases.conf", "{\nname = \"app\";\nclutser = 1; }");
	ck_assert_ptr_null(config_load(path, &errors));
	ck_assert(bytes_append(&errors, "", 1));
	ck_assert_ptr_nonnull(
		strstr((const char *)bytes_begin(&errors),
		       "/databases.conf:3: databases[0].clutser: unknown option\n"));
	ck_assert_ptr_nonnull(
		strstr((const char *)bytes_begin(&errors),
		       "/databases.conf:1: databases[0]: \"cluster\" is missing\n"));
	bytes_free(&errors);
	sample_remove_directory(directory);
}
END_TEST

START_TEST(a_missing_file_is_an_error)
{
	struct bytes errors = { 0 };

	ck_assert_ptr_null(config_load("/none/x.conf", &errors));
	ck_assert(bytes_append(&errors, "", 1));
	ck_assert_str_eq((const char *)bytes_begin(&errors),
			 "/none/x.conf:1: cannot read the file: No such file or directory\n");
	bytes_free(&errors);
}
END_TEST

START_TEST(there_may_be_4096_databases)
{
	struct bytes text = { 0 };
	struct config *config;
	char *said;

	bytes_append_text(&text, LC "databases = (");
	for (int i = 0; i < 4096; i++)
		bytes_printf(&text, "%s{ name = \"d%d\"; cluster = \"main\"; }", i ? "," : "", i);
	bytes_append(&text, ");", 3);
	config = sample_load((const char *)bytes_begin(&text));
	ck_assert_uint_eq(config->n_databases, 4096);
	ck_assert_str_eq(config_database_find(config, "d4095")->name, "d4095");
	config_unref(&config);

	text.end -= 3;
	bytes_append(&text, ", {});", 7);
	said = sample_errors((const char *)bytes_begin(&text));
	ck_assert_ptr_nonnull(strstr(said, "databases: more than 4096 of them\n"));
	free(said);
	bytes_free(&text);
}
END_TEST

START_TEST(deep_nesting_is_an_error)
{
	static char text[200001] = "a=";
	char *said;

	memset(text + 2, '(', sizeof(text) - 3);
	said = sample_errors(text);
	ck_assert_str_eq(said, "/etc/test.conf:1: memory exhausted\n");
	free(said);
}
END_TEST

/* whatever goes wrong while it is read, there is either all of a configuration or none. */
START_TEST(failing_memory_gives_no_configuration)
{
	char *big = malloc(100000);
	unsigned long nth;

	/* large enough that the arena needs more than its first chunk */
	strcpy(big, SAMPLE "admin = { users = (\"a\"");
	for (int i = 0; i < 900; i++)
		strcat(big, ",\"a-user-with-a-long-name-that-takes-its-room\"");
	strcat(big, "); };");
	for (nth = 1;; nth++) {
		struct bytes errors = { 0 };
		struct config *config;
		bool failed;

		unit_fail_alloc(nth);
		config = config_load_text("/etc/test.conf", big, strlen(big), &errors);
		failed = unit_alloc_failed();
		unit_fail_alloc(0);
		bytes_free(&errors);
		if (!failed) {
			ck_assert_ptr_nonnull(config);
			config_unref(&config);
			break;
		}
		ck_assert_ptr_null(config);
	}
	ck_assert_uint_gt(nth, 20);
	free(big);
}
END_TEST

static Suite *load_suite(void)
{
	Suite *suite = suite_create("config/load");
	TCase *tcase = tcase_create("load");

	tcase_set_timeout(tcase, 30);
	tcase_add_loop_test(tcase, mistakes_are_told, 0, sizeof(mistakes) / sizeof(mistakes[0]));
	tcase_add_test(tcase, secrets_are_not_in_messages);
	tcase_add_test(tcase, defaults_are_as_documented);
	tcase_add_test(tcase, values_arrive_where_they_belong);
	tcase_add_test(tcase, databases_inherit_global_values_wherever_these_stand);
	tcase_add_test(tcase, strings_stand_for_other_types);
	tcase_add_test(tcase, plain_durations_are_seconds_and_may_have_a_fraction);
	tcase_add_test(tcase, a_file_is_loaded_with_what_it_includes);
	tcase_add_test(tcase, a_missing_file_is_an_error);
	tcase_add_test(tcase, there_may_be_4096_databases);
	tcase_add_test(tcase, deep_nesting_is_an_error);
	tcase_add_test(tcase, failing_memory_gives_no_configuration);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(load_suite)
