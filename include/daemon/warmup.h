#ifndef POINTSMAN_DAEMON_WARMUP_H
#define POINTSMAN_DAEMON_WARMUP_H

#include "net/loop.h"
#include "worker/snapshot.h"

/*
 * After a start or a reload: derives the SCRAM keys of the passwords in the user list, one each
 * turn of the control loop, so that no log-in has to. See auth/scram.h.
 */
struct warmup;

/* NULL without memory. */
struct warmup *warmup_create(struct loop *loop);
void warmup_destroy(struct warmup **warmup);

/* Begins with a new list; takes a reference of its own until it is done. */
void warmup_begin(struct warmup *warmup, struct snapshot *snapshot);

#endif
