/*
 * The spelling of hints: keys, values, and the three forms of comment that carry them. What a
 * hint does is decided in route; how long it lives, in session. Pure; any thread.
 */
#include "sql/hint.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/panic.h"

/* Longest key and value that are looked at; a longer one is malformed. */
#define KEY_MAX   32
#define VALUE_MAX 128

/* As PostgreSQL's own durations: 2^31 - 1 milliseconds. */
#define DURATION_MAX (INT64_C(2147483647) * USEC_PER_MS)

static const char *const key_names[] = {
	[HINT_READ_HINT] = "read_hint",     [HINT_MAX_STALENESS] = "max_staleness",
	[HINT_DEADLINE] = "deadline",       [HINT_ROUTE] = "route",
	[HINT_CONSISTENCY] = "consistency", [HINT_AFTER_LSN] = "after_lsn",
	[HINT_TRACEPARENT] = "traceparent", [HINT_MIRROR] = "mirror",
};

const char *hint_key_name(enum hint_key key)
{
	ASSERT(key >= 0 && key < HINT_KEY_COUNT);
	return key_names[key];
}

const char *read_hint_name(enum read_hint hint)
{
	switch (hint) {
	case READ_HINT_NONE: return "none";
	case READ_HINT_PRIMARY: return "primary";
	case READ_HINT_REPLICA: return "replica";
	case READ_HINT_STALE_ALLOWED: return "stale-allowed";
	}
	UNREACHABLE();
}

const char *consistency_name(enum consistency consistency)
{
	switch (consistency) {
	case CONSISTENCY_NONE: return "none";
	case CONSISTENCY_SESSION: return "session";
	case CONSISTENCY_EVENTUAL: return "eventual";
	case CONSISTENCY_STRONG: return "strong";
	}
	UNREACHABLE();
}

/* --- text --- */

static bool is_blank(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Value of a hexadecimal digit in any case, or -1. */
static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct span {
	const char *at;
	size_t length;
};

static struct span trim(const char *at, size_t length)
{
	while (length && is_blank(*at)) {
		at++;
		length--;
	}
	while (length && is_blank(at[length - 1]))
		length--;
	return (struct span){ at, length };
}

/* Copies in lower case; false when it does not fit. */
static bool copy_lower(char *out, size_t size, struct span from)
{
	if (from.length >= size || memchr(from.at, '\0', from.length))
		return false;
	for (size_t i = 0; i < from.length; i++) {
		char c = from.at[i];

		out[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
	}
	out[from.length] = '\0';
	return true;
}

__attribute__((format(printf, 3, 4))) static void explain(char *why_out, size_t why_size,
							  const char *format, ...)
{
	va_list args;

	if (!why_size)
		return;
	va_start(args, format);
	vsnprintf(why_out, why_size, format, args);
	va_end(args);
}

/* What a client sent, made fit for a message: short and printable. */
struct shown {
	char text[44];
};

static struct shown show(const char *at, size_t length)
{
	struct shown shown;
	size_t n = length < 40 ? length : 40;

	for (size_t i = 0; i < n; i++)
		shown.text[i] = at[i] >= ' ' && at[i] <= '~' ? at[i] : '?';
	strcpy(shown.text + n, length > n ? "..." : "");
	return shown;
}

/* --- values, trimmed and in lower case --- */

bool read_hint_parse(const char *text, enum read_hint *out)
{
	char value[VALUE_MAX];

	if (!copy_lower(value, sizeof(value), trim(text, strlen(text))))
		return false;
	if (strcmp(value, "primary") == 0)
		*out = READ_HINT_PRIMARY;
	else if (strcmp(value, "replica") == 0)
		*out = READ_HINT_REPLICA;
	else if (strcmp(value, "stale-allowed") == 0 || strcmp(value, "stale_allowed") == 0)
		*out = READ_HINT_STALE_ALLOWED;
	else
		return false;
	return true;
}

bool consistency_parse(const char *text, enum consistency *out)
{
	char value[VALUE_MAX];

	if (!copy_lower(value, sizeof(value), trim(text, strlen(text))))
		return false;
	if (strcmp(value, "session") == 0)
		*out = CONSISTENCY_SESSION;
	else if (strcmp(value, "eventual") == 0)
		*out = CONSISTENCY_EVENTUAL;
	else if (strcmp(value, "strong") == 0)
		*out = CONSISTENCY_STRONG;
	else
		return false;
	return true;
}

/* Microseconds in one unit; 0 for a word that is none. No unit: milliseconds. */
static usec unit_of(const char *unit)
{
	static const struct {
		const char *name;
		usec length;
	} units[] = {
		{ "", USEC_PER_MS },           { "us", 1 },
		{ "ms", USEC_PER_MS },         { "s", USEC_PER_SEC },
		{ "min", 60 * USEC_PER_SEC },  { "h", 3600 * USEC_PER_SEC },
		{ "d", 86400 * USEC_PER_SEC },
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(unit, units[i].name) == 0)
			return units[i].length;
	}
	return 0;
}

/* "250ms", "1.5 s", "1min", "300". */
static bool parse_duration(const char *text, usec *out)
{
	const char *p = text;
	usec whole = 0, fraction = 0, scale = 1, unit;

	if (!is_digit(*p))
		return false;
	for (; is_digit(*p); p++) {
		whole = whole * 10 + (*p - '0');
		if (whole > DURATION_MAX)
			return false;
	}
	if (*p == '.') {
		for (p++; is_digit(*p); p++) {
			if (scale < 1000000) {
				fraction = fraction * 10 + (*p - '0');
				scale *= 10;
			}
		}
	}
	while (is_blank(*p))
		p++;
	unit = unit_of(p);
	if (!unit || whole > DURATION_MAX / unit)
		return false;
	*out = whole * unit + fraction * unit / scale;
	return *out <= DURATION_MAX;
}

/* 1 to 8 hexadecimal digits. */
static const char *parse_hex32(const char *p, uint32_t *out)
{
	size_t digits = 0;

	*out = 0;
	for (; hex_value(*p) >= 0 && digits < 8; p++, digits++)
		*out = *out << 4 | (uint32_t)hex_value(*p);
	return digits ? p : NULL;
}

/* pg_lsn: "16/B374D848". */
static bool parse_lsn(const char *text, unsigned long long *out)
{
	uint32_t high, low;
	const char *p = parse_hex32(text, &high);

	if (!p || *p != '/')
		return false;
	p = parse_hex32(p + 1, &low);
	if (!p || *p)
		return false;
	*out = (unsigned long long)high << 32 | low;
	return true;
}

/* A tag: printable, without what separates or quotes. */
static bool parse_route(const char *text, char out[HINT_ROUTE_MAX])
{
	size_t length = strlen(text);

	if (!length || length >= HINT_ROUTE_MAX)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (text[i] <= ' ' || text[i] > '~' || strchr("'\",;\\=", text[i]))
			return false;
	}
	memcpy(out, text, length + 1);
	return true;
}

