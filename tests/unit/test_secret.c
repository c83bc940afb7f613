#include "base/secret.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/lib/check.h"

#define KEY_A "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_B "FFFEFDFCFBFAF9F8F7F6F5F4F3F2F1F0EFEEEDECEBEAE9E8E7E6E5E4E3E2E1E0"

static struct sl_error error;

static enum sl_code
load(const char *text, size_t len, struct secret_ring **ring)
{
	char path[] = "/tmp/test_secret.XXXXXX";
	int fd = mkstemp(path);
	enum sl_code code;

	check(fd >= 0);
	check_int(write(fd, text, len), ==, len);
	close(fd);
	code = secret_ring_load(path, ring, &error);
	unlink(path);
	return code;
}

static struct secret_ring *
ring_of(const char *text)
{
	struct secret_ring *ring;

	check_int(load(text, strlen(text), &ring), ==, SL_OK);
	return ring;
}

static void
what_was_sealed_opens(void)
{
	struct secret_ring *ring = ring_of(KEY_A "\n");
	static char plain[3000];
	struct buf sealed, opened;

	buf_init(&sealed, 100000);
	buf_init(&opened, 100000);
	memset(plain, 'p', sizeof(plain));
	for (size_t len = 0; len < sizeof(plain); len += len < 40 ? 1 : 411) {
		buf_clear(&sealed);
		buf_clear(&opened);
		secret_seal(ring, (struct slice){plain, len}, "row", &sealed);
		check(strncmp(sealed.data, "s1:", 3) == 0);
		check_int(secret_open(ring, buf_slice(&sealed), "row", &opened, &error), ==, SL_OK);
		check_int(opened.len, ==, len);
		check(memcmp(buf_slice(&opened).data, plain, len) == 0);
	}
	check_int(secret_open(ring, buf_slice(&sealed), "row", &opened, &error), ==, SL_OK);
	check_int(opened.len % 2, ==, 0); /* appended behind what was there */
	buf_fini(&sealed);
	buf_fini(&opened);
	secret_ring_free(ring);
}

static void
two_seals_of_one_secret_differ(void)
{
	struct secret_ring *ring = ring_of(KEY_A);
	struct buf one, two;

	buf_init(&one, 1000);
	buf_init(&two, 1000);
	secret_seal(ring, SLICE_LITERAL("x"), "", &one);
	secret_seal(ring, SLICE_LITERAL("x"), "", &two);
	check(!slice_equal(buf_slice(&one), buf_slice(&two)));
	buf_fini(&one);
	buf_fini(&two);
	secret_ring_free(ring);
}

static void
any_changed_or_missing_byte_keeps_it_shut(void)
{
	struct secret_ring *ring = ring_of(KEY_A);
	struct buf sealed, opened;

	buf_init(&sealed, 1000);
	buf_init(&opened, 1000);
	secret_seal(ring, SLICE_LITERAL("a secret"), "row", &sealed);
	for (size_t at = 0; at < sealed.len; at++) {
		for (int bit = 0; bit < 8; bit++) {
			sealed.data[at] ^= (char)(1 << bit);
			check_int(secret_open(ring, buf_slice(&sealed), "row", &opened, NULL), ==,
				  SL_INVALID);
			sealed.data[at] ^= (char)(1 << bit);
		}
		check_int(secret_open(ring, (struct slice){sealed.data, at}, "row", &opened, NULL),
			  ==, SL_INVALID);
		check_int(opened.len, ==, 0);
	}
	buf_fini(&sealed);
	buf_fini(&opened);
	secret_ring_free(ring);
}

static void
another_row_does_not_open(void)
{
	struct secret_ring *ring = ring_of(KEY_A);
	struct buf sealed, opened;

	buf_init(&sealed, 1000);
	buf_init(&opened, 1000);
	secret_seal(ring, SLICE_LITERAL("a secret"), "connection:1", &sealed);
	check_int(secret_open(ring, buf_slice(&sealed), "connection:2", &opened, &error), ==,
		  SL_INVALID);
	check_int(opened.len, ==, 0);
	check(strstr(error.text, "a secret") == NULL);
	buf_fini(&sealed);
	buf_fini(&opened);
	secret_ring_free(ring);
}

static void
old_keys_open_and_the_first_one_seals(void)
{
	struct secret_ring *old = ring_of(KEY_A), *both = ring_of("# new\n" KEY_B " # b\n\n" KEY_A);
	struct buf sealed, opened;

	buf_init(&sealed, 1000);
	buf_init(&opened, 1000);
	secret_seal(old, SLICE_LITERAL("x"), "row", &sealed);
	check_int(secret_open(both, buf_slice(&sealed), "row", &opened, &error), ==, SL_OK);
	buf_clear(&sealed);
	secret_seal(both, SLICE_LITERAL("x"), "row", &sealed);
	check_int(secret_open(old, buf_slice(&sealed), "row", &opened, &error), ==, SL_INVALID);
	buf_fini(&sealed);
	buf_fini(&opened);
	secret_ring_free(old);
	secret_ring_free(both);
}

