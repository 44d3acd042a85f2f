/*
 * Clients of the console: how a session begins, ends, and goes from one thing to the next; see
 * admin/terminal.h. Messages of the protocol are in terminal_messages.c. The control thread runs
 * all of it.
 */
#include "admin/terminal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/console_private.h"
#include "admin/terminal_private.h"
#include "base/random.h"
#include "base/version.h"
#include "wire/build.h"
#include "wire/message.h"
#include "wire/startup.h"

#define LINGER (2 * USEC_PER_SEC)

/* --- the end --- */

/* The connection may live on to say its last words, without anybody behind it. */
static size_t ignore_data(void *context, const uint8_t *data, size_t length)
{
	(void)context;
	(void)data;
	return length;
}

static void ignore_closed(void *context, enum conn_end end, int error)
{
	(void)context;
	(void)end;
	(void)error;
}

static const struct conn_handler ending_handler = { ignore_data, NULL, ignore_closed, NULL };

static void free_terminal(struct terminal *terminal)
{
	list_remove(&terminal->console->terminals, &terminal->node);
	job_destroy(&terminal->job);
	terminal_drop_all_portals(terminal);
	terminal_deallocate(terminal, NULL);
	free(terminal->script);
	free(terminal->user);
	free(terminal->database);
	free(terminal->application_name);
	loop_defer_free(terminal->console->loop, terminal);
}

void terminal_close(struct terminal *terminal, const char *sqlstate, const char *message)
{
	if (!terminal->conn)
		return;
	log_debug(&terminal->ctx, "console session ended%s%s", message ? ": " : "",
		  message ? message : "");
	conn_set_handler(terminal->conn, &ending_handler, NULL);
	if (sqlstate) {
		build_error(conn_out(terminal->conn), "FATAL", sqlstate, message, NULL, NULL);
		conn_finish(&terminal->conn, LINGER);
	} else {
		conn_destroy(&terminal->conn);
	}
	free_terminal(terminal);
}

/* --- rights --- */

static bool is_listed(const char **names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(names[i], name) == 0)
			return true;
	}
	return false;
}

/* By the configuration of now: whoever is struck from the lists has lost his rights with the
 * reload. */
enum right terminal_right(const struct terminal *terminal)
{
	const struct config *config = console_config(terminal->console);

	if (terminal->is_local)
		return terminal->is_allowed ? RIGHT_ADMIN : RIGHT_NONE;
	if (is_listed(config->admin.users, config->admin.n_users, terminal->user))
		return RIGHT_ADMIN;
	if (is_listed(config->admin.stats_users, config->admin.n_stats_users, terminal->user))
		return RIGHT_STATS;
	return RIGHT_NONE;
}

/* --- going on --- */

/* Answers that the client does not take are not added to: it gets no more before it has read
 * these. */
static bool is_full(struct terminal *terminal)
{
	if (conn_unsent(terminal->conn) > CONN_HIGH_WATER)
		conn_flush(terminal->conn);
	return conn_unsent(terminal->conn) > CONN_HIGH_WATER;
}

static bool is_busy(const struct terminal *terminal)
{
	return terminal->job || terminal->script;
}

/* Does what can be done; then more is read, or it waits for whoever calls this again. */
static void go_on(struct terminal *terminal)
{
	while (terminal->script && !terminal->job && !is_full(terminal))
		terminal_run_script(terminal);
	if (is_busy(terminal) || is_full(terminal))
		conn_pause(terminal->conn);
	else if (conn_is_paused(terminal->conn))
		conn_resume(terminal->conn);
}

void terminal_job_done(struct terminal *terminal)
{
	terminal_deliver(terminal);
	go_on(terminal);
	conn_flush(terminal->conn);
}

static size_t on_data(void *context, const uint8_t *data, size_t length)
{
	struct terminal *terminal = context;
	size_t used = 0;
	size_t step = 1;

	while (used < length && step > 0 && !conn_is_paused(terminal->conn)) {
		if (terminal->state == TERMINAL_STARTUP)
			step = terminal_take_packet(terminal, data + used, length - used);
		else
			step = terminal_take_message(terminal, data + used, length - used);
		if (!terminal->conn)
			return length;
		used += step;
		go_on(terminal);
	}
	conn_flush(terminal->conn);
	return used;
}

