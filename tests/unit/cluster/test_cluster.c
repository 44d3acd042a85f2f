/*
 * Cluster snapshots: an empty one, none of anything, copies that share no memory, reference
 * counts in several threads, sizes that are none, a failing Nth allocation; the election of a
 * primary; staleness at its edges.
 */

#include "cluster/cluster.h"

#include <pthread.h>
#include <string.h>

#include "../unit.h"

static struct topology *topology;

static void teardown(void)
{
	unit_fail_alloc(0);
	topology_unref(&topology);
}

/* --- snapshots --- */

START_TEST(a_new_topology_knows_nothing)
{
	static const size_t counts[] = { 2, 0, 1 };

	topology = topology_create(3, counts);
	ck_assert_ptr_nonnull(topology);
	ck_assert_uint_eq(topology->n_clusters, 3);
	ck_assert_uint_eq(topology->version, 0);
	for (size_t i = 0; i < 3; i++) {
		const struct cluster *cluster = &topology->clusters[i];

		ck_assert_ptr_null(cluster->name);
		ck_assert_uint_eq(cluster->n_nodes, counts[i]);
		ck_assert_int_eq(cluster->primary, -1);
		for (size_t k = 0; k < cluster->n_nodes; k++) {
			const struct node *node = &cluster->nodes[k];

			ck_assert_ptr_null(node->name);
			ck_assert_uint_eq(node->address_length, 0);
			ck_assert_int_eq(node->role, NODE_ROLE_UNKNOWN);
			ck_assert_int_eq(node->state, NODE_STATE_UNPROBED);
			ck_assert_int_eq(node->lag, -1);
			ck_assert_str_eq(node->why, "");
		}
	}
}
END_TEST

START_TEST(no_clusters_at_all)
{
	struct topology *copy;

	topology = topology_create(0, NULL);
	ck_assert_ptr_nonnull(topology);
	ck_assert_uint_eq(topology->n_clusters, 0);
	copy = topology_copy(topology);
	ck_assert_ptr_nonnull(copy);
	ck_assert_uint_eq(copy->n_clusters, 0);
	topology_unref(&copy);
}
END_TEST

START_TEST(sizes_that_are_none)
{
	static const size_t counts[] = { SIZE_MAX };
	static const size_t wraps[] = { SIZE_MAX / sizeof(struct node) + 2 };

	ck_assert_ptr_null(topology_create(1, counts));
	ck_assert_ptr_null(topology_create(1, wraps));
	ck_assert_ptr_null(topology_create(SIZE_MAX, counts));
}
END_TEST

static void make_example(void)
{
	static const size_t counts[] = { 1, 2 };
	struct cluster *cluster;

	topology = topology_create(2, counts);
	ck_assert_ptr_nonnull(topology);
	topology->version = 41;
	cluster = &topology->clusters[1];
	cluster->name = topology_string(topology, "main");
	cluster->primary = 1;
	cluster->lag_preferred = 10;
	cluster->lag_hard = 20;
	cluster->nodes[0].name = topology_string(topology, "a");
	cluster->nodes[0].host = topology_string(topology, "10.0.0.1");
	cluster->nodes[0].zone = topology_string(topology, "");
	cluster->nodes[0].port = 5432;
	cluster->nodes[0].address.ss_family = AF_INET;
	cluster->nodes[0].address_length = 16;
	cluster->nodes[1].role = NODE_ROLE_PRIMARY;
	cluster->nodes[1].lsn = 1234;
	strcpy(cluster->nodes[1].why, "probe answered");
}

