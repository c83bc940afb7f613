#include "sql/account.h"
#include "tests/integration/sql_rig.h"

static struct account *account;
static int64_t environment, other, integration;

/* ---- calls that wait for their answer; what was borrowed is copied --------------------------- */

static int calls;
static enum sl_code code_;
static int64_t id_;

static void
on_done(void *arg, enum sl_code code, int64_t id, const struct sl_error *error)
{
	(void)arg;
	check((code == SL_OK) == (error == NULL));
	calls++;
	code_ = code;
	id_ = id;
}

#define CALL(expected, ...)                     \
	do {                                    \
		calls = 0;                      \
		__VA_ARGS__;                    \
		rig_until(calls > 0);           \
		check_int(calls, ==, 1);        \
		check_int(code_, ==, expected); \
	} while (0)

#define ROWS_MAX 120
static int row_count;
static struct account_environment environments[ROWS_MAX];
static struct account_integration integrations[ROWS_MAX];
static struct account_connection connections[ROWS_MAX];
static struct account_function functions[ROWS_MAX];
static struct account_deployed deployed[ROWS_MAX];
static struct account_key key_;
static struct account_variable variables[ROWS_MAX];
static bool overridden_;

static char *kept[20000]; /* the copies; freed by forget() */
static int kept_count;

static const char *
keep(const char *text)
{
	if (text == NULL || kept_count == 20000)
		return NULL;
	return kept[kept_count++] = sl_strdup(text);
}

static void
forget(void)
{
	while (kept_count > 0)
		free(kept[--kept_count]);
}

static void
rows_seen(enum sl_code code, int count)
{
	calls++;
	code_ = code;
	row_count = count;
}

static void
on_environments(void *arg, enum sl_code code, const struct account_environment *rows, int count,
		const struct sl_error *error)
{
	(void)arg;
	(void)error;
	rows_seen(code, count);
	for (int i = 0; i < count && i < ROWS_MAX; i++) {
		environments[i] = rows[i];
		environments[i].name = keep(rows[i].name);
		environments[i].settings = keep(rows[i].settings);
		environments[i].signing_key = keep(rows[i].signing_key);
		environments[i].callback_url = keep(rows[i].callback_url);
	}
}

static void
on_key(void *arg, enum sl_code code, const struct account_key *row, const struct sl_error *error)
{
	(void)arg;
	(void)error;
	rows_seen(code, code == SL_OK);
	if (code != SL_OK)
		return;
	key_ = *row;
	key_.display_name = keep(row->display_name);
	key_.scopes = keep(row->scopes);
}

static void
on_variables(void *arg, enum sl_code code, const struct account_variable *rows, int count,
	     const struct sl_error *error)
{
	(void)arg;
	(void)error;
	rows_seen(code, count);
	for (int i = 0; i < count && i < ROWS_MAX; i++)
		variables[i] = (struct account_variable){keep(rows[i].name), keep(rows[i].value)};
}

static void
on_integrations(void *arg, enum sl_code code, const struct account_integration *rows, int count,
		const struct sl_error *error)
{
	(void)arg;
	(void)error;
	rows_seen(code, count);
	for (int i = 0; i < count && i < ROWS_MAX; i++) {
		integrations[i] = rows[i];
		integrations[i].unique_key = keep(rows[i].unique_key);
		integrations[i].provider = keep(rows[i].provider);
		integrations[i].display_name = keep(rows[i].display_name);
		integrations[i].credentials = keep(rows[i].credentials);
		integrations[i].seal_row = keep(rows[i].seal_row);
		integrations[i].config = keep(rows[i].config);
		integrations[i].custom = keep(rows[i].custom);
	}
}

static void
keep_connection(int i, const struct account_connection *row)
{
	connections[i] = *row;
	connections[i].connection_id = keep(row->connection_id);
	connections[i].unique_key = keep(row->unique_key);
	connections[i].provider = keep(row->provider);
	connections[i].credentials = keep(row->credentials);
	connections[i].seal_row = keep(row->seal_row);
	connections[i].connection_config = keep(row->connection_config);
	connections[i].metadata = keep(row->metadata);
	connections[i].tags = keep(row->tags);
	connections[i].end_user = keep(row->end_user);
	connections[i].webhook_url_override = keep(row->webhook_url_override);
}

static void
on_connections(void *arg, enum sl_code code, const struct account_connection *rows, int count,
	       const struct sl_error *error)
{
	(void)arg;
	(void)error;
	rows_seen(code, count);
	for (int i = 0; i < count && i < ROWS_MAX; i++)
		keep_connection(i, &rows[i]);
}

static void
on_upsert(void *arg, enum sl_code code, const struct account_connection *row, bool overridden,
	  const struct sl_error *error)
{
	(void)arg;
	(void)error;
	rows_seen(code, code == SL_OK);
	overridden_ = overridden;
	if (code == SL_OK)
		keep_connection(0, row);
}

static void
on_functions(void *arg, enum sl_code code, const struct account_function *rows, int count,
	     const struct sl_error *error)
{
	(void)arg;
	(void)error;
	rows_seen(code, count);
	for (int i = 0; i < count && i < ROWS_MAX; i++) {
		functions[i] = rows[i];
		functions[i].unique_key = keep(rows[i].unique_key);
		functions[i].type = keep(rows[i].type);
		functions[i].name = keep(rows[i].name);
		functions[i].version = keep(rows[i].version);
		functions[i].event = keep(rows[i].event);
		functions[i].source = keep(rows[i].source);
		functions[i].definition = keep(rows[i].definition);
		functions[i].code = keep(rows[i].code);
		functions[i].ts = keep(rows[i].ts);
	}
}

