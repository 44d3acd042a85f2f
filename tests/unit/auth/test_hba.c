/*
 * hba files: which rule fits whom, what every mistake is told as, includes, the order of rules,
 * and a failing Nth allocation.
 */

#include "auth/hba.h"

#include <stdio.h>
#include <string.h>

#include "../unit.h"
#include "files.h"

static struct hba *hba;
static struct bytes errors;

static void teardown(void)
{
	unit_fail_alloc(0);
	hba_destroy(&hba);
	bytes_free(&errors);
}

static struct hba_network network(const char *address, const char *mask)
{
	struct hba_network out;

	ck_assert(hba_address_parse(address, &out.address));
	ck_assert(hba_address_parse(mask, &out.mask));
	return out;
}

static bool load_files(const struct files_file *files)
{
	const struct authfile_source source = files_source(files);
	struct hba_network own[2];

	own[0] = network("192.168.7.9", "255.255.255.0");
	own[1] = network("fe80::7", "ffff:ffff:ffff:ffff::");
	hba_destroy(&hba);
	bytes_clear(&errors);
	hba = hba_load(files[0].path, &source, own, 2, &errors);
	ck_assert((hba == NULL) == (bytes_length(&errors) > 0));
	bytes_append(&errors, "", 1);
	return hba != NULL;
}

static bool load(const char *text)
{
	return load_files((const struct files_file[]){ { "hba", text }, { NULL, NULL } });
}

/* --- who is let in how --- */

static const char *const rules =
	"# a comment\n"
	"local   all  postgres                          peer map=root\n"
	"local   all  all                               md5\n"
	"host    all  mallory  0.0.0.0/0                reject\n"
	"host    app,\"all\" \"Bob\",alice 10.0.0.0/8     scram-sha-256 # and so on\n"
	"host    sameuser all  10.1.2.3 255.255.255.255 password\n"
	"hostssl secure  all   all                      cert map=cn clientname=DN\n"
	"hostssl ca      all   ::/0                     scram-sha-256 clientcert=verify-ca\n"
	"hostnossl plain all   ::1/128                  trust\n"
	"host    replication rep 10.0.0.0/8             md5\n"
	"host    /^shard[0-9]+$ /^svc_ all              password\n"
	"host    near    all   samenet                  md5\n"
	"host    here    all   samehost                 trust\n";

static const struct {
	const char *address; /* "": a unix socket */
	bool is_encrypted, is_replication;
	const char *database, *user;
	unsigned line; /* 0: none fits */
} askers[] = {
	{ "", false, false, "app", "postgres", 2 },
	{ "", false, false, "app", "bob", 3 },
	{ "10.0.0.1", false, false, "app", "mallory", 4 },
	{ "10.0.0.1", true, false, "app", "Bob", 5 },
	{ "10.255.255.255", false, false, "app", "alice", 5 },
	{ "10.0.0.1", false, false, "app", "bob", 0 }, /* names are case sensitive */
	{ "11.0.0.1", false, false, "app", "Bob", 0 },
	{ "9.255.255.255", false, false, "app", "Bob", 0 },
	{ "::ffff:10.0.0.1", false, false, "app", "Bob", 0 },
	{ "10.0.0.1", false, false, "all", "Bob", 5 }, /* "all" in quotes is a name */
	{ "10.0.0.1", false, false, "other", "Bob", 0 },
	{ "10.1.2.3", false, false, "carol", "carol", 6 },
	{ "10.1.2.3", false, false, "carol", "dave", 0 },
	{ "10.1.2.4", false, false, "carol", "carol", 0 },
	{ "1.2.3.4", true, false, "secure", "x", 7 },
	{ "1.2.3.4", false, false, "secure", "x", 0 },
	{ "::2", true, false, "ca", "x", 8 },
	{ "1.2.3.4", true, false, "ca", "x", 0 },
	{ "::1", false, false, "plain", "x", 9 },
	{ "::1", true, false, "plain", "x", 0 },
	{ "::2", false, false, "plain", "x", 0 },
	{ "10.0.0.1", false, true, "", "rep", 10 },
	{ "10.0.0.1", false, true, "app", "Bob", 0 }, /* names do not include replication */
	{ "10.0.0.1", false, false, "replication", "rep", 0 }, /* and it is no name */
	{ "1.2.3.4", false, false, "shard12", "svc_a", 11 },
	{ "1.2.3.4", false, false, "shard12x", "svc_a", 0 },
	{ "1.2.3.4", false, false, "shard12", "xsvc_", 0 },
	{ "192.168.7.1", false, false, "near", "x", 12 },
	{ "192.168.8.1", false, false, "near", "x", 0 },
	{ "fe80::1:2", false, false, "near", "x", 12 },
	{ "192.168.7.9", false, false, "here", "x", 13 },
	{ "192.168.7.8", false, false, "here", "x", 0 },
	{ "fe80::7", false, false, "here", "x", 13 },
};

