/*
 * The control thread; see daemon/daemon.h. It owns the monitor, the fleet and the console,
 * accepts from the listening sockets, and is the only one that replaces the configuration.
 */
#include "daemon/daemon.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "admin/console.h"
#include "base/log.h"
#include "daemon/clusters.h"
#include "daemon/sockets.h"
#include "daemon/warmup.h"
#include "net/listener.h"
#include "net/loop.h"
#include "probe/lookup.h"
#include "probe/monitor.h"
#include "worker/fleet.h"
#include "worker/mail.h"

#define SIGNALS 5

/* What is known of who comes by one of the sockets. */
struct entrance {
	struct daemon *daemon;
	enum proxy_protocol proxy_protocol;
};

struct daemon {
	struct snapshot *snapshot;
	struct loop *loop;
	struct monitor *monitor;
	struct monitor_cluster
		*monitor_clusters;  /* what the monitor goes by; strings of the snapshot */
	struct snapshot *monitored; /* ... of this one */
	struct fleet *fleet;
	struct lookups *lookups;
	struct warmup *warmup;
	struct console *console;
	struct topology *topology; /* published before there is a fleet */
	const struct sockets *sockets;
	struct listener *listeners[SOCKETS_MAX];
	struct entrance entrances[SOCKETS_MAX]; /* one for each */
	struct listener *admin_listener;
	struct event *signals[SIGNALS];
	struct loop_timer *shutdown_timer;
	bool is_draining;
};

/* --- accepting --- */

/* Whose headers are believed may change with a reload; that there is one, is the socket's. */
static void on_client(void *context, int fd, const struct sockaddr *address, socklen_t length)
{
	const struct entrance *entrance = context;
	struct daemon *daemon = entrance->daemon;
	enum proxy_protocol expected = entrance->proxy_protocol;

	if (expected != PROXY_PROTOCOL_OFF &&
	    !config_trusts_proxy(fleet_snapshot(daemon->fleet)->config, address))
		expected = PROXY_PROTOCOL_OFF;
	fleet_accept(daemon->fleet, fd, address, length, expected);
}

static void on_admin(void *context, int fd, const struct sockaddr *address, socklen_t length)
{
	(void)address;
	(void)length;
	console_accept(((struct daemon *)context)->console, fd);
}

static bool begin_accepting(struct daemon *daemon)
{
	for (int i = 0; i < daemon->sockets->count; i++) {
		daemon->entrances[i].daemon = daemon;
		daemon->entrances[i].proxy_protocol = daemon->sockets->proxy_protocols[i];
		daemon->listeners[i] = listener_create(daemon->loop, daemon->sockets->fds[i],
						       on_client, &daemon->entrances[i]);
		if (!daemon->listeners[i])
			return false;
	}
	if (daemon->sockets->admin_fd == -1)
		return true;
	daemon->admin_listener =
		listener_create(daemon->loop, daemon->sockets->admin_fd, on_admin, daemon);
	return daemon->admin_listener != NULL;
}

static void stop_accepting(struct daemon *daemon)
{
	for (int i = 0; i < SOCKETS_MAX; i++)
		listener_destroy(&daemon->listeners[i]);
}

/* --- the monitor --- */

static void on_topology(void *context, struct topology *topology)
{
	struct daemon *daemon = context;

	if (daemon->fleet && !daemon->topology) {
		fleet_set_topology(daemon->fleet, topology);
		return;
	}
	/* While a monitor begins: whoever begins it takes the picture from here. */
	topology_unref(&daemon->topology);
	daemon->topology = topology;
}

/*
 * Begins to monitor what a snapshot describes, in place of what was before. Leaves the first
 * picture in daemon->topology. Without memory the old one goes on.
 */
static bool begin_monitor(struct daemon *daemon, struct snapshot *snapshot)
{
	struct monitor_cluster *clusters = clusters_describe(snapshot->config);
	struct monitor_cluster *old_clusters = daemon->monitor_clusters;
	struct monitor *monitor;

	if (!clusters)
		return false;
	daemon->topology = topology_create(0, NULL); /* marks the beginning for on_topology() */
	monitor = monitor_create(daemon->loop, clusters, snapshot->config->n_clusters,
				 on_topology, daemon);
	if (!monitor) {
		topology_unref(&daemon->topology);
		free(clusters);
		return false;
	}
	monitor_destroy(&daemon->monitor);
	free(old_clusters);
	snapshot_unref(&daemon->monitored);
	daemon->monitor = monitor;
	daemon->monitor_clusters = clusters;
	daemon->monitored = snapshot_ref(snapshot);
	return true;
}

