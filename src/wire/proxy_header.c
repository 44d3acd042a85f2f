/*
 * Reading headers of the PROXY protocol, both versions. All of it is said by somebody who has
 * proved nothing yet: bounds come first, nothing is allocated, what is not understood exactly is
 * refused. Pure; any thread.
 */
#include "wire/proxy_header.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include "base/panic.h"
#include "wire/cursor.h"

static const char v1_signature[] = "PROXY ";
static const uint8_t v2_signature[12] = { 0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
					  0x0a, 'Q',  'U',  'I',  'T',  0x0a };

#define V1_SIGNATURE_BYTES 6
#define V2_HEAD_BYTES      16

/* The second byte of the head: version and command. */
#define V2_LOCAL 0x20
#define V2_PROXY 0x21

/* The third: address family, and transport. */
#define V2_TCP4 0x11
#define V2_TCP6 0x21

const char *proxy_protocol_name(enum proxy_protocol protocol)
{
	switch (protocol) {
	case PROXY_PROTOCOL_OFF: return "off";
	case PROXY_PROTOCOL_V1: return "v1";
	case PROXY_PROTOCOL_V2: return "v2";
	case PROXY_PROTOCOL_ANY: return "any";
	case PROXY_PROTOCOL_COUNT: break;
	}
	UNREACHABLE();
}

/* Do the bytes that are there agree with the signature? */
static bool begins(const uint8_t *data, size_t length, const void *signature, size_t size)
{
	return memcmp(data, signature, length < size ? length : size) == 0;
}

/* --- version 1: "PROXY TCP4 192.0.2.1 192.0.2.2 56324 5432\r\n" --- */

/* Takes a word off the line up to the next space, or to the line's end. NULL: there is none. */
static char *take_word(char **line)
{
	char *word = *line;
	char *space;

	if (!word || word[0] == '\0')
		return NULL;
	space = strchr(word, ' ');
	*line = space ? space + 1 : NULL;
	if (space)
		*space = '\0';
	return word[0] ? word : NULL;
}

/* Digits only, no more of them than needed. */
static bool read_port(const char *text, uint16_t *out)
{
	unsigned long value = 0;

	if (!text || text[0] == '\0' || strlen(text) > 5 || (text[0] == '0' && text[1]))
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		value = value * 10 + (unsigned long)(*text - '0');
	}
	*out = (uint16_t)value;
	return value <= UINT16_MAX;
}

/* What the other end of the client's connection was must be there, too, but is of no use. */
static bool read_v1_addresses(char *line, int family, struct proxy_header *out)
{
	uint8_t ignored[16];
	uint16_t ignored_port;
	const char *source = take_word(&line);
	const char *destination = take_word(&line);
	const char *source_port = take_word(&line);
	const char *destination_port = line;

	if (!source || !destination || inet_pton(family, source, out->address) != 1 ||
	    inet_pton(family, destination, ignored) != 1 || !read_port(source_port, &out->port) ||
	    !read_port(destination_port, &ignored_port))
		return false;
	out->family = family == AF_INET ? 4 : 6;
	return true;
}

/* The line without its end. */
static bool read_v1_line(char *line, struct proxy_header *out)
{
	const char *protocol;

	line += V1_SIGNATURE_BYTES;
	protocol = take_word(&line);
	if (!protocol)
		return false;
	if (strcmp(protocol, "UNKNOWN") == 0) /* whatever may follow is to be ignored */
		return true;
	if (strcmp(protocol, "TCP4") == 0)
		return read_v1_addresses(line, AF_INET, out);
	return strcmp(protocol, "TCP6") == 0 && read_v1_addresses(line, AF_INET6, out);
}

static enum proxy_header_result parse_v1(const uint8_t *data, size_t length,
					 struct proxy_header *out)
{
	size_t looked_at = length < PROXY_HEADER_V1_MAX ? length : PROXY_HEADER_V1_MAX;
	const uint8_t *end = memchr(data, '\n', looked_at);
	char line[PROXY_HEADER_V1_MAX];

