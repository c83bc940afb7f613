/* daemon/api/admin_queue.h - what the files of /admin/v1/queues and /admin/v1/jobs share. */
#ifndef SLUICE_DAEMON_API_ADMIN_QUEUE_H
#define SLUICE_DAEMON_API_ADMIN_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/api/admin.h"

/* The environment that a call names, then maybe a line of it.  found comes with both ids set, unless the
 * call was answered: 400 for what is no name, 404 for what is not there.  Zeroed by its owner, a part of
 * the call's state. */
struct admin_place {
	struct api_call *call;
	const char *environment, *line; /* names; line NULL: none is named */
	const char *error_code;         /* of a bad name: invalid_uri_params, ... */
	int64_t environment_id, key_id;
	void (*found)(struct admin_place *place);
};
void admin_find_place(struct admin_place *place);

/* A queue as GET /admin/v1/queues shows it, of the call's place; cancelled < 0: no such member.  more: not
 * all could be cancelled in time. */
void admin_show_queue(struct api_call *call, const char *environment, int64_t cancelled, bool more);

#endif
