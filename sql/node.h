/* sql/node.h - the processes of the fleet as the ledger knows them: each writes a row of its own, and an
 * operator writes into it whether it should take work.
 *
 * The row is the truth.  NOTIFY on NODE_CHANNEL, with the name, tells the process to look at once; without
 * it the next beat finds out.  Every call answers once, from the loop; rows are borrowed for the call, texts
 * are never NULL.  Not on the hot path: the connection is the caller's (that of sql/account). */
#ifndef SLUICE_SQL_NODE_H
#define SLUICE_SQL_NODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/loop.h"
#include "base/secret.h"
#include "sql/pg.h"

#define NODE_CHANNEL "sluice_node"
#define NODE_NAME_MAX 63
#define NODE_LOST_BEATS 3      /* unseen for so many, it is lost */
#define NODE_ROWS_MAX 1000     /* of a list */
#define NODE_OPERATORS_MAX 100 /* keys of scope operator that a beat brings */

enum node_state { NODE_STARTING = 1, NODE_LIVE, NODE_QUIET, NODE_DRAINING };

struct node_row {
	const char *name, *version;
	unsigned roles;
	int schema_version;
	int64_t started_ms; /* wall */
	int64_t seen_ms;    /* how long ago, by the ledger's clock */
	int64_t beat_ms;
	enum node_state state; /* as it said last */
	bool lost;
	bool quiet; /* wanted */
	bool leads;
	int64_t session_id; /* 0: none */
	const char *doing;  /* JSON object */
	/* Names of its encryption keys with blanks between, the one that seals first; "": of an earlier release. */
	const char *keys;
};

struct node_beat { /* what a process says of itself; copied */
	const char *name, *version, *doing, *keys;
	unsigned roles;
	int64_t beat_ms, session_id;
	enum node_state state;
	bool leads;      /* then it also removes rows that were not seen for an hour */
	bool quiet;      /* it is */
	bool says_quiet; /* a signal on its machine said so: this is what is wanted from now on */
};
/* quiet: what is wanted of it.  operators: digests (SHA-256 in hex) of the keys of scope operator, by which
 * a process knows an operator also while the ledger is away. */
typedef void node_beat_cb(void *arg, enum sl_code code, bool quiet, const char *const *operators,
			  int count, const struct sl_error *error);
void node_write(struct pg *pg, const struct node_beat *beat, node_beat_cb *cb, void *arg);

typedef void node_done_cb(void *arg, enum sl_code code, int64_t count,
			  const struct sl_error *error);
/* It stops in order: its row goes. */
void node_remove(struct pg *pg, const char *name, node_done_cb *cb, void *arg);

/* By start, the oldest first. */
typedef void node_rows_cb(void *arg, enum sl_code code, const struct node_row *rows, int count,
			  const struct sl_error *error);
void node_list(struct pg *pg, node_rows_cb *cb, void *arg);
/* count 1, or SL_NOT_FOUND. */
void node_find(struct pg *pg, const char *name, node_rows_cb *cb, void *arg);
/* What is wanted of it from now on; the row as it is then, or SL_NOT_FOUND. */
void node_set_quiet(struct pg *pg, const char *name, bool quiet, node_rows_cb *cb, void *arg);
/* Ends the sessions of a process that is lost and resolves what they ran, as the scheduler does
 * (sql/reclaim.h, I5); it is not wanted to be quiet any more.  count: jobs resolved.  SL_CONFLICT: it is not
 * lost (any more), and nothing was done. */
void node_end_sessions(struct pg *pg, const char *name, int deaths_max, node_done_cb *cb,
		       void *arg);

#endif
