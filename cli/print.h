/* cli/print.h - text for a terminal: nothing that came from outside can steer it.
 *
 * Names and outputs are customers' bytes.  Control bytes, invalid UTF-8 and characters that turn or
 * hide text are written as escapes, so that a name cannot clear the screen or fake a line. */
#ifndef SLUICE_CLI_PRINT_H
#define SLUICE_CLI_PRINT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/json.h"

enum print_style { STYLE_PLAIN, STYLE_GOOD, STYLE_WARN, STYLE_BAD, STYLE_BOLD };

/* text with \x1b, \u202e and the like for what is not printed as it is; appended. */
void print_safe(struct buf *out, struct slice text);
/* The same to a stream. */
void print_text(FILE *to, struct slice text);
/* Columns of a terminal that safe text takes. */
int print_width(struct slice text);

/* JSON from the server, a line; DEL, C1 and turning characters become \u escapes, which is the same
 * document. */
void print_json(FILE *to, struct slice json);

enum { PRINT_SPAN = 24 };
void print_span(int64_t ms, char out[PRINT_SPAN]); /* "850ms", "12.3s", "4m05s", "3h12m", "2d03h" */
/* "2026-11-22T05:12:00.123Z" as ms since 1970; false: it is none. */
bool print_time(struct json_value value, int64_t *ms);

/* A line of a list of members, "name         value", with more behind the value; nothing for null and what is not
 * there. */
void print_member(const char *name, struct json_value value, const char *behind);
/* The same of a time, with how long ago it was, or in how long it is. */
void print_member_time(const char *name, struct json_value value, int64_t now_ms);

/* Writes words in a colour, when stdout is a terminal and NO_COLOR is not set. */
void print_styled(FILE *to, enum print_style style, const char *text);
/* The two halves of it, for a table: "" without colours. */
const char *print_style_on(FILE *to, enum print_style style);
const char *print_style_off(FILE *to, enum print_style style);

#endif
