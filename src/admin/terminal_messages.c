/*
 * The messages of the protocol on the console, simple and extended (PostgreSQL documentation,
 * "Message Flow"); see admin/terminal.h. Statements have no parameters; results come in text or
 * binary form, as asked for. Control thread.
 */
#include "admin/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/console_private.h"
#include "admin/terminal_private.h"
#include "wire/build.h"
#include "wire/cursor.h"
#include "wire/frame.h"
#include "wire/message.h"

#define ERROR_TEXT_MAX 256

char *terminal_clean_copy(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = malloc(size);

	if (copy)
		text_clean(copy, size, text);
	return copy;
}

static struct bytes *out_of(struct terminal *terminal)
{
	return conn_out(terminal->conn);
}

/* --- errors --- */

static void protocol_error(struct terminal *terminal, const char *what)
{
	terminal_close(terminal, "08P01", what);
}

/* In a script: its end. Else the messages up to the next Sync are skipped. */
static void report_error(struct terminal *terminal, const char *sqlstate, const char *message,
			 const char *detail)
{
	build_error(out_of(terminal), "ERROR", sqlstate, message, detail, NULL);
	if (terminal->script)
		terminal->rest = "";
	else
		terminal->is_skipping = true;
}

static void report_no_memory(struct terminal *terminal)
{
	report_error(terminal, "53200", "pointsman: out of memory", NULL);
}

static void report_missing(struct terminal *terminal, const char *sqlstate, const char *what,
			   const char *name)
{
	char clean[TEXT_NAME_MAX];
	char message[ERROR_TEXT_MAX];

	text_clean(clean, sizeof(clean), name);
	snprintf(message, sizeof(message), "%s \"%s\" does not exist", what, clean);
	report_error(terminal, sqlstate, message, NULL);
}

/* --- running --- */

/* What may change something is on record. */
static void log_command(const struct terminal *terminal, const struct plan *plan,
			enum right right)
{
	if (plan_right(plan) == RIGHT_ADMIN && right == RIGHT_ADMIN && !plan->show)
		log_info(&terminal->ctx, "console command: %s%s%s", plan->command->name,
			 plan->words.count > 1 ? " " : "", words_text(&plan->words, 1));
}

/* true: terminal->job is done, and is to be delivered. */
static bool start_job(struct terminal *terminal, const struct plan *plan,
		      struct table_formats formats)
{
	enum right right = terminal_right(terminal);

	terminal->job = job_create(terminal->console, terminal, plan, formats);
	if (!terminal->job) {
		report_no_memory(terminal);
		return false;
	}
	log_command(terminal, plan, right);
	return job_start(terminal->job, right);
}

static void deliver_error(struct terminal *terminal)
{
	struct job *job = terminal->job;
	const char *detail =
		bytes_length(&job->detail) > 1 ? (const char *)bytes_begin(&job->detail) : NULL;

	terminal->job = NULL;
	terminal->executing = NULL;
	report_error(terminal, job->sqlstate, job->message, detail);
	job_destroy(&job);
}

static void append_all(struct bytes *out, struct bytes *from)
{
	bytes_append(out, bytes_begin(from), bytes_length(from));
	bytes_free(from);
}

static void deliver_to_script(struct terminal *terminal)
{
	struct job *job = terminal->job;
	struct bytes *out = out_of(terminal);

	append_all(out, &job->notices);
	if (job->table.n_columns > 0)
		table_describe(job->table.columns, job->table.n_columns, job->table.formats, out);
	append_all(out, &job->table.rows);
	build_command_complete(out, job->tag);
	job_destroy(&terminal->job);
}

/* How many bytes the next `n` rows have (0: all). */
static size_t measure_rows(const struct bytes *rows, uint32_t n)
{
	size_t at = 0;
	struct frame frame;

	if (n == 0)
		return bytes_length(rows);
	while (n-- > 0 && frame_peek(bytes_begin(rows) + at, bytes_length(rows) - at,
				     FRAME_BODY_MAX, &frame) == FRAME_OK)
		at += frame_size(&frame);
	return at;
}

