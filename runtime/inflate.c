#include "runtime/inflate.h"

#include <limits.h>
#include <zlib.h>

#define RATIO_MAX 1032   /* of DEFLATE: more is not in the data, whatever an archive says */
#define RAW (-MAX_WBITS) /* no header of zlib's own */

/* Of the heap of the run: one that ends here leaves nothing behind. */
static voidpf
take(voidpf heap, uInt items, uInt size)
{
	return duk_alloc(heap, (duk_size_t)items * size);
}

static void
give_back(voidpf heap, voidpf room)
{
	duk_free(heap, room);
}

duk_ret_t
inflate_bytes(duk_context *ctx)
{
	duk_size_t len;
	Bytef *in = duk_require_buffer_data(ctx, 0, &len), none = 0;
	double wanted = duk_require_number(ctx, 1);
	z_stream stream = {.zalloc = take, .zfree = give_back, .opaque = ctx};
	Bytef *out;
	int result;

	if (!(wanted >= 0 && wanted <= INT_MAX) || len > INT_MAX)
		return duk_range_error(ctx, "the compressed data is too large");
	if (wanted > (double)len * RATIO_MAX)
		return duk_generic_error(ctx, "the compressed data is damaged");
	out = duk_push_fixed_buffer(ctx, (duk_size_t)wanted);
	stream.next_in = in != NULL ? in : &none;
	stream.avail_in = (uInt)len;
	stream.next_out = wanted > 0 ? out : &none;
	stream.avail_out = (uInt)wanted;
	if (inflateInit2(&stream, RAW) != Z_OK)
		return duk_range_error(ctx, "no memory for the compressed data");
	result = inflate(&stream, Z_FINISH);
	inflateEnd(&stream);
	if (result != Z_STREAM_END || stream.avail_out != 0)
		return duk_generic_error(ctx, "the compressed data is damaged");
	duk_push_buffer_object(ctx, -1, 0, (duk_size_t)wanted, DUK_BUFOBJ_UINT8ARRAY);
	return 1;
}
