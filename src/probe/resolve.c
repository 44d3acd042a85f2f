/*
 * Names to addresses by libevent's evdns. It keeps no cache: whoever asks remembers the answer.
 * Runs on the control thread's loop.
 *
 * evdns must not be freed while it has questions in flight (its callbacks look into the base), so
 * a resolver that is destroyed lives on until the last of them came back.
 */

#include "probe/resolve.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>

#include "base/list.h"
#include "base/log.h"
#include "net/listener.h"

#define RESOLV_CONF "/etc/resolv.conf"
#define HOSTS       "/etc/hosts"

/* Lifetime: the monitor's, and until `requests` is empty. */
struct resolver {
	struct loop *loop;
	struct evdns_base *dns; /* NULL before the first question */
	struct timespec conf_changed;
	struct timespec hosts_changed;
	struct list requests;
	bool is_dead;
};

/* Lifetime: until evdns has called back, and then to the end of that batch. */
struct resolve_request {
	struct resolver *resolver;
	struct list_node node;
	struct evdns_getaddrinfo_request *evdns; /* NULL when it has called back */
	resolve_done done;                       /* NULL: cancelled */
	void *context;
	struct resolve_addresses addresses;
	int result;
	bool has_result;
	struct loop_deferred deliver;
};

bool resolve_literal(const char *host, int port, struct resolve_addresses *out)
{
	struct resolve_address *first = &out->at[0];
	struct sockaddr_in *in4 = (struct sockaddr_in *)&first->address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&first->address;
	struct sockaddr_un *local = (struct sockaddr_un *)&first->address;

	memset(out, 0, sizeof(*out));
	if (host[0] == '/') {
		if (!listener_unix_path(host, port, local->sun_path, sizeof(local->sun_path)))
			return false;
		local->sun_family = AF_UNIX;
		first->length = sizeof(*local);
	} else if (inet_pton(AF_INET, host, &in4->sin_addr) == 1) {
		in4->sin_family = AF_INET;
		in4->sin_port = htons((uint16_t)port);
		first->length = sizeof(*in4);
	} else if (inet_pton(AF_INET6, host, &in6->sin6_addr) == 1) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons((uint16_t)port);
		first->length = sizeof(*in6);
	} else {
		return false;
	}
	out->n = 1;
	return true;
}

bool resolve_is_same(const struct resolve_address *a, const struct resolve_address *b)
{
	return a->length == b->length && memcmp(&a->address, &b->address, a->length) == 0;
}

struct resolver *resolver_create(struct loop *loop)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));

	if (!resolver)
		return NULL;
	resolver->loop = loop;
	list_init(&resolver->requests);
	return resolver;
}

static void free_dns(struct resolver *resolver)
{
	if (resolver->dns)
		evdns_base_free(resolver->dns, 0);
	resolver->dns = NULL;
}

static void free_when_over(struct resolver *resolver)
{
	if (!resolver->is_dead || !list_is_empty(&resolver->requests))
		return;
	free_dns(resolver);
	loop_defer_free(resolver->loop, resolver);
}

void resolver_destroy(struct resolver **resolver_ref)
{
	struct resolver *resolver = *resolver_ref;

	if (!resolver)
		return;
	*resolver_ref = NULL;
	LIST_EACH_SAFE (&resolver->requests, node) {
		struct resolve_request *request = LIST_ENTRY(node, struct resolve_request, node);

		resolve_cancel(&request);
	}
	resolver->is_dead = true;
	free_when_over(resolver);
}

/* When the file was last written; zero when there is none. */
static struct timespec changed_at(const char *path)
{
	struct stat status;

	if (stat(path, &status) == -1)
		return (struct timespec){ 0 };
	return status.st_mtim;
}

static bool is_same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/*
 * Without EVDNS_BASE_INITIALIZE_NAMESERVERS, since then a machine without resolv.conf gets no
 * base at all; read by hand it gets a name server on this machine, and its /etc/hosts.
 */
static struct evdns_base *create_dns(struct loop *loop)
{
	struct evdns_base *dns =
		evdns_base_new(loop_base(loop), EVDNS_BASE_DISABLE_WHEN_INACTIVE);

