/* sql/value.h - binary values on their way into statements and out of results.  Private to sql/.
 *
 * Everything travels in Postgres's binary format (big-endian, network order), so no text is ever
 * quoted and payload bytes arrive as they left. */
#ifndef SLUICE_SQL_VALUE_H
#define SLUICE_SQL_VALUE_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/secret.h"

/* Type numbers of pg_type.dat; they are part of the wire protocol and never change. */
enum value_type {
	VALUE_BYTEA = 17,
	VALUE_INT8 = 20,
	VALUE_INT2 = 21,
	VALUE_TEXT = 25,
	VALUE_UUID = 2950,
};

/* A one-dimensional array for unnest(). */
struct value_array {
	struct buf data; /* owned until it is bound */
	enum value_type type;
	uint32_t count;
};

void value_array_init(struct value_array *array, enum value_type type);
void value_array_fini(struct value_array *array);
void value_array_int(struct value_array *array, int64_t number);       /* int2 or int8 */
void value_array_uuid(struct value_array *array, const char *uuid);    /* as uuid_parse wrote it */
void value_array_text(struct value_array *array, const char *text);    /* NULL: SQL null */
void value_array_bytes(struct value_array *array, struct slice bytes); /* data NULL: SQL null */
/* Gives the finished array away. */
char *value_array_take(struct value_array *array, size_t *len);

/* Readers of a binary result.  A null reads as 0, false or "". */
int64_t value_int(const PGresult *result, int row, int column); /* int2, int4 or int8 */
bool value_bool(const PGresult *result, int row, int column);
int64_t value_us(const PGresult *result, int row, int column); /* timestamptz: us since 1970 */
const char *value_text(const PGresult *result, int row, int column);   /* borrowed from result */
struct slice value_bytes(const PGresult *result, int row, int column); /* borrowed from result */
void value_uuid(const PGresult *result, int row, int column, char out[UUID_TEXT]);

#endif
