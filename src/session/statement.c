/*
 * Prepared statements: texts kept once per worker, names per client; see session/statement.h.
 * Worker thread only, but for the counter of ids, which the whole process shares.
 */
#include "session/statement.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "base/panic.h"
#include "base/random.h"
#include "base/strmap.h"
#include "pool/settings.h"

#define MAP_CAPACITY_FIRST 4 /* a power of two, as all of them are */

/* --- facts --- */

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static const char *put_text(char **at, const char *text)
{
	size_t size = text_size(text);
	char *where = *at;

	if (!text)
		return NULL;
	memcpy(where, text, size);
	*at += size;
	return where;
}

/* Effects on their way into one block: counted first, then written. */
struct effect_writer {
	struct statement_facts *facts; /* NULL: only counting */
	char *text;
	size_t n;
	size_t text_size;
};

static void write_effect(struct effect_writer *w, const struct effect *effect, unsigned statement)
{
	struct effect *to = w->facts ? &w->facts->effects[w->n] : NULL;

	w->n++;
	w->text_size += text_size(effect->name) + text_size(effect->value);
	if (!to)
		return;
	*to = *effect;
	to->statement = statement;
	to->name = put_text(&w->text, effect->name);
	to->value = put_text(&w->text, effect->value);
}

/* All effects of the text, and behind each EXECUTE those of what it runs. */
static void write_effects(struct effect_writer *w, const struct verdict *verdict,
			  struct statement *const *executed, size_t n_executed)
{
	size_t at = 0;

	for (size_t i = 0; i < verdict->n_effects; i++) {
		const struct effect *effect = &verdict->effects[i];
		const struct statement *inner;

		write_effect(w, effect, effect->statement);
		if (effect->kind != EFFECT_EXECUTE)
			continue;
		inner = at < n_executed ? executed[at] : NULL;
		at++;
		for (size_t k = 0; inner && k < inner->facts->n_effects; k++)
			write_effect(w, &inner->facts->effects[k], effect->statement);
	}
}

static bool is_named_use(const struct effect *effect)
{
	return effect->kind == EFFECT_PREPARE || effect->kind == EFFECT_EXECUTE ||
	       (effect->kind == EFFECT_DEALLOCATE && effect->name);
}

static void note_pins(struct statement_facts *facts, const struct effect *effect)
{
	switch (effect->kind) {
	case EFFECT_PIN:
		/* One that ends with the transaction adds nothing: its server is held until
		 * then. */
		if (!(effect->flags & EFFECT_LOCAL))
			facts->pins |= (uint16_t)(1u << effect->pin);
		break;
	case EFFECT_UNPIN: facts->unpins |= (uint16_t)(1u << effect->pin); break;
	case EFFECT_DISCARD_TEMP: facts->unpins |= 1u << PIN_TEMP_TABLE; break;
	case EFFECT_UNLISTEN: facts->unpins |= 1u << PIN_LISTEN; break;
	default: break;
	}
}

static void note_effects(struct statement_facts *facts)
{
	for (size_t i = 0; i < facts->n_effects; i++) {
		const struct effect *effect = &facts->effects[i];

		facts->uses_names |= is_named_use(effect);
		note_pins(facts, effect);
	}
}

static struct statement_facts *copy_effects(const struct verdict *verdict,
					    struct statement *const *executed, size_t n_executed)
{
	struct effect_writer w = { 0 };

	write_effects(&w, verdict, executed, n_executed);
	w.facts = calloc(1, sizeof(*w.facts) + w.n * sizeof(struct effect) + w.text_size);
	if (!w.facts)
		return NULL;
	w.facts->n_effects = w.n;
	w.text = (char *)&w.facts->effects[w.n];
	w.n = 0;
	write_effects(&w, verdict, executed, n_executed);
	note_effects(w.facts);
	return w.facts;
}

static bool is_serializable(const struct verdict *verdict)
{
	for (size_t i = 0; i < verdict->n_effects; i++) {
		if (verdict->effects[i].flags & EFFECT_SERIALIZABLE)
			return true;
	}
	return false;
}

