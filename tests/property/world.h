#ifndef POINTSMAN_TESTS_PROPERTY_WORLD_H
#define POINTSMAN_TESTS_PROPERTY_WORLD_H

#include <stdbool.h>
#include <stddef.h>

#include "../support/cluster.h"
#include "../support/proxy.h"

#define DATABASE "app"

enum {
	CLIENTS = 4,
	SERVERS = 3 /* fewer, so that they must be shared */
};

/* Who the clients of a round are: all the same user, since pools are by user. */
enum world_user {
	USER_PLAIN,
	USER_SUPER,
	USERS
};

extern const char *const world_user_names[USERS];

/*
 * Two clusters with the same in them: one for the reference connections, which go straight to it,
 * and one behind the proxies.
 */
struct world {
	struct test_cluster *direct;
	struct test_cluster *pooled;
	struct test_proxy *proxies[2]; /* split = hints; split = auto, consistency = session */
};

bool world_start(struct world *world);
bool world_stop(struct world *world);

/* Drops and makes all that clients may have changed, the same in both clusters. */
bool world_make_schemas(const struct world *world);

/*
 * The servers of a user in the cluster behind the proxies: none may be in a transaction or hold a
 * lock while no session needs it, waited for; and in each that a proxy gives out now, none of a
 * client's settings, statements, cursors, temporary tables. Says what is wrong on standard
 * output.
 */
bool world_is_clean(const struct world *world, const struct test_proxy *proxy,
		    enum world_user user);

#endif
