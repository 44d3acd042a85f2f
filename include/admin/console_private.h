#ifndef POINTSMAN_ADMIN_CONSOLE_PRIVATE_H
#define POINTSMAN_ADMIN_CONSOLE_PRIVATE_H

#include "admin/ask.h"
#include "admin/average.h"
#include "admin/console.h"

/* What the files of src/admin share with each other and with nobody else. */

struct console {
	struct loop *loop;
	struct fleet *fleet;
	struct console_hooks hooks;
	struct list terminals;
	struct asks asks;
	struct averages averages;
	struct loop_timer *sampling; /* for the averages */
	struct loop_timer *tick;
	struct loop_deferred shutdown;
	enum console_shutdown shutdown_how;
	bool is_paused; /* by a PAUSE of everything: for SHOW STATE */
};

/* The configuration and the nodes as they are now. */
const struct config *console_config(const struct console *console);
const struct topology *console_topology(const struct console *console);

/* Tells the daemon to end, from the loop: what was answered has left before. */
void console_shut_down(struct console *console, enum console_shutdown how);

#endif
