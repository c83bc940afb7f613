#include "runtime/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The kernel's numbers; its header here may be older than the kernel that runs. */
#if !defined(SYS_landlock_create_ruleset)
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_restrict_self 446
#endif
#define ASK_VERSION 1u
#define ABI_NET 4
#define ABI_SCOPE 6
#define ALL_NET UINT64_C(3)    /* bind, connect */
#define ALL_SCOPES UINT64_C(3) /* abstract unix sockets, signals */

struct ruleset {
	uint64_t files, net, scopes;
};

/* What a kernel of that version can deny about files: a bit beyond that is an error to it. */
static uint64_t
all_files(int abi)
{
	int bits = abi >= 5 ? 16 : abi >= 3 ? 15 : abi >= 2 ? 14 : 13;

	return (UINT64_C(1) << bits) - 1;
}

static size_t
size_for(int abi)
{
	return abi >= ABI_SCOPE ? 24 : abi >= ABI_NET ? 16 : 8;
}

static bool
can_open_a_file(void)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd >= 0 || errno != EACCES;
}

/* A service that may have no such socket has nothing to deny. */
static bool
can_connect(void)
{
	struct sockaddr_in to = {
	    .sin_family = AF_INET, .sin_port = htons(9), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), rc;

	if (fd < 0)
		return false;
	rc = connect(fd, (struct sockaddr *)&to, sizeof(to));
	rc = rc == 0 || errno != EACCES ? 0 : EACCES;
	close(fd);
	return rc == 0;
}

enum sl_code
landlock_deny_all(int *abi, struct sl_error *error)
{
	struct ruleset rules = {.net = ALL_NET, .scopes = ALL_SCOPES};
	int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, ASK_VERSION), fd;
	bool done;

	*abi = 0;
	if (version < 0 && (errno == ENOSYS || errno == EOPNOTSUPP))
		return SL_OK;
	if (version < 1)
		return sl_fail(error, SL_UNAVAILABLE, "landlock: %s", strerror(errno));
	rules.files = all_files(version);
	fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size_for(version), 0);
	if (fd < 0)
		return sl_fail(error, SL_UNAVAILABLE, "landlock_create_ruleset: %s",
			       strerror(errno));
	done = syscall(SYS_landlock_restrict_self, fd, 0) == 0;
	if (!done)
		sl_fail(error, SL_UNAVAILABLE, "landlock_restrict_self: %s", strerror(errno));
	close(fd);
	if (!done)
		return SL_UNAVAILABLE;
	if (can_open_a_file() || (version >= ABI_NET && can_connect()))
		return sl_fail(error, SL_INTERNAL,
			       "landlock self-check: what was denied is still possible");
	*abi = version;
	return SL_OK;
}
