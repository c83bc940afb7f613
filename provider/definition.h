/* provider/definition.h - one file of the catalog, read and checked whole. */
#ifndef SLUICE_PROVIDER_DEFINITION_H
#define SLUICE_PROVIDER_DEFINITION_H

#include <jansson.h>

#include "provider/catalog.h"

struct definition {
	struct provider provider;     /* first: what callers hold */
	json_t *root;                 /* the texts of provider are borrowed from here */
	char *name, *json, *paginate; /* owned */
	struct provider_pair *headers, *query, *token_params, *refresh_params;
	int *codes, *limit_codes;
};

/* name: of the file, without its ending.  SL_INVALID names file and member. */
SL_MUST_USE enum sl_code definition_read(const char *directory, const char *name,
					 struct definition **out, struct sl_error *error);
void definition_free(struct definition *definition); /* NULL is fine */

#endif
