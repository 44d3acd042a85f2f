/*
 * A session's settings and hints under the rules of transactions; see session/txn.h. Since sets
 * of settings are immutable, remembering a state is keeping a reference.
 */
#include "session/txn.h"

#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "wire/message.h"

struct txn_savepoint {
	struct txn_savepoint *outer;
	struct settings *settings;
	struct settings *channels;
	struct hints *hints;
	struct hints *hints_local;
	char name[];
};

/* --- hints as values --- */

static struct hints *copy_hints(const struct hints *hints)
{
	struct hints *copy = hints ? malloc(sizeof(*copy)) : NULL;

	if (copy)
		*copy = *hints;
	return copy;
}

static void replace_hints(struct hints **to, const struct hints *from)
{
	free(*to);
	*to = copy_hints(from);
}

static void drop_hints(struct hints **hints)
{
	free(*hints);
	*hints = NULL;
}

static void replace_settings(struct settings **to, struct settings *from)
{
	struct settings *old = *to;

	*to = settings_ref(from);
	settings_unref(&old);
}

/* --- savepoints --- */

static void pop_savepoint(struct txn *txn)
{
	struct txn_savepoint *top = txn->savepoints;

	txn->savepoints = top->outer;
	settings_unref(&top->settings);
	settings_unref(&top->channels);
	free(top->hints);
	free(top->hints_local);
	free(top);
}

static void drop_savepoints(struct txn *txn)
{
	while (txn->savepoints)
		pop_savepoint(txn);
}

static bool push_savepoint(struct txn *txn, const char *name)
{
	struct txn_savepoint *top = calloc(1, sizeof(*top) + strlen(name) + 1);

	if (!top)
		return false;
	memcpy(top->name, name, strlen(name) + 1);
	top->settings = settings_ref(txn->settings);
	top->channels = settings_ref(txn->channels);
	top->hints = copy_hints(txn->hints);
	top->hints_local = copy_hints(txn->hints_local);
	top->outer = txn->savepoints;
	txn->savepoints = top;
	return true;
}

/* The innermost savepoint of that name, all inside it gone. NULL: there is none. */
static struct txn_savepoint *unwind_to(struct txn *txn, const char *name)
{
	struct txn_savepoint *found = txn->savepoints;

	while (found && strcmp(found->name, name) != 0)
		found = found->outer;
	while (found && txn->savepoints != found)
		pop_savepoint(txn);
	return found;
}

static void release_savepoint(struct txn *txn, const char *name)
{
	if (unwind_to(txn, name))
		pop_savepoint(txn);
}

static void roll_back_to(struct txn *txn, const char *name)
{
	struct txn_savepoint *savepoint = unwind_to(txn, name);

	if (!savepoint)
		return;
	replace_settings(&txn->settings, savepoint->settings);
	replace_settings(&txn->channels, savepoint->channels);
	replace_hints(&txn->hints, savepoint->hints);
	replace_hints(&txn->hints_local, savepoint->hints_local);
	txn->has_failed = false;
}

/* --- ends --- */

static void drop_begin(struct txn *txn)
{
	free(txn->begin);
	txn->begin = NULL;
}

static void end_transaction(struct txn *txn)
{
	drop_savepoints(txn);
	drop_hints(&txn->hints_local);
	txn->has_failed = false;
}

static void commit(struct txn *txn)
{
	replace_settings(&txn->committed, txn->settings);
	replace_settings(&txn->channels_committed, txn->channels);
	replace_hints(&txn->hints_committed, txn->hints);
	end_transaction(txn);
}

static void roll_back(struct txn *txn)
{
	replace_settings(&txn->settings, txn->committed);
	replace_settings(&txn->channels, txn->channels_committed);
	replace_hints(&txn->hints, txn->hints_committed);
	end_transaction(txn);
}

/* COMMIT of a failed transaction answers "ROLLBACK". */
static void end_by_tag(struct txn *txn, const char *tag)
{
	if (strncmp(tag, "ROLLBACK", 8) == 0)
		roll_back(txn);
	else
		commit(txn);
}

/* --- settings --- */

static bool set(struct txn *txn, struct settings *next, bool failed)
{
	if (failed)
		return false;
	settings_unref(&txn->settings);
	txn->settings = next;
	return true;
}

/*
 * SET and RESET SESSION AUTHORIZATION end a SET ROLE (PostgreSQL's SetSessionUserId()): a server
 * that comes later must not enter that role again, which may not even exist any more.
 */
static bool end_role(struct txn *txn, const char *name)
{
	bool failed = false;
	struct settings *next;

	if (strcmp(name, "session_authorization") != 0)
		return true;
	next = settings_without(txn->settings, "role", &failed);
	return set(txn, next, failed);
}

