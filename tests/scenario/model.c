/*
 * A model of a server, for scripts that do not care what it says and for the fuzzer: it logs
 * anybody in, keeps transactions, prepared statements and one setting (application_name) as
 * PostgreSQL does, and answers a query with its own text and that setting. What no server should
 * ever be sent is counted in player->fouls: bytes that are no message, a statement name of the
 * proxy's that is taken already or is not there.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/panic.h"
#include "player.h"

#define NAMES_MAX 64

struct prepared {
	char *name;
	char *text;
};

struct model {
	bool is_logged_in;
	bool is_skipping; /* to the next Sync */
	bool is_copying;
	bool is_copy_extended;
	bool is_stuck; /* until model_release() */
	bool is_stuck_extended;
	uint8_t status;
	char setting[64];   /* application_name, "" unless set */
	char session[64];   /* ... without SET LOCAL */
	char committed[64]; /* ... and when the transaction is rolled back */
	bool is_in_implicit;
	struct prepared names[NAMES_MAX];
	char *unnamed;
	char *portal;  /* of any name ... */
	char *scratch; /* ... but this one, of the proxy's own */
};

struct model *model_create(void)
{
	struct model *model = calloc(1, sizeof(*model));

	ASSERT(model);
	model->status = 'I';
	return model;
}

static void drop(struct prepared *prepared)
{
	free(prepared->name);
	free(prepared->text);
	prepared->name = prepared->text = NULL;
}

static void drop_all(struct model *model)
{
	for (size_t i = 0; i < NAMES_MAX; i++)
		drop(&model->names[i]);
	free(model->unnamed);
	model->unnamed = NULL;
}

void model_destroy(struct model **model_pointer)
{
	struct model *model = *model_pointer;

	*model_pointer = NULL;
	if (!model)
		return;
	drop_all(model);
	free(model->portal);
	free(model->scratch);
	free(model);
}

static void foul(struct peer *peer, const char *what, const char *detail)
{
	struct player *player = peer->player;

	if (player->fouls++ == 0)
		snprintf(player->foul, sizeof(player->foul), "%s: %.120s", what, detail);
}

/* --- transactions and the setting --- */

static void begin_implicit(struct model *model)
{
	if (model->status != 'I' || model->is_in_implicit)
		return;
	model->is_in_implicit = true;
	strcpy(model->committed, model->session);
}

static void roll_back(struct model *model)
{
	strcpy(model->session, model->committed);
	strcpy(model->setting, model->committed);
}

static void commit(struct model *model)
{
	strcpy(model->setting, model->session);
	strcpy(model->committed, model->session);
}

static void ready(struct peer *peer)
{
	char status[2] = { (char)peer->model->status, 0 };

	if (status[0] == 'I')
		commit(peer->model);
	peer->model->is_in_implicit = false;
	peer_say(peer, "Ready", status, NULL);
}

static void fail(struct peer *peer, const char *sqlstate, const char *text)
{
	struct model *model = peer->model;

	peer_say(peer, "Error", sqlstate, text);
	if (model->status == 'I')
		roll_back(model);
	else
		model->status = 'E';
}

/* --- statements --- */

static bool begins(const char *text, const char *word)
{
	return strncasecmp(text, word, strlen(word)) == 0;
}

/* The n-th quoted text. */
static void take_quoted(const char *text, int n, char *out, size_t size)
{
	const char *start = text;
	const char *end = text;

	for (int i = 0; i < n && end; i++) {
		start = strchr(i ? end + 1 : text, '\'');
		end = start ? strchr(start + 1, '\'') : NULL;
	}
	if (end)
		snprintf(out, size, "%.*s", (int)(end - start - 1), start + 1);
	else
		snprintf(out, size, "?");
}

static const char *change_setting(struct model *model, const char *text)
{
	if (begins(text, "RESET") || begins(text, "DISCARD ALL")) {
		model->setting[0] = model->session[0] = '\0';
		if (begins(text, "DISCARD ALL"))
			drop_all(model);
		return begins(text, "RESET") ? "RESET" : "DISCARD ALL";
	}
	if (strcasestr(text, "application_name"))
		take_quoted(text, begins(text, "SELECT") ? 2 : 1, model->setting,
			    sizeof(model->setting));
	if (!begins(text, "SET LOCAL"))
		strcpy(model->session, model->setting);
	return "SET";
}

