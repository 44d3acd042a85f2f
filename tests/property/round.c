/* Rounds of the property test, made, played, cut down and printed: see round.h. */
#include "round.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/support.h"
#include "generate.h"
#include "side.h"

enum {
	STEPS_MIN = 40,
	STEPS_MORE = 120,
	STARTUP_MAX = 32,
	BOTH = 2
};

struct client {
	struct side sides[BOTH]; /* straight, and through the proxy */
	bool is_open;
	struct generate_client facts;
};

struct play {
	const struct world *world;
	const struct round *round;
	struct client clients[CLIENTS];
	struct text *why;
};

/* --- one line, both ways --- */

/* A line of `expected` that `got` has not, and what it has instead. */
static void explain(struct play *play, unsigned client, const char *line, const char *expected,
		    const char *got)
{
	text_add(play->why, "client %u, after \"%s\":\n--- direct\n%s--- through the proxy\n%s",
		 client + 1, line, expected, got);
}

/* Who has the servers that somebody waited for in vain. */
static void explain_wait(struct play *play)
{
	PGresult *pins = proxy_admin(play->world->proxies[play->round->proxy], "SHOW PINS");

	for (int i = 0; i < PQntuples(pins); i++) {
		for (int j = 0; j < PQnfields(pins); j++)
			text_add(play->why, "%s=%s ", PQfname(pins, j), PQgetvalue(pins, i, j));
		text_add(play->why, "\n");
	}
	PQclear(pins);
	for (int i = 0; i < CLIENTS; i++) {
		const struct generate_client *facts = &play->clients[i].facts;

		text_add(play->why, "client %d: txn %c, %s, %s\n", i + 1, facts->txn,
			 facts->is_in_batch ? "in a batch" : "no batch",
			 facts->may_be_pinned ? "maybe pinned" : "not pinned");
	}
}

static bool is_same(struct play *play, unsigned number, const char *line, struct text reply[BOTH])
{
	bool same = strcmp(text_of(&reply[0]), text_of(&reply[1])) == 0;

	if (!same)
		explain(play, number, line, text_of(&reply[0]), text_of(&reply[1]));
	if (strstr(text_of(&reply[1]), "query_wait_timeout") != NULL)
		explain_wait(play);
	return same;
}

/* What both report, when no answer is under way. */
static bool are_parameters_same(struct play *play, unsigned number, const char *line)
{
	struct client *client = &play->clients[number];
	struct text shown[BOTH] = { { 0 } };
	bool same;

	for (int i = 0; i < BOTH; i++)
		side_show_parameters(&client->sides[i], &shown[i]);
	same = is_same(play, number, line, shown);
	for (int i = 0; i < BOTH; i++)
		text_free(&shown[i]);
	return same;
}

static bool play_line(struct play *play, unsigned number, const char *line)
{
	struct client *client = &play->clients[number];
	struct text reply[BOTH] = { { 0 } };
	bool ok = true;

	for (int i = 0; i < BOTH; i++) {
		struct side *side = &client->sides[i];

		if (!side_send(side, line)) {
			ok = false;
			text_add(&reply[i], "it cannot be sent\n");
		} else if (side_is_answered(side, line))
			ok = side_read(side, line, &reply[i]) && ok;
	}
	ok = is_same(play, number, line, reply) && ok;
	client->facts.has_failed |= strncmp(text_of(&reply[0]), "E ", 2) == 0 ||
				    strstr(text_of(&reply[0]), "\nE ") != NULL;
	for (int i = 0; i < BOTH; i++)
		text_free(&reply[i]);
	if (!ok && play->why->length == 0)
		text_add(play->why, "client %u, after \"%s\": no answer, both ways\n", number + 1,
			 line);
	return ok && (client->sides[0].is_in_batch || client->sides[0].is_copying ||
		      are_parameters_same(play, number, line));
}

/* --- log-in --- */

