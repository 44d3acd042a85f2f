/*
 * Averages over the last period; see admin/average.h. Pure; the control thread's.
 */
#include "admin/average.h"

#include <stdlib.h>
#include <string.h>

void averages_init(struct averages *averages, usec now)
{
	*averages = (struct averages){ .newer = { .at = now } };
}

void averages_free(struct averages *averages)
{
	free(averages->older.list);
	free(averages->newer.list);
	*averages = (struct averages){ 0 };
}

void averages_add(struct averages *averages, struct sample *list, size_t n, usec at)
{
	free(averages->older.list);
	averages->older = averages->newer;
	averages->newer = (struct samples){ .list = list, .n = n, .at = at };
}

static int by_name(const void *name, const void *sample)
{
	return strcmp(name, ((const struct sample *)sample)->database);
}

static struct traffic sum_of(const struct samples *samples, const char *database)
{
	struct traffic sum = { 0 };
	const struct sample *found;

	if (!database) {
		for (size_t i = 0; i < samples->n; i++)
			traffic_merge(&sum, &samples->list[i].traffic);
		return sum;
	}
	if (samples->n == 0)
		return sum;
	found = bsearch(database, samples->list, samples->n, sizeof(*found), by_name);
	return found ? found->traffic : sum;
}

/* A database that went and came back counts from 0 again. */
static uint64_t rise(uint64_t before, uint64_t now)
{
	return now >= before ? now - before : now;
}

/* In floating point: the bytes of a busy proxy times 10^6 do not fit into 64 bits. */
static uint64_t per_second(uint64_t amount, usec elapsed)
{
	return (uint64_t)((double)amount * USEC_PER_SEC / (double)elapsed);
}

void averages_get(const struct averages *averages, const char *database,
		  struct traffic *average_out)
{
	usec elapsed = averages->newer.at - averages->older.at;
	struct traffic before = sum_of(&averages->older, database);
	struct traffic now = sum_of(&averages->newer, database);
	uint64_t xacts = rise(before.xact_count, now.xact_count);
	uint64_t queries = rise(before.query_count, now.query_count);

	memset(average_out, 0, sizeof(*average_out));
	if (averages->older.at == 0 || elapsed <= 0)
		return;
#define AVERAGE(name) average_out->name = per_second(rise(before.name, now.name), elapsed);
	TRAFFIC_FIELDS(AVERAGE)
#undef AVERAGE
	average_out->xact_time = xacts ? rise(before.xact_time, now.xact_time) / xacts : 0;
	average_out->query_time = queries ? rise(before.query_time, now.query_time) / queries : 0;
}
