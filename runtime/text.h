/* runtime/text.h - text as Duktape keeps it, and as the rest of the world does.
 *
 * Duktape's strings are CESU-8: a character above U+FFFF is two surrogates of three bytes each, and
 * a surrogate may stand alone.  Everything that leaves the runner is UTF-8 (RFC 3629). */
#ifndef SLUICE_RUNTIME_TEXT_H
#define SLUICE_RUNTIME_TEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/* What becomes of a surrogate without its partner. */
enum text_lone {
	TEXT_LONE_REPLACE, /* U+FFFD */
	TEXT_LONE_ESCAPE,  /* \udXXX, for JSON text: what JSON.stringify writes (ECMA-262, 25.5.2.2)
			    */
};

/* Appends cesu8 to out as UTF-8.  Proper four-byte sequences pass; any other byte that is not
 * CESU-8 becomes U+FFFD.  False: out is over its cap. */
bool text_to_utf8(struct slice cesu8, enum text_lone lone, struct buf *out);

/* Appends utf8 to out as CESU-8; malformed sequences become U+FFFD as the WHATWG Encoding standard
 * counts them (one per maximal subpart).  A byte order mark is kept.  False: out is over its cap.
 */
bool text_from_utf8(struct slice utf8, struct buf *out);

/* True when utf8 and its CESU-8 form are the same bytes: well-formed, nothing above U+FFFF. */
bool text_is_plain(struct slice utf8);

/* Writes the UTF-16 units of cesu8, which is Duktape's, to out and returns their number, at most
 * cesu8.len.  What is no CESU-8 becomes U+FFFD, one for each byte. */
size_t text_to_units(struct slice cesu8, uint16_t *out);
/* Appends units to out as CESU-8.  False: out is over its cap. */
bool text_from_units(const uint16_t *units, size_t count, struct buf *out);

/* Whether cesu8, which is Duktape's, has a surrogate without its partner. */
bool text_has_lone(struct slice cesu8);
/* Appends cesu8, each such surrogate as \udXXX, the rest unchanged.  False: out is over its cap. */
bool text_escape_lone(struct slice cesu8, struct buf *out);

/* RFC 4648, section 4 (padded) or, url_safe, section 5 (not padded). */
bool text_add_base64(struct slice bytes, bool url_safe, struct buf *out);
/* text is CESU-8.  Either alphabet; padding ends the text, any other character is skipped, as in Node. */
bool text_add_base64_decoded(struct slice text, struct buf *out);
bool text_add_hex(struct slice bytes, struct buf *out);        /* lower case */
bool text_add_hex_decoded(struct slice text, struct buf *out); /* ends at the first bad pair */

#endif
