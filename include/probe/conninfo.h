#ifndef POINTSMAN_PROBE_CONNINFO_H
#define POINTSMAN_PROBE_CONNINFO_H

#include <stdbool.h>
#include <stddef.h>

#include "net/tls.h"

/* What connections through libpq have in common. */

#define CONNINFO_TLS_MAX 6

/*
 * An address as libpq wants it: numbers for hostaddr, or the directory of a unix socket for host.
 * false: it has no such form.
 */
#define CONNINFO_ADDRESS_MAX 1025
struct resolve_address;
bool conninfo_address(const struct resolve_address *address, char out[CONNINFO_ADDRESS_MAX]);

/*
 * Appends libpq's names for what `tls` says (at most CONNINFO_TLS_MAX) to arrays for
 * PQconnectStartParams() that hold `n`; returns how many they hold now. The values live as long
 * as the settings.
 *
 * As our own connections to servers, these verify nothing below verify-ca, even with a CA;
 * libpq by itself would.
 */
size_t conninfo_add_tls(const struct tls_settings *tls, const char **keywords,
			const char **values, size_t n);

/*
 * Has the server begun a COPY, which no question of ours asks for? Then PQgetResult() answers the
 * same for ever, without waiting, and the connection is of no use any more.
 */
struct pg_result;
bool conninfo_is_copy(const struct pg_result *result);

#endif