static void
on_deployed(void *arg, enum sl_code code, const struct account_deployed *rows, int count,
	    const struct sl_error *error)
{
	int *answer = arg;

	(void)error;
	if (answer != NULL)
		*answer = code;
	rows_seen(code, count);
	for (int i = 0; i < count && i < ROWS_MAX; i++) {
		deployed[i] = rows[i];
		deployed[i].type = keep(rows[i].type);
		deployed[i].name = keep(rows[i].name);
		deployed[i].unique_key = keep(rows[i].unique_key);
		deployed[i].version = keep(rows[i].version);
	}
}

static int notified, notified_environment, listening;

static void
on_notify(void *arg, const char *channel, const char *payload)
{
	(void)arg;
	check_text(channel, ACCOUNT_CHANNEL);
	if (payload == NULL) {
		listening++;
		return;
	}
	notified++;
	notified_environment = (int)strtol(payload, NULL, 10);
}

/* ---- environments and keys ------------------------------------------------------------------ */

static int64_t
new_environment(const char *name, const char *digest, bool production, enum sl_code expected)
{
	struct account_new_environment row = {.name = name,
					      .uuid = digest,
					      .signing_key = "s1:sealed",
					      .callback_url = "",
					      .key_digest = digest,
					      .is_production = production};

	CALL(expected, account_environment_create(account, &row, on_done, NULL));
	return id_;
}

static void
an_environment_comes_with_its_key_and_its_concurrency_key(void)
{
	environment = new_environment("dev", "d1", false, SL_OK);
	other = new_environment("staging", "d2", false, SL_OK);
	new_environment("dev", "d3", false, SL_CONFLICT);
	CALL(SL_OK, account_environment_list(account, on_environments, NULL));
	check_int(row_count, ==, 2);
	check_text(environments[0].name, "dev");
	check_text(environments[0].settings, "{}");
	check_text(environments[0].signing_key, "s1:sealed");
	check_int(environments[0].key_id, !=, environments[1].key_id);
	check_int(environments[0].key_id, >, 0);
	CALL(SL_OK, account_key_find(account, "d1", on_key, NULL));
	check_int(key_.environment_id, ==, environment);
	check_text(key_.display_name, "Default");
	check_text(key_.scopes, "environment:*");
	check_int(key_.created_ms, >, clock_wall_ms() - 60000);
	CALL(SL_OK, account_environment_by_name(account, "staging", on_environments, NULL));
	check_int(environments[0].id, ==, other);
	CALL(SL_OK, account_environment_by_id(account, environment, on_environments, NULL));
	check_text(environments[0].name, "dev");
	CALL(SL_NOT_FOUND, account_environment_by_id(account, 999, on_environments, NULL));
	CALL(SL_NOT_FOUND, account_key_find(account, "none", on_key, NULL));
}

static void
keys_have_a_name_of_their_own_in_an_environment(void)
{
	int64_t id;

	CALL(SL_OK, account_key_create(account, environment, "ci", "d4", "a b", on_done, NULL));
	id = id_;
	CALL(SL_CONFLICT, account_key_create(account, environment, "ci", "d5", "a", on_done, NULL));
	CALL(SL_OK, account_key_create(account, other, "ci", "d6", "a", on_done, NULL));
	CALL(SL_NOT_FOUND, account_key_create(account, 999, "ci", "d7", "a", on_done, NULL));
	CALL(SL_OK, account_key_create(account, 0, "root", "d8", "account:*", on_done, NULL));
	CALL(SL_CONFLICT, account_key_create(account, 0, "root", "d9", "account:*", on_done, NULL));
	CALL(SL_OK, account_key_find(account, "d8", on_key, NULL));
	check_int(key_.environment_id, ==, 0);
	CALL(SL_NOT_FOUND, account_key_delete(account, other, id, on_done, NULL));
	CALL(SL_OK, account_key_delete(account, environment, id, on_done, NULL));
	CALL(SL_NOT_FOUND, account_key_delete(account, environment, id, on_done, NULL));
	CALL(SL_NOT_FOUND, account_key_find(account, "d4", on_key, NULL));
}

static void
settings_are_replaced_only_if_they_are_as_expected(void)
{
	CALL(SL_OK, account_environment_settings(account, environment, "{}", "{\"a\":1.0}", on_done,
						 NULL));
	CALL(SL_CONFLICT,
	     account_environment_settings(account, environment, "{}", "{}", on_done, NULL));
	CALL(SL_NOT_FOUND, account_environment_settings(account, 999, "{}", "{}", on_done, NULL));
	CALL(SL_OK, account_environment_signing_key(account, environment, "s1:new", on_done, NULL));
	CALL(SL_OK, account_environment_by_id(account, environment, on_environments, NULL));
	check_text(environments[0].settings, "{\"a\":1.0}");
	check_text(environments[0].signing_key, "s1:new");
}

static void
production_environments_are_not_deleted(void)
{
	int64_t prod = new_environment("prod", "p1", false, SL_OK);
	int64_t marked = new_environment("live", "p2", true, SL_OK);
	int64_t plain = new_environment("scratch", "p3", false, SL_OK);

	CALL(SL_CONFLICT, account_environment_delete(account, prod, on_done, NULL));
	CALL(SL_CONFLICT, account_environment_delete(account, marked, on_done, NULL));
	CALL(SL_OK, account_environment_delete(account, plain, on_done, NULL));
	check_int(id_, ==, plain);
	CALL(SL_NOT_FOUND, account_environment_delete(account, plain, on_done, NULL));
	CALL(SL_NOT_FOUND, account_key_find(account, "p3", on_key, NULL));
}

