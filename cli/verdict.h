/* cli/verdict.h - what the doctor says, from the server's answer or from what is seen without one. */
#ifndef SLUICE_CLI_VERDICT_H
#define SLUICE_CLI_VERDICT_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/json.h"
#include "cli/cli.h"

struct trouble;

/* The document of GET /admin/v1/doctor, made here because nobody answered: trouble is why, and what
 * the machine shows of DIR's daemon is added.  Appended to out. */
void verdict_make(const struct cli *cli, const struct trouble *trouble, const char *verdict,
		  struct buf *out);
/* What DIR shows of its daemon, as one more check (w may be NULL).  True: its process is there. */
bool verdict_directory(const char *directory, struct json_writer *w);
/* One check. */
void verdict_check(struct json_writer *w, const char *name, const char *state, const char *text,
		   const char *cause, const char *remedy);

/* For people: the verdict, then what is wrong with cause and remedy; all: what is well, too. */
void verdict_print(struct json_value document, bool all);

#endif
