/*
 * The rules of pg_hba.conf: see auth/hba.h for what there is, authfile.c for the syntax. Pure;
 * loaded in the control thread, asked by any.
 */

#include "auth/hba.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"

#include "pattern.h"

#define WHY_SIZE 512

enum kind {
	KIND_LOCAL,
	KIND_HOST,
	KIND_HOSTSSL,
	KIND_HOSTNOSSL
};

enum reach {
	REACH_ALL,
	REACH_SAMEHOST,
	REACH_SAMENET,
	REACH_NETWORK
};

/* A database or a user of a rule. */
struct name {
	struct name *next;
	const struct authfile_token *token;
	regex_t *pattern; /* NULL: a keyword or a plain name */
};

/* Lives as long as the hba. */
struct rule {
	struct hba_rule public;
	struct rule *next;
	enum kind kind;
	struct name *databases;
	struct name *users;
	enum reach reach;
	struct hba_network network;
};

struct hba {
	struct arena *arena;
	struct rule *rules;
	struct rule **by_index; /* the same, for listings */
	size_t count;
	struct hba_network *own;
	size_t n_own;
};

/* --- addresses --- */

bool hba_address_parse(const char *text, struct hba_address *out)
{
	memset(out, 0, sizeof(*out));
	if (inet_pton(AF_INET, text, out->bytes) == 1)
		out->family = 4;
	else if (inet_pton(AF_INET6, text, out->bytes) == 1)
		out->family = 6;
	return out->family != 0;
}

static unsigned bits_of(uint8_t family)
{
	return family == 4 ? 32 : 128;
}

static void make_mask(uint8_t family, unsigned bits, struct hba_address *out)
{
	memset(out, 0, sizeof(*out));
	out->family = family;
	for (unsigned i = 0; i < bits; i++)
		out->bytes[i / 8] |= (uint8_t)(0x80 >> i % 8);
}

bool hba_network_has(const struct hba_network *network, const struct hba_address *address)
{
	if (address->family == 0 || address->family != network->address.family)
		return false;
	for (unsigned i = 0; i < bits_of(address->family) / 8; i++) {
		if ((address->bytes[i] ^ network->address.bytes[i]) & network->mask.bytes[i])
			return false;
	}
	return true;
}

static bool is_own(const struct hba *hba, const struct hba_address *address, bool whole_network)
{
	for (size_t i = 0; i < hba->n_own; i++) {
		struct hba_network network = hba->own[i];

		if (!whole_network)
			make_mask(network.address.family, bits_of(network.address.family),
				  &network.mask);
		if (hba_network_has(&network, address))
			return true;
	}
	return false;
}

/* --- loading: a line is read field by field --- */

struct loader {
	struct hba *hba;
	struct bytes *errors;
	const struct authfile_line *line;
	const struct authfile_field *next;
	struct rule *rule;
};

static bool fault(struct loader *l, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Always false. */
static bool fault(struct loader *l, const char *format, ...)
{
	char what[WHY_SIZE];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	bytes_printf(l->errors, "%s:%u: %s\n", l->line->file, l->line->number, what);
	return false;
}

/* The next field; with the word that says what is missing when there is none. */
static const struct authfile_field *take_field(struct loader *l, const char *what)
{
	const struct authfile_field *field = l->next;

	if (!field) {
		fault(l, "the line ends before the %s", what);
		return NULL;
	}
	l->next = field->next;
	return field;
}

static const struct authfile_token *take_word(struct loader *l, const char *what)
{
	const struct authfile_field *field = take_field(l, what);

	if (field && field->tokens->next) {
		fault(l, "only one %s is possible", what);
		return NULL;
	}
	return field ? field->tokens : NULL;
}

static bool read_kind(struct loader *l)
{
	static const struct {
		const char *word;
		enum kind kind;
	} kinds[] = { { "local", KIND_LOCAL },
		      { "host", KIND_HOST },
		      { "hostssl", KIND_HOSTSSL },
		      { "hostnossl", KIND_HOSTNOSSL },
		      { "hostnogssenc", KIND_HOST } }; /* GSS encryption is never there */
	const struct authfile_token *word = take_word(l, "connection type");

	if (!word)
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(word->text, kinds[i].word) == 0) {
			l->rule->kind = kinds[i].kind;
			return true;
		}
	}
	if (strcmp(word->text, "hostgssenc") == 0)
		return fault(l, "GSSAPI is not supported");
	return fault(l, "unknown connection type \"%.64s\"", word->text);
}

