#include "provider/catalog.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "provider/definition.h"

#define NAME_MAX_LEN 64

struct catalog {
	struct definition **entries; /* sorted by name */
	int count, size;
};

/* The name of a definition file without its ending, or NULL when the file is none. */
static char *
definition_name(const char *file)
{
	size_t len = strlen(file);

	if (file[0] == '.' || len <= 5 || strcmp(file + len - 5, ".json") != 0)
		return NULL;
	return sl_strndup(file, len - 5);
}

static bool
is_name(const char *name)
{
	return name[0] != '\0' && strlen(name) <= NAME_MAX_LEN &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_")] == '\0';
}

static enum sl_code
catalog_add(struct catalog *catalog, const char *directory, const char *file,
	    struct sl_error *error)
{
	char *name = definition_name(file);
	struct definition *entry;
	enum sl_code code;

	if (name == NULL)
		return SL_OK;
	if (!is_name(name))
		code =
		    sl_fail(error, SL_INVALID, "%.100s: not a provider's name (a-z 0-9 - _)", file);
	else
		code = definition_read(directory, name, &entry, error);
	free(name);
	if (code != SL_OK)
		return code;
	if (catalog->count == catalog->size) {
		catalog->size = catalog->size == 0 ? 64 : 2 * catalog->size;
		catalog->entries =
		    sl_realloc(catalog->entries, (size_t)catalog->size * sizeof(*catalog->entries));
	}
	catalog->entries[catalog->count++] = entry;
	return SL_OK;
}

static int
compare_entries(const void *a, const void *b)
{
	return strcmp((*(struct definition *const *)a)->name,
		      (*(struct definition *const *)b)->name);
}

enum sl_code
catalog_load(const char *directory, struct catalog **out, struct sl_error *error)
{
	struct catalog *catalog;
	enum sl_code code = SL_OK;
	struct dirent *file;
	DIR *dir = opendir(directory);

	if (dir == NULL)
		return sl_fail(error, SL_INVALID, "catalog %s: %s", directory, strerror(errno));
	catalog = sl_alloc(sizeof(*catalog));
	errno = 0;
	while (code == SL_OK && (file = readdir(dir)) != NULL) {
		code = catalog_add(catalog, directory, file->d_name, error);
		errno = 0;
	}
	if (code == SL_OK && errno != 0)
		code = sl_fail(error, SL_UNAVAILABLE, "catalog %s: %s", directory, strerror(errno));
	closedir(dir);
	if (code == SL_OK && catalog->count == 0)
		code = sl_fail(error, SL_INVALID, "catalog %s holds no definition", directory);
	if (code != SL_OK) {
		catalog_free(catalog);
		return code;
	}
	qsort(catalog->entries, (size_t)catalog->count, sizeof(*catalog->entries), compare_entries);
	*out = catalog;
	return SL_OK;
}

void
catalog_free(struct catalog *catalog)
{
	if (catalog == NULL)
		return;
	for (int i = 0; i < catalog->count; i++)
		definition_free(catalog->entries[i]);
	free(catalog->entries);
	free(catalog);
}

const struct provider *
catalog_find(const struct catalog *catalog, const char *name)
{
	int low = 0, high = catalog->count;

	while (low < high) {
		int middle = low + (high - low) / 2;
		int order = strcmp(name, catalog->entries[middle]->name);

		if (order == 0)
			return &catalog->entries[middle]->provider;
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

int
catalog_count(const struct catalog *catalog)
{
	return catalog->count;
}

const struct provider *
catalog_at(const struct catalog *catalog, int index)
{
	return index >= 0 && index < catalog->count ? &catalog->entries[index]->provider : NULL;
}
