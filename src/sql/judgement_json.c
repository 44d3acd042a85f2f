/*
 * A judgement as JSON, for `pointsman route` and tools. Writes it by hand: names and values come
 * from clients in any encoding, and JSON must be UTF-8 all the same. Pure; any thread.
 */
#include "sql/judgement_json.h"

#include <inttypes.h>

#include "base/panic.h"

const char *effect_kind_name(enum effect_kind kind)
{
	switch (kind) {
	case EFFECT_BEGIN: return "begin";
	case EFFECT_COMMIT: return "commit";
	case EFFECT_ROLLBACK: return "rollback";
	case EFFECT_SAVEPOINT: return "savepoint";
	case EFFECT_RELEASE: return "release";
	case EFFECT_ROLLBACK_TO: return "rollback_to";
	case EFFECT_PREPARE_TRANSACTION: return "prepare_transaction";
	case EFFECT_SET_TRANSACTION: return "set_transaction";
	case EFFECT_SET: return "set";
	case EFFECT_RESET: return "reset";
	case EFFECT_RESET_ALL: return "reset_all";
	case EFFECT_SET_HINT: return "set_hint";
	case EFFECT_SHOW_HINT: return "show_hint";
	case EFFECT_DISCARD_ALL: return "discard_all";
	case EFFECT_DISCARD_PLANS: return "discard_plans";
	case EFFECT_DISCARD_TEMP: return "discard_temp";
	case EFFECT_PREPARE: return "prepare";
	case EFFECT_EXECUTE: return "execute";
	case EFFECT_DEALLOCATE: return "deallocate";
	case EFFECT_LISTEN: return "listen";
	case EFFECT_UNLISTEN: return "unlisten";
	case EFFECT_PIN: return "pin";
	case EFFECT_UNPIN: return "unpin";
	}
	UNREACHABLE();
}

/* Bytes of the UTF-8 sequence at p that may stand in JSON as it is; 0: none. */
static size_t plain_length(const unsigned char *p)
{
	size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

	if (p[0] >= 0x80 && (p[0] < 0xc2 || p[0] > 0xf4))
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0; /* also at the terminating NUL */
	}
	/* Overlong forms, surrogates, above U+10FFFF. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

static void append_string(struct bytes *out, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	bytes_append_text(out, "\"");
	while (*p) {
		size_t n = plain_length(p);

		if (n == 0) {
			bytes_append_text(out, "\xef\xbf\xbd");
			p++;
			continue;
		}
		if (*p == '"' || *p == '\\')
			bytes_printf(out, "\\%c", *p);
		else if (*p < 0x20 || *p == 0x7f)
			bytes_printf(out, "\\u%04x", *p);
		else
			bytes_append(out, p, n);
		p += n;
	}
	bytes_append_text(out, "\"");
}

/* ,"name":"text" unless there is no text. */
static void append_member(struct bytes *out, const char *name, const char *text)
{
	if (!text)
		return;
	bytes_printf(out, ",\"%s\":", name);
	append_string(out, text);
}

static void append_flags(struct bytes *out, unsigned flags)
{
	static const struct {
		unsigned flag;
		const char *name;
	} names[] = {
		{ EFFECT_LOCAL, "local" },
		{ EFFECT_CHAIN, "chain" },
		{ EFFECT_READ_ONLY, "read_only" },
		{ EFFECT_READ_WRITE, "read_write" },
		{ EFFECT_SERIALIZABLE, "serializable" },
		{ EFFECT_REPEATABLE_READ, "repeatable_read" },
	};
	const char *comma = "";

	if (!flags)
		return;
	bytes_append_text(out, ",\"flags\":[");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (flags & names[i].flag) {
			bytes_printf(out, "%s\"%s\"", comma, names[i].name);
			comma = ",";
		}
	}
	bytes_append_text(out, "]");
}

static void append_effects(struct bytes *out, const struct verdict *verdict)
{
	bytes_append_text(out, ",\"effects\":[");
	for (size_t i = 0; i < verdict->n_effects; i++) {
		const struct effect *effect = &verdict->effects[i];

		bytes_printf(out, "%s{\"effect\":\"%s\"", i ? "," : "",
			     effect_kind_name(effect->kind));
		if (effect->kind == EFFECT_PIN || effect->kind == EFFECT_UNPIN)
			append_member(out, "pin", pin_reason_name(effect->pin));
		append_member(out, "name", effect->name);
		append_member(out, "value", effect->value);
		append_flags(out, effect->flags);
		bytes_append_text(out, "}");
	}
	bytes_append_text(out, "]");
}

static void append_duration(struct bytes *out, usec duration)
{
	if (duration % USEC_PER_MS)
		bytes_printf(out, "\"%" PRId64 "us\"", duration);
	else
		bytes_printf(out, "\"%" PRId64 "ms\"", duration / USEC_PER_MS);
}

static void append_hint(struct bytes *out, const struct hints *hints, enum hint_key key)
{
	switch (key) {
	case HINT_READ_HINT: append_string(out, read_hint_name(hints->read_hint)); return;
	case HINT_MAX_STALENESS: append_duration(out, hints->max_staleness); return;
	case HINT_DEADLINE: append_duration(out, hints->deadline); return;
	case HINT_ROUTE: append_string(out, hints->route); return;
	case HINT_CONSISTENCY: append_string(out, consistency_name(hints->consistency)); return;
	case HINT_AFTER_LSN:
		bytes_printf(out, "\"%llX/%llX\"", hints->after_lsn >> 32,
			     hints->after_lsn & 0xffffffffULL);
		return;
	case HINT_TRACEPARENT: append_string(out, hints->traceparent); return;
	case HINT_MIRROR: append_string(out, hints->mirror_off ? "off" : "on"); return;
	case HINT_KEY_COUNT: break;
	}
	UNREACHABLE();
}

static void append_hints(struct bytes *out, const struct judgement *judgement)
{
	const char *comma = "";

	bytes_append_text(out, ",\"hints\":{");
	for (int key = 0; key < HINT_KEY_COUNT; key++) {
		if (!hint_is_set(&judgement->hints, (enum hint_key)key))
			continue;
		bytes_printf(out, "%s\"%s\":", comma, hint_key_name((enum hint_key)key));
		append_hint(out, &judgement->hints, (enum hint_key)key);
		comma = ",";
	}
	bytes_append_text(out, "}");
	if (judgement->bad_hints) {
		bytes_printf(out, ",\"bad_hints\":%u", judgement->bad_hints);
		append_member(out, "bad_hint", judgement->bad_hint_why);
	}
}

bool judgement_to_json(const struct judgement *judgement, struct bytes *out)
{
	const struct verdict *verdict = judgement->verdict;

	bytes_printf(out, "\"verdict\":\"%s\",\"reason\":\"%s\",\"culprit\":",
		     verdict_kind_name(verdict->kind), verdict_reason_name(verdict->reason));
	if (verdict->culprit)
		append_string(out, verdict->culprit);
	else
		bytes_append_text(out, "null");
	bytes_printf(out, ",\"statements\":%u", verdict->n_statements);
	append_effects(out, verdict);
	append_hints(out, judgement);
	return !out->failed;
}
