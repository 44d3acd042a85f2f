/*
 * The form of lines in both formats, escaping of hostile text, the bound on a line's length, what
 * happens when standard error does not take it, and the rate limit. Standard error is a pipe for
 * the time of a line. Messages that are quoted whole are the documented form.
 */

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "../unit.h"

/* 2026-11-22 12:00:00.123456 UTC */
#define NOON (1795348800 * USEC_PER_SEC + 123456)

static int saved_stderr = -1;
static int reader = -1;
static char captured[65536];

/* Standard error to a new pipe, of which `reader` is the other end. */
static void capture(void)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	saved_stderr = dup(STDERR_FILENO);
	ck_assert_int_ne(dup2(ends[1], STDERR_FILENO), -1);
	close(ends[1]);
	reader = ends[0];
}

static void restore(void)
{
	if (saved_stderr != -1) {
		dup2(saved_stderr, STDERR_FILENO);
		close(saved_stderr);
	}
	saved_stderr = -1;
}

/* What was logged since capture(). */
static const char *logged(void)
{
	size_t length = 0;
	ssize_t got;

	restore();
	while ((got = read(reader, captured + length, sizeof(captured) - 1 - length)) > 0)
		length += (size_t)got;
	captured[length] = '\0';
	close(reader);
	reader = -1;
	return captured;
}

static void setup(void)
{
	clock_fake(NOON);
	log_set_level(LOG_LEVEL_DEBUG);
	log_set_format(LOG_FORMAT_TEXT);
	log_set_thread("worker 0");
}

static void teardown(void)
{
	restore();
	if (reader != -1)
		close(reader);
	reader = -1;
	clock_fake(0);
	log_set_level(LOG_LEVEL_INFO);
	log_set_format(LOG_FORMAT_TEXT);
	log_set_thread(NULL);
}

static const struct log_ctx client = {
	.kind = "client",
	.id = 17,
	.user = "app",
	.database = "shop",
};

#define HEAD "2026-11-22 12:00:00.123 UTC INFO [worker 0]"

START_TEST(text_line)
{
	static const struct {
		struct log_ctx ctx;
		const char *expected;
	} cases[] = {
		{ { "client", 17, "app", "shop", NULL },
		  HEAD " client 17 app@shop: message 1\n" },
		{ { "server", 3, "app", "shop", "a" },
		  HEAD " server 3 app@shop node a: message 1\n" },
		{ { "node", 0, NULL, NULL, "a" }, HEAD " node a: message 1\n" },
		{ { "client", 17, NULL, NULL, NULL }, HEAD " client 17: message 1\n" },
		{ { "client", 17, "app", NULL, NULL }, HEAD " client 17 app: message 1\n" },
		{ { NULL, 0, NULL, "shop", "a" }, HEAD " @shop node a: message 1\n" },
		{ { NULL, 0, NULL, NULL, NULL }, HEAD ": message 1\n" },
		{ { "client", UINT64_MAX, "a\nb", "c\x1b[", "\xff" },
		  HEAD " client 18446744073709551615 a\\nb@c\\x1b[ node \\xff: message 1\n" },
	};

	capture();
	log_info(&cases[_i].ctx, "message %d", 1);
	ck_assert_str_eq(logged(), cases[_i].expected);
}
END_TEST

START_TEST(no_context_and_no_thread)
{
	log_set_thread(NULL);
	capture();
	log_info(NULL, "%s", "starting");
	ck_assert_str_eq(logged(), "2026-11-22 12:00:00.123 UTC INFO: starting\n");
}
END_TEST

START_TEST(json_line)
{
	struct log_ctx all = client;

	all.node = "a";
	log_set_format(LOG_FORMAT_JSON);
	capture();
	log_info(&all, "message %d", 1);
	log_warnx(NULL, "alone");
	ck_assert_str_eq(logged(), "{\"time\":\"2026-11-22T12:00:00.123Z\",\"level\":\"info\","
				   "\"thread\":\"worker 0\",\"kind\":\"client\",\"id\":17,"
				   "\"user\":\"app\",\"database\":\"shop\",\"node\":\"a\","
				   "\"message\":\"message 1\"}\n"
				   "{\"time\":\"2026-11-22T12:00:00.123Z\",\"level\":\"warn\","
				   "\"thread\":\"worker 0\",\"message\":\"alone\"}\n");
}
END_TEST

