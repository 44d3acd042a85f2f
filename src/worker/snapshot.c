/*
 * What a reload replaces, as one object; see worker/snapshot.h. Any thread.
 */
#include "worker/snapshot.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "worker/authfiles.h"

static struct snapshot *make(struct config *config)
{
	static atomic_ullong last_generation;
	struct snapshot *snapshot = calloc(1, sizeof(*snapshot));

	if (!snapshot)
		return NULL;
	snapshot->config = config;
	snapshot->references = 1;
	snapshot->generation = atomic_fetch_add(&last_generation, 1) + 1;
	return snapshot;
}

/* --- TLS --- */

/* Makes the context of one end; what there was is taken again while its options are the same. */
static bool make_tls(const struct config *config, enum tls_role role, const struct config *before,
		     struct tls_context *old, struct tls_context **out, char *error_out,
		     size_t error_size)
{
	struct tls_settings settings = config_tls_settings(config, role);
	struct tls_settings former = config_tls_settings(before ? before : config, role);
	const char *end = role == TLS_ROLE_SERVER ? "client_tls" : "server_tls";
	char why[384];

	if (settings.mode == TLS_DISABLE)
		return true;
	if (before && tls_settings_are_same(&settings, &former)) {
		*out = tls_context_ref(old);
		return true;
	}
	*out = tls_context_create(role, &settings, why, sizeof(why));
	if (!*out)
		snprintf(error_out, error_size, "%s: %s: %s", config->path, end, why);
	return *out != NULL;
}

/* `from`: NULL makes all anew, from the files as they are now. */
static bool make_tls_pair(struct snapshot *snapshot, const struct snapshot *from, char *error_out,
			  size_t error_size)
{
	const struct config *before = from ? from->config : NULL;

	return make_tls(snapshot->config, TLS_ROLE_SERVER, before,
			from ? from->tls.clients : NULL, &snapshot->tls.clients, error_out,
			error_size) &&
	       make_tls(snapshot->config, TLS_ROLE_CLIENT, before,
			from ? from->tls.servers : NULL, &snapshot->tls.servers, error_out,
			error_size);
}

/* --- the whole --- */

/* Every file is read, so that all mistakes are told at once. */
static bool load_files(struct snapshot *snapshot, struct bytes *errors)
{
	const struct config *config = snapshot->config;
	bool is_sound = true;
	char why[512];

	if (config->auth.file[0]) {
		snapshot->users = userlist_load(config->auth.file, why, sizeof(why));
		if (!snapshot->users)
			bytes_printf(errors, "%s\n", why);
		is_sound = snapshot->users != NULL;
	}
	if (config->auth.hba_file[0]) {
		snapshot->hba = authfiles_load_hba(config->auth.hba_file, errors);
		is_sound &= snapshot->hba != NULL;
	}
	if (config->auth.ident_file[0]) {
		snapshot->ident = authfiles_load_ident(config->auth.ident_file, errors);
		is_sound &= snapshot->ident != NULL;
	}
	if (!make_tls_pair(snapshot, NULL, why, sizeof(why))) {
		bytes_printf(errors, "%s\n", why);
		is_sound = false;
	}
	return is_sound;
}

struct snapshot *snapshot_load(const char *path, struct bytes *errors)
{
	struct config *config = config_load(path, errors);
	struct snapshot *snapshot;

	if (!config)
		return NULL;
	snapshot = make(config);
	if (!snapshot) {
		bytes_printf(errors, "%s: out of memory\n", path);
		config_unref(&config);
		return NULL;
	}
	if (!load_files(snapshot, errors))
		snapshot_unref(&snapshot);
	return snapshot;
}

struct snapshot *snapshot_with_config(const struct snapshot *from, struct config *config,
				      char *error_out, size_t error_size)
{
	struct snapshot *snapshot = make(config);

	if (!snapshot) {
		snprintf(error_out, error_size, "out of memory");
		config_unref(&config);
		return NULL;
	}
	snapshot->users_owner = snapshot_ref((struct snapshot *)from);
	snapshot->users = from->users;
	snapshot->hba = from->hba;
	snapshot->ident = from->ident;
	if (!make_tls_pair(snapshot, from, error_out, error_size))
		snapshot_unref(&snapshot);
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
	if (snapshot->users_owner) {
		snapshot_unref(&snapshot->users_owner);
	} else {
		userlist_destroy(&snapshot->users);
		hba_destroy(&snapshot->hba);
		ident_destroy(&snapshot->ident);
	}
	tls_context_unref(&snapshot->tls.clients);
	tls_context_unref(&snapshot->tls.servers);
	config_unref(&snapshot->config);
	free(snapshot);
}
