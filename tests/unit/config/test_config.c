/* Snapshots as objects: references, the search for a database, names, the number of workers. */

#include "config/config.h"

#include "../unit.h"
#include "sample.h"

START_TEST(the_last_reference_frees)
{
	struct config *config = sample_load(SAMPLE);
	struct config *second = config_ref(config);

	ck_assert_ptr_eq(second, config);
	config_unref(&config);
	ck_assert_ptr_null(config);
	ck_assert_str_eq(second->databases[0].name, "app");
	config_unref(&second);
	config_unref(&second); /* NULL by now */
}
END_TEST

START_TEST(the_exact_database_is_found_before_the_star)
{
	struct config *config = sample_load(SAMPLE_LISTEN SAMPLE_CLUSTERS
					    "databases = ({ name = \"*\"; cluster = \"main\"; },"
					    "{ name = \"app\"; cluster = \"main\"; }, { name = "
					    "\"APP\"; cluster = \"main\"; });");

	ck_assert_ptr_eq(config_database_find(config, "app"), &config->databases[1]);
	ck_assert_ptr_eq(config_database_find(config, "APP"), &config->databases[2]);
	ck_assert_ptr_eq(config_database_find(config, "App"), &config->databases[0]);
	ck_assert_ptr_eq(config_database_find(config, ""), &config->databases[0]);
	config_unref(&config);
}
END_TEST

START_TEST(without_a_star_others_are_not_found)
{
	struct config *config = sample_load(SAMPLE);

	ck_assert_ptr_nonnull(config_database_find(config, "app"));
	ck_assert_ptr_null(config_database_find(config, "ap"));
	ck_assert_ptr_null(config_database_find(config, "apps"));
	ck_assert_ptr_null(config_database_find(config, "*"));
	config_unref(&config);
}
END_TEST

START_TEST(workers_are_as_written_or_one_per_core)
{
	struct config *config = sample_load(SAMPLE "workers = 17;");

	ck_assert_int_eq(config_worker_count(config), 17);
	config_unref(&config);
	config = sample_load(SAMPLE);
	ck_assert_int_ge(config_worker_count(config), 1);
	ck_assert_int_le(config_worker_count(config), 256);
	config_unref(&config);
}
END_TEST

START_TEST(enums_have_the_names_of_the_file)
{
	ck_assert_str_eq(pool_mode_name(POOL_SESSION), "session");
	ck_assert_str_eq(pool_mode_name(POOL_TRANSACTION), "transaction");
	ck_assert_str_eq(pool_mode_name(POOL_STATEMENT), "statement");
	ck_assert_str_eq(route_split_name(ROUTE_SPLIT_NEVER), "off");
	ck_assert_str_eq(route_split_name(ROUTE_SPLIT_HINTS), "hints");
	ck_assert_str_eq(route_split_name(ROUTE_SPLIT_AUTO), "auto");
	ck_assert_str_eq(route_no_replica_name(ROUTE_NO_REPLICA_PRIMARY), "primary");
	ck_assert_str_eq(route_no_replica_name(ROUTE_NO_REPLICA_WAIT), "wait");
	ck_assert_str_eq(route_no_replica_name(ROUTE_NO_REPLICA_ERROR), "error");
	ck_assert_str_eq(auth_type_name(AUTH_TRUST), "trust");
	ck_assert_str_eq(auth_type_name(AUTH_PASSWORD), "password");
	ck_assert_str_eq(auth_type_name(AUTH_MD5), "md5");
	ck_assert_str_eq(auth_type_name(AUTH_SCRAM), "scram-sha-256");
}
END_TEST

static Suite *config_suite(void)
{
	Suite *suite = suite_create("config/config");
	TCase *tcase = tcase_create("snapshot");

	tcase_add_test(tcase, the_last_reference_frees);
	tcase_add_test(tcase, the_exact_database_is_found_before_the_star);
	tcase_add_test(tcase, without_a_star_others_are_not_found);
	tcase_add_test(tcase, workers_are_as_written_or_one_per_core);
	tcase_add_test(tcase, enums_have_the_names_of_the_file);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_SUITE(config_suite)
