#ifndef POINTSMAN_ADMIN_SHOW_H
#define POINTSMAN_ADMIN_SHOW_H

#include <stddef.h>

#include "admin/command.h"
#include "admin/rows.h"
#include "admin/table.h"
#include "worker/fleet.h"

struct console;

/*
 * The tables of SHOW. What comes from workers is gathered and merged first; `rows` is NULL for
 * the others. PgBouncer's columns come first, in its order; own ones follow.
 */
struct show {
	const char *name;
	enum right right;
	const struct build_column *columns;
	size_t n_columns;
	void (*render)(const struct console *console, const struct rows *rows,
		       struct table *table);
	fleet_function gather; /* NULL: nothing is asked */
	size_t row_size;
	rows_compare compare;
	rows_fold fold;
};

/* NULL: there is none of this name. */
const struct show *show_find(const char *name);

/* By number, in the order of SHOW HELP; NULL behind the last one. */
const struct show *show_at(size_t index);

/* The function of the command. */
void show_run(struct job *job);

/* --- render functions: show_traffic.c, show_sockets.c, show_state.c --- */

void show_stats(const struct console *console, const struct rows *rows, struct table *table);
void show_stats_totals(const struct console *console, const struct rows *rows,
		       struct table *table);
void show_stats_averages(const struct console *console, const struct rows *rows,
			 struct table *table);
void show_totals(const struct console *console, const struct rows *rows, struct table *table);
void show_routes(const struct console *console, const struct rows *rows, struct table *table);
void show_chain(const struct console *console, const struct rows *rows, struct table *table);
void show_cancels(const struct console *console, const struct rows *rows, struct table *table);

void show_clients(const struct console *console, const struct rows *rows, struct table *table);
void show_servers(const struct console *console, const struct rows *rows, struct table *table);
void show_sockets(const struct console *console, const struct rows *rows, struct table *table);
void show_active_sockets(const struct console *console, const struct rows *rows,
			 struct table *table);
void show_channels(const struct console *console, const struct rows *rows, struct table *table);
void show_prepared(const struct console *console, const struct rows *rows,
		   struct table *table); /* show_prepared.c */
void show_pins(const struct console *console, const struct rows *rows, struct table *table);
void show_pin_reasons(const struct console *console, const struct rows *rows, struct table *table);

void show_version(const struct console *console, const struct rows *rows, struct table *table);
void show_config(const struct console *console, const struct rows *rows, struct table *table);
void show_databases(const struct console *console, const struct rows *rows, struct table *table);
void show_pools(const struct console *console, const struct rows *rows, struct table *table);
void show_users(const struct console *console, const struct rows *rows, struct table *table);
void show_lists(const struct console *console, const struct rows *rows, struct table *table);
void show_mem(const struct console *console, const struct rows *rows, struct table *table);
void show_state(const struct console *console, const struct rows *rows, struct table *table);
void show_hba(const struct console *console, const struct rows *rows, struct table *table);
void show_nodes(const struct console *console, const struct rows *rows, struct table *table);
void show_nothing(const struct console *console, const struct rows *rows, struct table *table);

#endif
