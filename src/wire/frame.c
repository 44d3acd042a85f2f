/*
 * Message framing: the one place that reads a message length from the wire. The length
 * is unsigned and is compared with the bound of its message type before it takes part in any
 * arithmetic. Does not look into bodies, and does not know in which state a type is allowed:
 * that is the session's. Pure; any thread.
 */

#include "wire/frame.h"

#include <stddef.h>

#include "wire/message.h"

/*
 * src/backend/tcop/postgres.c:SocketBackend reads with two limits only, and its limit counts
 * the length field. A body of 9,996 bytes is thus the longest that PostgreSQL itself takes of
 * the messages that have no body: it reads it, then complains of the contents.
 */
#define EMPTY_BODY_MAX 9996u

/*
 * Describe, Close, Execute and CopyFail carry a name or one line of text. PostgreSQL has 9,996
 * for them too; here the names are replaced on their way to a server, so there is room.
 */
#define SMALL_BODY_MAX 65535u

/* A ParameterStatus holds any setting's value (search_path is reported since version 18). */
#define STATUS_BODY_MAX 0x100000u

/* As many types as fit into a count of 16 bits, behind the count. */
#define PARAMETER_DESCRIPTION_BODY_MAX (2u + 4u * 65535u)
#define COPY_RESPONSE_BODY_MAX         (1u + 2u + 2u * 65535u)

#define KEY_BODY_MAX   (4u + 256u) /* protocol 3.2: keys of up to 256 bytes */
#define READY_BODY_MAX 1u

/* Shift and or: the input has no alignment, and a cast would read beyond a page's end. */
static uint32_t read_length(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

enum frame_result frame_peek(const uint8_t *data, size_t length, uint32_t body_max,
			     struct frame *frame_out)
{
	uint32_t declared;
	size_t present;

	*frame_out = (struct frame){ 0 };
	if (length < FRAME_HEADER_BYTES)
		return FRAME_NEED_MORE;
	declared = read_length(data + 1);

	if (body_max == FRAME_NO_SUCH_TYPE)
		return FRAME_BAD;
	if (body_max > FRAME_BODY_MAX)
		body_max = FRAME_BODY_MAX;
	/* body_max is far below 2^32 - 4, and the length at least 4: neither side wraps. */
	if (declared < 4 || declared - 4 > body_max)
		return FRAME_BAD;

	present = length - FRAME_HEADER_BYTES;
	frame_out->type = data[0];
	frame_out->body_length = declared - 4;
	frame_out->body = data + FRAME_HEADER_BYTES;
	frame_out->body_present =
		present < frame_out->body_length ? present : frame_out->body_length;
	return FRAME_OK;
}

uint32_t frame_frontend_body_max(uint8_t type)
{
	switch (type) {
	case MSG_F_BIND:
	case MSG_F_COPY_DATA:
	case MSG_F_FUNCTION_CALL:
	case MSG_F_PARSE:
	case MSG_F_QUERY: return FRAME_BODY_MAX;
	case MSG_F_CLOSE:
	case MSG_F_COPY_FAIL:
	case MSG_F_DESCRIBE:
	case MSG_F_EXECUTE: return SMALL_BODY_MAX;
	case MSG_F_COPY_DONE:
	case MSG_F_FLUSH:
	case MSG_F_SYNC:
	case MSG_F_TERMINATE: return EMPTY_BODY_MAX;
	case MSG_F_PASSWORD: return FRAME_LOGIN_BODY_MAX;
	default: return FRAME_NO_SUCH_TYPE;
	}
}

uint32_t frame_backend_body_max(uint8_t type)
{
	switch (type) {
	case MSG_B_COPY_DATA:
	case MSG_B_DATA_ROW:
	case MSG_B_ERROR: /* an error quotes the statement, which may be as long as any */
	case MSG_B_FUNCTION_RESULT:
	case MSG_B_NOTICE:
	case MSG_B_ROW_DESCRIPTION: return FRAME_BODY_MAX;
	case MSG_B_PARAMETER_STATUS: return STATUS_BODY_MAX;
	case MSG_B_PARAMETER_DESCRIPTION: return PARAMETER_DESCRIPTION_BODY_MAX;
	case MSG_B_COPY_BOTH:
	case MSG_B_COPY_IN:
	case MSG_B_COPY_OUT: return COPY_RESPONSE_BODY_MAX;
	case MSG_B_AUTHENTICATION: return FRAME_LOGIN_BODY_MAX;
	case MSG_B_COMMAND_COMPLETE:
	case MSG_B_NEGOTIATE_VERSION:
	case MSG_B_NOTIFICATION: return SMALL_BODY_MAX;
	case MSG_B_BACKEND_KEY_DATA: return KEY_BODY_MAX;
	case MSG_B_READY: return READY_BODY_MAX;
	case MSG_B_BIND_COMPLETE:
	case MSG_B_CLOSE_COMPLETE:
	case MSG_B_COPY_DONE:
	case MSG_B_EMPTY_QUERY:
	case MSG_B_NO_DATA:
	case MSG_B_PARSE_COMPLETE:
	case MSG_B_PORTAL_SUSPENDED: return 0;
	default: return FRAME_NO_SUCH_TYPE;
	}
}
