/* daemon/deliver/sign.h - the signatures of one outgoing webhook (wire.md, 9 and 18.6).
 *
 * Two headers as the original has them, over the exact bytes of the body, and those of the
 * Standard Webhooks specification, over id, time and body.  The HMAC keys are the text of the
 * environment's signing key, so the specification's "whsec_" secret is base64 of that
 * text.  Pure: no clock, no daemon. */
#ifndef SLUICE_DAEMON_DELIVER_SIGN_H
#define SLUICE_DAEMON_DELIVER_SIGN_H

#include <stdint.h>

#include "base/buf.h"
#include "base/secret.h"

struct sign_headers {
	char nango_signature[SECRET_SHA256_HEX]; /* X-Nango-Signature: SHA-256 of key and body */
	char nango_hmac[SECRET_SHA256_HEX];      /* X-Nango-Hmac-Sha256 */
	char id[UUID_TEXT];                      /* webhook-id */
	char timestamp[24];                      /* webhook-timestamp: seconds since 1970 */
	char signature[120];                     /* webhook-signature: one part for each key */
};

/* id: UUID_TEXT - 1 bytes.  key_before: the key before the last rotation while it still signs,
 * else empty; only webhook-signature has a place for it, behind the new one.  key empty: no
 * signature at all, the three texts are "". */
void sign_webhook(struct slice key, struct slice key_before, const char *id, int64_t now_s,
		  struct slice body, struct sign_headers *out);

#endif
