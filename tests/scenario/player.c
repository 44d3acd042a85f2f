/*
 * The world around one worker: sockets, nodes, clock; see player.h. One thread runs all of it,
 * the proxy's loops included.
 */
#include "player.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/certs.h"
#include "base/panic.h"
#include "pool/cancel.h"
#include "session/client.h"
#include "worker/mail.h"

/* So many turns without a byte moving, and nothing will happen any more: mail needs a few. */
#define QUIET_TURNS 4
/* More turns than any script needs: the two sides go round in circles. */
#define TURNS_MAX   20000
#define FIRST_NOW   (1000 * USEC_PER_SEC)

bool player_is_proxy_running;
bool player_traces;

/* --- configuration --- */

static const struct player_setup defaults = { .nodes = { "p", "r" }, .n_nodes = 2 };

static size_t node_count(const struct player_setup *setup)
{
	return setup->n_nodes ? setup->n_nodes : defaults.n_nodes;
}

static const char *node_name(const struct player_setup *setup, size_t index)
{
	return setup->n_nodes ? setup->nodes[index] : defaults.nodes[index];
}

/* Then there is a certificate for it, and clients come over TCP. */
static bool offers_tls(const struct player_setup *setup)
{
	return setup->options && strstr(setup->options, "client_tls_sslmode");
}

static void write_config(const struct player_setup *setup, struct bytes *out)
{
	bytes_append_text(out, "listen = ({ address = \"127.0.0.1\"; });\n"
			       "workers = 1;\nadmin = { socket_dir = \"\"; };\n");
	bytes_printf(out, "auth = { type = \"%s\"; %s %s };\n",
		     setup->auth ? setup->auth : "trust",
		     setup->users ? "file = \"userlist.txt\";" : "",
		     setup->hba ? "hba_file = \"hba.conf\";" : "");
	bytes_append_text(out, "clusters = ({ name = \"main\"; nodes = (");
	for (size_t i = 0; i < node_count(setup); i++)
		bytes_printf(out, "%s{ name = \"%s\"; host = \"%s\"; }", i ? ", " : "",
			     node_name(setup, i), node_name(setup, i));
	bytes_append_text(out, "); });\n");
	/* The servers of most scripts begin with the StartupMessage. */
	if (!setup->options || !strstr(setup->options, "server_tls_sslmode"))
		bytes_append_text(out, "server_tls_sslmode = \"disable\";\n");
	if (offers_tls(setup))
		bytes_append_text(out, "client_tls_cert_file = \"proxy.crt\";\n"
				       "client_tls_key_file = \"proxy.key\";\n");
	if (setup->options)
		bytes_append_text(out, setup->options);
	bytes_printf(out, "\ndatabases = ({ name = \"app\"; cluster = \"main\"; %s }%s%s);\n",
		     setup->database ? setup->database : "", setup->more ? ", " : "",
		     setup->more ? setup->more : "");
}

static void write_file(const char *directory, const char *name, const char *data, size_t length)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	ASSERT(file && fwrite(data, 1, length, file) == length);
	ASSERT(fclose(file) == 0);
}

static void remove_file(const char *directory, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	unlink(path);
}

struct snapshot *player_snapshot(const struct player_setup *setup, struct bytes *errors)
{
	char directory[] = "/tmp/pointsman-scenario-XXXXXX";
	struct bytes text = { 0 };
	struct snapshot *snapshot;
	char path[256];

	ASSERT(mkdtemp(directory));
	if (offers_tls(setup))
		ASSERT(cert_make(directory, "proxy", &(struct cert_options){ .days = 1 }));
	write_config(setup, &text);
	write_file(directory, "proxy.conf", (const char *)bytes_begin(&text),
		   bytes_length(&text));
	if (setup->users)
		write_file(directory, "userlist.txt", setup->users, strlen(setup->users));
	if (setup->hba)
		write_file(directory, "hba.conf", setup->hba, strlen(setup->hba));
	bytes_free(&text);
	snprintf(path, sizeof(path), "%s/proxy.conf", directory);
	snapshot = snapshot_load(path, errors);
	remove_file(directory, "proxy.conf");
	remove_file(directory, "userlist.txt");
	remove_file(directory, "proxy.crt");
	remove_file(directory, "proxy.key");
	remove_file(directory, "hba.conf");
	rmdir(directory);
	return snapshot;
}

/* --- nodes --- */