static void
variables_are_put_listed_and_deleted(void)
{
	CALL(SL_OK, account_variable_put(account, environment, "B", "s1:b", on_done, NULL));
	CALL(SL_OK, account_variable_put(account, environment, "A", "s1:a", on_done, NULL));
	CALL(SL_OK, account_variable_put(account, environment, "A", "s1:a2", on_done, NULL));
	CALL(SL_NOT_FOUND, account_variable_put(account, 999, "A", "s1:a", on_done, NULL));
	CALL(SL_OK, account_variable_list(account, environment, on_variables, NULL));
	check_int(row_count, ==, 2);
	check_text(variables[0].name, "A");
	check_text(variables[0].value, "s1:a2");
	CALL(SL_OK, account_variable_delete(account, environment, "A", on_done, NULL));
	CALL(SL_NOT_FOUND, account_variable_delete(account, environment, "A", on_done, NULL));
	CALL(SL_OK, account_variable_list(account, other, on_variables, NULL));
	check_int(row_count, ==, 0);
}

/* ---- integrations --------------------------------------------------------------------------- */

static int64_t
new_integration(int64_t in, const char *unique_key, enum sl_code expected)
{
	struct account_integration row = {.environment_id = in,
					  .unique_key = unique_key,
					  .provider = "github",
					  .display_name = "GitHub",
					  .forward_webhooks = true,
					  .credentials = "",
					  .seal_row = "integration:1:x",
					  .config = "{\"n\":1e400}",
					  .custom = "{}"};

	CALL(expected, account_integration_create(account, &row, on_done, NULL));
	return id_;
}

static void
integrations_are_created_found_and_changed(void)
{
	struct account_integration row;

	integration = new_integration(environment, "gh", SL_OK);
	new_integration(environment, "gh", SL_CONFLICT);
	new_integration(other, "gh", SL_OK);
	new_integration(999, "gh", SL_NOT_FOUND);
	CALL(SL_OK, account_integration_find(account, environment, "gh", on_integrations, NULL));
	check_int(row_count, ==, 1);
	check_int(integrations[0].id, ==, integration);
	check(integrations[0].forward_webhooks);
	check_text(integrations[0].config, "{\"n\":1e400}");
	check_int(integrations[0].created_ms, ==, integrations[0].updated_ms);
	row = integrations[0];
	row.unique_key = "github";
	row.forward_webhooks = false;
	row.credentials = "s1:c";
	CALL(SL_OK, account_integration_update(account, &row, on_done, NULL));
	CALL(SL_NOT_FOUND,
	     account_integration_find(account, environment, "gh", on_integrations, NULL));
	CALL(SL_OK,
	     account_integration_find(account, environment, "github", on_integrations, NULL));
	check(!integrations[0].forward_webhooks);
	check_text(integrations[0].credentials, "s1:c");
	check_text(integrations[0].seal_row, "integration:1:x");
	check_int(integrations[0].created_ms, <, integrations[0].updated_ms);
	row.environment_id = other; /* not its environment */
	CALL(SL_NOT_FOUND, account_integration_update(account, &row, on_done, NULL));
	new_integration(environment, "second", SL_OK);
	row.environment_id = environment;
	row.unique_key = "second";
	CALL(SL_CONFLICT, account_integration_update(account, &row, on_done, NULL));
	CALL(SL_OK, account_integration_list(account, environment, on_integrations, NULL));
	check_int(row_count, ==, 2);
	CALL(SL_OK, account_integration_delete(account, environment, "second", on_done, NULL));
	CALL(SL_NOT_FOUND,
	     account_integration_delete(account, environment, "second", on_done, NULL));
}

/* ---- connections ---------------------------------------------------------------------------- */

static struct account_connection
plain_connection(const char *connection_id)
{
	return (struct account_connection){.environment_id = environment,
					   .integration_id = integration,
					   .connection_id = connection_id,
					   .credentials = "s1:c",
					   .seal_row = "connection:x",
					   .connection_config = "{}",
					   .metadata = "null",
					   .tags = "{}",
					   .end_user = "null",
					   .webhook_url_override = ""};
}

#define HARD                                                                                     \
	"{\"zero\":\"\\u0000\",\"lone\":\"\\ud800\",\"text\":\"\xf0\x9f\x98\x80 \xe2\x80\xa8\"," \
	"\"n\":9007199254740993, \"x\" : -0, \"x\":1.0}"

static void
stored_json_survives_byte_for_byte(void)
{
	struct account_connection row = plain_connection("hard");

	row.metadata = row.connection_config = HARD;
	row.tags = "{\"a\":\"\\u0000\"}";
	row.end_user = "{\"id\":\"\\udead\"}";
	CALL(SL_OK, account_connection_upsert(account, &row, on_upsert, NULL));
	CALL(SL_OK,
	     account_connection_find(account, environment, "github", "hard", on_connections, NULL));
	check_int(row_count, ==, 1);
	check_text(connections[0].metadata, HARD);
	check_text(connections[0].connection_config, HARD);
	check_text(connections[0].tags, "{\"a\":\"\\u0000\"}");
	check_text(connections[0].end_user, "{\"id\":\"\\udead\"}");
	check_text(connections[0].provider, "github");
	check_int(connections[0].last_fetched_ms, >, 0);
}

static void
bytes_that_are_no_text_are_invalid(void)
{
	struct account_connection row = plain_connection("bad");

	row.metadata = "{\"a\":\"\xff\"}";
	CALL(SL_INVALID, account_connection_upsert(account, &row, on_upsert, NULL));
}

static void
the_same_connection_again_overrides_and_keeps_its_id(void)
{
	struct account_connection row = plain_connection("twice");
	int64_t id, created;

	row.tags = "{\"a\":\"1\"}";
	CALL(SL_OK, account_connection_upsert(account, &row, on_upsert, NULL));
	check(!overridden_);
	check_int(connections[0].created_ms, ==, connections[0].updated_ms);
	check_text(connections[0].unique_key, "github");
	id = connections[0].id;
	created = connections[0].created_ms;
	row.tags = "{}";
	CALL(SL_OK, account_connection_upsert(account, &row, on_upsert, NULL));
	check(overridden_);
	check_int(connections[0].id, ==, id);
	check_int(connections[0].created_ms, ==, created);
	check_int(connections[0].updated_ms, >, created);
	check_text(connections[0].tags, "{}");
	row.environment_id = other; /* the integration is not of that environment */
	row.connection_id = "elsewhere";
	CALL(SL_NOT_FOUND, account_connection_upsert(account, &row, on_upsert, NULL));
}

