#ifndef POINTSMAN_TESTS_PROPERTY_ROUND_H
#define POINTSMAN_TESTS_PROPERTY_ROUND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "text.h"
#include "world.h"

/*
 * A round: some clients, each with its two connections, that take turns. It is a list of steps,
 * printable and playable again; `lines` are messages (side.h), or "> name|value..." for the
 * log-in.
 */
struct step {
	unsigned client; /* from 0 */
	char *lines;
};

struct round {
	int proxy; /* index into world->proxies */
	enum world_user user;
	struct step *steps;
	size_t n_steps;
};

/* Makes and plays a round. false when something differed, with `why` saying what, where. */
bool round_play_random(const struct world *world, uint64_t seed, struct round *round,
		       struct text *why);

/* Plays one again. */
bool round_play(const struct world *world, const struct round *round, struct text *why);

/*
 * Takes steps out of a failing round as long as it fails, for at most `seconds`.
 */
void round_shrink(const struct world *world, struct round *round, unsigned seconds);

void round_print(const struct round *round, struct text *out);
/* What round_print() has made; false when it is none. */
bool round_parse(const char *text, struct round *round);
void round_free(struct round *round);

#endif
