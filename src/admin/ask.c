/*
 * Questions to all workers; see admin/ask.h. A question lives until all have answered, whoever
 * asked; the control thread runs all of it but the functions themselves.
 */
#include "admin/ask.h"

#include <stdlib.h>
#include <string.h>

struct ask {
	struct list_node node;
	struct asks *asks;
	struct order order;    /* workers read it */
	ask_answered answered; /* NULL: forgotten */
	void *context;
	struct loop_deferred delivery;
	void *results[POOL_WORKERS_MAX];
	int n_results;
};

void asks_init(struct asks *asks, struct loop *loop, struct fleet *fleet)
{
	asks->loop = loop;
	asks->fleet = fleet;
	list_init(&asks->list);
}

static void free_ask(struct ask *ask)
{
	list_remove(&ask->asks->list, &ask->node);
	for (int i = 0; i < ask->n_results; i++)
		free(ask->results[i]);
	free(ask);
}

void asks_end(struct asks *asks)
{
	struct list_node *first;

	while ((first = list_first(&asks->list)) != NULL) {
		struct ask *ask = LIST_ENTRY(first, struct ask, node);

		loop_defer_cancel(asks->loop, &ask->delivery);
		free_ask(ask);
	}
}

static void deliver(void *context)
{
	struct ask *ask = context;

	if (ask->answered)
		ask->answered(ask->context, ask->results, ask->n_results);
	free_ask(ask);
}

/* May be called while the fleet ends: nothing is done here that could ask again. */
static void on_done(void *context, struct fleet_call *call)
{
	struct ask *ask = context;

	ask->n_results = call->n_workers;
	for (int i = 0; i < call->n_workers; i++) {
		ask->results[i] = call->results[i];
		call->results[i] = NULL;
	}
	loop_defer(ask->asks->loop, &ask->delivery, deliver, ask);
}

struct ask *ask_workers(struct asks *asks, fleet_function function, const struct order *order,
			ask_answered answered, void *context)
{
	struct ask *ask = calloc(1, sizeof(*ask));

	if (!ask)
		return NULL;
	ask->asks = asks;
	if (order)
		ask->order = *order;
	ask->answered = answered;
	ask->context = context;
	if (!fleet_call(asks->fleet, function, &ask->order, on_done, ask)) {
		free(ask);
		return NULL;
	}
	list_push_back(&asks->list, &ask->node);
	return ask;
}

void ask_forget(struct ask **ask)
{
	if (*ask)
		(*ask)->answered = NULL;
	*ask = NULL;
}
