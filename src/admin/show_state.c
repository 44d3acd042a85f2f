/*
 * SHOW of what there is: the configuration, databases, pools, users, nodes, memory. Control
 * thread.
 */
#include "admin/show.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "admin/console_private.h"
#include "admin/gather.h"
#include "base/version.h"
#include "pool/share.h"

void show_nothing(const struct console *console, const struct rows *rows, struct table *table)
{
	(void)console;
	(void)rows;
	(void)table;
}

void show_version(const struct console *console, const struct rows *rows, struct table *table)
{
	(void)console;
	(void)rows;
	table_begin_row(table);
	table_text(table, "Pointsman " POINTSMAN_VERSION);
	table_end_row(table);
}

static void put_pair(struct table *table, const char *key, const char *value)
{
	table_begin_row(table);
	table_text(table, key);
	table_text(table, value);
	table_end_row(table);
}

void show_state(const struct console *console, const struct rows *rows, struct table *table)
{
	(void)rows;
	put_pair(table, "active", console->is_paused ? "no" : "yes");
	put_pair(table, "paused", console->is_paused ? "yes" : "no");
	put_pair(table, "suspended", "no");
}

void show_config(const struct console *console, const struct rows *rows, struct table *table)
{
	const struct config *config = console_config(console);
	struct config_item item;

	(void)rows;
	for (size_t i = 0; i < config_item_count(); i++) {
		config_item_get(config, i, &item);
		table_begin_row(table);
		table_text(table, item.name);
		table_text(table, item.value);
		table_text(table, item.default_value);
		table_text(table, item.changeable ? "yes" : "no");
		table_text(table, item.description);
		table_end_row(table);
	}
}

static const char *or_null(const char *text)
{
	return text[0] ? text : NULL;
}

/* The rules in effect, in their order. */
void show_hba(const struct console *console, const struct rows *rows, struct table *table)
{
	const struct hba *hba = fleet_snapshot(console->fleet)->hba;
	size_t n = hba ? hba_count(hba) : 0;

	(void)rows;
	for (size_t i = 0; i < n; i++) {
		struct hba_words words;

		hba_describe(hba, i, &words);
		table_begin_row(table);
		table_int(table, (int64_t)i + 1);
		table_text(table, words.rule->file);
		table_int(table, words.rule->line);
		table_text(table, words.type);
		table_text(table, words.database);
		table_text(table, words.user);
		table_text(table, or_null(words.address));
		table_text(table, auth_type_name(words.rule->method));
		table_text(table, or_null(words.options));
		table_end_row(table);
	}
}

/* --- databases --- */

/* The node that PgBouncer's single host stands for: the primary, or else the first one. */
static const struct node *main_node(const struct topology *topology, size_t cluster)
{
	const struct cluster *found;

	if (cluster >= topology->n_clusters || topology->clusters[cluster].n_nodes == 0)
		return NULL;
	found = &topology->clusters[cluster];
	return &found->nodes[found->primary >= 0 ? found->primary : 0];
}

static void put_place(struct table *table, const struct node *node)
{
	table_text(table, node ? node->host : NULL);
	table_int(table, node ? node->port : 0);
}

/* `entry`: its configuration; NULL for one that is no longer there. `row`: NULL when nobody used
 * it yet. */
static void put_database(const struct console *console, const char *name,
			 const struct config_database *entry, const struct database_row *row,
			 struct table *table)
{
	static const struct database_row unused;
	static const struct config_database gone;
	const struct topology *topology = console_topology(console);
	bool is_known = entry && entry->cluster_index < topology->n_clusters;