/* `length` hexadecimal digits, not all zero unless may_be_zero. */
static bool is_hex_field(const char *p, size_t length, bool may_be_zero)
{
	bool is_zero = true;

	for (size_t i = 0; i < length; i++) {
		if (hex_value(p[i]) < 0)
			return false;
		is_zero &= p[i] == '0';
	}
	return may_be_zero || !is_zero;
}

/* W3C Trace Context, section 3.2: version, trace-id, parent-id, flags. */
static bool parse_traceparent(const char *text, char out[HINT_TRACEPARENT_MAX])
{
	size_t length = strlen(text);

	if (length < 55 || text[2] != '-' || text[35] != '-' || text[52] != '-')
		return false;
	if (!is_hex_field(text, 2, true) || strncmp(text, "ff", 2) == 0)
		return false;
	if (!is_hex_field(text + 3, 32, false) || !is_hex_field(text + 36, 16, false) ||
	    !is_hex_field(text + 53, 2, true))
		return false;
	/* Later versions may append fields, which nobody knows yet. */
	if (length > 55 && (strncmp(text, "00", 2) == 0 || text[55] != '-'))
		return false;
	memcpy(out, text, 55);
	out[55] = '\0';
	return true;
}

static bool parse_mirror(const char *text, bool *off_out)
{
	if (strcmp(text, "off") != 0 && strcmp(text, "on") != 0)
		return false;
	*off_out = strcmp(text, "off") == 0;
	return true;
}

/* What a value of the key looks like, for messages. */
static const char *expected(enum hint_key key)
{
	switch (key) {
	case HINT_READ_HINT: return "primary, replica or stale-allowed";
	case HINT_MAX_STALENESS:
	case HINT_DEADLINE: return "a duration such as 250ms, 5s or 1min";
	case HINT_ROUTE: return "a tag of at most 63 characters";
	case HINT_CONSISTENCY: return "session, eventual or strong";
	case HINT_AFTER_LSN: return "an LSN such as 16/B374D848";
	case HINT_TRACEPARENT: return "a W3C traceparent";
	case HINT_MIRROR: return "on or off";
	case HINT_KEY_COUNT: break;
	}
	UNREACHABLE();
}