/* --- the configuration --- */

static void log_lines(enum log_level level, struct bytes *text)
{
	char *line;
	char *rest = NULL;

	if (bytes_length(text) == 0 || !bytes_append(text, "", 1))
		return;
	for (line = strtok_r((char *)text->data + text->start, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (level == LOG_LEVEL_ERROR)
			log_errorx(NULL, "%s", line);
		else
			log_warnx(NULL, "%s", line);
	}
}

static void set_log(const struct config *config)
{
	log_set_level(config->log.level);
	log_set_format(config->log.format);
}

/* Makes `snapshot` the one in effect; takes its reference over. */
static bool put_in_effect(struct daemon *daemon, struct snapshot *snapshot)
{
	struct topology *topology = NULL;

	if (!clusters_are_same(daemon->monitored->config, snapshot->config)) {
		if (!begin_monitor(daemon, snapshot)) {
			snapshot_unref(&snapshot);
			return false;
		}
		topology = daemon->topology;
		daemon->topology = NULL;
	}
	set_log(snapshot->config);
	lookups_reset(daemon->lookups);
	warmup_begin(daemon->warmup, snapshot);
	fleet_set_snapshot(daemon->fleet, snapshot, topology);
	snapshot_unref(&daemon->snapshot);
	daemon->snapshot = snapshot;
	return true;
}

static bool reload(void *context, struct bytes *errors)
{
	struct daemon *daemon = context;
	struct bytes warnings = { 0 };
	struct snapshot *snapshot = snapshot_load(daemon->snapshot->config->path, errors);

	if (!snapshot)
		return false;
	config_keep_fixed(snapshot->config, daemon->snapshot->config, &warnings);
	log_lines(LOG_LEVEL_WARN, &warnings);
	bytes_free(&warnings);
	if (!put_in_effect(daemon, snapshot)) {
		bytes_append_text(errors, "out of memory\n");
		return false;
	}
	log_info(NULL, "configuration reloaded");
	return true;
}

static bool set_option(void *context, const char *name, const char *value, char *error_out,
		       size_t error_size)
{
	struct daemon *daemon = context;
	struct config *config =
		config_with(daemon->snapshot->config, name, value, error_out, error_size);
	struct snapshot *snapshot;

	if (!config)
		return false;
	snapshot = snapshot_with_config(daemon->snapshot, config, error_out, error_size);
	if (!snapshot)
		return false;
	if (!put_in_effect(daemon, snapshot)) {
		snprintf(error_out, error_size, "out of memory");
		return false;
	}
	log_info(NULL, "option %s set on the console", name);
	return true;
}

/* --- the end --- */

static void on_shutdown_timeout(void *context)
{
	struct daemon *daemon = context;

	log_warnx(NULL, "shutdown_timeout: not waiting any longer");
	loop_stop(daemon->loop);
}

static void begin_shutdown(void *context, enum console_shutdown how)
{
	struct daemon *daemon = context;
	usec limit = daemon->snapshot->config->shutdown_timeout;

	if (how == CONSOLE_SHUTDOWN_NOW) {
		log_info(NULL, "shutting down now");
		loop_stop(daemon->loop);
		return;
	}
	log_info(NULL, "shutting down when %s",
		 how == CONSOLE_SHUTDOWN_SERVERS ? "no server is in use"
						 : "all clients have left");
	/* New clients are still accepted, to be told: the supervisor's sockets would queue them.
	 */
	if (!daemon->is_draining && limit > 0)
		loop_timer_start(daemon->shutdown_timer, limit);
	daemon->is_draining = true;
	fleet_drain(daemon->fleet,
		    how == CONSOLE_SHUTDOWN_SERVERS ? FLEET_DRAIN_SERVERS : FLEET_DRAIN_CLIENTS);
}

static void on_drained(void *context)
{
	struct daemon *daemon = context;

	loop_stop(daemon->loop);
}

/* --- signals: as PgBouncer's --- */

static void on_hangup(struct daemon *daemon)
{
	struct bytes errors = { 0 };

	if (!reload(daemon, &errors)) {
		log_lines(LOG_LEVEL_ERROR, &errors);
		log_errorx(NULL, "reload failed: the configuration in effect is unchanged");
	}
	bytes_free(&errors);
}

static void on_signal(evutil_socket_t number, short what, void *context)
{
	struct daemon *daemon = context;

	(void)what;
	switch (number) {
	case SIGHUP: on_hangup(daemon); break;
	case SIGTERM:
		/* "Super safe" first; a second one does not wait. */
		begin_shutdown(daemon, daemon->is_draining ? CONSOLE_SHUTDOWN_NOW
							   : CONSOLE_SHUTDOWN_CLIENTS);
		break;
	case SIGINT: begin_shutdown(daemon, CONSOLE_SHUTDOWN_SERVERS); break;
	case SIGQUIT: begin_shutdown(daemon, CONSOLE_SHUTDOWN_NOW); break;
	default: break;
	}
}

static bool catch_signals(struct daemon *daemon)
{
	static const int numbers[] = { SIGHUP, SIGTERM, SIGINT, SIGQUIT };

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		daemon->signals[i] =
			evsignal_new(loop_base(daemon->loop), numbers[i], on_signal, daemon);
		if (!daemon->signals[i] || event_add(daemon->signals[i], NULL) == -1)
			return false;
	}
	return true;
}

