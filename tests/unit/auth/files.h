#ifndef POINTSMAN_TESTS_UNIT_AUTH_FILES_H
#define POINTSMAN_TESTS_UNIT_AUTH_FILES_H

#include "auth/authfile.h"

/* Files of a test, in memory. */
struct files_file {
	const char *path;
	const char *text;
};

/* `files` ends with a path of NULL; a directory has what begins with its name. */
struct authfile_source files_source(const struct files_file *files);

#endif
