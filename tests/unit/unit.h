#ifndef POINTSMAN_TESTS_UNIT_UNIT_H
#define POINTSMAN_TESTS_UNIT_UNIT_H

#include <check.h>
#include <stdbool.h>

/*
 * Unit tests: one file for each module, tests/unit/<layer>/test_<module>.c, which makes one
 * Check suite and registers it with UNIT_SUITE(function). No central list.
 */
void unit_register(Suite *(*make)(void));

#define UNIT_SUITE(make)                                               \
	__attribute__((constructor)) static void register_##make(void) \
	{                                                              \
		unit_register(make);                                   \
	}

/*
 * From now on the nth malloc(), calloc(), realloc(), strdup() or strndup() called by our own code
 * (1: the next one; libraries are not concerned) returns NULL, once. 0: none does. For loops that
 * try nth = 1, 2, ... until what is tested succeeds with unit_alloc_failed() still false.
 */
void unit_fail_alloc(unsigned long nth);

/* Whether the failure asked for has happened. */
bool unit_alloc_failed(void);

#endif
