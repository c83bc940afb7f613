/* daemon/api/show.h - rows as the wire shows them (wire.md 5.1 S and F, 6.1 I, 6.4). */
#ifndef SLUICE_DAEMON_API_SHOW_H
#define SLUICE_DAEMON_API_SHOW_H

#include "base/buf.h"
#include "base/error.h"
#include "base/secret.h"
#include "daemon/daemon.h"
#include "sql/account.h"

enum { SHOW_CREDENTIALS = 1, SHOW_REFRESH_TOKEN = 2, SHOW_WEBHOOK = 4, SHOW_CREATED_Z = 8 };

/* The opened credentials JSON of a connection ("{}" when it has none). SL_INVALID: cannot be
 * opened. */
SL_MUST_USE enum sl_code show_open_credentials(const struct secret_ring *ring,
					       const struct account_connection *row,
					       struct buf *out, struct sl_error *error);
/* Appends F (full form).  Without SHOW_CREDENTIALS `credentials` is {}.  SHOW_CREATED_Z: times end
 * with Z (POST), else +00:00. */
SL_MUST_USE enum sl_code show_connection(const struct secret_ring *ring,
					 const struct account_connection *row, unsigned flags,
					 struct buf *out, struct sl_error *error);
/* Appends S (list form). */
void show_connection_short(const struct account_connection *row, struct buf *out);
/* Appends I; SHOW_WEBHOOK and SHOW_CREDENTIALS are the two `include`s. */
SL_MUST_USE enum sl_code show_integration(const struct daemon *daemon,
					  const struct account_integration *row, unsigned flags,
					  struct buf *out, struct sl_error *error);
/* Likewise; webhook_base is what the URLs for incoming webhooks of the environment begin with. */
SL_MUST_USE enum sl_code show_integration_at(const struct daemon *daemon,
					     const struct account_integration *row, unsigned flags,
					     const char *webhook_base, struct buf *out,
					     struct sl_error *error);
/* Appends [{"name","value"}]. */
SL_MUST_USE enum sl_code show_variables(const struct secret_ring *ring, int64_t environment_id,
					const struct account_variable *rows, int count,
					struct buf *out, struct sl_error *error);

struct api_call;
/* Answers with a document that may hold secrets: out is wiped and freed, the call is gone. */
void show_reply(struct api_call *call, int status, struct buf *out);
void show_buf_wipe(struct buf *out); /* wipes and frees */

#endif
