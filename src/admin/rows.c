/*
 * Rows on their way from workers to the console; see admin/rows.h. Pure; any thread.
 */
#include "admin/rows.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

#define FIRST_CAPACITY 16

static struct rows *make(size_t size, size_t capacity)
{
	struct rows *rows;

	if (capacity > (SIZE_MAX - sizeof(*rows)) / size)
		return NULL;
	rows = malloc(sizeof(*rows) + capacity * size);
	if (rows)
		*rows = (struct rows){ .capacity = capacity, .size = size };
	return rows;
}

struct rows *rows_create(size_t size)
{
	ASSERT(size > 0);
	return make(size, FIRST_CAPACITY);
}

static bool grow(struct rows **rows)
{
	size_t capacity = 2 * (*rows)->capacity;
	struct rows *grown;

	if (capacity > (SIZE_MAX - sizeof(*grown)) / (*rows)->size)
		return false;
	grown = realloc(*rows, sizeof(*grown) + capacity * (*rows)->size);
	if (!grown)
		return false;
	grown->capacity = capacity;
	*rows = grown;
	return true;
}

void *rows_add(struct rows **rows)
{
	void *row;

	if ((*rows)->count == (*rows)->capacity && !grow(rows)) {
		(*rows)->is_short = true;
		return NULL;
	}
	row = rows_at(*rows, (*rows)->count++);
	return memset(row, 0, (*rows)->size);
}

void *rows_at(const struct rows *rows, size_t index)
{
	return (char *)rows->data + index * rows->size;
}

static bool count_all(void *const *parts, int n_parts, size_t size, size_t *count_out)
{
	*count_out = 0;
	for (int i = 0; i < n_parts; i++) {
		const struct rows *part = parts[i];

		if (!part || part->is_short)
			return false;
		ASSERT(part->size == size);
		*count_out += part->count;
	}
	return true;
}

static void fold_equal(struct rows *rows, rows_compare compare, rows_fold fold)
{
	size_t kept = 0;

	for (size_t i = 1; i < rows->count; i++) {
		if (compare(rows_at(rows, kept), rows_at(rows, i)) == 0)
			fold(rows_at(rows, kept), rows_at(rows, i));
		else if (++kept != i)
			memcpy(rows_at(rows, kept), rows_at(rows, i), rows->size);
	}
	if (rows->count > 0)
		rows->count = kept + 1;
}

struct rows *rows_merge(void *const *parts, int n_parts, size_t size, rows_compare compare,
			rows_fold fold)
{
	struct rows *all;
	size_t count;

	if (!count_all(parts, n_parts, size, &count))
		return NULL;
	all = make(size, count > 0 ? count : 1);
	if (!all)
		return NULL;
	for (int i = 0; i < n_parts; i++) {
		const struct rows *part = parts[i];

		memcpy(rows_at(all, all->count), part->data, part->count * size);
		all->count += part->count;
	}
	qsort(all->data, all->count, size, compare);
	if (fold)
		fold_equal(all, compare, fold);
	return all;
}

const void *rows_find(const struct rows *rows, const void *key, rows_compare compare)
{
	return bsearch(key, rows->data, rows->count, rows->size, compare);
}
