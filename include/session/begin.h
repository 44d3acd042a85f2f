#ifndef POINTSMAN_SESSION_BEGIN_H
#define POINTSMAN_SESSION_BEGIN_H

#include <stdbool.h>

#include "route/route.h"
#include "session/request.h"

/*
 * Lazy begin: a BEGIN that comes alone is answered by us and owed to a server, which is
 * sent it together with the first statement that needs one (relay_send.c); so its node is chosen
 * by what the transaction does first, and an empty transaction costs no server anything. What is
 * owed is kept in session/txn.h.
 *
 * Only in transaction mode, and only while no server is held: a session that has one loses
 * nothing by sending it the BEGIN at once.
 */

/*
 * Is the classified request a BEGIN that can be put off, or the COMMIT or ROLLBACK of a
 * transaction that no server has seen? Then its messages become answers of ours. false without
 * memory.
 */
bool begin_classify(struct request *request);

/* Is this message, of a request that is answered by us, what begin_execute() is for? */
bool begin_is_own(const struct op *op);

/* Carries out such a Query or Execute, and appends its CommandComplete; false: an error. */
bool begin_execute(struct client *client, const struct statement_facts *facts, struct bytes *out);

/*
 * The transaction that the request begins on the server it is about to get, if any. A session
 * whose transactions are all serializable begins one that writes, whatever it says: a standby
 * refuses it.
 */
enum route_begin begin_route(const struct request *request);

#endif
