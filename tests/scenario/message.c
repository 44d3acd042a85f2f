/*
 * Protocol messages as texts, both ways, by a table of names and shapes. For tests only: input
 * that is built may be wrong on purpose, input that is read comes from the code under test.
 */
#include "message.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "wire/build.h"
#include "wire/cursor.h"
#include "wire/message.h"

/*
 * The letters of a shape, one argument each unless said otherwise:
 *   s string with its NUL   c one byte   i int32   h int16   b the rest, as it is
 *   V all further arguments: values of a row, NULL for none
 *   P the same between format codes, as in Bind
 *   O all further arguments: a count and OIDs
 *   R all further arguments: columns of a RowDescription
 *   C what follows in a COPY response
 *   k the secret of a cancel key: a number of four bytes, or all bytes as text
 *   E SQLSTATE and text of an error; the word before E is its severity
 */
struct shape {
	const char *name;
	enum direction direction;
	uint8_t type;
	const char *fields;
	int code; /* of an authentication request; -1: none */
};

static const struct shape shapes[] = {
	{ "Bind", FROM_CLIENT, MSG_F_BIND, "ssP", -1 },
	{ "Close", FROM_CLIENT, MSG_F_CLOSE, "cs", -1 },
	{ "CopyData", FROM_CLIENT, MSG_F_COPY_DATA, "b", -1 },
	{ "CopyDone", FROM_CLIENT, MSG_F_COPY_DONE, "", -1 },
	{ "CopyFail", FROM_CLIENT, MSG_F_COPY_FAIL, "s", -1 },
	{ "Describe", FROM_CLIENT, MSG_F_DESCRIBE, "cs", -1 },
	{ "Execute", FROM_CLIENT, MSG_F_EXECUTE, "si", -1 },
	{ "Flush", FROM_CLIENT, MSG_F_FLUSH, "", -1 },
	{ "FunctionCall", FROM_CLIENT, MSG_F_FUNCTION_CALL, "b", -1 },
	{ "Parse", FROM_CLIENT, MSG_F_PARSE, "ssO", -1 },
	{ "Password", FROM_CLIENT, MSG_F_PASSWORD, "s", -1 },
	{ "Query", FROM_CLIENT, MSG_F_QUERY, "s", -1 },
	{ "Sync", FROM_CLIENT, MSG_F_SYNC, "", -1 },
	{ "Terminate", FROM_CLIENT, MSG_F_TERMINATE, "", -1 },

	{ "AuthenticationOk", FROM_SERVER, 'R', "", AUTH_REQ_OK },
	{ "AuthenticationPassword", FROM_SERVER, 'R', "", AUTH_REQ_PASSWORD },
	{ "AuthenticationMD5", FROM_SERVER, 'R', "b", AUTH_REQ_MD5 },
	{ "AuthenticationSASL", FROM_SERVER, 'R', "b", AUTH_REQ_SASL },
	{ "AuthenticationSASLContinue", FROM_SERVER, 'R', "b", AUTH_REQ_SASL_CONTINUE },
	{ "AuthenticationSASLFinal", FROM_SERVER, 'R', "b", AUTH_REQ_SASL_FINAL },
	{ "BindComplete", FROM_SERVER, MSG_B_BIND_COMPLETE, "", -1 },
	{ "CloseComplete", FROM_SERVER, MSG_B_CLOSE_COMPLETE, "", -1 },
	{ "CommandComplete", FROM_SERVER, MSG_B_COMMAND_COMPLETE, "s", -1 },
	{ "CopyBoth", FROM_SERVER, MSG_B_COPY_BOTH, "C", -1 },
	{ "CopyData", FROM_SERVER, MSG_B_COPY_DATA, "b", -1 },
	{ "CopyDone", FROM_SERVER, MSG_B_COPY_DONE, "", -1 },
	{ "CopyIn", FROM_SERVER, MSG_B_COPY_IN, "C", -1 },
	{ "CopyOut", FROM_SERVER, MSG_B_COPY_OUT, "C", -1 },
	{ "DataRow", FROM_SERVER, MSG_B_DATA_ROW, "V", -1 },
	{ "EmptyQuery", FROM_SERVER, MSG_B_EMPTY_QUERY, "", -1 },
	{ "Error", FROM_SERVER, MSG_B_ERROR, "E", -1 },
	{ "Fatal", FROM_SERVER, MSG_B_ERROR, "E", -1 },
	{ "FunctionResult", FROM_SERVER, MSG_B_FUNCTION_RESULT, "b", -1 },
	{ "KeyData", FROM_SERVER, MSG_B_BACKEND_KEY_DATA, "ik", -1 },
	{ "Negotiate", FROM_SERVER, MSG_B_NEGOTIATE_VERSION, "b", -1 },
	{ "NoData", FROM_SERVER, MSG_B_NO_DATA, "", -1 },
	{ "Notice", FROM_SERVER, MSG_B_NOTICE, "E", -1 },
	{ "Notification", FROM_SERVER, MSG_B_NOTIFICATION, "iss", -1 },
	{ "ParameterDescription", FROM_SERVER, MSG_B_PARAMETER_DESCRIPTION, "O", -1 },
	{ "ParameterStatus", FROM_SERVER, MSG_B_PARAMETER_STATUS, "ss", -1 },
	{ "ParseComplete", FROM_SERVER, MSG_B_PARSE_COMPLETE, "", -1 },
	{ "PortalSuspended", FROM_SERVER, MSG_B_PORTAL_SUSPENDED, "", -1 },
	{ "Ready", FROM_SERVER, MSG_B_READY, "c", -1 },
	{ "RowDescription", FROM_SERVER, MSG_B_ROW_DESCRIPTION, "R", -1 },
};

