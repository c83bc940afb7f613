/* cli/table.h - rows under headings, aligned by what a terminal shows.
 *
 * Cells are escaped here (print.h).  Empty ones are shown as "-".  The last column is not padded. */
#ifndef SLUICE_CLI_TABLE_H
#define SLUICE_CLI_TABLE_H

#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/json.h"
#include "cli/print.h"

struct table; /* opaque */

/* titles: separated by blanks; one that begins with '>' is of a column of numbers: "NAME >DEPTH". */
struct table *table_new(const char *titles);
void table_free(struct table *table);

/* Cells are added from left to right; the row after the last one begins by itself. */
void table_text(struct table *table, const char *text); /* NULL: "-" */
void table_styled(struct table *table, enum print_style style, const char *text);
void table_printf(struct table *table, const char *format, ...) SL_PRINTF(2, 3);
void table_json(struct table *table, struct json_value value); /* text, number, yes/no, or "-" */
void table_span(struct table *table, struct json_value ms);    /* milliseconds, or "-" */
void table_since(struct table *table, struct json_value time,
		 int64_t now_ms); /* how long ago, or in how long: "in 3.0s" */

int table_rows(const struct table *table);
void table_print(const struct table *table, FILE *to);

#endif
