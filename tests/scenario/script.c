/*
 * Reads and plays the scripts (*.scn); see README.md for the language. One line at a time: after
 * each the proxy runs until nothing happens any more.
 */
#include "script.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/password.h"
#include "auth/scram.h"
#include "base/panic.h"
#include "player.h"
#include "session/client.h"

#define TOKENS_MAX 96
#define VARS_MAX   64

enum token_kind {
	TOKEN_WORD,
	TOKEN_STRING,
	TOKEN_LIKE,
	TOKEN_ANY,
	TOKEN_VAR,
	TOKEN_COMMA
};

struct token {
	enum token_kind kind;
	char *text;
};

struct variable {
	char name[40];
	char *value;
};

struct script {
	const char *path;
	unsigned line;
	struct player *player;
	struct player_setup setup;
	struct bytes options;
	struct bytes database;
	struct bytes more;
	struct bytes hba;
	struct bytes users;
	char *words[PLAYER_NODES_MAX + 1]; /* names that the set-up points to */
	size_t n_words;
	struct token tokens[TOKENS_MAX];
	size_t n;
	struct variable vars[VARS_MAX];
	size_t n_vars;
	struct bytes rest; /* of a message that was cut */
	unsigned long fail_nth;
	struct script_result *result;
};

/* --- failing --- */

