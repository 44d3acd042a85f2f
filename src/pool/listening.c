/*
 * A server that listens for everybody; see pool/listening.h. The worker's thread that owns the
 * pool runs it. It knows nothing of who wants what (worker/notify.c).
 */
#include "pool/listening.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/list.h"
#include "wire/build.h"
#include "wire/cursor.h"
#include "wire/error.h"
#include "wire/frame.h"
#include "wire/message.h"

enum command_kind {
	COMMAND_LISTEN,
	COMMAND_UNLISTEN,
	COMMAND_PROVE
};

/* A command whose answer is due, or that waits for a server; in order. */
struct command {
	struct list_node node;
	enum command_kind kind;
	bool has_failed;
	uint64_t serial;
	char channel[];
};

struct listening {
	struct pool *pool;
	const struct listening_handler *handler;
	void *context;
	struct pool_waiter waiter;
	struct pool_failure
		failure; /* of the command being answered; or why there is no server */
	struct loop_deferred ending;
	struct server *server; /* NULL: not yet */
	struct list commands;
};

const struct pool *listening_pool(const struct listening *listening)
{
	return listening->pool;
}

bool listening_is_outdated(const struct listening *listening)
{
	return listening->server && listening->server->is_close_needed;
}

/* --- commands --- */

static void send_command(struct listening *listening, const struct command *command)
{
	struct bytes sql = { 0 };

	if (command->kind == COMMAND_PROVE) {
		build_query(conn_out(listening->server->conn), "", 0);
		return;
	}
	bytes_append_text(&sql, command->kind == COMMAND_LISTEN ? "LISTEN \"" : "UNLISTEN \"");
	for (const char *at = command->channel; *at; at++)
		bytes_append(&sql, *at == '"' ? "\"\"" : at, *at == '"' ? 2 : 1);
	bytes_append_text(&sql, "\"");
	if (sql.failed)
		conn_out(listening->server->conn)->failed = true;
	else
		build_query(conn_out(listening->server->conn), (const char *)bytes_begin(&sql),
			    bytes_length(&sql));
	bytes_free(&sql);
}

static bool add_command(struct listening *listening, const char *channel, enum command_kind kind,
			uint64_t serial)
{
	size_t size = strlen(channel) + 1;
	struct command *command = calloc(1, sizeof(*command) + size);

	if (!command)
		return false;
	command->kind = kind;
	command->serial = serial;
	memcpy(command->channel, channel, size);
	list_push_back(&listening->commands, &command->node);
	if (listening->server) {
		send_command(listening, command);
		conn_flush(listening->server->conn);
	}
	return true;
}

bool listening_add(struct listening *listening, const char *channel, uint64_t serial)
{
	return add_command(listening, channel, COMMAND_LISTEN, serial);
}

bool listening_drop(struct listening *listening, const char *channel)
{
	return add_command(listening, channel, COMMAND_UNLISTEN, 0);
}

bool listening_prove(struct listening *listening)
{
	return add_command(listening, "", COMMAND_PROVE, 0);
}

static struct command *first_command(const struct listening *listening)
{
	struct list_node *node = list_first(&listening->commands);

	return node ? LIST_ENTRY(node, struct command, node) : NULL;
}

static void drop_commands(struct listening *listening)
{
	struct list_node *node;

	while ((node = list_pop_front(&listening->commands)) != NULL)
		free(LIST_ENTRY(node, struct command, node));
}

/* --- what the server says --- */

static void note_error(struct listening *listening, const struct frame *frame)
{
	struct command *command = first_command(listening);
	struct wire_error error;

	if (!command)
		return; /* why it is about to close */
	wire_error_parse(frame->body, frame->body_length, &error);
	pool_failure_set(&listening->failure, error.sqlstate, "listen", "%s", error.message);
	command->has_failed = true;
}

/* false: it breaks the protocol. */
static bool take_ready(struct listening *listening, const struct frame *frame)
{
	struct command *command = first_command(listening);

	if (!command || frame->body_length != 1 || frame->body[0] != TXN_IDLE)
		return false;
	list_remove(&listening->commands, &command->node);
	if (command->kind == COMMAND_PROVE)
		listening->handler->proved(listening->context);
	else if (command->kind == COMMAND_LISTEN)
		listening->handler->answered(listening->context, command->channel,
					     command->serial,
					     command->has_failed ? &listening->failure : NULL);
	free(command);
	return true;
}

