/*
 * wire/startup. Packets: each prefix, byte by byte, the page's edge, lengths of R-04, the request
 * codes, cancel keys of 3 to 257 bytes, names missing, repeated, empty, unterminated, too many.
 * Options: a table of what PostgreSQL 15 answered, and every short string compared with
 * getopt().
 */

#include "wire/startup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../unit.h"
#include "base/bytes.h"
#include "edge.h"
#include "options_reference.h"
#include "wire/build.h"

static struct edge edge;
static struct bytes packet;
static struct startup s;
static const char *error;

static void setup(void)
{
	edge_open(&edge);
	memset(&packet, 0, sizeof(packet));
}

static void teardown(void)
{
	bytes_free(&packet);
	edge_close(&edge);
}

/* `body` is what follows the length, starting with version or code. */
static void make_packet(const void *body, size_t length)
{
	size_t mark;

	bytes_clear(&packet);
	mark = build_begin_untyped(&packet);
	build_raw(&packet, body, length);
	build_end(&packet, mark);
	ck_assert(!packet.failed);
}

static enum startup_kind parse_first(size_t length)
{
	enum startup_kind kind;

	if (length <= edge.page)
		kind = startup_parse(edge_put(&edge, bytes_begin(&packet), length), length, &s,
				     &error);
	else
		kind = startup_parse(bytes_begin(&packet), length, &s, &error);
	ck_assert_int_eq(kind == STARTUP_BAD, error != NULL);
	return kind;
}

static enum startup_kind parse_whole(void)
{
	return parse_first(bytes_length(&packet));
}

#define BODY(text) text, sizeof(text) - 1
#define V3         "\0\3\0\0"
#define CANCEL     "\x04\xd2\x16\x2e"
#define SSL        "\x04\xd2\x16\x2f"
#define GSS        "\x04\xd2\x16\x30"

struct packet_case {
	const char *body;
	size_t length;
	enum startup_kind kind;
};

static const struct packet_case packets[] = {
	{ BODY(SSL), STARTUP_SSL },
	{ BODY(SSL "\0"), STARTUP_BAD },
	{ BODY(GSS), STARTUP_GSS },
	{ BODY(GSS "user\0bob\0\0"), STARTUP_BAD },
	{ BODY("\x04\xd2\x16\x31"), STARTUP_OTHER_PROTOCOL },
	{ BODY("\x04\xd2\x16\x2d"), STARTUP_OTHER_PROTOCOL },
	{ BODY(CANCEL), STARTUP_BAD },
	{ BODY(CANCEL "\0\0\0\7"), STARTUP_BAD },
	{ BODY(CANCEL "\0\0\0"), STARTUP_BAD },
	{ BODY(CANCEL "\0\0\0\7key4"), STARTUP_CANCEL },
	/* versions: other majors are reported, whatever they hold; minors are the session's */
	{ BODY("\0\2\0\0"), STARTUP_OTHER_PROTOCOL },
	{ BODY("\0\2\0\0old style"), STARTUP_OTHER_PROTOCOL },
	{ BODY("\0\4\0\0user\0bob\0\0"), STARTUP_OTHER_PROTOCOL },
	{ BODY("\0\0\0\0\0"), STARTUP_OTHER_PROTOCOL },
	{ BODY("\xff\xff\xff\xff"), STARTUP_OTHER_PROTOCOL },
	{ BODY("\0\3\0\2user\0bob\0\0"), STARTUP_SESSION },
	{ BODY("\0\3\x27\x0fuser\0bob\0\0"), STARTUP_SESSION },
	{ BODY("\0\3\xff\xffuser\0bob\0\0"), STARTUP_SESSION },
	/* layout */
	{ BODY(V3), STARTUP_BAD },
	{ BODY(V3 "\0"), STARTUP_SESSION },
	{ BODY(V3 "\0\0"), STARTUP_BAD },
	{ BODY(V3 "user\0bob\0\0"), STARTUP_SESSION },
	{ BODY(V3 "user\0bob\0"), STARTUP_BAD },
	{ BODY(V3 "user\0bob"), STARTUP_BAD },
	{ BODY(V3 "user\0"), STARTUP_BAD },
	{ BODY(V3 "user\0\0"), STARTUP_BAD }, /* a value, but no terminator */
	{ BODY(V3 "user"), STARTUP_BAD },
	{ BODY(V3 "u"), STARTUP_BAD },
	{ BODY(V3 "user\0\0\0"), STARTUP_SESSION },
	{ BODY(V3 "user\0bob\0\0database\0app\0\0"), STARTUP_BAD },
	{ BODY(V3 "\0user\0bob\0\0"), STARTUP_BAD },
	{ BODY(V3 "user\0bob\0\0\n"), STARTUP_BAD },
};

