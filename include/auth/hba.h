#ifndef POINTSMAN_AUTH_HBA_H
#define POINTSMAN_AUTH_HBA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth/authfile.h"
#include "auth/method.h"

/*
 * Which client has to prove itself how: a file in the format of pg_hba.conf. The first rule that
 * fits decides. Immutable once loaded; any thread may ask.
 *
 * Not supported, and errors that say so: groups ("+role", samerole), host names, the methods
 * that PostgreSQL has beyond those of enum auth_type, hostgssenc.
 */
struct hba;

struct hba_address {
	uint8_t family;    /* 4 or 6; 0: none, a unix socket */
	uint8_t bytes[16]; /* the first four for IPv4, in network order */
};

/* An address that this machine has, and its network: for samehost and samenet. */
struct hba_network {
	struct hba_address address;
	struct hba_address mask;
};

enum hba_clientcert {
	HBA_CLIENTCERT_NONE,
	HBA_CLIENTCERT_CA,   /* a certificate that the CA has signed */
	HBA_CLIENTCERT_FULL, /* and its name is the user's, or mapped to it */
};

struct hba_rule {
	enum auth_type method; /* AUTH_REJECT and AUTH_PEER included, AUTH_HBA not */
	enum hba_clientcert clientcert;
	bool is_by_dn;   /* clientname=DN: the whole name of the certificate counts, not its CN */
	const char *map; /* name in the ident map; NULL: none */
	const char *file;
	unsigned line;
};

struct hba_request {
	struct hba_address address;
	bool is_encrypted;
	bool is_replication; /* physical; what has a database counts as that database's */
	const char *database;
	const char *user;
};

/*
 * Loads the file with what it includes. NULL: `errors` has a line "file:line: what" for each
 * mistake.
 */
struct hba *hba_load(const char *path, const struct authfile_source *source,
		     const struct hba_network *own, size_t n_own, struct bytes *errors);
void hba_destroy(struct hba **hba);

/* The first rule that fits; NULL: none does, which is a refusal. */
const struct hba_rule *hba_find(const struct hba *hba, const struct hba_request *request);

/* The address from numbers in text; false when it is none. */
bool hba_address_parse(const char *text, struct hba_address *out);

/* "192.0.2.0/24", "2001:db8::/32", or one address; false when it is none. */
bool hba_network_parse(const char *text, struct hba_network *out);
bool hba_network_has(const struct hba_network *network, const struct hba_address *address);

/* --- for listings: rules in order, in words --- */

struct hba_words {
	const struct hba_rule *rule;
	const char *type; /* "local", "host", ... */
	char database[256];
	char user[256];
	char address[64]; /* "" for local */
	char options[128];
};

size_t hba_count(const struct hba *hba);
void hba_describe(const struct hba *hba, size_t index, struct hba_words *out);

#endif
