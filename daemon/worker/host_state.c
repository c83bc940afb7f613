/* daemon/worker/host_state.c - what functions keep between and during runs: checkpoints, locks. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "daemon/shard.h"
#include "daemon/worker/host.h"
#include "daemon/worker/host_call.h"
#include "daemon/worker/sync_run.h"
#include "queue/lock.h"
#include "sql/checkpoint.h"

#define FIELDS_MAX 16
#define FIELD_NAME_MAX 255   /* characters */
#define FIELD_VALUE_MAX 4000 /* characters */
#define LOCK_CHARS_MAX 255   /* of a name */
#define LOCKS_MAX 1000       /* that one run may hold */

/* ---- checkpoints: one call at a time ------------------------------------------------------------ */

/* Calls about the checkpoint are served in the order asked: each write must know the version that
 * the one before it made. */

static struct checkpoint_place
place_of(const struct attempt *attempt)
{
	return (struct checkpoint_place){
	    .connection_id = attempt->connection->row.id,
	    .function_id =
		attempt->sync != NULL ? attempt->sync->function_id : attempt->function->row.id,
	    .variant = attempt->sync != NULL ? attempt->sync->variant : "base",
	};
}

struct step { /* of a checkpoint call; its state */
	void (*serve)(struct host_call *call);
};

static void
serve_in_line(struct host_call *call, void (*serve)(struct host_call *call))
{
	struct attempt_checkpoint *checkpoint = &call->attempt->checkpoint;
	struct step *step = sl_alloc(sizeof(*step));
	bool is_first = checkpoint->first == NULL;

	step->serve = serve;
	call->state = step;
	call->state_free = free;
	*checkpoint->last = call;
	checkpoint->last = &call->next_in_line;
	if (is_first)
		serve(call);
}

/* Takes the call, which is about to be answered, out of the line. */
static struct host_call *
leave_line(struct host_call *call)
{
	struct attempt_checkpoint *checkpoint = &call->attempt->checkpoint;

	assert(checkpoint->first == call);
	checkpoint->first = call->next_in_line;
	if (checkpoint->first == NULL)
		checkpoint->last = &checkpoint->first;
	return checkpoint->first;
}

static void
serve_next(struct host_call *next)
{
	if (next != NULL)
		((struct step *)next->state)->serve(next);
}

static void
checkpoint_done(struct host_call *call)
{
	const char *value = call->attempt->checkpoint.after;
	struct host_call *next = leave_line(call);

	host_answer(call, true, slice_text(value != NULL ? value : "null"),
		    (struct slice){NULL, 0});
	serve_next(next);
}

static void
checkpoint_failed(struct host_call *call, enum sl_code code, int64_t version,
		  const struct sl_error *error)
{
	struct host_call *next;

	/* In its place in the line: the same write again is fine. */
	if (code == SL_UNAVAILABLE && host_retry(call, ((struct step *)call->state)->serve))
		return;
	next = leave_line(call);
	if (code == SL_CONFLICT && version == CHECKPOINT_STALE)
		host_fail(call, "checkpoint_conflict",
			  "the checkpoint was changed by another run since this one read it");
	else
		host_fail_write(call, code, error);
	serve_next(next);
}

static void
note(struct attempt_checkpoint *checkpoint, int64_t version, const char *value)
{
	if (!checkpoint->known && value != NULL)
		checkpoint->before = sl_strdup(value);
	free(checkpoint->after);
	checkpoint->after = value != NULL ? sl_strdup(value) : NULL;
	checkpoint->version = version;
	checkpoint->known = true;
}

/* ---- checkpoints: reading and writing ------------------------------------------------------------ */

static void
on_got(void *arg, enum sl_code code, int64_t version, const char *value,
       const struct sl_error *error)
{
	struct host_call *call = arg;

	if (host_is_orphan(call))
		return;
	if (code != SL_OK) {
		checkpoint_failed(call, code, version, error);
		return;
	}
	note(&call->attempt->checkpoint, version, value);
	checkpoint_done(call);
}

static void
get(struct host_call *call)
{
	struct checkpoint_place place = place_of(call->attempt);

	call->pending = true;
	checkpoint_read(call->attempt->daemon->syncs, &place, on_got, call);
}

