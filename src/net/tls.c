/*
 * TLS contexts; see net/tls.h. Files are read here and nowhere else, in the control thread when
 * the configuration is loaded; the result is used by all threads and never changed. What happens
 * on a connection is in tls_stream.c.
 */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "net/tls_private.h"

const char *tls_mode_name(enum tls_mode mode)
{
	static const char *const names[TLS_MODE_COUNT] = {
		"disable", "allow", "prefer", "require", "verify-ca", "verify-full",
	};

	return names[mode];
}

static const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

static bool same(const char *a, const char *b)
{
	return strcmp(text_or_empty(a), text_or_empty(b)) == 0;
}

bool tls_settings_are_same(const struct tls_settings *a, const struct tls_settings *b)
{
	return a->mode == b->mode && same(a->ca_file, b->ca_file) &&
	       same(a->cert_file, b->cert_file) && same(a->key_file, b->key_file) &&
	       same(a->protocols, b->protocols) && same(a->ciphers, b->ciphers) &&
	       same(a->ciphersuites, b->ciphersuites) && same(a->curves, b->curves);
}

/* --- versions --- */

static const int versions[] = { TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION, TLS1_3_VERSION };

#define VERSIONS (sizeof(versions) / sizeof(versions[0]))

/* A bit for each row of `versions`. */
static unsigned version_bits(const char *word, size_t length)
{
	static const struct {
		const char *word;
		unsigned bits;
	} words[] = {
		{ "tlsv1.0", 1 }, { "tlsv1.1", 2 }, { "tlsv1.2", 4 },
		{ "tlsv1.3", 8 }, { "tlsv1", 15 },  { "all", 15 },
		{ "legacy", 15 }, { "secure", 12 }, { "default", 12 },
	};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strlen(words[i].word) == length &&
		    strncasecmp(words[i].word, word, length) == 0)
			return words[i].bits;
	}
	return 0;
}

bool tls_protocols_parse(const char *text, int *lowest_out, int *highest_out, char *error_out,
			 size_t error_size)
{
	static const char separators[] = ",: \t";
	unsigned set = 0;
	size_t low = 0;
	size_t high = VERSIONS - 1;

	text += strspn(text, separators);
	while (*text) {
		size_t length = strcspn(text, separators);
		unsigned bits = version_bits(text, length);

		if (bits == 0) {
			snprintf(error_out, error_size, "\"%.*s\" is no version of TLS",
				 (int)length, text);
			return false;
		}
		set |= bits;
		text += length;
		text += strspn(text, separators);
	}
	if (set == 0)
		set = version_bits("secure", strlen("secure"));
	while (!(set & 1u << low))
		low++;
	while (!(set & 1u << high))
		high--;
	for (size_t i = low; i < high; i++) {
		if (!(set & 1u << i)) {
			snprintf(error_out, error_size, "the versions of TLS must be neighbours");
			return false;
		}
	}
	*lowest_out = versions[low];
	*highest_out = versions[high];
	return true;
}

const char *tls_version_name(int version)
{
	switch (version) {
	case TLS1_VERSION: return "TLSv1";
	case TLS1_1_VERSION: return "TLSv1.1";
	case TLS1_2_VERSION: return "TLSv1.2";
	default: return "TLSv1.3";
	}
}

/* --- making --- */

struct making {
	SSL_CTX *ssl;
	const struct tls_settings *settings;
	char *error_out;
	size_t error_size;
};

