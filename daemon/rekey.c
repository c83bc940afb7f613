#include "daemon/rekey.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "sql/account.h"
#include "sql/node.h"

#define PAUSE_MIN_MS 5
#define PAUSE_MAX_MS 2000
#define AGAIN_MS 1000   /* after a failure, or when a connection was being refreshed */
#define FAILURES_MAX 60 /* in a row; then somebody has to ask again */
#define ROUNDS_MAX 90   /* through the connections: a refresh is over long before */
#define PLAIN_MAX (256 << 20)
#define TOLD_MAX 10 /* lines of a pass about values that do not open */

/* ASKING -> BEGINNING -> PAUSED -> LOOKING -> READING -> WRITING -> NOTING -> PAUSED ...; whatever ends a
 * pass leads to IDLE.  LOOKING and ASKING want to know whether the fleet is ready. */
enum rekey_state {
	REKEY_IDLE,
	REKEY_ASKING,
	REKEY_BEGINNING,
	REKEY_PAUSED,
	REKEY_LOOKING,
	REKEY_READING,
	REKEY_WRITING,
	REKEY_NOTING
};

struct asker { /* who waits for the beginning */
	struct asker *next;
	rekey_done_cb *cb;
	void *arg;
};

struct rekey {
	struct daemon *daemon;
	char *conninfo;             /* owned */
	struct secret_store *store; /* owned; of a pass */
	struct loop_timer *timer;
	enum rekey_state state;
	struct asker *askers;
	char key_id[SECRET_KEY_ID];
	struct secret_pass pass;
	char *name, *part;           /* owned: pass.place's */
	char *last_name, *last_part; /* owned: where the page that is being written ends */
	int64_t last_id;
	int page_checked, page_failed;
	bool finishing;
	int writes;          /* under way */
	bool write_failed;   /* the page is to be done again */
	struct sl_error why; /* it failed */
	int64_t page_ms;     /* when it began */
	int64_t page_sealed; /* by the writes that are under way */
	int64_t missed;      /* of the round: connections that changed, or were being refreshed */
	int rounds, failures, told;
	LIST_HEAD(looks, look) looks;
};

static void next_page(struct rekey *rekey);

static void
set_place(struct rekey *rekey, enum secret_kind kind, const struct secret_place *place)
{
	char *name = sl_strdup(place->name), *part = sl_strdup(place->part);

	free(rekey->name);
	free(rekey->part);
	rekey->name = name;
	rekey->part = part;
	rekey->pass.kind = kind;
	rekey->pass.place = (struct secret_place){place->id, name, part};
}

static void
answer(struct rekey *rekey, enum sl_code code, const struct sl_error *error)
{
	struct asker *asker = rekey->askers, *next;

	for (rekey->askers = NULL; asker != NULL; asker = next) {
		next = asker->next;
		asker->cb(asker->arg, code, error);
		free(asker);
	}
}

static void
end(struct rekey *rekey)
{
	struct secret_store *store = rekey->store;

	rekey->state = REKEY_IDLE;
	rekey->store = NULL;
	loop_timer_stop(rekey->timer);
	secret_store_free(store); /* answers what is under way, with a failure */
}

static void
stop(struct rekey *rekey, enum sl_code code, const struct sl_error *error)
{
	bool began = rekey->state > REKEY_BEGINNING;

	if (began)
		log_warn("rekey_stopped", "key=%s checked=%lld sealed=%lld error=%s remedy=%s",
			 rekey->key_id, (long long)rekey->pass.checked,
			 (long long)rekey->pass.sealed, log_text(error != NULL ? error->text : ""),
			 log_text("see to that, and run sluice rekey again: it goes on"));
	end(rekey);
	answer(rekey, code, error);
}

static void
pause_for(struct rekey *rekey, int64_t ms)
{
	rekey->state = REKEY_PAUSED;
	loop_timer_in(rekey->timer, ms);
}

