/* daemon/seal.h - the encryption keys of this process: where they come from, and whether they are the right ones.
 *
 * One source: encryption_key_file (a credential may be that file), encryption_key (the environment only), or the
 * directory of a standalone daemon.  The ledger keeps two secrets of the fleet's own: a check value that every process opens
 * when it starts, and the key that signs what stands in Redis, which so outlives the keys that seal it. */
#ifndef SLUICE_DAEMON_SEAL_H
#define SLUICE_DAEMON_SEAL_H

#include "daemon/daemon.h"

/* Reads the keys that config names; *out is the caller's. */
SL_MUST_USE enum sl_code seal_load(const struct daemon *daemon, const struct config *config,
				   struct secret_ring **out, struct sl_error *error);
/* Opens the fleet's own secrets with daemon->ring and sets daemon->envelope_key.  Blocking, before the loop runs.
 * SL_INVALID: the keys are not those of this ledger; SL_UNAVAILABLE: the ledger. */
SL_MUST_USE enum sl_code seal_check(struct daemon *daemon, const char *conninfo,
				    struct sl_error *error);
/* Where the keys come from, for humans. */
const char *seal_source(const struct daemon *daemon, const struct config *config);

#endif
