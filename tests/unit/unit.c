/*
 * Runs the unit tests: all suites that registered themselves, or those named as arguments. Check
 * prints its summary; the last line is "N passed, N failed, N skipped" for scripts. Also makes
 * allocations of the code under test fail on demand.
 */

#include "unit.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SUITES_MAX 256

static Suite *(*suites[SUITES_MAX])(void);
static unsigned suite_count;

/* Calls until the one that fails; 0 when none does. Atomic for tests that start threads. */
static _Atomic unsigned long calls_left;
static _Atomic bool alloc_failed;

/* What the calls in the objects under test are renamed to; see the Makefile. */
void *unit_malloc(size_t size);
void *unit_calloc(size_t count, size_t size);
void *unit_realloc(void *old, size_t size);
char *unit_strdup(const char *text);
char *unit_strndup(const char *text, size_t length);

static bool must_fail(void)
{
	unsigned long left = atomic_load(&calls_left);

	while (left > 0 && !atomic_compare_exchange_weak(&calls_left, &left, left - 1))
		;
	if (left != 1)
		return false;
	atomic_store(&alloc_failed, true);
	return true;
}

void *unit_malloc(size_t size)
{
	return must_fail() ? NULL : malloc(size);
}

void *unit_calloc(size_t count, size_t size)
{
	return must_fail() ? NULL : calloc(count, size);
}

void *unit_realloc(void *old, size_t size)
{
	return must_fail() ? NULL : realloc(old, size);
}

char *unit_strdup(const char *text)
{
	return must_fail() ? NULL : strdup(text);
}

char *unit_strndup(const char *text, size_t length)
{
	return must_fail() ? NULL : strndup(text, length);
}

void unit_fail_alloc(unsigned long nth)
{
	atomic_store(&alloc_failed, false);
	atomic_store(&calls_left, nth);
}

bool unit_alloc_failed(void)
{
	return atomic_load(&alloc_failed);
}

void unit_register(Suite *(*make)(void))
{
	if (suite_count == SUITES_MAX) {
		fprintf(stderr, "unit: more than %d suites\n", SUITES_MAX);
		exit(EXIT_FAILURE);
	}
	suites[suite_count++] = make;
}

/* Runs the suite of that name, or all for NULL; false when no test ran. */
static bool run(SRunner *runner, const char *suite_name)
{
	int before = srunner_ntests_run(runner);

	srunner_run(runner, suite_name, NULL, CK_ENV);
	if (srunner_ntests_run(runner) > before)
		return true;
	fprintf(stderr, "unit: no tests%s%s\n", suite_name ? " in suite " : "",
		suite_name ? suite_name : "");
	return false;
}

int main(int argc, char **argv)
{
	SRunner *runner = srunner_create(NULL);
	bool complete = true;
	int ran, failed;

	for (unsigned i = 0; i < suite_count; i++)
		srunner_add_suite(runner, suites[i]());
	if (argc < 2)
		complete = run(runner, NULL);
	for (int i = 1; i < argc; i++)
		complete = run(runner, argv[i]) && complete;

	ran = srunner_ntests_run(runner);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	printf("%d passed, %d failed, 0 skipped\n", ran - failed, failed);
	return failed == 0 && complete ? EXIT_SUCCESS : EXIT_FAILURE;
}