static void
a_patch_changes_what_it_names(void)
{
	struct account_connection row = plain_connection("patched");

	row.end_user = "{\"id\":\"u\"}";
	CALL(SL_OK, account_connection_upsert(account, &row, on_upsert, NULL));
	CALL(SL_OK, account_connection_patch(account, connections[0].id, "{\"k\":\"v\"}", NULL,
					     "https://x", on_done, NULL));
	CALL(SL_OK, account_connection_find(account, environment, "github", "patched",
					    on_connections, NULL));
	check_text(connections[0].tags, "{\"k\":\"v\"}");
	check_text(connections[0].end_user, "{\"id\":\"u\"}");
	check_text(connections[0].webhook_url_override, "https://x");
	CALL(SL_NOT_FOUND,
	     account_connection_patch(account, 999999, "{}", NULL, NULL, on_done, NULL));
}

static void
metadata_is_written_for_all_or_none(void)
{
	struct account_connection row = plain_connection("m1");
	int64_t ids[2];
	const char *expected[2] = {"null", NULL}, *stale[2] = {NULL, "stale"};
	const char *first[2] = {HARD, "{\"b\":2}"}, *second[2] = {"{}", "{}"};

	CALL(SL_OK, account_connection_upsert(account, &row, on_upsert, NULL));
	ids[0] = connections[0].id;
	row.connection_id = "m2";
	CALL(SL_OK, account_connection_upsert(account, &row, on_upsert, NULL));
	ids[1] = connections[0].id;
	CALL(SL_OK, account_connection_metadata(account, ids, expected, first, 2, on_done, NULL));
	CALL(SL_CONFLICT,
	     account_connection_metadata(account, ids, stale, second, 2, on_done, NULL));
	CALL(SL_OK,
	     account_connection_find(account, environment, "github", "m1", on_connections, NULL));
	check_text(connections[0].metadata, HARD);
	expected[0] = HARD;
	expected[1] = "{\"b\":2}";
	CALL(SL_OK, account_connection_metadata(account, ids, expected, second, 2, on_done, NULL));
	ids[1] = 999999;
	expected[0] = "{}";
	expected[1] = NULL;
	CALL(SL_CONFLICT,
	     account_connection_metadata(account, ids, expected, second, 2, on_done, NULL));
}

static int
list(struct account_connection_filter filter)
{
	filter.environment_id = environment;
	CALL(SL_OK, account_connection_list(account, &filter, on_connections, NULL));
	return row_count;
}

static void
a_hundred_connections_are_listed_and_filtered(void)
{
	struct account_connection row = plain_connection(NULL);
	const char *keys[2] = {"github", "none"};
	const char *names[2] = {"color", "Size"}, *values[2] = {"red", "7"};
	char id[40], user[200], tags[80];

	rig_sql("DELETE FROM connection");
	for (int i = 0; i < 100; i++) {
		snprintf(id, sizeof(id), "conn-%03d", i);
		snprintf(
		    user, sizeof(user),
		    "{\"id\":\"u%d\",\"email\":\"Mail%d@x.test\",\"display_name\":\"N\\u00e9 %d\","
		    "\"organization\":{\"id\":\"org%d\"}}",
		    i % 10, i, i, i % 2);
		snprintf(tags, sizeof(tags), "{\"color\":\"%s\",\"Size\":\"%d\"}",
			 i % 4 == 0 ? "red" : "blue", i % 8);
		row.connection_id = id;
		row.end_user = user;
		row.tags = tags;
		CALL(SL_OK, account_connection_upsert(account, &row, on_upsert, NULL));
		forget();
	}
	row.connection_id =
	    "unreadable"; /* jsonb holds neither; the others are listed all the same */
	row.end_user = "{\"id\":\"\\u0000\"}";
	row.tags = "{\"color\":\"\\ud800\"}";
	CALL(SL_OK, account_connection_upsert(account, &row, on_upsert, NULL));
	check_int(list((struct account_connection_filter){.limit = 0}), ==, 101);
	check_int(list((struct account_connection_filter){.limit = 10}), ==, 10);
	check_text(connections[0].connection_id, "unreadable");
	check_text(connections[1].connection_id, "conn-099");
	check_int(list((struct account_connection_filter){.limit = 10, .offset = 96}), ==, 5);
	check_text(connections[4].connection_id, "conn-000");
	check_int(list((struct account_connection_filter){.connection_id = "conn-007"}), ==, 1);
	check_int(list((struct account_connection_filter){.search = "ONN-01"}), ==, 10);
	check_int(list((struct account_connection_filter){.search = "mail42@"}), ==, 1);
	check_int(list((struct account_connection_filter){.search = "n\xc3\xa9 5"}), ==, 11);
	check_int(list((struct account_connection_filter){.search = "%"}), ==, 0);
	check_int(list((struct account_connection_filter){.end_user_id = "u3"}), ==, 10);
	check_int(list((struct account_connection_filter){.end_user_id = "u3",
							  .end_user_organization_id = "org0"}),
		  ==, 0);
	check_int(list((struct account_connection_filter){.end_user_organization_id = "org1"}), ==,
		  50);
	check_int(
	    list((struct account_connection_filter){.unique_keys = keys, .unique_key_count = 2}),
	    ==, 101);
	check_int(list((struct account_connection_filter){.unique_keys = keys + 1,
							  .unique_key_count = 1}),
		  ==, 0);
	check_int(list((struct account_connection_filter){
		      .tag_names = names, .tag_values = values, .tag_count = 1}),
		  ==, 25);
	values[1] = "4";
	check_int(list((struct account_connection_filter){
		      .tag_names = names, .tag_values = values, .tag_count = 2}),
		  ==, 12);
	check_int(rig_sql("SELECT count(*) FROM connection"), ==, 101);
}

