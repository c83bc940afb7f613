/* cli/trouble.h - what went wrong, in sentences: what is seen, the likely cause, what to do.
 *
 * One error is one line on stderr ("sluice: ..."), with the remedy on the next; with --json one JSON
 * document, {"error":{"code","message"}}, or the server's own. */
#ifndef SLUICE_CLI_TROUBLE_H
#define SLUICE_CLI_TROUBLE_H

#include "base/error.h"
#include "cli/cli.h"

struct answer;

struct trouble {
	int status;        /* exit status, sysexits(3) */
	const char *code;  /* for programs: "refused", "key_refused"; constant */
	const char *check; /* what the doctor calls it: "network", "key", "answer"; constant */
	char text[360];    /* what is seen; the texts hold no secret */
	char cause[360];   /* "": nothing to guess */
	char remedy[480];  /* "": nothing to do but read the text */
};

/* Why answer is not a 2xx with JSON. */
void trouble_of(const struct cli *cli, const struct answer *answer, struct trouble *out);
void trouble_no_key(const struct cli *cli, struct trouble *out);
/* Prints; returns trouble->status.  answer (may be NULL) is the one it is about. */
int trouble_print(const struct cli *cli, const struct trouble *trouble,
		  const struct answer *answer);
/* An error of our own: prints, returns status. */
int fail(const struct cli *cli, int status, const char *code, const char *format, ...)
    SL_PRINTF(4, 5);
/* Wrong words on the command line: EX_USAGE. */
int fail_usage(const struct cli *cli, const char *format, ...) SL_PRINTF(2, 3);

#endif