static const char *control(struct model *model, const char *text)
{
	bool failed = model->status == 'E';

	if (begins(text, "BEGIN")) {
		if (model->status == 'I' && !model->is_in_implicit)
			strcpy(model->committed, model->session);
		model->status = failed ? 'E' : 'T';
		return failed ? NULL : "BEGIN";
	}
	if (begins(text, "ROLLBACK TO")) {
		model->status = model->status == 'I' ? 'I' : 'T';
		return "ROLLBACK";
	}
	if (failed || begins(text, "ROLLBACK"))
		roll_back(model);
	else
		commit(model);
	model->status = 'I';
	return failed || begins(text, "ROLLBACK") ? "ROLLBACK" : "COMMIT";
}

static bool is_control(const char *text)
{
	return begins(text, "BEGIN") || begins(text, "COMMIT") || begins(text, "ROLLBACK");
}

static bool is_setting(const char *text)
{
	return begins(text, "SET ") || begins(text, "RESET") || begins(text, "DISCARD ALL") ||
	       begins(text, "SELECT pg_catalog.set_config");
}

static void answer_rows(struct peer *peer, const char *text, bool with_description)
{
	if (with_description) {
		struct message row = { .name = "RowDescription" };

		message_add_text(&row, "text");
		message_add_text(&row, "application_name");
		peer_send_message(peer, &row);
		message_free(&row);
	}
	peer_say(peer, "DataRow", text, peer->model->setting);
	peer_say(peer, "CommandComplete", "SELECT 1", NULL);
}

/* --- prepared statements --- */

static struct prepared *find(struct model *model, const char *name)
{
	for (size_t i = 0; i < NAMES_MAX; i++) {
		if (model->names[i].name && strcmp(model->names[i].name, name) == 0)
			return &model->names[i];
	}
	return NULL;
}

static const char *text_of(struct model *model, const char *name)
{
	struct prepared *prepared = name[0] ? find(model, name) : NULL;

	return name[0] ? (prepared ? prepared->text : NULL) : model->unnamed;
}

static void replace(char **to, const char *from)
{
	char *copy = strdup(from);

	ASSERT(copy);
	free(*to);
	*to = copy;
}

static bool is_proxys(const char *name)
{
	return strncmp(name, "pointsman_", 10) == 0;
}

static bool add_name(struct model *model, const char *name, const char *text)
{
	for (size_t i = 0; i < NAMES_MAX; i++) {
		if (model->names[i].name)
			continue;
		replace(&model->names[i].name, name);
		replace(&model->names[i].text, text);
		return true;
	}
	return false;
}

/* "PREPARE name AS text" */
static bool prepare(struct peer *peer, const char *text)
{
	char name[64] = "";

	sscanf(text, "%*s %63s", name);
	if (find(peer->model, name)) {
		if (is_proxys(name))
			foul(peer, "PREPARE of a name that is taken", name);
		fail(peer, "42P05", "prepared statement already exists");
		return false;
	}
	if (!add_name(peer->model, name, strcasestr(text, " AS ") + 4)) {
		fail(peer, "54000", "too many");
		return false;
	}
	peer_say(peer, "CommandComplete", "PREPARE", NULL);
	return true;
}

static struct prepared *must_find(struct peer *peer, const char *name)
{
	struct prepared *prepared = find(peer->model, name);

	if (prepared)
		return prepared;
	if (is_proxys(name))
		foul(peer, "a name that is not there", name);
	fail(peer, "26000", "prepared statement does not exist");
	return NULL;
}

static bool deallocate(struct peer *peer, const char *text)
{
	char name[64] = "";
	struct prepared *prepared;

	sscanf(text, "%*s %63s", name);
	if (strcmp(name, "ALL") == 0) {
		drop_all(peer->model);
	} else {
		prepared = must_find(peer, name);
		if (!prepared)
			return false;
		drop(prepared);
	}
	peer_say(peer, "CommandComplete", "DEALLOCATE", NULL);
	return true;
}

enum outcome {
	DONE,
	FAILED,
	UNFINISHED
};

static enum outcome execute(struct peer *peer, const char *text, bool is_extended)
{
	struct model *model = peer->model;
	const char *tag;