/* Says what went wrong, with OpenSSL's reason behind it. Always false. */
static bool fault(struct making *making, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool fault(struct making *making, const char *format, ...)
{
	unsigned long code = ERR_get_error();
	char reason[128];
	char text[384];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	tls_error_text(code, reason, sizeof(reason));
	snprintf(making->error_out, making->error_size, "%s%s%s", text, code ? ": " : "",
		 code ? reason : "");
	ERR_clear_error();
	return false;
}

static bool is_set(const char *text)
{
	return text && text[0];
}

static bool set_versions(struct making *making)
{
	const char *text = text_or_empty(making->settings->protocols);
	int lowest;
	int highest;

	if (!tls_protocols_parse(text, &lowest, &highest, making->error_out, making->error_size))
		return false;
	if (SSL_CTX_set_min_proto_version(making->ssl, lowest) != 1 ||
	    SSL_CTX_set_max_proto_version(making->ssl, highest) != 1)
		return fault(making, "the versions of TLS \"%s\" cannot be had", text);
	return true;
}

static bool set_ciphers(struct making *making)
{
	const struct tls_settings *settings = making->settings;
	const char *ciphers = settings->ciphers;

	/* PgBouncer's words for "as the library thinks best". */
	if (is_set(ciphers) && !same(ciphers, "default") && !same(ciphers, "secure") &&
	    SSL_CTX_set_cipher_list(making->ssl, ciphers) != 1)
		return fault(making, "the list of ciphers \"%s\" is not usable", ciphers);
	if (is_set(settings->ciphersuites) &&
	    SSL_CTX_set_ciphersuites(making->ssl, settings->ciphersuites) != 1)
		return fault(making, "the list of TLS 1.3 ciphers \"%s\" is not usable",
			     settings->ciphersuites);
	if (is_set(settings->curves) && !same(settings->curves, "auto") &&
	    SSL_CTX_set1_groups_list(making->ssl, settings->curves) != 1)
		return fault(making, "the curve \"%s\" is not known", settings->curves);
	return true;
}

static bool load_certificate(struct making *making, enum tls_role role)
{
	const char *cert = making->settings->cert_file;
	const char *key = making->settings->key_file;

	if (!is_set(cert) && !is_set(key)) {
		if (role == TLS_ROLE_SERVER)
			return fault(making, "there must be a certificate and its key");
		return true;
	}
	if (!is_set(cert) || !is_set(key))
		return fault(making, "a certificate and its key need each other");
	if (SSL_CTX_use_certificate_chain_file(making->ssl, cert) != 1)
		return fault(making, "could not read the certificate \"%s\"", cert);
	if (SSL_CTX_use_PrivateKey_file(making->ssl, key, SSL_FILETYPE_PEM) != 1)
		return fault(making, "could not read the key \"%s\"", key);
	if (SSL_CTX_check_private_key(making->ssl) != 1)
		return fault(making, "the key \"%s\" is not the one of the certificate \"%s\"",
			     key, cert);
	return true;
}

/* The names of the CAs are sent to clients, so that those with several certificates can choose.
 */
static bool load_authority(struct making *making, enum tls_role role)
{
	const char *ca = making->settings->ca_file;
	STACK_OF(X509_NAME) * names;

	if (!is_set(ca))
		return making->settings->mode < TLS_VERIFY_CA ||
		       fault(making, "with %s there must be a CA",
			     tls_mode_name(making->settings->mode));
	if (SSL_CTX_load_verify_locations(making->ssl, ca, NULL) != 1)
		return fault(making, "could not read the CA \"%s\"", ca);
	if (role != TLS_ROLE_SERVER)
		return true;
	names = SSL_load_client_CA_file(ca);
	if (!names)
		return fault(making, "could not read the CA \"%s\"", ca);
	SSL_CTX_set_client_CA_list(making->ssl, names);
	return true;
}

static void set_verification(struct making *making, enum tls_role role)
{
	bool is_strict = making->settings->mode >= TLS_VERIFY_CA;
	int how = SSL_VERIFY_NONE;

	if (role == TLS_ROLE_CLIENT)
		how = is_strict ? SSL_VERIFY_PEER : SSL_VERIFY_NONE;
	else if (is_set(making->settings->ca_file))
		how = SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE |
		      (is_strict ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
	SSL_CTX_set_verify(making->ssl, how, NULL);
}

/* A key with a passphrase: nobody is there to type it. */
static int no_passphrase(char *out, int size, int is_encrypting, void *context)
{
	(void)out;
	(void)size;
	(void)is_encrypting;
	(void)context;
	return 0;
}

/* PostgreSQL documentation, "SSL Session Encryption": clients that offer protocols must offer
 * ours. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_length,
			   const unsigned char *in, unsigned in_length, void *context)
{
	unsigned char *chosen;

	(void)ssl;
	(void)context;
	if (SSL_select_next_proto(&chosen, out_length, tls_alpn, TLS_ALPN_BYTES, in, in_length) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static bool set_manners(struct making *making, enum tls_role role)
{
	SSL_CTX *ssl = making->ssl;

	/* Renegotiation is off (CVE-2009-3555); tickets and sessions would be state that nobody
	 * bounds. */
	SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
					 SSL_OP_NO_TICKET | SSL_OP_CIPHER_SERVER_PREFERENCE |
					 SSL_OP_SINGLE_ECDH_USE);
	SSL_CTX_set_session_cache_mode(ssl, SSL_SESS_CACHE_OFF);
	/* Idle connections hold no buffers; what is queued may move in memory between two tries.
	 */
	SSL_CTX_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				      SSL_MODE_RELEASE_BUFFERS);
	/* One recv() for what would be two: the header of a record and the rest. */
	SSL_CTX_set_read_ahead(ssl, 1);
	SSL_CTX_set_default_passwd_cb(ssl, no_passphrase);
	if (role == TLS_ROLE_SERVER) {
		SSL_CTX_set_num_tickets(ssl, 0);
		SSL_CTX_set_dh_auto(ssl, 1);
		SSL_CTX_set_alpn_select_cb(ssl, choose_protocol, NULL);
		return true;
	}
	return SSL_CTX_set_alpn_protos(ssl, tls_alpn, TLS_ALPN_BYTES) == 0 ||
	       fault(making, "out of memory");
}