START_TEST(kinds)
{
	const struct packet_case *c = &packets[_i];

	make_packet(c->body, c->length);
	ck_assert_int_eq(parse_whole(), c->kind);
	if (c->kind != STARTUP_BAD)
		ck_assert_uint_eq(s.size, bytes_length(&packet));
}
END_TEST

/* Byte by byte, the answer comes with the last byte and not before. */
START_TEST(each_prefix_needs_more)
{
	const struct packet_case *c = &packets[_i];

	make_packet(c->body, c->length);
	for (size_t n = 0; n < bytes_length(&packet); n++) {
		ck_assert_int_eq(parse_first(n), STARTUP_NEED_MORE);
		ck_assert_uint_eq(s.size, 0);
	}
	ck_assert_int_eq(parse_whole(), c->kind);
}
END_TEST

/* What comes behind the packet is not looked at, and left to the caller. */
START_TEST(more_behind_the_packet)
{
	const struct packet_case *c = &packets[_i];
	size_t size;

	make_packet(c->body, c->length);
	size = bytes_length(&packet);
	build_raw(&packet, "more", 4);
	ck_assert_int_eq(parse_whole(), c->kind);
	if (c->kind != STARTUP_BAD)
		ck_assert_uint_eq(s.size, size);
}
END_TEST

struct length_case {
	uint32_t declared;
	enum startup_kind kind;
};

/* judged as soon as the four bytes are there. */
static const struct length_case lengths[] = {
	{ 0, STARTUP_BAD },           { 1, STARTUP_BAD },          { 2, STARTUP_BAD },
	{ 3, STARTUP_BAD },           { 4, STARTUP_BAD },          { 5, STARTUP_BAD },
	{ 7, STARTUP_BAD },           { 8, STARTUP_NEED_MORE },    { 9, STARTUP_NEED_MORE },
	{ 10004, STARTUP_NEED_MORE }, { 10005, STARTUP_BAD },      { 0x7fffffff, STARTUP_BAD },
	{ 0x80000000, STARTUP_BAD },  { 0x80000008, STARTUP_BAD }, { 0xffffffff, STARTUP_BAD },
	{ 0x16030100, STARTUP_BAD }, /* a TLS record */
	{ 0x47455420, STARTUP_BAD }, /* "GET " */
};

START_TEST(declared_lengths)
{
	const struct length_case *c = &lengths[_i];

	build_u32(&packet, c->declared);
	ck_assert_int_eq(parse_whole(), c->kind);
}
END_TEST

START_TEST(the_longest_packet)
{
	uint8_t body[STARTUP_PACKET_MAX - 4];

	memset(body, 'x', sizeof(body));
	memcpy(body, V3 "user\0bob\0application_name", 29);
	body[29] = '\0';
	body[sizeof(body) - 2] = body[sizeof(body) - 1] = '\0';
	make_packet(body, sizeof(body));
	ck_assert_uint_eq(bytes_length(&packet), STARTUP_PACKET_MAX);
	ck_assert_int_eq(parse_whole(), STARTUP_SESSION);
	ck_assert_uint_eq(s.n_params, 1);
	ck_assert_str_eq(s.params[0].name, "application_name");
	ck_assert_uint_eq(strlen(s.params[0].value), sizeof(body) - 32);
	ck_assert_int_eq(parse_first(STARTUP_PACKET_MAX - 1), STARTUP_NEED_MORE);
}
END_TEST

