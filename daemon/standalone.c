/* daemon/standalone.c - see standalone.h. */
#include "daemon/standalone.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/secret.h"
#include "daemon/notify.h"
#include "daemon/standalone_state.h"

#define START_MS 30000
#define STOP_MS 10000
#define BACKOFF_FIRST_MS 200
#define BACKOFF_CAP_MS 5000
#define STEADY_MS 10000 /* up for this long: the backoff starts over */

/* ---- processes ------------------------------------------------------------------------------- */

/* Starts a program as the servers' user, output to log_path.  The kernel sends it death_signal when
 * we die. */
static pid_t
spawn(const struct standalone *standalone, char *const argv[], const char *log_path,
      int death_signal)
{
	static char path[] = "PATH=/usr/bin:/bin:/usr/sbin:/sbin", lang[] = "LC_ALL=C",
		    zone[] = "TZ=UTC";
	char *envp[] = {path, lang, zone, NULL};
	int log_fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct sigaction fresh = {.sa_handler = SIG_DFL};
	pid_t parent = getpid(), pid;
	sigset_t none;

	sigemptyset(&none);
	pid = log_fd >= 0 && null_fd >= 0 ? fork() : -1;
	if (pid == 0) {
		(void)setsid(); /* a Ctrl-C in our terminal is ours to handle */
		sigprocmask(SIG_SETMASK, &none, NULL);
		(void)sigaction(SIGPIPE, &fresh, NULL);
		(void)sigaction(SIGHUP, &fresh, NULL);
		if (!user_become(&standalone->user) || dup2(null_fd, 0) < 0 ||
		    dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0 || chdir("/") != 0 ||
		    prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0 || getppid() != parent)
			_exit(126);
		execve(argv[0], argv, envp);
		_exit(127);
	}
	if (log_fd >= 0)
		close(log_fd);
	if (null_fd >= 0)
		close(null_fd);
	return pid;
}

static enum sl_code
run_initdb(struct standalone *standalone, const char *data, struct sl_error *error)
{
	char *program = sl_asprintf("%s/initdb", standalone->postgres_bin);
	char *log_path = sl_asprintf("%s/log/initdb.log", standalone->directory);
	char *password_file = sl_asprintf("%s/password", standalone->run);
	char *password_option = sl_asprintf("--pwfile=%s", password_file);
	char *version = sl_asprintf("%s/PG_VERSION", data);
	char *argv[] = {program,
			"-D",
			(char *)(uintptr_t)data,
			"-U",
			"sluice",
			"-E",
			"UTF8",
			"--locale=C",
			"--auth=scram-sha-256",
			"--no-sync",
			password_option,
			"--no-instructions",
			NULL};
	enum sl_code code =
	    standalone_write_file(password_file, standalone->password_pg, 0600, error);
	int status = -1;
	pid_t pid;

	if (code == SL_OK && standalone->user.change &&
	    chown(password_file, standalone->user.uid, standalone->user.gid) != 0)
		code = sl_fail(error, SL_UNAVAILABLE, "cannot hand over %s: %s", password_file,
			       strerror(errno));
	if (code == SL_OK && access(version, F_OK) != 0) {
		pid = spawn(standalone, argv, log_path, SIGKILL);
		if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
			code = sl_fail(
			    error, SL_UNAVAILABLE,
			    "initdb failed (status %d); see %s, and whether the package postgresql is installed",
			    status, log_path);
	}
	(void)unlink(password_file);
	free(program);
	free(log_path);
	free(password_file);
	free(password_option);
	free(version);
	return code;
}

static void
start_postgres(struct server *server, const char *log_path)
{
	struct standalone *standalone = server->standalone;
	char *program = sl_asprintf("%s/postgres", standalone->postgres_bin);
	char *data = sl_asprintf("%s/postgres", standalone->directory);
	char *sockets = sl_asprintf("unix_socket_directories=%s", standalone->run);
	char *argv[] = {program,
			"-D",
			data,
			"-c",
			"listen_addresses=",
			"-c",
			sockets,
			"-c",
			"max_connections=40",
			"-c",
			"shared_buffers=64MB",
			"-c",
			"wal_compression=on",
			"-c",
			"logging_collector=off",
			"-c",
			"unix_socket_permissions=0700",
			"-c",
			"max_wal_size=512MB",
			"-c",
			"log_min_messages=warning",
			"-c",
			"jit=off",
			NULL};

	server->pid = spawn(standalone, argv, log_path, SIGINT);
	free(program);
	free(data);
	free(sockets);
}

