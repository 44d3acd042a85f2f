#ifndef POINTSMAN_PROBE_LAG_H
#define POINTSMAN_PROBE_LAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "cluster/cluster.h"

/*
 * The arithmetic of the monitor: staleness from positions in the WAL, what role an answer proves,
 * and when to probe again. Pure: no sockets, no logging, and the time comes from the caller.
 */

/* --- staleness (R-64: no server's clock) --- */

/*
 * "Everything that was committed before `at` lies below `lsn`": the primary's insert position,
 * with the time at which it was asked for, which is before the server looked.
 */
struct lag_sample {
	usec at;
	uint64_t lsn;
	uint32_t timeline;
};

#define LAG_SAMPLES_MAX 600

/* Zeroed memory is an empty one. Oldest first; times rise, positions need not (failover, crash).
 */
struct lag_track {
	struct lag_sample samples[LAG_SAMPLES_MAX];
	size_t n;
	uint32_t first_timeline; /* of the first sample ever */
};

/*
 * Remembers a sample, unless it is older than the last one. A position that did not move only
 * makes the last sample younger. When there is no room, every second one of the older half is
 * forgotten: the further back, the coarser, and never too small a lag.
 */
void lag_add(struct lag_track *track, usec at, uint64_t lsn, uint32_t timeline);

void lag_reset(struct lag_track *track);

/*
 * How stale at most, at `now`, a replica is that has replayed up to `lsn` on `timeline` (0: it
 * did not say): the age of the newest sample that it has reached. -1: it has reached none. A
 * sample of a later timeline does not count: the replica may follow another history.
 */
usec lag_measure(const struct lag_track *track, uint64_t lsn, uint32_t timeline, usec now);

/* How far `lsn` is behind the newest sample. */
uint64_t lag_bytes(const struct lag_track *track, uint64_t lsn);

/*
 * The primary's insert position as replicas count. It is where the next record will begin; when
 * that is right behind a page's header, the last record ended in front of it, and a replica that
 * has replayed all would seem to be behind for ever (after pg_switch_wal(), say).
 */
uint64_t lag_insert_end(uint64_t insert_lsn, uint64_t segment_bytes, uint64_t block_bytes);

/* --- role --- */

/* What a node said of itself. */
struct probe_answer {
	bool in_recovery;
	uint64_t lsn;       /* insert position, or replayed up to; 0: unknown */
	uint64_t received;  /* replica: received up to; 0: unknown */
	uint32_t timeline;  /* 0: unknown */
	uint64_t system_id; /* 0: unknown */
};

/* What is known of a cluster from the primaries it has had. Zeroed: nothing. */
struct role_memory {
	uint64_t system_id;
	uint32_t timeline;
};

/*
 * The role that an answer proves. NODE_ROLE_UNKNOWN for a node of another database system, and
 * for a primary of an older timeline than one that has ruled already: it must be neither
 * written to nor read from. why_out then says so, else it says "probe answered".
 */
enum node_role role_decide(const struct role_memory *memory, const struct probe_answer *answer,
			   char *why_out, size_t why_size);

/* Takes note of an elected primary, which is not a foreign one. */
void role_remember(struct role_memory *memory, const struct probe_answer *primary);

/* --- back-off --- */

/*
 * How long after the `failures`-th failed probe in a row (1, 2, ...) the next one begins: one
 * interval a few times, as a restart takes a few seconds, then doubling up to eight intervals.
 * Never more than one while it is urgent, that is while there is no primary.
 */
usec backoff_delay(unsigned failures, usec interval, bool is_urgent);

#endif
