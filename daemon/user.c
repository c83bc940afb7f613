/* daemon/user.c - see user.h.
 *
 * What a child needs may lie under a folder that only root can walk through (/root is the usual
 * one), and programs want it by path.  Such a child keeps exactly one capability, the weakest that
 * lets it walk there (CAP_DAC_READ_SEARCH, or CAP_DAC_OVERRIDE where a container has only that). */
#include "daemon/user.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"

enum sl_code
user_find(struct user *out, struct sl_error *error)
{
	const struct passwd *entry;

	memset(out, 0, sizeof(*out));
	if (geteuid() != 0)
		return SL_OK;
	entry = getpwnam("postgres");
	if (entry == NULL)
		entry = getpwnam("nobody");
	if (entry == NULL || entry->pw_uid == 0)
		return sl_fail(
		    error, SL_UNAVAILABLE,
		    "started as root, and there is no user postgres or nobody for children to run as");
	out->change = true;
	out->uid = entry->pw_uid;
	out->gid = entry->pw_gid;
	return SL_OK;
}

static bool
may_walk(const struct user *user, const struct stat *st)
{
	if (st->st_uid == user->uid)
		return (st->st_mode & S_IXUSR) != 0;
	if (st->st_gid == user->gid)
		return (st->st_mode & S_IXGRP) != 0;
	return (st->st_mode & S_IXOTH) != 0;
}

bool
user_check_path(struct user *user, const char *directory)
{
	char path[4096];
	struct stat st;

	if (!user->change || strlen(directory) >= sizeof(path))
		return false;
	memcpy(path, directory, strlen(directory) + 1);
	for (char *end = path + strlen(path); end > path; end = strrchr(path, '/')) {
		*end = '\0';
		if (stat(path[0] != '\0' ? path : "/", &st) != 0 || may_walk(user, &st))
			continue;
		user->need_search = true;
		return true;
	}
	return false;
}

static bool
keep_capability(int capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	memset(data, 0, sizeof(data));
	data[0].effective = data[0].permitted = data[0].inheritable = 1u << capability;
	return syscall(SYS_capset, &header, data) == 0 &&
	       prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) == 0;
}

bool
user_become(const struct user *user)
{
	if (!user->change)
		return true;
	if (user->need_search && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		return false;
	if (setgroups(0, NULL) != 0 || setgid(user->gid) != 0 || setuid(user->uid) != 0)
		return false;
	return !user->need_search || keep_capability(CAP_DAC_READ_SEARCH) ||
	       keep_capability(CAP_DAC_OVERRIDE);
}
