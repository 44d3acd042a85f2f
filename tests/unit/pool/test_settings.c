/* pool/settings: immutable sets, and the SQL that leads from one to another. */

#include "pool/settings.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

/* "name=statement|name=statement" to a set of the caller's. */
static struct settings *make(const char *text)
{
	struct settings *set = NULL;
	char *copy = strdup(text);
	char *save = NULL;

	for (char *part = strtok_r(copy, "|", &save); part; part = strtok_r(NULL, "|", &save)) {
		struct settings *before = set;
		char *equals = strchr(part, '=');
		bool failed = false;

		*equals = '\0';
		set = settings_with(before, part, equals + 1, &failed);
		ck_assert(!failed);
		settings_unref(&before);
	}
	free(copy);
	return set;
}

static char *text_of(struct bytes *bytes)
{
	char *text;

	ck_assert(bytes_append(bytes, "", 1));
	text = strdup((const char *)bytes_begin(bytes));
	bytes_free(bytes);
	return text;
}

START_TEST(the_empty_set)
{
	struct settings *none = NULL;
	struct bytes out = { 0 };
	bool failed = false;

	ck_assert_ptr_null(settings_ref(NULL));
	settings_unref(&none);
	ck_assert_uint_eq(settings_count(NULL), 0);
	ck_assert_ptr_null(settings_get(NULL, "a"));
	ck_assert(settings_are_equal(NULL, NULL));
	ck_assert_uint_eq(settings_context(NULL), 0);
	ck_assert_ptr_null(settings_without(NULL, "a", &failed));
	ck_assert(!failed);
	ck_assert(settings_key(NULL, &out) && settings_transition(NULL, NULL, &out));
	ck_assert_uint_eq(bytes_length(&out), 0);
	bytes_free(&out);
}
END_TEST

START_TEST(a_set_is_not_changed)
{
	struct settings *one = make("b=SET b TO 1|a=SET a TO 1");
	bool failed = false;
	struct settings *two = settings_with(one, "a", "SET a TO 2", &failed);
	struct settings *three = settings_with(one, "c", "SET c TO 1", &failed);
	struct settings *four = settings_without(one, "b", &failed);
	struct settings *five = settings_without(four, "a", &failed);

	ck_assert(!failed);
	ck_assert_str_eq(settings_get(one, "a"), "SET a TO 1");
	ck_assert_str_eq(settings_get(two, "a"), "SET a TO 2");
	ck_assert_str_eq(settings_get(two, "b"), "SET b TO 1");
	ck_assert_uint_eq(settings_count(three), 3);
	ck_assert_ptr_null(settings_get(four, "b"));
	ck_assert_uint_eq(settings_count(four), 1);
	ck_assert_ptr_null(five); /* nothing is left: the empty set */
	settings_unref(&one);
	settings_unref(&two);
	settings_unref(&three);
	settings_unref(&four);
	ck_assert_ptr_null(one);
}
END_TEST

START_TEST(no_change_is_the_same_set)
{
	struct settings *set = make("a=SET a TO 1");
	bool failed = false;
	struct settings *same = settings_with(set, "a", "SET a TO 1", &failed);
	struct settings *also = settings_without(set, "b", &failed);

	ck_assert_ptr_eq(same, set);
	ck_assert_ptr_eq(also, set);
	settings_unref(&same);
	settings_unref(&also);
	ck_assert_str_eq(settings_get(set, "a"), "SET a TO 1");
	settings_unref(&set);
}
END_TEST

/* Equal or not, whatever the way they came about; and the keys of maps agree. */
static const struct {
	const char *a;
	const char *b;
	bool equal;
} pairs[] = {
	{ "", "", true },
	{ "a=1", "", false },
	{ "a=1|b=2", "b=2|a=1", true },
	{ "a=1|b=2", "a=1|b=3", false },
	{ "a=1|b=2", "a=1", false },
	{ "a=1|a=2", "a=2", true },
	{ "a=b", "b=a", false },
	{ "ab=c", "a=bc", false },
	{ "a=1|b=2", "a=2|b=1", false },
};

