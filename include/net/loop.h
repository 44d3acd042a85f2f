#ifndef POINTSMAN_NET_LOOP_H
#define POINTSMAN_NET_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

/*
 * One thread's event loop: a libevent base, timers, and work put off to the end of the current
 * batch of events. All functions but loop_stop() are for the loop's own thread.
 *
 * Objects are never freed inside their own callbacks: whoever ends one detaches it at once and
 * frees it through loop_defer().
 */
struct loop;
struct event_base;

/* NULL without memory or descriptors. */
struct loop *loop_create(void);

/* Runs what is still deferred, then frees. Accepts NULL. */
void loop_destroy(struct loop **loop);

struct event_base *loop_base(struct loop *loop);

/* Serves events until loop_stop(). */
void loop_run(struct loop *loop);

/* One batch: waits for events (not at all if !block), serves them and what they deferred. */
void loop_run_once(struct loop *loop, bool block);

/* Makes loop_run() return after the current batch. Own thread only; others post mail. */
void loop_stop(struct loop *loop);

/* Memory that one callback may use for reading from a socket, shared by all of this loop. */
#define LOOP_SCRATCH_BYTES 65536
uint8_t *loop_scratch(struct loop *loop);

/* --- deferred work --- */

typedef void (*loop_function)(void *context);

/*
 * A slot for one pending call; zeroed memory is ready for use. It must live until it ran or was
 * cancelled.
 */
struct loop_deferred {
	struct loop_deferred *next;
	loop_function function;
	void *context;
	bool is_queued;
};

/* Calls function(context) once, after this batch of events. Queued already: nothing happens. */
void loop_defer(struct loop *loop, struct loop_deferred *slot, loop_function function,
		void *context);

/* Takes it back. */
void loop_defer_cancel(struct loop *loop, struct loop_deferred *slot);

/*
 * Frees memory (with free()) after the current batch. Without memory for the note, leaks it and
 * says so.
 */
void loop_defer_free(struct loop *loop, void *memory);

/* --- timers --- */

struct loop_timer;

/* NULL without memory. Not running yet. */
struct loop_timer *loop_timer_create(struct loop *loop, loop_function function, void *context);
void loop_timer_destroy(struct loop_timer **timer);

/* Fires once after `delay` (>= 0); a running one is set anew. */
void loop_timer_start(struct loop_timer *timer, usec delay);
void loop_timer_stop(struct loop_timer *timer);

#endif
