/*
 * wire/error. Corners: no body, no fields, each field missing, repeated fields, V without
 * S and S without V, SQLSTATEs of 0, 4, 5 and 6 characters, unknown fields, a field without NUL,
 * a list without terminator, bytes behind the terminator, each prefix, the page's edge.
 */

#include "wire/error.h"

#include <string.h>

#include "../unit.h"
#include "base/bytes.h"
#include "edge.h"
#include "wire/build.h"
#include "wire/frame.h"

#define BODY(text) text, sizeof(text) - 1

struct error_case {
	const char *body;
	size_t length;
	bool is_good;
	struct wire_error expected;
};

#define NO_ERROR_FIELDS                 \
	{                               \
		"", "XX000", "", "", "" \
	}

/* String literals are cut where an octal escape would swallow a digit of the next field. */
static const struct error_case cases[] = {
	{ BODY(""), false, NO_ERROR_FIELDS },
	{ BODY("\0"), true, NO_ERROR_FIELDS },
	{ BODY("\0\0"), false, NO_ERROR_FIELDS },
	{ BODY("SERROR\0C42P01\0Mno table\0Dd\0Hh\0\0"),
	  true,
	  { "ERROR", "42P01", "no table", "d", "h" } },
	/* V is preferred wherever it stands: S is translated */
	{ BODY("SFEHLER\0VERROR\0C42P01\0\0"), true, { "ERROR", "42P01", "", "", "" } },
	{ BODY("VERROR\0SFEHLER\0\0"), true, { "ERROR", "XX000", "", "", "" } },
	{ BODY("SFEHLER\0\0"), true, { "FEHLER", "XX000", "", "", "" } },
	{ BODY("VFATAL\0\0"), true, { "FATAL", "XX000", "", "", "" } },
	/* the first of a kind counts, empty ones too */
	{ BODY("Mone\0Mtwo\0C22023\0C42501\0\0"), true, { "", "22023", "one", "", "" } },
	{ BODY("M\0Mtwo\0\0"), true, NO_ERROR_FIELDS },
	{ BODY("V\0SERROR\0\0"), true, NO_ERROR_FIELDS },
	/* SQLSTATEs that are none */
	{ BODY("C\0\0"), true, NO_ERROR_FIELDS },
	{ BODY("C4250\0\0"), true, NO_ERROR_FIELDS },
	{ BODY("C425011\0\0"), true, NO_ERROR_FIELDS },
	{ BODY("C\0C42501\0\0"), true, NO_ERROR_FIELDS },
	/* fields that we do not know or do not read */
	{ BODY("xwhat\0P7\0\377?\0Mm\0Fparse.c\0L1\0Rf\0\0"),
	  true,
	  { "", "XX000", "m", "", "" } },
	/* not terminated: what was whole is there */
	{ BODY("SERROR\0Mcut"), false, { "ERROR", "XX000", "", "", "" } },
	{ BODY("SERROR\0Mm\0"), false, { "ERROR", "XX000", "m", "", "" } },
	{ BODY("SERROR\0M"), false, { "ERROR", "XX000", "", "", "" } },
	{ BODY("C42501"), false, NO_ERROR_FIELDS },
	/* more behind the end */
	{ BODY("SERROR\0\0Mlate\0\0"), false, { "ERROR", "XX000", "", "", "" } },
};

static void check_equal(const struct wire_error *e, const struct wire_error *expected)
{
	ck_assert_str_eq(e->severity, expected->severity);
	ck_assert_str_eq(e->sqlstate, expected->sqlstate);
	ck_assert_str_eq(e->message, expected->message);
	ck_assert_str_eq(e->detail, expected->detail);
	ck_assert_str_eq(e->hint, expected->hint);
}

START_TEST(table)
{
	const struct error_case *c = &cases[_i];
	struct wire_error error;
	struct edge e;

	edge_open(&e);
	ck_assert_int_eq(wire_error_parse(edge_put(&e, c->body, c->length), c->length, &error),
			 c->is_good);
	check_equal(&error, &c->expected);
	edge_close(&e);
}
END_TEST

START_TEST(each_prefix_is_refused)
{
	static const char body[] = "SERROR\0VERROR\0C57014\0Mcanceling statement\0Dwhy\0Hdo\0";
	struct wire_error error;
	struct edge e;

	edge_open(&e);
	/* sizeof counts the literal's own NUL, which is the terminator */
	for (size_t n = 0; n <= sizeof(body); n++) {
		bool is_good = wire_error_parse(edge_put(&e, body, n), n, &error);

		ck_assert_int_eq(is_good, n == sizeof(body));
		ck_assert_uint_eq(strlen(error.sqlstate), 5);
		ck_assert_ptr_ne(error.severity, NULL);
		ck_assert_ptr_ne(error.message, NULL);
		ck_assert_ptr_ne(error.detail, NULL);
		ck_assert_ptr_ne(error.hint, NULL);
	}
	edge_close(&e);
}
END_TEST

START_TEST(what_we_build_is_read_back)
{
	static const struct wire_error expected = { "FATAL", "57P03", "pointsman: no server",
						    "no_replica_fresh", "" };
	struct bytes out = { 0 };
	struct wire_error error;
	struct frame frame;

	build_error(&out, "FATAL", "57P03", "pointsman: no server", "no_replica_fresh", NULL);
	ck_assert_int_eq(
		frame_peek(bytes_begin(&out), bytes_length(&out), FRAME_BODY_MAX, &frame),
		FRAME_OK);
	ck_assert(wire_error_parse(frame.body, frame.body_length, &error));
	check_equal(&error, &expected);
	bytes_free(&out);
}
END_TEST

START_TEST(no_body_at_all)
{
	static const struct wire_error expected = NO_ERROR_FIELDS;
	struct wire_error error;

	ck_assert(!wire_error_parse(NULL, 0, &error));
	check_equal(&error, &expected);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("wire/error");
	TCase *t = tcase_create("parse");

	tcase_add_loop_test(t, table, 0, (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(t, each_prefix_is_refused);
	tcase_add_test(t, what_we_build_is_read_back);
	tcase_add_test(t, no_body_at_all);
	suite_add_tcase(s, t);
	return s;
}

UNIT_SUITE(suite)
