#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *
or_abort(void *pointer)
{
	static const char text[] = "out of memory\n";

	if (pointer == NULL) {
		ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);

		(void)written; /* the abort below tells as much */
		abort();
	}
	return pointer;
}

void *
sl_alloc(size_t size)
{
	return or_abort(calloc(1, size > 0 ? size : 1));
}

void *
sl_calloc(size_t count, size_t size)
{
	if (count == 0 || size == 0)
		return sl_alloc(1);
	return or_abort(calloc(count, size)); /* NULL also when the product overflows */
}

void *
sl_realloc(void *pointer, size_t size)
{
	return or_abort(realloc(pointer, size > 0 ? size : 1));
}

char *
sl_strdup(const char *text)
{
	return or_abort(strdup(text));
}

char *
sl_strndup(const char *text, size_t len)
{
	return or_abort(strndup(text, len));
}

void *
sl_memdup(const void *bytes, size_t len)
{
	char *copy = sl_realloc(NULL, len + 1);

	if (len > 0)
		memcpy(copy, bytes, len);
	copy[len] = '\0';
	return copy;
}

char *
sl_asprintf(const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	return or_abort(len < 0 ? NULL : text);
}
