/* The options of TCP sockets, as the system has them afterwards. */
#include "net/conn.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/listener.h"
#include "unit.h"

static int get(int fd, int level, int name)
{
	int value = -1;
	socklen_t length = sizeof(value);

	ck_assert_int_eq(getsockopt(fd, level, name, &value, &length), 0);
	return value;
}

static int tcp_socket(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	ck_assert_int_ne(fd, -1);
	return fd;
}

START_TEST(all_options)
{
	const struct conn_tcp_options options = { .keepalive = true,
						  .keepidle_s = 11,
						  .keepintvl_s = 12,
						  .keepcnt = 13,
						  .user_timeout_ms = 14000,
						  .socket_buffer = 50000 };
	int fd = tcp_socket();

	conn_set_tcp_options(fd, &options);
	ck_assert_int_ne(get(fd, IPPROTO_TCP, TCP_NODELAY), 0);
	ck_assert_int_ne(get(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_KEEPIDLE), 11);
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_KEEPINTVL), 12);
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_KEEPCNT), 13);
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 14000);
	/* The kernel doubles it for its own books, socket(7). */
	ck_assert_int_eq(get(fd, SOL_SOCKET, SO_SNDBUF), 100000);
	ck_assert_int_eq(get(fd, SOL_SOCKET, SO_RCVBUF), 100000);
	close(fd);
}
END_TEST

/* 0 leaves what the system has. */
START_TEST(defaults_are_the_systems)
{
	const struct conn_tcp_options options = { .keepalive = true };
	int plain = tcp_socket();
	int fd = tcp_socket();

	conn_set_tcp_options(fd, &options);
	ck_assert_int_ne(get(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_KEEPIDLE),
			 get(plain, IPPROTO_TCP, TCP_KEEPIDLE));
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_KEEPINTVL),
			 get(plain, IPPROTO_TCP, TCP_KEEPINTVL));
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_KEEPCNT), get(plain, IPPROTO_TCP, TCP_KEEPCNT));
	ck_assert_int_eq(get(fd, SOL_SOCKET, SO_SNDBUF), get(plain, SOL_SOCKET, SO_SNDBUF));
	close(plain);
	close(fd);
}
END_TEST

START_TEST(user_timeout_without_keepalive)
{
	const struct conn_tcp_options options = { .user_timeout_ms = 5000 };
	int fd = tcp_socket();

	conn_set_tcp_options(fd, &options);
	ck_assert_int_eq(get(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 5000);
	close(fd);
}
END_TEST

START_TEST(unix_sockets_have_none)
{
	const struct conn_tcp_options options = { .keepalive = true, .socket_buffer = 50000 };
	int pair[2];
	int before;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	before = get(pair[0], SOL_SOCKET, SO_SNDBUF);
	conn_set_tcp_options(pair[0], &options);
	ck_assert_int_eq(get(pair[0], SOL_SOCKET, SO_SNDBUF), before);
	close(pair[0]);
	close(pair[1]);
}
END_TEST

/* The kernel counts in retransmissions: it makes of 45 s what comes next. */
START_TEST(deferred_accept)
{
	char error[200];
	int fd;

	ck_assert_int_eq(listener_open_tcp("127.0.0.1", 0, 16, &fd, 1, error, sizeof(error)), 1);
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), 0);
	listener_defer_accept(fd);
	ck_assert_int_ge(get(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT), LISTENER_DEFER_SECONDS);
	close(fd);
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("net/conn");
	TCase *t = tcase_create("options");

	tcase_add_test(t, all_options);
	tcase_add_test(t, defaults_are_the_systems);
	tcase_add_test(t, user_timeout_without_keepalive);
	tcase_add_test(t, unix_sockets_have_none);
	tcase_add_test(t, deferred_accept);
	suite_add_tcase(suite, t);
	return suite;
}

UNIT_SUITE(suite)
