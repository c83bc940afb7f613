/* daemon/standalone_dir.c - DIR of an embedded service: the lock, folders, secrets, where the
 * sockets go. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/secret.h"
#include "daemon/standalone_state.h"

#define SOCKET_PATH_MAX 90 /* sun_path holds 107; Postgres adds a name of its own */
#define PG_PORT 5432

enum sl_code
standalone_make_dir(const struct standalone *standalone, const char *path, bool theirs,
		    struct sl_error *error)
{
	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return sl_fail(error, SL_UNAVAILABLE, "cannot make %s: %s", path, strerror(errno));
	if (theirs && standalone->user.change &&
	    chown(path, standalone->user.uid, standalone->user.gid) != 0)
		return sl_fail(error, SL_UNAVAILABLE, "cannot give %s to the servers' user: %s",
			       path, strerror(errno));
	return SL_OK;
}

enum sl_code
standalone_write_file(const char *path, const char *text, mode_t mode, struct sl_error *error)
{
	char *part = sl_asprintf("%s.part", path);
	int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	size_t len = strlen(text);
	bool ok = fd >= 0 && write(fd, text, len) == (ssize_t)len && fsync(fd) == 0;

	if (fd >= 0)
		ok = close(fd) == 0 && ok;
	ok = ok && rename(part, path) == 0;
	free(part);
	return ok ? SL_OK
		  : sl_fail(error, SL_UNAVAILABLE, "cannot write %s: %s", path, strerror(errno));
}

/* 64 random hex digits in a file of their own, made once. */
static enum sl_code
secret_file(const char *path, char out[65], struct sl_error *error)
{
	uint8_t random[32];
	struct buf hex;
	char text[66];
	FILE *file = fopen(path, "re");
	bool ok;

	if (file != NULL) {
		ok = fread(out, 1, 64, file) == 64;
		fclose(file);
		out[64] = '\0';
		return ok && strspn(out, "0123456789abcdef") == 64
			   ? SL_OK
			   : sl_fail(error, SL_INVALID,
				     "%s does not hold 64 hex digits; restore it from a backup",
				     path);
	}
	if (errno != ENOENT)
		return sl_fail(error, SL_UNAVAILABLE, "cannot read %s: %s", path, strerror(errno));
	secret_random(random, sizeof(random));
	buf_init(&hex, 65);
	hex_add(&hex, random, sizeof(random));
	memcpy(out, hex.data, 65);
	buf_fini(&hex);
	snprintf(text, sizeof(text), "%s\n", out);
	return standalone_write_file(path, text, 0600, error);
}

static enum sl_code
make_secrets(struct standalone *standalone, struct sl_error *error)
{
	char *pg = sl_asprintf("%s/secrets/postgres", standalone->directory);
	char *redis = sl_asprintf("%s/secrets/redis", standalone->directory);
	char key[65];
	enum sl_code code = secret_file(pg, standalone->password_pg, error);

	if (code == SL_OK)
		code = secret_file(redis, standalone->password_redis, error);
	if (code == SL_OK)
		code = secret_file(standalone->key_file, key, error);
	secret_wipe(key, sizeof(key));
	free(pg);
	free(redis);
	return code;
}

/* Sockets want short paths. */
static enum sl_code
choose_run(struct standalone *standalone, struct sl_error *error)
{
	char digest[SECRET_SHA256_HEX];

	standalone->run = sl_asprintf("%s/run", standalone->directory);
	if (strlen(standalone->run) <= SOCKET_PATH_MAX && !standalone->user.need_search)
		return standalone_make_dir(standalone, standalone->run, true, error);
	secret_sha256_hex(slice_text(standalone->directory), digest);
	free(standalone->run);
	standalone->run = sl_asprintf("/tmp/sluice-%.16s", digest);
	standalone->run_is_tmp = true;
	if (standalone_make_dir(standalone, standalone->run, true, error) != SL_OK)
		return error != NULL ? error->code : SL_UNAVAILABLE;
	struct stat st;
	uid_t owner = standalone->user.change ? standalone->user.uid : geteuid();

	/* Somebody else could have made it first. */
	if (lstat(standalone->run, &st) != 0 || !S_ISDIR(st.st_mode) || st.st_uid != owner ||
	    (st.st_mode & 077) != 0)
		return sl_fail(error, SL_UNAVAILABLE,
			       "%s is not ours; remove it, or use a shorter DIR", standalone->run);
	return SL_OK;
}

