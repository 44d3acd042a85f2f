/*
 * Random numbers: the kernel's for secrets, xoshiro256++ (Blackman and Vigna, public domain) for
 * choices. Any thread may call; each has a generator of its own, seeded at its first use. A
 * process that forks shares the sequence with its child, which is why secrets never come from it.
 */

#include "base/random.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/random.h>

#include "base/panic.h"

struct generator {
	bool seeded;
	uint64_t state[4];
};

static _Thread_local struct generator generator;

void random_secret(void *buffer, size_t length)
{
	uint8_t *next = buffer;

	while (length > 0) {
		ssize_t got = getrandom(next, length, 0);

		if (got == -1 && errno == EINTR)
			continue;
		ASSERT(got > 0);
		next += got;
		length -= (size_t)got;
	}
}

static uint64_t rotate_left(uint64_t value, int bits)
{
	return value << bits | value >> (64 - bits);
}

static void seed(struct generator *g)
{
	random_secret(g->state, sizeof(g->state));
	g->state[0] |= 1; /* all zero is the one state that it never leaves */
	g->seeded = true;
}

uint64_t random_fast(void)
{
	uint64_t *s = generator.state;
	uint64_t result, shifted;

	if (!generator.seeded)
		seed(&generator);
	result = rotate_left(s[0] + s[3], 23) + s[0];
	shifted = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= shifted;
	s[3] = rotate_left(s[3], 45);
	return result;
}

/* Lemire's multiplication: the low half tells the few values that would favour some results. */
uint32_t random_below(uint32_t bound)
{
	uint64_t product;
	uint32_t unfair;

	ASSERT(bound > 0);
	unfair = -bound % bound;
	do
		product = (random_fast() >> 32) * bound;
	while ((uint32_t)product < unfair);
	return (uint32_t)(product >> 32);
}