START_TEST(every_parameter)
{
	make_packet(BODY(V3
			 "user\0bob\0database\0app\0options\0-c a=b\0replication\0database\0"
			 "application_name\0psql\0client_encoding\0\0_pq_.x\0on\0_pq_.\0\0\0"));
	ck_assert_int_eq(parse_whole(), STARTUP_SESSION);
	ck_assert_uint_eq(s.major, 3);
	ck_assert_uint_eq(s.minor, 0);
	ck_assert_str_eq(s.user, "bob");
	ck_assert_str_eq(s.database, "app");
	ck_assert_str_eq(s.options, "-c a=b");
	ck_assert_str_eq(s.replication, "database");
	ck_assert_uint_eq(s.n_params, 2);
	ck_assert_str_eq(s.params[0].name, "application_name");
	ck_assert_str_eq(s.params[0].value, "psql");
	ck_assert_str_eq(s.params[1].name, "client_encoding");
	ck_assert_str_eq(s.params[1].value, "");
	ck_assert_uint_eq(s.n_unknown_pq, 2);
	ck_assert_str_eq(s.unknown_pq[0], "_pq_.x");
	ck_assert_str_eq(s.unknown_pq[1], "_pq_.");
}
END_TEST

START_TEST(absent_parameters)
{
	make_packet(BODY(V3 "user\0bob\0\0"));
	ck_assert_int_eq(parse_whole(), STARTUP_SESSION);
	ck_assert_str_eq(s.database, "bob");
	ck_assert_ptr_eq(s.options, NULL);
	ck_assert_ptr_eq(s.replication, NULL);
	ck_assert_uint_eq(s.n_params, 0);
	ck_assert_uint_eq(s.n_unknown_pq, 0);

	/* an empty database is an absent one, an empty user too */
	make_packet(BODY(V3 "database\0\0user\0bob\0\0"));
	ck_assert_int_eq(parse_whole(), STARTUP_SESSION);
	ck_assert_str_eq(s.database, "bob");

	make_packet(BODY(V3 "database\0app\0\0"));
	ck_assert_int_eq(parse_whole(), STARTUP_SESSION);
	ck_assert_ptr_eq(s.user, NULL);
	ck_assert_str_eq(s.database, "app");

	make_packet(BODY(V3 "user\0\0\0"));
	ck_assert_int_eq(parse_whole(), STARTUP_SESSION);
	ck_assert_ptr_eq(s.user, NULL);
	ck_assert_ptr_eq(s.database, NULL);
}
END_TEST

START_TEST(repeated_parameters)
{
	make_packet(BODY(V3 "user\0a\0user\0b\0database\0c\0database\0d\0options\0e\0options\0f\0"
			    "replication\0g\0replication\0h\0x\0"
			    "1\0x\0"
			    "2\0\0"));
	ck_assert_int_eq(parse_whole(), STARTUP_SESSION);
	ck_assert_str_eq(s.user, "b");
	ck_assert_str_eq(s.database, "d");
	ck_assert_str_eq(s.options, "f");
	ck_assert_str_eq(s.replication, "h");
	ck_assert_uint_eq(s.n_params, 2);
	ck_assert_str_eq(s.params[0].value, "1");
	ck_assert_str_eq(s.params[1].value, "2");

	make_packet(BODY(V3 "user\0a\0user\0\0\0"));
	ck_assert_int_eq(parse_whole(), STARTUP_SESSION);
	ck_assert_ptr_eq(s.user, NULL);
}
END_TEST

