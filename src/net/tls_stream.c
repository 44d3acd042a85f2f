/*
 * TLS on one socket; see net/tls_stream.h. OpenSSL reads and writes through a BIO of ours, for
 * three reasons: no signal comes of a broken pipe, bytes that were received before the handshake
 * can be put in front, and a failed send leaves what the peer said before it readable.
 */
#include "net/tls_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/tls_private.h"

#define ERROR_BYTES 192
/*
 * What OpenSSL has for one of 2,000 idle connections (3.0, TLS 1.3): 15 kB as a server, 18 as a
 * client. It has no function that would tell.
 */
#define IDLE_BYTES  16000

/* Lifetime: from the beginning of the handshake to the end of the connection. */
struct tls_stream {
	SSL *ssl;
	struct tls_context *context; /* one reference */
	int fd;
	bool is_up;      /* the handshake is over */
	bool is_eof;     /* the socket's end was seen */
	bool has_failed; /* nothing may be asked of OpenSSL any more */
	int receive_error;
	int send_error;
	int system_error; /* of these, the one that ended it */
	uint8_t *early;   /* not yet given to OpenSSL */
	size_t early_length;
	size_t early_at;
	char *host;
	char *peer_name; /* verified; else NULL */
	char *peer_dn;
	char error[ERROR_BYTES];
};

/* --- the way to the socket --- */

static int take_early(struct tls_stream *stream, char *out, int size)
{
	size_t left = stream->early_length - stream->early_at;
	size_t length = left < (size_t)size ? left : (size_t)size;

	memcpy(out, stream->early + stream->early_at, length);
	stream->early_at += length;
	if (stream->early_at == stream->early_length) {
		free(stream->early);
		stream->early = NULL;
		stream->early_length = stream->early_at = 0;
	}
	return (int)length;
}

static int bio_read(BIO *bio, char *out, int size)
{
	struct tls_stream *stream = BIO_get_data(bio);
	ssize_t got;

	BIO_clear_retry_flags(bio);
	if (stream->early && size > 0)
		return take_early(stream, out, size);
	do {
		got = recv(stream->fd, out, (size_t)size, MSG_DONTWAIT);
	} while (got == -1 && errno == EINTR);
	if (got == -1 && (errno == EAGAIN || errno == EWOULDBLOCK))
		BIO_set_retry_read(bio);
	else if (got == -1)
		stream->receive_error = errno;
	else if (got == 0)
		stream->is_eof = true;
	return (int)got;
}

/*
 * A failure is not told to OpenSSL, which would read nothing any more, but remembered: what the
 * peer said before it went may still wait to be read.
 */
static int bio_write(BIO *bio, const char *data, int length)
{
	struct tls_stream *stream = BIO_get_data(bio);
	ssize_t sent;

	BIO_clear_retry_flags(bio);
	if (stream->send_error)
		return length;
	do {
		sent = send(stream->fd, data, (size_t)length, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (sent == -1 && errno == EINTR);
	if (sent >= 0)
		return (int)sent;
	if (errno == EAGAIN || errno == EWOULDBLOCK) {
		BIO_set_retry_write(bio);
		return -1;
	}
	stream->send_error = errno;
	return length;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
	struct tls_stream *stream = BIO_get_data(bio);

	(void)number;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH: return 1;
	case BIO_CTRL_EOF: return stream->is_eof;
	default: return 0;
	}
}

static BIO_METHOD *method;

static void make_method(void)
{
	method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "pointsman socket");
	if (!method)
		return;
	BIO_meth_set_read(method, bio_read);
	BIO_meth_set_write(method, bio_write);
	BIO_meth_set_ctrl(method, bio_control);
}

static BIO *make_bio(struct tls_stream *stream)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	BIO *bio;

	pthread_once(&once, make_method);
	bio = method ? BIO_new(method) : NULL;
	if (!bio)
		return NULL;
	BIO_set_data(bio, stream);
	BIO_set_init(bio, 1);
	return bio;
}

/* --- life --- */

static bool is_address(const char *host)
{
	struct in6_addr address; /* large enough for both */

	return inet_pton(AF_INET, host, &address) == 1 ||
	       inet_pton(AF_INET6, host, &address) == 1;
}

