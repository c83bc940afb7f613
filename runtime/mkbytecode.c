/* mkbytecode PRELUDE.js OUT.c - compiles the prelude with Duktape and writes it as a C array.
 *
 * A build-time program: the bytecode fits the library it is linked with, which the runner checks
 * again when it starts (runtime/bytecode.h). */
#include <duktape.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "runtime/text.h"

#define SOURCE_MAX (64u << 20)

static bool
read_source(const char *path, struct buf *source)
{
	char part[65536];
	FILE *file = fopen(path, "rb");
	size_t got;
	bool ok;

	if (file == NULL)
		return false;
	while ((got = fread(part, 1, sizeof(part), file)) > 0)
		buf_add(source, part, got);
	ok = ferror(file) == 0 && !source->over;
	return fclose(file) == 0 && ok;
}

/* [source] -> [bytecode] */
static duk_ret_t
compile(duk_context *ctx, void *udata)
{
	(void)udata;
	duk_push_string(ctx, "prelude.js");
	duk_compile(ctx, 0);
	duk_dump_function(ctx);
	return 1;
}

static long
engine_version(duk_context *ctx)
{
	long version;

	duk_get_global_string(ctx, "Duktape");
	duk_get_prop_string(ctx, -1, "version");
	version = (long)duk_get_number(ctx, -1);
	duk_pop_2(ctx);
	return version;
}

static bool
write_array(const char *path, long version, const unsigned char *bytes, size_t len)
{
	FILE *file = fopen(path, "wb");

	if (file == NULL)
		return false;
	fprintf(file,
		"/* Made by mkbytecode; do not edit. */\n"
		"#include \"runtime/bytecode.h\"\n\n"
		"const long bytecode_version = %ld;\n"
		"const size_t bytecode_len = %zu;\n"
		"const unsigned char bytecode_data[] = {",
		version, len);
	for (size_t i = 0; i < len; i++)
		fprintf(file, "%s%d,", i % 24 == 0 ? "\n" : "", bytes[i]);
	fprintf(file, "\n};\n");
	if (ferror(file) != 0) {
		fclose(file);
		return false;
	}
	return fclose(file) == 0;
}

int
main(int argc, char **argv)
{
	struct buf source, text;
	duk_context *ctx;
	const void *bytes;
	duk_size_t len;

	if (argc != 3) {
		fprintf(stderr, "usage: mkbytecode PRELUDE.js OUT.c\n");
		return 2;
	}
	buf_init(&source, SOURCE_MAX);
	buf_init(&text, SOURCE_MAX);
	if (!read_source(argv[1], &source) || !text_from_utf8(buf_slice(&source), &text)) {
		fprintf(stderr, "mkbytecode: %s cannot be read: %s\n", argv[1], strerror(errno));
		return 1;
	}
	ctx = duk_create_heap_default();
	if (ctx == NULL) {
		fprintf(stderr, "mkbytecode: no memory for the engine\n");
		return 1;
	}
	duk_push_lstring(ctx, text.len > 0 ? text.data : "", text.len);
	if (duk_safe_call(ctx, compile, NULL, 1, 1) != DUK_EXEC_SUCCESS) {
		fprintf(stderr, "mkbytecode: %s: %s\n", argv[1], duk_safe_to_stacktrace(ctx, -1));
		return 1;
	}
	bytes = duk_get_buffer_data(ctx, -1, &len);
	if (bytes == NULL || !write_array(argv[2], engine_version(ctx), bytes, len)) {
		fprintf(stderr, "mkbytecode: %s cannot be written: %s\n", argv[2], strerror(errno));
		remove(argv[2]);
		return 1;
	}
	duk_destroy_heap(ctx);
	buf_fini(&source);
	buf_fini(&text);
	return 0;
}
