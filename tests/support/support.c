/*
 * What test programs need from the system, and nothing about PostgreSQL's protocol: ports, files,
 * child processes, the directory for throw-away files. Everything here works in forked children
 * too; only the process that made something removes it.
 */
#include "support.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	ORPHAN_TIMEOUT_MS = 20000,
	SOCKET_DIRECTORY_MAX = 85 /* sun_path has 108 bytes; ".s.PGSQL.65535.lock" follows */
};

static char scratch[PATH_MAX];
static pid_t scratch_owner;

void support_complain(const char *format, ...)
{
	va_list args;

	fputs("support: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void support_path(char out[PATH_MAX], const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(out, PATH_MAX, format, args);
	va_end(args);
	if (length < 0 || length >= PATH_MAX) {
		support_complain("path too long: %s", out);
		abort();
	}
}

/* --- small things of the system --- */

int64_t support_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void support_poll_pause(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 5 * 1000 * 1000 }, NULL);
}

static bool is_port_free(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_port = htons((uint16_t)port),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool is_free;

	if (fd == -1)
		return false;
	is_free = bind(fd, (struct sockaddr *)&address, sizeof(address)) != -1;
	close(fd);
	return is_free;
}

/*
 * Not one that the system proposes: it hands those out to connections, too, and one of thousands
 * may have it before it is listened on. Drawn, so that two runs rarely meet.
 */
int support_free_port(void)
{
	enum {
		LOWEST = 12000,
		COUNT = 20000,
		ATTEMPTS = 200
	};
	uint32_t random;

	for (int i = 0; i < ATTEMPTS; i++) {
		int port;

		if (getrandom(&random, sizeof(random), 0) != sizeof(random))
			return -1;
		port = LOWEST + (int)(random % COUNT);
		if (is_port_free(port))
			return port;
	}
	return -1;
}

char *support_read_file(const char *path, size_t *length_out)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t length = 0;
	size_t room = 0;

	if (file == NULL)
		return NULL;
	do {
		if (length + 1 >= room) {
			char *bigger = realloc(text, room = room * 2 + 4096);

			if (bigger == NULL)
				abort();
			text = bigger;
		}
		length += fread(text + length, 1, room - length - 1, file);
	} while (!feof(file) && !ferror(file));
	fclose(file);
	text[length] = '\0';
	if (length_out != NULL)
		*length_out = length;
	return text;
}

bool support_write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	bool ok;

	if (file == NULL) {
		support_complain("%s: %s", path, strerror(errno));
		return false;
	}
	ok = fputs(text, file) >= 0;
	return fclose(file) == 0 && ok;
}

void support_show_tail(const char *path)
{
	char *text = support_read_file(path, NULL);

	if (text != NULL) {
		size_t length = strlen(text);

		support_complain("%s:\n%s", path, length > 4000 ? text + length - 4000 : text);
	}
	free(text);
}

/* --- processes --- */

/* Reads one line of /proc/<pid>/stat from the end of the name on; false when there is no such
 * process. */
static bool read_stat(pid_t pid, char *state_out, pid_t *parent_out)
{
	char path[64];
	char line[512];
	const char *after = NULL;
	int parent = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (file == NULL)
		return false;
	if (fgets(line, sizeof(line), file) != NULL)
		after = strrchr(line, ')');
	fclose(file);
	if (after == NULL || sscanf(after + 1, " %c %d", state_out, &parent) != 2)
		return false;
	*parent_out = parent;
	return true;
}

/* Gone, or a zombie of somebody else's: ours wait for waitpid(). */
static bool has_ended(pid_t pid)
{
	char state;
	pid_t parent;

	return !read_stat(pid, &state, &parent) || state == 'X' ||
	       (state == 'Z' && parent != getpid());
}

bool support_is_gone(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) == pid || has_ended(pid);
}

bool support_wait_gone(pid_t pid, int timeout_ms, int *status_out)
{
	int64_t until = support_now_ms() + timeout_ms;

	while (waitpid(pid, status_out, WNOHANG) != pid && !has_ended(pid)) {
		if (support_now_ms() > until)
			return false;
		support_poll_pause();
	}
	return true;
}

