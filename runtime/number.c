#include "runtime/number.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

#define EXACT_DIGITS 15          /* of these any number can be read and printed without a loss */
#define INTEGER_DIGITS 400       /* more than any number has before its point */
#define FIXED_MAX 100            /* digits after the point */
#define OBJECT_VALUE "\x82Value" /* where Duktape keeps the number of a Number object */
#define TWO_53 9007199254740992.0
#define POINT 1100 /* where the point stands while digits are made on both sides */

/* The bytes of white space at the start of text (ECMA-262, 12.2 and 12.3), which is CESU-8. */
static size_t
space(const char *text)
{
	static const char *const wide[] = {"\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8",
					   "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f",
					   "\xe3\x80\x80", "\xef\xbb\xbf"};
	size_t at = 0;

	for (;;) {
		size_t len = 0;

		if (text[at] == ' ' || (text[at] >= '\t' && text[at] <= '\r'))
			len = 1;
		else if (strncmp(text + at, "\xe2\x80", 2) == 0 &&
			 (unsigned char)text[at + 2] >= 0x80 && (unsigned char)text[at + 2] <= 0x8a)
			len = 3;
		for (size_t i = 0; len == 0 && i < sizeof(wide) / sizeof(wide[0]); i++) {
			if (strncmp(text + at, wide[i], strlen(wide[i])) == 0)
				len = strlen(wide[i]);
		}
		if (len == 0)
			return at;
		at += len;
	}
}

static size_t
digits(const char *text)
{
	return strspn(text, "0123456789");
}

/* The length of the decimal literal that text starts with; 0: it starts with none. */
static size_t
decimal(const char *text)
{
	size_t at = *text == '+' || *text == '-', whole = digits(text + at), after = 0;

	at += whole;
	if (text[at] == '.') {
		after = digits(text + at + 1);
		if (whole + after > 0)
			at += 1 + after;
	}
	if (whole + after == 0)
		return 0;
	if (text[at] == 'e' || text[at] == 'E') {
		size_t sign = text[at + 1] == '+' || text[at + 1] == '-';
		size_t power = digits(text + at + 1 + sign);

		if (power > 0)
			at += 1 + sign + power;
	}
	return at;
}

/* Reads at index 0 a text that is one long decimal literal.  False: it is another. */
static bool
read_long(duk_context *ctx, double *out)
{
	duk_size_t len;
	const char *text = duk_get_lstring(ctx, 0, &len);
	size_t at, literal;

	if (len <= EXACT_DIGITS || duk_is_symbol(ctx, 0))
		return false;
	at = space(text);
	literal = decimal(text + at);
	if (literal == 0 || at + literal + space(text + at + literal) != len)
		return false;
	*out = strtod(text + at, NULL);
	return true;
}

duk_ret_t
number_construct(duk_context *ctx)
{
	double value = 0;

	if (duk_get_top(ctx) > 0) {
		duk_to_primitive(ctx, 0, DUK_HINT_NUMBER);
		if (!duk_is_string(ctx, 0) || !read_long(ctx, &value))
			value = duk_to_number(ctx, 0);
	}
	duk_push_number(ctx, value);
	if (!duk_is_constructor_call(ctx))
		return 1;
	duk_to_object(ctx, -1);
	duk_push_this(ctx);
	duk_get_prototype(ctx, -1);
	duk_set_prototype(ctx, -3);
	duk_pop(ctx);
	return 1;
}

duk_ret_t
number_parse_float(duk_context *ctx)
{
	const char *text = duk_to_string(ctx, 0);
	size_t at = space(text), literal = decimal(text + at), sign;

	text += at;
	sign = *text == '+' || *text == '-';
	if (text[sign] == '0' && (text[sign + 1] == 'x' || text[sign + 1] == 'X'))
		duk_push_number(ctx, *text == '-' ? -0.0 : 0.0); /* strtod reads "0x1" */
	else if (literal > 0)
		duk_push_number(ctx, strtod(text, NULL));
	else if (strncmp(text + sign, "Infinity", 8) == 0)
		duk_push_number(ctx, *text == '-' ? -INFINITY : INFINITY);
	else
		duk_push_nan(ctx);
	return 1;
}

static int
digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'Z')
		return c - 'A' + 10;
	return 36;
}

/* The whole number of the decimal digits of text. */
static double
long_integer(const char *text)
{
	char copy[INTEGER_DIGITS + 1];
	size_t count;

	text += strspn(text, "0");
	count = digits(text);
	if (count > INTEGER_DIGITS)
		return INFINITY;
	memcpy(copy, text, count);
	copy[count] = '\0';
	return count == 0 ? 0 : strtod(copy, NULL);
}