static bool set_up_ssl(struct tls_stream *stream)
{
	BIO *bio;

	stream->ssl = SSL_new(stream->context->ssl);
	bio = stream->ssl ? make_bio(stream) : NULL;
	if (!bio)
		return false;
	SSL_set_bio(stream->ssl, bio, bio); /* the BIO is the SSL's now */
	if (stream->context->role == TLS_ROLE_SERVER) {
		SSL_set_accept_state(stream->ssl);
		return true;
	}
	SSL_set_connect_state(stream->ssl);
	/* RFC 6066, section 3: names only, no addresses. */
	return !stream->host || !stream->host[0] || is_address(stream->host) ||
	       SSL_set_tlsext_host_name(stream->ssl, stream->host) == 1;
}

static bool keep_early(struct tls_stream *stream, const uint8_t *early, size_t length)
{
	if (length == 0)
		return true;
	stream->early = malloc(length);
	if (!stream->early)
		return false;
	memcpy(stream->early, early, length);
	stream->early_length = length;
	return true;
}

struct tls_stream *tls_stream_create(struct tls_context *context, int fd, const char *host,
				     const uint8_t *early, size_t early_length)
{
	struct tls_stream *stream = calloc(1, sizeof(*stream));

	if (!stream)
		return NULL;
	ERR_clear_error();
	stream->fd = fd;
	stream->context = tls_context_ref(context);
	stream->host = host ? strdup(host) : NULL;
	if ((host && !stream->host) || !keep_early(stream, early, early_length) ||
	    !set_up_ssl(stream))
		tls_stream_destroy(&stream);
	return stream;
}

void tls_stream_destroy(struct tls_stream **stream_pointer)
{
	struct tls_stream *stream = *stream_pointer;

	*stream_pointer = NULL;
	if (!stream)
		return;
	SSL_free(stream->ssl);
	tls_context_unref(&stream->context);
	free(stream->early);
	free(stream->host);
	free(stream->peer_name);
	free(stream->peer_dn);
	free(stream);
}

/* --- the peer's certificate --- */

static bool is_wild_name(const char *pattern, size_t length)
{
	return length > 2 && pattern[0] == '*' && pattern[1] == '.';
}

/*
 * As libpq compares: in any case; a wildcard is a whole leftmost label (RFC 2818, 3.1). A name
 * with a NUL inside matches nothing.
 */
static bool name_matches(const unsigned char *bytes, int length, const char *host)
{
	const char *pattern = (const char *)bytes;
	size_t size = length > 0 ? (size_t)length : 0;
	size_t host_length = strlen(host);
	const char *dot = strchr(host, '.');

	if (size == 0 || memchr(pattern, '\0', size))
		return false;
	if (size == host_length && strncasecmp(pattern, host, size) == 0)
		return true;
	return is_wild_name(pattern, size) && dot && dot > host && strlen(dot) == size - 1 &&
	       strncasecmp(pattern + 1, dot, size - 1) == 0;
}

static bool address_matches(const ASN1_OCTET_STRING *address, const char *host)
{
	unsigned char bytes[16];
	int length = 0;

	if (inet_pton(AF_INET, host, bytes) == 1)
		length = 4;
	else if (inet_pton(AF_INET6, host, bytes) == 1)
		length = 16;
	return length > 0 && ASN1_STRING_length(address) == length &&
	       memcmp(ASN1_STRING_get0_data(address), bytes, (size_t)length) == 0;
}

static bool common_name_matches(X509 *certificate, const char *host)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	ASN1_STRING *name =
		at >= 0 ? X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)) : NULL;

	return name && name_matches(ASN1_STRING_get0_data(name), ASN1_STRING_length(name), host);
}

/*
 * libpq's rule (documentation, "SSL Support"): the certificate's alternative names of the host's
 * kind; the common name only when there are none.
 */
static bool certificate_matches(X509 *certificate, const char *host)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	bool has_names = false;
	bool matches = false;

	for (int i = 0; names && i < sk_GENERAL_NAME_num(names) && !matches; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type == GEN_DNS) {
			has_names = has_names || !is_address(host);
			matches = name_matches(ASN1_STRING_get0_data(name->d.dNSName),
					       ASN1_STRING_length(name->d.dNSName), host);
		} else if (name->type == GEN_IPADD) {
			has_names = has_names || is_address(host);
			matches = address_matches(name->d.iPAddress, host);
		}
	}
	GENERAL_NAMES_free(names);
	return matches || (!has_names && common_name_matches(certificate, host));
}