/* Near the limit: the run ends here, where its checkpoint is safe, and goes on in another. */
static void
interrupt(struct host_call *call)
{
	struct host_call *next = leave_line(call);

	call->attempt->interrupted = true;
	host_fail(call, "execution_interrupted",
		  "the run is near its time limit: it goes on from this checkpoint in a new run");
	serve_next(next);
}

static void
on_written(void *arg, enum sl_code code, int64_t version, const char *value,
	   const struct sl_error *error)
{
	struct host_call *call = arg;
	struct json_value saved;

	(void)value;
	FAULT_POINT("checkpoint_saved");
	if (host_is_orphan(call))
		return;
	if (code != SL_OK) {
		checkpoint_failed(call, code, version, error);
		return;
	}
	saved = json_get(call->meta, "checkpoint");
	if (saved.type == JSON_OBJECT_) {
		char *text = sl_strndup(saved.raw.data, saved.raw.len);

		note(&call->attempt->checkpoint, version, text);
		free(text);
		if (call->attempt->kind == JOB_SYNC &&
		    clock_mono_ms() >= call->attempt->soft_mono_ms) {
			interrupt(call);
			return;
		}
	} else {
		note(&call->attempt->checkpoint, version, NULL);
	}
	checkpoint_done(call);
}

/* The version is known.  A checkpoint that is not there is not cleared: the original fails such a
 * run (wire.md 18.14). */
static void
write_now(struct host_call *call)
{
	const struct attempt_checkpoint *checkpoint = &call->attempt->checkpoint;
	struct checkpoint_place place = place_of(call->attempt);
	struct json_value value = json_get(call->meta, "checkpoint");
	struct sync_fence fence = attempt_write_fence(call->attempt);
	char *text;

	if (value.type != JSON_OBJECT_ && checkpoint->after == NULL) {
		checkpoint_done(call);
		return;
	}
	text = value.type == JSON_OBJECT_ ? sl_strndup(value.raw.data, value.raw.len) : NULL;
	call->pending = true;
	checkpoint_write(call->attempt->daemon->syncs, &place, checkpoint->version, text, &fence,
			 on_written, call);
	free(text);
}

static void
on_version_read(void *arg, enum sl_code code, int64_t version, const char *value,
		const struct sl_error *error)
{
	struct host_call *call = arg;

	if (host_is_orphan(call))
		return;
	if (code != SL_OK) {
		checkpoint_failed(call, code, version, error);
		return;
	}
	note(&call->attempt->checkpoint, version, value);
	write_now(call);
}

static void
put(struct host_call *call)
{
	struct checkpoint_place place = place_of(call->attempt);

	if (call->attempt->checkpoint.known) {
		write_now(call);
		return;
	}
	call->pending = true;
	checkpoint_read(call->attempt->daemon->syncs, &place, on_version_read, call);
}

/* Characters of a checked JSON text, as a function counts them: UTF-16 units. */
static size_t
units(const char *text, size_t len)
{
	size_t count = 0;

	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];

		count += (c & 0xc0) != 0x80;
		count += c >= 0xf0; /* a surrogate pair */
	}
	return count;
}

/* One field of a checkpoint; the rules are wire.md 14.5.  On false error names field and rule. */
static bool
is_field(const struct json_iter *it, struct sl_error *error)
{
	size_t len;
	char *text;
	bool fits;

	if (units(it->key, it->key_len) > FIELD_NAME_MAX) {
		(void)sl_fail(
		    error, SL_INVALID,
		    "The checkpoint's field \"%.40s...\" has a name of more than %d characters",
		    it->key, FIELD_NAME_MAX);
		return false;
	}
	switch (it->value.type) {
	case JSON_BOOL:
	case JSON_NUMBER:
		return true;
	case JSON_TEXT:
		text = json_text(it->value, &len);
		fits = text != NULL && units(text, len) <= FIELD_VALUE_MAX;
		free(text);
		if (!fits)
			(void)sl_fail(
			    error, SL_INVALID,
			    "The checkpoint's field \"%.100s\" is a text of more than %d characters",
			    it->key, FIELD_VALUE_MAX);
		return fits;
	case JSON_NULL_:
	case JSON_ARRAY_:
	case JSON_OBJECT_:
	case JSON_NONE:
		break;
	}
	(void)sl_fail(
	    error, SL_INVALID,
	    "The checkpoint's field \"%.100s\" must be a text, a number, a boolean or a Date",
	    it->key);
	return false;
}

