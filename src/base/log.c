/*
 * The log. A line is put together on the caller's stack and leaves in one write(). Opens, rotates
 * and sends nothing: standard error belongs to whoever started the daemon. Any thread may log;
 * the level and the format are atomics, the thread's name is its own.
 *
 * A pipe that nobody reads must not stop a worker, so a line is written only when poll() says
 * that there is room, and is counted as dropped else. The two calls are under one lock, as the
 * room seen may otherwise be gone by the time of the write. The lock is never held for long:
 * neither call waits.
 */

#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/panic.h"

#define LINE_MAX_BYTES    1000 /* with its newline */
#define NAME_MAX_BYTES    80   /* a user, database, node or thread as written */
#define MESSAGE_MAX_BYTES 1024 /* before escaping */

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const char *const level_labels[] = { "ERROR", "WARN", "INFO", "DEBUG" };

static _Atomic int current_level = LOG_LEVEL_INFO;
static _Atomic int current_format = LOG_FORMAT_TEXT;
static _Atomic uint64_t dropped;
static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local const char *thread_name;

/* Pieces may fill the text up to `end`; what is behind is kept for the tail of the line. */
struct line {
	char text[LINE_MAX_BYTES];
	size_t length;
	size_t end;
};

/* Appends the whole piece or nothing; false when it does not fit before `stop`. */
static bool put(struct line *line, size_t stop, const char *piece, size_t length)
{
	if (length > stop - line->length)
		return false;
	memcpy(line->text + line->length, piece, length);
	line->length += length;
	return true;
}

static void put_text(struct line *line, const char *text)
{
	put(line, line->end, text, strlen(text));
}

/*
 * Length of the UTF-8 character at `text`, 0 when there is none (RFC 3629: no overlong forms, no
 * surrogates). Stops by itself at the string's NUL.
 */
static size_t utf8_length(const unsigned char *text)
{
	unsigned char first = text[0], low = 0x80, high = 0xBF;
	size_t length = first < 0x80   ? 1
			: first < 0xC2 ? 0
			: first < 0xE0 ? 2
			: first < 0xF0 ? 3
				       : 4;

	if (first > 0xF4)
		return 0;
	if (first == 0xE0)
		low = 0xA0;
	else if (first == 0xED)
		high = 0x9F;
	else if (first == 0xF0)
		low = 0x90;
	else if (first == 0xF4)
		high = 0x8F;
	for (size_t i = 1; i < length; i++) {
		if (text[i] < low || text[i] > high)
			return 0;
		low = 0x80;
		high = 0xBF;
	}
	return length;
}

/* C0, DEL, and C1 (U+0080 to U+009F, as two bytes), which some terminals obey too. */
static bool is_control(const unsigned char *text)
{
	return text[0] < 0x20 || text[0] == 0x7F || (text[0] == 0xC2 && text[1] < 0xA0);
}

/* The character at `text` as a piece of a text line; returns how many bytes of it that was. */
static size_t escape_text(const unsigned char *text, char *piece, size_t size)
{
	size_t length = utf8_length(text);

	if (length > 0 && !is_control(text)) {
		snprintf(piece, size, "%.*s", (int)length, (const char *)text);
		return length;
	}
	if (text[0] == '\n')
		snprintf(piece, size, "\\n");
	else if (text[0] == '\t')
		snprintf(piece, size, "\\t");
	else
		snprintf(piece, size, "\\x%02x", text[0]);
	return 1;
}

/* The same for JSON, whose strings are UTF-8: a byte that is not becomes U+FFFD. */
static size_t escape_json(const unsigned char *text, char *piece, size_t size)
{
	size_t length = utf8_length(text);

	if (length == 0) {
		snprintf(piece, size, "\\ufffd");
		return 1;
	}
	if (text[0] == '"' || text[0] == '\\')
		snprintf(piece, size, "\\%c", text[0]);
	else if (text[0] == '\n')
		snprintf(piece, size, "\\n");
	else if (text[0] == '\t')
		snprintf(piece, size, "\\t");
	else if (is_control(text))
		snprintf(piece, size, "\\u%04x", text[length - 1]);
	else
		snprintf(piece, size, "%.*s", (int)length, (const char *)text);
	return length;
}

