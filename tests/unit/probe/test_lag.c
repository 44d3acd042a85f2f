/* probe/lag: staleness from positions, roles, back-off. */

#include "probe/lag.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define MB      1048576ull
#define SEGMENT (16 * MB)
#define BLOCK   8192ull

static struct lag_track *track;

static void set_up(void)
{
	track = calloc(1, sizeof(*track));
	ck_assert_ptr_nonnull(track);
}

static void tear_down(void)
{
	free(track);
}

/* --- staleness --- */

START_TEST(without_samples_nothing_is_known)
{
	ck_assert_int_eq(lag_measure(track, 100, 1, 1000), -1);
	ck_assert_uint_eq(lag_bytes(track, 100), 0);
}
END_TEST

static const struct {
	uint64_t lsn;
	usec lag; /* at 1000 */
	uint64_t bytes;
} positions[] = {
	{ 0, -1, 300 },  /* it did not say */
	{ 99, -1, 201 }, /* behind all that we know: no bound */
	{ 100, 900, 200 },      { 101, 900, 199 }, { 199, 900, 101 }, { 200, 800, 100 },
	{ 299, 800, 1 },        { 300, 600, 0 },   { 301, 600, 0 }, /* asked after the primary was
								     */
	{ UINT64_MAX, 600, 0 },
};

START_TEST(age_of_the_newest_sample_reached)
{
	lag_add(track, 100, 100, 1);
	lag_add(track, 200, 200, 1);
	lag_add(track, 400, 300, 1);
	ck_assert_int_eq(lag_measure(track, positions[_i].lsn, 1, 1000), positions[_i].lag);
	ck_assert_uint_eq(lag_bytes(track, positions[_i].lsn), positions[_i].bytes);
}
END_TEST

/* An idle primary: no lag beyond the probe interval, however long nothing was written. */
START_TEST(idle_primary_keeps_its_replicas_fresh)
{
	lag_add(track, 50, 90, 1);
	for (usec now = 100; now <= 100000; now += 100)
		lag_add(track, now, 100, 1);
	ck_assert_uint_eq(track->n, 2);
	ck_assert_int_eq(lag_measure(track, 100, 1, 100010), 10);
	ck_assert_int_eq(lag_measure(track, 95, 1, 100010), 100010 - 50);
}
END_TEST

/* A primary that is gone sends no samples: who had all it wrote grows old too. */
START_TEST(lag_grows_without_a_primary)
{
	lag_add(track, 100, 100, 1);
	ck_assert_int_eq(lag_measure(track, 100, 1, 200), 100);
	ck_assert_int_eq(lag_measure(track, 100, 1, 100000), 99900);
}
END_TEST

/* The sample was asked for after the replica had answered. */
START_TEST(lag_is_never_negative)
{
	lag_add(track, 100, 100, 1);
	ck_assert_int_eq(lag_measure(track, 100, 1, 90), 0);
}
END_TEST

START_TEST(samples_out_of_order_are_dropped)
{
	lag_add(track, 100, 100, 1);
	lag_add(track, 90, 80, 1);
	ck_assert_uint_eq(track->n, 1);
	ck_assert_int_eq(lag_measure(track, 80, 1, 200), -1);
}
END_TEST

/* A crash may lose what was inserted but not flushed; then positions are used twice. */
START_TEST(positions_may_go_back)
{
	lag_add(track, 100, 100, 1);
	lag_add(track, 200, 90, 1);
	ck_assert_int_eq(lag_measure(track, 90, 1, 300), 100);
	lag_add(track, 300, 110, 1);
	ck_assert_int_eq(lag_measure(track, 100, 1, 400), 200);
	ck_assert_int_eq(lag_measure(track, 110, 1, 400), 100);
}
END_TEST

/* What follows the old timeline may have replayed bytes that the new one does not have. */
START_TEST(later_timelines_do_not_count_for_those_left_behind)
{
	lag_add(track, 100, 100, 1);
	lag_add(track, 200, 150, 2);
	ck_assert_int_eq(lag_measure(track, 160, 1, 300), 200);
	ck_assert_int_eq(lag_measure(track, 160, 2, 300), 100);
	ck_assert_int_eq(lag_measure(track, 120, 2, 300), 200);
	/* A node that does not tell is taken to be where we began. */
	ck_assert_int_eq(lag_measure(track, 160, 0, 300), 200);
}
END_TEST

