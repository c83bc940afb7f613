#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define FIRST_SIZE 64 /* bytes of room a buffer starts with */

void
buf_init(struct buf *buf, size_t cap)
{
	*buf = (struct buf){.cap = cap};
}

void
buf_fini(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){.cap = buf->cap};
}

void
buf_clear(struct buf *buf)
{
	buf->len = 0;
	buf->over = false;
	if (buf->data != NULL)
		buf->data[0] = '\0';
}

/* Once over, everything later is refused too: what is held stays a prefix of what was meant. */
bool
buf_reserve(struct buf *buf, size_t more)
{
	size_t need, size;

	assert(buf->len <= buf->size || buf->data == NULL);
	if (buf->over || buf->len > buf->cap || more > buf->cap - buf->len) {
		buf->over = true;
		return false;
	}
	need = buf->len + more;
	if (buf->data != NULL && need <= buf->size)
		return true;
	size = buf->size < FIRST_SIZE ? FIRST_SIZE : buf->size;
	while (size < need)
		size = size > SIZE_MAX / 2 ? need : size * 2;
	if (size > buf->cap)
		size = buf->cap;
	assert(size >= need && size < SIZE_MAX);
	buf->data = sl_realloc(buf->data, size + 1);
	buf->size = size;
	buf->data[buf->len] = '\0';
	return true;
}

bool
buf_add(struct buf *buf, const void *bytes, size_t len)
{
	if (!buf_reserve(buf, len))
		return false;
	if (len > 0)
		memcpy(buf->data + buf->len, bytes, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
	return true;
}

bool
buf_add_text(struct buf *buf, const char *text)
{
	return buf_add(buf, text, strlen(text));
}

bool
buf_add_slice(struct buf *buf, struct slice slice)
{
	return buf_add(buf, slice.data, slice.len);
}

bool
buf_add_char(struct buf *buf, char c)
{
	return buf_add(buf, &c, 1);
}

bool
buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args, again;
	int len;
	bool added = false;

	va_start(args, format);
	va_copy(again, args);
	len = vsnprintf(NULL, 0, format, args);
	if (len < 0) {
		buf->over = true; /* over 2 GiB or a bad format: nothing that can be held */
	} else if (buf_reserve(buf, (size_t)len)) {
		vsnprintf(buf->data + buf->len, (size_t)len + 1, format, again);
		buf->len += (size_t)len;
		added = true;
	}
	va_end(again);
	va_end(args);
	return added;
}

void
buf_consume(struct buf *buf, size_t len)
{
	assert(len <= buf->len);
	if (len == 0)
		return;
	memmove(buf->data, buf->data + len, buf->len - len);
	buf->len -= len;
	buf->data[buf->len] = '\0';
}

char *
buf_take(struct buf *buf, size_t *len)
{
	char *data = buf->data != NULL ? buf->data : sl_strdup("");

	if (len != NULL)
		*len = buf->len;
	*buf = (struct buf){.cap = buf->cap};
	return data;
}

struct slice
buf_slice(const struct buf *buf)
{
	return (struct slice){buf->data != NULL ? buf->data : "", buf->len};
}

struct slice
slice_text(const char *text)
{
	return text != NULL ? (struct slice){text, strlen(text)} : SLICE_LITERAL("");
}

bool
slice_equal(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

bool
slice_is(struct slice a, const char *text)
{
	return slice_equal(a, slice_text(text));
}

int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}
