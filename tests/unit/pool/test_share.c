/* pool/share: budgets that several threads take from, caps over pools, who waits and who has. */

#include "pool/share.h"

#include <pthread.h>
#include <string.h>

#include "base/bytes.h"
#include "unit.h"

#define LIMIT   7
#define THREADS 4

static struct pool_registry *registry;

static void set_up(void)
{
	registry = pool_registry_create();
	ck_assert_ptr_nonnull(registry);
}

static void tear_down(void)
{
	pool_registry_destroy(&registry);
	ck_assert_ptr_null(registry);
	pool_registry_destroy(&registry);
}

static struct pool_share *share_of(const char *database, const char *user, int limit)
{
	struct pool_key key = {
		.node_name = "n", .cluster_name = "c", .database = database, .user = user
	};
	struct pool_share *share = pool_share_get(registry, &key);

	ck_assert_ptr_nonnull(share);
	atomic_store(&share->limit, limit);
	return share;
}

START_TEST(one_share_for_each_key)
{
	struct pool_share *a = share_of("d", "u", 1);
	struct pool_share *same = share_of("d", "u", 1);
	struct pool_share *other = share_of("du", "", 1);

	ck_assert_ptr_eq(a, same);
	ck_assert_ptr_ne(a, other);
	pool_share_put(registry, &same);
	ck_assert_ptr_null(same);
	ck_assert(pool_share_take(a)); /* it is still there */
	pool_share_give_back(a);
	pool_share_put(registry, &a);
	pool_share_put(registry, &other);
	pool_share_put(registry, &other); /* NULL now */
}
END_TEST

START_TEST(the_parts_of_a_key_do_not_run_together)
{
	struct pool_key one = {
		.node_name = "ab", .cluster_name = "c", .database = "d", .user = "e"
	};
	struct pool_key two = {
		.node_name = "a", .cluster_name = "c", .database = "bd", .user = "e"
	};
	struct bytes a = { 0 };
	struct bytes b = { 0 };

	ck_assert(pool_key_text(&one, &a) && pool_key_text(&two, &b));
	ck_assert(bytes_length(&a) == bytes_length(&b) &&
		  memcmp(bytes_begin(&a), bytes_begin(&b), bytes_length(&a)) != 0);
	bytes_free(&a);
	bytes_free(&b);
}
END_TEST

START_TEST(loads_last_as_long_as_the_registry)
{
	struct pool_node_load *a = pool_node_load_get(registry, "c", "n");

	ck_assert_ptr_nonnull(a);
	ck_assert_ptr_eq(a, pool_node_load_get(registry, "c", "n"));
	ck_assert_ptr_ne(a, pool_node_load_get(registry, "c", "m"));
	ck_assert_ptr_ne(a, pool_node_load_get(registry, "cn", ""));
}
END_TEST

START_TEST(a_budget_is_spent)
{
	struct pool_share *share = share_of("d", "u", 2);

	ck_assert(pool_share_take(share));
	ck_assert(pool_share_take(share));
	ck_assert(!pool_share_take(share));
	pool_share_give_back(share);
	ck_assert(pool_share_take(share));
	/* a smaller limit takes nothing away, and gives nothing more */
	atomic_store(&share->limit, 1);
	pool_share_give_back(share);
	ck_assert(!pool_share_take(share));
	pool_share_give_back(share);
	ck_assert(pool_share_take(share));
	pool_share_give_back(share);
	atomic_store(&share->limit, 0);
	ck_assert(!pool_share_take(share));
	pool_share_put(registry, &share);
}
END_TEST

START_TEST(more_is_given_back_than_was_taken)
{
	struct pool_share *share = share_of("d", "u", 1);

	pool_share_give_back(share);
}
END_TEST

START_TEST(caps_span_pools)
{
	struct pool_share *a = share_of("d", "u", 5);
	struct pool_share *b = share_of("d", "v", 5);
	struct pool_share *c = share_of("e", "u", 5);

	ck_assert_ptr_eq(a->database_cap, b->database_cap);
	ck_assert_ptr_eq(a->user_cap, c->user_cap);
	ck_assert_ptr_ne(a->database_cap, c->database_cap);
	atomic_store(&a->database_cap->limit, 2);
	ck_assert(pool_share_take(a) && pool_share_take(b));
	ck_assert(!pool_share_take(a));
	ck_assert_int_eq(atomic_load(&a->servers), 1); /* what was tried is taken back */
	ck_assert(pool_share_take(c));
	/* somebody wants one: said once */
	ck_assert(pool_share_is_asked_for_one(b));
	ck_assert(!pool_share_is_asked_for_one(b));
	ck_assert(!pool_share_is_asked_for_one(c));
	pool_share_give_back(b);
	ck_assert(pool_share_take(a));
	/* the user's */
	atomic_store(&a->user_cap->limit, 3);
	atomic_store(&a->database_cap->limit, 0);
	ck_assert(!pool_share_take(c));
	ck_assert_int_eq(atomic_load(&c->database_cap->taken), 1);
	ck_assert(pool_share_is_asked_for_one(a));
	pool_share_give_back(a);
	pool_share_give_back(a);
	pool_share_give_back(c);
	ck_assert_int_eq(atomic_load(&a->user_cap->taken), 0);
	pool_share_put(registry, &a);
	pool_share_put(registry, &b);
	pool_share_put(registry, &c);
}
END_TEST