/* True: the pass is still on, and nothing failed. */
static bool
goes_on(struct rekey *rekey, enum sl_code code, const struct sl_error *error)
{
	if (rekey->state == REKEY_IDLE)
		return false;
	if (code == SL_OK) {
		rekey->failures = 0;
		return true;
	}
	if (code == SL_CONFLICT || ++rekey->failures > FAILURES_MAX) {
		stop(rekey, code, error);
	} else {
		if (rekey->failures == 1)
			log_warn("rekey_waits", "error=%s",
				 log_text(error != NULL ? error->text : ""));
		pause_for(rekey, AGAIN_MS);
	}
	return false;
}

/* ---- is the fleet ready? ---------------------------------------------------------------------- */

/* keys: names, the one that seals first. */
static enum sl_code
judge(const struct rekey *rekey, const struct node_row *row, struct sl_error *error)
{
	const char *keys = row->keys;
	size_t len = SECRET_KEY_ID - 1;

	if (row->lost || row->state == NODE_DRAINING)
		return SL_OK;
	if (keys[0] == '\0')
		return sl_fail(error, SL_CONFLICT,
			       "%s does not tell its encryption keys: it runs an earlier release; "
			       "upgrade it first",
			       row->name);
	if (strncmp(keys, rekey->key_id, len) == 0)
		return SL_OK;
	if (strstr(keys, rekey->key_id) == NULL)
		return sl_fail(error, SL_CONFLICT,
			       "%s does not have the encryption key %s: add it there and reload",
			       row->name, rekey->key_id);
	return sl_fail(error, SL_CONFLICT,
		       "%s still seals with %.8s: put the key %s first there and reload", row->name,
		       keys, rekey->key_id);
}

static void
on_begun(void *arg, enum sl_code code, const struct secret_pass *pass, const struct sl_error *error)
{
	struct rekey *rekey = arg;

	if (rekey->state != REKEY_BEGINNING)
		return;
	if (code != SL_OK) {
		stop(rekey, code, error);
		return;
	}
	rekey->pass = *pass;
	rekey->pass.key_id = rekey->key_id;
	rekey->pass.node = rekey->daemon->node;
	set_place(rekey, pass->kind, &pass->place);
	log_info("rekey_started", "key=%s pass=%lld goes_on=%d", rekey->key_id,
		 (long long)pass->number, pass->checked > 0);
	pause_for(rekey, PAUSE_MIN_MS);
	answer(rekey, SL_OK, NULL);
}

static void
on_nodes(void *arg, enum sl_code code, const struct node_row *rows, int count,
	 const struct sl_error *error)
{
	struct rekey *rekey = arg;
	struct sl_error why;

	if (rekey->state != REKEY_ASKING && rekey->state != REKEY_LOOKING)
		return;
	if (code == SL_OK) {
		error = &why;
		if (strcmp(secret_ring_id(rekey->daemon->ring, 0), rekey->key_id) != 0)
			code =
			    sl_fail(&why, SL_CONFLICT, "this node seals with another key by now");
		for (int i = 0; i < count && code == SL_OK; i++)
			code = judge(rekey, &rows[i], &why);
	}
	if (rekey->state == REKEY_ASKING && code == SL_OK) {
		rekey->state = REKEY_BEGINNING;
		secret_pass_begin(rekey->store, rekey->key_id, rekey->daemon->node, on_begun,
				  rekey);
	} else if (rekey->state == REKEY_ASKING) {
		stop(rekey, code, error);
	} else if (goes_on(rekey, code, error)) {
		next_page(rekey);
	}
}

static void
on_pause_over(void *arg)
{
	struct rekey *rekey = arg;

	if (rekey->state != REKEY_PAUSED)
		return;
	rekey->state = REKEY_LOOKING;
	node_list(account_pg(rekey->daemon->account), on_nodes, rekey);
}

/* ---- a page ---------------------------------------------------------------------------------- */

