/* base/secret.h - sealing at rest, digests, random ids, comparing without a timing hint.
 *
 * Sealed form: "s1:" key id (8 hex) ":" base64(nonce 12 | ciphertext | tag 16), AES-256-GCM
 * (NIST SP 800-38D).  The associated data names the row, so a ciphertext moved to another row does
 * not open. */
#ifndef SLUICE_BASE_SECRET_H
#define SLUICE_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

struct secret_ring; /* opaque: the sealing key and older ones that still open */

/* Reads a key file: lines of 64 hex digits, the first one seals, all open; '#' starts a comment.
 * The ring is the caller's. */
SL_MUST_USE enum sl_code secret_ring_load(const char *path, struct secret_ring **out,
					  struct sl_error *error);
/* The same of a text, where commas and blanks end a line, too.  where stands in front of errors, which never
 * repeat the text. */
SL_MUST_USE enum sl_code secret_ring_parse(struct slice text, const char *where,
					   struct secret_ring **out, struct sl_error *error);
/* Gives a ring that others hold the keys of fresh, which stays the caller's. */
void secret_ring_take(struct secret_ring *ring, const struct secret_ring *fresh);
void secret_ring_free(struct secret_ring *ring); /* NULL is fine; wipes */

#define SECRET_KEY_ID \
	9 /* 8 hex digits and a NUL: made from the key by a one-way function, not secret */
#define SECRET_KEYS_MAX 32
size_t secret_ring_count(const struct secret_ring *ring);
/* at 0: of the key that seals; borrowed until the ring takes other keys. */
const char *secret_ring_id(const struct secret_ring *ring, size_t at);
bool secret_ring_has(const struct secret_ring *ring, const char *id);
/* Which key sealed it; false: it is no sealed value. */
bool secret_sealed_id(struct slice sealed, char id[SECRET_KEY_ID]);
/* out gets text (appended).  SL_INVALID on open: unknown key id, wrong row, or tampered bytes. */
void secret_seal(const struct secret_ring *ring, struct slice plain, const char *row,
		 struct buf *out);
SL_MUST_USE enum sl_code secret_open(const struct secret_ring *ring, struct slice sealed,
				     const char *row, struct buf *plain, struct sl_error *error);

/* The same for many values in a row: what OpenSSL looks up, the schedule of the key and the random
 * bytes are had once.  It follows secret_ring_take(). */
struct secret_work;                                                  /* opaque */
struct secret_work *secret_work_new(const struct secret_ring *ring); /* ring: borrowed */
void secret_work_free(struct secret_work *work);                     /* NULL is fine; wipes */
void secret_work_seal(struct secret_work *work, struct slice plain, struct slice row,
		      struct buf *out);
SL_MUST_USE enum sl_code secret_work_open(struct secret_work *work, struct slice sealed,
					  struct slice row, struct buf *plain,
					  struct sl_error *error);
void secret_work_sha256(struct secret_work *work, struct slice bytes, uint8_t out[32]);

/* A key for another purpose: HMAC-SHA256 of label under the key that seals.  Another one when another key
 * becomes the first, so what is to last is derived once and kept sealed (daemon/seal.h). */
void secret_ring_derive(const struct secret_ring *ring, const char *label, uint8_t out[32]);

void secret_random(void *out, size_t len); /* getrandom; aborts when there is none */
bool secret_equal(const void *a, const void *b, size_t len);
void secret_wipe(void *bytes, size_t len);

#define SECRET_SHA256_HEX 65
void secret_sha256(struct slice bytes, uint8_t out[32]);
void secret_sha256_hex(struct slice bytes, char *out); /* 64 hex digits and a NUL */
void secret_hmac_sha256(struct slice key, struct slice bytes, uint8_t out[32]);

#define UUID_TEXT 37
void uuid_v4(char *out); /* RFC 9562, lower case, NUL-terminated */
void uuid_v7(char *out); /* RFC 9562; strictly increasing within this process */
/* Any version, 36 characters with hyphens, either case; out (may be NULL) gets it in lower case. */
bool uuid_parse(struct slice text, char *out);

void base64_add(struct buf *out, const void *bytes, size_t len);
SL_MUST_USE bool base64_decode(struct slice text, struct buf *out); /* standard alphabet, padded */
void hex_add(struct buf *out, const void *bytes, size_t len);

#endif
