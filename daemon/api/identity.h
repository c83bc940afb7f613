/* daemon/api/identity.h - whose connection it is: end_user, tags and webhook URL as a body gives
 * them (wire.md 5.1, 5.3).
 *
 * An end user also makes tags of its own (end_user_id, ...), so that lists can be filtered by them;
 * a tag that the body gives itself wins over one that was made. */
#ifndef SLUICE_DAEMON_API_IDENTITY_H
#define SLUICE_DAEMON_API_IDENTITY_H

#include <stdbool.h>

#include "daemon/api/api.h"

/* JSON texts and the URL are kept by the call; NULL: the body says nothing about it. */
struct identity {
	const char *end_user;             /* {"id","display_name","email","tags","organization"} */
	const char *tags;                 /* what the body gives and what its end user makes */
	bool has_tags;                    /* the body has `tags` itself */
	const char *webhook_url_override; /* "" for null: none */
};

/* Reads the three members of call->body; false: the call is answered. */
bool identity_read(struct api_call *call, struct identity *out);

/* The tags of a connection after a patch: the body's own replace all; without them the end user's
 * replace those of the one before.  stored is the row's JSON.  Owned by the caller; NULL:
 * unchanged. */
char *identity_patched_tags(const struct identity *identity, const char *stored);

/* Is text an absolute http(s) URL that a request can be sent to? At most 2048 bytes. */
bool identity_url_is(const char *text);

#endif
