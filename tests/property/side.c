/* One connection of a client: see side.h. Blocking; every wait ends after RAW_TIMEOUT_MS. */
#include "side.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	ARGUMENTS_MAX = 8,
	ARGUMENT_BYTES = 8192,
	FIRST_USER_OID = 16384
};

static uint32_t number_at(const uint8_t *data)
{
	uint32_t number;

	memcpy(&number, data, sizeof(number));
	return ntohl(number);
}

/* --- sending --- */

/* "a|b|c" in pieces; the last takes the rest. */
static size_t split(const char *text, char copy[ARGUMENT_BYTES], char *pieces[], size_t max)
{
	size_t n = 0;

	snprintf(copy, ARGUMENT_BYTES, "%s", text);
	for (char *piece = copy; piece != NULL; n++) {
		char *bar = n + 1 < max ? strchr(piece, '|') : NULL;

		if (bar != NULL)
			*bar++ = '\0';
		pieces[n] = piece;
		piece = bar;
	}
	return n;
}

static bool send_bind(struct raw *raw, char *pieces[], size_t n)
{
	uint8_t body[ARGUMENT_BYTES];
	size_t length = 0;

	for (size_t i = 2; i < n; i++) {
		bool is_null = strcmp(pieces[i], "\\N") == 0;
		uint32_t size = is_null ? UINT32_MAX : htonl((uint32_t)strlen(pieces[i]));

		memcpy(body + length, &size, sizeof(size));
		length += sizeof(size);
		if (is_null)
			continue;
		memcpy(body + length, pieces[i], strlen(pieces[i]));
		length += strlen(pieces[i]);
	}
	return raw_message(raw, 'B', "sshhrh", pieces[0], n > 1 ? pieces[1] : "", 0,
			   n > 2 ? (int)n - 2 : 0, body, length, 0);
}

bool side_send(struct side *side, const char *line)
{
	const char *rest = line[0] != '\0' && line[1] == ' ' ? line + 2 : "";
	char *pieces[ARGUMENTS_MAX];
	char copy[ARGUMENT_BYTES];
	struct raw *raw = side->raw;
	size_t n;

	if (strchr("PBDEC", line[0]) != NULL) {
		side->is_in_batch = true;
		side->due += !side->is_skipping;
	}
	switch (line[0]) {
	case 'Q': return raw_message(raw, 'Q', "s", rest);
	case 'P':
		n = split(rest, copy, pieces, 2);
		return raw_message(raw, 'P', "ssh", pieces[0], n > 1 ? pieces[1] : "", 0);
	case 'B': n = split(rest, copy, pieces, ARGUMENTS_MAX); return send_bind(raw, pieces, n);
	case 'D':
	case 'C':
		n = split(rest, copy, pieces, 2);
		return raw_message(raw, line[0], "bs", pieces[0][0], n > 1 ? pieces[1] : "");
	case 'E':
		n = split(rest, copy, pieces, 2);
		return raw_message(raw, 'E', "si", pieces[0], n > 1 ? atoi(pieces[1]) : 0);
	case 'F':
		n = split(rest, copy, pieces, 3);
		return raw_message(raw, 'F', "ihhhiiiih", atoi(pieces[0]), 1, 1, 2, 4,
				   n > 1 ? atoi(pieces[1]) : 0, 4, n > 2 ? atoi(pieces[2]) : 0,
				   1);
	case 's': side->syncs_due++; return raw_message(raw, 'S', "");
	case 'S':
	case 'H':
	case 'c': return raw_message(raw, line[0], "");
	case 'd': return raw_message(raw, 'd', "tt", rest, "\n");
	case 'f': return raw_message(raw, 'f', "s", rest);
	default: return false;
	}
}

/* --- what came --- */

static void note_parameter(struct side *side)
{
	const char *name = (const char *)side->raw->body;
	const char *value = name + strlen(name) + 1;
	size_t i = 0;

	while (i < side->n_parameters && strcmp(side->parameters[i].name, name) != 0)
		i++;
	if (i == SIDE_PARAMETERS_MAX)
		return;
	if (i == side->n_parameters)
		side->n_parameters++;
	snprintf(side->parameters[i].name, sizeof(side->parameters[i].name), "%s", name);
	snprintf(side->parameters[i].value, sizeof(side->parameters[i].value), "%s", value);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct side_parameter *)a)->name,
		      ((const struct side_parameter *)b)->name);
}

