/*
 * The commands of the console; see admin/command.h. The table says who may give them; the
 * functions have one question each for the workers or for the daemon. Control thread.
 */
#include "admin/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/console_private.h"
#include "admin/job.h"
#include "admin/terminal.h"
#include "admin/show.h"
#include "admin/text.h"
#include "base/log.h"
#include "wire/message.h"

#define REFUSED_TEXT_MAX 120

/* --- orders --- */

/* Adds the reports up; fails the job when a worker had no memory. */
static bool sum_reports(struct job *job, void *const *results, int n_results,
			struct order_report *sum)
{
	memset(sum, 0, sizeof(*sum));
	for (int i = 0; i < n_results; i++) {
		if (!results[i]) {
			job_fail(job, "53200", "pointsman: out of memory on a worker");
			return false;
		}
		order_report_add(sum, results[i]);
	}
	if (sum->databases > 0 || job->order.is_for_all || job->order.kind == ORDER_KILL_CLIENT)
		return true;
	job_fail(job, "3D000", "no such database: %s", job->order.database);
	return false;
}

static void give_order(struct job *job, enum order_kind kind,
		       void (*answered)(struct job *job, void *const *results, int n_results))
{
	const char *name = job_argument(job);

	job->order.kind = kind;
	job->order.is_for_all = job->plan.words.count < 2;
	snprintf(job->order.database, sizeof(job->order.database), "%s", name);
	job_ask(job, order_obey, &job->order, answered);
}

/* "pgbouncer" and "pointsman" have no servers. */
static bool is_console_database(struct job *job, const char *verb)
{
	const char *name = job_argument(job);

	if (strcmp(name, "pgbouncer") != 0 && strcmp(name, "pointsman") != 0)
		return false;
	job_fail(job, "42501", "cannot %s admin db: %s", verb, name);
	return true;
}

static void on_obeyed(struct job *job, void *const *results, int n_results)
{
	struct order_report sum;

	if (sum_reports(job, results, n_results, &sum))
		job_complete(job, job->plan.command->name);
}

/* --- PAUSE, RESUME, KILL --- */

static void on_pause_progress(struct job *job, void *const *results, int n_results)
{
	struct order_report sum;

	if (!sum_reports(job, results, n_results, &sum))
		return;
	if (sum.paused < sum.databases && !job->order.is_for_all)
		job_fail(job, "57014", "pointsman: resumed before all servers were released");
	else if (job->order.is_for_all && !job->console->is_paused)
		job_fail(job, "57014", "pointsman: resumed before all servers were released");
	else if (sum.servers > 0)
		job_order_later(job, on_pause_progress);
	else
		job_complete(job, "PAUSE");
}

static void on_paused(struct job *job, void *const *results, int n_results)
{
	struct order_report sum;

	if (!sum_reports(job, results, n_results, &sum))
		return;
	if (!job->order.is_for_all && sum.paused == sum.databases) {
		job_fail(job, "55000", "database %s is already paused", job->order.database);
		return;
	}
	job->order.kind = ORDER_AWAIT_PAUSE;
	job_ask(job, order_obey, &job->order, on_pause_progress);
}

static void run_pause(struct job *job)
{
	if (is_console_database(job, "pause"))
		return;
	if (job->plan.words.count < 2) {
		if (job->console->is_paused) {
			job_fail(job, "55000", "already suspended/paused");
			return;
		}
		job->console->is_paused = true;
	}
	give_order(job, ORDER_PAUSE, on_paused);
}

static void on_resumed(struct job *job, void *const *results, int n_results)
{
	struct order_report sum;

	if (!sum_reports(job, results, n_results, &sum))
		return;
	if (sum.paused > 0)
		job_complete(job, "RESUME");
	else if (job->order.is_for_all)
		job_fail(job, "55000", "pooler is not paused/suspended");
	else
		job_fail(job, "55000", "database %s is not paused", job->order.database);
}

static void run_resume(struct job *job)
{
	if (is_console_database(job, "resume"))
		return;
	if (job->plan.words.count < 2)
		job->console->is_paused = false;
	give_order(job, ORDER_RESUME, on_resumed);
}

static void run_kill(struct job *job)
{
	if (is_console_database(job, "kill"))
		return;
	if (job->plan.words.count < 2)
		job->console->is_paused = true;
	give_order(job, ORDER_KILL, on_obeyed);
}