START_TEST(x_forms_do_not_explain_errno)
{
	capture();
	errno = ENOENT;
	log_error(NULL, "a");
	log_errorx(NULL, "b");
	log_warn(NULL, "c");
	log_warnx(NULL, "d");
	log_info(NULL, "e");
	log_debug(NULL, "f");
	ck_assert_int_eq(errno, ENOENT);
	logged();
	ck_assert_ptr_nonnull(
		strstr(captured, "ERROR [worker 0]: a: No such file or directory\n"));
	ck_assert_ptr_nonnull(strstr(captured, "ERROR [worker 0]: b\n"));
	ck_assert_ptr_nonnull(
		strstr(captured, "WARN [worker 0]: c: No such file or directory\n"));
	ck_assert_ptr_nonnull(strstr(captured, "WARN [worker 0]: d\n"));
	ck_assert_ptr_nonnull(strstr(captured, "INFO [worker 0]: e\n"));
	ck_assert_ptr_nonnull(strstr(captured, "DEBUG [worker 0]: f\n"));
}
END_TEST

START_TEST(level_holds_lines_back)
{
	static const int lines[] = { 1, 2, 3, 4 };
	int count = 0;

	log_set_level((enum log_level)_i);
	capture();
	log_errorx(NULL, "x");
	log_warnx(NULL, "x");
	log_info(NULL, "x");
	log_debug(NULL, "x");
	for (const char *at = logged(); (at = strchr(at, '\n')) != NULL; at++)
		count++;
	ck_assert_int_eq(count, lines[_i]);
	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++)
		ck_assert_int_eq(log_enabled((enum log_level)level), level <= _i);
}
END_TEST

static const struct {
	const char *message, *text, *json;
} escapes[] = {
	{ "plain", "plain", "plain" },
	{ "", "", "" },
	{ "a\nb\tc\rd", "a\\nb\\tc\\x0dd", "a\\nb\\tc\\u000dd" },
	{ "\x1b[31m\x7f", "\\x1b[31m\\x7f", "\\u001b[31m\\u007f" },
	{ "say \"\\\"", "say \"\\\"", "say \\\"\\\\\\\"" },
	{ "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9a\x82",
	  "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9a\x82",
	  "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x9a\x82" },
	{ "\xc2\x9b", "\\xc2\\x9b", "\\u009b" },        /* C1: CSI */
	{ "\xff", "\\xff", "\\ufffd" },                 /* never in UTF-8 */
	{ "\x80", "\\x80", "\\ufffd" },                 /* lone continuation */
	{ "\xc3", "\\xc3", "\\ufffd" },                 /* cut short by the end */
	{ "\xe2\x82", "\\xe2\\x82", "\\ufffd\\ufffd" }, /* the same */
	{ "\xf0\x9f\x9a", "\\xf0\\x9f\\x9a", "\\ufffd\\ufffd\\ufffd" },
	{ "\xc0\xaf", "\\xc0\\xaf", "\\ufffd\\ufffd" }, /* overlong */
	{ "\xe0\x80\xaf", "\\xe0\\x80\\xaf", "\\ufffd\\ufffd\\ufffd" },
	{ "\xed\xa0\x80", "\\xed\\xa0\\x80", "\\ufffd\\ufffd\\ufffd" }, /* surrogate */
	{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "\\ufffd\\ufffd\\ufffd\\ufffd" },
	{ "\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80", "\\ufffd\\ufffd\\ufffd\\ufffd" },
	{ "\xf4\x8f\xbf\xbf\xed\x9f\xbf\xe0\xa0\x80\xf0\x90\x80\x80", /* the outermost valid */
	  "\xf4\x8f\xbf\xbf\xed\x9f\xbf\xe0\xa0\x80\xf0\x90\x80\x80",
	  "\xf4\x8f\xbf\xbf\xed\x9f\xbf\xe0\xa0\x80\xf0\x90\x80\x80" },
};

START_TEST(hostile_text_is_escaped)
{
	char expected[256];

	capture();
	log_info(NULL, "%s", escapes[_i].message);
	snprintf(expected, sizeof(expected), HEAD ": %s\n", escapes[_i].text);
	ck_assert_str_eq(logged(), expected);

	log_set_format(LOG_FORMAT_JSON);
	capture();
	log_info(NULL, "%s", escapes[_i].message);
	snprintf(expected, sizeof(expected), "\"message\":\"%s\"}\n", escapes[_i].json);
	ck_assert_ptr_nonnull(strstr(logged(), expected));
}
END_TEST

/* The JSON line in `captured` as an object, which libjansson must accept. */
static json_t *parse(void)
{
	json_error_t error;
	json_t *line = json_loads(captured, JSON_REJECT_DUPLICATES, &error);

	ck_assert_msg(line != NULL, "%s: %s", error.text, captured);
	return line;
}