/* Names are compared whole and as they are: these are settings, not what they look like. */
START_TEST(names_that_only_look_alike)
{
	make_packet(BODY(V3 "User\0a\0users\0b\0databas\0c\0_pq_\0d\0_PQ_.x\0e\0user\0bob\0\0"));
	ck_assert_int_eq(parse_whole(), STARTUP_SESSION);
	ck_assert_str_eq(s.user, "bob");
	ck_assert_str_eq(s.database, "bob");
	ck_assert_uint_eq(s.n_params, 5);
	ck_assert_uint_eq(s.n_unknown_pq, 0);
}
END_TEST

static void make_many(const char *name, size_t n)
{
	size_t mark;

	bytes_clear(&packet);
	mark = build_begin_untyped(&packet);
	build_u32(&packet, 3 << 16);
	for (size_t i = 0; i < n; i++) {
		build_string(&packet, name);
		build_string(&packet, "v");
	}
	build_u8(&packet, 0);
	build_end(&packet, mark);
}

START_TEST(too_many_parameters)
{
	make_many("x", STARTUP_PARAMS_MAX);
	ck_assert_int_eq(parse_whole(), STARTUP_SESSION);
	ck_assert_uint_eq(s.n_params, STARTUP_PARAMS_MAX);
	make_many("x", STARTUP_PARAMS_MAX + 1);
	ck_assert_int_eq(parse_whole(), STARTUP_BAD);

	make_many("_pq_.x", 16);
	ck_assert_int_eq(parse_whole(), STARTUP_SESSION);
	ck_assert_uint_eq(s.n_unknown_pq, 16);
	make_many("_pq_.x", 17);
	ck_assert_int_eq(parse_whole(), STARTUP_BAD);

	/* what is kept once can come as often as there is room */
	make_many("user", 1000);
	ck_assert_int_eq(parse_whole(), STARTUP_SESSION);
	ck_assert_str_eq(s.user, "v");
}
END_TEST

START_TEST(cancel_keys)
{
	uint8_t body[8 + 300] = CANCEL "\xff\xff\xff\xfe";

	for (size_t n = 0; n <= 300; n++) {
		for (size_t i = 0; i < n; i++)
			body[8 + i] = (uint8_t)(i * 7);
		make_packet(body, 8 + n);
		if (n < 4 || n > 256) {
			ck_assert_int_eq(parse_whole(), STARTUP_BAD);
			continue;
		}
		ck_assert_int_eq(parse_whole(), STARTUP_CANCEL);
		ck_assert_uint_eq(s.cancel_pid, 0xfffffffe);
		ck_assert_uint_eq(s.cancel_key_length, n);
		ck_assert_mem_eq(s.cancel_key, body + 8, n);
	}
}
END_TEST

START_TEST(what_we_build_is_read_back)
{
	static const char *const params[] = { "user", "bob", "work_mem", "1MB" };

	build_startup(&packet, 2, params, 2);
	ck_assert_int_eq(parse_whole(), STARTUP_SESSION);
	ck_assert_uint_eq(s.minor, 2);
	ck_assert_str_eq(s.user, "bob");
	ck_assert_uint_eq(s.n_params, 1);
	ck_assert_str_eq(s.params[0].name, "work_mem");

	bytes_clear(&packet);
	build_cancel_request(&packet, 42, "\1\2\3\4", 4);
	ck_assert_int_eq(parse_whole(), STARTUP_CANCEL);
	ck_assert_uint_eq(s.cancel_pid, 42);
	ck_assert_mem_eq(s.cancel_key, "\1\2\3\4", 4);
}
END_TEST

