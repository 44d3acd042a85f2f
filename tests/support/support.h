#ifndef POINTSMAN_TESTS_SUPPORT_SUPPORT_H
#define POINTSMAN_TESTS_SUPPORT_SUPPORT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What test programs need from the system: time, ports, files, child processes, a directory for
 * throw-away files. Functions that fail have said why on standard error.
 */

void support_complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* snprintf into a path; one that does not fit ends the test program. */
void support_path(char out[PATH_MAX], const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Milliseconds on the monotonic clock. */
int64_t support_now_ms(void);

/* A short pause between two looks at a condition that nothing signals. */
void support_poll_pause(void);

/* A TCP port that was free on 127.0.0.1 a moment ago; -1 on failure. */
int support_free_port(void);

/* --- files --- */

/* Reads a whole file; malloc'ed and terminated. NULL on failure. length_out may be NULL. */
char *support_read_file(const char *path, size_t *length_out);
bool support_write_file(const char *path, const char *text);
void support_show_tail(const char *path); /* on standard error */
void support_remove_tree(const char *path);

/* The user that runs PostgreSQL servers: postgres when we are root, else ourselves. */
bool support_server_user(uid_t *uid_out, gid_t *gid_out);

/*
 * The directory for throw-away files of this run, made on first use and removed at exit() by the
 * process that made it ($POINTSMAN_KEEP keeps it): in $TMPDIR when that is set, else
 * build/pg-test, else /tmp; the first of them that the servers' user can reach and whose name is
 * short enough for unix sockets. What killed runs have left behind there is removed. NULL on
 * failure.
 */
const char *support_scratch(void);

/* --- processes --- */

struct support_command {
	const char *const *argv; /* argv[0] is looked up in $PATH; NULL at the end */
	const char *out;         /* file for standard output, appended; NULL: /dev/null */
	const char *err;         /* the same for standard error; NULL: as `out` */
	const char *const *env;  /* further "NAME=value", NULL at the end; NULL: none */
	bool as_server_user;
	int death_signal; /* what the program gets when we die; 0: SIGKILL */
};

/* Starts a program; -1 when there is no process. */
pid_t support_spawn(const struct support_command *command);

/* Starts a program and waits for it: its exit status, 128 + signal, or -1. */
int support_run(const struct support_command *command);

/* true when the process is no more; a child of ours is reaped. */
bool support_is_gone(pid_t pid);

/* Waits for that; a child of ours is reaped, then *status_out (may be NULL) is its wait status.
 */
bool support_wait_gone(pid_t pid, int timeout_ms, int *status_out);

/* Sends a signal to a process and to its children. */
void support_signal_family(pid_t pid, int signal_number);

/* The first child of a process in order of number; 0 when there is none. */
pid_t support_first_child(pid_t pid);

#endif
