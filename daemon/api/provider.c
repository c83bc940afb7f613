/* daemon/api/provider.c - the catalog as the wire shows it (wire.md 6.3). */
#include "provider/catalog.h"

#include <stddef.h>
#include <string.h>

#include "daemon/api/resources.h"

/* Names and display names are ASCII or compared as they stand. */
static bool
is_found(const struct provider *provider, const char *search)
{
	return strcasestr(provider->name, search) != NULL ||
	       strcasestr(provider->display_name, search) != NULL;
}

void
provider_list(struct api_call *call)
{
	static const char *const names[] = {"search", NULL};
	const struct catalog *catalog = call->daemon->catalog;
	const char *search;
	struct json_writer w;
	struct buf out;

	if (!api_query_strict(call, names))
		return;
	search = api_query(call, "search");
	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	jw_key(&w, "data");
	jw_array(&w);
	for (int i = 0; i < catalog_count(catalog); i++)
		if (search == NULL || is_found(catalog_at(catalog, i), search))
			jw_raw(&w, catalog_at(catalog, i)->json);
	jw_array_end(&w);
	jw_object_end(&w);
	api_reply_buf(call, 200, &out);
}

/* The provider that the path names; NULL: answered. */
static const struct provider *
find(struct api_call *call)
{
	const struct provider *provider;

	if (!api_check_name(call, API_NAME_PROVIDER, call->segment[1], "invalid_uri_params",
			    "provider"))
		return NULL;
	provider = catalog_find(call->daemon->catalog, call->segment[1]);
	if (provider == NULL)
		api_fail(call, 404, "not_found",
			 "there is no such provider; GET /providers lists them");
	return provider;
}

void
provider_read(struct api_call *call)
{
	const struct provider *provider = find(call);
	struct buf out;

	if (provider == NULL)
		return;
	buf_init(&out, API_BODY_MAX);
	buf_add_text(&out, "{\"data\":");
	buf_add_slice(&out, provider->json);
	buf_add_text(&out, "}");
	api_reply_buf(call, 200, &out);
}

void
provider_templates(struct api_call *call)
{
	if (find(call) != NULL)
		api_reply(call, 200, SLICE_LITERAL("{\"data\":[]}"));
}

void
provider_map(struct api_call *call)
{
	const struct catalog *catalog = call->daemon->catalog;
	struct json_writer w;
	struct buf out;

	buf_init(&out, API_BODY_MAX);
	jw_init(&w, &out);
	jw_object(&w);
	for (int i = 0; i < catalog_count(catalog); i++)
		jw_member_raw(&w, catalog_at(catalog, i)->name, catalog_at(catalog, i)->json);
	jw_object_end(&w);
	api_reply_buf(call, 200, &out);
}
