/*
 * All workers as the control thread sees them; see worker/fleet.h. Shared between threads are the
 * two client counters (atomic), the registry of pools, and mailboxes; everything else is the
 * control thread's.
 */
#include "worker/fleet.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/panic.h"
#include "worker/mail.h"
#include "worker/worker_auth.h"

/* libpg_query recurses as deep as our limits on its input allow; see src/sql/judge.c. */
#define WORKER_STACK_BYTES (16UL * 1024 * 1024)
#define KEYS_MAX           65536 /* users whose keys are kept */

struct fleet {
	struct loop *control;
	struct mailbox *mailbox;
	struct fleet_hooks hooks;
	struct pool_registry *registry;
	struct keyring *keyring;
	struct snapshot *snapshot;
	struct topology *topology;
	struct worker *workers[POOL_WORKERS_MAX];
	int n_workers;
	bool is_running;
	atomic_int clients;
	atomic_int max_clients;
	int turn;         /* who is asked first whether it is the least loaded */
	int workers_idle; /* of a drain */
};

/* What a fleet_call is, besides what its caller sees of it. */
struct pending_call {
	struct fleet_call call;
	int answers_due;
	void (*done)(void *context, struct fleet_call *call);
	void *context;
};

/* --- for workers --- */

void fleet_post(struct fleet *fleet, int worker, struct mail *mail)
{
	mailbox_post(fleet->workers[worker]->mailbox, mail);
}

void fleet_post_control(struct fleet *fleet, struct mail *mail)
{
	mailbox_post(fleet->mailbox, mail);
}

bool fleet_admit_client(struct fleet *fleet)
{
	int max = atomic_load(&fleet->max_clients);

	if (atomic_fetch_add(&fleet->clients, 1) < max)
		return true;
	atomic_fetch_sub(&fleet->clients, 1);
	return false;
}

void fleet_client_left(struct fleet *fleet)
{
	atomic_fetch_sub(&fleet->clients, 1);
}

int fleet_client_count(const struct fleet *fleet)
{
	return atomic_load(&fleet->clients);
}

struct pool_registry *fleet_registry(struct fleet *fleet)
{
	return fleet->registry;
}

struct keyring *fleet_keyring(struct fleet *fleet)
{
	return fleet->keyring;
}

int fleet_worker_count(const struct fleet *fleet)
{
	return fleet->n_workers;
}

struct worker *fleet_worker(struct fleet *fleet, int index)
{
	ASSERT(!fleet->is_running && index >= 0 && index < fleet->n_workers);
	return fleet->workers[index];
}

/* --- mail to the control thread --- */

static void free_console_mail(struct console_mail *mail)
{
	free(mail->user);
	free(mail->database);
	free(mail);
}

static void end_call(struct pending_call *pending)
{
	pending->done(pending->context, &pending->call);
	for (int i = 0; i < pending->call.n_workers; i++)
		free(pending->call.results[i]);
	free(pending);
}

static void take_answer(struct call_mail *mail)
{
	struct pending_call *pending = CONTAINER_OF(mail->call, struct pending_call, call);

	free(mail);
	if (--pending->answers_due == 0)
		end_call(pending);
}

void fleet_answer(struct fleet *fleet, struct lookup_mail *mail)
{
	mail->mail.kind = WORKER_MAIL_LOOKUP;
	fleet_post(fleet, mail->worker, &mail->mail);
}

static void look_up(struct fleet *fleet, struct lookup_mail *mail)
{
	if (fleet->hooks.look_up) {
		fleet->hooks.look_up(fleet->hooks.context, mail);
		return;
	}
	mail->answer.result = LOOKUP_FAILED;
	fleet_answer(fleet, mail);
}

static void on_mail(void *context, struct mail *mail)
{
	struct fleet *fleet = context;
	struct console_mail *console = (struct console_mail *)mail;
	struct suspect_mail *suspect = (struct suspect_mail *)mail;

	switch ((enum fleet_mail_kind)mail->kind) {
	case FLEET_MAIL_CONSOLE:
		fleet->hooks.console(fleet->hooks.context, console->conn, console->user,
				     console->database, console->host, console->port);
		free_console_mail(console);
		return;
	case FLEET_MAIL_SUSPECT:
		fleet->hooks.suspect(fleet->hooks.context, suspect->cluster, suspect->node);
		break;
	case FLEET_MAIL_LOOKUP: look_up(fleet, (struct lookup_mail *)mail); return;
	case FLEET_MAIL_CALL_DONE: take_answer((struct call_mail *)mail); return;
	case FLEET_MAIL_IDLE:
		if (++fleet->workers_idle == fleet->n_workers)
			fleet->hooks.drained(fleet->hooks.context);
		break;
	default: UNREACHABLE();
	}
	free(mail);
}

