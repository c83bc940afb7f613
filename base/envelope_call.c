/* base/envelope_call.c - calls and their answers; see envelope.h. */
#include "base/envelope.h"

#include <assert.h>
#include <string.h>

#include "base/envelope_part.h"

/* Room for what stands beside input or output: numbers, names, id, heads, MAC. */
#define OVERHEAD_MAX 320

enum call_field {
	CALL_FIELD_VERSION,
	CALL_FIELD_ID,
	CALL_FIELD_NODE,
	CALL_FIELD_ENVIRONMENT,
	CALL_FIELD_FUNCTION_VERSION,
	CALL_FIELD_CONNECTION,
	CALL_FIELD_KIND,
	CALL_FIELD_START_BY,
	CALL_FIELD_INPUT,
	CALL_FIELD_COUNT,
};

enum answer_field {
	ANSWER_FIELD_VERSION,
	ANSWER_FIELD_ID,
	ANSWER_FIELD_WHAT,
	ANSWER_FIELD_WORKER,
	ANSWER_FIELD_STATE,
	ANSWER_FIELD_ABORTED,
	ANSWER_FIELD_OUTPUT,
	ANSWER_FIELD_COUNT,
};

/* HMAC under HMAC(key, label): neither is the MAC of a job's envelope, whatever the bytes are. */
static void
labelled_mac(struct slice bytes, const char *label, const uint8_t key[32],
	     uint8_t out[ENVELOPE_MAC_LEN])
{
	uint8_t own[32];

	secret_hmac_sha256((struct slice){(const char *)key, 32}, slice_text(label), own);
	envelope_mac(bytes, own, out);
}

static bool
name_is_sound(struct slice name)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '.' || c == '_' || c == '-'))
			return false;
	}
	return name.len > 0 && name.len <= CALL_NODE_MAX;
}

static void
add_id(struct frame_writer *w, const char *id)
{
	uint8_t bytes[ENVELOPE_ID_LEN];
	char lower[UUID_TEXT];
	bool is_id = uuid_parse(slice_text(id), lower);

	assert(is_id);
	(void)is_id;
	envelope_id_to_bytes(lower, bytes);
	frame_add_bin(w, bytes, sizeof(bytes));
}

static void
add_bytes(struct frame_writer *w, bool there, struct slice bytes)
{
	if (there)
		frame_add_bin(w, bytes.data, bytes.len);
	else
		frame_add_nil(w);
}

/* Ends the body, and puts it and its MAC behind what out holds. */
static void
sign(struct frame_writer *w, struct buf *body, const char *label, const uint8_t key[32],
     struct buf *out)
{
	uint8_t mac[ENVELOPE_MAC_LEN];
	struct slice bytes;

	frame_end(w);
	assert(!body->over);
	bytes =
	    (struct slice){body->data + ENVELOPE_FRAME_PREFIX, body->len - ENVELOPE_FRAME_PREFIX};
	labelled_mac(bytes, label, key, mac);
	buf_add_slice(out, bytes);
	buf_add(out, mac, sizeof(mac));
	buf_fini(body);
}

/* Checks the MAC, then reads the fields. */
static enum sl_code
open_signed(struct slice bytes, size_t most, const char *label, const uint8_t key[32],
	    struct frame *out, struct sl_error *error)
{
	uint8_t mac[ENVELOPE_MAC_LEN];
	struct slice body;

	if (bytes.len <= ENVELOPE_MAC_LEN || bytes.len > most + OVERHEAD_MAX)
		return sl_fail(error, SL_INVALID, "%s: cut or too long", label);
	body = (struct slice){bytes.data, bytes.len - ENVELOPE_MAC_LEN};
	labelled_mac(body, label, key, mac);
	if (!secret_equal(mac, bytes.data + body.len, ENVELOPE_MAC_LEN))
		return sl_fail(error, SL_CONFLICT, "%s: not written with this cluster's key",
			       label);
	return envelope_fields(body, out, error);
}

static bool
take_name(const struct frame_field *field, char out[CALL_NODE_MAX + 1])
{
	if (!name_is_sound(field->bytes))
		return false;
	memcpy(out, field->bytes.data, field->bytes.len);
	out[field->bytes.len] = '\0';
	return true;
}

/* nil or bytes, of at most so many. */
static bool
take_bytes(const struct frame_field *field, size_t most, bool *there, struct slice *out)
{
	*there = field->type == FRAME_BYTES;
	*out = field->bytes;
	return (*there || field->type == FRAME_NIL) && out->len <= most && envelope_is_utf8(*out);
}

/* ---- calls ---- */

static const char call_label[] = "sluice call";

static bool
call_is_sound(const struct call_envelope *call)
{
	return call->environment_id >= 0 && call->function_version_id >= 0 &&
	       call->connection_id >= 0 && call->kind >= JOB_ACTION && call->kind <= JOB_EVENT &&
	       call->start_by_ms >= 0 && name_is_sound(slice_text(call->node)) &&
	       (!call->has_input || call->input.len <= CALL_INPUT_MAX);
}

