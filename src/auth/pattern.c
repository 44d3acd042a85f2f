/*
 * Regular expressions in the files of authentication; see pattern.h. Pure; compiled in the
 * control thread, used in any.
 */

#include "pattern.h"

#include <stdio.h>
#include <string.h>

bool pattern_compile(regex_t *out, const char *word, char *why_out, size_t why_size)
{
	char reason[128];
	int error;

	if (strlen(word) > PATTERN_BYTES_MAX) {
		snprintf(why_out, why_size, "a regular expression is too long");
		return false;
	}
	error = regcomp(out, word + 1, REG_EXTENDED);
	if (error == 0)
		return true;
	regerror(error, out, reason, sizeof(reason));
	snprintf(why_out, why_size, "invalid regular expression \"%s\": %s", word + 1, reason);
	return false;
}

bool pattern_fits(const regex_t *pattern, const char *name, regmatch_t groups_out[2])
{
	return strlen(name) <= PATTERN_BYTES_MAX && regexec(pattern, name, 2, groups_out, 0) == 0;
}