static enum sl_code
take_lock(struct standalone *standalone, struct sl_error *error)
{
	char *path = sl_asprintf("%s/lock", standalone->directory);
	enum sl_code code = SL_OK;
	long pid = 0;
	FILE *file;

	standalone->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (standalone->lock_fd < 0) {
		code = sl_fail(error, SL_UNAVAILABLE, "cannot open %s: %s", path, strerror(errno));
	} else if (flock(standalone->lock_fd, LOCK_EX | LOCK_NB) != 0) {
		file = fopen(standalone->pid_file, "re");
		if (file != NULL) {
			if (fscanf(file, "%ld", &pid) != 1)
				pid = 0;
			fclose(file);
		}
		code = sl_fail(
		    error, SL_CONFLICT,
		    "sluiced already runs on %s (process %ld); stop it first, or use another DIR",
		    standalone->directory, pid);
	}
	free(path);
	return code;
}

/* Postgres keeps its programs in a folder per version. */
static char *
find_postgres(void)
{
	static const char base[] = "/usr/lib/postgresql";
	DIR *dir = opendir(base);
	struct dirent *entry;
	int best = 0;
	char *found = NULL;

	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		int version = (int)strtol(entry->d_name, NULL, 10);
		char *path = sl_asprintf("%s/%s/bin/postgres", base, entry->d_name);

		if (version > best && access(path, X_OK) == 0) {
			best = version;
			free(found);
			found = sl_asprintf("%s/%s/bin", base, entry->d_name);
		}
		free(path);
	}
	if (dir != NULL)
		closedir(dir);
	return found != NULL ? found : sl_strdup("/usr/bin");
}

static enum sl_code
write_pid(struct standalone *standalone, struct sl_error *error)
{
	char text[32];

	snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	return standalone_write_file(standalone->pid_file, text, 0644, error);
}

enum sl_code
standalone_open(const char *directory, struct standalone **out, struct sl_error *error)
{
	static const struct server servers[SERVERS] = {
	    {.kind = SERVER_POSTGRES, .name = "postgres", .stop_signal = SIGINT},
	    {.kind = SERVER_REDIS, .name = "redis", .stop_signal = SIGTERM}};
	static const char *const folders[] = {"secrets", "log"};
	struct standalone *standalone = sl_alloc(sizeof(*standalone));
	enum sl_code code = SL_OK;

	*out = standalone;
	standalone->lock_fd = -1;
	if (mkdir(directory, 0755) != 0 && errno != EEXIST)
		return sl_fail(error, SL_UNAVAILABLE, "cannot make %s: %s", directory,
			       strerror(errno));
	standalone->directory = realpath(directory, NULL);
	if (standalone->directory == NULL)
		return sl_fail(error, SL_UNAVAILABLE, "cannot use %s: %s", directory,
			       strerror(errno));
	standalone->pid_file = sl_asprintf("%s/sluiced.pid", standalone->directory);
	standalone->key_file = sl_asprintf("%s/secrets/encryption.key", standalone->directory);
	standalone->keys_file = sl_asprintf("%s/keys.env", standalone->directory);
	standalone->postgres_bin = find_postgres();
	for (int i = 0; i < SERVERS; i++) {
		standalone->server[i] = servers[i];
		standalone->server[i].standalone = standalone;
	}
	code = take_lock(standalone, error);
	if (code == SL_OK)
		code = user_find(&standalone->user, error);
	if (code == SL_OK && user_check_path(&standalone->user, standalone->directory))
		log_warn(
		    "directory_closed", "directory=%s remedy=%s", log_text(standalone->directory),
		    log_text(
			"a folder above is closed to the servers' user, who keeps one capability to walk "
			"through; a DIR elsewhere needs none"));
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]) && code == SL_OK; i++) {
		char *path = sl_asprintf("%s/%s", standalone->directory, folders[i]);

		code = standalone_make_dir(standalone, path, false, error);
		free(path);
	}
	if (code == SL_OK)
		code = choose_run(standalone, error);
	if (code == SL_OK)
		code = make_secrets(standalone, error);
	if (code == SL_OK)
		code = write_pid(standalone, error);
	standalone->database_url =
	    sl_asprintf("host=%s port=%d user=sluice password=%s dbname=postgres", standalone->run,
			PG_PORT, standalone->password_pg);
	standalone->redis_url =
	    sl_asprintf("unix://:%s@%s/redis.sock", standalone->password_redis, standalone->run);
	return code;
}