/* A minimum is below the limit, the reserve above it; caps hold for both. */
START_TEST(a_ceiling_of_the_taker)
{
	struct pool_share *share = share_of("d", "u", 3);

	ck_assert(!pool_share_take_below(share, 0));
	ck_assert(!pool_share_take_below(share, -1));
	ck_assert(pool_share_take_below(share, 1));
	ck_assert(!pool_share_take_below(share, 1));
	ck_assert(pool_share_take(share) && pool_share_take(share) && !pool_share_take(share));
	ck_assert(pool_share_take_below(share, 4));
	ck_assert(!pool_share_take_below(share, 4));
	atomic_store(&share->user_cap->limit, 4);
	ck_assert(!pool_share_take_below(share, 9));
	ck_assert_int_eq(atomic_load(&share->servers), 4);
	for (int i = 0; i < 4; i++)
		pool_share_give_back(share);
	pool_share_put(registry, &share);
}
END_TEST

START_TEST(too_many_after_a_limit_was_lowered)
{
	struct pool_share *share = share_of("d", "u", 2);

	atomic_store(&share->reserve, 1);
	ck_assert(!pool_share_has_too_many(share));
	for (int i = 0; i < 3; i++)
		ck_assert(pool_share_take_below(share, 3));
	ck_assert(!pool_share_has_too_many(share)); /* the reserve may be */
	atomic_store(&share->limit, 1);
	ck_assert(pool_share_has_too_many(share));
	atomic_store(&share->limit, 5);
	ck_assert(!pool_share_has_too_many(share));
	atomic_store(&share->database_cap->limit, 2);
	ck_assert(pool_share_has_too_many(share));
	pool_share_give_back(share);
	ck_assert(!pool_share_has_too_many(share));
	atomic_store(&share->user_cap->limit, 1);
	ck_assert(pool_share_has_too_many(share));
	atomic_store(&share->user_cap->limit, 0); /* no limit */
	ck_assert(!pool_share_has_too_many(share));
	pool_share_give_back(share);
	pool_share_give_back(share);
	pool_share_put(registry, &share);
}
END_TEST

START_TEST(lifetimes_end_one_after_the_other)
{
	struct pool_share *share = share_of("d", "u", 2);

	ck_assert(pool_share_may_end_lifetime(share, 1000, 500)); /* the first at once */
	ck_assert(!pool_share_may_end_lifetime(share, 1000, 500));
	ck_assert(!pool_share_may_end_lifetime(share, 1499, 500));
	ck_assert(pool_share_may_end_lifetime(share, 1500, 500));
	ck_assert(!pool_share_may_end_lifetime(share, 1501, 500)); /* counted from the last yes */
	ck_assert(pool_share_may_end_lifetime(share, 1501, 0));
	pool_share_put(registry, &share);
}
END_TEST

static atomic_int lifetimes_ended;

static void *end_lifetimes(void *context)
{
	for (usec now = 1000; now < 20000; now++)
		atomic_fetch_add(&lifetimes_ended,
				 pool_share_may_end_lifetime(context, now, 100000));
	return NULL;
}

START_TEST(threads_end_one_lifetime)
{
	struct pool_share *share = share_of("d", "u", 2);
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, end_lifetimes, share), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_eq(atomic_load(&lifetimes_ended), 1);
	pool_share_put(registry, &share);
}
END_TEST

