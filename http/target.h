/* http/target.h - request targets: which are taken, and how paths and queries are decoded.
 *
 * RFC 9112 section 3.2 (origin form; absolute form only for the host asked), RFC 3986.  A path is
 * split at '/' first and decoded after: "%2f" is data, never a separator. */
#ifndef SLUICE_HTTP_TARGET_H
#define SLUICE_HTTP_TARGET_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "http/refusal.h"

/* A host name or address, maybe with a port, in host characters only. */
bool target_is_host(struct slice text);

/* Splits target into path and query.  Refused: any byte outside 0x21 to 0x7E, '#', '\', escapes
 * that are no two hex digits, "%00", an absolute form for another host than the Host field's. */
bool target_split(struct slice target, const char *host, struct slice *path, struct slice *query,
		  struct http_refusal *refusal);

/* Paths that routes are looked up by: no empty segment but the last, no "." or "..", decoded text
 * in UTF-8.  Paths under /proxy/ and /v1/ are taken as they are and are not asked this. */
bool target_check_path(struct slice path, struct http_refusal *refusal);

/* Decodes escapes (and '+' to a space when plus is set); out has room for len + 1 bytes and gets a
 * NUL at the end.  Returns the bytes written, -1 on a bad escape or NUL. */
long target_decode(struct slice text, bool plus, char *out);

/* Text pieces: segments of a path, or name, value, name, value of a query. */
struct target_pieces {
	const char **texts; /* owned, into bytes */
	char *bytes;        /* owned */
	int count;          /* -1: bad escape or not UTF-8 */
};
void target_segments(struct slice path, struct target_pieces *out);
void target_pairs(struct slice query, struct target_pieces *out);
void target_pieces_fini(struct target_pieces *pieces);

#endif
