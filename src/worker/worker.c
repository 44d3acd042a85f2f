/*
 * A worker thread: receives mail, turns a configuration into what its sessions and pools go by,
 * and ticks. What clients and servers do is in session/ and pool/.
 */
#include "worker/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/panic.h"
#include "pool/cancel.h"
#include "session/client.h"
#include "session/client_login.h"
#include "worker/fleet.h"
#include "worker/mail.h"
#include "worker/worker_auth.h"
#include "worker/notify.h"

#define TICK               (100 * USEC_PER_MS)
#define TICKS_FOR_SESSIONS 5
/* How long running queries may take to be cancelled at the end. */
#define STOP_TIME          (2 * USEC_PER_SEC)
#define CANCEL_LINGER      USEC_PER_SEC

/* --- from the configuration --- */

static void copy_hints(struct hints *hints, const struct config_database *entry)
{
	memset(hints, 0, sizeof(*hints));
	if (entry->read_hint != READ_HINT_NONE) {
		hints->read_hint = entry->read_hint;
		hints->set |= 1u << HINT_READ_HINT;
	}
	if (entry->consistency != CONSISTENCY_NONE) {
		hints->consistency = entry->consistency;
		hints->set |= 1u << HINT_CONSISTENCY;
	}
	hints->max_staleness = entry->max_staleness;
	hints->set |= 1u << HINT_MAX_STALENESS;
}

static bool replace_text(char **to, const char *from)
{
	char *copy = from ? strdup(from) : NULL;

	if (from && !copy)
		return false;
	free(*to);
	*to = copy;
	return true;
}

static struct session_rules database_rules(const struct config *config,
					   const struct config_database *entry)
{
	return (struct session_rules){
		.mode = entry->pool_mode,
		.query_timeout = config->query_timeout,
		.query_wait_timeout = entry->query_wait_timeout,
		.idle_transaction_timeout = config->idle_transaction_timeout,
		.transaction_timeout = config->transaction_timeout,
		.client_idle_timeout = config->client_idle_timeout,
		.max_user_client_connections = config->max_user_client_connections,
		.pool = { .size = entry->default_pool_size,
			  .min_size = entry->min_pool_size,
			  .reserve = entry->reserve_pool_size,
			  .server_lifetime = entry->server_lifetime,
			  .max_db_connections = entry->max_db_connections,
			  .max_user_connections = config->max_user_connections },
	};
}

static void override_int(int *value, int wish)
{
	if (wish != -1)
		*value = wish;
}

static void override_time(usec *value, usec wish)
{
	if (wish != -1)
		*value = wish;
}

/* What the entry of a client's user sets goes before the database and the global options. */
static void apply_user(struct session_rules *rules, const struct config_user *user)
{
	if (!user)
		return;
	if (user->pool_mode != -1)
		rules->mode = (enum pool_mode)user->pool_mode;
	override_int(&rules->max_user_client_connections, user->max_user_client_connections);
	override_time(&rules->query_timeout, user->query_timeout);
	override_time(&rules->query_wait_timeout, user->query_wait_timeout);
	override_time(&rules->idle_transaction_timeout, user->idle_transaction_timeout);
	override_time(&rules->transaction_timeout, user->transaction_timeout);
	override_time(&rules->client_idle_timeout, user->client_idle_timeout);
}

/* The same of the user who logs in to servers, for the pool that is his. */
static void apply_server_user(struct pool_settings *pool, const struct config_user *user)
{
	if (!user)
		return;
	override_int(&pool->size, user->pool_size);
	override_int(&pool->reserve, user->reserve_pool_size);
	override_int(&pool->max_user_connections, user->max_user_connections);
}

static void op_rules(void *context, const struct session_database *database, const char *user,
		     const char *server_user, struct session_rules *out)
{
	const struct config *config = ((struct worker *)context)->snapshot->config;

	*out = database->rules;
	apply_user(out, config_user_find(config, user));
	apply_server_user(&out->pool, config_user_find(config, server_user));
}