/* The rows that an Execute gets of its portal, the first or the next ones. */
static void deliver_rows(struct terminal *terminal, struct portal *portal, uint32_t rows_max)
{
	struct job *job = portal->job;
	struct bytes *rows = &job->table.rows;
	struct bytes *out = out_of(terminal);
	size_t part = measure_rows(rows, rows_max);

	append_all(out, &job->notices);
	bytes_append(out, bytes_begin(rows), part);
	bytes_consume(rows, part);
	if (bytes_length(rows) > 0) {
		build_empty(out, MSG_B_PORTAL_SUSPENDED);
		return;
	}
	build_command_complete(out, job->tag);
	portal->is_done = true;
	bytes_free(rows);
}

void terminal_deliver(struct terminal *terminal)
{
	struct portal *portal = terminal->executing;

	if (terminal->job->has_failed) {
		deliver_error(terminal);
	} else if (portal) {
		portal->job = terminal->job;
		terminal->job = NULL;
		terminal->executing = NULL;
		deliver_rows(terminal, portal, terminal->rows_max);
	} else {
		deliver_to_script(terminal);
	}
}

/* --- Query --- */

static void end_script(struct terminal *terminal)
{
	free(terminal->script);
	terminal->script = NULL;
	terminal->rest = NULL;
	build_ready(out_of(terminal), terminal->txn_status);
}

void terminal_run_script(struct terminal *terminal)
{
	const struct table_formats text = { NULL, 0 };
	char message[ERROR_TEXT_MAX];
	struct words words;
	struct plan plan;

	switch (words_next(&terminal->rest, &words)) {
	case WORDS_UNTERMINATED:
		report_error(terminal, "42601", "unterminated quote or comment", NULL);
		terminal->had_statement = true;
		break;
	case WORDS_END:
		if (!terminal->had_statement)
			build_empty(out_of(terminal), MSG_B_EMPTY_QUERY);
		end_script(terminal);
		break;
	case WORDS_STATEMENT:
		terminal->had_statement = true;
		if (!plan_make(&words, &plan)) {
			plan_refuse(&words, message, sizeof(message));
			report_error(terminal, "42601", message, NULL);
		} else if (start_job(terminal, &plan, text)) {
			terminal_deliver(terminal);
		}
		break;
	}
}

static void drop_portal(struct terminal *terminal, struct portal *portal);
static struct portal *find_portal(struct terminal *terminal, const char *name);

static void take_query(struct terminal *terminal, struct cursor *c)
{
	const char *text = cursor_string(c);
	struct portal *unnamed = find_portal(terminal, "");

	if (!cursor_done(c)) {
		protocol_error(terminal, "invalid message format");
		return;
	}
	if (unnamed)
		drop_portal(terminal, unnamed);
	terminal->had_statement = false;
	terminal->script = strdup(text);
	terminal->rest = terminal->script;
	if (!terminal->script) {
		report_no_memory(terminal);
		terminal->is_skipping = false;
		build_ready(out_of(terminal), terminal->txn_status);
	}
}

/* --- Parse --- */

static struct prepared *find_prepared(struct terminal *terminal, const char *name)
{
	LIST_EACH (&terminal->prepared, node) {
		struct prepared *prepared = LIST_ENTRY(node, struct prepared, node);

		if (strcmp(prepared->name, name) == 0)
			return prepared;
	}
	return NULL;
}

static void drop_prepared(struct terminal *terminal, struct prepared *prepared)
{
	list_remove(&terminal->prepared, &prepared->node);
	free(prepared->name);
	free(prepared);
}

bool terminal_deallocate(struct terminal *terminal, const char *name)
{
	struct prepared *found;

	if (name) {
		found = find_prepared(terminal, name);
		if (found)
			drop_prepared(terminal, found);
		return found != NULL;
	}
	LIST_EACH_SAFE (&terminal->prepared, node)
		drop_prepared(terminal, LIST_ENTRY(node, struct prepared, node));
	return true;
}

