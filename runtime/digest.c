#include "runtime/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

static const char *const names[DIGEST_ALGORITHMS] = {"md5", "sha1", "sha256", "sha512"};

#define BLOCK_MAX 128 /* bytes of SHA-512's block, the longest here */

enum sl_code
digest_open(struct digests *digests, struct sl_error *error)
{
	unsigned char out[DIGEST_MAX];

	memset(digests, 0, sizeof(*digests));
	/* Without the configuration file: it could name providers to load. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return sl_fail(error, SL_INTERNAL, "OpenSSL cannot be initialised");
	for (int i = 0; i < DIGEST_ALGORITHMS; i++) {
		digests->md[i] = EVP_MD_fetch(NULL, names[i], NULL);
		if (digests->md[i] == NULL || digest_hmac(digests, names[i], SLICE_LITERAL("key"),
							  SLICE_LITERAL("text"), out) == 0)
			return sl_fail(error, SL_UNAVAILABLE, "OpenSSL has no %s", names[i]);
	}
	return SL_OK;
}

void
digest_fini(struct digests *digests)
{
	for (int i = 0; i < DIGEST_ALGORITHMS; i++)
		EVP_MD_free(digests->md[i]);
	memset(digests, 0, sizeof(*digests));
}

static const EVP_MD *
find(const struct digests *digests, const char *algorithm)
{
	for (int i = 0; i < DIGEST_ALGORITHMS; i++) {
		if (strcmp(names[i], algorithm) == 0)
			return digests->md[i];
	}
	return NULL;
}

/* The digest of head and then bytes. */
static size_t
hash_two(const EVP_MD *md, struct slice head, struct slice bytes, unsigned char *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned len = 0;
	bool ok = ctx != NULL && EVP_DigestInit_ex2(ctx, md, NULL) == 1 &&
		  EVP_DigestUpdate(ctx, head.data, head.len) == 1 &&
		  EVP_DigestUpdate(ctx, bytes.data, bytes.len) == 1 &&
		  EVP_DigestFinal_ex(ctx, out, &len) == 1;

	EVP_MD_CTX_free(ctx);
	return ok ? len : 0;
}

size_t
digest_hash(const struct digests *digests, const char *algorithm, struct slice bytes,
	    unsigned char *out)
{
	const EVP_MD *md = find(digests, algorithm);

	return md != NULL ? hash_two(md, SLICE_LITERAL(""), bytes, out) : 0;
}

size_t
digest_hmac(const struct digests *digests, const char *algorithm, struct slice key,
	    struct slice bytes, unsigned char *out)
{
	const EVP_MD *md = find(digests, algorithm);
	char inner[BLOCK_MAX] = {0}, outer[BLOCK_MAX];
	unsigned char middle[DIGEST_MAX];
	size_t block, len;

	if (md == NULL)
		return 0;
	block = (size_t)EVP_MD_get_block_size(md);
	if (block > BLOCK_MAX)
		return 0;
	if (key.len > block) {
		if (hash_two(md, SLICE_LITERAL(""), key, (unsigned char *)inner) == 0)
			return 0;
	} else if (key.len > 0) {
		memcpy(inner, key.data, key.len);
	}
	for (size_t i = 0; i < block; i++) {
		outer[i] = (char)(inner[i] ^ 0x5c);
		inner[i] = (char)(inner[i] ^ 0x36);
	}
	len = hash_two(md, (struct slice){inner, block}, bytes, middle);
	if (len == 0)
		return 0;
	return hash_two(md, (struct slice){outer, block}, (struct slice){(char *)middle, len}, out);
}
