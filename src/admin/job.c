/*
 * Running commands of the console; see admin/job.h. The control thread's.
 */
#include "admin/job.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/console_private.h"
#include "admin/terminal.h"

/* How often it is looked whether what a command waits for has come to pass. */
#define LOOK_AGAIN (50 * USEC_PER_MS)

struct job *job_create(struct console *console, struct terminal *terminal,
		       const struct plan *plan, struct table_formats formats)
{
	struct job *job = calloc(1, sizeof(*job));
	const struct build_column *columns;
	size_t n_columns;

	if (!job)
		return NULL;
	job->console = console;
	job->terminal = terminal;
	plan_copy(&job->plan, plan);
	if (formats.n > JOB_FORMATS_MAX)
		formats.n = JOB_FORMATS_MAX;
	if (formats.n > 0)
		memcpy(job->format_codes, formats.codes, formats.n * sizeof(*formats.codes));
	formats.codes = job->format_codes;
	columns = plan_columns(&job->plan, &n_columns);
	table_init(&job->table, columns, n_columns, formats);
	return job;
}

void job_destroy(struct job **job_pointer)
{
	struct job *job = *job_pointer;

	*job_pointer = NULL;
	if (!job)
		return;
	ask_forget(&job->ask);
	loop_timer_destroy(&job->timer);
	table_free(&job->table);
	bytes_free(&job->detail);
	bytes_free(&job->notices);
	/* A command may be what destroys it: the session ends in the middle of it. */
	loop_defer_free(job->console->loop, job);
}

bool job_start(struct job *job, enum right right)
{
	if (right < plan_right(&job->plan))
		job_fail(job, "42501", "admin access needed");
	else
		job->plan.command->run(job);
	return !job->is_waiting;
}

void job_complete(struct job *job, const char *tag)
{
	if (job->table.rows.failed || job->notices.failed) {
		job_fail(job, "53200", "pointsman: out of memory");
		return;
	}
	snprintf(job->tag, sizeof(job->tag), "%s", tag);
}

void job_fail(struct job *job, const char *sqlstate, const char *format, ...)
{
	char message[sizeof(job->message)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(message, sizeof(message), format, arguments);
	va_end(arguments);
	job->has_failed = true;
	snprintf(job->sqlstate, sizeof(job->sqlstate), "%s", sqlstate);
	text_clean(job->message, sizeof(job->message), message);
}

/* --- asking --- */

static void on_answered(void *context, void *const *results, int n_results)
{
	struct job *job = context;

	job->ask = NULL;
	job->is_waiting = false;
	job->answered(job, results, n_results);
	if (!job->is_waiting)
		terminal_job_done(job->terminal);
}

void job_ask(struct job *job, fleet_function function, const struct order *order,
	     void (*answered)(struct job *job, void *const *results, int n_results))
{
	job->answered = answered;
	job->ask = ask_workers(&job->console->asks, function, order, on_answered, job);
	job->is_waiting = job->ask != NULL;
	if (!job->ask)
		job_fail(job, "53200", "pointsman: out of memory");
}

static void on_timer(void *context)
{
	struct job *job = context;

	job_ask(job, order_obey, &job->order, job->answered);
	if (!job->is_waiting)
		terminal_job_done(job->terminal);
}

void job_order_later(struct job *job,
		     void (*answered)(struct job *job, void *const *results, int n_results))
{
	if (!job->timer)
		job->timer = loop_timer_create(job->console->loop, on_timer, job);
	if (!job->timer) {
		job_fail(job, "53200", "pointsman: out of memory");
		return;
	}
	job->answered = answered;
	job->is_waiting = true;
	loop_timer_start(job->timer, LOOK_AGAIN);
}

const char *job_argument(const struct job *job)
{
	return words_text(&job->plan.words, 1);
}
