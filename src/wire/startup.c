/*
 * The packets that open a connection, and the `options` parameter in one of them. Everything
 * here is read before anybody is authenticated: sizes are bounded first, nothing is allocated,
 * and every loop moves forward. What to answer (TLS or not, which minor version, who may come
 * in) is the session's business. Pure; any thread.
 */

#include "wire/startup.h"

#include <string.h>
#include <strings.h>

#include "base/panic.h"
#include "wire/cancel_key.h"
#include "wire/cursor.h"

/* Codes in the place of a version, made so that no version is ever equal to them. */
#define REQUEST_MAJOR 1234
#define CANCEL_MINOR  5678
#define SSL_MINOR     5679
#define GSS_MINOR     5680

#define LENGTH_BYTES 4
#define HEAD_BYTES   8 /* length and version: the least a packet can be */

/* The length field counts itself. Answers 0 when no packet can be that long. */
static size_t packet_size(const uint8_t *data)
{
	struct cursor c;
	uint32_t size;

	cursor_init(&c, data, LENGTH_BYTES);
	size = cursor_u32(&c);
	return size >= HEAD_BYTES && size <= STARTUP_PACKET_MAX ? size : 0;
}

static enum startup_kind bad(const char **error_out, const char *text)
{
	*error_out = text;
	return STARTUP_BAD;
}

