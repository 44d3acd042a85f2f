/*
 * Secrets and keys of users that have logged in; see auth/keyring.h. A map by owner and a list by
 * last use, under one lock. Knows nothing of pools or sessions. Any thread.
 */

#include "auth/keyring.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "base/bytes.h"
#include "base/list.h"
#include "base/strmap.h"

/* Lifetime: until the secret changes, is swept, or has to make room. */
struct entry {
	struct list_node node; /* the last used first */
	char *cluster;
	char *database;
	char *user;
	struct keyring_secret secret;
};

struct keyring {
	pthread_mutex_t lock;
	struct strmap *by_owner;
	struct list entries;
	size_t max;
};

/* "cluster\0database\0user". */
static bool owner_key(const struct keyring_owner *owner, struct bytes *out)
{
	return bytes_append(out, owner->cluster, strlen(owner->cluster) + 1) &&
	       bytes_append(out, owner->database, strlen(owner->database) + 1) &&
	       bytes_append_text(out, owner->user);
}

void keyring_secret_free(struct keyring_secret *secret)
{
	if (secret->text != NULL)
		OPENSSL_cleanse(secret->text, strlen(secret->text));
	free(secret->text);
	OPENSSL_cleanse(secret, sizeof(*secret));
}

static void free_entry(struct entry *entry)
{
	free(entry->cluster);
	free(entry->database);
	free(entry->user);
	keyring_secret_free(&entry->secret);
	free(entry);
}

static struct entry *make_entry(const struct keyring_owner *owner)
{
	struct entry *entry = calloc(1, sizeof(*entry));

	if (entry == NULL)
		return NULL;
	entry->cluster = strdup(owner->cluster);
	entry->database = strdup(owner->database);
	entry->user = strdup(owner->user);
	if (entry->cluster != NULL && entry->database != NULL && entry->user != NULL)
		return entry;
	free_entry(entry);
	return NULL;
}

static struct entry *find_locked(struct keyring *ring, const struct keyring_owner *owner)
{
	struct bytes key = { 0 };
	struct entry *entry = NULL;

	if (owner_key(owner, &key))
		entry = strmap_get(ring->by_owner, bytes_begin(&key), bytes_length(&key));
	bytes_free(&key);
	return entry;
}

static void remove_locked(struct keyring *ring, struct entry *entry)
{
	const struct keyring_owner owner = { entry->cluster, entry->database, entry->user };
	struct bytes key = { 0 };

	/* Without memory for the key it stays, emptied: of no use, and no harm. */
	if (!owner_key(&owner, &key)) {
		keyring_secret_free(&entry->secret);
		bytes_free(&key);
		return;
	}
	strmap_remove(ring->by_owner, bytes_begin(&key), bytes_length(&key));
	bytes_free(&key);
	list_remove(&ring->entries, &entry->node);
	free_entry(entry);
}

static struct entry *add_locked(struct keyring *ring, const struct keyring_owner *owner)
{
	struct entry *entry = make_entry(owner);
	struct bytes key = { 0 };

	if (entry == NULL)
		return NULL;
	if (!owner_key(owner, &key) ||
	    !strmap_set(ring->by_owner, bytes_begin(&key), bytes_length(&key), entry)) {
		free_entry(entry);
		entry = NULL;
	} else {
		list_push_front(&ring->entries, &entry->node);
	}
	bytes_free(&key);
	if (ring->entries.count > ring->max)
		remove_locked(ring, LIST_ENTRY(ring->entries.head.prev, struct entry, node));
	return entry;
}

static bool is_of_secret(const struct entry *entry, const char *secret)
{
	return entry->secret.text != NULL && strcmp(entry->secret.text, secret) == 0;
}

static void touch_locked(struct keyring *ring, struct entry *entry)
{
	list_remove(&ring->entries, &entry->node);
	list_push_front(&ring->entries, &entry->node);
}

bool keyring_put(struct keyring *ring, const struct keyring_owner *owner, const char *secret,
		 const uint8_t client_key[SCRAM_KEY_BYTES])
{
	char *text = strdup(secret);
	struct entry *entry;

	if (text == NULL)
		return false;
	pthread_mutex_lock(&ring->lock);
	entry = find_locked(ring, owner);
	if (entry == NULL)
		entry = add_locked(ring, owner);
	if (entry != NULL) {
		touch_locked(ring, entry);
		if (!is_of_secret(entry, secret)) {
			keyring_secret_free(&entry->secret);
			entry->secret.text = text;
			text = NULL;
		}
		if (client_key != NULL) {
			memcpy(entry->secret.client_key, client_key, SCRAM_KEY_BYTES);
			entry->secret.has_key = true;
		}
	}
	pthread_mutex_unlock(&ring->lock);
	keyring_secret_free(&(struct keyring_secret){ .text = text });
	return entry != NULL;
}

bool keyring_get(struct keyring *ring, const struct keyring_owner *owner, const char *secret,
		 struct keyring_secret *out)
{
	struct entry *entry;

	memset(out, 0, sizeof(*out));
	pthread_mutex_lock(&ring->lock);
	entry = find_locked(ring, owner);
	if (entry != NULL && entry->secret.text != NULL &&
	    (secret == NULL || is_of_secret(entry, secret))) {
		touch_locked(ring, entry);
		*out = entry->secret;
		out->text = strdup(entry->secret.text);
	}
	pthread_mutex_unlock(&ring->lock);
	if (out->text == NULL)
		OPENSSL_cleanse(out, sizeof(*out));
	return out->text != NULL;
}

void keyring_sweep(struct keyring *ring,
		   bool (*keep)(void *context, const struct keyring_owner *owner,
				const char *secret),
		   void *context)
{
	pthread_mutex_lock(&ring->lock);
	LIST_EACH_SAFE (&ring->entries, node) {
		struct entry *entry = LIST_ENTRY(node, struct entry, node);
		const struct keyring_owner owner = { entry->cluster, entry->database,
						     entry->user };

		if (entry->secret.text == NULL || !keep(context, &owner, entry->secret.text))
			remove_locked(ring, entry);
	}
	pthread_mutex_unlock(&ring->lock);
}

size_t keyring_count(struct keyring *ring)
{
	size_t count;

	pthread_mutex_lock(&ring->lock);
	count = ring->entries.count;
	pthread_mutex_unlock(&ring->lock);
	return count;
}

struct keyring *keyring_create(size_t max)
{
	struct keyring *ring = calloc(1, sizeof(*ring));

	if (ring == NULL)
		return NULL;
	ring->max = max;
	list_init(&ring->entries);
	pthread_mutex_init(&ring->lock, NULL);
	ring->by_owner = strmap_create();
	if (ring->by_owner == NULL)
		keyring_destroy(&ring);
	return ring;
}

void keyring_destroy(struct keyring **ring_pointer)
{
	struct keyring *ring = *ring_pointer;
	struct list_node *node;

	*ring_pointer = NULL;
	if (ring == NULL)
		return;
	while ((node = list_pop_front(&ring->entries)) != NULL)
		free_entry(LIST_ENTRY(node, struct entry, node));
	strmap_destroy(&ring->by_owner);
	pthread_mutex_destroy(&ring->lock);
	free(ring);
}