START_TEST(equality)
{
	struct settings *a = make(pairs[_i].a);
	struct settings *b = make(pairs[_i].b);
	struct bytes key_a = { 0 };
	struct bytes key_b = { 0 };
	bool same_key;

	ck_assert_int_eq(settings_are_equal(a, b), pairs[_i].equal);
	ck_assert_int_eq(settings_are_equal(b, a), pairs[_i].equal);
	ck_assert(settings_key(a, &key_a) && settings_key(b, &key_b));
	same_key = bytes_length(&key_a) == bytes_length(&key_b) &&
		   (bytes_length(&key_a) == 0 ||
		    memcmp(bytes_begin(&key_a), bytes_begin(&key_b), bytes_length(&key_a)) == 0);
	ck_assert_int_eq(same_key, pairs[_i].equal);
	bytes_free(&key_a);
	bytes_free(&key_b);
	settings_unref(&a);
	settings_unref(&b);
}
END_TEST

START_TEST(the_context_is_what_names_mean)
{
	struct settings *plain = make("application_name=x|TimeZone=y");
	struct settings *path = make("search_path=SET search_path TO a");
	struct settings *path_too = make("search_path=SET search_path TO a|application_name=x");
	struct settings *other = make("search_path=SET search_path TO b");
	struct settings *role = make("role=SET search_path TO a");

	ck_assert_uint_eq(settings_context(plain), 0);
	ck_assert_uint_ne(settings_context(path), 0);
	ck_assert_uint_eq(settings_context(path), settings_context(path_too));
	ck_assert_uint_ne(settings_context(path), settings_context(other));
	ck_assert_uint_ne(settings_context(path), settings_context(role));
	settings_unref(&plain);
	settings_unref(&path);
	settings_unref(&path_too);
	settings_unref(&other);
	settings_unref(&role);
}
END_TEST

static const struct {
	const char *from;
	const char *to;
	const char *sql;
} transitions[] = {
	{ "", "a=SET a TO 1", "SET a TO 1;" },
	{ "a=SET a TO 1", "", "RESET \"a\";" },
	{ "a=SET a TO 1", "a=SET a TO 2", "SET a TO 2;" },
	{ "a=SET a TO 1", "a=SET a TO 1", "" },
	/* what goes, goes first; then in order of names */
	{ "z=SET z TO 1|b=SET b TO 1", "b=SET b TO 2|a=SET a TO 1",
	  "RESET \"z\";SET a TO 1;SET b TO 2;" },
	{ "my.name=SET my.name TO 1", "", "RESET \"my\".\"name\";" },
	{ "odd\"name=x", "", "RESET \"odd\"\"name\";" },
	{ "TimeZone=x", "", "RESET \"TimeZone\";" },
	/* identities are entered last: the session's before the role */
	{ "", "role=SET ROLE r|session_authorization=SET SESSION AUTHORIZATION s|zz=SET zz TO 1",
	  "SET zz TO 1;SET SESSION AUTHORIZATION s;SET ROLE r;" },
	/* and left first */
	{ "role=SET ROLE r|a=SET a TO 1", "",
	  "RESET SESSION AUTHORIZATION;RESET ROLE;RESET \"a\";" },
	{ "session_authorization=SET SESSION AUTHORIZATION s", "",
	  "RESET SESSION AUTHORIZATION;RESET ROLE;" },
	{ "role=SET ROLE r", "role=SET ROLE q",
	  "RESET SESSION AUTHORIZATION;RESET ROLE;SET ROLE q;" },
	/* half a DateStyle is not put on top of another session's half */
	{ "datestyle=SET datestyle TO german", "datestyle=SET datestyle TO iso",
	  "RESET \"datestyle\";SET datestyle TO iso;" },
	{ "datestyle=SET datestyle TO iso", "datestyle=SET datestyle TO iso|a=SET a TO 1",
	  "SET a TO 1;" },
	/* what else changes is changed under the own identity */
	{ "role=SET ROLE r", "role=SET ROLE r|a=SET a TO 1",
	  "RESET SESSION AUTHORIZATION;RESET ROLE;SET a TO 1;SET ROLE r;" },
};