START_TEST(the_first_rule_that_fits_decides)
{
	struct hba_request request = { .is_encrypted = askers[_i].is_encrypted,
				       .is_replication = askers[_i].is_replication,
				       .database = askers[_i].database,
				       .user = askers[_i].user };
	const struct hba_rule *rule;

	ck_assert_msg(load(rules), "%s", (const char *)bytes_begin(&errors));
	if (askers[_i].address[0])
		ck_assert(hba_address_parse(askers[_i].address, &request.address));
	rule = hba_find(hba, &request);
	ck_assert_uint_eq(rule ? rule->line : 0, askers[_i].line);
}
END_TEST

START_TEST(rules_say_what_is_asked)
{
	struct hba_words words;

	ck_assert(load(rules));
	ck_assert_uint_eq(hba_count(hba), 12);
	hba_describe(hba, 0, &words);
	ck_assert_int_eq(words.rule->method, AUTH_PEER);
	ck_assert_str_eq(words.rule->map, "root");
	ck_assert_str_eq(words.rule->file, "hba");
	ck_assert_str_eq(words.type, "local");
	ck_assert_str_eq(words.address, "");
	ck_assert_str_eq(words.options, "map=root");
	hba_describe(hba, 3, &words);
	ck_assert_str_eq(words.database, "app,all");
	ck_assert_str_eq(words.user, "Bob,alice");
	ck_assert_str_eq(words.address, "10.0.0.0/8");
	ck_assert_int_eq(words.rule->method, AUTH_SCRAM);
	hba_describe(hba, 5, &words);
	ck_assert_int_eq(words.rule->clientcert, HBA_CLIENTCERT_FULL);
	ck_assert(words.rule->is_by_dn);
	ck_assert_str_eq(words.type, "hostssl");
	ck_assert_str_eq(words.options, "clientcert=verify-full clientname=DN map=cn");
	hba_describe(hba, 6, &words);
	ck_assert_int_eq(words.rule->clientcert, HBA_CLIENTCERT_CA);
	hba_describe(hba, 7, &words);
	ck_assert_str_eq(words.address, "::1/128");
	ck_assert_int_eq(words.rule->method, AUTH_TRUST);
	hba_describe(hba, 11, &words);
	ck_assert_str_eq(words.address, "samehost");
}
END_TEST

/* --- mistakes --- */

