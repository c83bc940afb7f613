#include "queue/redis_args.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define ARGS_MAX (64u << 20)

void
redis_args_init(struct redis_args *args)
{
	*args = (struct redis_args){0};
	buf_init(&args->bytes, ARGS_MAX);
}

void
redis_args_fini(struct redis_args *args)
{
	free(args->words);
	buf_fini(&args->bytes);
	*args = (struct redis_args){0};
}

static void
args_add(struct redis_args *args, struct redis_word word)
{
	if (args->count == args->size) {
		args->size = args->size > 0 ? args->size * 2 : 32;
		args->words = sl_realloc(args->words, (size_t)args->size * sizeof(*args->words));
	}
	args->words[args->count++] = word;
}

void
redis_args_bytes(struct redis_args *args, struct slice bytes)
{
	struct redis_word word = {NULL, args->bytes.len, bytes.len};

	buf_add_slice(&args->bytes, bytes); /* over: redis_send() refuses the command */
	args_add(args, word);
}

void
redis_args_text(struct redis_args *args, const char *text)
{
	redis_args_bytes(args, slice_text(text));
}

void
redis_args_int(struct redis_args *args, int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRId64, value);
	redis_args_text(args, text);
}

void
redis_args_kept(struct redis_args *args, struct slice bytes)
{
	args_add(args, (struct redis_word){bytes.data != NULL ? bytes.data : "", 0, bytes.len});
}

void
redis_args_point(const struct redis_args *args, const char **words, size_t *lens)
{
	for (int i = 0; i < args->count; i++) {
		const struct redis_word *word = &args->words[i];

		words[i] = word->kept != NULL ? word->kept
			   : word->len > 0    ? args->bytes.data + word->at
					      : "";
		lens[i] = word->len;
	}
}
