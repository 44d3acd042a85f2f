/*
 * SHOW of what has happened: STATS and its relatives, ROUTES, CHAIN, CANCELS. Control thread.
 */
#include "admin/show.h"

#include <stdio.h>

#include "admin/console_private.h"
#include "admin/gather.h"
#include "pool/cancel.h"
#include "session/stage.h"

static void put_traffic(struct table *table, const struct traffic *traffic)
{
#define PUT(name) table_int(table, (int64_t)traffic->name);
	TRAFFIC_FIELDS(PUT)
#undef PUT
}

void show_stats(const struct console *console, const struct rows *rows, struct table *table)
{
	for (size_t i = 0; i < rows->count; i++) {
		const struct database_row *row = rows_at(rows, i);
		struct traffic average;

		averages_get(&console->averages, row->name, &average);
		table_begin_row(table);
		table_text(table, row->name);
		put_traffic(table, &row->traffic);
		put_traffic(table, &average);
		table_end_row(table);
	}
}

void show_stats_totals(const struct console *console, const struct rows *rows,
		       struct table *table)
{
	(void)console;
	for (size_t i = 0; i < rows->count; i++) {
		const struct database_row *row = rows_at(rows, i);

		table_begin_row(table);
		table_text(table, row->name);
		put_traffic(table, &row->traffic);
		table_end_row(table);
	}
}

void show_stats_averages(const struct console *console, const struct rows *rows,
			 struct table *table)
{
	for (size_t i = 0; i < rows->count; i++) {
		const struct database_row *row = rows_at(rows, i);
		struct traffic average;

		averages_get(&console->averages, row->name, &average);
		table_begin_row(table);
		table_text(table, row->name);
		put_traffic(table, &average);
		table_end_row(table);
	}
}

/* The words of SHOW TOTALS, which are not those of SHOW STATS; in the order of TRAFFIC_FIELDS. */
static const char *const total_names[] = {
	"server_assignment_count",
	"xact_count",
	"query_count",
	"client_bytes",
	"server_bytes",
	"xact_time",
	"query_time",
	"wait_time",
	"ps_client_parse_count",
	"ps_server_parse_count",
	"ps_bind_count",
	"client_login_count",
};

static void put_totals(struct table *table, const char *prefix, const struct traffic *traffic)
{
	size_t i = 0;
	char name[64];

#define PUT(field)                                                       \
	snprintf(name, sizeof(name), "%s_%s", prefix, total_names[i++]); \
	table_begin_row(table);                                          \
	table_text(table, name);                                         \
	table_int(table, (int64_t)traffic->field);                       \
	table_end_row(table);
	TRAFFIC_FIELDS(PUT)
#undef PUT
}

void show_totals(const struct console *console, const struct rows *rows, struct table *table)
{
	struct traffic total = { 0 };
	struct traffic average;

	for (size_t i = 0; i < rows->count; i++)
		traffic_merge(&total, &((const struct database_row *)rows_at(rows, i))->traffic);
	averages_get(&console->averages, NULL, &average);
	put_totals(table, "total", &total);
	put_totals(table, "avg", &average);
}

void show_routes(const struct console *console, const struct rows *rows, struct table *table)
{
	static const char *const targets[] = { "nowhere", "primary", "replica" };

	(void)console;
	for (size_t i = 0; i < rows->count; i++) {
		const struct route_row *row = rows_at(rows, i);

		table_begin_row(table);
		table_text(table, row->database);
		table_text(table, targets[row->target]);
		table_text(table, route_reason_name(row->reason));
		table_int(table, (int64_t)row->count);
		table_end_row(table);
	}
}

void show_chain(const struct console *console, const struct rows *rows, struct table *table)
{
	(void)console;
	for (size_t i = 0; i < rows->count; i++) {
		const struct stage_row *row = rows_at(rows, i);

		table_begin_row(table);
		table_int(table, row->stage + 1);
		table_text(table, stage_name((enum stage)row->stage));
		table_int(table, (int64_t)row->entered);
		table_int(table, (int64_t)row->passed);
		table_int(table, (int64_t)row->waited);
		table_int(table, (int64_t)row->answered);
		table_int(table, (int64_t)row->failed);
		table_int(table, (int64_t)row->broken);
		table_int(table, row->time);
		table_end_row(table);
	}
}

static void put_count(struct table *table, const char *name, long long count)
{
	table_begin_row(table);
	table_text(table, name);
	table_int(table, count);
	table_end_row(table);
}

void show_cancels(const struct console *console, const struct rows *rows, struct table *table)
{
	struct cancel_counters counters;

	(void)console;
	(void)rows;
	cancel_counters_get(&counters);
	for (int i = 0; i < CANCEL_REASON_COUNT; i++)
		put_count(table, cancel_reason_name((enum cancel_reason)i),
			  (long long)counters.sent[i]);
	put_count(table, "delivered", (long long)counters.delivered);
	put_count(table, "failed", (long long)counters.failed);
	put_count(table, "in_flight", counters.in_flight);
}