static void raise_kind(struct statement_facts *facts, enum verdict_kind kind,
		       enum verdict_reason reason)
{
	if (kind <= facts->kind)
		return;
	facts->kind = kind;
	facts->reason = reason;
}

/* The verdict: that of the rest of the text, and those of what is executed. */
static void judge_executed(struct statement_facts *facts, const struct verdict *verdict,
			   struct statement *const *executed, size_t n_executed)
{
	size_t at = 0;

	facts->kind = verdict->rest_kind;
	facts->reason = verdict->rest_reason;
	for (size_t i = 0; i < verdict->n_effects; i++) {
		const struct statement_facts *inner = NULL;

		if (verdict->effects[i].kind != EFFECT_EXECUTE)
			continue;
		if (at < n_executed && executed[at])
			inner = executed[at]->facts;
		at++;

		if (inner)
			raise_kind(facts, inner->kind, inner->reason);
		else
			raise_kind(facts, VERDICT_SESSION, VERDICT_REASON_SESSION);
		facts->may_leave_state |= inner && inner->may_leave_state;
	}
}

/* The hints of the text's own comments, then those of what it executes. */
static bool copy_hints(struct statement_facts *facts, const struct judgement *judgement,
		       struct statement *const *executed, size_t n_executed)
{
	struct hints hints = judgement->hints;

	for (size_t i = 0; i < n_executed; i++) {
		if (executed[i] && executed[i]->facts->hints)
			hint_merge(&hints, executed[i]->facts->hints);
	}
	if (!hints.set)
		return true;
	facts->hints = malloc(sizeof(*facts->hints));
	if (facts->hints)
		*facts->hints = hints;
	return facts->hints != NULL;
}

struct statement_facts *statement_facts_create(const struct judgement *judgement,
					       struct statement *const *executed,
					       size_t n_executed)
{
	const struct verdict *verdict = judgement->verdict;
	struct statement_facts *facts = copy_effects(verdict, executed, n_executed);

	if (!facts)
		return NULL;
	facts->kind = verdict->kind;
	facts->reason = verdict->reason;
	facts->rest_kind = verdict->rest_kind;
	facts->n_statements = verdict->n_statements;
	/* A standby refuses SERIALIZABLE, read-only or not. */
	facts->is_explicit_read_only =
		verdict->is_explicit_read_only && !is_serializable(verdict);
	facts->has_transaction_control = verdict->has_transaction_control;
	facts->may_leave_state = verdict->may_leave_state;
	if (n_executed > 0)
		judge_executed(facts, verdict, executed, n_executed);
	if (!copy_hints(facts, judgement, executed, n_executed))
		statement_facts_destroy(&facts);
	return facts;
}

void statement_facts_destroy(struct statement_facts **facts)
{
	if (*facts)
		free((*facts)->hints);
	free(*facts);
	*facts = NULL;
}

/* --- statements --- */

struct statement_cache {
	struct strmap *by_body[STATEMENT_FORM_COUNT];
	struct statement *newest; /* held by nobody else, the last released first */
	struct statement *oldest;
	size_t idle_bytes;
	size_t idle_bytes_max;
	size_t bytes;
};

static atomic_ullong last_id;

static size_t statement_size(const struct statement *statement)
{
	return sizeof(*statement) + statement->key_length;
}

static void free_cache(struct statement_cache *cache)
{
	for (int form = 0; form < STATEMENT_FORM_COUNT; form++)
		strmap_destroy(&cache->by_body[form]);
	free(cache);
}

struct statement_cache *statement_cache_create(size_t idle_bytes_max)
{
	struct statement_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return NULL;
	cache->idle_bytes_max = idle_bytes_max;
	for (int form = 0; form < STATEMENT_FORM_COUNT; form++) {
		cache->by_body[form] = strmap_create();
		if (!cache->by_body[form]) {
			free_cache(cache);
			return NULL;
		}
	}
	return cache;
}

static void unlink_idle(struct statement_cache *cache, struct statement *statement)
{
	if (statement->lru_newer)
		statement->lru_newer->lru_older = statement->lru_older;
	else
		cache->newest = statement->lru_older;
	if (statement->lru_older)
		statement->lru_older->lru_newer = statement->lru_newer;
	else
		cache->oldest = statement->lru_newer;
	statement->lru_newer = statement->lru_older = NULL;
	cache->idle_bytes -= statement_size(statement);
}