static void
a_plain_buffer_that_is_too_small_is_said(void)
{
	struct secret_ring *ring = ring_of(KEY_A);
	struct buf sealed, opened;

	buf_init(&sealed, 1000);
	buf_init(&opened, 4);
	secret_seal(ring, SLICE_LITERAL("12345"), "row", &sealed);
	check_int(secret_open(ring, buf_slice(&sealed), "row", &opened, NULL), ==, SL_EXHAUSTED);
	buf_fini(&sealed);
	buf_fini(&opened);
	secret_ring_free(ring);
}

static void
bad_key_files_are_refused_without_repeating_them(void)
{
	static const char *const files[] = {
	    "",
	    "# only a comment\n",
	    "00",
	    KEY_A "0",
	    KEY_A " " KEY_B,
	    KEY_A "\n" KEY_A "\n",
	    "g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
	};
	struct secret_ring *ring;
	char *large = calloc(1, 70000);

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		check_int(load(files[i], strlen(files[i]), &ring), ==, SL_INVALID);
		check(ring == NULL);
		check(strstr(error.text, "0102030405") == NULL);
	}
	memset(large, '#', 69999);
	check_int(load(large, 69999, &ring), ==, SL_INVALID);
	free(large);
	check_int(load(KEY_A "\0", 65, &ring), ==, SL_INVALID);
	check_int(secret_ring_load("/nonexistent/key", &ring, &error), ==, SL_NOT_FOUND);
	check_int(secret_ring_load("/tmp", &ring, &error), ==, SL_INVALID);
}

static void
derived_keys_depend_on_key_and_label(void)
{
	struct secret_ring *a = ring_of(KEY_A), *b = ring_of(KEY_B "\n" KEY_A);
	uint8_t one[32], two[32];

	secret_ring_derive(a, "label", one);
	secret_ring_derive(a, "label", two);
	check(secret_equal(one, two, 32));
	secret_ring_derive(a, "other", two);
	check(!secret_equal(one, two, 32));
	secret_ring_derive(b, "label", two);
	check(!secret_equal(one, two, 32));
	secret_ring_free(a);
	secret_ring_free(b);
}

