/*
 * `pointsman route`: prints where SQL would go, without any server: what the statement says about
 * itself, its hints, and the decision for a cluster of a primary and one fresh replica with
 * `split = auto`.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "config/config.h"
#include "daemon/daemon.h"
#include "route/route.h"
#include "sql/judge.h"
#include "sql/judgement_json.h"

static struct topology *example_topology(void)
{
	const size_t nodes = 2;
	struct topology *topology = topology_create(1, &nodes);
	struct cluster *cluster;

	if (!topology)
		return NULL;
	cluster = &topology->clusters[0];
	cluster->lag_preferred = cluster->lag_hard = 10 * USEC_PER_SEC;
	for (size_t i = 0; i < nodes; i++) {
		struct node *node = &cluster->nodes[i];

		node->role = i == 0 ? NODE_ROLE_PRIMARY : NODE_ROLE_REPLICA;
		node->state = NODE_STATE_UP;
		node->weight = 100;
		node->address_length = sizeof(struct sockaddr);
		node->lag = 0;
		node->probed_at = clock_now();
	}
	cluster_elect_primary(cluster);
	return topology;
}

static void print_verdict(struct judge *judge, const struct cluster *cluster, const char *sql,
			  size_t length)
{
	struct judgement judgement;
	struct bytes line = { 0 };
	struct route_facts facts = {
		.cluster = cluster, .split = ROUTE_SPLIT_AUTO, .held_node = -1, .now = clock_now()
	};
	struct route_decision decision;

	judge_text(judge, sql, length, &judgement);
	facts.verdict = judgement.verdict;
	facts.hints = &judgement.hints;
	decision = route_decide(&facts);
	bytes_append_text(&line, "{");
	judgement_to_json(&judgement, &line);
	bytes_printf(&line, ",\"target\":\"%s\",\"route_reason\":\"%s\"}\n",
		     node_role_name(decision.role), route_reason_name(decision.reason));
	fwrite(bytes_begin(&line), 1, bytes_length(&line), stdout);
	bytes_free(&line);
}

/* "\n" and "\\" as a line of input writes them; in place. Returns the new length. */
static size_t unescape(char *line, size_t length)
{
	size_t to = 0;

	for (size_t i = 0; i < length; i++) {
		if (line[i] == '\\' && i + 1 < length &&
		    (line[i + 1] == 'n' || line[i + 1] == '\\'))
			line[to++] = line[++i] == 'n' ? '\n' : '\\';
		else
			line[to++] = line[i];
	}
	return to;
}

static void print_lines(struct judge *judge, const struct cluster *cluster)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t length;

	while ((length = getline(&line, &size, stdin)) > 0) {
		if (line[length - 1] == '\n')
			length--;
		print_verdict(judge, cluster, line, unescape(line, (size_t)length));
	}
	free(line);
}

/* The limits of a configuration file, when one is named. */
static bool limits_from(const char *path, struct judge_limits *limits)
{
	struct bytes errors = { 0 };
	struct config *config = path ? config_load(path, &errors) : NULL;

	if (config)
		limits->parse_bytes_max = config->max_parse_bytes;
	else if (path)
		fwrite(bytes_begin(&errors), 1, bytes_length(&errors), stderr);
	bytes_free(&errors);
	if (path && !config)
		return false;
	config_unref(&config);
	return true;
}

int route_tool_main(int argc, char **argv)
{
	static const struct option options[] = { { "catalog", required_argument, NULL, 'C' },
						 { NULL, 0, NULL, 0 } };
	struct judge_limits limits = judge_default_limits;
	struct topology *topology;
	struct judge *judge;
	const char *path = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "c:", options, NULL)) != -1) {
		if (option == 'C') {
			fputs("pointsman route: catalogs are not supported yet\n", stderr);
			return 2;
		}
		if (option != 'c')
			return 2;
		path = optarg;
	}
	if (!limits_from(path, &limits))
		return 1;
	judge = judge_create(&limits);
	topology = example_topology();
	if (!judge || !topology)
		return 1;
	if (optind < argc)
		print_verdict(judge, &topology->clusters[0], argv[optind], strlen(argv[optind]));
	else
		print_lines(judge, &topology->clusters[0]);
	judge_destroy(&judge);
	topology_unref(&topology);
	return 0;
}
