#ifndef POINTSMAN_SESSION_CLIENT_H
#define POINTSMAN_SESSION_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "session/env.h"
#include "session/pending.h"
#include "session/pins.h"
#include "session/request.h"
#include "session/statement.h"
#include "session/txn.h"
#include "wire/cancel_key.h"
#include "wire/startup.h"

/*
 * A client's session, from the end of its log-in to its last byte. One worker's thread. What may
 * happen in which state is told in docs/states.md.
 */

enum client_state {
	CLIENT_WELCOMING, /* authenticated; a server is asked what to greet it with */
	CLIENT_IDLE,      /* nothing to do (it may hold a server: in a transaction, pinned ...) */
	CLIENT_ACTIVE,    /* a request is in the chain */
	CLIENT_WAITING,   /* ... and waits for a server or for a node */
	CLIENT_GONE,      /* the client is away, its server is not idle yet */
	CLIENT_STATE_COUNT
};

/* Why a session ended; the words are those of the log. */
enum close_reason {
	CLOSE_TERMINATE,   /* the client said so */
	CLOSE_CLIENT_GONE, /* its connection ended */
	CLOSE_PROTOCOL,    /* it broke the protocol */
	CLOSE_SERVER_LOST,
	CLOSE_TIMEOUT,
	CLOSE_NO_MEMORY,
	CLOSE_ADMIN, /* KILL_CLIENT, KILL */
	CLOSE_SHUTDOWN,
	CLOSE_LOGIN_FAILED,
	CLOSE_NOTIFICATIONS, /* more of them wait than may */
	CLOSE_REASON_COUNT
};

const char *client_state_name(enum client_state state);
const char *close_reason_name(enum close_reason reason);

/*
 * Of ten thousand of them most are idle: members of one size stand together, so that no room is
 * lost between them, and what only lives while a request runs is in the request.
 */
struct client {
	struct list_node node; /* in env->clients */
	struct session_env *env;
	struct conn *conn;    /* NULL when it is gone */
	const uint8_t *input; /* while its bytes are being read: the first one not taken */
	size_t input_left;
	uint64_t id;
	struct session_identity *identity;
	enum client_state state;
	uint32_t key_pid; /* of its cancel key, unique on this worker: env->keys finds it */
	int port;
	uint8_t key_length; /* of its secret, which is behind `host` */
	bool is_closed;
	bool is_write_open; /* a batch goes on that may have written: not committed yet */

	struct request *request; /* in the chain; NULL: none */
	struct txn txn;
	struct pending pending;
	struct statement_map statements;
	struct statement *unnamed; /* what "" is; NULL: nothing that we know */
	struct listener *listener; /* what it listens to (session/channels.h); NULL: nothing */

	/* The lease. */
	struct server *server; /* NULL: none is held */
	size_t node_index;     /* of its node */
	struct pins pins;

	/* Between the messages of the two sides. */
	uint64_t client_tail; /* bytes of a client's message still to be passed on ... */
	uint64_t server_tail; /* bytes of a server's message still to be passed on ... */
	bool is_tail_dropped; /* ... or to be dropped */
	bool is_server_tail_dropped;
	bool is_unnamed_foreign; /* "" was too large to keep: only the server held has it */
	bool is_batch_open;      /* extended messages were sent, and no Sync after them */
	bool is_batch_failed;    /* ... and an error came: the server ignores all until a Sync */
	bool is_copying_in;      /* the server takes CopyData */
	bool is_copy_awaited;    /* see relay_await_copy() */
	bool is_begin_refused;   /* a deferred BEGIN failed: to the client its transaction has */
	bool wants_reports; /* ... and the client was told so: what sets them again is reported to
			       it */
	bool is_server_odd; /* what was run on it may have left state that is not tracked */
	bool is_query_cut;  /* the Query that runs was judged by its beginning only */
	bool is_server_behind; /* RESET went back to the server's defaults, not to the start-up
				  options */
	/* What portals are of, until the transaction ends: the unnamed one, and the others by
	 * name. */
	struct statement *unnamed_portal;
	struct statement_map portals;

	/* A replication connection: pinned for good to a server of its own, whose commands are
	 * not SQL. */
	struct bytes
		*replication_startup; /* what that server is logged in with: name, value ... */
	enum startup_replication replication;

	usec connected_at;
	usec request_at; /* the last request began */
	usec xact_at;    /* the open transaction began; 0: none is open */
	usec state_since;

	/* For SHOW pointsman.last_*. */
	struct {
		enum route_reason reason;
		int node;       /* -1: none */
		usec staleness; /* -1: unknown */
	} last;
	usec last_write_at; /* a request that may have written was answered; 0: never */
	uint64_t n_requests;
	char host[]; /* where it comes from; behind its NUL the secret of the cancel key */
};

/* What the log-in has found out; the strings are copied. */
struct client_params {
	struct conn *conn; /* taken over */
	struct session_identity *identity;
	struct settings *startup;  /* one reference, taken over */
	const struct hints *hints; /* from start-up options */
	char host[46];
	int port;
	usec connected_at;
	uint16_t minor; /* of protocol 3: decides how long its cancel key is */
	enum startup_replication replication;
	struct bytes *replication_startup; /* its start-up parameters, taken over; else NULL */
};

/* Accepts NULL, sets the pointer to NULL. */
void client_free_startup(struct bytes **startup);

/*
 * Begins a session: greets the client, asking a server first when nothing is known yet. Takes
 * conn and startup over in any case. The client has been counted in (ops->admit_client).
 */
void client_create(struct session_env *env, struct client_params *params);

