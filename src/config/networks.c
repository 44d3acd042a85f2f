/*
 * Which load balancers are believed: proxy_protocol_networks. Any thread.
 */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "auth/hba.h"
#include "config/config.h"

static void read_address(const struct sockaddr *from, struct hba_address *out)
{
	memset(out, 0, sizeof(*out));
	if (from->sa_family == AF_INET) {
		out->family = 4;
		memcpy(out->bytes, &((const struct sockaddr_in *)(const void *)from)->sin_addr,
		       4);
	} else if (from->sa_family == AF_INET6) {
		out->family = 6;
		memcpy(out->bytes, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr,
		       16);
	}
}

bool config_trusts_proxy(const struct config *config, const struct sockaddr *address)
{
	struct hba_address peer;

	read_address(address, &peer);
	for (size_t i = 0; i < config->n_proxy_protocol_networks; i++) {
		const char *text = config->proxy_protocol_networks[i];
		struct hba_network network;

		if (address->sa_family == AF_UNIX && strcmp(text, "unix") == 0)
			return true;
		if (hba_network_parse(text, &network) && hba_network_has(&network, &peer))
			return true;
	}
	return false;
}