/* One statement or none. false: an error was reported. */
static bool plan_text(struct terminal *terminal, const char *text, struct plan *plan)
{
	char message[ERROR_TEXT_MAX];
	struct words words;
	struct words more;
	enum words_result result = words_next(&text, &words);
	enum words_result next = result == WORDS_STATEMENT ? words_next(&text, &more) : WORDS_END;

	if (result == WORDS_UNTERMINATED || next == WORDS_UNTERMINATED) {
		report_error(terminal, "42601", "unterminated quote or comment", NULL);
	} else if (next == WORDS_STATEMENT) {
		report_error(terminal, "42601",
			     "cannot insert multiple commands into a prepared statement", NULL);
	} else if (!plan_make(&words, plan)) {
		plan_refuse(&words, message, sizeof(message));
		report_error(terminal, "42601", message, NULL);
	} else {
		return true;
	}
	return false;
}

static bool add_prepared(struct terminal *terminal, const char *name, const struct plan *plan)
{
	struct prepared *prepared = malloc(sizeof(*prepared));
	char *copy = strdup(name);

	if (!prepared || !copy) {
		free(prepared);
		free(copy);
		return false;
	}
	memset(prepared, 0, sizeof(*prepared));
	prepared->name = copy;
	plan_copy(&prepared->plan, plan);
	list_push_back(&terminal->prepared, &prepared->node);
	return true;
}

static void prepare(struct terminal *terminal, const char *name, const char *text)
{
	struct prepared *old = find_prepared(terminal, name);
	struct plan plan;

	if (old && name[0]) {
		report_error(terminal, "42P05", "prepared statement already exists", NULL);
		return;
	}
	if (old)
		drop_prepared(terminal, old);
	if (terminal->prepared.count >= TERMINAL_NAMES_MAX)
		report_error(terminal, "53400", "pointsman: too many prepared statements", NULL);
	else if (!plan_text(terminal, text, &plan))
		return;
	else if (!add_prepared(terminal, name, &plan))
		report_no_memory(terminal);
	else
		build_empty(out_of(terminal), MSG_B_PARSE_COMPLETE);
}

static void take_parse(struct terminal *terminal, struct cursor *c)
{
	const char *name = cursor_string(c);
	const char *text = cursor_string(c);
	uint16_t n_types = cursor_u16(c);

	cursor_bytes(c, 4u * n_types);
	if (cursor_done(c))
		prepare(terminal, name, text);
	else
		protocol_error(terminal, "invalid message format");
}

/* --- Bind --- */

static struct portal *find_portal(struct terminal *terminal, const char *name)
{
	LIST_EACH (&terminal->portals, node) {
		struct portal *portal = LIST_ENTRY(node, struct portal, node);

		if (strcmp(portal->name, name) == 0)
			return portal;
	}
	return NULL;
}

static void drop_portal(struct terminal *terminal, struct portal *portal)
{
	list_remove(&terminal->portals, &portal->node);
	job_destroy(&portal->job);
	free(portal->name);
	free(portal);
}

void terminal_drop_all_portals(struct terminal *terminal)
{
	terminal->executing = NULL;
	LIST_EACH_SAFE (&terminal->portals, node)
		drop_portal(terminal, LIST_ENTRY(node, struct portal, node));
}

static struct portal *add_portal(struct terminal *terminal, const char *name,
				 const struct plan *plan)
{
	struct portal *portal = calloc(1, sizeof(*portal));

	if (!portal)
		return NULL;
	portal->name = strdup(name);
	if (!portal->name) {
		free(portal);
		return NULL;
	}
	plan_copy(&portal->plan, plan);
	list_push_back(&terminal->portals, &portal->node);
	return portal;
}

static void read_formats(struct cursor *c, struct portal *portal)
{
	uint16_t n = cursor_u16(c);

	for (uint16_t i = 0; i < n; i++) {
		uint16_t code = cursor_u16(c);

		if (i < JOB_FORMATS_MAX)
			portal->format_codes[i] = code;
	}
	portal->n_formats = n < JOB_FORMATS_MAX ? n : JOB_FORMATS_MAX;
}

/* false: a format that there is not, or not one for each column. */
static bool formats_are_sound(const struct portal *portal)
{
	size_t n_columns;

	plan_columns(&portal->plan, &n_columns);
	for (size_t i = 0; i < portal->n_formats; i++) {
		if (portal->format_codes[i] > 1)
			return false;
	}
	return portal->n_formats <= 1 || portal->n_formats == n_columns;
}

