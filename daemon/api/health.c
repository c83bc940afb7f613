/* daemon/api/health.c - is the process alive, and can it do what its roles promise? */
#include <string.h>

#include "daemon/api/resources.h"
#include "daemon/shard.h"
#include "daemon/worker/dispatch.h"
#include "sql/account.h"
#include "sql/ledger.h"

void
health_read(struct api_call *call)
{
	api_reply(call, 200, SLICE_LITERAL("{\"result\":\"ok\"}"));
}

void
ready_read(struct api_call *call)
{
	const struct daemon *daemon = call->daemon;
	bool is_api = (daemon->roles & ROLE_API) != 0,
	     is_worker = (daemon->roles & ROLE_WORKER) != 0;
	const struct {
		bool missing;
		const char *text;
	} needs[] = {
	    {!daemon->started, "the node is starting"},
	    {daemon->draining, "the node is shutting down"},
	    {!account_is_up(daemon->account), "Postgres does not answer"},
	    {is_api && !ledger_is_up(daemon->ledger),
	     "the ledger's connection to Postgres is down"},
	    {!shards_are_up(daemon), "Redis does not answer"},
	    {is_worker && !dispatch_is_ready(daemon->dispatch),
	     "the worker has no session or lease yet"},
	};
	struct buf text;

	buf_init(&text, 1024);
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		if (!needs[i].missing)
			continue;
		if (text.len > 0)
			buf_add_text(&text, "; ");
		buf_add_text(&text, needs[i].text);
	}
	if (text.len == 0)
		api_reply(call, 200, SLICE_LITERAL("{\"result\":\"ok\"}"));
	else
		api_fail(call, 503, "not_ready", text.data);
	buf_fini(&text);
}
