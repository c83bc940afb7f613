#include "daemon/deliver/sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static void
hex(const uint8_t digest[32], char out[SECRET_SHA256_HEX])
{
	for (int i = 0; i < 32; i++)
		snprintf(out + 2 * (size_t)i, 3, "%02x", digest[i]);
}

/* Appends one part of webhook-signature. */
static void
add_part(struct buf *out, struct slice key, struct slice signed_bytes)
{
	uint8_t mac[32];

	secret_hmac_sha256(key, signed_bytes, mac);
	if (out->len > 0)
		buf_add_char(out, ' ');
	buf_add_text(out, "v1,");
	base64_add(out, mac, sizeof(mac));
}

/* The two things that are signed end in the body: each front is put right before it, in its one
 * copy. */
void
sign_webhook(struct slice key, struct slice key_before, const char *id, int64_t now_s,
	     struct slice body, struct sign_headers *out)
{
	char front[UUID_TEXT + sizeof(out->timestamp) + 2];
	size_t front_len, room;
	uint8_t digest[32];
	struct buf parts;
	char *bytes;

	*out = (struct sign_headers){0};
	snprintf(out->id, sizeof(out->id), "%s", id);
	snprintf(out->timestamp, sizeof(out->timestamp), "%lld", (long long)now_s);
	if (key.len == 0)
		return;
	front_len = (size_t)snprintf(front, sizeof(front), "%s.%s.", out->id, out->timestamp);
	room = key.len > front_len ? key.len : front_len;
	bytes = sl_alloc(room + body.len);
	if (body.len > 0)
		memcpy(bytes + room, body.data, body.len);
	memcpy(bytes + room - key.len, key.data, key.len);
	secret_sha256_hex((struct slice){bytes + room - key.len, key.len + body.len},
			  out->nango_signature);
	secret_hmac_sha256(key, body, digest);
	hex(digest, out->nango_hmac);
	secret_wipe(bytes, room);
	memcpy(bytes + room - front_len, front, front_len);
	buf_init(&parts, sizeof(out->signature) - 1);
	add_part(&parts, key, (struct slice){bytes + room - front_len, front_len + body.len});
	if (key_before.len > 0)
		add_part(&parts, key_before,
			 (struct slice){bytes + room - front_len, front_len + body.len});
	snprintf(out->signature, sizeof(out->signature), "%s", parts.data);
	buf_fini(&parts);
	free(bytes);
}