/* Without that a full track would let a slow replica appear fresher, or unknown for ever. */
START_TEST(a_full_track_thins_out_and_stays_true)
{
	const usec end = 20 * LAG_SAMPLES_MAX;
	usec last = end;

	for (usec now = 1; now <= end; now++)
		lag_add(track, now, (uint64_t)now * 10, 1);
	ck_assert_uint_le(track->n, LAG_SAMPLES_MAX);
	for (uint64_t lsn = 10; lsn <= (uint64_t)end * 10; lsn++) {
		usec lag = lag_measure(track, lsn, 1, end), truth = end - (usec)(lsn / 10);

		ck_assert_int_ge(lag, truth);
		ck_assert_int_le(lag, last);
		last = lag;
	}
	ck_assert_int_eq(last, 0);
	/* The newest are exact, and even the first is still there. */
	for (usec at = end - LAG_SAMPLES_MAX / 2 + 1; at <= end; at++)
		ck_assert_int_eq(lag_measure(track, (uint64_t)at * 10, 1, end), end - at);
	ck_assert_int_eq(lag_measure(track, 10, 1, end), end - 1);
}
END_TEST

START_TEST(reset_forgets_all)
{
	lag_add(track, 100, 100, 3);
	lag_reset(track);
	ck_assert_int_eq(lag_measure(track, 100, 3, 200), -1);
	lag_add(track, 50, 10, 1);
	ck_assert_int_eq(lag_measure(track, 10, 0, 60), 10);
}
END_TEST

/* As PostgreSQL 15 says after pg_switch_wal(): insert 0/4000028, replayed 0/4000000. */
static const struct {
	uint64_t insert, end;
} inserts[] = {
	{ 0x4000028, 0x4000000 }, /* first page of a segment: long header */
	{ 0x4000018, 0x4000000 }, /* not a place where anything begins; harmless */
	{ 0x4002018, 0x4002000 }, /* any other page */
	{ 0x4002028, 0x4002028 }, /* 16 bytes of a record that began on the page before */
	{ 0x4000029, 0x4000029 },
	{ 0x4002019, 0x4002019 },
	{ 0x4002000, 0x4002000 },
	{ 0x4100028, 0x4100028 }, /* a multiple of 1 MB is no segment of 16 MB */
	{ 0, 0 },
};

START_TEST(insert_position_as_replicas_count)
{
	ck_assert_uint_eq(lag_insert_end(inserts[_i].insert, SEGMENT, BLOCK), inserts[_i].end);
	/* Without the sizes nothing may be taken away. */
	ck_assert_uint_eq(lag_insert_end(inserts[_i].insert, 0, 0), inserts[_i].insert);
}
END_TEST

/* --- roles --- */

static const struct {
	struct role_memory memory;
	struct probe_answer answer;
	enum node_role role;
	const char *why;
} roles[] = {
	{ { 0, 0 }, { .timeline = 1, .system_id = 7 }, NODE_ROLE_PRIMARY, "probe answered" },
	{ { 0, 0 }, { .in_recovery = true }, NODE_ROLE_REPLICA, "probe answered" },
	{ { 7, 2 }, { .timeline = 2, .system_id = 7 }, NODE_ROLE_PRIMARY, "probe answered" },
	{ { 7, 2 }, { .timeline = 3, .system_id = 7 }, NODE_ROLE_PRIMARY, "probe answered" },
	/* A former primary that came back. */
	{ { 7, 2 }, { .timeline = 1, .system_id = 7 }, NODE_ROLE_UNKNOWN, "former primary" },
	/* A replica may still be on its way to the new timeline: its lag tells. */
	{ { 7, 2 },
	  { .in_recovery = true, .timeline = 1, .system_id = 7 },
	  NODE_ROLE_REPLICA,
	  "probe answered" },
	/* Another database altogether. */
	{ { 7, 2 }, { .timeline = 5, .system_id = 8 }, NODE_ROLE_UNKNOWN, "another database" },
	{ { 7, 2 },
	  { .in_recovery = true, .timeline = 2, .system_id = 8 },
	  NODE_ROLE_UNKNOWN,
	  "another database" },
	/* Who does not tell is believed. */
	{ { 7, 2 }, { .timeline = 0, .system_id = 0 }, NODE_ROLE_PRIMARY, "probe answered" },
	{ { 0, 2 }, { .timeline = 2, .system_id = 8 }, NODE_ROLE_PRIMARY, "probe answered" },
};