#define SHAPE_COUNT (sizeof(shapes) / sizeof(shapes[0]))

/* --- texts --- */

static void escape(struct bytes *out, const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (data[i] == '\\')
			bytes_append_text(out, "\\\\");
		else if (isprint(data[i]))
			bytes_append(out, &data[i], 1);
		else
			bytes_printf(out, "\\x%02x", data[i]);
	}
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

uint8_t *message_unescape(const char *text, size_t *length_out)
{
	uint8_t *bytes = malloc(strlen(text) + 1);
	size_t n = 0;

	ASSERT(bytes);
	for (const char *c = text; *c; c++) {
		if (*c != '\\') {
			bytes[n++] = (uint8_t)*c;
		} else if (c[1] == 'x' && isxdigit((unsigned char)c[2]) &&
			   isxdigit((unsigned char)c[3])) {
			bytes[n++] = (uint8_t)(hex_digit(c[2]) << 4 | hex_digit(c[3]));
			c += 3;
		} else if (c[1]) {
			bytes[n++] = (uint8_t)(*++c == 'n' ? '\n' : *c);
		}
	}
	bytes[n] = 0;
	*length_out = n;
	return bytes;
}

void message_add(struct message *message, const void *data, size_t length)
{
	struct bytes text = { 0 };

	if (message->n_args == MESSAGE_ARGS_MAX)
		return;
	escape(&text, data, length);
	bytes_append(&text, "", 1);
	message->args[message->n_args] = strdup((const char *)bytes_begin(&text));
	ASSERT(message->args[message->n_args]);
	message->n_args++;
	bytes_free(&text);
}

void message_add_text(struct message *message, const char *text)
{
	message_add(message, text, strlen(text));
}

void message_free(struct message *message)
{
	for (size_t i = 0; i < message->n_args; i++)
		free(message->args[i]);
	memset(message, 0, sizeof(*message));
}

char *message_text(const struct message *message)
{
	struct bytes text = { 0 };
	char *result;

	bytes_append_text(&text, message->name);
	for (size_t i = 0; i < message->n_args; i++) {
		size_t length = strlen(message->args[i]);

		if (length > 400)
			bytes_printf(&text, " \"%.300s...\" (%zu)", message->args[i], length);
		else
			bytes_printf(&text, " \"%s\"", message->args[i]);
	}
	bytes_append(&text, "", 1);
	result = strdup((const char *)bytes_begin(&text));
	ASSERT(result);
	bytes_free(&text);
	return result;
}