struct tls_context *tls_context_create(enum tls_role role, const struct tls_settings *settings,
				       char *error_out, size_t error_size)
{
	struct making making = { NULL, settings, error_out, error_size };
	struct tls_context *context = calloc(1, sizeof(*context));

	ASSERT(settings->mode != TLS_DISABLE);
	ERR_clear_error();
	making.ssl =
		SSL_CTX_new(role == TLS_ROLE_SERVER ? TLS_server_method() : TLS_client_method());
	if (!context || !making.ssl) {
		fault(&making, "out of memory");
		goto out;
	}
	if (!set_manners(&making, role) || !set_versions(&making) || !set_ciphers(&making) ||
	    !load_authority(&making, role) || !load_certificate(&making, role))
		goto out;
	set_verification(&making, role);
	context->ssl = making.ssl;
	context->role = role;
	context->mode = settings->mode;
	atomic_init(&context->references, 1);
	return context;
out:
	SSL_CTX_free(making.ssl);
	free(context);
	return NULL;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
	if (context)
		atomic_fetch_add_explicit(&context->references, 1, memory_order_relaxed);
	return context;
}

void tls_context_unref(struct tls_context **context_pointer)
{
	struct tls_context *context = *context_pointer;

	*context_pointer = NULL;
	if (!context ||
	    atomic_fetch_sub_explicit(&context->references, 1, memory_order_acq_rel) != 1)
		return;
	SSL_CTX_free(context->ssl);
	free(context);
}

enum tls_mode tls_context_mode(const struct tls_context *context)
{
	return context ? context->mode : TLS_DISABLE;
}

/* --- errors --- */

void tls_error_text(unsigned long code, char *out, size_t size)
{
	const char *reason = ERR_reason_error_string(code);

	if (ERR_SYSTEM_ERROR(code))
		snprintf(out, size, "%s", strerror(ERR_GET_REASON(code)));
	else if (reason)
		snprintf(out, size, "%s", reason);
	else
		snprintf(out, size, "error %lx", code);
}