	while (*text == ' ')
		text++;
	if (model->status == 'E' && !begins(text, "ROLLBACK") && !begins(text, "COMMIT")) {
		fail(peer, "25P02", "current transaction is aborted");
		return FAILED;
	}
	if (begins(text, "ERROR") || begins(text, "pointsman")) {
		fail(peer, "42601", "syntax error");
		return FAILED;
	}
	if (begins(text, "PREPARE ") && strcasestr(text, " AS "))
		return prepare(peer, text) ? DONE : FAILED;
	if (begins(text, "DEALLOCATE "))
		return deallocate(peer, text) ? DONE : FAILED;
	if (begins(text, "EXECUTE ")) {
		struct prepared *prepared;

		text += strlen("EXECUTE ");
		prepared = must_find(peer, text);
		if (!prepared)
			return FAILED;
		return execute(peer, prepared->text, is_extended);
	}
	if (begins(text, "SLOW")) {
		model->is_stuck = true;
		model->is_stuck_extended = is_extended;
		return UNFINISHED;
	}
	if (begins(text, "COPY") && strcasestr(text, "FROM")) {
		model->is_copying = true;
		model->is_copy_extended = is_extended;
		peer_say(peer, "CopyIn", NULL, NULL);
		return UNFINISHED;
	}
	if (begins(text, "COPY")) {
		peer_say(peer, "CopyOut", NULL, NULL);
		peer_say(peer, "CopyData", "row", NULL);
		peer_say(peer, "CopyDone", NULL, NULL);
		peer_say(peer, "CommandComplete", "COPY 1", NULL);
		return DONE;
	}
	if (!is_control(text) && !is_setting(text)) {
		answer_rows(peer, text, !is_extended);
		return DONE;
	}
	tag = is_control(text) ? control(model, text) : change_setting(model, text);
	peer_say(peer, "CommandComplete", tag ? tag : "?", NULL);
	return DONE;
}

/* The statements of a Query, one after the other. */
static void run_query(struct peer *peer, const char *text)
{
	char *copy = strdup(text);
	char *save = NULL;
	unsigned count = 0;

	ASSERT(copy);
	begin_implicit(peer->model);
	for (char *part = strtok_r(copy, ";", &save); part; part = strtok_r(NULL, ";", &save)) {
		enum outcome outcome = execute(peer, part, false);

		count++;
		if (outcome == UNFINISHED)
			goto out;
		if (outcome == FAILED)
			break;
	}
	if (count == 0)
		peer_say(peer, "EmptyQuery", NULL, NULL);
	ready(peer);
out:
	free(copy);
}

/* --- extended protocol --- */

static bool fail_batch(struct peer *peer, const char *sqlstate, const char *text)
{
	fail(peer, sqlstate, text);
	peer->model->is_skipping = true;
	return false;
}

static bool parse(struct peer *peer, const struct message *message)
{
	struct model *model = peer->model;
	const char *name = message->args[0];

	if (model->status == 'E' && !is_control(message->args[1]))
		return fail_batch(peer, "25P02", "current transaction is aborted");
	if (begins(message->args[1], "ERROR") || begins(message->args[1], "pointsman"))
		return fail_batch(peer, "42601", "syntax error");
	if (!name[0]) {
		replace(&model->unnamed, message->args[1]);
		return true;
	}
	if (find(model, name)) {
		if (is_proxys(name))
			foul(peer, "a name is taken", name);
		return fail_batch(peer, "42P05", "prepared statement already exists");
	}
	if (add_name(model, name, message->args[1]))
		return true;
	return fail_batch(peer, "54000", "too many");
}

static char **portal_of(struct model *model, const char *name)
{
	return strcmp(name, "pointsman_0") == 0 ? &model->scratch : &model->portal;
}

static bool bind_portal(struct peer *peer, const struct message *message)
{
	const char *text = text_of(peer->model, message->args[1]);

	if (!text) {
		if (is_proxys(message->args[1]))
			foul(peer, "Bind to a name that is not there", message->args[1]);
		return fail_batch(peer, "26000", "prepared statement does not exist");
	}
	replace(portal_of(peer->model, message->args[0]), text);
	return true;
}

static bool describe(struct peer *peer, const struct message *message)
{
	if (message->args[0][0] == 'S' && !text_of(peer->model, message->args[1])) {
		if (is_proxys(message->args[1]))
			foul(peer, "Describe of a name that is not there", message->args[1]);
		return fail_batch(peer, "26000", "prepared statement does not exist");
	}
	if (message->args[0][0] == 'S')
		peer_say(peer, "ParameterDescription", NULL, NULL);
	peer_say(peer, "NoData", NULL, NULL);
	return true;
}

static void close_name(struct model *model, const struct message *message)
{
	struct prepared *prepared = find(model, message->args[1]);

	if (message->args[0][0] == 'S' && prepared)
		drop(prepared);
}

