#include "base/frame.h"

#include <assert.h>
#include <msgpack/pack.h>
#include <string.h>

/* Reading is done by hand: a hostile peer's counts and lengths are compared with the bytes at hand
 * before anything is done with them.  Format: https://github.com/msgpack/msgpack, spec.md. */
struct cursor {
	const unsigned char *at, *end;
};

static bool
take(struct cursor *cursor, size_t len, const unsigned char **bytes)
{
	if ((size_t)(cursor->end - cursor->at) < len)
		return false;
	*bytes = cursor->at;
	cursor->at += len;
	return true;
}

/* len is 1, 2, 4 or 8. */
static bool
take_number(struct cursor *cursor, size_t len, uint64_t *number)
{
	const unsigned char *bytes;

	if (!take(cursor, len, &bytes))
		return false;
	*number = 0;
	for (size_t i = 0; i < len; i++)
		*number = *number << 8 | bytes[i];
	return true;
}

static bool
take_array(struct cursor *cursor, uint64_t *count)
{
	uint64_t tag;

	if (!take_number(cursor, 1, &tag))
		return false;
	if (tag >= 0x90 && tag <= 0x9F) {
		*count = tag & 0x0F;
		return true;
	}
	return (tag == 0xDC || tag == 0xDD) && take_number(cursor, tag == 0xDC ? 2 : 4, count);
}

static bool
take_bytes(struct cursor *cursor, uint64_t len, struct frame_field *field)
{
	const unsigned char *bytes;

	if (len > (size_t)(cursor->end - cursor->at) || !take(cursor, (size_t)len, &bytes))
		return false;
	field->type = FRAME_BYTES;
	field->bytes = (struct slice){(const char *)bytes, (size_t)len};
	return true;
}

static bool
take_unsigned(struct cursor *cursor, size_t len, struct frame_field *field)
{
	uint64_t number;

	if (!take_number(cursor, len, &number) || number > INT64_MAX)
		return false;
	field->type = FRAME_INT;
	field->number = (int64_t)number;
	return true;
}

static bool
take_signed(struct cursor *cursor, size_t len, struct frame_field *field)
{
	uint64_t number;
	unsigned shift = 64 - 8 * (unsigned)len;

	if (!take_number(cursor, len, &number))
		return false;
	field->type = FRAME_INT;
	field->number = (int64_t)(number << shift) >> shift; /* carries the sign up */
	return true;
}

static bool
take_field(struct cursor *cursor, struct frame_field *field)
{
	uint64_t tag, len;

	*field = (struct frame_field){.type = FRAME_NIL};
	if (!take_number(cursor, 1, &tag))
		return false;
	if (tag <= 0x7F || tag >= 0xE0) {
		field->type = FRAME_INT;
		field->number = tag <= 0x7F ? (int64_t)tag : (int64_t)tag - 256;
		return true;
	}
	if (tag >= 0xA0 && tag <= 0xBF)
		return take_bytes(cursor, tag & 0x1F, field);
	switch (tag) {
	case 0xC0:
		return true;
	case 0xC2:
	case 0xC3:
		field->type = FRAME_BOOL;
		field->number = tag == 0xC3;
		return true;
	case 0xC4: /* bin 8, 16, 32 */
	case 0xC5:
	case 0xC6:
		return take_number(cursor, (size_t)1 << (tag - 0xC4), &len) &&
		       take_bytes(cursor, len, field);
	case 0xCC: /* uint 8 to 64 */
	case 0xCD:
	case 0xCE:
	case 0xCF:
		return take_unsigned(cursor, (size_t)1 << (tag - 0xCC), field);
	case 0xD0: /* int 8 to 64 */
	case 0xD1:
	case 0xD2:
	case 0xD3:
		return take_signed(cursor, (size_t)1 << (tag - 0xD0), field);
	case 0xD9: /* str 8, 16, 32 */
	case 0xDA:
	case 0xDB:
		return take_number(cursor, (size_t)1 << (tag - 0xD9), &len) &&
		       take_bytes(cursor, len, field);
	default: /* containers, floats, extensions */
		return false;
	}
}

static struct cursor
cursor_over(struct slice body)
{
	const unsigned char *bytes = (const unsigned char *)(body.len > 0 ? body.data : "");

	return (struct cursor){bytes, bytes + body.len};
}

