/* The intrusive list: order, count, membership, removal while walking. */

#include "base/list.h"

#include "../unit.h"

struct item {
	int number;
	struct list_node node;
	struct list_node other; /* for a second list */
};

static struct list list;
static struct item items[4];

static void setup(void)
{
	list_init(&list);
	for (int i = 0; i < 4; i++)
		items[i] = (struct item){ .number = i };
}

/* The numbers in the list as one decimal number, walked forwards; checks both directions. */
static int order(void)
{
	int forwards = 0, backwards = 0, factor = 1;
	size_t count = 0;

	LIST_EACH (&list, node) {
		forwards = forwards * 10 + LIST_ENTRY(node, struct item, node)->number;
		count++;
	}
	for (struct list_node *node = list.head.prev; node != &list.head; node = node->prev) {
		backwards += factor * LIST_ENTRY(node, struct item, node)->number;
		factor *= 10;
	}
	ck_assert_int_eq(forwards, backwards);
	ck_assert_uint_eq(count, list.count);
	return forwards;
}

START_TEST(empty_list)
{
	ck_assert(list_is_empty(&list));
	ck_assert_ptr_null(list_first(&list));
	ck_assert_ptr_null(list_pop_front(&list));
	LIST_EACH (&list, node)
		ck_abort_msg("a node in an empty list: %p", (void *)node);
}
END_TEST

START_TEST(push_keeps_order)
{
	list_push_back(&list, &items[2].node);
	list_push_back(&list, &items[3].node);
	list_push_front(&list, &items[1].node);
	ck_assert_int_eq(order(), 123);
	list_remove(&list, &items[3].node);
	list_insert_after(&list, &items[1].node, &items[3].node);
	ck_assert_int_eq(order(), 132);
	ck_assert_ptr_eq(list_first(&list), &items[1].node);
}
END_TEST

START_TEST(removed_node_can_be_listed_again)
{
	list_push_back(&list, &items[1].node);
	ck_assert(list_contains_node(&items[1].node));
	list_remove(&list, &items[1].node);
	ck_assert(!list_contains_node(&items[1].node));
	ck_assert(list_is_empty(&list));
	list_push_back(&list, &items[1].node);
	ck_assert_int_eq(order(), 1);
}
END_TEST

START_TEST(pop_takes_from_the_front)
{
	for (int i = 1; i < 4; i++)
		list_push_back(&list, &items[i].node);
	for (int i = 1; i < 4; i++) {
		struct list_node *node = list_pop_front(&list);

		ck_assert_ptr_eq(node, &items[i].node);
		ck_assert(!list_contains_node(node));
	}
	ck_assert(list_is_empty(&list));
}
END_TEST

START_TEST(safe_walk_allows_removal)
{
	for (int i = 1; i < 4; i++)
		list_push_back(&list, &items[i].node);
	LIST_EACH_SAFE (&list, node) {
		if (node != &items[2].node)
			list_remove(&list, node);
	}
	ck_assert_int_eq(order(), 2);
	LIST_EACH_SAFE (&list, node)
		list_remove(&list, node);
	ck_assert(list_is_empty(&list));
}
END_TEST

START_TEST(object_in_two_lists)
{
	struct list second;

	list_init(&second);
	list_push_back(&list, &items[1].node);
	list_push_back(&second, &items[1].other);
	list_remove(&list, &items[1].node);
	ck_assert_ptr_eq(LIST_ENTRY(list_first(&second), struct item, other), &items[1]);
}
END_TEST

static Suite *list_suite(void)
{
	Suite *suite = suite_create("base/list");
	TCase *tcase = tcase_create("list");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, empty_list);
	tcase_add_test(tcase, push_keeps_order);
	tcase_add_test(tcase, removed_node_can_be_listed_again);
	tcase_add_test(tcase, pop_takes_from_the_front);
	tcase_add_test(tcase, safe_walk_allows_removal);
	tcase_add_test(tcase, object_in_two_lists);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(list_suite)
