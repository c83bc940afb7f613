/* daemon/node.h - this process among the others: its name, its row in the ledger, and whether it should take
 * work.
 *
 * The name is host:pid:boot, another one with each start, so that whoever speaks of a process never means
 * the one after it.  The row (sql/node.h) is written every third of lease_ttl and says what the process does;
 * the answer says what is wanted of it.  SIGUSR1 (quiet) and SIGUSR2 (release) say the same on the machine, also
 * while the ledger is away.  Quiet lasts until it is taken back or the process ends. */
#ifndef SLUICE_DAEMON_NODE_H
#define SLUICE_DAEMON_NODE_H

#include <stdbool.h>

#include "daemon/daemon.h"

#define NODE_JOBS_MAX 50 /* that a row names */

struct node; /* opaque */

/* Makes up this process's name: at most 63 bytes of [A-Za-z0-9._:-]. */
void node_make_name(char out[64]);

/* Begins to write, to listen and to take the signals; the worker may come later, or never. */
struct node *node_new(struct daemon *daemon);
void node_free(struct node *node); /* after the account's connection; NULL is fine */
bool node_is_quiet(const struct node *node); /* it is wanted to be, as far as it knows */
/* What the row should say has changed (started, draining): it is written soon. */
void node_changed(struct node *node);
/* The process ends in order: its row goes.  To be called again until it says true: the row is gone, or could
 * not be removed within a second.  Nothing is written any more. */
bool node_leave(struct node *node);
/* Is digest (SHA-256 in hex, SECRET_SHA256_HEX bytes) that of a key of scope operator, as of the last beat that got through?  Never
 * older than the loss of the ledger. */
bool node_knows_operator(const struct node *node, const char *digest);

#endif
