/* Texts that grow, for what is sent, came and is printed: see text.h. */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void reserve(struct text *text, size_t more)
{
	if (text->length + more + 1 <= text->room)
		return;
	text->room = (text->length + more + 1) * 2;
	text->data = realloc(text->data, text->room);
	if (text->data == NULL)
		abort();
}

void text_add(struct text *text, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (length < 0)
		abort();
	reserve(text, (size_t)length);
	va_start(args, format);
	vsnprintf(text->data + text->length, (size_t)length + 1, format, args);
	va_end(args);
	text->length += (size_t)length;
}

void text_add_bytes(struct text *text, const uint8_t *data, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (data[i] < 0x20 || data[i] >= 0x7f || data[i] == '\\')
			text_add(text, "\\x%02x", data[i]);
		else
			text_add(text, "%c", data[i]);
	}
}

void text_clear(struct text *text)
{
	text->length = 0;
	if (text->data != NULL)
		text->data[0] = '\0';
}

void text_free(struct text *text)
{
	free(text->data);
	*text = (struct text){ 0 };
}

const char *text_of(const struct text *text)
{
	return text->data == NULL ? "" : text->data;
}
