/* daemon/api/directory.c - one map of cached rows, single-flight loads, whole-cache invalidation.
 *
 * Invalidation drops everything: changes of account rows are rare beside requests, and a reload
 * costs one query per row in use.  A load that was started before an invalidation is handed to its
 * waiters but not cached. */
#include "daemon/api/directory.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"

#define DIRECTORY_ENTRIES_MAX 20000

struct waiter {
	struct waiter *next;
	directory_cb *cb;
	void *arg;
};

struct load { /* one query in flight */
	struct directory *directory;
	char *name; /* owned */
	uint64_t generation;
	struct waiter *first, **last;
};

struct directory {
	struct daemon *daemon;
	struct map *objects; /* name -> object, one count held */
	struct map *loads;   /* name -> load */
	uint64_t generation;
};

const void *
directory_hold(const void *object)
{
	((struct directory_object *)(uintptr_t)object)->refs++;
	return object;
}

void
directory_release(const void *object)
{
	struct directory_object *head = (struct directory_object *)(uintptr_t)object;

	if (head == NULL || --head->refs > 0)
		return;
	for (int i = 0; i < head->owned_count; i++)
		free(head->owned[i]);
	free(head);
}

static const char *
own(struct directory_object *object, const char *text)
{
	assert(object->owned_count < (int)(sizeof(object->owned) / sizeof(object->owned[0])));
	return object->owned[object->owned_count++] = sl_strdup(text != NULL ? text : "");
}

static void *
object_new(size_t size)
{
	struct directory_object *object = sl_alloc(size);

	object->refs = 1;
	object->loaded_ms = clock_mono_ms();
	return object;
}

static void
release_value(void *value)
{
	directory_release(value);
}

void
directory_forget(struct directory *directory)
{
	directory->generation++;
	map_free(directory->objects, release_value);
	directory->objects = map_new();
}

uint64_t
directory_generation(const struct directory *directory)
{
	return directory->generation;
}

static void
on_notify(void *arg, const char *channel, const char *payload)
{
	(void)channel;
	(void)payload;
	directory_forget(arg);
}

struct directory *
directory_new(struct daemon *daemon)
{
	struct directory *directory = sl_alloc(sizeof(*directory));

	directory->daemon = daemon;
	directory->objects = map_new();
	directory->loads = map_new();
	pg_listen(account_pg(daemon->account), ACCOUNT_CHANNEL, on_notify, directory);
	return directory;
}

static void
load_free(void *value)
{
	struct load *load = value;

	while (load->first != NULL) {
		struct waiter *waiter = load->first;

		load->first = waiter->next;
		free(waiter);
	}
	free(load->name);
	free(load);
}

void
directory_free(struct directory *directory)
{
	if (directory == NULL)
		return;
	map_free(directory->objects, release_value);
	map_free(directory->loads, load_free);
	free(directory);
}

/* Serves from the cache, or joins a load in flight (NULL), or returns a new load that the caller
 * starts. */
static struct load *
lookup(struct directory *directory, const char *name, directory_cb *cb, void *arg)
{
	struct directory_object *object = map_get_text(directory->objects, name);
	struct load *load;
	struct waiter *waiter;
	bool is_new;

	if (object != NULL && clock_mono_ms() - object->loaded_ms < DIRECTORY_TTL_MS) {
		directory_hold(object);
		cb(arg, SL_OK, object, NULL);
		directory_release(object);
		return NULL;
	}
	load = map_get_text(directory->loads, name);
	is_new = load == NULL || load->generation != directory->generation;
	if (is_new) {
		load = sl_alloc(sizeof(*load));
		load->directory = directory;
		load->name = sl_strdup(name);
		load->generation = directory->generation;
		load->last = &load->first;
		map_put_text(directory->loads, name, load);
	}
	waiter = sl_alloc(sizeof(*waiter));
	waiter->cb = cb;
	waiter->arg = arg;
	*load->last = waiter;
	load->last = &waiter->next;
	return is_new ? load : NULL;
}

/* Ends a load: caches object (whose count it takes over) when nothing was invalidated meanwhile. */
static void
loaded(struct load *load, enum sl_code code, void *object, const struct sl_error *error)
{
	struct directory *directory = load->directory;

	if (map_get_text(directory->loads, load->name) == load)
		map_remove_text(directory->loads, load->name);
	if (code == SL_OK && load->generation == directory->generation) {
		if (map_count(directory->objects) >= DIRECTORY_ENTRIES_MAX)
			directory_forget(directory);
		directory_hold(object);
		directory_release(map_put_text(directory->objects, load->name, object));
	}
	while (load->first != NULL) {
		struct waiter *waiter = load->first;

		load->first = waiter->next;
		waiter->cb(waiter->arg, code, code == SL_OK ? object : NULL, error);
		free(waiter);
	}
	directory_release(object);
	load_free(load);
}

