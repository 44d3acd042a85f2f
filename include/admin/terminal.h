#ifndef POINTSMAN_ADMIN_TERMINAL_H
#define POINTSMAN_ADMIN_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "admin/command.h"
#include "admin/job.h"
#include "base/list.h"
#include "base/log.h"
#include "net/conn.h"
#include "wire/cancel_key.h"

/*
 * One client of the console: the protocol, simple and extended. It does one thing after the
 * other; while a command waits, or the client does not take its answers, nothing more is read.
 * Control thread.
 */

struct prepared {
	struct list_node node;
	char *name;
	struct plan plan;
};

/* A portal has its result from the first Execute on, for those that want the rows in parts. */
struct portal {
	struct list_node node;
	char *name;
	struct plan plan;
	uint16_t format_codes[JOB_FORMATS_MAX];
	size_t n_formats;
	struct job *job; /* NULL: not executed yet */
	bool is_done;    /* all rows were sent */
};

enum terminal_state {
	TERMINAL_STARTUP, /* on the admin socket: no StartupMessage yet */
	TERMINAL_READY,
};

struct terminal {
	struct list_node node; /* in console->terminals */
	struct console *console;
	struct conn *conn; /* NULL: it is over */
	enum terminal_state state;
	uint64_t id;
	bool is_local;   /* came by the admin socket */
	bool is_allowed; /* ... with the UID of the daemon, or root */
	bool had_ssl_request;
	bool had_gss_request;
	char *user;
	char *database;
	char *application_name;
	uint32_t key_pid;
	uint8_t key_secret[CANCEL_SECRET_SHORT]; /* in 3.2, too, where any length is legal */
	usec began_at;
	struct log_ctx ctx;

	uint8_t txn_status; /* TXN_IDLE, or TXN_OPEN between BEGIN and COMMIT: for drivers only */
	bool is_skipping;   /* an error came: extended messages are ignored up to a Sync */
	char *script;       /* the Query being answered; NULL: none */
	const char *rest;   /* ... from here on */
	bool had_statement; /* the script had one */
	struct job *job;    /* waits */
	struct portal *executing; /* whose job it is; NULL: the script's */
	uint32_t rows_max;        /* of that Execute */
	struct list prepared;     /* struct prepared; few, looked through */
	struct list portals;
};

/* A connection that begins at the StartupMessage. Takes `fd` over; without memory it is closed.
 */
void terminal_accept(struct console *console, int fd, bool is_allowed);

/* A connection that is authenticated; it is attached and greeted here. Takes `conn` over. */
void terminal_adopt(struct console *console, struct conn *conn, const char *user,
		    const char *database);

/* Ends it; with a `sqlstate` the client is told (FATAL). */
void terminal_close(struct terminal *terminal, const char *sqlstate, const char *message);

/* What it may do now. */
enum right terminal_right(const struct terminal *terminal);

/* terminal->job, which had to wait, is done. */
void terminal_job_done(struct terminal *terminal);

/* Somebody asks to cancel: true when the key is this session's. */
bool terminal_cancel(struct terminal *terminal, const struct cancel_key *key);

/* DEALLOCATE; NULL: all. false: no such name. */
bool terminal_deallocate(struct terminal *terminal, const char *name);

/* Whether it has been at its start-up for too long. */
bool terminal_is_late(const struct terminal *terminal, usec limit, usec now);

#endif
