/* daemon/api/metadata.h - replace or merge the metadata of connections, byte for byte, without lost
 * updates. */
#ifndef SLUICE_DAEMON_API_METADATA_H
#define SLUICE_DAEMON_API_METADATA_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "daemon/daemon.h"

/* Shallow merge of two JSON objects into out: members of patch win, order is kept, bytes are not
 * re-encoded. */
SL_MUST_USE enum sl_code metadata_merge(struct slice base, struct slice patch, struct buf *out,
					struct sl_error *error);

typedef void metadata_cb(void *arg, enum sl_code code, const struct sl_error *error);
/* Writes the metadata of one connection (row id): merge false replaces.  A merge reads the row, and
 * repeats (at most 10 times) when somebody else changed it meanwhile.  patch is a checked JSON
 * object, copied.  cb once, from the loop. */
void metadata_write(struct daemon *daemon, int64_t connection_row_id, struct slice patch,
		    bool merge, metadata_cb *cb, void *arg);

#endif
