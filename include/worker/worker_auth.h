#ifndef POINTSMAN_WORKER_WORKER_AUTH_H
#define POINTSMAN_WORKER_WORKER_AUTH_H

#include "worker/worker.h"

/*
 * What worker.c puts into the tables of functions for sessions (session_ops) and pools
 * (pool_env): see there for what each does. `context` is the worker.
 */

const char *worker_secret(void *context, const char *user);
bool worker_is_known_user(void *context, const char *user);
const struct hba_rule *worker_hba_rule(void *context, const struct hba_request *request);
bool worker_map_user(void *context, const char *map, const char *system_user, const char *user);
enum session_look_up worker_look_up(void *context, uint64_t id, const char *user,
				    const char *database);
void worker_keep_secret(void *context, const struct session_database *database, const char *user,
			const char *secret, bool is_looked_up, const uint8_t *client_key);
bool worker_pool_secret(void *context, const struct pool_key *key, struct keyring_secret *out);

/* Mail about a look-up: its answer, or nobody wants it any more. Both free it. */
struct lookup_mail;
void worker_take_answer(struct worker *worker, struct lookup_mail *mail);
void worker_discard_lookup(struct lookup_mail *mail);

#endif
