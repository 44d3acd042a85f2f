#ifndef POINTSMAN_POOL_SERVER_H
#define POINTSMAN_POOL_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/list.h"
#include "net/conn.h"
#include "pool/settings.h"
#include "wire/cancel_key.h"

/*
 * One connection to a PostgreSQL server. A worker owns it; it moves to another worker only while
 * it is idle. Its state is changed by one function, by a table of moves (src/pool/server.c).
 */

struct pool;
struct pool_waiter;
struct server_login;
struct statements;

enum server_state {
	SERVER_CONNECTING, /* the socket */
	SERVER_LOGIN,
	SERVER_IDLE,   /* clean, free to be lent */
	SERVER_LENT,   /* a session has it */
	SERVER_PARKED, /* given back while a cancel request to it is under way: nobody may have it
			*/
	SERVER_RESETTING, /* ROLLBACK, the reset query, or the round trip after a cancel */
	SERVER_MOVING,    /* on its way to another worker */
	SERVER_CLOSED,
	SERVER_STATE_COUNT
};

/* Who has borrowed it: where its bytes and its end are reported while it is lent. */
struct server_user {
	/* As conn_handler.on_data. */
	size_t (*on_data)(void *context, const uint8_t *data, size_t length);
	void (*on_drained)(void *context);
	/*
	 * The connection is gone, and so is the server when this returns: no giving back. `why`
	 * is a text for people.
	 */
	void (*on_lost)(void *context, const char *why);
	/* No cancel request is under way to it any more. */
	void (*on_cancels_ended)(void *context);
};

/* One ParameterStatus value, as the server reported it last. */
struct server_report {
	char *name;
	char *value;
};

struct server {
	struct list_node node; /* in the pool's list of its state */
	struct pool *pool;
	enum server_state state;
	usec state_since;
	uint64_t id; /* unique in the process, never used again */
	struct conn *conn;
	struct sockaddr_storage address; /* where it is connected: cancel requests go there too */
	socklen_t address_length;

	struct server_login *login; /* while logging in */
	bool is_tls_asked;          /* the answer to SSLRequest is awaited */
	bool has_fallen_back;       /* this is the second attempt, see pool/server_tls.c */
	uint8_t protocol_minor;     /* of 3: asked for, and what the server agreed to */
	struct cancel_key key;      /* BackendKeyData; without a secret: none came */
	struct server_report *reports;
	size_t n_reports;

	/* What a session left in it, kept true by its borrower. */
	uint8_t txn_status;            /* of the last ReadyForQuery */
	struct settings *settings;     /* what was brought to it */
	struct statements *statements; /* named ones prepared on it */
	uint64_t unnamed_statement;    /* id of the statement that "" is, 0: none of ours */

	struct pool_waiter *waiter; /* it is opened for this one alone; NULL: not, or arrived */
	bool is_dedicated;          /* one session's alone: never idle, never given back */

	const struct server_user *user; /* while lent */
	void *user_context;

	struct list cancels;     /* cancel requests under way to it, see pool/cancel.c */
	unsigned ready_due;      /* while resetting: ReadyForQuery still to come */
	bool is_error_tolerated; /* while resetting: in the round trip after a cancel */
	bool is_checked;         /* resetting: only asked whether it still answers; idle: it did */
	bool is_reset_wanted;    /* parked: what is due after the cancel */
	bool is_close_needed;    /* not to be lent again */
	bool is_hung_up;         /* it was the server that ended the connection */
	usec connected_at;
	uint16_t earliness; /* thousandths of a tenth of its lifetime that it ends sooner */
	usec lent_at;
};

const char *server_state_name(enum server_state state);

/* The last reported value of a parameter, or NULL. */
const char *server_reported(const struct server *server, const char *name);

/* Takes note of a whole ParameterStatus message; false when it is malformed. Without memory the
 * old value stays. */
struct frame;
bool server_take_parameter(struct server *server, const struct frame *frame);

/* Is this well-formed ParameterStatus about the node, not the session (in_hot_standby)? No client
 * sees it. */
bool server_is_node_report(const struct frame *frame);

/* --- statements prepared on this server --- */

/*
 * The same text means something else under another search_path or role: a statement is remembered
 * with the context (see settings_context()) in which it was prepared.
 */
enum server_statement {
	SERVER_STATEMENT_ABSENT,
	SERVER_STATEMENT_READY,
	SERVER_STATEMENT_STALE
};

#define SERVER_CONTEXT_UNKNOWN UINT64_MAX /* equals no context */

/* Is the statement with this id prepared on it, and in this context? Counts as a use. */
enum server_statement server_find_statement(struct server *server, uint64_t id, uint64_t context);

/*
 * Notes that it is being prepared there, or that it may be (SERVER_CONTEXT_UNKNOWN); `bytes`: of
 * its text. false without memory. Nothing when it is noted already.
 */
bool server_add_statement(struct server *server, uint64_t id, size_t bytes, uint64_t context);

/*
 * While more is held than max_prepared_statements and max_prepared_bytes allow: forgets the one
 * used longest ago, but not `kept_id` nor the newest, and returns its id: it is to be closed on
 * the server. 0: no more than that.
 */
uint64_t server_evict_statement(struct server *server, uint64_t kept_id);

/* What it was prepared for is no longer right: SERVER_STATEMENT_STALE from now on. */
void server_expire_statement(struct server *server, uint64_t id);
void server_drop_statement(struct server *server, uint64_t id);
void server_drop_all_statements(struct server *server);
/* Calls `each` with the id of each; it must not change them. */
void server_each_statement(const struct server *server, void (*each)(void *context, uint64_t id),
			   void *context);
size_t server_statement_count(const struct server *server);
size_t server_statement_bytes(const struct server *server);

#endif
