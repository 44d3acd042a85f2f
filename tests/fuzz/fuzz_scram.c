/*
 * Both roles of SCRAM against a hostile peer. The input is a choice of role and then messages,
 * each behind two bytes of length. Nobody may log in with bytes that were not made from the
 * password; an answer is made exactly when the step says so; once an exchange has failed it stays
 * failed. And an honest pair always ends well, whatever the password and the peer's nonce are.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/scram.h"
#include "base/panic.h"

#include "../../src/auth/scram_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at;
	size_t left;
};

/* The next message, in memory of exactly its size; the caller's. */
static uint8_t *next_message(struct input *in, size_t *length_out)
{
	size_t length;
	uint8_t *message;

	if (in->left < 2)
		return NULL;
	length = (size_t)in->at[0] << 8 | in->at[1];
	in->at += 2;
	in->left -= 2;
	if (length > in->left)
		length = in->left;
	message = malloc(length > 0 ? length : 1);
	ASSERT(message != NULL);
	memcpy(message, in->at, length);
	in->at += length;
	in->left -= length;
	*length_out = length;
	return message;
}

/* The client knows nothing, and the nonce is random: no input of any length may get through. */
static void attack_server(struct input *in, const char *secret, int binding)
{
	static const uint8_t end_point[32] = "the certificate";
	struct scram_server *server = scram_server_create("user", secret);
	enum scram_result before = SCRAM_CONTINUE;
	struct bytes reply = { 0 };
	uint8_t *message;
	size_t length;

	ASSERT(server != NULL);
	if (binding)
		scram_server_bind(server, binding == 2, end_point, sizeof(end_point));
	while ((message = next_message(in, &length)) != NULL) {
		const char *error = NULL;
		enum scram_result result;

		bytes_clear(&reply);
		result = scram_server_step(server, message, length, &reply, &error);
		ASSERT(result != SCRAM_DONE);
		ASSERT((result == SCRAM_CONTINUE) == (bytes_length(&reply) > 0));
		ASSERT((result == SCRAM_CONTINUE) == (error == NULL));
		ASSERT(before == SCRAM_CONTINUE || result == SCRAM_BAD);
		before = result;
		free(message);
	}
	bytes_free(&reply);
	scram_server_destroy(&server);
}

/* Is the count that a server asks for one that would only make the fuzzer wait? */
static int is_slow(const uint8_t *message, size_t length)
{
	const uint8_t *count = memmem(message, length, ",i=", 3);
	size_t digits = 0;

	if (count == NULL)
		return 0;
	for (count += 3; count + digits < message + length; digits++) {
		if (count[digits] < '0' || count[digits] > '9')
			break;
	}
	return digits > 4 && digits < 8;
}

static void attack_client(struct input *in, struct scram_client *client)
{
	enum scram_result before = SCRAM_CONTINUE;
	struct bytes reply = { 0 };
	uint8_t *message;
	size_t length;

	/* A known nonce, or nothing but the first check would ever be reached. */
	ASSERT(client != NULL && scram_client_fix(client, "", "nonce"));
	ASSERT(scram_client_first(client, &reply));
	while ((message = next_message(in, &length)) != NULL) {
		const char *error = NULL;
		enum scram_result result;

		bytes_clear(&reply);
		if (!is_slow(message, length)) {
			result = scram_client_step(client, message, length, &reply, &error);
			ASSERT(result != SCRAM_DONE);
			ASSERT((result == SCRAM_CONTINUE) == (bytes_length(&reply) > 0));
			ASSERT((result == SCRAM_CONTINUE) == (error == NULL));
			ASSERT(before == SCRAM_CONTINUE || result == SCRAM_BAD);
			before = result;
		}
		free(message);
	}
	bytes_free(&reply);
	scram_client_destroy(&client);
}

static void log_in(const char *password)
{
	struct scram_server *server = scram_server_create("user", password);
	struct scram_client *client = scram_client_create(password);
	struct bytes to_server = { 0 };
	struct bytes to_client = { 0 };
	const char *error;

	ASSERT(server != NULL && client != NULL && scram_client_first(client, &to_server));
	ASSERT(scram_server_step(server, bytes_begin(&to_server), bytes_length(&to_server),
				 &to_client, &error) == SCRAM_CONTINUE);
	bytes_clear(&to_server);
	ASSERT(scram_client_step(client, bytes_begin(&to_client), bytes_length(&to_client),
				 &to_server, &error) == SCRAM_CONTINUE);
	bytes_clear(&to_client);
	ASSERT(scram_server_step(server, bytes_begin(&to_server), bytes_length(&to_server),
				 &to_client, &error) == SCRAM_DONE);
	bytes_clear(&to_server);
	ASSERT(scram_client_step(client, bytes_begin(&to_client), bytes_length(&to_client),
				 &to_server, &error) == SCRAM_DONE);
	bytes_free(&to_server);
	bytes_free(&to_client);
	scram_server_destroy(&server);
	scram_client_destroy(&client);
}

/* A password that has the form of a stored secret is one, and no password. */
static void log_in_with(const struct input *in)
{
	struct scram_secret parsed;
	char *password = strndup((const char *)in->at, in->left);

	ASSERT(password != NULL);
	if (password[0] != '\0' && strncmp(password, "md5", 3) != 0 &&
	    !scram_secret_parse(password, &parsed))
		log_in(password);
	free(password);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char secret[] = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
				     "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
				     "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
	static const uint8_t key[SCRAM_KEY_BYTES] = "of another password";
	struct input in = { data, size };

	if (size == 0)
		return 0;
	in.at++;
	in.left--;
	switch (data[0] % 8) {
	case 0: attack_server(&in, secret, 0); break;
	case 1: attack_server(&in, NULL, 0); break;
	case 2: attack_client(&in, scram_client_create("a password")); break;
	case 3: log_in_with(&in); break;
	case 4: attack_server(&in, secret, 1); break;
	case 5: attack_server(&in, secret, 2); break;
	case 6: attack_server(&in, NULL, 2); break;
	case 7: attack_client(&in, scram_client_create_with_key(secret, key)); break;
	}
	return 0;
}
