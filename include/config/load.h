#ifndef POINTSMAN_CONFIG_LOAD_H
#define POINTSMAN_CONFIG_LOAD_H

#include <stddef.h>

#include "config/config.h"

/*
 * config_load() for a text in memory (not NUL-terminated, it may hold anything). `path` is what
 * messages call it, and relative names begin in its directory.
 */
struct config *config_load_text(const char *path, const char *text, size_t length,
				struct bytes *errors);

#endif
