/* daemon/paths.c - see paths.h. */
#include "daemon/paths.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"

/* The directory of this program, when it is a build tree's (sluice-runner stands beside it); else
 * NULL. */
static char *
build_dir(void)
{
	char path[4096];
	ssize_t len = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *slash, *runner;
	bool is_build;

	if (len <= 0)
		return NULL;
	path[len] = '\0';
	slash = strrchr(path, '/');
	*slash = '\0';
	runner = sl_asprintf("%s/sluice-runner", path);
	is_build = access(runner, X_OK) == 0 && strcmp(path, SLUICE_LIBEXECDIR) != 0;
	free(runner);
	return is_build ? sl_strdup(path) : NULL;
}

static char *
pick(const struct config *config, const char *setting, const char *in_build, const char *installed)
{
	const char *set = config_text(config, setting);
	char *build = build_dir(), *path;

	if (set != NULL)
		path = sl_strdup(set);
	else if (build != NULL && in_build[0] == '/')
		path = sl_strdup(in_build);
	else if (build != NULL)
		path = sl_asprintf("%s/%s", build, in_build);
	else
		path = sl_strdup(installed);
	free(build);
	return path;
}

char *
path_runner(const struct config *config)
{
	return pick(config, "runner_path", "sluice-runner", SLUICE_LIBEXECDIR "/sluice-runner");
}

char *
path_catalog(const struct config *config)
{
	return pick(config, "catalog_dir", SLUICE_SOURCEDIR "/provider/catalog",
		    SLUICE_DATADIR "/catalog");
}

char *
path_compiler(const struct config *config)
{
	return pick(config, "compiler_dir", SLUICE_SOURCEDIR "/compiler",
		    SLUICE_DATADIR "/compiler");
}
