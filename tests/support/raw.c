/*
 * The wire protocol by hand: see raw.h. It shares no code with the proxy on purpose, so that a
 * mistake there is not repeated here.
 */
#include "raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define BODY_MAX     (64u << 20)
#define CANCEL_CODE  80877102u
#define NO_MINOR     0xffffffffu
#define MESSAGE_ROOM 65536

struct raw *raw_open(int port)
{
	return raw_open_from(NULL, port);
}

struct raw *raw_open_from(const char *source, int port)
{
	struct sockaddr_in from = { .sin_family = AF_INET };
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct timeval timeout = { .tv_sec = RAW_TIMEOUT_MS / 1000 };
	struct raw *raw = calloc(1, sizeof(*raw));
	int yes = 1;

	if (raw == NULL)
		abort();
	raw->minor = NO_MINOR;
	raw->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (raw->fd == -1 ||
	    (source != NULL && (inet_pton(AF_INET, source, &from.sin_addr) != 1 ||
				bind(raw->fd, (struct sockaddr *)&from, sizeof(from)) == -1)) ||
	    connect(raw->fd, (struct sockaddr *)&address, sizeof(address)) == -1) {
		fprintf(stderr, "raw: connect: %s\n", strerror(errno));
		raw_close(&raw);
		return NULL;
	}
	setsockopt(raw->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(raw->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	setsockopt(raw->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	return raw;
}

void raw_close(struct raw **raw)
{
	if (*raw == NULL)
		return;
	if ((*raw)->fd != -1)
		close((*raw)->fd);
	free((*raw)->body);
	free((*raw)->error);
	free(*raw);
	*raw = NULL;
}

void raw_reset(struct raw **raw)
{
	struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	if (*raw != NULL)
		setsockopt((*raw)->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	raw_close(raw);
}

void raw_shutdown(struct raw *raw)
{
	shutdown(raw->fd, SHUT_WR);
}

bool raw_send(struct raw *raw, const void *data, size_t length)
{
	const char *at = data;

	while (!raw->dead && length > 0) {
		ssize_t n = send(raw->fd, at, length, MSG_NOSIGNAL);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			raw->dead = true;
			break;
		}
		at += n;
		length -= (size_t)n;
	}
	return !raw->dead;
}

/* --- messages out --- */

struct message {
	uint8_t *data;
	size_t length;
	size_t room;
};

static void put(struct message *message, const void *data, size_t length)
{
	if (message->length + length > message->room) {
		message->room = message->room * 2 + length + MESSAGE_ROOM;
		message->data = realloc(message->data, message->room);
		if (message->data == NULL)
			abort();
	}
	memcpy(message->data + message->length, data, length);
	message->length += length;
}

static void put_number(struct message *message, uint32_t value, size_t width)
{
	uint8_t bytes[4] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16),
			     (uint8_t)(value >> 8), (uint8_t)value };

	put(message, bytes + 4 - width, width);
}

static void put_fields(struct message *message, const char *format, va_list args)
{
	for (const char *f = format; *f != '\0'; f++) {
		const char *text;
		const void *data;

		switch (*f) {
		case 'b': put_number(message, (uint32_t)va_arg(args, int), 1); break;
		case 'h': put_number(message, (uint32_t)va_arg(args, int), 2); break;
		case 'i': put_number(message, (uint32_t)va_arg(args, int), 4); break;
		case 's':
			text = va_arg(args, const char *);
			put(message, text, strlen(text) + 1);
			break;
		case 't':
			text = va_arg(args, const char *);
			put(message, text, strlen(text));
			break;
		case 'r':
			data = va_arg(args, const void *);
			put(message, data, va_arg(args, size_t));
			break;
		default: abort();
		}
	}
}

static void message_begin(struct message *message, char type)
{
	*message = (struct message){ 0 };
	if (type != 0)
		put(message, &type, 1);
	put_number(message, 0, 4);
}

static bool message_end(struct raw *raw, struct message *message, char type)
{
	size_t mark = type == 0 ? 0 : 1;
	uint32_t length = htonl((uint32_t)(message->length - mark));
	bool ok;

	memcpy(message->data + mark, &length, sizeof(length));
	ok = raw_send(raw, message->data, message->length);
	free(message->data);
	return ok;
}

bool raw_message(struct raw *raw, char type, const char *format, ...)
{
	struct message message;
	va_list args;

	message_begin(&message, type);
	va_start(args, format);
	put_fields(&message, format, args);
	va_end(args);
	return message_end(raw, &message, type);
}

bool raw_message_lying(struct raw *raw, char type, uint32_t length, const char *body)
{
	uint8_t head[5] = { (uint8_t)type, (uint8_t)(length >> 24), (uint8_t)(length >> 16),
			    (uint8_t)(length >> 8), (uint8_t)length };

	return raw_send(raw, head, sizeof(head)) && raw_send(raw, body, strlen(body));
}

bool raw_startup(struct raw *raw, unsigned minor, const char *user, const char *database,
		 const char *const *more)
{
	struct message message;

	message_begin(&message, 0);
	put_number(&message, 3u << 16 | minor, 4);
	put(&message, "user", 5);
	put(&message, user, strlen(user) + 1);
	put(&message, "database", 9);
	put(&message, database, strlen(database) + 1);
	for (; more != NULL && *more != NULL; more++)
		put(&message, *more, strlen(*more) + 1);
	put(&message, "", 1);
	return message_end(raw, &message, 0);
}

bool raw_query(struct raw *raw, const char *sql)
{
	return raw_message(raw, 'Q', "s", sql);
}

bool raw_parse(struct raw *raw, const char *name, const char *sql)
{
	return raw_message(raw, 'P', "ssh", name, sql, 0);
}

bool raw_bind(struct raw *raw, const char *portal, const char *statement, const char *parameter)
{
	if (parameter == NULL)
		return raw_message(raw, 'B', "sshhh", portal, statement, 0, 0, 0);
	return raw_message(raw, 'B', "sshhith", portal, statement, 0, 1, (int)strlen(parameter),
			   parameter, 0);
}

bool raw_describe(struct raw *raw, char kind, const char *name)
{
	return raw_message(raw, 'D', "bs", kind, name);
}

bool raw_execute(struct raw *raw, const char *portal, int rows_max)
{
	return raw_message(raw, 'E', "si", portal, rows_max);
}

bool raw_close_name(struct raw *raw, char kind, const char *name)
{
	return raw_message(raw, 'C', "bs", kind, name);
}

bool raw_sync(struct raw *raw)
{
	return raw_message(raw, 'S', "");
}

bool raw_flush(struct raw *raw)
{
	return raw_message(raw, 'H', "");
}

bool raw_cancel(int port, const struct raw *raw)
{
	struct raw *other = raw_open(port);
	bool ok;

	if (other == NULL)
		return false;
	ok = raw_message(other, 0, "iir", (int)CANCEL_CODE, (int)raw->pid, raw->key,
			 raw->key_length) &&
	     raw_expect_end(other);
	raw_close(&other);
	return ok;
}

/* --- messages in --- */

static bool receive(struct raw *raw, void *data, size_t length)
{
	char *at = data;

	while (!raw->dead && length > 0) {
		ssize_t n = recv(raw->fd, at, length, 0);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0) {
			raw->dead = true;
			break;
		}
		at += n;
		length -= (size_t)n;
	}
	return !raw->dead;
}

