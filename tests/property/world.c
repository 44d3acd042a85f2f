/*
 * Servers and proxies of the property test, and the questions to the servers whether they are
 * clean: see world.h.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/support.h"

const char *const world_user_names[USERS] = { "trust_user", "password_user" };

enum {
	CLEAN_TIMEOUT_MS = 15000
};

/* What waits for a lock (a prepared transaction's) fails, in both worlds. */
static const char setup_once[] =
	"ALTER ROLE password_user SUPERUSER; ALTER DATABASE " DATABASE
	" SET lock_timeout = '250ms'; CREATE ROLE r1; CREATE ROLE r2; "
	"GRANT r1, r2 TO trust_user; GRANT CREATE ON DATABASE " DATABASE
	" TO trust_user; CREATE TABLE public.who AS SELECT 'public' AS name; "
	"GRANT SELECT ON public.who TO PUBLIC";

static const char setup_client[] =
	"SET client_min_messages = error; DROP SCHEMA IF EXISTS c%d CASCADE; CREATE SCHEMA c%d; "
	"CREATE TABLE c%d.t (id int PRIMARY KEY, v text); "
	"INSERT INTO c%d.t SELECT n, 'row ' || n FROM generate_series(1, 8) n; "
	"CREATE TABLE c%d.who AS SELECT 'c%d' AS name; CREATE SEQUENCE c%d.s; "
	"CREATE TABLE c%d.d (id int UNIQUE DEFERRABLE INITIALLY DEFERRED); "
	"GRANT ALL ON SCHEMA c%d TO trust_user, r1; GRANT USAGE ON SCHEMA c%d TO r2; "
	"GRANT ALL ON ALL TABLES IN SCHEMA c%d TO trust_user, r1; "
	"GRANT ALL ON ALL SEQUENCES IN SCHEMA c%d TO trust_user, r1; "
	"GRANT SELECT ON c%d.who TO r2; ALTER TABLE c%d.t OWNER TO trust_user";

static const char settings_left[] =
	"SELECT 'setting ' || name || ' = ' || setting FROM pg_settings WHERE source = 'session' "
	"AND name NOT LIKE 'transaction\\_%' "
	"UNION ALL SELECT 'role ' || current_user WHERE current_user <> session_user "
	"OR current_setting('role') <> 'none' "
	"UNION ALL SELECT 'statement ' || name FROM pg_prepared_statements WHERE name NOT LIKE "
	"'pointsman\\_%' UNION ALL SELECT 'cursor ' || name FROM pg_cursors "
	"UNION ALL SELECT 'custom ' || s FROM current_setting('my.var', true) s WHERE s <> '' "
	"UNION ALL SELECT 'channel ' || c FROM pg_listening_channels() c "
	"UNION ALL SELECT 'temporary ' || relname FROM pg_class WHERE relnamespace = "
	"pg_my_temp_schema() AND relkind = 'r'";

static struct test_proxy *start_proxy(const struct test_cluster *servers, const char *split,
				      const char *database)
{
	return proxy_start(servers,
			   &(struct proxy_options){ .workers = 2,
						    .pool_size = SERVERS,
						    .split = split,
						    .database = database,
						    .top = "query_wait_timeout = \"2s\";" });
}

bool world_start(struct world *world)
{
	world->direct = cluster_start(0, NULL);
	world->pooled = world->direct == NULL ? NULL : cluster_start(1, NULL);
	if (world->pooled == NULL || !cluster_exec(world->direct, 0, DATABASE, setup_once) ||
	    !cluster_exec(world->pooled, 0, DATABASE, setup_once))
		return false;
	world->proxies[0] = start_proxy(world->pooled, "hints", NULL);
	world->proxies[1] = start_proxy(world->pooled, "auto", "consistency = \"session\"; ");
	return world->proxies[0] != NULL && world->proxies[1] != NULL;
}

bool world_stop(struct world *world)
{
	bool ok = true;

	for (int i = 0; i < 2; i++) {
		char *errors =
			world->proxies[i] == NULL ? NULL : proxy_log_errors(world->proxies[i]);

		if (errors != NULL)
			printf("errors in the log of the proxy:\n%s", errors);
		ok = errors == NULL && ok;
		free(errors);
		ok = proxy_stop(&world->proxies[i]) && ok;
	}
	cluster_stop(&world->direct, CLUSTER_STOP_IMMEDIATE);
	cluster_stop(&world->pooled, CLUSTER_STOP_IMMEDIATE);
	return ok;
}

