/* net/listener: opening TCP and unix sockets, accepting, running out of descriptors. */

#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit.h"

#define FDS_MAX 8

static struct loop *loop;
static char directory[64];
static char error[256];

static int accepted_count;
static int accepted_fds[256];
static struct sockaddr_storage accepted_from;

static void set_up(void)
{
	loop = loop_create();
	ck_assert_ptr_nonnull(loop);
	strcpy(directory, "/tmp/pointsman-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	error[0] = '\0';
	accepted_count = 0;
}

static void tear_down(void)
{
	char path[128];

	for (int i = 0; i < accepted_count; i++)
		close(accepted_fds[i]);
	ck_assert(listener_unix_path(directory, 5432, path, sizeof(path)));
	unlink(path);
	rmdir(directory);
	loop_destroy(&loop);
}

static void on_accepted(void *context, int fd, const struct sockaddr *address, socklen_t length)
{
	(void)context;
	ck_assert_int_lt(accepted_count, 256);
	accepted_fds[accepted_count++] = fd;
	memset(&accepted_from, 0, sizeof(accepted_from));
	memcpy(&accepted_from, address, length);
}

static int open_tcp(void)
{
	int fd = -1;

	ck_assert_int_eq(listener_open_tcp("127.0.0.1", 0, 200, &fd, 1, error, sizeof(error)), 1);
	return fd;
}

static int port_of(int fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	/* sin6_port lies where sin_port does. */
	return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

static int connect_to(int listening)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int fd;

	ck_assert_int_eq(getsockname(listening, (struct sockaddr *)&address, &length), 0);
	fd = socket(address.ss_family, SOCK_STREAM, 0);
	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, length), 0);
	return fd;
}

/* --- opening --- */

START_TEST(tcp_on_one_address)
{
	int fd = open_tcp(), client = connect_to(fd);

	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	close(client);
	close(fd);
}
END_TEST

/* Each family has its own socket, and both can have the same port. */
START_TEST(tcp_on_all_addresses)
{
	int probe = open_tcp(), port = port_of(probe), fds[FDS_MAX], n, only;
	struct sockaddr_storage address;
	socklen_t length;

	close(probe);
	n = listener_open_tcp("*", port, 16, fds, FDS_MAX, error, sizeof(error));
	ck_assert_msg(n >= 1, "%s", error);
	for (int i = 0; i < n; i++) {
		length = sizeof(address);
		ck_assert_int_eq(getsockname(fds[i], (struct sockaddr *)&address, &length), 0);
		ck_assert_int_eq(port_of(fds[i]), port);
		if (address.ss_family != AF_INET6)
			continue;
		length = sizeof(only);
		ck_assert_int_eq(getsockopt(fds[i], IPPROTO_IPV6, IPV6_V6ONLY, &only, &length),
				 0);
		ck_assert_int_eq(only, 1);
	}
	for (int i = 0; i < n; i++)
		close(fds[i]);
}
END_TEST

START_TEST(tcp_failures_say_why)
{
	int taken = open_tcp(), fd;

	ck_assert_int_eq(
		listener_open_tcp("127.0.0.1", port_of(taken), 16, &fd, 1, error, sizeof(error)),
		-1);
	ck_assert_ptr_nonnull(strstr(error, "127.0.0.1"));
	ck_assert_ptr_nonnull(strstr(error, strerror(EADDRINUSE)));
	close(taken);

	ck_assert_int_eq(listener_open_tcp("no such name", 0, 16, &fd, 1, error, sizeof(error)),
			 -1);
	ck_assert_ptr_nonnull(strstr(error, "no such name"));
	/* TEST-NET-1: nobody's address. */
	ck_assert_int_eq(listener_open_tcp("192.0.2.1", 0, 16, &fd, 1, error, sizeof(error)), -1);
	ck_assert_ptr_nonnull(strstr(error, "192.0.2.1"));
}
END_TEST

START_TEST(unix_path_fits_or_not)
{
	char path[32];

	ck_assert(listener_unix_path("/run", 5432, path, sizeof(path)));
	ck_assert_str_eq(path, "/run/.s.PGSQL.5432");
	ck_assert(listener_unix_path("/run", 5432, path, sizeof("/run/.s.PGSQL.5432")));
	ck_assert(!listener_unix_path("/run", 5432, path, sizeof("/run/.s.PGSQL.5432") - 1));
}
END_TEST

static int open_unix(int mode)
{
	return listener_open_unix(directory, 5432, mode, 16, error, sizeof(error));
}

START_TEST(unix_has_its_mode_whatever_the_umask)
{
	static const int modes[] = { 0777, 0700, 0770, 0600 };
	mode_t before = umask(027);
	struct stat status;
	char path[128];
	int fd = open_unix(modes[_i]);

	ck_assert_msg(fd != -1, "%s", error);
	ck_assert_int_eq(umask(before), 027);
	ck_assert(listener_unix_path(directory, 5432, path, sizeof(path)));
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_int_eq(status.st_mode & 0777, modes[_i]);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	close(fd);
}
END_TEST

START_TEST(unix_replaces_a_dead_socket_only)
{
	int fd = open_unix(0777), client;

	ck_assert_int_ne(fd, -1);
	ck_assert_int_eq(open_unix(0777), -1);
	ck_assert_ptr_nonnull(strstr(error, "in use"));
	/* The live one was left alone. */
	client = connect_to(fd);
	close(client);
	close(fd);
	fd = open_unix(0777);
	ck_assert_msg(fd != -1, "%s", error);
	client = connect_to(fd);
	close(client);
	close(fd);
}
END_TEST

