/*
 * What a reload replaces, as one object; see worker/snapshot.h. Any thread.
 */
#include "worker/snapshot.h"

#include <stdatomic.h>
#include <stdlib.h>

static struct snapshot *make(struct config *config, struct userlist *users)
{
	static atomic_ullong last_generation;
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return NULL;
	snapshot->config = config;
	snapshot->users = users;
	snapshot->references = 1;
	snapshot->generation = atomic_fetch_add(&last_generation, 1) + 1;
	return snapshot;
}

struct snapshot *snapshot_load(const char *path, struct bytes *errors)
{
	struct config *config = config_load(path, errors);
	struct userlist *users = NULL;
	struct snapshot *snapshot = NULL;
	char why[256];

	if (!config)
		return NULL;
	if (config->auth.file[0]) {
		users = userlist_load(config->auth.file, why, sizeof(why));
		if (!users) {
			bytes_printf(errors, "%s\n", why);
			goto out;
		}
	}
	snapshot = make(config, users);
out:
	if (!snapshot) {
		userlist_destroy(&users);
		config_unref(&config);
	}
	return snapshot;
}

struct snapshot *snapshot_with_config(const struct snapshot *from, struct config *config)
{
	struct snapshot *snapshot = make(config, NULL);

	if (!snapshot) {
		config_unref(&config);
		return NULL;
	}
	snapshot->users_owner = snapshot_ref((struct snapshot *)from);
	snapshot->users = from->users;
	return snapshot;
}

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
	__atomic_fetch_add(&snapshot->references, 1, __ATOMIC_RELAXED);
	return snapshot;
}

void snapshot_unref(struct snapshot **snapshot_pointer)
{
	struct snapshot *snapshot = *snapshot_pointer;

	*snapshot_pointer = NULL;
	if (!snapshot || __atomic_fetch_sub(&snapshot->references, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	if (snapshot->users_owner)
		snapshot_unref(&snapshot->users_owner);
	else
		userlist_destroy(&snapshot->users);
	config_unref(&snapshot->config);
	free(snapshot);
}
