/*
 * The clusters under watch: what the answers of single nodes (probe/watch.c) mean together.
 * Roles, the primary, lag, and the topologies that are published. It neither opens connections
 * itself nor routes. Runs on the control thread's loop.
 *
 * The `draft` is the one topology that is ever changed; what is published is a copy of it.
 */

#include "probe/monitor.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "probe/lag.h"
#include "probe/resolve.h"
#include "probe/watch.h"

/* So long after the primary its replicas are asked, at most: what it has sent they have replayed
 * by then. */
#define SETTLE_MAX (100 * USEC_PER_MS)

struct member;

/* Lifetime: the monitor's. */
struct group {
	struct monitor *monitor;
	const struct monitor_cluster *config;
	struct cluster *draft;
	struct member *members;
	size_t n_members;
	struct role_memory memory;
	struct lag_track track;
};

struct member {
	struct group *group;
	struct node *draft;
	struct watch_config config;
	struct watch *watch;
	struct probe_answer answer; /* the last one */
	usec asked_at;              /* that led to it */
	unsigned failures;          /* in a row */
};

/* Lifetime: until a reload changes the clusters, or the process ends. */
struct monitor {
	struct loop *loop;
	struct resolver *resolver;
	struct group *groups;
	size_t n_groups;
	struct topology *draft;
	struct loop_deferred publishing;
	monitor_publish publish;
	void *context;
};

/* --- publishing --- */

/* Without memory it waits for the next answer, and is the fresher then. */
static void on_publish(void *context)
{
	struct monitor *monitor = context;
	struct topology *topology = topology_copy(monitor->draft);

	if (!topology) {
		log_warnx(NULL, "out of memory: the picture of the nodes is not updated");
		return;
	}
	monitor->draft->version = topology->version;
	monitor->publish(monitor->context, topology);
}

/* However many answers come in one turn of the loop, one picture leaves it. */
static void publish_soon(struct monitor *monitor)
{
	loop_defer(monitor->loop, &monitor->publishing, on_publish, monitor);
}

/* --- roles --- */

static void log_change(const struct member *member, enum node_role role_before,
		       enum node_state state_before)
{
	const struct node *node = member->draft;
	struct log_ctx ctx = { .kind = "node", .node = node->name };
	bool is_fine = node->state == NODE_STATE_UP && node->role != NODE_ROLE_UNKNOWN;
	char line[256];

	snprintf(line, sizeof(line), "%s, %s, timeline %" PRIu32 " (was %s, %s): %s",
		 node_state_name(node->state), node_role_name(node->role), node->timeline,
		 node_state_name(state_before), node_role_name(role_before), node->why);
	if (is_fine)
		log_info(&ctx, "%s", line);
	else
		log_warnx(&ctx, "%s", line);
}

/* The only writer of role and state. */
static void set_node(struct member *member, enum node_state state, enum node_role role,
		     const char *why)
{
	struct node *node = member->draft;
	enum node_role role_before = node->role;
	enum node_state state_before = node->state;

	if (role == role_before && state == state_before)
		return;
	node->role = role;
	node->state = state;
	node->changed_at = clock_now();
	snprintf(node->why, sizeof(node->why), "%s", why);
	log_change(member, role_before, state_before);
}

static void decide_roles(struct group *group)
{
	char why[sizeof(group->draft->nodes->why)];

	for (size_t i = 0; i < group->n_members; i++) {
		struct member *member = &group->members[i];
		enum node_role role;

		if (member->draft->state != NODE_STATE_UP)
			continue;
		role = role_decide(&group->memory, &member->answer, why, sizeof(why));
		set_node(member, NODE_STATE_UP, role, why);
	}
}

/*
 * When no node of the system that we knew is left, and one of another has come up as a primary,
 * then the cluster was made anew and what we knew is void.
 */
static void forget_if_replaced(struct group *group)
{
	bool is_replaced = false;

	for (size_t i = 0; i < group->n_members; i++) {
		const struct probe_answer *answer = &group->members[i].answer;

		if (group->members[i].draft->state != NODE_STATE_UP)
			continue;
		if (answer->system_id == 0 || answer->system_id == group->memory.system_id)
			return;
		if (!answer->in_recovery)
			is_replaced = true;
	}
	if (!is_replaced || group->memory.system_id == 0)
		return;
	log_warnx(NULL, "cluster %s: all its nodes were replaced by another database system",
		  group->config->name);
	group->memory = (struct role_memory){ 0 };
	lag_reset(&group->track);
}

static void probe_others(struct group *group, int except)
{
	for (size_t i = 0; i < group->n_members; i++)
		if ((int)i != except)
			watch_probe_soon(group->members[i].watch);
}

