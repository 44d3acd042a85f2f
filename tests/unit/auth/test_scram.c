/*
 * SCRAM: the vector of RFC 7677 in both roles; secrets made by PostgreSQL; round trips with right
 * and wrong passwords; users that do not exist; each message in each state; nonces,
 * iteration counts and message lengths around their bounds; every prefix and every flipped
 * byte of every message; channel-binding flags; a failing Nth allocation.
 */

#include "auth/scram.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../../src/auth/scram_internal.h"
#include "../unit.h"

#define RFC_CLIENT_NONCE "rOprNGfwEbeRWgbNEkqO"
#define RFC_SERVER_NONCE "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define RFC_SALT         "W22ZaJ0SNY7soEsUEjb6gQ=="
#define RFC_FIRST        "n,,n=user,r=" RFC_CLIENT_NONCE
#define RFC_SERVER_FIRST "r=" RFC_CLIENT_NONCE RFC_SERVER_NONCE ",s=" RFC_SALT ",i=4096"
#define RFC_PROOF        "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define RFC_FINAL        "c=biws,r=" RFC_CLIENT_NONCE RFC_SERVER_NONCE ",p=" RFC_PROOF
#define RFC_SERVER_FINAL "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
#define RFC_SECRET                                                                     \
	"SCRAM-SHA-256$4096:" RFC_SALT "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=" \
	":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static struct scram_server *server;
static struct scram_client *client;
static struct bytes reply;
static const char *error;

static void teardown(void)
{
	unit_fail_alloc(0);
	scram_server_destroy(&server);
	scram_client_destroy(&client);
	bytes_free(&reply);
}

static void start_server(const char *user, const char *secret)
{
	scram_server_destroy(&server);
	server = scram_server_create(user, secret);
	ck_assert_ptr_nonnull(server);
}

static void start_rfc_server(void)
{
	start_server("user", RFC_SECRET);
	ck_assert(scram_server_fix(server, RFC_SERVER_NONCE));
}

static void start_rfc_client(void)
{
	scram_client_destroy(&client);
	client = scram_client_create("pencil");
	ck_assert_ptr_nonnull(client);
	ck_assert(scram_client_fix(client, "user", RFC_CLIENT_NONCE));
	bytes_clear(&reply);
	ck_assert(scram_client_first(client, &reply));
}

/* The message lies in a buffer of exactly its size, so that a sanitizer sees a read behind it. */
static enum scram_result feed_server(const void *message, size_t length)
{
	uint8_t *exact = malloc(length > 0 ? length : 1);
	enum scram_result result;

	memcpy(exact, message, length);
	bytes_clear(&reply);
	result = scram_server_step(server, exact, length, &reply, &error);
	free(exact);
	ck_assert((error != NULL) == (result == SCRAM_BAD || result == SCRAM_WRONG));
	ck_assert((bytes_length(&reply) > 0) ==
		  (result == SCRAM_CONTINUE || result == SCRAM_DONE));
	return result;
}

static enum scram_result feed_client(const void *message, size_t length)
{
	uint8_t *exact = malloc(length > 0 ? length : 1);
	enum scram_result result;

	memcpy(exact, message, length);
	bytes_clear(&reply);
	result = scram_client_step(client, exact, length, &reply, &error);
	free(exact);
	ck_assert((error != NULL) == (result == SCRAM_BAD || result == SCRAM_WRONG));
	ck_assert((bytes_length(&reply) > 0) == (result == SCRAM_CONTINUE));
	return result;
}

static enum scram_result tell_server(const char *message)
{
	return feed_server(message, strlen(message));
}

static enum scram_result tell_client(const char *message)
{
	return feed_client(message, strlen(message));
}

static void assert_reply(const char *text)
{
	ck_assert_uint_eq(bytes_length(&reply), strlen(text));
	ck_assert_mem_eq(bytes_begin(&reply), text, strlen(text));
}

/* A whole login by our own client; what the server thought, and how many messages it answered. */
static enum scram_result log_in(const char *user, const char *secret, const char *password,
				unsigned *answers)
{
	struct bytes message = { 0 };
	struct bytes answer = { 0 };
	enum scram_result result;

	start_server(user, secret);
	scram_client_destroy(&client);
	client = scram_client_create(password);
	ck_assert_ptr_nonnull(client);
	*answers = 0;
	ck_assert(scram_client_first(client, &message));
	while ((result = scram_server_step(server, bytes_begin(&message), bytes_length(&message),
					   &answer, &error)) == SCRAM_CONTINUE) {
		++*answers;
		bytes_clear(&message);
		ck_assert_int_eq(scram_client_step(client, bytes_begin(&answer),
						   bytes_length(&answer), &message, &error),
				 SCRAM_CONTINUE);
		bytes_clear(&answer);
	}
	if (result == SCRAM_DONE)
		ck_assert_int_eq(scram_client_step(client, bytes_begin(&answer),
						   bytes_length(&answer), &message, &error),
				 SCRAM_DONE);
	bytes_free(&message);
	bytes_free(&answer);
	return result;
}

/* --- the vector of RFC 7677, section 3 --- */

START_TEST(rfc_7677_as_client)
{
	start_rfc_client();
	assert_reply(RFC_FIRST);
	ck_assert_int_eq(tell_client(RFC_SERVER_FIRST), SCRAM_CONTINUE);
	assert_reply(RFC_FINAL);
	ck_assert_int_eq(tell_client(RFC_SERVER_FINAL), SCRAM_DONE);
}
END_TEST

