/*
 * The two clocks, and the faked one that tests put in their place. Holds no timers. Any thread
 * may call; the fake is one atomic so that a test can move time under running threads.
 */

#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

#include "base/panic.h"

static _Atomic usec faked_now;

static usec read_clock(clockid_t id)
{
	struct timespec now;

	/* Fails for an unknown clock or a bad address only. */
	ASSERT(clock_gettime(id, &now) == 0);
	return (usec)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

usec clock_now(void)
{
	usec now = atomic_load_explicit(&faked_now, memory_order_relaxed);

	if (now == 0)
		now = read_clock(CLOCK_MONOTONIC);
	return now ? now : 1; /* the first microsecond after boot */
}

usec clock_wall(void)
{
	usec now = atomic_load_explicit(&faked_now, memory_order_relaxed);

	return now ? now : read_clock(CLOCK_REALTIME);
}

void clock_fake(usec now)
{
	ASSERT(now >= 0);
	atomic_store_explicit(&faked_now, now, memory_order_relaxed);
}