static bool fail(struct script *script, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool fail(struct script *script, const char *format, ...)
{
	char text[900];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(script->result->why, sizeof(script->result->why), "%s:%u: %s", script->path,
		 script->line, text);
	return false;
}

/* --- tokens --- */

static void add_token(struct script *script, enum token_kind kind, const void *text,
		      size_t length)
{
	struct token *token = &script->tokens[script->n];

	ASSERT(script->n < TOKENS_MAX);
	token->kind = kind;
	token->text = strndup(text, length);
	ASSERT(token->text);
	script->n++;
}

static void free_tokens(struct script *script)
{
	for (size_t i = 0; i < script->n; i++)
		free(script->tokens[i].text);
	script->n = 0;
}

/* "text", or "text"*1000. */
static const char *read_string(struct script *script, enum token_kind kind, const char *at)
{
	const char *end = at + 1;
	struct bytes text = { 0 };
	unsigned long times = 1;
	size_t length;
	uint8_t *bytes;

	while (*end && *end != '"')
		end += *end == '\\' && end[1] ? 2 : 1;
	bytes_append(&text, at + 1, (size_t)(end - at - 1));
	bytes_append(&text, "", 1);
	bytes = message_unescape((const char *)bytes_begin(&text), &length);
	bytes_clear(&text);
	if (*end == '"')
		end++;
	if (*end == '*' && isdigit((unsigned char)end[1]))
		times = strtoul(end + 1, (char **)&end, 10);
	for (; times > 0; times--) {
		struct message escaped = { 0 };

		message_add(&escaped, bytes, length);
		bytes_append_text(&text, escaped.args[0]);
		message_free(&escaped);
	}
	add_token(script, kind, bytes_length(&text) ? bytes_begin(&text) : (const uint8_t *)"",
		  bytes_length(&text));
	bytes_free(&text);
	free(bytes);
	return end;
}

static const char *read_word(struct script *script, const char *at)
{
	const char *end = at;

	while (*end && !isspace((unsigned char)*end) && *end != ',' && *end != '"')
		end++;
	if (*at == '$')
		add_token(script, TOKEN_VAR, at + 1, (size_t)(end - at - 1));
	else if (end == at + 1 && *at == '*')
		add_token(script, TOKEN_ANY, at, 1);
	else
		add_token(script, TOKEN_WORD, at, (size_t)(end - at));
	return end;
}

static void tokenize(struct script *script, const char *line)
{
	free_tokens(script);
	for (const char *at = line; *at && *at != '#';) {
		if (isspace((unsigned char)*at)) {
			at++;
		} else if (*at == ',') {
			add_token(script, TOKEN_COMMA, at++, 1);
		} else if (*at == '"') {
			at = read_string(script, TOKEN_STRING, at);
		} else if (at[0] == '~' && at[1] == '"') {
			at = read_string(script, TOKEN_LIKE, at + 1);
		} else {
			at = read_word(script, at);
		}
	}
}

static const char *word(const struct script *script, size_t index)
{
	return index < script->n ? script->tokens[index].text : "";
}

static bool word_is(const struct script *script, size_t index, const char *text)
{
	return strcmp(word(script, index), text) == 0;
}

/* --- variables --- */

static struct variable *find_var(struct script *script, const char *name)
{
	for (size_t i = 0; i < script->n_vars; i++) {
		if (strcmp(script->vars[i].name, name) == 0)
			return &script->vars[i];
	}
	return NULL;
}

static void set_var(struct script *script, const char *name, const char *value)
{
	struct variable *var = find_var(script, name);

	if (!var) {
		ASSERT(script->n_vars < VARS_MAX);
		var = &script->vars[script->n_vars++];
		snprintf(var->name, sizeof(var->name), "%s", name);
		var->value = NULL;
	}
	free(var->value);
	var->value = strdup(value);
	ASSERT(var->value);
}

static void set_number(struct script *script, const char *peer, const char *what, uint32_t value)
{
	char name[40];
	char text[16];

	snprintf(name, sizeof(name), "%.20s.%s", peer, what);
	snprintf(text, sizeof(text), "%u", value);
	set_var(script, name, text);
}

static void set_text(struct script *script, const char *peer, const char *what, const char *text)
{
	char name[40];

	snprintf(name, sizeof(name), "%.20s.%s", peer, what);
	set_var(script, name, text);
}

/* --- messages in scripts --- */

/* Reads tokens[*at..] up to a comma: a name and arguments with variables filled in. */
static bool take_message(struct script *script, size_t *at, struct message *out)
{
	memset(out, 0, sizeof(*out));
	snprintf(out->name, sizeof(out->name), "%s", word(script, *at));
	for (++*at; *at < script->n && script->tokens[*at].kind != TOKEN_COMMA; ++*at) {
		const struct token *token = &script->tokens[*at];
		const struct variable *var;

		if (token->kind != TOKEN_VAR) {
			out->args[out->n_args++] = strdup(token->text);
			continue;
		}
		var = find_var(script, token->text);
		if (!var) {
			message_free(out);
			return fail(script, "$%s is not set", token->text);
		}
		out->args[out->n_args++] = strdup(var->value);
	}
	++*at; /* the comma */
	return true;
}

static bool arg_fits(struct script *script, const struct token *token, const char *arg)
{
	const struct variable *var;

	switch (token->kind) {
	case TOKEN_ANY: return true;
	case TOKEN_LIKE: return strstr(arg, token->text) != NULL;
	case TOKEN_VAR:
		var = find_var(script, token->text);
		if (!var)
			set_var(script, token->text, arg);
		return !var || strcmp(var->value, arg) == 0;
	default: return strcmp(token->text, arg) == 0;
	}
}

/* Does a message fit tokens[at..end)? */
static bool fits(struct script *script, size_t at, size_t end, const struct message *message)
{
	if (strcmp(script->tokens[at].text, message->name) != 0 || end - at - 1 > message->n_args)
		return false;
	for (size_t i = at + 1; i < end; i++) {
		if (!arg_fits(script, &script->tokens[i], message->args[i - at - 1]))
			return false;
	}
	return true;
}

static size_t end_of_message(const struct script *script, size_t at)
{
	while (at < script->n && script->tokens[at].kind != TOKEN_COMMA)
		at++;
	return at;
}

static void expected_text(const struct script *script, size_t at, size_t end, char *out,
			  size_t size)
{
	size_t length = 0;

	out[0] = '\0';
	for (size_t i = at; i < end && length < size; i++)
		length += (size_t)snprintf(out + length, size - length, "%s%.60s",
					   i > at ? " " : "", script->tokens[i].text);
}

/* --- sending --- */

static struct peer *need_peer(struct script *script, const char *name)
{
	struct peer *peer = player_find(script->player, name);

	if (!peer)
		fail(script, "there is no connection \"%s\"", name);
	return peer;
}

static void send_bytes(struct script *script, struct peer *peer, const struct bytes *bytes,
		       size_t piece)
{
	const uint8_t *data = bytes_begin(bytes);
	size_t length = bytes_length(bytes);

	for (size_t at = 0; at < length;) {
		size_t n = piece && piece < length - at ? piece : length - at;

		peer_send(peer, data + at, n);
		at += n;
		if (at < length)
			player_run(script->player);
	}
}

/* Keeps what is beyond the first `keep` bytes for `rest`. */
static void cut(struct script *script, struct bytes *bytes, size_t keep)
{
	size_t length = bytes_length(bytes);

	bytes_clear(&script->rest);
	if (keep >= length)
		return;
	bytes_append(&script->rest, bytes_begin(bytes) + keep, length - keep);
	bytes->end -= length - keep;
}

static bool add_message(struct script *script, struct peer *peer, size_t *at, struct bytes *bytes)
{
	struct message message;
	bool done;

	if (word_is(script, *at, "rest")) {
		bytes_append(bytes, bytes_begin(&script->rest), bytes_length(&script->rest));
		bytes_clear(&script->rest);
		*at += 2;
		return true;
	}
	if (word_is(script, *at, "cut")) {
		cut(script, bytes, strtoul(word(script, *at + 1), NULL, 10));
		*at += 3;
		return true;
	}
	if (!take_message(script, at, &message))
		return false;
	peer_trace(peer, ">", &message);
	if (strcmp(message.name, "SSLRequest") == 0 || strcmp(message.name, "GSSENCRequest") == 0)
		peer->bytes_due++;
	done = message_build(&message, peer->direction, bytes) ||
	       fail(script, "no message \"%s\"", message.name);
	message_free(&message);
	return done;
}

/* NAME > message, message, ...     NAME >/3 ...: in pieces of three bytes */
static bool do_send(struct script *script)
{
	struct peer *peer = need_peer(script, word(script, 0));
	const char *operator= word(script, 1);
	struct bytes bytes = { 0 };
	bool done = peer != NULL;

	for (size_t at = 2; done && at < script->n;)
		done = add_message(script, peer, &at, &bytes);
	if (done && bytes_length(&bytes) > 0)
		send_bytes(script, peer,
			   &bytes, operator[1] == '/' ? strtoul(operator+ 2, NULL, 10) : 0);
	bytes_free(&bytes);
	return done;
}

/* --- expecting --- */

static bool wrong(struct script *script, size_t at, size_t end, const struct message *message)
{
	char expected[300];
	char *text = message ? message_text(message) : NULL;

	expected_text(script, at, end, expected, sizeof(expected));
	fail(script, "%s: expected %s, came %s", word(script, 0), expected,
	     text ? text : "nothing");
	free(text);
	return false;
}

static bool expect_one(struct script *script, struct peer *peer, size_t at, size_t end)
{
	struct message message;
	bool good;

	if (!peer_receive(peer, &message))
		return wrong(script, at, end, NULL);
	good = fits(script, at, end, &message) || wrong(script, at, end, &message);
	message_free(&message);
	return good;
}

/* AuthenticationOk (where it is still due), parameters, key, ReadyForQuery. */
static bool expect_welcome(struct script *script, struct peer *peer)
{
	struct message message;
	bool is_last = false;
	bool good = true;

	while (good && !is_last) {
		if (!peer_receive(peer, &message))
			return fail(script, "%s: no end of the welcome came", peer->name);
		is_last = strcmp(message.name, "Ready") == 0 && message.args[0][0] == 'I';
		if (strcmp(message.name, "KeyData") == 0) {
			peer->pid = (uint32_t)strtoul(message.args[0], NULL, 10);
			snprintf(peer->key, sizeof(peer->key), "%s", message.args[1]);
			set_number(script, peer->name, "pid", peer->pid);
			set_text(script, peer->name, "key", peer->key);
		} else if (!is_last && strcmp(message.name, "AuthenticationOk") != 0 &&
			   strcmp(message.name, "ParameterStatus") != 0) {
			char *text = message_text(&message);

			good = fail(script, "%s: came %s in the welcome", peer->name, text);
			free(text);
		}
		message_free(&message);
	}
	return good;
}

static bool expect_end(struct script *script, struct peer *peer)
{
	return peer->is_eof || fail(script, "%s: is not closed", peer->name);
}

/* The beginning of a message has come, and not the end. It is forgotten. */
static bool expect_partial(struct script *script, struct peer *peer)
{
	struct message message;

	if (peer_receive(peer, &message)) {
		message_free(&message);
		return fail(script, "%s: a whole message came", peer->name);
	}
	if (bytes_length(&peer->in) == 0)
		return fail(script, "%s: nothing came", peer->name);
	bytes_clear(&peer->in);
	return true;
}

static bool expect_no_more(struct script *script, struct peer *peer)
{
	struct message message;
	char *text;

	if (bytes_length(&peer->in) == 0)
		return true;
	if (!peer_receive(peer, &message))
		return fail(script, "%s: %zu bytes of an unfinished message came", peer->name,
			    bytes_length(&peer->in));
	text = message_text(&message);
	fail(script, "%s: what came goes on with %s", peer->name, text);
	free(text);
	message_free(&message);
	return false;
}

/* NAME < message, message, ... : these, and no more unless it ends in "..." */
static bool do_expect(struct script *script)
{
	struct peer *peer = need_peer(script, word(script, 0));
	bool good = peer != NULL;

	for (size_t at = 2; good && at < script->n;) {
		size_t end = end_of_message(script, at);

		if (word_is(script, at, "..."))
			return true;
		if (word_is(script, at, "closed"))
			good = expect_no_more(script, peer) && expect_end(script, peer);
		else if (word_is(script, at, "partial"))
			good = expect_partial(script, peer);
		else if (word_is(script, at, "Welcome"))
			good = expect_welcome(script, peer);
		else if (!word_is(script, at, "nothing"))
			good = expect_one(script, peer, at, end);
		at = end + 1;
	}
	return good && expect_no_more(script, peer);
}

/* --- connections --- */

static bool do_open(struct script *script)
{
	if (word_is(script, 2, "proxied"))
		return player_connect_proxied(script->player, word(script, 0)) != NULL;
	return player_connect(script->player, word(script, 0)) != NULL;
}

static bool do_connect(struct script *script)
{
	struct peer *peer = player_connect(script->player, word(script, 0));
	struct message startup = { .name = "Startup" };

	for (size_t i = 2; i < script->n; i++)
		startup.args[startup.n_args++] = strdup(script->tokens[i].text);
	/* Only a version, or nothing: the usual names. */
	if (startup.n_args == 0 || !strchr(startup.args[startup.n_args - 1], '=')) {
		message_add_text(&startup, "user=app");
		message_add_text(&startup, "database=app");
	}
	peer_send_message(peer, &startup);
	message_free(&startup);
	return true;
}

static struct peer *accept_peer(struct script *script)
{
	const char *name = word(script, 2);
	int node = player_node(script->player, name);
	struct peer *peer;

	if (node == -1) {
		fail(script, "there is no node \"%s\"", name);
		return NULL;
	}
	peer = player_accept(script->player, (unsigned)node, word(script, 0));
	if (!peer)
		fail(script, "nobody connects to %s", name);
	else
		player_run(script->player);
	return peer;
}

static bool do_accept(struct script *script)
{
	return accept_peer(script) != NULL;
}

/* Accepts, and logs the proxy in. */
static bool do_serve(struct script *script)
{
	struct peer *peer = accept_peer(script);
	struct player_node *node;
	struct message message;
	char pid[16];

	if (!peer)
		return false;
	node = &script->player->nodes[peer->node];
	if (!peer_receive(peer, &message))
		return fail(script, "%s: no StartupMessage came", peer->name);
	if (strcmp(message.name, "Startup") != 0)
		fail(script, "%s: %s came for a StartupMessage", peer->name, message.name);
	message_free(&message);
	peer->pid = ++script->player->last_pid;
	snprintf(peer->key, sizeof(peer->key), "%u", peer->pid * 1000);
	set_number(script, peer->name, "pid", peer->pid);
	set_text(script, peer->name, "key", peer->key);
	snprintf(pid, sizeof(pid), "%u", peer->pid);
	peer_say(peer, "AuthenticationOk", NULL, NULL);
	peer_say(peer, "ParameterStatus", "server_version", "15.4");
	peer_say(peer, "ParameterStatus", "in_hot_standby",
		 node->role == NODE_ROLE_REPLICA ? "on" : "off");
	peer_say(peer, "KeyData", pid, peer->key);
	peer_say(peer, "Ready", "I", NULL);
	return script->result->why[0] == '\0';
}

static bool do_close(struct script *script)
{
	struct peer *peer = need_peer(script, word(script, 0));

	if (peer)
		peer_free(script->player, peer);
	return peer != NULL;
}

static bool do_cancel(struct script *script)
{
	struct peer *target = need_peer(script, word(script, 2));
	struct message request = { .name = "CancelRequest", .n_args = 2 };

	if (!target)
		return false;
	ASSERT(asprintf(&request.args[0], "%u", target->pid) > 0);
	request.args[1] = strdup(target->key);
	peer_send_message(player_connect(script->player, word(script, 0)), &request);
	message_free(&request);
	return true;
}

/* --- authentication --- */

/* What the look-up of a user comes to: answer bob "secret" | unknown | failed | without. */
static bool do_answer(struct script *script)
{
	static const struct {
		const char *word;
		enum lookup_result result;
	} words[] = { { "unknown", LOOKUP_UNKNOWN },
		      { "failed", LOOKUP_FAILED },
		      { "without", LOOKUP_FOUND } };
	const char *user = word(script, 1);
	enum lookup_result result = LOOKUP_FOUND;
	const char *secret = word(script, 2);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(word(script, 2), words[i].word) == 0) {
			result = words[i].result;
			secret = NULL;
		}
	}
	return player_answer(script->player, user, result, secret) ||
	       fail(script, "nobody looks for \"%s\"", user);
}

