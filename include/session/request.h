#ifndef POINTSMAN_SESSION_REQUEST_H
#define POINTSMAN_SESSION_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "pool/pool.h"
#include "route/route.h"
#include "session/stage.h"
#include "session/statement.h"
#include "sql/hint.h"
#include "sql/verdict.h"

/*
 * One request on its way through the chain: a Query or FunctionCall, or the extended-protocol
 * messages up to a Sync or Flush. It lives from its first byte to its last reply and is then
 * recycled; nothing of it stays for the next one.
 *
 * Its bytes stay at the front of the client connection's input until the relay stage has sent
 * them, so a request that waits costs no copy; ops point into them by offset.
 */

struct client;

enum request_end {
	REQUEST_LOGIN, /* no bytes: a client is to be greeted */
	REQUEST_QUERY,
	REQUEST_FUNCTION_CALL,
	REQUEST_SYNC,
	REQUEST_FLUSH,
	REQUEST_PARTIAL, /* more than client_buffer without an end: what is there goes ahead */
};

/* What is done with one message. */
enum op_action {
	OP_FORWARD, /* as it is */
	OP_REWRITE, /* a statement's name is replaced (Parse, Bind, Describe) */
	OP_ANSWER,  /* answered by us, in turn; nothing is sent */
	OP_REFUSE,  /* made to fail on the server, with an error text of ours */
	OP_DROP,    /* the server would ignore it: neither sent nor answered */
};

struct op {
	uint8_t type;
	uint8_t action;   /* enum op_action */
	uint32_t offset;  /* of the message, from the start of the request */
	uint32_t present; /* bytes of it that are there; less than its size only for the last one
			   */
	uint32_t size;    /* all of it, header included */
	uint32_t name_offset; /* of the statement's name, within the message */
	uint32_t name_length; /* without its NUL */
	struct statement
		*statement; /* Parse, Bind, Describe of a statement: one reference; else NULL */
	bool is_of_portal;  /* Describe: `statement` is what the portal was made of */
	/* Execute of SQL's PREPARE: hash of the name that it gives to statement->target; of
	 * DEALLOCATE: the name that it takes (owned) and what that led to (one reference). */
	uint64_t name_hash;
	char *closed_name;
	struct statement *closed;
	const struct statement_facts
		*facts;       /* Query and Execute: whose effects it has; may be NULL */
	struct bytes *answer; /* OP_ANSWER and OP_REFUSE; a Query's OP_REWRITE: what is sent for
				 its present bytes; owned */
};

#define REQUEST_OPS_INLINE 8

struct request {
	struct request *next_free;
	struct client *client;
	struct list_node route_node; /* in env->route_waiters */
	enum stage stage;
	enum request_end end;
	size_t size; /* bytes of input it covers */
	size_t tail; /* bytes of its last message still to come */

	struct op *ops;
	size_t n_ops;
	size_t capacity;
	struct op ops_inline[REQUEST_OPS_INLINE];
	struct statement_facts *query_facts; /* owned: of a Query */
	struct bytes kept; /* its bytes, should it be sent again: memory that is recycled */
	bool is_kept;
	bool is_healing;       /* an attempt is coming to its end, see src/session/relay_heal.c */
	bool is_healed;        /* ... which happens once */
	uint32_t resume_op;    /* the first message to be sent; others have been before */
	struct sql_uses *uses; /* owned: names in a Query, see session/sql_prepare.h */

	/* Found by classify. */
	struct verdict verdict; /* the worst of all its statements; no effects in it */
	struct hints hints;     /* of its comments, then merged with the weaker sources */
	bool is_hint_default; /* the client itself gave no read_hint: what overrules it is no news
			       */
	char bad_hint[160];
	uint16_t pins;        /* reasons (1 << enum pin_reason) for what it leaves in the server */
	uint16_t unpins;      /* ... and for what it may end */
	bool may_leave_state; /* see struct verdict */
	bool has_executes;
	bool has_listen;         /* LISTEN, to be answered by us */
	bool needs_server;       /* false: we can answer all of it */
	bool is_refused;         /* by us, before any server is in it: what follows is skipped */
	bool is_taken;           /* its bytes are out of the client's input */
	bool is_sent;            /* its bytes have left; a failure after this is 08006 */
	bool is_wait_told;       /* query_wait_notify */
	bool is_overdue;         /* query_timeout: it is being cancelled */
	bool has_error;          /* an error was passed on to the client */
	bool is_setup_sent;      /* prepare stage: settings or statements are on their way */
	bool is_statement_setup; /* statements: they may be set up in a transaction, too */
	bool is_setup_refused;   /* ... and the client has been told why not */
	bool is_setup_retried;

	uint64_t avoid; /* nodes (1 << index) that could not be connected to */
	struct route_decision decision;
	struct pool_waiter waiter;
	struct pool_failure failure; /* set before a resume that ends in an error */

	usec began_at;
	usec waiting_since;
	usec waited;
	usec sent_at;
	usec stage_began_at;
};

/* Takes a recycled or new one. NULL without memory. */
struct request *request_create(struct client *client);

/* Accepts NULL, sets the pointer to NULL. */
void request_destroy(struct request **request);

/* Out of the queue that it is in, of a pool or for a node, if it is in one. */
void request_stop_waiting(struct request *request);

/* Adds a zeroed op. NULL without memory. */
struct op *request_add_op(struct request *request);

/* Walks the chain from request->stage. When it returns the request may be finished and gone. */
void request_run(struct request *request);

/* What a stage waited for has happened: goes on with the stage itself again, or, where `passed`,
 * with the next. */
void request_resume(struct request *request, bool passed);

/* The bytes of the request, until they are taken. */
const uint8_t *request_bytes(const struct request *request);

/* Takes its bytes out of the client's input; the second time nothing happens. */
void request_take(struct request *request);

/*
 * Its messages from the one with this index on are not carried out: what they named is not prepared,
 * what they were to deallocate still is. Before request_take().
 */
void request_forget_names(struct request *request, size_t first);

/*
 * Answers a request of which nothing was sent with an error of ours (its DETAIL has the reason,
 * one word), as PostgreSQL would: for a Query, error and ReadyForQuery; for extended messages the
 * error, nothing until the Sync, then ReadyForQuery. Not for use inside a transaction that a
 * server has (there a message is refused by OP_REFUSE, so that the server's fails too). A login
 * that fails ends the session. Returns what the stage is to return.
 */
enum stage_result request_fail(struct request *request, const char *sqlstate, const char *reason,
			       const char *message);

/* --- the stages --- */

typedef enum stage_result (*stage_function)(struct request *request);

enum stage_result stage_admit(struct request *request);
enum stage_result stage_classify(struct request *request);
enum stage_result stage_govern(struct request *request);
enum stage_result stage_route(struct request *request);
enum stage_result stage_borrow(struct request *request);
enum stage_result stage_prepare(struct request *request);
enum stage_result stage_relay(struct request *request);
enum stage_result stage_finish(struct request *request);

/* While the prepare stage waits, the server's bytes come here. */
size_t stage_prepare_data(struct request *request, const uint8_t *data, size_t length);

/*
 * The server was lost, or given up, before anything of the request was sent: once, another one is
 * borrowed. false: that was done before.
 */
bool prepare_retry(struct request *request);

#endif