START_TEST(a_copy_is_deep)
{
	struct topology *copy;
	struct cluster *cluster;
	const char *name;

	make_example();
	name = topology->clusters[1].name;
	copy = topology_copy(topology);
	ck_assert_ptr_nonnull(copy);
	ck_assert_ptr_ne(copy->clusters[1].name, name);
	ck_assert_ptr_ne(copy->clusters[1].nodes, topology->clusters[1].nodes);
	ck_assert_ptr_ne(copy->clusters[1].nodes[0].name, topology->clusters[1].nodes[0].name);
	ck_assert_ptr_ne(copy->clusters[1].nodes[0].host, topology->clusters[1].nodes[0].host);
	ck_assert_ptr_ne(copy->clusters[1].nodes[0].zone, topology->clusters[1].nodes[0].zone);
	copy->clusters[1].nodes[1].lsn = 99;
	ck_assert_uint_eq(topology->clusters[1].nodes[1].lsn, 1234);
	ck_assert_uint_eq(topology->version, 41);

	/* It outlives what it was made from. */
	topology_unref(&topology);
	ck_assert_ptr_null(topology);
	cluster = &copy->clusters[1];
	ck_assert_uint_eq(copy->version, 42);
	ck_assert_uint_eq(copy->clusters[0].n_nodes, 1);
	ck_assert_ptr_null(copy->clusters[0].name);
	ck_assert_str_eq(cluster->name, "main");
	ck_assert_int_eq(cluster->primary, 1);
	ck_assert_int_eq(cluster->lag_preferred, 10);
	ck_assert_int_eq(cluster->lag_hard, 20);
	ck_assert_str_eq(cluster->nodes[0].name, "a");
	ck_assert_str_eq(cluster->nodes[0].host, "10.0.0.1");
	ck_assert_str_eq(cluster->nodes[0].zone, "");
	ck_assert_int_eq(cluster->nodes[0].port, 5432);
	ck_assert_int_eq(cluster->nodes[0].address.ss_family, AF_INET);
	ck_assert_ptr_null(cluster->nodes[1].name);
	ck_assert_str_eq(cluster->nodes[1].why, "probe answered");
	topology_unref(&copy);
}
END_TEST

START_TEST(references_are_counted)
{
	struct topology *second;

	make_example();
	second = topology_ref(topology);
	ck_assert_ptr_eq(second, topology);
	topology_unref(&topology);
	ck_assert_ptr_null(topology);
	ck_assert_str_eq(second->clusters[1].name, "main");
	topology_unref(&second);
	ck_assert_ptr_null(second);
	topology_unref(&second);
}
END_TEST

/* Takes over one reference. */
static void *ref_and_unref(void *argument)
{
	struct topology *mine = argument;

	for (int i = 0; i < 10000; i++) {
		struct topology *other = topology_ref(mine);

		if (other->clusters[1].primary != 1)
			return argument;
		topology_unref(&other);
	}
	topology_unref(&mine);
	return NULL;
}

START_TEST(threads_share_a_snapshot)
{
	pthread_t threads[4];
	void *result;

	make_example();
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL, ref_and_unref, topology_ref(topology)),
			0);
	topology_unref(&topology);
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &result), 0);
		ck_assert_ptr_null(result);
	}
}
END_TEST

START_TEST(a_failed_allocation_is_reported)
{
	static const size_t counts[] = { 1, 2 };
	struct topology *made;
	unsigned long nth = 0;

	do {
		unit_fail_alloc(++nth);
		made = topology_create(2, counts);
		ck_assert((made == NULL) == unit_alloc_failed());
		topology_unref(&made);
	} while (unit_alloc_failed());
	ck_assert_uint_gt(nth, 2);
	unit_fail_alloc(0);
	make_example();
	nth = 0;
	do {
		unit_fail_alloc(++nth);
		made = topology_copy(topology);
		ck_assert((made == NULL) == unit_alloc_failed());
		topology_unref(&made);
	} while (unit_alloc_failed());
	ck_assert_uint_gt(nth, 2);
}
END_TEST

/* --- election --- */

#define P    NODE_ROLE_PRIMARY
#define R    NODE_ROLE_REPLICA
#define U    NODE_ROLE_UNKNOWN
#define UP   NODE_STATE_UP
#define DOWN NODE_STATE_DOWN
#define NEW  NODE_STATE_UNPROBED