/* ---- keys ------------------------------------------------------------------------------------ */

static void
on_key_row(void *arg, enum sl_code code, const struct account_key *row,
	   const struct sl_error *error)
{
	struct directory_key *key = NULL;

	if (code == SL_OK) {
		key = object_new(sizeof(*key));
		key->id = row->id;
		key->environment_id = row->environment_id;
		key->scopes = own(&key->object, row->scopes);
	}
	loaded(arg, code, key, error);
}

void
directory_key(struct directory *directory, const char *key_text, directory_cb *cb, void *arg)
{
	char digest[SECRET_SHA256_HEX], name[SECRET_SHA256_HEX + 4];
	struct load *load;

	secret_sha256_hex(slice_text(key_text), digest);
	snprintf(name, sizeof(name), "k:%s", digest);
	load = lookup(directory, name, cb, arg);
	if (load != NULL)
		account_key_find(directory->daemon->account, digest, on_key_row, load);
}

/* ---- environments ---------------------------------------------------------------------------- */

static int64_t
action_timeout(struct directory *directory, const char *settings)
{
	struct json_value value;
	int64_t seconds;

	if (json_check(slice_text(settings), &value, NULL) == SL_OK &&
	    json_int(json_get(value, "action_timeout"), &seconds) && seconds > 0)
		return seconds * 1000;
	return config_int(directory->daemon->config, "action_timeout");
}

static void
on_environment_row(void *arg, enum sl_code code, const struct account_environment *row, int count,
		   const struct sl_error *error)
{
	struct load *load = arg;
	struct directory_environment *environment = NULL;

	if (code == SL_OK && count == 0)
		code = SL_NOT_FOUND;
	if (code == SL_OK) {
		environment = object_new(sizeof(*environment));
		environment->row = *row;
		environment->row.name = own(&environment->object, row->name);
		environment->row.uuid = own(&environment->object, row->uuid);
		environment->row.signing_key = own(&environment->object, row->signing_key);
		environment->row.settings = own(&environment->object, row->settings);
		environment->row.callback_url = own(&environment->object, row->callback_url);
		environment->row.webhook_url = own(&environment->object, row->webhook_url);
		environment->row.webhook_url_secondary =
		    own(&environment->object, row->webhook_url_secondary);
		environment->row.signing_key_before =
		    own(&environment->object, row->signing_key_before);
		environment->action_timeout_ms = action_timeout(load->directory, row->settings);
	}
	loaded(load, code, environment, error);
}

void
directory_environment(struct directory *directory, int64_t id, directory_cb *cb, void *arg)
{
	char name[40];
	struct load *load;

	snprintf(name, sizeof(name), "e:%lld", (long long)id);
	load = lookup(directory, name, cb, arg);
	if (load != NULL)
		account_environment_by_id(directory->daemon->account, id, on_environment_row, load);
}

void
directory_environment_by_uuid(struct directory *directory, const char *uuid, directory_cb *cb,
			      void *arg)
{
	char *name = sl_asprintf("u:%s", uuid);
	struct load *load = lookup(directory, name, cb, arg);

	free(name);
	if (load != NULL)
		account_environment_by_uuid(directory->daemon->account, uuid, on_environment_row,
					    load);
}

/* ---- integrations ---------------------------------------------------------------------------- */

static void
on_integration_row(void *arg, enum sl_code code, const struct account_integration *row, int count,
		   const struct sl_error *error)
{
	struct directory_integration *integration = NULL;

	if (code == SL_OK && count == 0)
		code = SL_NOT_FOUND;
	if (code == SL_OK) {
		integration = object_new(sizeof(*integration));
		integration->row = *row;
		integration->row.unique_key = own(&integration->object, row->unique_key);
		integration->row.provider = own(&integration->object, row->provider);
		integration->row.display_name = own(&integration->object, row->display_name);
		integration->row.credentials = own(&integration->object, row->credentials);
		integration->row.seal_row = own(&integration->object, row->seal_row);
		integration->row.config = own(&integration->object, row->config);
		integration->row.custom = own(&integration->object, row->custom);
	}
	loaded(arg, code, integration, error);
}

