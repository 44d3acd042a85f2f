#ifndef POINTSMAN_ADMIN_ORDER_H
#define POINTSMAN_ADMIN_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/words.h"
#include "worker/fleet.h"

/*
 * What the console's commands make workers do. An order is given to each of them with
 * fleet_call(); the reports are added up.
 */
enum order_kind {
	ORDER_PAUSE,
	ORDER_RESUME,
	ORDER_DISABLE,
	ORDER_ENABLE,
	ORDER_RECONNECT,
	ORDER_KILL,
	ORDER_KILL_CLIENT,
	ORDER_AWAIT_PAUSE, /* closes what has come back since, and counts what has not */
	ORDER_AWAIT_CLOSE, /* counts servers that RECONNECT has marked */
};

struct order {
	enum order_kind kind;
	bool is_for_all;               /* databases */
	char database[WORDS_TEXT_MAX]; /* else this one */
	uint64_t client;               /* ORDER_KILL_CLIENT */
};

struct order_report {
	unsigned databases; /* that it was about */
	unsigned paused;    /* of these: were paused before */
	unsigned disabled;
	unsigned clients; /* closed */
	unsigned servers; /* not closed yet */
	unsigned closing; /* to be closed when they come back */
};

/* fleet_function; the argument is a const struct order, the result a struct order_report. */
void order_obey(struct worker *worker, void *order, void **result);

/* into += from. */
void order_report_add(struct order_report *into, const struct order_report *from);

#endif
