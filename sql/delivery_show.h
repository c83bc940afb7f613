/* sql/delivery_show.h - what became of events, for people to look at, and to have it sent again.
 *
 * On the connection of sql/dead.h, as sql/inspect.h.  Every call answers once, from the loop; rows are
 * borrowed for the call, texts are never NULL.  environment_id 0: of all; else what belongs to another one is
 * SL_NOT_FOUND. */
#ifndef SLUICE_SQL_DELIVERY_SHOW_H
#define SLUICE_SQL_DELIVERY_SHOW_H

#include "sql/dead.h"
#include "sql/delivery.h"

#define DELIVERY_LIST_MAX 1000
/* Deliveries that one page looks at: with a filter that fits few of them, it may have fewer than it could. */
#define DELIVERY_LIST_SCAN 10000
#define DELIVERY_SHOW_TRIES 100 /* the newest; of one that was resent often, there may be more */
#define DELIVERY_RESEND_MAX 10000

struct delivery_row {
	char id[UUID_TEXT], event_id[UUID_TEXT];
	char job[UUID_TEXT]; /* "": none */
	int type;            /* enum settle_event_type */
	enum delivery_state state;
	int tries;
	const char *environment; /* "": deleted */
	char endpoint[UUID_TEXT];
	const char *url;                      /* of the endpoint, as it is now; "": none */
	const char *integration, *connection; /* "": deleted */
	int64_t created_ms;
	int64_t
	    next_try_ms; /* of one that is under way: the end of its claim; 0: none as things stand */
	int64_t ended_ms; /* 0: not yet */
	int64_t last_ms;  /* when the last try was sent; 0: none was */
	int last_status;  /* 0: no answer */
	const char *last_failure;
};

struct delivery_filter {
	int64_t environment_id;
	const char *endpoint, *job;  /* as uuid_parse() wrote them; NULL: all */
	int type;                    /* 0: all */
	enum delivery_state state;   /* 0: all */
	bool failed;                 /* retrying and exhausted ones, whatever state says */
	int64_t since_ms, before_ms; /* made from then on, and before then; 0: always */
	const char *before;          /* older than this one; NULL: from the newest */
	int limit;                   /* 1..DELIVERY_LIST_MAX (asserted) */
};
/* Newest first.  next: `before` of the page behind it, "" when this is the last; there may be a next page when
 * this one is empty.  What is made meanwhile moves no page. */
typedef void delivery_list_cb(void *arg, enum sl_code code, const struct delivery_row *rows,
			      int count, const char *next, const struct sl_error *error);
void delivery_list(struct dead_store *store, const struct delivery_filter *filter,
		   delivery_list_cb *cb, void *arg);

struct delivery_show_try {
	int number;
	int64_t at_ms, took_ms;
	const char *node, *url;
	int status; /* 0: no answer; then the three last say nothing */
	const char *failure, *detail;
	const char *headers; /* JSON object */
	struct slice answer;
	bool cut; /* there was more of it */
};
/* body: that is sent.  tries: oldest first. */
typedef void delivery_show_cb(void *arg, enum sl_code code, const struct delivery_row *row,
			      struct slice body, const struct delivery_show_try *tries, int count,
			      const struct sl_error *error);
/* SL_NOT_FOUND: there is no such delivery (any more).  id as uuid_parse() wrote it. */
void delivery_show(struct dead_store *store, int64_t environment_id, const char *id,
		   delivery_show_cb *cb, void *arg);

typedef void delivery_done_cb(void *arg, enum sl_code code, const struct sl_error *error);
/* Due now, and its schedule begins anew, whatever its state.  SL_NOT_FOUND; SL_CONFLICT: a try is under way. */
void delivery_resend(struct dead_store *store, int64_t environment_id, const char *id,
		     delivery_done_cb *cb, void *arg);

struct delivery_resend_filter {
	int64_t environment_id;
	const char *endpoint; /* as above */
	int type;
	int64_t since_ms, before_ms; /* as above */
	int limit;                   /* 1..DELIVERY_RESEND_MAX (asserted) */
};
/* resent: also when it fails halfway.  more: there may be some beyond the limit. */
typedef void delivery_resent_cb(void *arg, enum sl_code code, int64_t resent, bool more,
				const struct sl_error *error);
/* The same for exhausted ones, oldest first, in a transaction for each so many that were looked at. */
void delivery_resend_failed(struct dead_store *store, const struct delivery_resend_filter *filter,
			    delivery_resent_cb *cb, void *arg);

#endif
