/*
 * From a client's bytes to requests: how far the next one goes. Judges message types and lengths,
 * looks into no body. Pure.
 */
#include <stdio.h>

#include "session/client.h"
#include "wire/frame.h"
#include "wire/message.h"

static bool is_copy_message(uint8_t type)
{
	return type == MSG_F_COPY_DATA || type == MSG_F_COPY_DONE || type == MSG_F_COPY_FAIL;
}

/* Does this message end a request, and as what? PARTIAL: it does not. */
static enum request_end end_of(uint8_t type)
{
	switch (type) {
	case MSG_F_QUERY: return REQUEST_QUERY;
	case MSG_F_FUNCTION_CALL: return REQUEST_FUNCTION_CALL;
	case MSG_F_SYNC: return REQUEST_SYNC;
	case MSG_F_FLUSH: return REQUEST_FLUSH;
	default: return REQUEST_PARTIAL;
	}
}

static enum collect_result bad(struct collect_extent *extent, uint8_t type)
{
	if (frame_frontend_body_max(type) == FRAME_NO_SUCH_TYPE || type == MSG_F_PASSWORD)
		snprintf(extent->error, sizeof(extent->error), "invalid frontend message type %u",
			 type);
	else
		snprintf(extent->error, sizeof(extent->error), "invalid message length");
	return COLLECT_BAD;
}

static enum collect_result found(struct collect_extent *extent, size_t size, size_t tail,
				 enum request_end end)
{
	extent->size = size;
	extent->tail = tail;
	extent->end = end;
	return COLLECT_REQUEST;
}

static enum collect_result stray(struct collect_extent *extent, const struct frame *frame)
{
	extent->size = FRAME_HEADER_BYTES + frame->body_present;
	extent->tail = frame_size(frame) - extent->size;
	return COLLECT_STRAY;
}

/* Some messages must have no body at all. */
static bool is_malformed(const struct frame *frame)
{
	switch (frame->type) {
	case MSG_F_SYNC:
	case MSG_F_FLUSH:
	case MSG_F_TERMINATE: return frame->body_length != 0;
	default: return false;
	}
}

/* A message that is not all there. */
static enum collect_result incomplete(const struct frame *frame, size_t at, size_t length,
				      size_t limit, size_t parse_limit,
				      struct collect_extent *extent)
{
	if (at + frame_size(frame) <= limit)
		return COLLECT_MORE;
	if (at > 0) /* what came before it goes ahead */
		return found(extent, at, 0, REQUEST_PARTIAL);
	if (frame->type == MSG_F_PARSE && frame_size(frame) <= parse_limit)
		return COLLECT_MORE;
	if (length < limit)
		return COLLECT_MORE;
	return found(extent, length, frame_size(frame) - length, end_of(frame->type));
}

enum collect_result collect_request(const uint8_t *data, size_t length, size_t limit,
				    size_t parse_limit, struct collect_extent *extent)
{
	size_t at = 0;

	while (at < length) {
		struct frame frame;
		enum frame_result result = frame_peek(data + at, length - at,
						      frame_frontend_body_max(data[at]), &frame);

		if (result == FRAME_NEED_MORE)
			return COLLECT_MORE;
		if (result == FRAME_BAD || is_malformed(&frame) || frame.type == MSG_F_PASSWORD)
			return at > 0 ? found(extent, at, 0, REQUEST_PARTIAL)
				      : bad(extent, data[at]);
		if (is_copy_message(frame.type) || frame.type == MSG_F_TERMINATE) {
			if (at > 0)
				return found(extent, at, 0, REQUEST_PARTIAL);
			return frame.type == MSG_F_TERMINATE ? COLLECT_TERMINATE
							     : stray(extent, &frame);
		}
		if (!frame_is_whole(&frame))
			return incomplete(&frame, at, length, limit, parse_limit, extent);
		at += frame_size(&frame);
		if (end_of(frame.type) != REQUEST_PARTIAL)
			return found(extent, at, 0, end_of(frame.type));
		if (at >= limit)
			return found(extent, at, 0, REQUEST_PARTIAL);
	}
	return COLLECT_MORE;
}