START_TEST(caps_of_clients)
{
	struct pool_cap *database = pool_client_cap_get(registry, POOL_CAP_DATABASE, "x");
	struct pool_cap *user = pool_client_cap_get(registry, POOL_CAP_USER, "x");
	struct pool_cap *same = pool_client_cap_get(registry, POOL_CAP_USER, "x");

	ck_assert_ptr_nonnull(database);
	ck_assert_ptr_ne(database, user);
	ck_assert_ptr_eq(user, same);
	for (int i = 0; i < 100; i++)
		ck_assert(pool_client_cap_take(user)); /* no limit */
	atomic_store(&user->limit, 100);
	ck_assert(!pool_client_cap_take(user));
	pool_client_cap_give_back(user);
	ck_assert(pool_client_cap_take(user));
	/* who is in stays in; nobody new until there is room */
	atomic_store(&user->limit, 98);
	ck_assert(!pool_client_cap_take(user));
	for (int i = 0; i < 3; i++)
		pool_client_cap_give_back(user);
	ck_assert(pool_client_cap_take(user));
	ck_assert(pool_client_cap_take(database));
	pool_client_cap_give_back(database);
	pool_client_cap_put(registry, &same);
	ck_assert_ptr_null(same);
	ck_assert_int_eq(atomic_load(&user->taken), 98); /* it is still there */
	for (int i = 0; i < 98; i++)
		pool_client_cap_give_back(user);
	pool_client_cap_put(registry, &user);
	pool_client_cap_put(registry, &user); /* NULL now */
	pool_client_cap_put(registry, &database);
	/* a new one, without a memory */
	user = pool_client_cap_get(registry, POOL_CAP_USER, "x");
	ck_assert_int_eq(atomic_load(&user->limit), 0);
	pool_client_cap_put(registry, &user);
}
END_TEST

/* Caps of servers go with the last share that has them. */
START_TEST(caps_go_with_their_shares)
{
	struct pool_share *a = share_of("d", "u", 5);
	struct pool_share *b = share_of("d", "v", 5);

	atomic_store(&a->database_cap->limit, 3);
	atomic_store(&a->user_cap->limit, 3);
	pool_share_put(registry, &a);
	ck_assert_int_eq(atomic_load(&b->database_cap->limit), 3);
	a = share_of("d", "u", 5);
	ck_assert_ptr_eq(a->database_cap, b->database_cap);
	ck_assert_int_eq(atomic_load(&a->user_cap->limit), 0);
	pool_share_put(registry, &a);
	pool_share_put(registry, &b);
	b = share_of("d", "v", 5);
	ck_assert_int_eq(atomic_load(&b->database_cap->limit), 0);
	pool_share_put(registry, &b);
}
END_TEST

static atomic_int most;

static void *take_and_give(void *context)
{
	struct pool_share *share = context;

	for (int i = 0; i < 20000; i++) {
		int now;

		if (!pool_share_take(share))
			continue;
		now = atomic_load(&share->servers);
		if (now > atomic_load(&most))
			atomic_store(&most, now);
		pool_share_give_back(share);
	}
	return NULL;
}

START_TEST(threads_never_take_more_than_there_is)
{
	struct pool_share *share = share_of("d", "u", 2);
	pthread_t threads[THREADS];

	atomic_store(&share->user_cap->limit, LIMIT);
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, take_and_give, share), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_int_le(atomic_load(&most), 2);
	ck_assert_int_gt(atomic_load(&most), 0);
	ck_assert_int_eq(atomic_load(&share->servers), 0);
	ck_assert_int_eq(atomic_load(&share->user_cap->taken), 0);
	ck_assert_int_eq(atomic_load(&share->database_cap->taken), 0);
	pool_share_put(registry, &share);
}
END_TEST

static void *get_and_put(void *context)
{
	(void)context;
	for (int i = 0; i < 2000; i++) {
		struct pool_key key = { .node_name = "n",
					.cluster_name = "c",
					.database = "d",
					.user = i & 1 ? "u" : "v" };
		struct pool_share *share = pool_share_get(registry, &key);

		ck_assert_ptr_nonnull(share);
		pool_share_put(registry, &share);
	}
	return NULL;
}

START_TEST(threads_find_and_drop_shares)
{
	pthread_t threads[THREADS];

	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, get_and_put, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}
END_TEST

/* Who is next: since when three workers wait (0: not), whom something is on its way to, who asks.
 */
static const struct {
	usec since[3];
	int offered;
	int own;
	usec tolerance;
	int next;
} queues[] = {
	{ { 0, 0, 0 }, -1, 0, 0, -1 },
	{ { 0, 0, 0 }, -1, 2, 100, -1 },
	{ { 50, 0, 0 }, -1, 0, 0, 0 },
	{ { 0, 50, 0 }, -1, 0, 0, 1 },
	{ { 0, 60, 50 }, -1, 0, 0, 2 },
	/* the own waiter, unless another has waited that much longer */
	{ { 1000, 950, 0 }, -1, 0, 100, 0 },
	{ { 1000, 900, 0 }, -1, 0, 100, 0 },
	{ { 1000, 899, 0 }, -1, 0, 100, 1 },
	{ { 1000, 999, 0 }, -1, 0, 0, 1 },
	{ { 1000, 1000, 0 }, -1, 0, 0, 0 },
	{ { 1000, 1000, 0 }, -1, 1, 0, 1 },
	/* who is being served already is left out, but for oneself */
	{ { 0, 50, 60 }, 1, 0, 0, 2 },
	{ { 0, 50, 0 }, 1, 0, 0, -1 },
	{ { 50, 0, 0 }, 0, 0, 0, 0 },
	{ { 1000, 10, 0 }, 1, 0, 100, 0 },
};

