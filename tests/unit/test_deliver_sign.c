/* tests/unit/test_deliver_sign.c - daemon/deliver/sign.  The vectors were made with Python's hmac and hashlib, which
 * also give the one that the Standard Webhooks specification prints. */
#include "daemon/deliver/sign.h"

#include "tests/lib/check.h"

#define KEY "3f1c9a52-7d0e-4b8f-9c7e-5a2d1e0b6f44"
#define KEY_BEFORE \
	"an older key that is longer than the sixty-four bytes of a block of SHA-256, by some"
#define ID "01936b3c-9d5e-7a41-8c2b-3f4d5e6a7b8c"
#define NOW 1764000000
#define BODY                                                       \
	"{\"connectionId\":\"c\",\"from\":\"nango\",\"payload\":{" \
	"\"id\":\"\303\274\"},\"type\":\"async_action\"}"
#define PART "v1,rbAm/Xzyvfc0LxE4Lga3vaaW6+tTLEd9Tf4cKBX2AnI="
#define PART_BEFORE "v1,5eysoerN7gBXoom/X0ey3Bm2AgH301wlk+pS3APoQJA="

static struct sign_headers headers;

static void
the_vector_of_the_specification_holds(void)
{
	static const char key[] = "\x31\xf2\x90\xf6\xbf\x06\x29\x8a\xab\x4f\x08\xd4"
				  "\x3c\x3f\x08\x2c\xf6\x48\xa3\x62\xda\x2d\xa4\xb0";

	sign_webhook((struct slice){key, 24}, slice_text(""), "msg_p5jXN8AQM9LWM0D4loKWxJek",
		     1614265330, SLICE_LITERAL("{\"test\": 2432232314}"), &headers);
	check_text(headers.signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

static void
each_header_is_over_the_exact_bytes(void)
{
	sign_webhook(SLICE_LITERAL(KEY), slice_text(""), ID, NOW, SLICE_LITERAL(BODY), &headers);
	check_text(headers.id, ID);
	check_text(headers.timestamp, "1764000000");
	check_text(headers.nango_signature,
		   "bb0795f6a3d15ff75e4c4c3fe04ed3a93af32c963e5a8f5ca4173128525a1479");
	check_text(headers.nango_hmac,
		   "6b5ac42da0e075f0e731181fcf0984b242a085024faa9d79367a558c9216553d");
	check_text(headers.signature, PART);
}

static void
an_empty_body_is_signed(void)
{
	sign_webhook(SLICE_LITERAL(KEY), slice_text(""), ID, NOW, (struct slice){NULL, 0},
		     &headers);
	check_text(headers.nango_signature,
		   "ad6df51348db23081449b00ee03b3cbd08ce78f400ff8e61a9000d423f595551");
	check_text(headers.nango_hmac,
		   "0c4355d37f2343a23878e11d25ebae1e39f7826f7b7a6ff3b3f97f68c51fe0c1");
	check_text(headers.signature, "v1,IsJ5nmHjq2utczFaXcZz4EIpfqnCkYwQFZNl7pSl0lo=");
}

static void
after_a_rotation_both_keys_sign_the_new_one_first(void)
{
	sign_webhook(SLICE_LITERAL(KEY), SLICE_LITERAL(KEY_BEFORE), ID, NOW, SLICE_LITERAL(BODY),
		     &headers);
	check_text(headers.signature, PART " " PART_BEFORE);
	check_text(headers.nango_hmac,
		   "6b5ac42da0e075f0e731181fcf0984b242a085024faa9d79367a558c9216553d");
}

static void
without_a_key_nothing_is_signed(void)
{
	sign_webhook(slice_text(""), SLICE_LITERAL(KEY_BEFORE), ID, NOW, SLICE_LITERAL(BODY),
		     &headers);
	check_text(headers.id, ID);
	check_text(headers.timestamp, "1764000000");
	check_text(headers.nango_signature, "");
	check_text(headers.nango_hmac, "");
	check_text(headers.signature, "");
}

int
main(void)
{
	CHECK_RUN(the_vector_of_the_specification_holds);
	CHECK_RUN(each_header_is_over_the_exact_bytes);
	CHECK_RUN(an_empty_body_is_signed);
	CHECK_RUN(after_a_rotation_both_keys_sign_the_new_one_first);
	CHECK_RUN(without_a_key_nothing_is_signed);
	return check_done();
}
