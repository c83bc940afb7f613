/* daemon/reload.h - SIGHUP: the settings are read again, checked whole, and then applied.
 *
 * What is marked CONFIG_LIVE in the table changes at once, for what starts from now on; of the rest,
 * the log names what a restart would change.  The encryption key file is read again too: keys that only
 * open come and go, the first one stays.  No job and no connection is touched. */
#ifndef SLUICE_DAEMON_RELOAD_H
#define SLUICE_DAEMON_RELOAD_H

#include "daemon/daemon.h"
#include "daemon/settings.h"

/* config: daemon->config, as one that may be changed.  Anything but SL_OK: nothing was changed, and error
 * says why. */
SL_MUST_USE enum sl_code reload(struct daemon *daemon, struct config *config,
				const struct settings_sources *sources, struct sl_error *error);
/* Tells the providers' client what provider_connections is; also at start. */
void reload_provider_client(struct daemon *daemon);

#endif