/*
 * Ends a session, whatever it does: with `sqlstate` the client is told why (FATAL). A running
 * query is cancelled; its server is reused only when it is clean. The struct lives on until then.
 */
void client_close(struct client *client, enum close_reason reason, const char *sqlstate,
		  const char *message);

/* The same with a word of its own for the DETAIL of the error: why there was no server. */
void client_close_for(struct client *client, enum close_reason reason, const char *sqlstate,
		      const char *why, const char *message);

/* The server of a client that is gone is not waited for any longer. */
void client_abandon(struct client *client);

/* Time-outs of all clients. */
void client_tick(struct session_env *env, usec now);

/* Whom log lines about it name. The strings are valid while the client is. */
struct log_ctx client_log_ctx(const struct client *client);

/* The one writer of client->state. */
void client_set_state(struct client *client, enum client_state state);

/* The request is over: goes on with what the client has sent meanwhile. */
void client_request_finished(struct client *client);

/* No more of a client is read than can be passed on, or answered. */
void client_pause_if_full(struct client *client);

/* ... and it goes on when there is room again. */
void client_resume(struct client *client);

/* The transaction has ended, and all portals with it. */
void client_forget_portals(struct client *client);

/* Something that had to come to an end at the server has: a client that is gone may be done with
 * now. */
void client_check_gone(struct client *client);

/* Greets the client with what the server in its hands reports, and remembers that for others like
 * it. */
void client_welcome(struct client *client);

/* Its node in the topology as it is now, or NULL. */
const struct node *client_node(const struct client *client, int index);
const struct cluster *client_cluster(const struct client *client);

/* --- cancel --- */

typedef void (*client_cancel_done)(void *context);

/*
 * A CancelRequest has come with this key. true when a session of this worker has it; then
 * done(context) is called once the cancel has been delivered, which may be at once.
 */
bool client_cancel(struct session_env *env, const struct cancel_key *key, client_cancel_done done,
		   void *context);

/* --- servers in the hands of a client (src/session/relay_send.c, relay_replies.c) --- */

extern const struct server_user client_as_server_user;

/* Bytes of the client that go to the server as they are; a server that does not take them stops
 * the client. */
void relay_client_bytes(struct client *client, const uint8_t *data, size_t length);

/*
 * COPY data has come before the server has said that it wants any: a client may send it right
 * behind its Execute. true: what runs may still turn out to be a COPY, and the server has been
 * asked for what it has to say (it needs no more than a Flush). false: the data is late, and the
 * server would ignore it.
 */
bool relay_await_copy(struct client *client);

/*
 * CopyDone was passed on. In the extended protocol a server keeps what it says to it until a Sync
 * or Flush (PostgreSQL documentation, "Extended Query"). While the COPY's request is in the chain
 * nothing of the client's is sent before it is answered: so a Flush of ours is.
 */
void relay_copy_done(struct client *client);

/* The server is gone while it was in use: tells the client what is known of its request. */
void relay_server_lost(struct client *client, const char *why);

/* Nothing is due any more from the server and it is in no batch, no COPY, no half-sent message.
 */
bool relay_is_quiet(const struct client *client);

/* Ends what is open at the server of a client that has gone, so that it will be quiet. false: it
 * cannot be. */
bool relay_wind_up(struct client *client);

/* --- from bytes to requests (src/session/collect.c) --- */

enum collect_result {
	COLLECT_MORE,    /* no whole request is there yet */
	COLLECT_REQUEST, /* one is: extent_out says how far it goes */
	COLLECT_STRAY,   /* a late COPY message, to be dropped: extent_out has size and tail */
	COLLECT_TERMINATE,
	COLLECT_BAD, /* extent_out->error says what is wrong */
};

struct collect_extent {
	size_t size;
	size_t tail; /* bytes of the last message that are still to come */
	enum request_end end;
	char error[80];
};

/*
 * Looks at the start of the client's input. `limit`: client_buffer; `parse_limit`: a Parse of up
 * to this size is waited for, all of it, though it be larger.
 */
enum collect_result collect_request(const uint8_t *data, size_t length, size_t limit,
				    size_t parse_limit, struct collect_extent *extent_out);

/* --- what texts say (src/session/stage_classify.c) --- */

/* Does this statement (SET x TO v, or set_config('x', 'v', ...)) set the boolean x to true? */
bool statement_sets_to_true(const char *statement, const char *name);

/*
 * --- statements that we answer ourselves: SET and SHOW pointsman.*, LISTEN and UNLISTEN
 * (src/session/own_statement.c) ---
 */

/* Is it one? LISTEN and UNLISTEN are not where the session keeps a server that listens for it. */
bool own_statement_is(const struct client *client, const struct statement_facts *facts);

/* Is LISTEN among it, so that somebody must listen before it is answered? */
bool own_statement_has_listen(const struct statement_facts *facts);

/* Is nothing else in its text, so that all of it can be answered here? */
bool own_statement_is_alone(const struct statement_facts *facts);

/* Appends RowDescription or NoData. */
void own_statement_describe(const struct statement_facts *facts, struct bytes *out);

/* Does it, and appends what answers Execute (or, `with_description`, a Query but for its
 * ReadyForQuery). false: that is an error. */
bool own_statement_execute(struct client *client, const struct statement_facts *facts,
			   bool with_description, struct bytes *out);

/* --- giving the server back (src/session/lease.c) --- */

/* Lends: from now on `server` reports to the client. */
void lease_begin(struct client *client, struct server *server, size_t node_index);

/* Keeps it or gives it back, as mode, transaction and pins demand. */
void lease_settle(struct client *client);

/* Gives it back for good, or closes it when it cannot be trusted. */
void lease_end(struct client *client);

#endif
