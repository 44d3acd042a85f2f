#ifndef POINTSMAN_TESTS_SCENARIO_PLAYER_H
#define POINTSMAN_TESTS_SCENARIO_PLAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "cluster/cluster.h"
#include "message.h"
#include "probe/lookup.h"
#include "worker/fleet.h"

/*
 * One worker of the proxy with everything around it in the hands of the test: the clients, the
 * servers, the pictures of the nodes, the clock. All of it runs on the calling thread:
 * player_run() turns the proxy's loops until nothing happens any more, so there is no waiting and
 * no race.
 *
 * Clients are on socket pairs. Nodes are listening unix sockets in the abstract namespace; who
 * connects to them is accepted by the script, or answered by a model of a server (model.c).
 */

#define PLAYER_NODES_MAX   4
#define PLAYER_LOOKUPS_MAX 64

struct model;

/* The test's end of a connection. */
struct peer {
	struct peer *next;
	struct player *player;
	char name[32];
	int fd;
	enum direction direction; /* of what it sends */
	bool is_reading;
	bool is_eof;        /* the proxy has closed or broken it */
	bool has_opened;    /* a server's: the untyped packet has been read */
	unsigned bytes_due; /* a client's: one-byte answers (to SSLRequest) still to come */
	struct bytes in;
	struct bytes out;    /* what the kernel has not taken yet */
	struct model *model; /* answers for it; NULL: the script does */
	unsigned node;       /* a server's */
	uint32_t pid;        /* a server's key, or what a client was told */
	char key[1100];      /* its secret, as messages have it in scripts */
};

struct player_node {
	char name[16];
	int fd; /* listening; -1: refuses */
	struct sockaddr_un address;
	socklen_t length;
	bool is_automatic;
	enum node_role role;
	enum node_state state;
	usec lag;
};

struct player {
	struct loop *control;
	struct snapshot *snapshot;
	struct fleet *fleet;
	struct worker *worker;
	struct topology *topology; /* the newest; the fleet's reference */
	struct player_node nodes[PLAYER_NODES_MAX];
	size_t n_nodes;
	struct peer *peers;
	usec now;
	uint32_t last_pid;
	bool is_drained;
	unsigned suspects; /* reports of trouble with a node */
	unsigned consoles;
	struct lookup_mail *lookups[PLAYER_LOOKUPS_MAX]; /* asked and not answered yet */
	size_t n_lookups;
	unsigned fouls; /* what a model saw and no server should: see model.c */
	char foul[200]; /* the first */
};

/* Is the proxy at work now, and not the test around it? For failing allocations. */
extern bool player_is_proxy_running;

/* Print what is sent and received, to standard error. */
extern bool player_traces;
void peer_trace(const struct peer *peer, const char *arrow, const struct message *message);

/* What to run. Zero and NULL are the defaults: nodes p (primary) and r (replica), auth trust. */
struct player_setup {
	const char *nodes[PLAYER_NODES_MAX]; /* the first one is the primary */
	size_t n_nodes;
	const char *auth;
	const char *users;    /* the user list */
	const char *hba;      /* the hba file */
	const char *options;  /* lines for the top of the configuration */
	const char *database; /* lines inside the database's group */
	const char *more;     /* further databases */
};

/* Loads a configuration; one reference. NULL: `errors` says why. */
struct snapshot *player_snapshot(const struct player_setup *setup, struct bytes *errors);

/* `snapshot`: a reference is taken. NULL without memory. */
struct player *player_create(const struct player_setup *setup, struct snapshot *snapshot);

/* Closes all the test's ends and lets the proxy come to rest. false: it did not; *why_out says
 * how. */
bool player_close_all(struct player *player, const char **why_out);

/* Closes everything that is left. */
void player_destroy(struct player **player);

/* Another configuration, as a reload brings it. */
void player_reload(struct player *player, struct snapshot *snapshot);

/* Until nothing happens any more. */
void player_run(struct player *player);

/* Moves the clock, and ticks. */
void player_advance(struct player *player, usec by);

struct peer *player_find(struct player *player, const char *name);

/* A new client's connection. NULL without descriptors. */
struct peer *player_connect(struct player *player, const char *name);

/* The same of a load balancer that is believed: a header of the PROXY protocol comes first. */
struct peer *player_connect_proxied(struct player *player, const char *name);

/* The next connection waiting at a node; NULL: none. */
struct peer *player_accept(struct player *player, unsigned node, const char *name);

void peer_send(struct peer *peer, const void *data, size_t length);
void peer_send_message(struct peer *peer, const struct message *message);

/* The same by name and up to two arguments, NULL for none. */
void peer_say(struct peer *peer, const char *name, const char *first, const char *second);

/* Takes the next whole message; false: there is none. The caller frees it. */
bool peer_receive(struct peer *peer, struct message *out);

/* Closes it. With `reset`: as a crashed process would, what is unread is lost. */
void peer_close(struct peer *peer);
void peer_free(struct player *player, struct peer *peer);

/* --- nodes --- */

int player_node(const struct player *player, const char *name);
void player_listen(struct player *player, unsigned node);
void player_refuse(struct player *player, unsigned node);

/* Publishes the nodes as they are noted. */
void player_publish(struct player *player);

/* Answers a look-up of this user; false: none is under way. */
bool player_answer(struct player *player, const char *user, enum lookup_result result,
		   const char *secret);

/* --- counts --- */

/* "clients", "lent", "idle", "budget", ...; -1: there is no such count. */
long player_count(const struct player *player, const char *what);

/* --- the model of a server (model.c) --- */

struct model *model_create(void);
void model_destroy(struct model **model);

/* Answers what its peer has received. */
void model_answer(struct peer *peer);

/* Goes on with a statement that takes until it is cancelled or released. */
void model_release(struct peer *peer, bool was_cancelled);

#endif
