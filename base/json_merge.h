/* base/json_merge.h - one JSON document laid over another. */
#ifndef SLUICE_BASE_JSON_MERGE_H
#define SLUICE_BASE_JSON_MERGE_H

#include "base/json.h"

/* Appends base with patch laid over it: objects are merged member by member at any depth, anything
 * else (arrays too, and null) replaces what stood there.  Members keep base's order, new ones follow
 * in patch's; values are not re-encoded.  Of a name that stands twice in patch the last one counts.
 * Both are checked values. */
void json_merge(struct json_value base, struct json_value patch, struct buf *out);

#endif
