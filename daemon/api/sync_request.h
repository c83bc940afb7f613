/* daemon/api/sync_request.h - what requests about syncs have in common: how they name syncs, and what
 * is answered when there is nothing of that name. */
#ifndef SLUICE_DAEMON_API_SYNC_REQUEST_H
#define SLUICE_DAEMON_API_SYNC_REQUEST_H

#include "daemon/api/api.h"
#include "daemon/api/sync_scope.h"

/* Each reader that returns false has answered the call, which takes the scope along. */

/* The members provider_config_key, required, and connection_id: before anything else of the scope,
 * which owns nothing yet. */
bool sync_read_names(struct api_call *call, struct sync_scope *scope, bool connection_required);
/* The member `syncs` of the body, required: as the last. */
bool sync_read_syncs(struct api_call *call, struct sync_scope *scope);
/* Answers by what sync_scope_find() or a later step said; ends the scope.  A connection that is
 * missing is answered with status and code. */
void sync_fail(struct api_call *call, struct sync_scope *scope, enum sl_code code,
	       const struct sl_error *error, int status, const char *connection_code);
/* 400 no_syncs_found. */
void sync_fail_none(struct api_call *call);

#endif
