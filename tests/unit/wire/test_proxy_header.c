/* Headers of the PROXY protocol: both versions, each prefix, what must not be believed. */
#include "wire/proxy_header.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define V2       "\r\n\r\n\0\r\nQUIT\n"
#define BYTES(s) s, sizeof(s) - 1
#define TCP4_V2  "\xc0\x00\x02\x01\x0a\x00\x00\x09\xdc\x04\x15\x38"

struct row {
	const char *data;
	size_t length;
	const char *client; /* "192.0.2.1 56324" in hexadecimal; "": none given */
	size_t size;        /* of the header; 0: it is bad */
};

static const struct row rows[] = {
	/* version 1 */
	{ BYTES("PROXY TCP4 192.0.2.1 10.0.0.9 56324 5432\r\n"), "c0000201 56324", 42 },
	{ BYTES("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "ffffffff 65535",
	  56 },
	{ BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 0 0\r\n"), "01020304 0", 32 },
	{ BYTES("PROXY TCP6 2001:db8::7 ::1 1 2\r\n"), "20010db8000000000000000000000007 1", 32 },
	{ BYTES("PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
		"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	  "ffffffffffffffffffffffffffffffff 65535", 104 },
	{ BYTES("PROXY UNKNOWN\r\n"), "", 15 },
	{ BYTES("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), "", 59 },
	{ BYTES("PROXY \r\n"), NULL, 0 },
	{ BYTES("PROXY TCP5 1.2.3.4 1.2.3.4 1 2\r\n"), NULL, 0 },
	{ BYTES("PROXY tcp4 1.2.3.4 1.2.3.4 1 2\r\n"), NULL, 0 },
	{ BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n"), NULL, 0 },
	{ BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 3\r\n"), NULL, 0 },
	{ BYTES("PROXY TCP4  1.2.3.4 1.2.3.4 1 2\r\n"), NULL, 0 },
	{ BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2 \r\n"), NULL, 0 },
	{ BYTES("PROXY TCP4 1.2.3 1.2.3.4 1 2\r\n"), NULL, 0 },
	{ BYTES("PROXY TCP4 1.2.3.4 ::1 1 2\r\n"), NULL, 0 },
	{ BYTES("PROXY TCP6 1.2.3.4 1.2.3.4 1 2\r\n"), NULL, 0 },
	{ BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 65536 2\r\n"), NULL, 0 },
	{ BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 -1 2\r\n"), NULL, 0 },
	{ BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 01 2\r\n"), NULL, 0 },
	{ BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n"), NULL, 0 },
	{ BYTES("PROXY TCP4 1.2.3.4 1.2.3.4 1 2\0\r\n"), NULL, 0 },
	{ BYTES("PROXY TCP4 localhost 1.2.3.4 1 2\r\n"), NULL, 0 },
	{ BYTES("PROXYTCP4 1.2.3.4 1.2.3.4 1 2\r\n"), NULL, 0 },
	/* version 2 */
	{ BYTES(V2 "\x21\x11\x00\x0c" TCP4_V2), "c0000201 56324", 28 },
	{ BYTES(V2 "\x21\x11\x00\x13" TCP4_V2 "\x04\x00\x04 TLV"), "c0000201 56324", 35 },
	{ BYTES(V2 "\x21\x21\x00\x24"
		   "0123456789abcdef0123456789ABCDEF\x00\x01\x00\x02"),
	  "30313233343536373839616263646566 1", 52 },
	{ BYTES(V2 "\x20\x00\x00\x00"), "", 16 },
	{ BYTES(V2 "\x20\x11\x00\x0c" TCP4_V2), "", 28 },
	{ BYTES(V2 "\x20\xff\x00\x03xyz"), "", 19 },
	{ BYTES(V2 "\x21\x00\x00\x00"), "", 16 },
	{ BYTES(V2 "\x21\x00\x00\x05hello"), "", 21 },
	{ BYTES(V2 "\x21\x12\x00\x0c" TCP4_V2), "", 28 },
	{ BYTES(V2 "\x21\x31\x00\x01x"), "", 17 },
	{ BYTES(V2 "\x21\x11\x00\x0b\xc0\x00\x02\x01\x0a\x00\x00\x09\xdc\x04\x15"), NULL, 0 },
	{ BYTES(V2 "\x21\x21\x00\x0c" TCP4_V2), NULL, 0 },
	{ BYTES(V2 "\x21\x41\x00\x00"), NULL, 0 },
	{ BYTES(V2 "\x21\x13\x00\x00"), NULL, 0 },
	{ BYTES(V2 "\x22\x11\x00\x0c" TCP4_V2), NULL, 0 },
	{ BYTES(V2 "\x11\x11\x00\x0c" TCP4_V2), NULL, 0 },
	{ BYTES(V2 "\x31\x11\x00\x0c" TCP4_V2), NULL, 0 },
	{ BYTES(V2 "\x21\x11\x10\x01"), NULL, 0 },
	{ BYTES(V2 "\x20\x00\xff\xff"), NULL, 0 },
	/* others */
	{ BYTES("\0\0\0\x08\x04\xd2\x16\x2f"), NULL, 0 },
	{ BYTES("\x16\x03\x01\x02\x00"), NULL, 0 },
	{ BYTES("GET / HTTP/1.1\r\n"), NULL, 0 },
	{ BYTES("\r\n\r\n\0\r\nQUIT\r"), NULL, 0 },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* In memory of exactly that size: a read behind it is seen. */
static enum proxy_header_result parse(const char *data, size_t length,
				      enum proxy_protocol expected, struct proxy_header *out)
{
	uint8_t *copy = malloc(length + !length);
	enum proxy_header_result result;

	memcpy(copy, data, length);
	result = proxy_header_parse(copy, length, expected, out);
	free(copy);
	return result;
}

static const char *client_of(const struct proxy_header *header)
{
	static char text[64];
	size_t at = 0;

	text[0] = '\0';
	if (header->family == 0)
		return text;
	for (int i = 0; i < (header->family == 4 ? 4 : 16); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%02x", header->address[i]);
	snprintf(text + at, sizeof(text) - at, " %u", header->port);
	return text;
}

START_TEST(headers)
{
	const struct row *row = &rows[_i];
	struct proxy_header header;
	enum proxy_header_result result =
		parse(row->data, row->length, PROXY_PROTOCOL_ANY, &header);

	ck_assert_uint_eq(header.size, row->size);
	if (row->size == 0) {
		ck_assert_int_eq(result, PROXY_HEADER_BAD);
		return;
	}
	ck_assert_int_eq(result, PROXY_HEADER_OK);
	ck_assert_str_eq(client_of(&header), row->client);
}
END_TEST

/* Byte by byte: nothing is decided too early, and what follows the header is not looked at. */
START_TEST(each_prefix_needs_more)
{
	const struct row *row = &rows[_i];
	struct proxy_header header;
	char longer[256];

	if (row->size == 0)
		return;
	for (size_t length = 0; length < row->size; length++) {
		ck_assert_int_eq(parse(row->data, length, PROXY_PROTOCOL_ANY, &header),
				 PROXY_HEADER_NEED_MORE);
		ck_assert_uint_eq(header.size, 0);
	}
	memcpy(longer, row->data, row->size);
	memcpy(longer + row->size, "\r\nPROXY ", 8);
	ck_assert_int_eq(parse(longer, row->size + 8, PROXY_PROTOCOL_ANY, &header),
			 PROXY_HEADER_OK);
	ck_assert_uint_eq(header.size, row->size);
	ck_assert_str_eq(client_of(&header), row->client);
}
END_TEST

/* What is bad stays bad, however much comes behind it; none is waited for beyond the bounds. */
START_TEST(bad_ones_stay_bad)
{
	const struct row *row = &rows[_i];
	struct proxy_header header;
	char longer[256] = { 0 };

	if (row->size != 0)
		return;
	memcpy(longer, row->data, row->length);
	ck_assert_int_eq(parse(longer, sizeof(longer), PROXY_PROTOCOL_ANY, &header),
			 PROXY_HEADER_BAD);
}
END_TEST

START_TEST(only_the_expected_version)
{
	const struct row *row = &rows[_i];
	bool is_v1 = row->data[0] == 'P';
	struct proxy_header header;

	ck_assert_int_eq(parse(row->data, row->length,
			       is_v1 ? PROXY_PROTOCOL_V2 : PROXY_PROTOCOL_V1, &header),
			 PROXY_HEADER_BAD);
	if (row->size > 0)
		ck_assert_int_eq(parse(row->data, row->length,
				       is_v1 ? PROXY_PROTOCOL_V1 : PROXY_PROTOCOL_V2, &header),
				 PROXY_HEADER_OK);
}
END_TEST

START_TEST(lines_without_end)
{
	char line[PROXY_HEADER_V1_MAX + 1];
	struct proxy_header header;

	memset(line, ' ', sizeof(line));
	memcpy(line, "PROXY UNKNOWN", 13);
	for (size_t length = 1; length < PROXY_HEADER_V1_MAX; length++)
		ck_assert_int_eq(parse(line, length, PROXY_PROTOCOL_V1, &header),
				 PROXY_HEADER_NEED_MORE);
	ck_assert_int_eq(parse(line, PROXY_HEADER_V1_MAX, PROXY_PROTOCOL_V1, &header),
			 PROXY_HEADER_BAD);
	memcpy(line + PROXY_HEADER_V1_MAX - 2, "\r\n", 2);
	ck_assert_int_eq(parse(line, PROXY_HEADER_V1_MAX, PROXY_PROTOCOL_V1, &header),
			 PROXY_HEADER_OK);
	memcpy(line + PROXY_HEADER_V1_MAX - 2, " \r\n", 3);
	ck_assert_int_eq(parse(line, sizeof(line), PROXY_PROTOCOL_V1, &header), PROXY_HEADER_BAD);
}
END_TEST

START_TEST(the_longest_binary_header)
{
	static char data[PROXY_HEADER_V2_MAX] = V2 "\x21\x11\x10\x00" TCP4_V2;
	struct proxy_header header;

	ck_assert_int_eq(parse(data, sizeof(data) - 1, PROXY_PROTOCOL_V2, &header),
			 PROXY_HEADER_NEED_MORE);
	ck_assert_int_eq(parse(data, sizeof(data), PROXY_PROTOCOL_V2, &header), PROXY_HEADER_OK);
	ck_assert_uint_eq(header.size, sizeof(data));
	ck_assert_str_eq(client_of(&header), "c0000201 56324");
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("wire/proxy_header");
	TCase *t = tcase_create("headers");

	tcase_add_loop_test(t, headers, 0, COUNT(rows));
	tcase_add_loop_test(t, each_prefix_needs_more, 0, COUNT(rows));
	tcase_add_loop_test(t, bad_ones_stay_bad, 0, COUNT(rows));
	tcase_add_loop_test(t, only_the_expected_version, 0, COUNT(rows));
	tcase_add_test(t, lines_without_end);
	tcase_add_test(t, the_longest_binary_header);
	suite_add_tcase(suite, t);
	return suite;
}

UNIT_SUITE(suite)
