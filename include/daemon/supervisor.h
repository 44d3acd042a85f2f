#ifndef POINTSMAN_DAEMON_SUPERVISOR_H
#define POINTSMAN_DAEMON_SUPERVISOR_H

#include "worker/snapshot.h"

/*
 * The supervisor: a process with nothing in it that could crash. It keeps the listening sockets
 * and one serving process, passes signals on to it, and starts another one when it has crashed:
 * at once the first time, with growing pauses when that happens again soon. Meanwhile the kernel
 * queues new connections. When the serving process ends by itself, so does the supervisor.
 *
 * Takes the snapshot's reference over. Returns the exit status. The serving process dies with its
 * supervisor.
 */
int supervisor_run(struct snapshot *snapshot);

#endif
