#ifndef POINTSMAN_BASE_RANDOM_H
#define POINTSMAN_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills `buffer` from the system's generator (getrandom). For keys, nonces and salts. Panics
 * when the kernel has none to give, which it never does after boot. */
void random_secret(void *buffer, size_t length);

/* A fast generator for choices that need no secrecy (which replica, jitter); per thread. */
uint64_t random_fast(void);

/* Uniform in [0, bound), bound > 0. */
uint32_t random_below(uint32_t bound);

#endif