static void
start_redis(struct server *server, const char *log_path)
{
	struct standalone *standalone = server->standalone;
	char *config = sl_asprintf("%s/redis.conf", standalone->run);
	char *argv[] = {"/usr/bin/redis-server", config, NULL};
	struct sl_error error;
	struct buf text;

	/* In a file, not on the command line: the password must not show in ps. */
	buf_init(&text, 8192);
	buf_printf(
	    &text,
	    "port 0\nunixsocket %s/redis.sock\nunixsocketperm 700\ndir \"%s/redis\"\nrequirepass %s\n"
	    "appendonly yes\nappendfsync everysec\nauto-aof-rewrite-min-size 256mb\nsave \"\"\n"
	    "maxmemory-policy noeviction\ndaemonize no\nsupervised no\n",
	    standalone->run, standalone->directory, standalone->password_redis);
	server->pid = -1;
	if (standalone_write_file(config, text.data, 0600, &error) != SL_OK ||
	    (standalone->user.change &&
	     chown(config, standalone->user.uid, standalone->user.gid) != 0))
		log_error("redis_config", "error=%s", log_text(error.text));
	else
		server->pid = spawn(standalone, argv, log_path, SIGTERM);
	secret_wipe(text.data, text.len);
	buf_fini(&text);
	free(config);
}

static void
start_server(struct server *server)
{
	char *log_path = sl_asprintf("%s/log/%s.log", server->standalone->directory, server->name);

	server->started_ms = clock_mono_ms();
	switch (server->kind) {
	case SERVER_POSTGRES:
		start_postgres(server, log_path);
		break;
	case SERVER_REDIS:
		start_redis(server, log_path);
		break;
	}
	if (server->pid < 0) {
		log_error("server_not_started", "server=%s error=%s", server->name,
			  strerror(errno));
		server->pid = 0;
	}
	free(log_path);
}