void
directory_integration(struct directory *directory, int64_t environment_id, const char *unique_key,
		      directory_cb *cb, void *arg)
{
	char *name = sl_asprintf("i:%lld:%s", (long long)environment_id, unique_key);
	struct load *load = lookup(directory, name, cb, arg);

	free(name);
	if (load != NULL)
		account_integration_find(directory->daemon->account, environment_id, unique_key,
					 on_integration_row, load);
}

/* ---- connections ----------------------------------------------------------------------------- */

static void
on_connection_row(void *arg, enum sl_code code, const struct account_connection *row, int count,
		  const struct sl_error *error)
{
	struct directory_connection *connection = NULL;

	if (code == SL_OK && count == 0)
		code = SL_NOT_FOUND;
	if (code == SL_OK) {
		struct directory_object *object;

		connection = object_new(sizeof(*connection));
		object = &connection->object;
		connection->row = *row;
		connection->row.connection_id = own(object, row->connection_id);
		connection->row.unique_key = own(object, row->unique_key);
		connection->row.provider = own(object, row->provider);
		connection->row.credentials = own(object, row->credentials);
		connection->row.seal_row = own(object, row->seal_row);
		connection->row.connection_config = own(object, row->connection_config);
		connection->row.metadata = own(object, row->metadata);
		connection->row.tags = own(object, row->tags);
		connection->row.end_user = own(object, row->end_user);
		connection->row.webhook_url_override = own(object, row->webhook_url_override);
		connection->row.failure_log_id = own(object, row->failure_log_id);
	}
	loaded(arg, code, connection, error);
}

void
directory_connection(struct directory *directory, int64_t environment_id, const char *unique_key,
		     const char *connection_id, directory_cb *cb, void *arg)
{
	/* An integration's key has no newline (wire.md 1.6), so the name is unambiguous. */
	char *name =
	    sl_asprintf("c:%lld:%s\n%s", (long long)environment_id, unique_key, connection_id);
	struct load *load = lookup(directory, name, cb, arg);

	free(name);
	if (load != NULL)
		account_connection_find(directory->daemon->account, environment_id, unique_key,
					connection_id, on_connection_row, load);
}

void
directory_connection_by_id(struct directory *directory, int64_t id, directory_cb *cb, void *arg)
{
	char name[40];
	struct load *load;

	snprintf(name, sizeof(name), "C:%lld", (long long)id);
	load = lookup(directory, name, cb, arg);
	if (load != NULL)
		account_connection_by_id(directory->daemon->account, id, on_connection_row, load);
}

bool
directory_tells_of_action(const struct directory_environment *environment,
			  const struct directory_connection *connection)
{
	const struct account_environment *row = &environment->row;

	return (row->webhook_events & ACCOUNT_WEBHOOK_ASYNC_ACTION) != 0 &&
	       (connection->row.webhook_url_override[0] != '\0' || row->webhook_url[0] != '\0' ||
		row->webhook_url_secondary[0] != '\0');
}

/* ---- functions ------------------------------------------------------------------------------- */

static void
on_function_row(void *arg, enum sl_code code, const struct account_function *row, int count,
		const struct sl_error *error)
{
	struct directory_function *function = NULL;

	if (code == SL_OK && count == 0)
		code = SL_NOT_FOUND;
	if (code == SL_OK) {
		struct directory_object *object;

		function = object_new(sizeof(*function));
		object = &function->object;
		function->row = *row;
		function->row.unique_key = own(object, row->unique_key);
		function->row.type = own(object, row->type);
		function->row.name = own(object, row->name);
		function->row.version = own(object, row->version);
		function->row.event = own(object, row->event);
		function->row.source = own(object, row->source);
		function->row.definition = own(object, row->definition);
		function->row.code = own(object, row->code);
		function->row.ts = own(object, row->ts);
	}
	loaded(arg, code, function, error);
}

void
directory_function(struct directory *directory, int64_t environment_id, const char *unique_key,
		   const char *type, const char *function_name, directory_cb *cb, void *arg)
{
	char *name = sl_asprintf("f:%lld:%s\n%s\n%s", (long long)environment_id, unique_key, type,
				 function_name);
	struct load *load = lookup(directory, name, cb, arg);

	free(name);
	if (load != NULL)
		account_function_find(directory->daemon->account, environment_id, unique_key, type,
				      function_name, on_function_row, load);
}

/* Copies text to *at, which moves on. */
static const char *
pack(char **at, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = memcpy(*at, text, size);

	*at += size;
	return copy;
}

