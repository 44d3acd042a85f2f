#ifndef POINTSMAN_TESTS_SUPPORT_RAW_H
#define POINTSMAN_TESTS_SUPPORT_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A client that speaks the wire protocol by hand, also wrongly: for what libpq does not do.
 * Blocking, every wait ends after RAW_TIMEOUT_MS. A failed read makes the connection `dead`; on a
 * dead connection everything returns false or type 0.
 */

#define RAW_TIMEOUT_MS 10000

struct raw {
	int fd;
	bool dead;
	uint32_t pid; /* of BackendKeyData */
	uint8_t key[256];
	size_t key_length;
	char txn;       /* of the last ReadyForQuery */
	uint32_t minor; /* of NegotiateProtocolVersion; 0xffffffff: none came */
	uint8_t *body;  /* of the message read last; valid until the next read */
	size_t body_length;
	size_t body_room;
	uint8_t *error; /* body of the last ErrorResponse, NULL before the first */
	size_t error_length;
};

/* Opens a TCP connection to 127.0.0.1; NULL on failure. raw_close() also accepts NULL. */
struct raw *raw_open(int port);

/* The same, coming from another address of this machine: "127.0.0.2". NULL: the system chooses.
 */
struct raw *raw_open_from(const char *source, int port);
void raw_close(struct raw **raw);

/* Closes with a reset instead of an orderly end. */
void raw_reset(struct raw **raw);

/* No more from us: the other side sees the end of the stream, and can still answer. */
void raw_shutdown(struct raw *raw);

/* Bytes as they are. */
bool raw_send(struct raw *raw, const void *data, size_t length);

/*
 * A message with its length filled in; type 0 for none. The body by a format: 'b' int as one
 * byte, 'h' int as two, 'i' int as four, 's' string with its NUL, 't' string without, 'r' pointer
 * and size_t.
 */
bool raw_message(struct raw *raw, char type, const char *format, ...);

/* The same with a length field that lies. */
bool raw_message_lying(struct raw *raw, char type, uint32_t length, const char *body);

/* StartupMessage of protocol 3.minor for user and database; `more` has name, value, ..., NULL or
 * is NULL. */
bool raw_startup(struct raw *raw, unsigned minor, const char *user, const char *database,
		 const char *const *more);

/*
 * Opens, starts up (trust or clear-text password "<user>_secret"), reads up to the first
 * ReadyForQuery. NULL when anything else comes.
 */
struct raw *raw_login(int port, const char *user, const char *database);

bool raw_query(struct raw *raw, const char *sql);
bool raw_parse(struct raw *raw, const char *name, const char *sql);
bool raw_bind(struct raw *raw, const char *portal, const char *statement, const char *parameter);
bool raw_describe(struct raw *raw, char kind, const char *name);
bool raw_execute(struct raw *raw, const char *portal, int rows_max);
bool raw_close_name(struct raw *raw, char kind, const char *name);
bool raw_sync(struct raw *raw);
bool raw_flush(struct raw *raw);

/* CancelRequest on a connection of its own with the key of `raw`; waits for its end. */
bool raw_cancel(int port, const struct raw *raw);

/* One byte, without a message around it: the answer to SSLRequest. 0 when none comes. */
char raw_read_byte(struct raw *raw);

/* The next message: its type, 0 at the end of the stream or after the timeout. */
char raw_read(struct raw *raw);

/* The next message that is no ParameterStatus and no notice. */
char raw_read_main(struct raw *raw);

/*
 * Reads messages up to and including ReadyForQuery; writes their types into `types_out` (as a
 * string, without ParameterStatus and notices). false when the stream ends before.
 */
bool raw_read_until_ready(struct raw *raw, char *types_out, size_t size);

/* A field ('C', 'M', 'S', ...) of the last ErrorResponse; "" when there was none, or has no such
 * field. */
const char *raw_error_field(const struct raw *raw, char field);

/* true when the other side closes and sends nothing more but errors and notices. */
bool raw_expect_end(struct raw *raw);

/* Bytes that wait in our receive buffer. */
size_t raw_pending(const struct raw *raw);

#endif
