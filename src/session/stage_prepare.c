/*
 * Stage prepare: brings the session's settings to a server that was just borrowed, and the
 * prepared statements that a Query names, and waits for the outcome: a request must not run under
 * other settings than its own, nor a part of it when what it executes cannot be prepared; so it
 * is not sent along with them. Servers that are held have the settings already. (Statements of
 * the extended protocol need no wait: relay_send.c.)
 */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "session/client.h"
#include "session/sql_prepare.h"
#include "wire/build.h"
#include "wire/error.h"
#include "wire/frame.h"
#include "wire/message.h"

#define SETUP_MESSAGE_MAX (1024 * 1024)

static enum stage_result send_setup(struct request *request)
{
	struct client *client = request->client;
	struct server *server = client->server;
	struct bytes sql = { 0 };

	if (!settings_transition(server->settings, client->txn.settings, &sql)) {
		bytes_free(&sql);
		lease_end(client);
		return request_fail(request, "53200", "no_memory", "pointsman: out of memory");
	}
	build_query(conn_out(server->conn), (const char *)bytes_begin(&sql), bytes_length(&sql));
	bytes_free(&sql);
	request->is_setup_sent = true;
	conn_flush(server->conn);
	return STAGE_WAIT;
}

/* The server could not take them; all of the setup was rolled back, so it is as it was before. */
static enum stage_result fail_setup(struct request *request)
{
	lease_end(request->client);
	return request_fail(request, request->failure.sqlstate, request->failure.reason,
			    request->failure.message);
}

static bool can_be_set(const struct client *client)
{
	return (!txn_is_open(&client->txn) || txn_is_deferred(&client->txn)) &&
	       !client->is_batch_open;
}

static bool needs_settings(const struct client *client)
{
	return can_be_set(client) &&
	       !settings_are_equal(client->server->settings, client->txn.settings);
}

/* What the names in a Query stand for. */
static enum stage_result send_statements(struct request *request)
{
	struct client *client = request->client;
	struct bytes *out = conn_out(client->server->conn);
	struct bytes messages = { 0 };
	bool is_built = sql_names_set_up(request, &messages);

	if (!is_built || bytes_length(&messages) == 0) {
		bytes_free(&messages);
		if (is_built)
			return STAGE_NEXT;
		client_close(client, CLOSE_NO_MEMORY, "53200", "pointsman: out of memory");
		return STAGE_CLOSE;
	}
	bytes_append(out, bytes_begin(&messages), bytes_length(&messages));
	bytes_free(&messages);
	request->is_setup_sent = true;
	request->is_statement_setup = true;
	conn_flush(client->server->conn);
	return STAGE_WAIT;
}

/*
 * After a RESET the client has been told the server's default where its own start-up option holds:
 * it is told what it has as soon as it has a server with that, be it another one that needs not
 * be set anything.
 */
static void tell_client(struct client *client)
{
	const struct server *server = client->server;
	char name[64];

	for (size_t i = 0; client->conn && i < server->n_reports; i++) {
		const struct server_report *report = &server->reports[i];
		size_t length = strlen(report->name);

		for (size_t at = 0; length < sizeof(name) && at <= length; at++)
			name[at] = (char)tolower((unsigned char)report->name[at]);
		if (length < sizeof(name) && settings_get(client->txn.startup, name))
			build_parameter_status(conn_out(client->conn), report->name,
					       report->value);
	}
	client->wants_reports = false;
}

enum stage_result stage_prepare(struct request *request)
{
	struct client *client = request->client;

	if (request->failure.sqlstate[0])
		return fail_setup(request);
	if (request->is_setup_refused)
		return STAGE_REPLY;
	/* A cancel on its way to this server was meant for the request before. */
	if (!list_is_empty(&client->server->cancels))
		return STAGE_WAIT;
	if (needs_settings(client))
		return send_setup(request);
	if (client->wants_reports && can_be_set(client))
		tell_client(client);
	return request->uses ? send_statements(request) : STAGE_NEXT;
}

static void note_failure(struct request *request, const struct frame *frame)
{
	struct wire_error error;

	wire_error_parse(frame->body, frame->body_length, &error);
	pool_failure_set(&request->failure, error.sqlstate, "settings", "%s", error.message);
}

