/*
 * What drivers and pools ask of any server before they trust it: SHOW of a setting, SELECT 1,
 * SELECT version(). There is no SQL behind it, only this table. Control thread.
 */
#include "admin/command.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "admin/job.h"
#include "admin/terminal.h"
#include "admin/text.h"
#include "base/version.h"

#define VERSION_TEXT   "PostgreSQL 15.0 (Pointsman " POINTSMAN_VERSION ")"
#define PROBE_TEXT_MAX 80

/* Values that begin with '$' are the session's own. Words of a name are joined by '_'. */
static const struct probe settings[] = {
	{ "application_name", "application_name", OID_TEXT, "$application_name" },
	{ "bytea_output", "bytea_output", OID_TEXT, "hex" },
	{ "client_encoding", "client_encoding", OID_TEXT, "UTF8" },
	{ "datestyle", "DateStyle", OID_TEXT, "ISO, MDY" },
	{ "default_transaction_isolation", "default_transaction_isolation", OID_TEXT,
	  "read committed" },
	{ "default_transaction_read_only", "default_transaction_read_only", OID_TEXT, "off" },
	{ "extra_float_digits", "extra_float_digits", OID_TEXT, "1" },
	{ "in_hot_standby", "in_hot_standby", OID_TEXT, "off" },
	{ "integer_datetimes", "integer_datetimes", OID_TEXT, "on" },
	{ "intervalstyle", "IntervalStyle", OID_TEXT, "postgres" },
	{ "is_superuser", "is_superuser", OID_TEXT, "off" },
	{ "max_identifier_length", "max_identifier_length", OID_TEXT, "63" },
	{ "search_path", "search_path", OID_TEXT, "\"$user\", public" },
	{ "server_encoding", "server_encoding", OID_TEXT, "UTF8" },
	{ "server_version", "server_version", OID_TEXT,
	  "15.0 (Pointsman " POINTSMAN_VERSION ")" },
	{ "server_version_num", "server_version_num", OID_TEXT, "150000" },
	{ "session_authorization", "session_authorization", OID_TEXT, "$user" },
	{ "standard_conforming_strings", "standard_conforming_strings", OID_TEXT, "on" },
	{ "statement_timeout", "statement_timeout", OID_TEXT, "0" },
	{ "time_zone", "TimeZone", OID_TEXT, "UTC" },
	{ "timezone", "TimeZone", OID_TEXT, "UTC" },
	{ "transaction_isolation", "transaction_isolation", OID_TEXT, "read committed" },
	{ "transaction_isolation_level", "transaction_isolation", OID_TEXT, "read committed" },
	{ "transaction_read_only", "transaction_read_only", OID_TEXT, "off" },
};

static const struct probe functions[] = {
	{ "current_catalog", "current_catalog", OID_TEXT, "$database" },
	{ "current_database()", "current_database", OID_TEXT, "$database" },
	{ "current_schema", "current_schema", OID_TEXT, "public" },
	{ "current_schema()", "current_schema", OID_TEXT, "public" },
	{ "current_user", "current_user", OID_TEXT, "$user" },
	{ "pg_is_in_recovery()", "pg_is_in_recovery", OID_BOOL, "f" },
	{ "session_user", "session_user", OID_TEXT, "$user" },
	{ "user", "user", OID_TEXT, "$user" },
	{ "version()", "version", OID_TEXT, VERSION_TEXT },
};

/* The words behind the first one, in one piece. false: no probe is that long. */
static bool join(const struct words *words, const char *separator, char out[PROBE_TEXT_MAX])
{
	size_t used = 0;

	for (size_t i = 1; i < words->count; i++) {
		int n = snprintf(out + used, PROBE_TEXT_MAX - used, "%s%s",
				 i > 1 ? separator : "", words_text(words, i));

		if (words->list[i].kind > WORD_IDENTIFIER && words->list[i].kind != WORD_SIGN)
			return false;
		if (n < 0 || (size_t)n >= PROBE_TEXT_MAX - used)
			return false;
		used += (size_t)n;
	}
	return used > 0;
}

static const struct probe *look_up(const struct probe *probes, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++) {
		if (text_is(text, probes[i].text))
			return &probes[i];
	}
	return NULL;
}

/* SELECT 1, SELECT 'ok': the value is the word. */
static const struct probe *find_literal(const struct words *words, struct probe *literal)
{
	const char *text = words_text(words, 1);
	bool is_number = words->count == 2 && words->list[1].kind == WORD_PLAIN &&
			 strlen(text) < 10 && strspn(text, "0123456789") == strlen(text);

	if (!is_number && (words->count != 2 || words->list[1].kind != WORD_STRING))
		return NULL;
	*literal = (struct probe){ "", "?column?", is_number ? OID_INT4 : OID_TEXT, NULL };
	return literal;
}

const struct probe *probe_find(const struct words *words, struct probe *literal)
{
	char text[PROBE_TEXT_MAX];
	const char *name = text;

	if (words_is(words, 0, "SHOW"))
		return join(words, "_", text)
			       ? look_up(settings, sizeof(settings) / sizeof(settings[0]), text)
			       : NULL;
	if (find_literal(words, literal))
		return literal;
	if (!join(words, "", text))
		return NULL;
	if (strncasecmp(name, "pg_catalog.", strlen("pg_catalog.")) == 0)
		name += strlen("pg_catalog.");
	return look_up(functions, sizeof(functions) / sizeof(functions[0]), name);
}

static const char *value_of(const struct job *job)
{
	const struct terminal *terminal = job->terminal;
	const char *value = job->plan.probe->value;

	if (!value)
		return job_argument(job);
	if (strcmp(value, "$user") == 0)
		return terminal->user;
	if (strcmp(value, "$database") == 0)
		return terminal->database;
	if (strcmp(value, "$application_name") == 0)
		return terminal->application_name ? terminal->application_name : "";
	return value;
}

static int64_t number_of(const char *text)
{
	int64_t number = 0;

	for (; *text; text++)
		number = number * 10 + (*text - '0');
	return number;
}

void probe_run(struct job *job)
{
	char clean[WORDS_TEXT_MAX];

	text_clean(clean, sizeof(clean), value_of(job));
	table_begin_row(&job->table);
	switch (job->plan.probe->type_oid) {
	case OID_INT4: table_int(&job->table, number_of(clean)); break;
	case OID_BOOL: table_bool(&job->table, clean[0] == 't'); break;
	default: table_text(&job->table, clean);
	}
	table_end_row(&job->table);
	job_complete(job, words_is(&job->plan.words, 0, "SHOW") ? "SHOW" : "SELECT 1");
}