	row = row ? row : &unused;
	table_begin_row(table);
	table_text(table, name);
	put_place(table, is_known ? main_node(topology, entry->cluster_index) : NULL);
	table_text(table, entry && entry->dbname ? entry->dbname : name);
	table_text(table, entry ? entry->user : NULL);
	entry = entry ? entry : &gone;
	table_int(table, entry->default_pool_size);
	table_int(table, entry->min_pool_size);
	table_int(table, entry->reserve_pool_size);
	table_int(table, entry->server_lifetime / USEC_PER_SEC);
	table_text(table, pool_mode_name(entry->pool_mode));
	table_text(table, NULL);
	table_int(table, entry->max_db_connections);
	table_int(table, (int64_t)row->servers);
	table_int(table, entry->max_db_client_connections);
	table_int(table, (int64_t)row->clients);
	table_int(table, row->is_paused);
	table_int(table, row->is_disabled);
	table_text(table, entry->cluster);
	table_int(table,
		  is_known ? (int64_t)topology->clusters[entry->cluster_index].n_nodes : 0);
	table_text(table, route_split_name(entry->split));
	table_text(table, read_hint_name(entry->read_hint));
	table_text(table, consistency_name(entry->consistency));
	table_end_row(table);
}

static int database_by_name(const void *name, const void *row)
{
	return strcmp(name, ((const struct database_row *)row)->name);
}

static bool is_configured(const struct config *config, const char *name)
{
	const struct config_database *entry = config_database_find(config, name);
	char clean[TEXT_NAME_MAX];

	if (!entry || strcmp(entry->name, "*") == 0)
		return false;
	text_clean(clean, sizeof(clean), entry->name);
	return strcmp(clean, name) == 0;
}

/* Those of the configuration in its order, then those made by "*" and those that are gone but
 * still used. */
void show_databases(const struct console *console, const struct rows *rows, struct table *table)
{
	const struct config *config = console_config(console);
	char name[TEXT_NAME_MAX];

	for (size_t i = 0; i < config->n_databases; i++) {
		if (strcmp(config->databases[i].name, "*") == 0)
			continue;
		text_clean(name, sizeof(name), config->databases[i].name);
		put_database(console, name, &config->databases[i],
			     rows_find(rows, name, database_by_name), table);
	}
	for (size_t i = 0; i < rows->count; i++) {
		const struct database_row *row = rows_at(rows, i);
		bool is_in_use = row->clients > 0 || row->servers > 0;

		if (!is_configured(config, row->name) && (!row->is_retired || is_in_use))
			put_database(console, row->name, config_database_find(config, row->name),
				     row, table);
	}
}

/* --- pools --- */

static const struct node *find_node(const struct topology *topology, const char *cluster,
				    const char *name)
{
	for (size_t i = 0; i < topology->n_clusters; i++) {
		const struct cluster *at = &topology->clusters[i];

		for (size_t j = 0; strcmp(at->name, cluster) == 0 && j < at->n_nodes; j++) {
			if (strcmp(at->nodes[j].name, name) == 0)
				return &at->nodes[j];
		}
	}
	return NULL;
}

static void put_pool(struct table *table, const struct pool_row *row, const struct node *node)
{
	table_begin_row(table);
	table_text(table, row->database);
	table_text(table, row->user);
	table_int(table, row->clients_active);
	table_int(table, row->clients_waiting);
	table_int(table, 0);
	table_int(table, 0);
	table_int(table, (int64_t)row->active);
	table_int(table, 0);
	table_int(table, (int64_t)row->being_canceled);
	table_int(table, (int64_t)row->idle);
	table_int(table, (int64_t)row->used);
	table_int(table, (int64_t)row->tested);
	table_int(table, (int64_t)row->login);
	table_int(table, row->max_wait / USEC_PER_SEC);
	table_int(table, row->max_wait % USEC_PER_SEC);
	table_text(table, pool_mode_name(row->mode));
	table_text(table, NULL);
	table_text(table, row->cluster);
	table_text(table, row->node);
	table_text(table, node ? node_role_name(node->role) : "unknown");
	table_end_row(table);
}

void show_pools(const struct console *console, const struct rows *rows, struct table *table)
{
	for (size_t i = 0; i < rows->count; i++) {
		const struct pool_row *row = rows_at(rows, i);

		put_pool(table, row,
			 find_node(console_topology(console), row->cluster, row->node));
	}
}