	if (!end)
		return length < PROXY_HEADER_V1_MAX && !memchr(data, '\0', looked_at)
			       ? PROXY_HEADER_NEED_MORE
			       : PROXY_HEADER_BAD;
	out->size = (size_t)(end - data) + 1;
	if (out->size < V1_SIGNATURE_BYTES + 2 || end[-1] != '\r' ||
	    memchr(data, '\0', out->size))
		return PROXY_HEADER_BAD;
	memcpy(line, data, out->size - 2);
	line[out->size - 2] = '\0';
	return read_v1_line(line, out) ? PROXY_HEADER_OK : PROXY_HEADER_BAD;
}

/* --- version 2 --- */

static bool read_v2_addresses(struct cursor *c, size_t bytes, struct proxy_header *out)
{
	const uint8_t *source = cursor_bytes(c, bytes);

	cursor_bytes(c, bytes);
	out->port = cursor_u16(c);
	cursor_u16(c);
	if (c->failed)
		return false;
	memcpy(out->address, source, bytes);
	out->family = bytes == 4 ? 4 : 6;
	return true; /* what is behind are TLVs, for others */
}

/* Is there such a pair of family (unspecified, IPv4, IPv6, unix) and transport? */
static bool is_transport_known(uint8_t transport)
{
	return transport >> 4 <= 3 && (transport & 0x0f) <= 2;
}

static enum proxy_header_result parse_v2(const uint8_t *data, size_t length,
					 struct proxy_header *out)
{
	struct cursor c;
	uint8_t command;
	uint8_t transport;
	bool is_good = true;

	/* What cannot be right must not be waited for. */
	if (length > 12 && data[12] != V2_LOCAL && data[12] != V2_PROXY)
		return PROXY_HEADER_BAD;
	if (length < V2_HEAD_BYTES)
		return PROXY_HEADER_NEED_MORE;
	cursor_init(&c, data + sizeof(v2_signature), V2_HEAD_BYTES - sizeof(v2_signature));
	command = cursor_u8(&c);
	transport = cursor_u8(&c);
	out->size = V2_HEAD_BYTES + (size_t)cursor_u16(&c);
	if (out->size > PROXY_HEADER_V2_MAX ||
	    (command == V2_PROXY && !is_transport_known(transport)))
		return PROXY_HEADER_BAD;
	if (length < out->size)
		return PROXY_HEADER_NEED_MORE;
	cursor_init(&c, data + V2_HEAD_BYTES, out->size - V2_HEAD_BYTES);
	if (command == V2_PROXY && transport == V2_TCP4)
		is_good = read_v2_addresses(&c, 4, out);
	else if (command == V2_PROXY && transport == V2_TCP6)
		is_good = read_v2_addresses(&c, 16, out);
	return is_good ? PROXY_HEADER_OK : PROXY_HEADER_BAD;
}

/* --- both --- */

enum proxy_header_result proxy_header_parse(const uint8_t *data, size_t length,
					    enum proxy_protocol expected,
					    struct proxy_header *out)
{
	enum proxy_header_result result = PROXY_HEADER_BAD;

	ASSERT(expected != PROXY_PROTOCOL_OFF);
	memset(out, 0, sizeof(*out));
	if (length == 0)
		return PROXY_HEADER_NEED_MORE;
	if (expected != PROXY_PROTOCOL_V2 &&
	    begins(data, length, v1_signature, V1_SIGNATURE_BYTES))
		result = parse_v1(data, length, out);
	else if (expected != PROXY_PROTOCOL_V1 &&
		 begins(data, length, v2_signature, sizeof(v2_signature)))
		result = parse_v2(data, length, out);
	if (result != PROXY_HEADER_OK)
		memset(out, 0, sizeof(*out));
	return result;
}