static void run_disable(struct job *job)
{
	if (!is_console_database(job, "disable"))
		give_order(job, ORDER_DISABLE, on_obeyed);
}

static void run_enable(struct job *job)
{
	if (!is_console_database(job, "enable"))
		give_order(job, ORDER_ENABLE, on_obeyed);
}

static void run_reconnect(struct job *job)
{
	if (!is_console_database(job, "reconnect"))
		give_order(job, ORDER_RECONNECT, on_obeyed);
}

/* --- WAIT_CLOSE --- */

static void on_close_progress(struct job *job, void *const *results, int n_results)
{
	struct order_report sum;

	if (!sum_reports(job, results, n_results, &sum))
		return;
	if (sum.closing > 0)
		job_order_later(job, on_close_progress);
	else
		job_complete(job, "WAIT_CLOSE");
}

static void run_wait_close(struct job *job)
{
	if (!is_console_database(job, "wait for"))
		give_order(job, ORDER_AWAIT_CLOSE, on_close_progress);
}

/* --- KILL_CLIENT --- */

static void on_client_killed(struct job *job, void *const *results, int n_results)
{
	struct order_report sum;

	if (!sum_reports(job, results, n_results, &sum))
		return;
	if (sum.clients > 0)
		job_complete(job, "KILL_CLIENT");
	else
		job_fail(job, "22023", "client not found");
}

/* An id as SHOW CLIENTS has it, or its `ptr`: the same in hexadecimal digits. */
static bool parse_id(const char *text, uint64_t *id_out)
{
	bool is_hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	const char *digits = text + (is_hex ? 2 : 0);
	char *end;

	if (strspn(digits, is_hex ? "0123456789abcdefABCDEF" : "0123456789") != strlen(digits) ||
	    digits[0] == '\0')
		return false;
	errno = 0;
	*id_out = strtoull(digits, &end, is_hex ? 16 : 10);
	return errno == 0 && *end == '\0';
}

static void run_kill_client(struct job *job)
{
	job->order.kind = ORDER_KILL_CLIENT;
	if (parse_id(job_argument(job), &job->order.client))
		job_ask(job, order_obey, &job->order, on_client_killed);
	else
		job_fail(job, "22023", "invalid client id: %s", job_argument(job));
}

/* --- the daemon --- */

static void run_reload(struct job *job)
{
	const struct console_hooks *hooks = &job->console->hooks;
	struct bytes errors = { 0 };

	if (hooks->reload(hooks->context, &errors)) {
		job_complete(job, "RELOAD");
	} else {
		job_fail(job, "F0000",
			 "pointsman: the configuration has errors, nothing has changed");
		if (bytes_append(&errors, "", 1)) {
			job->detail = errors;
			return;
		}
	}
	bytes_free(&errors);
}

/* SET key = value, SET key TO value. */
static bool is_assignment(const struct words *words)
{
	return words_is(words, 2, "=") || words_is(words, 2, "TO");
}

static void run_set(struct job *job)
{
	const struct console_hooks *hooks = &job->console->hooks;
	const struct words *words = &job->plan.words;
	char error[400] = "";

	if (hooks->set(hooks->context, words_text(words, 1), words_text(words, 3), error,
		       sizeof(error)))
		job_complete(job, "SET");
	else
		job_fail(job, "22023", "pointsman: %s", error);
}

static bool is_shutdown(const struct words *words)
{
	return words->count == 1 || words_is(words, 1, "WAIT_FOR_SERVERS") ||
	       words_is(words, 1, "WAIT_FOR_CLIENTS");
}

static void run_shutdown(struct job *job)
{
	const struct words *words = &job->plan.words;

	if (words->count == 1)
		console_shut_down(job->console, CONSOLE_SHUTDOWN_NOW);
	else if (words_is(words, 1, "WAIT_FOR_SERVERS"))
		console_shut_down(job->console, CONSOLE_SHUTDOWN_SERVERS);
	else
		console_shut_down(job->console, CONSOLE_SHUTDOWN_CLIENTS);
	job_complete(job, "SHUTDOWN");
}

static void run_suspend(struct job *job)
{
	job_fail(job, "0A000", "pointsman: SUSPEND is not supported; see PAUSE");
}

/* --- SHOW --- */

static bool is_help(const struct words *words)
{
	return words_is(words, 1, "HELP");
}

