/*
 * Result rows in the formats of the protocol; see admin/table.h. Binary is for drivers that know
 * no other. Pure; any thread.
 */
#include "admin/table.h"

#include <stdio.h>
#include <string.h>

#include "base/panic.h"
#include "wire/message.h"

#define FORMAT_BINARY    1
#define NUMERIC_BASE     10000
#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_DIGITS   5 /* of base 10000, in 64 bits */
#define VARIABLE_LENGTH  0xffff
#define NO_TYPE_MODIFIER UINT32_MAX

static uint16_t format_of(const struct table_formats *formats, size_t column)
{
	if (formats->n == 0)
		return 0;
	return formats->codes[formats->n == 1 || column >= formats->n ? 0 : column];
}

void table_init(struct table *table, const struct build_column *columns, size_t n_columns,
		struct table_formats formats)
{
	*table = (struct table){ .columns = columns, .n_columns = n_columns, .formats = formats };
}

void table_free(struct table *table)
{
	bytes_free(&table->rows);
	table->n_rows = 0;
}

void table_begin_row(struct table *table)
{
	table->mark = build_begin(&table->rows, MSG_B_DATA_ROW);
	table->column = 0;
	build_u16(&table->rows, (uint16_t)table->n_columns);
}

void table_end_row(struct table *table)
{
	ASSERT(table->column == table->n_columns);
	build_end(&table->rows, table->mark);
	table->n_rows++;
}

/* --- cells --- */

static void put_cell(struct table *table, const void *data, size_t length)
{
	build_u32(&table->rows, (uint32_t)length);
	build_raw(&table->rows, data, length);
}

/* PostgreSQL's src/backend/utils/adt/numeric.c:numeric_send: digits of base 10000. */
static void put_numeric(struct bytes *out, int64_t value)
{
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
	uint16_t digits[NUMERIC_DIGITS];
	uint16_t n = 0;

	for (; rest > 0; rest /= NUMERIC_BASE)
		digits[n++] = (uint16_t)(rest % NUMERIC_BASE);
	build_u32(out, 8 + 2u * n);
	build_u16(out, n);
	build_u16(out, n > 0 ? (uint16_t)(n - 1) : 0); /* weight of the first digit */
	build_u16(out, value < 0 ? NUMERIC_NEGATIVE : 0);
	build_u16(out, 0); /* decimals */
	while (n > 0)
		build_u16(out, digits[--n]);
}

/* true when the column's type has a binary form of its own. */
static bool put_binary_int(struct bytes *out, uint32_t type_oid, int64_t value)
{
	switch (type_oid) {
	case OID_INT4:
		build_u32(out, 4);
		build_u32(out, (uint32_t)value);
		return true;
	case OID_INT8:
		build_u32(out, 8);
		build_u32(out, (uint32_t)((uint64_t)value >> 32));
		build_u32(out, (uint32_t)value);
		return true;
	case OID_NUMERIC: put_numeric(out, value); return true;
	default: return false;
	}
}

void table_text(struct table *table, const char *text)
{
	ASSERT(table->column < table->n_columns);
	table->column++;
	if (text)
		put_cell(table, text, strlen(text));
	else
		build_u32(&table->rows, UINT32_MAX);
}

void table_int(struct table *table, int64_t value)
{
	char text[24];
	size_t column = table->column++;

	ASSERT(column < table->n_columns);
	if (format_of(&table->formats, column) == FORMAT_BINARY &&
	    put_binary_int(&table->rows, table->columns[column].type_oid, value))
		return;
	put_cell(table, text, (size_t)snprintf(text, sizeof(text), "%lld", (long long)value));
}

void table_bool(struct table *table, bool value)
{
	const uint8_t byte = value;
	size_t column = table->column++;

	ASSERT(column < table->n_columns);
	if (format_of(&table->formats, column) == FORMAT_BINARY)
		put_cell(table, &byte, 1);
	else
		put_cell(table, value ? "t" : "f", 1);
}

/* --- description --- */

static uint16_t type_length(uint32_t type_oid)
{
	switch (type_oid) {
	case OID_BOOL: return 1;
	case OID_INT4: return 4;
	case OID_INT8: return 8;
	default: return VARIABLE_LENGTH;
	}
}

void table_describe(const struct build_column *columns, size_t n_columns,
		    struct table_formats formats, struct bytes *out)
{
	size_t mark = build_begin(out, MSG_B_ROW_DESCRIPTION);

	build_u16(out, (uint16_t)n_columns);
	for (size_t i = 0; i < n_columns; i++) {
		build_string(out, columns[i].name);
		build_u32(out, 0); /* of no table, */
		build_u16(out, 0); /* so no column of it */
		build_u32(out, columns[i].type_oid);
		build_u16(out, type_length(columns[i].type_oid));
		build_u32(out, NO_TYPE_MODIFIER);
		build_u16(out, format_of(&formats, i));
	}
	build_end(out, mark);
}
