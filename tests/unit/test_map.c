/* tests/unit/test_map.c - base/map. */
#include "base/map.h"

#include <stdio.h>

#include "tests/lib/check.h"

static int freed;

static void
count_free(void *value)
{
	(void)value;
	freed++;
}

static void
finds_what_was_put_and_nothing_else(void)
{
	struct map *map = map_new();
	int a = 1, b = 2;

	check(map_get_text(map, "a") == NULL);
	check(map_put_text(map, "a", &a) == NULL);
	check(map_put_int(map, 7, &b) == NULL);
	check(map_get_text(map, "a") == &a);
	check(map_get_int(map, 7) == &b);
	check(map_get_text(map, "ab") == NULL);
	check(map_put_text(map, "a", &b) == &a);
	check_int(map_count(map), ==, 2);
	check(map_remove_text(map, "a") == &b);
	check(map_remove_text(map, "a") == NULL);
	check_int(map_count(map), ==, 1);
	map_free(map, NULL);
}

static void
keys_are_bytes_also_with_nul(void)
{
	struct map *map = map_new();
	int a, b;

	map_put(map, "x\0y", 3, &a);
	map_put(map, "x\0z", 3, &b);
	check(map_get(map, "x\0y", 3) == &a);
	check(map_get(map, "x\0z", 3) == &b);
	check(map_get_text(map, "x") == NULL);
	map_free(map, NULL);
}

static void
survives_growth_and_churn(void)
{
	enum { MANY = 20000 };
	static int values[MANY];
	struct map *map = map_new();
	size_t at = 0, seen = 0;
	void *value;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++)
			map_put_int(map, i, &values[i]);
		for (int i = 0; i < MANY; i += 2)
			check(map_remove_int(map, i) == &values[i]);
	}
	check_int(map_count(map), ==, MANY / 2);
	for (int i = 0; i < MANY; i++)
		check(map_get_int(map, i) == (i % 2 == 0 ? NULL : &values[i]));
	while (map_each(map, &at, &value)) {
		seen++;
		map_remove_int(map, (int *)value - values);
	}
	check_int(seen, ==, MANY / 2);
	check_int(map_count(map), ==, 0);
	map_free(map, NULL);
}

static void
frees_each_value_once(void)
{
	struct map *map = map_new();
	int a;

	freed = 0;
	map_put_int(map, 1, &a);
	map_put_int(map, 2, &a);
	map_remove_int(map, 1);
	map_free(map, count_free);
	check_int(freed, ==, 1);
}

int
main(void)
{
	CHECK_RUN(finds_what_was_put_and_nothing_else);
	CHECK_RUN(keys_are_bytes_also_with_nul);
	CHECK_RUN(survives_growth_and_churn);
	CHECK_RUN(frees_each_value_once);
	return check_done();
}
