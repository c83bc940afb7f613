/* provider/member.h - the members of a definition of the catalog, each checked by itself.
 *
 * All checks say SL_INVALID with the file and the member. */
#ifndef SLUICE_PROVIDER_MEMBER_H
#define SLUICE_PROVIDER_MEMBER_H

#include <jansson.h>
#include <stdbool.h>

#include "provider/definition.h"

/* One file under way: what its errors are about. */
struct reading {
	const char *file;
	struct definition *entry;
	struct sl_error *error;
};

enum member_kind { MEMBER_TEXT, MEMBER_BOOL, MEMBER_INT, MEMBER_OBJECT, MEMBER_ARRAY };

struct member {
	const char *name;
	enum member_kind kind;
	bool required;
};

/* "FILE.json: MEMBER WHY" */
enum sl_code member_wrong(const struct reading *r, const char *member, const char *why);
bool member_is_kind(const json_t *value, enum member_kind kind);
/* An object has the members of the table (which ends with a NULL name) and no others.  path is "" or the
 * object's own with a dot: "proxy.". */
SL_MUST_USE enum sl_code member_check_all(const struct reading *r, json_t *object, const char *path,
					  const struct member *table);
const char *member_text(const json_t *object, const char *name); /* NULL: not there */
bool member_is_token(const char *name);                          /* a header's name in lower case */
bool member_is_one_of(const char *text, const char *const *words); /* words end with NULL */
/* "A || B": see expand_url(). */
SL_MUST_USE enum sl_code member_check_url(const struct reading *r, const char *member,
					  const char *text);
/* Rows of an object of texts, at path ("proxy.headers"); one row more than there is, for a default. */
SL_MUST_USE enum sl_code member_read_pairs(const struct reading *r, json_t *object,
					   const char *path, struct provider_pair **out,
					   int *count);

#endif
