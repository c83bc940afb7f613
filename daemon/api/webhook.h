/* daemon/api/webhook.h - what the files of /webhooks share, and of /admin/v1/webhooks, which is the same for
 * operators.
 *
 * The key of an environment sees what is of it and nothing else.  Operators see all, or what is of the environment
 * that they name: `environment`, in the query of a GET, else in the body. */
#ifndef SLUICE_DAEMON_API_WEBHOOK_H
#define SLUICE_DAEMON_API_WEBHOOK_H

#include "daemon/api/admin.h"
#include "sql/settle.h"

struct webhook_place { /* first member of what a handler keeps */
	struct api_call *call;
	const char *environment; /* that an operator named; NULL: none */
	int64_t environment_id;  /* 0: all */
	void (*go)(struct webhook_place *place);
};

/* Zeroed state of the call of such a size. */
void *webhook_place_new(struct api_call *call, size_t size);
/* Are the parameters of a GET, or the members of a body, among names?  These end with NULL, and begin with
 * "environment", which operators may give.  Readers answer the call when they return false. */
bool webhook_strict(struct webhook_place *place, const char *const *names);
/* Goes on by go() when the environment is known; required: an operator has to name one. */
void webhook_find(struct webhook_place *place, bool required,
		  void (*go)(struct webhook_place *place));

/* The id in the path, of a "delivery" or an "endpoint". */
bool webhook_id(struct api_call *call, const char *what, char out[UUID_TEXT]);
/* text as the id that `name` wants; code: "invalid_query_params" or "invalid_body".  NULL: *out is NULL. */
bool webhook_uuid(struct api_call *call, const char *code, const char *name, const char *text,
		  const char **out);
/* text as the type of an event; NULL: 0. */
bool webhook_type(struct api_call *call, const char *code, const char *text, int *out);
const char *webhook_type_name(int type); /* NULL: not one of ours */

/* webhook_test.c: calls to receivers that are under way. */
struct webhook_tests *webhook_tests_new(void);
void webhook_tests_free(struct webhook_tests *tests); /* NULL is fine */

#endif
