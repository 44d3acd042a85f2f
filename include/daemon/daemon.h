#ifndef POINTSMAN_DAEMON_DAEMON_H
#define POINTSMAN_DAEMON_DAEMON_H

#include "base/version.h"
#include "daemon/sockets.h"
#include "worker/snapshot.h"

/*
 * The serving process: its control thread starts the monitor and the workers, accepts, obeys
 * signals and the console, until it is told to stop. Takes the snapshot's reference over; the
 * sockets stay the caller's. Returns the exit status.
 */
int daemon_serve(struct snapshot *snapshot, const struct sockets *sockets);

/* `pointsman route`: verdicts of SQL texts, as JSON lines. Returns the exit status. */
int route_tool_main(int argc, char **argv);

#endif
