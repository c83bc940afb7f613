/* daemon/shard.h - which part of the queue an environment's jobs go through.
 *
 * The setting queue_shards says how many there are; all nodes of a fleet must agree on it. */
#ifndef SLUICE_DAEMON_SHARD_H
#define SLUICE_DAEMON_SHARD_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/daemon.h"

int shard_of(const struct daemon *daemon, int64_t environment_id);
struct queue *shard_queue(const struct daemon *daemon, int64_t environment_id);
bool shards_are_up(const struct daemon *daemon); /* all of them */

#endif
