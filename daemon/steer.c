#include "daemon/steer.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/map.h"
#include "sql/account.h"
#include "sql/steer.h"

#define AGAIN_MS 1000

struct place {
	bool paused, draining;
};

struct steer {
	struct daemon *daemon;
	struct map *environments; /* id -> place */
	struct map *lines;        /* key id -> place */
	struct loop_timer *again;
	bool reading;
	bool due; /* it may have changed since the read began */
};

static void read_list(void *arg);

static void
put(struct map *map, int64_t id, bool paused, bool draining)
{
	struct place *place = sl_alloc(sizeof(*place));

	*place = (struct place){paused, draining};
	free(map_put_int(map, id, place));
}

static void
on_rows(void *arg, enum sl_code code, const struct steer_row *rows, int count,
	const struct sl_error *error)
{
	struct steer *steer = arg;

	steer->reading = false;
	if (code != SL_OK) { /* what was known is kept */
		log_warn("pauses_not_read", "error=%s",
			 log_text(error != NULL ? error->text : sl_code_name(code)));
		loop_timer_in(steer->again, AGAIN_MS);
		return;
	}
	map_free(steer->environments, free);
	map_free(steer->lines, free);
	steer->environments = map_new();
	steer->lines = map_new();
	for (int i = 0; i < count; i++)
		if (rows[i].key_id == 0)
			put(steer->environments, rows[i].environment_id, rows[i].paused,
			    rows[i].draining);
		else
			put(steer->lines, rows[i].key_id, rows[i].paused, false);
	if (steer->due)
		read_list(steer);
}

static void
read_list(void *arg)
{
	struct steer *steer = arg;

	steer->due = steer->reading;
	if (steer->reading)
		return;
	steer->reading = true;
	steer_list(steer->daemon->dead, on_rows, steer);
}

static void
on_notify(void *arg, const char *channel, const char *payload)
{
	(void)channel;
	(void)payload; /* NULL after a loss of the connection: it may have missed one */
	read_list(arg);
}

void
steer_reload(struct steer *steer)
{
	read_list(steer);
}

bool
steer_is_paused(const struct steer *steer, int64_t environment_id, int64_t key_id)
{
	const struct place *place;

	if (steer == NULL)
		return false;
	place = map_get_int(steer->environments, environment_id);
	if (place != NULL && place->paused)
		return true;
	return map_get_int(steer->lines, key_id) != NULL;
}

bool
steer_is_draining(const struct steer *steer, int64_t environment_id)
{
	const struct place *place =
	    steer != NULL ? map_get_int(steer->environments, environment_id) : NULL;

	return place != NULL && place->draining;
}

struct steer *
steer_new(struct daemon *daemon)
{
	struct steer *steer = sl_alloc(sizeof(*steer));

	steer->daemon = daemon;
	steer->environments = map_new();
	steer->lines = map_new();
	steer->again = loop_timer_new(daemon->loop, read_list, steer);
	pg_listen(account_pg(daemon->account), ACCOUNT_LIMITS, on_notify, steer);
	read_list(steer);
	return steer;
}

void
steer_free(struct steer *steer)
{
	if (steer == NULL)
		return;
	loop_timer_free(steer->again);
	map_free(steer->environments, free);
	map_free(steer->lines, free);
	free(steer);
}
