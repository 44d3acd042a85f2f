/*
 * A session's hold on a server: when it is given back, and how. pool_return() is called from here
 * only; a server that cannot be trusted any more is discarded by whoever sees that.
 */
#include "session/client.h"
#include "wire/build.h"
#include "wire/message.h"

void lease_begin(struct client *client, struct server *server, size_t node_index)
{
	client->server = server;
	client->is_server_behind = false;
	client->node_index = node_index;
	pool_set_user(server, &client_as_server_user, client);
}

/* Outside a transaction the server has what the session has: all changes were the session's. */
static void note_settings(struct client *client)
{
	struct server *server = client->server;

	/* The prepare stage brings it up again, before the next request that it is sent. */
	if (client->is_server_behind) {
		settings_unref(&server->settings);
		return;
	}
	if (server->settings == client->txn.settings)
		return;
	settings_unref(&server->settings);
	server->settings = settings_ref(client->txn.settings);
}

void lease_settle(struct client *client)
{
	if (!client->server || !relay_is_quiet(client) || client->is_batch_open ||
	    client->server->txn_status != TXN_IDLE)
		return;
	note_settings(client);
	if ((client->is_server_behind || client->is_server_odd) && !pins_are_held(&client->pins) &&
	    client->identity->rules.mode != POOL_SESSION) {
		client->is_server_behind = client->is_server_odd = false;
		pool_return(&client->server, POOL_RETURN_RESET);
		return;
	}
	if (client->identity->rules.mode == POOL_SESSION)
		return;
	if (pins_are_held(&client->pins)) {
		pins_ask(client);
		return;
	}
	client->is_unnamed_foreign = false;
	pool_return(&client->server, POOL_RETURN_CLEAN);
}

/* It goes with its session, and is told so unless it is in the middle of a message. */
static void end_dedicated(struct client *client)
{
	if (client->client_tail == 0 || client->is_tail_dropped) {
		build_empty(conn_out(client->server->conn), MSG_F_TERMINATE);
		conn_flush(client->server->conn);
	}
	pool_discard(&client->server, "its session has ended");
}

void lease_end(struct client *client)
{
	bool leaves_state = pins_are_held(&client->pins) || client->is_server_odd ||
			    client->is_server_behind ||
			    client->identity->rules.mode == POOL_SESSION;

	if (!client->server)
		return;
	if (client->server->is_dedicated) {
		end_dedicated(client);
		return;
	}
	if (!relay_is_quiet(client) || client->is_batch_open) {
		pool_discard(&client->server, "given up in the middle of a request");
		return;
	}
	/* What a transaction that is rolled back now has set goes with it. */
	if (client->server->txn_status != TXN_IDLE) {
		settings_unref(&client->server->settings);
		client->server->settings = settings_ref(client->txn.committed);
	}
	if (pins_outlast_reset(&client->pins)) {
		pool_discard(&client->server, "no reset undoes what its session has done to it");
		return;
	}
	if (leaves_state)
		pool_return(&client->server, POOL_RETURN_RESET);
	else if (client->server->txn_status != TXN_IDLE)
		pool_return(&client->server, POOL_RETURN_ROLLBACK);
	else
		pool_return(&client->server, POOL_RETURN_CLEAN);
}
