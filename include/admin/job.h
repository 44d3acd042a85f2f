#ifndef POINTSMAN_ADMIN_JOB_H
#define POINTSMAN_ADMIN_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/ask.h"
#include "admin/command.h"
#include "admin/table.h"

/*
 * One execution of a planned command, from its start to its result. It belongs to its session,
 * which is told by terminal_job_done() when a job that had to wait is done; a session that ends
 * takes its job with it.
 */
struct console;
struct terminal;

#define JOB_FORMATS_MAX 64

struct job {
	struct console *console;
	struct terminal *terminal;
	struct plan plan;
	uint16_t format_codes[JOB_FORMATS_MAX];

	bool is_waiting;
	struct ask *ask;
	void (*answered)(struct job *job, void *const *results, int n_results);
	struct order order;       /* of the last question */
	struct loop_timer *timer; /* for what is asked again and again */

	/* The result. */
	bool has_failed;
	char sqlstate[6];
	char message[512];
	struct bytes detail;  /* NUL-terminated, or empty */
	struct bytes notices; /* whole messages */
	struct table table;
	char tag[32];
};

/* NULL without memory. `formats`: what the client wants; more than JOB_FORMATS_MAX are cut. */
struct job *job_create(struct console *console, struct terminal *terminal,
		       const struct plan *plan, struct table_formats formats);

/* Accepts NULL, sets the pointer to NULL. */
void job_destroy(struct job **job);

/* Begins, if `right` is enough. true: it is done already. */
bool job_start(struct job *job, enum right right);

/* --- for commands: each ends in one of the first two, or waits --- */

void job_complete(struct job *job, const char *tag);
void job_fail(struct job *job, const char *sqlstate, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Asks all workers; answered() then goes on. `order` may be NULL. Fails the job without memory.
 */
void job_ask(struct job *job, fleet_function function, const struct order *order,
	     void (*answered)(struct job *job, void *const *results, int n_results));

/* Gives job->order to all workers after a while; answered() goes on. */
void job_order_later(struct job *job,
		     void (*answered)(struct job *job, void *const *results, int n_results));

/* The argument of a command that has one at most; "" without. */
const char *job_argument(const struct job *job);

#endif