/* Every byte value twice and in every place of a longer text: still JSON. */
START_TEST(json_is_valid_for_any_byte)
{
	char text[64];
	json_t *line;

	log_set_format(LOG_FORMAT_JSON);
	for (int byte = 1; byte < 256; byte++) {
		struct log_ctx ctx = { .user = text, .database = text + 1, .node = text + 20 };

		for (size_t i = 0; i < sizeof(text) - 1; i++)
			text[i] = (char)(i % 3 ? byte : (int)(byte * i) % 255 + 1);
		text[sizeof(text) - 1] = '\0';
		capture();
		log_info(&ctx, "%s", text);
		logged();
		line = parse();
		ck_assert_ptr_nonnull(json_object_get(line, "message"));
		ck_assert_ptr_nonnull(json_object_get(line, "node"));
		json_decref(line);
	}
}
END_TEST

/* Around the length that just fits, of pieces of all widths: one line, bounded, well formed. */
START_TEST(long_lines_are_cut)
{
	static const char *const pieces[] = { "x", "\n", "\xff", "\xc3\xbc", "\xf0\x9f\x9a\x82",
					      "\"" };
	const char *piece = pieces[_i % 6];
	size_t width = strlen(piece);
	enum log_format format = _i < 6 ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
	char text[3000];
	bool was_cut = false;

	log_set_format(format);
	for (size_t length = 100; length + width < sizeof(text); length += 1 + length / 200) {
		size_t used = 0;
		bool cut;

		while (used + width <= length) {
			memcpy(text + used, piece, width);
			used += width;
		}
		text[used] = '\0';
		capture();
		log_info(&client, "%s", text);
		logged();
		ck_assert_uint_le(strlen(captured), 1000);
		ck_assert_ptr_eq(strchr(captured, '\n'), captured + strlen(captured) - 1);
		if (format == LOG_FORMAT_JSON)
			json_decref(parse());
		cut = strstr(captured, "...") != NULL;
		ck_assert(cut || !was_cut); /* once too long, always too long */
		if (cut && width == 1)
			ck_assert_uint_ge(strlen(captured), 990);
		was_cut = cut;
	}
	ck_assert(was_cut);
}
END_TEST