static void discard_mail(void *context, struct mail *mail)
{
	struct console_mail *console = (struct console_mail *)mail;

	(void)context;
	if (mail->kind == FLEET_MAIL_CONSOLE) {
		conn_destroy(&console->conn);
		free_console_mail(console);
	} else if (mail->kind == FLEET_MAIL_LOOKUP) {
		worker_discard_lookup((struct lookup_mail *)mail);
	} else if (mail->kind == FLEET_MAIL_CALL_DONE) {
		take_answer((struct call_mail *)mail);
	} else {
		free(mail);
	}
}

/* --- work for workers --- */

/* Among equals in turn: a burst of connections has not been counted yet when it is handed out. */
static struct worker *least_loaded(struct fleet *fleet)
{
	struct worker *best = fleet->workers[fleet->turn];

	for (int i = 1; i < fleet->n_workers; i++) {
		struct worker *other = fleet->workers[(fleet->turn + i) % fleet->n_workers];

		if (atomic_load(&other->clients) < atomic_load(&best->clients))
			best = other;
	}
	fleet->turn = (fleet->turn + 1) % fleet->n_workers;
	return best;
}

void fleet_accept(struct fleet *fleet, int fd, const struct sockaddr *address, socklen_t length,
		  enum proxy_protocol proxy_protocol)
{
	struct client_mail *mail = calloc(1, sizeof(*mail));

	if (!mail) {
		close(fd);
		return;
	}
	mail->mail.kind = WORKER_MAIL_CLIENT;
	mail->fd = fd;
	memcpy(&mail->address, address, length);
	mail->length = length;
	mail->proxy_protocol = proxy_protocol;
	mailbox_post(least_loaded(fleet)->mailbox, &mail->mail);
}

void fleet_set_topology(struct fleet *fleet, struct topology *topology)
{
	for (int i = 0; i < fleet->n_workers; i++) {
		struct topology_mail *mail = calloc(1, sizeof(*mail));

		if (!mail)
			continue; /* the next picture comes within the interval of the probes */
		mail->mail.kind = WORKER_MAIL_TOPOLOGY;
		mail->topology = topology_ref(topology);
		fleet_post(fleet, i, &mail->mail);
	}
	topology_unref(&fleet->topology);
	fleet->topology = topology;
}

const struct topology *fleet_topology(const struct fleet *fleet)
{
	return fleet->topology;
}

/*
 * What clients have proved for a secret that is no longer in the list is of no use to anybody. Of
 * secrets that were looked up nobody knows; they are replaced when they are looked up again.
 */
static bool is_current(void *context, const struct keyring_owner *owner, const char *secret)
{
	const struct userlist *users = context;
	const struct userlist_user *user =
		users && !owner->database[0] ? userlist_find(users, owner->user) : NULL;

	return owner->database[0] || (user && strcmp(user->secret, secret) == 0);
}

void fleet_set_snapshot(struct fleet *fleet, struct snapshot *snapshot, struct topology *topology)
{
	atomic_store(&fleet->max_clients, snapshot->config->max_client_conn);
	keyring_sweep(fleet->keyring, is_current, snapshot->users);
	for (int i = 0; i < fleet->n_workers; i++) {
		struct snapshot_mail *mail = calloc(1, sizeof(*mail));

		if (!mail) {
			log_errorx(NULL, "out of memory: worker %d keeps its old configuration",
				   i);
			continue;
		}
		mail->mail.kind = WORKER_MAIL_SNAPSHOT;
		mail->snapshot = snapshot_ref(snapshot);
		mail->topology = topology ? topology_ref(topology) : NULL;
		fleet_post(fleet, i, &mail->mail);
	}
	if (topology) {
		topology_unref(&fleet->topology);
		fleet->topology = topology;
	}
	snapshot_unref(&fleet->snapshot);
	fleet->snapshot = snapshot_ref(snapshot);
}

const struct snapshot *fleet_snapshot(const struct fleet *fleet)
{
	return fleet->snapshot;
}