static bool answer_md5(struct script *script, struct peer *peer, const struct message *message,
		       const char *password)
{
	char response[MD5_RESPONSE_BYTES];
	size_t length;
	uint8_t *salt = message_unescape(message->args[0], &length);
	bool good = length == 4 && password_md5_response(password, "app", salt, response);

	free(salt);
	if (good)
		peer_say(peer, "Password", response, NULL);
	return good || fail(script, "no salt");
}

static void send_sasl(struct peer *peer, const struct bytes *data, bool is_first)
{
	struct bytes out = { 0 };
	struct bytes body = { 0 };
	uint32_t length = __builtin_bswap32((uint32_t)bytes_length(data));
	uint32_t size;

	if (is_first) {
		bytes_append(&body, SCRAM_MECHANISM, strlen(SCRAM_MECHANISM) + 1);
		bytes_append(&body, &length, 4);
	}
	bytes_append(&body, bytes_begin(data), bytes_length(data));
	size = __builtin_bswap32((uint32_t)bytes_length(&body) + 4);
	bytes_append(&out, "p", 1);
	bytes_append(&out, &size, 4);
	bytes_append(&out, bytes_begin(&body), bytes_length(&body));
	peer_send(peer, bytes_begin(&out), bytes_length(&out));
	bytes_free(&out);
	bytes_free(&body);
}

