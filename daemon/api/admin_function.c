/* daemon/api/admin_function.c - how many of a function's async actions run at a time (wire.md 18.9):
 * /admin/v1/environments/{name}/functions/{integration}/{function}. */
#include <stdlib.h>

#include "base/log.h"
#include "daemon/api/admin.h"
#include "daemon/api/resources.h"
#include "daemon/concurrency.h"

/* ---- concurrency ------------------------------------------------------------------------------
 */

bool
admin_read_concurrency(struct api_call *call, struct admin_concurrency *out)
{
	static const char *const names[] = {"by", "limit", NULL};
	struct json_value value = json_get(call->body, "concurrency");
	struct json_value limit = json_get(value, "limit");
	int64_t number;
	char *by;

	*out = (struct admin_concurrency){.given = value.type != JSON_NONE,
					  .is_null = value.type == JSON_NULL_};
	if (!out->given || out->is_null)
		return true;
	if (!api_object(call, call->body, "concurrency", true, &value) ||
	    !api_strict(call, value, names))
		return false;
	by = json_text(json_get(value, "by"), NULL);
	out->by = by != NULL ? account_concurrency_parse(by) : ACCOUNT_CONCURRENCY_INHERIT;
	free(by);
	if (out->by == ACCOUNT_CONCURRENCY_INHERIT) {
		api_fail_issue(call, "invalid_body", "invalid_value", "concurrency.by",
			       "concurrency.by must be environment, connection or function");
		return false;
	}
	if (!json_int(limit, &number) || number < 1 || number > ACCOUNT_CONCURRENCY_MAX) {
		api_fail_issue(call, "invalid_body", "invalid_value", "concurrency.limit",
			       "concurrency.limit must be a whole number from 1 to %d",
			       ACCOUNT_CONCURRENCY_MAX);
		return false;
	}
	out->limit = (int)number;
	return true;
}

void
admin_show_concurrency(struct json_writer *w, const char *key, enum account_concurrency by,
		       int limit)
{
	jw_key(w, key);
	if (by == ACCOUNT_CONCURRENCY_INHERIT) {
		jw_null(w);
		return;
	}
	jw_object(w);
	jw_member_text(w, "by", account_concurrency_name(by));
	jw_member_int(w, "limit", limit);
	jw_object_end(w);
}

/* ---- which function --------------------------------------------------------------------------- */

struct admin {
	struct api_call *call;
	struct account_environment environment; /* numbers only: its texts are gone */
	bool writing;
	struct admin_concurrency concurrency;
};

static void find_function(struct admin *admin);

static void
on_written(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	struct admin *admin = arg;
	struct api_call *call = admin->call;

	(void)id;
	if (code != SL_OK) {
		api_fail_sl(call, code, error);
		return;
	}
	directory_forget(call->daemon->directory);
	log_info("function_concurrency_changed", "environment=%s function=%s",
		 log_text(call->segment[3]), log_text(call->segment[6]));
	admin->writing = false;
	find_function(admin);
}

static void
reply_function(struct admin *admin, const struct account_function *row)
{
	struct concurrency_rule rule = concurrency_rule(&admin->environment, row);
	struct json_writer w;
	struct buf out;

	buf_init(&out, 1 << 16);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_text(&w, "environment", admin->call->segment[3]);
	jw_member_text(&w, "integration", row->unique_key);
	jw_member_text(&w, "name", row->name);
	jw_member_text(&w, "type", row->type);
	jw_member_text(&w, "version", row->version);
	jw_member_bool(&w, "enabled", row->enabled);
	admin_show_concurrency(&w, "concurrency", row->concurrency_by, row->concurrency_limit);
	admin_show_concurrency(&w, "effective_concurrency", rule.by, rule.limit);
	jw_object_end(&w);
	api_reply_buf(admin->call, 200, &out);
}

static void
on_function(void *arg, enum sl_code code, const struct account_function *rows, int count,
	    const struct sl_error *error)
{
	struct admin *admin = arg;
	struct api_call *call = admin->call;

	if (code == SL_NOT_FOUND || (code == SL_OK && count == 0))
		api_fail(call, 404, "not_found",
			 "there is no such action in this environment; check the integration and "
			 "the name");
	else if (code != SL_OK)
		api_fail_sl(call, code, error);
	else if (!admin->writing)
		reply_function(admin, &rows[0]);
	else
		account_function_concurrency(
		    call->daemon->account, admin->environment.id, rows[0].id,
		    admin->concurrency.is_null ? ACCOUNT_CONCURRENCY_INHERIT
					       : admin->concurrency.by,
		    admin->concurrency.limit, on_written, admin);
}

static void
find_function(struct admin *admin)
{
	struct api_call *call = admin->call;

	account_function_find(call->daemon->account, admin->environment.id, call->segment[5],
			      "action", call->segment[6], on_function, admin);
}

static void
on_environment(void *arg, enum sl_code code, const struct account_environment *rows, int count,
	       const struct sl_error *error)
{
	struct admin *admin = arg;

	if (code == SL_NOT_FOUND || (code == SL_OK && count == 0)) {
		api_fail(admin->call, 404, "not_found", "there is no environment of that name");
		return;
	}
	if (code != SL_OK) {
		api_fail_sl(admin->call, code, error);
		return;
	}
	admin->environment = (struct account_environment){
	    .id = rows[0].id,
	    .concurrency_by = rows[0].concurrency_by,
	    .concurrency_limit = rows[0].concurrency_limit,
	};
	find_function(admin);
}

/* segment[3] is the environment, [5] the integration, [6] the function. */
static void
start(struct admin *admin)
{
	struct api_call *call = admin->call;
	static const char *const none[] = {NULL};

	if (api_query_strict(call, none) &&
	    api_check_name(call, API_NAME_ENVIRONMENT, call->segment[3], "invalid_uri_params",
			   "name") &&
	    api_check_name(call, API_NAME_INTEGRATION, call->segment[5], "invalid_uri_params",
			   "integration") &&
	    api_check_name(call, API_NAME_FUNCTION, call->segment[6], "invalid_uri_params",
			   "function"))
		account_environment_by_name(call->daemon->account, call->segment[3], on_environment,
					    admin);
}

void
admin_function_read(struct api_call *call)
{
	struct admin *admin = api_state(call, sizeof(*admin));

	admin->call = call;
	start(admin);
}

void
admin_function_patch(struct api_call *call)
{
	static const char *const names[] = {"concurrency", NULL};
	struct admin *admin = api_state(call, sizeof(*admin));

	admin->call = call;
	if (api_strict(call, call->body, names) &&
	    admin_read_concurrency(call, &admin->concurrency)) {
		admin->writing = admin->concurrency.given;
		start(admin);
	}
}
