/* cli/main.c - sluice: what an operator types; options, the command, the exit status.
 *
 * Exit statuses are sysexits(3): 64 wrong words, 65 the server says what was asked is wrong or cannot
 * be now, 66 what was named is not there, 68 unknown host, 69 cannot be reached, 70 the server failed,
 * 75 not now, try again, 76 not this API, 77 no key or a wrong one, 78 a keys file cannot be used.
 * `doctor` has its own: 0 healthy, 1 degraded, 2 down. */
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/loop.h"
#include "base/secret.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/command.h"
#include "cli/trouble.h"
#include "config.h"
#include "http/guard.h"

enum { TIMEOUT_MS = 15000, TIMEOUT_MAX_S = 3600 };

/* What is on the command line is seen by every user until it is overwritten. */
static void
hide_key(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--key=", 6) == 0)
			secret_wipe(argv[i] + 6, strlen(argv[i] + 6));
		else if (strcmp(argv[i], "--key") == 0 && i + 1 < argc)
			secret_wipe(argv[i + 1], strlen(argv[i + 1]));
	}
}

static int
find_target(struct cli *cli, const struct arguments *arguments)
{
	const struct target_options options = {.host = arguments_text(arguments, "--host"),
					       .key = arguments_text(arguments, "--key"),
					       .key_file = arguments_text(arguments, "--key-file"),
					       .directory = arguments_text(arguments, "--dir")};
	struct sl_error error;

	switch (target_find(&options, &cli->target, &error)) {
	case SL_OK:
		return EX_OK;
	case SL_UNAVAILABLE:
		return fail(cli, EX_CONFIG, "bad_key_file", "%s", error.text);
	case SL_INVALID:
	case SL_NOT_FOUND:
	case SL_CONFLICT:
	case SL_EXHAUSTED:
	case SL_INTERNAL:
		break;
	}
	return fail(cli, EX_USAGE, "bad_host", "%s", error.text);
}

static int
run(struct cli *cli, const struct arguments *arguments, int argc, char **argv)
{
	int64_t timeout_s = TIMEOUT_MS / 1000;
	struct sl_error error;
	int status = EX_OK;

	cli->json = arguments_has(arguments, "--json");
	cli->yes = arguments_has(arguments, "--yes");
	if (arguments_int(arguments, "--timeout", 1, TIMEOUT_MAX_S, &timeout_s, &error) != SL_OK)
		return fail_usage(cli, "%s", error.text);
	cli->timeout_ms = timeout_s * 1000;
	if (!arguments->command->keyless)
		status = find_target(cli, arguments);
	hide_key(argc, argv);
	if (status != EX_OK)
		return status;
	return arguments->command->run(cli, arguments);
}

static int
start(struct cli *cli, int argc, char **argv, struct arguments *arguments)
{
	struct sl_error error;
	enum sl_code code = arguments_parse(argc, argv, arguments, &error);

	if (code != SL_OK) {
		for (int i = 1; i < argc; i++)
			cli->json = cli->json || strcmp(argv[i], "--json") == 0;
		return fail_usage(cli, "%s", error.text);
	}
	if (arguments->version) {
		printf("sluice %s\n", PACKAGE_VERSION);
		return EX_OK;
	}
	if (arguments->help && arguments->command != NULL) {
		help_command(arguments->command);
		return EX_OK;
	}
	if (arguments->help) {
		help_overview();
		return EX_OK;
	}
	if (arguments->command == NULL)
		return fail_usage(cli, "say what to do: see `sluice help`");
	return run(cli, arguments, argc, argv);
}

int
main(int argc, char **argv)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	struct arguments arguments;
	struct cli cli = {.loop = loop_new()};
	int status;

	(void)sigaction(SIGPIPE, &ignore, NULL);
	(void)setlocale(LC_CTYPE, "C.UTF-8"); /* how wide a character is; names are UTF-8 */
	status = start(&cli, argc, argv, &arguments);
	http_client_free(cli.http);
	target_fini(&cli.target);
	loop_turn(cli.loop, 0); /* frees what is due */
	loop_free(cli.loop);
	guard_free(cli.guard);
	if (fflush(stdout) != 0 || ferror(stdout) != 0)
		return status != EX_OK ? status : EX_IOERR;
	return status;
}