/* Calls `each` with every child of a process, in the order of /proc. */
static void each_child(pid_t pid, void (*each)(pid_t child, void *arg), void *arg)
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");

	while (proc != NULL && (entry = readdir(proc)) != NULL) {
		pid_t other = (pid_t)atoi(entry->d_name);
		pid_t parent;
		char state;

		if (other > 1 && read_stat(other, &state, &parent) && parent == pid)
			each(other, arg);
	}
	if (proc != NULL)
		closedir(proc);
}

static void send_signal(pid_t pid, void *arg)
{
	kill(pid, *(const int *)arg);
}

void support_signal_family(pid_t pid, int signal_number)
{
	/* The parent first: it must not see its children end and do something about it. */
	kill(pid, signal_number);
	each_child(pid, send_signal, &signal_number);
}

static void keep_lowest(pid_t pid, void *arg)
{
	pid_t *lowest = arg;

	if (*lowest == 0 || pid < *lowest)
		*lowest = pid;
}

pid_t support_first_child(pid_t pid)
{
	pid_t lowest = 0;

	each_child(pid, keep_lowest, &lowest);
	return lowest;
}

static bool redirect(int to, const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0644);

	return fd != -1 && dup2(fd, to) != -1;
}

static bool become(uid_t uid, gid_t gid)
{
	return getuid() != 0 ||
	       (setgroups(0, NULL) != -1 && setgid(gid) != -1 && setuid(uid) != -1);
}

/* The child's half of support_spawn(), up to the exec. */
static bool prepare_child(const struct support_command *command, pid_t parent)
{
	const char *out = command->out == NULL ? "/dev/null" : command->out;
	uid_t uid;
	gid_t gid;

	if (!redirect(0, "/dev/null", O_RDONLY) ||
	    !redirect(1, out, O_WRONLY | O_CREAT | O_APPEND))
		return false;
	if (command->err == NULL ? dup2(1, 2) == -1
				 : !redirect(2, command->err, O_WRONLY | O_CREAT | O_APPEND))
		return false;
	if (command->as_server_user && (!support_server_user(&uid, &gid) || !become(uid, gid)))
		return false;
	setenv("LC_ALL", "C", 1);
	for (size_t i = 0; command->env != NULL && command->env[i] != NULL; i++)
		putenv((char *)(uintptr_t)command->env[i]);
	/* After setuid(), which makes the system forget it. */
	prctl(PR_SET_PDEATHSIG, command->death_signal == 0 ? SIGKILL : command->death_signal);
	return getppid() == parent;
}

pid_t support_spawn(const struct support_command *command)
{
	pid_t parent = getpid();
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == -1)
		support_complain("fork: %s", strerror(errno));
	if (pid != 0)
		return pid;
	if (!prepare_child(command, parent))
		_exit(126);
	execvp(command->argv[0], (char *const *)(uintptr_t)command->argv);
	dprintf(2, "%s: %s\n", command->argv[0], strerror(errno));
	_exit(127);
}

