/*
 * Any text is either refused with a message or gives a configuration whose printed form is read
 * again and prints the same. libFuzzer; corpus: proxy.conf.example and the texts of test_load.c.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "config/config.h"
#include "config/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
const char *__lsan_default_suppressions(void);

/* No such directory: nothing is found by a relative name. */
#define PATH "/nonexistent/fuzz.conf"

/* A secret is printed as "***", which prints the same the next time. */
static struct config *print_and_load(const struct config *config, struct bytes *printed)
{
	struct bytes errors = { 0 };
	struct config *again;

	ASSERT(config_print(config, printed));
	again = config_load_text(PATH, (const char *)bytes_begin(printed), bytes_length(printed),
				 &errors);
	bytes_free(&errors);
	return again;
}

static void check_round_trip(const struct config *config)
{
	struct bytes first = { 0 };
	struct bytes second = { 0 };
	struct config *again = print_and_load(config, &first);

	ASSERT(again != NULL);
	ASSERT(config_print(again, &second));
	ASSERT(bytes_length(&first) == bytes_length(&second));
	ASSERT(memcmp(bytes_begin(&first), bytes_begin(&second), bytes_length(&first)) == 0);
	config_unref(&again);
	bytes_free(&first);
	bytes_free(&second);
}

/* libconfig 1.5 loses the strings and names that it has read just before a syntax error. */
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig\n";
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes errors = { 0 };
	struct config *config = config_load_text(PATH, (const char *)data, size, &errors);

	ASSERT((config == NULL) == (bytes_length(&errors) > 0));
	if (config)
		check_round_trip(config);
	config_unref(&config);
	bytes_free(&errors);
	return 0;
}
