/* provider/held.h - an answer that is kept beyond its callback: it may be the outcome, or be tried again. */
#ifndef SLUICE_PROVIDER_HELD_H
#define SLUICE_PROVIDER_HELD_H

#include <stdbool.h>

#include "base/buf.h"
#include "http/client.h"

struct held {
	bool there;
	struct http_answer answer; /* its texts are owned, its body is that of the buffer */
	struct buf body;
};

/* A copy of the head, in place of what was held; its body, body_max bytes at most, is added bit by bit. */
void held_head(struct held *held, const struct http_answer *head, size_t body_max);
bool held_add(struct held *held, struct slice bytes); /* false: too much; nothing was added */
void held_fini(struct held *held);                    /* may be called again */

#endif
