#include "sql/value.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Postgres refuses a parameter of 1 GiB; what comes here was capped far below by its owner. */
#define VALUE_MAX ((size_t)1 << 29)
#define VALUE_ARRAY_HEAD 20

static void
value_put(unsigned char *out, uint64_t number, int width)
{
	for (int i = width - 1; i >= 0; i--) {
		out[i] = (unsigned char)(number & 0xff);
		number >>= 8;
	}
}

static uint64_t
value_get(const char *in, int width)
{
	uint64_t number = 0;

	for (int i = 0; i < width; i++)
		number = number << 8 | (unsigned char)in[i];
	return number;
}

/* Layout: dimensions, "has nulls", element type, length, lower bound; then length and bytes of each
 * element (array_recv() in Postgres). */
void
value_array_init(struct value_array *array, enum value_type type)
{
	static const char zero[VALUE_ARRAY_HEAD];

	buf_init(&array->data, VALUE_MAX);
	buf_add(&array->data, zero, sizeof(zero));
	array->type = type;
	array->count = 0;
}

void
value_array_fini(struct value_array *array)
{
	buf_fini(&array->data);
}

static void
value_array_add(struct value_array *array, const void *bytes, size_t len)
{
	unsigned char head[4];

	value_put(head, bytes == NULL ? UINT32_MAX : len, 4);
	buf_add(&array->data, head, sizeof(head));
	if (bytes != NULL)
		buf_add(&array->data, bytes, len);
	array->count++;
}

void
value_array_int(struct value_array *array, int64_t number)
{
	unsigned char bytes[8];
	int width = array->type == VALUE_INT2 ? 2 : 8;

	assert(array->type == VALUE_INT2 || array->type == VALUE_INT8);
	value_put(bytes, (uint64_t)number, width);
	value_array_add(array, bytes, (size_t)width);
}

static int
value_nibble(char digit)
{
	if (digit >= '0' && digit <= '9')
		return digit - '0';
	assert(digit >= 'a' && digit <= 'f');
	return digit - 'a' + 10;
}

void
value_array_uuid(struct value_array *array, const char *uuid)
{
	unsigned char bytes[16];
	size_t at = 0;

	assert(array->type == VALUE_UUID && strlen(uuid) == UUID_TEXT - 1);
	for (const char *digit = uuid; *digit != '\0'; digit++) {
		if (*digit == '-')
			continue;
		assert(at < sizeof(bytes));
		bytes[at++] = (unsigned char)(value_nibble(digit[0]) << 4 | value_nibble(digit[1]));
		digit++;
	}
	assert(at == sizeof(bytes));
	value_array_add(array, bytes, sizeof(bytes));
}

void
value_array_text(struct value_array *array, const char *text)
{
	assert(array->type == VALUE_TEXT);
	value_array_add(array, text, text == NULL ? 0 : strlen(text));
}

void
value_array_bytes(struct value_array *array, struct slice bytes)
{
	assert(array->type == VALUE_BYTEA || array->type == VALUE_TEXT);
	value_array_add(array, bytes.data, bytes.len);
}

char *
value_array_take(struct value_array *array, size_t *len)
{
	unsigned char *head;

	/* The caps of a batch are thousands of times smaller: over means a bug. */
	assert(!array->data.over);
	head = (unsigned char *)array->data.data;
	value_put(head, 1, 4);
	value_put(head + 8, array->type, 4);
	value_put(head + 12, array->count, 4);
	value_put(head + 16, 1, 4);
	return buf_take(&array->data, len);
}

int64_t
value_int(const PGresult *result, int row, int column)
{
	const char *bytes = PQgetvalue(result, row, column);

	switch (PQgetlength(result, row, column)) {
	case 2:
		return (int16_t)value_get(bytes, 2);
	case 4:
		return (int32_t)value_get(bytes, 4);
	case 8:
		return (int64_t)value_get(bytes, 8);
	}
	assert(PQgetisnull(result, row, column));
	return 0;
}

/* Postgres counts from 2000. */
int64_t
value_us(const PGresult *result, int row, int column)
{
	if (PQgetisnull(result, row, column))
		return 0;
	return value_int(result, row, column) + INT64_C(946684800000000);
}

bool
value_bool(const PGresult *result, int row, int column)
{
	return PQgetlength(result, row, column) == 1 && PQgetvalue(result, row, column)[0] != 0;
}

const char *
value_text(const PGresult *result, int row, int column)
{
	return PQgetvalue(result, row, column); /* libpq ends each value with a NUL */
}

struct slice
value_bytes(const PGresult *result, int row, int column)
{
	return (struct slice){PQgetvalue(result, row, column),
			      (size_t)PQgetlength(result, row, column)};
}

void
value_uuid(const PGresult *result, int row, int column, char out[UUID_TEXT])
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *bytes = (const unsigned char *)PQgetvalue(result, row, column);
	char *at = out;

	assert(PQgetlength(result, row, column) == 16);
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*at++ = '-';
		*at++ = digits[bytes[i] >> 4];
		*at++ = digits[bytes[i] & 15];
	}
	*at = '\0';
}