/* A user name is what the peer says it is: it may not push the message out of the line. */
START_TEST(long_names_leave_room_for_the_message)
{
	char name[5000];
	struct log_ctx ctx = {
		.kind = name, .id = INT64_MAX, .user = name, .database = name, .node = name
	};

	memset(name, _i % 2 ? '\x01' : 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	log_set_thread(name);
	log_set_format(_i < 2 ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON);
	capture();
	log_info(&ctx, "%0300d", 7);
	logged();
	ck_assert_ptr_nonnull(strstr(captured, "00000007"));
	ck_assert_uint_le(strlen(captured), 1000);
	if (_i >= 2)
		json_decref(parse());
}
END_TEST

START_TEST(name_of_63_bytes_is_whole)
{
	char name[64], expected[200];
	struct log_ctx ctx = { .user = name };

	memset(name, 'u', 63);
	name[63] = '\0';
	snprintf(expected, sizeof(expected), HEAD " %s: x\n", name);
	capture();
	log_info(&ctx, "x");
	ck_assert_str_eq(logged(), expected);
}
END_TEST

/* O10, and "log pipe blocked": the call returns at once, and the loss is counted. */
START_TEST(full_pipe_drops_lines)
{
	uint64_t before = log_dropped();
	char block[4096] = { 0 };
	int flags;

	capture();
	flags = fcntl(STDERR_FILENO, F_GETFL);
	ck_assert_int_ne(fcntl(STDERR_FILENO, F_SETFL, flags | O_NONBLOCK), -1);
	while (write(STDERR_FILENO, block, sizeof(block)) > 0)
		;
	ck_assert_int_ne(fcntl(STDERR_FILENO, F_SETFL, flags), -1);
	log_info(NULL, "lost");
	log_info(NULL, "lost");
	ck_assert_uint_eq(log_dropped(), before + 2);
	/* One page read: there is room again. */
	ck_assert_int_eq(read(reader, block, sizeof(block)), (ssize_t)sizeof(block));
	log_info(NULL, "kept");
	ck_assert_uint_eq(log_dropped(), before + 2);
}
END_TEST

START_TEST(closed_reader_drops_lines)
{
	uint64_t before = log_dropped();

	capture();
	close(reader);
	reader = -1;
	errno = EAGAIN;
	log_info(NULL, "no SIGPIPE");
	ck_assert_int_eq(errno, EAGAIN);
	ck_assert_uint_eq(log_dropped(), before + 1);
}
END_TEST

START_TEST(no_stderr_drops_lines)
{
	uint64_t before = log_dropped();

	capture();
	close(STDERR_FILENO);
	errno = EAGAIN;
	log_info(NULL, "nowhere");
	ck_assert_int_eq(errno, EAGAIN);
	restore();
	ck_assert_uint_eq(log_dropped(), before + 1);
}
END_TEST

START_TEST(full_disk_drops_lines)
{
	uint64_t before = log_dropped();
	int full = open("/dev/full", O_WRONLY);

	ck_assert_int_ne(full, -1);
	capture();
	dup2(full, STDERR_FILENO);
	close(full);
	log_info(NULL, "no space");
	restore();
	ck_assert_uint_eq(log_dropped(), before + 1);
}
END_TEST

static void *log_many(void *name)
{
	log_set_thread(name);
	for (int i = 0; i < 50; i++)
		log_info(NULL, "%s", (const char *)name);
	return NULL;
}

/* Names of threads are their own, and lines do not mix. */
START_TEST(threads_do_not_mix_lines)
{
	static char names[4][8] = { "one", "two", "three", "four" };
	pthread_t threads[4];
	int lines = 0;

	capture();
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	logged();
	for (char *rest, *line = strtok_r(captured, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		char thread[8], message[8];

		ck_assert_int_eq(sscanf(line, "2026-11-22 12:00:00.123 UTC INFO [%7[a-z]]: %7s",
					thread, message),
				 2);
		ck_assert_str_eq(thread, message);
		lines++;
	}
	ck_assert_int_eq(lines, 200);
}
END_TEST

START_TEST(level_names)
{
	enum log_level level;

	for (int i = LOG_LEVEL_ERROR; i <= LOG_LEVEL_DEBUG; i++) {
		ck_assert(log_level_parse(log_level_name((enum log_level)i), &level));
		ck_assert_int_eq((int)level, i);
	}
	ck_assert(log_level_parse("warn", &level) && level == LOG_LEVEL_WARN);
	ck_assert(!log_level_parse("", &level));
	ck_assert(!log_level_parse("INFO", &level));
	ck_assert(!log_level_parse("information", &level));
}
END_TEST

START_TEST(limit_counts_what_it_holds_back)
{
	struct log_limit limit = { .burst = 2, .period_ms = 1000 };
	unsigned suppressed = 99;

	ck_assert(log_limit_pass(&limit, &suppressed));
	ck_assert_uint_eq(suppressed, 0);
	ck_assert(log_limit_pass(&limit, &suppressed));
	for (int i = 0; i < 5; i++)
		ck_assert(!log_limit_pass(&limit, &suppressed));
	clock_fake(NOON + 999 * USEC_PER_MS);
	ck_assert(!log_limit_pass(&limit, &suppressed));
	clock_fake(NOON + 1000 * USEC_PER_MS);
	ck_assert(log_limit_pass(&limit, &suppressed));
	ck_assert_uint_eq(suppressed, 6);
	ck_assert(log_limit_pass(&limit, &suppressed));
	ck_assert_uint_eq(suppressed, 0);
	ck_assert(!log_limit_pass(&limit, &suppressed));
	/* Periods in which nothing was asked do not add up to a larger burst. */
	clock_fake(NOON + 100 * USEC_PER_SEC);
	ck_assert(log_limit_pass(&limit, &suppressed));
	ck_assert_uint_eq(suppressed, 1);
	ck_assert(log_limit_pass(&limit, &suppressed));
	ck_assert(!log_limit_pass(&limit, &suppressed));
}
END_TEST

static Suite *log_suite(void)
{
	Suite *suite = suite_create("base/log");
	TCase *tcase = tcase_create("log");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, text_line, 0, 8);
	tcase_add_test(tcase, no_context_and_no_thread);
	tcase_add_test(tcase, json_line);
	tcase_add_test(tcase, x_forms_do_not_explain_errno);
	tcase_add_loop_test(tcase, level_holds_lines_back, 0, 4);
	tcase_add_loop_test(tcase, hostile_text_is_escaped, 0,
			    sizeof(escapes) / sizeof(escapes[0]));
	tcase_add_test(tcase, json_is_valid_for_any_byte);
	tcase_add_loop_test(tcase, long_lines_are_cut, 0, 12);
	tcase_add_loop_test(tcase, long_names_leave_room_for_the_message, 0, 4);
	tcase_add_test(tcase, name_of_63_bytes_is_whole);
	tcase_add_test(tcase, full_pipe_drops_lines);
	tcase_add_test(tcase, closed_reader_drops_lines);
	tcase_add_test(tcase, no_stderr_drops_lines);
	tcase_add_test(tcase, full_disk_drops_lines);
	tcase_add_test(tcase, threads_do_not_mix_lines);
	tcase_add_test(tcase, level_names);
	tcase_add_test(tcase, limit_counts_what_it_holds_back);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(log_suite)
