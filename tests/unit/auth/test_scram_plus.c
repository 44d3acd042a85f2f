/*
 * SCRAM with a channel under it, and without the password: the choice of a mechanism as libpq
 * makes it; exchanges bound to one certificate, to two, and to none where there was one; offers
 * that somebody took away; the key that a proof reveals, and log-ins made with it.
 */

#include "auth/scram.h"

#include <stdint.h>
#include <string.h>

#include "../../../src/auth/scram_internal.h"
#include "../unit.h"

#define SECRET                                                            \
	"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"                    \
	"WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7t" \
	"l2KeoiWGPlZqQxSrmfPwDl2dU="

static const uint8_t ours[32] = "the certificate's hash";
static const uint8_t theirs[32] = "that of somebody in between";

static struct scram_server *server;
static struct scram_client *client;
static struct bytes to_server;
static struct bytes to_client;
static const char *error;

static void teardown(void)
{
	unit_fail_alloc(0);
	scram_server_destroy(&server);
	scram_client_destroy(&client);
	bytes_free(&to_server);
	bytes_free(&to_client);
}

static enum scram_result step_server(void)
{
	enum scram_result result;

	bytes_clear(&to_client);
	result = scram_server_step(server, bytes_begin(&to_server), bytes_length(&to_server),
				   &to_client, &error);
	ck_assert((error == NULL) == (result == SCRAM_CONTINUE || result == SCRAM_DONE));
	return result;
}

static enum scram_result step_client(void)
{
	enum scram_result result;

	bytes_clear(&to_server);
	result = scram_client_step(client, bytes_begin(&to_client), bytes_length(&to_client),
				   &to_server, &error);
	ck_assert((error == NULL) == (result == SCRAM_CONTINUE || result == SCRAM_DONE));
	return result;
}

static enum scram_result tell_server(const char *message)
{
	bytes_clear(&to_server);
	ck_assert(bytes_append_text(&to_server, message));
	return step_server();
}

/* What the server thinks at the end, or whoever has ended it before. */
static enum scram_result run(void)
{
	enum scram_result result;

	ck_assert(scram_client_first(client, &to_server));
	while ((result = step_server()) == SCRAM_CONTINUE) {
		enum scram_result other = step_client();

		if (other != SCRAM_CONTINUE)
			return other;
	}
	if (result == SCRAM_DONE)
		ck_assert_int_eq(step_client(), SCRAM_DONE);
	return result;
}

static void start_server(const char *secret, bool is_plus, const uint8_t *end_point)
{
	scram_server_destroy(&server);
	server = scram_server_create("user", secret);
	ck_assert_ptr_nonnull(server);
	scram_server_bind(server, is_plus, end_point, end_point ? sizeof(ours) : 0);
}

/* --- the choice --- */

enum {
	N, /* there is none */
	S,
	P
};

static const struct {
	enum scram_channel_binding wish;
	bool has_scram, has_plus, is_encrypted, has_end_point;
	int chosen;
	const char *first; /* how client-first-message begins */
} choices[] = {
	{ SCRAM_BINDING_PREFER, true, false, false, false, S, "n,," },
	{ SCRAM_BINDING_PREFER, true, false, true, true, S, "y,," },
	{ SCRAM_BINDING_PREFER, true, true, true, true, P, "p=tls-server-end-point,," },
	{ SCRAM_BINDING_PREFER, false, true, true, true, P, "p=tls-server-end-point,," },
	{ SCRAM_BINDING_PREFER, true, true, true, false, S, "n,," },
	{ SCRAM_BINDING_PREFER, true, true, false, false, N, NULL },
	{ SCRAM_BINDING_PREFER, false, true, true, false, N, NULL },
	{ SCRAM_BINDING_PREFER, false, false, true, true, N, NULL },
	{ SCRAM_BINDING_DISABLE, true, true, true, true, S, "n,," },
	{ SCRAM_BINDING_DISABLE, true, false, true, true, S, "n,," },
	{ SCRAM_BINDING_DISABLE, false, true, true, true, N, NULL },
	{ SCRAM_BINDING_DISABLE, true, true, false, false, N, NULL },
	{ SCRAM_BINDING_REQUIRE, true, true, true, true, P, "p=tls-server-end-point,," },
	{ SCRAM_BINDING_REQUIRE, true, false, true, true, N, NULL },
	{ SCRAM_BINDING_REQUIRE, true, true, true, false, N, NULL },
	{ SCRAM_BINDING_REQUIRE, true, false, false, false, N, NULL },
};

