#ifndef POINTSMAN_DAEMON_SOCKETS_H
#define POINTSMAN_DAEMON_SOCKETS_H

#include <stdbool.h>

#include "config/config.h"

#define SOCKETS_MAX 64

/*
 * The listening sockets. The supervisor opens them once and keeps them for as long as it lives,
 * so that while a serving process is replaced the kernel queues new connections and refuses none.
 */
struct sockets {
	int fds[SOCKETS_MAX];
	enum proxy_protocol proxy_protocols[SOCKETS_MAX]; /* what comes first on them */
	int count;
	int admin_fd; /* -1: no admin socket */
};

/* Opens all that the configuration names. false: what is wrong is in the log, and none is open.
 */
bool sockets_open(struct sockets *sockets, const struct config *config);

/* Closes them and removes the files of unix sockets. */
void sockets_close(struct sockets *sockets, const struct config *config);

#endif
