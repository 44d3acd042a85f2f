/*
 * Derived keys are derived once: for each password, salt and count; forgetting; log-ins with
 * them, before and after everything is known; threads; a failing Nth allocation.
 */

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "../../../src/auth/scram_internal.h"
#include "../unit.h"

static const uint8_t salt[] = "sixteen bytes ..";

static void teardown(void)
{
	unit_fail_alloc(0);
}

static enum scram_derived derive(const char *password, uint32_t count, struct scram_keys *keys)
{
	return scram_cache_derive(SCRAM_CACHE_OWN, password, salt, 16, count, keys);
}

START_TEST(keys_are_derived_once)
{
	struct scram_keys direct;
	struct scram_keys keys;

	ck_assert(scram_derive_keys("pencil", salt, 16, 100, &direct));
	ck_assert_int_eq(derive("pencil", 100, &keys), SCRAM_DERIVED_NOW);
	ck_assert_mem_eq(&keys, &direct, sizeof(keys));
	memset(&keys, 0, sizeof(keys));
	ck_assert_int_eq(derive("pencil", 100, &keys), SCRAM_DERIVED_BEFORE);
	ck_assert_mem_eq(&keys, &direct, sizeof(keys));
}
END_TEST

START_TEST(what_differs_is_derived_anew)
{
	struct scram_keys keys;

	ck_assert_int_eq(derive("pencil", 100, &keys), SCRAM_DERIVED_NOW);
	ck_assert_int_eq(derive("pencil", 101, &keys), SCRAM_DERIVED_NOW);
	ck_assert_int_eq(derive("pencil ", 100, &keys), SCRAM_DERIVED_NOW);
	ck_assert_int_eq(scram_cache_derive(SCRAM_CACHE_OWN, "pencil", salt, 15, 100, &keys),
			 SCRAM_DERIVED_NOW);
	/* The bytes of one and the other are the same, and where the one ends is not. */
	ck_assert_int_eq(scram_cache_derive(SCRAM_CACHE_OWN, ".pencil", salt, 15, 100, &keys),
			 SCRAM_DERIVED_NOW);
	ck_assert_int_eq(scram_cache_derive(SCRAM_CACHE_SERVERS, "pencil", salt, 16, 100, &keys),
			 SCRAM_DERIVED_NOW);
	ck_assert_uint_eq(scram_cache_count(SCRAM_CACHE_OWN), 5);
}
END_TEST

START_TEST(what_was_not_used_is_forgotten)
{
	struct scram_keys keys;

	derive("old", 10, &keys);
	derive("used", 10, &keys);
	scram_cache_next_generation(SCRAM_CACHE_OWN);
	ck_assert_int_eq(derive("used", 10, &keys), SCRAM_DERIVED_BEFORE);
	derive("new", 10, &keys);
	scram_cache_drop_older(SCRAM_CACHE_OWN);
	ck_assert_uint_eq(scram_cache_count(SCRAM_CACHE_OWN), 2);
	ck_assert_int_eq(derive("used", 10, &keys), SCRAM_DERIVED_BEFORE);
	ck_assert_int_eq(derive("new", 10, &keys), SCRAM_DERIVED_BEFORE);
	ck_assert_int_eq(derive("old", 10, &keys), SCRAM_DERIVED_NOW);
}
END_TEST

/* Of hostile servers each can name another salt each time. */
START_TEST(the_cache_is_bounded)
{
	struct scram_keys keys;
	char password[16];

	for (int i = 0; i < 4200; i++) {
		snprintf(password, sizeof(password), "%d", i);
		scram_cache_derive(SCRAM_CACHE_SERVERS, password, salt, 16, 1, &keys);
	}
	ck_assert_uint_eq(scram_cache_count(SCRAM_CACHE_SERVERS), 4096);
}
END_TEST

/* --- log-ins --- */

static enum scram_result log_in(const char *secret, const char *password)
{
	struct scram_server *server = scram_server_create("user", secret);
	struct scram_client *client = scram_client_create(password);
	struct bytes a = { 0 };
	struct bytes b = { 0 };
	enum scram_result result;
	const char *error;

