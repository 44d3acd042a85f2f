/*
 * Texts to judgements, with a cache of verdicts. The key is the shape itself: its hash finds the
 * entry and its text is compared, so that no two texts can be made to share a verdict. The
 * cache is bounded in bytes; what has not been asked for since the hand came by last goes first.
 *
 * Belongs to one worker thread. An entry of the cache is one block of memory.
 */
#include "sql/judge.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/list.h"
#include "base/random.h"
#include "sql/classify.h"
#include "sql/shape.h"

/* Nothing sensible can be judged below these. */
#define PARSE_BYTES_MIN 256
#define TOKENS_MIN      64
#define NESTING_MIN     8
#define BUCKETS_MIN     64

/*
 * Measured with libpg_query 15: a level of nesting costs its recursions at most 600 bytes of
 * stack, and jansson refuses 2048 levels of JSON, which 256 levels of sub-selects just stay
 * below. Even if every token were a level, tokens_max would need less than 5 MB. 64 kB of SQL
 * takes some 10 ms.
 */
const struct judge_limits judge_default_limits = {
	.parse_bytes_max = 64 * 1024,
	.tokens_max = 8192,
	.nesting_max = 256,
	.cache_bytes_max = 8 * 1024 * 1024,
};

struct entry {
	struct list_node clock; /* in judge.entries */
	struct entry *next;     /* in its bucket */
	uint64_t hash[2];
	bool was_used;          /* since the hand came by */
	size_t size;            /* of the block */
	struct verdict verdict; /* leads into the block */
	const char *shape;
	size_t shape_length;
};

struct judge {
	struct judge_limits limits;
	struct shape_limits shape_limits;
	char *buffer;        /* the shape at hand */
	struct arena *arena; /* a verdict being made, and the last that was not cached */

	struct entry **buckets;
	size_t n_buckets;     /* a power of two */
	uint64_t bucket_salt; /* odd; so that nobody can fill one bucket */
	struct list entries;  /* oldest first: the hand of the clock is at the front */
	bool must_forget;

	struct judge_stats stats;
};

/* Without memory: nothing is known of the text, not even what it leaves in the session. */
static const struct effect unknown_effect = { .kind = EFFECT_PIN, .pin = PIN_UNKNOWN_STATE };
static const struct verdict no_memory_verdict = {
	.kind = VERDICT_UNKNOWN,
	.reason = VERDICT_REASON_TOO_LARGE,
	.culprit = "no memory",
	.effects = &unknown_effect,
	.n_effects = 1,
};

/* --- entries --- */

static size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

static size_t entry_size(const struct verdict *verdict, const struct shape *shape)
{
	size_t size = sizeof(struct entry) + verdict->n_effects * sizeof(struct effect);

	for (size_t i = 0; i < verdict->n_effects; i++)
		size += text_size(verdict->effects[i].name) +
			text_size(verdict->effects[i].value);
	return size + text_size(verdict->culprit) + shape->length;
}

/* Copies a string to *at and moves it behind. */
static const char *put_text(char **at, const char *text)
{
	size_t size = text_size(text);
	char *to = *at;

	if (!text)
		return NULL;
	memcpy(to, text, size);
	*at += size;
	return to;
}

/* One block: the entry, its effects, its strings, its shape. NULL without memory. */
static struct entry *entry_create(const struct verdict *verdict, const struct shape *shape)
{
	size_t size = entry_size(verdict, shape);
	struct entry *entry = malloc(size);
	struct effect *effects;
	char *at;

	if (!entry)
		return NULL;
	memset(entry, 0, sizeof(*entry));
	entry->size = size;
	memcpy(entry->hash, shape->hash, sizeof(entry->hash));
	effects = (struct effect *)(entry + 1);
	at = (char *)(effects + verdict->n_effects);
	entry->verdict = *verdict;
	entry->verdict.culprit = put_text(&at, verdict->culprit);
	entry->verdict.effects = verdict->n_effects ? effects : NULL;
	for (size_t i = 0; i < verdict->n_effects; i++) {
		effects[i] = verdict->effects[i];
		effects[i].name = put_text(&at, verdict->effects[i].name);
		effects[i].value = put_text(&at, verdict->effects[i].value);
	}
	memcpy(at, shape->text, shape->length);
	entry->shape = at;
	entry->shape_length = shape->length;
	return entry;
}

