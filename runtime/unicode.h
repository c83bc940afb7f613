/* runtime/unicode.h - what the Unicode tables know, by ICU: order, normal forms, case, time zones.
 *
 * ICU maps its data with its library and fills caches on first use; unicode_open() makes it do so
 * before the sandbox, in the zygote, so that function processes share the pages.  Afterwards it
 * opens no file, and keeps nothing whose size a script could choose: what a call allocates, it
 * frees.  The zones that were asked for are kept by ICU itself, of a list that it ships.
 *
 * Text is UTF-16 in and out; lone surrogates are kept. */
#ifndef SLUICE_RUNTIME_UNICODE_H
#define SLUICE_RUNTIME_UNICODE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Intl.Collator's sensitivity; each level includes those above it but UNICODE_CASE, which skips
 * accents (ECMA-402, 10.1.1). */
enum unicode_level {
	UNICODE_BASE,
	UNICODE_ACCENT,
	UNICODE_CASE,
	UNICODE_VARIANT,
};
#define UNICODE_LEVELS 4

enum unicode_form {
	UNICODE_NFC,
	UNICODE_NFD,
	UNICODE_NFKC,
	UNICODE_NFKD,
};
#define UNICODE_FORMS 4

struct unicode {
	/* by level, then digits one by one or as numbers; owned */
	struct UCollator *order[UNICODE_LEVELS][2];
	const struct UNormalizer2 *form[UNICODE_FORMS]; /* ICU's */
};

/* Borrowed UTF-16. */
struct units {
	const uint16_t *data;
	int32_t len;
};

SL_MUST_USE enum sl_code unicode_open(struct unicode *unicode, struct sl_error *error);

/* Less than 0, 0 or more than 0, in the order of the root collation, which English uses. */
int unicode_compare(const struct unicode *unicode, struct units a, struct units b,
		    enum unicode_level level, bool numeric);

/* Each writes at most room units to out and returns the length of the whole result, so that a
 * caller whose room was too small can come again; -1: ICU failed. */
int32_t unicode_normalize(const struct unicode *unicode, struct units text, enum unicode_form form,
			  uint16_t *out, int32_t room);
/* language: "tr", "lt" and so on have rules of their own; "" is for everybody else. */
int32_t unicode_change_case(struct units text, bool upper, const char *language, uint16_t *out,
			    int32_t room);

/* What a clock in zone ("Europe/Prague") is ahead of UTC at ms since 1970, in ms.  False: there is
 * no such zone. */
bool unicode_zone_offset(const char *zone, double ms, int32_t *offset_ms);

#endif