/* Words that need to know who is a member of what. */
static bool is_group(const struct authfile_token *token, bool is_database)
{
	if (is_database)
		return authfile_is_keyword(token, "samerole") ||
		       authfile_is_keyword(token, "samegroup");
	return token->text[0] == '+' && !token->is_quoted;
}

static bool add_name(struct loader *l, const struct authfile_token *token, struct name *name)
{
	char why[WHY_SIZE];

	name->token = token;
	if (token->text[0] != '/')
		return true;
	name->pattern = arena_zalloc(l->hba->arena, sizeof(*name->pattern));
	if (!name->pattern)
		return fault(l, "out of memory");
	if (pattern_compile(name->pattern, token->text, why, sizeof(why)))
		return true;
	name->pattern = NULL;
	return fault(l, "%s", why);
}

static bool read_names(struct loader *l, const char *what, bool is_database, struct name **end)
{
	const struct authfile_field *field = take_field(l, what);

	if (!field)
		return false;
	for (const struct authfile_token *token = field->tokens; token; token = token->next) {
		struct name *name = arena_zalloc(l->hba->arena, sizeof(*name));

		if (!name)
			return fault(l, "out of memory");
		if (is_group(token, is_database))
			return fault(l, "groups (\"%.64s\") are not supported", token->text);
		*end = name;
		end = &name->next;
		if (!add_name(l, token, name))
			return false;
	}
	return true;
}

/* A mask in a column of its own. */
static bool read_mask(struct loader *l)
{
	struct hba_network *network = &l->rule->network;
	const struct authfile_token *word = take_word(l, "mask");
	bool was_zero = false;

	if (!word)
		return false;
	if (!hba_address_parse(word->text, &network->mask))
		return fault(l, "\"%.64s\" is not a mask", word->text);
	if (network->mask.family != network->address.family)
		return fault(l, "address and mask are of different kinds");
	for (unsigned i = 0; i < bits_of(network->mask.family); i++) {
		bool is_one = network->mask.bytes[i / 8] & (0x80 >> i % 8);

		if (is_one && was_zero)
			return fault(l, "\"%.64s\" is not a mask", word->text);
		was_zero |= !is_one;
	}
	return true;
}

/* "/24"; false for anything else. */
static bool parse_bits(const char *text, uint8_t family, unsigned *out)
{
	char *end = NULL;
	unsigned long bits;

	if (text[0] < '0' || text[0] > '9')
		return false;
	bits = strtoul(text, &end, 10);
	*out = (unsigned)bits;
	return *end == '\0' && bits <= bits_of(family);
}

bool hba_network_parse(const char *text, struct hba_network *out)
{
	const char *slash = strchr(text, '/');
	char address[64];
	unsigned bits;

	snprintf(address, sizeof(address), "%.*s",
		 slash ? (int)(slash - text) : (int)strlen(text), text);
	if (!hba_address_parse(address, &out->address))
		return false;
	bits = bits_of(out->address.family);
	if (slash && !parse_bits(slash + 1, out->address.family, &bits))
		return false;
	make_mask(out->address.family, bits, &out->mask);
	return true;
}

static bool read_network(struct loader *l, const char *word)
{
	struct hba_network *network = &l->rule->network;
	char text[64];
	const char *slash = strchr(word, '/');
	unsigned bits;

	l->rule->reach = REACH_NETWORK;
	snprintf(text, sizeof(text), "%.*s", slash ? (int)(slash - word) : (int)strlen(word),
		 word);
	if (!hba_address_parse(text, &network->address))
		return fault(l, "\"%.64s\" is not an address (host names are not supported)",
			     word);
	if (!slash)
		return read_mask(l);
	if (!parse_bits(slash + 1, network->address.family, &bits))
		return fault(l, "invalid length of a mask in \"%.64s\"", word);
	make_mask(network->address.family, bits, &network->mask);
	return true;
}