/* --- the table --- */

static size_t bucket_of(const struct judge *judge, const uint64_t hash[2])
{
	return (size_t)(((hash[1] ^ judge->bucket_salt) * judge->bucket_salt) >> 32) &
	       (judge->n_buckets - 1);
}

static bool is_shape(const struct entry *entry, const struct shape *shape)
{
	return entry->hash[1] == shape->hash[1] && entry->hash[0] == shape->hash[0] &&
	       entry->shape_length == shape->length &&
	       memcmp(entry->shape, shape->text, shape->length) == 0;
}

static struct entry *cache_find(const struct judge *judge, const struct shape *shape)
{
	struct entry *entry = judge->buckets[bucket_of(judge, shape->hash)];

	while (entry && !is_shape(entry, shape))
		entry = entry->next;
	return entry;
}

static void unlink_entry(struct judge *judge, struct entry *entry)
{
	struct entry **at = &judge->buckets[bucket_of(judge, entry->hash)];

	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
	judge->stats.cache_entries--;
	judge->stats.cache_bytes -= entry->size;
	free(entry);
}

static void cache_clear(struct judge *judge)
{
	struct list_node *node;

	while ((node = list_pop_front(&judge->entries)))
		unlink_entry(judge, LIST_ENTRY(node, struct entry, clock));
}

/* Frees entries until `wanted` more bytes fit. One that was used gets another round. */
static void make_room(struct judge *judge, size_t wanted)
{
	while (judge->stats.cache_bytes + wanted > judge->limits.cache_bytes_max &&
	       !list_is_empty(&judge->entries)) {
		struct list_node *node = list_pop_front(&judge->entries);
		struct entry *entry = LIST_ENTRY(node, struct entry, clock);

		if (entry->was_used) {
			entry->was_used = false;
			list_push_back(&judge->entries, node);
		} else {
			unlink_entry(judge, entry);
		}
	}
}

static size_t buckets_size(size_t n)
{
	return n * sizeof(struct entry *);
}

/* Doubles the table when it is full; without memory it stays as it is, only slower. */
static void grow_buckets(struct judge *judge)
{
	size_t n = judge->n_buckets * 2;
	struct entry **grown;

	if (judge->stats.cache_entries < judge->n_buckets ||
	    buckets_size(n) > judge->limits.cache_bytes_max / 4)
		return;
	grown = calloc(n, sizeof(*grown));
	if (!grown)
		return;
	free(judge->buckets);
	judge->stats.cache_bytes += buckets_size(n) - buckets_size(judge->n_buckets);
	judge->buckets = grown;
	judge->n_buckets = n;
	LIST_EACH (&judge->entries, node) {
		struct entry *entry = LIST_ENTRY(node, struct entry, clock);
		size_t bucket = bucket_of(judge, entry->hash);

		entry->next = grown[bucket];
		grown[bucket] = entry;
	}
}

/* Keeps a copy if it fits; what would take a large part of the cache is not worth it. */
static void cache_add(struct judge *judge, const struct verdict *verdict,
		      const struct shape *shape)
{
	size_t size = entry_size(verdict, shape);
	struct entry *entry;
	size_t bucket;

	if (size > judge->limits.cache_bytes_max / 8)
		return;
	make_room(judge, size);
	entry = entry_create(verdict, shape);
	if (!entry)
		return;
	bucket = bucket_of(judge, entry->hash);
	entry->next = judge->buckets[bucket];
	judge->buckets[bucket] = entry;
	list_push_back(&judge->entries, &entry->clock);
	judge->stats.cache_entries++;
	judge->stats.cache_bytes += size;
	grow_buckets(judge);
}

/* --- the door --- */

static size_t at_least(size_t value, size_t minimum)
{
	return value < minimum ? minimum : value;
}

static void take_limits(struct judge *judge, const struct judge_limits *limits)
{
	judge->limits = *limits;
	judge->shape_limits.bytes_max = at_least(limits->parse_bytes_max, PARSE_BYTES_MIN);
	if (judge->shape_limits.bytes_max > SHAPE_BYTES_CAP)
		judge->shape_limits.bytes_max = SHAPE_BYTES_CAP;
	judge->shape_limits.tokens_max = at_least(limits->tokens_max, TOKENS_MIN);
	judge->shape_limits.nesting_max = at_least(limits->nesting_max, NESTING_MIN);
	if (judge->shape_limits.nesting_max > SHAPE_NESTING_CAP)
		judge->shape_limits.nesting_max = SHAPE_NESTING_CAP;
}

