/* What may stand in Redis where a job, a call or an answer is looked for: the bytes as they are, and
 * as the body of each of the three behind a sound MAC, so that the fields are reached.  What is
 * taken must be within its limits and come out of an encoder as it went in.
 * Build: clang -fsanitize=fuzzer,address,undefined. */
#include <stdlib.h>
#include <string.h>

#include "base/envelope.h"
#include "queue/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[32] = "0123456789abcdef0123456789abcde";

static void
must(bool holds)
{
	if (!holds)
		abort();
}

/* Touches every byte that a slice claims to have. */
static void
touch(struct slice bytes)
{
	volatile unsigned char sum = 0;

	for (size_t i = 0; i < bytes.len; i++)
		sum ^= (unsigned char)bytes.data[i];
	(void)sum;
}

/* In an allocation of exactly its size; label NULL: signed as a job's. */
static struct slice
sign(struct slice body, const char *label, char **allocated)
{
	struct slice own_key = {(const char *)key, 32};
	uint8_t own[32], mac[32];
	char *bytes = malloc(body.len + 16);

	must(bytes != NULL);
	if (label != NULL) {
		secret_hmac_sha256(own_key, slice_text(label), own);
		own_key = (struct slice){(const char *)own, 32};
	}
	secret_hmac_sha256(own_key, body, mac);
	if (body.len > 0)
		memcpy(bytes, body.data, body.len);
	memcpy(bytes + body.len, mac, 16);
	*allocated = bytes;
	return (struct slice){bytes, body.len + 16};
}

static void
try_job(struct slice bytes)
{
	struct envelope one, again;
	struct buf out;

	if (envelope_decode(bytes, key, &one, NULL) != SL_OK)
		return;
	touch(one.input);
	must(one.input.len <= ENVELOPE_INPUT_MAX && one.seq >= 0 && one.key_id >= 0);
	must(one.attempt >= 1 && one.kind >= JOB_ACTION && one.kind <= JOB_EVENT);
	buf_init(&out, ENVELOPE_MAX);
	envelope_encode(&one, key, &out);
	must(envelope_decode(buf_slice(&out), key, &again, NULL) == SL_OK);
	must(again.seq == one.seq && strcmp(again.job_id, one.job_id) == 0);
	must(again.has_input == one.has_input && slice_equal(again.input, one.input));
	buf_fini(&out);
}

static void
try_call(struct slice bytes)
{
	struct call_envelope one, again;
	struct buf out;

	if (call_envelope_decode(bytes, key, &one, NULL) != SL_OK)
		return;
	touch(one.input);
	must(one.node[0] != '\0' && strlen(one.node) <= CALL_NODE_MAX && one.start_by_ms >= 0);
	buf_init(&out, CALL_INPUT_MAX + 1024);
	call_envelope_encode(&one, key, &out);
	must(call_envelope_decode(buf_slice(&out), key, &again, NULL) == SL_OK);
	must(strcmp(again.node, one.node) == 0 && slice_equal(again.input, one.input));
	buf_fini(&out);
}

static void
try_answer(struct slice bytes)
{
	struct call_answer one, again;
	struct buf out;

	if (call_answer_decode(bytes, key, &one, NULL) != SL_OK)
		return;
	touch(one.output);
	must(one.what == CALL_ENDED || (one.state == 0 && !one.has_output));
	buf_init(&out, CALL_OUTPUT_MAX + 1024);
	call_answer_encode(&one, key, &out);
	must(call_answer_decode(buf_slice(&out), key, &again, NULL) == SL_OK);
	must(again.state == one.state && slice_equal(again.output, one.output));
	buf_fini(&out);
}

/* The names in held and ready are as foreign as the entries. */
static void
try_slot(struct slice bytes)
{
	char name[KEYS_SLOT_SIZE];
	int64_t key_id;
	int slot;

	if (!keys_slot_parse(bytes, &key_id, &slot))
		return;
	must(key_id >= 0 && slot >= 0 && slot < KEYS_SLOTS_MAX);
	keys_slot(key_id, slot, name);
	must(slice_is(bytes, name));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice bytes = {(const char *)data, size};
	char *job, *call, *answer;

	try_job(bytes);
	try_call(bytes);
	try_answer(bytes);
	try_slot(bytes);
	try_job(sign(bytes, NULL, &job));
	try_call(sign(bytes, "sluice call", &call));
	try_answer(sign(bytes, "sluice call answer", &answer));
	free(job);
	free(call);
	free(answer);
	return 0;
}