START_TEST(the_mechanism_is_chosen_as_libpq_does)
{
	const struct scram_offer offer = {
		.has_scram = choices[_i].has_scram,
		.has_plus = choices[_i].has_plus,
		.is_encrypted = choices[_i].is_encrypted,
		.end_point = ours,
		.end_point_length = choices[_i].has_end_point ? sizeof(ours) : 0,
	};
	const char *mechanism;

	client = scram_client_create("pencil");
	mechanism = scram_client_choose(client, &offer, choices[_i].wish, &error);
	ck_assert((mechanism == NULL) == (error != NULL));
	if (choices[_i].chosen == N) {
		ck_assert_ptr_null(mechanism);
		return;
	}
	ck_assert_str_eq(mechanism,
			 choices[_i].chosen == P ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256");
	ck_assert(scram_client_first(client, &to_server));
	ck_assert_mem_eq(bytes_begin(&to_server), choices[_i].first, strlen(choices[_i].first));
	ck_assert_int_eq(bytes_begin(&to_server)[strlen(choices[_i].first)], 'n');
}
END_TEST

START_TEST(bindings_have_names)
{
	ck_assert_str_eq(scram_channel_binding_name(SCRAM_BINDING_DISABLE), "disable");
	ck_assert_str_eq(scram_channel_binding_name(SCRAM_BINDING_PREFER), "prefer");
	ck_assert_str_eq(scram_channel_binding_name(SCRAM_BINDING_REQUIRE), "require");
}
END_TEST

/* --- whole exchanges --- */

static void start_client(const uint8_t *end_point, bool is_plus_offered)
{
	const struct scram_offer offer = { .has_scram = true,
					   .has_plus = is_plus_offered,
					   .is_encrypted = end_point != NULL,
					   .end_point = end_point,
					   .end_point_length = end_point ? sizeof(ours) : 0 };

	scram_client_destroy(&client);
	client = scram_client_create("pencil");
	ck_assert_ptr_nonnull(client);
	ck_assert_ptr_nonnull(scram_client_choose(client, &offer, SCRAM_BINDING_PREFER, &error));
}

static const struct {
	const uint8_t *server_sees;
	const uint8_t *client_sees;
	bool is_plus_heard_of; /* by the client */
	enum scram_result result;
} exchanges[] = {
	{ ours, ours, true, SCRAM_DONE },
	{ NULL, NULL, false, SCRAM_DONE },
	{ ours, theirs, true, SCRAM_BAD },
	/* RFC 5802, section 6: whoever took the offer away is found out. */
	{ ours, ours, false, SCRAM_DOWNGRADED },
	/* We could not offer it, and the client says that it could have. */
	{ NULL, ours, false, SCRAM_DONE },
	/* A client that cannot bind need not. */
	{ ours, NULL, false, SCRAM_DONE },
};

START_TEST(exchanges_end_as_they_should)
{
	bool is_plus = exchanges[_i].is_plus_heard_of;

	for (int plain = 0; plain < 2; plain++) {
		bytes_clear(&to_server);
		start_server(plain ? "pencil" : SECRET, is_plus, exchanges[_i].server_sees);
		start_client(exchanges[_i].client_sees, is_plus);
		ck_assert_int_eq(run(), exchanges[_i].result);
	}
}
END_TEST

/* The proof covers the binding: what was made for one mechanism is not good for the other. */
static const struct {
	bool is_plus;
	const char *message;
} firsts[] = {
	{ false, "p=tls-server-end-point,,n=,r=x" },
	{ true, "n,,n=,r=x" },
	{ true, "y,,n=,r=x" },
	{ true, "p=tls-unique,,n=,r=x" },
	{ true, "p=tls-server-end-point" },
	{ true, "p=tls-server-end-point," },
	{ true, "p=tls-server-end-pointx,,n=,r=x" },
	{ true, "p=tls-server-end-point,a=root,n=,r=x" },
	{ true, "p=,,n=,r=x" },
	{ true, "p" },
};

START_TEST(flag_and_mechanism_belong_together)
{
	start_server(SECRET, firsts[_i].is_plus, ours);
	ck_assert_int_eq(tell_server(firsts[_i].message), SCRAM_BAD);
	ck_assert_int_eq(tell_server("p=tls-server-end-point,,n=,r=x"), SCRAM_BAD);
}
END_TEST

/* c= is the whole of the binding: cut, longer, of the wrong flag, with another certificate. */
START_TEST(every_flipped_byte_of_the_binding_is_seen)
{
	for (size_t i = 0;; i++) {
		struct bytes *message = &to_server;

		bytes_clear(&to_server);
		start_server(SECRET, true, ours);
		start_client(ours, true);
		ck_assert(scram_client_first(client, &to_server));
		ck_assert_int_eq(step_server(), SCRAM_CONTINUE);
		ck_assert_int_eq(step_client(), SCRAM_CONTINUE);
		if (bytes_begin(message)[i + 2] == ',')
			break;
		message->data[message->start + i + 2] ^= 1;
		ck_assert_int_eq(step_server(), SCRAM_BAD);
	}
}
END_TEST

/* --- keys instead of passwords --- */

static void prove(const char *secret, uint8_t key[SCRAM_KEY_BYTES])
{
	bytes_clear(&to_server);
	start_server(secret, false, NULL);
	ck_assert(!scram_server_client_key(server, key));
	start_client(NULL, false);
	ck_assert_int_eq(run(), SCRAM_DONE);
	ck_assert(scram_server_client_key(server, key));
}

START_TEST(a_proof_reveals_a_key_that_logs_in)
{
	uint8_t key[SCRAM_KEY_BYTES];
	uint8_t again[SCRAM_KEY_BYTES];

	prove(SECRET, key);
	ck_assert(scram_secret_check(SECRET, "user", "pencil", again));
	ck_assert_mem_eq(key, again, sizeof(key));
	bytes_clear(&to_server);
	start_server(SECRET, false, NULL);
	scram_client_destroy(&client);
	client = scram_client_create_with_key(SECRET, key);
	ck_assert_int_eq(run(), SCRAM_DONE);
}
END_TEST

/* #944 of PgBouncer: the key of one secret is of no use with another, and is not even shown. */
START_TEST(a_key_is_for_one_secret_only)
{
	static const char *const others[] = { "pencil", "another password", NULL };
	uint8_t key[SCRAM_KEY_BYTES];

	prove(SECRET, key);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		bytes_clear(&to_server);
		start_server(others[i], false, NULL);
		scram_client_destroy(&client);
		client = scram_client_create_with_key(SECRET, key);
		ck_assert_int_eq(run(), SCRAM_OTHER_SECRET);
		ck_assert_uint_eq(bytes_length(&to_server), 0);
	}
}
END_TEST