static void run_help(struct job *job)
{
	struct bytes text = { 0 };

	command_help(&text);
	if (bytes_append(&text, "", 1))
		build_notice(&job->notices, "NOTICE", "00000", "Console usage",
			     (const char *)bytes_begin(&text), NULL);
	else
		job->notices.failed = true;
	bytes_free(&text);
	job_complete(job, "SHOW");
}

static bool is_show(const struct words *words)
{
	return words->list[1].kind == WORD_PLAIN && show_find(words_text(words, 1));
}

static bool is_probe(const struct words *words)
{
	struct probe literal;

	return probe_find(words, &literal) != NULL;
}

/* --- what drivers say to any server, and what changes nothing here --- */

static bool is_session_setting(const struct words *words)
{
	static const char *const names[] = {
		"application_name",
		"bytea_output",
		"client_encoding",
		"client_min_messages",
		"datestyle",
		"default_transaction_isolation",
		"default_transaction_read_only",
		"extra_float_digits",
		"idle_in_transaction_session_timeout",
		"intervalstyle",
		"lock_timeout",
		"names",
		"search_path",
		"session",
		"standard_conforming_strings",
		"statement_timeout",
		"time",
		"timezone",
		"transaction",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (words_is(words, 1, names[i]))
			return true;
	}
	return false;
}

static void run_session_setting(struct job *job)
{
	const struct words *words = &job->plan.words;

	if (words_is(words, 1, "application_name") && is_assignment(words)) {
		char *copy = strdup(words_text(words, 3));

		if (copy) {
			free(job->terminal->application_name);
			job->terminal->application_name = copy;
		}
	}
	job_complete(job, "SET");
}

static void run_begin(struct job *job)
{
	job->terminal->txn_status = TXN_OPEN;
	job_complete(job, words_is(&job->plan.words, 0, "START") ? "START TRANSACTION" : "BEGIN");
}

static void run_commit(struct job *job)
{
	job->terminal->txn_status = TXN_IDLE;
	job_complete(job, "COMMIT");
}

static void run_rollback(struct job *job)
{
	job->terminal->txn_status = TXN_IDLE;
	job_complete(job, "ROLLBACK");
}

static void run_deallocate(struct job *job)
{
	const struct words *words = &job->plan.words;
	size_t index = words_is(words, 1, "PREPARE") && words->count > 2 ? 2 : 1;

	if (words_is(words, index, "ALL")) {
		terminal_deallocate(job->terminal, NULL);
		job_complete(job, "DEALLOCATE ALL");
	} else if (terminal_deallocate(job->terminal, words_text(words, index))) {
		job_complete(job, "DEALLOCATE");
	} else {
		job_fail(job, "26000", "prepared statement \"%.200s\" does not exist",
			 words_text(words, index));
	}
}

static void run_discard(struct job *job)
{
	if (words_is(&job->plan.words, 1, "ALL"))
		terminal_deallocate(job->terminal, NULL);
	job_complete(job, words_is(&job->plan.words, 1, "ALL") ? "DISCARD ALL" : "DISCARD");
}

static void run_nothing(struct job *job)
{
	job_complete(job, job->plan.command->name);
}

/* --- the table --- */

