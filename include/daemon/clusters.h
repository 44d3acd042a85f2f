#ifndef POINTSMAN_DAEMON_CLUSTERS_H
#define POINTSMAN_DAEMON_CLUSTERS_H

#include <stdbool.h>

#include "config/config.h"
#include "probe/monitor.h"

/*
 * What the monitor is told of the configured clusters, in one allocation (the clusters, then all
 * their nodes) which the caller frees; the strings stay the configuration's. NULL without memory.
 */
struct monitor_cluster *clusters_describe(const struct config *config);

/* Would the monitor see any difference between the two? */
bool clusters_are_same(const struct config *a, const struct config *b);

#endif