/* --- users --- */

/* What the user's entry does not set is empty, as it is in PgBouncer. */
static void put_size(struct table *table, int size)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", size);
	table_text(table, size == -1 ? "" : text);
}

static int user_limit(int own, int global)
{
	return own == -1 ? global : own;
}

static void put_user(const struct console *console, struct table *table, const char *name,
		     const struct user_row *row)
{
	static const struct config_user none = { .pool_mode = -1,
						 .pool_size = -1,
						 .reserve_pool_size = -1,
						 .max_user_connections = -1,
						 .max_user_client_connections = -1 };
	const struct config *config = console_config(console);
	const struct config_user *entry = config_user_find(config, name);

	entry = entry ? entry : &none;
	table_begin_row(table);
	table_text(table, name);
	put_size(table, entry->pool_size);
	put_size(table, entry->reserve_pool_size);
	table_text(table, entry->pool_mode == -1
				  ? NULL
				  : pool_mode_name((enum pool_mode)entry->pool_mode));
	table_int(table, user_limit(entry->max_user_connections, config->max_user_connections));
	table_int(table, row ? (int64_t)row->servers : 0);
	table_int(table, user_limit(entry->max_user_client_connections,
				    config->max_user_client_connections));
	table_int(table, row ? (int64_t)row->clients : 0);
	table_end_row(table);
}

static int user_by_name(const void *name, const void *row)
{
	return strcmp(name, ((const struct user_row *)row)->name);
}

static bool is_listed(const struct userlist *list, const char *name)
{
	return list && userlist_find(list, name);
}

/* Those of the user list, then whoever else has come or logs in to servers. */
void show_users(const struct console *console, const struct rows *rows, struct table *table)
{
	const struct userlist *list = fleet_snapshot(console->fleet)->users;
	char name[TEXT_NAME_MAX];

	for (size_t i = 0; list && i < userlist_count(list); i++) {
		text_clean(name, sizeof(name), userlist_at(list, i)->name);
		put_user(console, table, name, rows_find(rows, name, user_by_name));
	}
	for (size_t i = 0; i < rows->count; i++) {
		const struct user_row *row = rows_at(rows, i);

		if (!is_listed(list, row->name))
			put_user(console, table, row->name, row);
	}
}

/* --- lists --- */

static void put_list(struct table *table, const char *name, size_t items)
{
	table_begin_row(table);
	table_text(table, name);
	table_int(table, (int64_t)items);
	table_end_row(table);
}

static size_t count_lists(const struct rows *rows, enum list_kind kind)
{
	size_t items = 0;

	for (size_t i = 0; i < rows->count; i++) {
		const struct list_row *row = rows_at(rows, i);

		if (row->kind == kind)
			items += kind >= LIST_CLIENTS ? row->count : 1;
	}
	return items;
}

static size_t max_of(size_t a, size_t b)
{
	return a > b ? a : b;
}

void show_lists(const struct console *console, const struct rows *rows, struct table *table)
{
	const struct config *config = console_config(console);
	const struct userlist *users = fleet_snapshot(console->fleet)->users;
	const struct config_database *any = config_database_find(config, "*");
	size_t configured = config->n_databases - (any && strcmp(any->name, "*") == 0);

	put_list(table, "databases", max_of(configured, count_lists(rows, LIST_DATABASE)));
	put_list(table, "users",
		 max_of(users ? userlist_count(users) : 0, count_lists(rows, LIST_USER)));
	put_list(table, "peers", 0);
	put_list(table, "pools", count_lists(rows, LIST_POOL));
	put_list(table, "peer_pools", 0);
	put_list(table, "free_clients", 0);
	put_list(table, "used_clients", count_lists(rows, LIST_CLIENTS));
	put_list(table, "login_clients", count_lists(rows, LIST_LOGINS));
	put_list(table, "free_servers", count_lists(rows, LIST_FREE_SERVERS));
	put_list(table, "used_servers", count_lists(rows, LIST_USED_SERVERS));
	put_list(table, "dns_names", 0);
	put_list(table, "dns_zones", 0);
	put_list(table, "dns_queries", 0);
	put_list(table, "dns_pending", 0);
}