enum sl_code
frame_decode(struct slice body, struct frame *out, struct sl_error *error)
{
	struct cursor cursor = cursor_over(body);
	uint64_t count;

	out->count = 0;
	if (!take_array(&cursor, &count))
		return sl_fail(error, SL_INVALID, "frame: not an array");
	if (count == 0 || count > FRAME_FIELDS_MAX)
		return sl_fail(error, SL_INVALID, "frame: %llu fields (1 to %d are allowed)",
			       (unsigned long long)count, FRAME_FIELDS_MAX);
	for (size_t i = 0; i < count; i++) {
		if (!take_field(&cursor, &out->field[i]))
			return sl_fail(error, SL_INVALID, "frame: field %zu is cut or no scalar",
				       i);
	}
	if (out->field[0].type != FRAME_INT)
		return sl_fail(error, SL_INVALID, "frame: it starts with no type");
	if (cursor.at != cursor.end)
		return sl_fail(error, SL_INVALID, "frame: bytes behind the last field");
	out->count = (size_t)count;
	return SL_OK;
}

bool
frame_peek_type(struct slice body, int64_t *type)
{
	struct cursor cursor = cursor_over(body);
	struct frame_field field;
	uint64_t count;

	if (!take_array(&cursor, &count) || count == 0 || !take_field(&cursor, &field) ||
	    field.type != FRAME_INT)
		return false;
	*type = field.number;
	return true;
}

int
frame_peek(struct slice stream, size_t cap, struct slice *body, size_t *used)
{
	struct cursor cursor = cursor_over(stream);
	uint64_t len;

	if (!take_number(&cursor, 4, &len))
		return 0;
	if (len == 0 || len > cap)
		return -1;
	if ((size_t)(cursor.end - cursor.at) < len)
		return 0;
	*body = (struct slice){(const char *)cursor.at, (size_t)len};
	*used = 4 + (size_t)len;
	return 1;
}

bool
frame_is(const struct frame *frame, const char *shape)
{
	if (strlen(shape) != frame->count)
		return false;
	for (size_t i = 0; i < frame->count; i++) {
		enum frame_type type = frame->field[i].type;

		assert(strchr("ibs?", shape[i]) != NULL);
		if ((shape[i] == 'i' && type != FRAME_INT) ||
		    (shape[i] == 'b' && type != FRAME_BOOL) ||
		    (shape[i] == 's' && type != FRAME_BYTES))
			return false;
	}
	return true;
}

static int
on_packed(void *data, const char *bytes, size_t len)
{
	return buf_add(data, bytes, len) ? 0 : -1; /* the buffer remembers a refusal */
}

static struct msgpack_packer
packer_to(struct buf *out)
{
	return (struct msgpack_packer){.data = out, .callback = on_packed};
}

void
frame_begin(struct frame_writer *w, struct buf *out, size_t fields)
{
	static const char prefix[4];
	struct msgpack_packer packer = packer_to(out);

	assert(fields >= 1 && fields <= FRAME_FIELDS_MAX);
	*w = (struct frame_writer){.out = out, .start = out->len};
	buf_add(out, prefix, sizeof(prefix));
	msgpack_pack_array(&packer, fields);
}

void
frame_add_int(struct frame_writer *w, int64_t number)
{
	struct msgpack_packer packer = packer_to(w->out);

	msgpack_pack_int64(&packer, number);
}

void
frame_add_bool(struct frame_writer *w, bool yes)
{
	struct msgpack_packer packer = packer_to(w->out);

	if (yes)
		msgpack_pack_true(&packer);
	else
		msgpack_pack_false(&packer);
}

void
frame_add_nil(struct frame_writer *w)
{
	struct msgpack_packer packer = packer_to(w->out);

	msgpack_pack_nil(&packer);
}

void
frame_add_text(struct frame_writer *w, const char *text)
{
	struct msgpack_packer packer = packer_to(w->out);
	size_t len = strlen(text);

	if (len > UINT32_MAX) {
		w->out->over = true;
		return;
	}
	msgpack_pack_str(&packer, len);
	msgpack_pack_str_body(&packer, text, len);
}

void
frame_add_bin(struct frame_writer *w, const void *bytes, size_t len)
{
	struct msgpack_packer packer = packer_to(w->out);

	if (len > UINT32_MAX) {
		w->out->over = true;
		return;
	}
	msgpack_pack_bin(&packer, len);
	msgpack_pack_bin_body(&packer, bytes, len);
}

void
frame_end(struct frame_writer *w)
{
	unsigned char *prefix;
	size_t len;

	if (w->out->over)
		return;
	len = w->out->len - w->start - 4;
	if (len > UINT32_MAX) {
		w->out->over = true;
		return;
	}
	prefix = (unsigned char *)w->out->data + w->start;
	for (int i = 0; i < 4; i++)
		prefix[i] = (unsigned char)(len >> (24 - 8 * i));
}