static bool read_address(struct loader *l)
{
	const struct authfile_token *word;

	if (l->rule->kind == KIND_LOCAL)
		return true;
	word = take_word(l, "address");
	if (!word)
		return false;
	if (authfile_is_keyword(word, "all"))
		l->rule->reach = REACH_ALL;
	else if (authfile_is_keyword(word, "samehost"))
		l->rule->reach = REACH_SAMEHOST;
	else if (authfile_is_keyword(word, "samenet"))
		l->rule->reach = REACH_SAMENET;
	else
		return read_network(l, word->text);
	return true;
}

static bool read_method(struct loader *l)
{
	static const enum auth_type methods[] = { AUTH_TRUST, AUTH_REJECT, AUTH_PASSWORD,
						  AUTH_MD5,   AUTH_SCRAM,  AUTH_CERT,
						  AUTH_PEER };
	const struct authfile_token *word = take_word(l, "method");
	struct hba_rule *rule = &l->rule->public;
	size_t i;

	if (!word)
		return false;
	for (i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		if (strcmp(word->text, auth_type_name(methods[i])) == 0)
			break;
	}
	if (i == sizeof(methods) / sizeof(methods[0]))
		return fault(l, "the method \"%.64s\" is not supported", word->text);
	rule->method = methods[i];
	if (rule->method == AUTH_PEER && l->rule->kind != KIND_LOCAL)
		return fault(l, "the method \"peer\" is for local connections only");
	if (rule->method == AUTH_CERT && l->rule->kind != KIND_HOSTSSL)
		return fault(l, "the method \"cert\" is for hostssl connections only");
	if (rule->method == AUTH_CERT)
		rule->clientcert = HBA_CLIENTCERT_FULL;
	return true;
}

/* --- options: name=value --- */

static bool take_clientcert(struct loader *l, const char *value)
{
	struct hba_rule *rule = &l->rule->public;

	if (l->rule->kind != KIND_HOSTSSL)
		return fault(l, "clientcert is for hostssl connections only");
	if (strcmp(value, "verify-full") == 0)
		rule->clientcert = HBA_CLIENTCERT_FULL;
	else if (strcmp(value, "verify-ca") == 0 && rule->method != AUTH_CERT)
		rule->clientcert = HBA_CLIENTCERT_CA;
	else if (strcmp(value, "verify-ca") == 0)
		return fault(l, "clientcert can only be \"verify-full\" with the method cert");
	else
		return fault(l, "invalid value for clientcert: \"%.64s\"", value);
	return true;
}

static bool take_clientname(struct loader *l, const char *value)
{
	if (l->rule->kind != KIND_HOSTSSL)
		return fault(l, "clientname is for hostssl connections only");
	if (strcmp(value, "CN") != 0 && strcmp(value, "DN") != 0)
		return fault(l, "invalid value for clientname: \"%.64s\"", value);
	l->rule->public.is_by_dn = value[0] == 'D';
	return true;
}

static bool take_map(struct loader *l, const char *value)
{
	struct hba_rule *rule = &l->rule->public;

	if (rule->method != AUTH_CERT && rule->method != AUTH_PEER)
		return fault(l, "map is for the methods cert and peer only");
	rule->map = arena_copy_string(l->hba->arena, value);
	return rule->map || fault(l, "out of memory");
}

static bool take_option(struct loader *l, const char *text)
{
	const char *equals = strchr(text, '=');

	if (!equals)
		return fault(l, "an option of the form name=value expected, not \"%.64s\"", text);
	if (strncmp(text, "map=", 4) == 0)
		return take_map(l, equals + 1);
	if (strncmp(text, "clientcert=", 11) == 0)
		return take_clientcert(l, equals + 1);
	if (strncmp(text, "clientname=", 11) == 0)
		return take_clientname(l, equals + 1);
	return fault(l, "unknown option \"%.*s\"", (int)(equals - text < 64 ? equals - text : 64),
		     text);
}

