/* wire/message: the two alphabets, and that wire/frame knows the same letters. */

#include "wire/message.h"

#include <string.h>

#include "../unit.h"
#include "wire/frame.h"

static const char frontend_types[] = "BCdcfDEHFPpQSX";
static const char backend_types[] = "RK23CWdcGHDIEVvnNAtS1sZT";

struct named {
	int type;
	const char *frontend;
	const char *backend;
};

/* The letters that mean two things, the first and the last of each, and some that are none. */
static const struct named named[] = {
	{ 'C', "Close", "CommandComplete" }, { 'D', "Describe", "DataRow" },
	{ 'E', "Execute", "ErrorResponse" }, { 'H', "Flush", "CopyOutResponse" },
	{ 'S', "Sync", "ParameterStatus" },  { 'c', "CopyDone", "CopyDone" },
	{ 'd', "CopyData", "CopyData" },     { 'p', "PasswordMessage", "unknown" },
	{ 'X', "Terminate", "unknown" },     { 'Z', "unknown", "ReadyForQuery" },
	{ '1', "unknown", "ParseComplete" }, { 'v', "unknown", "NegotiateProtocolVersion" },
	{ 0, "unknown", "unknown" },         { 0x16, "unknown", "unknown" }, /* a TLS record */
	{ 0x7f, "unknown", "unknown" },      { 0xff, "unknown", "unknown" },
};

START_TEST(names)
{
	const struct named *n = &named[_i];

	ck_assert_str_eq(message_frontend_name((unsigned char)n->type), n->frontend);
	ck_assert_str_eq(message_backend_name((unsigned char)n->type), n->backend);
}
END_TEST

START_TEST(every_byte_is_in_the_alphabet_or_unknown)
{
	for (int type = 0; type < 256; type++) {
		bool f = type != 0 && strchr(frontend_types, type) != NULL;
		bool b = type != 0 && strchr(backend_types, type) != NULL;

		ck_assert_int_eq(
			strcmp(message_frontend_name((unsigned char)type), "unknown") != 0, f);
		ck_assert_int_eq(
			strcmp(message_backend_name((unsigned char)type), "unknown") != 0, b);
		ck_assert_int_eq(frame_frontend_body_max((uint8_t)type) != FRAME_NO_SUCH_TYPE, f);
		ck_assert_int_eq(frame_backend_body_max((uint8_t)type) != FRAME_NO_SUCH_TYPE, b);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("wire/message");
	TCase *t = tcase_create("names");

	tcase_add_loop_test(t, names, 0, (int)(sizeof(named) / sizeof(named[0])));
	tcase_add_test(t, every_byte_is_in_the_alphabet_or_unknown);
	suite_add_tcase(s, t);
	return s;
}

UNIT_SUITE(suite)
