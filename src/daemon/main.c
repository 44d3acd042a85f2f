/*
 * The command line. What it starts is in supervisor.c and daemon.c (the daemon) and in
 * route_tool.c.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "daemon/daemon.h"
#include "daemon/supervisor.h"

static int usage(FILE *to, int status)
{
	fputs("usage: pointsman -c FILE [-t | -T]\n"
	      "       pointsman route [-c FILE] [SQL]\n"
	      "       pointsman -V\n"
	      "\n"
	      "  -c FILE  the configuration; runs in the foreground\n"
	      "  -t       checks the configuration: status 0, or 1 and all errors\n"
	      "  -T       prints the configuration in effect, defaults included\n"
	      "  -V       prints the version\n"
	      "  route    prints the verdict of SQL, or of each line of standard input, as "
	      "JSON\n",
	      to);
	return status;
}

static void print_bytes(FILE *to, const struct bytes *text)
{
	fwrite(bytes_begin(text), 1, bytes_length(text), to);
}

static struct snapshot *load(const char *path)
{
	struct bytes errors = { 0 };
	struct snapshot *snapshot = snapshot_load(path, &errors);

	if (!snapshot)
		print_bytes(stderr, &errors);
	bytes_free(&errors);
	return snapshot;
}

static int print_config(const struct snapshot *snapshot)
{
	struct bytes text = { 0 };
	int status = config_print(snapshot->config, &text) ? 0 : 1;

	print_bytes(stdout, &text);
	bytes_free(&text);
	return status;
}

static int run(const char *path, bool check, bool print)
{
	struct snapshot *snapshot = load(path);
	int status = 0;

	if (!snapshot)
		return 1;
	if (!check && !print)
		return supervisor_run(snapshot);
	if (print)
		status = print_config(snapshot);
	else
		printf("%s: no errors\n", path);
	snapshot_unref(&snapshot);
	return status;
}

int main(int argc, char **argv)
{
	const char *path = NULL;
	bool check = false;
	bool print = false;
	int option;

	if (argc > 1 && strcmp(argv[1], "route") == 0)
		return route_tool_main(argc - 1, argv + 1);
	while ((option = getopt(argc, argv, "c:tTVh")) != -1) {
		switch (option) {
		case 'c': path = optarg; break;
		case 't': check = true; break;
		case 'T': print = true; break;
		case 'V': puts("pointsman " POINTSMAN_VERSION); return 0;
		case 'h': return usage(stdout, 0);
		default: return usage(stderr, 2);
		}
	}
	if (!path || optind != argc)
		return usage(stderr, 2);
	return run(path, check, print);
}