static bool read_options(struct loader *l)
{
	while (l->next) {
		const struct authfile_field *field = take_field(l, "option");

		for (const struct authfile_token *token = field->tokens; token;
		     token = token->next) {
			if (!take_option(l, token->text))
				return false;
		}
	}
	return true;
}

/* --- all of it --- */

static bool read_rule(struct loader *l)
{
	return read_kind(l) && read_names(l, "database", true, &l->rule->databases) &&
	       read_names(l, "user", false, &l->rule->users) && read_address(l) &&
	       read_method(l) && read_options(l);
}

static bool read_rules(struct hba *hba, const struct authfile_line *lines, struct bytes *errors)
{
	struct rule **end = &hba->rules;
	bool is_sound = true;

	for (const struct authfile_line *line = lines; line; line = line->next) {
		struct loader l = { hba, errors, line, line->fields, NULL };

		l.rule = arena_zalloc(hba->arena, sizeof(*l.rule));
		if (!l.rule)
			return fault(&l, "out of memory");
		l.rule->public.file = line->file;
		l.rule->public.line = line->number;
		/* Hung in at once: its patterns are freed with the whole, whatever follows. */
		*end = l.rule;
		end = &l.rule->next;
		hba->count++;
		is_sound &= read_rule(&l);
	}
	return is_sound;
}

static bool number_rules(struct hba *hba)
{
	size_t n = 0;

	hba->by_index = arena_zalloc(hba->arena, (hba->count + 1) * sizeof(*hba->by_index));
	for (struct rule *rule = hba->rules; hba->by_index && rule; rule = rule->next)
		hba->by_index[n++] = rule;
	return hba->by_index != NULL;
}

static struct hba *create_empty(const struct hba_network *own, size_t n_own)
{
	struct hba *hba = calloc(1, sizeof(*hba));

	if (!hba)
		return NULL;
	hba->arena = arena_create(SIZE_MAX);
	if (hba->arena)
		hba->own = arena_zalloc(hba->arena, (n_own + 1) * sizeof(*own));
	if (!hba->own) {
		hba_destroy(&hba);
		return NULL;
	}
	if (n_own > 0)
		memcpy(hba->own, own, n_own * sizeof(*own));
	hba->n_own = n_own;
	return hba;
}

struct hba *hba_load(const char *path, const struct authfile_source *source,
		     const struct hba_network *own, size_t n_own, struct bytes *errors)
{
	const struct authfile_line *lines = NULL;
	struct hba *hba = create_empty(own, n_own);
	bool is_sound;

	if (!hba) {
		bytes_printf(errors, "%s: out of memory\n", path);
		return NULL;
	}
	is_sound = authfile_load(path, source, hba->arena, &lines, errors);
	is_sound &= read_rules(hba, lines, errors);
	if (!number_rules(hba)) {
		bytes_printf(errors, "%s: out of memory\n", path);
		is_sound = false;
	}
	if (!is_sound)
		hba_destroy(&hba);
	return hba;
}

static void free_patterns(struct name *name)
{
	for (; name; name = name->next) {
		if (name->pattern)
			regfree(name->pattern);
	}
}

void hba_destroy(struct hba **hba_pointer)
{
	struct hba *hba = *hba_pointer;

	*hba_pointer = NULL;
	if (!hba)
		return;
	for (struct rule *rule = hba->rules; rule; rule = rule->next) {
		free_patterns(rule->databases);
		free_patterns(rule->users);
	}
	arena_destroy(&hba->arena);
	free(hba);
}

/* --- asking --- */

static bool fits_database(const struct name *names, const struct hba_request *request)
{
	regmatch_t ignored[2];

	for (const struct name *name = names; name; name = name->next) {
		const struct authfile_token *token = name->token;

		/* As in PostgreSQL: "all" and names do not include physical replication. */
		if (request->is_replication) {
			if (authfile_is_keyword(token, "replication"))
				return true;
		} else if (authfile_is_keyword(token, "all")) {
			return true;
		} else if (authfile_is_keyword(token, "sameuser")) {
			if (strcmp(request->database, request->user) == 0)
				return true;
		} else if (authfile_is_keyword(token, "replication")) {
			continue;
		} else if (name->pattern ? pattern_fits(name->pattern, request->database, ignored)
					 : strcmp(token->text, request->database) == 0) {
			return true;
		}
	}
	return false;
}