duk_ret_t
number_parse_int(duk_context *ctx)
{
	const char *text = duk_to_string(ctx, 0);
	int radix = duk_to_int32(ctx, 1);
	double value = 0, sign = 1;
	size_t count = 0;

	text += space(text);
	if (*text == '+' || *text == '-')
		sign = *text++ == '-' ? -1 : 1;
	if ((radix == 0 || radix == 16) && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		text += 2;
		radix = 16;
	}
	if (radix == 0)
		radix = 10;
	for (; radix >= 2 && radix <= 36 && digit_of(text[count]) < radix; count++)
		value = value * radix + digit_of(text[count]);
	if (radix == 10 && count > EXACT_DIGITS)
		value = long_integer(text);
	duk_push_number(ctx, count == 0 ? NAN : sign * value);
	return 1;
}

static const char base_digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";

/* Writes the digits of fraction from *out on, until less is left than half of the distance to the
 * next number.  Answers what is to be added to the whole part. */
static double
fraction_digits(double fraction, double half, int radix, char **out)
{
	char *first = *out, *at = first;

	do {
		int digit;

		fraction *= radix;
		half *= radix;
		digit = (int)fraction;
		*at++ = base_digits[digit];
		fraction -= digit;
		if ((fraction > 0.5 || (fraction == 0.5 && (digit & 1) != 0)) &&
		    fraction + half > 1) {
			while (at > first && digit_of(at[-1]) == radix - 1)
				at--;
			if (at == first) {
				*out = first;
				return 1;
			}
			at[-1] = base_digits[digit_of(at[-1]) + 1];
			break;
		}
	} while (fraction >= half);
	*out = at;
	return 0;
}

size_t
number_in_base(double value, int radix, char out[NUMBER_TEXT_MAX])
{
	char room[NUMBER_TEXT_MAX], *start = room + POINT, *end = start + 1, *point = start;
	double size = fabs(value), whole = floor(size), fraction = size - whole;
	double half = fmax(0.5 * (nextafter(size, INFINITY) - size), nextafter(0, 1));
	size_t len;

	if (fraction >= half)
		whole += fraction_digits(fraction, half, radix, &end);
	*point = '.';
	if (end == point + 1)
		end = point;
	while (whole / radix >= TWO_53) { /* digits beyond its precision */
		whole /= radix;
		*--start = '0';
	}
	do {
		double rest = fmod(whole, radix);

		*--start = base_digits[(int)rest];
		whole = (whole - rest) / radix;
	} while (whole > 0);
	if (value < 0)
		*--start = '-';
	len = (size_t)(end - start);
	memcpy(out, start, len);
	out[len] = '\0';
	return len;
}

/* The number that a method was called on. */
static double
this_number(duk_context *ctx, const char *method)
{
	duk_push_this(ctx);
	if (duk_is_object(ctx, -1))
		duk_get_prop_string(ctx, -1, OBJECT_VALUE);
	if (!duk_is_number(ctx, -1))
		(void)duk_type_error(ctx, "Number.prototype.%s requires that 'this' be a Number",
				     method);
	return duk_get_number(ctx, -1);
}

duk_ret_t
number_to_string(duk_context *ctx)
{
	char text[NUMBER_TEXT_MAX];
	double radix = duk_is_undefined(ctx, 0) ? 10 : duk_to_int(ctx, 0);
	double value = this_number(ctx, "toString");

	if (radix < 2 || radix > 36)
		return duk_range_error(ctx, "toString() radix argument must be between 2 and 36");
	if (radix == 10 || !isfinite(value)) {
		duk_push_number(ctx, value);
		duk_to_string(ctx, -1);
	} else {
		duk_push_lstring(ctx, text, number_in_base(value, (int)radix, text));
	}
	return 1;
}

duk_ret_t
number_to_fixed(duk_context *ctx)
{
	char text[NUMBER_TEXT_MAX];
	int count = duk_to_int(ctx, 0), len;
	double value = this_number(ctx, "toFixed");

	if (count < 0 || count > FIXED_MAX)
		return duk_range_error(ctx, "toFixed() digits argument must be between 0 and 100");
	if (!isfinite(value) || fabs(value) >= 1e21) {
		duk_push_number(ctx, value);
		duk_to_string(ctx, -1);
		return 1;
	}
	/* C rounds a half to even, this up: halfway is what twice as many are odd of. */
	if (fmod(ldexp(fabs(value), count + 1), 2) == 1)
		value = nextafter(value, value < 0 ? -INFINITY : INFINITY);
	if (value == 0)
		value = 0; /* not minus zero */
	len = snprintf(text, sizeof(text), "%.*f", count, value);
	duk_push_lstring(ctx, text, (duk_size_t)len);
	return 1;
}

duk_ret_t
number_round(duk_context *ctx)
{
	double value = duk_to_number(ctx, 0), below = floor(value);

	if (isfinite(value) && value - below >= 0.5)
		below += 1;
	duk_push_number(ctx, copysign(below, value));
	return 1;
}

duk_ret_t
number_cbrt(duk_context *ctx)
{
	duk_push_number(ctx, (double)cbrtl(duk_to_number(ctx, 0)));
	return 1;
}