static bool parse_value(struct hints *hints, enum hint_key key, const char *value)
{
	switch (key) {
	case HINT_READ_HINT: return read_hint_parse(value, &hints->read_hint);
	case HINT_MAX_STALENESS: return parse_duration(value, &hints->max_staleness);
	case HINT_DEADLINE: return parse_duration(value, &hints->deadline);
	case HINT_ROUTE: return parse_route(value, hints->route);
	case HINT_CONSISTENCY: return consistency_parse(value, &hints->consistency);
	case HINT_AFTER_LSN: return parse_lsn(value, &hints->after_lsn);
	case HINT_TRACEPARENT: return parse_traceparent(value, hints->traceparent);
	case HINT_MIRROR: return parse_mirror(value, &hints->mirror_off);
	case HINT_KEY_COUNT: break;
	}
	UNREACHABLE();
}

/* --- keys --- */

/* HINT_KEY_COUNT when there is no such key. In headers a '-' stands for '_'. */
static enum hint_key find_key(struct span key, bool is_header)
{
	char name[KEY_MAX];

	if (!copy_lower(name, sizeof(name), trim(key.at, key.length)))
		return HINT_KEY_COUNT;
	for (char *p = name; is_header && *p; p++) {
		if (*p == '-')
			*p = '_';
	}
	for (int i = 0; i < HINT_KEY_COUNT; i++) {
		if (strcmp(name, key_names[i]) == 0)
			return (enum hint_key)i;
	}
	return HINT_KEY_COUNT;
}

static bool set_value(struct hints *hints, enum hint_key key, struct span value, char *why_out,
		      size_t why_size)
{
	char text[VALUE_MAX];

	value = trim(value.at, value.length);
	/* Parsers write to their field only when they accept. */
	if (!copy_lower(text, sizeof(text), value) || !parse_value(hints, key, text)) {
		explain(why_out, why_size, "%s: \"%s\" is not %s", key_names[key],
			show(value.at, value.length).text, expected(key));
		return false;
	}
	hints->set |= 1u << key;
	return true;
}

bool hint_set(struct hints *hints, const char *key, const char *value, char *why_out,
	      size_t why_size)
{
	enum hint_key found = find_key((struct span){ key, strlen(key) }, false);

	if (found == HINT_KEY_COUNT) {
		explain(why_out, why_size, "there is no hint \"%s\"",
			show(key, strlen(key)).text);
		return false;
	}
	return set_value(hints, found, (struct span){ value, strlen(value) }, why_out, why_size);
}

bool hint_unset(struct hints *hints, const char *key)
{
	enum hint_key found = find_key((struct span){ key, strlen(key) }, false);

	if (found == HINT_KEY_COUNT)
		return false;
	hints->set &= ~(1u << found);
	return true;
}

void hint_merge(struct hints *hints, const struct hints *weaker)
{
	unsigned take = weaker->set & ~hints->set;

	if (take & 1u << HINT_READ_HINT)
		hints->read_hint = weaker->read_hint;
	if (take & 1u << HINT_MAX_STALENESS)
		hints->max_staleness = weaker->max_staleness;
	if (take & 1u << HINT_DEADLINE)
		hints->deadline = weaker->deadline;
	if (take & 1u << HINT_ROUTE)
		memcpy(hints->route, weaker->route, sizeof(hints->route));
	if (take & 1u << HINT_CONSISTENCY)
		hints->consistency = weaker->consistency;
	if (take & 1u << HINT_AFTER_LSN)
		hints->after_lsn = weaker->after_lsn;
	if (take & 1u << HINT_TRACEPARENT)
		memcpy(hints->traceparent, weaker->traceparent, sizeof(hints->traceparent));
	if (take & 1u << HINT_MIRROR)
		hints->mirror_off = weaker->mirror_off;
	hints->set |= take;
}

/* --- comments --- */

/* One comment being read: the first complaint is kept. */
struct reading {
	struct hints *hints;
	char *why_out;
	size_t why_size;
	unsigned bad;
};

static void complain(struct reading *r, const char *text)
{
	if (r->bad++ == 0)
		explain(r->why_out, r->why_size, "%s", text);
}

static void read_value(struct reading *r, enum hint_key key, struct span value)
{
	char why[160];

	if (!set_value(r->hints, key, value, why, sizeof(why)))
		complain(r, why);
}

