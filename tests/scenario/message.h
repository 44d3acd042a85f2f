#ifndef POINTSMAN_TESTS_SCENARIO_MESSAGE_H
#define POINTSMAN_TESTS_SCENARIO_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/*
 * Protocol messages as the scripts write them: a name and arguments, `Parse "s1" "SELECT 1"`.
 * Built into bytes, and read back from bytes, by one table. docs: tests/scenario/README.md.
 */

#define MESSAGE_ARGS_MAX 32

enum direction {
	FROM_CLIENT,
	FROM_SERVER
};

/* Arguments are texts; bytes that cannot be printed are written \xNN. */
struct message {
	char name[40];
	uint8_t type; /* when it was read: its first byte */
	size_t n_args;
	char *args[MESSAGE_ARGS_MAX]; /* owned */
	size_t size;                  /* of the bytes it was read from */
};

void message_free(struct message *message);

/* Adds an argument, escaped. */
void message_add(struct message *message, const void *data, size_t length);
void message_add_text(struct message *message, const char *text);

/* Appends the bytes of a message; false: there is none of that name. */
bool message_build(const struct message *message, enum direction direction, struct bytes *out);

/*
 * Reads the first message of data[0..length); `is_untyped` for what opens a connection. false: it
 * is not all there. What is no message at all becomes `Garbage`, what has a wrong body
 * `Malformed`.
 */
bool message_read(const uint8_t *data, size_t length, enum direction direction, bool is_untyped,
		  struct message *out);

/* "Name arg, arg" for people; long arguments are cut. The caller's, to be freed. */
char *message_text(const struct message *message);

/* Turns \xNN, \n, \\ and \" back into bytes. The result is the caller's. */
uint8_t *message_unescape(const char *text, size_t *length_out);

#endif
