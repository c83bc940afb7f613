/* Names of keys and the URL of Redis: what queue/ builds and reads as text. */
#include <stdlib.h>

#include "queue/keys.h"
#include "queue/redis_url.h"
#include "queue/scripts.h"
#include "tests/lib/check.h"

static void
every_noun_carries_the_shard(void)
{
	struct keys keys;

	keys_init(&keys, 7);
	check_text(keys.prefix, "sluice:{s07}:");
	check_text(keys.names[KEY_EPOCH], "sluice:{s07}:epoch");
	check_text(keys.names[KEY_BUILD], "sluice:{s07}:build");
	check_text(keys.names[KEY_READY], "sluice:{s07}:ready");
	check_text(keys.names[KEY_TURN], "sluice:{s07}:turn");
	check_text(keys.names[KEY_HELD], "sluice:{s07}:held");
	check_text(keys.names[KEY_WAKE], "sluice:{s07}:wake");
	check_text(keys.names[KEY_WORKERS], "sluice:{s07}:workers");
	check_text(keys.names[KEY_FRONTS], "sluice:{s07}:fronts");
	keys_init(&keys, KEYS_SHARD_MAX);
	check_text(keys.names[KEY_WORKERS], "sluice:{s9999}:workers");
}

static void
lists_are_named_by_lane_and_key(void)
{
	struct keys keys;
	char name[KEYS_LIST_SIZE];

	keys_init(&keys, 0);
	keys_list(&keys, false, 42, name);
	check_text(name, "sluice:{s00}:q:42");
	keys_list(&keys, true, INT64_MAX, name);
	check_text(name, "sluice:{s00}:f:9223372036854775807");
	keys_init(&keys, KEYS_SHARD_MAX);
	keys_list(&keys, true, INT64_MIN, name);
	check_text(name, "sluice:{s9999}:f:-9223372036854775808");
}

