/* Keys of cancel requests: bounds, reading, comparing. */
#include "wire/cancel_key.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

static uint8_t body[4 + CANCEL_SECRET_MAX + 1];

static void fill_body(void)
{
	for (size_t i = 0; i < sizeof(body); i++)
		body[i] = (uint8_t)(i * 7 + 1);
}

/* Before 3.2 the secret has four bytes, and nothing else is a BackendKeyData. */
START_TEST(lengths_by_version)
{
	fill_body();
	for (size_t length = 0; length <= sizeof(body); length++) {
		/* In memory of exactly that size: a read behind it is seen. */
		uint8_t *copy = malloc(length + !length);
		struct cancel_key key = { .length = 9 };

		memcpy(copy, body, length);
		for (unsigned minor = 0; minor < 4; minor++) {
			bool is_good = minor < 2 ? length == 8 : length >= 8 && length <= 260;

			ck_assert(cancel_key_read(&key, minor, copy, length) == is_good);
			ck_assert_uint_eq(key.length, is_good ? length - 4 : 0);
			if (!is_good)
				continue;
			ck_assert_uint_eq(key.pid, 0x01080f16);
			ck_assert_mem_eq(key.secret, body + 4, length - 4);
		}
		free(copy);
	}
}
END_TEST

START_TEST(every_bit_of_a_secret_counts)
{
	struct cancel_key key;
	uint8_t secret[CANCEL_SECRET_MAX];

	fill_body();
	for (size_t length = CANCEL_SECRET_MIN; length <= CANCEL_SECRET_MAX; length += 7) {
		memcpy(secret, body, length);
		ck_assert(cancel_key_set(&key, 1, body, length));
		ck_assert(cancel_secret_is(&key, secret, length));
		for (size_t bit = 0; bit < 8 * length; bit++) {
			secret[bit / 8] ^= (uint8_t)(1 << bit % 8);
			ck_assert(!cancel_secret_is(&key, secret, length));
			secret[bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		ck_assert(!cancel_secret_is(&key, secret, length - 1));
	}
}
END_TEST

/* A session whose key nobody has is opened by no key, not even by an empty one. */
START_TEST(no_key_opens_nothing)
{
	struct cancel_key key;

	ck_assert(!cancel_key_set(&key, 1, body, CANCEL_SECRET_MIN - 1));
	ck_assert(!cancel_secret_is(&key, body, 0));
	ck_assert(!cancel_key_set(&key, 1, body, CANCEL_SECRET_MAX + 1));
	ck_assert(!cancel_secret_is(&key, body, 0));
}
END_TEST

static Suite *cancel_key_suite(void)
{
	Suite *suite = suite_create("cancel_key");
	TCase *tcase = tcase_create("cancel_key");

	tcase_add_test(tcase, lengths_by_version);
	tcase_add_test(tcase, every_bit_of_a_secret_counts);
	tcase_add_test(tcase, no_key_opens_nothing);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(cancel_key_suite)