/* Signals are the control thread's: the others are born with all of them blocked. */
static bool start_fleet(struct fleet *fleet)
{
	sigset_t all;
	sigset_t before;
	bool started;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	started = fleet_start(fleet);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return started;
}

/* --- all together --- */

static void on_console(void *context, struct conn *conn, const char *user, const char *database,
		       const char *host, int port)
{
	console_adopt(((struct daemon *)context)->console, conn, user, database, host, port);
}

static void on_suspect(void *context, unsigned cluster, unsigned node)
{
	struct daemon *daemon = context;
	const struct config *config = daemon->snapshot->config;

	if (cluster < config->n_clusters && node < config->clusters[cluster].n_nodes)
		monitor_poke(daemon->monitor, cluster, node);
}

/* --- users that are looked up --- */

struct asked {
	struct daemon *daemon;
	struct lookup_mail *mail;
	struct snapshot *snapshot; /* has the strings of the question */
};

static void on_looked_up(void *context, struct lookup_answer *answer)
{
	struct asked *asked = context;

	asked->mail->answer = *answer;
	answer->secret = NULL;
	fleet_answer(asked->daemon->fleet, asked->mail);
	snapshot_unref(&asked->snapshot);
	free(asked);
}

/* The primary first; then whoever is up, as all of them have the same users. */
static size_t choose_nodes(const struct cluster *cluster, struct lookup_node *out)
{
	size_t n = 0;

	for (int is_second = 0; is_second < 2; is_second++) {
		for (size_t i = 0; i < cluster->n_nodes && n < LOOKUP_NODES_MAX; i++) {
			const struct node *node = &cluster->nodes[i];
			bool is_primary = node->role == NODE_ROLE_PRIMARY;

			if (node->state != NODE_STATE_UP || node->address_length == 0 ||
			    is_primary == (is_second == 1))
				continue;
			out[n] = (struct lookup_node){ .name = node->name,
						       .host = node->host,
						       .port = node->port };
			out[n].address.address = node->address;
			out[n++].address.length = node->address_length;
		}
	}
	return n;
}

/* The secret of the asker itself comes from the user list. */
static const char *asker_password(const struct snapshot *snapshot, const char *user)
{
	const struct userlist_user *found =
		snapshot->users ? userlist_find(snapshot->users, user) : NULL;

	return found && found->kind == SECRET_PLAIN ? found->secret : NULL;
}

