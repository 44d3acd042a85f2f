/*
 * What a worker's log-ins and pools ask for to authenticate: the user list, the rules, look-ups
 * by the control thread, and the ring of keys that all workers share. See worker/worker_auth.h.
 * Runs on the worker's thread.
 */
#include "worker/worker_auth.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "session/client_login.h"
#include "worker/fleet.h"
#include "worker/mail.h"

/* --- for log-ins --- */

static const struct userlist_user *find_listed(const struct worker *worker, const char *user)
{
	return worker->snapshot->users ? userlist_find(worker->snapshot->users, user) : NULL;
}

const char *worker_secret(void *context, const char *user)
{
	const struct userlist_user *found = find_listed(context, user);

	return found ? found->secret : NULL;
}

bool worker_is_known_user(void *context, const char *user)
{
	const struct worker *worker = context;

	return !worker->snapshot->users || find_listed(worker, user);
}

const struct hba_rule *worker_hba_rule(void *context, const struct hba_request *request)
{
	const struct snapshot *snapshot = ((struct worker *)context)->snapshot;

	return snapshot->hba ? hba_find(snapshot->hba, request) : NULL;
}

bool worker_map_user(void *context, const char *map, const char *system_user, const char *user)
{
	return ident_allows(((struct worker *)context)->snapshot->ident, map, system_user, user);
}

static void free_lookup(struct lookup_mail *mail)
{
	free(mail->user);
	free(mail->database);
	if (mail->answer.secret)
		OPENSSL_cleanse(mail->answer.secret, strlen(mail->answer.secret));
	free(mail->answer.secret);
	free(mail);
}

enum session_look_up worker_look_up(void *context, uint64_t id, const char *user,
				    const char *database)
{
	struct worker *worker = context;
	const struct config_database *entry =
		config_database_find(worker->snapshot->config, database);
	struct lookup_mail *mail;

	if (!entry || !entry->auth_user[0])
		return SESSION_LOOK_UP_NONE;
	mail = calloc(1, sizeof(*mail));
	if (!mail)
		return SESSION_LOOK_UP_FAILED;
	mail->mail.kind = FLEET_MAIL_LOOKUP;
	mail->worker = worker->index;
	mail->id = id;
	mail->user = strdup(user);
	mail->database = strdup(database);
	if (!mail->user || !mail->database) {
		free_lookup(mail);
		return SESSION_LOOK_UP_FAILED;
	}
	fleet_post_control(worker->fleet, &mail->mail);
	return SESSION_LOOK_UP_BEGUN;
}

void worker_take_answer(struct worker *worker, struct lookup_mail *mail)
{
	client_login_answer(&worker->env, mail->id, &mail->answer);
	free_lookup(mail);
}

void worker_discard_lookup(struct lookup_mail *mail)
{
	free_lookup(mail);
}

/* --- for pools --- */

/*
 * Users of the list may be logged in to any database of a cluster with what one of their clients
 * has proved. What was looked up for one database is for that one.
 */
void worker_keep_secret(void *context, const struct session_database *database, const char *user,
			const char *secret, bool is_looked_up, const uint8_t *client_key)
{
	struct worker *worker = context;
	const struct keyring_owner owner = { database->cluster_name,
					     is_looked_up ? database->dbname : "", user };

	/* Of a user of the list the secret alone is nothing new. */
	if (is_looked_up || client_key)
		keyring_put(fleet_keyring(worker->fleet), &owner, secret, client_key);
}

/* The password of the database entry whose user this is, or NULL. Another cluster may have the
 * same names, and is not to be shown this one's password. */
static const char *forced_password(const struct worker *worker, const struct pool_key *key)
{
	LIST_EACH (&worker->env.databases, node) {
		const struct session_database *database =
			LIST_ENTRY(node, struct session_database, node);

		if (database->password && database->user &&
		    strcmp(database->user, key->user) == 0 &&
		    strcmp(database->dbname, key->database) == 0 &&
		    strcmp(database->cluster_name, key->cluster_name) == 0)
			return database->password;
	}
	return NULL;
}

bool worker_pool_secret(void *context, const struct pool_key *key, struct keyring_secret *out)
{
	const struct worker *worker = context;
	struct keyring *ring = fleet_keyring(worker->fleet);
	struct keyring_owner owner = { key->cluster_name, "", key->user };
	const struct userlist_user *listed = find_listed(worker, key->user);
	const char *text = forced_password(worker, key);

	memset(out, 0, sizeof(*out));
	if (!text && !listed) {
		owner.database = key->database;
		return keyring_get(ring, &owner, NULL, out);
	}
	if (!text && keyring_get(ring, &owner, listed->secret, out))
		return true;
	out->text = strdup(text ? text : listed->secret);
	return out->text != NULL;
}
