/* Names of keys and the embedded scripts: what queue/ sends as text. */
#include <stdlib.h>

#include "queue/keys.h"
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
	check_text(keys.names[KEY_LIMITS], "sluice:{s07}:limits");
	check_text(keys.names[KEY_SLOTS], "sluice:{s07}:slots");
	check_text(keys.names[KEY_DEPTHS], "sluice:{s07}:depths");
	check_text(keys.names[KEY_CALLS], "sluice:{s07}:calls");
	check_text(keys.names[KEY_CALL_BYTES], "sluice:{s07}:call_bytes");
	check_text(keys.names[KEY_GATES], "sluice:{s07}:gates");
	keys_init(&keys, KEYS_SHARD_MAX);
	check_text(keys.names[KEY_WORKERS], "sluice:{s9999}:workers");
}

static void
lists_are_named_by_lane_and_key(void)
{
	struct keys keys;
	char name[KEYS_LIST_SIZE];

	keys_init(&keys, 0);
	keys_list(&keys, 'q', 42, name);
	check_text(name, "sluice:{s00}:q:42");
	keys_list(&keys, 'f', INT64_MAX, name);
	check_text(name, "sluice:{s00}:f:9223372036854775807");
	keys_init(&keys, KEYS_SHARD_MAX);
	keys_list(&keys, 'f', INT64_MIN, name);
	check_text(name, "sluice:{s9999}:f:-9223372036854775808");
}

static void
windows_outlive_a_rebuild(void)
{
	static const char *const others[] = {"sluice:{s07}:q:1", "sluice:{s07}:gat",
					     "sluice:{s08}:gate:c1", "sluice:{s07}:gates1"};
	struct keys keys;
	char name[KEYS_GATE_SIZE];

	keys_init(&keys, 7);
	keys_gate(&keys, "c9223372036854775807", true, name);
	check_text(name, "sluice:{s07}:gate:c9223372036854775807:out");
	check(keys_outlives(&keys, slice_text(name)));
	check(keys_outlives(&keys, slice_text("sluice:{s07}:gates")));
	check(keys_outlives(&keys, slice_text("sluice:{s07}:reply:n")));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		check(!keys_outlives(&keys, slice_text(others[i])));
}

static void
slots_are_named_by_key_and_number(void)
{
	static const char *const bad[] = {"",
					  "x",
					  "1.",
					  ".1",
					  "1.0",
					  "1.x",
					  "01",
					  "1.01",
					  "-1",
					  "1.-1",
					  "1.500",
					  "1.2.3",
					  "1 ",
					  "+1",
					  "1\n",
					  "9223372036854775808",
					  "1.4294967297"};
	char name[KEYS_SLOT_SIZE];
	int64_t key_id;
	int slot;

	keys_slot(42, 0, name);
	check_text(name, "42");
	keys_slot(INT64_MAX, KEYS_SLOTS_MAX - 1, name);
	check_text(name, "9223372036854775807.499");
	check(keys_slot_parse(slice_text(name), &key_id, &slot));
	check(key_id == INT64_MAX && slot == 499);
	check(keys_slot_parse(slice_text("0"), &key_id, &slot));
	check(key_id == 0 && slot == 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check(!keys_slot_parse(slice_text(bad[i]), &key_id, &slot));
	check(!keys_slot_parse((struct slice){"1\0", 2}, &key_id, &slot));
}

static void
answers_to_calls_outlive_a_rebuild_and_nothing_else_does(void)
{
	struct keys keys;
	char name[KEYS_REPLY_SIZE];

	keys_init(&keys, 3);
	keys_reply(&keys, false, "12.ab_c", name);
	check_text(name, "sluice:{s03}:reply:12.ab_c");
	check(keys_outlives(&keys, slice_text(name)));
	keys_reply(&keys, true, "12.ab_c", name);
	check_text(name, "sluice:{s03}:bell:12.ab_c");
	check(keys_outlives(&keys, slice_text(name)));
	check(!keys_outlives(&keys, slice_text("sluice:{s03}:calls")));
	check(!keys_outlives(&keys, slice_text("sluice:{s03}:q:1")));
	check(!keys_outlives(&keys, slice_text("sluice:{s04}:reply:12.ab_c")));
	check(!keys_outlives(&keys, slice_text("sluice:{s03}:")));
	check(!keys_outlives(&keys, slice_text("")));
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
	check_text(scripts[SCRIPT_CALL_ANSWER].name, "call_answer");
}

int
main(void)
{
	CHECK_RUN(every_noun_carries_the_shard);
	CHECK_RUN(lists_are_named_by_lane_and_key);
	CHECK_RUN(windows_outlive_a_rebuild);
	CHECK_RUN(slots_are_named_by_key_and_number);
	CHECK_RUN(answers_to_calls_outlive_a_rebuild_and_nothing_else_does);
	CHECK_RUN(locks_are_named_by_environment_and_digest);
	CHECK_RUN(pattern_is_of_one_shard);
	CHECK_RUN(each_script_is_embedded_whole);
	return check_done();
}
