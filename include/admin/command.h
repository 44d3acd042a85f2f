#ifndef POINTSMAN_ADMIN_COMMAND_H
#define POINTSMAN_ADMIN_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "admin/words.h"
#include "wire/build.h"

/*
 * The commands of the console as data: what they are called, who may give them, what they return.
 * A statement is planned first (which command, which columns), which is all that Parse and
 * Describe need, and then run as a job (admin/job.h).
 */

struct job;
struct show;

/* What a command demands (R-75: each by itself), and what a session has. */
enum right {
	RIGHT_NONE,
	RIGHT_STATS, /* looking */
	RIGHT_ADMIN, /* everything */
};

struct command {
	const char *name; /* its first word */
	enum right right;
	size_t words_min; /* name included */
	size_t words_max;
	/* Is it this one, beyond name and number of words? NULL: yes. */
	bool (*matches)(const struct words *words);
	void (*run)(struct job *job);
	const char *usage; /* in SHOW HELP; NULL: not there */
};

/* A row of what drivers ask a new connection: SHOW setting, SELECT version() ... */
struct probe {
	const char *text; /* the words behind SHOW or SELECT */
	const char *column;
	uint32_t type_oid;
	const char *value; /* NULL: see probe_value() */
};

struct plan {
	const struct command *command; /* NULL: an empty statement */
	const struct show *show;
	const struct probe *probe;
	struct probe literal;       /* `probe` of a SELECT 1 */
	struct build_column column; /* of the probe */
	struct words words;
};

/* false: there is no such command. */
bool plan_make(const struct words *words, struct plan *plan);

/* A plan points into itself: this is how it is copied. */
void plan_copy(struct plan *to, const struct plan *from);

enum right plan_right(const struct plan *plan);

/* The columns of its result; none: it has no rows. */
const struct build_column *plan_columns(const struct plan *plan, size_t *n_out);

/* Appends the message for a statement that is no command, which is quoted cleaned and shortened.
 */
void plan_refuse(const struct words *words, char *message_out, size_t message_size);

/* Appends the text of SHOW HELP. */
struct bytes;
void command_help(struct bytes *out);

/* For the planner: the table of what drivers ask. `kind` is SHOW or SELECT. */
const struct probe *probe_find(const struct words *words, struct probe *literal);
void probe_run(struct job *job);

#endif