static void
on_noted(void *arg, enum sl_code code, int64_t sealed, const struct sl_error *error)
{
	struct rekey *rekey = arg;
	int64_t took = clock_mono_ms() - rekey->page_ms;

	(void)sealed;
	if (!goes_on(rekey, code, error))
		return;
	if (rekey->finishing) {
		log_info("rekey_finished", "key=%s checked=%lld sealed=%lld failed=%lld",
			 rekey->key_id, (long long)rekey->pass.checked,
			 (long long)rekey->pass.sealed, (long long)rekey->pass.failed);
		end(rekey);
		return;
	}
	pause_for(rekey,
		  took < PAUSE_MIN_MS ? PAUSE_MIN_MS : (took > PAUSE_MAX_MS ? PAUSE_MAX_MS : took));
}

static void
note(struct rekey *rekey)
{
	rekey->state = REKEY_NOTING;
	secret_pass_note(rekey->store, &rekey->pass, rekey->finishing, on_noted, rekey);
}

/* The kind has no more values. */
static void
next_kind(struct rekey *rekey)
{
	static const struct secret_place first = {0, "", ""};

	if (rekey->pass.kind == SECRET_CONNECTION && rekey->missed > 0 &&
	    ++rekey->rounds < ROUNDS_MAX) {
		set_place(rekey, SECRET_CONNECTION, &first);
		rekey->missed = 0;
		pause_for(rekey, AGAIN_MS);
		return;
	}
	rekey->pass.failed += rekey->pass.kind == SECRET_CONNECTION ? rekey->missed : 0;
	rekey->missed = 0;
	rekey->finishing = rekey->pass.kind + 1 == SECRET_KINDS;
	set_place(rekey, rekey->finishing ? rekey->pass.kind : rekey->pass.kind + 1, &first);
	note(rekey);
}

/* All of it is written; what others wrote first, or deleted, needs no more of us. */
static void
page_done(struct rekey *rekey)
{
	rekey->pass.checked += rekey->page_checked;
	rekey->pass.sealed += rekey->page_sealed;
	set_place(rekey, rekey->pass.kind,
		  &(struct secret_place){rekey->last_id, rekey->last_name, rekey->last_part});
	note(rekey);
}

static void
on_written(void *arg, enum sl_code code, int64_t sealed, const struct sl_error *error)
{
	struct rekey *rekey = arg;

	rekey->writes--;
	if (rekey->state != REKEY_WRITING)
		return;
	rekey->page_sealed += sealed;
	rekey->missed -= sealed;
	if (code != SL_OK && code != SL_NOT_FOUND) { /* not found: it went with its connection */
		rekey->write_failed = true;
		rekey->why = *error;
	}
	if (rekey->writes > 0)
		return;
	if (!rekey->write_failed) {
		page_done(rekey);
		return;
	}
	rekey->write_failed = false; /* the page again: what was written is not found any more */
	rekey->pass.sealed += rekey->page_sealed;
	rekey->missed = 0;
	rekey->pass.failed -= rekey->page_failed;
	(void)goes_on(rekey, SL_UNAVAILABLE, &rekey->why);
}

static bool
seal_one(struct rekey *rekey, struct secret_work *work, const struct secret_value *value,
	 struct buf *plain, struct buf *out)
{
	char id[SECRET_KEY_ID] = "none";
	struct sl_error error;
	bool opened =
	    secret_work_open(work, value->sealed, slice_text(value->row), plain, &error) == SL_OK;

	if (opened)
		secret_work_seal(work, buf_slice(plain), slice_text(value->row), out);
	if (plain->data != NULL)
		secret_wipe(plain->data, plain->len);
	buf_clear(plain);
	if (opened)
		return true;
	(void)secret_sealed_id(value->sealed, id);
	rekey->pass.failed++;
	rekey->page_failed++;
	if (rekey->told++ < TOLD_MAX)
		log_warn("rekey_not_opened", "kind=%s id=%lld key=%s error=%s",
			 secret_kind_name(rekey->pass.kind), (long long)value->place.id,
			 log_text(id), log_text(error.text));
	return false;
}

/* Values of one model, or all of a page of another kind: as many as belong into one transaction. */
static int
group_size(enum secret_kind kind, const struct secret_value *values, int count)
{
	int size = 1;

	if (kind != SECRET_RECORD)
		return count;
	while (size < count && values[size].place.id == values[0].place.id &&
	       strcmp(values[size].place.name, values[0].place.name) == 0)
		size++;
	return size;
}

