/*
 * Building messages at the end of a `struct bytes`. Failure (no memory, a message longer than
 * the protocol can say, a count beyond 16 bits) is sticky in bytes.failed; build_end() takes an
 * unfinished message out again, so that what is held is whole messages whatever happened.
 * Does not send, and does not check the order of messages. Pure; any thread.
 */

#include "wire/build.h"

#include <string.h>

#include "base/panic.h"
#include "wire/frame.h"
#include "wire/message.h"

#define LENGTH_BYTES 4

#define CANCEL_REQUEST_CODE (1234u << 16 | 5678u)
#define SSL_REQUEST_CODE    (1234u << 16 | 5679u)
#define PROTOCOL_3          (3u << 16)

static void put_u32(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)(value >> 24);
	to[1] = (uint8_t)(value >> 16);
	to[2] = (uint8_t)(value >> 8);
	to[3] = (uint8_t)value;
}

/*
 * A mark is the message's place counted from the first byte held (appending may move the
 * contents), times two, plus one when a type byte comes before the length.
 */
static size_t make_mark(size_t place, bool is_typed)
{
	return place << 1 | is_typed;
}

size_t build_begin(struct bytes *out, uint8_t type)
{
	size_t mark = make_mark(bytes_length(out), true);

	build_u8(out, type);
	build_u32(out, 0);
	return mark;
}

size_t build_begin_untyped(struct bytes *out)
{
	size_t mark = make_mark(bytes_length(out), false);

	build_u32(out, 0);
	return mark;
}

void build_end(struct bytes *out, size_t mark)
{
	size_t message = mark >> 1;
	size_t length_at = message + (mark & 1);
	size_t length = 0;

	if (!out->failed) {
		ASSERT(length_at + LENGTH_BYTES <= bytes_length(out));
		length = bytes_length(out) - length_at;
		out->failed = length - LENGTH_BYTES > FRAME_BODY_MAX;
	}
	if (out->failed)
		out->end = out->start + message;
	else
		put_u32(out->data + out->start + length_at, (uint32_t)length);
}

void build_u8(struct bytes *out, uint8_t value)
{
	bytes_append(out, &value, 1);
}

void build_u16(struct bytes *out, uint16_t value)
{
	const uint8_t raw[2] = { (uint8_t)(value >> 8), (uint8_t)value };

	bytes_append(out, raw, sizeof(raw));
}

void build_u32(struct bytes *out, uint32_t value)
{
	uint8_t raw[4];

	put_u32(raw, value);
	bytes_append(out, raw, sizeof(raw));
}

void build_string(struct bytes *out, const char *text)
{
	build_raw(out, text, strlen(text) + 1);
}

void build_raw(struct bytes *out, const void *data, size_t length)
{
	/* No message holds more; refused here, nothing is allocated for it. */
	if (length > FRAME_BODY_MAX)
		out->failed = true;
	else
		bytes_append(out, data, length);
}

/* A count of 16 bits, as before columns, values and types. */
static void build_count(struct bytes *out, size_t n)
{
	if (n > UINT16_MAX)
		out->failed = true;
	build_u16(out, (uint16_t)n);
}

/* A text whose length is known, and its NUL. */
static void build_text(struct bytes *out, const char *text, size_t length)
{
	build_raw(out, text, length);
	build_u8(out, 0);
}

/* --- backend messages --- */

void build_auth_request(struct bytes *out, uint32_t code, const void *data, size_t length)
{
	size_t mark = build_begin(out, MSG_B_AUTHENTICATION);

	build_u32(out, code);
	build_raw(out, data, length);
	build_end(out, mark);
}

void build_backend_key(struct bytes *out, uint32_t pid, const void *secret, size_t length)
{
	size_t mark = build_begin(out, MSG_B_BACKEND_KEY_DATA);

	build_u32(out, pid);
	build_raw(out, secret, length);
	build_end(out, mark);
}

void build_parameter_status(struct bytes *out, const char *name, const char *value)
{
	size_t mark = build_begin(out, MSG_B_PARAMETER_STATUS);

	build_string(out, name);
	build_string(out, value);
	build_end(out, mark);
}

void build_ready(struct bytes *out, uint8_t txn_status)
{
	size_t mark = build_begin(out, MSG_B_READY);

	build_u8(out, txn_status);
	build_end(out, mark);
}

void build_command_complete(struct bytes *out, const char *tag)
{
	size_t mark = build_begin(out, MSG_B_COMMAND_COMPLETE);

	build_string(out, tag);
	build_end(out, mark);
}

void build_empty(struct bytes *out, uint8_t type)
{
	build_end(out, build_begin(out, type));
}

/*
 * The manual calls the first field the newest minor version; PostgreSQL sends, and libpq
 * compares, the whole version number.
 */
void build_negotiate_version(struct bytes *out, uint32_t newest_minor,
			     const char *const *unknown_options, size_t n_unknown)
{
	size_t mark = build_begin(out, MSG_B_NEGOTIATE_VERSION);

	build_u32(out, PROTOCOL_3 | newest_minor);
	build_u32(out, (uint32_t)n_unknown);
	for (size_t i = 0; i < n_unknown; i++)
		build_string(out, unknown_options[i]);
	build_end(out, mark);
}