static bool answer_scram(struct script *script, struct peer *peer, const char *password)
{
	struct scram_client *scram = scram_client_create(password);
	struct bytes data = { 0 };
	struct message message = { 0 };
	const char *error = NULL;
	bool good = scram && scram_client_first(scram, &data);

	if (good)
		send_sasl(peer, &data, true);
	player_run(script->player);
	bytes_clear(&data);
	if (good && peer_receive(peer, &message) &&
	    strcmp(message.name, "AuthenticationSASLContinue") == 0) {
		size_t length;
		uint8_t *bytes = message_unescape(message.args[0], &length);

		good = scram_client_step(scram, bytes, length, &data, &error) == SCRAM_CONTINUE;
		free(bytes);
		if (good)
			send_sasl(peer, &data, false);
	} else {
		good = false;
	}
	message_free(&message);
	bytes_free(&data);
	scram_client_destroy(&scram);
	return good || fail(script, "SCRAM went wrong: %s", error ? error : "no answer");
}

/* Answers what the proxy asks for; its verdict is left to be looked at. */
static bool do_authenticate(struct script *script)
{
	struct peer *peer = need_peer(script, word(script, 0));
	const char *password = word(script, 2);
	struct message message;
	bool good = true;

	if (!peer)
		return false;
	if (!peer_receive(peer, &message))
		return fail(script, "%s is not asked for a password", peer->name);
	if (strcmp(message.name, "AuthenticationPassword") == 0)
		peer_say(peer, "Password", password, NULL);
	else if (strcmp(message.name, "AuthenticationMD5") == 0)
		good = answer_md5(script, peer, &message, password);
	else if (strcmp(message.name, "AuthenticationSASL") == 0)
		good = answer_scram(script, peer, password);
	else
		good = fail(script, "%s: %s", peer->name, message.name);
	message_free(&message);
	return good;
}

