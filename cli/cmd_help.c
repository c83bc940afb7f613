/* cli/cmd_help.c - sluice help: the table of commands, for people. */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/trouble.h"

enum { NAME_COLUMN = 34, OPTION_COLUMN = 24 };

static void
print_options(const struct command_option *options)
{
	for (; options != NULL && options->name != NULL; options++) {
		int used = printf("  %s%s%s", options->name, options->value != NULL ? " " : "",
				  options->value != NULL ? options->value : "");

		printf("%*s%s\n", used < OPTION_COLUMN ? OPTION_COLUMN - used : 1, "",
		       options->help);
	}
}

static int
print_name(const struct command *command)
{
	return printf("%s%s%s%s%s", command->group != NULL ? command->group : "",
		      command->group != NULL ? " " : "", command->name,
		      command->words[0] != '\0' ? " " : "", command->words);
}

void
help_command(const struct command *command)
{
	fputs("usage: sluice ", stdout);
	print_name(command);
	printf("%s\n\n%s\n", command->options != NULL ? " [OPTION...]" : "", command->summary);
	if (command->about != NULL)
		printf("%s\n", command->about);
	if (command->options != NULL)
		puts("\nOptions:");
	print_options(command->options);
	puts("\nOptions of all commands: see `sluice help`.");
}

void
help_overview(void)
{
	puts(
	    "usage: sluice [OPTION...] COMMAND ...\n\nLooks after a running sluice, by its API.\n");
	for (const struct command *c = commands; c->name != NULL; c++) {
		int used;

		if (c != commands && (c->group == NULL ? (c - 1)->group != NULL
						       : (c - 1)->group == NULL ||
							     strcmp(c->group, (c - 1)->group) != 0))
			fputc('\n', stdout);
		used = printf("  ") + print_name(c);
		printf("%*s%s\n", used < NAME_COLUMN ? NAME_COLUMN - used : 1, "", c->summary);
	}
	puts("\nOptions, anywhere on the line:");
	print_options(command_globals);
	puts(
	    "  --version, --help\n\n"
	    "Without --host, --dir and --key-file: SLUICE_HOST and SLUICE_OPERATOR_KEY, then\n"
	    "/etc/sluice/keys.env, then http://127.0.0.1:3003.  `sluice help queue drain` tells one command.");
}

int
cmd_help(struct cli *cli, const struct arguments *arguments)
{
	const char *first = arguments->word_count > 0 ? arguments->words[0] : NULL;
	const char *second = arguments->word_count > 1 ? arguments->words[1] : NULL;
	bool found = false;

	if (first == NULL) {
		help_overview();
		return EX_OK;
	}
	for (const struct command *c = commands; c->name != NULL; c++) {
		bool is = c->group == NULL ? second == NULL && strcmp(c->name, first) == 0
					   : strcmp(c->group, first) == 0 &&
						 (second == NULL || strcmp(c->name, second) == 0);

		if (is && found)
			fputs("\n", stdout);
		if (is)
			help_command(c);
		found = found || is;
	}
	return found ? EX_OK
		     : fail_usage(cli, "there is no command %.40s%s%.40s; see `sluice help`", first,
				  second != NULL ? " " : "", second != NULL ? second : "");
}
