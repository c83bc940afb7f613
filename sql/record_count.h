/* sql/record_count.h - how many records connections have, by model. */
#ifndef SLUICE_SQL_RECORD_COUNT_H
#define SLUICE_SQL_RECORD_COUNT_H

#include "sql/sync.h"

struct record_count {
	int64_t connection_id; /* row id */
	const char *model;     /* "Model" or "Model::variant" */
	int64_t count;         /* without deleted ones */
};
typedef void record_count_cb(void *arg, enum sl_code code, const struct record_count *rows,
			     int count, const struct sl_error *error);
/* connections: row ids, copied.  By connection, in no order of connections; models without records are
 * left out. */
void record_count(struct sync_store *store, const int64_t *connections, int count,
		  record_count_cb *cb, void *arg);

#endif