/* --- the world --- */

static usec read_duration(const char *text)
{
	char *unit;
	double value = strtod(text, &unit);

	if (strcmp(unit, "ms") == 0)
		return (usec)(value * (double)USEC_PER_MS);
	return (usec)(value * (double)USEC_PER_SEC);
}

static bool do_node(struct script *script, unsigned index)
{
	struct player_node *node = &script->player->nodes[index];
	const char *verb = word(script, 1);
	const char *what = word(script, 2);

	if (strcmp(verb, "refuses") == 0) {
		player_refuse(script->player, index);
		return true;
	}
	if (strcmp(verb, "listens") == 0) {
		player_listen(script->player, index);
		return true;
	}
	if (strcmp(verb, "lags") == 0)
		node->lag = read_duration(what);
	else if (strcmp(what, "up") == 0 || strcmp(what, "down") == 0)
		node->state = what[0] == 'u' ? NODE_STATE_UP : NODE_STATE_DOWN;
	else if (strcmp(what, "primary") == 0)
		node->role = NODE_ROLE_PRIMARY;
	else if (strcmp(what, "replica") == 0)
		node->role = NODE_ROLE_REPLICA;
	else
		return fail(script, "a node does not do \"%s %s\"", verb, what);
	player_publish(script->player);
	return true;
}

