/* tests/lib/shim.c - preloaded into a database: its writes or syncs fail while a file says so.
 *
 * SHIM_SWITCH names a folder.  While "enospc" is there, writes to files whose path holds the text in it
 * fail with ENOSPC; while "eio" is there, syncs of such files fail with EIO.  No privilege is needed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* Is the switch on, and does it mean this file? */
static int
fails(const char *name, int fd)
{
	char path[512], text[256], link[64], file[512];
	const char *folder = getenv("SHIM_SWITCH");
	struct stat about;
	ssize_t len;
	int at;

	if (folder == NULL || fstat(fd, &about) != 0 || !S_ISREG(about.st_mode))
		return 0;
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	at = open(path, O_RDONLY | O_CLOEXEC);
	if (at < 0)
		return 0;
	len = read(at, text, sizeof(text) - 1);
	close(at);
	text[len > 0 ? len : 0] = '\0';
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, file, sizeof(file) - 1);
	if (len <= 0)
		return 0;
	file[len] = '\0';
	return strstr(file, text) != NULL;
}

static void *
next_of(const char *name)
{
	return dlsym(RTLD_NEXT, name);
}

static ssize_t
no_space(void)
{
	errno = ENOSPC;
	return -1;
}

static int
no_sync(void)
{
	errno = EIO;
	return -1;
}

ssize_t
write(int fd, const void *data, size_t size)
{
	ssize_t (*real)(int, const void *, size_t);

	*(void **)(&real) = next_of("write");
	return fails("enospc", fd) ? no_space() : real(fd, data, size);
}

ssize_t
pwrite(int fd, const void *data, size_t size, off_t offset)
{
	ssize_t (*real)(int, const void *, size_t, off_t);

	*(void **)(&real) = next_of("pwrite");
	return fails("enospc", fd) ? no_space() : real(fd, data, size, offset);
}

ssize_t
pwrite64(int fd, const void *data, size_t size, off_t offset)
{
	return pwrite(fd, data, size, offset);
}

ssize_t
pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
	ssize_t (*real)(int, const struct iovec *, int, off_t);

	*(void **)(&real) = next_of("pwritev");
	return fails("enospc", fd) ? no_space() : real(fd, parts, count, offset);
}

ssize_t
pwritev64(int fd, const struct iovec *parts, int count, off_t offset)
{
	return pwritev(fd, parts, count, offset);
}

int
posix_fallocate(int fd, off_t offset, off_t size)
{
	int (*real)(int, off_t, off_t);

	*(void **)(&real) = next_of("posix_fallocate");
	return fails("enospc", fd) ? ENOSPC : real(fd, offset, size);
}

int
posix_fallocate64(int fd, off_t offset, off_t size)
{
	return posix_fallocate(fd, offset, size);
}

int
fsync(int fd)
{
	int (*real)(int);

	*(void **)(&real) = next_of("fsync");
	return fails("eio", fd) ? no_sync() : real(fd);
}

int
fdatasync(int fd)
{
	int (*real)(int);

	*(void **)(&real) = next_of("fdatasync");
	return fails("eio", fd) ? no_sync() : real(fd);
}
