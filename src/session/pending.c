/*
 * The queue of replies due; see session/pending.h. A ring that doubles. Bounded by what a request
 * may hold, since each entry stands for a message of one request.
 */
#include "session/pending.h"

#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "session/statement.h"

#define CAPACITY_FIRST 8

static struct pending_entry *slot(const struct pending *pending, uint32_t index)
{
	return &pending->entries[(pending->first + index) & (pending->capacity - 1)];
}

static bool grow(struct pending *pending)
{
	uint32_t capacity = pending->capacity ? pending->capacity * 2 : CAPACITY_FIRST;
	struct pending_entry *entries = calloc(capacity, sizeof(*entries));

	if (!entries)
		return false;
	for (uint32_t i = 0; i < pending->count; i++)
		entries[i] = *slot(pending, i);
	free(pending->entries);
	pending->entries = entries;
	pending->capacity = capacity;
	pending->first = 0;
	return true;
}

struct pending_entry *pending_add(struct pending *pending, enum pending_kind kind,
				  enum pending_action action)
{
	struct pending_entry *entry;

	if (pending->count == pending->capacity && !grow(pending))
		return NULL;
	entry = slot(pending, pending->count++);
	memset(entry, 0, sizeof(*entry));
	entry->kind = (uint8_t)kind;
	entry->action = (uint8_t)action;
	return entry;
}

struct pending_entry *pending_at(const struct pending *pending, uint32_t index)
{
	return index < pending->count ? slot(pending, index) : NULL;
}

struct pending_entry *pending_first(const struct pending *pending)
{
	return pending_at(pending, 0);
}

static void release(struct pending_entry *entry)
{
	statement_unref(&entry->statement);
	statement_unref(&entry->facts_owner);
	free(entry->closed_name);
	entry->closed_name = NULL;
	if (entry->text) {
		bytes_free(entry->text);
		free(entry->text);
		entry->text = NULL;
	}
}

void pending_pop(struct pending *pending)
{
	ASSERT(pending->count > 0);
	release(slot(pending, 0));
	pending->first = (pending->first + 1) & (pending->capacity - 1);
	pending->count--;
}

void pending_remove(struct pending *pending, uint32_t index)
{
	ASSERT(index < pending->count);
	release(slot(pending, index));
	for (uint32_t i = index; i + 1 < pending->count; i++)
		*slot(pending, i) = *slot(pending, i + 1);
	pending->count--;
}

void pending_clear(struct pending *pending)
{
	while (pending->count > 0)
		pending_pop(pending);
	free(pending->entries);
	memset(pending, 0, sizeof(*pending));
}
