/*
 * The end of a process that found a bug of its own. Does not use the log, which may be what is
 * broken: one line goes to standard error as it is, and the supervisor (or the shell) reports
 * the signal. Any thread may run it.
 */

#include "base/panic.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void panic_at(const char *file, int line, const char *function, const char *what)
{
	char text[512];
	int length = snprintf(text, sizeof(text), "%s:%d: %s: %s\n", file, line, function, what);

	if (length >= (int)sizeof(text)) {
		length = sizeof(text) - 1;
		text[length - 1] = '\n';
	}
	if (length > 0 && write(STDERR_FILENO, text, (size_t)length) == -1) {
		/* Nobody is listening; the signal below says enough. */
	}
	abort();
}
