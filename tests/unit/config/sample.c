/* What the tests of the configuration share: texts in, texts out, files to read. */

#include "sample.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../unit.h"
#include "config/load.h"
#include "config/source.h"

static char *to_string(struct bytes *bytes)
{
	char *text;

	ck_assert(bytes_append(bytes, "", 1));
	text = strdup((const char *)bytes_begin(bytes));
	bytes_free(bytes);
	return text;
}

struct config *sample_load(const char *text)
{
	struct bytes errors = { 0 };
	struct config *config = config_load_text("/etc/test.conf", text, strlen(text), &errors);
	char *said = to_string(&errors);

	ck_assert_msg(config != NULL, "%s", said);
	ck_assert_str_eq(said, "");
	free(said);
	return config;
}

char *sample_errors(const char *text)
{
	struct bytes errors = { 0 };
	struct config *config = config_load_text("/etc/test.conf", text, strlen(text), &errors);

	ck_assert_msg(config == NULL, "accepted: %s", text);
	return to_string(&errors);
}

char *sample_print(const struct config *config)
{
	struct bytes out = { 0 };

	ck_assert(config_print(config, &out));
	return to_string(&out);
}

const char *sample_item(const struct config *config, const char *name)
{
	static struct config_item item;

	for (size_t i = 0; i < config_item_count(); i++) {
		config_item_get(config, i, &item);
		if (strcmp(item.name, name) == 0)
			return item.value;
	}
	ck_abort_msg("no item %s", name);
}

char *sample_repository_file(const char *name)
{
	static const char here[] = "tests/unit/config/sample.c";
	struct bytes contents = { 0 };
	char path[1024];
	const char *why;

	ck_assert_uint_ge(strlen(__FILE__), strlen(here));
	snprintf(path, sizeof(path), "%.*s%s", (int)(strlen(__FILE__) - strlen(here)), __FILE__,
		 name);
	why = source_read_contents(path, 1 << 20, &contents);
	ck_assert_msg(why == NULL, "%s: %s", path, why);
	return to_string(&contents);
}

const char *sample_directory(void)
{
	static char path[256];
	const char *base = getenv("TMPDIR");

	snprintf(path, sizeof(path), "%s/pointsman-unit-XXXXXX", base ? base : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(path));
	return path;
}

void sample_write_file(const char *directory, const char *name, const char *text)
{
	char path[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ne(fputs(text, file), EOF);
	ck_assert_int_eq(fclose(file), 0);
}

void sample_remove_directory(const char *directory)
{
	DIR *list = opendir(directory);
	struct dirent *entry;

	ck_assert_ptr_nonnull(list);
	while ((entry = readdir(list))) {
		if (entry->d_name[0] != '.')
			unlinkat(dirfd(list), entry->d_name, 0);
	}
	closedir(list);
	ck_assert_int_eq(rmdir(directory), 0);
}