/* The first row that fits counts. */
static const struct command commands[] = {
	{ "SHOW", RIGHT_STATS, 2, 2, is_help, run_help, NULL },
	{ "SHOW", RIGHT_STATS, 2, 2, is_show, show_run, NULL }, /* and the table's own right */
	{ "SHOW", RIGHT_STATS, 2, WORDS_MAX, is_probe, probe_run, NULL },
	{ "SELECT", RIGHT_STATS, 2, WORDS_MAX, is_probe, probe_run, NULL },

	{ "SET", RIGHT_STATS, 3, WORDS_MAX, is_session_setting, run_session_setting, NULL },
	{ "SET", RIGHT_ADMIN, 4, 4, is_assignment, run_set, "SET key = arg" },
	{ "RELOAD", RIGHT_ADMIN, 1, 1, NULL, run_reload, "RELOAD" },
	{ "PAUSE", RIGHT_ADMIN, 1, 2, NULL, run_pause, "PAUSE [<db>]" },
	{ "RESUME", RIGHT_ADMIN, 1, 2, NULL, run_resume, "RESUME [<db>]" },
	{ "DISABLE", RIGHT_ADMIN, 2, 2, NULL, run_disable, "DISABLE <db>" },
	{ "ENABLE", RIGHT_ADMIN, 2, 2, NULL, run_enable, "ENABLE <db>" },
	{ "RECONNECT", RIGHT_ADMIN, 1, 2, NULL, run_reconnect, "RECONNECT [<db>]" },
	{ "KILL", RIGHT_ADMIN, 1, 2, NULL, run_kill, "KILL [<db>]" },
	{ "KILL_CLIENT", RIGHT_ADMIN, 2, 2, NULL, run_kill_client, "KILL_CLIENT <client_id>" },
	{ "SUSPEND", RIGHT_ADMIN, 1, 1, NULL, run_suspend, NULL },
	{ "SHUTDOWN", RIGHT_ADMIN, 1, 2, is_shutdown, run_shutdown,
	  "SHUTDOWN [WAIT_FOR_SERVERS|WAIT_FOR_CLIENTS]" },
	{ "WAIT_CLOSE", RIGHT_ADMIN, 1, 2, NULL, run_wait_close, "WAIT_CLOSE [<db>]" },

	{ "BEGIN", RIGHT_STATS, 1, WORDS_MAX, NULL, run_begin, NULL },
	{ "START", RIGHT_STATS, 2, WORDS_MAX, NULL, run_begin, NULL },
	{ "COMMIT", RIGHT_STATS, 1, 3, NULL, run_commit, NULL },
	{ "END", RIGHT_STATS, 1, 3, NULL, run_commit, NULL },
	{ "ROLLBACK", RIGHT_STATS, 1, 3, NULL, run_rollback, NULL },
	{ "ABORT", RIGHT_STATS, 1, 3, NULL, run_rollback, NULL },
	{ "DEALLOCATE", RIGHT_STATS, 2, 3, NULL, run_deallocate, NULL },
	{ "DISCARD", RIGHT_STATS, 2, 2, NULL, run_discard, NULL },
	{ "RESET", RIGHT_STATS, 2, 3, NULL, run_nothing, NULL },
	{ "UNLISTEN", RIGHT_STATS, 2, 2, NULL, run_nothing, NULL },
};

static bool fits(const struct command *command, const struct words *words)
{
	return words_is(words, 0, command->name) && words->count >= command->words_min &&
	       words->count <= command->words_max &&
	       (!command->matches || command->matches(words));
}

bool plan_make(const struct words *words, struct plan *plan)
{
	memset(plan, 0, sizeof(*plan));
	if (words->count == 0)
		return true;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]) && !words->is_cut; i++) {
		if (!fits(&commands[i], words))
			continue;
		plan->command = &commands[i];
		break;
	}
	if (!plan->command)
		return false;
	plan->words = *words;
	if (plan->command->run == show_run)
		plan->show = show_find(words_text(words, 1));
	if (plan->command->run == probe_run) {
		plan->probe = probe_find(words, &plan->literal);
		plan->column =
			(struct build_column){ plan->probe->column, plan->probe->type_oid };
	}
	return true;
}

void plan_copy(struct plan *to, const struct plan *from)
{
	*to = *from;
	if (from->probe == &from->literal)
		to->probe = &to->literal;
}

enum right plan_right(const struct plan *plan)
{
	if (plan->show && plan->show->right > plan->command->right)
		return plan->show->right;
	return plan->command->right;
}

const struct build_column *plan_columns(const struct plan *plan, size_t *n_out)
{
	*n_out = plan->show ? plan->show->n_columns : plan->probe ? 1 : 0;
	return plan->show ? plan->show->columns : plan->probe ? &plan->column : NULL;
}

void plan_refuse(const struct words *words, char *message_out, size_t message_size)
{
	char start[REFUSED_TEXT_MAX + 1];
	char clean[REFUSED_TEXT_MAX + 1];
	bool is_long = words->source_length > REFUSED_TEXT_MAX;

	snprintf(start, sizeof(start), "%.*s",
		 (int)(is_long ? REFUSED_TEXT_MAX : words->source_length), words->source);
	text_clean(clean, sizeof(clean), start);
	snprintf(message_out, message_size, "invalid command '%s%s', use SHOW HELP;", clean,
		 is_long ? "..." : "");
}

void command_help(struct bytes *out)
{
	const struct show *show;

	bytes_append_text(out, "\n\tSHOW HELP");
	for (size_t i = 0; (show = show_at(i)) != NULL; i++)
		bytes_printf(out, "%s%s", i % 6 == 5 ? "\n\tSHOW " : "|", show->name);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].usage)
			bytes_printf(out, "\n\t%s", commands[i].usage);
	}
	bytes_append_text(out, "\n");
}
