/*
 * The supervisor; see daemon/supervisor.h. One thread, which does nothing but wait for signals.
 */
#include "daemon/supervisor.h"

#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "daemon/daemon.h"

#define PAUSE_FIRST (100 * USEC_PER_MS)
#define PAUSE_MAX   (10 * USEC_PER_SEC)
/* A process that has lived for so long has not crashed "again". */
#define LONG_LIFE   (60 * USEC_PER_SEC)
#define FRAMES_MAX  64

struct supervisor {
	struct snapshot *snapshot;
	struct sockets sockets;
	sigset_t signals;
	sigset_t signals_before;
	pid_t child;
	usec started_at;
	usec pause; /* before the next start */
	bool is_restart;
	bool is_stopping; /* the child has been told to end */
};

/* --- in the serving process --- */

#ifndef __SANITIZE_ADDRESS__ /* sanitizers have reports of their own */
static void on_crash(int number)
{
	static const char text[] = "pointsman: crashed; the stack was:\n";
	void *frames[FRAMES_MAX];

	/* Only calls that are safe in a signal handler, then the default action: a core, and the
	 * status. */
	if (write(STDERR_FILENO, text, sizeof(text) - 1) > 0)
		backtrace_symbols_fd(frames, backtrace(frames, FRAMES_MAX), STDERR_FILENO);
	signal(number, SIG_DFL);
	raise(number);
}

static void catch_crashes(void)
{
	static const int numbers[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	void *frame;

	(void)backtrace(&frame, 1); /* loads what it needs now, not in the handler */
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		signal(numbers[i], on_crash);
}
#else
static void catch_crashes(void)
{
}
#endif

/* After a crash: the file as it is now, when it has no errors; what was reloaded before is not
 * lost. */
static void refresh_snapshot(struct supervisor *supervisor)
{
	struct bytes ignored = { 0 };
	struct snapshot *fresh = snapshot_load(supervisor->snapshot->config->path, &ignored);

	if (fresh) {
		config_keep_fixed(fresh->config, supervisor->snapshot->config, &ignored);
		supervisor->snapshot = fresh;
	}
	bytes_free(&ignored);
}

static _Noreturn void serve(struct supervisor *supervisor)
{
	if (supervisor->is_restart)
		refresh_snapshot(supervisor);
	sigprocmask(SIG_SETMASK, &supervisor->signals_before, NULL);
	prctl(PR_SET_PDEATHSIG, SIGQUIT);
	catch_crashes();
	exit(daemon_serve(supervisor->snapshot, &supervisor->sockets));
}

/* --- in the supervisor --- */

/* Starts a serving process; false when there can be none. */
static bool start(struct supervisor *supervisor)
{
	supervisor->started_at = clock_now();
	supervisor->child = fork();
	if (supervisor->child == 0)
		serve(supervisor);
	if (supervisor->child == -1)
		log_error(NULL, "cannot start a serving process");
	return supervisor->child != -1;
}

/* Waits for a signal, at most so long; 0: none came. */
static int next_signal(const struct supervisor *supervisor, usec limit)
{
	struct timespec time = { limit / USEC_PER_SEC, limit % USEC_PER_SEC * 1000 };
	int number;

	do {
		number = sigtimedwait(&supervisor->signals, NULL, &time);
	} while (number == -1 && errno == EINTR);
	return number == -1 ? 0 : number;
}

static bool is_stop(int number)
{
	return number == SIGTERM || number == SIGINT || number == SIGQUIT;
}

static void pass_on(struct supervisor *supervisor, int number)
{
	supervisor->is_stopping |= is_stop(number);
	kill(supervisor->child, number);
}

/* The pause before a start, which a signal to stop ends. */
static void wait_pause(struct supervisor *supervisor)
{
	usec until = clock_now() + supervisor->pause;

	while (!supervisor->is_stopping && clock_now() < until) {
		if (is_stop(next_signal(supervisor, until - clock_now())))
			supervisor->is_stopping = true;
	}
}

static void lengthen_pause(struct supervisor *supervisor)
{
	if (clock_now() - supervisor->started_at >= LONG_LIFE)
		supervisor->pause = 0;
	else if (supervisor->pause == 0)
		supervisor->pause = PAUSE_FIRST;
	else
		supervisor->pause =
			supervisor->pause * 2 > PAUSE_MAX ? PAUSE_MAX : supervisor->pause * 2;
}

/* The serving process has ended. true: another one runs; else *status_out is how all of it ends.
 */
static bool replace(struct supervisor *supervisor, int ended, int *status_out)
{
	*status_out = WIFEXITED(ended) ? WEXITSTATUS(ended) : 1;
	if (WIFEXITED(ended) || supervisor->is_stopping)
		return false;
	log_errorx(NULL, "the serving process was ended by a signal: %s",
		   strsignal(WTERMSIG(ended)));
	wait_pause(supervisor);
	if (supervisor->is_stopping)
		return false;
	supervisor->is_restart = true;
	if (!start(supervisor))
		return false;
	log_info(NULL, "a new serving process was started");
	lengthen_pause(supervisor);
	return true;
}

static int watch(struct supervisor *supervisor)
{
	int status = 0;
	int ended;

	for (;;) {
		int number = next_signal(supervisor, PAUSE_MAX);

		if (number != 0 && number != SIGCHLD)
			pass_on(supervisor, number);
		if (waitpid(supervisor->child, &ended, WNOHANG) == supervisor->child &&
		    !replace(supervisor, ended, &status))
			return status;
	}
}

static void block_signals(struct supervisor *supervisor)
{
	static const int numbers[] = { SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGQUIT };

	sigemptyset(&supervisor->signals);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaddset(&supervisor->signals, numbers[i]);
	sigprocmask(SIG_BLOCK, &supervisor->signals, &supervisor->signals_before);
}

/* As many descriptors as the system lets us have. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == -1)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) == -1)
		log_warn(NULL, "cannot raise the limit of open files");
}

int supervisor_run(struct snapshot *snapshot)
{
	struct supervisor supervisor = { .snapshot = snapshot };
	int status = 1;

	log_set_thread("supervisor");
	log_set_level(snapshot->config->log.level);
	log_set_format(snapshot->config->log.format);
	raise_descriptor_limit();
	if (sockets_open(&supervisor.sockets, snapshot->config)) {
		block_signals(&supervisor);
		if (start(&supervisor))
			status = watch(&supervisor);
		sockets_close(&supervisor.sockets, snapshot->config);
	}
	snapshot_unref(&supervisor.snapshot);
	return status;
}
