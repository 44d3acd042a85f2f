#ifndef POINTSMAN_ADMIN_TABLE_H
#define POINTSMAN_ADMIN_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "wire/build.h"

/*
 * Rows of a result, put together as the DataRow messages that they will leave as. Cells are
 * written from left to right; whoever writes more or fewer than there are columns has a bug.
 * Running out of memory is sticky in rows.failed.
 */

/* Which format (0 text, 1 binary) a client wants: none named, one for all columns, or one for
 * each. */
struct table_formats {
	const uint16_t *codes;
	size_t n;
};

struct table {
	const struct build_column *columns;
	size_t n_columns;
	struct table_formats formats;
	struct bytes rows;
	size_t n_rows;
	size_t column; /* the next cell */
	size_t mark;   /* of the open row */
};

/* `columns` and the codes must outlive the table. */
void table_init(struct table *table, const struct build_column *columns, size_t n_columns,
		struct table_formats formats);
void table_free(struct table *table);

void table_begin_row(struct table *table);
void table_end_row(struct table *table);

/* The next cell. NULL is SQL's NULL. A number may stand in a text column. */
void table_text(struct table *table, const char *text);
void table_int(struct table *table, int64_t value);
void table_bool(struct table *table, bool value); /* PostgreSQL's 't' and 'f' */

/* Appends RowDescription with the formats that the rows will have. */
void table_describe(const struct build_column *columns, size_t n_columns,
		    struct table_formats formats, struct bytes *out);

#endif
