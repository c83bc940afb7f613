#include "cli/ask.h"

#include <stdarg.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#include "cli/print.h"
#include "cli/trouble.h"

int
ask_yes(const struct cli *cli, const char *format, ...)
{
	char question[400], line[16] = "";
	va_list args;

	if (cli->yes)
		return EX_OK;
	va_start(args, format);
	vsnprintf(question, sizeof(question), format, args);
	va_end(args);
	if (isatty(STDIN_FILENO) != 1 || isatty(STDERR_FILENO) != 1)
		return fail(cli, EX_USAGE, "needs_yes",
			    "%s?  There is no terminal to ask: add --yes when it is meant",
			    question);
	print_text(stderr, slice_text(question));
	fputs("? [y/N] ", stderr);
	fflush(stderr);
	if (fgets(line, sizeof(line), stdin) != NULL && (line[0] == 'y' || line[0] == 'Y'))
		return EX_OK;
	return fail(cli, EX_TEMPFAIL, "not_done", "nothing was done");
}
