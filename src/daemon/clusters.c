/*
 * From the configuration of clusters to what the monitor goes by; see daemon/clusters.h.
 */
#include "daemon/clusters.h"

#include <stdlib.h>
#include <string.h>

static void describe_nodes(struct monitor_node *to, const struct config_cluster *from)
{
	for (size_t i = 0; i < from->n_nodes; i++) {
		const struct config_node *node = &from->nodes[i];

		to[i] = (struct monitor_node){ .name = node->name,
					       .host = node->host,
					       .port = node->port,
					       .weight = node->weight,
					       .zone = node->zone };
	}
}

static void describe_cluster(struct monitor_cluster *to, struct monitor_node *nodes,
			     const struct config_cluster *from, const struct tls_settings *tls)
{
	describe_nodes(nodes, from);
	*to = (struct monitor_cluster){
		.name = from->name,
		.nodes = nodes,
		.n_nodes = from->n_nodes,
		.user = from->monitor.user,
		.password = from->monitor.password,
		.database = from->monitor.database,
		.interval = from->monitor.interval,
		.timeout = from->monitor.timeout,
		.lag_preferred = from->max_lag.preferred,
		.lag_hard = from->max_lag.hard,
		.tls = *tls,
	};
}

struct monitor_cluster *clusters_describe(const struct config *config)
{
	struct tls_settings tls = config_tls_settings(config, TLS_ROLE_CLIENT);
	struct monitor_cluster *clusters;
	struct monitor_node *nodes;
	size_t n_nodes = 0;

	for (size_t i = 0; i < config->n_clusters; i++)
		n_nodes += config->clusters[i].n_nodes;
	clusters = calloc(1, config->n_clusters * sizeof(*clusters) + n_nodes * sizeof(*nodes));
	if (!clusters)
		return NULL;
	nodes = (struct monitor_node *)(clusters + config->n_clusters);
	for (size_t i = 0; i < config->n_clusters; i++) {
		describe_cluster(&clusters[i], nodes, &config->clusters[i], &tls);
		nodes += config->clusters[i].n_nodes;
	}
	return clusters;
}

static bool same_text(const char *a, const char *b)
{
	return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

static bool same_node(const struct config_node *a, const struct config_node *b)
{
	return same_text(a->name, b->name) && same_text(a->host, b->host) && a->port == b->port &&
	       a->weight == b->weight && same_text(a->zone, b->zone);
}

static bool same_cluster(const struct config_cluster *a, const struct config_cluster *b)
{
	if (!same_text(a->name, b->name) || a->n_nodes != b->n_nodes ||
	    !same_text(a->monitor.user, b->monitor.user) ||
	    !same_text(a->monitor.password, b->monitor.password) ||
	    !same_text(a->monitor.database, b->monitor.database) ||
	    a->monitor.interval != b->monitor.interval ||
	    a->monitor.timeout != b->monitor.timeout ||
	    a->max_lag.preferred != b->max_lag.preferred || a->max_lag.hard != b->max_lag.hard)
		return false;
	for (size_t i = 0; i < a->n_nodes; i++) {
		if (!same_node(&a->nodes[i], &b->nodes[i]))
			return false;
	}
	return true;
}

bool clusters_are_same(const struct config *a, const struct config *b)
{
	struct tls_settings tls_a = config_tls_settings(a, TLS_ROLE_CLIENT);
	struct tls_settings tls_b = config_tls_settings(b, TLS_ROLE_CLIENT);

	if (a->n_clusters != b->n_clusters || !tls_settings_are_same(&tls_a, &tls_b))
		return false;
	for (size_t i = 0; i < a->n_clusters; i++) {
		if (!same_cluster(&a->clusters[i], &b->clusters[i]))
			return false;
	}
	return true;
}
