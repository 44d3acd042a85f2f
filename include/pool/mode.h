#ifndef POINTSMAN_POOL_MODE_H
#define POINTSMAN_POOL_MODE_H

/* How long a session keeps the server it was lent (PgBouncer's pool modes). */
enum pool_mode {
	POOL_SESSION,     /* until the client goes */
	POOL_TRANSACTION, /* until its transaction ends */
	POOL_STATEMENT,   /* for one request; transactions over several are refused */
};

/* "session", "transaction", "statement". */
const char *pool_mode_name(enum pool_mode mode);

#endif
