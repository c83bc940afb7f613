#include "http/client_state.h"

#include <errno.h>
#include <openssl/x509_vfy.h>
#include <string.h>

/* What Node calls a failure to connect or to stay connected, by errno. */
static const struct {
	int cause;
	enum http_failure failure;
	const char *code;
} causes[] = {
    {ECONNREFUSED, HTTP_CONNECT, "ECONNREFUSED"},
    {EHOSTUNREACH, HTTP_CONNECT, "EHOSTUNREACH"},
    {ENETUNREACH, HTTP_CONNECT, "ENETUNREACH"},
    {ENOENT, HTTP_CONNECT, "ENOENT"}, /* of a unix socket */
    {EACCES, HTTP_CONNECT, "EACCES"},
    {EPERM, HTTP_CONNECT, "EPERM"},
    {EADDRNOTAVAIL, HTTP_CONNECT, "EADDRNOTAVAIL"},
    {ETIMEDOUT, HTTP_TIMEOUT, "ETIMEDOUT"},
    {ECONNRESET, HTTP_RESET, "ECONNRESET"},
    {EPIPE, HTTP_RESET, "EPIPE"},
    {EMFILE, HTTP_CONNECT, "EMFILE"}, /* our own limits */
    {ENFILE, HTTP_CONNECT, "ENFILE"},
    {ENOBUFS, HTTP_CONNECT, "ENOBUFS"},
    {ENOMEM, HTTP_CONNECT, "ENOMEM"},
};

static const struct {
	long result;
	const char *code;
} verify_codes[] = {
    {X509_V_ERR_CERT_HAS_EXPIRED, "CERT_HAS_EXPIRED"},
    {X509_V_ERR_CERT_NOT_YET_VALID, "CERT_NOT_YET_VALID"},
    {X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, "DEPTH_ZERO_SELF_SIGNED_CERT"},
    {X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, "SELF_SIGNED_CERT_IN_CHAIN"},
    {X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"},
    {X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"},
    {X509_V_ERR_CERT_REVOKED, "CERT_REVOKED"},
};

static const char *
host_of(const struct http_call *call, char **to_free)
{
	*to_free = NULL;
	return curl_url_get(call->url, CURLUPART_HOST, to_free, 0) == CURLUE_OK ? *to_free : "";
}

static void
finish_connect(struct http_call *call)
{
	long cause = 0;
	char *host;

	if (call->address_refused) {
		call_finish(call, HTTP_REFUSED_URL, "ERR_ADDRESS_NOT_ALLOWED",
			    "%s is at %s, an address that may not be called unless the "
			    "allow-list holds it",
			    host_of(call, &host), call->address);
		curl_free(host);
		return;
	}
	curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &cause);
	if (call->socket_errno != 0)
		cause = call->socket_errno;
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
		if (causes[i].cause == (int)cause) {
			call_finish(call, causes[i].failure, causes[i].code, "connect %s %s",
				    causes[i].code, call->address);
			return;
		}
	}
	call_finish(call, HTTP_CONNECT, "ECONNREFUSED", "connect failed: %s", call->address);
}

void
call_finish_timeout(struct http_call *call)
{
	curl_off_t connected_us = 0;

	curl_easy_getinfo(call->easy, CURLINFO_CONNECT_TIME_T, &connected_us);
	if (connected_us == 0 && call->address[0] != '\0')
		call_finish(call, HTTP_TIMEOUT, "ETIMEDOUT", "connect ETIMEDOUT %s", call->address);
	else
		call_finish(call, HTTP_TIMEOUT, "ECONNABORTED", "timeout of %lldms exceeded",
			    (long long)call->timeout_ms);
}

static void
finish_tls(struct http_call *call, CURLcode result)
{
	long verify = X509_V_OK;

	curl_easy_getinfo(call->easy, CURLINFO_SSL_VERIFYRESULT, &verify);
	for (size_t i = 0; i < sizeof(verify_codes) / sizeof(verify_codes[0]); i++) {
		if (verify_codes[i].result == verify) {
			call_finish(call, HTTP_TLS, verify_codes[i].code, "%s",
				    X509_verify_cert_error_string(verify));
			return;
		}
	}
	if (result == CURLE_PEER_FAILED_VERIFICATION)
		call_finish(call, HTTP_TLS, "ERR_TLS_CERT_ALTNAME_INVALID",
			    "the certificate is not for this host");
	else
		call_finish(call, HTTP_TLS, "EPROTO", "TLS failed: %s", call->curl_text);
}

/* Our own callbacks stopped the transfer. */
static void
finish_stopped(struct http_call *call)
{
	if (call->too_large)
		call_finish(call, HTTP_TOO_LARGE, "ERR_BAD_RESPONSE",
			    "maxContentLength size of %zu exceeded", call->response_max);
	else if (call->bad_coding)
		call_finish(call, HTTP_PROTOCOL, "Z_DATA_ERROR",
			    "the body's content-encoding is not one that was asked for");
	else if (call->head_too_large)
		call_finish(call, HTTP_PROTOCOL, "HPE_HEADER_OVERFLOW",
			    "Parse Error: Header overflow");
	else
		call_finish(call, HTTP_PROTOCOL, "HPE_INVALID_HEADER_TOKEN",
			    "Parse Error: Invalid header");
}

void
call_finish_curl(struct http_call *call, CURLcode result)
{
	char *host;

	if (call->too_large || call->head_too_large || call->bad_head || call->bad_coding) {
		finish_stopped(call);
		return;
	}
	switch ((int)result) { /* the rest of the hundred cannot come from a GET or POST */
	case CURLE_COULDNT_RESOLVE_HOST:
		call_finish(call, HTTP_DNS, "ENOTFOUND", "getaddrinfo ENOTFOUND %s",
			    host_of(call, &host));
		curl_free(host);
		return;
	case CURLE_COULDNT_CONNECT:
		finish_connect(call);
		return;
	case CURLE_OPERATION_TIMEDOUT:
		call_finish_timeout(call);
		return;
	case CURLE_GOT_NOTHING:
		call_finish(call, HTTP_RESET, "ECONNRESET", "socket hang up");
		return;
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
		call_finish(call, HTTP_RESET, "ECONNRESET", "read ECONNRESET");
		return;
	case CURLE_PARTIAL_FILE:
		call_finish(call, HTTP_RESET, "ECONNRESET", "aborted");
		return;
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_INVALIDCERTSTATUS:
	case CURLE_SSL_CACERT_BADFILE:
		finish_tls(call, result);
		return;
	case CURLE_BAD_CONTENT_ENCODING:
		call_finish(call, HTTP_PROTOCOL, "Z_DATA_ERROR", "incorrect content encoding");
		return;
	}
	call_finish(call, HTTP_PROTOCOL, "HPE_INVALID_CONSTANT", "Parse Error: %s",
		    call->curl_text[0] != '\0' ? call->curl_text : curl_easy_strerror(result));
}
