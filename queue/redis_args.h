/* queue/redis_args.h - the words of a command. */
#ifndef SLUICE_QUEUE_REDIS_ARGS_H
#define SLUICE_QUEUE_REDIS_ARGS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* A word is copied into one buffer, or pointed to when the caller keeps it. */
struct redis_word {
	const char *kept; /* NULL: the word starts at `at` of bytes */
	size_t at, len;
};
struct redis_args {
	struct redis_word *words; /* owned */
	int count, size;
	struct buf bytes; /* over: the command is too long and will be refused */
};

void redis_args_init(struct redis_args *args);
void redis_args_fini(struct redis_args *args);
void redis_args_text(struct redis_args *args, const char *text);    /* copied */
void redis_args_bytes(struct redis_args *args, struct slice bytes); /* copied */
void redis_args_int(struct redis_args *args, int64_t value);        /* as decimal text */
void redis_args_kept(struct redis_args *args,
		     struct slice bytes); /* borrowed until the command is sent */
/* words and lens have room for args->count; borrowed until args changes. */
void redis_args_point(const struct redis_args *args, const char **words, size_t *lens);

#endif
