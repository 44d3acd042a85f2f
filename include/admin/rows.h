#ifndef POINTSMAN_ADMIN_ROWS_H
#define POINTSMAN_ADMIN_ROWS_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What workers tell the control thread: an array of rows of one size without pointers in them, in
 * one allocation, so that it can go through fleet_call() and be freed by whoever has it last.
 */
struct rows {
	size_t count;
	size_t capacity;
	size_t size;   /* of a row */
	bool is_short; /* there was no memory for all of them */
	_Alignas(max_align_t) char data[];
};

/* NULL without memory. */
struct rows *rows_create(size_t size);

/* A new row, zeroed; it stays where it is until the next one is added. NULL without memory
 * (is_short). */
void *rows_add(struct rows **rows);

void *rows_at(const struct rows *rows, size_t index);

typedef int (*rows_compare)(const void *a, const void *b);
typedef void (*rows_fold)(void *into, const void *from);

/*
 * All rows of several workers as one, in the order of `compare`; equal ones are folded into the
 * first where there is a `fold`. NULL when memory ran out here or on a worker.
 */
struct rows *rows_merge(void *const *parts, int n_parts, size_t size, rows_compare compare,
			rows_fold fold);

/* The row of merged ones for which compare(key, row) is 0, or NULL. */
const void *rows_find(const struct rows *rows, const void *key, rows_compare compare);

#endif
