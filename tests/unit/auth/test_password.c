/*
 * MD5 answers against vectors, in both directions; clear-text checks: every kind of secret by
 * every kind of password; no secret; empty and over-long passwords; a provider without MD5.
 */

#include "auth/password.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "../unit.h"

/* md5("pencil" || "bob"), and the answer for this salt, which has a zero byte in it. */
#define MD5_SECRET   "md5e4f70fb0b8f2745aa7a69557c80cbd0c"
#define MD5_RESPONSE "md5a8cf41c390926523aba0cac4257c370d"
#define SCRAM_SECRET                                    \
	"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"  \
	"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:" \
	"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static const uint8_t salt[4] = { 1, 2, 0xff, 0 };

/* --- MD5 --- */

static const struct {
	const char *secret;
	const char *user;
	bool answers;
	bool fits; /* MD5_RESPONSE proves it */
} md5_rows[] = {
	{ "pencil", "bob", true, true },
	{ MD5_SECRET, "bob", true, true },
	{ MD5_SECRET, "alice", true, true }, /* the name is in the digits already */
	{ "pencil", "alice", true, false },
	{ "pencil", "", true, false },
	{ "pencilb", "ob", true, true }, /* as in PostgreSQL: nothing separates the two */
	{ "Pencil", "bob", true, false },
	{ "md5e4f70fb0b8f2745aa7a69557c80cbd0d", "bob", true, false },
	{ "md5E4F70FB0B8F2745AA7A69557C80CBD0C", "bob", true, false }, /* a clear password */
	{ "md5e4f70fb0b8f2745aa7a69557c80cbd0", "bob", true, false },
	{ SCRAM_SECRET, "bob", false, false },
	{ "", "bob", false, false },
	{ NULL, "bob", false, false },
};

START_TEST(md5_answers_and_checks)
{
	const char *secret = md5_rows[_i].secret;
	char response[MD5_RESPONSE_BYTES] = "";
	bool answers = password_md5_response(secret, md5_rows[_i].user, salt, response);

	ck_assert(answers == md5_rows[_i].answers);
	if (answers) {
		ck_assert_uint_eq(strlen(response), 35);
		ck_assert((strcmp(response, MD5_RESPONSE) == 0) == md5_rows[_i].fits);
		ck_assert(password_md5_check(secret, md5_rows[_i].user, salt, response));
	}
	ck_assert(password_md5_check(secret, md5_rows[_i].user, salt, MD5_RESPONSE) ==
		  md5_rows[_i].fits);
}
END_TEST

START_TEST(other_answers_do_not_fit)
{
	static const uint8_t other_salt[4] = { 1, 2, 0xff, 1 };
	char response[] = MD5_RESPONSE;

	ck_assert(password_md5_check("pencil", "bob", salt, response));
	ck_assert(!password_md5_check("pencil", "bob", other_salt, response));
	ck_assert(!password_md5_check("pencil", "bob", salt, ""));
	ck_assert(!password_md5_check("pencil", "bob", salt, "md5"));
	ck_assert(!password_md5_check("pencil", "bob", salt, "pencil"));
	ck_assert(!password_md5_check("pencil", "bob", salt, MD5_RESPONSE "0"));
	ck_assert(!password_md5_check(MD5_SECRET, "bob", salt, MD5_SECRET));
	for (size_t i = 0; i < strlen(response); i++) {
		char *cut = strndup(response, i);

		ck_assert(!password_md5_check("pencil", "bob", salt, cut));
		free(cut);
		response[i] ^= 1;
		ck_assert(!password_md5_check("pencil", "bob", salt, response));
		response[i] ^= 1;
	}
}
END_TEST

/* What no secret, or one of another kind, would give must not let anybody in. */
START_TEST(no_secret_is_not_an_empty_one)
{
	/* The answer of a client whose password is empty. */
	static const char *const users[] = { "", "bob" };
	char response[MD5_RESPONSE_BYTES];

	for (size_t i = 0; i < 2; i++) {
		/* A secret of one digest of nothing but the name is what "" would be stored as.
		 */
		const char *stored = i == 0 ? "md5d41d8cd98f00b204e9800998ecf8427e"
					    : "md59f9d51bc70ef21ca5c14f307980a29d8";

		ck_assert(password_md5_response(stored, users[i], salt, response));
		ck_assert(!password_md5_check(NULL, users[i], salt, response));
		ck_assert(!password_md5_check("", users[i], salt, response));
		ck_assert(!password_md5_check(SCRAM_SECRET, users[i], salt, response));
	}
}
END_TEST

