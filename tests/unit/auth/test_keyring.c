/*
 * The ring of keys: whose key is whose, what is forgotten and when, its bound, sweeping, several
 * threads at once, and a failing Nth allocation.
 */

#include "auth/keyring.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../unit.h"

static struct keyring *ring;

static const struct keyring_owner bob = { "main", "", "bob" };
static const uint8_t key_a[SCRAM_KEY_BYTES] = "key a";
static const uint8_t key_b[SCRAM_KEY_BYTES] = "key b";

static void setup(void)
{
	ring = keyring_create(4);
	ck_assert_ptr_nonnull(ring);
}

static void teardown(void)
{
	unit_fail_alloc(0);
	keyring_destroy(&ring);
	keyring_destroy(&ring);
}

static void assert_known(const struct keyring_owner *owner, const char *secret,
			 const uint8_t *key)
{
	struct keyring_secret out;

	ck_assert(keyring_get(ring, owner, NULL, &out));
	ck_assert_str_eq(out.text, secret);
	ck_assert_int_eq(out.has_key, key != NULL);
	if (key)
		ck_assert_mem_eq(out.client_key, key, SCRAM_KEY_BYTES);
	keyring_secret_free(&out);
	ck_assert_ptr_null(out.text);
}

static void assert_unknown(const struct keyring_owner *owner)
{
	struct keyring_secret out;

	ck_assert(!keyring_get(ring, owner, NULL, &out));
	ck_assert_ptr_null(out.text);
	ck_assert(!out.has_key);
}

START_TEST(what_was_put_is_there)
{
	assert_unknown(&bob);
	ck_assert(keyring_put(ring, &bob, "s1", key_a));
	assert_known(&bob, "s1", key_a);
	ck_assert_uint_eq(keyring_count(ring), 1);
}
END_TEST

/* a key belongs to a cluster, a database's look-up, a user, and a secret. */
START_TEST(a_key_is_for_its_owner_only)
{
	static const struct keyring_owner others[] = { { "other", "", "bob" },
						       { "main", "app", "bob" },
						       { "main", "", "alice" },
						       { "main", "", "" },
						       { "", "main", "bob" } };

	ck_assert(keyring_put(ring, &bob, "s1", key_a));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_unknown(&others[i]);
}
END_TEST

START_TEST(a_key_is_for_its_secret_only)
{
	struct keyring_secret out;

	ck_assert(keyring_put(ring, &bob, "s1", key_a));
	ck_assert(!keyring_get(ring, &bob, "s2", &out));
	ck_assert_ptr_null(out.text);
	ck_assert(keyring_get(ring, &bob, "s1", &out));
	keyring_secret_free(&out);
	/* The secret has changed: the key is gone, also when the old secret comes back. */
	ck_assert(keyring_put(ring, &bob, "s2", NULL));
	assert_known(&bob, "s2", NULL);
	ck_assert(keyring_put(ring, &bob, "s1", NULL));
	assert_known(&bob, "s1", NULL);
	ck_assert_uint_eq(keyring_count(ring), 1);
}
END_TEST

START_TEST(a_key_stays_while_its_secret_does)
{
	ck_assert(keyring_put(ring, &bob, "s1", key_a));
	ck_assert(keyring_put(ring, &bob, "s1", NULL));
	assert_known(&bob, "s1", key_a);
	ck_assert(keyring_put(ring, &bob, "s1", key_b));
	assert_known(&bob, "s1", key_b);
}
END_TEST

START_TEST(who_was_used_longest_ago_makes_room)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };
	struct keyring_owner owner = bob;

	for (int i = 0; i < 4; i++) {
		owner.user = names[i];
		ck_assert(keyring_put(ring, &owner, names[i], key_a));
	}
	owner.user = "a";
	assert_known(&owner, "a", key_a);
	owner.user = "e";
	ck_assert(keyring_put(ring, &owner, "e", key_a));
	ck_assert_uint_eq(keyring_count(ring), 4);
	owner.user = "b";
	assert_unknown(&owner);
	owner.user = "a";
	assert_known(&owner, "a", key_a);
}
END_TEST

static bool is_of_alice(void *context, const struct keyring_owner *owner, const char *secret)
{
	++*(int *)context;
	ck_assert_str_eq(owner->cluster, "main");
	ck_assert_str_eq(secret, "s1");
	return strcmp(owner->user, "alice") == 0;
}

START_TEST(sweeping_forgets_what_is_not_kept)
{
	const struct keyring_owner alice = { "main", "app", "alice" };
	int calls = 0;

	ck_assert(keyring_put(ring, &bob, "s1", key_a));
	ck_assert(keyring_put(ring, &alice, "s1", key_b));
	keyring_sweep(ring, is_of_alice, &calls);
	ck_assert_int_eq(calls, 2);
	assert_unknown(&bob);
	assert_known(&alice, "s1", key_b);
}
END_TEST

static void *use(void *context)
{
	char name[16];
	char secret[16];
	struct keyring_owner owner = { "main", "", name };

	for (unsigned i = 0; i < 2000; i++) {
		struct keyring_secret out;

		snprintf(name, sizeof(name), "u%u", i % 6);
		snprintf(secret, sizeof(secret), "s%u", i % 3);
		keyring_put(ring, &owner, secret, i % 2 ? key_a : NULL);
		if (keyring_get(ring, &owner, NULL, &out))
			keyring_secret_free(&out);
	}
	return context;
}

START_TEST(threads_may_use_it_at_once)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, use, NULL), 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(keyring_count(ring), 4);
}
END_TEST

/* Whatever fails: nothing leaks, and what is there is whole. */
START_TEST(a_failed_allocation_changes_nothing)
{
	bool was_all_right = false;

	for (unsigned long nth = 1; nth < 60 && !was_all_right; nth++) {
		struct keyring_secret out = { 0 };

		keyring_destroy(&ring);
		unit_fail_alloc(nth);
		ring = keyring_create(1);
		was_all_right = ring && keyring_put(ring, &bob, "s1", key_a) &&
				keyring_put(ring, &bob, "s2", key_b) &&
				keyring_put(ring, &(struct keyring_owner){ "main", "", "alice" },
					    "s3", key_b) &&
				keyring_get(ring, &(struct keyring_owner){ "main", "", "alice" },
					    NULL, &out);
		unit_fail_alloc(0);
		keyring_secret_free(&out);
		if (!ring)
			ring = keyring_create(1);
		ck_assert_uint_le(keyring_count(ring), 2);
	}
	ck_assert(was_all_right);
}
END_TEST

static Suite *keyring_suite(void)
{
	Suite *suite = suite_create("auth/keyring");
	TCase *tc = tcase_create("keyring");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_was_put_is_there);
	tcase_add_test(tc, a_key_is_for_its_owner_only);
	tcase_add_test(tc, a_key_is_for_its_secret_only);
	tcase_add_test(tc, a_key_stays_while_its_secret_does);
	tcase_add_test(tc, who_was_used_longest_ago_makes_room);
	tcase_add_test(tc, sweeping_forgets_what_is_not_kept);
	tcase_add_test(tc, threads_may_use_it_at_once);
	tcase_add_test(tc, a_failed_allocation_changes_nothing);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(keyring_suite)
