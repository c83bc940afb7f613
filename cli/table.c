#include "cli/table.h"

#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

enum { COLUMNS_MAX = 16, CELL_MAX = 8192, GAP = 2 };

struct cell {
	char *text; /* owned, safe */
	enum print_style style;
	int width;
};

struct table {
	char *titles[COLUMNS_MAX]; /* owned */
	bool number[COLUMNS_MAX];
	int columns;
	struct cell *cells; /* owned; row by row */
	int count, room;
};

struct table *
table_new(const char *titles)
{
	struct table *table = sl_alloc(sizeof(*table));

	for (const char *at = titles; *at != '\0';) {
		size_t len = strcspn(at, " ");

		assert(table->columns < COLUMNS_MAX);
		table->number[table->columns] = *at == '>';
		table->titles[table->columns++] = sl_strndup(at + (*at == '>'), len - (*at == '>'));
		at += len + strspn(at + len, " ");
	}
	return table;
}

void
table_free(struct table *table)
{
	for (int i = 0; i < table->columns; i++)
		free(table->titles[i]);
	for (int i = 0; i < table->count; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
}

static void
add(struct table *table, enum print_style style, struct slice text)
{
	struct buf safe;
	struct cell *cell;

	if (table->count == table->room) {
		table->room = table->room > 0 ? 2 * table->room : 64;
		table->cells =
		    sl_realloc(table->cells, (size_t)table->room * sizeof(*table->cells));
	}
	if (text.len > CELL_MAX)
		text.len = CELL_MAX;
	buf_init(&safe, 8 * CELL_MAX);
	print_safe(&safe, text.len > 0 ? text : SLICE_LITERAL("-"));
	cell = &table->cells[table->count++];
	*cell = (struct cell){.style = style, .width = print_width(buf_slice(&safe))};
	cell->text = buf_take(&safe, NULL);
}

void
table_text(struct table *table, const char *text)
{
	add(table, STYLE_PLAIN, slice_text(text));
}

void
table_styled(struct table *table, enum print_style style, const char *text)
{
	add(table, style, slice_text(text));
}

void
table_printf(struct table *table, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	table_text(table, text);
}

void
table_json(struct table *table, struct json_value value)
{
	size_t len = 0;
	char *text = json_text(value, &len);

	switch (value.type) {
	case JSON_NONE:
	case JSON_NULL_:
		table_text(table, NULL);
		break;
	case JSON_BOOL:
		table_text(table, json_is_yes(value) ? "yes" : "no");
		break;
	case JSON_TEXT:
		add(table, STYLE_PLAIN, (struct slice){text != NULL ? text : "", len});
		break;
	case JSON_NUMBER:
	case JSON_ARRAY_:
	case JSON_OBJECT_:
		add(table, STYLE_PLAIN, value.raw);
		break;
	}
	free(text);
}

void
table_span(struct table *table, struct json_value ms)
{
	char text[PRINT_SPAN] = "";
	int64_t number;

	if (json_int(ms, &number))
		print_span(number, text);
	table_text(table, text);
}

void
table_since(struct table *table, struct json_value time, int64_t now_ms)
{
	char text[PRINT_SPAN];
	int64_t at_ms;

	if (!print_time(time, &at_ms)) {
		table_json(table, time);
		return;
	}
	print_span(at_ms > now_ms ? at_ms - now_ms : now_ms - at_ms, text);
	table_printf(table, "%s%s", at_ms > now_ms ? "in " : "", text);
}

int
table_rows(const struct table *table)
{
	return table->count / table->columns;
}

static void
print_cell(const struct table *table, int column, const struct cell *cell, int width, FILE *to)
{
	int pad = width - cell->width;

	if (column > 0)
		fprintf(to, "%*s", GAP, "");
	if (table->number[column] && pad > 0)
		fprintf(to, "%*s", pad, "");
	fputs(print_style_on(to, cell->style), to);
	fputs(cell->text, to);
	fputs(print_style_off(to, cell->style), to);
	if (column == table->columns - 1)
		fputc('\n', to);
	else if (!table->number[column] && pad > 0)
		fprintf(to, "%*s", pad, "");
}

void
table_print(const struct table *table, FILE *to)
{
	int width[COLUMNS_MAX];

	assert(table->count % table->columns == 0);
	for (int i = 0; i < table->columns; i++)
		width[i] = (int)strlen(table->titles[i]);
	for (int i = 0; i < table->count; i++)
		if (table->cells[i].width > width[i % table->columns])
			width[i % table->columns] = table->cells[i].width;
	for (int i = 0; i < table->columns; i++) {
		const struct cell title = {table->titles[i], STYLE_BOLD,
					   (int)strlen(table->titles[i])};

		print_cell(table, i, &title, width[i], to);
	}
	for (int i = 0; i < table->count; i++)
		print_cell(table, i % table->columns, &table->cells[i], width[i % table->columns],
			   to);
}
