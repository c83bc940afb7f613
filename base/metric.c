#include "base/metric.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static const char *const type_name[] = {"counter", "gauge", "histogram"};

static bool
is_open(const struct metric *metric)
{
	return metric->label[0] != NULL && metric->value[0] == NULL;
}

static int
count_values(const struct metric *metric, int which)
{
	int count = 0;

	if (metric->label[which] == NULL)
		return 1;
	if (metric->value[which] == NULL)
		return METRIC_OPEN_MAX + 1;
	while (metric->value[which][count] != NULL)
		count++;
	assert(count > 0);
	return count;
}

/* Cells of one histogram: one for each bound, one for what is above, the sum. */
static int
bounds_of(const struct metric *metric)
{
	int count = 0;

	while (metric->bounds[count] > 0)
		count++;
	return count;
}

static int
cells_of(const struct metric *metric)
{
	return metric->count[0] * metric->count[1] * metric->width;
}

static void
prepare(struct metric *metric)
{
	assert(!is_open(metric) || metric->type == METRIC_GAUGE);
	metric->count[0] = count_values(metric, 0);
	metric->count[1] = count_values(metric, 1);
	metric->width = metric->type == METRIC_HISTOGRAM ? bounds_of(metric) + 2 : 1;
	metric->cell = sl_calloc((size_t)cells_of(metric), sizeof(*metric->cell));
	if (metric->type == METRIC_GAUGE)
		for (int i = 0; i < cells_of(metric); i++)
			metric->cell[i] = NAN;
	if (is_open(metric))
		metric->open = sl_calloc(METRIC_OPEN_MAX + 1, sizeof(*metric->open));
}

static double *
cell_at(struct metric *metric, int a, int b)
{
	if (metric->cell == NULL)
		prepare(metric);
	assert(a >= 0 && a < metric->count[0] && b >= 0 && b < metric->count[1]);
	return metric->cell + (a * metric->count[1] + b) * metric->width;
}

/* ---- writing numbers ------------------------------------------------------------------------- */

void
metric_add(struct metric *metric, int a, int b, double more)
{
	assert(metric->type == METRIC_COUNTER && more >= 0);
	*cell_at(metric, a, b) += more;
}

void
metric_set(struct metric *metric, int a, int b, double value)
{
	assert(metric->type == METRIC_GAUGE && !is_open(metric));
	*cell_at(metric, a, b) = value;
}

void
metric_observe(struct metric *metric, int a, int b, double value)
{
	double *cell = cell_at(metric, a, b);
	int at = 0;

	assert(metric->type == METRIC_HISTOGRAM);
	if (!(value > 0)) /* a clock that was set back is no negative wait */
		value = 0;
	while (metric->bounds[at] > 0 && value > metric->bounds[at])
		at++;
	cell[at] += 1;
	cell[metric->width - 1] += value;
}

double
metric_read(struct metric *metric, int a, int b)
{
	assert(metric->type != METRIC_HISTOGRAM && !is_open(metric));
	return *cell_at(metric, a, b);
}

double
metric_seen(struct metric *metric, int a, int b)
{
	const double *cell = cell_at(metric, a, b);
	double seen = 0;

	assert(metric->type == METRIC_HISTOGRAM);
	for (int i = 0; i < metric->width - 1; i++)
		seen += cell[i];
	return seen;
}

/* ---- open labels ----------------------------------------------------------------------------- */

void
metric_open_clear(struct metric *metric)
{
	assert(is_open(metric));
	if (metric->cell == NULL)
		prepare(metric);
	for (int i = 0; i < cells_of(metric); i++)
		metric->cell[i] = NAN;
	metric->open_count = 0;
}

/* The row of text; the last one is that of "other". */
static int
open_row(struct metric *metric, const char *text)
{
	char cut[METRIC_TEXT_MAX];

	snprintf(cut, sizeof(cut), "%s", text);
	for (int i = 0; i < metric->open_count; i++)
		if (strcmp(metric->open[i], cut) == 0)
			return i;
	if (metric->open_count >= METRIC_OPEN_MAX || strcmp(cut, "other") == 0)
		return METRIC_OPEN_MAX;
	memcpy(metric->open[metric->open_count], cut, sizeof(cut));
	return metric->open_count++;
}

