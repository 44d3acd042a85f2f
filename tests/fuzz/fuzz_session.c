/*
 * libFuzzer target: whole sessions. One worker of the proxy, two clients, the model of a server
 * (tests/scenario/model.c); the input says who does what next.
 *
 * Holds: no crash; servers are sent nothing but whole messages, and no statement of the proxy's
 * twice; each client gets its own rows, under its own settings, and is cancelled only when it
 * asked; whoever has kept to the protocol is still answered at the end; then nothing is left.
 * With FUZZ_TRACE in the environment everything that is said is printed.
 */

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../scenario/player.h"
#include "base/log.h"
#include "base/panic.h"

#define CLIENTS 2

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct side {
	struct peer *peer;
	unsigned number;
	bool is_wild; /* it has sent bytes of the input: no promises about it */
	bool was_cancelled;
	bool has_final;    /* the answer to the last question has come */
	struct bytes held; /* the rest of a message that is sent in two parts */
};

struct world {
	struct player *player;
	struct side sides[CLIENTS];
	bool is_server_wild; /* a server has said what the input has */
	const uint8_t *at;
	const uint8_t *end;
};

static uint8_t next(struct world *world)
{
	return world->at < world->end ? *world->at++ : 0;
}

/* --- texts that each client has for itself --- */

static void text_of(const struct side *side, unsigned which, char *out, size_t size)
{
	static const char *const texts[] = {
		"SELECT %u-0",
		"SELECT %u-1",
		"SELECT %u-2 /* pointsman: read_hint=replica */",
		"INSERT %u",
		"BEGIN",
		"COMMIT",
		"ROLLBACK",
		"SAVEPOINT x",
		"ROLLBACK TO x",
		"SET application_name = 'app-%u'",
		"SET LOCAL application_name = 'app-%u'",
		"RESET application_name",
		"RESET ALL",
		"DISCARD ALL",
		"DEALLOCATE ALL",
		"ERROR",
		"COPY t FROM STDIN",
		"COPY t TO STDOUT",
		"SLOW",
		"",
		"SHOW pointsman.last_node",
		"SET pointsman.read_hint = 'replica'",
		"RESET pointsman.read_hint",
		"SET LOCAL pointsman.read_hint = 'replica'",
		"SELECT %u-3; ERROR; SELECT %u-4",
		"BEGIN; SET application_name = 'app-%u'; COMMIT",
		"BEGIN READ ONLY",
		"DEALLOCATE a",
		"LISTEN x",
		"SELECT 'shared'",
		"PREPARE a AS SELECT %u-5",
		"PREPARE b AS SELECT %u-6",
		"EXECUTE a",
		"EXECUTE b",
		"EXECUTE a; EXECUTE b; DEALLOCATE a",
		"PREPARE c AS SELECT 'shared'",
	};

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(out, size, texts[which % (sizeof(texts) / sizeof(texts[0]))], side->number,
		 side->number);
#pragma GCC diagnostic pop
}

static const char *name_of(unsigned which)
{
	static const char *const names[] = { "", "a", "b", "c" };

	return names[which % 4];
}

/* --- what clients see --- */

static void check_row(const struct side *side, const struct message *row)
{
	char own[8];
	char others[8];

	snprintf(own, sizeof(own), "%u-", side->number);
	snprintf(others, sizeof(others), "app-%u", !side->number);
	if (row->n_args != 2) /* of SHOW */
		return;
	ASSERT(strcmp(row->args[1], others) != 0);
	if (strcmp(row->args[0], "SELECT 'shared'") != 0 &&
	    strncmp(row->args[0], "SELECT ", 7) == 0)
		ASSERT(strncmp(row->args[0] + 7, own, 2) == 0);
}

static void check_message(struct world *world, struct side *side, const struct message *message)
{
	bool may_be_cancelled = side->was_cancelled || world->is_server_wild;

	ASSERT(strcmp(message->name, "Garbage") != 0 || world->is_server_wild);
	if (world->is_server_wild || side->is_wild)
		return;
	if (strcmp(message->name, "DataRow") == 0) {
		check_row(side, message);
		side->has_final |= strstr(message->args[0], "-final") != NULL;
	}
	if (strcmp(message->name, "Error") == 0)
		ASSERT(strcmp(message->args[0], "57014") != 0 || may_be_cancelled);
}

static void look(struct world *world, struct side *side)
{
	struct message message;

	while (side->peer && peer_receive(side->peer, &message)) {
		if (strcmp(message.name, "KeyData") == 0 && message.n_args == 2) {
			side->peer->pid = (uint32_t)strtoul(message.args[0], NULL, 10);
			snprintf(side->peer->key, sizeof(side->peer->key), "%s",
				 message.args[1]);
		}
		check_message(world, side, &message);
		message_free(&message);
	}
}