static size_t count_primaries(const struct cluster *cluster)
{
	size_t n = 0;

	for (size_t i = 0; i < cluster->n_nodes; i++)
		if (cluster->nodes[i].state == NODE_STATE_UP &&
		    cluster->nodes[i].role == NODE_ROLE_PRIMARY)
			n++;
	return n;
}

static void log_primary(const struct cluster *cluster)
{
	size_t n = count_primaries(cluster);

	if (cluster->primary >= 0)
		log_info(NULL, "cluster %s: the primary is %s, timeline %" PRIu32, cluster->name,
			 cluster->nodes[cluster->primary].name,
			 cluster->nodes[cluster->primary].timeline);
	else if (n > 1)
		log_errorx(NULL, "cluster %s: %zu primaries on one timeline, writes stop",
			   cluster->name, n);
	else
		log_warnx(NULL, "cluster %s: there is no primary", cluster->name);
}

/* Roles and primary of the group, from what is known now. */
static void elect(struct group *group)
{
	struct cluster *cluster = group->draft;
	int before = cluster->primary;

	forget_if_replaced(group);
	decide_roles(group);
	cluster_elect_primary(cluster);
	if (cluster->primary >= 0) {
		/* A new timeline may unmask a former primary, a first identifier a foreign node.
		 */
		role_remember(&group->memory, &group->members[cluster->primary].answer);
		decide_roles(group);
	}
	if (cluster->primary == before)
		return;
	log_primary(cluster);
	if (before >= 0)
		probe_others(group, cluster->primary);
}

/* --- positions --- */

/* All replicas anew: a new sample tells something about positions seen before it. */
static void measure_lags(struct group *group)
{
	for (size_t i = 0; i < group->n_members; i++) {
		const struct member *member = &group->members[i];
		struct node *node = member->draft;

		if (node->state != NODE_STATE_UP)
			continue;
		node->lag = -1;
		node->lag_bytes = 0;
		if ((int)i == group->draft->primary) {
			node->lag = 0;
		} else if (node->role == NODE_ROLE_REPLICA) {
			node->lag = lag_measure(&group->track, node->lsn, node->timeline,
						node->probed_at);
			node->lag_bytes = lag_bytes(&group->track, node->lsn);
		}
	}
}

static void take_sample(struct group *group, const struct member *primary)
{
	usec settle = group->config->interval / 10;

	if (settle > SETTLE_MAX)
		settle = SETTLE_MAX;
	if (primary->answer.lsn != 0)
		lag_add(&group->track, primary->asked_at, primary->answer.lsn,
			primary->answer.timeline);
	/* Asked a little later, a replica that keeps up proves to be as fresh as this sample. */
	for (size_t i = 0; i < group->n_members; i++)
		if (&group->members[i] != primary)
			watch_probe_within(group->members[i].watch, settle);
}

/* --- what the watches report --- */

static void take_address(struct member *member)
{
	const struct resolve_address *address = watch_address(member->watch);

	if (!address)
		return;
	member->draft->address = address->address;
	member->draft->address_length = address->length;
}

static void on_answered(void *context, const struct probe_answer *answer, usec asked_at)
{
	struct member *member = context;
	struct group *group = member->group;
	struct node *node = member->draft;
	char why[sizeof(node->why)];
	enum node_role role;

	member->answer = *answer;
	member->asked_at = asked_at;
	member->failures = 0;
	node->lsn = answer->lsn;
	node->timeline = answer->timeline;
	node->probed_at = clock_now();
	node->rtt = node->probed_at - asked_at;
	take_address(member);

	role = role_decide(&group->memory, answer, why, sizeof(why));
	set_node(member, NODE_STATE_UP, role, why);
	elect(group);
	if (group->draft->primary == member - group->members)
		take_sample(group, member);
	measure_lags(group);
	publish_soon(group->monitor);
}

/* What role it had stays known, for people; only nodes that are up are elected and read from. */
static usec on_failed(void *context, const char *why)
{
	struct member *member = context;
	struct group *group = member->group;

	member->failures++;
	set_node(member, NODE_STATE_DOWN, member->draft->role, why);
	elect(group);
	publish_soon(group->monitor);
	return backoff_delay(member->failures, group->config->interval,
			     group->draft->primary == -1);
}

static void on_resolved(void *context)
{
	struct member *member = context;

	take_address(member);
	publish_soon(member->group->monitor);
}

static const struct watch_handler watch_handler = {
	.answered = on_answered,
	.failed = on_failed,
	.resolved = on_resolved,
};