static bool apply_set(struct txn *txn, const struct effect *effect)
{
	bool failed = false;
	struct settings *next;

	if (effect->flags & EFFECT_LOCAL)
		return true; /* ends with the transaction, on the server that has it */
	next = settings_with(txn->settings, effect->name, effect->value, &failed);
	return set(txn, next, failed) && end_role(txn, effect->name);
}

static bool apply_reset(struct txn *txn, const char *name)
{
	bool failed = false;
	const char *startup = settings_get(txn->startup, name);
	struct settings *next = startup ? settings_with(txn->settings, name, startup, &failed)
					: settings_without(txn->settings, name, &failed);

	return set(txn, next, failed) && end_role(txn, name);
}

/* RESET ALL leaves role and session_authorization as they are; DISCARD ALL does not. */
static bool apply_reset_all(struct txn *txn, bool with_identity)
{
	static const char *const identities[] = { "role", "session_authorization" };
	struct settings *next = settings_ref(txn->startup);
	bool failed = false;

	for (int i = 0; i < 2 && !with_identity && !failed; i++) {
		const char *statement = settings_get(txn->settings, identities[i]);
		struct settings *before = next;

		if (!statement)
			continue;
		next = settings_with(before, identities[i], statement, &failed);
		settings_unref(&before);
	}
	return set(txn, next, failed);
}

bool txn_apply(struct txn *txn, const struct effect *effect, const char *tag)
{
	switch (effect->kind) {
	case EFFECT_COMMIT:
	case EFFECT_PREPARE_TRANSACTION: end_by_tag(txn, tag); return true;
	case EFFECT_ROLLBACK: roll_back(txn); return true;
	case EFFECT_SAVEPOINT: return push_savepoint(txn, effect->name);
	case EFFECT_RELEASE: release_savepoint(txn, effect->name); return true;
	case EFFECT_ROLLBACK_TO: roll_back_to(txn, effect->name); return true;
	case EFFECT_SET: return apply_set(txn, effect);
	case EFFECT_RESET: return apply_reset(txn, effect->name);
	case EFFECT_RESET_ALL: return apply_reset_all(txn, false);
	case EFFECT_DISCARD_ALL:
		settings_unref(&txn->channels);
		return apply_reset_all(txn, true);
	case EFFECT_LISTEN:   /* txn_listen() has done it, where it is not the server's */
	case EFFECT_UNLISTEN: /* the same */
	case EFFECT_BEGIN:
	case EFFECT_SET_TRANSACTION:
	case EFFECT_SET_HINT:
	case EFFECT_SHOW_HINT:
	case EFFECT_DISCARD_PLANS:
	case EFFECT_DISCARD_TEMP:
	case EFFECT_PREPARE:
	case EFFECT_EXECUTE:
	case EFFECT_DEALLOCATE:
	case EFFECT_PIN:
	case EFFECT_UNPIN: return true;
	}
	UNREACHABLE();
}

/* --- life --- */

void txn_init(struct txn *txn, struct settings *startup)
{
	memset(txn, 0, sizeof(*txn));
	txn->status = TXN_IDLE;
	txn->startup = settings_ref(startup);
	txn->settings = settings_ref(startup);
	txn->committed = settings_ref(startup);
}

void txn_share_startup(struct txn *txn, struct settings *equal)
{
	replace_settings(&txn->startup, equal);
	replace_settings(&txn->settings, equal);
	replace_settings(&txn->committed, equal);
}

void txn_destroy(struct txn *txn)
{
	drop_savepoints(txn);
	settings_unref(&txn->startup);
	settings_unref(&txn->settings);
	settings_unref(&txn->committed);
	settings_unref(&txn->channels);
	settings_unref(&txn->channels_committed);
	drop_hints(&txn->hints_startup);
	drop_hints(&txn->hints);
	drop_hints(&txn->hints_committed);
	drop_hints(&txn->hints_local);
	free(txn->begin);
}

void txn_set_startup_hints(struct txn *txn, const struct hints *hints)
{
	if (!hints->set)
		return;
	replace_hints(&txn->hints_startup, hints);
	replace_hints(&txn->hints, hints);
	replace_hints(&txn->hints_committed, hints);
}

void txn_note_error(struct txn *txn)
{
	txn->has_failed = true;
}