void
call_envelope_encode(const struct call_envelope *call, const uint8_t key[32], struct buf *out)
{
	struct frame_writer w;
	struct buf body;

	assert(call_is_sound(call));
	buf_init(&body, CALL_INPUT_MAX + OVERHEAD_MAX);
	frame_begin(&w, &body, CALL_FIELD_COUNT);
	frame_add_int(&w, ENVELOPE_VERSION);
	add_id(&w, call->id);
	frame_add_text(&w, call->node);
	frame_add_int(&w, call->environment_id);
	frame_add_int(&w, call->function_version_id);
	frame_add_int(&w, call->connection_id);
	frame_add_int(&w, call->kind);
	frame_add_int(&w, call->start_by_ms);
	add_bytes(&w, call->has_input, call->input);
	sign(&w, &body, call_label, key, out);
}

static bool
take_call(const struct frame *frame, struct call_envelope *out)
{
	const struct frame_field *field = frame->field;
	int64_t kind;

	if (!frame_is(frame, "issiiiii?") || field[CALL_FIELD_ID].bytes.len != ENVELOPE_ID_LEN)
		return false;
	kind = field[CALL_FIELD_KIND].number;
	if (kind < JOB_ACTION || kind > JOB_EVENT ||
	    !take_name(&field[CALL_FIELD_NODE], out->node) ||
	    !take_bytes(&field[CALL_FIELD_INPUT], CALL_INPUT_MAX, &out->has_input, &out->input))
		return false;
	envelope_id_to_text(field[CALL_FIELD_ID].bytes.data, out->id);
	out->environment_id = field[CALL_FIELD_ENVIRONMENT].number;
	out->function_version_id = field[CALL_FIELD_FUNCTION_VERSION].number;
	out->connection_id = field[CALL_FIELD_CONNECTION].number;
	out->kind = (enum job_kind)kind;
	out->start_by_ms = field[CALL_FIELD_START_BY].number;
	return call_is_sound(out);
}

enum sl_code
call_envelope_decode(struct slice bytes, const uint8_t key[32], struct call_envelope *out,
		     struct sl_error *error)
{
	struct frame frame;
	enum sl_code code;

	*out = (struct call_envelope){0};
	code = open_signed(bytes, CALL_INPUT_MAX, call_label, key, &frame, error);
	if (code == SL_OK && !take_call(&frame, out))
		code = sl_fail(error, SL_INVALID, "call: a field has a wrong type or value");
	return code;
}

/* ---- answers ---- */

static const char answer_label[] = "sluice call answer";

static bool
answer_is_sound(const struct call_answer *answer)
{
	bool ended = answer->what == CALL_ENDED;

	return answer->what >= CALL_STARTED && answer->what <= CALL_REFUSED &&
	       name_is_sound(slice_text(answer->worker)) &&
	       (ended ? answer->state >= JOB_SUCCEEDED && answer->state <= JOB_WORKER_LOST
		      : answer->state == 0 && !answer->aborted && !answer->has_output) &&
	       (!answer->has_output || answer->output.len <= CALL_OUTPUT_MAX);
}

void
call_answer_encode(const struct call_answer *answer, const uint8_t key[32], struct buf *out)
{
	struct frame_writer w;
	struct buf body;

	assert(answer_is_sound(answer));
	buf_init(&body, CALL_OUTPUT_MAX + OVERHEAD_MAX);
	frame_begin(&w, &body, ANSWER_FIELD_COUNT);
	frame_add_int(&w, ENVELOPE_VERSION);
	add_id(&w, answer->id);
	frame_add_int(&w, answer->what);
	frame_add_text(&w, answer->worker);
	frame_add_int(&w, answer->state);
	frame_add_bool(&w, answer->aborted);
	add_bytes(&w, answer->has_output, answer->output);
	sign(&w, &body, answer_label, key, out);
}

static bool
take_answer(const struct frame *frame, struct call_answer *out)
{
	const struct frame_field *field = frame->field;

	if (!frame_is(frame, "isisib?") || field[ANSWER_FIELD_ID].bytes.len != ENVELOPE_ID_LEN)
		return false;
	if (field[ANSWER_FIELD_WHAT].number < CALL_STARTED ||
	    field[ANSWER_FIELD_WHAT].number > CALL_REFUSED ||
	    field[ANSWER_FIELD_STATE].number < 0 ||
	    field[ANSWER_FIELD_STATE].number > JOB_WORKER_LOST ||
	    !take_name(&field[ANSWER_FIELD_WORKER], out->worker) ||
	    !take_bytes(&field[ANSWER_FIELD_OUTPUT], CALL_OUTPUT_MAX, &out->has_output,
			&out->output))
		return false;
	envelope_id_to_text(field[ANSWER_FIELD_ID].bytes.data, out->id);
	out->what = (enum call_what)field[ANSWER_FIELD_WHAT].number;
	out->state = (int)field[ANSWER_FIELD_STATE].number;
	out->aborted = field[ANSWER_FIELD_ABORTED].number != 0;
	return answer_is_sound(out);
}

enum sl_code
call_answer_decode(struct slice bytes, const uint8_t key[32], struct call_answer *out,
		   struct sl_error *error)
{
	struct frame frame;
	enum sl_code code;

	*out = (struct call_answer){0};
	code = open_signed(bytes, CALL_OUTPUT_MAX, answer_label, key, &frame, error);
	if (code == SL_OK && !take_answer(&frame, out))
		code = sl_fail(error, SL_INVALID, "answer: a field has a wrong type or value");
	return code;
}