/* NULL: it has none, or one with a NUL inside (CVE-2009-4034), or there is no memory. */
static char *common_name(X509 *certificate)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	int length = X509_NAME_get_text_by_NID(subject, NID_commonName, NULL, 0);
	char *name = length >= 0 ? malloc((size_t)length + 1) : NULL;

	if (!name)
		return NULL;
	X509_NAME_get_text_by_NID(subject, NID_commonName, name, length + 1);
	if (strlen(name) == (size_t)length)
		return name;
	free(name);
	return NULL;
}

static char *distinguished_name(X509 *certificate)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	char *data;
	long length;

	if (!bio)
		return NULL;
	if (X509_NAME_print_ex(bio, X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253) !=
	    -1) {
		length = BIO_get_mem_data(bio, &data);
		if (length >= 0 && !memchr(data, '\0', (size_t)length))
			text = strndup(data, (size_t)length);
	}
	BIO_free(bio);
	return text;
}

static bool check_host(struct tls_stream *stream, X509 *certificate)
{
	if (stream->context->role != TLS_ROLE_CLIENT || stream->context->mode != TLS_VERIFY_FULL)
		return true;
	if (stream->host && certificate && certificate_matches(certificate, stream->host))
		return true;
	snprintf(stream->error, sizeof(stream->error),
		 "the server's certificate is not for host \"%.100s\"",
		 stream->host ? stream->host : "");
	return false;
}

/* Takes note of who the peer has proved to be; false: not who it should be. */
static bool meet_peer(struct tls_stream *stream)
{
	X509 *certificate = SSL_get1_peer_certificate(stream->ssl);
	bool is_verified = certificate && SSL_get_verify_mode(stream->ssl) != SSL_VERIFY_NONE &&
			   SSL_get_verify_result(stream->ssl) == X509_V_OK;
	bool is_right = check_host(stream, certificate);

	if (is_verified && is_right) {
		stream->peer_name = common_name(certificate);
		stream->peer_dn = distinguished_name(certificate);
	}
	X509_free(certificate);
	return is_right;
}

/* --- steps --- */