static const struct {
	const char *line;
	const char *what; /* a part of it */
} mistakes[] = {
	{ "hosts all all all md5", "unknown connection type \"hosts\"" },
	{ "hostgssenc all all all md5", "GSSAPI is not supported" },
	{ "host", "ends before the database" },
	{ "host all", "ends before the user" },
	{ "host all all", "ends before the address" },
	{ "host all all all", "ends before the method" },
	{ "local all all", "ends before the method" },
	{ "local all all 127.0.0.1/32 md5", "\"127.0.0.1/32\" is not supported" },
	{ "host all +staff all md5", "groups (\"+staff\") are not supported" },
	{ "host samerole all all md5", "groups (\"samerole\") are not supported" },
	{ "host all all example.org md5", "host names are not supported" },
	{ "host all all .example.org md5", "host names are not supported" },
	{ "host all all 127.0.0.1 md5", "is not a mask" },
	{ "host all all 127.0.0.1 255.0.255.0 md5", "is not a mask" },
	{ "host all all 127.0.0.1 ffff:: md5", "of different kinds" },
	{ "host all all 127.0.0.1/33 md5", "invalid length of a mask" },
	{ "host all all 127.0.0.1/-1 md5", "invalid length of a mask" },
	{ "host all all 127.0.0.1/ md5", "invalid length of a mask" },
	{ "host all all ::1/129 md5", "invalid length of a mask" },
	{ "host all all 127.0.0.1/8x md5", "invalid length of a mask" },
	{ "host all all 127.0.0/8 md5", "is not an address" },
	{ "host all all all,samenet md5", "only one address" },
	{ "host all all all ldap", "\"ldap\" is not supported" },
	{ "host all all all gss", "\"gss\" is not supported" },
	{ "host all all all hba", "\"hba\" is not supported" },
	{ "host all all all ident", "\"ident\" is not supported" },
	{ "host all all all peer", "for local connections only" },
	{ "host all all all cert", "for hostssl connections only" },
	{ "hostnossl all all all cert", "for hostssl connections only" },
	{ "host all all all md5 clientcert=verify-ca", "for hostssl connections only" },
	{ "hostssl all all all md5 clientcert=1", "invalid value for clientcert" },
	{ "hostssl all all all cert clientcert=verify-ca", "can only be \"verify-full\"" },
	{ "hostssl all all all cert clientname=X", "invalid value for clientname" },
	{ "host all all all md5 map=x", "for the methods cert and peer only" },
	{ "host all all all md5 krb_realm=x", "unknown option \"krb_realm\"" },
	{ "host all all all md5 x", "name=value expected" },
	{ "host all /( all md5", "invalid regular expression \"(\"" },
	{ "host all \"all all md5", "a quote is not closed" },
	{ "host all all all md5 ,", "an empty field" },
	{ "host @none all all md5", "none: no such file" },
	{ "include none", "none: no such file" },
	{ "include_dir none", "none: no such directory" },
	{ "include a b", "one file name expected" },
	{ "include", "one file name expected" },
};

START_TEST(mistakes_are_told_with_file_and_line)
{
	char text[256];
	const char *said;

	snprintf(text, sizeof(text), "# one\nhost all all all \\\n  md5\n%s\n",
		 mistakes[_i].line);
	ck_assert(!load(text));
	said = (const char *)bytes_begin(&errors);
	ck_assert_msg(strncmp(said, "hba:4: ", 7) == 0, "%s", said);
	ck_assert_msg(strstr(said, mistakes[_i].what) != NULL, "%s", said);
	ck_assert_ptr_eq(strchr(said, '\n'), said + strlen(said) - 1);
}
END_TEST

START_TEST(every_mistake_is_told)
{
	ck_assert(!load("x\nhost all all all md5\ny\nhost all all all z\n"));
	ck_assert_str_eq((const char *)bytes_begin(&errors),
			 "hba:1: unknown connection type \"x\"\n"
			 "hba:3: unknown connection type \"y\"\n"
			 "hba:4: the method \"z\" is not supported\n");
}
END_TEST

START_TEST(a_file_must_be_there)
{
	const struct files_file none[] = { { NULL, NULL } };
	const struct authfile_source source = files_source(none);

	ck_assert_ptr_null(hba_load("hba", &source, NULL, 0, &errors));
	bytes_append(&errors, "", 1);
	ck_assert_str_eq((const char *)bytes_begin(&errors), "hba: no such file\n");
}
END_TEST

START_TEST(nothing_fits_an_empty_file)
{
	struct hba_request request = { .database = "app", .user = "bob" };

	ck_assert(load("\n  # nothing\n\t\n"));
	ck_assert_uint_eq(hba_count(hba), 0);
	ck_assert_ptr_null(hba_find(hba, &request));
}
END_TEST

/* --- other files --- */

static const struct files_file tree[] = {
	{ "/etc/hba", "include more\n"
		      "include_if_exists gone\n"
		      "include_dir conf.d\n"
		      "local @dbs @/etc/users,zoe trust\n"
		      "host all all all reject\n" },
	{ "/etc/more", "local a x peer\n" },
	{ "/etc/conf.d/1.conf", "local b x md5\ninclude ../deep\n" },
	{ "/etc/conf.d/2.conf", "local c x md5" },
	{ "/etc/conf.d/../deep", "local d x md5" },
	{ "/etc/dbs", "e f # not this\n\n  g,h,\n i\n" },
	{ "/etc/users", "anna\n@more_users\n" },
	{ "/etc/more_users", "\"Otto\"" },
	{ NULL, NULL },
};