static bool
is_checkpoint(struct json_value value, struct sl_error *error)
{
	struct json_iter it;
	bool good = true;
	int count = 0;

	if (value.type != JSON_OBJECT_) {
		(void)sl_fail(error, SL_INVALID, "A checkpoint must be an object");
		return false;
	}
	json_iter_init(&it, value);
	while (good && json_iter_next(&it)) {
		good = is_field(&it, error);
		if (good && ++count > FIELDS_MAX) {
			(void)sl_fail(
			    error, SL_INVALID,
			    "A checkpoint has at most %d fields, \"%.100s\" is one too many",
			    FIELDS_MAX, it.key);
			good = false;
		}
	}
	json_iter_fini(&it);
	return good;
}

void
host_checkpoint_get(struct host_call *call)
{
	serve_in_line(call, get);
}

void
host_checkpoint_save(struct host_call *call)
{
	struct sl_error error;

	if (is_checkpoint(json_get(call->meta, "checkpoint"), &error))
		serve_in_line(call, put);
	else
		host_fail(call, "invalid_checkpoint", error.text);
}

void
host_checkpoint_clear(struct host_call *call)
{
	if (json_get(call->meta, "checkpoint").type != JSON_NONE)
		host_fail(call, "invalid_request", "clear_checkpoint takes no checkpoint");
	else
		serve_in_line(call, put);
}

/* ---- locks ----------------------------------------------------------------------------------- */

struct lock_ask { /* one question to Redis; outlives a call whose attempt has ended */
	struct daemon *daemon;
	struct host_call *call; /* NULL: nobody waits */
	int64_t environment_id;
	char owner[sizeof(((struct attempt *)NULL)->owner)];
	char *name;
	size_t name_len;
};

static void
ask_free(struct lock_ask *ask)
{
	free(ask->name);
	free(ask);
}

/* The owner is the attempt: retries of a job do not share locks. */
static const char *
owner_of(struct attempt *attempt)
{
	char id[UUID_TEXT];

	if (attempt->owner[0] != '\0')
		return attempt->owner;
	if (attempt->job_id[0] != '\0') {
		snprintf(attempt->owner, sizeof(attempt->owner), "%s.%d", attempt->job_id,
			 attempt->number);
	} else {
		uuid_v4(id);
		snprintf(attempt->owner, sizeof(attempt->owner), "%s", id);
	}
	return attempt->owner;
}

static struct lock_ask *
ask_new(struct attempt *attempt, struct host_call *call, const char *name, size_t name_len)
{
	struct lock_ask *ask = sl_alloc(sizeof(*ask));

	ask->daemon = attempt->daemon;
	ask->call = call;
	ask->environment_id = attempt->environment_id;
	snprintf(ask->owner, sizeof(ask->owner), "%s", owner_of(attempt));
	ask->name = sl_memdup(name, name_len);
	ask->name_len = name_len;
	return ask;
}

/* The link to a lock that the attempt holds, or to the end of the list. */
static struct attempt_lock **
find_lock(struct attempt *attempt, const char *name, size_t name_len)
{
	struct attempt_lock **link = &attempt->locks;

	while (*link != NULL &&
	       ((*link)->name_len != name_len || memcmp((*link)->name, name, name_len) != 0))
		link = &(*link)->next;
	return link;
}

static void
forget_lock(struct attempt_lock **link)
{
	struct attempt_lock *lock = *link;

	if (lock == NULL)
		return;
	*link = lock->next;
	free(lock->name);
	free(lock);
}

static void
remember_lock(struct attempt *attempt, const char *name, size_t name_len)
{
	struct attempt_lock **link = find_lock(attempt, name, name_len);

	if (*link != NULL)
		return;
	*link = sl_alloc(sizeof(**link));
	(*link)->name = sl_memdup(name, name_len);
	(*link)->name_len = name_len;
}

/* A lock that could not be given back ends with its time. */
static void
on_let_go(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	(void)value;
	if (code != SL_OK)
		log_debug("lock_not_released", "code=%s error=%s", sl_code_name(code),
			  log_text(error != NULL ? error->text : ""));
	ask_free(arg);
}

