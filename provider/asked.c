#include "provider/asked.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/secret.h"

static char *
copy(const char *text)
{
	return text != NULL ? sl_strdup(text) : NULL;
}

/* Header names are looked up in lower case; functions write them as they like. */
static char *
lower_copy(const char *name)
{
	char *lower;

	if (name == NULL || name[0] == '\0')
		return NULL;
	lower = sl_strdup(name);
	for (char *c = lower; *c != '\0'; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return lower;
}

static void
rules_init(struct retry_rules *rules, const struct provider *provider,
	   const struct provider_ask *ask)
{
	*rules = (struct retry_rules){.provider = provider};
	if (ask->retry_on_count > 0) {
		rules->retry_on =
		    sl_memdup(ask->retry_on, (size_t)ask->retry_on_count * sizeof(*ask->retry_on));
		rules->retry_on_count = ask->retry_on_count;
	}
	rules->header_at = lower_copy(ask->retry_header_at);
	rules->header_after = lower_copy(ask->retry_header_after);
}

void
asked_init(struct asked *asked, const struct provider_ask *ask, const struct provider *provider)
{
	struct provider_ask *own = &asked->ask;
	struct http_header *headers = sl_calloc((size_t)ask->header_count + 1, sizeof(*headers));

	*own = *ask;
	own->method = sl_strdup(ask->method);
	own->endpoint = copy(ask->endpoint);
	own->base_url_override = copy(ask->base_url_override);
	own->query = copy(ask->query);
	own->user_agent = copy(ask->user_agent);
	for (int i = 0; i < ask->header_count; i++)
		headers[i] = (struct http_header){sl_strdup(ask->headers[i].name),
						  sl_strdup(ask->headers[i].value)};
	own->headers = headers;
	own->body = (struct slice){NULL, 0};
	if (ask->has_body && ask->body.len > 0)
		own->body = (struct slice){sl_memdup(ask->body.data, ask->body.len), ask->body.len};
	rules_init(&asked->rules, provider, ask);
	own->retry_on = asked->rules.retry_on;
	own->retry_header_at = asked->rules.header_at;
	own->retry_header_after = asked->rules.header_after;
	if (ask->stream != NULL) {
		asked->stream = *ask->stream;
		own->stream = &asked->stream;
	}
}

static void
wipe(const char *text)
{
	if (text != NULL)
		secret_wipe((char *)text, strlen(text));
	free((char *)text);
}

void
asked_fini(struct asked *asked)
{
	struct provider_ask *own = &asked->ask;

	for (int i = 0; i < own->header_count; i++) {
		free((char *)own->headers[i].name);
		wipe(own->headers[i].value);
	}
	free((struct http_header *)own->headers);
	free((char *)own->method);
	wipe(own->endpoint);
	wipe(own->base_url_override);
	wipe(own->query);
	free((char *)own->user_agent);
	if (own->body.data != NULL)
		secret_wipe((char *)own->body.data, own->body.len);
	free((char *)own->body.data);
	free((int *)asked->rules.retry_on);
	free((char *)asked->rules.header_at);
	free((char *)asked->rules.header_after);
	*asked = (struct asked){0};
}
