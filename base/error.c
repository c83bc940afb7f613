#include "base/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A text that was cut inside a UTF-8 sequence would make the JSON answer that carries it invalid.
 */
static void
drop_partial_character(char *text, size_t len)
{
	size_t start = len;
	unsigned char lead;

	while (start > 0 && len - start < 3 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
		start--;
	if (start == 0)
		return;
	lead = (unsigned char)text[start - 1];
	if (lead >= 0xC0 && len - start < (size_t)(lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1))
		text[start - 1] = '\0';
}

/* Libraries end their texts with newlines, or write several lines: ours are one. */
static void
fold_lines(char *text)
{
	char *to = text;

	for (const char *at = text; *at != '\0'; at++) {
		bool space = (unsigned char)*at <= ' ' || *at == 0x7f;

		if (!space)
			*to++ = *at;
		else if (to > text && to[-1] != ' ')
			*to++ = ' ';
	}
	while (to > text && to[-1] == ' ')
		to--;
	*to = '\0';
}

enum sl_code
sl_fail(struct sl_error *error, enum sl_code code, const char *format, ...)
{
	char text[sizeof(error->text)]; /* the arguments may point into error->text */
	va_list args;
	int len;

	if (error == NULL)
		return code;
	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len < 0)
		text[0] = '\0';
	else if ((size_t)len >= sizeof(text))
		drop_partial_character(text, sizeof(text) - 1);
	fold_lines(text);
	error->code = code;
	memcpy(error->text, text, sizeof(text));
	return code;
}

const char *
sl_code_name(enum sl_code code)
{
	switch (code) {
	case SL_OK:
		return "ok";
	case SL_INVALID:
		return "invalid";
	case SL_NOT_FOUND:
		return "not_found";
	case SL_CONFLICT:
		return "conflict";
	case SL_UNAVAILABLE:
		return "unavailable";
	case SL_EXHAUSTED:
		return "exhausted";
	case SL_INTERNAL:
		return "internal";
	}
	return "unknown";
}