static void
locks_are_named_by_environment_and_digest(void)
{
	struct keys keys;
	char name[KEYS_LOCK_SIZE];

	keys_init(&keys, 3);
	keys_lock(&keys, 42, SLICE_LITERAL("abc"), name);
	check_text(name, "sluice:{s03}:lock:42:"
			 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	keys_init(&keys, KEYS_SHARD_MAX);
	keys_lock(&keys, INT64_MIN, SLICE_LITERAL(""), name);
	check_int(strlen(name), <, KEYS_LOCK_SIZE);
}

static void
pattern_is_of_one_shard(void)
{
	struct keys keys;
	char pattern[KEYS_NAME_SIZE];

	keys_init(&keys, 1);
	keys_pattern(&keys, pattern);
	check_text(pattern, "sluice:{s01}:*"); /* not {s010} */
}

static enum sl_code
parse(const char *text, struct redis_url *url)
{
	struct sl_error error = {0};
	enum sl_code code = redis_url_parse(text, url, &error);

	if (code != SL_OK && (strstr(error.text, "hunter") != NULL || error.text[0] == '\0'))
		check_fail_at(__FILE__, __LINE__, "the error is empty or repeats the password");
	return code;
}

static void
url_of_a_host(void)
{
	struct redis_url url;

	check_int(parse("redis://example.test", &url), ==, SL_OK);
	check_text(url.host, "example.test");
	check_int(url.port, ==, 6379);
	check_int(url.db, ==, 0);
	check(url.path == NULL && url.user == NULL && url.password == NULL);
	redis_url_fini(&url);
	check_int(parse("redis://10.0.0.1:7000/3", &url), ==, SL_OK);
	check_text(url.host, "10.0.0.1");
	check_int(url.port, ==, 7000);
	check_int(url.db, ==, 3);
	redis_url_fini(&url);
	check_int(parse("REDIS://[::1]:6380/", &url), ==, SL_OK);
	check_text(url.host, "::1");
	check_int(url.port, ==, 6380);
	redis_url_fini(&url);
}

static void
url_with_a_login(void)
{
	struct redis_url url;

	check_int(parse("redis://sluice:hunter%32%40%2F%25@h:1/0", &url), ==, SL_OK);
	check_text(url.user, "sluice");
	check_text(url.password, "hunter2@/%");
	check_text(url.host, "h");
	redis_url_fini(&url);
	check_int(parse("redis://:hunter2@h", &url), ==, SL_OK);
	check(url.user == NULL);
	check_text(url.password, "hunter2");
	redis_url_fini(&url);
	check_int(parse("redis://u:p@ss:w@h", &url), ==, SL_OK); /* the last @ ends the login */
	check_text(url.password, "p@ss:w");
	redis_url_fini(&url);
}

static void
url_of_a_unix_socket(void)
{
	struct redis_url url;

	check_int(parse("unix:///run/redis/redis.sock", &url), ==, SL_OK);
	check_text(url.path, "/run/redis/redis.sock");
	check(url.host == NULL);
	redis_url_fini(&url);
	check_int(parse("unix://:hunter2@/run/r?db=12", &url), ==, SL_OK);
	check_text(url.path, "/run/r");
	check_text(url.password, "hunter2");
	check_int(url.db, ==, 12);
	redis_url_fini(&url);
}

static void
bad_urls_are_refused_without_repeating_them(void)
{
	static const char *const bad[] = {
	    "",
	    "redis",
	    "http://h",
	    "rediss://:hunter2@h",
	    "redis://",
	    "redis://:hunter2@",
	    "redis://hunter2@h",
	    "redis://u:@h",
	    "redis://:hunter%@h",
	    "redis://:hunter%2@h",
	    "redis://:hunter%zz@h",
	    "redis://:hunter%00@h",
	    "redis://h:0",
	    "redis://h:65536",
	    "redis://h:123456789012",
	    "redis://h:",
	    "redis://h:6x",
	    "redis://[::1",
	    "redis://[::1]x",
	    "redis://a b",
	    "redis://:hunter2@h/x",
	    "redis://h/1/2",
	    "redis://h/-1",
	    "redis://h?db=1",
	    "redis://h#1",
	    "unix://",
	    "unix://relative",
	    "unix://rel/path",
	    "unix:///",
	    "unix:///a?x=1",
	    "unix:///a?db=",
	    "unix:///a?db=hunter2",
	    "unix:///123456789012345678901234567890123456789012345678901234567890123456789012345678901"
	    "23456789012345678901234567890",
	};
	struct redis_url url;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		enum sl_code code = parse(bad[i], &url);

		if (code != SL_INVALID) {
			printf("# accepted: %s\n", bad[i]);
			redis_url_fini(&url);
		}
		check_int(code, ==, SL_INVALID);
		check(url.host == NULL && url.path == NULL && url.password == NULL);
	}
}

static void
tls_is_refused_with_a_remedy(void)
{
	struct redis_url url;
	struct sl_error error;

	check_int(redis_url_parse("rediss://h", &url, &error), ==, SL_INVALID);
	check(strstr(error.text, "TLS proxy") != NULL);
}

static void
each_script_is_embedded_whole(void)
{
	for (int i = 0; i < SCRIPT_COUNT; i++) {
		const struct script *script = &scripts[i];
		char start[64];

		snprintf(start, sizeof(start), "-- %s - ", script->name);
		check(script->len > strlen(start));
		check(memcmp(script->text, start, strlen(start)) == 0);
		check(script->text[script->len - 1] == '\n');
		check(memchr(script->text, '\0', script->len) == NULL);
	}
	check_text(scripts[SCRIPT_EXCHANGE].name, "exchange");
	check_text(scripts[SCRIPT_PUBLISH].name, "publish");
}

int
main(void)
{
	CHECK_RUN(every_noun_carries_the_shard);
	CHECK_RUN(lists_are_named_by_lane_and_key);
	CHECK_RUN(locks_are_named_by_environment_and_digest);
	CHECK_RUN(pattern_is_of_one_shard);
	CHECK_RUN(url_of_a_host);
	CHECK_RUN(url_with_a_login);
	CHECK_RUN(url_of_a_unix_socket);
	CHECK_RUN(bad_urls_are_refused_without_repeating_them);
	CHECK_RUN(tls_is_refused_with_a_remedy);
	CHECK_RUN(each_script_is_embedded_whole);
	return check_done();
}