/* --- building --- */

static const struct shape *find_shape(const char *name, enum direction direction)
{
	for (size_t i = 0; i < SHAPE_COUNT; i++) {
		if (shapes[i].direction == direction && strcmp(shapes[i].name, name) == 0)
			return &shapes[i];
	}
	return NULL;
}

static const char *arg(const struct message *message, size_t index)
{
	return index < message->n_args ? message->args[index] : "";
}

static void put_raw(struct bytes *out, const char *text)
{
	size_t length;
	uint8_t *bytes = message_unescape(text, &length);

	build_raw(out, bytes, length);
	free(bytes);
}

static void put_string(struct bytes *out, const char *text)
{
	put_raw(out, text);
	build_u8(out, 0);
}

/* The secret of a cancel key; a longer or shorter one than usual is a text. */
static bool is_key_number(const char *text)
{
	return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0';
}

static void put_key(struct bytes *out, const char *text)
{
	if (is_key_number(text))
		build_u32(out, (uint32_t)strtoul(text, NULL, 10));
	else
		put_raw(out, text);
}

static void put_value(struct bytes *out, const char *text)
{
	size_t length;
	uint8_t *bytes;

	if (strcmp(text, "NULL") == 0) {
		build_u32(out, UINT32_MAX);
		return;
	}
	bytes = message_unescape(text, &length);
	build_u32(out, (uint32_t)length);
	build_raw(out, bytes, length);
	free(bytes);
}

static void put_column(struct bytes *out, const char *name)
{
	put_string(out, name);
	build_u32(out, 0);
	build_u16(out, 0);
	build_u32(out, OID_TEXT);
	build_u16(out, UINT16_MAX);
	build_u32(out, UINT32_MAX);
	build_u16(out, 0);
}

static void put_error(struct bytes *out, const struct message *message)
{
	const char *severity = strcmp(message->name, "Fatal") == 0    ? "FATAL"
			       : strcmp(message->name, "Notice") == 0 ? "NOTICE"
								      : "ERROR";
	const char *sqlstate = arg(message, 0);

	build_u8(out, 'S');
	put_string(out, severity);
	build_u8(out, 'V');
	put_string(out, severity);
	if (strcmp(sqlstate, "none") != 0) {
		build_u8(out, 'C');
		put_string(out, sqlstate);
	}
	build_u8(out, 'M');
	put_string(out, arg(message, 1));
	for (size_t i = 2; i < message->n_args; i++) /* further fields, "Pnumber" */
		put_string(out, arg(message, i));
	build_u8(out, 0);
}

/* What takes all further arguments. */
static void put_list(struct bytes *out, char shape, const struct message *message, size_t at)
{
	size_t n = message->n_args > at ? message->n_args - at : 0;

	if (shape == 'P')
		build_u16(out, 0);
	build_u16(out, (uint16_t)n);
	for (size_t i = at; i < message->n_args; i++) {
		if (shape == 'R')
			put_column(out, message->args[i]);
		else if (shape == 'O')
			build_u32(out, (uint32_t)strtoul(message->args[i], NULL, 0));
		else
			put_value(out, message->args[i]);
	}
	if (shape == 'P')
		build_u16(out, 0);
}

static void put_field(struct bytes *out, char shape, const struct message *message, size_t at)
{
	const char *text = arg(message, at);

	switch (shape) {
	case 's': put_string(out, text); break;
	case 'c': build_u8(out, (uint8_t)text[0]); break;
	case 'i': build_u32(out, (uint32_t)strtoul(text, NULL, 0)); break;
	case 'h': build_u16(out, (uint16_t)strtoul(text, NULL, 0)); break;
	case 'b': put_raw(out, text); break;
	case 'k': put_key(out, text); break;
	case 'E': put_error(out, message); break;
	case 'C':
		build_u8(out, 0);
		build_u16(out, 1);
		build_u16(out, 0);
		break;
	default: put_list(out, shape, message, at);
	}
}

