/* daemon/keys.h - the first API keys of a service: made once, written to a file, known to the
 * ledger.
 *
 * The file is written before the rows, so a crash in between loses no key: the next start makes the
 * rows of what the file names. */
#ifndef SLUICE_DAEMON_KEYS_H
#define SLUICE_DAEMON_KEYS_H

#include "base/error.h"
#include "daemon/daemon.h"

/* Makes the environments dev and prod, their keys, the account key and the operator key, as far as
 * missing. host_port ("http://127.0.0.1:3003") is kept up to date in the file.  Runs the loop until
 * done, 30 s at most.  given: the file is a credential, which is complete and not ours to write. */
SL_MUST_USE enum sl_code keys_ensure(struct daemon *daemon, const char *path, const char *host_port,
				     bool given, struct sl_error *error);

#endif
