#ifndef POINTSMAN_SESSION_RELAY_PRIVATE_H
#define POINTSMAN_SESSION_RELAY_PRIVATE_H

#include "session/client.h"

/* What the two halves of the relay, relay_send.c and relay_replies.c, share with nobody else. */

/* Our own answers go out as soon as they are first in the queue. */
void relay_emit_answers(struct client *client);

/* Takes back on the server's side what an entry stands for that the server skips. */
void relay_undo_entry(struct client *client, const struct pending_entry *entry);

/* --- src/session/relay_heal.c --- */

/* The request relies on statements that were prepared before: its bytes are kept. */
void relay_keep_request(struct request *request, const uint8_t *bytes);

/* An error has come. true: it is ours to heal; it is not passed on, nor what comes up to the next
 * ReadyForQuery. */
struct frame;
bool relay_heal(struct client *client, const struct frame *frame);

/* All answers have come. true: the request goes on, with what was prepared anew. */
bool relay_resume_healed(struct client *client);

/* The server has read past these Syncs, which it ignored: see take_copy_in(). */
void relay_drop_optional_syncs(struct client *client);

#endif