bool prepare_retry(struct request *request)
{
	const struct txn *txn = &request->client->txn;

	if (request->is_setup_retried || (txn_is_open(txn) && !txn_is_deferred(txn)))
		return false;
	request->is_setup_retried = true;
	request->is_setup_sent = false;
	request->is_statement_setup = false;
	request->failure.sqlstate[0] = '\0';
	request->stage = STAGE_BORROW;
	request_resume(request, false);
	return true;
}

/* The round trip is over; the request goes on, or fails. May end the lease and the request. */
static void end_setup(struct request *request)
{
	struct client *client = request->client;
	struct server *server = client->server;
	bool failed = request->failure.sqlstate[0] != '\0';

	server->txn_status = TXN_IDLE;
	if (!failed) {
		client->is_server_behind = false;
		settings_unref(&server->settings);
		server->settings = settings_ref(client->txn.settings);
		if (client->wants_reports)
			tell_client(client);
	} else if (server->settings) {
		/* What an earlier session had set may be to blame (its statement_timeout, say).
		 */
		pool_discard(&client->server, "could not take other settings");
		if (prepare_retry(request))
			return;
	}
	request->is_setup_sent = false;
	request_resume(request, !failed && !request->uses);
}

/* A statement cannot be prepared: the client is told why, as if EXECUTE had failed. */
static void refuse_statement(struct request *request, const struct frame *frame)
{
	struct client *client = request->client;

	txn_note_error(&client->txn);
	request->has_error = true;
	request->is_setup_refused = true;
	if (client->conn && !sql_names_rewrite_error(client, NULL, frame->body,
						     frame->body_length, conn_out(client->conn)))
		conn_queue(client->conn, frame->body - FRAME_HEADER_BYTES, frame_size(frame));
}

/* The statements are there, or not: then the request has had its answer. */
static void end_statement_setup(struct request *request, uint8_t status)
{
	struct client *client = request->client;

	client->server->txn_status = status;
	request->is_setup_sent = false;
	request->is_statement_setup = false;
	if (!request->is_setup_refused) {
		request_resume(request, true);
		return;
	}
	sql_names_set_up_failed(request);
	if (txn_is_deferred(&client->txn)) /* no server knows of it yet */
		txn_fail_deferred(&client->txn);
	else
		txn_note_ready(&client->txn, status, clock_now());
	if (client->conn) {
		build_ready(conn_out(client->conn), client->txn.status);
		conn_flush(client->conn);
	}
	request_resume(request, false);
}

static bool is_ready_wrong(const struct request *request, const struct frame *frame)
{
	uint8_t status = frame->body_length == 1 ? frame->body[0] : 0;
	uint8_t before = request->client->server->txn_status;

	if (!request->is_statement_setup)
		return status != TXN_IDLE;
	if (status == before)
		return false;
	return !request->is_setup_refused || before != TXN_OPEN || status != TXN_FAILED;
}

size_t stage_prepare_data(struct request *request, const uint8_t *data, size_t length)
{
	struct server *server = request->client->server;
	size_t at = 0;

	while (at < length) {
		struct frame frame;
		enum frame_result result =
			frame_peek(data + at, length - at, SETUP_MESSAGE_MAX, &frame);

		if (result == FRAME_BAD) {
			relay_server_lost(request->client, "malformed message");
			return length;
		}
		if (result == FRAME_NEED_MORE || !frame_is_whole(&frame))
			return at;
		at += frame_size(&frame);
		if (frame.type == MSG_B_PARAMETER_STATUS) {
			server_take_parameter(server, &frame);
		} else if (frame.type == MSG_B_ERROR && request->is_statement_setup)
			refuse_statement(request, &frame);
		else if (frame.type == MSG_B_ERROR)
			note_failure(request, &frame);
		if (frame.type != MSG_B_READY)
			continue;
		/* What the client sends next must not find a transaction that it did not begin.
		 */
		if (is_ready_wrong(request, &frame)) {
			relay_server_lost(request->client,
					  "not idle after its settings were set");
			return length;
		}
		if (request->is_statement_setup)
			end_statement_setup(request, frame.body[0]);
		else
			end_setup(request);
		return at;
	}
	return at;
}
