/* daemon/api/admin_doctor.c - what is wrong, and what to do: GET /admin/v1/doctor. */
#include "base/alloc.h"
#include "config.h"
#include "daemon/api/admin.h"
#include "daemon/api/resources.h"
#include "daemon/doctor_gather.h"

static const char *
or_null(const char *text)
{
	return text[0] != '\0' ? text : NULL;
}

static void
show_check(struct json_writer *w, const struct doctor_check *check)
{
	static const char *const states[] = {
	    [DOCTOR_OK] = "ok", [DOCTOR_WARN] = "warn", [DOCTOR_FAIL] = "fail"};

	jw_object(w);
	jw_member_text(w, "name", check->name);
	jw_member_text(w, "state", states[check->state]);
	jw_member_text(w, "text", check->text);
	jw_member_text(w, "cause", or_null(check->cause));
	jw_member_text(w, "remedy", or_null(check->remedy));
	jw_member_text(w, "runbook", check->runbook);
	jw_object_end(w);
}

static void
on_report(void *arg, const struct doctor_report *report)
{
	static const char *const verdicts[] = {
	    [DOCTOR_HEALTHY] = "healthy", [DOCTOR_DEGRADED] = "degraded", [DOCTOR_DOWN] = "down"};
	struct api_call *call = arg;
	struct json_writer w;
	struct buf out;

	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_member_text(&w, "verdict", verdicts[report->verdict]);
	jw_member_text(&w, "node", call->daemon->node);
	jw_member_text(&w, "version", PACKAGE_VERSION);
	jw_key(&w, "checks");
	jw_array(&w);
	for (int i = 0; i < report->count; i++)
		show_check(&w, &report->checks[i]);
	jw_array_end(&w);
	jw_object_end(&w);
	api_reply_buf(call, 200, &out);
}

/* 200 whatever is wrong: the verdict says it. */
void
admin_doctor(struct api_call *call)
{
	gather_start(call->daemon, on_report, call);
}
