/* provider/asked.h - a request as it was asked for, kept until its last try: credentials may change between
 * tries, and then URL and headers are made anew. */
#ifndef SLUICE_PROVIDER_ASKED_H
#define SLUICE_PROVIDER_ASKED_H

#include "provider/request.h"
#include "provider/retry.h"

struct asked {
	struct provider_ask ask;   /* all texts owned; stream: NULL or &this->stream */
	struct http_stream stream; /* a copy */
	struct retry_rules rules;  /* its list and names are owned; names in lower case */
};

void asked_init(struct asked *asked, const struct provider_ask *ask,
		const struct provider *provider); /* must not move afterwards */
void asked_fini(struct asked *asked);             /* wipes what may be secret */

#endif
