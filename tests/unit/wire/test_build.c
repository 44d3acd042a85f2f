/*
 * wire/build. Each builder is read back with frame_peek() and a cursor. Corners: growth and a
 * consumed front in the middle of a message, empty and absent texts, counts of 0 and above
 * 65,535, a body above the bound, a buffer that had failed before, whole messages before one that
 * fails.
 */

#include "wire/build.h"

#include <stdlib.h>
#include <string.h>

#include "../unit.h"
#include "wire/cursor.h"
#include "wire/frame.h"
#include "wire/message.h"

static struct bytes out;

static void setup(void)
{
	memset(&out, 0, sizeof(out));
}

static void teardown(void)
{
	bytes_free(&out);
}

/* The body of the only message that is held. */
static struct cursor only_message(uint8_t type)
{
	struct frame frame;
	struct cursor c;

	ck_assert(!out.failed);
	ck_assert_int_eq(
		frame_peek(bytes_begin(&out), bytes_length(&out), FRAME_BODY_MAX, &frame),
		FRAME_OK);
	ck_assert_int_eq(frame.type, type);
	ck_assert(frame_is_whole(&frame));
	ck_assert_uint_eq(frame_size(&frame), bytes_length(&out));
	cursor_init(&c, frame.body, frame.body_length);
	return c;
}

static void check_bytes(const void *expected, size_t length)
{
	ck_assert(!out.failed);
	ck_assert_uint_eq(bytes_length(&out), length);
	ck_assert_mem_eq(bytes_begin(&out), expected, length);
}

#define BYTES(text) text, sizeof(text) - 1

START_TEST(auth_requests)
{
	struct cursor c;

	build_auth_request(&out, AUTH_REQ_OK, NULL, 0);
	check_bytes(BYTES("R\0\0\0\x08\0\0\0\0"));
	bytes_clear(&out);

	build_auth_request(&out, AUTH_REQ_MD5, "salt", 4);
	c = only_message('R');
	ck_assert_uint_eq(cursor_u32(&c), 5);
	ck_assert_mem_eq(cursor_bytes(&c, 4), "salt", 4);
	ck_assert(cursor_done(&c));
	bytes_clear(&out);

	build_auth_request(&out, AUTH_REQ_SASL, "SCRAM-SHA-256\0", 15);
	c = only_message('R');
	ck_assert_uint_eq(cursor_u32(&c), 10);
	ck_assert_str_eq(cursor_string(&c), "SCRAM-SHA-256");
	ck_assert_str_eq(cursor_string(&c), "");
	ck_assert(cursor_done(&c));
}
END_TEST

START_TEST(small_backend_messages)
{
	build_backend_key(&out, 0x01020304, "\xff\xfe\xfd\xfc", 4);
	check_bytes(BYTES("K\0\0\0\x0c\1\2\3\4\xff\xfe\xfd\xfc"));
	bytes_clear(&out);

	build_parameter_status(&out, "TimeZone", "");
	check_bytes(BYTES("S\0\0\0\x0eTimeZone\0\0"));
	bytes_clear(&out);

	build_ready(&out, TXN_FAILED);
	check_bytes(BYTES("Z\0\0\0\5E"));
	bytes_clear(&out);

	build_command_complete(&out, "SELECT 1");
	check_bytes(BYTES("C\0\0\0\x0dSELECT 1\0"));
	bytes_clear(&out);

	build_empty(&out, MSG_B_NO_DATA);
	check_bytes(BYTES("n\0\0\0\4"));
}
END_TEST

START_TEST(negotiate_version)
{
	static const char *const unknown[] = { "_pq_.command_tag", "_pq_.x" };

	build_negotiate_version(&out, 2, unknown, 2);
	check_bytes(BYTES("v\0\0\0\x24\0\3\0\2\0\0\0\2_pq_.command_tag\0_pq_.x\0"));
	bytes_clear(&out);

	build_negotiate_version(&out, 0, NULL, 0);
	check_bytes(BYTES("v\0\0\0\x0c\0\3\0\0\0\0\0\0"));
}
END_TEST

static void check_field(struct cursor *c, uint8_t code, const char *text)
{
	ck_assert_int_eq(cursor_u8(c), code);
	ck_assert_str_eq(cursor_string(c), text);
}

