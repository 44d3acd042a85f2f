/*
 * SHOW CLIENTS, SERVERS, SOCKETS, ACTIVE_SOCKETS and PINS. Control thread.
 */
#include "admin/show.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin/console_private.h"
#include "admin/gather.h"

/* As PgBouncer's: '2026-08-23 10:00:00 UTC'. NULL for never. */
static void put_time(struct table *table, usec when)
{
	time_t seconds = (time_t)((clock_wall() - (clock_now() - when)) / USEC_PER_SEC);
	struct tm parts;
	char text[32];

	if (when == 0 || !gmtime_r(&seconds, &parts) ||
	    strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S UTC", &parts) == 0)
		table_text(table, NULL);
	else
		table_text(table, text);
}

/* Ids take the place of addresses: they never come again, and tell nothing about our memory. */
static void put_pointer(struct table *table, uint64_t id)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)id);
	table_text(table, id ? text : "");
}

static void put_common(struct table *table, const struct socket_row *row)
{
	const char type[2] = { (char)row->kind, '\0' };

	table_text(table, type);
	table_text(table, row->user);
	table_text(table, row->database);
	table_text(table, startup_replication_name(row->replication));
	table_text(table, row->state);
	table_text(table, row->address);
	table_int(table, row->port);
	table_text(table, row->local_address);
	table_int(table, row->local_port);
	put_time(table, row->connected_at);
	put_time(table, row->request_at ? row->request_at : row->connected_at);
	table_int(table, row->wait / USEC_PER_SEC);
	table_int(table, row->wait % USEC_PER_SEC);
	table_int(table, row->is_close_needed);
	put_pointer(table, row->id);
	put_pointer(table, row->link);
	table_int(table, row->pid);
	table_text(table, row->tls);
	table_text(table, row->application_name);
	table_int(table, (int64_t)row->statements);
	table_int(table, (int64_t)row->id);
}

static void put_own(struct table *table, const struct socket_row *row)
{
	table_text(table, row->node);
	table_text(table, pin_reason_name(row->pin));
	table_int(table, row->worker);
}

static void put_buffers(struct table *table, const struct socket_row *row)
{
	table_int(table, 0);
	table_int(table, 0);
	table_int(table, 0);
	table_int(table, 0);
	table_int(table, (int64_t)row->unsent);
	table_int(table, (int64_t)row->unread);
	table_int(table, 0);
}

void show_clients(const struct console *console, const struct rows *rows, struct table *table)
{
	(void)console;
	for (size_t i = 0; i < rows->count; i++) {
		const struct socket_row *row = rows_at(rows, i);

		table_begin_row(table);
		put_common(table, row);
		put_own(table, row);
		table_end_row(table);
	}
}

void show_servers(const struct console *console, const struct rows *rows, struct table *table)
{
	show_clients(console, rows, table);
}

static void put_socket(struct table *table, const struct socket_row *row)
{
	table_begin_row(table);
	put_common(table, row);
	put_buffers(table, row);
	put_own(table, row);
	table_end_row(table);
}

void show_sockets(const struct console *console, const struct rows *rows, struct table *table)
{
	(void)console;
	for (size_t i = 0; i < rows->count; i++)
		put_socket(table, rows_at(rows, i));
}

void show_active_sockets(const struct console *console, const struct rows *rows,
			 struct table *table)
{
	(void)console;
	for (size_t i = 0; i < rows->count; i++) {
		const struct socket_row *row = rows_at(rows, i);

		if (strcmp(row->state, "idle") != 0 && strcmp(row->state, "used") != 0)
			put_socket(table, row);
	}
}

static void put_pin(struct table *table, const struct socket_row *row, int reason, usec now)
{
	table_begin_row(table);
	table_int(table, (int64_t)row->id);
	table_text(table, row->user);
	table_text(table, row->database);
	table_text(table, row->node);
	table_text(table, pin_reason_name((enum pin_reason)reason));
	table_int(table, (now - row->pinned_at[reason]) / USEC_PER_MS);
	table_int(table, (int64_t)row->link);
	table_end_row(table);
}

void show_pins(const struct console *console, const struct rows *rows, struct table *table)
{
	usec now = clock_now();

	(void)console;
	for (size_t i = 0; i < rows->count; i++) {
		const struct socket_row *row = rows_at(rows, i);

		for (int reason = 0; reason < PIN_COUNT; reason++) {
			if (row->pins >> reason & 1)
				put_pin(table, row, reason, now);
		}
	}
}

void show_pin_reasons(const struct console *console, const struct rows *rows, struct table *table)
{
	(void)console;
	for (size_t i = 0; i < rows->count; i++) {
		const struct pin_row *row = rows_at(rows, i);

		table_begin_row(table);
		table_text(table, pin_reason_name((enum pin_reason)row->reason));
		table_int(table, (int64_t)row->begun);
		table_int(table, (int64_t)row->ended);
		table_int(table, (int64_t)row->sessions);
		table_end_row(table);
	}
}

void show_channels(const struct console *console, const struct rows *rows, struct table *table)
{
	(void)console;
	for (size_t i = 0; i < rows->count; i++) {
		const struct channel_row *row = rows_at(rows, i);

		table_begin_row(table);
		table_text(table, row->cluster);
		table_text(table, row->database);
		table_text(table, row->name);
		table_int(table, (int64_t)row->sessions);
		table_text(table, row->is_heard ? "listening" : "asked");
		table_end_row(table);
	}
}
