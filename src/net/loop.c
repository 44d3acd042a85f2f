/*
 * One thread's event loop over libevent: batches of events, work put off to the end of a batch,
 * timers, and the shared scratch memory. It watches no sockets itself: conn, listener and mailbox
 * do, through loop_base(). Everything here runs on the thread that owns the loop.
 *
 * The base has no locks (one thread only) and no timerfd (a timer may be a millisecond late).
 */

#include "net/loop.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include <event2/event.h>

#include "base/log.h"
#include "base/panic.h"

/* So many times deferred work may bring up new deferred work before events get their turn. */
#define DEFERRED_ROUNDS_MAX 16

/* Far away for a timer, near enough for a struct timeval and for sums. */
#define DELAY_MAX (10 * 366 * 24 * 3600 * USEC_PER_SEC)

struct deferred_list {
	struct loop_deferred *first;
	struct loop_deferred **tail;
};

/* Lifetime: the thread's. */
struct loop {
	struct event_base *base;
	bool is_stopping;
	bool is_running_deferred;

	struct deferred_list waiting; /* for the next round */
	struct deferred_list running; /* what is left of this round */

	/* Timers that libevent had no memory to take. While there are any, the loop does not
	 * sleep. */
	struct loop_timer *starved;

	/* Memory to free after the batch. */
	void **garbage;
	size_t n_garbage;
	size_t garbage_capacity;

	uint8_t scratch[LOOP_SCRATCH_BYTES];
};

/*
 * `due` is when the owner wants it (0: not at all), `armed_for` when libevent will wake us (0: it
 * will not). A timer that is set further away, or stopped, leaves the earlier wake-up in place,
 * which then sorts it out: requests start and stop timers by the thousand and few of them fire.
 */
struct loop_timer {
	struct loop *loop;
	struct event *event;
	struct loop_timer *next_starved;
	bool is_starved;
	loop_function function;
	void *context;
	usec due;
	usec armed_for;
};

static void deferred_init(struct deferred_list *list)
{
	list->first = NULL;
	list->tail = &list->first;
}

static void deferred_push(struct deferred_list *list, struct loop_deferred *slot)
{
	slot->next = NULL;
	*list->tail = slot;
	list->tail = &slot->next;
}

static struct loop_deferred *deferred_pop(struct deferred_list *list)
{
	struct loop_deferred *slot = list->first;

	if (!slot)
		return NULL;
	list->first = slot->next;
	if (!list->first)
		list->tail = &list->first;
	slot->next = NULL;
	slot->is_queued = false;
	return slot;
}

static bool deferred_remove(struct deferred_list *list, struct loop_deferred *slot)
{
	struct loop_deferred **link = &list->first;

	while (*link && *link != slot)
		link = &(*link)->next;
	if (!*link)
		return false;
	*link = slot->next;
	if (list->tail == &slot->next)
		list->tail = link;
	slot->next = NULL;
	slot->is_queued = false;
	return true;
}

static struct event_base *create_base(void)
{
	struct event_config *config = event_config_new();
	struct event_base *base = NULL;

	if (!config)
		return NULL;
	if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV) ==
	    0)
		base = event_base_new_with_config(config);
	event_config_free(config);
	return base;
}

/* libevent's own words (a name server that does not answer, say) belong into our log. */
static void on_libevent_log(int severity, const char *message)
{
	switch (severity) {
	case EVENT_LOG_ERR: log_errorx(NULL, "libevent: %s", message); return;
	case EVENT_LOG_WARN: log_warnx(NULL, "libevent: %s", message); return;
	default: log_debug(NULL, "libevent: %s", message); return;
	}
}

static void set_up_libevent(void)
{
	event_set_log_callback(on_libevent_log);
}

static bool grow_garbage(struct loop *loop)
{
	size_t capacity = loop->garbage_capacity ? loop->garbage_capacity * 2 : 64;
	void **garbage = realloc(loop->garbage, capacity * sizeof(*garbage));

	if (!garbage)
		return false;
	loop->garbage = garbage;
	loop->garbage_capacity = capacity;
	return true;
}

struct loop *loop_create(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	ASSERT(pthread_once(&once, set_up_libevent) == 0);
	loop->base = create_base();
	/* Room from the start: without memory for more, what is to be freed is lost. */
	if (!loop->base || !grow_garbage(loop)) {
		if (loop->base)
			event_base_free(loop->base);
		free(loop);
		return NULL;
	}
	deferred_init(&loop->waiting);
	deferred_init(&loop->running);
	return loop;
}

static void free_garbage(struct loop *loop)
{
	while (loop->n_garbage > 0)
		free(loop->garbage[--loop->n_garbage]);
}

static void run_round(struct loop *loop)
{
	struct loop_deferred *slot;

	loop->running = loop->waiting;
	if (!loop->running.first)
		loop->running.tail = &loop->running.first;
	deferred_init(&loop->waiting);
	while ((slot = deferred_pop(&loop->running)) != NULL)
		slot->function(slot->context);
}

/* What is still queued after that many rounds waits for one look at the events. */
static void run_deferred(struct loop *loop)
{
	ASSERT(!loop->is_running_deferred);
	loop->is_running_deferred = true;
	for (int round = 0; loop->waiting.first && round < DEFERRED_ROUNDS_MAX; round++)
		run_round(loop);
	loop->is_running_deferred = false;
	free_garbage(loop);
}

