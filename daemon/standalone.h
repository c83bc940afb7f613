/* daemon/standalone.h - the embedded service: a private Redis and a private Postgres under DIR.
 *
 *   DIR/lock         held while a daemon runs on DIR
 *   DIR/sluiced.pid  its process id
 *   DIR/secrets/     encryption key, passwords (0700)
 *   DIR/log/         logs of all three
 *   DIR/postgres/    the ledger
 *   DIR/redis/       the queue
 *   DIR/run/         unix sockets (in /tmp when DIR is too long for them)
 *   DIR/keys.env     API keys (0600)
 *
 * Started as root, both servers run as an unprivileged user.  They are supervised: restarted with
 * backoff when they die, stopped with the daemon, and ended by the kernel when it is killed. */
#ifndef SLUICE_DAEMON_STANDALONE_H
#define SLUICE_DAEMON_STANDALONE_H

#include "base/error.h"
#include "base/loop.h"

struct notify;
struct standalone; /* opaque */

/* Takes DIR: makes what is missing and holds the lock.  SL_CONFLICT: another daemon runs on it. */
SL_MUST_USE enum sl_code standalone_open(const char *directory, struct standalone **out,
					 struct sl_error *error);
/* Starts both servers and waits (blocking, before the loop runs) until they answer, at most 30 s;
 * notify is told meanwhile. */
SL_MUST_USE enum sl_code standalone_start(struct standalone *standalone, struct notify *notify,
					  struct sl_error *error);
/* Supervises from now on. */
void standalone_watch(struct standalone *standalone, struct loop *loop);
/* Stops both (Postgres: fast shutdown), waits at most 10 s, gives the lock back, frees. */
void standalone_close(struct standalone *standalone);

/* Borrowed until standalone_close(). */
const char *standalone_database_url(const struct standalone *standalone);
const char *standalone_redis_url(const struct standalone *standalone);
const char *standalone_encryption_key_file(const struct standalone *standalone);
const char *standalone_keys_file(const struct standalone *standalone);

#endif
