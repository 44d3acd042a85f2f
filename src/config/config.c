/*
 * Configuration snapshots as objects: made, copied, shared, freed, asked. Their contents come
 * from load.c and change.c.
 * References are counted from any thread; making and copying is the control thread's.
 */
#include "config/config.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "config/snapshot.h"

#define WORKERS_MAX 256

struct snapshot *snapshot_of(const struct config *config)
{
	return CONTAINER_OF((struct config *)(uintptr_t)config, struct snapshot, config);
}

struct value_context snapshot_context(struct snapshot *snapshot)
{
	return (struct value_context){ snapshot->arena, snapshot->directory };
}

static void snapshot_free(struct snapshot *snapshot)
{
	arena_destroy(&snapshot->arena);
	free(snapshot);
}

struct snapshot *snapshot_create(const char *path, const char *directory)
{
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (snapshot == NULL)
		return NULL;
	atomic_init(&snapshot->references, 1);
	snapshot->arena = arena_create(SIZE_MAX);
	if (snapshot->arena) {
		snapshot->directory = arena_copy_string(snapshot->arena, directory);
		snapshot->config.path = arena_copy_string(snapshot->arena, path);
	}
	if (snapshot->directory && snapshot->config.path)
		return snapshot;
	snapshot_free(snapshot);
	return NULL;
}

struct config *config_ref(struct config *config)
{
	atomic_fetch_add_explicit(&snapshot_of(config)->references, 1, memory_order_relaxed);
	return config;
}

void config_unref(struct config **config)
{
	struct snapshot *snapshot;

	if (*config == NULL)
		return;
	snapshot = snapshot_of(*config);
	*config = NULL;
	/* release what this thread did with it, acquire what the others did, before it is freed
	 */
	if (atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel) == 1)
		snapshot_free(snapshot);
}

/* --- sections and copies --- */

void *section_elements(const struct section *section, const void *base, size_t *count_out)
{
	void *elements;

	memcpy(&elements, (const char *)base + section->list_offset, sizeof(elements));
	memcpy(count_out, (const char *)base + section->count_offset, sizeof(*count_out));
	return elements;
}

void section_set_elements(const struct section *section, void *base, void *elements, size_t count)
{
	memcpy((char *)base + section->list_offset, &elements, sizeof(elements));
	memcpy((char *)base + section->count_offset, &count, sizeof(count));
}

bool section_copy(enum section_id id, void *to, const void *from, struct arena *arena)
{
	for (size_t i = 0; i < option_count(); i++) {
		const struct option *option = option_at(i);

		if (option->section == id && !value_copy(option, to, option, from, arena))
			return false;
	}
	for (int child = 0; child < SECTION_COUNT; child++) {
		const struct section *section = section_at((enum section_id)child);
		bool ok = true;

		if (section->parent != id)
			continue;
		if (section->is_list)
			ok = section_copy_list((enum section_id)child, to, from, arena);
		else
			ok = section_copy((enum section_id)child, to, from, arena);
		if (!ok)
			return false;
	}
	return true;
}

bool section_copy_list(enum section_id id, void *to, const void *from, struct arena *arena)
{
	const struct section *section = section_at(id);
	size_t count;
	const char *elements = section_elements(section, from, &count);
	char *copy = arena_zalloc(arena, (count + 1) * section->element_size);

	if (copy == NULL)
		return false;
	for (size_t i = 0; i < count; i++) {
		size_t offset = i * section->element_size;

		if (!section_copy(id, copy + offset, elements + offset, arena))
			return false;
	}
	section_set_elements(section, to, copy, count);
	return true;
}

struct snapshot *snapshot_copy(const struct snapshot *from)
{
	struct snapshot *copy = snapshot_create(from->config.path, from->directory);
	size_t bytes = from->config.n_databases * sizeof(uint64_t);

	if (copy == NULL)
		return NULL;
	copy->database_set = arena_alloc(copy->arena, bytes + 1);
	if (copy->database_set == NULL ||
	    !section_copy(SECTION_ROOT, &copy->config, &from->config, copy->arena)) {
		snapshot_free(copy);
		return NULL;
	}
	if (bytes > 0)
		memcpy(copy->database_set, from->database_set, bytes);
	snapshot_link(copy);
	return copy;
}

bool snapshot_inherit(struct snapshot *snapshot)
{
	struct config *config = &snapshot->config;

	for (size_t i = 0; i < option_count(); i++) {
		const struct option *option = option_at(i);
		const struct option *global = option_find(SECTION_ROOT, option_name(option));
		uint64_t bit;

		if (option->section != SECTION_DATABASES || !(option->flags & OPTION_INHERITED))
			continue;
		ASSERT(global != NULL);
		bit = (uint64_t)1 << option_number(option);
		for (size_t d = 0; d < config->n_databases; d++) {
			if (!(snapshot->database_set[d] & bit) &&
			    !value_copy(option, &config->databases[d], global, config,
					snapshot->arena))
				return false;
		}
	}
	return true;
}

void snapshot_link(struct snapshot *snapshot)
{
	struct config *config = &snapshot->config;

	for (size_t d = 0; d < config->n_databases; d++) {
		const char *name = config->databases[d].cluster;

		config->databases[d].cluster_index = 0;
		for (size_t c = 0; c < config->n_clusters; c++) {
			const char *cluster = config->clusters[c].name;

			if (name && cluster && strcmp(name, cluster) == 0) {
				config->databases[d].cluster_index = c;
				break;
			}
		}
	}
}

/* --- questions --- */

int config_worker_count(const struct config *config)
{
	cpu_set_t cores;
	int count;

	if (config->workers > 0)
		return config->workers;
	/* the cores that this process may use, not those that the machine has */
	if (sched_getaffinity(0, sizeof(cores), &cores) == -1)
		return 1;
	count = CPU_COUNT(&cores);
	return count < WORKERS_MAX ? count : WORKERS_MAX;
}

struct tls_settings config_tls_settings(const struct config *config, enum tls_role role)
{
	if (role == TLS_ROLE_SERVER)
		return (struct tls_settings){ .mode = config->client_tls_sslmode,
					      .ca_file = config->client_tls_ca_file,
					      .cert_file = config->client_tls_cert_file,
					      .key_file = config->client_tls_key_file,
					      .protocols = config->client_tls_protocols,
					      .ciphers = config->client_tls_ciphers,
					      .ciphersuites = config->client_tls13_ciphers,
					      .curves = config->client_tls_ecdhcurve };
	return (struct tls_settings){ .mode = config->server_tls_sslmode,
				      .ca_file = config->server_tls_ca_file,
				      .cert_file = config->server_tls_cert_file,
				      .key_file = config->server_tls_key_file,
				      .protocols = config->server_tls_protocols,
				      .ciphers = config->server_tls_ciphers,
				      .ciphersuites = config->server_tls13_ciphers };
}

const struct config_user *config_user_find(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->n_users; i++) {
		if (strcmp(config->users[i].name, name) == 0)
			return &config->users[i];
	}
	return NULL;
}

const struct config_database *config_database_find(const struct config *config, const char *name)
{
	const struct config_database *any = NULL;

	for (size_t i = 0; i < config->n_databases; i++) {
		const struct config_database *database = &config->databases[i];

		if (strcmp(database->name, name) == 0)
			return database;
		if (strcmp(database->name, "*") == 0)
			any = database;
	}
	return any;
}
