#ifndef POINTSMAN_ADMIN_TEXT_H
#define POINTSMAN_ADMIN_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Text on its way to the console's clients. Names and application names come from the network and
 * may hold anything; what is shown is valid UTF-8 without control characters, since one bad name
 * would make a whole SHOW unreadable to a driver.
 */

/* Room for a name as it is shown: PostgreSQL's own names have at most 63 bytes. */
#define TEXT_NAME_MAX 64

/*
 * Copies `text` (NULL: ""), with '?' for each byte that is not part of a printable character,
 * cut between characters where it is too long. out_size is at least 1.
 */
void text_clean(char *out, size_t out_size, const char *text);

/* Are they equal but for the case of ASCII letters? */
bool text_is(const char *text, const char *word);

#endif
