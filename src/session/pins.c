/*
 * Pins and their ends; see session/pins.h. What is asked goes to the server that is held, between
 * two requests, and its answer to nobody else (relay_replies.c hands it over). Worker thread.
 */
#include "session/pins.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "session/client.h"
#include "wire/build.h"
#include "wire/cursor.h"
#include "wire/frame.h"
#include "wire/message.h"

/*
 * One row: are there temporary objects, advisory locks, held cursors, channels? Every name is
 * qualified: whoever has put other operators into search_path must not talk himself out of a pin.
 * (pg_depend has all that is in the session's own schema of temporary objects, by an index.)
 */
static const char question[] =
	"SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_depend WHERE refclassid "
	"OPERATOR(pg_catalog.=) "
	"'pg_catalog.pg_namespace'::pg_catalog.regclass AND refobjid OPERATOR(pg_catalog.=) "
	"pg_catalog.pg_my_temp_schema()), "
	"EXISTS (SELECT 1 FROM pg_catalog.pg_locks WHERE locktype OPERATOR(pg_catalog.=) "
	"'advisory'::pg_catalog.text AND pid OPERATOR(pg_catalog.=) "
	"pg_catalog.pg_backend_pid()), "
	"EXISTS (SELECT 1 FROM pg_catalog.pg_cursors WHERE is_holdable), "
	"EXISTS (SELECT 1 FROM pg_catalog.pg_listening_channels())";

/* What its columns are about. */
static const enum pin_reason asked[] = { PIN_TEMP_TABLE, PIN_ADVISORY_LOCK, PIN_HELD_CURSOR,
					 PIN_LISTEN };

#define ASKED_COUNT (sizeof(asked) / sizeof(asked[0]))
#define ASKED                                                                              \
	(PIN_BIT(PIN_TEMP_TABLE) | PIN_BIT(PIN_ADVISORY_LOCK) | PIN_BIT(PIN_HELD_CURSOR) | \
	 PIN_BIT(PIN_LISTEN))

/* Begun in a transaction that is rolled back, they are over; nobody need be asked. */
#define TRANSACTIONAL PIN_BIT(PIN_SET_CONFIG_DYNAMIC)

/* DISCARD ALL leaves them in the server. */
#define LASTING (PIN_BIT(PIN_SETSEED) | PIN_BIT(PIN_LOAD) | PIN_BIT(PIN_REPLICATION))

static void log_change(const struct client *client, const char *what, enum pin_reason reason)
{
	struct log_ctx ctx;

	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	ctx = client_log_ctx(client);
	log_debug(&ctx, "%s: %s", what, pin_reason_name(reason));
}

static void begin(struct client *client, enum pin_reason reason)
{
	struct pins *pins = &client->pins;
	usec age = clock_now() - client->connected_at;

	if (!pins->since_ms)
		pins->since_ms = calloc(PIN_COUNT, sizeof(*pins->since_ms));
	if (pins->since_ms)
		pins->since_ms[reason] = (uint32_t)(age / USEC_PER_MS);
	client->env->pins[reason].begun++;
	log_change(client, "pinned", reason);
}

static void end(struct client *client, unsigned reasons)
{
	struct pins *pins = &client->pins;

	reasons &= pins->held;
	pins->held &= (uint16_t)~reasons;
	pins->fresh &= pins->held;
	pins->suspects &= pins->held;
	for (int reason = 0; reason < PIN_COUNT; reason++) {
		if (!(reasons & PIN_BIT(reason)))
			continue;
		client->env->pins[reason].ended++;
		log_change(client, "not pinned any more", (enum pin_reason)reason);
	}
	if (!pins->held)
		pins_free(pins);
}

void pins_free(struct pins *pins)
{
	free(pins->since_ms);
	pins->since_ms = NULL;
}

usec pins_began_at(const struct client *client, enum pin_reason reason)
{
	const uint32_t *since_ms = client->pins.since_ms;
	usec began = client->connected_at;

	if (since_ms)
		began += (usec)since_ms[reason] * USEC_PER_MS;
	return began;
}