static void link_idle(struct statement_cache *cache, struct statement *statement)
{
	statement->lru_older = cache->newest;
	statement->lru_newer = NULL;
	if (cache->newest)
		cache->newest->lru_newer = statement;
	else
		cache->oldest = statement;
	cache->newest = statement;
	cache->idle_bytes += statement_size(statement);
}

static void free_statement(struct statement *statement)
{
	statement_unref(&statement->target);
	statement_facts_destroy(&statement->facts);
	free(statement->body);
	free(statement);
}

static void evict(struct statement_cache *cache, struct statement *statement)
{
	unlink_idle(cache, statement);
	strmap_remove(cache->by_body[statement->form], statement->body, statement->key_length);
	cache->bytes -= statement_size(statement);
	free_statement(statement);
}

void statement_cache_destroy(struct statement_cache **cache_pointer)
{
	struct statement_cache *cache = *cache_pointer;

	*cache_pointer = NULL;
	if (!cache)
		return;
	while (cache->oldest)
		evict(cache, cache->oldest);
	ASSERT(statement_cache_count(cache) == 0);
	free_cache(cache);
}

static struct statement *make_statement(enum statement_form form, const uint8_t *body,
					size_t length, const struct judgement *judgement,
					struct statement *executed)
{
	struct statement *statement = calloc(1, sizeof(*statement));

	if (!statement)
		return NULL;
	statement->references = 1;
	statement->id = atomic_fetch_add_explicit(&last_id, 1, memory_order_relaxed) + 1;
	statement->form = (uint8_t)form;
	statement->facts = statement_facts_create(judgement, &executed, executed ? 1 : 0);
	statement->body = malloc(length + sizeof(uint64_t));
	statement->body_length = length;
	statement->key_length = length;
	if (!statement->facts || !statement->body) {
		free_statement(statement);
		return NULL;
	}
	memcpy(statement->body, body, length);
	return statement;
}

struct statement *statement_find(struct statement_cache *cache, enum statement_form form,
				 const uint8_t *body, size_t length)
{
	struct statement *statement = strmap_get(cache->by_body[form], body, length);

	if (!statement)
		return NULL;
	if (statement->references == 0)
		unlink_idle(cache, statement);
	statement->references++;
	return statement;
}

/*
 * Texts that a server has accepted, on any worker, by the hash of their body: each has one place,
 * and the newest keeps it. Who only prepares must not wait for a server because another worker's
 * clients have them all.
 */
#define PROVED_SLOTS 4096
static atomic_uint_least64_t proved[PROVED_SLOTS];

static uint64_t body_hash(const struct statement *statement)
{
	return XXH3_64bits_withSeed(statement->body, statement->body_length,
				    (uint64_t)statement->form) |
	       1;
}

/* Any server accepts transaction control; but not several statements in one. */
static bool is_control(const struct statement_facts *facts)
{
	return facts->kind == VERDICT_TXN && facts->n_statements == 1;
}

uint64_t statement_context(const struct statement *statement, const struct settings *settings)
{
	return settings_context(settings) + statement->n_expired;
}

void statement_prove(struct statement *statement)
{
	uint64_t hash;

	if (statement->is_proved)
		return;
	hash = body_hash(statement);
	statement->is_proved = true;
	atomic_store_explicit(&proved[hash >> 8 & (PROVED_SLOTS - 1)], hash,
			      memory_order_relaxed);
}

void statement_disprove(struct statement *statement)
{
	uint64_t hash = body_hash(statement);

	statement->is_proved = is_control(statement->facts);
	atomic_compare_exchange_strong(&proved[hash >> 8 & (PROVED_SLOTS - 1)], &hash, 0);
}

bool statement_is_proved(struct statement *statement)
{
	uint64_t hash;

	if (statement->is_proved)
		return true;
	hash = body_hash(statement);
	statement->is_proved = atomic_load_explicit(&proved[hash >> 8 & (PROVED_SLOTS - 1)],
						    memory_order_relaxed) == hash;
	return statement->is_proved;
}