static bool compare(long value, const char *wanted)
{
	const char *digits = wanted + strcspn(wanted, "0123456789-");
	long number = strtol(digits, NULL, 10);

	if (strncmp(wanted, ">=", 2) == 0)
		return value >= number;
	if (strncmp(wanted, "<=", 2) == 0)
		return value <= number;
	return value == number;
}

/* expect clients 1 idle >=2 ... */
static bool do_counts(struct script *script)
{
	for (size_t i = 1; i + 1 < script->n; i += 2) {
		long value = player_count(script->player, word(script, i));

		if (value == -1)
			return fail(script, "there is no count \"%s\"", word(script, i));
		if (!compare(value, word(script, i + 1)))
			return fail(script, "%s: expected %s, is %ld", word(script, i),
				    word(script, i + 1), value);
	}
	return true;
}

static bool do_unsent(struct script *script)
{
	struct peer *peer = need_peer(script, word(script, 1));

	if (!peer)
		return false;
	return compare((long)bytes_length(&peer->out), word(script, 2)) ||
	       fail(script, "unsent: expected %s, is %zu", word(script, 2),
		    bytes_length(&peer->out));
}

/* state NAME idle */
static bool do_state(struct script *script)
{
	struct peer *peer = need_peer(script, word(script, 1));
	const struct session_env *env = &script->player->worker->env;

	if (!peer)
		return false;
	LIST_EACH (&env->clients, node) {
		const struct client *client = LIST_ENTRY(node, struct client, node);

		if (client->key_pid != peer->pid)
			continue;
		return word_is(script, 2, client_state_name(client->state)) ||
		       fail(script, "%s is %s", peer->name, client_state_name(client->state));
	}
	return fail(script, "%s has no session", peer->name);
}

static bool do_pools(struct script *script)
{
	struct session_env *env = &script->player->worker->env;
	const char *verb = word(script, 0);
	bool pause = strcmp(verb, "pause") == 0;

	if (pause || strcmp(verb, "resume") == 0)
		env->is_paused = pause;
	LIST_EACH (&env->databases, node) {
		if (pause || strcmp(verb, "resume") == 0)
			LIST_ENTRY(node, struct session_database, node)->is_paused = pause;
	}
	LIST_EACH (pools_list(env->pools), node) {
		struct pool *pool = LIST_ENTRY(node, struct pool, node);

		if (strcmp(verb, "kill") == 0)
			pool_kill(pool, "killed");
		else if (strcmp(verb, "reconnect") == 0)
			pool_reconnect(pool);
		else
			pool_pause(pool, pause);
	}
	return true;
}

static bool do_drain(struct script *script)
{
	fleet_drain(script->player->fleet,
		    word_is(script, 1, "servers") ? FLEET_DRAIN_SERVERS : FLEET_DRAIN_CLIENTS);
	return true;
}