/* --- memory --- */

static void put_memory(struct table *table, const struct memory_row *row)
{
	table_begin_row(table);
	table_text(table, row->name);
	table_int(table, (int64_t)row->size);
	table_int(table, (int64_t)row->used);
	table_int(table, (int64_t)row->free);
	table_int(table, (int64_t)row->total);
	table_end_row(table);
}

/* The process as its allocator sees it: what the other rows are a part of. In bytes. */
static void put_heap(struct table *table)
{
#ifdef __GLIBC__
	struct mallinfo2 info = mallinfo2();
	struct memory_row row = { .name = "heap",
				  .used = info.uordblks + info.hblkhd,
				  .free = info.fordblks,
				  .total = info.uordblks + info.fordblks + info.hblkhd };

	put_memory(table, &row);
#else
	(void)table;
#endif
}

void show_mem(const struct console *console, const struct rows *rows, struct table *table)
{
	(void)console;
	for (size_t i = 0; i < rows->count; i++)
		put_memory(table, rows_at(rows, i));
	put_heap(table);
}

/* --- nodes --- */

static void put_lsn(struct table *table, uint64_t lsn)
{
	char text[24];

	snprintf(text, sizeof(text), "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
	table_text(table, lsn ? text : NULL);
}

/* A duration in milliseconds, rounded up; negative: unknown. */
static void put_ms(struct table *table, usec duration)
{
	if (duration < 0)
		table_text(table, NULL);
	else
		table_int(table, (duration + USEC_PER_MS - 1) / USEC_PER_MS);
}

static void put_load(const struct console *console, struct table *table, const char *cluster,
		     const char *node)
{
	const struct pool_node_load *load =
		pool_node_load_get(fleet_registry(console->fleet), cluster, node);

	table_int(table, load ? atomic_load(&load->in_flight) : 0);
	table_int(table, load ? atomic_load(&load->waiting) : 0);
}

static void put_clean(struct table *table, const char *text)
{
	char clean[256];

	text_clean(clean, sizeof(clean), text);
	table_text(table, clean);
}

static void put_node(const struct console *console, struct table *table,
		     const struct cluster *cluster, const struct node *node)
{
	usec now = clock_now();
	bool is_replica = node->role == NODE_ROLE_REPLICA;

	table_begin_row(table);
	table_text(table, cluster->name);
	table_text(table, node->name);
	table_text(table, node->host);
	table_int(table, node->port);
	table_text(table, node_role_name(node->role));
	table_text(table, node_state_name(node->state));
	table_int(table, node->weight);
	table_text(table, node->zone);
	put_lsn(table, node->lsn);
	table_int(table, node->timeline);
	if (is_replica)
		table_int(table, (int64_t)node->lag_bytes);
	else
		table_text(table, NULL);
	put_ms(table, is_replica ? node->lag : -1);
	put_ms(table, is_replica ? node_staleness(node, now) : -1);
	put_load(console, table, cluster->name, node->name);
	table_int(table, node->rtt);
	put_ms(table, node->probed_at ? now - node->probed_at : -1);
	put_ms(table, node->changed_at ? now - node->changed_at : -1);
	put_clean(table, node->why);
	table_end_row(table);
}

void show_nodes(const struct console *console, const struct rows *rows, struct table *table)
{
	const struct topology *topology = console_topology(console);

	(void)rows;
	for (size_t i = 0; i < topology->n_clusters; i++) {
		for (size_t j = 0; j < topology->clusters[i].n_nodes; j++)
			put_node(console, table, &topology->clusters[i],
				 &topology->clusters[i].nodes[j]);
	}
}
