/*
 * The listening sockets of the daemon; see daemon/sockets.h.
 */
#include "daemon/sockets.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "net/listener.h"

#define ADMIN_BACKLOG 16

static bool open_socket(struct sockets *sockets, const struct config *config,
			const struct config_listen *where)
{
	int backlog = config->listen_backlog;
	char why[200] = "too many sockets";
	int *next = sockets->fds + sockets->count;
	int room = SOCKETS_MAX - sockets->count;
	int n = -1;

	if (room > 0 && where->address[0] == '/') {
		*next = listener_open_unix(where->address, where->port, 0777, backlog, why,
					   sizeof(why));
		n = *next == -1 ? -1 : 1;
	} else if (room > 0) {
		n = listener_open_tcp(where->address, where->port, backlog, next, room, why,
				      sizeof(why));
	}
	if (n == -1) {
		log_errorx(NULL, "%s", why);
		return false;
	}
	for (int i = 0; i < n && config->tcp_defer_accept && where->address[0] != '/'; i++)
		listener_defer_accept(next[i]);
	for (; n > 0; n--)
		sockets->proxy_protocols[sockets->count++] = where->proxy_protocol;
	log_info(NULL, "listening on %s port %d", where->address, where->port);
	return true;
}

static bool open_admin_socket(struct sockets *sockets, const struct config *config)
{
	char why[200];

	if (!config->admin.socket_dir[0])
		return true;
	if (mkdir(config->admin.socket_dir, 0755) == -1 && errno != EEXIST)
		log_warn(NULL, "cannot make the directory %s", config->admin.socket_dir);
	/* Who may come in is decided by the peer's UID; see admin/console.h. */
	sockets->admin_fd = listener_open_unix(config->admin.socket_dir, config->admin.port, 0777,
					       ADMIN_BACKLOG, why, sizeof(why));
	if (sockets->admin_fd == -1)
		log_errorx(NULL, "cannot open the admin socket in %s: %s",
			   config->admin.socket_dir, why);
	return sockets->admin_fd != -1;
}

bool sockets_open(struct sockets *sockets, const struct config *config)
{
	bool opened = true;

	sockets->count = 0;
	sockets->admin_fd = -1;
	for (size_t i = 0; i < config->n_listen && opened; i++)
		opened = open_socket(sockets, config, &config->listen[i]);
	opened = opened && open_admin_socket(sockets, config);
	if (!opened)
		sockets_close(sockets, config);
	return opened;
}

static void remove_file(const char *directory, int port)
{
	char path[128];

	if (listener_unix_path(directory, port, path, sizeof(path)))
		unlink(path);
}

void sockets_close(struct sockets *sockets, const struct config *config)
{
	for (int i = 0; i < sockets->count; i++)
		close(sockets->fds[i]);
	/* Sockets are opened in the order of the configuration: as many files as we got to. */
	for (size_t i = 0; (int)i < sockets->count && i < config->n_listen; i++) {
		if (config->listen[i].address[0] == '/')
			remove_file(config->listen[i].address, config->listen[i].port);
	}
	if (sockets->admin_fd != -1) {
		close(sockets->admin_fd);
		remove_file(config->admin.socket_dir, config->admin.port);
	}
	sockets->count = 0;
	sockets->admin_fd = -1;
}