/* From now on the cache has it. */
static struct statement *keep_statement(struct statement_cache *cache,
					struct statement *statement)
{
	if (statement && !strmap_set(cache->by_body[statement->form], statement->body,
				     statement->key_length, statement)) {
		free_statement(statement);
		return NULL;
	}
	if (!statement)
		return NULL;
	statement->cache = cache;
	statement->is_proved = is_control(statement->facts);
	cache->bytes += statement_size(statement);
	return statement;
}

struct statement *statement_get(struct statement_cache *cache, enum statement_form form,
				const uint8_t *body, size_t length,
				const struct judgement *judgement)
{
	struct statement *statement = statement_find(cache, form, body, length);

	if (statement)
		return statement;
	statement = make_statement(form, body, length, judgement, NULL);
	return keep_statement(cache, statement);
}

struct statement *statement_find_rewritten(struct statement_cache *cache, const uint8_t *body,
					   size_t length, uint64_t origin)
{
	uint8_t *key = malloc(length + sizeof(origin));
	struct statement *statement;

	if (!key)
		return NULL;
	memcpy(key, body, length);
	memcpy(key + length, &origin, sizeof(origin));
	statement = statement_find(cache, STATEMENT_REWRITTEN, key, length + sizeof(origin));
	free(key);
	return statement;
}

struct statement *statement_get_rewritten(struct statement_cache *cache, const uint8_t *body,
					  size_t length, const struct judgement *judgement,
					  struct statement *target, enum name_use_kind target_use,
					  const struct statement_rename *rename)
{
	struct statement *statement = make_statement(STATEMENT_REWRITTEN, body, length, judgement,
						     target_use == NAME_EXECUTE ? target : NULL);

	if (!statement)
		return NULL;
	memcpy(statement->body + length, &rename->origin, sizeof(rename->origin));
	statement->key_length = length + sizeof(rename->origin);
	statement->target = statement_ref(target);
	statement->target_use = target_use;
	statement->rename = *rename;
	return keep_statement(cache, statement);
}

struct statement *statement_create_unshared(struct statement_cache *cache,
					    enum statement_form form, const uint8_t *body,
					    size_t length, const struct judgement *judgement)
{
	struct statement *statement = make_statement(form, body, length, judgement, NULL);

	if (!statement)
		return NULL;
	statement->is_unshared = true;
	statement->cache = cache;
	cache->bytes += statement_size(statement);
	return statement;
}

struct statement *statement_ref(struct statement *statement)
{
	if (statement)
		statement->references++;
	return statement;
}

void statement_unref(struct statement **statement_pointer)
{
	struct statement *statement = *statement_pointer;
	struct statement_cache *cache;

	*statement_pointer = NULL;
	if (!statement)
		return;
	ASSERT(statement->references > 0);
	if (--statement->references > 0)
		return;
	cache = statement->cache;
	if (statement->is_unshared) {
		cache->bytes -= statement_size(statement);
		free_statement(statement);
		return;
	}
	link_idle(cache, statement);
	while (cache->idle_bytes > cache->idle_bytes_max)
		evict(cache, cache->oldest);
}

size_t statement_bytes(const struct statement *statement)
{
	return statement_size(statement);
}

struct visitor {
	void (*each)(void *context, const struct statement *statement);
	void *context;
};

static void visit(void *context, const void *key, size_t key_length, void *value)
{
	const struct visitor *visitor = context;

	(void)key;
	(void)key_length;
	visitor->each(visitor->context, value);
}

void statement_cache_each(const struct statement_cache *cache,
			  void (*each)(void *context, const struct statement *statement),
			  void *context)
{
	struct visitor visitor = { each, context };

	for (int form = 0; form < STATEMENT_FORM_COUNT; form++)
		strmap_each(cache->by_body[form], visit, &visitor);
}

size_t statement_cache_count(const struct statement_cache *cache)
{
	size_t count = 0;

	for (int form = 0; form < STATEMENT_FORM_COUNT; form++)
		count += strmap_count(cache->by_body[form]);
	return count;
}