void side_show_parameters(struct side *side, struct text *out)
{
	qsort(side->parameters, side->n_parameters, sizeof(side->parameters[0]), by_name);
	for (size_t i = 0; i < side->n_parameters; i++)
		text_add(out, "%s = %s\n", side->parameters[i].name, side->parameters[i].value);
}

/*
 * How much of a message of an error is the same everywhere: of several names for one text the
 * proxy may show another one.
 */
static size_t stable_length(const char *text)
{
	const char *name = strstr(text, "but prepared statement \"");

	if (name == NULL || strstr(name, "\"pointsman_") != NULL)
		return strlen(text);
	return (size_t)(name - text);
}

/* Errors and notices without the places in the server's source code. */
static void add_fields(const struct raw *raw, struct text *reply)
{
	const char *field = (const char *)raw->body;
	const char *end = field + raw->body_length;

	for (; field < end && *field != '\0'; field += strlen(field) + 1) {
		if (strchr("FLR", *field) != NULL)
			continue;
		text_add(reply, " %c=", *field);
		text_add_bytes(reply, (const uint8_t *)field + 1, stable_length(field + 1));
	}
}

/* The numbers of tables are each server's own. */
static void hide_tables(struct raw *raw)
{
	uint8_t *at = raw->body + 2, *end = raw->body + raw->body_length;

	while (at < end) {
		at += strlen((char *)at) + 1;
		if (number_at(at) >= FIRST_USER_OID)
			memset(at, 0, 4);
		at += 18;
	}
}

static void add_message(struct side *side, char type, struct text *reply)
{
	struct raw *raw = side->raw;

	text_add(reply, "%c", type);
	if (type == 'E' || type == 'N')
		add_fields(raw, reply);
	else {
		if (type == 'T')
			hide_tables(raw);
		text_add(reply, " ");
		text_add_bytes(reply, raw->body, raw->body_length);
	}
	text_add(reply, "\n");
}

/* --- reading --- */

bool side_is_answered(const struct side *side, const char *line)
{
	switch (line[0]) {
	case 'Q':
	case 'S':
	case 'F': return true;
	case 'c':
	case 'f': return side->is_copying && !side->is_in_batch;
	case 'H': return side->due > 0 && !side->is_skipping;
	default: return false;
	}
}

/* What ends the replies to one message of the extended protocol. */
static bool ends_one(char type)
{
	return strchr("123nTCsIG", type) != NULL;
}

bool side_read(struct side *side, const char *line, struct text *reply)
{
	for (;;) {
		char type = raw_read(side->raw);

		if (type == '\0') {
			text_add(reply, "the connection ended, or nothing came\n");
			return false;
		}
		if (type == 'S') {
			note_parameter(side);
			continue;
		}
		if (type == 'A')
			continue;
		add_message(side, type, reply);
		side->is_copying = type == 'G' || (side->is_copying && strchr("NT", type));
		if (type == 'Z') {
			side->due = 0;
			side->is_in_batch = side->is_skipping = false;
			if (side->syncs_due == 0)
				return true;
			side->syncs_due--;
		}
		if (type == 'E' && line[0] == 'H') {
			side->due = 0;
			side->is_skipping = true;
			return true;
		}
		if (type == 'G' && line[0] != 'H')
			return true;
		if (line[0] == 'H' && ends_one(type) && --side->due == 0)
			return true;
	}
}

/* --- log-in --- */

static bool answer_login(struct side *side, const char *user)
{
	char password[128];

	if (number_at(side->raw->body) != 3) /* clear text */
		return number_at(side->raw->body) == 0;
	snprintf(password, sizeof(password), "%s_secret", user);
	return raw_message(side->raw, 'p', "s", password);
}

bool side_open(struct side *side, int port, const char *user, const char *database,
	       const char *const *more, struct text *reply)
{
	*side = (struct side){ .raw = raw_open(port) };
	if (side->raw == NULL || !raw_startup(side->raw, 0, user, database, more))
		return false;
	for (;;) {
		char type = raw_read(side->raw);

		if (type == 'Z')
			return true;
		if (type == 'S')
			note_parameter(side);
		else if (type == 'R' ? !answer_login(side, user) : type != 'K') {
			add_message(side, type == '\0' ? '-' : type, reply);
			return false;
		}
	}
}

void side_close(struct side *side)
{
	if (side->raw != NULL && !side->raw->dead)
		raw_message(side->raw, 'X', "");
	raw_close(&side->raw);
	*side = (struct side){ 0 };
}
