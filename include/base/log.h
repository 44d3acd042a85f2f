#ifndef POINTSMAN_BASE_LOG_H
#define POINTSMAN_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The log: one line an event to standard error, as text or JSON. Safe from any thread: a line
 * is formatted on the caller's stack and leaves in one write(), so lines never mix. errno is
 * kept. Control characters in a message are escaped, a line is at most 1,000 bytes, passwords
 * never come here. A reader that does not keep up loses lines (see log_dropped), it does not
 * stop the daemon. Not for signal handlers.
 */

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARN,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};
enum log_format {
	LOG_FORMAT_TEXT,
	LOG_FORMAT_JSON
};

/*
 * Who a line is about; any field may be 0 or NULL, and so may the context itself.
 * The name of the thread (see log_set_thread) is added to each line.
 */
struct log_ctx {
	const char *kind; /* "client", "server", "admin", "node" */
	uint64_t id;
	const char *user;
	const char *database;
	const char *node;
};

/* Set at start and by reload; read without a lock. */
void log_set_level(enum log_level level);
void log_set_format(enum log_format format);

/* true when a line of this level would be written: for messages that cost something to make. */
bool log_enabled(enum log_level level);

/* Names the calling thread in its lines: "control", "worker 0". The text must outlive it. */
void log_set_thread(const char *name);

/*
 * As in the BSD daemons: log_error() and log_warn() append strerror(errno), the others do not.
 */
void log_error(const struct log_ctx *ctx, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void log_errorx(const struct log_ctx *ctx, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void log_warn(const struct log_ctx *ctx, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void log_warnx(const struct log_ctx *ctx, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void log_info(const struct log_ctx *ctx, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void log_debug(const struct log_ctx *ctx, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* "error", "warn", "info", "debug"; log_level_parse() returns false for any other word. */
const char *log_level_name(enum log_level level);
bool log_level_parse(const char *name, enum log_level *level_out);

/* Lines lost since the start because standard error did not take them at once. */
uint64_t log_dropped(void);

/*
 * Rate limit for a kind of line that may repeat without end (refused connections, a dead
 * node). log_limit_pass() is true for the first `burst` calls of each period; the first call
 * of the next period reports through suppressed_out how many were held back (0: none).
 * A zeroed struct with burst and period_ms set is ready. One struct belongs to one thread.
 */
struct log_limit {
	unsigned burst;
	int64_t period_ms;
	int64_t period_began; /* usec */
	unsigned passed;
	unsigned suppressed;
};

bool log_limit_pass(struct log_limit *limit, unsigned *suppressed_out);

#endif