/* --- the data --- */

/* Prepared transactions of the round before, which would hold locks on what is dropped. */
static bool end_prepared(const struct test_cluster *cluster)
{
	char *gid;
	bool ok = true;

	while (ok && (gid = cluster_query(cluster, 0, DATABASE,
					  "SELECT gid FROM pg_prepared_xacts LIMIT 1")) != NULL) {
		char sql[128];

		if (gid[0] == '\0') {
			free(gid);
			return true;
		}
		snprintf(sql, sizeof(sql), "ROLLBACK PREPARED '%s'", gid);
		free(gid);
		ok = cluster_exec(cluster, 0, DATABASE, sql);
	}
	return false;
}

static bool make_schemas(const struct test_cluster *cluster)
{
	char sql[4096];

	if (!end_prepared(cluster))
		return false;
	for (int i = 1; i <= CLIENTS; i++) {
		snprintf(sql, sizeof(sql), setup_client, i, i, i, i, i, i, i, i, i, i, i, i, i,
			 i);
		if (!cluster_exec(cluster, 0, DATABASE, sql))
			return false;
	}
	return true;
}

bool world_make_schemas(const struct world *world)
{
	return make_schemas(world->direct) && make_schemas(world->pooled) &&
	       cluster_wait_replay_all(world->pooled);
}

/* --- are the servers clean? --- */

/* A condition that holds soon: nobody tells when a server has been given back. */
static bool gets_empty(const struct test_cluster *cluster, size_t node, const char *sql)
{
	int64_t until = support_now_ms() + CLEAN_TIMEOUT_MS;
	char *what;

	while ((what = cluster_query(cluster, node, DATABASE, sql)) != NULL && what[0] != '\0' &&
	       support_now_ms() < until) {
		free(what);
		support_poll_pause();
	}
	if (what != NULL && what[0] == '\0') {
		free(what);
		return true;
	}
	printf("%s: a server that nobody uses: %s\n", cluster->nodes[node].name,
	       what == NULL ? "?" : what);
	free(what);
	return false;
}

static bool are_idle(const struct test_cluster *cluster, size_t node, const char *user)
{
	char sql[512];

	snprintf(sql, sizeof(sql),
		 "SELECT state || ': ' || query FROM pg_stat_activity WHERE usename = '%s' AND "
		 "state <> 'idle'",
		 user);
	if (!gets_empty(cluster, node, sql))
		return false;
	snprintf(sql, sizeof(sql),
		 "SELECT 'lock ' || locktype || ' ' || mode FROM pg_locks JOIN pg_stat_activity "
		 "USING (pid) WHERE usename = '%s'",
		 user);
	return gets_empty(cluster, node, sql);
}

static bool has_nothing_left(PGconn *conn)
{
	PGresult *result = PQexec(conn, settings_left);
	int n = PQntuples(result);

	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		printf("what is left on a server: %s", PQerrorMessage(conn));
	for (int i = 0; i < n; i++)
		printf("left on a server: %s\n", PQgetvalue(result, i, 0));
	n = PQresultStatus(result) == PGRES_TUPLES_OK ? n : 1;
	PQclear(result);
	return n == 0;
}

/* All servers of the pool at once, each in a transaction. */
static bool are_empty(const struct test_proxy *proxy, const char *user, const char *begin)
{
	PGconn *conns[SERVERS];
	bool ok = true;

	for (int i = 0; i < SERVERS; i++) {
		conns[i] = proxy_connect(proxy, user, DATABASE);
		PQclear(PQexec(conns[i], begin));
		ok = has_nothing_left(conns[i]) && ok;
	}
	for (int i = 0; i < SERVERS; i++) {
		PQclear(PQexec(conns[i], "ROLLBACK"));
		PQfinish(conns[i]);
	}
	return ok;
}

bool world_is_clean(const struct world *world, const struct test_proxy *proxy,
		    enum world_user user)
{
	const char *name = world_user_names[user];

	return are_idle(world->pooled, 0, name) && are_idle(world->pooled, 1, name) &&
	       are_empty(proxy, name, "BEGIN") && are_empty(proxy, name, "BEGIN READ ONLY");
}