static void
a_connection_with_many_records_is_deleted_in_pieces(void)
{
	rig_sql(
	    "CREATE FUNCTION few() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
	    " PERFORM require((SELECT count(*) FROM gone) <= 10000, 'SL409', 'too many at once');"
	    " RETURN NULL; END $$");
	rig_sql("CREATE TRIGGER few AFTER DELETE ON record REFERENCING OLD TABLE AS gone"
		" FOR EACH STATEMENT EXECUTE FUNCTION few()");
	rig_sql("INSERT INTO connection (environment_id, integration_id, connection_id, credentials,"
		" seal_row, connection_config, metadata, tags, end_user, webhook_url_override)"
		" SELECT environment_id, integration_id, 'many', '', '', '', '', '', '', ''"
		" FROM connection WHERE connection_id = 'conn-003'");
	rig_sql(
	    "INSERT INTO record (connection_id, model, id, sync_id, seen, last_action, first_seen,"
	    " last_modified, digest, payload) SELECT c.id, 'M' || n % 2, n, 1, 1, 1, now(), now(), '', ''"
	    " FROM connection c, generate_series(1, CASE connection_id WHEN 'many' THEN 20500 ELSE 3 END) n"
	    " WHERE connection_id IN ('many', 'conn-003')");
	CALL(SL_OK,
	     account_connection_delete(account, environment, "github", "many", on_done, NULL));
	rig_sql("DROP TRIGGER few ON record");
	CALL(SL_NOT_FOUND,
	     account_connection_find(account, environment, "github", "many", on_connections, NULL));
	check_int(rig_sql("SELECT count(*) FROM record"), ==, 3);
}

static void
a_connection_is_deleted_by_its_names(void)
{
	struct account_integration row;

	CALL(SL_NOT_FOUND,
	     account_connection_delete(account, other, "github", "conn-001", on_done, NULL));
	CALL(SL_OK,
	     account_connection_delete(account, environment, "github", "conn-001", on_done, NULL));
	CALL(SL_NOT_FOUND, account_connection_find(account, environment, "github", "conn-001",
						   on_connections, NULL));
	CALL(SL_OK,
	     account_integration_find(account, environment, "github", on_integrations, NULL));
	row = integrations[0];
	row.unique_key = "renamed"; /* it has connections */
	CALL(SL_CONFLICT, account_integration_update(account, &row, on_done, NULL));
	row.unique_key = "github";
	row.display_name = "Hub";
	CALL(SL_OK, account_integration_update(account, &row, on_done, NULL));
}

/* ---- functions ------------------------------------------------------------------------------ */

static struct account_deploy_item
item(const char *type, const char *name, const char *version)
{
	return (struct account_deploy_item){
	    .integration_id = integration,
	    .type = type,
	    .name = name,
	    .event = strcmp(type, "on-event") == 0 ? "post-connection-creation" : "",
	    .source = "repo",
	    .definition = "{\"description\":\"\\u0000\"}",
	    .version = version,
	    .code = "function f() { return \"\\u2028\"; }",
	    .ts = "export default 1; // \xe2\x82\xac",
	    .digest = "x"};
}

static void
deploy(struct account_deploy_item *items, int count, const int64_t *ids, int id_count,
       enum sl_code expected)
{
	CALL(expected, account_deploy(account, environment, -1, items, count, ids, id_count,
				      on_deployed, NULL));
}

static void
each_deploy_is_a_new_version_and_the_number_grows(void)
{
	struct account_deploy_item items[3] = {
	    item("action", "a", NULL), item("sync", "s", "1.0.9"), item("on-event", "e", NULL)};
	int64_t old;

	deploy(items, 3, NULL, 0, SL_OK);
	check_int(row_count, ==, 3);
	check_text(deployed[0].version, "1");
	check_text(deployed[1].version, "1.0.9");
	check_text(deployed[2].version, "0.0.1");
	check_text(deployed[2].type, "on-event");
	check_text(deployed[0].unique_key, "github");
	old = deployed[0].version_id;
	items[1].version = NULL;
	items[0].code = "second";
	deploy(items, 3, NULL, 0, SL_OK);
	check_text(deployed[0].version, "2");
	check_text(deployed[1].version, "1.0.10");
	check_text(deployed[2].version, "0.0.2");
	items[0].version = "beta";
	deploy(items, 1, NULL, 0, SL_OK);
	check_text(deployed[0].version, "beta");
	items[0].version = NULL;
	deploy(items, 1, NULL, 0, SL_OK);
	check_text(deployed[0].version, "1");
	CALL(SL_OK, account_function_list(account, environment, NULL, on_functions, NULL));
	check_int(row_count, ==, 3);
	check_int(functions[0].connections, ==, 100);
	check_text(functions[0].code, "");
	CALL(SL_OK, account_function_find(account, environment, "github", "action", "a",
					  on_functions, NULL));
	check_int(functions[0].version_id, ==, deployed[0].version_id);
	check_text(functions[0].definition, "{\"description\":\"\\u0000\"}");
	check_text(functions[0].source, "repo");
	check(functions[0].enabled);
	CALL(SL_OK, account_version_find(account, old, on_functions, NULL));
	check_text(functions[0].version, "1");
	check_text(functions[0].code, "function f() { return \"\\u2028\"; }");
	check_text(functions[0].ts, "export default 1; // \xe2\x82\xac");
	CALL(SL_OK, account_function_find(account, environment, "github", "on-event", "e",
					  on_functions, NULL));
	check_text(functions[0].event, "post-connection-creation");
}

