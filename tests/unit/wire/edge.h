#ifndef POINTSMAN_TESTS_UNIT_WIRE_EDGE_H
#define POINTSMAN_TESTS_UNIT_WIRE_EDGE_H

#include <check.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/*
 * A copy of parser input that ends where its page does, with an unreadable page behind: reading
 * one byte too many is a fault without any sanitizer. The input is at most one page.
 */
struct edge {
	uint8_t *pages;
	size_t page;
};

static inline void edge_open(struct edge *e)
{
	e->page = (size_t)sysconf(_SC_PAGESIZE);
	e->pages = mmap(NULL, 2 * e->page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	ck_assert_ptr_ne(e->pages, MAP_FAILED);
	ck_assert_int_eq(mprotect(e->pages + e->page, e->page, PROT_NONE), 0);
}

static inline uint8_t *edge_put(struct edge *e, const void *data, size_t length)
{
	uint8_t *place = e->pages + e->page - length;

	ck_assert_uint_le(length, e->page);
	if (length > 0)
		memcpy(place, data, length);
	return place;
}

static inline void edge_close(struct edge *e)
{
	munmap(e->pages, 2 * e->page);
}

#endif
