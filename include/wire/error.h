#ifndef POINTSMAN_WIRE_ERROR_H
#define POINTSMAN_WIRE_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Reading the body of an ErrorResponse or NoticeResponse as untrusted input: fields may be
 * missing, repeated (the first counts), unknown or unterminated. Absent fields are "", never
 * NULL; sqlstate is "XX000" when it is absent or not five characters long. Pointers lead into the
 * body.
 */
struct wire_error {
	const char *severity; /* field V where present, else S */
	char sqlstate[6];
	const char *message;
	const char *detail;
	const char *hint;
};

/*
 * false when a field is not terminated or the list does not end where the body does; what was
 * read so far is filled.
 */
bool wire_error_parse(const uint8_t *body, size_t length, struct wire_error *out);

#endif