/* bool.c:parse_bool, and "database". */
START_TEST(replication_values)
{
	static const struct {
		const char *value;
		int result; /* -1: refused */
	} rows[] = {
		{ "database", REPLICATION_LOGICAL },
		{ "DATABASE", -1 }, /* postmaster.c compares it exactly */
		{ "data", -1 },
		{ "true", REPLICATION_PHYSICAL },
		{ "T", REPLICATION_PHYSICAL },
		{ "tru", REPLICATION_PHYSICAL },
		{ "truee", -1 },
		{ "yes", REPLICATION_PHYSICAL },
		{ "y", REPLICATION_PHYSICAL },
		{ "On", REPLICATION_PHYSICAL },
		{ "1", REPLICATION_PHYSICAL },
		{ "o", -1 },
		{ "2", -1 },
		{ "", -1 },
		{ "10", -1 },
		{ "false", REPLICATION_NONE },
		{ "f", REPLICATION_NONE },
		{ "NO", REPLICATION_NONE },
		{ "n", REPLICATION_NONE },
		{ "of", REPLICATION_NONE },
		{ "off", REPLICATION_NONE },
		{ "0", REPLICATION_NONE },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		enum startup_replication got;
		bool is_good = startup_parse_replication(rows[i].value, &got);

		ck_assert_msg(is_good == (rows[i].result != -1), "\"%s\"", rows[i].value);
		ck_assert_msg(!is_good || (int)got == rows[i].result, "\"%s\"", rows[i].value);
	}
	ck_assert_str_eq(startup_replication_name(REPLICATION_NONE), "none");
	ck_assert_str_eq(startup_replication_name(REPLICATION_PHYSICAL), "physical");
	ck_assert_str_eq(startup_replication_name(REPLICATION_LOGICAL), "logical");
}
END_TEST

/* --- options --- */

/*
 * All settings as "name=value\n", then "END", "BAD" or "LONG". Fails when a call does not move
 * forward, or moves behind the string's end.
 */
static void describe_options(const char *text, size_t name_size, size_t value_size, char *to)
{
	const char *end = text + strlen(text);
	const char *at = text;
	char name[64];
	char value[64];

	to[0] = '\0';
	for (;;) {
		const char *before = at;
		enum startup_option_result result =
			startup_next_option(&at, name, name_size, value, value_size);

		/* no ck_assert for what holds: Check notes each one, and this runs in a loop */
		if (at < before || at > end)
			ck_abort_msg("\"%s\": went out of the string", text);
		if (result == STARTUP_OPTION_END) {
			strcat(to, "END");
			return;
		}
		if (at == before)
			ck_abort_msg("\"%s\": did not move on at \"%s\"", text, at);
		if (strlen(name) >= name_size || strlen(value) >= value_size)
			ck_abort_msg("\"%s\": an output has no end", text);
		if (result == STARTUP_OPTION_BAD || result == STARTUP_OPTION_TOO_LONG) {
			strcat(to, result == STARTUP_OPTION_BAD ? "BAD" : "LONG");
			return;
		}
		strcat(strcat(strcat(strcat(to, name), "="), value), "\n");
	}
}

struct option_case {
	const char *options;
	const char *expected;
};