/* Cuts off what is in front of the first of `separators`; false at the end. */
static bool next_element(struct span *rest, const char *separators, struct span *out)
{
	size_t n = 0;

	if (!rest->at)
		return false;
	while (n < rest->length && !strchr(separators, rest->at[n]))
		n++;
	*out = trim(rest->at, n);
	if (n == rest->length) {
		rest->at = NULL;
	} else {
		rest->at += n + 1;
		rest->length -= n + 1;
	}
	return true;
}

/* "key=value" cut in two; false without a '='. */
static bool split_pair(struct span pair, struct span *key_out, struct span *value_out)
{
	const char *equals = pair.length ? memchr(pair.at, '=', pair.length) : NULL;

	if (!equals)
		return false;
	*key_out = trim(pair.at, (size_t)(equals - pair.at));
	*value_out = trim(equals + 1, (size_t)(pair.at + pair.length - equals - 1));
	return true;
}

/* 'x' and "x" to x. */
static struct span unquote(struct span value)
{
	if (value.length >= 2 && (*value.at == '\'' || *value.at == '"') &&
	    value.at[value.length - 1] == *value.at)
		return (struct span){ value.at + 1, value.length - 2 };
	return value;
}

/* pointsman: key=value, key='value' */
static void read_own(struct reading *r, struct span rest)
{
	struct span element, key, value;
	char why[160];

	while (next_element(&rest, ",;", &element)) {
		enum hint_key found;

		if (!element.length)
			continue;
		if (!split_pair(element, &key, &value)) {
			explain(why, sizeof(why), "\"%s\" is not key=value",
				show(element.at, element.length).text);
			complain(r, why);
			continue;
		}
		found = find_key(key, false);
		if (found == HINT_KEY_COUNT) {
			explain(why, sizeof(why), "there is no hint \"%s\"",
				show(key.at, key.length).text);
			complain(r, why);
			continue;
		}
		read_value(r, found, unquote(value));
	}
}

/* One part of x-db-route: a tag, read-preference=..., or any key with its value. */
static void read_db_route_part(struct reading *r, struct span element)
{
	struct span key, value;
	enum hint_key found;
	char why[160];
	char text[VALUE_MAX];
	enum read_hint hint;

	if (!split_pair(element, &key, &value)) {
		read_value(r, HINT_ROUTE, element);
		return;
	}
	if (key.length == 15 && strncasecmp(key.at, "read-preference", 15) == 0) {
		/* Both vocabularies are met: how fresh, and from where. */
		value = unquote(value);
		if (copy_lower(text, sizeof(text), value) && read_hint_parse(text, &hint))
			read_value(r, HINT_READ_HINT, value);
		else
			read_value(r, HINT_CONSISTENCY, value);
		return;
	}
	found = find_key(key, true);
	if (found == HINT_KEY_COUNT) {
		explain(why, sizeof(why), "x-db-route has no \"%s\"",
			show(key.at, key.length).text);
		complain(r, why);
		return;
	}
	read_value(r, found, unquote(value));
}

enum header {
	HEADER_NONE,
	HEADER_KEY,
	HEADER_DB_ROUTE
};

/*
 * "x-name: rest", of a name that is ours. Takes the name off the element.
 */
static enum header take_header(struct span *element, enum hint_key *key_out)
{
	const char *colon = element->length ? memchr(element->at, ':', element->length) : NULL;
	struct span name;
	enum header header = HEADER_KEY;

	if (!colon || element->length < 3 || strncasecmp(element->at, "x-", 2) != 0)
		return HEADER_NONE;
	name = trim(element->at + 2, (size_t)(colon - element->at - 2));
	if (name.length == 8 && strncasecmp(name.at, "db-route", 8) == 0)
		header = HEADER_DB_ROUTE;
	else if ((*key_out = find_key(name, true)) == HINT_KEY_COUNT)
		return HEADER_NONE;
	*element = trim(colon + 1, (size_t)(element->at + element->length - colon - 1));
	return header;
}

/* x-read-hint: primary; x-db-route: tenant-a,read-preference=strong */
static void read_headers(struct reading *r, struct span rest)
{
	struct span element;
	enum header current = HEADER_NONE;
	enum hint_key key = HINT_KEY_COUNT;

	while (next_element(&rest, ",;\n", &element)) {
		enum header header = take_header(&element, &key);

		if (header != HEADER_NONE)
			current = header;
		if (header == HEADER_KEY)
			read_value(r, key, unquote(element));
		else if (current == HEADER_DB_ROUTE && element.length)
			read_db_route_part(r, element);
		else if (element.length)
			complain(r, "a header's value must not contain a comma");
	}
}