/* One field of an error or notice; absent when there is no text for it. */
static void build_field(struct bytes *out, uint8_t code, const char *text)
{
	if (text == NULL)
		return;
	build_u8(out, code);
	build_string(out, text);
}

/* S may be translated by a server, V never is: we have one language, so they are equal. */
static void build_report(struct bytes *out, uint8_t type, const char *severity,
			 const char *sqlstate, const char *message, const char *detail,
			 const char *hint)
{
	size_t mark = build_begin(out, type);

	build_field(out, 'S', severity);
	build_field(out, 'V', severity);
	build_field(out, 'C', sqlstate);
	build_field(out, 'M', message);
	build_field(out, 'D', detail);
	build_field(out, 'H', hint);
	build_u8(out, 0);
	build_end(out, mark);
}

void build_error(struct bytes *out, const char *severity, const char *sqlstate,
		 const char *message, const char *detail, const char *hint)
{
	build_report(out, MSG_B_ERROR, severity, sqlstate, message, detail, hint);
}

void build_notice(struct bytes *out, const char *severity, const char *sqlstate,
		  const char *message, const char *detail, const char *hint)
{
	build_report(out, MSG_B_NOTICE, severity, sqlstate, message, detail, hint);
}

/* pg_type.typlen of the types that a column of ours can have; -1: of variable length. */
static uint16_t type_length(uint32_t type_oid)
{
	switch (type_oid) {
	case OID_BOOL: return 1;
	case OID_INT4: return 4;
	case OID_INT8: return 8;
	default: return (uint16_t)-1;
	}
}

static void build_column(struct bytes *out, const struct build_column *column)
{
	build_string(out, column->name);
	build_u32(out, 0); /* of no table, */
	build_u16(out, 0); /* so no column number either */
	build_u32(out, column->type_oid);
	build_u16(out, type_length(column->type_oid));
	build_u32(out, UINT32_MAX); /* type modifier -1: none */
	build_u16(out, 0);          /* as text */
}

void build_row_description(struct bytes *out, const struct build_column *columns, size_t n)
{
	size_t mark = build_begin(out, MSG_B_ROW_DESCRIPTION);

	build_count(out, n);
	for (size_t i = 0; i < n && !out->failed; i++)
		build_column(out, &columns[i]);
	build_end(out, mark);
}

static void build_value(struct bytes *out, const char *value)
{
	size_t length;

	if (value == NULL) {
		build_u32(out, UINT32_MAX); /* length -1: NULL */
		return;
	}
	length = strlen(value);
	build_u32(out, (uint32_t)length);
	build_raw(out, value, length);
}

void build_data_row(struct bytes *out, const char *const *values, size_t n)
{
	size_t mark = build_begin(out, MSG_B_DATA_ROW);

	build_count(out, n);
	for (size_t i = 0; i < n && !out->failed; i++)
		build_value(out, values[i]);
	build_end(out, mark);
}

/* --- frontend messages --- */

void build_startup(struct bytes *out, uint16_t minor, const char *const *params, size_t n_pairs)
{
	size_t mark = build_begin_untyped(out);

	build_u32(out, PROTOCOL_3 | minor);
	for (size_t i = 0; i < 2 * n_pairs; i++)
		build_string(out, params[i]);
	build_u8(out, 0);
	build_end(out, mark);
}

void build_query(struct bytes *out, const char *sql, size_t length)
{
	size_t mark = build_begin(out, MSG_F_QUERY);

	build_text(out, sql, length);
	build_end(out, mark);
}

void build_password(struct bytes *out, const char *password)
{
	size_t mark = build_begin(out, MSG_F_PASSWORD);

	build_string(out, password);
	build_end(out, mark);
}

void build_sasl_initial(struct bytes *out, const char *mechanism, const void *data, size_t length)
{
	size_t mark = build_begin(out, MSG_F_PASSWORD);

	build_string(out, mechanism);
	/* No data at all (-1) is told apart from empty data (0). */
	build_u32(out, data != NULL ? (uint32_t)length : UINT32_MAX);
	if (data != NULL)
		build_raw(out, data, length);
	build_end(out, mark);
}

void build_sasl_response(struct bytes *out, const void *data, size_t length)
{
	size_t mark = build_begin(out, MSG_F_PASSWORD);

	build_raw(out, data, length);
	build_end(out, mark);
}

void build_ssl_request(struct bytes *out)
{
	size_t mark = build_begin_untyped(out);

	build_u32(out, SSL_REQUEST_CODE);
	build_end(out, mark);
}

void build_cancel_request(struct bytes *out, uint32_t pid, const void *secret, size_t length)
{
	size_t mark = build_begin_untyped(out);

	build_u32(out, CANCEL_REQUEST_CODE);
	build_u32(out, pid);
	build_raw(out, secret, length);
	build_end(out, mark);
}

void build_parse(struct bytes *out, const char *name, const char *sql, size_t sql_length,
		 const uint32_t *types, size_t n_types)
{
	size_t mark = build_begin(out, MSG_F_PARSE);

	build_string(out, name);
	build_text(out, sql, sql_length);
	build_count(out, n_types);
	for (size_t i = 0; i < n_types && !out->failed; i++)
		build_u32(out, types[i]);
	build_end(out, mark);
}
