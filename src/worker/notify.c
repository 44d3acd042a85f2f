/*
 * LISTEN for all sessions of a database on one connection: who of the workers wants which
 * channel, and the mail between them; see worker/notify.h. Every worker's thread runs it, each
 * for the databases that it owns and for the sessions that it has.
 */
#include "worker/notify.h"

#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/list.h"
#include "base/strmap.h"
#include "pool/listening.h"
#include "worker/fleet.h"
#include "worker/worker.h"

/* A channel, at the owner. */
struct heard {
	struct list_node node;
	char *name;
	uint64_t serial; /* of the LISTEN sent */
	bool is_heard;
	uint64_t workers;                  /* who wants it: 1 << index */
	uint64_t orders[POOL_WORKERS_MAX]; /* the serial of each one's order */
};

struct hub {
	struct list_node node;
	struct worker *worker;
	struct channel_home home; /* owned */
	char *user;               /* whoever asked first: to log in as */
	struct pool_settings settings;
	struct listening *listening; /* NULL: no primary yet */
	uint64_t serial;
	struct strmap *names;
	struct list channels; /* struct heard */
	struct list proofs; /* struct notify_mail: orders that the round trip under way is for */
	struct list later;  /* ... and those that came after it began: for the next one */
};

/* --- mail --- */

enum notify_news {
	NEWS_ANSWERED,
	NEWS_FAILED,
	NEWS_HEARD,
	NEWS_PROVED,
	NEWS_LOST,
};

/* The texts and the message lie behind the struct, in the same allocation. */
struct notify_mail {
	struct mail mail;
	struct list_node node; /* in a hub's proofs */
	enum notify_news news; /* of WORKER_MAIL_HEARD */
	int from;
	struct channel_order order; /* its texts, and its limits below, are the mail's */
	struct pool_settings limits;
	struct pool_failure failure;
	const uint8_t *message;
	size_t length;
	char text[];
};

static const char *put_text(char **at, const char *text)
{
	char *where = *at;
	size_t size = strlen(text) + 1;

	memcpy(where, text, size);
	*at += size;
	return where;
}

/* A mail about the channel of this order; `message` may be NULL. NULL without memory. */
static struct notify_mail *new_mail(int kind, const struct channel_order *order,
				    const uint8_t *message, size_t length)
{
	const char *user = order->user ? order->user : "";
	size_t size = strlen(order->home.cluster) + strlen(order->home.database) + strlen(user) +
		      strlen(order->name) + 4;
	struct notify_mail *mail = calloc(1, sizeof(*mail) + size + length);
	char *at;

	if (!mail)
		return NULL;
	at = mail->text;
	mail->mail.kind = kind;
	mail->order = *order;
	mail->order.home.cluster = put_text(&at, order->home.cluster);
	mail->order.home.database = put_text(&at, order->home.database);
	mail->order.user = put_text(&at, user);
	mail->order.name = put_text(&at, order->name);
	if (order->pool)
		mail->limits = *order->pool;
	mail->order.pool = &mail->limits;
	if (message)
		memcpy(at, message, length);
	mail->message = (const uint8_t *)at;
	mail->length = length;
	return mail;
}

static int owner_of(const struct worker *worker, const struct channel_home *home)
{
	uint64_t hash = XXH3_64bits(home->cluster, strlen(home->cluster) + 1);

	hash = XXH3_64bits_withSeed(home->database, strlen(home->database), hash);
	return (int)(hash % (uint64_t)worker->pool_env.n_workers);
}

bool notify_order(struct worker *worker, const struct channel_order *order)
{
	struct notify_mail *mail = new_mail(WORKER_MAIL_ORDER, order, NULL, 0);

	if (!mail)
		return false;
	mail->from = worker->index;
	fleet_post(worker->fleet, owner_of(worker, &order->home), &mail->mail);
	return true;
}

/*
 * Without memory for it a worker would not learn what its sessions rely on: they are better off
 * without the process than without the news.
 */
static void send_news(struct hub *hub, int worker, enum notify_news news,
		      const struct channel_order *order, const struct pool_failure *failure,
		      const uint8_t *message, size_t length)
{
	struct notify_mail *mail = new_mail(WORKER_MAIL_HEARD, order, message, length);

	ASSERT(mail);
	mail->news = news;
	if (failure)
		mail->failure = *failure;
	fleet_post(hub->worker->fleet, worker, &mail->mail);
}