START_TEST(rfc_7677_as_server)
{
	start_rfc_server();
	ck_assert_int_eq(tell_server(RFC_FIRST), SCRAM_CONTINUE);
	assert_reply(RFC_SERVER_FIRST);
	ck_assert_int_eq(tell_server(RFC_FINAL), SCRAM_DONE);
	assert_reply(RFC_SERVER_FINAL);
}
END_TEST

/* PostgreSQL's and our own clients name no user and bind to nothing. */
START_TEST(the_client_names_no_user)
{
	client = scram_client_create("pencil");
	ck_assert(scram_client_first(client, &reply));
	ck_assert_uint_eq(bytes_length(&reply), strlen("n,,n=,r=") + 24);
	ck_assert_mem_eq(bytes_begin(&reply), "n,,n=,r=", 8);
}
END_TEST

/* --- logins --- */

/* Secrets as PostgreSQL 15 stored them (PQencryptPasswordConn), or clear text. */
static const struct login {
	const char *what;
	const char *secret;
	const char *password;
	enum scram_result result;
} logins[] = {
	{ "RFC secret", RFC_SECRET, "pencil", SCRAM_DONE },
	{ "PostgreSQL's secret",
	  "SCRAM-SHA-256$4096:hbKPwTdocIyPXs81ggv49Q==$"
	  "e4TLFLB0z3B1u6SW24wh1dQI1MvBdudDVsKh4zvRYqg=:"
	  "cudEzMm43KnvO/ZepiXN5oQKiu9Hz3OoGlU8XHQwLlQ=",
	  "pencil", SCRAM_DONE },
	{ "PostgreSQL's secret, soft hyphen left out",
	  "SCRAM-SHA-256$4096:N1hws7SJSYNY3gGN46NKZg==$9PapXSvsvNlGhDyinNh+"
	  "A0VpGJbdeVxQvVMLUzQpKmg=:"
	  "z7PVdwj01Z9tRxkWs+PkLrZCzoIZdTupcfCZcUCnSNA=",
	  "IX", SCRAM_DONE },
	{ "PostgreSQL's secret, prohibited by the bidi rule and so taken raw",
	  "SCRAM-SHA-256$4096:MvwU+HKzEZ5DbRo9AfyFKA==$FeS/"
	  "mXEemEeNMRh4xenTKD0a1zql1UTnCIhE7qKfvkg=:"
	  "r5LBXOUSgYuBI3iNYwV1qX+RyBu33u6fKUWv8O3MFso=",
	  "\xd8\xa7"
	  "1",
	  SCRAM_DONE },
	{ "PostgreSQL's secret, Latin-1 and so taken raw",
	  "SCRAM-SHA-256$4096:fAAABYIrNV/OJl9/"
	  "qgHwcA==$HcWYvyul+WV9TAgPtmkdHV13wFD7aXpQiSsxBzDg1tA=:"
	  "YVJR4Kek4THaybMNWQZQTWlku1+ZDv4IN4B3zOG2Y+4=",
	  "x\xe9", SCRAM_DONE },
	{ "clear secret", "pencil", "pencil", SCRAM_DONE },
	{ "clear secret of one byte", "x", "x", SCRAM_DONE },
	{ "clear secret, two spellings of IX", "\xe2\x85\xa8", "I\xc2\xadX", SCRAM_DONE },
	{ "a broken SCRAM secret is a clear one", "SCRAM-SHA-256$x", "SCRAM-SHA-256$x",
	  SCRAM_DONE },
	{ "wrong password", RFC_SECRET, "pencil2", SCRAM_WRONG },
	{ "wrong case", "pencil", "Pencil", SCRAM_WRONG },
	{ "a prefix", "pencil", "penci", SCRAM_WRONG },
	{ "empty password", "pencil", "", SCRAM_WRONG },
	{ "the secret is not the password", RFC_SECRET, RFC_SECRET, SCRAM_WRONG },
	{ "no such user", NULL, "pencil", SCRAM_WRONG },
	{ "no such user, empty password", NULL, "", SCRAM_WRONG },
	{ "empty secret", "", "", SCRAM_WRONG },
	{ "MD5 secret", "md5a3556571e93b0d20722ba62be61e8c2d", "pencil", SCRAM_WRONG },
	{ "MD5 secret as the password", "md5a3556571e93b0d20722ba62be61e8c2d",
	  "md5a3556571e93b0d20722ba62be61e8c2d", SCRAM_WRONG },
};

START_TEST(logins_end_as_they_should)
{
	const struct login *l = &logins[_i];
	unsigned answers;

	/* success and every kind of failure take the same number of messages. */
	ck_assert_msg(log_in("user", l->secret, l->password, &answers) == l->result, "%s",
		      l->what);
	ck_assert_uint_eq(answers, 1);
}
END_TEST

/* a megabyte of password is a password. */
START_TEST(long_passwords_work)
{
	static const size_t lengths[] = { 63, 64, 65, 1023, 1024, 1025, 65536, 1 << 20 };
	unsigned answers;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		char *password = calloc(1, lengths[i] + 1);

		memset(password, 'p', lengths[i]);
		ck_assert_int_eq(log_in("user", password, password, &answers), SCRAM_DONE);
		free(password);
	}
}
END_TEST

START_TEST(nonces_are_fresh)
{
	char first[128];

	start_server("user", RFC_SECRET);
	ck_assert_int_eq(tell_server(RFC_FIRST), SCRAM_CONTINUE);
	snprintf(first, sizeof(first), "%.*s", (int)bytes_length(&reply), bytes_begin(&reply));
	start_server("user", RFC_SECRET);
	ck_assert_int_eq(tell_server(RFC_FIRST), SCRAM_CONTINUE);
	ck_assert_uint_eq(strlen(first), bytes_length(&reply));
	ck_assert_mem_ne(first, bytes_begin(&reply), strlen(first));
	/* The client's comes first, and 24 characters are ours. */
	ck_assert_mem_eq(first, "r=" RFC_CLIENT_NONCE, 22);
	ck_assert_mem_eq(first + 22 + 24, ",s=", 3);
}
END_TEST

