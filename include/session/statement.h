#ifndef POINTSMAN_SESSION_STATEMENT_H
#define POINTSMAN_SESSION_STATEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql/judge.h"
#include "sql/names.h"
#include "sql/verdict.h"

/*
 * Prepared statements, of the extended protocol and of SQL's PREPARE. A worker keeps each text
 * (with its parameter types) once, under an id that no other text in the process ever has;
 * clients' names lead to it, and on servers it is prepared under a name made of the id, when
 * first needed. Which servers have it, the servers know (pool/server.h).
 */

/* What is remembered of a judgement for as long as the text may be executed. */
struct statement_facts {
	enum verdict_kind kind;
	enum verdict_reason reason;
	enum verdict_kind rest_kind; /* see struct verdict */
	unsigned n_statements;
	bool is_explicit_read_only;
	bool has_transaction_control;
	bool may_leave_state;
	bool uses_names; /* PREPARE, EXECUTE or DEALLOCATE of a name, see session/sql_prepare.h */
	uint16_t pins;   /* reasons (1 << enum pin_reason) among its effects ... */
	uint16_t unpins; /* ... and those that it may end */
	struct hints *hints; /* of its comments; NULL: none */
	size_t n_effects;
	struct effect effects[]; /* the texts follow in the same allocation */
};

struct statement;

/*
 * `executed`: what the text's EXECUTEs run, in their order, NULL where that is not known: it
 * happens with them. Fewer than the text has: the others are not known. NULL without memory.
 */
struct statement_facts *statement_facts_create(const struct judgement *judgement,
					       struct statement *const *executed,
					       size_t n_executed);
void statement_facts_destroy(struct statement_facts **facts);

enum statement_form {
	STATEMENT_PARSE,     /* body: of a Parse message behind its name */
	STATEMENT_REWRITTEN, /* the same; a text in which a name was replaced by one of ours */
	STATEMENT_SQL,       /* body: of PREPARE behind its name, "(types) AS query" */
	STATEMENT_FORM_COUNT
};

/* How a rewritten text differs from what the client wrote, in characters. */
struct statement_rename {
	uint64_t origin;   /* id of the statement as the client wrote it */
	uint32_t at;       /* where the name begins, from 0 */
	uint32_t original; /* of the client's name, as it is spelled */
};

struct statement {
	uint64_t id;
	unsigned references;
	/*
	 * A server has accepted it before, or it is transaction control, which any server
	 * accepts. Its Parse can then be answered without a server: so that who only prepares
	 * does not wait behind those who hold all servers, and perhaps wait for him (pgbench
	 * prepares synchronously).
	 */
	bool is_proved;
	struct statement_facts *facts;
	size_t body_length;
	size_t key_length; /* of body and what follows it in memory: what it is found by */
	uint8_t *body;
	uint8_t form;                   /* enum statement_form */
	enum name_use_kind target_use;  /* what a rewritten text does with ... */
	bool is_unshared;               /* known by its id only, gone with its last reference */
	struct statement *target;       /* ... this one: one reference; else NULL */
	struct statement_rename rename; /* of a rewritten text */
	uint32_t n_parses;              /* by clients: Parse, PREPARE */
	uint32_t n_prepares;            /* on servers */
	uint32_t n_uses;                /* Bind, Describe, EXECUTE */
	uint32_t n_expired; /* a server had lost it, or had it as it was before some DDL */
	struct statement_cache *cache;
	struct statement *lru_newer; /* while nobody holds it but the cache */
	struct statement *lru_older;
};

/*
 * What decides, for server_find_statement(), whether a server still has it as it is meant: the
 * session's settings (settings_context()), and whether DDL has shown since that what was
 * prepared before is void, on all servers.
 */
struct settings;
uint64_t statement_context(const struct statement *statement, const struct settings *settings);

struct statement_cache;