static bool configure_database(struct session_database *database, const struct config *config,
			       const struct config_database *entry)
{
	const char *dbname = entry->dbname ? entry->dbname : database->name;

	if (!replace_text(&database->dbname, dbname) ||
	    !replace_text(&database->user, entry->user) ||
	    !replace_text(&database->password, entry->password) ||
	    !replace_text(&database->cluster_name, config->clusters[entry->cluster_index].name))
		return false;
	database->cluster = (unsigned)entry->cluster_index;
	database->split = entry->split;
	database->on_no_replica = entry->on_no_replica;
	copy_hints(&database->hints, entry);
	database->rules = database_rules(config, entry);
	atomic_store(&database->client_cap->limit, entry->max_db_client_connections);
	database->is_auto = strcmp(entry->name, "*") == 0;
	database->is_retired = false;
	return true;
}

static struct conn_tcp_options tcp_options(const struct config *config)
{
	return (struct conn_tcp_options){
		.keepalive = config->tcp_keepalive,
		.keepidle_s = config->tcp_keepidle,
		.keepintvl_s = config->tcp_keepintvl,
		.keepcnt = config->tcp_keepcnt,
		.user_timeout_ms = config->tcp_user_timeout,
		.socket_buffer = (int)config->tcp_socket_buffer,
	};
}

/* This worker's part of a limit that all have together: rounded up, so that each has something.
 */
static size_t share_of(const struct worker *worker, int limit)
{
	int n = fleet_worker_count(worker->fleet);

	return (size_t)((limit + n - 1) / n);
}

static void configure_limits(struct worker *worker)
{
	const struct config *config = worker->snapshot->config;
	struct pool_limits *pool = &worker->pool_env.limits;

	worker->env.limits = (struct session_limits){
		.auth = config->auth.type,
		.max_logins = share_of(worker, config->max_login_conn),
		.query_wait_notify = config->query_wait_notify,
		.client_login_timeout = config->client_login_timeout,
		.autodb_idle_timeout = config->autodb_idle_timeout,
		.server_fast_close = config->server_fast_close,
		.client_buffer = config->client_buffer,
		.client_statements_max = (size_t)config->max_client_statements,
		.client_statement_bytes = config->max_client_statement_bytes,
		.statement_bytes_max = config->max_statement_bytes,
		.strict_hints = config->strict_hints,
		.log_connections = config->log.connections,
		.log_disconnections = config->log.disconnections,
		.tcp = tcp_options(config),
		.tls = worker->snapshot->tls.clients,
	};
	pool->server_idle_timeout = config->server_idle_timeout;
	pool->server_connect_timeout = config->server_connect_timeout;
	pool->server_login_retry = config->server_login_retry;
	pool->server_check_delay = config->server_check_delay;
	pool->reserve_pool_timeout = config->reserve_pool_timeout;
	pool->server_round_robin = config->server_round_robin;
	pool->cancel_wait_timeout = config->cancel_wait_timeout;
	pool->max_prepared_statements = config->max_prepared_statements;
	pool->max_prepared_bytes = config->max_prepared_bytes;
	pool->server_protocol_minor = (uint8_t)protocol_version_minor(config->server_protocol);
	pool->tcp = tcp_options(config);
	pool->tls = worker->snapshot->tls.servers;
	snprintf(pool->check_query, sizeof(pool->check_query), "%s", config->server_check_query);
	pool->channel_binding = config->server_channel_binding;
	snprintf(pool->reset_query, sizeof(pool->reset_query), "%s", config->server_reset_query);
}

static void close_clients(struct worker *worker, const struct session_database *database)
{
	LIST_EACH_SAFE (&worker->env.clients, node) {
		struct client *client = LIST_ENTRY(node, struct client, node);

		if (client->identity->database == database)
			client_close(client, CLOSE_ADMIN, "57P01",
				     "pointsman: the database is no longer configured");
	}
}

/*
 * A retired database keeps its last settings: its clients may finish, and nobody new gets in. Its
 * cluster may be at another place of the configuration, or gone; then its clients are, too.
 */
static void retire_database(struct worker *worker, struct session_database *database)
{
	const struct config *config = worker->snapshot->config;

	database->is_retired = true;
	for (size_t i = 0; i < config->n_clusters; i++) {
		if (strcmp(config->clusters[i].name, database->cluster_name) == 0) {
			database->cluster = (unsigned)i;
			return;
		}
	}
	database->cluster = SESSION_NO_CLUSTER;
	close_clients(worker, database);
}

