/* net/loop: order and bounds of deferred work, timers in real time, stopping. */

#include "net/loop.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <event2/event.h>

#include "unit.h"

static struct loop *loop;
static char trace[64];

static void set_up(void)
{
	loop = loop_create();
	ck_assert_ptr_nonnull(loop);
	trace[0] = '\0';
}

static void tear_down(void)
{
	loop_destroy(&loop);
	ck_assert_ptr_null(loop);
}

static usec real_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (usec)now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

/* A string of one letter, as the context of note(). */
static void *letter(char which)
{
	static char letters[128][2];

	letters[(int)which][0] = which;
	return letters[(int)which];
}

static void note(void *context)
{
	strcat(trace, context);
}

START_TEST(destroy_accepts_null)
{
	struct loop *none = NULL;
	struct loop_timer *no_timer = NULL;

	loop_destroy(&none);
	loop_timer_destroy(&no_timer);
}
END_TEST

/* --- deferred work --- */

START_TEST(deferred_runs_once_in_order)
{
	struct loop_deferred a = { 0 }, b = { 0 }, c = { 0 };

	loop_defer(loop, &a, note, letter('a'));
	loop_defer(loop, &b, note, letter('b'));
	loop_defer(loop, &c, note, letter('c'));
	loop_defer(loop, &a, note, letter('x'));
	ck_assert_str_eq(trace, "");
	loop_run_once(loop, true);
	ck_assert_str_eq(trace, "abc");
	loop_run_once(loop, false);
	ck_assert_str_eq(trace, "abc");
	loop_defer(loop, &a, note, letter('a'));
	loop_run_once(loop, false);
	ck_assert_str_eq(trace, "abca");
}
END_TEST

START_TEST(deferred_can_be_taken_back)
{
	struct loop_deferred slots[4] = { 0 };
	static const char *const left[] = { "bcd", "acd", "abd", "abc" };
	struct loop_deferred unqueued = { 0 };

	loop_defer_cancel(loop, &unqueued);
	for (int i = 0; i < 4; i++)
		loop_defer(loop, &slots[i], note, letter((char)('a' + i)));
	loop_defer_cancel(loop, &slots[_i]);
	loop_defer_cancel(loop, &slots[_i]);
	ck_assert(!slots[_i].is_queued);
	loop_run_once(loop, false);
	ck_assert_str_eq(trace, left[_i]);
	/* The list still has its end in the right place. */
	loop_defer(loop, &slots[_i], note, letter('z'));
	loop_run_once(loop, false);
	ck_assert_int_eq(trace[3], 'z');
}
END_TEST

static struct loop_deferred first, second, third;

static void cancel_second(void *context)
{
	note(context);
	loop_defer_cancel(loop, &second);
}

START_TEST(deferred_can_take_back_what_is_about_to_run)
{
	memset(&first, 0, sizeof(first));
	memset(&second, 0, sizeof(second));
	memset(&third, 0, sizeof(third));
	loop_defer(loop, &first, cancel_second, letter('1'));
	loop_defer(loop, &second, note, letter('2'));
	loop_defer(loop, &third, note, letter('3'));
	loop_run_once(loop, false);
	ck_assert_str_eq(trace, "13");
	/* The last one of a round, so that the list's end moves. */
	loop_defer(loop, &first, cancel_second, letter('1'));
	loop_defer(loop, &second, note, letter('2'));
	loop_run_once(loop, false);
	ck_assert_str_eq(trace, "131");
}
END_TEST

static void defer_second(void *context)
{
	note(context);
	loop_defer(loop, &second, note, letter('2'));
}

START_TEST(deferred_work_of_deferred_work_runs_in_the_same_batch)
{
	memset(&first, 0, sizeof(first));
	memset(&second, 0, sizeof(second));
	memset(&third, 0, sizeof(third));
	loop_defer(loop, &first, defer_second, letter('1'));
	loop_defer(loop, &third, note, letter('3'));
	loop_run_once(loop, false);
	ck_assert_str_eq(trace, "132");
}
END_TEST

static unsigned again_calls;

static void again(void *context)
{
	again_calls++;
	loop_defer(loop, context, again, context);
}

static void on_byte(evutil_socket_t fd, short what, void *context)
{
	char byte;

	(void)what;
	ck_assert_int_eq(read(fd, &byte, 1), 1);
	note(context);
}