struct judge *judge_create(const struct judge_limits *limits)
{
	struct judge *judge = calloc(1, sizeof(*judge));

	if (!judge)
		return NULL;
	take_limits(judge, limits);
	list_init(&judge->entries);
	random_secret(&judge->bucket_salt, sizeof(judge->bucket_salt));
	judge->bucket_salt |= 1;
	judge->n_buckets = BUCKETS_MIN;
	judge->stats.cache_bytes = buckets_size(BUCKETS_MIN);
	judge->buckets = calloc(BUCKETS_MIN, sizeof(*judge->buckets));
	judge->buffer = malloc(judge->shape_limits.bytes_max + SHAPE_BUFFER_EXTRA);
	/* A verdict is a small multiple of its text. */
	judge->arena = arena_create(((size_t)1 << 20) + judge->shape_limits.bytes_max * 32);
	if (!judge->buckets || !judge->buffer || !judge->arena)
		judge_destroy(&judge);
	return judge;
}

void judge_destroy(struct judge **judge_pointer)
{
	struct judge *judge = *judge_pointer;

	*judge_pointer = NULL;
	if (!judge)
		return;
	if (judge->buckets)
		cache_clear(judge);
	free(judge->buckets);
	free(judge->buffer);
	arena_destroy(&judge->arena);
	free(judge);
}

/*
 * libpg_query frees its memory when the thread ends. pg_query_exit() must not be called besides:
 * in this version it leaves the thread's destructor a pointer to what it has freed.
 */

static void on_comment(void *context, const char *inside, size_t length)
{
	struct judgement *out = context;
	char *why = out->bad_hints ? NULL : out->bad_hint_why;
	size_t why_size = why ? sizeof(out->bad_hint_why) : 0;

	out->bad_hints += hint_read_comment(&out->hints, inside, length, why, why_size);
}

static const struct verdict *judge_fresh(struct judge *judge, const struct shape *shape)
{
	const struct verdict *verdict = classify_shape(judge->arena, shape);

	if (!verdict)
		return &no_memory_verdict;
	if (verdict->reason == VERDICT_REASON_TOO_LARGE)
		judge->stats.too_large++;
	else if (verdict->reason == VERDICT_REASON_PARSE_ERROR)
		judge->stats.parse_errors++;
	/* The shape of what is too large is only its beginning. */
	if (!shape->is_too_large)
		cache_add(judge, verdict, shape);
	return verdict;
}

/* Field by field: the two texts are most of it and need no zeroes. */
static void clear_hints(struct judgement *out)
{
	struct hints *hints = &out->hints;

	hints->set = 0;
	hints->read_hint = READ_HINT_NONE;
	hints->max_staleness = 0;
	hints->deadline = 0;
	hints->consistency = CONSISTENCY_NONE;
	hints->after_lsn = 0;
	hints->mirror_off = false;
	hints->route[0] = '\0';
	hints->traceparent[0] = '\0';
	out->bad_hints = 0;
	out->bad_hint_why[0] = '\0';
}

void judge_text(struct judge *judge, const char *text, size_t length, struct judgement *out)
{
	struct shape shape;
	struct entry *entry;

	clear_hints(out);
	if (judge->must_forget) {
		cache_clear(judge);
		judge->must_forget = false;
	}
	shape_make(&judge->shape_limits, text, length, judge->buffer, on_comment, out, &shape);
	memcpy(out->shape, shape.hash, sizeof(out->shape));
	entry = shape.is_too_large ? NULL : cache_find(judge, &shape);
	out->was_cached = entry != NULL;
	if (entry) {
		entry->was_used = true;
		judge->stats.hits++;
		out->verdict = &entry->verdict;
		return;
	}
	judge->stats.misses++;
	arena_reset(judge->arena);
	out->verdict = judge_fresh(judge, &shape);
}

void judge_stats_get(const struct judge *judge, struct judge_stats *out)
{
	*out = judge->stats;
}

void judge_forget(struct judge *judge)
{
	/* The verdict that was given last is still in somebody's hands. */
	judge->must_forget = true;
}
