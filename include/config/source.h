#ifndef POINTSMAN_CONFIG_SOURCE_H
#define POINTSMAN_CONFIG_SOURCE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

struct problems;

/*
 * The text of a configuration file with its @include lines replaced by the files they name, and
 * the place that each line of it came from. libconfig then gets one plain string.
 *
 * It can include files by itself, but ends the process when one is a directory or cannot be
 * read, takes only relative names, and wraps whole numbers of more than 32 bits in silence: none
 * of which a reload may do. So this is done here: such numbers get the L that makes libconfig
 * read them.
 */
struct source_segment {
	unsigned begins; /* line of `text` */
	size_t file;     /* index into files */
	unsigned line;   /* of that file */
};

struct source {
	struct bytes text; /* NUL-terminated when it was read */
	char **files;      /* names as they are shown; the first is the configuration file */
	size_t n_files;
	struct source_segment *segments; /* in the order of `begins` */
	size_t n_segments;
	unsigned line;   /* of text, that is being written */
	char *directory; /* of the configuration file: names of included files begin here */
};

struct source_place {
	const char *file;
	unsigned line;
};

/*
 * Reads the file, or takes `text` for its contents. false when there was anything wrong, which
 * is added to `problems`. To be freed in any case, when the problems have been reported.
 */
bool source_read_file(struct source *source, const char *path, struct problems *problems);
bool source_read_text(struct source *source, const char *path, const char *text, size_t length,
		      struct problems *problems);

/* Where a line of `text` comes from; line 0 is the first line of the configuration file. */
struct source_place source_place_of(const struct source *source, unsigned line);

void source_free(struct source *source);

/*
 * Appends the contents of a regular file of at most `limit` bytes and without NUL bytes. NULL, or
 * why not (static text or strerror's). `out` may have got a part of it.
 */
const char *source_read_contents(const char *path, size_t limit, struct bytes *out);

/* The absolute directory of a file, malloc()ed: as written when it cannot be resolved. */
char *source_directory_of(const char *path);

/* `name`, put behind `directory` and a slash when it is relative; malloc()ed. */
char *source_path_join(const char *directory, const char *name);

#endif
