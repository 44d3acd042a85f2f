/*
 * Runs the scenarios: the *.scn files named as arguments, or all beside this one. Each in a
 * process of its own, so that a crash is the failure of one. A script that says "allocations may
 * fail" is played again and again with the 1st, 2nd, 3rd ... allocation of the proxy failing. The
 * last line is "N passed, N failed, N skipped" for programs.
 */
#include <glob.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "player.h"
#include "script.h"

/* A script takes milliseconds; under a sanitizer, with all its allocations failing, some seconds.
 */
#define SECONDS_MAX 300

static unsigned long calls_left;
static bool alloc_failed;
static bool is_verbose;

/* What calls in the objects under test are renamed to; see the Makefile. */
void *unit_malloc(size_t size);
void *unit_calloc(size_t count, size_t size);
void *unit_realloc(void *old, size_t size);
char *unit_strdup(const char *text);
char *unit_strndup(const char *text, size_t length);

static bool must_fail(void)
{
	if (!player_is_proxy_running || calls_left == 0 || --calls_left > 0)
		return false;
	alloc_failed = true;
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

void scenario_fail_alloc(unsigned long nth)
{
	alloc_failed = false;
	calls_left = nth;
}

bool scenario_alloc_failed(void)
{
	return alloc_failed;
}

/* --- one script --- */

/* All allocations of a script, one after the other. */
static void play_failing(const char *path, struct script_result *result)
{
	for (unsigned long nth = 1;; nth++) {
		char why[sizeof(result->why)];

		if (is_verbose)
			fprintf(stderr, "%s: allocation %lu fails\n", path, nth);
		script_run(path, nth, result);
		if (!result->passed) {
			memcpy(why, result->why, sizeof(why));
			snprintf(result->why, sizeof(result->why),
				 "%.900s (allocation %lu fails)", why, nth);
			return;
		}
		if (!result->alloc_failed)
			return;
	}
}

static void play(const char *path, struct script_result *result, unsigned long only_nth)
{
	if (only_nth > 0) {
		script_run(path, only_nth, result);
		return;
	}
	script_run(path, 0, result);
	if (result->passed && result->wants_failing)
		play_failing(path, result);
}

/* In a child; what it found comes back through shared memory. */
static bool play_apart(const char *path, struct script_result *shared, unsigned long only_nth)
{
	pid_t child;
	int status = 0;

	memset(shared, 0, sizeof(*shared));
	fflush(stdout);
	child = fork();
	if (child == 0) {
		alarm(SECONDS_MAX);
		log_set_level(is_verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
		play(path, shared, only_nth);
		exit(shared->passed ? EXIT_SUCCESS : EXIT_FAILURE);
	}
	if (child == -1 || waitpid(child, &status, 0) == -1)
		return false;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return true;
	if (shared->why[0])
		printf("%s\n", shared->why);
	else if (WIFSIGNALED(status))
		printf("%s: ended by signal %d\n", path, WTERMSIG(status));
	else
		printf("%s: ended with status %d\n", path, WEXITSTATUS(status));
	return false;
}

int main(int argc, char **argv)
{
	struct script_result *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
					    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	glob_t found = { 0 };
	unsigned passed = 0;
	unsigned failed = 0;
	unsigned long only_nth = 0;
	int option;

	while ((option = getopt(argc, argv, "vn:")) != -1) {
		if (option == 'n')
			only_nth = strtoul(optarg, NULL, 10);
		else
			player_traces = is_verbose = true;
	}
	if (optind == argc)
		glob("tests/scenario/*.scn", 0, NULL, &found);
	for (int i = optind; i < argc; i++)
		glob(argv[i], GLOB_NOCHECK | (i > optind ? GLOB_APPEND : 0), NULL, &found);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		if (play_apart(found.gl_pathv[i], shared, only_nth))
			passed++;
		else
			failed++;
	}
	globfree(&found);
	munmap(shared, sizeof(*shared));
	printf("%u passed, %u failed, 0 skipped\n", passed, failed);
	return failed == 0 && passed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