/* --- the owner's channels --- */

static struct channel_order order_for(const struct hub *hub, const struct heard *heard,
				      int worker)
{
	return (struct channel_order){ .home = hub->home,
				       .name = heard->name,
				       .serial = heard->orders[worker] };
}

static void tell_workers(struct hub *hub, const struct heard *heard, enum notify_news news,
			 const struct pool_failure *failure, const uint8_t *message,
			 size_t length)
{
	for (int i = 0; i < hub->worker->pool_env.n_workers; i++) {
		struct channel_order order = order_for(hub, heard, i);

		if (heard->workers >> i & 1)
			send_news(hub, i, news, &order, failure, message, length);
	}
}

static struct heard *find_heard(const struct hub *hub, const char *name)
{
	return strmap_get(hub->names, name, strlen(name));
}

static void drop_heard(struct hub *hub, struct heard *heard)
{
	strmap_remove(hub->names, heard->name, strlen(heard->name));
	list_remove(&hub->channels, &heard->node);
	free(heard->name);
	free(heard);
}

static struct heard *add_heard(struct hub *hub, const char *name)
{
	struct heard *heard = calloc(1, sizeof(*heard));

	if (!heard)
		return NULL;
	heard->name = strdup(name);
	heard->serial = ++hub->serial;
	if (!heard->name || !strmap_set(hub->names, name, strlen(name), heard)) {
		free(heard->name);
		free(heard);
		return NULL;
	}
	list_push_back(&hub->channels, &heard->node);
	if (!hub->listening || listening_add(hub->listening, name, heard->serial))
		return heard;
	drop_heard(hub, heard);
	return NULL;
}

/* --- proofs --- */

static void answer_proofs(struct hub *hub, struct list *proofs)
{
	struct list_node *node;

	while ((node = list_pop_front(proofs)) != NULL) {
		struct notify_mail *mail = LIST_ENTRY(node, struct notify_mail, node);

		send_news(hub, mail->from, NEWS_PROVED, &mail->order, NULL, NULL, 0);
		free(mail);
	}
}

static void drop_proofs(struct list *proofs)
{
	struct list_node *node;

	while ((node = list_pop_front(proofs)) != NULL)
		free(LIST_ENTRY(node, struct notify_mail, node));
}

/*
 * One round trip for all who have asked since the last one began: at most one is under way,
 * however many sessions listen. Where nobody listens yet, there is nothing to be heard.
 */
static void begin_proof(struct hub *hub)
{
	struct list_node *node;

	if (!list_is_empty(&hub->proofs) || list_is_empty(&hub->later))
		return;
	while ((node = list_pop_front(&hub->later)) != NULL)
		list_push_back(&hub->proofs, node);
	if (!hub->listening || !listening_prove(hub->listening))
		answer_proofs(hub, &hub->proofs);
}

static void on_proved(void *context)
{
	struct hub *hub = context;

	answer_proofs(hub, &hub->proofs);
	begin_proof(hub);
}

/* --- hubs --- */

static void free_hub(struct hub *hub)
{
	struct list_node *node;

	listening_destroy(&hub->listening);
	drop_proofs(&hub->proofs);
	drop_proofs(&hub->later);
	while (hub->names && (node = list_first(&hub->channels)) != NULL)
		drop_heard(hub, LIST_ENTRY(node, struct heard, node));
	strmap_destroy(&hub->names);
	free((char *)hub->home.cluster);
	free((char *)hub->home.database);
	free(hub->user);
	free(hub);
}

static void remove_hub(struct hub *hub)
{
	list_remove(&hub->worker->hubs, &hub->node);
	answer_proofs(hub, &hub->proofs);
	answer_proofs(hub, &hub->later);
	free_hub(hub);
}

static struct hub *find_hub(struct worker *worker, const struct channel_home *home)
{
	LIST_EACH (&worker->hubs, node) {
		struct hub *hub = LIST_ENTRY(node, struct hub, node);

		if (strcmp(hub->home.cluster, home->cluster) == 0 &&
		    strcmp(hub->home.database, home->database) == 0)
			return hub;
	}
	return NULL;
}

static struct hub *add_hub(struct worker *worker, const struct channel_order *order)
{
	struct hub *hub = calloc(1, sizeof(*hub));

