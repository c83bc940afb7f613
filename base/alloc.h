/* base/alloc.h - allocation that cannot fail from the caller's point of view.
 *
 * Running out of memory ends the process (the supervisor restarts it; nothing accepted is lost,
 * because accepted means committed).  Sizes that come from input are capped before they get here.
 */
#ifndef SLUICE_BASE_ALLOC_H
#define SLUICE_BASE_ALLOC_H

#include <stddef.h>

void *sl_alloc(size_t size) __attribute__((malloc, returns_nonnull));        /* zeroed */
void *sl_calloc(size_t count, size_t size) __attribute__((returns_nonnull)); /* zeroed, checked */
void *sl_realloc(void *pointer, size_t size) __attribute__((returns_nonnull));
char *sl_strdup(const char *text) __attribute__((malloc, returns_nonnull));
char *sl_strndup(const char *text, size_t len) __attribute__((malloc, returns_nonnull));
void *sl_memdup(const void *bytes, size_t len) __attribute__((returns_nonnull)); /* adds a NUL */
char *sl_asprintf(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

#endif
