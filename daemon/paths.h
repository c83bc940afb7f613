/* daemon/paths.h - where our own files are: beside the program in a build tree, else where they
 * were installed. */
#ifndef SLUICE_DAEMON_PATHS_H
#define SLUICE_DAEMON_PATHS_H

#include "base/config.h"

/* Each is malloc'd; the setting of that name wins. */
char *path_runner(const struct config *config);
char *path_catalog(const struct config *config);
char *path_compiler(const struct config *config);

#endif