/* false: there is no such database any more, or no memory. */
static bool begin_look_up(struct daemon *daemon, struct asked *asked)
{
	const struct config *config = asked->snapshot->config;
	const struct config_database *entry = config_database_find(config, asked->mail->database);
	const struct topology *topology = fleet_topology(daemon->fleet);
	struct lookup_node nodes[LOOKUP_NODES_MAX];
	struct lookup_question question;
	const char *wanted = asked->mail->database;

	if (!entry || !entry->auth_user[0] || entry->cluster_index >= topology->n_clusters)
		return false;
	if (entry->dbname)
		wanted = entry->dbname;
	question = (struct lookup_question){
		.nodes = nodes,
		.n_nodes = choose_nodes(&topology->clusters[entry->cluster_index], nodes),
		.cluster = config->clusters[entry->cluster_index].name,
		.database = entry->auth_dbname[0] ? entry->auth_dbname : wanted,
		.asker = entry->auth_user,
		.password = asker_password(asked->snapshot, entry->auth_user),
		.query = entry->auth_query,
		.user = asked->mail->user,
		.tls = config_tls_settings(config, TLS_ROLE_CLIENT),
		.timeout = config->auth_query_timeout,
	};
	return lookups_ask(daemon->lookups, &question, on_looked_up, asked);
}

static void on_look_up(void *context, struct lookup_mail *mail)
{
	struct daemon *daemon = context;
	struct asked *asked = calloc(1, sizeof(*asked));

	mail->answer.result = LOOKUP_FAILED;
	if (asked) {
		asked->daemon = daemon;
		asked->mail = mail;
		asked->snapshot = snapshot_ref(daemon->snapshot);
		if (begin_look_up(daemon, asked))
			return;
		snapshot_unref(&asked->snapshot);
		free(asked);
	}
	fleet_answer(daemon->fleet, mail);
}

static bool start(struct daemon *daemon)
{
	const struct fleet_hooks fleet_hooks = { daemon, on_console, on_suspect, on_look_up,
						 on_drained };
	const struct console_hooks console_hooks = {
		.context = daemon, .reload = reload, .set = set_option, .shutdown = begin_shutdown
	};

	daemon->loop = loop_create();
	if (daemon->loop)
		daemon->lookups = lookups_create(daemon->loop);
	if (daemon->lookups)
		daemon->warmup = warmup_create(daemon->loop);
	if (!daemon->warmup || !begin_monitor(daemon, daemon->snapshot))
		return false;
	daemon->fleet =
		fleet_create(daemon->loop, daemon->snapshot, daemon->topology, &fleet_hooks);
	topology_unref(&daemon->topology);
	if (!daemon->fleet)
		return false;
	daemon->console = console_create(daemon->loop, daemon->fleet, &console_hooks);
	daemon->shutdown_timer = loop_timer_create(daemon->loop, on_shutdown_timeout, daemon);
	warmup_begin(daemon->warmup, daemon->snapshot);
	return daemon->console && daemon->shutdown_timer && catch_signals(daemon) &&
	       start_fleet(daemon->fleet) && begin_accepting(daemon);
}

static void stop(struct daemon *daemon)
{
	stop_accepting(daemon);
	listener_destroy(&daemon->admin_listener);
	monitor_destroy(&daemon->monitor);
	warmup_destroy(&daemon->warmup);
	lookups_destroy(&daemon->lookups); /* its answers go to the fleet */
	fleet_destroy(&daemon->fleet);
	console_destroy(&daemon->console);
	loop_timer_destroy(&daemon->shutdown_timer);
	for (int i = 0; i < SIGNALS; i++) {
		if (daemon->signals[i])
			event_free(daemon->signals[i]);
	}
	loop_destroy(&daemon->loop);
	free(daemon->monitor_clusters);
	snapshot_unref(&daemon->monitored);
	topology_unref(&daemon->topology);
	snapshot_unref(&daemon->snapshot);
}

int daemon_serve(struct snapshot *snapshot, const struct sockets *sockets)
{
	struct daemon daemon = { .snapshot = snapshot, .sockets = sockets };
	bool started;

	log_set_thread("control");
	set_log(snapshot->config);
	started = start(&daemon);
	if (started) {
		log_info(NULL, "pointsman " POINTSMAN_VERSION " is ready, %d workers",
			 fleet_worker_count(daemon.fleet));
		loop_run(daemon.loop);
		log_info(NULL, "stopping");
	} else {
		log_errorx(NULL, "could not start");
	}
	stop(&daemon);
	return started ? 0 : 1;
}