/* Escapes `text` into the line, at most `max` bytes of it; what was cut short ends in "...". */
static void put_escaped(struct line *line, enum log_format format, const char *text, size_t max)
{
	const unsigned char *next = (const unsigned char *)text;
	size_t stop = max < line->end - line->length ? line->length + max : line->end;
	size_t cut_here = line->length; /* the last place with room for the dots */
	char piece[8];

	while (*next != '\0') {
		next += format == LOG_FORMAT_JSON ? escape_json(next, piece, sizeof(piece))
						  : escape_text(next, piece, sizeof(piece));
		if (!put(line, stop, piece, strlen(piece))) {
			line->length = cut_here;
			put(line, stop, "...", 3);
			return;
		}
		if (line->length + 3 <= stop)
			cut_here = line->length;
	}
}

static void put_time(struct line *line, enum log_format format)
{
	usec now = clock_wall();
	time_t seconds = (time_t)(now / USEC_PER_SEC);
	int ms = (int)(now % USEC_PER_SEC / USEC_PER_MS);
	char date[32], text[64];
	struct tm utc;

	gmtime_r(&seconds, &utc);
	strftime(date, sizeof(date),
		 format == LOG_FORMAT_JSON ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &utc);
	snprintf(text, sizeof(text), format == LOG_FORMAT_JSON ? "%s.%03dZ" : "%s.%03d UTC", date,
		 ms);
	put_text(line, text);
}

/* 2026-11-22 12:00:00.123 UTC INFO [worker 0] client 17 app@shop node a: */
static void put_text_head(struct line *line, enum log_level level, const struct log_ctx *ctx)
{
	char id[32];

	put_time(line, LOG_FORMAT_TEXT);
	put_text(line, " ");
	put_text(line, level_labels[level]);
	if (thread_name != NULL) {
		put_text(line, " [");
		put_escaped(line, LOG_FORMAT_TEXT, thread_name, NAME_MAX_BYTES);
		put_text(line, "]");
	}
	if (ctx->kind != NULL) {
		put_text(line, " ");
		put_escaped(line, LOG_FORMAT_TEXT, ctx->kind, NAME_MAX_BYTES);
	}
	if (ctx->id != 0) {
		snprintf(id, sizeof(id), " %" PRIu64, ctx->id);
		put_text(line, id);
	}
	if (ctx->user != NULL || ctx->database != NULL)
		put_text(line, " ");
	if (ctx->user != NULL)
		put_escaped(line, LOG_FORMAT_TEXT, ctx->user, NAME_MAX_BYTES);
	if (ctx->database != NULL) {
		put_text(line, "@");
		put_escaped(line, LOG_FORMAT_TEXT, ctx->database, NAME_MAX_BYTES);
	}
	if (ctx->node != NULL) {
		/* A line about a node has said the word already. */
		if (ctx->kind == NULL || strcmp(ctx->kind, "node") != 0)
			put_text(line, " node");
		put_text(line, " ");
		put_escaped(line, LOG_FORMAT_TEXT, ctx->node, NAME_MAX_BYTES);
	}
	put_text(line, ": ");
}

static void put_json_field(struct line *line, const char *key, const char *value)
{
	if (value == NULL)
		return;
	put_text(line, ",\"");
	put_text(line, key);
	put_text(line, "\":\"");
	put_escaped(line, LOG_FORMAT_JSON, value, NAME_MAX_BYTES);
	put_text(line, "\"");
}

/* {"time":"2026-11-22T12:00:00.123Z","level":"info","thread":"worker 0", ... ,"message":" */
static void put_json_head(struct line *line, enum log_level level, const struct log_ctx *ctx)
{
	char id[32];

	put_text(line, "{\"time\":\"");
	put_time(line, LOG_FORMAT_JSON);
	put_text(line, "\"");
	put_json_field(line, "level", level_names[level]);
	put_json_field(line, "thread", thread_name);
	put_json_field(line, "kind", ctx->kind);
	if (ctx->id != 0) {
		snprintf(id, sizeof(id), ",\"id\":%" PRIu64, ctx->id);
		put_text(line, id);
	}
	put_json_field(line, "user", ctx->user);
	put_json_field(line, "database", ctx->database);
	put_json_field(line, "node", ctx->node);
	put_text(line, ",\"message\":\"");
}

