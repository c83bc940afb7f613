#include "base/secret.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/alloc.h"

#define KEY_BYTES 32
#define KEY_HEX (2 * KEY_BYTES)
#define ID_HEX (SECRET_KEY_ID - 1)
#define NONCE_BYTES 12
#define TAG_BYTES 16
#define RING_MAX SECRET_KEYS_MAX
#define KEY_FILE_MAX 65536

static const char form[] = "s1:"; /* version of the sealed form */
#define FORM_LEN (sizeof(form) - 1)
#define HEAD_LEN (FORM_LEN + ID_HEX + 1)

struct ring_key {
	uint8_t bytes[KEY_BYTES];
	char id[ID_HEX + 1]; /* from the key itself, so files may be reordered */
};

struct secret_ring {
	size_t count;
	struct ring_key key[RING_MAX]; /* the first one seals */
};

/* OpenSSL fails here only without memory or with a broken installation: no caller has a remedy. */
static void
must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "secret: %s failed\n", what);
	abort();
}

void
secret_wipe(void *bytes, size_t len)
{
	if (len > 0)
		OPENSSL_cleanse(bytes, len);
}

bool
secret_equal(const void *a, const void *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

void
secret_random(void *out, size_t len)
{
	char *at = out;

	while (len > 0) {
		ssize_t got = getrandom(at, len, 0);

		if (got < 0 && errno == EINTR)
			continue;
		must(got > 0, "getrandom");
		at += got;
		len -= (size_t)got;
	}
}

/* kind NULL: as it was begun before, which spares OpenSSL 3 from looking it up. */
static void
sha256_step(EVP_MD_CTX *context, const EVP_MD *kind, struct slice a, struct slice b,
	    uint8_t out[32])
{
	must(context != NULL && EVP_DigestInit_ex(context, kind, NULL) == 1 &&
		 EVP_DigestUpdate(context, a.data, a.len) == 1 &&
		 EVP_DigestUpdate(context, b.data, b.len) == 1 &&
		 EVP_DigestFinal_ex(context, out, NULL) == 1,
	     "SHA-256");
}

void
secret_sha256(struct slice bytes, uint8_t out[32])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	sha256_step(context, EVP_sha256(), bytes, SLICE_LITERAL(""), out);
	EVP_MD_CTX_free(context);
}

void
secret_sha256_hex(struct slice bytes, char *out)
{
	static const char digits[] = "0123456789abcdef";
	uint8_t digest[32];

	secret_sha256(bytes, digest);
	for (size_t i = 0; i < sizeof(digest); i++) {
		out[2 * i] = digits[digest[i] >> 4];
		out[2 * i + 1] = digits[digest[i] & 15];
	}
	out[2 * sizeof(digest)] = '\0';
}

/* RFC 2104, spelled out: OpenSSL 3's HMAC() looks its algorithms up by name on every call. */
void
secret_hmac_sha256(struct slice key, struct slice bytes, uint8_t out[32])
{
	uint8_t short_key[64] = {0}, pad[64], inner[32];
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	if (key.len > sizeof(short_key))
		secret_sha256(key, short_key);
	else if (key.len > 0)
		memcpy(short_key, key.data, key.len);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] = short_key[i] ^ 0x36;
	sha256_step(context, EVP_sha256(), (struct slice){(char *)pad, sizeof(pad)}, bytes, inner);
	for (size_t i = 0; i < sizeof(pad); i++)
		pad[i] = short_key[i] ^ 0x5C;
	sha256_step(context, NULL, (struct slice){(char *)pad, sizeof(pad)},
		    (struct slice){(char *)inner, sizeof(inner)}, out);
	EVP_MD_CTX_free(context);
	secret_wipe(short_key, sizeof(short_key));
	secret_wipe(pad, sizeof(pad));
	secret_wipe(inner, sizeof(inner));
}

static void
derive(const struct ring_key *key, const char *label, uint8_t out[32])
{
	secret_hmac_sha256((struct slice){(const char *)key->bytes, KEY_BYTES}, slice_text(label),
			   out);
}

void
secret_ring_derive(const struct secret_ring *ring, const char *label, uint8_t out[32])
{
	derive(&ring->key[0], label, out);
}