static void configure_databases(struct worker *worker)
{
	const struct config *config = worker->snapshot->config;

	LIST_EACH (&worker->env.databases, node) {
		struct session_database *database =
			LIST_ENTRY(node, struct session_database, node);
		const struct config_database *entry =
			config_database_find(config, database->name);

		if (!entry || !configure_database(database, config, entry))
			retire_database(worker, database);
	}
}

/* Servers that were connected to by other rules are replaced as they come free. */
static bool is_server_tls_changed(const struct snapshot *from, const struct snapshot *to)
{
	struct tls_settings a = config_tls_settings(from->config, TLS_ROLE_CLIENT);
	struct tls_settings b = config_tls_settings(to->config, TLS_ROLE_CLIENT);

	return !tls_settings_are_same(&a, &b);
}

static void replace_servers(struct worker *worker)
{
	LIST_EACH (pools_list(worker->env.pools), node)
		pool_reconnect(LIST_ENTRY(node, struct pool, node));
}

/* `topology`: one that fits the new configuration, or NULL: the one there is fits. */
static void take_snapshot(struct worker *worker, struct snapshot *snapshot,
			  struct topology *topology)
{
	bool is_tls_changed = is_server_tls_changed(worker->snapshot, snapshot);

	snapshot_unref(&worker->snapshot);
	worker->snapshot = snapshot;
	if (topology) {
		topology_unref(&worker->env.topology);
		worker->env.topology = topology_ref(topology);
	}
	configure_limits(worker);
	configure_databases(worker);
	pools_retire_all(worker->env.pools);
	session_env_reconfigured(&worker->env);
	pools_check_addresses(worker->env.pools);
	if (is_tls_changed)
		replace_servers(worker);
	session_forget_welcomes(&worker->env);
	notify_check(worker);
	if (topology)
		session_env_set_topology(&worker->env, topology); /* wakes who waits for a node */
}

/* --- what sessions ask for --- */

static struct session_database *find_database(const struct worker *worker, const char *name)
{
	LIST_EACH (&worker->env.databases, node) {
		struct session_database *database =
			LIST_ENTRY(node, struct session_database, node);

		if (strcmp(database->name, name) == 0)
			return database;
	}
	return NULL;
}

static void free_database(struct worker *worker, struct session_database *database)
{
	pool_client_cap_put(worker->env.registry, &database->client_cap);
	free(database->name);
	free(database->cluster_name);
	free(database->dbname);
	free(database->user);
	free(database->password);
	free(database);
}

static struct session_database *make_database(struct worker *worker, const char *name,
					      const struct config_database *entry)
{
	struct session_database *database = calloc(1, sizeof(*database));

	if (!database)
		return NULL;
	database->client_cap = pool_client_cap_get(worker->env.registry, POOL_CAP_DATABASE, name);
	if (!database->client_cap || !replace_text(&database->name, name) ||
	    !configure_database(database, worker->snapshot->config, entry)) {
		free_database(worker, database);
		return NULL;
	}
	database->is_paused = worker->env.is_paused;
	list_push_back(&worker->env.databases, &database->node);
	return database;
}

static struct session_database *op_database(void *context, const char *name)
{
	struct worker *worker = context;
	struct session_database *database = find_database(worker, name);
	const struct config_database *entry;

	if (database)
		return database->is_retired ? NULL : database;
	entry = config_database_find(worker->snapshot->config, name);
	return entry ? make_database(worker, name, entry) : NULL;
}

static bool op_admit_client(void *context)
{
	struct worker *worker = context;

	if (!fleet_admit_client(worker->fleet))
		return false;
	atomic_fetch_add(&worker->clients, 1);
	return true;
}

static void op_client_left(void *context)
{
	struct worker *worker = context;

	atomic_fetch_sub(&worker->clients, 1);
	fleet_client_left(worker->fleet);
}