	if (!hub)
		return NULL;
	list_init(&hub->channels);
	list_init(&hub->proofs);
	list_init(&hub->later);
	hub->worker = worker;
	hub->home.cluster = strdup(order->home.cluster);
	hub->home.database = strdup(order->home.database);
	hub->user = strdup(order->user);
	hub->names = strmap_create();
	hub->settings = (struct pool_settings){
		.size = 1,
		.max_db_connections = order->pool->max_db_connections,
		.max_user_connections = order->pool->max_user_connections,
	};
	if (!hub->home.cluster || !hub->home.database || !hub->user || !hub->names) {
		free_hub(hub);
		return NULL;
	}
	list_push_back(&worker->hubs, &hub->node);
	return hub;
}

/* --- the listening connection --- */

/*
 * It has ended: who asked and was not answered is refused, who relied on it loses it. All that is
 * asked for from now on begins anew.
 */
static void end_hub(struct hub *hub, const struct pool_failure *failure)
{
	uint64_t losers = 0;

	LIST_EACH (&hub->channels, node) {
		const struct heard *heard = LIST_ENTRY(node, struct heard, node);

		if (heard->is_heard)
			losers |= heard->workers;
		else
			tell_workers(hub, heard, NEWS_FAILED, failure, NULL, 0);
	}
	for (int i = 0; i < hub->worker->pool_env.n_workers; i++) {
		struct channel_order order = { .home = hub->home, .name = "" };

		if (losers >> i & 1)
			send_news(hub, i, NEWS_LOST, &order, failure, NULL, 0);
	}
	remove_hub(hub);
}

static void on_answered(void *context, const char *channel, uint64_t serial,
			const struct pool_failure *failure)
{
	struct hub *hub = context;
	struct heard *heard = find_heard(hub, channel);

	if (!heard || heard->serial != serial)
		return;
	heard->is_heard = !failure;
	tell_workers(hub, heard, failure ? NEWS_FAILED : NEWS_ANSWERED, failure, NULL, 0);
	if (failure)
		drop_heard(hub, heard);
}

static void on_heard(void *context, const char *channel, const uint8_t *message, size_t length)
{
	struct hub *hub = context;
	const struct heard *heard = find_heard(hub, channel);

	if (heard)
		tell_workers(hub, heard, NEWS_HEARD, NULL, message, length);
}

static void on_ended(void *context, const struct pool_failure *failure)
{
	end_hub(context, failure);
}

static const struct listening_handler hub_handler = { on_answered, on_proved, on_heard,
						      on_ended };

static const struct cluster *find_cluster(const struct hub *hub, unsigned *index_out)
{
	const struct topology *topology = hub->worker->env.topology;

	for (size_t i = 0; i < topology->n_clusters; i++) {
		*index_out = (unsigned)i;
		if (strcmp(topology->clusters[i].name, hub->home.cluster) == 0)
			return &topology->clusters[i];
	}
	return NULL;
}

/* The pool of the primary, as it is in the configuration now. NULL: there is none. */
static struct pool *primary_pool(struct hub *hub)
{
	unsigned index;
	const struct cluster *cluster = find_cluster(hub, &index);
	struct pool_key key = { .cluster = index,
				.cluster_name = hub->home.cluster,
				.database = hub->home.database,
				.user = hub->user,
				.is_for_listening = true };

	if (!cluster || cluster->primary < 0)
		return NULL;
	key.node = (unsigned)cluster->primary;
	key.node_name = cluster->nodes[cluster->primary].name;
	return pools_get(hub->worker->env.pools, &key, &hub->settings);
}

/* Without a primary it waits for one; its clients' query_wait_timeout bounds that. */
static void open_hub(struct hub *hub)
{
	struct pool *pool = primary_pool(hub);
	struct pool_failure failure;
	bool failed;

	if (!pool)
		return;
	hub->listening = listening_create(pool, &hub_handler, hub);
	failed = !hub->listening;
	LIST_EACH (&hub->channels, node) {
		struct heard *heard = LIST_ENTRY(node, struct heard, node);

		failed = failed || !listening_add(hub->listening, heard->name, heard->serial);
	}
	if (!failed)
		return;
	pool_failure_set(&failure, "53200", "no_memory", "pointsman: out of memory");
	end_hub(hub, &failure);
}

