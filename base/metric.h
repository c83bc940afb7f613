/* base/metric.h - numbers that a process shows of itself: counters, gauges, histograms.
 *
 * A family is a static struct with all label values that it can ever have, so that a number is found by its
 * place and counting costs an addition: nothing is looked up, and nothing grows with what customers send.
 * The one exception is a family whose first label is open (an environment, say): it holds OPEN_MAX values at
 * most, the rest is folded into "other", and it is written anew with each sample.
 *
 * The families of this program are in base/metrics.h.  The text is the Prometheus text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).  One thread: no locks. */
#ifndef SLUICE_BASE_METRIC_H
#define SLUICE_BASE_METRIC_H

#include <stddef.h>

#include "base/buf.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

#define METRIC_OPEN_MAX 50  /* values of an open label; "other" is one more */
#define METRIC_TEXT_MAX 256 /* bytes of such a value, with its NUL; longer ones are cut */

struct metric {
	enum metric_type type;
	const char *name, *help;     /* name as written, with unit and _total */
	const char *label[2];        /* NULL: none */
	const char *const *value[2]; /* ends with NULL; value[0] NULL with a label: it is open */
	const double *bounds;        /* of a histogram: ascending, ends with 0 */
	bool fold_max;               /* open: "other" is the largest of the rest, else their sum */
	int count[2], width;         /* from here on metric.c's own; zero before the first use */
	double *cell;                /* a gauge is absent until it is set: NaN */
	char (*open)[METRIC_TEXT_MAX]; /* the open label's values */
	int open_count;
};

/* a, b: places of the label values in their lists (asserted); 0 where there is no label. */
void metric_add(struct metric *metric, int a, int b,
		double more); /* counter: more >= 0 (asserted) */
void metric_set(struct metric *metric, int a, int b, double value); /* gauge; NAN: absent again */
void metric_observe(struct metric *metric, int a, int b, double value); /* histogram */
/* What a counter or gauge is (tests, and what shows a number elsewhere). */
double metric_read(struct metric *metric, int a, int b);
/* How many values a histogram has seen. */
double metric_seen(struct metric *metric, int a, int b);

/* A family with an open label starts a new sample: empty. */
void metric_open_clear(struct metric *metric);
/* Sets the number of text (copied) and b; past METRIC_OPEN_MAX texts it goes into "other".  Hand in the ones
 * that matter first. */
void metric_open_set(struct metric *metric, const char *text, int b, double value);

/* Appends HELP, TYPE and all samples; a family of which nothing is known keeps its HELP and TYPE. */
void metric_write(struct metric *metric, struct buf *out);

#endif