static bool
parse_key(struct slice line, struct ring_key *key)
{
	uint8_t digest[32];

	if (line.len != KEY_HEX)
		return false;
	for (size_t i = 0; i < KEY_BYTES; i++) {
		int high = hex_digit(line.data[2 * i]), low = hex_digit(line.data[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		key->bytes[i] = (uint8_t)(high << 4 | low);
	}
	derive(key, "sluice key id", digest);
	for (size_t i = 0; i < ID_HEX / 2; i++)
		snprintf(key->id + 2 * i, 3, "%02x", digest[i]);
	return true;
}

static const struct ring_key *
find_key(const struct secret_ring *ring, struct slice id)
{
	for (size_t i = 0; i < ring->count; i++) {
		if (slice_is(id, ring->key[i].id))
			return &ring->key[i];
	}
	return NULL;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct slice
strip(struct slice line)
{
	const char *comment = line.len > 0 ? memchr(line.data, '#', line.len) : NULL;

	if (comment != NULL)
		line.len = (size_t)(comment - line.data);
	for (; line.len > 0 && is_blank(line.data[0]); line.len--)
		line.data++;
	while (line.len > 0 && is_blank(line.data[line.len - 1]))
		line.len--;
	return line;
}

/* The next key's text, without a comment; separators: what ends it beside a newline. */
static struct slice
next_key(struct slice *text, const char *separators, int *number)
{
	size_t len = 0;
	struct slice line;
	bool ended;

	while (len < text->len && text->data[len] != '\n' &&
	       (text->data[len] == '\0' || strchr(separators, text->data[len]) == NULL))
		len++;
	ended = len < text->len;
	*number += *separators != '\0' || (ended && text->data[len] == '\n');
	line = strip((struct slice){text->data, len});
	text->data += len + ended;
	text->len -= len + ended;
	return line;
}

static enum sl_code
parse_ring(const char *where, struct slice text, const char *separators, struct secret_ring *ring,
	   struct sl_error *error)
{
	int next = 1;

	while (text.len > 0) {
		int number = next;
		struct slice line = next_key(&text, separators, &next);
		struct ring_key *key = &ring->key[ring->count];

		if (line.len == 0)
			continue;
		if (ring->count == RING_MAX)
			return sl_fail(error, SL_INVALID, "%s:%d: more than %d keys", where, number,
				       RING_MAX);
		if (!parse_key(line, key))
			return sl_fail(error, SL_INVALID, "%s:%d: a key is %d hexadecimal digits",
				       where, number, KEY_HEX);
		if (find_key(ring, slice_text(key->id)) != NULL)
			return sl_fail(error, SL_INVALID, "%s:%d: this key stands there twice",
				       where, number);
		ring->count++;
	}
	if (ring->count == 0)
		return sl_fail(error, SL_INVALID, "%s: no key in it", where);
	return SL_OK;
}

/* room gets at most size bytes; a larger file fails.  Start-up only: regular files do not block. */
static enum sl_code
read_key_file(const char *path, char *room, size_t size, size_t *len, struct sl_error *error)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = 0;

	if (fd < 0)
		return sl_fail(error, errno == ENOENT ? SL_NOT_FOUND : SL_INVALID, "%s: %s", path,
			       strerror(errno));
	for (*len = 0; *len < size; *len += (size_t)got) {
		got = read(fd, room + *len, size - *len);
		if (got < 0 && errno == EINTR)
			got = 0;
		else if (got <= 0)
			break;
	}
	if (got < 0)
		sl_fail(error, SL_INVALID, "%s: %s", path, strerror(errno));
	else if (*len == size)
		sl_fail(error, SL_INVALID, "%s: too large for a key file", path);
	close(fd);
	return got < 0 || *len == size ? SL_INVALID : SL_OK;
}

static enum sl_code
finish_ring(enum sl_code code, struct secret_ring *ring, struct secret_ring **out)
{
	*out = NULL;
	if (code == SL_OK)
		*out = ring;
	else
		secret_ring_free(ring);
	return code;
}

enum sl_code
secret_ring_load(const char *path, struct secret_ring **out, struct sl_error *error)
{
	struct secret_ring *ring = sl_alloc(sizeof(*ring));
	char *room = sl_alloc(KEY_FILE_MAX);
	size_t len = 0;
	enum sl_code code = read_key_file(path, room, KEY_FILE_MAX, &len, error);

	if (code == SL_OK)
		code = parse_ring(path, (struct slice){room, len}, "", ring, error);
	secret_wipe(room, KEY_FILE_MAX);
	free(room);
	return finish_ring(code, ring, out);
}

enum sl_code
secret_ring_parse(struct slice text, const char *where, struct secret_ring **out,
		  struct sl_error *error)
{
	struct secret_ring *ring = sl_alloc(sizeof(*ring));

	return finish_ring(parse_ring(where, text, ", \t\r", ring, error), ring, out);
}

void
secret_ring_take(struct secret_ring *ring, const struct secret_ring *fresh)
{
	*ring = *fresh;
}

size_t
secret_ring_count(const struct secret_ring *ring)
{
	return ring->count;
}

const char *
secret_ring_id(const struct secret_ring *ring, size_t at)
{
	assert(at < ring->count);
	return ring->key[at].id;
}

bool
secret_ring_has(const struct secret_ring *ring, const char *id)
{
	return find_key(ring, slice_text(id)) != NULL;
}

void
secret_ring_free(struct secret_ring *ring)
{
	if (ring == NULL)
		return;
	secret_wipe(ring, sizeof(*ring));
	free(ring);
}

/* ---- sealing --------------------------------------------------------------------------------- */

#define NONCES_MAX 64

struct secret_work {
	const struct secret_ring *ring;
	EVP_CIPHER_CTX *sealing, *opening; /* with their key; NULL: not needed yet */
	/* Whose schedules these have.  Copies: the ring may take other keys meanwhile. */
	struct ring_key seals, opens;
	EVP_MD_CTX *digest;
	uint8_t nonces[NONCES_MAX * NONCE_BYTES];
	size_t nonces_left,
	    nonces_next; /* the next stretch: a value alone takes no more than it needs */
	struct buf bytes;
};

struct secret_work *
secret_work_new(const struct secret_ring *ring)
{
	struct secret_work *work = sl_alloc(sizeof(*work));

	work->ring = ring;
	work->nonces_next = 1;
	buf_init(&work->bytes, INT32_MAX);
	return work;
}

void
secret_work_free(struct secret_work *work)
{
	if (work == NULL)
		return;
	EVP_CIPHER_CTX_free(work->sealing);
	EVP_CIPHER_CTX_free(work->opening);
	EVP_MD_CTX_free(work->digest);
	buf_fini(&work->bytes);
	secret_wipe(work, sizeof(*work));
	free(work);
}

void
secret_work_sha256(struct secret_work *work, struct slice bytes, uint8_t out[32])
{
	const EVP_MD *kind = work->digest == NULL ? EVP_sha256() : NULL;

	if (work->digest == NULL)
		work->digest = EVP_MD_CTX_new();
	sha256_step(work->digest, kind, bytes, SLICE_LITERAL(""), out);
}

static void
take_nonce(struct secret_work *work, uint8_t *out)
{
	if (work->nonces_left == 0) {
		work->nonces_left = work->nonces_next;
		work->nonces_next = NONCES_MAX;
		secret_random(work->nonces, work->nonces_left * NONCE_BYTES);
	}
	memcpy(out, work->nonces + --work->nonces_left * NONCE_BYTES, NONCE_BYTES);
}

static bool
is_same_key(const struct ring_key *a, const struct ring_key *b)
{
	return memcmp(a->id, b->id, sizeof(a->id)) == 0 &&
	       secret_equal(a->bytes, b->bytes, KEY_BYTES);
}

void
secret_work_seal(struct secret_work *work, struct slice plain, struct slice row, struct buf *out)
{
	const struct ring_key *key = &work->ring->key[0];
	size_t len = NONCE_BYTES + plain.len + TAG_BYTES;
	uint8_t *sealed;
	int written;

	must(plain.len < INT32_MAX - NONCE_BYTES - TAG_BYTES && row.len < INT32_MAX, "size check");
	if (work->sealing == NULL || !is_same_key(&work->seals, key)) {
		const EVP_CIPHER *kind = work->sealing == NULL ? EVP_aes_256_gcm() : NULL;

		if (work->sealing == NULL)
			work->sealing = EVP_CIPHER_CTX_new();
		must(work->sealing != NULL &&
			 EVP_EncryptInit_ex(work->sealing, kind, NULL, key->bytes, NULL) == 1,
		     "AES-256-GCM");
		work->seals = *key;
	}
	buf_clear(&work->bytes);
	must(buf_reserve(&work->bytes, len), "size check");
	sealed = (uint8_t *)work->bytes.data;
	take_nonce(work, sealed);
	must(EVP_EncryptInit_ex(work->sealing, NULL, NULL, NULL, sealed) == 1 &&
		 EVP_EncryptUpdate(work->sealing, NULL, &written, (const uint8_t *)row.data,
				   (int)row.len) == 1 &&
		 EVP_EncryptUpdate(work->sealing, sealed + NONCE_BYTES, &written,
				   (const uint8_t *)plain.data, (int)plain.len) == 1 &&
		 EVP_EncryptFinal_ex(work->sealing, sealed + NONCE_BYTES + plain.len, &written) ==
		     1 &&
		 EVP_CIPHER_CTX_ctrl(work->sealing, EVP_CTRL_GCM_GET_TAG, TAG_BYTES,
				     sealed + len - TAG_BYTES) == 1,
	     "AES-256-GCM");
	(void)buf_reserve(out, HEAD_LEN + (len + 2) / 3 * 4);
	buf_add(out, form, FORM_LEN);
	buf_add(out, key->id, ID_HEX);
	buf_add_char(out, ':');
	base64_add(out, sealed, len);
}

void
secret_seal(const struct secret_ring *ring, struct slice plain, const char *row, struct buf *out)
{
	struct secret_work *work = secret_work_new(ring);

	secret_work_seal(work, plain, slice_text(row), out);
	secret_work_free(work);
}

/* bytes is nonce | ciphertext | tag; plain has room for the ciphertext's length. */
static bool
open_bytes(struct secret_work *work, const struct ring_key *key, struct slice bytes,
	   struct slice row, char *plain)
{
	const uint8_t *nonce = (const uint8_t *)bytes.data, *cipher = nonce + NONCE_BYTES;
	size_t len = bytes.len - NONCE_BYTES - TAG_BYTES;
	const EVP_CIPHER *kind = work->opening == NULL ? EVP_aes_256_gcm() : NULL;
	int written;
	bool opened;

	if (work->opening == NULL) {
		work->opening = EVP_CIPHER_CTX_new();
		work->opens.id[0] = '\0';
	}
	must(row.len < INT32_MAX && work->opening != NULL &&
		 EVP_DecryptInit_ex(work->opening, kind, NULL,
				    is_same_key(&work->opens, key) ? NULL : key->bytes,
				    nonce) == 1 &&
		 EVP_CIPHER_CTX_ctrl(work->opening, EVP_CTRL_GCM_SET_TAG, TAG_BYTES,
				     (void *)(uintptr_t)(cipher + len)) == 1 &&
		 EVP_DecryptUpdate(work->opening, NULL, &written, (const uint8_t *)row.data,
				   (int)row.len) == 1 &&
		 EVP_DecryptUpdate(work->opening, (uint8_t *)plain, &written, cipher, (int)len) ==
		     1,
	     "AES-256-GCM");
	work->opens = *key;
	opened = EVP_DecryptFinal_ex(work->opening, (uint8_t *)plain + len, &written) == 1;
	if (!opened)
		secret_wipe(plain, len);
	return opened;
}

bool
secret_sealed_id(struct slice sealed, char id[SECRET_KEY_ID])
{
	if (sealed.len < HEAD_LEN || memcmp(sealed.data, form, FORM_LEN) != 0 ||
	    sealed.data[HEAD_LEN - 1] != ':')
		return false;
	memcpy(id, sealed.data + FORM_LEN, ID_HEX);
	id[ID_HEX] = '\0';
	return true;
}

enum sl_code
secret_work_open(struct secret_work *work, struct slice sealed, struct slice row, struct buf *plain,
		 struct sl_error *error)
{
	const struct ring_key *key;
	enum sl_code code = SL_OK;
	size_t len;

	if (sealed.len < HEAD_LEN || sealed.len >= INT32_MAX ||
	    memcmp(sealed.data, form, FORM_LEN) != 0 || sealed.data[HEAD_LEN - 1] != ':')
		return sl_fail(error, SL_INVALID, "sealed value: not of the form s1:KEY:BYTES");
	key = find_key(work->ring, (struct slice){sealed.data + FORM_LEN, ID_HEX});
	if (key == NULL)
		return sl_fail(error, SL_INVALID,
			       "sealed value: its key is not among the encryption keys (add the "
			       "old key)");
	buf_clear(&work->bytes);
	if (!base64_decode((struct slice){sealed.data + HEAD_LEN, sealed.len - HEAD_LEN},
			   &work->bytes) ||
	    work->bytes.len < NONCE_BYTES + TAG_BYTES)
		return sl_fail(error, SL_INVALID, "sealed value: damaged");
	len = work->bytes.len - NONCE_BYTES - TAG_BYTES;
	if (!buf_reserve(plain, len))
		code = sl_fail(error, SL_EXHAUSTED, "sealed value: over %zu bytes", plain->cap);
	else if (!open_bytes(work, key, buf_slice(&work->bytes), row, plain->data + plain->len))
		code = sl_fail(error, SL_INVALID,
			       "sealed value: damaged, or it belongs to another row");
	else
		plain->len += len;
	if (plain->data != NULL)
		plain->data[plain->len] = '\0';
	return code;
}

enum sl_code
secret_open(const struct secret_ring *ring, struct slice sealed, const char *row, struct buf *plain,
	    struct sl_error *error)
{
	struct secret_work *work = secret_work_new(ring);
	enum sl_code code = secret_work_open(work, sealed, slice_text(row), plain, error);

	secret_work_free(work);
	return code;
}