/* Without the bound this would never come back, without the poll no event would be served. */
START_TEST(endless_deferred_work_starves_no_event_and_never_blocks)
{
	struct loop_deferred slot = { 0 };
	struct event *event;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	event = event_new(loop_base(loop), fds[0], EV_READ, on_byte, letter('e'));
	ck_assert_int_eq(event_add(event, NULL), 0);
	again_calls = 0;
	loop_defer(loop, &slot, again, &slot);
	loop_run_once(loop, true); /* nothing to read: it must not wait for that */
	ck_assert_uint_gt(again_calls, 1);
	ck_assert_uint_lt(again_calls, 1000);
	ck_assert_int_eq(write(fds[1], "x", 1), 1);
	loop_run_once(loop, true);
	ck_assert_str_eq(trace, "e");
	loop_defer_cancel(loop, &slot);
	event_free(event);
	close(fds[0]);
	close(fds[1]);
}
END_TEST

static void defer_free_block(void *context)
{
	char *block = context;

	loop_defer_free(loop, block);
	block[0] = 'f'; /* still ours; asan watches */
	note(block);
}

START_TEST(freed_memory_lives_to_the_end_of_the_batch)
{
	struct loop_deferred slots[200] = { 0 };
	char *block;

	for (size_t i = 0; i < 200; i++) {
		block = calloc(1, 2);
		ck_assert_ptr_nonnull(block);
		if (i < 3)
			loop_defer(loop, &slots[i], defer_free_block, block);
		else
			loop_defer_free(loop, block);
	}
	loop_defer_free(loop, NULL);
	loop_run_once(loop, false);
	ck_assert_str_eq(trace, "fff");
}
END_TEST

START_TEST(destroy_runs_what_is_deferred)
{
	struct loop *other = loop_create();
	struct loop_deferred slot = { 0 };

	loop_defer(other, &slot, note, letter('d'));
	loop_defer_free(other, malloc(1));
	loop_destroy(&other);
	ck_assert_str_eq(trace, "d");
}
END_TEST

/* --- running --- */

static void stop(void *context)
{
	note(context);
	loop_stop(loop);
}

START_TEST(run_returns_after_stop)
{
	struct loop_timer *timer = loop_timer_create(loop, stop, letter('s'));

	loop_timer_start(timer, 0);
	loop_run(loop);
	ck_assert_str_eq(trace, "s");
	/* And can be run again. */
	loop_timer_start(timer, USEC_PER_MS);
	loop_run(loop);
	ck_assert_str_eq(trace, "ss");
	loop_timer_destroy(&timer);
}
END_TEST

START_TEST(run_returns_at_once_when_stopped_before)
{
	loop_stop(loop);
	loop_run(loop);
}
END_TEST

START_TEST(run_once_without_block_does_not_wait)
{
	struct loop_timer *timer = loop_timer_create(loop, note, letter('t'));

	loop_timer_start(timer, 3600 * USEC_PER_SEC);
	loop_run_once(loop, false);
	ck_assert_str_eq(trace, "");
	loop_timer_destroy(&timer);
}
END_TEST

START_TEST(scratch_is_writable_to_its_end)
{
	memset(loop_scratch(loop), 0xA5, LOOP_SCRATCH_BYTES);
}
END_TEST

/* --- timers --- */

static void run_until_trace(size_t length)
{
	while (strlen(trace) < length)
		loop_run_once(loop, true);
}

/* libevent's coarse clock and its cached time both make a naive timer early now and then. */
START_TEST(timer_is_never_early)
{
	struct loop_timer *timer = loop_timer_create(loop, note, letter('t'));

	for (size_t i = 1; i <= 20; i++) {
		usec began = real_now(), delay = (usec)(100 + 333 * i);

		loop_timer_start(timer, delay);
		run_until_trace(i);
		ck_assert_int_ge(real_now() - began, delay);
	}
	loop_timer_destroy(&timer);
}
END_TEST

START_TEST(timer_fires_once_and_in_order)
{
	struct loop_timer *a = loop_timer_create(loop, note, letter('a'));
	struct loop_timer *b = loop_timer_create(loop, note, letter('b'));

	loop_timer_start(b, 12 * USEC_PER_MS);
	loop_timer_start(a, 2 * USEC_PER_MS);
	run_until_trace(2);
	loop_run_once(loop, false);
	ck_assert_str_eq(trace, "ab");
	loop_timer_destroy(&a);
	loop_timer_destroy(&b);
}
END_TEST

