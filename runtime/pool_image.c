#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "runtime/pool_internal.h"

#define SEALS (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define PER_PROCESS 2         /* images at most, for each process there may be */
#define KEPT_BYTES (16 << 20) /* of memory, at most, for one to be kept */

#if !defined(MFD_NOEXEC_SEAL)
#define MFD_NOEXEC_SEAL 8u
#endif

static void
image_free(struct pool *pool, struct image *image)
{
	struct image **link = &pool->images;

	while (*link != image)
		link = &(*link)->next;
	*link = image->next;
	pool->image_count--;
	close(image->fd);
	free(image);
}

struct image *
image_find(struct pool *pool, int64_t version_id, int64_t environment_id)
{
	for (struct image *image = pool->images; image != NULL; image = image->next) {
		if (image->version_id == version_id && image->environment_id == environment_id)
			return image;
	}
	return NULL;
}

int
image_open(struct pool *pool)
{
	int fd;

	if (pool->settings.isolation == POOL_FORK)
		return -1;
	fd = memfd_create("heap", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
	if (fd < 0) /* a kernel before 6.3 */
		fd = memfd_create("heap", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

static void
forget_oldest(struct pool *pool)
{
	struct image *oldest = pool->images;

	for (struct image *image = pool->images; image != NULL; image = image->next) {
		if (image->used_ms < oldest->used_ms)
			oldest = image;
	}
	image_free(pool, oldest);
}

/* The process may still write to one that is not sealed, under the runs of others. */
static bool
is_worth_keeping(int fd)
{
	struct stat facts;

	return (fcntl(fd, F_GET_SEALS) & SEALS) == SEALS && fstat(fd, &facts) == 0 &&
	       facts.st_blocks <= KEPT_BYTES / 512;
}

void
image_keep(struct pool *pool, const struct process *process, int fd)
{
	struct image *image;

	if (!is_worth_keeping(fd)) {
		close(fd);
		return;
	}
	image = image_find(pool, process->version_id, process->environment_id);
	if (image != NULL)
		image_free(pool, image);
	else if (pool->image_count >= PER_PROCESS * pool->settings.processes_max)
		forget_oldest(pool);
	image = sl_alloc(sizeof(*image));
	image->version_id = process->version_id;
	image->environment_id = process->environment_id;
	image->fd = fd;
	image->used_ms = clock_mono_ms();
	image->next = pool->images;
	pool->images = image;
	pool->image_count++;
}

void
image_forget(struct pool *pool, int64_t version_id, int64_t environment_id)
{
	struct image *image = image_find(pool, version_id, environment_id);

	if (image != NULL)
		image_free(pool, image);
}

void
image_forget_all(struct pool *pool)
{
	while (pool->images != NULL)
		image_free(pool, pool->images);
}
