/*
 * Checks across options. Each function is one rule, and says what is wrong at the option that has
 * to change. Bounds of single options are not here but in their rows of the table.
 * Runs in the control thread, and in the command line's -t and -T.
 */
#include "auth/hba.h"
#include "config/check.h"

#include <libconfig.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "config/problems.h"

#define PATH_SIZE 128

struct check {
	const struct config *config;
	const config_t *tree;
	struct problems *problems;
	char at[PATH_SIZE]; /* the option that is at fault: "databases[2].cluster" */
};

/* --- where --- */

static struct check *at(struct check *check, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static struct check *at(struct check *check, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(check->at, sizeof(check->at), format, args);
	va_end(args);
	return check;
}

/* libconfig wants a separator before an index: "databases.[2].cluster". */
static void lookup_path(const char *path, char out[PATH_SIZE * 2])
{
	for (; *path; path++) {
		if (*path == '[')
			*out++ = '.';
		*out++ = *path;
	}
	*out = '\0';
}

/* The line of the option, or of the group it is missing from. 0: of neither. */
static unsigned find_line(const struct check *check)
{
	char path[PATH_SIZE * 2];
	const config_setting_t *setting = NULL;
	char *dot = path;

	if (check->tree == NULL)
		return 0;
	lookup_path(check->at, path);
	while (dot && (setting = config_lookup(check->tree, path)) == NULL) {
		dot = strrchr(path, '.');
		if (dot)
			*dot = '\0';
	}
	return setting ? config_setting_source_line(setting) : 0;
}

static void fault(struct check *check, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void fault(struct check *check, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	problems_add(check->problems, find_line(check), "%s: %s", check->at, text);
}

static bool same(const char *a, const char *b)
{
	return a && b && strcmp(a, b) == 0;
}

/* --- sockets --- */

static bool is_unix_dir(const char *address)
{
	return address && address[0] == '/';
}

/* The kernel's limit is on the whole name, which PostgreSQL makes from directory and port. */
static void check_socket_dir(struct check *check, const char *directory, int port)
{
	char name[1024];
	int length = snprintf(name, sizeof(name), "%s/.s.PGSQL.%d", directory, port);
	size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

	if (length >= 0 && (size_t)length > max)
		fault(check, "the name of the unix socket has %d bytes, the system allows %zu",
		      length, max);
}

static bool listens_collide(const struct config_listen *a, const struct config_listen *b)
{
	if (a->port != b->port || a->address == NULL || b->address == NULL)
		return false;
	if (is_unix_dir(a->address) || is_unix_dir(b->address))
		return same(a->address, b->address);
	return same(a->address, b->address) || same(a->address, "*") || same(b->address, "*");
}

static void check_listen(struct check *check)
{
	const struct config *config = check->config;

	if (config->n_listen == 0)
		fault(at(check, "listen"), "there must be one at least");
	for (size_t i = 0; i < config->n_listen; i++) {
		const struct config_listen *listen = &config->listen[i];

		if (is_unix_dir(listen->address))
			check_socket_dir(at(check, "listen[%zu].address", i), listen->address,
					 listen->port);
		for (size_t j = 0; j < i; j++) {
			if (listens_collide(listen, &config->listen[j])) {
				fault(at(check, "listen[%zu].address", i),
				      "\"%s\" port %d is taken by listen[%zu]", listen->address,
				      listen->port, j);
				break;
			}
		}
	}
}

/* Somebody must be believed for the option to have a meaning. */
static void check_proxy_protocol(struct check *check)
{
	const struct config *config = check->config;
	struct hba_network network;

	for (size_t i = 0; i < config->n_proxy_protocol_networks; i++) {
		const char *text = config->proxy_protocol_networks[i];

		if (strcmp(text, "unix") != 0 && !hba_network_parse(text, &network))
			fault(at(check, "proxy_protocol_networks[%zu]", i),
			      "\"%.64s\" is no address, no network and not \"unix\"", text);
	}
	for (size_t i = 0; i < config->n_listen && config->n_proxy_protocol_networks == 0; i++) {
		if (config->listen[i].proxy_protocol != PROXY_PROTOCOL_OFF)
			fault(at(check, "listen[%zu].proxy_protocol", i),
			      "it needs proxy_protocol_networks");
	}
}

static void check_admin(struct check *check)
{
	const struct config *config = check->config;
	const char *directory = config->admin.socket_dir;

	if (directory == NULL || directory[0] == '\0')
		return;
	at(check, "admin.socket_dir");
	if (!is_unix_dir(directory))
		fault(check, "it must be an absolute path, not \"%s\"", directory);
	else
		check_socket_dir(check, directory, config->admin.port);
	for (size_t i = 0; i < config->n_listen; i++) {
		if (same(config->listen[i].address, directory) &&
		    config->listen[i].port == config->admin.port)
			fault(check, "\"%s\" port %d is taken by listen[%zu]", directory,
			      config->admin.port, i);
	}
}

/* Somebody to ask about users that are not in the list. */
static bool looks_users_up(const struct config *config)
{
	for (size_t i = 0; i < config->n_databases; i++) {
		if (config->databases[i].auth_user && config->databases[i].auth_user[0])
			return true;
	}
	return false;
}

static void check_auth(struct check *check)
{
	const struct config *config = check->config;
	enum auth_type type = config->auth.type;

	if (type != AUTH_TRUST && type != AUTH_CERT && type != AUTH_HBA && config->auth.file &&
	    config->auth.file[0] == '\0' && !looks_users_up(config))
		fault(at(check, "auth.file"),
		      "with type \"%s\" there must be a user list, or an auth_user",
		      auth_type_name(type));
	if (type == AUTH_HBA && config->auth.hba_file && config->auth.hba_file[0] == '\0')
		fault(at(check, "auth.hba_file"), "with type \"hba\" there must be such a file");
}

/* --- TLS --- */

/* What the files hold is looked at when contexts are made of them. */
static void check_tls(struct check *check, const char *end, const struct tls_settings *settings)
{
	bool has_cert = settings->cert_file && settings->cert_file[0];
	bool has_key = settings->key_file && settings->key_file[0];
	char why[128];
	int lowest;
	int highest;

	if (settings->protocols &&
	    !tls_protocols_parse(settings->protocols, &lowest, &highest, why, sizeof(why)))
		fault(at(check, "%s_tls_protocols", end), "%s", why);
	if (settings->mode == TLS_DISABLE)
		return;
	if (settings->mode >= TLS_VERIFY_CA && settings->ca_file && !settings->ca_file[0])
		fault(at(check, "%s_tls_ca_file", end), "with sslmode \"%s\" there must be one",
		      tls_mode_name(settings->mode));
	if (has_cert != has_key || (!has_cert && same(end, "client")))
		fault(at(check, "%s_tls_%s_file", end, has_cert ? "key" : "cert"),
		      "a certificate and its key must both be given");
}

static void check_tls_ends(struct check *check)
{
	struct tls_settings clients = config_tls_settings(check->config, TLS_ROLE_SERVER);
	struct tls_settings servers = config_tls_settings(check->config, TLS_ROLE_CLIENT);

	check_tls(check, "client", &clients);
	check_tls(check, "server", &servers);
}

/* --- clusters --- */

static void check_nodes(struct check *check, size_t c)
{
	const struct config_cluster *cluster = &check->config->clusters[c];

	if (cluster->n_nodes == 0)
		fault(at(check, "clusters[%zu].nodes", c), "there must be one at least");
	for (size_t i = 0; i < cluster->n_nodes; i++) {
		const struct config_node *node = &cluster->nodes[i];

		if (is_unix_dir(node->host))
			check_socket_dir(at(check, "clusters[%zu].nodes[%zu].host", c, i),
					 node->host, node->port);
		for (size_t j = 0; j < i; j++) {
			if (same(node->name, cluster->nodes[j].name)) {
				fault(at(check, "clusters[%zu].nodes[%zu].name", c, i),
				      "\"%s\" is the name of another node", node->name);
				break;
			}
		}
	}
}

/* One server under two names would be probed and filled twice, and be elected against itself. */
static void check_node_addresses(struct check *check, size_t c)
{
	const struct config_cluster *cluster = &check->config->clusters[c];

	for (size_t i = 0; i < cluster->n_nodes; i++) {
		for (size_t j = 0; j < i; j++) {
			if (same(cluster->nodes[i].host, cluster->nodes[j].host) &&
			    cluster->nodes[i].port == cluster->nodes[j].port) {
				fault(at(check, "clusters[%zu].nodes[%zu].host", c, i),
				      "\"%s\" port %d is already nodes[%zu]",
				      cluster->nodes[i].host, cluster->nodes[i].port, j);
				break;
			}
		}
	}
}

static void check_max_lag(struct check *check, size_t c)
{
	const struct config_cluster *cluster = &check->config->clusters[c];

	if (cluster->max_lag.preferred > cluster->max_lag.hard)
		fault(at(check, "clusters[%zu].max_lag.preferred", c),
		      "it is larger than max_lag.hard");
}

static void check_clusters(struct check *check)
{
	const struct config *config = check->config;

	if (config->n_clusters == 0)
		fault(at(check, "clusters"), "there must be one at least");
	for (size_t i = 0; i < config->n_clusters; i++) {
		check_nodes(check, i);
		check_node_addresses(check, i);
		check_max_lag(check, i);
		for (size_t j = 0; j < i; j++) {
			if (same(config->clusters[i].name, config->clusters[j].name)) {
				fault(at(check, "clusters[%zu].name", i),
				      "\"%s\" is the name of another cluster",
				      config->clusters[i].name);
				break;
			}
		}
	}
}

/* --- databases --- */

static void check_database_cluster(struct check *check, size_t d)
{
	const struct config *config = check->config;
	const struct config_database *database = &config->databases[d];
	const struct config_cluster *cluster;

	if (database->cluster == NULL || config->n_clusters == 0)
		return;
	cluster = &config->clusters[database->cluster_index];
	if (!same(database->cluster, cluster->name))
		fault(at(check, "databases[%zu].cluster", d), "there is no cluster \"%s\"",
		      database->cluster);
}

static void check_database_name(struct check *check, size_t d)
{
	const struct config_database *databases = check->config->databases;
	const char *name = databases[d].name;

	at(check, "databases[%zu].name", d);
	if (same(name, "pointsman") || same(name, "pgbouncer"))
		fault(check, "\"%s\" is the admin console", name);
	for (size_t j = 0; j < d; j++) {
		if (same(name, databases[j].name)) {
			fault(check, "\"%s\" is the name of another database", name);
			break;
		}
	}
}

static void check_database_options(struct check *check, size_t d)
{
	const struct config_database *database = &check->config->databases[d];

	if (database->min_pool_size > database->default_pool_size)
		fault(at(check, "databases[%zu].min_pool_size", d),
		      "%d is more than default_pool_size, %d", database->min_pool_size,
		      database->default_pool_size);
	if (same(database->name, "*") && database->dbname)
		fault(at(check, "databases[%zu].dbname", d),
		      "all databases of the clients would be one database on the servers");
	if (database->password && database->user == NULL)
		fault(at(check, "databases[%zu].password", d), "it needs a user beside it");
}

static void check_databases(struct check *check)
{
	const struct config *config = check->config;

	if (config->n_databases == 0)
		fault(at(check, "databases"), "there must be one at least");
	if (config->min_pool_size > config->default_pool_size)
		fault(at(check, "min_pool_size"), "%d is more than default_pool_size, %d",
		      config->min_pool_size, config->default_pool_size);
	for (size_t i = 0; i < config->n_databases; i++) {
		check_database_name(check, i);
		check_database_cluster(check, i);
		check_database_options(check, i);
	}
}

/* --- users --- */

static void check_users(struct check *check)
{
	const struct config_user *users = check->config->users;

	for (size_t i = 0; i < check->config->n_users; i++) {
		for (size_t j = 0; j < i; j++) {
			if (same(users[i].name, users[j].name)) {
				fault(at(check, "users[%zu].name", i),
				      "\"%s\" is the name of another user", users[i].name);
				break;
			}
		}
	}
}

void config_check(const struct config *config, const struct config_t *tree,
		  struct problems *problems)
{
	struct check check = { config, tree, problems, "" };

	check_listen(&check);
	check_proxy_protocol(&check);
	check_admin(&check);
	check_auth(&check);
	check_tls_ends(&check);
	check_clusters(&check);
	check_databases(&check);
	check_users(&check);
}