START_TEST(errors_and_notices)
{
	struct cursor c;

	build_error(&out, "ERROR", "57014", "canceled", "deadline", "wait longer");
	c = only_message('E');
	check_field(&c, 'S', "ERROR");
	check_field(&c, 'V', "ERROR");
	check_field(&c, 'C', "57014");
	check_field(&c, 'M', "canceled");
	check_field(&c, 'D', "deadline");
	check_field(&c, 'H', "wait longer");
	ck_assert_int_eq(cursor_u8(&c), 0);
	ck_assert(cursor_done(&c));
	bytes_clear(&out);

	build_notice(&out, "WARNING", "01000", "m", NULL, NULL);
	check_bytes(BYTES("N\0\0\0\x21SWARNING\0VWARNING\0C01000\0Mm\0\0"));
	bytes_clear(&out);

	build_notice(&out, "NOTICE", "00000", "", NULL, "");
	c = only_message('N');
	check_field(&c, 'S', "NOTICE");
	check_field(&c, 'V', "NOTICE");
	check_field(&c, 'C', "00000");
	check_field(&c, 'M', "");
	check_field(&c, 'H', "");
	ck_assert_int_eq(cursor_u8(&c), 0);
	ck_assert(cursor_done(&c));
}
END_TEST

static void check_column(struct cursor *c, const char *name, uint32_t oid, uint16_t length)
{
	ck_assert_str_eq(cursor_string(c), name);
	ck_assert_uint_eq(cursor_u32(c), 0);
	ck_assert_uint_eq(cursor_u16(c), 0);
	ck_assert_uint_eq(cursor_u32(c), oid);
	ck_assert_uint_eq(cursor_u16(c), length);
	ck_assert_uint_eq(cursor_u32(c), 0xffffffff);
	ck_assert_uint_eq(cursor_u16(c), 0);
}

START_TEST(row_descriptions)
{
	static const struct build_column columns[] = {
		{ "database", OID_TEXT }, { "n", OID_INT4 },  { "total", OID_INT8 },
		{ "avg", OID_NUMERIC },   { "ok", OID_BOOL },
	};
	struct cursor c;

	build_row_description(&out, columns, 5);
	c = only_message('T');
	ck_assert_uint_eq(cursor_u16(&c), 5);
	check_column(&c, "database", 25, 0xffff);
	check_column(&c, "n", 23, 4);
	check_column(&c, "total", 20, 8);
	check_column(&c, "avg", 1700, 0xffff);
	check_column(&c, "ok", 16, 1);
	ck_assert(cursor_done(&c));
	bytes_clear(&out);

	build_row_description(&out, NULL, 0);
	check_bytes(BYTES("T\0\0\0\6\0\0"));
}
END_TEST

START_TEST(data_rows)
{
	static const char *const values[] = { "abc", NULL, "" };

	build_data_row(&out, values, 3);
	check_bytes(BYTES("D\0\0\0\x15\0\3\0\0\0\3"
			  "abc\xff\xff\xff\xff\0\0\0\0"));
	bytes_clear(&out);

	build_data_row(&out, NULL, 0);
	check_bytes(BYTES("D\0\0\0\6\0\0"));
}
END_TEST

START_TEST(frontend_messages)
{
	static const char *const params[] = { "user", "bob", "database", "app" };

	build_startup(&out, 2, params, 2);
	check_bytes(BYTES("\0\0\0\x1f\0\3\0\2user\0bob\0database\0app\0\0"));
	bytes_clear(&out);

	build_startup(&out, 0, NULL, 0);
	check_bytes(BYTES("\0\0\0\x09\0\3\0\0\0"));
	bytes_clear(&out);

	build_query(&out, "SELECT 1; not this", 8);
	check_bytes(BYTES("Q\0\0\0\x0dSELECT 1\0"));
	bytes_clear(&out);

	build_password(&out, "md5abc");
	check_bytes(BYTES("p\0\0\0\x0bmd5abc\0"));
	bytes_clear(&out);

	build_cancel_request(&out, 7, "\x80\0\0\1", 4);
	check_bytes(BYTES("\0\0\0\x10\x04\xd2\x16\x2e\0\0\0\7\x80\0\0\1"));
	bytes_clear(&out);

	build_cancel_request(&out, 7, "123456", 6);
	check_bytes(BYTES("\0\0\0\x12\x04\xd2\x16\x2e\0\0\0\7"
			  "123456"));
}
END_TEST

