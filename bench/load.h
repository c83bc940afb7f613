/* bench/load.h - what the modes of the load generator share: connections, requests, answers. */
#ifndef SLUICE_BENCH_LOAD_H
#define SLUICE_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>

enum {
	CONNECTIONS_MAX = 1024,
	ANSWER_MAX = 16384,
	ID_TEXT = 37,
	INPUT_MAX = 8192,
	BODY_MAX = INPUT_MAX + 64
};

/* IDLE -> ACCEPTING (a trigger is on the wire) -> IDLE ..., then READING -> IDLE; GETTING loops. */
enum phase { PHASE_IDLE, PHASE_GETTING, PHASE_ACCEPTING, PHASE_READING };

struct job {
	char id[ID_TEXT];
	const char *key;
};

struct connection {
	int fd;
	enum phase phase;
	int job; /* index of the job in work */
	char answer[ANSWER_MAX];
	size_t len;
	bool retry_after; /* the last answer had that header */
};

double now(void);                                /* seconds, monotonic */
void fail(const char *what, const char *detail); /* says so and exits with 1 */
int dial(int port);
void send_get(struct connection *connection, const char *path, const char *key);
/* An async trigger of `noop` for the connection of that name; body is JSON. */
void send_trigger(struct connection *connection, const char *key, const char *name,
		  const char *body);
void send_read(struct connection *connection, const struct job *job);
void keep_id(struct job *job, const char *body);

enum took { TOOK_NOTHING, TOOK_ANSWER, TOOK_END };

/* The next whole answer, or what says that there is none yet, or that the server closed.  Blocks when
 * wait is set. */
enum took take_answer(struct connection *connection, int *status, char *body, size_t size,
		      bool wait);

/* Sorts; share is 0 to 1; 0 when there are none. */
double percentile(double *values, size_t count, double share);

/* Open loop: RATE triggers a second for SECONDS, whatever the answers; a line of JSON every EVERY
 * seconds.  reads: the result of each is waited for too.  The keys take turns, and the connections `c0`,
 * `c1`, ... of each of them. */
struct pace {
	int port, connections, seconds, every;
	double rate;
	bool reads;
	const char *body;
	char **keys;
	int key_count;
	int names; /* 0: `c` */
};
void run_pace(const struct pace *pace);

#endif
