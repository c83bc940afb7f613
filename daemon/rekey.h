/* daemon/rekey.h - seals everything in the ledger anew under the first encryption key, online.
 *
 * A pass goes through all kinds of values (sql/secret.h) in pages, with a pause as long as the page took, so that it
 * takes at most half of one connection.  How far it came stands in the ledger: a pass whose process died is gone on with when
 * it is asked for again.  It runs in the process that was asked.  It does not begin, and does not go on, while a process of
 * the fleet seals with another key or lacks this one: nothing is sealed that one of them cannot open. */
#ifndef SLUICE_DAEMON_REKEY_H
#define SLUICE_DAEMON_REKEY_H

#include "daemon/daemon.h"
#include "sql/secret.h"

struct rekey; /* opaque */

struct rekey *rekey_new(struct daemon *daemon, const char *conninfo); /* copied */
void rekey_free(struct rekey *rekey);                                 /* NULL is fine */

/* Begins or goes on.  SL_CONFLICT: another process is at it, or the fleet is not ready: error names who and what to do. */
typedef void rekey_done_cb(void *arg, enum sl_code code, const struct sl_error *error);
void rekey_start(struct rekey *rekey, rekey_done_cb *cb, void *arg);

#define REKEY_KEYS 64 /* that a summary names */
struct rekey_kind {
	bool counted; /* false: it took too long, or the ledger was away */
	int keys;
	struct {
		char id[SECRET_KEY_ID];
		int64_t values;
	} key[REKEY_KEYS];
};
struct rekey_status {
	struct secret_pass pass; /* texts borrowed for the call */
	bool has_pass;
	struct rekey_kind kind[SECRET_KINDS];
};
typedef void rekey_status_cb(void *arg, enum sl_code code, const struct rekey_status *status,
			     const struct sl_error *error);
/* Counts all values by key, which reads the whole table of records. */
void rekey_status(struct rekey *rekey, bool count, rekey_status_cb *cb, void *arg);

#endif