static size_t parameter_pair(struct bytes *out, const char *text)
{
	const char *equals = strchr(text, '=');

	ASSERT(equals);
	build_raw(out, text, (size_t)(equals - text));
	build_u8(out, 0);
	put_string(out, equals + 1);
	return 1;
}

/* What opens a connection, and what has no frame. */
static bool build_untyped(const struct message *message, struct bytes *out)
{
	size_t mark;

	if (strcmp(message->name, "Raw") == 0) {
		for (size_t i = 0; i < message->n_args; i++)
			put_raw(out, message->args[i]);
		return true;
	}
	if (strcmp(message->name, "CancelRequest") == 0) {
		struct bytes secret = { 0 };

		put_key(&secret, arg(message, 1));
		build_cancel_request(out, (uint32_t)strtoul(arg(message, 0), NULL, 0),
				     bytes_begin(&secret), bytes_length(&secret));
		bytes_free(&secret);
		return true;
	}
	mark = build_begin_untyped(out);
	if (strcmp(message->name, "SSLRequest") == 0) {
		build_u32(out, 80877103);
	} else if (strcmp(message->name, "GSSENCRequest") == 0) {
		build_u32(out, 80877104);
	} else if (strcmp(message->name, "Startup") == 0) {
		size_t first = strncmp(arg(message, 0), "3.", 2) == 0;

		build_u32(out, 3 << 16 | (first ? (uint32_t)atoi(message->args[0] + 2) : 0));
		for (size_t i = first; i < message->n_args; i++)
			parameter_pair(out, message->args[i]);
		build_u8(out, 0);
	} else {
		return false;
	}
	build_end(out, mark);
	return true;
}

bool message_build(const struct message *message, enum direction direction, struct bytes *out)
{
	const struct shape *shape = find_shape(message->name, direction);
	struct bytes body = { 0 };
	bool done = true;

	if (!shape) {
		done = build_untyped(message, &body);
	} else {
		size_t mark = build_begin(&body, shape->type);

		if (shape->code >= 0)
			build_u32(&body, (uint32_t)shape->code);
		for (size_t i = 0; shape->fields[i]; i++)
			put_field(&body, shape->fields[i], message, i);
		build_end(&body, mark);
	}
	ASSERT(!body.failed);
	if (done)
		bytes_append(out, bytes_begin(&body), bytes_length(&body));
	bytes_free(&body);
	return done;
}

/* --- reading --- */

static void add_number(struct message *message, long long value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", value);
	message_add_text(message, text);
}

static void read_key(struct message *out, struct cursor *c)
{
	size_t length = cursor_left(c);

	if (length == 4)
		add_number(out, cursor_u32(c));
	else
		message_add(out, c->at, length);
	cursor_bytes(c, cursor_left(c));
}

static void read_error(struct message *out, struct cursor *c)
{
	const char *sqlstate = "none";
	const char *text = "";
	const char *severity = "";
	uint8_t code;

	while ((code = cursor_u8(c)) != 0) {
		const char *value = cursor_string(c);

		if (code == 'C')
			sqlstate = value;
		else if (code == 'M')
			text = value;
		else if (code == 'S')
			severity = value;
	}
	if (strcmp(out->name, "Error") == 0 && strcmp(severity, "ERROR") != 0)
		strcpy(out->name, "Fatal");
	message_add_text(out, sqlstate);
	message_add_text(out, text);
}

static void read_value(struct message *out, struct cursor *c)
{
	uint32_t length = cursor_u32(c);

	if (length == UINT32_MAX)
		message_add_text(out, "NULL");
	else
		message_add(out, c->at, length <= cursor_left(c) ? length : 0);
	if (length != UINT32_MAX)
		cursor_bytes(c, length);
}

