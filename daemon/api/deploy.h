/* daemon/api/deploy.h - the parts of a deploy request, shared by reading (deploy_read.c), planning
 * and writing (deploy.c). */
#ifndef SLUICE_DAEMON_API_DEPLOY_H
#define SLUICE_DAEMON_API_DEPLOY_H

#include "daemon/api/api.h"

enum deploy_mode { DEPLOY_ALL, DEPLOY_INTEGRATION, DEPLOY_SINGLE };

struct deploy_item { /* one function of the request; texts are owned by the deploy */
	char *integration, *type, *name, *event, *version; /* version NULL: the server counts */
	char *js, *ts;
	char *definition;         /* what came, without fileBody */
	struct json_value parsed; /* of definition */
	char *code;               /* ES5, once lowered */
	int64_t integration_id;
};

struct deploy {
	struct deploy *next, **link; /* in the list of those that write; link NULL: in none */
	struct api_call *call;
	enum deploy_mode mode;
	char *source;
	bool has_events; /* onEventScriptsByProvider was there */
	struct deploy_item *item;
	int count, size;
	int at;               /* the item being lowered */
	int64_t seen_version; /* the newest one when the list was read */
	int64_t *gone;        /* functions to remove */
	int gone_count;
};

/* Reads and checks call->body; NULL: the call was answered with what is wrong. */
struct deploy *deploy_read(struct api_call *call);
/* Also ends its turn as the one deploy of its environment. */
void deploy_free(struct deploy *deploy);

#endif