static void run(struct world *world)
{
	player_run(world->player);
	for (int i = 0; i < CLIENTS; i++) {
		look(world, &world->sides[i]);
		ASSERT(player_count(world->player, "broken") == 0);
	}
	ASSERT(player_count(world->player, "budget") <= 8);
}

/* --- what clients do --- */

static void open_client(struct world *world, struct side *side)
{
	struct message startup = { .name = "Startup" };
	char setting[64];

	side->peer = player_connect(world->player, "client");
	ASSERT(side->peer);
	side->is_wild = side->was_cancelled = side->has_final = false;
	message_add_text(&startup, "user=app");
	message_add_text(&startup, "database=app");
	snprintf(setting, sizeof(setting), "application_name=app-%u", side->number);
	if (next(world) & 1)
		message_add_text(&startup, setting);
	peer_send_message(side->peer, &startup);
	message_free(&startup);
}

static void close_client(struct world *world, struct side *side)
{
	if (side->peer)
		peer_free(world->player, side->peer);
	side->peer = NULL;
	bytes_clear(&side->held);
}

/* Sends what was held back, then the message, or its first bytes. */
static void send_in_parts(struct side *side, const struct message *message, unsigned cut)
{
	struct bytes bytes = { 0 };
	size_t first;

	peer_trace(side->peer, cut ? "in parts >" : ">", message);
	ASSERT(message_build(message, FROM_CLIENT, &bytes));
	peer_send(side->peer, bytes_begin(&side->held), bytes_length(&side->held));
	bytes_clear(&side->held);
	first = cut && cut < bytes_length(&bytes) ? cut : bytes_length(&bytes);
	peer_send(side->peer, bytes_begin(&bytes), first);
	bytes_append(&side->held, bytes_begin(&bytes) + first, bytes_length(&bytes) - first);
	bytes_free(&bytes);
}

static void say(struct side *side, unsigned cut, const char *name, const char *a, const char *b)
{
	struct message message = { 0 };

	snprintf(message.name, sizeof(message.name), "%s", name);
	if (a)
		message_add_text(&message, a);
	if (b)
		message_add_text(&message, b);
	send_in_parts(side, &message, cut);
	message_free(&message);
}

static void send_message(struct world *world, struct side *side, unsigned which)
{
	unsigned what = next(world);
	unsigned cut = what & 0x80 ? what & 0x1f : 0;
	char text[160];

	text_of(side, what & 0x1f, text, sizeof(text));
	switch (which % 12) {
	case 0:
	case 1: say(side, cut, "Query", text, NULL); break;
	case 2: say(side, cut, "Parse", name_of(next(world)), text); break;
	case 3: say(side, cut, "Bind", next(world) & 1 ? "portal" : "", name_of(what)); break;
	case 4: say(side, cut, "Describe", what & 0x40 ? "S" : "P", name_of(what)); break;
	case 5: say(side, cut, "Execute", what & 1 ? "portal" : "", NULL); break;
	case 6: say(side, cut, "Close", what & 0x40 ? "S" : "P", name_of(what)); break;
	case 7: say(side, cut, "Sync", NULL, NULL); break;
	case 8: say(side, cut, "Flush", NULL, NULL); break;
	case 9: say(side, cut, "CopyData", text, NULL); break;
	case 10: say(side, cut, "CopyDone", NULL, NULL); break;
	default: say(side, cut, "CopyFail", text, NULL); break;
	}
}

static void send_wild(struct world *world, struct peer *peer)
{
	size_t length = next(world) & 0x1f;

	if (length > (size_t)(world->end - world->at))
		length = (size_t)(world->end - world->at);
	peer_send(peer, world->at, length);
	world->at += length;
}

static void cancel(struct world *world, struct side *side)
{
	char pid[16];
	struct peer *peer;

	side->was_cancelled = true;
	snprintf(pid, sizeof(pid), "%u", side->peer->pid);
	peer = player_connect(world->player, "cancel");
	ASSERT(peer);
	peer_say(peer, "CancelRequest", pid, side->peer->key);
}

/* --- what servers do --- */

static struct peer *some_server(struct world *world)
{
	unsigned wanted = next(world);
	unsigned seen = 0;

	for (struct peer *peer = world->player->peers; peer; peer = peer->next)
		seen += peer->model != NULL;
	wanted = seen ? wanted % seen : 0;
	for (struct peer *peer = world->player->peers; peer; peer = peer->next) {
		if (peer->model && wanted-- == 0)
			return peer;
	}
	return NULL;
}

static void release_all(struct world *world)
{
	for (struct peer *peer = world->player->peers; peer; peer = peer->next) {
		if (peer->model)
			model_release(peer, false);
	}
}

static void pause_pools(struct world *world, bool pause)
{
	LIST_EACH (pools_list(world->player->worker->env.pools), node)
		pool_pause(LIST_ENTRY(node, struct pool, node), pause);
}