START_TEST(role_from_the_answer)
{
	char why[96];
	enum node_role role = role_decide(&roles[_i].memory, &roles[_i].answer, why, sizeof(why));

	ck_assert_int_eq(role, roles[_i].role);
	ck_assert_msg(strstr(why, roles[_i].why) != NULL, "%s", why);
}
END_TEST

START_TEST(the_longest_reason_fits)
{
	struct role_memory memory = { UINT64_MAX, 1 };
	struct probe_answer answer = { .system_id = UINT64_MAX - 1 };
	char why[96];

	role_decide(&memory, &answer, why, sizeof(why));
	ck_assert_ptr_nonnull(strstr(why, "18446744073709551615"));
}
END_TEST

START_TEST(memory_only_goes_forward)
{
	struct role_memory memory = { 0 };

	role_remember(&memory, &(struct probe_answer){ .timeline = 2, .system_id = 7 });
	role_remember(&memory, &(struct probe_answer){ .timeline = 0, .system_id = 0 });
	ck_assert_uint_eq(memory.timeline, 2);
	ck_assert_uint_eq(memory.system_id, 7);
	role_remember(&memory, &(struct probe_answer){ .timeline = 3, .system_id = 7 });
	ck_assert_uint_eq(memory.timeline, 3);
}
END_TEST

/* --- back-off --- */

START_TEST(backoff_is_patient_then_doubles_to_eight)
{
	static const usec expected[] = { 1, 1, 1, 2, 4, 8, 8, 8 };

	for (unsigned failures = 1; failures <= 8; failures++) {
		ck_assert_int_eq(backoff_delay(failures, USEC_PER_SEC, false),
				 expected[failures - 1] * USEC_PER_SEC);
		ck_assert_int_eq(backoff_delay(failures, USEC_PER_SEC, true), USEC_PER_SEC);
	}
	ck_assert_int_eq(backoff_delay(UINT32_MAX, USEC_PER_SEC, false), 8 * USEC_PER_SEC);
}
END_TEST

static Suite *lag_suite(void)
{
	Suite *suite = suite_create("probe/lag");
	TCase *tc = tcase_create("lag");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, without_samples_nothing_is_known);
	tcase_add_loop_test(tc, age_of_the_newest_sample_reached, 0,
			    sizeof(positions) / sizeof(positions[0]));
	tcase_add_test(tc, idle_primary_keeps_its_replicas_fresh);
	tcase_add_test(tc, lag_grows_without_a_primary);
	tcase_add_test(tc, lag_is_never_negative);
	tcase_add_test(tc, samples_out_of_order_are_dropped);
	tcase_add_test(tc, positions_may_go_back);
	tcase_add_test(tc, later_timelines_do_not_count_for_those_left_behind);
	tcase_add_test(tc, a_full_track_thins_out_and_stays_true);
	tcase_add_test(tc, reset_forgets_all);
	tcase_add_loop_test(tc, insert_position_as_replicas_count, 0,
			    sizeof(inserts) / sizeof(inserts[0]));
	tcase_add_loop_test(tc, role_from_the_answer, 0, sizeof(roles) / sizeof(roles[0]));
	tcase_add_test(tc, the_longest_reason_fits);
	tcase_add_test(tc, memory_only_goes_forward);
	tcase_add_test(tc, backoff_is_patient_then_doubles_to_eight);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(lag_suite)
