#include "http/field.h"

#include <string.h>
#include <strings.h>

static bool
is_token_char(unsigned char c)
{
	if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
		return true;
	return c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL;
}

bool
field_is_token(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (!is_token_char((unsigned char)text.data[i]))
			return false;
	}
	return text.len > 0;
}

bool
field_is_value(struct slice text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];

		if ((c < 0x20 && c != '\t') || c == 0x7F)
			return false;
	}
	return true;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct slice
field_trim(struct slice text)
{
	while (text.len > 0 && is_blank(text.data[0])) {
		text.data++;
		text.len--;
	}
	while (text.len > 0 && is_blank(text.data[text.len - 1]))
		text.len--;
	return text;
}

bool
field_equal(struct slice a, const char *b)
{
	return a.len == strlen(b) && strncasecmp(a.data, b, a.len) == 0;
}

bool
field_lists(struct slice value, const char *word)
{
	while (value.len > 0) {
		const char *comma = memchr(value.data, ',', value.len);
		size_t len = comma != NULL ? (size_t)(comma - value.data) : value.len;

		if (field_equal(field_trim((struct slice){value.data, len}), word))
			return true;
		if (comma == NULL)
			break;
		value.data += len + 1;
		value.len -= len + 1;
	}
	return false;
}
