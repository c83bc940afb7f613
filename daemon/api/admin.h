/* daemon/api/admin.h - what the files of /admin/v1 share. */
#ifndef SLUICE_DAEMON_API_ADMIN_H
#define SLUICE_DAEMON_API_ADMIN_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/api/api.h"
#include "sql/account.h"

#define ADMIN_LIMIT_DEFAULT 100

/* What a body says under `concurrency`: {"by": .., "limit": ..}, or null: taken back. */
struct admin_concurrency {
	bool given, is_null;
	enum account_concurrency by;
	int limit;
};
/* The readers below answer the call when they return false. */
bool admin_read_concurrency(struct api_call *call, struct admin_concurrency *out);
/* {"by","limit"} under key; by INHERIT: null. */
void admin_show_concurrency(struct json_writer *w, const char *key, enum account_concurrency by,
			    int limit);

/* What a body says under webhook_url, webhook_url_secondary and webhook_events; as the parameters of
 * account_environment_webhook(), the texts kept by the call. */
struct admin_webhook {
	bool given;
	const char *url, *url_secondary;
	int events;
};
bool admin_read_webhook(struct api_call *call, struct admin_webhook *out);
/* These three members. */
void admin_show_webhook(struct json_writer *w, const struct account_environment *row);
/* A signing key for an environment that has none. */
void admin_give_signing_key(struct api_call *call, const struct account_environment *row,
			    account_done_cb *cb, void *arg);

/* Query parameter `name`, a whole number from 1 to max; absent: *out stays. */
bool admin_read_number(struct api_call *call, const char *name, int64_t max, int64_t *out);
/* A time exactly as answers show it ("2026-11-22T05:12:00.123Z"), in wall ms. */
bool admin_parse_time(const char *text, int64_t *out);
/* Query parameter `name`, such a time; absent: *out stays. */
bool admin_read_time(struct api_call *call, const char *name, int64_t *out);
bool admin_read_before(struct api_call *call, int64_t *out); /* the same, of `before` */
/* Is list, of `name`, an array of 1 to max elements?  count: how many. */
bool admin_read_array(struct api_call *call, struct json_value list, const char *name, int max,
		      int *count);
/* A wall time under key; 0: null. */
void admin_show_time(struct json_writer *w, const char *key, int64_t wall_ms);
/* A text under key; "": null. */
void admin_show_name(struct json_writer *w, const char *key, const char *name);

#endif
