/* tests/unit/test_metric.c - base/metric and the table in base/metrics. */
#include "base/metric.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/metrics.h"
#include "tests/lib/check.h"

static const char *const colours[] = {"red", "blue", NULL};
static const char *const sizes[] = {"small", "large", NULL};
static const double bounds[] = {0.1, 1, 10, 0};

static struct buf
text_of(struct metric *metric)
{
	struct buf out;

	buf_init(&out, 1 << 20);
	metric_write(metric, &out);
	return out;
}

static void
free_metric(struct metric *metric)
{
	free(metric->cell);
	free(metric->open);
}

static void
counters_stand_at_zero_from_the_start(void)
{
	struct metric metric = {.type = METRIC_COUNTER,
				.name = "x_total",
				.help = "Help.",
				.label = {"colour"},
				.value = {colours}};
	struct buf out = text_of(&metric);

	check_text(out.data, "# HELP x_total Help.\n# TYPE x_total counter\n"
			     "x_total{colour=\"red\"} 0\nx_total{colour=\"blue\"} 0\n");
	buf_fini(&out);
	free_metric(&metric);
}

static void
two_labels_are_counted_apart(void)
{
	struct metric metric = {.type = METRIC_COUNTER,
				.name = "x_total",
				.help = "Help.",
				.label = {"colour", "size"},
				.value = {colours, sizes}};
	struct buf out;

	metric_add(&metric, 0, 1, 1);
	metric_add(&metric, 1, 0, 2);
	metric_add(&metric, 0, 1, 0.5);
	out = text_of(&metric);
	check(strstr(out.data, "x_total{colour=\"red\",size=\"small\"} 0\n") != NULL);
	check(strstr(out.data, "x_total{colour=\"red\",size=\"large\"} 1.5\n") != NULL);
	check(strstr(out.data, "x_total{colour=\"blue\",size=\"small\"} 2\n") != NULL);
	check(metric_read(&metric, 0, 1) == 1.5);
	buf_fini(&out);
	free_metric(&metric);
}

static void
a_gauge_is_absent_until_it_is_known(void)
{
	struct metric metric = {.type = METRIC_GAUGE, .name = "x", .help = "Help."};
	struct buf out = text_of(&metric);

	check_text(out.data, "# HELP x Help.\n# TYPE x gauge\n");
	buf_fini(&out);
	metric_set(&metric, 0, 0, 1795359691.25);
	out = text_of(&metric);
	check(strstr(out.data, "\nx 1795359691.25\n") != NULL);
	buf_fini(&out);
	metric_set(&metric, 0, 0, NAN);
	out = text_of(&metric);
	check(strstr(out.data, "\nx ") == NULL);
	buf_fini(&out);
	free_metric(&metric);
}

static void
a_histogram_adds_up_below_each_bound(void)
{
	struct metric metric = {.type = METRIC_HISTOGRAM,
				.name = "x_seconds",
				.help = "Help.",
				.label = {"colour"},
				.value = {colours},
				.bounds = bounds};
	struct buf out;

	metric_observe(&metric, 1, 0, 0.1); /* a bound holds what equals it */
	metric_observe(&metric, 1, 0, 0.5);
	metric_observe(&metric, 1, 0, 500);
	metric_observe(&metric, 1, 0, -3); /* a clock that was set back */
	metric_observe(&metric, 1, 0, NAN);
	out = text_of(&metric);
	check(strstr(out.data, "x_seconds_bucket{colour=\"blue\",le=\"0.1\"} 3\n"
			       "x_seconds_bucket{colour=\"blue\",le=\"1\"} 4\n"
			       "x_seconds_bucket{colour=\"blue\",le=\"10\"} 4\n"
			       "x_seconds_bucket{colour=\"blue\",le=\"+Inf\"} 5\n"
			       "x_seconds_sum{colour=\"blue\"} 500.6\n"
			       "x_seconds_count{colour=\"blue\"} 5\n") != NULL);
	check(strstr(out.data, "x_seconds_count{colour=\"red\"} 0\n") != NULL);
	check(metric_seen(&metric, 1, 0) == 5);
	buf_fini(&out);
	free_metric(&metric);
}

static void
label_values_and_help_are_escaped(void)
{
	struct metric metric = {
	    .type = METRIC_GAUGE, .name = "x", .help = "A \\ and\na \"line\".", .label = {"name"}};
	struct buf out;

	metric_open_set(&metric, "a\"b\\c\nd", 0, 1);
	out = text_of(&metric);
	check_text(out.data, "# HELP x A \\\\ and\\na \"line\".\n# TYPE x gauge\n"
			     "x{name=\"a\\\"b\\\\c\\nd\"} 1\n");
	buf_fini(&out);
	free_metric(&metric);
}

static int
count_of(const char *text, const char *what)
{
	int count = 0;

	for (; (text = strstr(text, what)) != NULL; text++)
		count++;
	return count;
}