static const char *non_empty(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

/* Returns NULL, or what is wrong. Where a name is repeated the last one counts. */
static const char *take_param(struct startup *out, const char *name, const char *value)
{
	if (strcmp(name, "user") == 0) {
		out->user = non_empty(value);
	} else if (strcmp(name, "database") == 0) {
		out->database = non_empty(value);
	} else if (strcmp(name, "options") == 0) {
		out->options = value;
	} else if (strcmp(name, "replication") == 0) {
		out->replication = value;
	} else if (strncmp(name, "_pq_.", 5) == 0) {
		if (out->n_unknown_pq == sizeof(out->unknown_pq) / sizeof(out->unknown_pq[0]))
			return "too many protocol options in startup packet";
		out->unknown_pq[out->n_unknown_pq++] = name;
	} else {
		if (out->n_params == STARTUP_PARAMS_MAX)
			return "too many parameters in startup packet";
		out->params[out->n_params++] = (struct startup_param){ name, value };
	}
	return NULL;
}

/* Pairs of name and value up to an empty name, which must be the packet's last byte. */
static enum startup_kind parse_session(struct cursor *c, struct startup *out,
				       const char **error_out)
{
	for (;;) {
		const char *name = cursor_string(c);
		const char *value;
		const char *wrong;

		if (c->failed || name[0] == '\0')
			break;
		value = cursor_string(c);
		if (c->failed)
			break;
		wrong = take_param(out, name, value);
		if (wrong != NULL)
			return bad(error_out, wrong);
	}
	if (!cursor_done(c))
		return bad(error_out, "invalid startup packet layout: expected terminator as "
				      "last byte");
	if (out->database == NULL)
		out->database = out->user;
	return STARTUP_SESSION;
}

static enum startup_kind parse_cancel(struct cursor *c, struct startup *out,
				      const char **error_out)
{
	out->cancel_pid = cursor_u32(c);
	out->cancel_key_length = cursor_left(c);
	out->cancel_key = cursor_bytes(c, out->cancel_key_length);
	if (out->cancel_key_length < CANCEL_SECRET_MIN ||
	    out->cancel_key_length > CANCEL_SECRET_MAX)
		return bad(error_out, "invalid length of cancel request packet");
	return STARTUP_CANCEL;
}

/* SSLRequest and GSSENCRequest have nothing behind their code. */
static enum startup_kind parse_encryption(const struct cursor *c, enum startup_kind kind,
					  const char **error_out)
{
	if (!cursor_done(c))
		return bad(error_out, "invalid length of encryption request packet");
	return kind;
}

static enum startup_kind parse_request(struct cursor *c, struct startup *out,
				       const char **error_out)
{
	switch (out->minor) {
	case CANCEL_MINOR: return parse_cancel(c, out, error_out);
	case SSL_MINOR: return parse_encryption(c, STARTUP_SSL, error_out);
	case GSS_MINOR: return parse_encryption(c, STARTUP_GSS, error_out);
	default: return STARTUP_OTHER_PROTOCOL;
	}
}

enum startup_kind startup_parse(const uint8_t *data, size_t length, struct startup *out,
				const char **error_out)
{
	struct cursor c;
	size_t size;

	*error_out = NULL;
	memset(out, 0, sizeof(*out));
	if (length < LENGTH_BYTES)
		return STARTUP_NEED_MORE;
	size = packet_size(data);
	if (size == 0)
		return bad(error_out, "invalid length of startup packet");
	if (length < size)
		return STARTUP_NEED_MORE;

	cursor_init(&c, data + LENGTH_BYTES, size - LENGTH_BYTES);
	out->size = size;
	out->major = cursor_u16(&c);
	out->minor = cursor_u16(&c);
	if (out->major == REQUEST_MAJOR)
		return parse_request(&c, out, error_out);
	if (out->major != 3)
		return STARTUP_OTHER_PROTOCOL;
	return parse_session(&c, out, error_out);
}

const char *startup_replication_name(enum startup_replication replication)
{
	switch (replication) {
	case REPLICATION_NONE: return "none";
	case REPLICATION_PHYSICAL: return "physical";
	case REPLICATION_LOGICAL: return "logical";
	}
	UNREACHABLE();
}

/* Is the value the beginning of the word, with at least so many letters? (bool.c:parse_bool) */
static bool is_word(const char *value, const char *word, size_t least)
{
	size_t length = strlen(value);

	return length >= least && length <= strlen(word) && strncasecmp(value, word, length) == 0;
}

bool startup_parse_replication(const char *value, enum startup_replication *out)
{
	*out = REPLICATION_NONE;
	if (strcmp(value, "database") == 0)
		*out = REPLICATION_LOGICAL;
	else if (is_word(value, "true", 1) || is_word(value, "yes", 1) ||
		 is_word(value, "on", 2) || strcmp(value, "1") == 0)
		*out = REPLICATION_PHYSICAL;
	else
		return is_word(value, "false", 1) || is_word(value, "no", 1) ||
		       is_word(value, "off", 2) || strcmp(value, "0") == 0;
	return true;
}

const char *protocol_version_name(enum protocol_version version)
{
	return version == PROTOCOL_3_2 ? "3.2" : "3.0";
}

unsigned protocol_version_minor(enum protocol_version version)
{
	return version == PROTOCOL_3_2 ? 2 : 0;
}

uint16_t startup_agreed_minor(const struct startup *startup)
{
	return startup->minor < STARTUP_NEWEST_MINOR ? startup->minor : STARTUP_NEWEST_MINOR;
}

bool startup_needs_negotiation(const struct startup *startup)
{
	return startup->minor > STARTUP_NEWEST_MINOR || startup->n_unknown_pq > 0;
}

/*
 * --- the `options` string ---
 *
 * PostgreSQL cuts it into words (pg_split_opts) and gives these to getopt() as a command line.
 * Both are done here in one pass and without memory: word_next() answers the word's characters
 * with the backslashes taken out, exactly as getopt() would get to see them.
 */

#define WORD_END (-1)

/* isspace() of the C locale; the process's own locale must not change what a client says. */
static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_spaces(const char **at)
{
	while (is_space(**at))
		(*at)++;
}

/* The next character of the word, or WORD_END, where *at stays. A last backslash is dropped. */
static int word_next(const char **at)
{
	if (is_space(**at))
		return WORD_END;
	if (**at == '\\')
		(*at)++;
	if (**at == '\0')
		return WORD_END;
	return (unsigned char)*(*at)++;
}

static void word_skip(const char **at)
{
	while (word_next(at) != WORD_END)
		;
}

/*
 * Copies the word's characters up to `stop` (which is taken too) or its end, cut to what fits.
 * `*ended_by_out` is the character that ended it.
 */
static bool word_copy(const char **at, int stop, char *to, size_t size, int *ended_by_out)
{
	size_t n = 0;
	int c;

	while ((c = word_next(at)) != WORD_END && c != stop) {
		if (n < size - 1)
			to[n] = (char)c;
		n++;
	}
	to[n < size ? n : size - 1] = '\0';
	*ended_by_out = c;
	return n < size;
}

/* "name=value", as guc.c:ParseLongOption reads it. */
static enum startup_option_result take_setting(const char **at, char *name_out, size_t name_size,
					       char *value_out, size_t value_size)
{
	bool fits;
	int ended_by;

	fits = word_copy(at, '=', name_out, name_size, &ended_by);
	if (ended_by != '=')
		return STARTUP_OPTION_BAD;
	fits &= word_copy(at, WORD_END, value_out, value_size, &ended_by);
	if (name_out[0] == '\0')
		return STARTUP_OPTION_BAD;
	for (char *p = name_out; *p != '\0'; p++)
		if (*p == '-')
			*p = '_';
	return fits ? STARTUP_OPTION_SETTING : STARTUP_OPTION_TOO_LONG;
}

/* true when the word is over; then *at is at the next word, or at the end of the string. */
static bool at_next_word(const char **at)
{
	const char *ahead = *at;

	if (word_next(&ahead) != WORD_END)
		return false;
	*at = ahead;
	skip_spaces(at);
	return true;
}

/* A word that is no setting; what is left of it is not looked at again. */
static enum startup_option_result refuse_word(const char **at)
{
	word_skip(at);
	return STARTUP_OPTION_BAD;
}

enum startup_option_result startup_next_option(const char **at, char *name_out, size_t name_size,
					       char *value_out, size_t value_size)
{
	int c;

	ASSERT(name_size > 1 && value_size > 0);
	name_out[0] = value_out[0] = '\0';
	skip_spaces(at);
	if (**at == '\0')
		return STARTUP_OPTION_END;
	if (word_next(at) != '-')
		return refuse_word(at);

	c = word_next(at);
	if (c == '-') {
		/* "--" alone ends the switches, and no other argument is taken behind it. */
		if (at_next_word(at))
			return **at == '\0' ? STARTUP_OPTION_END : refuse_word(at);
	} else if (c == 'c') {
		/* "-c" alone takes the next word, whatever that looks like. */
		if (at_next_word(at) && **at == '\0')
			return STARTUP_OPTION_BAD;
	} else {
		return refuse_word(at);
	}
	return take_setting(at, name_out, name_size, value_out, value_size);
}