void txn_note_ready(struct txn *txn, uint8_t status, usec now)
{
	bool was_open = txn_is_open(txn);

	txn->status = status;
	if (txn->begin && (status == TXN_IDLE || txn->begin->is_sent))
		drop_begin(txn);
	if (status != TXN_IDLE) {
		if (!was_open)
			txn->began_at = now;
		return;
	}
	txn->began_at = 0;
	if (txn->has_failed)
		roll_back(txn);
	else if (txn->settings != txn->committed || txn->channels != txn->channels_committed ||
		 txn->hints || txn->hints_committed || txn->hints_local || txn->savepoints)
		commit(txn);
}

/* --- channels --- */

static bool take_channels(struct txn *txn, struct settings *next, bool failed)
{
	if (failed)
		return false;
	settings_unref(&txn->channels);
	txn->channels = next;
	return true;
}

bool txn_listen(struct txn *txn, const char *channel)
{
	bool failed = false;
	struct settings *next = settings_with(txn->channels, channel, "", &failed);

	return take_channels(txn, next, failed);
}

bool txn_unlisten(struct txn *txn, const char *channel)
{
	bool failed = false;
	struct settings *next =
		channel ? settings_without(txn->channels, channel, &failed) : NULL;

	return take_channels(txn, next, failed);
}

bool txn_note_date_style(struct txn *txn, const char *reported)
{
	struct bytes statement = { 0 };
	bool failed = false;
	struct settings *next;
	bool ok;

	if (!reported || !settings_get(txn->settings, "datestyle"))
		return true;
	ok = settings_statement("datestyle", reported, &statement) &&
	     bytes_append(&statement, "", 1);
	if (ok) {
		next = settings_with(txn->settings, "datestyle",
				     (const char *)bytes_begin(&statement), &failed);
		ok = set(txn, next, failed);
	}
	bytes_free(&statement);
	if (ok)
		replace_settings(&txn->committed, txn->settings);
	return ok;
}

/* --- a BEGIN that no server has seen --- */

bool txn_defer(struct txn *txn, const struct effect *begin, const struct hints *hints, usec now)
{
	size_t size = strlen(begin->value) + 1;
	struct txn_begin *deferred = calloc(1, sizeof(*deferred) + size);

	ASSERT(!txn_is_open(txn) && !txn->begin);
	if (!deferred)
		return false;
	deferred->flags = begin->flags;
	if (hints)
		deferred->hints = *hints;
	memcpy(deferred->text, begin->value, size);
	txn->begin = deferred;
	txn->has_failed = false;
	txn_note_ready(txn, TXN_OPEN, now);
	return true;
}

const char *txn_end_deferred(struct txn *txn, const struct effect *end, usec now)
{
	bool is_rollback = end->kind == EFFECT_ROLLBACK || txn->status == TXN_FAILED;
	const char *tag = is_rollback ? "ROLLBACK" : "COMMIT";

	txn_apply(txn, end, tag);
	if (!(end->flags & EFFECT_CHAIN)) {
		txn_note_ready(txn, TXN_IDLE, now);
		return tag;
	}
	/* The next one is owed with the same modes. */
	txn->begin->has_failed = false;
	txn->begin->hints.set = 0;
	txn->began_at = now;
	txn_note_ready(txn, TXN_OPEN, now);
	return tag;
}

void txn_fail_deferred(struct txn *txn)
{
	if (!txn_is_deferred(txn))
		return;
	txn->begin->has_failed = true;
	txn->status = TXN_FAILED;
	txn_note_error(txn);
}

void txn_begin_refused(struct txn *txn)
{
	txn->begin->is_sent = false;
	txn_fail_deferred(txn);
}

/* --- hints --- */

bool txn_set_hint(struct txn *txn, const char *name, const char *value, bool local, char *why,
		  size_t why_size)
{
	struct hints **where = local ? &txn->hints_local : &txn->hints;
	struct hints next = { 0 };
	struct hints *copy;

	if (*where)
		next = **where;
	if (value ? !hint_set(&next, name, value, why, why_size) : !hint_unset(&next, name)) {
		if (!value)
			strncpy(why, "there is no such setting", why_size);
		return false;
	}
	if (!value && !local && txn->hints_startup)
		hint_merge(&next, txn->hints_startup);
	copy = next.set ? copy_hints(&next) : NULL;
	if (next.set && !copy) {
		strncpy(why, "out of memory", why_size);
		return false;
	}
	free(*where);
	*where = copy;
	return true;
}

void txn_merge_hints(const struct txn *txn, struct hints *hints)
{
	if (txn_is_deferred(txn))
		hint_merge(hints, &txn->begin->hints);
	if (txn->hints_local)
		hint_merge(hints, txn->hints_local);
	if (txn->hints)
		hint_merge(hints, txn->hints);
}
