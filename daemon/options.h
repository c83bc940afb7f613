/* daemon/options.h - what of the command line is no setting, and what sluiced does instead of running. */
#ifndef SLUICE_DAEMON_OPTIONS_H
#define SLUICE_DAEMON_OPTIONS_H

#include <stdbool.h>

#include "base/config.h"

struct options {
	bool check, migrate;
	const char *file; /* of settings, borrowed from argv; or NULL */
};

/* Takes our own options out of argv; --help and --version are done at once.  Returns -1 to go on, else
 * the exit status. */
int options_read(int *argc, char **argv, struct options *options);
/* --check-config, of settings that were found good.  Returns the exit status. */
int options_check(const struct config *config);

#endif