/* --- making --- */

static struct topology *create_topology(const struct monitor_cluster *clusters, size_t n_clusters)
{
	size_t *counts = calloc(n_clusters + 1, sizeof(*counts));
	struct topology *topology;

	if (!counts)
		return NULL;
	for (size_t i = 0; i < n_clusters; i++)
		counts[i] = clusters[i].n_nodes;
	topology = topology_create(n_clusters, counts);
	free(counts);
	return topology;
}

static bool fill_node(struct topology *topology, struct node *node,
		      const struct monitor_node *config)
{
	node->name = topology_string(topology, config->name);
	node->host = topology_string(topology, config->host);
	node->zone = topology_string(topology, config->zone ? config->zone : "");
	node->port = config->port;
	node->weight = config->weight;
	node->lag = -1;
	return node->name && node->host && node->zone;
}

static bool create_member(struct member *member, struct group *group, size_t index)
{
	const struct monitor_cluster *cluster = group->config;
	const struct monitor_node *node = &cluster->nodes[index];

	member->group = group;
	member->draft = &group->draft->nodes[index];
	if (!fill_node(group->monitor->draft, member->draft, node))
		return false;
	member->config = (struct watch_config){
		.name = node->name,
		.host = node->host,
		.port = node->port,
		.user = cluster->user,
		.password = cluster->password,
		.database = cluster->database,
		.interval = cluster->interval,
		.timeout = cluster->timeout,
		.tls = cluster->tls,
	};
	member->watch = watch_create(group->monitor->loop, group->monitor->resolver,
				     &member->config, &watch_handler, member);
	if (!member->watch)
		return false;
	take_address(member);
	return true;
}

static bool create_group(struct group *group, struct monitor *monitor,
			 const struct monitor_cluster *config, struct cluster *draft)
{
	group->monitor = monitor;
	group->config = config;
	group->draft = draft;
	draft->name = topology_string(monitor->draft, config->name);
	draft->lag_preferred = config->lag_preferred;
	draft->lag_hard = config->lag_hard;
	group->members = calloc(config->n_nodes + 1, sizeof(*group->members));
	if (!draft->name || !group->members)
		return false;
	for (; group->n_members < config->n_nodes; group->n_members++)
		if (!create_member(&group->members[group->n_members], group, group->n_members))
			return false;
	return true;
}

struct monitor *monitor_create(struct loop *loop, const struct monitor_cluster *clusters,
			       size_t n_clusters, monitor_publish publish, void *context)
{
	struct monitor *monitor = calloc(1, sizeof(*monitor));
	struct topology *first;

	if (!monitor)
		return NULL;
	monitor->loop = loop;
	monitor->publish = publish;
	monitor->context = context;
	monitor->resolver = resolver_create(loop);
	monitor->draft = create_topology(clusters, n_clusters);
	monitor->groups = calloc(n_clusters + 1, sizeof(*monitor->groups));
	if (!monitor->resolver || !monitor->draft || !monitor->groups)
		goto out;
	for (size_t i = 0; i < n_clusters; i++) {
		monitor->n_groups++;
		if (!create_group(&monitor->groups[i], monitor, &clusters[i],
				  &monitor->draft->clusters[i]))
			goto out;
	}
	first = topology_copy(monitor->draft);
	if (!first)
		goto out;
	monitor->draft->version = first->version;
	publish(context, first);
	return monitor;

out:
	monitor_destroy(&monitor);
	return NULL;
}

/* Memory goes at the end of the batch: this may be called out of publish(). */
void monitor_destroy(struct monitor **monitor_ref)
{
	struct monitor *monitor = *monitor_ref;

	if (!monitor)
		return;
	*monitor_ref = NULL;
	loop_defer_cancel(monitor->loop, &monitor->publishing);
	for (size_t i = 0; i < monitor->n_groups; i++) {
		struct group *group = &monitor->groups[i];

		/* One more than counted may be half made. */
		for (size_t k = 0; group->members && k < group->config->n_nodes; k++)
			watch_destroy(&group->members[k].watch);
		loop_defer_free(monitor->loop, group->members);
	}
	resolver_destroy(&monitor->resolver);
	topology_unref(&monitor->draft);
	loop_defer_free(monitor->loop, monitor->groups);
	loop_defer_free(monitor->loop, monitor);
}

/* Who saw something may have done so in a picture from before a reload. */
void monitor_poke(struct monitor *monitor, size_t cluster, size_t node)
{
	if (cluster < monitor->n_groups && node < monitor->groups[cluster].n_members)
		watch_probe_soon(monitor->groups[cluster].members[node].watch);
}
