/*
 * Headers of the PROXY protocol: bounded, decided by the header's own bytes alone, and the same
 * however they arrive.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/panic.h"
#include "wire/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum proxy_header_result parse(const uint8_t *data, size_t length,
				      enum proxy_protocol expected, struct proxy_header *out)
{
	uint8_t *copy = malloc(length + !length);
	enum proxy_header_result result;

	ASSERT(copy != NULL);
	memcpy(copy, data, length);
	result = proxy_header_parse(copy, length, expected, out);
	free(copy);
	return result;
}

static void check(const uint8_t *data, size_t size, enum proxy_protocol expected)
{
	struct proxy_header whole;
	struct proxy_header part;
	enum proxy_header_result result = parse(data, size, expected, &whole);
	size_t decided = result == PROXY_HEADER_OK ? whole.size : size;

	ASSERT(whole.size <= PROXY_HEADER_V2_MAX && whole.size <= size);
	ASSERT(whole.family == 0 || whole.family == 4 || whole.family == 6);
	ASSERT((result == PROXY_HEADER_OK) == (whole.size > 0));
	ASSERT(result != PROXY_HEADER_NEED_MORE || size < PROXY_HEADER_V2_MAX);
	for (size_t length = 0; length < decided; length++) {
		enum proxy_header_result early = parse(data, length, expected, &part);

		ASSERT(early != PROXY_HEADER_OK);
		/* Once bad, always bad. */
		ASSERT(early != PROXY_HEADER_BAD || result == PROXY_HEADER_BAD);
	}
	if (result != PROXY_HEADER_OK)
		return;
	ASSERT(parse(data, whole.size, expected, &part) == PROXY_HEADER_OK);
	ASSERT(memcmp(&whole, &part, sizeof(whole)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 8192)
		return 0;
	for (int i = PROXY_PROTOCOL_V1; i < PROXY_PROTOCOL_COUNT; i++)
		check(data, size, (enum proxy_protocol)i);
	return 0;
}