START_TEST(a_refused_md5_is_a_failure)
{
	char response[MD5_RESPONSE_BYTES];

	/* As where only a FIPS provider may be used. This process ends with the test. */
	ck_assert_int_eq(EVP_set_default_properties(NULL, "fips=yes"), 1);
	ck_assert(!password_md5_response("pencil", "bob", salt, response));
	ck_assert(!password_md5_check("pencil", "bob", salt, MD5_RESPONSE));
	ck_assert(!password_md5_check(MD5_SECRET, "bob", salt, MD5_RESPONSE));
	ck_assert(!password_plain_check(MD5_SECRET, "bob", "pencil", NULL));
}
END_TEST

/* --- clear text --- */

static const struct {
	const char *secret;
	const char *password;
	bool fits;
} plain_rows[] = {
	{ "pencil", "pencil", true },
	{ MD5_SECRET, "pencil", true },
	{ SCRAM_SECRET, "pencil", true },
	{ "pencil", "Pencil", false },
	{ "pencil", "pencil ", false },
	{ "pencil", "penci", false },
	{ MD5_SECRET, "Pencil", false },
	{ SCRAM_SECRET, "Pencil", false },
	/* A stolen secret is not a password. */
	{ MD5_SECRET, MD5_SECRET, false },
	{ MD5_SECRET, "e4f70fb0b8f2745aa7a69557c80cbd0c", false },
	{ SCRAM_SECRET, SCRAM_SECRET, false },
	/* An empty password is none. */
	{ "pencil", "", false },
	{ "", "", false },
	{ NULL, "", false },
	{ "", "pencil", false },
	{ NULL, "pencil", false },
	/* Soft hyphen and Roman numeral: one password to SCRAM, two to the others. */
	{ "SCRAM-SHA-256$4096:N1hws7SJSYNY3gGN46NKZg==$"
	  "9PapXSvsvNlGhDyinNh+A0VpGJbdeVxQvVMLUzQpKmg=:"
	  "z7PVdwj01Z9tRxkWs+PkLrZCzoIZdTupcfCZcUCnSNA=",
	  "\xe2\x85\xa8", true },
	{ "IX", "\xe2\x85\xa8", false },
	/* So many iterations would keep a worker for hours: refused at once. */
	{ "SCRAM-SHA-256$2147483647:W22ZaJ0SNY7soEsUEjb6gQ==$"
	  "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
	  "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
	  "pencil", false },
};

START_TEST(clear_passwords_are_checked)
{
	ck_assert(password_plain_check(plain_rows[_i].secret, "bob", plain_rows[_i].password,
				       NULL) == plain_rows[_i].fits);
}
END_TEST

/* PostgreSQL takes 65535 bytes; more is refused, not copied. */
START_TEST(long_passwords)
{
	static const size_t lengths[] = { 1023, 1024, 1025, 65535, 65536, 1 << 20 };

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		char *password = calloc(1, lengths[i] + 1);

		memset(password, 'p', lengths[i]);
		ck_assert(password_plain_check(password, "bob", password, NULL) ==
			  (lengths[i] <= 65535));
		free(password);
	}
}
END_TEST

/* Two users of one password: the MD5 form belongs to a name. */
START_TEST(md5_secrets_belong_to_a_name)
{
	ck_assert(password_plain_check(MD5_SECRET, "bob", "pencil", NULL));
	ck_assert(!password_plain_check(MD5_SECRET, "alice", "pencil", NULL));
}
END_TEST

START_TEST(a_failed_allocation_lets_nobody_in)
{
	unsigned long nth = 0;

	do {
		unit_fail_alloc(++nth);
		ck_assert(!password_plain_check(SCRAM_SECRET, "bob", "Pencil", NULL));
	} while (unit_alloc_failed());
	ck_assert_uint_gt(nth, 2);
	unit_fail_alloc(0);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *password_suite(void)
{
	Suite *suite = suite_create("auth/password");
	TCase *tc = tcase_create("password");

	tcase_add_loop_test(tc, md5_answers_and_checks, 0, ROWS(md5_rows));
	tcase_add_test(tc, other_answers_do_not_fit);
	tcase_add_test(tc, no_secret_is_not_an_empty_one);
	tcase_add_test(tc, a_refused_md5_is_a_failure);
	tcase_add_loop_test(tc, clear_passwords_are_checked, 0, ROWS(plain_rows));
	tcase_add_test(tc, long_passwords);
	tcase_add_test(tc, md5_secrets_belong_to_a_name);
	tcase_add_test(tc, a_failed_allocation_lets_nobody_in);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(password_suite)
