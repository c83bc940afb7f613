/* daemon/settings.h - the one table of settings; --help and the man page are made from it. */
#ifndef SLUICE_DAEMON_SETTINGS_H
#define SLUICE_DAEMON_SETTINGS_H

#include "base/config.h"
#include "base/job.h"

extern const struct config_row settings_rows[]; /* ends with name NULL */

/* Bits of enum daemon_role from "api,worker"; 0 when the text is wrong. */
unsigned settings_roles(const char *text);
/* How long after it could start a job may still be started (wire.md 15). */
int64_t settings_start_limit_ms(const struct config *config, enum job_kind kind);
/* Checks that span settings (what a role needs); the daemon does not start when this fails. */
SL_MUST_USE enum sl_code settings_check(const struct config *config, struct sl_error *error);

#endif