START_TEST(next_waiter)
{
	struct pool_share *share = share_of("d", "u", 1);

	for (int i = 0; i < 3; i++) {
		atomic_store(&share->slots[i].oldest_wait, queues[_i].since[i]);
		atomic_store(&share->slots[i].is_offered, i == queues[_i].offered);
	}
	ck_assert_int_eq(pool_share_next_waiter(share, 3, queues[_i].own, queues[_i].tolerance),
			 queues[_i].next);
	pool_share_put(registry, &share);
}
END_TEST

/* A worker beyond the number of workers is not looked at. */
START_TEST(only_so_many_workers)
{
	struct pool_share *share = share_of("d", "u", 1);

	atomic_store(&share->slots[2].oldest_wait, 5);
	atomic_store(&share->slots[2].idle, 1);
	ck_assert_int_eq(pool_share_next_waiter(share, 2, 0, 0), -1);
	ck_assert_int_eq(pool_share_find_idle(share, 2, 0), -1);
	ck_assert_int_eq(pool_share_next_waiter(share, 3, 0, 0), 2);
	ck_assert_int_eq(pool_share_find_idle(share, 3, 0), 2);
	pool_share_put(registry, &share);
}
END_TEST

START_TEST(find_idle)
{
	struct pool_share *share = share_of("d", "u", 1);

	atomic_store(&share->slots[1].idle, 3);
	ck_assert_int_eq(pool_share_find_idle(share, 3, 1), -1); /* not the own ones */
	ck_assert_int_eq(pool_share_find_idle(share, 3, 0), 1);
	ck_assert_int_eq(pool_share_find_idle(share, 3, 2), 1);
	atomic_store(&share->slots[0].idle, 1);
	ck_assert_int_eq(pool_share_find_idle(share, 3, 2),
			 0); /* round, beginning behind oneself */
	ck_assert_int_eq(pool_share_find_idle(share, 1, 0), -1);
	pool_share_put(registry, &share);
}
END_TEST

START_TEST(a_failed_allocation_is_reported)
{
	unsigned long nth = 1;
	bool failed = true;

	for (; failed; nth++) {
		struct pool_key key = {
			.node_name = "x", .cluster_name = "c", .database = "d", .user = "u"
		};
		struct pool_registry *own;
		struct pool_share *share;
		struct pool_node_load *load;
		struct pool_cap *cap;

		unit_fail_alloc(nth);
		own = pool_registry_create();
		share = own ? pool_share_get(own, &key) : NULL;
		load = own ? pool_node_load_get(own, "c", "n") : NULL;
		cap = own ? pool_client_cap_get(own, POOL_CAP_USER, "u") : NULL;
		failed = unit_alloc_failed();
		unit_fail_alloc(0);
		ck_assert(failed || (own && share && load && cap));
		if (own) {
			pool_share_put(own, &share);
			pool_client_cap_put(own, &cap);
		}
		pool_registry_destroy(&own);
	}
	ck_assert_uint_gt(nth, 6);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *share_suite(void)
{
	Suite *suite = suite_create("pool/share");
	TCase *tc = tcase_create("share");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, one_share_for_each_key);
	tcase_add_test(tc, the_parts_of_a_key_do_not_run_together);
	tcase_add_test(tc, loads_last_as_long_as_the_registry);
	tcase_add_test(tc, a_budget_is_spent);
	tcase_add_test_raise_signal(tc, more_is_given_back_than_was_taken, 6);
	tcase_add_test(tc, caps_span_pools);
	tcase_add_test(tc, a_ceiling_of_the_taker);
	tcase_add_test(tc, too_many_after_a_limit_was_lowered);
	tcase_add_test(tc, lifetimes_end_one_after_the_other);
	tcase_add_test(tc, threads_end_one_lifetime);
	tcase_add_test(tc, caps_of_clients);
	tcase_add_test(tc, caps_go_with_their_shares);
	tcase_add_test(tc, threads_never_take_more_than_there_is);
	tcase_add_test(tc, threads_find_and_drop_shares);
	tcase_add_loop_test(tc, next_waiter, 0, ROWS(queues));
	tcase_add_test(tc, only_so_many_workers);
	tcase_add_test(tc, find_idle);
	tcase_add_test(tc, a_failed_allocation_is_reported);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(share_suite)
