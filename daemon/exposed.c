#include "daemon/exposed.h"

#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"

static void
warn_if_readable(const char *path, const char *holds)
{
	struct stat st;

	if (path != NULL && stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & (S_IROTH | S_IWOTH)) != 0)
		log_warn("secret_exposed",
			 "file=%s holds=\"%s\" mode=%04o remedy=\"chmod o= and give it to the "
			 "group that sluiced runs as\"",
			 log_text(path), holds, (unsigned)(st.st_mode & 07777));
}

/* libpq's two forms, and Redis's URL; a password file is named otherwise. */
static bool
has_password(const char *url)
{
	const char *host = url == NULL ? NULL : strchr(url, '@'), *colon;

	if (url == NULL)
		return false;
	if (strstr(url, "password=") != NULL)
		return true;
	colon = strstr(url, "://");
	colon = colon == NULL ? NULL : strchr(colon + 3, ':');
	return host != NULL && colon != NULL && colon < host;
}

void
exposed_warn(const char *file, const struct config *config)
{
	static const char *const urls[] = {"database_url", "database_direct_url", "redis_url"};

	for (size_t i = 0; i < sizeof(urls) / sizeof(*urls); i++) {
		if (strcmp(config_source(config, urls[i]), "file") == 0 &&
		    has_password(config_text(config, urls[i]))) {
			warn_if_readable(file, "a password");
			break;
		}
	}
	warn_if_readable(config_text(config, "encryption_key_file"), "the encryption keys");
	warn_if_readable(config_text(config, "keys_file"), "API keys");
}
