/* runtime/digest.h - hashes for scripts, by OpenSSL.
 *
 * OpenSSL loads what it needs on first use, with calls the sandbox forbids; digest_open() makes it
 * do so before. */
#ifndef SLUICE_RUNTIME_DIGEST_H
#define SLUICE_RUNTIME_DIGEST_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/error.h"

#define DIGEST_MAX 64       /* bytes of the longest one */
#define DIGEST_ALGORITHMS 4 /* md5, sha1, sha256, sha512 */

struct digests {
	struct evp_md_st *md[DIGEST_ALGORITHMS]; /* owned */
};

SL_MUST_USE enum sl_code digest_open(struct digests *digests, struct sl_error *error);
void digest_fini(struct digests *digests);
/* out has room for DIGEST_MAX bytes; returns the length, 0: unknown algorithm or a failure. */
size_t digest_hash(const struct digests *digests, const char *algorithm, struct slice bytes,
		   unsigned char *out);
/* RFC 2104. */
size_t digest_hmac(const struct digests *digests, const char *algorithm, struct slice key,
		   struct slice bytes, unsigned char *out);

#endif
