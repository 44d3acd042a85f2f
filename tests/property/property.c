/*
 * The property: whatever clients send, through the proxy and over few servers they get what a
 * connection of their own would give them, and every server that comes back is idle and clean.
 *
 *	property [program] [--with-faults] [--seed N] [--seconds N] [--rounds N]
 *	property [program] --replay FILE
 *
 * Plays random rounds until the time is over. A round that fails is cut down and printed, to be
 * played again with --replay.; O-3, O-6.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/support.h"
#include "generate.h"
#include "round.h"
#include "world.h"

enum {
	SHRINK_SECONDS = 60,
	FAILURES_MAX = 5
};

static struct {
	uint64_t seed;
	unsigned seconds;
	unsigned rounds;
	const char *replay;
} options = { .seed = 1, .seconds = 25 };

static unsigned passed, failed;

static bool read_options(int argc, char **argv)
{
	int i = 1;

	if (i < argc && argv[i][0] != '-')
		proxy_set_program(argv[i++]);
	if (i < argc && strcmp(argv[i], "--with-faults") == 0) {
		generate_known_faults = true;
		i++;
	}
	for (; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--seed") == 0)
			options.seed = strtoull(argv[i + 1], NULL, 10);
		else if (strcmp(argv[i], "--seconds") == 0)
			options.seconds = (unsigned)atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--rounds") == 0)
			options.rounds = (unsigned)atoi(argv[i + 1]);
		else if (strcmp(argv[i], "--replay") == 0)
			options.replay = argv[i + 1];
		else
			return false;
	}
	return i == argc;
}

static void show_round(const struct round *round, const char *title)
{
	struct text text = { 0 };

	round_print(round, &text);
	printf("--- %s\n%s---\n", title, text_of(&text));
	text_free(&text);
}

/* Cuts a failing round down, and shows it with its own failure, which may be another one. */
static void show_shrunk(const struct world *world, struct round *round)
{
	struct text why = { 0 };

	round_shrink(world, round, SHRINK_SECONDS);
	show_round(round, "cut down as far as it still fails");
	if (round_play(world, round, &why))
		printf("played once more, it did not fail\n");
	else
		printf("%s", text_of(&why));
	text_free(&why);
}

static void report(const struct world *world, struct round *round, uint64_t seed,
		   const struct text *why)
{
	char path[64];
	struct text text = { 0 };

	printf("FAILED: the round of seed %" PRIu64 ": %s", seed, text_of(why));
	round_print(round, &text);
	snprintf(path, sizeof(path), "build/property-%" PRIu64 ".round", seed);
	if (support_write_file(path, text_of(&text)))
		printf("all of it is in %s, for --replay\n", path);
	text_free(&text);
	show_shrunk(world, round);
}

static void play_one(const struct world *world, uint64_t seed)
{
	struct round round;
	struct text why = { 0 };
	bool ok = round_play_random(world, seed, &round, &why);

	if (!ok)
		report(world, &round, seed, &why);
	else if (!world_is_clean(world, world->proxies[round.proxy], round.user)) {
		ok = false;
		printf("FAILED: after the round of seed %" PRIu64 "\n", seed);
		show_round(&round, "its steps");
	}
	ok ? passed++ : failed++;
	round_free(&round);
	text_free(&why);
}

static void play_many(const struct world *world)
{
	int64_t until = support_now_ms() + (int64_t)options.seconds * 1000;
	uint64_t seed = options.seed;

	printf("property: seed %" PRIu64 "\n", seed);
	while (failed < FAILURES_MAX &&
	       (options.rounds > 0 ? passed + failed < options.rounds : support_now_ms() < until))
		play_one(world, seed++);
}

static void replay(const struct world *world)
{
	char *text = support_read_file(options.replay, NULL);
	struct round round = { 0 };
	struct text why = { 0 };

	if (text == NULL || !round_parse(text, &round)) {
		printf("%s: no round\n", options.replay);
		failed++;
	} else if (round_play(world, &round, &why)) {
		passed++;
	} else {
		printf("FAILED: %s", text_of(&why));
		show_shrunk(world, &round);
		failed++;
	}
	round_free(&round);
	text_free(&why);
	free(text);
}

int main(int argc, char **argv)
{
	struct world world = { 0 };

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!read_options(argc, argv)) {
		fputs("usage: property [program] [--seed N] [--seconds N] [--rounds N] "
		      "[--replay FILE]\n",
		      stderr);
		return 2;
	}
	if (!world_start(&world))
		failed++;
	else if (options.replay != NULL)
		replay(&world);
	else
		play_many(&world);
	if (!world_stop(&world))
		failed++;
	printf("%u passed, %u failed, 0 skipped\n", passed, failed);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
