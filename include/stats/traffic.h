#ifndef POINTSMAN_STATS_TRAFFIC_H
#define POINTSMAN_STATS_TRAFFIC_H

#include <stdint.h>

/*
 * What PgBouncer calls the statistics of a database. Each worker counts in structs of its own;
 * readers get copies and add them up. Listed once: declaration, merging and printing follow.
 * Times are in us. "client" is what clients sent or got, as in PgBouncer's client_bytes.
 */
#define TRAFFIC_FIELDS(X)          \
	X(server_assignment_count) \
	X(xact_count)              \
	X(query_count)             \
	X(received)                \
	X(sent)                    \
	X(xact_time)               \
	X(query_time)              \
	X(wait_time)               \
	X(client_parse_count)      \
	X(server_parse_count)      \
	X(bind_count)              \
	X(client_login_count)

struct traffic {
#define TRAFFIC_DECLARE(name) uint64_t name;
	TRAFFIC_FIELDS(TRAFFIC_DECLARE)
#undef TRAFFIC_DECLARE
};

/* into += from. */
void traffic_merge(struct traffic *into, const struct traffic *from);

/* difference = now - before, field by field. */
void traffic_difference(struct traffic *difference, const struct traffic *now,
			const struct traffic *before);

#endif
