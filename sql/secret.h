/* sql/secret.h - what is sealed in the ledger: the fleet's own secrets, and sealing all of it anew.
 *
 * Sealing anew changes the bytes of a value and nothing else: no time, digest or cursor moves.  It is written only over
 * the bytes that were read, so whoever writes meanwhile wins.  Rows are taken by their primary key, in pages.
 * Records are written under the lock of their model, as by every other writer, one model in a transaction. */
#ifndef SLUICE_SQL_SECRET_H
#define SLUICE_SQL_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/loop.h"
#include "base/secret.h"
#include "sql/pg.h"

/* ---- before the loop runs (blocking) ---------------------------------------------------------- */

#define SECRET_SAMPLES 16
struct secret_first {           /* what the ledger has; texts are malloc'd, secret_first_fini() */
	char *check, *envelope; /* sealed; NULL: there is none yet */
	struct secret_sample {  /* other sealed values, the newest of each kind */
		char *sealed, *row;
	} samples[SECRET_SAMPLES];
	int count;
};
SL_MUST_USE enum sl_code secret_first_read(const char *conninfo, struct secret_first *out,
					   struct sl_error *error);
/* Writes those that are not there; then reads again, as another process may have been first. */
SL_MUST_USE enum sl_code secret_first_write(const char *conninfo, const char *check,
					    const char *envelope, struct secret_first *out,
					    struct sl_error *error);
void secret_first_fini(struct secret_first *first);

/* ---- sealing anew ------------------------------------------------------------------------------ */

enum secret_kind { /* in the order of a pass */
		   SECRET_OWN,
		   SECRET_SIGNING_KEY,
		   SECRET_SIGNING_KEY_BEFORE,
		   SECRET_VARIABLE,
		   SECRET_INTEGRATION,
		   SECRET_CONNECTION,
		   SECRET_RECORD,
		   SECRET_KINDS
};
const char *secret_kind_name(enum secret_kind kind); /* "connections" */

#define SECRET_PAGE_ROWS 500

struct secret_place { /* behind it a page begins; texts are never NULL; owned by whoever says so */
	int64_t id;
	const char *name, *part;
};

struct secret_value { /* that is not under the key; borrowed for the call */
	struct secret_place place;
	const char *row; /* what it is sealed for */
	struct slice sealed;
};

struct secret_store; /* opaque; a connection of its own */
struct secret_store *secret_store_new(struct loop *loop, const struct pg_settings *settings);
void secret_store_free(
    struct secret_store *store); /* NULL is fine; what is under way fails first */

/* checked: how many values were looked at; last: the place of the last of them.  The kind ends when checked is 0. */
typedef void secret_page_cb(void *arg, enum sl_code code, const struct secret_value *values,
			    int count, int checked, const struct secret_place *last,
			    const struct sl_error *error);
void secret_page(struct secret_store *store, enum secret_kind kind,
		 const struct secret_place *after, const char *key_id, secret_page_cb *cb,
		 void *arg);

/* after: sealed anew, an array of count; NULL: left as it is.  Of records all are of one connection and
 * model.  sealed: how many were written. */
typedef void secret_write_cb(void *arg, enum sl_code code, int64_t sealed,
			     const struct sl_error *error);
void secret_write(struct secret_store *store, enum secret_kind kind,
		  const struct secret_value *values, const struct slice *after, int count,
		  secret_write_cb *cb, void *arg);

struct secret_pass { /* the row of it; texts borrowed for the call */
	const char *key_id, *node;
	int64_t number;
	enum secret_kind kind;
	struct secret_place place;
	int64_t checked, sealed, failed;
	int64_t started_ms, seen_ms, finished_ms; /* wall; finished_ms 0: it has not */
	bool alive;                               /* not finished, and seen within SECRET_PASS_MS */
};
#define SECRET_PASS_MS 30000
/* pass NULL: there was none. */
typedef void secret_pass_cb(void *arg, enum sl_code code, const struct secret_pass *pass,
			    const struct sl_error *error);
/* Begins a pass, or goes on with one for the same key that nobody is at.  SL_CONFLICT: another process is at it (pass
 * tells). */
void secret_pass_begin(struct secret_store *store, const char *key_id, const char *node,
		       secret_pass_cb *cb, void *arg);
/* Notes how far it came, durably when it has finished, and has all nodes drop what they keep of the account
 * then.  SL_CONFLICT: it is not the newest pass any more. */
void secret_pass_note(struct secret_store *store, const struct secret_pass *pass, bool finished,
		      secret_write_cb *cb, void *arg);
void secret_pass_read(struct secret_store *store, secret_pass_cb *cb, void *arg);

/* How many values of a kind are under which key. */
struct secret_count {
	const char *key_id;
	int64_t values;
};
typedef void secret_counts_cb(void *arg, enum sl_code code, const struct secret_count *counts,
			      int count, const struct sl_error *error);
void secret_counts(struct secret_store *store, enum secret_kind kind, secret_counts_cb *cb,
		   void *arg);

#endif