static bool fits_user(const struct name *names, const char *user)
{
	regmatch_t ignored[2];

	for (const struct name *name = names; name; name = name->next) {
		if (authfile_is_keyword(name->token, "all"))
			return true;
		if (name->pattern ? pattern_fits(name->pattern, user, ignored)
				  : strcmp(name->token->text, user) == 0)
			return true;
	}
	return false;
}

static bool fits_connection(const struct hba *hba, const struct rule *rule,
			    const struct hba_request *request)
{
	const struct hba_address *address = &request->address;

	if ((rule->kind == KIND_LOCAL) != (address->family == 0))
		return false;
	if (rule->kind == KIND_LOCAL)
		return true;
	if ((rule->kind == KIND_HOSTSSL && !request->is_encrypted) ||
	    (rule->kind == KIND_HOSTNOSSL && request->is_encrypted))
		return false;
	switch (rule->reach) {
	case REACH_ALL: return true;
	case REACH_SAMEHOST: return is_own(hba, address, false);
	case REACH_SAMENET: return is_own(hba, address, true);
	case REACH_NETWORK: return hba_network_has(&rule->network, address);
	}
	UNREACHABLE();
}

const struct hba_rule *hba_find(const struct hba *hba, const struct hba_request *request)
{
	for (const struct rule *rule = hba->rules; rule; rule = rule->next) {
		if (fits_connection(hba, rule, request) &&
		    fits_database(rule->databases, request) &&
		    fits_user(rule->users, request->user))
			return &rule->public;
	}
	return NULL;
}

/* --- listing --- */

size_t hba_count(const struct hba *hba)
{
	return hba->count;
}

static void describe_names(const struct name *name, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (; name && used < size; name = name->next)
		used += (size_t)snprintf(out + used, size - used, "%s%s", used ? "," : "",
					 name->token->text);
}

static void describe_address(const struct rule *rule, char *out, size_t size)
{
	int family = rule->network.address.family == 4 ? AF_INET : AF_INET6;
	char text[INET6_ADDRSTRLEN] = "";
	unsigned bits = 0;

	out[0] = '\0';
	if (rule->kind == KIND_LOCAL)
		return;
	switch (rule->reach) {
	case REACH_ALL: snprintf(out, size, "all"); return;
	case REACH_SAMEHOST: snprintf(out, size, "samehost"); return;
	case REACH_SAMENET: snprintf(out, size, "samenet"); return;
	case REACH_NETWORK: break;
	}
	while (bits < bits_of(rule->network.mask.family) &&
	       rule->network.mask.bytes[bits / 8] & (0x80 >> bits % 8))
		bits++;
	inet_ntop(family, rule->network.address.bytes, text, sizeof(text));
	snprintf(out, size, "%s/%u", text, bits);
}

static void describe_options(const struct hba_rule *rule, char *out, size_t size)
{
	static const char *const clientcerts[] = { "", "clientcert=verify-ca ",
						   "clientcert=verify-full " };

	snprintf(out, size, "%s%s%s%s", clientcerts[rule->clientcert],
		 rule->is_by_dn ? "clientname=DN " : "", rule->map ? "map=" : "",
		 rule->map ? rule->map : "");
	while (out[0] && out[strlen(out) - 1] == ' ')
		out[strlen(out) - 1] = '\0';
}

void hba_describe(const struct hba *hba, size_t index, struct hba_words *out)
{
	static const char *const kinds[] = { "local", "host", "hostssl", "hostnossl" };
	const struct rule *rule;

	ASSERT(index < hba->count);
	rule = hba->by_index[index];
	out->rule = &rule->public;
	out->type = kinds[rule->kind];
	describe_names(rule->databases, out->database, sizeof(out->database));
	describe_names(rule->users, out->user, sizeof(out->user));
	describe_address(rule, out->address, sizeof(out->address));
	describe_options(&rule->public, out->options, sizeof(out->options));
}