static void do_server(struct world *world, unsigned which)
{
	struct peer *peer = some_server(world);

	switch (which % 6) {
	case 0: release_all(world); break;
	case 1:
		if (peer)
			peer_close(peer);
		break;
	case 2:
		if (peer && peer->fd != -1) {
			world->is_server_wild = true;
			send_wild(world, peer);
		}
		break;
	case 3: player_advance(world->player, (usec)next(world) * 50 * USEC_PER_MS); break;
	case 4: pause_pools(world, next(world) & 1); break;
	default: player_refuse(world->player, 1); break;
	}
}

static void do_client(struct world *world, struct side *side, unsigned which)
{
	if (!side->peer) {
		open_client(world, side);
		return;
	}
	switch (which) {
	case 12: close_client(world, side); break;
	case 13:
		side->is_wild = true;
		send_wild(world, side->peer);
		break;
	case 14: cancel(world, side); break;
	case 15: side->peer->is_reading = !side->peer->is_reading; break;
	default: send_message(world, side, which);
	}
}

/* --- the end --- */

static bool is_tame(const struct world *world, const struct side *side)
{
	return side->peer && !side->is_wild && !side->peer->is_eof && !world->is_server_wild;
}

/* Each client brings what it is in to its end, and asks a last question. */
static void prove_alive(struct world *world)
{
	pause_pools(world, false);
	if (world->player->nodes[1].fd == -1)
		player_listen(world->player, 1);
	for (int i = 0; i < CLIENTS; i++) {
		struct side *side = &world->sides[i];

		if (!side->peer)
			continue;
		side->peer->is_reading = true;
		if (is_tame(world, side)) {
			say(side, 0, "CopyFail", "end", NULL);
			say(side, 0, "Sync", NULL, NULL);
			say(side, 0, "Query", "ROLLBACK", NULL);
			say(side, 0, "Query", "DISCARD ALL", NULL); /* it may be pinned */
		} else {
			close_client(world, side);
		}
	}
	for (int i = 0; i < 5; i++) {
		run(world);
		release_all(world);
		player_advance(world->player, 2 * USEC_PER_SEC);
	}
	for (int i = 0; i < CLIENTS; i++) {
		struct side *side = &world->sides[i];
		char text[32];

		snprintf(text, sizeof(text), "SELECT %u-final", side->number);
		if (!is_tame(world, side))
			continue;
		say(side, 0, "Query", text, NULL);
		run(world);
		ASSERT(side->has_final || !is_tame(world, side));
	}
}

static void finish(struct world *world)
{
	const char *why = "";

	release_all(world);
	for (int i = 0; i < CLIENTS; i++) {
		close_client(world, &world->sides[i]);
		bytes_free(&world->sides[i].held);
	}
	run(world);
	ASSERT(world->player->fouls == 0 || world->is_server_wild);
	if (!player_close_all(world->player, &why))
		panic_at(__FILE__, __LINE__, __func__, why);
	player_destroy(&world->player);
}

static struct snapshot *snapshot_of(const struct player_setup *setup)
{
	struct bytes errors = { 0 };
	struct snapshot *snapshot = player_snapshot(setup, &errors);

	ASSERT(snapshot);
	bytes_free(&errors);
	return snapshot;
}

static void begin(struct world *world, unsigned which)
{
	static const struct player_setup setups[] = {
		{ .database = "default_pool_size = 1;" },
		{ .database = "default_pool_size = 2; split = \"auto\";",
		  .options = "max_prepared_statements = 2;" },
		{ .database = "default_pool_size = 2; pool_mode = \"session\";" },
		{ .database = "default_pool_size = 1; pool_mode = \"statement\";",
		  .options = "max_prepared_statements = 1; client_buffer = \"16kB\";" },
	};
	static struct snapshot *snapshots[4];

	if (!snapshots[0]) {
		player_traces = getenv("FUZZ_TRACE") != NULL;
		log_set_level(player_traces ? LOG_LEVEL_DEBUG : LOG_LEVEL_ERROR);
		for (int i = 0; i < 4; i++)
			snapshots[i] = snapshot_of(&setups[i]);
	}
	world->player = player_create(&setups[which % 4], snapshots[which % 4]);
	for (unsigned i = 0; i < world->player->n_nodes; i++)
		world->player->nodes[i].is_automatic = true;
	for (unsigned i = 0; i < CLIENTS; i++)
		world->sides[i].number = i;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world world = { .at = data, .end = data + size };

	if (size < 2 || size > 2000)
		return 0;
	begin(&world, next(&world));
	while (world.at < world.end) {
		uint8_t op = next(&world);
		struct side *side = &world.sides[op & 1];

		if ((op & 0x60) == 0x60)
			do_server(&world, op & 0x1f);
		else
			do_client(&world, side, (op >> 1) & 0xf);
		if (!(op & 0x80))
			run(&world);
	}
	prove_alive(&world);
	finish(&world);
	return 0;
}
