#include "provider/held.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/secret.h"

static char *
copy(const char *text)
{
	return sl_strdup(text != NULL ? text : "");
}

void
held_head(struct held *held, const struct http_answer *head, size_t body_max)
{
	struct http_header *headers;

	held_fini(held);
	headers = sl_calloc((size_t)head->header_count + 1, sizeof(*headers));
	for (int i = 0; i < head->header_count; i++)
		headers[i] =
		    (struct http_header){copy(head->headers[i].name), copy(head->headers[i].value)};
	held->there = true;
	held->answer = *head;
	held->answer.code = NULL;
	held->answer.text = copy(head->text);
	held->answer.status_text = copy(head->status_text);
	held->answer.url = copy(head->url);
	held->answer.headers = headers;
	held->answer.body = (struct slice){NULL, 0};
	buf_init(&held->body, body_max);
}

bool
held_add(struct held *held, struct slice bytes)
{
	if (bytes.len > held->body.cap - held->body.len)
		return false;
	buf_add_slice(&held->body, bytes);
	held->answer.body = buf_slice(&held->body);
	return true;
}

void
held_fini(struct held *held)
{
	if (!held->there)
		return;
	for (int i = 0; i < held->answer.header_count; i++) {
		free((char *)held->answer.headers[i].name);
		free((char *)held->answer.headers[i].value);
	}
	free((struct http_header *)held->answer.headers);
	free((char *)held->answer.text);
	free((char *)held->answer.status_text);
	free((char *)held->answer.url);
	if (held->body.data != NULL)
		secret_wipe(held->body.data, held->body.len);
	buf_fini(&held->body);
	*held = (struct held){0};
}
