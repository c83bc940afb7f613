/* cli/ask.h - a question before what cannot be taken back. */
#ifndef SLUICE_CLI_ASK_H
#define SLUICE_CLI_ASK_H

#include "base/error.h"
#include "cli/cli.h"

/* EX_OK: go on (--yes, or the person said yes).  Without a terminal on stdin and without --yes the
 * answer is an error and nothing is done: a script that drops jobs says so itself, and one that reads
 * the answer from a pipe would take any line for a yes. */
int ask_yes(const struct cli *cli, const char *format, ...) SL_PRINTF(2, 3);

#endif
