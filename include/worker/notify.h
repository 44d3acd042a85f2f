#ifndef POINTSMAN_WORKER_NOTIFY_H
#define POINTSMAN_WORKER_NOTIFY_H

#include <stdbool.h>

#include "net/mailbox.h"
#include "session/channels.h"

/*
 * One connection of the process listens for all sessions of a database, on the primary. It
 * belongs to one worker, which the name of the database decides; the others ask that one by mail
 * for the channels that their sessions want, and are mailed what is heard. Between the two the
 * order of mail is the order of events, so neither ever holds a lock or waits.
 *
 *   session -> channels.c -> notify_order() --mail--> owner: pool/listening.c -> LISTEN
 *   session <- channels.c <---mail--- owner <- NotificationResponse, or the end of it
 */

struct worker;
struct hub; /* of one database, at its owner */

/* For ops->listen: passes the order on to the owner. false without memory. */
bool notify_order(struct worker *worker, const struct channel_order *order);

/* Takes mail of WORKER_MAIL_ORDER, at the owner, and WORKER_MAIL_HEARD; frees it. */
void notify_receive(struct worker *worker, struct mail *mail);

/*
 * A new picture of the nodes, or a new configuration: who waits for a primary may have it now,
 * and who listens at what is not the primary any more must stop.
 */
void notify_check(struct worker *worker);

/* The worker ends. */
void notify_end(struct worker *worker);

#endif
