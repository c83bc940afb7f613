#include "http/client_state.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/alloc.h"

enum { URL_FLAGS = CURLU_URLENCODE | CURLU_ALLOW_SPACE }; /* in path and query only */

/* Where two parsers could see different hosts, there is no host: these bytes are refused, not
 * repaired.  Blanks and non-ASCII letters are escaped, but only behind the host. */
static const char *
bytes_wrong(const char *text)
{
	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7F)
			return "the URL holds a control byte";
		if (*c == '\\')
			return "the URL holds a backslash";
	}
	return NULL;
}

/* The part, or NULL when the URL has none.  To be freed by curl_free(). */
static char *
url_part(CURLU *url, CURLUPart part, unsigned flags)
{
	char *text = NULL;

	return curl_url_get(url, part, &text, flags) == CURLUE_OK ? text : NULL;
}

static bool
url_has(CURLU *url, CURLUPart part)
{
	char *text = url_part(url, part, 0);

	curl_free(text);
	return text != NULL;
}

static const char *
host_wrong(CURLU *url)
{
	char *host = url_part(url, CURLUPART_HOST, 0);
	const char *wrong = NULL;

	if (host == NULL || host[0] == '\0')
		wrong = "the URL has no host";
	for (const char *c = host; wrong == NULL && *c != '\0'; c++) {
		if ((unsigned char)*c >= 0x80)
			wrong = "the URL's host holds non-ASCII bytes; write it in punycode";
		else if (*c == '%' || strchr("\"<>^`{|}", *c) != NULL)
			wrong = "the URL's host holds a byte no host has";
	}
	curl_free(host);
	return wrong;
}

/* Checks a parsed URL; also what a redirect led to. */
static const char *
url_wrong(CURLU *url)
{
	char *scheme = url_part(url, CURLUPART_SCHEME, 0);
	char *port = url_part(url, CURLUPART_PORT, 0);
	const char *wrong = NULL;

	if (scheme == NULL || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
		wrong = "the URL is neither http nor https";
	else if (url_has(url, CURLUPART_USER) || url_has(url, CURLUPART_PASSWORD))
		wrong = "the URL holds user info";
	else if (port != NULL && strtol(port, NULL, 10) == 0)
		wrong = "the URL's port is 0";
	else
		wrong = host_wrong(url);
	curl_free(scheme);
	curl_free(port);
	return wrong;
}

CURLU *
url_parse(const char *text, const char **wrong)
{
	const char *host = strstr(text, "://");
	CURLU *url;

	*wrong = bytes_wrong(text);
	if (*wrong != NULL)
		return NULL;
	/* Libcurl reads one slash or three as if they were two; others read them as a path. */
	if (host == NULL || strchr("/?#", host[3]) != NULL ||
	    (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)) {
		*wrong = "the URL does not start with http:// or https:// and a host";
		return NULL;
	}
	url = curl_url();
	if (url == NULL || curl_url_set(url, CURLUPART_URL, text, URL_FLAGS) != CURLUE_OK)
		*wrong = "the URL cannot be parsed";
	else
		*wrong = url_wrong(url);
	if (*wrong == NULL)
		return url;
	curl_url_cleanup(url);
	return NULL;
}

/* Do both parts name the same, defaults filled in? */
static bool
same_part(CURLU *a, CURLU *b, CURLUPart part)
{
	char *of_a = url_part(a, part, CURLU_DEFAULT_PORT);
	char *of_b = url_part(b, part, CURLU_DEFAULT_PORT);
	bool same = of_a != NULL && of_b != NULL && strcasecmp(of_a, of_b) == 0;

	curl_free(of_a);
	curl_free(of_b);
	return same;
}

static bool
same_origin(CURLU *a, CURLU *b)
{
	return same_part(a, b, CURLUPART_SCHEME) && same_part(a, b, CURLUPART_HOST) &&
	       same_part(a, b, CURLUPART_PORT);
}

static bool
is_credential(const struct http_call *call, const char *name)
{
	static const char *const always[] = {"authorization", "cookie", "proxy-authorization",
					     NULL};

	for (int i = 0; always[i] != NULL; i++) {
		if (strcasecmp(name, always[i]) == 0)
			return true;
	}
	for (int i = 0; call->credential_headers[i] != NULL; i++) {
		if (strcasecmp(name, call->credential_headers[i]) == 0)
			return true;
	}
	return false;
}

/* Content-Type, Content-Language, ...: of a body that is not sent again. */
static bool
is_about_body(const struct http_call *call, const char *name)
{
	(void)call;
	return strncasecmp(name, "content-", 8) == 0;
}

static void
drop_headers(struct http_call *call, bool (*goes)(const struct http_call *call, const char *name))
{
	for (int i = 0; i < call->header_count; i++) {
		if (goes(call, call->headers[i].name))
			call->headers[i].dropped = true;
	}
}

/* RFC 9110 section 15.4: 303 asks for a GET; 301 and 302 to a POST are taken as such by everyone.
 */
static void
change_method(struct http_call *call)
{
	bool head = strcmp(call->method, "HEAD") == 0;
	bool post = strcmp(call->method, "POST") == 0;

	if (!(call->status == 303 && !head) &&
	    !((call->status == 301 || call->status == 302) && post))
		return;
	free(call->method);
	call->method = sl_strdup("GET");
	call->has_body = false;
	call->source = false;
	buf_fini(&call->body);
	drop_headers(call, is_about_body);
}

bool
call_redirect(struct http_call *call, const char *location)
{
	const char *wrong = bytes_wrong(location);
	CURLU *next = curl_url_dup(call->url);

	if (call->redirects_left <= 0) {
		curl_url_cleanup(next);
		call_finish(call, HTTP_PROTOCOL, "ERR_FR_TOO_MANY_REDIRECTS",
			    "Maximum number of redirects exceeded");
		return false;
	}
	call->redirects_left--;
	if (next == NULL ||
	    (wrong == NULL && curl_url_set(next, CURLUPART_URL, location, URL_FLAGS) != CURLUE_OK))
		wrong = "the URL cannot be parsed";
	if (wrong == NULL)
		wrong = url_wrong(next);
	if (wrong != NULL) {
		curl_url_cleanup(next);
		call_finish(call, HTTP_REFUSED_URL, "ERR_INVALID_URL", "redirected: %s", wrong);
		return false;
	}
	if (!same_origin(call->url, next)) {
		call_drop_certificate(call);
		if (!call->forward_credentials)
			drop_headers(call, is_credential);
	}
	change_method(call);
	if (call->source && call->taken > 0) {
		curl_url_cleanup(next);
		call_finish(call, HTTP_PROTOCOL, "ERR_BODY_NOT_REPEATABLE",
			    "redirected: a body that was begun cannot be sent a second time");
		return false;
	}
	curl_url_cleanup(call->url);
	call->url = next;
	return true;
}