int support_run(const struct support_command *command)
{
	pid_t pid = support_spawn(command);
	int status;

	if (pid == -1)
		return -1;
	while (waitpid(pid, &status, 0) == -1) {
		if (errno != EINTR)
			return -1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void support_remove_tree(const char *path)
{
	support_run(&(struct support_command){
		.argv = (const char *const[]){ "rm", "-rf", "--", path, NULL } });
}

/* --- the scratch directory --- */

bool support_server_user(uid_t *uid_out, gid_t *gid_out)
{
	const struct passwd *user;

	*uid_out = getuid();
	*gid_out = getgid();
	if (getuid() != 0)
		return true;
	user = getpwnam("postgres");
	if (user == NULL) {
		support_complain("root cannot run servers, and there is no user postgres");
		return false;
	}
	*uid_out = user->pw_uid;
	*gid_out = user->pw_gid;
	return true;
}

/* Can the servers' user work in this directory? Asked in a child that is that user. */
static bool is_reachable(const char *directory, uid_t uid, gid_t gid)
{
	int status = 1;
	pid_t pid;

	if (strlen(directory) > SOCKET_DIRECTORY_MAX - strlen("/999"))
		return false;
	fflush(NULL);
	pid = fork();
	if (pid == 0)
		_exit(become(uid, gid) && access(directory, R_OK | W_OK | X_OK) == 0 ? 0 : 1);
	return pid != -1 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* A postmaster of a test process that is dead: its data directory says which process it was. */
static void end_orphan(const char *data)
{
	char path[PATH_MAX];
	char cwd[PATH_MAX];
	ssize_t length;
	char *text;
	int pid;

	support_path(path, "%s/postmaster.pid", data);
	text = support_read_file(path, NULL);
	pid = text == NULL ? 0 : atoi(text);
	free(text);
	if (pid <= 1)
		return;
	support_path(path, "/proc/%d/cwd", pid);
	length = readlink(path, cwd, sizeof(cwd) - 1);
	if (length == -1)
		return;
	cwd[length] = '\0';
	if (strcmp(cwd, data) == 0 && kill(pid, SIGQUIT) != -1)
		support_wait_gone(pid, ORPHAN_TIMEOUT_MS, NULL);
}

static void end_orphans(const char *directory, int depth)
{
	struct dirent *entry;
	char path[PATH_MAX];
	DIR *dir = opendir(directory);

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.' || entry->d_type != DT_DIR)
			continue;
		support_path(path, "%s/%s", directory, entry->d_name);
		end_orphan(path);
		if (depth > 0)
			end_orphans(path, depth - 1);
	}
	if (dir != NULL)
		closedir(dir);
}

/*
 * Removes what killed test processes left in `base`: entries "<prefix><pid>..." that are ours and
 * whose process is no more.
 */
static void sweep(const char *base, const char *prefix, uid_t uid)
{
	struct dirent *entry;
	struct stat st;
	char path[PATH_MAX];
	DIR *dir = opendir(base);

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		pid_t pid;

		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0)
			continue;
		pid = (pid_t)atoi(entry->d_name + strlen(prefix));
		support_path(path, "%s/%s", base, entry->d_name);
		if (pid <= 1 || kill(pid, 0) != -1 || errno != ESRCH || lstat(path, &st) == -1 ||
		    !S_ISDIR(st.st_mode) || (st.st_uid != uid && st.st_uid != getuid()))
			continue;
		end_orphans(path, 1);
		support_remove_tree(path);
	}
	if (dir != NULL)
		closedir(dir);
}

static bool own_directory(const char *path, uid_t uid, gid_t gid)
{
	return chown(path, uid, gid) != -1 && chmod(path, 0755) != -1 &&
	       is_reachable(path, uid, gid);
}

static bool scratch_in_build(uid_t uid, gid_t gid)
{
	char base[PATH_MAX];

	if (getcwd(base, sizeof(base) - sizeof("/build/pg-test")) == NULL)
		return false;
	strcat(base, "/build");
	if (access(base, W_OK) == -1)
		return false;
	strcat(base, "/pg-test");
	if (mkdir(base, 0755) == -1 && errno != EEXIST)
		return false;
	sweep(base, "", uid);
	support_path(scratch, "%s/%d", base, (int)getpid());
	if (mkdir(scratch, 0755) == -1 && errno != EEXIST)
		return false;
	if (own_directory(scratch, uid, gid))
		return true;
	rmdir(scratch);
	return false;
}

static bool scratch_in(const char *base, uid_t uid, gid_t gid)
{
	sweep(base, "pointsman-pg.", uid);
	support_path(scratch, "%s/pointsman-pg.%d.XXXXXX", base, (int)getpid());
	if (mkdtemp(scratch) == NULL)
		return false;
	if (own_directory(scratch, uid, gid))
		return true;
	rmdir(scratch);
	return false;
}

static void remove_scratch(void)
{
	if (scratch[0] == '\0' || scratch_owner != getpid())
		return;
	if (getenv("POINTSMAN_KEEP") != NULL)
		support_complain("kept %s", scratch);
	else
		support_remove_tree(scratch);
}

const char *support_scratch(void)
{
	const char *tmp = getenv("TMPDIR");
	bool have_tmp = tmp != NULL && tmp[0] == '/';
	uid_t uid;
	gid_t gid;

	if (scratch[0] != '\0')
		return scratch;
	if (!support_server_user(&uid, &gid))
		return NULL;
	if (!(have_tmp && scratch_in(tmp, uid, gid)) && !scratch_in_build(uid, gid) &&
	    !scratch_in("/tmp", uid, gid)) {
		scratch[0] = '\0';
		support_complain("no directory for test servers: %s", strerror(errno));
		return NULL;
	}
	scratch_owner = getpid();
	atexit(remove_scratch);
	return scratch;
}