static void
digests_match_published_vectors(void)
{
	char hex[SECRET_SHA256_HEX];
	uint8_t mac[32];
	char long_key[131];
	struct buf out;

	secret_sha256_hex(SLICE_LITERAL("abc"), hex); /* FIPS 180-2, B.1 */
	check_text(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	secret_sha256_hex((struct slice){NULL, 0}, hex);
	check_text(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	buf_init(&out, 100); /* RFC 4231, cases 2 and 6 */
	secret_hmac_sha256(SLICE_LITERAL("Jefe"), SLICE_LITERAL("what do ya want for nothing?"),
			   mac);
	hex_add(&out, mac, sizeof(mac));
	check_text(out.data, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	buf_clear(&out);
	memset(long_key, 0xAA, sizeof(long_key));
	secret_hmac_sha256((struct slice){long_key, sizeof(long_key)},
			   SLICE_LITERAL("Test Using Larger Than Block-Size Key - Hash Key First"),
			   mac);
	hex_add(&out, mac, sizeof(mac));
	check_text(out.data, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	buf_fini(&out);
}

static void
comparing_sees_every_byte(void)
{
	check(secret_equal("abc", "abc", 3));
	check(!secret_equal("abc", "abd", 3));
	check(!secret_equal("xbc", "abc", 3));
	check(secret_equal("x", "y", 0));
}

static void
version_7_ids_only_rise(void)
{
	char before[UUID_TEXT], now[UUID_TEXT];

	clock_test_set(0, 1764821520123);
	uuid_v7(before);
	check(strncmp(before, "019ae78f-4efb-7", 15) == 0);
	for (int i = 0; i < 20000; i++) { /* more than one millisecond's worth */
		uuid_v7(now);
		check_int(strcmp(before, now), <, 0);
		memcpy(before, now, sizeof(now));
	}
	clock_test_set(0, 1764821599000);
	uuid_v7(now);
	check_int(strcmp(before, now), <, 0);
	clock_test_set(0, 1764821510000); /* the clock goes back: the time field waits for it */
	for (int i = 0; i < 100; i++) {
		memcpy(before, now, sizeof(now));
		uuid_v7(now);
		check_int(strcmp(before, now), <, 0);
		check_int(strncmp(before, now, 13), ==, 0);
	}
	clock_test_clear();
}

static void
ids_have_version_and_variant(void)
{
	char id[UUID_TEXT], other[UUID_TEXT];

	for (int i = 0; i < 100; i++) {
		uuid_v4(id);
		check(uuid_parse(slice_text(id), NULL));
		check_int(id[14], ==, '4');
		check(strchr("89ab", id[19]) != NULL);
		uuid_v7(id);
		check(uuid_parse(slice_text(id), NULL));
		check_int(id[14], ==, '7');
		check(strchr("89ab", id[19]) != NULL);
	}
	uuid_v4(id);
	uuid_v4(other);
	check(strcmp(id, other) != 0);
}

static void
ids_are_parsed_strictly(void)
{
	static const char *const bad[] = {
	    "",
	    "019aeafd-6a7b-7000-8000-00000000000",
	    "019aeafd-6a7b-7000-8000-0000000000000",
	    "019aeafd06a7b-7000-8000-000000000000",
	    "019aeafd-6a7b-7000-8000-00000000000g",
	    "019aeafd-6a7b-7000-8000-000000000-00",
	    "{19aeafd-6a7b-7000-8000-00000000000}",
	};
	char id[UUID_TEXT] = "kept";

	check(uuid_parse(slice_text("019AEAFD-6a7b-7000-8000-0000000000FF"), id));
	check_text(id, "019aeafd-6a7b-7000-8000-0000000000ff");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check(!uuid_parse(slice_text(bad[i]), id));
	check(!uuid_parse((struct slice){"019aeafd-6a7b-7000-8000-00000000000\0", 36}, id));
	check_text(id, "019aeafd-6a7b-7000-8000-0000000000ff");
}

static void
base64_matches_rfc_4648(void)
{
	static const char *const pairs[][2] = {
	    {"", ""},
	    {"f", "Zg=="},
	    {"fo", "Zm8="},
	    {"foo", "Zm9v"},
	    {"foob", "Zm9vYg=="},
	    {"fooba", "Zm9vYmE="},
	    {"foobar", "Zm9vYmFy"},
	    {"\xFB\xFF\xFE", "+//+"},
	};
	struct buf out;

	buf_init(&out, 100);
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		buf_clear(&out);
		base64_add(&out, pairs[i][0], strlen(pairs[i][0]));
		check(slice_is(buf_slice(&out), pairs[i][1]));
		buf_clear(&out);
		check(base64_decode(slice_text(pairs[i][1]), &out));
		check(slice_is(buf_slice(&out), pairs[i][0]));
	}
	buf_fini(&out);
}

static void
base64_has_one_spelling_per_value(void)
{
	static const char *const bad[] = {
	    "Z",        "Zg",   "Zg=",  "Zg===", "=",    "====",     "Zh==", "Zm9=", "Zm9v\n",
	    "Zg==Zg==", "Zm-v", "Zm_v", "Z===",  "Zg=v", "Zm9vZg= ", " Zm9", "Z=9v"};
	struct buf out;

	buf_init(&out, 100);
	buf_add_text(&out, "kept");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (base64_decode(slice_text(bad[i]), &out))
			check_text(bad[i], "(should be refused)");
		check_text(out.data, "kept");
	}
	buf_fini(&out);
}

static void
decoding_needs_no_more_room_than_the_bytes(void)
{
	struct buf out;

	buf_init(&out, 4);
	check(base64_decode(SLICE_LITERAL("Zm9vYg=="), &out));
	check_text(out.data, "foob");
	buf_fini(&out);
	buf_init(&out, 3);
	check(!base64_decode(SLICE_LITERAL("Zm9vYg=="), &out));
	check_int(out.len, ==, 0);
	buf_fini(&out);
}

static void
take(struct secret_ring *ring, const char *text)
{
	struct secret_ring *fresh = ring_of(text);

	secret_ring_take(ring, fresh);
	secret_ring_free(fresh);
}

static void
a_ring_takes_other_keys_and_who_works_with_it_follows(void)
{
	struct secret_ring *ring = ring_of(KEY_A "\n"), *other = ring_of(KEY_B "\n");
	struct secret_work *work = secret_work_new(ring);
	struct slice row = SLICE_LITERAL("row");
	struct buf one, two, opened;

	buf_init(&one, 1000);
	buf_init(&two, 1000);
	buf_init(&opened, 1000);
	secret_work_seal(work, SLICE_LITERAL("x"), row, &one);
	check_int(secret_work_open(work, buf_slice(&one), row, &opened, &error), ==, SL_OK);
	take(ring, KEY_B "\n" KEY_A "\n");
	secret_work_seal(work, SLICE_LITERAL("y"), row, &two);
	check_int(secret_open(other, buf_slice(&two), "row", &opened, &error), ==, SL_OK);
	check_int(secret_work_open(work, buf_slice(&two), row, &opened, &error), ==, SL_OK);
	check_int(secret_work_open(work, buf_slice(&one), row, &opened, &error), ==, SL_OK);
	take(ring, KEY_B "\n");
	check_int(secret_work_open(work, buf_slice(&one), row, &opened, &error), ==, SL_INVALID);
	check_int(secret_work_open(work, buf_slice(&two), row, &opened, &error), ==, SL_OK);
	check_text(opened.data, "xyyxy");
	secret_work_free(work);
	secret_ring_free(ring);
	secret_ring_free(other);
	buf_fini(&one);
	buf_fini(&two);
	buf_fini(&opened);
}

static void
keys_have_names_that_sealed_values_carry(void)
{
	struct secret_ring *ring = ring_of(KEY_B "\n" KEY_A "\n"), *a = ring_of(KEY_A);
	char id[SECRET_KEY_ID];
	struct buf sealed;

	buf_init(&sealed, 1000);
	check_int(secret_ring_count(ring), ==, 2);
	check_text(secret_ring_id(ring, 1), secret_ring_id(a, 0));
	check(secret_ring_has(ring, secret_ring_id(a, 0)));
	check(!secret_ring_has(a, secret_ring_id(ring, 0)));
	check(!secret_ring_has(a, ""));
	secret_seal(a, SLICE_LITERAL("x"), "row", &sealed);
	check(secret_sealed_id(buf_slice(&sealed), id));
	check_text(id, secret_ring_id(a, 0));
	check(strstr(KEY_A, id) == NULL);
	check(!secret_sealed_id(SLICE_LITERAL(""), id));
	check(!secret_sealed_id(SLICE_LITERAL("s1:12345678"), id));
	check(!secret_sealed_id(SLICE_LITERAL("s2:12345678:abcd"), id));
	secret_ring_free(ring);
	secret_ring_free(a);
	buf_fini(&sealed);
}

static void
keys_of_a_variable_stand_between_commas_or_blanks(void)
{
	static const char *const good[] = {KEY_B "," KEY_A, KEY_B " " KEY_A, KEY_B ",\n" KEY_A "\n",
					   "  " KEY_B "  ,  " KEY_A ","};
	static const char *const bad[] = {"", " ,", KEY_A "," KEY_A, KEY_A ",0011", "x" KEY_A};
	struct secret_ring *ring, *file = ring_of(KEY_B "\n" KEY_A);

	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		check_int(
		    secret_ring_parse(slice_text(good[i]), "SLUICE_ENCRYPTION_KEY", &ring, &error),
		    ==, SL_OK);
		check_int(secret_ring_count(ring), ==, 2);
		check_text(secret_ring_id(ring, 0), secret_ring_id(file, 0));
		secret_ring_free(ring);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		check_int(
		    secret_ring_parse(slice_text(bad[i]), "SLUICE_ENCRYPTION_KEY", &ring, &error),
		    ==, SL_INVALID);
		check(ring == NULL);
		check(strstr(error.text, "SLUICE_ENCRYPTION_KEY") != NULL);
		check(strstr(error.text, "0102030405") == NULL &&
		      strstr(error.text, "0011") == NULL);
	}
	secret_ring_free(file);
}

int
main(void)
{
	CHECK_RUN(what_was_sealed_opens);
	CHECK_RUN(two_seals_of_one_secret_differ);
	CHECK_RUN(any_changed_or_missing_byte_keeps_it_shut);
	CHECK_RUN(another_row_does_not_open);
	CHECK_RUN(old_keys_open_and_the_first_one_seals);
	CHECK_RUN(a_ring_takes_other_keys_and_who_works_with_it_follows);
	CHECK_RUN(keys_have_names_that_sealed_values_carry);
	CHECK_RUN(keys_of_a_variable_stand_between_commas_or_blanks);
	CHECK_RUN(a_plain_buffer_that_is_too_small_is_said);
	CHECK_RUN(bad_key_files_are_refused_without_repeating_them);
	CHECK_RUN(derived_keys_depend_on_key_and_label);
	CHECK_RUN(digests_match_published_vectors);
	CHECK_RUN(comparing_sees_every_byte);
	CHECK_RUN(version_7_ids_only_rise);
	CHECK_RUN(ids_have_version_and_variant);
	CHECK_RUN(ids_are_parsed_strictly);
	CHECK_RUN(base64_matches_rfc_4648);
	CHECK_RUN(base64_has_one_spelling_per_value);
	CHECK_RUN(decoding_needs_no_more_room_than_the_bytes);
	return check_done();
}
