/* daemon/exposed.h - files with secrets that every user of the machine may read. */
#ifndef SLUICE_DAEMON_EXPOSED_H
#define SLUICE_DAEMON_EXPOSED_H

#include "base/config.h"

/* Warns in the log of each one, with the remedy: the settings file when a URL in it has a password,
 * the encryption keys, the API keys.  file: of the settings, or NULL.  Nothing is refused: it may be a
 * container with nobody else in it. */
void exposed_warn(const char *file, const struct config *config);

#endif