void fleet_drain(struct fleet *fleet, enum fleet_drain how)
{
	for (int i = 0; i < fleet->n_workers; i++) {
		struct drain_mail *mail = calloc(1, sizeof(*mail));

		if (!mail)
			continue;
		mail->mail.kind = WORKER_MAIL_DRAIN;
		mail->is_hasty = how == FLEET_DRAIN_SERVERS;
		fleet_post(fleet, i, &mail->mail);
	}
}

static void free_mails(struct call_mail **mails, int n)
{
	for (int i = 0; i < n; i++)
		free(mails[i]);
}

bool fleet_call(struct fleet *fleet, fleet_function function, void *argument,
		void (*done)(void *context, struct fleet_call *call), void *context)
{
	struct call_mail *mails[POOL_WORKERS_MAX];
	struct pending_call *pending = calloc(1, sizeof(*pending));

	if (!pending)
		return false;
	pending->call.argument = argument;
	pending->call.n_workers = pending->answers_due = fleet->n_workers;
	pending->done = done;
	pending->context = context;
	for (int i = 0; i < fleet->n_workers; i++) {
		mails[i] = calloc(1, sizeof(*mails[i]));
		if (!mails[i]) {
			free_mails(mails, i);
			free(pending);
			return false;
		}
		mails[i]->mail.kind = WORKER_MAIL_CALL;
		mails[i]->function = function;
		mails[i]->call = &pending->call;
	}
	for (int i = 0; i < fleet->n_workers; i++)
		fleet_post(fleet, i, &mails[i]->mail);
	return true;
}

/* --- life --- */

static int worker_count(const struct config *config)
{
	int n = config_worker_count(config);

	return n < 1 ? 1 : n > POOL_WORKERS_MAX ? POOL_WORKERS_MAX : n;
}

struct fleet *fleet_create(struct loop *control, struct snapshot *snapshot,
			   struct topology *topology, const struct fleet_hooks *hooks)
{
	struct fleet *fleet = calloc(1, sizeof(*fleet));

	if (!fleet)
		return NULL;
	fleet->control = control;
	fleet->hooks = *hooks;
	fleet->snapshot = snapshot_ref(snapshot);
	fleet->topology = topology_ref(topology);
	fleet->n_workers = worker_count(snapshot->config);
	atomic_init(&fleet->max_clients, snapshot->config->max_client_conn);
	fleet->registry = pool_registry_create();
	fleet->mailbox = mailbox_create(control, on_mail, fleet);
	fleet->keyring = keyring_create(KEYS_MAX);
	if (!fleet->registry || !fleet->mailbox || !fleet->keyring)
		goto out;
	for (int i = 0; i < fleet->n_workers; i++) {
		fleet->workers[i] = worker_create(fleet, i, snapshot, topology);
		if (!fleet->workers[i])
			goto out;
	}
	return fleet;
out:
	fleet_destroy(&fleet);
	return NULL;
}

static void stop_threads(struct fleet *fleet, int n)
{
	for (int i = 0; i < n; i++) {
		struct mail *mail = calloc(1, sizeof(*mail));

		ASSERT(mail);
		mail->kind = WORKER_MAIL_STOP;
		fleet_post(fleet, i, mail);
	}
	for (int i = 0; i < n; i++)
		pthread_join(fleet->workers[i]->thread, NULL);
}

bool fleet_start(struct fleet *fleet)
{
	pthread_attr_t attributes;
	int started = 0;
	int error = 0;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, WORKER_STACK_BYTES);
	while (started < fleet->n_workers && error == 0) {
		error = pthread_create(&fleet->workers[started]->thread, &attributes, worker_main,
				       fleet->workers[started]);
		if (error == 0)
			started++;
	}
	pthread_attr_destroy(&attributes);
	if (error == 0) {
		fleet->is_running = true;
		return true;
	}
	errno = error;
	log_error(NULL, "cannot start a worker thread");
	stop_threads(fleet, started);
	return false;
}

void fleet_destroy(struct fleet **fleet_pointer)
{
	struct fleet *fleet = *fleet_pointer;

	*fleet_pointer = NULL;
	if (!fleet)
		return;
	if (fleet->is_running)
		stop_threads(fleet, fleet->n_workers);
	for (int i = 0; i < fleet->n_workers; i++)
		worker_destroy(&fleet->workers[i]);
	mailbox_destroy(&fleet->mailbox, discard_mail, fleet);
	pool_registry_destroy(&fleet->registry);
	keyring_destroy(&fleet->keyring);
	snapshot_unref(&fleet->snapshot);
	topology_unref(&fleet->topology);
	free(fleet);
}