static void
an_open_label_is_bounded_and_the_rest_is_folded(void)
{
	struct metric sum = {.type = METRIC_GAUGE,
			     .name = "x",
			     .help = "Help.",
			     .label = {"name", "size"},
			     .value = {NULL, sizes}};
	struct metric most = sum;
	char name[32];
	struct buf out;

	most.fold_max = true;
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "e%d", i);
		metric_open_set(&sum, name, 0, 2);
		metric_open_set(&most, name, 1, i);
	}
	out = text_of(&sum);
	check_int(count_of(out.data, "\nx{"), ==, METRIC_OPEN_MAX + 1);
	check(strstr(out.data, "x{name=\"other\",size=\"small\"} 1900\n") != NULL);
	buf_fini(&out);
	out = text_of(&most);
	check(strstr(out.data, "x{name=\"other\",size=\"large\"} 999\n") != NULL);
	buf_fini(&out);
	metric_open_clear(&sum);
	metric_open_set(&sum, "e7", 0, 3);
	out = text_of(&sum);
	check_int(count_of(out.data, "\nx{"), ==, 1);
	check(strstr(out.data, "x{name=\"e7\",size=\"small\"} 3\n") != NULL);
	buf_fini(&out);
	free_metric(&sum);
	free_metric(&most);
}

/* An environment may be called so; the series stays one. */
static void
a_value_named_other_joins_the_rest(void)
{
	struct metric metric = {
	    .type = METRIC_GAUGE, .name = "x", .help = "Help.", .label = {"name"}};
	struct buf out;

	metric_open_set(&metric, "other", 0, 5);
	for (int i = 0; i <= METRIC_OPEN_MAX; i++) {
		char name[32];

		snprintf(name, sizeof(name), "e%d", i);
		metric_open_set(&metric, name, 0, 1);
	}
	out = text_of(&metric);
	check_int(count_of(out.data, "\"other\""), ==, 1);
	check(strstr(out.data, "x{name=\"other\"} 6\n") != NULL);
	buf_fini(&out);
	free_metric(&metric);
}

static bool
ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), tail = strlen(end);

	return len >= tail && strcmp(text + len - tail, end) == 0;
}

static bool
is_name(const char *text)
{
	if (!isalpha((unsigned char)*text))
		return false;
	while (isalnum((unsigned char)*text) || *text == '_')
		text++;
	return *text == '\0';
}

static void
the_table_is_whole_and_named_by_the_conventions(void)
{
	struct buf out;

	for (int i = 0; i < METRIC_COUNT; i++) {
		const struct metric *metric = &metrics[i];

		check(metric->name != NULL && metric->help != NULL && is_name(metric->name));
		check(strncmp(metric->name, "sluice_", 7) == 0 ||
		      strncmp(metric->name, "process_", 8) == 0);
		check((metric->type == METRIC_COUNTER) == ends_with(metric->name, "_total"));
		check((metric->type == METRIC_HISTOGRAM) == (metric->bounds != NULL));
		for (int j = 0; j < i; j++)
			check(strcmp(metric->name, metrics[j].name) != 0);
		for (int j = 0; metric->bounds != NULL && metric->bounds[j] > 0; j++)
			check(j == 0 || metric->bounds[j] > metric->bounds[j - 1]);
	}
	buf_init(&out, 1 << 20);
	metrics_write(&out);
	check(!out.over && out.data[out.len - 1] == '\n');
	check_int(count_of(out.data, "# TYPE "), ==, METRIC_COUNT);
	buf_fini(&out);
}

static void
an_end_is_counted_by_kind_and_outcome(void)
{
	metrics_finished(JOB_SYNC, JOB_WORKER_LOST, false);
	metrics_finished(JOB_EVENT, JOB_FAILED, true);
	check(metric_read(&metrics[METRIC_JOBS_FINISHED], 1, METRIC_WORKER_LOST) == 1);
	check(metric_read(&metrics[METRIC_JOBS_FINISHED], 3, METRIC_DEAD) == 1);
	check(metric_read(&metrics[METRIC_JOBS_FINISHED], 3, METRIC_FAILED) == 0);
	check(metric_read(&metrics[METRIC_JOBS_DEAD], 0, 0) == 1);
}

int
main(void)
{
	CHECK_RUN(counters_stand_at_zero_from_the_start);
	CHECK_RUN(two_labels_are_counted_apart);
	CHECK_RUN(a_gauge_is_absent_until_it_is_known);
	CHECK_RUN(a_histogram_adds_up_below_each_bound);
	CHECK_RUN(label_values_and_help_are_escaped);
	CHECK_RUN(an_open_label_is_bounded_and_the_rest_is_folded);
	CHECK_RUN(a_value_named_other_joins_the_rest);
	CHECK_RUN(the_table_is_whole_and_named_by_the_conventions);
	CHECK_RUN(an_end_is_counted_by_kind_and_outcome);
	return check_done();
}
