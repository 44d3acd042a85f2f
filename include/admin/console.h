#ifndef POINTSMAN_ADMIN_CONSOLE_H
#define POINTSMAN_ADMIN_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

#include "net/conn.h"
#include "net/loop.h"
#include "worker/fleet.h"

/*
 * The admin console: the PostgreSQL protocol, simple and extended, on a unix socket of its own
 * and as the databases `pointsman` and `pgbouncer` on the main port. PgBouncer's commands with
 * its columns, in its order; own columns follow (docs/admin.md). Runs on the control thread; what
 * the workers know is asked by fleet_call().
 */
struct bytes;
struct console;

enum console_shutdown {
	CONSOLE_SHUTDOWN_NOW,
	CONSOLE_SHUTDOWN_SERVERS,
	CONSOLE_SHUTDOWN_CLIENTS
};

/* What the console asks of the daemon. */
struct console_hooks {
	void *context;
	/* RELOAD: false when the file was wrong and nothing has changed; error_out has all of
	 * why. */
	bool (*reload)(void *context, struct bytes *error_out);
	/* SET: as RELOAD, for one option. */
	bool (*set)(void *context, const char *name, const char *value, char *error_out,
		    size_t error_size);
	void (*shutdown)(void *context, enum console_shutdown how);
};

/* NULL without memory. */
struct console *console_create(struct loop *control, struct fleet *fleet,
			       const struct console_hooks *hooks);

/*
 * Ends all sessions. To be called after fleet_destroy() (the fleet may then not be asked any
 * more, and nobody answers what was asked) and before loop_destroy(). Accepts NULL, sets the
 * pointer to NULL.
 */
void console_destroy(struct console **console);

/*
 * A socket accepted on the admin unix socket. A peer with the daemon's own UID (SO_PEERCRED), or
 * root, is let in as the user it names, with all rights and no password; any other peer is
 * refused.
 */
void console_accept(struct console *console, int fd);

/* A client that logged in on the main port; see fleet_hooks.console. Its rights follow from
 * admin.users and admin.stats_users. */
void console_adopt(struct console *console, struct conn *conn, const char *user,
		   const char *database, const char *host, int port);

#endif