START_TEST(a_wrong_key_proves_nothing)
{
	uint8_t key[SCRAM_KEY_BYTES];

	prove(SECRET, key);
	key[_i] ^= 1;
	bytes_clear(&to_server);
	start_server(SECRET, false, NULL);
	scram_client_destroy(&client);
	client = scram_client_create_with_key(SECRET, key);
	ck_assert_int_eq(run(), SCRAM_WRONG);
	ck_assert(!scram_server_client_key(server, key));
}
END_TEST

/* A wrong proof reveals nothing, nor does one for a user that does not exist. */
START_TEST(no_key_without_a_proof)
{
	uint8_t key[SCRAM_KEY_BYTES];

	start_server(_i ? NULL : "another", false, NULL);
	start_client(NULL, false);
	ck_assert_int_eq(run(), SCRAM_WRONG);
	ck_assert(!scram_server_client_key(server, key));
	ck_assert(!scram_secret_check(SECRET, "user", "not it", key));
}
END_TEST

/* The server must prove itself to a client that has only the key, too. */
START_TEST(a_key_does_not_trust_the_server)
{
	uint8_t key[SCRAM_KEY_BYTES];

	prove(SECRET, key);
	bytes_clear(&to_server);
	start_server("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
		     "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
		     "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		     false, NULL);
	scram_client_destroy(&client);
	client = scram_client_create_with_key(SECRET, key);
	ck_assert(scram_client_first(client, &to_server));
	ck_assert_int_eq(step_server(), SCRAM_CONTINUE);
	ck_assert_int_eq(step_client(), SCRAM_CONTINUE);
	ck_assert_int_eq(step_server(), SCRAM_DONE);
	ck_assert_int_eq(step_client(), SCRAM_WRONG);
}
END_TEST

static bool run_failing(unsigned long nth)
{
	static const uint8_t key[SCRAM_KEY_BYTES];
	enum scram_result result = SCRAM_BAD;
	const struct scram_offer offer = { .has_plus = true,
					   .is_encrypted = true,
					   .end_point = ours,
					   .end_point_length = sizeof(ours) };

	bytes_free(&to_server);
	bytes_free(&to_client);
	unit_fail_alloc(nth);
	server = scram_server_create("user", SECRET);
	client = scram_client_create_with_key(SECRET, key);
	if (server && client) {
		scram_server_bind(server, true, ours, sizeof(ours));
		scram_client_choose(client, &offer, SCRAM_BINDING_REQUIRE, &error);
		if (scram_client_first(client, &to_server) && step_server() == SCRAM_CONTINUE &&
		    step_client() == SCRAM_CONTINUE)
			result = step_server();
	}
	unit_fail_alloc(0);
	scram_server_destroy(&server);
	scram_client_destroy(&client);
	return result == SCRAM_WRONG; /* the key is none */
}

START_TEST(a_failed_allocation_ends_the_exchange)
{
	unsigned long nth;

	for (nth = 1; nth < 100 && !run_failing(nth); nth++)
		;
	ck_assert_uint_gt(nth, 8);
	ck_assert_uint_lt(nth, 100);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *scram_plus_suite(void)
{
	Suite *suite = suite_create("auth/scram_plus");
	TCase *tc = tcase_create("scram_plus");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_loop_test(tc, the_mechanism_is_chosen_as_libpq_does, 0, ROWS(choices));
	tcase_add_test(tc, bindings_have_names);
	tcase_add_loop_test(tc, exchanges_end_as_they_should, 0, ROWS(exchanges));
	tcase_add_loop_test(tc, flag_and_mechanism_belong_together, 0, ROWS(firsts));
	tcase_add_test(tc, every_flipped_byte_of_the_binding_is_seen);
	tcase_add_test(tc, a_proof_reveals_a_key_that_logs_in);
	tcase_add_test(tc, a_key_is_for_one_secret_only);
	tcase_add_loop_test(tc, a_wrong_key_proves_nothing, 0, SCRAM_KEY_BYTES);
	tcase_add_loop_test(tc, no_key_without_a_proof, 0, 2);
	tcase_add_test(tc, a_key_does_not_trust_the_server);
	tcase_add_test(tc, a_failed_allocation_ends_the_exchange);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(scram_plus_suite)
