#ifndef POINTSMAN_TESTS_PROPERTY_TEXT_H
#define POINTSMAN_TESTS_PROPERTY_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* A text that grows. Zeroed is empty; `data` is NULL then. Out of memory ends the program. */
struct text {
	char *data;
	size_t length;
	size_t room;
};

void text_add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Bytes that may be anything, in printable form. */
void text_add_bytes(struct text *text, const uint8_t *data, size_t length);

void text_clear(struct text *text); /* keeps the memory */
void text_free(struct text *text);

/* "" instead of NULL. */
const char *text_of(const struct text *text);

#endif