void loop_destroy(struct loop **loop_ref)
{
	struct loop *loop = *loop_ref;

	if (!loop)
		return;
	*loop_ref = NULL;
	run_deferred(loop);
	event_base_free(loop->base);
	free(loop->garbage);
	free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

uint8_t *loop_scratch(struct loop *loop)
{
	return loop->scratch;
}

/* The kernel's clock, as libevent's timers run by it too, never the one that tests fake. */
static usec real_now(void)
{
	struct timespec now;

	ASSERT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
	return (usec)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

static void feed(struct loop_timer *timer)
{
	struct loop_timer **link = &timer->loop->starved;

	if (!timer->is_starved)
		return;
	while (*link != timer)
		link = &(*link)->next_starved;
	*link = timer->next_starved;
	timer->is_starved = false;
}

static void starve(struct loop_timer *timer)
{
	if (timer->is_starved)
		return;
	timer->is_starved = true;
	timer->next_starved = timer->loop->starved;
	timer->loop->starved = timer;
}

static void arm(struct loop_timer *timer, usec now)
{
	usec delay = timer->due > now ? timer->due - now : 0;
	struct timeval wait = { .tv_sec = delay / USEC_PER_SEC, .tv_usec = delay % USEC_PER_SEC };

	if (event_add(timer->event, &wait) == -1) {
		starve(timer);
		return;
	}
	timer->armed_for = timer->due;
	feed(timer);
}

static void arm_starved(struct loop *loop)
{
	struct loop_timer *next;
	usec now = real_now();

	for (struct loop_timer *timer = loop->starved; timer; timer = next) {
		next = timer->next_starved;
		if (timer->due == 0)
			feed(timer);
		else
			arm(timer, now);
	}
}

static void run_batch(struct loop *loop, int flags)
{
	run_deferred(loop);
	if (loop->starved)
		arm_starved(loop);
	if (loop->waiting.first || loop->starved)
		flags |= EVLOOP_NONBLOCK;
	/* -1 is epoll refusing its own descriptor: there is nothing left to serve with. */
	ASSERT(event_base_loop(loop->base, EVLOOP_ONCE | flags) != -1);
	run_deferred(loop);
}

void loop_run(struct loop *loop)
{
	/* Without any event a loop would return at once, and this one would spin. */
	while (!loop->is_stopping)
		run_batch(loop, EVLOOP_NO_EXIT_ON_EMPTY);
	loop->is_stopping = false;
}

void loop_run_once(struct loop *loop, bool block)
{
	run_batch(loop, block ? 0 : EVLOOP_NONBLOCK);
}

void loop_stop(struct loop *loop)
{
	loop->is_stopping = true;
}

void loop_defer(struct loop *loop, struct loop_deferred *slot, loop_function function,
		void *context)
{
	if (slot->is_queued)
		return;
	slot->function = function;
	slot->context = context;
	slot->is_queued = true;
	deferred_push(&loop->waiting, slot);
}

void loop_defer_cancel(struct loop *loop, struct loop_deferred *slot)
{
	if (!slot->is_queued)
		return;
	if (!deferred_remove(&loop->waiting, slot))
		ASSERT(deferred_remove(&loop->running, slot));
}

void loop_defer_free(struct loop *loop, void *memory)
{
	if (!memory)
		return;
	if (loop->n_garbage == loop->garbage_capacity && !grow_garbage(loop)) {
		/* Freeing it now would pull it from under its own callback. */
		log_warnx(NULL, "out of memory: an object cannot be freed and is lost");
		return;
	}
	loop->garbage[loop->n_garbage++] = memory;
}

/* libevent counts from the start of the batch by a coarse clock, and so it may come early. */
static void on_timeout(evutil_socket_t fd, short what, void *context)
{
	struct loop_timer *timer = context;
	usec now = real_now();

	(void)fd;
	(void)what;
	timer->armed_for = 0;
	if (timer->due == 0)
		return;
	if (now < timer->due) {
		arm(timer, now);
		return;
	}
	timer->due = 0;
	timer->function(timer->context);
}

struct loop_timer *loop_timer_create(struct loop *loop, loop_function function, void *context)
{
	struct loop_timer *timer = calloc(1, sizeof(*timer));

	if (!timer)
		return NULL;
	timer->loop = loop;
	timer->function = function;
	timer->context = context;
	timer->event = evtimer_new(loop->base, on_timeout, timer);
	if (!timer->event) {
		free(timer);
		return NULL;
	}
	return timer;
}

void loop_timer_destroy(struct loop_timer **timer_ref)
{
	struct loop_timer *timer = *timer_ref;

	if (!timer)
		return;
	*timer_ref = NULL;
	feed(timer);
	event_free(timer->event);
	free(timer);
}

void loop_timer_start(struct loop_timer *timer, usec delay)
{
	usec now = real_now();

	ASSERT(delay >= 0);
	timer->due = now + (delay < DELAY_MAX ? delay : DELAY_MAX);
	if (timer->armed_for == 0 || timer->due < timer->armed_for)
		arm(timer, now);
}

void loop_timer_stop(struct loop_timer *timer)
{
	timer->due = 0;
}
