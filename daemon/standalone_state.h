/* daemon/standalone_state.h - what the two files of standalone share.  Private to them. */
#ifndef SLUICE_DAEMON_STANDALONE_STATE_H
#define SLUICE_DAEMON_STANDALONE_STATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/standalone.h"
#include "daemon/user.h"

enum server_kind { SERVER_POSTGRES, SERVER_REDIS };
#define SERVERS 2

struct server {
	struct standalone *standalone;
	enum server_kind kind;
	const char *name;
	pid_t pid; /* 0: not running */
	int stop_signal;
	int64_t started_ms, backoff_ms;
	struct loop_timer *timer;
};

struct standalone {
	char *directory; /* absolute */
	char *run;       /* where the sockets are */
	bool run_is_tmp;
	int lock_fd;
	struct user user;
	char *postgres_bin;
	char password_pg[65], password_redis[65];
	char *database_url, *redis_url, *key_file, *keys_file, *pid_file;
	struct server server[SERVERS];
	struct loop *loop;
	struct loop_signal *sigchld;
	bool closing;
};

/* standalone_dir.c */
SL_MUST_USE enum sl_code standalone_make_dir(const struct standalone *standalone, const char *path,
					     bool theirs, struct sl_error *error);
/* Writes a file whole or not at all. */
SL_MUST_USE enum sl_code standalone_write_file(const char *path, const char *text, mode_t mode,
					       struct sl_error *error);

#endif