/* Why OpenSSL failed: the certificate, the protocol, the system. */
static void note_failure(struct tls_stream *stream)
{
	unsigned long code = ERR_get_error();
	long verdict = SSL_get_verify_result(stream->ssl);
	char reason[128];
	const char *text = reason;

	stream->has_failed = true;
	stream->system_error = stream->receive_error;
	if (!stream->system_error && !stream->is_eof)
		stream->system_error = stream->send_error;
	if (stream->system_error)
		text = strerror(stream->system_error);
	else if (stream->is_eof)
		text = "the peer has closed the connection";
	else if (code)
		tls_error_text(code, reason, sizeof(reason));
	else
		text = "an error without a reason";
	if (!stream->is_eof && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		snprintf(stream->error, sizeof(stream->error), "%s: %s", text,
			 X509_verify_cert_error_string(verdict));
	else
		snprintf(stream->error, sizeof(stream->error), "%s", text);
	ERR_clear_error();
}

static enum tls_result result_of(struct tls_stream *stream, int returned)
{
	switch (SSL_get_error(stream->ssl, returned)) {
	case SSL_ERROR_WANT_READ: return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE: return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN: stream->is_eof = true; break;
	default: break;
	}
	note_failure(stream);
	return stream->is_eof && stream->is_up ? TLS_EOF : TLS_FAILED;
}

/* What a call after the end gets: the end again. */
static enum tls_result ended(const struct tls_stream *stream)
{
	return stream->is_eof && stream->is_up && !stream->system_error ? TLS_EOF : TLS_FAILED;
}

enum tls_result tls_stream_handshake(struct tls_stream *stream)
{
	int done;

	if (stream->has_failed)
		return TLS_FAILED;
	ERR_clear_error();
	done = SSL_do_handshake(stream->ssl);
	if (done != 1)
		return result_of(stream, done);
	if (!meet_peer(stream)) {
		stream->has_failed = true;
		return TLS_FAILED;
	}
	stream->is_up = true;
	return TLS_DONE;
}

enum tls_result tls_stream_read(struct tls_stream *stream, uint8_t *out, size_t size,
				size_t *got_out)
{
	int done;

	if (stream->has_failed)
		return ended(stream);
	ERR_clear_error();
	done = SSL_read_ex(stream->ssl, out, size, got_out);
	return done == 1 ? TLS_DONE : result_of(stream, done);
}

enum tls_result tls_stream_write(struct tls_stream *stream, const uint8_t *data, size_t length,
				 size_t *sent_out)
{
	int done;

	if (stream->has_failed)
		return TLS_FAILED;
	ERR_clear_error();
	done = SSL_write_ex(stream->ssl, data, length, sent_out);
	if (stream->send_error) {
		stream->system_error = stream->send_error;
		snprintf(stream->error, sizeof(stream->error), "%s",
			 strerror(stream->send_error));
		return TLS_FAILED; /* reading may go on: has_failed is not set */
	}
	return done == 1 ? TLS_DONE : result_of(stream, done);
}

void tls_stream_shut(struct tls_stream *stream)
{
	if (stream->has_failed || !stream->is_up || stream->send_error)
		return;
	ERR_clear_error();
	SSL_shutdown(stream->ssl);
	ERR_clear_error();
}

/* --- facts --- */

struct tls_context *tls_stream_context(const struct tls_stream *stream)
{
	return stream->context;
}

const char *tls_stream_host(const struct tls_stream *stream)
{
	return stream->host;
}

const char *tls_stream_error(const struct tls_stream *stream)
{
	return stream->error;
}

int tls_stream_errno(const struct tls_stream *stream)
{
	return stream->system_error;
}

const char *tls_stream_peer_name(const struct tls_stream *stream)
{
	return stream->peer_name;
}

const char *tls_stream_peer_dn(const struct tls_stream *stream)
{
	return stream->peer_dn;
}

/*
 * RFC 5929, 4.1: the hash of the certificate's own signature; SHA-256 in place of MD5 and SHA-1.
 * A signature without a hash of its own (Ed25519) leaves it undefined.
 */
static const EVP_MD *end_point_hash(const X509 *certificate)
{
	int digest = NID_undef;
	int key;

	if (!X509_get_signature_info((X509 *)certificate, &digest, &key, NULL, NULL))
		return NULL;
	if (digest == NID_md5 || digest == NID_sha1)
		return EVP_sha256();
	return EVP_get_digestbynid(digest);
}

size_t tls_stream_end_point(const struct tls_stream *stream, uint8_t out[TLS_END_POINT_MAX])
{
	const X509 *certificate = stream->context->role == TLS_ROLE_SERVER
					  ? SSL_get_certificate(stream->ssl)
					  : SSL_get0_peer_certificate(stream->ssl);
	const EVP_MD *hash = certificate ? end_point_hash(certificate) : NULL;
	unsigned length = 0;

	if (!stream->is_up || !hash || EVP_MD_get_size(hash) > TLS_END_POINT_MAX ||
	    !X509_digest(certificate, hash, out, &length))
		return 0;
	return length;
}

bool tls_stream_has_alpn(const struct tls_stream *stream)
{
	const unsigned char *name = NULL;
	unsigned length = 0;

	SSL_get0_alpn_selected(stream->ssl, &name, &length);
	return length == TLS_ALPN_BYTES - 1 && memcmp(name, tls_alpn + 1, length) == 0;
}

void tls_stream_describe(const struct tls_stream *stream, char *out, size_t size)
{
	int nid = SSL_get_negotiated_group(stream->ssl);
	const char *group = nid ? SSL_group_to_name(stream->ssl, nid) : NULL;

	snprintf(out, size, "%s/%s%s%s", SSL_get_version(stream->ssl),
		 SSL_get_cipher_name(stream->ssl), group ? "/ECDH=" : "", group ? group : "");
}

size_t tls_stream_memory(const struct tls_stream *stream)
{
	return sizeof(*stream) + stream->early_length + IDLE_BYTES;
}
