/*
 * Connection parameters of libpq; see probe/conninfo.h. Control thread.
 */
#include "probe/conninfo.h"

#include <libpq-fe.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "probe/resolve.h"

struct parameters {
	const char **keywords;
	const char **values;
	size_t n;
};

static void add(struct parameters *to, const char *keyword, const char *value)
{
	if (!value || !value[0])
		return;
	to->keywords[to->n] = keyword;
	to->values[to->n++] = value;
}

static void add_versions(struct parameters *to, const char *protocols)
{
	char why[128];
	int lowest;
	int highest;

	if (!protocols || !tls_protocols_parse(protocols, &lowest, &highest, why, sizeof(why)))
		return;
	add(to, "ssl_min_protocol_version", tls_version_name(lowest));
	add(to, "ssl_max_protocol_version", tls_version_name(highest));
}

size_t conninfo_add_tls(const struct tls_settings *tls, const char **keywords,
			const char **values, size_t n)
{
	struct parameters to = { keywords, values, n };

	add(&to, "sslmode", tls_mode_name(tls->mode));
	if (tls->mode == TLS_DISABLE)
		return to.n;
	if (tls->mode >= TLS_VERIFY_CA)
		add(&to, "sslrootcert", tls->ca_file);
	add(&to, "sslcert", tls->cert_file);
	add(&to, "sslkey", tls->key_file);
	add_versions(&to, tls->protocols);
	return to.n;
}

bool conninfo_address(const struct resolve_address *address, char out[CONNINFO_ADDRESS_MAX])
{
	const struct sockaddr_un *local = (const struct sockaddr_un *)&address->address;
	const char *file;

	if (address->address.ss_family != AF_UNIX)
		return getnameinfo((const struct sockaddr *)&address->address, address->length,
				   out, CONNINFO_ADDRESS_MAX, NULL, 0, NI_NUMERICHOST) == 0;
	file = strrchr(local->sun_path, '/');
	if (!file)
		return false;
	snprintf(out, CONNINFO_ADDRESS_MAX, "%.*s", (int)(file - local->sun_path),
		 local->sun_path);
	return true;
}

bool conninfo_is_copy(const struct pg_result *result)
{
	switch (PQresultStatus(result)) {
	case PGRES_COPY_OUT:
	case PGRES_COPY_IN:
	case PGRES_COPY_BOTH: return true;
	default: return false;
	}
}
