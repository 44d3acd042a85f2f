#ifndef POINTSMAN_TESTS_UNIT_CONFIG_SAMPLE_H
#define POINTSMAN_TESTS_UNIT_CONFIG_SAMPLE_H

#include "config/config.h"

/* The shortest sound configuration is these three, each on a line of its own. */
#define SAMPLE_LISTEN "auth = { type = \"trust\"; }; listen = ({ address = \"127.0.0.1\"; });\n"
#define SAMPLE_CLUSTERS                                                          \
	"clusters = ({ name = \"main\"; nodes = ({ name = \"a\"; host = \"h\"; " \
	"}); });\n"
#define SAMPLE_DATABASES "databases = ({ name = \"app\"; cluster = \"main\"; });\n"
#define SAMPLE           SAMPLE_LISTEN SAMPLE_CLUSTERS SAMPLE_DATABASES

/* Loads a text as the file "/etc/test.conf"; fails the test, with the errors, when it is not
 * sound. */
struct config *sample_load(const char *text);

/* The errors of a text that is not sound; fails the test when it is. To be freed. */
char *sample_errors(const char *text);

/* config_print() as a string; to be freed. */
char *sample_print(const struct config *config);

/* The value of one item of SHOW CONFIG. */
const char *sample_item(const struct config *config, const char *name);

/* A file of the repository, or one that a test has made; to be freed. */
char *sample_repository_file(const char *name);

/* A new empty directory below $TMPDIR (static text), and a file in it. */
const char *sample_directory(void);
void sample_write_file(const char *directory, const char *name, const char *text);
void sample_remove_directory(const char *directory);

#endif
