/* daemon/daemon.h - what the parts of one sluiced process share; made in main.c in start order. */
#ifndef SLUICE_DAEMON_DAEMON_H
#define SLUICE_DAEMON_DAEMON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/config.h"
#include "base/loop.h"
#include "base/secret.h"
#include "daemon/sockets.h"

struct account;
struct api;
struct cancel_watch;
struct callers;
struct catalog;
struct compiler;
struct concurrency;
struct dead_store;
struct deliver;
struct delivery_store;
struct directory;
struct dispatch;
struct fresh;
struct gates;
struct guard;
struct http_client;
struct ledger;
struct monitor;
struct node;
struct notify;
struct pool;
struct queue;
struct rekey;
struct scheduler;
struct settle;
struct standalone;
struct steer;
struct submits;
struct sync_store;
struct warm;

enum daemon_role { ROLE_API = 1, ROLE_WORKER = 2, ROLE_SCHEDULER = 4 };

/* Everything is owned by main.c; members are NULL where the role does not need them. */
struct daemon {
	struct loop *loop;
	const struct config *config;
	unsigned roles; /* enum daemon_role bits */
	bool started;   /* all parts are there; before that nothing is ready */
	bool draining;
	bool given_up; /* told twice to stop before it was started: whoever waits for that stops */
	struct secret_ring *ring;
	uint8_t envelope_key[32]; /* the fleet's; see seal.h */
	struct guard *guard;
	struct http_client *client;
	struct catalog *catalog;
	struct account *account;
	struct directory *directory;
	struct concurrency *concurrency;
	struct ledger *ledger; /* api, worker (large inputs) */
	struct cancel_watch *cancels;
	struct sync_store *syncs; /* api, worker: syncs, records, checkpoints */
	struct fresh *fresh;      /* all roles: credentials that are good to use */
	struct gates *gates;      /* api, worker: the providers' windows */
	struct queue **queues;    /* one for each shard; see shard.h */
	int shard_count;
	struct submits *submits;            /* jobs on their way in */
	struct dead_store *dead;            /* api, worker: what was set aside */
	struct steer *steer;                /* api, worker: what operators have paused */
	struct settle *settle;              /* worker */
	struct pool *pool;                  /* worker */
	struct dispatch *dispatch;          /* worker */
	struct delivery_store *deliveries;  /* worker */
	struct http_client *webhook_client; /* to endpoints; its own connections */
	struct deliver *deliver;            /* worker */
	struct warm *warm;                  /* worker */
	struct scheduler *scheduler;
	struct compiler *compiler; /* api */
	struct callers *callers;   /* api, worker: sync calls that run elsewhere */
	struct api *api;
	struct monitor *monitor; /* NULL without metrics_listen */
	struct rekey *rekey;
	struct node *self;       /* our row among the processes of the fleet */
	struct standalone *standalone;
	struct notify *notify;  /* the service manager */
	struct sockets sockets; /* passed by it */
	char node[64];          /* this process: host:pid:boot, see node.h */
};

#endif
