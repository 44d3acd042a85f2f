/*
 * The options of the proxy's TCP sockets, on both sides: looked at with copies of its own
 * descriptors.
 */
#include "integration.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int get(int fd, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	ck_assert_int_eq(getsockopt(fd, level, name, &value, &length), 0);
	return value;
}

static int port_of(int fd, int (*ask)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_in address;
	socklen_t length = sizeof(address);

	if (ask(fd, (struct sockaddr *)&address, &length) == -1 || address.sin_family != AF_INET)
		return -1;
	return ntohs(address.sin_port);
}

static int get_peer(int fd, struct sockaddr *address, socklen_t *length)
{
	return getpeername(fd, address, length);
}

static int get_own(int fd, struct sockaddr *address, socklen_t *length)
{
	return getsockname(fd, address, length);
}

/*
 * A copy of a connected socket of the proxy with this port at its own end, or at the other, whose
 * options were set. (The monitor's connections go to servers, too, and are libpq's.) -1: there is
 * none; -2: we may not look.
 */
static int find_socket(const struct test_proxy *proxy, int own_port, int peer_port)
{
	pid_t pid = proxy_serving_pid(proxy);
	int process = (int)syscall(SYS_pidfd_open, pid, 0);
	char path[64];
	int found = -1;
	struct dirent *entry;
	DIR *directory;

	if (process == -1)
		return -2;
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	directory = opendir(path);
	ck_assert_ptr_nonnull(directory);
	while (found == -1 && (entry = readdir(directory)) != NULL) {
		int fd = (int)syscall(SYS_pidfd_getfd, process, atoi(entry->d_name), 0);
		int peer;

		if (fd == -1 && (errno == EPERM || errno == ENOSYS)) {
			found = -2;
			break;
		}
		if (fd == -1)
			continue;
		peer = port_of(fd, get_peer);
		if (peer != -1 && (peer == peer_port || port_of(fd, get_own) == own_port) &&
		    get(fd, IPPROTO_TCP, TCP_KEEPIDLE) == 21)
			found = fd;
		else
			close(fd);
	}
	closedir(directory);
	close(process);
	return found;
}

static void must_have_options(int fd)
{
	ck_assert_int_ne(get(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_ne(get(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_KEEPIDLE), 21);
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_KEEPINTVL), 22);
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_KEEPCNT), 23);
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 24000);
	ck_assert_int_eq(get(fd, SOL_SOCKET, SO_SNDBUF), 2 * 60 * 1024);
	ck_assert_int_eq(get(fd, SOL_SOCKET, SO_RCVBUF), 2 * 60 * 1024);
	close(fd);
}

START_TEST(test_options_on_both_sides)
{
	struct test_proxy *proxy = proxy_must_start(&(struct proxy_options){
		.top = "tcp_keepidle = 21; tcp_keepintvl = 22; tcp_keepcnt = 23;"
		       "tcp_user_timeout = 24000; tcp_socket_buffer = \"60kB\";" });
	PGconn *conn = db_open(proxy);
	int fd;

	db_exec(conn, "BEGIN; SELECT 1");
	fd = find_socket(proxy, proxy->port, -1);
	if (fd == -2) {
		integration_skip("no looking at another process's descriptors");
	} else {
		ck_assert_int_ne(fd, -1);
		must_have_options(fd);
		fd = find_socket(proxy, -1, servers->nodes[0].port);
		ck_assert_int_ne(fd, -1);
		must_have_options(fd);
	}
	PQfinish(conn);
	proxy_must_stop(&proxy);
}
END_TEST

static Suite *tcp_suite(void)
{
	Suite *suite = suite_create("tcp");
	TCase *tcase = integration_case(suite, "tcp", 60);

	tcase_add_test(tcase, test_options_on_both_sides);
	return suite;
}

INTEGRATION_SUITE(tcp_suite)
