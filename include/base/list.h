#ifndef POINTSMAN_BASE_LIST_H
#define POINTSMAN_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "base/panic.h"

/*
 * Intrusive doubly linked list with a counter. A node is a member of the object that is
 * listed; an object that can be in two lists at once has two nodes. A node that is in no
 * list has next == NULL: zeroed memory is a valid unlisted node.
 */

struct list_node {
	struct list_node *next;
	struct list_node *prev;
};

struct list {
	struct list_node head;
	size_t count;
};

static inline void list_init(struct list *list)
{
	list->head.next = list->head.prev = &list->head;
	list->count = 0;
}

static inline bool list_is_empty(const struct list *list)
{
	return list->count == 0;
}

static inline bool list_contains_node(const struct list_node *node)
{
	return node->next != NULL;
}

static inline void list_insert_after(struct list *list, struct list_node *at,
				     struct list_node *node)
{
	ASSERT(!list_contains_node(node));
	node->prev = at;
	node->next = at->next;
	at->next->prev = node;
	at->next = node;
	list->count++;
}

static inline void list_push_front(struct list *list, struct list_node *node)
{
	list_insert_after(list, &list->head, node);
}

static inline void list_push_back(struct list *list, struct list_node *node)
{
	list_insert_after(list, list->head.prev, node);
}

/* `node` must be in `list`. */
static inline void list_remove(struct list *list, struct list_node *node)
{
	ASSERT(list_contains_node(node) && list->count > 0);
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = node->prev = NULL;
	list->count--;
}

/* First node, or NULL when the list is empty. */
static inline struct list_node *list_first(const struct list *list)
{
	return list->count ? list->head.next : NULL;
}

/* First node, taken out of the list, or NULL. */
static inline struct list_node *list_pop_front(struct list *list)
{
	struct list_node *node = list_first(list);

	if (node)
		list_remove(list, node);
	return node;
}

/* for-loops over all nodes; the SAFE form allows the removal of the current one. */
#define LIST_EACH(list, node) \
	for (struct list_node *node = (list)->head.next; node != &(list)->head; node = node->next)

#define LIST_EACH_SAFE(list, node)                                                  \
	for (struct list_node *node = (list)->head.next, *node##_next = node->next; \
	     node != &(list)->head; node = node##_next, node##_next = node->next)

#define LIST_ENTRY(node, type, member) CONTAINER_OF(node, type, member)

#endif