/* %41 to A; the result is at most as long. false: a '%' without two digits, or too long. */
static bool url_decode(struct span from, char *out, size_t size, size_t *length_out)
{
	size_t n = 0;

	for (size_t i = 0; i < from.length; i++) {
		char c = from.at[i];

		if (n == size)
			return false;
		if (c == '%') {
			if (i + 2 >= from.length || hex_value(from.at[i + 1]) < 0 ||
			    hex_value(from.at[i + 2]) < 0)
				return false;
			c = (char)(hex_value(from.at[i + 1]) * 16 + hex_value(from.at[i + 2]));
			i += 2;
		} else if (c == '\\' && i + 1 < from.length) {
			c = from.at[++i];
		}
		out[n++] = c;
	}
	*length_out = n;
	return true;
}

/*
 * The next key='value' of the sqlcommenter form, the comma behind it included. false when the
 * text goes on in another way.
 */
static bool next_comment_pair(struct span *rest, struct span *key_out, struct span *value_out)
{
	struct span text = trim(rest->at, rest->length);
	size_t n = 0, from;

	while (n < text.length && text.at[n] != '=' && text.at[n] != '\'' && text.at[n] != ',')
		n++;
	if (n == 0 || n + 1 >= text.length || text.at[n] != '=')
		return false;
	*key_out = trim(text.at, n);
	for (from = n + 1; from < text.length && is_blank(text.at[from]); from++)
		;
	if (from >= text.length || text.at[from++] != '\'')
		return false;
	for (n = from; n < text.length && text.at[n] != '\''; n++) {
		if (text.at[n] == '\\')
			n++;
	}
	if (n >= text.length)
		return false;
	*value_out = (struct span){ text.at + from, n - from };
	*rest = trim(text.at + n + 1, text.length - n - 1);
	if (rest->length == 0)
		return true;
	if (*rest->at != ',')
		return false;
	*rest = trim(rest->at + 1, rest->length - 1);
	return rest->length > 0;
}

static bool is_sqlcommenter(struct span text)
{
	struct span key, value;

	while (text.length) {
		if (!next_comment_pair(&text, &key, &value))
			return false;
	}
	return true;
}

static void read_sqlcommenter_pair(struct reading *r, struct span key, struct span value)
{
	char name[KEY_MAX], text[VALUE_MAX], tag[HINT_ROUTE_MAX];
	size_t name_length, text_length;
	enum hint_key found;

	if (!url_decode(key, name, sizeof(name), &name_length))
		return;
	found = find_key((struct span){ name, name_length }, false);
	if (found == HINT_KEY_COUNT)
		return;
	if (!url_decode(value, text, sizeof(text), &text_length)) {
		text_length = value.length < sizeof(text) ? value.length : sizeof(text);
		memcpy(text, value.at, text_length);
	}
	/* Web frameworks write the pattern of their URL under this key; one that is no tag is
	 * theirs. */
	if (found == HINT_ROUTE) {
		char lower[VALUE_MAX];

		if (!copy_lower(lower, sizeof(lower), trim(text, text_length)) ||
		    !parse_route(lower, tag))
			return;
	}
	read_value(r, found, (struct span){ text, text_length });
}

static void read_sqlcommenter(struct reading *r, struct span text)
{
	struct span key, value;

	while (text.length && next_comment_pair(&text, &key, &value))
		read_sqlcommenter_pair(r, key, value);
}

unsigned hint_read_comment(struct hints *hints, const char *text, size_t length, char *why_out,
			   size_t why_size)
{
	static const char prefix[] = "pointsman:";
	struct reading r = { hints, why_out, why_size, 0 };
	struct span inside = trim(text, length);
	struct span first = inside;
	enum hint_key key;

	if (inside.length > sizeof(prefix) - 1 &&
	    strncasecmp(inside.at, prefix, sizeof(prefix) - 1) == 0) {
		inside.at += sizeof(prefix) - 1;
		inside.length -= sizeof(prefix) - 1;
		read_own(&r, inside);
	} else if (take_header(&first, &key) != HEADER_NONE) {
		read_headers(&r, inside);
	} else if (inside.length && is_sqlcommenter(inside)) {
		read_sqlcommenter(&r, inside);
	}
	return r.bad;
}
