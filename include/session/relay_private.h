#ifndef POINTSMAN_SESSION_RELAY_PRIVATE_H
#define POINTSMAN_SESSION_RELAY_PRIVATE_H

#include "session/client.h"

/* What the two halves of the relay, relay_send.c and relay_replies.c, share with nobody else. */

/* Our own answers go out as soon as they are first in the queue. */
void relay_emit_answers(struct client *client);

/* The server has read past these Syncs, which it ignored: see take_copy_in(). */
void relay_drop_optional_syncs(struct client *client);

#endif
