/*
 * Adding up and subtracting traffic counters. Knows the fields by their list only, and nothing
 * of databases or threads: each struct belongs to its caller.
 */

#include "stats/traffic.h"

void traffic_merge(struct traffic *into, const struct traffic *from)
{
#define MERGE(name) into->name += from->name;
	TRAFFIC_FIELDS(MERGE)
#undef MERGE
}

void traffic_difference(struct traffic *difference, const struct traffic *now,
			const struct traffic *before)
{
#define SUBTRACT(name) difference->name = now->name - before->name;
	TRAFFIC_FIELDS(SUBTRACT)
#undef SUBTRACT
}
