/*
 * The user list: whatever is read can be found under its name, and printed in the file's format
 * it reads as the same list; whatever is refused has an error with a line.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "auth/userlist.h"
#include "base/bytes.h"
#include "base/panic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void print_string(struct bytes *out, const char *text)
{
	bytes_append_text(out, "\"");
	for (; *text != '\0'; text++)
		bytes_append(out, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1);
	bytes_append_text(out, "\"");
}

static void print_list(struct bytes *out, const struct userlist *list)
{
	for (size_t i = 0; i < userlist_count(list); i++) {
		print_string(out, userlist_at(list, i)->name);
		bytes_append_text(out, " ");
		print_string(out, userlist_at(list, i)->secret);
		bytes_append_text(out, "\n");
	}
	ASSERT(!out->failed);
}

static void check_user(const struct userlist *list, const struct userlist_user *user)
{
	ASSERT(user->name[0] != '\0');
	ASSERT(userlist_find(list, user->name) == user);
	ASSERT(user->kind == secret_kind_of(user->secret));
	ASSERT((user->kind == SECRET_NONE) == (user->secret[0] == '\0'));
}

static void check_same(const struct userlist *list, const char *text, size_t length)
{
	char error[160];
	struct userlist *again = userlist_parse(text, length, error, sizeof(error));

	ASSERT(again != NULL && userlist_count(again) == userlist_count(list));
	for (size_t i = 0; i < userlist_count(list); i++) {
		check_user(list, userlist_at(list, i));
		ASSERT(strcmp(userlist_at(list, i)->name, userlist_at(again, i)->name) == 0);
		ASSERT(strcmp(userlist_at(list, i)->secret, userlist_at(again, i)->secret) == 0);
	}
	userlist_destroy(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[160] = "";
	struct bytes printed = { 0 };
	struct userlist *list = userlist_parse((const char *)data, size, error, sizeof(error));

	if (list == NULL) {
		ASSERT(strncmp(error, "line ", 5) == 0);
		return 0;
	}
	bytes_append_text(&printed, "; printed\n");
	print_list(&printed, list);
	check_same(list, (const char *)bytes_begin(&printed), bytes_length(&printed));
	bytes_free(&printed);
	userlist_destroy(&list);
	return 0;
}