int player_node(const struct player *player, const char *name)
{
	for (size_t i = 0; i < player->n_nodes; i++) {
		if (strcmp(player->nodes[i].name, name) == 0)
			return (int)i;
	}
	return -1;
}

void player_listen(struct player *player, unsigned node)
{
	struct player_node *n = &player->nodes[node];

	ASSERT(n->fd == -1);
	n->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ASSERT(n->fd != -1);
	ASSERT(bind(n->fd, (struct sockaddr *)&n->address, n->length) == 0);
	ASSERT(listen(n->fd, 64) == 0);
}

void player_refuse(struct player *player, unsigned node)
{
	if (player->nodes[node].fd != -1)
		close(player->nodes[node].fd);
	player->nodes[node].fd = -1;
}

static void name_address(struct player_node *node)
{
	static unsigned last;
	int n;

	node->address.sun_family = AF_UNIX;
	n = snprintf(node->address.sun_path + 1, sizeof(node->address.sun_path) - 1,
		     "pointsman-scenario.%d.%u.%s", (int)getpid(), ++last, node->name);
	node->length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
}

static void set_up_nodes(struct player *player, const struct player_setup *setup)
{
	player->n_nodes = node_count(setup);
	for (size_t i = 0; i < player->n_nodes; i++) {
		struct player_node *node = &player->nodes[i];

		snprintf(node->name, sizeof(node->name), "%s", node_name(setup, i));
		node->fd = -1;
		node->state = NODE_STATE_UP;
		node->role = i == 0 ? NODE_ROLE_PRIMARY : NODE_ROLE_REPLICA;
		name_address(node);
		player_listen(player, (unsigned)i);
	}
}

static void fill_node(const struct player *player, struct topology *topology, size_t index)
{
	const struct player_node *from = &player->nodes[index];
	struct node *node = &topology->clusters[0].nodes[index];

	node->name = topology_string(topology, from->name);
	node->host = node->name;
	node->zone = topology_string(topology, "");
	node->port = 5432;
	node->weight = 100;
	memcpy(&node->address, &from->address, from->length);
	node->address_length = from->length;
	node->role = from->role;
	node->state = from->state;
	node->timeline = 1;
	node->lsn = 0x1000000;
	node->lag = from->role == NODE_ROLE_REPLICA ? from->lag : 0;
	node->changed_at = node->probed_at = player->now;
}

static struct topology *make_topology(const struct player *player)
{
	const struct config_cluster *config = &player->snapshot->config->clusters[0];
	size_t count = player->n_nodes;
	struct topology *topology = topology_create(1, &count);

	ASSERT(topology);
	topology->clusters[0].name = topology_string(topology, config->name);
	topology->clusters[0].lag_preferred = config->max_lag.preferred;
	topology->clusters[0].lag_hard = config->max_lag.hard;
	for (size_t i = 0; i < count; i++)
		fill_node(player, topology, i);
	cluster_elect_primary(&topology->clusters[0]);
	return topology;
}

void player_publish(struct player *player)
{
	fleet_set_topology(player->fleet, make_topology(player));
}

/* --- the proxy's hooks --- */

static void on_console(void *context, struct conn *conn, const char *user, const char *database,
		       const char *host, int port)
{
	struct player *player = context;

	(void)user;
	(void)database;
	(void)host;
	(void)port;
	player->consoles++;
	conn_destroy(&conn);
}

static void on_suspect(void *context, unsigned cluster, unsigned node)
{
	struct player *player = context;

	(void)cluster;
	(void)node;
	player->suspects++;
}

static void on_look_up(void *context, struct lookup_mail *mail)
{
	struct player *player = context;

	mail->mail.next = NULL;
	ASSERT(player->n_lookups < PLAYER_LOOKUPS_MAX);
	player->lookups[player->n_lookups++] = mail;
}

bool player_answer(struct player *player, const char *user, enum lookup_result result,
		   const char *secret)
{
	for (size_t i = 0; i < player->n_lookups; i++) {
		struct lookup_mail *mail = player->lookups[i];

		if (strcmp(mail->user, user) != 0)
			continue;
		memmove(&player->lookups[i], &player->lookups[i + 1],
			(--player->n_lookups - i) * sizeof(player->lookups[0]));
		mail->answer.result = result;
		mail->answer.secret = secret ? strdup(secret) : NULL;
		fleet_answer(player->fleet, mail);
		return true;
	}
	return false;
}

static void on_drained(void *context)
{
	((struct player *)context)->is_drained = true;
}

