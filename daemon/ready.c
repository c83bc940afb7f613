/* daemon/ready.c - see ready.h. */
#include "daemon/ready.h"

#include "daemon/shard.h"
#include "daemon/worker/dispatch.h"
#include "sql/account.h"
#include "sql/ledger.h"

bool
ready_is(const struct daemon *daemon, struct buf *why)
{
	bool is_api = (daemon->roles & ROLE_API) != 0,
	     is_worker = (daemon->roles & ROLE_WORKER) != 0, is_ready = true;
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

	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++) {
		if (!needs[i].missing)
			continue;
		if (!is_ready)
			buf_add_text(why, "; ");
		buf_add_text(why, needs[i].text);
		is_ready = false;
	}
	return is_ready;
}