static void make_portal(struct terminal *terminal, const char *portal_name,
			const char *statement_name, struct cursor *c)
{
	struct prepared *prepared = find_prepared(terminal, statement_name);
	struct portal *portal = find_portal(terminal, portal_name);

	if (!prepared) {
		report_missing(terminal, "26000", "prepared statement", statement_name);
		return;
	}
	if (portal && portal_name[0]) {
		report_error(terminal, "42P03", "portal already exists", NULL);
		return;
	}
	if (portal)
		drop_portal(terminal, portal);
	portal = terminal->portals.count < TERMINAL_NAMES_MAX
			 ? add_portal(terminal, portal_name, &prepared->plan)
			 : NULL;
	if (!portal) {
		report_no_memory(terminal);
		return;
	}
	read_formats(c, portal);
	if (!cursor_done(c)) {
		protocol_error(terminal, "invalid message format");
	} else if (!formats_are_sound(portal)) {
		drop_portal(terminal, portal);
		report_error(terminal, "08P01", "invalid result format codes", NULL);
	} else {
		build_empty(out_of(terminal), MSG_B_BIND_COMPLETE);
	}
}

static void take_bind(struct terminal *terminal, struct cursor *c)
{
	const char *portal = cursor_string(c);
	const char *statement = cursor_string(c);
	uint16_t n_formats = cursor_u16(c);
	uint16_t n_params;

	cursor_bytes(c, 2u * n_formats);
	n_params = cursor_u16(c);
	if (c->failed)
		protocol_error(terminal, "invalid message format");
	else if (n_params > 0)
		report_error(terminal, "08P01", "pointsman: console commands have no parameters",
			     NULL);
	else
		make_portal(terminal, portal, statement, c);
}

/* --- Describe, Execute, Close --- */

static void describe(struct terminal *terminal, const struct plan *plan,
		     struct table_formats formats)
{
	size_t n_columns;
	const struct build_column *columns = plan_columns(plan, &n_columns);

	if (n_columns > 0)
		table_describe(columns, n_columns, formats, out_of(terminal));
	else
		build_empty(out_of(terminal), MSG_B_NO_DATA);
}

static void describe_statement(struct terminal *terminal, const char *name)
{
	struct prepared *prepared = find_prepared(terminal, name);
	size_t mark;

	if (!prepared) {
		report_missing(terminal, "26000", "prepared statement", name);
		return;
	}
	mark = build_begin(out_of(terminal), MSG_B_PARAMETER_DESCRIPTION);
	build_u16(out_of(terminal), 0);
	build_end(out_of(terminal), mark);
	describe(terminal, &prepared->plan, (struct table_formats){ NULL, 0 });
}

static void describe_portal(struct terminal *terminal, const char *name)
{
	struct portal *portal = find_portal(terminal, name);

	if (portal)
		describe(terminal, &portal->plan,
			 (struct table_formats){ portal->format_codes, portal->n_formats });
	else
		report_missing(terminal, "34000", "portal", name);
}

static void take_describe(struct terminal *terminal, struct cursor *c)
{
	uint8_t what = cursor_u8(c);
	const char *name = cursor_string(c);

	if (!cursor_done(c) || (what != 'S' && what != 'P'))
		protocol_error(terminal, "invalid message format");
	else if (what == 'S')
		describe_statement(terminal, name);
	else
		describe_portal(terminal, name);
}

static void execute(struct terminal *terminal, struct portal *portal, uint32_t rows_max)
{
	if (!portal->plan.command) {
		build_empty(out_of(terminal), MSG_B_EMPTY_QUERY);
		return;
	}
	if (portal->is_done) {
		report_error(terminal, "55000", "portal cannot be run again", NULL);
		return;
	}
	if (portal->job) {
		deliver_rows(terminal, portal, rows_max);
		return;
	}
	terminal->executing = portal;
	terminal->rows_max = rows_max;
	if (start_job(terminal, &portal->plan,
		      (struct table_formats){ portal->format_codes, portal->n_formats }))
		terminal_deliver(terminal);
}