size_t statement_cache_bytes(const struct statement_cache *cache)
{
	size_t bytes = cache->bytes;

	for (int form = 0; form < STATEMENT_FORM_COUNT; form++)
		bytes += strmap_bytes(cache->by_body[form]);
	return bytes;
}

void statement_name(uint64_t id, char out[STATEMENT_NAME_MAX])
{
	snprintf(out, STATEMENT_NAME_MAX, STATEMENT_NAME_PREFIX "%llu", (unsigned long long)id);
}

/* --- names --- */

/* Seeded, so that no client can choose names that collide. */
static uint64_t hash_seed(void)
{
	static _Atomic uint64_t seed;
	uint64_t value = atomic_load_explicit(&seed, memory_order_relaxed);
	uint64_t none = 0;

	if (value)
		return value;
	random_secret(&value, sizeof(value));
	value |= 1;
	return atomic_compare_exchange_strong(&seed, &none, value) ? value : none;
}

uint64_t statement_name_hash(const char *name)
{
	return XXH3_64bits_withSeed(name, strlen(name), hash_seed()) | 1;
}

/* 16 bytes; without a statement the slot is free. */
struct named_statement {
	struct statement *statement;
	uint32_t hash;    /* of the name, the low half */
	uint32_t name_at; /* in `names` */
};

struct statement_table {
	uint32_t count;
	uint32_t capacity; /* a power of two */
	uint32_t names_used;
	uint32_t names_lost; /* of names_used: of names that are gone */
	uint32_t names_capacity;
	size_t text_bytes;
	char *names;
	struct named_statement entries[];
};

static const char *name_of(const struct statement_table *table,
			   const struct named_statement *named)
{
	return table->names + named->name_at;
}

/* The slot of the name, or the free one where it would go. The table has a free one. */
static uint32_t find_slot(const struct statement_table *table, const char *name, uint64_t hash)
{
	uint32_t mask = table->capacity - 1;
	uint32_t at = (uint32_t)hash & mask;

	while (table->entries[at].statement &&
	       (table->entries[at].hash != (uint32_t)hash ||
		strcmp(name_of(table, &table->entries[at]), name) != 0))
		at = (at + 1) & mask;
	return at;
}

struct statement *statement_map_find(const struct statement_map *map, const char *name)
{
	const struct statement_table *table = map->table;

	return table ? table->entries[find_slot(table, name, statement_name_hash(name))].statement
		     : NULL;
}

static size_t table_size(uint32_t capacity)
{
	return sizeof(struct statement_table) + capacity * sizeof(struct named_statement);
}

/* Makes room for one more; the entries move, the names stay where they are. */
static bool grow_table(struct statement_map *map)
{
	struct statement_table *table = map->table;
	uint32_t capacity = table ? table->capacity * 2 : MAP_CAPACITY_FIRST;
	struct statement_table *grown;

	if (table && table->count + 1 <= table->capacity / 4 * 3)
		return true;
	grown = calloc(1, table_size(capacity));
	if (!grown)
		return false;
	if (table)
		memcpy(grown, table, sizeof(*table));
	grown->capacity = capacity;
	for (uint32_t i = 0; table && i < table->capacity; i++) {
		uint32_t at = table->entries[i].hash & (capacity - 1);

		if (!table->entries[i].statement)
			continue;
		while (grown->entries[at].statement)
			at = (at + 1) & (capacity - 1);
		grown->entries[at] = table->entries[i];
	}
	free(table);
	map->table = grown;
	return true;
}

/* Writes the names that are in use one behind the other, with room for `more` bytes. */
static bool rewrite_names(struct statement_table *table, size_t more)
{
	size_t capacity = (table->names_used - table->names_lost + more) * 3 / 2;
	char *names = capacity < UINT32_MAX ? malloc(capacity) : NULL;
	uint32_t at = 0;

	if (!names)
		return false;
	for (uint32_t i = 0; i < table->capacity; i++) {
		size_t size;

		if (!table->entries[i].statement)
			continue;
		size = strlen(name_of(table, &table->entries[i])) + 1;
		memcpy(names + at, name_of(table, &table->entries[i]), size);
		table->entries[i].name_at = at;
		at += (uint32_t)size;
	}
	free(table->names);
	table->names = names;
	table->names_used = at;
	table->names_lost = 0;
	table->names_capacity = (uint32_t)capacity;
	return true;
}