static void
a_deploy_is_all_or_nothing(void)
{
	struct account_deploy_item items[2] = {item("action", "new", NULL),
					       item("action", "b", NULL)};

	items[1].integration_id = 999999;
	deploy(items, 2, NULL, 0, SL_NOT_FOUND);
	CALL(SL_NOT_FOUND, account_function_find(account, environment, "github", "action", "new",
						 on_functions, NULL));
	/* an integration of another environment */
	CALL(SL_NOT_FOUND,
	     account_deploy(account, other, -1, items, 1, NULL, 0, on_deployed, NULL));
}

static void
a_removed_function_is_gone_but_its_versions_stay(void)
{
	struct account_deploy_item again = item("action", "a", NULL);
	int64_t id, version;

	CALL(SL_OK, account_function_find(account, environment, "github", "action", "a",
					  on_functions, NULL));
	id = functions[0].id;
	version = functions[0].version_id;
	CALL(SL_OK, account_deploy(account, other, -1, NULL, 0, &id, 1, on_deployed, NULL));
	CALL(SL_OK,
	     account_function_find(account, environment, "github", "action", "a", on_functions,
				   NULL)); /* another environment cannot remove it */
	deploy(NULL, 0, &id, 1, SL_OK);
	check_int(row_count, ==, 0);
	CALL(SL_NOT_FOUND, account_function_find(account, environment, "github", "action", "a",
						 on_functions, NULL));
	CALL(SL_OK, account_version_find(account, version, on_functions, NULL));
	check(!functions[0].enabled);
	deploy(&again, 1, NULL, 0, SL_OK);
	check_text(deployed[0].version, "1");
	CALL(SL_OK, account_function_list(account, environment, "github", on_functions, NULL));
	check_int(row_count, ==, 3);
	CALL(SL_OK, account_function_list(account, environment, "none", on_functions, NULL));
	check_int(row_count, ==, 0);
}

static void
two_deploys_of_an_environment_at_once_conflict(void)
{
	struct pg_settings settings = {rig_conninfo, "sluiced account two", false, 0, false};
	struct account *second = account_new(rig_loop, &settings, NULL, NULL);
	struct account_deploy_item one = item("action", "a", NULL);
	char text[200];

	rig_until(account_is_up(second));
	snprintf(text, sizeof(text), "BEGIN; SELECT pg_advisory_xact_lock(1397511492, %d)",
		 (int)environment);
	rig_sql(text); /* a deploy that takes its time */
	deploy(&one, 1, NULL, 0, SL_CONFLICT);
	CALL(SL_OK, account_deploy(second, other, -1, NULL, 0, NULL, 0, on_deployed, NULL));
	rig_sql("COMMIT");
	deploy(&one, 1, NULL, 0, SL_OK);
	account_free(second);
}

static void
a_deploy_that_came_in_between_conflicts_and_writes_nothing(void)
{
	struct account_deploy_item one = item("action", "between", NULL);
	int64_t seen;

	deploy(&one, 1, NULL, 0, SL_OK);
	seen = deployed[0].version_id;
	CALL(SL_CONFLICT,
	     account_deploy(account, environment, seen - 1, &one, 1, NULL, 0, on_deployed, NULL));
	CALL(SL_OK, account_function_find(account, environment, "github", "action", "between",
					  on_functions, NULL));
	check_int(functions[0].version_id, ==, seen);
	CALL(SL_OK,
	     account_deploy(account, environment, seen, &one, 1, NULL, 0, on_deployed, NULL));
	check_int(deployed[0].version_id, >, seen);
}

/* ---- concurrency ---------------------------------------------------------------------------- */

static int64_t
function_id(const char *name)
{
	CALL(SL_OK, account_function_find(account, environment, "github", "action", name,
					  on_functions, NULL));
	return functions[0].id;
}

static void
make_key(int64_t of, const char *name)
{
	char text[200];

	snprintf(text, sizeof(text),
		 "INSERT INTO concurrency_key (environment_id, name) VALUES (%lld, '%s')",
		 (long long)of, name);
	rig_sql(text);
}

static long long
slots(int64_t of, const char *name)
{
	char text[200];

	snprintf(text, sizeof(text),
		 "SELECT slots FROM concurrency_key WHERE environment_id = %lld AND name = '%s'",
		 (long long)of, name);
	return rig_sql(text);
}

static char own[40], own_by_connection[60], inherited[40];

static void
an_environments_limit_changes_the_keys_it_governs(void)
{
	struct account_deploy_item items[2] = {item("action", "own", NULL),
					       item("action", "inherits", NULL)};
	int64_t f;

	deploy(items, 2, NULL, 0, SL_OK);
	f = function_id("own");
	snprintf(own, sizeof(own), "actions:function:%lld", (long long)f);
	snprintf(own_by_connection, sizeof(own_by_connection), "%s:connection:5", own);
	snprintf(inherited, sizeof(inherited), "actions:function:%lld",
		 (long long)function_id("inherits"));
	make_key(environment, own);
	make_key(environment, own_by_connection);
	make_key(environment, inherited);
	make_key(environment, "actions:connection:5");
	make_key(environment, "events:5");
	CALL(SL_OK, account_function_concurrency(account, environment, f,
						 ACCOUNT_CONCURRENCY_FUNCTION, 3, on_done, NULL));
	check_int(id_, ==, f);
	check_int(slots(environment, own), ==, 3);
	CALL(SL_OK, account_environment_concurrency(
			account, environment, ACCOUNT_CONCURRENCY_CONNECTION, 20, on_done, NULL));
	check_int(id_, ==, environment);
	check_int(slots(environment, "actions"), ==, 20);
	check_int(slots(environment, "actions:connection:5"), ==, 20);
	check_int(slots(environment, inherited), ==, 20);
	check_int(slots(environment, own), ==, 3);
	check_int(slots(environment, own_by_connection), ==, 1);
	check_int(slots(environment, "events:5"), ==, 1);
	check_int(slots(other, "actions"), ==, 1);
	CALL(SL_OK, account_environment_by_id(account, environment, on_environments, NULL));
	check_int(environments[0].concurrency_by, ==, ACCOUNT_CONCURRENCY_CONNECTION);
	check_int(environments[0].concurrency_limit, ==, 20);
	CALL(SL_OK, account_environment_by_id(account, other, on_environments, NULL));
	check_int(environments[0].concurrency_by, ==, ACCOUNT_CONCURRENCY_ENVIRONMENT);
	check_int(environments[0].concurrency_limit, ==, 1);
}

