/* tests/lib/fuzz_main.c - runs a fuzz target for a while without libFuzzer: corpus, then mutations
 * of it.
 *
 * usage: fuzz_NAME [CORPUS-FOLDER]   the target's seeds; each run starts from them (without: from
 * nothing) fuzz_NAME FILE              one input, to look at a finding again FUZZ_SECONDS bounds
 * the run (default 10), FUZZ_SEED makes it repeat (default: the clock; printed). The input in work
 * is kept in fuzz-NAME.last in the current folder and removed when all went well, so that a crash
 * leaves what caused it.  Output is TAP. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

enum { INPUT_MAX = 64 * 1024, SEEDS_MAX = 512, EDITS_MAX = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seed {
	uint8_t *bytes;
	size_t len;
};

static struct seed seeds[SEEDS_MAX];
static int seed_count;
static uint64_t random_state;

/* The input in work, in a shared mapping of a file: whatever kills the process, the bytes are
 * there. */
struct last {
	char path[200];
	uint8_t *map; /* 4 bytes length, then the input */
};

static void
fail(const char *what, const char *name)
{
	fprintf(stderr, "%s: %s: %s\n", what, name, strerror(errno));
	exit(2);
}

/* splitmix64: small, and every seed gives another sequence. */
static uint64_t
next_random(void)
{
	uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static size_t
below(size_t limit)
{
	return limit == 0 ? 0 : (size_t)(next_random() % limit);
}

static double
now(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

/* A new seed without bytes. */
static struct seed *
add_seed(void)
{
	struct seed *seed = &seeds[seed_count++];

	seed->bytes = malloc(INPUT_MAX);
	if (seed->bytes == NULL)
		fail("no memory for", "a seed");
	return seed;
}

static void
read_seed(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct seed *seed = add_seed();

	if (file == NULL)
		fail("cannot open", path);
	seed->len = fread(seed->bytes, 1, INPUT_MAX, file);
	if (ferror(file) != 0)
		fail("cannot read", path);
	fclose(file);
}

static void
read_folder(const char *path)
{
	DIR *folder = opendir(path);
	struct dirent *entry;

	if (folder == NULL)
		fail("cannot open", path);
	while ((entry = readdir(folder)) != NULL && seed_count < SEEDS_MAX) {
		char file[600];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		read_seed(file);
	}
	closedir(folder);
}

/* One change of the kind that breaks parsers; returns the new length. */
static size_t
edit(uint8_t *input, size_t len)
{
	static const uint8_t odd[] = {0,    '\n', '\r', ' ', '\t', ':',  ',',  ';',  '"',
				      '\\', '{',  '[',  '%', '/',  0x7f, 0x80, 0xc0, 0xff};
	const struct seed *other = &seeds[below((size_t)seed_count)];
	size_t at = below(len + 1), count = 1 + below(8), from;

	switch (below(8)) {
	case 0: /* flip a bit */
		if (len > 0)
			input[at % len] ^= (uint8_t)(1u << below(8));
		return len;
	case 1: /* a byte that means something somewhere */
		if (len > 0)
			input[at % len] = odd[below(sizeof(odd))];
		return len;
	case 2: /* any byte */
		if (len > 0)
			input[at % len] = (uint8_t)next_random();
		return len;
	case 3: /* cut a piece out */
		if (count > len - at)
			count = len - at;
		memmove(input + at, input + at + count, len - at - count);
		return len - count;
	case 4: /* put bytes in */
		if (len + count > INPUT_MAX)
			return len;
		memmove(input + at + count, input + at, len - at);
		for (size_t i = 0; i < count; i++)
			input[at + i] = odd[below(sizeof(odd))];
		return len + count;
	case 5: /* say a piece twice */
		from = below(len + 1);
		count = below(len - from + 1);
		if (len + count > INPUT_MAX || count == 0)
			return len;
		memmove(input + from + count, input + from, len - from);
		return len + count;
	case 6: /* end early */
		return at;
	default: /* go on with another seed */
		from = below(other->len + 1);
		count = other->len - from;
		if (at + count > INPUT_MAX)
			count = INPUT_MAX - at;
		memcpy(input + at, other->bytes + from, count);
		return at + count;
	}
}

static void
last_open(struct last *last, const char *program)
{
	int fd;

	snprintf(last->path, sizeof(last->path), "%s.last", program);
	fd = open(last->path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, INPUT_MAX + 4) != 0)
		fail("cannot make", last->path);
	last->map = mmap(NULL, INPUT_MAX + 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (last->map == MAP_FAILED)
		fail("cannot map", last->path);
	close(fd);
}

/* The target gets an allocation of exactly the input's size: one byte too far is seen. */
static void
run(struct last *last, const uint8_t *input, size_t len)
{
	uint32_t size = (uint32_t)len;
	uint8_t *exact = malloc(len > 0 ? len : 1);

	if (exact == NULL)
		fail("no memory for", "an input");
	memcpy(exact, input, len);
	memcpy(last->map, &size, sizeof(size));
	memcpy(last->map + 4, input, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
}

static long long
run_mutations(struct last *last, double seconds)
{
	static uint8_t input[INPUT_MAX];
	double end = now() + seconds;
	long long runs = 0;

	while ((runs & 255) != 0 || now() < end) {
		const struct seed *seed = &seeds[below((size_t)seed_count)];
		size_t len = seed->len, edits = 1 + below(EDITS_MAX);

		memcpy(input, seed->bytes, len);
		while (edits-- > 0)
			len = edit(input, len);
		run(last, input, len);
		runs++;
	}
	return runs;
}

int
main(int argc, char **argv)
{
	const char *seconds = getenv("FUZZ_SECONDS"), *wanted = getenv("FUZZ_SEED");
	const char *program = basename(argv[0]);
	struct last last;
	struct stat status;
	long long runs;
	bool one;

	if (argc > 2 || (argc == 2 && stat(argv[1], &status) != 0)) {
		fprintf(stderr, "usage: %s [CORPUS-FOLDER|FILE]\n", program);
		return 64;
	}
	random_state = wanted != NULL ? strtoull(wanted, NULL, 10)
				      : (uint64_t)time(NULL) ^ ((uint64_t)getpid() << 32);
	printf("# FUZZ_SEED=%" PRIu64 "\n", random_state);
	fflush(stdout);
	last_open(&last, program);
	one = argc == 2 && !S_ISDIR(status.st_mode);
	if (one)
		read_seed(argv[1]);
	else if (argc == 2)
		read_folder(argv[1]);
	else
		add_seed();
	for (int i = 0; i < seed_count; i++)
		run(&last, seeds[i].bytes, seeds[i].len);
	printf("ok 1 - %s_takes_its_%d_seeds\n", program, seed_count);
	if (!one && seed_count > 0) {
		runs = run_mutations(&last, seconds != NULL ? strtod(seconds, NULL) : 10.0);
		printf("ok 2 - %s_takes_any_bytes (%lld inputs)\n1..2\n", program, runs);
	} else {
		printf("1..1\n");
	}
	unlink(last.path);
	for (int i = 0; i < seed_count; i++)
		free(seeds[i].bytes);
	return 0;
}
