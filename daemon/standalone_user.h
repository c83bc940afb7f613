/* daemon/standalone_user.h - as whom the private servers run, and how a child becomes that user. */
#ifndef SLUICE_DAEMON_STANDALONE_USER_H
#define SLUICE_DAEMON_STANDALONE_USER_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct standalone_user {
	bool change; /* false: we are unprivileged ourselves */
	uid_t uid;
	gid_t gid;
	bool need_search; /* a folder above DIR is closed to that user */
};

/* Root picks the user postgres, else nobody; anybody else stays who they are. */
SL_MUST_USE enum sl_code standalone_user_find(struct standalone_user *out, struct sl_error *error);
/* Sets need_search: may the user walk to directory? */
void standalone_user_check_path(struct standalone_user *user, const char *directory);
/* In the child, between fork and exec; async-signal-safe calls only.  False: give up. */
bool standalone_user_become(const struct standalone_user *user);

#endif