static const struct option_case options[] = {
	{ "", "END" },
	{ "   ", "END" },
	{ " \t\n\v\f\r", "END" },
	{ "-c a.b=c", "a.b=c\nEND" },
	{ "-ca.b=c", "a.b=c\nEND" },
	{ "--a.b=c", "a.b=c\nEND" },
	{ "  -c   a.b=c  ", "a.b=c\nEND" },
	{ "-c\ta.b=c\n\v\f\r--a.d=e", "a.b=c\na.d=e\nEND" },
	{ "-c a.b=c -c a.b=d", "a.b=c\na.b=d\nEND" },
	/* '-' becomes '_' in names and not in values */
	{ "--a-b=c", "a_b=c\nEND" },
	{ "-c a-b-c=d-e", "a_b_c=d-e\nEND" },
	{ "-c -a=b", "_a=b\nEND" },
	{ "-c-a=b", "_a=b\nEND" },
	{ "---a=b", "_a=b\nEND" },
	/* values */
	{ "-c a=", "a=\nEND" },
	{ "--a=", "a=\nEND" },
	{ "-c a=b=c", "a=b=c\nEND" },
	{ "-c a==", "a==\nEND" },
	{ "-c a", "BAD" },
	{ "--a", "BAD" },
	{ "-ca =b", "BAD" },
	{ "-c a= b", "a=\nBAD" },
	{ "-c a='b c'", "a='b\nBAD" },
	/* nothing where a name should be */
	{ "-c=", "BAD" },
	{ "-c =", "BAD" },
	{ "-c =b", "BAD" },
	{ "-c=b", "BAD" },
	{ "--=", "BAD" },
	{ "--=b", "BAD" },
	{ "-c", "BAD" },
	{ "-c ", "BAD" },
	{ "-c a=b -c", "a=b\nBAD" },
	{ "-c -c", "BAD" },
	{ "-c -c a=b", "BAD" },
	{ "-c -- a=b", "BAD" },
	/* a backslash quotes what follows, and vanishes at the end */
	{ "\\", "BAD" },
	{ "-\\", "BAD" },
	{ "-c\\", "BAD" },
	{ "-c \\", "BAD" },
	{ "-c a\\", "BAD" },
	{ "-c a=\\", "a=\nEND" },
	{ "-c a=b\\", "a=b\nEND" },
	{ "-c a=b\\\\", "a=b\\\nEND" },
	{ "-c a=b\\ c", "a=b c\nEND" },
	{ "-c a=b\\\tc", "a=b\tc\nEND" },
	{ "-c a=b\\ ", "a=b \nEND" },
	{ "-c a=b\\\\ -c d=e", "a=b\\\nd=e\nEND" },
	{ "-c a=\\b", "a=b\nEND" },
	{ "-c a\\=b", "a=b\nEND" },
	{ "\\-c a=b", "a=b\nEND" },
	{ "-\\c a=b", "a=b\nEND" },
	{ "-c\\ a=b", " a=b\nEND" }, /* the name is " a": refused when it is set */
	/* the end of the switches, and what is no setting */
	{ "--", "END" },
	{ "-- ", "END" },
	{ "--\\", "END" },
	{ "-c a=b --", "a=b\nEND" },
	{ "-- -c a=b", "BAD" },
	{ "-- a", "BAD" },
	{ "-", "BAD" },
	{ "- c a=b", "BAD" },
	{ "x", "BAD" },
	{ "=", "BAD" },
	{ "x -c a=b", "BAD" },
	{ "-c a=b x", "a=b\nBAD" },
	{ "-B 5", "BAD" },
	{ "-B5", "BAD" },
	{ "-z", "BAD" },
	{ "-C a", "BAD" },
	{ "-e", "BAD" },
	{ "-S 1024", "BAD" },
	{ "\xa0-c a=b", "BAD" }, /* a space in some 8-bit locales */
};

START_TEST(option_table)
{
	char found[256];

	describe_options(options[_i].options, 64, 64, found);
	ck_assert_str_eq(found, options[_i].expected);
}
END_TEST

struct option_size_case {
	const char *options;
	size_t name_size;
	size_t value_size;
	const char *expected;
};

static const struct option_size_case option_sizes[] = {
	{ "-c abc=def", 4, 4, "abc=def\nEND" },
	{ "-c abc=def", 3, 4, "LONG" },
	{ "-c abc=def", 4, 3, "LONG" },
	{ "-c abc=def", 2, 1, "LONG" },
	{ "-c a=", 2, 1, "a=\nEND" },
	{ "-c =def", 2, 1, "BAD" },
	{ "-c abc", 2, 1, "BAD" },
	{ "-c a=b\\ c", 2, 4, "a=b c\nEND" },
	{ "-c a=b\\ c", 2, 3, "LONG" },
	{ "-c a=b -c abc=d -c e=f", 3, 3, "a=b\nLONG" },
};

START_TEST(option_sizes_table)
{
	const struct option_size_case *c = &option_sizes[_i];
	char found[256];

	describe_options(c->options, c->name_size, c->value_size, found);
	ck_assert_str_eq(found, c->expected);
}
END_TEST