static void
write_page(struct rekey *rekey, const struct secret_value *values, int count)
{
	struct secret_work *work = secret_work_new(rekey->daemon->ring);
	struct slice *after = sl_calloc((size_t)count + 1, sizeof(*after));
	struct buf *sealed = sl_calloc((size_t)count + 1, sizeof(*sealed));
	struct buf plain;

	buf_init(&plain, PLAIN_MAX);
	for (int i = 0; i < count; i++) {
		buf_init(&sealed[i], INT32_MAX);
		if (seal_one(rekey, work, &values[i], &plain, &sealed[i]))
			after[i] = buf_slice(&sealed[i]);
	}
	for (int i = 0, size; i < count; i += size) {
		int kept = 0;

		size = group_size(rekey->pass.kind, values + i, count - i);
		for (int at = i; at < i + size; at++)
			kept += after[at].data != NULL;
		if (kept == 0)
			continue;
		rekey->writes++;
		rekey->missed += kept;
		secret_write(rekey->store, rekey->pass.kind, values + i, after + i, size,
			     on_written, rekey);
	}
	for (int i = 0; i < count; i++)
		buf_fini(&sealed[i]);
	buf_fini(&plain);
	free(sealed);
	free(after);
	secret_work_free(work);
}

static void
on_page(void *arg, enum sl_code code, const struct secret_value *values, int count, int checked,
	const struct secret_place *last, const struct sl_error *error)
{
	struct rekey *rekey = arg;

	if (!goes_on(rekey, code, error))
		return;
	if (checked == 0) {
		next_kind(rekey);
		return;
	}
	rekey->state = REKEY_WRITING;
	rekey->page_sealed = rekey->page_failed = 0;
	rekey->page_checked = checked;
	free(rekey->last_name);
	free(rekey->last_part);
	rekey->last_id = last->id;
	rekey->last_name = sl_strdup(last->name);
	rekey->last_part = sl_strdup(last->part);
	rekey->writes = 1; /* ourselves: an answer may come at once */
	write_page(rekey, values, count);
	if (--rekey->writes == 0)
		page_done(rekey);
}

static void
next_page(struct rekey *rekey)
{
	rekey->state = REKEY_READING;
	rekey->page_ms = clock_mono_ms();
	secret_page(rekey->store, rekey->pass.kind, &rekey->pass.place, rekey->key_id, on_page,
		    rekey);
}

void
rekey_start(struct rekey *rekey, rekey_done_cb *cb, void *arg)
{
	struct pg_settings settings = {.conninfo = rekey->conninfo, .name = "sluiced rekey"};
	struct asker *asker;

	if (rekey->state > REKEY_BEGINNING) { /* it is at it */
		cb(arg, SL_OK, NULL);
		return;
	}
	asker = sl_alloc(sizeof(*asker));
	*asker = (struct asker){rekey->askers, cb, arg};
	rekey->askers = asker;
	if (rekey->state != REKEY_IDLE)
		return;
	snprintf(rekey->key_id, sizeof(rekey->key_id), "%s",
		 secret_ring_id(rekey->daemon->ring, 0));
	rekey->finishing = rekey->write_failed = false;
	rekey->writes = rekey->rounds = rekey->failures = rekey->told = 0;
	rekey->missed = 0;
	rekey->store = secret_store_new(rekey->daemon->loop, &settings);
	rekey->state = REKEY_ASKING;
	node_list(account_pg(rekey->daemon->account), on_nodes, rekey);
}

/* ---- how it stands ---------------------------------------------------------------------------- */

struct look {
	LIST_ENTRY(look) link;
	struct secret_store *store; /* of its own: a count must not hold up a pass */
	rekey_status_cb *cb;
	void *arg;
	bool count;
	int asked;
	char *texts[4]; /* owned: of the pass */
	struct rekey_status status;
};

