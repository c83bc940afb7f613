/* daemon/api/health.c - is the process alive, and can it do what its roles promise? */
#include "daemon/api/resources.h"
#include "daemon/monitor.h"
#include "daemon/ready.h"

void
health_read(struct api_call *call)
{
	api_reply(call, 200, SLICE_LITERAL("{\"result\":\"ok\"}"));
}

void
ready_read(struct api_call *call)
{
	struct buf why;

	buf_init(&why, 1024);
	if (ready_is(call->daemon, &why))
		api_reply(call, 200, SLICE_LITERAL("{\"result\":\"ok\"}"));
	else
		api_fail(call, 503, "not_ready", why.data);
	buf_fini(&why);
}

void
metrics_read(struct api_call *call)
{
	struct buf text;

	buf_init(&text, MONITOR_TEXT_MAX);
	monitor_write(call->daemon, &text);
	api_reply_text(call, MONITOR_TEXT_TYPE, &text);
}
