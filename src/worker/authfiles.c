/*
 * Files of authentication; see worker/authfiles.h. Control thread.
 */
#include "worker/authfiles.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)4 << 20)
#define NETWORKS_MAX   256

/* --- files --- */

static bool read_all(int fd, struct bytes *out)
{
	ssize_t got;

	do {
		uint8_t chunk[16384];

		got = read(fd, chunk, sizeof(chunk));
		if (got == -1 && errno != EINTR)
			return false;
		if (got > 0 && bytes_length(out) + (size_t)got > FILE_BYTES_MAX) {
			errno = EFBIG;
			return false;
		}
		if (got > 0 && !bytes_append(out, chunk, (size_t)got)) {
			errno = ENOMEM;
			return false;
		}
	} while (got != 0);
	return true;
}

static bool load(void *context, const char *path, struct bytes *out, bool *is_missing_out,
		 char *why_out, size_t why_size)
{
	struct stat status;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	bool is_read = false;

	(void)context;
	if (fd != -1 && fstat(fd, &status) != -1 && !S_ISREG(status.st_mode))
		errno = EINVAL; /* a pipe would keep us waiting */
	else
		is_read = fd != -1 && read_all(fd, out);
	if (!is_read) {
		*is_missing_out = errno == ENOENT;
		snprintf(why_out, why_size, "%s",
			 errno == EINVAL ? "it is not a regular file" : strerror(errno));
	}
	if (fd != -1)
		close(fd);
	return is_read;
}

static int is_conf(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 &&
	       strcmp(entry->d_name + length - 5, ".conf") == 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static bool list(void *context, const char *path, struct bytes *out, char *why_out,
		 size_t why_size)
{
	struct dirent **entries = NULL;
	int n = scandir(path, &entries, is_conf, by_bytes);

	(void)context;
	if (n == -1) {
		snprintf(why_out, why_size, "%s", strerror(errno));
		return false;
	}
	for (int i = 0; i < n; i++) {
		bytes_append(out, entries[i]->d_name, strlen(entries[i]->d_name) + 1);
		free(entries[i]);
	}
	free(entries);
	return !out->failed;
}

static const struct authfile_source source = { NULL, load, list };

/* --- addresses of this machine --- */

static bool take_address(const struct sockaddr *from, struct hba_address *to)
{
	memset(to, 0, sizeof(*to));
	if (!from)
		return false;
	if (from->sa_family == AF_INET) {
		to->family = 4;
		memcpy(to->bytes, &((const struct sockaddr_in *)from)->sin_addr, 4);
	} else if (from->sa_family == AF_INET6) {
		to->family = 6;
		memcpy(to->bytes, &((const struct sockaddr_in6 *)from)->sin6_addr, 16);
	}
	return to->family != 0;
}

static size_t own_networks(struct hba_network out[NETWORKS_MAX])
{
	struct ifaddrs *all = NULL;
	size_t n = 0;

	if (getifaddrs(&all) == -1)
		return 0;
	for (const struct ifaddrs *at = all; at && n < NETWORKS_MAX; at = at->ifa_next) {
		if (take_address(at->ifa_addr, &out[n].address) &&
		    take_address(at->ifa_netmask, &out[n].mask))
			n++;
	}
	freeifaddrs(all);
	return n;
}

struct hba *authfiles_load_hba(const char *path, struct bytes *errors)
{
	struct hba_network own[NETWORKS_MAX];

	return hba_load(path, &source, own, own_networks(own), errors);
}

struct ident *authfiles_load_ident(const char *path, struct bytes *errors)
{
	return ident_load(path, &source, errors);
}
