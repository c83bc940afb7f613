/* http/refusal.h - why a request is refused, and what the client is told. */
#ifndef SLUICE_HTTP_REFUSAL_H
#define SLUICE_HTTP_REFUSAL_H

#include <stdbool.h>

#include "base/error.h"

struct http_refusal {
	int status;       /* 0: none */
	const char *code; /* constant: "invalid_request", ... */
	char text[200];   /* what was wrong and the remedy; holds nothing the client sent */
};

/* Fills refusal; false, so that a check can `return http_refusal_set(...)`. */
bool http_refusal_set(struct http_refusal *refusal, int status, const char *code,
		      const char *format, ...) SL_PRINTF(4, 5);

#endif
