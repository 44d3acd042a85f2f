/* admin/table: what rows look like on the wire, as text and as binary. */

#include "admin/table.h"

#include <signal.h>
#include <stdint.h>

#include "unit.h"

static const struct build_column columns[] = {
	{ "text", OID_TEXT },       { "int4", OID_INT4 }, { "int8", OID_INT8 },
	{ "numeric", OID_NUMERIC }, { "bool", OID_BOOL },
};

#define N_COLUMNS (sizeof(columns) / sizeof(columns[0]))

static void put_row(struct table *table, const char *text, int64_t number)
{
	table_begin_row(table);
	table_text(table, text);
	table_int(table, number);
	table_int(table, number);
	table_int(table, number);
	table_bool(table, number != 0);
	table_end_row(table);
}

static void bytes_must_be(const struct bytes *bytes, const void *data, size_t length)
{
	ck_assert(!bytes->failed);
	ck_assert_uint_eq(bytes_length(bytes), length);
	ck_assert_mem_eq(bytes_begin(bytes), data, length);
}

START_TEST(rows_as_text)
{
	static const char expected[] = "D\0\0\0\x23\0\x05"
				       "\0\0\0\x02"
				       "ab"
				       "\0\0\0\x02"
				       "-7"
				       "\0\0\0\x02"
				       "-7"
				       "\0\0\0\x02"
				       "-7"
				       "\0\0\0\x01"
				       "t";
	struct table table;

	table_init(&table, columns, N_COLUMNS, (struct table_formats){ NULL, 0 });
	put_row(&table, "ab", -7);
	bytes_must_be(&table.rows, expected, sizeof(expected) - 1);
	ck_assert_uint_eq(table.n_rows, 1);
	table_free(&table);
}
END_TEST

START_TEST(rows_as_binary)
{
	static const uint16_t all_binary = 1;
	static const char expected[] = "D\0\0\0\x31\0\x05"
				       "\xff\xff\xff\xff"
				       "\0\0\0\x04"
				       "\xff\xff\xff\xfe"
				       "\0\0\0\x08"
				       "\xff\xff\xff\xff\xff\xff\xff\xfe"
				       "\0\0\0\x0a"
				       "\0\x01\0\0\x40\0\0\0\0\x02"
				       "\0\0\0\x01"
				       "\x01";
	struct table table;

	table_init(&table, columns, N_COLUMNS, (struct table_formats){ &all_binary, 1 });
	put_row(&table, NULL, -2);
	bytes_must_be(&table.rows, expected, sizeof(expected) - 1);
	table_free(&table);
}
END_TEST

static const struct {
	int64_t value;
	uint16_t weight;
	uint16_t sign;
	uint16_t n;
	uint16_t digits[5];
} numerics[] = {
	{ 0, 0, 0, 0, { 0 } },
	{ 1, 0, 0, 1, { 1 } },
	{ 9999, 0, 0, 1, { 9999 } },
	{ 10000, 1, 0, 2, { 1, 0 } },
	{ -123456789, 2, 0x4000, 3, { 1, 2345, 6789 } },
	{ INT64_MAX, 4, 0, 5, { 922, 3372, 368, 5477, 5807 } },
	{ INT64_MIN, 4, 0x4000, 5, { 922, 3372, 368, 5477, 5808 } },
};

static uint16_t u16_at(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

START_TEST(binary_numerics)
{
	static const struct build_column column = { "n", OID_NUMERIC };
	static const uint16_t binary = 1;
	const uint8_t *at;
	struct table table;

	table_init(&table, &column, 1, (struct table_formats){ &binary, 1 });
	table_begin_row(&table);
	table_int(&table, numerics[_i].value);
	table_end_row(&table);
	at = bytes_begin(&table.rows) + 5 + 2 + 4;
	ck_assert_uint_eq(bytes_length(&table.rows), 5u + 2 + 4 + 8 + 2u * numerics[_i].n);
	ck_assert_uint_eq(u16_at(at), numerics[_i].n);
	ck_assert_uint_eq(u16_at(at + 2), numerics[_i].weight);
	ck_assert_uint_eq(u16_at(at + 4), numerics[_i].sign);
	ck_assert_uint_eq(u16_at(at + 6), 0);
	for (size_t i = 0; i < numerics[_i].n; i++)
		ck_assert_uint_eq(u16_at(at + 8 + 2 * i), numerics[_i].digits[i]);
	table_free(&table);
}
END_TEST

/* One code for each column; without codes the description is that of wire/build. */
START_TEST(descriptions)
{
	static const uint16_t codes[N_COLUMNS] = { 0, 1, 0, 1, 0 };
	struct bytes plain = { 0 };
	struct bytes mixed = { 0 };
	struct bytes reference = { 0 };

	table_describe(columns, N_COLUMNS, (struct table_formats){ NULL, 0 }, &plain);
	build_row_description(&reference, columns, N_COLUMNS);
	bytes_must_be(&plain, bytes_begin(&reference), bytes_length(&reference));
	table_describe(columns, N_COLUMNS, (struct table_formats){ codes, N_COLUMNS }, &mixed);
	ck_assert_uint_eq(bytes_length(&mixed), bytes_length(&plain));
	ck_assert_mem_ne(bytes_begin(&mixed), bytes_begin(&plain), bytes_length(&plain));
	bytes_free(&plain);
	bytes_free(&mixed);
	bytes_free(&reference);
}
END_TEST

/* A row that is not whole does not leave. */
START_TEST(without_memory)
{
	struct table table;
	bool has_failed = true;

	for (unsigned long nth = 1; has_failed; nth++) {
		ck_assert_uint_lt(nth, 100);
		table_init(&table, columns, N_COLUMNS, (struct table_formats){ NULL, 0 });
		unit_fail_alloc(nth);
		put_row(&table, "some text", 1);
		has_failed = unit_alloc_failed();
		unit_fail_alloc(0);
		ck_assert_int_eq(table.rows.failed, has_failed);
		ck_assert(!has_failed || bytes_length(&table.rows) == 0);
		table_free(&table);
	}
}
END_TEST

START_TEST(too_few_cells)
{
	struct table table;

	table_init(&table, columns, N_COLUMNS, (struct table_formats){ NULL, 0 });
	table_begin_row(&table);
	table_end_row(&table);
}
END_TEST

static Suite *table_suite(void)
{
	Suite *suite = suite_create("admin/table");
	TCase *tcase = tcase_create("table");

	tcase_add_test(tcase, rows_as_text);
	tcase_add_test(tcase, rows_as_binary);
	tcase_add_loop_test(tcase, binary_numerics, 0, sizeof(numerics) / sizeof(numerics[0]));
	tcase_add_test(tcase, descriptions);
	tcase_add_test(tcase, without_memory);
	tcase_add_test_raise_signal(tcase, too_few_cells, SIGABRT);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(table_suite)