char raw_read_byte(struct raw *raw)
{
	char byte;

	return receive(raw, &byte, 1) ? byte : '\0';
}

static uint32_t number_at(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void keep_error(struct raw *raw)
{
	free(raw->error);
	raw->error = malloc(raw->body_length + 1);
	if (raw->error == NULL)
		abort();
	memcpy(raw->error, raw->body, raw->body_length + 1);
	raw->error_length = raw->body_length;
}

/* Keeps what later steps of a session need. */
static void note(struct raw *raw, char type)
{
	if (type == 'K' && raw->body_length >= 8) {
		raw->pid = number_at(raw->body);
		raw->key_length = raw->body_length - 4;
		if (raw->key_length > sizeof(raw->key))
			raw->key_length = sizeof(raw->key);
		memcpy(raw->key, raw->body + 4, raw->key_length);
	} else if (type == 'Z' && raw->body_length == 1) {
		raw->txn = (char)raw->body[0];
	} else if (type == 'v' && raw->body_length >= 8) {
		raw->minor = number_at(raw->body);
	} else if (type == 'E') {
		keep_error(raw);
	}
}

char raw_read(struct raw *raw)
{
	uint8_t head[5];
	uint32_t length;

	raw->body_length = 0;
	if (!receive(raw, head, sizeof(head)))
		return '\0';
	length = number_at(head + 1);
	if (length < 4 || length - 4 > BODY_MAX) {
		raw->dead = true;
		return '\0';
	}
	length -= 4;
	if (raw->body_room < length + 1) {
		raw->body_room = length + 1;
		raw->body = realloc(raw->body, raw->body_room);
		if (raw->body == NULL)
			abort();
	}
	if (!receive(raw, raw->body, length))
		return '\0';
	raw->body[length] = '\0';
	raw->body_length = length;
	note(raw, (char)head[0]);
	return (char)head[0];
}

char raw_read_main(struct raw *raw)
{
	char type;

	do {
		type = raw_read(raw);
	} while (type == 'S' || type == 'N');
	return type;
}

bool raw_read_until_ready(struct raw *raw, char *types_out, size_t size)
{
	size_t n = 0;
	char type;

	do {
		type = raw_read_main(raw);
		if (type != '\0' && n + 1 < size)
			types_out[n++] = type;
	} while (type != '\0' && type != 'Z');
	types_out[n] = '\0';
	return type == 'Z';
}

const char *raw_error_field(const struct raw *raw, char field)
{
	const char *at = (const char *)raw->error;
	const char *end;

	if (raw->error == NULL)
		return "";
	end = at + raw->error_length;
	while (at < end && *at != '\0') {
		if (*at == field)
			return at + 1;
		at += strlen(at) + 1;
	}
	return "";
}

bool raw_expect_end(struct raw *raw)
{
	char type;

	do {
		errno = 0;
		type = raw_read(raw);
	} while (type == 'E' || type == 'N');
	/* A timeout leaves EAGAIN; the end of the stream leaves nothing, a reset ECONNRESET. */
	return type == '\0' && errno != EAGAIN && errno != EWOULDBLOCK;
}

size_t raw_pending(const struct raw *raw)
{
	int n = 0;

	return ioctl(raw->fd, FIONREAD, &n) == -1 ? 0 : (size_t)n;
}

static bool login(struct raw *raw, const char *user)
{
	char password[128];
	char type;

	while ((type = raw_read_main(raw)) != 'Z') {
		if (type == 'R' && raw->body_length >= 4 && number_at(raw->body) == 3) {
			snprintf(password, sizeof(password), "%s_secret", user);
			raw_message(raw, 'p', "s", password);
		} else if (type != 'R' && type != 'K' && type != 'v') {
			return false;
		}
	}
	return true;
}

struct raw *raw_login(int port, const char *user, const char *database)
{
	struct raw *raw = raw_open(port);

	if (raw != NULL && raw_startup(raw, 0, user, database, NULL) && login(raw, user))
		return raw;
	raw_close(&raw);
	return NULL;
}
