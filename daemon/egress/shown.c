#include "daemon/egress/shown.h"

#include <string.h>

static void
add_names(const char *query, size_t len, struct buf *out)
{
	const char *end = query + len;

	while (query < end) {
		const char *amp = memchr(query, '&', (size_t)(end - query));
		const char *stop = amp != NULL ? amp : end;
		const char *equals = memchr(query, '=', (size_t)(stop - query));

		if (equals != NULL && equals > query && equals + 1 < stop)
			buf_add_slice(out, (struct slice){query, (size_t)(equals - query)});
		else
			buf_add_char(out, '*');
		if (amp == NULL)
			return;
		buf_add_char(out, '&');
		query = amp + 1;
	}
}

void
shown_url(const char *url, struct buf *out)
{
	const char *host = strstr(url, "://"), *path, *at;
	size_t len;

	if (host == NULL) /* not one that we send to */
		return;
	host += 3;
	path = host + strcspn(host, "/?#");
	buf_add_slice(out, (struct slice){url, (size_t)(host - url)});
	for (at = path; at > host && at[-1] != '@'; at--)
		continue;
	buf_add_slice(out, (struct slice){at, (size_t)(path - at)});
	len = strcspn(path, "?#");
	buf_add_slice(out, (struct slice){path, len});
	if (path[len] != '?')
		return;
	buf_add_char(out, '?');
	add_names(path + len + 1, strcspn(path + len + 1, "#"), out);
}
