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
/* Where the settings come from, for the start and each reload; all borrowed. */
struct settings_sources {
	const char *file;         /* or NULL */
	char *const *environment; /* as it was at the start */
	char *const *argv;        /* without what is no setting; ends with NULL */
	int argc;
};

/* Reads and checks all of them; *out is the caller's.  SL_NOT_FOUND: an option that is no setting;
 * SL_INVALID: anything else, by name. */
SL_MUST_USE enum sl_code settings_load(const struct settings_sources *sources, struct config **out,
				       struct sl_error *error);
/* A line for each promise (I1 to I14 of the design) that these settings weaken.  None weakens I1:
 * accepted is committed whatever they say. */
void settings_weaknesses(const struct config *config, struct buf *out);
void settings_log_level(const struct config *config); /* puts log_level into force */
/* Checks that span settings (what a role needs); the daemon does not start when this fails. */
SL_MUST_USE enum sl_code settings_check(const struct config *config, struct sl_error *error);

struct guard_rules;
/* What the settings egress_* say; the texts are borrowed from config. */
void settings_guard_rules(const struct config *config, struct guard_rules *out);

#endif