START_TEST(unix_never_removes_what_is_no_socket)
{
	char path[128];
	int fd;

	ck_assert(listener_unix_path(directory, 5432, path, sizeof(path)));
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	ck_assert_int_ne(fd, -1);
	close(fd);
	ck_assert_int_eq(open_unix(0777), -1);
	ck_assert_ptr_nonnull(strstr(error, "not a socket"));
	ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

START_TEST(unix_failures_say_why)
{
	char longer[200];

	ck_assert_int_eq(
		listener_open_unix("/no/such/directory", 5432, 0777, 16, error, sizeof(error)),
		-1);
	ck_assert_ptr_nonnull(strstr(error, strerror(ENOENT)));
	memset(longer, 'x', sizeof(longer));
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_int_eq(listener_open_unix(longer, 5432, 0777, 16, error, sizeof(error)), -1);
	ck_assert_ptr_nonnull(strstr(error, "too long"));
}
END_TEST

/* --- accepting --- */

START_TEST(accepted_sockets_are_ready_for_a_loop)
{
	int fd = open_tcp(), client = connect_to(fd);
	struct listener *listener = listener_create(loop, fd, on_accepted, NULL);

	ck_assert_ptr_nonnull(listener);
	loop_run_once(loop, true);
	ck_assert_int_eq(accepted_count, 1);
	ck_assert_int_ne(fcntl(accepted_fds[0], F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(accepted_fds[0], F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_eq(accepted_from.ss_family, AF_INET);
	ck_assert_int_eq(((struct sockaddr_in *)&accepted_from)->sin_port,
			 htons(port_of(client)));
	listener_destroy(&listener);
	ck_assert_ptr_null(listener);
	listener_destroy(&listener);
	/* The listening socket is still ours. */
	close(client);
	client = connect_to(fd);
	close(client);
	close(fd);
}
END_TEST

START_TEST(many_at_once_but_not_all_in_one_turn)
{
	int fd = open_tcp(), clients[150];
	struct listener *listener = listener_create(loop, fd, on_accepted, NULL);

	for (int i = 0; i < 150; i++)
		clients[i] = connect_to(fd);
	loop_run_once(loop, true);
	ck_assert_int_gt(accepted_count, 1);
	ck_assert_int_lt(accepted_count, 150);
	while (accepted_count < 150)
		loop_run_once(loop, true);
	listener_destroy(&listener);
	for (int i = 0; i < 150; i++)
		close(clients[i]);
	close(fd);
}
END_TEST

static struct listener *doomed;

static void accept_and_destroy(void *context, int fd, const struct sockaddr *address,
			       socklen_t length)
{
	on_accepted(context, fd, address, length);
	listener_destroy(&doomed);
}

START_TEST(may_be_destroyed_in_its_own_callback)
{
	int fd = open_tcp(), clients[2] = { connect_to(fd), connect_to(fd) };

	doomed = listener_create(loop, fd, accept_and_destroy, NULL);
	loop_run_once(loop, true);
	loop_run_once(loop, false);
	ck_assert_int_eq(accepted_count, 1);
	close(clients[0]);
	close(clients[1]);
	close(fd);
}
END_TEST

/* The first descriptor that is free tells how low the limit must be for there to be none. */
static void use_up_descriptors(struct rlimit *before)
{
	struct rlimit none;
	int next = dup(0);

	ck_assert_int_ne(next, -1);
	close(next);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, before), 0);
	none = *before;
	none.rlim_cur = (rlim_t)next;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
}

/* A listener that spins would come back thousands of times within its pause. */
START_TEST(out_of_descriptors_it_rests_and_comes_back)
{
	int fd = open_tcp(), client = connect_to(fd), turns = 0;
	struct listener *listener = listener_create(loop, fd, on_accepted, NULL);
	struct rlimit before;
	usec began = clock_now();

	use_up_descriptors(&before);
	loop_run_once(loop, true);
	ck_assert_int_eq(accepted_count, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (; accepted_count == 0; turns++)
		loop_run_once(loop, true);
	ck_assert_int_le(turns, 5);
	ck_assert_int_ge(clock_now() - began, 900 * USEC_PER_MS);
	listener_destroy(&listener);
	close(client);
	close(fd);
}
END_TEST

START_TEST(may_be_destroyed_while_it_rests)
{
	int fd = open_tcp(), client = connect_to(fd);
	struct listener *listener = listener_create(loop, fd, on_accepted, NULL);
	struct rlimit before;

	use_up_descriptors(&before);
	loop_run_once(loop, true);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	listener_destroy(&listener);
	loop_run_once(loop, false);
	ck_assert_int_eq(accepted_count, 0);
	close(client);
	close(fd);
}
END_TEST

static Suite *listener_suite(void)
{
	Suite *suite = suite_create("net/listener");
	TCase *tc = tcase_create("listener");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, tcp_on_one_address);
	tcase_add_test(tc, tcp_on_all_addresses);
	tcase_add_test(tc, tcp_failures_say_why);
	tcase_add_test(tc, unix_path_fits_or_not);
	tcase_add_loop_test(tc, unix_has_its_mode_whatever_the_umask, 0, 4);
	tcase_add_test(tc, unix_replaces_a_dead_socket_only);
	tcase_add_test(tc, unix_never_removes_what_is_no_socket);
	tcase_add_test(tc, unix_failures_say_why);
	tcase_add_test(tc, accepted_sockets_are_ready_for_a_loop);
	tcase_add_test(tc, many_at_once_but_not_all_in_one_turn);
	tcase_add_test(tc, may_be_destroyed_in_its_own_callback);
	tcase_add_test(tc, out_of_descriptors_it_rests_and_comes_back);
	tcase_add_test(tc, may_be_destroyed_while_it_rests);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(listener_suite)