START_TEST(sasl_messages)
{
	build_sasl_initial(&out, "SCRAM-SHA-256", "n,,", 3);
	check_bytes(BYTES("p\0\0\0\x19SCRAM-SHA-256\0\0\0\0\3n,,"));
	bytes_clear(&out);

	build_sasl_initial(&out, "X", "", 0);
	check_bytes(BYTES("p\0\0\0\x0aX\0\0\0\0\0"));
	bytes_clear(&out);

	build_sasl_initial(&out, "X", NULL, 0);
	check_bytes(BYTES("p\0\0\0\x0aX\0\xff\xff\xff\xff"));
	bytes_clear(&out);

	build_sasl_response(&out, "c=biws", 6);
	check_bytes(BYTES("p\0\0\0\x0a"
			  "c=biws"));
	bytes_clear(&out);

	build_sasl_response(&out, NULL, 0);
	check_bytes(BYTES("p\0\0\0\4"));
}
END_TEST

START_TEST(parse_messages)
{
	static const uint32_t types[] = { OID_INT4, 0 };

	build_parse(&out, "s1", "SELECT $1, $2 -- cut", 13, types, 2);
	check_bytes(BYTES("P\0\0\0\x1fs1\0SELECT $1, $2\0\0\2\0\0\0\x17\0\0\0\0"));
	bytes_clear(&out);

	build_parse(&out, "", "", 0, NULL, 0);
	check_bytes(BYTES("P\0\0\0\x08\0\0\0\0"));
}
END_TEST

START_TEST(marks_outlive_moves_of_the_buffer)
{
	uint8_t chunk[1000];
	struct frame frame;
	size_t mark;

	memset(chunk, 'x', sizeof(chunk));
	build_ready(&out, TXN_IDLE);
	build_ready(&out, TXN_OPEN);
	bytes_consume(&out, 3); /* half a message was sent: the rest starts inside the memory */
	mark = build_begin(&out, MSG_B_COPY_DATA);
	for (int i = 0; i < 100; i++)
		build_raw(&out, chunk, sizeof(chunk));
	build_end(&out, mark);

	bytes_consume(&out, 9);
	ck_assert(!out.failed);
	ck_assert_int_eq(
		frame_peek(bytes_begin(&out), bytes_length(&out), FRAME_BODY_MAX, &frame),
		FRAME_OK);
	ck_assert_int_eq(frame.type, 'd');
	ck_assert_uint_eq(frame.body_length, 100000);
	ck_assert(frame_is_whole(&frame));
	ck_assert_uint_eq(frame_size(&frame), bytes_length(&out));
}
END_TEST

/* Each builder once, for the tests of failure. */
static void build_each(int which)
{
	static const char *const texts[] = { "a", "b" };
	static const struct build_column column = { "a", OID_TEXT };
	static const uint32_t type = OID_TEXT;

	switch (which) {
	case 0: build_auth_request(&out, AUTH_REQ_MD5, "salt", 4); break;
	case 1: build_backend_key(&out, 1, "abcd", 4); break;
	case 2: build_parameter_status(&out, "a", "b"); break;
	case 3: build_ready(&out, TXN_IDLE); break;
	case 4: build_command_complete(&out, "BEGIN"); break;
	case 5: build_empty(&out, MSG_B_NO_DATA); break;
	case 6: build_negotiate_version(&out, 0, texts, 2); break;
	case 7: build_error(&out, "ERROR", "XX000", "m", "d", "h"); break;
	case 8: build_notice(&out, "NOTICE", "00000", "m", NULL, NULL); break;
	case 9: build_row_description(&out, &column, 1); break;
	case 10: build_data_row(&out, texts, 2); break;
	case 11: build_startup(&out, 0, texts, 1); break;
	case 12: build_query(&out, "SELECT 1", 8); break;
	case 13: build_password(&out, "x"); break;
	case 14: build_sasl_initial(&out, "X", "y", 1); break;
	case 15: build_sasl_response(&out, "y", 1); break;
	case 16: build_cancel_request(&out, 1, "abcd", 4); break;
	case 17: build_parse(&out, "a", "b", 1, &type, 1); break;
	}
}
#define BUILDERS 18

