#ifndef POINTSMAN_ADMIN_ASK_H
#define POINTSMAN_ADMIN_ASK_H

#include "admin/order.h"
#include "base/list.h"
#include "net/loop.h"
#include "worker/fleet.h"

/*
 * Questions to all workers that may be forgotten: who asked can be gone before the answers are
 * there. The answers come out of the loop, never out of fleet_destroy(). Control thread.
 */
struct asks {
	struct loop *loop;
	struct fleet *fleet;
	struct list list; /* under way */
};

struct ask;

/* `results`: one of each worker, NULL where it had no memory; they are freed afterwards. */
typedef void (*ask_answered)(void *context, void *const *results, int n_results);

void asks_init(struct asks *asks, struct loop *loop, struct fleet *fleet);

/* Forgets all. The fleet is gone, and with it everybody who could still answer. */
void asks_end(struct asks *asks);

/* Asks; `order` (copied, may be NULL) is the function's argument. NULL without memory: there will
 * be no answer. */
struct ask *ask_workers(struct asks *asks, fleet_function function, const struct order *order,
			ask_answered answered, void *context);

/* No answer is wanted any more. Sets the pointer to NULL, accepts NULL. */
void ask_forget(struct ask **ask);

#endif
