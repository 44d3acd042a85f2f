/*
 * Derives keys beforehand; see daemon/warmup.h. Control thread.
 */
#include "daemon/warmup.h"

#include <stdlib.h>

#include "auth/scram.h"
#include "base/log.h"

struct warmup {
	struct loop_timer *timer;
	struct snapshot *snapshot; /* NULL: nothing is left to do */
	size_t next;               /* in its list */
};

/* Derives one; false: there is none left, or no memory. */
static bool derive_next(struct warmup *warmup)
{
	const struct userlist *users = warmup->snapshot->users;

	while (users && warmup->next < userlist_count(users)) {
		const struct userlist_user *user = userlist_at(users, warmup->next++);

		if (user->kind != SECRET_PLAIN)
			continue;
		if (scram_warm_up(user->name, user->secret))
			return true;
		log_warnx(NULL, "out of memory: log-ins derive their keys themselves");
		snapshot_unref(&warmup->snapshot);
		return false;
	}
	return false;
}

static void on_timer(void *context)
{
	struct warmup *warmup = context;

	if (derive_next(warmup)) {
		loop_timer_start(warmup->timer, 0);
	} else if (warmup->snapshot) {
		scram_warm_end();
		snapshot_unref(&warmup->snapshot);
	}
}

/* Only SCRAM needs them. */
static bool needs_keys(const struct config *config)
{
	return config->auth.type == AUTH_SCRAM || config->auth.type == AUTH_HBA;
}

void warmup_begin(struct warmup *warmup, struct snapshot *snapshot)
{
	loop_timer_stop(warmup->timer);
	if (warmup->snapshot)
		snapshot_unref(&warmup->snapshot);
	scram_warm_begin();
	if (!needs_keys(snapshot->config))
		return;
	warmup->snapshot = snapshot_ref(snapshot);
	warmup->next = 0;
	loop_timer_start(warmup->timer, 0);
}

struct warmup *warmup_create(struct loop *loop)
{
	struct warmup *warmup = calloc(1, sizeof(*warmup));

	if (!warmup)
		return NULL;
	warmup->timer = loop_timer_create(loop, on_timer, warmup);
	if (!warmup->timer)
		warmup_destroy(&warmup);
	return warmup;
}

void warmup_destroy(struct warmup **warmup_pointer)
{
	struct warmup *warmup = *warmup_pointer;

	*warmup_pointer = NULL;
	if (!warmup)
		return;
	loop_timer_destroy(&warmup->timer);
	if (warmup->snapshot)
		snapshot_unref(&warmup->snapshot);
	free(warmup);
}
