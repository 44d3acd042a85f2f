#ifndef POINTSMAN_WORKER_MAIL_H
#define POINTSMAN_WORKER_MAIL_H

#include <stdbool.h>
#include <sys/socket.h>

#include "net/mailbox.h"
#include "probe/lookup.h"
#include "worker/fleet.h"
#include "worker/worker.h"

/* The messages of enum worker_mail_kind. Each is one allocation; see net/mailbox.h for who frees
 * it. */

struct client_mail {
	struct mail mail;
	int fd;
	struct sockaddr_storage address;
	socklen_t length;
	enum proxy_protocol proxy_protocol; /* what it must begin with */
};

struct topology_mail {
	struct mail mail;
	struct topology *topology; /* one reference */
};

struct snapshot_mail {
	struct mail mail;
	struct snapshot *snapshot; /* one reference */
	struct topology *topology; /* one reference, or NULL: as before */
};

struct cancel_mail {
	struct mail mail;
	struct cancel_round *round;
	struct worker *worker; /* who looks for the session */
};

struct drain_mail {
	struct mail mail;
	bool is_hasty;
};

/* A user that is not in the list: a question to the control thread, which comes back with the
 * answer. */
struct lookup_mail {
	struct mail mail;
	int worker;
	uint64_t id; /* of the log-in's question, on that worker */
	char *user;
	char *database; /* as the client named it */
	struct lookup_answer answer;
};

struct call_mail {
	struct mail mail; /* goes to the worker and comes back as FLEET_MAIL_CALL_DONE */
	fleet_function function;
	struct fleet_call *call;
};

#endif
