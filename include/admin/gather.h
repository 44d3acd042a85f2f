#ifndef POINTSMAN_ADMIN_GATHER_H
#define POINTSMAN_ADMIN_GATHER_H

#include <stdbool.h>
#include <stdint.h>

#include "admin/rows.h"
#include "admin/text.h"
#include "base/clock.h"
#include "pool/mode.h"
#include "route/route.h"
#include "session/stage.h"
#include "sql/verdict.h"
#include "stats/traffic.h"
#include "worker/fleet.h"

/*
 * What the console asks workers for. Each gather_* runs on a worker's thread, for fleet_call(),
 * and leaves a struct rows; the control thread merges them with rows_merge() and the functions of
 * the row's type.
 */

/* Whether a socket is a client's or a server's. */
enum socket_kind {
	SOCKET_CLIENT = 'C',
	SOCKET_SERVER = 'S'
};

/* SHOW CLIENTS, SERVERS, SOCKETS, PINS. Times are points on the monotonic clock, 0: never. */
struct socket_row {
	enum socket_kind kind;
	uint64_t id;
	uint64_t link; /* id of the other side, 0: none */
	char user[TEXT_NAME_MAX];
	char database[TEXT_NAME_MAX];
	char node[TEXT_NAME_MAX]; /* "" without a server */
	char application_name[TEXT_NAME_MAX];
	char tls[CONN_TLS_TEXT_BYTES]; /* version, cipher, curve; "": none */
	const char *state;             /* static text */
	char address[46];
	char local_address[46];
	int port;
	int local_port;
	usec connected_at;
	usec request_at;
	usec wait;
	usec pinned_at[PIN_COUNT];
	enum startup_replication replication;
	enum pin_reason pin; /* one of them */
	unsigned pins;       /* 1 << reason */
	bool is_close_needed;
	uint32_t pid;
	size_t statements;
	size_t unread;
	size_t unsent;
	int worker;
};

void gather_clients(struct worker *worker, void *argument, void **result);
void gather_servers(struct worker *worker, void *argument, void **result);
void gather_sockets(struct worker *worker, void *argument, void **result);
int socket_row_compare(const void *a, const void *b);

/* SHOW POOLS: (database, user, node). A client counts at the node that it uses, waits for or used
 * last. */
struct pool_row {
	char database[TEXT_NAME_MAX];
	char user[TEXT_NAME_MAX];
	char cluster[TEXT_NAME_MAX];
	char node[TEXT_NAME_MAX];
	enum pool_mode mode;
	unsigned clients_active;
	unsigned clients_waiting;
	usec max_wait;
	size_t active;
	size_t idle;
	size_t used; /* idle for longer than server_check_delay */
	size_t tested;
	size_t login;
	size_t being_canceled;
};

void gather_pools(struct worker *worker, void *argument, void **result);
int pool_row_compare(const void *a, const void *b);
void pool_row_fold(void *into, const void *from);

/* SHOW DATABASES, STATS... */
struct database_row {
	char name[TEXT_NAME_MAX];
	struct traffic traffic;
	size_t clients;
	size_t servers;
	bool is_paused;
	bool is_disabled;
	bool is_retired;
};

void gather_databases(struct worker *worker, void *argument, void **result);
int database_row_compare(const void *a, const void *b);
void database_row_fold(void *into, const void *from);

/* SHOW ROUTES: only what has happened. */
struct route_row {
	char database[TEXT_NAME_MAX];
	enum route_reason reason;
	int target; /* as in session_database.routes */
	uint64_t count;
};

void gather_routes(struct worker *worker, void *argument, void **result);
int route_row_compare(const void *a, const void *b);
void route_row_fold(void *into, const void *from);

/* SHOW PREPARED (show_prepared.c): each text of each worker. */
struct prepared_row {
	uint64_t id;
	int form; /* enum statement_form */
	int worker;
	unsigned references;
	unsigned servers; /* of this worker, that have it */
	size_t bytes;
	uint32_t parses;
	uint32_t prepares;
	uint32_t uses;
	uint32_t expired;
	char text[200];
};

void gather_prepared(struct worker *worker, void *argument, void **result);
int prepared_row_compare(const void *a, const void *b);

/* SHOW CHAIN. */
struct stage_row {
	int stage;
	uint64_t entered;
	uint64_t passed;
	uint64_t waited;
	uint64_t answered;
	uint64_t failed;
	uint64_t broken;
	usec time;
};

/* Pins of one reason. */
struct pin_row {
	int reason;
	uint64_t begun;
	uint64_t ended;
	uint64_t sessions; /* now */
};

void gather_pins(struct worker *worker, void *argument, void **result);
int pin_row_compare(const void *a, const void *b);
void pin_row_fold(void *into, const void *from);

void gather_stages(struct worker *worker, void *argument, void **result);
int stage_row_compare(const void *a, const void *b);
void stage_row_fold(void *into, const void *from);

/* SHOW USERS. */
struct user_row {
	char name[TEXT_NAME_MAX];
	size_t clients;
	size_t servers;
};

void gather_users(struct worker *worker, void *argument, void **result);
int user_row_compare(const void *a, const void *b);
void user_row_fold(void *into, const void *from);

/* SHOW CHANNELS. */
struct channel_row {
	char cluster[TEXT_NAME_MAX];
	char database[TEXT_NAME_MAX]; /* on the servers */
	char name[TEXT_NAME_MAX];
	size_t sessions;
	bool is_heard; /* by the listening connection, for all workers */
};

void gather_channels(struct worker *worker, void *argument, void **result);
int channel_row_compare(const void *a, const void *b);
void channel_row_fold(void *into, const void *from);

/* SHOW LISTS: things with names, which several workers may have, and plain numbers (with name
 * ""). */
enum list_kind {
	LIST_DATABASE,
	LIST_USER,
	LIST_POOL,
	LIST_CLIENTS,
	LIST_LOGINS,
	LIST_FREE_SERVERS,
	LIST_USED_SERVERS,
	LIST_KIND_COUNT
};

struct list_row {
	enum list_kind kind;
	char name[4 * TEXT_NAME_MAX];
	size_t count; /* of what has no names */
};

void gather_lists(struct worker *worker, void *argument, void **result);
int list_row_compare(const void *a, const void *b);
void list_row_fold(void *into, const void *from);

/* SHOW MEM. */
struct memory_row {
	const char *name; /* static text */
	size_t size;      /* of one, 0 where they differ */
	size_t used;
	size_t free;
	size_t total;
};

void gather_memory(struct worker *worker, void *argument, void **result);
int memory_row_compare(const void *a, const void *b);
void memory_row_fold(void *into, const void *from);

/* The value of application_name among what a session has set; "" when it is not. */
struct settings;
void gather_application_name(const struct settings *settings, char *out, size_t out_size);

#endif