/* --- what can be seen of users that do not exist --- */

static void salt_of(const char *user, const char *secret, char out[64])
{
	char message[256];
	char *salt;

	start_server(user, secret);
	ck_assert_int_eq(tell_server(RFC_FIRST), SCRAM_CONTINUE);
	snprintf(message, sizeof(message), "%.*s", (int)bytes_length(&reply),
		 bytes_begin(&reply));
	ck_assert_ptr_nonnull(salt = strstr(message, ",s="));
	snprintf(out, 64, "%s", salt);
}

START_TEST(an_unknown_user_looks_like_a_known_one)
{
	static const char *const secrets[] = { NULL, "", "md5a3556571e93b0d20722ba62be61e8c2d",
					       "clear" };
	char expected[64];
	char salt[64];

	salt_of("bob", NULL, expected);
	/* 16 bytes of salt and PostgreSQL's number of iterations. */
	ck_assert_uint_eq(strlen(expected), strlen(",s=" RFC_SALT ",i=4096"));
	ck_assert_str_eq(expected + strlen(",s=" RFC_SALT), ",i=4096");
	for (int round = 0; round < 2; round++) {
		for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++) {
			salt_of("bob", secrets[i], salt);
			ck_assert_str_eq(salt, expected);
		}
	}
	salt_of("alice", NULL, salt);
	ck_assert_str_ne(salt, expected);
	salt_of("", NULL, salt);
	ck_assert_str_ne(salt, expected);
}
END_TEST

/* The least processor time of several logins of this kind, in nanoseconds. */
static int64_t cost_of(const char *secret)
{
	int64_t least = INT64_MAX;

	for (int i = 0; i < 15; i++) {
		struct timespec began;
		struct timespec ended;
		int64_t cost;

		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &began);
		start_server("bob", secret);
		ck_assert_int_eq(tell_server(RFC_FIRST), SCRAM_CONTINUE);
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ended);
		cost = (ended.tv_sec - began.tv_sec) * 1000000000 + ended.tv_nsec - began.tv_nsec;
		if (cost < least)
			least = cost;
	}
	return least;
}

/* deriving keys takes a hundred times all the rest, so either all do it or none does. */
START_TEST(all_logins_take_alike)
{
	int64_t cheap = cost_of(RFC_SECRET);
	int64_t plain;

	ck_assert_int_lt(cost_of(NULL), cheap * 5);
	plain = cost_of("clear");
	ck_assert_int_gt(plain, cheap * 5);
	ck_assert_int_gt(cost_of(NULL), plain / 2);
	ck_assert_int_gt(cost_of(RFC_SECRET), plain / 2);
	ck_assert_int_gt(cost_of("md5a3556571e93b0d20722ba62be61e8c2d"), plain / 2);
	ck_assert_int_lt(cost_of(NULL), plain * 2);
	ck_assert_int_lt(cost_of(RFC_SECRET), plain * 2);
}
END_TEST

/* --- malformed messages --- */

static const struct malformed {
	const char *message;
	enum scram_result result;
} client_firsts[] = {
	{ RFC_FIRST, SCRAM_CONTINUE },
	{ "n,,n=,r=x", SCRAM_CONTINUE },
	{ "y,,n=,r=x", SCRAM_CONTINUE },
	{ "n,,n=,r=x,a=1,b=,Z===", SCRAM_CONTINUE },
	{ "n,,n=\xc3\xa9=2C,r=!~", SCRAM_CONTINUE },
	/* Channel binding: not offered. */
	{ "p=tls-server-end-point,,n=,r=x", SCRAM_BAD },
	{ "p,,n=,r=x", SCRAM_BAD },
	{ "p=", SCRAM_BAD },
	{ "N,,n=,r=x", SCRAM_BAD },
	{ "x,,n=,r=x", SCRAM_BAD },
	{ ",,n=,r=x", SCRAM_BAD },
	{ "n", SCRAM_BAD },
	{ "n,", SCRAM_BAD },
	{ "n,,", SCRAM_BAD },
	{ "nn,,n=,r=x", SCRAM_BAD },
	{ "n,a=root,n=,r=x", SCRAM_BAD },
	{ "n,b=root,n=,r=x", SCRAM_BAD },
	{ "n,,m=ext,n=,r=x", SCRAM_BAD },
	{ "n,,m", SCRAM_BAD },
	{ "n,,r=x", SCRAM_BAD },
	{ "n,,r=x,n=", SCRAM_BAD },
	{ "n,,n=", SCRAM_BAD },
	{ "n,,n=,", SCRAM_BAD },
	{ "n,,n=,r", SCRAM_BAD },
	{ "n,,n=,r=", SCRAM_BAD },
	{ "n,,n=,r=x,", SCRAM_BAD },
	{ "n,,n=,r=x,,", SCRAM_BAD },
	{ "n,,n=,r=x,1=2", SCRAM_BAD },
	{ "n,,n=,r=x,a", SCRAM_BAD },
	{ "n,,n=,r=x y", SCRAM_BAD },
	{ "n,,n=,r=x\x7f", SCRAM_BAD },
	{ "n,,n=,r=\xc3\xa9", SCRAM_BAD },
	{ "n,,n=,R=x", SCRAM_BAD },
	{ " n,,n=,r=x", SCRAM_BAD },
};