static void take_extended(struct peer *peer, const struct message *message)
{
	struct model *model = peer->model;
	const char *name = message->name;

	begin_implicit(model);
	if (strcmp(name, "Malformed") == 0) {
		fail_batch(peer, "08P01", "malformed message");
	} else if (strcmp(name, "Parse") == 0) {
		if (parse(peer, message))
			peer_say(peer, "ParseComplete", NULL, NULL);
	} else if (strcmp(name, "Bind") == 0) {
		if (bind_portal(peer, message))
			peer_say(peer, "BindComplete", NULL, NULL);
	} else if (strcmp(name, "Describe") == 0) {
		describe(peer, message);
	} else if (strcmp(name, "Close") == 0) {
		close_name(model, message);
		peer_say(peer, "CloseComplete", NULL, NULL);
	} else if (!*portal_of(model, message->args[0])) {
		fail_batch(peer, "34000", "portal does not exist");
	} else if (execute(peer, *portal_of(model, message->args[0]), true) == FAILED) {
		model->is_skipping = true;
	}
}

/* --- messages --- */

static void log_in(struct peer *peer, const struct message *message)
{
	struct player *player = peer->player;
	char pid[16];

	if (strcmp(message->name, "CancelRequest") == 0) {
		for (struct peer *other = player->peers; other; other = other->next) {
			if (other->model && other->pid == strtoul(message->args[0], NULL, 0) &&
			    other->model->is_stuck)
				model_release(other, true);
		}
		peer_close(peer);
		return;
	}
	if (strcmp(message->name, "SSLRequest") == 0) {
		peer_send(peer, "N", 1);
		return;
	}
	if (strcmp(message->name, "Startup") != 0) {
		foul(peer, "what opens a connection", message->name);
		peer_close(peer);
		return;
	}
	peer->pid = ++player->last_pid;
	snprintf(peer->key, sizeof(peer->key), "4242");
	snprintf(pid, sizeof(pid), "%u", peer->pid);
	peer->model->is_logged_in = true;
	peer_say(peer, "AuthenticationOk", NULL, NULL);
	peer_say(peer, "ParameterStatus", "server_version", "15.4");
	peer_say(peer, "KeyData", pid, "4242");
	ready(peer);
}

static void end_copy(struct peer *peer, bool failed)
{
	struct model *model = peer->model;

	model->is_copying = false;
	if (failed)
		fail(peer, "22000", "COPY from stdin failed"); /* 57014 is for cancels only */
	else
		peer_say(peer, "CommandComplete", "COPY 1", NULL);
	if (!model->is_copy_extended)
		ready(peer);
	else
		model->is_skipping = failed;
}

static void take_copy(struct peer *peer, const struct message *message)
{
	if (strcmp(message->name, "CopyDone") == 0)
		end_copy(peer, false);
	else if (strcmp(message->name, "CopyData") != 0 && strcmp(message->name, "Sync") != 0 &&
		 strcmp(message->name, "Flush") != 0)
		end_copy(peer, true);
}

static void take(struct peer *peer, const struct message *message)
{
	struct model *model = peer->model;
	const char *name = message->name;

	if (strcmp(name, "Garbage") == 0) {
		foul(peer, "garbage", message->n_args ? message->args[0] : "");
		peer_close(peer);
	} else if (!model->is_logged_in) {
		log_in(peer, message);
	} else if (strcmp(name, "Terminate") == 0) {
		peer_close(peer);
	} else if (model->is_copying) {
		take_copy(peer, message);
	} else if (strcmp(name, "Sync") == 0) {
		model->is_skipping = false;
		ready(peer);
	} else if (model->is_skipping || strcmp(name, "Flush") == 0 ||
		   strncmp(name, "Copy", 4) == 0) {
		return;
	} else if (strcmp(name, "Malformed") == 0 && message->type == 'Q') {
		fail(peer, "08P01", "malformed message");
		ready(peer);
	} else if (strcmp(name, "Query") == 0) {
		run_query(peer, message->args[0]);
	} else if (strcmp(name, "FunctionCall") == 0) {
		fail(peer, "0A000", "no functions");
		ready(peer);
	} else {
		take_extended(peer, message);
	}
}

void model_answer(struct peer *peer)
{
	struct message message;

	while (!peer->model->is_stuck && peer->fd != -1 && peer_receive(peer, &message)) {
		take(peer, &message);
		message_free(&message);
	}
}

void model_release(struct peer *peer, bool was_cancelled)
{
	struct model *model = peer->model;

	if (!model->is_stuck)
		return;
	model->is_stuck = false;
	if (was_cancelled)
		fail(peer, "57014", "canceling statement due to user request");
	else
		peer_say(peer, "CommandComplete", "SLOW", NULL);
	if (!model->is_stuck_extended)
		ready(peer);
	else
		model->is_skipping = was_cancelled;
	model_answer(peer);
}