static bool take_notification(struct listening *listening, const struct frame *frame)
{
	struct cursor c;
	const char *channel;

	cursor_init(&c, frame->body, frame->body_length);
	cursor_u32(&c);
	channel = cursor_string(&c);
	cursor_string(&c);
	if (!cursor_done(&c))
		return false;
	listening->handler->heard(listening->context, channel, frame->body - FRAME_HEADER_BYTES,
				  frame_size(frame));
	return true;
}

static bool take_message(struct listening *listening, const struct frame *frame)
{
	switch (frame->type) {
	case MSG_B_NOTIFICATION: return take_notification(listening, frame);
	case MSG_B_READY: return take_ready(listening, frame);
	case MSG_B_ERROR: note_error(listening, frame); return true;
	case MSG_B_EMPTY_QUERY:
	case MSG_B_COMMAND_COMPLETE: return first_command(listening) != NULL;
	case MSG_B_PARAMETER_STATUS: return server_take_parameter(listening->server, frame);
	case MSG_B_NOTICE: return true;
	default: return false;
	}
}

/* --- the end --- */

static void tell_end(void *context)
{
	struct listening *listening = context;

	listening->handler->ended(listening->context, &listening->failure);
}

/* From the loop, since a handler may be in the middle of asking for more. */
static void end(struct listening *listening, const struct pool_failure *failure)
{
	listening->failure = *failure;
	drop_commands(listening);
	loop_defer(listening->pool->env->loop, &listening->ending, tell_end, listening);
}

static void end_because(struct listening *listening, const char *why)
{
	struct pool_failure failure;

	pool_failure_set(&failure, "08006", "server_lost", "%s", why);
	end(listening, &failure);
}

static size_t on_data(void *context, const uint8_t *data, size_t length)
{
	struct listening *listening = context;
	size_t at = 0;

	while (at < length && listening->server) {
		struct frame frame;
		enum frame_result result =
			frame_peek(data + at, length - at, LISTENING_MESSAGE_MAX, &frame);

		if (result == FRAME_NEED_MORE || (result == FRAME_OK && !frame_is_whole(&frame)))
			return at;
		if (result == FRAME_BAD || !take_message(listening, &frame)) {
			pool_discard(&listening->server, "it broke the protocol");
			end_because(listening, "it broke the protocol");
			return length;
		}
		at += frame_size(&frame);
	}
	return at;
}

static void on_drained(void *context)
{
	(void)context;
}

static void on_lost(void *context, const char *why)
{
	struct listening *listening = context;

	listening->server = NULL;
	end_because(listening, why);
}

static void on_cancels_ended(void *context)
{
	(void)context;
}

static const struct server_user listening_as_server_user = { on_data, on_drained, on_lost,
							     on_cancels_ended };

/* --- life --- */

static void begin(struct listening *listening, struct server *server)
{
	listening->server = server;
	pool_set_user(server, &listening_as_server_user, listening);
	LIST_EACH (&listening->commands, node)
		send_command(listening, LIST_ENTRY(node, struct command, node));
	conn_flush(server->conn);
}

static void on_served(struct pool_waiter *waiter, struct server *server)
{
	begin(CONTAINER_OF(waiter, struct listening, waiter), server);
}

static void on_refused(struct pool_waiter *waiter, const struct pool_failure *failure)
{
	end(CONTAINER_OF(waiter, struct listening, waiter), failure);
}

struct listening *listening_create(struct pool *pool, const struct listening_handler *handler,
				   void *context)
{
	struct listening *listening = calloc(1, sizeof(*listening));
	struct server *server;

	if (!listening)
		return NULL;
	listening->pool = pool;
	listening->handler = handler;
	listening->context = context;
	listening->waiter.served = on_served;
	listening->waiter.failed = on_refused;
	list_init(&listening->commands);
	switch (pool_borrow(pool, &listening->waiter, NULL, &server, &listening->failure)) {
	case POOL_LENT: begin(listening, server); break;
	case POOL_WAITING: break;
	case POOL_REFUSED:
		loop_defer(pool->env->loop, &listening->ending, tell_end, listening);
		break;
	}
	return listening;
}

void listening_destroy(struct listening **listening_pointer)
{
	struct listening *listening = *listening_pointer;

	*listening_pointer = NULL;
	if (!listening)
		return;
	pool_forget(&listening->waiter);
	loop_defer_cancel(listening->pool->env->loop, &listening->ending);
	if (listening->server)
		pool_discard(&listening->server, "nobody listens any more");
	drop_commands(listening);
	free(listening);
}
