/*
 * Snapshots of the nodes: making, copying and sharing them, and the two questions that are
 * answered from one alone: who is the primary, how stale is a replica. Does not probe and does
 * not route. A snapshot is changed only by its maker, before it is published; then any thread
 * reads it.
 */

#include "cluster/cluster.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/panic.h"

/* What a topology lives in. Freed, with all that its arena has, by the last unref. */
struct owner {
	struct topology topology;
	struct arena *arena;
	atomic_uint refs;
};

static struct owner *owner_of(struct topology *topology)
{
	return CONTAINER_OF(topology, struct owner, topology);
}

static void owner_free(struct owner *owner)
{
	arena_destroy(&owner->arena);
	free(owner);
}

static struct owner *owner_create(void)
{
	struct owner *owner = calloc(1, sizeof(*owner));

	if (owner == NULL)
		return NULL;
	atomic_init(&owner->refs, 1);
	owner->arena = arena_create(SIZE_MAX);
	if (owner->arena == NULL) {
		owner_free(owner);
		return NULL;
	}
	return owner;
}

/* NULL without memory, or when the product is no size at all. */
static void *zalloc_array(struct arena *arena, size_t count, size_t size)
{
	if (count > SIZE_MAX / size)
		return NULL;
	/* One byte for none, so that NULL means one thing. */
	return arena_zalloc(arena, count > 0 ? count * size : 1);
}

static bool make_nodes(struct arena *arena, struct cluster *cluster, size_t count)
{
	cluster->nodes = zalloc_array(arena, count, sizeof(*cluster->nodes));
	if (cluster->nodes == NULL)
		return false;
	cluster->n_nodes = count;
	cluster->primary = -1;
	for (size_t i = 0; i < count; i++)
		cluster->nodes[i].lag = -1;
	return true;
}

struct topology *topology_create(size_t n_clusters, const size_t *node_counts)
{
	struct owner *owner = owner_create();
	struct topology *topology;

	if (owner == NULL)
		return NULL;
	topology = &owner->topology;
	topology->clusters = zalloc_array(owner->arena, n_clusters, sizeof(struct cluster));
	if (topology->clusters == NULL)
		goto fail;
	topology->n_clusters = n_clusters;
	for (size_t i = 0; i < n_clusters; i++) {
		if (!make_nodes(owner->arena, &topology->clusters[i], node_counts[i]))
			goto fail;
	}
	return topology;
fail:
	owner_free(owner);
	return NULL;
}

const char *topology_string(struct topology *topology, const char *text)
{
	return arena_copy_string(owner_of(topology)->arena, text);
}

/* Gives `*text` a copy of its own; NULL stays NULL. */
static bool own_string(struct topology *topology, const char **text)
{
	if (*text == NULL)
		return true;
	*text = topology_string(topology, *text);
	return *text != NULL;
}

static bool copy_node(struct topology *topology, struct node *to, const struct node *from)
{
	*to = *from;
	return own_string(topology, &to->name) && own_string(topology, &to->host) &&
	       own_string(topology, &to->zone);
}

static bool copy_cluster(struct topology *topology, struct cluster *to,
			 const struct cluster *from)
{
	*to = *from;
	to->n_nodes = 0;
	to->nodes = zalloc_array(owner_of(topology)->arena, from->n_nodes, sizeof(*to->nodes));
	if (to->nodes == NULL || !own_string(topology, &to->name))
		return false;
	for (; to->n_nodes < from->n_nodes; to->n_nodes++) {
		size_t i = to->n_nodes;

		if (!copy_node(topology, &to->nodes[i], &from->nodes[i]))
			return false;
	}
	return true;
}

struct topology *topology_copy(const struct topology *from)
{
	struct owner *owner = owner_create();
	struct topology *topology;

	if (owner == NULL)
		return NULL;
	topology = &owner->topology;
	topology->version = from->version + 1;
	topology->clusters = zalloc_array(owner->arena, from->n_clusters, sizeof(struct cluster));
	if (topology->clusters == NULL)
		goto fail;
	topology->n_clusters = from->n_clusters;
	for (size_t i = 0; i < from->n_clusters; i++) {
		if (!copy_cluster(topology, &topology->clusters[i], &from->clusters[i]))
			goto fail;
	}
	return topology;
fail:
	owner_free(owner);
	return NULL;
}

struct topology *topology_ref(struct topology *topology)
{
	unsigned before =
		atomic_fetch_add_explicit(&owner_of(topology)->refs, 1, memory_order_relaxed);

	ASSERT(before > 0);
	return topology;
}

void topology_unref(struct topology **topology)
{
	struct owner *owner;
	unsigned before;

	if (*topology == NULL)
		return;
	owner = owner_of(*topology);
	*topology = NULL;
	/* Release: our reads are over. Acquire: so are everybody's, before it is freed. */
	before = atomic_fetch_sub_explicit(&owner->refs, 1, memory_order_acq_rel);
	ASSERT(before > 0);
	if (before == 1)
		owner_free(owner);
}

static bool is_live_primary(const struct node *node)
{
	return node->state == NODE_STATE_UP && node->role == NODE_ROLE_PRIMARY;
}

void cluster_elect_primary(struct cluster *cluster)
{
	uint32_t timeline = 0;
	int primary = -1;

	for (size_t i = 0; i < cluster->n_nodes; i++) {
		const struct node *node = &cluster->nodes[i];

		if (is_live_primary(node) && (primary == -1 || node->timeline > timeline)) {
			primary = (int)i;
			timeline = node->timeline;
		}
	}
	/* Two that are equally new: writing to either could lose what the other took. */
	for (size_t i = 0; primary >= 0 && i < cluster->n_nodes; i++) {
		const struct node *node = &cluster->nodes[i];

		if ((int)i != primary && is_live_primary(node) && node->timeline == timeline)
			primary = -1;
	}
	cluster->primary = primary;
}

usec node_staleness(const struct node *node, usec now)
{
	usec age = now > node->probed_at ? now - node->probed_at : 0;

	if (node->lag < 0 || node->probed_at == 0)
		return -1;
	return node->lag > INT64_MAX - age ? INT64_MAX : node->lag + age;
}

const char *node_role_name(enum node_role role)
{
	switch (role) {
	case NODE_ROLE_UNKNOWN: return "unknown";
	case NODE_ROLE_PRIMARY: return "primary";
	case NODE_ROLE_REPLICA: return "replica";
	}
	UNREACHABLE();
}

const char *node_state_name(enum node_state state)
{
	switch (state) {
	case NODE_STATE_UNPROBED: return "unprobed";
	case NODE_STATE_UP: return "up";
	case NODE_STATE_DOWN: return "down";
	}
	UNREACHABLE();
}
