#ifndef POINTSMAN_STATS_HIST_H
#define POINTSMAN_STATS_HIST_H

#include <stdint.h>

#include "base/clock.h"

/*
 * Latency histogram, log-linear as HdrHistogram's: 16 linear steps in each power of two, so a
 * quantile is right to about 6 %. Covers 0 to 2^36 us (19 hours); what is longer counts as that.
 * One belongs to one thread; others see copies (see hist_merge).
 */

#define HIST_BUCKETS (33 * 16)

struct hist {
	uint64_t total;
	uint64_t sum;
	usec max;
	uint64_t counts[HIST_BUCKETS];
};

/* Counts one duration; a negative one counts as 0. */
void hist_record(struct hist *h, usec duration);

/* into += from. */
void hist_merge(struct hist *into, const struct hist *from);

/*
 * The duration that `quantile` (0..1) of the records do not exceed: the upper edge of its bucket,
 * or the longest duration recorded when that is less. 0 when empty.
 */
usec hist_quantile(const struct hist *h, double quantile);

/* For exposition: the longest duration that counts in bucket `index` (OpenMetrics `le`), in us.
 */
usec hist_bucket_edge(unsigned index);

#endif
