/* base/json.h - JSON that is checked whole, picked apart by field, and passed on byte for byte.
 *
 * RFC 8259, strictly: UTF-8 only, no BOM, no trailing bytes, no NaN.  Values a customer sent are
 * never re-encoded (numbers and \u0000 must survive), so the scanner hands out slices of the input.
 * For documents of our own (settings, catalog) jansson is used directly. */
#ifndef SLUICE_BASE_JSON_H
#define SLUICE_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/error.h"

#define JSON_DEPTH_MAX \
	512 /* containers inside containers; deeper is SL_INVALID, the stack never grows with \
	       input */

enum json_type {
	JSON_NONE,
	JSON_NULL_,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_TEXT,
	JSON_ARRAY_,
	JSON_OBJECT_
};

/* A checked value inside a text: its bytes without surrounding space, borrowed from the text. */
struct json_value {
	enum json_type type; /* JSON_NONE: absent */
	struct slice raw;
};

/* Checks text as one JSON value; error names the byte offset and what was expected.  Objects at
 * the top level may not repeat a key (after unescaping): SL_INVALID naming the key.  Escaped lone
 * surrogates (\ud800) are accepted, raw ones and invalid UTF-8 are not. */
SL_MUST_USE enum sl_code json_check(struct slice text, struct json_value *out,
				    struct sl_error *error);

/* Iterates the members of a checked object or the elements of a checked array (key is then NULL).
 *   struct json_iter it; json_iter_init(&it, value);
 *   while (json_iter_next(&it)) ... it.key (unescaped, borrowed until the next call), it.value ...
 */
struct json_iter {
	struct buf name; /* unescaped key bytes; may hold NUL */
	const char *key; /* NUL-terminated view of name; NULL in arrays */
	size_t key_len;
	struct slice raw_key; /* with its quotes; empty in arrays */
	struct json_value value;
	const char *at, *end; /* private */
	bool in_object;       /* private */
};
void json_iter_init(struct json_iter *it, struct json_value container);
bool json_iter_next(struct json_iter *it);
void json_iter_fini(struct json_iter *it); /* must be called, also after the last next */

/* Member of a checked object by key; JSON_NONE when absent or not an object. */
struct json_value json_get(struct json_value object, const char *key);
/* Dotted path ("data.items"); array indexes are numbers. */
struct json_value json_path(struct json_value value, const char *path);

/* Unescaped text of a JSON_TEXT value: malloc'd, NUL-terminated, *len without the NUL (len may be
 * NULL).  NULL when value is no text, or holds U+0000 and len is NULL.  Lone surrogates become
 * U+FFFD. */
char *json_text(struct json_value value, size_t *len);
bool json_is_yes(struct json_value value);
/* Whole number that fits; false otherwise. */
bool json_int(struct json_value value, int64_t *out);

/* Appends a checked value without spaces and with the keys of every object in order, by the bytes that they
 * stand for; scalars stay as they are written. */
void json_add_sorted(struct json_value value, struct buf *out);

/* Writer: appends JSON to a buf, commas and quotes by itself. */
struct json_writer {
	struct buf *out; /* borrowed */
	bool comma;      /* private */
};
void jw_init(struct json_writer *w, struct buf *out);
void jw_object(struct json_writer *w);     /* { */
void jw_object_end(struct json_writer *w); /* } */
void jw_array(struct json_writer *w);
void jw_array_end(struct json_writer *w);
void jw_key(struct json_writer *w, const char *key);
void jw_key_n(struct json_writer *w, const char *key, size_t len);
void jw_text(struct json_writer *w, const char *text); /* NULL writes null */
void jw_text_n(struct json_writer *w, const char *text,
	       size_t len); /* invalid UTF-8 becomes U+FFFD */
void jw_int(struct json_writer *w, int64_t number);
void jw_bool(struct json_writer *w, bool yes);
void jw_null(struct json_writer *w);
void jw_raw(struct json_writer *w,
	    struct slice json); /* checked JSON, byte for byte; empty writes null */
/* Shorthands for members. */
void jw_member_text(struct json_writer *w, const char *key, const char *text);
void jw_member_int(struct json_writer *w, const char *key, int64_t number);
void jw_member_bool(struct json_writer *w, const char *key, bool yes);
void jw_member_raw(struct json_writer *w, const char *key, struct slice json);

#endif
