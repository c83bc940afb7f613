/* daemon/worker/sync_run.h - what a run of a sync (or its webhook) knows of its sync and models. */
#ifndef SLUICE_DAEMON_WORKER_SYNC_RUN_H
#define SLUICE_DAEMON_WORKER_SYNC_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/job.h"
#include "base/secret.h"
#include "sql/record.h"

struct sync_model {
	char *name; /* as the definition has it */
	char *full; /* as records are stored: Model, or Model::variant */
	int64_t added, updated, deleted;
	bool touched;                  /* written to: it stands in the result */
	bool merging_set;              /* setMergingStrategy() was called */
	bool merging_told, twice_told; /* the log has it that it was again; that an id came twice */
	int64_t since_us; /* not 0: records changed after this wall time are left alone */
};

struct sync_run {
	int64_t id, function_id, connection_id; /* row ids */
	char uuid[UUID_TEXT];
	char *variant;
	int64_t last_success_ms; /* 0: none */
	int still_runs;          /* before this one; see struct sync_row */
	bool empty_cache, track_deletes;
	int64_t mark;      /* the start of the run in the order of "seen" */
	int64_t marked_ms; /* likewise, by the ledger's clock: no record that it writes is older */
	struct sync_model *models;
	int model_count;
};

/* definition: of the version that runs, JSON. */
struct sync_run *sync_run_new(const struct sync_row *row, const char *definition, bool empty_cache);
void sync_run_free(struct sync_run *run); /* NULL is fine */
/* By the name that functions use; NULL: not declared. */
struct sync_model *sync_run_model(struct sync_run *run, const char *name);
/* "A, B", for an error's text. */
void sync_run_names(const struct sync_run *run, char *out, size_t size);
void sync_model_count(struct sync_model *model, const struct record_counts *counts);
/* Appends {"Model":{"added":1,"updated":0,"deleted":0}} of the models that were written to. */
void sync_run_result(const struct sync_run *run, struct buf *out);

#endif