static void check_hub(struct hub *hub)
{
	struct pool_failure failure;
	const struct pool *pool = primary_pool(hub); /* and tells a reload that it is needed */

	if (!hub->listening) {
		open_hub(hub);
		return;
	}
	if (pool && pool == listening_pool(hub->listening) &&
	    !listening_is_outdated(hub->listening))
		return;
	if (!pool) /* a primary that is away for a moment may come back as it was */
		return;
	pool_failure_set(&failure, "08006", "server_lost", "the primary has changed");
	end_hub(hub, &failure);
}

void notify_check(struct worker *worker)
{
	LIST_EACH_SAFE (&worker->hubs, node)
		check_hub(LIST_ENTRY(node, struct hub, node));
}

void notify_end(struct worker *worker)
{
	struct list_node *node;

	while ((node = list_pop_front(&worker->hubs)) != NULL)
		free_hub(LIST_ENTRY(node, struct hub, node));
}

/* --- mail, received --- */

static void refuse_order(struct hub *hub, const struct notify_mail *mail)
{
	struct pool_failure failure;

	pool_failure_set(&failure, "53200", "no_memory", "pointsman: out of memory");
	send_news(hub, mail->from, NEWS_FAILED, &mail->order, &failure, NULL, 0);
}

static void add_wish(struct hub *hub, const struct notify_mail *mail)
{
	struct heard *heard = find_heard(hub, mail->order.name);

	if (!heard)
		heard = add_heard(hub, mail->order.name);
	if (!heard) {
		refuse_order(hub, mail);
		return;
	}
	heard->workers |= UINT64_C(1) << mail->from;
	heard->orders[mail->from] = mail->order.serial;
	if (heard->is_heard)
		send_news(hub, mail->from, NEWS_ANSWERED, &mail->order, NULL, NULL, 0);
	else if (!hub->listening)
		open_hub(hub);
}

static void drop_wish(struct hub *hub, const struct notify_mail *mail)
{
	struct heard *heard = find_heard(hub, mail->order.name);

	if (!heard || heard->orders[mail->from] != mail->order.serial)
		return;
	heard->workers &= ~(UINT64_C(1) << mail->from);
	if (heard->workers)
		return;
	/* Without memory the server goes on listening for nobody. */
	if (hub->listening && hub->channels.count > 1)
		listening_drop(hub->listening, heard->name);
	drop_heard(hub, heard);
}

/* Who is gone from the hub by now hears nothing more from it anyhow. */
static void take_proof(struct worker *worker, struct notify_mail *mail)
{
	struct hub *hub = find_hub(worker, &mail->order.home);

	if (!hub) {
		mail->mail.kind = WORKER_MAIL_HEARD;
		mail->news = NEWS_PROVED;
		fleet_post(worker->fleet, mail->from, &mail->mail);
		return;
	}
	list_push_back(&hub->later, &mail->node);
	begin_proof(hub);
}

static void take_order(struct worker *worker, const struct notify_mail *mail)
{
	struct hub *hub = find_hub(worker, &mail->order.home);

	if (mail->order.kind == CHANNEL_LISTEN) {
		if (!hub)
			hub = add_hub(worker, &mail->order);
		ASSERT(hub); /* see send_news() */
		add_wish(hub, mail);
	} else if (hub) {
		drop_wish(hub, mail);
		if (list_is_empty(&hub->channels))
			remove_hub(hub);
	}
}

static void take_news(struct worker *worker, const struct notify_mail *mail)
{
	struct session_env *env = &worker->env;
	const struct channel_order *order = &mail->order;

	switch (mail->news) {
	case NEWS_ANSWERED: channels_answered(env, order, NULL); break;
	case NEWS_FAILED: channels_answered(env, order, &mail->failure); break;
	case NEWS_PROVED: channels_proved(env, order); break;
	case NEWS_HEARD:
		channels_heard(env, &order->home, order->name, mail->message, mail->length);
		break;
	case NEWS_LOST: channels_lost(env, &order->home, mail->failure.message); break;
	}
}

void notify_receive(struct worker *worker, struct mail *mail)
{
	struct notify_mail *notify = (struct notify_mail *)mail;

	if (mail->kind == WORKER_MAIL_ORDER && notify->order.kind == CHANNEL_PROVE) {
		take_proof(worker, notify); /* keeps it */
		return;
	}
	if (mail->kind == WORKER_MAIL_ORDER)
		take_order(worker, notify);
	else
		take_news(worker, notify);
	free(mail);
}
