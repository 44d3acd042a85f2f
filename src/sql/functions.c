/*
 * What the names of PostgreSQL's built-in functions, views and settings tell. The bulk is
 * generated from pg_proc (functions_table.inc); this file has by hand what volatility does not
 * say. Pure; any thread.
 *
 * A name without a schema counts as built-in. It need not be: a function of the same name in a
 * schema that search_path has before pg_catalog, or with arguments that fit better, is called
 * instead. Only the database's own catalog knows; where it is read, it comes before this table.
 */
#include "functions.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "functions_table.inc"

struct named_class {
	const char *name;
	enum function_class class;
};

/* Sorted. Overrules the generated table. */
static const struct named_class by_hand[] = {
	/* Random rows or times are as good from a replica. */
	{ "bernoulli", FUNCTION_SAFE },
	{ "clock_timestamp", FUNCTION_SAFE },
	/* The text of the statement that is running. */
	{ "current_query", FUNCTION_SAFE },
	{ "current_setting", FUNCTION_CURRENT_SETTING },
	{ "currval", FUNCTION_SESSION },
	/* These run queries of their own over whole schemas, views included. */
	{ "database_to_xml", FUNCTION_VOLATILE },
	{ "database_to_xml_and_xmlschema", FUNCTION_VOLATILE },
	{ "database_to_xmlschema", FUNCTION_VOLATILE },
	{ "gen_random_uuid", FUNCTION_SAFE },
	/* The two ends of one server's connection. */
	{ "inet_client_addr", FUNCTION_NODE },
	{ "inet_client_port", FUNCTION_NODE },
	{ "inet_server_addr", FUNCTION_NODE },
	{ "inet_server_port", FUNCTION_NODE },
	{ "lastval", FUNCTION_SESSION },
	{ "pg_advisory_lock", FUNCTION_ADVISORY_PIN },
	{ "pg_advisory_lock_shared", FUNCTION_ADVISORY_PIN },
	{ "pg_advisory_unlock", FUNCTION_ADVISORY },
	{ "pg_advisory_unlock_all", FUNCTION_ADVISORY },
	{ "pg_advisory_unlock_shared", FUNCTION_ADVISORY },
	{ "pg_advisory_xact_lock", FUNCTION_ADVISORY },
	{ "pg_advisory_xact_lock_shared", FUNCTION_ADVISORY },
	/* What is installed in the node's file system. */
	{ "pg_available_extension_versions", FUNCTION_NODE },
	{ "pg_available_extensions", FUNCTION_NODE },
	{ "pg_backend_pid", FUNCTION_BACKEND_PID },
	{ "pg_blocking_pids", FUNCTION_NODE },
	/* Volatile for fear of a change under way; they only read. */
	{ "pg_collation_actual_version", FUNCTION_SAFE },
	{ "pg_conf_load_time", FUNCTION_NODE },
	{ "pg_config", FUNCTION_NODE },
	{ "pg_control_checkpoint", FUNCTION_NODE },
	{ "pg_control_init", FUNCTION_NODE },
	{ "pg_control_recovery", FUNCTION_NODE },
	{ "pg_control_system", FUNCTION_NODE },
	{ "pg_current_logfile", FUNCTION_NODE },
	/* Compared with transaction ids that the primary gives out. */
	{ "pg_current_snapshot", FUNCTION_NODE },
	{ "pg_current_wal_flush_lsn", FUNCTION_NODE },
	{ "pg_current_wal_insert_lsn", FUNCTION_NODE },
	{ "pg_current_wal_lsn", FUNCTION_NODE },
	/* Marked STABLE, but it takes a transaction id, which a standby cannot. */
	{ "pg_current_xact_id", FUNCTION_VOLATILE },
	{ "pg_current_xact_id_if_assigned", FUNCTION_NODE },
	{ "pg_cursor", FUNCTION_SESSION },
	{ "pg_database_collation_actual_version", FUNCTION_SAFE },
	/* Sizes: volatile since files grow; a replica has the same files. */
	{ "pg_database_size", FUNCTION_SAFE },
	{ "pg_get_backend_memory_contexts", FUNCTION_NODE },
	{ "pg_get_replication_slots", FUNCTION_NODE },
	{ "pg_get_shmem_allocations", FUNCTION_NODE },
	{ "pg_get_wal_replay_pause_state", FUNCTION_NODE },
	{ "pg_hba_file_rules", FUNCTION_NODE },
	{ "pg_ident_file_mappings", FUNCTION_NODE },
	{ "pg_indexes_size", FUNCTION_SAFE },
	{ "pg_is_in_recovery", FUNCTION_NODE },
	{ "pg_is_other_temp_schema", FUNCTION_SESSION },
	{ "pg_is_wal_replay_paused", FUNCTION_NODE },
	{ "pg_jit_available", FUNCTION_SAFE },
	{ "pg_last_committed_xact", FUNCTION_NODE },
	{ "pg_last_wal_receive_lsn", FUNCTION_NODE },
	{ "pg_last_wal_replay_lsn", FUNCTION_NODE },
	{ "pg_last_xact_replay_timestamp", FUNCTION_NODE },
	{ "pg_listening_channels", FUNCTION_SESSION },
	{ "pg_lock_status", FUNCTION_NODE },
	{ "pg_my_temp_schema", FUNCTION_SESSION },
	{ "pg_notification_queue_usage", FUNCTION_NODE },
	/* Volatile since they lock; they only read the catalog. */
	{ "pg_partition_ancestors", FUNCTION_SAFE },
	{ "pg_partition_tree", FUNCTION_SAFE },
	{ "pg_postmaster_start_time", FUNCTION_NODE },
	{ "pg_prepared_statement", FUNCTION_SESSION },
	{ "pg_prepared_xact", FUNCTION_NODE },
	{ "pg_relation_size", FUNCTION_SAFE },
	{ "pg_replication_origin_session_setup", FUNCTION_STATE },
	{ "pg_safe_snapshot_blocking_pids", FUNCTION_NODE },
	{ "pg_show_all_file_settings", FUNCTION_NODE },
	{ "pg_show_all_settings", FUNCTION_SESSION },
	{ "pg_show_replication_origin_status", FUNCTION_NODE },
	{ "pg_sleep", FUNCTION_SAFE },
	{ "pg_sleep_for", FUNCTION_SAFE },
	{ "pg_sleep_until", FUNCTION_SAFE },
	{ "pg_table_size", FUNCTION_SAFE },
	{ "pg_tablespace_size", FUNCTION_SAFE },
	{ "pg_total_relation_size", FUNCTION_SAFE },
	{ "pg_try_advisory_lock", FUNCTION_ADVISORY_PIN },
	{ "pg_try_advisory_lock_shared", FUNCTION_ADVISORY_PIN },
	{ "pg_try_advisory_xact_lock", FUNCTION_ADVISORY },
	{ "pg_try_advisory_xact_lock_shared", FUNCTION_ADVISORY },
	/* Immutable or stable, but an error during recovery. */
	{ "pg_walfile_name", FUNCTION_NODE },
	{ "pg_walfile_name_offset", FUNCTION_NODE },
	/* What setseed() gave it to depend on pins the session. */
	{ "random", FUNCTION_SAFE },
	{ "schema_to_xml", FUNCTION_VOLATILE },
	{ "schema_to_xml_and_xmlschema", FUNCTION_VOLATILE },
	{ "schema_to_xmlschema", FUNCTION_VOLATILE },
	{ "set_config", FUNCTION_SET_CONFIG },
	{ "setseed", FUNCTION_SETSEED },
	{ "system", FUNCTION_SAFE },
	{ "table_to_xml", FUNCTION_VOLATILE },
	{ "table_to_xml_and_xmlschema", FUNCTION_VOLATILE },
	{ "table_to_xmlschema", FUNCTION_VOLATILE },
	{ "timeofday", FUNCTION_SAFE },
	{ "txid_current", FUNCTION_VOLATILE },
	{ "txid_current_if_assigned", FUNCTION_NODE },
	{ "txid_current_snapshot", FUNCTION_NODE },
};

