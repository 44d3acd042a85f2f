#ifndef POINTSMAN_BASE_CLOCK_H
#define POINTSMAN_BASE_CLOCK_H

#include <stdint.h>

/*
 * Time. Everything inside is in microseconds: points in time on the monotonic clock
 * (`usec` since an arbitrary start), and durations. Wall-clock time is for people only
 * (logs, SHOW) and no decision rests on it.
 */

typedef int64_t usec;

#define USEC_PER_MS  ((usec)1000)
#define USEC_PER_SEC ((usec)1000000)

/* Now on the monotonic clock, or the faked now. Never 0, so that 0 can mean "never". */
usec clock_now(void);

/* Microseconds since 1970-01-01 UTC, or the faked now. */
usec clock_wall(void);

/*
 * Tests only: from now on both clocks stand still at `now` (> 0) in every thread, until the
 * next call. 0 gives the real clocks back.
 */
void clock_fake(usec now);

#endif