static bool open_client(struct play *play, unsigned number, const char *startup)
{
	struct client *client = &play->clients[number];
	int ports[BOTH] = { play->world->direct->nodes[0].port,
			    play->world->proxies[play->round->proxy]->port };
	struct text reply[BOTH] = { { 0 } };
	const char *more[STARTUP_MAX + 1] = { NULL };
	char *copy = strdup(startup), *save = NULL;
	size_t n = 0;
	bool ok = true;

	for (char *word = strtok_r(copy, "|", &save); word != NULL && n < STARTUP_MAX;
	     word = strtok_r(NULL, "|", &save))
		more[n++] = word;
	for (int i = 0; i < BOTH; i++) {
		side_close(&client->sides[i]);
		ok = side_open(&client->sides[i], ports[i], world_user_names[play->round->user],
			       DATABASE, more, &reply[i]) &&
		     ok;
		side_show_parameters(&client->sides[i], &reply[i]);
	}
	client->is_open = true;
	ok = is_same(play, number, startup, reply) && ok;
	if (!ok && play->why->length == 0)
		text_add(play->why, "client %u cannot log in: %s\n", number + 1,
			 text_of(&reply[0]));
	for (int i = 0; i < BOTH; i++)
		text_free(&reply[i]);
	free(copy);
	return ok;
}

/* --- steps --- */

static bool play_step(struct play *play, const struct step *step)
{
	char *copy = strdup(step->lines), *save = NULL;
	bool ok = true;

	for (char *line = strtok_r(copy, "\n", &save); ok && line != NULL;
	     line = strtok_r(NULL, "\n", &save)) {
		if (line[0] == '>')
			ok = open_client(play, step->client, line + 2);
		else if (play->clients[step->client].is_open) /* else its log-in was cut out */
			ok = play_line(play, step->client, line);
	}
	free(copy);
	return ok;
}

static void close_all(struct play *play)
{
	for (int i = 0; i < CLIENTS; i++) {
		for (int j = 0; j < BOTH; j++) {
			struct side *side = &play->clients[i].sides[j];

			/* Every other one vanishes in the middle of whatever it does. */
			if (side->raw != NULL && i % 2 == 1)
				raw_reset(&side->raw);
			else
				side_close(side);
		}
		play->clients[i].is_open = false;
	}
}

bool round_play(const struct world *world, const struct round *round, struct text *why)
{
	struct play play = { .world = world, .round = round, .why = why };
	bool ok = world_make_schemas(world);

	for (size_t i = 0; ok && i < round->n_steps; i++)
		ok = play_step(&play, &round->steps[i]);
	close_all(&play);
	return ok;
}

/* --- a random one --- */

static const struct step *add_step(struct round *round, unsigned client, struct text *lines)
{
	round->steps = realloc(round->steps, (round->n_steps + 1) * sizeof(*round->steps));
	if (round->steps == NULL)
		abort();
	round->steps[round->n_steps] = (struct step){ client, strdup(text_of(lines)) };
	text_clear(lines);
	return &round->steps[round->n_steps++];
}

static void note_facts(struct client *client)
{
	client->facts.txn = client->sides[0].raw->txn;
	client->facts.is_in_batch = client->sides[0].is_in_batch;
}

/* It may have a server that nobody else can get. */
static bool may_hold(const struct client *client)
{
	return client->is_open && (client->facts.txn != 'I' || client->facts.is_in_batch ||
				   client->facts.may_be_pinned);
}

static unsigned holders(const struct play *play)
{
	unsigned n = 0;

	for (int i = 0; i < CLIENTS; i++)
		n += may_hold(&play->clients[i]);
	return n;
}

/* One that need not wait for another one, as all of them are driven by one thread. */
static unsigned choose_client(const struct play *play, struct draw *draw)
{
	unsigned client;

	do {
		client = draw_below(draw, CLIENTS);
	} while (holders(play) >= SERVERS && !may_hold(&play->clients[client]));
	return client;
}

static void make_step(struct play *play, struct draw *draw, unsigned number, struct text *lines)
{
	struct client *client = &play->clients[number];

	if (!client->is_open || (!may_hold(client) && draw_below(draw, 40) == 0)) {
		client->facts = (struct generate_client){
			.number = number + 1,
			.txn = 'I',
		};
		text_add(lines, "> ");
		generate_startup(draw, &client->facts, lines);
		text_add(lines, "\n");
	} else if (holders(play) >= SERVERS && draw_below(draw, 3) == 0)
		generate_release(draw, &client->facts, lines);
	else
		generate_step(draw, &client->facts, lines);
}

static bool play_next(struct play *play, struct round *round, unsigned client, struct text *lines)
{
	const struct step *step = add_step(round, client, lines);

	play->clients[client].facts.has_failed = false;
	if (!play_step(play, step))
		return false;
	note_facts(&play->clients[client]);
	return true;
}