/* Sorted. */
static const char *const state_functions[] = {
	"dblink_connect",                /* named connections live in the session */
	"dblink_connect_u", "set_limit", /* pg_trgm's threshold */
};

/* Sorted. */
static const char *const local_relations[] = {
	"pg_aios",
	"pg_available_extension_versions",
	"pg_available_extensions",
	"pg_backend_memory_contexts",
	"pg_buffercache",
	"pg_config",
	"pg_cursors",
	"pg_dsm_registry_allocations",
	"pg_file_settings",
	"pg_hba_file_rules",
	"pg_ident_file_mappings",
	"pg_locks",
	"pg_prepared_statements",
	"pg_prepared_xacts",
	"pg_replication_origin_status",
	"pg_replication_slots",
	"pg_sequences", /* last_value: WAL runs ahead of it */
	"pg_settings",
	"pg_shmem_allocations",
	"pg_shmem_allocations_numa",
};

/* Sorted. Settings that a session brings along or that all nodes of a cluster have in common. */
static const char *const portable_settings[] = {
	"application_name",
	"bytea_output",
	"client_encoding",
	"client_min_messages",
	"datestyle",
	"default_text_search_config",
	"extra_float_digits",
	"integer_datetimes",
	"intervalstyle",
	"lock_timeout",
	"role",
	"row_security",
	"search_path",
	"server_encoding",
	"server_version",
	"server_version_num",
	"session_authorization",
	"standard_conforming_strings",
	"statement_timeout",
	"timezone",
	"xmloption",
};

#define COUNT(array)    (sizeof(array) / sizeof((array)[0]))
#define IN(array, name) contains(array, COUNT(array), name)

static int compare_name(const void *key, const void *element)
{
	return strcmp(key, *(const char *const *)element);
}

static bool contains(const char *const *names, size_t n, const char *name)
{
	return bsearch(name, names, n, sizeof(names[0]), compare_name) != NULL;
}

static int compare_class(const void *key, const void *element)
{
	return strcmp(key, ((const struct named_class *)element)->name);
}

enum function_class function_classify(const char *name)
{
	const struct named_class *found =
		bsearch(name, by_hand, COUNT(by_hand), sizeof(by_hand[0]), compare_class);

	if (found)
		return found->class;
	/* The statistics of one node; what resets them is volatile. */
	if (strncmp(name, "pg_stat_get_", 12) == 0)
		return FUNCTION_NODE;
	if (IN(stable_functions, name))
		return FUNCTION_SAFE;
	if (IN(volatile_functions, name))
		return FUNCTION_VOLATILE;
	return FUNCTION_UNKNOWN;
}

bool function_has_state(const char *name)
{
	return IN(state_functions, name);
}

bool relation_is_local(const char *name)
{
	return strncmp(name, "pg_stat_", 8) == 0 || strncmp(name, "pg_statio_", 10) == 0 ||
	       IN(local_relations, name);
}

bool setting_is_portable(const char *name)
{
	/* Settings with a dot are a session's own, except ours, which no server knows. */
	if (strchr(name, '.'))
		return strncasecmp(name, "pointsman.", 10) != 0;
	for (size_t i = 0; i < COUNT(portable_settings); i++) {
		if (strcasecmp(portable_settings[i], name) == 0)
			return true;
	}
	return false;
}
