/*
 * Cleaning of text that is shown on the console; see admin/text.h. Pure; any thread.
 */
#include "admin/text.h"

#include <stdint.h>
#include <strings.h>

/* The length of the well-formed character of more than one byte at `s` (RFC 3629), 0: there is
 * none. */
static size_t multibyte_length(const uint8_t *s)
{
	static const struct {
		uint8_t first_min, first_max, second_min, second_max, length;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (s[0] < forms[i].first_min || s[0] > forms[i].first_max)
			continue;
		if (s[1] < forms[i].second_min || s[1] > forms[i].second_max)
			return 0;
		for (size_t at = 2; at < forms[i].length; at++) {
			if ((s[at] & 0xc0) != 0x80)
				return 0;
		}
		return forms[i].length;
	}
	return 0;
}

void text_clean(char *out, size_t out_size, const char *text)
{
	const uint8_t *s = (const uint8_t *)(text ? text : "");
	size_t at = 0;

	while (*s) {
		size_t length = *s < 0x80 ? 1 : multibyte_length(s);
		bool is_bad = length == 0 || *s < 0x20 || *s == 0x7f ||
			      (length == 2 && s[0] == 0xc2 && s[1] < 0xa0); /* C1 controls */

		if (length == 0)
			length = 1;
		if (at + (is_bad ? 1 : length) >= out_size)
			break;
		if (is_bad)
			out[at++] = '?';
		for (size_t i = 0; !is_bad && i < length; i++)
			out[at++] = (char)s[i];
		s += length;
	}
	out[at] = '\0';
}

bool text_is(const char *text, const char *word)
{
	return strcasecmp(text, word) == 0;
}