START_TEST(a_failed_buffer_takes_nothing)
{
	build_ready(&out, TXN_IDLE);
	out.failed = true;
	build_each(_i);
	ck_assert(out.failed);
	ck_assert_uint_eq(bytes_length(&out), 6);

	/* the flag lifted, what is held is whole messages and can be added to */
	out.failed = false;
	build_each(_i);
	ck_assert(!out.failed);
	ck_assert_uint_gt(bytes_length(&out), 6);
}
END_TEST

START_TEST(no_memory_ever_for_the_first_message)
{
	out.failed = true;
	build_each(_i);
	ck_assert(out.failed);
	ck_assert_uint_eq(bytes_length(&out), 0);
	ck_assert_ptr_eq(out.data, NULL);
}
END_TEST

START_TEST(a_failure_in_the_middle_takes_the_message_out)
{
	size_t mark;

	build_ready(&out, TXN_IDLE);
	mark = build_begin(&out, MSG_B_DATA_ROW);
	build_u16(&out, 1);
	build_string(&out, "half");
	out.failed = true; /* as a failed append leaves it */
	build_string(&out, "lost");
	build_end(&out, mark);
	ck_assert(out.failed);
	ck_assert_uint_eq(bytes_length(&out), 6);

	mark = build_begin_untyped(&out);
	build_end(&out, mark);
	ck_assert_uint_eq(bytes_length(&out), 6);
}
END_TEST

static void check_refused(void)
{
	ck_assert(out.failed);
	ck_assert_uint_eq(bytes_length(&out), 6);
	out.failed = false;
}

/* Refused by their size: the memory behind the pointer is not looked at. */
START_TEST(too_long_for_the_protocol)
{
	static const size_t lengths[] = { (size_t)FRAME_BODY_MAX + 1, (size_t)1 << 32,
					  SIZE_MAX - 5, SIZE_MAX };
	volatile size_t length; /* keeps compilers from warning of what is tested */

	build_ready(&out, TXN_IDLE);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		length = lengths[i];
		build_query(&out, "x", length);
		check_refused();
		build_auth_request(&out, AUTH_REQ_SASL_CONTINUE, "x", length);
		check_refused();
		build_sasl_initial(&out, "X", "x", length);
		check_refused();
		build_parse(&out, "x", "x", length, NULL, 0);
		check_refused();
	}
}
END_TEST

START_TEST(too_many_for_a_count)
{
	const size_t n = 65536;
	struct build_column *columns = calloc(n, sizeof(*columns));
	const char **values = calloc(n, sizeof(*values));
	uint32_t *types = calloc(n, sizeof(*types));
	struct cursor c;

	for (size_t i = 0; i < n; i++)
		columns[i] = (struct build_column){ "c", OID_TEXT };
	build_ready(&out, TXN_IDLE);
	build_row_description(&out, columns, n);
	check_refused();
	build_data_row(&out, values, n);
	check_refused();
	build_parse(&out, "", "", 0, types, n);
	check_refused();

	/* one less is the most there can be */
	bytes_clear(&out);
	build_data_row(&out, values, n - 1);
	c = only_message('D');
	ck_assert_uint_eq(cursor_u16(&c), 65535);
	ck_assert_uint_eq(cursor_left(&c), 4 * (n - 1));
	bytes_clear(&out);
	build_row_description(&out, columns, n - 1);
	c = only_message('T');
	ck_assert_uint_eq(cursor_left(&c), 2 + 20 * (n - 1));
	free(columns);
	free(values);
	free(types);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("wire/build");
	TCase *t = tcase_create("messages");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, auth_requests);
	tcase_add_test(t, small_backend_messages);
	tcase_add_test(t, negotiate_version);
	tcase_add_test(t, errors_and_notices);
	tcase_add_test(t, row_descriptions);
	tcase_add_test(t, data_rows);
	tcase_add_test(t, frontend_messages);
	tcase_add_test(t, sasl_messages);
	tcase_add_test(t, parse_messages);
	tcase_add_test(t, marks_outlive_moves_of_the_buffer);
	suite_add_tcase(s, t);
	t = tcase_create("failures");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, a_failed_buffer_takes_nothing, 0, BUILDERS);
	tcase_add_loop_test(t, no_memory_ever_for_the_first_message, 0, BUILDERS);
	tcase_add_test(t, a_failure_in_the_middle_takes_the_message_out);
	tcase_add_test(t, too_long_for_the_protocol);
	tcase_add_test(t, too_many_for_a_count);
	suite_add_tcase(s, t);
	return s;
}

UNIT_SUITE(suite)