static void take_execute(struct terminal *terminal, struct cursor *c)
{
	const char *name = cursor_string(c);
	uint32_t rows_max = cursor_u32(c);
	struct portal *portal;

	if (!cursor_done(c)) {
		protocol_error(terminal, "invalid message format");
		return;
	}
	portal = find_portal(terminal, name);
	if (portal)
		execute(terminal, portal, rows_max > INT32_MAX ? 0 : rows_max);
	else
		report_missing(terminal, "34000", "portal", name);
}

static void take_close(struct terminal *terminal, struct cursor *c)
{
	uint8_t what = cursor_u8(c);
	const char *name = cursor_string(c);
	struct portal *portal;

	if (!cursor_done(c) || (what != 'S' && what != 'P')) {
		protocol_error(terminal, "invalid message format");
		return;
	}
	portal = what == 'P' ? find_portal(terminal, name) : NULL;
	if (portal)
		drop_portal(terminal, portal);
	else if (what == 'S')
		terminal_deallocate(terminal, name);
	build_empty(out_of(terminal), MSG_B_CLOSE_COMPLETE);
}

static void take_sync(struct terminal *terminal)
{
	terminal->is_skipping = false;
	if (terminal->txn_status == TXN_IDLE)
		terminal_drop_all_portals(terminal);
	build_ready(out_of(terminal), terminal->txn_status);
}

static void take_function_call(struct terminal *terminal)
{
	report_error(terminal, "0A000", "pointsman: the console has no functions", NULL);
	terminal->is_skipping = false;
	build_ready(out_of(terminal), terminal->txn_status);
}

/* --- messages --- */

static void take_frame(struct terminal *terminal, const struct frame *frame)
{
	struct cursor c;

	if (terminal->is_skipping && frame->type != MSG_F_SYNC && frame->type != MSG_F_TERMINATE)
		return;
	cursor_init(&c, frame->body, frame->body_length);
	switch (frame->type) {
	case MSG_F_QUERY: take_query(terminal, &c); break;
	case MSG_F_PARSE: take_parse(terminal, &c); break;
	case MSG_F_BIND: take_bind(terminal, &c); break;
	case MSG_F_DESCRIBE: take_describe(terminal, &c); break;
	case MSG_F_EXECUTE: take_execute(terminal, &c); break;
	case MSG_F_CLOSE: take_close(terminal, &c); break;
	case MSG_F_SYNC: take_sync(terminal); break;
	case MSG_F_FLUSH: break; /* all that there is leaves at once anyway */
	case MSG_F_FUNCTION_CALL: take_function_call(terminal); break;
	case MSG_F_COPY_DATA:
	case MSG_F_COPY_DONE:
	case MSG_F_COPY_FAIL: break; /* ignored outside a COPY, as PostgreSQL does */
	case MSG_F_TERMINATE: terminal_close(terminal, NULL, NULL); break;
	default: protocol_error(terminal, "unexpected message type"); break;
	}
}

static uint32_t body_max(uint8_t type)
{
	uint32_t max = frame_frontend_body_max(type);

	return max != FRAME_NO_SUCH_TYPE && max > TERMINAL_MESSAGE_MAX ? TERMINAL_MESSAGE_MAX
								       : max;
}

size_t terminal_take_message(struct terminal *terminal, const uint8_t *data, size_t length)
{
	struct frame frame;
	char message[ERROR_TEXT_MAX];

	switch (frame_peek(data, length, body_max(data[0]), &frame)) {
	case FRAME_NEED_MORE: return 0;
	case FRAME_BAD:
		if (frame_frontend_body_max(data[0]) == FRAME_NO_SUCH_TYPE)
			snprintf(message, sizeof(message), "invalid frontend message type %u",
				 data[0]);
		else
			snprintf(message, sizeof(message), "invalid message length");
		protocol_error(terminal, message);
		return length;
	case FRAME_OK: break;
	}
	if (!frame_is_whole(&frame))
		return 0;
	take_frame(terminal, &frame);
	return frame_size(&frame);
}
