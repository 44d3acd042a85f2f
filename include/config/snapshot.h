#ifndef POINTSMAN_CONFIG_SNAPSHOT_H
#define POINTSMAN_CONFIG_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "config/config.h"
#include "config/options.h"
#include "config/value.h"

/*
 * What is around a struct config: everything that it points to lies in the arena. Whoever makes a
 * snapshot writes to it; once another thread may see it, only the counter changes.
 */
struct snapshot {
	atomic_uint references;
	struct arena *arena;
	const char *directory;  /* where relative paths begin */
	uint64_t *database_set; /* for each database: bit option_number() for what it does not
				   inherit */
	struct config config;
};

/* An empty one with one reference: no values yet, not even defaults. NULL without memory. */
struct snapshot *snapshot_create(const char *path, const char *directory);

struct snapshot *snapshot_of(const struct config *config);
struct value_context snapshot_context(struct snapshot *snapshot);

/* A deep copy with one reference. NULL without memory. */
struct snapshot *snapshot_copy(const struct snapshot *from);

/* The array and the number of elements of a list section, inside the struct of its parent. */
void *section_elements(const struct section *section, const void *base, size_t *count_out);
void section_set_elements(const struct section *section, void *base, void *elements,
			  size_t count);

/* Copies everything of a section, lists inside it included. false: no memory. */
bool section_copy(enum section_id id, void *to, const void *from, struct arena *arena);

/* The same for a list with all its elements; the bases are those of its parent. */
bool section_copy_list(enum section_id id, void *to, const void *from, struct arena *arena);

/* Gives each database the global value of what it does not set itself. */
bool snapshot_inherit(struct snapshot *snapshot);

/* Points each database to its cluster. One that is not there is for check.c to find. */
void snapshot_link(struct snapshot *snapshot);

#endif
