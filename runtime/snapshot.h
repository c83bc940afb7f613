/* runtime/snapshot.h - puts an arena back to what it was.
 *
 * A snapshot is a sealed memfd, mapped privately over the arena: what is written goes to copies of
 * pages, and to give the copies back is to have the old bytes again, the allocator's own among
 * them. The price is a page fault for each page that a run writes.  Most runs of a function write
 * to the same pages, so those that the first runs changed are copied back instead, and the first
 * pages of new memory are cleared; there is no fault then.  Whatever else was written is given
 * back: the other pages are read-only while a run starts, and a write to one makes
 * its surroundings writable, by a handler of SIGSEGV that remembers them.  So pages that are only
 * read stay mapped; to give back all would cost more than the rest of a small run.
 *
 * There are two layers.  The zygote shares the heap with the prelude in it, so that all function
 * processes use the same pages.  A function process then freezes what its module changed, and only
 * that is memory of its own; or it takes over what another child of the same zygote has frozen, at
 * the cost of a few mappings, and has next to none.
 *
 * The kernel must have memfd_create() with seals; snapshot_share() finds out. */
#ifndef SLUICE_RUNTIME_SNAPSHOT_H
#define SLUICE_RUNTIME_SNAPSHOT_H

#include <stdbool.h>

#include "runtime/arena.h"

#define SNAPSHOT_RANGES 256
#define SNAPSHOT_WINDOWS 16

struct snapshot {
	struct arena *arena; /* borrowed */
	char *view;          /* behind the arena and as long, read-only: the bytes to go back to */
	size_t shared_len;   /* of the shared heap, at the start of view */
	size_t extent;       /* bytes of the frozen heap */
	/* Pages that are copied back, a byte for each of extent; ordered ranges of them. */
	unsigned char *hot; /* owned */
	size_t hot_bytes;
	struct {
		size_t at, len;
	} range[SNAPSHOT_RANGES];
	int ranges;
	int lessons;       /* reverts that add to them */
	int spare_lessons; /* later ones, after runs that opened windows */
	/* Invariant: while guarded, pages that are neither hot nor in a window are read-only. */
	bool guarded;
	struct {
		size_t start, page; /* and the page whose write opened it */
	} window[SNAPSHOT_WINDOWS];
	int windows;
	bool gives_up; /* the runs write all over the heap: to notice it costs more than it saves */
};

/* For an arena without a snapshot. */
void snapshot_init(struct snapshot *snapshot, struct arena *arena);
void snapshot_fini(struct snapshot *snapshot); /* not the arena */
/* From here on writes may be noticed as said above.  One snapshot per process, before the sandbox;
 * when the system refuses, each revert gives back all that is not hot.  C code must not let the
 * kernel write to the heap: that fails instead of raising a signal. */
void snapshot_watch(struct snapshot *snapshot);
/* An empty memfd for one snapshot; -1: errno says why there is none. */
int snapshot_open(void);
/* Makes the heap of now the one that children share; closes its holes.  SL_UNAVAILABLE: the system
 * cannot do this, and the heap is as before; SL_INTERNAL: it may be lost. */
SL_MUST_USE enum sl_code snapshot_share(struct snapshot *snapshot, struct sl_error *error);
/* Makes the heap of now the one that snapshot_revert() restores.  Call arena_close_holes() before.
 * fd is from snapshot_open() and stays the caller's to close.  False: errno says why, and the arena
 * may be lost. */
SL_MUST_USE bool snapshot_freeze(struct snapshot *snapshot, int fd);
/* Instead: makes the heap what another child of this process's parent has frozen into fd.  False:
 * it is no such thing, and the arena may be lost. */
SL_MUST_USE bool snapshot_adopt(struct snapshot *snapshot, int fd);
/* After snapshot_freeze() or snapshot_adopt().  False: it failed, and the heap must not be used. */
SL_MUST_USE bool snapshot_revert(struct snapshot *snapshot);

#endif
