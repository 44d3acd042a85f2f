#ifndef POINTSMAN_SQL_VERDICT_H
#define POINTSMAN_SQL_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * What the text of a statement says about where it may run and what it leaves behind in a
 * session. Made by sql/classify, read by route and session. Knows nothing of nodes, sessions or
 * hints.
 */

/* In order of severity: a text with several statements is as severe as its worst. */
enum verdict_kind {
	VERDICT_READ,         /* proved read-only: a replica may answer it */
	VERDICT_READ_TAINTED, /* read-only, but it needs or makes session state */
	VERDICT_WRITE,
	VERDICT_DDL,
	VERDICT_TXN,     /* BEGIN, COMMIT, SAVEPOINT, ... */
	VERDICT_SESSION, /* SET, PREPARE, LISTEN, DISCARD, ... */
	VERDICT_COPY_IN,
	VERDICT_COPY_OUT, /* COPY ... TO of what is not proved read-only, or to a file; else READ
			   */
	VERDICT_UNKNOWN,  /* could not be parsed, or too large to */
};

/*
 * Why the verdict is what it is; the word of the reason is the one in logs, SHOW and metrics.
 * route/route.h takes these over into its own enum.
 */
#define VERDICT_REASONS(X)                                                                   \
	X(READ, read)   /* every node is known and harmless */                               \
	X(EMPTY, empty) /* no statement at all */                                            \
	X(WRITE, write) /* DML, MERGE, at any depth */                                       \
	X(SELECT_INTO, select_into)                                                          \
	X(LOCK, lock) /* FOR UPDATE / SHARE ..., LOCK TABLE */                               \
	X(VOLATILE_FUNCTION, volatile_function)                                              \
	X(UNKNOWN_FUNCTION, unknown_function)                                                \
	X(SESSION_FUNCTION, session_function) /* set_config, pg_backend_pid, setseed, ... */ \
	X(ADVISORY_LOCK, advisory_lock)                                                      \
	X(TEMP_RELATION, temp_relation)                                                      \
	X(DDL, ddl)                                                                          \
	X(UTILITY, utility) /* CALL, DO, VACUUM, ... */                                      \
	X(TRANSACTION, transaction)                                                          \
	X(SESSION, session)                                                                  \
	X(CURSOR, cursor)                                                                    \
	X(COPY_IN, copy_in)                                                                  \
	X(COPY_OUT, copy_out)                                                                \
	X(UNKNOWN_NODE, unknown_node) /* a kind of node the allow-list does not have */      \
	X(UNREADABLE, unreadable)     /* an encoding or a string syntax we do not read */    \
	X(PARSE_ERROR, parse_error)                                                          \
	X(TOO_LARGE, too_large) /* above max_parse_bytes or the token/nesting bound */

enum verdict_reason {
#define VERDICT_REASON_ENUM(upper, lower) VERDICT_REASON_##upper,
	VERDICT_REASONS(VERDICT_REASON_ENUM)
#undef VERDICT_REASON_ENUM
	VERDICT_REASON_COUNT
};

