#ifndef POINTSMAN_TESTS_SCENARIO_SCRIPT_H
#define POINTSMAN_TESTS_SCENARIO_SCRIPT_H

#include <stdbool.h>

/*
 * Runs the scripts; their language is described in tests/scenario/README.md.
 */

struct script_result {
	bool passed;
	bool wants_failing; /* it says "allocations may fail" */
	bool alloc_failed;  /* the allocation that was to fail has been reached */
	char why[1024];     /* "file:line: what" */
};

/*
 * Runs one. `fail_nth` > 0: the nth allocation of the proxy (counted from the end of its start)
 * fails; what the script expects is not looked at then, but the proxy must live, serve a new
 * client afterwards, and come to rest.
 */
void script_run(const char *path, unsigned long fail_nth, struct script_result *result);

/* --- allocations that fail (main.c) --- */

void scenario_fail_alloc(unsigned long nth);
bool scenario_alloc_failed(void);

#endif