static void
a_functions_own_setting_governs_its_keys_until_it_is_dropped(void)
{
	int64_t f = function_id("own");

	check_int(functions[0].concurrency_by, ==, ACCOUNT_CONCURRENCY_FUNCTION);
	check_int(functions[0].concurrency_limit, ==, 3);
	CALL(SL_OK, account_function_concurrency(account, environment, f,
						 ACCOUNT_CONCURRENCY_CONNECTION, 4, on_done, NULL));
	check_int(slots(environment, own_by_connection), ==, 4);
	check_int(slots(environment, own), ==, 20); /* the environment's, by function */
	CALL(SL_OK, account_version_find(account, functions[0].version_id, on_functions, NULL));
	check_int(functions[0].concurrency_by, ==, ACCOUNT_CONCURRENCY_CONNECTION);
	check_int(functions[0].concurrency_limit, ==, 4);
	CALL(SL_OK,
	     account_function_concurrency(account, environment, f, ACCOUNT_CONCURRENCY_ENVIRONMENT,
					  9, on_done, NULL));
	check_int(slots(environment, "actions"), ==, 20);
	function_id("own");
	check_int(functions[0].concurrency_by, ==, ACCOUNT_CONCURRENCY_ENVIRONMENT);
	check_int(functions[0].concurrency_limit, ==, 20); /* what holds, not what was given */
	CALL(SL_OK, account_function_concurrency(account, environment, f,
						 ACCOUNT_CONCURRENCY_INHERIT, 0, on_done, NULL));
	CALL(SL_OK, account_function_list(account, environment, "github", on_functions, NULL));
	for (int i = 0; i < row_count; i++) {
		check_int(functions[i].concurrency_by, ==, ACCOUNT_CONCURRENCY_INHERIT);
		check_int(functions[i].concurrency_limit, ==, 0);
	}
	CALL(SL_OK, account_environment_concurrency(
			account, environment, ACCOUNT_CONCURRENCY_ENVIRONMENT, 2, on_done, NULL));
	check_int(slots(environment, own), ==, 2);
	check_int(slots(environment, own_by_connection), ==, 4); /* nobody's any more */
}

static void
concurrency_that_is_none_is_refused_and_changes_nothing(void)
{
	static const struct {
		int by, limit;
	} bad[] = {{ACCOUNT_CONCURRENCY_CONNECTION, 0},
		   {ACCOUNT_CONCURRENCY_CONNECTION, -1},
		   {ACCOUNT_CONCURRENCY_CONNECTION, ACCOUNT_CONCURRENCY_MAX + 1},
		   {ACCOUNT_CONCURRENCY_FUNCTION + 1, 1},
		   {-1, 1}};
	int64_t f = function_id("own");

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		enum account_concurrency by = (enum account_concurrency)bad[i].by;

		CALL(SL_INVALID, account_environment_concurrency(account, environment, by,
								 bad[i].limit, on_done, NULL));
		CALL(SL_INVALID, account_function_concurrency(account, environment, f, by,
							      bad[i].limit, on_done, NULL));
	}
	CALL(SL_INVALID, account_environment_concurrency(
			     account, environment, ACCOUNT_CONCURRENCY_INHERIT, 1, on_done, NULL));
	check_int(slots(environment, "actions"), ==, 2);
	CALL(SL_NOT_FOUND, account_environment_concurrency(
			       account, 999999, ACCOUNT_CONCURRENCY_CONNECTION, 5, on_done, NULL));
	CALL(SL_NOT_FOUND, account_function_concurrency(
			       account, other, f, ACCOUNT_CONCURRENCY_FUNCTION, 5, on_done, NULL));
	CALL(SL_NOT_FOUND,
	     account_function_concurrency(account, environment, 999999,
					  ACCOUNT_CONCURRENCY_FUNCTION, 5, on_done, NULL));
	function_id("own");
	check_int(functions[0].concurrency_by, ==, ACCOUNT_CONCURRENCY_INHERIT);
	check_int(account_concurrency_parse("environments"), ==, ACCOUNT_CONCURRENCY_INHERIT);
	check_int(account_concurrency_parse(""), ==, ACCOUNT_CONCURRENCY_INHERIT);
	check(account_concurrency_name(ACCOUNT_CONCURRENCY_INHERIT) == NULL);
	for (int by = ACCOUNT_CONCURRENCY_ENVIRONMENT; by <= ACCOUNT_CONCURRENCY_FUNCTION; by++)
		check_int(account_concurrency_parse(
			      account_concurrency_name((enum account_concurrency)by)),
			  ==, by);
}

static int limits_told;

static void
on_limits(void *arg, const char *channel, const char *payload)
{
	(void)arg;
	check_text(channel, ACCOUNT_LIMITS);
	if (payload != NULL && strtoll(payload, NULL, 10) == environment)
		limits_told++;
}

static void
a_change_of_concurrency_tells_catalogs_and_limits(void)
{
	int64_t f = function_id("own");

	notified = limits_told = 0;
	CALL(SL_OK, account_environment_concurrency(
			account, environment, ACCOUNT_CONCURRENCY_ENVIRONMENT, 1, on_done, NULL));
	rig_until(notified == 1 && limits_told == 1);
	check_int(notified_environment, ==, (int)environment);
	CALL(SL_OK, account_function_concurrency(account, environment, f,
						 ACCOUNT_CONCURRENCY_FUNCTION, 500, on_done, NULL));
	rig_until(notified == 2 && limits_told == 2);
	CALL(SL_NOT_FOUND, account_function_concurrency(
			       account, other, f, ACCOUNT_CONCURRENCY_FUNCTION, 5, on_done, NULL));
	CALL(SL_OK, account_environment_list(account, on_environments, NULL));
	check_int(notified, ==, 2);
	check_int(limits_told, ==, 2);
}