/* What a statement does to the session, in the order of the text. */
enum effect_kind {
	EFFECT_BEGIN,               /* value: its text; flags from EFFECT_READ_ONLY on */
	EFFECT_COMMIT,              /* flag EFFECT_CHAIN */
	EFFECT_ROLLBACK,            /* flag EFFECT_CHAIN */
	EFFECT_SAVEPOINT,           /* name */
	EFFECT_RELEASE,             /* name */
	EFFECT_ROLLBACK_TO,         /* name */
	EFFECT_PREPARE_TRANSACTION, /* PREPARE TRANSACTION: ends the transaction */
	/* SET TRANSACTION, SET transaction_*. value: its text; flags as for BEGIN. */
	EFFECT_SET_TRANSACTION,
	EFFECT_SET,   /* name, value: text of the statement to replay; flag EFFECT_LOCAL */
	EFFECT_RESET, /* name */
	EFFECT_RESET_ALL,
	EFFECT_SET_HINT,  /* SET [LOCAL] pointsman.NAME = value; value NULL: to default / RESET */
	EFFECT_SHOW_HINT, /* SHOW pointsman.NAME */
	EFFECT_DISCARD_ALL,
	EFFECT_DISCARD_PLANS, /* and DISCARD SEQUENCES, which a pool treats alike: nothing to
				 track */
	EFFECT_DISCARD_TEMP,
	EFFECT_PREPARE,    /* name, value: its text */
	EFFECT_EXECUTE,    /* name */
	EFFECT_DEALLOCATE, /* name, or NULL for ALL */
	EFFECT_LISTEN,     /* name: a channel. An EFFECT_PIN goes with it: who sends it to a server
			      must keep that */
	EFFECT_UNLISTEN,   /* name, or NULL for all */
	EFFECT_UNPIN,      /* may end what is left for the reason `pin` */
	EFFECT_PIN,        /* leaves state in the server that cannot be tracked: see `pin` */
};

enum {
	EFFECT_LOCAL = 1, /* until the transaction ends: of a SET, SET_HINT or PIN */
	EFFECT_CHAIN = 2,
	EFFECT_READ_ONLY = 4,
	EFFECT_READ_WRITE = 8,
	EFFECT_SERIALIZABLE = 16,
	EFFECT_REPEATABLE_READ = 32,
};

/* Why a session must keep its server. The words are those of SHOW PINS. */
#define PIN_REASONS(X)                            \
	X(LISTEN, listen)                         \
	X(TEMP_TABLE, temp_table)                 \
	X(ADVISORY_LOCK, advisory_lock)           \
	X(HELD_CURSOR, held_cursor)               \
	X(SET_CONFIG_DYNAMIC, set_config_dynamic) \
	X(SETSEED, setseed)                       \
	X(BACKEND_PID, backend_pid)               \
	X(LOAD, load)                             \
	X(SQL_PREPARE, sql_prepare)               \
	X(REPLICATION, replication)               \
	X(UNKNOWN_STATE, unknown_state)

enum pin_reason {
	PIN_NONE,
#define PIN_ENUM(upper, lower) PIN_##upper,
	PIN_REASONS(PIN_ENUM)
#undef PIN_ENUM
	PIN_COUNT
};

struct effect {
	enum effect_kind kind;
	unsigned flags;
	unsigned statement;  /* of which statement of the text, counted from 0 */
	enum pin_reason pin; /* EFFECT_PIN, EFFECT_UNPIN */
	const char *name;    /* folded as PostgreSQL folds it; NULL where there is none */
	const char *value;
};

struct verdict {
	enum verdict_kind kind;
	enum verdict_reason reason;
	unsigned n_statements;
	/* The function, relation or node that decided, for people; NULL when there is none. */
	const char *culprit;
	const struct effect *effects;
	size_t n_effects;
	/*
	 * Of a text with EXECUTEs: the verdict of all that is not the prepared statements
	 * themselves (their arguments, other statements), to be combined with theirs by who knows
	 * them. Else as kind and reason.
	 */
	enum verdict_kind rest_kind;
	enum verdict_reason rest_reason;
	bool is_explicit_read_only;   /* BEGIN READ ONLY / START TRANSACTION READ ONLY alone */
	/*
	 * It runs code that we do not see into (a function of the user's, DO, CALL), or writes settings as a
	 * relation: whatever it leaves in the server must not meet the next session.
	 */
	bool may_leave_state;
	bool has_transaction_control; /* any BEGIN, COMMIT, SAVEPOINT ... among the statements */
};

const char *verdict_kind_name(enum verdict_kind kind); /* "read", "read_tainted", ... */
const char *verdict_reason_name(
	enum verdict_reason reason);                 /* "read", "volatile_function", ... */
const char *pin_reason_name(enum pin_reason reason); /* "listen", ...; "" for PIN_NONE */

#endif
