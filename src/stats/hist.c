/*
 * Latency histograms. Pure arithmetic on the caller's struct: no clock, no locks. A bucket below
 * 16 us holds one value; above, each power of two is cut into 16 equal buckets.
 */

#include "stats/hist.h"

#include "base/panic.h"

#define STEPS     16 /* in a power of two */
#define STEP_BITS 4
#define LONGEST   (((usec)1 << 36) - 1)

static unsigned bucket_of(usec duration)
{
	unsigned power;

	if (duration < STEPS)
		return (unsigned)duration;
	power = 63 - (unsigned)__builtin_clzll((unsigned long long)duration);
	/* The leading bit says which power, the four bits behind it which step. */
	return (power - STEP_BITS) * STEPS + (unsigned)(duration >> (power - STEP_BITS));
}

void hist_record(struct hist *h, usec duration)
{
	if (duration < 0)
		duration = 0;
	if (duration > LONGEST)
		duration = LONGEST;
	h->counts[bucket_of(duration)]++;
	h->total++;
	h->sum += (uint64_t)duration;
	if (duration > h->max)
		h->max = duration;
}

void hist_merge(struct hist *into, const struct hist *from)
{
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		into->counts[i] += from->counts[i];
	into->total += from->total;
	into->sum += from->sum;
	if (from->max > into->max)
		into->max = from->max;
}

/* Which record in ascending order, counted from 1, is the quantile: the smallest that covers it.
 */
static uint64_t rank_of(uint64_t total, double quantile)
{
	double exact = quantile * (double)total;
	uint64_t rank;

	if (!(quantile > 0)) /* NaN too */
		return 1;
	if (quantile >= 1)
		return total;
	rank = (uint64_t)exact;
	if ((double)rank < exact)
		rank++;
	return rank < 1 ? 1 : rank > total ? total : rank;
}

usec hist_quantile(const struct hist *h, double quantile)
{
	uint64_t seen = 0, total = 0, rank;

	/* The copy may have been taken while its owner counted: the buckets are what is ranked.
	 */
	for (unsigned i = 0; i < HIST_BUCKETS; i++)
		total += h->counts[i];
	if (total == 0)
		return 0;
	rank = rank_of(total, quantile);
	for (unsigned i = 0; i < HIST_BUCKETS; i++) {
		seen += h->counts[i];
		if (seen >= rank)
			return hist_bucket_edge(i) < h->max ? hist_bucket_edge(i) : h->max;
	}
	UNREACHABLE();
}

usec hist_bucket_edge(unsigned index)
{
	unsigned power;

	ASSERT(index < HIST_BUCKETS);
	if (index < STEPS)
		return (usec)index;
	power = index / STEPS - 1;
	return ((usec)(STEPS + index % STEPS + 1) << power) - 1;
}
