/*
 * SHOW PREPARED: gathered on each worker, since a text has an id of its own there; shown by the
 * control thread.
 */
#include <stdio.h>
#include <string.h>

#include "admin/console_private.h"
#include "admin/gather.h"
#include "admin/show.h"
#include "session/statement.h"
#include "worker/worker.h"

static const char *form_name(int form)
{
	static const char *const names[STATEMENT_FORM_COUNT] = { "parse", "rewritten", "sql" };

	return names[form];
}

/* A text of SQL's PREPARE has no terminator; the others do, and types behind it. */
static void put_text(struct prepared_row *row, const struct statement *statement)
{
	char text[sizeof(row->text)];
	size_t length = strnlen((const char *)statement->body, statement->body_length);

	snprintf(text, sizeof(text), "%.*s", (int)(length < sizeof(text) ? length : sizeof(text)),
		 (const char *)statement->body);
	text_clean(row->text, sizeof(row->text), text);
}

static void add_statement(void *context, const struct statement *statement)
{
	struct prepared_row *row = rows_add(context);

	if (!row)
		return;
	row->id = statement->id;
	row->form = statement->form;
	row->references = statement->references;
	row->bytes = statement_bytes(statement);
	row->parses = statement->n_parses;
	row->prepares = statement->n_prepares;
	row->uses = statement->n_uses;
	row->expired = statement->n_expired;
	put_text(row, statement);
}

/* The rows of one worker, and where each id is among them. */
struct finder {
	struct rows *rows;
	struct strmap *by_id;
};

static void count_server(void *context, uint64_t id)
{
	const struct finder *finder = context;
	struct prepared_row *row = strmap_get(finder->by_id, &id, sizeof(id));

	if (row)
		row->servers++;
}

static bool index_rows(struct finder *finder)
{
	finder->by_id = strmap_create();
	for (size_t i = 0; finder->by_id && i < finder->rows->count; i++) {
		struct prepared_row *row = rows_at(finder->rows, i);

		if (!strmap_set(finder->by_id, &row->id, sizeof(row->id), row))
			return false;
	}
	return finder->by_id != NULL;
}

static void count_servers(struct worker *worker, struct finder *finder)
{
	LIST_EACH (pools_list(worker->env.pools), pool_node) {
		const struct pool *pool = LIST_ENTRY(pool_node, struct pool, node);

		for (int state = 0; state < SERVER_CLOSED; state++) {
			LIST_EACH (&pool->servers[state], node)
				server_each_statement(LIST_ENTRY(node, struct server, node),
						      count_server, finder);
		}
	}
}

void gather_prepared(struct worker *worker, void *argument, void **result)
{
	struct finder finder = { .rows = rows_create(sizeof(struct prepared_row)) };

	(void)argument;
	if (finder.rows) {
		statement_cache_each(worker->env.statements, add_statement, &finder.rows);
		for (size_t i = 0; i < finder.rows->count; i++)
			((struct prepared_row *)rows_at(finder.rows, i))->worker = worker->index;
		if (index_rows(&finder))
			count_servers(worker, &finder);
		else
			finder.rows->is_short = true;
		strmap_destroy(&finder.by_id);
	}
	*result = finder.rows;
}

int prepared_row_compare(const void *a_row, const void *b_row)
{
	const struct prepared_row *a = a_row;
	const struct prepared_row *b = b_row;

	return a->id < b->id ? -1 : a->id > b->id;
}

void show_prepared(const struct console *console, const struct rows *rows, struct table *table)
{
	(void)console;
	for (size_t i = 0; i < rows->count; i++) {
		const struct prepared_row *row = rows_at(rows, i);
		char name[STATEMENT_NAME_MAX];

		statement_name(row->id, name);
		table_begin_row(table);
		table_text(table, name);
		table_text(table, form_name(row->form));
		table_int(table, row->worker);
		table_int(table, row->references);
		table_int(table, (int64_t)row->bytes);
		table_int(table, row->servers);
		table_int(table, row->parses);
		table_int(table, row->prepares);
		table_int(table, row->uses);
		table_int(table, row->expired);
		table_text(table, row->text);
		table_end_row(table);
	}
}
