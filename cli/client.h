/* cli/client.h - one request to the API and its answer; the command waits on the loop meanwhile. */
#ifndef SLUICE_CLI_CLIENT_H
#define SLUICE_CLI_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "cli/cli.h"
#include "http/client.h"

struct answer { /* answer_fini() */
	enum http_failure failure;
	const char *code; /* why there is none: "ECONNREFUSED"; constant */
	char *text;       /* owned: that in words */
	int status;
	int retry_after_s; /* -1: not said */
	char *location;    /* owned; NULL: none */
	struct buf body;
	struct json_value json; /* JSON_NONE: the body is none */
};

/* Asks and waits.  path begins with '/'; json is the body, or NULL.  Never fails: see failure. */
void client_ask(struct cli *cli, const char *method, const char *path, const struct buf *json,
		struct answer *out);
/* The same for a command that is over when the answer is no 2xx with JSON: prints why and returns
 * the exit status; EX_OK: out is filled.  out is to be freed in either case. */
int client_need(struct cli *cli, const char *method, const char *path, const struct buf *json,
		struct answer *out);
/* Sends and returns; cb follows from the loop (http/client.h).  repeatable: sent twice does no harm. */
struct http_call *client_send(struct cli *cli, const char *method, const char *path,
			      const struct buf *json, bool repeatable, http_answer_cb *cb,
			      void *arg);
/* Copies what a callback of client_send() was given. */
void answer_take(struct answer *out, const struct http_answer *answer);
void answer_fini(struct answer *answer);
bool answer_is_good(const struct answer *answer); /* a 2xx with JSON */

/* Waits ms on the loop, as between two polls. */
void client_pause(struct cli *cli, int64_t ms);

/* Appends "/" and the text, percent-encoded as one segment. */
void path_add(struct buf *path, const char *segment);
/* Can text be a segment?  Nothing, "." and ".." are taken away on the way. */
bool path_can_be(const char *text);
/* Appends "?name=value" or "&name=value"; nothing when value is NULL. */
void path_query(struct buf *path, const char *name, const char *value);

#endif
