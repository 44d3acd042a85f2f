/*
 * Staleness, roles and back-off: the part of the monitor that only calculates. Knows neither
 * libpq nor the loop. Runs on the control thread.
 */

#include "probe/lag.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* access/xlog_internal.h: the header of a page, and that of the first page of a segment file. */
#define PAGE_HEADER_BYTES         24
#define SEGMENT_PAGE_HEADER_BYTES 40

#define BACKOFF_PATIENCE      3 /* failures before the delay begins to double */
#define BACKOFF_DOUBLINGS_MAX 3

/* Keeps the oldest: what is very far behind is still measured, roughly. */
static void thin_out(struct lag_track *track)
{
	size_t half = track->n / 2, kept = 0;

	for (size_t i = 0; i < half; i += 2)
		track->samples[kept++] = track->samples[i];
	memmove(&track->samples[kept], &track->samples[half],
		(track->n - half) * sizeof(track->samples[0]));
	track->n = kept + track->n - half;
}

void lag_add(struct lag_track *track, usec at, uint64_t lsn, uint32_t timeline)
{
	struct lag_sample *last = track->n > 0 ? &track->samples[track->n - 1] : NULL;

	if (last && at < last->at)
		return;
	if (track->first_timeline == 0)
		track->first_timeline = timeline;
	if (last && last->lsn == lsn && last->timeline == timeline) {
		last->at = at;
		return;
	}
	if (track->n == LAG_SAMPLES_MAX)
		thin_out(track);
	track->samples[track->n++] =
		(struct lag_sample){ .at = at, .lsn = lsn, .timeline = timeline };
}

void lag_reset(struct lag_track *track)
{
	track->n = 0;
	track->first_timeline = 0;
}

usec lag_measure(const struct lag_track *track, uint64_t lsn, uint32_t timeline, usec now)
{
	/* Who does not tell the timeline is believed to be where we began, until a failover. */
	uint32_t known = timeline ? timeline : track->first_timeline;

	if (lsn == 0)
		return -1;
	for (size_t i = track->n; i > 0; i--) {
		const struct lag_sample *sample = &track->samples[i - 1];

		if (sample->lsn <= lsn && sample->timeline <= known)
			return now > sample->at ? now - sample->at : 0;
	}
	return -1;
}

uint64_t lag_bytes(const struct lag_track *track, uint64_t lsn)
{
	uint64_t newest = track->n > 0 ? track->samples[track->n - 1].lsn : 0;

	return newest > lsn ? newest - lsn : 0;
}

/* No record is shorter than a page's header, so that nothing else can begin or end there. */
uint64_t lag_insert_end(uint64_t insert_lsn, uint64_t segment_bytes, uint64_t block_bytes)
{
	if (segment_bytes > 0 && insert_lsn % segment_bytes == SEGMENT_PAGE_HEADER_BYTES)
		return insert_lsn - SEGMENT_PAGE_HEADER_BYTES;
	if (block_bytes > 0 && insert_lsn % block_bytes == PAGE_HEADER_BYTES)
		return insert_lsn - PAGE_HEADER_BYTES;
	return insert_lsn;
}

static bool is_foreign(const struct role_memory *memory, const struct probe_answer *answer)
{
	return memory->system_id != 0 && answer->system_id != 0 &&
	       memory->system_id != answer->system_id;
}

enum node_role role_decide(const struct role_memory *memory, const struct probe_answer *answer,
			   char *why_out, size_t why_size)
{
	if (is_foreign(memory, answer)) {
		snprintf(why_out, why_size,
			 "it is another database system: identifier %" PRIu64 ", not %" PRIu64,
			 answer->system_id, memory->system_id);
		return NODE_ROLE_UNKNOWN;
	}
	if (!answer->in_recovery && answer->timeline != 0 &&
	    answer->timeline < memory->timeline) {
		snprintf(why_out, why_size,
			 "former primary on timeline %" PRIu32 ", the last one was on %" PRIu32,
			 answer->timeline, memory->timeline);
		return NODE_ROLE_UNKNOWN;
	}
	snprintf(why_out, why_size, "probe answered");
	return answer->in_recovery ? NODE_ROLE_REPLICA : NODE_ROLE_PRIMARY;
}

void role_remember(struct role_memory *memory, const struct probe_answer *primary)
{
	if (primary->system_id != 0)
		memory->system_id = primary->system_id;
	if (primary->timeline > memory->timeline)
		memory->timeline = primary->timeline;
}

usec backoff_delay(unsigned failures, usec interval, bool is_urgent)
{
	unsigned doublings = failures > BACKOFF_PATIENCE ? failures - BACKOFF_PATIENCE : 0;

	if (is_urgent)
		return interval;
	return interval << (doublings < BACKOFF_DOUBLINGS_MAX ? doublings
							      : BACKOFF_DOUBLINGS_MAX);
}