static bool
answers(const struct standalone *standalone, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s", standalone->run, name);
	ok = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static void
nap(int ms)
{
	struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	(void)nanosleep(&time, NULL);
}

/* Waits for the socket; a server that died is started again (an earlier Postgres may be on its way
 * out). */
static enum sl_code
await(struct server *server, const char *socket_name, int64_t until_ms, struct notify *notify,
      struct sl_error *error)
{
	while (!answers(server->standalone, socket_name)) {
		notify_busy(notify, "Starting: waiting for the private servers");
		if (server->pid > 0 && waitpid(server->pid, NULL, WNOHANG) == server->pid)
			server->pid = 0;
		if (clock_mono_ms() > until_ms)
			return sl_fail(error, SL_UNAVAILABLE,
				       "%s did not start within %d s; see %s/log/%s.log",
				       server->name, START_MS / 1000, server->standalone->directory,
				       server->name);
		if (server->pid == 0 && clock_mono_ms() - server->started_ms > BACKOFF_FIRST_MS)
			start_server(server);
		nap(10);
	}
	return SL_OK;
}

/* A server of a daemon that was killed ends by itself, but needs a moment; its sockets are stale
 * then. */
static void
clear_sockets(const struct standalone *standalone)
{
	static const char *const names[] = {"redis.sock"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char *path = sl_asprintf("%s/%s", standalone->run, names[i]);

		for (int tries = 0; tries < 300 && answers(standalone, names[i]); tries++)
			nap(10);
		(void)unlink(path);
		free(path);
	}
	for (int tries = 0; tries < 300 && answers(standalone, ".s.PGSQL.5432"); tries++)
		nap(10);
}

static enum sl_code
remake_dir(const struct standalone *standalone, const char *name, struct sl_error *error)
{
	char *path = sl_asprintf("%s/%s", standalone->directory, name);
	enum sl_code code = standalone_make_dir(standalone, path, true, error);

	free(path);
	return code;
}

enum sl_code
standalone_start(struct standalone *standalone, struct notify *notify, struct sl_error *error)
{
	char *data = sl_asprintf("%s/postgres", standalone->directory);
	int64_t until = clock_mono_ms() + START_MS;
	enum sl_code code;

	if (access("/usr/bin/redis-server", X_OK) != 0) {
		free(data);
		return sl_fail(
		    error, SL_UNAVAILABLE,
		    "/usr/bin/redis-server is missing; on Debian: apt-get install redis-server");
	}
	code = remake_dir(standalone, "postgres", error);
	if (code == SL_OK)
		code = remake_dir(standalone, "redis", error);
	clear_sockets(standalone);
	start_server(&standalone->server[SERVER_REDIS]);
	if (code == SL_OK)
		code = run_initdb(standalone, data, error);
	free(data);
	if (code != SL_OK)
		return code;
	start_server(&standalone->server[SERVER_POSTGRES]);
	code = await(&standalone->server[SERVER_POSTGRES], ".s.PGSQL.5432", until, notify, error);
	if (code == SL_OK)
		code = await(&standalone->server[SERVER_REDIS], "redis.sock", until, notify, error);
	return code;
}

/* ---- supervision ----------------------------------------------------------------------------- */

static void
on_restart(void *arg)
{
	struct server *server = arg;

	if (!server->standalone->closing && server->pid == 0)
		start_server(server);
}

static void
reap(struct server *server)
{
	int status;

	if (server->pid <= 0 || waitpid(server->pid, &status, WNOHANG) != server->pid)
		return;
	server->pid = 0;
	if (server->standalone->closing)
		return;
	if (clock_mono_ms() - server->started_ms > STEADY_MS || server->backoff_ms == 0)
		server->backoff_ms = BACKOFF_FIRST_MS;
	else if (server->backoff_ms < BACKOFF_CAP_MS)
		server->backoff_ms *= 2;
	log_error("server_died", "server=%s status=%d restart_in_ms=%lld", server->name, status,
		  (long long)server->backoff_ms);
	loop_timer_in(server->timer, server->backoff_ms);
}

static void
on_sigchld(void *arg, int signo)
{
	struct standalone *standalone = arg;

	(void)signo;
	for (int i = 0; i < SERVERS; i++)
		reap(&standalone->server[i]);
}

void
standalone_watch(struct standalone *standalone, struct loop *loop)
{
	standalone->loop = loop;
	standalone->sigchld = loop_signal_new(loop, SIGCHLD, on_sigchld, standalone);
	for (int i = 0; i < SERVERS; i++)
		standalone->server[i].timer =
		    loop_timer_new(loop, on_restart, &standalone->server[i]);
	on_sigchld(standalone, SIGCHLD);
}

static void
stop_servers(struct standalone *standalone)
{
	int64_t until = clock_mono_ms() + STOP_MS;
	int running = SERVERS;

	for (int i = 0; i < SERVERS; i++)
		if (standalone->server[i].pid > 0)
			(void)kill(standalone->server[i].pid, standalone->server[i].stop_signal);
	while (running > 0) {
		running = 0;
		for (int i = 0; i < SERVERS; i++) {
			struct server *server = &standalone->server[i];

			if (server->pid > 0 && waitpid(server->pid, NULL, WNOHANG) == server->pid)
				server->pid = 0;
			if (server->pid > 0 && clock_mono_ms() > until) {
				log_error("server_killed", "server=%s", server->name);
				(void)kill(server->pid, SIGKILL);
				(void)waitpid(server->pid, NULL, 0);
				server->pid = 0;
			}
			running += server->pid > 0;
		}
		if (running > 0)
			nap(5);
	}
}

void
standalone_close(struct standalone *standalone)
{
	if (standalone == NULL)
		return;
	standalone->closing = true;
	for (int i = 0; i < SERVERS; i++)
		loop_timer_free(standalone->server[i].timer);
	if (standalone->sigchld != NULL)
		loop_signal_free(standalone->sigchld);
	stop_servers(standalone);
	if (standalone->run != NULL) {
		char *config = sl_asprintf("%s/redis.conf", standalone->run);

		(void)unlink(config);
		free(config);
		if (standalone->run_is_tmp)
			(void)rmdir(standalone->run);
	}
	if (standalone->lock_fd >= 0) {
		struct stat st;

		/* Only the holder's: a refused second start must leave the first one's file. */
		if (standalone->database_url != NULL && fstat(standalone->lock_fd, &st) == 0 &&
		    standalone->run != NULL)
			(void)unlink(standalone->pid_file);
		close(standalone->lock_fd);
	}
	free(standalone->directory);
	free(standalone->run);
	free(standalone->postgres_bin);
	free(standalone->database_url);
	free(standalone->redis_url);
	free(standalone->key_file);
	free(standalone->keys_file);
	free(standalone->pid_file);
	secret_wipe(standalone->password_pg, sizeof(standalone->password_pg));
	secret_wipe(standalone->password_redis, sizeof(standalone->password_redis));
	free(standalone);
}

const char *
standalone_database_url(const struct standalone *standalone)
{
	return standalone->database_url;
}

const char *
standalone_redis_url(const struct standalone *standalone)
{
	return standalone->redis_url;
}

const char *
standalone_encryption_key_file(const struct standalone *standalone)
{
	return standalone->key_file;
}

const char *
standalone_keys_file(const struct standalone *standalone)
{
	return standalone->keys_file;
}