START_TEST(transition)
{
	struct settings *from = make(transitions[_i].from);
	struct settings *to = make(transitions[_i].to);
	struct bytes out = { 0 };
	char *sql;

	ck_assert(settings_transition(from, to, &out));
	sql = text_of(&out);
	ck_assert_str_eq(sql, transitions[_i].sql);
	free(sql);
	settings_unref(&from);
	settings_unref(&to);
}
END_TEST

static const struct {
	const char *name;
	const char *value;
	const char *sql;
} statements[] = {
	{ "a", "1", "SELECT pg_catalog.set_config(E'a', E'1', false)" },
	{ "a", "", "SELECT pg_catalog.set_config(E'a', E'', false)" },
	{ "a", "it's", "SELECT pg_catalog.set_config(E'a', E'it''s', false)" },
	{ "a", "\\'; DROP TABLE t; --",
	  "SELECT pg_catalog.set_config(E'a', E'\\\\''; DROP TABLE t; --', false)" },
	{ "a'b", "\xc3\xa9", "SELECT pg_catalog.set_config(E'a''b', E'\xc3\xa9', false)" },
};

START_TEST(statement)
{
	struct bytes out = { 0 };
	char *sql;

	ck_assert(settings_statement(statements[_i].name, statements[_i].value, &out));
	sql = text_of(&out);
	ck_assert_str_eq(sql, statements[_i].sql);
	free(sql);
}
END_TEST

START_TEST(a_failed_allocation_changes_nothing)
{
	struct settings *set = make("a=SET a TO 1|b=SET b TO 1");
	unsigned long nth;

	for (nth = 1;; nth++) {
		bool failed = false;
		struct settings *with;
		struct settings *without;

		unit_fail_alloc(nth);
		with = settings_with(set, "c", "SET c TO 1", &failed);
		without = settings_without(set, "a", &failed);
		unit_fail_alloc(0);
		ck_assert_int_eq(failed, !with || !without);
		settings_unref(&with);
		settings_unref(&without);
		if (!failed)
			break;
	}
	ck_assert_uint_eq(nth, 5);
	ck_assert_uint_eq(settings_count(set), 2);
	settings_unref(&set);
}
END_TEST

START_TEST(without_memory_no_sql_is_true)
{
	struct settings *set = make("a=SET a TO 1|b=SET b TO 1");
	struct bytes out = { 0 };

	unit_fail_alloc(1);
	ck_assert(!settings_transition(NULL, set, &out));
	bytes_free(&out);
	unit_fail_alloc(1);
	ck_assert(!settings_statement("a", "b", &out));
	bytes_free(&out);
	unit_fail_alloc(1);
	ck_assert(!settings_key(set, &out));
	bytes_free(&out);
	settings_unref(&set);
}
END_TEST

static void *ref_and_unref(void *context)
{
	for (int i = 0; i < 20000; i++) {
		struct settings *mine = settings_ref(context);

		ck_assert_ptr_nonnull(settings_get(mine, "a"));
		settings_unref(&mine);
	}
	return NULL;
}

START_TEST(threads_share_a_set)
{
	struct settings *set = make("a=SET a TO 1");
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, ref_and_unref, set), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	settings_unref(&set);
}
END_TEST

static Suite *settings_suite(void)
{
	Suite *suite = suite_create("pool/settings");
	TCase *tc = tcase_create("settings");

	tcase_add_test(tc, the_empty_set);
	tcase_add_test(tc, a_set_is_not_changed);
	tcase_add_test(tc, no_change_is_the_same_set);
	tcase_add_loop_test(tc, equality, 0, ROWS(pairs));
	tcase_add_test(tc, the_context_is_what_names_mean);
	tcase_add_loop_test(tc, transition, 0, ROWS(transitions));
	tcase_add_loop_test(tc, statement, 0, ROWS(statements));
	tcase_add_test(tc, a_failed_allocation_changes_nothing);
	tcase_add_test(tc, without_memory_no_sql_is_true);
	tcase_add_test(tc, threads_share_a_set);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(settings_suite)