/* The head is at most 700 bytes by the bounds on its names, so a message has 300 or more. */
static void build_line(struct line *line, enum log_level level, const struct log_ctx *ctx,
		       const char *message)
{
	static const struct log_ctx nobody;
	enum log_format format = atomic_load_explicit(&current_format, memory_order_relaxed);
	const char *tail = format == LOG_FORMAT_JSON ? "\"}\n" : "\n";

	line->length = 0;
	line->end = sizeof(line->text) - strlen(tail);
	if (format == LOG_FORMAT_JSON)
		put_json_head(line, level, ctx ? ctx : &nobody);
	else
		put_text_head(line, level, ctx ? ctx : &nobody);
	put_escaped(line, format, message, LINE_MAX_BYTES);
	line->end = sizeof(line->text);
	put_text(line, tail);
}

static bool has_room(int fd)
{
	struct pollfd room = { .fd = fd, .events = POLLOUT };
	int ready;

	do
		ready = poll(&room, 1, 0);
	while (ready == -1 && errno == EINTR);
	/* Anything but room (closed, hung up, an error) would end in SIGPIPE or EIO. */
	return ready == 1 && room.revents == POLLOUT;
}

static void write_line(const struct line *line)
{
	ssize_t written = -1;

	pthread_mutex_lock(&write_lock);
	if (has_room(STDERR_FILENO)) {
		do
			written = write(STDERR_FILENO, line->text, line->length);
		while (written == -1 && errno == EINTR);
	}
	pthread_mutex_unlock(&write_lock);
	/* The rest of a line that was cut short (a full disk) is not worth waiting for. */
	if (written != (ssize_t)line->length)
		atomic_fetch_add_explicit(&dropped, 1, memory_order_relaxed);
}

/* `error`: the errno to explain at the end of the message, 0 for none. */
static void __attribute__((format(printf, 4, 0)))
log_line(enum log_level level, const struct log_ctx *ctx, int error, const char *format,
	 va_list arguments)
{
	char message[MESSAGE_MAX_BYTES], reason[128];
	struct line line;
	int length;

	length = vsnprintf(message, sizeof(message), format, arguments);
	if (length < 0)
		length = snprintf(message, sizeof(message), "(a message that cannot be printed)");
	if (error != 0 && (size_t)length < sizeof(message))
		snprintf(message + length, sizeof(message) - (size_t)length, ": %s",
			 strerror_r(error, reason, sizeof(reason)));
	build_line(&line, level, ctx, message);
	write_line(&line);
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

void log_set_format(enum log_format format)
{
	atomic_store_explicit(&current_format, (int)format, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

void log_set_thread(const char *name)
{
	thread_name = name;
}

/* The public functions differ in their level and in whether they explain errno. */
#define DEFINE_LOG(name, level, error)                                \
	void name(const struct log_ctx *ctx, const char *format, ...) \
	{                                                             \
		int saved = errno;                                    \
		va_list arguments;                                    \
                                                                      \
		if (!log_enabled(level))                              \
			return;                                       \
		va_start(arguments, format);                          \
		log_line(level, ctx, error, format, arguments);       \
		va_end(arguments);                                    \
		errno = saved;                                        \
	}

DEFINE_LOG(log_error, LOG_LEVEL_ERROR, saved)
DEFINE_LOG(log_errorx, LOG_LEVEL_ERROR, 0)
DEFINE_LOG(log_warn, LOG_LEVEL_WARN, saved)
DEFINE_LOG(log_warnx, LOG_LEVEL_WARN, 0)
DEFINE_LOG(log_info, LOG_LEVEL_INFO, 0)
DEFINE_LOG(log_debug, LOG_LEVEL_DEBUG, 0)

const char *log_level_name(enum log_level level)
{
	ASSERT((int)level >= 0 && level <= LOG_LEVEL_DEBUG);
	return level_names[level];
}

bool log_level_parse(const char *name, enum log_level *level_out)
{
	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		if (strcmp(name, level_names[level]) == 0) {
			*level_out = (enum log_level)level;
			return true;
		}
	}
	return false;
}

uint64_t log_dropped(void)
{
	return atomic_load_explicit(&dropped, memory_order_relaxed);
}

bool log_limit_pass(struct log_limit *limit, unsigned *suppressed_out)
{
	usec now = clock_now();

	*suppressed_out = 0;
	if (limit->period_began == 0 ||
	    now - limit->period_began >= limit->period_ms * USEC_PER_MS) {
		limit->period_began = now;
		limit->passed = 0;
	}
	if (limit->passed >= limit->burst) {
		limit->suppressed++;
		return false;
	}
	limit->passed++;
	*suppressed_out = limit->suppressed;
	limit->suppressed = 0;
	return true;
}