START_TEST(client_first_messages)
{
	const struct malformed *m = &client_firsts[_i];

	start_rfc_server();
	ck_assert_msg(tell_server(m->message) == m->result, "\"%s\": %s", m->message,
		      error != NULL ? error : "accepted");
	/* after an error nothing is accepted any more. */
	if (m->result == SCRAM_BAD)
		ck_assert_int_eq(tell_server(RFC_FIRST), SCRAM_BAD);
}
END_TEST

#define BOTH_NONCES RFC_CLIENT_NONCE RFC_SERVER_NONCE

static const struct malformed client_finals[] = {
	{ RFC_FINAL, SCRAM_DONE },
	/* Right but for the proof, which is over all that stands before it. */
	{ "c=biws,r=" BOTH_NONCES ",x=1,p=" RFC_PROOF, SCRAM_WRONG },
	{ "c=biws,r=" BOTH_NONCES ",p=eHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
	  SCRAM_WRONG },
	{ "c=biws,r=" BOTH_NONCES ",p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	  SCRAM_WRONG },
	/* The header must be the one of the first message. */
	{ "c=eSws,r=" BOTH_NONCES ",p=" RFC_PROOF, SCRAM_BAD },
	{ "c=biw=,r=" BOTH_NONCES ",p=" RFC_PROOF, SCRAM_BAD },
	{ "c=biwsbiws,r=" BOTH_NONCES ",p=" RFC_PROOF, SCRAM_BAD },
	{ "c=,r=" BOTH_NONCES ",p=" RFC_PROOF, SCRAM_BAD },
	{ "r=" BOTH_NONCES ",c=biws,p=" RFC_PROOF, SCRAM_BAD },
	/* The nonce must be both, exactly. */
	{ "c=biws,r=" RFC_CLIENT_NONCE ",p=" RFC_PROOF, SCRAM_BAD },
	{ "c=biws,r=" RFC_SERVER_NONCE ",p=" RFC_PROOF, SCRAM_BAD },
	{ "c=biws,r=" BOTH_NONCES "x,p=" RFC_PROOF, SCRAM_BAD },
	{ "c=biws,r=,p=" RFC_PROOF, SCRAM_BAD },
	{ "c=biws,p=" RFC_PROOF, SCRAM_BAD },
	/* The proof is last, and 32 bytes of strict base64. */
	{ "c=biws,r=" BOTH_NONCES, SCRAM_BAD },
	{ "c=biws,r=" BOTH_NONCES ",", SCRAM_BAD },
	{ "c=biws,r=" BOTH_NONCES ",x=1", SCRAM_BAD },
	{ "c=biws,r=" BOTH_NONCES ",p=", SCRAM_BAD },
	{ "c=biws,r=" BOTH_NONCES ",p=" RFC_PROOF ",", SCRAM_BAD },
	{ "c=biws,r=" BOTH_NONCES ",p=" RFC_PROOF ",x=1", SCRAM_BAD },
	{ "c=biws,r=" BOTH_NONCES ",p=" RFC_PROOF ",p=" RFC_PROOF, SCRAM_BAD },
	{ "c=biws,r=" BOTH_NONCES ",p=" RFC_PROOF "=", SCRAM_BAD },
	{ "c=biws,r=" BOTH_NONCES ",p=" RFC_PROOF "AAAA", SCRAM_BAD },
	{ "c=biws,r=" BOTH_NONCES ",p= dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=", SCRAM_BAD },
	{ "c=biws,r=" BOTH_NONCES ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVR=", SCRAM_BAD },
	{ "c=biws,r=" BOTH_NONCES ",p=dHzbZapWIk4jUhN-Ute9ytag9zjfMHgsqmmiz7AndVQ=", SCRAM_BAD },
	{ "c=biws,r=" BOTH_NONCES ",p=dHzb", SCRAM_BAD },
};

START_TEST(client_final_messages)
{
	const struct malformed *m = &client_finals[_i];

	start_rfc_server();
	ck_assert_int_eq(tell_server(RFC_FIRST), SCRAM_CONTINUE);
	ck_assert_msg(tell_server(m->message) == m->result, "\"%s\": %s", m->message,
		      error != NULL ? error : "accepted");
	/* one attempt, whatever came of it. */
	ck_assert_int_eq(tell_server(RFC_FINAL), SCRAM_BAD);
}
END_TEST

/* A client that says `y` has to repeat it. */
START_TEST(flag_y_is_accepted_and_checked)
{
	start_rfc_server();
	ck_assert_int_eq(tell_server("y,,n=user,r=" RFC_CLIENT_NONCE), SCRAM_CONTINUE);
	ck_assert_int_eq(tell_server(RFC_FINAL), SCRAM_BAD);
	start_rfc_server();
	ck_assert_int_eq(tell_server("y,,n=user,r=" RFC_CLIENT_NONCE), SCRAM_CONTINUE);
	/* Its own proof, over "c=eSws". */
	ck_assert_int_eq(tell_server("c=eSws,r=" BOTH_NONCES ",p=" RFC_PROOF), SCRAM_WRONG);
}
END_TEST

static const struct malformed server_firsts[] = {
	{ RFC_SERVER_FIRST, SCRAM_CONTINUE },
	{ "r=" BOTH_NONCES ",s=AAAA,i=1", SCRAM_CONTINUE },
	{ "r=" BOTH_NONCES ",s=AA==,i=1,x=y,z=", SCRAM_CONTINUE },
	{ "m=x," RFC_SERVER_FIRST, SCRAM_BAD },
	{ "e=other-error", SCRAM_BAD },
	/* The nonce begins with ours and goes on. */
	{ "r=" RFC_CLIENT_NONCE ",s=AAAA,i=1", SCRAM_BAD },
	{ "r=" RFC_SERVER_NONCE ",s=AAAA,i=1", SCRAM_BAD },
	{ "r=,s=AAAA,i=1", SCRAM_BAD },
	{ "r=" RFC_CLIENT_NONCE " x,s=AAAA,i=1", SCRAM_BAD },
	{ "s=AAAA,i=1", SCRAM_BAD },
	/* The salt is strict base64 and not empty. */
	{ "r=" BOTH_NONCES ",s=,i=1", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=A,i=1", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AB==,i=1", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=A===,i=1", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s====,i=1", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AA=A,i=1", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AA==AAAA,i=1", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AA A,i=1", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",i=1", SCRAM_BAD },
	/* the count is a positive number, and not one that keeps us busy for hours. */
	{ "r=" BOTH_NONCES ",s=AAAA,i=2", SCRAM_CONTINUE },
	{ "r=" BOTH_NONCES ",s=AAAA,i=1000000", SCRAM_CONTINUE },
	{ "r=" BOTH_NONCES ",s=AAAA,i=1000001", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA,i=2147483647", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA,i=2147483648", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA,i=4294967297", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA,i=99999999999999999999", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA,i=0", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA,i=00", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA,i=01", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA,i=-1", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA,i=+1", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA,i= 1", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA,i=1x", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA,i=0x10", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA,i=", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA,i=1,", SCRAM_BAD },
	{ "r=" BOTH_NONCES ",s=AAAA,i=1,garbage", SCRAM_BAD },
};

START_TEST(server_first_messages)
{
	const struct malformed *m = &server_firsts[_i];

	start_rfc_client();
	ck_assert_msg(tell_client(m->message) == m->result, "\"%s\": %s", m->message,
		      error != NULL ? error : "accepted");
	if (m->result == SCRAM_BAD)
		ck_assert_int_eq(tell_client(RFC_SERVER_FIRST), SCRAM_BAD);
}
END_TEST

static const struct malformed server_finals[] = {
	{ RFC_SERVER_FINAL, SCRAM_DONE },
	{ RFC_SERVER_FINAL ",x=extension", SCRAM_DONE },
	{ "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", SCRAM_BAD },
	{ "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", SCRAM_WRONG },
	{ "e=invalid-proof", SCRAM_WRONG },
	{ "e=", SCRAM_WRONG },
	{ "v=", SCRAM_BAD },
	{ "v", SCRAM_BAD },
	{ "x=1", SCRAM_BAD },
	{ "x=1," RFC_SERVER_FINAL, SCRAM_BAD },
	{ RFC_SERVER_FINAL ",", SCRAM_BAD },
	{ RFC_SERVER_FINAL ",garbage", SCRAM_BAD },
	{ RFC_SERVER_FIRST, SCRAM_BAD },
};

START_TEST(server_final_messages)
{
	const struct malformed *m = &server_finals[_i];

	start_rfc_client();
	ck_assert_int_eq(tell_client(RFC_SERVER_FIRST), SCRAM_CONTINUE);
	ck_assert_msg(tell_client(m->message) == m->result, "\"%s\": %s", m->message,
		      error != NULL ? error : "accepted");
	ck_assert_int_eq(tell_client(RFC_SERVER_FINAL), SCRAM_BAD);
}
END_TEST

/* A server that knows the stored key (a stolen one) but not the server key proves nothing. */
START_TEST(a_server_must_prove_itself)
{
	unsigned char final[64];
	size_t length;

	start_rfc_client();
	start_server("user", "SCRAM-SHA-256$4096:" RFC_SALT
			     "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
			     ":AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
	ck_assert(scram_server_fix(server, RFC_SERVER_NONCE));
	ck_assert_int_eq(tell_client(RFC_SERVER_FIRST), SCRAM_CONTINUE);
	ck_assert_int_eq(tell_server(RFC_FIRST), SCRAM_CONTINUE);
	ck_assert_int_eq(tell_server(RFC_FINAL), SCRAM_DONE);
	length = bytes_length(&reply);
	ck_assert_uint_lt(length, sizeof(final));
	memcpy(final, bytes_begin(&reply), length);
	ck_assert_int_eq(feed_client(final, length), SCRAM_WRONG);
}
END_TEST

/* --- each message in each state --- */

static const char *const all_messages[] = { RFC_FIRST, RFC_FINAL, RFC_SERVER_FIRST,
					    RFC_SERVER_FINAL, "" };

START_TEST(a_message_is_legal_in_one_state)
{
	const char *message = all_messages[_i];

	/* The server: fresh, after the first message, after the last. */
	start_rfc_server();
	ck_assert((tell_server(message) == SCRAM_CONTINUE) == (_i == 0));
	start_rfc_server();
	ck_assert_int_eq(tell_server(RFC_FIRST), SCRAM_CONTINUE);
	ck_assert((tell_server(message) == SCRAM_DONE) == (_i == 1));
	start_rfc_server();
	ck_assert_int_eq(tell_server(RFC_FIRST), SCRAM_CONTINUE);
	ck_assert_int_eq(tell_server(RFC_FINAL), SCRAM_DONE);
	ck_assert_int_eq(tell_server(message), SCRAM_BAD);

	/* The client: likewise, and before it has said anything. */
	scram_client_destroy(&client);
	client = scram_client_create("pencil");
	ck_assert_int_eq(tell_client(message), SCRAM_BAD);
	start_rfc_client();
	ck_assert((tell_client(message) == SCRAM_CONTINUE) == (_i == 2));
	start_rfc_client();
	ck_assert_int_eq(tell_client(RFC_SERVER_FIRST), SCRAM_CONTINUE);
	ck_assert((tell_client(message) == SCRAM_DONE) == (_i == 3));
	start_rfc_client();
	ck_assert_int_eq(tell_client(RFC_SERVER_FIRST), SCRAM_CONTINUE);
	ck_assert_int_eq(tell_client(RFC_SERVER_FINAL), SCRAM_DONE);
	ck_assert_int_eq(tell_client(message), SCRAM_BAD);
}
END_TEST

START_TEST(a_zero_byte_is_an_error)
{
	start_rfc_server();
	ck_assert_int_eq(feed_server(RFC_FIRST, sizeof(RFC_FIRST)), SCRAM_BAD);
	start_rfc_server();
	ck_assert_int_eq(feed_server("n,,n=\0,r=x", 10), SCRAM_BAD);
	start_rfc_client();
	ck_assert_int_eq(feed_client(RFC_SERVER_FIRST, sizeof(RFC_SERVER_FIRST)), SCRAM_BAD);
}
END_TEST

/* --- sizes --- */

/* Every nonce up to somewhat over 1 kB, then around each power of two, to 64 k and a bit. */
static size_t next_length(size_t length)
{
	if (length < 1100)
		return length + 1;
	if ((length & (length + 1)) == 0 || (length & (length - 1)) == 0)
		return length + 1;
	return ((length - 1) << 1) - 1;
}

/* prefix, `length` times 'x', suffix. */
static char *stretch(const char *prefix, size_t length, const char *suffix)
{
	size_t before = strlen(prefix);
	char *message = malloc(before + length + strlen(suffix) + 1);

	memcpy(message, prefix, before);
	memset(message + before, 'x', length);
	memcpy(message + before + length, suffix, strlen(suffix) + 1);
	return message;
}

static void check_server_nonce(size_t length)
{
	char *message = stretch("n,,n=,r=", length, "");
	bool fits = strlen(message) <= SCRAM_MESSAGE_MAX;

	start_server("user", RFC_SECRET);
	ck_assert_int_eq(tell_server(message), fits ? SCRAM_CONTINUE : SCRAM_BAD);
	if (fits)
		ck_assert_mem_eq(bytes_begin(&reply) + 2, message + 8, length);
	free(message);
}

static void check_client_nonce(size_t length)
{
	char *message = stretch("r=" RFC_CLIENT_NONCE, length, ",s=AAAA,i=1");
	bool fits = strlen(message) <= SCRAM_MESSAGE_MAX;

	start_rfc_client();
	ck_assert_int_eq(tell_client(message), fits ? SCRAM_CONTINUE : SCRAM_BAD);
	if (fits)
		ck_assert_mem_eq(bytes_begin(&reply) + 9 + 20, message + 22, length);
	free(message);
}

START_TEST(nonces_of_all_lengths)
{
	size_t longest = SCRAM_MESSAGE_MAX - strlen("n,,n=,r=");

	for (size_t length = 1; length <= 65537; length = next_length(length)) {
		check_server_nonce(length);
		check_client_nonce(length);
	}
	check_server_nonce(longest);
	check_server_nonce(longest + 1);
}
END_TEST

/* The longest that we take in whole round trips: what we answer must not be limited by less. */
START_TEST(a_long_nonce_goes_the_whole_way)
{
	unsigned answers;
	char *nonce = stretch("", 2000, "");
	struct bytes message = { 0 };

	ck_assert_int_eq(log_in("user", RFC_SECRET, "pencil", &answers), SCRAM_DONE);
	start_server("user", RFC_SECRET);
	scram_client_destroy(&client);
	client = scram_client_create("pencil");
	ck_assert(scram_client_fix(client, "", nonce));
	ck_assert(scram_server_fix(server, nonce));
	ck_assert(scram_client_first(client, &message));
	ck_assert_int_eq(feed_server(bytes_begin(&message), bytes_length(&message)),
			 SCRAM_CONTINUE);
	bytes_clear(&message);
	bytes_append(&message, bytes_begin(&reply), bytes_length(&reply));
	ck_assert_int_eq(feed_client(bytes_begin(&message), bytes_length(&message)),
			 SCRAM_CONTINUE);
	bytes_clear(&message);
	bytes_append(&message, bytes_begin(&reply), bytes_length(&reply));
	ck_assert_int_eq(feed_server(bytes_begin(&message), bytes_length(&message)), SCRAM_DONE);
	bytes_free(&message);
	free(nonce);
}
END_TEST

/* --- every prefix, every flipped byte --- */

START_TEST(no_prefix_is_taken_for_the_whole)
{
	static const char first[] = RFC_FIRST;
	static const char final[] = RFC_FINAL;
	static const char server_first[] = RFC_SERVER_FIRST;
	static const char server_final[] = RFC_SERVER_FINAL;

	/* Cut inside the nonce it is a message with a shorter nonce. */
	for (size_t n = 0; n < strlen(first); n++) {
		start_rfc_server();
		ck_assert_int_eq(feed_server(first, n),
				 n > strlen("n,,n=user,r=") ? SCRAM_CONTINUE : SCRAM_BAD);
	}
	for (size_t n = 0; n < strlen(final); n++) {
		start_rfc_server();
		ck_assert_int_eq(tell_server(RFC_FIRST), SCRAM_CONTINUE);
		ck_assert_int_eq(feed_server(final, n), SCRAM_BAD);
	}
	/* Cut inside the count it is a smaller count, and the proof is then another. */
	for (size_t n = 0; n < strlen(server_first); n++) {
		start_rfc_client();
		ck_assert_int_eq(feed_client(server_first, n),
				 n > strlen(server_first) - 4 ? SCRAM_CONTINUE : SCRAM_BAD);
		if (error == NULL)
			ck_assert_int_eq(tell_client(RFC_SERVER_FINAL), SCRAM_WRONG);
	}
	for (size_t n = 0; n < strlen(server_final); n++) {
		start_rfc_client();
		ck_assert_int_eq(tell_client(RFC_SERVER_FIRST), SCRAM_CONTINUE);
		ck_assert_int_eq(feed_client(server_final, n), SCRAM_BAD);
	}
}
END_TEST

START_TEST(no_flipped_bit_passes)
{
	char message[] = RFC_FINAL;
	char first[] = RFC_FIRST;

	for (size_t i = 0; i < 8 * strlen(RFC_FINAL); i++) {
		message[i / 8] ^= (char)(1 << i % 8);
		start_rfc_server();
		ck_assert_int_eq(tell_server(RFC_FIRST), SCRAM_CONTINUE);
		ck_assert_int_ne(feed_server(message, strlen(RFC_FINAL)), SCRAM_DONE);
		message[i / 8] ^= (char)(1 << i % 8);
	}
	for (size_t i = 0; i < 8 * strlen(RFC_FIRST); i++) {
		first[i / 8] ^= (char)(1 << i % 8);
		start_rfc_server();
		if (feed_server(first, strlen(RFC_FIRST)) == SCRAM_CONTINUE)
			ck_assert_int_ne(tell_server(RFC_FINAL), SCRAM_DONE);
		first[i / 8] ^= (char)(1 << i % 8);
	}
}
END_TEST

/* --- without memory --- */

/* One login in which the nth allocation fails; true when it went all the way. */
static bool log_in_failing(const char *secret, unsigned long nth)
{
	enum scram_result result = SCRAM_BAD;

	bytes_free(&reply);
	unit_fail_alloc(nth);
	server = scram_server_create("user", secret);
	if (server != NULL && scram_server_fix(server, RFC_SERVER_NONCE) &&
	    scram_server_step(server, (const uint8_t *)RFC_FIRST, strlen(RFC_FIRST), &reply,
			      &error) == SCRAM_CONTINUE)
		result = scram_server_step(server, (const uint8_t *)RFC_FINAL, strlen(RFC_FINAL),
					   &reply, &error);
	unit_fail_alloc(0);
	scram_server_destroy(&server);
	return result == SCRAM_DONE;
}

static bool ask_failing(unsigned long nth)
{
	enum scram_result result = SCRAM_BAD;

	bytes_free(&reply);
	unit_fail_alloc(nth);
	client = scram_client_create("pencil");
	if (client != NULL && scram_client_fix(client, "user", RFC_CLIENT_NONCE) &&
	    scram_client_first(client, &reply) &&
	    scram_client_step(client, (const uint8_t *)RFC_SERVER_FIRST, strlen(RFC_SERVER_FIRST),
			      &reply, &error) == SCRAM_CONTINUE)
		result = scram_client_step(client, (const uint8_t *)RFC_SERVER_FINAL,
					   strlen(RFC_SERVER_FINAL), &reply, &error);
	unit_fail_alloc(0);
	scram_client_destroy(&client);
	return result == SCRAM_DONE;
}

START_TEST(a_failed_allocation_ends_the_login)
{
	unsigned long nth;

	for (nth = 1; nth < 100 && !log_in_failing(RFC_SECRET, nth); nth++)
		;
	ck_assert_uint_gt(nth, 4);
	ck_assert_uint_lt(nth, 100);
	for (nth = 1; nth < 100 && !ask_failing(nth); nth++)
		;
	ck_assert_uint_gt(nth, 4);
	ck_assert_uint_lt(nth, 100);
	/* A user with a clear secret, and none. These proofs are wrong, so they never end. */
	for (nth = 1; nth < 30; nth++) {
		ck_assert(!log_in_failing("clear", nth));
		ck_assert(!log_in_failing(NULL, nth));
	}
}
END_TEST

/* --- secrets and base64 --- */

#define KEY32 "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="

static const struct {
	const char *text;
	bool is_good;
} secrets[] = {
	{ RFC_SECRET, true },
	{ "SCRAM-SHA-256$1:AA==$" KEY32 ":" KEY32, true },
	{ "SCRAM-SHA-256$2147483647:AA==$" KEY32 ":" KEY32, true },
	{ "SCRAM-SHA-256$2147483648:AA==$" KEY32 ":" KEY32, false },
	{ "SCRAM-SHA-256$0:AA==$" KEY32 ":" KEY32, false },
	{ "SCRAM-SHA-256$-1:AA==$" KEY32 ":" KEY32, false },
	{ "SCRAM-SHA-256$:AA==$" KEY32 ":" KEY32, false },
	{ "SCRAM-SHA-256$1:$" KEY32 ":" KEY32, false },
	{ "SCRAM-SHA-256$1:A$" KEY32 ":" KEY32, false },
	{ "SCRAM-SHA-256$1:AA==$AAAA:" KEY32, false },
	{ "SCRAM-SHA-256$1:AA==$" KEY32 ":AAAA", false },
	{ "SCRAM-SHA-256$1:AA==$" KEY32 ":", false },
	{ "SCRAM-SHA-256$1:AA==$" KEY32 ":" KEY32 ":", false },
	{ "SCRAM-SHA-256$1:AA==$" KEY32 ":" KEY32 " ", false },
	{ "SCRAM-SHA-256$1:AA==$" KEY32, false },
	{ "SCRAM-SHA-256$1:AA==:" KEY32 ":" KEY32, false },
	{ "SCRAM-SHA-256$", false },
	{ "SCRAM-SHA-256", false },
	{ "SCRAM-SHA-512$1:AA==$" KEY32 ":" KEY32, false },
	{ "scram-sha-256$1:AA==$" KEY32 ":" KEY32, false },
	{ " " RFC_SECRET, false },
	{ "", false },
};

START_TEST(secrets_are_parsed)
{
	struct scram_secret parsed;

	ck_assert_msg(scram_secret_parse(secrets[_i].text, &parsed) == secrets[_i].is_good, "%s",
		      secrets[_i].text);
}
END_TEST

START_TEST(no_prefix_of_a_secret_is_one)
{
	struct scram_secret parsed;

	for (size_t n = 0; n < strlen(RFC_SECRET); n++) {
		char *cut = strndup(RFC_SECRET, n);

		ck_assert(!scram_secret_parse(cut, &parsed));
		free(cut);
	}
	ck_assert(scram_secret_parse(RFC_SECRET, &parsed));
	ck_assert_uint_eq(parsed.iterations, 4096);
	ck_assert_uint_eq(parsed.salt_length, strlen(RFC_SALT));
	ck_assert_mem_eq(parsed.salt, RFC_SALT, strlen(RFC_SALT));
	ck_assert_uint_eq(parsed.stored_key[0], 0x58);
	ck_assert_uint_eq(parsed.stored_key[31], 0xa6);
	ck_assert_uint_eq(parsed.server_key[0], 0xc1);
}
END_TEST

/* RFC 4648, section 10, and what must not pass. */
static const struct {
	const char *text;
	const char *decoded; /* NULL: refused */
} base64s[] = {
	{ "Zg==", "f" },
	{ "Zm8=", "fo" },
	{ "Zm9v", "foo" },
	{ "Zm9vYg==", "foob" },
	{ "Zm9vYmE=", "fooba" },
	{ "Zm9vYmFy", "foobar" },
	{ "+/+/", "\xfb\xff\xbf" },
	{ "", NULL },
	{ "Z", NULL },
	{ "Zg", NULL },
	{ "Zg=", NULL },
	{ "Zm9", NULL },
	{ "=", NULL },
	{ "==", NULL },
	{ "====", NULL },
	{ "Z===", NULL },
	{ "=Zm9", NULL },
	{ "Zg==Zg==", NULL },
	{ "Zm9v====", NULL },
	{ "Zm9v\n", NULL },
	{ "Zm 9", NULL },
	{ "Zm-_", NULL },
	{ "Zh==", NULL },
	{ "Zm9=", NULL },
	{ "Zm\xc3\xa9", NULL },
	{ "Zm9vYg=", NULL },
};

START_TEST(base64_is_strict)
{
	const char *text = base64s[_i].text;
	const char *decoded = base64s[_i].decoded;
	uint8_t *out = malloc(strlen(text) / 4 * 3 + (strlen(text) < 4));
	size_t length = 0;

	ck_assert(scram_base64_decode(text, strlen(text), NULL, &length) == (decoded != NULL));
	ck_assert(scram_base64_decode(text, strlen(text), out, &length) == (decoded != NULL));
	if (decoded != NULL) {
		ck_assert_uint_eq(length, strlen(decoded));
		ck_assert_mem_eq(out, decoded, length);
	}
	free(out);
}
END_TEST

START_TEST(destroying_nothing_is_nothing)
{
	scram_server_destroy(&server);
	scram_client_destroy(&client);
	ck_assert_ptr_null(server);
	ck_assert_ptr_null(client);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *scram_suite(void)
{
	Suite *suite = suite_create("auth/scram");
	TCase *tc = tcase_create("scram");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, rfc_7677_as_client);
	tcase_add_test(tc, rfc_7677_as_server);
	tcase_add_test(tc, the_client_names_no_user);
	tcase_add_loop_test(tc, logins_end_as_they_should, 0, ROWS(logins));
	tcase_add_test(tc, long_passwords_work);
	tcase_add_test(tc, nonces_are_fresh);
	tcase_add_test(tc, an_unknown_user_looks_like_a_known_one);
	tcase_add_test(tc, all_logins_take_alike);
	tcase_add_loop_test(tc, client_first_messages, 0, ROWS(client_firsts));
	tcase_add_loop_test(tc, client_final_messages, 0, ROWS(client_finals));
	tcase_add_test(tc, flag_y_is_accepted_and_checked);
	tcase_add_loop_test(tc, server_first_messages, 0, ROWS(server_firsts));
	tcase_add_loop_test(tc, server_final_messages, 0, ROWS(server_finals));
	tcase_add_test(tc, a_server_must_prove_itself);
	tcase_add_loop_test(tc, a_message_is_legal_in_one_state, 0, ROWS(all_messages));
	tcase_add_test(tc, a_zero_byte_is_an_error);
	tcase_add_test(tc, nonces_of_all_lengths);
	tcase_add_test(tc, a_long_nonce_goes_the_whole_way);
	tcase_add_test(tc, no_prefix_is_taken_for_the_whole);
	tcase_add_test(tc, no_flipped_bit_passes);
	tcase_add_test(tc, a_failed_allocation_ends_the_login);
	tcase_add_loop_test(tc, secrets_are_parsed, 0, ROWS(secrets));
	tcase_add_test(tc, no_prefix_of_a_secret_is_one);
	tcase_add_loop_test(tc, base64_is_strict, 0, ROWS(base64s));
	tcase_add_test(tc, destroying_nothing_is_nothing);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(scram_suite)
