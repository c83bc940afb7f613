#include "runtime/unicode.h"

#include <string.h>

#include <unicode/ucal.h>
#include <unicode/uclean.h>
#include <unicode/ucol.h>
#include <unicode/unorm2.h>
#include <unicode/ustring.h>

#define ZONE_MAX 64 /* units of a zone's name, and one */

static const UChar warm_text[] = {'a', 0xc9, 0x301, 0xfb01, 0x6771, '9', '1', 0};

static UCollator *
open_order(enum unicode_level level, bool numeric, UErrorCode *status)
{
	static const UCollationStrength strength[UNICODE_LEVELS] = {
	    [UNICODE_BASE] = UCOL_PRIMARY,
	    [UNICODE_ACCENT] = UCOL_SECONDARY,
	    [UNICODE_CASE] = UCOL_PRIMARY,
	    [UNICODE_VARIANT] = UCOL_TERTIARY,
	};
	UCollator *order = ucol_open("en", status);

	ucol_setAttribute(order, UCOL_STRENGTH, (UColAttributeValue)strength[level], status);
	if (level == UNICODE_CASE)
		ucol_setAttribute(order, UCOL_CASE_LEVEL, UCOL_ON, status);
	if (numeric)
		ucol_setAttribute(order, UCOL_NUMERIC_COLLATION, UCOL_ON, status);
	if (U_SUCCESS(*status))
		ucol_strcoll(order, warm_text, -1, warm_text + 1, -1);
	return order;
}

/* Every function once, each with text that leaves its short cuts. */
static bool
warm_up(const struct unicode *unicode)
{
	struct units text = {warm_text, 7};
	UChar out[64];
	int32_t offset;
	bool ok = true;

	for (int form = 0; form < UNICODE_FORMS; form++)
		ok = ok && unicode_normalize(unicode, text, (enum unicode_form)form, out, 64) > 0;
	return ok && unicode_change_case(text, true, "", out, 64) > 0 &&
	       unicode_change_case(text, false, "tr", out, 64) > 0 &&
	       unicode_zone_offset("America/New_York", 1.7e12, &offset);
}

enum sl_code
unicode_open(struct unicode *unicode, struct sl_error *error)
{
	UErrorCode status = U_ZERO_ERROR;

	memset(unicode, 0, sizeof(*unicode));
	u_init(&status);
	unicode->form[UNICODE_NFC] = unorm2_getNFCInstance(&status);
	unicode->form[UNICODE_NFD] = unorm2_getNFDInstance(&status);
	unicode->form[UNICODE_NFKC] = unorm2_getNFKCInstance(&status);
	unicode->form[UNICODE_NFKD] = unorm2_getNFKDInstance(&status);
	for (int level = 0; level < UNICODE_LEVELS; level++) {
		for (int numeric = 0; numeric < 2; numeric++)
			unicode->order[level][numeric] =
			    open_order((enum unicode_level)level, numeric == 1, &status);
	}
	if (U_FAILURE(status))
		return sl_fail(error, SL_UNAVAILABLE, "ICU: %s", u_errorName(status));
	if (!warm_up(unicode))
		return sl_fail(error, SL_UNAVAILABLE, "ICU lacks its tables");
	return SL_OK;
}

int
unicode_compare(const struct unicode *unicode, struct units a, struct units b,
		enum unicode_level level, bool numeric)
{
	return ucol_strcoll(unicode->order[level][numeric], a.data, a.len, b.data, b.len);
}

static int32_t
length_or_failure(int32_t len, UErrorCode status)
{
	return U_SUCCESS(status) || status == U_BUFFER_OVERFLOW_ERROR ? len : -1;
}

int32_t
unicode_normalize(const struct unicode *unicode, struct units text, enum unicode_form form,
		  uint16_t *out, int32_t room)
{
	UErrorCode status = U_ZERO_ERROR;
	int32_t len =
	    unorm2_normalize(unicode->form[form], text.data, text.len, out, room, &status);

	return length_or_failure(len, status);
}

int32_t
unicode_change_case(struct units text, bool upper, const char *language, uint16_t *out,
		    int32_t room)
{
	UErrorCode status = U_ZERO_ERROR;
	int32_t len = upper ? u_strToUpper(out, room, text.data, text.len, language, &status)
			    : u_strToLower(out, room, text.data, text.len, language, &status);

	return length_or_failure(len, status);
}

bool
unicode_zone_offset(const char *zone, double ms, int32_t *offset_ms)
{
	UErrorCode status = U_ZERO_ERROR;
	UChar name[ZONE_MAX], canonical[ZONE_MAX];
	UBool known = 0;
	UCalendar *calendar;

	if (strlen(zone) >= ZONE_MAX)
		return false;
	u_charsToUChars(zone, name, (int32_t)strlen(zone) + 1);
	ucal_getCanonicalTimeZoneID(name, -1, canonical, ZONE_MAX, &known, &status);
	if (U_FAILURE(status) || !known)
		return false;
	calendar = ucal_open(name, -1, "en_US", UCAL_GREGORIAN, &status);
	if (U_FAILURE(status))
		return false;
	ucal_setMillis(calendar, ms, &status);
	*offset_ms = ucal_get(calendar, UCAL_ZONE_OFFSET, &status) +
		     ucal_get(calendar, UCAL_DST_OFFSET, &status);
	ucal_close(calendar);
	return U_SUCCESS(status);
}