void pins_begin(struct client *client, unsigned held, unsigned suspects, bool may_roll_back)
{
	struct pins *pins = &client->pins;
	unsigned added = held & ~(unsigned)pins->held;

	pins->held |= (uint16_t)held;
	pins->fresh |= (uint16_t)added;
	pins->fixed |= (uint16_t)(may_roll_back ? 0 : held);
	pins->suspects |= (uint16_t)(suspects & pins->held & ASKED);
	for (int reason = 0; added && reason < PIN_COUNT; reason++) {
		if (added & PIN_BIT(reason))
			begin(client, (enum pin_reason)reason);
	}
}

void pins_add(struct client *client, enum pin_reason reason)
{
	pins_begin(client, PIN_BIT(reason), 0, false);
}

void pins_note_rollback(struct client *client, bool is_whole)
{
	struct pins *pins = &client->pins;

	pins->suspects |= pins->fresh & ASKED;
	if (is_whole)
		end(client, pins->fresh & ~(unsigned)pins->fixed & TRANSACTIONAL);
}

void pins_note_commit(struct client *client)
{
	client->pins.fresh = client->pins.fixed = 0;
}

void pins_note_discard(struct client *client)
{
	/* What the same request has behind it may be done already. */
	unsigned behind = client->request ? client->request->pins : 0;

	end(client, ~(LASTING | behind));
	client->pins.suspects |= client->pins.held & ASKED;
}

bool pins_ask(struct client *client)
{
	struct pins *pins = &client->pins;
	struct server *server = client->server;
	struct pending_entry *entry;

	if (!pins->suspects || pins_are_asked(pins) || !client->conn)
		return false;
	/* All suspects proved over and still pinned, nothing would be won; and a Query ends the
	 * unnamed statement, which only this server has. */
	if ((pins->held & ~(unsigned)pins->suspects) || client->is_unnamed_foreign)
		return false;
	entry = pending_add(&client->pending, PENDING_QUERY, PENDING_SWALLOW);
	if (!entry)
		return false;
	entry->is_question = true;
	build_query(conn_out(server->conn), question, sizeof(question) - 1);
	conn_flush(server->conn);
	server->unnamed_statement = 0;
	pins->asked_at = clock_now();
	pins->is_answered = false;
	pins->gone = 0;
	return true;
}

/* A row of booleans; what is no 'f' counts as 't'. */
static void take_row(struct pins *pins, const struct frame *frame)
{
	struct cursor c;

	cursor_init(&c, frame->body, frame->body_length);
	if (cursor_u16(&c) != ASKED_COUNT)
		return;
	for (size_t i = 0; i < ASKED_COUNT; i++) {
		uint32_t length = cursor_u32(&c);
		const uint8_t *value = length == 1 ? cursor_bytes(&c, 1) : NULL;

		if (value && !c.failed && *value == 'f')
			pins->gone |= (uint16_t)PIN_BIT(asked[i]);
	}
	pins->is_answered = cursor_done(&c);
}

void pins_take_answer(struct client *client, const struct frame *frame)
{
	if (frame->type == MSG_B_DATA_ROW)
		take_row(&client->pins, frame);
	else if (frame->type == MSG_B_ERROR)
		client->pins.is_answered = false;
}

void pins_end_answer(struct client *client)
{
	struct pins *pins = &client->pins;
	unsigned gone = pins->is_answered ? pins->gone & pins->suspects : 0;

	pins->asked_at = 0;
	pins->suspects = 0;
	end(client, gone);
}

bool pins_outlast_reset(const struct pins *pins)
{
	return (pins->held & LASTING) != 0;
}

enum pin_reason pins_first(const struct pins *pins)
{
	for (int reason = 0; reason < PIN_COUNT; reason++) {
		if (pins->held & PIN_BIT(reason))
			return (enum pin_reason)reason;
	}
	return PIN_NONE;
}
