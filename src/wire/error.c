/*
 * Reads ErrorResponse and NoticeResponse. A server is not trusted to send well-formed ones
 * whatever comes, every member is a string that can be printed and compared.
 * Pure; any thread.
 */

#include "wire/error.h"

#include <string.h>

#include "wire/cursor.h"

#define SQLSTATE_LENGTH 5

/* The texts as found; NULL while a field has not been seen, so that its first counts. */
struct found {
	const char *translated_severity;
	const char *severity;
	const char *sqlstate;
	const char *message;
	const char *detail;
	const char *hint;
};

static void keep_first(const char **member, const char *text)
{
	if (*member == NULL)
		*member = text;
}

static void take_field(struct found *found, uint8_t code, const char *text)
{
	switch (code) {
	case 'S': keep_first(&found->translated_severity, text); break;
	case 'V': keep_first(&found->severity, text); break;
	case 'C': keep_first(&found->sqlstate, text); break;
	case 'M': keep_first(&found->message, text); break;
	case 'D': keep_first(&found->detail, text); break;
	case 'H': keep_first(&found->hint, text); break;
	default: break; /* "Frontends should silently ignore fields of unrecognized type." */
	}
}

static const char *or_empty(const char *text)
{
	return text != NULL ? text : "";
}

static void fill(const struct found *found, struct wire_error *out)
{
	const char *sqlstate = or_empty(found->sqlstate);

	if (strlen(sqlstate) != SQLSTATE_LENGTH)
		sqlstate = "XX000"; /* internal_error */
	memcpy(out->sqlstate, sqlstate, SQLSTATE_LENGTH + 1);
	out->severity =
		or_empty(found->severity != NULL ? found->severity : found->translated_severity);
	out->message = or_empty(found->message);
	out->detail = or_empty(found->detail);
	out->hint = or_empty(found->hint);
}

bool wire_error_parse(const uint8_t *body, size_t length, struct wire_error *out)
{
	struct found found = { 0 };
	struct cursor c;
	uint8_t code;

	cursor_init(&c, body, length);
	while ((code = cursor_u8(&c)) != 0) {
		const char *text = cursor_string(&c);

		if (!c.failed)
			take_field(&found, code, text);
	}
	fill(&found, out);
	return cursor_done(&c);
}
