#ifndef POINTSMAN_DAEMON_DAEMON_H
#define POINTSMAN_DAEMON_DAEMON_H

#include "worker/snapshot.h"

#define POINTSMAN_VERSION "0.1.0"

/*
 * The control thread: opens the sockets, starts the monitor and the workers, accepts, obeys
 * signals and the console, until it is told to stop. Takes the snapshot's reference over. Returns
 * the exit status.
 */
int daemon_serve(struct snapshot *snapshot);

/* `pointsman route`: verdicts of SQL texts, as JSON lines. Returns the exit status. */
int route_tool_main(int argc, char **argv);

#endif