bool round_play_random(const struct world *world, uint64_t seed, struct round *round,
		       struct text *why)
{
	struct draw draw = { seed };
	struct play play = { .world = world, .round = round, .why = why };
	struct text lines = { 0 };
	unsigned n = STEPS_MIN + draw_below(&draw, STEPS_MORE);
	bool ok;

	*round = (struct round){ .proxy = (int)draw_below(&draw, 2),
				 .user = draw_below(&draw, USERS) };
	ok = world_make_schemas(world);
	for (unsigned i = 0; ok && i < n; i++) {
		unsigned client = choose_client(&play, &draw);

		make_step(&play, &draw, client, &lines);
		ok = play_next(&play, round, client, &lines);
	}
	for (unsigned i = 0; ok && i < CLIENTS; i++) {
		if (!play.clients[i].is_open || draw_below(&draw, 2) == 0)
			continue;
		generate_release(&draw, &play.clients[i].facts, &lines);
		generate_question(&lines);
		ok = play_next(&play, round, i, &lines);
	}
	close_all(&play);
	text_free(&lines);
	return ok;
}

/* --- shrinking --- */

/* Does it still fail, and not only because all servers are held? */
static bool still_fails(const struct world *world, const struct round *round)
{
	struct text why = { 0 };
	bool fails = !round_play(world, round, &why) &&
		     strstr(text_of(&why), "query_wait_timeout") == NULL &&
		     strstr(text_of(&why), "nothing came") == NULL;

	text_free(&why);
	return fails;
}

static bool fails_without(const struct world *world, struct round *round, size_t from, size_t n)
{
	struct round less = *round;

	less.steps = calloc(round->n_steps, sizeof(*less.steps));
	less.n_steps = round->n_steps - n;
	if (less.steps == NULL)
		abort();
	memcpy(less.steps, round->steps, from * sizeof(*less.steps));
	memcpy(less.steps + from, round->steps + from + n,
	       (less.n_steps - from) * sizeof(*less.steps));
	if (!still_fails(world, &less)) {
		free(less.steps);
		return false;
	}
	for (size_t i = from; i < from + n; i++)
		free(round->steps[i].lines);
	free(round->steps);
	*round = less;
	return true;
}

void round_shrink(const struct world *world, struct round *round, unsigned seconds)
{
	int64_t until = support_now_ms() + (int64_t)seconds * 1000;

	if (!still_fails(world, round))
		return;
	for (size_t n = round->n_steps / 2; n > 0; n /= 2) {
		for (size_t from = round->n_steps; from >= n; from -= from > n ? n : from) {
			if (support_now_ms() > until)
				return;
			if (from <= round->n_steps)
				fails_without(world, round, from - n, n);
		}
	}
}

/* --- as a text --- */

void round_print(const struct round *round, struct text *out)
{
	text_add(out, "proxy %d user %d\n", round->proxy, (int)round->user);
	for (size_t i = 0; i < round->n_steps; i++) {
		const struct step *step = &round->steps[i];

		for (const char *line = step->lines; *line != '\0';) {
			size_t length = strcspn(line, "\n");

			text_add(out, "%u%c%.*s\n", step->client + 1,
				 line == step->lines ? ' ' : '+', (int)length, line);
			line += length + (line[length] == '\n');
		}
	}
}

bool round_parse(const char *text, struct round *round)
{
	int proxy, user;
	struct text lines = { 0 };
	const char *line;

	*round = (struct round){ 0 };
	if (sscanf(text, "proxy %d user %d", &proxy, &user) != 2 || proxy < 0 || proxy > 1 ||
	    user < 0 || user >= USERS)
		return false;
	round->proxy = proxy;
	round->user = (enum world_user)user;
	line = strchr(text, '\n');
	while (line != NULL && *++line != '\0') {
		size_t length = strcspn(line, "\n");
		unsigned client = (unsigned)(line[0] - '1');

		if (client >= CLIENTS || length < 2)
			return false;
		text_add(&lines, "%.*s\n", (int)length - 2, line + 2);
		if (line[length] == '\0' || line[length + 1] == '\0' || line[length + 2] != '+')
			add_step(round, client, &lines);
		line = strchr(line, '\n');
	}
	text_free(&lines);
	return true;
}

void round_free(struct round *round)
{
	for (size_t i = 0; i < round->n_steps; i++)
		free(round->steps[i].lines);
	free(round->steps);
	*round = (struct round){ 0 };
}