static void on_drained(void *context)
{
	struct terminal *terminal = context;

	go_on(terminal);
	conn_flush(terminal->conn);
}

static void on_closed(void *context, enum conn_end end, int error)
{
	(void)end;
	(void)error;
	terminal_close(context, NULL, NULL);
}

static const struct conn_handler terminal_handler = { on_data, on_drained, on_closed, NULL };

/* --- the beginning --- */

static struct terminal *make_terminal(struct console *console)
{
	static atomic_ullong last_id;
	struct terminal *terminal = calloc(1, sizeof(*terminal));

	if (!terminal)
		return NULL;
	terminal->console = console;
	terminal->id = atomic_fetch_add(&last_id, 1) + 1;
	terminal->txn_status = TXN_IDLE;
	terminal->began_at = clock_now();
	random_secret(&terminal->key_pid, sizeof(terminal->key_pid));
	random_secret(terminal->key_secret, sizeof(terminal->key_secret));
	terminal->key_pid = (terminal->key_pid & 0x7fffffff) | 1;
	terminal->ctx = (struct log_ctx){ .kind = "admin", .id = terminal->id };
	list_init(&terminal->prepared);
	list_init(&terminal->portals);
	list_push_back(&console->terminals, &terminal->node);
	return terminal;
}

void terminal_accept(struct console *console, int fd, bool is_allowed)
{
	struct terminal *terminal = make_terminal(console);

	if (!terminal) {
		close(fd);
		return;
	}
	terminal->is_local = true;
	terminal->is_allowed = is_allowed;
	terminal->conn = conn_create(console->loop, fd, &terminal_handler, terminal);
	if (terminal->conn)
		return;
	close(fd);
	free_terminal(terminal);
}

static bool set_names(struct terminal *terminal, const char *user, const char *database)
{
	terminal->user = strdup(user);
	terminal->database = strdup(database);
	terminal->ctx.user = terminal->user;
	terminal->ctx.database = terminal->database;
	return terminal->user && terminal->database;
}

/* What any server says of itself; drivers read some of it before they send anything. */
static void greet(struct terminal *terminal)
{
	struct bytes *out = conn_out(terminal->conn);
	const char *application_name = terminal->application_name;
	const char *const reports[][2] = {
		{ "server_version", "15.0 (Pointsman " POINTSMAN_VERSION ")" },
		{ "server_encoding", "UTF8" },
		{ "client_encoding", "UTF8" },
		{ "application_name", application_name ? application_name : "" },
		{ "DateStyle", "ISO, MDY" },
		{ "IntervalStyle", "postgres" },
		{ "TimeZone", "UTC" },
		{ "integer_datetimes", "on" },
		{ "standard_conforming_strings", "on" },
		{ "is_superuser", "off" },
		{ "session_authorization", terminal->user },
		{ "default_transaction_read_only", "off" },
		{ "in_hot_standby", "off" },
	};

	for (size_t i = 0; i < sizeof(reports) / sizeof(reports[0]); i++)
		build_parameter_status(out, reports[i][0], reports[i][1]);
	build_backend_key(out, terminal->key_pid, terminal->key_secret,
			  sizeof(terminal->key_secret));
	build_ready(out, terminal->txn_status);
	terminal->state = TERMINAL_READY;
	conn_flush(terminal->conn);
	log_debug(&terminal->ctx, "console session began");
}

void terminal_adopt(struct console *console, struct conn *conn, const char *user,
		    const char *database)
{
	struct terminal *terminal = make_terminal(console);

	if (!terminal) {
		conn_destroy(&conn);
		return;
	}
	terminal->conn = conn;
	conn_set_handler(conn, &terminal_handler, terminal);
	if (!conn_attach(conn, console->loop)) {
		conn_destroy(&terminal->conn);
		free_terminal(terminal);
	} else if (!set_names(terminal, user, database)) {
		terminal_close(terminal, "53200", "pointsman: out of memory");
	} else {
		greet(terminal);
	}
}