	ck_assert(server && client && scram_client_first(client, &a));
	while ((result = scram_server_step(server, bytes_begin(&a), bytes_length(&a), &b,
					   &error)) == SCRAM_CONTINUE) {
		bytes_clear(&a);
		ck_assert_int_eq(
			scram_client_step(client, bytes_begin(&b), bytes_length(&b), &a, &error),
			SCRAM_CONTINUE);
		bytes_clear(&b);
	}
	bytes_free(&a);
	bytes_free(&b);
	scram_server_destroy(&server);
	scram_client_destroy(&client);
	return result;
}

static void assert_log_ins(void)
{
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(log_in("pencil", "pencil"), SCRAM_DONE);
		ck_assert_int_eq(log_in("pencil", "pen"), SCRAM_WRONG);
		ck_assert_int_eq(log_in(NULL, "pencil"), SCRAM_WRONG);
	}
}

START_TEST(log_ins_end_as_they_should)
{
	assert_log_ins();
	ck_assert_uint_eq(scram_cache_count(SCRAM_CACHE_OWN), 1);
	scram_warm_begin();
	assert_log_ins();
	ck_assert(scram_warm_up("user", "pencil"));
	ck_assert(scram_warm_up("other", "pencil"));
	scram_warm_end();
	assert_log_ins();
	ck_assert_uint_eq(scram_cache_count(SCRAM_CACHE_OWN), 2);
	/* A password that has changed is another one. */
	scram_warm_begin();
	ck_assert(scram_warm_up("user", "pen"));
	scram_warm_end();
	ck_assert_uint_eq(scram_cache_count(SCRAM_CACHE_OWN), 1);
	ck_assert_int_eq(log_in("pen", "pen"), SCRAM_DONE);
	ck_assert_int_eq(log_in("pen", "pencil"), SCRAM_WRONG);
}
END_TEST

static void *use(void *context)
{
	for (unsigned i = 0; i < 2000; i++) {
		struct scram_keys keys;
		char password[16];

		snprintf(password, sizeof(password), "%u", i % 7);
		derive(password, 1, &keys);
		if (i % 500 == 0) {
			scram_cache_next_generation(SCRAM_CACHE_OWN);
			scram_cache_drop_older(SCRAM_CACHE_OWN);
		}
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
	ck_assert_uint_le(scram_cache_count(SCRAM_CACHE_OWN), 7);
}
END_TEST

START_TEST(without_memory_nothing_is_kept)
{
	struct scram_keys keys;
	bool was_kept = false;

	for (unsigned long nth = 1; nth < 20; nth++) {
		enum scram_derived derived;

		scram_cache_next_generation(SCRAM_CACHE_OWN);
		scram_cache_drop_older(SCRAM_CACHE_OWN);
		unit_fail_alloc(nth);
		derived = derive("pencil", 1, &keys);
		was_kept = !unit_alloc_failed();
		unit_fail_alloc(0);
		ck_assert_int_ne(derived, SCRAM_DERIVED_BEFORE);
		if (derived == SCRAM_DERIVED_NOT)
			continue;
		derived = derive("pencil", 1, &keys);
		ck_assert(!was_kept || derived == SCRAM_DERIVED_BEFORE);
	}
	ck_assert(was_kept);
}
END_TEST

static Suite *scram_cache_suite(void)
{
	Suite *suite = suite_create("auth/scram_cache");
	TCase *tc = tcase_create("scram_cache");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, keys_are_derived_once);
	tcase_add_test(tc, what_differs_is_derived_anew);
	tcase_add_test(tc, what_was_not_used_is_forgotten);
	tcase_add_test(tc, the_cache_is_bounded);
	tcase_add_test(tc, log_ins_end_as_they_should);
	tcase_add_test(tc, threads_may_use_it_at_once);
	tcase_add_test(tc, without_memory_nothing_is_kept);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(scram_cache_suite)