static void
look_end(struct look *look, enum sl_code code, const struct sl_error *error)
{
	struct secret_store *store = look->store;

	LIST_REMOVE(look, link);
	look->cb(look->arg, code, &look->status, error);
	look->store = NULL;
	secret_store_free(store);
	for (size_t i = 0; i < sizeof(look->texts) / sizeof(*look->texts); i++)
		free(look->texts[i]);
	free(look);
}

static void
on_counts(void *arg, enum sl_code code, const struct secret_count *counts, int count,
	  const struct sl_error *error)
{
	struct look *look = arg;
	struct rekey_kind *kind = &look->status.kind[look->asked];

	if (look->store == NULL) { /* the process stops */
		look_end(look, code, error);
		return;
	}
	if (code != SL_OK)
		log_warn("rekey_not_counted", "kind=%s error=%s",
			 secret_kind_name((enum secret_kind)look->asked), log_text(error->text));
	kind->counted = code == SL_OK && count <= REKEY_KEYS;
	for (int i = 0; kind->counted && i < count; i++) {
		snprintf(kind->key[i].id, sizeof(kind->key[i].id), "%s", counts[i].key_id);
		kind->key[i].values = counts[i].values;
		kind->keys++;
	}
	if (++look->asked < SECRET_KINDS)
		secret_counts(look->store, (enum secret_kind)look->asked, on_counts, look);
	else
		look_end(look, SL_OK, NULL);
}

static void
on_pass(void *arg, enum sl_code code, const struct secret_pass *pass, const struct sl_error *error)
{
	struct look *look = arg;

	if (code == SL_OK && pass != NULL) {
		const char *texts[] = {pass->key_id, pass->node, pass->place.name,
				       pass->place.part};

		for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
			look->texts[i] = sl_strdup(texts[i]);
		look->status.pass = *pass;
		look->status.has_pass = true;
		look->status.pass.key_id = look->texts[0];
		look->status.pass.node = look->texts[1];
		look->status.pass.place.name = look->texts[2];
		look->status.pass.place.part = look->texts[3];
	}
	if (code == SL_OK && look->count)
		secret_counts(look->store, SECRET_OWN, on_counts, look);
	else
		look_end(look, code, error);
}

void
rekey_status(struct rekey *rekey, bool count, rekey_status_cb *cb, void *arg)
{
	struct pg_settings settings = {.conninfo = rekey->conninfo, .name = "sluiced rekey status"};
	struct look *look = sl_alloc(sizeof(*look));

	LIST_INSERT_HEAD(&rekey->looks, look, link);
	look->cb = cb;
	look->arg = arg;
	look->count = count;
	look->store = secret_store_new(rekey->daemon->loop, &settings);
	secret_pass_read(look->store, on_pass, look);
}

struct rekey *
rekey_new(struct daemon *daemon, const char *conninfo)
{
	struct rekey *rekey = sl_alloc(sizeof(*rekey));

	rekey->daemon = daemon;
	rekey->conninfo = sl_strdup(conninfo);
	LIST_INIT(&rekey->looks);
	rekey->timer = loop_timer_new(daemon->loop, on_pause_over, rekey);
	return rekey;
}

static void
free_now(void *arg)
{
	struct rekey *rekey = arg;

	free(rekey->conninfo);
	free(rekey->name);
	free(rekey->part);
	free(rekey->last_name);
	free(rekey->last_part);
	free(rekey);
}

void
rekey_free(struct rekey *rekey)
{
	struct sl_error error;
	struct look *look;

	if (rekey == NULL)
		return;
	while ((look = LIST_FIRST(&rekey->looks)) != NULL) {
		struct secret_store *store = look->store;

		look->store = NULL;
		secret_store_free(store); /* answers, which ends the look */
	}
	(void)sl_fail(&error, SL_UNAVAILABLE, "this process stops");
	if (rekey->state != REKEY_IDLE)
		stop(rekey, SL_UNAVAILABLE, &error);
	loop_timer_free(rekey->timer);
	loop_free_later(rekey->daemon->loop, free_now, rekey);
}
