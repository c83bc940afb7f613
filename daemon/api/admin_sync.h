/* daemon/api/admin_sync.h - what the files of /admin/v1/syncs share. */
#ifndef SLUICE_DAEMON_API_ADMIN_SYNC_H
#define SLUICE_DAEMON_API_ADMIN_SYNC_H

#include "daemon/api/admin.h"
#include "sql/inspect_sync.h"

/* segment[3] as an id; false: the call was answered. */
bool admin_sync_id(struct api_call *call, char uuid[UUID_TEXT]);
void admin_sync_fail(struct api_call *call, enum sl_code code, const struct sl_error *error);
/* Answers with {"sync": it} as it is now; started: 1 or 0 adds that member, -1 none. */
void admin_show_sync(struct api_call *call, const char *uuid, int started);

#endif