/* --- peers --- */

struct peer *player_find(struct player *player, const char *name)
{
	struct peer *peer = player->peers;

	while (peer && strcmp(peer->name, name) != 0)
		peer = peer->next;
	return peer;
}

static struct peer *add_peer(struct player *player, const char *name, int fd,
			     enum direction direction)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	ASSERT(peer);
	peer->player = player;
	snprintf(peer->name, sizeof(peer->name), "%s", name);
	peer->fd = fd;
	peer->direction = direction;
	peer->is_reading = true;
	peer->next = player->peers;
	player->peers = peer;
	return peer;
}

static struct peer *connect_with(struct player *player, const char *name,
				 enum proxy_protocol proxy_protocol)
{
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct sockaddr_in remote = { .sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	bool is_remote = player->snapshot->tls.clients != NULL;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == -1)
		return NULL;
	if (is_remote)
		fleet_accept(player->fleet, pair[1], (struct sockaddr *)&remote, sizeof(remote),
			     proxy_protocol);
	else
		fleet_accept(player->fleet, pair[1], (struct sockaddr *)&local,
			     offsetof(struct sockaddr_un, sun_path), proxy_protocol);
	return add_peer(player, name, pair[0], FROM_CLIENT);
}

struct peer *player_connect(struct player *player, const char *name)
{
	return connect_with(player, name, PROXY_PROTOCOL_OFF);
}

struct peer *player_connect_proxied(struct player *player, const char *name)
{
	return connect_with(player, name, PROXY_PROTOCOL_ANY);
}

struct peer *player_accept(struct player *player, unsigned node, const char *name)
{
	struct peer *peer;
	int fd;

	if (player->nodes[node].fd == -1)
		return NULL;
	fd = accept4(player->nodes[node].fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd == -1)
		return NULL;
	peer = add_peer(player, name, fd, FROM_SERVER);
	peer->node = node;
	return peer;
}

void peer_close(struct peer *peer)
{
	if (peer->fd != -1)
		close(peer->fd);
	peer->fd = -1;
	peer->is_eof = true;
	bytes_free(&peer->out);
}

void peer_free(struct player *player, struct peer *peer)
{
	struct peer **link = &player->peers;

	while (*link != peer)
		link = &(*link)->next;
	*link = peer->next;
	peer_close(peer);
	bytes_free(&peer->in);
	model_destroy(&peer->model);
	free(peer);
}

static bool flush_peer(struct peer *peer)
{
	bool moved = false;

	while (peer->fd != -1 && bytes_length(&peer->out) > 0) {
		ssize_t n = send(peer->fd, bytes_begin(&peer->out), bytes_length(&peer->out),
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n <= 0)
			break;
		bytes_consume(&peer->out, (size_t)n);
		moved = true;
	}
	return moved;
}