static bool do_automatic(struct script *script)
{
	for (size_t i = 1; i < script->n; i++) {
		int node = player_node(script->player, word(script, i));

		if (node == -1)
			return fail(script, "there is no node \"%s\"", word(script, i));
		script->player->nodes[node].is_automatic = true;
	}
	return true;
}

static bool do_reading(struct script *script)
{
	struct peer *peer = need_peer(script, word(script, 0));

	if (peer)
		peer->is_reading = word_is(script, 1, "reads");
	return peer != NULL;
}

/* --- the set-up, before anything else --- */

static bool do_nodes(struct script *script)
{
	for (size_t i = 1; i < script->n && i <= PLAYER_NODES_MAX; i++) {
		script->words[script->n_words] = strdup(word(script, i));
		script->setup.nodes[i - 1] = script->words[script->n_words++];
		script->setup.n_nodes = i;
	}
	return true;
}

static const char *after_word(const char *line)
{
	line += strspn(line, " \t");
	line += strcspn(line, " \t");
	return line + strspn(line, " \t");
}

static bool is_set_up(struct script *script, const char *line)
{
	const char *verb = word(script, 0);

	if (strcmp(verb, "nodes") == 0) {
		do_nodes(script);
	} else if (strcmp(verb, "auth") == 0) {
		script->words[script->n_words] = strdup(word(script, 1));
		script->setup.auth = script->words[script->n_words++];
	} else if (strcmp(verb, "user") == 0) {
		bytes_printf(&script->users, "\"%s\" \"%s\"\n", word(script, 1), word(script, 2));
	} else if (strcmp(verb, "hba") == 0) {
		bytes_append_text(&script->hba, after_word(line));
		bytes_append_text(&script->hba, "\n");
	} else if (strcmp(verb, "option") == 0) {
		bytes_append_text(&script->options, after_word(line));
	} else if (strcmp(verb, "database") == 0) {
		bytes_append_text(&script->database, after_word(line));
	} else if (strcmp(verb, "databases") == 0) {
		bytes_append_text(&script->more, after_word(line));
	} else if (strcmp(verb, "allocations") == 0) {
		script->result->wants_failing = true;
	} else {
		return false;
	}
	return true;
}

static const char *text_of(const struct bytes *bytes)
{
	return bytes_length(bytes) == 0 ? NULL : (const char *)bytes_begin(bytes);
}

static const char *as_text(struct bytes *bytes)
{
	if (bytes_length(bytes) > 0)
		bytes_append(bytes, "", 1);
	return text_of(bytes);
}

static bool begin(struct script *script)
{
	struct bytes errors = { 0 };
	struct snapshot *snapshot;

	script->setup.options = as_text(&script->options);
	script->setup.database = as_text(&script->database);
	script->setup.more = as_text(&script->more);
	script->setup.users = as_text(&script->users);
	script->setup.hba = as_text(&script->hba);
	snapshot = player_snapshot(&script->setup, &errors);
	if (!snapshot) {
		bytes_append(&errors, "", 1);
		fail(script, "%s", (const char *)bytes_begin(&errors));
	} else {
		script->player = player_create(&script->setup, snapshot);
		snapshot_unref(&snapshot);
		scenario_fail_alloc(script->fail_nth);
	}
	bytes_free(&errors);
	return script->player != NULL;
}

/* reload [option TEXT | database TEXT]: the text takes the place of what the set-up said there.
 */
static bool do_reload(struct script *script, const char *line)
{
	const char *what = after_word(line);
	struct bytes errors = { 0 };
	struct snapshot *snapshot;

	if (word_is(script, 1, "option"))
		script->setup.options = after_word(what);
	else if (word_is(script, 1, "database"))
		script->setup.database = after_word(what);
	snapshot = player_snapshot(&script->setup, &errors);
	script->setup.options = text_of(&script->options);
	script->setup.database = text_of(&script->database);
	if (!snapshot) {
		bytes_append(&errors, "", 1);
		fail(script, "%s", (const char *)bytes_begin(&errors));
		bytes_free(&errors);
		return false;
	}
	bytes_free(&errors);
	player_reload(script->player, snapshot);
	snapshot_unref(&snapshot);
	return true;
}

/* --- the language --- */

struct verb {
	const char *word;
	size_t position;
	bool (*run)(struct script *script);
};

static bool do_advance(struct script *script)
{
	player_advance(script->player, read_duration(word(script, 1)));
	return true;
}