/* After a refusal the next call goes on behind the word; the cut texts can be shown. */
START_TEST(options_go_on_after_a_refusal)
{
	const char *at = "-c toolong=x -c a=toolong -B -c b=c";
	char name[4];
	char value[4];

	ck_assert_int_eq(startup_next_option(&at, name, 4, value, 4), STARTUP_OPTION_TOO_LONG);
	ck_assert_str_eq(name, "too");
	ck_assert_str_eq(value, "x");
	ck_assert_int_eq(startup_next_option(&at, name, 4, value, 4), STARTUP_OPTION_TOO_LONG);
	ck_assert_str_eq(name, "a");
	ck_assert_str_eq(value, "too");
	ck_assert_int_eq(startup_next_option(&at, name, 4, value, 4), STARTUP_OPTION_BAD);
	ck_assert_int_eq(startup_next_option(&at, name, 4, value, 4), STARTUP_OPTION_SETTING);
	ck_assert_str_eq(name, "b");
	ck_assert_int_eq(startup_next_option(&at, name, 4, value, 4), STARTUP_OPTION_END);
	ck_assert_int_eq(startup_next_option(&at, name, 4, value, 4), STARTUP_OPTION_END);
}
END_TEST

static void compare_with_getopt(const char *text)
{
	char *reference = reference_settings(text);
	char expected[256];
	char found[256];
	const char *compared = found;

	describe_options(text, 64, 64, found);
	if (reference != NULL) {
		snprintf(expected, sizeof(expected), "%sEND", reference);
	} else {
		/* getopt() goes on where we stop, so only the end says the same */
		snprintf(expected, sizeof(expected), "BAD");
		compared = found + strlen(found) - 3;
	}
	if (strcmp(compared, expected) != 0)
		ck_abort_msg("\"%s\": %s, not %s", text, found, expected);
	free(reference);
}

#define ALPHABET      "-c= \\a"
#define LETTERS       6
#define LENGTH_TESTED 7

/* Every string up to seven characters over the six that mean something. */
START_TEST(every_short_option_string)
{
	char text[LENGTH_TESTED + 1] = "";
	unsigned place[LENGTH_TESTED] = { 0 };
	size_t length = 0;

	for (;;) {
		size_t i = 0;

		compare_with_getopt(text);
		while (i < length && place[i] == LETTERS - 1) {
			place[i] = 0;
			text[i++] = ALPHABET[0];
		}
		if (i == LENGTH_TESTED)
			break;
		if (i == length) {
			text[length++] = ALPHABET[0];
		} else {
			place[i]++;
			text[i] = ALPHABET[place[i]];
		}
	}
}
END_TEST

#define COUNT(table) (int)(sizeof(table) / sizeof((table)[0]))

static Suite *suite(void)
{
	Suite *suite = suite_create("wire/startup");
	TCase *t = tcase_create("packets");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, kinds, 0, COUNT(packets));
	tcase_add_loop_test(t, each_prefix_needs_more, 0, COUNT(packets));
	tcase_add_loop_test(t, more_behind_the_packet, 0, COUNT(packets));
	tcase_add_loop_test(t, declared_lengths, 0, COUNT(lengths));
	tcase_add_test(t, the_longest_packet);
	tcase_add_test(t, replication_values);
	tcase_add_test(t, every_parameter);
	tcase_add_test(t, absent_parameters);
	tcase_add_test(t, repeated_parameters);
	tcase_add_test(t, names_that_only_look_alike);
	tcase_add_test(t, too_many_parameters);
	tcase_add_test(t, cancel_keys);
	tcase_add_test(t, what_we_build_is_read_back);
	suite_add_tcase(suite, t);
	t = tcase_create("options");
	tcase_set_timeout(t, 30);
	tcase_add_loop_test(t, option_table, 0, COUNT(options));
	tcase_add_loop_test(t, option_sizes_table, 0, COUNT(option_sizes));
	tcase_add_test(t, options_go_on_after_a_refusal);
	tcase_add_test(t, every_short_option_string);
	suite_add_tcase(suite, t);
	return suite;
}

UNIT_SUITE(suite)
