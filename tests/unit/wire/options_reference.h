#ifndef POINTSMAN_TESTS_UNIT_WIRE_OPTIONS_REFERENCE_H
#define POINTSMAN_TESTS_UNIT_WIRE_OPTIONS_REFERENCE_H

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <unistd.h>

/*
 * What PostgreSQL makes of an `options` string, said another way: words into an argv, the argv
 * to the C library's getopt(), which is what the server uses. For comparing with
 * startup_next_option(). Every switch that is not a setting is an error here, as it is there.
 */

#define REFERENCE_SWITCHES "B:bc:C:D:d:EeFf:h:ijk:lN:nOPp:r:S:sTt:v:W:-:"

/* The settings as "name=value\n" each, or NULL when the string is refused. To be freed. */
static inline char *reference_settings(const char *options)
{
	size_t length = strlen(options);
	char *words = malloc(length + 1);
	char *result = calloc(1, 2 * length + 2);
	char **argv = calloc(length + 3, sizeof(*argv));
	char *to = words;
	bool refused = words == NULL || result == NULL || argv == NULL;
	int argc = 0;
	int c;

	if (refused)
		abort();
	argv[argc++] = (char *)(uintptr_t) "postgres";
	for (;;) {
		bool is_quoted = false;

		while (isspace((unsigned char)*options))
			options++;
		if (*options == '\0')
			break;
		argv[argc++] = to;
		for (; *options != '\0'; options++) {
			if (isspace((unsigned char)*options) && !is_quoted)
				break;
			is_quoted = !is_quoted && *options == '\\';
			if (!is_quoted)
				*to++ = *options;
		}
		*to++ = '\0';
	}

	opterr = 0;
	optind = 0; /* the C library's way to start anew */
	while ((c = getopt(argc, argv, REFERENCE_SWITCHES)) != -1) {
		char *equals = optarg != NULL ? strchr(optarg, '=') : NULL;

		if ((c != 'c' && c != '-') || equals == NULL || equals == optarg) {
			refused = true;
			continue;
		}
		for (char *p = optarg; p < equals; p++)
			if (*p == '-')
				*p = '_';
		strcat(result, optarg);
		strcat(result, "\n");
	}
	if (refused || optind != argc) {
		free(result);
		result = NULL;
	}
	free(argv);
	free(words);
	return result;
}

#endif
