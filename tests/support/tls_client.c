/*
 * TLS by hand: see tls_client.h. Blocking; shares nothing with the proxy but OpenSSL.
 */
#include "tls_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#define BODY_MAX 65536

struct tls_client {
	struct raw *raw;
	SSL_CTX *context;
	SSL *ssl;
	uint8_t body[BODY_MAX];
	char peer[64];
};

static bool shake_hands(struct tls_client *client, const char *alpn)
{
	unsigned char offer[64];
	size_t length = alpn ? strlen(alpn) : 0;

	client->context = SSL_CTX_new(TLS_client_method());
	client->ssl = client->context ? SSL_new(client->context) : NULL;
	if (!client->ssl)
		return false;
	if (alpn) {
		offer[0] = (unsigned char)length;
		memcpy(offer + 1, alpn, length);
		SSL_set_alpn_protos(client->ssl, offer, (unsigned)length + 1);
	}
	SSL_set_fd(client->ssl, client->raw->fd);
	return SSL_connect(client->ssl) == 1;
}

struct tls_client *tls_client_begin(struct raw **raw, const char *alpn)
{
	struct tls_client *client = calloc(1, sizeof(*client));

	if (!client)
		abort();
	client->raw = *raw;
	*raw = NULL;
	ERR_clear_error();
	if (!shake_hands(client, alpn))
		tls_client_close(&client);
	return client;
}

struct tls_client *tls_client_open(int port, bool is_direct, const char *alpn)
{
	struct raw *raw = raw_open(port);

	if (!raw)
		return NULL;
	if (!is_direct && (!raw_message(raw, 0, "i", 80877103) || raw_read_byte(raw) != 'S')) {
		raw_close(&raw);
		return NULL;
	}
	return tls_client_begin(&raw, alpn);
}

void tls_client_close(struct tls_client **client_pointer)
{
	struct tls_client *client = *client_pointer;

	*client_pointer = NULL;
	if (!client)
		return;
	SSL_free(client->ssl);
	SSL_CTX_free(client->context);
	raw_close(&client->raw);
	free(client);
}

bool tls_client_send(struct tls_client *client, const void *data, size_t length)
{
	size_t sent;

	return SSL_write_ex(client->ssl, data, length, &sent) == 1 && sent == length;
}

static size_t put(uint8_t *out, size_t at, const char *text)
{
	memcpy(out + at, text, strlen(text) + 1);
	return at + strlen(text) + 1;
}

bool tls_client_startup(struct tls_client *client, const char *user, const char *database)
{
	uint8_t packet[256] = { 0, 0, 0, 0, 0, 3, 0, 0 };
	size_t at = 8;

	at = put(packet, at, "user");
	at = put(packet, at, user);
	at = put(packet, at, "database");
	at = put(packet, at, database);
	at = put(packet, at, "");
	packet[3] = (uint8_t)at;
	return tls_client_send(client, packet, at);
}

static bool read_all(struct tls_client *client, uint8_t *out, size_t length)
{
	size_t at = 0;
	size_t got;

	while (at < length) {
		if (SSL_read_ex(client->ssl, out + at, length - at, &got) != 1)
			return false;
		at += got;
	}
	return true;
}

static uint32_t number(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

char tls_client_read(struct tls_client *client, const uint8_t **body_out, size_t *length_out)
{
	uint8_t head[5];
	size_t length;

	if (!read_all(client, head, sizeof(head)))
		return 0;
	length = number(head + 1) - 4;
	if (length > BODY_MAX || !read_all(client, client->body, length))
		return 0;
	*body_out = client->body;
	*length_out = length;
	return (char)head[0];
}

bool tls_client_read_until_ready(struct tls_client *client, uint32_t *pid_out, uint32_t *key_out)
{
	const uint8_t *body;
	size_t length;
	char type;

	while ((type = tls_client_read(client, &body, &length)) != 'Z') {
		if (type == 0 || type == 'E')
			return false;
		if (type == 'K' && length == 8) {
			*pid_out = number(body);
			*key_out = number(body + 4);
		}
	}
	return true;
}

const char *tls_client_peer(struct tls_client *client)
{
	X509 *certificate = SSL_get1_peer_certificate(client->ssl);

	client->peer[0] = '\0';
	if (certificate)
		X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName,
					  client->peer, sizeof(client->peer));
	X509_free(certificate);
	return client->peer;
}
