/*
 * Keys of cancel requests: their bounds, reading one that a server gave, comparing one that
 * somebody shows. Where keys are kept and what they open is the business of pool and session.
 * Pure; any thread.
 */
#include "wire/cancel_key.h"

#include <string.h>

#include "wire/cursor.h"

bool cancel_key_set(struct cancel_key *key, uint32_t pid, const void *secret, size_t length)
{
	key->pid = pid;
	key->length = 0;
	if (length < CANCEL_SECRET_MIN || length > CANCEL_SECRET_MAX)
		return false;
	memcpy(key->secret, secret, length);
	key->length = (uint16_t)length;
	return true;
}

bool cancel_key_read(struct cancel_key *key, unsigned minor, const uint8_t *body, size_t length)
{
	struct cursor c;
	uint32_t pid;
	size_t left;

	cursor_init(&c, body, length);
	pid = cursor_u32(&c);
	left = cursor_left(&c);
	if (c.failed || (minor < CANCEL_LONG_MINOR && left != CANCEL_SECRET_SHORT)) {
		key->length = 0;
		return false;
	}
	return cancel_key_set(key, pid, cursor_bytes(&c, left), left);
}

bool cancel_secret_is(const struct cancel_key *key, const uint8_t *secret, size_t length)
{
	volatile uint8_t difference = 0;

	/* Lengths are no secret: the protocol version tells them. */
	if (length == 0 || key->length != length)
		return false;
	for (size_t i = 0; i < length; i++)
		difference |= key->secret[i] ^ secret[i];
	return difference == 0;
}
