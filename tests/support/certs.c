/*
 * Certificates for tests; see certs.h. Nothing of this outlives the directory it is written to.
 */
#include "certs.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#define DAY          (24L * 60 * 60)
#define DEFAULT_DAYS 30

static FILE *open_file(const char *directory, const char *name, const char *suffix,
		       const char *mode)
{
	char path[PATH_MAX];
	FILE *file = NULL;
	int fd;

	snprintf(path, sizeof(path), "%s/%s%s", directory, name, suffix);
	if (mode[0] == 'r')
		return fopen(path, mode);
	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
		  strcmp(suffix, ".key") == 0 ? 0600 : 0644);
	if (fd != -1)
		file = fdopen(fd, mode);
	if (!file)
		perror(path);
	return file;
}

static EVP_PKEY *make_key(const struct cert_options *options)
{
	if (options->is_rsa)
		return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	if (options->is_ed25519)
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
}

static bool add_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool added = extension && X509_add_ext(certificate, extension, -1) == 1;

	X509_EXTENSION_free(extension);
	return added;
}

static bool fill(X509 *certificate, EVP_PKEY *key, const char *name,
		 const struct cert_options *options)
{
	const char *common_name = options->common_name ? options->common_name : name;
	long end = (options->days ? options->days : DEFAULT_DAYS) * DAY;
	X509_NAME *subject = X509_get_subject_name(certificate);
	unsigned serial = 1;

	RAND_bytes((unsigned char *)&serial, sizeof(serial));
	X509_set_version(certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), (long)(serial >> 1) + 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), (end < 0 ? end : 0) - DAY);
	X509_gmtime_adj(X509_getm_notAfter(certificate), end);
	X509_set_pubkey(certificate, key);
	if (X509_NAME_add_entry_by_txt(subject, "O", MBSTRING_ASC, (const unsigned char *)"tests",
				       -1, -1, 0) != 1 ||
	    (common_name[0] &&
	     X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
					(const unsigned char *)common_name, -1, -1, 0) != 1))
		return false;
	return (!options->is_ca ||
		add_extension(certificate, NID_basic_constraints, "critical,CA:TRUE")) &&
	       (!options->alternative ||
		add_extension(certificate, NID_subject_alt_name, options->alternative));
}

/* Signs with the issuer's key, or with its own. */
static bool sign(X509 *certificate, EVP_PKEY *key, const char *directory, const char *issuer)
{
	FILE *file = issuer ? open_file(directory, issuer, ".crt", "r") : NULL;
	X509 *ca = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;
	EVP_PKEY *ca_key = NULL;
	EVP_PKEY *with;
	bool is_signed;

	if (file)
		fclose(file);
	file = issuer ? open_file(directory, issuer, ".key", "r") : NULL;
	ca_key = file ? PEM_read_PrivateKey(file, NULL, NULL, NULL) : NULL;
	if (file)
		fclose(file);
	with = issuer ? ca_key : key;
	is_signed = with && (!issuer || ca) &&
		    X509_set_issuer_name(certificate,
					 X509_get_subject_name(issuer ? ca : certificate)) == 1 &&
		    X509_sign(certificate, with,
			      EVP_PKEY_is_a(with, "ED25519") ? NULL : EVP_sha256()) > 0;
	X509_free(ca);
	EVP_PKEY_free(ca_key);
	return is_signed;
}

static bool write_files(X509 *certificate, EVP_PKEY *key, const char *directory, const char *name)
{
	FILE *file = open_file(directory, name, ".crt", "w");
	bool written = file && PEM_write_X509(file, certificate) == 1;

	if (file && fclose(file) != 0)
		written = false;
	file = open_file(directory, name, ".key", "w");
	written = written && file &&
		  PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL) == 1;
	if (file && fclose(file) != 0)
		written = false;
	return written;
}

bool cert_make(const char *directory, const char *name, const struct cert_options *options)
{
	EVP_PKEY *key = make_key(options);
	X509 *certificate = X509_new();
	bool made = key && certificate && fill(certificate, key, name, options) &&
		    sign(certificate, key, directory, options->issuer) &&
		    write_files(certificate, key, directory, name);

	if (!made) {
		fprintf(stderr, "could not make the certificate \"%s\"\n", name);
		ERR_print_errors_fp(stderr);
	}
	X509_free(certificate);
	EVP_PKEY_free(key);
	return made;
}