static void
let_go(struct lock_ask *ask)
{
	lock_release(shard_queue(ask->daemon, ask->environment_id), ask->environment_id,
		     (struct slice){ask->name, ask->name_len}, ask->owner, on_let_go, ask);
}

void
host_release_locks(struct attempt *attempt)
{
	while (attempt->locks != NULL) {
		let_go(ask_new(attempt, NULL, attempt->locks->name, attempt->locks->name_len));
		forget_lock(&attempt->locks);
	}
}

static void
fail_lock(struct host_call *call, enum sl_code code, const struct sl_error *error)
{
	host_fail(call, code == SL_UNAVAILABLE ? "lock_unavailable" : "server_error",
		  code == SL_UNAVAILABLE ? "locks cannot be reached right now"
		  : error != NULL        ? error->text
					 : sl_code_name(code));
}

static void
answer_bool(struct host_call *call, bool yes)
{
	host_answer(call, true, slice_text(yes ? "true" : "false"), (struct slice){NULL, 0});
}

static void
on_locked(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct lock_ask *ask = arg;
	struct host_call *call = ask->call;

	if (host_is_orphan(call)) {
		let_go(ask); /* also when the answer was lost: it may have been taken */
		return;
	}
	if (code == SL_OK && value == 1)
		remember_lock(call->attempt, ask->name, ask->name_len);
	if (code == SL_OK)
		answer_bool(call, value == 1);
	else
		fail_lock(call, code, error);
	ask_free(ask);
}

static void
on_unlocked(void *arg, enum sl_code code, int64_t value, const struct sl_error *error)
{
	struct lock_ask *ask = arg;
	struct host_call *call = ask->call;

	if (!host_is_orphan(call)) {
		if (code == SL_OK)
			forget_lock(find_lock(call->attempt, ask->name, ask->name_len));
		if (code == SL_OK)
			answer_bool(call, value == 1);
		else
			fail_lock(call, code, error);
	}
	ask_free(ask);
}

/* malloc'd; NULL: the call was refused. */
static char *
read_lock_name(struct host_call *call, size_t *len)
{
	char *name = json_text(json_get(call->meta, "key"), len);

	if (name != NULL && *len > 0 && units(name, *len) <= LOCK_CHARS_MAX)
		return name;
	free(name);
	host_failf(call, "invalid_lock", "A lock's \"key\" must be a text of 1 to %d characters",
		   LOCK_CHARS_MAX);
	return NULL;
}

void
host_lock(struct host_call *call)
{
	struct json_value ttl = json_get(call->meta, "ttlMs");
	struct lock_ask *ask;
	int64_t ttl_ms;
	size_t len;
	char *name = read_lock_name(call, &len);
	int held = 0;

	if (name == NULL)
		return;
	for (const struct attempt_lock *lock = call->attempt->locks; lock != NULL;
	     lock = lock->next)
		held++;
	if (!json_int(ttl, &ttl_ms) || ttl_ms < 1 || ttl_ms > LOCK_TTL_MAX_MS) {
		host_fail(
		    call, "invalid_lock",
		    "A lock's \"ttlMs\" must be a whole number of milliseconds, 1 or more and "
		    "at most a year");
	} else if (held >= LOCKS_MAX) {
		host_failf(call, "resource_capped", "a run may hold %d locks", LOCKS_MAX);
	} else {
		ask = ask_new(call->attempt, call, name, len);
		call->pending = true;
		lock_acquire(shard_queue(ask->daemon, ask->environment_id), ask->environment_id,
			     (struct slice){name, len}, ask->owner, ttl_ms, on_locked, ask);
	}
	free(name);
}

void
host_unlock(struct host_call *call)
{
	struct lock_ask *ask;
	size_t len;
	char *name = read_lock_name(call, &len);

	if (name == NULL)
		return;
	ask = ask_new(call->attempt, call, name, len);
	call->pending = true;
	lock_release(shard_queue(ask->daemon, ask->environment_id), ask->environment_id,
		     (struct slice){name, len}, ask->owner, on_unlocked, ask);
	free(name);
}

/* Redis serves one connection's commands in order: what is asked next finds them free. */
void
host_unlock_all(struct host_call *call)
{
	host_release_locks(call->attempt);
	host_answer(call, true, SLICE_LITERAL("null"), (struct slice){NULL, 0});
}
