/*
 * Clients that make a mess around the session under test: see churn.h. Each takes a server for a
 * moment and leaves settings and statements that would change, or break, whatever ran under them
 * by mistake. They create nothing that others could see.
 */
#include "churn.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <libpq-fe.h>

#include "../support/support.h"

enum {
	CLIENTS = 2,
	HOLD_MS = 2,
	PAUSE_MS = 3,
	STOP_TIMEOUT_MS = 10000
};

/* What one client does in its n-th turn, its server kept between `begin` and `end`. */
struct turn {
	const char *begin;
	const char *end;
};

static const struct turn turns[] = {
	{ "BEGIN; SELECT 1", "COMMIT" },
	{ "SET search_path = pg_catalog", "SELECT 1" },
	{ "BEGIN READ ONLY; SELECT 2", "ROLLBACK" },
	{ "SET DateStyle = 'German'; SET TimeZone = 'Asia/Kathmandu'", "SELECT now()" },
	{ "BEGIN; SET LOCAL statement_timeout = '1h'; SELECT 1", "COMMIT" },
	{ "SET client_min_messages = 'error'; SET extra_float_digits = 0", "SELECT 0.1" },
	{ "BEGIN; SET enable_seqscan = off; SELECT 1", "COMMIT" },
	{ "SET bytea_output = 'escape'; SET intervalstyle = 'iso_8601'", "SELECT 1" },
	{ "BEGIN; SET ROLE pg_monitor; SELECT 1", "ROLLBACK" },
	{ "SET ROLE pg_monitor", "SELECT current_user" },
	{ "RESET ROLE", "SELECT 1" },
	{ "SET standard_conforming_strings = on; SET quote_all_identifiers = on", "SELECT 1" },
	{ "RESET ALL", "SELECT 1" },
};

#define TURNS (sizeof(turns) / sizeof(turns[0]))

static volatile sig_atomic_t is_stopping;

static void on_term(int signal_number)
{
	(void)signal_number;
	is_stopping = 1;
}

static void exec(PGconn *conn, const char *sql)
{
	PGresult *result = PQexec(conn, sql);
	ExecStatusType status = PQresultStatus(result);

	PQclear(result);
	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
		return;
	support_complain("churn: %s: %s", sql, PQerrorMessage(conn));
	_exit(1);
}

static void serve(PGconn *conns[CLIENTS])
{
	for (size_t n = 0; !is_stopping; n++) {
		PGconn *conn = conns[n % CLIENTS];
		/* Each of them at another place. */
		const struct turn *turn = &turns[(n / CLIENTS + n % CLIENTS * 5) % TURNS];

		exec(conn, turn->begin);
		poll(NULL, 0, HOLD_MS);
		exec(conn, turn->end);
		poll(NULL, 0, PAUSE_MS);
	}
}

static void run(const char *info)
{
	PGconn *conns[CLIENTS];

	for (int i = 0; i < CLIENTS; i++) {
		conns[i] = PQconnectdb(info);
		if (PQstatus(conns[i]) != CONNECTION_OK) {
			support_complain("churn: %s", PQerrorMessage(conns[i]));
			_exit(1);
		}
	}
	serve(conns);
	for (int i = 0; i < CLIENTS; i++)
		PQfinish(conns[i]);
}

pid_t churn_start(int port, const char *user, const char *password, const char *database)
{
	char info[512];
	pid_t pid;

	snprintf(info, sizeof(info),
		 "host=127.0.0.1 port=%d user=%s password=%s dbname=%s application_name=churn",
		 port, user, password, database);
	fflush(NULL);
	pid = fork();
	if (pid != 0)
		return pid;
	signal(SIGTERM, on_term);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	run(info);
	_exit(0);
}

bool churn_stop(pid_t *churn)
{
	int status = -1;
	bool ended;

	kill(*churn, SIGTERM);
	ended = support_wait_gone(*churn, STOP_TIMEOUT_MS, &status);
	if (!ended)
		support_signal_family(*churn, SIGKILL);
	*churn = -1;
	return ended && status == 0;
}
