/*
 * A file system for tests of what reads files through a struct authfile_source.
 */

#include "files.h"

#include <stdio.h>
#include <string.h>

static bool load(void *context, const char *path, struct bytes *out, bool *is_missing_out,
		 char *why_out, size_t why_size)
{
	for (const struct files_file *file = context; file->path; file++) {
		if (strcmp(file->path, path) == 0)
			return bytes_append_text(out, file->text);
	}
	*is_missing_out = true;
	snprintf(why_out, why_size, "no such file");
	return false;
}

static bool list(void *context, const char *path, struct bytes *out, char *why_out,
		 size_t why_size)
{
	size_t length = strlen(path);
	bool has_any = false;

	for (const struct files_file *file = context; file->path; file++) {
		if (strncmp(file->path, path, length) != 0 || file->path[length] != '/')
			continue;
		has_any = true;
		bytes_append(out, file->path + length + 1, strlen(file->path + length + 1) + 1);
	}
	if (!has_any)
		snprintf(why_out, why_size, "no such directory");
	return has_any && !out->failed;
}

struct authfile_source files_source(const struct files_file *files)
{
	return (struct authfile_source){ (void *)files, load, list };
}
