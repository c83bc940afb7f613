/* daemon/user.h - the unprivileged user that children of a daemon started as root run as.
 *
 * The private servers of standalone refuse root, and the compiler reads what customers send. */
#ifndef SLUICE_DAEMON_USER_H
#define SLUICE_DAEMON_USER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct user {
	bool change; /* false: we are unprivileged ourselves */
	uid_t uid;
	gid_t gid;
	bool need_search; /* a folder on the way to what it needs is closed to that user */
};

/* Root picks the user postgres, else nobody; anybody else stays who they are. */
SL_MUST_USE enum sl_code user_find(struct user *out, struct sl_error *error);
/* Sets need_search when the user may not walk to directory; true: it was newly set. */
bool user_check_path(struct user *user, const char *directory);
/* In the child, between fork and exec; async-signal-safe calls only.  False: give up. */
bool user_become(const struct user *user);

#endif