static void read_list(struct message *out, char shape, struct cursor *c)
{
	unsigned n;

	if (shape == 'P')
		for (unsigned formats = cursor_u16(c); formats > 0 && !c->failed; formats--)
			cursor_u16(c);
	n = cursor_u16(c);
	for (unsigned i = 0; i < n && !c->failed; i++) {
		if (shape == 'O') {
			add_number(out, cursor_u32(c));
		} else if (shape == 'R') {
			message_add_text(out, cursor_string(c));
			cursor_bytes(c, 18);
		} else {
			read_value(out, c);
		}
	}
	if (shape == 'P')
		cursor_bytes(c, cursor_left(c));
}

static void read_field(struct message *out, char shape, struct cursor *c)
{
	uint8_t byte;

	switch (shape) {
	case 's': message_add_text(out, cursor_string(c)); break;
	case 'c':
		byte = cursor_u8(c);
		message_add(out, &byte, 1);
		break;
	case 'i': add_number(out, cursor_u32(c)); break;
	case 'h': add_number(out, cursor_u16(c)); break;
	case 'C':
	case 'b':
		if (shape == 'b')
			message_add(out, c->at, cursor_left(c));
		cursor_bytes(c, cursor_left(c));
		break;
	case 'k': read_key(out, c); break;
	case 'E': read_error(out, c); break;
	default: read_list(out, shape, c);
	}
}

static const struct shape *shape_of(const uint8_t *data, size_t length, enum direction direction)
{
	for (size_t i = 0; i < SHAPE_COUNT; i++) {
		const struct shape *shape = &shapes[i];
		uint32_t code;

		if (shape->direction != direction || shape->type != data[0])
			continue;
		if (shape->code < 0)
			return shape;
		if (length < 9)
			return NULL;
		memcpy(&code, data + 5, sizeof(code));
		if (ntohl(code) == (uint32_t)shape->code)
			return shape;
	}
	return NULL;
}

static bool read_garbage(const uint8_t *data, size_t length, struct message *out)
{
	strcpy(out->name, "Garbage");
	message_add(out, data, length);
	out->size = length;
	return true;
}

static void read_opening(struct cursor *c, struct message *out)
{
	uint32_t code = cursor_u32(c);
	char version[16];

	if (code == 80877102) {
		strcpy(out->name, "CancelRequest");
		add_number(out, cursor_u32(c));
		read_key(out, c);
		return;
	}
	if (code == 80877103) {
		strcpy(out->name, "SSLRequest");
		return;
	}
	strcpy(out->name, "Startup");
	while (cursor_left(c) > 1 && !c->failed) {
		char pair[256];
		const char *name = cursor_string(c);

		snprintf(pair, sizeof(pair), "%.100s=%.150s", name, cursor_string(c));
		message_add_text(out, pair);
	}
	snprintf(version, sizeof(version), "3.%u", code & 0xffff);
	message_add_text(out, version);
}

bool message_read(const uint8_t *data, size_t length, enum direction direction, bool is_untyped,
		  struct message *out)
{
	size_t header = is_untyped ? 4 : 5;
	const struct shape *shape;
	struct cursor c;
	uint32_t size;

	memset(out, 0, sizeof(*out));
	if (length < header)
		return false;
	memcpy(&size, data + header - 4, sizeof(size));
	size = ntohl(size);
	if (size < 4 || size > (1u << 30))
		return read_garbage(data, length, out);
	if (length - (header - 4) < size)
		return false;
	out->size = size + header - 4;
	cursor_init(&c, data + header, size - 4);
	if (is_untyped) {
		read_opening(&c, out);
		return true;
	}
	shape = shape_of(data, length, direction);
	if (!shape)
		return read_garbage(data, out->size, out);
	strcpy(out->name, shape->name);
	out->type = shape->type;
	if (shape->code >= 0)
		cursor_u32(&c);
	for (size_t i = 0; shape->fields[i]; i++)
		read_field(out, shape->fields[i], &c);
	if (!cursor_done(&c))
		strcpy(out->name, "Malformed");
	return true;
}