	if (!dns)
		return NULL;
	if (evdns_base_resolv_conf_parse(dns, DNS_OPTIONS_ALL, RESOLV_CONF) != 0)
		log_warnx(NULL, RESOLV_CONF " is missing or names no server");
	/* A probe wants to know within a second or two; the defaults are 3 x 5 s. */
	evdns_base_set_option(dns, "timeout:", "2");
	evdns_base_set_option(dns, "attempts:", "2");
	evdns_base_set_option(dns, "getaddrinfo-allow-skew:", "0.3");
	return dns;
}

/* Makes the evdns base, anew when its files have changed and nothing is in flight. */
static bool prepare_dns(struct resolver *resolver)
{
	struct timespec conf = changed_at(RESOLV_CONF), hosts = changed_at(HOSTS);
	bool is_current = is_same_time(conf, resolver->conf_changed) &&
			  is_same_time(hosts, resolver->hosts_changed);

	if (resolver->dns && (is_current || !list_is_empty(&resolver->requests)))
		return true;
	free_dns(resolver);
	resolver->dns = create_dns(resolver->loop);
	resolver->conf_changed = conf;
	resolver->hosts_changed = hosts;
	return resolver->dns != NULL;
}

static void on_deliver(void *context)
{
	struct resolve_request *request = context;
	struct resolver *resolver = request->resolver;
	const char *error = NULL;

	list_remove(&resolver->requests, &request->node);
	if (request->result != 0)
		error = evutil_gai_strerror(request->result);
	else if (request->addresses.n == 0)
		error = "the name has no address";
	if (request->done)
		request->done(request->context, &request->addresses, error);
	free(request);
	free_when_over(resolver);
}

static void take_addresses(struct resolve_addresses *to, const struct evutil_addrinfo *from)
{
	for (; from && to->n < RESOLVE_ADDRESSES_MAX; from = from->ai_next) {
		struct resolve_address *address = &to->at[to->n];

		if (from->ai_addrlen > sizeof(address->address))
			continue;
		memcpy(&address->address, from->ai_addr, from->ai_addrlen);
		address->length = (socklen_t)from->ai_addrlen;
		to->n++;
	}
}

/* evdns may call this out of evdns_getaddrinfo() itself; the answer is delivered later anyway. */
static void on_evdns(int result, struct evutil_addrinfo *found, void *context)
{
	struct resolve_request *request = context;

	request->result = result;
	request->has_result = true;
	request->evdns = NULL;
	if (found) {
		take_addresses(&request->addresses, found);
		evutil_freeaddrinfo(found);
	}
	loop_defer(request->resolver->loop, &request->deliver, on_deliver, request);
}

struct resolve_request *resolve_start(struct resolver *resolver, const char *host, int port,
				      resolve_done done, void *context)
{
	struct evutil_addrinfo wanted = {
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_STREAM,
		.ai_protocol = IPPROTO_TCP,
		.ai_flags = EVUTIL_AI_NUMERICSERV,
	};
	struct evdns_getaddrinfo_request *evdns;
	struct resolve_request *request;
	char service[16];

	if (!prepare_dns(resolver))
		return NULL;
	request = calloc(1, sizeof(*request));
	if (!request)
		return NULL;
	request->resolver = resolver;
	request->done = done;
	request->context = context;
	list_push_back(&resolver->requests, &request->node);
	snprintf(service, sizeof(service), "%d", port);
	evdns = evdns_getaddrinfo(resolver->dns, host, service, &wanted, on_evdns, request);
	if (!evdns && !request->has_result)
		on_evdns(EVUTIL_EAI_FAIL, NULL, request);
	if (!request->has_result)
		request->evdns = evdns;
	return request;
}

/* evdns calls back for what is cancelled too, with EVUTIL_EAI_CANCEL. */
void resolve_cancel(struct resolve_request **request_ref)
{
	struct resolve_request *request = *request_ref;

	if (!request)
		return;
	*request_ref = NULL;
	request->done = NULL;
	if (request->evdns)
		evdns_getaddrinfo_cancel(request->evdns);
}
