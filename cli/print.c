#include "cli/print.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <wchar.h>

#include "base/utf8.h"

static uint32_t
decode(const char *bytes, size_t len)
{
	static const unsigned char lead[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
	uint32_t code = (unsigned char)bytes[0] & lead[len];

	for (size_t i = 1; i < len; i++)
		code = code << 6 | ((unsigned char)bytes[i] & 0x3F);
	return code;
}

/* Characters that are no glyphs: controls, and those that turn, join or hide what is around them. */
static bool
steers(uint32_t code)
{
	return code < 0x20 || (code >= 0x7F && code < 0xA0) || code == 0xAD || code == 0x61C ||
	       code == 0x180E || (code >= 0x200B && code <= 0x200F) ||
	       (code >= 0x2028 && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F) ||
	       code == 0xFEFF || (code >= 0xFFF0 && code <= 0xFFFB) ||
	       (code >= 0xE0000 && code <= 0xE0FFF);
}

void
print_safe(struct buf *out, struct slice text)
{
	for (size_t at = 0, len; at < text.len; at += len) {
		uint32_t code;

		len = utf8_len(text.data + at, text.len - at);
		if (len == 0) {
			len = 1;
			buf_printf(out, "\\x%02x", (unsigned char)text.data[at]);
			continue;
		}
		code = decode(text.data + at, len);
		if (!steers(code))
			buf_add(out, text.data + at, len);
		else if (code == '\n' || code == '\t')
			buf_add_text(out, code == '\n' ? "\\n" : "\\t");
		else
			buf_printf(out, code < 0x100 ? "\\x%02x" : "\\u{%x}", (unsigned)code);
	}
}

void
print_text(FILE *to, struct slice text)
{
	struct buf safe;

	buf_init(&safe, 8 * text.len + 1);
	print_safe(&safe, text);
	fwrite(buf_slice(&safe).data, 1, safe.len, to);
	buf_fini(&safe);
}

int
print_width(struct slice text)
{
	int columns = 0;

	for (size_t at = 0, len; at < text.len; at += len) {
		int wide;

		len = utf8_len(text.data + at, text.len - at);
		if (len == 0)
			len = 1;
		wide = len == 1 ? 1 : wcwidth((wchar_t)decode(text.data + at, len));
		columns += wide >= 0 ? wide : 1;
	}
	return columns;
}

/* What JSON allows raw and a terminal may obey stands only inside strings, where an escape means the
 * same. */
void
print_json(FILE *to, struct slice json)
{
	for (size_t at = 0, len; at < json.len; at += len) {
		uint32_t code;

		len = utf8_len(json.data + at, json.len - at);
		if (len == 0)
			len = 1;
		code = decode(json.data + at, len);
		if (code < 0x7F || !steers(code))
			fwrite(json.data + at, 1, len, to);
		else if (code < 0x10000)
			fprintf(to, "\\u%04x", (unsigned)code);
		else
			fprintf(to, "\\u%04x\\u%04x", (unsigned)(0xD800 + ((code - 0x10000) >> 10)),
				(unsigned)(0xDC00 + (code & 0x3FF)));
	}
	fputc('\n', to);
}

/* ---- times ------------------------------------------------------------------------------------ */

void
print_span(int64_t ms, char out[PRINT_SPAN])
{
	long long s = (long long)(ms < 0 ? 0 : ms) / 1000;

	if (ms < 1000)
		snprintf(out, PRINT_SPAN, "%lldms", (long long)(ms < 0 ? 0 : ms));
	else if (s < 60)
		snprintf(out, PRINT_SPAN, "%lld.%llds", s, (long long)ms % 1000 / 100);
	else if (s < 3600)
		snprintf(out, PRINT_SPAN, "%lldm%02llds", s / 60, s % 60);
	else if (s < 86400)
		snprintf(out, PRINT_SPAN, "%lldh%02lldm", s / 3600, s % 3600 / 60);
	else
		snprintf(out, PRINT_SPAN, "%lldd%02lldh", s / 86400, s % 86400 / 3600);
}

bool
print_time(struct json_value value, int64_t *ms)
{
	char *text = json_text(value, NULL);
	struct tm tm = {0};
	int thousandths = 0, used = 0;
	bool good;

	if (text == NULL)
		return false;
	good = sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
		      &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &thousandths, &used) == 7 &&
	       text[used] == '\0' && used == 24;
	free(text);
	if (!good)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*ms = (int64_t)timegm(&tm) * 1000 + thousandths;
	return true;
}

/* ---- colours ---------------------------------------------------------------------------------- */

static bool
has_colours(FILE *to)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return (no == NULL || no[0] == '\0') && term != NULL && strcmp(term, "dumb") != 0 &&
	       isatty(fileno(to)) == 1;
}

const char *
print_style_on(FILE *to, enum print_style style)
{
	if (!has_colours(to))
		return "";
	switch (style) {
	case STYLE_PLAIN:
		return "";
	case STYLE_GOOD:
		return "\033[32m";
	case STYLE_WARN:
		return "\033[33m";
	case STYLE_BAD:
		return "\033[31m";
	case STYLE_BOLD:
		return "\033[1m";
	}
	return "";
}

const char *
print_style_off(FILE *to, enum print_style style)
{
	return style != STYLE_PLAIN && has_colours(to) ? "\033[0m" : "";
}

void
print_styled(FILE *to, enum print_style style, const char *text)
{
	fputs(print_style_on(to, style), to);
	print_text(to, slice_text(text));
	fputs(print_style_off(to, style), to);
}

void
print_member(const char *name, struct json_value value, const char *behind)
{
	size_t len = 0;
	char *text;

	if (value.type == JSON_NONE || value.type == JSON_NULL_)
		return;
	text = json_text(value, &len);
	printf("%-12s ", name);
	print_text(stdout, text != NULL ? (struct slice){text, len} : value.raw);
	printf("%s\n", behind);
	free(text);
}

void
print_member_time(const char *name, struct json_value value, int64_t now_ms)
{
	char behind[PRINT_SPAN + 16] = "", span[PRINT_SPAN];
	int64_t at_ms;

	if (print_time(value, &at_ms)) {
		print_span(at_ms > now_ms ? at_ms - now_ms : now_ms - at_ms, span);
		snprintf(behind, sizeof(behind), at_ms > now_ms ? "  (in %s)" : "  (%s ago)", span);
	}
	print_member(name, value, behind);
}
