#ifndef POINTSMAN_CONFIG_OPTIONS_H
#define POINTSMAN_CONFIG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The one table of options. Reading, defaults, bounds, printing, SHOW CONFIG, SET, what a
 * reload may change, and the test that holds docs/config.md and proxy.conf.example against the
 * program all go by these rows: an option that has a row has everything.
 */

enum option_type {
	OPTION_BOOL,     /* bool */
	OPTION_INT,      /* int */
	OPTION_DURATION, /* usec */
	OPTION_SIZE,     /* size_t */
	OPTION_ENUM,     /* an enum numbered from 0 */
	OPTION_STRING,   /* const char * */
	OPTION_PATH,     /* const char *, relative to the directory of the file */
	OPTION_SECRET,   /* const char *, never shown, "file:..." reads a file */
	OPTION_STRINGS,  /* const char ** and a size_t beside it */
	OPTION_TYPE_COUNT
};

enum section_id {
	SECTION_ROOT,
	SECTION_LISTEN,
	SECTION_ADMIN,
	SECTION_LOG,
	SECTION_AUTH,
	SECTION_CLUSTERS,
	SECTION_NODES,
	SECTION_MONITOR,
	SECTION_MAX_LAG,
	SECTION_DATABASES,
	SECTION_USERS,
	SECTION_COUNT
};

enum option_flag {
	OPTION_REQUIRED = 1,  /* has no default and must be there */
	OPTION_FIXED = 2,     /* takes effect at start only */
	OPTION_INHERITED = 4, /* of a database: the default is the global option of that name */
	OPTION_NULL = 8, /* has no value unless it is written: a string is NULL, a number or word
			    -1 */
};

/* The words of an enum: word(0) .. word(count - 1), and another spelling that is understood. */
struct option_words {
	int count;
	const char *(*word)(int value);
	const char *alias;
	int alias_value;
};

struct option {
	enum section_id section;
	const char *path; /* "log.level", "clusters[].nodes[].host" */
	enum option_type type;
	unsigned flags;
	size_t offset;       /* into the struct that the section fills, see struct section */
	size_t count_offset; /* of the counter beside OPTION_STRINGS */
	int64_t min;         /* us, bytes, or the length of a string */
	int64_t max;
	const char *default_value; /* as it would be written */
	const char *unit;          /* of a plain number, for people; NULL for none */
	const struct option_words *words;
	const char *description;
};

/*
 * A group { } or a list of groups ( {}, {} ). A group fills the struct of its parent; each
 * element of a list fills a struct of its own, in an array that the parent points to.
 */
struct section {
	enum section_id parent;
	const char *name;
	const char *path; /* "clusters[].nodes[]" */
	bool is_list;
	unsigned flags; /* OPTION_FIXED for a whole list */
	size_t list_offset;
	size_t count_offset;
	size_t element_size;
	size_t max_elements;
};

/* Rows by number, in the order of the table; all of a section are neighbours. */
size_t option_count(void);
const struct option *option_at(size_t index);
const struct section *section_at(enum section_id id);

/* The last part of the path: the name as it stands in the file. */
const char *option_name(const struct option *option);

/* The option of that name in one section, or NULL; of that path in the whole table, or NULL. */
const struct option *option_find(enum section_id section, const char *name);
const struct option *option_find_path(const char *path);

/* The list or group `name` inside `parent`; SECTION_COUNT when there is none. */
enum section_id section_find(enum section_id parent, const char *name);

/* The place of an option among those of its section: 0, 1, ... */
unsigned option_number(const struct option *option);

/* Whether it, or the list it is in, takes effect at start only. */
bool option_is_fixed(const struct option *option);

/* "bool", "integer", "duration", ... */
const char *option_type_name(enum option_type type);

#endif
