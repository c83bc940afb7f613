/* base/map.h - a hash map from bytes to a pointer, seeded at random against chosen keys. */
#ifndef SLUICE_BASE_MAP_H
#define SLUICE_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map; /* opaque; keys are copied, values are the caller's */

struct map *map_new(void);
/* free_fn (may be NULL) is called for each value. */
void map_free(struct map *map, void (*free_fn)(void *value));
size_t map_count(const struct map *map);
void *map_get(const struct map *map, const void *key, size_t key_len); /* NULL: absent */
/* Returns the value that stood there, or NULL.  value is not NULL (asserted). */
void *map_put(struct map *map, const void *key, size_t key_len, void *value);
void *map_remove(struct map *map, const void *key, size_t key_len);
void *map_get_text(const struct map *map, const char *key);
void *map_put_text(struct map *map, const char *key, void *value);
void *map_remove_text(struct map *map, const char *key);
void *map_get_int(const struct map *map, int64_t key);
void *map_put_int(struct map *map, int64_t key, void *value);
void *map_remove_int(struct map *map, int64_t key);
/* Walks in no order; at starts at 0.  False at the end.  The current entry may be removed
 * meanwhile, nothing may be added. */
bool map_each(const struct map *map, size_t *at, void **value);

#endif