bool terminal_is_late(const struct terminal *terminal, usec limit, usec now)
{
	return terminal->state == TERMINAL_STARTUP && limit > 0 &&
	       now - terminal->began_at >= limit;
}

/* --- start-up on the admin socket --- */

static void take_startup(struct terminal *terminal, const struct startup *startup)
{
	const char *database =
		startup->database && startup->database[0] ? startup->database : startup->user;
	struct bytes *out = conn_out(terminal->conn);

	if (startup_needs_negotiation(startup))
		build_negotiate_version(out, startup_agreed_minor(startup), startup->unknown_pq,
					startup->n_unknown_pq);
	if (!startup->user) {
		terminal_close(terminal, "28000",
			       "no PostgreSQL user name specified in startup packet");
		return;
	}
	if (!terminal->is_allowed) {
		log_warnx(&terminal->ctx, "refused on the admin socket: another user's process");
		terminal_close(terminal, "28000",
			       "pointsman: only the user that runs the proxy, and root, "
			       "may use the admin socket");
		return;
	}
	for (size_t i = 0; i < startup->n_params && !terminal->application_name; i++) {
		if (strcmp(startup->params[i].name, "application_name") == 0)
			terminal->application_name =
				terminal_clean_copy(startup->params[i].value);
	}
	if (!set_names(terminal, startup->user, database)) {
		terminal_close(terminal, "53200", "pointsman: out of memory");
		return;
	}
	build_auth_request(out, AUTH_REQ_OK, NULL, 0);
	greet(terminal);
}

/* Nothing here is encrypted. What comes together with the request was not meant for us. */
static void decline_encryption(struct terminal *terminal, bool *had, bool has_more)
{
	if (*had || has_more) {
		terminal_close(terminal, "08P01",
			       "received unencrypted data after an encryption request");
		return;
	}
	*had = true;
	conn_send(terminal->conn, "N", 1);
}

static void take_cancel(struct terminal *terminal, const struct startup *startup)
{
	struct console *console = terminal->console;
	struct cancel_key key;
	bool is_allowed = terminal->is_allowed &&
			  cancel_key_set(&key, startup->cancel_pid, startup->cancel_key,
					 startup->cancel_key_length);

	terminal_close(terminal, NULL, NULL);
	if (!is_allowed)
		return;
	LIST_EACH (&console->terminals, node) {
		if (terminal_cancel(LIST_ENTRY(node, struct terminal, node), &key))
			return;
	}
}

bool terminal_cancel(struct terminal *terminal, const struct cancel_key *key)
{
	if (terminal->state != TERMINAL_READY || terminal->key_pid != key->pid ||
	    !cancel_secret_is(key, terminal->key_secret, sizeof(terminal->key_secret)))
		return false;
	if (terminal->job) {
		job_fail(terminal->job, "57014", "canceling statement due to user request");
		terminal_job_done(terminal);
	}
	return true;
}

size_t terminal_take_packet(struct terminal *terminal, const uint8_t *data, size_t length)
{
	struct startup *startup = malloc(sizeof(*startup));
	const char *error = NULL;
	size_t used = length;

	if (!startup) {
		terminal_close(terminal, NULL, NULL);
		return length;
	}
	switch (startup_parse(data, length, startup, &error)) {
	case STARTUP_NEED_MORE: used = 0; break;
	case STARTUP_BAD: terminal_close(terminal, "08P01", error); break;
	case STARTUP_OTHER_PROTOCOL:
		terminal_close(terminal, "0A000",
			       "unsupported frontend protocol: server supports 3.0 to 3.2");
		break;
	case STARTUP_SSL:
		used = startup->size;
		decline_encryption(terminal, &terminal->had_ssl_request, used < length);
		break;
	case STARTUP_GSS:
		used = startup->size;
		decline_encryption(terminal, &terminal->had_gss_request, used < length);
		break;
	case STARTUP_CANCEL: take_cancel(terminal, startup); break;
	case STARTUP_SESSION:
		used = startup->size;
		take_startup(terminal, startup);
		break;
	}
	free(startup);
	return used;
}
