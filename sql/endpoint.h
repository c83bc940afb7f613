/* sql/endpoint.h - the URLs that events are sent to, and how they do, for people to look at and to steer.
 *
 * On the connection of sql/dead.h, as sql/delivery_show.h, and like it in everything else. */
#ifndef SLUICE_SQL_ENDPOINT_H
#define SLUICE_SQL_ENDPOINT_H

#include "sql/dead.h"
#include "sql/delivery.h"

#define ENDPOINT_LIST_MAX 1000
#define ENDPOINT_PENDING_MAX 10000 /* what is pending is counted up to one more */

enum endpoint_state {
	ENDPOINT_ACTIVE = 1,
	ENDPOINT_FAILING, /* the last try was a failure */
	ENDPOINT_OPEN,    /* the circuit breaker is: nothing is sent until retry_ms */
	ENDPOINT_PAUSED,  /* nothing is sent until it is resumed */
	ENDPOINT_UNSET,   /* it has no URL */
};

struct endpoint_row {
	int64_t id;
	char uuid[UUID_TEXT];
	const char *environment;
	enum endpoint_slot slot;
	const char *url; /* "": none */
	enum endpoint_state state;
	enum endpoint_pause pause;
	int64_t paused_ms, failing_ms; /* since when; 0: it is not */
	int failures;                  /* in a row */
	int64_t retry_ms;              /* of ENDPOINT_OPEN; else 0 */
	int64_t pending;               /* deliveries that are still to be sent, counted as above */
	int64_t
	    oldest_ms; /* when the oldest of those that were counted was made; 0: none is pending */
};

/* In the order in which they were made, behind the id after.  limit: 1..ENDPOINT_LIST_MAX (asserted).  next:
 * `after` of the page behind it, 0 when this is the last. */
typedef void endpoint_list_cb(void *arg, enum sl_code code, const struct endpoint_row *rows,
			      int count, int64_t next, const struct sl_error *error);
void endpoint_list(struct dead_store *store, int64_t environment_id, int64_t after, int limit,
		   endpoint_list_cb *cb, void *arg);

typedef void endpoint_cb(void *arg, enum sl_code code, const struct endpoint_row *row,
			 const struct sl_error *error);
/* SL_NOT_FOUND.  uuid as uuid_parse() wrote it. */
void endpoint_show(struct dead_store *store, int64_t environment_id, const char *uuid,
		   endpoint_cb *cb, void *arg);
/* Pauses (one that is paused stays as it is), or resumes it with its trouble forgotten; then as above. */
void endpoint_steer(struct dead_store *store, int64_t environment_id, const char *uuid, bool pause,
		    endpoint_cb *cb, void *arg);

#endif