static bool is_listed(const char **names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

static bool op_is_admin(void *context, const char *user)
{
	const struct config *config = ((struct worker *)context)->snapshot->config;

	return is_listed(config->admin.users, config->admin.n_users, user) ||
	       is_listed(config->admin.stats_users, config->admin.n_stats_users, user);
}

/* For connections whose next owner is somebody else, or who only wait to be closed. */
static size_t ignore_data(void *context, const uint8_t *data, size_t length)
{
	(void)context;
	(void)data;
	return length;
}

static void ignore_closed(void *context, enum conn_end end, int error)
{
	(void)context;
	(void)end;
	(void)error;
}

static const struct conn_handler silent_conn_handler = { ignore_data, NULL, ignore_closed, NULL };

/* Runs after the batch: until then the connection's own callbacks may still look at it. */
static void send_to_console(void *context)
{
	struct console_mail *mail = context;

	conn_detach(mail->conn);
	fleet_post_control(mail->fleet, &mail->mail);
}

static void op_admin(void *context, struct conn *conn, const char *user, const char *database,
		     const char *host, int port)
{
	struct worker *worker = context;
	struct console_mail *mail = calloc(1, sizeof(*mail));

	if (!mail)
		goto out;
	mail->mail.kind = FLEET_MAIL_CONSOLE;
	mail->user = strdup(user);
	mail->database = strdup(database);
	if (!mail->user || !mail->database)
		goto out;
	mail->conn = conn;
	mail->port = port;
	mail->fleet = worker->fleet;
	snprintf(mail->host, sizeof(mail->host), "%s", host);
	conn_set_handler(conn, &silent_conn_handler, NULL);
	conn_pause(conn);
	loop_defer(worker->loop, &mail->departure, send_to_console, mail);
	return;
out:
	if (mail) {
		free(mail->user);
		free(mail->database);
		free(mail);
	}
	conn_destroy(&conn);
}

/* --- cancel requests: every worker is asked --- */

static void end_round(struct cancel_round *round)
{
	conn_finish(&round->conn, CANCEL_LINGER);
	free(round);
}

/* One worker has answered: the key was not its, or the cancel is delivered. At the origin. */
static void count_answer(struct cancel_round *round)
{
	if (--round->answers_due == 0)
		end_round(round);
}

/* Sends the answer home, from the worker that has it. */
static void answer_round(struct worker *worker, struct cancel_mail *mail)
{
	struct cancel_round *round = mail->round;

	if (round->origin == worker->index) {
		free(mail);
		count_answer(round);
		return;
	}
	mail->mail.kind = WORKER_MAIL_CANCELLED;
	fleet_post(worker->fleet, round->origin, &mail->mail);
}

static void on_cancel_done(void *context)
{
	struct cancel_mail *mail = context;

	answer_round(mail->worker, mail);
}

static void look_for_session(struct worker *worker, struct cancel_mail *mail)
{
	mail->worker = worker;
	if (!client_cancel(&worker->env, &mail->round->key, on_cancel_done, mail))
		answer_round(worker, mail);
}

static void op_cancel(void *context, const struct cancel_key *key, struct conn *conn)
{
	struct worker *worker = context;
	int n = worker->pool_env.n_workers;
	struct cancel_mail *mails[POOL_WORKERS_MAX] = { NULL };
	struct cancel_round *round = calloc(1, sizeof(*round));
	bool failed = !round;

	for (int i = 0; i < n && !failed; i++) {
		mails[i] = calloc(1, sizeof(*mails[i]));
		failed = !mails[i];
	}
	if (failed) {
		for (int i = 0; i < n; i++)
			free(mails[i]);
		free(round);
		conn_destroy(&conn);
		return;
	}
	*round = (struct cancel_round){
		.conn = conn, .key = *key, .origin = worker->index, .answers_due = n
	};
	conn_set_handler(conn, &silent_conn_handler, NULL);
	for (int i = 0; i < n; i++) {
		mails[i]->mail.kind = WORKER_MAIL_CANCEL;
		mails[i]->round = round;
		fleet_post(worker->fleet, i, &mails[i]->mail);
	}
}

static bool op_listen(void *context, const struct channel_order *order)
{
	return notify_order(context, order);
}

static const struct session_ops session_ops = {
	.database = op_database,
	.rules = op_rules,
	.secret = worker_secret,
	.is_known_user = worker_is_known_user,
	.hba_rule = worker_hba_rule,
	.map_user = worker_map_user,
	.look_up = worker_look_up,
	.keep_secret = worker_keep_secret,
	.admit_client = op_admit_client,
	.client_left = op_client_left,
	.cancel = op_cancel,
	.admin = op_admin,
	.listen = op_listen,
	.is_admin = op_is_admin,
};

/* --- what pools ask for --- */

static void pool_post(void *context, int worker, struct mail *mail)
{
	fleet_post(((struct worker *)context)->fleet, worker, mail);
}

/* NULL: the key is of an earlier picture. */
static const struct node *find_node(const struct worker *worker, const struct pool_key *key)
{
	const struct topology *topology = worker->env.topology;
	const struct node *node;

	if (key->cluster >= topology->n_clusters ||
	    key->node >= topology->clusters[key->cluster].n_nodes)
		return NULL;
	node = &topology->clusters[key->cluster].nodes[key->node];
	return strcmp(node->name, key->node_name) == 0 &&
			       strcmp(topology->clusters[key->cluster].name, key->cluster_name) ==
				       0
		       ? node
		       : NULL;
}

static bool pool_address(void *context, const struct pool_key *key,
			 struct sockaddr_storage *address_out, socklen_t *length_out)
{
	const struct node *node = find_node(context, key);

	if (!node)
		return false;
	*address_out = node->address;
	*length_out = node->address_length;
	return node->address_length > 0;
}

static const char *pool_host(void *context, const struct pool_key *key)
{
	const struct node *node = find_node(context, key);

	return node ? node->host : NULL;
}

static void pool_suspect(void *context, const struct pool_key *key)
{
	struct worker *worker = context;
	struct suspect_mail *mail = calloc(1, sizeof(*mail));

	if (!mail)
		return; /* the next round of probes will see it */
	mail->mail.kind = FLEET_MAIL_SUSPECT;
	mail->cluster = key->cluster;
	mail->node = key->node;
	fleet_post_control(worker->fleet, &mail->mail);
}

/* --- ticks --- */

static bool is_at_rest(const struct client *client)
{
	return client->state == CLIENT_IDLE && !client->request && !txn_is_open(&client->txn) &&
	       !client->is_batch_open;
}

static void tell_idle_clients(struct worker *worker)
{
	LIST_EACH_SAFE (&worker->env.clients, node) {
		struct client *client = LIST_ENTRY(node, struct client, node);

		/* A standby is never at rest, and comes back to who takes over. */
		if (is_at_rest(client) || client->replication != REPLICATION_NONE)
			client_close(
				client, CLOSE_SHUTDOWN, "57P01",
				"pointsman: terminating connection due to administrator command");
	}
}

static void report_idle(struct worker *worker)
{
	struct mail *mail = calloc(1, sizeof(*mail));

	if (!mail)
		return; /* again at the next tick */
	worker->is_drain_reported = true;
	mail->kind = FLEET_MAIL_IDLE;
	fleet_post_control(worker->fleet, mail);
}

static void drain(struct worker *worker)
{
	if (worker->is_drain_hasty)
		tell_idle_clients(worker);
	if (!worker->is_drain_reported && list_is_empty(&worker->env.clients) &&
	    list_is_empty(&worker->env.logins))
		report_idle(worker);
}

/* Of the configuration, with a user for its servers and a minimum of them: needs no client. */
static void keep_pools(struct worker *worker)
{
	const struct config *config = worker->snapshot->config;

	for (size_t i = 0; i < config->n_databases; i++) {
		const struct config_database *entry = &config->databases[i];
		struct session_database *database;

		if (!entry->user || entry->min_pool_size == 0 || strcmp(entry->name, "*") == 0)
			continue;
		database = op_database(worker, entry->name);
		if (database)
			session_keep_pools(&worker->env, database);
	}
}

/* What nobody need remember: it can be made again, and has no state that was ordered. */
static bool is_forgettable(const struct session_database *database)
{
	return (database->is_auto || database->is_retired) && database->identities == 0 &&
	       !database->is_paused && !database->is_disabled;
}

/* autodb_idle_timeout. Its identities have gone before it, each after as long a time. */
static void forget_databases(struct worker *worker)
{
	usec limit = worker->env.limits.autodb_idle_timeout;
	usec now = clock_now();

	LIST_EACH_SAFE (&worker->env.databases, node) {
		struct session_database *database =
			LIST_ENTRY(node, struct session_database, node);

		if (!is_forgettable(database) || limit <= 0) {
			database->idle_since = now;
		} else if (now - database->idle_since >= limit) {
			list_remove(&worker->env.databases, &database->node);
			free_database(worker, database);
		}
	}
}

void worker_tick_now(struct worker *worker)
{
	conn_check_paused();
	pools_tick(worker->env.pools);
	session_env_tick(&worker->env);
	keep_pools(worker);
	forget_databases(worker);
	if (worker->is_draining)
		drain(worker);
}

static void on_tick(void *context)
{
	struct worker *worker = context;

	loop_timer_start(worker->tick, TICK);
	if (++worker->ticks % TICKS_FOR_SESSIONS == 0) {
		worker_tick_now(worker);
		return;
	}
	conn_check_paused();
	pools_tick(worker->env.pools);
}

/* --- mail --- */

static void begin_drain(struct worker *worker, const struct drain_mail *mail)
{
	worker->is_draining = true;
	worker->is_drain_hasty |= mail->is_hasty;
	worker->env.is_shutting_down = true;
	client_login_close_all(&worker->env);
	drain(worker);
}

static void run_call(struct worker *worker, struct call_mail *mail)
{
	mail->function(worker, mail->call->argument, &mail->call->results[worker->index]);
	mail->mail.kind = FLEET_MAIL_CALL_DONE;
	fleet_post_control(worker->fleet, &mail->mail);
}

void worker_receive(struct worker *worker, struct mail *mail)
{
	struct client_mail *client = (struct client_mail *)mail;

	if (mail->kind < POOL_MAIL_COUNT) {
		pools_receive(worker->env.pools, mail);
		return;
	}
	switch ((enum worker_mail_kind)mail->kind) {
	case WORKER_MAIL_CLIENT:
		client_login_begin(&worker->env, client->fd, (struct sockaddr *)&client->address,
				   client->length, client->proxy_protocol);
		break;
	case WORKER_MAIL_TOPOLOGY:
		session_env_set_topology(&worker->env, ((struct topology_mail *)mail)->topology);
		pools_check_addresses(worker->env.pools);
		notify_check(worker);
		break;
	case WORKER_MAIL_SNAPSHOT:
		take_snapshot(worker, ((struct snapshot_mail *)mail)->snapshot,
			      ((struct snapshot_mail *)mail)->topology);
		break;
	case WORKER_MAIL_CANCEL: look_for_session(worker, (struct cancel_mail *)mail); return;
	case WORKER_MAIL_CANCELLED: count_answer(((struct cancel_mail *)mail)->round); break;
	case WORKER_MAIL_CALL: run_call(worker, (struct call_mail *)mail); return;
	case WORKER_MAIL_LOOKUP: worker_take_answer(worker, (struct lookup_mail *)mail); return;
	case WORKER_MAIL_DRAIN: begin_drain(worker, (struct drain_mail *)mail); break;
	case WORKER_MAIL_ORDER:
	case WORKER_MAIL_HEARD: notify_receive(worker, mail); return;
	case WORKER_MAIL_STOP: loop_stop(worker->loop); break;
	default: UNREACHABLE();
	}
	free(mail);
}

static void on_mail(void *context, struct mail *mail)
{
	worker_receive(context, mail);
}

/*
 * No thread runs any more. A round whose origin is gone before all have answered is lost with its
 * connection; that is the process's end anyhow.
 */
static void discard_answer(struct worker *worker, struct cancel_round *round)
{
	if (--round->answers_due > 0)
		return;
	(void)worker;
	conn_destroy(&round->conn);
	free(round);
}

/* What nobody reads any more. */
static void discard_mail(void *context, struct mail *mail)
{
	struct worker *worker = context;

	if (mail->kind < POOL_MAIL_COUNT) {
		pools_discard_mail(mail, worker->index);
		return;
	}
	if (mail->kind == WORKER_MAIL_CALL) { /* its asker still waits for all answers */
		mail->kind = FLEET_MAIL_CALL_DONE;
		fleet_post_control(worker->fleet, mail);
		return;
	}
	if (mail->kind == WORKER_MAIL_LOOKUP) {
		worker_discard_lookup((struct lookup_mail *)mail);
		return;
	}
	if (mail->kind == WORKER_MAIL_CLIENT)
		close(((struct client_mail *)mail)->fd);
	else if (mail->kind == WORKER_MAIL_TOPOLOGY)
		topology_unref(&((struct topology_mail *)mail)->topology);
	else if (mail->kind == WORKER_MAIL_CANCEL || mail->kind == WORKER_MAIL_CANCELLED)
		discard_answer(worker, ((struct cancel_mail *)mail)->round);
	else if (mail->kind == WORKER_MAIL_SNAPSHOT) {
		snapshot_unref(&((struct snapshot_mail *)mail)->snapshot);
		topology_unref(&((struct snapshot_mail *)mail)->topology);
	}
	free(mail);
}

/* --- life --- */

static void fill_pool_env(struct worker *worker)
{
	worker->pool_env.loop = worker->loop;
	worker->pool_env.worker = worker->index;
	worker->pool_env.n_workers = fleet_worker_count(worker->fleet);
	worker->pool_env.registry = fleet_registry(worker->fleet);
	worker->pool_env.context = worker;
	worker->pool_env.post = pool_post;
	worker->pool_env.address = pool_address;
	worker->pool_env.host = pool_host;
	worker->pool_env.secret = worker_pool_secret;
	worker->pool_env.suspect = pool_suspect;
}

static bool fill_session_env(struct worker *worker, struct topology *topology)
{
	struct judge_limits limits = judge_default_limits;
	struct session_env *env = &worker->env;

	limits.parse_bytes_max = worker->snapshot->config->max_parse_bytes;
	limits.cache_bytes_max = worker->snapshot->config->shape_cache_bytes;
	env->loop = worker->loop;
	env->worker = worker->index;
	env->registry = worker->pool_env.registry;
	env->topology = topology_ref(topology);
	env->topology_shape = 1;
	env->ops = &session_ops;
	env->context = worker;
	return session_env_init(env, &limits) &&
	       (env->pools = pools_create(&worker->pool_env)) != NULL;
}

struct worker *worker_create(struct fleet *fleet, int index, struct snapshot *snapshot,
			     struct topology *topology)
{
	struct worker *worker = calloc(1, sizeof(*worker));

	if (!worker)
		return NULL;
	worker->fleet = fleet;
	worker->index = index;
	worker->snapshot = snapshot_ref(snapshot);
	list_init(&worker->hubs);
	snprintf(worker->name, sizeof(worker->name), "worker %d", index);
	worker->loop = loop_create();
	if (!worker->loop)
		goto out;
	worker->mailbox = mailbox_create(worker->loop, on_mail, worker);
	worker->tick = loop_timer_create(worker->loop, on_tick, worker);
	fill_pool_env(worker);
	configure_limits(worker);
	if (!worker->mailbox || !worker->tick || !fill_session_env(worker, topology))
		goto out;
	loop_timer_start(worker->tick, TICK);
	return worker;
out:
	worker_destroy(&worker);
	return NULL;
}

void worker_destroy(struct worker **worker_pointer)
{
	struct worker *worker = *worker_pointer;
	struct list_node *node;

	*worker_pointer = NULL;
	if (!worker)
		return;
	if (worker->env.keys)
		session_env_destroy(&worker->env);
	notify_end(worker);
	pools_destroy(&worker->env.pools);
	loop_timer_destroy(&worker->tick);
	mailbox_destroy(&worker->mailbox, discard_mail, worker);
	loop_destroy(&worker->loop);
	while (worker->env.databases.head.next &&
	       (node = list_pop_front(&worker->env.databases)) != NULL)
		free_database(worker, LIST_ENTRY(node, struct session_database, node));
	snapshot_unref(&worker->snapshot);
	free(worker);
}

void *worker_main(void *context)
{
	struct worker *worker = context;
	usec last;

	log_set_thread(worker->name);
	loop_run(worker->loop);
	session_env_close_all(&worker->env, "57P01",
			      "pointsman: terminating connection due to administrator command");
	/* What still ran for them is being cancelled: the requests to do so must leave. */
	last = clock_now() + STOP_TIME;
	while (!list_is_empty(&worker->env.clients) && clock_now() < last)
		loop_run_once(worker->loop, true);
	cancel_end_all();
	return NULL;
}
