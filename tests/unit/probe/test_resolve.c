/* probe/resolve: literals at once, /etc/hosts, and requests that are given up. No name server is
 * needed. */

#include "probe/resolve.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "base/clock.h"
#include "unit.h"

static struct loop *loop;
static struct resolver *resolver;
static int calls;
static struct resolve_addresses got;
static char got_error[128];

static void set_up(void)
{
	loop = loop_create();
	resolver = resolver_create(loop);
	ck_assert_ptr_nonnull(resolver);
	calls = 0;
	got_error[0] = '\0';
}

/* libevent gives cancelled requests back in the next turns. */
static void tear_down(void)
{
	resolver_destroy(&resolver);
	for (int i = 0; i < 5; i++)
		loop_run_once(loop, false);
	loop_destroy(&loop);
}

static void on_done(void *context, const struct resolve_addresses *addresses, const char *error)
{
	(void)context;
	calls++;
	got = *addresses;
	if (error)
		strncat(got_error, error, sizeof(got_error) - 1);
}

START_TEST(literals)
{
	struct resolve_addresses out;
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&out.at[0].address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&out.at[0].address;
	const struct sockaddr_un *local = (const struct sockaddr_un *)&out.at[0].address;

	ck_assert(resolve_literal("10.0.0.1", 5433, &out));
	ck_assert_uint_eq(out.n, 1);
	ck_assert_int_eq(in4->sin_family, AF_INET);
	ck_assert_int_eq(in4->sin_port, htons(5433));
	ck_assert_uint_eq(ntohl(in4->sin_addr.s_addr), 0x0A000001);
	ck_assert_uint_eq(out.at[0].length, sizeof(*in4));

	ck_assert(resolve_literal("::1", 5433, &out));
	ck_assert_int_eq(in6->sin6_family, AF_INET6);
	ck_assert_int_eq(in6->sin6_port, htons(5433));
	ck_assert_uint_eq(out.at[0].length, sizeof(*in6));

	ck_assert(resolve_literal("/run/postgresql", 5433, &out));
	ck_assert_int_eq(local->sun_family, AF_UNIX);
	ck_assert_str_eq(local->sun_path, "/run/postgresql/.s.PGSQL.5433");
	ck_assert_uint_eq(out.at[0].length, sizeof(*local));
}
END_TEST

START_TEST(names_are_no_literals)
{
	static const char *const names[] = { "localhost", "10.0.0", "10.0.0.256",    "1",
					     "",          "::g",    "db.example.org" };
	struct resolve_addresses out;
	char longest[200];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		ck_assert(!resolve_literal(names[i], 5432, &out));
		ck_assert_uint_eq(out.n, 0);
	}
	memset(longest, 'x', sizeof(longest));
	longest[0] = '/';
	longest[sizeof(longest) - 1] = '\0';
	ck_assert(!resolve_literal(longest, 5432, &out));
	ck_assert_uint_eq(out.n, 0);
}
END_TEST

START_TEST(same_address)
{
	struct resolve_addresses a, b;

	ck_assert(resolve_literal("10.0.0.1", 5432, &a));
	ck_assert(resolve_literal("10.0.0.1", 5432, &b));
	ck_assert(resolve_is_same(&a.at[0], &b.at[0]));
	ck_assert(resolve_literal("10.0.0.1", 5433, &b));
	ck_assert(!resolve_is_same(&a.at[0], &b.at[0]));
	ck_assert(resolve_literal("10.0.0.2", 5432, &b));
	ck_assert(!resolve_is_same(&a.at[0], &b.at[0]));
	ck_assert(resolve_literal("::1", 5432, &b));
	ck_assert(!resolve_is_same(&a.at[0], &b.at[0]));
}
END_TEST

/* From /etc/hosts, and never out of resolve_start() itself. */
START_TEST(localhost)
{
	struct resolve_request *request =
		resolve_start(resolver, "localhost", 5432, on_done, NULL);
	bool has_loopback = false;

	ck_assert_ptr_nonnull(request);
	ck_assert_int_eq(calls, 0);
	while (calls == 0)
		loop_run_once(loop, true);
	ck_assert_str_eq(got_error, "");
	for (size_t i = 0; i < got.n; i++) {
		const struct sockaddr_in *in4 = (const struct sockaddr_in *)&got.at[i].address;

		has_loopback |= in4->sin_family == AF_INET &&
				ntohl(in4->sin_addr.s_addr) == INADDR_LOOPBACK &&
				in4->sin_port == htons(5432);
	}
	ck_assert(has_loopback);
	loop_run_once(loop, false);
	ck_assert_int_eq(calls, 1);
}
END_TEST

START_TEST(cancelled_before_delivery)
{
	struct resolve_request *request =
		resolve_start(resolver, "localhost", 5432, on_done, NULL);

	resolve_cancel(&request);
	ck_assert_ptr_null(request);
	resolve_cancel(&request);
	loop_run_once(loop, false);
	ck_assert_int_eq(calls, 0);
}
END_TEST

/* RFC 2606: such a name never resolves; here nobody waits for the answer. */
START_TEST(cancelled_in_flight)
{
	struct resolve_request *request =
		resolve_start(resolver, "name.invalid", 5432, on_done, NULL);

	ck_assert_ptr_nonnull(request);
	loop_run_once(loop, false);
	resolve_cancel(&request);
	for (int i = 0; i < 5; i++)
		loop_run_once(loop, false);
	ck_assert_int_le(calls, 1);
}
END_TEST

START_TEST(destroyed_with_requests)
{
	ck_assert_ptr_nonnull(resolve_start(resolver, "localhost", 5432, on_done, NULL));
	ck_assert_ptr_nonnull(resolve_start(resolver, "name.invalid", 5432, on_done, NULL));
	resolver_destroy(&resolver);
	ck_assert_ptr_null(resolver);
	resolver_destroy(&resolver);
	for (int i = 0; i < 5; i++)
		loop_run_once(loop, false);
	ck_assert_int_eq(calls, 0);
}
END_TEST

static Suite *resolve_suite(void)
{
	Suite *suite = suite_create("probe/resolve");
	TCase *tc = tcase_create("resolve");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, literals);
	tcase_add_test(tc, names_are_no_literals);
	tcase_add_test(tc, same_address);
	tcase_add_test(tc, localhost);
	tcase_add_test(tc, cancelled_before_delivery);
	tcase_add_test(tc, cancelled_in_flight);
	tcase_add_test(tc, destroyed_with_requests);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(resolve_suite)