/* `idle_bytes_max`: what texts that no client holds any more may take. NULL without memory. */
struct statement_cache *statement_cache_create(size_t idle_bytes_max);
void statement_cache_destroy(struct statement_cache **cache);

/* The statement with this body, if the cache has it: one reference, the caller's. Else NULL. */
struct statement *statement_find(struct statement_cache *cache, enum statement_form form,
				 const uint8_t *body, size_t length);

/*
 * The statement with this body, which has been judged so. One reference, the caller's. NULL
 * without memory.
 */
struct statement *statement_get(struct statement_cache *cache, enum statement_form form,
				const uint8_t *body, size_t length,
				const struct judgement *judgement);

/*
 * A server has accepted its Parse, or has refused it; and may its Parse be answered without one?
 * What is known of a text is known on all workers. (It may be known of another database: then the
 * error comes with the first use.)
 */
void statement_prove(struct statement *statement);
void statement_disprove(struct statement *statement);
bool statement_is_proved(struct statement *statement);

/*
 * Rewritten ones: found by their body and by what they were before, as two clients may have names
 * of different length. A reference to the target is taken.
 */
struct statement *statement_find_rewritten(struct statement_cache *cache, const uint8_t *body,
					   size_t length, uint64_t origin);
struct statement *statement_get_rewritten(struct statement_cache *cache, const uint8_t *body,
					  size_t length, const struct judgement *judgement,
					  struct statement *target, enum name_use_kind target_use,
					  const struct statement_rename *rename);

/* One that nobody else will find, though the text be the same. */
struct statement *statement_create_unshared(struct statement_cache *cache,
					    enum statement_form form, const uint8_t *body,
					    size_t length, const struct judgement *judgement);

struct statement *statement_ref(struct statement *statement);
void statement_unref(struct statement **statement);

/* What it takes of memory, about. */
size_t statement_bytes(const struct statement *statement);

/* Calls `each` for every statement that can be found, in no order; it must not change the cache.
 */
void statement_cache_each(const struct statement_cache *cache,
			  void (*each)(void *context, const struct statement *statement),
			  void *context);

size_t statement_cache_count(const struct statement_cache *cache);
size_t statement_cache_bytes(const struct statement_cache *cache);

/* The name on servers: STATEMENT_NAME_PREFIX and the id. */
#define STATEMENT_NAME_PREFIX "pointsman_"
#define STATEMENT_NAME_MAX    32
void statement_name(uint64_t id, char out[STATEMENT_NAME_MAX]);

/* --- a client's names --- */

/*
 * Names to statements. Zeroed memory is an empty map. A table with open addressing, at most three
 * quarters full, and all names in one block: ten short names take some 500 bytes, and ten
 * thousand are found as fast.
 */
struct statement_map {
	struct statement_table *table; /* NULL while there is no name */
};

size_t statement_map_count(const struct statement_map *map);

/* Bytes of the bodies that the names lead to, each as often as it is named. */
size_t statement_map_text_bytes(const struct statement_map *map);

/* NULL: no such name. The map keeps its reference. */
struct statement *statement_map_find(const struct statement_map *map, const char *name);

/* The map takes a reference of its own. The name must be new. false without memory. */
bool statement_map_add(struct statement_map *map, const char *name, struct statement *statement);

/* Removes the name if it is there. */
void statement_map_remove(struct statement_map *map, const char *name);
void statement_map_clear(struct statement_map *map);

/* Goes through all names, in no order; *cursor is 0 at first. The map must not change. */
bool statement_map_next(const struct statement_map *map, uint32_t *cursor, const char **name_out,
			struct statement **statement_out);

/* Memory held by the map itself. */
size_t statement_map_bytes(const struct statement_map *map);

/* The same by the hash of the name, for a Parse that failed. Never 0. */
uint64_t statement_name_hash(const char *name);
void statement_map_remove_hash(struct statement_map *map, uint64_t hash,
			       const struct statement *only);

#endif