static const struct {
	const char *what;
	size_t n_nodes;
	struct {
		enum node_role role;
		enum node_state state;
		uint32_t timeline;
	} nodes[3];
	int primary;
} elections[] = {
	{ "no nodes", 0, { { U, NEW, 0 } }, -1 },
	{ "nothing probed", 2, { { U, NEW, 0 }, { U, NEW, 0 } }, -1 },
	{ "the one", 3, { { R, UP, 1 }, { P, UP, 1 }, { R, UP, 1 } }, 1 },
	{ "the first", 1, { { P, UP, 0 } }, 0 },
	{ "replicas only", 2, { { R, UP, 1 }, { R, UP, 2 } }, -1 },
	{ "it is down", 2, { { P, DOWN, 1 }, { R, UP, 1 } }, -1 },
	{ "it was never probed", 2, { { P, NEW, 1 }, { R, UP, 1 } }, -1 },
	{ "two: the higher timeline, second", 2, { { P, UP, 1 }, { P, UP, 2 } }, 1 },
	{ "two: the higher timeline, first", 2, { { P, UP, 3 }, { P, UP, 2 } }, 0 },
	{ "the higher one is down", 2, { { P, UP, 1 }, { P, DOWN, 2 } }, 0 },
	{ "two alike: none", 2, { { P, UP, 2 }, { P, UP, 2 } }, -1 },
	{ "two alike and an older one: none",
	  3,
	  { { P, UP, 1 }, { P, UP, 2 }, { P, UP, 2 } },
	  -1 },
	{ "two alike that are older", 3, { { P, UP, 1 }, { P, UP, 1 }, { P, UP, 2 } }, 2 },
	{ "two alike, unknown timelines", 2, { { P, UP, 0 }, { P, UP, 0 } }, -1 },
	{ "alike, but one is a replica", 2, { { R, UP, 2 }, { P, UP, 2 } }, 1 },
	{ "alike, but one is down", 2, { { P, DOWN, 2 }, { P, UP, 2 } }, 1 },
	{ "the largest timeline", 2, { { P, UP, UINT32_MAX }, { P, UP, 1 } }, 0 },
};

START_TEST(a_primary_is_elected)
{
	struct node nodes[3] = { 0 };
	struct cluster cluster = { .nodes = nodes, .n_nodes = elections[_i].n_nodes };

	for (size_t k = 0; k < cluster.n_nodes; k++) {
		nodes[k].role = elections[_i].nodes[k].role;
		nodes[k].state = elections[_i].nodes[k].state;
		nodes[k].timeline = elections[_i].nodes[k].timeline;
	}
	/* Whatever was elected before. */
	for (cluster.primary = -1; cluster.primary < 3; cluster.primary++) {
		int before = cluster.primary;

		cluster_elect_primary(&cluster);
		ck_assert_msg(cluster.primary == elections[_i].primary, "%s: %d",
			      elections[_i].what, cluster.primary);
		cluster.primary = before;
	}
}
END_TEST

/* --- staleness --- */

static const struct {
	usec lag, probed_at, now, staleness;
} ages[] = {
	{ 0, 100, 100, 0 },
	{ 0, 100, 150, 50 },
	{ 30, 100, 150, 80 },
	{ 30, 150, 100, 30 }, /* probed after `now` was read */
	{ -1, 100, 150, -1 }, /* unknown */
	{ 0, 0, 150, -1 },    /* never probed */
	{ -1, 0, 150, -1 },
	{ INT64_MAX, 100, 150, INT64_MAX },
	{ INT64_MAX - 50, 100, 150, INT64_MAX },
	{ INT64_MAX - 51, 100, 150, INT64_MAX - 1 },
};

START_TEST(staleness_grows_since_the_probe)
{
	struct node node = { .lag = ages[_i].lag, .probed_at = ages[_i].probed_at };

	ck_assert_int_eq(node_staleness(&node, ages[_i].now), ages[_i].staleness);
}
END_TEST

START_TEST(names)
{
	ck_assert_str_eq(node_role_name(NODE_ROLE_UNKNOWN), "unknown");
	ck_assert_str_eq(node_role_name(NODE_ROLE_PRIMARY), "primary");
	ck_assert_str_eq(node_role_name(NODE_ROLE_REPLICA), "replica");
	ck_assert_str_eq(node_state_name(NODE_STATE_UNPROBED), "unprobed");
	ck_assert_str_eq(node_state_name(NODE_STATE_UP), "up");
	ck_assert_str_eq(node_state_name(NODE_STATE_DOWN), "down");
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *cluster_suite(void)
{
	Suite *suite = suite_create("cluster/cluster");
	TCase *tc = tcase_create("cluster");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, a_new_topology_knows_nothing);
	tcase_add_test(tc, no_clusters_at_all);
	tcase_add_test(tc, sizes_that_are_none);
	tcase_add_test(tc, a_copy_is_deep);
	tcase_add_test(tc, references_are_counted);
	tcase_add_test(tc, threads_share_a_snapshot);
	tcase_add_test(tc, a_failed_allocation_is_reported);
	tcase_add_loop_test(tc, a_primary_is_elected, 0, ROWS(elections));
	tcase_add_loop_test(tc, staleness_grows_since_the_probe, 0, ROWS(ages));
	tcase_add_test(tc, names);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(cluster_suite)
