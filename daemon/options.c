/* daemon/options.c - see options.h. */
#include "daemon/options.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "base/buf.h"
#include "config.h"
#include "daemon/settings.h"

static void
print_help(void)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	config_help(settings_rows, &text);
	fputs(
	    "usage: sluiced --standalone DIR [--listen ADDRESS:PORT] [--SETTING=VALUE ...]\n"
	    "       sluiced --config FILE [--role=api,worker,scheduler] [--SETTING=VALUE ...]\n"
	    "       sluiced --migrate ... | --check-config ... | --version | --help\n\n"
	    "Runs customer-written integration functions.  Every setting is a line `name = value` of the file, an\n"
	    "environment variable SLUICE_NAME or an option --name=value; options win over environment over file.\n\n"
	    "Settings:\n",
	    stdout);
	fwrite(text.data, 1, text.len, stdout);
	buf_fini(&text);
}

int
options_read(int *argc, char **argv, struct options *options)
{
	int kept = 1;

	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "--version") == 0) {
			printf("sluiced %s\n", PACKAGE_VERSION);
			return EX_OK;
		} else if (strcmp(argv[i], "--help") == 0) {
			print_help();
			return EX_OK;
		} else if (strcmp(argv[i], "--check-config") == 0) {
			options->check = true;
		} else if (strcmp(argv[i], "--migrate") == 0) {
			options->migrate = true;
		} else if (strcmp(argv[i], "--config") == 0 && i + 1 < *argc) {
			options->file = argv[++i];
		} else if (strncmp(argv[i], "--config=", 9) == 0) {
			options->file = argv[i] + 9;
		} else {
			argv[kept++] = argv[i];
		}
	}
	*argc = kept;
	argv[kept] = NULL;
	return -1;
}

int
options_check(const struct config *config)
{
	struct buf text;

	buf_init(&text, 4096);
	settings_weaknesses(config, &text);
	puts("sluiced: the settings are good");
	fwrite(text.data, 1, text.len, stdout);
	buf_fini(&text);
	return EX_OK;
}