static bool read_peer(struct peer *peer)
{
	static uint8_t buffer[65536];
	bool moved = false;

	while (peer->fd != -1 && peer->is_reading && !peer->is_eof) {
		ssize_t n = recv(peer->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

		if (n == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
			break;
		moved = true;
		if (n <= 0)
			peer->is_eof = true;
		else
			ASSERT(bytes_append(&peer->in, buffer, (size_t)n));
	}
	return moved;
}

void peer_send(struct peer *peer, const void *data, size_t length)
{
	ASSERT(bytes_append(&peer->out, data, length));
	flush_peer(peer);
}

/* How many of these ask for an answer of one byte. */
static void note_sent(struct peer *peer, const struct message *message)
{
	if (strcmp(message->name, "SSLRequest") == 0 ||
	    strcmp(message->name, "GSSENCRequest") == 0)
		peer->bytes_due++;
}

void peer_trace(const struct peer *peer, const char *arrow, const struct message *message)
{
	char *text;

	if (!player_traces)
		return;
	text = message_text(message);
	fprintf(stderr, "%s.%d %s %s\n", peer->name, peer->fd, arrow, text);
	free(text);
}

void peer_send_message(struct peer *peer, const struct message *message)
{
	struct bytes bytes = { 0 };

	note_sent(peer, message);
	peer_trace(peer, ">", message);
	ASSERT(message_build(message, peer->direction, &bytes));
	peer_send(peer, bytes_begin(&bytes), bytes_length(&bytes));
	bytes_free(&bytes);
}

void peer_say(struct peer *peer, const char *name, const char *first, const char *second)
{
	struct message message = { 0 };

	snprintf(message.name, sizeof(message.name), "%s", name);
	if (first)
		message_add_text(&message, first);
	if (second)
		message_add_text(&message, second);
	peer_send_message(peer, &message);
	message_free(&message);
}

static bool receive_byte(struct peer *peer, struct message *out)
{
	uint8_t byte = *bytes_begin(&peer->in);

	if (byte != 'N' && byte != 'S' && byte != 'G')
		return false;
	memset(out, 0, sizeof(*out));
	snprintf(out->name, sizeof(out->name), "%c", byte);
	bytes_consume(&peer->in, 1);
	peer->bytes_due--;
	return true;
}

bool peer_receive(struct peer *peer, struct message *out)
{
	bool is_untyped = peer->direction == FROM_SERVER && !peer->has_opened;
	enum direction from = peer->direction == FROM_SERVER ? FROM_CLIENT : FROM_SERVER;

	if (bytes_length(&peer->in) == 0)
		return false;
	if (peer->bytes_due > 0 && receive_byte(peer, out))
		return true;
	if (!message_read(bytes_begin(&peer->in), bytes_length(&peer->in), from, is_untyped, out))
		return false;
	bytes_consume(&peer->in, out->size);
	peer->has_opened = strcmp(out->name, "SSLRequest") != 0;
	peer_trace(peer, "<", out);
	return true;
}

/* --- turning --- */

static bool accept_automatic(struct player *player)
{
	bool moved = false;

	for (unsigned i = 0; i < player->n_nodes; i++) {
		struct peer *peer;

		while (player->nodes[i].is_automatic &&
		       (peer = player_accept(player, i, "automatic")) != NULL) {
			peer->model = model_create();
			moved = true;
		}
	}
	return moved;
}

static bool turn(struct player *player)
{
	bool moved = false;

	player_is_proxy_running = true;
	loop_run_once(player->worker->loop, false);
	loop_run_once(player->control, false);
	player_is_proxy_running = false;
	moved |= accept_automatic(player);
	for (struct peer *peer = player->peers, *next; peer; peer = next) {
		next = peer->next;
		moved |= flush_peer(peer);
		moved |= read_peer(peer);
		if (peer->model)
			model_answer(peer);
		moved |= flush_peer(peer);
		/* Nobody but the model looks at it. */
		if (peer->model && peer->is_eof)
			peer_free(player, peer);
	}
	return moved;
}

void player_run(struct player *player)
{
	int quiet = 0;

	for (int turns = 0; quiet < QUIET_TURNS; turns++) {
		ASSERT(turns < TURNS_MAX);
		quiet = turn(player) ? 0 : quiet + 1;
	}
}

static void tick(struct player *player)
{
	player_is_proxy_running = true;
	worker_tick_now(player->worker);
	player_is_proxy_running = false;
}

void player_advance(struct player *player, usec by)
{
	player->now += by;
	clock_fake(player->now);
	player_publish(player); /* as the monitor would have: the nodes are as they were */
	player_run(player);
	tick(player);
	player_run(player);
}

/* --- counts --- */

static long count_servers(const struct player *player, enum server_state state)
{
	long count = 0;

	LIST_EACH (pools_list(player->worker->env.pools), node)
		count += (long)LIST_ENTRY(node, struct pool, node)->servers[state].count;
	return count;
}

static long count_pools(const struct player *player, bool budget)
{
	long count = 0;

	LIST_EACH (pools_list(player->worker->env.pools), node) {
		const struct pool *pool = LIST_ENTRY(node, struct pool, node);

		count += budget ? atomic_load(&pool->share->servers) : (long)pool->waiters.count;
	}
	return count;
}

static long count_broken(const struct player *player)
{
	long count = 0;

	for (int i = 0; i < STAGE_COUNT; i++)
		count += (long)player->worker->env.stages[i].broken;
	return count;
}

static long count_cancels(void)
{
	struct cancel_counters counters;

	cancel_counters_get(&counters);
	return (long)counters.in_flight;
}

static long count_state(const struct player *player, enum client_state state)
{
	long count = 0;

	LIST_EACH (&player->worker->env.clients, node)
		count += LIST_ENTRY(node, struct client, node)->state == state;
	return count;
}

void player_reload(struct player *player, struct snapshot *snapshot)
{
	fleet_set_snapshot(player->fleet, snapshot, NULL);
	snapshot_unref(&player->snapshot);
	player->snapshot = snapshot_ref(snapshot);
}

long player_count(const struct player *player, const char *what)
{
	const struct session_env *env = &player->worker->env;

	for (int state = 0; state < SERVER_CLOSED; state++) {
		if (strcmp(what, server_state_name(state)) == 0 && strcmp(what, "login") != 0)
			return count_servers(player, state);
	}
	if (strcmp(what, "clients") == 0)
		return (long)env->clients.count;
	if (strcmp(what, "logins") == 0)
		return (long)env->logins.count;
	if (strcmp(what, "admitted") == 0)
		return fleet_client_count(player->fleet);
	if (strcmp(what, "waiting") == 0)
		return count_pools(player, false) + (long)env->route_waiters.count;
	if (strcmp(what, "budget") == 0)
		return count_pools(player, true);
	if (strcmp(what, "gone") == 0)
		return count_state(player, CLIENT_GONE);
	if (strcmp(what, "cancels") == 0)
		return count_cancels();
	if (strcmp(what, "broken") == 0)
		return count_broken(player);
	if (strcmp(what, "suspects") == 0)
		return player->suspects;
	if (strcmp(what, "lookups") == 0)
		return (long)player->n_lookups;
	if (strcmp(what, "consoles") == 0)
		return player->consoles;
	if (strcmp(what, "drained") == 0)
		return player->is_drained;
	if (strcmp(what, "databases") == 0)
		return (long)env->databases.count;
	if (strcmp(what, "identities") == 0)
		return (long)strmap_count(env->identities);
	if (strcmp(what, "pools") == 0)
		return (long)pools_list(env->pools)->count;
	if (strcmp(what, "statements") == 0)
		return (long)statement_cache_count(env->statements);
	return -1;
}

/* --- life --- */

struct player *player_create(const struct player_setup *setup, struct snapshot *snapshot)
{
	const struct fleet_hooks hooks = { NULL, on_console, on_suspect, on_look_up, on_drained };
	struct fleet_hooks own = hooks;
	struct player *player = calloc(1, sizeof(*player));

	ASSERT(player);
	player->now = FIRST_NOW;
	clock_fake(player->now);
	player->snapshot = snapshot_ref(snapshot);
	set_up_nodes(player, setup);
	player->control = loop_create();
	ASSERT(player->control);
	own.context = player;
	player->topology = make_topology(player);
	player->fleet = fleet_create(player->control, snapshot, player->topology, &own);
	topology_unref(&player->topology);
	ASSERT(player->fleet);
	player->worker = fleet_worker(player->fleet, 0);
	loop_timer_stop(player->worker->tick); /* it goes by the real clock */
	player_run(player);
	return player;
}

static void free_peers(struct player *player, enum direction direction)
{
	for (struct peer *peer = player->peers, *next; peer; peer = next) {
		next = peer->next;
		if (peer->direction == direction)
			peer_free(player, peer);
	}
}

bool player_close_all(struct player *player, const char **why_out)
{
	static const char *const zero[] = { "clients", "logins", "admitted", "lent",
					    "waiting", "budget", "cancels",  "broken" };
	static char why[64];

	free_peers(player, FROM_CLIENT);
	player_run(player);
	/* Paused connections are looked at by the tick only. */
	tick(player);
	player_run(player);
	for (unsigned i = 0; i < player->n_nodes; i++) {
		player->nodes[i].is_automatic = false;
		player_refuse(player, i);
	}
	free_peers(player, FROM_SERVER);
	player_run(player);
	tick(player);
	player_run(player);
	for (size_t i = 0; i < sizeof(zero) / sizeof(zero[0]); i++) {
		long count = player_count(player, zero[i]);

		if (count == 0)
			continue;
		snprintf(why, sizeof(why), "left at the end: %s %ld", zero[i], count);
		*why_out = why;
		return false;
	}
	return true;
}

void player_destroy(struct player **player_pointer)
{
	struct player *player = *player_pointer;

	*player_pointer = NULL;
	if (!player)
		return;
	free_peers(player, FROM_CLIENT);
	free_peers(player, FROM_SERVER);
	for (unsigned i = 0; i < player->n_nodes; i++)
		player_refuse(player, i);
	while (player->n_lookups > 0)
		fleet_answer(player->fleet, player->lookups[--player->n_lookups]);
	fleet_destroy(&player->fleet);
	loop_destroy(&player->control);
	snapshot_unref(&player->snapshot);
	free(player);
	clock_fake(0);
}
