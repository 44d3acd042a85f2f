#ifndef POINTSMAN_CONFIG_CHECK_H
#define POINTSMAN_CONFIG_CHECK_H

#include "config/config.h"

struct problems;
struct config_t; /* libconfig's */

/*
 * What no option can know by itself: names that must be there or be unique, limits that belong
 * together, sockets that collide. Adds what it finds to `problems`, with the line from `tree`
 * (NULL for a configuration that was not read from a file). Names may be NULL where reading them
 * failed.
 */
void config_check(const struct config *config, const struct config_t *tree,
		  struct problems *problems);

#endif
