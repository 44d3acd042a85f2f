#ifndef POINTSMAN_ADMIN_AVERAGE_H
#define POINTSMAN_ADMIN_AVERAGE_H

#include <stddef.h>

#include "admin/text.h"
#include "base/clock.h"
#include "stats/traffic.h"

/*
 * The avg_* columns: what happened between the last two samples of the books, which are taken
 * once a period, as PgBouncer does it. Control thread.
 */
#define AVERAGE_PERIOD (60 * USEC_PER_SEC)

struct sample {
	char database[TEXT_NAME_MAX];
	struct traffic traffic;
};

struct samples {
	struct sample *list; /* owned, in the order of the names */
	size_t n;
	usec at;
};

struct averages {
	struct samples older;
	struct samples newer;
};

/* Begins to count at `now`, from nothing. */
void averages_init(struct averages *averages, usec now);
void averages_free(struct averages *averages);

/* A new sample. Takes `list` over (from malloc, in the order of the names). */
void averages_add(struct averages *averages, struct sample *list, size_t n, usec at);

/*
 * Of one database, or of all together (NULL), over the last whole period; all 0 before there
 * was one. Counts, bytes and wait_time are per second; xact_time and query_time are those of one
 * transaction and one query.
 */
void averages_get(const struct averages *averages, const char *database,
		  struct traffic *average_out);

#endif