bool statement_map_add(struct statement_map *map, const char *name, struct statement *statement)
{
	uint64_t hash = statement_name_hash(name);
	size_t size = strlen(name) + 1;
	struct named_statement *entry;
	struct statement_table *table;

	if (!grow_table(map))
		return false;
	table = map->table;
	if (table->names_used + size > table->names_capacity && !rewrite_names(table, size)) {
		if (table->count == 0)
			statement_map_clear(map);
		return false;
	}
	entry = &table->entries[find_slot(table, name, hash)];
	ASSERT(!entry->statement);
	entry->hash = (uint32_t)hash;
	entry->name_at = table->names_used;
	entry->statement = statement_ref(statement);
	memcpy(table->names + table->names_used, name, size);
	table->names_used += (uint32_t)size;
	table->text_bytes += statement->body_length;
	table->count++;
	return true;
}

/* What probed past the slot that gets free moves up, so that it is found there. */
static void close_gap(struct statement_table *table, uint32_t gap)
{
	uint32_t mask = table->capacity - 1;

	for (uint32_t at = (gap + 1) & mask; table->entries[at].statement; at = (at + 1) & mask) {
		uint32_t home = table->entries[at].hash & mask;

		if (((at - home) & mask) < ((at - gap) & mask))
			continue;
		table->entries[gap] = table->entries[at];
		gap = at;
	}
	memset(&table->entries[gap], 0, sizeof(table->entries[gap]));
}

static void remove_slot(struct statement_map *map, uint32_t at)
{
	struct statement_table *table = map->table;
	struct named_statement *entry = &table->entries[at];

	table->names_lost += (uint32_t)strlen(name_of(table, entry)) + 1;
	table->text_bytes -= entry->statement->body_length;
	statement_unref(&entry->statement);
	close_gap(table, at);
	if (--table->count == 0)
		statement_map_clear(map);
}

void statement_map_remove(struct statement_map *map, const char *name)
{
	uint32_t at;

	if (!map->table)
		return;
	at = find_slot(map->table, name, statement_name_hash(name));
	if (map->table->entries[at].statement)
		remove_slot(map, at);
}

void statement_map_remove_hash(struct statement_map *map, uint64_t hash,
			       const struct statement *only)
{
	const struct statement_table *table = map->table;
	uint32_t mask = table ? table->capacity - 1 : 0;

	for (uint32_t at = (uint32_t)hash & mask; table && table->entries[at].statement;
	     at = (at + 1) & mask) {
		const struct named_statement *entry = &table->entries[at];

		if (entry->hash == (uint32_t)hash && entry->statement == only &&
		    statement_name_hash(name_of(table, entry)) == hash) {
			remove_slot(map, at);
			return;
		}
	}
}

bool statement_map_next(const struct statement_map *map, uint32_t *cursor, const char **name_out,
			struct statement **statement_out)
{
	const struct statement_table *table = map->table;

	while (table && *cursor < table->capacity) {
		const struct named_statement *entry = &table->entries[(*cursor)++];

		if (!entry->statement)
			continue;
		*name_out = name_of(table, entry);
		*statement_out = entry->statement;
		return true;
	}
	return false;
}

size_t statement_map_count(const struct statement_map *map)
{
	return map->table ? map->table->count : 0;
}

size_t statement_map_text_bytes(const struct statement_map *map)
{
	return map->table ? map->table->text_bytes : 0;
}

size_t statement_map_bytes(const struct statement_map *map)
{
	return map->table ? table_size(map->table->capacity) + map->table->names_capacity : 0;
}

void statement_map_clear(struct statement_map *map)
{
	struct statement_table *table = map->table;

	map->table = NULL;
	for (uint32_t i = 0; table && i < table->capacity; i++)
		statement_unref(&table->entries[i].statement);
	if (table)
		free(table->names);
	free(table);
}