static const struct verb verbs[] = {
	{ "advance", 0, do_advance },  { "expect", 0, do_counts },
	{ "unsent", 0, do_unsent },    { "state", 0, do_state },
	{ "pause", 0, do_pools },      { "resume", 0, do_pools },
	{ "reconnect", 0, do_pools },  { "kill", 0, do_pools },
	{ "drain", 0, do_drain },      { "automatic", 0, do_automatic },
	{ "connects", 1, do_connect }, { "opens", 1, do_open },
	{ "closes", 1, do_close },     { "accepts", 1, do_accept },
	{ "serves", 1, do_serve },     { "<", 1, do_expect },
	{ "cancels", 1, do_cancel },   { "authenticates", 1, do_authenticate },
	{ "answer", 0, do_answer },    { "stops", 1, do_reading },
	{ "reads", 1, do_reading },
};

static bool dispatch(struct script *script)
{
	int node;

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (word_is(script, verbs[i].position, verbs[i].word))
			return verbs[i].run(script);
	}
	if (word(script, 1)[0] == '>')
		return do_send(script);
	node = player_node(script->player, word(script, 0));
	if (node != -1)
		return do_node(script, (unsigned)node);
	return fail(script, "not understood");
}

static bool play_line(struct script *script, const char *line)
{
	bool good;

	tokenize(script, line);
	if (script->n == 0)
		return true;
	if (!script->player && is_set_up(script, line))
		return true;
	if (!script->player && !begin(script))
		return false;
	good = word_is(script, 0, "reload") ? do_reload(script, line) : dispatch(script);
	player_run(script->player);
	if (script->player->fouls > 0)
		return fail(script, "a server was sent what it should not: %s",
			    script->player->foul);
	if (script->fail_nth == 0)
		return good;
	script->result->why[0] = '\0'; /* what was expected counts no longer */
	return true;
}

/* After an allocation has failed: the next client is served. */
static bool prove_health(struct script *script)
{
	struct player *player = script->player;

	script->result->alloc_failed = scenario_alloc_failed();
	scenario_fail_alloc(0);
	script->fail_nth = 0;
	for (unsigned i = 0; i < player->n_nodes; i++)
		player->nodes[i].is_automatic = true;
	player_advance(player, 60 * USEC_PER_SEC);
	tokenize(script, "Probe connects");
	do_connect(script);
	player_run(player);
	tokenize(script, "Probe < Welcome");
	if (!do_expect(script))
		return false;
	peer_say(player_find(player, "Probe"), "Query", "SELECT 1", NULL);
	player_run(player);
	tokenize(script,
		 "Probe < RowDescription, DataRow \"SELECT 1\" \"\", CommandComplete, Ready I");
	return do_expect(script);
}

static bool finish(struct script *script)
{
	const char *why = NULL;

	if (!script->player)
		return fail(script, "an empty script");
	script->line = 0;
	if (!player_close_all(script->player, &why))
		return fail(script, "%s", why);
	return true;
}

static void clean_up(struct script *script)
{
	scenario_fail_alloc(0);
	player_destroy(&script->player);
	free_tokens(script);
	for (size_t i = 0; i < script->n_vars; i++)
		free(script->vars[i].value);
	for (size_t i = 0; i < script->n_words; i++)
		free(script->words[i]);
	bytes_free(&script->options);
	bytes_free(&script->database);
	bytes_free(&script->more);
	bytes_free(&script->hba);
	bytes_free(&script->users);
	bytes_free(&script->rest);
}

void script_run(const char *path, unsigned long fail_nth, struct script_result *result)
{
	struct script script = { .path = path, .fail_nth = fail_nth, .result = result };
	FILE *file = fopen(path, "r");
	const char *unused;
	char *line = NULL;
	size_t size = 0;
	bool good = file != NULL;

	memset(result, 0, sizeof(*result));
	if (!file)
		fail(&script, "%s", strerror(errno));
	while (good && getline(&line, &size, file) != -1) {
		script.line++;
		good = play_line(&script, line);
	}
	if (good && fail_nth > 0)
		good = prove_health(&script);
	if (good)
		good = finish(&script);
	else if (script.player)
		player_close_all(script.player, &unused);
	clean_up(&script);
	free(line);
	if (file)
		fclose(file);
	result->passed = good;
}