void
metric_open_set(struct metric *metric, const char *text, int b, double value)
{
	double *cell;
	int row;

	assert(is_open(metric));
	if (metric->cell == NULL)
		prepare(metric);
	row = open_row(metric, text);
	cell = cell_at(metric, row, b);
	if (row < METRIC_OPEN_MAX || isnan(*cell))
		*cell = value;
	else if (!metric->fold_max)
		*cell += value;
	else if (value > *cell)
		*cell = value;
}

/* ---- the text -------------------------------------------------------------------------------- */

/* Backslash and line feed are escaped in HELP and in label values, quotes in label values only. */
static void
write_escaped(struct buf *out, const char *text, bool label)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			buf_add_text(out, "\\n");
		else if (*text == '\\' || (label && *text == '"'))
			buf_printf(out, "\\%c", *text);
		else
			buf_add_char(out, *text);
	}
}

/* The shortest of two forms that reads back as the same number. */
static void
write_number(struct buf *out, double value)
{
	char text[32];

	if (isinf(value)) {
		buf_add_text(out, value > 0 ? "+Inf" : "-Inf");
		return;
	}
	snprintf(text, sizeof(text), "%.15g", value);
	if (strtod(text, NULL) != value)
		snprintf(text, sizeof(text), "%.17g", value);
	buf_add_text(out, text);
}

static const char *
label_text(const struct metric *metric, int which, int at)
{
	if (which == 1 || !is_open(metric))
		return metric->value[which][at];
	return at < METRIC_OPEN_MAX ? metric->open[at] : "other";
}

/* name_suffix{a="..",b="..",le=".."} value; le 0: none. */
static void
write_sample(const struct metric *metric, struct buf *out, const char *suffix, const int at[2],
	     double le, double value)
{
	const char *mark = "{";

	buf_printf(out, "%s%s", metric->name, suffix);
	for (int i = 0; i < 2; i++) {
		if (metric->label[i] == NULL)
			continue;
		buf_printf(out, "%s%s=\"", mark, metric->label[i]);
		write_escaped(out, label_text(metric, i, at[i]), true);
		buf_add_char(out, '"');
		mark = ",";
	}
	if (le > 0) {
		buf_printf(out, "%sle=\"", mark);
		write_number(out, le);
		buf_add_char(out, '"');
		mark = ",";
	}
	if (*mark == ',')
		buf_add_char(out, '}');
	buf_add_char(out, ' ');
	write_number(out, value);
	buf_add_char(out, '\n');
}

static void
write_histogram(const struct metric *metric, struct buf *out, const int at[2], const double *cell)
{
	double below = 0;

	for (int i = 0; i < metric->width - 1; i++) {
		below += cell[i];
		write_sample(metric, out, "_bucket", at,
			     metric->bounds[i] > 0 ? metric->bounds[i] : INFINITY, below);
	}
	write_sample(metric, out, "_sum", at, 0, cell[metric->width - 1]);
	write_sample(metric, out, "_count", at, 0, below);
}

void
metric_write(struct metric *metric, struct buf *out)
{
	int at[2];

	if (metric->cell == NULL)
		prepare(metric);
	buf_printf(out, "# HELP %s ", metric->name);
	write_escaped(out, metric->help, false);
	buf_printf(out, "\n# TYPE %s %s\n", metric->name, type_name[metric->type]);
	for (at[0] = 0; at[0] < metric->count[0]; at[0]++)
		for (at[1] = 0; at[1] < metric->count[1]; at[1]++) {
			const double *cell = cell_at(metric, at[0], at[1]);

			if (metric->type == METRIC_HISTOGRAM)
				write_histogram(metric, out, at, cell);
			else if (!isnan(*cell))
				write_sample(metric, out, "", at, 0, *cell);
		}
}