START_TEST(timer_set_anew_keeps_only_the_last_time)
{
	struct loop_timer *moved = loop_timer_create(loop, note, letter('m'));
	struct loop_timer *mark = loop_timer_create(loop, note, letter('-'));

	/* Further away. */
	loop_timer_start(moved, USEC_PER_MS);
	loop_timer_start(moved, 25 * USEC_PER_MS);
	loop_timer_start(mark, 8 * USEC_PER_MS);
	run_until_trace(2);
	ck_assert_str_eq(trace, "-m");
	/* Nearer. */
	loop_timer_start(moved, 3600 * USEC_PER_SEC);
	loop_timer_start(moved, USEC_PER_MS);
	loop_timer_start(mark, 25 * USEC_PER_MS);
	run_until_trace(4);
	ck_assert_str_eq(trace, "-mm-");
	loop_timer_destroy(&moved);
	loop_timer_destroy(&mark);
}
END_TEST

START_TEST(timer_stopped_does_not_fire)
{
	struct loop_timer *stopped = loop_timer_create(loop, note, letter('s'));
	struct loop_timer *mark = loop_timer_create(loop, note, letter('-'));

	loop_timer_stop(stopped);
	loop_timer_start(stopped, USEC_PER_MS);
	loop_timer_stop(stopped);
	loop_timer_start(mark, 8 * USEC_PER_MS);
	run_until_trace(1);
	ck_assert_str_eq(trace, "-");
	/* Stopped and started again, the left-over wake-up is not taken for the new one. */
	loop_timer_start(stopped, USEC_PER_MS);
	loop_timer_stop(stopped);
	loop_timer_start(stopped, 25 * USEC_PER_MS);
	loop_timer_start(mark, 8 * USEC_PER_MS);
	run_until_trace(3);
	ck_assert_str_eq(trace, "--s");
	loop_timer_destroy(&stopped);
	loop_timer_destroy(&mark);
}
END_TEST

static struct loop_timer *suicidal;

static void destroy_timer(void *context)
{
	note(context);
	loop_timer_destroy(&suicidal);
}

START_TEST(timer_may_be_destroyed_in_its_own_callback)
{
	suicidal = loop_timer_create(loop, destroy_timer, letter('d'));
	loop_timer_start(suicidal, 0);
	run_until_trace(1);
	loop_run_once(loop, false);
	ck_assert_str_eq(trace, "d");
}
END_TEST

START_TEST(timer_runs_in_real_time_under_a_faked_clock)
{
	struct loop_timer *timer = loop_timer_create(loop, note, letter('t'));

	clock_fake(42);
	loop_timer_start(timer, 2 * USEC_PER_MS);
	run_until_trace(1);
	clock_fake(0);
	loop_timer_destroy(&timer);
}
END_TEST

START_TEST(timer_takes_any_delay)
{
	struct loop_timer *timer = loop_timer_create(loop, note, letter('t'));

	loop_timer_start(timer, INT64_MAX);
	loop_run_once(loop, false);
	loop_timer_start(timer, 0);
	run_until_trace(1);
	loop_timer_destroy(&timer);
}
END_TEST

static Suite *loop_suite(void)
{
	Suite *suite = suite_create("net/loop");
	TCase *tc = tcase_create("loop");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, destroy_accepts_null);
	tcase_add_test(tc, deferred_runs_once_in_order);
	tcase_add_loop_test(tc, deferred_can_be_taken_back, 0, 4);
	tcase_add_test(tc, deferred_can_take_back_what_is_about_to_run);
	tcase_add_test(tc, deferred_work_of_deferred_work_runs_in_the_same_batch);
	tcase_add_test(tc, endless_deferred_work_starves_no_event_and_never_blocks);
	tcase_add_test(tc, freed_memory_lives_to_the_end_of_the_batch);
	tcase_add_test(tc, destroy_runs_what_is_deferred);
	tcase_add_test(tc, run_returns_after_stop);
	tcase_add_test(tc, run_returns_at_once_when_stopped_before);
	tcase_add_test(tc, run_once_without_block_does_not_wait);
	tcase_add_test(tc, scratch_is_writable_to_its_end);
	tcase_add_test(tc, timer_is_never_early);
	tcase_add_test(tc, timer_fires_once_and_in_order);
	tcase_add_test(tc, timer_set_anew_keeps_only_the_last_time);
	tcase_add_test(tc, timer_stopped_does_not_fire);
	tcase_add_test(tc, timer_may_be_destroyed_in_its_own_callback);
	tcase_add_test(tc, timer_runs_in_real_time_under_a_faked_clock);
	tcase_add_test(tc, timer_takes_any_delay);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(loop_suite)
