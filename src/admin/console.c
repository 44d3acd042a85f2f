/*
 * The console as the daemon sees it: who may come in, the sessions, the samples for the averages,
 * and the end. See admin/console.h; sessions are in terminal.c, commands in command.c, tables in
 * show.c.
 */
#include "admin/console.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/console_private.h"
#include "admin/gather.h"
#include "admin/terminal.h"
#include "base/log.h"

/* Users of the console do not count against max_client_conn. */
#define TERMINALS_MAX     256
/* ... and those who may do everything get in even then. */
#define TERMINALS_MAX_OWN (2 * TERMINALS_MAX)

#define TICK (500 * USEC_PER_MS)

const struct config *console_config(const struct console *console)
{
	return fleet_snapshot(console->fleet)->config;
}

const struct topology *console_topology(const struct console *console)
{
	return fleet_topology(console->fleet);
}

/* --- averages --- */

static struct sample *make_samples(const struct rows *rows)
{
	struct sample *list = calloc(rows->count > 0 ? rows->count : 1, sizeof(*list));

	for (size_t i = 0; list && i < rows->count; i++) {
		const struct database_row *row = rows_at(rows, i);

		memcpy(list[i].database, row->name, sizeof(list[i].database));
		list[i].traffic = row->traffic;
	}
	return list;
}

/* Without memory this period is one with the next. */
static void on_sampled(void *context, void *const *results, int n_results)
{
	struct console *console = context;
	struct rows *rows = rows_merge(results, n_results, sizeof(struct database_row),
				       database_row_compare, database_row_fold);
	struct sample *list = rows ? make_samples(rows) : NULL;

	if (list)
		averages_add(&console->averages, list, rows->count, clock_now());
	free(rows);
}

static void on_sampling(void *context)
{
	struct console *console = context;

	loop_timer_start(console->sampling, AVERAGE_PERIOD);
	ask_workers(&console->asks, gather_databases, NULL, on_sampled, console);
}

/* --- time --- */

static void on_tick(void *context)
{
	struct console *console = context;
	usec limit = console_config(console)->client_login_timeout;
	usec now = clock_now();

	loop_timer_start(console->tick, TICK);
	conn_check_paused();
	LIST_EACH_SAFE (&console->terminals, node) {
		struct terminal *terminal = LIST_ENTRY(node, struct terminal, node);

		if (terminal_is_late(terminal, limit, now))
			terminal_close(terminal, "08P01", "pointsman: client_login_timeout");
	}
}

/* --- the end of the daemon --- */

static void on_shutdown(void *context)
{
	struct console *console = context;

	console->hooks.shutdown(console->hooks.context, console->shutdown_how);
}

void console_shut_down(struct console *console, enum console_shutdown how)
{
	console->shutdown_how = how;
	loop_defer(console->loop, &console->shutdown, on_shutdown, console);
}

/* --- life --- */

struct console *console_create(struct loop *control, struct fleet *fleet,
			       const struct console_hooks *hooks)
{
	struct console *console = calloc(1, sizeof(*console));

	if (!console)
		return NULL;
	console->loop = control;
	console->fleet = fleet;
	console->hooks = *hooks;
	list_init(&console->terminals);
	asks_init(&console->asks, control, fleet);
	averages_init(&console->averages, clock_now());
	console->sampling = loop_timer_create(control, on_sampling, console);
	console->tick = loop_timer_create(control, on_tick, console);
	if (!console->sampling || !console->tick) {
		console_destroy(&console);
		return NULL;
	}
	loop_timer_start(console->sampling, AVERAGE_PERIOD);
	loop_timer_start(console->tick, TICK);
	return console;
}

void console_destroy(struct console **console_pointer)
{
	struct console *console = *console_pointer;
	struct list_node *first;

	*console_pointer = NULL;
	if (!console)
		return;
	while ((first = list_first(&console->terminals)) != NULL)
		terminal_close(LIST_ENTRY(first, struct terminal, node), NULL, NULL);
	asks_end(&console->asks);
	averages_free(&console->averages);
	loop_timer_destroy(&console->sampling);
	loop_timer_destroy(&console->tick);
	loop_defer_cancel(console->loop, &console->shutdown);
	loop_defer_free(console->loop, console);
}

/* --- coming in --- */

static bool is_own_peer(int fd)
{
	struct ucred peer;
	socklen_t length = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == -1)
		return false;
	return length == sizeof(peer) && (peer.uid == 0 || peer.uid == geteuid());
}

void console_accept(struct console *console, int fd)
{
	bool is_allowed = is_own_peer(fd);

	if (console->terminals.count < (is_allowed ? TERMINALS_MAX_OWN : TERMINALS_MAX)) {
		terminal_accept(console, fd, is_allowed);
		return;
	}
	log_warnx(NULL, "too many sessions on the admin console");
	close(fd);
}

void console_adopt(struct console *console, struct conn *conn, const char *user,
		   const char *database, const char *host, int port)
{
	struct log_ctx ctx = { .kind = "admin", .user = user, .database = database };

	if (console->terminals.count < TERMINALS_MAX) {
		log_debug(&ctx, "console log-in from %s:%d", host, port);
		terminal_adopt(console, conn, user, database);
		return;
	}
	log_warnx(&ctx, "too many sessions on the admin console");
	conn_destroy(&conn);
}