static void
an_integration_takes_its_functions_and_connections_along(void)
{
	CALL(SL_OK, account_integration_delete(account, environment, "github", on_done, NULL));
	check_int(
	    rig_sql("SELECT (SELECT count(*) FROM connection) + (SELECT count(*) FROM function)"
		    " + (SELECT count(*) FROM function_version)"),
	    ==, 0);
}

/* ---- the connection ------------------------------------------------------------------------- */

static void
each_change_tells_the_catalogs_its_environment(void)
{
	rig_until(listening > 0);
	rig_turns(50);
	notified = 0;
	new_integration(other, "told", SL_OK);
	rig_until(notified == 1);
	check_int(notified_environment, ==, other);
	CALL(SL_OK, account_variable_put(account, environment, "T", "s1:t", on_done, NULL));
	rig_until(notified == 2);
	check_int(notified_environment, ==, environment);
	CALL(SL_CONFLICT,
	     account_environment_settings(account, environment, "stale", "{}", on_done, NULL));
	rig_turns(50);
	check_int(notified, ==, 2);
}

static void
a_lost_connection_listens_again_and_says_that_it_missed_something(void)
{
	int before = listening;

	rig_cut("sluiced account");
	rig_until(!account_is_up(account));
	CALL(SL_OK, account_environment_list(account, on_environments, NULL)); /* waits for it */
	rig_until(listening == before + 1);
	notified = 0;
	new_integration(other, "told-again", SL_OK);
	rig_until(notified == 1);
}

static void
freeing_answers_what_is_open(void)
{
	struct pg_settings settings = {rig_conninfo, "sluiced brief", false, 0, false};
	struct account *brief = account_new(rig_loop, &settings, NULL, NULL);

	calls = 0;
	account_environment_list(brief, on_environments, NULL);
	account_free(brief);
	check_int(calls, ==, 1);
	check_int(code_, ==, SL_UNAVAILABLE);
	rig_turns(10);
}

static void
why_a_connection_is_down_is_told_without_the_password(void)
{
	static const char *const bad[] = {
	    "postgresql://me:hunter2secret@[broken/db", "host=/nonexistent password=hunter2secret",
	    "password=hunter2 hunter2secret", "host=hunter2secret.invalid password=hunter2secret"};
	struct account *down;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct pg_settings settings = {bad[i], "down", false, 300, false};

		down = account_new(rig_loop, &settings, NULL, NULL);
		rig_turns(200);
		check(!account_is_up(down));
		check(strlen(pg_last_error(account_pg(down))) > 0);
		check(strstr(pg_last_error(account_pg(down)), "hunter2") == NULL);
		account_free(down);
	}
	check_text(pg_last_error(account_pg(account)), "");
}

int
main(void)
{
	struct pg_settings settings = {NULL, "sluiced account", false, 0, false};

	rig_start();
	rig_migrate();
	settings.conninfo = rig_conninfo;
	account = account_new(rig_loop, &settings, NULL, NULL);
	pg_listen(account_pg(account), ACCOUNT_CHANNEL, on_notify, NULL);
	pg_listen(account_pg(account), ACCOUNT_LIMITS, on_limits, NULL);
	CHECK_RUN(an_environment_comes_with_its_key_and_its_concurrency_key);
	CHECK_RUN(keys_have_a_name_of_their_own_in_an_environment);
	CHECK_RUN(settings_are_replaced_only_if_they_are_as_expected);
	CHECK_RUN(production_environments_are_not_deleted);
	CHECK_RUN(variables_are_put_listed_and_deleted);
	CHECK_RUN(integrations_are_created_found_and_changed);
	CHECK_RUN(stored_json_survives_byte_for_byte);
	CHECK_RUN(bytes_that_are_no_text_are_invalid);
	CHECK_RUN(the_same_connection_again_overrides_and_keeps_its_id);
	CHECK_RUN(a_patch_changes_what_it_names);
	CHECK_RUN(metadata_is_written_for_all_or_none);
	CHECK_RUN(a_hundred_connections_are_listed_and_filtered);
	CHECK_RUN(a_connection_with_many_records_is_deleted_in_pieces);
	CHECK_RUN(a_connection_is_deleted_by_its_names);
	CHECK_RUN(each_deploy_is_a_new_version_and_the_number_grows);
	CHECK_RUN(a_deploy_is_all_or_nothing);
	CHECK_RUN(a_removed_function_is_gone_but_its_versions_stay);
	CHECK_RUN(two_deploys_of_an_environment_at_once_conflict);
	CHECK_RUN(a_deploy_that_came_in_between_conflicts_and_writes_nothing);
	CHECK_RUN(an_environments_limit_changes_the_keys_it_governs);
	CHECK_RUN(a_functions_own_setting_governs_its_keys_until_it_is_dropped);
	CHECK_RUN(concurrency_that_is_none_is_refused_and_changes_nothing);
	CHECK_RUN(a_change_of_concurrency_tells_catalogs_and_limits);
	CHECK_RUN(an_integration_takes_its_functions_and_connections_along);
	CHECK_RUN(each_change_tells_the_catalogs_its_environment);
	CHECK_RUN(a_lost_connection_listens_again_and_says_that_it_missed_something);
	CHECK_RUN(freeing_answers_what_is_open);
	CHECK_RUN(why_a_connection_is_down_is_told_without_the_password);
	forget();
	account_free(account);
	rig_stop();
	return check_done();
}
