#include <stddef.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

void
jw_init(struct json_writer *w, struct buf *out)
{
	*w = (struct json_writer){.out = out};
}

static void
separate(struct json_writer *w)
{
	if (w->comma)
		buf_add_char(w->out, ',');
	w->comma = true;
}

static void
jw_open(struct json_writer *w, char bracket)
{
	separate(w);
	buf_add_char(w->out, bracket);
	w->comma = false;
}

static void
jw_close(struct json_writer *w, char bracket)
{
	buf_add_char(w->out, bracket);
	w->comma = true;
}

void
jw_object(struct json_writer *w)
{
	jw_open(w, '{');
}

void
jw_object_end(struct json_writer *w)
{
	jw_close(w, '}');
}

void
jw_array(struct json_writer *w)
{
	jw_open(w, '[');
}

void
jw_array_end(struct json_writer *w)
{
	jw_close(w, ']');
}

static void
add_escape(struct buf *out, char c)
{
	switch (c) {
	case '"':
		buf_add(out, "\\\"", 2);
		return;
	case '\\':
		buf_add(out, "\\\\", 2);
		return;
	case '\b':
		buf_add(out, "\\b", 2);
		return;
	case '\f':
		buf_add(out, "\\f", 2);
		return;
	case '\n':
		buf_add(out, "\\n", 2);
		return;
	case '\r':
		buf_add(out, "\\r", 2);
		return;
	case '\t':
		buf_add(out, "\\t", 2);
		return;
	default:
		buf_printf(out, "\\u%04x", (unsigned)c);
		return;
	}
}

/* Bytes at the front of text that stand in a JSON string as they are. */
static size_t
plain_len(const char *text, size_t len)
{
	size_t at = 0;

	while (at < len) {
		unsigned char c = (unsigned char)text[at];
		size_t character = c < 0x80 ? 1 : utf8_len(text + at, len - at);

		if (character == 0 || c < 0x20 || c == '"' || c == '\\')
			break;
		at += character;
	}
	return at;
}

static void
add_string(struct buf *out, const char *text, size_t len)
{
	size_t at = 0;

	buf_add_char(out, '"');
	while (at < len) {
		size_t plain = plain_len(text + at, len - at);

		buf_add(out, text + at, plain);
		at += plain;
		if (at == len)
			break;
		if ((unsigned char)text[at] < 0x80)
			add_escape(out, text[at]);
		else
			buf_add_text(out,
				     "\xEF\xBF\xBD"); /* U+FFFD for each byte that fits nowhere */
		at++;
	}
	buf_add_char(out, '"');
}

void
jw_key_n(struct json_writer *w, const char *key, size_t len)
{
	separate(w);
	add_string(w->out, key, len);
	buf_add_char(w->out, ':');
	w->comma = false;
}

void
jw_key(struct json_writer *w, const char *key)
{
	jw_key_n(w, key, strlen(key));
}

void
jw_text_n(struct json_writer *w, const char *text, size_t len)
{
	separate(w);
	add_string(w->out, text, len);
}

void
jw_text(struct json_writer *w, const char *text)
{
	if (text == NULL)
		jw_null(w);
	else
		jw_text_n(w, text, strlen(text));
}

void
jw_int(struct json_writer *w, int64_t number)
{
	separate(w);
	buf_printf(w->out, "%lld", (long long)number);
}

void
jw_bool(struct json_writer *w, bool yes)
{
	separate(w);
	buf_add_text(w->out, yes ? "true" : "false");
}

void
jw_null(struct json_writer *w)
{
	separate(w);
	buf_add_text(w->out, "null");
}

void
jw_raw(struct json_writer *w, struct slice json)
{
	separate(w);
	buf_add_slice(w->out, json.len > 0 ? json : SLICE_LITERAL("null"));
}

void
jw_member_text(struct json_writer *w, const char *key, const char *text)
{
	jw_key(w, key);
	jw_text(w, text);
}

void
jw_member_int(struct json_writer *w, const char *key, int64_t number)
{
	jw_key(w, key);
	jw_int(w, number);
}

void
jw_member_bool(struct json_writer *w, const char *key, bool yes)
{
	jw_key(w, key);
	jw_bool(w, yes);
}

void
jw_member_raw(struct json_writer *w, const char *key, struct slice json)
{
	jw_key(w, key);
	jw_raw(w, json);
}