static void
on_functions_rows(void *arg, enum sl_code code, const struct account_function *rows, int count,
		  const struct sl_error *error)
{
	struct directory_functions *functions = NULL;
	struct directory_object *object;
	size_t size = 1;
	char *at;

	if (code != SL_OK) {
		loaded(arg, code, NULL, error);
		return;
	}
	functions = object_new(sizeof(*functions));
	object = &functions->object;
	functions->rows = sl_calloc((size_t)count + 1, sizeof(*rows));
	functions->count = count;
	for (int i = 0; i < count; i++)
		size += strlen(rows[i].unique_key) + strlen(rows[i].type) + strlen(rows[i].name) +
			strlen(rows[i].version) + strlen(rows[i].event) + strlen(rows[i].source) +
			strlen(rows[i].definition) + 7;
	at = sl_alloc(size);
	object->owned[object->owned_count++] = functions->rows;
	object->owned[object->owned_count++] = at;
	for (int i = 0; i < count; i++) {
		struct account_function *row = &functions->rows[i];

		*row = rows[i];
		row->unique_key = pack(&at, rows[i].unique_key);
		row->type = pack(&at, rows[i].type);
		row->name = pack(&at, rows[i].name);
		row->version = pack(&at, rows[i].version);
		row->event = pack(&at, rows[i].event);
		row->source = pack(&at, rows[i].source);
		row->definition = pack(&at, rows[i].definition);
		row->code = row->ts = "";
	}
	loaded(arg, code, functions, error);
}

void
directory_functions(struct directory *directory, int64_t environment_id, const char *unique_key,
		    directory_cb *cb, void *arg)
{
	char *name = sl_asprintf("F:%lld:%s", (long long)environment_id, unique_key);
	struct load *load = lookup(directory, name, cb, arg);

	free(name);
	if (load != NULL)
		account_function_list(directory->daemon->account, environment_id, unique_key,
				      on_functions_rows, load);
}

void
directory_version(struct directory *directory, int64_t version_id, directory_cb *cb, void *arg)
{
	char name[40];
	struct load *load;

	snprintf(name, sizeof(name), "v:%lld", (long long)version_id);
	load = lookup(directory, name, cb, arg);
	if (load != NULL)
		account_version_find(directory->daemon->account, version_id, on_function_row, load);
}

/* ---- logger levels --------------------------------------------------------------------------- */

#define LEVEL_VARIABLE "NANGO_LOGGER_LEVEL"
#define LEVEL_DEFAULT "warn"
#define LEVEL_MAX 4096

struct logger_load {
	struct load *load;
	int64_t environment_id;
};

static const char *
level_of(const struct logger_load *logger, const char *sealed)
{
	static const char *const levels[] = {"debug", "info", "warn", "error", "off"};
	char row[80];
	struct buf plain;
	const char *level = LEVEL_DEFAULT;

	snprintf(row, sizeof(row), "variable:%lld:" LEVEL_VARIABLE,
		 (long long)logger->environment_id);
	buf_init(&plain, LEVEL_MAX);
	if (secret_open(logger->load->directory->daemon->ring, slice_text(sealed), row, &plain,
			NULL) == SL_OK)
		for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
			if (slice_is(buf_slice(&plain), levels[i]))
				level = levels[i];
	secret_wipe(plain.data, plain.len);
	buf_fini(&plain);
	return level;
}

static void
on_logger_rows(void *arg, enum sl_code code, const struct account_variable *rows, int count,
	       const struct sl_error *error)
{
	struct logger_load *logger = arg;
	struct directory_logger *found = NULL;

	if (code == SL_OK) {
		found = object_new(sizeof(*found));
		found->level = LEVEL_DEFAULT;
		for (int i = 0; i < count; i++)
			if (strcmp(rows[i].name, LEVEL_VARIABLE) == 0)
				found->level = level_of(logger, rows[i].value);
	}
	loaded(logger->load, code, found, error);
	free(logger);
}

void
directory_logger(struct directory *directory, int64_t environment_id, directory_cb *cb, void *arg)
{
	struct logger_load *logger;
	char name[40];
	struct load *load;

	snprintf(name, sizeof(name), "l:%lld", (long long)environment_id);
	load = lookup(directory, name, cb, arg);
	if (load == NULL)
		return;
	logger = sl_alloc(sizeof(*logger));
	logger->load = load;
	logger->environment_id = environment_id;
	account_variable_list(directory->daemon->account, environment_id, on_logger_rows, logger);
}
