#ifndef POINTSMAN_TESTS_REGRESS_CHURN_H
#define POINTSMAN_TESTS_REGRESS_CHURN_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Other clients of the same user and database, so that the session under test changes its server
 * again and again, and finds there what somebody else has set and prepared. Without them it would
 * meet the same server each time, and no mistake of a pool would show.
 */

/* Starts them, as a process of their own that ends with the caller; -1 on failure. */
pid_t churn_start(int port, const char *user, const char *password, const char *database);

/* Ends them. false when one of them had an error: none of what they do can fail. */
bool churn_stop(pid_t *churn);

#endif
