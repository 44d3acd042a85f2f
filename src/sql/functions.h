#ifndef POINTSMAN_SQL_FUNCTIONS_H
#define POINTSMAN_SQL_FUNCTIONS_H

#include <stdbool.h>

/* Internal to sql/classify: what is known of built-in functions, relations and settings by name.
 */

enum function_class {
	FUNCTION_SAFE,         /* a replica may run it */
	FUNCTION_UNKNOWN,      /* not PostgreSQL's own */
	FUNCTION_VOLATILE,     /* it, or one of its overloads, may write */
	FUNCTION_NODE,         /* reads, but answers for the node that is asked */
	FUNCTION_SESSION,      /* reads what belongs to the session in one server */
	FUNCTION_ADVISORY,     /* advisory locks that end with the transaction, and unlocking */
	FUNCTION_ADVISORY_PIN, /* advisory locks that last */
	FUNCTION_SETSEED,
	FUNCTION_BACKEND_PID,
	FUNCTION_SET_CONFIG,
	FUNCTION_CURRENT_SETTING,
	FUNCTION_STATE, /* leaves other state in the session */
};

/* `name` without a schema, or in pg_catalog. */
enum function_class function_classify(const char *name);

/* Extensions' functions that leave state in the session, in whatever schema they are. */
bool function_has_state(const char *name);

/* Views and relations of pg_catalog that describe one node or one session. */
bool relation_is_local(const char *name);

/* May a replica answer current_setting('name'): is it a setting that the session brings along, or
 * the same everywhere? */
bool setting_is_portable(const char *name);

#endif
