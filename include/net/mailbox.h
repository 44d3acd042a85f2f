#ifndef POINTSMAN_NET_MAILBOX_H
#define POINTSMAN_NET_MAILBOX_H

#include "net/loop.h"

/*
 * The only way from one thread into another: messages that are received on the other's loop,
 * those of one sender in the order they were posted.
 */
struct mailbox;

/* First member of every message. The sender allocates; ownership goes with the message. */
struct mail {
	struct mail *next;
	int kind; /* the receiver's switch reads it */
};

typedef void (*mailbox_receive)(void *context, struct mail *mail);

/* NULL without memory or descriptors. */
struct mailbox *mailbox_create(struct loop *loop, mailbox_receive receive, void *context);

/*
 * Mail still in it is handed to `discard` first (NULL: forgotten). Nobody may post any more.
 * Accepts NULL.
 */
void mailbox_destroy(struct mailbox **mailbox, mailbox_receive discard, void *context);

/* Any thread. */
void mailbox_post(struct mailbox *mailbox, struct mail *mail);

#endif