START_TEST(other_files_are_read_in_place)
{
	static const struct {
		const char *database, *user, *file;
		unsigned line;
	} rows[] = {
		{ "a", "x", "/etc/more", 1 },
		{ "b", "x", "/etc/conf.d/1.conf", 1 },
		{ "c", "x", "/etc/conf.d/2.conf", 1 },
		{ "d", "x", "/etc/conf.d/../deep", 1 },
		{ "e", "anna", "/etc/hba", 4 },
		{ "f", "Otto", "/etc/hba", 4 },
		{ "i", "zoe", "/etc/hba", 4 },
		{ "not", "zoe", NULL, 0 },
		{ "e", "otto", NULL, 0 },
	};

	ck_assert_msg(load_files(tree), "%s", (const char *)bytes_begin(&errors));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct hba_rule *rule =
			hba_find(hba, &(struct hba_request){ .database = rows[i].database,
							     .user = rows[i].user });

		ck_assert_msg((rule != NULL) == (rows[i].file != NULL), "%s", rows[i].database);
		if (rule) {
			ck_assert_str_eq(rule->file, rows[i].file);
			ck_assert_uint_eq(rule->line, rows[i].line);
		}
	}
}
END_TEST

/* Files that include each other end in an error, soon. */
START_TEST(circles_are_found)
{
	static const struct files_file one[] = { { "hba", "include hba\n" }, { NULL, NULL } };
	static const struct files_file many[] = {
		{ "hba", "local @users @users,@users trust\ninclude hba\ninclude hba\n" },
		{ "users", "@users,@users\n@users @users" },
		{ NULL, NULL },
	};

	ck_assert(!load_files(one));
	ck_assert_ptr_nonnull(strstr((const char *)bytes_begin(&errors), "too deeply"));
	ck_assert(!load_files(many));
	ck_assert_ptr_nonnull(strstr((const char *)bytes_begin(&errors), "too many files"));
}
END_TEST

START_TEST(a_failed_allocation_is_an_error)
{
	bool was_all_right = false;
	const struct authfile_source source = files_source(tree);
	unsigned long nth;

	for (nth = 1; nth < 2000 && !was_all_right; nth++) {
		struct bytes ignored = { 0 };

		unit_fail_alloc(nth);
		hba = hba_load("/etc/hba", &source, NULL, 0, &ignored);
		unit_fail_alloc(0);
		was_all_right = hba != NULL && hba_count(hba) == 7;
		ck_assert(hba == NULL || was_all_right);
		bytes_free(&ignored);
		hba_destroy(&hba);
	}
	ck_assert_uint_gt(nth, 10);
	ck_assert(was_all_right);
}
END_TEST

START_TEST(addresses_are_numbers)
{
	static const char *const bad[] = {
		"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "::g", "x", "1"
	};
	struct hba_address address;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert(!hba_address_parse(bad[i], &address));
	ck_assert(hba_address_parse("1.2.3.4", &address));
	ck_assert_uint_eq(address.family, 4);
	ck_assert_mem_eq(address.bytes, "\1\2\3\4", 4);
}
END_TEST

#define ROWS(table) ((int)(sizeof(table) / sizeof((table)[0])))

static Suite *hba_suite(void)
{
	Suite *suite = suite_create("auth/hba");
	TCase *tc = tcase_create("hba");

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_loop_test(tc, the_first_rule_that_fits_decides, 0, ROWS(askers));
	tcase_add_test(tc, rules_say_what_is_asked);
	tcase_add_loop_test(tc, mistakes_are_told_with_file_and_line, 0, ROWS(mistakes));
	tcase_add_test(tc, every_mistake_is_told);
	tcase_add_test(tc, a_file_must_be_there);
	tcase_add_test(tc, nothing_fits_an_empty_file);
	tcase_add_test(tc, other_files_are_read_in_place);
	tcase_add_test(tc, circles_are_found);
	tcase_add_test(tc, a_failed_allocation_is_an_error);
	tcase_add_test(tc, addresses_are_numbers);
	suite_add_tcase(suite, tc);
	return suite;
}

UNIT_SUITE(hba_suite)
